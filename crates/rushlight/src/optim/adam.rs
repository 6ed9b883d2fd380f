//! Adam and AdamW.
//!
//! Sources: Kingma and Ba, "Adam: A Method for Stochastic Optimization" (2014); Loshchilov and Hutter, "Decoupled Weight Decay
//! Regularization" (2017); <https://docs.pytorch.org/docs/stable/generated/torch.optim.AdamW.html>.

use super::options::{at_least_zero, in_unit_interval, options};
use super::{Optim, Rule, load_like, sign};
use crate::ops::{Pointwise, zeros_like};
use crate::{BinOp, Result, State, Tensor, UnOp};
use rushlight_kernels::backend::UpdateRule;
use smallvec::SmallVec;

/// Adam: steps of the running mean of gradients over the root of the running mean of their squares. Weight decay is added to the gradient.
pub type Adam = Optim<AdamRule>;
/// Adam with decoupled weight decay: the parameter itself shrinks by `lr · weight_decay`.
pub type AdamW = Optim<AdamWRule>;

/// The two optimizers differ in their default weight decay alone, and in what it acts on.
macro_rules! adam_options {
    ($(#[$meta:meta])* $name:ident, $weight_decay:expr) => {
        options! {
            $(#[$meta])*
            $name {
                /// Learning rate.
                lr: f64 = 1e-3,
                /// Decay rates of the running means of gradients and of their squares.
                betas: (f64, f64) = (0.9, 0.999),
                /// Added to the denominator.
                eps: f64 = 1e-8,
                /// Weight decay.
                weight_decay: f64 = $weight_decay,
                /// Divide by the largest mean square so far (Reddi et al., 2018).
                amsgrad: bool = false,
                /// Climb instead of descend.
                maximize: bool = false,
            }
            momentum: |o| Some(&mut o.betas.0)
        }
    };
}
adam_options!(
    /// Options of [`Adam`].
    AdamOptions,
    0.0
);
adam_options!(
    /// Options of [`AdamW`].
    AdamWOptions,
    1e-2
);

/// The rule of [`Adam`].
pub struct AdamRule;
/// The rule of [`AdamW`].
pub struct AdamWRule;

/// What both keep for a parameter.
pub struct AdamMemory {
    step: f64,
    mean: Tensor,
    square: Tensor,
    largest: Option<Tensor>,
}

impl AdamMemory {
    fn new(param: &Tensor, amsgrad: bool) -> Result<AdamMemory> {
        let zeros = || zeros_like(param, None);
        Ok(AdamMemory { step: 0.0, mean: zeros()?, square: zeros()?, largest: amsgrad.then(zeros).transpose()? })
    }
    fn save(&self) -> State {
        let state = State::map().with("step", self.step).with("exp_avg", &self.mean).with("exp_avg_sq", &self.square);
        match &self.largest {
            Some(t) => state.with("max_exp_avg_sq", t),
            None => state,
        }
    }
    fn load(state: &State, param: &Tensor) -> Result<AdamMemory> {
        Ok(AdamMemory {
            step: state.read("step", State::as_f64)?,
            mean: load_like(state, "exp_avg", param)?,
            square: load_like(state, "exp_avg_sq", param)?,
            largest: state.get("max_exp_avg_sq").is_ok().then(|| load_like(state, "max_exp_avg_sq", param)).transpose()?,
        })
    }
}

fn check(o: &AdamWOptions) -> Result<()> {
    at_least_zero("learning rate", o.lr)?;
    at_least_zero("epsilon value", o.eps)?;
    in_unit_interval("beta parameter at index 0", o.betas.0)?;
    in_unit_interval("beta parameter at index 1", o.betas.1)?;
    at_least_zero("weight_decay value", o.weight_decay)
}

fn update(param: &Tensor, grad: &Tensor, m: &mut AdamMemory, o: &AdamWOptions, decoupled: bool) -> Result<()> {
    m.step += 1.0;
    adam_update(param, grad, [&m.mean, &m.square], m.largest.as_ref(), m.step, o, decoupled)
}

/// The kernel's form of [`adam_update`], which it has but for AMSGrad.
pub fn adam_rule(step: f64, o: &AdamWOptions, decoupled: bool) -> Option<UpdateRule> {
    let (beta1, beta2) = o.betas;
    (!o.amsgrad).then(|| UpdateRule::Adam {
        beta1,
        beta2,
        eps: o.eps,
        rate: -o.lr / (1.0 - beta1.powf(step)),
        correction: 1.0 / (1.0 - beta2.powf(step)).sqrt(),
        weight_decay: if decoupled { 0.0 } else { o.weight_decay },
        shrink: if decoupled && o.weight_decay != 0.0 { 1.0 - o.lr * o.weight_decay } else { 1.0 },
        sign: sign(o.maximize),
    })
}

impl AdamMemory {
    fn kernel(&self, o: &AdamWOptions, decoupled: bool) -> Option<(UpdateRule, SmallVec<[&Tensor; 2]>)> {
        let rule = adam_rule(self.step + 1.0, o, decoupled).filter(|_| self.largest.is_none())?;
        Some((rule, SmallVec::from_buf([&self.mean, &self.square])))
    }
}

/// Step number `step` (the first is 1) of [`Adam`], or with `decoupled` of [`AdamW`], for one parameter, in one pass. `averages` are the
/// running means of the gradient and of its square; `largest`, the largest mean square so far, makes it AMSGrad.
///
/// # Errors
/// If the tensors differ in shape, or the parameter may not be written to.
pub fn adam_update(
    param: &Tensor,
    grad: &Tensor,
    averages: [&Tensor; 2],
    largest: Option<&Tensor>,
    step: f64,
    o: &AdamWOptions,
    decoupled: bool,
) -> Result<()> {
    let [mean_buffer, square_buffer] = averages;
    let (beta1, beta2) = o.betas;
    let mut k = Pointwise::new();
    let dtype = param.dtype();
    let (mut p, g) = (k.input(param), k.input(grad));
    let (mean, square) = (k.input(mean_buffer), k.input(square_buffer));
    let mut g = k.cast(dtype, g);
    if o.maximize {
        g = k.scale(g, -1.0)?;
    }
    if o.weight_decay != 0.0 {
        if decoupled {
            p = k.scale(p, 1.0 - o.lr * o.weight_decay)?;
        } else {
            g = k.add_scaled(g, p, o.weight_decay)?;
        }
    }
    // mean + (1 - beta1)(g - mean)
    let distance = k.bin(BinOp::Sub, g, mean)?;
    let mean = k.add_scaled(mean, distance, 1.0 - beta1)?;
    let kept = k.scale(square, beta2)?;
    let gg = k.bin(BinOp::Mul, g, g)?;
    let square = k.add_scaled(kept, gg, 1.0 - beta2)?;
    let mut outs = vec![(mean, mean_buffer), (square, square_buffer)];
    let mut under = square;
    if let Some(largest) = largest {
        let before = k.input(largest);
        under = k.bin(BinOp::Max, before, square)?;
        outs.push((under, largest));
    }
    let root = k.un(UnOp::Sqrt, under)?;
    let scaled = k.scale(root, 1.0 / (1.0 - beta2.powf(step)).sqrt())?;
    let eps = k.constant(o.eps, dtype);
    let denominator = k.bin(BinOp::Add, scaled, eps)?;
    let direction = k.bin(BinOp::Div, mean, denominator)?;
    let new = k.add_scaled(p, direction, -o.lr / (1.0 - beta1.powf(step)))?;
    outs.push((new, param));
    k.run_into(&outs)
}

/// The plain struct of both option types.
fn common(o: &AdamOptions) -> AdamWOptions {
    let AdamOptions { lr, betas, eps, weight_decay, amsgrad, maximize } = *o;
    AdamWOptions { lr, betas, eps, weight_decay, amsgrad, maximize }
}

impl Rule for AdamRule {
    type Options = AdamOptions;
    type Memory = AdamMemory;
    const NAME: &'static str = "Adam";

    fn check(o: &AdamOptions) -> Result<()> {
        check(&common(o))
    }
    fn init(param: &Tensor, o: &AdamOptions) -> Result<AdamMemory> {
        AdamMemory::new(param, o.amsgrad)
    }
    fn update(param: &Tensor, grad: &Tensor, memory: &mut AdamMemory, o: &AdamOptions) -> Result<()> {
        update(param, grad, memory, &common(o), false)
    }
    fn kernel<'a>(memory: &'a AdamMemory, o: &AdamOptions) -> Option<(UpdateRule, SmallVec<[&'a Tensor; 2]>)> {
        memory.kernel(&common(o), false)
    }
    fn stepped(memory: &mut AdamMemory) {
        memory.step += 1.0;
    }
    fn save(memory: &AdamMemory) -> State {
        memory.save()
    }
    fn load(state: &State, param: &Tensor) -> Result<AdamMemory> {
        AdamMemory::load(state, param)
    }
}

impl Rule for AdamWRule {
    type Options = AdamWOptions;
    type Memory = AdamMemory;
    const NAME: &'static str = "AdamW";

    fn check(o: &AdamWOptions) -> Result<()> {
        check(o)
    }
    fn init(param: &Tensor, o: &AdamWOptions) -> Result<AdamMemory> {
        AdamMemory::new(param, o.amsgrad)
    }
    fn update(param: &Tensor, grad: &Tensor, memory: &mut AdamMemory, o: &AdamWOptions) -> Result<()> {
        update(param, grad, memory, o, true)
    }
    fn kernel<'a>(memory: &'a AdamMemory, o: &AdamWOptions) -> Option<(UpdateRule, SmallVec<[&'a Tensor; 2]>)> {
        memory.kernel(o, true)
    }
    fn stepped(memory: &mut AdamMemory) {
        memory.step += 1.0;
    }
    fn save(memory: &AdamMemory) -> State {
        memory.save()
    }
    fn load(state: &State, param: &Tensor) -> Result<AdamMemory> {
        AdamMemory::load(state, param)
    }
}
