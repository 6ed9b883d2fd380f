"""Limits for gradients."""

import math
import warnings

import rushlight
from rushlight import Tensor
from rushlight.linalg import vector_norm

__all__ = ["clip_grad_norm", "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]


def _tensors(parameters):
    return [parameters] if isinstance(parameters, Tensor) else list(parameters)


def _grads(parameters):
    return [p.grad for p in parameters if p.grad is not None]


def get_total_norm(tensors, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """Returns the norm of all elements of `tensors` together, as the norm of their norms."""
    tensors = _tensors(tensors)
    norm_type = float(norm_type)
    if not tensors:
        return rushlight.tensor(0.0)
    with rushlight.no_grad():
        norms = [vector_norm(t, norm_type) for t in tensors]
        total = vector_norm(rushlight.stack(norms), norm_type)
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it cannot be "
            "clipped. To disable this error and scale the gradients by the non-finite norm anyway, set "
            "`error_if_nonfinite=False`"
        )
    return total


def clip_grads_with_norm_(parameters, max_norm, total_norm, foreach=None):
    """Scales the gradients, in place, so that a norm of `total_norm` becomes `max_norm`, if it is larger."""
    _scale(_grads(_tensors(parameters)), max_norm, total_norm)


def _scale(grads, max_norm, total_norm):
    scale = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
    with rushlight.no_grad():
        for grad in grads:
            grad.mul_(scale)


def clip_grad_norm_(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """Scales the gradients of `parameters`, in place, to a common norm of at most `max_norm`; returns the old norm."""
    is_generator = not isinstance(parameters, (Tensor, list, tuple)) and hasattr(parameters, "__next__")
    parameters = _tensors(parameters)
    if is_generator and not parameters:
        warnings.warn("`parameters` is an empty generator, no gradient clipping will occur.", stacklevel=2)
    grads = _grads(parameters)
    total = get_total_norm(grads, norm_type, error_if_nonfinite, foreach)
    _scale(grads, max_norm, total)
    return total


def clip_grad_norm(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """Deprecated name of `clip_grad_norm_`."""
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of `torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


def clip_grad_value_(parameters, clip_value, foreach=None):
    """Limits each element of the gradients of `parameters`, in place, to `[-clip_value, clip_value]`."""
    clip_value = float(clip_value)
    with rushlight.no_grad():
        for grad in _grads(_tensors(parameters)):
            grad.clamp_(min=-clip_value, max=clip_value)
