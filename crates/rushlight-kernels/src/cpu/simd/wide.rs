//! sigmoid, silu and gelu of f32 for AVX-512: tables in registers, one permutation for a look-up of sixteen numbers.
//!
//! The exponential is 2^(j/16) from a table times a polynomial of degree 3, and `scalef` scales it, rounding subnormal results once.
//!
//! gelu(x) for negative x is `-z e^(-z²/2) q(z)` with `z = |x|`; for positive x it is what that leaves of x. q is smooth and needs a
//! polynomial of degree 5 in each of 16 intervals, whose bounds are those of the leading bits of z + 1. z² is carried with its
//! rounding error, so that small results keep their relative accuracy, which a Φ made of 1 + erf does not.

use std::arch::x86_64::*;

/// Rotated so that the leading bits of 1 ≤ z + 1 < 16, modulo 16, are the position.
const fn by_leading_bits(table: [f32; 16]) -> [f32; 16] {
    let mut rotated = table;
    let mut k = 0;
    while k < 16 {
        rotated[k] = table[(k + 4) % 16];
        k += 1;
    }
    rotated
}

const CENTRES: [f32; 16] =
    by_leading_bits([0.125, 0.375, 0.625, 0.875, 1.25, 1.75, 2.25, 2.75, 3.5, 4.5, 5.5, 6.5, 8.0, 10.0, 12.0, 14.0]);

/// Coefficients of `q(z) = e^(z²/2) Φ(-z)` about each centre, lowest first: interpolations in Chebyshev's points, below 1e-7 off.
#[rustfmt::skip]
const Q: [[f32; 16]; 6] = [
    by_leading_bits([0.453_793_23, 0.379_604_43, 0.323_356_18, 0.279_770_58, 0.230_760_32, 0.185_231_67, 0.153_651_94, 0.130_724_73, 0.106_345_16, 0.084_803_395, 0.070_342_7, 0.060_015_675, 0.049_122_55, 0.039_506_696, 0.033_018_973, 0.028_352_661]),
    by_leading_bits([-0.342_218_13, -0.256_590_63, -0.196_844_68, -0.154_143_04, -0.110_491_88, -0.074_786_864, -0.053_225_42, -0.039_449_263, -0.026_734_244, -0.017_327_016, -0.012_057_464, -0.008_840_390_5, -0.005_961_911_3, -0.003_875_339_4, -0.002_714_627_4, -0.002_005_033]),
    by_leading_bits([0.205_506_94, 0.141_690_91, 0.100_163_8, 0.072_447_52, 0.046_321_4, 0.027_176_816, 0.016_947_161, 0.011_119_54, 0.006_387_158_3, 0.003_415_774_8, 0.002_013_279, 0.001_276_551_6, 0.000_713_556_54, 0.000_376_632_58, 0.000_221_715_43, 0.000_141_097_26]),
    by_leading_bits([-0.105_509_505, -0.067_818_58, -0.044_747_263, -0.030_250_372, -0.017_529_098, -0.009_075_383, -0.005_031_229, -0.002_956_737, -0.001_459_055_6, -0.000_651_783_4, -0.000_328_055_58, -0.000_180_897_4, -8.428_114e-5, -3.627_778_6e-5, -1.799_265e-5, -9.881_589e-6]),
    by_leading_bits([0.048_258_28, 0.029_161_904, 0.018_103_514, 0.011_525_793, 0.006_159_718, 0.002_845_408_6, 0.001_415_642_6, 0.000_751_071_9, 0.000_325_405_33, 0.000_122_137_02, 5.271_445e-5, 2.535_499_5e-5, 1.002_467_6e-5, 3.510_608_4e-6, 1.464_962_7e-6, 6.937_472e-7]),
    by_leading_bits([-0.019_963_548, -0.011_416_874, -0.006_710_918_6, -0.004_048_171_5, -0.001_996_701_1, -0.000_832_495_2, -0.000_375_378_3, -0.000_181_304_71, -6.876_402e-5, -2.198_256e-5, -8.212_914_5e-6, -3.468_837_8e-6, -1.154_012_4e-6, -3.322_677_5e-7, -1.173_907_76e-7, -4.812_582e-8]),
];

/// 2^(j/16).
#[rustfmt::skip]
const POWERS: [f32; 16] = [
    1.0, 1.044_273_7, 1.090_507_7, 1.138_788_6, 1.189_207_1, 1.241_857_8, 1.296_839_6, 1.354_255_6,
    std::f32::consts::SQRT_2, 1.476_826_2, 1.542_210_8, 1.610_490_3, 1.681_792_9, 1.756_252_2, 1.834_008_1, 1.915_206_6,
];

