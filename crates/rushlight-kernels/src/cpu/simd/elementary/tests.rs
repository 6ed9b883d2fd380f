//! Error bounds, and what the functions give where they are special.

use crate::cpu::simd;
use crate::cpu::simd::isa::{Baseline, Isa, Level, level};
use crate::{BinOp, DType, UnOp};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

fn ulp(x: f64) -> f64 {
    let x = (x.abs() as f32).clamp(f32::MIN_POSITIVE, f32::MAX);
    (f32::from_bits(x.to_bits() + 1) as f64 - x as f64).min(2f64.powi(104))
}

/// Every 1009th bit pattern (in both signs), and the neighbourhoods of small numbers.
fn inputs() -> Vec<f32> {
    let mut all: Vec<f32> = (0..=u32::MAX).step_by(1009).map(f32::from_bits).collect();
    for c in [0.0f32, 0.25, 0.5, 0.707_106_77, 1.0, 1.414_213_5, 2.0, 3.0, 5.0, 9.0, 88.72, -87.3, -103.9, 128.0, -126.0, -149.0]
    {
        all.extend((-400..400).map(|k| f32::from_bits(c.to_bits().wrapping_add_signed(k))));
        all.extend((-4000..4000).map(|k| c + k as f32 * 1e-3));
    }
    all.extend([f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -0.0, f32::MAX, f32::MIN, 88.722_84, 88.722_83]);
    all
}

/// The largest error over `x` in units of the last place; zeros, infinities and NaN must be exact, signs included.
fn worst(op: UnOp, reference: fn(f64) -> f64, x: &[f32]) -> f64 {
    let mut y = vec![0f32; x.len()];
    let kernel = simd::un(op, DType::F32).unwrap();
    // SAFETY: two buffers of one length.
    unsafe { kernel(x.as_ptr().cast(), x.as_ptr().cast(), x.as_ptr().cast(), y.as_mut_ptr().cast(), x.len()) }
    let mut worst = 0.0;
    for (&x, &y) in x.iter().zip(&y) {
        let want = reference(x as f64);
        if want.is_nan() || y.is_nan() {
            assert!(want.is_nan() && y.is_nan(), "{op:?}({x:e}) = {y:e}, want {want:e}");
            continue;
        }
        assert_eq!(y.is_sign_negative(), want.is_sign_negative(), "{op:?}({x:e}) = {y:e}, want {want:e}");
        if (want as f32).is_infinite() || y.is_infinite() {
            // Within an ULP of the largest number, either will do.
            let near = want.abs() > f32::MAX as f64 * (1.0 - 1e-6) && y.abs() >= f32::MAX * 0.999_999;
            assert!(near, "{op:?}({x:e}) = {y:e}, want {want:e}");
            continue;
        }
        let e = (y as f64 - want).abs() / ulp(want);
        if e > worst {
            worst = e;
        }
    }
    worst
}

/// The functions, their bounds in ULP (the largest errors over all floats, rounded up), and what they are compared with.
fn bounds() -> [(UnOp, f64, fn(f64) -> f64); 26] {
    use std::f64::consts::FRAC_1_SQRT_2;
    // One product is rounded by itself where there is no FMA.
    let exp2 = if level() > Level::Baseline || Baseline::FMA { 0.92 } else { 1.2 };
    [
        (UnOp::Exp, 1.02, f64::exp),
        (UnOp::Exp2, exp2, f64::exp2),
        (UnOp::Log, 0.83, f64::ln),
        (UnOp::Sigmoid, 3.1, |x| 1.0 / (1.0 + (-x).exp())),
        (UnOp::Expm1, 0.51, f64::exp_m1),
        (UnOp::Log2, 0.51, f64::log2),
        (UnOp::Log10, 0.51, f64::log10),
        (UnOp::Log1p, 0.51, f64::ln_1p),
        (UnOp::Tanh, 0.51, f64::tanh),
        (UnOp::Erf, 0.51, libm::erf),
        (UnOp::Erfc, 0.51, libm::erfc),
        (UnOp::Silu, 3.7, |x| x / (1.0 + (-x).exp())),
        (UnOp::Gelu, 4.7, |x| 0.5 * x * libm::erfc(-x * FRAC_1_SQRT_2)),
        (UnOp::GeluTanh, 0.51, |x| {
            let u = 1.595_769_121_605_730_7 * (x + 0.044715 * x * x * x);
            x / (1.0 + (-u).exp())
        }),
        (UnOp::Sin, 0.51, f64::sin),
        (UnOp::Cos, 0.51, f64::cos),
        (UnOp::Tan, 0.51, f64::tan),
        (UnOp::Asin, 0.51, f64::asin),
        (UnOp::Acos, 0.51, f64::acos),
        (UnOp::Atan, 0.51, f64::atan),
        (UnOp::Sinh, 0.51, f64::sinh),
        (UnOp::Cosh, 0.51, f64::cosh),
        (UnOp::Asinh, 0.51, libm::asinh),
        (UnOp::Acosh, 0.51, crate::cpu::simd::special::acosh),
        (UnOp::Atanh, 0.51, libm::atanh),
        (UnOp::Erfinv, 0.52, crate::cpu::simd::special::erfinv),
    ]
}

