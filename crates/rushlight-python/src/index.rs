//! `x[…]` and `x[…] = value`.

use crate::call::operand;
use crate::convert::{dtype_of, int, scalar, type_name};
use crate::error::OrRaise;
use crate::make;
use crate::tensor::{tensor_of, wrap};
use pyo3::exceptions::{PyIndexError, PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyEllipsis, PyInt, PyList, PyRange, PySlice, PyString, PyTuple};
use rushlight::op::{UNNAMED, enter_from};
use rushlight::{DType, Index, Scalar, Tensor, ops};
use smallvec::SmallVec;

type Entries = SmallVec<[Index; 4]>;

/// The entries between the brackets.
fn entries(key: &Bound<'_, PyAny>) -> PyResult<Entries> {
    if let Ok(tuple) = key.cast::<PyTuple>() {
        return tuple.iter().map(|k| entry(&k)).collect();
    }
    // A short list with anything but numbers in it is meant as a tuple, as NumPy once had it.
    if let Ok(list) = key.cast::<PyList>()
        && list.len() < 32
        && list.iter().any(|k| is_entry(&k))
    {
        return list.iter().map(|k| entry(&k)).collect();
    }
    Ok(SmallVec::from_iter([entry(key)?]))
}

/// Whether an element of a list is no number.
fn is_entry(k: &Bound<'_, PyAny>) -> bool {
    k.is_none()
        || k.is_instance_of::<PySlice>()
        || k.is_instance_of::<PyEllipsis>()
        || k.is_instance_of::<PyList>()
        || k.is_instance_of::<PyTuple>()
        || k.is_instance_of::<PyRange>()
        || k.is_instance_of::<PyString>()
        || tensor_of(k).is_some()
}

fn entry(key: &Bound<'_, PyAny>) -> PyResult<Index> {
    if let Ok(b) = key.cast::<PyBool>() {
        return Ok(Index::Bool(b.is_true()));
    }
    if key.is_instance_of::<PyInt>() {
        return Ok(Index::Int(int(key)?));
    }
    if let Ok(s) = key.cast::<PySlice>() {
        return slice(s);
    }
    if key.is_none() {
        return Ok(Index::NewAxis);
    }
    if key.is_instance_of::<PyEllipsis>() {
        return Ok(Index::Ellipsis);
    }
    if let Some(t) = tensor_of(key) {
        return Ok(Index::Tensor(t.clone()));
    }
    if key.is_instance_of::<PyList>() || key.is_instance_of::<PyTuple>() || key.is_instance_of::<PyRange>() {
        let t = make::from_data(key, None)?;
        // Without elements there is no dtype to go by.
        return Ok(Index::Tensor(if t.numel() == 0 { ops::to_dtype(&t, DType::I64).or_raise()? } else { t }));
    }
    if let Some(s) = scalar(key)? {
        return match s {
            Scalar::Bool(b) => Ok(Index::Bool(b)),
            Scalar::Int(i) => Ok(Index::Int(i)),
            Scalar::Float(_) => Err(wrong(key)),
        };
    }
    if make::is_array(key) {
        return Ok(Index::Tensor(make::from_array(key)?));
    }
    Err(wrong(key))
}

#[cold]
fn wrong(key: &Bound<'_, PyAny>) -> PyErr {
    if key.is_instance_of::<PyString>() {
        return PyTypeError::new_err("new(): invalid data type 'str'");
    }
    PyIndexError::new_err(format!(
        "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got {})",
        type_name(key)
    ))
}

/// A bound of a slice: an integer, or something that stands for one; far ones are as good as the ends.
fn bound(object: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
    if object.is_none() {
        return Ok(None);
    }
    if let Some(t) = tensor_of(object) {
        if t.dtype().is_float() || t.numel() != 1 {
            return Err(PyTypeError::new_err("only integer tensors of a single element can be converted to an index"));
        }
        return t.try_item::<i64>().or_raise().map(Some);
    }
    let i = object
        .call_method0(pyo3::intern!(object.py(), "__index__"))
        .map_err(|_| PyTypeError::new_err("slice indices must be integers or None or have an __index__ method"))?;
    Ok(Some(i.extract::<i64>().or_else(|_| Ok::<i64, PyErr>(if i.gt(0)? { i64::MAX } else { i64::MIN + 1 }))?))
}

