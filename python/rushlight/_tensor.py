"""Methods of `Tensor` that are written in Python: conversions, copies, pickling, backward, and PyTorch's legacy names.

The methods that are ops are installed by the native module; this file adds the rest to the same class.
"""

import warnings

from . import _C
from ._size import Size, strided

Tensor = _C.Tensor
_functions = _C.functions


# The native name has the module in it, which Python's messages would repeat.
Tensor.__name__ = "Tensor"


def _method(function):
    """Installs `function` as a method of Tensor."""
    function.__qualname__ = f"Tensor.{function.__name__}"
    setattr(Tensor, function.__name__, function)
    return function


def _constant(name, value, doc):
    setattr(Tensor, name, property(lambda self: value, doc=doc))


# ---- conversions ----------------------------------------------------------------------------------------------------------------

_to_dtype = _functions["to"]
_copy = _functions["clone"]


@_method
def to(self, *args, **kwargs):
    """Returns the tensor with another dtype: `to(dtype)`, `to(device)`, `to(device, dtype)` or `to(other)`, with `copy=True` always a copy.

    The only device is the CPU. https://docs.pytorch.org/docs/stable/generated/torch.Tensor.to.html
    """
    copy = kwargs.pop("copy", False)
    dtype, device, other = kwargs.pop("dtype", None), kwargs.pop("device", None), kwargs.pop("other", None)
    kwargs.pop("non_blocking", None), kwargs.pop("memory_format", None)
    if kwargs:
        raise TypeError(f"to() got an unexpected keyword argument '{next(iter(kwargs))}'")
    rest = list(args)
    if rest:
        first = rest.pop(0)
        if isinstance(first, Tensor):
            other = first
        elif isinstance(first, _C.dtype) or isinstance(first, type):
            dtype = first
        elif first is None or isinstance(first, (str, _C.device, int)):
            device = first
            if rest and (isinstance(rest[0], (_C.dtype, type)) or rest[0] is None):
                dtype = rest.pop(0)
        else:
            raise TypeError(f"to() received an invalid combination of arguments - got ({type(first).__name__})")
        if rest:
            rest.pop(0)  # non_blocking
        if rest:
            copy = rest.pop(0)
    if device is not None:
        _check_device(device)
    if other is not None:
        dtype = other.dtype
    result = self if dtype is None else _to_dtype(self, dtype)
    return _copy(self) if copy and result is self else result


def _check_device(device):
    if isinstance(device, int):
        device = f"cuda:{device}"
    _functions["empty"]((0,), device=device)


def _cast(name, dtype):
    def cast(self, memory_format=None):
        return _to_dtype(self, dtype)

    cast.__name__, cast.__doc__ = name, f"Returns the tensor as {dtype}."
    _method(cast)


for _name, _dtype in dict(
    float=_C.float32, double=_C.float64, half=_C.float16, bfloat16=_C.bfloat16, int=_C.int32, long=_C.int64, short=_C.int16,
    char=_C.int8, byte=_C.uint8, bool=_C.bool,
).items():  # fmt: skip
    _cast(_name, _dtype)


@_method
def cpu(self, memory_format=None):
    """Returns the tensor itself: it is on the CPU."""
    return self


@_method
def cuda(self, device=None, non_blocking=False, memory_format=None):
    """Raises: there is no CUDA here."""
    _check_device("cuda")


@_method
def type_as(self, other):
    """Returns the tensor in `other`'s dtype."""
    return _to_dtype(self, other.dtype)


_TYPE_NAMES = {
    _C.float32: "FloatTensor", _C.float64: "DoubleTensor", _C.float16: "HalfTensor", _C.bfloat16: "BFloat16Tensor", _C.uint8: "ByteTensor",
    _C.int8: "CharTensor", _C.int16: "ShortTensor", _C.int32: "IntTensor", _C.int64: "LongTensor", _C.bool: "BoolTensor",
}  # fmt: skip
_TYPES = {name: dtype for dtype, name in _TYPE_NAMES.items()}


