//! Geometry: distances between all pairs of points, cross products.

use super::linalg::mt;
use super::view::as_i64;
use super::*;
use crate::autograd::grad_fn;
use crate::no_grad;

ops![cdist, cross, linalg_cross];

const ONE: Scalar = Scalar::Int(1);
/// Up to as many points on each side, 2-norms are taken of differences; beyond, a matrix product is so much faster that PyTorch, too, accepts what it loses in
/// digits.
const FEW_POINTS: usize = 25;

/// The differences of all pairs of rows, `[batch…, p, r, m]`.
fn pairs(x1: &Tensor, x2: &Tensor) -> Result<Tensor> {
    sub(&unsqueeze(x1, -2)?, &unsqueeze(x2, -3)?, ONE)
}

/// Euclidean distances, without history.
fn euclidean(x1: &Tensor, x2: &Tensor, by_product: bool) -> Result<Tensor> {
    let _guard = no_grad();
    if !by_product {
        return vector_norm(&pairs(x1, x2)?, Scalar::Int(2), Some(&[-1]), false, None);
    }
    let lengths = |x: &Tensor| sum_dim(&square(x)?, Some(&[-1]), true, None);
    let squares = add(&lengths(x1)?, &mt(&lengths(x2)?)?, ONE)?;
    let product = matmul(x1, &mt(x2)?)?;
    sqrt(&clamp_min(&sub(&squares, &product, Scalar::Int(2))?, &num(0i64))?)
}

/// Returns the `p`-norms of the differences of all pairs of rows: `[…, p, r]` for `x1` `[…, p, m]` and `x2` `[…, r, m]`. `compute_mode` says whether
/// Euclidean distances may be computed by a matrix product: 'use_mm_for_euclid_dist_if_necessary' (from 25 rows on), 'use_mm_for_euclid_dist',
/// 'donot_use_mm_for_euclid_dist'.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.cdist.html>
#[op("(x1, x2, p=2.0, compute_mode=None)", wide, function,
    samples = ["T(3, 4), T(2, 4)", "T(2, 3, 4), T(5, 4)", "T(3, 2), T(4, 2), 1.0", "T(3, 2), T(4, 2), inf", "T(3, 2), T(4, 2), 3.0", "T(3, 2), T(4, 2), 0.0",
        "T(3, 4), T(2, 4), 2.0, 'use_mm_for_euclid_dist'", "T(0, 4), T(2, 4)", "T(3, 0), T(2, 0)", "T(3, 4), T(2, 4), compute_mode='donot_use_mm_for_euclid_dist'"],
    errors = [("T(3), T(2, 3)", "cdist only supports at least 2D tensors, X1 got: 1D"), ("T(2, 3), T(2, 4)", "X1 and X2 must have the same number of columns. X1: 3 X2: 4"),
        ("T(2, 3), T(2, 3), -1.0", "cdist only supports non-negative p values"), ("T(2, 3), T(2, 3), compute_mode='foo'", "foo is not a valid value for compute_mode"),
        ("I(2, 3), I(2, 3)", "cdist only supports floating-point dtypes, X1 got: Long"), ("T(2, 3, dtype=float32), T(2, 3, dtype=float64)", "expected scalar type Float but found Double")])]
