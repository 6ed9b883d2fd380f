"""The negative binomial distribution."""

import rushlight
from rushlight.nn import functional as F

from . import constraints
from .distribution import Distribution
from .gamma import Gamma
from .poisson import sample_poisson
from .utils import broadcast_all, lazy_property, logits_to_probs, one_of, probs_to_logits


class NegativeBinomial(Distribution):
    """The number of successes before `total_count` failures. Samples are not those of PyTorch for the same seed."""

    arg_constraints = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer

    def __init__(self, total_count, probs=None, logits=None, validate_args=None):
        one_of(probs, logits)
        self.total_count, param = broadcast_all(total_count, probs if logits is None else logits)
        self.total_count = self.total_count.to(param.dtype)
        setattr(self, "probs" if logits is None else "logits", param)
        super().__init__(param.shape, validate_args=validate_args)

    @lazy_property
    def logits(self):
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self):
        return logits_to_probs(self.logits, is_binary=True)

    @property
    def mean(self):
        return self.total_count * rushlight.exp(self.logits)

    @property
    def mode(self):
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0)

    @property
    def variance(self):
        return self.mean / rushlight.sigmoid(-self.logits)

    def sample(self, sample_shape=()):
        with rushlight.no_grad():
            rate = Gamma(self.total_count, rushlight.exp(-self.logits), validate_args=False)
            return sample_poisson(rate.sample(sample_shape))

    def log_prob(self, value):
        self._check(value)
        n = self.total_count
        weight = n * F.logsigmoid(-self.logits) + value * F.logsigmoid(self.logits)
        norm = -rushlight.lgamma(n + value) + rushlight.lgamma(1.0 + value) + rushlight.lgamma(n)
        return weight - rushlight.where(n + value == 0, 0.0, norm)
