//! Sorting and top-k.
//!
//! A line is sorted as integers: the upper bits of each hold a key that orders as the element does, the lower bits its position.
//! All are distinct, so an unstable sort of integers is a stable sort of elements, and a selection breaks ties by position. Longer lines
//! are sorted by digits (`radix`), very long ones by several threads; a few elements out of many are found by a pass that looks at the
//! others once (`few`).

use super::matmul::try_run;
use super::pool;
use super::rows::Shared;
use super::simd::{self, Body, Isa};
use super::walk::{GRAIN, Grid, at_least_1d, same_memory, without};
use crate::backend::*;
use crate::*;
use std::ops::Range;

mod few;
mod radix;
#[cfg(test)]
mod tests;

/// See [`Backend`].
pub fn sort(x: View, dim: usize, descending: bool, values: &mut ViewMut, indices: &mut ViewMut) -> Result<()> {
    dispatch!(x.dtype, T => lines::<T>(x, dim, descending, Wanted::First, values, indices))
}

/// See [`Backend`].
pub fn topk(x: View, dim: usize, largest: bool, values: &mut ViewMut, indices: &mut ViewMut) -> Result<()> {
    dispatch!(x.dtype, T => lines::<T>(x, dim, largest, Wanted::First, values, indices))
}

/// See [`Backend`].
pub fn nth(x: View, dim: usize, nth: usize, values: &mut ViewMut, indices: &mut ViewMut) -> Result<()> {
    dispatch!(x.dtype, T => lines::<T>(x, dim, false, Wanted::Nth(nth), values, indices))
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
fn lines<T: Key>(
    x: View,
    dim: usize,
    descending: bool,
    wanted: Wanted,
    values: &mut ViewMut,
    indices: &mut ViewMut,
) -> Result<()> {
    let [xl, vl, il] = [x.layout, values.layout, indices.layout].map(at_least_1d);
    let (n, m) = (xl.shape[dim], vl.shape[dim]);
    let mut shape = xl.shape.clone();
    shape[dim] = 1;
    let rest = [&xl, &vl, &il].map(|l| without(&l.strides, dim));
    let grid = Grid::new(&shape, rest.each_ref().map(|s| s.as_slice()));
    if n == 0 || m == 0 || grid.len() == 0 {
        return Ok(());
    }
    let [xs, vs, is] = [&xl, &vl, &il].map(|l| l.strides[dim]);
    let in_place = same_memory(&x, values) || same_memory(&x, indices);
    let (values, indices) = (&*values, &*indices);
    // Of a long line, values written where they belong would miss the cache: once positions are known, they are fetched in order.
    let fetch = m == n && n >= radix::APART;
    let block = |range: Range<usize>| {
        let mut copy: Vec<T> = Vec::new();
        let mut order = Order::new(descending);
        let mut done = Ok(());
        grid.each(range, |[xa, va, ia]| {
            // SAFETY: a line of x.
            let x = unsafe { x.ptr::<T>().offset(xa) };
            let line = if xs == 1 && !in_place {
                // SAFETY: its elements lie in a row, and nobody writes them meanwhile.
                unsafe { std::slice::from_raw_parts(x, n) }
            } else {
                copy.clear();
                // SAFETY: positions of the line, which are read before the outputs, which may be x, are written.
                copy.extend((0..n as isize).map(|j| unsafe { x.offset(j * xs).read() }));
                &copy
            };
            let (to_values, to_indices) = (Shared::new(values.ptr::<T>()), Shared::new(indices.ptr::<i64>()));
            // By value, as loops that call it store all the time.
            let emit = move |rank: usize, position: usize| {
                let at = rank as isize;
                // SAFETY: positions of a line of the outputs, each of which is written once; lines are disjoint.
                unsafe {
                    if !fetch {
                        to_values.get().offset(va + at * vs).write(line[position]);
                    }
                    to_indices.get().offset(ia + at * is).write(position as i64);
                }
            };
            match wanted {
                Wanted::First if done.is_ok() => done = order.first(line, m, emit),
                Wanted::First => {}
                Wanted::Nth(nth) => emit(0, order.nth(line, nth)),
            }
            if fetch && done.is_ok() {
                // SAFETY: a line of each output, of which the positions have been written.
                unsafe { fetch_values(line, to_indices.get().offset(ia), is, to_values.get().offset(va), vs) };
            }
        });
        done
    };
    // Lines that are worth several threads each come one after the other. Sorting costs about ten times what copying does.
    let grain = if n > radix::PART { grid.len() } else { (GRAIN / 16 / n).max(1) };
    try_run(grid.len().div_ceil(grain), |i| block(i * grain..((i + 1) * grain).min(grid.len())))
}
/// Writes the values at the positions that `indices` names.
///
/// # Safety
/// As many positions of the line, and as much room, as it has elements; only this call touches them.
unsafe fn fetch_values<T: Element>(line: &[T], indices: *const i64, is: isize, values: *mut T, vs: isize) {
    let (indices, values) = (Shared::new(indices.cast_mut()), Shared::new(values));
    pool::for_ranges(line.len(), radix::PART, |ranks| {
        let (line, indices, values, is, vs) = (line, indices.get(), values.get(), is, vs);
        for rank in ranks.start as isize..ranks.end as isize {
            // SAFETY: the caller's promise.
            unsafe { values.offset(rank * vs).write(line[indices.offset(rank * is).read() as usize]) };
        }
    });
}

/// Keys and positions as integers.
trait Packed: Copy + Ord + Send + Sync {
    fn pack(key: u64, low: u32, position: usize) -> Self;
    fn position(self, low: u32) -> usize;
    /// Bits from number `at` on.
    fn digit(self, at: u32, mask: usize) -> usize;
}

macro_rules! packed {
    ($($t:ty)*) => {$(
        impl Packed for $t {
            #[inline(always)]
            fn pack(key: u64, low: u32, position: usize) -> Self {
                (key as $t) << low | position as $t
            }
            #[inline(always)]
            fn position(self, low: u32) -> usize {
                self as usize & ((1usize << low) - 1)
            }
            #[inline(always)]
            fn digit(self, at: u32, mask: usize) -> usize {
                (self >> at) as usize & mask
            }
        }
    )*};
}
packed!(u64 u128);

/// The keys of a line as they are packed: less the smallest, so that they take fewer bits.
#[derive(Clone, Copy)]
struct Keys {
    /// Turns a descending order into the ascending one of inverted keys; positions stay as they are, so it is stable too.
    flip: u64,
    least: u64,
    /// Bits that the largest takes.
    bits: u32,
    /// Bits that a position takes.
    low: u32,
}

impl Keys {
    fn of<T: Key>(line: &[T], descending: bool) -> Keys {
        let flip = if descending { u64::MAX >> (64 - T::BITS) } else { 0 };
        let low = usize::BITS - (line.len() - 1).leading_zeros();
        // The keys of floats fill their range anyway, and few bits are one digit.
        if T::DTYPE.is_float() && T::BITS <= 32 || T::BITS <= 8 {
            return Keys { flip, least: 0, bits: T::BITS, low };
        }
        let (least, most) = simd::run_widest(Extremes { line, flip });
        Keys { flip, least, bits: 64 - (most - least).leading_zeros(), low }
    }
    #[inline(always)]
    fn key<T: Key>(&self, v: T) -> u64 {
        (v.key() ^ self.flip) - self.least
    }
    /// Whether keys and positions fit 64 bits.
    fn narrow(&self) -> bool {
        self.bits + self.low <= 64
    }
}

/// The smallest and the largest key.
struct Extremes<'a, T> {
    line: &'a [T],
    flip: u64,
}

