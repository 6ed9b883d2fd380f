//! Sums, products, means and truth over dimensions; [`extremes`] and [`statistics`] build on them.

use super::*;
use crate::autograd::{grad_fn, no_grad};
use rushlight_kernels::backend::ReduceOp;
use rushlight_kernels::layout::copied;

const ONE: Scalar = Scalar::Int(1);

ops![sum, sum_dim, mean, mean_dim, prod, prod_dim, nansum, nanmean, logsumexp, count_nonzero, all, all_dim, any, any_dim];

/// `op` over `dims` (sorted, distinct); the reduced dimensions stay with size one, or go.
pub(crate) fn reduce(op: ReduceOp, x: &Tensor, dims: &[usize], keepdim: bool, out: DType) -> Result<Tensor> {
    reduced(op, x, dims, keepdim, out).map(Tensor::from_data)
}

fn reduced(op: ReduceOp, x: &Tensor, dims: &[usize], keepdim: bool, out: DType) -> Result<Data> {
    // With the reduced dimensions of size one, as the kernel wants it.
    let whole = |x: &Data| {
        let mut shape = copied(&x.layout.shape);
        dims.iter().for_each(|&d| shape[d] = 1);
        Layout::contiguous(&shape)
    };
    // A small one needs no snapshot.
    let at_once = |x: &Data| storage::compute_at_once(whole(x), out, [x], |[x], y| backend().reduce(op, x, dims, y));
    let small = if x.numel() <= SMALL { x.try_data_ref() } else { None };
    let mut y = match small.and_then(|x| at_once(&x)) {
        Some(y) => y?,
        None => {
            let data = x.data();
            storage::reduce(op, &data, dims, whole(&data), out)?
        }
    };
    if !keepdim && !dims.is_empty() {
        let mut kept = Dims::new();
        let shape = &y.layout.shape;
        (0..shape.len()).filter(|d| !dims.contains(d)).for_each(|d| kept.push(shape[d]));
        y.layout = Layout::contiguous(&kept);
    }
    Ok(y)
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

/// A sum's way back: `g` repeated along the dimensions `over` of `shape`, as a view. One step for what [`restore`] and `expand` do in several.
fn spread(g: &Tensor, over: &[usize], keepdim: bool, shape: &[usize]) -> Result<Tensor> {
    let mut layout = Layout { shape: SmallVec::from_slice(shape), strides: SmallVec::from_elem(0, shape.len()), offset: 0 };
    {
        let from = &g.data_ref().layout;
        layout.offset = from.offset;
        let kept = (0..shape.len()).filter(|d| !over.contains(d));
        kept.enumerate().for_each(|(i, d)| layout.strides[d] = from.strides[if keepdim { d } else { i }]);
    }
    let (dims, sizes): (Dims, Dims) = (SmallVec::from_slice(over), SmallVec::from_slice(shape));
    let back = copied(&dims);
    view_as(
        g,
        layout,
        move |b| spread(b, &dims, keepdim, &sizes),
        |_| {
            grad_fn(move |_, g| {
                let dims = as_i64(&back);
                // A list of no dimensions would mean all.
                Ok([Some(if dims.is_empty() { g.clone() } else { sum_dim(g, Some(&dims), keepdim, None)? })])
            })
        },
    )
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
    let x = &*in_dtype(x, sum_dtype(x, dtype))?;
    reduce(ReduceOp::Sum, x, &over, keepdim, x.dtype())?.with_grad([x], |_| {
        let shape = x.shape();
        grad_fn(move |_, g| Ok([Some(spread(g, &over, keepdim, &shape)?)]))
    })
}

/// Returns the mean of all elements. Only floats have one; `dtype` converts first. Half precision adds up in float32.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.mean.html>
#[op("(input, *, dtype=None)", float_only, samples = ["T(3, 4)", "T()", "I(3, 4), dtype=float32", "T(5, dtype=bfloat16)"],
    errors = [("I(3)", "mean(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. Got: Long"),
        ("T(3), dtype=int64", "mean(): could not infer output dtype. Optional dtype must be either a floating point or complex dtype. Got: Long")])]
