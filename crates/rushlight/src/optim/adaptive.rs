//! Schedules with a plan or a measure of their own: one cycle, and reduction on a plateau.

use super::{Optimizer, Scheduler};
use crate::{Error, Result, State, Stateful};
use std::f64::consts::PI;

/// Options of [`OneCycleLr`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OneCycleOptions {
    /// The peak rate.
    pub max_lr: f64,
    /// Length of the cycle.
    pub total_steps: u64,
    /// Part of the cycle in which the rate rises.
    pub pct_start: f64,
    /// Along straight lines instead of cosines.
    pub linear: bool,
    /// Cycle the momentum against the rate.
    pub cycle_momentum: bool,
    /// Momentum at the peak.
    pub base_momentum: f64,
    /// Momentum at the ends.
    pub max_momentum: f64,
    /// The first rate is `max_lr / div_factor`.
    pub div_factor: f64,
    /// The last rate is the first over this.
    pub final_div_factor: f64,
    /// Come down to the first rate as steeply as up, and only then to the last.
    pub three_phase: bool,
}

impl OneCycleOptions {
    /// PyTorch's defaults for a peak and a length.
    pub fn new(max_lr: f64, total_steps: u64) -> OneCycleOptions {
        OneCycleOptions {
            max_lr,
            total_steps,
            pct_start: 0.3,
            linear: false,
            cycle_momentum: true,
            base_momentum: 0.85,
            max_momentum: 0.95,
            div_factor: 25.0,
            final_div_factor: 1e4,
            three_phase: false,
        }
    }
}

/// One cycle: up to a peak and down to almost nothing (Smith and Topin, "Super-Convergence", 2017).
pub struct OneCycleLr {
    options: OneCycleOptions,
    step: u64,
    last: Vec<f64>,
}

impl OneCycleLr {
    /// A cycle over `optimizer`, whose rates it sets to the first.
    ///
    /// # Errors
    /// If the length is zero or `pct_start` is not in [0, 1].
    pub fn new(optimizer: &mut dyn Optimizer, options: OneCycleOptions) -> Result<OneCycleLr> {
        if options.total_steps == 0 {
            return Err(Error::value("Expected positive integer total_steps, but got 0"));
        }
        if !(0.0..=1.0).contains(&options.pct_start) {
            return Err(Error::value(format!("Expected float between 0 and 1 pct_start, but got {}", options.pct_start)));
        }
        let mut s = OneCycleLr { options, step: 0, last: vec![] };
        s.restart(optimizer);
        Ok(s)
    }
    /// The phases: last step, and the rate and momentum at both ends.
    fn phases(&self) -> Vec<(f64, [f64; 2], [f64; 2])> {
        let o = &self.options;
        let first = o.max_lr / o.div_factor;
        let last = first / o.final_div_factor;
        let (low, high) = (o.base_momentum, o.max_momentum);
        let (total, top) = (o.total_steps as f64, o.pct_start * o.total_steps as f64 - 1.0);
        if o.three_phase {
            let down = 2.0 * o.pct_start * total - 2.0;
            vec![
                (top, [first, o.max_lr], [high, low]),
                (down, [o.max_lr, first], [low, high]),
                (total - 1.0, [first, last], [high, high]),
            ]
        } else {
            vec![(top, [first, o.max_lr], [high, low]), (total - 1.0, [o.max_lr, last], [low, high])]
        }
    }
    fn anneal(&self, [from, to]: [f64; 2], part: f64) -> f64 {
        if self.options.linear { (to - from) * part + from } else { to + (from - to) / 2.0 * (1.0 + (PI * part).cos()) }
    }
    fn apply(&mut self, optimizer: &mut dyn Optimizer) {
        let (step, phases) = (self.step as f64, self.phases());
        let mut start = 0.0;
        let at = phases.iter().position(|p| step <= p.0).unwrap_or(phases.len() - 1);
        if at > 0 {
            start = phases[at - 1].0;
        }
        let (end, lr, momentum) = phases[at];
        let part = (step - start) / (end - start);
        let (lr, momentum) = (self.anneal(lr, part), self.anneal(momentum, part));
        self.last = vec![lr; optimizer.num_groups()];
        for g in 0..optimizer.num_groups() {
            optimizer.set_lr(g, lr);
            if self.options.cycle_momentum {
                optimizer.set_momentum(g, momentum);
            }
        }
    }
}

