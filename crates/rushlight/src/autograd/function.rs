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
