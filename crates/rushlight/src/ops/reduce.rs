//! Reductions.

use super::*;
use crate::autograd::grad_fn;
use rushlight_kernels::backend::ReduceOp;

ops![sum, sum_dim];

/// `op` over `dims` (sorted, distinct); the reduced dimensions stay with size one, or go.
pub(crate) fn reduce(op: ReduceOp, x: &Tensor, dims: &[usize], keepdim: bool, out: DType) -> Result<Tensor> {
    let data = x.data();
    let mut shape = data.layout.shape.clone();
    dims.iter().for_each(|&d| shape[d] = 1);
    let mut y = storage::compute(Layout::contiguous(&shape), out, &[data], |ins, out| backend().reduce(op, ins[0], dims, out))?;
    if !keepdim {
        let kept: Dims = (0..shape.len()).filter(|d| !dims.contains(d)).map(|d| shape[d]).collect();
        y.layout = Layout::contiguous(&kept);
    }
    Ok(Tensor::from_data(y))
}

/// The dtype that a sum or product of `x` has: integers and bools add up in int64.
pub(crate) fn sum_dtype(x: &Tensor, dtype: Option<DType>) -> DType {
    dtype.unwrap_or(if x.dtype().is_float() { x.dtype() } else { DType::I64 })
}

/// Puts back, as size one, the dimensions that a reduction without `keepdim` has removed.
pub(crate) fn restore(g: &Tensor, dims: &[usize], keepdim: bool) -> Result<Tensor> {
    if keepdim {
        return Ok(g.clone());
    }
    dims.iter().try_fold(g.clone(), |g, &d| unsqueeze(&g, d as i64))
}

/// Returns the sum of all elements; integers and bools add up in int64.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.sum.html>
#[op("(input, *, dtype=None)", any, samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3, 4)", "B(5)", "T(3), dtype=float64"])]
pub fn sum(x: &Tensor, dtype: Option<DType>) -> Result<Tensor> {
    sum_dim(x, None, false, dtype)
}

/// Returns the sum over the dimensions `dim` (all of them for None or an empty list).
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.sum.html>
#[op("(input, dim, keepdim=False, *, dtype=None)", overload = "dim", any,
    samples = ["T(3, 4), 1", "T(2, 3, 4), [0, 2], True", "T(2, 3), None", "T(), 0", "T(0, 2), 0", "I(3, 4), -1"],
    errors = [("T(3), 5", "Dimension out of range (expected to be in range of [-1, 0], but got 5)"),
        ("T(3, 2), [0, 0]", "dim 0 appears multiple times in the list of dims")])]
pub fn sum_dim(x: &Tensor, dim: Option<&[i64]>, keepdim: bool, dtype: Option<DType>) -> Result<Tensor> {
    let over = dims(dim, x.rank())?;
    let x = &to_dtype(x, sum_dtype(x, dtype))?;
    let shape = x.shape();
    reduce(ReduceOp::Sum, x, &over, keepdim, x.dtype())?
        .with_grad([x], |_| grad_fn(move |_, g| Ok([Some(expand_to(&restore(g, &over, keepdim)?, &shape)?)])))
}

/// Sums `g` down to `shape`, which broadcasts to g's shape: the transposed map of broadcasting.
pub(crate) fn sum_to(g: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let lead = g.rank().checked_sub(shape.len()).ok_or_else(|| {
        Error::runtime(format!("a gradient of shape {:?} does not fit a value of shape {shape:?}", g.shape().as_slice()))
    })?;
    let from = g.shape();
    let over: SmallVec<[i64; 6]> =
        (0..from.len()).filter(|&d| d < lead || shape[d - lead] == 1 && from[d] != 1).map(|d| d as i64).collect();
    let summed = if over.is_empty() { g.clone() } else { sum_dim(g, Some(&over), true, None)? };
    let sizes: SmallVec<[i64; 6]> = shape.iter().map(|&d| d as i64).collect();
    reshape(&summed, &sizes)
}
