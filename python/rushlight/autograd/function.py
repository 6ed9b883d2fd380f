"""Custom functions: an op with a derivative written in Python.

Source: <https://docs.pytorch.org/docs/stable/notes/extending.html>
"""

from functools import wraps

from rushlight import _C, Tensor

from .grad_mode import no_grad

_FREED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have already been freed). "
    "Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify retain_graph=True if "
    "you need to backward through the graph a second time or if you need to access saved tensors after calling backward."
)


class FunctionCtx:
    """What a custom function keeps between its forward and its backward; attributes of your own may be set on it."""

    needs_input_grad = ()
    materialize_grads = True
    to_save = ()
    dirty_tensors = ()
    non_differentiable = ()
    _saved = ()

    def save_for_backward(self, *tensors):
        """In forward: keeps tensors (or None) for `saved_tensors`; an in-place write to them in between is noticed."""
        for i, t in enumerate(tensors):
            if t is not None and not isinstance(t, Tensor):
                raise TypeError(f"save_for_backward can only save variables, but argument {i} is of type {type(t).__name__}")
        self.to_save = tensors

    def save_for_forward(self, *tensors):
        """In forward: keeps tensors for a `jvp` method as `saved_for_forward`."""
        for i, t in enumerate(tensors):
            if t is not None and not isinstance(t, Tensor):
                raise TypeError(f"save_for_forward can only save variables, but argument {i} is of type {type(t).__name__}")
        self.saved_for_forward = tensors

    def mark_dirty(self, *tensors):
        """In forward: names the inputs that were written in place; each must also be returned."""
        self.dirty_tensors = _checked("mark_dirty", tensors)

    def mark_non_differentiable(self, *tensors):
        """In forward: names the outputs that never require a gradient."""
        self.non_differentiable = _checked("mark_non_differentiable", tensors)

    def set_materialize_grads(self, value):
        """In forward: whether backward gets zeros (the default) or None for outputs that nobody used."""
        self.materialize_grads = bool(value)

    @property
    def saved_tensors(self):
        """In backward: what was kept by `save_for_backward`."""
        if self._saved is None:
            raise RuntimeError(_FREED)
        return self._saved

    def name(self):
        return type(self).__name__


def _checked(what, tensors):
    for i, t in enumerate(tensors):
        if not isinstance(t, Tensor):
            raise RuntimeError(f"{what} can only accept variables, but argument {i} is of type {type(t).__name__}")
    return tensors


class BackwardCFunction(FunctionCtx):
    """The base of each function's own context class, `NameBackward`."""


class FunctionMeta(type):
    """Gives each function its context class."""

    def __init__(cls, name, bases, attrs):
        super().__init__(name, bases, attrs)
        cls._backward_cls = type(name + "Backward", (BackwardCFunction,), {"_forward_cls": cls})


