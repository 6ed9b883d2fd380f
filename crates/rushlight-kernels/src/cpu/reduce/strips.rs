//! Few rows of few columns: all rows of some columns are joined in registers, and no accumulator is ever stored.

use super::columns::{CHUNK, STEP, columns_of, write};
use super::fold::{Fold, with_simd, witness};
use crate::backend::*;
use crate::cpu::number::Arith;
use crate::cpu::pool;
use crate::cpu::walk::{GRAIN, Grid};

/// Most columns that come here: beyond, rows lie too far apart to be read a chunk at a time.
const WIDTH: usize = 64;
/// Most rows.
const HEIGHT: usize = 512;

/// Whether groups of this size are for [`fold`].
pub(super) fn suit<F: Fold>(height: usize, width: usize) -> bool {
    size_of::<F::Acc>() >= 4 && (STEP..=HEIGHT).contains(&height) && (CHUNK..=WIDTH).contains(&width)
}

pub(super) fn fold<F: Fold>(x: View, outer: &Grid<2>, reduced: &Grid<1>, inner: &Grid<2>, out: &ViewMut) {
    let (height, width) = (reduced.len(), inner.len());
    let in_place = inner.is_run(0) && reduced.is_line();
    pool::for_ranges(outer.len(), GRAIN / (height * width), |range| {
        let (mut row, mut rows) = (Vec::new(), Vec::new());
        let mut acc = [F::IDENTITY; WIDTH];
        outer.each(range, |[from, to]| {
            let mut first = x.ptr::<F::In>().wrapping_offset(from);
            let mut step = reduced.inner()[0];
            if !in_place {
                rows.clear();
                reduced.each(0..height, |[at]| {
                    rows.extend_from_slice(columns_of(inner, first.wrapping_offset(at), 0..width, &mut row));
                });
                (first, step) = (rows.as_ptr(), width as isize);
            }
            join_rows::<F>(&mut acc[..width], first, step, height);
            write::<F>(out, to, inner, 0..width, &acc[..width]);
        });
    });
}

with_simd! {
    join_rows<F: Fold>(acc: &mut [F::Acc], first: *const F::In, step: isize, height: usize) -> () {
        let n = acc.len();
        // The last columns in one go, some of them for the second time. No closure, which might be compiled for the baseline.
        for j in (0..n).step_by(CHUNK).map(|j| j.min(n - CHUNK)) {
            // SAFETY: `height` rows of `n` elements lie `step` apart, as `fold` has seen to; n is a chunk at least.
            let columns = unsafe { join_chunk::<F>(first.add(j), step, height) };
            acc[j..j + CHUNK].copy_from_slice(&columns);
        }
    }
}

/// # Safety
/// There are `height` rows of a chunk each, `step` apart.
#[inline(always)]
unsafe fn join_chunk<F: Fold>(first: *const F::In, step: isize, height: usize) -> [F::Acc; CHUNK] {
    // SAFETY: the caller's.
    let row = |j: usize| unsafe { &*first.offset(j as isize * step).cast::<[F::In; CHUNK]>() };
    let (mut acc, mut seen) = ([F::IDENTITY; CHUNK], [F::Acc::ZERO; CHUNK]);
    let even = height - height % STEP;
    for j in (0..even).step_by(STEP) {
        let [a, b, c, d] = [row(j), row(j + 1), row(j + 2), row(j + 3)];
        let [e, f, g, h] = [row(j + 4), row(j + 5), row(j + 6), row(j + 7)];
        for l in 0..CHUNK {
            let (a, b, c, d) = (F::lift(a[l]), F::lift(b[l]), F::lift(c[l]), F::lift(d[l]));
            let (e, f, g, h) = (F::lift(e[l]), F::lift(f[l]), F::lift(g[l]), F::lift(h[l]));
            let join = F::quick;
            acc[l] = join(acc[l], join(join(join(a, b), join(c, d)), join(join(e, f), join(g, h))));
            let sum = witness::<F>;
            seen[l] = sum(seen[l], sum(sum(sum(a, b), sum(c, d)), sum(sum(e, f), sum(g, h))));
        }
    }
    for j in even..height {
        let a = row(j);
        for l in 0..CHUNK {
            acc[l] = F::quick(acc[l], F::lift(a[l]));
            seen[l] = witness::<F>(seen[l], F::lift(a[l]));
        }
    }
    if F::PASSES_NAN && seen.iter().any(|s| s.is_nan()) {
        for j in 0..height {
            for (acc, x) in acc.iter_mut().zip(row(j)) {
                *acc = F::join(*acc, F::lift(*x));
            }
        }
    }
    acc
}
