//! LU factorisation, and what follows from it: systems of equations, inverses, determinants.

use super::dense::*;
use super::linalg::mt;
use super::view::as_i64;
use super::*;
use crate::autograd::{grad_fn, grad_fn_many, record};
use crate::no_grad;
use rushlight_kernels::backend::DenseOp;

ops![
    linalg_lu_factor,
    linalg_lu_factor_ex,
    lu_unpack,
    linalg_lu,
    linalg_lu_solve,
    lu_solve,
    linalg_solve,
    linalg_solve_ex,
    inverse,
    linalg_inv_ex,
    det,
    slogdet,
    logdet
];

/// L and U in one matrix, pivots, and the number of the first zero pivot.
fn lu(a: &Tensor) -> Result<[Tensor; 3]> {
    let [.., m, n] = a.shape()[..] else { unreachable!("the caller has checked the rank") };
    let outs = factorise(DenseOp::Lu, &[a], [(&[m, n], a.dtype()), (&[m.min(n)], DType::I32), (&[], DType::I32)])?;
    let rows = row_order(&outs[1], m)?;
    record(&outs, &[a], |s| {
        let sy = s.output_at(0);
        grad_fn_many(move |c, g| {
            let Some(g) = &g[0] else { return Ok([None]) };
            Ok([Some(reorder(&lu_gradient(g, &sy.get(c)?)?, &argsort(&rows, -1, false, true)?)?)])
        })
    })?;
    Ok(outs)
}

/// The gradient of the matrix with its rows in pivoted order, from that of `lu`.
///
/// For a square matrix it is `L⁻ᵀ (tril(Lᵀ gL, -1) + triu(gU Uᵀ)) U⁻ᵀ`. Columns beyond the square are `U₂ = L⁻¹ A₂`, and rows beyond it `L₂ = A₂ U⁻¹`:
/// they are taken first, and add to the gradients of L and U.
fn lu_gradient(g: &Tensor, lu: &Tensor) -> Result<Tensor> {
    let [.., m, n] = lu.shape()[..] else { unreachable!("an LU factorisation has two dimensions") };
    let k = m.min(n) as i64;
    let corner = |x: &Tensor| narrow(&narrow(x, -2, 0, k)?, -1, 0, k);
    let (square, gc) = (corner(lu)?, corner(g)?);
    let (mut gl, mut gu) = (tril(&gc, -1)?, triu(&gc, 0)?);
    let mut beside = None;
    if n as i64 > k {
        let right = |x: &Tensor| narrow(x, -1, k, n as i64 - k);
        let ga = triangular(&mt(&square)?, &right(g)?, true, true)?;
        gl = sub(&gl, &tril(&matmul(&ga, &mt(&right(lu)?)?)?, -1)?, ONE)?;
        beside = Some((ga, -1));
    } else if m as i64 > k {
        let below = |x: &Tensor| narrow(x, -2, k, m as i64 - k);
        let ga = triangular_right(&mt(&square)?, &below(g)?, false, false)?;
        gu = sub(&gu, &triu(&matmul(&mt(&below(lu)?)?, &ga)?, 0)?, ONE)?;
        beside = Some((ga, -2));
    }
    let l = scale_diagonal(&tril(&square, -1)?, 0.0)?;
    let l = add(&l, &identity_like(&l)?, ONE)?;
    let u = triu(&square, 0)?;
    let inner = add(&tril(&matmul(&mt(&l)?, &gl)?, -1)?, &triu(&matmul(&gu, &mt(&u)?)?, 0)?, ONE)?;
    let ga = triangular_right(&mt(&square)?, &triangular(&mt(&square)?, &inner, true, true)?, false, false)?;
    match beside {
        None => Ok(ga),
        Some((part, dim)) => cat(&[ga, part], dim),
    }
}

