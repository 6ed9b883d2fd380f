//! Factorisations: Cholesky, QR, symmetric eigenvalues, singular values; and what is composed of each.

use super::dense::*;
use super::linalg::mt;
use super::solve::first_failure;
use super::*;
use crate::autograd::{grad_fn_many, record};
use rushlight_kernels::backend::DenseOp;

ops![
    linalg_cholesky,
    linalg_cholesky_ex,
    cholesky_solve,
    cholesky_inverse,
    linalg_qr,
    linalg_eigh,
    linalg_eigvalsh,
    linalg_svd,
    linalg_svdvals,
    svd
];

/// `(x + xᵀ) / 2`.
fn symmetric_part(x: &Tensor) -> Result<Tensor> {
    mul(&add(x, &mt(x)?, ONE)?, &num(0.5))
}

/// L with `a = L Lᵀ`, and the order of the first leading minor that is not positive. The gradient of `a` is symmetric.
fn lower_factor(a: &Tensor) -> Result<[Tensor; 2]> {
    let n = a.size(-1);
    let outs = factorise(DenseOp::Cholesky, &[a], [(&[n, n], a.dtype()), (&[], DType::I32)])?;
    record(&outs, &[a], |s| {
        let sl = s.output_at(0);
        grad_fn_many(move |c, g| {
            let Some(g) = &g[0] else { return Ok([None]) };
            // The symmetric part of L⁻ᵀ Φ L⁻¹, where Φ is the lower triangle of Lᵀ g with half its diagonal.
            let l = sl.get(c)?;
            let phi = scale_diagonal(&tril(&matmul(&mt(&l)?, g)?, 0)?, 0.5)?;
            Ok([Some(symmetric_part(&triangular_right(&l, &triangular(&mt(&l)?, &phi, true, false)?, false, false)?)?)])
        })
    })?;
    Ok(outs)
}

/// Returns the Cholesky factors of symmetric positive definite matrices: lower triangular L with `A = L Lᵀ`, or with `upper` its transpose. Only one triangle
/// of `A` is read.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.linalg.cholesky.html>
#[op("(A, *, upper=False)", wide, function, samples = ["S(3, 3)", "S(2, 2, 2)", "S(3, 3), upper=True", "T(0, 0)", "T(1, 1, lo=1, hi=2)", "T(0, 2, 2)"],
    errors = [("T(2, 2, lo=-1, hi=-1)", "linalg.cholesky: The factorization could not be completed because the input is not positive-definite (the leading minor of order 1 is not positive-definite)."),
        ("T(2, 2, 2, lo=-1, hi=-1)", "linalg.cholesky: (Batch element 0): "), ("T(2, 3)", "linalg.cholesky: A must be batches of square matrices, but they are 2 by 3 matrices"),
        ("T(3)", "linalg.cholesky: The input tensor A must have at least 2 dimensions"), ("T(2, 2, dtype=float16)", "\"cholesky_cpu\" not implemented for 'Half'"),
        ("I(2, 2)", "linalg.cholesky: Expected a floating point or complex tensor as input. Got Long")])]
pub fn linalg_cholesky(a: &Tensor, upper: bool) -> Result<Tensor> {
    Ok(linalg_cholesky_ex(a, upper, true)?.0)
}

/// As `linalg_cholesky`, and `info`: 0, or the order of the first leading minor that is not positive, which is an error only if `check_errors`; the factor is
/// unfinished then.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.linalg.cholesky_ex.html>
#[op("(A, *, upper=False, check_errors=False)", returns = ["L", "info"], wide, function, samples = ["S(3, 3)", "S(2, 2, 2), upper=True"],
    errors = [("T(2, 2, lo=-1, hi=-1), check_errors=True", "the input is not positive-definite"), ("T(2, 3)", "A must be batches of square matrices")])]
