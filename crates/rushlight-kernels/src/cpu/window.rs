//! Pooling windows over one to three spatial dimensions.
//!
//! One and two dimensions are three with sizes of one. Every kernel computes whole rows of its result: it walks the rows of the
//! source that the window touches and, within them, the taps of the window, each for all outputs of the row at once. Taps come in
//! row-major order for every output, as in PyTorch, so that sums have PyTorch's bits; and no output needs a bounds check.

mod average;
mod axis;
mod lookup;
mod max;
#[cfg(test)]
mod tests;
mod tiles;

use crate::backend::*;
use crate::cpu::pool;
use crate::cpu::rows::{Compute, Dense, Shared, store};
use crate::*;
use average::{Average, Divisor};
use axis::Axis;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

/// See [`Backend`].
pub fn window(op: &WindowOp, ins: &[View], outs: &mut [ViewMut]) -> Result<()> {
    let x = ins[0];
    let (first, rest) = outs.split_first_mut().expect("a window has an output");
    let y = first;
    match op {
        WindowOp::MaxPool(shape) => {
            let axes = axis::regular(&x.shape()[1..], &y.shape()[1..], shape)?;
            dispatch!(x.dtype, [U8 I8 I16 I32 I64 F16 BF16 F32 F64], T => max::pool::<T>(x, &axes, y, rest.first_mut()),
                else => Err(unsupported("max_pool", x.dtype)))
        }
        WindowOp::AvgPool { shape, count_include_pad, divisor } => {
            let axes = axis::regular(&x.shape()[1..], &y.shape()[1..], shape)?;
            average(x, &axes, Divisor::of(*count_include_pad, *divisor), y)
        }
        WindowOp::AvgPoolBackward { shape, count_include_pad, divisor } => {
            let axes = axis::regular(&y.shape()[1..], &x.shape()[1..], shape)?;
            average_backward(x, &axes, Divisor::of(*count_include_pad, *divisor), y)
        }
        WindowOp::PutBack => {
            dispatch!(x.dtype, [I64 F16 BF16 F32 F64], T => put_back::<T>(x, ins[1], y),
                else => Err(unsupported("max_pool_backward", x.dtype)))
        }
        WindowOp::Lookup(places) => lookup::lookup(x, places, y),
        WindowOp::LookupBackward(places) => {
            dispatch!(x.dtype, [I64 F16 BF16 F32 F64], T => lookup::backward::<T>(x, places, y),
                else => Err(unsupported("pad_backward", x.dtype)))
        }
        WindowOp::AdaptiveAvgPool => average(x, &axis::adaptive(&x.shape()[1..], &y.shape()[1..])?, Divisor::EachSide, y),
        WindowOp::AdaptiveAvgPoolBackward => {
            average_backward(x, &axis::adaptive(&y.shape()[1..], &x.shape()[1..])?, Divisor::EachSide, y)
        }
    }
}

/// See [`WindowOp::PutBack`].
fn put_back<T: Compute<Wide: Average>>(x: View, positions: View, y: &mut ViewMut) -> Result<()> {
    let (x, positions) = (Dense::of::<T>(x)?, Dense::of::<i64>(positions)?);
    let [planes, size] = *y.shape() else { return Err(Error::runtime("put_back: expected a result of planes")) };
    let n = x.len().checked_div(planes).unwrap_or(0);
    if positions.len() != x.len() || n * planes != x.len() {
        return Err(Error::runtime("put_back: expected as many positions as elements, in as many planes as the result"));
    }
    let bad = AtomicI64::new(i64::MAX);
    let sink = Sink::<T>::new(y);
    pool::for_ranges(planes, (1 << 14) / (n + size).max(1), |range| {
        let mut plane = vec![T::Wide::ZERO; size];
        for number in range {
            plane.fill(T::Wide::ZERO);
            for (x, &at) in x[number * n..][..n].iter().zip(&positions[number * n..][..n]) {
                match usize::try_from(at).ok().and_then(|at| plane.get_mut(at)) {
                    Some(sum) => *sum += *x,
                    None => bad.store(at, Relaxed),
                }
            }
            let at = RowAt { plane: number, outer: 0, middle: 0 };
            // SAFETY: a plane of the result, as one row of its last dimension, visited once.
            unsafe { sink.put(at, &plane) };
        }
    });
    match bad.into_inner() {
        i64::MAX => Ok(()),
        at => Err(Error::index(format!("index {at} is out of bounds for a plane of {size} elements"))),
    }
}

