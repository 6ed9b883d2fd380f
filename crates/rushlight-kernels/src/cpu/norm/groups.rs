//! Normalisation of rows with weight and bias, in one pass over memory; and all three gradients in another.
//!
//! A row is read from memory once and then stays in cache for the passes that follow: mean, variance, result. The gradients of weight and bias
//! are sums over rows: each chunk of rows has sums of its own, which are added in the order of the chunks.

use super::band::{self, Band, Lanes, Rows as Together, Turned};
use super::lanes::{map1, map2, map3, totals1, totals2, totals3};
use super::strip::LANES;
use crate::backend::*;
use crate::cpu::pool;
use crate::cpu::rows::{Compute, Shared, load, store};
use crate::cpu::simd::{self, Body, Isa, Real};
use crate::*;
use std::borrow::Cow;
use std::ops::Range;

/// Most chunks whose sums are kept for the gradients of the weights.
const PARTS: usize = 32;

/// Contiguous rows in the compute type: in place, or by way of a copy.
pub(super) struct Rows<T> {
    start: Shared<T>,
    width: usize,
}

impl<T: Compute> Rows<T> {
    pub(super) const PLAIN: bool = T::DTYPE as u8 == <T::Wide as Element>::DTYPE as u8;

    pub(super) fn new(start: *const T, width: usize) -> Rows<T> {
        Rows { start: Shared::new(start.cast_mut()), width }
    }
    /// Room for a row, where it is copied.
    pub(super) fn room(&self) -> Vec<T::Wide> {
        if Self::PLAIN { Vec::new() } else { vec![T::Wide::default(); self.width] }
    }
    /// # Safety
    /// There is such a row, and nobody writes it.
    #[inline(always)]
    pub(super) unsafe fn read<'a>(&self, row: usize, room: &'a mut [T::Wide]) -> &'a [T::Wide] {
        // SAFETY: the caller's; `T` is its own compute type where the pointer is cast.
        unsafe {
            let from = self.start.get().add(row * self.width);
            if Self::PLAIN {
                return std::slice::from_raw_parts(from.cast(), self.width);
            }
            load(from, 1, room);
            room
        }
    }
    /// Lets `f` fill the row.
    ///
    /// # Safety
    /// There is such a row, and nobody else touches it.
    #[inline(always)]
    pub(super) unsafe fn write(&self, row: usize, room: &mut [T::Wide], f: impl FnOnce(&mut [T::Wide])) {
        // SAFETY: as above.
        unsafe {
            let to = self.start.get().add(row * self.width);
            if Self::PLAIN {
                return f(std::slice::from_raw_parts_mut(to.cast(), self.width));
            }
            f(room);
            store(room, to, 1);
        }
    }
}

/// A vector in the compute type, as it is where it is of that; `or` throughout where there is none.
pub(super) fn vector<'a, T: Compute>(x: Option<&View<'a>>, n: usize, or: f64) -> Option<Cow<'a, [T::Wide]>> {
    let Some(x) = x else { return Some(vec![<T::Wide as Element>::from_f64(or); n].into()) };
    let found = match x.as_slice::<T::Wide>() {
        Some(plain) => Cow::Borrowed(plain),
        None => x.as_slice::<T>()?.iter().map(|x| x.widen()).collect(),
    };
    (found.len() == n).then_some(found)
}

/// Writes sums of chunks, added in order, as element type `T`.
pub(super) fn finish<T: Compute>(out: &mut [T], parts: &[f64]) {
    let n = out.len();
    for (c, out) in out.iter_mut().enumerate() {
        *out = T::from_f64(parts.iter().skip(c).step_by(n).sum());
    }
}

/// `ins = [x, weight, bias]`, `outs = [y, mean, rstd]`.
pub(super) fn forward<T: Compute<Wide: Real>>(norm: RowNorm, ins: &[View], outs: &mut [ViewMut]) -> Result<Option<()>> {
    let [y, mean, rstd] = outs else { return Ok(None) };
    let channels = norm.groups * (norm.width / norm.inner.max(1));
    let mut rest = ins[1..].iter();
    let weight = if norm.weight { rest.next() } else { None };
    let bias = if norm.bias { rest.next() } else { None };
    let (Some(w), Some(b)) = (vector::<T>(weight, channels, 1.0), vector::<T>(bias, channels, 0.0)) else { return Ok(None) };
    let (Some(x), Some(y)) = (ins[0].as_slice::<T>(), y.as_mut_slice::<T>()) else { return Ok(None) };
    let (Some(mean), Some(rstd)) = (mean.as_mut_slice::<T::Wide>(), rstd.as_mut_slice::<T::Wide>()) else { return Ok(None) };
    if x.len() != y.len() || mean.len() * norm.width != x.len() || norm.width == 0 {
        return Ok(None);
    }
    let job = Forward {
        norm,
        x: Rows::<T>::new(x.as_ptr(), norm.width),
        y: Rows::<T>::new(y.as_ptr(), norm.width),
        mean: Shared::new(mean.as_mut_ptr()),
        rstd: Shared::new(rstd.as_mut_ptr()),
        w: &w,
        b: &b,
    };
    pool::for_ranges(mean.len(), (20_000 / norm.width).max(1), |rows| simd::run_widest(ForwardRows { job: &job, rows }));
    Ok(Some(()))
}

