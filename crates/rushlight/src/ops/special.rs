//! Special functions: error function, gamma, Bessel, and those of the normal distribution.
//!
//! What PyTorch has only in `torch.special` is called `special_…` here, as inside PyTorch.

use super::formula::{Term, binary_with, compute, derivative, unary_with};
use super::*;
use crate::autograd::grad_fn;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI};

ops![
    erf,
    erfc,
    erfinv,
    lgamma,
    digamma,
    polygamma,
    polygamma_self,
    mvlgamma,
    i0,
    special_i0e,
    special_i1,
    special_i1e,
    special_ndtr,
    special_ndtri,
    special_log_ndtr,
    special_entr,
    special_xlog1py,
    special_zeta,
    xlogy,
    igamma,
    igammac,
    sigmoid,
    logit
];

/// Returns the error function of each element, `2/√π ∫₀ˣ exp(-t²) dt`.
///
/// Source: <https://docs.pytorch.org/docs/stable/special.html#torch.special.erf>
#[op("(input)", float, inplace, samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3)"])]
pub fn erf(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::Erf, x, |g, x, _| g * (FRAC_2_SQRT_PI * (-x.square()).exp()))
}

/// Returns the complementary error function of each element, `1 - erf(x)`, accurate where that is small.
///
/// Source: <https://docs.pytorch.org/docs/stable/special.html#torch.special.erfc>
#[op("(input)", float, inplace, samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3)"])]
pub fn erfc(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::Erfc, x, |g, x, _| g * (-FRAC_2_SQRT_PI * (-x.square()).exp()))
}

/// Returns the inverse error function of each element; ±∞ at ±1, NaN outside `[-1, 1]`.
///
/// Source: <https://docs.pytorch.org/docs/stable/special.html#torch.special.erfinv>
#[op("(input)", float, inplace, samples = ["T(3, 4, lo=-0.8, hi=0.8)", "T(lo=-0.8, hi=0.8)", "T(0, 2)", "I(3, hi=2)"])]
pub fn erfinv(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::Erfinv, x, |g, _, y| g * (y.square().exp() / FRAC_2_SQRT_PI))
}

/// Returns the natural logarithm of the absolute value of the gamma function.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.lgamma.html>
#[op("(input)", float, inplace, samples = ["T(3, 4, lo=0.5, hi=4)", "T(lo=0.5, hi=4)", "T(0, 2)", "I(3, lo=1)"])]
pub fn lgamma(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::Lgamma, x, |g, x, _| g * x.digamma())
}

/// Returns the derivative of the logarithm of the gamma function.
///
/// Source: <https://docs.pytorch.org/docs/stable/special.html#torch.special.digamma>
#[op("(input)", float, inplace, samples = ["T(3, 4, lo=0.5, hi=4)", "T(lo=0.5, hi=4)", "T(0, 2)", "I(3, lo=1)"])]
pub fn digamma(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::Digamma, x, |g, x, _| g * x.number(1.0).polygamma(x))
}

/// Returns derivative number `n` of the digamma function; `n` is not negative.
///
/// Source: <https://docs.pytorch.org/docs/stable/special.html#torch.special.polygamma>
#[op("(n, input)", function, samples = ["1, T(3, 4, lo=0.5, hi=4)", "2, T(lo=0.5, hi=4)", "0, T(3, lo=0.5, hi=4)", "1, T(0, 2)", "3, I(3, lo=1)"],
    errors = [("-1, T(3)", "polygamma(n, x) does not support negative n.")])]
pub fn polygamma(n: i64, x: &Tensor) -> Result<Tensor> {
    if n < 0 {
        return Err(Error::runtime("polygamma(n, x) does not support negative n."));
    }
    if n == 0 {
        return digamma(x);
    }
    compute([x], |[x]| x.number(n as f64).polygamma(x))?
        .with_grad([x], |s| derivative(s, [x], |g, [x], _| [g * x.number(n as f64 + 1.0).polygamma(x)]))
}

/// Returns derivative number `n` of the digamma function: the method's form of [`polygamma()`].
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.polygamma.html>
#[op("(input, n)", overload = "self", rust = "polygamma", inplace, samples = ["T(3, 4, lo=0.5, hi=4), 1", "T(3, lo=0.5, hi=4), 0"],
    errors = [("T(3), -1", "polygamma(n, x) does not support negative n.")])]
pub fn polygamma_self(x: &Tensor, n: i64) -> Result<Tensor> {
    polygamma(n, x)
}

