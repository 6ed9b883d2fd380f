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
    /// Calls `f(starts of a line)` for every line, possibly in parallel.
    fn each(&self, f: impl Fn([isize; 3]) + Sync) {
        // An empty line has nothing to write, and there may be many of them.
        if let Some(grain) = (GRAIN / 4).checked_div(self.len) {
            pool::for_ranges(self.starts.len(), grain, |range| self.starts.each(range, &f));
        }
    }
}

fn running<T: Number>(
    x: View,
    dim: usize,
    out: &mut ViewMut,
    identity: T::Wide,
    join: impl Fn(T::Wide, T::Wide) -> T::Wide + Sync,
) {
    let lines = Lines::new(x.layout, out.layout, out.layout, dim);
    let [xs, os, _] = lines.steps;
    let out = &*out;
    lines.each(|[xa, oa, _]| {
        let mut total = identity;
        for j in 0..lines.len as isize {
            // SAFETY: positions of a line of both layouts; where out is x, an element is read before it is written. Lines are disjoint.
            unsafe {
                total = join(total, x.ptr::<T>().offset(xa + j * xs).read().wide());
                out.ptr::<T>().offset(oa + j * os).write(T::from_wide(total));
            }
        }
    });
}

/// `wins(new, best)` decides on equal elements too: the latest position is kept, and so is the latest NaN.
fn extreme<T: Number>(x: View, dim: usize, out: &mut ViewMut, indices: Option<&mut ViewMut>, wins: impl Fn(T, T) -> bool + Sync) {
    let indices = indices.as_deref();
    let lines = Lines::new(x.layout, out.layout, indices.map_or(out.layout, |i| i.layout), dim);
    let [xs, os, is] = lines.steps;
    let out = &*out;
    #[allow(clippy::eq_op, reason = "only NaN differs from itself")]
    let is_nan = |v: T| v != v;
    lines.each(|[xa, oa, ia]| {
        // SAFETY: a line has an element.
        let mut best = unsafe { x.ptr::<T>().offset(xa).read() };
        let mut at = 0;
        for j in 0..lines.len as isize {
            // SAFETY: as in `running`; `indices` has x's shape and holds i64.
            unsafe {
                let new = x.ptr::<T>().offset(xa + j * xs).read();
                if is_nan(new) || (!is_nan(best) && wins(new, best)) {
                    (best, at) = (new, j);
                }
                out.ptr::<T>().offset(oa + j * os).write(best);
                if let Some(indices) = indices {
                    indices.ptr::<i64>().offset(ia + j * is).write(at as i64);
                }
            }
        }
    });
}
