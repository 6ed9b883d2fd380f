//! A block with margins around it: one pass, in which each task writes rows from their first element to their last.

use super::Ends;
use crate::backend::{View, ViewMut};
use crate::cpu::simd::{self, Body, Isa};
use crate::cpu::walk::{GRAIN, by_width};
use crate::cpu::{moves, pool};
use crate::{Scalar, dispatch};
use smallvec::SmallVec;
use std::mem::MaybeUninit;

/// One dimension of the result: elements `start..start + block` of `whole` are the block's, which lie `step` apart in it.
#[derive(Clone, Copy)]
struct Dim {
    whole: usize,
    start: usize,
    block: usize,
    step: isize,
}

impl Dim {
    /// Where element `i` lies in the block, if it is of it.
    fn place(self, i: usize) -> Option<isize> {
        let i = i.checked_sub(self.start).filter(|&i| i < self.block)?;
        Some(i as isize * self.step)
    }
}

/// Dimensions from the last to the first, at least two of them; those without margins are merged with the one before where their elements
/// follow each other.
fn dims(x: &View, starts: &[usize], out: &ViewMut) -> SmallVec<[Dim; 6]> {
    let mut dims: SmallVec<[Dim; 6]> = SmallVec::new();
    for (d, &start) in starts.iter().enumerate().rev() {
        let dim = Dim { whole: out.shape()[d], start, block: x.shape()[d], step: x.strides()[d] };
        match dims.last_mut() {
            Some(inner) if inner.whole == inner.block && dim.step == inner.step * inner.block as isize => {
                let n = inner.block;
                *inner = Dim { whole: dim.whole * n, start: dim.start * n, block: dim.block * n, step: inner.step };
            }
            _ => dims.push(dim),
        }
    }
    while dims.len() < 2 {
        dims.push(Dim { whole: 1, start: 0, block: 1, step: 0 });
    }
    dims
}

/// See [`Backend::surround`](crate::backend::Backend).
pub(in crate::cpu) fn surround(x: View, starts: &[usize], value: Scalar, out: &mut ViewMut) {
    if out.numel() == 0 {
        return;
    }
    let dims = dims(&x, starts, out);
    let mut bits = [0; 8];
    // SAFETY: no element is larger than eight bytes.
    dispatch!(out.dtype, T => unsafe { bits.as_mut_ptr().cast::<T>().write_unaligned(value.to::<T>()) });
    by_width!(out.dtype, T => {
        // SAFETY: the first bytes are an element's.
        let value = unsafe { bits.as_ptr().cast::<T>().read_unaligned() };
        Surround { ends: Ends(x.ptr::<T>(), out.ptr::<T>()), columns: dims[0], rows: dims[1], outer: &dims[2..], value }.run()
    });
}

struct Surround<'a, T> {
    ends: Ends<T>,
    columns: Dim,
    rows: Dim,
    outer: &'a [Dim],
    value: T,
}

