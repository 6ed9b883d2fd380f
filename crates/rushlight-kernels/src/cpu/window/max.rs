//! Max pooling.

use super::axis::{Axis, sizes};
use super::{Sink, for_rows};
use crate::backend::*;
use crate::cpu::rows::{Compute, Dense};
use crate::cpu::simd::{self, Body, Isa};
use crate::*;

/// A type with an order that max pooling follows.
pub(super) trait Max: Element {
    /// What every other value beats or equals.
    const LOWEST: Self;
    /// Greater, or NaN: in PyTorch the last NaN of a window wins.
    fn beats(self, best: Self) -> bool;
}

macro_rules! max_int {
    ($($t:ty)*) => {$(
        impl Max for $t {
            const LOWEST: $t = <$t>::MIN;
            #[inline(always)]
            fn beats(self, best: $t) -> bool {
                self > best
            }
        }
    )*};
}
max_int!(u8 i8 i16 i32 i64);

macro_rules! max_float {
    ($($t:ty)*) => {$(
        impl Max for $t {
            const LOWEST: $t = <$t>::NEG_INFINITY;
            #[inline(always)]
            fn beats(self, best: $t) -> bool {
                (self > best) | self.is_nan()
            }
        }
    )*};
}
max_float!(f32 f64);

/// The winning tap of an output whose taps have all been the lowest value there is: PyTorch then names the first.
const NONE: u32 = u32::MAX;

pub(super) fn pool<T: Compute<Wide: Max>>(
    x: View,
    axes: &[Axis; 3],
    values: &mut ViewMut,
    indices: Option<&mut ViewMut>,
) -> Result<()> {
    let kernel = axes.map(|a| a.width());
    let volume = kernel.iter().try_fold(1usize, |n, &k| n.checked_mul(k)).filter(|&n| n < NONE as usize);
    let volume = volume.ok_or_else(|| Error::runtime(format!("max_pool: a window of {kernel:?} elements is too large")))?;
    if values.numel() == 0 {
        return Ok(());
    }
    let x = Dense::of::<T>(x)?;
    let (input, output) = sizes(axes);
    let plane = input.iter().product::<usize>();
    let (sink, index_sink) = (Sink::<T>::new(values), indices.map(|i| Sink::<i64>::new(i)));
    for_rows(values.shape()[0], output, output[2].saturating_mul(volume), |rows| {
        let (mut best, mut taps) = (vec![T::Wide::LOWEST; output[2]], vec![NONE; output[2]]);
        let mut positions = vec![0i64; if index_sink.is_some() { output[2] } else { 0 }];
        for at in rows {
            let plane = &x[at.plane * plane..][..plane];
            simd::run(Row { plane, axes, at: [at.outer, at.middle], best: &mut best, taps: &mut taps });
            // SAFETY: rows of the output, each visited once.
            unsafe { sink.put(at, &best) };
            if let Some(sink) = &index_sink {
                locate(axes, [at.outer, at.middle], &taps, &mut positions);
                // SAFETY: as above; the indices have the values' shape.
                unsafe { sink.put(at, &positions) };
            }
        }
    });
    Ok(())
}

/// One row of maxima, and which tap of the window each came from.
struct Row<'a, A> {
    plane: &'a [A],
    axes: &'a [Axis; 3],
    at: [usize; 2],
    best: &'a mut [A],
    taps: &'a mut [u32],
}

impl<A: Max> Body for Row<'_, A> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        let [outer, middle, inner] = self.axes;
        self.best.fill(A::LOWEST);
        self.taps.fill(NONE);
        for kd in outer.taps(self.at[0]) {
            for kh in middle.taps(self.at[1]) {
                let row = outer.position(self.at[0], kd) * middle.input + middle.position(self.at[1], kh);
                let row = &self.plane[row * inner.input..][..inner.input];
                let number = (kd * middle.width() + kh) * inner.width();
                for kw in 0..inner.width() {
                    let (outputs, first, step) = inner.outputs(kw);
                    if outputs.is_empty() {
                        continue;
                    }
                    let (best, taps) = (&mut self.best[outputs.clone()], &mut self.taps[outputs]);
                    let tap = (number + kw) as u32;
                    match step {
                        1 => challenge::<A, 1>(&row[first..], best, taps, tap),
                        2 => challenge::<A, 2>(&row[first..], best, taps, tap),
                        _ => {
                            for (i, (best, won)) in best.iter_mut().zip(taps).enumerate() {
                                duel(row[first + i * step], best, won, tap);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Every `STEP`th value of `row` against the best so far. The constant step lets the compiler use wide loads and shuffles.
#[inline(always)]
fn challenge<A: Max, const STEP: usize>(row: &[A], best: &mut [A], taps: &mut [u32], tap: u32) {
    // The last value need not have a whole step behind it.
    let last = best.len() - 1;
    for ((x, best), won) in row.as_chunks::<STEP>().0.iter().zip(&mut best[..last]).zip(&mut taps[..last]) {
        duel(x[0], best, won, tap);
    }
    duel(row[last * STEP], &mut best[last], &mut taps[last], tap);
}

#[inline(always)]
fn duel<A: Max>(x: A, best: &mut A, won: &mut u32, tap: u32) {
    let wins = x.beats(*best);
    *best = if wins { x } else { *best };
    *won = if wins { tap } else { *won };
}

/// Turns winning taps into positions within the input plane.
fn locate(axes: &[Axis; 3], at: [usize; 2], taps: &[u32], positions: &mut [i64]) {
    let [outer, middle, inner] = axes;
    let (kh, kw) = (middle.width() as u32, inner.width() as u32);
    for (o, (&tap, position)) in taps.iter().zip(positions).enumerate() {
        let (d, h, w) = if tap == NONE {
            (outer.taps(at[0]).start, middle.taps(at[1]).start, inner.taps(o).start)
        } else {
            ((tap / kw / kh) as usize, (tap / kw % kh) as usize, (tap % kw) as usize)
        };
        // A window that lies wholly beyond the input has no tap: any position will do that is one.
        let place = |axis: &Axis, o, k| if axis.taps(o).contains(&k) { axis.position(o, k) } else { 0 };
        let row = place(outer, at[0], d) * middle.input + place(middle, at[1], h);
        *position = (row * inner.input + place(inner, o, w)) as i64;
    }
}