fn average(x: View, axes: &[Axis; 3], divisor: Divisor, y: &mut ViewMut) -> Result<()> {
    dispatch!(x.dtype, [I64 F16 BF16 F32 F64], T => average::forward::<T>(x, axes, divisor, y),
        else => Err(unsupported("avg_pool", x.dtype)))
}

fn average_backward(g: View, axes: &[Axis; 3], divisor: Divisor, out: &mut ViewMut) -> Result<()> {
    dispatch!(g.dtype, [I64 F16 BF16 F32 F64], T => average::backward::<T>(g, axes, divisor, out),
        else => Err(unsupported("avg_pool_backward", g.dtype)))
}

#[cold]
fn unsupported(name: &str, dtype: DType) -> Error {
    Error::not_implemented(format!("\"{name}\" not implemented for '{}'", dtype.scalar_type_name()))
}

/// A row of a result: its plane and its position along the two outer dimensions.
#[derive(Clone, Copy)]
struct RowAt {
    plane: usize,
    outer: usize,
    middle: usize,
}

/// Runs `f` for ranges of the rows of `planes` results of size `size`, of about 20 µs each. A tap takes half a nanosecond.
fn for_rows(planes: usize, size: [usize; 3], taps_per_row: usize, f: impl Fn(&mut dyn Iterator<Item = RowAt>) + Sync) {
    let rows = planes * size[0] * size[1];
    let grain = (40_000 / taps_per_row.max(1)).max(1);
    pool::for_ranges(rows, grain, |range| f(&mut range.map(|row| RowAt::new(row, size))));
}

impl RowAt {
    /// Row number `row` of planes of size `size`.
    fn new(row: usize, size: [usize; 3]) -> RowAt {
        RowAt { plane: row / (size[0] * size[1]), outer: row / size[1] % size[0], middle: row % size[1] }
    }
    /// Goes on to the next one.
    fn step(&mut self, size: [usize; 3]) {
        self.middle += 1;
        if self.middle == size[1] {
            (self.middle, self.outer) = (0, self.outer + 1);
            if self.outer == size[0] {
                (self.outer, self.plane) = (0, self.plane + 1);
            }
        }
    }
}

/// Where rows of a result go.
struct Sink<T> {
    start: Shared<T>,
    /// Of the plane and the three spatial dimensions.
    strides: [isize; 4],
}

impl<T: Compute> Sink<T> {
    fn new(out: &mut ViewMut) -> Self {
        let mut strides = [0; 4];
        strides[0] = out.strides()[0];
        let spatial = &out.strides()[1..];
        strides[4 - spatial.len()..].copy_from_slice(spatial);
        Sink { start: Shared::new(out.ptr::<T>()), strides }
    }
    /// # Safety
    /// `at` is a row of the view this was made from, `row` as long as its last dimension, and no other thread has this row.
    unsafe fn put(&self, at: RowAt, row: &[T::Wide]) {
        let [plane, outer, middle, inner] = self.strides;
        let offset = at.plane as isize * plane + at.outer as isize * outer + at.middle as isize * middle;
        // SAFETY: the caller's.
        unsafe { store(row, self.start.get().offset(offset), inner) }
    }
    /// [`Sink::put`] for several rows of `width` elements, one below the other.
    ///
    /// # Safety
    /// As there, for each of them.
    unsafe fn put_rows(&self, mut at: RowAt, rows: &[T::Wide], width: usize) {
        // SAFETY: the caller's; rows that follow each other in memory are one.
        unsafe {
            if self.strides[2] == width as isize * self.strides[3] {
                return self.put(at, rows);
            }
            for row in rows.chunks_exact(width) {
                self.put(at, row);
                at.middle += 1;
            }
        }
    }
}
