//! Elementary functions of f64: branch-free, so that the compiler vectorises them. The test below states the error bounds.
//!
//! The methods are fdlibm's; where it branches, both sides are computed and one is selected.

use super::elementary::{ROUND64, fma64, poly64, power64};
use super::isa::Isa;
use std::f64::consts::LOG2_E;

/// ln 2 in two parts; products of the first with whole numbers below 2^20 are exact.
const LN2: [f64; 2] = [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10];

/// `(e^r - 1, its rounding error, n)` with `x = n ln 2 + r`, n in the low bits.
#[inline(always)]
fn exp_parts<S: Isa>(x: f64) -> (f64, f64, f64) {
    let m = fma64::<S>(x, LOG2_E, ROUND64);
    let n = m - ROUND64;
    let x = fma64::<S>(n, -LN2[0], x);
    let r = fma64::<S>(n, -LN2[1], x);
    let rest = fma64::<S>(n, -LN2[1], x - r);
    // Two halves, which overlap; a longer loop would not be unrolled before the vectoriser looks at it.
    let low = poly64::<S, 5>(
        r,
        [0.5, 0.166_666_666_666_666_85, 4.166_666_666_666_671e-2, 8.333_333_333_316_192e-3, 1.388_888_888_886_346_2e-3],
    );
    let high = poly64::<S, 6>(
        r,
        [
            1.984_126_989_823_281_5e-4,
            2.480_158_736_417_848e-5,
            2.755_723_318_613_83e-6,
            2.755_724_122_873_017e-7,
            2.511_257_519_922_482_4e-8,
            2.092_459_606_064_794_6e-9,
        ],
    );
    let (r2, r5) = (r * r, r * r * r * (r * r));
    let q = fma64::<S>(high, r5, low);
    let p = fma64::<S>(q, r2, r);
    (p, fma64::<S>(q, r2, r - p) + rest, m)
}

/// `p 2^n` for the n in the low bits of `m`, in two steps, so that subnormal results and those next to infinity come out right.
#[inline(always)]
fn scale(p: f64, m: f64) -> f64 {
    let n = (m.to_bits() as i64).wrapping_sub(ROUND64.to_bits() as i64) as i32;
    let half = n >> 1;
    let power = |n: i32| f64::from_bits(((n + 1023) as u64) << 52);
    p * power(half) * power(n - half)
}

/// `x` within bounds; NaN stays.
#[inline(always)]
fn clamp(x: f64, low: f64, high: f64) -> f64 {
    let x = if x > high { high } else { x };
    if x < low { low } else { x }
}

#[inline(always)]
pub(super) fn exp<S: Isa>(x: f64) -> f64 {
    // Beyond these bounds: infinity and zero.
    let (p, _, m) = exp_parts::<S>(clamp(x, -746.0, 710.0));
    scale(1.0 + p, m)
}

#[inline(always)]
pub(super) fn ln<S: Isa>(x: f64) -> f64 {
    const SQRT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
    // Subnormals are scaled into the normal range.
    let small = x < f64::MIN_POSITIVE;
    let (y, bias) = if small { (x * 18_014_398_509_481_984.0, 54.0) } else { (x, 0.0) };
    // y = 2^e m with m in [√½, √2); the exponent becomes a number by way of the mantissa of 2^52.
    let t = y.to_bits().wrapping_add(1f64.to_bits() - SQRT_HALF);
    let m = f64::from_bits((t & 0x000f_ffff_ffff_ffff) + SQRT_HALF);
    let e = f64::from_bits((t >> 52) | 0x4330_0000_0000_0000) - (4_503_599_627_370_496.0 + 1023.0) - bias;
    let f = m - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let r = z * poly64::<S, 7>(
        z,
        [
            6.666_666_666_666_735e-1,
            3.999_999_999_940_942e-1,
            2.857_142_874_366_239e-1,
            2.222_219_843_214_978_4e-1,
            1.818_357_216_161_805e-1,
            1.531_383_769_920_937_3e-1,
            1.479_819_860_511_658_6e-1,
        ],
    );
    let half = 0.5 * f * f;
    let y = fma64::<S>(e, LN2[0], f - (half - fma64::<S>(s, half + r, e * LN2[1])));
    let y = if x == 0.0 { f64::NEG_INFINITY } else { y };
    let y = if x == f64::INFINITY { x } else { y };
    if x >= 0.0 { y } else { f64::NAN }
}