/// Prints the largest errors, and fails if one is above its bound.
fn check_bounds(worst: impl Fn(UnOp, fn(f64) -> f64) -> f64) {
    let mut failed = vec![];
    for (op, bound, reference) in bounds() {
        let e = worst(op, reference);
        println!("{op:?} {e:.3}");
        if e > bound {
            failed.push(format!("{op:?}: {e:.3} > {bound}"));
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn error_bounds_in_ulp() {
    let x = inputs();
    check_bounds(|op, reference| worst(op, reference, &x));
}

/// A quarter of an hour on two cores: `cargo test --release -p rushlight-kernels --lib every_float -- --ignored --nocapture`.
#[test]
#[ignore = "takes a quarter of an hour in a release build"]
fn error_bounds_in_ulp_of_every_float() {
    const PART: u32 = 1 << 20;
    check_bounds(|op, reference| {
        let next = AtomicU32::new(0);
        let thread = || {
            let mut most = 0f64;
            loop {
                let part = next.fetch_add(1, Relaxed);
                if part >= (1 << 12) {
                    return most;
                }
                let x: Vec<f32> = (0..PART).map(|i| f32::from_bits(part * PART + i)).collect();
                most = most.max(worst(op, reference, &x));
            }
        };
        std::thread::scope(|scope| {
            let count = std::thread::available_parallelism().map_or(1, usize::from);
            let threads: Vec<_> = (0..count).map(|_| scope.spawn(thread)).collect();
            threads.into_iter().map(|t| t.join().expect("a value out of bounds is named above")).fold(0.0, f64::max)
        })
    });
}

#[test]
fn exponentials_of_negative_numbers() {
    let values = |xs: &[f32]| -> Vec<f32> { xs.iter().map(|&x| super::exp_neg::<crate::cpu::simd::isa::Baseline>(x)).collect() };
    let xs: Vec<f32> = (0..400_000).map(|i| -(i as f32) * 2.183e-4).collect();
    for (x, y) in xs.iter().zip(values(&xs)) {
        let want = (*x as f64).exp();
        let ulp = f32::EPSILON as f64 * want.max(f32::MIN_POSITIVE as f64);
        assert!((y as f64 - want).abs() <= 1.5 * ulp, "{x}: {y} {want}");
    }
    assert_eq!(values(&[0.0, -0.0, f32::NEG_INFINITY, -88.0, -1e30]), [1.0, 1.0, 0.0, 0.0, 0.0]);
    assert!(values(&[f32::NAN])[0].is_nan());
    // Rounding may bring the distance from a maximum a little above zero.
    assert!((values(&[1e-3])[0] - 1.001_000_5).abs() < 2e-7);
}

#[test]
fn powers_have_libm_s_values() {
    let kernel = simd::bin(BinOp::Pow, DType::F32).unwrap();
    let special = [0.0f32, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 1e-40, -1e-40, 16_777_217.0, 1e30, -1e30, f32::MAX];
    let special = special.into_iter().chain([f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 0.1, -0.1, 33.0, -33.0, 4_194_305.0]);
    let mut pairs: Vec<(f32, f32)> = special.clone().flat_map(|a| special.clone().map(move |b| (a, b))).collect();
    for k in 0..2_000_000u32 {
        let a = f32::from_bits(k.wrapping_mul(2_654_435_761) >> 1);
        // Exponents for which the result is mostly within range.
        let b = (k.wrapping_mul(40_503) % 20_011) as f32 / 10_000.0 - 1.0;
        pairs.push((a, b * 150.0 / a.log2().abs().max(1e-6)));
    }
    let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
    let mut y = vec![0f32; a.len()];
    // SAFETY: buffers of one length.
    unsafe { kernel(a.as_ptr().cast(), b.as_ptr().cast(), a.as_ptr().cast(), y.as_mut_ptr().cast(), a.len()) }
    for ((&a, &b), &y) in a.iter().zip(&b).zip(&y) {
        let want = (a as f64).powf(b as f64);
        if want.is_nan() {
            assert!(y.is_nan(), "{a:e}^{b:e} = {y:e}");
        } else if y.is_infinite() || (want as f32).is_infinite() {
            assert!(want.abs() > f32::MAX as f64 * (1.0 - 1e-6) && y.abs() >= f32::MAX, "{a:e}^{b:e} = {y:e}, not {want:e}");
            assert_eq!(y.is_sign_negative(), want.is_sign_negative());
        } else {
            let e = (y as f64 - want).abs() / ulp(want);
            assert!(e <= 0.75 && y.is_sign_negative() == want.is_sign_negative(), "{a:e}^{b:e} = {y:e}, not {want:e}: {e}");
        }
    }
}

fn pairs() -> Vec<(f32, f32)> {
    let special = [0.0f32, 1.0, 0.5, 3.0, 1e-45, 1e-39, 1.2e-38, 1e-20, 1e20, 1e30, f32::MAX, f32::INFINITY, f32::NAN];
    let special: Vec<f32> = special.into_iter().flat_map(|x| [x, -x]).collect();
    let mut pairs: Vec<(f32, f32)> = special.iter().flat_map(|&a| special.iter().map(move |&b| (a, b))).collect();
    let bits = |k: u32| f32::from_bits(k.wrapping_mul(2_654_435_761).rotate_left(k % 31));
    pairs.extend((0..300_000).map(|k| (bits(k), bits(k + 99_991))));
    pairs.extend((0..500_000).map(|k| {
        let (a, b) = (bits(k), (k.wrapping_mul(40_503) % 20_011) as f32 / 5000.0 - 2.0);
        if k % 2 == 0 { (a, a * b) } else { (b, b + (k % 1999) as f32 / 1e3 - 1.0) }
    }));
    pairs
}

fn of_pairs(op: BinOp, pairs: &[(f32, f32)]) -> Vec<f32> {
    let (a, b): (Vec<f32>, Vec<f32>) = pairs.iter().copied().unzip();
    let mut y = vec![0f32; a.len()];
    let kernel = simd::bin(op, DType::F32).unwrap();
    // SAFETY: buffers of one length.
    unsafe { kernel(a.as_ptr().cast(), b.as_ptr().cast(), a.as_ptr().cast(), y.as_mut_ptr().cast(), a.len()) }
    y
}

#[test]
fn angles_and_distances_of_points() {
    let pairs = pairs();
    let references: [(BinOp, fn(f64, f64) -> f64); 2] = [(BinOp::Atan2, libm::atan2), (BinOp::Hypot, libm::hypot)];
    for (op, reference) in references {
        for (&(a, b), y) in pairs.iter().zip(of_pairs(op, &pairs)) {
            let want = reference(a as f64, b as f64);
            if want.is_nan() || (want as f32).is_infinite() || want == 0.0 {
                assert!(
                    want.is_nan() && y.is_nan() || y.to_bits() == (want as f32).to_bits(),
                    "{op:?}({a:e}, {b:e}) = {y:e}, not {want:e}"
                );
            } else {
                let e = (y as f64 - want).abs() / ulp(want);
                let signs = y.is_sign_negative() == want.is_sign_negative();
                assert!(e <= 0.51 && signs, "{op:?}({a:e}, {b:e}) = {y:e}, not {want:e}: {e}");
            }
        }
    }
}

#[test]
fn neighbours_are_libm_s() {
    let mut pairs = pairs();
    pairs.extend(pairs.clone().into_iter().map(|(a, _)| (a, a)));
    for (&(a, b), y) in pairs.iter().zip(of_pairs(BinOp::Nextafter, &pairs)) {
        let want = libm::nextafterf(a, b);
        assert!(y.to_bits() == want.to_bits() || y.is_nan() && want.is_nan(), "nextafter({a:e}, {b:e}) = {y:e}, not {want:e}");
        let (y, want) = (simd::Real::next_after(a as f64, b as f64), libm::nextafter(a as f64, b as f64));
        assert!(y.to_bits() == want.to_bits() || y.is_nan() && want.is_nan(), "nextafter({a:e}, {b:e}) = {y:e}, not {want:e}");
    }
}
