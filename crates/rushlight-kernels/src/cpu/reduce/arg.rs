//! Positions of the smallest and the largest: the first of equals, and the first NaN before everything.

use super::Groups;
use super::columns::columns_of;
use super::fold::{Fold, with_simd};
use super::rows::{Group, Slots};
use super::run::fold_run;
use crate::backend::*;
use crate::cpu::number::Arith;
use crate::cpu::walk::{GRAIN, Grid};
use crate::cpu::{pool, simd};
use std::ops::Range;

/// Most columns of one task.
const TILE: usize = 1024;
/// Elements that are folded before the position of their best is looked for.
const BLOCK: usize = 1024;
/// Elements of one task of a long group.
const PIECE: usize = 64 * BLOCK;
/// Longest rows that are compared side by side.
const SHORT: usize = 128;
/// How many of them.
const SIDE: usize = 16;

/// Writes the position of the extreme that `F` ([`Min`](super::Min) or [`Max`](super::Max)) folds to, for each group.
pub(super) fn positions<F: Fold>(x: View, groups: &Groups, out: &ViewMut) {
    match groups {
        Groups::Rows { kept, reduced } => rows::<F>(x, kept, reduced, out),
        Groups::Columns { outer, reduced, inner } => columns::<F>(x, outer, reduced, inner, out),
    }
}

/// Whether `new` replaces `best`: it is the extreme of the two and not merely equal.
#[inline(always)]
fn wins<F: Fold>(new: F::Acc, best: F::Acc) -> bool {
    !best.is_nan() && F::join(best, new) != best
}

/// The best of a group's blocks so far.
struct Best<A> {
    value: A,
    position: usize,
}

fn rows<F: Fold>(x: View, kept: &Grid<2>, reduced: &Grid<1>, out: &ViewMut) {
    let n = reduced.len();
    if n <= SHORT && kept.len() >= SIDE / 4 {
        return short_rows::<F>(x, kept, reduced, out);
    }
    let pieces = n.div_ceil(PIECE);
    let mut groups = Vec::with_capacity(kept.len());
    kept.each(0..kept.len(), |at| groups.push(at));
    let mut found: Vec<Option<Best<F::Acc>>> = Vec::with_capacity(groups.len() * pieces);
    found.resize_with(groups.len() * pieces, || None);
    let slots = Slots(found.as_mut_ptr());
    pool::for_ranges(groups.len() * pieces, GRAIN / n, |range| {
        let mut group = Group::<F>::new(reduced);
        for task in range {
            let (g, piece) = (task / pieces, task % pieces);
            let range = piece * PIECE..((piece + 1) * PIECE).min(n);
            let best = best_of(&mut group, x.ptr::<F::In>().wrapping_offset(groups[g][0]), range);
            // SAFETY: each task writes its own slot, which holds nothing to drop.
            unsafe { slots.at(task).write(Some(best)) };
        }
    });
    for ([_, to], pieces) in groups.iter().zip(found.chunks_exact(pieces)) {
        let best = pieces.iter().flatten().reduce(|best, new| if wins::<F>(new.value, best.value) { new } else { best });
        let position = best.map_or(0, |b| b.position as i64);
        // SAFETY: a position of out's layout; out holds i64.
        unsafe { out.ptr::<i64>().offset(*to).write(position) };
    }
}

/// Sixteen rows in the lanes of vectors, so that positions are found by vector instructions.
fn short_rows<F: Fold>(x: View, kept: &Grid<2>, reduced: &Grid<1>, out: &ViewMut) {
    let n = reduced.len();
    let [step, out_step] = kept.inner();
    pool::for_ranges(kept.len(), (GRAIN / n).next_multiple_of(SIDE), |range| {
        let mut group = Group::<F>::new(reduced);
        let mut turned = vec![[F::In::default(); SIDE]; n];
        kept.runs(range, &mut |[from, to], count| {
            for start in (0..count).step_by(SIDE) {
                let rows = SIDE.min(count - start);
                let first = x.ptr::<F::In>().wrapping_offset(from + start as isize * step);
                if reduced.is_run(0) {
                    // SAFETY: rows within x, and as many columns as there is room for.
                    unsafe { simd::transpose(first, step, turned.as_flattened_mut().as_mut_ptr(), SIDE as isize, rows, n) }
                } else {
                    for lane in 0..rows {
                        let row = group.elements(first.wrapping_offset(lane as isize * step), 0..n);
                        turned.iter_mut().zip(row).for_each(|(lanes, x)| lanes[lane] = *x);
                    }
                }
                for (lane, position) in best_in_lanes::<F>(&turned).into_iter().enumerate().take(rows) {
                    let place = out.ptr::<i64>().wrapping_offset(to + (start + lane) as isize * out_step);
                    // SAFETY: a position of out's layout, which holds i64; each row has its own.
                    unsafe { place.write(position as i64) };
                }
            }
        });
    });
}

