"""`save` and `load`: checkpoints in PyTorch's formats.

A checkpoint is a pickle in which storages are named and their bytes stand outside: in a zip archive of plain records, or (before
PyTorch 1.6) behind the pickle. What PyTorch also has goes by PyTorch's name in the pickle, so either library reads the other's files.
"""

import pickle
import warnings
from collections import OrderedDict
from contextlib import contextmanager
from os import PathLike, environ, fspath

import rushlight

from . import _utils, storage
from ._archive import ArchiveReader, ArchiveWriter, atomic_write, read_into
from ._weights_only_unpickler import (
    Source,
    Unpickler,
    add_safe_globals,
    clear_safe_globals,
    get_safe_globals,
    refuse_missing,
    safe_globals,
    torch_name,
)

__all__ = [
    "save",
    "load",
    "add_safe_globals",
    "clear_safe_globals",
    "default_restore_location",
    "get_safe_globals",
    "get_unsafe_globals_in_checkpoint",
    "location_tag",
    "safe_globals",
]

DEFAULT_PROTOCOL = 2
ALIGNMENT = 64
# The old format opens with these two.
MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001

_UNSAFE = (
    "Re-running `load` with `weights_only` set to `False` will likely succeed, but it can result in arbitrary code execution. "
    "Do it only if you got the file from a trusted source."
)


# ---- names ----------------------------------------------------------------------------------------------------------------


def _torch_names():
    """id of an object -> (module, name) under which PyTorch has it."""
    utils = ("tensor", "tensor_v2", "tensor_v3", "parameter", "parameter_with_state")
    names = {getattr(_utils, f"_rebuild_{n}"): ("torch._utils", f"_rebuild_{n}") for n in utils}
    names |= {
        _utils._rebuild_from_type_v2: ("torch._tensor", "_rebuild_from_type_v2"),
        _utils._parameter_class(): ("torch.nn.parameter", "Parameter"),
        rushlight.Tensor: ("torch", "Tensor"),
        rushlight.Size: ("torch", "Size"),
        rushlight.device: ("torch", "device"),
        storage.UntypedStorage: ("torch.storage", "UntypedStorage"),
    }
    names |= {cls: ("torch", name) for name, cls in storage.STORAGE_TYPES.items()}
    names |= {cls._serial_dtype: ("torch", _dtype_name(cls._serial_dtype)) for cls in storage.STORAGE_TYPES.values()}
    return {id(obj): name for obj, name in names.items()}


def _dtype_name(dtype):
    return str(dtype).rpartition(".")[2]


def _pickler_class(pickle_module):
    """A pickler that writes tensors and what belongs to them under PyTorch's names, made of `pickle_module`'s own."""
    # Only picklers written in Python let names be chosen.
    base = pickle._Pickler if pickle_module is pickle else pickle_module.Pickler
    if not issubclass(base, pickle._Pickler):
        raise ValueError(f"save needs a pickle_module whose Pickler is derived from pickle._Pickler, unlike {base!r}")
    names = _torch_names()

    class CheckpointPickler(base):
        def save_global(self, obj, name=None):
            where = names.get(id(obj))
            if where is None:
                return super().save_global(obj, name)
            if self.proto >= 4:
                self.save(where[0])
                self.save(where[1])
                self.write(pickle.STACK_GLOBAL)
            else:
                self.write(b"c%s\n%s\n" % (where[0].encode(), where[1].encode()))
            self.memoize(obj)

        def save_tensor(self, obj):
            self.save_reduce(*_utils._reduce_tensor(obj, self.proto), obj=obj)

        def save_device(self, obj):
            self.save_reduce(rushlight.device, (obj.type,) if obj.index is None else (obj.type, obj.index), obj=obj)

        # Subclasses of Tensor say by themselves how they are pickled.
        dispatch = {
            **base.dispatch,
            type(_torch_names): save_global,
            rushlight.dtype: save_global,
            rushlight.device: save_device,
            rushlight.Tensor: save_tensor,
            _utils._parameter_class(): save_tensor,
        }

    return CheckpointPickler


