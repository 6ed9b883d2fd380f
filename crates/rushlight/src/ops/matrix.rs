//! Functions of matrices: powers, the exponential, pseudo-inverses and least squares.

use super::dense::*;
use super::linalg::mt;
use super::*;
use crate::autograd::{Ctx, grad_fn};
use crate::no_grad;

ops![matrix_power, matrix_exp, linalg_pinv, pinverse, linalg_lstsq];

/// Returns the `n`-th power of square matrices, by repeated squaring; for a negative `n` of their inverses.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.linalg.matrix_power.html>
#[op("(input, n)", number, samples = ["T(3, 3), 2", "T(2, 2, 2), 5", "S(3, 3, dtype=float64), -2", "T(2, 2), 1", "T(2, 2), 0", "T(0, 0), 3", "I(2, 2), 3"],
    errors = [("T(2, 3), 2", "linalg.matrix_power: A must be batches of square matrices, but they are 2 by 3 matrices"), ("T(2, 2, lo=0, hi=0), -1", "the input matrix is singular"),
        ("T(3), 2", "linalg.matrix_power: The input tensor A must have at least 2 dimensions")])]
pub fn matrix_power(x: &Tensor, n: i64) -> Result<Tensor> {
    let shape = x.shape();
    let [.., rows, columns] = shape[..] else {
        return Err(Error::runtime("linalg.matrix_power: The input tensor A must have at least 2 dimensions."));
    };
    if rows != columns {
        return Err(Error::runtime(format!(
            "linalg.matrix_power: A must be batches of square matrices, but they are {rows} by {columns} matrices"
        )));
    }
    if n == 0 {
        let shape = x.shape();
        let zeros = move |_: &Ctx, g: &Tensor| Ok([Some(filled(&shape, Scalar::Int(0), g.dtype())?)]);
        return copy(&identity_like(&x.detach())?)?.with_grad([x], |_| grad_fn(zeros));
    }
    let mut base = if n < 0 { inverse(x)? } else { x.clone() };
    let mut left = n.unsigned_abs();
    let mut power: Option<Tensor> = None;
    loop {
        if left & 1 == 1 {
            power = Some(match power {
                None => base.clone(),
                Some(p) => matmul(&p, &base)?,
            });
        }
        left >>= 1;
        if left == 0 {
            break;
        }
        base = matmul(&base, &base)?;
    }
    let power = power.expect("n is not zero");
    if power.is_same(x) { copy(x) } else { Ok(power) }
}

/// Numerator of the Padé approximant of degree 13, whose denominator has the same coefficients with alternating signs (Higham 2005).
const PADE: [f64; 14] = [
    64764752532480000.0,
    32382376266240000.0,
    7771770303897600.0,
    1187353796428800.0,
    129060195264000.0,
    10559470521600.0,
    670442572800.0,
    33522128640.0,
    1323241920.0,
    40840800.0,
    960960.0,
    16380.0,
    182.0,
    1.0,
];
/// Up to this 1-norm the approximant is as exact as f64.
const PADE_RADIUS: f64 = 5.371920351148152;

/// Returns the exponential of square matrices, by scaling and squaring.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.linalg.matrix_exp.html>
#[op("(input)", wide, samples = ["T(3, 3)", "T(2, 2, 2)", "T(2, 2, lo=-9, hi=9)", "T(1, 1)", "T(0, 0)", "T(0, 2, 2)"],
    errors = [("T(2, 3)", "linalg.matrix_exp: A must be batches of square matrices, but they are 2 by 3 matrices"), ("T(3)", "linalg.matrix_exp: The input tensor A must have at least 2 dimensions")])]
