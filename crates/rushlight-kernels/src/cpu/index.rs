//! Gather, scatter, take, put, nonzero.
//!
//! Every index is checked before the first element is written. Where destinations may repeat, work is split so that the writes
//! to one destination stay within one task, in row-major order of the index: results do not depend on threads.

use super::number::{Arith, Number};
use super::pool;
use super::walk::{GRAIN, Grid, at_least_1d, by_width, same_memory, to_vec, without};
use crate::backend::*;
use crate::*;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(test)]
mod tests;

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

/// See [`Backend`].
pub fn gather(x: View, dim: usize, index: View, out: &mut ViewMut) -> Result<()> {
    let (xl, il, ol) = (at_least_1d(x.layout), at_least_1d(index.layout), at_least_1d(out.layout));
    with_index!(index, I => {
        // SAFETY: `I` is index's type, `il` its layout.
        unsafe { check::<I>(index.ptr(), &il, 0, dim, xl.shape[dim])? };
        by_width!(x.dtype, T => {
            if same_memory(&x, out) {
                // SAFETY: as wide as x's type, and every bit pattern is valid.
                let copy = unsafe { to_vec::<T>(x.ptr(), &xl) };
                let xl = Layout::contiguous(&xl.shape);
                // SAFETY: the copy has x's shape; indices were checked.
                unsafe { gather_lines::<T, I>(copy.as_ptr(), &xl, dim, index.ptr(), &il, out, &ol) };
            } else {
                // SAFETY: indices were checked.
                unsafe { gather_lines::<T, I>(x.ptr(), &xl, dim, index.ptr(), &il, out, &ol) };
            }
        });
    });
    Ok(())
}

/// # Safety
/// `x` and `index` are readable under their layouts, `out` is as wide as `T`, every index is within `dim`.
unsafe fn gather_lines<T: Copy + Sync, I: Index>(
    x: *const T,
    xl: &Layout,
    dim: usize,
    index: *const I,
    il: &Layout,
    out: &mut ViewMut,
    ol: &Layout,
) {
    let step = xl.strides[dim];
    let grid = Grid::new(&il.shape, [&without(&xl.strides, dim), &il.strides, &ol.strides]);
    let [xs, is, os] = grid.inner();
    let (x, index, out) = (Ptr(x), Ptr(index), &*out);
    pool::for_ranges(grid.len(), GRAIN, |range| {
        grid.runs(range, &mut |[xa, ia, oa], n| {
            for j in 0..n as isize {
                // SAFETY: positions of one index in three layouts; `i` was checked. Tasks write disjoint ranges of `out`.
                unsafe {
                    let i = index.get().offset(ia + j * is).read().get() as isize;
                    out.ptr::<T>().offset(oa + j * os).write(x.get().offset(xa + j * xs + i * step).read());
                }
            }
        });
    });
}

