//! Gather, scatter, take, put, nonzero.
//!
//! Before an element of a tensor that lives on is overwritten, every index has been checked; what reads into fresh memory checks as it goes.
//! Where destinations may repeat, work is split so that the writes to one destination stay within one task, in row-major order of the
//! index: results do not depend on threads.
//!
//! The inner loops are functions that take all they need by value: through a closure's environment, every store might change a bound.

use super::moves;
use super::number::{Arith, Number};
use super::pool;
use super::simd::{self, Body, Isa};
use super::walk::{GRAIN, Grid, at_least_1d, by_width, same_memory, to_vec, without};
use crate::backend::*;
use crate::*;
use std::sync::atomic::{AtomicBool, Ordering};

mod masks;
mod places;
#[cfg(test)]
mod tests;

pub use masks::{compress, nonzero, tally};
pub use places::{put, take};

/// An element type of index tensors.
trait Index: Copy + Send + Sync {
    fn get(self) -> i64;
}
impl Index for i64 {
    #[inline(always)]
    fn get(self) -> i64 {
        self
    }
}
impl Index for i32 {
    #[inline(always)]
    fn get(self) -> i64 {
        self as i64
    }
}

/// Runs the block with `$I` standing for the index type.
macro_rules! with_index {
    ($index:expr, $I:ident => $body:expr) => {
        match $index.dtype {
            DType::I64 => {
                type $I = i64;
                $body
            }
            DType::I32 => {
                type $I = i32;
                $body
            }
            d => return Err(Error::index(format!("tensors used as indices must be long or int tensors, got {d}"))),
        }
    };
}

use with_index;

/// See [`Backend`].
pub fn gather(x: View, dim: usize, index: View, out: &mut ViewMut) -> Result<()> {
    let (xl, il, ol) = (at_least_1d(x.layout), at_least_1d(index.layout), at_least_1d(out.layout));
    let size = xl.shape[dim];
    with_index!(index, I => {
        if same_memory(&x, out) {
            // SAFETY: `I` is index's type, `il` its layout.
            unsafe { check::<I>(index.ptr(), &il, 0, dim, size)? };
        }
        let all_inside = by_width!(x.dtype, T => {
            if same_memory(&x, out) {
                // SAFETY: as wide as x's type, and every bit pattern is valid.
                let copy = unsafe { to_vec::<T>(x.ptr(), &xl) };
                let xl = Layout::contiguous(&xl.shape);
                // SAFETY: the copy has x's shape.
                unsafe { gather_lines::<T, I>(copy.as_ptr(), &xl, dim, index.ptr(), &il, out, &ol) }
            } else {
                // SAFETY: the views' own layouts.
                unsafe { gather_lines::<T, I>(x.ptr(), &xl, dim, index.ptr(), &il, out, &ol) }
            }
        });
        if !all_inside {
            // SAFETY: as above.
            unsafe { check::<I>(index.ptr(), &il, 0, dim, size)? };
        }
    });
    Ok(())
}

/// Whether every index was within `dim`; what those that are not have fetched is unspecified.
///
/// # Safety
/// `x` and `index` are readable under their layouts, `out` is as wide as `T`.
unsafe fn gather_lines<T: Copy + Sync, I: Index>(
    x: *const T,
    xl: &Layout,
    dim: usize,
    index: *const I,
    il: &Layout,
    out: &mut ViewMut,
    ol: &Layout,
) -> bool {
    let (step, size) = (xl.strides[dim], xl.shape[dim]);
    let outside = AtomicBool::new(false);
    let out = &*out;
    // Two loops that LLVM can unroll: along the indexed dimension, and across it.
    let fetch = |[x, index, out]: [isize; 3], [xs, is, os]: [isize; 3], n: usize, (xp, ip, op): (Ptr<T>, Ptr<I>, *mut T)| {
        // SAFETY: positions of one index in three layouts. Tasks write disjoint parts of `out`.
        unsafe {
            let (x, index, out) = (xp.get().offset(x), ip.get().offset(index), op.offset(out));
            match (xs, is, os) {
                (0, 1, 1) if step == 1 => fetch(x, 0, 1, size, index, 1, out, 1, n),
                (0, 1, 1) => fetch(x, 0, step, size, index, 1, out, 1, n),
                (1, 1, 1) => fetch(x, 1, step, size, index, 1, out, 1, n),
                _ => fetch(x, xs, step, size, index, is, out, os, n),
            }
        }
    };
    let (x, index) = (Ptr(x), Ptr(index));
    let strides = [&without(&xl.strides, dim), &il.strides, &ol.strides];
    let grid = Grid::new(&il.shape, strides.map(|s| s.as_slice()));
    let inner = grid.inner();
    pool::for_ranges(grid.len(), GRAIN, |range| {
        let (mut any, op) = (false, out.ptr::<T>());
        grid.runs(range, &mut |at, n| any |= fetch(at, inner, n, (x, index, op)));
        if any {
            outside.store(true, Ordering::Relaxed);
        }
    });
    !outside.into_inner()
}

