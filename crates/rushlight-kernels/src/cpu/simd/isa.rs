//! Instruction sets: the loops over a tile, compiled once for each.

use std::sync::OnceLock;

/// A tile kernel: reads `n` elements at each operand (unused ones may dangle) and writes `n` at the last pointer.
///
/// # Safety
/// Operands and result are valid for `n` elements of the types the kernel was made for, and the result overlaps no operand. Kernels that
/// [`super::special`] answers: their last operands may be one element each, their first the result itself.
pub(crate) type Kernel = unsafe fn(*const u8, *const u8, *const u8, *mut u8, usize);

/// A unary scalar function of a row, for operands of type `T`.
pub trait Un<S, T> {
    /// Type of the result.
    type Out: Copy;
    /// The row's expression.
    fn f(x: T) -> Self::Out;
}
/// A binary scalar function.
pub trait Bin<S, T> {
    /// Type of the result.
    type Out: Copy;
    /// The row's expression.
    fn f(a: T, b: T) -> Self::Out;
}
/// A ternary scalar function; the first operand may have a type of its own.
pub trait Tern<S, T> {
    /// Type of the first operand.
    type First: Copy;
    /// The row's expression.
    fn f(a: Self::First, b: T, c: T) -> T;
}

/// An instruction set that bodies are compiled for.
pub trait Isa: Sized + 'static {
    /// Whether a fused multiply-add is one instruction.
    const FMA: bool;
    #[doc(hidden)]
    fn un<F: Un<Self, T>, T: Copy>() -> Kernel;
    #[doc(hidden)]
    fn bin<F: Bin<Self, T>, T: Copy>() -> Kernel;
    #[doc(hidden)]
    fn tern<F: Tern<Self, T>, T: Copy>() -> Kernel;
    /// As `un`, for a result that replaces the operand: that is read where the result goes.
    #[doc(hidden)]
    fn un_onto<F: Un<Self, T, Out = T>, T: Copy>() -> Kernel;
    /// As `bin`, for a result that replaces the first operand.
    #[doc(hidden)]
    fn bin_onto<F: Bin<Self, T, Out = T>, T: Copy>() -> Kernel;
    /// As `bin`, for a second operand that is one element for all.
    #[doc(hidden)]
    fn bin_number<F: Bin<Self, T>, T: Copy>() -> Kernel;
    /// As `bin_number` and `bin_onto` together.
    #[doc(hidden)]
    fn bin_number_onto<F: Bin<Self, T, Out = T>, T: Copy>() -> Kernel;
    /// As `tern`, for a third operand that is one element for all.
    #[doc(hidden)]
    fn tern_number<F: Tern<Self, T, First = T>, T: Copy>() -> Kernel;
    /// As `tern_number`, for a result that replaces the first operand.
    #[doc(hidden)]
    fn tern_number_onto<F: Tern<Self, T, First = T>, T: Copy>() -> Kernel;
    /// As `tern`, for a second and a third operand that are one element each for all.
    #[doc(hidden)]
    fn tern_numbers<F: Tern<Self, T, First = T>, T: Copy>() -> Kernel;
    /// As `tern_numbers`, for a result that replaces the first operand.
    #[doc(hidden)]
    fn tern_numbers_onto<F: Tern<Self, T, First = T>, T: Copy>() -> Kernel;
}

// The slices tell LLVM that the result aliases no operand; raw pointers would cost a run-time check or the vectorisation.

#[inline(always)]
unsafe fn un_loop<S, F: Un<S, T>, T: Copy>(a: *const u8, o: *mut u8, n: usize) {
    #[inline(always)]
    fn go<S, F: Un<S, T>, T: Copy>(a: &[T], o: &mut [F::Out]) {
        for (x, o) in a.iter().zip(o) {
            *o = F::f(*x);
        }
    }
    // SAFETY: `Kernel`'s contract.
    unsafe { go::<S, F, T>(std::slice::from_raw_parts(a.cast(), n), std::slice::from_raw_parts_mut(o.cast(), n)) }
}