/// Which row of the matrix came to each place: row exchanges one after the other, counted from 1.
fn row_order(pivots: &Tensor, m: usize) -> Result<Tensor> {
    let mut shape = pivots.shape();
    let k = shape.pop().expect("pivots have a dimension");
    let all = pivots.try_to_vec::<i32>()?;
    let count = shape.iter().product::<usize>();
    let mut rows = Vec::with_capacity(count * m);
    for i in 0..count {
        let start = rows.len();
        rows.extend(0..m as i64);
        for (place, &other) in all[i * k..][..k].iter().enumerate() {
            if other < 1 || other as usize > m {
                return Err(Error::runtime(format!(
                    "pivots passed to lu_solve must be between 1 and {m} inclusive, but got {other}"
                )));
            }
            rows.swap(start + place, start + other as usize - 1);
        }
    }
    shape.push(m);
    Tensor::try_from_vec(rows, &shape)
}

/// The rows of `x` in the order `rows`.
fn reorder(x: &Tensor, rows: &Tensor) -> Result<Tensor> {
    gather(x, -2, &expand(&unsqueeze(rows, -1)?, &as_i64(&x.shape()))?, false)
}

fn refuse_no_pivot(pivot: bool) -> Result<()> {
    if pivot { Ok(()) } else { Err(Error::runtime("linalg.lu_factor: LU without pivoting is not implemented on the CPU")) }
}

/// The first of a batch whose `info` is not zero: where it is, for error texts, and its number.
pub(super) fn first_failure(info: &Tensor) -> Result<Option<(String, i32)>> {
    let all = info.try_to_vec::<i32>()?;
    let place = |i: usize| if info.rank() == 0 { String::new() } else { format!("(Batch element {i}): ") };
    Ok(all.iter().position(|&i| i != 0).map(|i| (place(i), all[i])))
}

/// Returns the LU factorisation `A = P L U` in the compact form of LAPACK: L without its diagonal of ones and U in one matrix, and pivots: row i was
/// exchanged with row `pivots[i] - 1`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.linalg.lu_factor.html>
#[op("(A, *, pivot=True)", returns = ["LU", "pivots"], wide, function, samples = ["T(3, 3)", "T(2, 3, 2)", "T(2, 4)", "T(0, 0)", "T(1, 1)"],
    errors = [("T(2)", "Expected tensor with 2 or more dimensions"), ("T(2, 2, lo=0, hi=0)", "U[1,1] is zero and using it on lu_solve would result in a division by zero"),
        ("T(2, 2), pivot=False", "LU without pivoting is not implemented on the CPU")])]
pub fn linalg_lu_factor(a: &Tensor, pivot: bool) -> Result<(Tensor, Tensor)> {
    let (lu, pivots, info) = linalg_lu_factor_ex(a, pivot, true)?;
    let _ = info;
    Ok((lu, pivots))
}

/// As `linalg_lu_factor`, and `info`: 0, or the number of the first zero on U's diagonal, which is an error only if `check_errors`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.linalg.lu_factor_ex.html>
#[op("(A, *, pivot=True, check_errors=False)", returns = ["LU", "pivots", "info"], wide, function, samples = ["T(3, 3)", "T(2, 2, 3)", "T(0, 3)"],
    errors = [("T(2, 2, lo=0, hi=0), check_errors=True", "U[1,1] is zero"), ("I(2, 2)", "Expected a floating point or complex tensor as input. Got Long")])]
pub fn linalg_lu_factor_ex(a: &Tensor, pivot: bool, check_errors: bool) -> Result<(Tensor, Tensor, Tensor)> {
    if a.rank() < 2 {
        return Err(Error::runtime(format!(
            "torch.lu_factor: Expected tensor with 2 or more dimensions. Got size: {:?} instead",
            a.shape().as_slice()
        )));
    }
    matrices("torch.lu_factor", "lu_cpu", "A", a)?;
    refuse_no_pivot(pivot)?;
    let [lu, pivots, info] = lu(a)?;
    if check_errors && let Some((place, i)) = first_failure(&info)? {
        return Err(Error::runtime(format!(
            "torch.linalg.lu_factor: {place}U[{i},{i}] is zero and using it on lu_solve would result in a division by zero. If you still want to perform the factorization, consider calling linalg.lu(A, pivot) or linalg.lu_factor_ex(A, pivot)"
        )));
    }
    Ok((lu, pivots, info))
}

