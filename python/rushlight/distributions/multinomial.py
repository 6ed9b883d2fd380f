"""The multinomial distribution."""

import math

import rushlight

from . import constraints
from .binomial import Binomial
from .categorical import Categorical
from .distribution import Distribution


class Multinomial(Distribution):
    """How often each class comes up in `total_count` draws of a categorical distribution."""

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}

    def __init__(self, total_count=1, probs=None, logits=None, validate_args=None):
        if not isinstance(total_count, int):
            raise NotImplementedError("inhomogeneous total_count is not supported")
        self.total_count = total_count
        self._categorical = Categorical(probs=probs, logits=logits)
        super().__init__(self._categorical.batch_shape, self._categorical.param_shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape, _instance=None):
        new = type(self).__new__(type(self)) if _instance is None else _instance
        categorical = self._categorical.expand(batch_shape)
        return self._as_expanded(new, batch_shape, total_count=self.total_count, _categorical=categorical)

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self):
        return constraints.multinomial(self.total_count)

    @property
    def probs(self):
        return self._categorical.probs

    @property
    def logits(self):
        return self._categorical.logits

    @property
    def param_shape(self):
        return self._categorical.param_shape

    @property
    def mean(self):
        return self.probs * self.total_count

    @property
    def variance(self):
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape=()):
        with rushlight.no_grad():
            drawn = self._categorical.sample((self.total_count,) + tuple(sample_shape))
            drawn = drawn.permute(*range(1, drawn.dim()), 0)
            counts = self.probs.new_zeros(self._extended_shape(sample_shape))
            return counts.scatter_add(-1, drawn, rushlight.ones_like(drawn).to(counts.dtype))

    def log_prob(self, value):
        self._check(value)
        logits, value = rushlight.broadcast_tensors(self.logits, value)
        unseen = (value == 0) & (logits == -math.inf)
        logits = logits.masked_fill(unseen, 0)
        return rushlight.lgamma(value.sum(-1) + 1) - rushlight.lgamma(value + 1).sum(-1) + (logits * value).sum(-1)

    def entropy(self):
        n = rushlight.tensor(self.total_count, dtype=self.probs.dtype)
        binomial = Binomial(total_count=n, probs=self.probs, validate_args=False)
        support = binomial.enumerate_support(expand=False)[1:]
        weight = binomial.log_prob(support).exp() * rushlight.lgamma(support + 1)
        return self.total_count * self._categorical.entropy() - rushlight.lgamma(n + 1) + weight.sum(0).sum(-1)
