"""The Dirichlet distribution."""

import rushlight

from . import constraints
from ._standard_gamma import standard_gamma
from .exp_family import ExponentialFamily


class Dirichlet(ExponentialFamily):
    """Probabilities over `concentration.shape[-1]` classes: gamma numbers of these shapes, divided by their sum."""

    arg_constraints = {"concentration": constraints.independent(constraints.positive, 1)}
    support = constraints.simplex
    has_rsample = True

    def __init__(self, concentration, validate_args=None):
        if concentration.dim() < 1:
            raise ValueError("`concentration` parameter must be at least one-dimensional.")
        self.concentration = concentration
        super().__init__(concentration.shape[:-1], concentration.shape[-1:], validate_args=validate_args)

    @property
    def mean(self):
        return self.concentration / self.concentration.sum(-1, True)

    @property
    def mode(self):
        weight = (self.concentration - 1).clamp(min=0.0)
        mode = weight / weight.sum(-1, True)
        flat = (self.concentration < 1).all(-1, keepdim=True)
        corner = rushlight.nn.functional.one_hot(mode.argmax(-1), self._event_shape[0]).to(mode.dtype)
        return rushlight.where(flat, corner, mode)

    @property
    def variance(self):
        total = self.concentration.sum(-1, True)
        return self.concentration * (total - self.concentration) / (total.pow(2) * (total + 1))

    def rsample(self, sample_shape=()):
        gammas = standard_gamma(self.concentration.expand(self._extended_shape(sample_shape)).double())
        return (gammas / gammas.sum(-1, True)).to(self.concentration.dtype)

    def log_prob(self, value):
        self._check(value)
        a = self.concentration
        return rushlight.xlogy(a - 1.0, value).sum(-1) + rushlight.lgamma(a.sum(-1)) - rushlight.lgamma(a).sum(-1)

    def entropy(self):
        a, k = self.concentration, self.concentration.size(-1)
        total = a.sum(-1)
        return (
            rushlight.lgamma(a).sum(-1)
            - rushlight.lgamma(total)
            - (k - total) * rushlight.digamma(total)
            - ((a - 1.0) * rushlight.digamma(a)).sum(-1)
        )

    @property
    def _natural_params(self):
        return (self.concentration,)

    def _log_normalizer(self, x):
        return x.lgamma().sum(-1) - rushlight.lgamma(x.sum(-1))
