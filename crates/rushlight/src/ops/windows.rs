//! Window functions of signal processing.

use super::*;
use std::f64::consts::PI;

ops![hann_window, hamming_window, blackman_window, bartlett_window, kaiser_window];

/// `f` at `n` places from 0 to 1, both included; of a periodic window from 0 to just before 1. A window of one element is 1.
fn window(name: &str, n: i64, periodic: bool, dtype: Option<DType>, f: impl Fn(f64) -> f64) -> Result<Tensor> {
    let dtype = dtype.unwrap_or_else(promote::default_dtype);
    if !dtype.is_float() {
        return Err(Error::runtime(format!("{name} expects floating point dtypes, got: {}", dtype.scalar_type_name())));
    }
    if n < 0 {
        return Err(Error::runtime(format!("{name} requires non-negative window_length, got window_length={n}")));
    }
    let steps = if periodic { n } else { n - 1 };
    let values: Vec<f64> = if n == 1 { vec![1.0] } else { (0..n).map(|i| f(i as f64 / steps as f64)).collect() };
    to_dtype(&Tensor::try_from_vec(values, [n])?, dtype)
}

/// Returns the Hann window, `(1 - cos(2π t)) / 2`, with t from 0 to 1: to just before 1 if `periodic`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.hann_window.html>
#[op("(window_length, periodic=True, *, dtype=None)", any, nondiff, function, samples = ["5", "5, False", "0", "1", "6, dtype=float64"],
    errors = [("-1", "hann_window requires non-negative window_length, got window_length=-1"), ("5, dtype=int64", "hann_window expects floating point dtypes")])]
pub fn hann_window(window_length: i64, periodic: bool, dtype: Option<DType>) -> Result<Tensor> {
    window("hann_window", window_length, periodic, dtype, |t| 0.5 - 0.5 * (2.0 * PI * t).cos())
}

/// Returns the Hamming window, `alpha - beta cos(2π t)`, with t from 0 to 1: to just before 1 if `periodic`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.hamming_window.html>
#[op("(window_length, periodic=True, alpha=0.54, beta=0.46, *, dtype=None)", any, nondiff, function, samples = ["5", "5, False", "0", "1", "6, True, 0.5, 0.4, dtype=float64"],
    errors = [("-1", "hamming_window requires non-negative window_length, got window_length=-1")])]
pub fn hamming_window(window_length: i64, periodic: bool, alpha: f64, beta: f64, dtype: Option<DType>) -> Result<Tensor> {
    window("hamming_window", window_length, periodic, dtype, |t| alpha - beta * (2.0 * PI * t).cos())
}

/// Returns the Blackman window, `0.42 - 0.5 cos(2π t) + 0.08 cos(4π t)`, with t from 0 to 1: to just before 1 if `periodic`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.blackman_window.html>
#[op("(window_length, periodic=True, *, dtype=None)", any, nondiff, function, samples = ["5", "5, False", "0", "1", "6, dtype=float64"],
    errors = [("-1", "blackman_window requires non-negative window_length, got window_length=-1")])]
pub fn blackman_window(window_length: i64, periodic: bool, dtype: Option<DType>) -> Result<Tensor> {
    let f = |t: f64| 0.42 - 0.5 * (2.0 * PI * t).cos() + 0.08 * (4.0 * PI * t).cos();
    window("blackman_window", window_length, periodic, dtype, f)
}

/// Returns the triangular window, `1 - |2 t - 1|`, with t from 0 to 1: to just before 1 if `periodic`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.bartlett_window.html>
#[op("(window_length, periodic=True, *, dtype=None)", any, nondiff, function, samples = ["5", "5, False", "0", "1", "6, dtype=float64"],
    errors = [("-1", "bartlett_window requires non-negative window_length, got window_length=-1")])]
pub fn bartlett_window(window_length: i64, periodic: bool, dtype: Option<DType>) -> Result<Tensor> {
    window("bartlett_window", window_length, periodic, dtype, |t| 1.0 - (2.0 * t - 1.0).abs())
}

/// Returns the Kaiser window, `I₀(beta √(1 - (2 t - 1)²)) / I₀(beta)`, with t from 0 to 1: to just before 1 if `periodic`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.kaiser_window.html>
#[op("(window_length, periodic=True, beta=12.0, *, dtype=None)", any, nondiff, function, samples = ["5", "5, False", "0", "1", "6, True, 7.0, dtype=float64"],
    errors = [("-1", "kaiser_window requires non-negative window_length, got window_length=-1")])]
pub fn kaiser_window(window_length: i64, periodic: bool, beta: f64, dtype: Option<DType>) -> Result<Tensor> {
    let f = |t: f64| beta * (1.0 - (2.0 * t - 1.0).powi(2)).max(0.0).sqrt();
    let arguments = window("kaiser_window", window_length, periodic, Some(DType::F64), f)?;
    let dtype = dtype.unwrap_or_else(promote::default_dtype);
    if !dtype.is_float() {
        return Err(Error::runtime(format!("kaiser_window expects floating point dtypes, got: {}", dtype.scalar_type_name())));
    }
    if window_length == 1 {
        return to_dtype(&arguments, dtype);
    }
    let peak = i0(&Tensor::scalar(beta))?;
    to_dtype(&div(&i0(&arguments)?, &peak, None)?, dtype)
}
