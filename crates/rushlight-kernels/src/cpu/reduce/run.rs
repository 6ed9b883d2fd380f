//! The elements of one run, folded in registers: loops over fixed lanes.

use super::fold::{Fold, with_simd, witness};
use crate::cpu::number::{Arith, tree};
use crate::cpu::simd::{prefetch, transpose};
use std::array::from_fn;
use std::hint::black_box;
use std::mem::MaybeUninit;

/// Accumulators side by side: four AVX-512 registers of f32, enough to hide the latency of an addition.
pub(super) const LANES: usize = 64;
/// Steps after which the accumulators are poured into a second set: the two levels of a cascade.
const BLOCK: usize = 32;
/// Accumulators of what is left after the last full set of lanes.
const FEW: usize = 16;
/// Zeros, then ones in all bits: `FEW` of them from number `n` on are a mask of the last n places. As loaded numbers they become a vector's
/// mask, where comparisons with a length became a branch for each lane.
static LAST: [i32; 2 * FEW] = {
    let mut last = [0; 2 * FEW];
    let mut i = FEW;
    while i < last.len() {
        last[i] = -1;
        i += 1;
    }
    last
};
/// Runs of [`fold_runs`] whose last partial results meet side by side.
const SIDE: usize = 16;
/// Bytes from what is folded to what is asked for: hardware stops at the end of each run.
const AHEAD: usize = 1 << 11;
/// What cannot stay in the last-level cache comes faster without being asked for: fewer instructions leave more loads under way.
pub(super) const CACHED: usize = 1 << 24;

with_simd! {
    fold_run<F: Fold>(elements: &[F::In]) -> F::Acc {
        if is_in_order::<F>(elements.len()) {
            return in_order::<F>(elements);
        }
        let (parts, seen) = fold_lanes::<F>(elements, false);
        let (total, seen) = (F::gather(parts), witness_of::<F>(seen));
        if seen.is_nan() { in_order::<F>(elements) } else { total }
    }
}

/// Folds runs of equal length out of `all` elements, each as [`fold_run`] does, and passes on their results in order.
pub(super) fn fold_runs<'a, F: Fold>(all: usize, mut runs: impl Iterator<Item = &'a [F::In]>, mut put: impl FnMut(F::Acc)) {
    let ask = all <= CACHED / size_of::<F::In>();
    loop {
        let (mut some, mut count): ([&[F::In]; SIDE], usize) = ([&[]; SIDE], 0);
        for (place, run) in some.iter_mut().zip(&mut runs) {
            *place = run;
            count += 1;
        }
        match &some[..count] {
            [] => return,
            [run] => put(fold_run::<F>(run)),
            some => fold_some::<F>(some, ask, &mut [F::IDENTITY; SIDE]).iter().for_each(|total| put(*total)),
        }
    }
}

with_simd! {
    fold_some<'a, F: Fold>(runs: &[&[F::In]], ask: bool, totals: &'a mut [F::Acc; SIDE]) -> &'a [F::Acc] {
        let totals = &mut totals[..runs.len()];
        if is_in_order::<F>(runs[0].len()) {
            for (total, run) in totals.iter_mut().zip(runs) {
                *total = in_order::<F>(run);
            }
            return totals;
        }
        // Only the rows of runs are written, and read.
        let (mut parts, mut turned) = (MaybeUninit::<[[F::Acc; FEW]; SIDE]>::uninit(), MaybeUninit::<[[F::Acc; SIDE]; FEW]>::uninit());
        let (parts, turned) = (parts.as_mut_ptr(), turned.as_mut_ptr());
        let mut spoilt = 0;
        for (r, run) in runs.iter().enumerate() {
            let (few, seen) = fold_lanes::<F>(run, ask);
            // SAFETY: there are at most `SIDE` runs.
            unsafe { (*parts)[r] = few };
            spoilt |= u32::from(witness_of::<F>(seen).is_nan()) << r;
        }
        // SAFETY: as many rows of `FEW` as there are runs, which become as many columns.
        unsafe { transpose(parts.cast(), FEW as isize, turned.cast::<F::Acc>(), SIDE as isize, runs.len(), FEW) }
        for (r, total) in totals.iter_mut().enumerate() {
            // SAFETY: a column that has been written.
            *total = F::gather(from_fn(|l| unsafe { (*turned)[l][r] }));
        }
        for (r, total) in totals.iter_mut().enumerate().filter(|(r, _)| spoilt >> r & 1 != 0) {
            *total = in_order::<F>(runs[r]);
        }
        totals
    }
}

/// Whether runs of this length are folded in order. Integers meet in any order with one result: the compiler makes lanes for them itself.
#[inline(always)]
fn is_in_order<F: Fold>(n: usize) -> bool {
    !F::Acc::IS_FLOAT || n < FEW
}

