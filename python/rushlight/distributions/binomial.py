"""The binomial distribution."""

import rushlight

from . import constraints
from .distribution import Distribution
from .utils import broadcast_all, lazy_property, logits_to_probs, one_of, probs_to_logits


class Binomial(Distribution):
    """The number of successes among `total_count` trials. Samples are not those of PyTorch for the same seed."""

    arg_constraints = {"total_count": constraints.nonnegative_integer, "probs": constraints.unit_interval, "logits": constraints.real}
    has_enumerate_support = True

    def __init__(self, total_count=1, probs=None, logits=None, validate_args=None):
        one_of(probs, logits)
        name = "probs" if logits is None else "logits"
        self.total_count, param = broadcast_all(total_count, probs if logits is None else logits)
        self.total_count = self.total_count.to(param.dtype)
        setattr(self, name, param)
        super().__init__(param.shape, validate_args=validate_args)

    @property
    def _param(self):
        return self.__dict__["probs"] if "probs" in self.__dict__ else self.logits

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self):
        return constraints.integer_interval(0, self.total_count)

    @lazy_property
    def logits(self):
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self):
        return logits_to_probs(self.logits, is_binary=True)

    @property
    def param_shape(self):
        return self._param.size()

    @property
    def mean(self):
        return self.total_count * self.probs

    @property
    def mode(self):
        return ((self.total_count + 1) * self.probs).floor().clamp(max=self.total_count)

    @property
    def variance(self):
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape=()):
        shape = self._extended_shape(sample_shape)
        with rushlight.no_grad():
            probs, counts = self.probs.expand(shape), self.total_count.expand(shape)
            total = rushlight.zeros_like(probs)
            for trial in range(int(self.total_count.max().item()) if self.total_count.numel() else 0):
                hit = rushlight.rand(shape, dtype=rushlight.float64) < probs
                total = total + (hit & (counts > trial)).to(total.dtype)
            return total

    def log_prob(self, value):
        self._check(value)
        n, logits = self.total_count, self.logits
        choose = rushlight.lgamma(n + 1) - rushlight.lgamma(value + 1) - rushlight.lgamma(n - value + 1)
        positive = (logits + logits.abs()) / 2
        return value * logits - n * positive - n * rushlight.log1p(rushlight.exp(-logits.abs())) + choose

    def entropy(self):
        self._homogeneous("entropy")
        log_prob = self.log_prob(self.enumerate_support(False))
        return -(log_prob.exp() * log_prob).sum(0)

    def enumerate_support(self, expand=True):
        total = self._homogeneous("enumerate_support")
        values = rushlight.arange(1 + total, dtype=self._param.dtype).view((-1,) + (1,) * len(self._batch_shape))
        return values.expand((-1,) + tuple(self._batch_shape)) if expand else values

    def _homogeneous(self, what):
        total = int(self.total_count.max().item())
        if self.total_count.min().item() != total:
            raise NotImplementedError(f"Inhomogeneous total count not supported by `{what}`.")
        return total
