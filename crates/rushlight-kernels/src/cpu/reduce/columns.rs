//! Groups that lie side by side: rows of kept elements stream into accumulators, eight rows at a time.

use super::fold::{Fold, with_simd, witness};
use super::rows::Slots;
use crate::backend::*;
use crate::cpu::number::Arith;
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
                let at = slots.at((group * pieces + piece) * width + columns.start);
                // SAFETY: each task has its own columns of its own piece.
                unsafe { at.copy_from_nonoverlapping(acc.as_ptr(), acc.len()) };
            } else {
                write::<F>(out, to, inner, columns, acc);
            }
        }
    });
    if pieces > 1 {
        for ([_, to], parts) in groups.iter().zip(partial.chunks_exact_mut(pieces * width)) {
            write::<F>(out, *to, inner, 0..width, join_pieces::<F>(parts, width));
        }
    }
}

/// Joins rows of partial results as a balanced tree: neighbours first, then pairs of pairs.
pub(super) fn join_pieces<F: Fold>(parts: &mut [F::Acc], width: usize) -> &[F::Acc] {
    let mut apart = width;
    while apart < parts.len() {
        for pair in parts.chunks_mut(2 * apart) {
            if let Some((a, b)) = pair.split_at_mut_checked(apart)
                && !b.is_empty()
            {
                join_accumulators::<F>(&mut a[..width], &b[..width]);
            }
        }
        apart *= 2;
    }
    &parts[..width]
}

/// Lowers the accumulators into columns `range` of the group at `to`.
pub(super) fn write<F: Fold>(out: &ViewMut, to: isize, inner: &Grid<2>, range: Range<usize>, acc: &[F::Acc]) {
    let [_, step] = inner.inner();
    if inner.is_run(1) {
        let to = out.ptr::<F::Out>().wrapping_offset(to).wrapping_add(range.start);
        for (j, a) in acc[..range.len()].iter().enumerate() {
            // SAFETY: as below.
            unsafe { to.add(j).write(F::lower(*a)) };
        }
        return;
    }
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

/// Columns of one turn of a loop over columns.
pub(super) const CHUNK: usize = 16;

with_simd! {
    join_step<F: Fold>(acc: &mut [F::Acc], rows: &[&[F::In]; STEP]) -> () {
        if join_chunks::<F>(acc, rows).is_nan() {
            // What has been joined already does no harm: it is only extremes that pass over NaNs.
            for row in rows {
                for (a, x) in acc.iter_mut().zip(*row) {
                    *a = F::join(*a, F::lift(*x));
                }
            }
        }
    }
}

/// Joins the rows with one another and then with the accumulators, quickly; answers their [`witness`].
#[inline(always)]
fn join_chunks<F: Fold>(acc: &mut [F::Acc], rows: &[&[F::In]; STEP]) -> F::Acc {
    let n = acc.len();
    let [a, b, c, d, e, f, g, h] = *rows;
    let (a, b, c, d, e, f, g, h) = (&a[..n], &b[..n], &c[..n], &d[..n], &e[..n], &f[..n], &g[..n], &h[..n]);
    let mut seen = [F::Acc::ZERO; CHUNK];
    let mut one = |l: usize, acc: &mut F::Acc, [a, b, c, d, e, f, g, h]: [&F::In; STEP]| {
        let (a, b, c, d) = (F::lift(*a), F::lift(*b), F::lift(*c), F::lift(*d));
        let (e, f, g, h) = (F::lift(*e), F::lift(*f), F::lift(*g), F::lift(*h));
        let join = F::quick;
        *acc = join(*acc, join(join(join(a, b), join(c, d)), join(join(e, f), join(g, h))));
        let sum = witness::<F>;
        seen[l] = sum(seen[l], sum(sum(sum(a, b), sum(c, d)), sum(sum(e, f), sum(g, h))));
    };
    // Floats by chunks of a fixed length, each lane of which has its own sum; what needs none is left to the compiler.
    let whole = if F::Acc::IS_FLOAT { n / CHUNK } else { 0 };
    macro_rules! chunks {
        ($($row:ident)*) => { ($(&$row.as_chunks::<CHUNK>().0[..whole],)*) };
    }
    {
        let (a, b, c, d, e, f, g, h) = chunks!(a b c d e f g h);
        for (k, acc) in acc.as_chunks_mut::<CHUNK>().0[..whole].iter_mut().enumerate() {
            let (a, b, c, d, e, f, g, h) = (&a[k], &b[k], &c[k], &d[k], &e[k], &f[k], &g[k], &h[k]);
            for l in 0..CHUNK {
                one(l, &mut acc[l], [&a[l], &b[l], &c[l], &d[l], &e[l], &f[l], &g[l], &h[l]]);
            }
        }
    }
    for j in whole * CHUNK..n {
        one(0, &mut acc[j], [&a[j], &b[j], &c[j], &d[j], &e[j], &f[j], &g[j], &h[j]]);
    }
    if F::PASSES_NAN { seen.iter().fold(F::Acc::ZERO, |a, b| a.add(*b)) } else { F::Acc::ZERO }
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
