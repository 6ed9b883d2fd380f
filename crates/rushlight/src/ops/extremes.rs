//! Largest and smallest elements, where they are, and the element in the middle.

use super::*;
use crate::autograd::{self, grad_fn, grad_fn_many, no_grad};
use rushlight_kernels::backend::{ReduceOp, ScatterOp};

ops![
    max,
    max_dim,
    max_other,
    min,
    min_dim,
    min_other,
    amax,
    amin,
    aminmax,
    argmax,
    argmin,
    median,
    median_dim,
    nanmedian,
    nanmedian_dim
];

/// An extreme has no value for nothing: the reduced dimensions must not be empty.
fn not_empty(op: &str, x: &Tensor, over: &[usize], all: bool) -> Result<()> {
    let shape = x.shape();
    let Some(empty) = over.iter().find(|&&d| shape[d] == 0) else { return Ok(()) };
    if all {
        return Err(Error::runtime(format!(
            "{op}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the 'dim' argument."
        )));
    }
    Err(Error::index(format!("{op}(): Expected reduction dim {empty} to have non-zero size.")))
}

/// `op` over `over`; the gradient is split evenly among the elements that equal the extreme.
fn extreme(op: ReduceOp, x: &Tensor, over: Dims, keepdim: bool) -> Result<Tensor> {
    reduce(op, x, &over, keepdim, x.dtype())?.with_grad([x], |s| {
        let (sx, sy) = (s.input(x), s.output());
        grad_fn(move |c, g| {
            let ties = {
                let _guard = no_grad();
                let (x, y) = (sx.get(c)?, restore(&sy.get(c)?, &over, keepdim)?);
                // NaN wins every comparison, and equals none.
                logical_or(&eq(&x, &y)?, &logical_and(&isnan(&x)?, &isnan(&y)?)?)?
            };
            let all: SmallVec<[i64; 6]> = over.iter().map(|&d| d as i64).collect();
            let count =
                if all.is_empty() { ones_like(&ties, Some(DType::I64))? } else { sum_dim(&ties, Some(&all), true, None)? };
            Ok([Some(mul(&div(&restore(g, &over, keepdim)?, &count, None)?, &ties)?)])
        })
    })
}

/// Elements of `x` along `d` at `index`, as [`Backend::gather`](rushlight_kernels::backend::Backend::gather); the index is in range.
pub(super) fn pick(x: &Tensor, d: usize, index: &Tensor) -> Result<Tensor> {
    if x.rank() == 0 {
        // A copy: the callers reshape the result as fresh memory that starts at zero.
        return copy_contiguous(x);
    }
    let shape = x.shape();
    let y = storage::compute(Layout::contiguous(&index.shape()), x.dtype(), &[x.data(), index.data()], |ins, out| {
        backend().gather(ins[0], d, ins[1], out)
    })?;
    let index = index.clone();
    Tensor::from_data(y).with_grad([x], |_| grad_fn(move |_, g| Ok([Some(place(ScatterOp::Add, g, d, &index, &shape)?)])))
}

/// The transposed map of [`pick`]: a tensor of zeros with `g` joined in.
pub(super) fn place(op: ScatterOp, g: &Tensor, d: usize, index: &Tensor, shape: &[usize]) -> Result<Tensor> {
    if shape.is_empty() {
        return Ok(g.clone());
    }
    let y = filled(shape, Scalar::Int(0), g.dtype())?;
    storage::write(&[y.data()], &[index.data(), g.data()], |outs, ins| backend().scatter(op, d, ins[0], ins[1], &mut outs[0]))?;
    let index = index.clone();
    y.with_grad([g], |_| grad_fn(move |_, g| Ok([Some(pick(g, d, &index)?)])))
}

