//! Ops that are one kernel where the backend has it.
//!
//! Such an op has a composed version, made of other ops, for backends and operands without the kernel. The same version gives derivatives of
//! higher order: a gradient that must be differentiable itself is taken through it.

use super::*;
use crate::autograd::engine::{GradOptions, grad};
use crate::autograd::{Grads, enable_grad, grad_fn};
use crate::storage::Made;
use rushlight_kernels::backend::KernelId;

/// Runs a kernel; `None` where the backend has none for these operands.
pub(crate) fn custom(kernel: KernelId, ins: &[Data], outs: &[(Layout, DType)]) -> Result<Option<Made>> {
    let mut done = None;
    let made = storage::compute_many(outs, ins, |ins, outs| {
        done = backend().custom(kernel, ins, outs)?;
        Ok(())
    })?;
    Ok(done.map(|()| made))
}

/// Results of a kernel for gradients, as such.
pub(crate) fn as_grads(made: Made) -> impl Iterator<Item = Option<Tensor>> {
    made.into_iter().map(|data| Some(Tensor::from_data(data)))
}

/// The gradients of those `inputs` that are needed, by way of ops: `g` is the gradient of what `composed` makes of the inputs.
pub(crate) fn through(
    inputs: &[Option<Tensor>],
    needs: impl Fn(usize) -> bool,
    g: &Tensor,
    composed: impl FnOnce(&[Option<Tensor>]) -> Result<Tensor>,
) -> Result<Grads> {
    let _guard = enable_grad();
    // Handles of their own: the gradient is asked for here, where no hook of the inputs shall run.
    let mut handles: SmallVec<[Option<Tensor>; 4]> = SmallVec::new();
    for (i, x) in inputs.iter().enumerate() {
        handles.push(match x {
            Some(x) if needs(i) => Some(Tensor::from_data(x.data()).with_grad([x], |_| grad_fn(|_, g| Ok([Some(g.clone())])))?),
            other => other.clone(),
        });
    }
    let y = composed(&handles)?;
    let wanted: SmallVec<[usize; 4]> = (0..inputs.len()).filter(|&i| inputs[i].is_some() && needs(i)).collect();
    let targets: SmallVec<[&Tensor; 4]> = wanted.iter().filter_map(|&i| handles[i].as_ref()).collect();
    let options = GradOptions { create_graph: true, retain_graph: true, allow_unused: true };
    let mut found = grad(&[&y], &targets, &[Some(g)], options)?.into_iter();
    let mut grads: Grads = inputs.iter().map(|_| None).collect();
    wanted.iter().for_each(|&i| grads[i] = found.next().flatten());
    Ok(grads)
}