def _type(self, dtype=None, non_blocking=False, **kwargs):
    """Returns the legacy name of the tensor's type ('torch.FloatTensor'), or the tensor converted to a dtype or to such a name."""
    if dtype is None:
        return f"torch.{_TYPE_NAMES[self.dtype]}"
    if isinstance(dtype, str):
        name = dtype.rpartition(".")[2]
        if ".cuda." in dtype:
            _check_device("cuda")
        if name == "Tensor":
            return _to_dtype(self, _C.get_default_dtype())
        if name not in _TYPES:
            raise ValueError(f"invalid type: '{dtype}'")
        return _to_dtype(self, _TYPES[name])
    if isinstance(dtype, LegacyType):
        return _to_dtype(self, dtype.dtype or _C.get_default_dtype())
    return _to_dtype(self, dtype)


Tensor.type = _type


class LegacyType(type):
    """The class of `FloatTensor` and its like: constructors of one dtype, and classes of all tensors of it."""

    dtype = None

    def __instancecheck__(cls, value):
        return isinstance(value, Tensor) and value.dtype is cls.dtype

    def __call__(cls, *args, **kwargs):
        return Tensor(*args, dtype=cls.dtype, **kwargs)

    def __repr__(cls):
        return f"<class 'torch.{cls.__name__}'>"


def legacy_types():
    """`FloatTensor`, `LongTensor` and the rest, by name."""
    return {name: LegacyType(name, (), {"dtype": dtype, "__module__": "torch"}) for name, dtype in _TYPES.items()}


@_method
def new(self, *args, **kwargs):
    """PyTorch's legacy constructor in this tensor's dtype."""
    return Tensor(*args, dtype=self.dtype, **kwargs)


@_method
def new_tensor(self, data, *, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False):
    """A tensor of `data` in this tensor's dtype, unless another is given."""
    return _C.tensor(data, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


# ---- NumPy and other libraries --------------------------------------------------------------------------------------------------

Tensor.__array_priority__ = 1000


@_method
def numpy(self, *, force=False):
    """The elements as a NumPy array over the same memory; with `force=True` detached first."""
    if self.requires_grad:
        if not force:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        return self.detach().numpy()
    if self.dtype is _C.bfloat16:
        raise TypeError("Got unsupported ScalarType BFloat16")
    try:
        import numpy
    except ImportError:
        raise RuntimeError("Numpy is not available: install NumPy, or use tolist() or memoryview(tensor)") from None
    return numpy.asarray(memoryview(self))


@_method
def __array__(self, dtype=None, copy=None):
    array = self.numpy()
    if dtype is not None and array.dtype != dtype:
        return array.astype(dtype)
    return array.copy() if copy else array


@_method
def __array_wrap__(self, array, context=None, return_scalar=False):
    if array.dtype == bool:
        array = array.astype("uint8")
    return _C.from_numpy(array)


@_method
def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
    """The tensor's memory as a DLPack capsule, not copied unless asked for."""
    assert stream is None, "stream should be None on cpu."
    if dl_device is not None and tuple(dl_device) != (1, 0):
        raise BufferError(f"cannot export to device {dl_device}: the tensor is on the CPU")
    return _C._to_dlpack(self, max_version is not None and max_version[0] >= 1, bool(copy))


@_method
def __dlpack_device__(self):
    """DLPack's name of the CPU."""
    return (1, 0)


# ---- autograd -------------------------------------------------------------------------------------------------------------------

_native_backward = _C._backward


@_method
def backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None):
    """Adds the gradients of this tensor to the `grad` of the leaves it depends on (or of `inputs`).

    `gradient` (a tensor, an array or a number, of this tensor's shape) may be left out for one element.
    https://docs.pytorch.org/docs/stable/generated/torch.Tensor.backward.html
    """
    if gradient is not None and not isinstance(gradient, Tensor):
        gradient = _C.as_tensor(gradient, dtype=self.dtype)
        if gradient.shape != self.shape:
            gradient = gradient.expand(self.shape)
    if inputs is not None:
        inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
        if not inputs:
            raise RuntimeError("'inputs' argument to backward() cannot be empty.")
    _native_backward((self,), (gradient,), create_graph if retain_graph is None else retain_graph, create_graph, inputs)


