"""Sampling images at arbitrary places: `grid_sample` and `affine_grid`, composed of ops."""

import itertools
import warnings

import rushlight

__all__ = ["affine_grid", "grid_sample"]


def _default_align_corners(align_corners, name):
    if align_corners is None:
        warnings.warn(
            f"Default {name} behavior has changed to align_corners=False since 1.3.0. Please specify "
            "align_corners=True if the old behavior is desired. See the documentation of grid_sample for details.",
            stacklevel=3,
        )
        return False
    return align_corners


def _axis(n, align_corners, like):
    """Returns the places of `n` pixels in `[-1, 1]`."""
    if n <= 1:
        return rushlight.zeros(n, dtype=like.dtype, device=like.device)
    ends = rushlight.linspace(-1, 1, n, dtype=like.dtype, device=like.device)
    return ends if align_corners else ends * ((n - 1) / n)


def affine_grid(theta, size, align_corners=None):
    """Returns the grid that `grid_sample` needs to map an image by `theta` `[n, 2, 3]` (or `[n, 3, 4]`) to `size`."""
    if not theta.is_floating_point():
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    size = list(size)
    rank = len(size) - 2
    if rank not in (2, 3):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, respectively. "
            f"Got size {size}."
        )
    if theta.dim() != 3 or tuple(theta.shape[-2:]) != (rank, rank + 1):
        raise ValueError(
            f"Expected a batch of {rank}D affine matrices of shape Nx{rank}x{rank + 1} for size {size}. "
            f"Got {theta.shape}."
        )
    if min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    align_corners = _default_align_corners(align_corners, "grid_sample and affine_grid")
    axes = rushlight.meshgrid(*[_axis(n, align_corners, theta) for n in size[2:]], indexing="ij")
    points = rushlight.stack([*reversed(axes), rushlight.ones_like(axes[0])], -1).reshape(1, -1, rank + 1)
    grid = points @ theta.transpose(1, 2)
    return grid.reshape(size[0], *size[2:], rank)


def _reflect(x, low, high):
    """Returns `x` mirrored at the ends (in halves of a pixel) until it lies between them."""
    if low == high:
        return rushlight.zeros_like(x)
    low, span = low / 2, (high - low) / 2
    x = (x - low).abs()
    extra = x.fmod(span)
    flips = (x / span).floor()
    return rushlight.where(flips.fmod(2) == 0, extra + low, span - extra + low)


def _place(x, n, padding_mode, align_corners):
    """Brings pixel coordinates that lie outside back inside, as `padding_mode` says."""
    if padding_mode == "border":
        return x.clamp(0, n - 1)
    if padding_mode == "reflection":
        ends = (0, 2 * (n - 1)) if align_corners else (-1, 2 * n - 1)
        return _reflect(x, *ends).clamp(0, n - 1)
    return x


def _pixels(input, coords):
    """Returns the values at integer `coords` (one float tensor `[n, …]` per dimension): 0 outside."""
    batch, channels, *sizes = input.shape
    inside, flat = None, None
    for c, n in zip(coords, sizes):
        ok = (c >= 0) & (c <= n - 1)
        inside = ok if inside is None else inside & ok
        at = rushlight.where(ok, c, rushlight.zeros_like(c)).to(rushlight.int64)
        flat = at if flat is None else flat * n + at
    places = flat.reshape(batch, 1, -1).expand(batch, channels, -1)
    values = input.flatten(2).gather(2, places).reshape(batch, channels, *flat.shape[1:])
    return values * inside.unsqueeze(1).to(values.dtype)


def _cubic_weights(t):
    """Returns the weights of the four neighbours of a place `t` behind the second one."""
    a = -0.75

    def near(x):
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x):
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return far(t + 1), near(t), near(1 - t), far(2 - t)


def grid_sample(input, grid, mode="bilinear", padding_mode="zeros", align_corners=None):
    """Returns `input` `[n, c, h, w]` (or with a depth) at the places `grid` `[n, h', w', 2]` in `[-1, 1]`, x before y.

    Modes are `'bilinear'`, `'nearest'` and (for images) `'bicubic'`; outside lie `'zeros'`, the `'border'` or the
    `'reflection'`.
    """
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(
            f"nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: '{mode}'"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', "
            f"but got: '{padding_mode}'"
        )
    align_corners = _default_align_corners(align_corners, "grid_sample and affine_grid")
    rank = input.dim() - 2
    if rank not in (2, 3) or grid.dim() != input.dim():
        raise RuntimeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but got input with "
            f"sizes {list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if input.shape[0] != grid.shape[0]:
        raise RuntimeError(
            "grid_sampler(): expected grid and input to have same batch size, but got input with sizes "
            f"{list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if grid.shape[-1] != rank:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {rank} in last dimension, but got grid with sizes "
            f"{list(grid.shape)}"
        )
    if 0 in input.shape[2:]:
        raise RuntimeError(
            f"grid_sampler(): expected input to have non-empty spatial dimensions, but input has sizes "
            f"{list(input.shape)}"
        )
    if mode == "bicubic" and rank == 3:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    sizes = input.shape[2:]
    coords = []
    for c, n in zip(reversed(grid.unbind(-1)), sizes):
        coords.append((c + 1) / 2 * (n - 1) if align_corners else ((c + 1) * n - 1) / 2)

    if mode == "bicubic":
        (y, x), (h, w) = coords, sizes
        y0, x0 = y.detach().floor(), x.detach().floor()
        total = 0
        for i, wy in enumerate(_cubic_weights(y - y0)):
            row = 0
            for j, wx in enumerate(_cubic_weights(x - x0)):
                at = [
                    _place(y0 + (i - 1), h, padding_mode, align_corners),
                    _place(x0 + (j - 1), w, padding_mode, align_corners),
                ]
                row = row + _pixels(input, at) * wx.unsqueeze(1)
            total = total + row * wy.unsqueeze(1)
        return total

    coords = [_place(c, n, padding_mode, align_corners) for c, n in zip(coords, sizes)]
    if mode == "nearest":
        return _pixels(input, [c.detach().round() for c in coords]) + 0 * sum(c.unsqueeze(1) for c in coords)
    total = 0
    lows = [c.detach().floor() for c in coords]
    for corner in itertools.product((0, 1), repeat=rank):
        weight = 1
        for c, low, high_side in zip(coords, lows, corner):
            weight = weight * ((c - low) if high_side else (low + 1 - c))
        at = [low + side for low, side in zip(lows, corner)]
        total = total + _pixels(input, at) * weight.unsqueeze(1)
    return total
