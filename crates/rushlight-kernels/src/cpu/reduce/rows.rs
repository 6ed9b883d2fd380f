//! Groups whose elements follow one another: each is folded by [`fold_run`], a long one in pieces that meet as a balanced tree.

use super::fold::{Fold, Pairwise, with_simd, witness};
use super::run::{Runs, fold_run, fold_runs};
use crate::backend::*;
use crate::cpu::number::Arith;
use crate::cpu::walk::{GRAIN, Grid};
use crate::cpu::{pool, simd};
use std::ops::Range;

/// Elements of one task of a long group.
pub(super) const PIECE: usize = 1 << 16;
/// Groups this short are folded in sequence, several of them side by side.
pub(super) const SHORT: usize = 32;
/// How many of them.
const SIDE: usize = 16;

pub(super) fn fold<F: Fold>(x: View, kept: &Grid<2>, reduced: &Grid<1>, out: &ViewMut) {
    let n = reduced.len();
    // Integers meet in any order: from two vectors of the widest on, rows are quicker as they are.
    let as_it_is = !F::Acc::IS_FLOAT && size_of::<F::Acc>() == 8 && n >= 16 && reduced.is_run(0);
    if n <= SHORT && !as_it_is {
        pool::for_ranges(kept.len(), GRAIN / n.max(1), |range| short_groups::<F>(x, kept, reduced, out, range));
        return;
    }
    let pieces = n.div_ceil(PIECE);
    if pieces == 1 {
        if reduced.is_run(0) {
            return pool::for_ranges(kept.len(), GRAIN / n, |range| runs::<F>(x, kept, n, out, range));
        }
        pool::for_ranges(kept.len(), GRAIN / n, |range| {
            let mut group = Group::<F>::new(reduced);
            kept.each(range, |[from, to]| {
                let total = group.fold(x.ptr::<F::In>().wrapping_offset(from), 0..n);
                // SAFETY: a position of out's layout; each group has its own.
                unsafe { out.ptr::<F::Out>().offset(to).write(F::lower(total)) };
            });
        });
        return;
    }
    // Long groups: a task per piece, then one result per group from its pieces.
    let mut groups = Vec::with_capacity(kept.len());
    kept.each(0..kept.len(), |at| groups.push(at));
    let mut partial = vec![F::IDENTITY; groups.len() * pieces];
    let slots = Slots(partial.as_mut_ptr());
    pool::run(groups.len() * pieces, |task| {
        let (group, piece) = (task / pieces, task % pieces);
        let range = piece * PIECE..((piece + 1) * PIECE).min(n);
        let total = Group::<F>::new(reduced).fold(x.ptr::<F::In>().wrapping_offset(groups[group][0]), range);
        // SAFETY: each task writes its own slot.
        unsafe { slots.at(task).write(total) };
    });
    for ([_, to], pieces) in groups.iter().zip(partial.chunks_exact(pieces)) {
        let mut tree = Pairwise::<F>::new();
        pieces.iter().for_each(|p| tree.push(*p));
        // SAFETY: a position of out's layout.
        unsafe { out.ptr::<F::Out>().offset(*to).write(F::lower(tree.finish())) };
    }
}

/// Folds the groups `range`, each of which is a gapless run of n elements.
fn runs<F: Fold>(x: View, kept: &Grid<2>, n: usize, out: &ViewMut, range: Range<usize>) {
    let [step, out_step] = kept.inner();
    kept.runs(range, &mut |[from, to], count| {
        let mut place = out.ptr::<F::Out>().wrapping_offset(to);
        let groups = Runs { first: x.ptr::<F::In>().wrapping_offset(from), step, n };
        // SAFETY: groups within x, and as many positions of out's layout, each group's own.
        unsafe {
            fold_runs::<F>(kept.len() * n, groups, count, |total| {
                place.write(F::lower(total));
                place = place.wrapping_offset(out_step);
            });
        }
    });
}

/// A vector into which tasks write, each at places of its own.
pub(super) struct Slots<T>(pub(super) *mut T);
// SAFETY: tasks write disjoint places, as each use states.
unsafe impl<T: Send> Sync for Slots<T> {}
impl<T> Slots<T> {
    pub(super) fn at(&self, i: usize) -> *mut T {
        self.0.wrapping_add(i)
    }
}

/// The elements of a group, some at a time: in place where they lie in a row, else gathered into scratch.
pub(super) struct Group<'a, F: Fold> {
    grid: &'a Grid<1>,
    scratch: Vec<F::In>,
}

