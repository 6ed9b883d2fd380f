//! Backward passes, graph nodes, hooks and custom functions.

use crate::convert::{optional_tensors, tensors, type_name};
use crate::error::{OrRaise, clear, through};
use crate::place;
use crate::tensor::{tensor_of, wrap};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use rushlight::Tensor;
use rushlight::autograd::node::Next;
use rushlight::autograd::{self, Custom, GradOptions, HookHandle, Node, mode, record_custom};
use rushlight::op::enter_from;
use std::sync::Arc;

fn refs(list: &[Tensor]) -> Vec<&Tensor> {
    list.iter().collect()
}
fn optional_refs(list: &[Option<Tensor>]) -> Vec<Option<&Tensor>> {
    list.iter().map(Option::as_ref).collect()
}

/// Adds gradients to the `grad` of leaves, or of `inputs`.
#[pyfunction]
fn _backward(
    py: Python<'_>,
    outputs: &Bound<'_, PyAny>,
    grads: &Bound<'_, PyAny>,
    retain_graph: bool,
    create_graph: bool,
    inputs: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let (outputs, grads) = (tensors(outputs)?, optional_tensors(grads)?);
    let inputs = inputs.map(tensors).transpose()?;
    clear();
    py.detach(|| match &inputs {
        None => autograd::backward(&refs(&outputs), &optional_refs(&grads), retain_graph, create_graph),
        Some(inputs) => autograd::backward_to(&refs(&outputs), &optional_refs(&grads), &refs(inputs), retain_graph, create_graph),
    })
    .or_raise()
}

/// Gradients of `outputs` with respect to `inputs`, one or `None` for each.
#[pyfunction]
fn _grad<'py>(
    py: Python<'py>,
    outputs: &Bound<'py, PyAny>,
    inputs: &Bound<'py, PyAny>,
    grad_outputs: &Bound<'py, PyAny>,
    retain_graph: bool,
    create_graph: bool,
    allow_unused: bool,
) -> PyResult<Bound<'py, PyTuple>> {
    let (outputs, inputs, given) = (tensors(outputs)?, tensors(inputs)?, optional_tensors(grad_outputs)?);
    let options = GradOptions { create_graph, retain_graph, allow_unused };
    clear();
    let grads = py.detach(|| autograd::grad(&refs(&outputs), &refs(&inputs), &optional_refs(&given), options)).or_raise()?;
    optional_tuple(py, &grads)
}

fn optional_tuple<'py>(py: Python<'py>, list: &[Option<Tensor>]) -> PyResult<Bound<'py, PyTuple>> {
    let items = list.iter().map(|t| t.clone().map(|t| wrap(py, t)).transpose()).collect::<PyResult<Vec<_>>>()?;
    PyTuple::new(py, items)
}

/// A gradient that Python code returned.
fn gradient(object: &Bound<'_, PyAny>, who: &str) -> PyResult<Option<Tensor>> {
    if object.is_none() {
        return Ok(None);
    }
    match tensor_of(object) {
        Some(t) => Ok(Some(t.clone())),
        None => Err(PyTypeError::new_err(format!("{who}: expected Variable or None (got {})", type_name(object)))),
    }
}

// ---- grad mode --------------------------------------------------------------------------------------------------------------------------

#[pyfunction]
fn is_grad_enabled() -> bool {
    mode::is_grad_enabled()
}
/// Turns recording on this thread on or off; returns how it was.
#[pyfunction]
fn _set_grad_enabled(enabled: bool) -> bool {
    mode::switch_grad(enabled)
}
#[pyfunction]
fn is_inference_mode_enabled() -> bool {
    mode::is_inference()
}
/// Turns inference mode on this thread on or off; returns how it and recording were.
#[pyfunction]
#[pyo3(signature = (enabled, grad = true))]
fn _set_inference_mode(enabled: bool, grad: bool) -> (bool, bool) {
    mode::switch_inference(enabled, grad)
}
#[pyfunction]
fn is_anomaly_enabled() -> bool {
    autograd::is_anomaly_enabled()
}
#[pyfunction]
fn set_anomaly_enabled(enabled: bool) -> bool {
    autograd::switch_anomaly(enabled)
}

