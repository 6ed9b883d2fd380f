//! Binary functions: powers, extrema, remainders, logarithms of sums, integer and bit arithmetic.

use super::formula::{binary_with, derivative};
use super::*;
use crate::autograd::grad_fn;

ops![
    pow,
    float_power,
    maximum,
    minimum,
    fmax,
    fmin,
    floor_divide,
    remainder,
    fmod,
    copysign,
    nextafter,
    logaddexp,
    logaddexp2,
    heaviside,
    ldexp,
    gcd,
    lcm,
    bitwise_and,
    bitwise_or,
    bitwise_xor,
    bitwise_left_shift,
    bitwise_right_shift
];

/// Returns `input` to the power of `exponent`; either may be a number.
///
/// Integers wrap. A negative number as the exponent of integers is an error.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.pow.html>
#[op("(input, exponent)", number, inplace,
    samples = ["T(3, 4, lo=0.5), T(3, 4)", "T(2, 1, lo=0.5), T(3)", "T(3, 4), 2", "T(3, lo=0.5), 0.5", "T(3, lo=0.5), -1.5", "T(3), 0", "T(3), 3",
        "2.5, T(3)", "T(lo=0.5), T()", "T(0, 2), T(2)", "I(3, hi=4), I(3, hi=4)", "I(3, lo=1), T(3)"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)"), ("I(3), -1", "Integers to negative integer powers are not allowed."),
        ("B(3), B(3)", "not implemented for 'Bool'")])]
pub fn pow(x: &Tensor, exponent: &Tensor) -> Result<Tensor> {
    let common = promote::result_type(&[x, exponent]);
    match number(exponent)? {
        Some(e) if common.is_int() && e < 0.0 => Err(Error::runtime("Integers to negative integer powers are not allowed.")),
        Some(e) => power(x, exponent, e)?.with_grad([x, exponent], |s| {
            derivative(s, [x, exponent], |g, [x, _], _| {
                // Not x⁰ times zero: that would be NaN at 0 and ∞.
                let gx = if e == 0.0 {
                    g.number(0.0)
                } else if e == 2.0 {
                    g * (2.0 * x)
                } else {
                    g * (e * x.pow(e - 1.0))
                };
                [gx, g]
            })
        }),
        None => binary_with(BinOp::Pow, x, exponent, |g, [x, e], y| {
            let gx = e.eq(0.0).select(0.0, g * (e * x.pow(e - 1.0)));
            let ge = x.eq(0.0).and(e.ge(0.0)).select(0.0, g * (y * x.log()));
            [gx, ge]
        }),
    }
}

/// The value of a bare number.
fn number(x: &Tensor) -> Result<Option<f64>> {
    if x.data_ref().wrapped { Ok(Some(x.try_to_scalar()?.to_f64())) } else { Ok(None) }
}

/// `x` to the power of the number `e`: by multiplication or root where that is exact and quick, as in PyTorch.
fn power(x: &Tensor, exponent: &Tensor, e: f64) -> Result<Tensor> {
    // The exponents of which each is one instruction, in the dtype of `x`: the short way.
    let alone = match e {
        2.0 => Some(UnOp::Square),
        0.5 => Some(UnOp::Sqrt),
        -0.5 => Some(UnOp::Rsqrt),
        _ => None,
    };
    if let Some(op) = alone.filter(|_| matches!(x.dtype(), DType::F32 | DType::F64) && !x.is_wrapped_number()) {
        return unary(op, x);
    }
    let mut k = Pointwise::new();
    let (a, b) = (k.input(x), k.input(exponent));
    let dtype = k.common();
    let (a, b) = (k.cast(dtype, a), k.cast(dtype, b));
    // Half precision is rounded once, at the end.
    let a = k.cast(dtype.compute(), a);
    let y = match e {
        2.0 if dtype != DType::Bool => k.un(UnOp::Square, a)?,
        3.0 if dtype != DType::Bool => {
            let square = k.un(UnOp::Square, a)?;
            k.bin(BinOp::Mul, square, a)?
        }
        0.5 => k.un(UnOp::Sqrt, a)?,
        -0.5 => k.un(UnOp::Rsqrt, a)?,
        -1.0 => k.un(UnOp::Reciprocal, a)?,
        -2.0 => {
            let square = k.un(UnOp::Square, a)?;
            k.un(UnOp::Reciprocal, square)?
        }
        _ => {
            let b = k.cast(dtype.compute(), b);
            k.bin(BinOp::Pow, a, b)?
        }
    };
    let y = k.cast(dtype, y);
    k.run(y)
}

