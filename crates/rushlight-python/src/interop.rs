//! Memory shared with other libraries: Python's buffer protocol, and DLPack.
//!
//! Sources: <https://docs.python.org/3/c-api/buffer.html>, <https://dmlc.github.io/dlpack/latest/>.

use crate::convert::type_name;
use crate::error::OrRaise;
use crate::tensor::{PyTensor, tensor_of, wrap};
use pyo3::exceptions::{PyBufferError, PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict};
use rushlight::{DType, Layout, Scalar, Storage, Tensor, ops};
use rushlight_kernels::Buffer;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{NonNull, null_mut};
use std::sync::Arc;

// ---- the buffer protocol --------------------------------------------------------------------------------------------------------------

/// What an exported view points at; the storage's handle also keeps in-place ops from moving the elements elsewhere.
struct View {
    shape: Vec<isize>,
    strides: Vec<isize>,
    _storage: Arc<Storage>,
}

/// Python's struct-style name of a dtype.
fn format(d: DType) -> Option<&'static CStr> {
    Some(match d {
        DType::Bool => c"?",
        DType::U8 => c"B",
        DType::I8 => c"b",
        DType::I16 => c"h",
        DType::I32 => c"i",
        DType::I64 => c"q",
        DType::F16 => c"e",
        DType::F32 => c"f",
        DType::F64 => c"d",
        DType::BF16 => return None,
    })
}

fn address(t: &Tensor) -> *mut u8 {
    (t.storage().data_ptr() + t.storage_offset() * t.dtype().size()) as *mut u8
}

/// Fills `view` with the tensor's memory.
#[allow(unsafe_code)]
pub unsafe fn export(object: Bound<'_, PyTensor>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
    // SAFETY: the caller's view is valid for writes; a refused request leaves no object in it.
    unsafe { (*view).obj = null_mut() };
    let t = object.get().tensor().clone();
    if t.requires_grad() {
        return Err(PyBufferError::new_err("a tensor that requires grad gives no buffer: use detach() first"));
    }
    let Some(format) = format(t.dtype()) else {
        return Err(PyBufferError::new_err(format!("Python has no buffer format for {}", t.dtype())));
    };
    let item = t.dtype().size() as isize;
    if flags & ffi::PyBUF_STRIDES != ffi::PyBUF_STRIDES && !t.is_contiguous() {
        return Err(PyBufferError::new_err("the tensor is not contiguous, and the consumer takes no strides"));
    }
    let boxed = Box::new(View {
        shape: t.shape().iter().map(|&n| n as isize).collect(),
        strides: t.strides().iter().map(|s| s * item).collect(),
        _storage: t.storage(),
    });
    // SAFETY: as above; the pointers live in the box, which `release` frees.
    unsafe {
        let v = &mut *view;
        v.buf = address(&t).cast();
        v.len = t.numel() as isize * item;
        v.itemsize = item;
        v.readonly = 0;
        v.ndim = t.rank() as c_int;
        v.format = if flags & ffi::PyBUF_FORMAT == ffi::PyBUF_FORMAT { format.as_ptr().cast_mut() } else { null_mut() };
        v.shape = if flags & ffi::PyBUF_ND == ffi::PyBUF_ND { boxed.shape.as_ptr().cast_mut() } else { null_mut() };
        v.strides = if flags & ffi::PyBUF_STRIDES == ffi::PyBUF_STRIDES { boxed.strides.as_ptr().cast_mut() } else { null_mut() };
        v.suboffsets = null_mut();
        v.internal = Box::into_raw(boxed).cast();
        v.obj = object.into_any().into_ptr();
    }
    Ok(())
}

/// Gives back what `export` filled in.
#[allow(unsafe_code)]
pub unsafe fn release(view: *mut ffi::Py_buffer) {
    // SAFETY: `internal` is the box of `export`.
    drop(unsafe { Box::from_raw((*view).internal.cast::<View>()) });
}

