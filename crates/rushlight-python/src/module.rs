//! The native base of `nn.Module`: what every attribute and every call of a module goes through.
//!
//! Parameters, buffers and modules stand in tables of their own, which Python's `__getattr__` would look into only after the usual lookup has
//! failed and its exception has been made: on CPython 3.11 that takes longer than a small op. Here the tables come right after the usual
//! places, so what is found is the same. A class with a `__getattr__` of its own must be asked first: `Module.__init_subclass__` gives it
//! back the usual lookup.

use crate::call::guarded;
use crate::convert::type_name;
use pyo3::exceptions::PyAttributeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString};
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::sync::OnceLock;

/// Hooks of all modules that matter to a call.
static GLOBAL_HOOKS: PyOnceLock<Py<PyDict>> = PyOnceLock::new();

/// Names the dictionary that has the hooks of all modules.
#[pyfunction]
fn _set_global_call_hooks(py: Python<'_>, hooks: Bound<'_, PyDict>) {
    let _ = GLOBAL_HOOKS.set(py, hooks.unbind());
}

type Lookup = unsafe extern "C" fn(*mut ffi::PyObject, *mut ffi::PyObject, *mut ffi::PyObject, c_int) -> *mut ffi::PyObject;

/// CPython's usual lookup that can be told to raise nothing. It is no part of the stable interface, so it is looked for when it is needed.
fn quiet_lookup() -> Option<Lookup> {
    static LOOKUP: OnceLock<Option<Lookup>> = OnceLock::new();
    *LOOKUP.get_or_init(|| {
        #[cfg(unix)]
        #[allow(unsafe_code)]
        // SAFETY: the name is a C string; a function of this name has had this type in every CPython since 3.7.
        return unsafe {
            let p = libc::dlsym(libc::RTLD_DEFAULT, c"_PyObject_GenericGetAttrWithDict".as_ptr());
            (!p.is_null()).then(|| std::mem::transmute::<*mut c_void, Lookup>(p))
        };
        #[cfg(not(unix))]
        None
    })
}

/// What the usual lookup finds, `None` for an `AttributeError`.
#[allow(unsafe_code)]
fn usual<'py>(this: &Bound<'py, PyAny>, name: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = this.py();
    // SAFETY: both objects live; the result is a new reference, or null with or without an exception.
    unsafe {
        let found = match quiet_lookup() {
            Some(lookup) => lookup(this.as_ptr(), name.as_ptr(), null_mut(), 1),
            None => ffi::PyObject_GenericGetAttr(this.as_ptr(), name.as_ptr()),
        };
        if let Some(found) = Bound::from_owned_ptr_or_opt(py, found) {
            return Ok(Some(found));
        }
    }
    match PyErr::take(py) {
        Some(e) if !e.is_instance_of::<PyAttributeError>(py) => Err(e),
        _ => Ok(None),
    }
}

/// The module's `__dict__`.
#[allow(unsafe_code)]
fn state<'py>(this: &Bound<'py, PyAny>) -> Option<Bound<'py, PyDict>> {
    // SAFETY: the object lives; the result is a new reference, or null with an exception.
    let dict = unsafe { Bound::from_owned_ptr_or_opt(this.py(), ffi::PyObject_GenericGetDict(this.as_ptr(), null_mut())) };
    if dict.is_none() {
        drop(PyErr::take(this.py()));
    }
    dict?.cast_into().ok()
}

/// A dictionary among the module's own attributes.
fn table<'py>(state: &Bound<'py, PyDict>, name: &Bound<'py, PyString>) -> PyResult<Option<Bound<'py, PyDict>>> {
    Ok(state.get_item(name)?.and_then(|table| table.cast_into().ok()))
}

fn attribute<'py>(this: &Bound<'py, PyAny>, name: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if let Some(found) = usual(this, name)? {
        return Ok(found);
    }
    let py = this.py();
    if let Some(state) = state(this) {
        for kind in [pyo3::intern!(py, "_parameters"), pyo3::intern!(py, "_modules"), pyo3::intern!(py, "_buffers")] {
            if let Some(members) = table(&state, kind)?
                && let Some(found) = members.get_item(name)?
            {
                return Ok(found);
            }
        }
    }
    Err(PyAttributeError::new_err(format!("'{}' object has no attribute '{name}'", type_name(this))))
}

