"""The pooling functions of `nn.functional`, and their inverses."""

import math

import rushlight
from rushlight import _C

_op = _C.functions

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_with_indices",
    "adaptive_max_pool3d",
    "adaptive_max_pool3d_with_indices",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "fractional_max_pool2d",
    "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool1d_with_indices",
    "max_pool2d",
    "max_pool2d_with_indices",
    "max_pool3d",
    "max_pool3d_with_indices",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
]

avg_pool1d = _op["avg_pool1d"]
avg_pool2d = _op["avg_pool2d"]
avg_pool3d = _op["avg_pool3d"]
adaptive_avg_pool1d = _op["adaptive_avg_pool1d"]

_plain_max_pool = {n: _op[f"max_pool{n}d"] for n in (1, 2, 3)}
_indexed_max_pool = {n: _op[f"max_pool{n}d_with_indices"] for n in (1, 2, 3)}
_plain_adaptive_max_pool = {n: _op[f"adaptive_max_pool{n}d"] for n in (1, 2, 3)}
_indexed_adaptive_max_pool = {n: _op[f"adaptive_max_pool{n}d_with_indices"] for n in (1, 2, 3)}
_adaptive_avg_pool = {n: _op[f"adaptive_avg_pool{n}d"] for n in (2, 3)}


def _tuple(value, n):
    if isinstance(value, int):
        return (value,) * n
    value = tuple(value)
    return value * n if len(value) == 1 else value


