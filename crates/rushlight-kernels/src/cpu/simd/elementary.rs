//! Elementary functions of f32: branch-free, so that the compiler vectorises them; the tests at the end state the error bounds.
//!
//! exp, exp2 and ln work in f32. The others, in which f32 would need pairs of numbers to stay within an ULP or two, work in f64
//! with polynomials of about 34 bits: half as many lanes, but no cancellation to fight, and results that are nearly always the
//! correctly rounded ones. Polynomials are near-minimax fits made with 40 digits.

use super::isa::Isa;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI, LN_2, LOG2_E, LOG10_2, LOG10_E};

#[inline(always)]
fn fma<S: Isa>(a: f32, b: f32, c: f32) -> f32 {
    if S::FMA { a.mul_add(b, c) } else { a * b + c }
}

#[inline(always)]
pub(super) fn fma64<S: Isa>(a: f64, b: f64, c: f64) -> f64 {
    if S::FMA { a.mul_add(b, c) } else { a * b + c }
}

/// The polynomial with coefficients `c`, lowest first.
#[inline(always)]
fn poly<S: Isa, const N: usize>(x: f32, c: [f32; N]) -> f32 {
    let mut y = c[N - 1];
    for k in (0..N - 1).rev() {
        y = fma::<S>(y, x, c[k]);
    }
    y
}

#[inline(always)]
pub(super) fn poly64<S: Isa, const N: usize>(x: f64, c: [f64; N]) -> f64 {
    let mut y = c[N - 1];
    for k in (0..N - 1).rev() {
        y = fma64::<S>(y, x, c[k]);
    }
    y
}

/// Adding and subtracting 1.5 · 2^23 (2^52) rounds to a whole number, which then stands in the low bits of the sum.
const ROUND: f32 = 12_582_912.0;
pub(super) const ROUND64: f64 = 6_755_399_441_055_744.0;

