//! The arithmetic behind an element type: what products are summed in.

use super::kernel::HasKernels;
use crate::{Element, Scalar, bf16, f16};
use half::slice::HalfFloatSliceExt;

/// An element that can be multiplied and summed.
pub(crate) trait Number: Element {
    /// The type of sums: f32 for half precision, at least 32 bits for integers (whose wrapping makes every width agree).
    type Acc: Acc;
    /// Whether `Acc` is another type.
    const CONVERTS: bool = Self::DTYPE as u8 != <Self::Acc as Element>::DTYPE as u8;
    /// Exact.
    fn widen(self) -> Self::Acc;
    /// Rounded, or wrapped.
    fn narrow(x: Self::Acc) -> Self;

    /// [`Number::widen`] for slices of one length.
    #[inline(always)]
    fn widen_all(from: &[Self], to: &mut [Self::Acc]) {
        for (x, y) in from.iter().zip(to) {
            *y = x.widen();
        }
    }
    /// [`Number::narrow`] for slices of one length.
    #[inline(always)]
    fn narrow_all(from: &[Self::Acc], to: &mut [Self]) {
        for (x, y) in from.iter().zip(to) {
            *y = Self::narrow(*x);
        }
    }
}

/// A type of sums. Integers wrap.
pub(crate) trait Acc: Number<Acc = Self> + HasKernels {
    const ZERO: Self;
    const ONE: Self;
    fn add(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// `self * b + c`, fused where that is one instruction of the target.
    fn mul_add(self, b: Self, c: Self) -> Self;
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
    f32 => f32: x x, x;
    f64 => f64: x x, x;
}

/// The slice conversions of `half` use the processor's own instructions.
macro_rules! half_number {
    ($($t:ident)*) => {$(
        impl Number for $t {
            type Acc = f32;
            #[inline(always)]
            fn widen(self) -> f32 {
                self.to_f32()
            }
            #[inline(always)]
            fn narrow(x: f32) -> $t {
                $t::from_f32(x)
            }
            fn widen_all(from: &[$t], to: &mut [f32]) {
                from.convert_to_f32_slice(to);
            }
            fn narrow_all(from: &[f32], to: &mut [$t]) {
                to.convert_from_f32_slice(from);
            }
        }
    )*};
}
half_number!(f16 bf16);

macro_rules! acc {
    ($($t:ident $zero:expr, $one:expr, $x:ident $y:ident $add:expr, $mul:expr, $z:ident $mul_add:expr, $convert:ident;)*) => {$(
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
            #[inline(always)]
            fn mul_add(self, $y: $t, $z: $t) -> $t {
                let $x = self;
                $mul_add
            }
            fn from_scalar(x: Scalar) -> $t {
                x.$convert() as $t
            }
        }
    )*};
}
acc! {
    i32 0, 1, x y x.wrapping_add(y), x.wrapping_mul(y), z x.wrapping_mul(y).wrapping_add(z), to_i64;
    i64 0, 1, x y x.wrapping_add(y), x.wrapping_mul(y), z x.wrapping_mul(y).wrapping_add(z), to_i64;
    f32 0.0, 1.0, x y x + y, x * y, z if FUSED { f32::mul_add(x, y, z) } else { x * y + z }, to_f64;
    f64 0.0, 1.0, x y x + y, x * y, z if FUSED { f64::mul_add(x, y, z) } else { x * y + z }, to_f64;
}

/// Elsewhere `mul_add` may be a call into the C library, 50 times slower.
const FUSED: bool = cfg!(any(target_arch = "aarch64", target_feature = "fma"));
