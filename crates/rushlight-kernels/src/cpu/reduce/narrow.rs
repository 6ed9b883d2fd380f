//! Narrow columns: several rows are joined as one long row, whose accumulators are folded at the end. By single rows, the loop over a row
//! would cost more than its elements.

use super::columns::{STEP, join_accumulators, join_row, join_step};
use super::fold::{Fold, Pairwise};
use super::rows::Slots;
use crate::backend::*;
use crate::cpu::pool;
use crate::cpu::walk::Grid;

/// Widest columns that come here.
pub(super) const WIDTH: usize = 64;
/// Fewest rows that do.
pub(super) const HEIGHT: usize = 64;
/// Elements of a long row, at most.
const LONG: usize = 512;
/// Long rows of one task.
const PIECE: usize = 128;
/// Steps after which the first accumulator is poured into the second.
const POUR: usize = 16;

pub(super) fn fold<F: Fold>(x: View, outer: &Grid<2>, reduced: &Grid<1>, inner: &Grid<2>, out: &ViewMut) {
    let (height, width) = (reduced.len(), inner.len());
    let joined = 1usize << (LONG / width).ilog2();
    let long = joined * width;
    let gapless = inner.is_run(0) && reduced.inner() == [width as isize] && reduced.is_line();
    let pieces = (height * width).div_ceil(PIECE * long);
    let mut groups = Vec::with_capacity(outer.len());
    outer.each(0..outer.len(), |at| groups.push(at));
    let mut partial = vec![F::IDENTITY; groups.len() * pieces * width];
    let slots = Slots(partial.as_mut_ptr());
    pool::run(groups.len() * pieces, |task| {
        let (group, piece) = (task / pieces, task % pieces);
        let first = x.ptr::<F::In>().wrapping_offset(groups[group][0]);
        let rows = piece * PIECE * joined..((piece + 1) * PIECE * joined).min(height);
        let mut copy = Vec::new();
        let elements = if gapless {
            // SAFETY: these rows follow each other without gaps, within x.
            unsafe { std::slice::from_raw_parts(first.add(rows.start * width), rows.len() * width) }
        } else {
            let [step, _] = inner.inner();
            reduced.each(rows, |[row]| {
                inner.runs(0..width, &mut |[at, _], n| {
                    // SAFETY: elements of a row, within x.
                    copy.extend((0..n as isize).map(|j| unsafe { first.offset(row + at + j * step).read() }));
                });
            });
            &copy
        };
        let acc = piece_of::<F>(elements, long, width);
        for (j, a) in acc.iter().take(width).enumerate() {
            // SAFETY: each task has its own places.
            unsafe { slots.at(task * width + j).write(*a) };
        }
    });
    for ([_, to], parts) in groups.iter().zip(partial.chunks_exact(pieces * width)) {
        let mut j = 0;
        inner.each(0..width, |[_, at]| {
            let mut tree = Pairwise::<F>::new();
            (0..pieces).for_each(|p| tree.push(parts[p * width + j]));
            // SAFETY: a position of out's layout; each column has its own.
            unsafe { out.ptr::<F::Out>().offset(to + at).write(F::lower(tree.finish())) };
            j += 1;
        });
    }
}

/// The columns of rows that follow each other, in the first `width` places of the answer.
fn piece_of<F: Fold>(elements: &[F::In], long: usize, width: usize) -> Vec<F::Acc> {
    let (mut near, mut far) = (vec![F::IDENTITY; long], vec![F::IDENTITY; long]);
    let mut steps = elements.chunks_exact(STEP * long);
    for (k, step) in steps.by_ref().enumerate() {
        join_step::<F>(&mut near, &std::array::from_fn(|r| &step[r * long..(r + 1) * long]));
        if (k + 1) % POUR == 0 {
            join_accumulators::<F>(&mut far, &near);
            near.fill(F::IDENTITY);
        }
    }
    // The last long row may be cut off.
    for row in steps.remainder().chunks(long) {
        join_row::<F>(&mut near[..row.len()], row);
    }
    join_accumulators::<F>(&mut far, &near);
    let mut left = long;
    while left > width {
        left /= 2;
        let (low, high) = far.split_at_mut(left);
        join_accumulators::<F>(low, &high[..left]);
    }
    far
}
