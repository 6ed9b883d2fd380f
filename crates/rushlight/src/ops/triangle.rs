//! Triangles and diagonals of matrices.

use super::*;
use crate::autograd::grad_fn;

ops![tril, triu, diag, diag_embed, diagflat, tril_indices, triu_indices];

/// `x` where `keep(row, column)`-th elements of its matrices are kept by a comparison of `column - row` with `diagonal`, else zero.
fn triangle(op: &str, x: &Tensor, diagonal: i64, lower: bool) -> Result<Tensor> {
    let shape = x.shape();
    let [.., rows, cols] = shape[..] else {
        return Err(Error::runtime(format!("{op}: input tensor must have at least 2 dimensions")));
    };
    if x.is_contiguous() {
        let layout = Layout::contiguous(&shape);
        let y = storage::compute(layout, x.dtype(), &[x.data()], |v, out| backend().triangle(v[0], diagonal, lower, out))?;
        return Ok(Tensor::from_data(y));
    }
    let row = Tensor::from_vec((0..rows as i64).collect(), [rows, 1]);
    let col = Tensor::from_vec((0..cols as i64).map(|c| c.saturating_sub(diagonal)).collect(), [1, cols]);
    let mut k = Pointwise::new();
    let (v, r, c) = (k.input(x), k.input(&row), k.input(&col));
    let outside = k.bin(if lower { BinOp::Gt } else { BinOp::Lt }, c, r)?;
    let zero = k.constant(0i64, x.dtype());
    let y = k.tern(TernOp::Where, outside, zero, v)?;
    k.run(y)
}

/// Returns the lower triangles of the matrices in `input`, up to `diagonal` above the main one; the rest is zero.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.tril.html>
#[op("(input, diagonal=0)", any, inplace, samples = ["T(3, 4)", "T(3, 3), 1", "T(2, 3, 2), -1", "T(0, 2)", "B(3, 3)", "T(2, 2), -9"],
    errors = [("T(3)", "tril: input tensor must have at least 2 dimensions")])]
pub fn tril(x: &Tensor, diagonal: i64) -> Result<Tensor> {
    triangle("tril", x, diagonal, true)?.with_grad([x], |_| grad_fn(move |_, g| Ok([Some(tril(g, diagonal)?)])))
}

/// Returns the upper triangles of the matrices in `input`, from `diagonal` above the main one; the rest is zero.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.triu.html>
#[op("(input, diagonal=0)", any, inplace, samples = ["T(3, 4)", "T(3, 3), 1", "T(2, 3, 2), -1", "T(0, 2)", "B(3, 3)", "T(2, 2), 9"],
    errors = [("T(3)", "triu: input tensor must have at least 2 dimensions")])]
pub fn triu(x: &Tensor, diagonal: i64) -> Result<Tensor> {
    triangle("triu", x, diagonal, false)?.with_grad([x], |_| grad_fn(move |_, g| Ok([Some(triu(g, diagonal)?)])))
}

/// Returns a square matrix with the vector `input` on a diagonal; or, of a matrix, a copy of its diagonal.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.diag.html>
#[op("(input, diagonal=0)", any, samples = ["T(3)", "T(2), -1", "T(3, 4)", "T(3, 4), 2", "T(0)"],
    errors = [("T(2, 2, 2)", "diag(): Supports 1D or 2D tensors. Got 3D"), ("T()", "diag(): Supports 1D or 2D tensors. Got 0D")])]
pub fn diag(x: &Tensor, diagonal: i64) -> Result<Tensor> {
    match x.rank() {
        1 => diag_embed(x, diagonal, 0, 1),
        2 => copy(&super::diagonal(x, diagonal, 0, 1)?),
        rank => Err(Error::runtime(format!("diag(): Supports 1D or 2D tensors. Got {rank}D"))),
    }
}

