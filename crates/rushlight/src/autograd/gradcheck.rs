//! Derivatives checked against differences: along a random direction, first and second order.
//!
//! Source: <https://docs.pytorch.org/docs/stable/generated/torch.autograd.gradcheck.gradcheck.html>; the random direction is JAX's `check_grads`.

use super::engine::{GradOptions, grad};
use super::{enable_grad, no_grad};
use crate::{DType, Error, Result, Tensor};

/// Step and tolerances of [`gradcheck`]; the defaults are PyTorch's, for float64.
#[derive(Clone, Copy, Debug)]
pub struct GradcheckOptions {
    /// Step of the central difference.
    pub eps: f64,
    /// Absolute tolerance.
    pub atol: f64,
    /// Relative tolerance.
    pub rtol: f64,
}

impl Default for GradcheckOptions {
    fn default() -> Self {
        GradcheckOptions { eps: 1e-6, atol: 1e-5, rtol: 1e-3 }
    }
}

/// Directions drawn by a fixed formula: the same check every time, without touching any generator.
fn direction(numel: usize, salt: u64) -> Vec<f64> {
    (0..numel as u64)
        .map(|i| {
            let mut z = (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (salt + 1).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        })
        .collect()
}

fn float_outputs(outs: Vec<Tensor>) -> Vec<Tensor> {
    outs.into_iter().filter(|o| o.dtype().is_float()).collect()
}

/// Compares the derivative of `f` at `inputs` with a central difference, projected on random directions. `f` gets tensors with the values
/// of `inputs`; those of floating dtype that require a gradient are differentiated and should be float64.
///
/// # Errors
/// If the two differ by more than the tolerance; the text shows both numbers and names the input.
pub fn gradcheck(f: impl Fn(&[Tensor]) -> Result<Vec<Tensor>>, inputs: &[Tensor], options: GradcheckOptions) -> Result<()> {
    let leaf = |t: &Tensor| -> Result<Tensor> {
        let copy = crate::ops::copy(&t.detach())?;
        if t.requires_grad() {
            copy.try_requires_grad_(true)?;
        }
        Ok(copy)
    };
    for (i, t) in inputs.iter().enumerate() {
        if t.requires_grad() && t.dtype() != DType::F64 {
            return Err(Error::value(format!("gradcheck: input {i} is {}; differences need float64", t.dtype())));
        }
    }
    let _guard = enable_grad();
    let leaves = inputs.iter().map(leaf).collect::<Result<Vec<_>>>()?;
    let outs = float_outputs(f(&leaves)?);
    let weights: Vec<Vec<f64>> = outs.iter().enumerate().map(|(k, o)| direction(o.numel(), 1000 + k as u64)).collect();
    let project = |outs: &[Tensor]| -> f64 {
        outs.iter().zip(&weights).map(|(o, w)| o.to_f64_vec().iter().zip(w).map(|(a, b)| a * b).sum::<f64>()).sum()
    };
    let recorded: Vec<(usize, &Tensor)> = outs.iter().enumerate().filter(|(_, o)| o.requires_grad()).collect();
    let wanted: Vec<usize> = (0..leaves.len()).filter(|&i| leaves[i].requires_grad()).collect();
    let cotangents: Vec<Tensor> = recorded
        .iter()
        .map(|(k, o)| crate::ops::to_dtype(&Tensor::try_from_vec(weights[*k].clone(), o.shape())?, o.dtype()))
        .collect::<Result<_>>()?;
    let grads = if recorded.is_empty() {
        vec![None; wanted.len()]
    } else {
        grad(
            &recorded.iter().map(|(_, o)| *o).collect::<Vec<_>>(),
            &wanted.iter().map(|&i| &leaves[i]).collect::<Vec<_>>(),
            &cotangents.iter().map(Some).collect::<Vec<_>>(),
            GradOptions { allow_unused: true, ..Default::default() },
        )?
    };
    for (&i, g) in wanted.iter().zip(&grads) {
        let v = direction(leaves[i].numel(), i as u64);
        let analytic: f64 = match g {
            Some(g) if g.shape() != leaves[i].shape() => {
                return Err(Error::runtime(format!(
                    "gradcheck: the gradient of input {i} has shape {:?}, the input {:?}",
                    g.shape(),
                    leaves[i].shape()
                )));
            }
            Some(g) => g.to_f64_vec().iter().zip(&v).map(|(a, b)| a * b).sum(),
            None => 0.0,
        };
        let at = |step: f64| -> Result<f64> {
            let _guard = no_grad();
            let moved: Vec<f64> = leaves[i].to_f64_vec().iter().zip(&v).map(|(x, d)| x + step * d).collect();
            let mut args = inputs.iter().map(leaf).collect::<Result<Vec<_>>>()?;
            args[i] = Tensor::try_from_vec(moved, leaves[i].shape())?;
            Ok(project(&float_outputs(f(&args)?)))
        };
        let numeric = (at(options.eps)? - at(-options.eps)?) / (2.0 * options.eps);
        let close = (analytic - numeric).abs() <= options.atol + options.rtol * numeric.abs();
        if !(close || analytic.is_nan() && numeric.is_nan()) {
            return Err(Error::runtime(format!(
                "gradcheck: the derivative along a random direction of input {i} is {analytic}, but the difference quotient is {numeric}"
            )));
        }
    }
    Ok(())
}

/// [`gradcheck`] of the gradient itself: second derivatives.
///
/// # Errors
/// As [`gradcheck`].
pub fn gradgradcheck(f: impl Fn(&[Tensor]) -> Result<Vec<Tensor>>, inputs: &[Tensor], options: GradcheckOptions) -> Result<()> {
    let _guard = enable_grad();
    let first =
        |args: &[Tensor]| -> Result<Vec<Tensor>> {
            let _guard = enable_grad();
            // Inside a difference quotient the moved input is a plain constant: it must be differentiated all the same.
            let args: Vec<Tensor> =
                args.iter()
                    .zip(inputs)
                    .map(|(a, i)| {
                        if i.requires_grad() && !a.requires_grad() { Ok(a.detach().with_requires_grad()) } else { Ok(a.clone()) }
                    })
                    .collect::<Result<_>>()?;
            let outs: Vec<Tensor> = float_outputs(f(&args)?).into_iter().filter(|o| o.requires_grad()).collect();
            let wanted: Vec<&Tensor> = args.iter().filter(|a| a.requires_grad()).collect();
            if outs.is_empty() || wanted.is_empty() {
                return Ok(vec![]);
            }
            let cotangents: Vec<Tensor> = outs
                .iter()
                .enumerate()
                .map(|(k, o)| {
                    crate::ops::to_dtype(&Tensor::try_from_vec(direction(o.numel(), 2000 + k as u64), o.shape())?, o.dtype())
                })
                .collect::<Result<_>>()?;
            let grads = grad(
                &outs.iter().collect::<Vec<_>>(),
                &wanted,
                &cotangents.iter().map(Some).collect::<Vec<_>>(),
                GradOptions { create_graph: true, allow_unused: true, ..Default::default() },
            )?;
            // An unused input's gradient is a constant zero.
            wanted.iter().zip(grads).map(|(w, g)| g.map_or_else(|| crate::ops::zeros_like(w, None), Ok)).collect()
        };
    gradcheck(first, inputs, options)
}
