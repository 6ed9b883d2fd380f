//! From the rows of the scalar table to tile kernels.

use super::corrected::{CosRow, FloorDivRow, FmodRow, RemainderRow, SinRow, SincRow, TanRow, dividing, turning};
use super::isa::{Bin, Isa, Kernel, Tern, Un, with_isa};
use super::{Int, Real};
use crate::scalar::{bin_table, tern_table, un_table};
use crate::{BinOp, DType, Inst, Reg, TernOp, UnOp, bf16, f16};
use std::marker::PhantomData;

/// The `float` expression of row `M`.
struct Float<M>(PhantomData<M>);
/// The `int` expression of row `M`.
struct Integer<M>(PhantomData<M>);
/// The `bool` expression of row `M`.
struct Truth<M>(PhantomData<M>);
/// The `any` expression of row `M`.
struct Any<M>(PhantomData<M>);

macro_rules! out_type {
    ($T:ident) => {
        $T
    };
    ($T:ident bool) => {
        bool
    };
}

/// One expression of a row as an implementation of `Un`, `Bin` or `Tern`.
macro_rules! body {
    (float un $m:path, |$x:ident| $e:expr, [$($r:ident)?]) => {
        impl<S: Isa, T: Real> Un<S, T> for Float<$m> {
            type Out = out_type!(T $($r)?);
            #[inline(always)]
            fn f($x: T) -> Self::Out { $e }
        }
    };
    (int un $m:path, |$x:ident| $e:expr, [$($r:ident)?]) => {
        impl<S: Isa, T: Int> Un<S, T> for Integer<$m> {
            type Out = out_type!(T $($r)?);
            #[inline(always)]
            fn f($x: T) -> Self::Out { $e }
        }
    };
    (bool un $m:path, |$x:ident| $e:expr, [$($r:ident)?]) => {
        impl<S: Isa> Un<S, bool> for Truth<$m> {
            type Out = bool;
            #[inline(always)]
            fn f($x: bool) -> bool { $e }
        }
    };
    (float bin $m:path, |$a:ident, $b:ident| $e:expr, [$($r:ident)?]) => {
        impl<S: Isa, T: Real> Bin<S, T> for Float<$m> {
            type Out = out_type!(T $($r)?);
            #[inline(always)]
            fn f($a: T, $b: T) -> Self::Out { $e }
        }
    };
    (int bin $m:path, |$a:ident, $b:ident| $e:expr, [$($r:ident)?]) => {
        impl<S: Isa, T: Int> Bin<S, T> for Integer<$m> {
            type Out = out_type!(T $($r)?);
            #[inline(always)]
            fn f($a: T, $b: T) -> Self::Out { $e }
        }
    };
    (bool bin $m:path, |$a:ident, $b:ident| $e:expr, [$($r:ident)?]) => {
        impl<S: Isa> Bin<S, bool> for Truth<$m> {
            type Out = bool;
            #[inline(always)]
            fn f($a: bool, $b: bool) -> bool { $e }
        }
    };
    (float tern $m:path, |$a:ident, $b:ident, $c:ident| $e:expr, []) => {
        impl<S: Isa, T: Real> Tern<S, T> for Float<$m> {
            type First = T;
            #[inline(always)]
            fn f($a: T, $b: T, $c: T) -> T { $e }
        }
    };
    (int tern $m:path, |$a:ident, $b:ident, $c:ident| $e:expr, []) => {
        impl<S: Isa, T: Int> Tern<S, T> for Integer<$m> {
            type First = T;
            #[inline(always)]
            fn f($a: T, $b: T, $c: T) -> T { $e }
        }
    };
    (any tern $m:path, |$a:ident, $b:ident, $c:ident| $e:expr, []) => {
        impl<S: Isa, T: Copy> Tern<S, T> for Any<$m> {
            type First = bool;
            #[inline(always)]
            fn f($a: bool, $b: T, $c: T) -> T { $e }
        }
    };
}

/// All expressions of a row; `$r` is `[]` or `[bool]`.
macro_rules! bodies {
    ($arity:ident $module:ident $v:ident $r:tt $({ $kind:ident |$($x:ident),*| $e:expr })*) => {
        $(body!($kind $arity $module::$v, |$($x),*| $e, $r);)*
    };
}