#[inline(always)]
fn in_order<F: Fold>(elements: &[F::In]) -> F::Acc {
    elements.iter().fold(F::IDENTITY, |acc, x| F::join(acc, F::lift(*x)))
}

#[inline(always)]
fn witness_of<F: Fold>(seen: [F::Acc; FEW]) -> F::Acc {
    if F::PASSES_NAN { tree(seen, Arith::add) } else { F::Acc::ZERO }
}

with_simd! {
    // Folds rows of lanes, each lane for itself.
    fold_columns<F: Fold>(rows: &[[F::In; LANES]], ask: bool) -> [F::Acc; LANES] {
        let (mut totals, seen) = fold_chunks::<F>(rows, ask);
        if witness_of::<F>(few_of::<F>(seen, [F::Acc::ZERO; FEW], Arith::add)).is_nan() {
            // What has been joined already does no harm: it is only extremes that pass over NaNs.
            for row in rows {
                for l in 0..LANES {
                    totals[l] = F::join(totals[l], F::lift(row[l]));
                }
            }
        }
        totals
    }
}

/// The quick fold of each lane of `chunks`, and its [`witness`]. All loops over lanes have fixed lengths and fixed places, so that the lanes
/// stay in registers. What comes later is asked for if the caller says so.
#[inline(always)]
fn fold_chunks<F: Fold>(chunks: &[[F::In; LANES]], ask: bool) -> ([F::Acc; LANES], [F::Acc; LANES]) {
    let (mut far, mut seen) = ([F::IDENTITY; LANES], [F::Acc::ZERO; LANES]);
    for block in chunks.chunks(BLOCK) {
        let mut near = [F::IDENTITY; LANES];
        if ask {
            for chunk in block {
                let bytes = chunk.as_ptr().cast::<u8>().wrapping_add(AHEAD);
                (0..size_of::<[F::In; LANES]>()).step_by(64).for_each(|line| prefetch(bytes.wrapping_add(line)));
                join_lanes::<F>(&mut near, &mut seen, chunk);
            }
        } else {
            for chunk in block {
                join_lanes::<F>(&mut near, &mut seen, chunk);
            }
        }
        for l in 0..LANES {
            far[l] = F::quick(far[l], near[l]);
        }
    }
    (far, seen)
}

/// The quick fold of a run but for its last steps, and its [`witness`].
#[inline(always)]
fn fold_lanes<F: Fold>(elements: &[F::In], ask: bool) -> ([F::Acc; FEW], [F::Acc; FEW]) {
    let (chunks, rest) = elements.as_chunks::<LANES>();
    let (far, seen) = fold_chunks::<F>(chunks, ask);
    let (mut few, mut few_seen) = ([F::IDENTITY; FEW], [F::Acc::ZERO; FEW]);
    let (chunks, rest) = rest.as_chunks::<FEW>();
    for chunk in chunks {
        for l in 0..FEW {
            few[l] = F::quick(few[l], F::lift(chunk[l]));
            few_seen[l] = witness::<F>(few_seen[l], F::lift(chunk[l]));
        }
    }
    if let ([_, ..], Some(last), Some(keep)) = (rest, elements.last_chunk::<FEW>(), LAST[rest.len()..].first_chunk::<FEW>()) {
        // The last elements in one go, without those that have been folded before.
        for l in 0..FEW {
            let x = F::lift(last[l]);
            few[l] = F::quick(few[l], x.keep(keep[l], F::IDENTITY));
            few_seen[l] = witness::<F>(few_seen[l], x.keep(keep[l], F::Acc::ZERO));
        }
    }
    let seen = if F::PASSES_NAN { few_of::<F>(seen, few_seen, Arith::add) } else { few_seen };
    (few_of::<F>(far, few, F::quick), seen)
}

#[inline(always)]
fn join_lanes<F: Fold>(near: &mut [F::Acc; LANES], seen: &mut [F::Acc; LANES], chunk: &[F::In; LANES]) {
    for l in 0..LANES {
        near[l] = F::quick(near[l], F::lift(chunk[l]));
        seen[l] = witness::<F>(seen[l], F::lift(chunk[l]));
    }
}

/// All accumulators joined to a few.
#[inline(always)]
fn few_of<F: Fold>(mut lanes: [F::Acc; LANES], few: [F::Acc; FEW], join: impl Fn(F::Acc, F::Acc) -> F::Acc) -> [F::Acc; FEW] {
    // Each loop of its own length, so that it becomes vector instructions.
    (0..32).for_each(|l| lanes[l] = join(lanes[l], lanes[l + 32]));
    (0..16).for_each(|l| lanes[l] = join(lanes[l], lanes[l + 16]));
    // Through memory: else the short vectors of the last steps become those of everything above.
    black_box(from_fn(|l| join(lanes[l], few[l])))
}
