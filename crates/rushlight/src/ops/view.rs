//! Views: the same elements under another shape or order.

use super::*;
use crate::autograd::grad_fn;

ops![reshape, unsqueeze, expand];

/// Sizes for `numel` elements from a list in which one entry may be -1.
pub(crate) fn infer_sizes(shape: &[i64], numel: usize) -> Result<Dims> {
    let invalid = || Error::runtime(format!("shape '{shape:?}' is invalid for input of size {numel}"));
    if let Some(bad) = shape.iter().find(|&&d| d < -1) {
        return Err(Error::runtime(format!("invalid shape dimension {bad}")));
    }
    let known = shape.iter().filter(|&&d| d >= 0).try_fold(1usize, |n, &d| n.checked_mul(d as usize)).ok_or_else(invalid)?;
    match shape.iter().filter(|&&d| d == -1).count() {
        0 if known == numel => Ok(shape.iter().map(|&d| d as usize).collect()),
        0 => Err(invalid()),
        1 if known == 0 && numel == 0 => Err(Error::runtime(format!(
            "cannot reshape tensor of 0 elements into shape {shape:?} because the unspecified dimension size -1 can be any value and is ambiguous"
        ))),
        1 if known != 0 && numel % known == 0 => Ok(shape.iter().map(|&d| if d == -1 { numel / known } else { d as usize }).collect()),
        1 => Err(invalid()),
        _ => Err(Error::runtime("only one dimension can be inferred")),
    }
}

fn as_i64(shape: &[usize]) -> SmallVec<[i64; 6]> {
    shape.iter().map(|&d| d as i64).collect()
}

/// Returns `input` with another shape: a view where the strides allow it, else a copy. One size may be -1.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.reshape.html>
#[op("(input, shape)", any, samples = ["T(3, 4), [2, 6]", "T(3, 4), [-1]", "T(), [1, 1]", "T(0, 2), [2, 0]"],
    errors = [("T(3, 4), [5]", "shape '[5]' is invalid for input of size 12")])]
pub fn reshape(x: &Tensor, shape: &[i64]) -> Result<Tensor> {
    let new = infer_sizes(shape, x.numel())?;
    let old = as_i64(&x.shape());
    let Some(layout) = x.layout().view(&new) else { return reshape(&copy_contiguous(x)?, shape) };
    let sizes = as_i64(&new);
    view_as(x, layout, move |b| reshape(b, &sizes), |_| grad_fn(move |_, g| Ok([Some(reshape(g, &old)?)])))
}

/// Returns `input` with a new dimension of size one before `dim`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.unsqueeze.html>
#[op("(input, dim)", any, view, samples = ["T(3, 4), 0", "T(3, 4), -1", "T(), 0", "T(0, 2), 1"],
    errors = [("T(3), 3", "Dimension out of range (expected to be in range of [-2, 1], but got 3)")])]
pub fn unsqueeze(x: &Tensor, dim: i64) -> Result<Tensor> {
    let at = super::dim(dim, x.rank() + 1)?;
    let shape = as_i64(&x.shape());
    view_as(x, x.layout().unsqueeze(at), move |b| unsqueeze(b, at as i64), |_| grad_fn(move |_, g| Ok([Some(reshape(g, &shape)?)])))
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
