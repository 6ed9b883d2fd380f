//! Unary functions: sign and rounding, roots and squares, exponentials and logarithms.

use super::formula::{compute, no_slope, unary_with};
use super::*;
use crate::autograd::grad_fn;
use std::f64::consts::{LN_2, LN_10};

ops![
    frexp,
    abs,
    sign,
    sgn,
    positive,
    real,
    conj_physical,
    angle,
    ceil,
    floor,
    trunc,
    round,
    frac,
    square,
    reciprocal,
    sqrt,
    rsqrt,
    exp,
    exp2,
    expm1,
    log,
    log10,
    log1p,
    log2,
    nan_to_num,
    bitwise_not,
    logical_not,
    signbit,
    isnan,
    isinf,
    isfinite,
    isposinf,
    isneginf,
    isreal
];

/// Returns the absolute value of each element. The gradient at 0 is 0.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.abs.html>
#[op("(input)", number, inplace, alias = ["absolute"], samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3, lo=-5)"],
    errors = [("B(3)", "not implemented for 'Bool'")])]
pub fn abs(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::Abs, x, |g, x, _| g * x.sign())
}

/// Returns the sign of each element: -1, 0 or 1; 0 for NaN.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.sign.html>
#[op("(input)", any, inplace, samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3, lo=-5)", "B(3)"])]
pub fn sign(x: &Tensor) -> Result<Tensor> {
    unary(UnOp::Sign, x)?.with_grad([x], |_| no_slope::<1>())
}

/// Returns the sign of each element: for real numbers the same as [`sign()`].
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.sgn.html>
#[op("(input)", any, inplace, samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3, lo=-5)", "B(3)"])]
pub fn sgn(x: &Tensor) -> Result<Tensor> {
    sign(x)
}

/// Returns `input` itself.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.positive.html>
#[op("(input)", number, samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3)"],
    errors = [("B(3)", "The `+` operator, on a bool tensor is not supported.")])]
pub fn positive(x: &Tensor) -> Result<Tensor> {
    if x.dtype() == DType::Bool {
        return Err(Error::not_implemented("The `+` operator, on a bool tensor is not supported."));
    }
    Ok(x.clone())
}

/// Returns the real part: of a real tensor, the tensor itself.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.real.html>
#[op("(input)", any, function, samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3)"])]
pub fn real(x: &Tensor) -> Result<Tensor> {
    Ok(x.clone())
}

/// Returns the complex conjugate: of a real tensor, the tensor itself.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.conj_physical.html>
#[op("(input)", any, inplace, samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3)"])]
pub fn conj_physical(x: &Tensor) -> Result<Tensor> {
    Ok(x.clone())
}

/// Returns the angle of each element in the complex plane: π for negative numbers, 0 for others, NaN for NaN.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.angle.html>
#[op("(input)", float, samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3, lo=-5)"])]
pub fn angle(x: &Tensor) -> Result<Tensor> {
    compute([x], |[x]| x.is_nan().select(x, x.lt(0.0).select(std::f64::consts::PI, 0.0)))?.with_grad([x], |_| no_slope::<1>())
}

/// Returns the smallest integer not below each element.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.ceil.html>
#[op("(input)", number, inplace, samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3)"], errors = [("B(3)", "not implemented for 'Bool'")])]
pub fn ceil(x: &Tensor) -> Result<Tensor> {
    unary(UnOp::Ceil, x)?.with_grad([x], |_| no_slope::<1>())
}

/// Returns the largest integer not above each element.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.floor.html>
#[op("(input)", number, inplace, samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3)"], errors = [("B(3)", "not implemented for 'Bool'")])]
pub fn floor(x: &Tensor) -> Result<Tensor> {
    unary(UnOp::Floor, x)?.with_grad([x], |_| no_slope::<1>())
}

/// Returns each element without its fraction.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.trunc.html>
#[op("(input)", number, inplace, alias = ["fix"], samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3)"],
    errors = [("B(3)", "not implemented for 'Bool'")])]
