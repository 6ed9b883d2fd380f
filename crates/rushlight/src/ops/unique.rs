//! Distinct elements and rows. All of it is made of sorts, comparisons of neighbours and running sums.

use super::view::as_i64;
use super::*;
use crate::no_grad;

ops![unique2, unique_dim, unique_consecutive];

/// Distinct values, where each input is among them, and how often each occurs.
type Distinct = (Tensor, Tensor, Tensor);

/// Runs of equal neighbours: for each place whether a run begins there.
struct Runs(Tensor);

impl Runs {
    /// From `differs` `[n - 1]`, which says of each place but the first whether it differs from the one before.
    fn new(differs: &Tensor) -> Result<Runs> {
        Ok(Runs(cat(&[ones(&[1], Some(DType::Bool))?, differs.clone()], 0)?))
    }
    /// The numbers of the runs, place by place.
    fn numbers(&self) -> Result<Tensor> {
        sub(&cumsum(&self.0, 0, None)?, &num(1i64), Scalar::Int(1))
    }
    /// Where each run begins.
    fn starts(&self) -> Result<Tensor> {
        reshape(&nonzero(&self.0)?, &[-1])
    }
    /// How long each is.
    fn lengths(&self) -> Result<Tensor> {
        let n = Tensor::from_vec(vec![self.0.numel() as i64], [1]);
        diff(&self.starts()?, 1, 0, None, Some(&n))
    }
}

/// Whether each row along the first dimension differs from the one before, elementwise.
fn neighbours_differ(x: &Tensor) -> Result<Tensor> {
    let n = x.size(0) as i64;
    ne(&narrow(x, 0, 1, n - 1)?, &narrow(x, 0, 0, n - 1)?)
}

fn nothing() -> Result<Tensor> {
    zeros(&[0], Some(DType::I64))
}

fn if_wanted(wanted: bool, f: impl FnOnce() -> Result<Tensor>) -> Result<Tensor> {
    if wanted { f() } else { nothing() }
}

/// The runs of equal elements of the vector `x` once it is sorted, and the order that sorts it.
fn sorted_runs(x: &Tensor) -> Result<(Tensor, Tensor, Runs)> {
    let (sorted, order) = sort(x, 0, false, true)?;
    let runs = Runs::new(&neighbours_differ(&sorted)?)?;
    Ok((sorted, order, runs))
}

/// Returns the distinct elements of `input` in rising order; where each element is among them, in the shape of `input`; and how often each occurs. The
/// last two are empty unless asked for. `sorted` is accepted for PyTorch's sake: the result always is. Every NaN is distinct.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.unique.html>
#[op("(input, sorted=True, return_inverse=False, return_counts=False)", name = "_unique2", any, nondiff, function,
    samples = ["I(8, hi=4)", "I(3, 4, hi=5), return_inverse=True, return_counts=True", "T(3, 2), True, True, True", "B(5), return_counts=True", "I(0), True, True, True",
        "T(), True, True, True", "I(5, hi=3, dtype=uint8), False"])]
pub fn unique2(x: &Tensor, sorted: bool, return_inverse: bool, return_counts: bool) -> Result<Distinct> {
    let _ = sorted;
    let x = x.detach();
    let flat = reshape(&x, &[-1])?;
    if flat.numel() == 0 {
        let inverse = if_wanted(return_inverse, || zeros(&as_i64(&x.shape()), Some(DType::I64)))?;
        return Ok((copy(&flat)?, inverse, nothing()?));
    }
    let (sorted, order, runs) = sorted_runs(&flat)?;
    let inverse = if_wanted(return_inverse, || {
        let numbers = scatter(&zeros_like(&order, None)?, 0, &order, &runs.numbers()?, None)?;
        reshape(&numbers, &as_i64(&x.shape()))
    })?;
    Ok((index_select(&sorted, 0, &runs.starts()?)?, inverse, if_wanted(return_counts, || runs.lengths())?))
}

/// `x` as a matrix with a row for each slice along `d`.
fn slices(x: &Tensor, d: usize) -> Result<Tensor> {
    let x = movedim(x, &[d as i64], &[0])?;
    let (n, all) = (x.size(0), x.numel());
    reshape(&x, &[n as i64, (all / n.max(1)) as i64])
}

/// For each element its rank among the distinct ones of its column.
fn ranks(x: &Tensor) -> Result<Tensor> {
    let (sorted, order) = sort(x, 0, false, true)?;
    let first = zeros(&[1, x.size(1) as i64], Some(DType::I64))?;
    let steps = cat(&[first, to_dtype(&neighbours_differ(&sorted)?, DType::I64)?], 0)?;
    scatter(&zeros_like(&order, None)?, 0, &order, &cumsum(&steps, 0, None)?, None)
}

