//! Views that keep the order of the elements and change the shape.

use super::*;
use crate::autograd::node::BackwardFn;
use crate::autograd::view::view_from;
use crate::autograd::{grad_fn, inplace};
use std::sync::Arc;

ops![
    reshape,
    reshape_as,
    view,
    view_dtype,
    view_as_shape,
    expand,
    expand_as,
    broadcast_to,
    squeeze,
    squeeze_dim,
    unsqueeze,
    squeeze_,
    squeeze_dim_,
    unsqueeze_,
    flatten,
    unflatten,
    ravel,
    atleast_1d,
    atleast_2d,
    atleast_3d
];

/// Sizes for `numel` elements from a list in which one entry may be -1.
pub(crate) fn infer_sizes(shape: &[i64], numel: usize) -> Result<Dims> {
    let invalid = || Error::runtime(format!("shape '{shape:?}' is invalid for input of size {numel}"));
    if let Some(bad) = shape.iter().find(|&&d| d < -1) {
        return Err(Error::runtime(format!("invalid shape dimension {bad}")));
    }
    let known = shape.iter().filter(|&&d| d >= 0).try_fold(1usize, |n, &d| n.checked_mul(d as usize)).ok_or_else(invalid)?;
    let sizes = |inferred: usize| {
        let mut sizes = Dims::new();
        shape.iter().for_each(|&d| sizes.push(if d == -1 { inferred } else { d as usize }));
        sizes
    };
    match shape.iter().filter(|&&d| d == -1).count() {
        0 if known == numel => Ok(sizes(0)),
        0 => Err(invalid()),
        1 if known == 0 && numel == 0 => Err(Error::runtime(format!(
            "cannot reshape tensor of 0 elements into shape {shape:?} because the unspecified dimension size -1 can be any value and is ambiguous"
        ))),
        1 if known != 0 && numel.is_multiple_of(known) => Ok(sizes(numel / known)),
        1 => Err(invalid()),
        _ => Err(Error::runtime("only one dimension can be inferred")),
    }
}

pub(crate) fn as_i64(shape: &[usize]) -> SmallVec<[i64; 6]> {
    crate::op::ints(shape.iter().map(|&d| d as i64))
}

/// Returns `input` with another shape: a view where the strides allow it, else a copy. One size may be -1.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.reshape.html>
#[op("(input, shape)", any, samples = ["T(3, 4), [2, 6]", "T(3, 4), [-1]", "T(), [1, 1]", "T(0, 2), [2, 0]"],
    errors = [("T(3, 4), [5]", "shape '[5]' is invalid for input of size 12")])]
pub fn reshape(x: &Tensor, shape: &[i64]) -> Result<Tensor> {
    let old = x.data_ref();
    let new = infer_sizes(shape, old.layout.numel())?;
    let Some(layout) = old.layout.view(&new) else {
        drop(old);
        return reshaped(copy_contiguous(x)?, &new);
    };
    let data = old.with_layout(layout);
    drop(old);
    let sizes = as_i64(&new);
    view_from(x, data, || Arc::new(move |b| reshape(b, &sizes)), |_| back_to_shape(x))
}

/// The derivative of a change of x's shape.
fn back_to_shape(x: &Tensor) -> BackwardFn {
    let shape = as_i64(&x.shape());
    grad_fn(move |_, g| Ok([Some(reshape(g, &shape)?)]))
}

/// The fresh contiguous tensor `y` under another shape; as nobody else holds `y`, the result is no view of it.
pub(crate) fn reshaped(y: Tensor, shape: &[usize]) -> Result<Tensor> {
    let old = as_i64(&y.shape());
    Tensor::from_data(y.data().with_layout(Layout::contiguous(shape)))
        .with_grad([&y], |_| grad_fn(move |_, g| Ok([Some(reshape(g, &old)?)])))
}

/// Returns `input` with a new dimension of size one before `dim`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.unsqueeze.html>
#[op("(input, dim)", any, view, samples = ["T(3, 4), 0", "T(3, 4), -1", "T(), 0", "T(0, 2), 1"],
    errors = [("T(3), 3", "Dimension out of range (expected to be in range of [-2, 1], but got 3)")])]
