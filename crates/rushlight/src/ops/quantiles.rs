//! Statistics of samples beyond their moments: quantiles, the most frequent value, covariances.

use super::view::as_i64;
use super::*;
use crate::no_grad;

ops![mode, quantile, nanquantile, cov, corrcoef];

const ONE: Scalar = Scalar::Int(1);

/// Returns the most frequent value along `dim`, the smallest of several, and where it occurs last.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.mode.html>
#[op("(input, dim=-1, keepdim=False)", returns = ["values", "indices"], any,
    samples = ["I(9, hi=3)", "I(3, 5, hi=2), 0", "T(3, 4), 1, True", "T()", "B(4)", "T(0, 2)", "I(2, 3, 4, hi=2), 1"],
    errors = [("T(0)", "mode(): Expected reduction dim 0 to have non-zero size."), ("T(3), 1", "Dimension out of range")])]
pub fn mode(x: &Tensor, dim: i64, keepdim: bool) -> Result<(Tensor, Tensor)> {
    let d = super::dim(dim, x.rank())? as i64;
    if x.rank() == 0 {
        return Ok((copy(x)?, zeros(&[], Some(DType::I64))?));
    }
    let n = x.size(d) as i64;
    if n == 0 {
        return Err(Error::index(format!("mode(): Expected reduction dim {d} to have non-zero size.")));
    }
    let at = {
        let _guard = no_grad();
        let (sorted, order) = sort(&x.detach(), d, false, true)?;
        let differs = to_dtype(&ne(&narrow(&sorted, d, 1, n - 1)?, &narrow(&sorted, d, 0, n - 1)?)?, DType::I64)?;
        let mut sizes = SmallVec::<[i64; 6]>::from_elem(1, x.rank());
        sizes[d as usize] = n;
        let place = reshape(&arange(Scalar::Int(n), None)?, &sizes)?;
        // Where the run of equal values that a place is in begins; the place at which a run is longest is its end.
        let begins = mul(&narrow(&place, d, 1, n - 1)?, &differs)?;
        let begins = cummax(&cat(&[zeros_like(&narrow(&order, d, 0, 1)?, None)?, begins], d)?, d)?.0;
        let end = argmax(&sub(&place, &begins, ONE)?, Some(d), true)?;
        gather(&order, d, &end, false)?
    };
    let values = gather(x, d, &at, false)?;
    if keepdim {
        return Ok((values, at));
    }
    let mut shape = as_i64(&x.shape());
    shape.remove(d as usize);
    Ok((reshape(&values, &shape)?, reshape(&at, &shape)?))
}

/// How a quantile between two elements is found.
#[derive(Clone, Copy, PartialEq)]
enum Between {
    Linear,
    Lower,
    Higher,
    Midpoint,
    Nearest,
}

impl Between {
    fn of(op: &str, name: &str) -> Result<Between> {
        Ok(match name {
            "linear" => Between::Linear,
            "lower" => Between::Lower,
            "higher" => Between::Higher,
            "midpoint" => Between::Midpoint,
            "nearest" => Between::Nearest,
            _ => {
                return Err(Error::runtime(format!(
                    "{op}() interpolation must be one of linear, lower, higher, midpoint or nearest, but got {name}"
                )));
            }
        })
    }
}

fn check_quantile(op: &str, x: &Tensor, q: &Tensor) -> Result<()> {
    let refuse = |text: String| Err(Error::runtime(format!("{op}() {text}")));
    if !matches!(x.dtype(), DType::F32 | DType::F64) {
        return refuse("input tensor must be either float or double dtype".into());
    }
    if x.numel() == 0 {
        return refuse("input tensor must be non-empty".into());
    }
    if q.rank() > 1 {
        return refuse(format!("q must be a scalar or 1D tensor, but got {}D", q.rank()));
    }
    if !q.is_wrapped_number() && q.dtype() != x.dtype() {
        return refuse(format!("q tensor must be same dtype as the input tensor, but got {} and {}", q.dtype(), x.dtype()));
    }
    match q.to_f64_vec().iter().find(|q| !(0.0..=1.0).contains(*q)) {
        Some(bad) if q.is_wrapped_number() => refuse(format!("q must be in the range [0, 1] but got {bad}")),
        Some(bad) => refuse(format!("q values must be in the range [0, 1], but got {bad}")),
        None => Ok(()),
    }
}

