//! Functions of three operands: choice, bounds, interpolation, products and quotients added up.

use super::formula::{Term, compute, derivative};
use super::*;

ops![where_, clamp, clamp_tensor, clamp_min, clamp_max, lerp, addcmul, addcdiv, masked_fill];

/// Returns the elements of `input` where `condition` is true, and those of `other` elsewhere.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.where.html>
#[op("(condition, input, other)", any, function,
    samples = ["B(3, 4), T(3, 4), T(3, 4)", "B(3), T(2, 1), T()", "B(3), T(3), 2.5", "B(2, 1), 1, T(3)", "B(3), I(3), I(3)", "B(0, 2), T(2), T(2)", "B(), 1, 2"],
    errors = [("T(3), T(3), T(3)", "where expected condition to be a boolean tensor, but got a tensor with dtype Float"),
        ("B(3), T(3), T(4)", "must match the size of tensor b (4)")])]
pub fn where_(condition: &Tensor, x: &Tensor, y: &Tensor) -> Result<Tensor> {
    // PyTorch still takes uint8 masks here.
    if !matches!(condition.dtype(), DType::Bool | DType::U8) {
        return Err(Error::runtime(format!(
            "where expected condition to be a boolean tensor, but got a tensor with dtype {}",
            condition.dtype().scalar_type_name()
        )));
    }
    let common = promote::result_type(&[x, y]);
    let mut k = Pointwise::new();
    let (c, a, b) = (k.input(condition), k.input(x), k.input(y));
    let (c, a, b) = (k.cast(DType::Bool, c), k.cast(common, a), k.cast(common, b));
    let r = k.tern(TernOp::Where, c, a, b)?;
    let condition = &to_dtype(condition, DType::Bool)?;
    k.run(r)?.with_grad([condition, x, y], |s| {
        derivative(s, [condition, x, y], |g, [c, ..], _| [g, c.select(g, 0.0), c.select(0.0, g)])
    })
}

impl Tensor {
    /// Returns the elements of `self` where `condition` is true, and those of `other` elsewhere.
    ///
    /// # Panics
    /// Where [`where_()`] gives an error.
    #[track_caller]
    pub fn where_(&self, condition: &Tensor, other: impl crate::op::AsTensor) -> Tensor {
        crate::error::or_panic(where_(condition, self, &other.as_tensor()))
    }
}

/// Returns `input` limited to `[min, max]`; either end may be missing. Where `min > max`, the result is `max`; NaN stays.
///
/// The gradient is that of `input` inside the interval, and 0 at its ends and beyond.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.clamp.html>
#[op("(input, min=None, max=None)", number, inplace, alias = ["clip"],
    samples = ["T(3, 4), -0.5, 0.5", "T(3, 4), min=0.3", "T(3, 4), max=0.3", "T(), 0.0, 1.0", "T(0, 2), 0", "I(3), 2, 5", "I(3), 2.5", "T(3), 1, -1"],
    errors = [("T(3)", "torch.clamp: At least one of 'min' or 'max' must not be None")])]
pub fn clamp(x: &Tensor, min: Option<Scalar>, max: Option<Scalar>) -> Result<Tensor> {
    let (min, max) = (min.map(Tensor::wrapped_number), max.map(Tensor::wrapped_number));
    limited(x, min.as_ref(), max.as_ref())
}

/// Returns `input` limited to `[min, max]`, with tensors as bounds, which broadcast and get gradients.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.clamp.html>
#[op("(input, min=None, max=None)", overload = "tensor", number, inplace, alias = ["clip"],
    samples = ["T(3, 4), T(3, 4, lo=-1, hi=-0.2), T(3, 4, lo=0.2, hi=1)", "T(3, 4), min=T(4)", "T(3, 4), None, T(3, 1)", "T(3), T(), T(1)", "T(0, 2), T(2)",
        "I(3), I(3)"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)"), ("T(3), None, None", "At least one of 'min' or 'max' must not be None")])]
