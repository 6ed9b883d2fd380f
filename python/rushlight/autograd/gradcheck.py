"""Derivatives against finite differences: `gradcheck` and `gradgradcheck`.

Source: <https://docs.pytorch.org/docs/stable/generated/torch.autograd.gradcheck.gradcheck.html>
"""

from rushlight import Tensor


class GradcheckError(RuntimeError):
    """A derivative disagrees with finite differences, or breaks one of the rules of a derivative."""


def gradcheck(
    func,
    inputs,
    *,
    eps=1e-6,
    atol=1e-5,
    rtol=1e-3,
    raise_exception=True,
    nondet_tol=0.0,
    check_undefined_grad=True,
    check_grad_dtypes=False,
    check_batched_grad=False,
    check_batched_forward_grad=False,
    check_forward_ad=False,
    check_backward_ad=True,
    fast_mode=False,
    masked=None,
):
    """Compares the derivatives of `func` in the float `inputs` that require them with central differences of step `eps`.

    Returns True, or raises `GradcheckError` (with `raise_exception=False`: returns False). `fast_mode` compares one random
    direction instead of whole Jacobians. Use double precision inputs.
    """
    if check_forward_ad or check_batched_forward_grad:
        raise NotImplementedError("gradcheck: there is no forward mode to check")
    if not check_backward_ad:
        raise AssertionError("Expected at least one of check_forward_ad or check_backward_ad to be True")
    if check_batched_grad and fast_mode:
        raise AssertionError("check_batched_grad is not supported in fast mode")
    options = (eps, atol, rtol, nondet_tol, check_undefined_grad, check_grad_dtypes, check_batched_grad, fast_mode)
    if raise_exception:
        _check(func, inputs, *options)
        return True
    try:
        _check(func, inputs, *options)
    except GradcheckError:
        return False
    return True


def gradgradcheck(
    func,
    inputs,
    grad_outputs=None,
    *,
    eps=1e-6,
    atol=1e-5,
    rtol=1e-3,
    gen_non_contig_grad_outputs=False,
    raise_exception=True,
    nondet_tol=0.0,
    check_undefined_grad=True,
    check_grad_dtypes=False,
    check_batched_grad=False,
    check_fwd_over_rev=False,
    check_rev_over_rev=True,
    fast_mode=False,
    masked=False,
):
    """Checks second derivatives: `gradcheck` of the gradients, in the inputs and in `grad_outputs` (random ones unless given)."""
    import rushlight

    if check_fwd_over_rev:
        raise NotImplementedError("gradgradcheck: there is no forward mode to check")
    if not check_rev_over_rev:
        raise AssertionError("Expected at least one of check_fwd_over_rev or check_rev_over_rev to be True")
    inputs = _as_tuple(inputs)
    if grad_outputs is None:
        outputs = _differentiable(func(*inputs))
        grad_outputs = tuple(_random_gradient(o, gen_non_contig_grad_outputs) for o in outputs)
    else:
        grad_outputs = _as_tuple(grad_outputs)
    n = len(grad_outputs)

    def gradients(*args):
        xs, gs = args[:-n], args[-n:]
        wanted = [x for x in xs if isinstance(x, Tensor) and x.requires_grad]
        return rushlight.autograd.grad(_differentiable(func(*xs)), wanted, gs, create_graph=True, allow_unused=True, materialize_grads=True)

    return gradcheck(
        gradients,
        inputs + grad_outputs,
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad,
        fast_mode=fast_mode,
    )


def _random_gradient(out, non_contiguous):
    import rushlight

    shape = tuple(out.shape)
    if non_contiguous and shape:
        grad = rushlight.randn(shape + (2,)).to(out.dtype)[..., 0].detach()
    else:
        grad = rushlight.randn(shape).to(out.dtype)
    return grad.requires_grad_()


def _as_tuple(x):
    return tuple(x) if isinstance(x, (tuple, list)) else (x,)


def _differentiable(outputs):
    return tuple(o for o in _as_tuple(outputs) if isinstance(o, Tensor) and o.requires_grad)


def _is_active(x):
    return isinstance(x, Tensor) and x.requires_grad


# ---- the checks -----------------------------------------------------------------------------------------------------------------


