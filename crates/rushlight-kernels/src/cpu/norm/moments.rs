//! Mean and variance of rows, and layer norm.

use super::along::Along;
use crate::backend::*;
use crate::cpu::pool;
use crate::cpu::rows::{Compute, Shared, load, store};
use crate::cpu::simd::{self, Body, Isa, Real};
use crate::layout::collapse;
use crate::*;
use smallvec::SmallVec;
use std::ops::Range;

const ACCUMULATORS: usize = 32;
/// Elements that are summed in the compute type before their sum joins a total in f64.
const SUM_BLOCK: usize = 4096;
/// Elements whose moments are taken at once: they stay in cache between the two passes, and long rows are shared out.
const BLOCK: usize = 1 << 14;

/// The rows of a view whose leading dimensions number the rows and whose others are the features.
struct Rows<T> {
    start: Shared<T>,
    along: Along,
    features: usize,
    dims: Dims,
    strides: SmallVec<[isize; 6]>,
}

impl<T: Compute> Rows<T> {
    /// As many leading dimensions as make `rows` rows; `None` if no number of them does.
    fn of(x: &View, rows: usize) -> Option<Rows<T>> {
        let lead = (1..=x.shape().len()).find(|&k| x.shape()[..k].iter().product::<usize>() == rows)?;
        Some(Rows::at(Shared::new(x.ptr::<T>().cast_mut()), x.layout, lead))
    }
    fn at(start: Shared<T>, layout: &Layout, lead: usize) -> Rows<T> {
        let features = layout.shape[lead..].iter().product();
        let (dims, mut strides) = collapse(&layout.shape[lead..], &[&layout.strides[lead..]]);
        let along = Along::new(&layout.shape, |d| d < lead, &[&layout.strides]);
        Rows { start, along, features, dims, strides: strides.swap_remove(0) }
    }
    /// Calls `f` with the first element of each row of `rows`.
    fn each(&self, rows: Range<usize>, mut f: impl FnMut(usize, *mut T)) {
        // SAFETY: the offset of a row that the view has.
        rows.clone().zip(self.along.from(rows.start)).for_each(|(row, at)| f(row, unsafe { self.start.get().offset(at[0]) }));
    }
    /// Walks elements `range` of the row at `row` in stretches that lie evenly: where one is within `range`, its start and its step.
    fn stretches(&self, row: *mut T, range: Range<usize>, mut f: impl FnMut(Range<usize>, *mut T, isize)) {
        let (width, step) = (self.dims[self.dims.len() - 1], self.strides[self.dims.len() - 1]);
        let mut done = 0;
        while range.start + done < range.end {
            let first = range.start + done;
            let len = (width - first % width).min(range.end - first);
            let mut offset = (first % width) as isize * step;
            let mut left = first / width;
            for d in (0..self.dims.len() - 1).rev() {
                offset += (left % self.dims[d]) as isize * self.strides[d];
                left /= self.dims[d];
            }
            f(done..done + len, row.wrapping_offset(offset), step);
            done += len;
        }
    }
    /// Elements `range` of the row at `row` in the compute type: in place if they lie so, else copied to `scratch`.
    ///
    /// # Safety
    /// `row` is from [`Rows::each`], the elements are readable, and nobody writes them while the answer lives.
    unsafe fn read<'a>(&self, row: *mut T, range: Range<usize>, scratch: &'a mut [T::Wide]) -> &'a [T::Wide] {
        let scratch = &mut scratch[..range.len()];
        if T::DTYPE == <T::Wide as Element>::DTYPE && self.strides.as_slice() == [1] {
            // SAFETY: the caller's; `T` is its own compute type.
            return unsafe { std::slice::from_raw_parts(row.add(range.start).cast(), range.len()) };
        }
        // SAFETY: stretches of the row.
        self.stretches(row, range, |part, from, step| unsafe { load(from, step, &mut scratch[part]) });
        scratch
    }
    /// Writes a whole row.
    ///
    /// # Safety
    /// `row` is from [`Rows::each`] of a view that this thread may write there.
    unsafe fn write(&self, row: *mut T, values: &[T::Wide]) {
        // SAFETY: stretches of the row.
        self.stretches(row, 0..values.len(), |part, to, step| unsafe { store(&values[part], to, step) });
    }
}

/// A small result with one element per row, of any floating type.
struct Column {
    start: Shared<u8>,
    dtype: DType,
    along: Along,
}

