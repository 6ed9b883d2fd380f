//! Counting: which values, and how many in which interval; and searching in sorted sequences.

use super::*;
use crate::autograd::no_grad;

ops![bincount, histc, histogram, histogram_edges, searchsorted, bucketize];

/// `n` zeros of `dtype` with `weights` (ones, if there are none) added at the positions `at`.
fn tally(n: i64, at: &Tensor, weights: Option<&Tensor>, dtype: DType) -> Result<Tensor> {
    let weights = match weights {
        Some(w) => to_dtype(w, dtype)?,
        None => filled(&at.shape(), Scalar::Int(1), dtype)?,
    };
    index_add(&filled(&[n as usize], Scalar::Int(0), dtype)?, 0, at, &weights, Scalar::Int(1))
}

/// How often each of the integers from 0 on occurs in the vector `x`, at least `n` of them; `None` if there are negative ones.
fn counted(x: &Tensor, n: usize) -> Result<Option<Tensor>> {
    let x = contiguous(&x.detach())?.data();
    let (least, most) = storage::read(std::slice::from_ref(&x), |v| backend().extent(v[0]))?.unwrap_or((0, -1));
    if least < 0 {
        return Ok(None);
    }
    let n = n.max((most as usize).wrapping_add(1));
    let counts = storage::compute(Layout::contiguous(&[n]), DType::I64, &[x], |v, out| backend().bincount(v[0], out))?;
    Ok(Some(Tensor::from_data(counts)))
}

/// Returns how often each of the integers 0, 1, … occurs in the vector `input`, or the sum of the `weights` where it does. The result has `minlength`
/// elements, or more if `input` has larger numbers.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.bincount.html>
#[op("(input, weights=None, minlength=0)", integral, nondiff,
    samples = ["I(7, hi=5)", "I(4, hi=3), T(4)", "I(4, hi=3, dtype=uint8), None, 6", "I(0), minlength=3", "I(3, hi=2), I(3)", "I(0)"],
    errors = [("I(1, lo=-1, hi=0)", "bincount only supports 1-d non-negative integral inputs."), ("I(2, 2)", "bincount only supports 1-d non-negative integral inputs."),
        ("T(3)", "\"bincount_cpu\" not implemented for 'Float'"), ("B(3)", "\"bincount_cpu\" not implemented for 'Bool'"),
        ("I(3), T(2)", "weights should be 1-d and have the same length as input"), ("I(3), None, -1", "minlength should be >= 0")])]
pub fn bincount(x: &Tensor, weights: Option<&Tensor>, minlength: i64) -> Result<Tensor> {
    if x.dtype().is_float() || x.dtype() == DType::Bool {
        return Err(Error::not_implemented(format!("\"bincount_cpu\" not implemented for '{}'", x.dtype().scalar_type_name())));
    }
    if minlength < 0 {
        return Err(Error::runtime(format!("minlength should be >= 0, but got {minlength}")));
    }
    if weights.is_none()
        && x.rank() == 1
        && let Some(counts) = counted(x, minlength as usize)?
    {
        return Ok(counts);
    }
    if x.rank() != 1 || smallest(x)?.is_some_and(|least| least < 0) {
        return Err(Error::runtime("bincount only supports 1-d non-negative integral inputs."));
    }
    if weights.is_some_and(|w| w.shape() != x.shape()) {
        return Err(Error::runtime("weights should be 1-d and have the same length as input"));
    }
    let dtype = match weights {
        None => DType::I64,
        Some(w) if w.dtype() == DType::F32 => DType::F32,
        Some(_) => DType::F64,
    };
    let largest = if x.numel() == 0 { -1 } else { max(x)?.try_item::<i64>()? };
    let at = to_dtype(x, DType::I64)?;
    let weights = weights.map(Tensor::detach);
    tally(minlength.max(largest.saturating_add(1)), &at, weights.as_ref(), dtype)
}

/// The ends of a histogram's range: as given, or else those of the data; `margin` beyond them where they are equal.
fn ends(op: &str, x: &Tensor, given: Option<(f64, f64)>, margin: f64) -> Result<(f64, f64)> {
    let (mut low, mut high) = match given {
        Some(range) => range,
        None if x.numel() == 0 => (0.0, 1.0),
        None => {
            let (low, high) = aminmax(x, None, false)?;
            (low.try_item::<f64>()?, high.try_item::<f64>()?)
        }
    };
    if !(low.is_finite() && high.is_finite()) {
        return Err(Error::runtime(format!("{op}: range of [{low}, {high}] is not finite")));
    }
    if low == high {
        (low, high) = (low - margin, high + margin);
    }
    Ok((low, high))
}

