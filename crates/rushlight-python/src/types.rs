//! `torch.dtype`, `torch.device`, `torch.Size` and `torch.return_types`.

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyTuple, PyType};
use rushlight::DType;
use std::hash::{DefaultHasher, Hash, Hasher};

/// An element type; one object each.
#[pyclass(name = "dtype", module = "rushlight", frozen)]
pub struct PyDType(pub DType);

static DTYPES: PyOnceLock<Vec<Py<PyDType>>> = PyOnceLock::new();

/// The object of a dtype.
pub fn dtype(py: Python<'_>, d: DType) -> Bound<'_, PyDType> {
    let all = DTYPES.get_or_init(py, || {
        DType::ALL.iter().map(|&d| Py::new(py, PyDType(d)).expect("a dtype object is a few bytes")).collect()
    });
    all[d as usize].bind(py).clone()
}

#[pymethods]
impl PyDType {
    #[getter]
    fn is_floating_point(&self) -> bool {
        self.0.is_float()
    }
    #[getter]
    fn is_complex(&self) -> bool {
        false
    }
    #[getter]
    fn is_signed(&self) -> bool {
        self.0.is_signed()
    }
    /// Bytes of an element.
    #[getter]
    fn itemsize(&self) -> usize {
        self.0.size()
    }
    fn to_real(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }
    fn __repr__(&self) -> String {
        format!("torch.{}", self.0.name())
    }
    fn __reduce__(&self) -> &'static str {
        self.0.name()
    }
}

/// Where a tensor lives: here always the CPU.
#[pyclass(name = "device", module = "rushlight", frozen)]
pub struct PyDevice {
    kind: String,
    index: Option<u32>,
}

const KINDS: [&str; 8] = ["cpu", "cuda", "mps", "xpu", "meta", "xla", "hpu", "mkldnn"];

#[pymethods]
impl PyDevice {
    #[new]
    #[pyo3(signature = (r#type, index = None))]
    fn new(r#type: &Bound<'_, PyAny>, index: Option<u32>) -> PyResult<PyDevice> {
        let device = r#type;
        if let Ok(n) = device.extract::<u32>() {
            // A bare number is that of an accelerator.
            return Ok(PyDevice { kind: "cuda".into(), index: Some(n) });
        }
        if let Ok(d) = device.cast::<PyDevice>() {
            return Ok(PyDevice { kind: d.get().kind.clone(), index: d.get().index });
        }
        let Ok(text) = device.extract::<String>() else {
            return Err(PyTypeError::new_err(format!(
                "device(): argument 'device' must be str or device, not {}",
                device.get_type().name()?
            )));
        };
        let (kind, number) = match text.split_once(':') {
            Some((k, n)) => match n.parse() {
                Ok(n) => (k, Some(n)),
                Err(_) => return Err(PyRuntimeError::new_err(format!("Invalid device string: '{text}'"))),
            },
            None => (text.as_str(), index),
        };
        if !KINDS.contains(&kind) {
            return Err(PyRuntimeError::new_err(format!(
                "Expected one of {} device type at start of device string: {kind}",
                KINDS.join(", ")
            )));
        }
        Ok(PyDevice { kind: kind.to_string(), index: number })
    }
    #[getter]
    fn r#type(&self) -> &str {
        &self.kind
    }
    #[getter]
    fn index(&self) -> Option<u32> {
        self.index
    }
    fn __repr__(&self) -> String {
        match self.index {
            Some(i) => format!("device(type='{}', index={i})", self.kind),
            None => format!("device(type='{}')", self.kind),
        }
    }
    fn __str__(&self) -> String {
        self.index.map_or_else(|| self.kind.clone(), |i| format!("{}:{i}", self.kind))
    }
    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<PyDevice>().is_ok_and(|d| d.get().kind == self.kind && d.get().index == self.index)
    }
    fn __hash__(&self) -> u64 {
        let mut h = DefaultHasher::new();
        (&self.kind, self.index).hash(&mut h);
        h.finish()
    }
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyType>, (String,))> {
        Ok((slf.get_type(), (slf.get().__str__(),)))
    }
    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        check_device(slf.as_any())?;
        Ok(slf)
    }
    #[pyo3(signature = (*_args))]
    fn __exit__(&self, _args: &Bound<'_, PyTuple>) -> bool {
        false
    }
}

