"""Higher-order derivatives of functions: `jacobian`, `hessian`, `vjp`, `jvp`, `vhp`, `hvp`.

Source: <https://docs.pytorch.org/docs/stable/autograd.html#functional-higher-level-api>
"""

from rushlight import Tensor

from . import grad as _autograd_grad
from .grad_mode import enable_grad

_LINEAR = (
    "While computing the hessian, found that the jacobian of the user-provided function with respect to input {} is independent of "
    "the input. This is not allowed in strict mode. You should ensure that your function is twice differentiable and that the "
    "jacobian depends on the inputs (this would be violated by a linear function for example)."
)
_INDEPENDENT = "The output of the user-provided function is independent of input {}. This is not allowed in strict mode."
_CONSTANT_GRAD = (
    "The {} of the user-provided function is independent of input {{}}. This is not allowed in strict mode when create_graph=True."
)


# ---- arguments and results ------------------------------------------------------------------------------------------------------


def _as_tuple(x, what, fn):
    """`(is_tuple, tuple)` of a tensor or tuple of tensors."""
    given = f"{what} given to {fn}"
    plain = what.removeprefix("The ")
    if isinstance(x, Tensor):
        return False, (x,)
    if not isinstance(x, tuple):
        raise TypeError(f"{given} must be either a Tensor or a tuple of Tensors but the given {plain} has type {type(x)}.")
    for i, t in enumerate(x):
        if not isinstance(t, Tensor):
            raise TypeError(f"{given} must be either a Tensor or a tuple of Tensors but the value at index {i} has type {type(t)}.")
    return True, x


def _inputs(inputs, fn, create_graph):
    """Fresh tensors to differentiate in, tied to the given ones where the result shall be differentiable in those."""
    many, inputs = _as_tuple(inputs, "The inputs", fn)
    return many, tuple(
        x.view_as(x) if create_graph and x.requires_grad else x.detach().requires_grad_(True) for x in inputs
    )


def _outputs(outputs, fn, strict):
    many, outputs = _as_tuple(outputs, "The outputs of the user-provided function", fn)
    if strict:
        for i, out in enumerate(outputs):
            if not out.requires_grad:
                raise RuntimeError(
                    f"Output {i} of the user-provided function does not require gradients. The outputs must be computed in a "
                    "differentiable manner from the input when running in strict mode."
                )
    return many, outputs


def _vector(v, like, many, fn, missing):
    """The vector of a product: of the shapes of `like`, or 1 where that is a single element."""
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise RuntimeError(missing)
        return (like[0].new_ones(like[0].shape),)
    _, v = _as_tuple(v, "The v", fn)
    if len(v) != len(like):
        if many:
            raise RuntimeError(f"v is a tuple of invalid length: should be {len(like)} but got {len(v)}.")
        raise RuntimeError("The given v should contain a single Tensor.")
    for i, (a, b) in enumerate(zip(v, like)):
        if a.shape != b.shape:
            at = f"Entry {i} in " if many else ""
            raise RuntimeError(f"{at}v has invalid size: should be {b.shape} but got {a.shape}.")
    return tuple(t.detach() if not t.requires_grad else t for t in v)


def _grads(outputs, inputs, vectors=None, create_graph=False):
    """Gradients, None where there is none: also for outputs without history."""
    kept = [(o, None if vectors is None else vectors[i]) for i, o in enumerate(outputs) if o.requires_grad]
    if not kept:
        return (None,) * len(inputs)
    outs, vecs = zip(*kept)
    return _autograd_grad(outs, inputs, vecs, create_graph=create_graph, allow_unused=True)


def _fill(grads, refs, strict, independent, constant=None):
    """Zeros for missing gradients; in strict mode an error instead, as for gradients that should have a history but have none."""
    filled = []
    for i, (g, ref) in enumerate(zip(grads, refs)):
        if g is None:
            if strict:
                raise RuntimeError(independent.format(i))
            g = ref.new_zeros(ref.shape)
        elif strict and constant is not None and not g.requires_grad:
            raise RuntimeError(constant.format(i))
        filled.append(g)
    return tuple(filled)


def _finish(tensors, many, create_graph):
    if not create_graph:
        tensors = tuple(t.detach() for t in tensors)
    return tensors if many else tensors[0]


# ---- the functions --------------------------------------------------------------------------------------------------------------


def vjp(func, inputs, v=None, create_graph=False, strict=False):
    """Returns `(func(*inputs), v @ J)`, with `v` of the shape of the outputs (1 for a single element)."""
    with enable_grad():
        many, inputs = _inputs(inputs, "vjp", create_graph)
        many_out, outputs = _outputs(func(*inputs), "vjp", strict)
        missing = "The vector v can only be None if the user-provided function returns a single Tensor with a single element."
        v = _vector(v, outputs, many_out, "vjp", missing)
        constant = _CONSTANT_GRAD.format("jacobian") if create_graph else None
        grads = _fill(_grads(outputs, inputs, v, create_graph), inputs, strict, _INDEPENDENT, constant)
    return _finish(outputs, many_out, create_graph), _finish(grads, many, create_graph)


