//! Distances and similarities of vectors, and the losses that rank them.

use super::formula::{compute, derivative};
use super::loss::Reduction;
use super::*;

ops![cosine_similarity, pairwise_distance, cosine_embedding_loss, hinge_embedding_loss, margin_ranking_loss, triplet_margin_loss];

const ONE: Scalar = Scalar::Int(1);

/// Returns the cosine of the angle between vectors along `dim`; lengths count as at least `eps`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.cosine_similarity.html>
#[op("(x1, x2, dim=1, eps=1e-08)", nn, float_only, samples = ["T(3, 4), T(3, 4)", "T(3, 4), T(4), 1", "T(3), T(3), 0, 5.0", "T(2, 3, 2), T(2, 3, 2), -1", "T(0, 3), T(0, 3)"],
    errors = [("T(3, 2), T(4, 2)", "The size of tensor a (3) must match the size of tensor b (4)"), ("T(3), T(3)", "Dimension out of range")])]
pub fn cosine_similarity(x1: &Tensor, x2: &Tensor, dim: i64, eps: f64) -> Result<Tensor> {
    floats_only(&[x1, x2])?;
    let common = broadcast(&x1.shape(), &x2.shape())?;
    let d = super::dim(dim, common.len())? as i64;
    let (x1, x2) = (expand_to(x1, &common)?, expand_to(x2, &common)?);
    let length = |x: &Tensor| -> Result<Tensor> {
        let y = vector_norm(x, Scalar::Int(2), Some(&[d]), true, None)?;
        where_(&ge(&y.detach(), &num(eps))?, &y, &num(eps))
    };
    // Both are scaled before they are multiplied: their product overflows before their cosine does.
    sum_dim(&mul(&div(&x1, &length(&x1)?, None)?, &div(&x2, &length(&x2)?, None)?)?, Some(&[d]), false, None)
}

/// Returns the `p`-norm of `x1 - x2 + eps` over the last dimension.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.pairwise_distance.html>
#[op("(x1, x2, p=2.0, eps=1e-06, keepdim=False)", nn, number, samples = ["T(3, 4), T(3, 4)", "T(3, 4), T(4), 1.0", "T(3), T(3), keepdim=True"],
    errors = [("T(3, 2), T(4, 2)", "The size of tensor a (3) must match the size of tensor b (4)")])]
pub fn pairwise_distance(x1: &Tensor, x2: &Tensor, p: f64, eps: f64, keepdim: bool) -> Result<Tensor> {
    vector_norm(&add(&sub(x1, x2, ONE)?, &num(eps), ONE)?, Scalar::Float(p), Some(&[-1]), keepdim, None)
}

/// Returns `1 - cos(input1, input2)` for targets 1 and `max(0, cos(input1, input2) - margin)` for targets -1, reduced.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.cosine_embedding_loss.html>
#[op("(input1, input2, target, margin=0.0, *, reduction='mean')", nn, float_only,
    samples = ["T(3, 4), T(3, 4), I(3, lo=1, hi=2)", "T(3, 4), T(3, 4), I(3, lo=-1, hi=0), -1.5, reduction='none'", "T(3), T(3), I(lo=1, hi=2), reduction='sum'"],
    errors = [("T(3, 2), T(4, 2), I(3)", "The size of tensor a (3) must match the size of tensor b (4)"),
        ("T(3, 2), T(3, 2), I(3, 2)", "0D or 1D target tensor expected, multi-target not supported"), ("T(3), T(3), I(3)", "1D target tensor expects 2D input tensors")])]
pub fn cosine_embedding_loss(x1: &Tensor, x2: &Tensor, target: &Tensor, margin: f64, reduction: &str) -> Result<Tensor> {
    let reduction = Reduction::parse(reduction)?;
    let rank = target.rank();
    if rank > 1 {
        return Err(Error::runtime(format!(
            "0D or 1D target tensor expected, multi-target not supported; it has shape {:?}",
            target.shape()
        )));
    }
    if x1.rank() != rank + 1 || x2.rank() != rank + 1 {
        return Err(Error::runtime(format!(
            "{rank}D target tensor expects {}D input tensors, but found inputs with sizes {:?} and {:?}.",
            rank + 1,
            x1.shape(),
            x2.shape()
        )));
    }
    const EPS: f64 = 1e-12;
    let over = |a: &Tensor, b: &Tensor| sum_dim(&mul(a, b)?, Some(&[rank as i64]), false, None);
    let square = |x: &Tensor| add(&over(x, x)?, &num(EPS), ONE);
    let cosine = div(&over(x1, x2)?, &sqrt(&mul(&square(x1)?, &square(x2)?)?)?, None)?;
    let t = target.detach();
    let loss = compute([&cosine, &t], |[c, t]| t.eq(1.0).select(1.0 - c, t.eq(-1.0).select((c - margin).max(0.0), 0.0)))?;
    let loss = loss.with_grad([&cosine, &t], |s| {
        derivative(s, [&cosine, &t], |g, [c, t], _| {
            let far = c.gt(margin).select(g, 0.0);
            [t.eq(1.0).select(-g, t.eq(-1.0).select(far, 0.0)), g * 0.0]
        })
    })?;
    reduction.of(loss)
}

