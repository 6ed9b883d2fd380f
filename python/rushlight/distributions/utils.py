"""What the distributions share: broadcasting of parameters, probabilities and logits, properties computed once."""

import rushlight
from rushlight import Tensor

euler_constant = 0.57721566490153286060  # the Euler-Mascheroni constant


def broadcast_all(*values):
    """Returns the values as tensors of one shape; numbers take the dtype of the first tensor, or the default one."""
    if not all(isinstance(v, (int, float, Tensor)) for v in values):
        raise ValueError("Input arguments must all be instances of Number, torch.Tensor or objects implementing __torch_function__.")
    first = next((v for v in values if isinstance(v, Tensor)), None)
    dtype = first.dtype if first is not None else rushlight.get_default_dtype()
    return rushlight.broadcast_tensors(*[v if isinstance(v, Tensor) else rushlight.tensor(v, dtype=dtype) for v in values])


def _broadcast_shapes(*shapes):
    """The shape that these broadcast to; a shape without dimensions changes nothing."""
    return rushlight.broadcast_shapes(*[s for s in shapes if len(s)])


def _standard_normal(shape, dtype, device):
    return rushlight.normal(rushlight.zeros(shape, dtype=dtype, device=device), rushlight.ones(shape, dtype=dtype, device=device))


def _sum_rightmost(value, n):
    """Sums the last `n` dimensions."""
    return value if n == 0 else value.reshape(tuple(value.shape[: value.dim() - n]) + (-1,)).sum(-1)


def logits_to_probs(logits, is_binary=False):
    """Returns probabilities: sigmoid for a binary choice, softmax over the last dimension otherwise."""
    return rushlight.sigmoid(logits) if is_binary else rushlight.softmax(logits, -1)


def clamp_probs(probs):
    """Keeps probabilities a rounding error away from 0 and 1."""
    eps = rushlight.finfo(probs.dtype).eps
    return probs.clamp(eps, 1 - eps)


def probs_to_logits(probs, is_binary=False):
    """Returns the logits of probabilities: the inverse of `logits_to_probs`."""
    clamped = clamp_probs(probs)
    return rushlight.log(clamped) - rushlight.log1p(-clamped) if is_binary else rushlight.log(clamped)


class lazy_property:
    """A property computed at its first use, and kept on the instance."""

    def __init__(self, compute):
        self.compute = compute
        self.__doc__ = compute.__doc__
        self.name = compute.__name__

    def __get__(self, instance, owner=None):
        if instance is None:
            return self
        with rushlight.enable_grad():
            value = self.compute(instance)
        setattr(instance, self.name, value)
        return value


def one_of(probs, logits):
    """Checks that exactly one of the two parametrisations is given."""
    if (probs is None) == (logits is None):
        raise ValueError("Either `probs` or `logits` must be specified, but not both.")


def empty_like_param(param, shape):
    """An uninitialised tensor of the parameter's dtype, to be filled by a sampler."""
    return rushlight.empty(shape, dtype=param.dtype, device=param.device)
