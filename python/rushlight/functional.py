"""Functions of the package whose PyTorch signature is more than one op of the table."""

import math

from . import _C
from ._size import Size, _return_type, return_types

Tensor = _C.Tensor
_f = _C.functions
__all__ = []


def _public(function):
    __all__.append(function.__name__)
    return function


def _flat(tensors):
    """`f(a, b)` and `f([a, b])` mean the same."""
    return list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else list(tensors)


# ---- lists of tensors -------------------------------------------------------------------------------------------------------------


@_public
def einsum(*args):
    """Einstein summation: `einsum('ij,jk->ik', a, b)`, or `einsum(a, [0, 1], b, [1, 2], [0, 2])`."""
    if len(args) < 2:
        raise ValueError("einsum(): must specify the equation string and at least one operand, or at least one operand and its subscripts list")
    if isinstance(args[0], str):
        return _f["einsum"](args[0], _flat(args[1:]))
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

    def name(subscripts):
        return "".join("..." if s is Ellipsis else letters[s] for s in subscripts)

    operands, rest = [], list(args)
    inputs = []
    while len(rest) >= 2:
        operands.append(rest.pop(0))
        inputs.append(name(rest.pop(0)))
    equation = ",".join(inputs) + (f"->{name(rest[0])}" if rest else "")
    return _f["einsum"](equation, operands)


@_public
def broadcast_tensors(*tensors):
    """The tensors expanded to their common shape."""
    return _f["broadcast_tensors"](_flat(tensors))


@_public
def broadcast_shapes(*shapes):
    """The shape that these broadcast to."""
    tensors = [_f["empty"](()).expand((shape,) if isinstance(shape, int) else tuple(shape)) for shape in shapes]
    return _f["broadcast_tensors"](tensors)[0].shape if tensors else Size()


@_public
def meshgrid(*tensors, indexing=None):
    """Grids of coordinates: `indexing` 'ij' (the default) or 'xy'."""
    return _f["meshgrid"](_flat(tensors), indexing=indexing or "ij")


@_public
def cartesian_prod(*tensors):
    """All combinations of the elements of one-dimensional tensors, as rows."""
    return _f["cartesian_prod"](_flat(tensors))


@_public
def chain_matmul(*matrices, out=None):
    """The product of two or more matrices, in the cheapest order."""
    return _f["chain_matmul"](_flat(matrices), out=out)


