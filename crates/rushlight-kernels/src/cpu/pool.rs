//! The process-wide fork-join pool.
//!
//! A region is `n` chunks. The caller publishes a task, then works like everybody else: whoever decrements `unclaimed` runs a chunk. Chunks
//! form one span for each thread, and a thread looks in its own span first: neighbouring chunks mostly run on one core, whose prefetcher
//! would else fetch lines that another core is writing. The region ends when every chunk is *finished*, so a worker that the system has put
//! to sleep and that has claimed nothing is never waited for. Workers spin for a while after their last region, because waking a sleeper costs
//! 20–30 µs against half a microsecond for a spinning one, and then sleep.
//!
//! Only one user thread at a time owns the workers; another one that calls [`run`] meanwhile runs its chunks itself, as does a
//! nested call. Nothing here ever waits for a lock, so there is nothing to deadlock on, not even across a `fork`.

mod event;

use event::Event;
use std::any::Any;
use std::cell::Cell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering::*};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// Runs `f(0) … f(n - 1)`, possibly on several threads, and returns when all are done. `n` must depend on the shape of the work
/// only, never on [`num_threads`]. Called from inside another `run`, it runs everything on the caller.
///
/// # Panics
/// If a chunk panics, with the payload of the first one that did, once no chunk is running any more; the pool stays usable.
#[inline]
pub fn run(n: usize, f: impl Fn(usize) + Sync) {
    if n <= 1 || IN_REGION.get() || num_threads() == 1 {
        return (0..n).for_each(f);
    }
    // A claim costs a contended cache line, so that very many chunks are claimed in groups.
    let group = n.div_ceil(MAX_CLAIMS);
    fork(n.div_ceil(group), &|i| (i * group..((i + 1) * group).min(n)).for_each(&f));
}

/// Splits `0..len` into ranges of `grain` (the last may be shorter) and runs `f` for each. A `grain` of the work's ~10–50 µs is good;
/// it must not depend on the number of threads.
#[inline]
pub fn for_ranges(len: usize, grain: usize, f: impl Fn(Range<usize>) + Sync) {
    let grain = grain.max(1);
    run(len.div_ceil(grain), |i| f(i * grain..(i * grain).saturating_add(grain).min(len)))
}

/// As [`for_ranges`], in parts of much the same size, in whole multiples of `unit`: a few parts, of at most about `grain`, are as many as threads
/// can share evenly; of very many, four are made one, as each costs a claim and a start.
#[inline]
pub(crate) fn for_even_ranges(len: usize, grain: usize, unit: usize, f: impl Fn(Range<usize>) + Sync) {
    for_ranges(len, even(len, grain, unit), f)
}

#[inline]
fn even(len: usize, grain: usize, unit: usize) -> usize {
    let parts = len.div_ceil(grain.max(1)).max(1);
    let parts = if parts <= 16 { parts.next_power_of_two() } else { parts.div_ceil(4).max(16) };
    len.div_ceil(parts).next_multiple_of(unit)
}

/// Threads that kernels may use, the caller included. At first `RUSHLIGHT_NUM_THREADS` or `OMP_NUM_THREADS`, else the cores that the
/// affinity mask and the cgroup quota allow.
#[inline]
pub fn num_threads() -> usize {
    match THREADS.load(Relaxed) {
        0 => default_threads(),
        n => n,
    }
}

/// Sets the number of threads that kernels may use (at least one, at most 1024). Results do not depend on it.
pub fn set_num_threads(n: usize) {
    THREADS.store(clamped(n), Relaxed);
}

fn clamped(n: usize) -> usize {
    n.clamp(1, MAX_THREADS)
}

const MAX_CLAIMS: usize = 1 << 12;
const MAX_THREADS: usize = 1024;
/// More threads than this share spans.
const MAX_SPANS: usize = 64;
/// How long a worker spins after its last region. PyTorch's OpenMP spins for milliseconds; 200 µs spans the gaps between the
/// operations of one training step.
const SPIN: Duration = Duration::from_micros(200);

/// Zero until first asked for.
static THREADS: AtomicUsize = AtomicUsize::new(0);
/// Created by the first region, leaked, and forgotten by the child of a `fork`, which has none of the threads.
static POOL: AtomicPtr<Pool> = AtomicPtr::new(std::ptr::null_mut());

thread_local! {
    /// Whether this thread is running a chunk: always so for workers.
    static IN_REGION: Cell<bool> = const { Cell::new(false) };
}

