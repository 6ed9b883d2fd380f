//! Running reductions along one dimension.

use super::extremes::place;
use super::*;
use crate::autograd::{self, grad_fn, grad_fn_many};
use rushlight_kernels::backend::{ScanOp, ScatterOp};

ops![cumsum, cumprod, cummax, cummin, logcumsumexp, diff];

const ONE: Scalar = Scalar::Int(1);

/// `op` along `d`, from the far end if `reverse`: then both sides are seen back to front, and nothing is copied. No history.
fn running(op: ScanOp, x: &Tensor, d: usize, reverse: bool) -> Result<Tensor> {
    let mut data = x.data();
    let mut out = Layout::contiguous(&data.layout.shape);
    if reverse && out.rank() > 0 {
        data.layout = data.layout.flip(d);
        out = out.flip(d);
    }
    let mut y =
        storage::compute(out, data.dtype, std::slice::from_ref(&data), |ins, out| backend().scan(op, ins[0], d, out, None))?;
    y.layout = Layout::contiguous(&data.layout.shape);
    Ok(Tensor::from_data(y))
}

/// The running sum, from the far end if `reverse`.
fn running_sum(x: &Tensor, d: usize, reverse: bool) -> Result<Tensor> {
    running(ScanOp::Sum, x, d, reverse)?.with_grad([x], |_| grad_fn(move |_, g| Ok([Some(running_sum(g, d, !reverse)?)])))
}

/// Returns the running sum along `dim`; integers and bools add up in int64.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.cumsum.html>
#[op("(input, dim, *, dtype=None)", any, inplace,
    samples = ["T(5), 0", "T(2, 3), 0", "T(2, 3, 2), -2", "T(), 0", "T(0, 2), 0", "T(2, 0), 1", "I(4), 0"],
    errors = [("T(3), 5", "Dimension out of range (expected to be in range of [-1, 0], but got 5)")])]
pub fn cumsum(x: &Tensor, dim: i64, dtype: Option<DType>) -> Result<Tensor> {
    let d = super::dim(dim, x.rank())?;
    running_sum(&to_dtype(x, sum_dtype(x, dtype))?, d, false)
}

/// Returns the running product along `dim`; integers and bools multiply in int64.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.cumprod.html>
#[op("(input, dim, *, dtype=None)", any, inplace,
    samples = ["T(5), 0", "T(2, 3), 0", "T(2, 3, 2), -2", "T(), 0", "T(0, 2), 0", "T(2, 0), 1", "I(4, lo=1, hi=4), 0"],
    errors = [("T(3), 5", "Dimension out of range (expected to be in range of [-1, 0], but got 5)")])]
pub fn cumprod(x: &Tensor, dim: i64, dtype: Option<DType>) -> Result<Tensor> {
    let d = super::dim(dim, x.rank())?;
    let x = &to_dtype(x, sum_dtype(x, dtype))?;
    running(ScanOp::Prod, x, d, false)?.with_grad([x], |s| {
        let (sx, sy) = (s.input(x), s.output());
        grad_fn(move |c, g| {
            let x = sx.get(c)?;
            if x.rank() == 0 {
                return Ok([Some(g.clone())]);
            }
            // gx_k = Σ_{j≥k} g_j y_j / x_k. With zeros: what stands before k, times r_k = g_k + x_{k+1} r_{k+1}.
            Ok([Some(if has_zero(&x)? {
                mul(&product_before(&x, d, false)?, &decayed_sum(g, &shift(&x, d, 1)?, d)?)?
            } else {
                div(&running_sum(&mul(g, &sy.get(c)?)?, d, true)?, &x, None)?
            })])
        })
    })
}

/// The product of the elements before each one along `d`; of those after it if `reverse`.
pub(super) fn product_before(x: &Tensor, d: usize, reverse: bool) -> Result<Tensor> {
    let dim = d as i64;
    let n = x.shape()[d] as i64;
    if n == 0 {
        return Ok(x.clone());
    }
    let x = if reverse { flip(x, &[dim])? } else { x.clone() };
    let first = ones_like(&narrow(&x, dim, 0, 1)?, None)?;
    let y = cat(&[first, cumprod(&narrow(&x, dim, 0, n - 1)?, dim, None)?], dim)?;
    if reverse { flip(&y, &[dim]) } else { Ok(y) }
}

/// `r` with `r_k = g_k + a_k r_{k+1}` along `d`.
///
/// By doubling: after the step of width w, `r_k` counts 2w terms and `a_k` is the product of as many factors. Made of ops, without a division
/// and without a look at the values, so that derivatives of every order are right.
fn decayed_sum(g: &Tensor, a: &Tensor, d: usize) -> Result<Tensor> {
    let n = g.shape()[d];
    let (mut r, mut a) = (g.clone(), a.clone());
    let mut width = 1;
    while width < n {
        r = add(&r, &mul(&a, &shift(&r, d, width)?)?, ONE)?;
        a = mul(&a, &shift(&a, d, width)?)?;
        width *= 2;
    }
    Ok(r)
}

/// Element `k + by` at place `k` along `d`, zeros at the end.
fn shift(x: &Tensor, d: usize, by: usize) -> Result<Tensor> {
    let (dim, n) = (d as i64, x.shape()[d]);
    let by = by.min(n);
    let end = zeros_like(&narrow(x, dim, 0, by as i64)?, None)?;
    cat(&[narrow(x, dim, by as i64, (n - by) as i64)?, end], dim)
}