# ---- saving ---------------------------------------------------------------------------------------------------------------


class _Storages:
    """The storages met while pickling: each has one key, however many tensors share it."""

    def __init__(self, name_of):
        self._name_of = name_of
        self.keys = {}
        self.kept = OrderedDict()
        self.dtypes = {}

    def identify(self, obj):
        """The persistent id of a storage."""
        untyped = isinstance(obj, storage.UntypedStorage)
        dtype = rushlight.uint8 if untyped else obj.dtype
        place = obj.data_ptr() if obj.nbytes() else ("empty", len(self.keys))
        if self.dtypes.setdefault(place, dtype) != dtype:
            raise RuntimeError("Cannot save multiple tensors or storages that view the same data as different types")
        if place not in self.keys:
            self.keys[place] = self._name_of(len(self.keys))
            self.kept[self.keys[place]] = obj
        kind = storage.UntypedStorage if untyped else storage.storage_type(dtype)
        return "storage", kind, self.keys[place], "cpu", len(obj)


@contextmanager
def _opened(f, opening):
    """`f` itself, or the file at the path `f` as `opening` gives it."""
    if isinstance(f, (str, PathLike)):
        with opening(f) as file:
            yield file
    else:
        yield f


def _reading(path):
    return open(path, "rb")


def save(
    obj,
    f,
    pickle_module=pickle,
    pickle_protocol=DEFAULT_PROTOCOL,
    _use_new_zipfile_serialization=True,
    _disable_byteorder_record=False,
):
    """Saves an object (a state dict, a tensor, a module, a container of such) to `f`, a path or a file open for writing bytes.

    Tensors that share memory share it after loading; a view saves all of the memory it looks at (`clone` it to save the view alone).
    PyTorch reads the file by its own `load`, as far as the object holds only what PyTorch has. See PyTorch's `torch.save`.
    """
    if not isinstance(f, (str, PathLike)) and not hasattr(f, "write"):
        raise AttributeError("expected 'f' to be string, path, or a file-like object with a 'write' attribute")
    # Pickled before the file is opened: an object that cannot be saved touches nothing.
    if _use_new_zipfile_serialization:
        write = _save_archive(obj, pickle_module, pickle_protocol, not _disable_byteorder_record)
    else:
        write = _save_legacy(obj, pickle_module, pickle_protocol)
    with _opened(f, atomic_write) as file:
        write(file, f)


def _pickled(obj, pickle_module, protocol, storages, shape=lambda pid: pid):
    import io

    out = io.BytesIO()
    pickler = _pickler_class(pickle_module)(out, protocol=protocol)
    kinds = {storage.TypedStorage, storage.UntypedStorage, *storage.STORAGE_TYPES.values()}
    pickler.persistent_id = lambda o: shape(storages.identify(o)) if type(o) in kinds else None
    pickler.dump(obj)
    return out.getvalue()


def _save_archive(obj, pickle_module, protocol, byteorder):
    storages = _Storages(str)
    data = _pickled(obj, pickle_module, protocol, storages)

    def write(file, f):
        archive = ArchiveWriter(file, _archive_name(f), ALIGNMENT)
        archive.write("data.pkl", data)
        archive.write(".format_version", b"1")
        archive.write(".storage_alignment", str(ALIGNMENT).encode())
        if byteorder:
            archive.write("byteorder", b"little")
        for key, kept in storages.kept.items():
            archive.write(f"data/{key}", kept._bytes())
        archive.write("version", b"3\n")
        archive.write(".data/serialization_id", archive.identity())
        archive.close()

    return write


def _archive_name(f):
    """The folder inside the archive: the file's name without its extension, where that is ASCII."""
    name = fspath(f) if isinstance(f, (str, PathLike)) else "archive"
    name = name.decode(errors="replace") if isinstance(name, bytes) else name
    name = name.replace("\\", "/").rpartition("/")[2]
    stem = name.rpartition(".")[0] or name
    return stem if stem.isascii() and stem.strip(".") else "archive"