pub fn matrix_exp(x: &Tensor) -> Result<Tensor> {
    square_side("linalg.matrix_exp", "matrix_exp", x)?;
    if x.numel() == 0 {
        return copy(x);
    }
    // How often each matrix is halved.
    let halvings = {
        let _guard = no_grad();
        let norms = amax(&sum_dim(&abs(&x.detach())?, Some(&[-2]), false, None)?, &[-1], false)?;
        let times = ceil(&log2(&div(&norms, &num(PADE_RADIUS), None)?)?)?;
        // NaN and infinity give what they give, and must not decide how long this runs.
        let times = nan_to_num(&times, Some(0.0), Some(0.0), Some(0.0))?;
        clamp_min(&times, &num(0i64))?
    };
    let scale = unsqueeze(&unsqueeze(&exp2(&halvings)?, -1)?, -1)?;
    let a = div(x, &scale, None)?;
    let a2 = matmul(&a, &a)?;
    let a4 = matmul(&a2, &a2)?;
    let a6 = matmul(&a4, &a2)?;
    let one = identity_like(&a.detach())?;
    let combine = |terms: [(&Tensor, f64); 4]| -> Result<Tensor> {
        let mut sum = mul(terms[0].0, &num(terms[0].1))?;
        for (t, factor) in &terms[1..] {
            sum = add(&sum, t, Scalar::Float(*factor))?;
        }
        Ok(sum)
    };
    let b = |i: usize| PADE[i];
    let high = |o: usize| matmul(&a6, &combine([(&a6, b(12 + o)), (&a4, b(10 + o)), (&a2, b(8 + o)), (&one, 0.0)])?);
    let low = |o: usize| combine([(&a6, b(6 + o)), (&a4, b(4 + o)), (&a2, b(2 + o)), (&one, b(o))]);
    let odd = matmul(&a, &add(&high(1)?, &low(1)?, ONE)?)?;
    let even = add(&high(0)?, &low(0)?, ONE)?;
    let mut y = linalg_solve_ex(&sub(&even, &odd, ONE)?, &add(&even, &odd, ONE)?, true, false)?.0;
    let most = max(&halvings)?.try_item::<f64>()? as i64;
    for i in 0..most {
        let more = unsqueeze(&unsqueeze(&gt(&halvings, &num(i))?, -1)?, -1)?;
        y = where_(&more, &matmul(&y, &y)?, &y)?;
    }
    Ok(y)
}

/// Vectors or values over which a pseudo-inverse divides: the inverse of those above the cutoff, zero for the others.
fn safe_reciprocal(s: &Tensor, atol: &Tensor, rtol: &Tensor) -> Result<Tensor> {
    let largest = amax(s, &[-1], false)?;
    let cutoff = unsqueeze(&maximum(&mul(&largest, rtol)?, atol)?, -1)?;
    where_(&gt(s, &cutoff)?, &reciprocal(s)?, &num(0i64))
}

/// Returns the Moore–Penrose pseudo-inverses. Singular values up to `max(atol, rtol * largest)` count as zero; `rtol` is by default `max(m, n)` times the
/// machine's precision, or 0 where `atol` is given. Both are numbers, or tensors with one for each matrix. A `hermitian` matrix is taken to be symmetric, and only its lower triangle is read.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.linalg.pinv.html>
#[op("(A, *, atol=None, rtol=None, hermitian=False)", wide, function,
    samples = ["T(3, 3)", "T(4, 2)", "T(2, 2, 3)", "S(3, 3), hermitian=True", "T(3, 2), rtol=1e-3", "T(3, 2), atol=1e-4", "T(2, 3, 2), rtol=T(2, lo=0, hi=0.01)", "T(2, 3, 2), atol=T(2, lo=0, hi=0.01)", "T(0, 2)", "T(2, 0)"],
    errors = [("T(3)", "expected a tensor with 2 or more dimensions"), ("T(2, 3), hermitian=True", "square"),
        ("T(2, 3, 2), rtol=T(3)", "The size of tensor a")])]