/// For each row its rank in lexicographic order: neighbouring columns are joined to one, again and again.
fn row_ranks(x: &Tensor) -> Result<Tensor> {
    let n = num(x.size(0) as i64);
    let mut x = ranks(x)?;
    while x.size(1) > 1 {
        let pairs = x.size(1) as i64 / 2;
        let (even, odd) = (slice(&x, 1, Some(0), Some(2 * pairs), 2)?, slice(&x, 1, Some(1), Some(2 * pairs), 2)?);
        let joined = ranks(&add(&mul(&even, &n)?, &odd, Scalar::Int(1))?)?;
        let rest = slice(&x, 1, Some(2 * pairs), None, 1)?;
        x = cat(&[joined, rest], 1)?;
    }
    reshape(&x, &[-1])
}

/// The dimension, after the checks that both ops along one make.
fn checked_dim(x: &Tensor, dim: i64) -> Result<usize> {
    let shape = x.shape();
    if shape.is_empty() {
        return Err(Error::index(format!("Dimension specified as {dim} but tensor has no dimensions")));
    }
    let d = super::dim(dim, shape.len())?;
    let empty = shape.iter().filter(|&&n| n == 0).count();
    if shape[d] == 0 && empty > 1 {
        return Err(Error::runtime("Number of zero sized dimensions is more than one, so unique cannot be applied "));
    }
    if shape[d] != 0 && empty > 0 {
        return Err(Error::runtime("There are 0 sized dimensions, and they aren't selected, so unique cannot be applied"));
    }
    Ok(d)
}

/// Returns the distinct slices of `input` along `dim` in lexicographic order; which of them each slice is; and how often each occurs. `sorted`,
/// `return_inverse` and `return_counts` are accepted for PyTorch's sake: all are there, and the slices are sorted.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.unique.html>
#[op("(input, dim, sorted=True, return_inverse=False, return_counts=False)", any, nondiff, function,
    samples = ["I(6, 2, hi=2), 0, True, True, True", "I(2, 3, 5, hi=2), -1, return_inverse=True", "I(2, 7, hi=2), 1, return_counts=True", "B(5, 3), 0", "T(0, 2), 0, True, True, True",
        "T(3, 2), 0, True, True, True"],
    errors = [("T(2, 0), 0", "There are 0 sized dimensions, and they aren't selected, so unique cannot be applied"), ("T(), 0", "Dimension specified as 0 but tensor has no dimensions"),
        ("T(0, 0), 0", "Number of zero sized dimensions is more than one"), ("T(2), 1", "Dimension out of range")])]
pub fn unique_dim(x: &Tensor, dim: i64, sorted: bool, return_inverse: bool, return_counts: bool) -> Result<Distinct> {
    let _ = (sorted, return_inverse, return_counts);
    let d = checked_dim(x, dim)?;
    let x = x.detach();
    if x.numel() == 0 {
        return Ok((copy(&x)?, nothing()?, nothing()?));
    }
    let (_, order, runs) = sorted_runs(&row_ranks(&slices(&x, d)?)?)?;
    let inverse = scatter(&zeros_like(&order, None)?, 0, &order, &runs.numbers()?, None)?;
    let firsts = index_select(&order, 0, &runs.starts()?)?;
    Ok((index_select(&x, d as i64, &firsts)?, inverse, runs.lengths()?))
}

/// Returns `input` without the elements (with `dim`: slices) that equal the one before; which of those that are left each has become; and how many
/// became each. The last two are empty unless asked for.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.unique_consecutive.html>
#[op("(input, return_inverse=False, return_counts=False, dim=None)", any, nondiff, function,
    samples = ["I(9, hi=2)", "I(3, 4, hi=2), True, True", "I(6, 1, hi=2), True, True, 0", "I(2, 7, hi=2), True, True, -1", "B(5)", "I(0), True, True", "T(), True, True", "T(0, 2), True, True, 0"],
    errors = [("T(2, 0), dim=0", "There are 0 sized dimensions, and they aren't selected, so unique cannot be applied"), ("T(), dim=0", "but tensor has no dimensions"),
        ("T(2), dim=3", "Dimension out of range")])]
pub fn unique_consecutive(x: &Tensor, return_inverse: bool, return_counts: bool, dim: Option<i64>) -> Result<Distinct> {
    let _guard = no_grad();
    let d = dim.map(|dim| checked_dim(x, dim)).transpose()?;
    let x = x.detach();
    let flat = if d.is_some() { x.clone() } else { reshape(&x, &[-1])? };
    if x.numel() == 0 {
        let inverse = if_wanted(return_inverse && d.is_none(), || zeros(&as_i64(&x.shape()), Some(DType::I64)))?;
        return Ok((copy(&flat)?, inverse, nothing()?));
    }
    let differs = neighbours_differ(&slices(&flat, d.unwrap_or(0))?)?;
    let runs = Runs::new(&any_dim(&differs, Some(&[1]), false)?)?;
    let inverse = if_wanted(return_inverse, || {
        let numbers = runs.numbers()?;
        if d.is_some() { Ok(numbers) } else { reshape(&numbers, &as_i64(&x.shape())) }
    })?;
    let values = index_select(&flat, d.unwrap_or(0) as i64, &runs.starts()?)?;
    Ok((values, inverse, if_wanted(return_counts, || runs.lengths())?))
}