// ---- custom functions -------------------------------------------------------------------------------------------------------------------

/// Gives the outputs of a function one node over its inputs; `backward(saved, grads, needs)` is its derivative.
#[pyfunction]
fn _record_function(
    py: Python<'_>,
    name: String,
    inputs: &Bound<'_, PyAny>,
    outputs: &Bound<'_, PyAny>,
    differentiable: Vec<bool>,
    dirty: &Bound<'_, PyAny>,
    to_save: &Bound<'_, PyAny>,
    backward: Py<PyAny>,
) -> PyResult<()> {
    let (inputs, outputs, dirty) = (tensors(inputs)?, tensors(outputs)?, tensors(dirty)?);
    let saved = optional_tensors(to_save)?;
    let name = place::intern(name);
    let derivative = move |saved: &[Option<Tensor>], grads: &[Option<Tensor>], needs: &[bool]| {
        Python::attach(|py| -> PyResult<Vec<Option<Tensor>>> {
            let arguments = (optional_tuple(py, saved)?, optional_tuple(py, grads)?, PyTuple::new(py, needs)?);
            let result = backward.bind(py).call1(arguments)?;
            let list = result.try_iter()?.map(|g| gradient(&g?, name)).collect::<PyResult<Vec<_>>>()?;
            if list.len() != needs.len() {
                return Err(PyRuntimeError::new_err(format!(
                    "function {name} returned an incorrect number of gradients (expected {}, got {})",
                    needs.len(),
                    list.len()
                )));
            }
            Ok(list)
        })
        .map_err(through)
    };
    let _call = enter_from(name, place::when_wanted(py));
    let inputs = refs(&inputs);
    let call = Custom { name, inputs: &inputs, outputs: &outputs, differentiable: &differentiable, dirty: &dirty, saved: &saved };
    record_custom(call, Box::new(derivative)).or_raise()
}

// ---- nodes and hooks --------------------------------------------------------------------------------------------------------------------

/// Takes its hook off when asked to.
#[pyclass(name = "HookHandle", module = "rushlight._C", frozen)]
pub struct PyHookHandle(HookHandle);

#[pymethods]
impl PyHookHandle {
    /// Takes the hook off.
    fn remove(&self) {
        self.0.remove();
    }
    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }
    #[pyo3(signature = (*_args))]
    fn __exit__(&self, _args: &Bound<'_, PyTuple>) {
        self.0.remove();
    }
}

/// A recorded op.
#[pyclass(name = "Node", module = "rushlight._C", frozen, weakref)]
pub struct PyNode(pub Arc<Node>);

/// Where a leaf's gradient arrives.
#[pyclass(name = "AccumulateGrad", module = "rushlight._C", frozen)]
struct PyAccumulateGrad(Tensor);

#[pymethods]
impl PyAccumulateGrad {
    fn name(&self) -> &'static str {
        "torch::autograd::AccumulateGrad"
    }
    #[getter]
    fn variable<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        wrap(py, self.0.clone())
    }
    #[getter]
    fn next_functions<'py>(&self, py: Python<'py>) -> Bound<'py, PyTuple> {
        PyTuple::empty(py)
    }
    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<PyAccumulateGrad>().is_ok_and(|o| o.get().0.is_same(&self.0))
    }
    fn __hash__(&self) -> usize {
        self.0.binding() as *const _ as usize
    }
    fn __repr__(&self) -> String {
        format!("<AccumulateGrad object at {:p}>", self.0.binding())
    }
}

