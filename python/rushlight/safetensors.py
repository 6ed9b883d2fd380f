"""The safetensors format: a JSON header, then the tensors' bytes without gaps. The functions are those of `safetensors.torch`.

A file cannot run code, and every size in its header is checked against the file before anything is allocated. It holds tensors by
name and a few texts, nothing else: `rushlight.save` keeps everything. The Rust library's checkpoints are such files too.
"""

import json
import math
import struct

import rushlight

from . import storage
from ._archive import atomic_write, read_into
from .serialization import default_restore_location

__all__ = ["SafetensorError", "load", "load_file", "load_metadata", "save", "save_file"]

_MAX_HEADER = 100_000_000
_METADATA = "__metadata__"
# The order in which tensors lie in a file, by falling size: so the elements of every tensor are aligned without gaps.
_NAMES = {
    "I64": "int64",
    "F64": "float64",
    "F32": "float32",
    "I32": "int32",
    "BF16": "bfloat16",
    "F16": "float16",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}


class SafetensorError(ValueError):
    """The file is no safetensors file, or not what its header says."""


# ---- writing --------------------------------------------------------------------------------------------------------------


def save_file(tensors, filename, metadata=None):
    """Writes a dict of tensors, and a dict of texts, to the file `filename`.

    Views are written row-major. Raises RuntimeError if tensors share memory, for the file could not say so.
    """
    _check_apart(tensors)
    parts = encoded(tensors, metadata)
    with atomic_write(filename) as file:
        for part in parts:
            file.write(part)


def save(tensors, metadata=None):
    """The bytes of a safetensors file with a dict of tensors, and a dict of texts."""
    _check_apart(tensors)
    return b"".join(encoded(tensors, metadata))


def encoded(tensors, metadata):
    """The parts of the file: everything is checked before the first is made. Tensors that share memory are written each."""
    if not isinstance(tensors, dict):
        raise ValueError(f"Expected a dict of [str, torch.Tensor] but received {type(tensors)}")
    for name, tensor in tensors.items():
        if not isinstance(name, str) or name == _METADATA:
            raise ValueError(f"{name!r} cannot be the name of a tensor")
        if not isinstance(tensor, rushlight.Tensor):
            raise ValueError(f"Key `{name}` is invalid, expected torch.Tensor but received {type(tensor)}")
    for key, text in (metadata or {}).items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise TypeError(f"metadata holds texts, unlike {key!r}: {text!r}")
    codes = {getattr(rushlight, dtype): (rank, code) for rank, (code, dtype) in enumerate(_NAMES.items())}
    names = sorted(tensors, key=lambda name: (codes[tensors[name].dtype][0], name))
    header, end = {_METADATA: dict(sorted(metadata.items()))} if metadata else {}, 0
    for name in names:
        tensor = tensors[name]
        start, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": codes[tensor.dtype][1], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > _MAX_HEADER:
        raise ValueError(f"the header takes {len(text)} bytes; the format allows {_MAX_HEADER}")
    return _parts(text, [tensors[name] for name in names])


def _parts(header, tensors):
    yield struct.pack("<Q", len(header)) + header
    for tensor in tensors:
        if tensor.numel():
            yield memoryview(tensor.detach().contiguous().view(-1).view(rushlight.uint8))


def _check_apart(tensors):
    by_storage = {}
    for name, tensor in tensors.items() if isinstance(tensors, dict) else ():
        if isinstance(tensor, rushlight.Tensor) and tensor.numel():
            start = tensor.data_ptr() - tensor.storage_offset() * tensor.element_size()
            by_storage.setdefault(start, []).append(name)
    shared = [names for names in by_storage.values() if len(names) > 1]
    if shared:
        raise RuntimeError(
            f"Some tensors share memory, this will lead to duplicate memory on disk and potential differences when loading them "
            f"again: {shared}. Save one of each, or clones"
        )


# ---- reading --------------------------------------------------------------------------------------------------------------


def load_file(filename, device="cpu"):
    """The tensors in the file `filename`, a dict by name."""
    default_restore_location(None, str(device))
    with open(filename, "rb") as file:
        return read(file)[0]


def load(data):
    """The tensors in the bytes of a safetensors file, a dict by name."""
    import io

    return read(io.BytesIO(data))[0]


def load_metadata(filename):
    """The texts in the file `filename`, a dict."""
    with open(filename, "rb") as file:
        return _header(file)[1]


def read(file):
    """The tensors and the texts in a seekable file, two dicts."""
    entries, metadata = _header(file)
    # In the order of the bytes, which is where the file stands now.
    found = {}
    for name, dtype, shape, *_ in sorted(entries, key=lambda e: e[3:]):
        numel = math.prod(shape)
        flat = storage._read_tensor(lambda buffer: read_into(file, buffer), numel, getattr(rushlight, dtype))
        found[name] = flat.view(shape)
    return {name: found[name] for name, *_ in entries}, metadata


def _header(file):
    """The tensors' entries and the metadata; the file stands at the first tensor's bytes afterwards."""
    size = file.seek(0, 2)
    file.seek(0)
    if size < 8:
        raise SafetensorError(f"{size} bytes are too short for a safetensors file")
    (length,) = struct.unpack("<Q", file.read(8))
    if length > min(size - 8, _MAX_HEADER):
        raise SafetensorError(f"not a safetensors file: its header should have {length} bytes")
    try:
        header = json.loads(file.read(length).decode(), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as e:
        raise SafetensorError(f"not a safetensors file: header: {e}") from None
    if not isinstance(header, dict):
        raise SafetensorError("not a safetensors file: the header is no JSON object")
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise SafetensorError(f"header: {_METADATA} should be an object of texts")
    entries = [_entry(name, item) for name, item in header.items()]
    covered = 0
    for name, _, _, start, end in sorted(entries, key=lambda e: e[3:]):
        if start != covered:
            what = "overlaps another" if start < covered else "leaves a gap before it"
            raise SafetensorError(f"header: tensor '{name}' at {[start, end]} {what}")
        covered = end
    if covered != size - 8 - length:
        raise SafetensorError(f"the tensors should have {covered} bytes, but the file has {size - 8 - length} for them")
    return entries, metadata


def _without_duplicates(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is given twice")
    return found


def _entry(name, item):
    """(name, dtype, shape, start, end), of which shape and dtype are as large as the offsets say."""

    def sizes(field):
        value = item.get(field)
        if not isinstance(value, list) or any(type(n) is not int or not 0 <= n < 2**63 for n in value):
            raise SafetensorError(f"header: tensor '{name}': {field} should be a list of sizes")
        return value

    if not isinstance(item, dict):
        raise SafetensorError(f"header: tensor '{name}' should be an object")
    code = item.get("dtype")
    if not isinstance(code, str) or code not in _NAMES:
        raise SafetensorError(f"header: tensor '{name}': dtype {code!r} is unknown or not supported")
    shape, offsets = sizes("shape"), sizes("data_offsets")
    nbytes = rushlight.empty(0, dtype=getattr(rushlight, _NAMES[code])).element_size()
    for n in shape:
        nbytes *= n
    if len(offsets) != 2 or offsets[1] - offsets[0] != nbytes or len(shape) > 64:
        raise SafetensorError(f"header: tensor '{name}' of {_NAMES[code]} {shape} does not take the bytes {offsets}")
    return name, _NAMES[code], shape, *offsets