#[inline(always)]
unsafe fn bin_loop<S, F: Bin<S, T>, T: Copy>(a: *const u8, b: *const u8, o: *mut u8, n: usize) {
    #[inline(always)]
    fn go<S, F: Bin<S, T>, T: Copy>(a: &[T], b: &[T], o: &mut [F::Out]) {
        for ((x, y), o) in a.iter().zip(b).zip(o) {
            *o = F::f(*x, *y);
        }
    }
    // SAFETY: `Kernel`'s contract.
    unsafe {
        go::<S, F, T>(
            std::slice::from_raw_parts(a.cast(), n),
            std::slice::from_raw_parts(b.cast(), n),
            std::slice::from_raw_parts_mut(o.cast(), n),
        )
    }
}

#[inline(always)]
unsafe fn tern_loop<S, F: Tern<S, T>, T: Copy>(a: *const u8, b: *const u8, c: *const u8, o: *mut u8, n: usize) {
    #[inline(always)]
    fn go<S, F: Tern<S, T>, T: Copy>(a: &[F::First], b: &[T], c: &[T], o: &mut [T]) {
        for (((x, y), z), o) in a.iter().zip(b).zip(c).zip(o) {
            *o = F::f(*x, *y, *z);
        }
    }
    // SAFETY: `Kernel`'s contract.
    unsafe {
        go::<S, F, T>(
            std::slice::from_raw_parts(a.cast(), n),
            std::slice::from_raw_parts(b.cast(), n),
            std::slice::from_raw_parts(c.cast(), n),
            std::slice::from_raw_parts_mut(o.cast(), n),
        )
    }
}

#[inline(always)]
unsafe fn un_onto_loop<S, F: Un<S, T, Out = T>, T: Copy>(o: *mut u8, n: usize) {
    // SAFETY: `Kernel`'s contract; the operand is the result's old value.
    for x in unsafe { std::slice::from_raw_parts_mut(o.cast::<T>(), n) } {
        *x = F::f(*x);
    }
}

#[inline(always)]
unsafe fn bin_onto_loop<S, F: Bin<S, T, Out = T>, T: Copy>(b: *const u8, o: *mut u8, n: usize) {
    #[inline(always)]
    fn go<S, F: Bin<S, T, Out = T>, T: Copy>(b: &[T], o: &mut [T]) {
        for (x, y) in o.iter_mut().zip(b) {
            *x = F::f(*x, *y);
        }
    }
    // SAFETY: `Kernel`'s contract; the first operand is the result's old value.
    unsafe { go::<S, F, T>(std::slice::from_raw_parts(b.cast(), n), std::slice::from_raw_parts_mut(o.cast(), n)) }
}

#[inline(always)]
unsafe fn bin_number_loop<S, F: Bin<S, T>, T: Copy>(a: *const u8, b: *const u8, o: *mut u8, n: usize) {
    #[inline(always)]
    fn go<S, F: Bin<S, T>, T: Copy>(a: &[T], y: T, o: &mut [F::Out]) {
        for (x, o) in a.iter().zip(o) {
            *o = F::f(*x, y);
        }
    }
    // SAFETY: `Kernel`'s contract, with one element at the second operand.
    unsafe { go::<S, F, T>(std::slice::from_raw_parts(a.cast(), n), *b.cast(), std::slice::from_raw_parts_mut(o.cast(), n)) }
}

#[inline(always)]
unsafe fn bin_number_onto_loop<S, F: Bin<S, T, Out = T>, T: Copy>(b: *const u8, o: *mut u8, n: usize) {
    // SAFETY: `Kernel`'s contract, with one element at the second operand; the first is the result's old value.
    let (y, o) = unsafe { (*b.cast::<T>(), std::slice::from_raw_parts_mut(o.cast::<T>(), n)) };
    for x in o {
        *x = F::f(*x, y);
    }
}