pub fn clamp_tensor(x: &Tensor, min: Option<&Tensor>, max: Option<&Tensor>) -> Result<Tensor> {
    limited(x, min, max)
}

/// Returns the larger of each element and `min`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.clamp.html>
#[op("(input, min)", number, inplace, samples = ["T(3, 4), 0.3", "T(3, 4), T(4)", "T(), 0", "T(0, 2), 0", "I(3), 2.5", "B(3), B(3)"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)"), ("B(3), False", "not implemented for 'Bool'")])]
pub fn clamp_min(x: &Tensor, min: &Tensor) -> Result<Tensor> {
    limited(x, Some(min), None)
}

/// Returns the smaller of each element and `max`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.clamp.html>
#[op("(input, max)", number, inplace, samples = ["T(3, 4), 0.3", "T(3, 4), T(4)", "T(), 0", "T(0, 2), 0", "I(3), 2.5", "B(3), B(3)"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)"), ("B(3), False", "not implemented for 'Bool'")])]
pub fn clamp_max(x: &Tensor, max: &Tensor) -> Result<Tensor> {
    limited(x, None, Some(max))
}

fn limited(x: &Tensor, min: Option<&Tensor>, max: Option<&Tensor>) -> Result<Tensor> {
    let mut k = Pointwise::new();
    let a = k.input(x);
    let (lo, hi) = (min.map(|t| k.input(t)), max.map(|t| k.input(t)));
    let d = k.common();
    let a = k.cast(d, a);
    let (lo, hi) = (lo.map(|r| k.cast(d, r)), hi.map(|r| k.cast(d, r)));
    // As in PyTorch, a tensor may bound bools, a number or two tensors may not.
    let one_tensor = matches!((min, max), (Some(t), None) | (None, Some(t)) if !t.is_wrapped_number());
    if d == DType::Bool && !one_tensor {
        return Err(unsupported(d));
    }
    let r = match (lo, hi) {
        (Some(lo), Some(hi)) => k.tern(TernOp::Clamp, a, lo, hi)?,
        (Some(lo), None) => k.bin(BinOp::Max, a, lo)?,
        (None, Some(hi)) => k.bin(BinOp::Min, a, hi)?,
        (None, None) => return Err(Error::runtime("torch.clamp: At least one of 'min' or 'max' must not be None")),
    };
    let y = k.run(r)?;
    match (min, max) {
        (Some(min), Some(max)) => y.with_grad([x, min, max], |s| {
            derivative(s, [x, min, max], |g, [x, lo, hi], _| {
                let inside = x.gt(lo).and(x.lt(hi));
                [inside.select(g, 0.0), lo.lt(hi).and(x.lt(lo)).select(g, 0.0), hi.lt(lo).or(x.gt(hi)).select(g, 0.0)]
            })
        }),
        (Some(min), None) => {
            y.with_grad([x, min], |s| derivative(s, [x, min], |g, [x, lo], _| [x.gt(lo).select(g, 0.0), x.lt(lo).select(g, 0.0)]))
        }
        (None, Some(max)) => {
            y.with_grad([x, max], |s| derivative(s, [x, max], |g, [x, hi], _| [x.lt(hi).select(g, 0.0), x.gt(hi).select(g, 0.0)]))
        }
        (None, None) => Ok(y),
    }
}

/// Returns `input + weight * (end - input)`; `weight` is a number or a tensor.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.lerp.html>
#[op("(input, end, weight)", float_only, inplace,
    samples = ["T(3, 4), T(3, 4), 0.3", "T(3, 4), T(4), 0.8", "T(2, 1), T(3), T(2, 3)", "T(), T(), T()", "T(0, 2), T(2), 0.5", "T(3), T(3), 2"],
    errors = [("T(3), T(4), 0.5", "must match the size of tensor b (4)"), ("T(3), T(3, dtype=float64), 0.5", "expected dtype float32 for `end` but got dtype float64"),
        ("I(3), I(3), 0.5", "not implemented for 'Long'")])]