/// Returns the logarithm of the multivariate gamma function of dimension `p`,
/// `p (p - 1) / 4 log π + Σᵢ lgamma(x - i / 2)` for `i` from 0 to `p - 1`; elements are to be above `(p - 1) / 2`.
///
/// Source: <https://docs.pytorch.org/docs/stable/special.html#torch.special.multigammaln>
#[op("(input, p)", float, inplace,
    samples = ["T(3, 4, lo=1.2, hi=4), 3", "T(lo=1.2, hi=4), 1", "T(0, 2), 2", "I(3, lo=2), 2"],
    errors = [("T(3), 0", "p has to be greater than or equal to 1")])]
pub fn mvlgamma(x: &Tensor, p: i64) -> Result<Tensor> {
    if p < 1 {
        return Err(Error::runtime("p has to be greater than or equal to 1"));
    }
    // One program holds about as many steps as p; beyond that the terms are added one by one.
    if p > 64 {
        let half = p / 2;
        let constant = (PI.ln() * 0.25) * ((p * (p - 1) - half * (half - 1) - (p - half) * (p - half - 1)) as f64);
        let rest = mvlgamma(&sub(x, &num(half as f64 / 2.0), Scalar::Int(1))?, p - half)?;
        return add(&add(&mvlgamma(x, half)?, &rest, Scalar::Int(1))?, &num(constant), Scalar::Int(1));
    }
    let constant = (p * (p - 1)) as f64 / 4.0 * PI.ln();
    compute([x], |[x]| (1..p).fold(x.lgamma(), |sum, i| sum + (x - i as f64 / 2.0).lgamma()) + constant)?.with_grad([x], |s| {
        derivative(s, [x], |g, [x], _| [g * (1..p).fold(x.digamma(), |sum, i| sum + (x - i as f64 / 2.0).digamma())])
    })
}

/// Returns the modified Bessel function of the first kind and order zero.
///
/// Source: <https://docs.pytorch.org/docs/stable/special.html#torch.special.i0>
#[op("(input)", float, inplace, samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3)"])]
pub fn i0(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::I0, x, |g, x, _| g * x.i1())
}

/// Returns `exp(-|x|) i0(x)`.
///
/// Source: <https://docs.pytorch.org/docs/stable/special.html#torch.special.i0e>
#[op("(input)", float, function, samples = ["T(3, 4, lo=0.2)", "T(lo=0.2)", "T(0, 2)", "I(3)"])]
pub fn special_i0e(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::I0e, x, |g, x, y| g * (x.i1e() - x.sign() * y))
}

/// Returns the modified Bessel function of the first kind and order one.
///
/// Source: <https://docs.pytorch.org/docs/stable/special.html#torch.special.i1>
#[op("(input)", float, function, samples = ["T(3, 4, lo=0.2)", "T(lo=0.2)", "T(0, 2)", "I(3)"])]
pub fn special_i1(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::I1, x, |g, x, y| {
        let (tiny, safe) = away_from_zero(x);
        g * tiny.select(0.5, x.i0() - y / safe)
    })
}

/// Returns `exp(-|x|) i1(x)`.
///
/// Source: <https://docs.pytorch.org/docs/stable/special.html#torch.special.i1e>
#[op("(input)", float, function, samples = ["T(3, 4, lo=0.2)", "T(lo=0.2)", "T(0, 2)", "I(3)"])]
pub fn special_i1e(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::I1e, x, |g, x, y| {
        let (tiny, safe) = away_from_zero(x);
        g * tiny.select(0.5, x.i0e() - y * (x.sign() + safe.reciprocal()))
    })
}

/// Whether `x` is so small that a quotient `y / x` has only its limit, and `x` with 1 in those places.
fn away_from_zero(x: Term<'_>) -> (Term<'_>, Term<'_>) {
    let tiny = x.abs().le(f64::EPSILON);
    (tiny, tiny.select(1.0, x))
}

/// `exp(-x²/2) / √(2π)`.
fn normal_density(x: Term<'_>) -> Term<'_> {
    (x.square() * -0.5).exp() * (FRAC_2_SQRT_PI * FRAC_1_SQRT_2 / 2.0)
}

/// Returns the distribution function of the standard normal distribution, `erfc(-x / √2) / 2`.
///
/// Source: <https://docs.pytorch.org/docs/stable/special.html#torch.special.ndtr>
#[op("(input)", float, function, samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3)"])]
pub fn special_ndtr(x: &Tensor) -> Result<Tensor> {
    compute([x], |[x]| (x * -FRAC_1_SQRT_2).erfc() * 0.5)?
        .with_grad([x], |s| derivative(s, [x], |g, [x], _| [g * normal_density(x)]))
}

/// Returns the quantile of the standard normal distribution: the inverse of its distribution function.
///
/// Source: <https://docs.pytorch.org/docs/stable/special.html#torch.special.ndtri>
#[op("(input)", float, function, samples = ["T(3, 4, lo=0.1, hi=0.9)", "T(lo=0.1, hi=0.9)", "T(0, 2)", "I(3, hi=2)"])]
pub fn special_ndtri(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::Ndtri, x, |g, _, y| g / normal_density(y))
}

