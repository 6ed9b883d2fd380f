//! Element types: what a tensor can hold, how types promote, and how one value becomes another.

use half::{bf16, f16};
use std::fmt;

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum DType {
    /// `true` or `false`, one byte.
    Bool,
    /// Unsigned 8-bit integer.
    U8,
    /// Signed 8-bit integer.
    I8,
    /// Signed 16-bit integer.
    I16,
    /// Signed 32-bit integer.
    I32,
    /// Signed 64-bit integer: PyTorch's default integer type and the type of indices.
    I64,
    /// IEEE half precision.
    F16,
    /// The upper half of an f32.
    BF16,
    /// Single precision: the default floating type.
    F32,
    /// Double precision.
    F64,
}

impl DType {
    /// Every dtype, in promotion order within a category.
    pub const ALL: [DType; 10] =
        [DType::Bool, DType::U8, DType::I8, DType::I16, DType::I32, DType::I64, DType::F16, DType::BF16, DType::F32, DType::F64];

    /// Bytes per element.
    pub const fn size(self) -> usize {
        match self {
            DType::Bool | DType::U8 | DType::I8 => 1,
            DType::I16 | DType::F16 | DType::BF16 => 2,
            DType::I32 | DType::F32 => 4,
            DType::I64 | DType::F64 => 8,
        }
    }
    /// f16, bf16, f32 or f64.
    pub const fn is_float(self) -> bool {
        matches!(self, DType::F16 | DType::BF16 | DType::F32 | DType::F64)
    }
    /// An integer type; `Bool` is not one.
    pub const fn is_int(self) -> bool {
        !self.is_float() && !matches!(self, DType::Bool)
    }
    /// Can hold negative numbers.
    pub const fn is_signed(self) -> bool {
        !matches!(self, DType::Bool | DType::U8)
    }
    /// PyTorch's name: `float32`, `int64`, `bool`, …
    pub const fn name(self) -> &'static str {
        match self {
            DType::Bool => "bool",
            DType::U8 => "uint8",
            DType::I8 => "int8",
            DType::I16 => "int16",
            DType::I32 => "int32",
            DType::I64 => "int64",
            DType::F16 => "float16",
            DType::BF16 => "bfloat16",
            DType::F32 => "float32",
            DType::F64 => "float64",
        }
    }
    /// The name that PyTorch's error texts use: `Float`, `Long`, `Bool`, …
    pub const fn scalar_type_name(self) -> &'static str {
        match self {
            DType::Bool => "Bool",
            DType::U8 => "Byte",
            DType::I8 => "Char",
            DType::I16 => "Short",
            DType::I32 => "Int",
            DType::I64 => "Long",
            DType::F16 => "Half",
            DType::BF16 => "BFloat16",
            DType::F32 => "Float",
            DType::F64 => "Double",
        }
    }
    /// The dtype called `name`; PyTorch's aliases (`float`, `double`, `long`, `half`, …) count.
    pub fn from_name(name: &str) -> Option<DType> {
        Some(match name {
            "bool" => DType::Bool,
            "uint8" => DType::U8,
            "int8" => DType::I8,
            "int16" | "short" => DType::I16,
            "int32" | "int" => DType::I32,
            "int64" | "long" => DType::I64,
            "float16" | "half" => DType::F16,
            "bfloat16" => DType::BF16,
            "float32" | "float" => DType::F32,
            "float64" | "double" => DType::F64,
            _ => return None,
        })
    }
    /// The type both `self` and `other` promote to (PyTorch's `promote_types` table).
    pub fn promote(self, other: DType) -> DType {
        use DType::*;
        match (self, other) {
            (a, b) if a == b => a,
            (Bool, x) | (x, Bool) => x,
            (a, b) if a.is_float() != b.is_float() => {
                if a.is_float() {
                    a
                } else {
                    b
                }
            }
            (F16, BF16) | (BF16, F16) => F32,
            (a, b) if a.is_float() => a.max(b),
            (U8, I8) | (I8, U8) => I16,
            (U8, x) | (x, U8) => x,
            (a, b) => a.max(b),
        }
    }
    /// The type in which arithmetic on `self` is done: f16 and bf16 compute in f32.
    pub const fn compute(self) -> DType {
        match self {
            DType::F16 | DType::BF16 => DType::F32,
            d => d,
        }
    }
    /// Smallest and largest finite values, as f64 (exact for all but the ends of i64).
    pub fn finite_range(self) -> (f64, f64) {
        match self {
            DType::Bool => (0.0, 1.0),
            DType::U8 => (0.0, 255.0),
            DType::I8 => (-128.0, 127.0),
            DType::I16 => (i16::MIN as f64, i16::MAX as f64),
            DType::I32 => (i32::MIN as f64, i32::MAX as f64),
            DType::I64 => (i64::MIN as f64, i64::MAX as f64),
            DType::F16 => (-65504.0, 65504.0),
            DType::BF16 => (bf16::MIN.to_f64(), bf16::MAX.to_f64()),
            DType::F32 => (f32::MIN as f64, f32::MAX as f64),
            DType::F64 => (f64::MIN, f64::MAX),
        }
    }
    /// The gap between 1 and the next larger number; 0 for integers.
    pub fn epsilon(self) -> f64 {
        match self {
            DType::F16 => f16::EPSILON.to_f64(),
            DType::BF16 => bf16::EPSILON.to_f64(),
            DType::F32 => f32::EPSILON as f64,
            DType::F64 => f64::EPSILON,
            _ => 0.0,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One number, without a tensor around it: PyTorch's `Scalar`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar {
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating number.
    Float(f64),
}

impl Scalar {
    /// As f64; `true` is 1.
    pub fn to_f64(self) -> f64 {
        match self {
            Scalar::Bool(b) => b as u8 as f64,
            Scalar::Int(i) => i as f64,
            Scalar::Float(f) => f,
        }
    }
    /// As i64; fractions are cut off.
    pub fn to_i64(self) -> i64 {
        match self {
            Scalar::Bool(b) => b as i64,
            Scalar::Int(i) => i,
            Scalar::Float(f) => f as i64,
        }
    }
    /// Not zero (NaN is true, as in C).
    pub fn to_bool(self) -> bool {
        match self {
            Scalar::Bool(b) => b,
            Scalar::Int(i) => i != 0,
            Scalar::Float(f) => f != 0.0,
        }
    }
    /// The dtype category it promotes as: bool, int64 or float64.
    pub fn dtype(self) -> DType {
        match self {
            Scalar::Bool(_) => DType::Bool,
            Scalar::Int(_) => DType::I64,
            Scalar::Float(_) => DType::F64,
        }
    }
    /// The value as an element of type `T`, by the casting rules of [`Element::cast`].
    pub fn to<T: Element>(self) -> T {
        match self {
            Scalar::Bool(b) => b.cast(),
            Scalar::Int(i) => i.cast(),
            Scalar::Float(f) => f.cast(),
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Bool(b) => f.write_str(if *b { "True" } else { "False" }),
            Scalar::Int(i) => write!(f, "{i}"),
            Scalar::Float(x) => write!(f, "{x:?}"),
        }
    }
}

macro_rules! scalar_from {
    ($($t:ty => $v:ident as $c:ty),* $(,)?) => {$(
        impl From<$t> for Scalar { fn from(x: $t) -> Scalar { Scalar::$v(x as $c) } }
    )*};
}
scalar_from!(bool => Bool as bool, u8 => Int as i64, i8 => Int as i64, i16 => Int as i64, i32 => Int as i64, i64 => Int as i64,
    u32 => Int as i64, usize => Int as i64, isize => Int as i64, f32 => Float as f64, f64 => Float as f64);

/// A Rust type that a tensor can hold. Sealed: exactly the types of [`DType`].
pub trait Element: Copy + Send + Sync + PartialEq + PartialOrd + Default + fmt::Debug + sealed::Sealed + 'static {
    /// Its dtype.
    const DTYPE: DType;
    /// As f64 (exact for all but large i64).
    fn to_f64(self) -> f64;
    /// As i64: floats are cut towards zero and saturate, NaN gives 0.
    fn to_i64(self) -> i64;
    /// From f64, rounded to nearest; to an integer as a cut i64 that wraps, to bool as `!= 0`.
    fn from_f64(x: f64) -> Self;
    /// From i64, wrapping for narrower integers, rounded for floats.
    fn from_i64(x: i64) -> Self;
    /// As a [`Scalar`].
    fn to_scalar(self) -> Scalar;
    /// Not zero.
    fn is_true(self) -> bool;

    /// This value as a `U`, as PyTorch's `Tensor.to(dtype)` converts it.
    #[inline(always)]
    fn cast<U: Element>(self) -> U {
        if matches!(U::DTYPE, DType::Bool) {
            U::from_i64(self.is_true() as i64)
        } else if Self::DTYPE.is_float() {
            U::from_f64(self.to_f64())
        } else {
            U::from_i64(self.to_i64())
        }
    }
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! element_int {
    ($($t:ident $d:ident),*) => {$(
        impl sealed::Sealed for $t {}
        impl Element for $t {
            const DTYPE: DType = DType::$d;
            #[inline(always)] fn to_f64(self) -> f64 { self as f64 }
            #[inline(always)] fn to_i64(self) -> i64 { self as i64 }
            #[inline(always)] fn from_f64(x: f64) -> Self { x as i64 as $t }
            #[inline(always)] fn from_i64(x: i64) -> Self { x as $t }
            #[inline(always)] fn to_scalar(self) -> Scalar { Scalar::Int(self as i64) }
            #[inline(always)] fn is_true(self) -> bool { self != 0 }
        }
    )*};
}
element_int!(u8 U8, i8 I8, i16 I16, i32 I32, i64 I64);

macro_rules! element_float {
    ($($t:ident $d:ident)*) => {$(
        impl sealed::Sealed for $t {}
        impl Element for $t {
            const DTYPE: DType = DType::$d;
            #[inline(always)] fn to_f64(self) -> f64 { self as f64 }
            #[inline(always)] fn to_i64(self) -> i64 { self as i64 }
            #[inline(always)] fn from_f64(x: f64) -> Self { x as $t }
            #[inline(always)] fn from_i64(x: i64) -> Self { x as $t }
            #[inline(always)] fn to_scalar(self) -> Scalar { Scalar::Float(self as f64) }
            #[inline(always)] fn is_true(self) -> bool { self != 0.0 }
        }
    )*};
}
element_float!(f32 F32 f64 F64);

macro_rules! element_half {
    ($($t:ident $d:ident)*) => {$(
        impl sealed::Sealed for $t {}
        impl Element for $t {
            const DTYPE: DType = DType::$d;
            #[inline(always)] fn to_f64(self) -> f64 { self.to_f32() as f64 }
            #[inline(always)] fn to_i64(self) -> i64 { self.to_f32() as i64 }
            // By way of f32, as PyTorch converts: two roundings, in rare ties not the nearest.
            #[inline(always)] fn from_f64(x: f64) -> Self { $t::from_f32(x as f32) }
            #[inline(always)] fn from_i64(x: i64) -> Self { $t::from_f32(x as f32) }
            #[inline(always)] fn to_scalar(self) -> Scalar { Scalar::Float(self.to_f32() as f64) }
            #[inline(always)] fn is_true(self) -> bool { self.to_f32() != 0.0 }
        }
    )*};
}
element_half!(f16 F16 bf16 BF16);

impl sealed::Sealed for bool {}
impl Element for bool {
    const DTYPE: DType = DType::Bool;
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self as u8 as f64
    }
    #[inline(always)]
    fn to_i64(self) -> i64 {
        self as i64
    }
    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        x != 0.0
    }
    #[inline(always)]
    fn from_i64(x: i64) -> Self {
        x != 0
    }
    #[inline(always)]
    fn to_scalar(self) -> Scalar {
        Scalar::Bool(self)
    }
    #[inline(always)]
    fn is_true(self) -> bool {
        self
    }
}

