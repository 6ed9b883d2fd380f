//! Losses of scores for classes: the negative log likelihood of one class per row, of log-probabilities or of scores.
//!
//! For scores (cross entropy) a forward pass reads the row once or twice and keeps its maximum and the sum of its exponentials; the backward
//! pass makes the probabilities from them anew. No tensor of log-probabilities is ever written.

use super::along::Along;
use super::band::{self, Band, Rows};
use super::lanes::{map1, maximum, sum_of};
use super::softmax::{SHORT, load_tile, maxima, store_tile};
use super::strip::{LANES, Strip, Tile};
use crate::backend::*;
use crate::cpu::pool;
use crate::cpu::rows::{Compute, Shared, load, store};
use crate::cpu::simd::{self, Body, Isa, Real};
use crate::cpu::walk::GRAIN;
use crate::*;
use std::ops::Range;

/// What the forward and the backward pass have in common.
struct Job<T: Compute> {
    kernel: ClassLoss,
    /// Classes.
    n: usize,
    /// Rows in x, target and (in the backward pass) the gradient of x.
    along: Along,
    x: Shared<T>,
    step: isize,
    target: Shared<i64>,
    weight: Option<(Shared<T>, isize)>,
}

impl<T: Compute<Wide: Real>> Job<T> {
    /// `None` if the views are not what the kernel is for.
    fn new(kernel: ClassLoss, x: &View, target: &View, weight: Option<&View>, gx: Option<&ViewMut>) -> Option<Job<T>> {
        let d = kernel.dim;
        let without = |s: &[isize]| -> Strides { s.iter().enumerate().filter(|&(i, _)| i != d).map(|(_, &s)| s).collect() };
        let outer: Dims = x.shape().iter().enumerate().filter(|&(i, _)| i != d).map(|(_, &n)| n).collect();
        let fits = d < x.shape().len() && target.dtype == DType::I64 && outer.as_slice() == target.shape();
        if !fits || weight.is_some_and(|w| w.dtype != x.dtype || w.shape() != [x.shape()[d]]) {
            return None;
        }
        let gs = gx.map_or_else(|| without(x.strides()), |g| without(g.strides()));
        Some(Job {
            kernel,
            n: x.shape()[d],
            along: Along::new(&outer, |_| true, &[&without(x.strides()), target.strides(), &gs]),
            x: Shared::new(x.ptr::<T>().cast_mut()),
            step: x.strides()[d],
            target: Shared::new(target.ptr::<i64>().cast_mut()),
            weight: weight.map(|w| (Shared::new(w.ptr::<T>().cast_mut()), w.strides()[0])),
        })
    }
    /// Short rows, and rows whose neighbours lie side by side, go together.
    fn in_lanes(&self) -> bool {
        self.n <= SHORT || self.step != 1 && self.along.neighbours(0, LANES / 2)
    }
    fn rows_per_chunk(&self) -> usize {
        let each = if self.kernel.of_scores { self.n } else { 16 };
        (10_000 / each.max(1)).max(1).next_multiple_of(if self.in_lanes() { LANES } else { 1 })
    }
    /// The class of the row at `offset` of the target, or `None` if the row is to be ignored, or names no class ([`Job::check`]).
    ///
    /// # Safety
    /// The offset is from `along`.
    #[inline(always)]
    unsafe fn class(&self, offset: isize) -> Option<usize> {
        // SAFETY: the caller's.
        let t = unsafe { *self.target.get().offset(offset) };
        (t != self.kernel.ignore_index && (t as u64) < self.n as u64).then_some(t as usize)
    }
    #[inline(always)]
    fn weight_of(&self, class: usize) -> f64 {
        // SAFETY: a class is within the weights.
        self.weight.map_or(1.0, |(w, step)| unsafe { (*w.get().offset(class as isize * step)).widen().to_f64() })
    }
    /// Losses of log-probabilities without weights, added up, how many they are, and how many rows have no class.
    fn unweighted(&self, rows: Range<usize>) -> [f64; 3] {
        let n = rows.len();
        let (sum, without) = match self.along.steps() {
            Some(steps) => self.add_up(rows.map(|row| steps.map(|step| row as isize * step))),
            None => self.add_up(self.along.from(rows.start).take(n)),
        };
        [sum, (n - without) as f64, without as f64]
    }
    /// In four sums, so that an addition does not wait for the one before.
    #[inline(always)]
    fn add_up(&self, mut offsets: impl Iterator<Item = [isize; 3]>) -> (f64, usize) {
        let (mut sums, mut without) = ([0f64; 4], 0);
        'rows: loop {
            for sum in &mut sums {
                let Some(at) = offsets.next() else { break 'rows };
                // SAFETY: offsets of a row's own, of which the class is an element.
                match unsafe { self.class(at[1]) } {
                    Some(class) => *sum -= unsafe { (*self.x.get().offset(at[0] + class as isize * self.step)).widen().to_f64() },
                    None => without += 1,
                }
            }
        }
        ((sums[0] + sums[1]) + (sums[2] + sums[3]), without)
    }
    /// An error for the first target that is neither a class nor ignored.
    fn check(&self) -> Result<()> {
        if self.along.rows == 0 {
            return Ok(());
        }
        for at in self.along.from(0).take(self.along.rows) {
            // SAFETY: an offset of the target's own.
            let t = unsafe { *self.target.get().offset(at[1]) };
            if t != self.kernel.ignore_index && !(0..self.n as i64).contains(&t) {
                return Err(Error::index(format!("Target {t} is out of bounds.")));
            }
        }
        Ok(())
    }
    /// The row at `offset`: in place where it lies so, else copied to `room`.
    ///
    /// # Safety
    /// The offset is from `along`; nobody writes the row.
    #[inline(always)]
    unsafe fn row<'a>(&self, offset: isize, room: &'a mut [T::Wide]) -> &'a [T::Wide] {
        // SAFETY: the caller's; `T` is its own compute type where the pointer is cast.
        unsafe {
            let from = self.x.get().offset(offset);
            if T::DTYPE == <T::Wide as Element>::DTYPE && self.step == 1 {
                return std::slice::from_raw_parts(from.cast(), self.n);
            }
            load(from, self.step, room);
            room
        }
    }
    /// Maximum and sum of exponentials of the rows `rows`.
    fn stats(&self, rows: Range<usize>, mut f: impl FnMut(usize, T::Wide, T::Wide)) {
        let n = self.n;
        let zero = <T::Wide as Real>::ZERO;
        let mut room = Tile::new();
        let room = room.elements(n, zero);
        if !self.in_lanes() {
            let mut found = vec![(zero, zero); rows.len()];
            simd::run_widest(RowStats { job: self, first: rows.start, found: &mut found, room });
            rows.zip(found).for_each(|(row, (max, sum))| f(row, max, sum));
            return;
        }
        let mut tile = Tile::new();
        let tile = tile.vectors(n, zero);
        let mut offsets = self.along.from(rows.start);
        for first in rows.clone().step_by(LANES) {
            let count = LANES.min(rows.end - first);
            let mut starts = [0isize; LANES];
            starts[..count].iter_mut().zip(&mut offsets).for_each(|(s, at)| *s = at[0]);
            // SAFETY: offsets of x's own rows.
            unsafe { load_tile(self.x.get(), &starts[..count], self.step, tile, room) };
            let (max, sum) = simd::run_widest(TileStats(tile));
            (0..count).for_each(|l| f(first + l, max[l], sum[l]));
        }
    }
}

