"""Constants, questions about tensors and dtypes, and settings: the small functions of the package."""

import math

from . import _C

__all__ = """pi e inf nan newaxis is_tensor is_storage is_floating_point is_complex is_nonzero is_same_size numel set_default_dtype set_default_tensor_type
    set_default_device get_default_device set_printoptions set_num_interop_threads get_num_interop_threads use_deterministic_algorithms
    are_deterministic_algorithms_enabled is_deterministic_algorithms_warn_only_enabled set_deterministic_debug_mode get_deterministic_debug_mode
    set_float32_matmul_precision get_float32_matmul_precision set_flush_denormal is_warn_always_enabled set_warn_always asarray finfo iinfo typename
    is_autocast_enabled is_autocast_cpu_enabled get_device_module is_inference is_signed is_conj is_neg conj resolve_conj resolve_neg
    is_distributed detach""".split()

pi, e, inf, nan, newaxis = math.pi, math.e, math.inf, math.nan, None
Tensor = _C.Tensor


def is_tensor(obj):
    """Whether `obj` is a tensor."""
    return isinstance(obj, Tensor)


def is_storage(obj):
    """Whether `obj` is a storage."""
    from .storage import TypedStorage, UntypedStorage

    return isinstance(obj, (TypedStorage, UntypedStorage))


def is_floating_point(input):
    """Whether the elements are floating-point numbers."""
    return input.is_floating_point()


def is_complex(input):
    """False: there are no complex tensors."""
    return input.is_complex()


def is_signed(input):
    """Whether the dtype has negative numbers."""
    return input.is_signed()


def is_inference(input):
    """Whether the tensor was made in inference mode."""
    return input.is_inference()


def is_conj(input):
    """False: there are no complex tensors."""
    return False


is_neg = is_distributed = is_conj


def conj(input):
    """Returns `input`, which is real."""
    return input


resolve_conj = resolve_neg = conj


def detach(input):
    """A tensor over the same memory, without history."""
    return input.detach()


def is_nonzero(input):
    """Whether the only element is not zero."""
    if input.numel() != 1:
        raise RuntimeError(
            "Boolean value of Tensor with no values is ambiguous"
            if input.numel() == 0
            else "Boolean value of Tensor with more than one value is ambiguous"
        )
    return bool(input)


def is_same_size(input, other):
    """Whether both have the same shape."""
    return input.shape == other.shape


def numel(input):
    """Number of elements."""
    return input.numel()


def typename(obj):
    """The name of an object's type, with its module."""
    if isinstance(obj, Tensor):
        return obj.type()
    kind = type(obj)
    return kind.__name__ if kind.__module__ in ("builtins", None) else f"{kind.__module__}.{kind.__name__}"


def asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=False):
    """`obj` as a tensor: shared where possible, unless `copy` is True; with `copy=False` never copied."""
    if isinstance(obj, (bytes, bytearray, memoryview)):
        shared, is_view = _C.frombuffer(obj, dtype=dtype or _C.get_default_dtype()), True
    else:
        is_view = isinstance(obj, Tensor) or hasattr(obj, "__array_interface__")
        shared = _C.as_tensor(obj, device=device) if is_view else _C.as_tensor(obj, dtype=dtype, device=device)
    moved = is_view and dtype is not None and shared.dtype is not dtype
    if copy is False and not is_view:
        raise ValueError("can't alias arbitrary sequence into a tensor.")
    if copy is False and moved:
        names = [d.type().removeprefix("torch.").removesuffix("Tensor") for d in (shared, shared.new_empty(0, dtype=dtype))]
        raise ValueError(f"can't alias tensor with dtype '{names[0]}' into dtype '{names[1]}'.")
    result = shared.to(dtype) if moved else shared.clone() if copy and is_view else shared
    return result.requires_grad_() if requires_grad else result


# ---- settings ---------------------------------------------------------------------------------------------------------------------------


def set_default_dtype(d):
    """Sets the dtype of new floating tensors: float32, float64, float16 or bfloat16."""
    _C.set_default_dtype(d)


def set_default_tensor_type(t):
    """PyTorch's legacy way to set the default dtype: 'torch.DoubleTensor' or the class."""
    from ._tensor import _TYPES

    name = t.rpartition(".")[2] if isinstance(t, str) else t.__name__
    if name not in _TYPES:
        raise TypeError(f"invalid type object: {t}")
    _C.set_default_dtype(_TYPES[name])


def set_default_device(device):
    """Accepts the CPU, where every tensor is."""
    if device is not None:
        _C.functions["empty"]((0,), device=device)


def get_default_device():
    """The CPU."""
    return _C.device("cpu")


_PROFILES = {
    "default": dict(precision=4, threshold=1000, edgeitems=3, linewidth=80),
    "short": dict(precision=2, threshold=1000, edgeitems=2, linewidth=80),
    "full": dict(precision=4, threshold=inf, edgeitems=3, linewidth=80),
}