// ---- DLPack -----------------------------------------------------------------------------------------------------------------------------

#[repr(C)]
#[derive(Clone, Copy)]
struct DLDevice {
    device_type: i32,
    device_id: i32,
}
#[repr(C)]
#[derive(Clone, Copy)]
struct DLDataType {
    code: u8,
    bits: u8,
    lanes: u16,
}
#[repr(C)]
struct DLTensor {
    data: *mut c_void,
    device: DLDevice,
    ndim: i32,
    dtype: DLDataType,
    shape: *mut i64,
    strides: *mut i64,
    byte_offset: u64,
}
#[repr(C)]
struct Managed {
    tensor: DLTensor,
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Managed)>,
}
#[repr(C)]
struct Versioned {
    major: u32,
    minor: u32,
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Versioned)>,
    flags: u64,
    tensor: DLTensor,
}

const CPU: i32 = 1;
const READ_ONLY: u64 = 1;
const COPIED: u64 = 2;
const OLD: &CStr = c"dltensor";
const NEW: &CStr = c"dltensor_versioned";

fn dl_type(d: DType) -> DLDataType {
    let code = match d {
        DType::Bool => 6,
        DType::BF16 => 4,
        d if d.is_float() => 2,
        DType::U8 => 1,
        _ => 0,
    };
    DLDataType { code, bits: d.size() as u8 * 8, lanes: 1 }
}

fn from_dl_type(t: DLDataType) -> Option<DType> {
    DType::ALL.into_iter().find(|&d| {
        let own = dl_type(d);
        (own.code, own.bits, own.lanes) == (t.code, t.bits, t.lanes)
    })
}

/// What an exported tensor owns.
struct Export {
    shape: Vec<i64>,
    strides: Vec<i64>,
    _storage: Arc<Storage>,
}

fn describe(t: &Tensor) -> (DLTensor, *mut c_void) {
    let own = Box::new(Export {
        shape: t.shape().iter().map(|&n| n as i64).collect(),
        strides: t.strides().iter().map(|&s| s as i64).collect(),
        _storage: t.storage(),
    });
    let tensor = DLTensor {
        data: address(t).cast(),
        device: DLDevice { device_type: CPU, device_id: 0 },
        ndim: t.rank() as i32,
        dtype: dl_type(t.dtype()),
        shape: own.shape.as_ptr().cast_mut(),
        strides: own.strides.as_ptr().cast_mut(),
        byte_offset: 0,
    };
    (tensor, Box::into_raw(own).cast())
}

#[allow(unsafe_code)]
unsafe extern "C" fn delete_old(m: *mut Managed) {
    // SAFETY: both boxes were leaked by `to_dlpack`, and a consumer deletes once.
    unsafe {
        drop(Box::from_raw((*m).context.cast::<Export>()));
        drop(Box::from_raw(m));
    }
}
#[allow(unsafe_code)]
unsafe extern "C" fn delete_new(m: *mut Versioned) {
    // SAFETY: as `delete_old`.
    unsafe {
        drop(Box::from_raw((*m).context.cast::<Export>()));
        drop(Box::from_raw(m));
    }
}

/// Deletes what nobody consumed.
#[allow(unsafe_code)]
unsafe extern "C" fn capsule_end(capsule: *mut ffi::PyObject) {
    // SAFETY: called by CPython with a capsule of ours; a consumed one has another name.
    unsafe {
        if ffi::PyCapsule_IsValid(capsule, OLD.as_ptr()) == 1 {
            delete_old(ffi::PyCapsule_GetPointer(capsule, OLD.as_ptr()).cast());
        } else if ffi::PyCapsule_IsValid(capsule, NEW.as_ptr()) == 1 {
            delete_new(ffi::PyCapsule_GetPointer(capsule, NEW.as_ptr()).cast());
        }
    }
}

