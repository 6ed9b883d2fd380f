"""`torch.backends.mha`: whether attention layers may take a shorter path. Here there is one path; the flag keeps what it is set to."""

_fastpath = True


def get_fastpath_enabled():
    """Returns what `set_fastpath_enabled` set."""
    return _fastpath


def set_fastpath_enabled(value):
    """Sets a flag that changes nothing."""
    global _fastpath
    _fastpath = value
