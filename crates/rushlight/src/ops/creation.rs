//! Tensors from nothing.

use super::*;
use crate::error::or_panic;
use crate::op::AsInts;
use rushlight_kernels::cpu::pool;
use rushlight_kernels::layout::checked_numel;
use rushlight_kernels::{Element, dispatch};
use std::sync::{Mutex, PoisonError};

ops![
    zeros,
    ones,
    empty,
    full,
    zeros_like,
    ones_like,
    empty_like,
    full_like,
    new_zeros,
    new_ones,
    new_empty,
    new_full,
    arange,
    arange_start,
    range,
    linspace,
    logspace,
    eye,
    scalar_tensor
];

/// A tensor of `shape` filled with `value`.
pub(crate) fn filled(shape: &[usize], value: Scalar, dtype: DType) -> Result<Tensor> {
    // Integers only: the bits of the float -0.0 are not zero. Large memory is better cleared by all threads, as a program.
    if matches!(value, Scalar::Int(0) | Scalar::Bool(false)) && checked_numel(shape).is_some_and(|n| n < 1 << 16) {
        return storage::zeros(Layout::contiguous(shape), dtype).map(Tensor::from_data);
    }
    let mut program = Program::new();
    let r = program.constant(value, dtype);
    program.out(r);
    storage::compute(Layout::contiguous(shape), dtype, &[], |_, out| {
        backend().pointwise(&program, &[], std::slice::from_mut(out))
    })
    .map(Tensor::from_data)
}

/// The shape that the user gave as `size`.
fn shape_of(op: &str, size: &[i64]) -> Result<Dims> {
    if size.iter().any(|&s| s < 0) {
        return Err(Error::runtime(format!("{op}: Dimension size must be non-negative. (size {size:?})")));
    }
    Ok(size.iter().map(|&s| s as usize).collect())
}

// ---- of a shape -----------------------------------------------------------------------------------------------------------------

/// Returns a tensor of zeros.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.zeros.html>
#[op("(size, *, dtype=None)", any, nondiff, function, samples = ["[2, 3]", "[]", "[0, 2]", "[3], dtype=bool"],
    errors = [("[-1]", "zeros: Dimension size must be non-negative."),
        ("[1099511627776, 1099511627776]", "Storage size calculation overflowed with sizes=[1099511627776, 1099511627776]")])]
pub fn zeros(size: &[i64], dtype: Option<DType>) -> Result<Tensor> {
    filled(&shape_of("zeros", size)?, Scalar::Int(0), dtype.unwrap_or_else(promote::default_dtype))
}

/// Returns a tensor of ones.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.ones.html>
#[op("(size, *, dtype=None)", any, nondiff, function, samples = ["[2, 3]", "[]", "[0, 2]", "[3], dtype=int32"],
    errors = [("[-1]", "ones: Dimension size must be non-negative.")])]
pub fn ones(size: &[i64], dtype: Option<DType>) -> Result<Tensor> {
    filled(&shape_of("ones", size)?, Scalar::Int(1), dtype.unwrap_or_else(promote::default_dtype))
}

/// Returns a tensor whose values do not matter, since they will be overwritten. (They are zeros.)
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.empty.html>
#[op("(size, *, dtype=None)", any, nondiff, function, samples = ["[2, 3]", "[]", "[0, 2]", "[3], dtype=int32"],
    errors = [("[-1]", "empty: Dimension size must be non-negative.")])]
pub fn empty(size: &[i64], dtype: Option<DType>) -> Result<Tensor> {
    filled(&shape_of("empty", size)?, Scalar::Int(0), dtype.unwrap_or_else(promote::default_dtype))
}

/// Returns a tensor filled with `fill_value`, whose kind decides the dtype unless `dtype` is given: bool, int64 or the default float.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.full.html>
#[op("(size, fill_value, *, dtype=None)", any, nondiff, function,
    samples = ["[2, 3], 2.5", "[], 1", "[0, 2], 1.5", "[3], True", "[3], -1, dtype=uint8"],
    errors = [("[-1], 1", "full: Dimension size must be non-negative."),
        ("[2], 300, dtype=uint8", "value cannot be converted to type uint8_t without overflow")])]
pub fn full(size: &[i64], fill_value: Scalar, dtype: Option<DType>) -> Result<Tensor> {
    let shape = shape_of("full", size)?;
    let dtype = dtype.unwrap_or_else(|| number_dtype(fill_value));
    filled(&shape, checked_scalar(fill_value, dtype)?, dtype)
}

