"""The geometric distribution."""

import rushlight
from rushlight.nn import functional as F

from . import constraints
from .distribution import Distribution
from .utils import empty_like_param, lazy_property, logits_to_probs, one_of, probs_to_logits


class Geometric(Distribution):
    """The number of failures before the first success, where each trial succeeds with probability `probs`."""

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.nonnegative_integer

    def __init__(self, probs=None, logits=None, validate_args=None):
        one_of(probs, logits)
        self._set_params(validate_args, **({"probs": probs} if logits is None else {"logits": logits}))
        if self._validate_args and probs is not None and not (self.probs > 0).all().item():
            value = self.probs
            raise ValueError(
                f"Expected parameter probs ({type(value).__name__} of shape {tuple(value.shape)}) of distribution {self!r} to be "
                f"positive but found invalid values:\n{value}"
            )

    @lazy_property
    def logits(self):
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self):
        return logits_to_probs(self.logits, is_binary=True)

    @property
    def mean(self):
        return 1.0 / self.probs - 1.0

    @property
    def mode(self):
        return rushlight.zeros_like(self.probs)

    @property
    def variance(self):
        return (1.0 / self.probs - 1.0) / self.probs

    def sample(self, sample_shape=()):
        with rushlight.no_grad():
            u = empty_like_param(self.probs, self._extended_shape(sample_shape)).uniform_()
            u = u.clamp(min=rushlight.finfo(self.probs.dtype).tiny)
            return (u.log() / (-self.probs).log1p()).floor()

    def log_prob(self, value):
        self._check(value)
        value, probs = rushlight.broadcast_tensors(value, self.probs)
        probs = rushlight.where((probs == 1) & (value == 0), 0.0, probs)
        return value * (-probs).log1p() + self.probs.log()

    def entropy(self):
        return F.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none") / self.probs
