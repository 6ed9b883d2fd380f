//! Softmax, its logarithm, and their derivatives, along one dimension.
//!
//! A row that is long and has its elements side by side is worked on by itself, shorter ones by bands of sixteen. Very short rows, and rows
//! whose elements lie apart while neighbouring rows lie side by side, are worked on [`LANES`] at a time: row number in the lane, so that
//! nothing is folded across. Where all views have them side by side, they are worked on in place.

use super::along::{Along, VIEWS};
use super::band::{self, Band, Rows};
use super::lanes::{larger, map_sum1, map0, map1, map2, maximum, sum_of, sums2};
use super::strip::{self, LANES, Strip, StripMut};
use crate::backend::*;
use crate::cpu::pool;
use crate::cpu::rows::{Compute, Shared, load, store};
use crate::cpu::simd::{self, Body, Isa, Real};
use crate::*;
use smallvec::SmallVec;
use std::marker::PhantomData;

/// Rows up to this length go together: alone, they would leave most of the accumulators idle.
pub(super) const SHORT: usize = LANES - 1;

/// A function of a row `a` (and `b`), written once for one row and once for several.
pub(super) trait RowOp: Sync + 'static {
    /// One row. All slices have one length; `b` is empty for a function of one row.
    fn row<S: Isa, A: Real>(a: &[A], b: &[A], out: &mut [A]);
    /// Some rows of middle length.
    fn band<S: Isa, A: Real>(rows: Band<A>);
    /// Rows in the lanes of vectors.
    fn columns<S: Isa, A: Real>(a: Strip<A>, b: Strip<A>, out: StripMut<A>);
}

pub(super) struct Softmax;
pub(super) struct LogSoftmax;
pub(super) struct SoftmaxBackward;
pub(super) struct LogSoftmaxBackward;

// A NaN need not be found by the maximum: it reaches the sum, and with it the whole row. A row of -inf has NaN in `x - max`.

impl RowOp for Softmax {
    #[inline(always)]
    fn row<S: Isa, A: Real>(a: &[A], _: &[A], out: &mut [A]) {
        let max = maximum(a);
        let scale = A::ONE / map_sum1(a, out, |x, _| (x - max).exp_neg::<S>());
        map0(out, |y| y * scale);
    }
    #[inline(always)]
    fn band<S: Isa, A: Real>(mut rows: Band<A>) {
        let max = rows.maxima();
        let sum = rows.map_sum(|r, x| [(x - max[r]).exp_neg::<S>(); 2]);
        let mut scale = sum;
        for r in 0..LANES {
            scale[r] = A::ONE / sum[r];
        }
        rows.change(|r, y| y * scale[r]);
    }
    #[inline(always)]
    fn columns<S: Isa, A: Real>(a: Strip<A>, _: Strip<A>, mut out: StripMut<A>) {
        let max = maxima(&a);
        let mut sum = [A::ZERO; LANES];
        for j in 0..a.n {
            let mut y = a.at(j);
            for l in 0..LANES {
                y[l] = (y[l] - max[l]).exp_neg::<S>();
                sum[l] = sum[l] + y[l];
            }
            out.put(j, y);
        }
        let mut scale = sum;
        for l in 0..LANES {
            scale[l] = A::ONE / sum[l];
        }
        for j in 0..a.n {
            let mut y = out.at(j);
            for l in 0..LANES {
                y[l] = y[l] * scale[l];
            }
            out.put(j, y);
        }
    }
}

impl RowOp for LogSoftmax {
    #[inline(always)]
    fn row<S: Isa, A: Real>(a: &[A], _: &[A], out: &mut [A]) {
        let max = maximum(a);
        let log = sum_of(a, |x| (x - max).exp_neg::<S>()).ln::<S>();
        map1(a, out, |x, _| x - max - log);
    }
    #[inline(always)]
    fn band<S: Isa, A: Real>(mut rows: Band<A>) {
        let max = rows.maxima();
        let mut log = rows.map_sum(|r, x| [x - max[r], (x - max[r]).exp_neg::<S>()]);
        for r in 0..LANES {
            log[r] = log[r].ln::<S>();
        }
        rows.change(|r, y| y - log[r]);
    }
    #[inline(always)]
    fn columns<S: Isa, A: Real>(a: Strip<A>, _: Strip<A>, mut out: StripMut<A>) {
        let max = maxima(&a);
        let mut sum = [A::ZERO; LANES];
        for j in 0..a.n {
            let a = a.at(j);
            for l in 0..LANES {
                sum[l] = sum[l] + (a[l] - max[l]).exp_neg::<S>();
            }
        }
        let mut log = [A::ZERO; LANES];
        for l in 0..LANES {
            log[l] = sum[l].ln::<S>();
        }
        for j in 0..a.n {
            let mut y = a.at(j);
            for l in 0..LANES {
                y[l] = y[l] - max[l] - log[l];
            }
            out.put(j, y);
        }
    }
}

