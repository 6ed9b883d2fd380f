//! Arithmetic: sums, products, quotients.

use super::formula::{binary_with, derivative, no_slope};
use super::*;
use crate::autograd::grad_fn;
use crate::autograd::saved::Saved;

ops![add, sub, rsub, mul, div, true_divide, neg];

/// `op(x, n)`, or `op(n, x)` where the number is `first`, if nothing is recorded and x is a small, row-major tensor of float32 or float64.
/// For operators of another language, which would otherwise have to make a tensor of the number.
pub fn beside_number(op: BinOp, x: &Tensor, n: Scalar, first: bool) -> Option<Result<Tensor>> {
    if crate::autograd::is_recorded(&[x]) { None } else { lift::beside_number(op, x, n, first) }
}

/// Adds `other`, scaled by `alpha`, to `input`: `input + alpha * other`.
///
/// The shapes broadcast; the dtypes promote.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.add.html>
#[op("(input, other, *, alpha=1)", any, inplace = (alpha == Scalar::Int(1)).then(|| overwrite(BinOp::Add, x, y)).flatten(),
    samples = ["T(3, 4), T(3, 4)", "T(3, 4), T(4)", "T(2, 1), T(1, 3), alpha=2", "T(), 2.5", "T(0, 2), T(2)", "I(3), T(3)"],
    errors = [("T(3), T(4)", "The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension 0")])]
pub fn add(x: &Tensor, y: &Tensor, alpha: Scalar) -> Result<Tensor> {
    add_scaled(BinOp::Add, x, y, alpha)?
        .with_grad([x, y], |_| grad_fn(move |c, g| Ok([Some(g.clone()), c.needs(1).then(|| scaled(g, alpha)).transpose()?])))
}

/// Subtracts `other`, scaled by `alpha`, from `input`: `input - alpha * other`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.sub.html>
#[op("(input, other, *, alpha=1)", number, inplace = (alpha == Scalar::Int(1)).then(|| overwrite(BinOp::Sub, x, y)).flatten(), alias = ["subtract"],
    samples = ["T(3, 4), T(3, 4)", "T(3, 4), T(4)", "T(2, 1), T(1, 3), alpha=2", "T(), 2.5", "T(0, 2), T(2)", "I(3), T(3)"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)"),
        ("B(3), B(3)", "Subtraction, the `-` operator, with two bool tensors is not supported")])]