@_public
def block_diag(*tensors):
    """A matrix with the given ones along its diagonal, zeros elsewhere."""
    blocks = []
    for t in _flat(tensors):
        if t.dim() > 2:
            raise RuntimeError(f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Input has {t.dim()} dimensions")
        blocks.append(t.reshape(1, -1) if t.dim() < 2 else t)
    width = sum(b.shape[1] for b in blocks)
    rows, at = [], 0
    for b in blocks:
        rows.append(_f["pad"](b, (at, width - at - b.shape[1])))
        at += b.shape[1]
    return _f["cat"](rows, 0)


for _name in ("atleast_1d", "atleast_2d", "atleast_3d"):

    def _atleast(*tensors, _op=_f[_name]):
        tensors_ = _flat(tensors)
        if len(tensors) == 1 and isinstance(tensors[0], Tensor):
            return _op(tensors[0])
        return tuple(_op(t) for t in tensors_)

    _atleast.__name__ = _name
    _atleast.__doc__ = f"The tensor, or each of several, with at least {_name[8]} dimensions."
    globals()[_name] = _public(_atleast)


@_public
def combinations(input, r=2, with_replacement=False):
    """All combinations of `r` elements of a one-dimensional tensor, as rows."""
    import itertools

    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    picks = list(choose(range(input.numel()), r))
    return input[_C.tensor(picks, dtype=_C.int64).reshape(len(picks), r)]


# ---- one name for several ops -------------------------------------------------------------------------------------------------------


@_public
def nonzero(input, *, as_tuple=False, out=None):
    """The positions of the elements that are not zero: rows of a matrix, or with `as_tuple` one tensor for each dimension."""
    return _f["nonzero_numpy"](input) if as_tuple else _f["nonzero"](input, out=out)


@_public
def where(condition, input=None, other=None, *, out=None):
    """`input` where `condition` holds, `other` elsewhere; of the condition alone, the positions where it holds."""
    if input is None and other is None:
        return _f["nonzero_numpy"](condition)
    return _f["where"](condition, input, other, out=out)


@_public
def tensor_split(input, indices_or_sections, dim=0):
    """Views of pieces of `input` along `dim`: a number of nearly equal ones, or those between a list (or tensor) of positions."""
    if isinstance(indices_or_sections, Tensor):
        indices_or_sections = indices_or_sections.tolist()
    return _f["tensor_split"](input, indices_or_sections, dim)


@_public
def tensordot(a, b, dims=2, out=None):
    """Contracts the last `dims` dimensions of `a` with the first of `b`, or the listed pairs of dimensions."""
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        result = _f["tensordot"](a, b, dims)
    else:
        left, right = ((d,) if isinstance(d, int) else tuple(d) for d in dims)
        result = _f["tensordot"](a, b, left, right)
    return result if out is None else out.copy_(result)


# ---- distinct elements, positions, differences --------------------------------------------------------------------------------------


def _asked(results, return_inverse, return_counts):
    """Of values, inverse and counts: those asked for, alone or as a tuple."""
    found = [r for r, wanted in zip(results, (True, return_inverse, return_counts)) if wanted]
    return found[0] if len(found) == 1 else tuple(found)


@_public
def unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """The distinct elements in rising order, or with `dim` the distinct slices; where each one went, and how often it occurs, if asked."""
    if dim is None:
        results = _f["_unique2"](input, sorted, return_inverse, return_counts)
    else:
        results = _f["unique_dim"](input, dim, sorted, return_inverse, return_counts)
    return _asked(results, return_inverse, return_counts)


@_public
def unique_consecutive(input, return_inverse=False, return_counts=False, dim=None):
    """The elements, or slices along `dim`, that differ from the one before."""
    return _asked(_f["unique_consecutive"](input, return_inverse, return_counts, dim), return_inverse, return_counts)


@_public
def unravel_index(indices, shape):
    """The coordinates, a tensor for each dimension, of row-major positions in a tensor of `shape`."""
    if indices.is_floating_point() or indices.dtype == _C.bool:
        raise TypeError(f"expected 'indices' to be integer dtype, but got {str(indices.dtype).replace('rushlight', 'torch')}")
    sizes = (shape,) if isinstance(shape, int) else tuple(int(n) for n in shape)
    if any(n < 0 for n in sizes):
        raise ValueError(f"'shape' cannot have negative values, but got {tuple(sizes)}")
    coordinates = []
    for n in reversed(sizes):
        coordinates.append(indices % n)
        indices = indices // n
    return tuple(reversed(coordinates))


@_public
def gradient(input, *, spacing=None, dim=None, edge_order=1):
    """The derivative along each dimension of `dim` (all for None), from differences of second order; at the ends of order `edge_order`.

    `spacing`: a number (1 for None), a number for each dimension, or a vector of coordinates for each.
    """
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    spacing = 1 if spacing is None else spacing
    dims = range(input.dim()) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    steps = list(spacing) if isinstance(spacing, (list, tuple)) else [spacing] * len(dims)
    if len(steps) != len(dims):
        raise RuntimeError(
            f"torch.gradient expected spacing to be unspecified, a scalar, or a list of length equal to 'self.dim() = {input.dim()}', "
            f"since dim argument was not given, but got a list of length {len(steps)}"
        )
    return tuple(_gradient_along(input, d, h, edge_order) for d, h in zip(dims, steps))


def _gradient_along(x, d, h, edge_order):
    n = x.size(d)
    if n < edge_order + 1:
        raise RuntimeError("torch.gradient expected each dimension size to be at least edge_order+1")

    def part(start, count, of=x):
        return of.narrow(d, start, count)

    if isinstance(h, Tensor) and h.dim() == 1:
        if h.numel() != n:
            raise RuntimeError(
                f"torch.gradient expected each element of 'coordinates' to have the same size as the dimension, but got {h.numel()} and {n}"
            )
        gaps = h.diff().reshape([-1 if i == d % x.dim() else 1 for i in range(x.dim())])
    else:
        gaps = _f["ones"]([n - 1 if i == d % x.dim() else 1 for i in range(x.dim())], dtype=_f["mul"](x, 1.0).dtype) * h
    slopes = x.diff(dim=d) / gaps
    first, last = part(0, 1, slopes), part(n - 2, 1, slopes)
    if n == 2:
        return _f["cat"]([first, last], d)
    before, after = part(0, n - 2, gaps), part(1, n - 2, gaps)
    left, right = part(0, n - 2, slopes), part(1, n - 2, slopes)
    # The slope at the middle of three points of a parabola: the neighbouring slopes, each weighed by the other's gap.
    inner = (left * after + right * before) / (before + after)
    if edge_order == 2:
        # The parabola through the last three points is continued to the end.
        first = 2 * first - part(0, 1, inner)
        last = 2 * last - part(n - 3, 1, inner)
    return _f["cat"]([first, inner, last], d)


# ---- neural networks, where PyTorch has them in two places ----------------------------------------------------------------------------

# The same functions as in `nn.functional`, whose first parameters are the same here.
for _name in """adaptive_avg_pool1d avg_pool1d bilinear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d cosine_similarity
    group_norm layer_norm max_pool1d max_pool2d max_pool3d pixel_shuffle pixel_unshuffle rms_norm""".split():
    globals()[_name] = _f[_name]
    __all__.append(_name)


@_public
def dropout(input, p, train):
    """`input` with each element zeroed with probability `p` and the others scaled by `1 / (1 - p)`, while `train`."""
    return _f["dropout"](input, p, train)


@_public
def dropout_(input, p, train):
    """`dropout` in place."""
    return input.copy_(_f["dropout"](input, p, train))


@_public
def embedding(weight, indices, padding_idx=-1, scale_grad_by_freq=False, sparse=False):
    """The rows of `weight` at `indices`; PyTorch's low-level form of `nn.functional.embedding`."""
    from .nn import functional

    return functional.embedding(indices, weight, None if padding_idx == -1 else padding_idx, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse)


@_public
def batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps, cudnn_enabled):
    """PyTorch's low-level form of `nn.functional.batch_norm`."""
    return _f["batch_norm"](input, running_mean, running_var, weight, bias, training, momentum, eps)


