//! Max pooling.
//!
//! A part of a plane is laid out with its padding (the lowest value there is) and cut into one plane per stride phase: then what a tap
//! contributes to all outputs of the part is one run, however short the rows are, and the loops over runs fill registers.

use super::axis::{Axis, Window, sizes};
use super::{RowAt, Sink};
use crate::backend::*;
use crate::cpu::pool as threads;
use crate::cpu::rows::{Compute, Dense};
use crate::cpu::simd::{self, Body, Isa};
use crate::*;
use std::ops::Range;

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

/// About the number of comparisons of a task.
const GRAIN: usize = 1 << 16;

/// One dimension of the window: which padded positions its taps read.
struct Side {
    axis: Axis,
    stride: usize,
    padding: usize,
    dilation: usize,
    /// Taps' positions modulo the stride.
    phases: Vec<usize>,
}

impl Side {
    fn new(axis: &Axis) -> Side {
        let Window::Regular { kernel, stride, padding, dilation } = axis.window else { unreachable!("maxima are regular") };
        let mut phases: Vec<usize> = (0..kernel).map(|k| k * dilation % stride).collect();
        phases.sort_unstable();
        phases.dedup();
        Side { axis: *axis, stride, padding, dilation, phases }
    }
    /// Size of a phase's plane for `outputs` outputs.
    fn reach(&self, outputs: usize) -> usize {
        outputs + (self.axis.width() - 1) * self.dilation / self.stride
    }
    /// The phase that a tap reads, and from which of its positions for output zero.
    fn tap(&self, k: usize) -> (usize, usize) {
        let at = k * self.dilation;
        (self.phases.iter().position(|&p| p == at % self.stride).expect("a phase for every tap"), at / self.stride)
    }
    /// The input position of position `q` of a phase, of outputs from `first` on.
    fn input(&self, phase: usize, first: usize, q: usize) -> Option<usize> {
        ((first + q) * self.stride + phase).checked_sub(self.padding).filter(|&i| i < self.axis.input)
    }
}

/// The outputs of a plane that one task computes: a range of rows of the middle dimension, or of the outer one.
struct Part {
    outer: Range<usize>,
    middle: Range<usize>,
}

/// The window, and how planes are cut.
struct Plan<A> {
    sides: [Side; 3],
    /// Rows of a part, of the outer or of the middle dimension.
    rows: [usize; 2],
    lowest: A,
}