#[inline(always)]
pub(super) fn tanh<S: Isa>(x: f64) -> f64 {
    // 1 - 2 / (e^2|x| + 1) without its cancellation.
    let a = x.abs();
    let (p, rest, m) = exp_parts::<S>(2.0 * if a > 22.0 { 22.0 } else { a });
    let s = power64(m);
    let t = fma64::<S>(s, rest, fma64::<S>(s, p, s - 1.0));
    (t / (t + 2.0)).copysign(x)
}

/// `unit sigmoid(x)`: with e^-|x|, which cannot overflow.
#[inline(always)]
fn logistic<S: Isa>(x: f64, unit: f64) -> f64 {
    // At 760 and beyond nothing is left, even of x times it.
    let a = -x.abs();
    let (p, _, m) = exp_parts::<S>(if a < -760.0 { -760.0 } else { a });
    let unit = if unit < -760.0 { -760.0 } else { unit };
    let e = 1.0 + p;
    // For negative x the factor comes before the scaling, so that a subnormal e^x costs it no digits.
    let low = scale(unit * e, m);
    (if x < 0.0 { low } else { unit }) / (1.0 + scale(e, m))
}

#[inline(always)]
pub(super) fn sigmoid<S: Isa>(x: f64) -> f64 {
    logistic::<S>(x, 1.0)
}

#[inline(always)]
pub(super) fn silu<S: Isa>(x: f64) -> f64 {
    // -∞ is infinity times 0.
    let y = logistic::<S>(x, x);
    if x == f64::NEG_INFINITY { f64::NAN } else { y }
}

/// `x (1 + tanh u) / 2 = x / (1 + exp(-2u))` with `u = √(2/π) (x + 0.044715 x³)`.
#[inline(always)]
pub(super) fn gelu_tanh<S: Isa>(x: f64) -> f64 {
    let u = 0.797_884_560_802_865_4 * (x + 0.044715 * x * x * x);
    x / (1.0 + exp::<S>(-2.0 * u))
}

/// From here on the reduction of [`sin`] and [`cos`] is not exact: 2^20 quarter turns.
pub(super) const TURN_LIMIT: f64 = 1_647_099.0;

/// The sine of `x + quarter π/2`, for `|x| < TURN_LIMIT`.
#[inline(always)]
fn sine<S: Isa>(x: f64, quarter: u64) -> f64 {
    // π/2 in two parts of 33 bits, whose products with n are exact, and the rest.
    const P: [f64; 3] = [1.570_796_326_734_125_6, 6.077_100_506_303_966e-11, 2.022_266_248_795_950_7e-21];
    let m = fma64::<S>(x, std::f64::consts::FRAC_2_PI, ROUND64);
    let n = m - ROUND64;
    let (a, b) = (x - n * P[0], n * P[1]);
    // a - b as the sum of two numbers (Knuth), whichever is larger.
    let r = a - b;
    let v = r - a;
    let rest = ((a - (r - v)) - (b + v)) - n * P[2];
    let y = r + rest;
    let tail = (r - y) + rest;

    let z = y * y;
    let s = poly64::<S, 5>(
        z,
        [
            8.333_333_333_322_49e-3,
            -1.984_126_982_985_795e-4,
            2.755_731_370_707_006_8e-6,
            -2.505_076_025_340_686_3e-8,
            1.589_690_995_211_55e-10,
        ],
    );
    let sin = y - ((z * (0.5 * tail - z * y * s) - tail) - z * y * -0.166_666_666_666_666_32);
    let c = poly64::<S, 6>(
        z,
        [
            4.166_666_666_666_66e-2,
            -1.388_888_888_887_411e-3,
            2.480_158_728_947_673e-5,
            -2.755_731_435_139_066_3e-7,
            2.087_572_321_298_175e-9,
            -1.135_964_755_778_819_5e-11,
        ],
    );
    let half = 0.5 * z;
    let w = 1.0 - half;
    let cos = w + (((1.0 - w) - half) + (z * z * c - y * tail));

    let q = m.to_bits().wrapping_add(quarter);
    let y = if q & 1 == 0 { sin } else { cos };
    f64::from_bits(y.to_bits() ^ (q & 2) << 62)
}

