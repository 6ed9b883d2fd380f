//! Losses that compare element by element.
//!
//! Each is one formula, run in one pass, and its derivative another; then the loss is reduced as `reduction` says.

use super::formula::{compute, derivative};
use super::*;
use rushlight_kernels::backend::LossReduction;

ops![
    mse_loss,
    l1_loss,
    smooth_l1_loss,
    huber_loss,
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    kl_div,
    soft_margin_loss,
    gaussian_nll_loss,
    poisson_nll_loss,
    multilabel_soft_margin_loss
];

/// What becomes of the elements of a loss.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Reduction {
    /// They stay.
    None,
    /// Their mean.
    Mean,
    /// Their sum.
    Sum,
}

impl Reduction {
    pub(super) fn parse(name: &str) -> Result<Reduction> {
        match name {
            "none" => Ok(Reduction::None),
            "mean" => Ok(Reduction::Mean),
            "sum" => Ok(Reduction::Sum),
            _ => Err(Error::value(format!("{name} is not a valid value for reduction"))),
        }
    }
    /// As the kernels name it.
    pub(super) fn kernel(self) -> LossReduction {
        match self {
            Reduction::None => LossReduction::None,
            Reduction::Mean => LossReduction::Mean,
            Reduction::Sum => LossReduction::Sum,
        }
    }
    pub(super) fn of(self, loss: Tensor) -> Result<Tensor> {
        match self {
            Reduction::None => Ok(loss),
            Reduction::Mean => mean(&loss, None),
            Reduction::Sum => sum(&loss, None),
        }
    }
}

fn weighted(loss: Tensor, weight: Option<&Tensor>) -> Result<Tensor> {
    weight.map_or(Ok(loss.clone()), |w| mul(&loss, w))
}

/// Returns the squared difference of `input` and `target`, times `weight`, reduced.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.mse_loss.html>
#[op("(input, target, *, reduction='mean', weight=None)", nn, samples = ["T(3, 4), T(3, 4)", "T(3, 4), T(4), reduction='none'", "T(3), T(3), reduction='sum'", "T(0), T(0), reduction='sum'", "T(3), T(3), weight=T(3)"],
    errors = [("T(3), T(4)", "The size of tensor a (3) must match the size of tensor b (4)"), ("T(3), T(3), reduction='x'", "x is not a valid value for reduction")])]
pub fn mse_loss(x: &Tensor, target: &Tensor, reduction: &str, weight: Option<&Tensor>) -> Result<Tensor> {
    let reduction = Reduction::parse(reduction)?;
    let loss = compute([x, target], |[x, t]| (x - t).square())?.with_grad([x, target], |s| {
        derivative(s, [x, target], |g, [x, t], _| {
            let d = g * (x - t) * 2.0;
            [d, -d]
        })
    })?;
    if reduction == Reduction::Mean
        && let Some(w) = weight
    {
        // The mean is a weighted one.
        return div(&sum(&mul(&loss, w)?, None)?, &sum(&expand_to(w, &loss.shape())?, None)?, None);
    }
    reduction.of(weighted(loss, weight)?)
}

/// Returns the absolute difference of `input` and `target`, reduced.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.l1_loss.html>
#[op("(input, target, *, reduction='mean')", nn, samples = ["T(3, 4), T(3, 4)", "T(3, 4), T(4), reduction='none'", "T(3), T(3), reduction='sum'", "T(0), T(0), reduction='sum'"],
    errors = [("T(3), T(4)", "The size of tensor a (3) must match the size of tensor b (4)"), ("T(3), T(3), reduction='x'", "x is not a valid value for reduction")])]
pub fn l1_loss(x: &Tensor, target: &Tensor, reduction: &str) -> Result<Tensor> {
    let reduction = Reduction::parse(reduction)?;
    let loss = compute([x, target], |[x, t]| (x - t).abs())?.with_grad([x, target], |s| {
        derivative(s, [x, target], |g, [x, t], _| {
            let d = g * (x - t).sign();
            [d, -d]
        })
    })?;
    reduction.of(loss)
}