impl<A: Max> Plan<A> {
    fn new(axes: &[Axis; 3], volume: usize) -> Plan<A> {
        let [depth, height, width] = axes.map(|a| a.output);
        // Parts of one plane lie above each other; a volume is cut into slices.
        let fit = |row: usize, of: usize| (GRAIN / row.saturating_mul(volume).max(1)).clamp(1, of.max(1));
        let rows = if depth > 1 { [fit(height.saturating_mul(width), depth), height] } else { [1, fit(width, height)] };
        Plan { sides: [&axes[0], &axes[1], &axes[2]].map(Side::new), rows, lowest: A::LOWEST }
    }
    fn parts(&self) -> [usize; 2] {
        [0, 1].map(|d| self.sides[d].axis.output.div_ceil(self.rows[d].max(1)))
    }
    fn part(&self, i: usize) -> Part {
        let counts = self.parts();
        let range = |d: usize, i: usize| i * self.rows[d]..((i + 1) * self.rows[d]).min(self.sides[d].axis.output);
        Part { outer: range(0, i / counts[1]), middle: range(1, i % counts[1]) }
    }
    /// Sizes of the phases' planes of a part.
    fn reach(&self, part: &Part) -> [usize; 3] {
        [
            self.sides[0].reach(part.outer.len()),
            self.sides[1].reach(part.middle.len()),
            self.sides[2].reach(self.sides[2].axis.output),
        ]
    }
    /// Where each tap's values for the first output lie.
    fn offsets(&self, [depth, height, width]: [usize; 3]) -> Vec<usize> {
        let [z, y, x] = &self.sides;
        let mut offsets = Vec::new();
        for (pz, z) in (0..z.axis.width()).map(|k| z.tap(k)) {
            for (py, yy) in (0..y.axis.width()).map(|k| y.tap(k)) {
                for (px, xx) in (0..x.axis.width()).map(|k| x.tap(k)) {
                    let phase = (pz * y.phases.len() + py) * x.phases.len() + px;
                    offsets.push(((phase * depth + z) * height + yy) * width + xx);
                }
            }
        }
        offsets
    }
    /// Lays out a part of a plane; clears what `to` holds.
    fn fill(&self, plane: &[A], part: &Part, [depth, height, width]: [usize; 3], to: &mut Vec<A>) {
        let [z, y, x] = &self.sides;
        to.clear();
        for (pz, py, px) in
            z.phases.iter().flat_map(|&pz| y.phases.iter().flat_map(move |&py| x.phases.iter().map(move |&px| (pz, py, px))))
        {
            // The positions of a row that lie inside the input.
            let start = x.padding.saturating_sub(px).div_ceil(x.stride).min(width);
            let end = (x.axis.input + x.padding).saturating_sub(px).div_ceil(x.stride).clamp(start, width);
            for (qz, qy) in (0..depth).flat_map(|qz| (0..height).map(move |qy| (qz, qy))) {
                let row = z.input(pz, part.outer.start, qz).zip(y.input(py, part.middle.start, qy));
                let Some((iz, iy)) = row.filter(|_| start < end) else {
                    to.resize(to.len() + width, self.lowest);
                    continue;
                };
                to.resize(to.len() + start, self.lowest);
                let from = &plane[(iz * y.axis.input + iy) * x.axis.input..][..x.axis.input][start * x.stride + px - x.padding..];
                let n = end - start;
                match x.stride {
                    1 => to.extend_from_slice(&from[..n]),
                    2 => {
                        to.extend(from.as_chunks::<2>().0.iter().take(n - 1).map(|pair| pair[0]));
                        to.push(from[2 * (n - 1)]);
                    }
                    step => to.extend((0..n).map(|i| from[i * step])),
                }
                to.resize(to.len() + width - end, self.lowest);
            }
        }
    }
}

pub(super) fn pool<T: Compute<Wide: Max>>(
    x: View,
    axes: &[Axis; 3],
    values: &mut ViewMut,
    indices: Option<&mut ViewMut>,
) -> Result<()> {
    let kernel = axes.map(|a| a.width());
    let volume = kernel.iter().try_fold(1usize, |n, &k| n.checked_mul(k)).filter(|&n| 0 < n && n < NONE as usize);
    let volume =
        volume.ok_or_else(|| Error::runtime(format!("max_pool: a window of {kernel:?} elements is empty or too large")))?;
    if values.numel() == 0 {
        return Ok(());
    }
    let x = Dense::of::<T>(x)?;
    let (input, output) = sizes(axes);
    let plane = input.iter().product::<usize>();
    let (sink, index_sink) = (Sink::<T>::new(values), indices.map(|i| Sink::<i64>::new(i)));
    let plan = Plan::<T::Wide>::new(axes, volume);
    let parts: usize = plan.parts().iter().product();
    let total = values.shape()[0] * parts;
    let work = (output.iter().product::<usize>() / parts).max(1).saturating_mul(volume);
    threads::for_ranges(total, GRAIN / work, |range| {
        let (mut padded, mut best, mut taps) = (Vec::new(), Vec::new(), Vec::new());
        let mut positions = vec![0i64; if index_sink.is_some() { output[2] } else { 0 }];
        let mut offsets: ([usize; 3], Vec<usize>) = ([0; 3], Vec::new());
        for (number, part) in range.map(|i| (i / parts, plan.part(i % parts))) {
            let reach = plan.reach(&part);
            if offsets.0 != reach {
                offsets = (reach, plan.offsets(reach));
            }
            plan.fill(&x[number * plane..][..plane], &part, reach, &mut padded);
            // Up to the last output, junk between the rows included.
            let last = ((part.outer.len() - 1) * reach[1] + part.middle.len() - 1) * reach[2] + output[2];
            best.resize(last, T::Wide::LOWEST);
            taps.resize(if index_sink.is_some() { last } else { 0 }, NONE);
            simd::run(Maxima { padded: &padded, offsets: &offsets.1, best: &mut best[..last], taps: &mut taps });
            for (outer, middle) in part.outer.clone().flat_map(|o| part.middle.clone().map(move |m| (o, m))) {
                let at = RowAt { plane: number, outer, middle };
                let row = ((outer - part.outer.start) * reach[1] + middle - part.middle.start) * reach[2];
                // SAFETY: rows of the output, each visited once.
                unsafe { sink.put(at, &best[row..row + output[2]]) };
                if let Some(sink) = &index_sink {
                    locate(axes, [outer, middle], &taps[row..row + output[2]], &mut positions);
                    // SAFETY: as above; the indices have the values' shape.
                    unsafe { sink.put(at, &positions) };
                }
            }
        }
    });
    Ok(())
}

