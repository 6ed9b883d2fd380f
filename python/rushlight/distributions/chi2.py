"""The chi-squared distribution."""

from . import constraints
from .gamma import Gamma


class Chi2(Gamma):
    """The distribution of the sum of `df` squared standard normal numbers."""

    arg_constraints = {"df": constraints.positive}

    def __init__(self, df, validate_args=None):
        super().__init__(0.5 * df, 0.5, validate_args=validate_args)

    def expand(self, batch_shape, _instance=None):
        new = type(self).__new__(type(self)) if _instance is None else _instance
        params = {"concentration": self.concentration.expand(batch_shape), "rate": self.rate.expand(batch_shape)}
        return self._as_expanded(new, batch_shape, **params)

    @property
    def df(self):
        return self.concentration * 2
