//! The block cache: freed blocks wait here for the next allocation of their class.
//!
//! Blocks of up to 64 KiB wait in lists of the thread that freed them, which takes no lock; larger ones, and what a thread has too
//! much of, in global lists behind one lock. A waiting block holds the link to the next one in its first bytes, so that the cache
//! itself never allocates and may be used while a thread is torn down.

use super::class::Class;
use super::{MemoryStats, system};
use std::cell::{Cell, UnsafeCell};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::*};

/// Largest block, as log2, that waits in a thread's own lists.
const LOCAL_MAX: u32 = 16;
const LOCAL_CLASSES: usize = LOCAL_MAX as usize - 5;
/// A thread keeps this many bytes of each class, and at most [`LOCAL_BLOCKS`] blocks; half of them go to the global list beyond it.
const LOCAL_BYTES: usize = 512 << 10;
const LOCAL_BLOCKS: u32 = 256;
/// Blocks that a thread takes from a global list at once.
const REFILL: u32 = 16;
/// A thread's counts are added to the global ones when they amount to so many bytes or calls.
const FOLD_BYTES: i64 = 1 << 20;
const FOLD_CALLS: u64 = 1 << 10;

/// A stack of free blocks, linked through their first bytes.
#[derive(Clone, Copy)]
struct List {
    head: *mut u8,
    len: u32,
}

impl List {
    const EMPTY: List = List { head: null_mut(), len: 0 };

    /// # Safety
    /// `block` is a free block that the list may own, of at least the size of a pointer and aligned for one.
    #[inline]
    unsafe fn push(&mut self, block: NonNull<u8>) {
        // SAFETY: the block is ours and large enough.
        unsafe { block.cast::<*mut u8>().write(self.head) };
        self.head = block.as_ptr();
        self.len += 1;
    }
    #[inline]
    fn pop(&mut self) -> Option<NonNull<u8>> {
        let block = NonNull::new(self.head)?;
        // SAFETY: a block in the list is ours and begins with the link that `push` wrote.
        self.head = unsafe { block.cast::<*mut u8>().read() };
        self.len -= 1;
        Some(block)
    }
}

/// What one thread keeps for itself.
struct Local {
    lists: [Cell<List>; LOCAL_CLASSES],
    /// Bytes handed out less bytes taken back since the last fold, and their highest point.
    bytes: Cell<i64>,
    peak: Cell<i64>,
    allocations: Cell<u64>,
    hits: Cell<u64>,
    calls: Cell<u64>,
}

thread_local! {
    static LOCAL: Local = const {
        Local {
            lists: [const { Cell::new(List::EMPTY) }; LOCAL_CLASSES],
            bytes: Cell::new(0),
            peak: Cell::new(0),
            allocations: Cell::new(0),
            hits: Cell::new(0),
            calls: Cell::new(0),
        }
    };
}

impl Local {
    #[inline]
    fn count(&self, bytes: i64, hit: bool) {
        let now = self.bytes.get() + bytes;
        self.bytes.set(now);
        if bytes > 0 {
            self.peak.set(self.peak.get().max(now));
            self.allocations.set(self.allocations.get() + 1);
            self.hits.set(self.hits.get() + hit as u64);
        }
        let calls = self.calls.get() + 1;
        self.calls.set(calls);
        if calls > FOLD_CALLS || now.abs() > FOLD_BYTES {
            self.fold();
        }
    }
    #[cold]
    fn fold(&self) {
        COUNTS.add(self.bytes.take(), self.peak.take(), self.allocations.take(), self.hits.take());
        self.calls.set(0);
    }
    #[inline]
    fn pop(&self, class: Class) -> Option<NonNull<u8>> {
        let mut list = self.lists[class.index()].get();
        let block = list.pop()?;
        self.lists[class.index()].set(list);
        Some(block)
    }
    /// # Safety
    /// As [`List::push`]; the block is of `class`.
    #[inline]
    unsafe fn push(&self, block: NonNull<u8>, class: Class) {
        let mut list = self.lists[class.index()].get();
        // SAFETY: this function's contract.
        unsafe { list.push(block) };
        self.lists[class.index()].set(list);
        if list.len > LOCAL_BLOCKS || list.len as usize * class.size() > LOCAL_BYTES {
            self.spill(class, list.len / 2);
        }
    }
    /// Moves `count` blocks to the global list.
    #[cold]
    fn spill(&self, class: Class, count: u32) {
        let mut global = GLOBAL.lock();
        for _ in 0..count {
            let Some(block) = self.pop(class) else { break };
            // SAFETY: popped from a list of this class.
            unsafe { global.put(block, class) };
        }
    }
    /// Takes some blocks of the global list; answers one of them.
    #[cold]
    fn refill(&self, class: Class) -> Option<NonNull<u8>> {
        let mut global = GLOBAL.lock();
        let first = global.take(class)?;
        let room = (LOCAL_BYTES / 2 / class.size()) as u32;
        for _ in 1..REFILL.min(room) {
            let Some(block) = global.take(class) else { break };
            let mut list = self.lists[class.index()].get();
            // SAFETY: popped from a list of this class.
            unsafe { list.push(block) };
            self.lists[class.index()].set(list);
        }
        Some(first)
    }
    fn spill_all(&self) {
        for i in 0..LOCAL_CLASSES {
            self.spill(Class::at(i), self.lists[i].get().len);
        }
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.spill_all();
        self.fold();
    }
}