/// Runs the block once with `$T` standing for the Rust type of `$dtype`.
///
/// `dispatch!(dtype, T => { … })` covers every dtype; a list in brackets narrows it, and then an `else` arm is needed:
/// `dispatch!(dtype, [F32 F64], T => { … }, else => { … })`.
#[macro_export]
macro_rules! dispatch {
    ($d:expr, $T:ident => $body:expr) => {
        match $d {
            $crate::DType::Bool => { type $T = bool; $body }
            $crate::DType::U8 => { type $T = u8; $body }
            $crate::DType::I8 => { type $T = i8; $body }
            $crate::DType::I16 => { type $T = i16; $body }
            $crate::DType::I32 => { type $T = i32; $body }
            $crate::DType::I64 => { type $T = i64; $body }
            $crate::DType::F16 => { type $T = $crate::f16; $body }
            $crate::DType::BF16 => { type $T = $crate::bf16; $body }
            $crate::DType::F32 => { type $T = f32; $body }
            $crate::DType::F64 => { type $T = f64; $body }
        }
    };
    ($d:expr, [$($v:ident)*], $T:ident => $body:expr, else => $other:expr) => {
        match $d {
            $($crate::DType::$v => { type $T = $crate::rust_type!($v); $body })*
            #[allow(unreachable_patterns)]
            _ => $other,
        }
    };
}

