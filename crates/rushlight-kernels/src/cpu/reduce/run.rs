//! The elements of one run, folded in registers: loops over fixed lanes.

use super::fold::{Fold, with_simd, witness};
use crate::cpu::number::{Arith, tree};
use std::array::from_fn;
use std::hint::black_box;

/// Accumulators side by side: four AVX-512 registers of f32, enough to hide the latency of an addition.
const LANES: usize = 64;
/// Elements after which the accumulators are poured into a second set, the two levels of a cascade: each sees 32 of them.
const BLOCK: usize = 32 * LANES;
/// Accumulators of what is left after the last full set of lanes.
const FEW: usize = 16;
/// Zeros, then ones: `FEW` of them from number `n` on are a mask of the last n places. As loaded numbers they become a vector's mask, where
/// comparisons with a length became a branch for each lane.
static LAST: [u32; 2 * FEW] = {
    let mut last = [0; 2 * FEW];
    let mut i = FEW;
    while i < last.len() {
        last[i] = 1;
        i += 1;
    }
    last
};

with_simd! {
    fold_run<F: Fold>(elements: &[F::In]) -> F::Acc {
        let in_order = |elements: &[F::In]| elements.iter().fold(F::IDENTITY, |acc, x| F::join(acc, F::lift(*x)));
        // Integers meet in any order with one result: the compiler makes lanes for them itself.
        if !F::Acc::IS_FLOAT || elements.len() < FEW {
            return in_order(elements);
        }
        let (total, seen) = fold_lanes::<F>(elements);
        if seen.is_nan() { in_order(elements) } else { total }
    }
}

/// The quick fold and its [`witness`]. All loops over lanes have fixed lengths and fixed places, so that the lanes stay in registers.
#[inline(always)]
fn fold_lanes<F: Fold>(elements: &[F::In]) -> (F::Acc, F::Acc) {
    let (mut far, mut seen) = ([F::IDENTITY; LANES], [F::Acc::ZERO; LANES]);
    let even = elements.len() / LANES * LANES;
    for block in elements[..even].chunks(BLOCK) {
        let mut near = [F::IDENTITY; LANES];
        for chunk in block.as_chunks::<LANES>().0 {
            for l in 0..LANES {
                near[l] = F::quick(near[l], F::lift(chunk[l]));
                seen[l] = witness::<F>(seen[l], F::lift(chunk[l]));
            }
        }
        for l in 0..LANES {
            far[l] = F::quick(far[l], near[l]);
        }
    }
    let (mut few, mut few_seen) = ([F::IDENTITY; FEW], [F::Acc::ZERO; FEW]);
    let (chunks, rest) = elements[even..].as_chunks::<FEW>();
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
            few[l] = F::quick(few[l], if keep[l] != 0 { x } else { F::IDENTITY });
            few_seen[l] = if keep[l] != 0 { witness::<F>(few_seen[l], x) } else { few_seen[l] };
        }
    }
    let seen = if F::PASSES_NAN { tree(few_of::<F>(seen, few_seen, Arith::add), Arith::add) } else { F::Acc::ZERO };
    (F::gather(few_of::<F>(far, few, F::quick)), seen)
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