impl Column {
    fn of(out: &mut ViewMut) -> Option<Column> {
        let along = Along::new(out.shape(), |_| true, &[out.strides()]);
        let start = dispatch!(out.dtype, U => out.ptr::<U>().cast::<u8>());
        out.dtype.is_float().then(|| Column { start: Shared::new(start), dtype: out.dtype, along })
    }
    /// Rounds `x` to element `row`.
    ///
    /// # Safety
    /// The view has that row, and no other thread writes it.
    unsafe fn set(&self, row: usize, x: f64) {
        let offset = self.along.from(row).next().map_or(0, |o| o[0]);
        // SAFETY: the caller's; the type is the view's.
        dispatch!(self.dtype, [F16 BF16 F32 F64], U => unsafe { *self.start.get().cast::<U>().offset(offset) = U::from_f64(x) },
            else => unreachable!("checked when made"))
    }
}

/// `outs = [mean, variance]` of the rows of `x`; each has one element per row.
pub(super) fn moments<T: Compute<Wide: Real>>(correction: f64, x: View, outs: &mut [ViewMut]) -> Result<Option<()>> {
    let [mean, variance] = outs else { return Ok(None) };
    let (Some(means), Some(variances)) = (Column::of(mean), Column::of(variance)) else { return Ok(None) };
    let Some(rows) = Rows::<T>::of(&x, mean.numel()) else { return Ok(None) };
    if mean.numel() == 0 {
        return Ok(Some(()));
    }
    let n = rows.features;
    let finish = |row, m: Moments| {
        // SAFETY: each row is finished once.
        unsafe {
            means.set(row, if n == 0 { f64::NAN } else { m.mean });
            // Too few elements: 0 / 0, as in PyTorch.
            variances.set(row, m.squares / (n as f64 - correction).max(0.0));
        }
    };
    if n <= BLOCK {
        pool::for_ranges(rows.along.rows, (20_000 / n.max(1)).max(1), |range| {
            let mut scratch = vec![<T::Wide as Real>::ZERO; n];
            // SAFETY: nobody writes the input.
            rows.each(range, |row, at| finish(row, simd::run(Take(unsafe { rows.read(at, 0..n, &mut scratch) }))));
        });
        return Ok(Some(()));
    }
    let blocks = n.div_ceil(BLOCK);
    let mut parts = vec![Moments::default(); rows.along.rows * blocks];
    let shared = Shared::new(parts.as_mut_ptr());
    pool::run(parts.len(), |i| {
        let (row, block) = (i / blocks, i % blocks);
        let range = block * BLOCK..((block + 1) * BLOCK).min(n);
        let mut scratch = vec![<T::Wide as Real>::ZERO; range.len()];
        rows.each(row..row + 1, |_, at| {
            // SAFETY: nobody writes the input; part `i` belongs to this chunk.
            unsafe { *shared.get().add(i) = simd::run(Take(rows.read(at, range.clone(), &mut scratch))) }
        });
    });
    parts.chunks(blocks).enumerate().for_each(|(row, parts)| finish(row, parts.iter().fold(Moments::default(), Moments::join)));
    Ok(Some(()))
}

/// Number, mean, and sum of squared distances from it.
#[derive(Clone, Copy, Default)]
struct Moments {
    n: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// Chan, Golub and LeVeque's pairwise update.
    fn join(a: Moments, b: &Moments) -> Moments {
        let n = a.n + b.n;
        if a.n == 0.0 {
            return *b;
        }
        let delta = b.mean - a.mean;
        let mean = a.mean + delta * (b.n / n);
        Moments { n, mean, squares: a.squares + b.squares + delta * delta * (a.n * b.n / n) }
    }
}

/// Two passes in f64, as PyTorch's Welford loop is: squares of large f32 overflow, and their sum loses bits.
struct Take<'a, A>(&'a [A]);

impl<A: Real + Element> Body for Take<'_, A> {
    type Out = Moments;
    #[inline(always)]
    fn run<S: Isa>(self) -> Moments {
        let n = self.0.len() as f64;
        let mean = sum64(self.0, |x| x) / n;
        let squares = sum64(self.0, |x| (x - mean) * (x - mean));
        Moments { n, mean: if n == 0.0 { 0.0 } else { mean }, squares }
    }
}