pub fn linalg_pinv(a: &Tensor, atol: Option<&Tensor>, rtol: Option<&Tensor>, hermitian: bool) -> Result<Tensor> {
    if a.rank() < 2 || !matches!(a.dtype(), DType::F32 | DType::F64) {
        return Err(Error::runtime(format!(
            "linalg.pinv({}{{{:?}}}): expected a tensor with 2 or more dimensions of float, double, cfloat or cdouble types",
            a.dtype().scalar_type_name(),
            a.shape().as_slice()
        )));
    }
    let (m, n) = matrices("linalg.pinv", "linalg_svd_cpu", "A", a)?;
    if hermitian && m != n {
        return Err(Error::runtime(format!("linalg.pinv: expected square matrices, but they are {m} by {n} matrices")));
    }
    let epsilon = if a.dtype() == DType::F32 { f32::EPSILON as f64 } else { f64::EPSILON };
    let y = {
        let _guard = no_grad();
        let rtol = match (rtol, atol) {
            (Some(rtol), _) => rtol.clone(),
            (None, Some(atol)) => where_(&gt(atol, &num(0i64))?, &num(0.0), &num(epsilon * m.max(n) as f64))?,
            (None, None) => num(epsilon * m.max(n) as f64),
        };
        let (rtol, atol) = (&rtol, &atol.cloned().unwrap_or_else(|| num(0.0)));
        let x = a.detach();
        if m == 0 || n == 0 {
            let mut shape = x.shape();
            let rank = shape.len();
            shape.swap(rank - 2, rank - 1);
            filled(&shape, Scalar::Int(0), x.dtype())?
        } else if hermitian {
            let (d, v) = linalg_eigh(&x, "L")?;
            let inverse = mul(&safe_reciprocal(&abs(&d)?, atol, rtol)?, &sgn(&d)?)?;
            matmul(&mul(&v, &unsqueeze(&inverse, -2)?)?, &mt(&v)?)?
        } else {
            let (u, s, vh) = linalg_svd(&x, false, None)?;
            let scaled = mul(&mt(&vh)?, &unsqueeze(&safe_reciprocal(&s, atol, rtol)?, -2)?)?;
            matmul(&scaled, &mt(&u)?)?
        }
    };
    // Golub and Pereyra: -Pᵀ g Pᵀ + (1 - A P) gᵀ P Pᵀ + Pᵀ P gᵀ (1 - P A). It holds as long as the rank does not change.
    y.with_grad([a], |s| {
        let (sa, sy) = (s.input(a), s.output());
        grad_fn(move |c, g| {
            let (a, p) = (sa.get(c)?, sy.get(c)?);
            let (pt, gt) = (mt(&p)?, mt(g)?);
            let gpp = matmul(&matmul(&gt, &p)?, &pt)?;
            let ppg = matmul(&pt, &matmul(&p, &gt)?)?;
            let out = sub(&gpp, &matmul(&a, &matmul(&p, &gpp)?)?, ONE)?;
            let into = sub(&ppg, &matmul(&matmul(&ppg, &p)?, &a)?, ONE)?;
            let inside = matmul(&matmul(&pt, g)?, &pt)?;
            Ok([Some(sub(&add(&out, &into, ONE)?, &inside, ONE)?)])
        })
    })
}

/// Returns the Moore–Penrose pseudo-inverses; singular values up to `rcond` times the largest count as zero.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.pinverse.html>
#[op("(input, rcond=1e-15)", wide, samples = ["T(3, 2)", "T(2, 2, 3), 1e-4"], errors = [("T(3)", "expected a tensor with 2 or more dimensions")])]
pub fn pinverse(x: &Tensor, rcond: f64) -> Result<Tensor> {
    linalg_pinv(x, None, Some(&num(rcond)), false)
}

/// Returns X of least length that makes the columns of `A X - B` shortest; the sums of their squares; the rank of A; and its singular values. As in PyTorch
/// `driver` ('gelsy', the default, 'gels', 'gelsd', 'gelss') decides which of the last three are there, and which are empty. Singular values up to `rcond`
/// times the largest count as zero.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.linalg.lstsq.html>
#[op("(input, b, rcond=None, *, driver=None)", wide, function,
    samples = ["T(4, 2), T(4, 3)", "T(2, 3), T(2, 1)", "T(2, 4, 2), T(2, 4)", "T(4, 2), T(4, 1), driver='gels'", "T(3, 3), T(3, 1)"],
    errors = [("T(3, 2), T(2, 1)", "torch.linalg.lstsq: input.size(-2) should match other.size(-2)"), ("T(3, 2), T(3, 1), driver='foo'", "parameter `driver` should be one of (gels, gelsy, gelsd, gelss)"),
        ("T(3), T(3)", "torch.linalg.lstsq: input must have at least 2 dimensions")])]