#[inline(always)]
unsafe fn tern_number_loop<S, F: Tern<S, T, First = T>, T: Copy>(a: *const u8, b: *const u8, c: *const u8, o: *mut u8, n: usize) {
    #[inline(always)]
    fn go<S, F: Tern<S, T, First = T>, T: Copy>(a: &[T], b: &[T], z: T, o: &mut [T]) {
        for ((x, y), o) in a.iter().zip(b).zip(o) {
            *o = F::f(*x, *y, z);
        }
    }
    // SAFETY: `Kernel`'s contract, with one element at the third operand.
    unsafe {
        go::<S, F, T>(
            std::slice::from_raw_parts(a.cast(), n),
            std::slice::from_raw_parts(b.cast(), n),
            *c.cast(),
            std::slice::from_raw_parts_mut(o.cast(), n),
        )
    }
}

#[inline(always)]
unsafe fn tern_number_onto_loop<S, F: Tern<S, T, First = T>, T: Copy>(b: *const u8, c: *const u8, o: *mut u8, n: usize) {
    #[inline(always)]
    fn go<S, F: Tern<S, T, First = T>, T: Copy>(b: &[T], z: T, o: &mut [T]) {
        for (x, y) in o.iter_mut().zip(b) {
            *x = F::f(*x, *y, z);
        }
    }
    // SAFETY: `Kernel`'s contract, with one element at the third operand; the first is the result's old value.
    unsafe { go::<S, F, T>(std::slice::from_raw_parts(b.cast(), n), *c.cast(), std::slice::from_raw_parts_mut(o.cast(), n)) }
}

#[inline(always)]
unsafe fn tern_numbers_loop<S, F: Tern<S, T, First = T>, T: Copy>(
    a: *const u8,
    b: *const u8,
    c: *const u8,
    o: *mut u8,
    n: usize,
) {
    #[inline(always)]
    fn go<S, F: Tern<S, T, First = T>, T: Copy>(a: &[T], y: T, z: T, o: &mut [T]) {
        for (x, o) in a.iter().zip(o) {
            *o = F::f(*x, y, z);
        }
    }
    // SAFETY: `Kernel`'s contract, with one element each at the second and the third operand.
    unsafe {
        let (a, o) = (std::slice::from_raw_parts(a.cast(), n), std::slice::from_raw_parts_mut(o.cast(), n));
        go::<S, F, T>(a, *b.cast(), *c.cast(), o)
    }
}

#[inline(always)]
unsafe fn tern_numbers_onto_loop<S, F: Tern<S, T, First = T>, T: Copy>(b: *const u8, c: *const u8, o: *mut u8, n: usize) {
    // SAFETY: `Kernel`'s contract, with one element each at the second and the third operand; the first is the result's old value.
    let (y, z, o) = unsafe { (*b.cast::<T>(), *c.cast::<T>(), std::slice::from_raw_parts_mut(o.cast::<T>(), n)) };
    for x in o {
        *x = F::f(*x, y, z);
    }
}

