//! `Tensor`: a cheap handle on data and on its place in the autograd graph.

use crate::autograd::{Auto, Traits};
use crate::error::or_panic;
use crate::op::AsInts;
use crate::storage::{self, Data, Storage};
use crate::{DType, Dims, Error, Layout, Result, Scalar, Strides};
use rushlight_kernels::backend::View;
use rushlight_kernels::layout::copied;
use rushlight_kernels::{Buffer, Element, dispatch};
use std::ptr::NonNull;
use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};

/// An n-dimensional array of one [`DType`], which may take part in automatic differentiation.
///
/// Cloning copies the handle, not the data (use [`Tensor::copy`] for that). Handles may be sent to and shared between threads.
#[derive(Clone)]
pub struct Tensor(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    data: RwLock<Data>,
    facts: Facts,
    auto: RwLock<Auto>,
    /// [`Auto::traits`], to be read without the lock.
    traits: AtomicU8,
    /// Where a binding to another language notes its object for this tensor.
    binding: AtomicPtr<()>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // History may be a million nodes long: hand it to the iterative dropper instead of recursing.
        self.auto.get_mut().unwrap_or_else(PoisonError::into_inner).bury_history();
    }
}

/// What ops ask first about a tensor's data, to be read without the lock: taking and giving back a lock costs more than a small op's other checks.
pub(crate) struct Facts {
    numel: AtomicUsize,
    rank: AtomicUsize,
    /// How often it was pointed at other data.
    changes: AtomicU32,
    dtype: AtomicU8,
    wrapped: AtomicBool,
    contiguous: AtomicBool,
}

impl Facts {
    #[inline]
    fn of(data: &Data) -> Facts {
        Facts {
            numel: AtomicUsize::new(data.layout.numel()),
            rank: AtomicUsize::new(data.layout.rank()),
            changes: AtomicU32::new(0),
            dtype: AtomicU8::new(data.dtype as u8),
            wrapped: AtomicBool::new(data.wrapped),
            contiguous: AtomicBool::new(data.layout.is_contiguous()),
        }
    }
    fn follow(&self, data: &Data) {
        self.numel.store(data.layout.numel(), Relaxed);
        self.rank.store(data.layout.rank(), Relaxed);
        self.contiguous.store(data.layout.is_contiguous(), Relaxed);
        self.dtype.store(data.dtype as u8, Relaxed);
        self.wrapped.store(data.wrapped, Relaxed);
        self.changes.fetch_add(1, Release);
    }
}

/// What is also to be read without the lock.
pub(crate) trait Noted {
    type Notes;
    /// Brings the notes up to date.
    fn note(&self, notes: &Self::Notes);
}

impl Noted for Data {
    type Notes = Facts;
    fn note(&self, facts: &Facts) {
        facts.follow(self);
    }
}

impl Noted for Auto {
    type Notes = AtomicU8;
    fn note(&self, traits: &AtomicU8) {
        traits.store(self.traits().0, Release);
    }
}

/// A part of a tensor, locked for a change.
pub(crate) struct Changing<'a, T: Noted> {
    part: RwLockWriteGuard<'a, T>,
    notes: &'a T::Notes,
}

impl<'a, T: Noted> Changing<'a, T> {
    fn of(part: &'a RwLock<T>, notes: &'a T::Notes) -> Changing<'a, T> {
        Changing { part: part.write().unwrap_or_else(PoisonError::into_inner), notes }
    }
}

impl<T: Noted> std::ops::Deref for Changing<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.part
    }
}
impl<T: Noted> std::ops::DerefMut for Changing<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.part
    }
}
impl<T: Noted> Drop for Changing<'_, T> {
    fn drop(&mut self) {
        // Still under the lock: its next holder finds both in agreement.
        self.part.note(self.notes);
    }
}

/// The shape given with a list of data has other sizes than the data.
#[cold]
fn wrong_count(shape: &[usize], given: usize) -> Error {
    Error::runtime(format!("shape '{shape:?}' is invalid for input of size {given}"))
}

/// Sizes from integers, which must not be negative.
pub(crate) fn sizes(ints: &[i64]) -> Result<Dims> {
    if let Some(bad) = ints.iter().find(|&&i| i < 0) {
        return Err(Error::runtime(format!("Trying to create tensor with negative dimension {bad}: {ints:?}")));
    }
    Ok(ints.iter().map(|&i| i as usize).collect())
}

impl Tensor {
    // ---- making one -------------------------------------------------------------------------------------------------------