impl RowOp for SoftmaxBackward {
    #[inline(always)]
    fn row<S: Isa, A: Real>(grad: &[A], y: &[A], out: &mut [A]) {
        let [dot] = sums2(grad, y, |g, y| [g * y]);
        map2(grad, y, out, |g, y, _| (g - dot) * y);
    }
    #[inline(always)]
    fn band<S: Isa, A: Real>(mut rows: Band<A>) {
        let [dot] = rows.sums(|_, g, y| [g * y]);
        rows.map(|r, _, g, y| (g - dot[r]) * y);
    }
    #[inline(always)]
    fn columns<S: Isa, A: Real>(grad: Strip<A>, y: Strip<A>, mut out: StripMut<A>) {
        let mut dot = [A::ZERO; LANES];
        for j in 0..y.n {
            let (g, y) = (grad.at(j), y.at(j));
            for l in 0..LANES {
                dot[l] = dot[l] + g[l] * y[l];
            }
        }
        for j in 0..y.n {
            let (mut g, y) = (grad.at(j), y.at(j));
            for l in 0..LANES {
                g[l] = (g[l] - dot[l]) * y[l];
            }
            out.put(j, g);
        }
    }
}

impl RowOp for LogSoftmaxBackward {
    #[inline(always)]
    fn row<S: Isa, A: Real>(grad: &[A], y: &[A], out: &mut [A]) {
        let sum = sum_of(grad, |g| g);
        map2(grad, y, out, |g, y, _| g - y.exp_neg::<S>() * sum);
    }
    #[inline(always)]
    fn band<S: Isa, A: Real>(mut rows: Band<A>) {
        let [sum] = rows.sums(|_, g, _| [g]);
        rows.map(|r, _, g, y| g - y.exp_neg::<S>() * sum[r]);
    }
    #[inline(always)]
    fn columns<S: Isa, A: Real>(grad: Strip<A>, y: Strip<A>, mut out: StripMut<A>) {
        let mut sum = [A::ZERO; LANES];
        for j in 0..y.n {
            let g = grad.at(j);
            for l in 0..LANES {
                sum[l] = sum[l] + g[l];
            }
        }
        for j in 0..y.n {
            let (mut g, y) = (grad.at(j), y.at(j));
            for l in 0..LANES {
                g[l] = g[l] - y[l].exp_neg::<S>() * sum[l];
            }
            out.put(j, g);
        }
    }
}

#[inline(always)]
pub(super) fn maxima<A: Real>(a: &Strip<A>) -> [A; LANES] {
    let mut max = [-A::INFINITY; LANES];
    for j in 0..a.n {
        let a = a.at(j);
        for l in 0..LANES {
            max[l] = larger(max[l], a[l]);
        }
    }
    max
}

/// `y = op(x)` along `dim`.
pub(super) fn forward<T: Compute<Wide: Real>, O: RowOp>(dim: usize, x: View, out: &mut ViewMut) -> Result<Option<()>> {
    apply::<T, O, 1>(dim, [x], out)
}

/// `gx = op(grad, y)` along `dim`.
pub(super) fn backward<T: Compute<Wide: Real>, O: RowOp>(
    dim: usize,
    grad: View,
    y: View,
    out: &mut ViewMut,
) -> Result<Option<()>> {
    apply::<T, O, 2>(dim, [grad, y], out)
}

