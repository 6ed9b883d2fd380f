//! Storage: the memory behind tensors, and its two doors.
//!
//! Invariants:
//! - Bytes are read under [`read`] and written under [`write`], never otherwise; several storages are locked in address order,
//!   each once, so one op may name the same storage many times and two ops never wait for each other in a circle.
//! - Every write raises the version by one and notes which op did it and from which line.
//! - A kernel's fresh output is not in a `Storage` yet: it needs no lock.
//! - A storage may have its values put off ([`deferred`]); the doors compute them before they take any lock, and let those who have yet to
//!   read the old values do so before these are overwritten.

pub(crate) mod deferred;

use crate::op::Place;
use crate::{DType, Error, Result, Scalar};
use rushlight_kernels::backend::{ReduceOp, View, ViewMut};
use rushlight_kernels::{Buffer, Layout, Program};
use smallvec::SmallVec;
use std::sync::atomic::{
    AtomicU8, AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};

/// An op and the line that called it.
pub(crate) type Site = (&'static str, Option<Place>);

/// A block of memory shared by a tensor and its views.
pub struct Storage {
    state: RwLock<State>,
    /// Tells storages apart for ever: an address may be used again.
    id: u64,
    writes: AtomicU32,
    /// Writes to the storages that this one has replaced.
    before: AtomicU32,
    /// [`Storage::PENDING`], [`Storage::READ`] and [`Storage::OPEN`]: all clear for most storages, so that the doors pass at once.
    marks: AtomicU8,
    /// Its part in the graph of deferred ops.
    part: deferred::InGraph<deferred::Part>,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

struct State {
    buffer: Buffer,
    /// Bytes that `buffer` will have, where it is yet to come.
    promised: usize,
    last_write: Option<Site>,
}

impl Storage {
    /// Its values are put off.
    const PENDING: u8 = 1;
    /// Deferred ops may have yet to read it.
    const READ: u8 = 2;
    /// Its address was given away: others may write to it unseen, so that no op on it may wait.
    const OPEN: u8 = 4;

    /// Takes over `buffer`.
    pub(crate) fn new(buffer: Buffer) -> Arc<Storage> {
        let marks = if buffer.is_foreign() { Storage::OPEN } else { 0 };
        Storage::with(State { buffer, promised: 0, last_write: None }, marks, deferred::Part::default())
    }
    /// A storage of `bytes` bytes that `part` promises.
    fn promised(part: deferred::Part, bytes: usize) -> Arc<Storage> {
        let state = State { buffer: Buffer::none(), promised: bytes, last_write: None };
        Storage::with(state, Storage::PENDING, part)
    }
    #[inline]
    fn with(state: State, marks: u8, part: deferred::Part) -> Arc<Storage> {
        Arc::new(Storage {
            state: RwLock::new(state),
            id: NEXT_ID.fetch_add(1, Relaxed),
            writes: AtomicU32::new(0),
            before: AtomicU32::new(0),
            marks: AtomicU8::new(marks),
            part: deferred::InGraph::new(part),
        })
    }
    fn is_marked(&self, mark: u8) -> bool {
        self.marks.load(Acquire) & mark != 0
    }
    fn mark(&self, mark: u8) {
        self.marks.fetch_or(mark, AcqRel);
    }
    fn unmark(&self, mark: u8) {
        self.marks.fetch_and(!mark, AcqRel);
    }
    /// Whether others may write to it unseen.
    fn is_open(&self) -> bool {
        self.is_marked(Storage::OPEN)
    }
    /// Keeps a promise.
    fn fulfil(&self, buffer: Buffer) {
        self.guard_mut().buffer = buffer;
    }
    /// Gives its memory away, where it is about to go.
    fn take(&self) -> Buffer {
        std::mem::replace(&mut self.guard_mut().buffer, Buffer::none())
    }
    /// Makes its values be there, and where they are about to be overwritten, lets deferred ops read them first.
    #[inline]
    fn settle(&self, overwritten: bool) -> Result<()> {
        let marks = self.marks.load(Acquire);
        if marks & (Storage::PENDING | Storage::READ) == 0 {
            return Ok(());
        }
        if marks & Storage::PENDING != 0 {
            self.realise()?;
        }
        if overwritten && self.is_marked(Storage::READ) {
            self.unmark(Storage::READ);
            self.serve_readers()?;
        }
        Ok(())
    }
    /// How often it has been written to.
    pub fn version(&self) -> u32 {
        self.before.load(Relaxed).wrapping_add(self.writes.load(Relaxed))
    }
    /// Which storage, and after how many writes: equal stamps mean equal contents.
    pub(crate) fn stamp(&self) -> (u64, u32) {
        (self.id, self.writes.load(Relaxed))
    }
    /// Continues the version count of a storage that this one replaces, after a write by the current op.
    pub(crate) fn succeed(&self, old: &Storage) {
        self.before.store(old.version().wrapping_add(1).wrapping_sub(self.writes.load(Relaxed)), Relaxed);
        self.guard_mut().last_write = Some((crate::op::current_op(), crate::op::current_site()));
    }
    /// The op that wrote last.
    pub(crate) fn last_write(&self) -> Option<Site> {
        self.guard().last_write
    }
    /// Computes its values now, if they have been put off.
    pub(crate) fn realised(&self) -> Result<()> {
        self.settle(false)
    }
    /// Size in bytes.
    pub fn nbytes(&self) -> usize {
        let state = self.guard();
        state.buffer.len().max(state.promised)
    }
    /// Whether the memory belongs to somebody else, who may be looking at it.
    pub fn is_foreign(&self) -> bool {
        self.guard().buffer.is_foreign()
    }
    /// Address of the first byte. Who asks may write there unseen: from now on, ops on this storage run at their call.
    ///
    /// # Panics
    /// If the values had been put off, and there is no memory for them.
    #[track_caller]
    pub fn data_ptr(&self) -> usize {
        self.mark(Storage::OPEN);
        crate::error::or_panic(self.settle(true));
        self.guard().buffer.as_ptr() as usize
    }
    // A kernel that panicked has left unspecified numbers, not broken memory: a poisoned lock is as good as any.
    fn guard(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
    fn try_guard(&self) -> Option<RwLockReadGuard<'_, State>> {
        match self.state.try_read() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(e)) => Some(e.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
    fn guard_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a tensor points at: a storage, where in it, and what the elements are. A snapshot: cheap to clone, and never changed in place.
#[derive(Clone)]
pub(crate) struct Data {
    pub(crate) storage: Arc<Storage>,
    pub(crate) layout: Layout,
    pub(crate) dtype: DType,
    /// A Python or Rust number in a tensor's clothes: it has the lowest priority in promotion.
    pub(crate) wrapped: bool,
}

impl Data {
    /// A whole, contiguous tensor over `buffer`.
    pub(crate) fn new(buffer: Buffer, layout: Layout, dtype: DType) -> Data {
        Data { storage: Storage::new(buffer), layout, dtype, wrapped: false }
    }
    /// The same memory seen through `layout`.
    pub(crate) fn with_layout(&self, layout: Layout) -> Data {
        Data { storage: self.storage.clone(), layout, dtype: self.dtype, wrapped: false }
    }
    /// Broadcast to `shape`, or an error that shows both shapes.
    pub(crate) fn expand(&self, shape: &[usize]) -> Result<Data> {
        if self.layout.shape.as_slice() == shape {
            return Ok(self.clone());
        }
        let layout = self.layout.broadcast_to(shape).ok_or_else(|| {
            Error::runtime(format!(
                "{}: shape {:?} does not broadcast to {shape:?}",
                crate::op::current_op(),
                self.layout.shape.as_slice()
            ))
        })?;
        Ok(self.with_layout(layout))
    }
}

enum Guard<'a> {
    Read(RwLockReadGuard<'a, State>),
    Write(RwLockWriteGuard<'a, State>),
}

impl Guard<'_> {
    fn buffer(&self) -> &Buffer {
        match self {
            Guard::Read(g) => &g.buffer,
            Guard::Write(g) => &g.buffer,
        }
    }
}

/// Storages locked in address order, each once.
struct Guards<'a> {
    /// With the number of the first operand that lies there.
    locks: SmallVec<[(usize, Guard<'a>); 4]>,
    /// Where in `locks` each operand's is: the outputs', then the inputs'.
    places: SmallVec<[usize; 8]>,
    writes: usize,
}

impl<'a> Guards<'a> {
    fn lock(writes: &'a [Data], reads: impl IntoIterator<Item = &'a Data, IntoIter: Clone>) -> Result<Guards<'a>> {
        let reads = reads.into_iter();
        for d in writes {
            d.storage.settle(true)?;
        }
        for d in reads.clone() {
            d.storage.settle(false)?;
        }
        // Writes come first: what is written and read is locked for writing.
        let mut wanted: SmallVec<[(&'a Storage, usize); 8]> = SmallVec::new();
        wanted.extend(writes.iter().chain(reads).enumerate().map(|(i, d)| (&*d.storage, i)));
        wanted.sort_unstable_by_key(|&(s, i)| (s as *const Storage, i));
        let (mut locks, mut places) = (SmallVec::<[(usize, Guard<'a>); 4]>::new(), SmallVec::from_elem(0, wanted.len()));
        let mut last: *const Storage = std::ptr::null();
        for (s, i) in wanted {
            if !std::ptr::eq(s, last) {
                locks.push((i, if i < writes.len() { Guard::Write(s.guard_mut()) } else { Guard::Read(s.guard()) }));
                last = s;
            }
            places[i] = locks.len() - 1;
        }
        Ok(Guards { locks, places, writes: writes.len() })
    }
    /// The memory of operand number `i`.
    fn buffer(&self, i: usize) -> &Buffer {
        self.locks[self.places[i]].1.buffer()
    }
    /// Views of the inputs.
    #[allow(unsafe_code)]
    fn views<'b>(&'b self, reads: impl IntoIterator<Item = &'b Data>) -> Result<SmallVec<[View<'b>; 4]>> {
        let mut views = SmallVec::new();
        for (i, d) in reads.into_iter().enumerate() {
            // SAFETY: the storage is locked, for reading or by the very call that writes it; bools enter only through checked constructors.
            views.push(unsafe { View::new(self.buffer(self.writes + i), &d.layout, d.dtype) }?);
        }
        Ok(views)
    }
    /// Views of the outputs.
    #[allow(unsafe_code)]
    fn views_mut<'b>(&'b self, writes: &'b [Data]) -> Result<SmallVec<[ViewMut<'b>; 2]>> {
        // SAFETY: the storage is locked for writing by this call; callers give no two overlapping outputs.
        writes.iter().enumerate().map(|(i, d)| unsafe { ViewMut::new(self.buffer(i), &d.layout, d.dtype) }).collect()
    }
}

/// What `state`, which is locked for reading, holds of `d`.
#[allow(unsafe_code)]
#[inline]
fn view<'a>(state: &'a State, d: &'a Data) -> Result<View<'a>> {
    // SAFETY: locked for reading; bools enter only through checked constructors.
    unsafe { View::new(&state.buffer, &d.layout, d.dtype) }
}

/// The memory of `d`, where its values are there and nobody is writing them.
#[inline]
fn at_hand(d: &Data) -> Option<RwLockReadGuard<'_, State>> {
    if d.storage.is_marked(Storage::PENDING) { None } else { d.storage.try_guard() }
}

/// Storages locked for reading.
enum Reads<'a> {
    /// One lock per operand, none of which had to be waited for: so no order matters, and there is nothing to look up.
    AtOnce(SmallVec<[RwLockReadGuard<'a, State>; 4]>),
    InOrder(Guards<'a>),
}

impl<'a> Reads<'a> {
    #[inline]
    fn lock(operands: impl IntoIterator<Item = &'a Data, IntoIter: Clone>) -> Result<Reads<'a>> {
        let operands = operands.into_iter();
        // Before any lock is taken: what is put off may have to read these very storages.
        for d in operands.clone() {
            d.storage.settle(false)?;
        }
        let mut guards = SmallVec::new();
        for d in operands.clone() {
            match d.storage.try_guard() {
                Some(guard) => guards.push(guard),
                None => {
                    drop(guards);
                    return Guards::lock(&[], operands).map(Reads::InOrder);
                }
            }
        }
        Ok(Reads::AtOnce(guards))
    }
    /// The memory of operand number `i`.
    fn buffer(&self, i: usize) -> &Buffer {
        match self {
            Reads::AtOnce(guards) => &guards[i].buffer,
            Reads::InOrder(guards) => guards.buffer(i),
        }
    }
    /// Whether nobody but `d`, operand number `i`, knows its storage, or can come to know it, so that its memory may become another's.
    fn is_only(&self, i: usize, d: &Data) -> bool {
        let buffer = self.buffer(i);
        let only = Arc::strong_count(&d.storage) == 1 && !d.storage.is_open() && !buffer.is_foreign();
        // Those who held it before have read it for the last time: their letting go happened before what follows.
        std::sync::atomic::fence(Acquire);
        only && buffer.len() == d.layout.numel() * d.dtype.size()
    }
    #[inline]
    fn views<'b>(&'b self, operands: impl IntoIterator<Item = &'b Data>) -> Result<SmallVec<[View<'b>; 4]>> {
        let guards = match self {
            Reads::AtOnce(guards) => guards,
            Reads::InOrder(guards) => return guards.views(operands),
        };
        let mut views = SmallVec::new();
        for (guard, d) in guards.iter().zip(operands) {
            views.push(view(guard, d)?);
        }
        Ok(views)
    }
}

/// The reading door: runs `f` with a view of each operand.
pub(crate) fn read<R>(operands: &[Data], f: impl FnOnce(&[View]) -> Result<R>) -> Result<R> {
    let guards = Reads::lock(operands)?;
    let views = guards.views(operands)?;
    f(&views)
}

/// The writing door: runs `f` with writable views of `outs` and views of `ins`, then raises each output's version.
/// The outputs must not overlap each other; an input that shares memory with an output must be exactly that output, or a copy.
pub(crate) fn write<R>(outs: &[Data], ins: &[Data], f: impl FnOnce(&mut [ViewMut], &[View]) -> Result<R>) -> Result<R> {
    let mut guards = Guards::lock(outs, ins)?;
    let result = {
        let views = guards.views(ins)?;
        let mut out_views = guards.views_mut(outs)?;
        f(&mut out_views, &views)
    };
    let site = (crate::op::current_op(), crate::op::current_site());
    for (first, guard) in &mut guards.locks {
        if let Guard::Write(g) = guard {
            g.last_write = Some(site);
            outs[*first].storage.writes.fetch_add(1, Relaxed);
        }
    }
    result
}

/// What a kernel with several outputs has made.
pub(crate) type Made = SmallVec<[Data; 4]>;

/// Allocates outputs of the given layouts and dtypes, and runs `kernel` over them and views of `ins`.
#[allow(unsafe_code)]
pub(crate) fn compute_many(
    outs: &[(Layout, DType)],
    ins: &[Data],
    kernel: impl FnOnce(&[View], &mut [ViewMut]) -> Result<()>,
) -> Result<Made> {
    let guards = Reads::lock(ins)?;
    let views = guards.views(ins)?;
    let mut buffers = SmallVec::<[Buffer; 4]>::new();
    for (layout, dtype) in outs {
        buffers.push(alloc(layout, *dtype)?);
    }
    {
        let mut out_views = SmallVec::<[ViewMut; 4]>::new();
        for (b, (l, d)) in buffers.iter().zip(outs) {
            // SAFETY: the buffer is new, so this view is the only access; kernels write every element before anyone reads one.
            out_views.push(unsafe { ViewMut::new(b, l, *d)? });
        }
        kernel(&views, &mut out_views)?;
    }
    let mut made = SmallVec::new();
    for (buffer, (layout, dtype)) in buffers.into_iter().zip(outs) {
        made.push(Data::new(buffer, layout.clone(), *dtype));
    }
    Ok(made)
}

/// [`compute_many`] with one output.
pub(crate) fn compute(
    layout: Layout,
    dtype: DType,
    ins: &[Data],
    kernel: impl FnOnce(&[View], &mut ViewMut) -> Result<()>,
) -> Result<Data> {
    let guards = Reads::lock(ins)?;
    let views = guards.views(ins)?;
    fresh(layout, dtype, |out| kernel(&views, out))
}

/// [`read`] of one operand without waiting: `None` where it is being written, or its values are put off.
#[inline]
pub(crate) fn read_at_once<R>(x: &Data, f: impl FnOnce(View) -> R) -> Option<R> {
    let guard = at_hand(x)?;
    Some(f(view(&guard, x).ok()?))
}

/// Runs a pointwise program over `ins`, which have the shape of `layout`, or puts it off: one new storage per output.
pub(crate) fn pointwise(program: &Program, ins: &[Data], layout: &Layout) -> Result<SmallVec<[Data; 2]>> {
    let mut promised = SmallVec::new();
    if deferred::is_wanted(layout.numel()) && deferred::put_off(program, ins, layout, &mut promised)? {
        return Ok(promised);
    }
    let mut made = SmallVec::new();
    if let [r] = program.outs[..] {
        let compute = |ins: &[View], out: &mut ViewMut| crate::ops::backend().pointwise(program, ins, std::slice::from_mut(out));
        made.push(self::compute(layout.clone(), program.dtype(r), ins, compute)?);
    } else {
        let specs: SmallVec<[(Layout, DType); 4]> = program.outs.iter().map(|&r| (layout.clone(), program.dtype(r))).collect();
        made.extend(compute_many(&specs, ins, |ins, outs| crate::ops::backend().pointwise(program, ins, outs))?);
    }
    Ok(made)
}

/// `alpha * a @ b (+ beta * bias)`, as the backend takes it: the operands have their batches in common, and the result's shape.
#[derive(Clone)]
pub(crate) struct Product {
    /// `a`, `b` and perhaps the bias.
    pub(crate) ins: SmallVec<[Data; 3]>,
    pub(crate) alpha: Scalar,
    pub(crate) beta: Scalar,
    /// Of the result, contiguous.
    pub(crate) layout: Layout,
}

impl Product {
    /// Computes it, from views of the operands.
    fn run(&self, ins: &[View], out: &mut ViewMut) -> Result<()> {
        crate::ops::backend().matmul(ins[0], ins[1], ins.get(2).copied(), self.alpha, self.beta, out)
    }
    /// Whether it may be put off.
    fn may_wait(&self) -> bool {
        let (terms, columns) = (self.ins[0].layout.shape.last(), self.layout.shape.last());
        let (Some(&terms), Some(&columns)) = (terms, columns) else { return false };
        columns > 0 && deferred::is_product_wanted(self.layout.numel() / columns, terms, columns)
    }
}

/// Runs a product, or puts it off. The result has the elements in the order of `layout`, which is contiguous.
pub(crate) fn product(product: Product, layout: Layout) -> Result<Data> {
    if product.may_wait()
        && let Some(promised) = deferred::put_off_product(&product, &layout)?
    {
        return Ok(promised);
    }
    let mut y = compute(product.layout.clone(), product.ins[0].dtype, &product.ins, |ins, out| product.run(ins, out))?;
    y.layout = layout;
    Ok(y)
}

/// `op` over the dimensions `dims` of `x`, into a new contiguous storage. What x is to hold may be computed on the way.
pub(crate) fn reduce(op: ReduceOp, x: &Data, dims: &[usize], layout: Layout, dtype: DType) -> Result<Data> {
    if x.storage.is_marked(Storage::PENDING)
        && let Some(result) = deferred::reduce(op, x, dims, &layout, dtype)?
    {
        return Ok(result);
    }
    compute(layout, dtype, std::slice::from_ref(x), |ins, out| crate::ops::backend().reduce(op, ins[0], dims, out))
}

/// [`compute`] without waiting: `None` where an operand is being written, or somebody waits to write it. As it never waits, the caller may
/// hold the operands' other locks, and needs no snapshots of them: half of what a small op would otherwise spend.
#[inline]
pub(crate) fn compute_at_once<const N: usize>(
    layout: Layout,
    dtype: DType,
    ins: [&Data; N],
    kernel: impl FnOnce([View; N], &mut ViewMut) -> Result<()>,
) -> Option<Result<Data>> {
    let mut guards = [const { None }; N];
    for (guard, d) in guards.iter_mut().zip(ins) {
        *guard = Some(at_hand(d)?);
    }
    let mut views = [const { None }; N];
    for ((made, guard), d) in views.iter_mut().zip(&guards).zip(ins) {
        *made = Some(view(guard.as_ref()?, d).ok()?);
    }
    let views = views.map(|made| made.expect("every operand has its view"));
    Some(fresh(layout, dtype, |out| kernel(views, out)))
}

/// [`write`] of an operand by a kernel that reads it and another one, without waiting: `None` where that cannot be, and where both lie in one
/// storage.
#[allow(unsafe_code)]
#[inline]
pub(crate) fn write_at_once(
    out: &Data,
    other: &Data,
    kernel: impl FnOnce(&mut ViewMut, [View; 2]) -> Result<()>,
) -> Option<Result<()>> {
    if out.storage.is_marked(Storage::PENDING | Storage::READ) || Arc::ptr_eq(&out.storage, &other.storage) {
        return None;
    }
    let read = at_hand(other)?;
    let mut state = out.storage.state.try_write().ok()?;
    let result = {
        // SAFETY: locked for writing by this very call, which is the only one to read it, too.
        let mut target = unsafe { ViewMut::new(&state.buffer, &out.layout, out.dtype) }.ok()?;
        kernel(&mut target, [view(&state, out).ok()?, view(&read, other).ok()?])
    };
    state.last_write = Some((crate::op::current_op(), crate::op::current_site()));
    out.storage.writes.fetch_add(1, Relaxed);
    Some(result)
}

/// A new storage for a dense layout, filled by `fill`.
#[allow(unsafe_code)]
fn fresh(layout: Layout, dtype: DType, fill: impl FnOnce(&mut ViewMut) -> Result<()>) -> Result<Data> {
    let buffer = alloc(&layout, dtype)?;
    // SAFETY: the buffer is new, so this view is the only access; kernels write every element before anyone reads one.
    fill(&mut unsafe { ViewMut::new(&buffer, &layout, dtype) }?)?;
    Ok(Data::new(buffer, layout, dtype))
}

/// A new storage of zeros.
pub(crate) fn zeros(layout: Layout, dtype: DType) -> Result<Data> {
    let buffer = Buffer::zeroed(nbytes(&layout.shape, dtype)?)?;
    Ok(Data::new(buffer, layout, dtype))
}

/// Memory for a dense layout.
pub(crate) fn alloc(layout: &Layout, dtype: DType) -> Result<Buffer> {
    Buffer::uninit(nbytes(&layout.shape, dtype)?)
}

/// Bytes that `shape` takes, or the error that PyTorch gives where the product overflows.
pub(crate) fn nbytes(shape: &[usize], dtype: DType) -> Result<usize> {
    rushlight_kernels::layout::checked_numel(shape)
        .and_then(|n| n.checked_mul(dtype.size()))
        .ok_or_else(|| Error::runtime(format!("Storage size calculation overflowed with sizes={shape:?}")))
}
