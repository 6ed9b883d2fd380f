//! Averages over windows that lie side by side.
//!
//! Then the outputs of several rows are one run: their inputs are laid one behind the other, and short rows fill registers as long ones do. A
//! gradient is spread once and copied to the other rows of its windows.

use super::average::{Average, Divisor};
use super::axis::{Axis, sizes};
use super::{RowAt, Sink};
use crate::backend::*;
use crate::cpu::pool;
use crate::cpu::rows::Compute;
use crate::cpu::simd::{self, Body, Isa};

/// Elements of the input that one step takes at most, where a row of windows has fewer: they stay in L1.
const STEP: usize = 1 << 11;
/// Elements of the input of a task.
const TASK: usize = 1 << 16;

/// Sizes of planes that are cut into windows of size `window`.
pub(super) struct Tiles {
    input: [usize; 3],
    output: [usize; 3],
    window: [usize; 3],
    divisor: Divisor,
}

impl Tiles {
    /// `None` where windows overlap, or reach beyond the input.
    pub(super) fn of(axes: &[Axis; 3], divisor: Divisor) -> Option<Tiles> {
        let [Some(d), Some(h), Some(w)] = [0, 1, 2].map(|i| axes[i].side_by_side()) else { return None };
        let (input, output) = sizes(axes);
        Some(Tiles { input, output, window: [d, h, w], divisor })
    }
    /// Rows of windows that are taken together, of `rows` in all.
    fn rows_of_step(&self, rows: usize) -> usize {
        (STEP / (self.window[1] * self.input[2]).max(1)).clamp(1, rows.max(1))
    }
    fn divide<A: Average>(&self, sums: &mut [A]) {
        let [d, h, w] = self.window;
        let by = |sums: &mut [A], n: usize| sums.iter_mut().for_each(|x| *x = x.over(n));
        match self.divisor {
            Divisor::Fixed(n) => by(sums, n),
            Divisor::Padded | Divisor::Valid => by(sums, d * h * w),
            Divisor::EachSide => [d, h, w].into_iter().for_each(|n| by(sums, n)),
        }
    }

    pub(super) fn forward<T: Compute<Wide: Average>>(&self, x: &[T::Wide], out: &mut ViewMut) {
        let ([depth, height, width], [_, in_height, in_width]) = (self.output, self.input);
        let step = self.rows_of_step(height);
        let steps = height.div_ceil(step);
        let plane = self.input.iter().product::<usize>();
        let work = (step * self.window[0] * self.window[1] * in_width).max(1);
        let sink = Sink::<T>::new(out);
        pool::for_ranges(out.shape()[0] * depth * steps, TASK / work, |range| {
            let (mut sums, mut line) = (vec![T::Wide::ZERO; step * width], Vec::new());
            for i in range {
                let at = RowAt { plane: i / steps / depth, outer: i / steps % depth, middle: i % steps * step };
                let rows = step.min(height - at.middle);
                let slice = (at.outer * self.window[0] * in_height + at.middle * self.window[1]) * in_width;
                let x = &x[at.plane * plane + slice..(at.plane + 1) * plane];
                let sums = &mut sums[..rows * width];
                simd::run(Forward { tiles: self, x, rows, sums: &mut *sums, line: &mut line });
                // SAFETY: rows of the output, each visited once.
                unsafe { sink.put_rows(at, sums, width) };
            }
        });
    }

    pub(super) fn backward<T: Compute<Wide: Average>>(&self, g: &[T::Wide], out: &mut ViewMut) {
        let ([depth, height, width], [in_depth, in_height, in_width]) = (self.output, self.input);
        // Rows of windows, and what is left below them.
        let all = in_height.div_ceil(self.window[1]);
        let step = self.rows_of_step(all);
        let steps = all.div_ceil(step);
        let work = (step * self.window[1] * in_width).max(1);
        let sink = Sink::<T>::new(out);
        pool::for_ranges(out.shape()[0] * in_depth * steps, TASK / work, |range| {
            let mut spread = vec![T::Wide::ZERO; work];
            let mut shares = vec![T::Wide::ZERO; step * width];
            for i in range {
                let (plane, outer, first) = (i / steps / in_depth, i / steps % in_depth, i % steps * step);
                let from = outer / self.window[0];
                let rows = if from < depth { height.saturating_sub(first).min(step) } else { 0 };
                let shares = &mut shares[..rows * width];
                if rows > 0 {
                    shares.copy_from_slice(&g[((plane * depth + from) * height + first) * width..][..rows * width]);
                }
                let at = RowAt { plane, outer, middle: first * self.window[1] };
                let spread = &mut spread[..(step * self.window[1]).min(in_height - at.middle) * in_width];
                simd::run(Backward { tiles: self, shares, spread: &mut *spread });
                // SAFETY: rows of the result, each visited once.
                unsafe { sink.put_rows(at, spread, in_width) };
            }
        });
    }
}

