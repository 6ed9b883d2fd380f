"""`torch.backends.opt_einsum`: not there. `einsum` contracts from left to right."""

enabled = False
strategy = None


def is_available():
    """Returns False: orders of contraction are not searched for."""
    return False


def get_opt_einsum():
    """Returns None: the package is not used."""
    return None