    #[inline]
    pub(crate) fn from_data(data: Data) -> Tensor {
        Tensor::from_parts(data, Auto::new())
    }
    #[allow(unsafe_code)]
    #[inline]
    pub(crate) fn from_parts(data: Data, auto: Auto) -> Tensor {
        let (facts, traits) = (Facts::of(&data), AtomicU8::new(auto.traits().0));
        // Field by field where they will stay: as a whole it would be put together elsewhere and copied, 300 bytes for every result.
        let mut inner = Arc::<Inner>::new_uninit();
        let place = Arc::get_mut(&mut inner).expect("nobody else knows it").as_mut_ptr();
        // SAFETY: the memory is new and has the size of an `Inner`; every field is written, once.
        unsafe {
            (&raw mut (*place).data).write(RwLock::new(data));
            (&raw mut (*place).facts).write(facts);
            (&raw mut (*place).auto).write(RwLock::new(auto));
            (&raw mut (*place).traits).write(traits);
            (&raw mut (*place).binding).write(AtomicPtr::default());
            Tensor(inner.assume_init())
        }
    }
    /// A tensor of `shape` that takes over the elements of `values` (row-major) without copying.
    ///
    /// # Panics
    /// If the number of values is not the shape's.
    #[track_caller]
    pub fn from_vec<T: Element>(values: Vec<T>, shape: impl AsInts) -> Tensor {
        or_panic(Tensor::try_from_vec(values, shape))
    }
    /// As [`Tensor::from_vec`], with an error instead of a panic.
    #[allow(unsafe_code)]
    pub fn try_from_vec<T: Element>(mut values: Vec<T>, shape: impl AsInts) -> Result<Tensor> {
        let shape = sizes(&shape.as_ints())?;
        if rushlight_kernels::layout::checked_numel(&shape) != Some(values.len()) {
            return Err(wrong_count(&shape, values.len()));
        }
        let ptr = NonNull::new(values.as_mut_ptr().cast::<u8>()).expect("a Vec's pointer is never null");
        let len = std::mem::size_of_val(values.as_slice());
        // SAFETY: the Vec moves into the buffer as its owner; moving a Vec does not move its elements.
        let buffer = unsafe { Buffer::foreign(ptr, len, Box::new(values)) };
        Ok(Tensor::from_data(Data::new(buffer, Layout::contiguous(&shape), T::DTYPE)))
    }
    /// A copy of `values` in the given shape.
    #[track_caller]
    pub fn from_slice<T: Element>(values: &[T], shape: impl AsInts) -> Tensor {
        Tensor::from_vec(values.to_vec(), shape)
    }
    /// A zero-dim tensor of `value`'s own dtype.
    pub fn scalar<T: Element>(value: T) -> Tensor {
        Tensor::from_data(or_panic(storage::compute(Layout::contiguous(&[]), T::DTYPE, &[], |_, out| {
            write_first(out, value);
            Ok(())
        })))
    }
    /// A number in a tensor's clothes: zero-dim, and of the lowest priority in promotion, as Python numbers are in PyTorch.
    pub fn wrapped_number(value: Scalar) -> Tensor {
        let t = dispatch!(value.dtype(), T => Tensor::scalar(value.to::<T>()));
        t.data_mut().wrapped = true;
        t
    }
    /// A tensor over bytes that are `dtype`s, row-major. Fails if their number is not the shape's; bools other than 0 become 1.
    pub fn from_bytes(bytes: &[u8], dtype: DType, shape: impl AsInts) -> Result<Tensor> {
        let shape = sizes(&shape.as_ints())?;
        if storage::nbytes(&shape, dtype)? != bytes.len() {
            return Err(wrong_count(&shape, bytes.len() / dtype.size()));
        }
        let t = Tensor::from_data(storage::compute(Layout::contiguous(&shape), dtype, &[], |_, out| {
            fill_bytes(out.ptr::<u8>(), bytes, dtype);
            Ok(())
        })?);
        Ok(t)
    }
    /// A tensor over foreign memory, without copying.
    ///
    /// # Safety
    /// As [`Buffer::foreign`]; bytes of a bool tensor are all 0 or 1.
    #[allow(unsafe_code)]
    pub unsafe fn from_buffer(buffer: Buffer, layout: Layout, dtype: DType) -> Result<Tensor> {
        layout.check_fits(buffer.len() / dtype.size())?;
        Ok(Tensor::from_data(Data::new(buffer, layout, dtype)))
    }

    // ---- looking at it ----------------------------------------------------------------------------------------------------

