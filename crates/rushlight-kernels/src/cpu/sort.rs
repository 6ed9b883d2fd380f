//! Sorting and top-k.
//!
//! A line is sorted as integers: the upper bits of each hold a key that orders as the element does, the lower bits its position.
//! All are distinct, so an unstable sort of integers is a stable sort of elements, and a selection breaks ties by position. Longer lines
//! are sorted by digits (`radix`); a few elements out of many are found by a pass that looks at the others once (`few`).

use super::pool;
use super::walk::{GRAIN, Grid, at_least_1d, without};
use crate::backend::*;
use crate::*;

mod few;
mod radix;
#[cfg(test)]
mod tests;

/// See [`Backend`].
pub fn sort(x: View, dim: usize, descending: bool, values: &mut ViewMut, indices: &mut ViewMut) -> Result<()> {
    dispatch!(x.dtype, T => lines::<T>(x, dim, descending, Wanted::First, values, indices));
    Ok(())
}

/// See [`Backend`].
pub fn topk(x: View, dim: usize, largest: bool, values: &mut ViewMut, indices: &mut ViewMut) -> Result<()> {
    dispatch!(x.dtype, T => lines::<T>(x, dim, largest, Wanted::First, values, indices));
    Ok(())
}

/// See [`Backend`].
pub fn nth(x: View, dim: usize, nth: usize, values: &mut ViewMut, indices: &mut ViewMut) -> Result<()> {
    dispatch!(x.dtype, T => lines::<T>(x, dim, false, Wanted::Nth(nth), values, indices));
    Ok(())
}

/// Which places of a line's order go to the outputs.
#[derive(Clone, Copy)]
enum Wanted {
    /// As many as there is room for, from the first.
    First,
    /// One.
    Nth(usize),
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
                let bits = if self == $zero { 0 } else { self.to_bits() };
                // Negative numbers order by falling magnitude, below the positive ones. Selections, not branches, so that it vectorises.
                let key = if bits & sign != 0 { !bits } else { bits | sign };
                (if self != self { <$u>::MAX } else { key }) as u64
            }
        }
    )*};
}
key_float!(f32, u32, 0.0; f64, u64, 0.0; f16, u16, f16::ZERO; bf16, u16, bf16::ZERO;);

/// Writes what is wanted of each line's order.
fn lines<T: Key>(x: View, dim: usize, descending: bool, wanted: Wanted, values: &mut ViewMut, indices: &mut ViewMut) {
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
        let mut order = Order::new(n, descending);
        grid.each(range, |[xa, va, ia]| {
            line.clear();
            // SAFETY: positions of a line of x. The line is copied before the outputs, which may be x, are written.
            line.extend((0..n as isize).map(|j| unsafe { x.ptr::<T>().offset(xa + j * xs).read() }));
            let (values, indices) = (values.ptr::<T>(), indices.ptr::<i64>());
            let emit = |rank: usize, position: usize| {
                let rank = rank as isize;
                // SAFETY: positions of a line of the outputs; lines are disjoint.
                unsafe {
                    values.offset(va + rank * vs).write(line[position]);
                    indices.offset(ia + rank * is).write(position as i64);
                }
            };
            match wanted {
                Wanted::First => order.first(&line, m, emit),
                Wanted::Nth(nth) => emit(0, order.nth(&line, nth)),
            }
        });
    });
}

/// Scratch for ordering lines: 64 bits per element where the keys' range and the positions fit, else 128.
struct Order {
    descending: bool,
    /// Of the keys that are packed now.
    bits: u32,
    keys: Vec<u32>,
    narrow: Vec<u64>,
    wide: Vec<u128>,
    spare: Vec<u64>,
    spare_wide: Vec<u128>,
}

/// The keys of a line as they are packed: less the smallest, so that they take fewer bits.
struct Keys {
    /// Turns a descending order into the ascending one of inverted keys; positions stay as they are, so it is stable too.
    flip: u64,
    least: u64,
    /// Bits that the largest takes.
    bits: u32,
}

impl Keys {
    fn of<T: Key>(line: &[T], descending: bool) -> Keys {
        let flip = if descending { u64::MAX >> (64 - T::BITS) } else { 0 };
        // The keys of floats fill their range anyway.
        if T::DTYPE.is_float() && T::BITS <= 32 {
            return Keys { flip, least: 0, bits: T::BITS };
        }
        let range = line.iter().fold((u64::MAX, 0), |(lo, hi), v| {
            let k = v.key() ^ flip;
            (lo.min(k), hi.max(k))
        });
        Keys { flip, least: range.0, bits: 64 - (range.1 - range.0).leading_zeros() }
    }
    #[inline(always)]
    fn key<T: Key>(&self, v: T) -> u64 {
        (v.key() ^ self.flip) - self.least
    }
}

impl Order {
    fn new(n: usize, descending: bool) -> Order {
        Order {
            descending,
            bits: 0,
            keys: vec![],
            narrow: Vec::with_capacity(n),
            wide: vec![],
            spare: vec![],
            spare_wide: vec![],
        }
    }
    /// Calls `emit(rank, position)` for the first `m` ranks.
    fn first<T: Key>(&mut self, line: &[T], m: usize, mut emit: impl FnMut(usize, usize)) {
        if T::BITS <= 32 && few::pays(m, line.len()) {
            let flip = if self.descending { u32::MAX >> (32 - T::BITS) } else { 0 };
            few::first(line, m, flip, &mut self.keys, &mut self.narrow);
            return self.narrow.iter().enumerate().for_each(|(rank, p)| emit(rank, *p as u32 as usize));
        }
        if self.pack(line) {
            let bits = self.bits;
            let sorted = leading(&mut self.narrow, m, &mut self.spare, 32, bits);
            sorted.iter().enumerate().for_each(|(rank, p)| emit(rank, *p as u32 as usize));
        } else {
            let bits = self.bits;
            let sorted = leading(&mut self.wide, m, &mut self.spare_wide, 64, bits);
            sorted.iter().enumerate().for_each(|(rank, p)| emit(rank, *p as u64 as usize));
        }
    }
    /// The position of the element of rank `nth`.
    fn nth<T: Key>(&mut self, line: &[T], nth: usize) -> usize {
        if self.pack(line) {
            *self.narrow.select_nth_unstable(nth).1 as u32 as usize
        } else {
            *self.wide.select_nth_unstable(nth).1 as u64 as usize
        }
    }
    /// Joins keys and positions; whether they fit the narrow form.
    fn pack<T: Key>(&mut self, line: &[T]) -> bool {
        let keys = Keys::of(line, self.descending);
        self.bits = keys.bits;
        if keys.bits <= 32 && line.len() <= u32::MAX as usize {
            self.narrow.clear();
            self.narrow.extend(line.iter().enumerate().map(|(i, v)| keys.key(*v) << 32 | i as u64));
            true
        } else {
            self.wide.clear();
            self.wide.extend(line.iter().enumerate().map(|(i, v)| (keys.key(*v) as u128) << 64 | i as u128));
            false
        }
    }
}

/// The `m` smallest of `all`, in order. Their keys take `bits` bits, from number `low` on.
fn leading<'a, K: radix::Packed>(all: &'a mut Vec<K>, m: usize, spare: &mut Vec<K>, low: u32, bits: u32) -> &'a [K] {
    if m < all.len() {
        // What is left is in no order, which sorting by digits relies on.
        all.select_nth_unstable(m);
        all.truncate(m);
        all.sort_unstable();
    } else if m < radix::LONG {
        all.sort_unstable();
    } else {
        radix::sort(all, spare, low, bits);
    }
    all
}
