//! Sorting and ranking along a dimension. NaN counts as the largest number.

use super::*;
use crate::autograd::{grad_fn_many, record};
use rushlight_kernels::backend::{View, ViewMut};

ops![sort, argsort, msort, topk, kthvalue];

/// Values and their positions along `d`, computed by `kernel` into tensors with `n` elements there. The values' derivative puts each gradient
/// back where the value came from.
fn ranked(
    x: &Tensor,
    d: usize,
    n: usize,
    kernel: impl FnOnce(View, usize, &mut ViewMut, &mut ViewMut) -> Result<()>,
) -> Result<(Tensor, Tensor)> {
    let mut data = x.data();
    let scalar = data.layout.rank() == 0;
    if scalar {
        data.layout = data.layout.unsqueeze(0);
    }
    let mut shape = data.layout.shape.clone();
    shape[d] = n;
    let layout = Layout::contiguous(&shape);
    let specs = [(layout.clone(), x.dtype()), (layout, DType::I64)];
    let mut outs = storage::compute_many(&specs, &[data], |ins, outs| {
        let [values, indices] = outs else { unreachable!("two outputs were asked for") };
        kernel(ins[0], d, values, indices)
    })?;
    if scalar {
        outs.iter_mut().for_each(|o| o.layout = if n == 1 { Layout::contiguous(&[]) } else { o.layout.clone() });
    }
    let outs: SmallVec<[Tensor; 2]> = outs.into_iter().map(Tensor::from_data).collect();
    record(&outs, &[x], |s| {
        let (indices, shape) = (s.output_at(1), x.shape());
        grad_fn_many(move |c, g| {
            let Some(g) = &g[0] else { return Ok([None]) };
            let zeros = filled(&shape, Scalar::Int(0), g.dtype())?;
            Ok([Some(scatter_add(&zeros, d as i64, &indices.get(c)?, g)?)])
        })
    })?;
    let mut outs = outs.into_iter();
    let values = outs.next().expect("two outputs were asked for");
    Ok((values, outs.next().expect("two outputs were asked for")))
}

/// Returns the elements of `input` sorted along `dim`, and where they were. Always stable: equal elements keep their order.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.sort.html>
#[op("(input, dim=-1, descending=False, *, stable=False)", returns = ["values", "indices"], any,
    samples = ["T(3, 4)", "T(3, 4), 0, True", "I(7, hi=3), stable=True", "T()", "T(0, 2)", "B(5)", "T(2, 0), 1"],
    errors = [("T(3), 1", "Dimension out of range (expected to be in range of [-1, 0], but got 1)")])]
pub fn sort(x: &Tensor, dim: i64, descending: bool, stable: bool) -> Result<(Tensor, Tensor)> {
    let _ = stable;
    let d = super::dim(dim, x.rank())?;
    let n = x.shape().get(d).copied().unwrap_or(1);
    ranked(x, d, n, |x, d, values, indices| backend().sort(x, d, descending, values, indices))
}

/// Returns the positions that would sort `input` along `dim`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.argsort.html>
#[op("(input, dim=-1, descending=False, *, stable=False)", any, nondiff, samples = ["T(3, 4)", "T(3, 4), 0, True", "I(7, hi=3), stable=True", "T()", "T(0, 2)"],
    errors = [("T(3), 1", "Dimension out of range")])]
pub fn argsort(x: &Tensor, dim: i64, descending: bool, stable: bool) -> Result<Tensor> {
    Ok(sort(&x.detach(), dim, descending, stable)?.1)
}

/// Returns `input` sorted along its first dimension.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.msort.html>
#[op("(input)", any, samples = ["T(3, 4)", "T(5)", "T()", "T(0, 2)"])]
pub fn msort(x: &Tensor) -> Result<Tensor> {
    Ok(sort(x, 0, false, false)?.0)
}

/// Returns the `k` largest (or smallest) elements of `input` along `dim`, best first, and where they were. `sorted` is accepted for PyTorch's sake: the
/// result always is.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.topk.html>
#[op("(input, k, dim=-1, largest=True, sorted=True)", returns = ["values", "indices"], any,
    samples = ["T(3, 4), 2", "T(3, 4), 1, 0, False", "T(5), 0", "T(), 1", "T(3, 0), 2, 0", "I(6), 3"],
    errors = [("T(3), 4", "selected index k out of range"), ("T(3), -1", "selected index k out of range"), ("T(3), 1, 1", "Dimension out of range")])]
pub fn topk(x: &Tensor, k: i64, dim: i64, largest: bool, sorted: bool) -> Result<(Tensor, Tensor)> {
    let _ = sorted;
    let d = super::dim(dim, x.rank())?;
    let n = x.shape().get(d).copied().unwrap_or(1);
    if k < 0 || k as u64 > n as u64 {
        return Err(Error::runtime(format!("selected index k out of range (k {k}, dimension {d} of size {n})")));
    }
    ranked(x, d, k as usize, |x, d, values, indices| backend().topk(x, d, largest, values, indices))
}

/// Returns the `k`-th smallest element (counted from 1) of `input` along `dim`, and where it was.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.kthvalue.html>
#[op("(input, k, dim=-1, keepdim=False)", returns = ["values", "indices"], any, samples = ["T(3, 4), 2", "T(3, 4), 1, 0, True", "T(), 1", "I(6, hi=90), 3", "T(3, 0), 2, 0"],
    errors = [("T(2, 3), 0", "kthvalue(): selected number k out of range for dimension 1"), ("T(3), 4", "kthvalue(): selected number k out of range for dimension 0"),
        ("T(0), 1", "kthvalue(): Expected reduction dim 0 to have non-zero size.")])]
pub fn kthvalue(x: &Tensor, k: i64, dim: i64, keepdim: bool) -> Result<(Tensor, Tensor)> {
    let d = super::dim(dim, x.rank())?;
    let n = x.shape().get(d).copied().unwrap_or(1);
    if n == 0 {
        return Err(Error::index(format!("kthvalue(): Expected reduction dim {d} to have non-zero size.")));
    }
    if k < 1 || k as u64 > n as u64 {
        return Err(Error::runtime(format!("kthvalue(): selected number k out of range for dimension {d} (k {k}, size {n})")));
    }
    let (values, indices) = ranked(x, d, 1, |x, d, values, indices| backend().nth(x, d, k as usize - 1, values, indices))?;
    if x.rank() == 0 || keepdim {
        return Ok((values, indices));
    }
    let mut shape = x.shape();
    shape.remove(d);
    Ok((reshaped(values, &shape)?, reshaped(indices, &shape)?))
}
