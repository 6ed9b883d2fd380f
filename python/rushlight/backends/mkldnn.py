"""`torch.backends.mkldnn`: not there. Its flags keep what they are set to, and change nothing."""

from ._flags import setting

enabled = True
deterministic = False
allow_tf32 = True


def is_available():
    """Returns False: there is no oneDNN."""
    return False


def flags(enabled=False, deterministic=False, allow_tf32=True):
    """Sets the flags for the time of a `with` block."""
    return setting(globals(), dict(locals()))