/// `ins = [x, target, (weight)]`, `outs = [loss, total, (stats)]`.
pub(super) fn forward<T: Compute<Wide: Real>>(kernel: ClassLoss, ins: &[View], outs: &mut [ViewMut]) -> Result<Option<()>> {
    let Some(job) = Job::<T>::new(kernel, &ins[0], &ins[1], ins.get(2), None) else { return Ok(None) };
    let [loss, total, rest @ ..] = outs else { return Ok(None) };
    let rows = job.along.rows;
    let (Some(loss), Some(total)) = (loss.as_mut_slice::<T>(), total.as_mut_slice::<T::Wide>()) else { return Ok(None) };
    let stats = match rest {
        [stats] => stats.as_mut_slice::<T::Wide>(),
        _ => None,
    };
    if kernel.of_scores != stats.is_some() {
        return Ok(None);
    }
    let (single, stats) = (Shared::new(loss.as_mut_ptr()), stats.map(|s| Shared::new(s.as_mut_ptr())));
    let grain = job.rows_per_chunk();
    // Losses, weights, and rows that have no class.
    let mut sums = vec![[0f64; 3]; rows.div_ceil(grain)];
    let parts = Shared::new(sums.as_mut_ptr());
    pool::for_ranges(rows, grain, |range| {
        let mut part = [0f64; 3];
        let mut targets = job.along.from(range.start);
        let mut one = |row: usize, at: [isize; 3], stat: Option<(f64, f64)>| {
            // SAFETY: offsets of the row's own, of which the class is an element.
            let (value, w) = match unsafe { job.class(at[1]) } {
                None => {
                    part[2] += 1.0;
                    (0.0, 0.0)
                }
                Some(class) => {
                    let score = unsafe { (*job.x.get().offset(at[0] + class as isize * job.step)).widen().to_f64() };
                    let w = job.weight_of(class);
                    let value = stat.map_or(-score, |(max, sum)| sum.ln() - (score - max));
                    // What counts nothing counts nothing even where it is infinite.
                    (if w == 0.0 { 0.0 } else { w * value }, w)
                }
            };
            if kernel.reduction == LossReduction::None {
                // SAFETY: one element per row, of this chunk's own.
                unsafe { *single.get().add(row) = T::from_f64(value) };
            }
            part[0] += value;
            part[1] += w;
        };
        if let Some(stats) = stats {
            job.stats(range.clone(), |row, max, sum| {
                // SAFETY: two elements per row, of this chunk's own.
                unsafe {
                    *stats.get().add(row) = max;
                    *stats.get().add(rows + row) = sum;
                }
                one(row, targets.next().expect("as many as there are rows"), Some((max.to_f64(), sum.to_f64())));
            });
        } else if job.weight.is_some() || kernel.reduction == LossReduction::None {
            range.clone().zip(targets).for_each(|(row, at)| one(row, at, None));
        } else {
            part = job.unweighted(range.clone());
        }
        // SAFETY: one part per chunk.
        unsafe { *parts.get().add(range.start / grain) = part };
    });
    let [value, weights, without] = sums.iter().fold([0f64; 3], |[a, b, c], [x, y, z]| [a + x, b + y, c + z]);
    if without > 0.0 {
        job.check()?;
    }
    total[0] = <T::Wide as Element>::from_f64(weights);
    match kernel.reduction {
        LossReduction::None => {}
        LossReduction::Sum => loss[0] = T::from_f64(value),
        LossReduction::Mean => loss[0] = T::from_f64(value / weights),
    }
    Ok(Some(()))
}

