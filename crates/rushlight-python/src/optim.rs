//! Optimizer steps: one call for all parameters of a group, by the update rules of the Rust door.
//!
//! Groups, state and options stay in Python (`python/rushlight/optim`). Every function here takes lists of equal length, one entry for
//! each parameter that has a gradient, and changes the tensors in place. `steps` are tensors of one element, which are raised by one first.

use crate::error::OrRaise;
use crate::tensor::{tensor_of, wrap};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyList;
use rushlight::optim::{self, AdagradOptions, AdamWOptions, Job, RmsPropOptions, SgdOptions, UpdateRule};
use rushlight::{Result, Tensor, no_grad};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// From how many elements on other Python threads may run during a step.
const LONG: usize = 1 << 15;

/// Lists of tensors, as one for each parameter.
type List<'a, 'py> = &'a Bound<'py, PyList>;

fn tensors(list: List, like: usize) -> PyResult<Vec<Tensor>> {
    if list.len() != like {
        return Err(PyValueError::new_err(format!("expected {like} tensors, one for each parameter, but got {}", list.len())));
    }
    list.iter().map(|t| tensor_of(&t).cloned().ok_or_else(|| PyTypeError::new_err("expected a list of tensors"))).collect()
}

/// As [`tensors`]; without a list, nothing for each parameter.
fn optional(list: Option<List>, like: usize) -> PyResult<Vec<Option<Tensor>>> {
    match list {
        Some(list) => Ok(tensors(list, like)?.into_iter().map(Some).collect()),
        None => Ok(vec![None; like]),
    }
}

/// One step of all parameters, without recording: by the kernel where `rule(i)` gives one for parameter `i`, else by `update(i, parameter, gradient)`.
fn for_each(
    py: Python<'_>,
    params: List,
    grads: List,
    states: &[&[Tensor]],
    mut rule: impl FnMut(usize) -> Result<Option<UpdateRule>> + Send,
    mut update: impl FnMut(usize, &Tensor, &Tensor) -> Result<()> + Send,
) -> PyResult<()> {
    let params = tensors(params, params.len())?;
    let grads = tensors(grads, params.len())?;
    let long = params.iter().map(Tensor::numel).sum::<usize>() >= LONG;
    let mut run = move || {
        let _guard = no_grad();
        let mut jobs = Vec::with_capacity(params.len());
        for (i, (param, grad)) in params.iter().zip(&grads).enumerate() {
            let rule = rule(i)?;
            let state = if rule.is_some() { states.iter().map(|s| &s[i]).collect() } else { Default::default() };
            jobs.push(Job { param, grad, state, rule });
        }
        let done = optim::run(&jobs)?;
        let left = (0..params.len()).filter(|&i| !done[i]);
        left.into_iter().try_for_each(|i| update(i, &params[i], &grads[i].detach()))
    };
    if long { py.detach(run) } else { run() }.or_raise()
}

/// The step counters of the parameters, and the counts once they have been raised.
struct Counts<'a> {
    steps: &'a [Tensor],
    counts: Vec<AtomicU64>,
}

impl Counts<'_> {
    fn new(steps: &[Tensor]) -> Counts<'_> {
        Counts { steps, counts: steps.iter().map(|_| AtomicU64::default()).collect() }
    }
    fn advance(&self, i: usize) -> Result<f64> {
        let count = optim::advance(&self.steps[i])?;
        self.counts[i].store(count.to_bits(), Relaxed);
        Ok(count)
    }
    fn get(&self, i: usize) -> f64 {
        f64::from_bits(self.counts[i].load(Relaxed))
    }
}

/// A step of SGD. With momentum, `buffers` is a list, whose missing entries (None) are filled in.
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "an update rule has that many options")]
fn _optim_sgd(
    py: Python<'_>,
    params: List,
    grads: List,
    buffers: Option<List>,
    lr: f64,
    momentum: f64,
    dampening: f64,
    weight_decay: f64,
    nesterov: bool,
    maximize: bool,
) -> PyResult<()> {
    let o = SgdOptions { lr, momentum, dampening, weight_decay, nesterov, maximize };
    let Some(list) = buffers else {
        let rule = optim::sgd_rule(&o);
        return for_each(py, params, grads, &[], |_| Ok(Some(rule)), |_, p, g| optim::sgd_update(p, g, &mut None, &o));
    };
    let mut buffers: Vec<Option<Tensor>> = list.iter().map(|b| tensor_of(&b).cloned()).collect();
    if buffers.len() != params.len() {
        return Err(PyValueError::new_err("expected a momentum buffer or None for each parameter"));
    }
    let missing: Vec<usize> = (0..buffers.len()).filter(|&i| buffers[i].is_none()).collect();
    // The first step of a parameter makes its buffer.
    let known: Vec<Tensor> = buffers.iter().flatten().cloned().collect();
    let rule = (missing.is_empty() && momentum != 0.0).then(|| optim::sgd_rule(&o));
    for_each(py, params, grads, &[&known], |_| Ok(rule), |i, p, g| optim::sgd_update(p, g, &mut buffers[i], &o))?;
    for i in missing {
        if let Some(new) = buffers[i].take() {
            list.set_item(i, wrap(py, new)?)?;
        }
    }
    Ok(())
}

