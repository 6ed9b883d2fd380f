//! Values that cross a dynamic call, and how they become Rust arguments.

use crate::{DType, Error, Generator, Result, Scalar, Tensor};
use smallvec::SmallVec;
use std::borrow::Cow;

/// A list of sizes, dimensions or steps, as ops take them.
pub type Ints = SmallVec<[i64; 6]>;

/// What a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ArgKind {
    Tensor,
    OptTensor,
    Tensors,
    Scalar,
    OptScalar,
    Float,
    OptFloat,
    OptFloats,
    Int,
    OptInt,
    Bool,
    OptBool,
    Ints,
    OptInts,
    Str,
    OptStr,
    DType,
    OptDType,
    OptGenerator,
}

/// An argument or a result of a dynamic call.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum Value {
    None,
    Tensor(Tensor),
    Tensors(Vec<Tensor>),
    Bool(bool),
    Int(i64),
    Float(f64),
    Ints(Ints),
    Floats(Vec<f64>),
    Str(String),
    DType(DType),
    Generator(Generator),
    /// Something that no parameter takes; the name of its type, for the error's text.
    Other(Box<str>),
}

impl Value {
    /// Python's name of the value's type, for error texts.
    pub fn type_name(&self) -> &str {
        match self {
            Value::None => "NoneType",
            Value::Tensor(_) => "Tensor",
            Value::Tensors(_) => "tuple of Tensors",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float",
            Value::Ints(_) => "tuple of ints",
            Value::Floats(_) => "tuple of floats",
            Value::Str(_) => "str",
            Value::DType(_) => "torch.dtype",
            Value::Generator(_) => "torch.Generator",
            Value::Other(name) => name,
        }
    }
    /// All tensors in it.
    pub fn tensors(&self) -> &[Tensor] {
        match self {
            Value::Tensor(t) => std::slice::from_ref(t),
            Value::Tensors(t) => t,
            _ => &[],
        }
    }
}

/// A Rust parameter type of an op.
pub trait Arg<'a>: Sized {
    /// What Python may pass for it.
    const KIND: ArgKind;
    /// Converts; the error is completed with the op's and the argument's name by the caller.
    fn from_value(v: &'a Value) -> Result<Self>;
}

#[cold]
fn mismatch<T>(wanted: &str, v: &Value) -> Result<T> {
    Err(Error::type_(format!("must be {wanted}, not {}", v.type_name())))
}

macro_rules! args {
    ($($t:ty, $kind:ident, $wanted:literal, $($p:pat => $e:expr),+;)*) => {$(
        impl<'a> Arg<'a> for $t {
            const KIND: ArgKind = ArgKind::$kind;
            fn from_value(v: &'a Value) -> Result<Self> {
                Ok(match v { $($p => $e,)+ v => return mismatch($wanted, v) })
            }
        }
    )*};
}
args! {
    &'a Tensor, Tensor, "Tensor", Value::Tensor(t) => t;
    Option<&'a Tensor>, OptTensor, "Tensor", Value::Tensor(t) => Some(t), Value::None => None;
    &'a [Tensor], Tensors, "tuple of Tensors", Value::Tensors(t) => t, Value::Tensor(t) => std::slice::from_ref(t);
    Scalar, Scalar, "Number", Value::Bool(b) => Scalar::Bool(*b), Value::Int(i) => Scalar::Int(*i), Value::Float(f) => Scalar::Float(*f);
    Option<Scalar>, OptScalar, "Number", Value::None => None, Value::Bool(b) => Some(Scalar::Bool(*b)),
        Value::Int(i) => Some(Scalar::Int(*i)), Value::Float(f) => Some(Scalar::Float(*f));
    f64, Float, "float", Value::Float(f) => *f, Value::Int(i) => *i as f64;
    Option<f64>, OptFloat, "float", Value::None => None, Value::Float(f) => Some(*f), Value::Int(i) => Some(*i as f64);
    Option<&'a [f64]>, OptFloats, "tuple of floats", Value::None => None, Value::Floats(f) => Some(f), Value::Float(f) => Some(std::slice::from_ref(f));
    i64, Int, "int", Value::Int(i) => *i;
    Option<i64>, OptInt, "int", Value::None => None, Value::Int(i) => Some(*i);
    bool, Bool, "bool", Value::Bool(b) => *b;
    Option<bool>, OptBool, "bool", Value::None => None, Value::Bool(b) => Some(*b);
    &'a [i64], Ints, "tuple of ints", Value::Ints(i) => i, Value::Int(i) => std::slice::from_ref(i);
    Option<&'a [i64]>, OptInts, "tuple of ints", Value::None => None, Value::Ints(i) => Some(i), Value::Int(i) => Some(std::slice::from_ref(i));
    &'a str, Str, "str", Value::Str(s) => s;
    Option<&'a str>, OptStr, "str", Value::None => None, Value::Str(s) => Some(s);
    DType, DType, "dtype", Value::DType(d) => *d;
    Option<DType>, OptDType, "dtype", Value::None => None, Value::DType(d) => Some(*d);
    Option<&'a Generator>, OptGenerator, "Generator", Value::None => None, Value::Generator(g) => Some(g);
}

