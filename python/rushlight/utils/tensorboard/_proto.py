"""The few messages of TensorBoard's protocol buffers that are written here, encoded by hand.

A message is a string of fields; ``field(number, value)`` encodes one by the value's type: int as varint, bytes and str with their length,
``Double`` and ``Float`` in 8 and 4 bytes.
"""

import struct


class Double(float):
    """A number to be written in 8 bytes."""


class Float(float):
    """A number to be written in 4 bytes."""


def varint(n):
    """An integer in groups of 7 bits; negative ones as 64-bit two's complement."""
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, value):
    """One field."""
    if isinstance(value, Double):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, Float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


def message(*fields):
    """A message of ``(number, value)`` pairs; those with value None are left out."""
    return b"".join(field(number, value) for number, value in fields if value is not None)


def packed(code, values):
    """A packed array: ``d``, ``f``, or ``v`` for varints."""
    return b"".join(map(varint, values)) if code == "v" else struct.pack(f"<{len(values)}{code}", *values)


def event(wall_time, step=None, summary=None, file_version=None, session_log=None):
    """One entry of an event file."""
    writer = message((1, "tensorboard.summary.writer.event_file_writer")) if file_version and session_log is None and step is None else None
    return message(
        (1, Double(wall_time)),
        (2, None if step is None else int(step)),
        (3, file_version),
        (5, summary),
        (7, session_log),
        (10, writer),
    )


def summary(tag, *, plugin=None, content=None, **kinds):
    """A summary of one value: ``simple_value``, ``image``, ``histo``, ``audio`` or ``tensor``."""
    metadata = None if plugin is None else message((1, message((1, plugin), (2, content))))
    numbers = {"simple_value": 2, "image": 4, "histo": 5, "audio": 6, "tensor": 8}
    value = message((1, tag), *((numbers[kind], v) for kind, v in kinds.items()), (9, metadata))
    return message((1, value))


#: Of a dtype: TensorFlow's number, the field of the values, and how they are packed.
_TENSOR_KINDS = {
    "float16": (19, 13, None),
    "bfloat16": (14, 13, None),
    "float32": (1, 5, "f"),
    "float64": (2, 6, "d"),
    "int8": (6, 7, "v"),
    "int16": (5, 7, "v"),
    "int32": (3, 7, "v"),
    "uint8": (4, 7, "v"),
    "int64": (9, 10, "v"),
    "bool": (10, 11, "v"),
}


def shape_of(sizes):
    """A TensorShapeProto."""
    return b"".join(field(2, message((1, int(n)))) for n in sizes)


def tensor(dtype, sizes, values):
    """A TensorProto of numbers; ``dtype`` by its name."""
    number, place, code = _TENSOR_KINDS[dtype]
    if code is None:
        raise ValueError(f"unsupported tensor dtype {dtype}: use float32")
    return message((1, number), (2, shape_of(sizes)), (place, packed(code, values)))


def string_tensor(strings, sizes):
    """A TensorProto of strings."""
    return message((1, 7), (2, shape_of(sizes)), *((8, s) for s in strings))