/// log₂ e in two parts.
const LOG2_E: [f32; 2] = [std::f32::consts::LOG2_E, 1.925_963e-8];
/// Adding 1.5 · 2^19 rounds to a multiple of 1/16, whose sixteenths then stand in the low bits.
const ROUND: f32 = 786_432.0;

macro_rules! kernels {
    ($($name:ident: $sixteen:path;)*) => {$(
        /// A `Kernel` of f32.
        ///
        /// # Safety
        /// `Kernel`'s contract, on a machine with AVX-512.
        #[target_feature(enable = "avx512f,avx512dq")]
        pub(super) unsafe fn $name(a: *const u8, _: *const u8, _: *const u8, o: *mut u8, n: usize) {
            let (a, o) = (a.cast::<f32>(), o.cast::<f32>());
            let whole = n & !15;
            // SAFETY: elements below n; the mask admits no others.
            unsafe {
                for i in (0..whole).step_by(16) {
                    _mm512_storeu_ps(o.add(i), $sixteen(_mm512_loadu_ps(a.add(i))));
                }
                let mask = (1u16 << (n - whole)) - 1;
                if mask != 0 {
                    _mm512_mask_storeu_ps(o.add(whole), mask, $sixteen(_mm512_maskz_loadu_ps(mask, a.add(whole))));
                }
            }
        }
    )*};
}
kernels! {
    sigmoid: sigmoid_of;
    silu: silu_of;
}

/// `2^(j/16) 2^f` for `|f| <= 1/32`, j in the low bits.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn power(f: __m512, j: __m512) -> __m512 {
    let set = _mm512_set1_ps;
    // SAFETY: a table of sixteen.
    let table = unsafe { _mm512_loadu_ps(POWERS.as_ptr()) };
    let p = _mm512_fmadd_ps(f, _mm512_fmadd_ps(f, set(5.550_577e-2), set(0.240_234_5)), set(0.693_147_2));
    let root = _mm512_permutexvar_ps(_mm512_castps_si512(j), table);
    _mm512_fmadd_ps(root, _mm512_mul_ps(f, p), root)
}