#[pymethods]
impl PyNode {
    /// `AddBackward0` and the like.
    fn name(&self) -> String {
        self.0.name()
    }
    fn _sequence_nr(&self) -> u64 {
        self.0.sequence_number()
    }
    /// The nodes that this one's gradients go to, with the number of their output.
    #[getter]
    fn next_functions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let items = self
            .0
            .next_edges()
            .into_iter()
            .map(|e| -> PyResult<(Bound<'py, PyAny>, usize)> {
                Ok(match e {
                    Next::Nothing => (py.None().into_bound(py), 0),
                    Next::Leaf(t) => (Bound::new(py, PyAccumulateGrad(t))?.into_any(), 0),
                    Next::Node(n, nr) => (Bound::new(py, PyNode(n))?.into_any(), nr),
                })
            })
            .collect::<PyResult<Vec<_>>>()?;
        PyTuple::new(py, items)
    }
    /// Calls `fn(grad_inputs, grad_outputs)` after the derivative; what it returns replaces `grad_inputs`.
    fn register_hook(&self, r#fn: Py<PyAny>) -> PyHookHandle {
        PyHookHandle(self.0.register_hook(move |inputs, outputs| {
            Python::attach(|py| {
                let result = r#fn.bind(py).call1((optional_tuple(py, inputs)?, optional_tuple(py, outputs)?))?;
                if result.is_none() { Ok(None) } else { optional_tensors(&result).map(Some) }
            })
            .map_err(through)
        }))
    }
    /// Calls `fn(grad_outputs)` before the derivative; what it returns replaces them.
    fn register_prehook(&self, r#fn: Py<PyAny>) -> PyHookHandle {
        PyHookHandle(self.0.register_prehook(move |outputs| {
            Python::attach(|py| {
                let result = r#fn.bind(py).call1((optional_tuple(py, outputs)?,))?;
                if result.is_none() { Ok(None) } else { optional_tensors(&result).map(Some) }
            })
            .map_err(through)
        }))
    }
    #[getter]
    fn metadata<'py>(&self, py: Python<'py>) -> Bound<'py, PyDict> {
        PyDict::new(py)
    }
    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<PyNode>().is_ok_and(|o| Arc::ptr_eq(&o.get().0, &self.0))
    }
    fn __hash__(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }
    fn __repr__(&self) -> String {
        format!("<{} object at {:p}>", self.0.name(), Arc::as_ptr(&self.0))
    }
}

/// Calls `hook(grad)` whenever the tensor's gradient is computed; what it returns replaces the gradient.
pub fn register_hook(tensor: &Tensor, hook: Py<PyAny>) -> PyResult<PyHookHandle> {
    let call =
        move |g: &Tensor| Python::attach(|py| gradient(&hook.bind(py).call1((wrap(py, g.clone())?,))?, "hook")).map_err(through);
    tensor.register_fallible_hook(call).or_raise().map(PyHookHandle)
}

/// Calls `hook(param)` after a gradient has been added to the leaf's `grad`.
pub fn register_after_hook(tensor: &Tensor, hook: Py<PyAny>) -> PyResult<PyHookHandle> {
    let call = move |p: &Tensor| Python::attach(|py| hook.bind(py).call1((wrap(py, p.clone())?,)).map(drop)).map_err(through);
    tensor.register_post_accumulate_grad_hook(call).or_raise().map(PyHookHandle)
}

/// Adds the functions and classes to the module, and lets Ctrl-C end a backward pass.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    autograd::set_interrupt_check(|| Python::attach(|py| py.check_signals()).map_err(through));
    module.add_class::<PyNode>()?;
    module.add_class::<PyAccumulateGrad>()?;
    module.add_class::<PyHookHandle>()?;
    module.add_function(wrap_pyfunction!(_backward, module)?)?;
    module.add_function(wrap_pyfunction!(_grad, module)?)?;
    module.add_function(wrap_pyfunction!(_record_function, module)?)?;
    module.add_function(wrap_pyfunction!(is_grad_enabled, module)?)?;
    module.add_function(wrap_pyfunction!(_set_grad_enabled, module)?)?;
    module.add_function(wrap_pyfunction!(is_inference_mode_enabled, module)?)?;
    module.add_function(wrap_pyfunction!(_set_inference_mode, module)?)?;
    module.add_function(wrap_pyfunction!(is_anomaly_enabled, module)?)?;
    module.add_function(wrap_pyfunction!(set_anomaly_enabled, module)?)
}
