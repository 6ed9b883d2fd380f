"""Automatic differentiation: `backward`, `grad`, grad modes, custom functions, and the tools made of them.

Source: <https://docs.pytorch.org/docs/stable/autograd.html>
"""

from rushlight import _C, Tensor

from . import grad_mode
from .anomaly_mode import detect_anomaly, set_detect_anomaly
from .function import Function
from .gradcheck import gradcheck, gradgradcheck
from .grad_mode import enable_grad, inference_mode, no_grad, set_grad_enabled, set_multithreading_enabled
from .variable import Variable

__all__ = [
    "Function", "Variable", "backward", "detect_anomaly", "enable_grad", "forward_ad", "functional", "grad", "grad_mode",
    "gradcheck", "gradgradcheck", "graph", "inference_mode", "no_grad", "profiler", "set_detect_anomaly", "set_grad_enabled",
    "set_multithreading_enabled",
]

_SUBMODULES = ("forward_ad", "functional", "graph", "profiler")


def __getattr__(name):
    if name in _SUBMODULES:
        from importlib import import_module

        return import_module("." + name, __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _tuple(x):
    return (x,) if isinstance(x, Tensor) else tuple(x)


def _as_gradient(grad, out):
    """A gradient given as a tensor, a number or an array."""
    if isinstance(grad, Tensor):
        return grad
    if isinstance(grad, (int, float)) and out.dim() == 0 or hasattr(grad, "__array__"):
        return _C.as_tensor(grad, dtype=out.dtype)
    raise TypeError(f"gradients can be either Tensors or None, but got {type(grad).__name__}")


def _make_grads(outputs, grads, batched=False):
    """One gradient (or None) per output: given ones are checked, missing ones are 1 for scalars."""
    made = []
    for i, out in enumerate(outputs):
        if not isinstance(out, Tensor):
            raise TypeError(f"outputs must be Tensors, but got {type(out).__name__} at position {i}")
        grad = grads[i] if i < len(grads) else None
        if grad is not None:
            grad = _as_gradient(grad, out)
            shape = grad.shape[1:] if batched else grad.shape
            if tuple(shape) != tuple(out.shape):
                if batched:
                    raise RuntimeError(
                        "If `is_grads_batched=True`, we interpret the first dimension of each grad_output as the batch dimension. "
                        "The sizes of the remaining dimensions are expected to match the shape of corresponding output, but a "
                        f"mismatch was detected: grad_output[{i}] has a shape of {shape} and output[{i}] has a shape of {out.shape}."
                    )
                raise RuntimeError(
                    f"Mismatch in shape: grad_output[{i}] has a shape of {grad.shape} and output[{i}] has a shape of {out.shape}."
                )
        elif out.requires_grad:
            if out.numel() != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            if not out.dtype.is_floating_point:
                raise RuntimeError(f"grad can be implicitly created only for real scalar outputs but got {out.dtype}")
            with no_grad():
                grad = out.new_ones(out.shape)
        made.append(grad)
    return tuple(made)


def _given(grads, n):
    if grads is None:
        return (None,) * n
    if isinstance(grads, (tuple, list)):
        return tuple(grads)
    return (grads,)


def backward(tensors, grad_tensors=None, retain_graph=None, create_graph=False, grad_variables=None, inputs=None):
    """Adds the gradients of `tensors` to the `grad` of the leaves (or of `inputs` only).

    `grad_tensors` holds one gradient per tensor; scalars need none. `retain_graph` is `create_graph` unless given.
    """
    if grad_variables is not None:
        import warnings

        warnings.warn("`grad_variables` is deprecated. Use `grad_tensors` instead.", FutureWarning, stacklevel=2)
        if grad_tensors is not None:
            raise RuntimeError(
                "`grad_tensors` and `grad_variables` (deprecated) arguments both passed to `backward()`. "
                "Please only use `grad_tensors`."
            )
        grad_tensors = grad_variables
    if inputs is not None:
        inputs = _tuple(inputs)
        if not inputs:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    tensors = _tuple(tensors)
    grads = _make_grads(tensors, _given(grad_tensors, len(tensors)))
    retain_graph = create_graph if retain_graph is None else retain_graph
    _C._backward(tensors, grads, bool(retain_graph), bool(create_graph), inputs)


def grad(
    outputs,
    inputs,
    grad_outputs=None,
    retain_graph=None,
    create_graph=False,
    only_inputs=True,
    allow_unused=None,
    is_grads_batched=False,
    materialize_grads=False,
):
    """Returns the gradients of `outputs` with respect to `inputs`, one per input.

    `allow_unused` gives None for inputs that `outputs` do not depend on; it is `materialize_grads` unless given, which gives
    zeros instead. With `is_grads_batched` each of `grad_outputs` has a leading batch dimension, and so have the results.
    """
    if materialize_grads and allow_unused is False:
        raise ValueError("Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False.")
    allow_unused = materialize_grads if allow_unused is None else allow_unused
    if not only_inputs:
        import warnings

        warnings.warn("only_inputs argument is deprecated and is ignored now (defaults to True).", FutureWarning, stacklevel=2)
    outputs, inputs = _tuple(outputs), _tuple(inputs)
    if not inputs:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    for x in inputs:
        if not isinstance(x, Tensor):
            raise RuntimeError(f"all inputs have to be Tensors or GradientEdges, but got {type(x).__name__}")
    grads = _make_grads(outputs, _given(grad_outputs, len(outputs)), batched=is_grads_batched)
    retain = bool(create_graph if retain_graph is None else retain_graph)
    if is_grads_batched:
        results = _grad_of_batch(outputs, inputs, grads, retain, bool(create_graph))
    else:
        results = _C._grad(outputs, inputs, grads, retain, bool(create_graph), True)
    if not allow_unused:
        for i, r in enumerate(results):
            if r is None:
                raise RuntimeError(
                    f"The differentiated Tensor at index {i} appears to not have been used in the graph. Set allow_unused=True if this "
                    "is the desired behavior."
                )
    if materialize_grads:
        results = tuple(x.new_zeros(x.shape) if r is None else r for r, x in zip(results, inputs))
    return results


def _grad_of_batch(outputs, inputs, grads, retain, create_graph):
    """One backward pass per row of the batch; the results are stacked."""
    import rushlight

    n = next((len(g) for g in grads if g is not None), 0)
    rows = [
        _C._grad(
            outputs, inputs, tuple(None if g is None else g[i] for g in grads), retain or i + 1 < n, create_graph, True
        )
        for i in range(n)
    ]
    return tuple(None if column[0] is None else rushlight.stack(list(column)) for column in zip(*rows))


def variable(*args, **kwargs):
    raise RuntimeError("torch.autograd.variable(...) is deprecated, use torch.tensor(...) instead")