/// Counts over all threads, as of their last folds.
struct Counts {
    allocated: AtomicI64,
    peak: AtomicI64,
    allocations: AtomicU64,
    hits: AtomicU64,
    /// Bytes obtained from the system and not given back, in use or waiting.
    reserved: AtomicI64,
}

static COUNTS: Counts = Counts {
    allocated: AtomicI64::new(0),
    peak: AtomicI64::new(0),
    allocations: AtomicU64::new(0),
    hits: AtomicU64::new(0),
    reserved: AtomicI64::new(0),
};

impl Counts {
    fn add(&self, bytes: i64, peak: i64, allocations: u64, hits: u64) {
        let before = self.allocated.fetch_add(bytes, Relaxed);
        self.peak.fetch_max(before + peak, Relaxed);
        self.allocations.fetch_add(allocations, Relaxed);
        self.hits.fetch_add(hits, Relaxed);
    }
}

/// The lists that all threads share.
struct Global {
    lists: [List; Class::COUNT],
    /// When each list was last used, in `clock` ticks: what has not been asked for longest is given back first.
    used: [u64; Class::COUNT],
    clock: u64,
    /// Bytes in `lists`, and how many there may be (`None`: not decided yet).
    bytes: usize,
    limit: Option<usize>,
}

// SAFETY: the lists own their blocks, which belong to no thread.
unsafe impl Send for Global {}

impl Global {
    fn limit(&mut self) -> usize {
        // A cache of a quarter of the memory holds a training step's activations on any machine that can run the step at all.
        *self.limit.get_or_insert_with(|| system::physical_memory() / 4)
    }
    fn take(&mut self, class: Class) -> Option<NonNull<u8>> {
        self.clock += 1;
        self.used[class.index()] = self.clock;
        let block = self.lists[class.index()].pop()?;
        self.bytes -= class.size();
        Some(block)
    }
    /// # Safety
    /// `block` is a free block of `class` that the cache may own.
    unsafe fn put(&mut self, block: NonNull<u8>, class: Class) {
        // SAFETY: this function's contract.
        unsafe { self.lists[class.index()].push(block) };
        self.bytes += class.size();
        self.clock += 1;
        self.used[class.index()] = self.clock;
        let limit = self.limit();
        if self.bytes > limit {
            self.trim(limit);
        }
    }
    /// Gives blocks back to the system, those of the longest unused classes first, until `limit` bytes are left.
    #[cold]
    fn trim(&mut self, limit: usize) {
        while self.bytes > limit {
            let held = (0..Class::COUNT).filter(|&i| self.lists[i].len > 0);
            let Some(oldest) = held.min_by_key(|&i| self.used[i]) else { return };
            let class = Class::at(oldest);
            while self.bytes > limit {
                let Some(block) = self.lists[oldest].pop() else { break };
                self.bytes -= class.size();
                give_back(block, class);
            }
        }
    }
}

/// Frees a block that came out of a list of `class`.
fn give_back(block: NonNull<u8>, class: Class) {
    COUNTS.reserved.fetch_sub(class.size() as i64, Relaxed);
    // SAFETY: a block of the cache is from `system::allocate` of its class, and has left its list.
    unsafe { system::free(block, class) }
}

/// A lock that a `fork` handler can take and release from different frames, which `std::sync::Mutex` cannot. It is held for a few
/// nanoseconds, or a system call at worst.
struct Lock {
    taken: AtomicBool,
    value: UnsafeCell<Global>,
}

// SAFETY: `value` is reached only through the guard, which one thread has at a time.
unsafe impl Sync for Lock {}

static GLOBAL: Lock = Lock {
    taken: AtomicBool::new(false),
    value: UnsafeCell::new(Global {
        lists: [List::EMPTY; Class::COUNT],
        used: [0; Class::COUNT],
        clock: 0,
        bytes: 0,
        limit: None,
    }),
};

struct Guard<'a>(&'a Lock);

impl Lock {
    fn lock(&self) -> Guard<'_> {
        self.acquire();
        Guard(self)
    }
    fn acquire(&self) {
        let mut tries = 0u32;
        while self.taken.swap(true, Acquire) {
            tries += 1;
            // The holder may have lost its core, or be in a system call.
            if tries > 100 { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
    }
    fn release(&self) {
        self.taken.store(false, Release);
    }
}

impl std::ops::Deref for Guard<'_> {
    type Target = Global;
    fn deref(&self) -> &Global {
        // SAFETY: the guard exists, so this thread holds the lock.
        unsafe { &*self.0.value.get() }
    }
}

