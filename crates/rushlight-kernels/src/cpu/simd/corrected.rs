//! Kernels whose vectorised bodies serve most operands only, and which compute the others again.

use super::isa::Isa;
use super::kernels::{bin_row, row};
use super::{Body, Real, double, elementary, run};
use crate::{BinOp, Element, UnOp};

/// A function of an angle, whose vectorised body is good below a limit only.
pub(super) trait Turning<T> {
    const OP: UnOp;
    const LIMIT: T;
    /// By libm, for any angle.
    fn exact(x: T) -> T;
}

macro_rules! turning {
    ($($name:ident $op:ident |$x:ident| $single:expr, $double:expr;)*) => {$(
        pub(super) struct $name;
        impl Turning<f32> for $name {
            const OP: UnOp = UnOp::$op;
            // A quarter, as πx in sinc must stay below it too.
            const LIMIT: f32 = elementary::TURN_LIMIT / 4.0;
            fn exact($x: f32) -> f32 { $single }
        }
        impl Turning<f64> for $name {
            const OP: UnOp = UnOp::$op;
            const LIMIT: f64 = double::TURN_LIMIT / 4.0;
            fn exact($x: f64) -> f64 { $double }
        }
    )*};
}
turning! {
    SinRow Sin |x| (x as f64).sin() as f32, x.sin();
    CosRow Cos |x| (x as f64).cos() as f32, x.cos();
    TanRow Tan |x| (x as f64).tan() as f32, x.tan();
    SincRow Sinc |x| {
        let a = std::f32::consts::PI * x;
        (a as f64).sin() as f32 / a
    }, {
        let a = std::f64::consts::PI * x;
        a.sin() / a
    };
}

/// Runs the vectorised body, and corrects it where an angle is too large for it.
///
/// # Safety
/// `Kernel`'s contract.
pub(super) unsafe fn turning<R: Turning<T>, T: Real + Element>(a: *const u8, _: *const u8, _: *const u8, o: *mut u8, n: usize) {
    let kernel = row(R::OP, T::DTYPE).expect("the table has this row");
    // SAFETY: the caller's; the slices are made after the kernel has returned.
    unsafe {
        kernel(a, a, a, o, n);
        let a = std::slice::from_raw_parts(a.cast::<T>(), n);
        // Not `any`, which would leave the loop early and so not be vectorised.
        if a.iter().fold(false, |far, x| far | (Real::abs(*x) >= R::LIMIT)) {
            let o = std::slice::from_raw_parts_mut(o.cast::<T>(), n);
            a.iter().zip(o).filter(|(x, _)| Real::abs(**x) >= R::LIMIT).for_each(|(x, o)| *o = R::exact(*x));
        }
    }
}

/// A modulo, or what follows from it, whose vectorised body is good for operands that are not far apart.
pub(super) trait Dividing {
    const OP: BinOp;
    /// From the modulo of any two operands.
    fn exact<T: Real>(a: T, b: T, fmod: T) -> T;
}

macro_rules! dividing {
    ($($name:ident $op:ident |$a:ident, $b:ident, $fmod:ident| $exact:expr;)*) => {$(
        pub(super) struct $name;
        impl Dividing for $name {
            const OP: BinOp = BinOp::$op;
            fn exact<T: Real>($a: T, $b: T, $fmod: T) -> T { $exact }
        }
    )*};
}
dividing! {
    FmodRow Fmod |_a, _b, fmod| fmod;
    RemainderRow Remainder |a, b, fmod| a.remainder_from(b, fmod);
    FloorDivRow FloorDiv |a, b, fmod| a.floor_div_from(b, fmod);
}