/// Returns matrices with the last dimension of `input` on the diagonal `offset`; the rest is zero. `dim1` and `dim2` are the result's new
/// dimensions.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.diag_embed.html>
#[op("(input, offset=0, dim1=-2, dim2=-1)", any, samples = ["T(3)", "T(2, 3)", "T(2), 1", "T(2, 3), -1, 0, 2", "T(0)"],
    errors = [("T(2, 3), 0, 1, 1", "diagonal dimensions cannot be identical 1, 1"), ("T()", "Dimension out of range")])]
pub fn diag_embed(x: &Tensor, offset: i64, dim1: i64, dim2: i64) -> Result<Tensor> {
    let shape = x.shape();
    let (a, b) = (dim(dim1, shape.len() + 1)?, dim(dim2, shape.len() + 1)?);
    let Some((&n, lead)) = shape.split_last() else {
        return Err(Error::index("Dimension out of range (expected to be in range of [-1, 0], but got -2)"));
    };
    if a == b {
        return Err(Error::runtime(format!("diagonal dimensions cannot be identical {dim1}, {dim2}")));
    }
    let side = n.saturating_add(offset.unsigned_abs() as usize);
    let mut whole = Dims::from_slice(lead);
    whole.insert(a.min(b), side);
    whole.insert(a.max(b), side);
    embed(x, &whole, std::sync::Arc::new(move |base| super::diagonal(base, offset, a as i64, b as i64)))
}

/// Returns a square matrix with all elements of `input` on the diagonal `offset`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.diagflat.html>
#[op("(input, offset=0)", any, samples = ["T(3)", "T(2, 2)", "T(), 1", "T(2), -1"])]
pub fn diagflat(x: &Tensor, offset: i64) -> Result<Tensor> {
    diag_embed(&reshape(x, &[-1])?, offset, 0, 1)
}

/// The positions in a matrix of `row` by `col` elements whose column is within what `columns` gives for their row, row by row.
fn triangle_indices(row: i64, col: i64, dtype: Option<DType>, columns: impl Fn(i64) -> std::ops::Range<i64>) -> Result<Tensor> {
    for (name, n) in [("row", row), ("col", col)] {
        if n < 0 {
            return Err(Error::runtime(format!("{name} must be non-negative, got{n}")));
        }
    }
    let dtype = dtype.unwrap_or(DType::I64);
    if !matches!(dtype, DType::I64 | DType::I32 | DType::I16) {
        return Err(unsupported(dtype));
    }
    let places = || (0..row).flat_map(|r| columns(r).map(move |c| (r, c)));
    let list: Vec<i64> = places().map(|p| p.0).chain(places().map(|p| p.1)).collect();
    let n = list.len() / 2;
    to_dtype(&Tensor::try_from_vec(list, [2, n])?, dtype)
}

/// Returns the positions in the lower triangle of a matrix of `row` by `col` elements: a tensor `[2, n]` of rows and columns.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.tril_indices.html>
#[op("(row, col, offset=0, *, dtype=None)", any, nondiff, function, samples = ["3, 4", "3, 4, 1", "3, 4, -1", "3, 0", "2, 2, dtype=int32"],
    errors = [("-1, 2", "row must be non-negative, got-1"), ("2, -2", "col must be non-negative, got-2")])]
pub fn tril_indices(row: i64, col: i64, offset: i64, dtype: Option<DType>) -> Result<Tensor> {
    triangle_indices(row, col, dtype, |r| 0..(r.saturating_add(offset).saturating_add(1)).clamp(0, col))
}

/// Returns the positions in the upper triangle of a matrix of `row` by `col` elements: a tensor `[2, n]` of rows and columns.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.triu_indices.html>
#[op("(row, col, offset=0, *, dtype=None)", any, nondiff, function, samples = ["3, 4", "3, 4, 1", "3, 2, -5", "3, 0", "2, 2, dtype=int32"],
    errors = [("-1, 2", "row must be non-negative, got-1"), ("2, -2", "col must be non-negative, got-2")])]
pub fn triu_indices(row: i64, col: i64, offset: i64, dtype: Option<DType>) -> Result<Tensor> {
    triangle_indices(row, col, dtype, |r| r.saturating_add(offset).clamp(0, col)..col)
}