pub fn mean(x: &Tensor, dtype: Option<DType>) -> Result<Tensor> {
    mean_dim(x, None, false, dtype)
}

/// Returns the mean over the dimensions `dim` (all of them for None or an empty list).
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.mean.html>
#[op("(input, dim, keepdim=False, *, dtype=None)", overload = "dim", float_only,
    samples = ["T(3, 4), 1", "T(2, 3, 4), [0, 2], True", "T(2, 3), None", "T(), 0", "T(0, 2), 1", "I(3, 4), -1, dtype=float32"],
    errors = [("T(3), 5", "Dimension out of range (expected to be in range of [-1, 0], but got 5)"),
        ("I(3), 0", "mean(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. Got: Long")])]
pub fn mean_dim(x: &Tensor, dim: Option<&[i64]>, keepdim: bool, dtype: Option<DType>) -> Result<Tensor> {
    let to = dtype.unwrap_or(x.dtype());
    if !to.is_float() {
        return Err(Error::not_implemented(format!(
            "mean(): could not infer output dtype. {} dtype must be either a floating point or complex dtype. Got: {}",
            if dtype.is_some() { "Optional" } else { "Input" },
            to.scalar_type_name()
        )));
    }
    let over = dims(dim, x.rank())?;
    let x = &*in_dtype(x, to)?;
    let count = if over.len() == x.rank() { x.numel() } else { over.iter().map(|&d| x.size(d as i64)).product() };
    let mean = {
        let _guard = no_grad();
        // The sum of many halves overflows long before their mean.
        let wide = &*in_dtype(x, to.compute())?;
        let sum = reduce(ReduceOp::Sum, wide, &over, keepdim, wide.dtype())?;
        to_dtype(&divided(&sum, count)?, to)?
    };
    mean.with_grad([x], |_| {
        let shape = x.shape();
        grad_fn(move |_, g| Ok([Some(spread(&divided(g, count)?, &over, keepdim, &shape)?)]))
    })
}

/// `x / count`.
fn divided(x: &Tensor, count: usize) -> Result<Tensor> {
    let n = Scalar::Float(count as f64);
    arith::beside_number(BinOp::Div, x, n, false).unwrap_or_else(|| div(x, &num(n), None))
}

/// Returns the product of all elements; integers and bools multiply in int64.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.prod.html>
#[op("(input, *, dtype=None)", any, samples = ["T(3, 2)", "T()", "T(0, 2)", "I(5, lo=1, hi=4)", "B(5)", "T(3), dtype=float64"])]
pub fn prod(x: &Tensor, dtype: Option<DType>) -> Result<Tensor> {
    let x = to_dtype(x, sum_dtype(x, dtype))?;
    product(&reshape(&x, &[x.numel() as i64])?, 0, false)
}

/// Returns the product over dimension `dim`; integers and bools multiply in int64.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.prod.html>
#[op("(input, dim, keepdim=False, *, dtype=None)", overload = "dim", any,
    samples = ["T(3, 4), 1", "T(2, 3, 2), 1, True", "T(), 0", "T(0, 2), 0", "I(3, 4), -1"],
    errors = [("T(3), 5", "Dimension out of range (expected to be in range of [-1, 0], but got 5)")])]
pub fn prod_dim(x: &Tensor, dim: i64, keepdim: bool, dtype: Option<DType>) -> Result<Tensor> {
    let d = super::dim(dim, x.rank())?;
    let x = to_dtype(x, sum_dtype(x, dtype))?;
    if x.rank() == 0 { copy(&x) } else { product(&x, d, keepdim) }
}