pub fn linalg_lstsq(a: &Tensor, b: &Tensor, rcond: Option<f64>, driver: Option<&str>) -> Result<Vec<Tensor>> {
    let refuse = |text: &str| Err(Error::runtime(format!("torch.linalg.lstsq: {text}")));
    if a.rank() < 2 {
        return refuse("input must have at least 2 dimensions.");
    }
    let (m, n) = matrices("torch.linalg.lstsq", "linalg_lstsq_cpu", "input", a)?;
    let driver = driver.unwrap_or("gelsy");
    if !matches!(driver, "gels" | "gelsy" | "gelsd" | "gelss") {
        return refuse(&format!("parameter `driver` should be one of (gels, gelsy, gelsd, gelss), but got {driver}"));
    }
    let sa = a.shape();
    let vector = b.rank() + 1 == a.rank() && b.shape()[..] == sa[..sa.len() - 1];
    let rhs = if vector { unsqueeze(b, -1)? } else { b.clone() };
    if rhs.rank() < 2 || rhs.size(-2) != m {
        return refuse(&format!("input.size(-2) should match other.size(-2), but got {m} and {:?}", b.shape().as_slice()));
    }
    super::linalg::same_dtype(a, &rhs)?;
    let epsilon = if a.dtype() == DType::F32 { f32::EPSILON as f64 } else { f64::EPSILON };
    let rtol = rcond.unwrap_or(epsilon * m.max(n) as f64);
    let x = matmul(&linalg_pinv(a, None, Some(&num(rtol)), false)?, &rhs)?;
    let nothing = |dtype: DType| filled(&[0], Scalar::Int(0), dtype);
    let _guard = no_grad();
    let s = linalg_svdvals(&a.detach(), None)?;
    let counted = if m.min(n) == 0 { ne(&s, &s)? } else { gt(&s, &mul(&amax(&s, &[-1], true)?, &num(rtol))?)? };
    let rank = sum_dim(&counted, Some(&[-1]), false, None)?;
    drop(_guard);
    let full = rank.to_f64_vec().iter().all(|&r| r == n as f64);
    let residuals = if driver != "gelsy" && m > n && full {
        let rest = sub(&matmul(a, &x)?, &rhs, ONE)?;
        sum_dim(&square(&rest)?, Some(&[-2]), false, None)?
    } else {
        // Empty, but a part of the graph.
        nothing(a.dtype())?.with_grad([a, b], |_| grad_fn(|_, _| Ok([None, None])))?
    };
    let rank = if driver == "gels" { nothing(DType::I64)? } else { rank };
    let s = if matches!(driver, "gelsd" | "gelss") { s } else { nothing(a.dtype())? };
    let x = if vector { squeeze_dim(&x, &[-1])? } else { x };
    Ok(vec![x, residuals, rank, s])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_power_of_zero_is_the_identity() {
        assert_eq!(matrix_power(&Tensor::zeros([1, 2, 2]), 0).unwrap().to_f64_vec(), [1.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn the_driver_decides_what_least_squares_answer() {
        let a = Tensor::from_vec(vec![1.0, 0.0, 0.0, 2.0, 0.0, 0.0], [3, 2]);
        let b = Tensor::from_vec(vec![3.0, 4.0, 5.0], [3, 1]);
        for (driver, numels) in
            [("gels", [2, 1, 0, 0]), ("gelsy", [2, 0, 1, 0]), ("gelsd", [2, 1, 1, 2]), ("gelss", [2, 1, 1, 2])]
        {
            let outs = linalg_lstsq(&a, &b, None, Some(driver)).unwrap();
            assert_eq!(outs.iter().map(Tensor::numel).collect::<Vec<_>>(), numels, "{driver}");
            assert!(allclose(&outs[0], &Tensor::from_vec(vec![3.0, 2.0], [2, 1]), 1e-12, 0.0, false).unwrap());
        }
        let all = linalg_lstsq(&a, &b, None, Some("gelsd")).unwrap();
        assert_eq!(all[2].item::<i64>(), 2);
        assert!((all[1].item::<f64>() - 25.0).abs() < 1e-10);
    }

    #[test]
    fn matrices_far_beyond_the_radius_are_scaled_each_by_itself() {
        let x = Tensor::from_vec(vec![30.0, 0.0, 0.0, -30.0, 1e-3, 0.0, 0.0, 0.0], [2, 2, 2]);
        let y = matrix_exp(&x).unwrap().to_f64_vec();
        let expected = [30f64.exp(), 0.0, 0.0, (-30f64).exp(), 1e-3f64.exp(), 0.0, 0.0, 1.0];
        assert!(y.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-10 * b.abs().max(1e-3)), "{y:?}");
        let nan = Tensor::from_vec(vec![f64::NAN], [1, 1]);
        assert!(matrix_exp(&nan).unwrap().item::<f64>().is_nan());
    }
}
