//! Batch norm: the channels of `[outer, channels, inner]`, each over all samples and positions.
//!
//! A task takes whole channels, so that what it has read is still in cache when it is read again. With positions, a channel is a sequence of
//! contiguous stretches; without (`inner` = 1), channels lie side by side and are worked on [`LANES`] at a time.

use super::groups::{Rows, finish, rstd_of, vector};
use super::lanes::{map1, map2, totals1, totals2};
use crate::backend::*;
use crate::cpu::pool;
use crate::cpu::rows::{Compute, Shared, load, store};
use crate::cpu::simd::{self, Body, Isa, Real};
use crate::*;
use std::ops::Range;

/// Channels side by side that go together.
const LANES: usize = 32;
/// Samples that are added in the compute type before their sum goes to f64.
const FEW: usize = 64;

/// Statistics of each channel, as outputs.
#[derive(Clone, Copy)]
struct Statistics<A> {
    mean: Shared<A>,
    rstd: Shared<A>,
    variance: Shared<A>,
}

impl<A: Real + Element> Statistics<A> {
    /// Finishes channel `c` from the mean and the sum of squared distances of `n` elements; answers the mean and 1/√(variance + eps).
    ///
    /// # Safety
    /// There is such a channel, and nobody else touches it.
    #[inline(always)]
    unsafe fn set(&self, c: usize, mean: f64, squares: f64, n: f64, eps: f64) -> (A, A) {
        let squares = if squares < 0.0 { 0.0 } else { squares };
        let (m, r) = (A::of(mean), A::of(rstd_of(squares / n, eps)));
        // SAFETY: the caller's.
        unsafe {
            *self.mean.get().add(c) = m;
            *self.rstd.get().add(c) = r;
            *self.variance.get().add(c) = A::of(squares / (n - 1.0));
        }
        (m, r)
    }
}

/// Channels for one task: about 20 µs.
fn grain(norm: &ChannelNorm) -> usize {
    (20_000 / (norm.outer * norm.inner).max(1)).max(1).next_multiple_of(if norm.inner == 1 { LANES } else { 1 })
}

/// `ins = [x, (mean, variance), weight, bias]`, `outs = [y, mean, rstd, variance]`.
pub(super) fn forward<T: Compute<Wide: Real>>(norm: ChannelNorm, ins: &[View], outs: &mut [ViewMut]) -> Result<Option<()>> {
    let [y, mean, rstd, variance] = outs else { return Ok(None) };
    let channels = norm.channels;
    let mut rest = ins[1..].iter();
    let given = if norm.own { [None; 2] } else { [rest.next(), rest.next()] };
    let weight = if norm.weight { rest.next() } else { None };
    let bias = if norm.bias { rest.next() } else { None };
    let (Some(w), Some(b)) = (vector::<T>(weight, channels, 1.0), vector::<T>(bias, channels, 0.0)) else { return Ok(None) };
    let (Some(x), Some(y)) = (ins[0].as_slice::<T>(), y.as_mut_slice::<T>()) else { return Ok(None) };
    let [Some(mean), Some(rstd), Some(variance)] = [mean, rstd, variance].map(|v| v.as_mut_slice::<T::Wide>()) else {
        return Ok(None);
    };
    let fits = x.len() == y.len() && norm.outer * channels * norm.inner == x.len();
    if !fits || [&*mean, rstd, variance].iter().any(|v| v.len() != channels) {
        return Ok(None);
    }
    if let [Some(m), Some(v)] = given {
        let (Some(m), Some(v)) = (vector::<T>(Some(m), channels, 0.0), vector::<T>(Some(v), channels, 0.0)) else {
            return Ok(None);
        };
        for c in 0..channels {
            (mean[c], variance[c]) = (m[c], v[c]);
            rstd[c] = <T::Wide as Real>::of(1.0 / (v[c].to_f64() + norm.eps).sqrt());
        }
        if norm.inner > 1 {
            // Nothing is read twice: in the order of memory.
            let planes = [x.as_ptr(), y.as_ptr()].map(|p| Rows::<T>::new(p, norm.inner));
            let (mean, rstd) = (&*mean, &*rstd);
            pool::for_ranges(norm.outer * channels, (20_000 / norm.inner).max(1), |range| {
                simd::run_widest(Given::<T> { planes: &planes, range, mean, rstd, w: &w, b: &b })
            });
            return Ok(Some(()));
        }
    }
    let stats = Statistics {
        mean: Shared::new(mean.as_mut_ptr()),
        rstd: Shared::new(rstd.as_mut_ptr()),
        variance: Shared::new(variance.as_mut_ptr()),
    };
    let job = Forward { norm, x: Shared::new(x.as_ptr().cast_mut()), y: Shared::new(y.as_mut_ptr()), stats, w: &w, b: &b };
    pool::for_ranges(channels, grain(&norm), |range| simd::run_widest(ForwardChannels::<T> { job: &job, range }));
    Ok(Some(()))
}