def set_printoptions(precision=None, threshold=None, edgeitems=None, linewidth=None, profile=None, sci_mode=None):
    """Sets how tensors are printed. `profile`: 'default', 'short' or 'full'; the other options change it."""
    options = _C._print_options()
    if profile is not None:
        options.update(_PROFILES[profile])
    given = dict(precision=precision, threshold=threshold, edgeitems=edgeitems, linewidth=linewidth)
    options.update({name: value for name, value in given.items() if value is not None})
    options["sci_mode"] = sci_mode
    _C._set_print_options(**options)


_settings = dict(deterministic=False, warn_only=False, precision="highest", interop=1, warn_always=False)


def use_deterministic_algorithms(mode, *, warn_only=False):
    """Accepted: every result is deterministic anyway, at any number of threads."""
    _settings.update(deterministic=bool(mode), warn_only=bool(mode) and warn_only)


def are_deterministic_algorithms_enabled():
    """What `use_deterministic_algorithms` was given."""
    return _settings["deterministic"]


def is_deterministic_algorithms_warn_only_enabled():
    """What `use_deterministic_algorithms` was given as `warn_only`."""
    return _settings["warn_only"]


def set_deterministic_debug_mode(debug_mode):
    """Accepted: 0 or 'default', 1 or 'warn', 2 or 'error'."""
    level = {"default": 0, "warn": 1, "error": 2}.get(debug_mode, debug_mode)
    use_deterministic_algorithms(level > 0, warn_only=level == 1)


def get_deterministic_debug_mode():
    """0, 1 or 2, as `set_deterministic_debug_mode` was told."""
    return 0 if not _settings["deterministic"] else 1 if _settings["warn_only"] else 2


def set_float32_matmul_precision(precision):
    """Accepted; products of float32 are always computed in float32 ('highest')."""
    if precision not in ("highest", "high", "medium"):
        raise ValueError(f"precision must be 'highest', 'high' or 'medium', not {precision!r}")
    _settings["precision"] = precision


def get_float32_matmul_precision():
    """What `set_float32_matmul_precision` was told."""
    return _settings["precision"]


def set_flush_denormal(mode):
    """False: denormal numbers are never flushed to zero."""
    return False


def set_num_interop_threads(n):
    """Accepted: ops are not run side by side."""
    _settings["interop"] = n


def get_num_interop_threads():
    """What `set_num_interop_threads` was told."""
    return _settings["interop"]


def set_warn_always(b):
    """Accepted: every warning goes through Python's filters."""
    _settings["warn_always"] = b


def is_warn_always_enabled():
    """What `set_warn_always` was told."""
    return _settings["warn_always"]


def is_autocast_enabled(device_type=None):
    """Whether an autocast region is active."""
    import sys

    amp = sys.modules.get("rushlight.amp")
    return amp is not None and amp.is_autocast_enabled()


is_autocast_cpu_enabled = is_autocast_enabled


def get_device_module(device=None):
    """The module of the CPU."""
    from . import backends

    return backends.cpu


# ---- ranges of dtypes ---------------------------------------------------------------------------------------------------------------------


class finfo:
    """Range and precision of a floating dtype. https://docs.pytorch.org/docs/stable/type_info.html"""

    _TINY = {"float16": 2.0**-14, "bfloat16": 2.0**-126, "float32": 2.0**-126, "float64": 2.0**-1022}
    _RESOLUTION = {"float16": 1e-3, "bfloat16": 1e-2, "float32": 1e-6, "float64": 1e-15}

    def __init__(self, dtype=None):
        dtype = dtype or _C.get_default_dtype()
        if not dtype.is_floating_point:
            raise TypeError(f"torch.finfo() requires a floating point input type. Use torch.iinfo to handle '{dtype}'")
        self.dtype = str(dtype).rpartition(".")[2]
        self.min, self.max, self.eps = _C._finfo(dtype)
        self.bits = dtype.itemsize * 8
        self.tiny = self.smallest_normal = self._TINY[self.dtype]
        self.resolution = self._RESOLUTION[self.dtype]

    def __repr__(self):
        number = "{:g}".format
        return (
            f"finfo(resolution={number(self.resolution)}, min={number(self.min)}, max={number(self.max)}, eps={number(self.eps)}, "
            f"smallest_normal={number(self.tiny)}, tiny={number(self.tiny)}, dtype={self.dtype})"
        )


class iinfo:
    """Range of an integer dtype."""

    def __init__(self, dtype):
        if dtype.is_floating_point or dtype is _C.bool:
            raise TypeError(f"torch.iinfo() requires an integer input type. Use torch.finfo to handle '{dtype}'")
        self.dtype = str(dtype).rpartition(".")[2]
        self.bits = dtype.itemsize * 8
        self.min, self.max = (-(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1) if dtype.is_signed else (0, 2**self.bits - 1)

    def __repr__(self):
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"