def jvp(func, inputs, v=None, create_graph=False, strict=False):
    """Returns `(func(*inputs), J @ v)`, with `v` of the shape of the inputs (1 for a single element).

    Reverse mode twice: the product of a cotangent and J is linear in the cotangent, and its derivative is J @ v.
    """
    with enable_grad():
        many, inputs = _inputs(inputs, "jvp", create_graph)
        missing = "The vector v can only be None if the input to the user-provided function is a single Tensor with a single element."
        v = _vector(v, inputs, many, "jvp", missing)
        many_out, outputs = _outputs(func(*inputs), "jvp", strict)
        cotangents = tuple(o.new_zeros(o.shape).requires_grad_(o.dtype.is_floating_point) for o in outputs)
        pulled = _fill(_grads(outputs, inputs, cotangents, create_graph=True), inputs, strict, _INDEPENDENT)
        constant = _CONSTANT_GRAD.format("jacobian") if create_graph else None
        tangents = _fill(_grads(pulled, cotangents, v, create_graph), outputs, strict, _INDEPENDENT, constant)
    return _finish(outputs, many_out, create_graph), _finish(tangents, many_out, create_graph)


def _hessian_product(func, inputs, v, create_graph, strict, fn):
    with enable_grad():
        many, inputs = _inputs(inputs, fn, create_graph)
        missing = "The vector v can only be None if the input to the user-provided function is a single Tensor with a single element."
        v = _vector(v, inputs, many, fn, missing)
        many_out, outputs = _outputs(func(*inputs), fn, strict)
        _check_scalar(many_out, outputs, fn)
        jac = _fill(_grads(outputs, inputs, create_graph=True), inputs, strict, _INDEPENDENT, _LINEAR)
        constant = _CONSTANT_GRAD.format("hessian") if create_graph else None
        product = _fill(_grads(jac, inputs, v, create_graph), inputs, strict, _LINEAR, constant)
    return _finish(outputs, many_out, create_graph), _finish(product, many, create_graph)


def _check_scalar(many_out, outputs, fn):
    if many_out or not isinstance(outputs[0], Tensor):
        raise RuntimeError(f"The function given to {fn} should return a single Tensor")
    if outputs[0].numel() != 1:
        raise RuntimeError(f"The Tensor returned by the function given to {fn} should contain a single element")


def vhp(func, inputs, v=None, create_graph=False, strict=False):
    """Returns `(func(*inputs), v @ H)` for a scalar function."""
    return _hessian_product(func, inputs, v, create_graph, strict, "vhp")


def hvp(func, inputs, v=None, create_graph=False, strict=False):
    """Returns `(func(*inputs), H @ v)` for a scalar function: by the symmetry of H, what `vhp` returns."""
    return _hessian_product(func, inputs, v, create_graph, strict, "hvp")


def _check_strategy(strategy, strict, vectorize):
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError(
            'Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your function has more outputs than inputs, '
            '"forward-mode" tends to be more performant. Otherwise, prefer to use "reverse-mode".'
        )
    if strategy == "forward-mode" and not vectorize:
        raise NotImplementedError(
            "Computing Jacobian using forward-AD or forward-over-reverse Hessian is only implemented for `vectorize=True`."
        )
    if strict and vectorize:
        raise RuntimeError(
            "torch.autograd.functional.jacobian: `strict=True` and `vectorized=True` are not supported together. Please either set "
            "`strict=False` or `vectorize=False`."
        )


def jacobian(func, inputs, create_graph=False, strict=False, vectorize=False, strategy="reverse-mode"):
    """Returns the Jacobian, of shape `output.shape + input.shape`: nested tuples (outputs first) where there are several.

    `vectorize` and `strategy` are accepted; the rows are computed one by one, in reverse mode, either way.
    """
    _check_strategy(strategy, strict, vectorize)
    import rushlight

    constant = _CONSTANT_GRAD.format("jacobian") if create_graph else None
    with enable_grad():
        many, inputs = _inputs(inputs, "jacobian", create_graph)
        many_out, outputs = _outputs(func(*inputs), "jacobian", strict)
        jac = []
        for nr, out in enumerate(outputs):
            rows = []
            independent = f"Output {nr} of the user-provided function is independent of input {{}}. This is not allowed in strict mode."
            flat = out.reshape(-1)
            for j in range(out.numel()):
                grads = (None,) * len(inputs)
                if out.requires_grad:
                    grads = _autograd_grad(flat[j], inputs, retain_graph=True, create_graph=create_graph, allow_unused=True)
                rows.append(_fill(grads, inputs, strict, independent, constant))
            columns = zip(*rows) if rows else ((),) * len(inputs)
            jac.append(tuple(
                (rushlight.stack(list(col)) if col else x.new_zeros((0,))).reshape(tuple(out.shape) + tuple(x.shape))
                for col, x in zip(columns, inputs)
            ))
    jac = tuple(_finish(row, many, create_graph) for row in jac)
    return jac if many_out else jac[0]


def hessian(func, inputs, create_graph=False, strict=False, vectorize=False, outer_jacobian_strategy="reverse-mode"):
    """Returns the Hessian of a scalar function, of shape `input_i.shape + input_j.shape`: nested tuples for several inputs."""
    many, inputs = _as_tuple(inputs, "The inputs", "hessian")
    _check_strategy(outer_jacobian_strategy, strict, vectorize)

    def jac(*xs):
        many_out, out = _outputs(func(*xs), "hessian", strict)
        _check_scalar(many_out, out, "hessian")
        grads = _grads(out, xs, create_graph=True)
        return _fill(grads, xs, strict, _LINEAR, _LINEAR)

    result = jacobian(jac, inputs, create_graph=create_graph, strict=strict, vectorize=vectorize, strategy=outer_jacobian_strategy)
    return result if many else result[0][0]
