"""``assert_close``: are two values, or two nested collections of them, the same up to rounding?

Both are first taken apart into pairs of leaves (``_pairs``); then the pairs are compared, and the first that differs is the error.
"""

import cmath
import math
import warnings
from collections.abc import Mapping, Sequence

import rushlight
from rushlight import Tensor

__all__ = ["assert_close", "assert_allclose"]

#: Default rtol and atol; everything else is compared exactly.
_TOLERANCES = {
    rushlight.float16: (1e-3, 1e-5),
    rushlight.bfloat16: (1.6e-2, 1e-5),
    rushlight.float32: (1.3e-6, 1e-5),
    rushlight.float64: (1e-7, 1e-7),
}
_EXACT = (0.0, 0.0)
_PYTHON_TOLERANCES = {float: (1e-7, 1e-7), complex: (1e-7, 1e-7)}


class _Differ(Exception):
    """A difference: the kind of error that it is for the caller, its text, and where it is."""

    def __init__(self, kind, text, path=()):
        self.kind = kind
        self.text = text
        self.path = path

    def describe(self):
        where = "".join(f"[{item!r}]" for item in self.path)
        return self.text + (f"\n\nThe failure occurred for item {where}" if where else "")


def assert_close(
    actual,
    expected,
    *,
    allow_subclasses=True,
    rtol=None,
    atol=None,
    equal_nan=False,
    check_device=True,
    check_dtype=True,
    check_layout=True,
    check_stride=False,
    msg=None,
):
    """Raises AssertionError unless ``|actual - expected| <= atol + rtol * |expected|`` everywhere.

    Takes tensors, numbers, arrays, and sequences and mappings of them. Tolerances depend on the dtype unless both are given.
    ``check_layout`` always holds: all tensors are strided. ``msg`` is the text, or a function that changes it.
    """
    __tracebackhide__ = True
    if (rtol is None) != (atol is None):
        missing = "atol" if atol is None else "rtol"
        raise ValueError(f"Both 'rtol' and 'atol' must be either specified or omitted, but got no {missing}.")
    tolerances = None if rtol is None else (rtol, atol)
    try:
        pairs = list(_pairs(actual, expected, (), allow_subclasses))
    except _Differ as e:
        raise e.kind(e.describe()) from None
    try:
        for compare, a, b, path in pairs:
            compare(a, b, path, tolerances, equal_nan, check_device, check_dtype, check_stride)
    except _Differ as e:
        text = e.describe()
        if msg is not None:
            text = msg(text) if callable(msg) else msg
        raise e.kind(text) from None


def assert_allclose(actual, expected, rtol=None, atol=None, equal_nan=True, msg=""):
    """Deprecated: :func:`assert_close` without checks of device, dtype and stride."""
    warnings.warn(
        "`torch.testing.assert_allclose()` is deprecated since 1.12 and will be removed in a future release. "
        "Please use `torch.testing.assert_close()` instead.",
        FutureWarning,
        stacklevel=2,
    )
    actual, expected = (x if isinstance(x, Tensor) else rushlight.tensor(x) for x in (actual, expected))
    if rtol is None and atol is None:
        rtol, atol = (max(pair) for pair in zip(*({_of_dtype(x.dtype) for x in (actual, expected)})))
    assert_close(
        actual, expected, rtol=rtol, atol=atol, equal_nan=equal_nan, check_device=True, check_dtype=False, msg=msg or None
    )


def _is_number(x):
    return (isinstance(x, (int, float, complex)) and not isinstance(x, bool)) or (
        type(x).__module__ == "numpy" and hasattr(x, "item") and not hasattr(x, "__len__") and type(x).__name__ not in ("bool", "bool_")
    )


def _is_bool(x):
    return isinstance(x, bool) or (type(x).__module__ == "numpy" and type(x).__name__ in ("bool", "bool_"))


def _is_tensor_like(x):
    return isinstance(x, Tensor) or hasattr(x, "__array_interface__") or hasattr(x, "__dlpack__")


def _pairs(actual, expected, path, allow_subclasses):
    """``(compare, actual, expected, path)`` of every pair of leaves; raises where the structures differ."""
    if isinstance(actual, Sequence) and isinstance(expected, Sequence) and not isinstance(actual, str) and not isinstance(expected, str):
        if len(actual) != len(expected):
            raise _Differ(AssertionError, f"The length of the sequences mismatch: {len(actual)} != {len(expected)}", path)
        for i, (a, b) in enumerate(zip(actual, expected)):
            yield from _pairs(a, b, (*path, i), allow_subclasses)
    elif isinstance(actual, Mapping) and isinstance(expected, Mapping):
        missing, additional = expected.keys() - actual.keys(), actual.keys() - expected.keys()
        if missing or additional:
            raise _Differ(
                AssertionError,
                "The keys of the mappings do not match:\n"
                f"Missing keys in the actual mapping: {_sorted(missing)}\n"
                f"Additional keys in the actual mapping: {_sorted(additional)}",
                path,
            )
        for key in _sorted(actual):
            yield from _pairs(actual[key], expected[key], (*path, key), allow_subclasses)
    else:
        yield _leaf(actual, expected, allow_subclasses, path), actual, expected, path