/// Averages of `rows` rows of windows. `x` begins with the first.
struct Forward<'a, A> {
    tiles: &'a Tiles,
    x: &'a [A],
    rows: usize,
    sums: &'a mut [A],
    line: &'a mut Vec<A>,
}

impl<A: Average> Body for Forward<'_, A> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        let Forward { tiles, x, rows, sums, line } = self;
        let ([kd, kh, kw], [_, height, width], used) = (tiles.window, tiles.input, tiles.output[2] * tiles.window[2]);
        sums.fill(A::ZERO);
        for (d, h) in (0..kd).flat_map(|d| (0..kh).map(move |h| (d, h))) {
            let row = |r: usize| &x[(d * height + r * kh + h) * width..][..used];
            let taps = if rows == 1 {
                row(0)
            } else {
                line.clear();
                (0..rows).for_each(|r| line.extend_from_slice(row(r)));
                &line[..]
            };
            match kw {
                1 => sums.iter_mut().zip(taps).for_each(|(sum, &x)| *sum += x),
                2 => add::<A, 2>(taps, sums),
                3 => add::<A, 3>(taps, sums),
                4 => add::<A, 4>(taps, sums),
                _ => {
                    for (window, sum) in taps.chunks_exact(kw).zip(&mut *sums) {
                        window.iter().for_each(|&x| *sum += x);
                    }
                }
            }
        }
        tiles.divide(sums);
    }
}

/// Adds the elements of each window of `N`.
#[inline(always)]
fn add<A: Average, const N: usize>(taps: &[A], sums: &mut [A]) {
    for (window, sum) in taps.as_chunks::<N>().0.iter().zip(sums) {
        let mut s = *sum;
        window.iter().for_each(|&x| s += x);
        *sum = s;
    }
}

/// Rows of the input's gradient, from as many rows of windows as `shares` has gradients for; further rows are zero.
struct Backward<'a, A> {
    tiles: &'a Tiles,
    shares: &'a mut [A],
    spread: &'a mut [A],
}

impl<A: Average> Body for Backward<'_, A> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        let Backward { tiles, shares, spread } = self;
        let ([_, kh, kw], width, used) = (tiles.window, tiles.input[2], tiles.output[2] * tiles.window[2]);
        tiles.divide(shares);
        // A gradient is added to zero, as sums of several are.
        shares.iter_mut().for_each(|g| {
            let mut sum = A::ZERO;
            sum += *g;
            *g = sum;
        });
        let filled = shares.len() / tiles.output[2].max(1) * kh * width;
        let (spread, rest) = spread.split_at_mut(filled);
        rest.fill(A::ZERO);
        for (rows, shares) in spread.chunks_exact_mut(kh * width).zip(shares.chunks_exact(tiles.output[2])) {
            let (first, others) = rows.split_at_mut(width);
            match kw {
                1 => first[..used].copy_from_slice(shares),
                2 => repeat::<A, 2>(shares, first),
                3 => repeat::<A, 3>(shares, first),
                4 => repeat::<A, 4>(shares, first),
                _ => first.chunks_exact_mut(kw).zip(shares).for_each(|(window, &g)| window.fill(g)),
            }
            first[used..].fill(A::ZERO);
            others.chunks_exact_mut(width).for_each(|row| row.copy_from_slice(first));
        }
    }
}

/// Writes each of `shares` `N` times.
#[inline(always)]
fn repeat<A: Average, const N: usize>(shares: &[A], row: &mut [A]) {
    for (window, &g) in row.as_chunks_mut::<N>().0.iter_mut().zip(shares) {
        *window = [g; N];
    }
}
