//! Tensors from Python's data: numbers, nested sequences, arrays of other libraries, bytes.

use crate::convert::{dtype_of, scalar, type_name};
use crate::error::OrRaise;
use crate::tensor::{tensor_of, wrap};
use crate::types::check_device;
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyUserWarning, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMemoryView, PySequence, PyString, PyTuple};
use rushlight::{DType, Element, Layout, Scalar, Tensor, default_dtype, ops};
use rushlight_kernels::{Buffer, dispatch};
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

// ---- arrays -----------------------------------------------------------------------------------------------------------------------

/// Whether this is one of Python's own numbers. Asking their classes for attributes that they lack would cost more than a small tensor.
fn is_plain_number(object: &Bound<'_, PyAny>) -> bool {
    object.is_exact_instance_of::<PyFloat>() || object.is_exact_instance_of::<PyInt>() || object.is_exact_instance_of::<PyBool>()
}

/// Whether another library says that this object is an array.
pub fn is_array(object: &Bound<'_, PyAny>) -> bool {
    if is_plain_number(object) || object.is_exact_instance_of::<PyList>() || object.is_exact_instance_of::<PyTuple>() {
        return false;
    }
    let py = object.py();
    let class = object.get_type();
    class.hasattr(pyo3::intern!(py, "__array__")).unwrap_or(false)
        || class.hasattr(pyo3::intern!(py, "__array_interface__")).unwrap_or(false)
}

/// A view of foreign memory, given back when the last tensor over it is gone.
struct Exported(Box<ffi::Py_buffer>);

// SAFETY: the buffer's owner is only touched under the interpreter's lock (in `drop`); its memory is plain bytes.
#[allow(unsafe_code)]
unsafe impl Send for Exported {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl Sync for Exported {}

impl Exported {
    #[allow(unsafe_code)]
    fn of(object: &Bound<'_, PyAny>, flags: i32) -> PyResult<Exported> {
        let mut view = Box::new(MaybeUninit::<ffi::Py_buffer>::zeroed());
        // SAFETY: the view is valid for writes; a zero result means that it was filled in.
        let ok = unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), view.as_mut_ptr(), flags) } == 0;
        if !ok {
            return Err(PyErr::fetch(object.py()));
        }
        // SAFETY: filled in by the call above; the box does not move it.
        Ok(Exported(unsafe { Box::from_raw(Box::into_raw(view).cast()) }))
    }
    #[allow(unsafe_code)]
    fn format(&self) -> &str {
        if self.0.format.is_null() {
            return "B";
        }
        // SAFETY: a buffer's format is a C string that lives as long as the view.
        unsafe { CStr::from_ptr(self.0.format) }.to_str().unwrap_or("?")
    }
    #[allow(unsafe_code)]
    fn list(&self, p: *const isize) -> Option<Vec<isize>> {
        let n = self.0.ndim as usize;
        // SAFETY: the buffer protocol gives `ndim` entries in shape and strides where the pointers are not null.
        (!p.is_null()).then(|| if n == 0 { vec![] } else { unsafe { std::slice::from_raw_parts(p, n) }.to_vec() })
    }
}

impl Drop for Exported {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // During the interpreter's end there is nobody to give it back to.
        Python::try_attach(|_| {
            // SAFETY: obtained by PyObject_GetBuffer and released once; the interpreter is attached.
            unsafe { ffi::PyBuffer_Release(&mut *self.0) }
        });
    }
}

/// The dtype of a buffer's elements, from its struct-style format.
fn format_dtype(object: &Bound<'_, PyAny>, format: &str, itemsize: isize) -> PyResult<DType> {
    if format.starts_with(['>', '!']) {
        return Err(PyValueError::new_err(
            "given numpy array has byte order different from the native byte order. Conversion between byte orders is currently not supported.",
        ));
    }
    let bare = format.trim_start_matches(['@', '=', '<', '|']);
    let d = match (bare, itemsize) {
        ("?", 1) => Some(DType::Bool),
        ("b", 1) => Some(DType::I8),
        ("B" | "c", 1) => Some(DType::U8),
        ("h", 2) => Some(DType::I16),
        ("i" | "l", 4) => Some(DType::I32),
        ("l" | "q" | "n", 8) => Some(DType::I64),
        ("e", 2) => Some(DType::F16),
        ("f", 4) => Some(DType::F32),
        ("d", 8) => Some(DType::F64),
        _ => None,
    };
    d.ok_or_else(|| unsupported(object))
}

