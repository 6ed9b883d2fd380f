"""Reads pickles without running code: the unpickler behind `load(weights_only=True)`.

A pickle is a program for a small stack machine. This machine knows the instructions that build containers, numbers and texts. A
name (GLOBAL) is looked up in a table, never imported; only what the table holds can be called (REDUCE, NEWOBJ), with arguments that
the called function checks; attributes (BUILD) are set on few types, and never hide a method. Users extend the table by
`add_safe_globals`.
"""

import struct
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import Counter, OrderedDict
from pickle import UnpicklingError

import rushlight

from . import _utils, storage

# Never looked up, whatever users allow.
BLOCKED_MODULES = {"sys", "os", "posix", "nt", "subprocess"}
# A key is hashed, and hashing shared or deep tuples takes exponential time or the whole C stack.
_KEY_DEPTH, _KEY_NODES = 16, 10_000
_MAX_NAME = 1024

_user_globals = {}


def full_name(obj):
    """The name by which checkpoints know an object: PyTorch's for what is ours, so that either library's files are read."""
    return torch_name(obj.__module__, obj.__qualname__)


def add_safe_globals(safe_globals):
    """Lets `load(weights_only=True)` build and call these classes and functions; `(object, "full.name")` gives a name to go by."""
    for entry in safe_globals:
        _user_globals[entry if isinstance(entry, tuple) else (entry, full_name(entry))] = entry


def get_safe_globals():
    """What `add_safe_globals` has allowed."""
    return list(_user_globals.values())


def clear_safe_globals():
    """Takes back all that `add_safe_globals` has allowed."""
    _user_globals.clear()


class safe_globals:
    """A context in which these are allowed, as by `add_safe_globals`."""

    def __init__(self, safe_globals):
        self.safe_globals = safe_globals

    def __enter__(self):
        self._before = dict(_user_globals)
        add_safe_globals(self.safe_globals)

    def __exit__(self, *exc):
        _user_globals.clear()
        _user_globals.update(self._before)


def torch_name(module, name):
    """`module.name` as PyTorch calls it: our modules stand where PyTorch's do."""
    if module == "rushlight" or module.startswith("rushlight."):
        module = "torch" + module[len("rushlight") :]
    return f"{module}.{name}"


# ---- what may be called ---------------------------------------------------------------------------------------------------


def _check_key(key):
    """Refuses keys whose hashing would not end; unhashable ones raise by themselves."""
    if not isinstance(key, (tuple, frozenset)):
        return key
    level, nodes = [key], 0
    for _ in range(_KEY_DEPTH):
        level = [item for part in level if isinstance(part, (tuple, frozenset)) for item in part]
        nodes += len(level)
        if nodes > _KEY_NODES:
            break
        if not level:
            return key
    raise UnpicklingError("a key is nested too deeply to be hashed")


def _pairs(items):
    return [(_check_key(key), value) for key, value in items]


def _ordered_dict(items=()):
    return OrderedDict(_pairs(items.items() if isinstance(items, dict) else items))


def _counter(items=()):
    if type(items) not in (dict, tuple):
        raise TypeError("a Counter is built from a dict")
    return Counter(items)


def _set(items=()):
    if type(items) not in (list, tuple):
        raise TypeError("a set is built from a list")
    return {_check_key(item) for item in items}


def _frozenset(items=()):
    return frozenset(_set(items))


def _size(sizes=()):
    if not (isinstance(sizes, (list, tuple)) and all(type(n) is int for n in sizes)):
        raise TypeError("torch.Size holds ints")
    return rushlight.Size(sizes)


def _device(kind, index=None):
    if type(kind) is not str or not (index is None or type(index) is int):
        raise TypeError("a device is a text and an index")
    return rushlight.device(kind) if index is None else rushlight.device(kind, index)


def _encode(text, encoding="latin1"):
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise TypeError("bytes are encoded as latin1")
    return text.encode("latin1")


def _empty_bytes():
    return b""


def _bytearray(data=b"", encoding="latin1"):
    data = _encode(data, encoding) if type(data) is str else data
    if type(data) is not bytes:  # a number would be a size to allocate
        raise TypeError("a bytearray is built from bytes")
    return bytearray(data)


