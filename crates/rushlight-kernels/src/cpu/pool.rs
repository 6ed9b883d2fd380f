//! The thread pool.

use std::ops::Range;

/// Runs `f(0) … f(n - 1)`, possibly on several threads, and returns when all are done. `n` must depend on the shape of the work
/// only, never on [`num_threads`]. Called from inside another `run`, it runs everything on the caller.
pub fn run(n: usize, f: impl Fn(usize) + Sync) {
    (0..n).for_each(f)
}

/// Splits `0..len` into ranges of `grain` (the last may be shorter) and runs `f` for each. A `grain` of the work's ~10–50 µs is good;
/// it must not depend on the number of threads.
pub fn for_ranges(len: usize, grain: usize, f: impl Fn(Range<usize>) + Sync) {
    let grain = grain.max(1);
    run(len.div_ceil(grain), |i| f(i * grain..((i + 1) * grain).min(len)))
}

/// Threads that kernels may use, the caller included.
pub fn num_threads() -> usize {
    1
}

/// Sets the number of threads that kernels may use (at least one). Results do not depend on it.
pub fn set_num_threads(_n: usize) {}
