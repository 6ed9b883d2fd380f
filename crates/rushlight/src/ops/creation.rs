//! Tensors from nothing.

use super::*;

ops![zeros_like, ones_like, full_like];

/// A tensor of `shape` filled with `value`.
pub(crate) fn filled(shape: &[usize], value: Scalar, dtype: DType) -> Result<Tensor> {
    let mut program = Program::new();
    let r = program.constant(value, dtype);
    program.out(r);
    storage::compute(Layout::contiguous(shape), dtype, &[], |_, out| backend().pointwise(&program, &[], std::slice::from_mut(out)))
        .map(Tensor::from_data)
}

/// Returns a tensor of zeros with the shape of `input`, and its dtype unless `dtype` is given.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.zeros_like.html>
#[op("(input, *, dtype=None)", any, nondiff, function, samples = ["T(3, 4)", "T()", "T(0, 2)", "T(3), dtype=int64"])]
pub fn zeros_like(x: &Tensor, dtype: Option<DType>) -> Result<Tensor> {
    filled(&x.shape(), Scalar::Int(0), dtype.unwrap_or(x.dtype()))
}

/// Returns a tensor of ones with the shape of `input`, and its dtype unless `dtype` is given.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.ones_like.html>
#[op("(input, *, dtype=None)", any, nondiff, function, samples = ["T(3, 4)", "T()", "T(0, 2)", "T(3), dtype=int64"])]
pub fn ones_like(x: &Tensor, dtype: Option<DType>) -> Result<Tensor> {
    filled(&x.shape(), Scalar::Int(1), dtype.unwrap_or(x.dtype()))
}

/// Returns a tensor with the shape of `input` filled with `fill_value`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.full_like.html>
#[op("(input, fill_value, *, dtype=None)", any, nondiff, function, samples = ["T(3, 4), 2.5", "T(), 1", "T(3), 7, dtype=int64"])]
pub fn full_like(x: &Tensor, value: Scalar, dtype: Option<DType>) -> Result<Tensor> {
    filled(&x.shape(), value, dtype.unwrap_or(x.dtype()))
}
