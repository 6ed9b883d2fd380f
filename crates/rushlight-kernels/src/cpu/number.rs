//! What kernels need to know of an element type to compute with it.

use crate::{Element, bf16, f16};

/// Arithmetic in a compute type. Integers wrap; on bool, `add` is "or" and `mul` is "and", as PyTorch's sums and products have it.
pub(crate) trait Arith: Copy + Send + Sync + PartialOrd + 'static {
    const ZERO: Self;
    const ONE: Self;
    /// Whether there are NaNs.
    const IS_FLOAT: bool;
    /// Not above any value, the identity of `max`.
    const LOWEST: Self;
    /// Not below any value, the identity of `min`.
    const HIGHEST: Self;
    fn add(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// The product of the partial products of a run.
    #[inline(always)]
    fn product(parts: [Self; 16]) -> Self {
        tree(parts, Self::mul)
    }
    /// Itself where all bits of `mask` are set, `other` where none is: a choice that stays arithmetic, as a branch would end vectors.
    #[inline(always)]
    fn keep(self, mask: i32, other: Self) -> Self {
        if mask != 0 { self } else { other }
    }
    /// Never equal to itself, so NaN tests need no method.
    #[inline(always)]
    #[allow(clippy::eq_op, reason = "only NaN differs from itself")]
    fn is_nan(self) -> bool {
        self != self
    }
    /// The smaller; NaN wins.
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        if other < self || other.is_nan() { other } else { self }
    }
    /// The larger; NaN wins.
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        if other > self || other.is_nan() { other } else { self }
    }
}

/// Sixteen values joined as a tree. Each loop has a length of its own, so that it becomes vector instructions.
#[inline(always)]
pub(crate) fn tree<A: Copy>(mut parts: [A; 16], join: impl Fn(A, A) -> A) -> A {
    (0..8).for_each(|l| parts[l] = join(parts[l], parts[l + 8]));
    (0..4).for_each(|l| parts[l] = join(parts[l], parts[l + 4]));
    (0..2).for_each(|l| parts[l] = join(parts[l], parts[l + 2]));
    join(parts[0], parts[1])
}

macro_rules! arith_int {
    ($($t:ty)*) => {$(
        impl Arith for $t {
            const ZERO: $t = 0;
            const ONE: $t = 1;
            const IS_FLOAT: bool = false;
            const LOWEST: $t = <$t>::MIN;
            const HIGHEST: $t = <$t>::MAX;
            #[inline(always)] fn add(self, other: $t) -> $t { self.wrapping_add(other) }
            #[inline(always)] fn mul(self, other: $t) -> $t { self.wrapping_mul(other) }
        }
    )*};
}
arith_int!(u8 i8 i16 i32 i64);

macro_rules! arith_float {
    ($($t:ty: $bits:ty),*) => {$(
        impl Arith for $t {
            const ZERO: $t = 0.0;
            const ONE: $t = 1.0;
            const IS_FLOAT: bool = true;
            const LOWEST: $t = <$t>::NEG_INFINITY;
            const HIGHEST: $t = <$t>::INFINITY;
            #[inline(always)] fn add(self, other: $t) -> $t { self + other }
            #[inline(always)] fn mul(self, other: $t) -> $t { self * other }
            #[inline(always)] fn keep(self, mask: i32, other: $t) -> $t {
                let mask = mask as $bits;
                <$t>::from_bits((self.to_bits() as $bits & mask | other.to_bits() as $bits & !mask) as _)
            }
            // Products of many numbers soon leave the range of f32, where arithmetic is slow.
            #[inline(always)] fn product(parts: [$t; 16]) -> $t { tree(parts.map(f64::from), |a, b| a * b) as $t }
        }
    )*};
}
arith_float!(f32: i32, f64: i64);

impl Arith for bool {
    const ZERO: bool = false;
    const ONE: bool = true;
    const IS_FLOAT: bool = false;
    const LOWEST: bool = false;
    const HIGHEST: bool = true;
    #[inline(always)]
    fn add(self, other: bool) -> bool {
        self | other
    }
    #[inline(always)]
    fn mul(self, other: bool) -> bool {
        self & other
    }
}

/// An element and the type in which it is accumulated: f16 and bf16 in f32, every other type in itself.
pub(crate) trait Number: Element {
    type Acc: Arith;
    /// A type wide enough for running sums, as PyTorch's CPU kernels choose it: f64 for f32.
    type Wide: Arith;
    fn up(self) -> Self::Acc;
    fn down(acc: Self::Acc) -> Self;
    fn wide(self) -> Self::Wide;
    fn from_wide(wide: Self::Wide) -> Self;
}

macro_rules! number {
    ($($t:ty: $acc:ty, $wide:ty;)*) => {$(
        impl Number for $t {
            type Acc = $acc;
            type Wide = $wide;
            #[inline(always)] fn up(self) -> $acc { self.into() }
            #[inline(always)] fn down(acc: $acc) -> $t { acc as $t }
            #[inline(always)] fn wide(self) -> $wide { self.into() }
            #[inline(always)] fn from_wide(wide: $wide) -> $t { wide as $t }
        }
    )*};
}
number! {
    u8: u8, u8; i8: i8, i8; i16: i16, i16; i32: i32, i32; i64: i64, i64;
    f32: f32, f64; f64: f64, f64; bool: bool, bool;
}

macro_rules! number_half {
    ($($t:ty)*) => {$(
        impl Number for $t {
            type Acc = f32;
            type Wide = f32;
            #[inline(always)] fn up(self) -> f32 { self.to_f32() }
            #[inline(always)] fn down(acc: f32) -> $t { <$t>::from_f32(acc) }
            #[inline(always)] fn wide(self) -> f32 { self.to_f32() }
            #[inline(always)] fn from_wide(wide: f32) -> $t { <$t>::from_f32(wide) }
        }
    )*};
}
number_half!(f16 bf16);
