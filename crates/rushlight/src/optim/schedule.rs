//! Learning-rate schedules.
//!
//! A schedule changes the rate that the optimizer has now ("chainable" form, as PyTorch computes it), so schedules can be combined; the
//! closed form is used when one starts over. Call [`Scheduler::step`] after the optimizer's.
//!
//! Source: <https://docs.pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate>

use super::Optimizer;
use crate::{Error, Result, State, Stateful};
use std::f64::consts::PI;

/// A learning-rate schedule.
pub trait Scheduler: Stateful {
    /// Moves on by one step and sets the optimizer's rates.
    ///
    /// # Errors
    /// If the schedule has ended (one cycle).
    fn step(&mut self, optimizer: &mut dyn Optimizer) -> Result<()>;
    /// Goes back to the beginning and sets the optimizer's rates.
    fn restart(&mut self, optimizer: &mut dyn Optimizer);
    /// The rates that it set last, by group.
    fn last_lr(&self) -> Vec<f64>;
}

/// How a rate depends on the step.
pub trait LrRule {
    /// The rate at `epoch`, from the rate before (`lr`) and the initial rate (`base`).
    fn next(&self, group: usize, epoch: u64, lr: f64, base: f64) -> f64;
    /// The rate at step 0.
    fn first(&self, group: usize, base: f64) -> f64 {
        self.next(group, 0, base, base)
    }
}

/// A schedule that follows a [`LrRule`].
pub struct Schedule<R> {
    rule: R,
    base_lrs: Vec<f64>,
    epoch: u64,
    last: Vec<f64>,
}

impl<R: LrRule> Schedule<R> {
    /// A schedule over `optimizer`, whose rates it sets to those of step 0.
    pub fn with_rule(optimizer: &mut dyn Optimizer, rule: R) -> Schedule<R> {
        let base_lrs = (0..optimizer.num_groups()).map(|g| optimizer.initial_lr(g)).collect();
        let mut s = Schedule { rule, base_lrs, epoch: 0, last: vec![] };
        // The rate found here, not the base: another schedule may already be at work.
        s.apply(optimizer, |s, g, lr| s.rule.next(g, 0, lr, s.base_lrs[g]));
        s
    }
    fn apply(&mut self, optimizer: &mut dyn Optimizer, f: impl Fn(&Self, usize, f64) -> f64) {
        self.last = (0..self.base_lrs.len()).map(|g| f(self, g, optimizer.lr(g))).collect();
        self.last.iter().enumerate().for_each(|(g, &lr)| optimizer.set_lr(g, lr));
    }
}

impl<R: LrRule> Scheduler for Schedule<R> {
    fn step(&mut self, optimizer: &mut dyn Optimizer) -> Result<()> {
        self.epoch += 1;
        self.apply(optimizer, |s, g, lr| s.rule.next(g, s.epoch, lr, s.base_lrs[g]));
        Ok(())
    }
    fn restart(&mut self, optimizer: &mut dyn Optimizer) {
        self.epoch = 0;
        self.apply(optimizer, |s, g, _| s.rule.first(g, s.base_lrs[g]));
    }
    fn last_lr(&self) -> Vec<f64> {
        self.last.clone()
    }
}

fn numbers(state: &State) -> Result<Vec<f64>> {
    state.as_list()?.iter().map(State::as_f64).collect()
}

impl<R> Stateful for Schedule<R> {
    fn state(&self) -> State {
        State::map()
            .with("last_epoch", self.epoch as usize)
            .with("base_lrs", self.base_lrs.clone())
            .with("_last_lr", self.last.clone())
    }
    fn load_state(&mut self, state: &State) -> Result<()> {
        let (epoch, base, last) =
            (state.read("last_epoch", State::as_usize)?, state.read("base_lrs", numbers)?, state.read("_last_lr", numbers)?);
        if base.len() != self.base_lrs.len() {
            return Err(Error::value(format!(
                "the schedule's state is for {} parameter groups, not {}",
                base.len(),
                self.base_lrs.len()
            )));
        }
        (self.epoch, self.base_lrs, self.last) = (epoch as u64, base, last);
        Ok(())
    }
}