def _check(func, inputs, eps, atol, rtol, nondet_tol, undefined, dtypes, batched, fast):
    import rushlight

    inputs = _as_tuple(inputs)
    active = [i for i, x in enumerate(inputs) if _is_active(x)]
    if not active:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of them have requires_grad=True."
        )
    for i in active:
        if inputs[i].dtype is not rushlight.float64:
            import warnings

            warnings.warn(
                f"Input #{i} requires gradient and is not a double precision floating point or complex. This check will likely fail "
                "if all the inputs are not of double precision floating point or complex. ",
                stacklevel=4,
            )
    outputs = _as_tuple(func(*inputs))
    nrs = [k for k, o in enumerate(outputs) if o.requires_grad]
    if not nrs:
        for column in (c for i in active for c in _differences(func, inputs, i, eps, range(len(outputs)))):
            if any(c is not None and c.ne(0).any().item() for c in column):
                raise GradcheckError("Numerical gradient for function expected to be zero")
        return
    problem = _Problem(func, inputs, active, outputs, nrs, eps)
    (_fast if fast else _slow)(problem, atol, rtol)
    _check_reentrant(problem, nondet_tol)
    _check_zero_cotangents(problem)
    if undefined and len(nrs) > 1:
        _check_undefined(problem)
    if dtypes:
        _check_dtypes(problem)
    if batched:
        _check_batched(problem)


class _Problem:
    """A function with its inputs and its outputs, and their gradients on demand."""

    def __init__(self, func, inputs, active, outputs, nrs, eps):
        self.func, self.inputs, self.active, self.eps, self.nrs = func, inputs, active, eps, nrs
        self.xs = tuple(inputs[i] for i in active)
        self.outputs = tuple(outputs[k] for k in nrs)

    def vjp(self, outputs, cotangents):
        from . import grad

        return grad(outputs, self.xs, cotangents, retain_graph=True, allow_unused=True)


def _replaced(inputs, i, value):
    return tuple(value if j == i else x for j, x in enumerate(inputs))


def _values(func, inputs, nrs):
    """The outputs `nrs`, as plain values."""
    out = _as_tuple(func(*inputs))
    return [out[k].detach().clone() for k in nrs]


def _shifted(x, step):
    import rushlight

    with rushlight.no_grad():
        return (x.detach() + step).requires_grad_(x.requires_grad)


def _differences(func, inputs, i, eps, nrs):
    """For each element of input `i`: the central differences of the outputs, flattened (None for those without a float dtype)."""
    import rushlight

    x = inputs[i]
    for e in range(x.numel()):
        step = rushlight.zeros(x.numel(), dtype=x.dtype)
        step[e] = eps
        step = step.reshape(tuple(x.shape))
        hi = _values(func, _replaced(inputs, i, _shifted(x, step)), nrs)
        lo = _values(func, _replaced(inputs, i, _shifted(x, -step)), nrs)
        yield [
            ((a - b) / (2 * eps)).reshape(-1) if a.dtype.is_floating_point else None for a, b in zip(hi, lo)
        ]


def _numerical(problem, i):
    """Jacobians `[elements of input i, elements of the output]`, one per output."""
    import rushlight

    columns = list(_differences(problem.func, problem.inputs, i, problem.eps, problem.nrs))
    if not columns:
        return [o.new_zeros((0, o.numel())) for o in problem.outputs]
    return [rushlight.stack(list(rows)) for rows in zip(*columns)]


def _analytical(problem, out):
    """Jacobians of `out`, `[elements of the input, elements of the output]`, one per active input."""
    import rushlight

    rows = []
    for e in range(out.numel()):
        cot = rushlight.zeros(out.numel(), dtype=out.dtype)
        cot[e] = 1
        grads = problem.vjp((out,), (cot.reshape(tuple(out.shape)),))
        rows.append([x.new_zeros(x.numel()) if g is None else g.reshape(-1) for g, x in zip(grads, problem.xs)])
    if not rows:
        return [x.new_zeros((x.numel(), 0)) for x in problem.xs]
    return [rushlight.stack(list(col), 1) for col in zip(*rows)]


def _mismatch(out_nr, in_nr, numerical, analytical):
    return (
        f"Jacobian mismatch for output {out_nr} with respect to input {in_nr},\nnumerical:{numerical}\nanalytical:{analytical}\n"
    )


def _slow(problem, atol, rtol):
    import rushlight

    numerical = [_numerical(problem, i) for i in problem.active]
    for k, (nr, out) in enumerate(zip(problem.nrs, problem.outputs)):
        for i, (at, a) in enumerate(zip(problem.active, _analytical(problem, out))):
            n = numerical[i][k].to(a.dtype)
            if not rushlight.allclose(a, n, rtol, atol):
                raise GradcheckError(_mismatch(nr, at, n, a))


def _unit(t):
    import rushlight

    u = rushlight.rand(tuple(t.shape)).to(t.dtype) + 0.01
    return u / u.norm() if t.numel() else u