/// Returns `input` to the power of `exponent`, computed in float64.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.float_power.html>
#[op("(input, exponent)", number, inplace,
    samples = ["T(3, 4, lo=0.5), T(3, 4)", "T(2, 1, lo=0.5), T(3)", "T(3), 2", "2.5, T(3)", "T(0, 2), T(2)", "I(3, lo=1), I(3, lo=-3)", "B(3), B(3)"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)")])]
pub fn float_power(x: &Tensor, exponent: &Tensor) -> Result<Tensor> {
    let double = |x: &Tensor| match number(x)? {
        Some(v) => Ok(num(v)),
        None => to_dtype(x, DType::F64),
    };
    let (x, exponent) = (double(x)?, double(exponent)?);
    // Two numbers would promote to the default dtype.
    if number(&x)?.is_some() && number(&exponent)?.is_some() {
        pow(&to_dtype(&x, DType::F64)?, &exponent)
    } else {
        pow(&x, &exponent)
    }
}

/// Returns the larger of each pair of elements; NaN wins. Where they are equal, each gets half the gradient.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.maximum.html>
#[op("(input, other)", any, samples = ["T(3, 4), T(3, 4)", "T(2, 1), T(3)", "T(), T()", "T(0, 2), T(2)", "I(3), T(3)", "B(3), B(3)"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)")])]
pub fn maximum(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    binary_with(BinOp::Max, x, y, |g, [x, y], _| {
        let shared = x.eq(y).select(g / 2.0, g);
        [x.lt(y).select(0.0, shared), x.gt(y).select(0.0, shared)]
    })
}

/// Returns the smaller of each pair of elements; NaN wins. Where they are equal, each gets half the gradient.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.minimum.html>
#[op("(input, other)", any, samples = ["T(3, 4), T(3, 4)", "T(2, 1), T(3)", "T(), T()", "T(0, 2), T(2)", "I(3), T(3)", "B(3), B(3)"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)")])]
pub fn minimum(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    binary_with(BinOp::Min, x, y, |g, [x, y], _| {
        let shared = x.eq(y).select(g / 2.0, g);
        [x.gt(y).select(0.0, shared), x.lt(y).select(0.0, shared)]
    })
}

/// Returns the larger of each pair of elements; a number wins over NaN.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.fmax.html>
#[op("(input, other)", any, samples = ["T(3, 4), T(3, 4)", "T(2, 1), T(3)", "T(), T()", "T(0, 2), T(2)", "I(3), T(3)", "B(3), B(3)"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)")])]
pub fn fmax(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    binary_with(BinOp::Fmax, x, y, |g, [x, y], _| {
        let (half, first) = (x.eq(y), x.ge(y).or(y.is_nan()));
        [half.select(g / 2.0, first.select(g, 0.0)), half.select(g / 2.0, first.select(0.0, g))]
    })
}

/// Returns the smaller of each pair of elements; a number wins over NaN.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.fmin.html>
#[op("(input, other)", any, samples = ["T(3, 4), T(3, 4)", "T(2, 1), T(3)", "T(), T()", "T(0, 2), T(2)", "I(3), T(3)", "B(3), B(3)"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)")])]
pub fn fmin(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    binary_with(BinOp::Fmin, x, y, |g, [x, y], _| {
        let (half, first) = (x.eq(y), x.le(y).or(y.is_nan()));
        [half.select(g / 2.0, first.select(g, 0.0)), half.select(g / 2.0, first.select(0.0, g))]
    })
}

/// The derivative of an op that PyTorch does not differentiate: asking for it is an error, so that no gradient is lost silently.
fn refuse() -> crate::autograd::node::BackwardFn {
    let op = crate::op::current_op().trim_end_matches('_');
    grad_fn(move |_, _| -> Result<[Option<Tensor>; 2]> {
        Err(Error::runtime(format!("derivative for aten::{op} is not implemented")))
    })
}

/// Returns the quotient rounded down. It has no derivative: `div` with `rounding_mode='floor'` has.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.floor_divide.html>
#[op("(input, other)", number, inplace, nondiff,
    samples = ["T(3, 4), T(3, 4, lo=0.5)", "T(2, 1), T(3, lo=0.5)", "T(), 0.5", "T(0, 2), T(2)", "I(3), I(3, lo=1)", "I(3), 2.5", "7, I(3, lo=1)"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)"), ("I(3), 0", "ZeroDivisionError"), ("B(3), B(3)", "not implemented for 'Bool'")])]