pub fn unsqueeze(x: &Tensor, dim: i64) -> Result<Tensor> {
    let at = super::dim(dim, x.rank() + 1)?;
    view_as(x, x.layout().unsqueeze(at), move |b| unsqueeze(b, at as i64), |_| back_to_shape(x))
}

/// Returns `input` with its dimensions of size one repeated, without copying; -1 keeps a size.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.expand.html>
#[op("(input, size)", any, view, samples = ["T(3, 1), [3, 4]", "T(3, 1), [2, -1, 4]", "T(), [2]", "T(1, 0), [2, 0]"],
    errors = [("T(3, 4), [3, 5]", "The expanded size of the tensor (5) must match the existing size (4) at non-singleton dimension 1"),
        ("T(3, 4), [4]", "the number of sizes provided (1) must be greater or equal to the number of dimensions in the tensor (2)")])]
pub fn expand(x: &Tensor, size: &[i64]) -> Result<Tensor> {
    let old = x.shape();
    let Some(lead) = size.len().checked_sub(old.len()) else {
        return Err(Error::runtime(format!(
            "expand: the number of sizes provided ({}) must be greater or equal to the number of dimensions in the tensor ({}); sizes {size:?}, shape {:?}",
            size.len(),
            old.len(),
            old.as_slice()
        )));
    };
    let mut new = Dims::new();
    for (i, &s) in size.iter().enumerate() {
        let existing = i.checked_sub(lead).map(|i| old[i]);
        new.push(match (s, existing) {
            (-1, Some(e)) => e,
            (s, _) if s < 0 => {
                return Err(Error::runtime(format!("The expanded size of the tensor ({s}) isn't allowed in a leading, non-existing dimension {i}")));
            }
            (s, Some(e)) if e != 1 && s as usize != e => {
                return Err(Error::runtime(format!(
                    "The expanded size of the tensor ({s}) must match the existing size ({e}) at non-singleton dimension {i}.  Target sizes: {size:?}.  Tensor sizes: {:?}",
                    old.as_slice()
                )));
            }
            (s, _) => s as usize,
        });
    }
    let layout = x.layout().broadcast_to(&new).expect("sizes were checked");
    let sizes = as_i64(&new);
    // The engine sums the gradient down to the old shape.
    view_as(x, layout, move |b| expand(b, &sizes), |_| grad_fn(|_, g| Ok([Some(g.clone())])))
}

/// `expand` to a shape of known sizes.
pub(crate) fn expand_to(x: &Tensor, shape: &[usize]) -> Result<Tensor> {
    expand(x, &as_i64(shape))
}

/// Returns a view of `input` with another shape; one size may be -1.
///
/// # Errors
/// Where the strides do not allow it without a copy; see [`reshape()`].
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.view.html>
#[op("(input, size)", any, view, samples = ["T(3, 4), [2, 6]", "T(3, 4), [-1]", "T(), [1, 1]", "T(0, 2), [2, 0]", "T(2, 3, 4), [6, -1]"],
    errors = [("T(3, 4), [5]", "shape '[5]' is invalid for input of size 12"),
        ("T(3, 4), [-1, -1]", "only one dimension can be inferred"),
        ("T(0, 2), [0, -1]", "the unspecified dimension size -1 can be any value and is ambiguous")])]
pub fn view(x: &Tensor, size: &[i64]) -> Result<Tensor> {
    let whole = x.data_ref();
    let old = &whole.layout;
    let new = infer_sizes(size, old.numel())?;
    let Some(layout) = old.view(&new) else {
        return Err(Error::runtime(format!(
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across two contiguous subspaces). \
             Use .reshape(...) instead. (size {size:?}; shape {:?}, strides {:?})",
            old.shape.as_slice(),
            old.strides.as_slice()
        )));
    };
    let data = whole.with_layout(layout);
    drop(whole);
    let sizes = as_i64(&new);
    view_from(x, data, || Arc::new(move |b| view(b, &sizes)), |_| back_to_shape(x))
}

