//! A few rows of any width: all of them are joined in registers, a chunk of columns at a time, and no accumulator passes through memory from
//! row to row.

use super::columns::{CHUNK, STEP, columns_of, write};
use super::fold::{Fold, with_simd};
use crate::backend::*;
use crate::cpu::pool;
use crate::cpu::walk::{GRAIN, Grid};
use std::array::from_fn;

/// Columns of one task.
const TILE: usize = 1024;

/// Whether groups of this size are for [`fold`].
pub(super) fn suit(height: usize, width: usize) -> bool {
    (1..STEP).contains(&height) && width >= CHUNK
}

pub(super) fn fold<F: Fold>(x: View, outer: &Grid<2>, reduced: &Grid<1>, inner: &Grid<2>, out: &ViewMut) {
    let (height, width) = (reduced.len(), inner.len());
    let (mut groups, mut offsets) = (Vec::with_capacity(outer.len()), Vec::with_capacity(height));
    outer.each(0..outer.len(), |at| groups.push(at));
    reduced.each(0..height, |[at]| offsets.push(at));
    let tiles = width.div_ceil(TILE);
    pool::for_ranges(groups.len() * tiles, GRAIN / (height * width.min(TILE)), |tasks| {
        let mut acc = [F::IDENTITY; TILE];
        let mut buffers: [Vec<F::In>; STEP] = Default::default();
        for task in tasks {
            let [from, to] = groups[task / tiles];
            let start = task % tiles * TILE;
            let columns = start..(start + TILE).min(width);
            let mut rest = buffers.iter_mut();
            let rows: [&[F::In]; STEP] = from_fn(|r| match (offsets.get(r), rest.next()) {
                (Some(&at), Some(buffer)) => {
                    columns_of(inner, x.ptr::<F::In>().wrapping_offset(from + at), columns.clone(), buffer)
                }
                _ => &[],
            });
            let acc = &mut acc[..columns.len()];
            join_rows::<F>(acc, &rows[..height]);
            write::<F>(out, to, inner, columns, acc);
        }
    });
}

with_simd! {
    // Each row has as many elements as there are accumulators, which are written without being read.
    join_rows<F: Fold>(acc: &mut [F::Acc], rows: &[&[F::In]]) -> () {
        let n = acc.len();
        if n < CHUNK {
            acc.fill(F::IDENTITY);
            for row in rows {
                for (a, x) in acc.iter_mut().zip(*row) {
                    *a = F::join(*a, F::lift(*x));
                }
            }
            return;
        }
        // The last columns in one go, some of them for the second time.
        for j in (0..n).step_by(CHUNK).map(|j| j.min(n - CHUNK)) {
            let mut chunk = [F::IDENTITY; CHUNK];
            for row in rows {
                debug_assert!(row.len() == n);
                // SAFETY: a chunk of the row.
                let x = unsafe { row.as_ptr().add(j).cast::<[F::In; CHUNK]>().read_unaligned() };
                for l in 0..CHUNK {
                    chunk[l] = F::join(chunk[l], F::lift(x[l]));
                }
            }
            acc[j..j + CHUNK].copy_from_slice(&chunk);
        }
    }
}
