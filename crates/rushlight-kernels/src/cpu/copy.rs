//! Copying elements from one layout to another, side by side, and in part.
//!
//! What becomes contiguous goes through `moves`. Otherwise the dimensions are put in the order of the output's strides and merged, so that rows
//! are as long as they can be: a copy of a transposed matrix to a transposed one is a single row.

use super::moves;
use super::pool;
use super::walk::{GRAIN, Grid, by_width, same_memory};
use crate::backend::{View, ViewMut};
use crate::layout::collapse;
use crate::{Dims, Layout, Strides};
use smallvec::SmallVec;
use std::mem::MaybeUninit;
use std::ops::Range;

mod surround;
#[cfg(test)]
mod tests;

pub(super) use surround::surround;

/// Where the parts of a join have fewer bytes in a row, a copy of each column costs less than a call for each row.
const NARROW: usize = 64;

/// Copies `x` to `out`, which has its shape and dtype, and is exactly `x` or overlaps it nowhere.
pub(super) fn copy(x: View, out: &mut ViewMut) {
    if out.numel() == 0 || same_memory(&x, out) && x.layout == out.layout {
        return;
    }
    if out.layout.is_contiguous() {
        return moves::copy(&x, out);
    }
    // SAFETY: the views are of elements as wide as `T`, and apart.
    by_width!(x.dtype, T => unsafe { copy_as::<T>(x.ptr(), x.strides(), out.ptr(), out.strides(), x.shape()) });
}

/// See [`Backend::join`](crate::backend::Backend).
pub(super) fn join(parts: &[View], dim: usize, out: &mut ViewMut) {
    let whole = out.layout.clone();
    if whole.numel() == 0 {
        return;
    }
    let size = out.dtype.size();
    let (outer, inner): (usize, usize) = (whole.shape[..dim].iter().product(), whole.shape[dim + 1..].iter().product());
    let row = whole.shape[dim] * inner;
    let contiguous = whole.is_contiguous() && parts.iter().all(|p| p.layout.is_contiguous());
    // Row by row, out is written from its start to its end. Large parts are cut up one after the other, narrow ones copied column by column.
    let by_rows = outer * row <= GRAIN || row <= GRAIN && row * size >= parts.len() * NARROW;
    if contiguous && by_rows {
        let first = |p: *const u8, layout: &Layout| p.wrapping_add(layout.offset * (size - 1));
        let parts: SmallVec<[(Ends<u8>, usize); 8]> = parts
            .iter()
            .map(|p| (Ends(first(p.ptr(), p.layout), first(out.ptr::<u8>(), &whole).cast_mut()), p.shape()[dim] * inner * size))
            .collect();
        pool::for_ranges(outer, GRAIN / row, |range| {
            let mut at = (range.start * row * size) as isize;
            for o in range {
                for (ends, bytes) in &parts {
                    let (from, to) = ends.at([(o * bytes) as isize, at]);
                    // SAFETY: contiguous, so rows of the parts follow each other in `out`; nothing overlaps it.
                    unsafe { to.copy_from_nonoverlapping(from, *bytes) };
                    at += *bytes as isize;
                }
            }
        });
        return;
    }
    let mut at = 0;
    for p in parts {
        let n = p.shape()[dim];
        copy(*p, &mut out.with_layout(&whole.narrow(dim, at, n)));
        at += n;
    }
}

/// See [`Backend::triangle`](crate::backend::Backend).
pub(super) fn triangle(x: View, diagonal: i64, lower: bool, out: &mut ViewMut) {
    let [.., rows, cols] = *x.shape() else { unreachable!("the caller has checked the rank") };
    if x.numel() == 0 {
        return;
    }
    by_width!(x.dtype, T => {
        let ends = Ends(x.ptr::<T>(), out.ptr::<T>());
        pool::for_ranges(x.numel() / cols, (GRAIN / cols).max(1), |range| {
            for i in range {
                let from_diagonal = ((i % rows) as i64).saturating_add(diagonal);
                let edge = from_diagonal.saturating_add(lower as i64).clamp(0, cols as i64) as usize;
                let (kept, gone) = if lower { (0..edge, edge..cols) } else { (edge..cols, 0..edge) };
                let at = (i * cols) as isize;
                let (x, out) = ends.at([at, at]);
                // SAFETY: a row of both, which are contiguous and apart. All dtypes' zeros are zero bits.
                unsafe {
                    out.add(kept.start).copy_from_nonoverlapping(x.add(kept.start), kept.len());
                    out.add(gone.start).write_bytes(0, gone.len());
                }
            }
        });
    });
}