/// The dtype of a tensor made from a number.
fn number_dtype(value: Scalar) -> DType {
    match value {
        Scalar::Bool(_) => DType::Bool,
        Scalar::Int(_) => DType::I64,
        Scalar::Float(_) => promote::default_dtype(),
    }
}

// ---- like another tensor --------------------------------------------------------------------------------------------------------

/// Returns a tensor of zeros with the shape of `input`, and its dtype unless `dtype` is given.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.zeros_like.html>
#[op("(input, *, dtype=None)", any, nondiff, function, samples = ["T(3, 4)", "T()", "T(0, 2)", "T(3), dtype=int64"])]
pub fn zeros_like(x: &Tensor, dtype: Option<DType>) -> Result<Tensor> {
    filled(&x.shape(), Scalar::Int(0), dtype.unwrap_or(x.dtype()))
}

/// Returns a tensor of ones with the shape of `input`, and its dtype unless `dtype` is given.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.ones_like.html>
#[op("(input, *, dtype=None)", any, nondiff, function, samples = ["T(3, 4)", "T()", "T(0, 2)", "T(3), dtype=int64"])]
pub fn ones_like(x: &Tensor, dtype: Option<DType>) -> Result<Tensor> {
    filled(&x.shape(), Scalar::Int(1), dtype.unwrap_or(x.dtype()))
}

/// Returns a tensor with the shape of `input` whose values do not matter. (They are zeros.)
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.empty_like.html>
#[op("(input, *, dtype=None)", any, nondiff, function, samples = ["T(3, 4)", "T()", "T(0, 2)", "T(3), dtype=int64"])]
pub fn empty_like(x: &Tensor, dtype: Option<DType>) -> Result<Tensor> {
    zeros_like(x, dtype)
}

/// Returns a tensor with the shape of `input` filled with `fill_value`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.full_like.html>
#[op("(input, fill_value, *, dtype=None)", any, nondiff, function, samples = ["T(3, 4), 2.5", "T(), 1", "T(3), 7, dtype=int64", "I(3), 2.5"],
    errors = [("I(3, dtype=uint8), 300", "value cannot be converted to type uint8_t without overflow")])]
pub fn full_like(x: &Tensor, value: Scalar, dtype: Option<DType>) -> Result<Tensor> {
    let dtype = dtype.unwrap_or(x.dtype());
    filled(&x.shape(), checked_scalar(value, dtype)?, dtype)
}

/// Returns a tensor of zeros of shape `size` with the dtype of `input` unless `dtype` is given.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.new_zeros.html>
#[op("(input, size, *, dtype=None)", any, nondiff, samples = ["I(2), [2, 3]", "T(2), []", "T(2), [0, 2]", "T(2), [3], dtype=int32"],
    errors = [("T(2), [-1]", "zeros: Dimension size must be non-negative.")])]
pub fn new_zeros(x: &Tensor, size: &[i64], dtype: Option<DType>) -> Result<Tensor> {
    zeros(size, Some(dtype.unwrap_or(x.dtype())))
}

/// Returns a tensor of ones of shape `size` with the dtype of `input` unless `dtype` is given.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.new_ones.html>
#[op("(input, size, *, dtype=None)", any, nondiff, samples = ["I(2), [2, 3]", "T(2), []", "T(2), [0, 2]", "T(2), [3], dtype=int32"],
    errors = [("T(2), [-1]", "ones: Dimension size must be non-negative.")])]
pub fn new_ones(x: &Tensor, size: &[i64], dtype: Option<DType>) -> Result<Tensor> {
    ones(size, Some(dtype.unwrap_or(x.dtype())))
}

/// Returns a tensor of shape `size` whose values do not matter, with the dtype of `input` unless `dtype` is given.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.new_empty.html>
#[op("(input, size, *, dtype=None)", any, nondiff, samples = ["I(2), [2, 3]", "T(2), []", "T(2), [0, 2]", "T(2), [3], dtype=int32"],
    errors = [("T(2), [-1]", "empty: Dimension size must be non-negative.")])]
pub fn new_empty(x: &Tensor, size: &[i64], dtype: Option<DType>) -> Result<Tensor> {
    empty(size, Some(dtype.unwrap_or(x.dtype())))
}