#[inline(always)]
fn sum64<A: Element>(x: &[A], f: impl Fn(f64) -> f64) -> f64 {
    const WIDE: usize = ACCUMULATORS / 2;
    let mut sum = [0f64; WIDE];
    let (blocks, tail) = x.as_chunks::<WIDE>();
    for block in blocks {
        for l in 0..WIDE {
            sum[l] += f(block[l].to_f64());
        }
    }
    for (sum, x) in sum.iter_mut().zip(tail) {
        *sum += f(x.to_f64());
    }
    sum.iter().sum()
}

/// `outs = [normalised, mean, rstd]`.
pub(super) fn layer_norm<T: Compute<Wide: Real>>(eps: f64, x: View, outs: &mut [ViewMut]) -> Result<Option<()>> {
    let [y, mean, rstd] = outs else { return Ok(None) };
    let (Some(means), Some(rstds)) = (Column::of(mean), Column::of(rstd)) else { return Ok(None) };
    if y.dtype != x.dtype || y.shape() != x.shape() {
        return Ok(None);
    }
    let Some(rows) = Rows::<T>::of(&x, mean.numel()) else { return Ok(None) };
    let Some(out) = Rows::<T>::of(&y.as_view(), mean.numel()) else { return Ok(None) };
    if mean.numel() == 0 {
        return Ok(Some(()));
    }
    let n = rows.features;
    pool::for_ranges(rows.along.rows, (20_000 / n.max(1)).max(1), |range| {
        let mut scratch = vec![<T::Wide as Real>::ZERO; n];
        let mut result = vec![<T::Wide as Real>::ZERO; n];
        let mut targets = out.along.from(range.start);
        rows.each(range, |row, at| {
            let to = out.start.get().wrapping_offset(targets.next().map_or(0, |o| o[0]));
            // SAFETY: this chunk alone has these rows. The input, which the output may be, is read to its end before a row is
            // written.
            unsafe {
                let (mean, rstd) = simd::run(Normalise { x: rows.read(at, 0..n, &mut scratch), out: &mut result, eps });
                out.write(to, &result);
                means.set(row, mean);
                rstds.set(row, rstd);
            }
        });
    });
    Ok(Some(()))
}

/// Normalises a row; answers its mean and the reciprocal of its standard deviation.
struct Normalise<'a, A> {
    x: &'a [A],
    out: &'a mut [A],
    eps: f64,
}

impl<A: Real + Element> Body for Normalise<'_, A> {
    type Out = (f64, f64);
    #[inline(always)]
    fn run<S: Isa>(self) -> (f64, f64) {
        let n = self.x.len() as f64;
        let rough = A::of(sums(self.x, |x| [x, A::ZERO])[0] / n);
        // Distances from the rounded mean; their own mean corrects both moments (Chan's corrected two-pass algorithm).
        let [first, second] = sums(self.x, |x| [x - rough, (x - rough) * (x - rough)]);
        let mean = rough.to_f64() + first / n;
        let variance = (second - first * (first / n)) / n;
        // Not `max`, which would turn NaN into zero.
        let variance = if variance < 0.0 { 0.0 } else { variance };
        let rstd = 1.0 / (variance + self.eps).sqrt();
        let (m, r) = (A::of(mean), A::of(rstd));
        for (out, &x) in self.out.iter_mut().zip(self.x) {
            *out = (x - m) * r;
        }
        (mean, rstd)
    }
}

/// Sums of both values of `f`: blocks in the compute type, their totals in f64.
#[inline(always)]
fn sums<A: Real + Element>(x: &[A], f: impl Fn(A) -> [A; 2]) -> [f64; 2] {
    let mut totals = [0f64; 2];
    for x in x.chunks(SUM_BLOCK) {
        let mut acc = [[A::ZERO; ACCUMULATORS]; 2];
        let (blocks, tail) = x.as_chunks::<ACCUMULATORS>();
        for block in blocks {
            for l in 0..ACCUMULATORS {
                let [a, b] = f(block[l]);
                acc[0][l] = acc[0][l] + a;
                acc[1][l] = acc[1][l] + b;
            }
        }
        for (l, &x) in tail.iter().enumerate() {
            let [a, b] = f(x);
            acc[0][l] = acc[0][l] + a;
            acc[1][l] = acc[1][l] + b;
        }
        for (total, mut acc) in totals.iter_mut().zip(acc) {
            let mut width = ACCUMULATORS / 2;
            while width > 0 {
                for l in 0..width {
                    acc[l] = acc[l] + acc[l + width];
                }
                width /= 2;
            }
            *total += acc[0].to_f64();
        }
    }
    totals
}