/// Returns the bytes of `input` as elements of another dtype, without copying or converting.
///
/// Where the new elements have another size, the last dimension becomes longer or shorter; its stride must be one. Bytes cannot be viewed as
/// bool, since only 0 and 1 are bools.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.view.html>
#[op("(input, dtype)", overload = "dtype", any, nondiff,
    samples = ["T(3, 4, dtype=float32), int32", "T(3, 4, dtype=float32), float64", "T(2, dtype=float64), uint8", "I(0, 2), int16"],
    errors = [("T(3, dtype=float32), float64", "self.size(-1) must be divisible by 2 to view Float as Double (different element sizes), but got 3"),
        ("T(dtype=float32), float64", "self.dim() cannot be 0 to view Float as Double (different element sizes)"),
        ("I(3), bool", "cannot be viewed as bool")])]
pub fn view_dtype(x: &Tensor, dtype: DType) -> Result<Tensor> {
    let mut data = x.data();
    data.wrapped = false;
    if dtype == DType::Bool && data.dtype != DType::Bool {
        return Err(Error::not_implemented(format!(
            "view: elements of dtype {} cannot be viewed as bool; use to(bool)",
            data.dtype
        )));
    }
    let (old, new) = (data.dtype.size(), dtype.size());
    let names = format!("{} as {}", data.dtype.scalar_type_name(), dtype.scalar_type_name());
    if old != new {
        let Some(last) = data.layout.rank().checked_sub(1) else {
            return Err(Error::runtime(format!("self.dim() cannot be 0 to view {names} (different element sizes)")));
        };
        if data.layout.strides[last] != 1 {
            let stride = data.layout.strides[last];
            return Err(Error::runtime(format!(
                "self.stride(-1) must be 1 to view {names} (different element sizes), but got {stride}"
            )));
        }
        data.layout = scaled_layout(&data.layout, old, new, &names)?;
    }
    data.dtype = dtype;
    Ok(Tensor::from_data(data))
}

/// `layout`, counted in elements of `new` bytes instead of `old`; its last stride is one.
fn scaled_layout(layout: &Layout, old: usize, new: usize, names: &str) -> Result<Layout> {
    let last = layout.rank() - 1;
    let mut to = layout.clone();
    if new < old {
        let k = old / new;
        to.shape[last] *= k;
        to.strides[..last].iter_mut().for_each(|s| *s *= k as isize);
        to.offset *= k;
        return Ok(to);
    }
    let k = new / old;
    let indivisible = |what: &str, n: i64| {
        Error::runtime(format!("self.{what} must be divisible by {k} to view {names} (different element sizes), but got {n}"))
    };
    if !to.shape[last].is_multiple_of(k) {
        return Err(indivisible("size(-1)", to.shape[last] as i64));
    }
    if !to.offset.is_multiple_of(k) {
        return Err(indivisible("storage_offset()", to.offset as i64));
    }
    for d in 0..last {
        if to.strides[d] % k as isize != 0 {
            return Err(indivisible(&format!("stride({d})"), to.strides[d] as i64));
        }
        to.strides[d] /= k as isize;
    }
    to.shape[last] /= k;
    to.offset /= k;
    Ok(to)
}

/// Returns a view of `input` with the shape of `other`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.view_as.html>
#[op("(input, other)", name = "view_as", rust = "view_as", any, view, samples = ["T(3, 4), T(2, 6)", "T(), T(1, 1)", "T(0, 2), T(3, 0)"],
    errors = [("T(3, 4), T(5)", "shape '[5]' is invalid for input of size 12")])]
pub fn view_as_shape(x: &Tensor, other: &Tensor) -> Result<Tensor> {
    view(x, &as_i64(&other.shape()))
}

/// Returns `input` with the shape of `other`: a view where the strides allow it, else a copy.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.reshape_as.html>
#[op("(input, other)", any, samples = ["T(3, 4), T(2, 6)", "T(), T(1, 1)", "T(0, 2), T(3, 0)"],
    errors = [("T(3, 4), T(5)", "shape '[5]' is invalid for input of size 12")])]
pub fn reshape_as(x: &Tensor, other: &Tensor) -> Result<Tensor> {
    reshape(x, &as_i64(&other.shape()))
}

/// Returns `input` expanded to the shape of `other`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.expand_as.html>
#[op("(input, other)", any, view, samples = ["T(3, 1), T(3, 4)", "T(), T(2, 2)", "T(1, 0), T(2, 0)"],
    errors = [("T(3), T(4)", "The expanded size of the tensor (4) must match the existing size (3)")])]
