//! Running reductions.

use super::number::{Arith, Number};
use super::pool;
use super::walk::{GRAIN, Grid, at_least_1d, without};
use crate::backend::*;
use crate::*;

#[cfg(test)]
mod tests;

/// See [`Backend`].
///
/// Sums, products and log-sum-exps run in [`Number::Wide`], so that a long f32 scan keeps its digits.
pub fn scan(op: ScanOp, x: View, dim: usize, out: &mut ViewMut, indices: Option<&mut ViewMut>) -> Result<()> {
    match op {
        ScanOp::LogSumExp => dispatch!(x.dtype, [F16 BF16 F32 F64], T => log_sum_exp::<T>(x, dim, out), else => {
            let name = x.dtype.scalar_type_name();
            return Err(Error::not_implemented(format!("\"logcumsumexp_out_cpu\" not implemented for '{name}'")));
        }),
        _ => dispatch!(x.dtype, T => by_op::<T>(op, x, dim, out, indices)),
    }
    Ok(())
}

fn by_op<T: Number>(op: ScanOp, x: View, dim: usize, out: &mut ViewMut, indices: Option<&mut ViewMut>) {
    match op {
        ScanOp::Sum => running::<T>(x, dim, out, T::Wide::ZERO, Arith::add),
        ScanOp::Prod => running::<T>(x, dim, out, T::Wide::ONE, Arith::mul),
        ScanOp::Max => extreme::<T>(x, dim, out, indices, |new, best| new >= best),
        ScanOp::Min => extreme::<T>(x, dim, out, indices, |new, best| new <= best),
        ScanOp::LogSumExp => unreachable!("only floats come here, by another way"),
    }
}

fn log_sum_exp<T: Number<Wide: LogAddExp>>(x: View, dim: usize, out: &mut ViewMut) {
    running::<T>(x, dim, out, T::Wide::LOWEST, LogAddExp::log_add_exp);
}

/// `log(exp(a) + exp(b))` without overflow.
trait LogAddExp {
    fn log_add_exp(a: Self, b: Self) -> Self;
}
macro_rules! log_add_exp {
    ($($t:ty)*) => {$(
        impl LogAddExp for $t {
            fn log_add_exp(a: $t, b: $t) -> $t {
                let (low, high) = (Arith::min(a, b), Arith::max(a, b));
                // Equal infinities would give inf - inf.
                if low != high || high.is_finite() { high + (low - high).exp().ln_1p() } else { high }
            }
        }
    )*};
}
log_add_exp!(f32 f64);

/// The lines of x along `dim` and of two outputs: where they start, how many elements they have, and the steps along them.
struct Lines {
    starts: Grid<3>,
    len: usize,
    steps: [isize; 3],
}

impl Lines {
    fn new(x: &Layout, out: &Layout, indices: &Layout, dim: usize) -> Lines {
        let layouts = [x, out, indices].map(at_least_1d);
        let mut shape = layouts[0].shape.clone();
        let len = std::mem::replace(&mut shape[dim], 1);
        let rest = layouts.each_ref().map(|l| without(&l.strides, dim));
        Lines {
            starts: Grid::new(&shape, rest.each_ref().map(|s| s.as_slice())),
            len,
            steps: layouts.each_ref().map(|l| l.strides[dim]),
        }
    }
    /// Calls `f(starts of a line, n)` for every line, possibly in parallel, `n` (up to `W`) at a time: the others begin as much further on as
    /// `starts` steps.
    fn each<const W: usize>(&self, f: impl Fn([isize; 3], usize) + Sync) {
        // An empty line has nothing to write, and there may be many of them.
        let Some(grain) = (GRAIN / 4).checked_div(self.len) else { return };
        let [xs, os, is] = self.starts.inner();
        pool::for_ranges(self.starts.len(), grain.max(W), |range| {
            self.starts.runs(range, &mut |[xa, oa, ia], n| {
                for first in (0..n).step_by(W) {
                    let k = first as isize;
                    f([xa + k * xs, oa + k * os, ia + k * is], (n - first).min(W));
                }
            });
        });
    }
}

/// Columns that are gone through together.
const COLUMNS: usize = 64;
/// Rows that are gone through together, so that each need not wait for the sum before.
const ROWS: usize = 8;

fn running<T: Number>(
    x: View,
    dim: usize,
    out: &mut ViewMut,
    identity: T::Wide,
    join: impl Fn(T::Wide, T::Wide) -> T::Wide + Sync,
) {
    let lines = Lines::new(x.layout, out.layout, out.layout, dim);
    let [xs, os, _] = lines.steps;
    let (x, out) = (Shared(x.ptr::<T>().cast_mut()), Shared(out.ptr::<T>()));
    let len = lines.len as isize;
    let ends = |[xa, oa, _]: [isize; 3]| (x.at(xa), out.at(oa));
    if lines.starts.inner()[..2] == [1, 1] {
        lines.each::<COLUMNS>(|at, n| {
            let (x, out) = ends(at);
            // SAFETY: positions of lines of both layouts; where out is x, an element is read before it is written. Lines are disjoint.
            unsafe {
                if n == COLUMNS {
                    several::<T, COLUMNS>(x, xs, 1, out, os, 1, len, identity, &join)
                } else {
                    (0..n as isize).for_each(|k| several::<T, 1>(x.offset(k), xs, 0, out.offset(k), os, 0, len, identity, &join))
                }
            }
        });
    } else {
        let [xr, or, _] = lines.starts.inner();
        lines.each::<ROWS>(|at, n| {
            let (x, out) = ends(at);
            // SAFETY: positions of lines of both layouts; where out is x, an element is read before it is written. Lines are disjoint.
            unsafe {
                if n == ROWS && xs == 1 && os == 1 {
                    several::<T, ROWS>(x, 1, xr, out, 1, or, len, identity, &join)
                } else {
                    let line =
                        |k: isize| several::<T, 1>(x.offset(k * xr), xs, 0, out.offset(k * or), os, 0, len, identity, &join);
                    (0..n as isize).for_each(line)
                }
            }
        });
    }
}

