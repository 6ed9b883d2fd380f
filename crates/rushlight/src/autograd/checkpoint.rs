//! Activation checkpointing: memory traded for a second forward.
//!
//! Source: <https://docs.pytorch.org/docs/stable/checkpoint.html> and Chen et al., "Training Deep Nets with Sublinear Memory Cost" (2016).

use super::{backward, enable_grad, grad_fn_many, no_grad, record};
use crate::{Generator, Result, Tensor};
use std::panic::Location;

/// Runs `f` on `inputs` without keeping what its derivative needs, and runs it again when the gradient arrives. The default generator is
/// brought back to where it was for the second run, so dropout draws the same mask. `f` may use parameters that are not among the inputs:
/// they get their gradients; but at least one input must require one.
///
/// # Errors
/// Those of `f`.
#[track_caller]
pub fn checkpoint(
    f: impl Fn(&[Tensor]) -> Result<Vec<Tensor>> + Send + Sync + 'static,
    inputs: &[&Tensor],
) -> Result<Vec<Tensor>> {
    let _call = crate::op::enter("checkpoint", Location::caller());
    let generator = Generator::default_cpu();
    let state = generator.state();
    let outputs = {
        let _guard = no_grad();
        f(&inputs.iter().map(|t| (*t).clone()).collect::<Vec<_>>())?
    };
    record(&outputs, inputs, |s| {
        let saved: Vec<_> = inputs.iter().map(|t| (s.input(t), t.requires_grad())).collect();
        grad_fn_many(move |c, grads| {
            let now = generator.state();
            generator.set_state(&state)?;
            let again = (|| -> Result<_> {
                let _guard = enable_grad();
                let args = saved
                    .iter()
                    .map(|(t, required)| {
                        let leaf = t.get(c)?.detach();
                        if *required {
                            leaf.try_requires_grad_(true)?;
                        }
                        Ok(leaf)
                    })
                    .collect::<Result<Vec<_>>>()?;
                Ok((f(&args)?, args))
            })();
            generator.set_state(&now)?;
            let (outs, args) = again?;
            let used: Vec<(&Tensor, Option<&Tensor>)> =
                outs.iter().zip(grads).filter(|(o, g)| g.is_some() && o.requires_grad()).map(|(o, g)| (o, g.as_ref())).collect();
            let (tensors, gs): (Vec<_>, Vec<_>) = used.into_iter().unzip();
            backward(&tensors, &gs, false, false)?;
            Ok(args.iter().map(Tensor::grad).collect::<Vec<_>>())
        })
    })?;
    Ok(outputs)
}
