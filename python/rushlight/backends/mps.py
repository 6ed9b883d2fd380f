"""`torch.backends.mps`: not there."""


def is_built():
    """Returns False: this is a build without Metal."""
    return False


def is_available():
    """Returns False: there is no Metal device."""
    return False


def is_macos_or_newer(major, minor):
    """Returns False: nothing depends on it here."""
    return False