/// Positions along `d` of size one there, to values and positions as PyTorch returns them.
fn values_at(x: &Tensor, d: usize, index: &Tensor, keepdim: bool) -> Result<(Tensor, Tensor)> {
    let picked = {
        let _guard = no_grad();
        pick(x, d, index)?
    };
    let shape: Dims =
        x.shape().iter().enumerate().filter(|&(i, _)| keepdim || i != d).map(|(i, &n)| if i == d { 1 } else { n }).collect();
    let layout = Layout::contiguous(&shape);
    let outs = [&picked, index].map(|t| Tensor::from_data(t.data().with_layout(layout.clone())));
    let (full, index) = (x.shape(), index.clone());
    autograd::record(&outs, &[x], |_| {
        grad_fn_many(move |_, g| {
            Ok([match &g[0] {
                Some(g) if full.is_empty() => Some(g.clone()),
                Some(g) => Some(place(ScatterOp::Add, &restore(g, &[d], keepdim)?, d, &index, &full)?),
                None => None,
            }])
        })
    })?;
    let [values, indices] = outs;
    Ok((values, indices))
}

fn extreme_dim(name: &str, op: ReduceOp, x: &Tensor, dim: i64, keepdim: bool) -> Result<(Tensor, Tensor)> {
    let d = super::dim(dim, x.rank())?;
    let over: Dims = (d < x.rank()).then_some(d).into_iter().collect();
    not_empty(name, x, &over, false)?;
    values_at(x, d, &reduce(op, &x.detach(), &over, true, DType::I64)?, keepdim)
}

fn full(name: &str, op: ReduceOp, x: &Tensor) -> Result<Tensor> {
    let over: Dims = (0..x.rank()).collect();
    not_empty(name, x, &over, true)?;
    extreme(op, x, over, false)
}

/// Returns the largest of all elements; NaN where there is one.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.max.html>
#[op("(input)", any, samples = ["T(3, 4)", "T()", "I(5)", "B(3)"],
    errors = [("T(0)", "max(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the 'dim' argument.")])]
pub fn max(x: &Tensor) -> Result<Tensor> {
    full("max", ReduceOp::Max, x)
}

/// Returns the largest elements along `dim` and the positions of the first of them.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.max.html>
#[op("(input, dim, keepdim=False)", returns = ["values", "indices"], overload = "dim", any, samples = ["T(3, 4), 1", "T(2, 3, 2), 0, True", "T(), 0", "T(0, 2), 1", "I(3, 4, hi=3), 1", "B(4), 0"],
    errors = [("T(3), 5", "Dimension out of range"), ("T(0, 2), 0", "max(): Expected reduction dim 0 to have non-zero size.")])]
pub fn max_dim(x: &Tensor, dim: i64, keepdim: bool) -> Result<(Tensor, Tensor)> {
    extreme_dim("max", ReduceOp::ArgMax, x, dim, keepdim)
}

/// Returns the larger of both elements, as [`maximum`].
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.max.html>
#[op("(input, other)", overload = "other", any, samples = ["T(3, 4), T(4)", "T(3), I(3)", "T(0, 2), T(2)"], errors = [("T(3), T(4)", "must match the size of tensor b (4)")])]
pub fn max_other(x: &Tensor, other: &Tensor) -> Result<Tensor> {
    maximum(x, other)
}

/// Returns the smallest of all elements; NaN where there is one.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.min.html>
#[op("(input)", any, samples = ["T(3, 4)", "T()", "I(5)", "B(3)"],
    errors = [("T(0)", "min(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the 'dim' argument.")])]
pub fn min(x: &Tensor) -> Result<Tensor> {
    full("min", ReduceOp::Min, x)
}

/// Returns the smallest elements along `dim` and the positions of the first of them.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.min.html>
#[op("(input, dim, keepdim=False)", returns = ["values", "indices"], overload = "dim", any, samples = ["T(3, 4), 1", "T(2, 3, 2), 0, True", "T(), 0", "T(0, 2), 1", "I(3, 4, hi=3), 1", "B(4), 0"],
    errors = [("T(3), 5", "Dimension out of range"), ("T(0, 2), 0", "min(): Expected reduction dim 0 to have non-zero size.")])]