/// Quantiles of all elements or along `dim`. NaN counts as an element that makes the result NaN, or with `skip_nan` not at all.
fn quantiles(op: &str, x: &Tensor, q: &Tensor, dim: Option<i64>, keepdim: bool, how: &str, skip_nan: bool) -> Result<Tensor> {
    check_quantile(op, x, q)?;
    let how = Between::of(op, how)?;
    let d = dim.map(|dim| super::dim(dim, x.rank())).transpose()?;
    let lines = match d {
        Some(d) if x.rank() > 0 => movedim(x, &[d as i64], &[-1])?,
        _ => reshape(x, &[-1])?,
    };
    let sorted = sort(&lines, -1, false, true)?.0;
    let n = sorted.size(-1) as i64;
    let q1 = reshape(&to_dtype(q, x.dtype())?, &[-1])?;
    let nan = isnan(&sorted.detach())?;
    let ranks = if skip_nan {
        let valid = sub(&num(n), &sum_dim(&nan, Some(&[-1]), true, None)?, ONE)?;
        clamp_min(&mul(&q1, &sub(&valid, &num(1i64), ONE)?)?, &num(0i64))?
    } else {
        // The last element of a line with NaN is NaN.
        let last = any_dim(&nan, Some(&[-1]), true)?;
        masked_fill(&mul(&q1, &num(n - 1))?, &last, &num(n - 1))?
    };
    let mut at = as_i64(&sorted.shape());
    *at.last_mut().expect("lines have a dimension") = q1.numel() as i64;
    let ranks = expand(&ranks, &at)?;
    let ranks = match how {
        Between::Lower => floor(&ranks.detach())?,
        Between::Higher => ceil(&ranks.detach())?,
        Between::Nearest => round(&ranks.detach(), 0)?,
        Between::Linear | Between::Midpoint => ranks,
    };
    let pick = |ranks: &Tensor| gather(&sorted, -1, &to_dtype(&ranks.detach(), DType::I64)?, false);
    let below = floor(&ranks.detach())?;
    let mut values = pick(&below)?;
    if matches!(how, Between::Linear | Between::Midpoint) {
        let weight =
            if how == Between::Midpoint { mul(&ones_like(&below, None)?, &num(0.5))? } else { sub(&ranks, &below, ONE)? };
        values = lerp(&values, &pick(&ceil(&ranks.detach())?)?, &weight)?;
    }
    // The quantiles' dimension comes first, and is left out for a single number.
    let mut shape = as_i64(&x.shape());
    match (d, keepdim) {
        (Some(d), true) if x.rank() > 0 => shape[d] = 1,
        (Some(d), false) if x.rank() > 0 => drop(shape.remove(d)),
        (_, true) => shape.fill(1),
        _ => shape.clear(),
    }
    let values = movedim(&values, &[-1], &[0])?;
    if q.rank() > 0 {
        shape.insert(0, q1.numel() as i64);
    }
    reshape(&values, &shape)
}