/// Returns `input` for targets 1 and `max(0, margin - input)` for targets -1, reduced.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.hinge_embedding_loss.html>
#[op("(input, target, margin=1.0, *, reduction='mean')", nn, float_only,
    samples = ["T(3, 4), I(3, 4, lo=-1, hi=0)", "T(3), I(3, lo=1, hi=2), reduction='none'", "T(5), I(5, lo=-1, hi=2), 0.5, reduction='sum'"],
    errors = [("T(3), T(4)", "must match the size of tensor")])]
pub fn hinge_embedding_loss(x: &Tensor, target: &Tensor, margin: f64, reduction: &str) -> Result<Tensor> {
    let reduction = Reduction::parse(reduction)?;
    let t = target.detach();
    // As PyTorch: a target that is neither 1 nor -1 pays both.
    let loss = compute([x, &t], |[x, t]| t.eq(1.0).select(0.0, (margin - x).max(0.0)) + t.eq(-1.0).select(0.0, x))?.with_grad(
        [x, &t],
        |s| {
            derivative(s, [x, &t], |g, [x, t], _| {
                let below = x.lt(margin).select(-g, 0.0);
                [t.eq(1.0).select(0.0, below) + t.eq(-1.0).select(0.0, g), g * 0.0]
            })
        },
    )?;
    reduction.of(loss)
}

/// Returns `max(0, -target * (input1 - input2) + margin)`, reduced: with target 1 the first input should be the larger one.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.margin_ranking_loss.html>
#[op("(input1, input2, target, margin=0.0, *, reduction='mean')", nn, float_only,
    samples = ["T(3), T(3), I(3, lo=1, hi=2)", "T(3, 2), T(3, 2), I(3, 2, lo=-1, hi=0), 0.5, reduction='none'", "T(4), T(4), I(4, lo=1, hi=2), reduction='sum'"],
    errors = [("T(3), T(3), T(3, 1)", "margin_ranking_loss : All input tensors should have same dimension but got sizes")])]
pub fn margin_ranking_loss(x1: &Tensor, x2: &Tensor, target: &Tensor, margin: f64, reduction: &str) -> Result<Tensor> {
    let reduction = Reduction::parse(reduction)?;
    if x1.rank() != x2.rank() || x1.rank() != target.rank() {
        return Err(Error::runtime(format!(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: input1: torch.Size({:?}), input2: torch.Size({:?}), \
             target: torch.Size({:?}) ",
            x1.shape(),
            x2.shape(),
            target.shape()
        )));
    }
    let t = target.detach();
    let loss = compute([x1, x2, &t], |[a, b, t]| (margin - t * (a - b)).max(0.0))?.with_grad([x1, x2, &t], |s| {
        derivative(s, [x1, x2, &t], |g, [a, b, t], _| {
            let d = (t * (a - b)).lt(margin).select(g * t, 0.0);
            [-d, d, g * 0.0]
        })
    })?;
    reduction.of(loss)
}

/// Returns `max(0, d(anchor, positive) - d(anchor, negative) + margin)` with the distance [`pairwise_distance`], reduced. With `swap`, the
/// negative's distance is the smaller one of those from anchor and from positive.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.triplet_margin_loss.html>
#[op("(anchor, positive, negative, margin=1.0, p=2.0, eps=1e-06, swap=False, *, reduction='mean')", nn, float_only,
    samples = ["T(3, 4), T(3, 4), T(3, 4)", "T(3, 4), T(3, 4), T(3, 4), 0.5, 1.0, swap=True, reduction='none'", "T(4), T(4), T(4), reduction='sum'"],
    errors = [("T(3, 2), T(3), T(3, 2)", "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: anchor 2D, positive 1D, and negative 2D inputs"),
        ("T(3), T(3), T(3), -1.0", "margin must be greater than 0")])]
#[allow(clippy::too_many_arguments, reason = "PyTorch's signature")]
pub fn triplet_margin_loss(
    anchor: &Tensor,
    positive: &Tensor,
    negative: &Tensor,
    margin: f64,
    p: f64,
    eps: f64,
    swap: bool,
    reduction: &str,
) -> Result<Tensor> {
    let reduction = Reduction::parse(reduction)?;
    let (a, b, c) = (anchor.rank(), positive.rank(), negative.rank());
    if a != b || b != c {
        return Err(Error::runtime(format!(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: anchor {a}D, positive {b}D, and \
             negative {c}D inputs"
        )));
    }
    if margin <= 0.0 {
        return Err(Error::value(format!("margin must be greater than 0, got {margin}")));
    }
    let near = pairwise_distance(anchor, positive, p, eps, false)?;
    let far = pairwise_distance(anchor, negative, p, eps, false)?;
    let far = if swap { minimum(&far, &pairwise_distance(positive, negative, p, eps, false)?)? } else { far };
    let loss = compute([&near, &far], |[n, f]| (n - f + margin).max(0.0))?.with_grad([&near, &far], |s| {
        derivative(s, [&near, &far], |g, [n, f], _| {
            let d = (n - f + margin).gt(0.0).select(g, 0.0);
            [d, -d]
        })
    })?;
    reduction.of(loss)
}
