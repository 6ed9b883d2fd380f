//! Values between Python and the op table.

use crate::error::OrRaise;
use crate::make;
use crate::random::PyGenerator;
use crate::tensor::{tensor_of, wrap};
use crate::types::PyDType;
use pyo3::exceptions::{PyOverflowError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyFloat, PyInt, PyList, PyNone, PyString, PyTuple, PyType};
use rushlight::op::{Ints, Value};
use rushlight::{DType, Scalar, Tensor};

/// What an argument is to the argument parser. Never fails for a type that no parameter takes: the parser names it in its error.
#[inline]
pub fn value(object: &Bound<'_, PyAny>) -> PyResult<Value> {
    if let Some(t) = tensor_of(object) {
        return Ok(Value::Tensor(t.clone()));
    }
    // The order is that of frequency; bool goes before int, of which it is a subclass.
    if object.is_none() {
        Ok(Value::None)
    } else if let Ok(b) = object.cast::<PyBool>() {
        Ok(Value::Bool(b.is_true()))
    } else if object.is_instance_of::<PyInt>() {
        Ok(match whole(object)? {
            Scalar::Float(f) => Value::Float(f),
            s => Value::Int(s.to_i64()),
        })
    } else if let Ok(f) = object.cast::<PyFloat>() {
        Ok(Value::Float(f.value()))
    } else {
        rare(object)
    }
}

fn rare(object: &Bound<'_, PyAny>) -> PyResult<Value> {
    if let Ok(tuple) = object.cast::<PyTuple>() {
        return all_tensors(tuple.iter()).map_or_else(|| list(object, tuple.iter()), Ok);
    }
    if let Ok(items) = object.cast::<PyList>() {
        return all_tensors(items.iter()).map_or_else(|| list(object, items.iter()), Ok);
    }
    if let Ok(s) = object.cast::<PyString>() {
        return Ok(Value::Str(s.to_string_lossy().into_owned()));
    }
    if let Some(d) = dtype_of(object) {
        return Ok(Value::DType(d));
    }
    if let Ok(g) = object.cast::<PyGenerator>() {
        return Ok(Value::Generator(g.get().0.clone()));
    }
    if let Some(n) = number(object)? {
        return Ok(match n {
            Scalar::Bool(b) => Value::Bool(b),
            Scalar::Int(i) => Value::Int(i),
            Scalar::Float(f) => Value::Float(f),
        });
    }
    if make::is_array(object) {
        return Ok(Value::Tensor(make::from_array(object)?));
    }
    Ok(Value::Other(type_name(object).into()))
}

/// A list of nothing but tensors.
fn all_tensors<'py>(mut items: impl ExactSizeIterator<Item = Bound<'py, PyAny>>) -> Option<Value> {
    let first = tensor_of(&items.next()?)?.clone();
    let mut all = Vec::with_capacity(items.len() + 1);
    all.push(first);
    for item in items {
        all.push(tensor_of(&item)?.clone());
    }
    Some(Value::Tensors(all))
}

/// A list of numbers, or of numbers and tensors.
fn list<'py>(whole: &Bound<'py, PyAny>, items: impl Iterator<Item = Bound<'py, PyAny>>) -> PyResult<Value> {
    let (mut ints, mut floats, mut tensors) = (Ints::new(), Vec::new(), Vec::new());
    let mut bools = 0usize;
    let mut count = 0usize;
    for item in items {
        count += 1;
        if let Some(t) = tensor_of(&item) {
            tensors.push((count - 1, t.clone()));
            continue;
        }
        match value(&item)? {
            Value::Int(i) => ints.push(i),
            Value::Float(f) => floats.push((count - 1, f)),
            Value::Bool(b) => {
                bools += 1;
                ints.push(b as i64);
            }
            // From an array of another library.
            Value::Tensor(t) => tensors.push((count - 1, t)),
            _ => return Ok(Value::Other(type_name(whole).into())),
        }
    }
    if tensors.len() == count && count > 0 {
        return Ok(Value::Tensors(tensors.into_iter().map(|(_, t)| t).collect()));
    }
    if bools > 0 && bools == count {
        return Ok(Value::Other("tuple of bools".into()));
    }
    if !tensors.is_empty() {
        // `x.view(n, -1)` with a zero-dim integer tensor `n`.
        let mut all: Ints = ints;
        for (at, t) in tensors {
            if t.rank() != 0 || !t.dtype().is_int() {
                return Ok(Value::Other(type_name(whole).into()));
            }
            all.insert(at, t.try_item::<i64>().or_raise()?);
        }
        return Ok(Value::Ints(all));
    }
    if !floats.is_empty() {
        let mut all: Vec<f64> = ints.iter().map(|&i| i as f64).collect();
        floats.into_iter().for_each(|(at, f)| all.insert(at, f));
        return Ok(Value::Floats(all));
    }
    Ok(Value::Ints(ints))
}

