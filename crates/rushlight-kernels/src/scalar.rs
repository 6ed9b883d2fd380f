//! The table of scalar instructions: one row per primitive.

use crate::DType;

/// Unary primitives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum UnOp {
    // any number
    Neg,
    Abs,
    Sign,
    Square,
    Relu,
    // floats; identity on integers
    Ceil,
    Floor,
    Round,
    Trunc,
    // floats only
    Frac,
    Reciprocal,
    Sqrt,
    Rsqrt,
    Exp,
    Exp2,
    Expm1,
    Log,
    Log2,
    Log10,
    Log1p,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Tanh,
    Asinh,
    Acosh,
    Atanh,
    Erf,
    Erfc,
    Erfinv,
    Lgamma,
    Digamma,
    I0,
    I0e,
    I1,
    I1e,
    Sinc,
    Sigmoid,
    LogSigmoid,
    Softplus,
    Gelu,
    GeluTanh,
    Silu,
    Ndtri,
    LogNdtr,
    // any -> bool
    IsNan,
    IsInf,
    IsFinite,
    SignBit,
    LogicalNot,
    // integers and bool
    BitNot,
}

/// Binary primitives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum BinOp {
    Add,
    Sub,
    Mul,
    Max,
    Min,
    Fmax,
    Fmin,
    FloorDiv,
    TruncDiv,
    Remainder,
    Fmod,
    Pow,
    Div,
    Atan2,
    Hypot,
    Copysign,
    Nextafter,
    Logaddexp,
    Logaddexp2,
    Xlogy,
    Xlog1py,
    Heaviside,
    Igamma,
    Igammac,
    Polygamma,
    Zeta,
    Gcd,
    Lcm,
    BitAnd,
    BitOr,
    BitXor,
    Shl,
    Shr,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    LogicalAnd,
    LogicalOr,
    LogicalXor,
}

/// Ternary primitives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum TernOp {
    /// `if a { b } else { c }`; `a` is bool.
    Where,
    /// `min(max(a, b), c)`; NaN in any operand gives NaN.
    Clamp,
    /// `a + c * (b - a)`, from the nearer end, as PyTorch computes it.
    Lerp,
    /// `a * b + c`, rounded after each operation or fused, as the platform does it: not used where bits matter.
    MulAdd,
}

impl UnOp {
    /// The result's dtype for an operand of `dtype`.
    pub fn result(self, dtype: DType) -> DType {
        use UnOp::*;
        if matches!(self, IsNan | IsInf | IsFinite | SignBit | LogicalNot) { DType::Bool } else { dtype }
    }
}

impl BinOp {
    /// Comparisons and logic: the result is bool.
    pub fn is_predicate(self) -> bool {
        use BinOp::*;
        matches!(self, Eq | Ne | Lt | Le | Gt | Ge | LogicalAnd | LogicalOr | LogicalXor)
    }
    /// The result's dtype for operands of `dtype`.
    pub fn result(self, dtype: DType) -> DType {
        if self.is_predicate() { DType::Bool } else { dtype }
    }
}