@_public
def pairwise_distance(x1, x2, p=2.0, eps=1e-6, keepdim=False):
    """The distance between the vectors in the last dimension."""
    return _f["pairwise_distance"](x1, x2, p, eps, keepdim)


@_public
def vander(x, N=None, increasing=False):
    """The Vandermonde matrix of a vector: powers of its elements as columns, falling unless `increasing`."""
    n = x.numel() if N is None else N
    powers = _f["arange"](n) if increasing else _f["arange"](n - 1, -1, -1)
    return x.unsqueeze(-1) ** powers


# ---- counts of rows in boxes --------------------------------------------------------------------------------------------------------


@_public
def histogramdd(input, bins, *, range=None, weight=None, density=False):
    """How many rows (the last dimension) of `input` lie in each box of a grid, and the edges of the grid in each dimension.

    `bins`: a number of intervals, a number for each dimension, or a rising sequence of edges for each. `range`: the least and the greatest
    edge of each dimension in turn, by default those of the elements. The last interval has both of its ends. `weight`, one for each row, is
    added up in place of ones; with `density` the integral of the result is one.
    """
    if input.dim() < 2:
        raise RuntimeError("torch.histogramdd: input tensor should have at least 2 dimensions")
    dims = input.shape[-1]
    bins = [bins] * dims if isinstance(bins, int) else list(bins)
    if len(bins) != dims:
        raise RuntimeError("histogramdd: The size of bins must be equal to the innermost dimension of the input.")
    if range is not None and len(range) != 2 * dims:
        raise RuntimeError(f"torch.histogramdd: for a {dims}-dimensional histogram range should have {2 * dims} elements, but got {len(range)}")
    if weight is not None and weight.shape != input.shape[:-1]:
        raise RuntimeError(
            "torch.histogramdd: if weight tensor is provided it should have the same shape as the input tensor excluding its innermost "
            f"dimension, but got input with shape {list(input.shape)} and weight with shape {list(weight.shape)}"
        )
    rows = input.reshape(-1, dims)
    edges, inside, place = [], None, 0
    for d, choice in enumerate(bins):
        column = rows[:, d].contiguous()
        ends = None if range is None else (range[2 * d], range[2 * d + 1])
        edge = choice if isinstance(choice, Tensor) else _f["histogram"](column, choice, range=ends)[1]
        edges.append(edge)
        at = _f["searchsorted"](edge, column, right=True) - 1
        here = (column >= edge[0]) & (column <= edge[-1])
        inside = here if inside is None else inside & here
        size = edge.numel() - 1
        place = place * size + at.clamp(0, size - 1)
    sizes = [edge.numel() - 1 for edge in edges]
    counted = _f["ones_like"](rows[:, 0]) if weight is None else weight.reshape(-1).to(input.dtype)
    hist = input.new_zeros(math.prod(sizes)).index_add(0, place[inside], counted[inside]).reshape(sizes)
    if density:
        hist = hist / hist.sum()
        for d, edge in enumerate(edges):
            hist = hist / edge.diff().reshape([-1 if i == d else 1 for i, _ in enumerate(sizes)])
    named = getattr(return_types, "histogramdd", None) or _return_type("histogramdd", ("hist", "bin_edges"))
    return named((hist, tuple(edges)))