/// Returns a tensor of shape `size` filled with `fill_value`, with the dtype of `input` unless `dtype` is given.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.new_full.html>
#[op("(input, size, fill_value, *, dtype=None)", any, nondiff, samples = ["I(2), [2, 3], 5", "T(2), [], 1.5", "T(2), [3], 2, dtype=int32"],
    errors = [("T(2), [-1], 0", "full: Dimension size must be non-negative.")])]
pub fn new_full(x: &Tensor, size: &[i64], fill_value: Scalar, dtype: Option<DType>) -> Result<Tensor> {
    full(size, fill_value, Some(dtype.unwrap_or(x.dtype())))
}

// ---- sequences ------------------------------------------------------------------------------------------------------------------

/// Elements that one task of [`sequence`] makes.
const CHUNK: usize = 1 << 15;

/// `n` numbers: `fill(first, part)` writes those from number `first` on.
fn sequence(n: usize, dtype: DType, fill: impl Fill) -> Result<Tensor> {
    storage::nbytes(&[n], dtype)?;
    let data = storage::compute(Layout::contiguous(&[n]), dtype, &[], |_, out| {
        dispatch!(dtype, T => {
            let out = out.as_mut_slice::<T>().expect("a new tensor is contiguous");
            let chunks: Vec<Mutex<&mut [T]>> = out.chunks_mut(CHUNK).map(Mutex::new).collect();
            pool::run(chunks.len(), |i| fill.part(i * CHUNK, &mut chunks[i].lock().unwrap_or_else(PoisonError::into_inner)));
        });
        Ok(())
    })?;
    Ok(Tensor::from_data(data))
}

/// What a [`sequence`] is filled with.
trait Fill: Sync {
    fn part<T: Element>(&self, first: usize, to: &mut [T]);
}

/// Floats, by the number of the element, which is exact.
struct Floats<F>(F);
impl<F: Fn(f64) -> f64 + Sync> Fill for Floats<F> {
    fn part<T: Element>(&self, first: usize, to: &mut [T]) {
        // A number of 32 bits is cheap to convert.
        let first = first as f64;
        to.iter_mut().enumerate().for_each(|(k, o)| *o = T::from_f64((self.0)(first + k as i32 as f64)));
    }
}

/// `start + step * i`, wrapping.
struct Steps {
    start: i64,
    step: i64,
}
impl Fill for Steps {
    fn part<T: Element>(&self, first: usize, to: &mut [T]) {
        let mut next = self.start.wrapping_add(self.step.wrapping_mul(first as i64));
        for o in to {
            *o = T::from_i64(next);
            next = next.wrapping_add(self.step);
        }
    }
}

/// A [`sequence`] of floats.
fn float_sequence(n: usize, dtype: DType, f: impl Fn(f64) -> f64 + Sync) -> Result<Tensor> {
    sequence(n, dtype, Floats(f))
}

/// Returns the numbers from 0 up to, not including, `end`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.arange.html>
#[op("(end, *, dtype=None)", any, nondiff, function, samples = ["5", "2.5", "0", "3, dtype=float64"],
    errors = [("-1", "upper bound and lower bound inconsistent with step sign")])]
pub fn arange(end: Scalar, dtype: Option<DType>) -> Result<Tensor> {
    arange_start(Scalar::Int(0), end, Scalar::Int(1), dtype)
}

/// Returns the numbers from `start` up to, not including, `end`, `step` apart: `ceil((end - start) / step)` elements.
///
/// They are int64 if all three arguments are integers, else of the default float dtype.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.arange.html>
#[op("(start, end, step=1, *, dtype=None)", overload = "start", any, nondiff, function,
    samples = ["1, 5", "5, 0, -2", "0, 1, 0.1", "3, 3", "1, 10, 2.5, dtype=int64", "-3, 3, dtype=int8"],
    errors = [("5, 0", "upper bound and lower bound inconsistent with step sign"), ("0, 5, 0", "step must be nonzero"),
        ("0, inf", "unsupported range: 0 -> inf"), ("0, 3, dtype=bool", "not implemented for 'Bool'")])]