/// Whether nothing but `forward` is to run.
fn is_free_of_hooks(this: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = this.py();
    let Some(state) = state(this) else { return Ok(false) };
    let kinds = [
        pyo3::intern!(py, "_forward_hooks"),
        pyo3::intern!(py, "_forward_pre_hooks"),
        pyo3::intern!(py, "_backward_hooks"),
        pyo3::intern!(py, "_backward_pre_hooks"),
    ];
    for kind in kinds {
        if table(&state, kind)?.is_none_or(|hooks| !hooks.is_empty()) {
            return Ok(false);
        }
    }
    Ok(GLOBAL_HOOKS.get(py).is_none_or(|hooks| hooks.bind(py).is_empty()))
}

#[allow(unsafe_code)]
unsafe extern "C" fn getattro(this: *mut ffi::PyObject, name: *mut ffi::PyObject) -> *mut ffi::PyObject {
    guarded(|py| {
        // SAFETY: CPython passes borrowed references that live as long as the call.
        let (this, name) = unsafe { (Bound::from_borrowed_ptr(py, this), Bound::from_borrowed_ptr(py, name)) };
        attribute(&this, &name)
    })
}

#[allow(unsafe_code)]
unsafe extern "C" fn call(this: *mut ffi::PyObject, args: *mut ffi::PyObject, kwargs: *mut ffi::PyObject) -> *mut ffi::PyObject {
    guarded(|py| {
        // SAFETY: as above; `kwargs` may be null.
        let (this, args, kwargs) = unsafe {
            (Bound::from_borrowed_ptr(py, this), Bound::from_borrowed_ptr(py, args), Bound::from_borrowed_ptr_or_opt(py, kwargs))
        };
        if !is_free_of_hooks(&this)? {
            let kwargs = kwargs.unwrap_or_else(|| PyDict::new(py).into_any());
            return this.call_method1(pyo3::intern!(py, "_call_with_hooks"), (args, kwargs));
        }
        let name = pyo3::intern!(py, "forward");
        let forward = match usual(&this, name.as_any())? {
            Some(forward) => forward,
            None => this.getattr(name)?,
        };
        // SAFETY: all three live; the result is a new reference, or null with an exception.
        unsafe {
            let kwargs = kwargs.as_ref().map_or(null_mut(), Bound::as_ptr);
            Bound::from_owned_ptr_or_err(py, ffi::PyObject_Call(forward.as_ptr(), args.as_ptr(), kwargs))
        }
    })
}

/// Adds the class. It has no more in its instances than `object` has, so that a module may have any other base beside it.
#[allow(unsafe_code)]
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let doc = c"What `nn.Module` does natively: finds attributes, and calls `forward`.";
    let mut slots = [
        ffi::PyType_Slot { slot: ffi::Py_tp_getattro, pfunc: getattro as *mut c_void },
        ffi::PyType_Slot { slot: ffi::Py_tp_call, pfunc: call as *mut c_void },
        ffi::PyType_Slot { slot: ffi::Py_tp_doc, pfunc: doc.as_ptr() as *mut c_void },
        ffi::PyType_Slot { slot: 0, pfunc: null_mut() },
    ];
    let mut spec = ffi::PyType_Spec {
        name: c"rushlight._C.ModuleBase".as_ptr(),
        basicsize: 0,
        itemsize: 0,
        flags: (ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_BASETYPE) as u32,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: names and functions are static, and CPython copies the rest; the result is a new reference, or null with an exception.
    let class = unsafe { Bound::from_owned_ptr_or_err(module.py(), ffi::PyType_FromSpec(&mut spec))? };
    module.add("ModuleBase", class)?;
    module.add_function(wrap_pyfunction!(_set_global_call_hooks, module)?)
}