/// Planes of one channel each, by given statistics.
struct Given<'a, T: Compute> {
    planes: &'a [Rows<T>; 2],
    range: Range<usize>,
    mean: &'a [T::Wide],
    rstd: &'a [T::Wide],
    w: &'a [T::Wide],
    b: &'a [T::Wide],
}

impl<T: Compute<Wide: Real>> Body for Given<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        let [x, y] = self.planes;
        let (mut x_room, mut y_room) = (x.room(), y.room());
        for plane in self.range {
            let c = plane % self.mean.len();
            let (m, scale, b) = (self.mean[c], self.rstd[c] * self.w[c], self.b[c]);
            // SAFETY: planes of this chunk's own; x is only read.
            unsafe {
                let x = x.read(plane, &mut x_room);
                y.write(plane, &mut y_room, |y| map1(x, y, |x, _| (x - m).mul_add::<S>(scale, b)));
            }
        }
    }
}

struct Forward<'a, T: Compute> {
    norm: ChannelNorm,
    x: Shared<T>,
    y: Shared<T>,
    stats: Statistics<T::Wide>,
    w: &'a [T::Wide],
    b: &'a [T::Wide],
}

struct ForwardChannels<'a, T: Compute> {
    job: &'a Forward<'a, T>,
    range: Range<usize>,
}

impl<T: Compute<Wide: Real>> Body for ForwardChannels<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        let Forward { norm, x, y, stats, w, b } = self.job;
        let (outer, channels) = (norm.outer, norm.channels);
        let n = (outer * norm.inner) as f64;
        if norm.inner == 1 {
            for c in self.range.clone().step_by(LANES) {
                let side = Side { outer, channels, c, width: LANES.min(self.range.end - c) };
                // SAFETY: columns of this chunk's own; x is only read.
                unsafe { side.forward::<T, S>(x.get(), y.get(), stats, w, b, norm) };
            }
            return;
        }
        let (x, y) = (Rows::<T>::new(x.get(), norm.inner), Rows::<T>::new(y.get(), norm.inner));
        let (mut x_room, mut y_room) = (x.room(), y.room());
        for c in self.range {
            let planes = || (0..outer).map(|i| i * channels + c);
            // SAFETY: planes of this chunk's own channels; x is only read.
            unsafe {
                let mut sum = 0.0;
                for p in planes() {
                    sum += totals1(x.read(p, &mut x_room), |x| [x])[0];
                }
                let rough = <T::Wide as Real>::of(sum / n);
                // As for rows: distances from the rounded mean correct both moments.
                let (mut first, mut second) = (0.0, 0.0);
                for p in planes() {
                    let [a, b] = totals1(x.read(p, &mut x_room), |x| [x - rough, (x - rough) * (x - rough)]);
                    (first, second) = (first + a, second + b);
                }
                let (m, r) = stats.set(c, rough.to_f64() + first / n, second - first * (first / n), n, norm.eps);
                let (scale, b) = (r * w[c], b[c]);
                for p in planes() {
                    let x = x.read(p, &mut x_room);
                    y.write(p, &mut y_room, |y| map1(x, y, |x, _| (x - m).mul_add::<S>(scale, b)));
                }
            }
        }
    }
}

/// Up to [`LANES`] channels side by side, one element per sample.
struct Side {
    outer: usize,
    channels: usize,
    c: usize,
    width: usize,
}

