//! Optimizers and learning-rate schedules.
//!
//! Lives here: parameter groups with their options and state ([`Optim`]), one file per update rule, schedules, averaged parameters.
//! An update rule is one tile program per parameter: parameter, gradient and state are each read and written once. The common ones have a
//! kernel as well, of the same formula, that takes all parameters of a group at once.
//! Must not live here: gradients (they are in `.grad`), training loops.

mod adagrad;
mod adam;
mod adaptive;
mod ema;
mod fused;
mod lbfgs;
mod options;
mod rmsprop;
mod schedule;
mod sgd;

pub use adagrad::{Adagrad, AdagradOptions, AdagradRule, adagrad_rule, adagrad_update};
pub use adam::{Adam, AdamOptions, AdamRule, AdamW, AdamWOptions, AdamWRule, adam_rule, adam_update};
pub use adaptive::{OneCycleLr, OneCycleOptions, PlateauOptions, ReduceLrOnPlateau};
pub use ema::Ema;
pub use fused::{Job, run};
pub use lbfgs::{Lbfgs, LbfgsOptions};
pub use options::Options;
pub use rmsprop::{RmsProp, RmsPropOptions, RmsPropRule, rmsprop_rule, rmsprop_update};
pub use rushlight_kernels::backend::UpdateRule;
pub use schedule::{CosineLr, ExponentialLr, LambdaLr, LinearLr, LrRule, MultiStepLr, Schedule, Scheduler, SequentialLr, StepLr};
pub use sgd::{Sgd, SgdOptions, SgdRule, sgd_rule, sgd_update};

use crate::{Error, Result, State, Stateful, Tensor, no_grad};
use rushlight_kernels::backend::ViewMut;
use rushlight_kernels::{Element, dispatch};
use smallvec::SmallVec;

/// What schedules and training loops need of an optimizer, whatever its rule.
pub trait Optimizer: Stateful {
    /// Updates every parameter that has a gradient.
    ///
    /// # Errors
    /// If a gradient does not fit its parameter.
    fn step(&mut self) -> Result<()>;
    /// All parameters, group by group.
    fn parameters(&self) -> Vec<Tensor>;
    /// Number of parameter groups.
    fn num_groups(&self) -> usize;
    /// Learning rate of a group.
    fn lr(&self, group: usize) -> f64;
    /// Sets the learning rate of a group.
    fn set_lr(&mut self, group: usize, lr: f64);
    /// The rate that a group had before the first schedule touched it.
    fn initial_lr(&mut self, group: usize) -> f64;
    /// Momentum (SGD, RMSprop) or first beta (Adam) of a group, if its rule has one.
    fn momentum(&self, group: usize) -> Option<f64>;
    /// Sets the momentum of a group; does nothing where there is none.
    fn set_momentum(&mut self, group: usize, momentum: f64);
    /// Forgets the gradients.
    fn zero_grad(&self) {
        self.parameters().iter().for_each(|p| p.set_grad(None));
    }
}

/// Parameters that share options.
#[derive(Clone, Debug)]
pub struct ParamGroup<O> {
    /// The parameters.
    pub params: Vec<Tensor>,
    /// Their options.
    pub options: O,
}

/// An update rule: what an optimizer does to one parameter.
pub trait Rule {
    /// Its options.
    type Options: Options;
    /// What it keeps for each parameter; made at the parameter's first update.
    type Memory;
    /// PyTorch's name.
    const NAME: &'static str;

    /// Refuses options out of range.
    ///
    /// # Errors
    /// PyTorch's text for the first bad one.
    fn check(options: &Self::Options) -> Result<()>;
    /// Fresh state for a parameter.
    ///
    /// # Errors
    /// Out of memory.
    fn init(param: &Tensor, options: &Self::Options) -> Result<Self::Memory>;
    /// Moves the parameter, given its gradient. Runs without recording.
    ///
    /// # Errors
    /// If a tensor does not fit.
    fn update(param: &Tensor, grad: &Tensor, memory: &mut Self::Memory, options: &Self::Options) -> Result<()>;
    /// The next step as the backend's kernel has it, and the state that it overwrites; `None` where only [`Rule::update`] will do. Must not
    /// change the memory.
    fn kernel<'a>(_memory: &'a Self::Memory, _options: &Self::Options) -> Option<(UpdateRule, SmallVec<[&'a Tensor; 2]>)> {
        None
    }
    /// Notes that the kernel has made a step.
    fn stepped(_memory: &mut Self::Memory) {}
    /// The state of one parameter, under PyTorch's names.
    fn save(memory: &Self::Memory) -> State;
    /// Reads back what `save` gave.
    ///
    /// # Errors
    /// If a field is missing or does not fit; the text names it.
    fn load(state: &State, param: &Tensor) -> Result<Self::Memory>;
}

