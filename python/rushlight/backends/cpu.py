"""`torch.backends.cpu`: what the kernels are compiled for."""


def get_cpu_capability():
    """Returns the instruction set that the kernels use: "AVX512", "AVX2", "NEON" or "DEFAULT"."""
    from .. import _C

    return _C._cpu_capability()