/// The Rust type behind a `DType` variant.
#[doc(hidden)]
#[macro_export]
macro_rules! rust_type {
    (Bool) => {
        bool
    };
    (U8) => {
        u8
    };
    (I8) => {
        i8
    };
    (I16) => {
        i16
    };
    (I32) => {
        i32
    };
    (I64) => {
        i64
    };
    (F16) => {
        $crate::f16
    };
    (BF16) => {
        $crate::bf16
    };
    (F32) => {
        f32
    };
    (F64) => {
        f64
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promotion_is_commutative_and_matches_known_rows() {
        for a in DType::ALL {
            for b in DType::ALL {
                assert_eq!(a.promote(b), b.promote(a), "{a} {b}");
            }
        }
        assert_eq!(DType::U8.promote(DType::I8), DType::I16);
        assert_eq!(DType::F16.promote(DType::BF16), DType::F32);
        assert_eq!(DType::I64.promote(DType::F16), DType::F16);
    }

    #[test]
    fn casts_cut_wrap_and_round() {
        assert_eq!((-1.5f32).cast::<u8>(), 255);
        assert_eq!(300i32.cast::<i8>(), 44);
        assert!(f32::NAN.cast::<bool>());
        assert_eq!(16_777_217i64.cast::<f32>(), 16_777_216.0);
    }
}