pub fn linalg_cholesky_ex(a: &Tensor, upper: bool, check_errors: bool) -> Result<(Tensor, Tensor)> {
    square_side("linalg.cholesky", "cholesky_cpu", a)?;
    let [l, info] = lower_factor(&if upper { mt(a)? } else { a.clone() })?;
    if check_errors && let Some((place, order)) = first_failure(&info)? {
        return Err(Error::linalg(format!(
            "linalg.cholesky: {place}The factorization could not be completed because the input is not positive-definite (the leading minor of order {order} is not positive-definite)."
        )));
    }
    Ok((if upper { mt(&l)? } else { l }, info))
}

/// Returns the solution X of `A X = input` from the Cholesky factor `L` of A; with `upper` the upper one.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.cholesky_solve.html>
#[op("(input, L, upper=False)", wide, samples = ["T(3, 2), S(3, 3)", "T(2, 3, 1), S(3, 3), True", "T(0, 2), T(0, 0)"],
    errors = [("T(3, 1), T(2, 2)", "Incompatible matrix sizes for cholesky_solve: each A matrix is 2 by 2 but each b matrix is 3 by 1"),
        ("T(2), T(2, 2)", "b should have at least 2 dimensions, but has 1 dimensions instead")])]
pub fn cholesky_solve(b: &Tensor, l: &Tensor, upper: bool) -> Result<Tensor> {
    check_system("cholesky_solve", "cholesky_solve_cpu", b, l)?;
    let (l, b) = same_batch(&if upper { mt(l)? } else { l.clone() }, b)?;
    triangular(&mt(&l)?, &triangular(&l, &b, false, false)?, true, false)
}

/// Returns the inverses of the matrices whose Cholesky factors are `L`; with `upper` the upper ones.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.cholesky_inverse.html>
#[op("(L, upper=False)", wide, samples = ["S(3, 3)", "S(2, 2, 2), True", "T(0, 0)"],
    errors = [("T(2, 3)", "cholesky_inverse: A must be batches of square matrices, but they are 2 by 3 matrices")])]
pub fn cholesky_inverse(l: &Tensor, upper: bool) -> Result<Tensor> {
    square_side("cholesky_inverse", "cholesky_inverse_out_cpu", l)?;
    cholesky_solve(&identity_like(l)?, l, upper)
}

/// `x` with its upper triangles below the diagonals too, mirrored.
fn mirrored_lower(x: &Tensor) -> Result<Tensor> {
    add(&tril(x, 0)?, &mt(&tril(x, -1)?)?, ONE)
}

/// The gradient of `A = Q R`, where A has at least as many rows as columns: `(gQ + Q M) R⁻ᵀ`, with M the lower triangle of `R gRᵀ - gQᵀ Q`, mirrored.
fn qr_gradient(gq: Option<&Tensor>, gr: Option<&Tensor>, q: &Tensor, r: &Tensor) -> Result<Tensor> {
    let from_r = gr.map(|gr| matmul(r, &mt(gr)?)).transpose()?;
    let from_q = gq.map(|gq| matmul(&mt(gq)?, q)).transpose()?;
    let m = match (from_r, from_q) {
        (Some(a), Some(b)) => sub(&a, &b, ONE)?,
        (Some(a), None) => a,
        (None, Some(b)) => neg(&b)?,
        (None, None) => zeros_like(r, None)?,
    };
    let mut inner = matmul(q, &mirrored_lower(&m)?)?;
    if let Some(gq) = gq {
        inner = add(&inner, gq, ONE)?;
    }
    triangular_right(&mt(r)?, &inner, false, false)
}

/// Returns Q and R with `A = Q R`, Q with orthonormal columns and R upper triangular. `mode`: 'reduced', 'complete' (Q is square), or 'r' (R alone; Q is
/// empty).
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.linalg.qr.html>
#[op("(A, mode='reduced')", returns = ["Q", "R"], wide, function,
    samples = ["T(3, 3)", "T(4, 2)", "T(2, 2, 3)", "T(3, 3), 'complete'", "T(2, 3), 'complete'", "T(0, 2)", "T(1, 1)"],
    errors = [("T(3, 2), 'foo'", "qr received unrecognized mode 'foo' but expected one of 'reduced' (default), 'r', or 'complete'"), ("T(2)", "linalg.qr: The input tensor A must have at least 2 dimensions"),
        ("T(2, 2, dtype=float16)", "\"geqrf_cpu\" not implemented for 'Half'")])]