/// The product over dimension `d`.
fn product(x: &Tensor, d: usize, keepdim: bool) -> Result<Tensor> {
    reduce(ReduceOp::Prod, x, &[d], keepdim, x.dtype())?.with_grad([x], |s| {
        let (sx, sy) = (s.input(x), s.output());
        grad_fn(move |c, g| {
            let (x, y) = (sx.get(c)?, restore(&sy.get(c)?, &[d], keepdim)?);
            // Everything but x_i is y / x_i, unless there is a zero: then it is what stands before it times what stands after it.
            let others = if has_zero(&x)? {
                mul(&product_before(&x, d, false)?, &product_before(&x, d, true)?)?
            } else {
                div(&y, &x, None)?
            };
            Ok([Some(mul(&restore(g, &[d], keepdim)?, &others)?)])
        })
    })
}

/// Whether an element of `x` is zero.
pub(super) fn has_zero(x: &Tensor) -> Result<bool> {
    let _guard = no_grad();
    let all: Dims = (0..x.rank()).collect();
    Ok(!reduce(ReduceOp::All, x, &all, false, DType::Bool)?.try_item::<bool>()?)
}

/// Returns the sum over `dim` (all dimensions for None), counting NaN as zero.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nansum.html>
#[op("(input, dim=None, keepdim=False, *, dtype=None)", any,
    samples = ["T(3, 4)", "T(3, 4), 1, True", "T(), 0", "T(0, 2)", "I(3, 2), [0, 1]", "T(3), dtype=float64"],
    errors = [("T(3), 5", "Dimension out of range")])]
pub fn nansum(x: &Tensor, dim: Option<&[i64]>, keepdim: bool, dtype: Option<DType>) -> Result<Tensor> {
    if !x.dtype().is_float() {
        return sum_dim(x, dim, keepdim, dtype);
    }
    sum_dim(&where_(&isnan(x)?, &num(0i64), x)?, dim, keepdim, dtype)
}

/// Returns the mean over `dim` (all dimensions for None) of the elements that are not NaN.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nanmean.html>
#[op("(input, dim=None, keepdim=False, *, dtype=None)", float_only, samples = ["T(3, 4)", "T(3, 4), 1, True", "T(), 0", "T(0, 2), 1"],
    errors = [("I(3)", "nanmean(): expected input to have floating point or complex dtype but got Long")])]
pub fn nanmean(x: &Tensor, dim: Option<&[i64]>, keepdim: bool, dtype: Option<DType>) -> Result<Tensor> {
    if !x.dtype().is_float() {
        return Err(Error::not_implemented(format!(
            "nanmean(): expected input to have floating point or complex dtype but got {}",
            x.dtype().scalar_type_name()
        )));
    }
    let counted = sum_dim(&logical_not(&isnan(&x.detach())?)?, dim, keepdim, None)?;
    div(&nansum(x, dim, keepdim, dtype)?, &counted, None)
}

/// Returns `log(sum(exp(input)))` over the dimensions `dim`, without overflow.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.logsumexp.html>
#[op("(input, dim, keepdim=False)", samples = ["T(3, 4), 1", "T(2, 3, 2), [0, 2], True", "T(), 0", "T(0, 2), 1", "I(3), 0"],
    errors = [("T(3), 5", "Dimension out of range")])]