/// Returns the matrices P, L and U of a compact LU factorisation. `unpack_data` and `unpack_pivots` say whether L and U, and P, are wanted; what is not
/// comes empty.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.lu_unpack.html>
#[op("(LU_data, LU_pivots, unpack_data=True, unpack_pivots=True)", returns = ["P", "L", "U"], wide, function,
    samples = ["T(3, 3), I(3, lo=3, hi=4, dtype=int32)", "T(2, 3, 2), I(2, 2, lo=3, hi=4, dtype=int32)", "T(2, 4), I(2, lo=2, hi=3, dtype=int32), True, False"],
    errors = [("T(2, 2), I(2, lo=1, hi=2)", "LU_pivots is expected to be a contiguous tensor of torch.int32 dtype"), ("T(2), I(2, dtype=int32)", "must have at least 2 dimensions")])]
pub fn lu_unpack(
    lu_data: &Tensor,
    lu_pivots: &Tensor,
    unpack_data: bool,
    unpack_pivots: bool,
) -> Result<(Tensor, Tensor, Tensor)> {
    let (m, n) = matrices("torch.lu_unpack", "lu_unpack", "LU_data", lu_data)?;
    if unpack_pivots && lu_pivots.dtype() != DType::I32 {
        return Err(Error::runtime(
            "torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 dtype.\nNote: this function is intended to be used with the output produced by torch.linalg.lu_factor",
        ));
    }
    let nothing = || filled(&[0], Scalar::Int(0), lu_data.dtype());
    let p = if unpack_pivots {
        let rows = row_order(lu_pivots, m)?;
        let mut shape = as_i64(&rows.shape());
        shape.push(m as i64);
        let zeros = zeros(&shape, Some(lu_data.dtype()))?;
        scatter_value(&zeros, -2, &unsqueeze(&rows, -2)?, ONE, None)?
    } else {
        nothing()?
    };
    if !unpack_data {
        return Ok((p, nothing()?, nothing()?));
    }
    let k = m.min(n) as i64;
    let l = tril(&narrow(lu_data, -1, 0, k)?, -1)?;
    let l = add(&l, &eye(m as i64, Some(k), Some(l.dtype()))?, ONE)?;
    Ok((p, l, triu(&narrow(lu_data, -2, 0, k)?, 0)?))
}

/// Returns the matrices of `A = P L U`: a permutation, unit lower triangular, upper triangular.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.linalg.lu.html>
#[op("(A, *, pivot=True)", returns = ["P", "L", "U"], wide, function, samples = ["T(3, 3)", "T(2, 3, 2)", "T(2, 4)", "T(0, 2)"],
    errors = [("T(2)", "2 or more dimensions"), ("T(2, 2), pivot=False", "LU without pivoting is not implemented on the CPU")])]
pub fn linalg_lu(a: &Tensor, pivot: bool) -> Result<(Tensor, Tensor, Tensor)> {
    let (lu, pivots, _) = linalg_lu_factor_ex(a, pivot, false)?;
    lu_unpack(&lu, &pivots, true, true)
}

/// Returns the solution X of `A X = B` (`X A = B` if not `left`, `Aᵀ` for A if `adjoint`) from the compact LU factorisation of A.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.linalg.lu_solve.html>
#[op("(LU, pivots, B, *, left=True, adjoint=False)", wide, function,
    samples = ["S(3, 3), I(3, lo=3, hi=4, dtype=int32), T(3, 2)", "S(2, 3, 3), I(2, 3, lo=3, hi=4, dtype=int32), T(3, 1)", "S(2, 2), I(2, lo=2, hi=3, dtype=int32), T(3, 2), left=False",
        "S(3, 3), I(3, lo=3, hi=4, dtype=int32), T(3, 2), adjoint=True", "S(2, 2), I(2, lo=2, hi=3, dtype=int32), T(3, 2), left=False, adjoint=True"],
    errors = [("T(2, 2), I(2, lo=2, hi=3, dtype=int32), T(3, 1)", "Incompatible shapes of A and B for the equation AX = B (2x2 and 3x1)"),
        ("T(2, 2), I(2, lo=2, hi=3), T(2, 1)", "pivots should be a Tensor of scalar type torch.int32"), ("T(2, 3), I(2, dtype=int32), T(2, 1)", "A must be batches of square matrices")])]
