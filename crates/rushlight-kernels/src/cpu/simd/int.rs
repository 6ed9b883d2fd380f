//! Integer arithmetic for the scalar table: wrapping, with PyTorch's rules for division, powers and shifts.

use std::ops::{BitAnd, BitOr, BitXor, Not};

/// The integer element types.
pub trait Int:
    Copy + Ord + 'static + BitAnd<Output = Self> + BitOr<Output = Self> + BitXor<Output = Self> + Not<Output = Self>
{
    /// 0.
    const ZERO: Self;
    /// 1 or 0.
    fn of_bool(b: bool) -> Self;
    /// `-self`.
    fn wrapping_neg(self) -> Self;
    /// `self + b`.
    fn wrapping_add(self, b: Self) -> Self;
    /// `self - b`.
    fn wrapping_sub(self, b: Self) -> Self;
    /// `self * b`.
    fn wrapping_mul(self, b: Self) -> Self;
    /// The magnitude; the smallest number stays.
    fn wrapping_abs(self) -> Self;
    /// -1, 0 or 1.
    fn signum(self) -> Self;
    /// Rounded towards zero; 0 for a zero divisor, which the executor reports.
    fn trunc_div(self, b: Self) -> Self;
    /// Rounded down; 0 for a zero divisor.
    fn floor_div(self, b: Self) -> Self;
    /// With the divisor's sign; 0 for a zero divisor.
    fn remainder(self, b: Self) -> Self;
    /// With the dividend's sign; 0 for a zero divisor.
    fn fmod(self, b: Self) -> Self;
    /// Wrapping power by squaring; 0, 1 or -1 for a negative exponent.
    fn pow(self, b: Self) -> Self;
    /// 0 for shifts outside the width.
    fn shl(self, b: Self) -> Self;
    /// The sign for shifts outside the width.
    fn shr(self, b: Self) -> Self;
    /// Greatest common divisor, not negative.
    fn gcd(self, b: Self) -> Self;
    /// Least common multiple, not negative; wraps.
    fn lcm(self, b: Self) -> Self;
}

macro_rules! int {
    ($($t:ident { neg: |$a:ident| $abs:expr, $sign:expr, $negative:expr })*) => {$(
        impl Int for $t {
            const ZERO: $t = 0;
            #[inline(always)]
            fn of_bool(b: bool) -> $t { b as $t }
            #[inline(always)]
            fn wrapping_neg(self) -> $t { <$t>::wrapping_neg(self) }
            #[inline(always)]
            fn wrapping_add(self, b: $t) -> $t { <$t>::wrapping_add(self, b) }
            #[inline(always)]
            fn wrapping_sub(self, b: $t) -> $t { <$t>::wrapping_sub(self, b) }
            #[inline(always)]
            fn wrapping_mul(self, b: $t) -> $t { <$t>::wrapping_mul(self, b) }
            #[inline(always)]
            fn wrapping_abs(self) -> $t { let $a = self; $abs }
            #[inline(always)]
            fn signum(self) -> $t { let $a = self; $sign }
            #[inline(always)]
            fn trunc_div(self, b: $t) -> $t {
                if b == 0 { 0 } else { self.wrapping_div(b) }
            }
            #[inline(always)]
            fn floor_div(self, b: $t) -> $t {
                if b == 0 {
                    return 0;
                }
                let q = self.wrapping_div(b);
                let r = self.wrapping_rem(b);
                if r != 0 && (r < Self::ZERO) != (b < Self::ZERO) { q.wrapping_sub(1) } else { q }
            }
            #[inline(always)]
            fn remainder(self, b: $t) -> $t {
                if b == 0 {
                    return 0;
                }
                let r = self.wrapping_rem(b);
                if r != 0 && (r < Self::ZERO) != (b < Self::ZERO) { r.wrapping_add(b) } else { r }
            }
            #[inline(always)]
            fn fmod(self, b: $t) -> $t {
                if b == 0 { 0 } else { self.wrapping_rem(b) }
            }
            #[inline(always)]
            fn pow(self, b: $t) -> $t {
                let (mut base, mut e, mut y) = (self, b, 1 as $t);
                let $a = b;
                if $negative {
                    return if self == 1 {
                        1
                    } else if self == (0 as $t).wrapping_sub(1) {
                        if b & 1 == 0 { 1 } else { self }
                    } else {
                        0
                    };
                }
                while e != 0 {
                    if e & 1 != 0 {
                        y = y.wrapping_mul(base);
                    }
                    base = base.wrapping_mul(base);
                    e >>= 1;
                }
                y
            }
            #[inline(always)]
            fn shl(self, b: $t) -> $t {
                // A negative shift is a huge one as an unsigned number.
                if (b as u64) < <$t>::BITS as u64 { self.wrapping_shl(b as u32) } else { 0 }
            }
            #[inline(always)]
            fn shr(self, b: $t) -> $t {
                self >> (b as u64).min(<$t>::BITS as u64 - 1) as u32 >> (((b as u64) >= <$t>::BITS as u64) as u32)
            }
            #[inline(always)]
            fn gcd(self, b: $t) -> $t {
                let (mut a, mut b) = (Int::wrapping_abs(self), Int::wrapping_abs(b));
                while b != 0 {
                    (a, b) = (b, a.wrapping_rem(b));
                }
                Int::wrapping_abs(a)
            }
            #[inline(always)]
            fn lcm(self, b: $t) -> $t {
                let g = self.gcd(b);
                if g == 0 { 0 } else { Int::wrapping_abs(self.wrapping_div(g).wrapping_mul(b)) }
            }
        }
    )*};
}
int! {
    u8 { neg: |a| a, (a != 0) as u8, { let _ = a; false } }
    i8 { neg: |a| a.wrapping_abs(), a.signum(), a < 0 }
    i16 { neg: |a| a.wrapping_abs(), a.signum(), a < 0 }
    i32 { neg: |a| a.wrapping_abs(), a.signum(), a < 0 }
    i64 { neg: |a| a.wrapping_abs(), a.signum(), a < 0 }
}
