//! Trigonometric and hyperbolic functions, and their inverses.

use super::formula::{binary_with, compute, derivative, unary_with};
use super::*;

ops![sin, cos, tan, asin, acos, atan, atan2, sinh, cosh, tanh, asinh, acosh, atanh, sinc, deg2rad, rad2deg, hypot];

/// Returns the sine of each element (in radians).
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.sin.html>
#[op("(input)", float, inplace, samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3)", "B(3)"])]
pub fn sin(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::Sin, x, |g, x, _| g * x.cos())
}

/// Returns the cosine of each element (in radians).
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.cos.html>
#[op("(input)", float, inplace, samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3)", "B(3)"])]
pub fn cos(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::Cos, x, |g, x, _| -(g * x.sin()))
}

/// Returns the tangent of each element (in radians).
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.tan.html>
#[op("(input)", float, inplace, samples = ["T(3, 4, lo=-1.2, hi=1.2)", "T(lo=-1, hi=1)", "T(0, 2)", "I(3)"])]
pub fn tan(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::Tan, x, |g, _, y| g * (1.0 + y.square()))
}

/// Returns the arcsine of each element, in `[-π/2, π/2]`; NaN outside `[-1, 1]`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.asin.html>
#[op("(input)", float, inplace, alias = ["arcsin"], samples = ["T(3, 4, lo=-0.9, hi=0.9)", "T(lo=-0.9, hi=0.9)", "T(0, 2)", "I(3, hi=2)"])]
pub fn asin(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::Asin, x, |g, x, _| g * (1.0 - x.square()).rsqrt())
}

/// Returns the arccosine of each element, in `[0, π]`; NaN outside `[-1, 1]`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.acos.html>
#[op("(input)", float, inplace, alias = ["arccos"], samples = ["T(3, 4, lo=-0.9, hi=0.9)", "T(lo=-0.9, hi=0.9)", "T(0, 2)", "I(3, hi=2)"])]
pub fn acos(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::Acos, x, |g, x, _| -(g * (1.0 - x.square()).rsqrt()))
}

/// Returns the arctangent of each element, in `[-π/2, π/2]`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.atan.html>
#[op("(input)", float, inplace, alias = ["arctan"], samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3)"])]
pub fn atan(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::Atan, x, |g, x, _| g / (1.0 + x.square()))
}

/// Returns the angle of each point (`other`, `input`) from the positive first axis, in `[-π, π]`: the arctangent of `input / other` in
/// the right quadrant.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.atan2.html>
#[op("(input, other)", float, inplace, alias = ["arctan2"],
    samples = ["T(3, 4), T(3, 4, lo=0.5)", "T(2, 1, lo=0.5), T(3)", "T(lo=0.5), T()", "T(0, 2), T(2)", "I(3), I(3, lo=1)"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)")])]
pub fn atan2(y: &Tensor, x: &Tensor) -> Result<Tensor> {
    binary_with(BinOp::Atan2, y, x, |g, [y, x], _| {
        // At the origin, where the angle jumps, the gradient is zero.
        let norm = x.square() + y.square();
        let r = norm.eq(0.0).select(0.0, norm.reciprocal());
        [g * x * r, g * -y * r]
    })
}

/// Returns the hyperbolic sine of each element.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.sinh.html>
#[op("(input)", float, inplace, samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3)"])]
pub fn sinh(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::Sinh, x, |g, x, _| g * x.cosh())
}

/// Returns the hyperbolic cosine of each element.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.cosh.html>
#[op("(input)", float, inplace, samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3)"])]
pub fn cosh(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::Cosh, x, |g, x, _| g * x.sinh())
}

/// Returns the hyperbolic tangent of each element.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.tanh.html>
#[op("(input)", float, inplace, samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3)"])]
pub fn tanh(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::Tanh, x, |g, _, y| g * (1.0 - y.square()))
}

/// Returns the inverse hyperbolic sine of each element.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.asinh.html>
#[op("(input)", float, inplace, alias = ["arcsinh"], samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3)"])]
pub fn asinh(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::Asinh, x, |g, x, _| g * (x.square() + 1.0).rsqrt())
}

/// Returns the inverse hyperbolic cosine of each element; NaN below 1.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.acosh.html>
#[op("(input)", float, inplace, alias = ["arccosh"], samples = ["T(3, 4, lo=1.2, hi=3)", "T(lo=1.2, hi=3)", "T(0, 2)", "I(3, lo=1)"])]
pub fn acosh(x: &Tensor) -> Result<Tensor> {
    // Two square roots: x² may overflow where its root would not.
    unary_with(UnOp::Acosh, x, |g, x, _| g * (x - 1.0).rsqrt() * (x + 1.0).rsqrt())
}

/// Returns the inverse hyperbolic tangent of each element; NaN outside `[-1, 1]`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.atanh.html>
#[op("(input)", float, inplace, alias = ["arctanh"], samples = ["T(3, 4, lo=-0.9, hi=0.9)", "T(lo=-0.9, hi=0.9)", "T(0, 2)", "I(3, hi=2)"])]
pub fn atanh(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::Atanh, x, |g, x, _| g / (1.0 - x.square()))
}

/// Returns the normalised sinc of each element, `sin(πx) / (πx)`, which is 1 at 0.
///
/// Source: <https://docs.pytorch.org/docs/stable/special.html#torch.special.sinc>
#[op("(input)", float, inplace, samples = ["T(3, 4, lo=0.3)", "T(lo=0.3)", "T(0, 2)", "I(3)"])]
pub fn sinc(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::Sinc, x, |g, x, _| {
        let a = x * std::f64::consts::PI;
        x.eq(0.0).select(0.0, g * ((a.cos() * a - a.sin()) / (a * x)))
    })
}

/// Returns angles in degrees as radians.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.deg2rad.html>
#[op("(input)", float, inplace, samples = ["T(3, 4, lo=-180, hi=180)", "T()", "T(0, 2)", "I(3)"])]
pub fn deg2rad(x: &Tensor) -> Result<Tensor> {
    times(x, std::f64::consts::PI / 180.0)
}

/// Returns angles in radians as degrees.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.rad2deg.html>
#[op("(input)", float, inplace, samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3)"])]
pub fn rad2deg(x: &Tensor) -> Result<Tensor> {
    times(x, 180.0 / std::f64::consts::PI)
}

fn times(x: &Tensor, factor: f64) -> Result<Tensor> {
    compute([x], |[x]| x * factor)?.with_grad([x], |s| derivative(s, [x], |g, _, _| [g * factor]))
}

/// Returns the length of each hypotenuse, `sqrt(input² + other²)`, without overflow on the way.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.hypot.html>
#[op("(input, other)", float_only, inplace, samples = ["T(3, 4), T(3, 4, lo=0.5)", "T(2, 1, lo=0.5), T(3)", "T(lo=0.5), T()", "T(0, 2), T(2)"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)"), ("I(3), I(3)", "not implemented for 'Long'")])]
pub fn hypot(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    floats_only(&[x, y])?;
    binary_with(BinOp::Hypot, x, y, |g, [x, y], z| [g * (x / z), g * (y / z)])
}