pub fn linalg_lu_solve(lu: &Tensor, pivots: &Tensor, b: &Tensor, left: bool, adjoint: bool) -> Result<Tensor> {
    let op = "linalg.lu_solve";
    let n = square_side(op, "lu_solve_cpu", lu)?;
    matrices(op, "lu_solve_cpu", "B", b)?;
    if pivots.dtype() != DType::I32 {
        return Err(Error::runtime(format!(
            "{op}: pivots should be a Tensor of scalar type torch.int32, but got {}",
            pivots.dtype()
        )));
    }
    check_equation(op, lu, b, left)?;
    if !left {
        return mt(&linalg_lu_solve(lu, pivots, &mt(b)?, true, !adjoint)?);
    }
    let (lu, b) = same_batch(lu, b)?;
    let mut sizes = as_i64(&b.shape());
    sizes.pop();
    let rows = row_order(pivots, n)?;
    let rows = expand(&rows, &sizes)?;
    if adjoint {
        // Aᵀ = Uᵀ Lᵀ Pᵀ.
        let y = triangular(&mt(&lu)?, &b, false, false)?;
        return reorder(&triangular(&mt(&lu)?, &y, true, true)?, &argsort(&rows, -1, false, true)?);
    }
    triangular(&lu, &triangular(&lu, &reorder(&b, &rows)?, false, true)?, true, false)
}

/// Returns the solution X of `A X = input` from the compact LU factorisation of A.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.lu_solve.html>
#[op("(input, LU_data, LU_pivots)", wide, samples = ["T(3, 2), S(3, 3), I(3, lo=3, hi=4, dtype=int32)"],
    errors = [("T(3, 1), T(2, 2), I(2, lo=2, hi=3, dtype=int32)", "Incompatible shapes of A and B for the equation AX = B (2x2 and 3x1)")])]
pub fn lu_solve(b: &Tensor, lu_data: &Tensor, lu_pivots: &Tensor) -> Result<Tensor> {
    linalg_lu_solve(lu_data, lu_pivots, b, true, false)
}

/// `X` with `a X = b`, and the number of the first zero pivot; with history.
fn solution(a: &Tensor, b: &Tensor) -> Result<(Tensor, Tensor)> {
    let (x, info) = {
        let _guard = no_grad();
        let [lu, pivots, info] = lu(&a.detach())?;
        (linalg_lu_solve(&lu, &pivots, &b.detach(), true, false)?, info)
    };
    let x = x.with_grad([a, b], |s| {
        let (sa, sx) = (s.input(a), s.needs(0).then(|| s.output()));
        grad_fn(move |c, g| {
            let gb = solution(&mt(&sa.get(c)?)?, g)?.0;
            let ga = match &sx {
                None => None,
                Some(x) => Some(neg(&matmul(&gb, &mt(&x.get(c)?)?)?)?),
            };
            Ok([ga, Some(gb)])
        })
    })?;
    Ok((x, info))
}

/// Returns the solution X of `A X = B`, or of `X A = B` if not `left`, for square, invertible matrices `A`. `B` is a batch of matrices, or of vectors if its
/// shape is that of `A` without the last dimension, or if it is one vector.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.linalg.solve.html>
#[op("(A, B, *, left=True)", wide, function,
    samples = ["S(3, 3), T(3, 2)", "T(3, 3), T(3)", "S(2, 3, 3), T(2, 3)", "S(2, 2, 2), T(2, 3)", "T(2, 2), T(3, 2), left=False", "T(0, 0), T(0, 2)", "T(1, 1), T(2, 1, 1)"],
    errors = [("T(2, 2, lo=0, hi=0), T(2)", "torch.linalg.solve: The solver failed because the input matrix is singular."), ("T(2, 2), T(3)", "Incompatible shapes of A and B for the equation AX = B (2x2 and 3x1)"),
        ("T(2, 3), T(3)", "linalg.solve: A must be batches of square matrices, but they are 2 by 3 matrices"),
        ("T(2, 2, dtype=float32), T(2, 2, dtype=float64)", "Expected A and B to have the same dtype, but found A of type Float and B of type Double instead")])]