pub fn cdist(x1: &Tensor, x2: &Tensor, p: f64, compute_mode: Option<&str>) -> Result<Tensor> {
    for (name, x) in [("X1", x1), ("X2", x2)] {
        if x.rank() < 2 {
            return Err(Error::runtime(format!("cdist only supports at least 2D tensors, {name} got: {}D", x.rank())));
        }
        if !x.dtype().is_float() {
            let name_ = x.dtype().scalar_type_name();
            return Err(Error::runtime(format!("cdist only supports floating-point dtypes, {name} got: {name_}")));
        }
    }
    if x1.size(-1) != x2.size(-1) {
        return Err(Error::runtime(format!(
            "X1 and X2 must have the same number of columns. X1: {} X2: {}",
            x1.size(-1),
            x2.size(-1)
        )));
    }
    if p.is_nan() || p < 0.0 {
        return Err(Error::runtime("cdist only supports non-negative p values"));
    }
    let many = x1.size(-2) > FEW_POINTS || x2.size(-2) > FEW_POINTS;
    let by_product = match compute_mode {
        None | Some("use_mm_for_euclid_dist_if_necessary") => many,
        Some("use_mm_for_euclid_dist") => true,
        Some("donot_use_mm_for_euclid_dist") => false,
        Some(other) => return Err(Error::value(format!("{other} is not a valid value for compute_mode"))),
    };
    if x1.dtype() != x2.dtype() {
        let (a, b) = (x1.dtype().scalar_type_name(), x2.dtype().scalar_type_name());
        return Err(Error::runtime(format!("expected scalar type {a} but found {b}")));
    }
    if !matches!(x1.dtype(), DType::F32 | DType::F64) {
        return Err(unsupported(x1.dtype()));
    }
    if p != 2.0 {
        return vector_norm(&pairs(x1, x2)?, Scalar::Float(p), Some(&[-1]), false, None);
    }
    euclidean(&x1.detach(), &x2.detach(), by_product)?.with_grad([x1, x2], |s| {
        let (s1, s2, sy) = (s.input(x1), s.input(x2), s.output());
        grad_fn(move |c, g| {
            // The sum over pairs of w (x1 - x2) with w = g / distance, and 0 where points meet.
            let y = sy.get(c)?;
            let meet = eq(&y.detach(), &num(0i64))?;
            let w = where_(&meet, &num(0i64), &div(g, &where_(&meet, &num(1i64), &y)?, None)?)?;
            let toward = |w: &Tensor, from: &Tensor, to: &Tensor| -> Result<Tensor> {
                sub(&mul(from, &sum_dim(w, Some(&[-1]), true, None)?)?, &matmul(w, to)?, ONE)
            };
            let (a, b) = (s1.get(c)?, s2.get(c)?);
            let ga = c.needs(0).then(|| toward(&w, &a, &b)).transpose()?;
            let gb = c.needs(1).then(|| toward(&mt(&w)?, &b, &a)).transpose()?;
            Ok([ga, gb])
        })
    })
}

/// The cross product along `d`, where both have three elements.
fn cross_along(x: &Tensor, other: &Tensor, d: i64) -> Result<Tensor> {
    let shape = broadcast(&x.shape(), &other.shape())?;
    let (x, other) = (expand(x, &as_i64(&shape))?, expand(other, &as_i64(&shape))?);
    let turned = |t: &Tensor, by: i64| roll(t, &[by], &[d]);
    sub(&mul(&turned(&x, -1)?, &turned(&other, -2)?)?, &mul(&turned(&x, -2)?, &turned(&other, -1)?)?, ONE)
}

/// Returns the cross products of the vectors of three elements along `dim`; the other dimensions broadcast.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.linalg.cross.html>
#[op("(input, other, *, dim=-1)", number, function, samples = ["T(3), T(3)", "T(2, 3), T(1, 3)", "T(3, 2), T(3, 2), dim=0", "T(0, 3), T(0, 3)", "I(2, 3), I(2, 3)"],
    errors = [("T(2, 2), T(2, 2)", "linalg.cross: inputs dimension -1 must have length 3. Got 2 and 2"), ("T(2, 3), T(3)", "linalg.cross: inputs must have the same number of dimensions."),
        ("T(2, 3), T(4, 3)", "must match the size"), ("T(3), T(3), dim=1", "Dimension out of range")])]
pub fn linalg_cross(x: &Tensor, other: &Tensor, dim: i64) -> Result<Tensor> {
    if x.rank() != other.rank() {
        return Err(Error::runtime(format!(
            "linalg.cross: inputs must have the same number of dimensions. Got {} and {}",
            x.rank(),
            other.rank()
        )));
    }
    let d = super::dim(dim, x.rank())? as i64;
    let (a, b) = (x.size(d), other.size(d));
    if a != 3 || b != 3 {
        return Err(Error::runtime(format!("linalg.cross: inputs dimension {dim} must have length 3. Got {a} and {b}")));
    }
    cross_along(x, other, d)
}

/// As `linalg.cross`, by default along the first dimension of three elements.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.cross.html>
#[op("(input, other, dim=None)", number, samples = ["T(3), T(3)", "T(3, 2), T(3, 2)", "T(3, 3), T(3, 3), 1", "T(1, 3), T(2, 3), -1"],
    errors = [("T(2, 2), T(2, 2)", "no dimension of size 3 in input"), ("T(2, 3), T(3, 2), 1", "inputs dimension 1 must have length 3. Got 3 and 2")])]
pub fn cross(x: &Tensor, other: &Tensor, dim: Option<i64>) -> Result<Tensor> {
    let dim = match dim {
        Some(dim) => dim,
        None => x.shape().iter().position(|&n| n == 3).ok_or_else(|| Error::runtime("no dimension of size 3 in input"))? as i64,
    };
    linalg_cross(x, other, dim)
}
