//! Sorting and top-k.
//!
//! A line is sorted as integers: the upper bits of each hold a key that orders as the element does, the lower bits its position.
//! All are distinct, so an unstable sort of integers is a stable sort of elements, and a selection breaks ties by position.

use super::pool;
use super::walk::{GRAIN, Grid, at_least_1d, without};
use crate::backend::*;
use crate::*;

#[cfg(test)]
mod tests;

/// See [`Backend`].
pub fn sort(x: View, dim: usize, descending: bool, values: &mut ViewMut, indices: &mut ViewMut) -> Result<()> {
    dispatch!(x.dtype, T => lines::<T>(x, dim, descending, values, indices));
    Ok(())
}

/// See [`Backend`].
pub fn topk(x: View, dim: usize, largest: bool, values: &mut ViewMut, indices: &mut ViewMut) -> Result<()> {
    dispatch!(x.dtype, T => lines::<T>(x, dim, largest, values, indices));
    Ok(())
}

/// An element with an order-preserving unsigned key: zeros of both signs share one, and so do all NaN, above infinity.
trait Key: Element {
    /// Bits of the key.
    const BITS: u32;
    fn key(self) -> u64;
}

macro_rules! key_int {
    ($($t:ty, $u:ty;)*) => {$(
        impl Key for $t {
            const BITS: u32 = <$t>::BITS;
            // Flipping the sign bit maps the signed order to the unsigned one; unsigned types have MIN = 0.
            #[inline(always)] fn key(self) -> u64 { (self as $u ^ <$t>::MIN as $u) as u64 }
        }
    )*};
}
key_int!(u8, u8; i8, u8; i16, u16; i32, u32; i64, u64;);

impl Key for bool {
    const BITS: u32 = 8;
    #[inline(always)]
    fn key(self) -> u64 {
        self as u64
    }
}

macro_rules! key_float {
    ($($t:ty, $u:ty, $zero:expr;)*) => {$(
        impl Key for $t {
            const BITS: u32 = <$u>::BITS;
            #[inline(always)]
            #[allow(clippy::eq_op, reason = "only NaN differs from itself")]
            fn key(self) -> u64 {
                let sign: $u = 1 << (<$u>::BITS - 1);
                if self != self {
                    return <$u>::MAX as u64;
                }
                let bits = if self == $zero { 0 } else { self.to_bits() };
                // Negative numbers order by falling magnitude, below the positive ones.
                (if bits & sign != 0 { !bits } else { bits | sign }) as u64
            }
        }
    )*};
}
key_float!(f32, u32, 0.0; f64, u64, 0.0; f16, u16, f16::ZERO; bf16, u16, bf16::ZERO;);

/// Writes the first `m` of each line's order, where `m` is the size of `dim` in the outputs.
fn lines<T: Key>(x: View, dim: usize, descending: bool, values: &mut ViewMut, indices: &mut ViewMut) {
    let [xl, vl, il] = [x.layout, values.layout, indices.layout].map(at_least_1d);
    let (n, m) = (xl.shape[dim], vl.shape[dim]);
    let mut shape = xl.shape.clone();
    shape[dim] = 1;
    let rest = [&xl, &vl, &il].map(|l| without(&l.strides, dim));
    let grid = Grid::new(&shape, rest.each_ref().map(|s| s.as_slice()));
    if n == 0 || m == 0 {
        return;
    }
    let [xs, vs, is] = [&xl, &vl, &il].map(|l| l.strides[dim]);
    let (values, indices) = (&*values, &*indices);
    // Sorting costs about ten times what copying does.
    pool::for_ranges(grid.len(), GRAIN / 16 / n, |range| {
        let mut line: Vec<T> = Vec::with_capacity(n);
        let mut order = Order::new::<T>(n, descending);
        grid.each(range, |[xa, va, ia]| {
            line.clear();
            // SAFETY: positions of a line of x. The line is copied before the outputs, which may be x, are written.
            line.extend((0..n as isize).map(|j| unsafe { x.ptr::<T>().offset(xa + j * xs).read() }));
            order.first(&line, m, |rank, position| {
                let rank = rank as isize;
                // SAFETY: positions of a line of the outputs; lines are disjoint.
                unsafe {
                    values.ptr::<T>().offset(va + rank * vs).write(line[position]);
                    indices.ptr::<i64>().offset(ia + rank * is).write(position as i64);
                }
            });
        });
    });
}

/// Scratch for ordering lines: 64 bits per element where key and position fit, else 128.
enum Order {
    Narrow(Vec<u64>, bool),
    Wide(Vec<u128>, bool),
}

impl Order {
    fn new<T: Key>(n: usize, descending: bool) -> Order {
        if T::BITS <= 32 && n <= u32::MAX as usize {
            Order::Narrow(Vec::with_capacity(n), descending)
        } else {
            Order::Wide(Vec::with_capacity(n), descending)
        }
    }
    /// Calls `emit(rank, position)` for the first `m` ranks.
    fn first<T: Key>(&mut self, line: &[T], m: usize, mut emit: impl FnMut(usize, usize)) {
        // A descending order is the ascending one of inverted keys; positions stay as they are, so it is stable too.
        let mask = u64::MAX >> (64 - T::BITS);
        match self {
            Order::Narrow(packed, descending) => {
                let flip = if *descending { mask } else { 0 };
                packed.clear();
                packed.extend(line.iter().enumerate().map(|(i, v)| (v.key() ^ flip) << 32 | i as u64));
                leading(packed, m).iter().enumerate().for_each(|(rank, p)| emit(rank, *p as u32 as usize));
            }
            Order::Wide(packed, descending) => {
                let flip = if *descending { mask } else { 0 };
                packed.clear();
                packed.extend(line.iter().enumerate().map(|(i, v)| ((v.key() ^ flip) as u128) << 64 | i as u128));
                leading(packed, m).iter().enumerate().for_each(|(rank, p)| emit(rank, *p as u64 as usize));
            }
        }
    }
}

/// The `m` smallest of `all`, in order.
fn leading<K: Ord>(all: &mut [K], m: usize) -> &[K] {
    if m < all.len() {
        all.select_nth_unstable(m);
    }
    let head = &mut all[..m];
    head.sort_unstable();
    head
}
