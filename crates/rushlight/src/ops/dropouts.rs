//! Dropout: elements or whole channels set to zero at random, the others scaled up so that the expectation stays.

use super::*;
use crate::Generator;
use rushlight_kernels::backend::RandomOp;

ops![dropout, dropout1d, dropout2d, dropout3d];

fn check(p: f64) -> Result<()> {
    if (0.0..=1.0).contains(&p) {
        return Ok(());
    }
    Err(Error::value(format!("dropout probability has to be between 0 and 1, but got {p}")))
}

/// Multiplies `x` by draws of shape `noise`: 1/(1 - p) with probability 1 - p, else zero. The draws are those of PyTorch's `bernoulli_`.
fn drop(x: &Tensor, noise: &[usize], p: f64) -> Result<Tensor> {
    if p == 0.0 || x.numel() == 0 {
        return Ok(x.clone());
    }
    if !x.dtype().is_float() {
        return Err(Error::runtime(format!(
            "result type Float can't be cast to the desired output type {}",
            x.dtype().scalar_type_name()
        )));
    }
    if p == 1.0 {
        return mul(x, &num(0i64));
    }
    let kept = storage::compute(Layout::contiguous(noise), x.dtype(), &[], |_, out| {
        backend().random(RandomOp::Bernoulli { p: 1.0 - p }, &mut Generator::default_cpu().lock(), out)
    })?;
    mul(x, &div(&Tensor::from_data(kept), &num(1.0 - p), None)?)
}

/// Sets each element to zero with probability `p` and multiplies the others by `1 / (1 - p)`; returns `input` itself unless `training`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.dropout.html>
#[op("(input, p=0.5, training=True)", nn, any, inplace, random, samples = ["T(3, 4)", "T(3, 4), 0.2", "T(3), 1.0", "T(3), 0.5, False", "T(0, 2)", "T()"],
    errors = [("T(3), 1.5", "dropout probability has to be between 0 and 1, but got 1.5"), ("I(3)", "result type Float can't be cast to the desired output type Long")])]
pub fn dropout(x: &Tensor, p: f64, training: bool) -> Result<Tensor> {
    check(p)?;
    if training { drop(x, &x.shape(), p) } else { Ok(x.clone()) }
}

/// Drops whole channels: one draw for the first two dimensions of `x`, or for its first if it has no batch.
fn drop_channels(x: &Tensor, p: f64, training: bool, batched: bool) -> Result<Tensor> {
    check(p)?;
    let mut noise = x.shape();
    if noise.len() < if batched { 2 } else { 1 } {
        return Err(Error::runtime(format!(
            "Feature dropout requires at least 2 dimensions in the input, but its shape is {noise:?}"
        )));
    }
    noise.iter_mut().skip(if batched { 2 } else { 1 }).for_each(|n| *n = 1);
    if training { drop(x, &noise, p) } else { Ok(x.clone()) }
}

/// Sets each channel of `[n, channels, length]` or `[channels, length]` to zero with probability `p`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.dropout1d.html>
#[op("(input, p=0.5, training=True)", nn, any, inplace, random, samples = ["T(2, 3, 2)", "T(3, 4), 0.2", "T(2, 3, 2), 0.5, False"],
    errors = [("T(3)", "dropout1d: Expected 2D or 3D input, but received a 1D input."), ("T(2, 3), 1.5", "dropout probability has to be between 0 and 1")])]
pub fn dropout1d(x: &Tensor, p: f64, training: bool) -> Result<Tensor> {
    if !matches!(x.rank(), 2 | 3) {
        return Err(Error::runtime(format!(
            "dropout1d: Expected 2D or 3D input, but received a {}D input. Note that dropout1d exists to provide channel-wise dropout on inputs with 1 \
             spatial dimension, a channel dimension, and an optional batch dimension (i.e. 2D or 3D inputs).",
            x.rank()
        )));
    }
    drop_channels(x, p, training, x.rank() == 3)
}

/// Sets each channel of `[n, channels, …]` to zero with probability `p`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.dropout2d.html>
#[op("(input, p=0.5, training=True)", nn, any, inplace, random, samples = ["T(2, 3, 2, 2)", "T(2, 3, 2, 2), 0.5, False", "T(0, 2, 2, 2)"],
    errors = [("T(3)", "Feature dropout requires at least 2 dimensions in the input"), ("T(2, 3, 2, 2), -0.5", "dropout probability has to be between 0 and 1")])]
pub fn dropout2d(x: &Tensor, p: f64, training: bool) -> Result<Tensor> {
    drop_channels(x, p, training, true)
}

/// Sets each channel of `[n, channels, d, h, w]` or `[channels, d, h, w]` to zero with probability `p`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.dropout3d.html>
#[op("(input, p=0.5, training=True)", nn, any, inplace, random, samples = ["T(2, 3, 1, 2, 2)", "T(3, 1, 2, 2), 0.2"],
    errors = [("T(3)", "Feature dropout requires at least 2 dimensions in the input")])]
pub fn dropout3d(x: &Tensor, p: f64, training: bool) -> Result<Tensor> {
    drop_channels(x, p, training, x.rank() != 4)
}