pub fn floor_divide(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    binary(BinOp::FloorDiv, x, y)?.with_grad([x, y], |_| refuse())
}

/// Returns Python's `input % other`: `input - floor(input / other) * other`, with the sign of `other`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.remainder.html>
#[op("(input, other)", number, inplace,
    samples = ["T(3, 4), T(3, 4, lo=0.5)", "T(2, 1), T(3, lo=0.5)", "T(), 0.7", "T(0, 2), T(2)", "I(3, lo=-5), I(3, lo=1)", "I(3), 2.5", "7.5, T(3, lo=0.5)"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)"), ("I(3), 0", "ZeroDivisionError"), ("B(3), B(3)", "not implemented for 'Bool'")])]
pub fn remainder(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    binary_with(BinOp::Remainder, x, y, |g, [x, y], _| [g, -g * x.floor_div(y)])
}

/// Returns C's `fmod`: `input - trunc(input / other) * other`, with the sign of `input`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.fmod.html>
#[op("(input, other)", number, inplace,
    samples = ["T(3, 4), T(3, 4, lo=0.5)", "T(2, 1), T(3, lo=0.5)", "T(), 0.7", "T(0, 2), T(2)", "I(3, lo=-5), I(3, lo=1)", "I(3), 2.5"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)"), ("I(3), 0", "ZeroDivisionError"), ("B(3), B(3)", "not implemented for 'Bool'")])]
pub fn fmod(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    binary_with(BinOp::Fmod, x, y, |g, [x, y], _| [g, -g * x.trunc_div(y)])
}

/// Returns the magnitude of `input` with the sign of `other`; the signs of zeros and NaNs count.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.copysign.html>
#[op("(input, other)", float, inplace,
    samples = ["T(3, 4, lo=0.2), T(3, 4)", "T(2, 1, lo=0.2), T(3)", "T(3, lo=0.2), -1.5", "T(lo=0.2), T()", "T(0, 2), T(2)", "I(3), I(3)"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)")])]
pub fn copysign(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    binary_with(BinOp::Copysign, x, y, |g, [x, _], z| [x.eq(0.0).select(0.0, g * (z / x)), g.number(0.0)])
}

/// Returns the next representable number after `input` towards `other`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nextafter.html>
#[op("(input, other)", float_only, inplace, samples = ["T(3, 4), T(3, 4)", "T(2, 1), T(3)", "T(), T()", "T(0, 2), T(2)"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)"), ("I(3), I(3)", "not implemented for 'Long'")])]
pub fn nextafter(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    floats_only(&[x, y])?;
    binary_with(BinOp::Nextafter, x, y, |g, [x, y], _| [x.eq(y).select(0.0, g), g.number(0.0)])
}

/// Returns `log(exp(input) + exp(other))` without overflow on the way.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.logaddexp.html>
#[op("(input, other)", float_only, samples = ["T(3, 4), T(3, 4)", "T(2, 1), T(3)", "T(), T()", "T(0, 2), T(2)"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)"), ("I(3), I(3)", "not implemented for 'Long'")])]
pub fn logaddexp(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    floats_only(&[x, y])?;
    binary_with(BinOp::Logaddexp, x, y, |g, [x, y], _| [g / ((y - x).exp() + 1.0), g / ((x - y).exp() + 1.0)])
}

/// Returns `log2(2^input + 2^other)` without overflow on the way.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.logaddexp2.html>
#[op("(input, other)", float_only, samples = ["T(3, 4), T(3, 4)", "T(2, 1), T(3)", "T(), T()", "T(0, 2), T(2)"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)"), ("I(3), I(3)", "not implemented for 'Long'")])]
pub fn logaddexp2(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    floats_only(&[x, y])?;
    binary_with(BinOp::Logaddexp2, x, y, |g, [x, y], _| [g / ((y - x).exp2() + 1.0), g / ((x - y).exp2() + 1.0)])
}

/// Returns the step function of each element: 0 below zero, 1 above, `values` at zero.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.heaviside.html>
#[op("(input, values)", any, inplace, nondiff, samples = ["T(3, 4), T(3, 4)", "T(2, 1), T(3)", "I(3, hi=2), I(3)", "B(3), B(3)", "T(0, 2), T(2)", "T(), T()"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)"),
        ("T(3), I(3)", "heaviside is not yet implemented for tensors with different dtypes.")])]
pub fn heaviside(x: &Tensor, values: &Tensor) -> Result<Tensor> {
    if x.dtype() != values.dtype() {
        return Err(Error::runtime("heaviside is not yet implemented for tensors with different dtypes."));
    }
    binary(BinOp::Heaviside, x, values)?.with_grad([x, values], |_| refuse())
}