pub fn arange_start(start: Scalar, end: Scalar, step: Scalar, dtype: Option<DType>) -> Result<Tensor> {
    let float = [start, end, step].iter().any(|s| matches!(s, Scalar::Float(_)));
    let dtype = dtype.unwrap_or(if float { promote::default_dtype() } else { DType::I64 });
    if dtype == DType::Bool {
        return Err(unsupported(dtype));
    }
    check_range(start, end, step)?;
    let (s, e, by) = (start.to_f64(), end.to_f64(), step.to_f64());
    if dtype.is_float() || float {
        let n = ((e - s) / by).ceil();
        if n >= isize::MAX as f64 {
            return Err(Error::runtime("invalid size, possible overflow?"));
        }
        if dtype.is_float() {
            return float_sequence(n as usize, dtype, |i| s + by * i);
        }
    }
    // In integers each argument is cut towards zero first, but the number of elements is that of the numbers as given.
    let (s, e, by) = (start.to::<i64>(), end.to::<i64>(), step.to::<i64>());
    let n = if float {
        ((end.to_f64() - start.to_f64()) / step.to_f64()).ceil() as usize
    } else {
        (s.abs_diff(e)).div_ceil(by.unsigned_abs()) as usize
    };
    sequence(n, dtype, Steps { start: s, step: by })
}

fn check_range(start: Scalar, end: Scalar, step: Scalar) -> Result<()> {
    let (s, e, by) = (start.to_f64(), end.to_f64(), step.to_f64());
    if by == 0.0 || by.is_nan() {
        return Err(Error::runtime("step must be nonzero"));
    }
    if !s.is_finite() || !e.is_finite() {
        return Err(Error::runtime(format!("unsupported range: {start} -> {end}")));
    }
    if if by > 0.0 { e < s } else { e > s } {
        return Err(Error::runtime("upper bound and lower bound inconsistent with step sign"));
    }
    Ok(())
}

/// Returns the numbers from `start` to `end`, both included, `step` apart, in the default float dtype. Deprecated in PyTorch: use [`arange()`].
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.range.html>
#[op("(start=0, end=0, step=1, *, dtype=None)", any, nondiff, function, samples = ["1, 4", "1, 4, 0.5", "5, 0, -2", "0, 3, dtype=int64"],
    errors = [("5, 0", "upper bound and lower bound inconsistent with step sign"), ("0, 5, 0", "step must be nonzero")])]
pub fn range(start: Scalar, end: Scalar, step: Scalar, dtype: Option<DType>) -> Result<Tensor> {
    check_range(start, end, step)?;
    let dtype = dtype.unwrap_or_else(promote::default_dtype);
    if dtype == DType::Bool {
        return Err(unsupported(dtype));
    }
    let (s, e, by) = (start.to_f64(), end.to_f64(), step.to_f64());
    float_sequence(((e - s) / by).floor() as usize + 1, dtype, |i| s + by * i)
}

/// The `i`-th of `steps` evenly spaced numbers; computed from the nearer end, so that both ends are exact and the sequence is symmetric.
fn spaced(start: f64, end: f64, steps: usize) -> impl Fn(f64) -> f64 {
    let step = if steps > 1 { (end - start) / (steps - 1) as f64 } else { 0.0 };
    let (half, last) = (steps.div_ceil(2) as f64, steps as f64 - 1.0);
    move |i| if i < half { start + step * i } else { end - step * (last - i) }
}

fn step_count(steps: i64, dtype: Option<DType>) -> Result<(usize, DType)> {
    if steps < 0 {
        return Err(Error::runtime(format!("number of steps must be non-negative (got {steps})")));
    }
    match dtype.unwrap_or_else(promote::default_dtype) {
        DType::Bool => Err(unsupported(DType::Bool)),
        dtype => Ok((steps as usize, dtype)),
    }
}

/// Returns `steps` evenly spaced numbers from `start` to `end`, both included.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.linspace.html>
#[op("(start, end, steps, *, dtype=None)", any, nondiff, function,
    samples = ["0, 1, 5", "5, -3, 4", "0, 1, 1", "0, 1, 0", "0, 10, 7, dtype=int64"],
    errors = [("0, 1, -1", "number of steps must be non-negative"), ("0, 1, 2, dtype=bool", "not implemented for 'Bool'")])]
pub fn linspace(start: Scalar, end: Scalar, steps: i64, dtype: Option<DType>) -> Result<Tensor> {
    let (n, dtype) = step_count(steps, dtype)?;
    let (s, e) =
        if dtype.is_float() { (start.to_f64(), end.to_f64()) } else { (start.to::<i64>() as f64, end.to::<i64>() as f64) };
    float_sequence(n, dtype, spaced(s, e, n))
}

/// Returns `base` to the power of `steps` evenly spaced numbers from `start` to `end`, both included.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.logspace.html>
#[op("(start, end, steps, base=10.0, *, dtype=None)", any, nondiff, function,
    samples = ["0, 3, 4", "-1, 1, 5, 2", "0, 1, 1", "0, 1, 0", "0, 3, 4, dtype=int64"],
    errors = [("0, 1, -1", "number of steps must be non-negative")])]