#[inline(always)]
pub(super) fn sin<S: Isa>(x: f64) -> f64 {
    let y = sine::<S>(x, 0);
    if x == 0.0 { x } else { y }
}

#[inline(always)]
pub(super) fn cos<S: Isa>(x: f64) -> f64 {
    sine::<S>(x, 1)
}

#[cfg(test)]
mod tests {
    use crate::cpu::simd;
    use crate::{DType, UnOp};

    /// Bit patterns at a stride that visits every exponent thousands of times, dense ranges, and specials.
    fn inputs() -> Vec<f64> {
        let mut all: Vec<f64> = (0..1u64 << 20).map(|k| f64::from_bits(k.wrapping_mul(0x0000_0fff_ffa5_1c37))).collect();
        all.extend((0..1u64 << 20).map(|k| -f64::from_bits(k.wrapping_mul(0x0000_0fff_ffa5_1c37))));
        all.extend((-400_000..400_000).map(|k| k as f64 * 1.000_123e-4));
        all.extend((-200_000..200_000).map(|k| k as f64 * 8.123_7));
        all.extend((-20_000..20_000).map(|k| k as f64 * std::f64::consts::FRAC_PI_2));
        for c in [
            0.0f64,
            1.0,
            0.707_106_781_186_547_5,
            std::f64::consts::SQRT_2,
            0.346_573_590_279_972_6,
            709.78,
            -708.39,
            -745.13,
            22.0,
        ] {
            all.extend((-1000..1000).map(|k| f64::from_bits(c.to_bits().wrapping_add_signed(k))));
        }
        all.extend([f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -0.0, f64::MAX, f64::MIN, 5e-324, -5e-324, f64::MIN_POSITIVE]);
        all
    }

    /// The largest distance from `reference` in units of its last place; zeros, infinities, NaN and signs must agree.
    fn worst(op: UnOp, reference: impl Fn(f64) -> f64) -> (f64, f64) {
        let x = inputs();
        let mut y = vec![0f64; x.len()];
        let kernel = simd::un(op, DType::F64).unwrap();
        // SAFETY: two buffers of one length.
        unsafe { kernel(x.as_ptr().cast(), x.as_ptr().cast(), x.as_ptr().cast(), y.as_mut_ptr().cast(), x.len()) }
        let mut worst = (0.0, 0.0);
        for (&x, &y) in x.iter().zip(&y) {
            let want = reference(x);
            if want.is_nan() || y.is_nan() {
                assert!(want.is_nan() && y.is_nan(), "{op:?}({x:e}) = {y:e}, want {want:e}");
                continue;
            }
            assert_eq!(y.is_sign_negative(), want.is_sign_negative(), "{op:?}({x:e}) = {y:e}, want {want:e}");
            let apart = (y.to_bits() as i64 - want.to_bits() as i64).unsigned_abs() as f64;
            if apart > worst.0 {
                worst = (apart, x);
            }
        }
        worst
    }

    #[test]
    fn error_bounds_in_ulp() {
        let sigmoid = |x: f64| if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) };
        // The references of the standard library are within 1 ULP themselves, those made of several operations within 2.
        let bounds: [(UnOp, f64, fn(f64) -> f64); 7] = [
            (UnOp::Exp, 1.0, f64::exp),
            (UnOp::Log, 1.0, f64::ln),
            (UnOp::Sin, 1.0, f64::sin),
            (UnOp::Cos, 1.0, f64::cos),
            (UnOp::Tanh, 3.0, f64::tanh),
            (UnOp::Sigmoid, 2.0, sigmoid),
            (UnOp::Silu, 4.0, |x| if x < -700.0 { x * (0.5 * x).exp() * (0.5 * x).exp() } else { x / (1.0 + (-x).exp()) }),
        ];
        let mut failed = vec![];
        for (op, bound, reference) in bounds {
            let (e, at) = worst(op, reference);
            println!("{op:?} {e} at {at:e}");
            if e > bound {
                failed.push(format!("{op:?}: {e} > {bound} at {at:e}"));
            }
        }
        assert!(failed.is_empty(), "{failed:?}");
    }
}