pub fn min_dim(x: &Tensor, dim: i64, keepdim: bool) -> Result<(Tensor, Tensor)> {
    extreme_dim("min", ReduceOp::ArgMin, x, dim, keepdim)
}

/// Returns the smaller of both elements, as [`minimum`].
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.min.html>
#[op("(input, other)", overload = "other", any, samples = ["T(3, 4), T(4)", "T(3), I(3)", "T(0, 2), T(2)"], errors = [("T(3), T(4)", "must match the size of tensor b (4)")])]
pub fn min_other(x: &Tensor, other: &Tensor) -> Result<Tensor> {
    minimum(x, other)
}

fn over(name: &str, op: ReduceOp, x: &Tensor, dim: &[i64], keepdim: bool) -> Result<Tensor> {
    let over = dims(Some(dim), x.rank())?;
    not_empty(name, x, &over, dim.is_empty())?;
    extreme(op, x, over, keepdim)
}

/// Returns the largest elements over the dimensions `dim` (all for an empty list). The gradient is split evenly among equal ones.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.amax.html>
#[op("(input, dim=(), keepdim=False)", any, samples = ["T(3, 4)", "T(3, 4), 1", "T(2, 3, 2), [0, 2], True", "T(), 0", "T(0, 2), 1", "I(3, 4), 0", "B(3, 2), 0"],
    errors = [("T(3), 5", "Dimension out of range"), ("T(0, 2), 0", "amax(): Expected reduction dim 0 to have non-zero size."),
        ("T(0)", "amax(): Expected reduction dim to be specified for input.numel() == 0.")])]
pub fn amax(x: &Tensor, dim: &[i64], keepdim: bool) -> Result<Tensor> {
    over("amax", ReduceOp::Max, x, dim, keepdim)
}

/// Returns the smallest elements over the dimensions `dim` (all for an empty list). The gradient is split evenly among equal ones.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.amin.html>
#[op("(input, dim=(), keepdim=False)", any, samples = ["T(3, 4)", "T(3, 4), 1", "T(2, 3, 2), [0, 2], True", "T(), 0", "T(0, 2), 1", "I(3, 4), 0", "B(3, 2), 0"],
    errors = [("T(3), 5", "Dimension out of range"), ("T(0, 2), 0", "amin(): Expected reduction dim 0 to have non-zero size."),
        ("T(0)", "amin(): Expected reduction dim to be specified for input.numel() == 0.")])]
pub fn amin(x: &Tensor, dim: &[i64], keepdim: bool) -> Result<Tensor> {
    over("amin", ReduceOp::Min, x, dim, keepdim)
}

/// Returns the smallest and the largest elements, along `dim` or of all.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.aminmax.html>
#[op("(input, *, dim=None, keepdim=False)", returns = ["min", "max"], any, samples = ["T(3, 4)", "T(3, 4), dim=1", "T(3, 4), dim=0, keepdim=True", "T()", "I(5)"],
    errors = [("T(0)", "aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity."),
        ("T(0, 2), dim=0", "aminmax: Expected reduction dim 0 to have non-zero size.")])]
pub fn aminmax(x: &Tensor, dim: Option<i64>, keepdim: bool) -> Result<(Tensor, Tensor)> {
    let list: SmallVec<[i64; 1]> = dim.into_iter().collect();
    let over = dims(Some(&list), x.rank())?;
    if let Some(empty) = over.iter().find(|&&d| x.shape()[d] == 0) {
        return Err(match dim {
            None => Error::runtime("aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity."),
            Some(_) => Error::index(format!("aminmax: Expected reduction dim {empty} to have non-zero size.")),
        });
    }
    Ok((extreme(ReduceOp::Min, x, over.clone(), keepdim)?, extreme(ReduceOp::Max, x, over, keepdim)?))
}