/// A loss that is `near(d)` for differences `|d|` below `edge`, and a line of slope `slope` outside.
fn elbow(x: &Tensor, target: &Tensor, edge: f64, slope: f64) -> Result<Tensor> {
    // 0.5 d² slope / edge inside; outside slope (|d| - edge / 2).
    compute([x, target], |[x, t]| {
        let d = (x - t).abs();
        d.lt(edge).select(d * d * (0.5 * slope / edge), (d - 0.5 * edge) * slope)
    })?
    .with_grad([x, target], |s| {
        derivative(s, [x, target], |g, [x, t], _| {
            let d = x - t;
            let slope = d.abs().lt(edge).select(d * (slope / edge), d.sign() * slope) * g;
            [slope, -slope]
        })
    })
}

/// Returns `0.5 d² / beta` where the difference d of `input` and `target` is below `beta`, else `|d| - 0.5 beta`, reduced.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.smooth_l1_loss.html>
#[op("(input, target, *, reduction='mean', beta=1.0)", nn, samples = ["T(3, 4), T(3, 4)", "T(3, 4), T(4), reduction='none', beta=0.5", "T(3), T(3), reduction='sum', beta=0.0", "T(0), T(0), reduction='sum'"],
    errors = [("T(3), T(4)", "The size of tensor a (3) must match the size of tensor b (4)"),
        ("T(3), T(3), beta=-1.0", "smooth_l1_loss does not support negative values for beta.")])]
pub fn smooth_l1_loss(x: &Tensor, target: &Tensor, reduction: &str, beta: f64) -> Result<Tensor> {
    if beta < 0.0 {
        return Err(Error::runtime(format!("smooth_l1_loss does not support negative values for beta. It is {beta}")));
    }
    if beta == 0.0 {
        return l1_loss(x, target, reduction);
    }
    let reduction = Reduction::parse(reduction)?;
    reduction.of(elbow(x, target, beta, 1.0)?)
}

/// Returns `0.5 d²` where the difference d of `input` and `target` is below `delta`, else `delta (|d| - 0.5 delta)`, reduced.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.huber_loss.html>
#[op("(input, target, reduction='mean', delta=1.0)", nn, samples = ["T(3, 4), T(3, 4)", "T(3, 4), T(4), 'none', 0.5", "T(3), T(3), 'sum', 2.0", "T(0), T(0), 'sum'"],
    errors = [("T(3), T(4)", "The size of tensor a (3) must match the size of tensor b (4)"),
        ("T(3), T(3), delta=0.0", "huber_loss does not support non-positive values for delta.")])]
pub fn huber_loss(x: &Tensor, target: &Tensor, reduction: &str, delta: f64) -> Result<Tensor> {
    if delta <= 0.0 {
        return Err(Error::runtime(format!("huber_loss does not support non-positive values for delta. It is {delta}")));
    }
    let reduction = Reduction::parse(reduction)?;
    reduction.of(elbow(x, target, delta, delta)?)
}

/// A probability that is none.
fn in_unit_range(name: &str, t: &Tensor) -> Result<()> {
    let t = t.detach();
    let inside = logical_and(&ge(&t, &num(0i64))?, &le(&t, &num(1i64))?)?;
    if all(&inside)?.try_item::<bool>()? {
        Ok(())
    } else {
        Err(Error::runtime(format!("all elements of {name} should be between 0 and 1")))
    }
}

/// Returns `-(target log(input) + (1 - target) log(1 - input))`, times `weight`, reduced; the logarithms stop at -100.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.binary_cross_entropy.html>
#[op("(input, target, weight=None, *, reduction='mean')", nn, float_only,
    samples = ["T(3, 4, lo=0.1, hi=0.9), T(3, 4, lo=0.1, hi=0.9)", "T(3, lo=0.1, hi=0.9), T(3, lo=0.1, hi=0.9), T(3), reduction='none'",
        "T(2, 3, lo=0.1, hi=0.9), T(2, 3, lo=0.1, hi=0.9), T(3), reduction='sum'", "T(0), T(0), reduction='none'"],
    errors = [("T(3, lo=0, hi=1), T(4, lo=0, hi=1)", "Using a target size (torch.Size([4])) that is different to the input size (torch.Size([3])) is deprecated."),
        ("T(3, lo=2, hi=3), T(3, lo=0, hi=1)", "all elements of input should be between 0 and 1"), ("T(3, lo=0, hi=1), I(3)", "Found dtype Long but expected Float")])]