/// Returns the kernel of one kind of a row if `$d` is among its dtypes.
macro_rules! arm {
    (float $S:ident $arity:ident $m:path, $d:ident) => {
        match $d {
            DType::F16 | DType::BF16 | DType::F32 => return Some($S::$arity::<Float<$m>, f32>()),
            DType::F64 => return Some($S::$arity::<Float<$m>, f64>()),
            _ => {}
        }
    };
    (int $S:ident $arity:ident $m:path, $d:ident) => {
        match $d {
            DType::U8 => return Some($S::$arity::<Integer<$m>, u8>()),
            DType::I8 => return Some($S::$arity::<Integer<$m>, i8>()),
            DType::I16 => return Some($S::$arity::<Integer<$m>, i16>()),
            DType::I32 => return Some($S::$arity::<Integer<$m>, i32>()),
            DType::I64 => return Some($S::$arity::<Integer<$m>, i64>()),
            _ => {}
        }
    };
    (bool $S:ident $arity:ident $m:path, $d:ident) => {
        if $d == DType::Bool {
            return Some($S::$arity::<Truth<$m>, bool>());
        }
    };
    // Moves bits only: the type is just a width.
    (any $S:ident $arity:ident $m:path, $d:ident) => {
        return Some(match $d.compute().size() {
            1 => $S::$arity::<Any<$m>, u8>(),
            2 => $S::$arity::<Any<$m>, u16>(),
            4 => $S::$arity::<Any<$m>, u32>(),
            _ => $S::$arity::<Any<$m>, u64>(),
        })
    };
}