pub fn linalg_solve(a: &Tensor, b: &Tensor, left: bool) -> Result<Tensor> {
    Ok(linalg_solve_ex(a, b, left, true)?.0)
}

/// As `linalg_solve`, and `info`: 0, or the number of the first zero pivot, which is an error only if `check_errors`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.linalg.solve_ex.html>
#[op("(A, B, *, left=True, check_errors=False)", returns = ["result", "info"], wide, function, samples = ["S(3, 3), T(3, 2)", "T(2, 2), T(2)"],
    errors = [("T(2, 2, lo=0, hi=0), T(2), check_errors=True", "the input matrix is singular"), ("T(3), T(3)", "must have at least 2 dimensions")])]
pub fn linalg_solve_ex(a: &Tensor, b: &Tensor, left: bool, check_errors: bool) -> Result<(Tensor, Tensor)> {
    let op = "linalg.solve";
    square_side(op, "lu_cpu", a)?;
    let sa = a.shape();
    let vector = b.rank() == 1 || b.rank() + 1 == a.rank() && b.shape()[..] == sa[..sa.len() - 1];
    let mut rhs = if vector { unsqueeze(b, -1)? } else { b.clone() };
    matrices(op, "lu_cpu", "B", &rhs)?;
    check_equation(op, a, &rhs, left || vector)?;
    let mut a = a.clone();
    let turned = !left && !vector;
    if turned {
        (a, rhs) = (mt(&a)?, mt(&rhs)?);
    }
    let (a, rhs) = same_batch(&a, &rhs)?;
    let (x, info) = solution(&a, &rhs)?;
    if check_errors && let Some((place, _)) = first_failure(&info)? {
        return Err(Error::linalg(format!("torch.linalg.solve: {place}The solver failed because the input matrix is singular.")));
    }
    let x = if turned { mt(&x)? } else { x };
    Ok((if vector { squeeze_dim(&x, &[-1])? } else { x }, info))
}

fn inverse_and_info(a: &Tensor) -> Result<(Tensor, Tensor)> {
    let (y, info) = solution(&a.detach(), &identity_like(a)?)?;
    let y = y.with_grad([a], |s| {
        let sy = s.output();
        grad_fn(move |c, g| {
            let yt = mt(&sy.get(c)?)?;
            Ok([Some(neg(&matmul(&yt, &matmul(g, &yt)?)?)?)])
        })
    })?;
    Ok((y, info))
}

fn check_inverse(a: &Tensor) -> Result<()> {
    if matches!(a.dtype(), DType::F16 | DType::BF16) {
        return Err(Error::not_implemented(format!(
            "linalg.inv: Low precision dtypes not supported. Got {}",
            a.dtype().scalar_type_name()
        )));
    }
    square_side("linalg.inv", "inverse_cpu", a).map(drop)
}

/// Returns the inverses of square matrices.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.linalg.inv.html>
#[op("(input)", wide, samples = ["S(3, 3)", "T(2, 2, 2)", "T(3, 3)", "T(0, 0)", "T(1, 1)", "T(0, 2, 2)"],
    errors = [("T(2, 2, lo=0, hi=0)", "linalg.inv: The diagonal element 1 is zero, the inversion could not be completed because the input matrix is singular."),
        ("T(2, 2, 2, lo=0, hi=0)", "linalg.inv: (Batch element 0): The diagonal element 1 is zero"), ("T(2, 3)", "linalg.inv: A must be batches of square matrices, but they are 2 by 3 matrices"),
        ("T(3)", "linalg.inv: The input tensor A must have at least 2 dimensions"), ("T(2, 2, dtype=float16)", "linalg.inv: Low precision dtypes not supported. Got Half")])]