def _save_legacy(obj, pickle_module, protocol):
    storages = _Storages(str)
    info = dict(protocol_version=PROTOCOL_VERSION, little_endian=True, type_sizes=dict(short=2, int=4, long=4))
    parts = [pickle_module.dumps(head, protocol=protocol) for head in (MAGIC_NUMBER, PROTOCOL_VERSION, info)]
    parts.append(_pickled(obj, pickle_module, protocol, storages, lambda pid: (*pid, None)))
    keys = sorted(storages.kept)
    parts.append(pickle_module.dumps(keys, protocol=protocol))

    def write(file, f):
        for part in parts:
            file.write(part)
        for key in keys:
            kept = storages.kept[key]
            file.write(len(kept).to_bytes(8, "little"))
            file.write(kept._bytes())

    return write


# ---- places ---------------------------------------------------------------------------------------------------------------


def location_tag(storage):
    """The tag by which a checkpoint says where a storage lay: always "cpu"."""
    return "cpu"


def default_restore_location(storage, location):
    """The storage that a tag puts `storage` at. Raises RuntimeError for devices other than the CPU."""
    if location == "cpu":
        return storage
    kind = location.partition(":")[0]
    if kind in ("cuda", "xpu", "hpu", "mps", "mtia", "privateuseone"):
        raise RuntimeError(
            f"Attempting to deserialize object on a {kind.upper()} device but torch.{kind}.is_available() is False. "
            "If you are running on a CPU-only machine, please use torch.load with map_location=torch.device('cpu') "
            "to map your storages to the CPU."
        )
    raise RuntimeError(
        f"don't know how to restore data location of torch.storage.UntypedStorage (tagged with {location})"
    )


def _restorer(map_location):
    """A function of a storage and its tag that follows `map_location`."""
    if map_location is None:
        return default_restore_location
    if isinstance(map_location, dict):
        places = {str(key): str(place) for key, place in map_location.items()}
        return lambda s, tag: default_restore_location(s, places.get(tag, tag))
    if isinstance(map_location, bytes):
        map_location = map_location.decode("ascii")
    if isinstance(map_location, (str, rushlight.device)):
        return lambda s, tag: default_restore_location(s, str(map_location))
    if not callable(map_location):
        raise TypeError(f"map_location should be a device, a dict or a function, not {type(map_location).__name__}")

    def restore(s, tag):
        placed = map_location(s, tag)
        return default_restore_location(s, tag) if placed is None else placed

    return restore


# ---- loading --------------------------------------------------------------------------------------------------------------


def load(f, map_location=None, pickle_module=None, *, weights_only=None, mmap=None, **pickle_load_args):
    """Loads what `save` (this one or PyTorch's) has written to `f`, a path or a seekable file open for reading bytes.

    With `weights_only=True` (the default unless a `pickle_module` is given) the file cannot run code: only tensors, containers,
    numbers, texts and what `add_safe_globals` allows are built, and everything else raises `pickle.UnpicklingError`.
    `weights_only=False` runs whatever the file says. With `mmap=True` storages lie in the file at the path `f` until they are
    written to. Storages that lay on another device need `map_location`. Safetensors files are recognised by their extension.
    See PyTorch's `torch.load`.
    """
    weights_only = _weights_only(weights_only, pickle_module)
    if weights_only and pickle_module is not None:
        raise RuntimeError("Can not safely load weights when explicit pickle_module is specified")
    is_path = isinstance(f, (str, PathLike))
    if is_path and str(fspath(f)).endswith(".safetensors"):
        return _load_safetensors(f, map_location)
    if not is_path:
        _check_seekable(f)
    if mmap and not is_path:
        raise ValueError("f must be a file path in order to use the mmap argument")
    if weights_only:
        unpickle = _restricted(pickle_load_args.get("encoding", "utf-8"))
    else:
        unpickle = _unrestricted(pickle_module or pickle, {"encoding": "utf-8", **pickle_load_args})
    with _opened(f, _reading) as file:
        begin = file.tell()
        start = file.read(264)
        file.seek(begin)
        try:
            if start[:4] == b"PK\x03\x04":
                return _load_archive(file, f, _restorer(map_location), unpickle, weights_only, mmap)
            if mmap:
                raise RuntimeError(
                    "mmap can only be used with files saved with `torch.save(_use_new_zipfile_serialization=True), "
                    "please torch.save your checkpoint with this option in order to use mmap."
                )
            if start[257:262] == b"ustar":
                raise RuntimeError(
                    "this is a checkpoint in the .tar format of PyTorch 0.1, which Rushlight does not read; "
                    "load and save it once with PyTorch to convert it"
                )
            return _load_legacy(file, _restorer(map_location), unpickle)
        except pickle.UnpicklingError as e:
            raise (_explained(e) if weights_only else e) from e.__cause__


