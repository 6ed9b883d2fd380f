"""The Cauchy distribution."""

import math

import rushlight

from . import constraints
from .distribution import Distribution


class Cauchy(Distribution):
    """The Cauchy distribution of median `loc` and half-width `scale`. Samples are tangents of uniform angles."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, loc, scale, validate_args=None):
        self._set_params(validate_args, loc=loc, scale=scale)

    @property
    def mean(self):
        return rushlight.full(self._extended_shape(), math.nan, dtype=self.loc.dtype)

    @property
    def mode(self):
        return self.loc

    @property
    def variance(self):
        return rushlight.full(self._extended_shape(), math.inf, dtype=self.loc.dtype)

    def rsample(self, sample_shape=()):
        u = rushlight.rand(self._extended_shape(sample_shape), dtype=self.loc.dtype)
        return self.loc + self.scale * rushlight.tan(math.pi * (u - 0.5))

    def log_prob(self, value):
        self._check(value)
        return -math.log(math.pi) - self.scale.log() - ((value - self.loc) / self.scale).square().log1p()

    def cdf(self, value):
        self._check(value)
        return rushlight.atan((value - self.loc) / self.scale) / math.pi + 0.5

    def icdf(self, value):
        return rushlight.tan(math.pi * (value - 0.5)) * self.scale + self.loc

    def entropy(self):
        return math.log(4 * math.pi) + self.scale.log()