/// A pointer that tasks share.
#[derive(Clone, Copy)]
struct Ptr<T>(*const T);
// SAFETY: stands for a shared slice that outlives the tasks; only read.
unsafe impl<T: Sync> Sync for Ptr<T> {}
impl<T> Ptr<T> {
    fn get(self) -> *const T {
        self.0
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
    // One comparison per index: shifted by `wrap`, an index is in range if it is below `size + wrap` as an unsigned number.
    let out_of_range = |i: i64| i.wrapping_add(wrap as i64) as u64 >= (size + wrap) as u64;
    let bad = AtomicBool::new(false);
    pool::for_ranges(grid.len(), GRAIN, |range| {
        let mut any = false;
        grid.runs(range, &mut |[at], n| {
            for j in 0..n as isize {
                // SAFETY: a position of the layout.
                any |= out_of_range(unsafe { index.get().offset(at + j * step).read() }.get());
            }
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
    let first = all.into_iter().map(Index::get).find(|&i| out_of_range(i)).unwrap_or_default();
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
    join: impl Fn(T, T) -> T + Sync,
) {
    let numel = il.numel();
    if numel == 0 {
        return;
    }
    let axis = (0..il.rank()).filter(|&d| d != dim).max_by_key(|&d| il.shape[d]);
    let (rows, grain) = match axis {
        Some(d) => (il.shape[d], (GRAIN / (numel / il.shape[d])).max(1)),
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
            for j in 0..n as isize {
                // SAFETY: positions of one index in three layouts; `i` was checked. Tasks differ in `axis`, so no two of them
                // meet in an element of `out`.
                unsafe {
                    let i = index.get().offset(start[0] + ia + j * is).read().get() as isize;
                    let new = src.get().offset(start[1] + sa + j * ss).read();
                    let to = out.ptr::<T>().offset(start[2] + oa + j * os + i * step);
                    to.write(join(to.read(), new));
                }
            }
        });
    });
}

/// Where each index tuple points, in elements from `x[0, …]`, after checking and wrapping; in row-major order of the indices.
fn resolve(indices: &[View], shape: &[usize], strides: &[isize]) -> Result<Vec<isize>> {
    let n = indices.first().map_or(1, |v| v.numel());
    let mut at = vec![0isize; n];
    for (dim, index) in indices.iter().enumerate() {
        let (size, step) = (shape[dim], strides[dim]);
        with_index!(index, I => {
            let grid = Grid::new(&index.layout.shape, [&index.layout.strides]);
            let mut slots = at.iter_mut();
            // SAFETY: `I` is index's type and the grid follows its layout.
            unsafe {
                check::<I>(index.ptr(), index.layout, size, dim, size)?;
                grid.each(0..n, |[p]| {
                    let i = index.ptr::<I>().offset(p).read().get();
                    let i = if i < 0 { i + size as i64 } else { i };
                    *slots.next().expect("one slot per index") += i as isize * step;
                });
            }
        });
    }
    Ok(at)
}

/// The two sides of `take` and `put`: `outer` walks the index positions of the dense side, `rest` the trailing dimensions of both.
struct Rows {
    outer: Grid<1>,
    /// Strides of the indexed side, then of the dense side.
    rest: Grid<2>,
}

impl Rows {
    fn new(indexed: &Layout, dense: &Layout, indices: usize) -> Rows {
        let lead = dense.rank() + indices - indexed.rank();
        Rows {
            outer: Grid::new(&dense.shape[..lead], [&dense.strides[..lead]]),
            rest: Grid::new(&dense.shape[lead..], [&indexed.strides[indices..], &dense.strides[lead..]]),
        }
    }
    /// Calls `f(row position in the dense side)` for rows `range`, in order.
    fn each(&self, range: Range<usize>, mut f: impl FnMut(usize, isize)) {
        let mut row = range.start;
        self.outer.each(range, |[at]| {
            f(row, at);
            row += 1;
        });
    }
}

/// See [`Backend`].
pub fn take(x: View, indices: &[View], out: &mut ViewMut) -> Result<()> {
    let from = resolve(indices, x.shape(), x.strides())?;
    let rows = Rows::new(x.layout, out.layout, indices.len());
    let width = rows.rest.len();
    if from.is_empty() || width == 0 {
        return Ok(());
    }
    by_width!(x.dtype, T => {
        // SAFETY: as wide as x's type.
        let copy = same_memory(&x, out).then(|| unsafe { to_vec::<T>(x.ptr(), x.layout) });
        if let Some(copy) = copy {
            let layout = Layout::contiguous(x.shape());
            let from = resolve(indices, &layout.shape, &layout.strides)?;
            let rows = Rows::new(&layout, out.layout, indices.len());
            // SAFETY: positions were checked.
            unsafe { take_rows(copy.as_ptr(), &from, &rows, out) };
        } else {
            // SAFETY: positions were checked.
            unsafe { take_rows::<T>(x.ptr(), &from, &rows, out) };
        }
    });
    Ok(())
}

/// # Safety
/// `x` is readable at every position of `from` plus `rows.rest`; `out` is as wide as `T`.
unsafe fn take_rows<T: Copy + Sync>(x: *const T, from: &[isize], rows: &Rows, out: &mut ViewMut) {
    let width = rows.rest.len();
    let [xs, os] = rows.rest.inner();
    let (x, out) = (Ptr(x), &*out);
    // Long rows are split too: a task is a block of rows or a piece of one.
    let pieces = width.div_ceil(GRAIN);
    let grain = (GRAIN / width).max(1);
    pool::for_ranges(from.len() * pieces, grain, |range| {
        let columns = |piece: usize| piece * GRAIN..((piece + 1) * GRAIN).min(width);
        let (first, piece) = (range.start / pieces, range.start % pieces);
        let block = if pieces == 1 { range } else { first..first + 1 };
        rows.each(block, |row, at| {
            rows.rest.runs(columns(piece), &mut |[xa, oa], n| {
                // SAFETY: `from[row]` was checked, the rest follows both layouts; tasks write disjoint parts of `out`.
                unsafe {
                    let src = x.get().offset(from[row] + xa);
                    let dst = out.ptr::<T>().offset(at + oa);
                    if xs == 1 && os == 1 {
                        dst.copy_from_nonoverlapping(src, n);
                    } else {
                        (0..n as isize).for_each(|j| dst.offset(j * os).write(src.offset(j * xs).read()));
                    }
                }
            });
        });
    });
}

/// See [`Backend`].
pub fn put(op: ScatterOp, indices: &[View], src: View, out: &mut ViewMut) -> Result<()> {
    let to = resolve(indices, out.shape(), out.strides())?;
    join_by_op!(op, out.dtype, T, join => {
        if same_memory(&src, out) {
            // SAFETY: `T` is as wide as src's type.
            let copy = unsafe { to_vec::<T>(src.ptr(), src.layout) };
            let layout = Layout::contiguous(src.shape());
            let rows = Rows::new(out.layout, &layout, indices.len());
            // SAFETY: positions were checked.
            unsafe { put_rows(copy.as_ptr(), &to, &rows, out, join) };
        } else {
            let rows = Rows::new(out.layout, src.layout, indices.len());
            // SAFETY: positions were checked.
            unsafe { put_rows(src.ptr::<T>(), &to, &rows, out, join) };
        }
    });
    Ok(())
}

/// Columns of the trailing dimensions that one task of `put` owns.
const PUT_COLUMNS: usize = 128;

/// Tasks own column ranges and go through the rows in order, so repeated rows join in the order of the index.
///
/// # Safety
/// `out` holds `T`s and is writable at every position of `to` plus `rows.rest`; `src` is readable under its layout.
unsafe fn put_rows<T: Copy + Sync>(src: *const T, to: &[isize], rows: &Rows, out: &mut ViewMut, join: impl Fn(T, T) -> T + Sync) {
    let width = rows.rest.len();
    if to.is_empty() || width == 0 {
        return;
    }
    let [os, ss] = rows.rest.inner();
    let (src, out) = (Ptr(src), &*out);
    // Narrow work is not worth a second pass over the rows.
    let columns = if to.len() * width <= GRAIN { width } else { PUT_COLUMNS.max(GRAIN / to.len()) };
    pool::for_ranges(width, columns, |range| {
        rows.each(0..to.len(), |row, at| {
            rows.rest.runs(range.clone(), &mut |[oa, sa], n| {
                // SAFETY: `to[row]` was checked, the rest follows both layouts; tasks own disjoint columns of `out`.
                unsafe {
                    let from = src.get().offset(at + sa);
                    let dst = out.ptr::<T>().offset(to[row] + oa);
                    if os == 1 && ss == 1 {
                        let (dst, from) = (std::slice::from_raw_parts_mut(dst, n), std::slice::from_raw_parts(from, n));
                        dst.iter_mut().zip(from).for_each(|(d, s)| *d = join(*d, *s));
                    } else {
                        for j in 0..n as isize {
                            let d = dst.offset(j * os);
                            d.write(join(d.read(), from.offset(j * ss).read()));
                        }
                    }
                }
            });
        });
    });
}

/// See [`Backend`].
pub fn nonzero(x: View) -> Result<Vec<i64>> {
    let grid = Grid::new(x.shape(), [x.strides()]);
    let [step] = grid.inner();
    let tasks = grid.len().div_ceil(GRAIN);
    let parts: Vec<std::sync::Mutex<Vec<i64>>> = (0..tasks).map(|_| Default::default()).collect();
    dispatch!(x.dtype, T => pool::for_ranges(grid.len(), GRAIN, |range| {
        let mut found = Vec::new();
        let task = range.start / GRAIN;
        let mut number = range.start as i64;
        grid.runs(range, &mut |[at], n| {
            for j in 0..n as isize {
                // SAFETY: a position of x's layout.
                if unsafe { x.ptr::<T>().offset(at + j * step).read() }.is_true() {
                    found.push(number + j as i64);
                }
            }
            number += n as i64;
        });
        *parts[task].lock().expect("no task panics while it holds the lock") = found;
    }));
    Ok(parts.into_iter().flat_map(|p| p.into_inner().expect("no task panicked")).collect())
}
