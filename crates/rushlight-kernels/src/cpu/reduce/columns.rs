//! Groups that lie side by side: rows of kept elements stream into accumulators, eight rows at a time.

use super::fold::{Fold, Pairwise, with_simd};
use super::rows::Slots;
use crate::backend::*;
use crate::cpu::pool;
use crate::cpu::walk::{GRAIN, Grid};
use std::ops::Range;

/// Columns of one task. Long rows stream better than narrow strips; accumulators of this many still fit the first-level cache.
const TILE: usize = 4096;
/// Rows joined with one another before they meet an accumulator.
pub(super) const STEP: usize = 8;
/// Steps after which the first accumulator is poured into the second: the two levels of a cascade within a task.
const POUR: usize = 16;
/// Most rows of one task; partial results of several tasks meet as a balanced tree.
const ROWS: usize = STEP * POUR * 16;

pub(super) fn fold<F: Fold>(x: View, outer: &Grid<2>, reduced: &Grid<1>, inner: &Grid<2>, out: &ViewMut) {
    let (height, width) = (reduced.len(), inner.len());
    let mut groups = Vec::with_capacity(outer.len());
    outer.each(0..outer.len(), |at| groups.push(at));
    let mut offsets = Vec::with_capacity(height);
    reduced.each(0..height, |[at]| offsets.push(at));

    let tiles = width.div_ceil(TILE);
    let rows = ((8 * GRAIN / width.min(TILE)).next_multiple_of(STEP * POUR)).clamp(STEP * POUR, ROWS);
    let pieces = height.div_ceil(rows).max(1);
    // A task is one tile of one piece of one group; small ones go to a thread in batches.
    let tasks = groups.len() * pieces * tiles;
    let grain = GRAIN / (rows.min(height.max(1)) * width.min(TILE));
    let mut partial = vec![F::IDENTITY; if pieces > 1 { groups.len() * pieces * width } else { 0 }];
    let slots = Slots(partial.as_mut_ptr());
    pool::for_ranges(tasks, grain, |range| {
        let mut tile = Tile::<F>::new(inner);
        for task in range {
            let (group, piece, t) = (task / tiles / pieces, task / tiles % pieces, task % tiles);
            let columns = t * TILE..((t + 1) * TILE).min(width);
            let block = piece * rows..((piece + 1) * rows).min(height);
            let [from, to] = groups[group];
            let acc = tile.fold(x.ptr::<F::In>().wrapping_offset(from), &offsets[block], columns.clone());
            if pieces > 1 {
                for (j, a) in columns.zip(acc) {
                    // SAFETY: each task has its own columns of its own piece.
                    unsafe { slots.at((group * pieces + piece) * width + j).write(*a) };
                }
            } else {
                write::<F>(out, to, inner, columns, acc);
            }
        }
    });
    if pieces > 1 {
        for ([_, to], parts) in groups.iter().zip(partial.chunks_exact(pieces * width)) {
            pool::for_ranges(width, GRAIN / pieces, |columns| {
                let total = |j: usize| {
                    let mut tree = Pairwise::<F>::new();
                    (0..pieces).for_each(|p| tree.push(parts[p * width + j]));
                    tree.finish()
                };
                let totals: Vec<F::Acc> = columns.clone().map(total).collect();
                write::<F>(out, *to, inner, columns, &totals);
            });
        }
    }
}

/// Lowers the accumulators into columns `range` of the group at `to`.
fn write<F: Fold>(out: &ViewMut, to: isize, inner: &Grid<2>, range: Range<usize>, acc: &[F::Acc]) {
    let [_, step] = inner.inner();
    let mut acc = acc.iter();
    inner.runs(range, &mut |[_, at], n| {
        for (j, a) in (0..n as isize).zip(&mut acc) {
            // SAFETY: a position of out's layout; tasks own disjoint columns.
            unsafe { out.ptr::<F::Out>().offset(to + at + j * step).write(F::lower(*a)) };
        }
    });
}

/// Accumulators for some columns, and scratch for rows that do not lie gapless.
struct Tile<'a, F: Fold> {
    inner: &'a Grid<2>,
    near: Vec<F::Acc>,
    far: Vec<F::Acc>,
    scratch: [Vec<F::In>; STEP],
}

impl<'a, F: Fold> Tile<'a, F> {
    fn new(inner: &'a Grid<2>) -> Self {
        Tile { inner, near: Vec::new(), far: Vec::new(), scratch: Default::default() }
    }
    /// Folds columns `range` of the rows at `offsets` from `first`.
    fn fold(&mut self, first: *const F::In, offsets: &[isize], range: Range<usize>) -> &[F::Acc] {
        let Tile { inner, near, far, scratch } = self;
        for level in [&mut *near, &mut *far] {
            level.clear();
            level.resize(range.len(), F::IDENTITY);
        }
        let (steps, rest) = offsets.as_chunks::<STEP>();
        for pour in steps.chunks(POUR) {
            for step in pour {
                let mut buffers = scratch.iter_mut();
                let rows = step.map(|offset| {
                    let buffer = buffers.next().expect("a buffer per row of a step");
                    columns_of(inner, first.wrapping_offset(offset), range.clone(), buffer)
                });
                join_step::<F>(near, &rows);
            }
            join_accumulators::<F>(far, near);
            near.fill(F::IDENTITY);
        }
        for &offset in rest {
            join_row::<F>(near, columns_of(inner, first.wrapping_offset(offset), range.clone(), &mut scratch[0]));
        }
        join_accumulators::<F>(far, near);
        far
    }
}

/// Columns `range` of the row at `first`: in place where they lie gapless, else gathered into `buffer`.
pub(super) fn columns_of<'a, T: Copy>(inner: &Grid<2>, first: *const T, range: Range<usize>, buffer: &'a mut Vec<T>) -> &'a [T] {
    if inner.is_run(0) {
        // SAFETY: the row is one gapless run within x, which outlives the buffer.
        return unsafe { std::slice::from_raw_parts(first.add(range.start), range.len()) };
    }
    buffer.clear();
    let [step, _] = inner.inner();
    inner.runs(range, &mut |[at, _], n| {
        // SAFETY: positions of the row, within x.
        buffer.extend((0..n as isize).map(|j| unsafe { first.offset(at + j * step).read() }));
    });
    buffer
}

with_simd! {
    join_step<F: Fold>(acc: &mut [F::Acc], rows: &[&[F::In]; STEP]) -> () {
        let n = acc.len();
        let [a, b, c, d, e, f, g, h] = rows.map(|row| &row[..n]);
        for j in 0..n {
            let low = F::join(F::join(F::lift(a[j]), F::lift(b[j])), F::join(F::lift(c[j]), F::lift(d[j])));
            let high = F::join(F::join(F::lift(e[j]), F::lift(f[j])), F::join(F::lift(g[j]), F::lift(h[j])));
            acc[j] = F::join(acc[j], F::join(low, high));
        }
    }
}

with_simd! {
    join_row<F: Fold>(acc: &mut [F::Acc], row: &[F::In]) -> () {
        for (a, x) in acc.iter_mut().zip(row) {
            *a = F::join(*a, F::lift(*x));
        }
    }
}

with_simd! {
    join_accumulators<F: Fold>(acc: &mut [F::Acc], other: &[F::Acc]) -> () {
        for (a, b) in acc.iter_mut().zip(other) {
            *a = F::join(*a, *b);
        }
    }
}
