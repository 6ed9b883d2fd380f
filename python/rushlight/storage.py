"""The memory behind tensors, seen as a whole: `UntypedStorage` (bytes) and `TypedStorage` (elements of one dtype).

Every storage here is a handle on a flat tensor that covers the memory from its first byte, so that writing through a storage is
seen by all tensors that share it.
"""

import rushlight

__all__ = ["UntypedStorage", "TypedStorage", "STORAGE_TYPES"]


class _Storage:
    """What both kinds share: a flat tensor `_tensor`, and the ways of a sequence on it."""

    __slots__ = ("_tensor", "__weakref__")
    _serial_dtype = None

    @classmethod
    def _over(cls, flat):
        """A storage over the memory of a flat tensor, without copying."""
        storage = object.__new__(cls)
        storage._tensor = flat
        return storage

    @classmethod
    def _of(cls, tensor):
        """The storage that `tensor` shares with its views."""
        return cls._over(cls._elements(tensor.detach()._storage_tensor()))

    @staticmethod
    def _elements(flat):
        return flat

    def _bytes(self):
        """The bytes, seen where they are."""
        return memoryview(_as_dtype(self._tensor, rushlight.uint8)) if len(self) else b""

    @property
    def device(self):
        return self._tensor.device

    @property
    def is_cuda(self):
        return False

    def element_size(self):
        return self._tensor.element_size()

    def size(self):
        return len(self)

    def nbytes(self):
        return self._tensor.numel() * self._tensor.element_size()

    def data_ptr(self):
        return self._tensor.data_ptr()

    def __len__(self):
        return self._tensor.numel()

    def __iter__(self):
        return iter(self.tolist())

    def __getitem__(self, index):
        """An element, or a storage over a slice (of step 1) of the same memory."""
        if isinstance(index, slice):
            return type(self)._over(self._tensor[index])
        return self._tensor[index].item()

    def __setitem__(self, index, value):
        self._tensor[index] = value

    def tolist(self):
        return self._tensor.tolist()

    def fill_(self, value):
        self._tensor.fill_(value)
        return self

    def copy_(self, source, non_blocking=None):
        self._tensor.copy_(source._tensor)
        return self

    def clone(self):
        return type(self)._over(self._tensor.clone())

    def cpu(self):
        return self

    def is_shared(self):
        return False

    def is_pinned(self, device=None):
        return False

    def cuda(self, device=None, non_blocking=False):
        raise RuntimeError("Rushlight has no CUDA device: storages lie in main memory")

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            memo[id(self)] = self.clone()
        return memo[id(self)]

    def __reduce__(self):
        return _rebuild_storage, (type(self), bytes(self._bytes()), self._tensor.dtype)

    def _describe(self, what):
        return "".join(f" {v}\n" for v in self.tolist()) + f"[{what} of size {len(self)}]"


class UntypedStorage(_Storage):
    """Memory as bytes: `UntypedStorage(nbytes)` is fresh and zeroed, `UntypedStorage([1, 2])` holds those bytes."""

    __slots__ = ()
    dtype = rushlight.uint8

    def __init__(self, data=0, *, device=None):
        self._tensor = _new(data, rushlight.uint8, device)

    @staticmethod
    def _elements(flat):
        return _as_dtype(flat, rushlight.uint8)

    def type(self):
        return "torch.UntypedStorage"

    def untyped(self):
        return self

    def __repr__(self):
        return self._describe(f"torch.storage.UntypedStorage(device={self.device})")


class TypedStorage(_Storage):
    """Memory as elements: `TypedStorage(n, dtype=...)`, `TypedStorage(values, dtype=...)` or `TypedStorage(wrap_storage=untyped, dtype=...)`."""

    __slots__ = ()
    dtype = property(lambda self: self._tensor.dtype)

    def __init__(self, data=0, *, wrap_storage=None, dtype=None, device=None):
        dtype = dtype or self._serial_dtype or rushlight.get_default_dtype()
        self._tensor = _new(data, dtype, device) if wrap_storage is None else _as_dtype(wrap_storage._tensor, dtype)

    def untyped(self):
        return UntypedStorage._over(_as_dtype(self._tensor, rushlight.uint8))

    _untyped_storage = property(untyped)

    def type(self):
        return "torch." + storage_type(self.dtype).__name__

    pickle_storage_type = type

    def __repr__(self):
        return self._describe(f"torch.storage.TypedStorage(dtype={self.dtype}, device={self.device})")


def _new(data, dtype, device):
    if isinstance(data, int):
        return rushlight.zeros(data, dtype=dtype, device=device)
    return rushlight.tensor(list(data), dtype=dtype, device=device)


def _as_dtype(flat, dtype):
    """The same bytes as elements of `dtype`; bytes at the end that make no whole element are left out."""
    if flat.dtype == dtype:
        return flat
    size = rushlight.empty(0, dtype=dtype).element_size()
    flat = flat.view(rushlight.uint8)
    return flat[: flat.numel() // size * size].view(dtype)


def _rebuild_storage(cls, data, dtype):
    return cls._over(_tensor_of_bytes(data, dtype))


def _tensor_of_bytes(data, dtype):
    """A flat tensor over `data`: without a copy if it can be written to, and every byte is an element as it stands."""
    if len(data) == 0:
        return rushlight.empty(0, dtype=dtype)
    return rushlight.frombuffer(data, dtype=dtype)


def _read_tensor(read_into, numel, dtype, swap=False):
    """A fresh flat tensor whose bytes `read_into(buffer)` writes; with `swap`, the bytes of each element are in the other order."""
    if numel == 0:
        return rushlight.empty(0, dtype=dtype)
    is_bool = dtype == rushlight.bool  # whose bytes may be anything in a file, but not in a tensor
    flat = rushlight.empty(numel, dtype=rushlight.uint8 if is_bool else dtype)
    size = flat.element_size()
    raw = flat.view(rushlight.uint8)
    read_into(memoryview(raw))
    if swap and size > 1:
        raw.copy_(raw.view(numel, size).flip(1).reshape(-1))
    return flat.ne(0) if is_bool else flat


def _storage_class(name, dtype):
    doc = f"`TypedStorage` of {dtype}; the name that checkpoints know it by."
    return type(name, (TypedStorage,), {"__slots__": (), "__doc__": doc, "_serial_dtype": dtype})


# The names by which checkpoints know dtypes.
STORAGE_TYPES = {
    name: _storage_class(name, getattr(rushlight, dtype))
    for name, dtype in {
        "BoolStorage": "bool",
        "ByteStorage": "uint8",
        "CharStorage": "int8",
        "ShortStorage": "int16",
        "IntStorage": "int32",
        "LongStorage": "int64",
        "HalfStorage": "float16",
        "BFloat16Storage": "bfloat16",
        "FloatStorage": "float32",
        "DoubleStorage": "float64",
    }.items()
}
globals().update(STORAGE_TYPES)
_BY_DTYPE = {cls._serial_dtype: cls for cls in STORAGE_TYPES.values()}


def storage_type(dtype):
    """The class (`FloatStorage` and so on) that stands for `dtype` in a checkpoint."""
    return _BY_DTYPE[dtype]
