//! Activation functions.
//!
//! Those that PyTorch has only in `torch.nn.functional` are no methods. Its argument `inplace=True` calls the twin with the underscore.

use super::formula::{Term, compute, derivative, unary_with};
use super::*;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

ops![
    relu,
    relu6,
    leaky_relu,
    prelu,
    rrelu,
    elu,
    selu,
    celu,
    gelu,
    silu,
    mish,
    softplus,
    softsign,
    tanhshrink,
    hardshrink,
    softshrink,
    hardtanh,
    hardsigmoid,
    hardswish,
    logsigmoid,
    threshold,
    glu
];

/// `y(x)` on floats, with its derivative: `slope(g, x)` is the gradient of `x`.
fn activate(
    x: &Tensor,
    y: impl for<'a> FnOnce(Term<'a>) -> Term<'a>,
    slope: impl for<'a> FnOnce(Term<'a>, Term<'a>) -> Term<'a>,
) -> Result<Tensor> {
    floats_only(&[x])?;
    compute([x], |[x]| y(x))?.with_grad([x], |s| derivative(s, [x], |g, [x], _| [slope(g, x)]))
}

/// Returns the positive part of each element, `max(0, x)`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.relu.html>
#[op("(input)", number, inplace, samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3, lo=-5)"], errors = [("B(3)", "Boolean inputs not supported for relu")])]
pub fn relu(x: &Tensor) -> Result<Tensor> {
    if x.dtype() == DType::Bool {
        return Err(Error::not_implemented("Boolean inputs not supported for relu"));
    }
    unary_with(UnOp::Relu, x, |g, _, y| y.le(0.0).select(0.0, g))
}

/// Returns `min(max(0, x), 6)`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.relu6.html>
#[op("(input)", nn, number, inplace, samples = ["T(3, 4, lo=-3, hi=9)", "T()", "T(0, 2)", "I(3, lo=-5)"], errors = [("B(3)", "not implemented for 'Bool'")])]
pub fn relu6(x: &Tensor) -> Result<Tensor> {
    hardtanh(x, 0.0, 6.0)
}

/// Returns `x` where it is positive, `negative_slope * x` elsewhere.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.leaky_relu.html>
#[op("(input, negative_slope=0.01)", nn, float_only, inplace, samples = ["T(3, 4)", "T()", "T(0, 2)", "T(3), 0.3"],
    errors = [("I(3)", "not implemented for 'Long'")])]
pub fn leaky_relu(x: &Tensor, negative_slope: f64) -> Result<Tensor> {
    activate(x, |x| x.leaky(negative_slope), |g, x| x.gt(0.0).select(g, g * negative_slope))
}

/// Returns `x` where it is positive, `weight * x` elsewhere. `weight` has one element, or one for each channel (dimension 1 of `input`).
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.prelu.html>
#[op("(input, weight)", float_only, samples = ["T(3, 4), T(1)", "T(2, 3, 2), T(3)", "T(), T()", "T(0, 2), T(2)", "T(3), T()"],
    errors = [("T(3), T(2)", "Mismatch of parameter numbers and input channel size. Found parameter numbers = 2 and channel size = 1."),
        ("T(2, 3), T(3, 1)", "prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = 2")])]
pub fn prelu(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    floats_only(&[x])?;
    if x.dtype() != weight.dtype() {
        return Err(Error::runtime(format!(
            "prelu: Type promoting not supported. Got {} and {}",
            x.dtype().scalar_type_name(),
            weight.dtype().scalar_type_name()
        )));
    }
    if weight.rank() > 1 {
        return Err(Error::runtime(format!(
            "prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {}",
            weight.rank()
        )));
    }
    let (shape, count) = (x.shape(), weight.numel());
    let channels = if shape.len() > 1 { shape[1] } else { 1 };
    if weight.rank() == 1 && count != 1 && count != channels {
        return Err(Error::runtime(format!(
            "Mismatch of parameter numbers and input channel size. Found parameter numbers = {count} and channel size = {channels}."
        )));
    }
    // The weight stands along dimension 1.
    let mut along = vec![1; shape.len()];
    if shape.len() > 1 {
        along[1] = count as i64;
    }
    let weight = &reshape(weight, &along)?;
    compute([x, weight], |[x, w]| x.gt(0.0).select(x, w * x))?.with_grad([x, weight], |s| {
        derivative(s, [x, weight], |g, [x, w], _| {
            let positive = x.gt(0.0);
            [positive.select(g, w * g), positive.select(0.0, x * g)]
        })
    })
}