fn positive_bins(bins: i64) -> Result<()> {
    if bins > 0 {
        return Ok(());
    }
    Err(Error::runtime(format!("torch.histogram(): bins must be > 0, but got {bins} for dimension 0")))
}

/// Returns how many elements of `input` lie in each of `bins` intervals of equal length from `min` to `max`; where these are equal, from the smallest
/// element to the largest. Elements outside, and NaN, are not counted.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.histc.html>
#[op("(input, bins=100, min=0, max=0)", float_only, nondiff,
    samples = ["T(9), 4", "T(3, 5), 5, -1, 1.5", "T(0), 3", "T(), 3", "T(7, lo=1, hi=1), 4, 1, 1"],
    errors = [("T(3), 0", "bins must be > 0, but got 0"), ("T(3), 3, 2, 1", "max must be larger than min"), ("I(3), 3", "\"histogram_cpu\" not implemented for 'Long'"),
        ("T(3), 3, 0, inf", "is not finite")])]
pub fn histc(x: &Tensor, bins: i64, min: Scalar, max: Scalar) -> Result<Tensor> {
    if !x.dtype().is_float() {
        return Err(Error::not_implemented(format!("\"histogram_cpu\" not implemented for '{}'", x.dtype().scalar_type_name())));
    }
    positive_bins(bins)?;
    let (min, max) = (min.to_f64(), max.to_f64());
    if min > max {
        return Err(Error::runtime(format!("torch.histc: max must be larger than min, but got min {min} and max {max}")));
    }
    let _guard = no_grad();
    let dtype = x.dtype();
    let x = reshape(&to_dtype(&x.detach(), dtype.compute())?, &[-1])?;
    let given = (min != max || x.numel() == 0).then_some((min, max));
    let (low, high) = ends("torch.histc", &x, given, 1.0)?;
    let x = masked_select(&x, &logical_and(&ge(&x, &num(low))?, &le(&x, &num(high))?)?)?;
    let scaled = mul(&sub(&x, &num(low), Scalar::Int(1))?, &num(bins as f64))?;
    let at = to_dtype(&div(&scaled, &num(high - low), None)?, DType::I64)?;
    // The last interval has both of its ends.
    let at = clamp_max(&at, &num(bins - 1))?;
    to_dtype(&tally(bins, &at, None, DType::I64)?, dtype)
}

/// Counts `x` between the sorted `edges`, weighed, and as a density if asked.
fn count_between(x: &Tensor, edges: &Tensor, weight: Option<&Tensor>, density: bool) -> Result<Tensor> {
    let bins = edges.numel() as i64 - 1;
    let x = reshape(x, &[-1])?;
    let inside = logical_and(&ge(&x, &select(edges, 0, 0)?)?, &le(&x, &select(edges, 0, -1)?)?)?;
    let x = masked_select(&x, &inside)?;
    let at = sub(&positions(edges, &x, true)?, &num(1i64), Scalar::Int(1))?;
    let at = clamp_max(&at, &num(bins - 1))?;
    let weight = weight.map(|w| masked_select(&reshape(w, &[-1])?, &inside)).transpose()?;
    let counts = tally(bins, &at, weight.as_ref(), x.dtype())?;
    if !density {
        return Ok(counts);
    }
    let share = div(&counts, &sum(&counts, None)?, None)?;
    div(&share, &diff(edges, 1, 0, None, None)?, None)
}

fn check_histogram(x: &Tensor, weight: Option<&Tensor>) -> Result<()> {
    if !matches!(x.dtype(), DType::F32 | DType::F64) {
        return Err(Error::not_implemented(format!("\"histogramdd\" not implemented for '{}'", x.dtype().scalar_type_name())));
    }
    let Some(w) = weight else { return Ok(()) };
    if w.dtype() != x.dtype() {
        return Err(Error::runtime(format!(
            "torch.histogramdd: if weight tensor is provided, input tensor and weight tensor should have the same dtype, but got input({}), and weight({})",
            x.dtype(),
            w.dtype()
        )));
    }
    if w.shape() != x.shape() {
        return Err(Error::runtime(format!(
            "torch.histogramdd: if weight tensor is provided it should have the same shape as the input tensor, but got input with shape {:?} and weight with shape {:?}",
            x.shape().as_slice(),
            w.shape().as_slice()
        )));
    }
    Ok(())
}