impl Side {
    /// Sample `i` of the channels; lanes beyond them are zero.
    ///
    /// # Safety
    /// The matrix has that sample and these channels.
    #[inline(always)]
    unsafe fn get<T: Compute<Wide: Real>>(&self, x: *const T, i: usize) -> [T::Wide; LANES] {
        let mut lanes = [<T::Wide as Real>::ZERO; LANES];
        // SAFETY: the caller's.
        unsafe {
            let from = x.add(i * self.channels + self.c);
            // A copy of a fixed size stays in registers.
            if Rows::<T>::PLAIN && self.width == LANES {
                return from.cast::<[T::Wide; LANES]>().read_unaligned();
            }
            load(from, 1, &mut lanes[..self.width]);
        }
        lanes
    }
    /// # Safety
    /// As [`Side::get`], and nobody else touches the elements.
    #[inline(always)]
    unsafe fn put<T: Compute<Wide: Real>>(&self, lanes: [T::Wide; LANES], x: *mut T, i: usize) {
        // SAFETY: the caller's.
        unsafe {
            let to = x.add(i * self.channels + self.c);
            if Rows::<T>::PLAIN && self.width == LANES {
                return to.cast::<[T::Wide; LANES]>().write_unaligned(lanes);
            }
            store(&lanes[..self.width], to, 1);
        }
    }
    /// Elements of a vector over channels; lanes beyond are zero.
    #[inline(always)]
    fn of<A: Real>(&self, x: &[A]) -> [A; LANES] {
        let mut lanes = [A::ZERO; LANES];
        lanes[..self.width].copy_from_slice(&x[self.c..self.c + self.width]);
        lanes
    }
    /// Sums over the samples of `M` values per lane.
    #[inline(always)]
    fn sums<A: Real + Element, const M: usize>(&self, f: impl Fn(usize) -> [[A; LANES]; M]) -> [[f64; LANES]; M] {
        let mut sums = [[0f64; LANES]; M];
        for from in (0..self.outer).step_by(FEW) {
            let mut few = [[A::ZERO; LANES]; M];
            for i in from..(from + FEW).min(self.outer) {
                let values = f(i);
                for k in 0..M {
                    for l in 0..LANES {
                        few[k][l] = few[k][l] + values[k][l];
                    }
                }
            }
            for k in 0..M {
                for l in 0..LANES {
                    sums[k][l] += few[k][l].to_f64();
                }
            }
        }
        sums
    }
    /// # Safety
    /// `x` and `y` have these channels, which nobody else touches.
    #[inline(always)]
    unsafe fn forward<T: Compute<Wide: Real>, S: Isa>(
        &self,
        x: *const T,
        y: *mut T,
        stats: &Statistics<T::Wide>,
        w: &[T::Wide],
        b: &[T::Wide],
        norm: &ChannelNorm,
    ) {
        let n = self.outer as f64;
        let (mut m, mut r) = ([<T::Wide as Real>::ZERO; LANES], [<T::Wide as Real>::ZERO; LANES]);
        let (w, b) = (self.of(w), self.of(b));
        // SAFETY: the caller's.
        unsafe {
            if norm.own {
                let [sum] = self.sums(|i| [self.get(x, i)]);
                // Loops, not `map` and `from_fn`: their closures are calls.
                let mut rough = [<T::Wide as Real>::ZERO; LANES];
                for l in 0..LANES {
                    rough[l] = <T::Wide as Real>::of(sum[l] / n);
                }
                let [first, second] = self.sums(|i| {
                    let mut d = self.get(x, i);
                    let mut squares = d;
                    for l in 0..LANES {
                        d[l] = d[l] - rough[l];
                        squares[l] = d[l] * d[l];
                    }
                    [d, squares]
                });
                for l in 0..self.width {
                    let mean = rough[l].to_f64() + first[l] / n;
                    (m[l], r[l]) = stats.set(self.c + l, mean, second[l] - first[l] * (first[l] / n), n, norm.eps);
                }
            } else {
                for l in 0..self.width {
                    (m[l], r[l]) = (*stats.mean.get().add(self.c + l), *stats.rstd.get().add(self.c + l));
                }
            }
            for i in 0..self.outer {
                let mut lanes = self.get(x, i);
                for l in 0..LANES {
                    lanes[l] = (lanes[l] - m[l]).mul_add::<S>(r[l] * w[l], b[l]);
                }
                self.put(lanes, y, i);
            }
        }
    }
}

/// `ins = [g, x, mean, rstd, weight]`, `outs = [gx, gw, gb]`.
pub(super) fn backward<T: Compute<Wide: Real>>(norm: ChannelNorm, ins: &[View], outs: &mut [ViewMut]) -> Result<Option<()>> {
    let ([g, x, mean, rstd, rest @ ..], [gx, gw, gb]) = (ins, outs) else { return Ok(None) };
    let channels = norm.channels;
    let Some(w) = vector::<T>(rest.first(), channels, 1.0) else { return Ok(None) };
    let (Some(g), Some(x), Some(gx)) = (g.as_slice::<T>(), x.as_slice::<T>(), gx.as_mut_slice::<T>()) else { return Ok(None) };
    let (Some(mean), Some(rstd)) = (mean.as_slice::<T::Wide>(), rstd.as_slice::<T::Wide>()) else { return Ok(None) };
    let (Some(gw), Some(gb)) = (gw.as_mut_slice::<T>(), gb.as_mut_slice::<T>()) else { return Ok(None) };
    let fits =
        g.len() == x.len() && norm.outer * channels * norm.inner == x.len() && gw.len() == channels && gb.len() == channels;
    if !fits || mean.len() != channels || rstd.len() != channels {
        return Ok(None);
    }
    let mut sums = [vec![0f64; channels], vec![0f64; channels]];
    let [pw, pb] = sums.each_mut().map(|s| Shared::new(s.as_mut_ptr()));
    let job = Backward { norm, g: g.as_ptr(), x: x.as_ptr(), gx: gx.as_mut_ptr(), mean, rstd, w: &w, pw, pb };
    pool::for_ranges(channels, grain(&norm), |range| simd::run_widest(BackwardChannels::<T> { job: &job, range }));
    finish(gw, &sums[0]);
    finish(gb, &sums[1]);
    Ok(Some(()))
}