/// Returns the logarithm of the distribution function of the standard normal distribution, accurate far below zero.
///
/// Source: <https://docs.pytorch.org/docs/stable/special.html#torch.special.log_ndtr>
#[op("(input)", float, function, samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3)"])]
pub fn special_log_ndtr(x: &Tensor) -> Result<Tensor> {
    // density / distribution, with the quotient taken among the logarithms: both vanish for small x.
    unary_with(UnOp::LogNdtr, x, |g, x, y| g * ((x.square() * -0.5 - y).exp() * (FRAC_2_SQRT_PI * FRAC_1_SQRT_2 / 2.0)))
}

/// Returns the entropy of each element, `-x log x`: 0 at 0, -∞ below.
///
/// Source: <https://docs.pytorch.org/docs/stable/special.html#torch.special.entr>
#[op("(input)", float, function, samples = ["T(3, 4, lo=0.2)", "T(lo=0.2)", "T(0, 2)", "I(3)"])]
pub fn special_entr(x: &Tensor) -> Result<Tensor> {
    compute([x], |[x]| {
        let inside = x.eq(0.0).select(0.0, -(x * x.log()));
        x.lt(0.0).select(f64::NEG_INFINITY, inside)
    })?
    .with_grad([x], |s| derivative(s, [x], |g, [x], _| [g * (-1.0 - x.log())]))
}

/// Returns `input * log(other)`: 0 where `input` is 0, unless `other` is NaN.
///
/// Source: <https://docs.pytorch.org/docs/stable/special.html#torch.special.xlogy>
#[op("(input, other)", float, inplace,
    samples = ["T(3, 4), T(3, 4, lo=0.5)", "T(2, 1), T(3, lo=0.5)", "T(), T(lo=0.5)", "T(0, 2), T(2)", "T(3), 2.5", "1.5, T(3, lo=0.5)", "I(3), I(3, lo=1)"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)")])]
pub fn xlogy(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    binary_with(BinOp::Xlogy, x, y, |g, [x, y], _| {
        let at_zero = x.eq(0.0).and(y.le(0.0));
        [at_zero.select(0.0, g.xlogy(y)), g * x / y]
    })
}

/// Returns `input * log(1 + other)`: 0 where `input` is 0, unless `other` is NaN.
///
/// Source: <https://docs.pytorch.org/docs/stable/special.html#torch.special.xlog1py>
#[op("(input, other)", float, function,
    samples = ["T(3, 4), T(3, 4, lo=-0.5)", "T(2, 1), T(3, lo=-0.5)", "T(), T(lo=-0.5)", "T(0, 2), T(2)", "T(3), 2.5", "I(3), I(3)"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)")])]
pub fn special_xlog1py(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    binary_with(BinOp::Xlog1py, x, y, |g, [x, y], _| {
        let at_zero = x.eq(0.0).and(y.le(-1.0));
        [at_zero.select(0.0, g * y.log1p()), g * x / (y + 1.0)]
    })
}

/// Returns Hurwitz's zeta function, `Σ (k + other)^(-input)` for `k` from 0. The derivative with respect to `input` is not implemented.
///
/// Source: <https://docs.pytorch.org/docs/stable/special.html#torch.special.zeta>
#[op("(input, other)", float, function, samples = ["I(3, lo=2, hi=5), T(3, lo=0.5)", "2.5, T(2, 3, lo=0.5)", "I(0), T(2, 1)", "I(3, lo=2), I(3, lo=1)"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)")])]
pub fn special_zeta(x: &Tensor, q: &Tensor) -> Result<Tensor> {
    binary(BinOp::Zeta, x, q)?.with_grad([x, q], |s| no_derivative_of_first(s, [x, q], |g, [x, q]| g * (-x * (x + 1.0).zeta(q))))
}

