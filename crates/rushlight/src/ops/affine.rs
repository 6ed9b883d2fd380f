//! Sums with a matrix product: `beta * input + alpha * product`, in one pass where the product is one call of the backend.
//!
//! In all of them `input` is not read where `beta` is zero: not even its NaNs reach the result.

use super::linalg::{affine, check_bias, check_bmm, check_mm, check_mv, relabel, same_dtype, times, vector};
use super::*;

ops![addmm, baddbmm, addmv, addbmm, addr];

/// Returns `beta * input + alpha * mat1 @ mat2` for matrices `mat1` `[n, m]` and `mat2` `[m, p]`; `input` broadcasts to `[n, p]`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.addmm.html>
#[op("(input, mat1, mat2, *, beta=1, alpha=1)", number, inplace,
    samples = ["T(2, 4), T(2, 3), T(3, 4)", "T(4), T(2, 3), T(3, 4)", "T(), T(2, 3), T(3, 4), beta=0.5, alpha=2", "T(2, 4), T(2, 3), T(3, 4), beta=0",
        "T(2, 3), T(2, 0), T(0, 3)", "T(0, 3), T(0, 2), T(2, 3)", "I(2, 2), I(2, 3), I(3, 2), beta=2"],
    errors = [("T(2, 4), T(2, 3), T(4, 4)", "addmm: mat1 and mat2 shapes cannot be multiplied (2x3 and 4x4)"),
        ("T(3), T(2, 3), T(3, 4)", "The expanded size of the tensor (4) must match the existing size (3) at non-singleton dimension 1"),
        ("T(2, 4, dtype=float64), T(2, 3), T(3, 4)", "self and mat2 must have the same dtype, but got Double and Float")])]
pub fn addmm(x: &Tensor, mat1: &Tensor, mat2: &Tensor, beta: Scalar, alpha: Scalar) -> Result<Tensor> {
    check_mm("addmm", mat1, mat2)?;
    check_bias(x, mat2, &[mat1.shape()[0], mat2.shape()[1]])?;
    affine(mat1, mat2, alpha, Some((x, beta)))
}

/// Returns `beta * input + alpha * batch1 @ batch2` for batches `[b, n, m]` and `[b, m, p]`; `input` broadcasts to `[b, n, p]`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.baddbmm.html>
#[op("(input, batch1, batch2, *, beta=1, alpha=1)", number, inplace,
    samples = ["T(2, 2, 4), T(2, 2, 3), T(2, 3, 4)", "T(4), T(2, 2, 3), T(2, 3, 4), beta=0.5, alpha=2", "T(2, 2, 2), T(2, 2, 3), T(2, 3, 2), beta=0",
        "T(0, 2, 2), T(0, 2, 3), T(0, 3, 2)"],
    errors = [("T(1, 2, 4), T(1, 2, 3), T(2, 3, 4)", "Expected size for first two dimensions of batch2 tensor to be: [1, 3] but got: [2, 3]."),
        ("T(3), T(1, 2, 3), T(1, 3, 4)", "The expanded size of the tensor (4) must match the existing size (3) at non-singleton dimension 2")])]
pub fn baddbmm(x: &Tensor, batch1: &Tensor, batch2: &Tensor, beta: Scalar, alpha: Scalar) -> Result<Tensor> {
    check_bmm(batch1, batch2)?;
    let shape = batch1.shape();
    check_bias(x, batch2, &[shape[0], shape[1], batch2.shape()[2]])?;
    affine(batch1, batch2, alpha, Some((x, beta)))
}

/// Returns `beta * input + alpha * mat @ vec` for `mat` `[n, m]` and `vec` `[m]`; `input` broadcasts to `[n]`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.addmv.html>
#[op("(input, mat, vec, *, beta=1, alpha=1)", number, inplace,
    samples = ["T(2), T(2, 3), T(3)", "T(1), T(2, 3), T(3), beta=0.5, alpha=2", "T(2), T(2, 3), T(3), beta=0", "T(2), T(2, 0), T(0)"],
    errors = [("T(5), T(2, 3), T(3)", "size mismatch, got input (5), mat (2x3), vec (3)"),
        ("T(2), T(3), T(3)", "vector + matrix @ vector expected, got 1, 1, 1")])]