pub fn lerp(x: &Tensor, end: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let dtype = x.dtype();
    if !dtype.is_float() {
        return Err(unsupported(dtype));
    }
    // A zero-dim weight may have any floating dtype, as a number may.
    for (name, t, free) in [("end", end, false), ("weight", weight, weight.rank() == 0)] {
        if t.dtype() != dtype && !free {
            return Err(Error::runtime(format!("expected dtype {dtype} for `{name}` but got dtype {}", t.dtype())));
        }
    }
    let mut k = Pointwise::new();
    let (a, b, w) = (k.input(x), k.input(end), k.input(weight));
    let w = k.cast(dtype, w);
    let r = k.tern(TernOp::Lerp, a, b, w)?;
    k.run(r)?
        .with_grad([x, end, weight], |s| derivative(s, [x, end, weight], |g, [a, b, w], _| [g * (1.0 - w), g * w, g * (b - a)]))
}

/// Returns `input + value * tensor1 * tensor2`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.addcmul.html>
#[op("(input, tensor1, tensor2, *, value=1)", number, inplace,
    samples = ["T(3, 4), T(3, 4), T(3, 4)", "T(2, 1), T(3), T(2, 3), value=0.5", "T(), T(), T()", "T(0, 2), T(2), T(2)", "I(3), I(3), I(3), value=2", "T(3), I(3), T(3)"],
    errors = [("T(3), T(4), T(3)", "must match the size of tensor b (4)"), ("B(3), B(3), B(3)", "not implemented for 'Bool'"),
        ("I(3), I(3), I(3), value=1.5", "value cannot be converted to type int64_t without overflow")])]
pub fn addcmul(x: &Tensor, a: &Tensor, b: &Tensor, value: Scalar) -> Result<Tensor> {
    let dtype = promote::result_type(&[x, a, b]);
    let y = if dtype.is_float() {
        let v = value.to_f64();
        compute([x, a, b], |[x, a, b]| x + scaled(a, v) * b)?
    } else {
        if dtype == DType::Bool {
            return Err(unsupported(dtype));
        }
        if !promote::can_cast(value.dtype(), dtype) {
            return Err(Error::runtime("value cannot be converted to type int64_t without overflow"));
        }
        let mut k = Pointwise::new();
        let (x, a, b, v) = (k.input(x), k.input(a), k.input(b), k.constant(value, dtype));
        let (x, a, b) = (k.cast(dtype, x), k.cast(dtype, a), k.cast(dtype, b));
        let product = k.bin(BinOp::Mul, v, a)?;
        let product = k.bin(BinOp::Mul, product, b)?;
        let r = k.bin(BinOp::Add, x, product)?;
        k.run(r)?
    };
    let v = value.to_f64();
    y.with_grad([x, a, b], |s| derivative(s, [x, a, b], |g, [_, a, b], _| [g, g * scaled(b, v), g * scaled(a, v)]))
}

/// Returns `input + value * tensor1 / tensor2`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.addcdiv.html>
#[op("(input, tensor1, tensor2, *, value=1)", float, inplace,
    samples = ["T(3, 4), T(3, 4), T(3, 4, lo=0.5)", "T(2, 1), T(3), T(2, 3, lo=0.5), value=0.5", "T(), T(), T(lo=0.5)", "T(0, 2), T(2), T(2)", "T(3), I(3), T(3, lo=0.5)"],
    errors = [("T(3), T(4), T(3)", "must match the size of tensor b (4)"), ("T(3), I(3), I(3)", "Integer division with addcdiv is no longer supported")])]