def _weights_only(asked, pickle_module):
    """Whether to load weights only: what the caller asks for, but PyTorch's two environment variables come first."""
    always, never = (environ.get(f"TORCH_FORCE_{which}_LOAD", "0").lower() in ("1", "y", "yes", "true") for which in ("WEIGHTS_ONLY", "NO_WEIGHTS_ONLY"))
    if always and never:
        raise RuntimeError("Only one of `TORCH_FORCE_WEIGHTS_ONLY_LOAD` or `TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD` should be set, but both were set.")
    if always:
        return True
    if never and asked is None:
        warnings.warn(
            "Environment variable TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD detected, since the`weights_only` argument was not explicitly passed to "
            "`torch.load`, forcing weights_only=False.",
            UserWarning,
            stacklevel=3,
        )
        return False
    return pickle_module is None if asked is None else asked


def _explained(error):
    """The error of a refused checkpoint, with what can be done about it."""
    text = str(error)
    if "was not an allowed global by default" in text:
        return pickle.UnpicklingError(
            "Weights only load failed. This file can still be loaded, to do so you have two options, "
            f"do those steps only if you trust the source of the checkpoint.\n\t(1) {_UNSAFE}\n"
            f"\t(2) Alternatively, allow what it names:\n\tWeightsUnpickler error: {text}"
        )
    return pickle.UnpicklingError(f"Weights only load failed. WeightsUnpickler error: {text}")


def _load_safetensors(f, map_location):
    from .safetensors import load_file

    if isinstance(map_location, dict) or callable(map_location) and not isinstance(map_location, rushlight.device):
        kind = "dict" if isinstance(map_location, dict) else "callable"
        raise RuntimeError(
            f"Loading safetensors file with {kind} map_location is not supported. "
            "Use a device string or torch.device instead."
        )
    return load_file(f, "cpu" if map_location is None else str(map_location))


def _check_seekable(f):
    for need in ("seek", "tell", "read"):
        if not hasattr(f, need):
            raise AttributeError(
                f"'{type(f).__name__}' object has no attribute '{need}'. You can only torch.load from a file that is "
                "seekable. Please pre-load the data into a buffer like io.BytesIO and try to load from it instead."
            )
    f.seek(f.tell())


def _restricted(encoding):
    return lambda file, persistent_load=None: Unpickler(Source(file), persistent_load, encoding).load()


def _unrestricted(pickle_module, arguments):
    class CheckpointUnpickler(pickle_module.Unpickler):
        def find_class(self, module, name):
            path = torch_name(module, name)
            refuse_missing(path)
            if path in _loaded_names():
                return _loaded_names()[path]
            if module == "torch" or module.startswith("torch."):
                module = "rushlight" + module[len("torch") :]
                try:
                    return super().find_class(module, name)
                except (ImportError, AttributeError) as e:
                    raise pickle.UnpicklingError(f"Rushlight has nothing under PyTorch's name {path}") from e
            return super().find_class(module, name)

    def unpickle(file, persistent_load=None):
        unpickler = CheckpointUnpickler(file, **arguments)
        if persistent_load is not None:
            unpickler.persistent_load = persistent_load
        return unpickler.load()

    return unpickle