/// The tensor's memory as a DLPack capsule.
#[pyfunction]
#[pyo3(signature = (tensor, versioned = false, copy = false))]
#[allow(unsafe_code)]
fn _to_dlpack<'py>(tensor: &Bound<'py, PyTensor>, versioned: bool, copy: bool) -> PyResult<Bound<'py, PyAny>> {
    let t = tensor.get().tensor();
    if t.requires_grad() {
        return Err(PyBufferError::new_err("Can't export tensors that require gradient, use tensor.detach()"));
    }
    let t = if copy { ops::copy(t).or_raise()? } else { t.clone() };
    let (tensor_, context) = describe(&t);
    let flags = if copy { COPIED } else { 0 };
    let (p, name): (*mut c_void, &CStr) = if versioned {
        let m = Versioned { major: 1, minor: 0, context, deleter: Some(delete_new), flags, tensor: tensor_ };
        (Box::into_raw(Box::new(m)).cast(), NEW)
    } else {
        (Box::into_raw(Box::new(Managed { tensor: tensor_, context, deleter: Some(delete_old) })).cast(), OLD)
    };
    // SAFETY: the pointer is not null, and the destructor knows both names.
    unsafe { Bound::from_owned_ptr_or_err(tensor.py(), ffi::PyCapsule_New(p, name.as_ptr(), Some(capsule_end))) }
}

/// A consumed capsule's content, deleted when the last tensor over it is gone.
enum Foreign {
    Old(*mut Managed),
    New(*mut Versioned),
}
// SAFETY: DLPack lets a deleter be called from any thread; nothing else of the content is used after the import.
#[allow(unsafe_code)]
unsafe impl Send for Foreign {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl Sync for Foreign {}

impl Drop for Foreign {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // Deleters of Python libraries touch Python objects.
        Python::try_attach(|_| {
            // SAFETY: we own the content, and this is the only deletion.
            unsafe {
                match *self {
                    Foreign::Old(m) => {
                        if let Some(delete) = (*m).deleter {
                            delete(m)
                        }
                    }
                    Foreign::New(m) => {
                        if let Some(delete) = (*m).deleter {
                            delete(m)
                        }
                    }
                }
            }
        });
    }
}