pub fn linalg_qr(a: &Tensor, mode: &str) -> Result<(Tensor, Tensor)> {
    let (m, n) = matrices("linalg.qr", "geqrf_cpu", "A", a)?;
    let k = m.min(n);
    let columns = match mode {
        "reduced" | "r" => k,
        "complete" => m,
        _ => {
            return Err(Error::runtime(format!(
                "qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'"
            )));
        }
    };
    let [mut q, r] = factorise(DenseOp::Qr, &[a], [(&[m, columns], a.dtype()), (&[columns, n], a.dtype())])?;
    let only_r = mode == "r";
    if only_r {
        q = filled(&[0], Scalar::Int(0), a.dtype())?;
    }
    let outs = [q, r];
    record(&outs, &[a], |s| {
        let (sa, sq, sr) = (s.input(a), s.output_at(0), s.output_at(1));
        grad_fn_many(move |c, g| {
            if only_r {
                return Err(Error::runtime(
                    "The derivative of linalg.qr depends on Q, which is not computed when mode='r'. Please use linalg.qr(A, mode='reduced') if you are going to require gradients.",
                ));
            }
            if columns > k {
                return Err(Error::runtime("The QR decomposition is not differentiable when mode='complete' and nrows > ncols"));
            }
            let (q, r) = (sq.get(c)?, sr.get(c)?);
            if m >= n {
                return Ok([Some(qr_gradient(g[0].as_ref(), g[1].as_ref(), &q, &r)?)]);
            }
            // A = [X Y] and R = [U V]: X = Q U, and V = Qᵀ Y.
            let (k, rest) = (m as i64, (n - m) as i64);
            let u = narrow(&r, -1, 0, k)?;
            let Some(gr) = &g[1] else {
                let gx = qr_gradient(g[0].as_ref(), None, &q, &u)?;
                return Ok([Some(pad(&gx, &[0, rest], "constant", None)?)]);
            };
            let (gu, gv) = (narrow(gr, -1, 0, k)?, narrow(gr, -1, k, rest)?);
            let mut gq = matmul(&narrow(&sa.get(c)?, -1, k, rest)?, &mt(&gv)?)?;
            if let Some(g) = &g[0] {
                gq = add(&gq, g, ONE)?;
            }
            let gx = qr_gradient(Some(&gq), Some(&gu), &q, &u)?;
            Ok([Some(cat(&[gx, matmul(&q, &gv)?], -1)?)])
        })
    })?;
    let [q, r] = outs;
    Ok((q, r))
}

/// `values[j] - values[i]` in row i and column j, and one on the diagonal.
fn differences(values: &Tensor) -> Result<Tensor> {
    let d = sub(&unsqueeze(values, -2)?, &unsqueeze(values, -1)?, ONE)?;
    add(&d, &eye(values.size(-1) as i64, None, Some(values.dtype()))?, ONE)
}

/// Returns the eigenvalues of symmetric matrices in rising order, and their eigenvectors as columns. Only the triangle `UPLO` ('L' or 'U') of `A` is read. The
/// derivative of an eigenvector needs its eigenvalue to be simple.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.linalg.eigh.html>
#[op("(A, UPLO='L')", returns = ["eigenvalues", "eigenvectors"], wide, function, samples = ["S(3, 3)", "S(2, 2, 2)", "S(3, 3), 'U'", "T(0, 0)", "T(1, 1)", "T(0, 2, 2)"],
    errors = [("T(2, 3)", "linalg.eigh: A must be batches of square matrices, but they are 2 by 3 matrices"), ("T(2, 2), 'X'", "Expected UPLO argument to be 'L' or 'U', but got X"),
        ("T(2, 2, dtype=float16)", "\"linalg_eigh_cpu\" not implemented for 'Half'"), ("T(2)", "must have at least 2 dimensions")])]
