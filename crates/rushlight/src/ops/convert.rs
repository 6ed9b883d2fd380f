//! Conversions and copies: dtype, layout, memory.

use super::*;
use crate::autograd::grad_fn;
use std::borrow::Cow;

ops![to_dtype, contiguous, copy];

/// Returns `input` converted to `dtype`, or `input` itself where it already is: floats are cut towards zero on the way to integers,
/// and anything but zero becomes true.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.to.html>
#[op("(input, dtype)", name = "to", rust = "to", any, samples = ["T(3, 4), float64", "T(), float32", "T(0, 2), float64"])]
pub fn to_dtype(x: &Tensor, dtype: DType) -> Result<Tensor> {
    in_dtype(x, dtype).map(Cow::into_owned)
}

/// [`to_dtype`] without another handle where there is nothing to convert.
pub(crate) fn in_dtype(x: &Tensor, dtype: DType) -> Result<Cow<'_, Tensor>> {
    if x.dtype() == dtype && !x.is_wrapped_number() {
        return Ok(Cow::Borrowed(x));
    }
    let mut data = x.data();
    data.wrapped = false;
    let mut k = Pointwise::new();
    let a = k.input(&Tensor::from_data(data));
    let r = k.cast(dtype, a);
    // The engine converts gradients back to x's dtype: the derivative is the identity.
    k.run(r)?.with_grad([x], |_| grad_fn(|_, g| Ok([Some(g.clone())]))).map(Cow::Owned)
}

/// Returns a tensor with the same elements that lies row-major without gaps: `input` itself where it already does, else a copy.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.contiguous.html>
#[op("(input)", any, samples = ["T(3, 4)", "T()", "T(0, 2)"])]
pub fn contiguous(x: &Tensor) -> Result<Tensor> {
    in_rows(x).map(Cow::into_owned)
}

/// [`contiguous()`] without another handle where there is nothing to copy.
pub(crate) fn in_rows(x: &Tensor) -> Result<Cow<'_, Tensor>> {
    if x.is_contiguous() { Ok(Cow::Borrowed(x)) } else { copy_contiguous(x).map(Cow::Owned) }
}

/// Returns a copy of `input` with memory of its own (`clone` in Python; in Rust `Clone` is the cheap copy of the handle).
///
/// Dense layouts are kept (a transposed tensor gives a transposed copy), others become contiguous.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.clone.html>
#[op("(input)", name = "clone", any, samples = ["T(3, 4)", "T()", "T(0, 2)"])]
pub fn copy(x: &Tensor) -> Result<Tensor> {
    let mut k = Pointwise::new();
    let mut data = x.data();
    data.wrapped = false;
    let r = k.input(&Tensor::from_data(data));
    k.run(r)?.with_grad([x], |_| grad_fn(|_, g| Ok([Some(g.clone())])))
}

/// A row-major copy.
pub(crate) fn copy_contiguous(x: &Tensor) -> Result<Tensor> {
    Tensor::from_data(copy_data(&x.data())?).with_grad([x], |_| grad_fn(|_, g| Ok([Some(g.clone())])))
}

/// `x`, or a row-major copy where it repeats elements: the gradient of a sum is one number, seen under a shape, but kernels that walk along rows
/// want memory.
pub(crate) fn laid_out(x: &Tensor) -> Result<Cow<'_, Tensor>> {
    let repeats = !x.is_contiguous() && x.data_ref().layout.strides.contains(&0);
    if repeats { copy_contiguous(x).map(Cow::Owned) } else { Ok(Cow::Borrowed(x)) }
}

/// A row-major copy, without history.
pub(crate) fn copy_data(data: &Data) -> Result<Data> {
    let mut program = Program::new();
    let r = program.load(0, data.dtype);
    program.out(r);
    let layout = Layout::contiguous(&data.layout.shape);
    storage::compute(layout, data.dtype, std::slice::from_ref(data), |ins, out| {
        backend().pointwise(&program, ins, std::slice::from_mut(out))
    })
}

/// A copy of `x` with the strides of `layout`, whose shape is x's.
pub(crate) fn copy_laid_out(x: &Tensor, layout: &Layout) -> Result<Tensor> {
    let Some((lo, hi)) = layout.span() else { return copy(x) };
    let mut to = layout.clone();
    to.offset -= lo;
    let memory = filled(&[hi - lo], Scalar::Int(0), x.dtype())?;
    let y = memory.data().with_layout(to);
    crate::autograd::inplace::write_data(&y, &x.data())?;
    Tensor::from_data(y).with_grad([x], |_| grad_fn(|_, g| Ok([Some(g.clone())])))
}
