//! Floating point arithmetic for the scalar table, over f32 and f64.

use super::isa::Isa;
use super::{double, elementary, gamma, inverse, special};
use std::ops::{Add, Div, Mul, Neg, Rem, Sub};

/// f32 and f64. Functions that take an instruction set are vectorised for f32; the others are calls.
pub trait Real:
    Copy
    + PartialOrd
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Rem<Output = Self>
    + Neg<Output = Self>
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Infinity.
    const INFINITY: Self;
    /// The nearest value to `x`.
    fn of(x: f64) -> Self;
    /// 1 or 0.
    fn of_bool(b: bool) -> Self;
    /// Magnitude.
    fn abs(self) -> Self;
    /// Rounded up.
    fn ceil(self) -> Self;
    /// Rounded down.
    fn floor(self) -> Self;
    /// Rounded to nearest, halves to even.
    fn round_even(self) -> Self;
    /// Rounded towards zero.
    fn trunc(self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// This magnitude with the sign of `b`.
    fn copysign(self, b: Self) -> Self;
    /// Not a number.
    fn is_nan(self) -> bool;
    /// The sign bit is set.
    fn is_sign_negative(self) -> bool;
    /// `self * a + b`, fused where that is one instruction.
    fn mul_add<S: Isa>(self, a: Self, b: Self) -> Self;

    /// e^x.
    fn exp<S: Isa>(self) -> Self;
    /// e^x for x at most a little above zero (or NaN): cheaper, and zero where the result would be subnormal.
    #[inline(always)]
    fn exp_neg<S: Isa>(self) -> Self {
        self.exp::<S>()
    }
    /// 2^x.
    fn exp2<S: Isa>(self) -> Self;
    /// e^x - 1.
    fn expm1<S: Isa>(self) -> Self;
    /// Natural logarithm.
    fn ln<S: Isa>(self) -> Self;
    /// Logarithm to base 2.
    fn log2<S: Isa>(self) -> Self;
    /// Logarithm to base 10.
    fn log10<S: Isa>(self) -> Self;
    /// ln(1 + x).
    fn ln_1p<S: Isa>(self) -> Self;
    /// Sine.
    fn sin<S: Isa>(self) -> Self;
    /// Cosine.
    fn cos<S: Isa>(self) -> Self;
    /// Hyperbolic tangent.
    fn tanh<S: Isa>(self) -> Self;
    /// Error function.
    fn erf<S: Isa>(self) -> Self;
    /// 1 - erf(x).
    fn erfc<S: Isa>(self) -> Self;
    /// 1 / (1 + e^-x).
    fn sigmoid<S: Isa>(self) -> Self;
    /// x sigmoid(x).
    fn silu<S: Isa>(self) -> Self;
    /// x Φ(x).
    fn gelu<S: Isa>(self) -> Self;
    /// The tanh form of gelu.
    fn gelu_tanh<S: Isa>(self) -> Self;

    /// Tangent.
    fn tan<S: Isa>(self) -> Self;
    /// Arc sine.
    fn asin<S: Isa>(self) -> Self;
    /// Arc cosine.
    fn acos<S: Isa>(self) -> Self;
    /// Arc tangent.
    fn atan<S: Isa>(self) -> Self;
    /// Hyperbolic sine.
    fn sinh<S: Isa>(self) -> Self;
    /// Hyperbolic cosine.
    fn cosh<S: Isa>(self) -> Self;
    /// Inverse hyperbolic sine.
    fn asinh<S: Isa>(self) -> Self;
    /// Inverse hyperbolic cosine.
    fn acosh<S: Isa>(self) -> Self;
    /// Inverse hyperbolic tangent.
    fn atanh<S: Isa>(self) -> Self;
    /// Inverse error function.
    fn erfinv<S: Isa>(self) -> Self;
    /// log |Γ(x)|.
    fn lgamma(self) -> Self;
    /// Γ'(x) / Γ(x).
    fn digamma(self) -> Self;
    /// Modified Bessel function I₀.
    fn i0(self) -> Self;
    /// e^-|x| I₀(x).
    fn i0e(self) -> Self;
    /// Modified Bessel function I₁.
    fn i1(self) -> Self;
    /// e^-|x| I₁(x).
    fn i1e(self) -> Self;
    /// Normal quantile.
    fn ndtri(self) -> Self;
    /// log Φ(x).
    fn log_ndtr(self) -> Self;
    /// self^b.
    fn pow<S: Isa>(self, b: Self) -> Self;
    /// Angle of the point (b, self).
    fn atan2<S: Isa>(self, b: Self) -> Self;
    /// √(self² + b²).
    fn hypot(self, b: Self) -> Self;
    /// The neighbour of self towards `b`.
    fn next_after(self, b: Self) -> Self;
    /// Regularised lower incomplete gamma function.
    fn igamma(self, x: Self) -> Self;
    /// Regularised upper incomplete gamma function.
    fn igammac(self, x: Self) -> Self;
    /// Derivative number `self` of digamma at `x`.
    fn polygamma(self, x: Self) -> Self;
    /// Hurwitz's zeta function.
    fn zeta(self, q: Self) -> Self;

    /// C's `fmod`, exact, for operands that are not [far](Self::is_far) apart.
    fn fmod<S: Isa>(self, b: Self) -> Self;
    /// The quotient may be too large for [`fmod`](Self::fmod), or is not finite.
    fn is_far(self, b: Self) -> bool;
    /// Python's modulo, from C's.
    #[inline(always)]
    fn remainder_from(self, b: Self, fmod: Self) -> Self {
        if (fmod != Self::ZERO) & ((b < Self::ZERO) != (fmod < Self::ZERO)) { fmod + b } else { fmod }
    }
    /// PyTorch's `div_floor_floating`, from `fmod`: the exact quotient's floor wherever `fmod` shows it, not that of the rounded quotient.
    #[inline(always)]
    fn floor_div_from(self, b: Self, fmod: Self) -> Self {
        let q = (self - fmod) / b;
        let q = if (fmod != Self::ZERO) & ((b < Self::ZERO) != (fmod < Self::ZERO)) { q - Self::ONE } else { q };
        let f = q.floor();
        let f = if q - f > Self::of(0.5) { f + Self::ONE } else { f };
        let rounded = self / b;
        let f = if q == Self::ZERO { Self::ZERO.copysign(rounded) } else { f };
        if b == Self::ZERO { rounded } else { f }
    }
}