fn apply<T: Compute<Wide: Real>, O: RowOp, const N: usize>(dim: usize, ins: [View; N], out: &mut ViewMut) -> Result<Option<()>> {
    if ins.iter().any(|x| x.dtype != out.dtype || x.shape() != out.shape()) {
        return Ok(None);
    }
    let shape = out.shape();
    if dim >= shape.len().max(1) {
        return Err(Error::index(format!("Dimension out of range (got {dim}, but the tensor has {} dimensions)", shape.len())));
    }
    if out.numel() == 0 {
        return Ok(Some(()));
    }
    // Views in the order: inputs, output. A zero-dim tensor is one row of one element.
    let strides: SmallVec<[&[isize]; VIEWS]> = ins.iter().map(|x| x.strides()).chain([out.strides()]).collect();
    let mut steps = [1isize; VIEWS];
    strides.iter().zip(&mut steps).for_each(|(s, step)| *step = s.get(dim).copied().unwrap_or(1));
    let job = Job::<T, O, N> {
        n: shape.get(dim).copied().unwrap_or(1),
        along: Along::new(shape, |d| d != dim, &strides),
        ins: ins.map(|x| Shared::new(x.ptr::<T>().cast_mut())),
        out: Shared::new(out.ptr::<T>()),
        steps,
        op: PhantomData,
    };
    // About 20 µs for a chunk: an element with its exponential takes two nanoseconds or so.
    let rows_per_chunk = (10_000 / job.n).max(1);
    let apart_but_neighbours = steps[0] != 1 && job.along.neighbours(0, LANES / 2);
    if job.n <= SHORT || apart_but_neighbours {
        pool::for_ranges(job.along.rows, rows_per_chunk.next_multiple_of(LANES), |rows| job.together(rows));
    } else if band::suits(job.n, T::DTYPE != <T::Wide as Element>::DTYPE) && job.along.rows > 1 {
        pool::for_ranges(job.along.rows, rows_per_chunk.next_multiple_of(LANES), |rows| {
            simd::run_widest(Banded { job: &job, rows })
        });
    } else {
        pool::for_ranges(job.along.rows, rows_per_chunk, |rows| simd::run_widest(Alone { job: &job, rows }));
    }
    Ok(Some(()))
}

/// `N` inputs, one output, and how to walk them.
struct Job<T, O, const N: usize> {
    n: usize,
    along: Along,
    ins: [Shared<T>; N],
    out: Shared<T>,
    /// Along a row, in each view.
    steps: [isize; VIEWS],
    op: PhantomData<O>,
}

impl<T: Compute<Wide: Real>, O: RowOp, const N: usize> Job<T, O, N> {
    #[inline(always)]
    fn one_by_one<S: Isa>(&self, rows: std::ops::Range<usize>) {
        let n = self.n;
        let plain = T::DTYPE == <T::Wide as Element>::DTYPE;
        let mut scratch = vec![<T::Wide as Real>::ZERO; n * (N + 1)];
        for offsets in self.along.from(rows.start).take(rows.len()) {
            // SAFETY: offsets and steps of the views themselves stay within them; the output's rows are disjoint, and this one is
            // this chunk's alone. A slice of an input is made only where it does not overlap the output.
            unsafe {
                let to = self.out.get().offset(offsets[N]);
                let (out_scratch, mut rest) = scratch.split_at_mut(n);
                let mut inputs: [&[T::Wide]; 2] = [&[]; 2];
                for i in 0..N {
                    let from = self.ins[i].get().offset(offsets[i]);
                    let room;
                    (room, rest) = rest.split_at_mut(n);
                    inputs[i] = if plain && self.steps[i] == 1 && from != to {
                        std::slice::from_raw_parts(from.cast::<T::Wide>(), n)
                    } else {
                        load(from, self.steps[i], room);
                        room
                    };
                }
                let direct = plain && self.steps[N] == 1;
                let out = if direct { std::slice::from_raw_parts_mut(to.cast::<T::Wide>(), n) } else { &mut *out_scratch };
                O::row::<S, T::Wide>(inputs[0], inputs[1], out);
                if !direct {
                    store(out_scratch, to, self.steps[N]);
                }
            }
        }
    }