pub fn binary_cross_entropy(x: &Tensor, target: &Tensor, weight: Option<&Tensor>, reduction: &str) -> Result<Tensor> {
    let reduction = Reduction::parse(reduction)?;
    if x.shape() != target.shape() {
        return Err(Error::value(format!(
            "Using a target size (torch.Size({:?})) that is different to the input size (torch.Size({:?})) is deprecated. Please ensure they have the same size.",
            target.shape(),
            x.shape()
        )));
    }
    if x.dtype() != target.dtype() {
        let name = |t: &Tensor| t.dtype().scalar_type_name();
        return Err(Error::runtime(format!("Found dtype {} but expected {}", name(target), name(x))));
    }
    in_unit_range("input", x)?;
    in_unit_range("target", target)?;
    let loss = compute([x, target], |[x, t]| (t - 1.0) * (-x).log1p().max(-100.0) - t * x.log().max(-100.0))?;
    let loss = loss.with_grad([x, target], |s| {
        derivative(s, [x, target], |g, [x, t], _| {
            [g * (x - t) / (x * (-x + 1.0)).max(1e-12), g * ((-x).log1p().max(-100.0) - x.log().max(-100.0))]
        })
    })?;
    reduction.of(weighted(loss, weight)?)
}

/// Returns the binary cross entropy of `sigmoid(input)` and `target`, computed without overflow, times `weight`, reduced. `pos_weight` multiplies
/// what the positive examples cost.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.binary_cross_entropy_with_logits.html>
#[op("(input, target, weight=None, *, reduction='mean', pos_weight=None)", nn, float_only,
    samples = ["T(3, 4), T(3, 4, lo=0, hi=1)", "T(3), T(3, lo=0, hi=1), T(3), reduction='none'",
        "T(2, 3), T(2, 3, lo=0, hi=1), reduction='sum', pos_weight=T(3, lo=0.5)", "T(0), T(0), reduction='sum'"],
    errors = [("T(3), T(4)", "Target size (torch.Size([4])) must be the same as input size (torch.Size([3]))")])]
pub fn binary_cross_entropy_with_logits(
    x: &Tensor,
    target: &Tensor,
    weight: Option<&Tensor>,
    reduction: &str,
    pos_weight: Option<&Tensor>,
) -> Result<Tensor> {
    let reduction = Reduction::parse(reduction)?;
    if x.shape() != target.shape() {
        return Err(Error::value(format!(
            "Target size (torch.Size({:?})) must be the same as input size (torch.Size({:?}))",
            target.shape(),
            x.shape()
        )));
    }
    // -log(sigmoid(x)) is max(-x, 0) + log(1 + exp(-|x|)).
    let loss = match pos_weight {
        None => compute([x, target], |[x, t]| (1.0 - t) * x + (-x).max(0.0) + (-x.abs()).exp().log1p())?
            .with_grad([x, target], |s| derivative(s, [x, target], |g, [x, t], _| [g * (x.sigmoid() - t), -(g * x)]))?,
        Some(p) => compute([x, target, p], |[x, t, p]| {
            (1.0 - t) * x + (1.0 + (p - 1.0) * t) * ((-x).max(0.0) + (-x.abs()).exp().log1p())
        })?
        .with_grad([x, target, p], |s| {
            derivative(s, [x, target, p], |g, [x, t, p], _| {
                let cost = (-x).max(0.0) + (-x.abs()).exp().log1p();
                [g * ((1.0 - t) - (1.0 + (p - 1.0) * t) * (-x).sigmoid()), g * ((p - 1.0) * cost - x), g * t * cost]
            })
        })?,
    };
    reduction.of(weighted(loss, weight)?)
}

