"""The exponential distribution."""

import rushlight

from . import constraints
from .exp_family import ExponentialFamily
from .utils import empty_like_param


class Exponential(ExponentialFamily):
    """The exponential distribution of mean `1 / rate`."""

    arg_constraints = {"rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True
    _mean_carrier_measure = 0

    def __init__(self, rate, validate_args=None):
        self._set_params(validate_args, rate=rate)

    @property
    def mean(self):
        return self.rate.reciprocal()

    @property
    def mode(self):
        return rushlight.zeros_like(self.rate)

    @property
    def stddev(self):
        return self.rate.reciprocal()

    @property
    def variance(self):
        return self.rate.pow(-2)

    def rsample(self, sample_shape=()):
        return empty_like_param(self.rate, self._extended_shape(sample_shape)).exponential_() / self.rate

    def log_prob(self, value):
        self._check(value)
        return self.rate.log() - self.rate * value

    def cdf(self, value):
        self._check(value)
        return 1 - rushlight.exp(-self.rate * value)

    def icdf(self, value):
        return -rushlight.log1p(-value) / self.rate

    def entropy(self):
        return 1.0 - rushlight.log(self.rate)

    @property
    def _natural_params(self):
        return (-self.rate,)

    def _log_normalizer(self, x):
        return -rushlight.log(-x)