pub fn logsumexp(x: &Tensor, dim: Option<&[i64]>, keepdim: bool) -> Result<Tensor> {
    let over = dims(dim, x.rank())?;
    let x = &if x.dtype().is_float() { x.clone() } else { to_dtype(x, promote::default_dtype())? };
    let y = {
        let _guard = no_grad();
        let fold = |op: ReduceOp, x: &Tensor| reduce(op, x, &over, keepdim, x.dtype());
        if over.iter().any(|&d| x.shape()[d] == 0) {
            log(&fold(ReduceOp::Sum, x)?)?
        } else {
            let max = fold(ReduceOp::Max, x)?;
            // An infinite maximum is its own answer: shifting by it would give inf - inf.
            let shift = where_(&isfinite(&max)?, &max, &zeros_like(&max, None)?)?;
            let terms = exp(&sub(x, &restore(&shift, &over, keepdim)?, ONE)?)?;
            add(&log(&fold(ReduceOp::Sum, &terms)?)?, &shift, ONE)?
        }
    };
    y.with_grad([x], |s| {
        let (sx, sy) = (s.input(x), s.output());
        grad_fn(move |c, g| {
            let y = sy.get(c)?;
            // Where the sum is zero, so is every term: exp(-inf - 0).
            let y = where_(&isneginf(&y.detach())?, &zeros_like(&y, None)?, &y)?;
            let share = exp(&sub(&sx.get(c)?, &restore(&y, &over, keepdim)?, ONE)?)?;
            Ok([Some(mul(&restore(g, &over, keepdim)?, &share)?)])
        })
    })
}

/// Returns how many elements are not zero, over `dim` (all dimensions for None), in int64.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.count_nonzero.html>
#[op("(input, dim=None)", any, nondiff, samples = ["T(3, 4)", "I(3, 4, hi=2), 1", "B(4), 0", "T()", "T(0, 2), 0", "I(2, 3, 2, hi=3), [0, 2]"],
    errors = [("T(3), 5", "Dimension out of range")])]
pub fn count_nonzero(x: &Tensor, dim: Option<&[i64]>) -> Result<Tensor> {
    sum_dim(&to_dtype(&x.detach(), DType::Bool)?, dim, false, None)
}

/// The ops on truth: uint8 answers in uint8, everything else in bool.
fn truth(op: ReduceOp, x: &Tensor, dim: Option<&[i64]>, keepdim: bool) -> Result<Tensor> {
    let y = reduce(op, &x.detach(), &dims(dim, x.rank())?, keepdim, DType::Bool)?;
    if x.dtype() == DType::U8 { to_dtype(&y, DType::U8) } else { Ok(y) }
}

/// Returns whether all elements are true (not zero).
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.all.html>
#[op("(input)", any, nondiff, samples = ["B(3, 4)", "T(3)", "T()", "T(0, 2)", "I(3, dtype=uint8)"])]
pub fn all(x: &Tensor) -> Result<Tensor> {
    truth(ReduceOp::All, x, None, false)
}

/// Returns whether all elements along the dimensions `dim` are true (not zero).
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.all.html>
#[op("(input, dim=None, keepdim=False)", overload = "dim", any, nondiff,
    samples = ["B(3, 4), 1", "I(2, 3, 2, hi=3), [0, 2], True", "T(), 0", "T(0, 2), 0", "I(3, 2, hi=2, dtype=uint8), 0"],
    errors = [("T(3), 5", "Dimension out of range")])]
pub fn all_dim(x: &Tensor, dim: Option<&[i64]>, keepdim: bool) -> Result<Tensor> {
    truth(ReduceOp::All, x, dim, keepdim)
}

/// Returns whether any element is true (not zero).
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.any.html>
#[op("(input)", any, nondiff, samples = ["B(3, 4)", "T(3)", "T()", "T(0, 2)", "I(3, dtype=uint8)"])]
pub fn any(x: &Tensor) -> Result<Tensor> {
    truth(ReduceOp::Any, x, None, false)
}

/// Returns whether any element along the dimensions `dim` is true (not zero).
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.any.html>
#[op("(input, dim=None, keepdim=False)", overload = "dim", any, nondiff,
    samples = ["B(3, 4), 1", "I(2, 3, 2, hi=3), [0, 2], True", "T(), 0", "T(0, 2), 0", "I(3, 2, hi=2, dtype=uint8), 0"],
    errors = [("T(3), 5", "Dimension out of range")])]
pub fn any_dim(x: &Tensor, dim: Option<&[i64]>, keepdim: bool) -> Result<Tensor> {
    truth(ReduceOp::Any, x, dim, keepdim)
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