/// The rule of [`LambdaLr`].
pub struct Lambda(Box<dyn Fn(u64) -> f64 + Send + Sync>);
/// The initial rate times a function of the step.
pub type LambdaLr = Schedule<Lambda>;
impl LambdaLr {
    /// `f(step)` is the factor.
    pub fn new(optimizer: &mut dyn Optimizer, f: impl Fn(u64) -> f64 + Send + Sync + 'static) -> LambdaLr {
        Schedule::with_rule(optimizer, Lambda(Box::new(f)))
    }
}
impl LrRule for Lambda {
    fn next(&self, _: usize, epoch: u64, _: f64, base: f64) -> f64 {
        base * (self.0)(epoch)
    }
}

/// The rule of [`StepLr`].
pub struct Steps {
    size: u64,
    gamma: f64,
}
/// Times `gamma` every `step_size` steps.
pub type StepLr = Schedule<Steps>;
impl StepLr {
    /// `step_size` is at least one.
    ///
    /// # Panics
    /// If `step_size` is zero.
    #[track_caller]
    pub fn new(optimizer: &mut dyn Optimizer, step_size: u64, gamma: f64) -> StepLr {
        assert!(step_size > 0, "StepLr: step_size must be at least 1");
        Schedule::with_rule(optimizer, Steps { size: step_size, gamma })
    }
}
impl LrRule for Steps {
    fn next(&self, _: usize, epoch: u64, lr: f64, _: f64) -> f64 {
        if epoch != 0 && epoch.is_multiple_of(self.size) { lr * self.gamma } else { lr }
    }
}

/// The rule of [`MultiStepLr`].
pub struct Milestones {
    at: Vec<u64>,
    gamma: f64,
}
/// Times `gamma` at each milestone.
pub type MultiStepLr = Schedule<Milestones>;
impl MultiStepLr {
    /// A milestone named twice counts twice.
    pub fn new(optimizer: &mut dyn Optimizer, milestones: &[u64], gamma: f64) -> MultiStepLr {
        Schedule::with_rule(optimizer, Milestones { at: milestones.to_vec(), gamma })
    }
}
impl LrRule for Milestones {
    fn next(&self, _: usize, epoch: u64, lr: f64, _: f64) -> f64 {
        lr * self.gamma.powi(self.at.iter().filter(|&&m| m == epoch).count() as i32)
    }
}

/// The rule of [`ExponentialLr`].
pub struct Exponential(f64);
/// Times `gamma` every step.
pub type ExponentialLr = Schedule<Exponential>;
impl ExponentialLr {
    /// `gamma` is the factor.
    pub fn new(optimizer: &mut dyn Optimizer, gamma: f64) -> ExponentialLr {
        Schedule::with_rule(optimizer, Exponential(gamma))
    }
}
impl LrRule for Exponential {
    fn next(&self, _: usize, epoch: u64, lr: f64, _: f64) -> f64 {
        if epoch == 0 { lr } else { lr * self.0 }
    }
}

/// The rule of [`LinearLr`].
pub struct Linear {
    start: f64,
    end: f64,
    total: u64,
}
/// A factor that goes in a straight line from `start_factor` to `end_factor` in `total_iters` steps, and stays: a warm-up.
pub type LinearLr = Schedule<Linear>;
impl LinearLr {
    /// PyTorch's defaults are 1/3, 1 and 5.
    ///
    /// # Errors
    /// If `start_factor` is not in (0, 1], or `end_factor` not in [0, 1].
    pub fn new(optimizer: &mut dyn Optimizer, start_factor: f64, end_factor: f64, total_iters: u64) -> Result<LinearLr> {
        if !(start_factor > 0.0 && start_factor <= 1.0) {
            return Err(Error::value("Starting multiplicative factor expected to be greater than 0 and less or equal to 1."));
        }
        if !(0.0..=1.0).contains(&end_factor) {
            return Err(Error::value("Ending multiplicative factor expected to be between 0 and 1."));
        }
        Ok(Schedule::with_rule(optimizer, Linear { start: start_factor, end: end_factor, total: total_iters }))
    }
}
impl LrRule for Linear {
    fn next(&self, _: usize, epoch: u64, lr: f64, _: f64) -> f64 {
        let rise = self.end - self.start;
        match epoch {
            0 => lr * self.start,
            e if e > self.total => lr,
            e => lr * (1.0 + rise / (self.total as f64 * self.start + (e - 1) as f64 * rise)),
        }
    }
}

