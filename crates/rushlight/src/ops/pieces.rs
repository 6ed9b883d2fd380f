//! Putting tensors side by side, and cutting them apart again, along a named direction; and further reshapings.

use super::slicing::replace;
use super::*;

ops![
    column_stack,
    hsplit,
    hsplit_indices,
    vsplit,
    vsplit_indices,
    dsplit,
    dsplit_indices,
    sum_to_size,
    as_strided_scatter,
    constant_pad_nd
];

/// Joins tensors along the second dimension; vectors and numbers are columns.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.column_stack.html>
#[op("(tensors)", any, function, samples = ["[T(2), T(2, 3)]", "[T(), T()]", "[T(3), T(3), T(3)]", "[T(0, 2), T(0, 1)]", "[I(2), I(2)]", "[T(2, 1, 2), T(2, 2, 2)]"],
    errors = [("[T(2), T(3)]", "Sizes of tensors must match")])]
pub fn column_stack(tensors: &[Tensor]) -> Result<Tensor> {
    if tensors.is_empty() {
        return Err(Error::runtime("column_stack expects a non-empty TensorList"));
    }
    let columns: Result<Vec<Tensor>> =
        tensors.iter().map(|t| if t.rank() <= 1 { reshape(t, &[t.numel() as i64, 1]) } else { Ok(t.clone()) }).collect();
    cat(&columns?, 1)
}

/// The dimension that `op` cuts, of a tensor with at least `least` dimensions.
fn direction(op: &str, x: &Tensor, least: usize, d: usize) -> Result<i64> {
    if x.rank() < least {
        return Err(Error::runtime(format!(
            "torch.{op} requires a tensor with at least {least} dimension, but got a tensor with {} dimensions!",
            x.rank()
        )));
    }
    // The columns of a vector are its elements.
    Ok(d.min(x.rank() - 1) as i64)
}

fn sections(op: &str, x: &Tensor, d: i64, n: i64) -> Result<Vec<Tensor>> {
    let size = x.size(d) as i64;
    if n == 0 || size % n != 0 {
        return Err(Error::runtime(format!(
            "torch.{op} attempted to split along dimension {d}, but the size of the dimension {size} is not divisible by the split_size {n}!"
        )));
    }
    tensor_split(x, n, d)
}

/// Cuts into `sections` equal views along the second dimension; of a vector along its only one.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.hsplit.html>
#[op("(input, sections)", any, view, samples = ["T(2, 4), 2", "T(6), 3", "T(0, 2), 1"],
    errors = [("T(4), 3", "torch.hsplit attempted to split along dimension 0, but the size of the dimension 4 is not divisible by the split_size 3!"), ("T(), 1", "torch.hsplit requires a tensor with at least 1 dimension, but got a tensor with 0 dimensions!")])]
pub fn hsplit(x: &Tensor, sections: i64) -> Result<Vec<Tensor>> {
    self::sections("hsplit", x, direction("hsplit", x, 1, 1)?, sections)
}

/// Cuts before each of `indices` along the second dimension; of a vector along its only one.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.hsplit.html>
#[op("(input, indices)", overload = "indices", any, view, samples = ["T(2, 4), [1, 3]", "T(6), [2]"], errors = [("T(), [1]", "torch.hsplit requires a tensor with at least 1 dimension")])]
pub fn hsplit_indices(x: &Tensor, indices: &[i64]) -> Result<Vec<Tensor>> {
    tensor_split_indices(x, indices, direction("hsplit", x, 1, 1)?)
}

/// Cuts into `sections` equal views along the first dimension.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.vsplit.html>
#[op("(input, sections)", any, view, samples = ["T(4, 2), 2", "T(3, 0), 3"],
    errors = [("T(4), 2", "torch.vsplit requires a tensor with at least 2 dimension, but got a tensor with 1 dimensions!"), ("T(4, 2), 3", "torch.vsplit attempted to split along dimension 0")])]
pub fn vsplit(x: &Tensor, sections: i64) -> Result<Vec<Tensor>> {
    self::sections("vsplit", x, direction("vsplit", x, 2, 0)?, sections)
}

/// Cuts before each of `indices` along the first dimension.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.vsplit.html>
#[op("(input, indices)", overload = "indices", any, view, samples = ["T(4, 2), [1, 3]"], errors = [("T(4), [2]", "torch.vsplit requires a tensor with at least 2 dimension")])]
pub fn vsplit_indices(x: &Tensor, indices: &[i64]) -> Result<Vec<Tensor>> {
    tensor_split_indices(x, indices, direction("vsplit", x, 2, 0)?)
}

