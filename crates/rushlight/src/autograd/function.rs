//! Custom functions: an op with a derivative of your own.
//!
//! Source: <https://docs.pytorch.org/docs/stable/notes/extending.html>

use super::saved::Saved;
use super::{Ctx, grad_fn_many, no_grad, record};
use crate::{Result, Tensor};
use std::panic::Location;

/// A function with its own derivative: PyTorch's `torch.autograd.Function`.
///
/// ```
/// use rushlight::autograd::{Function, FunctionCtx};
/// use rushlight::{Result, Tensor};
///
/// /// Rounds, but lets gradients through.
/// struct StraightThrough;
/// impl Function for StraightThrough {
///     const NAME: &'static str = "straight_through";
///     fn forward(&self, _: &mut FunctionCtx, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
///         Ok(vec![inputs[0].try_round()?])
///     }
///     fn backward(&self, _: &FunctionCtx, grads: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
///         Ok(vec![grads[0].clone()])
///     }
/// }
///
/// let x = Tensor::from_vec(vec![0.4f32, 1.6], 2).with_requires_grad();
/// let y = StraightThrough.apply(&[&x]).unwrap().remove(0);
/// y.sum().backward();
/// assert_eq!(y.to_vec::<f32>(), [0.0, 2.0]);
/// assert_eq!(x.grad().unwrap().to_vec::<f32>(), [1.0, 1.0]);
/// ```
pub trait Function: Send + Sync + Sized + 'static {
    /// The op's name, for graphs and error texts.
    const NAME: &'static str;

    /// Computes the outputs. Nothing in here is recorded. An output must be a fresh tensor.
    ///
    /// # Errors
    /// Whatever does not fit; it reaches the caller of [`Function::apply`].
    fn forward(&self, ctx: &mut FunctionCtx, inputs: &[&Tensor]) -> Result<Vec<Tensor>>;

    /// From the gradients of the outputs (`None`: nobody used that output) to those of the inputs, in order; made of ops, it can be
    /// differentiated again.
    ///
    /// # Errors
    /// Whatever does not fit; it reaches the caller of `backward`.
    fn backward(&self, ctx: &FunctionCtx, grads: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>>;

    /// Runs the function on `inputs`, and records it.
    ///
    /// # Errors
    /// Those of `forward`.
    #[track_caller]
    fn apply(self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let _call = crate::op::enter(Self::NAME, Location::caller());
        let mut ctx = FunctionCtx::default();
        let outputs = {
            let _guard = no_grad();
            self.forward(&mut ctx, inputs)?
        };
        record(&outputs, inputs, |s| {
            let kept = std::mem::take(&mut ctx.to_save);
            let saved: Vec<Saved> = kept
                .iter()
                .map(|t| match outputs.iter().position(|o| o.is_same(t)) {
                    Some(nr) => s.output_at(nr),
                    None => s.input(t),
                })
                .collect();
            grad_fn_many(move |c, grads| {
                let ctx = FunctionCtx { to_save: vec![], saved: unpack(&saved, c)?, needs: c.needs.to_vec() };
                self.backward(&ctx, grads)
            })
        })?;
        Ok(outputs)
    }
}

fn unpack(saved: &[Saved], c: &Ctx) -> Result<Vec<Tensor>> {
    saved.iter().map(|s| s.get(c)).collect()
}

/// What a custom function keeps between its forward and its backward.
#[derive(Default)]
pub struct FunctionCtx {
    to_save: Vec<Tensor>,
    saved: Vec<Tensor>,
    needs: Vec<bool>,
}

impl FunctionCtx {
    /// In `forward`: keeps inputs or outputs for the backward pass, where an in-place write to them in between is noticed.
    pub fn save_for_backward(&mut self, tensors: &[&Tensor]) {
        self.to_save = tensors.iter().map(|t| (*t).clone()).collect();
    }
    /// In `backward`: what was kept, in order.
    pub fn saved_tensors(&self) -> &[Tensor] {
        &self.saved
    }
    /// In `backward`: whether the gradient of input `i` is wanted.
    pub fn needs_input_grad(&self, i: usize) -> bool {
        self.needs.get(i).copied().unwrap_or(false)
    }
}

/// The derivative of a [`Custom`] function: from what was saved, the gradients of the outputs, and which inputs want one, to the
/// gradients of the inputs.
pub type CustomBackward = Box<dyn Fn(&[Option<Tensor>], &[Option<Tensor>], &[bool]) -> Result<Vec<Option<Tensor>>> + Send + Sync>;

/// A call of a function that was defined outside of Rust, after its forward has run.
pub struct Custom<'a> {
    /// For graphs and error texts.
    pub name: &'static str,
    /// What gradients may flow to.
    pub inputs: &'a [&'a Tensor],
    /// The results. One that is an input must be among `dirty`.
    pub outputs: &'a [Tensor],
    /// Whether each output has a gradient.
    pub differentiable: &'a [bool],
    /// Inputs that the forward has overwritten.
    pub dirty: &'a [Tensor],
    /// What the derivative needs, inputs and outputs among it.
    pub saved: &'a [Option<Tensor>],
}

/// Gives the outputs of a function one node with a derivative of its own: what [`Function::apply`] does in Rust, for bindings.
///
/// # Errors
/// If a dirty input may not be overwritten.
pub fn record_custom(call: Custom, backward: CustomBackward) -> Result<()> {
    let _call = crate::op::enter_from(call.name, crate::op::current_site());
    let Custom { inputs, outputs, differentiable, dirty, saved, .. } = call;
    for x in dirty {
        super::inplace::check(x)?;
    }
    // A dirty input's old history is an edge of the node; its new one is the node itself.
    let fresh: Vec<Tensor> =
        outputs.iter().map(|o| if dirty.iter().any(|d| d.is_same(o)) { o.detach() } else { o.clone() }).collect();
    let tracked: Vec<Tensor> = fresh.iter().zip(differentiable).filter(|(_, d)| **d).map(|(o, _)| o.clone()).collect();
    let number = |nr: usize| differentiable[..nr].iter().filter(|d| **d).count();
    record(&tracked, inputs, |s| {
        let kept: Vec<Option<Saved>> = saved
            .iter()
            .map(|t| {
                let t = t.as_ref()?;
                Some(match outputs.iter().position(|o| o.is_same(t)) {
                    Some(nr) if differentiable[nr] => s.output_at(number(nr)),
                    _ => s.input(t),
                })
            })
            .collect();
        let differentiable = differentiable.to_vec();
        grad_fn_many(move |c, grads| {
            let saved = kept.iter().map(|s| s.as_ref().map(|s| s.get(c)).transpose()).collect::<Result<Vec<_>>>()?;
            // The derivative sees a gradient for every output, those without one included.
            let mut given = grads.iter();
            let grads: Vec<_> = differentiable.iter().map(|d| if *d { given.next().cloned().flatten() } else { None }).collect();
            backward(&saved, &grads, &c.needs)
        })
    })?;
    for (o, new) in outputs.iter().zip(&fresh) {
        if !o.is_same(new) {
            super::inplace::rebase(o, new)?;
        }
    }
    Ok(())
}
