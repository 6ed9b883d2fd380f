//! Inverse functions of f32, and what is made of them, by polynomials in f64 as in [`super::elementary`].

use super::elementary::{fma64, log_parts, poly64};
use super::isa::Isa;
use std::f64::consts::{FRAC_PI_2, LN_2, PI};

/// The polynomial of degree 11 with coefficients `low` and, from degree 6 on, `high`: in halves, which overlap.
#[inline(always)]
fn poly12<S: Isa>(x: f64, low: [f64; 6], high: [f64; 6]) -> f64 {
    let x2 = x * x;
    fma64::<S>(poly64::<S, 6>(x, high), x2 * x2 * x2, poly64::<S, 6>(x, low))
}

/// The arc tangent of `t` from 0 to 1.
#[inline(always)]
fn atan_parts<S: Isa>(t: f64) -> f64 {
    // atan(√z) / √z for z from 0 to 1
    let low = [
        0.999_999_999_929_303_7,
        -0.333_333_312_908_899_9,
        0.199_999_011_021_715_55,
        -0.142_838_132_557_431_54,
        0.110_919_229_636_833_02,
        -0.089_741_719_583_638_82,
    ];
    let high = [
        0.072_282_783_453_772_52,
        -0.053_956_680_571_371_72,
        0.033_826_218_952_786_875,
        -0.015_828_322_749_149_415,
        0.004_732_484_193_421_92,
        -0.000_663_395_457_110_478_7,
    ];
    t * poly12::<S>(t * t, low, high)
}

#[inline(always)]
pub(super) fn atan<S: Isa>(x: f32) -> f32 {
    let a = x.abs() as f64;
    let steep = a > 1.0;
    let y = atan_parts::<S>(if steep { 1.0 } else { a } / if steep { a } else { 1.0 });
    (if steep { FRAC_PI_2 - y } else { y }).copysign(x as f64) as f32
}

/// The angle of the point (x, y).
#[inline(always)]
pub(super) fn atan2<S: Isa>(y: f32, x: f32) -> f32 {
    let (up, along) = (y.abs() as f64, x.abs() as f64);
    let steep = up > along;
    let (n, d) = (if steep { along } else { up }, if steep { up } else { along });
    let t = n / d;
    // Angles at the origin and at infinity are those of axes and diagonals. NaN is neither.
    let t = if d == 0.0 { n } else { t };
    let t = if (n == f64::INFINITY) & (d == f64::INFINITY) { 1.0 } else { t };
    let p = atan_parts::<S>(t);
    let p = if steep { FRAC_PI_2 - p } else { p };
    let p = if x.is_sign_negative() { PI - p } else { p };
    p.copysign(y as f64) as f32
}

/// `√(a² + b²)`, where squares neither overflow nor vanish.
#[inline(always)]
pub(super) fn hypot(a: f32, b: f32) -> f32 {
    let (x, y) = (a as f64, b as f64);
    let r = (x * x + y * y).sqrt() as f32;
    if (a.abs() == f32::INFINITY) | (b.abs() == f32::INFINITY) { f32::INFINITY } else { r }
}

/// `(asin |x|, false)` for `|x| <= 1/2`, else `((π/2 - asin |x|) / 2, true)`; NaN beyond 1.
#[inline(always)]
fn asin_parts<S: Isa>(x: f32) -> (f64, bool) {
    let a = x.abs() as f64;
    let far = a > 0.5;
    // π/2 - asin a = 2 asin √((1 - a) / 2)
    let z = if far { 0.5 - 0.5 * a } else { a * a };
    let r = if far { z.sqrt() } else { a };
    // asin(√z) / √z for z from 0 to 1/4
    let q = poly64::<S, 8>(
        z,
        [
            0.999_999_999_986_353_7,
            0.166_666_673_641_864_47,
            0.074_999_419_087_195_47,
            0.044_661_139_308_668_96,
            0.030_102_506_899_661_49,
            0.024_650_862_660_604_088,
            0.007_401_007_239_075_379_5,
            0.034_748_424_808_083_9,
        ],
    );
    (r * q, far)
}

#[inline(always)]
pub(super) fn asin<S: Isa>(x: f32) -> f32 {
    let (p, far) = asin_parts::<S>(x);
    (if far { FRAC_PI_2 - 2.0 * p } else { p }).copysign(x as f64) as f32
}

