"""`torch.backends.cudnn`: not there. Its flags keep what they are set to, and change nothing."""

from ._flags import setting

enabled = True
benchmark = False
benchmark_limit = 10
deterministic = False
allow_tf32 = True


def is_available():
    """Returns False: there is no cuDNN."""
    return False


def version():
    """Returns None: there is no cuDNN."""
    return None


def is_acceptable(tensor):
    """Returns False: no tensor is on a CUDA device."""
    return False


def flags(enabled=False, benchmark=False, benchmark_limit=10, deterministic=False, allow_tf32=True):
    """Sets the flags for the time of a `with` block."""
    return setting(globals(), dict(locals()))