impl<T: Copy + Send + Sync> Surround<'_, T> {
    fn run(&self) {
        let rows = self.rows.whole * self.outer.iter().map(|d| d.whole).product::<usize>();
        let pieces = self.columns.whole.div_ceil(2 * GRAIN);
        if pieces > 1 {
            let piece = self.columns.whole.div_ceil(pieces);
            pool::run(rows * pieces, |i| {
                let from = i % pieces * piece;
                // SAFETY: a part of a row of the result, which is this task's.
                unsafe { self.part(i / pieces, from, (from + piece).min(self.columns.whole)) }
            });
            return;
        }
        let grain = (GRAIN / self.columns.whole).max(1);
        pool::for_even_ranges(rows, grain, 1, |range| {
            let mut at = range.start;
            while at < range.end {
                let end = range.end.min((at / self.rows.whole + 1) * self.rows.whole);
                // SAFETY: rows of the result, which are this task's, of one plane.
                unsafe { self.plane(at, end) };
                at = end;
            }
        });
    }

    /// Where the block's part of plane number `i` begins, if it has one.
    fn place(&self, mut i: usize) -> Option<isize> {
        let mut at = 0;
        for d in self.outer {
            at += d.place(i % d.whole)?;
            i /= d.whole;
        }
        Some(at)
    }

    /// Rows number `first..last`, of one plane.
    unsafe fn plane(&self, first: usize, last: usize) {
        let (columns, rows) = (self.columns, self.rows);
        let wide = columns.whole;
        let top = first / rows.whole * rows.whole;
        let (from, inner) = match self.place(top / rows.whole).filter(|_| columns.block > 0) {
            Some(from) => (from, (top + rows.start).clamp(first, last)..(top + rows.start + rows.block).clamp(first, last)),
            None => (0, last..last),
        };
        // SAFETY: the caller's; the block's rows were counted above.
        unsafe {
            let (ends, first_row) = (self.ends, top + rows.start);
            let row = move |i: usize| {
                let from = from + (i - first_row) as isize * rows.step;
                ends.at([from, (i * wide + columns.start) as isize])
            };
            self.fill(first * wide, inner.start * wide);
            if !inner.is_empty() {
                let (begin, end) = (columns.start, columns.start + columns.block);
                self.fill(inner.start * wide, inner.start * wide + begin);
                self.band(inner.len(), move |i| row(inner.start + i));
                self.fill((inner.end - 1) * wide + end, inner.end * wide);
            }
            self.fill(inner.end * wide, last * wide);
        }
    }

    /// Copies `n` rows of the block, and fills the gaps between them: the end of one row, and the start of the next.
    #[inline(always)]
    unsafe fn band(&self, n: usize, row: impl Fn(usize) -> (*const T, *mut T) + Copy) {
        let (columns, gap) = (self.columns, self.columns.whole - self.columns.block);
        // SAFETY: the caller's.
        unsafe {
            if columns.step == 1 && gap > 0 && gap * size_of::<T>() <= VECTOR && columns.block * size_of::<T>() >= VECTOR {
                let value = [self.value; VECTOR];
                return simd::run_widest(Band { block: columns.block, gap, value: value.as_ptr(), n, row });
            }
            if columns.step == 1 {
                let place = move |i: usize| {
                    let (x, out) = row(i);
                    (x.cast::<u8>(), out.cast::<u8>())
                };
                moves::rows(columns.block * size_of::<T>(), n, place);
            } else {
                for i in 0..n {
                    let (x, out) = row(i);
                    moves::run(x, columns.step, std::slice::from_raw_parts_mut(out.cast::<MaybeUninit<T>>(), columns.block));
                }
            }
            for i in 0..n - 1 {
                let (_, out) = row(i);
                self.fill_at(out.add(columns.block), gap);
            }
        }
    }

    /// Elements `from..to` of row number `row`.
    unsafe fn part(&self, row: usize, from: usize, to: usize) {
        let columns = self.columns;
        let at = row * columns.whole;
        let place = self.place(row / self.rows.whole).zip(self.rows.place(row % self.rows.whole));
        let (begin, end) = match place {
            Some(_) => (columns.start.clamp(from, to), (columns.start + columns.block).clamp(from, to)),
            None => (to, to),
        };
        // SAFETY: the caller's; elements `begin..end` are the block's.
        unsafe {
            self.fill(at + from, at + begin);
            if let Some((plane, row)) = place.filter(|_| begin < end) {
                let x = plane + row + (begin - columns.start) as isize * columns.step;
                let (x, out) = self.ends.at([x, (at + begin) as isize]);
                moves::run(x, columns.step, std::slice::from_raw_parts_mut(out.cast::<MaybeUninit<T>>(), end - begin));
            }
            self.fill(at + end, at + to);
        }
    }

    /// Elements `from..to` of the result become the margins' value.
    unsafe fn fill(&self, from: usize, to: usize) {
        let (_, out) = self.ends.at([0, from as isize]);
        // SAFETY: the caller's.
        unsafe { self.fill_at(out, to - from) }
    }

    #[inline(always)]
    unsafe fn fill_at(&self, out: *mut T, n: usize) {
        // SAFETY: the caller's.
        unsafe { std::slice::from_raw_parts_mut(out.cast::<MaybeUninit<T>>(), n).fill(MaybeUninit::new(self.value)) }
    }
}

/// Bytes that are written at once.
const VECTOR: usize = 64;

/// Rows of at least a vector, with gaps of at most one between them. A gap is written as a whole vector: what is too much is the start of the
/// next row, which is copied after it.
struct Band<T, P> {
    block: usize,
    gap: usize,
    /// A vector of the margins' value.
    value: *const T,
    n: usize,
    row: P,
}

impl<T: Copy, P: Fn(usize) -> (*const T, *mut T)> Body for Band<T, P> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        type Vector = [u8; VECTOR];
        let Band { block, gap, value, n, row } = self;
        let bytes = block * size_of::<T>();
        // SAFETY: `band`'s: rows of the block, gaps between rows of the result, and rows that are longer than a vector.
        unsafe {
            let value = value.cast::<Vector>().read_unaligned();
            for i in 0..n {
                let (x, out) = row(i);
                if i > 0 {
                    out.sub(gap).cast::<Vector>().write_unaligned(value);
                }
                let (x, out) = (x.cast::<u8>(), out.cast::<u8>());
                let copy = |at: usize| out.add(at).cast::<Vector>().write_unaligned(x.add(at).cast::<Vector>().read_unaligned());
                (0..bytes - VECTOR).step_by(VECTOR).for_each(copy);
                copy(bytes - VECTOR);
            }
        }
    }
}