/// Returns the Kullback-Leibler divergence `target (log(target) - input)` of `target` from `exp(input)`, reduced. With `log_target` the target
/// holds logarithms too. The reduction 'batchmean' is the sum over the size of the first dimension.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.kl_div.html>
#[op("(input, target, *, reduction='mean', log_target=False)", nn, float_only,
    samples = ["T(3, 4), T(3, 4, lo=0.1, hi=1)", "T(3, 4), T(4), reduction='batchmean', log_target=True", "T(3), T(3, lo=0.1, hi=1), reduction='none'", "T(3), T(3), reduction='sum', log_target=True"],
    errors = [("T(3), T(4)", "must match the size of tensor"), ("T(3), T(3), reduction='foo'", "foo is not a valid value for reduction")])]
pub fn kl_div(x: &Tensor, target: &Tensor, reduction: &str, log_target: bool) -> Result<Tensor> {
    let batch = reduction == "batchmean";
    let reduction = Reduction::parse(if batch { "sum" } else { reduction })?;
    let loss = if log_target {
        compute([x, target], |[x, t]| t.exp() * (t - x))?.with_grad([x, target], |s| {
            derivative(s, [x, target], |g, [x, t], _| {
                let p = g * t.exp();
                [-p, p * (t - x + 1.0)]
            })
        })?
    } else {
        sub(&xlogy(target, target)?, &mul(target, x)?, Scalar::Int(1))?
    };
    let loss = reduction.of(loss)?;
    if batch && x.rank() > 0 { div(&loss, &num(x.size(0) as i64), None) } else { Ok(loss) }
}

/// Returns `log(1 + exp(-target * input))` for targets 1 and -1, reduced.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.soft_margin_loss.html>
#[op("(input, target, *, reduction='mean')", nn, float_only, samples = ["T(3, 4), T(3, 4)", "T(3), T(3), reduction='none'", "T(0), T(0), reduction='sum'"],
    errors = [("T(3), T(2)", "The size of tensor a (3) must match the size of tensor b (2)")])]
pub fn soft_margin_loss(x: &Tensor, target: &Tensor, reduction: &str) -> Result<Tensor> {
    let reduction = Reduction::parse(reduction)?;
    let loss = compute([x, target], |[x, t]| {
        let z = x * t;
        (-z).max(0.0) + (-z.abs()).exp().log1p()
    })?
    .with_grad([x, target], |s| {
        derivative(s, [x, target], |g, [x, t], _| {
            let d = -(g * (-(x * t)).sigmoid());
            [d * t, d * x]
        })
    })?;
    reduction.of(loss)
}

/// Returns `0.5 (log(var) + (input - target)² / var)`, with `var` at least `eps`, plus `0.5 log(2π)` if `full`, reduced. `var` has input's shape,
/// or that without the last dimension, or size one there.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.gaussian_nll_loss.html>
#[op("(input, target, var, full=False, eps=1e-06, reduction='mean')", nn, float_only,
    samples = ["T(3, 4), T(3, 4), T(3, 4, lo=0.5)", "T(3, 4), T(3, 4), T(3, lo=0.5), True", "T(3, 2), T(3, 2), T(3, 1, lo=0.5), reduction='none'"],
    errors = [("T(3, 2), T(3, 2), T(4, lo=0.5)", "var is of incorrect size"), ("T(3), T(3), T(3, lo=-2, hi=-1)", "var has negative entry/entries")])]