/// An integer that fits in 64 bits.
pub fn int(object: &Bound<'_, PyAny>) -> PyResult<i64> {
    object.extract::<i64>().map_err(|e| match e.is_instance_of::<PyOverflowError>(object.py()) {
        true => PyValueError::new_err("Overflow when unpacking long long"),
        false => e,
    })
}

/// A Python integer as a number: one that needs the 64th bit is a float, for wrapping would change its sign.
fn whole(object: &Bound<'_, PyAny>) -> PyResult<Scalar> {
    match object.extract::<i64>() {
        Ok(i) => Ok(Scalar::Int(i)),
        Err(_) => match object.extract::<u64>() {
            Ok(u) => Ok(Scalar::Float(u as f64)),
            Err(_) => Err(PyOverflowError::new_err("int too big to convert")),
        },
    }
}

/// A number that meets a tensor of this dtype in an operator. Among integers the 64th bit is kept, as masks want: `x & 0xffff_ffff_ffff_ffff`.
pub fn scalar_for(dtype: DType, object: &Bound<'_, PyAny>) -> PyResult<Option<Scalar>> {
    if !dtype.is_float()
        && object.is_instance_of::<PyInt>()
        && let Ok(u) = object.extract::<u64>()
        && object.cast::<PyBool>().is_err()
    {
        return Ok(Some(Scalar::Int(u as i64)));
    }
    scalar(object)
}

/// A number that is no Python int or float but stands for one, as NumPy's scalars do. Arrays, which have the same methods, are none.
pub fn number(object: &Bound<'_, PyAny>) -> PyResult<Option<Scalar>> {
    let py = object.py();
    let class = object.get_type();
    if class.hasattr(pyo3::intern!(py, "__len__"))? {
        return Ok(None);
    }
    if class.hasattr(pyo3::intern!(py, "__index__"))? {
        let index = object.call_method0(pyo3::intern!(py, "__index__"))?;
        return Ok(Some(Scalar::Int(int(&index)?)));
    }
    if class.hasattr(pyo3::intern!(py, "__float__"))? && class.hasattr(pyo3::intern!(py, "dtype"))? {
        return Ok(Some(Scalar::Float(object.extract::<f64>()?)));
    }
    if class.name()?.to_string_lossy().starts_with("bool") && class.hasattr(pyo3::intern!(py, "dtype"))? {
        return Ok(Some(Scalar::Bool(object.is_truthy()?)));
    }
    Ok(None)
}

/// A Python number.
pub fn scalar(object: &Bound<'_, PyAny>) -> PyResult<Option<Scalar>> {
    if let Ok(b) = object.cast::<PyBool>() {
        Ok(Some(Scalar::Bool(b.is_true())))
    } else if object.is_instance_of::<PyInt>() {
        whole(object).map(Some)
    } else if let Ok(f) = object.cast::<PyFloat>() {
        Ok(Some(Scalar::Float(f.value())))
    } else if object.is_instance_of::<PyString>() {
        Ok(None)
    } else {
        number(object)
    }
}