pub fn logspace(start: Scalar, end: Scalar, steps: i64, base: f64, dtype: Option<DType>) -> Result<Tensor> {
    let (n, dtype) = step_count(steps, dtype)?;
    let exponent = spaced(start.to_f64(), end.to_f64(), n);
    float_sequence(n, dtype, |i| base.powf(exponent(i)))
}

/// Returns the matrix of `n` rows and `m` columns (`n` for None) with ones on the diagonal.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.eye.html>
#[op("(n, m=None, *, dtype=None)", any, nondiff, function, samples = ["3", "2, 3", "0", "2, dtype=bool"],
    errors = [("-1", "n must be greater or equal to 0, got -1"), ("2, -1", "m must be greater or equal to 0, got -1")])]
pub fn eye(n: i64, m: Option<i64>, dtype: Option<DType>) -> Result<Tensor> {
    let m = m.unwrap_or(n);
    for (name, size) in [("n", n), ("m", m)] {
        if size < 0 {
            return Err(Error::runtime(format!("{name} must be greater or equal to 0, got {size}")));
        }
    }
    let y = zeros(&[n, m], dtype)?;
    let diagonal = y.data().with_layout(y.layout().diagonal(0, 0, 1));
    crate::autograd::inplace::write_data(&diagonal, &Tensor::scalar(true).data())?;
    Ok(y)
}

/// Returns a zero-dim tensor of the number `s`, in the default float dtype unless `dtype` is given.
///
/// Source: <https://docs.pytorch.org/docs/stable/tensors.html>
#[op("(s, *, dtype=None)", any, nondiff, function, samples = ["3", "2.5", "True, dtype=bool"],
    errors = [("300, dtype=uint8", "value cannot be converted to type uint8_t without overflow")])]
pub fn scalar_tensor(s: Scalar, dtype: Option<DType>) -> Result<Tensor> {
    full(&[], s, Some(dtype.unwrap_or_else(promote::default_dtype)))
}

/// The constructors in Rust; other dtypes through the functions of [`crate::ops`] or [`Tensor::to`].
impl Tensor {
    /// Zeros, in the default float dtype.
    ///
    /// # Panics
    /// If a size is negative or there is not enough memory.
    #[track_caller]
    pub fn zeros(shape: impl AsInts) -> Tensor {
        or_panic(zeros(&shape.as_ints(), None))
    }
    /// Ones, in the default float dtype.
    ///
    /// # Panics
    /// As [`Tensor::zeros`].
    #[track_caller]
    pub fn ones(shape: impl AsInts) -> Tensor {
        or_panic(ones(&shape.as_ints(), None))
    }
    /// A tensor to be overwritten, in the default float dtype.
    ///
    /// # Panics
    /// As [`Tensor::zeros`].
    #[track_caller]
    pub fn empty(shape: impl AsInts) -> Tensor {
        or_panic(empty(&shape.as_ints(), None))
    }
    /// `value` everywhere; a bool gives a bool tensor, an integer int64, a float the default float dtype.
    ///
    /// # Panics
    /// As [`Tensor::zeros`].
    #[track_caller]
    pub fn full(shape: impl AsInts, value: impl Into<Scalar>) -> Tensor {
        or_panic(full(&shape.as_ints(), value.into(), None))
    }
    /// The identity matrix of `n` rows.
    ///
    /// # Panics
    /// As [`Tensor::zeros`].
    #[track_caller]
    pub fn eye(n: usize) -> Tensor {
        or_panic(eye(n as i64, None, None))
    }
    /// The numbers of a range: `Tensor::arange(0..5)` is int64, `Tensor::arange(0.0..1.5)` of the default float dtype. For steps see
    /// [`arange_start()`].
    ///
    /// # Panics
    /// If the range runs backwards.
    #[track_caller]
    pub fn arange(range: std::ops::Range<impl Into<Scalar>>) -> Tensor {
        or_panic(arange_start(range.start.into(), range.end.into(), Scalar::Int(1), None))
    }
    /// `steps` evenly spaced numbers from `start` to `end`, both included, in the default float dtype.
    ///
    /// # Panics
    /// As [`Tensor::zeros`].
    #[track_caller]
    pub fn linspace(start: f64, end: f64, steps: usize) -> Tensor {
        or_panic(linspace(Scalar::Float(start), Scalar::Float(end), steps as i64, None))
    }
}