def _loaded_names():
    """The names in checkpoints that stand elsewhere in Rushlight."""
    names = {
        "torch._tensor._rebuild_from_type_v2": _utils._rebuild_from_type_v2,
        "torch.storage._load_from_bytes": _load_from_bytes,
    }
    for prefix in ("torch.", "torch.storage.", "torch.cuda."):
        names |= {prefix + name: cls for name, cls in storage.STORAGE_TYPES.items()}
    return names


def _load_from_bytes(data):
    """What plain pickles of PyTorch's storages call: a storage saved in the old format."""
    import io

    return load(io.BytesIO(data), weights_only=False)


def _storage_id(pid, fields):
    """The checked fields of a persistent id behind its "storage": dtype or None (bytes), key, location, numel, ..."""
    if not (isinstance(pid, tuple) and len(pid) == fields + 1):
        raise pickle.UnpicklingError("the id of a storage has the wrong number of fields")
    _, kind, key, location, numel, *rest = pid
    key, location = (v.decode("ascii") if type(v) is bytes else v for v in (key, location))
    if not (isinstance(kind, type) and issubclass(kind, (storage.TypedStorage, storage.UntypedStorage))):
        raise pickle.UnpicklingError("the id of a storage names no kind of storage")
    if type(key) is not str or type(location) is not str or type(numel) is not int or numel < 0:
        raise pickle.UnpicklingError("the id of a storage should hold a key, a location and a number of elements")
    return kind, key, location, numel, *rest


def _wrap(kind, flat):
    """`flat` as the storage that the pickle expects."""
    return storage.UntypedStorage._over(flat) if kind is storage.UntypedStorage else storage.TypedStorage._over(flat)


def _dtype_of(kind):
    return kind._serial_dtype or rushlight.uint8


def _itemsize(dtype):
    return rushlight.empty(0, dtype=dtype).element_size()


def _place(kind, flat, location, restore):
    """The storage over `flat` at the place that the caller's `map_location` gives it."""
    dtype = flat.dtype
    placed = restore(_wrap(storage.UntypedStorage, flat), location)
    if not isinstance(placed, (storage.UntypedStorage, storage.TypedStorage)):
        raise TypeError(f"map_location should return a storage, not {type(placed).__name__}")
    return _wrap(kind, storage._as_dtype(placed._tensor, dtype))


def _load_archive(file, f, restore, unpickle, weights_only, mmap):
    import io

    archive = ArchiveReader(file)
    if "constants.pkl" in archive:
        raise RuntimeError("this is a TorchScript archive, not a checkpoint; Rushlight does not read TorchScript")
    order = archive.read("byteorder") if "byteorder" in archive else b"little"
    if order not in (b"little", b"big"):
        raise ValueError("Unknown endianness type: " + order.decode(errors="replace"))
    swap = order == b"big"
    mapped = None
    if mmap:
        import mmap as mmap_module

        mapped = mmap_module.mmap(file.fileno(), 0, access=mmap_module.ACCESS_COPY)
    storages = {}

    def persistent_load(pid):
        kind, key, location, numel = _storage_id(pid, 4)
        dtype = _dtype_of(kind)
        if key not in storages:
            record = f"data/{key}"
            itemsize = _itemsize(dtype)
            if archive.size(record) != numel * itemsize:
                raise RuntimeError(
                    f"storage '{key}' should have {numel} elements of {dtype}, but its record has {archive.size(record)} bytes"
                )
            if mapped is not None and numel and dtype != rushlight.bool and not swap:
                offset, _ = archive.locate(record)
                flat = rushlight.frombuffer(mapped, dtype=dtype, count=numel, offset=offset)
            else:
                flat = storage._read_tensor(lambda buffer: archive.read_into(record, buffer), numel, dtype, swap)
            storages[key] = _place(kind, flat, location, restore)
        known = storages[key]
        if _dtype_of(kind) != known._tensor.dtype or len(known) != numel:
            raise RuntimeError(f"storage '{key}' is declared twice, differently")
        return known

    data = archive.read("data.pkl")
    return unpickle(io.BytesIO(data), persistent_load)


