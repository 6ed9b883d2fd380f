//! Views with the dimensions in another order.

use super::*;
use crate::autograd::{grad_fn, inplace};

ops![permute, transpose, transpose_, t, t_, matrix_transpose, adjoint, reversed, hermitian, movedim];

/// Returns a view of `input` with its dimensions in the order `dims`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.permute.html>
#[op("(input, dims)", any, view, samples = ["T(2, 3, 4), [2, 0, 1]", "T(3, 4), [-1, 0]", "T(), []", "T(0, 2), [1, 0]"],
    errors = [("T(2, 3), [0]", "input.dim() = 2 is not equal to len(dims) = 1"),
        ("T(2, 3), [0, 0]", "permute(): duplicate dims are not allowed."), ("T(2, 3), [0, 2]", "Dimension out of range")])]
pub fn permute(x: &Tensor, dims: &[i64]) -> Result<Tensor> {
    let rank = x.rank();
    if dims.len() != rank {
        return Err(Error::runtime(format!(
            "permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired ordering of dimensions \
             i.e. input.dim() = {rank} is not equal to len(dims) = {}",
            dims.len()
        )));
    }
    let mut order = Dims::new();
    for &d in dims {
        let d = dim(d, rank)?;
        if order.contains(&d) {
            return Err(Error::runtime("permute(): duplicate dims are not allowed."));
        }
        order.push(d);
    }
    permute_to(x, &order)
}

/// `permute` by a known permutation.
pub(crate) fn permute_to(x: &Tensor, order: &[usize]) -> Result<Tensor> {
    let mut back = Dims::from_elem(0, order.len());
    order.iter().enumerate().for_each(|(to, &from)| back[from] = to);
    let order = Dims::from_slice(order);
    let layout = x.layout().permute(&order);
    view_as(x, layout, move |b| permute_to(b, &order), |_| grad_fn(move |_, g| Ok([Some(permute_to(g, &back)?)])))
}

/// Returns a view of `input` with dimensions `dim0` and `dim1` swapped.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.transpose.html>
#[op("(input, dim0, dim1)", any, view, alias = ["swapaxes", "swapdims"],
    samples = ["T(3, 4), 0, 1", "T(2, 3, 4), -1, 0", "T(), 0, -1", "T(0, 2), 0, 1", "T(2, 2), 1, 1"],
    errors = [("T(2, 3), 0, 2", "Dimension out of range (expected to be in range of [-2, 1], but got 2)")])]
pub fn transpose(x: &Tensor, dim0: i64, dim1: i64) -> Result<Tensor> {
    let rank = x.rank();
    let (a, b) = (dim(dim0, rank)?, dim(dim1, rank)?);
    let layout = if rank == 0 { x.layout() } else { x.layout().transpose(a, b) };
    let (a, b) = (a as i64, b as i64);
    view_as(x, layout, move |base| transpose(base, a, b), |_| grad_fn(move |_, g| Ok([Some(transpose(g, a, b)?)])))
}

/// Swaps dimensions `dim0` and `dim1` of `input` itself: only its strides change.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.transpose_.html>
#[op("(input, dim0, dim1)", name = "transpose_", any, nondiff, alias = ["swapaxes_", "swapdims_"], samples = ["I(3, 4), 0, 1", "I(2, 3, 4), -1, 0"],
    errors = [("T(2, 3), 0, 2", "Dimension out of range")])]
pub fn transpose_(x: &Tensor, dim0: i64, dim1: i64) -> Result<Tensor> {
    inplace::relayout(x, |x| transpose(x, dim0, dim1))
}

/// Returns the transpose of a matrix as a view; a tensor of fewer dimensions stays as it is.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.t.html>
#[op("(input)", any, view, samples = ["T(3, 4)", "T(3)", "T()", "T(0, 2)"],
    errors = [("T(2, 3, 4)", "t() expects a tensor with <= 2 dimensions, but self is 3D")])]
pub fn t(x: &Tensor) -> Result<Tensor> {
    match x.rank() {
        0 | 1 => transpose(x, 0, 0),
        2 => transpose(x, 0, 1),
        rank => Err(Error::runtime(format!("t() expects a tensor with <= 2 dimensions, but self is {rank}D"))),
    }
}

/// Transposes the matrix `input` itself.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.t_.html>
#[op("(input)", name = "t_", any, nondiff, samples = ["I(3, 4)", "I(3)", "I()"],
    errors = [("T(2, 3, 4)", "t() expects a tensor with <= 2 dimensions, but self is 3D")])]
pub fn t_(x: &Tensor) -> Result<Tensor> {
    inplace::relayout(x, t)
}