#[cold]
fn unsupported(array: &Bound<'_, PyAny>) -> PyErr {
    let py = array.py();
    let kind = || -> PyResult<String> {
        let kind = array.getattr(pyo3::intern!(py, "dtype"))?.getattr(pyo3::intern!(py, "type"))?;
        Ok(format!("np.ndarray of type numpy.{}", kind.getattr(pyo3::intern!(py, "__name__"))?))
    };
    let what = kind().unwrap_or_else(|_| type_name(array));
    PyTypeError::new_err(format!(
        "can't convert {what}. The only supported types are: float64, float32, float16, int64, int32, int16, int8, uint8, and bool."
    ))
}

/// A tensor over an array's own memory where it is writable and aligned; otherwise over a copy.
#[allow(unsafe_code)]
pub fn from_array(object: &Bound<'_, PyAny>) -> PyResult<Tensor> {
    let py = object.py();
    const STRIDED: i32 = ffi::PyBUF_STRIDES | ffi::PyBUF_FORMAT;
    let (view, writable) = match Exported::of(object, STRIDED | ffi::PyBUF_WRITABLE) {
        Ok(v) => (v, true),
        Err(_) => match Exported::of(object, STRIDED) {
            Ok(v) => (v, false),
            // Not a buffer itself (an image, say): ask for an array.
            Err(e) if object.hasattr(pyo3::intern!(py, "__array__"))? => {
                let array = object.call_method0(pyo3::intern!(py, "__array__"))?;
                if array.get_type().is(object.get_type()) {
                    return Err(if e.is_instance_of::<PyValueError>(py) { unsupported(object) } else { e });
                }
                return from_array(&array);
            }
            Err(e) => return from_interface(object).unwrap_or(Err(e)),
        },
    };
    let dtype = format_dtype(object, view.format(), view.0.itemsize)?;
    let item = view.0.itemsize;
    let shape: Vec<usize> = view.list(view.0.shape).unwrap_or_default().iter().map(|&n| n as usize).collect();
    let bytes = match view.list(view.0.strides) {
        Some(s) => s,
        None => rushlight_kernels::layout::contiguous_strides(&shape).iter().map(|s| s * item).collect(),
    };
    if !shape.contains(&0) && bytes.iter().any(|s| s % item != 0) {
        return Err(PyValueError::new_err(
            "given numpy array strides not a multiple of the element byte size. Copy the numpy array to reallocate the memory.",
        ));
    }
    if shape.contains(&0) || !(view.0.buf as usize).is_multiple_of(item as usize) {
        return copy_unaligned(&view, dtype, &shape, &bytes);
    }
    let strides: Vec<isize> = bytes.iter().map(|s| s / item).collect();
    // The buffer starts at its lowest byte, which with negative strides lies before the first element.
    let before: isize = shape.iter().zip(&strides).map(|(&n, &s)| if s < 0 { (n as isize - 1) * -s } else { 0 }).sum();
    let after: isize = shape.iter().zip(&strides).map(|(&n, &s)| if s > 0 { (n as isize - 1) * s } else { 0 }).sum();
    let len = (before + after + 1) as usize * item as usize;
    // SAFETY: by the buffer protocol every element lies within the exporter's memory, so the lowest one does.
    let start = unsafe { view.0.buf.cast::<u8>().offset(-before * item) };
    let start = NonNull::new(start).ok_or_else(|| PyValueError::new_err("an array without memory"))?;
    let layout = Layout::strided(&shape, &strides, before as usize);
    if dtype == DType::Bool && !writable_bools(&view, &shape, &bytes) {
        return copy_unaligned(&view, dtype, &shape, &bytes);
    }
    // SAFETY: the exporter keeps the memory in place until the view is released, which the buffer's owner does last.
    let t = unsafe { Tensor::from_buffer(Buffer::foreign(start, len, Box::new(view)), layout, dtype) }.or_raise()?;
    if writable { Ok(t) } else { ops::copy(&t).or_raise() }
}