/// Returns how many elements of `input` lie in each of `bins` intervals of equal length within `range` (by default that of the elements), and the
/// edges of the intervals. With `weight` the weights are added up; with `density` the result's integral over the range is one.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.histogram.html>
#[op("(input, bins=100, *, range=None, weight=None, density=False)", returns = ["hist", "bin_edges"], wide, nondiff,
    samples = ["T(9), 4", "T(2, 5), 3, range=[-1.0, 1.5]", "T(6), 3, weight=T(6, lo=0, hi=1), density=True", "T(0), 2", "T(), 2"],
    errors = [("T(3), 0", "bins must be > 0, but got 0"), ("T(3), 3, range=[2.0, 1.0]", "min should not exceed max, but got min 2 max 1 for dimension 0"),
        ("I(3), 3", "\"histogramdd\" not implemented for 'Long'"), ("T(3), 2, weight=T(1)", "it should have the same shape as the input tensor"),
        ("T(3), 2, weight=I(3)", "should have the same dtype")])]
pub fn histogram(
    x: &Tensor,
    bins: i64,
    range: Option<&[f64]>,
    weight: Option<&Tensor>,
    density: bool,
) -> Result<(Tensor, Tensor)> {
    check_histogram(x, weight)?;
    positive_bins(bins)?;
    let given = match range {
        None => None,
        Some(&[low, high]) if low <= high => Some((low, high)),
        Some(&[low, high]) => {
            return Err(Error::runtime(format!(
                "torch.histogramdd: min should not exceed max, but got min {low} max {high} for dimension 0"
            )));
        }
        Some(range) => {
            return Err(Error::runtime(format!("torch.histogramdd: range should have 2 elements, but got {}", range.len())));
        }
    };
    let _guard = no_grad();
    let (low, high) = ends("torch.histogramdd", x, given, 0.5)?;
    let edges = linspace(Scalar::Float(low), Scalar::Float(high), bins + 1, Some(x.dtype()))?;
    Ok((count_between(&x.detach(), &edges, weight, density)?, edges))
}

/// As above, with the rising sequence `bins` of the edges. The last interval has both of its ends.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.histogram.html>
#[op("(input, bins, *, weight=None, density=False)", name = "histogram", overload = "edges", returns = ["hist", "bin_edges"], wide, nondiff,
    samples = ["T(9), T(4, lo=-1, hi=-1)", "T(2, 5), T(2, lo=0, hi=0), weight=T(2, 5), density=False"],
    errors = [("T(3), T(1, 2)", "bins tensor should have one dimension, but got 2 dimensions in the bins tensor for dimension 0"),
        ("T(3), I(2)", "input tensor and bins tensors should have the same dtype"), ("T(3), T(0)", "bins tensor should have at least 1 element")])]
pub fn histogram_edges(x: &Tensor, bins: &Tensor, weight: Option<&Tensor>, density: bool) -> Result<(Tensor, Tensor)> {
    check_histogram(x, weight)?;
    if bins.rank() != 1 {
        return Err(Error::runtime(format!(
            "torch.histogramdd: bins tensor should have one dimension, but got {} dimensions in the bins tensor for dimension 0",
            bins.rank()
        )));
    }
    if bins.dtype() != x.dtype() {
        return Err(Error::runtime(format!(
            "torch.histogramdd: input tensor and bins tensors should have the same dtype, but got input with dtype {} and bins for dimension 0 with dtype {}",
            x.dtype(),
            bins.dtype()
        )));
    }
    if bins.numel() == 0 {
        return Err(Error::runtime(
            "torch.histogramdd: bins tensor should have at least 1 element, but got 0 elements in the bins tensor for dimension 0",
        ));
    }
    let _guard = no_grad();
    let edges = bins.detach();
    Ok((count_between(&x.detach(), &edges, weight, density)?, copy(&edges)?))
}

/// How many elements of the sorted lines of `sorted` are below each of `values`, or with `right` not above it.
fn positions(sorted: &Tensor, values: &Tensor, right: bool) -> Result<Tensor> {
    let common = promote::result_type(&[sorted, values]);
    let dense = |x: &Tensor| contiguous(&to_dtype(&x.detach(), common)?);
    let (sorted, values) = (dense(sorted)?, dense(values)?);
    let layout = Layout::contiguous(&values.shape());
    storage::compute(layout, DType::I64, &[sorted.data(), values.data()], |v, out| backend().search(v[0], v[1], right, out))
        .map(Tensor::from_data)
}