#[cold]
fn default_threads() -> usize {
    // OMP_NUM_THREADS may be a list, one entry per nesting level.
    let from_env = |name| std::env::var(name).ok()?.split(',').next()?.trim().parse().ok().filter(|&n: &usize| n > 0);
    let n = from_env("RUSHLIGHT_NUM_THREADS").or_else(|| from_env("OMP_NUM_THREADS")).unwrap_or_else(cores);
    let n = clamped(n);
    // A concurrent `set_num_threads` wins.
    match THREADS.compare_exchange(0, n, Relaxed, Relaxed) {
        Ok(_) => n,
        Err(set) => set,
    }
}

/// Cores this process may use: the standard library counts the affinity mask and the quota of cgroups v1 and v2.
fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, |n| n.get()))
}

/// One cache line (two, as the adjacent-line prefetcher pulls pairs), so that neighbours do not contend.
#[repr(align(128))]
#[derive(Default)]
struct Line<T>(T);

/// What a region runs. Lives on the caller's stack.
struct Task<'a> {
    chunks: u32,
    spans: u32,
    f: &'a (dyn Fn(usize) + Sync),
    /// Payload of the first chunk that panicked.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Task<'_> {
    /// First chunk of a span.
    fn start(&self, span: u32) -> u32 {
        (span as u64 * self.chunks as u64 / self.spans as u64) as u32
    }
}

#[derive(Default)]
struct Pool {
    /// Chunks of the current region that nobody has claimed; zero between regions. Idle workers sleep on it.
    unclaimed: Line<Event>,
    /// The next chunk of each span of the current region. Set by its caller before the region is published.
    next: Spans,
    /// Chunks of the current region that have ended.
    finished: Line<AtomicU32>,
    /// Workers asleep on `unclaimed`, or about to be.
    sleepers: Line<AtomicUsize>,
    /// The current region's task: valid for whoever has claimed a chunk, until that chunk is counted in `finished`.
    task: Line<AtomicPtr<Task<'static>>>,
    /// Whether a user thread owns the pool.
    owned: AtomicBool,
    /// Workers that take part; the others sleep on it. Changed by the owner only.
    active: Event,
    /// Workers started so far. Changed by the owner only.
    started: AtomicU32,
    /// Whether idle workers may spin.
    spin: AtomicBool,
}

struct Spans([Line<AtomicU32>; MAX_SPANS]);

impl Default for Spans {
    fn default() -> Self {
        Spans(std::array::from_fn(|_| Line::default()))
    }
}

/// Runs `chunks` chunks on the workers and the caller, or on the caller alone when another thread owns the workers.
fn fork(chunks: usize, f: &(dyn Fn(usize) + Sync)) {
    let pool = Pool::get();
    if pool.owned.swap(true, Acquire) {
        return (0..chunks).for_each(f);
    }
    let payload = pool.region(chunks as u32, f);
    pool.owned.store(false, Release);
    if let Some(payload) = payload {
        resume_unwind(payload);
    }
}