/// An object with `__array_interface__` alone (a Pillow image): its bytes, if they are plain.
fn from_interface(object: &Bound<'_, PyAny>) -> Option<PyResult<Tensor>> {
    let py = object.py();
    let interface = object.getattr(pyo3::intern!(py, "__array_interface__")).ok()?;
    let get = || -> PyResult<Tensor> {
        let data = interface.get_item("data")?;
        let Ok(bytes) = data.cast::<PyBytes>() else {
            return Err(PyTypeError::new_err(format!("can't convert {} to a tensor without NumPy", type_name(object))));
        };
        let shape: Vec<i64> = interface.get_item("shape")?.extract()?;
        let text: String = interface.get_item("typestr")?.extract()?;
        let d = match text.trim_start_matches(['|', '<', '=']) {
            "u1" => DType::U8,
            "b1" => DType::Bool,
            "i4" => DType::I32,
            "f4" => DType::F32,
            _ => return Err(PyTypeError::new_err(format!("can't convert an array of type '{text}'"))),
        };
        Tensor::from_bytes(bytes.as_bytes(), d, shape).or_raise()
    };
    Some(get())
}

/// Whether all bools are zeros and ones, as a tensor's must be.
fn writable_bools(view: &Exported, shape: &[usize], strides: &[isize]) -> bool {
    elements(shape, strides).all(|at| byte(view, at) <= 1)
}

#[allow(unsafe_code)]
fn byte(view: &Exported, at: isize) -> u8 {
    // SAFETY: `at` is the offset of an element's byte within the exporter's memory.
    unsafe { view.0.buf.cast::<u8>().offset(at).read() }
}

/// Byte offsets of the elements in row-major order.
fn elements(shape: &[usize], strides: &[isize]) -> impl Iterator<Item = isize> {
    let n: usize = shape.iter().product();
    (0..n).map(move |mut i| {
        let mut at = 0;
        for (&size, &step) in shape.iter().zip(strides).rev() {
            at += (i % size) as isize * step;
            i /= size;
        }
        at
    })
}

fn copy_unaligned(view: &Exported, dtype: DType, shape: &[usize], strides: &[isize]) -> PyResult<Tensor> {
    let mut bytes = Vec::new();
    for at in elements(shape, strides) {
        bytes.extend((0..view.0.itemsize).map(|i| byte(view, at + i)));
    }
    Tensor::from_bytes(&bytes, dtype, shape).or_raise()
}

// ---- nested sequences ---------------------------------------------------------------------------------------------------------------

/// Numbers gathered from nested sequences.
#[derive(Default)]
struct Gathered {
    shape: Vec<usize>,
    values: Vec<Scalar>,
    /// The dtype of tensors and arrays among the elements.
    typed: Option<DType>,
    floats: bool,
    ints: bool,
    bools: bool,
    /// The dtype that was asked for.
    asked: Option<DType>,
}