    /// A snapshot of what it points at.
    pub(crate) fn data(&self) -> Data {
        self.data_ref().clone()
    }
    pub(crate) fn data_ref(&self) -> RwLockReadGuard<'_, Data> {
        self.0.data.read().unwrap_or_else(PoisonError::into_inner)
    }
    /// [`Tensor::data_ref`], unless it would have to wait.
    pub(crate) fn try_data_ref(&self) -> Option<RwLockReadGuard<'_, Data>> {
        match self.0.data.try_read() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(e)) => Some(e.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
    pub(crate) fn data_mut(&self) -> Changing<'_, Data> {
        Changing::of(&self.0.data, &self.0.facts)
    }
    pub(crate) fn auto(&self) -> RwLockReadGuard<'_, Auto> {
        self.0.auto.read().unwrap_or_else(PoisonError::into_inner)
    }
    pub(crate) fn auto_mut(&self) -> Changing<'_, Auto> {
        Changing::of(&self.0.auto, &self.0.traits)
    }
    /// What most ops ask about its place in the graph, without a lock.
    #[inline]
    pub(crate) fn traits(&self) -> Traits {
        Traits(self.0.traits.load(Acquire))
    }
    /// Sizes of the dimensions.
    pub fn shape(&self) -> Dims {
        copied(&self.data_ref().layout.shape)
    }
    /// Size of dimension `dim`; negative counts from the end.
    ///
    /// # Panics
    /// If there is no such dimension.
    #[track_caller]
    pub fn size(&self, dim: i64) -> usize {
        let d = or_panic(crate::ops::dim(dim, self.rank()));
        self.data_ref().layout.shape.get(d).copied().unwrap_or(1)
    }
    /// Steps between neighbours, in elements.
    pub fn strides(&self) -> Strides {
        copied(&self.data_ref().layout.strides)
    }
    /// Where the first element lies in the storage, in elements.
    pub fn storage_offset(&self) -> usize {
        self.data_ref().layout.offset
    }
    /// Shape, strides and offset.
    pub fn layout(&self) -> Layout {
        self.data_ref().layout.clone()
    }
    /// How often it was pointed at other data: what is known of its shape holds as long as this does not change.
    #[inline]
    pub fn changes(&self) -> u32 {
        self.0.facts.changes.load(Acquire)
    }
    /// Number of dimensions (PyTorch's `ndim`).
    #[inline]
    pub fn rank(&self) -> usize {
        self.0.facts.rank.load(Relaxed)
    }
    /// Number of elements.
    #[inline]
    pub fn numel(&self) -> usize {
        self.0.facts.numel.load(Relaxed)
    }
    /// Element type.
    #[inline]
    pub fn dtype(&self) -> DType {
        DType::ALL[self.0.facts.dtype.load(Relaxed) as usize]
    }
    /// Whether the elements lie row-major without gaps.
    #[inline]
    pub fn is_contiguous(&self) -> bool {
        self.0.facts.contiguous.load(Relaxed)
    }
    /// The memory it shares with its views.
    pub fn storage(&self) -> Arc<Storage> {
        self.data_ref().storage.clone()
    }
    /// How often its memory has been written to (PyTorch's `_version`).
    pub fn version(&self) -> u32 {
        self.data_ref().storage.version()
    }
    /// Which memory it has, and in which state.
    pub(crate) fn stamp(&self) -> (u64, u32) {
        self.data_ref().storage.stamp()
    }
    /// A slot in which a binding to another language keeps its object for this tensor, so that one tensor is one object there. Null at
    /// first; the library itself never looks at it.
    pub fn binding(&self) -> &AtomicPtr<()> {
        &self.0.binding
    }
    /// Computes its values now, if they have been put off ([`crate::set_deferred`]).
    ///
    /// # Errors
    /// If there is no memory for them.
    pub fn realise(&self) -> Result<()> {
        self.storage().realised()
    }
    /// Whether both handles are the same tensor.
    pub fn is_same(&self, other: &Tensor) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
    /// Whether it is a bare number, of the lowest priority in promotion ([`Tensor::wrapped_number`]).
    #[inline]
    pub fn is_wrapped_number(&self) -> bool {
        self.0.facts.wrapped.load(Relaxed)
    }
    /// The same memory under any layout that fits in it, without history: negative steps and overlaps included.
    ///
    /// # Errors
    /// If the layout reaches outside the storage.
    pub fn with_layout(&self, layout: Layout) -> Result<Tensor> {
        let data = self.data_ref();
        layout.check_fits(data.storage.nbytes() / data.dtype.size())?;
        Ok(Tensor::from_data(data.with_layout(layout)))
    }
    /// Whether both tensors lie in the same storage.
    pub fn shares_storage(&self, other: &Tensor) -> bool {
        Arc::ptr_eq(&self.data_ref().storage, &other.data_ref().storage)
    }

    // ---- values out -------------------------------------------------------------------------------------------------------

    /// The only element, as a number.
    ///
    /// # Errors
    /// If there is not exactly one element.
    pub fn try_to_scalar(&self) -> Result<Scalar> {
        // Where nobody has to be waited for, its own lock may be held on to, which saves the snapshot.
        let at_once = self.try_data_ref().filter(|d| d.layout.numel() == 1);
        if let Some(number) = at_once.and_then(|d| storage::read_at_once(&d, |v| number(&v))) {
            return Ok(number);
        }
        self.data().only_element()
    }
    /// The only element, converted to `T`.
    pub fn try_item<T: Element>(&self) -> Result<T> {
        Ok(self.try_to_scalar()?.to::<T>())
    }
    /// The only element, converted to `T`.
    ///
    /// # Panics
    /// If there is not exactly one element.
    #[track_caller]
    pub fn item<T: Element>(&self) -> T {
        or_panic(self.try_item())
    }
    /// All elements in row-major order.
    ///
    /// # Errors
    /// TypeError if the dtype is not `T`'s: convert first, so that nothing is lost silently.
    pub fn try_to_vec<T: Element>(&self) -> Result<Vec<T>> {
        if self.dtype() != T::DTYPE {
            return Err(Error::type_(format!(
                "to_vec: the tensor's dtype is {}, not {}; convert it first with to({0:?})",
                self.dtype(),
                T::DTYPE
            )));
        }
        let dense = crate::ops::contiguous(self)?;
        storage::read(&[dense.data()], |v| Ok(v[0].as_slice::<T>().expect("contiguous, and the dtype was checked").to_vec()))
    }
    /// All elements in row-major order.
    ///
    /// # Panics
    /// If the dtype is not `T`'s.
    #[track_caller]
    pub fn to_vec<T: Element>(&self) -> Vec<T> {
        or_panic(self.try_to_vec())
    }
    /// All elements in row-major order as f64, whatever the dtype.
    pub fn to_f64_vec(&self) -> Vec<f64> {
        let t = self.detach();
        or_panic(crate::ops::to_dtype(&t, DType::F64)).to_vec()
    }
    /// Calls `f` with the elements' bytes in row-major order (copied first where the layout is not contiguous).
    #[allow(unsafe_code)]
    pub fn with_bytes<R>(&self, f: impl FnOnce(&[u8]) -> R) -> Result<R> {
        let dense = crate::ops::contiguous(&self.detach())?;
        storage::read(&[dense.data()], |v| {
            let len = v[0].numel() * v[0].dtype.size();
            let bytes = if len == 0 {
                &[][..]
            } else {
                // SAFETY: contiguous, so `len` bytes from the first element are initialised elements; no dtype has padding.
                unsafe { std::slice::from_raw_parts(dispatch!(v[0].dtype, T => v[0].ptr::<T>().cast::<u8>()), len) }
            };
            Ok(f(bytes))
        })
    }
    /// Points this handle at other data, keeping its place in the graph: how checkpoints load into parameters of another dtype and
    /// how `module.to(dtype)` works. PyTorch's `x.data = y`.
    pub fn set_data(&self, other: &Tensor) {
        let new = other.data();
        *self.data_mut() = new;
    }
}