static CPU: PyOnceLock<Py<PyDevice>> = PyOnceLock::new();

/// `device(type='cpu')`.
pub fn cpu(py: Python<'_>) -> Bound<'_, PyDevice> {
    CPU.get_or_init(py, || Py::new(py, PyDevice { kind: "cpu".into(), index: None }).expect("a device object is a few bytes"))
        .bind(py)
        .clone()
}

/// Accepts `None`, the CPU under any of its names; says clearly that there is nothing else.
pub fn check_device(device: &Bound<'_, PyAny>) -> PyResult<()> {
    if device.is_none() {
        return Ok(());
    }
    let new;
    let d = match device.cast::<PyDevice>() {
        Ok(d) => d.get(),
        Err(_) => {
            new = PyDevice::new(device, None)?;
            &new
        }
    };
    if d.kind == "cpu" {
        return Ok(());
    }
    Err(PyRuntimeError::new_err(format!(
        "Rushlight computes on the CPU only: device '{}' is not available. Use device='cpu', or choose by torch.cuda.is_available(), which is False here.",
        d.__str__()
    )))
}

static SIZE: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// Names the Python class of sizes (a tuple with `numel`).
#[pyfunction]
pub fn _set_size_class(py: Python<'_>, class: Bound<'_, PyType>) {
    let _ = SIZE.set(py, class.unbind());
}

/// An instance of the class of sizes without its constructor, which would ask each item whether it is an integer: `tuple.__new__(class, items)`.
#[allow(unsafe_code)]
fn size_of<'py>(class: &Bound<'py, PyType>, items: Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    // SAFETY: the slot of `tuple` is its constructor; it takes a subclass, a tuple of arguments and no keywords, and returns a new reference or null.
    unsafe {
        let slot = ffi::PyType_GetSlot(&raw mut ffi::PyTuple_Type, ffi::Py_tp_new);
        let new: ffi::newfunc = std::mem::transmute::<*mut std::ffi::c_void, ffi::newfunc>(slot);
        let arguments = PyTuple::new(py, [items])?;
        Bound::from_owned_ptr_or_err(py, new(class.as_type_ptr(), arguments.as_ptr(), std::ptr::null_mut()))
    }
}

/// What [`size_of`] does, without the two tuples: an empty instance whose items are set. Only where a tuple is nothing but its items: from
/// 3.14 on it holds its hash as well, which the constructor alone initialises.
#[allow(unsafe_code)]
fn size_in_place<'py>(class: &Bound<'py, PyType>, sizes: &[usize]) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    // SAFETY: a tuple's items are allocated with it and empty; `PyTuple_SetItem` takes over each number, of a tuple that nobody else has.
    unsafe {
        let all = ffi::PyType_GenericAlloc(class.as_type_ptr(), sizes.len() as ffi::Py_ssize_t);
        let size = Bound::from_owned_ptr_or_err(py, all)?;
        for (i, &n) in sizes.iter().enumerate() {
            let n = ffi::PyLong_FromSize_t(n);
            if n.is_null() || ffi::PyTuple_SetItem(all, i as ffi::Py_ssize_t, n) != 0 {
                return Err(PyErr::fetch(py));
            }
        }
        Ok(size)
    }
}

/// Sizes as a `torch.Size`.
pub fn size<'py>(py: Python<'py>, sizes: &[usize]) -> PyResult<Bound<'py, PyAny>> {
    static ITEMS_ONLY: PyOnceLock<bool> = PyOnceLock::new();
    match SIZE.get(py) {
        Some(class) if *ITEMS_ONLY.get_or_init(py, || py.version_info() < (3, 14)) => size_in_place(class.bind(py), sizes),
        Some(class) => size_of(class.bind(py), PyTuple::new(py, sizes)?),
        None => Ok(PyTuple::new(py, sizes)?.into_any()),
    }
}

/// Whether an object is a `torch.Size`.
pub fn is_size(object: &Bound<'_, PyAny>) -> bool {
    SIZE.get(object.py()).is_some_and(|class| object.get_type().is(class.bind(object.py())))
}