/// Returns `x` where it is positive, and elsewhere `x` times a slope: drawn uniformly from `[lower, upper)` for each element while
/// `training`, else the mean of the two.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.rrelu.html>
#[op("(input, lower=0.125, upper=0.3333333333333333, training=False)", nn, float_only, random, inplace,
    samples = ["T(3, 4)", "T()", "T(0, 2)", "T(3), 0.1, 0.2", "T(3), 0.2, 0.2, True"],
    errors = [("T(3), 0.5, 0.1", "Lower bound should be less than or equal to the upper bound"), ("I(3)", "not implemented for 'Long'")])]
pub fn rrelu(x: &Tensor, lower: f64, upper: f64, training: bool) -> Result<Tensor> {
    if !(lower.is_finite() && upper.is_finite()) {
        return Err(Error::runtime(format!("rrelu: lower and upper bounds must be finite, got {lower} and {upper}")));
    }
    if lower > upper {
        return Err(Error::runtime("Lower bound should be less than or equal to the upper bound"));
    }
    if !training || lower == upper {
        return leaky_relu(x, (lower + upper) / 2.0);
    }
    floats_only(&[x])?;
    let draw = rushlight_kernels::backend::RandomOp::Uniform { low: lower, high: upper };
    let generator = crate::Generator::default_cpu();
    let slope = storage::compute(Layout::contiguous(&x.shape()), x.dtype(), &[], |_, out| {
        backend().random(draw, &mut generator.lock(), out)
    })?;
    let slope = &Tensor::from_data(slope);
    compute([x, slope], |[x, r]| x.gt(0.0).select(x, x * r))?
        .with_grad([x, slope], |s| derivative(s, [x, slope], |g, [x, r], _| [x.gt(0.0).select(g, g * r), g]))
}

/// `scale * x` where `x` is positive, `scale * alpha * (exp(stretch * x) - 1)` elsewhere.
fn exponential_unit(x: &Tensor, alpha: f64, scale: f64, stretch: f64) -> Result<Tensor> {
    activate(
        x,
        |x| x.le(0.0).select((x * stretch).expm1() * (alpha * scale), x * scale),
        |g, x| x.le(0.0).select(g * (x * stretch).exp() * (alpha * scale * stretch), g * scale),
    )
}

/// Returns `x` where it is positive, `alpha * (exp(x) - 1)` elsewhere.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.elu.html>
#[op("(input, alpha=1.0)", nn, float_only, inplace, samples = ["T(3, 4)", "T()", "T(0, 2)", "T(3), 0.5"], errors = [("I(3)", "not implemented for 'Long'")])]
pub fn elu(x: &Tensor, alpha: f64) -> Result<Tensor> {
    exponential_unit(x, alpha, 1.0, 1.0)
}

/// Returns `scale * elu(x, alpha)` with the `scale` (1.0507…) and `alpha` (1.6733…) that keep mean and variance through layers
/// (Klambauer et al., 2017).
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.selu.html>
#[op("(input)", nn, float_only, inplace, samples = ["T(3, 4)", "T()", "T(0, 2)"], errors = [("I(3)", "not implemented for 'Long'")])]
pub fn selu(x: &Tensor) -> Result<Tensor> {
    exponential_unit(x, 1.673_263_242_354_377_2, 1.050_700_987_355_480_5, 1.0)
}