impl<T: Key> Body for Extremes<'_, T> {
    type Out = (u64, u64);
    #[inline(always)]
    fn run<S: Isa>(self) -> (u64, u64) {
        let (mut least, mut most) = (u64::MAX, 0);
        for v in self.line {
            let k = v.key() ^ self.flip;
            (least, most) = (least.min(k), most.max(k));
        }
        (least, most)
    }
}

/// Scratch for ordering lines: 64 bits per element where the keys' range and the positions fit, else 128.
struct Order {
    descending: bool,
    keys: Vec<u32>,
    narrow: Vec<u64>,
    wide: Vec<u128>,
}

impl Order {
    fn new(descending: bool) -> Order {
        Order { descending, keys: vec![], narrow: vec![], wide: vec![] }
    }
    /// Calls `emit(rank, position)` for the first `m` ranks.
    fn first<T: Key>(&mut self, line: &[T], m: usize, emit: impl Fn(usize, usize) + Sync + Copy) -> Result<()> {
        if T::BITS <= 32 && few::pays(m, line.len()) {
            let flip = if self.descending { u32::MAX >> (32 - T::BITS) } else { 0 };
            few::first(line, m, flip, &mut self.keys, &mut self.narrow);
            self.narrow.iter().enumerate().for_each(|(rank, p)| emit(rank, *p as u32 as usize));
            return Ok(());
        }
        let keys = Keys::of(line, self.descending);
        let by_digits = m == line.len() && (radix::LONG..=u32::MAX as usize).contains(&m);
        match (by_digits, keys.narrow()) {
            (true, true) => radix::sort::<u64, T>(line, keys, emit)?,
            (true, false) => radix::sort::<u128, T>(line, keys, emit)?,
            (false, true) => leading(pack(line, &keys, &mut self.narrow), m, keys.low, emit),
            (false, false) => leading(pack(line, &keys, &mut self.wide), m, keys.low, emit),
        }
        Ok(())
    }
    /// The position of the element of rank `nth`.
    fn nth<T: Key>(&mut self, line: &[T], nth: usize) -> usize {
        let keys = Keys::of(line, self.descending);
        if keys.narrow() {
            pack(line, &keys, &mut self.narrow).select_nth_unstable(nth).1.position(keys.low)
        } else {
            pack(line, &keys, &mut self.wide).select_nth_unstable(nth).1.position(keys.low)
        }
    }
}

/// Joins keys and positions.
fn pack<'a, K: Packed, T: Key>(line: &[T], keys: &Keys, to: &'a mut Vec<K>) -> &'a mut [K] {
    to.clear();
    to.extend(line.iter().enumerate().map(|(i, v)| K::pack(keys.key(*v), keys.low, i)));
    to
}

/// Calls `emit(rank, position)` for the `m` smallest of `all`.
fn leading<K: Packed>(mut all: &mut [K], m: usize, low: u32, emit: impl Fn(usize, usize)) {
    if m < all.len() {
        all = all.select_nth_unstable(m).0;
    }
    all.sort_unstable();
    all.iter().enumerate().for_each(|(rank, k)| emit(rank, k.position(low)));
}