def _load_legacy(file, restore, unpickle):
    if unpickle(file) != MAGIC_NUMBER:
        raise RuntimeError("Invalid magic number; corrupt file?")
    version = unpickle(file)
    if version != PROTOCOL_VERSION:
        raise RuntimeError(f"Invalid protocol version: {version}")
    unpickle(file)  # about the machine that wrote it; the bytes are little-endian whatever it was
    storages, budget = {}, Source(file).remaining()

    def persistent_load(pid):
        nonlocal budget
        if isinstance(pid, tuple) and len(pid) > 1 and pid[0] in ("module", b"module"):
            return pid[1]  # a module's class, with its source text of long ago
        kind, key, location, numel, view = _storage_id(pid, 5)
        dtype = _dtype_of(kind)
        if key not in storages:
            # The bytes follow the pickle, so there is memory to be had only for as many as the file has left.
            budget -= numel * _itemsize(dtype)
            if budget < 0:
                raise RuntimeError(f"storage '{key}' of {numel} elements of {dtype} is larger than the rest of the file")
            flat = rushlight.zeros(numel, dtype=dtype)
            storages[key] = _place(kind, flat, location, restore)
        known = storages[key]
        if known._tensor.dtype != dtype:
            raise RuntimeError(f"storage '{key}' is declared twice, differently")
        if view is None:
            return known
        view_ok = type(view) is tuple and len(view) == 3 and all(type(n) is int and n >= 0 for n in view[1:])
        if not view_ok or view[1] + view[2] > len(known):
            raise RuntimeError(f"a view of storage '{key}' reaches outside it")
        return known[view[1] : view[1] + view[2]]

    result = unpickle(file, persistent_load)
    keys = unpickle(file)
    if not isinstance(keys, list) or any(type(key) not in (str, bytes) for key in keys):
        raise RuntimeError("behind the pickle there should be a list of its storages' keys")
    keys = [key.decode("ascii") if type(key) is bytes else key for key in keys]
    if sorted(keys) != sorted(storages):
        raise RuntimeError("the list of storages does not fit the pickle before it")
    for key in keys:
        kept = storages[key]
        size = len(kept) * kept.element_size()
        count = int.from_bytes(Source(file).read(8), "little")
        if count != len(kept) or Source(file).remaining() < size:
            raise RuntimeError(f"storage '{key}' should have {len(kept)} elements, but the file has {count} or ends early")
        kept._tensor.copy_(storage._read_tensor(lambda buffer: read_into(file, buffer), len(kept), kept._tensor.dtype))
    return result


def get_unsafe_globals_in_checkpoint(f):
    """The names in the checkpoint `f` that `load(f, weights_only=True)` would refuse."""
    import io
    import pickletools

    from ._weights_only_unpickler import _allowed, _allowed_by_user

    with _opened(f, _reading) as file:
        data = bytes(ArchiveReader(file).read("data.pkl"))
    found, texts = set(), []
    for op, arg, _ in pickletools.genops(io.BytesIO(data)):
        if op.name == "GLOBAL":
            found.add(tuple(arg.split(" ", 1)))
        elif op.name == "STACK_GLOBAL":
            found.add(tuple(texts[-2:]))
        elif isinstance(arg, str):
            texts.append(arg)
    allowed = _allowed()[0].keys() | _allowed_by_user().keys()
    return sorted(".".join(name) for name in found if torch_name(*name) not in allowed and ".".join(name) not in allowed)