pub fn inverse(a: &Tensor) -> Result<Tensor> {
    Ok(linalg_inv_ex(a, true)?.0)
}

/// Returns inverses, and `info`: 0, or the number of the first zero pivot, which is an error only if `check_errors`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.linalg.inv_ex.html>
#[op("(A, *, check_errors=False)", returns = ["inverse", "info"], wide, function, samples = ["S(3, 3)", "T(2, 2, 2)"],
    errors = [("T(2, 2, lo=0, hi=0), check_errors=True", "the input matrix is singular"), ("T(2, 3)", "A must be batches of square matrices")])]
pub fn linalg_inv_ex(a: &Tensor, check_errors: bool) -> Result<(Tensor, Tensor)> {
    check_inverse(a)?;
    let (y, info) = inverse_and_info(a)?;
    if check_errors && let Some((place, i)) = first_failure(&info)? {
        return Err(Error::linalg(format!(
            "linalg.inv: {place}The diagonal element {i} is zero, the inversion could not be completed because the input matrix is singular."
        )));
    }
    Ok((y, info))
}

/// The signs of the permutations that pivots make, and the diagonals of U.
fn pivots_and_diagonal(a: &Tensor) -> Result<(Tensor, Tensor)> {
    let _guard = no_grad();
    let [lu, pivots, _] = lu(&a.detach())?;
    let n = pivots.size(-1) as i64;
    let exchanged = ne(&pivots, &arange_start(ONE, Scalar::Int(n + 1), ONE, Some(DType::I32))?)?;
    let odd = remainder(&sum_dim(&exchanged, Some(&[-1]), false, None)?, &num(2i64))?;
    let sign = to_dtype(&sub(&num(1i64), &mul(&odd, &num(2i64))?, ONE)?, a.dtype())?;
    Ok((sign, diagonal(&lu, 0, -2, -1)?))
}

/// The matrices of cofactors: the derivative of the determinant, where it is zero too. With `A = U S Vᵀ` they are `det(U) det(V) U S' Vᵀ`, where S' has on its
/// diagonal the products of all other singular values.
fn cofactors(a: &Tensor) -> Result<Tensor> {
    let (u, s, vh) = linalg_svd(a, false, None)?;
    let signs = mul(&det(&u.detach())?, &det(&vh.detach())?)?;
    let d = s.rank() - 1;
    let others = mul(&super::scan::product_before(&s, d, false)?, &super::scan::product_before(&s, d, true)?)?;
    let scaled = mul(&u, &unsqueeze(&others, -2)?)?;
    mul(&matmul(&scaled, &vh)?, &unsqueeze(&unsqueeze(&signs, -1)?, -1)?)
}

/// `x` with two more dimensions of size one.
fn as_matrix(x: &Tensor) -> Result<Tensor> {
    unsqueeze(&unsqueeze(x, -1)?, -1)
}

/// Returns the determinants of square matrices.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.linalg.det.html>
#[op("(input)", wide, samples = ["T(3, 3)", "T(2, 2, 2)", "T(0, 0)", "T(1, 1)", "T(0, 2, 2)"],
    errors = [("T(2, 3)", "linalg.det: A must be batches of square matrices, but they are 2 by 3 matrices"), ("T(3)", "linalg.det: The input tensor A must have at least 2 dimensions"),
        ("T(2, 2, dtype=float16)", "\"lu_cpu\" not implemented for 'Half'")])]
