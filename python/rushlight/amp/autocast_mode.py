"""Regions in which matrix products and convolutions run in a lower precision. Its page: ``torch.amp.autocast``."""

import functools
import warnings

import rushlight
from rushlight import Tensor

from . import _policy

__all__ = ["autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]

_DEVICES = (
    "cpu, cuda, ipu, xpu, mkldnn, opengl, opencl, ideep, hip, ve, fpga, maia, xla, lazy, vulkan, mps, meta, hpu, mtia, privateuseone"
)


def is_autocast_available(device_type):
    """Whether there are autocast regions for a type of device: for the CPU."""
    return device_type == "cpu"


def is_autocast_enabled(device_type=None):
    """Whether the calling thread is inside a region."""
    return _policy.state.dtype is not None and device_type in (None, "cpu")


def _check_device_type(device_type):
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")


class autocast:
    """A context manager and decorator: inside, products run in ``dtype`` (bfloat16 by default), losses and the like in float32.

    ``cache_enabled`` is a hint. For devices that are not there the region does nothing, with a warning.
    """

    def __init__(self, device_type, dtype=None, enabled=True, cache_enabled=None):
        _check_device_type(device_type)
        if device_type not in _DEVICES.split(", "):
            raise RuntimeError(f"Expected one of {_DEVICES} device type at start of device string: {device_type}")
        self.device = device_type
        self.fast_dtype = dtype or (rushlight.bfloat16 if device_type == "cpu" else rushlight.float16)
        self._cache_enabled = True if cache_enabled is None else cache_enabled
        if enabled and device_type != "cpu":
            what = "CUDA is not available or torch_xla is imported" if device_type == "cuda" else f"{device_type} is not available"
            warnings.warn(f"{what}. Disabling autocast.", UserWarning, stacklevel=2)
            enabled = False
        elif enabled and self.fast_dtype not in (rushlight.bfloat16, rushlight.float16):
            warnings.warn(
                "In CPU autocast, but the target dtype is not supported. Disabling autocast.\n"
                "CPU Autocast only supports dtypes of torch.bfloat16, torch.float16 currently.",
                UserWarning,
                stacklevel=2,
            )
            enabled = False
        self._enabled = enabled
        self._before = []

    def __enter__(self):
        self._before.append(_policy.state.dtype)
        if self.device == "cpu":
            _policy.enter()
            _policy.state.dtype = self.fast_dtype if self._enabled else None
        return self

    def __exit__(self, exc_type, exc_value, traceback):
        before = self._before.pop()
        if self.device == "cpu":
            _policy.state.dtype = before
            _policy.leave()
        return False

    def __call__(self, func):
        if not callable(func):
            raise TypeError(
                f"autocast()(func) requires a callable, but got {type(func).__name__}. Did you mean to use autocast as a context "
                "manager? For example:\n    with torch.autocast(device_type=...):\n        output = model(input)"
            )

        @functools.wraps(func)
        def inside(*args, **kwargs):
            with self:
                return func(*args, **kwargs)

        return inside


def _cast(value, dtype):
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() and value.dtype != rushlight.float64 else value
    if isinstance(value, dict):
        return {_cast(k, dtype): _cast(v, dtype) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_cast(v, dtype) for v in value)
    return value


def custom_fwd(fwd=None, *, device_type, cast_inputs=None):
    """For ``forward`` of an ``autograd.Function``: runs it with ``cast_inputs``, outside of the region, or else as it is.

    ``ctx`` remembers which, for :func:`custom_bwd`.
    """
    _check_device_type(device_type)
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def decorated(ctx, *args, **kwargs):
        ctx._dtype = _policy.state.dtype
        inside = is_autocast_enabled(device_type)
        if cast_inputs is None or not inside:
            ctx._fwd_used_autocast = inside
            return fwd(ctx, *args, **kwargs)
        ctx._fwd_used_autocast = False
        with autocast(device_type, enabled=False):
            return fwd(ctx, *_cast(args, cast_inputs), **_cast(kwargs, cast_inputs))

    return decorated


def custom_bwd(bwd=None, *, device_type):
    """For ``backward`` of an ``autograd.Function`` whose ``forward`` has :func:`custom_fwd`: runs it as ``forward`` was run."""
    _check_device_type(device_type)
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def decorated(ctx, *args, **kwargs):
        with autocast(device_type, enabled=ctx._fwd_used_autocast, dtype=ctx._dtype):
            return bwd(ctx, *args, **kwargs)

    return decorated