/// `(p, n)` with `e^-|x| = p 2^floor(n)`.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn decay(x: __m512) -> (__m512, __m512) {
    let set = _mm512_set1_ps;
    // NaN stays.
    let a = _mm512_min_ps(set(110.0), _mm512_abs_ps(x));
    let m = _mm512_fnmadd_ps(a, set(LOG2_E[0]), set(ROUND));
    let n = _mm512_sub_ps(m, set(ROUND));
    let f = _mm512_fnmadd_ps(a, set(LOG2_E[1]), _mm512_fnmsub_ps(a, set(LOG2_E[0]), n));
    (power(f, m), n)
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn sigmoid_of(x: __m512) -> __m512 {
    let one = _mm512_set1_ps(1.0);
    let (p, n) = decay(x);
    let e = _mm512_scalef_ps(p, n);
    // e / (1 + e) for negative x, else 1 / (1 + e).
    let negative = _mm512_movepi32_mask(_mm512_castps_si512(x));
    _mm512_div_ps(_mm512_mask_mov_ps(one, negative, e), _mm512_add_ps(one, e))
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn silu_of(x: __m512) -> __m512 {
    let one = _mm512_set1_ps(1.0);
    let (p, n) = decay(x);
    let e = _mm512_scalef_ps(p, n);
    // For negative x the factor comes before the scaling, so that a subnormal e^x costs it no digits.
    let negative = _mm512_movepi32_mask(_mm512_castps_si512(x));
    let low = _mm512_scalef_ps(_mm512_mul_ps(_mm512_max_ps(_mm512_set1_ps(-110.0), x), p), n);
    let y = _mm512_div_ps(_mm512_mask_mov_ps(x, negative, low), _mm512_add_ps(one, e));
    // At -∞ PyTorch has infinity times 0.
    let end = _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(x, _mm512_set1_ps(f32::NEG_INFINITY));
    _mm512_mask_mov_ps(y, end, _mm512_set1_ps(f32::NAN))
}

/// Vectors of [`gelu`] that go side by side: one chain of its instructions is longer than the processor looks ahead.
const SIDE: usize = 4;

/// A `Kernel` of f32.
///
/// # Safety
/// `Kernel`'s contract, on a machine with AVX-512.
#[target_feature(enable = "avx512f,avx512dq")]
pub(super) unsafe fn gelu(a: *const u8, _: *const u8, _: *const u8, o: *mut u8, n: usize) {
    let (a, o) = (a.cast::<f32>(), o.cast::<f32>());
    let whole = n / (16 * SIDE) * (16 * SIDE);
    // SAFETY: elements below n; the mask admits no others.
    unsafe {
        for i in (0..whole).step_by(16 * SIDE) {
            let mut x = [_mm512_setzero_ps(); SIDE];
            for (k, x) in x.iter_mut().enumerate() {
                *x = _mm512_loadu_ps(a.add(i + 16 * k));
            }
            for (k, y) in gelu_of(x).into_iter().enumerate() {
                _mm512_storeu_ps(o.add(i + 16 * k), y);
            }
        }
        for i in (whole..n).step_by(16) {
            let mask = if n - i < 16 { (1u16 << (n - i)) - 1 } else { !0 };
            let [y] = gelu_of([_mm512_maskz_loadu_ps(mask, a.add(i))]);
            _mm512_mask_storeu_ps(o.add(i), mask, y);
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn gelu_of<const N: usize>(x: [__m512; N]) -> [__m512; N] {
    /// An expression for each of the vectors.
    macro_rules! each {
        ($k:ident => $e:expr) => {{
            let mut made = [_mm512_setzero_ps(); N];
            for $k in 0..N {
                made[$k] = $e;
            }
            made
        }};
    }
    let set = _mm512_set1_ps;
    // SAFETY: tables of sixteen.
    let table = |t: &[f32; 16]| unsafe { _mm512_loadu_ps(t.as_ptr()) };
    let at = |places: __m512, t: &[f32; 16]| _mm512_permutexvar_ps(_mm512_castps_si512(places), table(t));

    // NaN stays; from here on nothing but zero or x comes out.
    let z = each!(k => _mm512_min_ps(set(14.999_999), _mm512_abs_ps(x[k])));
    let h = each!(k => _mm512_mul_ps(z[k], z[k]));
    let bits = each!(k => {
        let bits = _mm512_castps_si512(_mm512_add_ps(z[k], set(1.0)));
        _mm512_castsi512_ps(_mm512_srli_epi32::<21>(bits))
    });
    let d = each!(k => _mm512_sub_ps(z[k], at(bits[k], &CENTRES)));

    // e^(-z²/2) = 2^n 2^f, and between its steps those of q, which they do not wait for.
    let (high, low) = (set(0.5 * LOG2_E[0]), set(0.5 * LOG2_E[1]));
    let m = each!(k => _mm512_fnmadd_ps(h[k], high, set(ROUND)));
    let mut q = each!(k => at(bits[k], &Q[5]));
    let rest = each!(k => _mm512_fmsub_ps(z[k], z[k], h[k]));
    q = each!(k => _mm512_fmadd_ps(q[k], d[k], at(bits[k], &Q[4])));
    let n = each!(k => _mm512_sub_ps(m[k], set(ROUND)));
    q = each!(k => _mm512_fmadd_ps(q[k], d[k], at(bits[k], &Q[3])));
    let mut f = each!(k => _mm512_fnmsub_ps(h[k], high, n[k]));
    q = each!(k => _mm512_fmadd_ps(q[k], d[k], at(bits[k], &Q[2])));
    f = each!(k => _mm512_fnmadd_ps(rest[k], high, _mm512_fnmadd_ps(h[k], low, f[k])));
    q = each!(k => _mm512_fmadd_ps(q[k], d[k], at(bits[k], &Q[1])));
    let power = each!(k => power(f[k], m[k]));
    q = each!(k => _mm512_fmadd_ps(q[k], d[k], at(bits[k], &Q[0])));

    // The power of two comes last, so that subnormal results are rounded once.
    let y = each!(k => _mm512_scalef_ps(_mm512_mul_ps(_mm512_mul_ps(z[k], power[k]), q[k]), n[k]));
    // -y where x is negative (and NaN at -∞, which is 0 times ∞), x - y elsewhere.
    each!(k => {
        let negative = _mm512_movepi32_mask(_mm512_castps_si512(x[k]));
        _mm512_sub_ps(_mm512_mask_mul_ps(x[k], negative, x[k], _mm512_setzero_ps()), y[k])
    })
}