impl Gathered {
    /// The shape that the first elements say.
    fn measure(&mut self, object: &Bound<'_, PyAny>) -> PyResult<()> {
        // A tensor among the elements stands for its number.
        if is_plain_number(object) || tensor_of(object).is_some() {
            return Ok(());
        }
        if is_array(object) && scalar(object)?.is_none() {
            self.shape.extend(from_array(object)?.shape().iter().copied());
            return Ok(());
        }
        if !self.shape.is_empty() && (object.is_instance_of::<PyString>() || object.is_instance_of::<PyBytes>()) {
            return Err(PyValueError::new_err(format!("too many dimensions '{}'", type_name(object))));
        }
        let Some(n) = length(object) else { return Ok(()) };
        self.shape.push(n);
        if self.shape.len() > 128 {
            return Err(PyValueError::new_err(format!("too many dimensions '{}'", type_name(object))));
        }
        if n > 0 { self.measure(&object.get_item(0)?) } else { Ok(()) }
    }
    fn gather(&mut self, object: &Bound<'_, PyAny>, depth: usize) -> PyResult<()> {
        if depth == self.shape.len() {
            return self.number(object);
        }
        // Lists, which are nearly all of them, need none of the questions below.
        if let Ok(list) = object.cast_exact::<PyList>()
            && list.len() == self.shape[depth]
        {
            return list.iter().try_for_each(|item| self.gather(&item, depth + 1));
        }
        let array = if tensor_of(object).is_none() && is_array(object) { Some(from_array(object)?) } else { None };
        if let Some(t) = tensor_of(object).or(array.as_ref()) {
            return self.tensor(t, depth);
        }
        let Some(n) = length(object) else { return Err(PyTypeError::new_err("not a sequence")) };
        if n != self.shape[depth] {
            return Err(PyValueError::new_err(format!(
                "expected sequence of length {} at dim {depth} (got {n})",
                self.shape[depth]
            )));
        }
        object.try_iter()?.try_for_each(|item| self.gather(&item?, depth + 1))
    }
    fn tensor(&mut self, t: &Tensor, depth: usize) -> PyResult<()> {
        if t.shape().as_slice() != &self.shape[depth..] {
            let (want, got) = (self.shape[depth], t.shape().first().copied().unwrap_or(0));
            return Err(PyValueError::new_err(format!("expected sequence of length {want} at dim {depth} (got {got})")));
        }
        self.join(t.dtype());
        let f = ops::to_dtype(&t.detach(), if t.dtype().is_float() { DType::F64 } else { DType::I64 }).or_raise()?;
        match t.dtype() {
            d if d.is_float() => self.values.extend(f.try_to_vec::<f64>().or_raise()?.into_iter().map(Scalar::Float)),
            DType::Bool => self.values.extend(f.try_to_vec::<i64>().or_raise()?.into_iter().map(|b| Scalar::Bool(b != 0))),
            _ => self.values.extend(f.try_to_vec::<i64>().or_raise()?.into_iter().map(Scalar::Int)),
        }
        Ok(())
    }
    fn join(&mut self, d: DType) {
        self.typed = Some(self.typed.map_or(d, |t| t.promote(d)));
    }
    fn number(&mut self, object: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Ok(f) = object.cast_exact::<PyFloat>() {
            self.floats = true;
            self.values.push(Scalar::Float(f.value()));
            return Ok(());
        }
        if object.is_exact_instance_of::<PyInt>() {
            self.ints = true;
            // What is too big for an integer of ours may still become a float.
            self.values.push(match object.extract::<i64>() {
                Ok(i) => Scalar::Int(i),
                Err(_) => Scalar::Float(object.extract()?),
            });
            return Ok(());
        }
        let py = object.py();
        if let Some(t) = tensor_of(object) {
            if t.numel() != 1 && t.dtype().is_float() {
                return Err(PyValueError::new_err("only one element tensors can be converted to Python scalars"));
            }
            if t.numel() != 1 {
                return Err(PyTypeError::new_err("only integer tensors of a single element can be converted to an index"));
            }
            self.join(t.dtype());
            self.values.push(t.try_to_scalar().or_raise()?);
            return Ok(());
        }
        let Some(s) = scalar(object)? else {
            let what = type_name(object);
            return Err(match self.asked {
                _ if object.is_instance_of::<PyString>() || object.is_instance_of::<PyBytes>() => {
                    PyTypeError::new_err(format!("new(): invalid data type '{what}'"))
                }
                Some(d) if d.is_float() => PyTypeError::new_err(format!("must be real number, not {what}")),
                None if length(object).is_none() => PyRuntimeError::new_err(format!("Could not infer dtype of {what}")),
                _ => PyTypeError::new_err(format!("'{what}' object cannot be interpreted as an integer")),
            });
        };
        match s {
            Scalar::Float(_) if object.is_exact_instance_of::<PyFloat>() => self.floats = true,
            // NumPy's scalars bring their dtype.
            _ if object.hasattr(pyo3::intern!(py, "dtype"))? => {
                let name = object.getattr(pyo3::intern!(py, "dtype"))?.str()?.to_string();
                self.join(DType::from_name(&name).unwrap_or(s.dtype()));
            }
            Scalar::Float(_) => self.floats = true,
            Scalar::Int(_) => self.ints = true,
            Scalar::Bool(_) => self.bools = true,
        }
        self.values.push(s);
        Ok(())
    }
    fn dtype(&self) -> DType {
        let number = if self.floats {
            Some(default_dtype())
        } else if self.ints {
            Some(DType::I64)
        } else if self.bools {
            Some(DType::Bool)
        } else {
            None
        };
        match (self.typed, number) {
            (Some(t), Some(n)) => t.promote(n),
            (Some(d), None) | (None, Some(d)) => d,
            (None, None) => default_dtype(),
        }
    }
    fn build(self, dtype: DType) -> PyResult<Tensor> {
        if dtype == DType::I64 && !self.floats && self.values.iter().any(|v| matches!(v, Scalar::Float(f) if f.abs() >= TWO_63)) {
            return Err(PyValueError::new_err("Overflow when unpacking long long"));
        }
        if !dtype.is_float() && !self.values.iter().all(|&v| fits(v, dtype)) {
            return Err(PyRuntimeError::new_err(format!("value cannot be converted to type {dtype} without overflow")));
        }
        fn typed<T: Element>(values: Vec<Scalar>, shape: &[usize]) -> rushlight::Result<Tensor> {
            Tensor::try_from_vec(values.into_iter().map(|s| s.to::<T>()).collect(), shape)
        }
        dispatch!(dtype, T => typed::<T>(self.values, &self.shape)).or_raise()
    }
}