# ---- copies and pickling --------------------------------------------------------------------------------------------------------


@_method
def __deepcopy__(self, memo):
    if not self.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.  "
            "If you were attempting to deepcopy a module, this may be because of a torch.nn.utils.weight_norm usage, "
            "see https://github.com/pytorch/pytorch/pull/103001"
        )
    if id(self) in memo:
        return memo[id(self)]
    import copy

    new = _deep_copied(self.detach(), memo)
    if type(self) is not Tensor:
        new = Tensor.__new__(type(self), new)  # not the class's own constructor, which may take other arguments
    memo[id(self)] = new
    if self.requires_grad:
        new.requires_grad_()
    elif new.requires_grad:
        new.requires_grad_(False)
    if self.grad is not None:
        new.grad = copy.deepcopy(self.grad, memo)
    for name, value in self.__dict__.items():
        new.__dict__[name] = copy.deepcopy(value, memo)
    return new


def _deep_copied(tensor, memo):
    """The tensor's layout over a copy of the memory that it lies in; tensors that shared memory share its copy."""
    if any(step < 0 for step in tensor.stride()):
        return _copy(tensor)
    memory = tensor._storage_tensor()
    key = ("memory of a tensor", memory.data_ptr(), tensor.dtype)
    if key not in memo:
        memo[key] = memory, _copy(memory)  # the original too, so that its address stays its own
    return memo[key][1].as_strided(tensor.shape, tensor.stride(), tensor.storage_offset()).detach()


@_method
def __reduce_ex__(self, protocol):
    from . import _utils

    return _utils._reduce_tensor(self, protocol)


@_method
def share_memory_(self):
    """Returns the tensor itself: threads share memory anyway, and processes are not served."""
    return self


@_method
def pin_memory(self, device=None):
    """Returns the tensor itself: pinning helps copies to a GPU only."""
    return self


# ---- properties and tests -------------------------------------------------------------------------------------------------------

for _name in "is_cuda is_mps is_xpu is_sparse is_sparse_csr is_quantized is_meta is_mkldnn is_nested is_ipu is_vulkan is_maia is_mtia is_xla is_cpu".split():
    _constant(_name, _name == "is_cpu", "Every tensor here is dense and on the CPU.")
_constant("layout", strided, "Every tensor here is strided.")
setattr(Tensor, "real", property(lambda self: self, doc="The tensor itself: it has no imaginary part."))
setattr(Tensor, "imag", property(lambda self: _no_complex(), doc="Raises: there are no complex tensors."))


def _no_complex():
    raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")


for _name in "is_conj is_neg is_pinned is_shared is_distributed is_coalesced".split():
    setattr(Tensor, _name, (lambda self, device=None: False))


@_method
def as_subclass(self, cls):
    """A tensor of class `cls` over the same memory."""
    return cls.__new__(cls, self)


@_method
def conj(self):
    """Returns the tensor itself: it is real."""
    return self


for _name in ("resolve_conj", "resolve_neg"):
    setattr(Tensor, _name, conj)


@_method
def is_same_size(self, other):
    """Whether both have the same shape."""
    return self.shape == other.shape


@_method
def get_device(self):
    """-1, the number of the CPU."""
    return -1


@_method
def dim_order(self, ambiguity_check=False):
    """The dimensions in the order of falling strides."""
    strides = self.stride()
    return tuple(sorted(range(len(strides)), key=lambda d: -strides[d]))


@_method
def __reversed__(self):
    return self if self.dim() == 0 else self.flip(0)


@_method
def __dir__(self):
    return sorted(set(object.__dir__(self)))


@_method
def is_nonzero(self):
    """Whether the only element is not zero."""
    from ._numbers import is_nonzero

    return is_nonzero(self)