/// Returns the `q`-quantiles of `input`, of all elements or along `dim`: the value at rank `q (n - 1)` of the sorted elements. Between two of them:
/// `interpolation` 'linear', 'lower', 'higher', 'midpoint' or 'nearest'. A vector `q` gives the result a leading dimension. NaN makes a result NaN.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.quantile.html>
#[op("(input, q, dim=None, keepdim=False, *, interpolation='linear')", wide,
    samples = ["T(7), 0.3", "T(3, 4), T(2, lo=0.1, hi=0.9), 1", "T(3, 4), 0.6, 0, True, interpolation='lower'", "T(2, 3), T(3, lo=0.2, hi=0.8), keepdim=True", "T(5), 0.35, interpolation='midpoint'",
        "T(4, 3), 0.55, 0, interpolation='nearest'", "T(4, 3), T(lo=0.1, hi=0.3), -1, interpolation='higher'", "T(), 0.5", "T(5), 1.0"],
    errors = [("I(3), 0.5", "quantile() input tensor must be either float or double dtype"), ("T(3), 1.5", "quantile() q must be in the range [0, 1] but got 1.5"),
        ("T(3), T(1, lo=2, hi=3)", "quantile() q values must be in the range [0, 1]"), ("T(3), T(1, 1, lo=0, hi=1)", "quantile() q must be a scalar or 1D tensor"),
        ("T(3, dtype=float32), T(1, lo=0, hi=1, dtype=float64)", "quantile() q tensor must be same dtype as the input tensor"), ("T(0), 0.5", "quantile() input tensor must be non-empty"),
        ("T(3), 0.5, interpolation='foo'", "but got foo"), ("T(3), 0.5, 2", "Dimension out of range")])]
pub fn quantile(x: &Tensor, q: &Tensor, dim: Option<i64>, keepdim: bool, interpolation: &str) -> Result<Tensor> {
    quantiles("quantile", x, q, dim, keepdim, interpolation, false)
}

/// As `quantile`, of the elements that are not NaN; NaN where there are none.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nanquantile.html>
#[op("(input, q, dim=None, keepdim=False, *, interpolation='linear')", wide,
    samples = ["T(7), 0.3", "T(3, 4), T(2, lo=0.1, hi=0.9), 1", "T(3, 4), 0.6, 0, True", "T(), 0.5"],
    errors = [("I(3), 0.5", "nanquantile() input tensor must be either float or double dtype"), ("T(3), -0.5", "nanquantile() q must be in the range [0, 1] but got -0.5")])]
pub fn nanquantile(x: &Tensor, q: &Tensor, dim: Option<i64>, keepdim: bool, interpolation: &str) -> Result<Tensor> {
    quantiles("nanquantile", x, q, dim, keepdim, interpolation, true)
}

fn at_most_two(op: &str, x: &Tensor) -> Result<()> {
    if x.rank() <= 2 {
        return Ok(());
    }
    Err(Error::runtime(format!(
        "{op}(): expected input to have two or fewer dimensions but got an input with {} dimensions",
        x.rank()
    )))
}

/// Checks the weights called `name` of `n` observations.
fn check_weights(name: &str, w: &Tensor, n: usize, integral: bool) -> Result<()> {
    if w.rank() > 1 {
        return Err(Error::runtime(format!(
            "cov(): expected {name} to have one or fewer dimensions but got {name} with {} dimensions",
            w.rank()
        )));
    }
    if (w.dtype().is_float() || w.dtype() == DType::Bool) == integral {
        return Err(Error::runtime(format!(
            "cov(): expected {name} to have {} dtype but got {name} with {} dtype",
            if integral { "integral" } else { "floating point" },
            w.dtype().scalar_type_name()
        )));
    }
    if w.numel() != n {
        return Err(Error::runtime(format!(
            "cov(): expected {name} to have the same numel as there are observations in the input but got {} != {n}",
            w.numel()
        )));
    }
    if w.to_f64_vec().iter().any(|&w| w < 0.0) {
        return Err(Error::runtime(format!("cov(): {name} cannot be negative")));
    }
    Ok(())
}