/// Returns the regularised lower incomplete gamma function P(`input`, `other`). The derivative with respect to `input` is not implemented.
///
/// Source: <https://docs.pytorch.org/docs/stable/special.html#torch.special.gammainc>
#[op("(input, other)", float_only, inplace,
    samples = ["I(3, lo=1, hi=5), T(3, lo=0.5)", "I(2, 1, lo=1), T(3, lo=0.5)", "I(0), T(2, 1)"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)"), ("I(3), I(3)", "not implemented for 'Long'")])]
pub fn igamma(a: &Tensor, x: &Tensor) -> Result<Tensor> {
    floats_only(&[a, x])?;
    binary(BinOp::Igamma, a, x)?.with_grad([a, x], |s| no_derivative_of_first(s, [a, x], |g, [a, x]| g * gamma_density(a, x)))
}

/// Returns the regularised upper incomplete gamma function Q(`input`, `other`) = 1 - P. The derivative with respect to `input` is not
/// implemented.
///
/// Source: <https://docs.pytorch.org/docs/stable/special.html#torch.special.gammaincc>
#[op("(input, other)", float_only, inplace,
    samples = ["I(3, lo=1, hi=5), T(3, lo=0.5)", "I(2, 1, lo=1), T(3, lo=0.5)", "I(0), T(2, 1)"],
    errors = [("T(3), T(4)", "must match the size of tensor b (4)"), ("I(3), I(3)", "not implemented for 'Long'")])]
pub fn igammac(a: &Tensor, x: &Tensor) -> Result<Tensor> {
    floats_only(&[a, x])?;
    binary(BinOp::Igammac, a, x)?.with_grad([a, x], |s| no_derivative_of_first(s, [a, x], |g, [a, x]| -(g * gamma_density(a, x))))
}

/// `x^(a-1) exp(-x) / Γ(a)`.
fn gamma_density<'a>(a: Term<'a>, x: Term<'a>) -> Term<'a> {
    ((a - 1.0).xlogy(x) - x - a.lgamma()).exp()
}

/// The derivative of a binary op that has one by its second input only, as in PyTorch.
fn no_derivative_of_first(
    s: &crate::autograd::Save,
    inputs: [&Tensor; 2],
    f: impl for<'a> FnOnce(Term<'a>, [Term<'a>; 2]) -> Term<'a>,
) -> crate::autograd::node::BackwardFn {
    if s.needs(0) {
        let op = crate::op::current_op().trim_start_matches("special_").trim_end_matches('_');
        return grad_fn(move |_, _| -> Result<[Option<Tensor>; 2]> {
            Err(Error::not_implemented(format!("the derivative for '{op}: input' is not implemented.")))
        });
    }
    derivative(s, inputs, |g, [x, y], _| [g, f(g, [x, y])])
}

/// Returns the logistic function of each element, `1 / (1 + exp(-x))`.
///
/// Source: <https://docs.pytorch.org/docs/stable/special.html#torch.special.expit>
#[op("(input)", float, inplace, samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3)"])]
pub fn sigmoid(x: &Tensor) -> Result<Tensor> {
    unary_with(UnOp::Sigmoid, x, |g, _, y| g * ((1.0 - y) * y))
}

/// Returns the inverse of the logistic function, `log(z / (1 - z))`, where `z` is `input`, clamped to `[eps, 1 - eps]` if `eps` is given.
///
/// Source: <https://docs.pytorch.org/docs/stable/special.html#torch.special.logit>
#[op("(input, eps=None)", float, inplace, samples = ["T(3, 4, lo=0.1, hi=0.9)", "T(lo=0.1, hi=0.9)", "T(0, 2)", "T(3, 4, lo=0.01, hi=0.99), 0.2", "I(3, hi=2), 1e-6"])]
pub fn logit(x: &Tensor, eps: Option<f64>) -> Result<Tensor> {
    compute([x], |[x]| {
        let z = match eps.map(|e| (e, beyond(x, e))) {
            None => x,
            Some((e, [below, above])) => below.select(e, above.select(1.0 - e, x)),
        };
        (z / (1.0 - z)).log()
    })?
    .with_grad([x], |s| {
        derivative(s, [x], |g, [x], _| {
            let [below, above] = beyond(x, eps.unwrap_or(0.0));
            let slope = g / (x * (1.0 - x));
            [below.or(above).select(if eps.is_some() { 0.0 } else { f64::NAN }, slope)]
        })
    })
}

/// Whether `x` lies below `eps`, and whether above `1 - eps`.
fn beyond(x: Term<'_>, eps: f64) -> [Term<'_>; 2] {
    [x.lt(eps), x.gt(1.0 - eps)]
}
