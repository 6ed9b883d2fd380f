"""Grad modes as context managers and decorators: `no_grad`, `enable_grad`, `set_grad_enabled`, `inference_mode`.

Source: <https://docs.pytorch.org/docs/stable/generated/torch.autograd.grad_mode.no_grad.html>
"""

from functools import wraps

from rushlight import _C

_GENERATOR = 0x20  # CO_GENERATOR, without importing inspect


class _Mode:
    """A context manager that also decorates functions, generator functions and (as PyTorch warns) classes.

    A decorated function enters a fresh `clone()` for every call, so that one object serves recursive and concurrent calls.
    """

    def clone(self):
        return type(self)()

    def __call__(self, fn):
        if isinstance(fn, type):
            import warnings

            warnings.warn(
                "Decorating classes is deprecated and will be disabled in future versions. You should only decorate functions or "
                "methods. To preserve the current behavior of class decoration, you can directly decorate the `__init__` method "
                "and nothing else.",
                FutureWarning,
                stacklevel=2,
            )
            cls = fn
            fn = lambda *args, **kwargs: cls(*args, **kwargs)  # noqa: E731
        code = getattr(fn, "__code__", None) or getattr(getattr(fn, "__func__", None), "__code__", None)
        if code is not None and code.co_flags & _GENERATOR:
            return _decorate_generator(self.clone, fn)
        clone = self.clone

        @wraps(fn)
        def decorated(*args, **kwargs):
            with clone():
                return fn(*args, **kwargs)

        return decorated


def _decorate_generator(clone, fn):
    """Runs the generator's own code inside the mode, and the consumer's code between two items outside of it."""

    @wraps(fn)
    def decorated(*args, **kwargs):
        with clone():
            gen = fn(*args, **kwargs)
            step, value = gen.send, None
        while True:
            try:
                with clone():
                    item = step(value)
            except StopIteration as stop:
                return stop.value
            try:
                step, value = gen.send, (yield item)
            except GeneratorExit:
                with clone():
                    gen.close()
                raise
            except BaseException as error:
                step, value = gen.throw, error

    return decorated


class _BareMode(_Mode):
    """A mode without arguments, which may therefore decorate without parentheses."""

    def __new__(cls, orig_func=None):
        self = object.__new__(cls)
        return self if orig_func is None else self(orig_func)


class no_grad(_BareMode):
    """Ops are not recorded inside."""

    def __enter__(self):
        self.prev = _C.is_grad_enabled()
        _C._set_grad_enabled(False)

    def __exit__(self, *exc):
        _C._set_grad_enabled(self.prev)


class enable_grad(_BareMode):
    """Ops are recorded inside, also within `no_grad`."""

    def __enter__(self):
        self.prev = _C.is_grad_enabled()
        _C._set_grad_enabled(True)

    def __exit__(self, *exc):
        _C._set_grad_enabled(self.prev)


class set_grad_enabled(_Mode):
    """Recording on or off: at once when called as a function, for a block as a context manager, for calls as a decorator."""

    def __init__(self, mode):
        self.prev = _C.is_grad_enabled()
        self.mode = mode
        _C._set_grad_enabled(mode)

    def __call__(self, fn):
        _C._set_grad_enabled(self.prev)
        return super().__call__(fn)

    def __enter__(self):
        _C._set_grad_enabled(self.mode)

    def __exit__(self, *exc):
        _C._set_grad_enabled(self.prev)

    def clone(self):
        return set_grad_enabled(self.mode)

    def __repr__(self):
        return f"torch.autograd.grad_mode.set_grad_enabled(mode={self.mode})"


class inference_mode(_Mode):
    """As `no_grad`, for tensors that will never enter a recorded computation; `inference_mode(False)` records again."""

    def __new__(cls, mode=True):
        self = object.__new__(cls)
        if isinstance(mode, bool):
            return self
        self.mode = True
        return self(mode)

    def __init__(self, mode=True):
        self.mode = mode

    def __enter__(self):
        self.prev = (_C.is_inference_mode_enabled(), _C.is_grad_enabled())
        _C._set_inference_mode(self.mode)
        _C._set_grad_enabled(not self.mode)

    def __exit__(self, *exc):
        inference, grad = self.prev
        _C._set_inference_mode(inference)
        _C._set_grad_enabled(grad)

    def clone(self):
        return inference_mode(self.mode)


class set_multithreading_enabled(_Mode):
    """Accepts PyTorch's switch for a backward pass on several threads; the walk here is on one thread either way."""

    def __init__(self, mode):
        self.mode = mode

    def __enter__(self):
        return None

    def __exit__(self, *exc):
        return None

    def clone(self):
        return set_multithreading_enabled(self.mode)
