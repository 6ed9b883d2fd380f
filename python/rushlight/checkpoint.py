"""Checkpoints that the Rust library reads and writes: a tree of values and tensors in one safetensors file.

    checkpoint.save({"step": 7, "model": model.state_dict()}, "run.safetensors")
    tree = checkpoint.load("run.safetensors")

The tensors are there by path (`model.layers.0.weight`), for any tool to open. The metadata have the tree as JSON, in which a tensor is
`{"$tensor": name}` and a number that JSON lacks (NaN, infinities) is `{"$float": bits}`; a map's own key that begins with `$` gets a
second one. Nothing else is kept: neither types of containers nor shared memory, for which there is `rushlight.save`.
"""

import json
import math
import struct

from rushlight import Tensor

from . import safetensors
from ._archive import atomic_write

__all__ = ["load", "save"]

_VERSION, _STATE = "rushlight.version", "rushlight.state"
_CURRENT = "1"
_MAX_DEPTH = 100


def save(tree, filename):
    """Writes `tree` (None, bools, ints of 64 bits, floats, texts and tensors, in lists and in dicts with texts for keys)."""
    tensors = {}
    skeleton = _encode(tree, "", 0, tensors)
    texts = {_VERSION: _CURRENT, _STATE: json.dumps(skeleton, separators=(",", ":"), ensure_ascii=False)}
    parts = safetensors.encoded(tensors, texts)
    with atomic_write(filename) as file:
        for part in parts:
            file.write(part)


def load(filename):
    """The tree in a file of `save`, or of the Rust library's `Checkpoint`."""
    with open(filename, "rb") as file:
        tensors, texts = safetensors.read(file)
    if texts.get(_VERSION) != _CURRENT or _STATE not in texts:
        raise safetensors.SafetensorError(
            f"{filename}: no checkpoint of Rushlight, version {_CURRENT}; rushlight.safetensors.load_file reads the tensors"
        )
    try:
        tree = _decode(json.loads(texts[_STATE]), 0, tensors)
    except (ValueError, KeyError, RecursionError, struct.error) as e:
        raise safetensors.SafetensorError(f"{filename}: {_STATE}: {e}") from None
    if tensors:
        raise safetensors.SafetensorError(f"{filename}: {_STATE} does not say where tensor '{min(tensors)}' belongs")
    return tree


def _encode(value, path, depth, tensors):
    """The JSON of `value`; its tensors are added to `tensors` under names that begin with `path`."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"the tree is nested more than {_MAX_DEPTH} deep at '{path}'")

    def below(key, item):
        return _encode(item, f"{path}.{key}" if path else str(key), depth + 1, tensors)

    if isinstance(value, Tensor):
        return {"$tensor": _add(value, path or "tensor", tensors)}
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"keys should be texts, unlike those at '{path}'")
        return {"$" + key if key.startswith("$") else key: below(key, item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [below(i, item) for i, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": struct.pack(">d", value).hex()}
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"{value} at '{path}' does not fit into 64 bits")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a checkpoint cannot hold the {type(value).__name__} at '{path}'")


def _add(tensor, path, tensors):
    """Adds a tensor under `path`; two paths that read the same (a dot may be part of a key) are told apart by a number."""
    name, number = path, 1
    while name in tensors or name == "__metadata__":
        number += 1
        name = f"{path}#{number}"
    tensors[name] = tensor
    return name


def _decode(item, depth, tensors):
    """The value of JSON; tensors are taken out of `tensors`, each once."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"nested more than {_MAX_DEPTH} deep")
    if isinstance(item, list):
        return [_decode(part, depth + 1, tensors) for part in item]
    if not isinstance(item, dict):
        return item
    if len(item) == 1:
        ((tag, text),) = item.items()
        if tag == "$tensor" and isinstance(text, str):
            if text not in tensors:
                raise ValueError(f"there is no tensor '{text}', or it is used twice")
            return tensors.pop(text)
        if tag == "$float" and isinstance(text, str):
            return struct.unpack(">d", bytes.fromhex(text))[0]
    for key in item:
        if key.startswith("$") and not key.startswith("$$"):
            raise ValueError(f"unknown tag '{key}'")
    return {key[1:] if key.startswith("$") else key: _decode(part, depth + 1, tensors) for key, part in item.items()}