const TWO_63: f64 = 9_223_372_036_854_775_808.0;

/// The C++ type that PyTorch's texts name.
pub fn c_name(d: DType) -> String {
    match d {
        DType::F64 => "double".into(),
        DType::F32 => "float".into(),
        d if d.is_float() => d.name().into(),
        d => format!("{}_t", d.name()),
    }
}

/// Whether a number can be stored: integers in range (negative ones wrap in unsigned dtypes), floats whose whole part is; infinities in floats.
pub fn fits(s: Scalar, dtype: DType) -> bool {
    let (lo, hi) = dtype.finite_range();
    match (s, dtype) {
        (_, DType::Bool) | (Scalar::Bool(_), _) => true,
        (Scalar::Int(i), DType::U8) => (-255..=255).contains(&i),
        (Scalar::Float(f), d) if d.is_float() => !f.is_finite() || d.size() < 4 || (lo..=hi).contains(&f),
        (Scalar::Float(f), DType::I64) => (-TWO_63..TWO_63).contains(&f),
        (Scalar::Float(f), _) => (lo..=hi).contains(&f.trunc()),
        (Scalar::Int(i), _) => (lo..=hi).contains(&(i as f64)),
    }
}

/// The length of a sequence that may hold numbers: not of a string, a mapping or a set.
fn length(object: &Bound<'_, PyAny>) -> Option<usize> {
    if object.is_instance_of::<PyString>() || object.is_instance_of::<PyBytes>() || object.is_instance_of::<PyDict>() {
        return None;
    }
    if let Ok(l) = object.cast::<PyList>() {
        return Some(l.len());
    }
    if let Ok(l) = object.cast::<PyTuple>() {
        return Some(l.len());
    }
    if object.cast::<PySequence>().is_ok() || object.hasattr(pyo3::intern!(object.py(), "__getitem__")).unwrap_or(false) {
        return object.len().ok();
    }
    None
}

/// A fresh tensor of what `data` holds.
pub fn from_data(data: &Bound<'_, PyAny>, dtype: Option<DType>) -> PyResult<Tensor> {
    if data.is_exact_instance_of::<PyList>() {
        let mut g = Gathered { asked: dtype, ..Gathered::default() };
        g.measure(data)?;
        g.gather(data, 0)?;
        let dtype = dtype.unwrap_or_else(|| g.dtype());
        return g.build(dtype);
    }
    if let Some(t) = tensor_of(data) {
        let t = ops::copy(&t.detach()).or_raise()?;
        return dtype.map_or(Ok(t.clone()), |d| ops::to_dtype(&t, d).or_raise());
    }
    if is_array(data) && !is_number(data)? {
        let t = from_array(data)?;
        let d = dtype.unwrap_or(t.dtype());
        return if d == t.dtype() { ops::copy(&t).or_raise() } else { ops::to_dtype(&t, d).or_raise() };
    }
    let mut g = Gathered { asked: dtype, ..Gathered::default() };
    g.measure(data)?;
    g.gather(data, 0)?;
    let dtype = dtype.unwrap_or_else(|| g.dtype());
    g.build(dtype)
}

