"""Anomaly mode: a backward pass that meets NaN fails, and names the forward op.

Source: <https://docs.pytorch.org/docs/stable/autograd.html#anomaly-detection>
"""

from rushlight import _C


def _check(check_nan):
    if not check_nan:
        raise NotImplementedError("anomaly mode without the check for NaN is not supported: leave check_nan=True")


class detect_anomaly:
    """A block in which gradients are checked for NaN. `check_nan` must stay true."""

    def __init__(self, check_nan=True):
        import warnings

        _check(check_nan)
        self.prev = _C.is_anomaly_enabled()
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should only be enabled for debugging.",
            stacklevel=2,
        )

    def __enter__(self):
        _C.set_anomaly_enabled(True)

    def __exit__(self, *exc):
        _C.set_anomaly_enabled(self.prev)


class set_detect_anomaly:
    """Anomaly mode on or off: at once, or for a block when used as a context manager."""

    def __init__(self, mode, check_nan=True):
        if mode:
            _check(check_nan)
        self.prev = _C.is_anomaly_enabled()
        _C.set_anomaly_enabled(mode)

    def __enter__(self):
        return None

    def __exit__(self, *exc):
        _C.set_anomaly_enabled(self.prev)