pub fn trunc(x: &Tensor) -> Result<Tensor> {
    unary(UnOp::Trunc, x)?.with_grad([x], |_| no_slope::<1>())
}

/// Returns each element rounded to `decimals` places (negative: to tens, hundreds, …); halves go to even.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.round.html>
#[op("(input, *, decimals=0)", number, inplace, samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3)", "T(3, dtype=float64), decimals=1", "T(3, dtype=float64, lo=0, hi=99), decimals=-1"],
    errors = [("B(3)", "not implemented for 'Bool'"), ("I(3), decimals=1", "not implemented for 'Long'")])]
pub fn round(x: &Tensor, decimals: i64) -> Result<Tensor> {
    let y = if decimals == 0 {
        unary(UnOp::Round, x)?
    } else {
        floats_only(&[x])?;
        let scale = 10f64.powi(decimals.unsigned_abs().min(400) as i32);
        compute([x], |[x]| if decimals > 0 { (x * scale).round() / scale } else { (x / scale).round() * scale })?
    };
    y.with_grad([x], |_| no_slope::<1>())
}

/// Returns the fraction of each element, with its sign: `x - trunc(x)`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.frac.html>
#[op("(input)", float_only, inplace, samples = ["T(3, 4)", "T()", "T(0, 2)"], errors = [("I(3)", "not implemented for 'Long'")])]
pub fn frac(x: &Tensor) -> Result<Tensor> {
    floats_only(&[x])?;
    unary(UnOp::Frac, x)?.with_grad([x], |_| grad_fn(|_, g| Ok([Some(g.clone())])))
}

/// Returns the square of each element; of bools, as int64.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.square.html>
#[op("(input)", any, inplace, samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3)", "B(3)"])]
pub fn square(x: &Tensor) -> Result<Tensor> {
    if x.dtype() == DType::Bool {
        return square(&to_dtype(x, DType::I64)?);
    }
    unary_with(UnOp::Square, x, |g, x, _| g * (2.0 * x))
}

/// Returns `1 / input`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.reciprocal.html>
#[op("(input)", float, inplace, samples = ["T(3, 4, lo=0.5)", "T(lo=0.5)", "T(0, 2)", "I(3, lo=1)"])]
pub fn reciprocal(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::Reciprocal, x, |g, _, y| -g * y.square())
}

/// Returns the square root of each element; NaN below 0.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.sqrt.html>
#[op("(input)", float, inplace, samples = ["T(3, 4, lo=0.2)", "T(lo=0.2)", "T(0, 2)", "I(3)"])]
pub fn sqrt(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::Sqrt, x, |g, _, y| g / (2.0 * y))
}

/// Returns the reciprocal of the square root of each element.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.rsqrt.html>
#[op("(input)", float, inplace, samples = ["T(3, 4, lo=0.2)", "T(lo=0.2)", "T(0, 2)", "I(3, lo=1)"])]
pub fn rsqrt(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::Rsqrt, x, |g, _, y| -0.5 * g * (y * y.square()))
}

/// Returns the exponential of each element.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.exp.html>
#[op("(input)", float, inplace, samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3)"])]
pub fn exp(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::Exp, x, |g, _, y| g * y)
}

/// Returns two to the power of each element.
///
/// Source: <https://docs.pytorch.org/docs/stable/special.html#torch.special.exp2>
#[op("(input)", float, inplace, samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3)"])]
pub fn exp2(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::Exp2, x, |g, _, y| g * y * LN_2)
}

/// Returns `exp(x) - 1` of each element, accurate near 0.
///
/// Source: <https://docs.pytorch.org/docs/stable/special.html#torch.special.expm1>
#[op("(input)", float, inplace, samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3)"])]
pub fn expm1(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::Expm1, x, |g, _, y| g * (y + 1.0))
}

/// Returns the natural logarithm of each element; -∞ at 0, NaN below.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.log.html>
#[op("(input)", float, inplace, samples = ["T(3, 4, lo=0.2)", "T(lo=0.2)", "T(0, 2)", "I(3, lo=1)"])]
pub fn log(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::Log, x, |g, x, _| g / x)
}

