//! Floating point arithmetic for the scalar table, over f32 and f64.

use super::isa::Isa;
use super::{double, elementary, gamma, special};
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
    fn tan(self) -> Self;
    /// Arc sine.
    fn asin(self) -> Self;
    /// Arc cosine.
    fn acos(self) -> Self;
    /// Arc tangent.
    fn atan(self) -> Self;
    /// Hyperbolic sine.
    fn sinh(self) -> Self;
    /// Hyperbolic cosine.
    fn cosh(self) -> Self;
    /// Inverse hyperbolic sine.
    fn asinh(self) -> Self;
    /// Inverse hyperbolic cosine.
    fn acosh(self) -> Self;
    /// Inverse hyperbolic tangent.
    fn atanh(self) -> Self;
    /// Inverse error function.
    fn erfinv(self) -> Self;
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
    fn atan2(self, b: Self) -> Self;
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

    /// C's `fmod`.
    #[inline(always)]
    fn fmod(self, b: Self) -> Self {
        self % b
    }
    /// Python's modulo.
    #[inline(always)]
    fn remainder(self, b: Self) -> Self {
        let r = self % b;
        if (r != Self::ZERO) & ((b < Self::ZERO) != (r < Self::ZERO)) { r + b } else { r }
    }
    /// PyTorch's `div_floor_floating`: the exact quotient's floor wherever `fmod` shows it, not that of the rounded quotient.
    #[inline(always)]
    fn floor_div(self, b: Self) -> Self {
        if b == Self::ZERO {
            return self / b;
        }
        let r = self % b;
        let mut q = (self - r) / b;
        if (r != Self::ZERO) & ((b < Self::ZERO) != (r < Self::ZERO)) {
            q = q - Self::ONE;
        }
        if q == Self::ZERO {
            return Self::ZERO.copysign(self / b);
        }
        let f = q.floor();
        if q - f > Self::of(0.5) { f + Self::ONE } else { f }
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
        shared!($t, via std f64: tan asin acos atan sinh cosh);
        shared!($t, via libm f64: asinh acosh atanh lgamma);
        shared!($t, via special f64: erfinv digamma i0 i0e i1 i1e ndtri log_ndtr);
        shared!($t, two via libm f64: atan2 hypot);
        shared!($t, two via special f64: polygamma zeta);
        shared!($t, two via gamma f64: igamma igammac);
    };
    ($t:ident, via std f64: $($f:ident)*) => {$(
        fn $f(self) -> $t { $t::$f(self) }
    )*};
    ($t:ident, via $m:ident f64: $($f:ident)*) => {$(
        fn $f(self) -> $t { $m::$f(self as f64) as $t }
    )*};
    ($t:ident, two via $m:ident f64: $($f:ident)*) => {$(
        fn $f(self, b: $t) -> $t { $m::$f(self as f64, b as f64) as $t }
    )*};
}

macro_rules! elementary_f64 {
    ($($f:ident)*) => {$(
        #[inline(always)]
        fn $f<S: Isa>(self) -> f64 { double::$f::<S>(self) }
    )*};
}

macro_rules! elementary_f32 {
    ($($f:ident)*) => {$(
        #[inline(always)]
        fn $f<S: Isa>(self) -> f32 { elementary::$f::<S>(self) }
    )*};
}

impl Real for f32 {
    shared!(f32);
    elementary_f32!(exp exp_neg exp2 expm1 ln log2 log10 ln_1p sin cos tanh erf erfc sigmoid silu gelu gelu_tanh);
    #[inline(always)]
    fn pow<S: Isa>(self, b: f32) -> f32 {
        elementary::pow::<S>(self, b)
    }
    fn next_after(self, b: f32) -> f32 {
        libm::nextafterf(self, b)
    }
}

impl Real for f64 {
    shared!(f64);
    elementary_f64!(exp ln sin cos tanh sigmoid silu gelu_tanh);
    fn exp2<S: Isa>(self) -> f64 {
        f64::exp2(self)
    }
    fn expm1<S: Isa>(self) -> f64 {
        f64::exp_m1(self)
    }
    fn log2<S: Isa>(self) -> f64 {
        f64::log2(self)
    }
    fn log10<S: Isa>(self) -> f64 {
        f64::log10(self)
    }
    fn ln_1p<S: Isa>(self) -> f64 {
        f64::ln_1p(self)
    }
    fn erf<S: Isa>(self) -> f64 {
        libm::erf(self)
    }
    fn erfc<S: Isa>(self) -> f64 {
        libm::erfc(self)
    }
    fn gelu<S: Isa>(self) -> f64 {
        // Φ by erfc: no cancellation for negative x. At -∞ the product 0 · ∞ must not become NaN … as it does in PyTorch.
        0.5 * self * libm::erfc(-self * std::f64::consts::FRAC_1_SQRT_2)
    }
    fn pow<S: Isa>(self, b: f64) -> f64 {
        self.powf(b)
    }
    fn next_after(self, b: f64) -> f64 {
        libm::nextafter(self, b)
    }
}