/// Returns `input * 2^other`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.ldexp.html>
#[op("(input, other)", any, inplace, samples = ["T(3, 4), T(3, 4)", "T(2, 1), I(3)", "T(), T()", "T(0, 2), T(2)", "I(3), I(3)"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)")])]
pub fn ldexp(x: &Tensor, other: &Tensor) -> Result<Tensor> {
    mul(x, &pow(&num(2.0), other)?)
}

/// Returns the greatest common divisor of each pair of integers, not negative; `gcd(0, 0)` is 0.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.gcd.html>
#[op("(input, other)", integral, inplace, nondiff, samples = ["I(3, 4), I(3, 4)", "I(2, 1), I(3)", "I(0, 2), I(2)", "I(), I()"],
    errors = [("I(3), I(4)", "must match the size of tensor b (4)"), ("T(3), T(3)", "not implemented for 'Float'")])]
pub fn gcd(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    binary(BinOp::Gcd, x, y)
}

/// Returns the least common multiple of each pair of integers, not negative.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.lcm.html>
#[op("(input, other)", integral, inplace, nondiff, samples = ["I(3, 4), I(3, 4)", "I(2, 1), I(3)", "I(0, 2), I(2)", "I(), I()"],
    errors = [("I(3), I(4)", "must match the size of tensor b (4)"), ("T(3), T(3)", "not implemented for 'Float'")])]
pub fn lcm(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    binary(BinOp::Lcm, x, y)
}

/// Returns the bits that are set in both elements; of bools, the conjunction.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.bitwise_and.html>
#[op("(input, other)", integral, inplace, nondiff, samples = ["I(3, 4), I(3, 4)", "I(2, 1), I(3)", "B(3), B(3)", "B(3), I(3)", "I(3), 5", "I(0, 2), I(2)"],
    errors = [("I(3), I(4)", "must match the size of tensor b (4)"), ("T(3), T(3)", "not implemented for 'Float'")])]
pub fn bitwise_and(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    binary(BinOp::BitAnd, x, y)
}

/// Returns the bits that are set in either element; of bools, the disjunction.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.bitwise_or.html>
#[op("(input, other)", integral, inplace, nondiff, samples = ["I(3, 4), I(3, 4)", "I(2, 1), I(3)", "B(3), B(3)", "B(3), I(3)", "I(3), 5", "I(0, 2), I(2)"],
    errors = [("I(3), I(4)", "must match the size of tensor b (4)"), ("T(3), T(3)", "not implemented for 'Float'")])]
pub fn bitwise_or(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    binary(BinOp::BitOr, x, y)
}

/// Returns the bits in which the elements differ; of bools, whether they differ.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.bitwise_xor.html>
#[op("(input, other)", integral, inplace, nondiff, samples = ["I(3, 4), I(3, 4)", "I(2, 1), I(3)", "B(3), B(3)", "B(3), I(3)", "I(3), 5", "I(0, 2), I(2)"],
    errors = [("I(3), I(4)", "must match the size of tensor b (4)"), ("T(3), T(3)", "not implemented for 'Float'")])]
pub fn bitwise_xor(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    binary(BinOp::BitXor, x, y)
}

/// Returns `input` shifted left by `other` bits; 0 for a shift beyond the width, or a negative one.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.bitwise_left_shift.html>
#[op("(input, other)", integral, inplace, nondiff, samples = ["I(3, 4), I(3, 4)", "I(2, 1), I(3)", "I(3), 2", "I(3), 70", "I(0, 2), I(2)"],
    errors = [("I(3), I(4)", "must match the size of tensor b (4)"), ("T(3), T(3)", "not implemented for 'Float'")])]
pub fn bitwise_left_shift(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    binary(BinOp::Shl, x, y)
}

/// Returns `input` shifted right by `other` bits, copies of the sign coming in; the sign for a shift beyond the width, or a negative one.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.bitwise_right_shift.html>
#[op("(input, other)", integral, inplace, nondiff, samples = ["I(3, 4, hi=99), I(3, 4)", "I(2, 1), I(3)", "I(3), 2", "I(3, lo=-9), 70", "I(0, 2), I(2)"],
    errors = [("I(3), I(4)", "must match the size of tensor b (4)"), ("T(3), T(3)", "not implemented for 'Float'")])]
pub fn bitwise_right_shift(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    binary(BinOp::Shr, x, y)
}