def _sorted(keys):
    try:
        return sorted(keys)
    except TypeError:
        return list(keys)


def _leaf(a, b, allow_subclasses, path):
    """The function that compares such a pair."""
    if a is None or b is None:
        return _compare_none
    if _is_bool(a) and _is_bool(b):
        return _compare_bools
    if _is_number(a) and _is_number(b):
        return _compare_numbers
    related = type(a) is type(b) or (allow_subclasses and (isinstance(a, type(b)) or isinstance(b, type(a))))
    if related and _is_tensor_like(a) and _is_tensor_like(b):
        return _compare_tensors
    raise _Differ(TypeError, f"No comparison pair was able to handle inputs of type {type(a)} and {type(b)}.", path)


def _compare_none(a, b, path, *_):
    if not (a is None and b is None):
        raise _Differ(AssertionError, f"None mismatch: {a} is not {b}", path)


def _compare_bools(a, b, path, *_):
    if bool(a) is not bool(b):
        raise _Differ(AssertionError, f"Booleans mismatch: {bool(a)} is not {bool(b)}", path)


def _compare_numbers(a, b, path, tolerances, equal_nan, check_device, check_dtype, check_stride):
    a, b = (x.item() if hasattr(x, "item") else x for x in (a, b))
    if check_dtype and type(a) is not type(b):
        raise _Differ(AssertionError, f"The (d)types do not match: {type(a)} != {type(b)}.", path)
    rtol, atol = tolerances or tuple(
        max(pair) for pair in zip(*(_PYTHON_TOLERANCES.get(type(x), _EXACT) for x in (a, b)))
    )
    if not _close(a, b, rtol, atol, equal_nan):
        raise _Differ(AssertionError, _scalars_differ(a, b, rtol, atol), path)


def _close(a, b, rtol, atol, equal_nan):
    if a == b:
        return True
    if cmath.isnan(a) or cmath.isnan(b):
        return equal_nan and cmath.isnan(a) and cmath.isnan(b)
    return not cmath.isinf(a) and not cmath.isinf(b) and abs(a - b) <= atol + rtol * abs(b)


def _scalars_differ(a, b, rtol, atol):
    difference = abs(a - b)
    relative = difference / abs(b) if b != 0 else (math.nan if difference != difference else math.inf)
    how, suffix = _how(rtol, atol)
    return (
        f"Scalars are not {how}!\n\nExpected {b} but got {a}.\n"
        f"Absolute difference: {difference}{suffix(atol)}\nRelative difference: {relative}{suffix(rtol)}"
    )


def _how(rtol, atol):
    """What a comparison asks for, and what it says about a tolerance."""
    exact = rtol == 0 and atol == 0
    return ("equal", lambda _: "") if exact else ("close", lambda tolerance: f" (up to {tolerance} allowed)")


def _of_dtype(dtype):
    return _TOLERANCES.get(dtype, _EXACT)


def _compare_tensors(a, b, path, tolerances, equal_nan, check_device, check_dtype, check_stride):
    a, b = (x.detach() if isinstance(x, Tensor) else rushlight.as_tensor(x) for x in (a, b))
    rtol, atol = tolerances or tuple(max(pair) for pair in zip(_of_dtype(a.dtype), _of_dtype(b.dtype)))
    attributes = [
        ("shape", a.shape, b.shape, True),
        ("device", a.device, b.device, check_device),
        ("dtype", a.dtype, b.dtype, check_dtype),
        ("stride()", a.stride(), b.stride(), check_stride),
    ]
    for name, x, y, wanted in attributes:
        if wanted and x != y:
            raise _Differ(AssertionError, f"The values for attribute '{name}' do not match: {x} != {y}.", path)
    if a.dtype != b.dtype:
        common = rushlight.promote_types(a.dtype, b.dtype)
        a, b = a.to(common), b.to(common)
    if not a.is_floating_point():
        a, b = a.to(rushlight.int64), b.to(rushlight.int64)
    matches = rushlight.isclose(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan)
    if bool(matches.all()):
        return
    if a.dim() == 0:
        raise _Differ(AssertionError, _scalars_differ(a.item(), b.item(), rtol, atol), path)
    raise _Differ(AssertionError, _tensors_differ(a, b, matches, rtol, atol), path)


def _tensors_differ(a, b, matches, rtol, atol):
    shape = tuple(a.shape)
    a, b, matches = (x.reshape(-1) for x in (a, b, matches))
    count = a.numel()
    wrong = count - int(matches.sum())
    difference = (a - b).abs()
    relative = difference / b.abs()
    how, suffix = _how(rtol, atol)
    lines = [f"Tensor-likes are not {how}!", "", f"Mismatched elements: {wrong} / {count} ({wrong / count:.1%})"]
    for name, values, tolerance in (("absolute", difference, atol), ("relative", relative, rtol)):
        values = values.masked_fill(matches, 0)
        at = int(values.argmax())
        lines.append(f"Greatest {name} difference: {values[at].item()} at index {_unravel(at, shape)}{suffix(tolerance)}")
    return "\n".join(lines)


def _unravel(at, shape):
    index = []
    for size in reversed(shape):
        at, i = divmod(at, size)
        index.append(i)
    return tuple(reversed(index))