/// `out[j * os] = x[j * xs + index[j * is] * step]` for `n` of them, up to an index that is outside of `size`; whether there was one.
///
/// # Safety
/// All of it is valid.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "three strided operands")]
unsafe fn fetch<T: Copy, I: Index>(
    x: *const T,
    xs: isize,
    step: isize,
    size: usize,
    index: *const I,
    is: isize,
    out: *mut T,
    os: isize,
    n: usize,
) -> bool {
    for j in 0..n as isize {
        // SAFETY: the caller's.
        unsafe {
            let i = index.offset(j * is).read().get();
            // A branch that is never taken is cheaper than to gather what or-ed indices tell.
            if i as u64 >= size as u64 {
                return true;
            }
            out.offset(j * os).write(x.offset(j * xs + i as isize * step).read());
        }
    }
    false
}

/// A pointer that tasks share.
struct Ptr<T>(*const T);
impl<T> Clone for Ptr<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Ptr<T> {}
// SAFETY: stands for a shared slice that outlives the tasks; only read.
unsafe impl<T: Sync> Sync for Ptr<T> {}
impl<T> Ptr<T> {
    fn get(self) -> *const T {
        self.0
    }
}

/// Whether one of `n` indices is outside of `-wrap..size`.
struct AnyOutside<I> {
    index: Ptr<I>,
    step: isize,
    n: usize,
    wrap: usize,
    size: usize,
}

impl<I: Index> Body for AnyOutside<I> {
    type Out = bool;
    #[inline(always)]
    fn run<S: Isa>(self) -> bool {
        // The sign of what is or-ed tells, without a branch.
        let (wrap, last) = (self.wrap as i64, (self.size + self.wrap) as i64 - 1);
        let mut outside = 0;
        for j in 0..self.n as isize {
            // SAFETY: who made it has seen to it that the indices may be read.
            let i = unsafe { self.index.get().offset(j * self.step).read() }.get().wrapping_add(wrap);
            outside |= i | last.wrapping_sub(i);
        }
        outside < 0
    }
}

/// Fails unless every index is in `-wrap..size`, naming the first in row-major order that is not.
///
/// # Safety
/// `index` is readable under `layout`.
unsafe fn check<I: Index>(index: *const I, layout: &Layout, wrap: usize, dim: usize, size: usize) -> Result<()> {
    let grid = Grid::new(&layout.shape, [&layout.strides]);
    let [step] = grid.inner();
    let index = Ptr(index);
    let bad = AtomicBool::new(false);
    pool::for_ranges(grid.len(), GRAIN, |range| {
        let mut any = false;
        grid.runs(range, &mut |[at], n| {
            let index = Ptr(index.get().wrapping_offset(at));
            any |= if step == 1 {
                simd::run_widest(AnyOutside { index, step: 1, n, wrap, size })
            } else {
                simd::run(AnyOutside { index, step, n, wrap, size })
            };
        });
        if any {
            bad.store(true, Ordering::Relaxed);
        }
    });
    if !bad.into_inner() {
        return Ok(());
    }
    // SAFETY: as above.
    let all = unsafe { to_vec(index.get(), layout) };
    let inside = -(wrap as i64)..size as i64;
    let first = all.into_iter().map(Index::get).find(|i| !inside.contains(i)).unwrap_or_default();
    Err(index_error(first, dim, size))
}

/// See [`Backend`].
pub fn scatter(op: ScatterOp, dim: usize, index: View, src: View, out: &mut ViewMut) -> Result<()> {
    let (il, sl, ol) = (at_least_1d(index.layout), at_least_1d(src.layout), at_least_1d(out.layout));
    with_index!(index, I => {
        // SAFETY: `I` is index's type, `il` its layout.
        unsafe { check::<I>(index.ptr(), &il, 0, dim, ol.shape[dim])? };
        // Writing must not change what is still to be read.
        // SAFETY: as above.
        let index_copy = same_memory(&index, out).then(|| unsafe { to_vec::<I>(index.ptr(), &il) });
        let (iptr, il) = match &index_copy {
            Some(v) => (v.as_ptr(), Layout::contiguous(&il.shape)),
            None => (index.ptr::<I>(), il),
        };
        join_by_op!(op, out.dtype, T, join => {
            // SAFETY: `T` is as wide as src's type.
            let src_copy = same_memory(&src, out).then(|| unsafe { to_vec::<T>(src.ptr(), &sl) });
            let (sptr, sl) = match &src_copy {
                Some(v) => (v.as_ptr(), Layout::contiguous(&sl.shape)),
                None => (src.ptr::<T>(), sl),
            };
            // SAFETY: indices were checked; src covers index's shape.
            unsafe { scatter_lines(iptr, &il, dim, sptr, &sl, out, &ol, join) };
        });
    });
    Ok(())
}

