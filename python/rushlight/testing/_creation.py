"""``make_tensor``: random tensors for tests."""

import math
import warnings

import rushlight

__all__ = ["make_tensor"]

_INTEGERS = (rushlight.uint8, rushlight.int8, rushlight.int16, rushlight.int32, rushlight.int64)
_FLOATS = (rushlight.float16, rushlight.bfloat16, rushlight.float32, rushlight.float64)


def make_tensor(
    *shape,
    dtype,
    device,
    low=None,
    high=None,
    requires_grad=False,
    noncontiguous=False,
    exclude_zero=False,
    memory_format=None,
):
    """A tensor of uniform random values in ``[low, high)``.

    By default bools are drawn from both, unsigned integers from [0, 10), signed ones from [-9, 10) and floats from [-9, 9).
    ``exclude_zero`` replaces zeros by the smallest positive normal number (1 for integers). ``noncontiguous`` gives every other element of
    a wider tensor.
    """
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        shape = tuple(shape[0])
    if noncontiguous and memory_format is not None:
        raise ValueError(
            "The parameters `noncontiguous` and `memory_format` are mutually exclusive, "
            f"but got noncontiguous={noncontiguous!r} and memory_format={memory_format!r}"
        )
    if requires_grad and not dtype.is_floating_point:
        raise ValueError(f"`requires_grad=True` is not supported for boolean and integral dtypes, but got dtype={dtype!r}")
    wider = noncontiguous and math.prod(shape) > 1
    if wider:
        shape = (*shape[:-1], 2 * shape[-1])
    if dtype is rushlight.bool:
        low, high = _range(low, high, dtype, 0, 2, (0, 2))
        result = rushlight.randint(math.floor(low), math.ceil(high), shape, dtype=dtype, device=device)
    elif dtype in _INTEGERS:
        info = rushlight.iinfo(dtype)
        low, high = _range(low, high, dtype, info.min, info.max + (dtype is not rushlight.int64), (max(info.min, -9) if info.min else 0, 10))
        result = rushlight.randint(math.floor(low), math.ceil(high), shape, dtype=dtype, device=device)
    elif dtype in _FLOATS:
        info = rushlight.finfo(dtype)
        low, high = _range(low, high, dtype, info.min, info.max, (-9, 9))
        result = rushlight.empty(shape, dtype=dtype, device=device)
        if low == high:
            result.fill_(low)
        elif high - low >= info.max:
            # The width itself is not finite.
            result.uniform_(low / 2, high / 2).mul_(2)
        else:
            result.uniform_(low, high)
    else:
        raise TypeError(f"The requested dtype '{dtype}' is not supported by torch.testing.make_tensor().")
    if wider:
        result = result[..., 1::2]
    elif memory_format is not None:
        result = result.clone(memory_format=memory_format)
    if exclude_zero:
        result = result.masked_fill_(result == 0, rushlight.finfo(dtype).tiny if dtype.is_floating_point else 1)
    return result.requires_grad_(True) if requires_grad else result


def _range(low, high, dtype, smallest, largest, default):
    """The interval, checked and cut to what the dtype can hold."""
    low, high = (given if given is not None else fallback for given, fallback in zip((low, high), default))
    if any(isinstance(x, float) and math.isnan(x) for x in (low, high)):
        raise ValueError(f"`low` and `high` cannot be NaN, but got low={low!r} and high={high!r}")
    if low == high and dtype.is_floating_point:
        warnings.warn(
            "Passing `low==high` to `torch.testing.make_tensor` for floating or complex types is deprecated since 2.1 and will be "
            "removed in 2.3. Use `torch.full(...)` instead.",
            FutureWarning,
            stacklevel=4,
        )
    elif low >= high:
        raise ValueError(f"`low` must be less than `high`, but got {low} >= {high}")
    elif high < smallest or low >= largest:
        raise ValueError(
            f"The value interval specified by `low` and `high` is [{low}, {high}), but {dtype} only supports [{smallest}, {largest})"
        )
    return max(low, smallest), min(high, largest)
