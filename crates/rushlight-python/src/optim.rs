//! Optimizer steps: one call for all parameters of a group, by the update rules of the Rust door.
//!
//! Groups, state and options stay in Python (`python/rushlight/optim`). Every function here takes lists of equal length, one entry for
//! each parameter that has a gradient, and changes the tensors in place. `steps` are tensors of one element, which are raised by one first.

use crate::error::OrRaise;
use crate::tensor::{tensor_of, wrap};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyList;
use rushlight::optim::{self, AdagradOptions, AdamWOptions, RmsPropOptions, SgdOptions};
use rushlight::{Result, Tensor, no_grad};

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

/// Runs `update(i, parameter, gradient)` for each parameter, without recording.
fn for_each(
    py: Python<'_>,
    params: List,
    grads: List,
    mut update: impl FnMut(usize, &Tensor, &Tensor) -> Result<()> + Send,
) -> PyResult<()> {
    let params = tensors(params, params.len())?;
    let grads = tensors(grads, params.len())?;
    let long = params.iter().map(Tensor::numel).sum::<usize>() >= LONG;
    let mut run = move || {
        let _guard = no_grad();
        params.iter().zip(&grads).enumerate().try_for_each(|(i, (p, g))| update(i, p, &g.detach()))
    };
    if long { py.detach(run) } else { run() }.or_raise()
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
        return for_each(py, params, grads, |_, p, g| optim::sgd_update(p, g, &mut None, &o));
    };
    let mut buffers: Vec<Option<Tensor>> = list.iter().map(|b| tensor_of(&b).cloned()).collect();
    if buffers.len() != params.len() {
        return Err(PyValueError::new_err("expected a momentum buffer or None for each parameter"));
    }
    let missing: Vec<usize> = (0..buffers.len()).filter(|&i| buffers[i].is_none()).collect();
    for_each(py, params, grads, |i, p, g| optim::sgd_update(p, g, &mut buffers[i], &o))?;
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
    for_each(py, params, grads, |i, p, g| {
        optim::adam_update(p, g, [&means[i], &squares[i]], largest[i].as_ref(), optim::advance(&steps[i])?, &o, decoupled)
    })
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
    for_each(py, params, grads, |i, p, g| {
        optim::advance(&steps[i])?;
        optim::rmsprop_update(p, g, &squares[i], buffers[i].as_ref(), means[i].as_ref(), &o)
    })
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
    for_each(py, params, grads, |i, p, g| optim::adagrad_update(p, g, &sums[i], optim::advance(&steps[i])?, &o))
}

/// Adds the functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_optim_sgd, module)?)?;
    module.add_function(wrap_pyfunction!(_optim_adam, module)?)?;
    module.add_function(wrap_pyfunction!(_optim_rmsprop, module)?)?;
    module.add_function(wrap_pyfunction!(_optim_adagrad, module)?)
}