fn position(name: &str, op: ReduceOp, x: &Tensor, dim: Option<i64>, keepdim: bool) -> Result<Tensor> {
    let list: SmallVec<[i64; 1]> = dim.into_iter().collect();
    let over = dims(Some(&list), x.rank())?;
    if let Some(empty) = over.iter().find(|&&d| x.shape()[d] == 0) {
        return Err(Error::index(match dim {
            None => format!("{name}(): Expected reduction dim to be specified for input.numel() == 0."),
            Some(_) => format!("{name}(): Expected reduction dim {empty} to have non-zero size."),
        }));
    }
    if x.dtype() == DType::Bool {
        return Err(Error::not_implemented(format!("{name}(): does not support bool input")));
    }
    reduce(op, &x.detach(), &over, keepdim, DType::I64)
}

/// Returns the position of the first largest element along `dim`, or in the flattened tensor for None.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.argmax.html>
#[op("(input, dim=None, keepdim=False)", number, nondiff, samples = ["T(3, 4)", "T(3, 4), 1", "T(2, 3), 0, True", "T(2, 3), keepdim=True", "T()", "I(6, hi=3)", "T(0, 2), 1"],
    errors = [("T(3), 5", "Dimension out of range"), ("T(0)", "argmax(): Expected reduction dim to be specified for input.numel() == 0."),
        ("B(3)", "argmax(): does not support bool input")])]
pub fn argmax(x: &Tensor, dim: Option<i64>, keepdim: bool) -> Result<Tensor> {
    position("argmax", ReduceOp::ArgMax, x, dim, keepdim)
}

/// Returns the position of the first smallest element along `dim`, or in the flattened tensor for None.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.argmin.html>
#[op("(input, dim=None, keepdim=False)", number, nondiff, samples = ["T(3, 4)", "T(3, 4), 1", "T(2, 3), 0, True", "T(2, 3), keepdim=True", "T()", "I(6, hi=3)", "T(0, 2), 1"],
    errors = [("T(3), 5", "Dimension out of range"), ("T(0)", "argmin(): Expected reduction dim to be specified for input.numel() == 0."),
        ("B(3)", "argmin(): does not support bool input")])]
pub fn argmin(x: &Tensor, dim: Option<i64>, keepdim: bool) -> Result<Tensor> {
    position("argmin", ReduceOp::ArgMin, x, dim, keepdim)
}

/// The middle element (the lower one of two) along `dim`. NaN sorts last: it is the median where there is one, unless it is to be left out.
fn middle(name: &str, x: &Tensor, dim: i64, keepdim: bool, skip_nan: bool) -> Result<(Tensor, Tensor)> {
    let d = super::dim(dim, x.rank())?;
    let shape = x.shape();
    let n = shape.get(d).copied().unwrap_or(1);
    if n == 0 {
        return Err(Error::index(format!("{name}(): Expected reduction dim {d} to have non-zero size.")));
    }
    if shape.is_empty() {
        return values_at(x, d, &filled(&[], Scalar::Int(0), DType::I64)?, keepdim);
    }
    let _guard = no_grad();
    let nans = if x.dtype().is_float() { Some(sum_dim(&isnan(x)?, Some(&[d as i64]), true, None)?) } else { None };
    let has_some = |n: &Tensor| -> Result<bool> { Ok(n.numel() > 0 && max(n)?.try_item::<i64>()? > 0) };
    let Some(nans) = nans.filter(|n| has_some(n).unwrap_or(true)) else {
        // Without NaN all lines have the same middle.
        let mut one = shape.clone();
        one[d] = 1;
        let layout = Layout::contiguous(&one);
        let found = storage::compute_many(&[(layout.clone(), x.dtype()), (layout, DType::I64)], &[x.data()], |ins, outs| {
            let (values, order) = outs.split_at_mut(1);
            backend().nth(ins[0], d, (n - 1) / 2, &mut values[0], &mut order[0])
        })?;
        drop(_guard);
        return values_at(x, d, &Tensor::from_data(found[1].clone()), keepdim);
    };
    let layout = Layout::contiguous(&shape);
    let sorted = storage::compute_many(&[(layout.clone(), x.dtype()), (layout, DType::I64)], &[x.data()], |ins, outs| {
        let (values, order) = outs.split_at_mut(1);
        backend().sort(ins[0], d, false, &mut values[0], &mut order[0])
    })?;
    let order = Tensor::from_data(sorted[1].clone());
    // Which place of the sorted order is the answer: the last one (a NaN) if NaN counts and there is one.
    let wrapped = |i: usize| Tensor::wrapped_number(Scalar::Int(i as i64));
    let place = if skip_nan {
        // All NaN: the first.
        let real = sub(&wrapped(n), &nans, Scalar::Int(1))?;
        let place = div(&sub(&real, &wrapped(1), Scalar::Int(1))?, &wrapped(2), Some("floor"))?;
        maximum(&place, &wrapped(0))?
    } else {
        let count = wrapped(n - 1);
        where_(&gt(&nans, &wrapped(0))?, &sub(&wrapped(n), &nans, Scalar::Int(1))?, &div(&count, &wrapped(2), Some("floor"))?)?
    };
    let index = pick(&order, d, &contiguous(&to_dtype(&place, DType::I64)?)?)?;
    drop(_guard);
    values_at(x, d, &index, keepdim)
}