/// An optimizer: a [`Rule`] applied to groups of parameters.
pub struct Optim<R: Rule> {
    groups: Vec<ParamGroup<R::Options>>,
    /// Group by group, as the parameters are.
    memory: Vec<Vec<Option<R::Memory>>>,
    /// Set by the first schedule.
    initial_lrs: Vec<Option<f64>>,
}

impl<R: Rule> Optim<R> {
    /// An optimizer of one group.
    ///
    /// # Panics
    /// Where [`Optim::with_groups`] gives an error.
    #[track_caller]
    pub fn new(params: impl IntoIterator<Item = Tensor>, options: R::Options) -> Self {
        crate::error::or_panic(Self::with_groups(vec![ParamGroup { params: params.into_iter().collect(), options }]))
    }
    /// An optimizer of several groups.
    ///
    /// # Errors
    /// If there is no parameter, one stands in two groups, one is not a leaf, or an option is out of range.
    pub fn with_groups(groups: Vec<ParamGroup<R::Options>>) -> Result<Self> {
        let mut new = Optim { groups: vec![], memory: vec![], initial_lrs: vec![] };
        if groups.iter().all(|g| g.params.is_empty()) {
            return Err(Error::value("optimizer got an empty parameter list"));
        }
        groups.into_iter().try_for_each(|g| new.add_group(g))?;
        Ok(new)
    }
    /// Adds a group, for layers that are unfrozen later.
    ///
    /// # Errors
    /// As [`Optim::with_groups`].
    pub fn add_group(&mut self, group: ParamGroup<R::Options>) -> Result<()> {
        R::check(&group.options)?;
        for (i, p) in group.params.iter().enumerate() {
            if !p.is_leaf() {
                return Err(Error::value("can't optimize a non-leaf Tensor"));
            }
            if self.groups.iter().flat_map(|g| &g.params).chain(&group.params[..i]).any(|q| q.is_same(p)) {
                return Err(Error::value("some parameters appear in more than one parameter group"));
            }
        }
        self.memory.push(group.params.iter().map(|_| None).collect());
        self.groups.push(group);
        self.initial_lrs.push(None);
        Ok(())
    }
    /// The groups.
    pub fn groups(&self) -> &[ParamGroup<R::Options>] {
        &self.groups
    }
    /// The groups' options, to change them.
    pub fn options_mut(&mut self) -> impl Iterator<Item = &mut R::Options> {
        self.groups.iter_mut().map(|g| &mut g.options)
    }
}

impl<R: Rule> Optimizer for Optim<R> {
    fn step(&mut self) -> Result<()> {
        let _guard = no_grad();
        for (group, memory) in self.groups.iter().zip(&mut self.memory) {
            let mut active = Vec::new();
            for (param, memory) in group.params.iter().zip(memory) {
                let Some(grad) = param.grad() else { continue };
                let memory = match memory {
                    Some(m) => m,
                    none => none.insert(R::init(param, &group.options)?),
                };
                active.push((param, grad.detach(), memory));
            }
            let jobs = active.iter().map(|(param, grad, memory)| {
                let (rule, state) = R::kernel(memory, &group.options).unzip();
                Job { param, grad, state: state.unwrap_or_default(), rule }
            });
            let done = fused::run(&jobs.collect::<Vec<_>>()).map_err(|e| e.context(R::NAME))?;
            for ((param, grad, memory), done) in active.into_iter().zip(done) {
                if done {
                    R::stepped(memory);
                } else {
                    R::update(param, &grad, memory, &group.options).map_err(|e| e.context(R::NAME))?;
                }
            }
        }
        Ok(())
    }
    fn parameters(&self) -> Vec<Tensor> {
        self.groups.iter().flat_map(|g| g.params.iter().cloned()).collect()
    }
    fn num_groups(&self) -> usize {
        self.groups.len()
    }
    fn lr(&self, group: usize) -> f64 {
        self.groups[group].options.lr()
    }
    fn set_lr(&mut self, group: usize, lr: f64) {
        self.groups[group].options.set_lr(lr);
    }
    fn initial_lr(&mut self, group: usize) -> f64 {
        *self.initial_lrs[group].get_or_insert(self.groups[group].options.lr())
    }
    fn momentum(&self, group: usize) -> Option<f64> {
        self.groups[group].options.momentum()
    }
    fn set_momentum(&mut self, group: usize, momentum: f64) {
        self.groups[group].options.set_momentum(momentum);
    }
}