pub fn expand_as(x: &Tensor, other: &Tensor) -> Result<Tensor> {
    expand(x, &as_i64(&other.shape()))
}

/// Returns `input` broadcast to the shape `size`: another name for [`expand()`].
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.broadcast_to.html>
#[op("(input, size)", any, view, samples = ["T(3, 1), [3, 4]", "T(), [2]", "T(1, 0), [2, 0]"],
    errors = [("T(3), [4]", "The expanded size of the tensor (4) must match the existing size (3)")])]
pub fn broadcast_to(x: &Tensor, size: &[i64]) -> Result<Tensor> {
    expand(x, size)
}

/// Returns a view of `input` without the dimensions in `which` that have size one.
fn without_ones(x: &Tensor, which: Dims) -> Result<Tensor> {
    let mut layout = x.layout();
    let gone: Dims = which.into_iter().filter(|&d| layout.shape[d] == 1).collect();
    for &d in gone.iter().rev() {
        layout = layout.squeeze(d);
    }
    view_as(x, layout, move |b| without_ones(b, gone.clone()), |_| back_to_shape(x))
}

/// Returns a view of `input` without any dimension of size one.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.squeeze.html>
#[op("(input)", any, view, samples = ["T(1, 3, 1)", "T(3, 4)", "T()", "T(1, 0)"])]
pub fn squeeze(x: &Tensor) -> Result<Tensor> {
    without_ones(x, (0..x.rank()).collect())
}

/// Returns a view of `input` without those of the dimensions `dim` that have size one.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.squeeze.html>
#[op("(input, dim)", overload = "dim", any, view, samples = ["T(1, 3, 1), 0", "T(1, 3, 1), [0, -1]", "T(3, 4), 1", "T(), 0", "T(1, 2), []"],
    errors = [("T(3), 5", "Dimension out of range (expected to be in range of [-1, 0], but got 5)"),
        ("T(1, 2), [0, 0]", "dim 0 appears multiple times in the list of dims")])]
pub fn squeeze_dim(x: &Tensor, dim: &[i64]) -> Result<Tensor> {
    without_ones(x, if dim.is_empty() { Dims::new() } else { dims(Some(dim), x.rank())? })
}

/// Removes the dimensions of size one from `input` itself: only its shape changes.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.squeeze_.html>
#[op("(input)", name = "squeeze_", any, nondiff, samples = ["I(1, 3, 1)", "I(3, 4)", "I()"])]
pub fn squeeze_(x: &Tensor) -> Result<Tensor> {
    inplace::relayout(x, squeeze)
}

/// Removes those of the dimensions `dim` that have size one from `input` itself.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.squeeze_.html>
#[op("(input, dim)", name = "squeeze_", overload = "dim", any, nondiff, samples = ["I(1, 3, 1), 0", "I(1, 3, 1), [0, -1]"],
    errors = [("T(3), 5", "Dimension out of range")])]
pub fn squeeze_dim_(x: &Tensor, dim: &[i64]) -> Result<Tensor> {
    inplace::relayout(x, |x| squeeze_dim(x, dim))
}

/// Gives `input` itself a new dimension of size one before `dim`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.unsqueeze_.html>
#[op("(input, dim)", name = "unsqueeze_", any, nondiff, samples = ["I(3, 4), 0", "I(3, 4), -1", "I(), 0"],
    errors = [("T(3), 3", "Dimension out of range (expected to be in range of [-2, 1], but got 3)")])]
pub fn unsqueeze_(x: &Tensor, dim: i64) -> Result<Tensor> {
    inplace::relayout(x, |x| unsqueeze(x, dim))
}

/// Returns `input` with the dimensions from `start_dim` to `end_dim` joined into one; a view where the strides allow it.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.flatten.html>
#[op("(input, start_dim=0, end_dim=-1)", any, samples = ["T(3, 4)", "T(2, 3, 2), 1", "T(2, 3, 2), 0, 1", "T()", "T(0, 2)"],
    errors = [("T(2, 3, 4), 2, 1", "flatten() has invalid args: start_dim cannot come after end_dim"),
        ("T(3), 1", "Dimension out of range (expected to be in range of [-1, 0], but got 1)")])]