/// Runs the vectorised body, and corrects it where operands are too far apart for it.
///
/// # Safety
/// `Kernel`'s contract.
pub(super) unsafe fn dividing<R: Dividing, T: Real + Element>(a: *const u8, b: *const u8, _: *const u8, o: *mut u8, n: usize) {
    struct AnyFar<'a, T>(&'a [T], &'a [T]);
    impl<T: Real> Body for AnyFar<'_, T> {
        type Out = bool;
        #[inline(always)]
        fn run<S: Isa>(self) -> bool {
            // Not `any`, which would leave the loop early and so not be vectorised.
            self.0.iter().zip(self.1).fold(false, |far, (a, b)| far | a.is_far(*b))
        }
    }
    let kernel = bin_row(R::OP, T::DTYPE).expect("the table has this row");
    // SAFETY: the caller's; the slices are made after the kernel has returned.
    unsafe {
        kernel(a, b, b, o, n);
        let (a, b) = (std::slice::from_raw_parts(a.cast::<T>(), n), std::slice::from_raw_parts(b.cast::<T>(), n));
        if run(AnyFar(a, b)) {
            let o = std::slice::from_raw_parts_mut(o.cast::<T>(), n);
            let far = a.iter().zip(b).zip(o).filter(|((a, b), _)| a.is_far(**b));
            far.for_each(|((a, b), o)| *o = R::exact(*a, *b, *a % *b));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::cpu::simd;
    use crate::{BinOp, DType};

    macro_rules! quotients {
        ($t:ident, $dtype:expr, $special:expr, $random:expr) => {{
            let special: Vec<$t> = $special;
            let mut pairs: Vec<($t, $t)> = special.iter().flat_map(|&a| special.iter().map(move |&b| (a, b))).collect();
            pairs.extend($random);
            // Near whole quotients, on both sides.
            for k in 1..20_000u64 {
                let b = 1.0 + (k.wrapping_mul(2_654_435_761) % 999_983) as $t / 999_983.0;
                let a = b * (k * k) as $t;
                for near in -2i64..3 {
                    pairs.push(($t::from_bits((a.to_bits() as i64 + near) as _), if k % 3 == 0 { -b } else { b }));
                }
            }
            // No tile is free of operands that are far apart, and then none is.
            let (far, near): (Vec<_>, Vec<_>) = pairs.iter().partition(|(a, b)| simd::Real::is_far(*a, *b));
            assert!(far.len() > 100 && near.len() > 100_000);
            for pairs in [pairs, near] {
                let (a, b): (Vec<$t>, Vec<$t>) = pairs.into_iter().unzip();
                let answers = |op| {
                    let mut y = vec![0 as $t; a.len()];
                    let kernel = simd::bin(op, $dtype).unwrap();
                    // SAFETY: buffers of one length.
                    unsafe { kernel(a.as_ptr().cast(), b.as_ptr().cast(), a.as_ptr().cast(), y.as_mut_ptr().cast(), a.len()) }
                    y
                };
                let [fmod, remainder, floor] = [BinOp::Fmod, BinOp::Remainder, BinOp::FloorDiv].map(answers);
                for i in 0..a.len() {
                    let (a, b) = (a[i], b[i]);
                    let r = a % b;
                    let same = |x: $t, y: $t| x.to_bits() == y.to_bits() || x.is_nan() && y.is_nan();
                    assert!(same(fmod[i], r), "fmod({a:e}, {b:e}) = {:e}, not {r:e}", fmod[i]);
                    let opposed = r != 0.0 && (b < 0.0) != (r < 0.0);
                    let want = if opposed { r + b } else { r };
                    assert!(same(remainder[i], want), "{a:e} % {b:e} = {:e}, not {want:e}", remainder[i]);
                    let q = (a - r) / b - opposed as u8 as $t;
                    let want = match q {
                        _ if b == 0.0 => a / b,
                        _ if q == 0.0 => (0.0 as $t).copysign(a / b),
                        _ => {
                            if q - q.floor() > 0.5 {
                                q.floor() + 1.0
                            } else {
                                q.floor()
                            }
                        }
                    };
                    assert!(same(floor[i], want), "{a:e} // {b:e} = {:e}, not {want:e}", floor[i]);
                }
            }
        }};
    }

    #[test]
    fn modulo_is_exact_for_f32() {
        let special = [0.0, 1.0, 0.1, 3.0, 7.5, 1e-45, 1e-38, 1e30, 3.4e38, 16_777_217.0, 268_435_456.0, f32::INFINITY, f32::NAN];
        let special = special.into_iter().flat_map(|x: f32| [x, -x]).collect();
        let bits = |k: u32| f32::from_bits(k.wrapping_mul(2_654_435_761).rotate_left(k % 31));
        let far = (0..100_000).map(|k| (bits(k), bits(k + 77_777)));
        let near = (0..400_000).map(|k| {
            let a = bits(k);
            (a, a / ((k.wrapping_mul(40_503) % 30_011) as f32 - 15_000.5))
        });
        quotients!(f32, DType::F32, special, far.chain(near));
    }

    #[test]
    fn modulo_is_exact_for_f64() {
        let special = [0.0, 1.0, 0.1, 3.0, 7.5, 5e-324, 1e-308, 1e300, 1.7e308, 9_007_199_254_740_993.0, f64::INFINITY, f64::NAN];
        let special = special.into_iter().flat_map(|x: f64| [x, -x]).collect();
        let bits = |k: u64| f64::from_bits(k.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left((k % 63) as u32));
        let far = (0..2_000).map(|k| (bits(k), bits(k + 77_777)));
        let near = (0..400_000).map(|k| {
            let a = bits(k);
            (a, a / ((k.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (14 + k % 40)) as f64 + 0.37))
        });
        quotients!(f64, DType::F64, special, far.chain(near));
    }
}