pub fn addcdiv(x: &Tensor, a: &Tensor, b: &Tensor, value: Scalar) -> Result<Tensor> {
    if !a.dtype().is_float() && !b.dtype().is_float() {
        return Err(Error::runtime(
            "Integer division with addcdiv is no longer supported, and in a future  release addcdiv will perform a true division of tensor1 and tensor2. \
             The historic addcdiv behavior can be implemented as (input + value * torch.trunc(tensor1 / tensor2)).to(input.dtype) for integer inputs and as \
             (input + value * tensor1 / tensor2) for float inputs. The future addcdiv behavior is just the latter implementation: \
             (input + value * tensor1 / tensor2), for all dtypes.",
        ));
    }
    let v = value.to_f64();
    compute([x, a, b], |[x, a, b]| x + scaled(a, v) / b)?.with_grad([x, a, b], |s| {
        derivative(s, [x, a, b], |g, [_, a, b], _| [g, g * (b.number(v) / b), -g * ((scaled(a, v) / b) / b)])
    })
}

fn scaled(x: Term<'_>, value: f64) -> Term<'_> {
    if value == 1.0 { x } else { value * x }
}

/// Returns `input` with `value` where `mask` is true; `value` is a number or a zero-dim tensor.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.masked_fill_.html>
#[op("(input, mask, value)", any, inplace,
    samples = ["T(3, 4), B(3, 4), 2.5", "T(3, 4), B(4), T()", "T(2, 1), B(3), -9", "T(), B(), 1", "T(0, 2), B(2), 1", "I(3), B(3), 7", "B(3), B(3), True"],
    errors = [("T(3), B(4), 1", "must match the size of tensor b (4)"), ("T(3), I(3), 1", "masked_fill_ only supports boolean masks, but got mask with dtype long int"),
        ("T(3), B(3), T(1)", "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with 1 dimension(s)."),
        ("I(3, dtype=uint8), B(3), 300", "value cannot be converted to type uint8_t without overflow")])]
pub fn masked_fill(x: &Tensor, mask: &Tensor, value: &Tensor) -> Result<Tensor> {
    if mask.dtype() != DType::Bool {
        return Err(Error::runtime(format!(
            "masked_fill_ only supports boolean masks, but got mask with dtype {}",
            c_name(mask.dtype())
        )));
    }
    if value.rank() != 0 {
        return Err(Error::runtime(format!(
            "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with {} dimension(s).",
            value.rank()
        )));
    }
    let dtype = x.dtype();
    if !dtype.is_float() && dtype != DType::Bool {
        check_fits(value.try_to_scalar()?, dtype)?;
    }
    let mut k = Pointwise::new();
    let (a, m, v) = (k.input(x), k.input(mask), k.input(value));
    let v = k.cast(dtype, v);
    let r = k.tern(TernOp::Where, m, v, a)?;
    k.run(r)?.with_grad([x, mask, value], |s| {
        derivative(s, [x, mask, value], |g, [_, m, _], _| [m.select(0.0, g), g, m.select(g, 0.0)])
    })
}

/// Refuses a value that an integer dtype does not hold. Unsigned ones take small negative values, which wrap, as in PyTorch.
fn check_fits(value: Scalar, dtype: DType) -> Result<()> {
    let (least, most) = dtype.finite_range();
    let least = if dtype.is_signed() { least } else { -most };
    let v = value.to_f64();
    // Written so that NaN fails.
    if v >= least && v <= most {
        return Ok(());
    }
    let name = if dtype == DType::U8 { "uint8_t" } else { &format!("{dtype}_t") };
    Err(Error::runtime(format!("value cannot be converted to type {name} without overflow")))
}

/// The name of a dtype in C++, as in some of PyTorch's texts.
fn c_name(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "bool",
        DType::U8 => "unsigned char",
        DType::I8 => "signed char",
        DType::I16 => "short int",
        DType::I32 => "int",
        DType::I64 => "long int",
        DType::F16 => "c10::Half",
        DType::BF16 => "c10::BFloat16",
        DType::F32 => "float",
        DType::F64 => "double",
    }
}
