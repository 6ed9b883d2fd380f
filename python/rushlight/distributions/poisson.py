"""The Poisson distribution."""

import rushlight

from . import constraints
from .exp_family import ExponentialFamily


class Poisson(ExponentialFamily):
    """The number of independent events where `rate` are expected. Samples are not those of PyTorch for the same seed."""

    arg_constraints = {"rate": constraints.nonnegative}
    support = constraints.nonnegative_integer

    def __init__(self, rate, validate_args=None):
        self._set_params(validate_args, rate=rate)

    @property
    def mean(self):
        return self.rate

    @property
    def mode(self):
        return self.rate.floor()

    @property
    def variance(self):
        return self.rate

    def sample(self, sample_shape=()):
        with rushlight.no_grad():
            return sample_poisson(self.rate.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value):
        self._check(value)
        rate, value = rushlight.broadcast_tensors(self.rate, value)
        return value.xlogy(rate) - rate - (value + 1).lgamma()

    @property
    def _natural_params(self):
        return (rushlight.log(self.rate),)

    def _log_normalizer(self, x):
        return rushlight.exp(x)


def sample_poisson(rate):
    """Numbers of Poisson distributions: exponential waiting times are counted, in slices of the rate of at most 500."""
    total = rushlight.zeros_like(rate, dtype=rushlight.float64).reshape(-1)
    left = rate.double().reshape(-1)
    while (left > 0).any().item():
        part = left.clamp(max=500.0)
        total = total + _count_arrivals(part)
        left = left - part
    return total.reshape(rate.shape).to(rate.dtype)


def _count_arrivals(rate):
    """For each rate: the smallest k for which a product of k + 1 uniform numbers falls below `exp(-rate)`."""
    count = rushlight.zeros_like(rate)
    floor = (-rate).exp()
    pending = rushlight.arange(rate.numel())
    product = 1 - rushlight.rand((rate.numel(),), dtype=rate.dtype)
    while pending.numel():
        more = product > floor[pending]
        pending, product = pending[more], product[more]
        count[pending] = count[pending] + 1
        product = product * (1 - rushlight.rand((pending.numel(),), dtype=rate.dtype))
    return count
