//! Integrals of samples by the trapezoidal rule.

use super::view::as_i64;
use super::*;

ops![trapezoid, cumulative_trapezoid];

const ONE: Scalar = Scalar::Int(1);

/// The elements along `d` but the last, and but the first.
fn ends(x: &Tensor, d: i64) -> Result<(Tensor, Tensor)> {
    let n = x.size(d) as i64 - 1;
    Ok((narrow(x, d, 0, n)?, narrow(x, d, 1, n)?))
}

/// Twice the areas between neighbouring samples of `y` along `d`.
fn doubled_areas(op: &str, y: &Tensor, x: Option<&Tensor>, dx: Scalar, d: i64) -> Result<Tensor> {
    let (before, after) = ends(y, d)?;
    let heights = add(&before, &after, ONE)?;
    let Some(x) = x else { return mul(&heights, &Tensor::wrapped_number(dx)) };
    let mut sizes: SmallVec<[i64; 6]> = SmallVec::from_elem(1, y.rank());
    let x = if x.rank() == 1 && y.rank() != 1 {
        if x.numel() != y.size(d) {
            return Err(Error::runtime(format!("{op}: There must be one `x` value for each sample point")));
        }
        sizes[d as usize] = -1;
        reshape(x, &sizes)?
    } else if x.rank() < y.rank() {
        let shape = as_i64(&x.shape());
        sizes.truncate(y.rank() - x.rank());
        sizes.extend(shape);
        reshape(x, &sizes)?
    } else {
        x.clone()
    };
    let (left, right) = ends(&x, d)?;
    mul(&sub(&right, &left, ONE)?, &heights)
}

fn checked_dim(y: &Tensor, dim: i64) -> Result<i64> {
    if y.rank() == 0 {
        return Err(Error::index(format!("Dimension specified as {dim} but tensor has no dimensions")));
    }
    Ok(super::dim(dim, y.rank())? as i64)
}

/// Returns the integral of the samples `y` along `dim` by the trapezoidal rule, at the places `x`, or `dx` apart.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.trapezoid.html>
#[op("(y, x=None, *, dx=1, dim=-1)", number, function, alias = ["trapz"],
    samples = ["T(5)", "T(3, 4), dim=0", "T(3, 4), T(4)", "T(3, 4), T(3, 4), dim=0", "T(4), dx=0.5", "T(1)", "I(4)", "I(4), dx=2"],
    errors = [("T(2, 3), T(2)", "trapezoid: There must be one `x` value for each sample point"), ("T()", "Dimension specified as -1 but tensor has no dimensions"), ("T(3), dim=1", "Dimension out of range")])]
pub fn trapezoid(y: &Tensor, x: Option<&Tensor>, dx: Scalar, dim: i64) -> Result<Tensor> {
    let d = checked_dim(y, dim)?;
    if y.size(d) == 0 {
        return sum_dim(&mul(y, &num(0.5))?, Some(&[d]), false, None);
    }
    div(&sum_dim(&doubled_areas("trapezoid", y, x, dx, d)?, Some(&[d]), false, None)?, &num(2.0), None)
}

/// Returns the running integral of the samples `y` along `dim` by the trapezoidal rule, at the places `x`, or `dx` apart; one element shorter than `y`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.cumulative_trapezoid.html>
#[op("(y, x=None, *, dx=1, dim=-1)", number, function, samples = ["T(5)", "T(3, 4), dim=0", "T(3, 4), T(4)", "T(3, 4), T(3, 4), dim=0", "T(4), dx=0.5", "T(2, 1)", "I(4)", "T(2, 0)"],
    errors = [("T(2, 3), T(2)", "There must be one `x` value for each sample point"), ("T()", "tensor has no dimensions")])]
pub fn cumulative_trapezoid(y: &Tensor, x: Option<&Tensor>, dx: Scalar, dim: i64) -> Result<Tensor> {
    let d = checked_dim(y, dim)?;
    if y.size(d) == 0 {
        return mul(y, &num(0.5));
    }
    div(&cumsum(&doubled_areas("cumulative_trapezoid", y, x, dx, d)?, d, None)?, &num(2.0), None)
}