struct Forward<'a, T: Compute> {
    norm: RowNorm,
    x: Rows<T>,
    y: Rows<T>,
    mean: Shared<T::Wide>,
    rstd: Shared<T::Wide>,
    w: &'a [T::Wide],
    b: &'a [T::Wide],
}

struct ForwardRows<'a, T: Compute> {
    job: &'a Forward<'a, T>,
    rows: Range<usize>,
}

impl<T: Compute<Wide: Real>> Body for ForwardRows<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        let Forward { norm, x, y, mean, rstd, w, b } = self.job;
        if norm.inner == 1
            && norm.groups == 1
            && (norm.width < LANES || band::suits(norm.width, !Rows::<T>::PLAIN))
            && self.rows.len() > 1
        {
            return self.by_sixteen::<S>();
        }
        let (mut x_room, mut y_room) = (x.room(), y.room());
        let per_row = norm.width / norm.inner;
        for row in self.rows {
            let c = row % norm.groups * per_row;
            let (w, b) = (&w[c..c + per_row], &b[c..c + per_row]);
            // SAFETY: this chunk's own rows; x is only read.
            unsafe {
                let x = x.read(row, &mut x_room);
                let (m, r) = moments(x, norm.centred, norm.eps);
                *mean.get().add(row) = m;
                *rstd.get().add(row) = r;
                y.write(row, &mut y_room, |y| {
                    if norm.inner == 1 {
                        map3(x, w, b, y, |x, w, b, _| ((x - m) * r).mul_add::<S>(w, b));
                    } else {
                        for (c, (x, y)) in x.chunks(norm.inner).zip(y.chunks_mut(norm.inner)).enumerate() {
                            let (scale, b) = (r * w[c], b[c]);
                            map1(x, y, |x, _| (x - m).mul_add::<S>(scale, b));
                        }
                    }
                });
            }
        }
    }
}

impl<T: Compute<Wide: Real>> ForwardRows<'_, T> {
    /// Rows that are not long, each element of which has a weight of its own.
    #[inline(always)]
    fn by_sixteen<S: Isa>(self) {
        let Forward { norm, x, y, mean, rstd, w, b } = self.job;
        let n = norm.width;
        let mut room = vec![T::Wide::default(); if Rows::<T>::PLAIN { 0 } else { LANES * n }];
        let mut turned = [[T::Wide::default(); LANES]; LANES];
        for first in self.rows.clone().step_by(LANES) {
            let count = LANES.min(self.rows.end - first);
            // SAFETY: this chunk's own rows, which follow one another; x is only read. As many weights as a row has elements.
            unsafe {
                let (from, to) = (x.start.get().add(first * n), y.start.get().add(first * n));
                let (mut source, mut target) = (from.cast::<T::Wide>(), to.cast::<T::Wide>());
                if !Rows::<T>::PLAIN {
                    load(from, 1, &mut room[..count * n]);
                    (source, target) = (room.as_mut_ptr(), room.as_mut_ptr());
                }
                let (m, r) = if n < LANES {
                    let at = turned.as_mut_ptr().cast::<T::Wide>();
                    simd::transpose(source, n as isize, at, LANES as isize, count, n);
                    let found = normalise::<S, _>(&mut Turned(&mut turned[..n]), norm, w, b);
                    simd::transpose(at, LANES as isize, target, n as isize, n, count);
                    found
                } else {
                    let row = |l: usize| l.min(count - 1) * n;
                    let (a, out) =
                        (std::array::from_fn(|l| source.add(row(l)).cast_const()), std::array::from_fn(|l| target.add(row(l))));
                    normalise::<S, _>(&mut Band::new(count, n, a, a, out), norm, w, b)
                };
                if !Rows::<T>::PLAIN {
                    store(&room[..count * n], to, 1);
                }
                for l in 0..count {
                    *mean.get().add(first + l) = m[l];
                    *rstd.get().add(first + l) = r[l];
                }
            }
        }
    }
}

