//! Narrow columns: several rows are joined as one long row, whose accumulators are folded at the end. By single rows, the loop over a row
//! would cost more than its elements.

use super::columns::{STEP, join_accumulators, join_pieces, join_row, join_step};
use super::fold::Fold;
use super::rows::Slots;
use super::run::{CACHED, LANES, fold_columns};
use crate::backend::*;
use crate::cpu::number::Arith;
use crate::cpu::pool;
use crate::cpu::walk::{GRAIN, Grid};

/// Widest columns that come here.
pub(super) const WIDTH: usize = 64;
/// Fewest rows that do.
pub(super) const HEIGHT: usize = 16;
/// Elements of a long row, at most.
const LONG: usize = 512;
/// Long rows of one task.
const PIECE: usize = 128;
/// Steps after which the first accumulator is poured into the second.
const POUR: usize = 16;

pub(super) fn fold<F: Fold>(x: View, outer: &Grid<2>, reduced: &Grid<1>, inner: &Grid<2>, out: &ViewMut) {
    let (height, width) = (reduced.len(), inner.len());
    // Of few rows at least four long ones, or folding the accumulators would cost more than making them.
    let joined = 1usize << (LONG / width).min(height / 4).ilog2();
    let piece = PIECE * joined;
    let gapless = inner.is_run(0) && reduced.inner() == [width as isize] && reduced.is_line();
    let pieces = height.div_ceil(piece);
    // Lanes that hold whole rows stay in registers.
    let in_lanes = F::Acc::IS_FLOAT && LANES.is_multiple_of(width) && height * width >= LONG;
    let ask = gapless && x.numel() <= CACHED / size_of::<F::In>();
    let mut groups = Vec::with_capacity(outer.len());
    outer.each(0..outer.len(), |at| groups.push(at));
    let write = |to: isize, acc: &dyn Fn(usize) -> F::Acc| {
        let mut j = 0;
        inner.each(0..width, |[_, at]| {
            // SAFETY: a position of out's layout; each column of a group has its own.
            unsafe { out.ptr::<F::Out>().offset(to + at).write(F::lower(acc(j))) };
            j += 1;
        });
    };
    let mut partial = vec![F::IDENTITY; if pieces > 1 { groups.len() * pieces * width } else { 0 }];
    let slots = Slots(partial.as_mut_ptr());
    pool::for_ranges(groups.len() * pieces, GRAIN / (piece.min(height) * width), |tasks| {
        let (mut scratch, mut near, mut far) = (Vec::new(), Vec::new(), Vec::new());
        for task in tasks {
            let (group, at) = (task / pieces, task % pieces * piece);
            let first = x.ptr::<F::In>().wrapping_offset(groups[group][0]);
            let rows = at..(at + piece).min(height);
            let elements = if gapless {
                // SAFETY: these rows follow each other without gaps, within x.
                unsafe { std::slice::from_raw_parts(first.add(rows.start * width), rows.len() * width) }
            } else {
                scratch.clear();
                let [step, _] = inner.inner();
                reduced.each(rows, |[row]| {
                    inner.runs(0..width, &mut |[at, _], n| {
                        // SAFETY: elements of a row, within x.
                        scratch.extend((0..n as isize).map(|j| unsafe { first.offset(row + at + j * step).read() }));
                    });
                });
                &scratch
            };
            near.clear();
            if in_lanes {
                let (rows, rest) = elements.as_chunks::<LANES>();
                near.extend_from_slice(&fold_columns::<F>(rows, ask));
                join_row::<F>(&mut near[..rest.len()], rest);
            } else {
                far.clear();
                near.resize(joined * width, F::IDENTITY);
                far.resize(joined * width, F::IDENTITY);
                fold_long::<F>(elements, &mut near, &mut far);
            }
            fold_accumulators::<F>(&mut near, width);
            if pieces == 1 {
                write(groups[group][1], &|j| near[j]);
                continue;
            }
            for (j, a) in near[..width].iter().enumerate() {
                // SAFETY: each task has its own places.
                unsafe { slots.at(task * width + j).write(*a) };
            }
        }
    });
    if pieces > 1 {
        for ([_, to], parts) in groups.iter().zip(partial.chunks_exact_mut(pieces * width)) {
            let totals = join_pieces::<F>(parts, width);
            write(*to, &|j| totals[j]);
        }
    }
}

/// Folds the columns of long rows that follow each other into `near`; both accumulators come with identities.
fn fold_long<F: Fold>(elements: &[F::In], near: &mut [F::Acc], far: &mut [F::Acc]) {
    let long = near.len();
    let mut steps = elements.chunks_exact(STEP * long);
    let pours = steps.len() >= POUR;
    for (k, step) in steps.by_ref().enumerate() {
        join_step::<F>(near, &std::array::from_fn(|r| &step[r * long..(r + 1) * long]));
        if (k + 1) % POUR == 0 {
            join_accumulators::<F>(far, near);
            near.fill(F::IDENTITY);
        }
    }
    // The last long row may be cut off.
    for row in steps.remainder().chunks(long) {
        join_row::<F>(&mut near[..row.len()], row);
    }
    if pours {
        join_accumulators::<F>(near, far);
    }
}

/// Folds the accumulators of several rows into the first `width` places.
fn fold_accumulators<F: Fold>(acc: &mut [F::Acc], width: usize) {
    let mut left = acc.len();
    while left > width {
        left /= 2;
        let (low, high) = acc.split_at_mut(left);
        join_accumulators::<F>(low, &high[..left]);
    }
}