/// `ins = [gradient of the loss, x, target, total, (stats), (weight)]`, `outs = [gradient of x]`.
pub(super) fn backward<T: Compute<Wide: Real>>(kernel: ClassLoss, ins: &[View], out: &mut ViewMut) -> Result<Option<()>> {
    let [g, x, target, total, rest @ ..] = ins else { return Ok(None) };
    let (stats, weight) = if kernel.of_scores { (rest.first(), rest.get(1)) } else { (None, rest.first()) };
    let Some(job) = Job::<T>::new(kernel, x, target, weight, Some(out)) else { return Ok(None) };
    let (Some(g), Some(total)) = (g.as_slice::<T>(), total.as_slice::<T::Wide>()) else { return Ok(None) };
    let stats = stats.and_then(|s| s.as_slice::<T::Wide>());
    if kernel.of_scores != stats.is_some() || out.dtype != x.dtype {
        return Ok(None);
    }
    let rows = job.along.rows;
    // What the gradient of a row is multiplied by, but for its class's weight.
    let share = |row: usize| match kernel.reduction {
        LossReduction::None => g[row].widen().to_f64(),
        LossReduction::Sum => g[0].widen().to_f64(),
        LossReduction::Mean => g[0].widen().to_f64() / total[0].to_f64(),
    };
    let (to, to_step) = (Shared::new(out.ptr::<T>()), out.strides()[kernel.dim]);
    let zero = <T::Wide as Real>::ZERO;
    let n = job.n;
    // Of scores that come as logarithms one element of each row is read, but all are written.
    let grain = if kernel.of_scores { job.rows_per_chunk() } else { (GRAIN / n.max(1)).max(1) };
    pool::for_ranges(rows, grain, |range| {
        // The factor of a row, and its class.
        let factor = |row: usize, at: [isize; 3]| {
            // SAFETY: an offset of the target's own.
            unsafe { job.class(at[1]) }.map(|class| (class, share(row) * job.weight_of(class)))
        };
        let peak = |at: [isize; 3], class: usize, c: f64| {
            // SAFETY: an element of this chunk's own rows.
            unsafe {
                let p = to.get().offset(at[2] + class as isize * to_step);
                *p = T::from_f64((*p).widen().to_f64() - c);
            }
        };
        let mut room = Tile::new();
        let room = room.elements(n, zero);
        let Some(stats) = stats else {
            for (row, at) in range.clone().zip(job.along.from(range.start)) {
                // SAFETY: this chunk's own row.
                unsafe { store(room, to.get().offset(at[2]), to_step) };
                factor(row, at).into_iter().for_each(|(class, c)| peak(at, class, c));
            }
            return;
        };
        let wide = <T::Wide as Element>::from_f64;
        if !job.in_lanes() {
            let direct = T::DTYPE == <T::Wide as Element>::DTYPE && to_step == 1;
            let mut result = vec![zero; if direct { 0 } else { n }];
            for (row, at) in range.clone().zip(job.along.from(range.start)) {
                let found = factor(row, at);
                // SAFETY: nobody writes x; the row of the gradient is this chunk's own, and fresh memory.
                unsafe {
                    let p = to.get().offset(at[2]);
                    let out = if direct { std::slice::from_raw_parts_mut(p.cast::<T::Wide>(), n) } else { &mut result[..] };
                    match found {
                        None => out.fill(zero),
                        Some((class, c)) => {
                            let scale = wide(c / stats[rows + row].to_f64());
                            simd::run_widest(RowGradient { x: job.row(at[0], room), out: &mut *out, max: stats[row], scale });
                            out[class] = out[class] - wide(c);
                        }
                    }
                    if !direct {
                        store(&result, p, to_step);
                    }
                }
            }
            return;
        }
        let (mut tile, mut result) = (Tile::new(), Tile::new());
        let (tile, result) = (tile.vectors(n, zero), result.vectors(n, zero));
        let mut offsets = job.along.from(range.start);
        for first in range.clone().step_by(LANES) {
            let count = LANES.min(range.end - first);
            let mut at = [[0isize; 3]; LANES];
            at[..count].iter_mut().zip(&mut offsets).for_each(|(at, offset)| *at = offset);
            let mut found = [None; LANES];
            let (mut max, mut scale) = ([zero; LANES], [zero; LANES]);
            for l in 0..count {
                found[l] = factor(first + l, at[l]);
                if let Some((_, c)) = found[l] {
                    max[l] = stats[first + l];
                    scale[l] = wide(c / stats[rows + first + l].to_f64());
                }
            }
            // SAFETY: offsets of x's rows, and of this chunk's rows of the gradient, which is fresh memory.
            unsafe {
                load_tile(job.x.get(), &at.map(|a| a[0])[..count], job.step, tile, room);
                simd::run_widest(TileGradient { x: tile, out: &mut *result, max, scale });
                for (l, found) in found[..count].iter().enumerate() {
                    match *found {
                        Some((class, c)) => result[class][l] = result[class][l] - wide(c),
                        // Whatever lies in a row that is ignored.
                        None => result.iter_mut().for_each(|lanes| lanes[l] = zero),
                    }
                }
                store_tile(to.get(), &at.map(|a| a[2])[..count], to_step, result, room);
            }
        }
    });
    Ok(Some(()))
}