/// Pointers that tasks share.
#[derive(Clone, Copy)]
struct Ends<T>(*const T, *mut T);
// SAFETY: tasks read the one and write disjoint parts of the other.
unsafe impl<T: Sync> Sync for Ends<T> {}
impl<T> Ends<T> {
    fn at(&self, [x, o]: [isize; 2]) -> (*const T, *mut T) {
        (self.0.wrapping_offset(x), self.1.wrapping_offset(o))
    }
}

/// # Safety
/// Elements of `shape` under both sets of strides may be read from `x` and written to `out`, which overlap nowhere.
unsafe fn copy_as<T: Copy + Send + Sync>(x: *const T, xs: &[isize], out: *mut T, os: &[isize], shape: &[usize]) {
    let mut order: Dims = (0..shape.len()).filter(|&d| shape[d] != 1).collect();
    order.sort_by_key(|&d| std::cmp::Reverse(os[d].unsigned_abs()));
    let sorted = |s: &[isize]| order.iter().map(|&d| s[d]).collect::<Strides>();
    let sizes: Dims = order.iter().map(|&d| shape[d]).collect();
    let (dims, strides) = collapse(&sizes, &[&sorted(xs), &sorted(os)]);
    if dims.contains(&0) {
        return;
    }
    let (xs, os) = (&strides[0], &strides[1]);
    let last = dims.len() - 1;
    let ends = Ends(x, out);
    let row = Row { n: dims[last], xs: xs[last], os: os[last] };
    // SAFETY: as above.
    unsafe { row.copy_all(ends, &Grid::new(&dims[..last], [&xs[..last], &os[..last]])) }
}

/// Elements that lie `xs` apart in the input and `os` apart in the output.
#[derive(Clone, Copy)]
struct Row {
    n: usize,
    xs: isize,
    os: isize,
}

impl Row {
    unsafe fn copy_all<T: Copy + Send + Sync>(self, ends: Ends<T>, rows: &Grid<2>) {
        let pieces = self.n.div_ceil(GRAIN);
        let [xr, or] = rows.inner();
        if pieces > 1 {
            pool::run(rows.len() * pieces, |i| {
                let piece = i % pieces * GRAIN..(i % pieces * GRAIN + GRAIN).min(self.n);
                rows.each(i / pieces..i / pieces + 1, |at| {
                    // SAFETY: a piece of a row.
                    unsafe { self.copy(ends.at(at), piece.clone()) }
                });
            });
            return;
        }
        pool::for_ranges(rows.len(), GRAIN / self.n, |range| {
            rows.runs(range, &mut |[xa, oa], count| {
                let (this, ends) = (self, ends);
                if (this.xs, this.os) == (1, 1) {
                    let place = move |k: usize| {
                        let (x, out) = ends.at([xa + k as isize * xr, oa + k as isize * or]);
                        (x.cast::<u8>(), out.cast::<u8>())
                    };
                    // SAFETY: rows of both layouts.
                    return unsafe { moves::rows(this.n * size_of::<T>(), count, place) };
                }
                for k in 0..count as isize {
                    // SAFETY: a row of both layouts.
                    unsafe { this.copy(ends.at([xa + k * xr, oa + k * or]), 0..this.n) }
                }
            });
        });
    }

    /// Elements `part` of the row that begins at `x` and `out`.
    #[inline]
    unsafe fn copy<T: Copy + Send + Sync>(self, (x, out): (*const T, *mut T), part: Range<usize>) {
        let (xs, os, n) = (self.xs, self.os, part.len());
        // SAFETY: the caller's.
        unsafe {
            let (x, out) = (x.offset(part.start as isize * xs), out.offset(part.start as isize * os));
            match os {
                1 => moves::run(x, xs, std::slice::from_raw_parts_mut(out.cast::<MaybeUninit<T>>(), n)),
                _ => (0..n as isize).for_each(|i| out.offset(i * os).write(x.offset(i * xs).read())),
            }
        }
    }
}
