//! Overwriting a tensor with values that do not depend on its old ones.

use super::*;
use crate::autograd::{grad_fn, inplace};

ops![fill, fill_tensor, fill_, fill_tensor_, zero_, copy_];

/// `value` in `dtype`, or PyTorch's error where it does not fit; negative numbers wrap into unsigned dtypes.
pub(crate) fn checked_scalar(value: Scalar, dtype: DType) -> Result<Scalar> {
    // The open range of numbers that fit once they are cut towards zero, and C++'s name of the type.
    let (low, high, name) = match dtype {
        DType::U8 => (-256.0, 256.0, "uint8_t"),
        DType::I8 => (i8::MIN as f64 - 1.0, i8::MAX as f64 + 1.0, "int8_t"),
        DType::I16 => (i16::MIN as f64 - 1.0, i16::MAX as f64 + 1.0, "int16_t"),
        DType::I32 => (i32::MIN as f64 - 1.0, i32::MAX as f64 + 1.0, "int"),
        DType::I64 => ((i64::MIN as f64).next_down(), -(i64::MIN as f64), "int64_t"),
        DType::F16 => (-65505.0, 65505.0, "at::Half"),
        DType::F32 => ((f32::MIN as f64).next_down(), (f32::MAX as f64).next_up(), "float"),
        DType::Bool | DType::BF16 | DType::F64 => return Ok(value),
    };
    let v = value.to_f64();
    let exact = matches!(value, Scalar::Int(_)) && dtype == DType::I64;
    if !(exact || low < v && v < high || dtype.is_float() && !v.is_finite()) {
        return Err(Error::runtime(format!("value cannot be converted to type {name} without overflow")));
    }
    Ok(match (dtype, value) {
        // Through i64: a negative number wraps around instead of being cut off at zero.
        (DType::U8, value) => Scalar::Int(value.to::<i64>() as u8 as i64),
        (_, value) => value,
    })
}

fn write_number(data: Data, value: Scalar) -> Result<()> {
    let value = checked_scalar(value, data.dtype)?;
    let mut program = Program::new();
    let r = program.constant(value, data.dtype);
    program.out(r);
    storage::write(&[data], &[], |outs, _| backend().pointwise(&program, &[], outs))
}

/// Returns a tensor like `input` filled with the number `value`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.fill_.html>
#[op("(input, value)", any, function, samples = ["T(3, 4), 2.5", "T(), 1", "T(0, 2), 1", "I(3), 7"],
    errors = [("I(3, dtype=uint8), 300", "value cannot be converted to type uint8_t without overflow")])]
pub fn fill(x: &Tensor, value: Scalar) -> Result<Tensor> {
    let value = checked_scalar(value, x.dtype())?;
    full_like(x, value, None)?.with_grad([x], |_| grad_fn(|_, g| Ok([Some(zeros_like(g, None)?)])))
}

/// Returns a tensor like `input` filled with the only element of the zero-dim tensor `value`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.fill_.html>
#[op("(input, value)", overload = "tensor", any, function, samples = ["T(3, 4), T()", "T(), T()", "T(0, 2), T()"],
    errors = [("T(3), T(1)", "fill only supports 0-dimension value tensor but got tensor with 1 dimensions.")])]
pub fn fill_tensor(x: &Tensor, value: &Tensor) -> Result<Tensor> {
    let y = filled(&x.shape(), Scalar::Int(0), x.dtype())?;
    fill_check("fill", value)?;
    inplace::write_data(&y.data(), &value.data())?;
    y.with_grad([x, value], |_| grad_fn(|c, g| Ok([c.needs(0).then(|| zeros_like(g, None)).transpose()?, Some(g.clone())])))
}

fn fill_check(op: &str, value: &Tensor) -> Result<()> {
    match value.rank() {
        0 => Ok(()),
        rank => {
            Err(Error::runtime(format!("{op} only supports 0-dimension value tensor but got tensor with {rank} dimensions.")))
        }
    }
}

/// Fills `input` itself with the number `value`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.fill_.html>
#[op("(input, value)", name = "fill_", any, nondiff, samples = ["I(3, 4), 2", "I(), 1", "I(0, 2), 1"],
    errors = [("I(3, dtype=uint8), 300", "value cannot be converted to type uint8_t without overflow")])]
pub fn fill_(x: &Tensor, value: Scalar) -> Result<Tensor> {
    inplace::overwrite(x, &[], |data| write_number(data, value), |_| grad_fn(|_, g| Ok([Some(zeros_like(g, None)?)])))?;
    Ok(x.clone())
}

/// Fills `input` itself with the only element of the zero-dim tensor `value`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.fill_.html>
#[op("(input, value)", name = "fill_", overload = "tensor", any, nondiff, samples = ["I(3, 4), I()"],
    errors = [("T(3), T(1)", "fill_ only supports 0-dimension value tensor but got tensor with 1 dimensions.")])]
pub fn fill_tensor_(x: &Tensor, value: &Tensor) -> Result<Tensor> {
    fill_check("fill_", value)?;
    copy_from(x, value)
}

/// Fills `input` itself with zeros.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.zero_.html>
#[op("(input)", name = "zero_", any, nondiff, samples = ["I(3, 4)", "I()", "I(0, 2)"])]
pub fn zero_(x: &Tensor) -> Result<Tensor> {
    fill_(x, Scalar::Int(0))
}

/// Copies the elements of `src`, broadcast and converted, into `input` itself. Gradients flow to `src`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.copy_.html>
#[op("(input, src, non_blocking=False)", name = "copy_", any, nondiff, samples = ["I(3, 4), I(4)", "I(), I()", "I(0, 2), I(2)", "I(3), T(3)"],
    errors = [("T(3), T(4)", "The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension 0"),
        ("T(3), T(2, 3)", "output with shape [3] doesn't match the broadcast shape [2, 3]")])]
pub fn copy_(x: &Tensor, src: &Tensor, non_blocking: bool) -> Result<Tensor> {
    let _ = non_blocking; // There is nothing to wait for: memory and arithmetic are in one place.
    copy_from(x, src)
}

/// Copies `src` into `x`, with history.
pub(crate) fn copy_from(x: &Tensor, src: &Tensor) -> Result<Tensor> {
    if x.is_same(src) {
        return Ok(x.clone());
    }
    let (shape, common) = (x.shape(), broadcast(&x.shape(), &src.shape())?);
    if shape != common {
        return Err(Error::runtime(format!(
            "output with shape {:?} doesn't match the broadcast shape {:?}",
            shape.as_slice(),
            common.as_slice()
        )));
    }
    let write = |target: Data| {
        let source = src.data();
        // The same memory, perhaps in another order: read everything before anything is written.
        let source = if std::sync::Arc::ptr_eq(&source.storage, &target.storage) { copy_data(&source)? } else { source };
        inplace::write_data(&target, &source)
    };
    inplace::overwrite(x, &[src], write, |_| {
        grad_fn(|c, g| Ok([c.needs(0).then(|| zeros_like(g, None)).transpose()?, c.needs(1).then(|| g.clone())]))
    })?;
    Ok(x.clone())
}