def _fast(problem, atol, rtol):
    """Compares `v · J u` along one random direction `u` of each input and `v` of each output."""
    import rushlight

    directions = [_unit(x) for x in problem.xs]
    for k, (nr, out) in enumerate(zip(problem.nrs, problem.outputs)):
        v = _unit(out)
        grads = problem.vjp((out,), (v,))
        for at, x, u, g in zip(problem.active, problem.xs, directions, grads):
            step = u * problem.eps
            hi = _values(problem.func, _replaced(problem.inputs, at, _shifted(x, step)), problem.nrs)[k]
            lo = _values(problem.func, _replaced(problem.inputs, at, _shifted(x, -step)), problem.nrs)[k]
            n = ((hi - lo) / (2 * problem.eps) * v).sum().to(x.dtype)
            a = x.new_zeros(()) if g is None else (g * u).sum()
            if not rushlight.allclose(a, n, rtol, atol * _scale(u, v)):
                slow_n, slow_a = _numerical(problem, at)[k], _analytical(problem, out)[problem.active.index(at)]
                gap = (slow_n - slow_a).abs().max().item() if slow_n.numel() else 0.0
                raise GradcheckError(
                    _mismatch(nr, at, n.item(), a.item())
                    + "\nThe above quantities relating the numerical and analytical jacobians are computed in fast mode. Below, they "
                    f"are recomputed in slow mode:\n\nNumerical:\n {slow_n}\nAnalytical:\n{slow_a}\n\nThe max per-element difference "
                    f"(slow mode) is: {gap}.\n"
                )


def _scale(u, v):
    """How far an error of 1 in every element of a Jacobian reaches along the two directions."""
    return max(u.sum().item() * v.sum().item(), 1e-12)


def _check_reentrant(problem, tol):
    for out in problem.outputs:
        cot = _unit(out)
        for a, b in zip(problem.vjp((out,), (cot,)), problem.vjp((out,), (cot,))):
            if a is not None and a.numel() and (a - b).abs().max().item() > tol:
                raise GradcheckError(
                    "Backward is not reentrant, i.e., running backward with same input and grad_output multiple times gives different "
                    "values, although analytical gradient matches numerical gradient."
                    f"The tolerance for nondeterminism was {tol}."
                )


def _check_zero_cotangents(problem):
    zeros = tuple(o.new_zeros(o.shape) for o in problem.outputs)
    for g, x in zip(problem.vjp(problem.outputs, zeros), problem.xs):
        if g is None:
            continue
        if g.ne(0).any().item():
            raise GradcheckError("backward not multiplied by grad_output")
        if g.dtype is not x.dtype:
            raise GradcheckError(f"grad is incorrect type: expected {x.dtype}, got {g.dtype}")
        if g.shape != x.shape:
            raise GradcheckError("grad is incorrect size")


def _check_undefined(problem):
    """An output that nobody used must count as one with a zero gradient."""
    import rushlight

    cotangents = [_unit(o) for o in problem.outputs]
    for k in range(len(problem.outputs)):
        rest = [(o, c) for j, (o, c) in enumerate(zip(problem.outputs, cotangents)) if j != k]
        outs, cots = zip(*rest)
        zeroed = [c if j != k else c.new_zeros(c.shape) for j, c in enumerate(cotangents)]
        for a, b in zip(problem.vjp(outs, cots), problem.vjp(problem.outputs, tuple(zeroed))):
            a = b.new_zeros(b.shape) if a is None and b is not None else a
            b = a.new_zeros(a.shape) if b is None and a is not None else b
            if a is not None and not rushlight.allclose(a, b):
                raise GradcheckError(
                    f"Expected backward function to handle undefined output grads: without a gradient for output {problem.nrs[k]} it "
                    "gives something else than with zeros"
                )


def _check_dtypes(problem):
    for out in problem.outputs:
        for at, x, g in zip(problem.active, problem.xs, problem.vjp((out,), (_unit(out),))):
            if g is not None and g.dtype is not x.dtype:
                raise GradcheckError(f"Input {at} has dtype {x.dtype}, but its gradient has dtype {g.dtype}")


def _check_batched(problem):
    import rushlight

    from . import grad

    for out in problem.outputs:
        cots = [_unit(out) for _ in range(2)]
        batch = grad(out, problem.xs, rushlight.stack(cots), retain_graph=True, allow_unused=True, is_grads_batched=True)
        single = [problem.vjp((out,), (c,)) for c in cots]
        for b, *rows in zip(batch, *single):
            if b is not None and not rushlight.allclose(b, rushlight.stack(rows)):
                raise GradcheckError("For a batch of gradients, backward gives something else than one by one")