impl<'a, F: Fold> Group<'a, F> {
    pub(super) fn new(grid: &'a Grid<1>) -> Self {
        Group { grid, scratch: Vec::new() }
    }
    /// Elements `range` of the group that starts at `first`.
    pub(super) fn elements(&mut self, first: *const F::In, range: Range<usize>) -> &[F::In] {
        let n = range.len();
        if self.grid.is_run(0) {
            // SAFETY: the group is one gapless run within x.
            return unsafe { std::slice::from_raw_parts(first.add(range.start), n) };
        }
        self.scratch.clear();
        self.scratch.reserve(n);
        let [step] = self.grid.inner();
        self.grid.runs(range, &mut |[at], n| {
            // SAFETY: positions of the group, within x.
            self.scratch.extend((0..n as isize).map(|j| unsafe { first.offset(at + j * step).read() }));
        });
        &self.scratch
    }
    pub(super) fn fold(&mut self, first: *const F::In, range: Range<usize>) -> F::Acc {
        fold_run::<F>(self.elements(first, range))
    }
}

with_simd! {
    fold_lanes<F: Fold>(acc: &mut [F::Acc; SIDE], elements: &[[F::In; SIDE]]) -> () {
        let (mut quick, mut seen) = (*acc, [F::Acc::ZERO; SIDE]);
        for element in elements {
            for l in 0..SIDE {
                quick[l] = F::quick(quick[l], F::lift(element[l]));
                seen[l] = witness::<F>(seen[l], F::lift(element[l]));
            }
        }
        if !F::PASSES_NAN || !seen.iter().any(|s| s.is_nan()) {
            *acc = quick;
            return;
        }
        for element in elements {
            for (a, x) in acc.iter_mut().zip(element) {
                *a = F::join(*a, F::lift(*x));
            }
        }
    }
}

/// Folds the short groups `range` in sequence, `SIDE` at a time: their chains of additions overlap. Groups that lie in rows are transposed
/// first, which makes a vector of `SIDE` groups' elements.
fn short_groups<F: Fold>(x: View, kept: &Grid<2>, reduced: &Grid<1>, out: &ViewMut, range: Range<usize>) {
    let mut offsets = [0isize; SHORT];
    let mut slots = offsets.iter_mut();
    reduced.each(0..reduced.len(), |[at]| *slots.next().expect("the group is short") = at);
    let offsets = &offsets[..reduced.len()];
    let [xs, os] = kept.inner();
    let in_rows = reduced.is_run(0) && offsets.len() > 1;
    let mut turned = [[F::In::default(); SIDE]; SHORT];
    kept.runs(range, &mut |[xa, oa], n| {
        for start in (0..n).step_by(SIDE) {
            let width = SIDE.min(n - start);
            let first = x.ptr::<F::In>().wrapping_offset(xa + start as isize * xs);
            let mut acc = [F::IDENTITY; SIDE];
            let strided = if in_rows && width == SIDE {
                // SAFETY: `SIDE` rows within x, and as many columns as the scratch has.
                unsafe { simd::transpose(first, xs, turned.as_flattened_mut().as_mut_ptr(), SIDE as isize, SIDE, offsets.len()) }
                fold_lanes::<F>(&mut acc, &turned[..offsets.len()]);
                &[]
            } else {
                offsets
            };
            for &offset in strided {
                let element = first.wrapping_offset(offset);
                // SAFETY: elements of groups of this run; at most `width` of them.
                let join = |lane: usize, a: F::Acc| F::join(a, F::lift(unsafe { element.offset(lane as isize * xs).read() }));
                if width == SIDE {
                    for lane in 0..SIDE {
                        acc[lane] = join(lane, acc[lane]);
                    }
                } else {
                    for lane in 0..width {
                        acc[lane] = join(lane, acc[lane]);
                    }
                }
            }
            if (os, width) == (1, SIDE) {
                let place = out.ptr::<F::Out>().wrapping_offset(oa).wrapping_add(start);
                // SAFETY: as many positions of out, next to each other.
                unsafe { place.cast::<[F::Out; SIDE]>().write_unaligned(acc.map(F::lower)) };
                continue;
            }
            for (lane, acc) in acc.iter().enumerate().take(width) {
                // SAFETY: a position of out's layout; each group has its own.
                unsafe { out.ptr::<F::Out>().offset(oa + (start + lane) as isize * os).write(F::lower(*acc)) };
            }
        }
    });
}
