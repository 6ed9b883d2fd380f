"""The gamma distribution."""

import rushlight

from . import constraints
from ._standard_gamma import standard_gamma
from .exp_family import ExponentialFamily


class Gamma(ExponentialFamily):
    """The gamma distribution of shape `concentration` and mean `concentration / rate`.

    Samples come from the generator but are not those of PyTorch for the same seed; their gradients are the same functions.
    """

    arg_constraints = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True
    _mean_carrier_measure = 0

    def __init__(self, concentration, rate, validate_args=None):
        self._set_params(validate_args, concentration=concentration, rate=rate)

    @property
    def mean(self):
        return self.concentration / self.rate

    @property
    def mode(self):
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    @property
    def variance(self):
        return self.concentration / self.rate.pow(2)

    def rsample(self, sample_shape=()):
        shape = self._extended_shape(sample_shape)
        value = standard_gamma(self.concentration.expand(shape)) / self.rate.expand(shape)
        tiny = rushlight.finfo(value.dtype).tiny
        return value + (value.detach().clamp(min=tiny) - value.detach())

    def log_prob(self, value):
        self._check(value)
        return (
            rushlight.xlogy(self.concentration, self.rate)
            + rushlight.xlogy(self.concentration - 1, value)
            - self.rate * value
            - rushlight.lgamma(self.concentration)
        )

    def cdf(self, value):
        self._check(value)
        return rushlight.igamma(*rushlight.broadcast_tensors(self.concentration, self.rate * value))

    def entropy(self):
        a = self.concentration
        return a - rushlight.log(self.rate) + rushlight.lgamma(a) + (1.0 - a) * rushlight.digamma(a)

    @property
    def _natural_params(self):
        return self.concentration - 1, -self.rate

    def _log_normalizer(self, x, y):
        return rushlight.lgamma(x + 1) + (x + 1) * rushlight.log(-y.reciprocal())
