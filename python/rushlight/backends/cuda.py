"""`torch.backends.cuda`: not there. Its flags keep what they are set to, and change nothing."""

from types import SimpleNamespace

from ._flags import setting

matmul = SimpleNamespace(
    allow_tf32=False, allow_fp16_reduced_precision_reduction=True, allow_bf16_reduced_precision_reduction=True, fp32_precision="none"
)
_sdp = {"flash": True, "math": True, "mem_efficient": True, "cudnn": True}


def is_built():
    """Returns False: this is a build without CUDA."""
    return False


def _switch(name):
    def enable(enabled):
        _sdp[name] = bool(enabled)

    def enabled():
        return _sdp[name]

    enable.__doc__ = f"Sets whether the {name} kernel for attention may be chosen; on the CPU there is one kernel only."
    enabled.__doc__ = f"Returns what `enable_{name}_sdp` set."
    return enable, enabled


enable_flash_sdp, flash_sdp_enabled = _switch("flash")
enable_math_sdp, math_sdp_enabled = _switch("math")
enable_mem_efficient_sdp, mem_efficient_sdp_enabled = _switch("mem_efficient")
enable_cudnn_sdp, cudnn_sdp_enabled = _switch("cudnn")


def sdp_kernel(enable_flash=True, enable_math=True, enable_mem_efficient=True, enable_cudnn=True):
    """Sets the switches of attention for the time of a `with` block."""
    return setting(_sdp, {"flash": enable_flash, "math": enable_math, "mem_efficient": enable_mem_efficient, "cudnn": enable_cudnn})


def preferred_linalg_library(backend=None):
    """Accepts a choice between libraries that are not there."""
    if backend not in (None, "default"):
        raise RuntimeError(f"Rushlight has no CUDA: cannot prefer {backend!r}")
    return "default"