macro_rules! make_kernels {
    ($module:ident $arity:ident $name:ident: $(
        $(#[$row:meta])* $v:ident $n:literal $text:literal $cost:literal $(-> $r:ident)?
        { $($kind:ident: |$($x:ident),*| $e:expr),* }
    )*) => {
        /// One empty type per row.
        mod $module { $(pub(super) struct $v;)* }
        $(bodies!($arity $module $v [$($r)?] $({ $kind |$($x),*| $e })*);)*

        #[allow(unreachable_code, reason = "an `any` row returns at once")]
        fn $module<S: Isa>(op: $name, dtype: DType) -> Option<Kernel> {
            match op { $($name::$v => { $(arm!($kind S $arity $module::$v, dtype);)* })* }
            None
        }
    };
}
macro_rules! un_kernels { ($($t:tt)*) => { make_kernels! { un_rows un UnOp: $($t)* } }; }
macro_rules! bin_kernels { ($($t:tt)*) => { make_kernels! { bin_rows bin BinOp: $($t)* } }; }
macro_rules! tern_kernels { ($($t:tt)*) => { make_kernels! { tern_rows tern TernOp: $($t)* } }; }
un_table!(un_kernels);
bin_table!(bin_kernels);
tern_table!(tern_kernels);

/// The kernel of `op` for operands of `dtype` (f16 and bf16: held as f32), or `None` where the row does not accept it.
pub(crate) fn un(op: UnOp, dtype: DType) -> Option<Kernel> {
    match (op, dtype.compute()) {
        (UnOp::Sin, DType::F32) => Some(turning::<SinRow, f32>),
        (UnOp::Cos, DType::F32) => Some(turning::<CosRow, f32>),
        (UnOp::Tan, DType::F32) => Some(turning::<TanRow, f32>),
        (UnOp::Sinc, DType::F32) => Some(turning::<SincRow, f32>),
        (UnOp::Sin, DType::F64) => Some(turning::<SinRow, f64>),
        (UnOp::Cos, DType::F64) => Some(turning::<CosRow, f64>),
        (UnOp::Sinc, DType::F64) => Some(turning::<SincRow, f64>),
        (_, dtype) => row(op, dtype),
    }
}

/// The kernel of a row as the table has it.
pub(super) fn row(op: UnOp, dtype: DType) -> Option<Kernel> {
    avx512::un(op, dtype).or_else(|| with_isa!(S => un_rows::<S>(op, dtype)))
}

/// AVX-512 kernels of the rows that are worth their compile time: those that arithmetic bounds, and the most frequent ones, which run
/// faster while their operands lie in the caches near the core.
#[cfg(target_arch = "x86_64")]
mod avx512 {
    use super::super::isa::{Avx512 as S, Level, level};
    use super::super::wide;
    use super::*;

    macro_rules! rows {
        ($arity:ident $module:ident $name:ident, $op:ident, $T:ty: $($v:ident)*) => {
            match $op {
                $($name::$v => Some(S::$arity::<Float<$module::$v>, $T>()),)*
                _ => None,
            }
        };
    }

    pub(super) fn un(op: UnOp, dtype: DType) -> Option<Kernel> {
        match dtype {
            _ if level() < Level::Avx512 => None,
            DType::F32 if op == UnOp::Gelu => Some(wide::gelu),
            DType::F32 if op == UnOp::Sigmoid => Some(wide::sigmoid),
            DType::F32 if op == UnOp::Silu => Some(wide::silu),
            DType::F32 => {
                rows!(un un_rows UnOp, op, f32: Neg Abs Square Relu Reciprocal Sqrt Rsqrt Exp Exp2 Expm1 Log Log2 Log10 Log1p Sin Cos
                Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh Sinc Tanh Erf Erfc Erfinv LogSigmoid Softplus GeluTanh
                Hardsigmoid Hardswish)
            }
            DType::F64 => {
                rows!(un un_rows UnOp, op, f64: Neg Abs Square Relu Reciprocal Sqrt Exp Log Sin Cos Sinc Tanh Sigmoid GeluTanh Silu)
            }
            _ => None,
        }
    }

    pub(super) fn bin(op: BinOp, dtype: DType) -> Option<Kernel> {
        match dtype {
            _ if level() < Level::Avx512 => None,
            DType::F32 => {
                rows!(bin bin_rows BinOp, op, f32: Add Sub Mul Div Max Min Pow Xlogy Logaddexp FloorDiv Remainder Fmod Atan2 Hypot Nextafter LeakyRelu NanToNum Eq Ne Lt Le Gt Ge)
            }
            DType::F64 => {
                rows!(bin bin_rows BinOp, op, f64: Add Sub Mul Div Max Min Xlogy FloorDiv Remainder Fmod Nextafter Eq Ne Lt Le Gt Ge)
            }
            _ => None,
        }
    }

    pub(super) fn tern(op: TernOp, dtype: DType) -> Option<Kernel> {
        match dtype {
            _ if level() < Level::Avx512 => None,
            DType::F32 if op == TernOp::Where => Some(S::tern::<Any<tern_rows::Where>, u32>()),
            DType::F32 => rows!(tern tern_rows TernOp, op, f32: Clamp Lerp MulAdd),
            _ => None,
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod avx512 {
    use super::*;
    pub(super) fn un(_: UnOp, _: DType) -> Option<Kernel> {
        None
    }
    pub(super) fn bin(_: BinOp, _: DType) -> Option<Kernel> {
        None
    }
    pub(super) fn tern(_: TernOp, _: DType) -> Option<Kernel> {
        None
    }
}

/// As [`un`].
pub(crate) fn bin(op: BinOp, dtype: DType) -> Option<Kernel> {
    match (op, dtype) {
        // The one primitive that must know the width of the type that is held as f32.
        (BinOp::Nextafter, DType::F16) => Some(isa_free::<HalfNextafter<f16>>()),
        (BinOp::Nextafter, DType::BF16) => Some(isa_free::<HalfNextafter<bf16>>()),
        (BinOp::Fmod, DType::F64) => Some(dividing::<FmodRow, f64>),
        (BinOp::Remainder, DType::F64) => Some(dividing::<RemainderRow, f64>),
        (BinOp::FloorDiv, DType::F64) => Some(dividing::<FloorDivRow, f64>),
        (BinOp::Fmod, d) if d.is_float() => Some(dividing::<FmodRow, f32>),
        (BinOp::Remainder, d) if d.is_float() => Some(dividing::<RemainderRow, f32>),
        (BinOp::FloorDiv, d) if d.is_float() => Some(dividing::<FloorDivRow, f32>),
        _ => bin_row(op, dtype),
    }
}

/// The kernel of a row as the table has it.
pub(super) fn bin_row(op: BinOp, dtype: DType) -> Option<Kernel> {
    avx512::bin(op, dtype.compute()).or_else(|| with_isa!(S => bin_rows::<S>(op, dtype)))
}

/// As [`un`]; `dtype` is that of the second and third operands.
pub(crate) fn tern(op: TernOp, dtype: DType) -> Option<Kernel> {
    avx512::tern(op, dtype.compute()).or_else(|| with_isa!(S => tern_rows::<S>(op, dtype)))
}

/// How the operands of a frequent instruction lie, where a kernel of its own spares a copy.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The first operand is replaced by the result.
    Onto,
    /// The second is one element for all.
    Number,
    /// Both.
    NumberOnto,
    /// The first is one element for all, which the kernel takes as its second operand.
    FromNumber,
}

/// The kernel of an instruction on operands of `dtype`, one of which its result replaces, or some of which are one element for all
/// (`is_number`), and the operands that it takes; `None` where only the general kernel serves.
pub(crate) fn special(
    inst: Inst,
    dtype: DType,
    replaced: Option<Reg>,
    is_number: impl Fn(Reg) -> bool,
) -> Option<(Kernel, [Reg; 3])> {
    let (op, [a, b]) = match inst {
        Inst::Un(op, a) if replaced == Some(a) => return Some((un_onto(op, dtype)?, [a; 3])),
        Inst::Bin(op, a, b) if a != b => (op, [a, b]),
        Inst::Tern(op, a, b, c) => return special_of_three(op, dtype, [a, b, c], replaced, is_number),
        _ => return None,
    };
    let commutes = matches!(op, BinOp::Add | BinOp::Mul);
    // Numbers and what is replaced where the kernels want them.
    let [a, b] = if commutes && (is_number(a) || replaced == Some(b)) { [b, a] } else { [a, b] };
    let (form, operands) = match (is_number(a), is_number(b)) {
        (false, false) if replaced == Some(a) => (Form::Onto, [a, b, b]),
        (false, true) if replaced == Some(a) => (Form::NumberOnto, [a, b, b]),
        (false, true) if replaced.is_none() => (Form::Number, [a, b, b]),
        (true, false) if replaced.is_none() => (Form::FromNumber, [b, a, a]),
        _ => return None,
    };
    Some((with_widest(dtype, Row { op, form })?, operands))
}

/// [`special`] of a ternary instruction: with numbers in the usual places only.
fn special_of_three(
    op: TernOp,
    dtype: DType,
    [a, b, c]: [Reg; 3],
    replaced: Option<Reg>,
    is_number: impl Fn(Reg) -> bool,
) -> Option<(Kernel, [Reg; 3])> {
    struct Row {
        op: TernOp,
        onto: bool,
    }
    impl Choice for Row {
        fn kernel<S: Isa, T: Real>(&self) -> Option<Kernel> {
            use tern_rows as rows;
            Some(match (self.op, self.onto) {
                (TernOp::Clamp, false) => S::tern_numbers::<Float<rows::Clamp>, T>(),
                (TernOp::Clamp, true) => S::tern_numbers_onto::<Float<rows::Clamp>, T>(),
                (TernOp::Lerp, false) => S::tern_number::<Float<rows::Lerp>, T>(),
                (TernOp::Lerp, true) => S::tern_number_onto::<Float<rows::Lerp>, T>(),
                (TernOp::MulAdd, false) => S::tern_number::<AddMul, T>(),
                (TernOp::MulAdd, true) => S::tern_number_onto::<AddMul, T>(),
                (TernOp::Where, _) => return None,
            })
        }
    }
    // What may be replaced first, numbers last.
    let (operands, numbers) = match op {
        TernOp::Clamp => ([a, b, c], [false, true, true]),
        TernOp::Lerp => ([a, b, c], [false, false, true]),
        TernOp::MulAdd if is_number(a) => ([c, b, a], [false, false, true]),
        TernOp::MulAdd => ([c, a, b], [false, false, true]),
        TernOp::Where => return None,
    };
    let fits = operands.map(is_number) == numbers && replaced.is_none_or(|r| r == operands[0] && r != operands[1]);
    fits.then(|| with_widest(dtype, Row { op, onto: replaced.is_some() })).flatten().map(|k| (k, operands))
}

/// `a + b * c` as [`TernOp::MulAdd`] computes it.
struct AddMul;
impl<S: Isa, T: Real> Tern<S, T> for AddMul {
    type First = T;
    #[inline(always)]
    fn f(a: T, b: T, c: T) -> T {
        <Float<tern_rows::MulAdd> as Tern<S, T>>::f(b, c, a)
    }
}

/// The kernel of `a + b * c` for a number c, rounded twice as the two instructions do; where `onto`, the result replaces a.
pub(crate) fn scaled_sum(dtype: DType, onto: bool) -> Option<Kernel> {
    struct Scaled(bool);
    impl Choice for Scaled {
        fn kernel<S: Isa, T: Real>(&self) -> Option<Kernel> {
            Some(if self.0 { S::tern_number_onto::<ScaledSum, T>() } else { S::tern_number::<ScaledSum, T>() })
        }
    }
    with_widest(dtype, Scaled(onto))
}

/// `a + b * c` as two instructions compute it.
struct ScaledSum;
impl<S: Isa, T: Real> Tern<S, T> for ScaledSum {
    type First = T;
    #[inline(always)]
    fn f(a: T, b: T, c: T) -> T {
        a + b * c
    }
}

/// A kernel to be chosen once the instruction set and the type are known.
trait Choice {
    fn kernel<S: Isa, T: Real>(&self) -> Option<Kernel>;
}

/// For f32 and f64, which are held as they are.
fn with_widest(dtype: DType, choice: impl Choice) -> Option<Kernel> {
    fn of<S: Isa>(dtype: DType, choice: impl Choice) -> Option<Kernel> {
        match dtype {
            DType::F32 => choice.kernel::<S, f32>(),
            DType::F64 => choice.kernel::<S, f64>(),
            _ => None,
        }
    }
    #[cfg(target_arch = "x86_64")]
    if super::isa::level() >= super::isa::Level::Avx512 {
        return of::<super::isa::Avx512>(dtype, choice);
    }
    with_isa!(S => of::<S>(dtype, choice))
}

macro_rules! rows {
    ($make:ident $module:ident $name:ident $op:expr; $($v:ident)*) => {
        match $op {
            $($name::$v => Some(S::$make::<Float<$module::$v>, T>()),)*
            _ => None,
        }
    };
}

struct Row {
    op: BinOp,
    form: Form,
}
impl Choice for Row {
    fn kernel<S: Isa, T: Real>(&self) -> Option<Kernel> {
        match self.form {
            Form::Onto => rows!(bin_onto bin_rows BinOp self.op; Add Sub Mul Div Max Min),
            Form::NumberOnto => rows!(bin_number_onto bin_rows BinOp self.op; Add Sub Mul Div Max Min),
            Form::Number => {
                rows!(bin_number bin_rows BinOp self.op; Add Sub Mul Div Max Min LeakyRelu NanToNum Eq Ne Lt Le Gt Ge)
            }
            Form::FromNumber => match self.op {
                BinOp::Sub => Some(S::bin_number::<Reversed<Float<bin_rows::Sub>>, T>()),
                BinOp::Div => Some(S::bin_number::<Reversed<Float<bin_rows::Div>>, T>()),
                _ => None,
            },
        }
    }
}

/// `f` with its operands in the other order.
struct Reversed<F>(PhantomData<F>);
impl<S, T: Copy, F: Bin<S, T>> Bin<S, T> for Reversed<F> {
    type Out = F::Out;
    #[inline(always)]
    fn f(a: T, b: T) -> F::Out {
        F::f(b, a)
    }
}

fn un_onto(op: UnOp, dtype: DType) -> Option<Kernel> {
    struct Row(UnOp);
    impl Choice for Row {
        fn kernel<S: Isa, T: Real>(&self) -> Option<Kernel> {
            rows!(un_onto un_rows UnOp self.0; Neg Abs Square Relu Sqrt Reciprocal)
        }
    }
    with_widest(dtype, Row(op))
}

fn isa_free<F: Bin<super::isa::Baseline, f32>>() -> Kernel {
    super::isa::Baseline::bin::<F, f32>()
}

/// `nextafter` in a half type, for values held as f32.
struct HalfNextafter<H>(PhantomData<H>);

macro_rules! half_nextafter {
    ($($h:ident)*) => {$(
        impl<S> Bin<S, f32> for HalfNextafter<$h> {
            type Out = f32;
            fn f(a: f32, b: f32) -> f32 {
                let x = $h::from_f32(a);
                if a.is_nan() || b.is_nan() {
                    f32::NAN
                } else if a == b {
                    b
                } else if a == 0.0 {
                    $h::from_bits(1).to_f32().copysign(b)
                } else {
                    // Bits grow with the magnitude.
                    let bits = x.to_bits();
                    $h::from_bits(if (b > a) == (a > 0.0) { bits + 1 } else { bits - 1 }).to_f32()
                }
            }
        }
    )*};
}
half_nextafter!(f16 bf16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_says_where_kernels_are() {
        for d in DType::ALL {
            for &op in UnOp::ALL {
                assert_eq!(un(op, d).is_some(), op.accepts(d), "{op:?} {d}");
            }
            for &op in BinOp::ALL {
                assert_eq!(bin(op, d).is_some(), op.accepts(d), "{op:?} {d}");
                assert_eq!(op.is_predicate(), op.result(DType::F32) == DType::Bool, "{op:?}");
            }
            for &op in TernOp::ALL {
                assert_eq!(tern(op, d).is_some(), op.accepts(d), "{op:?} {d}");
            }
        }
    }
}