fn leaf<'py>(py: Python<'py>, t: Tensor, requires_grad: bool) -> PyResult<Bound<'py, PyAny>> {
    if requires_grad {
        needs_floats(&t)?;
        t.try_requires_grad_(true).or_raise()?;
    }
    wrap(py, t)
}

/// What a constructor with `requires_grad=True` asks of its result.
pub fn needs_floats(t: &Tensor) -> PyResult<()> {
    if t.dtype().is_float() {
        return Ok(());
    }
    Err(PyRuntimeError::new_err("Only Tensors of floating point and complex dtype can require gradients"))
}

/// The keyword `requires_grad`, which is a bool and nothing like one.
pub fn flag(name: &str, value: &Bound<'_, PyAny>) -> PyResult<bool> {
    value
        .cast::<PyBool>()
        .map(|b| b.is_true())
        .map_err(|_| PyTypeError::new_err(format!("{name}(): argument 'requires_grad' must be bool, not {}", type_name(value))))
}

/// Whether an object is a number, and no array of one.
fn is_number(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(object.is_instance_of::<PyInt>() || scalar(object)?.is_some())
}

fn given_dtype(dtype: Option<&Bound<'_, PyAny>>) -> PyResult<Option<DType>> {
    let Some(d) = dtype.filter(|d| !d.is_none()) else { return Ok(None) };
    dtype_of(d)
        .map(Some)
        .ok_or_else(|| PyTypeError::new_err(format!("tensor(): argument 'dtype' must be torch.dtype, not {}", type_name(d))))
}

/// Constructs a tensor with no autograd history by copying `data`: a number, nested sequences of numbers, an array or a tensor.
#[pyfunction]
#[pyo3(signature = (data, *, dtype = None, device = None, requires_grad = None, pin_memory = false))]
fn tensor<'py>(
    data: &Bound<'py, PyAny>,
    dtype: Option<&Bound<'py, PyAny>>,
    device: Option<&Bound<'py, PyAny>>,
    requires_grad: Option<&Bound<'py, PyAny>>,
    pin_memory: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let _ = pin_memory;
    let requires_grad = requires_grad.map_or(Ok(false), |r| flag("tensor", r))?;
    device.map_or(Ok(()), check_device)?;
    let py = data.py();
    if tensor_of(data).is_some() {
        let text = c"To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor).";
        PyErr::warn(py, &py.get_type::<PyUserWarning>(), text, 1)?;
    }
    leaf(py, from_data(data, given_dtype(dtype)?)?, requires_grad)
}

/// `data` as a tensor, sharing memory and history where possible.
#[pyfunction]
#[pyo3(signature = (data, dtype = None, device = None))]
fn as_tensor<'py>(
    data: &Bound<'py, PyAny>,
    dtype: Option<&Bound<'py, PyAny>>,
    device: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    device.map_or(Ok(()), check_device)?;
    let (py, dtype) = (data.py(), given_dtype(dtype)?);
    let t = match tensor_of(data) {
        Some(t) => t.clone(),
        None if is_array(data) && !is_number(data)? => from_array(data)?,
        None => return leaf(py, from_data(data, dtype)?, false),
    };
    wrap(py, dtype.map_or(Ok(t.clone()), |d| ops::to_dtype(&t, d).or_raise())?)
}

/// A tensor over the memory of a NumPy array: what is written to one is seen in the other.
#[pyfunction]
fn from_numpy<'py>(ndarray: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if !is_array(ndarray) || tensor_of(ndarray).is_some() || is_number(ndarray)? {
        return Err(PyTypeError::new_err(format!("expected np.ndarray (got {})", type_name(ndarray))));
    }
    wrap(ndarray.py(), from_array(ndarray)?)
}

