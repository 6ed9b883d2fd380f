"""The base of all distributions.

Source: <https://docs.pytorch.org/docs/stable/distributions.html#distribution>
"""

import rushlight
from rushlight import Tensor

from . import constraints
from .utils import broadcast_all, lazy_property


class Distribution:
    """A distribution of events of shape `event_shape`, in batches of shape `batch_shape`.

    A sample has the shape `sample_shape + batch_shape + event_shape`, a log-probability one number per event.
    """

    has_rsample = False
    has_enumerate_support = False
    _validate_args = True

    @staticmethod
    def set_default_validate_args(value):
        """Whether new distributions check their parameters and the values they are asked about."""
        if value not in (True, False):
            raise ValueError
        Distribution._validate_args = value

    def __init__(self, batch_shape=(), event_shape=(), validate_args=None):
        self._batch_shape, self._event_shape = rushlight.Size(batch_shape), rushlight.Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._check_parameters()

    def _check_parameters(self):
        try:
            arg_constraints = self.arg_constraints
        except NotImplementedError:
            return
        for name, constraint in arg_constraints.items():
            if constraints.is_dependent(constraint):
                continue
            if name not in self.__dict__ and isinstance(getattr(type(self), name, None), (lazy_property, property)):
                continue
            value = getattr(self, name)
            if not constraint.check(value).all().item():
                raise ValueError(
                    f"Expected parameter {name} ({type(value).__name__} of shape {tuple(value.shape)}) of distribution {self!r} to "
                    f"satisfy the constraint {constraint!r}, but found invalid values:\n{value}"
                )

    # ---- what a distribution answers --------------------------------------------------------------------------------------------

    @property
    def batch_shape(self):
        return self._batch_shape

    @property
    def event_shape(self):
        return self._event_shape

    @property
    def arg_constraints(self):
        raise NotImplementedError

    @property
    def support(self):
        raise NotImplementedError

    @property
    def mean(self):
        raise NotImplementedError

    @property
    def mode(self):
        raise NotImplementedError(f"{type(self)} does not implement mode")

    @property
    def variance(self):
        raise NotImplementedError

    @property
    def stddev(self):
        return self.variance.sqrt()

    def expand(self, batch_shape, _instance=None):
        """Returns the distribution with its batch expanded, as a view of the parameters."""
        new = type(self).__new__(type(self)) if _instance is None else _instance
        batch_shape = rushlight.Size(batch_shape)
        for name, constraint in self.arg_constraints.items():
            if name in self.__dict__:
                value = self.__dict__[name]
                new.__dict__[name] = value.expand(batch_shape + value.shape[value.dim() - constraint.event_dim :])
        return self._as_expanded(new, batch_shape)

    def sample(self, sample_shape=()):
        """Draws without a history."""
        with rushlight.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape=()):
        """Draws so that gradients flow to the parameters."""
        raise NotImplementedError

    def sample_n(self, n):
        """Draws `n` samples: the old form of `sample((n,))`."""
        import warnings

        warnings.warn("sample_n(n) will be deprecated. Use .sample((n,)) instead.", UserWarning, stacklevel=2)
        return self.sample((n,))

    def log_prob(self, value):
        raise NotImplementedError

    def cdf(self, value):
        raise NotImplementedError

    def icdf(self, value):
        raise NotImplementedError

    def enumerate_support(self, expand=True):
        """Returns all values of a discrete distribution along a new first dimension."""
        raise NotImplementedError

    def entropy(self):
        raise NotImplementedError

    def perplexity(self):
        """Returns `exp(entropy)`."""
        return rushlight.exp(self.entropy())

    # ---- for subclasses ---------------------------------------------------------------------------------------------------------

    def _extended_shape(self, sample_shape=()):
        return rushlight.Size(tuple(sample_shape) + tuple(self._batch_shape) + tuple(self._event_shape))

    def _set_params(self, validate_args, **params):
        """Keeps parameters of single numbers, broadcast against each other; their shape is the batch."""
        tensors = broadcast_all(*params.values())
        self.__dict__.update(zip(params, tensors))
        Distribution.__init__(self, tensors[0].shape, validate_args=validate_args)

    def _as_expanded(self, new, batch_shape, **attributes):
        """Finishes `new`, an expanded copy whose constructor is not run."""
        new.__dict__.update(attributes)
        Distribution.__init__(new, batch_shape, self._event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _validate_sample(self, value):
        """Checks a value that the distribution is asked about."""
        if not isinstance(value, Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        event_dim_start = value.dim() - len(self._event_shape)
        if tuple(value.shape[event_dim_start:]) != tuple(self._event_shape):
            raise ValueError(
                f"The right-most size of value must match event_shape: {value.size()} vs {self._event_shape}."
            )
        expected = self._batch_shape + self._event_shape
        for i, j in zip(reversed(value.size()), reversed(expected)):
            if i != 1 and j != 1 and i != j:
                raise ValueError(f"Value is not broadcastable with batch_shape+event_shape: {value.size()} vs {expected}.")
        try:
            support = self.support
        except NotImplementedError:
            return
        if not support.check(value).all().item():
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {tuple(value.shape)}) to be within the support "
                f"({support!r}) of the distribution {self!r}, but found invalid values:\n{value}"
            )

    def _check(self, value):
        if self._validate_args:
            self._validate_sample(value)

    def __repr__(self):
        params = ((k, self.__dict__[k]) for k in self.arg_constraints if k in self.__dict__)
        shown = ", ".join(f"{k}: {v if v.numel() == 1 else v.size()}" for k, v in params)
        return f"{type(self).__name__}({shown})"
