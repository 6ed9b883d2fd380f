"""Which functions cast what inside an autocast region, and how they come to do so.

Nothing is in the way outside of regions: the listed functions are wrapped, wherever the package keeps them, when the first region opens,
and put back when the last one closes. A wrapper acts only on threads that are inside a region. A function that a program has taken out of
the package before (``from rushlight.nn.functional import linear``) is not wrapped; methods and modules are.

The lists are those of PyTorch's CPU page.
"""

import functools
import sys
import threading

import rushlight
from rushlight import Tensor, _C

#: Run in the region's dtype.
LOWER = (
    "matmul mm bmm addmm addbmm baddbmm linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d "
    "scaled_dot_product_attention einsum tensordot inner chain_matmul multi_dot matrix_power vecdot __matmul__ __rmatmul__"
).split()
#: Run in float32.
FLOAT32 = (
    "avg_pool3d adaptive_avg_pool3d adaptive_max_pool3d grid_sample prod quantile nanquantile stft cdist trace "
    "cholesky inverse inv svd qr eigh solve lstsq "
    "binary_cross_entropy binary_cross_entropy_with_logits mse_loss l1_loss smooth_l1_loss huber_loss kl_div nll_loss cross_entropy ctc_loss "
    "cosine_embedding_loss poisson_nll_loss hinge_embedding_loss margin_ranking_loss multilabel_margin_loss multi_margin_loss "
    "soft_margin_loss triplet_margin_loss"
).split()
#: Run in the widest dtype among their tensors.
WIDEST = "cat stack index_copy".split()


class _State(threading.local):
    dtype = None


#: ``state.dtype``: what this thread's region casts to; None outside of regions.
state = _State()


def _map(value, f):
    """Applies ``f`` to the floating tensors in an argument. float64 stays, as PyTorch has it."""
    if isinstance(value, Tensor):
        return f(value) if value.is_floating_point() and value.dtype != rushlight.float64 else value
    if type(value) in (list, tuple):
        return type(value)(_map(v, f) for v in value)
    return value


def _to_region_dtype(args, kwargs, dtype):
    return lambda t: t if t.dtype == dtype else t.to(dtype)


def _to_float32(args, kwargs, dtype):
    return lambda t: t if t.dtype == rushlight.float32 else t.to(rushlight.float32)


def _to_widest(args, kwargs, dtype):
    seen = set()
    for value in (*args, *kwargs.values()):
        _map(value, lambda t: seen.add(t.dtype) or t)
    if len(seen) < 2:
        return lambda t: t
    return lambda t: t.to(rushlight.float32)


_RULES = {name: rule for names, rule in ((LOWER, _to_region_dtype), (FLOAT32, _to_float32), (WIDEST, _to_widest)) for name in names}


def _wrap(function, rule):
    @functools.wraps(function, assigned=("__name__", "__qualname__", "__doc__"), updated=())
    def cast(*args, **kwargs):
        dtype = state.dtype
        if dtype is None or "out" in kwargs:
            return function(*args, **kwargs)
        f = rule(args, kwargs, dtype)
        args = tuple(_map(a, f) for a in args)
        kwargs = {key: _map(value, f) for key, value in kwargs.items()}
        # What the function is made of runs as it is.
        state.dtype = None
        try:
            return function(*args, **kwargs)
        finally:
            state.dtype = dtype

    return cast


def _places():
    """Where functions are kept, by name."""
    yield vars(rushlight)
    yield vars(rushlight.nn.functional)
    yield _C.functions
    if "rushlight.linalg" in sys.modules:
        yield vars(sys.modules["rushlight.linalg"])


_lock = threading.Lock()
_regions = 0
_originals = []


def enter():
    """Counts a region; the first one wraps the functions."""
    global _regions
    with _lock:
        _regions += 1
        if _regions > 1:
            return
        for place in _places():
            for name, rule in _RULES.items():
                if name in place:
                    _originals.append((place, name, place[name]))
                    place[name] = _wrap(place[name], rule)
        for name, rule in _RULES.items():
            if name in vars(Tensor):
                _originals.append((None, name, vars(Tensor)[name]))
                setattr(Tensor, name, _wrap(vars(Tensor)[name], rule))


def leave():
    """Counts a region out; the last one puts the functions back."""
    global _regions
    with _lock:
        _regions -= 1
        if _regions:
            return
        for place, name, original in _originals:
            if place is None:
                setattr(Tensor, name, original)
            else:
                place[name] = original
        _originals.clear()