pub fn linalg_eigh(a: &Tensor, uplo: &str) -> Result<(Tensor, Tensor)> {
    let n = square_side("linalg.eigh", "linalg_eigh_cpu", a)?;
    let read = match uplo {
        "L" | "l" => a.detach(),
        "U" | "u" => mt(&a.detach())?,
        _ => return Err(Error::runtime(format!("Expected UPLO argument to be 'L' or 'U', but got {uplo}"))),
    };
    let outs = factorise(DenseOp::Eigh, &[&read], [(&[n], a.dtype()), (&[n, n], a.dtype())])?;
    record(&outs, &[a], |s| {
        let (sd, sv) = (s.output_at(0), s.output_at(1));
        grad_fn_many(move |c, g| {
            let (d, v) = (sd.get(c)?, sv.get(c)?);
            let mut inner = match &g[0] {
                Some(g) => diag_embed(g, 0, -2, -1)?,
                None => zeros_like(&v, None)?,
            };
            if let Some(g) = &g[1] {
                let turn = div(&matmul(&mt(&v)?, g)?, &differences(&d)?, None)?;
                inner = add(&inner, &scale_diagonal(&turn, 0.0)?, ONE)?;
            }
            Ok([Some(matmul(&v, &matmul(&inner, &mt(&v)?)?)?)])
        })
    })?;
    let [values, vectors] = outs;
    Ok((values, vectors))
}

/// Returns the eigenvalues of symmetric matrices in rising order. Only the triangle `UPLO` ('L' or 'U') of `A` is read.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.linalg.eigvalsh.html>
#[op("(A, UPLO='L')", wide, function, samples = ["S(3, 3)", "S(2, 2, 2), 'U'", "T(0, 0)"],
    errors = [("T(2, 3)", "A must be batches of square matrices, but they are 2 by 3 matrices")])]
pub fn linalg_eigvalsh(a: &Tensor, uplo: &str) -> Result<Tensor> {
    Ok(linalg_eigh(a, uplo)?.0)
}

/// `x - xᵀ`.
fn skew(x: &Tensor) -> Result<Tensor> {
    sub(x, &mt(x)?, ONE)
}

/// The gradient of `A = U diag(s) Vᵀ` from those of U, s and Vᵀ, all of them of the reduced factorisation.
///
/// `A' = U [(skew(Uᵀ gU) / E) S + S (skew(Vᵀ gV) / E) + diag(gs)] Vᵀ` with `E_ij = s_j² - s_i²`, and what turns U and V out of the spaces that they span:
/// `(1 - U Uᵀ) gU S⁻¹ Vᵀ + U S⁻¹ gVᵀ (1 - V Vᵀ)`.
fn svd_gradient([gu, gs, gvh]: [Option<Tensor>; 3], u: &Tensor, s: &Tensor, vh: &Tensor) -> Result<Tensor> {
    let mut inner = match &gs {
        Some(g) => diag_embed(g, 0, -2, -1)?,
        None => diag_embed(&zeros_like(s, None)?, 0, -2, -1)?,
    };
    let e = differences(&square(s)?)?;
    let (row, column) = (unsqueeze(s, -2)?, unsqueeze(s, -1)?);
    let mut beside = None;
    if let Some(gu) = &gu {
        let turn = matmul(&mt(u)?, gu)?;
        inner = add(&inner, &mul(&div(&skew(&turn)?, &e, None)?, &row)?, ONE)?;
        if u.size(-2) > u.size(-1) {
            beside = Some(div(&sub(gu, &matmul(u, &turn)?, ONE)?, &row, None)?);
        }
    }
    let mut below = None;
    if let Some(gvh) = &gvh {
        let turn = matmul(vh, &mt(gvh)?)?;
        inner = add(&inner, &mul(&column, &div(&skew(&turn)?, &e, None)?)?, ONE)?;
        if vh.size(-1) > vh.size(-2) {
            let out = sub(gvh, &matmul(&mt(&turn)?, vh)?, ONE)?;
            below = Some(matmul(u, &div(&out, &column, None)?)?);
        }
    }
    let mut left = matmul(u, &inner)?;
    if let Some(beside) = beside {
        left = add(&left, &beside, ONE)?;
    }
    let ga = matmul(&left, vh)?;
    match below {
        Some(below) => add(&ga, &below, ONE),
        None => Ok(ga),
    }
}