impl std::ops::DerefMut for Guard<'_> {
    fn deref_mut(&mut self) -> &mut Global {
        // SAFETY: as above, and `&mut self` makes the reference unique.
        unsafe { &mut *self.0.value.get() }
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}

/// Holds the lock across a `fork`, so that the child does not inherit lists in the middle of a change.
#[cfg(unix)]
fn guard_forks() {
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    extern "C" fn before() {
        GLOBAL.acquire();
    }
    extern "C" fn after() {
        GLOBAL.release();
    }
    if !REGISTERED.load(Relaxed) && !REGISTERED.swap(true, AcqRel) {
        // SAFETY: the handlers are static functions that touch one atomic word.
        unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after)) };
    }
}

#[cfg(not(unix))]
fn guard_forks() {}

/// A block of `class`, and whether it is known to be all zeros; `None` if the system has no memory left.
#[inline]
pub(super) fn allocate(class: Class) -> Option<(NonNull<u8>, bool)> {
    if class.index() < LOCAL_CLASSES
        && let Ok(Some(block)) = LOCAL.try_with(|local| {
            let block = local.pop(class)?;
            local.count(class.size() as i64, true);
            Some(block)
        })
    {
        return Some((block, false));
    }
    allocate_slow(class)
}

#[cold]
fn allocate_slow(class: Class) -> Option<(NonNull<u8>, bool)> {
    let waiting = if class.index() < LOCAL_CLASSES {
        LOCAL.try_with(|local| local.refill(class)).unwrap_or_else(|_| GLOBAL.lock().take(class))
    } else {
        GLOBAL.lock().take(class)
    };
    let (block, zero) = match waiting {
        Some(block) => (block, false),
        None => (reserve(class)?, system::fresh_is_zero(class)),
    };
    count(class.size() as i64, waiting.is_some());
    Some((block, zero))
}

/// A new block from the system; if it refuses, once more when all that waits has been given back.
fn reserve(class: Class) -> Option<NonNull<u8>> {
    guard_forks();
    let block = system::allocate(class).or_else(|| {
        empty();
        system::allocate(class)
    })?;
    COUNTS.reserved.fetch_add(class.size() as i64, Relaxed);
    Some(block)
}

/// Takes a block back.
///
/// # Safety
/// `block` came from `allocate(class)`, and nobody uses it any more.
#[inline]
pub(super) unsafe fn free(block: NonNull<u8>, class: Class) {
    let local = class.index() < LOCAL_CLASSES
        && LOCAL
            .try_with(|local| {
                // SAFETY: this function's contract; the smallest class has 64 bytes.
                unsafe { local.push(block, class) };
                local.count(-(class.size() as i64), false);
            })
            .is_ok();
    if !local {
        // SAFETY: this function's contract.
        unsafe { free_global(block, class) };
    }
}

/// # Safety
/// As [`free`].
#[cold]
unsafe fn free_global(block: NonNull<u8>, class: Class) {
    // SAFETY: this function's contract.
    unsafe { GLOBAL.lock().put(block, class) };
    count(-(class.size() as i64), false);
}

/// Counts on this thread, or globally while the thread is torn down.
fn count(bytes: i64, hit: bool) {
    if LOCAL.try_with(|local| local.count(bytes, hit)).is_err() {
        COUNTS.add(bytes, bytes.max(0), (bytes > 0) as u64, hit as u64);
    }
}

fn fold() {
    // A thread that is being torn down has folded already.
    let _ = LOCAL.try_with(Local::fold);
}

pub(super) fn empty() {
    let _ = LOCAL.try_with(Local::spill_all);
    GLOBAL.lock().trim(0);
}

pub(super) fn set_limit(bytes: usize) {
    let mut global = GLOBAL.lock();
    global.limit = Some(bytes);
    global.trim(bytes);
}

pub(super) fn limit() -> usize {
    GLOBAL.lock().limit()
}

pub(super) fn stats() -> MemoryStats {
    fold();
    let allocated = COUNTS.allocated.load(Relaxed);
    let clip = |n: i64| n.max(0) as usize;
    MemoryStats {
        allocated_bytes: clip(allocated),
        peak_bytes: clip(COUNTS.peak.load(Relaxed).max(allocated)),
        cached_bytes: clip(COUNTS.reserved.load(Relaxed) - allocated),
        allocations: COUNTS.allocations.load(Relaxed),
        hits: COUNTS.hits.load(Relaxed),
    }
}

pub(super) fn reset_peak() {
    fold();
    COUNTS.peak.store(COUNTS.allocated.load(Relaxed), Relaxed);
}
