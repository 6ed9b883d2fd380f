"""`torch.linalg`: factorisations, systems of equations and norms. https://docs.pytorch.org/docs/stable/linalg.html"""

import math

from . import _C

_f = _C.functions
# Those that stand in this module alone have the prefix in the op table.
_here = {name.removeprefix("linalg_"): f for name, f in _f.items() if name.startswith("linalg_") and not name.endswith("_")}
globals().update(_here)

_shared = dict(
    det="det", diagonal="diagonal", inv="inverse", matmul="matmul", matrix_exp="matrix_exp", matrix_power="matrix_power",
    slogdet="slogdet", vector_norm="vector_norm",
)  # fmt: skip
for _name, _op in _shared.items():
    globals()[_name] = _f[_op]

LinAlgError = _C._LinAlgError


def _given(result, out):
    return result if out is None else out.copy_(result)


def diagonal(A, *, offset=0, dim1=-2, dim2=-1):
    """The diagonals of matrices, as a view."""
    return A.diagonal(offset, dim1, dim2)


# ---- norms and what follows from them ----------------------------------------------------------------------------------------------


def _pair(A, dim):
    """The two dimensions that make the matrices, counted from 0; checked."""
    if len(dim) != 2:
        raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {', '.join(map(str, dim))}")
    rank = A.dim()
    for d in dim:
        if not -rank <= d < rank:
            raise IndexError(f"Dimension out of range (expected to be in range of [{-rank}, {rank - 1}], but got {d})")
    row, column = (d % rank for d in dim)
    if row == column:
        raise RuntimeError(f"linalg.matrix_norm: dims must be different. Got ({row}, {column})")
    return row, column


def matrix_norm(A, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None, out=None):
    """The norm `ord` of matrices: 'fro', 'nuc', ±inf (sums of rows), ±1 (sums of columns), ±2 (singular values)."""
    if A.dim() < 2:
        raise RuntimeError("linalg.matrix_norm: The input tensor A must have at least 2 dimensions.")
    if ord not in ("fro", "nuc") and (isinstance(ord, str) or abs(ord) not in (1, 2, math.inf)):
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    row, column = _pair(A, tuple(dim))
    if ord == "fro":
        return _given(vector_norm(A, 2, (row, column), keepdim, dtype=dtype), out)
    if dtype is not None:
        A = A.to(dtype)
    if ord == "nuc" or abs(ord) == 2:
        s = _here["svdvals"](A.movedim((row, column), (-2, -1)))
        result = s.sum(-1) if ord == "nuc" else s.amax(-1) if ord > 0 else s.amin(-1)
        if keepdim:
            first, second = sorted((row, column))
            result = result.unsqueeze(first).unsqueeze(second)
        return _given(result, out)
    added, compared = (row, column) if abs(ord) == 1 else (column, row)
    sums = vector_norm(A, 1, (added,), True)
    result = sums.amax(compared, True) if ord > 0 else sums.amin(compared, True)
    if not keepdim:
        first, second = sorted((row, column))
        result = result.squeeze(second).squeeze(first)
    return _given(result, out)


def norm(A, ord=None, dim=None, keepdim=False, *, out=None, dtype=None):
    """The norm of a vector or a matrix, as `ord` and `dim` say; of all elements, as a vector, where neither is given."""
    dims = None if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    if dims is not None and len(dims) not in (1, 2):
        raise RuntimeError(f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dims)}")
    if dims is None and ord is not None and A.dim() not in (1, 2):
        raise RuntimeError(
            f"linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {A.dim()}D."
        )
    if ord is not None and (len(dims) == 2 if dims is not None else A.dim() == 2):
        return matrix_norm(A, ord, dims or (0, 1), keepdim, dtype=dtype, out=out)
    if isinstance(ord, str):
        raise RuntimeError(f"linalg.norm: Order {ord} not supported for vectors")
    return _given(vector_norm(A, 2 if ord is None else ord, dims, keepdim, dtype=dtype), out)


def cond(A, p=None, *, out=None):
    """The condition number of matrices in the norm `p`; by singular values for None and ±2."""
    if p is None or p in (2, -2):
        s = _here["svdvals"](A)
        largest, smallest = s[..., 0], s[..., -1]
        return _given(smallest / largest if p == -2 else largest / smallest, out)
    if A.dim() < 2 or A.shape[-1] != A.shape[-2]:
        raise RuntimeError(
            f"linalg.cond: A must be batches of square matrices, but they are {A.shape[-2]} by {A.shape[-1]} matrices"
        )
    inverse, info = _here["inv_ex"](A)
    singular = info != 0
    product = matrix_norm(A, p) * matrix_norm(inverse.masked_fill(singular[..., None, None], 0.0), p)
    # The condition number of a singular matrix is infinite.
    return _given(product.masked_fill(singular, math.inf), out)