/// A tensor of `shape` over a copy of row-major, little-endian `data`.
#[pyfunction]
fn _from_bytes<'py>(
    py: Python<'py>,
    data: &Bound<'py, PyAny>,
    dtype: &Bound<'py, PyAny>,
    shape: Vec<i64>,
) -> PyResult<Bound<'py, PyAny>> {
    let Some(d) = dtype_of(dtype) else {
        return Err(PyTypeError::new_err("_from_bytes(): argument 'dtype' must be torch.dtype"));
    };
    let t = if let Ok(b) = data.cast::<PyBytes>() {
        Tensor::from_bytes(b.as_bytes(), d, shape)
    } else {
        let view = from_array(&PyMemoryView::from(data)?.into_any())?;
        view.with_bytes(|b| Tensor::from_bytes(b, d, shape)).or_raise()?
    };
    wrap(py, t.or_raise()?)
}

/// A tensor over the memory of anything with a buffer (bytearray, array, mmap), read as `dtype`.
#[pyfunction]
#[pyo3(signature = (buffer, *, dtype, count = -1, offset = 0, requires_grad = false))]
#[allow(unsafe_code)]
fn frombuffer<'py>(
    py: Python<'py>,
    buffer: &Bound<'py, PyAny>,
    dtype: &Bound<'py, PyAny>,
    count: i64,
    offset: i64,
    requires_grad: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let Some(d) = dtype_of(dtype) else { return Err(PyTypeError::new_err("frombuffer(): argument 'dtype' must be torch.dtype")) };
    let (view, writable) = match Exported::of(buffer, ffi::PyBUF_WRITABLE) {
        Ok(v) => (v, true),
        Err(_) => match Exported::of(buffer, ffi::PyBUF_SIMPLE) {
            Ok(v) => (v, false),
            Err(e) if e.is_instance_of::<PyTypeError>(py) => {
                return Err(PyValueError::new_err("object does not implement Python buffer protocol."));
            }
            Err(e) => return Err(e),
        },
    };
    let (len, size) = (view.0.len as i64, d.size() as i64);
    if len == 0 || count == 0 {
        return Err(PyValueError::new_err(format!("both buffer length ({len}) and count ({count}) must not be 0")));
    }
    if !(0..len).contains(&offset) {
        return Err(PyValueError::new_err(format!(
            "offset ({offset} bytes) must be non-negative and no greater than buffer length ({len} bytes) minus 1"
        )));
    }
    if count < 0 && (len - offset) % size != 0 {
        return Err(PyValueError::new_err(format!(
            "buffer length ({} bytes) after offset ({offset} bytes) must be a multiple of element size ({size})",
            len - offset
        )));
    }
    let n = if count < 0 { (len - offset) / size } else { count };
    if n.checked_mul(size).is_none_or(|bytes| bytes > len - offset) {
        return Err(PyValueError::new_err(format!(
            "requested buffer length ({n} * {size} bytes) after offset ({offset} bytes) must not be greater than actual buffer length ({len} bytes)"
        )));
    }
    // SAFETY: the range was checked against the exporter's length.
    let start = unsafe { view.0.buf.cast::<u8>().add(offset as usize) };
    let aligned = (start as usize).is_multiple_of(d.size());
    let t = if writable && aligned && d != DType::Bool {
        let start = NonNull::new(start).ok_or_else(|| PyValueError::new_err("a buffer without memory"))?;
        // SAFETY: as above; the exporter keeps the memory until the view, the buffer's owner, is dropped.
        unsafe {
            Tensor::from_buffer(Buffer::foreign(start, (n * size) as usize, Box::new(view)), Layout::contiguous(&[n as usize]), d)
        }
    } else {
        // SAFETY: as above; only read.
        Tensor::from_bytes(unsafe { std::slice::from_raw_parts(start, (n * size) as usize) }, d, [n])
    };
    leaf(py, t.or_raise()?, requires_grad)
}

/// Adds the functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(tensor, module)?)?;
    module.add_function(wrap_pyfunction!(as_tensor, module)?)?;
    module.add_function(wrap_pyfunction!(from_numpy, module)?)?;
    module.add_function(wrap_pyfunction!(frombuffer, module)?)?;
    module.add_function(wrap_pyfunction!(_from_bytes, module)?)
}
