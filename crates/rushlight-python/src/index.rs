//! `x[…]` and `x[…] = value`.

use crate::call::operand;
use crate::convert::{dtype_of, int, scalar, type_name};
use crate::error::OrRaise;
use crate::make;
use crate::tensor::{tensor_of, wrap};
use pyo3::exceptions::{PyIndexError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyEllipsis, PyInt, PyList, PyRange, PySlice, PyTuple};
use rushlight::op::{UNNAMED, enter_from};
use rushlight::{DType, Index, Tensor, ops};
use smallvec::SmallVec;

type Entries = SmallVec<[Index; 4]>;

/// The entries between the brackets.
fn entries(key: &Bound<'_, PyAny>) -> PyResult<Entries> {
    if let Ok(tuple) = key.cast::<PyTuple>() {
        return tuple.iter().map(|k| entry(&k)).collect();
    }
    // A list with anything but numbers in it is meant as a tuple.
    if let Ok(list) = key.cast::<PyList>()
        && list.iter().any(|k| k.is_none() || k.is_instance_of::<PySlice>() || k.is_instance_of::<PyEllipsis>())
    {
        return list.iter().map(|k| entry(&k)).collect();
    }
    Ok(SmallVec::from_iter([entry(key)?]))
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
            rushlight::Scalar::Bool(b) => Ok(Index::Bool(b)),
            rushlight::Scalar::Int(i) => Ok(Index::Int(i)),
            rushlight::Scalar::Float(_) => Err(wrong(key)),
        };
    }
    if make::is_array(key) {
        return Ok(Index::Tensor(make::from_array(key)?));
    }
    Err(wrong(key))
}

#[cold]
fn wrong(key: &Bound<'_, PyAny>) -> PyErr {
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
        return t.try_item::<i64>().or_raise().map(Some);
    }
    let i = object
        .call_method0(pyo3::intern!(object.py(), "__index__"))
        .map_err(|_| PyTypeError::new_err("slice indices must be integers or None or have an __index__ method"))?;
    Ok(Some(i.extract::<i64>().or_else(|_| Ok::<i64, PyErr>(if i.gt(0)? { i64::MAX } else { i64::MIN + 1 }))?))
}

fn slice(s: &Bound<'_, PySlice>) -> PyResult<Index> {
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

/// `x[key] = value`.
pub fn set(x: &Tensor, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let entries = entries(key)?;
    let Some(value) = operand(value)? else {
        let what = dtype_of(value).map_or_else(|| type_name(value), |_| "torch.dtype".into());
        return Err(PyTypeError::new_err(format!("can't assign a {what} to a torch.{}Tensor", x.dtype().scalar_type_name())));
    };
    let _call = enter_from("index_put_", crate::place::when_wanted(key.py()));
    ops::indexing::index_set_(x, &entries, &value, false).or_raise()
}