/// Returns the logarithm to base 10 of each element; -∞ at 0, NaN below.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.log10.html>
#[op("(input)", float, inplace, samples = ["T(3, 4, lo=0.2)", "T(lo=0.2)", "T(0, 2)", "I(3, lo=1)"])]
pub fn log10(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::Log10, x, |g, x, _| g / (x * LN_10))
}

/// Returns `log(1 + x)` of each element, accurate near 0.
///
/// Source: <https://docs.pytorch.org/docs/stable/special.html#torch.special.log1p>
#[op("(input)", float, inplace, samples = ["T(3, 4, lo=-0.5)", "T(lo=-0.5)", "T(0, 2)", "I(3)"])]
pub fn log1p(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::Log1p, x, |g, x, _| g / (x + 1.0))
}

/// Returns the logarithm to base 2 of each element; -∞ at 0, NaN below.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.log2.html>
#[op("(input)", float, inplace, samples = ["T(3, 4, lo=0.2)", "T(lo=0.2)", "T(0, 2)", "I(3, lo=1)"])]
pub fn log2(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::Log2, x, |g, x, _| g / (x * LN_2))
}

/// Replaces NaN by `nan` (0), ∞ by `posinf` (the largest finite number of the dtype) and -∞ by `neginf` (the smallest).
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nan_to_num.html>
#[op("(input, nan=None, posinf=None, neginf=None)", any, inplace,
    samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3)", "B(3)", "T(3), 1.0, 2.0, neginf=3.0"])]
pub fn nan_to_num(x: &Tensor, nan: Option<f64>, posinf: Option<f64>, neginf: Option<f64>) -> Result<Tensor> {
    if !x.dtype().is_float() {
        return copy(x);
    }
    let (least, most) = x.dtype().finite_range();
    let (nan, posinf, neginf) = (nan.unwrap_or(0.0), posinf.unwrap_or(most), neginf.unwrap_or(least));
    let is_usual = nan == 0.0 && posinf == most && neginf == least;
    compute([x], |[x]| {
        if is_usual {
            return x.finite_within(most);
        }
        let low = x.eq(f64::NEG_INFINITY).select(neginf, x);
        x.is_nan().select(nan, x.eq(f64::INFINITY).select(posinf, low))
    })?
    .with_grad([x], |s| formula::derivative(s, [x], |g, [x], _| [x.is_finite().select(g, 0.0)]))
}

/// Returns the complement of each element's bits; of bools, the negation.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.bitwise_not.html>
#[op("(input)", integral, inplace, nondiff, samples = ["I(3, 4)", "B(3)", "I(0, 2)", "I()"], errors = [("T(3)", "not implemented for 'Float'")])]
pub fn bitwise_not(x: &Tensor) -> Result<Tensor> {
    unary(UnOp::BitNot, x)
}

/// Returns whether each element is zero.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.logical_not.html>
#[op("(input)", any, inplace, nondiff, samples = ["T(3, 4)", "I(3, hi=2)", "B(3)", "T(0, 2)", "T()"])]
pub fn logical_not(x: &Tensor) -> Result<Tensor> {
    unary(UnOp::LogicalNot, x)
}

/// Returns whether each element has its sign bit set: -0.0 has.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.signbit.html>
#[op("(input)", any, nondiff, samples = ["T(3, 4)", "I(3, lo=-5)", "B(3)", "T(0, 2)", "T()"])]
pub fn signbit(x: &Tensor) -> Result<Tensor> {
    unary(UnOp::SignBit, x)
}

/// Returns whether each element is NaN.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.isnan.html>
#[op("(input)", any, nondiff, samples = ["T(3, 4)", "I(3)", "B(3)", "T(0, 2)", "T()"])]
pub fn isnan(x: &Tensor) -> Result<Tensor> {
    unary(UnOp::IsNan, x)
}

