"""Window functions, symmetric by default. https://docs.pytorch.org/docs/stable/signal.html"""

import math

from .. import _C

_f = _C.functions
__all__ = []


def _places(name, M, sym, dtype):
    """`M` places from 0 to 1, or with `sym=False` to just before 1; in double precision."""
    if M < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={M}")
    if dtype is not None and not dtype.is_floating_point:
        raise ValueError(f"{name} expects floating point dtypes, got: {dtype}")
    return _f["arange"](M, dtype=_C.float64) / max(M - 1 if sym else M, 1)


def _window(f):
    """Makes a window of a function of the places and the window's own parameters."""
    name = f.__name__

    def window(M, *args, sym=True, dtype=None, layout=None, device=None, requires_grad=False, **kwargs):
        t = _places(name, M, sym, dtype)
        values = t + 1 if M == 1 else f(t, M, sym, *args, **kwargs)
        return values.to(dtype or _C.get_default_dtype()).requires_grad_(requires_grad)

    window.__name__, window.__qualname__, window.__doc__ = name, name, f.__doc__
    __all__.append(name)
    return window


def _cosines(t, coefficients):
    return sum((-1) ** k * a * _f["cos"](2 * math.pi * k * t) for k, a in enumerate(coefficients))


@_window
def general_cosine(t, M, sym, *, a):
    """The sum of `(-1)ᵏ a[k] cos(2π k t)`."""
    if not a:
        raise ValueError("Coefficients cannot be empty")
    return _cosines(t, a)


@_window
def general_hamming(t, M, sym, *, alpha=0.54):
    """`alpha - (1 - alpha) cos(2π t)`."""
    return _cosines(t, (alpha, 1 - alpha))


@_window
def hamming(t, M, sym):
    """`0.54 - 0.46 cos(2π t)`."""
    return _cosines(t, (0.54, 0.46))


@_window
def hann(t, M, sym):
    """`0.5 - 0.5 cos(2π t)`."""
    return _cosines(t, (0.5, 0.5))


@_window
def blackman(t, M, sym):
    """`0.42 - 0.5 cos(2π t) + 0.08 cos(4π t)`."""
    return _cosines(t, (0.42, 0.5, 0.08))


@_window
def nuttall(t, M, sym):
    """Nuttall's minimum of four terms."""
    return _cosines(t, (0.3635819, 0.4891775, 0.1365995, 0.0106411))


@_window
def bartlett(t, M, sym):
    """The triangle `1 - |2 t - 1|`."""
    return 1 - (2 * t - 1).abs()


@_window
def cosine(t, M, sym):
    """`sin(π (n + 1/2) / M)`, where M counts one more if not `sym`."""
    length = M if sym else M + 1
    n = _f["arange"](M, dtype=_C.float64)
    return _f["sin"](math.pi * (n + 0.5) / length)


def _centred(M, sym):
    """Distances from the middle, in samples."""
    return _f["arange"](M, dtype=_C.float64) - (M - 1 if sym else M) / 2


@_window
def gaussian(t, M, sym, *, std=1.0):
    """`exp(-(n - middle)² / (2 std²))`."""
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    return _f["exp"](-0.5 * (_centred(M, sym) / std) ** 2)


@_window
def exponential(t, M, sym, *, center=None, tau=1.0):
    """`exp(-|n - center| / tau)`; by default about the middle."""
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")
    if center is None:
        center = (M - 1 if sym else M) / 2
    return _f["exp"](-(_f["arange"](M, dtype=_C.float64) - center).abs() / tau)


@_window
def kaiser(t, M, sym, *, beta=12.0):
    """`I₀(beta √(1 - (2 t - 1)²)) / I₀(beta)`."""
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    inside = (1 - (2 * t - 1) ** 2).clamp(min=0).sqrt()
    return _f["i0"](beta * inside) / _f["i0"](_C.tensor(float(beta), dtype=_C.float64))
