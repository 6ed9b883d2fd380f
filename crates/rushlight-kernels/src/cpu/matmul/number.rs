//! The arithmetic behind an element type: what products are summed in.

use crate::{Element, Scalar, bf16, f16};

/// An element that can be multiplied and summed.
pub(crate) trait Number: Element {
    /// The type of sums: f32 for half precision, at least 32 bits for integers (whose wrapping makes every width agree).
    type Acc: Acc;
    /// Exact.
    fn widen(self) -> Self::Acc;
    /// Rounded, or wrapped.
    fn narrow(x: Self::Acc) -> Self;
}

/// A type of sums. Integers wrap.
pub(crate) trait Acc: Number<Acc = Self> {
    const ZERO: Self;
    const ONE: Self;
    fn add(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn from_scalar(x: Scalar) -> Self;
}

macro_rules! number {
    ($($t:ident => $acc:ident: $x:ident $widen:expr, $narrow:expr;)*) => {$(
        impl Number for $t {
            type Acc = $acc;
            #[inline(always)]
            fn widen(self) -> $acc {
                let $x = self;
                $widen
            }
            #[inline(always)]
            fn narrow($x: $acc) -> $t {
                $narrow
            }
        }
    )*};
}
number! {
    u8 => i32: x x as i32, x as u8;
    i8 => i32: x x as i32, x as i8;
    i16 => i32: x x as i32, x as i16;
    i32 => i32: x x, x;
    i64 => i64: x x, x;
    f16 => f32: x x.to_f32(), f16::from_f32(x);
    bf16 => f32: x x.to_f32(), bf16::from_f32(x);
    f32 => f32: x x, x;
    f64 => f64: x x, x;
}

macro_rules! acc {
    ($($t:ident $zero:expr, $one:expr, $x:ident $y:ident $add:expr, $mul:expr, $convert:ident;)*) => {$(
        impl Acc for $t {
            const ZERO: $t = $zero;
            const ONE: $t = $one;
            #[inline(always)]
            fn add(self, $y: $t) -> $t {
                let $x = self;
                $add
            }
            #[inline(always)]
            fn mul(self, $y: $t) -> $t {
                let $x = self;
                $mul
            }
            fn from_scalar(x: Scalar) -> $t {
                x.$convert() as $t
            }
        }
    )*};
}
acc! {
    i32 0, 1, x y x.wrapping_add(y), x.wrapping_mul(y), to_i64;
    i64 0, 1, x y x.wrapping_add(y), x.wrapping_mul(y), to_i64;
    f32 0.0, 1.0, x y x + y, x * y, to_f64;
    f64 0.0, 1.0, x y x + y, x * y, to_f64;
}