/// The layout of PyTorch's `state_dict`: `state` by parameter number, `param_groups` with options and parameter numbers.
impl<R: Rule> Stateful for Optim<R> {
    fn state(&self) -> State {
        let mut number = 0usize;
        let (mut state, mut groups) = (State::map(), Vec::new());
        for (group, memory) in self.groups.iter().zip(&self.memory) {
            let first = number;
            for m in memory {
                if let Some(m) = m {
                    state = state.with(&number.to_string(), R::save(m));
                }
                number += 1;
            }
            let numbers: Vec<State> = (first..number).map(State::from).collect();
            let mut saved = group.options.state();
            // As in PyTorch, only optimizers with a schedule have it.
            if let Some(initial) = self.initial_lrs[groups.len()] {
                saved = saved.with("initial_lr", initial);
            }
            groups.push(saved.with("params", numbers));
        }
        State::map().with("optimizer", R::NAME).with("state", state).with("param_groups", groups)
    }
    fn load_state(&mut self, state: &State) -> Result<()> {
        if let Ok(name) = state.read("optimizer", State::as_str)
            && name != R::NAME
        {
            return Err(Error::value(format!("the state is of optimizer {name}, not {}", R::NAME)));
        }
        let saved = state.read("param_groups", State::as_list)?;
        if saved.len() != self.groups.len() {
            return Err(Error::value(format!(
                "loaded state dict has a different number of parameter groups: {} instead of {}",
                saved.len(),
                self.groups.len()
            )));
        }
        let by_number = state.get("state")?;
        // Read everything before anything changes.
        let (mut options, mut memory, mut initial_lrs) = (Vec::new(), Vec::new(), Vec::new());
        for (i, (group, saved)) in self.groups.iter().zip(saved).enumerate() {
            let numbers = saved.read("params", State::as_list)?;
            if numbers.len() != group.params.len() {
                return Err(Error::value(format!(
                    "loaded state dict contains a parameter group that doesn't match the size of optimizer's group: group {i} has {} parameters instead of {}",
                    numbers.len(),
                    group.params.len()
                )));
            }
            let mut new = group.options.clone();
            new.load(saved).map_err(|e| e.context(format!("param_groups {i}")))?;
            R::check(&new)?;
            options.push(new);
            let initial = saved.as_map()?.iter().any(|(name, _)| name == "initial_lr");
            initial_lrs.push(if initial { saved.read("initial_lr", State::as_opt_f64)? } else { None });
            let read = |(number, param): (&State, &Tensor)| -> Result<Option<R::Memory>> {
                let name = number.as_usize()?.to_string();
                match by_number.as_map()?.iter().find(|(n, _)| *n == name) {
                    None => Ok(None),
                    Some((_, s)) => R::load(s, param).map(Some).map_err(|e| e.context(format!("state {name}"))),
                }
            };
            memory.push(numbers.iter().zip(&group.params).map(read).collect::<Result<Vec<_>>>()?);
        }
        self.groups.iter_mut().zip(options).for_each(|(g, o)| g.options = o);
        self.memory = memory;
        self.initial_lrs = initial_lrs;
        Ok(())
    }
}

/// A tensor of a saved state, as a copy of its own, checked against the parameter it belongs to.
pub(crate) fn load_like(state: &State, name: &str, param: &Tensor) -> Result<Tensor> {
    state.read(name, |s| {
        let t = s.as_tensor()?;
        if t.shape() != param.shape() {
            return Err(Error::value(format!(
                "has shape {:?}, but the parameter {:?}",
                t.shape().as_slice(),
                param.shape().as_slice()
            )));
        }
        crate::ops::copy(&crate::ops::to_dtype(t, param.dtype())?)
    })
}

/// By what gradients are multiplied.
fn sign(maximize: bool) -> f64 {
    if maximize { -1.0 } else { 1.0 }
}

/// Raises a step counter, a tensor of one element as PyTorch's states have it; gives the new count.
///
/// # Errors
/// If there is not exactly one element.
pub fn advance(step: &Tensor) -> Result<f64> {
    crate::autograd::inplace::check(step)?;
    let data = step.data();
    if data.layout.numel() != 1 {
        data.only_element()?;
    }
    crate::storage::write(&[data], &[], |outs, _| Ok(dispatch!(outs[0].dtype, T => raise::<T>(&mut outs[0]))))
}

/// Adds one to the only element; the sum before it is rounded.
fn raise<T: Element>(step: &mut ViewMut) -> f64 {
    let step = &mut step.as_mut_slice::<T>().expect("a single element is contiguous")[0];
    let count = step.to_f64() + 1.0;
    *step = T::from_f64(count);
    count
}
