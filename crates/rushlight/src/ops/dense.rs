//! What the factorisations of matrices share: checks, the call of the backend, broadcasting of batches; and triangular systems, of which most of
//! their derivatives are made.

use super::linalg::mt;
use super::view::as_i64;
use super::*;
use crate::autograd::grad_fn;
use rushlight_kernels::backend::DenseOp;

ops![linalg_solve_triangular, triangular_solve];

/// Rows and columns of the matrices `x`, the argument called `name`: single or double precision, two dimensions or more. `kernel` is what PyTorch's error about half
/// precision names.
pub(super) fn matrices(op: &str, kernel: &str, name: &str, x: &Tensor) -> Result<(usize, usize)> {
    let shape = x.shape();
    let [.., m, n] = shape[..] else {
        return Err(Error::runtime(format!(
            "{op}: The input tensor {name} must have at least 2 dimensions, but its shape is {:?}",
            shape.as_slice()
        )));
    };
    match x.dtype() {
        DType::F32 | DType::F64 => Ok((m, n)),
        DType::F16 | DType::BF16 => {
            Err(Error::not_implemented(format!("\"{kernel}\" not implemented for '{}'", x.dtype().scalar_type_name())))
        }
        d => Err(Error::not_implemented(format!(
            "{op}: Expected a floating point or complex tensor as input. Got {}",
            d.scalar_type_name()
        ))),
    }
}

/// The side of the square matrices `x`.
pub(super) fn square_side(op: &str, kernel: &str, x: &Tensor) -> Result<usize> {
    let shape = x.shape();
    if let [.., m, n] = shape[..]
        && m != n
    {
        return Err(Error::runtime(format!("{op}: A must be batches of square matrices, but they are {m} by {n} matrices")));
    }
    Ok(matrices(op, kernel, "A", x)?.0)
}

/// Runs a factorisation over contiguous copies, without history. The results have the leading sizes of the first operand, and then the given ones.
pub(super) fn factorise<const N: usize>(op: DenseOp, ins: &[&Tensor], outs: [(&[usize], DType); N]) -> Result<[Tensor; N]> {
    let mut data: SmallVec<[Data; 2]> = SmallVec::new();
    for x in ins {
        data.push(contiguous(&x.detach())?.data());
    }
    let shape = ins[0].shape();
    let lead = &shape[..shape.len() - 2];
    let specs: SmallVec<[(Layout, DType); 3]> = outs
        .iter()
        .map(|(sizes, dtype)| {
            let sizes: Dims = lead.iter().chain(*sizes).copied().collect();
            (Layout::contiguous(&sizes), *dtype)
        })
        .collect();
    let results = storage::compute_many(&specs, &data, |ins, outs| backend().dense(op, ins, outs))?;
    let mut results = results.into_iter().map(Tensor::from_data);
    Ok(std::array::from_fn(|_| results.next().expect("as many results as were asked for")))
}

/// Both with the common leading dimensions.
pub(super) fn same_batch(a: &Tensor, b: &Tensor) -> Result<(Tensor, Tensor)> {
    let (sa, sb) = (a.shape(), b.shape());
    let lead = broadcast(&sa[..sa.len() - 2], &sb[..sb.len() - 2])?;
    let with = |x: &Tensor, s: &[usize]| {
        let sizes: Dims = lead.iter().chain(&s[s.len() - 2..]).copied().collect();
        if sizes.as_slice() == s { Ok(x.clone()) } else { expand(x, &as_i64(&sizes)) }
    };
    Ok((with(a, &sa)?, with(b, &sb)?))
}

/// The identity matrices of the shape of the square matrices `x`.
pub(super) fn identity_like(x: &Tensor) -> Result<Tensor> {
    let shape = x.shape();
    let n = shape[shape.len() - 1] as i64;
    expand(&eye(n, None, Some(x.dtype()))?, &as_i64(&shape))
}

/// `x` with the diagonals of its matrices multiplied by `factor`.
pub(super) fn scale_diagonal(x: &Tensor, factor: f64) -> Result<Tensor> {
    let diagonal = diagonal(x, 0, -2, -1)?;
    add(x, &diag_embed(&mul(&diagonal, &num(factor - 1.0))?, 0, -2, -1)?, ONE)
}

/// `X` with `a X = b` for triangular matrices `a`, of one batch shape with `b`.
pub(super) fn triangular(a: &Tensor, b: &Tensor, upper: bool, unit: bool) -> Result<Tensor> {
    let [.., n, k] = b.shape()[..] else { unreachable!("the caller has checked the ranks") };
    let [x] = factorise(DenseOp::Triangular { upper, unit }, &[a, b], [(&[n, k], b.dtype())])?;
    x.with_grad([a, b], |s| {
        let (sa, sx) = (s.input(a), s.needs(0).then(|| s.output()));
        grad_fn(move |c, g| {
            let gb = triangular(&mt(&sa.get(c)?)?, g, !upper, unit)?;
            let ga = match &sx {
                None => None,
                Some(x) => {
                    let whole = neg(&matmul(&gb, &mt(&x.get(c)?)?)?)?;
                    let off = unit as i64;
                    Some(if upper { triu(&whole, off)? } else { tril(&whole, -off)? })
                }
            };
            Ok([ga, Some(gb)])
        })
    })
}

