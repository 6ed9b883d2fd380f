//! Average pooling, regular and adaptive, and its transposed map.

use super::axis::{Axis, Window, sizes};
use super::tiles::Tiles;
use super::{Sink, for_rows};
use crate::backend::*;
use crate::cpu::rows::{Compute, Dense};
use crate::cpu::simd::{self, Body, Isa};
use crate::*;
use std::ops::AddAssign;

/// What sums are divided by.
#[derive(Clone, Copy, Debug)]
pub(super) enum Divisor {
    /// A number of the user's.
    Fixed(usize),
    /// The window's elements, padding included.
    Padded,
    /// The window's elements within the input.
    Valid,
    /// One side of the window after the other: PyTorch's adaptive pooling, to the bit.
    EachSide,
}

impl Divisor {
    pub(super) fn of(count_include_pad: bool, divisor: Option<usize>) -> Divisor {
        match divisor {
            Some(n) => Divisor::Fixed(n),
            None if count_include_pad => Divisor::Padded,
            None => Divisor::Valid,
        }
    }
}

/// A type that can be averaged.
pub(super) trait Average: Element + AddAssign {
    const ZERO: Self;
    /// `self / n`, and zero for an empty window.
    fn over(self, n: usize) -> Self;
}

macro_rules! average {
    ($($t:ty)*) => {$(
        impl Average for $t {
            const ZERO: $t = 0 as $t;
            #[inline(always)]
            fn over(self, n: usize) -> $t {
                if n == 0 { 0 as $t } else { self / n as $t }
            }
        }
    )*};
}
average!(i64 f32 f64);

/// Divides each element of an output row by its window's divisor.
#[inline(always)]
fn divide<A: Average>(row: &mut [A], divisor: Divisor, axes: &[Axis; 3], at: [usize; 2]) {
    let [outer, middle, inner] = axes;
    match divisor {
        Divisor::Fixed(n) => row.iter_mut().for_each(|x| *x = x.over(n)),
        Divisor::Padded => {
            let rows = outer.padded_len(at[0]) * middle.padded_len(at[1]);
            match inner.whole() {
                Some(n) => row.iter_mut().for_each(|x| *x = x.over(rows * n)),
                None => row.iter_mut().enumerate().for_each(|(o, x)| *x = x.over(rows * inner.padded_len(o))),
            }
        }
        Divisor::Valid => {
            let rows = outer.span(at[0]).len() * middle.span(at[1]).len();
            match inner.whole() {
                Some(n) => row.iter_mut().for_each(|x| *x = x.over(rows * n)),
                None => row.iter_mut().enumerate().for_each(|(o, x)| *x = x.over(rows * inner.span(o).len())),
            }
        }
        Divisor::EachSide => {
            let (d, h) = (outer.span(at[0]).len(), middle.span(at[1]).len());
            match inner.whole() {
                Some(n) => row.iter_mut().for_each(|x| *x = x.over(d).over(h).over(n)),
                None => row.iter_mut().enumerate().for_each(|(o, x)| *x = x.over(d).over(h).over(inner.span(o).len())),
            }
        }
    }
}

pub(super) fn forward<T: Compute<Wide: Average>>(x: View, axes: &[Axis; 3], divisor: Divisor, out: &mut ViewMut) -> Result<()> {
    if out.numel() == 0 {
        return Ok(());
    }
    let x = Dense::of::<T>(x)?;
    let (input, output) = sizes(axes);
    if let Some(tiles) = Tiles::of(axes, divisor) {
        tiles.forward::<T>(&x, out);
        return Ok(());
    }
    let plane = input.iter().product::<usize>();
    let sink = Sink::<T>::new(out);
    for_rows(out.shape()[0], output, taps_per_row(axes, output[2]), |rows| {
        let mut sums = vec![T::Wide::ZERO; output[2]];
        for at in rows {
            let plane = &x[at.plane * plane..][..plane];
            simd::run(Forward { plane, axes, divisor, at: [at.outer, at.middle], sums: &mut sums });
            // SAFETY: rows of the output, each visited once.
            unsafe { sink.put(at, &sums) };
        }
    });
    Ok(())
}