/// Returns the covariances of the variables in the rows of `input` (a vector is one variable): `[variables, variables]`, or a number. The divisor is the
/// number of observations less `correction`. `fweights` says how often each observation was made, `aweights` how much it counts.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.cov.html>
#[op("(input, *, correction=1, fweights=None, aweights=None)", number,
    samples = ["T(3, 5)", "T(5)", "T(2, 4), correction=0", "T(2, 4), fweights=I(4, lo=1, hi=4)", "T(2, 4), aweights=T(4, lo=0.5, hi=2)",
        "T(2, 4), fweights=I(4, lo=1, hi=4), aweights=T(4, lo=0.5, hi=2)", "I(2, 4)", "T(1, 3)"],
    errors = [("T(2, 2, 2)", "cov(): expected input to have two or fewer dimensions but got an input with 3 dimensions"), ("B(3)", "cov(): bool dtype is not supported for input"),
        ("T(2, 2), fweights=T(2)", "cov(): expected fweights to have integral dtype but got fweights with Float dtype"), ("T(2, 2), fweights=I(2, lo=-2, hi=0)", "cov(): fweights cannot be negative"),
        ("T(2, 2), fweights=I(1)", "cov(): expected fweights to have the same numel as there are observations in the input but got 1 != 2"),
        ("T(2, 2), aweights=I(2)", "cov(): expected aweights to have floating point dtype but got aweights with Long dtype"),
        ("T(2, 2), aweights=T(1, 2)", "cov(): expected aweights to have one or fewer dimensions but got aweights with 2 dimensions")])]
pub fn cov(x: &Tensor, correction: i64, fweights: Option<&Tensor>, aweights: Option<&Tensor>) -> Result<Tensor> {
    at_most_two("cov", x)?;
    if x.dtype() == DType::Bool {
        return Err(Error::not_implemented("cov(): bool dtype is not supported for input"));
    }
    let x = if x.rank() < 2 { reshape(x, &[1, -1])? } else { x.clone() };
    let n = x.size(1);
    fweights.map_or(Ok(()), |w| check_weights("fweights", w, n, true))?;
    aweights.map_or(Ok(()), |w| check_weights("aweights", w, n, false))?;
    let weights = match (fweights, aweights) {
        (Some(f), Some(a)) => Some(mul(f, a)?),
        (f, a) => f.or(a).cloned(),
    };
    let (total, average) = match &weights {
        None => (num(n as i64), div(&sum_dim(&x, Some(&[1]), true, None)?, &num(n as i64), None)?),
        Some(w) => {
            let total = sum(w, None)?;
            if total.detach().try_item::<f64>()? == 0.0 {
                return Err(Error::value("cov(): weights sum to zero, can't be normalized"));
            }
            let average = div(&sum_dim(&mul(&x, w)?, Some(&[1]), true, None)?, &total, None)?;
            (total, average)
        }
    };
    let correction = num(correction);
    let taken = match (&weights, aweights) {
        (Some(w), Some(a)) => div(&mul(&sum(&mul(w, a)?, None)?, &correction)?, &total, None)?,
        _ => correction,
    };
    let divisor = clamp_min(&sub(&total, &taken, ONE)?, &num(0i64))?;
    let centred = sub(&x, &average, ONE)?;
    let weighed = match &weights {
        None => centred.clone(),
        Some(w) => to_dtype(&mul(&centred, w)?, centred.dtype())?,
    };
    squeeze(&div(&matmul(&centred, &t(&weighed)?)?, &divisor, None)?)
}

/// Returns the correlation coefficients of the variables in the rows of `input`: covariances divided by both standard deviations.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.corrcoef.html>
#[op("(input)", number, samples = ["T(3, 5)", "T(5)", "I(2, 4)", "T(2, 4)"],
    errors = [("T(2, 2, 2)", "corrcoef(): expected input to have two or fewer dimensions but got an input with 3 dimensions")])]
pub fn corrcoef(x: &Tensor) -> Result<Tensor> {
    at_most_two("corrcoef", x)?;
    let c = cov(x, 1, None, None)?;
    if c.rank() == 0 {
        return div(&c, &c, None);
    }
    let deviation = sqrt(&diagonal(&c, 0, 0, 1)?)?;
    let scaled = div(&div(&c, &unsqueeze(&deviation, 1)?, None)?, &unsqueeze(&deviation, 0)?, None)?;
    clamp(&scaled, Some(Scalar::Int(-1)), Some(Scalar::Int(1)))
}
