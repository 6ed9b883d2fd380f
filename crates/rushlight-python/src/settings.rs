//! Settings of the process: default dtype, threads, printing, memory.

use crate::convert::dtype_of;
use crate::error::OrRaise;
use crate::types::{self, PyDType};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rushlight::PrintOptions;

#[pyfunction]
fn get_default_dtype(py: Python<'_>) -> Bound<'_, PyDType> {
    types::dtype(py, rushlight::default_dtype())
}
/// Sets the dtype of new floating tensors.
#[pyfunction]
fn set_default_dtype(d: &Bound<'_, PyAny>) -> PyResult<()> {
    let Some(d) = dtype_of(d) else {
        return Err(PyTypeError::new_err("invalid dtype object: only floating-point types are supported as the default type"));
    };
    rushlight::set_default_dtype(d).or_raise()
}
#[pyfunction]
fn get_num_threads() -> usize {
    rushlight::num_threads()
}
/// Sets how many threads kernels use.
#[pyfunction]
fn set_num_threads(n: i64) -> PyResult<()> {
    if n < 1 {
        return Err(PyRuntimeError::new_err(format!("set_num_threads expects a positive integer, got {n}")));
    }
    rushlight::set_num_threads(n as usize);
    Ok(())
}

/// Whether large pointwise ops wait until their results are looked at, and then run in one pass over memory.
#[pyfunction]
fn is_deferred() -> bool {
    rushlight::is_deferred()
}
/// Says whether large pointwise ops wait until their results are looked at (the default; `RUSHLIGHT_EAGER=1` in the environment: they do not).
/// Results have the same bits either way.
#[pyfunction]
fn set_deferred(on: bool) {
    rushlight::set_deferred(on);
}

/// Whether convolutions leave out Winograd's algorithm.
#[pyfunction]
fn is_precise() -> bool {
    rushlight::precise()
}
/// Says whether convolutions leave out Winograd's algorithm (at first they do not), whose error, up to 2e-5 of the result's largest magnitude, is
/// a few times larger than a direct sum's.
#[pyfunction]
fn set_precise(on: bool) {
    rushlight::set_precise(on);
}

/// How tensors are printed: precision, threshold, edgeitems, linewidth, sci_mode.
#[pyfunction]
fn _print_options(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let o = rushlight::print_options();
    let d = PyDict::new(py);
    d.set_item("precision", o.precision)?;
    d.set_item("threshold", o.threshold)?;
    d.set_item("edgeitems", o.edgeitems)?;
    d.set_item("linewidth", o.linewidth)?;
    d.set_item("sci_mode", o.sci_mode)?;
    Ok(d)
}
/// Sets all of them.
#[pyfunction]
fn _set_print_options(precision: usize, threshold: f64, edgeitems: usize, linewidth: usize, sci_mode: Option<bool>) {
    rushlight::set_print_options(PrintOptions { precision, threshold: threshold as usize, edgeitems, linewidth, sci_mode });
}
/// What the library's buffers hold, in bytes.
#[pyfunction]
fn memory_stats(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let s = rushlight::memory_stats();
    let d = PyDict::new(py);
    d.set_item("allocated_bytes", s.allocated_bytes)?;
    d.set_item("peak_bytes", s.peak_bytes)?;
    d.set_item("cached_bytes", s.cached_bytes)?;
    Ok(d)
}
/// Gives cached memory back to the system.
#[pyfunction]
fn empty_cache() {
    rushlight::empty_cache();
}
/// The dtype that arithmetic between two dtypes gives.
#[pyfunction]
fn promote_types<'py>(py: Python<'py>, type1: &Bound<'py, PyDType>, type2: &Bound<'py, PyDType>) -> Bound<'py, PyDType> {
    types::dtype(py, type1.get().0.promote(type2.get().0))
}
/// Whether PyTorch's in-place rules let values of one dtype be stored into another.
#[pyfunction]
fn can_cast(from_: &Bound<'_, PyDType>, to: &Bound<'_, PyDType>) -> bool {
    rushlight::can_cast(from_.get().0, to.get().0)
}
/// The dtype that arithmetic between these operands (tensors or numbers) gives.
#[pyfunction]
fn result_type<'py>(tensor1: &Bound<'py, PyAny>, tensor2: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDType>> {
    let get = |o: &Bound<'py, PyAny>| {
        crate::call::operand(o)?.ok_or_else(|| PyTypeError::new_err("result_type(): expected Tensors or numbers"))
    };
    let (a, b) = (get(tensor1)?, get(tensor2)?);
    Ok(types::dtype(tensor1.py(), rushlight::result_type(&[&a, &b])))
}
/// Range and precision of a floating dtype: min, max, eps, smallest normal.
#[pyfunction]
fn _finfo(d: &Bound<'_, PyDType>) -> PyResult<(f64, f64, f64)> {
    let d = d.get().0;
    let (lo, hi) = d.finite_range();
    Ok((lo, hi, if d.is_float() { d.epsilon() } else { 0.0 }))
}
/// The library's handwritten digits: images from 0 (paper) to 1 (ink), float32 (1797, 1, 8, 8), and labels, int64 (1797,).
#[pyfunction]
fn _digits(py: Python<'_>) -> PyResult<(Bound<'_, PyAny>, Bound<'_, PyAny>)> {
    let digits = rushlight::data::digits().or_raise()?;
    Ok((crate::tensor::wrap(py, digits.images)?, crate::tensor::wrap(py, digits.labels)?))
}

/// Adds the functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(get_default_dtype, module)?)?;
    module.add_function(wrap_pyfunction!(set_default_dtype, module)?)?;
    module.add_function(wrap_pyfunction!(get_num_threads, module)?)?;
    module.add_function(wrap_pyfunction!(set_num_threads, module)?)?;
    module.add_function(wrap_pyfunction!(is_deferred, module)?)?;
    module.add_function(wrap_pyfunction!(set_deferred, module)?)?;
    module.add_function(wrap_pyfunction!(is_precise, module)?)?;
    module.add_function(wrap_pyfunction!(set_precise, module)?)?;
    module.add_function(wrap_pyfunction!(_print_options, module)?)?;
    module.add_function(wrap_pyfunction!(_set_print_options, module)?)?;
    module.add_function(wrap_pyfunction!(memory_stats, module)?)?;
    module.add_function(wrap_pyfunction!(empty_cache, module)?)?;
    module.add_function(wrap_pyfunction!(promote_types, module)?)?;
    module.add_function(wrap_pyfunction!(can_cast, module)?)?;
    module.add_function(wrap_pyfunction!(result_type, module)?)?;
    module.add_function(wrap_pyfunction!(_finfo, module)?)?;
    module.add_function(wrap_pyfunction!(_digits, module)?)
}