/// Gathers instead of scattering: a row of the result sums what every output row that sees it sends, in PyTorch's order.
pub(super) fn backward<T: Compute<Wide: Average>>(g: View, axes: &[Axis; 3], divisor: Divisor, out: &mut ViewMut) -> Result<()> {
    if out.numel() == 0 {
        return Ok(());
    }
    let g = Dense::of::<T>(g)?;
    let (input, output) = sizes(axes);
    if let Some(tiles) = Tiles::of(axes, divisor) {
        tiles.backward::<T>(&g, out);
        return Ok(());
    }
    let plane = output.iter().product::<usize>();
    let sink = Sink::<T>::new(out);
    for_rows(out.shape()[0], input, taps_per_row(axes, input[2]), |rows| {
        let (mut sums, mut scratch) = (vec![T::Wide::ZERO; input[2]], vec![T::Wide::ZERO; output[2]]);
        for at in rows {
            let plane = &g[at.plane * plane..][..plane];
            let (at2, sums, scratch) = ([at.outer, at.middle], &mut sums[..], &mut scratch[..]);
            simd::run(Backward { plane, axes, divisor, at: at2, sums: &mut *sums, scratch });
            // SAFETY: rows of the result, each visited once.
            unsafe { sink.put(at, sums) };
        }
    });
    Ok(())
}

fn taps_per_row(axes: &[Axis; 3], width: usize) -> usize {
    axes.iter().fold(width, |n, a| n.saturating_mul(a.width()))
}

/// One row of averages.
struct Forward<'a, A> {
    plane: &'a [A],
    axes: &'a [Axis; 3],
    divisor: Divisor,
    at: [usize; 2],
    sums: &'a mut [A],
}

impl<A: Average> Body for Forward<'_, A> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        let [outer, middle, inner] = self.axes;
        self.sums.fill(A::ZERO);
        for d in outer.span(self.at[0]) {
            for h in middle.span(self.at[1]) {
                let row = &self.plane[(d * middle.input + h) * inner.input..][..inner.input];
                match inner.window {
                    Window::Regular { kernel, .. } => {
                        for k in 0..kernel {
                            let (outputs, first, step) = inner.outputs(k);
                            if outputs.is_empty() {
                                continue;
                            }
                            let sums = &mut self.sums[outputs];
                            match step {
                                1 => add_steps::<A, 1>(&row[first..], sums),
                                2 => add_steps::<A, 2>(&row[first..], sums),
                                _ => sums.iter_mut().enumerate().for_each(|(i, sum)| *sum += row[first + i * step]),
                            }
                        }
                    }
                    Window::Adaptive => {
                        for (o, sum) in self.sums.iter_mut().enumerate() {
                            row[inner.span(o)].iter().for_each(|&x| *sum += x);
                        }
                    }
                }
            }
        }
        divide(self.sums, self.divisor, self.axes, self.at);
    }
}

/// Adds every `STEP`th value of `row`.
#[inline(always)]
fn add_steps<A: Average, const STEP: usize>(row: &[A], sums: &mut [A]) {
    // The last value need not have a whole step behind it.
    let last = sums.len() - 1;
    for (x, sum) in row.as_chunks::<STEP>().0.iter().zip(&mut sums[..last]) {
        *sum += x[0];
    }
    sums[last] += row[last * STEP];
}

/// One row of the input's gradient.
struct Backward<'a, A> {
    /// Of the output's gradient.
    plane: &'a [A],
    axes: &'a [Axis; 3],
    divisor: Divisor,
    at: [usize; 2],
    sums: &'a mut [A],
    /// As long as a row of the output.
    scratch: &'a mut [A],
}

impl<A: Average> Body for Backward<'_, A> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        let [outer, middle, inner] = self.axes;
        self.sums.fill(A::ZERO);
        for d in outer.covering(self.at[0]) {
            for h in middle.covering(self.at[1]) {
                self.scratch.copy_from_slice(&self.plane[(d * middle.output + h) * inner.output..][..inner.output]);
                divide(self.scratch, self.divisor, self.axes, [d, h]);
                match inner.window {
                    // From the last tap to the first, an input hears from its outputs in ascending order.
                    Window::Regular { kernel, .. } => {
                        for k in (0..kernel).rev() {
                            let (outputs, first, step) = inner.outputs(k);
                            if step == 1 {
                                let len = outputs.len();
                                let from = &self.scratch[outputs];
                                self.sums[first..][..len].iter_mut().zip(from).for_each(|(sum, &g)| *sum += g);
                            } else {
                                let from = &self.scratch[outputs];
                                from.iter().enumerate().for_each(|(i, &g)| self.sums[first + i * step] += g);
                            }
                        }
                    }
                    Window::Adaptive => {
                        for (o, &g) in self.scratch.iter().enumerate() {
                            self.sums[inner.span(o)].iter_mut().for_each(|sum| *sum += g);
                        }
                    }
                }
            }
        }
    }
}
