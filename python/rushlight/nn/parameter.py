"""Tensors that modules own: parameters, buffers, and those whose shape is not yet known."""

from collections import OrderedDict

import rushlight
from rushlight import Tensor

__all__ = ["Parameter", "Buffer", "UninitializedParameter", "UninitializedBuffer", "is_lazy"]


class _Marked(type(Tensor)):
    """Lets `isinstance(x, Parameter)` hold for tensors of other subclasses that were made parameters."""

    def __instancecheck__(cls, instance):
        if super().__instancecheck__(instance):
            return True
        mark = cls.__dict__.get("_mark")
        return mark is not None and isinstance(instance, Tensor) and getattr(instance, mark, False)


class Parameter(Tensor, metaclass=_Marked):
    """A tensor that a module it is assigned to lists among its parameters.

    `data` is shared, not copied. A tensor of a subclass keeps its class and is only marked.
    """

    _mark = "_is_param"

    def __new__(cls, data=None, requires_grad=True):
        if data is None:
            data = rushlight.empty(0)
        if type(data) is Tensor or isinstance(data, Parameter) and type(data) in (Parameter, cls):
            return Tensor.__new__(cls, data.detach()).requires_grad_(requires_grad)
        marked = Tensor.__new__(type(data), data.detach()).requires_grad_(requires_grad)
        marked._is_param = True
        return marked

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.data.clone(), self.requires_grad)
        return memo[id(self)]

    def __repr__(self):
        return "Parameter containing:\n" + super().__repr__()

    def __reduce_ex__(self, protocol):
        state = self.__dict__
        if state:
            return _rebuild_parameter_with_state, (self.data, self.requires_grad, OrderedDict(), state)
        return _rebuild_parameter, (self.data, self.requires_grad, OrderedDict())


def _rebuild_parameter(data, requires_grad, backward_hooks):
    param = Parameter(data, requires_grad)
    if backward_hooks:
        param._backward_hooks = backward_hooks
    return param


def _rebuild_parameter_with_state(data, requires_grad, backward_hooks, state):
    param = _rebuild_parameter(data, requires_grad, backward_hooks)
    param.__dict__.update(state)
    return param


class Buffer(Tensor, metaclass=_Marked):
    """A tensor that a module it is assigned to lists among its buffers.

    The result is `data` detached, of the same class, with the marks `persistent` and `_is_buffer`.
    """

    _mark = "_is_buffer"

    def __new__(cls, data=None, *, persistent=True):
        if data is None:
            data = rushlight.empty(0)
        buffer = data.detach().requires_grad_(data.requires_grad)
        buffer.persistent = persistent
        buffer._is_buffer = True
        return buffer


_UNKNOWN_SHAPE = (
    "Can't access the shape of an uninitialized parameter or buffer. "
    "This error usually happens in `load_state_dict` when trying to load an uninitialized parameter into an "
    "initialized one. Call `forward` to initialize the parameters before accessing their attributes."
)


class _Uninitialized:
    """What both kinds of tensors without a shape share."""

    def materialize(self, shape, device=None, dtype=None):
        """Gives the tensor memory of `shape` and the class that it stands for."""
        self.data = rushlight.empty(shape, device=device or self.data.device, dtype=dtype or self.data.dtype)
        self.__class__ = self.cls_to_become

    @property
    def shape(self):
        raise RuntimeError(_UNKNOWN_SHAPE)

    def size(self, *args):
        raise RuntimeError(_UNKNOWN_SHAPE)

    def share_memory_(self):
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. "
            "Call `forward` to initialize the parameters before calling `module.share_memory()`."
        )

    def __repr__(self):
        return f"<{type(self).__name__}>"


class UninitializedParameter(_Uninitialized, Parameter):
    """A parameter whose shape the first call of its module decides; see `LazyLinear`."""

    cls_to_become = Parameter

    def __new__(cls, requires_grad=True, device=None, dtype=None):
        data = rushlight.empty(0, device=device, dtype=dtype)
        return Tensor.__new__(cls, data).requires_grad_(requires_grad)

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.requires_grad, self.data.device, self.data.dtype)
        return memo[id(self)]

    def __reduce_ex__(self, protocol):
        return UninitializedParameter, (self.requires_grad, None, self.data.dtype)


class _MaterializedBuffer(Tensor):
    """What an uninitialized buffer becomes; a static type such as `Tensor` cannot take over an instance."""


class UninitializedBuffer(_Uninitialized, Tensor):
    """A buffer whose shape the first call of its module decides; see `LazyBatchNorm1d`."""

    cls_to_become = _MaterializedBuffer

    def __new__(cls, requires_grad=False, device=None, dtype=None, persistent=True):
        data = rushlight.empty(0, device=device, dtype=dtype)
        buffer = Tensor.__new__(cls, data).requires_grad_(requires_grad)
        buffer.persistent = persistent
        buffer._is_buffer = True
        return buffer

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.requires_grad, self.data.device, self.data.dtype, self.persistent)
        return memo[id(self)]

    def __reduce_ex__(self, protocol):
        return UninitializedBuffer, (self.requires_grad, None, self.data.dtype, self.persistent)


def is_lazy(param):
    """Returns whether `param` still waits for its shape."""
    return isinstance(param, _Uninitialized)
