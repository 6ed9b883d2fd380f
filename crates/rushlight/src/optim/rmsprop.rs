//! RMSprop.
//!
//! Source: <https://docs.pytorch.org/docs/stable/generated/torch.optim.RMSprop.html>

use super::options::{at_least_zero, options};
use super::{Optim, Rule, load_like, sign};
use crate::ops::{Pointwise, zeros_like};
use crate::{BinOp, Result, State, Tensor, UnOp};
use rushlight_kernels::backend::UpdateRule;
use smallvec::SmallVec;

/// RMSprop: gradients over the root of the running mean of their squares, as Hinton's lecture notes have it; with momentum and centring.
pub type RmsProp = Optim<RmsPropRule>;

options! {
    /// Options of [`RmsProp`].
    RmsPropOptions {
        /// Learning rate.
        lr: f64 = 1e-2,
        /// Decay rate of the running mean of squares.
        alpha: f64 = 0.99,
        /// Added to the denominator.
        eps: f64 = 1e-8,
        /// L2 penalty.
        weight_decay: f64 = 0.0,
        /// Weight of the past in the running direction.
        momentum: f64 = 0.0,
        /// Take the square of the running mean off: divide by an estimate of the standard deviation.
        centered: bool = false,
        /// Climb instead of descend.
        maximize: bool = false,
    }
    momentum: |o| Some(&mut o.momentum)
}

/// The rule of [`RmsProp`].
pub struct RmsPropRule;

/// What it keeps for a parameter.
pub struct RmsPropMemory {
    /// Nothing depends on it, but PyTorch's checkpoints have it.
    step: f64,
    square: Tensor,
    direction: Option<Tensor>,
    mean: Option<Tensor>,
}

impl Rule for RmsPropRule {
    type Options = RmsPropOptions;
    type Memory = RmsPropMemory;
    const NAME: &'static str = "RMSprop";

    fn check(o: &RmsPropOptions) -> Result<()> {
        at_least_zero("learning rate", o.lr)?;
        at_least_zero("epsilon value", o.eps)?;
        at_least_zero("momentum value", o.momentum)?;
        at_least_zero("weight_decay value", o.weight_decay)?;
        at_least_zero("alpha value", o.alpha)
    }

    fn init(param: &Tensor, o: &RmsPropOptions) -> Result<RmsPropMemory> {
        let zeros = || zeros_like(param, None);
        Ok(RmsPropMemory {
            step: 0.0,
            square: zeros()?,
            direction: (o.momentum > 0.0).then(zeros).transpose()?,
            mean: o.centered.then(zeros).transpose()?,
        })
    }

    fn update(param: &Tensor, grad: &Tensor, m: &mut RmsPropMemory, o: &RmsPropOptions) -> Result<()> {
        m.step += 1.0;
        rmsprop_update(param, grad, &m.square, m.direction.as_ref(), m.mean.as_ref(), o)
    }

    fn kernel<'a>(m: &'a RmsPropMemory, o: &RmsPropOptions) -> Option<(UpdateRule, SmallVec<[&'a Tensor; 2]>)> {
        (m.direction.is_none() && m.mean.is_none()).then(|| (rmsprop_rule(o), [&m.square].into_iter().collect()))
    }

    fn stepped(m: &mut RmsPropMemory) {
        m.step += 1.0;
    }

    fn save(m: &RmsPropMemory) -> State {
        let mut state = State::map().with("step", m.step).with("square_avg", &m.square);
        for (name, t) in [("momentum_buffer", &m.direction), ("grad_avg", &m.mean)] {
            if let Some(t) = t {
                state = state.with(name, t);
            }
        }
        state
    }

    fn load(state: &State, param: &Tensor) -> Result<RmsPropMemory> {
        let optional = |name| state.get(name).is_ok().then(|| load_like(state, name, param)).transpose();
        Ok(RmsPropMemory {
            step: state.read("step", State::as_f64)?,
            square: load_like(state, "square_avg", param)?,
            direction: optional("momentum_buffer")?,
            mean: optional("grad_avg")?,
        })
    }
}

/// The kernel's form of [`rmsprop_update`], which it has without momentum and not centred.
pub fn rmsprop_rule(o: &RmsPropOptions) -> UpdateRule {
    let RmsPropOptions { lr, alpha, eps, weight_decay, maximize, .. } = *o;
    UpdateRule::RmsProp { lr, alpha, eps, weight_decay, sign: sign(maximize) }
}

/// One step of [`RmsProp`] for one parameter, in one pass: `square_avg` always, `momentum_buffer` with momentum, `grad_avg` when centred.
///
/// # Errors
/// If the tensors differ in shape, or the parameter may not be written to.
pub fn rmsprop_update(
    param: &Tensor,
    grad: &Tensor,
    square_avg: &Tensor,
    momentum_buffer: Option<&Tensor>,
    grad_avg: Option<&Tensor>,
    o: &RmsPropOptions,
) -> Result<()> {
    let mut k = Pointwise::new();
    let dtype = param.dtype();
    let (p, g, square) = (k.input(param), k.input(grad), k.input(square_avg));
    let mut g = k.cast(dtype, g);
    if o.maximize {
        g = k.scale(g, -1.0)?;
    }
    if o.weight_decay != 0.0 {
        g = k.add_scaled(g, p, o.weight_decay)?;
    }
    let kept = k.scale(square, o.alpha)?;
    let gg = k.bin(BinOp::Mul, g, g)?;
    let square = k.add_scaled(kept, gg, 1.0 - o.alpha)?;
    let mut outs = vec![(square, square_avg)];
    let mut under = square;
    if let Some(mean) = grad_avg {
        let old = k.input(mean);
        let distance = k.bin(BinOp::Sub, g, old)?;
        let new = k.add_scaled(old, distance, 1.0 - o.alpha)?;
        outs.push((new, mean));
        let of_mean = k.bin(BinOp::Mul, new, new)?;
        under = k.bin(BinOp::Sub, square, of_mean)?;
    }
    let root = k.un(UnOp::Sqrt, under)?;
    let eps = k.constant(o.eps, dtype);
    let denominator = k.bin(BinOp::Add, root, eps)?;
    let mut direction = k.bin(BinOp::Div, g, denominator)?;
    if let Some(buffer) = momentum_buffer {
        let old = k.input(buffer);
        let kept = k.scale(old, o.momentum)?;
        direction = k.bin(BinOp::Add, kept, direction)?;
        outs.push((direction, buffer));
    }
    let new = k.add_scaled(p, direction, -o.lr)?;
    outs.push((new, param));
    k.run_into(&outs)
}