/// The bounds of a slice that has nothing but integers and `None`, which are most, and a step forward: CPython reads them at once.
#[allow(unsafe_code)]
fn plain_slice(s: &Bound<'_, PySlice>) -> Option<Index> {
    let (mut start, mut stop, mut step) = (0, 0, 0);
    // SAFETY: a slice, and places for its three numbers.
    if unsafe { ffi::PySlice_Unpack(s.as_ptr(), &raw mut start, &raw mut stop, &raw mut step) } != 0 {
        // What it does not like is described by those who know tensors.
        drop(PyErr::take(s.py()));
        return None;
    }
    let start = (start != 0).then_some(start as i64);
    let stop = (stop != ffi::PY_SSIZE_T_MAX).then_some(stop as i64);
    (step > 0).then(|| Index::slice(start, stop, step as i64))
}

fn slice(s: &Bound<'_, PySlice>) -> PyResult<Index> {
    if let Some(plain) = plain_slice(s) {
        return Ok(plain);
    }
    let py = s.py();
    let start = bound(&s.getattr(pyo3::intern!(py, "start"))?)?;
    let end = bound(&s.getattr(pyo3::intern!(py, "stop"))?)?;
    let step = bound(&s.getattr(pyo3::intern!(py, "step"))?)?.unwrap_or(1);
    Ok(Index::slice(start, end, step))
}

/// `x[key]`.
pub fn get<'py>(py: Python<'py>, x: &Tensor, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let entries = entries(key)?;
    let place = crate::place::when_wanted(py);
    let _call = enter_from(UNNAMED, place);
    wrap(py, ops::indexing::index(x, &entries).or_raise()?)
}

/// The value to write: a number must fit into the tensor's dtype; one element for a mask is brought to it; other tensors are as they are.
fn written(x: &Tensor, entries: &Entries, value: &Bound<'_, PyAny>) -> PyResult<Option<Tensor>> {
    let number = match tensor_of(value) {
        Some(_) => None,
        None if value.is_instance_of::<PyInt>() && value.cast::<PyBool>().is_err() => Some(Scalar::Int(int(value)?)),
        None => scalar(value)?,
    };
    if let Some(s) = number {
        if !make::fits(s, x.dtype()) {
            let text = format!("value cannot be converted to type {} without overflow", make::c_name(x.dtype()));
            return Err(PyRuntimeError::new_err(text));
        }
        return Ok(Some(Tensor::wrapped_number(s)));
    }
    let Some(t) = operand(value)? else { return Ok(None) };
    let mut tensors = entries.iter().filter_map(|e| match e {
        Index::Tensor(t) => Some(t),
        _ => None,
    });
    let mask = tensors.next().is_some_and(|m| matches!(m.dtype(), DType::Bool | DType::U8)) && tensors.next().is_none();
    if mask && t.numel() == 1 && t.dtype() != x.dtype() { ops::to_dtype(&t, x.dtype()).or_raise().map(Some) } else { Ok(Some(t)) }
}

/// `x[key] = value`.
pub fn set(x: &Tensor, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let entries = entries(key)?;
    let Some(value) = written(x, &entries, value)? else {
        let what = dtype_of(value).map_or_else(|| type_name(value), |_| "torch.dtype".into());
        return Err(PyTypeError::new_err(format!("can't assign a {what} to a torch.{}Tensor", x.dtype().scalar_type_name())));
    };
    let _call = enter_from("index_put_", crate::place::when_wanted(key.py()));
    ops::indexing::index_set_(x, &entries, &value, false).or_raise()
}