/// Values and positions of a running extreme.
fn running_extreme(op: ScanOp, x: &Tensor, dim: i64) -> Result<(Tensor, Tensor)> {
    let d = super::dim(dim, x.rank())?;
    let layout = Layout::contiguous(&x.shape());
    let outs = storage::compute_many(&[(layout.clone(), x.dtype()), (layout, DType::I64)], &[x.data()], |ins, outs| {
        let (values, indices) = outs.split_at_mut(1);
        backend().scan(op, ins[0], d, &mut values[0], Some(&mut indices[0]))
    })?;
    let outs: Vec<Tensor> = outs.into_iter().map(Tensor::from_data).collect();
    let indices = outs[1].clone();
    let shape = x.shape();
    autograd::record(&outs, &[x], |_| {
        grad_fn_many(move |_, g| {
            Ok([match &g[0] {
                Some(g) => Some(place(ScatterOp::Add, g, d, &indices, &shape)?),
                None => None,
            }])
        })
    })?;
    let mut outs = outs.into_iter();
    Ok((outs.next().expect("two outputs"), outs.next().expect("two outputs")))
}

/// Returns the running maximum along `dim` and the position of the latest element that equals it.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.cummax.html>
#[op("(input, dim)", returns = ["values", "indices"], any, samples = ["T(5), 0", "T(2, 3), 0", "T(2, 3, 2), -2", "T(), 0", "T(0, 2), 0", "I(6, hi=3), 0"],
    errors = [("T(3), 5", "Dimension out of range (expected to be in range of [-1, 0], but got 5)")])]
pub fn cummax(x: &Tensor, dim: i64) -> Result<(Tensor, Tensor)> {
    running_extreme(ScanOp::Max, x, dim)
}

/// Returns the running minimum along `dim` and the position of the latest element that equals it.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.cummin.html>
#[op("(input, dim)", returns = ["values", "indices"], any, samples = ["T(5), 0", "T(2, 3), 0", "T(2, 3, 2), -2", "T(), 0", "T(0, 2), 0", "I(6, hi=3), 0"],
    errors = [("T(3), 5", "Dimension out of range (expected to be in range of [-1, 0], but got 5)")])]
pub fn cummin(x: &Tensor, dim: i64) -> Result<(Tensor, Tensor)> {
    running_extreme(ScanOp::Min, x, dim)
}

/// Returns the logarithm of the running sum of exponentials along `dim`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.logcumsumexp.html>
#[op("(input, dim)", float_only, samples = ["T(5), 0", "T(2, 3), 0", "T(2, 3, 2), -2", "T(), 0", "T(0, 2), 0"],
    errors = [("T(3), 5", "Dimension out of range (expected to be in range of [-1, 0], but got 5)"), ("I(3), 0", "not implemented for 'Long'")])]
pub fn logcumsumexp(x: &Tensor, dim: i64) -> Result<Tensor> {
    let d = super::dim(dim, x.rank())?;
    if !x.dtype().is_float() {
        return Err(Error::not_implemented(format!(
            "\"logcumsumexp_out_cpu\" not implemented for '{}'",
            x.dtype().scalar_type_name()
        )));
    }
    running(ScanOp::LogSumExp, x, d, false)?.with_grad([x], |s| {
        let (sx, sy) = (s.input(x), s.output());
        grad_fn(move |c, g| {
            let (x, y) = (sx.get(c)?, sy.get(c)?);
            if x.rank() == 0 {
                return Ok([Some(g.clone())]);
            }
            // gx_k = exp(x_k - y_k) r_k with r_k = g_k + exp(y_k - y_{k+1}) r_{k+1}: y only grows, so nothing overflows, and the limit below
            // touches nothing but the end and a start of -inf. That has no weight: exp(-inf - 0).
            let y = where_(&isneginf(&y.detach())?, &zeros_like(&y, None)?, &y)?;
            let step = sub(&y, &shift(&y, d, 1)?, ONE)?;
            let decay = exp(&where_(&gt(&step.detach(), &num(0i64))?, &num(0i64), &step)?)?;
            Ok([Some(mul(&exp(&sub(&x, &y, ONE)?)?, &decayed_sum(g, &decay, d)?)?)])
        })
    })
}

/// Returns the `n`-th differences of neighbours along `dim`, after joining `prepend` and `append` to the ends. For bools: whether they differ.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.diff.html>
#[op("(input, n=1, dim=-1, prepend=None, append=None)", any,
    samples = ["T(5)", "T(3, 4), 1, 0", "T(5), 2", "T(3), 5", "T(3), 0", "B(4)", "T(2, 3), 1, 1, T(2, 1), T(2, 2)", "T(0, 2)"],
    errors = [("T()", "diff expects input to be at least one-dimensional"), ("T(3), -1", "order must be non-negative but got -1")])]
pub fn diff(x: &Tensor, n: i64, dim: i64, prepend: Option<&Tensor>, append: Option<&Tensor>) -> Result<Tensor> {
    if x.rank() == 0 {
        return Err(Error::runtime("diff expects input to be at least one-dimensional"));
    }
    if n < 0 {
        return Err(Error::runtime(format!("order must be non-negative but got {n}")));
    }
    let d = super::dim(dim, x.rank())? as i64;
    let parts: Vec<Tensor> = [prepend, Some(x), append].into_iter().flatten().cloned().collect();
    let mut x = if parts.len() == 1 { x.clone() } else { cat(&parts, d)? };
    let n = n.min(x.size(d) as i64);
    if n == 0 {
        return copy(&x);
    }
    for _ in 0..n {
        let len = x.size(d) as i64 - 1;
        let (lower, upper) = (narrow(&x, d, 0, len)?, narrow(&x, d, 1, len)?);
        x = if x.dtype() == DType::Bool { ne(&upper, &lower)? } else { sub(&upper, &lower, ONE)? };
    }
    Ok(x)
}