/// A run of maxima, and (if `taps` is not empty) which tap of the window each came from.
struct Maxima<'a, A> {
    padded: &'a [A],
    offsets: &'a [usize],
    best: &'a mut [A],
    taps: &'a mut [u32],
}

impl<A: Max> Body for Maxima<'_, A> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        // What one block of outputs has won so far stays in L1.
        const BLOCK: usize = 1024;
        for start in (0..self.best.len()).step_by(BLOCK) {
            let end = (start + BLOCK).min(self.best.len());
            let best = &mut self.best[start..end];
            best.fill(A::LOWEST);
            if self.taps.is_empty() {
                for offset in self.offsets {
                    for (x, best) in self.padded[offset + start..][..best.len()].iter().zip(&mut *best) {
                        *best = if x.beats(*best) { *x } else { *best };
                    }
                }
                continue;
            }
            let taps = &mut self.taps[start..end];
            taps.fill(NONE);
            for (tap, offset) in (0u32..).zip(self.offsets) {
                for ((x, best), won) in self.padded[offset + start..][..best.len()].iter().zip(&mut *best).zip(&mut *taps) {
                    let wins = x.beats(*best);
                    *best = if wins { *x } else { *best };
                    *won = if wins { tap } else { *won };
                }
            }
        }
    }
}

/// Turns winning taps of a row into positions within the input plane.
fn locate(axes: &[Axis; 3], at: [usize; 2], taps: &[u32], positions: &mut [i64]) {
    let [outer, middle, inner] = axes;
    let [kd, kh, kw] = axes.map(|a| a.width());
    // A window that lies wholly beyond the input has no tap: any position will do that is one.
    let place = |axis: &Axis, o, k| if axis.taps(o).contains(&k) { axis.position(o, k) } else { 0 };
    let row = |d, h| (place(outer, at[0], d) * middle.input + place(middle, at[1], h)) * inner.input;
    let rows = kd * kh;
    // A window of ordinary size has a table of what its rows add.
    let mut table = [0; 64];
    for (r, start) in table.iter_mut().enumerate().take(rows) {
        *start = row(r / kh, r % kh);
    }
    for (o, (&tap, position)) in taps.iter().zip(positions).enumerate() {
        *position = if tap == NONE {
            row(outer.taps(at[0]).start, middle.taps(at[1]).start) + place(inner, o, inner.taps(o).start)
        } else {
            let (r, w) = (tap / kw as u32, tap % kw as u32);
            let start = if rows <= table.len() { table[r as usize] } else { row(r as usize / kh, r as usize % kh) };
            start + inner.position(o, w as usize)
        } as i64;
    }
}