/// Returns `max(0, x) + min(0, alpha * (exp(x / alpha) - 1))`: elu with a continuous derivative.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.celu.html>
#[op("(input, alpha=1.0)", nn, float_only, inplace, samples = ["T(3, 4)", "T()", "T(0, 2)", "T(3), 0.5"],
    errors = [("T(3), 0.0", "ZeroDivisionError: alpha cannot be 0 for CELU"), ("I(3)", "not implemented for 'Long'")])]
pub fn celu(x: &Tensor, alpha: f64) -> Result<Tensor> {
    if alpha == 0.0 {
        return Err(Error::runtime("ZeroDivisionError: alpha cannot be 0 for CELU"));
    }
    exponential_unit(x, alpha, 1.0, 1.0 / alpha)
}

/// Returns `x Φ(x)`, where Φ is the normal distribution function; with `approximate='tanh'`, `x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.gelu.html>
#[op("(input, *, approximate='none')", nn, float_only, inplace, samples = ["T(3, 4)", "T()", "T(0, 2)", "T(3, 4), approximate='tanh'"],
    errors = [("T(3), approximate='erf'", "approximate argument must be either none or tanh."), ("I(3)", "not implemented for 'Long'")])]
pub fn gelu(x: &Tensor, approximate: &str) -> Result<Tensor> {
    floats_only(&[x])?;
    match approximate {
        "none" => unary_with(UnOp::Gelu, x, |g, x, _| {
            let density = (x.square() * -0.5).exp() * (FRAC_2_SQRT_PI * FRAC_1_SQRT_2 / 2.0);
            g * ((x * -FRAC_1_SQRT_2).erfc() * 0.5 + x * density)
        }),
        // With (1 + tanh u) / 2 = sigmoid(2u) =: s, the derivative is s + x s (1 - s) (2u)'.
        "tanh" => unary_with(UnOp::GeluTanh, x, |g, x, _| {
            let (k, cubic) = (2.0 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2, 0.044715);
            let s = (k * x * (1.0 + cubic * x.square())).sigmoid();
            g * (s + x * s * (1.0 - s) * (k * (1.0 + 3.0 * cubic * x.square())))
        }),
        _ => Err(Error::runtime("approximate argument must be either none or tanh.")),
    }
}

/// Returns `x * sigmoid(x)`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.silu.html>
#[op("(input)", nn, float_only, inplace, samples = ["T(3, 4)", "T()", "T(0, 2)"], errors = [("I(3)", "not implemented for 'Long'")])]
pub fn silu(x: &Tensor) -> Result<Tensor> {
    floats_only(&[x])?;
    unary_with(UnOp::Silu, x, |g, x, _| {
        let s = x.sigmoid();
        g * s * (1.0 + x * (1.0 - s))
    })
}

/// Returns `x * tanh(softplus(x))`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.mish.html>
#[op("(input)", nn, float_only, inplace, samples = ["T(3, 4)", "T()", "T(0, 2)"], errors = [("I(3)", "not implemented for 'Long'")])]
pub fn mish(x: &Tensor) -> Result<Tensor> {
    activate(
        x,
        |x| x * x.softplus().tanh(),
        |g, x| {
            let t = x.softplus().tanh();
            g * (t + x * x.sigmoid() * (1.0 - t.square()))
        },
    )
}

/// Returns `log(1 + exp(beta * x)) / beta`, and `x` itself where `beta * x` is above `threshold`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softplus.html>
#[op("(input, beta=1.0, threshold=20.0)", nn, float_only, samples = ["T(3, 4)", "T()", "T(0, 2)", "T(3), 2.0, 1.0", "T(3, lo=15, hi=30)"],
    errors = [("I(3)", "not implemented for 'Long'")])]
pub fn softplus(x: &Tensor, beta: f64, threshold: f64) -> Result<Tensor> {
    activate(
        x,
        |x| {
            let z = x * beta;
            z.gt(threshold).select(x, z.softplus() / beta)
        },
        |g, x| {
            let z = x * beta;
            z.gt(threshold).select(g, g * z.sigmoid())
        },
    )
}