    #[inline(always)]
    fn by_bands<S: Isa>(&self, rows: std::ops::Range<usize>) {
        let n = self.n;
        let plain = T::DTYPE == <T::Wide as Element>::DTYPE;
        // In place, or by way of copies.
        let direct = |v: usize| plain && self.steps[v] == 1;
        let mut rooms: [Vec<T::Wide>; VIEWS] = Default::default();
        rooms
            .iter_mut()
            .enumerate()
            .filter(|(v, _)| *v <= N && !direct(*v))
            .for_each(|(_, room)| room.resize(LANES * n, T::Wide::default()));
        let places = rooms.each_mut().map(|room| room.as_mut_ptr());
        let mut offsets = self.along.from(rows.start);
        for first in rows.clone().step_by(LANES) {
            let count = LANES.min(rows.end - first);
            let mut at = [[std::ptr::null_mut::<T::Wide>(); LANES]; VIEWS];
            let mut to = [0isize; LANES];
            // SAFETY: offsets and steps of the views themselves stay within them; the output's rows are disjoint, and these are this
            // chunk's alone. The inputs have been copied, or are read before the same row of the output is written.
            unsafe {
                for (l, offset) in (0..count).zip(&mut offsets) {
                    for v in 0..=N {
                        let start = if v < N { self.ins[v].get() } else { self.out.get() }.offset(offset[v]);
                        at[v][l] = if direct(v) { start.cast() } else { places[v].add(l * n) };
                        if v < N && !direct(v) {
                            load(start, self.steps[v], std::slice::from_raw_parts_mut(at[v][l], n));
                        }
                    }
                    to[l] = offset[N];
                }
                let inputs = |v: usize| at[v].map(|p| p.cast_const());
                O::band::<S, T::Wide>(Band::new(count, n, inputs(0), inputs(N - 1), at[N]));
                if !direct(N) {
                    for l in 0..count {
                        store(std::slice::from_raw_parts(at[N][l], n), self.out.get().offset(to[l]), self.steps[N]);
                    }
                }
            }
        }
    }

    fn together(&self, rows: std::ops::Range<usize>) {
        let n = self.n;
        let plain = T::DTYPE == <T::Wide as Element>::DTYPE;
        let apart = self.ins.iter().all(|x| x.get() != self.out.get());
        let in_place = plain && apart && (0..=N).all(|v| self.along.neighbours(v, LANES));
        let zero = <T::Wide as Real>::ZERO;
        let (mut a_room, mut b_room) = (strip::Tile::new(), strip::Tile::new());
        let (mut out_room, mut row_room) = (strip::Tile::new(), strip::Tile::new());
        let mut first = rows.start;
        while first < rows.end {
            let mut offsets = self.along.from(first);
            let beside = self.along.until_turn(first).min(rows.end - first);
            if in_place && beside >= LANES {
                let vectors = beside / LANES;
                let at = offsets.next().expect("as many offsets as rows");
                simd::run_widest(InPlace { job: self, at, vectors });
                first += vectors * LANES;
                continue;
            }
            let count = LANES.min(if in_place { beside } else { rows.end - first });
            let mut at = [[0isize; VIEWS]; LANES];
            at[..count].iter_mut().zip(&mut offsets).for_each(|(at, offset)| *at = offset);
            let tiles = [a_room.vectors(n, zero), b_room.vectors(if N > 1 { n } else { 0 }, zero)];
            let (out, row) = (out_room.vectors(n, zero), row_room.elements(n, zero));
            // SAFETY: as in `one_by_one`; the inputs have been read to the end before the output is written.
            unsafe {
                for i in 0..N {
                    let starts = at.map(|a| a[i]);
                    load_tile(self.ins[i].get(), &starts[..count], self.steps[i], tiles[i], row);
                }
                simd::run_widest(Tile::<_, O> { a: tiles[0], b: tiles[1], out: &mut *out, op: PhantomData });
                store_tile(self.out.get(), &at.map(|a| a[N])[..count], self.steps[N], out, row);
            }
            first += count;
        }
    }
}

/// Whether rows begin side by side.
fn side_by_side(starts: &[isize]) -> bool {
    starts.iter().enumerate().all(|(l, &s)| s == starts[0] + l as isize)
}

/// How far apart rows begin that begin evenly spaced.
fn spacing(starts: &[isize]) -> Option<isize> {
    let apart = starts.get(1)? - starts[0];
    starts.iter().enumerate().all(|(l, &s)| s == starts[0] + l as isize * apart).then_some(apart)
}

/// Reads `starts.len()` rows into the lanes of `tile`; `row` has space for one. Lanes beyond keep what they had.
///
/// # Safety
/// `tile.len()` elements, `step` apart, may be read from each start.
pub(super) unsafe fn load_tile<T: Compute>(
    from: *const T,
    starts: &[isize],
    step: isize,
    tile: &mut [[T::Wide; LANES]],
    row: &mut [T::Wide],
) {
    // SAFETY: the caller's.
    unsafe {
        if side_by_side(starts) {
            let from = from.offset(starts[0]);
            let plain = T::DTYPE == <T::Wide as Element>::DTYPE;
            for (j, lanes) in tile.iter_mut().enumerate() {
                // A copy of a fixed size stays in registers.
                if plain && starts.len() == LANES {
                    *lanes = from.offset(j as isize * step).cast::<[T::Wide; LANES]>().read_unaligned();
                    continue;
                }
                load(from.offset(j as isize * step), 1, &mut lanes[..starts.len()]);
            }
            return;
        }
        if let (Some(apart), true, 1) = (spacing(starts), T::DTYPE == <T::Wide as Element>::DTYPE, step) {
            let (from, to) = (from.offset(starts[0]).cast(), tile.as_flattened_mut().as_mut_ptr());
            return simd::transpose::<T::Wide>(from, apart, to, LANES as isize, starts.len(), tile.len());
        }
        for (l, &start) in starts.iter().enumerate() {
            load(from.offset(start), step, row);
            tile.iter_mut().zip(&*row).for_each(|(lanes, x)| lanes[l] = *x);
        }
    }
}