/// A dtype, or the Python types that stand for one.
pub fn dtype_of(object: &Bound<'_, PyAny>) -> Option<DType> {
    if let Ok(d) = object.cast::<PyDType>() {
        return Some(d.get().0);
    }
    let py = object.py();
    let class = object.cast::<PyType>().ok()?;
    if class.is(PyType::new::<PyFloat>(py)) {
        Some(DType::F64)
    } else if class.is(PyType::new::<PyInt>(py)) {
        Some(DType::I64)
    } else if class.is(PyType::new::<PyBool>(py)) {
        Some(DType::Bool)
    } else {
        None
    }
}

/// The name of an object's class, for error texts.
pub fn type_name(object: &Bound<'_, PyAny>) -> String {
    object.get_type().name().map_or_else(|_| "object".into(), |n| n.to_string())
}

/// The number a Python user sees.
pub fn scalar_object<'py>(py: Python<'py>, s: Scalar) -> PyResult<Bound<'py, PyAny>> {
    Ok(match s {
        Scalar::Bool(b) => PyBool::new(py, b).to_owned().into_any(),
        Scalar::Int(i) => i.into_pyobject(py)?.into_any(),
        Scalar::Float(f) => PyFloat::new(py, f).into_any(),
    })
}

static RETURN_TYPES: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Names the Python function that makes `torch.return_types.name` from `(name, fields)`.
#[pyfunction]
pub fn _set_return_type_factory(py: Python<'_>, factory: Bound<'_, PyAny>) {
    let _ = RETURN_TYPES.set(py, factory.unbind());
}

/// The class of an op's named results.
pub fn return_type<'py>(py: Python<'py>, name: &str, fields: &[&str]) -> PyResult<Option<Bound<'py, PyAny>>> {
    RETURN_TYPES.get(py).map(|f| f.bind(py).call1((name, PyTuple::new(py, fields)?))).transpose()
}

/// A result of an op as a Python object.
#[inline]
pub fn object<'py>(py: Python<'py>, v: Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match v {
        Value::Tensor(t) => return wrap(py, t),
        Value::Tensors(list) => tuple(py, list)?.into_any(),
        Value::None => PyNone::get(py).to_owned().into_any(),
        Value::Bool(b) => scalar_object(py, Scalar::Bool(b))?,
        Value::Int(i) => scalar_object(py, Scalar::Int(i))?,
        Value::Float(f) => scalar_object(py, Scalar::Float(f))?,
        Value::Ints(i) => PyTuple::new(py, i.as_slice())?.into_any(),
        Value::Floats(f) => PyTuple::new(py, f)?.into_any(),
        Value::Str(s) => PyString::new(py, &s).into_any(),
        Value::DType(d) => crate::types::dtype(py, d).into_any(),
        Value::Generator(g) => Bound::new(py, PyGenerator(g))?.into_any(),
        Value::Other(_) => return Err(PyRuntimeError::new_err("an op returned a value of unknown type")),
    })
}

/// Tensors as a tuple.
pub fn tuple(py: Python<'_>, list: Vec<Tensor>) -> PyResult<Bound<'_, PyTuple>> {
    let items = list.into_iter().map(|t| wrap(py, t)).collect::<PyResult<Vec<_>>>()?;
    PyTuple::new(py, items)
}

/// The tensors of a sequence; `None` where there may be none.
pub fn optional_tensors(object: &Bound<'_, PyAny>) -> PyResult<Vec<Option<Tensor>>> {
    object
        .try_iter()?
        .map(|item| {
            let item = item?;
            if item.is_none() {
                return Ok(None);
            }
            match tensor_of(&item) {
                Some(t) => Ok(Some(t.clone())),
                None => {
                    Err(pyo3::exceptions::PyTypeError::new_err(format!("expected a Tensor or None, not {}", type_name(&item))))
                }
            }
        })
        .collect()
}

/// The tensors of a sequence.
pub fn tensors(object: &Bound<'_, PyAny>) -> PyResult<Vec<Tensor>> {
    optional_tensors(object)?
        .into_iter()
        .map(|t| t.ok_or_else(|| pyo3::exceptions::PyTypeError::new_err("expected a Tensor, not None")))
        .collect()
}