/// Returns where each element of `input` would have to be inserted into `sorted_sequence` to keep it sorted along the last dimension: before equal
/// elements, or with `right` (`side='right'`) after them. `sorted_sequence` is a vector, or has the leading dimensions of `input`. `sorter` holds the
/// positions that sort a sequence that is not.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.searchsorted.html>
#[op("(sorted_sequence, input, *, out_int32=False, right=False, side=None, sorter=None)", number, nondiff, function,
    samples = ["T(1, lo=0, hi=0), T(2, 3)", "I(4, lo=3, hi=4), I(6), right=True", "I(2, 3, lo=3, hi=4), I(2, 5), side='right', out_int32=True", "I(3, lo=3, hi=4), 2.5", "T(0), T(3)",
        "I(3, lo=1, hi=2), T(), sorter=I(3, hi=3)"],
    errors = [("T(1, 2), T(2)", "boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries tensor and input value tensor must match"),
        ("T(), T(2)", "boundaries tensor should have positive dimension, but got 0 dimension"), ("T(2), T(1), side='foo'", "side can only be 'left' or 'right' but got foo"),
        ("T(2), T(1), side='left', right=True", "side and right can't be set to opposites, got side of left while right was True"),
        ("T(2), T(1), sorter=I(1)", "boundary and sorter must have the same size"), ("T(2), T(1), sorter=I(2, lo=5, hi=6)", "sorter index out of range"),
        ("T(2), T(1), sorter=T(2)", "sorter must be a tensor of long dtype"), ("T(2, 3), 1.5", "input value can be a scalar only when boundaries tensor dimension is 1"),
        ("B(2), B(1)", "\"searchsorted_out_cpu\" not implemented for 'Bool'")])]
pub fn searchsorted(
    sorted_sequence: &Tensor,
    input: &Tensor,
    out_int32: bool,
    right: bool,
    side: Option<&str>,
    sorter: Option<&Tensor>,
) -> Result<Tensor> {
    let refuse = |text: String| Err(Error::runtime(format!("torch.searchsorted(): {text}")));
    let (s, v) = (sorted_sequence.shape(), input.shape());
    if let Some(side) = side.filter(|s| !matches!(*s, "left" | "right")) {
        return refuse(format!("side can only be 'left' or 'right' but got {side}"));
    }
    if right && side == Some("left") {
        return refuse("side and right can't be set to opposites, got side of left while right was True".into());
    }
    if s.is_empty() {
        return refuse("boundaries tensor should have positive dimension, but got 0 dimension".into());
    }
    if v.is_empty() && s.len() != 1 {
        return refuse(format!(
            "input value can be a scalar only when boundaries tensor dimension is 1, but we got boundaries tensor dim({}) and input value's dim(0) numel(1)",
            s.len()
        ));
    }
    if s.len() != 1 && (s.len() != v.len() || s[..s.len() - 1] != v[..v.len() - 1]) {
        return refuse(format!(
            "boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries tensor and input value tensor must match, but we got boundaries tensor {:?} and input value tensor {:?}",
            s.as_slice(),
            v.as_slice()
        ));
    }
    if promote::result_type(&[sorted_sequence, input]) == DType::Bool {
        return Err(Error::not_implemented("\"searchsorted_out_cpu\" not implemented for 'Bool'"));
    }
    let mut sequence = sorted_sequence.detach();
    if let Some(order) = sorter {
        if order.shape() != s {
            return refuse(format!(
                "boundary and sorter must have the same size, but got boundary tensor {:?} and got sorter tensor {:?}",
                s.as_slice(),
                order.shape().as_slice()
            ));
        }
        if order.dtype() != DType::I64 {
            return refuse(format!("sorter must be a tensor of long dtype but got dtype {}", order.dtype().scalar_type_name()));
        }
        sequence = gather(&sequence, -1, order, false)
            .or_else(|e| if e.kind() == crate::ErrorKind::Index { refuse("sorter index out of range".into()) } else { Err(e) })?;
    }
    let found = positions(&sequence, input, right || side == Some("right"))?;
    if out_int32 { to_dtype(&found, DType::I32) } else { Ok(found) }
}

/// Returns for each element of `input` the number of the interval between the sorted `boundaries` (a vector) in which it lies. An element that equals a
/// boundary lies below it, or with `right` above.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.bucketize.html>
#[op("(input, boundaries, *, out_int32=False, right=False)", number, nondiff, function,
    samples = ["T(2, 3), T(1, lo=0, hi=0)", "I(6), I(4, lo=3, hi=4), right=True", "I(5), I(2, lo=3, hi=4), out_int32=True", "2.5, I(3, lo=3, hi=4)", "T(0), T(0)"],
    errors = [("T(3), T(2, 2)", "boundaries tensor must be 1 dimension, but got dim(2)")])]
pub fn bucketize(input: &Tensor, boundaries: &Tensor, out_int32: bool, right: bool) -> Result<Tensor> {
    if boundaries.rank() != 1 {
        return Err(Error::runtime(format!("boundaries tensor must be 1 dimension, but got dim({})", boundaries.rank())));
    }
    searchsorted(boundaries, input, out_int32, right, None, None)
}
