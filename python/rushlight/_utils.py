"""How tensors are taken apart and put together again: the functions that pickles of tensors name.

The rebuilding ones trust none of their arguments, for a restricted load calls them with whatever a file says.
"""

from collections import OrderedDict

import rushlight
from rushlight import Tensor

# Elements of one tensor, whatever its strides, for which no arithmetic on sizes overflows.
_MAX_NUMEL = 2**48


def _reduce_tensor(tensor, protocol=2):
    """`Tensor.__reduce_ex__`: how to rebuild `tensor`, in PyTorch's terms (storage, offset, size, stride)."""
    from .storage import TypedStorage

    state = _state(tensor)
    hooks = OrderedDict()
    parameter = _parameter_class()
    if type(tensor) is parameter:
        args = (tensor.data, tensor.requires_grad, hooks)
        return (_rebuild_parameter_with_state, (*args, state)) if state else (_rebuild_parameter, args)
    args = (
        TypedStorage._of(tensor),
        tensor.storage_offset(),
        tuple(tensor.size()),
        tuple(tensor.stride()),
        tensor.requires_grad,
        hooks,
    )
    if type(tensor) is Tensor and not state:
        return _rebuild_tensor_v2, args
    return _rebuild_from_type_v2, (_rebuild_tensor_v2, type(tensor), args, state)


def _parameter_class():
    from .nn.parameter import Parameter

    return Parameter


def _state(obj):
    """The attributes that Python code has given to a tensor: a dict, or None."""
    return dict(vars(obj)) or None if hasattr(obj, "__dict__") else None


def _set_state(obj, state):
    """Gives `obj` the attributes in `state`, none of which may hide one of its class."""
    if state is None:
        return obj
    if isinstance(state, tuple) and len(state) == 2 and state[1] is None:
        state = state[0] or {}
    if not isinstance(state, dict):
        raise TypeError(f"a tensor's state should be a dict, not {type(state).__name__}")
    for name, value in state.items():
        if type(name) is not str or hasattr(type(obj), name):
            raise ValueError(f"a tensor's state cannot set {name!r}")
        setattr(obj, name, value)
    return obj


def _whole(number):
    return type(number) is int and number >= 0


def _rebuild_tensor(storage, storage_offset, size, stride):
    """The tensor that looks at `storage` (a `TypedStorage`) through sizes, strides and offset, all counted in elements."""
    from .storage import TypedStorage

    if not isinstance(storage, TypedStorage):
        raise TypeError(f"a tensor is rebuilt from a typed storage, not from {type(storage).__name__}")
    whole = _whole(storage_offset) and isinstance(size, tuple) and isinstance(stride, tuple)
    if not (whole and len(size) == len(stride) and all(map(_whole, size)) and all(map(_whole, stride))):
        raise ValueError("a tensor's offset, sizes and strides should be whole numbers, as many strides as sizes")
    numel, last = 1, storage_offset
    for n, step in zip(size, stride):
        numel *= n
        last += (n - 1) * step
    if numel and last >= len(storage):
        raise RuntimeError(
            f"a tensor of sizes {list(size)}, strides {list(stride)} and offset {storage_offset} "
            f"reaches outside its storage of {len(storage)} elements"
        )
    if max((numel, *size, *stride)) > _MAX_NUMEL:
        raise RuntimeError(f"a tensor of sizes {list(size)} and strides {list(stride)} is larger than memory can be")
    if not numel:
        # Nothing is looked at, so the place does not matter; it may lie behind the end.
        storage_offset = min(storage_offset, len(storage))
    return storage._tensor.as_strided(size, stride, storage_offset).detach()


def _rebuild_tensor_v2(storage, storage_offset, size, stride, requires_grad, backward_hooks, metadata=None):
    """`_rebuild_tensor`, as a leaf that may require grad. Hooks are not saved, so there are none to restore."""
    if metadata:
        raise NotImplementedError(f"tensors with metadata {metadata!r} (conjugate or negative views) are not supported")
    tensor = _rebuild_tensor(storage, storage_offset, size, stride)
    return tensor.requires_grad_() if requires_grad is True else tensor


def _rebuild_tensor_v3(storage, storage_offset, size, stride, requires_grad, backward_hooks, dtype, metadata=None):
    """`_rebuild_tensor_v2` from bytes, as elements of `dtype`."""
    from .storage import TypedStorage

    if not isinstance(dtype, rushlight.dtype):
        raise TypeError(f"dtype should be a dtype, not {type(dtype).__name__}")
    typed = TypedStorage(wrap_storage=storage, dtype=dtype)
    return _rebuild_tensor_v2(typed, storage_offset, size, stride, requires_grad, backward_hooks, metadata)


def _rebuild_parameter(data, requires_grad, backward_hooks):
    if not isinstance(data, Tensor):
        raise TypeError(f"a parameter is rebuilt from a tensor, not from {type(data).__name__}")
    return _parameter_class()(data, requires_grad is True)


def _rebuild_parameter_with_state(data, requires_grad, backward_hooks, state):
    return _set_state(_rebuild_parameter(data, requires_grad, backward_hooks), state)


def _rebuild_from_type_v2(func, new_type, args, state):
    """What `func(*args)` rebuilds, as the subclass `new_type`, with the attributes in `state`."""
    tensor = func(*args)
    if type(tensor) is not new_type:
        tensor = Tensor.__new__(new_type, tensor).requires_grad_(tensor.requires_grad)
    if "__setstate__" in vars(new_type):
        tensor.__setstate__(state)
        return tensor
    return _set_state(tensor, state)