pub fn sub(x: &Tensor, y: &Tensor, alpha: Scalar) -> Result<Tensor> {
    if x.dtype() == DType::Bool && y.dtype() == DType::Bool {
        return Err(Error::not_implemented(
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` operator instead.",
        ));
    }
    add_scaled(BinOp::Sub, x, y, alpha)?.with_grad([x, y], |_| {
        grad_fn(move |c, g| Ok([Some(g.clone()), c.needs(1).then(|| neg(&scaled(g, alpha)?)).transpose()?]))
    })
}

/// Subtracts `input`, scaled by `alpha`, from `other`: `other - alpha * input`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.sub.html>
#[op("(input, other, *, alpha=1)", number, function,
    samples = ["T(3, 4), T(3, 4)", "T(3, 4), T(4)", "T(2, 1), T(1, 3), alpha=2", "T(), 2.5", "T(0, 2), T(2)", "I(3), T(3)"],
    errors = [("T(3), T(4)", "must match the size of tensor b (3)"),
        ("B(3), B(3)", "Subtraction, the `-` operator, with two bool tensors is not supported")])]
pub fn rsub(x: &Tensor, y: &Tensor, alpha: Scalar) -> Result<Tensor> {
    sub(y, x, alpha)
}

fn add_scaled(op: BinOp, x: &Tensor, y: &Tensor, alpha: Scalar) -> Result<Tensor> {
    if alpha == Scalar::Int(1) {
        return binary(op, x, y);
    }
    let mut k = Pointwise::new();
    let (a, b) = (k.input(x), k.input(y));
    let common = k.common();
    if !promote::can_cast(alpha.dtype(), common) {
        return Err(Error::runtime(format!(
            "For integral input tensors, argument alpha must not be a floating point number, but it is {alpha}"
        )));
    }
    let (a, mut b) = (k.cast(common, a), k.cast(common, b));
    if alpha.to_f64() != 1.0 {
        if common.is_float() {
            // One instruction, as in PyTorch's kernel.
            let s = k.constant(if op == BinOp::Sub { -alpha.to_f64() } else { alpha.to_f64() }, common);
            let r = k.tern(TernOp::MulAdd, b, s, a)?;
            return k.run(r);
        }
        let s = k.constant(alpha, common);
        b = k.bin(BinOp::Mul, b, s)?;
    }
    let r = k.bin(op, a, b)?;
    k.run(r)
}

fn scaled(g: &Tensor, alpha: Scalar) -> Result<Tensor> {
    if alpha.to_f64() == 1.0 { Ok(g.clone()) } else { mul(g, &Tensor::wrapped_number(alpha)) }
}

/// Multiplies `input` by `other`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.mul.html>
#[op("(input, other)", any, inplace = overwrite(BinOp::Mul, x, y), alias = ["multiply"],
    samples = ["T(3, 4), T(3, 4)", "T(3, 4), T(4)", "T(2, 1), T(1, 3)", "T(), 2.5", "T(0, 2), T(2)", "I(3), T(3)"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)")])]
pub fn mul(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    binary(BinOp::Mul, x, y)?.with_grad([x, y], |s| {
        // One pass for both gradients saves memory traffic, but costs more than it saves where the operands are small.
        if s.needs(0) && s.needs(1) && x.numel().max(y.numel()) > 1 << 14 {
            return derivative(s, [x, y], |g, [x, y], _| [g * y, g * x]);
        }
        let (sx, sy) = (s.needs(1).then(|| s.input(x)), s.needs(0).then(|| s.input(y)));
        grad_fn(move |c, g| {
            let times = |other: &Option<Saved>, wanted: bool| match other {
                Some(other) if wanted => mul(g, &other.get(c)?).map(Some),
                _ => Ok(None),
            };
            Ok([times(&sy, c.needs(0))?, times(&sx, c.needs(1))?])
        })
    })
}

/// Divides `input` by `other`; integers give a float. `rounding_mode` is None (true division), "trunc" (towards zero) or "floor" (down).
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.div.html>
#[op("(input, other, *, rounding_mode=None)", any, inplace = rounding_mode.is_none().then(|| overwrite(BinOp::Div, x, y)).flatten(), alias = ["divide"],
    samples = ["T(3, 4), T(3, 4, lo=0.5)", "T(3, 4), T(4, lo=0.5)", "T(2, 1), T(1, 3, lo=0.5)", "T(), 2.5", "T(0, 2), T(2)", "I(3), I(3, lo=1)",
        "T(3, dtype=float64), T(3, lo=0.5), rounding_mode='floor'", "T(3, dtype=float64), T(3, lo=0.5), rounding_mode='trunc'"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)"),
        ("T(3), T(3), rounding_mode='up'", "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found 'up'")])]
pub fn div(x: &Tensor, y: &Tensor, rounding_mode: Option<&str>) -> Result<Tensor> {
    let op = match rounding_mode {
        None => BinOp::Div,
        Some("trunc") => BinOp::TruncDiv,
        Some("floor") => BinOp::FloorDiv,
        Some(other) => {
            return Err(Error::runtime(format!(
                "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{other}'"
            )));
        }
    };
    if rounding_mode.is_some() {
        return binary(op, x, y)?.with_grad([x, y], |_| no_slope::<2>());
    }
    binary_with(op, x, y, |g, [x, y], _| [g / y, -g * ((x / y) / y)])
}

/// Divides `input` by `other`; integers give a float: [`div()`] without rounding.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.true_divide.html>
#[op("(input, other)", any, inplace, samples = ["T(3, 4), T(3, 4, lo=0.5)", "T(3), 2.5", "I(3), I(3, lo=1)"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)")])]
pub fn true_divide(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    div(x, y, None)
}

/// Returns `-input`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.neg.html>
#[op("(input)", number, inplace, alias = ["negative"], samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3)"],
    errors = [("B(3)", "Negation, the `-` operator, on a bool tensor is not supported")])]
pub fn neg(x: &Tensor) -> Result<Tensor> {
    if x.dtype() == DType::Bool {
        return Err(Error::not_implemented(
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use the `~` or `logical_not()` operator instead.",
        ));
    }
    unary(UnOp::Neg, x)?.with_grad([x], |_| grad_fn(|_, g| Ok([Some(neg(g)?)])))
}