/// Maximum, and sum of exponentials of the distances from it, of the rows from `first` on.
struct RowStats<'a, T: Compute> {
    job: &'a Job<T>,
    first: usize,
    found: &'a mut [(T::Wide, T::Wide)],
    room: &'a mut [T::Wide],
}

impl<T: Compute<Wide: Real>> Body for RowStats<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        let n = self.job.n;
        if T::DTYPE == <T::Wide as Element>::DTYPE && self.job.step == 1 && band::suits(n, false) && self.found.len() > 1 {
            let mut offsets = self.job.along.from(self.first);
            for found in self.found.chunks_mut(LANES) {
                let mut rows = [std::ptr::null(); LANES];
                let starts = offsets.by_ref().map(|at| self.job.x.get().cast::<T::Wide>().wrapping_offset(at[0]).cast_const());
                rows.iter_mut().zip(starts.take(found.len())).for_each(|(row, start)| *row = start);
                // SAFETY: rows of x, which nobody writes.
                let band = unsafe { Band::input(found.len(), n, rows) };
                let max = band.maxima();
                let [sum] = band.sums(|r, x, _| [(x - max[r]).exp_neg::<S>()]);
                found.iter_mut().enumerate().for_each(|(r, found)| *found = (max[r], sum[r]));
            }
            return;
        }
        for (found, at) in self.found.iter_mut().zip(self.job.along.from(self.first)) {
            // SAFETY: a row of x, which nobody writes.
            let x = unsafe { self.job.row(at[0], self.room) };
            let max = maximum(x);
            *found = (max, sum_of(x, |x| (x - max).exp_neg::<S>()));
        }
    }
}