impl Scheduler for OneCycleLr {
    fn step(&mut self, optimizer: &mut dyn Optimizer) -> Result<()> {
        if self.step + 1 >= self.options.total_steps {
            return Err(Error::value(format!(
                "Tried to step {} times. The specified number of total steps is {}",
                self.step + 2,
                self.options.total_steps
            )));
        }
        self.step += 1;
        self.apply(optimizer);
        Ok(())
    }
    fn restart(&mut self, optimizer: &mut dyn Optimizer) {
        self.step = 0;
        self.apply(optimizer);
    }
    fn last_lr(&self) -> Vec<f64> {
        self.last.clone()
    }
}

impl Stateful for OneCycleLr {
    fn state(&self) -> State {
        State::map().with("last_epoch", self.step as usize).with("_last_lr", self.last.clone())
    }
    fn load_state(&mut self, state: &State) -> Result<()> {
        let last = state.read("_last_lr", |s| s.as_list()?.iter().map(State::as_f64).collect::<Result<Vec<f64>>>())?;
        self.step = state.read("last_epoch", State::as_usize)? as u64;
        self.last = last;
        Ok(())
    }
}

/// Options of [`ReduceLrOnPlateau`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlateauOptions {
    /// The metric is better when larger.
    pub maximize: bool,
    /// What the rate is multiplied by.
    pub factor: f64,
    /// Steps without improvement that are let pass.
    pub patience: u64,
    /// How much better counts as better.
    pub threshold: f64,
    /// The threshold is an absolute difference, not a part of the best value.
    pub absolute: bool,
    /// Steps after a reduction in which none is counted.
    pub cooldown: u64,
    /// The smallest rate.
    pub min_lr: f64,
    /// A change of the rate below this is not made.
    pub eps: f64,
}

impl Default for PlateauOptions {
    fn default() -> Self {
        PlateauOptions {
            maximize: false,
            factor: 0.1,
            patience: 10,
            threshold: 1e-4,
            absolute: false,
            cooldown: 0,
            min_lr: 0.0,
            eps: 1e-8,
        }
    }
}

/// Reduces the rate when a metric has stopped improving.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ReduceLROnPlateau.html>
pub struct ReduceLrOnPlateau {
    options: PlateauOptions,
    best: f64,
    bad_steps: u64,
    cooldown_left: u64,
}

impl ReduceLrOnPlateau {
    /// A schedule that waits for its first metric.
    ///
    /// # Errors
    /// If `factor` is not below one.
    pub fn new(options: PlateauOptions) -> Result<ReduceLrOnPlateau> {
        if options.factor >= 1.0 {
            return Err(Error::value("Factor should be < 1.0."));
        }
        let best = if options.maximize { f64::NEG_INFINITY } else { f64::INFINITY };
        Ok(ReduceLrOnPlateau { options, best, bad_steps: 0, cooldown_left: 0 })
    }
    fn is_better(&self, metric: f64) -> bool {
        let PlateauOptions { maximize, threshold, absolute, .. } = self.options;
        match (maximize, absolute) {
            (false, false) => metric < self.best * (1.0 - threshold),
            (false, true) => metric < self.best - threshold,
            (true, false) => metric > self.best * (threshold + 1.0),
            (true, true) => metric > self.best + threshold,
        }
    }
    /// Takes in the metric of one epoch.
    pub fn step(&mut self, optimizer: &mut dyn Optimizer, metric: f64) {
        if self.is_better(metric) {
            self.best = metric;
            self.bad_steps = 0;
        } else {
            self.bad_steps += 1;
        }
        if self.cooldown_left > 0 {
            self.cooldown_left -= 1;
            self.bad_steps = 0;
        }
        if self.bad_steps > self.options.patience {
            for g in 0..optimizer.num_groups() {
                let (old, new) = (optimizer.lr(g), (optimizer.lr(g) * self.options.factor).max(self.options.min_lr));
                if old - new > self.options.eps {
                    optimizer.set_lr(g, new);
                }
            }
            self.cooldown_left = self.options.cooldown;
            self.bad_steps = 0;
        }
    }
}

impl Stateful for ReduceLrOnPlateau {
    fn state(&self) -> State {
        State::map()
            .with("best", self.best)
            .with("num_bad_epochs", self.bad_steps as usize)
            .with("cooldown_counter", self.cooldown_left as usize)
    }
    fn load_state(&mut self, state: &State) -> Result<()> {
        let (best, bad, cooldown) = (
            state.read("best", State::as_f64)?,
            state.read("num_bad_epochs", State::as_usize)?,
            state.read("cooldown_counter", State::as_usize)?,
        );
        (self.best, self.bad_steps, self.cooldown_left) = (best, bad as u64, cooldown as u64);
        Ok(())
    }
}