/// Returns whether each element is infinite, with either sign.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.isinf.html>
#[op("(input)", any, nondiff, samples = ["T(3, 4)", "I(3)", "B(3)", "T(0, 2)", "T()"])]
pub fn isinf(x: &Tensor) -> Result<Tensor> {
    unary(UnOp::IsInf, x)
}

/// Returns whether each element is neither infinite nor NaN.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.isfinite.html>
#[op("(input)", any, nondiff, samples = ["T(3, 4)", "I(3)", "B(3)", "T(0, 2)", "T()"])]
pub fn isfinite(x: &Tensor) -> Result<Tensor> {
    unary(UnOp::IsFinite, x)
}

/// Returns whether each element is ∞.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.isposinf.html>
#[op("(input)", any, nondiff, samples = ["T(3, 4)", "I(3)", "B(3)", "T(0, 2)", "T()"])]
pub fn isposinf(x: &Tensor) -> Result<Tensor> {
    is_infinity(x, f64::INFINITY)
}

/// Returns whether each element is -∞.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.isneginf.html>
#[op("(input)", any, nondiff, samples = ["T(3, 4)", "I(3)", "B(3)", "T(0, 2)", "T()"])]
pub fn isneginf(x: &Tensor) -> Result<Tensor> {
    is_infinity(x, f64::NEG_INFINITY)
}

fn is_infinity(x: &Tensor, infinity: f64) -> Result<Tensor> {
    // Integers are never infinite, but compare as floats all the same.
    binary(BinOp::Eq, x, &num(infinity))
}

/// Returns whether each element is real: always, as there are no complex dtypes.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.isreal.html>
#[op("(input)", any, nondiff, samples = ["T(3, 4)", "I(3)", "B(3)", "T(0, 2)", "T()"])]
pub fn isreal(x: &Tensor) -> Result<Tensor> {
    ones_like(x, Some(DType::Bool))
}

/// Returns mantissas in `[0.5, 1)` (with the sign of `input`) and int32 exponents: `input = mantissa * 2^exponent`. Zeros, infinities and NaN are
/// their own mantissas, with exponent 0.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.frexp.html>
#[op("(input)", returns = ["mantissa", "exponent"], float_only, samples = ["T(3, 4)", "T()", "T(0, 2)", "T(3, lo=100, hi=1000)"],
    errors = [("I(3)", "torch.frexp() only supports floating-point dtypes")])]
pub fn frexp(x: &Tensor) -> Result<(Tensor, Tensor)> {
    if !x.dtype().is_float() {
        return Err(Error::runtime(format!("torch.frexp() only supports floating-point dtypes, but got {}", x.dtype())));
    }
    // In float64 every other dtype's subnormals are normal, and the logarithm is off by one at most.
    let wide = to_dtype(&x.detach(), DType::F64)?;
    let special = logical_not(&logical_and(&isfinite(&wide)?, &ne(&wide, &num(0.0))?)?)?;
    let guess = masked_fill(&add(&floor(&log2(&abs(&wide)?)?)?, &num(1.0), Scalar::Int(1))?, &special, &num(0.0))?;
    let size = abs(&scaled_by(&wide, &neg(&guess)?)?)?;
    let over = to_dtype(&logical_and(&ge(&size, &num(1.0))?, &logical_not(&special)?)?, DType::F64)?;
    let under = to_dtype(&logical_and(&lt(&size, &num(0.5))?, &logical_not(&special)?)?, DType::F64)?;
    let exponent = sub(&add(&guess, &over, Scalar::Int(1))?, &under, Scalar::Int(1))?;
    Ok((to_dtype(&scaled_by(x, &neg(&exponent)?)?, x.dtype())?, to_dtype(&exponent, DType::I32)?))
}

/// `x * 2^e` in two steps, since one power of two may be out of range where the product is not.
fn scaled_by(x: &Tensor, e: &Tensor) -> Result<Tensor> {
    let half = floor(&mul(e, &num(0.5))?)?;
    let rest = sub(e, &half, Scalar::Int(1))?;
    mul(&mul(x, &exp2(&half)?)?, &exp2(&rest)?)
}