/// Fills the output of `rows`; answers what [`moments`] would of each.
///
/// # Safety
/// There are as many weights as elements in a row.
#[inline(always)]
unsafe fn normalise<S: Isa, A: Real + Element>(
    rows: &mut impl Together<A>,
    norm: &RowNorm,
    w: &[A],
    b: &[A],
) -> (Lanes<A>, Lanes<A>) {
    let n = norm.width as f64;
    let (mut m, mut r) = ([A::ZERO; LANES], [A::ZERO; LANES]);
    // SAFETY: the caller's.
    let (w, b) = (|j: usize| unsafe { *w.get_unchecked(j) }, |j: usize| unsafe { *b.get_unchecked(j) });
    if !norm.centred {
        let [squares] = rows.sums(|_, x, _| [x * x]);
        for l in 0..LANES {
            r[l] = A::of(1.0 / (squares[l].to_f64() / n + norm.eps).sqrt());
        }
        rows.map(|row, j, x, _| (x * r[row]).mul_add::<S>(w(j), b(j)));
        return (m, r);
    }
    let [mut rough] = rows.sums(|_, x, _| [x]);
    for l in 0..LANES {
        rough[l] = A::of(rough[l].to_f64() / n);
    }
    let [first, second] = rows.sums(|row, x, _| [x - rough[row], (x - rough[row]) * (x - rough[row])]);
    for l in 0..LANES {
        let (first, second) = (first[l].to_f64(), second[l].to_f64());
        m[l] = A::of(rough[l].to_f64() + first / n);
        r[l] = A::of(rstd_of((second - first * (first / n)) / n, norm.eps));
    }
    rows.map(|row, j, x, _| ((x - m[row]) * r[row]).mul_add::<S>(w(j), b(j)));
    (m, r)
}

/// Mean and 1/√(variance + eps) of a row; a mean of zero where it is not to be centred.
#[inline(always)]
fn moments<A: Real + Element>(x: &[A], centred: bool, eps: f64) -> (A, A) {
    let n = x.len() as f64;
    if !centred {
        let [squares] = totals1(x, |x| [x * x]);
        return (A::ZERO, A::of(1.0 / (squares / n + eps).sqrt()));
    }
    let rough = A::of(totals1(x, |x| [x])[0] / n);
    // Distances from the rounded mean; their own mean corrects both moments (Chan's corrected two-pass algorithm).
    let [first, second] = totals1(x, |x| [x - rough, (x - rough) * (x - rough)]);
    (A::of(rough.to_f64() + first / n), A::of(rstd_of((second - first * (first / n)) / n, eps)))
}

/// 1/√(variance + eps). A variance that rounding has made negative is zero; NaN stays.
#[inline(always)]
pub(super) fn rstd_of(variance: f64, eps: f64) -> f64 {
    let variance = if variance < 0.0 { 0.0 } else { variance };
    1.0 / (variance + eps).sqrt()
}

/// `ins = [g, x, mean, rstd, weight]`, `outs = [gx, gw, gb]`.
pub(super) fn backward<T: Compute<Wide: Real>>(norm: RowNorm, ins: &[View], outs: &mut [ViewMut]) -> Result<Option<()>> {
    let ([g, x, mean, rstd, rest @ ..], [gx, gw, gb]) = (ins, outs) else { return Ok(None) };
    let channels = norm.groups * (norm.width / norm.inner.max(1));
    let Some(w) = vector::<T>(rest.first(), channels, 1.0) else { return Ok(None) };
    let (Some(g), Some(x), Some(gx)) = (g.as_slice::<T>(), x.as_slice::<T>(), gx.as_mut_slice::<T>()) else { return Ok(None) };
    let (Some(mean), Some(rstd)) = (mean.as_slice::<T::Wide>(), rstd.as_slice::<T::Wide>()) else { return Ok(None) };
    let (Some(gw), Some(gb)) = (gw.as_mut_slice::<T>(), gb.as_mut_slice::<T>()) else { return Ok(None) };
    let rows = mean.len();
    if g.len() != x.len() || rows * norm.width != x.len() || norm.width == 0 || gw.len() != channels || gb.len() != channels {
        return Ok(None);
    }
    // Chunks hold whole turns of the groups.
    let grain = (20_000 / norm.width).max(rows.div_ceil(PARTS)).max(1).next_multiple_of(norm.groups);
    let parts = rows.div_ceil(grain).max(1);
    // From the cache of blocks: what malloc gives and takes back in this size is new pages each time, a third of the whole.
    let zeros = || Buffer::zeroed(parts * channels * size_of::<f64>());
    let sums = [zeros()?, zeros()?];
    let [pw, pb] = sums.each_ref().map(|s| Shared::new(s.as_ptr().cast::<f64>()));
    let job = Backward {
        norm,
        g: Rows::<T>::new(g.as_ptr(), norm.width),
        x: Rows::<T>::new(x.as_ptr(), norm.width),
        gx: Rows::<T>::new(gx.as_ptr(), norm.width),
        mean,
        rstd,
        w: &w,
    };
    pool::for_ranges(rows, grain, |rows| {
        let at = rows.start / grain * channels;
        // SAFETY: each chunk has its own part of the sums.
        let [gw, gb] = [pw, pb].map(|p| unsafe { std::slice::from_raw_parts_mut(p.get().add(at), channels) });
        simd::run_widest(BackwardRows { job: &job, rows, gw, gb });
    });
    // SAFETY: the tasks are done.
    let [sums_w, sums_b] = [pw, pb].map(|p| unsafe { std::slice::from_raw_parts(p.get(), parts * channels) });
    finish(gw, sums_w);
    finish(gb, sums_b);
    Ok(Some(()))
}