fn middle_of_all(name: &str, x: &Tensor, skip_nan: bool) -> Result<Tensor> {
    if x.numel() == 0 {
        return if x.dtype().is_float() {
            filled(&[], Scalar::Float(f64::NAN), x.dtype())
        } else {
            filled(&[], Scalar::Int(if x.dtype() == DType::I64 { i64::MIN } else { 0 }), x.dtype())
        };
    }
    Ok(middle(name, &reshape(x, &[-1])?, 0, false, skip_nan)?.0)
}

/// Returns the median of all elements (the lower one of two); NaN where there is one, and for an empty tensor.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.median.html>
#[op("(input)", number, samples = ["T(3, 3)", "T(4)", "T()", "I(7)"])]
pub fn median(x: &Tensor) -> Result<Tensor> {
    middle_of_all("median", x, false)
}

/// Returns the medians along `dim` (the lower one of two) and where they are.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.median.html>
#[op("(input, dim, keepdim=False)", returns = ["values", "indices"], overload = "dim", number, samples = ["T(3, 5), 1", "T(2, 4, 2), 1, True", "T(), 0", "T(0, 2), 1"],
    errors = [("T(3), 5", "Dimension out of range"), ("T(0, 2), 0", "median(): Expected reduction dim 0 to have non-zero size.")])]
pub fn median_dim(x: &Tensor, dim: i64, keepdim: bool) -> Result<(Tensor, Tensor)> {
    middle("median", x, dim, keepdim, false)
}

/// Returns the median of all elements that are not NaN.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nanmedian.html>
#[op("(input)", number, samples = ["T(3, 3)", "T(4)", "T()", "I(7)"])]
pub fn nanmedian(x: &Tensor) -> Result<Tensor> {
    middle_of_all("nanmedian", x, true)
}

/// Returns the medians along `dim` of the elements that are not NaN, and where they are.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nanmedian.html>
#[op("(input, dim, keepdim=False)", returns = ["values", "indices"], overload = "dim", number, samples = ["T(3, 5), 1", "T(2, 4, 2), 1, True", "T(), 0", "T(0, 2), 1"],
    errors = [("T(3), 5", "Dimension out of range"), ("T(0, 2), 0", "nanmedian(): Expected reduction dim 0 to have non-zero size.")])]
pub fn nanmedian_dim(x: &Tensor, dim: i64, keepdim: bool) -> Result<(Tensor, Tensor)> {
    middle("nanmedian", x, dim, keepdim, true)
}