/// Returns `x / (1 + |x|)`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softsign.html>
#[op("(input)", nn, float, samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3)"])]
pub fn softsign(x: &Tensor) -> Result<Tensor> {
    compute([x], |[x]| x / (x.abs() + 1.0))?.with_grad([x], |s| derivative(s, [x], |g, [x], _| [g / (x.abs() + 1.0).square()]))
}

/// Returns `x - tanh(x)`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.tanhshrink.html>
#[op("(input)", nn, float, samples = ["T(3, 4)", "T()", "T(0, 2)", "I(3)"])]
pub fn tanhshrink(x: &Tensor) -> Result<Tensor> {
    compute([x], |[x]| x - x.tanh())?.with_grad([x], |s| derivative(s, [x], |g, [x], _| [g * x.tanh().square()]))
}

/// Returns 0 where `|x| <= lambd`, `x` elsewhere.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.hardshrink.html>
#[op("(input, lambd=0.5)", float_only, samples = ["T(3, 4)", "T()", "T(0, 2)", "T(3), 1.0"], errors = [("I(3)", "not implemented for 'Long'")])]
pub fn hardshrink(x: &Tensor, lambd: f64) -> Result<Tensor> {
    activate(x, |x| within(x, lambd).select(0.0, x), |g, x| within(x, lambd).select(0.0, g))
}

fn within(x: Term<'_>, lambd: f64) -> Term<'_> {
    x.ge(-lambd).and(x.le(lambd))
}

/// Returns `x` moved towards 0 by `lambd`, and 0 where `|x| <= lambd`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softshrink.html>
#[op("(input, lambd=0.5)", nn, float_only, samples = ["T(3, 4)", "T()", "T(0, 2)", "T(3), 1.0"],
    errors = [("T(3), -1.0", "lambda must be greater or equal to 0, but found to be -1"), ("I(3)", "not implemented for 'Long'")])]
pub fn softshrink(x: &Tensor, lambd: f64) -> Result<Tensor> {
    if lambd.is_nan() || lambd < 0.0 {
        return Err(Error::runtime(format!("lambda must be greater or equal to 0, but found to be {lambd}.")));
    }
    // x·0 and not 0 in between: NaN stays.
    activate(
        x,
        |x| x.gt(lambd).select(x - lambd, x.lt(-lambd).select(x + lambd, x * 0.0)),
        |g, x| within(x, lambd).select(0.0, g),
    )
}

/// Returns `x` limited to `[min_val, max_val]`; its gradient is 0 at the ends and beyond.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.hardtanh.html>
#[op("(input, min_val=-1.0, max_val=1.0)", nn, number, inplace, samples = ["T(3, 4)", "T()", "T(0, 2)", "T(3), -0.3, 0.7", "I(3, lo=-5)"],
    errors = [("T(3), 1.0, -1.0", "min_val cannot be greater than max_val"), ("B(3)", "not implemented for 'Bool'")])]
pub fn hardtanh(x: &Tensor, min_val: f64, max_val: f64) -> Result<Tensor> {
    if min_val > max_val {
        return Err(Error::value("min_val cannot be greater than max_val"));
    }
    let dtype = x.dtype();
    let mut k = Pointwise::new();
    // An unsigned dtype has no numbers below 0 to limit.
    let least = if dtype.is_signed() { min_val } else { min_val.max(0.0) };
    let (a, lo, hi) = (k.input(x), k.constant(least, dtype), k.constant(max_val, dtype));
    let r = k.tern(TernOp::Clamp, a, lo, hi)?;
    k.run(r)?.with_grad([x], |s| derivative(s, [x], |g, [x], _| [x.le(min_val).or(x.ge(max_val)).select(0.0, g)]))
}

