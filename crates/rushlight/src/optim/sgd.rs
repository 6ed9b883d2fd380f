//! Stochastic gradient descent with momentum, dampening, weight decay and Nesterov's variant.
//!
//! Source: <https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html>

use super::options::{at_least_zero, options};
use super::{Optim, Rule, load_like, sign};
use crate::ops::{Pointwise, copy};
use crate::{BinOp, Error, Result, State, Tensor};
use rushlight_kernels::backend::UpdateRule;
use smallvec::SmallVec;

/// Stochastic gradient descent: `v ← momentum·v + (1 − dampening)·(g + weight_decay·p)`, `p ← p − lr·v`.
pub type Sgd = Optim<SgdRule>;

options! {
    /// Options of [`Sgd`].
    SgdOptions {
        /// Learning rate.
        lr: f64 = 1e-3,
        /// Weight of the past in the running direction.
        momentum: f64 = 0.0,
        /// Part of a new gradient that the running direction leaves out.
        dampening: f64 = 0.0,
        /// L2 penalty.
        weight_decay: f64 = 0.0,
        /// Look ahead along the running direction.
        nesterov: bool = false,
        /// Climb instead of descend.
        maximize: bool = false,
    }
    momentum: |o| Some(&mut o.momentum)
}

/// The rule of [`Sgd`].
pub struct SgdRule;

impl Rule for SgdRule {
    type Options = SgdOptions;
    type Memory = Option<Tensor>;
    const NAME: &'static str = "SGD";

    fn check(o: &SgdOptions) -> Result<()> {
        at_least_zero("learning rate", o.lr)?;
        at_least_zero("momentum value", o.momentum)?;
        at_least_zero("weight_decay value", o.weight_decay)?;
        if o.nesterov && (o.momentum <= 0.0 || o.dampening != 0.0) {
            return Err(Error::value("Nesterov momentum requires a momentum and zero dampening"));
        }
        Ok(())
    }

    fn init(_: &Tensor, _: &SgdOptions) -> Result<Option<Tensor>> {
        Ok(None)
    }

    fn update(param: &Tensor, grad: &Tensor, buffer: &mut Option<Tensor>, o: &SgdOptions) -> Result<()> {
        sgd_update(param, grad, buffer, o)
    }

    fn kernel<'a>(buffer: &'a Option<Tensor>, o: &SgdOptions) -> Option<(UpdateRule, SmallVec<[&'a Tensor; 2]>)> {
        // The first direction is no mean.
        (o.momentum == 0.0 || buffer.is_some()).then(|| {
            let state = if o.momentum == 0.0 { None } else { buffer.as_ref() };
            (sgd_rule(o), state.into_iter().collect())
        })
    }

    fn save(buffer: &Option<Tensor>) -> State {
        State::map().with("momentum_buffer", buffer.clone())
    }

    fn load(state: &State, param: &Tensor) -> Result<Option<Tensor>> {
        match state.get("momentum_buffer")? {
            State::None => Ok(None),
            _ => load_like(state, "momentum_buffer", param).map(Some),
        }
    }
}

/// The kernel's form of [`sgd_update`]; with momentum there must be a buffer.
pub fn sgd_rule(o: &SgdOptions) -> UpdateRule {
    let SgdOptions { lr, momentum, dampening, weight_decay, nesterov, maximize } = *o;
    let sign = sign(maximize);
    if momentum == 0.0 {
        return UpdateRule::Sgd { lr, weight_decay, sign };
    }
    UpdateRule::Momentum { lr, momentum, fresh: 1.0 - dampening, nesterov, weight_decay, sign }
}

/// One step of [`Sgd`] for one parameter, in one pass. With momentum, an empty `buffer` is filled with the first direction.
///
/// # Errors
/// If the tensors differ in shape, or the parameter may not be written to.
pub fn sgd_update(param: &Tensor, grad: &Tensor, buffer: &mut Option<Tensor>, o: &SgdOptions) -> Result<()> {
    let mut k = Pointwise::new();
    let dtype = param.dtype();
    let p = k.input(param);
    let g = k.input(grad);
    let mut d = k.cast(dtype, g);
    if o.maximize {
        d = k.scale(d, -1.0)?;
    }
    if o.weight_decay != 0.0 {
        d = k.add_scaled(d, p, o.weight_decay)?;
    }
    let mut outs = Vec::with_capacity(2);
    if o.momentum != 0.0 {
        // The first direction is the gradient itself.
        let first = buffer.is_none();
        let b = match buffer {
            Some(b) => b,
            none => none.insert(copy(param)?),
        };
        let v = if first {
            d
        } else {
            let old = k.input(b);
            let kept = k.scale(old, o.momentum)?;
            k.add_scaled(kept, d, 1.0 - o.dampening)?
        };
        outs.push((v, &*b));
        d = if o.nesterov { k.add_scaled(d, v, o.momentum)? } else { v };
    }
    let lr = k.constant(o.lr, dtype);
    let change = k.bin(BinOp::Mul, d, lr)?;
    let new = k.bin(BinOp::Sub, p, change)?;
    outs.push((new, param));
    k.run_into(&outs)
}