def _complex(real, imag):
    if type(real) is not float or type(imag) is not float:
        raise TypeError("a complex number is two floats")
    return complex(real, imag)


def _from_type(func, new_type, args, state):
    rebuild = (_utils._rebuild_tensor, _utils._rebuild_tensor_v2, _utils._rebuild_tensor_v3)
    if func not in rebuild + (_utils._rebuild_parameter,):
        raise TypeError("only tensors and parameters are rebuilt as subclasses")
    known = (rushlight.Tensor, _utils._parameter_class())
    if new_type not in known and new_type not in _allowed_by_user().values():
        raise TypeError(f"{new_type!r} is not a known subclass of Tensor")
    return _utils._rebuild_from_type_v2(func, new_type, args, state)


def _parameter(data=None, requires_grad=True):
    return _utils._rebuild_parameter(data, requires_grad, None)


# What PyTorch has and Rushlight lacks: finding its name raises an error that says so.
_MISSING = {
    "torch._utils._rebuild_sparse_tensor": "sparse tensors",
    "torch._utils._rebuild_qtensor": "quantized tensors",
    "torch._utils._rebuild_meta_tensor_no_storage": "tensors on the meta device",
    "torch._utils._rebuild_device_tensor_from_numpy": "tensors on other devices than the CPU",
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": "tensors on other devices than the CPU",
    "torch._utils._rebuild_wrapper_subclass": "tensors without storage",
    "torch.serialization._get_layout": "sparse tensors",
}
_MISSING_STORAGES = {
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    "QInt8Storage": "qint8",
    "QInt32Storage": "qint32",
    "QUInt8Storage": "quint8",
    "QUInt4x2Storage": "quint4x2",
    "QUInt2x4Storage": "quint2x4",
}
_DTYPES = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64"
_MISSING_DTYPES = (
    "complex32 complex64 complex128 bcomplex32 uint16 uint32 uint64 float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz "
    "float8_e8m0fnu float4_e2m1fn_x2 qint8 qint32 quint8 quint4x2 quint2x4 bits8 bits16 bits1x8 bits2x4 bits4x2"
).split()


def refuse_missing(path):
    """Raises UnpicklingError if `path` names something of PyTorch's that Rushlight lacks."""
    module, _, name = path.rpartition(".")
    what = _MISSING.get(path)
    if module in ("torch", "torch.storage", "torch.cuda"):
        dtype = _MISSING_STORAGES.get(name) or (name if name in _MISSING_DTYPES else None)
        what = what or dtype and f"the dtype {dtype}"
    if what:
        raise UnpicklingError(f"the checkpoint needs {what}, which Rushlight does not have")


def _tables():
    """name -> value (what GLOBAL pushes), and id of value -> function (what REDUCE calls for it)."""
    parameter = _utils._parameter_class()
    values = {
        "collections.OrderedDict": OrderedDict,
        "collections.Counter": Counter,
        "builtins.set": set,
        "builtins.frozenset": frozenset,
        "builtins.complex": complex,
        "builtins.bytearray": bytearray,
        "builtins.bytes": bytes,
        "_codecs.encode": _encode,
        "torch.Size": rushlight.Size,
        "torch.device": rushlight.device,
        "torch.Tensor": rushlight.Tensor,
        "torch.nn.parameter.Parameter": parameter,
        "torch._tensor._rebuild_from_type_v2": _from_type,
        "torch._utils._rebuild_from_type_v2": _from_type,
        "torch.storage.UntypedStorage": storage.UntypedStorage,
        "torch.storage.TypedStorage": storage.TypedStorage,
    }
    rebuild = ("tensor", "tensor_v2", "tensor_v3", "parameter", "parameter_with_state")
    values |= {f"torch._utils._rebuild_{n}": getattr(_utils, f"_rebuild_{n}") for n in rebuild}
    calls = {
        OrderedDict: _ordered_dict,
        Counter: _counter,
        set: _set,
        frozenset: _frozenset,
        complex: _complex,
        bytearray: _bytearray,
        bytes: _empty_bytes,
        rushlight.Size: _size,
        rushlight.device: _device,
        parameter: _parameter,
        _encode: _encode,
        _from_type: _from_type,
    }
    calls |= {values[f"torch._utils._rebuild_{n}"]: values[f"torch._utils._rebuild_{n}"] for n in rebuild}
    values |= {f"torch.{name}": getattr(rushlight, name) for name in _DTYPES.split()}
    for prefix in ("torch.", "torch.storage.", "torch.cuda."):
        values |= {prefix + name: cls for name, cls in storage.STORAGE_TYPES.items()}
    return values, {id(value): function for value, function in calls.items()}