class Function(metaclass=FunctionMeta):
    """A function with its own derivative: subclass it, write `forward` and `backward`, and call `apply`.

    `forward(ctx, *args)` may instead be `forward(*args)` with `setup_context(ctx, inputs, output)`. `backward(ctx, *grads)` gets one
    gradient per output and returns one per argument, None where there is none to give. Made of ops, it can be differentiated again.
    """

    generate_vmap_rule = False

    def __init__(self, *args, **kwargs):
        import warnings

        warnings.warn(
            f"{type(self)} should not be instantiated. Methods on autograd functions are all static, so you should invoke them on "
            "the class itself. Instantiating an autograd function will raise an error in a future version of PyTorch.",
            DeprecationWarning,
            stacklevel=2,
        )

    def __call__(self, *args, **kwargs):
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use new-style autograd function with "
            "static forward method. (Example: https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)"
        )

    @staticmethod
    def forward(*args, **kwargs):
        """Computes the outputs; nothing in it is recorded."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx, inputs, output):
        """Keeps what backward needs, where `forward` takes no ctx."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx, *grad_outputs):
        """From the gradients of the outputs to those of the arguments."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with backward mode AD."
        )

    vjp = backward

    @staticmethod
    def jvp(ctx, *grad_inputs):
        """From the tangents of the arguments to those of the outputs. Accepted, but not used: see `func.jvp`."""
        raise NotImplementedError("You must implement the jvp function for custom autograd.Function to use it with forward mode AD.")

    @staticmethod
    def vmap(info, in_dims, *args):
        """A batching rule. Accepted, but not needed: see `func.vmap`."""
        raise NotImplementedError("To use autograd.Function with vmap, you must either override the vmap staticmethod or set generate_vmap_rule=True.")

    @classmethod
    def apply(cls, *args, **kwargs):
        """Runs `forward` and records the function."""
        separate = cls.setup_context is not Function.setup_context
        if kwargs or separate:
            args = _bind(cls.forward, separate, args, kwargs)
        ctx = cls._backward_cls()
        ctx.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        recorded = _C.is_grad_enabled() and any(ctx.needs_input_grad)
        with no_grad():
            if separate:
                result = cls.forward(*args)
                cls.setup_context(ctx, args, result)
            else:
                result = cls.forward(ctx, *args)
            outputs = _own_outputs(ctx, args, result if isinstance(result, tuple) else (result,))
        if recorded:
            outputs = _record(cls, ctx, args, outputs)
        return outputs if isinstance(result, tuple) else outputs[0]


def _bind(forward, separate, args, kwargs):
    """Positional arguments, with keywords and defaults put in their places."""
    import inspect

    if separate:
        bound = inspect.signature(forward).bind(*args, **kwargs)
        bound.apply_defaults()
        return bound.args
    bound = inspect.signature(forward).bind(None, *args, **kwargs)
    bound.apply_defaults()
    return bound.args[1:]


def _is_in(t, tensors):
    return any(t is other for other in tensors)


def _own_outputs(ctx, args, outputs):
    """An input that is returned unchanged becomes an alias, so that the graph can tell input and output apart."""
    for dirty in ctx.dirty_tensors:
        if not _is_in(dirty, outputs):
            raise RuntimeError(
                "Some elements marked as dirty during the forward method were not returned as output. The inputs that are modified "
                "inplace must all be outputs of the Function."
            )
    inputs = [a for a in args if isinstance(a, Tensor)]
    own = []
    for out in outputs:
        if isinstance(out, Tensor) and (_is_in(out, own) or _is_in(out, inputs) and not _is_in(out, ctx.dirty_tensors)):
            alias = out.detach()
            ctx.to_save = tuple(alias if t is out and not _is_in(t, inputs) else t for t in ctx.to_save)
            ctx.non_differentiable = tuple(alias if t is out else t for t in ctx.non_differentiable)
            out = alias
        own.append(out)
    return tuple(own)


def _record(cls, ctx, args, outputs):
    """Gives the outputs one node over the tensor arguments."""
    for t in ctx.dirty_tensors:
        if t.is_leaf and t.requires_grad:
            raise RuntimeError("a leaf Variable that requires grad has been used in an in-place operation.")
    at = tuple(i for i, out in enumerate(outputs) if isinstance(out, Tensor))
    results = tuple(outputs[i] for i in at)
    differentiable = tuple(r.dtype.is_floating_point and not _is_in(r, ctx.non_differentiable) for r in results)
    if not any(differentiable):
        return outputs
    inputs = tuple(a for a in args if isinstance(a, Tensor))
    backward = _Backward(cls, ctx, args, outputs, at)
    # The context must not own the outputs, which own the node, which owns the context.
    to_save, ctx.to_save = ctx.to_save, ()
    dirty, ctx.dirty_tensors, ctx.non_differentiable = ctx.dirty_tensors, (), ()
    ctx._saved = None
    name = cls.__name__ + "Backward"
    recorded = _C._record_function(name, inputs, results, differentiable, tuple(dirty), tuple(to_save), backward)
    if recorded is None:
        return outputs
    merged = list(outputs)
    for i, r in zip(at, recorded):
        merged[i] = r
    return tuple(merged)


class _Backward:
    """The node's derivative: calls the user's `backward` with its context, and checks what it returns."""

    __slots__ = ("fn", "name", "ctx", "shapes", "out_meta", "out_at", "n_out")

    def __init__(self, cls, ctx, args, outputs, out_at):
        has_vjp = cls.vjp is not Function.vjp
        if has_vjp and cls.backward is not Function.backward:
            raise RuntimeError(
                "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. You should only implement one of them."
            )
        self.fn = cls.vjp if has_vjp else cls.backward
        self.name = cls.__name__ + "Backward"
        self.ctx = ctx
        self.shapes = tuple(tuple(a.shape) if isinstance(a, Tensor) else None for a in args)
        self.out_meta = tuple((outputs[i].shape, outputs[i].dtype, outputs[i].device) for i in out_at)
        self.out_at = out_at
        self.n_out = len(outputs)

    def __call__(self, saved, grads, needs):
        ctx = self.ctx
        full = [None] * self.n_out
        for i, grad, meta in zip(self.out_at, grads, self.out_meta):
            if grad is None and ctx.materialize_grads:
                shape, dtype, device = meta
                grad = _C.functions["zeros"](shape, dtype=dtype, device=device)
            full[i] = grad
        wanted = iter(needs)
        ctx.needs_input_grad = tuple(shape is not None and next(wanted) for shape in self.shapes)
        before, ctx._saved = ctx._saved, tuple(saved)
        try:
            result = self.fn(ctx, *full)
        finally:
            ctx._saved = before
        return self.checked(result if isinstance(result, tuple) else (result,), ctx.needs_input_grad)

    def checked(self, result, needed):
        """One gradient or None per tensor argument."""
        n = len(self.shapes)
        if len(result) != n and (len(result) < n or any(g is not None for g in result[n:])):
            raise RuntimeError(
                f"function {self.name} returned an incorrect number of gradients (expected {n}, got {len(result)})"
            )
        grads = []
        for i, (grad, shape, need) in enumerate(zip(result, self.shapes, needed)):
            if grad is not None and not isinstance(grad, Tensor) and (shape is None or need):
                raise RuntimeError(f"expected Variable or None (got {type(grad).__name__})")
            if shape is None:
                if grad is not None:
                    raise RuntimeError(
                        f"function {self.name} returned a gradient different than None at position {i + 1}, but the corresponding "
                        "forward input was not a Variable"
                    )
                continue
            if need and grad is not None and not _expands_to(shape, tuple(grad.shape)):
                raise RuntimeError(
                    f"Function {self.name} returned an invalid gradient at index {len(grads)} - got {list(grad.shape)} but expected "
                    f"shape compatible with {list(shape)}"
                )
            grads.append(grad if need else None)
        return tuple(grads)


def _expands_to(shape, target):
    """Whether `shape` broadcasts to `target`, so that a gradient of the latter sums to the former."""
    if shape == target:
        return True
    if len(shape) > len(target):
        return False
    return all(a in (1, b) for a, b in zip(reversed(shape), reversed(target)))


def once_differentiable(fn):
    """For a `backward` that is not made of ops: differentiating through it is an error, not a wrong result."""

    @wraps(fn)
    def wrapper(ctx, *args):
        with no_grad():
            grads = fn(ctx, *args)
        if not _C.is_grad_enabled() or not any(isinstance(a, Tensor) and a.requires_grad for a in args):
            return grads
        anchor = [a for a in args if isinstance(a, Tensor) and a.requires_grad]
        many = isinstance(grads, tuple)
        marked = _DelayedError.apply(len(anchor), *anchor, *(grads if many else (grads,)))
        return marked if many else marked[0]

    return wrapper


class _DelayedError(Function):
    """Passes the gradients on, tied to the tensors that they were made of by an error."""

    @staticmethod
    def forward(ctx, n, *tensors):
        return tensors[n:]

    @staticmethod
    def backward(ctx, *grads):
        raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")
