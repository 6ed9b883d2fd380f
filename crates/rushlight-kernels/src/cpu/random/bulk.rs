//! Fills of contiguous memory: words are drawn a block at a time, and made into elements by loops that vectorise. The numbers are those
//! of one draw after the other.

use super::Generator;
use crate::cpu::simd::{self, Body, Isa};
use std::marker::PhantomData;

use crate::{Element, bf16, f16};

/// Words drawn at a time.
const BLOCK: usize = 1024;

/// How an element is made of random bits.
pub(super) trait Draw<T> {
    /// Whether it takes 64 bits; else 32.
    const WIDE: bool;
    /// The element; narrow ones look at the low bits only.
    fn of<S: Isa>(&self, bits: u64) -> T;
}

/// Fills `out` with draws.
pub(super) fn fill<T, D: Draw<T>>(g: &mut Generator, draw: &D, out: &mut [T]) {
    let mut words = [0u32; BLOCK];
    let each = if D::WIDE { 2 } else { 1 };
    for to in out.chunks_mut(BLOCK / each) {
        let words = &mut words[..to.len() * each];
        g.engine.fill(words);
        simd::run(Make { draw, words, to });
    }
}

struct Make<'a, T, D> {
    draw: &'a D,
    words: &'a [u32],
    to: &'a mut [T],
}

impl<T, D: Draw<T>> Body for Make<'_, T, D> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        if D::WIDE {
            let (pairs, _) = self.words.as_chunks::<2>();
            for (t, [high, low]) in self.to.iter_mut().zip(pairs) {
                *t = self.draw.of::<S>((*high as u64) << 32 | *low as u64);
            }
        } else {
            for (t, word) in self.to.iter_mut().zip(self.words) {
                *t = self.draw.of::<S>(*word as u64);
            }
        }
    }
}

/// 24 bits as a number in `[0, 1)`.
#[inline(always)]
pub(super) fn unit_f32(bits: u32) -> f32 {
    (bits & 0xff_ffff) as i32 as f32 * (1.0 / (1u32 << 24) as f32)
}

/// 53 bits as a number in `[0, 1)`. By way of the mantissa of 2^52: a conversion of 64-bit integers is no vector instruction before
/// AVX-512. The lowest bit is added apart.
#[inline(always)]
pub(super) fn unit_f64(bits: u64) -> f64 {
    const SCALE: f64 = 1.0 / (1u64 << 52) as f64;
    let whole = f64::from_bits((bits >> 1) & ((1 << 52) - 1) | 1f64.to_bits()) - 1.0;
    whole + f64::from_bits((bits & 1).wrapping_neg() & (0.5 * SCALE).to_bits())
}

/// Uniform on `[low, high)`; a result that is rounded up to `high` is replaced by `low`.
pub(super) struct Uniform<T, A> {
    pub(super) low: A,
    pub(super) width: A,
    pub(super) ends: [T; 2],
}

macro_rules! uniform_f32 {
    ($($t:ty: |$x:ident| $from:expr;)*) => {$(
        impl Draw<$t> for Uniform<$t, f32> {
            const WIDE: bool = false;
            #[inline(always)]
            fn of<S: Isa>(&self, bits: u64) -> $t {
                let u = unit_f32(bits as u32);
                // One rounding, as PyTorch's compiler fuses it.
                let $x = u.mul_add(self.width, self.low);
                let x: $t = $from;
                if x == self.ends[1] { self.ends[0] } else { x }
            }
        }
    )*};
}
uniform_f32! {
    f32: |x| x;
    f16: |x| f16::from_f64(x as f64);
    bf16: |x| bf16::from_f64(x as f64);
}

impl Draw<f64> for Uniform<f64, f64> {
    const WIDE: bool = true;
    #[inline(always)]
    fn of<S: Isa>(&self, bits: u64) -> f64 {
        let x = unit_f64(bits).mul_add(self.width, self.low);
        if x == self.ends[1] { self.ends[0] } else { x }
    }
}

/// A number on `[0, 1)` of `T`'s own width.
pub(super) struct Unit;

impl Draw<f32> for Unit {
    const WIDE: bool = false;
    #[inline(always)]
    fn of<S: Isa>(&self, bits: u64) -> f32 {
        unit_f32(bits as u32)
    }
}
impl Draw<f64> for Unit {
    const WIDE: bool = true;
    #[inline(always)]
    fn of<S: Isa>(&self, bits: u64) -> f64 {
        unit_f64(bits)
    }
}

/// Integers from `low` on, below `low + range`, for ranges below 2^28.
pub(super) struct Below {
    low: i64,
    range: u32,
    inverse: f64,
}

impl Below {
    pub(super) fn new(low: i64, range: u32) -> Below {
        Below { low, range, inverse: 1.0 / range as f64 }
    }
}

impl<T: Element> Draw<T> for Below {
    const WIDE: bool = false;
    #[inline(always)]
    fn of<S: Isa>(&self, bits: u64) -> T {
        // The remainder by multiplication in f64, as there is no vector division of integers: the quotient rounded to nearest stands in the
        // low bits of the sum, and leaves a remainder of at most half the range (and a little) to either side of zero.
        let q = (bits as u32 as f64 * self.inverse + 6_755_399_441_055_744.0).to_bits() as u32;
        let r = (bits as u32).wrapping_sub(q.wrapping_mul(self.range)) as i32;
        let r = if r < 0 { r + self.range as i32 } else { r };
        self.low.wrapping_add(r as i64).cast::<T>()
    }
}

/// One with a probability, of which [`Coin::new`] makes a bound for 53 bits.
pub(super) struct Coin<T> {
    bound: u64,
    to: PhantomData<T>,
}

impl<T> Coin<T> {
    pub(super) fn new(p: f64) -> Coin<T> {
        // `z / 2^53 < p` as integers: the product is exact.
        Coin { bound: (p * (1u64 << 53) as f64).ceil() as u64, to: PhantomData }
    }
}

impl<T: Element> Draw<T> for Coin<T> {
    const WIDE: bool = true;
    #[inline(always)]
    fn of<S: Isa>(&self, bits: u64) -> T {
        (((bits & ((1 << 53) - 1)) as i64) < self.bound as i64).cast::<T>()
    }
}