_cached_tables = None


def _allowed():
    global _cached_tables
    if _cached_tables is None:
        _cached_tables = _tables()
    return _cached_tables


def _allowed_by_user():
    """name -> object, of the user's additions."""
    return {name: obj for obj, name in _user_globals}


# ---- the machine ----------------------------------------------------------------------------------------------------------


class Source:
    """A seekable file from its current position, of which no more is asked than it has."""

    def __init__(self, file):
        self._file = file
        begin = file.tell()
        self._end = file.seek(0, 2)
        file.seek(begin)

    def remaining(self):
        return self._end - self._file.tell()

    def read(self, size):
        if size > 64 and size > self.remaining():  # a wrong size must not become an allocation
            raise EOFError(f"the pickle ends early: {size} bytes were announced, {self.remaining()} are left")
        data = self._file.read(size)
        if len(data) != size:
            raise EOFError("the pickle ends early")
        return data

    def line(self):
        line = bytearray()
        while (byte := self.read(1)) != b"\n":
            line += byte
            if len(line) > _MAX_NAME:
                raise UnpicklingError("a name in the pickle is too long")
        return line.decode()


class Unpickler:
    """One pickle of `source`; `persistent_load(pid)` gives what BINPERSID names, a storage."""

    def __init__(self, source, persistent_load=None, encoding="utf-8"):
        self.source, self.read = source, source.read
        self.persistent_load = persistent_load or self._no_persistent_load
        self.encoding = encoding
        self.user = _allowed_by_user()
        self.user_ids = {id(obj) for obj in self.user.values()}

    @staticmethod
    def _no_persistent_load(pid):
        raise UnpicklingError("the pickle names a storage where there are none")

    def load(self):
        """The pickled object. Raises UnpicklingError or EOFError for what is not allowed, or no pickle."""
        self.stack, self.outer, self.memo, self.outside = [], [], {}, False
        ops, read = _OPS, self.read
        try:
            while True:
                code = read(1)
                if code == b".":
                    return self.stack.pop()
                op = ops.get(code)
                if op is None:
                    raise UnpicklingError(f"Unsupported operand {code[0]}")
                op(self)
        except UnpicklingError as e:
            raise UnpicklingError(f"{e}{self._where()}") from e.__cause__
        except (EOFError, MemoryError, RuntimeError):
            raise
        except Exception as e:  # broken pickles pop empty stacks, miss in the memo, call with wrong arguments, and so on
            if self.outside:  # the error is the caller's map_location's, or speaks of the file
                raise
            text = f"{type(e).__name__}: {e}" if isinstance(e, (IndexError, KeyError)) else str(e)
            raise UnpicklingError(f"{text}{self._where()}") from e

    def _where(self):
        """The keys of the dicts that are being built, as a path."""
        keys, inside = [], False
        for frame in [*self.outer, self.stack]:
            # Keys and values alternate behind a dict's mark; where there is no mark, one key stands behind its dict.
            if inside:
                waiting = frame[(len(frame) - 1) // 2 * 2 :][:1]
            else:
                waiting = [key for before, key in zip(frame, frame[1:]) if isinstance(before, dict)]
            keys += [key for key in waiting if type(key) is str]
            inside = bool(frame) and isinstance(frame[-1], dict)
        return f" (at '{'.'.join(keys)}')" if keys else ""

    # Instructions.

    def proto(self):
        version = self.read(1)[0]
        if version > 5:
            raise UnpicklingError(f"unsupported pickle protocol: {version}")

    def push(self, value):
        self.stack.append(value)

    def sized(self, layout):
        (size,) = struct.unpack(layout, self.read(struct.calcsize(layout)))
        if size < 0:
            raise UnpicklingError("a size in the pickle is negative")
        return self.read(size)

    def old_text(self, layout):
        data = self.sized(layout)
        self.push(data if self.encoding == "bytes" else data.decode(self.encoding))

    def mark(self):
        self.outer.append(self.stack)
        self.stack = []

    def to_mark(self):
        items = self.stack
        self.stack = self.outer.pop()
        return items

    def pop(self):
        if self.stack:
            self.stack.pop()
        else:
            self.to_mark()

    def pack(self, size):
        items = [self.stack.pop() for _ in range(size)]
        self.push(tuple(reversed(items)))

    def extend(self, items):
        target = self.stack[-1]
        if type(target) is not list:
            raise UnpicklingError(f"Can only append to lists, but got {type(target)}")
        target.extend(items)

    def add(self):
        items, target = self.to_mark(), self.stack[-1]
        if type(target) is not set:
            raise UnpicklingError(f"Can only add to sets, but got {type(target)}")
        target.update(map(_check_key, items))

    def set_items(self, items):
        target = self.stack[-1]
        kind = type(target)
        if kind not in (dict, OrderedDict, Counter) and not (issubclass(kind, dict) and id(kind) in self.user_ids):
            raise UnpicklingError(
                f"Can only SETITEM for dict, collections.OrderedDict, collections.Counter, but got {kind}"
            )
        for at in range(0, len(items), 2):
            target[_check_key(items[at])] = items[at + 1]

    def put(self, at):
        self.memo[at] = self.stack[-1]

    def freeze(self):
        self.push(_frozenset(self.to_mark()))

    def find(self, module, name):
        # Protocol 2 speaks of Python 2's modules.
        module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
        path = f"{module}.{name}"
        if module.partition(".")[0] in BLOCKED_MODULES:
            raise UnpicklingError(f"Trying to load unsupported GLOBAL {path} whose module {module} is blocked.")
        values, _ = _allowed()
        canonical = torch_name(module, name)
        refuse_missing(canonical)
        for table, key in ((values, canonical), (self.user, path), (self.user, canonical)):
            if key in table:
                return self.push(table[key])
        shown = path.removeprefix("builtins.")
        raise UnpicklingError(
            f"Unsupported global: GLOBAL {shown} was not an allowed global by default. "
            f"Please use `torch.serialization.add_safe_globals([{shown}])` or the "
            f"`torch.serialization.safe_globals([{shown}])` context manager to allowlist this global "
            "if you trust this class/function."
        )

    def stack_global(self):
        name, module = self.stack.pop(), self.stack.pop()
        if type(name) is not str or type(module) is not str or len(name) + len(module) > _MAX_NAME:
            raise UnpicklingError("a name in the pickle is no text")
        self.find(module, name)

    def reduce(self):
        args, function = self.stack.pop(), self.stack.pop()
        _, calls = _allowed()
        call = calls.get(id(function)) or (function if id(function) in self.user_ids else None)
        if call is None:
            raise UnpicklingError(f"Trying to call reduce for unrecognized function {_shown(function)}")
        self.push(call(*_arguments(args)))

    def new(self, kwargs=False):
        kwargs = self.stack.pop() if kwargs else {}
        args, cls = self.stack.pop(), self.stack.pop()
        _, calls = _allowed()
        if id(cls) in self.user_ids and isinstance(cls, type):
            return self.push(cls.__new__(cls, *_arguments(args), **kwargs))
        if id(cls) not in calls or not isinstance(cls, type) or kwargs:
            raise UnpicklingError(
                "Can only create new object for nn.Parameter or classes allowlisted "
                f"via `add_safe_globals` but got {_shown(cls)}"
            )
        self.push(calls[id(cls)](*_arguments(args)))

    def build(self):
        state, obj = self.stack.pop(), self.stack[-1]
        if id(type(obj)) in self.user_ids:
            _build(obj, state)
        elif type(obj) is OrderedDict:
            for name in state:
                if type(name) is not str or hasattr(OrderedDict, name):
                    raise UnpicklingError(f"an OrderedDict cannot be given the attribute {name!r}")
            vars(obj).update(state)
        else:
            raise UnpicklingError(
                "Can only build Tensor, Parameter, OrderedDict or types allowlisted "
                f"via `add_safe_globals`, but got {type(obj)}"
            )

    def persistent(self):
        pid = self.stack.pop()
        if type(pid) is not tuple or not pid or pid[0] not in ("storage", b"storage"):
            raise UnpicklingError("Only persistent_load of storage is allowed")
        self.outside = True
        storage = self.persistent_load(pid)
        self.outside = False
        self.push(storage)


def _shown(value):
    """A short text for a value from a file, whose own repr may be endless."""
    return getattr(value, "__qualname__", None) or f"an object of {type(value)}"


def _arguments(args):
    if type(args) is not tuple:
        raise UnpicklingError("arguments in a pickle should be a tuple")
    return args


def _build(obj, state):
    """Python's own meaning of BUILD, for classes that the user vouches for."""
    if hasattr(obj, "__setstate__"):
        return obj.__setstate__(state)
    slots = None
    if isinstance(state, tuple) and len(state) == 2:
        state, slots = state
    vars(obj).update(state or {})
    for name, value in (slots or {}).items():
        setattr(obj, name, value)


def _number(layout):
    size = struct.calcsize(layout)
    return lambda m: m.push(struct.unpack(layout, m.read(size))[0])


def _long(layout):
    return lambda m: m.push(int.from_bytes(m.sized(layout), "little", signed=True))


def _text(layout):
    return lambda m: m.push(m.sized(layout).decode("utf-8", "surrogatepass"))


def _bytes(layout):
    return lambda m: m.push(m.sized(layout))


def _constant(make):
    return lambda m: m.push(make())


_OPS = {
    b"\x80": Unpickler.proto,
    b"\x95": lambda m: m.read(8),  # FRAME: a hint for reading ahead
    b"N": _constant(lambda: None),
    b"\x88": _constant(lambda: True),
    b"\x89": _constant(lambda: False),
    b"]": _constant(list),
    b"}": _constant(dict),
    b")": _constant(tuple),
    b"\x8f": _constant(set),
    b"J": _number("<i"),
    b"K": _number("<B"),
    b"M": _number("<H"),
    b"G": _number(">d"),
    b"\x8a": _long("<B"),
    b"\x8b": _long("<i"),
    b"X": _text("<I"),
    b"\x8c": _text("<B"),
    b"\x8d": _text("<Q"),
    b"B": _bytes("<I"),
    b"C": _bytes("<B"),
    b"\x8e": _bytes("<Q"),
    b"\x96": lambda m: m.push(bytearray(m.sized("<Q"))),
    b"T": lambda m: m.old_text("<i"),
    b"U": lambda m: m.old_text("<B"),
    b"(": Unpickler.mark,
    b"0": Unpickler.pop,
    b"1": lambda m: m.to_mark(),
    b"t": lambda m: m.push(tuple(m.to_mark())),
    b"\x85": lambda m: m.pack(1),
    b"\x86": lambda m: m.pack(2),
    b"\x87": lambda m: m.pack(3),
    b"a": lambda m: m.extend([m.stack.pop()]),
    b"e": lambda m: m.extend(m.to_mark()),
    b"s": lambda m: m.set_items([m.stack.pop(), m.stack.pop()][::-1]),
    b"u": lambda m: m.set_items(m.to_mark()),
    b"\x90": Unpickler.add,
    b"\x91": Unpickler.freeze,
    b"q": lambda m: m.put(m.read(1)[0]),
    b"r": lambda m: m.put(struct.unpack("<I", m.read(4))[0]),
    b"\x94": lambda m: m.put(len(m.memo)),
    b"h": lambda m: m.push(m.memo[m.read(1)[0]]),
    b"j": lambda m: m.push(m.memo[struct.unpack("<I", m.read(4))[0]]),
    b"c": lambda m: m.find(m.source.line(), m.source.line()),
    b"\x93": Unpickler.stack_global,
    b"R": Unpickler.reduce,
    b"\x81": Unpickler.new,
    b"\x92": lambda m: m.new(kwargs=True),
    b"b": Unpickler.build,
    b"Q": Unpickler.persistent,
}