/// Goes through `W` lines at once, which begin `xr` and `or` apart and have `len` elements `xs` and `os` apart.
///
/// # Safety
/// All of it is valid; the lines do not overlap.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "two operands with two strides each")]
unsafe fn several<T: Number, const W: usize>(
    x: *const T,
    xs: isize,
    xr: isize,
    out: *mut T,
    os: isize,
    or: isize,
    len: isize,
    identity: T::Wide,
    join: &impl Fn(T::Wide, T::Wide) -> T::Wide,
) {
    let mut totals = [identity; W];
    for j in 0..len {
        // SAFETY: the caller's.
        unsafe {
            let (x, out) = (x.offset(j * xs), out.offset(j * os));
            // Read whole before it is written, for the compiler cannot know that they are apart.
            let new: [T; W] = std::array::from_fn(|k| x.offset(k as isize * xr).read());
            for k in 0..W {
                totals[k] = join(totals[k], new[k].wide());
            }
            for k in 0..W {
                out.offset(k as isize * or).write(T::from_wide(totals[k]));
            }
        }
    }
}

/// A pointer that tasks share.
struct Shared<T>(*mut T);
// SAFETY: tasks write elements of their own.
unsafe impl<T> Sync for Shared<T> {}
impl<T> Shared<T> {
    fn at(&self, i: isize) -> *mut T {
        self.0.wrapping_offset(i)
    }
}

/// `wins(new, best)` decides on equal elements too: the latest position is kept, and so is the latest NaN.
fn extreme<T: Number>(x: View, dim: usize, out: &mut ViewMut, indices: Option<&mut ViewMut>, wins: impl Fn(T, T) -> bool + Sync) {
    let indices = indices.as_deref();
    let lines = Lines::new(x.layout, out.layout, indices.map_or(out.layout, |i| i.layout), dim);
    let steps = lines.steps;
    let (x, out) = (Shared(x.ptr::<T>().cast_mut()), Shared(out.ptr::<T>()));
    let at = indices.map(|i| Shared(i.ptr::<i64>()));
    let len = lines.len as isize;
    let rest = lines.starts.inner();
    lines.each::<8>(|start, n| {
        let [xa, oa, ia] = start;
        let at = at.as_ref().map(|i| i.at(ia));
        // SAFETY: as in `running`; `indices` has x's shape and holds i64.
        unsafe {
            if n == 8 {
                best::<T, 8>(x.at(xa), out.at(oa), at, rest, steps, len, &wins)
            } else {
                for k in 0..n as isize {
                    let at = at.map(|at| at.offset(k * rest[2]));
                    best::<T, 1>(x.at(xa + k * rest[0]), out.at(oa + k * rest[1]), at, rest, steps, len, &wins)
                }
            }
        }
    });
}

/// Goes through `W` lines at once, which begin `xr`, `or` and `ir` apart.
///
/// # Safety
/// All of it is valid; the lines do not overlap.
#[inline(always)]
unsafe fn best<T: Number, const W: usize>(
    x: *const T,
    out: *mut T,
    indices: Option<*mut i64>,
    [xr, or, ir]: [isize; 3],
    [xs, os, is]: [isize; 3],
    len: isize,
    wins: &impl Fn(T, T) -> bool,
) {
    #[allow(clippy::eq_op, reason = "only NaN differs from itself")]
    let is_nan = |v: T| v != v;
    // SAFETY: the caller's; a line has an element.
    unsafe {
        let mut best: [T; W] = std::array::from_fn(|k| x.offset(k as isize * xr).read());
        let mut at = [0i64; W];
        for j in 0..len {
            let (x, out) = (x.offset(j * xs), out.offset(j * os));
            let new: [T; W] = std::array::from_fn(|k| x.offset(k as isize * xr).read());
            for k in 0..W {
                // A number never wins against NaN.
                let newer = is_nan(new[k]) | wins(new[k], best[k]);
                best[k] = if newer { new[k] } else { best[k] };
                at[k] = if newer { j as i64 } else { at[k] };
            }
            for k in 0..W {
                out.offset(k as isize * or).write(best[k]);
            }
            if let Some(indices) = indices {
                for k in 0..W {
                    indices.offset(j * is + k as isize * ir).write(at[k]);
                }
            }
        }
    }
}
