"""Student's t-distribution."""

import math

import rushlight

from . import constraints
from .chi2 import Chi2
from .distribution import Distribution
from .utils import _standard_normal


class StudentT(Distribution):
    """Student's t-distribution of `df` degrees of freedom, around `loc`."""

    arg_constraints = {"df": constraints.positive, "loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, df, loc=0.0, scale=1.0, validate_args=None):
        self._set_params(validate_args, df=df, loc=loc, scale=scale)

    @property
    def mean(self):
        return rushlight.where(self.df <= 1, math.nan, self.loc)

    @property
    def mode(self):
        return self.loc

    @property
    def variance(self):
        finite = self.scale.pow(2) * self.df / (self.df - 2)
        return rushlight.where(self.df > 2, finite, rushlight.where(self.df > 1, math.inf, math.nan).to(self.df.dtype))

    def rsample(self, sample_shape=()):
        shape = self._extended_shape(sample_shape)
        x = _standard_normal(shape, self.df.dtype, self.df.device)
        z = Chi2(self.df, validate_args=False).rsample(sample_shape)
        return self.loc + self.scale * (x * rushlight.rsqrt(z / self.df))

    def log_prob(self, value):
        self._check(value)
        y = (value - self.loc) / self.scale
        norm = (
            self.scale.log()
            + 0.5 * self.df.log()
            + 0.5 * math.log(math.pi)
            + rushlight.lgamma(0.5 * self.df)
            - rushlight.lgamma(0.5 * (self.df + 1.0))
        )
        return -0.5 * (self.df + 1.0) * rushlight.log1p(y**2.0 / self.df) - norm

    def entropy(self):
        half, more = 0.5 * self.df, 0.5 * (self.df + 1)
        log_beta = rushlight.lgamma(half) + math.lgamma(0.5) - rushlight.lgamma(more)
        return self.scale.log() + more * (rushlight.digamma(more) - rushlight.digamma(half)) + 0.5 * self.df.log() + log_beta
