//! Errors on their way to Python, and Python's exceptions on their way through the library and back.

use pyo3::exceptions::{PyIndexError, PyNotImplementedError, PyOSError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use rushlight::{Error, ErrorKind};
use std::cell::RefCell;

pyo3::create_exception!(_C, _LinAlgError, PyRuntimeError, "A factorisation that the values of a matrix do not allow.");

thread_local! {
    /// An exception raised by Python code that the library called (a hook, a custom derivative), while the library's error stands for it.
    static RAISED: RefCell<Option<PyErr>> = const { RefCell::new(None) };
}

/// The exception that PyTorch would raise.
#[cold]
pub fn to_py(e: Error) -> PyErr {
    if let Some(raised) = RAISED.with(|r| r.borrow_mut().take()) {
        return raised;
    }
    let message = e.message().to_string();
    match e.kind() {
        ErrorKind::Type => PyTypeError::new_err(message),
        ErrorKind::Index => PyIndexError::new_err(message),
        ErrorKind::Value => PyValueError::new_err(message),
        ErrorKind::NotImplemented => PyNotImplementedError::new_err(message),
        ErrorKind::LinAlg => _LinAlgError::new_err(message),
        ErrorKind::Io => PyOSError::new_err(message),
        _ => PyRuntimeError::new_err(message),
    }
}

/// An error that stands for `raised` until [`to_py`] brings it back.
#[cold]
pub fn through(raised: PyErr) -> Error {
    RAISED.with(|r| *r.borrow_mut() = Some(raised));
    Error::runtime("an exception was raised by Python code")
}

/// Forgets an exception that was left behind by a call that went well in the end.
pub fn clear() {
    RAISED.with(|r| r.borrow_mut().take());
}

/// `?` for the library's results in functions that Python calls.
pub trait OrRaise<T> {
    /// The value, or the exception.
    fn or_raise(self) -> PyResult<T>;
}
impl<T> OrRaise<T> for rushlight::Result<T> {
    #[inline]
    fn or_raise(self) -> PyResult<T> {
        self.map_err(to_py)
    }
}

/// The exception for a panic, which never crosses into Python as anything else.
#[cold]
pub fn from_panic(panic: Box<dyn std::any::Any + Send>) -> PyErr {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    PyRuntimeError::new_err(format!("internal error: {}", text.unwrap_or("unknown panic")))
}