/// Runs the block with `$T` an element type and `$join: fn(old: T, new: T) -> T` for the scatter op.
macro_rules! join_by_op {
    ($op:expr, $dtype:expr, $T:ident, $join:ident => $body:expr) => {
        match $op {
            ScatterOp::Set => by_width!($dtype, $T => { let $join = |_: $T, new: $T| new; $body }),
            ScatterOp::Add => dispatch!($dtype, $T => { let $join = |a: $T, b: $T| $T::down(a.up().add(b.up())); $body }),
            ScatterOp::Mul => dispatch!($dtype, $T => { let $join = |a: $T, b: $T| $T::down(a.up().mul(b.up())); $body }),
            ScatterOp::Min => dispatch!($dtype, $T => { let $join = |a: $T, b: $T| $T::down(Arith::min(a.up(), b.up())); $body }),
            ScatterOp::Max => dispatch!($dtype, $T => { let $join = |a: $T, b: $T| $T::down(Arith::max(a.up(), b.up())); $body }),
        }
    };
}
use join_by_op;

/// Two indices can only meet in one destination if they agree in every dimension but `dim`, so tasks are slices of the longest
/// other dimension, and each goes through its part in row-major order.
///
/// # Safety
/// `index` and `src` are readable under their layouts (src's covers index's shape), `out` holds `T`s, every index is within `dim`.
unsafe fn scatter_lines<T: Copy + Sync, I: Index>(
    index: *const I,
    il: &Layout,
    dim: usize,
    src: *const T,
    sl: &Layout,
    out: &mut ViewMut,
    ol: &Layout,
    join: impl Fn(T, T) -> T + Sync + Copy,
) {
    let numel = il.numel();
    if numel == 0 {
        return;
    }
    let axis = (0..il.rank()).filter(|&d| d != dim).max_by_key(|&d| il.shape[d]);
    let (rows, grain) = match axis {
        // Few and wide parts: neighbours share cache lines and pages.
        Some(d) => (il.shape[d], (GRAIN / (numel / il.shape[d])).max(il.shape[d].div_ceil(16))),
        None => (1, 1),
    };
    let step = ol.strides[dim];
    let destination = without(&ol.strides, dim);
    let (index, src, out) = (Ptr(index), Ptr(src), &*out);
    pool::for_ranges(rows, grain, |range| {
        let mut shape = il.shape.clone();
        let mut start = [0isize; 3];
        if let Some(d) = axis {
            shape[d] = range.len();
            start = [&il.strides, &sl.strides, &ol.strides].map(|s| s[d] * range.start as isize);
        }
        let grid = Grid::new(&shape, [&il.strides, &sl.strides, &destination]);
        let [is, ss, os] = grid.inner();
        grid.runs(0..grid.len(), &mut |[ia, sa, oa], n| {
            // SAFETY: positions of one index in three layouts; indices were checked. Tasks differ in `axis`, so no two of them meet in an
            // element of `out`.
            unsafe {
                let index = index.get().offset(start[0] + ia);
                let src = src.get().offset(start[1] + sa);
                let out = out.ptr::<T>().offset(start[2] + oa);
                match (is, ss, os) {
                    (1, 1, 0) => send(index, 1, src, 1, out, 0, step, n, join),
                    (1, 1, 1) => send(index, 1, src, 1, out, 1, step, n, join),
                    _ => send(index, is, src, ss, out, os, step, n, join),
                }
            }
        });
    });
}

/// Joins `src[j * ss]` into `out[j * os + index[j * is] * step]` for `n` of them, in order.
///
/// # Safety
/// All of it is valid.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "three strided operands")]
unsafe fn send<T: Copy, I: Index>(
    index: *const I,
    is: isize,
    src: *const T,
    ss: isize,
    out: *mut T,
    os: isize,
    step: isize,
    n: usize,
    join: impl Fn(T, T) -> T,
) {
    for j in 0..n as isize {
        // SAFETY: the caller's.
        unsafe {
            let to = out.offset(j * os + index.offset(j * is).read().get() as isize * step);
            to.write(join(to.read(), src.offset(j * ss).read()));
        }
    }
}