with_simd! {
    best_in_lanes<F: Fold>(elements: &[[F::In; SIDE]]) -> [i32; SIDE] {
        let (mut best, mut position) = (elements[0].map(F::lift), [0i32; SIDE]);
        for (j, element) in elements.iter().enumerate().skip(1) {
            let element = *element;
            for l in 0..SIDE {
                let new = F::lift(element[l]);
                let better = wins::<F>(new, best[l]);
                best[l] = if better { new } else { best[l] };
                position[l] = if better { j as i32 } else { position[l] };
            }
        }
        position
    }
}

/// Folding a block is vectorised and finding a position is not: only a block that holds a new best is searched.
fn best_of<F: Fold>(group: &mut Group<F>, first: *const F::In, range: Range<usize>) -> Best<F::Acc> {
    let mut best = Best { value: F::IDENTITY, position: usize::MAX };
    for start in range.clone().step_by(BLOCK) {
        let block = group.elements(first, start..(start + BLOCK).min(range.end));
        let value = fold_run::<F>(block);
        if start == range.start || wins::<F>(value, best.value) {
            let same = |x: &F::In| F::lift(*x) == value || (value.is_nan() && F::lift(*x).is_nan());
            best = Best { value, position: start + block.iter().position(same).unwrap_or(0) };
        }
    }
    best
}

fn columns<F: Fold>(x: View, outer: &Grid<2>, reduced: &Grid<1>, inner: &Grid<2>, out: &ViewMut) {
    let (height, width) = (reduced.len(), inner.len());
    let mut groups = Vec::with_capacity(outer.len());
    outer.each(0..outer.len(), |at| groups.push(at));
    let tiles = width.div_ceil(TILE);
    let [_, step] = inner.inner();
    pool::for_ranges(groups.len() * tiles, GRAIN / (height * width.min(TILE)), |range| {
        let (mut best, mut position, mut buffer) = (Vec::new(), Vec::new(), Vec::new());
        for task in range {
            let [from, to] = groups[task / tiles];
            let columns = (task % tiles) * TILE..((task % tiles + 1) * TILE).min(width);
            let first = x.ptr::<F::In>().wrapping_offset(from);
            position.clear();
            position.resize(columns.len(), 0i64);
            let mut row = 0;
            reduced.each(0..height, |[at]| {
                let values = columns_of(inner, first.wrapping_offset(at), columns.clone(), &mut buffer);
                if row == 0 {
                    best.clear();
                    best.extend(values.iter().map(|v| F::lift(*v)));
                } else {
                    keep_best::<F>(&mut best, &mut position, values, row);
                }
                row += 1;
            });
            let mut positions = position.iter();
            inner.runs(columns, &mut |[_, at], n| {
                for (j, p) in (0..n as isize).zip(&mut positions) {
                    // SAFETY: a position of out's layout, which holds i64; tasks own disjoint columns.
                    unsafe { out.ptr::<i64>().offset(to + at + j * step).write(*p) };
                }
            });
        }
    });
}

with_simd! {
    keep_best<F: Fold>(best: &mut [F::Acc], position: &mut [i64], values: &[F::In], row: i64) -> () {
        for ((best, position), v) in best.iter_mut().zip(position).zip(values) {
            let new = F::lift(*v);
            let better = wins::<F>(new, *best);
            *best = if better { new } else { *best };
            *position = if better { row } else { *position };
        }
    }
}