/// `X` with `X a = b`.
pub(super) fn triangular_right(a: &Tensor, b: &Tensor, upper: bool, unit: bool) -> Result<Tensor> {
    mt(&triangular(&mt(a)?, &mt(b)?, !upper, unit)?)
}

/// Refuses what does not fit `A X = B`, or `X A = B` if not `left`.
pub(super) fn check_equation(op: &str, a: &Tensor, b: &Tensor, left: bool) -> Result<()> {
    let (sa, sb) = (a.shape(), b.shape());
    let n = sa[sa.len() - 1];
    let (rows, columns) = (sb[sb.len() - 2], sb[sb.len() - 1]);
    if (if left { rows } else { columns }) != n {
        let equation = if left { "AX = B" } else { "XA = B" };
        return Err(Error::runtime(format!(
            "{op}: Incompatible shapes of A and B for the equation {equation} ({n}x{n} and {rows}x{columns})"
        )));
    }
    if a.dtype() != b.dtype() {
        return Err(Error::runtime(format!(
            "{op}: Expected A and B to have the same dtype, but found A of type {} and B of type {} instead",
            a.dtype().scalar_type_name(),
            b.dtype().scalar_type_name()
        )));
    }
    Ok(())
}

/// Returns the solution X of `A X = B`, or of `X A = B` if not `left`, for upper or lower triangular matrices `A`; the other triangle is not read. With
/// `unitriangular` the diagonal is taken to be ones. Batches broadcast.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.linalg.solve_triangular.html>
#[op("(A, B, *, upper, left=True, unitriangular=False)", wide, function,
    samples = ["S(3, 3), T(3, 2), upper=True", "S(2, 3, 3), T(3, 2), upper=False", "S(3, 3), T(2, 3), upper=True, left=False", "T(3, 3), T(3, 1), upper=False, unitriangular=True",
        "T(3, 3), T(2, 2, 3), upper=True, left=False, unitriangular=True", "T(0, 0), T(0, 2), upper=True"],
    errors = [("T(2, 2), T(3, 2), upper=True", "Incompatible shapes of A and B for the equation AX = B (2x2 and 3x2)"),
        ("T(2, 3), T(3, 2), upper=True", "A must be batches of square matrices, but they are 2 by 3 matrices"), ("T(2, 2), T(2), upper=True", "The input tensor B must have at least 2 dimensions"),
        ("T(2, 2), T(3, 3), upper=True, left=False", "for the equation XA = B (2x2 and 3x3)")])]
pub fn linalg_solve_triangular(a: &Tensor, b: &Tensor, upper: bool, left: bool, unitriangular: bool) -> Result<Tensor> {
    let op = "linalg.solve_triangular";
    square_side(op, "triangular_solve_cpu", a)?;
    matrices(op, "triangular_solve_cpu", "B", b)?;
    check_equation(op, a, b, left)?;
    let (a, b) = same_batch(a, b)?;
    if left { triangular(&a, &b, upper, unitriangular) } else { triangular_right(&a, &b, upper, unitriangular) }
}

/// Returns the solution X of `A X = input` (`Aᵀ X = input` with `transpose`) for triangular `A`, and a copy of `A`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.triangular_solve.html>
#[op("(input, A, upper=True, transpose=False, unitriangular=False)", returns = ["solution", "cloned_coefficient"], wide,
    samples = ["T(3, 2), S(3, 3)", "T(3, 2), S(3, 3), False", "T(3, 1), S(3, 3), True, True", "T(2, 3, 2), T(3, 3), False, False, True"],
    errors = [("T(2, 2), T(3, 3)", "Incompatible matrix sizes for triangular_solve: each A matrix is 3 by 3 but each b matrix is 2 by 2"),
        ("T(2), T(2, 2)", "b should have at least 2 dimensions, but has 1 dimensions instead")])]
pub fn triangular_solve(b: &Tensor, a: &Tensor, upper: bool, transpose: bool, unitriangular: bool) -> Result<(Tensor, Tensor)> {
    check_system("triangular_solve", "triangular_solve_cpu", b, a)?;
    let (a, b) = same_batch(a, b)?;
    let x = if transpose { triangular(&mt(&a)?, &b, !upper, unitriangular)? } else { triangular(&a, &b, upper, unitriangular)? };
    Ok((x, copy(&a)?))
}

/// The checks of the older functions, in which `b` comes first.
pub(super) fn check_system(op: &str, kernel: &str, b: &Tensor, a: &Tensor) -> Result<()> {
    for (name, x) in [("b", b), ("A", a)] {
        if x.rank() < 2 {
            return Err(Error::runtime(format!(
                "{name} should have at least 2 dimensions, but has {} dimensions instead",
                x.rank()
            )));
        }
    }
    let n = square_side(op, kernel, a)?;
    let (rows, columns) = matrices(op, kernel, "b", b)?;
    if rows != n {
        return Err(Error::runtime(format!(
            "Incompatible matrix sizes for {op}: each A matrix is {n} by {n} but each b matrix is {rows} by {columns}"
        )));
    }
    super::linalg::same_dtype(a, b)
}
