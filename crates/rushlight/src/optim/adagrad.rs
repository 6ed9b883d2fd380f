//! Adagrad.
//!
//! Sources: Duchi, Hazan and Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization" (2011);
//! <https://docs.pytorch.org/docs/stable/generated/torch.optim.Adagrad.html>.

use super::options::{at_least_zero, options};
use super::{Optim, Rule, load_like, sign};
use crate::ops::{Pointwise, full_like};
use crate::{BinOp, Result, State, Tensor, UnOp};
use rushlight_kernels::backend::UpdateRule;
use smallvec::SmallVec;

/// Adagrad: gradients over the root of the sum of all their squares so far.
pub type Adagrad = Optim<AdagradRule>;

options! {
    /// Options of [`Adagrad`].
    AdagradOptions {
        /// Learning rate.
        lr: f64 = 1e-2,
        /// The learning rate of step t is `lr / (1 + (t − 1) · lr_decay)`.
        lr_decay: f64 = 0.0,
        /// L2 penalty.
        weight_decay: f64 = 0.0,
        /// Where the sums of squares start.
        initial_accumulator_value: f64 = 0.0,
        /// Added to the denominator.
        eps: f64 = 1e-10,
        /// Climb instead of descend.
        maximize: bool = false,
    }
    momentum: |_o| None
}

/// The rule of [`Adagrad`].
pub struct AdagradRule;

/// What it keeps for a parameter.
pub struct AdagradMemory {
    step: f64,
    sum: Tensor,
}

impl Rule for AdagradRule {
    type Options = AdagradOptions;
    type Memory = AdagradMemory;
    const NAME: &'static str = "Adagrad";

    fn check(o: &AdagradOptions) -> Result<()> {
        at_least_zero("learning rate", o.lr)?;
        at_least_zero("lr_decay value", o.lr_decay)?;
        at_least_zero("weight_decay value", o.weight_decay)?;
        at_least_zero("initial_accumulator_value value", o.initial_accumulator_value)?;
        at_least_zero("epsilon value", o.eps)
    }

    fn init(param: &Tensor, o: &AdagradOptions) -> Result<AdagradMemory> {
        Ok(AdagradMemory { step: 0.0, sum: full_like(param, o.initial_accumulator_value.into(), None)? })
    }

    fn update(param: &Tensor, grad: &Tensor, m: &mut AdagradMemory, o: &AdagradOptions) -> Result<()> {
        m.step += 1.0;
        adagrad_update(param, grad, &m.sum, m.step, o)
    }

    fn kernel<'a>(m: &'a AdagradMemory, o: &AdagradOptions) -> Option<(UpdateRule, SmallVec<[&'a Tensor; 2]>)> {
        Some((adagrad_rule(m.step + 1.0, o), [&m.sum].into_iter().collect()))
    }

    fn stepped(m: &mut AdagradMemory) {
        m.step += 1.0;
    }

    fn save(m: &AdagradMemory) -> State {
        State::map().with("step", m.step).with("sum", &m.sum)
    }

    fn load(state: &State, param: &Tensor) -> Result<AdagradMemory> {
        Ok(AdagradMemory { step: state.read("step", State::as_f64)?, sum: load_like(state, "sum", param)? })
    }
}

/// The kernel's form of [`adagrad_update`].
pub fn adagrad_rule(step: f64, o: &AdagradOptions) -> UpdateRule {
    let rate = -o.lr / (1.0 + (step - 1.0) * o.lr_decay);
    UpdateRule::Adagrad { rate, eps: o.eps, weight_decay: o.weight_decay, sign: sign(o.maximize) }
}

/// Step number `step` (the first is 1) of [`Adagrad`] for one parameter, in one pass.
///
/// # Errors
/// If the tensors differ in shape, or the parameter may not be written to.
pub fn adagrad_update(param: &Tensor, grad: &Tensor, state_sum: &Tensor, step: f64, o: &AdagradOptions) -> Result<()> {
    let mut k = Pointwise::new();
    let dtype = param.dtype();
    let (p, g, sum) = (k.input(param), k.input(grad), k.input(state_sum));
    let mut g = k.cast(dtype, g);
    if o.maximize {
        g = k.scale(g, -1.0)?;
    }
    if o.weight_decay != 0.0 {
        g = k.add_scaled(g, p, o.weight_decay)?;
    }
    let gg = k.bin(BinOp::Mul, g, g)?;
    let sum = k.bin(BinOp::Add, sum, gg)?;
    let root = k.un(UnOp::Sqrt, sum)?;
    let eps = k.constant(o.eps, dtype);
    let denominator = k.bin(BinOp::Add, root, eps)?;
    let direction = k.bin(BinOp::Div, g, denominator)?;
    let new = k.add_scaled(p, direction, -o.lr / (1.0 + (step - 1.0) * o.lr_decay))?;
    k.run_into(&[(sum, state_sum), (new, param)])
}