/// The rule of [`CosineLr`].
pub struct Cosine {
    period: u64,
    eta_min: f64,
}
/// Half a cosine wave from the initial rate down to `eta_min` in `t_max` steps (Loshchilov and Hutter, "SGDR", 2016). PyTorch's
/// `CosineAnnealingLR`.
pub type CosineLr = Schedule<Cosine>;
impl CosineLr {
    /// `t_max` is at least one.
    ///
    /// # Panics
    /// If `t_max` is zero.
    #[track_caller]
    pub fn new(optimizer: &mut dyn Optimizer, t_max: u64, eta_min: f64) -> CosineLr {
        assert!(t_max > 0, "CosineLr: t_max must be at least 1");
        Schedule::with_rule(optimizer, Cosine { period: t_max, eta_min })
    }
}
impl LrRule for Cosine {
    fn next(&self, _: usize, epoch: u64, lr: f64, base: f64) -> f64 {
        let (t, at) = (self.period as f64, epoch as f64);
        if epoch == 0 {
            lr
        } else if (at - 1.0 - t) % (2.0 * t) == 0.0 {
            lr + (base - self.eta_min) * (1.0 - (PI / t).cos()) / 2.0
        } else {
            (1.0 + (PI * at / t).cos()) / (1.0 + (PI * (at - 1.0) / t).cos()) * (lr - self.eta_min) + self.eta_min
        }
    }
}

/// One schedule after another: PyTorch's `SequentialLR`.
pub struct SequentialLr {
    parts: Vec<Box<dyn Scheduler + Send>>,
    milestones: Vec<u64>,
    epoch: u64,
}

impl SequentialLr {
    /// `parts[i + 1]` takes over at `milestones[i]`.
    ///
    /// # Errors
    /// If there is not one milestone fewer than schedules, or they do not rise.
    pub fn new(optimizer: &mut dyn Optimizer, parts: Vec<Box<dyn Scheduler + Send>>, milestones: &[u64]) -> Result<SequentialLr> {
        if parts.is_empty() || milestones.len() + 1 != parts.len() {
            return Err(Error::value(format!(
                "Sequential Schedulers expects number of schedulers provided to be one more than the number of milestone points, but got number of \
                 schedulers {} and the number of milestones to be equal to {}",
                parts.len(),
                milestones.len()
            )));
        }
        if milestones.windows(2).any(|w| w[0] >= w[1]) {
            return Err(Error::value(format!("SequentialLr: milestones must rise, but are {milestones:?}")));
        }
        let mut s = SequentialLr { parts, milestones: milestones.to_vec(), epoch: 0 };
        s.restart(optimizer);
        Ok(s)
    }
    /// Which part is at work at a step.
    fn part(&self, epoch: u64) -> usize {
        self.milestones.iter().filter(|&&m| m <= epoch).count()
    }
}

impl Scheduler for SequentialLr {
    fn step(&mut self, optimizer: &mut dyn Optimizer) -> Result<()> {
        self.epoch += 1;
        let i = self.part(self.epoch);
        if i > 0 && self.milestones[i - 1] == self.epoch {
            self.parts[i].restart(optimizer);
            return Ok(());
        }
        self.parts[i].step(optimizer)
    }
    fn restart(&mut self, optimizer: &mut dyn Optimizer) {
        self.epoch = 0;
        self.parts[0].restart(optimizer);
    }
    fn last_lr(&self) -> Vec<f64> {
        self.parts[self.part(self.epoch)].last_lr()
    }
}

impl Stateful for SequentialLr {
    fn state(&self) -> State {
        let parts: Vec<State> = self.parts.iter().map(|p| p.state()).collect();
        State::map().with("last_epoch", self.epoch as usize).with("_schedulers", parts)
    }
    fn load_state(&mut self, state: &State) -> Result<()> {
        let saved = state.read("_schedulers", State::as_list)?;
        if saved.len() != self.parts.len() {
            return Err(Error::value(format!("the state holds {} schedules, not {}", saved.len(), self.parts.len())));
        }
        self.epoch = state.read("last_epoch", State::as_usize)? as u64;
        self.parts.iter_mut().zip(saved).try_for_each(|(p, s)| p.load_state(s))
    }
}