/// A tensor over the memory of another library's tensor: of anything with `__dlpack__`, or of a capsule.
#[pyfunction]
#[pyo3(signature = (ext_tensor, *, device = None, copy = None))]
#[allow(unsafe_code)]
fn from_dlpack<'py>(
    ext_tensor: &Bound<'py, PyAny>,
    device: Option<&Bound<'py, PyAny>>,
    copy: Option<bool>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = ext_tensor.py();
    device.map_or(Ok(()), crate::types::check_device)?;
    if let Some(t) = tensor_of(ext_tensor) {
        return wrap(py, if copy == Some(true) { ops::copy(t).or_raise()? } else { t.detach() });
    }
    let capsule = if ext_tensor.cast::<PyCapsule>().is_ok() {
        ext_tensor.clone()
    } else if ext_tensor.hasattr("__dlpack__")? {
        let kw = PyDict::new(py);
        kw.set_item("max_version", (1, 0))?;
        match ext_tensor.call_method("__dlpack__", (), Some(&kw)) {
            Err(e) if e.is_instance_of::<PyTypeError>(py) => ext_tensor.call_method0("__dlpack__")?,
            other => other?,
        }
    } else {
        return Err(PyTypeError::new_err(format!(
            "from_dlpack(): {} has no __dlpack__ and is no capsule",
            type_name(ext_tensor)
        )));
    };
    let p = capsule.as_ptr();
    // SAFETY: `capsule` is alive; names are checked before pointers are taken; renaming it hands its content over to us.
    let (content, tensor, read_only) = unsafe {
        if ffi::PyCapsule_IsValid(p, NEW.as_ptr()) == 1 {
            let m = ffi::PyCapsule_GetPointer(p, NEW.as_ptr()).cast::<Versioned>();
            if (*m).major > 1 {
                return Err(PyBufferError::new_err(format!("DLPack version {}.{} is not supported", (*m).major, (*m).minor)));
            }
            ffi::PyCapsule_SetName(p, c"used_dltensor_versioned".as_ptr().cast::<c_char>());
            (Foreign::New(m), &raw const (*m).tensor, (*m).flags & READ_ONLY != 0)
        } else if ffi::PyCapsule_IsValid(p, OLD.as_ptr()) == 1 {
            let m = ffi::PyCapsule_GetPointer(p, OLD.as_ptr()).cast::<Managed>();
            ffi::PyCapsule_SetName(p, c"used_dltensor".as_ptr().cast::<c_char>());
            (Foreign::Old(m), &raw const (*m).tensor, false)
        } else {
            return Err(PyRuntimeError::new_err(
                "from_dlpack received an invalid capsule. Note that DLTensor capsules can be consumed only once, so you might have already constructed a tensor from it once.",
            ));
        }
    };
    // SAFETY: the content is alive until `content` is dropped.
    let t = unsafe { &*tensor };
    if t.device.device_type != CPU {
        return Err(PyBufferError::new_err(format!("Unsupported device type: {} (only the CPU is)", t.device.device_type)));
    }
    let Some(dtype) = from_dl_type(t.dtype) else {
        let text = format!("Unsupported DLPack dtype: code {}, {} bits, {} lanes", t.dtype.code, t.dtype.bits, t.dtype.lanes);
        return Err(PyBufferError::new_err(text));
    };
    let n = t.ndim as usize;
    // SAFETY: a DLPack tensor has `ndim` sizes, and as many strides where the pointer is not null.
    let (shape, strides) = unsafe {
        let shape: Vec<usize> = (0..n).map(|i| *t.shape.add(i) as usize).collect();
        let strides = if t.strides.is_null() {
            rushlight_kernels::layout::contiguous_strides(&shape).to_vec()
        } else {
            (0..n).map(|i| *t.strides.add(i) as isize).collect()
        };
        (shape, strides)
    };
    if shape.contains(&0) {
        let sizes: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
        return wrap(py, ops::empty(&sizes, Some(dtype)).or_raise()?);
    }
    let reach = |sign: isize| -> isize {
        shape.iter().zip(&strides).map(|(&n, &s)| if s * sign > 0 { (n as isize - 1) * s * sign } else { 0 }).sum()
    };
    let (before, after) = (reach(-1), reach(1));
    let size = dtype.size();
    // SAFETY: the lowest element lies within the exporter's memory.
    let start = unsafe { t.data.cast::<u8>().add(t.byte_offset as usize).offset(-before * size as isize) };
    let start = NonNull::new(start).ok_or_else(|| PyBufferError::new_err("a DLPack tensor without memory"))?;
    let layout = Layout::strided(&shape, &strides, before as usize);
    let len = (before + after + 1) as usize * size;
    // Bytes of foreign bools may be anything, so they are read as bytes.
    let read_as = if dtype == DType::Bool { DType::U8 } else { dtype };
    // SAFETY: the content, which the buffer owns, keeps the memory in place.
    let shared = unsafe { Tensor::from_buffer(Buffer::foreign(start, len, Box::new(content)), layout, read_as) }.or_raise()?;
    let result = if dtype == DType::Bool {
        ops::ne(&shared, &Tensor::wrapped_number(Scalar::Int(0))).or_raise()?
    } else if read_only || copy == Some(true) || !(start.as_ptr() as usize).is_multiple_of(size) {
        ops::copy(&shared).or_raise()?
    } else {
        shared
    };
    wrap(py, result)
}

/// Adds the functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_to_dlpack, module)?)?;
    module.add_function(wrap_pyfunction!(from_dlpack, module)?)
}