def matrix_rank(A, tol=None, hermitian=False, *, atol=None, rtol=None, out=None):
    """How many singular values are above `max(atol, rtol * largest)`; by default `rtol` is `max(m, n)` times the precision of the dtype."""
    s = _here["eigvalsh"](A).abs() if hermitian else _here["svdvals"](A)
    if tol is not None:
        atol, rtol = tol, 0.0
    if rtol is None:
        from ._numbers import finfo

        given = atol is not None and bool((atol if isinstance(atol, _C.Tensor) else _C.tensor(atol)).gt(0).all())
        rtol = 0.0 if given else finfo(A.dtype).eps * max(A.shape[-2:])
    if s.numel() == 0:
        return _given(s.new_zeros(s.shape[:-1]).to(_C.int64), out)
    largest = s.amax(-1, True)
    relative = largest * (rtol.unsqueeze(-1) if isinstance(rtol, _C.Tensor) else rtol)
    absolute = atol.unsqueeze(-1) if isinstance(atol, _C.Tensor) else largest * 0 + (atol or 0.0)
    return _given((s > _f["maximum"](relative, absolute)).sum(-1), out)


# ---- products -------------------------------------------------------------------------------------------------------------------------


def multi_dot(tensors, *, out=None):
    """The product of two or more matrices, in the cheapest order; the first and the last may be vectors."""
    tensors = list(tensors)
    if len(tensors) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(tensors)}")
    first, last = tensors[0].dim() == 1, tensors[-1].dim() == 1
    if first:
        tensors[0] = tensors[0].unsqueeze(0)
    if last:
        tensors[-1] = tensors[-1].unsqueeze(1)
    for i, t in enumerate(tensors):
        if t.dim() != 2:
            raise RuntimeError(f"multi_dot(): tensor {i} must be 2D but got {t.dim()}D")
    result = _f["chain_matmul"](tensors)
    if last:
        result = result.squeeze(1)
    if first:
        result = result.squeeze(0)
    return _given(result, out)


def vecdot(x, y, *, dim=-1, out=None):
    """The scalar products of vectors along `dim`."""
    return _given((x * y).sum(dim), out)


# ---- solving ---------------------------------------------------------------------------------------------------------------------------


def lu_solve(LU, pivots, B, *, left=True, adjoint=False, out=None):
    """Solves `A X = B` from the factorisation that `lu_factor` gives."""
    return _here["lu_solve"](LU, pivots, B, left=left, adjoint=adjoint, out=out)


def pinv(A, rcond=None, hermitian=False, *, atol=None, rtol=None, out=None):
    """Pseudo-inverses: singular values up to `max(atol, rtol * largest)` count as zero."""
    return _given(_here["pinv"](A, atol=atol, rtol=rcond if rtol is None else rtol, hermitian=hermitian), out)


def tensorinv(A, ind=2, *, out=None):
    """The inverse of `A` as a map from its last dimensions to its first `ind` ones."""
    if ind <= 0:
        raise RuntimeError("Expected a strictly positive integer for 'ind'")
    rows, columns = tuple(A.shape[:ind]), tuple(A.shape[ind:])
    if math.prod(rows) != math.prod(columns):
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), "
            f"but got {math.prod(columns)} != {math.prod(rows)}"
        )
    return _given(inv(A.reshape(math.prod(columns), -1)).reshape(columns + rows), out)  # noqa: F821


def tensorsolve(A, B, dims=None, *, out=None):
    """X with `tensordot(A, X, X.dim()) = B`; the dimensions `dims` of `A` are moved to its end first."""
    if dims is not None:
        A = A.movedim(tuple(dims), tuple(range(A.dim() - len(dims), A.dim())))
    columns = tuple(A.shape[B.dim() :])
    if math.prod(columns) != B.numel():
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == prod(self.shape[:other.ndim]), "
            f"but got {math.prod(columns)} != {B.numel()}"
        )
    return _given(_here["solve"](A.reshape(B.numel(), -1), B.reshape(-1)).reshape(columns), out)


def vander(x, *, N=None):
    """The powers 0 to `N - 1` of each element, along a new last dimension."""
    x = x.reshape(1) if x.dim() == 0 else x
    n = x.shape[-1] if N is None else N
    if n <= 1:
        raise RuntimeError("N must be greater than 1.")
    ones = _f["ones_like"](x).unsqueeze(-1)
    return _f["cat"]([ones, x.unsqueeze(-1).expand(*x.shape, n - 1).cumprod(-1)], -1)


# ---- complex results -------------------------------------------------------------------------------------------------------------------


def eig(A, *, out=None):
    """Eigenvalues of general matrices are complex numbers, which are not implemented."""
    raise NotImplementedError("linalg.eig needs complex numbers, which are not implemented; linalg.eigh takes symmetric matrices")


def eigvals(A, *, out=None):
    """Eigenvalues of general matrices are complex numbers, which are not implemented."""
    raise NotImplementedError("linalg.eigvals needs complex numbers, which are not implemented; linalg.eigvalsh takes symmetric matrices")


__all__ = sorted(
    {*_here, *_shared, "LinAlgError", "cond", "eig", "eigvals", "matrix_norm", "matrix_rank", "multi_dot", "norm", "tensorinv", "tensorsolve",
     "vander", "vecdot"}
)  # fmt: skip
del _name, _op