pub fn gaussian_nll_loss(x: &Tensor, target: &Tensor, var: &Tensor, full: bool, eps: f64, reduction: &str) -> Result<Tensor> {
    let (a, v) = (x.shape(), var.shape());
    let lead = &a[..a.len().saturating_sub(1)];
    let var = &if a == v {
        var.clone()
    } else if lead == v.as_slice() {
        unsqueeze(var, -1)?
    } else if v.len() == a.len() && v.last() == Some(&1) && lead == &v[..v.len() - 1] {
        var.clone()
    } else {
        return Err(Error::value(format!("var is of incorrect size: it is {v:?}, the input {a:?}")));
    };
    let reduction = Reduction::parse(reduction)?;
    if any(&lt(&var.detach(), &num(0i64))?)?.try_item::<bool>()? {
        return Err(Error::value("var has negative entry/entries"));
    }
    // Raising var to eps is no part of what is differentiated.
    let loss = compute([x, target, var], |[x, t, v]| {
        let v = v.max(eps);
        0.5 * (v.log() + (x - t).square() / v)
    })?
    .with_grad([x, target, var], |s| {
        derivative(s, [x, target, var], |g, [x, t, v], _| {
            let (d, v) = (x - t, v.max(eps));
            let slope = g * d / v;
            [slope, -slope, 0.5 * g * (1.0 / v - (d / v).square())]
        })
    })?;
    let loss = if full { add(&loss, &num(0.5 * (2.0 * std::f64::consts::PI).ln()), Scalar::Int(1))? } else { loss };
    reduction.of(loss)
}

/// Returns the negative log likelihood of counts `target` under Poisson distributions, reduced: `exp(input) - target input` if `log_input`, else
/// `input - target log(input + eps)`. With `full`, Stirling's approximation of `log(target!)` is added for targets above 1.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.poisson_nll_loss.html>
#[op("(input, target, log_input=True, full=False, *, eps=1e-08, reduction='mean')", nn, float_only,
    samples = ["T(3, 4), T(3, 4, lo=0)", "T(3, lo=0.5), T(3, lo=0), False", "T(3), T(3, lo=1.5, hi=4), True, True, reduction='none'"],
    errors = [("T(3), T(4)", "must match the size of tensor")])]
pub fn poisson_nll_loss(x: &Tensor, target: &Tensor, log_input: bool, full: bool, eps: f64, reduction: &str) -> Result<Tensor> {
    let reduction = Reduction::parse(reduction)?;
    let loss = if log_input {
        compute([x, target], |[x, t]| x.exp() - t * x)?
            .with_grad([x, target], |s| derivative(s, [x, target], |g, [x, t], _| [g * (x.exp() - t), -(g * x)]))?
    } else {
        compute([x, target], |[x, t]| x - t * (x + eps).log())?.with_grad([x, target], |s| {
            derivative(s, [x, target], |g, [x, t], _| [g * (1.0 - t / (x + eps)), -(g * (x + eps).log())])
        })?
    };
    if !full {
        return reduction.of(loss);
    }
    let stirling =
        compute([target], |[t]| t.gt(1.0).select(t * t.log() - t + 0.5 * (t * (2.0 * std::f64::consts::PI)).log(), 0.0))?
            .with_grad([target], |s| derivative(s, [target], |g, [t], _| [t.gt(1.0).select(g * (t.log() + 0.5 / t), 0.0)]))?;
    reduction.of(add(&loss, &stirling, Scalar::Int(1))?)
}

/// Returns the mean over classes (the last dimension) of the binary cross entropy of `sigmoid(input)` and `target`, times `weight`, reduced.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.multilabel_soft_margin_loss.html>
#[op("(input, target, weight=None, *, reduction='mean')", nn, float_only,
    samples = ["T(3, 4), T(3, 4, lo=0, hi=1)", "T(2, 3), T(2, 3, lo=0, hi=1), T(3), reduction='none'"],
    errors = [("T(3), T(4)", "Target size (torch.Size([4])) must be the same as input size (torch.Size([3]))")])]
pub fn multilabel_soft_margin_loss(x: &Tensor, target: &Tensor, weight: Option<&Tensor>, reduction: &str) -> Result<Tensor> {
    let reduction = Reduction::parse(reduction)?;
    let loss = binary_cross_entropy_with_logits(x, target, weight, "none", None)?;
    reduction.of(mean_dim(&loss, Some(&[-1]), false, None)?)
}