pub fn det(a: &Tensor) -> Result<Tensor> {
    square_side("linalg.det", "lu_cpu", a)?;
    let (sign, diagonal) = pivots_and_diagonal(a)?;
    mul(&sign, &prod_dim(&diagonal, -1, false, None)?)?.with_grad([a], |s| {
        let (sa, sy) = (s.input(a), s.output());
        grad_fn(move |c, g| {
            let (a, y) = (sa.get(c)?, sy.get(c)?);
            let slope = if super::reduce::has_zero(&y.detach())? {
                cofactors(&a)?
            } else {
                mul(&mt(&inverse_and_info(&a)?.0)?, &as_matrix(&y)?)?
            };
            Ok([Some(mul(&slope, &as_matrix(g)?)?)])
        })
    })
}

/// Returns the signs of the determinants of square matrices, and the logarithms of their magnitudes: 0 and -inf for a singular matrix.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.linalg.slogdet.html>
#[op("(input)", returns = ["sign", "logabsdet"], wide, samples = ["T(3, 3)", "T(2, 2, 2)", "T(0, 0)", "T(1, 1)"],
    errors = [("T(2, 3)", "linalg.slogdet: A must be batches of square matrices, but they are 2 by 3 matrices")])]
pub fn slogdet(a: &Tensor) -> Result<(Tensor, Tensor)> {
    square_side("linalg.slogdet", "lu_cpu", a)?;
    let outs = {
        let _guard = no_grad();
        let (sign, diagonal) = pivots_and_diagonal(a)?;
        let sign = mul(&sign, &prod_dim(&super::sgn(&diagonal)?, -1, false, None)?)?;
        [sign, sum_dim(&log(&abs(&diagonal)?)?, Some(&[-1]), false, None)?]
    };
    record(&outs, &[a], |s| {
        let sa = s.input(a);
        grad_fn_many(move |c, g| {
            let Some(g) = &g[1] else { return Ok([None]) };
            Ok([Some(mul(&mt(&inverse_and_info(&sa.get(c)?)?.0)?, &as_matrix(g)?)?)])
        })
    })?;
    let [sign, log] = outs;
    Ok((sign, log))
}

/// Returns the logarithms of the determinants of square matrices: NaN where they are negative.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.logdet.html>
#[op("(input)", wide, samples = ["S(3, 3)", "S(2, 2, 2)", "T(0, 0)"],
    errors = [("T(2, 3)", "A must be batches of square matrices, but they are 2 by 3 matrices")])]
pub fn logdet(a: &Tensor) -> Result<Tensor> {
    let (sign, log) = slogdet(a)?;
    masked_fill(&log, &lt(&sign.detach(), &num(0i64))?, &num(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_singular_matrix_has_a_gradient_of_cofactors() {
        let x = Tensor::from_vec(vec![1.0, 2.0, 2.0, 4.0], [2, 2]).with_requires_grad();
        det(&x).unwrap().backward();
        let expected = Tensor::from_vec(vec![4.0, -2.0, -2.0, 1.0], [2, 2]);
        assert!(allclose(&x.grad().unwrap(), &expected, 1e-12, 1e-12, false).unwrap());
        let zero = Tensor::zeros([3, 3]).with_requires_grad();
        det(&zero).unwrap().backward();
        assert_eq!(zero.grad().unwrap().to_f64_vec(), [0.0; 9]);
    }

    #[test]
    fn singular_matrices_have_a_logarithm_of_minus_infinity() {
        let (sign, log) = slogdet(&Tensor::zeros([2, 2])).unwrap();
        assert_eq!((sign.item::<f32>(), log.item::<f32>()), (0.0, f32::NEG_INFINITY));
        let negative = Tensor::from_vec(vec![0.0f64, 1.0, 1.0, 0.0], [2, 2]);
        assert_eq!(det(&negative).unwrap().item::<f64>(), -1.0);
        assert!(logdet(&negative).unwrap().item::<f64>().is_nan());
    }

    #[test]
    fn unwanted_parts_come_empty() {
        let pivots = Tensor::from_vec(vec![2i32, 2], [2]);
        let (p, l, u) = lu_unpack(&Tensor::zeros([2, 2]), &pivots, false, true).unwrap();
        assert_eq!((p.to_f64_vec(), l.numel(), u.numel()), (vec![0.0, 1.0, 1.0, 0.0], 0, 0));
    }
}