struct Backward<'a, T: Compute> {
    norm: RowNorm,
    g: Rows<T>,
    x: Rows<T>,
    gx: Rows<T>,
    mean: &'a [T::Wide],
    rstd: &'a [T::Wide],
    w: &'a [T::Wide],
}

struct BackwardRows<'a, T: Compute> {
    job: &'a Backward<'a, T>,
    rows: Range<usize>,
    gw: &'a mut [f64],
    gb: &'a mut [f64],
}

impl<T: Compute<Wide: Real>> Body for BackwardRows<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        let Backward { norm, g, x, gx, mean, rstd, w } = self.job;
        let (mut g_room, mut x_room, mut gx_room) = (g.room(), x.room(), gx.room());
        let per_row = norm.width / norm.inner;
        let of = <T::Wide as Real>::of;
        let n = norm.width as f64;
        // Where each element has a weight of its own: sums over a few rows in the type itself.
        let narrow = if norm.inner == 1 { self.gw.len() } else { 0 };
        let mut few = [vec![T::Wide::default(); narrow], vec![T::Wide::default(); narrow]];
        let mut since = 0;
        let last = self.rows.end;
        for row in self.rows {
            let c = row % norm.groups * per_row;
            let (m, r) = (mean[row], rstd[row]);
            let w = &w[c..c + per_row];
            // SAFETY: this chunk's own rows; g and x are only read.
            let (g, x) = unsafe { (g.read(row, &mut g_room), x.read(row, &mut x_room)) };
            if norm.inner == 1 {
                let [a, b] = totals3(g, x, w, |g, x, w| [g * w, g * w * ((x - m) * r)]);
                let (a, b) = (of(if norm.centred { a / n } else { 0.0 }), of(b / n));
                let [few_w, few_b] = &mut few;
                map2(g, x, &mut few_w[c..c + per_row], |g, x, sum| ((x - m) * r).mul_add::<S>(g, sum));
                map1(g, &mut few_b[c..c + per_row], |g, sum| sum + g);
                // SAFETY: as above.
                unsafe {
                    gx.write(row, &mut gx_room, |gx| map3(g, x, w, gx, |g, x, w, _| r * (g * w - a - (x - m) * r * b)));
                }
                since += 1;
                if since == FEW * norm.groups || row + 1 == last {
                    since = 0;
                    add_up(few_w, self.gw);
                    add_up(few_b, self.gb);
                }
                continue;
            }
            let (mut a, mut b) = (0.0, 0.0);
            let stretches = || g.chunks(norm.inner).zip(x.chunks(norm.inner));
            for (i, (g, x)) in stretches().enumerate() {
                let [first, second] = totals2(g, x, |g, x| [g, g * (x - m)]);
                let second = second * r.to_f64();
                self.gw[c + i] += second;
                self.gb[c + i] += first;
                a += w[i].to_f64() * first;
                b += w[i].to_f64() * second;
            }
            let (a, b) = (of(if norm.centred { a / n } else { 0.0 } * r.to_f64()), of(b / n * r.to_f64() * r.to_f64()));
            // SAFETY: as above.
            unsafe {
                gx.write(row, &mut gx_room, |gx| {
                    for (i, ((g, x), gx)) in stretches().zip(gx.chunks_mut(norm.inner)).enumerate() {
                        let scale = r * w[i];
                        map2(g, x, gx, |g, x, _| g * scale - a - (x - m) * b);
                    }
                });
            }
        }
    }
}

/// Rows whose gradients are added in the compute type before the sum goes to f64.
const FEW: usize = 64;

#[inline(always)]
fn add_up<A: Real + Element>(few: &mut [A], sums: &mut [f64]) {
    for (sum, few) in sums.iter_mut().zip(few) {
        *sum += few.to_f64();
        *few = A::ZERO;
    }
}
