"""From samples to batches."""

import copy
from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence

import rushlight
from rushlight import Tensor

_ERROR = "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"


def _is_text_array(dtype):
    """Whether NumPy's dtype is one of texts or objects, which no tensor holds."""
    return dtype.kind in "SUO"


def _is_numpy(value):
    return type(value).__module__ == "numpy"


def _from_numpy(value):
    """An array, or NumPy numbers, as a tensor of the same dtype."""
    import numpy

    return rushlight.as_tensor(numpy.asarray(value))


def _rebuild(like, items):
    """A mapping or sequence of the kind of `like` with other items: a copy that keeps its extra attributes, where it can be one."""
    kind = type(like)
    mapping = isinstance(like, Mapping)
    try:
        if isinstance(like, (MutableMapping, MutableSequence)):
            new = copy.copy(like)
            for key, item in items.items() if mapping else enumerate(items):
                new[key] = item
            return new
        return kind(items)
    except TypeError:
        return items


def default_convert(data):
    """NumPy arrays and numbers as tensors, inside containers too; everything else stays as it is."""
    if isinstance(data, Tensor):
        return data
    if _is_numpy(data) and type(data).__name__ not in ("str_", "bytes_"):
        is_text = type(data).__name__ == "ndarray" and _is_text_array(data.dtype)
        return data if is_text else _from_numpy(data)
    if isinstance(data, Mapping):
        return _rebuild(data, {key: default_convert(data[key]) for key in data})
    if isinstance(data, tuple):
        items = [default_convert(item) for item in data]
        return type(data)(*items) if hasattr(data, "_fields") else items
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _rebuild(data, [default_convert(item) for item in data])
    return data


def collate(batch, *, collate_fn_map=None):
    """One batch of the samples in `batch`, which are alike: containers of batches for containers.

    `collate_fn_map` maps a type (or a tuple of types) to `fn(batch, *, collate_fn_map)`; the first that fits is taken, exact types first.
    """
    first = batch[0]
    kind = type(first)
    functions = collate_fn_map or {}
    function = functions.get(kind) or next((f for t, f in functions.items() if isinstance(first, t)), None)
    if function is not None:
        return function(batch, collate_fn_map=collate_fn_map)
    if isinstance(first, Mapping):
        return _rebuild(first, {k: collate([d[k] for d in batch], collate_fn_map=collate_fn_map) for k in first})
    if not isinstance(first, Sequence):
        raise TypeError(_ERROR.format(kind))
    is_record = isinstance(first, tuple) and hasattr(first, "_fields")
    if not is_record and len(set(map(len, batch))) > 1:
        raise RuntimeError("each element in list of batch should be of equal size")
    items = [collate(column, collate_fn_map=collate_fn_map) for column in zip(*batch)]
    if is_record:
        return kind(*items)
    return items if isinstance(first, tuple) else _rebuild(first, items)


def collate_tensor_fn(batch, *, collate_fn_map=None):
    return rushlight.stack(tuple(batch), 0)


def collate_numpy_array_fn(batch, *, collate_fn_map=None):
    if _is_text_array(batch[0].dtype):
        raise TypeError(_ERROR.format(batch[0].dtype))
    return collate([rushlight.as_tensor(array) for array in batch], collate_fn_map=collate_fn_map)


def collate_numpy_scalar_fn(batch, *, collate_fn_map=None):
    return _from_numpy(batch)


def collate_float_fn(batch, *, collate_fn_map=None):
    return rushlight.tensor(batch, dtype=rushlight.float64)


def collate_int_fn(batch, *, collate_fn_map=None):
    return rushlight.tensor(batch)


def collate_str_fn(batch, *, collate_fn_map=None):
    return batch


default_collate_fn_map = {
    Tensor: collate_tensor_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}


def _learn_numpy():
    """Adds NumPy's types once samples hold one: NumPy is not imported for others."""
    import numpy

    if numpy.ndarray not in default_collate_fn_map:
        numbers = {numpy.ndarray: collate_numpy_array_fn, (numpy.bool_, numpy.number, numpy.object_): collate_numpy_scalar_fn}
        # Before float and int: numpy.float64 is a float too.
        others = dict(default_collate_fn_map)
        default_collate_fn_map.clear()
        default_collate_fn_map.update(numbers | others)


def default_collate(batch):
    """One batch of many samples: tensors are stacked, numbers and NumPy arrays become tensors, texts a list, containers are collated
    item by item. See PyTorch's `torch.utils.data.default_collate`."""
    import sys

    if "numpy" in sys.modules:
        _learn_numpy()
    return collate(batch, collate_fn_map=default_collate_fn_map)