/// Methods that both types share by name: of std, or of f64's special functions (f32 goes through f64).
macro_rules! shared {
    ($t:ident) => {
        const ZERO: $t = 0.0;
        const ONE: $t = 1.0;
        const INFINITY: $t = $t::INFINITY;
        #[inline(always)]
        fn of(x: f64) -> $t {
            x as $t
        }
        #[inline(always)]
        fn of_bool(b: bool) -> $t {
            b as u8 as $t
        }
        #[inline(always)]
        fn abs(self) -> $t {
            $t::abs(self)
        }
        #[inline(always)]
        fn ceil(self) -> $t {
            $t::ceil(self)
        }
        #[inline(always)]
        fn floor(self) -> $t {
            $t::floor(self)
        }
        #[inline(always)]
        fn round_even(self) -> $t {
            self.round_ties_even()
        }
        #[inline(always)]
        fn trunc(self) -> $t {
            $t::trunc(self)
        }
        #[inline(always)]
        fn sqrt(self) -> $t {
            $t::sqrt(self)
        }
        #[inline(always)]
        fn copysign(self, b: $t) -> $t {
            $t::copysign(self, b)
        }
        #[inline(always)]
        fn is_nan(self) -> bool {
            $t::is_nan(self)
        }
        #[inline(always)]
        fn is_sign_negative(self) -> bool {
            $t::is_sign_negative(self)
        }
        #[inline(always)]
        fn mul_add<S: Isa>(self, a: $t, b: $t) -> $t {
            if S::FMA { $t::mul_add(self, a, b) } else { self * a + b }
        }
        shared!($t, via libm f64: lgamma);
        shared!($t, via special f64: digamma i0 i0e i1 i1e ndtri log_ndtr);
        shared!($t, two via special f64: polygamma zeta);
        shared!($t, two via gamma f64: igamma igammac);
        #[inline(always)]
        fn next_after(self, b: $t) -> $t {
            // Bits grow with the magnitude.
            let (bits, away) = (self.to_bits(), (b > self) == (self > 0.0));
            let y = $t::from_bits(if away { bits.wrapping_add(1) } else { bits.wrapping_sub(1) });
            let y = if self == 0.0 { $t::from_bits(1).copysign(b) } else { y };
            let y = if self == b { b } else { y };
            if self.is_nan() | b.is_nan() { self + b } else { y }
        }
    };
    ($t:ident, via $m:ident f64: $($f:ident)*) => {$(
        fn $f(self) -> $t { $m::$f(self as f64) as $t }
    )*};
    ($t:ident, two via $m:ident f64: $($f:ident)*) => {$(
        fn $f(self, b: $t) -> $t { $m::$f(self as f64, b as f64) as $t }
    )*};
}