def _max_pool(n):
    plain, indexed = _plain_max_pool[n], _indexed_max_pool[n]

    def with_indices(
        input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False
    ):
        return indexed(input, kernel_size, stride, padding, dilation, ceil_mode)

    def max_pool(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
        op = indexed if return_indices else plain
        return op(input, kernel_size, stride, padding, dilation, ceil_mode)

    with_indices.__doc__ = f"As `max_pool{n}d`, and the position of each maximum in its channel."
    max_pool.__doc__ = f"Returns the maxima of {n}-D windows, and their positions if `return_indices`."
    return max_pool, with_indices


max_pool1d, max_pool1d_with_indices = _max_pool(1)
max_pool2d, max_pool2d_with_indices = _max_pool(2)
max_pool3d, max_pool3d_with_indices = _max_pool(3)


def _filled_size(input, size, n):
    """Returns `size` with the input's sizes where it is None."""
    if isinstance(size, int):
        return size
    size = list(size)
    if input.dim() <= len(size):
        raise ValueError(f"Input dimension should be at least {len(size) + 1}")
    return [given if given is not None else own for given, own in zip(size, input.shape[-len(size):])]


def adaptive_avg_pool2d(input, output_size):
    """Returns averages, a plane of `output_size` per channel; None keeps the input's size."""
    return _adaptive_avg_pool[2](input, _filled_size(input, output_size, 2))


def adaptive_avg_pool3d(input, output_size):
    """Returns averages, `output_size` of them per channel; None keeps the input's size."""
    return _adaptive_avg_pool[3](input, _filled_size(input, output_size, 3))


def _adaptive_max_pool(n):
    plain, indexed = _plain_adaptive_max_pool[n], _indexed_adaptive_max_pool[n]

    def with_indices(input, output_size, return_indices=False):
        return indexed(input, _filled_size(input, output_size, n))

    def adaptive_max_pool(input, output_size, return_indices=False):
        op = indexed if return_indices else plain
        return op(input, _filled_size(input, output_size, n))

    with_indices.__doc__ = f"As `adaptive_max_pool{n}d`, and the position of each maximum in its channel."
    adaptive_max_pool.__doc__ = "Returns maxima, `output_size` of them per channel, and their positions if `return_indices`."
    return adaptive_max_pool, with_indices


adaptive_max_pool1d, adaptive_max_pool1d_with_indices = _adaptive_max_pool(1)
adaptive_max_pool2d, adaptive_max_pool2d_with_indices = _adaptive_max_pool(2)
adaptive_max_pool3d, adaptive_max_pool3d_with_indices = _adaptive_max_pool(3)

for _name in __all__:
    if _name in globals() and "max_pool" in _name:
        globals()[_name].__name__ = globals()[_name].__qualname__ = _name


def _lp_pool(input, norm_type, kernel_size, stride, ceil_mode, n):
    pool = (avg_pool1d, avg_pool2d, avg_pool3d)[n - 1]
    mean = pool(input.pow(norm_type), kernel_size, stride, 0, ceil_mode)
    count = math.prod(_tuple(kernel_size, n))
    return (rushlight.sign(mean) * rushlight.relu(rushlight.abs(mean))).mul(count).pow(1.0 / norm_type)


def lp_pool1d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """Returns the `norm_type`-norms of windows over the last dimension, without taking absolute values."""
    return _lp_pool(input, norm_type, kernel_size, stride, ceil_mode, 1)


def lp_pool2d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """Returns the `norm_type`-norms of windows over the last two dimensions, without taking absolute values."""
    return _lp_pool(input, norm_type, kernel_size, stride, ceil_mode, 2)


def lp_pool3d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """Returns the `norm_type`-norms of windows over the last three dimensions, without taking absolute values."""
    return _lp_pool(input, norm_type, kernel_size, stride, ceil_mode, 3)


def _unpool_size(input, kernel, stride, padding, output_size, n):
    default = [(s - 1) * st + k - 2 * p for s, k, st, p in zip(input.shape[-n:], kernel, stride, padding)]
    if output_size is None:
        return default
    size = list(output_size)
    if len(size) == n + 2:
        size = size[2:]
    if len(size) != n:
        raise ValueError(
            f"output_size should be a sequence containing {n} or {n + 2} elements, but it has a length of "
            f"'{len(size)}'"
        )
    for d, (got, want, step) in enumerate(zip(size, default, stride)):
        if not want - step < got < want + step:
            raise ValueError(
                f'invalid output_size "{size}" (dim {d} must be between {want - step} and {want + step})'
            )
    return size


def _max_unpool(input, indices, kernel_size, stride, padding, output_size, n):
    kernel = _tuple(kernel_size, n)
    stride = kernel if stride is None else _tuple(stride, n)
    padding = _tuple(padding, n)
    size = _unpool_size(input, kernel, stride, padding, output_size, n)
    if indices.dtype != rushlight.int64:
        raise RuntimeError(f"elements in indices should be type int64 but got: {indices.dtype}")
    if input.shape != indices.shape:
        raise RuntimeError(
            f"Expected shape of indices to be same as that of the input tensor ({list(input.shape)}) "
            f"but got indices tensor with shape: {list(indices.shape)}"
        )
    lead = input.shape[:-n]
    flat_places = indices.flatten(-n)
    total = math.prod(size)
    if indices.numel() and not 0 <= indices.min().item() <= indices.max().item() < total:
        raise RuntimeError(f"Found an invalid max index: {indices.max().item()} (output volumes are of size {size})")
    out = input.new_zeros((*lead, total)).scatter(-1, flat_places, input.flatten(-n))
    return out.reshape((*lead, *size))


def max_unpool1d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Returns zeros with the values of `input` where `max_pool1d` found them."""
    return _max_unpool(input, indices, kernel_size, stride, padding, output_size, 1)


def max_unpool2d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Returns zeros with the values of `input` where `max_pool2d` found them."""
    return _max_unpool(input, indices, kernel_size, stride, padding, output_size, 2)


def max_unpool3d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Returns zeros with the values of `input` where `max_pool3d` found them."""
    return _max_unpool(input, indices, kernel_size, stride, padding, output_size, 3)


def _interval_starts(sample, size, out, kernel):
    """Returns where the windows of one dimension start (Graham, 2014, as PyTorch draws them)."""
    if out == 1:
        return [size - kernel]
    alpha = (size - kernel) / (out - 1)
    first = int(sample * alpha)
    return [int((i + sample) * alpha) - first for i in range(out - 1)] + [size - kernel]


def _fractional_max_pool(input, kernel_size, output_size, output_ratio, samples, n):
    if output_size is None and output_ratio is None:
        raise ValueError(f"fractional_max_pool{n}d requires specifying either an output_size or an output_ratio")
    if output_size is None:
        ratio = (output_ratio,) * n if isinstance(output_ratio, float) else tuple(output_ratio)
        output_size = [int(s * r) for s, r in zip(input.shape[-n:], ratio)]
    kernel, out = _tuple(kernel_size, n), _tuple(output_size, n)
    if input.dim() not in (n + 1, n + 2):
        raise RuntimeError(
            f"fractional_max_pool{n}d(): Expected {n + 1}D or {n + 2}D tensor, but got: {list(input.shape)}"
        )
    batched = input if input.dim() == n + 2 else input.unsqueeze(0)
    batch, channels, *sizes = batched.shape
    for s, k, o in zip(sizes, kernel, out):
        if o + k - 1 > s:
            raise RuntimeError(f"fractional_max_pool{n}d(): pool size ({k}) too large relative to input size ({s})")
    if samples is None:
        samples = rushlight.rand(batch, channels, n, dtype=input.dtype, device=input.device)
    draws = samples.tolist()
    # The samples of images stand last dimension first, those of volumes in order. Every window becomes a row of
    # positions in its channel.
    order = (1, 0) if n == 2 else (0, 1, 2)
    planes = []
    for b in range(batch):
        for c in range(channels):
            axes = []
            for d in range(n):
                starts = _interval_starts(draws[b][c][order[d]], sizes[d], out[d], kernel[d])
                axes.append([[start + k for k in range(kernel[d])] for start in starts])
            places = [[0]]
            for d, axis in enumerate(axes):
                places = [
                    [base * sizes[d] + at for base in window for at in starts] for window in places for starts in axis
                ]
            planes.append(places)
    places = rushlight.tensor(planes, dtype=rushlight.int64, device=input.device)
    flat = batched.reshape(batch * channels, 1, -1).expand(batch * channels, places.shape[1], -1)
    values, at = flat.gather(2, places).max(2)
    where = places.gather(2, at.unsqueeze(2)).squeeze(2)
    shape = (*batched.shape[:2], *out) if input.dim() == n + 2 else (channels, *out)
    return values.reshape(shape), where.reshape(shape)


def fractional_max_pool2d_with_indices(
    input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None
):
    """As `fractional_max_pool2d`, and the position of each maximum in its plane."""
    return _fractional_max_pool(input, kernel_size, output_size, output_ratio, _random_samples, 2)


def fractional_max_pool2d(
    input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None
):
    """Returns maxima of windows at random places (Graham, 2014), `output_size` or a fraction of the input's."""
    result = _fractional_max_pool(input, kernel_size, output_size, output_ratio, _random_samples, 2)
    return result if return_indices else result[0]


def fractional_max_pool3d_with_indices(
    input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None
):
    """As `fractional_max_pool3d`, and the position of each maximum in its volume."""
    return _fractional_max_pool(input, kernel_size, output_size, output_ratio, _random_samples, 3)


def fractional_max_pool3d(
    input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None
):
    """Returns maxima of windows at random places, `output_size` or a fraction of the input's."""
    result = _fractional_max_pool(input, kernel_size, output_size, output_ratio, _random_samples, 3)
    return result if return_indices else result[0]