/// `p 2^n` for the n in the low bits of `m`, in two steps, so that subnormal results and those next to infinity come out right.
#[inline(always)]
fn scale(p: f32, m: f32) -> f32 {
    let n = (m.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let half = n >> 1;
    let power = |n: i32| f32::from_bits((n.wrapping_add(127) << 23) as u32);
    p * power(half) * power(n.wrapping_sub(half))
}

/// `x` within bounds; NaN stays.
#[inline(always)]
fn clamp(x: f32, low: f32, high: f32) -> f32 {
    let x = if x > high { high } else { x };
    if x < low { low } else { x }
}

/// `(e^r, n)` with `x = n ln 2 + r`, n in the low bits.
#[inline(always)]
fn exp_parts32<S: Isa>(x: f32) -> (f32, f32) {
    let m = fma::<S>(x, std::f32::consts::LOG2_E, ROUND);
    let n = m - ROUND;
    // ln 2 in two parts; n times the first is exact.
    let r = fma::<S>(n, 2.121_944_4e-4, fma::<S>(n, -0.693_359_4, x));
    let p = poly::<S, 6>(r, [0.5, 0.166_666_65, 4.166_579_6e-2, 8.333_452e-3, 1.398_2e-3, 1.987_569_1e-4]);
    (fma::<S>(p, r * r, r) + 1.0, m)
}

#[inline(always)]
pub(super) fn exp<S: Isa>(x: f32) -> f32 {
    // Beyond these bounds: infinity and zero.
    let (p, m) = exp_parts32::<S>(clamp(x, -104.5, 90.0));
    scale(p, m)
}

/// [`exp`] for `x < 88`, where the power of two is one factor instead of two: with x from -87.3 down there is no normal result, and zero is given.
#[inline(always)]
pub(super) fn exp_neg<S: Isa>(x: f32) -> f32 {
    let m = fma::<S>(x, std::f32::consts::LOG2_E, ROUND);
    let n = m - ROUND;
    let r = fma::<S>(n, 2.121_944_4e-4, fma::<S>(n, -0.693_359_4, x));
    let p = poly::<S, 6>(r, [0.5, 0.166_666_65, 4.166_579_6e-2, 8.333_452e-3, 1.398_2e-3, 1.987_569_1e-4]);
    // The shift moves n, which stands in m's low bits, to the exponent, and the rest out.
    let power = f32::from_bits((m.to_bits() << 23).wrapping_add(1f32.to_bits()));
    let y = (fma::<S>(p, r * r, r) + 1.0) * power;
    if x < -87.336_54 { 0.0 } else { y }
}

#[inline(always)]
pub(super) fn exp2<S: Isa>(x: f32) -> f32 {
    let x = clamp(x, -151.0, 129.0);
    let m = x + ROUND;
    let r = x - (m - ROUND);
    let p = poly::<S, 6>(r, [0.693_147_2, 0.240_226_51, 0.055_503_57, 0.009_618_083, 0.001_339_088_6, 0.000_154_531_83]);
    scale(fma::<S>(p, r, 1.0), m)
}

#[inline(always)]
pub(super) fn ln<S: Isa>(x: f32) -> f32 {
    // Subnormals are scaled into the normal range.
    let small = x < f32::MIN_POSITIVE;
    let (y, bias) = if small { (x * 8_388_608.0, -23.0) } else { (x, 0.0) };
    // y = 2^e m with m in [√½, √2)
    let bits = y.to_bits() as i32;
    let e = bits.wrapping_sub(0x3f35_04f3) >> 23;
    let m = f32::from_bits(bits.wrapping_sub(e << 23) as u32);
    let e = e as f32 + bias;
    let f = m - 1.0;
    let z = f * f;
    // Cephes' logf
    let p = poly::<S, 9>(
        f,
        [
            3.333_333e-1,
            -2.499_999_4e-1,
            2.000_071_5e-1,
            -1.666_805_8e-1,
            1.424_932_3e-1,
            -1.242_014_1e-1,
            1.167_699_9e-1,
            -1.151_461e-1,
            7.037_683_6e-2,
        ],
    );
    let y = fma::<S>(e, -2.121_944_4e-4, p * f * z);
    let y = fma::<S>(-0.5, z, y);
    let y = fma::<S>(e, 0.693_359_4, f + y);
    edges_of_log(x, y)
}

/// A logarithm's values at zero, below it, and at infinity.
#[inline(always)]
fn edges_of_log(x: f32, y: f32) -> f32 {
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    let y = if x == f32::INFINITY { x } else { y };
    if x >= 0.0 { y } else { f32::NAN }
}

/// `(e^r - 1, n)` with `x = n ln 2 + r`, n in the low bits.
#[inline(always)]
fn exp_parts<S: Isa>(x: f64) -> (f64, f64) {
    let m = fma64::<S>(x, LOG2_E, ROUND64);
    let r = fma64::<S>(m - ROUND64, -LN_2, x);
    let q = poly64::<S, 7>(
        r,
        [
            1.0,
            0.500_000_004_714_605_74,
            0.166_666_667_189_286_35,
            0.041_666_352_771_112_211,
            0.008_333_298_469_800_589_4,
            0.001_394_111_889_583_700_1,
            0.000_198_992_855_758_962_82,
        ],
    );
    (q * r, m)
}

/// 2^n for the n in the low bits of `m`.
#[inline(always)]
pub(super) fn power64(m: f64) -> f64 {
    f64::from_bits((m.to_bits() << 52).wrapping_add(1f64.to_bits()))
}

/// e^x to about 32 bits; infinity from 700 on, next to nothing below -700.
#[inline(always)]
fn exp64<S: Isa>(x: f64) -> f64 {
    let c = if x < -700.0 { -700.0 } else { x };
    let c = if c > 700.0 { 700.0 } else { c };
    let (p, m) = exp_parts::<S>(c);
    let s = power64(m);
    if x > 700.0 { f64::INFINITY } else { fma64::<S>(s, p, s) }
}

#[inline(always)]
pub(super) fn expm1<S: Isa>(x: f32) -> f32 {
    let (p, m) = exp_parts::<S>(clamp(x, -40.0, 90.0) as f64);
    let s = power64(m);
    let y = fma64::<S>(s, p, s - 1.0) as f32;
    // The sign of zero is lost above.
    if x == 0.0 { x } else { y }
}

/// `(e, log_b m)` with `x = 2^e m` for positive x; `unit` is 2 / ln b.
#[inline(always)]
pub(super) fn log_parts<S: Isa>(x: f64, unit: f64) -> (f64, f64) {
    const SQRT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
    let t = x.to_bits().wrapping_add(1f64.to_bits() - SQRT_HALF);
    let m = f64::from_bits((t & 0x000f_ffff_ffff_ffff) + SQRT_HALF);
    // The exponent becomes a number by way of the mantissa of 2^52.
    let e = f64::from_bits((t >> 52) | 0x4330_0000_0000_0000) - (4_503_599_627_370_496.0 + 1023.0);
    // log m = 2 artanh((m - 1) / (m + 1))
    let s = (m - 1.0) / (m + 1.0);
    let q = poly64::<S, 5>(
        s * s,
        [
            1.000_000_000_004_184,
            0.333_333_326_231_669_3,
            0.200_001_924_539_453_32,
            0.142_675_180_434_460_98,
            0.118_083_247_780_081_05,
        ],
    );
    (e, unit * s * q)
}

#[inline(always)]
pub(super) fn log2<S: Isa>(x: f32) -> f32 {
    let (e, y) = log_parts::<S>(x as f64, 2.0 * LOG2_E);
    edges_of_log(x, (e + y) as f32)
}

#[inline(always)]
pub(super) fn log10<S: Isa>(x: f32) -> f32 {
    let (e, y) = log_parts::<S>(x as f64, 2.0 * LOG10_E);
    edges_of_log(x, fma64::<S>(e, LOG10_2, y) as f32)
}

#[inline(always)]
pub(super) fn ln_1p<S: Isa>(x: f32) -> f32 {
    let (e, y) = log_parts::<S>(1.0 + x as f64, 2.0);
    let y = edges_of_log(x + 1.0, fma64::<S>(e, LN_2, y) as f32);
    // In 1 + x, small x would lose bits; here x²/2 is below half an ULP of the next term.
    let tiny = fma::<S>(-0.5 * x, x, x);
    if x.abs() < 1e-5 { tiny } else { y }
}

#[inline(always)]
pub(super) fn tanh<S: Isa>(x: f32) -> f32 {
    // 1 - 2 / (e^2x + 1) without its cancellation.
    let (p, m) = exp_parts::<S>(2.0 * clamp(x, -10.0, 10.0) as f64);
    let s = power64(m);
    let t = fma64::<S>(s, p, s - 1.0);
    let y = (t / (t + 2.0)) as f32;
    if x == 0.0 { x } else { y }
}

#[inline(always)]
pub(super) fn sinh<S: Isa>(x: f32) -> f32 {
    let a = x.abs() as f64;
    let (p, m) = exp_parts::<S>(if a > 100.0 { 100.0 } else { a });
    let s = power64(m);
    // With e = e^a - 1, of small a too: (e^a - e^-a) / 2 = (e + e / (e + 1)) / 2.
    let e = fma64::<S>(s, p, s - 1.0);
    (0.5 * (e + e / (e + 1.0))).copysign(x as f64) as f32
}

#[inline(always)]
pub(super) fn cosh<S: Isa>(x: f32) -> f32 {
    let a = x.abs() as f64;
    let (p, m) = exp_parts::<S>(if a > 100.0 { 100.0 } else { a });
    let s = power64(m);
    let e = fma64::<S>(s, p, s);
    (0.5 * (e + 1.0 / e)) as f32
}

/// `unit sigmoid(x)`: with e^-|x|, which cannot overflow.
#[inline(always)]
fn logistic<S: Isa>(x: f32, unit: f32) -> f32 {
    // At 110 and beyond nothing is left, even of x times it.
    let a = -x.abs();
    let a = if a < -110.0 { -110.0 } else { a };
    let unit = if unit < -110.0 { -110.0 } else { unit };
    let (e, m) = exp_parts32::<S>(a);
    // For negative x the factor comes before the scaling, so that a subnormal e^x costs it no digits.
    let low = scale(unit * e, m);
    (if x < 0.0 { low } else { unit }) / (1.0 + scale(e, m))
}

#[inline(always)]
pub(super) fn sigmoid<S: Isa>(x: f32) -> f32 {
    logistic::<S>(x, 1.0)
}

#[inline(always)]
pub(super) fn silu<S: Isa>(x: f32) -> f32 {
    // -∞ is infinity times 0.
    let y = logistic::<S>(x, x);
    if x == f32::NEG_INFINITY { f32::NAN } else { y }
}

#[inline(always)]
pub(super) fn gelu_tanh<S: Isa>(x: f32) -> f32 {
    let x = x as f64;
    // (1 + tanh u) / 2 = 1 / (1 + e^-2u)
    let u = fma64::<S>(0.044715 * x * x, x, x);
    (x / (1.0 + exp64::<S>(-1.595_769_121_605_730_7 * u))) as f32
}

/// `erfc(z)` for `z >= 0`, to about 33 bits; zero above 10.6, where it is below 1e-50. `zz` is z².
#[inline(always)]
fn erfc_positive<S: Isa>(z: f64, zz: f64) -> f64 {
    // (1 + 2z) e^(z²) erfc(z) is smooth in (z - 3) / (z + 3) (Shepherd and Laframboise, 1981). One division serves both.
    let (a, b) = (z + 3.0, fma64::<S>(2.0, z, 1.0));
    let d = 1.0 / (a * b);
    let t = (z - 3.0) * b * d;
    // In two halves: the compiler does not unroll longer loops early enough to vectorise around them, and the halves overlap.
    let low = poly64::<S, 7>(
        t,
        [
            1.253_008_058_239_070_9,
            -0.135_621_106_949_786_41,
            -0.047_562_290_562_526_126,
            0.129_645_204_476_883_12,
            -0.119_273_717_291_264_27,
            0.068_307_295_812_407_846,
            -0.023_770_635_953_708_996,
        ],
    );
    let high = poly64::<S, 6>(
        t,
        [
            0.002_534_111_512_637_335_7,
            0.001_893_280_594_138_995_4,
            -0.000_791_794_165_741_702_55,
            -0.000_126_322_348_604_427_39,
            0.000_128_556_401_335_488_45,
            3.389_440_302_942_412_8e-5,
        ],
    );
    let t2 = t * t;
    let q = fma64::<S>(high, t2 * t2 * t2 * t, low);
    let y = q * a * d * exp64::<S>(-zz);
    if z > 10.6 { 0.0 } else { y }
}

#[inline(always)]
pub(super) fn erfc<S: Isa>(x: f32) -> f32 {
    let z = x.abs() as f64;
    let y = erfc_positive::<S>(z, z * z);
    (if x < 0.0 { 2.0 - y } else { y }) as f32
}

#[inline(always)]
pub(super) fn erf<S: Isa>(x: f32) -> f32 {
    let z = x.abs() as f64;
    let zz = z * z;
    let far = 1.0 - erfc_positive::<S>(z, zz);
    let near = z * poly64::<S, 9>(
        zz,
        [
            1.128_379_167_094_676_7,
            -0.376_126_388_896_353_07,
            0.112_837_913_085_045_81,
            -0.026_866_133_235_095_592,
            0.005_223_783_477_189_248_1,
            -0.000_854_263_799_708_722_96,
            0.000_119_565_625_682_073_3,
            -1.390_934_002_187_459_9e-5,
            1.058_938_064_107_501_9e-6,
        ],
    );
    ((if z < 1.0 { near } else { far }) as f32).copysign(x)
}

#[inline(always)]
pub(super) fn gelu<S: Isa>(x: f32) -> f32 {
    // x Φ(x), Φ(x) = erfc(-x / √2) / 2; the square of x / √2 is exact.
    let x64 = x as f64;
    let y = 0.5 * erfc_positive::<S>(x64.abs() * FRAC_1_SQRT_2, 0.5 * x64 * x64);
    (x64 * if x < 0.0 { y } else { 1.0 - y }) as f32
}

/// `a^b` by logarithm and exponential in f64, whose 34 bits leave enough after multiplication by an exponent.
#[inline(always)]
pub(super) fn pow<S: Isa>(a: f32, b: f32) -> f32 {
    let x = a.abs();
    let (e, l) = log_parts::<S>(x as f64, 2.0 * LOG2_E);
    let t = b as f64 * (e + l);
    let t = if t > 160.0 { 160.0 } else { t };
    let t = if t < -160.0 { -160.0 } else { t };
    let m = t + ROUND64;
    let (p, _) = exp_parts::<S>((t - (m - ROUND64)) * LN_2);
    let s = power64(m);
    let y = fma64::<S>(s, p, s) as f32;
    // Zero and infinity, whose logarithms are not what the bits say.
    let edge = if (x == 0.0) == (b < 0.0) { f32::INFINITY } else { 0.0 };
    let y = if (x == 0.0) | (x == f32::INFINITY) { edge } else { y };
    let y = if x == 1.0 { 1.0 } else { y };
    // An odd exponent keeps the sign; one that is not whole has no result for a negative base.
    let half = 0.5 * b;
    let whole = (b == b.trunc()) | (b.abs() == f32::INFINITY);
    let odd = whole & (half != half.trunc());
    let y = if a.is_sign_negative() & odd { -y } else { y };
    let y = if (a < 0.0) & !whole & (x != f32::INFINITY) { f32::NAN } else { y };
    let y = if a.is_nan() | b.is_nan() { f32::NAN } else { y };
    if (b == 0.0) | (a == 1.0) { 1.0 } else { y }
}

/// From here on the reduction of [`sin`] and [`cos`] is not exact.
pub(super) const TURN_LIMIT: f32 = 4_194_304.0;

/// The sine and the cosine of what is left of `x` after n quarter turns, and n in the low bits, for `|x| < TURN_LIMIT`.
#[inline(always)]
fn turn<S: Isa>(x: f32) -> (f64, f64, u64) {
    // π/2 in three parts of 31 bits or all the rest: n has 22 bits, so the first two products are exact.
    const P: [f64; 3] = [1.570_796_326_734_125_6, 6.077_100_503_593_46e-11, 2.912_732_056_093_356e-20];
    let x = x as f64;
    let m = fma64::<S>(x, FRAC_2_PI, ROUND64);
    let n = m - ROUND64;
    let r = fma64::<S>(n, -P[2], fma64::<S>(n, -P[1], fma64::<S>(n, -P[0], x)));
    let rr = r * r;
    let sin = r * poly64::<S, 5>(
        rr,
        [
            0.999_999_999_995_629_7,
            -0.166_666_666_313_102_7,
            0.008_333_328_755_171_320_9,
            -0.000_198_391_939_644_854_98,
            2.717_269_367_045_458e-6,
        ],
    );
    let cos = poly64::<S, 6>(
        rr,
        [
            0.999_999_999_999_943_74,
            -0.499_999_999_993_446_1,
            0.041_666_666_542_928_151,
            -0.001_388_888_034_283_847_6,
            2.479_891_815_008_481e-5,
            -2.717_266_656_278_309_6e-7,
        ],
    );
    (sin, cos, m.to_bits())
}

/// The sine of `x + quarter π/2`, for `|x| < TURN_LIMIT`.
#[inline(always)]
fn sine<S: Isa>(x: f32, quarter: u64) -> f64 {
    let (sin, cos, n) = turn::<S>(x);
    let q = n.wrapping_add(quarter);
    let y = if q & 1 == 0 { sin } else { cos };
    f64::from_bits(y.to_bits() ^ (q & 2) << 62)
}

#[inline(always)]
pub(super) fn sin<S: Isa>(x: f32) -> f32 {
    let y = sine::<S>(x, 0) as f32;
    if x == 0.0 { x } else { y }
}

#[inline(always)]
pub(super) fn cos<S: Isa>(x: f32) -> f32 {
    sine::<S>(x, 1) as f32
}

#[inline(always)]
pub(super) fn tan<S: Isa>(x: f32) -> f32 {
    let (sin, cos, n) = turn::<S>(x);
    let even = n & 1 == 0;
    let y = (if even { sin } else { -cos } / if even { cos } else { sin }) as f32;
    if x == 0.0 { x } else { y }
}

#[cfg(test)]
mod tests;