/// A step of Adam, or with `decoupled` of AdamW; with `max_exp_avg_sqs`, of their AMSGrad variants.
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "an update rule has that many options")]
fn _optim_adam(
    py: Python<'_>,
    params: List,
    grads: List,
    exp_avgs: List,
    exp_avg_sqs: List,
    max_exp_avg_sqs: Option<List>,
    steps: List,
    lr: f64,
    beta1: f64,
    beta2: f64,
    eps: f64,
    weight_decay: f64,
    maximize: bool,
    decoupled: bool,
) -> PyResult<()> {
    let n = params.len();
    let o = AdamWOptions { lr, betas: (beta1, beta2), eps, weight_decay, amsgrad: max_exp_avg_sqs.is_some(), maximize };
    let (means, squares) = (tensors(exp_avgs, n)?, tensors(exp_avg_sqs, n)?);
    let (largest, steps) = (optional(max_exp_avg_sqs, n)?, tensors(steps, n)?);
    let counts = Counts::new(&steps);
    for_each(
        py,
        params,
        grads,
        &[&means, &squares],
        |i| Ok(optim::adam_rule(counts.advance(i)?, &o, decoupled)),
        |i, p, g| optim::adam_update(p, g, [&means[i], &squares[i]], largest[i].as_ref(), counts.get(i), &o, decoupled),
    )
}

/// A step of RMSprop; with `momentum_buffers`, with momentum; with `grad_avgs`, centred.
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "an update rule has that many options")]
fn _optim_rmsprop(
    py: Python<'_>,
    params: List,
    grads: List,
    square_avgs: List,
    momentum_buffers: Option<List>,
    grad_avgs: Option<List>,
    steps: List,
    lr: f64,
    alpha: f64,
    eps: f64,
    weight_decay: f64,
    momentum: f64,
    maximize: bool,
) -> PyResult<()> {
    let n = params.len();
    let o = RmsPropOptions { lr, alpha, eps, weight_decay, momentum, centered: grad_avgs.is_some(), maximize };
    let (squares, steps) = (tensors(square_avgs, n)?, tensors(steps, n)?);
    let (buffers, means) = (optional(momentum_buffers, n)?, optional(grad_avgs, n)?);
    let counts = Counts::new(&steps);
    let rule = (buffers.iter().all(Option::is_none) && !o.centered).then(|| optim::rmsprop_rule(&o));
    for_each(
        py,
        params,
        grads,
        &[&squares],
        |i| counts.advance(i).map(|_| rule),
        |i, p, g| optim::rmsprop_update(p, g, &squares[i], buffers[i].as_ref(), means[i].as_ref(), &o),
    )
}

/// A step of Adagrad.
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "an update rule has that many options")]
fn _optim_adagrad(
    py: Python<'_>,
    params: List,
    grads: List,
    sums: List,
    steps: List,
    lr: f64,
    lr_decay: f64,
    weight_decay: f64,
    eps: f64,
    maximize: bool,
) -> PyResult<()> {
    let n = params.len();
    let o = AdagradOptions { lr, lr_decay, weight_decay, initial_accumulator_value: 0.0, eps, maximize };
    let (sums, steps) = (tensors(sums, n)?, tensors(steps, n)?);
    let counts = Counts::new(&steps);
    for_each(
        py,
        params,
        grads,
        &[&sums],
        |i| Ok(Some(optim::adagrad_rule(counts.advance(i)?, &o))),
        |i, p, g| optim::adagrad_update(p, g, &sums[i], counts.get(i), &o),
    )
}

/// Adds the functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_optim_sgd, module)?)?;
    module.add_function(wrap_pyfunction!(_optim_adam, module)?)?;
    module.add_function(wrap_pyfunction!(_optim_rmsprop, module)?)?;
    module.add_function(wrap_pyfunction!(_optim_adagrad, module)?)
}
