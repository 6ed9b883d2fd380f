//! The Python object of a tensor, and the promise that one tensor is one object.

use crate::types;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::{PyTypeInfo, ffi};
use rushlight::Tensor;
use std::ops::Deref;
use std::ptr::{self, null_mut};
use std::sync::atomic::{AtomicPtr, Ordering::*};

/// A tensor, as Python sees it. Methods come from the op table (`call.rs`), type slots from `slots.rs`, the rest from `python/rushlight/_tensor.py`.
#[pyclass(name = "Tensor", module = "rushlight", subclass, frozen, weakref, dict)]
pub struct PyTensor {
    tensor: Tensor,
    /// What this object has put into the tensor's slot, to take it out again.
    noted: AtomicPtr<()>,
    /// Its sizes, once somebody has asked, and at which of [`Tensor::changes`].
    shape: PyOnceLock<(u32, Py<PyAny>)>,
}

impl Deref for PyTensor {
    type Target = Tensor;
    #[inline]
    fn deref(&self) -> &Tensor {
        &self.tensor
    }
}

impl PyTensor {
    pub fn of(tensor: Tensor) -> PyTensor {
        PyTensor { tensor, noted: AtomicPtr::new(null_mut()), shape: PyOnceLock::new() }
    }
    /// The handle.
    #[inline]
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }
    /// Its `torch.Size`: programs ask for it in every layer, so it is made once.
    pub fn sizes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        // Before the sizes are read, so that a change in between is noticed by the next who asks.
        let now = self.tensor.changes();
        let (then, size) =
            self.shape.get_or_try_init(py, || Ok::<_, PyErr>((now, types::size(py, &self.tensor.shape())?.unbind())))?;
        if *then == now { Ok(size.bind(py).clone()) } else { types::size(py, &self.tensor.shape()) }
    }
}

/// The slot holds the object itself, not counted. With an interpreter lock this is safe: who reads it holds the lock, and so do who writes it
/// and the object's deallocation, which empties the slot.
#[cfg(not(Py_GIL_DISABLED))]
mod slot {
    use super::*;

    #[allow(unsafe_code)]
    pub fn object<'py>(py: Python<'py>, tensor: &Tensor) -> Option<Bound<'py, PyAny>> {
        let p = tensor.binding().load(Acquire).cast::<ffi::PyObject>();
        // SAFETY: a pointer in the slot is an object that has not been deallocated yet; at count zero its deallocation has begun.
        unsafe { (!p.is_null() && ffi::Py_REFCNT(p) > 0).then(|| Bound::from_borrowed_ptr(py, p)) }
    }
    pub fn note(object: &Bound<'_, PyTensor>) {
        let this = object.get();
        let p = object.as_ptr().cast::<()>();
        if this.tensor.binding().load(Acquire).is_null() {
            this.tensor.binding().store(p, Release);
            this.noted.store(p, Release);
        }
    }
    pub fn forget(this: &PyTensor) {
        let p = this.noted.load(Acquire);
        if !p.is_null() && this.tensor.binding().load(Acquire) == p {
            this.tensor.binding().store(null_mut(), Release);
        }
    }
}

/// Without an interpreter lock an object may die while its slot is read, so the slot holds a weak reference, which Python resolves safely.
#[cfg(Py_GIL_DISABLED)]
mod slot {
    use super::*;
    use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};

    #[allow(unsafe_code)]
    pub fn object<'py>(py: Python<'py>, tensor: &Tensor) -> Option<Bound<'py, PyAny>> {
        let p = tensor.binding().load(Acquire).cast::<ffi::PyObject>();
        if p.is_null() {
            return None;
        }
        // SAFETY: a weak reference in the slot stays for the tensor's life (`forget` leaves it), and we hold the tensor.
        let weak = unsafe { Bound::from_borrowed_ptr(py, p) };
        weak.cast::<PyWeakrefReference>().ok()?.upgrade()
    }
    pub fn note(object: &Bound<'_, PyTensor>) {
        let slot = object.get().tensor.binding();
        let Ok(weak) = PyWeakrefReference::new(object.as_any()) else { return };
        let new = weak.into_ptr().cast::<()>();
        let old = slot.swap(new, AcqRel);
        // An earlier weak reference may be in use by another thread: it is left to the end of the process.
        let _ = old;
    }
    pub fn forget(_: &PyTensor) {}
}

impl Drop for PyTensor {
    fn drop(&mut self) {
        slot::forget(self);
    }
}

/// A new object of the class itself.
///
/// PyO3 goes through the constructor of `object`, which in Python 3.11 and 3.12 gives every tensor a `__dict__` that hardly one will use. So only
/// the first object is made like that: it shows where the `PyTensor` lies. In the others it is written into new memory, where zeros stand for
/// a `__dict__` and weak references that are yet to come.
#[allow(unsafe_code)]
#[inline]
fn new_object(py: Python<'_>, tensor: Tensor) -> PyResult<Bound<'_, PyTensor>> {
    static PLACE: PyOnceLock<Option<usize>> = PyOnceLock::new();
    let Some(&Some(place)) = PLACE.get(py) else {
        let object = Bound::new(py, PyTensor::of(tensor))?;
        PLACE.get_or_try_init(py, || {
            let place = ptr::from_ref(object.get()).addr() - object.as_ptr().addr();
            let size: usize = object.get_type().getattr("__basicsize__")?.extract()?;
            // Anything else in the object would have to be known here.
            Ok::<_, PyErr>((size == place + size_of::<PyTensor>() + 2 * size_of::<*mut ffi::PyObject>()).then_some(place))
        })?;
        return Ok(object);
    };
    // SAFETY: the allocator gives zeroed memory of the class's size, and the class has nothing but the `PyTensor`, a `__dict__` and weak references.
    unsafe {
        let new = ffi::PyType_GenericAlloc(PyTensor::type_object_raw(py), 0);
        let object = Bound::from_owned_ptr_or_err(py, new)?;
        new.byte_add(place).cast::<PyTensor>().write(PyTensor::of(tensor));
        Ok(object.cast_into_unchecked())
    }
}

/// The object of `tensor`: the one that exists already, or a new one.
#[inline]
pub fn wrap<'py>(py: Python<'py>, tensor: Tensor) -> PyResult<Bound<'py, PyAny>> {
    if let Some(object) = slot::object(py, &tensor) {
        return Ok(object);
    }
    let object = new_object(py, tensor)?;
    slot::note(&object);
    Ok(object.into_any())
}

/// The tensor in `object`, if it is one. Objects of subclasses, which Python makes, note themselves here.
#[inline]
pub fn tensor_of<'a, 'py>(object: &'a Bound<'py, PyAny>) -> Option<&'a Tensor> {
    let object = object.cast::<PyTensor>().ok()?;
    let this = object.get();
    if this.tensor.binding().load(Relaxed).is_null() {
        slot::note(object);
    }
    Some(this.tensor())
}
