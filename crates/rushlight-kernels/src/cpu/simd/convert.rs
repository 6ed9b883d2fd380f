//! Conversions between element types, tile by tile. f16 and bf16 are converted from and to f32 only: all else goes through f32, as in
//! PyTorch.

#[cfg(target_arch = "x86_64")]
use super::isa::{Avx512, Level, level};
use super::isa::{Isa, Kernel, Un, with_isa};
use super::{Body, run_widest};
use crate::{DType, Element, f16};
use half::slice::HalfFloatSliceExt;

/// `Element::cast` to `U`.
struct Cast<U>(std::marker::PhantomData<U>);

impl<S, T: Element, U: Element> Un<S, T> for Cast<U> {
    type Out = U;
    #[inline(always)]
    fn f(x: T) -> U {
        x.cast()
    }
}

fn cast_to<S: Isa, T: Element>(to: DType) -> Kernel {
    match to {
        DType::Bool => S::un::<Cast<bool>, T>(),
        DType::U8 => S::un::<Cast<u8>, T>(),
        DType::I8 => S::un::<Cast<i8>, T>(),
        DType::I16 => S::un::<Cast<i16>, T>(),
        DType::I32 => S::un::<Cast<i32>, T>(),
        DType::I64 => S::un::<Cast<i64>, T>(),
        DType::F16 | DType::BF16 | DType::F32 => S::un::<Cast<f32>, T>(),
        DType::F64 => S::un::<Cast<f64>, T>(),
    }
}

fn cast_rows<S: Isa>(from: DType, to: DType) -> Kernel {
    match from {
        DType::Bool => cast_to::<S, bool>(to),
        DType::U8 => cast_to::<S, u8>(to),
        DType::I8 => cast_to::<S, i8>(to),
        DType::I16 => cast_to::<S, i16>(to),
        DType::I32 => cast_to::<S, i32>(to),
        DType::I64 => cast_to::<S, i64>(to),
        DType::F16 | DType::BF16 | DType::F32 => cast_to::<S, f32>(to),
        DType::F64 => cast_to::<S, f64>(to),
    }
}

/// Between floats and i64, for which only AVX-512 has instructions.
#[cfg(target_arch = "x86_64")]
fn wide_cast(from: DType, to: DType) -> Option<Kernel> {
    Some(match (from.compute(), to.compute()) {
        (DType::F32, DType::I64) => Avx512::un::<Cast<i64>, f32>(),
        (DType::F32, DType::I32) => Avx512::un::<Cast<i32>, f32>(),
        (DType::F32, DType::U8) => Avx512::un::<Cast<u8>, f32>(),
        (DType::F64, DType::I64) => Avx512::un::<Cast<i64>, f64>(),
        (DType::I64, DType::F32) => Avx512::un::<Cast<f32>, i64>(),
        (DType::I64, DType::F64) => Avx512::un::<Cast<f64>, i64>(),
        _ => return None,
    })
}

/// The kernel that converts registers of `from` to registers of `to` (f16 and bf16 are held as f32, and not yet rounded).
pub(crate) fn cast(from: DType, to: DType) -> Kernel {
    #[cfg(target_arch = "x86_64")]
    if level() >= Level::Avx512
        && let Some(kernel) = wide_cast(from, to)
    {
        return kernel;
    }
    with_isa!(S => cast_rows::<S>(from, to))
}

/// Loads `n` elements of the half type `dtype` at `a` as f32.
///
/// # Safety
/// `a` and `o` are valid for `n` elements and do not overlap.
pub(crate) unsafe fn from_half(dtype: DType, a: *const u8, o: *mut u8, n: usize) {
    // SAFETY: the caller's.
    unsafe {
        let o = std::slice::from_raw_parts_mut(o.cast::<f32>(), n);
        match dtype {
            DType::F16 => std::slice::from_raw_parts(a.cast::<f16>(), n).convert_to_f32_slice(o),
            _ => run_widest(Widen { from: std::slice::from_raw_parts(a.cast(), n), to: o }),
        }
    }
}

/// Stores `n` f32 at `a` as elements of the half type `dtype`.
///
/// # Safety
/// `a` and `o` are valid for `n` elements and do not overlap.
pub(crate) unsafe fn to_half(dtype: DType, a: *const u8, o: *mut u8, n: usize) {
    // SAFETY: the caller's.
    unsafe {
        let a = std::slice::from_raw_parts(a.cast::<f32>(), n);
        match dtype {
            DType::F16 => std::slice::from_raw_parts_mut(o.cast::<f16>(), n).convert_from_f32_slice(a),
            _ => run_widest(Narrow { from: a, to: std::slice::from_raw_parts_mut(o.cast(), n) }),
        }
    }
}

/// Rounds `n` f32 at `a` to values of the half type `dtype`, in place.
///
/// # Safety
/// `a` is valid for reading and writing `n` f32.
pub(crate) unsafe fn round_half(dtype: DType, a: *mut u8, n: usize) {
    // SAFETY: the caller's.
    let a = unsafe { std::slice::from_raw_parts_mut(a.cast::<f32>(), n) };
    if dtype == DType::F16 {
        let mut block = [f16::ZERO; 64];
        for a in a.chunks_mut(block.len()) {
            block[..a.len()].convert_from_f32_slice(a);
            block[..a.len()].convert_to_f32_slice(a);
        }
    } else {
        run_widest(Rounded(a));
    }
}

/// Rounds to nearest even; NaN stays a (quiet) NaN.
#[inline(always)]
fn bf16_bits(x: f32) -> u16 {
    let bits = x.to_bits();
    let rounded = (bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16) as u16;
    if x.is_nan() { (bits >> 16) as u16 | 0x40 } else { rounded }
}

/// bf16 to f32.
struct Widen<'a> {
    from: &'a [u16],
    to: &'a mut [f32],
}

impl Body for Widen<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        for (to, from) in self.to.iter_mut().zip(self.from) {
            *to = f32::from_bits((*from as u32) << 16);
        }
    }
}

/// f32 to bf16.
struct Narrow<'a> {
    from: &'a [f32],
    to: &'a mut [u16],
}

impl Body for Narrow<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        for (to, from) in self.to.iter_mut().zip(self.from) {
            *to = bf16_bits(*from);
        }
    }
}

/// To a value of bf16 and back.
struct Rounded<'a>(&'a mut [f32]);

impl Body for Rounded<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        for x in self.0 {
            *x = f32::from_bits((bf16_bits(*x) as u32) << 16);
        }
    }
}