macro_rules! isa {
    ($(#[$doc:meta])* $name:ident, fma: $fma:expr, $(#[$feature:meta])?) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $name;
        impl Isa for $name {
            const FMA: bool = $fma;
            fn un<F: Un<Self, T>, T: Copy>() -> Kernel {
                $(#[$feature])?
                unsafe fn k<F: Un<$name, T>, T: Copy>(a: *const u8, _: *const u8, _: *const u8, o: *mut u8, n: usize) {
                    // SAFETY: the caller's.
                    unsafe { un_loop::<$name, F, T>(a, o, n) }
                }
                k::<F, T>
            }
            fn bin<F: Bin<Self, T>, T: Copy>() -> Kernel {
                $(#[$feature])?
                unsafe fn k<F: Bin<$name, T>, T: Copy>(a: *const u8, b: *const u8, _: *const u8, o: *mut u8, n: usize) {
                    // SAFETY: the caller's.
                    unsafe { bin_loop::<$name, F, T>(a, b, o, n) }
                }
                k::<F, T>
            }
            fn tern<F: Tern<Self, T>, T: Copy>() -> Kernel {
                $(#[$feature])?
                unsafe fn k<F: Tern<$name, T>, T: Copy>(a: *const u8, b: *const u8, c: *const u8, o: *mut u8, n: usize) {
                    // SAFETY: the caller's.
                    unsafe { tern_loop::<$name, F, T>(a, b, c, o, n) }
                }
                k::<F, T>
            }
            fn un_onto<F: Un<Self, T, Out = T>, T: Copy>() -> Kernel {
                $(#[$feature])?
                unsafe fn k<F: Un<$name, T, Out = T>, T: Copy>(_: *const u8, _: *const u8, _: *const u8, o: *mut u8, n: usize) {
                    // SAFETY: the caller's.
                    unsafe { un_onto_loop::<$name, F, T>(o, n) }
                }
                k::<F, T>
            }
            fn bin_onto<F: Bin<Self, T, Out = T>, T: Copy>() -> Kernel {
                $(#[$feature])?
                unsafe fn k<F: Bin<$name, T, Out = T>, T: Copy>(_: *const u8, b: *const u8, _: *const u8, o: *mut u8, n: usize) {
                    // SAFETY: the caller's.
                    unsafe { bin_onto_loop::<$name, F, T>(b, o, n) }
                }
                k::<F, T>
            }
            fn bin_number<F: Bin<Self, T>, T: Copy>() -> Kernel {
                $(#[$feature])?
                unsafe fn k<F: Bin<$name, T>, T: Copy>(a: *const u8, b: *const u8, _: *const u8, o: *mut u8, n: usize) {
                    // SAFETY: the caller's.
                    unsafe { bin_number_loop::<$name, F, T>(a, b, o, n) }
                }
                k::<F, T>
            }
            fn bin_number_onto<F: Bin<Self, T, Out = T>, T: Copy>() -> Kernel {
                $(#[$feature])?
                unsafe fn k<F: Bin<$name, T, Out = T>, T: Copy>(_: *const u8, b: *const u8, _: *const u8, o: *mut u8, n: usize) {
                    // SAFETY: the caller's.
                    unsafe { bin_number_onto_loop::<$name, F, T>(b, o, n) }
                }
                k::<F, T>
            }
            fn tern_number<F: Tern<Self, T, First = T>, T: Copy>() -> Kernel {
                $(#[$feature])?
                unsafe fn k<F: Tern<$name, T, First = T>, T: Copy>(a: *const u8, b: *const u8, c: *const u8, o: *mut u8, n: usize) {
                    // SAFETY: the caller's.
                    unsafe { tern_number_loop::<$name, F, T>(a, b, c, o, n) }
                }
                k::<F, T>
            }
            fn tern_number_onto<F: Tern<Self, T, First = T>, T: Copy>() -> Kernel {
                $(#[$feature])?
                unsafe fn k<F: Tern<$name, T, First = T>, T: Copy>(_: *const u8, b: *const u8, c: *const u8, o: *mut u8, n: usize) {
                    // SAFETY: the caller's.
                    unsafe { tern_number_onto_loop::<$name, F, T>(b, c, o, n) }
                }
                k::<F, T>
            }
            fn tern_numbers<F: Tern<Self, T, First = T>, T: Copy>() -> Kernel {
                $(#[$feature])?
                unsafe fn k<F: Tern<$name, T, First = T>, T: Copy>(a: *const u8, b: *const u8, c: *const u8, o: *mut u8, n: usize) {
                    // SAFETY: the caller's.
                    unsafe { tern_numbers_loop::<$name, F, T>(a, b, c, o, n) }
                }
                k::<F, T>
            }
            fn tern_numbers_onto<F: Tern<Self, T, First = T>, T: Copy>() -> Kernel {
                $(#[$feature])?
                unsafe fn k<F: Tern<$name, T, First = T>, T: Copy>(_: *const u8, b: *const u8, c: *const u8, o: *mut u8, n: usize) {
                    // SAFETY: the caller's.
                    unsafe { tern_numbers_onto_loop::<$name, F, T>(b, c, o, n) }
                }
                k::<F, T>
            }
        }
    };
}

isa! {
    /// What the target promises: SSE2 on x86-64, NEON on aarch64.
    Baseline, fma: cfg!(any(target_feature = "fma", target_arch = "aarch64")),
}
#[cfg(target_arch = "x86_64")]
isa! {
    /// AVX2 with FMA and F16C.
    Avx2, fma: true, #[target_feature(enable = "avx2,fma,f16c,bmi1,bmi2")]
}

#[cfg(target_arch = "x86_64")]
isa! {
    /// AVX-512, for bodies that arithmetic bounds. Its results have AVX2's bits.
    Avx512, fma: true, #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,f16c,bmi1,bmi2")]
}

/// What this machine offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The target's baseline.
    Baseline,
    /// AVX2 with FMA and F16C.
    Avx2,
    /// AVX-512 (F, VL, DQ, BW).
    Avx512,
}

impl Level {
    const NAMED: [(&str, Level); 3] = [("baseline", Level::Baseline), ("avx2", Level::Avx2), ("avx512", Level::Avx512)];
}

/// The best level of this machine, or a lower one that `RUSHLIGHT_SIMD` names (`baseline`, `avx2`, `avx512`); looked up once.
#[inline]
pub fn level() -> Level {
    static LEVEL: OnceLock<Level> = OnceLock::new();
    *LEVEL.get_or_init(|| detect().min(allowed().unwrap_or(Level::Avx512)))
}

/// The environment variable that [`level`] reads.
const ALLOWED: &str = "RUSHLIGHT_SIMD";

fn allowed() -> Option<Level> {
    let name = std::env::var(ALLOWED).ok()?.to_ascii_lowercase();
    Level::NAMED.into_iter().find_map(|(n, level)| (n == name).then_some(level))
}

fn detect() -> Level {
    #[cfg(target_arch = "x86_64")]
    if ["avx2", "fma", "f16c", "bmi1", "bmi2"].iter().all(|f| has(f)) {
        let wide = ["avx512f", "avx512vl", "avx512dq", "avx512bw"].iter().all(|f| has(f));
        return if wide { Level::Avx512 } else { Level::Avx2 };
    }
    Level::Baseline
}

#[cfg(target_arch = "x86_64")]
fn has(feature: &str) -> bool {
    match feature {
        "avx2" => is_x86_feature_detected!("avx2"),
        "fma" => is_x86_feature_detected!("fma"),
        "f16c" => is_x86_feature_detected!("f16c"),
        "bmi1" => is_x86_feature_detected!("bmi1"),
        "bmi2" => is_x86_feature_detected!("bmi2"),
        "avx512f" => is_x86_feature_detected!("avx512f"),
        "avx512vl" => is_x86_feature_detected!("avx512vl"),
        "avx512dq" => is_x86_feature_detected!("avx512dq"),
        "avx512bw" => is_x86_feature_detected!("avx512bw"),
        _ => false,
    }
}

/// Runs the block with `$S` standing for the best instruction set of this machine that every body is compiled for.
macro_rules! with_isa {
    ($S:ident => $body:expr) => {{
        #[cfg(target_arch = "x86_64")]
        if $crate::cpu::simd::isa::level() >= $crate::cpu::simd::isa::Level::Avx2 {
            type $S = $crate::cpu::simd::isa::Avx2;
            return $body;
        }
        type $S = $crate::cpu::simd::isa::Baseline;
        $body
    }};
}
pub(crate) use with_isa;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_of_every_lower_level_pass_the_tests() {
        // A level is looked up once, so each has a process. That starts none itself; Miri runs none.
        if std::env::var_os(ALLOWED).is_some() || cfg!(miri) {
            return;
        }
        for (name, _) in Level::NAMED.into_iter().filter(|(_, lower)| *lower < level()) {
            let child = std::process::Command::new(std::env::current_exe().unwrap()).arg("cpu::").env(ALLOWED, name).output();
            let child = child.expect("the tests' own program starts");
            let said = String::from_utf8_lossy(&child.stdout);
            assert!(child.status.success() && !said.contains(" 0 passed"), "{name}: {said}");
        }
    }
}