#[inline(always)]
pub(super) fn acos<S: Isa>(x: f32) -> f32 {
    let (p, far) = asin_parts::<S>(x);
    let outer = if x < 0.0 { PI - 2.0 * p } else { 2.0 * p };
    (if far { outer } else { FRAC_PI_2 - p.copysign(x as f64) }) as f32
}

/// `ln(1 + y)` to 34 bits for `y` above 2^-11.
#[inline(always)]
fn ln_1p<S: Isa>(y: f64) -> f64 {
    let (e, l) = log_parts::<S>(1.0 + y, 2.0);
    fma64::<S>(e, LN_2, l)
}

/// Below this, two terms of a power series have 40 bits.
const SMALL: f64 = 1e-3;

#[inline(always)]
pub(super) fn asinh<S: Isa>(x: f32) -> f32 {
    let a = x.abs() as f64;
    let aa = a * a;
    let y = ln_1p::<S>(a + aa / (1.0 + (aa + 1.0).sqrt()));
    let y = if a < SMALL { a - a * aa * (1.0 / 6.0) } else { y };
    // Infinity and NaN stay.
    (if a < f64::INFINITY { y } else { a }).copysign(x as f64) as f32
}

#[inline(always)]
pub(super) fn acosh<S: Isa>(x: f32) -> f32 {
    let t = x as f64 - 1.0;
    let y = ln_1p::<S>(t + (t * (t + 2.0)).sqrt()) as f32;
    let y = if x == f32::INFINITY { x } else { y };
    let y = if x == 1.0 { 0.0 } else { y };
    if x >= 1.0 { y } else { f32::NAN }
}

#[inline(always)]
pub(super) fn atanh<S: Isa>(x: f32) -> f32 {
    let a = x.abs() as f64;
    // (1 + a) / (1 - a) = 1 + 2a / (1 - a)
    let y = 0.5 * ln_1p::<S>(2.0 * a / (1.0 - a));
    let y = if a < SMALL { a + a * a * a * (1.0 / 3.0) } else { y };
    let y = if a == 1.0 { f64::INFINITY } else { y };
    (if a <= 1.0 { y } else { f64::NAN }).copysign(x as f64) as f32
}

/// Inverse error function: erfinv(x) / x is smooth in w = -ln(1 - x²), and in √w where that is large.
#[inline(always)]
pub(super) fn erfinv<S: Isa>(x: f32) -> f32 {
    let a = x as f64;
    let (e, l) = log_parts::<S>((1.0 - a) * (1.0 + a), 2.0);
    let w = -fma64::<S>(e, LN_2, l);
    // For w from 0 to 5
    let near = poly12::<S>(
        w - 2.5,
        [
            1.501_409_351_748_176_4,
            0.246_640_276_748_584_24,
            -0.004_177_325_080_457_763,
            -0.001_252_707_957_355_770_2,
            0.000_218_264_125_215_522_6,
            -4.996_000_110_143_956e-6,
        ],
        [
            -3.426_266_209_734_268e-6,
            4.786_897_084_558_858e-7,
            1.650_364_404_121_373e-8,
            -1.086_176_127_159_443_4e-8,
            4.340_626_803_853_993e-10,
            1.234_657_711_450_257_3e-10,
        ],
    );
    // For w from 5 to 16.1, which is that of the number next to 1
    let far = poly12::<S>(
        w.sqrt() - 3.0,
        [
            2.832_976_798_893_597_4,
            1.001_675_256_888_114_2,
            0.009_445_514_738_318_879,
            -0.007_643_189_205_947_33,
            0.005_685_064_619_905_272,
            -0.003_564_202_766_522_68,
        ],
        [
            0.001_486_378_189_179_947_5,
            -0.000_129_527_595_811_465_91,
            -0.000_297_180_601_330_703_46,
            0.000_175_998_411_553_479_36,
            -1.735_148_706_628_478_6e-5,
            -9.762_247_373_218_849e-6,
        ],
    );
    let y = (a * if w < 5.0 { near } else { far }) as f32;
    let y = if x.abs() == 1.0 { x * f32::INFINITY } else { y };
    if x.abs() <= 1.0 { y } else { f32::NAN }
}