pub fn addmv(x: &Tensor, mat: &Tensor, vec: &Tensor, beta: Scalar, alpha: Scalar) -> Result<Tensor> {
    check_mv(&mat.shape(), &vec.shape(), x.numel())?;
    same_dtype(mat, vec)?;
    let n = mat.shape()[0];
    check_bias(x, mat, &[n])?;
    let column = if x.rank() == 0 { x.clone() } else { unsqueeze(x, -1)? };
    relabel(affine(mat, &unsqueeze(vec, 1)?, alpha, Some((&column, beta)))?, &[n])
}

/// Returns `beta * input + alpha * (sum of the products batch1[i] @ batch2[i])`; `input` broadcasts to `[n, p]`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.addbmm.html>
#[op("(input, batch1, batch2, *, beta=1, alpha=1)", number, inplace,
    samples = ["T(2, 4), T(3, 2, 3), T(3, 3, 4)", "T(4), T(2, 2, 3), T(2, 3, 4), beta=0.5, alpha=2", "T(2, 2), T(2, 2, 3), T(2, 3, 2), beta=0",
        "T(2, 2), T(0, 2, 3), T(0, 3, 2)", "I(2, 2), I(2, 2, 3), I(2, 3, 2), beta=1.6, alpha=2.6"],
    errors = [("T(2, 2), T(2, 2, 3), T(3, 3, 2)", "Expected size for first two dimensions of batch2 tensor to be: [2, 3] but got: [3, 3]."),
        ("T(3), T(1, 2, 3), T(1, 3, 4)", "The expanded size of the tensor (4) must match the existing size (3) at non-singleton dimension 1")])]
pub fn addbmm(x: &Tensor, batch1: &Tensor, batch2: &Tensor, beta: Scalar, alpha: Scalar) -> Result<Tensor> {
    check_bmm(batch1, batch2)?;
    check_bias(x, batch2, &[batch1.shape()[1], batch2.shape()[2]])?;
    let products = sum_dim(&affine(batch1, batch2, alpha, None)?, Some(&[0]), false, Some(x.dtype()))?;
    // A factor of integers is one itself: what stands behind its point is dropped, as the other products do.
    let beta = if x.dtype().is_float() { beta } else { Scalar::Int(beta.to_i64()) };
    add_to(x, beta, &products)
}

/// Returns `beta * input + alpha * outer(vec1, vec2)`; `input` broadcasts to `[n, m]`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.addr.html>
#[op("(input, vec1, vec2, *, beta=1, alpha=1)", any, inplace,
    samples = ["T(3, 2), T(3), T(2)", "T(2), T(3), T(2), beta=0.5, alpha=2", "T(3, 2), T(3), T(2), beta=0", "T(0, 2), T(0), T(2)",
        "I(3, 2), I(3), I(2), beta=3", "B(3, 2), B(3), B(2), beta=3, alpha=2", "B(3, 2), B(3), B(2), alpha=0"],
    errors = [("T(2, 2), T(3), T(2)", "The expanded size of the tensor (3) must match the existing size (2) at non-singleton dimension 0"),
        ("T(2, 2), T(2, 2), T(2)", "addr: Expected 1-D argument vec1, but got 2-D"),
        ("I(2, 2), I(2), I(2), beta=0.5", "For integral input tensors, argument beta must not be a floating point number."),
        ("I(2, 2), I(2), I(2), alpha=0.5", "For integral input tensors, argument alpha must not be a floating point number.")])]
pub fn addr(x: &Tensor, vec1: &Tensor, vec2: &Tensor, beta: Scalar, alpha: Scalar) -> Result<Tensor> {
    for (name, t) in [("vec1", vec1), ("vec2", vec2)] {
        vector("addr", name, t)?;
    }
    check_bias(x, x, &[vec1.numel(), vec2.numel()])?;
    let common = promote::result_type(&[x, vec1, vec2]);
    let factor = |name: &str, s: Scalar| match s {
        // Of bools, sums and products are "or" and "and".
        _ if common == DType::Bool => Ok(Scalar::Bool(s.to_f64() != 0.0)),
        Scalar::Float(_) if !common.is_float() => {
            Err(Error::runtime(format!("For integral input tensors, argument {name} must not be a floating point number.")))
        }
        _ => Ok(s),
    };
    let (beta, alpha) = (factor("beta", beta)?, factor("alpha", alpha)?);
    add_to(x, beta, &times(&mul(&unsqueeze(vec1, 1)?, vec2)?, alpha)?)
}

/// `beta * x + y`.
fn add_to(x: &Tensor, beta: Scalar, y: &Tensor) -> Result<Tensor> {
    if beta.to_f64() == 0.0 { Ok(y.clone()) } else { add(y, &times(x, beta)?, Scalar::Int(1)) }
}