@_method
def fill_diagonal_(self, fill_value, wrap=False):
    """Writes `fill_value` on the main diagonal; with `wrap` again below it in a tall matrix."""
    if self.dim() < 2:
        raise RuntimeError("dimensions must larger than 1")
    if self.dim() > 2 and len(set(self.shape)) > 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    step = sum(self.stride())
    rows, columns = self.shape[0], min(self.shape)
    offset = self.storage_offset()
    self.as_strided((columns,), (step,), offset).fill_(fill_value)
    if wrap and self.dim() == 2 and rows > columns + 1:
        for top in range(columns + 1, rows, columns + 1):
            count = min(columns, rows - top)
            self.as_strided((count,), (step,), offset + top * self.stride(0)).fill_(fill_value)
    return self


# ---- memory ---------------------------------------------------------------------------------------------------------------------


@_method
def set_(self, source=None, storage_offset=0, size=None, stride=None):
    """Makes this tensor share the memory of `source` (a tensor or a storage), with the given layout."""
    if source is None:
        source = _functions["empty"]((0,), dtype=self.dtype)
    elif not isinstance(source, Tensor):
        source = source._tensor if self.dtype is source.dtype else source._tensor.view(self.dtype)
    if size is not None:
        size = tuple(size)
        if stride is None:
            stride, step = [], 1
            for n in reversed(size):
                stride.insert(0, step)
                step *= max(n, 1)
        source = source.detach().as_strided(size, tuple(stride), storage_offset)
    self.data = source
    return self


@_method
def resize_(self, *sizes, memory_format=None):
    """Changes the shape in place; elements keep their place in memory, and new ones are not initialised."""
    shape = tuple(sizes[0]) if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes
    if self.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    count = Size(shape).numel()
    memory = self._storage_tensor()
    if self.storage_offset() + count > memory.numel():
        larger = _functions["empty"]((self.storage_offset() + count,), dtype=self.dtype)
        larger[: memory.numel()] = memory
        memory = larger
    offset = self.storage_offset()
    self.data = memory[offset : offset + count].view(shape)
    return self


@_method
def resize_as_(self, other, memory_format=None):
    """`resize_` to another tensor's shape."""
    return self.resize_(other.shape)


@_method
def apply_(self, function):
    """Replaces each element by `function` of it. Slow: for tests and tables."""
    if self.requires_grad:
        raise RuntimeError("apply_() on a tensor that requires grad: detach it first")
    values = [function(v) for v in self.flatten().tolist()]
    return self.copy_(_C.tensor(values, dtype=self.dtype).view(self.shape))


@_method
def map_(self, other, function):
    """Replaces each element by `function` of it and of `other`'s element."""
    values = [function(a, b) for a, b in zip(self.flatten().tolist(), other.expand_as(self).flatten().tolist())]
    return self.copy_(_C.tensor(values, dtype=self.dtype).view(self.shape))


@_method
def untyped_storage(self):
    """The memory that the tensor lies in, as bytes."""
    from .storage import UntypedStorage

    return UntypedStorage._of(self)


@_method
def storage(self):
    """The memory that the tensor lies in, as elements."""
    from .storage import TypedStorage

    return TypedStorage._of(self)


Tensor._typed_storage = storage


# ---- ops with another signature as methods --------------------------------------------------------------------------------------

_where = _functions["where"]


@_method
def where(self, condition, other):
    """Returns this tensor's elements where `condition` holds, those of `other` elsewhere."""
    return _where(condition, self, other)


def _install(module):
    """Gives Tensor the functions of `module` (`functional.py`) that are methods in PyTorch too."""
    for name in ("nonzero", "tensor_split", "unique", "unique_consecutive", "lu"):
        setattr(Tensor, name, getattr(module, name))


@_method
def threshold(self, threshold, value):
    """Returns the elements above `threshold`, and `value` for the others."""
    return _functions["threshold"](self, threshold, value)


@_method
def dropout(self, p=0.5, training=True, *, seed=None):
    """`nn.functional.dropout` as a method."""
    from .nn.functional import dropout

    return dropout(self, p, training, seed=seed)


Tensor.volatile = property(lambda self: _volatile(), doc="Removed from PyTorch: use no_grad().")


def _volatile():
    warnings.warn("volatile was removed (Variable.volatile is always False)", stacklevel=3)
    return False
