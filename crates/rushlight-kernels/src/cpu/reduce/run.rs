//! The elements of one run, folded in registers: loops over fixed lanes.

use super::fold::{Fold, with_simd, witness};
use crate::cpu::number::{Arith, tree};
use crate::cpu::simd::prefetch;
use std::array::from_fn;
use std::hint::black_box;
use std::mem::MaybeUninit;

/// Accumulators side by side: four AVX-512 registers of f32, enough to hide the latency of an addition.
pub(super) const LANES: usize = 64;
/// Steps after which the accumulators are poured into a second set: the two levels of a cascade.
const BLOCK: usize = 32;
/// Runs from this length on are folded by all lanes. Below, these would cost more to join than they save: a core adds up several runs at a
/// time.
const MANY: usize = 32 * FEW;
/// Accumulators of short runs, and of what is left after the last full set of lanes.
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
const AHEAD: usize = 3 << 11;
/// What cannot stay in the last-level cache comes faster without being asked for: fewer instructions leave more loads under way.
pub(super) const CACHED: usize = 1 << 24;

with_simd! {
    fold_run<F: Fold>(elements: &[F::In]) -> F::Acc {
        if is_in_order::<F>(elements.len()) {
            return in_order::<F>(elements);
        }
        let (parts, seen) = if elements.len() < MANY { fold_few::<F>(elements, 0, false) } else { fold_many::<F>(elements, false) };
        // Through memory: else the short vectors of the last steps become those of everything before.
        let (parts, seen) = (black_box(parts), black_box(seen));
        let (total, seen) = (F::gather(parts), witness_of::<F>(seen));
        if seen.is_nan() { in_order::<F>(elements) } else { total }
    }
}

/// Runs of `n` elements each, `step` apart.
#[derive(Clone, Copy)]
pub(super) struct Runs<T> {
    pub first: *const T,
    pub step: isize,
    pub n: usize,
}

impl<T> Runs<T> {
    /// # Safety
    /// There is a run number `r`.
    #[inline(always)]
    unsafe fn get<'a>(self, r: usize) -> &'a [T] {
        // SAFETY: the caller's.
        unsafe { std::slice::from_raw_parts(self.first.offset(r as isize * self.step), self.n) }
    }
}

/// Folds `count` of the runs out of `all` elements, each as [`fold_run`] does, and passes on their results in order.
///
/// # Safety
/// There are as many runs.
pub(super) unsafe fn fold_runs<F: Fold>(all: usize, mut runs: Runs<F::In>, count: usize, mut put: impl FnMut(F::Acc)) {
    let ask = all <= CACHED / size_of::<F::In>();
    for start in (0..count).step_by(SIDE) {
        // SAFETY: the caller's.
        match SIDE.min(count - start) {
            1 => put(fold_run::<F>(unsafe { runs.get(0) })),
            some => fold_some::<F>(runs, some, ask)[..some].iter().for_each(|total| put(*total)),
        }
        runs.first = runs.first.wrapping_offset(SIDE as isize * runs.step);
    }
}

with_simd! {
    // `fold_runs` has seen to it that there are as many runs.
    fold_some<F: Fold>(runs: Runs<F::In>, count: usize, ask: bool) -> [F::Acc; SIDE] {
        let mut totals = [F::IDENTITY; SIDE];
        if is_in_order::<F>(runs.n) {
            for (r, total) in totals.iter_mut().enumerate().take(count) {
                // SAFETY: a run.
                *total = in_order::<F>(unsafe { runs.get(r) });
            }
            return totals;
        }
        // Only the rows of runs are written.
        let mut parts = MaybeUninit::<[[F::Acc; FEW]; SIDE]>::uninit();
        let parts = parts.as_mut_ptr();
        if count < SIDE {
            // SAFETY: numbers, whose zero is all zero bits.
            unsafe { parts.write_bytes(0, 1) };
        }
        let mut all_seen = [F::Acc::ZERO; FEW];
        for r in 0..count.min(SIDE) {
            // SAFETY: a run, and its row.
            let seen = unsafe {
                let run = runs.get(r);
                let (few, seen) = if runs.n < MANY { fold_few::<F>(run, 0, ask) } else { fold_many::<F>(run, ask) };
                (*parts)[r] = few;
                seen
            };
            for l in 0..FEW {
                all_seen[l] = witness::<F>(all_seen[l], seen[l]);
            }
        }
        // SAFETY: all rows, written or zeros.
        totals = F::gather_all(unsafe { &*parts });
        if witness_of::<F>(black_box(all_seen)).is_nan() {
            for (r, total) in totals.iter_mut().enumerate().take(count) {
                // SAFETY: a run.
                *total = fold_run::<F>(unsafe { runs.get(r) });
            }
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
                prefetch_after(chunk);
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
fn fold_many<F: Fold>(elements: &[F::In], ask: bool) -> ([F::Acc; FEW], [F::Acc; FEW]) {
    let chunks = elements.as_chunks::<LANES>().0;
    let (far, seen) = fold_chunks::<F>(chunks, ask);
    let (few, few_seen) = fold_few::<F>(elements, chunks.len() * LANES, ask);
    let seen = if F::PASSES_NAN { few_of::<F>(seen, few_seen, Arith::add) } else { few_seen };
    (few_of::<F>(far, few, F::quick), seen)
}

/// As [`fold_many`], by one set of lanes: elements `from..`, of at least `FEW`.
#[inline(always)]
fn fold_few<F: Fold>(elements: &[F::In], from: usize, ask: bool) -> ([F::Acc; FEW], [F::Acc; FEW]) {
    let (mut few, mut seen) = ([F::IDENTITY; FEW], [F::Acc::ZERO; FEW]);
    let (chunks, rest) = elements[from..].as_chunks::<FEW>();
    let mut join = |chunk: &[F::In; FEW]| {
        for l in 0..FEW {
            few[l] = F::quick(few[l], F::lift(chunk[l]));
            seen[l] = witness::<F>(seen[l], F::lift(chunk[l]));
        }
    };
    if ask {
        for chunk in chunks {
            prefetch_after(chunk);
            join(chunk);
        }
    } else {
        chunks.iter().for_each(join);
    }
    if let ([_, ..], Some(last), Some(keep)) = (rest, elements.last_chunk::<FEW>(), LAST[rest.len()..].first_chunk::<FEW>()) {
        // The last elements in one go, without those that have been folded before.
        if ask {
            prefetch_after(last);
        }
        for l in 0..FEW {
            let x = F::lift(last[l]);
            few[l] = F::quick(few[l], x.keep(keep[l], F::IDENTITY));
            seen[l] = witness::<F>(seen[l], x.keep(keep[l], F::Acc::ZERO));
        }
    }
    (few, seen)
}

/// Asks for what lies [`AHEAD`] of a chunk.
#[inline(always)]
fn prefetch_after<T, const N: usize>(chunk: &[T; N]) {
    let bytes = chunk.as_ptr().cast::<u8>().wrapping_add(AHEAD);
    (0..size_of_val(chunk)).step_by(64).for_each(|line| prefetch(bytes.wrapping_add(line)));
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