/// Returns `min(max(0, x + 3), 6) / 6`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.hardsigmoid.html>
#[op("(input)", nn, float_only, inplace, samples = ["T(3, 4, lo=-5, hi=5)", "T()", "T(0, 2)"], errors = [("I(3)", "not implemented for 'Long'")])]
pub fn hardsigmoid(x: &Tensor) -> Result<Tensor> {
    floats_only(&[x])?;
    unary_with(UnOp::Hardsigmoid, x, |g, x, _| x.gt(-3.0).and(x.lt(3.0)).select(g / 6.0, 0.0))
}

/// Returns `x * min(max(0, x + 3), 6) / 6`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.hardswish.html>
#[op("(input)", nn, float_only, inplace, samples = ["T(3, 4, lo=-5, hi=5)", "T()", "T(0, 2)"], errors = [("I(3)", "not implemented for 'Long'")])]
pub fn hardswish(x: &Tensor) -> Result<Tensor> {
    floats_only(&[x])?;
    unary_with(UnOp::Hardswish, x, |g, x, _| x.le(-3.0).select(0.0, x.lt(3.0).select(g * (x / 3.0 + 0.5), g)))
}

/// Returns `log(sigmoid(x))`, without overflow or cancellation.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.logsigmoid.html>
#[op("(input)", nn, float_only, samples = ["T(3, 4)", "T()", "T(0, 2)"], errors = [("I(3)", "not implemented for 'Long'")])]
pub fn logsigmoid(x: &Tensor) -> Result<Tensor> {
    floats_only(&[x])?;
    unary_with(UnOp::LogSigmoid, x, |g, x, _| g * (-x).sigmoid())
}

/// Returns `x` where it is above `threshold`, `value` elsewhere; NaN stays.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.threshold.html>
#[op("(input, threshold, value)", nn, number, inplace, samples = ["T(3, 4), 0.1, 7.0", "T(), 0, 1", "T(0, 2), 0, 1", "I(3), 4, -1"],
    errors = [("B(3), 0, 1", "not implemented for 'Bool'")])]
pub fn threshold(x: &Tensor, limit: Scalar, value: Scalar) -> Result<Tensor> {
    let dtype = x.dtype();
    if dtype == DType::Bool {
        return Err(unsupported(dtype));
    }
    let mut k = Pointwise::new();
    let (a, t, v) = (k.input(x), k.constant(limit, dtype), k.constant(value, dtype));
    let below = k.bin(BinOp::Le, a, t)?;
    let r = k.tern(TernOp::Where, below, v, a)?;
    let t = limit.to_f64();
    k.run(r)?.with_grad([x], |s| derivative(s, [x], |g, [x], _| [x.le(t).select(0.0, g)]))
}

/// Returns `a * sigmoid(b)`, where `a` and `b` are the halves of `input` along `dim`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.glu.html>
#[op("(input, dim=-1)", nn, float_only, samples = ["T(3, 4)", "T(4, 3), 0", "T(2, 6, 2), 1", "T(0, 2)", "T(2, 0)"],
    errors = [("T(3)", "Halving dimension must be even, but dimension 0 is size 3"), ("T()", "glu does not support scalars because halving size must be even"),
        ("T(2), 1", "Dimension out of range"), ("I(2)", "not implemented for 'Long'")])]
pub fn glu(x: &Tensor, dim: i64) -> Result<Tensor> {
    floats_only(&[x])?;
    if x.rank() == 0 {
        return Err(Error::runtime("glu does not support scalars because halving size must be even"));
    }
    let dim = super::dim(dim, x.rank())?;
    let size = x.shape()[dim];
    if !size.is_multiple_of(2) {
        return Err(Error::runtime(format!("Halving dimension must be even, but dimension {dim} is size {size}")));
    }
    let half = (size / 2) as i64;
    let (a, b) = (&narrow(x, dim as i64, 0, half)?, &narrow(x, dim as i64, half, half)?);
    compute([a, b], |[a, b]| a * b.sigmoid())?.with_grad([a, b], |s| {
        derivative(s, [a, b], |g, [a, b], _| {
            let gate = b.sigmoid();
            [g * gate, g * a * gate * (1.0 - gate)]
        })
    })
}