/// The same for a row in each lane.
struct TileStats<'a, A>(&'a [[A; LANES]]);

impl<A: Real> Body for TileStats<'_, A> {
    type Out = ([A; LANES], [A; LANES]);
    #[inline(always)]
    fn run<S: Isa>(self) -> Self::Out {
        let max = maxima(&Strip::of(self.0));
        let mut sum = [A::ZERO; LANES];
        for x in self.0 {
            for l in 0..LANES {
                sum[l] = sum[l] + (x[l] - max[l]).exp_neg::<S>();
            }
        }
        (max, sum)
    }
}

struct RowGradient<'a, A> {
    x: &'a [A],
    out: &'a mut [A],
    max: A,
    scale: A,
}

impl<A: Real> Body for RowGradient<'_, A> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        let (max, scale) = (self.max, self.scale);
        map1(self.x, self.out, |x, _| (x - max).exp_neg::<S>() * scale);
    }
}

struct TileGradient<'a, A> {
    x: &'a [[A; LANES]],
    out: &'a mut [[A; LANES]],
    max: [A; LANES],
    scale: [A; LANES],
}

impl<A: Real> Body for TileGradient<'_, A> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        let (max, scale) = (self.max, self.scale);
        for (out, x) in self.out.iter_mut().zip(self.x) {
            for l in 0..LANES {
                out[l] = (x[l] - max[l]).exp_neg::<S>() * scale[l];
            }
        }
    }
}