/// The reverse of [`load_tile`].
///
/// # Safety
/// `tile.len()` elements, `step` apart, may be written from each start, by this thread only.
pub(super) unsafe fn store_tile<T: Compute>(
    to: *mut T,
    starts: &[isize],
    step: isize,
    tile: &[[T::Wide; LANES]],
    row: &mut [T::Wide],
) {
    // SAFETY: the caller's.
    unsafe {
        if side_by_side(starts) {
            let to = to.offset(starts[0]);
            let plain = T::DTYPE == <T::Wide as Element>::DTYPE;
            for (j, lanes) in tile.iter().enumerate() {
                if plain && starts.len() == LANES {
                    to.offset(j as isize * step).cast::<[T::Wide; LANES]>().write_unaligned(*lanes);
                    continue;
                }
                store(&lanes[..starts.len()], to.offset(j as isize * step), 1);
            }
            return;
        }
        if let (Some(apart), true, 1) = (spacing(starts), T::DTYPE == <T::Wide as Element>::DTYPE, step) {
            let (from, to) = (tile.as_flattened().as_ptr(), to.offset(starts[0]).cast());
            return simd::transpose::<T::Wide>(from, LANES as isize, to, apart, tile.len(), starts.len());
        }
        for (l, &start) in starts.iter().enumerate() {
            row.iter_mut().zip(tile).for_each(|(x, lanes)| *x = lanes[l]);
            store(row, to.offset(start), step);
        }
    }
}

/// Rows that are worked on each by itself.
struct Alone<'a, T, O, const N: usize> {
    job: &'a Job<T, O, N>,
    rows: std::ops::Range<usize>,
}

impl<T: Compute<Wide: Real>, O: RowOp, const N: usize> Body for Alone<'_, T, O, N> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        self.job.one_by_one::<S>(self.rows)
    }
}

/// Rows that are worked on sixteen at a time, one after the other.
struct Banded<'a, T, O, const N: usize> {
    job: &'a Job<T, O, N>,
    rows: std::ops::Range<usize>,
}

impl<T: Compute<Wide: Real>, O: RowOp, const N: usize> Body for Banded<'_, T, O, N> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        self.job.by_bands::<S>(self.rows)
    }
}

struct Tile<'a, A, O> {
    a: &'a [[A; LANES]],
    b: &'a [[A; LANES]],
    out: &'a mut [[A; LANES]],
    op: PhantomData<O>,
}

impl<A: Real, O: RowOp> Body for Tile<'_, A, O> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        O::columns::<S, A>(Strip::of(self.a), Strip::of(self.b), StripMut::of(self.out))
    }
}

/// Neighbouring rows that lie side by side in all views, each of the compute type; the output is none of the inputs.
struct InPlace<'a, T, O, const N: usize> {
    job: &'a Job<T, O, N>,
    /// Where the first row is in each view.
    at: [isize; VIEWS],
    vectors: usize,
}

impl<T: Compute<Wide: Real>, O: RowOp, const N: usize> Body for InPlace<'_, T, O, N> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        let Job { n, ins, out, steps, .. } = self.job;
        let start = |v: usize| {
            let first = if v < N { ins[v].get() } else { out.get() };
            first.wrapping_offset(self.at[v]).cast::<T::Wide>()
        };
        for k in 0..self.vectors {
            // SAFETY: rows of the views themselves; those of the output are this chunk's alone.
            unsafe {
                let strip = |v: usize| Strip::new(start(v).add(k * LANES).cast_const(), steps[v], *n);
                O::columns::<S, T::Wide>(strip(0), strip(N - 1), StripMut::new(start(N).add(k * LANES), steps[N], *n));
            }
        }
    }
}
