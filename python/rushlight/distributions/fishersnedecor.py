"""Fisher's F-distribution."""

import math

import rushlight

from . import constraints
from .distribution import Distribution
from .gamma import Gamma


class FisherSnedecor(Distribution):
    """The distribution of the ratio of two chi-squared numbers, each divided by its degrees of freedom."""

    arg_constraints = {"df1": constraints.positive, "df2": constraints.positive}
    support = constraints.positive
    has_rsample = True

    def __init__(self, df1, df2, validate_args=None):
        self._set_params(validate_args, df1=df1, df2=df2)

    @property
    def mean(self):
        return rushlight.where(self.df2 > 2, self.df2 / (self.df2 - 2), math.nan)

    @property
    def mode(self):
        mode = (self.df1 - 2) / self.df1 * self.df2 / (self.df2 + 2)
        return rushlight.where(self.df1 > 2, mode, math.nan)

    @property
    def variance(self):
        a, b = self.df1, self.df2
        finite = 2 * b.pow(2) * (a + b - 2) / (a * (b - 2).pow(2) * (b - 4))
        return rushlight.where(b > 4, finite, math.nan)

    def rsample(self, sample_shape=()):
        upper, lower = (Gamma(df * 0.5, df * 0.5, validate_args=False).rsample(sample_shape) for df in (self.df1, self.df2))
        return upper / lower

    def log_prob(self, value):
        self._check(value)
        a, b, ratio = self.df1 * 0.5, self.df2 * 0.5, self.df1 / self.df2
        norm = (a + b).lgamma() - a.lgamma() - b.lgamma()
        return norm + a * ratio.log() + (a - 1) * rushlight.log(value) - (a + b) * rushlight.log1p(ratio * value)