# ---- under the names and with the numbered modes of the native functions ------------------------------------------------------------


@_public
def grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners):
    """`nn.functional.grid_sample` with numbers for its modes: bilinear, nearest, bicubic; zeros, border, reflection."""
    from .nn.functional import grid_sample

    modes, paddings = ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection")
    for name, number in (("interpolation_mode", interpolation_mode), ("padding_mode", padding_mode)):
        if number not in (0, 1, 2):
            raise ValueError(f"grid_sampler(): expected {name} to be 0, 1 or 2, but got {number}")
    return grid_sample(input, grid, modes[interpolation_mode], paddings[padding_mode], align_corners)


@_public
def grid_sampler_2d(input, grid, interpolation_mode, padding_mode, align_corners):
    """`grid_sampler` of images."""
    return _ranked_sampler("2", 4, input, grid, interpolation_mode, padding_mode, align_corners)


@_public
def grid_sampler_3d(input, grid, interpolation_mode, padding_mode, align_corners):
    """`grid_sampler` of volumes."""
    return _ranked_sampler("3", 5, input, grid, interpolation_mode, padding_mode, align_corners)


def _ranked_sampler(name, rank, input, grid, *modes):
    if input.dim() != rank or grid.dim() != rank:
        raise RuntimeError(
            f"grid_sampler_{name}d(): expected {rank}D input and grid with same number of dimensions, but got input with sizes "
            f"{list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    return grid_sampler(input, grid, *modes)


@_public
def lu(A, pivot=True, get_infos=False, out=None):
    """Deprecated: the compact factorisation and the pivots of `linalg.lu_factor_ex`, and with `get_infos` its `info`."""
    found = tuple(_f["linalg_lu_factor_ex"](A, pivot=pivot))
    found = found if get_infos else found[:2]
    return found if out is None else tuple(o.copy_(f) for o, f in zip(out, found))