impl Data {
    /// The only element, or the error that says how many there are.
    pub(crate) fn only_element(&self) -> Result<Scalar> {
        if self.layout.numel() != 1 {
            return Err(Error::runtime(format!(
                "a Tensor with {} elements cannot be converted to Scalar (shape {:?})",
                self.layout.numel(),
                self.layout.shape.as_slice()
            )));
        }
        storage::read(std::slice::from_ref(self), |v| Ok(number(&v[0])))
    }
}

/// The first element; there is one.
#[allow(unsafe_code)]
fn number(v: &View) -> Scalar {
    // SAFETY: the caller has checked that there is an element.
    dispatch!(v.dtype, T => unsafe { v.ptr::<T>().read() }.to_scalar())
}

#[allow(unsafe_code)]
fn write_first<T: Element>(out: &rushlight_kernels::backend::ViewMut, value: T) {
    // SAFETY: the caller has made the view for a `T`.
    unsafe { out.ptr::<T>().write(value) }
}

#[allow(unsafe_code)]
fn fill_bytes(out: *mut u8, bytes: &[u8], dtype: DType) {
    for (i, &b) in bytes.iter().enumerate().take(if dtype == DType::Bool { bytes.len() } else { 0 }) {
        // SAFETY: `out` has as many bytes as `bytes`, fresh.
        unsafe { out.add(i).write((b != 0) as u8) };
    }
    if dtype != DType::Bool {
        // SAFETY: as above; fresh memory overlaps nothing.
        unsafe { out.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }
}