/// Cuts into `sections` equal views along the third dimension.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.dsplit.html>
#[op("(input, sections)", any, view, samples = ["T(1, 2, 4), 2"],
    errors = [("T(4, 2), 2", "torch.dsplit requires a tensor with at least 3 dimension, but got a tensor with 2 dimensions!"), ("T(1, 1, 2), 3", "torch.dsplit attempted to split along dimension 2")])]
pub fn dsplit(x: &Tensor, sections: i64) -> Result<Vec<Tensor>> {
    self::sections("dsplit", x, direction("dsplit", x, 3, 2)?, sections)
}

/// Cuts before each of `indices` along the third dimension.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.dsplit.html>
#[op("(input, indices)", overload = "indices", any, view, samples = ["T(1, 2, 4), [1, 3]"], errors = [("T(4, 2), [2]", "torch.dsplit requires a tensor with at least 3 dimension")])]
pub fn dsplit_indices(x: &Tensor, indices: &[i64]) -> Result<Vec<Tensor>> {
    tensor_split_indices(x, indices, direction("dsplit", x, 3, 2)?)
}

/// Returns the sums of `input` over the dimensions along which a tensor of shape `size` would be broadcast to it.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.sum_to_size.html>
#[op("(input, size)", any, samples = ["T(2, 3), [1, 3]", "T(2, 3), [3]", "T(2, 3), []", "T(2, 3), [2, 3]", "T(4, 2, 3), [2, 1]", "I(2, 3), [1]"],
    errors = [("T(2, 3), [2, 2]", "size {[2, 2]} is not expandable to size {[2, 3]}."), ("T(2, 3), [1, 2, 3]", "size {[1, 2, 3]} is not expandable to size {[2, 3]}.")])]
pub fn sum_to_size(x: &Tensor, size: &[i64]) -> Result<Tensor> {
    let shape = x.shape();
    let fits = size.len() <= shape.len() && size.iter().rev().zip(shape.iter().rev()).all(|(&s, &n)| s == n as i64 || s == 1);
    if !fits {
        return Err(Error::runtime(format!("size {{{size:?}}} is not expandable to size {{{:?}}}.", shape.as_slice())));
    }
    if size.is_empty() {
        return sum(x, None);
    }
    let lead = shape.len() - size.len();
    let over: SmallVec<[i64; 6]> =
        (0..shape.len()).filter(|&d| d < lead || size[d - lead] == 1 && shape[d] != 1).map(|d| d as i64).collect();
    if over.is_empty() {
        return Ok(x.clone());
    }
    reshape(&sum_dim(x, Some(&over), true, None)?, size)
}

/// Returns a copy of `input`, row-major, with `src` where `as_strided` with the other arguments would look.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.as_strided_scatter.html>
#[op("(input, src, size, stride, storage_offset=None)", any, samples = ["T(3, 3), T(2, 2), [2, 2], [1, 3], 1", "T(6), T(3), [3], [2]", "T(3), T(), [], [], 1"],
    errors = [("T(3, 3), T(2, 3), [2, 2], [1, 2]", "expected src to have a size equal to the slice of self. src size = [2, 3], slice size = [2, 2]"),
        ("T(2, dtype=float32), T(2, 3), [2, 3], [1, 2]", "setStorage: sizes [2, 3], strides [1, 2], storage offset 0")])]
pub fn as_strided_scatter(x: &Tensor, src: &Tensor, size: &[i64], stride: &[i64], storage_offset: Option<i64>) -> Result<Tensor> {
    let (size, stride, offset) = (size.to_vec(), stride.to_vec(), storage_offset.unwrap_or(0));
    let x = contiguous(x)?;
    let x = if x.storage_offset() == 0 { x } else { copy(&x)? };
    replace(&x, src, std::sync::Arc::new(move |base| as_strided(&contiguous(base)?, &size, &stride, Some(offset))))
}

/// Returns `input` with `pad[2 i]` elements of `value` before, and `pad[2 i + 1]` after the others in the i-th dimension from the last. Negative numbers cut.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.pad.html>
#[op("(input, pad, value=0)", any, function, samples = ["T(2, 3), [1, 1], 2", "T(2, 3), [1, -1, 0, 2]", "T(3), [0, 0]", "I(3), [1, 2], 7"],
    errors = [("T(3), [1]", "Padding length must be divisible by 2")])]
pub fn constant_pad_nd(x: &Tensor, pad: &[i64], value: Scalar) -> Result<Tensor> {
    super::pad(x, pad, "constant", Some(value.to_f64()))
}