/// Returns U, the singular values in falling order, and Vᵀ with `A = U diag(S) Vᵀ`. With `full_matrices` U and Vᵀ are square; what completes them has no
/// derivative. The derivatives of singular vectors need their singular values to be simple. `driver` names a CUDA algorithm: it must be None.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.linalg.svd.html>
#[op("(A, full_matrices=True, *, driver=None)", returns = ["U", "S", "Vh"], wide, function,
    samples = ["T(3, 3)", "T(4, 2), False", "T(2, 2, 3), False", "T(0, 2)", "T(1, 1)"],
    errors = [("T(2)", "linalg.svd: The input tensor A must have at least 2 dimensions"), ("T(2, 2, dtype=float16)", "\"linalg_svd_cpu\" not implemented for 'Half'"),
        ("T(2, 2), driver='gesvd'", "torch.linalg.svd: keyword argument `driver=` is only supported on CUDA inputs")])]
pub fn linalg_svd(a: &Tensor, full_matrices: bool, driver: Option<&str>) -> Result<(Tensor, Tensor, Tensor)> {
    let (m, n) = matrices("linalg.svd", "linalg_svd_cpu", "A", a)?;
    if driver.is_some() {
        return Err(Error::runtime(
            "torch.linalg.svd: keyword argument `driver=` is only supported on CUDA inputs with cuSOLVER backend.",
        ));
    }
    let k = m.min(n);
    let (cu, rv) = if full_matrices { (m, n) } else { (k, k) };
    let d = a.dtype();
    let outs = factorise(DenseOp::Svd, &[a], [(&[m, cu], d), (&[k], d), (&[rv, n], d)])?;
    record(&outs, &[a], |s| {
        let (su, ss, sv) = (s.output_at(0), s.output_at(1), s.output_at(2));
        grad_fn_many(move |c, g| {
            let first = |x: &Tensor, dim: i64| narrow(x, dim, 0, k as i64);
            let gu = g[0].as_ref().map(|g| first(g, -1)).transpose()?;
            let gv = g[2].as_ref().map(|g| first(g, -2)).transpose()?;
            let (u, vh) = (first(&su.get(c)?, -1)?, first(&sv.get(c)?, -2)?);
            Ok([Some(svd_gradient([gu, g[1].clone(), gv], &u, &ss.get(c)?, &vh)?)])
        })
    })?;
    let [u, s, vh] = outs;
    Ok((u, s, vh))
}

/// Returns the singular values of matrices in falling order.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.linalg.svdvals.html>
#[op("(A, *, driver=None)", wide, function, samples = ["T(3, 3)", "T(4, 2)", "T(2, 2, 3)", "T(0, 2)"],
    errors = [("T(2)", "linalg.svd: The input tensor A must have at least 2 dimensions")])]
pub fn linalg_svdvals(a: &Tensor, driver: Option<&str>) -> Result<Tensor> {
    Ok(linalg_svd(a, false, driver)?.1)
}

/// Returns U, the singular values in falling order, and V with `input = U diag(S) Vᵀ`; with `some=False` U and V are square. Without `compute_uv` they are zeros.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.svd.html>
#[op("(input, some=True, compute_uv=True)", returns = ["U", "S", "V"], wide, samples = ["T(3, 3)", "T(4, 2)", "T(2, 3)", "T(3, 2), compute_uv=False"],
    errors = [("T(2)", "linalg.svd: The input tensor A must have at least 2 dimensions")])]
pub fn svd(x: &Tensor, some: bool, compute_uv: bool) -> Result<(Tensor, Tensor, Tensor)> {
    let (u, s, vh) = linalg_svd(x, !some, None)?;
    if compute_uv {
        return Ok((u, s, mt(&vh)?));
    }
    let side = |dim: i64| -> Result<Tensor> {
        let n = x.size(dim);
        let mut shape = x.shape();
        let rank = shape.len();
        (shape[rank - 2], shape[rank - 1]) = (n, n);
        filled(&shape, Scalar::Int(0), x.dtype())
    };
    Ok((side(-2)?, s, side(-1)?))
}