/// Returns a view of `input` with its last two dimensions swapped (`x.mT` in Python).
///
/// Source: <https://docs.pytorch.org/docs/stable/tensors.html#torch.Tensor.mT>
#[op("(input)", name = "mT", rust = "mt", any, view, property, alias = ["mH"], samples = ["T(3, 4)", "T(2, 3, 4)", "T()", "T(2, 0, 3)"],
    errors = [("T(3)", "tensor.mT is only supported on matrices or batches of matrices. Got 1-D tensor.")])]
pub fn matrix_transpose(x: &Tensor) -> Result<Tensor> {
    if x.rank() == 1 {
        return Err(Error::runtime("tensor.mT is only supported on matrices or batches of matrices. Got 1-D tensor."));
    }
    transpose(x, if x.rank() == 0 { -1 } else { -2 }, -1)
}

/// Returns a view of `input` with its last two dimensions swapped: the conjugate transpose, which for real numbers is the transpose.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.adjoint.html>
#[op("(input)", any, view, samples = ["T(3, 4)", "T(2, 3, 4)"],
    errors = [("T(3)", "tensor.adjoint() is only supported on matrices or batches of matrices. Got 1-D tensor.")])]
pub fn adjoint(x: &Tensor) -> Result<Tensor> {
    if x.rank() == 1 {
        return Err(Error::runtime("tensor.adjoint() is only supported on matrices or batches of matrices. Got 1-D tensor."));
    }
    matrix_transpose(x)
}

/// Returns a view of `input` with its dimensions in reverse order (`x.T` in Python).
///
/// Source: <https://docs.pytorch.org/docs/stable/tensors.html#torch.Tensor.T>
#[op("(input)", name = "T", rust = "reversed", any, view, property, samples = ["T(3, 4)", "T(2, 3, 4)", "T(3)", "T()"])]
pub fn reversed(x: &Tensor) -> Result<Tensor> {
    permute_to(x, &(0..x.rank()).rev().collect::<Dims>())
}

/// Returns the conjugate transpose of a matrix (`x.H` in Python), which for real numbers is the transpose.
///
/// Source: <https://docs.pytorch.org/docs/stable/tensors.html#torch.Tensor.H>
#[op("(input)", name = "H", rust = "hermitian", any, view, property, samples = ["T(3, 4)", "T()"],
    errors = [("T(2, 3, 4)", "tensor.H is only supported on matrices (2-D tensors). Got 3-D tensor. For batches of matrices, consider using tensor.mH"),
        ("T(3)", "tensor.H is only supported on matrices (2-D tensors). Got 1-D tensor.")])]
pub fn hermitian(x: &Tensor) -> Result<Tensor> {
    let hint = match x.rank() {
        0 => return transpose(x, 0, 0),
        2 => return transpose(x, 0, 1),
        1 => "",
        _ => " For batches of matrices, consider using tensor.mH",
    };
    Err(Error::runtime(format!("tensor.H is only supported on matrices (2-D tensors). Got {}-D tensor.{hint}", x.rank())))
}

/// Returns a view of `input` with the dimensions `source` moved to the places `destination`; the others keep their order.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.movedim.html>
#[op("(input, source, destination)", any, view, alias = ["moveaxis"],
    samples = ["T(2, 3, 4), 0, 2", "T(2, 3, 4), [0, 1], [-1, 0]", "T(), 0, 0", "T(0, 2), 1, 0"],
    errors = [("T(2, 3), [0, 1], 0", "Invalid source or destination dims: source ([0, 1] dims) should contain the same number of dims as destination ([0] dims)"),
        ("T(2, 3), [0, 0], [0, 1]", "movedim: repeated dim in `source` ([0, 0])"),
        ("T(2, 3), [0, 1], [1, 1]", "movedim: repeated dim in `destination` ([1, 1])"),
        ("T(2, 3), 0, 7", "Dimension out of range")])]
pub fn movedim(x: &Tensor, source: &[i64], destination: &[i64]) -> Result<Tensor> {
    if source.len() != destination.len() {
        return Err(Error::runtime(format!(
            "movedim: Invalid source or destination dims: source ({source:?} dims) should contain the same number of dims as destination ({destination:?} dims)"
        )));
    }
    let rank = x.rank();
    let distinct = |list: &[i64], what: &str| -> Result<Dims> {
        let dims = list.iter().map(|&d| dim(d, rank)).collect::<Result<Dims>>()?;
        if (1..dims.len()).any(|i| dims[..i].contains(&dims[i])) {
            return Err(Error::runtime(format!("movedim: repeated dim in `{what}` ({list:?})")));
        }
        Ok(dims)
    };
    let (from, to) = (distinct(source, "source")?, distinct(destination, "destination")?);
    let mut rest = (0..rank).filter(|d| !from.contains(d));
    let order: Dims = (0..rank)
        .map(|place| match to.iter().position(|&t| t == place) {
            Some(i) => from[i],
            None => rest.next().expect("as many dimensions stay as places are left"),
        })
        .collect();
    permute_to(x, &order)
}
