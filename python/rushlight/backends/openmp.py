"""`torch.backends.openmp`: not there."""


def is_available():
    """Returns False: Rushlight's thread pool is its own."""
    return False
