"""Mixtures of distributions of one family."""

import rushlight

from . import constraints
from .categorical import Categorical
from .constraints import MixtureSameFamilyConstraint
from .distribution import Distribution


class MixtureSameFamily(Distribution):
    """A component, chosen by `mixture_distribution`, among the last batch dimension of `component_distribution`."""

    arg_constraints = {}

    def __init__(self, mixture_distribution, component_distribution, validate_args=None):
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError(" The Mixture distribution needs to be an  instance of torch.distributions.Categorical")
        if not isinstance(component_distribution, Distribution):
            raise ValueError("The Component distribution needs to be an instance of torch.distributions.Distribution")
        for a, b in zip(reversed(mixture_distribution.batch_shape), reversed(component_distribution.batch_shape[:-1])):
            if a != 1 and b != 1 and a != b:
                raise ValueError(
                    f"`mixture_distribution.batch_shape` ({mixture_distribution.batch_shape}) is not compatible with "
                    f"`component_distribution.batch_shape`({component_distribution.batch_shape[:-1]})"
                )
        k, kc = mixture_distribution.logits.shape[-1], component_distribution.batch_shape[-1]
        if k != kc:
            raise ValueError(f"`mixture_distribution component` ({k}) does not equal `component_distribution.batch_shape[-1]` ({kc})")
        self._mixture_distribution, self._component_distribution = mixture_distribution, component_distribution
        self._num_component = k
        super().__init__(component_distribution.batch_shape[:-1], component_distribution.event_shape, validate_args=validate_args)

    def expand(self, batch_shape, _instance=None):
        new = type(self).__new__(type(self)) if _instance is None else _instance
        batch_shape = rushlight.Size(batch_shape)
        return self._as_expanded(
            new,
            batch_shape,
            _component_distribution=self._component_distribution.expand(tuple(batch_shape) + (self._num_component,)),
            _mixture_distribution=self._mixture_distribution.expand(batch_shape),
            _num_component=self._num_component,
        )

    @constraints.dependent_property
    def support(self):
        return MixtureSameFamilyConstraint(self._component_distribution.support)

    @property
    def mixture_distribution(self):
        return self._mixture_distribution

    @property
    def component_distribution(self):
        return self._component_distribution

    def _over_events(self, x):
        return x.reshape(tuple(x.shape) + (1,) * len(self._event_shape))

    @property
    def _weights(self):
        return self._over_events(self.mixture_distribution.probs)

    @property
    def _axis(self):
        return -1 - len(self._event_shape)

    @property
    def mean(self):
        return (self._weights * self.component_distribution.mean).sum(self._axis)

    @property
    def variance(self):
        inside = (self._weights * self.component_distribution.variance).sum(self._axis)
        between = (self._weights * (self.component_distribution.mean - self.mean.unsqueeze(self._axis)).pow(2)).sum(self._axis)
        return inside + between

    def sample(self, sample_shape=()):
        with rushlight.no_grad():
            chosen = self.mixture_distribution.sample(sample_shape)
            samples = self.component_distribution.sample(sample_shape)
            axis = samples.dim() + self._axis
            index = self._over_events(chosen.unsqueeze(-1))
            index = index.expand(tuple(samples.shape[:axis]) + (1,) + tuple(self._event_shape))
            return samples.gather(axis, index).squeeze(axis)

    def log_prob(self, value):
        self._check(value)
        log_prob = self.component_distribution.log_prob(value.unsqueeze(self._axis))
        return rushlight.logsumexp(log_prob + rushlight.log_softmax(self.mixture_distribution.logits, -1), -1)

    def cdf(self, x):
        cdf = self.component_distribution.cdf(x.unsqueeze(self._axis))
        return (cdf * self.mixture_distribution.probs).sum(-1)

    def __repr__(self):
        return f"MixtureSameFamily(\n  {self.mixture_distribution},\n  {self.component_distribution})"