/// Functions of f64 that are calls.
macro_rules! calls_f64 {
    ($($f:ident $call:path;)*) => {$(
        fn $f<S: Isa>(self) -> f64 { $call(self) }
    )*};
}

/// Functions of a module that are vectorised.
macro_rules! vectorised {
    ($t:ident, $m:ident: $($f:ident)*) => {$(
        #[inline(always)]
        fn $f<S: Isa>(self) -> $t { $m::$f::<S>(self) }
    )*};
}

impl Real for f32 {
    shared!(f32);
    vectorised!(f32, elementary: exp exp_neg exp2 expm1 ln log2 log10 ln_1p sin cos tan sinh cosh tanh erf erfc sigmoid silu gelu gelu_tanh);
    vectorised!(f32, inverse: asin acos atan asinh acosh atanh erfinv);
    #[inline(always)]
    fn atan2<S: Isa>(self, b: f32) -> f32 {
        inverse::atan2::<S>(self, b)
    }
    #[inline(always)]
    fn hypot(self, b: f32) -> f32 {
        inverse::hypot(self, b)
    }
    #[inline(always)]
    fn fmod<S: Isa>(self, b: f32) -> f32 {
        // In f64 the quotient's nearest whole number n, of 28 bits, times b's 24 is exact, and so is what is left, which may be
        // half of b too low.
        let (x, y) = (self as f64, b as f64);
        let n = (x / y + elementary::ROUND64) - elementary::ROUND64;
        let r = (x - n * y) as f32;
        let r = if (r != 0.0) & ((r < 0.0) != (self < 0.0)) { r + b.abs().copysign(self) } else { r };
        (if b.abs() == f32::INFINITY { self } else { r }).copysign(self)
    }
    #[inline(always)]
    fn is_far(self, b: f32) -> bool {
        // Of a finite quotient.
        let near = self.abs() < b.abs() * 268_435_456.0;
        !near
    }
    #[inline(always)]
    fn pow<S: Isa>(self, b: f32) -> f32 {
        elementary::pow::<S>(self, b)
    }
}

impl Real for f64 {
    shared!(f64);
    vectorised!(f64, double: exp ln sin cos tanh sigmoid silu gelu_tanh);
    calls_f64! {
        exp2 f64::exp2;
        expm1 f64::exp_m1;
        log2 f64::log2;
        log10 f64::log10;
        ln_1p f64::ln_1p;
        tan f64::tan;
        asin f64::asin;
        acos f64::acos;
        atan f64::atan;
        sinh f64::sinh;
        cosh f64::cosh;
        asinh libm::asinh;
        acosh special::acosh;
        atanh libm::atanh;
        erf libm::erf;
        erfc libm::erfc;
        erfinv special::erfinv;
    }
    fn atan2<S: Isa>(self, b: f64) -> f64 {
        libm::atan2(self, b)
    }
    fn hypot(self, b: f64) -> f64 {
        libm::hypot(self, b)
    }
    #[inline(always)]
    fn fmod<S: Isa>(self, b: f64) -> f64 {
        if !S::FMA {
            return self % b;
        }
        // The cut quotient, which has 51 bits, is at most one too large, and what is left is exact in a fused operation.
        let r = (-(self / b).trunc()).mul_add(b, self);
        let r = if (r != 0.0) & ((r < 0.0) != (self < 0.0)) { r + b.abs().copysign(self) } else { r };
        (if b.abs() == f64::INFINITY { self } else { r }).copysign(self)
    }
    #[inline(always)]
    fn is_far(self, b: f64) -> bool {
        let near = self.abs() < b.abs() * 2_251_799_813_685_248.0;
        !near
    }
    fn gelu<S: Isa>(self) -> f64 {
        // Φ by erfc: no cancellation for negative x. At -∞ the product 0 · ∞ must not become NaN … as it does in PyTorch.
        0.5 * self * libm::erfc(-self * std::f64::consts::FRAC_1_SQRT_2)
    }
    fn pow<S: Isa>(self, b: f64) -> f64 {
        self.powf(b)
    }
}