impl Pool {
    fn get() -> &'static Pool {
        let mut pool = POOL.load(Acquire);
        if pool.is_null() {
            forget_after_fork();
            let fresh = Box::into_raw(Box::<Pool>::default());
            pool = match POOL.compare_exchange(std::ptr::null_mut(), fresh, AcqRel, Acquire) {
                Ok(_) => fresh,
                Err(winner) => {
                    // SAFETY: `fresh` came from `Box::into_raw` just now and was not published.
                    drop(unsafe { Box::from_raw(fresh) });
                    winner
                }
            };
        }
        // SAFETY: a published pool is never freed.
        unsafe { &*pool }
    }

    /// One region; the caller owns the pool. Answers the payload of a panicking chunk.
    fn region(&'static self, chunks: u32, f: &(dyn Fn(usize) + Sync)) -> Option<Box<dyn Any + Send>> {
        let workers = num_threads() as u32 - 1;
        if self.active.word.load(Relaxed) != workers {
            self.resize(workers);
        }
        let task = Task { chunks, spans: (workers + 1).min(chunks).min(MAX_SPANS as u32), f, panic: Mutex::new(None) };
        (0..task.spans).for_each(|span| self.next.0[span as usize].0.store(task.start(span), Relaxed));
        self.finished.0.store(0, Relaxed);
        self.task.0.store((&raw const task).cast_mut().cast(), Relaxed);
        // Publishes the stores above to whoever claims. SeqCst against `sleepers`: either a worker that is about to sleep sees
        // the chunks, or the load below sees the worker.
        self.unclaimed.0.word.store(chunks, SeqCst);
        if self.sleepers.0.load(SeqCst) > 0 {
            self.unclaimed.0.wake((chunks - 1).min(workers) as usize);
        }
        IN_REGION.set(true);
        self.work(0);
        IN_REGION.set(false);
        self.join(chunks);
        task.panic.into_inner().unwrap_or_else(|e| e.into_inner())
    }

    /// A chunk for who holds a claim: the next one of span number `home`, or else of the spans after it. There is one, as claims are as many
    /// as chunks.
    fn chunk(&self, task: &Task, home: u32) -> usize {
        let mut span = home % task.spans;
        loop {
            let (next, end) = (&self.next.0[span as usize].0, task.start(span + 1));
            // The load spares the others' lines when their chunks are gone.
            if next.load(Relaxed) < end {
                let chunk = next.fetch_add(1, Relaxed);
                if chunk < end {
                    return chunk as usize;
                }
            }
            span = (span + 1) % task.spans;
        }
    }

    /// Claims and runs chunks until none is left. Never unwinds.
    fn work(&self, home: u32) {
        let unclaimed = &self.unclaimed.0.word;
        let mut left = unclaimed.load(Relaxed);
        while left > 0 {
            // Acquire: the claim reads from the release sequence of the store that published the region. That the value might be
            // from a region before does no harm, for the task is looked up after the claim.
            if let Err(now) = unclaimed.compare_exchange_weak(left, left - 1, Acquire, Relaxed) {
                left = now;
                continue;
            }
            // SAFETY: we hold an unfinished chunk of the current region, so its caller waits in `join` and the task is alive; the
            // region cannot have changed between the claim and this load for the same reason.
            let task = unsafe { &*self.task.0.load(Relaxed) };
            let chunk = self.chunk(task, home);
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| (task.f)(chunk))) {
                let first = &mut *task.panic.lock().unwrap_or_else(|e| e.into_inner());
                match first {
                    None => *first = Some(payload),
                    // Not dropped: a destructor that panics would take the worker, and with it the region, down.
                    Some(_) => std::mem::forget(payload),
                }
            }
            // The last touch of `task`. Release: the caller sees all that the chunk wrote.
            self.finished.0.fetch_add(1, Release);
            left = unclaimed.load(Relaxed);
        }
    }

    /// Waits until all chunks have ended.
    fn join(&self, chunks: u32) {
        let mut spins = 0u32;
        while self.finished.0.load(Acquire) != chunks {
            spins += 1;
            // After some tens of microseconds the chunk is long, or its worker has lost its core: perhaps to us.
            if spins > 1000 || !self.spin.load(Relaxed) { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
    }

    /// Makes `workers` workers take part: starts those that are missing, wakes or retires others.
    #[cold]
    fn resize(&'static self, workers: u32) {
        // With more threads than cores a spinning worker keeps a working one off its core.
        self.spin.store((workers as usize) < cores(), Relaxed);
        self.active.word.store(workers, SeqCst);
        self.active.wake(MAX_THREADS);
        for index in self.started.load(Relaxed)..workers {
            let thread = std::thread::Builder::new().name(format!("rushlight-{}", index + 1));
            // A thread that the system refuses is one that claims no chunks; later regions do not ask again.
            let _ = thread.spawn(move || self.worker(index));
            self.started.store(index + 1, Relaxed);
        }
    }

    fn worker(&self, index: u32) {
        IN_REGION.set(true);
        loop {
            let active = self.active.word.load(Relaxed);
            if index >= active {
                self.active.wait(active);
                continue;
            }
            self.work(index + 1);
            if !self.spin_for_work() {
                self.sleepers.0.fetch_add(1, SeqCst);
                self.unclaimed.0.wait(0);
                self.sleepers.0.fetch_sub(1, SeqCst);
            }
        }
    }

    /// Whether work turned up while spinning.
    fn spin_for_work(&self) -> bool {
        if !self.spin.load(Relaxed) {
            return false;
        }
        let start = Instant::now();
        loop {
            for _ in 0..32 {
                if self.unclaimed.0.word.load(Relaxed) > 0 {
                    return true;
                }
                std::hint::spin_loop();
            }
            // A spinner that lost its core finds its time over when it comes back, and sleeps.
            if start.elapsed() > SPIN {
                return false;
            }
        }
    }
}

/// Makes the child of a `fork` start with no pool.
#[cfg(unix)]
fn forget_after_fork() {
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    extern "C" fn child() {
        POOL.store(std::ptr::null_mut(), Release);
    }
    if !REGISTERED.swap(true, AcqRel) {
        // SAFETY: the handler is a static function that does one atomic store, which is allowed after `fork`.
        unsafe { libc::pthread_atfork(None, None, Some(child)) };
    }
}

#[cfg(not(unix))]
fn forget_after_fork() {}

#[cfg(test)]
pub(super) mod tests;