/// A result type of an op.
pub trait IntoValue {
    /// As a dynamic value.
    fn into_value(self) -> Value;
}
impl IntoValue for Tensor {
    fn into_value(self) -> Value {
        Value::Tensor(self)
    }
}
impl IntoValue for Vec<Tensor> {
    fn into_value(self) -> Value {
        Value::Tensors(self)
    }
}
impl IntoValue for (Tensor, Tensor) {
    fn into_value(self) -> Value {
        Value::Tensors(vec![self.0, self.1])
    }
}
impl IntoValue for (Tensor, Tensor, Tensor) {
    fn into_value(self) -> Value {
        Value::Tensors(vec![self.0, self.1, self.2])
    }
}
impl IntoValue for bool {
    fn into_value(self) -> Value {
        Value::Bool(self)
    }
}

/// What a method takes where the op takes a tensor: a tensor, a reference to one, or a number (which promotes as Python numbers do).
pub trait AsTensor {
    /// The tensor.
    fn as_tensor(&self) -> Cow<'_, Tensor>;
}
impl AsTensor for Tensor {
    fn as_tensor(&self) -> Cow<'_, Tensor> {
        Cow::Borrowed(self)
    }
}
impl<T: AsTensor + ?Sized> AsTensor for &T {
    fn as_tensor(&self) -> Cow<'_, Tensor> {
        (**self).as_tensor()
    }
}
macro_rules! number_as_tensor {
    ($($t:ty)*) => {$(
        impl AsTensor for $t {
            fn as_tensor(&self) -> Cow<'_, Tensor> { Cow::Owned(Tensor::wrapped_number(Scalar::from(*self))) }
        }
    )*};
}
number_as_tensor!(bool u8 i32 i64 usize f32 f64);
impl AsTensor for Scalar {
    fn as_tensor(&self) -> Cow<'_, Tensor> {
        Cow::Owned(Tensor::wrapped_number(*self))
    }
}

/// What a method takes where the op takes a list of integers: one integer, an array, a slice, a vector.
pub trait AsInts {
    /// The list.
    fn as_ints(&self) -> Ints;
}
/// As `collect`, which is slow for the few integers that a call has.
#[inline]
pub(crate) fn ints(list: impl Iterator<Item = i64>) -> Ints {
    let mut ints = Ints::new();
    list.for_each(|i| ints.push(i));
    ints
}
macro_rules! as_ints {
    ($($t:ty)*) => {$(
        impl AsInts for $t { fn as_ints(&self) -> Ints { Ints::from_slice(&[*self as i64]) } }
        impl<const N: usize> AsInts for [$t; N] { fn as_ints(&self) -> Ints { ints(self.iter().map(|&i| i as i64)) } }
        impl AsInts for [$t] { fn as_ints(&self) -> Ints { ints(self.iter().map(|&i| i as i64)) } }
        impl AsInts for Vec<$t> { fn as_ints(&self) -> Ints { ints(self.iter().map(|&i| i as i64)) } }
        impl<const N: usize> AsInts for SmallVec<[$t; N]> { fn as_ints(&self) -> Ints { ints(self.iter().map(|&i| i as i64)) } }
    )*};
}
as_ints!(i32 i64 isize usize);
impl<T: AsInts + ?Sized> AsInts for &T {
    fn as_ints(&self) -> Ints {
        (**self).as_ints()
    }
}

/// As [`AsInts`], and `..` for all dimensions (Python's `None`).
pub trait AsOptInts {
    /// The list, or `None` for `..`.
    fn as_opt_ints(&self) -> Option<Ints>;
}
impl<T: AsInts> AsOptInts for T {
    fn as_opt_ints(&self) -> Option<Ints> {
        Some(self.as_ints())
    }
}
impl AsOptInts for std::ops::RangeFull {
    fn as_opt_ints(&self) -> Option<Ints> {
        None
    }
}

/// What a method takes where the op takes an optional number: a number, or `None::<f64>`.
pub trait AsOptScalar {
    /// The number.
    fn as_opt_scalar(&self) -> Option<Scalar>;
}
impl AsOptScalar for Scalar {
    fn as_opt_scalar(&self) -> Option<Scalar> {
        Some(*self)
    }
}
macro_rules! as_opt_scalar {
    ($($t:ty)*) => {$( impl AsOptScalar for $t { fn as_opt_scalar(&self) -> Option<Scalar> { Some(Scalar::from(*self)) } } )*};
}
as_opt_scalar!(bool u8 i32 i64 usize f32 f64);
impl<T: Into<Scalar> + Copy> AsOptScalar for Option<T> {
    fn as_opt_scalar(&self) -> Option<Scalar> {
        self.map(Into::into)
    }
}

/// Completes the error of [`Arg::from_value`] with the op and the argument: `sum(): argument 'dim' (position 2) must be tuple of ints, not str`.
#[cold]
pub fn argument_error(e: Error, op: &str, name: &str, position: Option<usize>) -> Error {
    let place = position.map_or(String::new(), |p| format!(" (position {p})"));
    Error::new(e.kind(), format!("{op}(): argument '{name}'{place} {}", e.message()))
}