pub fn flatten(x: &Tensor, start_dim: i64, end_dim: i64) -> Result<Tensor> {
    let shape = x.shape();
    let (start, end) = (dim(start_dim, shape.len())?, dim(end_dim, shape.len())?);
    if start > end {
        return Err(Error::runtime("flatten() has invalid args: start_dim cannot come after end_dim"));
    }
    if shape.is_empty() {
        return reshape(x, &[1]);
    }
    if start == end {
        return Ok(x.clone());
    }
    let mut sizes = as_i64(&shape[..start]);
    sizes.push(shape[start..=end].iter().product::<usize>() as i64);
    sizes.extend(as_i64(&shape[end + 1..]));
    reshape(x, &sizes)
}

/// Returns a view of `input` with dimension `dim` split into `sizes`, one of which may be -1.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.unflatten.html>
#[op("(input, dim, sizes)", any, view, samples = ["T(3, 4), 1, [2, 2]", "T(3, 4), 0, [-1, 3]", "T(4), 0, [2, 2]", "T(0, 2), 1, [2, 1]"],
    errors = [("T(2, 3), 1, [2, 2]", "unflatten: Provided sizes [2, 2] don't multiply up to the size of dim 1 (3) in the input tensor"),
        ("T(2, 3), 1, []", "unflatten: sizes must be non-empty"), ("T(2, 3), 2, [1]", "Dimension out of range"),
        ("T(2, 3), 1, [-1, -1]", "only one dimension can be inferred")])]
pub fn unflatten(x: &Tensor, dim: i64, sizes: &[i64]) -> Result<Tensor> {
    let shape = x.shape();
    let at = super::dim(dim, shape.len())?;
    if sizes.is_empty() {
        return Err(Error::runtime("unflatten: sizes must be non-empty"));
    }
    let size = shape.get(at).copied().unwrap_or(1);
    let known = sizes.iter().try_fold(1i64, |n, &d| n.checked_mul(d));
    if !sizes.contains(&-1) && known != Some(size as i64) {
        return Err(Error::runtime(format!(
            "unflatten: Provided sizes {sizes:?} don't multiply up to the size of dim {at} ({size}) in the input tensor"
        )));
    }
    let mut new = as_i64(&shape[..at]);
    new.extend(as_i64(&infer_sizes(sizes, size)?));
    new.extend(as_i64(shape.get(at + 1..).unwrap_or_default()));
    view(x, &new)
}

/// Returns the elements of `input` in one dimension, contiguous: `input` itself or a view where it is contiguous, else a copy.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.ravel.html>
#[op("(input)", any, samples = ["T(3, 4)", "T()", "T(0, 2)"])]
pub fn ravel(x: &Tensor) -> Result<Tensor> {
    reshape(&contiguous(x)?, &[-1])
}

/// Returns `input`, a zero-dim tensor as a vector of one element.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.atleast_1d.html>
#[op("(input)", any, function, samples = ["T(3, 4)", "T(3)", "T()"])]
pub fn atleast_1d(x: &Tensor) -> Result<Tensor> {
    if x.rank() == 0 { reshape(x, &[1]) } else { Ok(x.clone()) }
}

/// Returns `input` with at least two dimensions; new ones come in front.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.atleast_2d.html>
#[op("(input)", any, function, samples = ["T(3, 4)", "T(3)", "T()"])]
pub fn atleast_2d(x: &Tensor) -> Result<Tensor> {
    match x.rank() {
        0 => reshape(x, &[1, 1]),
        1 => unsqueeze(x, 0),
        _ => Ok(x.clone()),
    }
}

/// Returns `input` with at least three dimensions: a vector becomes `[1, n, 1]`, a matrix `[m, n, 1]`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.atleast_3d.html>
#[op("(input)", any, function, samples = ["T(2, 3, 4)", "T(3, 4)", "T(3)", "T()"])]
pub fn atleast_3d(x: &Tensor) -> Result<Tensor> {
    match x.rank() {
        0 => reshape(x, &[1, 1, 1]),
        1 => unsqueeze(&unsqueeze(x, 0)?, -1),
        2 => unsqueeze(x, -1),
        _ => Ok(x.clone()),
    }
}
