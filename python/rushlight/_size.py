"""`torch.Size`, `torch.return_types`, layouts and memory formats: small values that are no tensors."""

from . import _C


class Size(tuple):
    """The sizes of a tensor: a tuple of integers."""

    __slots__ = ()

    def __new__(cls, sizes=()):
        self = tuple.__new__(cls, sizes)
        for i, n in enumerate(self):
            if type(n) is not int:
                return cls._converted(self, i)
        return self

    @classmethod
    def _converted(cls, sizes, at):
        try:
            return tuple.__new__(cls, [n.__index__() for n in sizes])
        except AttributeError:
            name = type(sizes[at]).__name__
            raise TypeError(f"torch.Size() takes an iterable of 'int' (item {at} is '{name}')") from None

    def numel(self):
        """Number of elements of a tensor of this size."""
        product = 1
        for n in self:
            product *= n
        return product

    def __repr__(self):
        return f"torch.Size([{', '.join(map(str, self))}])"

    __str__ = __repr__

    def __getitem__(self, key):
        item = tuple.__getitem__(self, key)
        return tuple.__new__(Size, item) if isinstance(key, slice) else item

    def __add__(self, other):
        return tuple.__new__(Size, tuple.__add__(self, tuple(other))) if isinstance(other, (tuple, list)) else NotImplemented

    def __radd__(self, other):
        return tuple.__new__(Size, tuple(other) + tuple(self))

    def __mul__(self, times):
        return tuple.__new__(Size, tuple.__mul__(self, times))

    __rmul__ = __mul__

    def __reduce__(self):
        return (Size, (tuple(self),))


class _Named:
    """A value that is known by its name."""

    def __init__(self, name):
        self._name = name

    def __repr__(self):
        return f"torch.{self._name}"

    def __reduce__(self):
        return self._name


class layout(_Named):
    """How elements lie in memory. Every tensor here is `strided`."""


class memory_format(_Named):
    """In which order dimensions lie in memory: a hint, which changes no value."""


strided = layout("strided")
sparse_coo = layout("sparse_coo")
contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")


class _Results(tuple):
    """Several results of an op, by position and by name."""

    __slots__ = ()
    _fields = ()

    def __repr__(self):
        fields = ",\n".join(f"{name}={value!r}" for name, value in zip(self._fields, self))
        return f"torch.return_types.{type(self).__name__}(\n{fields})"

    def __reduce__(self):
        return (tuple, (tuple(self),))


def _return_type(name, fields):
    def field(i):
        return property(lambda self: self[i])

    names = {f: field(i) for i, f in enumerate(fields)}
    kind = type(name, (_Results,), {"__slots__": (), "_fields": tuple(fields), "__module__": "rushlight.return_types", **names})
    setattr(return_types, name, kind)
    return kind


class return_types:
    """The classes of named results, each made at its op's first call."""


_C._set_size_class(Size)
_C._set_return_type_factory(_return_type)