struct Backward<'a, T: Compute> {
    norm: ChannelNorm,
    g: *const T,
    x: *const T,
    gx: *mut T,
    mean: &'a [T::Wide],
    rstd: &'a [T::Wide],
    w: &'a [T::Wide],
    pw: Shared<f64>,
    pb: Shared<f64>,
}

// SAFETY: stands for slices; each task touches channels of its own.
unsafe impl<T: Compute> Sync for Backward<'_, T> {}

struct BackwardChannels<'a, T: Compute> {
    job: &'a Backward<'a, T>,
    range: Range<usize>,
}

impl<T: Compute<Wide: Real>> Body for BackwardChannels<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        let &Backward { norm, g, x, gx, mean, rstd, w, pw, pb } = self.job;
        let (outer, channels) = (norm.outer, norm.channels);
        let n = (outer * norm.inner) as f64;
        // The gradient is `scale g - a - (x - m) b`; given statistics have none, so a = b = 0.
        let factors = |c: usize, [first, second]: [f64; 2]| {
            let r = rstd[c].to_f64();
            // SAFETY: a channel of this chunk's own.
            unsafe {
                *pw.get().add(c) = second * r;
                *pb.get().add(c) = first;
            }
            let scale = w[c].to_f64() * r;
            let of = <T::Wide as Real>::of;
            if norm.own {
                [of(scale), of(scale * first / n), of(scale * r * r * second / n)]
            } else {
                [of(scale), of(0.0), of(0.0)]
            }
        };
        if norm.inner == 1 {
            for c in self.range.clone().step_by(LANES) {
                let side = Side { outer, channels, c, width: LANES.min(self.range.end - c) };
                let m = side.of(mean);
                // SAFETY: columns of this chunk's own; g and x are only read.
                unsafe {
                    let [first, second] = side.sums(|i| {
                        let (g, mut x) = (side.get(g, i), side.get(x, i));
                        for l in 0..LANES {
                            x[l] = g[l] * (x[l] - m[l]);
                        }
                        [g, x]
                    });
                    let mut by = [[<T::Wide as Real>::ZERO; LANES]; 3];
                    for l in 0..side.width {
                        let [scale, a, b] = factors(c + l, [first[l], second[l]]);
                        (by[0][l], by[1][l], by[2][l]) = (scale, a, b);
                    }
                    for i in 0..outer {
                        let (mut g, x) = (side.get(g, i), side.get(x, i));
                        for l in 0..LANES {
                            g[l] = g[l] * by[0][l] - by[1][l] - (x[l] - m[l]) * by[2][l];
                        }
                        side.put(g, gx, i);
                    }
                }
            }
            return;
        }
        let [g, x, gx] = [g, x, gx.cast_const()].map(|p| Rows::<T>::new(p, norm.inner));
        let (mut g_room, mut x_room, mut gx_room) = (g.room(), x.room(), gx.room());
        for c in self.range {
            let m = mean[c];
            let planes = || (0..outer).map(|i| i * channels + c);
            let mut sums = [0.0; 2];
            // SAFETY: planes of this chunk's own channels; g and x are only read.
            unsafe {
                for p in planes() {
                    let part = totals2(g.read(p, &mut g_room), x.read(p, &mut x_room), |g, x| [g, g * (x - m)]);
                    (0..2).for_each(|i| sums[i] += part[i]);
                }
                let [scale, a, b] = factors(c, sums);
                for p in planes() {
                    let (g, x) = (g.read(p, &mut g_room), x.read(p, &mut x_room));
                    gx.write(p, &mut gx_room, |gx| {
                        if norm.own {
                            map2(g, x, gx, |g, x, _| g * scale - a - (x - m) * b)
                        } else {
                            map1(g, gx, |g, _| g * scale)
                        }
                    });
                }
            }
        }
    }
}
