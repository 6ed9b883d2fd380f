"""Rushlight: tensors, automatic differentiation, modules and optimizers, with PyTorch's API on a small native core.

    import rushlight as torch

Ops come from the native module's table; everything that is not an op is Python, arranged as PyTorch's files are.
"""

from . import _C
from ._C import (
    Generator,
    Tensor,
    as_tensor,
    can_cast,
    default_generator,
    device,
    dtype,
    from_dlpack,
    from_numpy,
    frombuffer,
    get_default_dtype,
    get_num_threads,
    is_anomaly_enabled,
    is_deferred,
    is_grad_enabled,
    is_inference_mode_enabled,
    is_precise,
    promote_types,
    result_type,
    set_anomaly_enabled,
    set_deferred,
    set_num_threads,
    set_precise,
    tensor,
)
from ._size import (
    Size,
    channels_last,
    channels_last_3d,
    contiguous_format,
    layout,
    memory_format,
    preserve_format,
    return_types,
    sparse_coo,
    strided,
)

__rushlight_version__ = _C.__rushlight_version__
__version__ = "2.15.0"  # the PyTorch whose documentation is followed

# ---- dtypes ------------------------------------------------------------------------------------------------------------------------

_ALIASES = dict(
    float="float32", double="float64", half="float16", int="int32", long="int64", short="int16",
)  # fmt: skip
for _name in ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"):
    globals()[_name] = getattr(_C, _name)
for _name, _dtype in _ALIASES.items():
    globals()[_name] = getattr(_C, _dtype)

# ---- ops ---------------------------------------------------------------------------------------------------------------------------

for _name in _C.function_names:
    if not _name.startswith(("special_", "linalg_")):
        globals()[_name] = _C.functions[_name]
# Activations that PyTorch has in both places.
for _name in ("selu", "celu", "rrelu", "threshold", "selu_", "celu_", "rrelu_", "threshold_"):
    globals()[_name] = _C.functions[_name]

from . import _tensor  # noqa: E402
from . import functional as _functional  # noqa: E402

for _name in _functional.__all__:
    globals()[_name] = getattr(_functional, _name)
_tensor._install(_functional)
globals().update(_tensor.legacy_types())

from . import _numbers  # noqa: E402
from ._numbers import *  # noqa: E402, F403
from . import random  # noqa: E402
from .random import fork_rng, get_rng_state, initial_seed, manual_seed, seed, set_rng_state  # noqa: E402
from . import autograd  # noqa: E402
from .autograd import enable_grad, inference_mode, no_grad, set_grad_enabled  # noqa: E402
from . import backends, cuda, utils, version  # noqa: E402

# Modules that few scripts need are imported when first used.
_LAZY = frozenset(
    "accelerator amp checkpoint compiler distributed distributions fft func hub jit linalg mps multiprocessing nn onnx optim profiler safetensors serialization signal special testing types xpu "
    "return_types storage _dynamo _utils".split()
)


def __getattr__(name):
    if name in _LAZY:
        import importlib

        module = importlib.import_module(f"{__name__}.{name}")
        globals()[name] = module
        return module
    if name == "compile":
        from .compiler import compile

        return compile
    if name == "autocast":
        from .amp import autocast

        return autocast
    if name in ("load", "save"):
        from . import serialization

        return getattr(serialization, name)
    if name.endswith("Storage"):
        from . import storage

        if hasattr(storage, name):
            return getattr(storage, name)
    if name in ("OutOfMemoryError", "AcceleratorError"):
        return getattr(cuda, name)
    if name == "GradScaler":
        from .amp import GradScaler

        return GradScaler
    if name == "vmap":
        from .func import vmap

        return vmap
    raise AttributeError(f"module 'rushlight' has no attribute '{name}'")


def __dir__():
    return sorted(set(globals()) | _LAZY | {"compile", "autocast", "vmap", "load", "save"})


del _name, _dtype
