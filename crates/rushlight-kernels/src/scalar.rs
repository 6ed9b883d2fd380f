//! The table of scalar instructions: one row per primitive.
//!
//! A row reads `Name "name" "text for a GPU" cost -> bool { kind: |x| expression, … }`. Its kinds (`float`, `int`, `bool`) are the
//! dtypes that it accepts; `-> bool` marks a predicate; the cost is tenths of a nanosecond per f32 element, from which the executor
//! derives how finely to split work among threads. In the expressions `T` is the element type ([`Real`] or [`Int`]) and `S` the
//! instruction set ([`Isa`]); in the texts `{0}`, `{1}`, `{2}` are the operands, in C's syntax and CUDA's function names.
//! The rows expand here to the enums and their properties, and in `cpu::simd::kernels` to one tile kernel per compute dtype.
//!
//! [`Real`]: crate::cpu::simd::Real
//! [`Int`]: crate::cpu::simd::Int
//! [`Isa`]: crate::cpu::simd::Isa

use crate::DType;

/// The rows of [`UnOp`], handed to the macro `$m`.
macro_rules! un_table {
    ($m:ident) => {
        $m! {
            Neg "neg" "-({0})" 1 { float: |x| -x, int: |x| x.wrapping_neg() }
            Abs "abs" "abs({0})" 1 { float: |x| x.abs(), int: |x| x.wrapping_abs() }
            /// -1, 0 or 1; zero for NaN.
            Sign "sign" "sign({0})" 1 { float: |x| T::of_bool(x > T::ZERO) - T::of_bool(x < T::ZERO), int: |x| x.signum(), bool: |x| x }
            Square "square" "({0}) * ({0})" 1 { float: |x| x * x, int: |x| x.wrapping_mul(x) }
            /// `max(x, 0)`; NaN stays.
            Relu "relu" "fmax({0}, 0)" 1 { float: |x| if x < T::ZERO { T::ZERO } else { x }, int: |x| if x < T::ZERO { T::ZERO } else { x } }

            Ceil "ceil" "ceil({0})" 1 { float: |x| x.ceil(), int: |x| x }
            Floor "floor" "floor({0})" 1 { float: |x| x.floor(), int: |x| x }
            /// To nearest, halves to even.
            Round "round" "rint({0})" 1 { float: |x| x.round_even(), int: |x| x }
            Trunc "trunc" "trunc({0})" 1 { float: |x| x.trunc(), int: |x| x }

            Frac "frac" "({0}) - trunc({0})" 1 { float: |x| x - x.trunc() }
            Reciprocal "reciprocal" "1 / ({0})" 2 { float: |x| T::ONE / x }
            Sqrt "sqrt" "sqrt({0})" 2 { float: |x| x.sqrt() }
            Rsqrt "rsqrt" "1 / sqrt({0})" 4 { float: |x| T::ONE / x.sqrt() }
            Exp "exp" "exp({0})" 5 { float: |x| x.exp::<S>() }
            Exp2 "exp2" "exp2({0})" 5 { float: |x| x.exp2::<S>() }
            Expm1 "expm1" "expm1({0})" 8 { float: |x| x.expm1::<S>() }
            Log "log" "log({0})" 6 { float: |x| x.ln::<S>() }
            Log2 "log2" "log2({0})" 6 { float: |x| x.log2::<S>() }
            Log10 "log10" "log10({0})" 6 { float: |x| x.log10::<S>() }
            Log1p "log1p" "log1p({0})" 8 { float: |x| x.ln_1p::<S>() }
            Sin "sin" "sin({0})" 8 { float: |x| x.sin::<S>() }
            Cos "cos" "cos({0})" 8 { float: |x| x.cos::<S>() }
            Tan "tan" "tan({0})" 10 { float: |x| x.tan::<S>() }
            Asin "asin" "asin({0})" 8 { float: |x| x.asin::<S>() }
            Acos "acos" "acos({0})" 8 { float: |x| x.acos::<S>() }
            Atan "atan" "atan({0})" 8 { float: |x| x.atan::<S>() }
            Sinh "sinh" "sinh({0})" 8 { float: |x| x.sinh::<S>() }
            Cosh "cosh" "cosh({0})" 8 { float: |x| x.cosh::<S>() }
            Tanh "tanh" "tanh({0})" 6 { float: |x| x.tanh::<S>() }
            Asinh "asinh" "asinh({0})" 15 { float: |x| x.asinh::<S>() }
            Acosh "acosh" "acosh({0})" 15 { float: |x| x.acosh::<S>() }
            Atanh "atanh" "atanh({0})" 15 { float: |x| x.atanh::<S>() }
            Erf "erf" "erf({0})" 10 { float: |x| x.erf::<S>() }
            Erfc "erfc" "erfc({0})" 15 { float: |x| x.erfc::<S>() }
            Erfinv "erfinv" "erfinv({0})" 20 { float: |x| x.erfinv::<S>() }
            Lgamma "lgamma" "lgamma({0})" 300 { float: |x| x.lgamma() }
            Digamma "digamma" "digamma({0})" 300 { float: |x| x.digamma() }
            /// Modified Bessel functions of the first kind; the `e` forms are scaled by `exp(-|x|)`.
            I0 "i0" "cyl_bessel_i0({0})" 500 { float: |x| x.i0() }
            I0e "i0e" "cyl_bessel_i0({0}) * exp(-abs({0}))" 500 { float: |x| x.i0e() }
            I1 "i1" "cyl_bessel_i1({0})" 500 { float: |x| x.i1() }
            I1e "i1e" "cyl_bessel_i1({0}) * exp(-abs({0}))" 500 { float: |x| x.i1e() }
            /// `sin(πx) / (πx)`.
            Sinc "sinc" "(({0}) == 0 ? 1 : sinpi({0}) / (3.14159265358979324 * ({0})))" 10 { float: |x| {
                let a = x * T::of(std::f64::consts::PI);
                let y = a.sin::<S>() / a;
                if x == T::ZERO { T::ONE } else { y }
            } }
            Sigmoid "sigmoid" "1 / (1 + exp(-({0})))" 6 { float: |x| x.sigmoid::<S>() }
            /// `-log(1 + exp(-x))`.
            LogSigmoid "logsigmoid" "fmin({0}, 0) - log1p(exp(-abs({0})))" 15 {
                float: |x| (if x > T::ZERO { T::ZERO } else { x }) - (-x.abs()).exp::<S>().ln_1p::<S>()
            }
            /// `log(1 + exp(x))`.
            Softplus "softplus" "fmax({0}, 0) + log1p(exp(-abs({0})))" 15 {
                float: |x| (if x < T::ZERO { T::ZERO } else { x }) + (-x.abs()).exp::<S>().ln_1p::<S>()
            }
            /// `x Φ(x)`.
            Gelu "gelu" "({0}) * normcdf({0})" 12 { float: |x| x.gelu::<S>() }
            /// `x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2`.
            GeluTanh "gelu_tanh" "({0}) / (1 + exp(-1.59576912160573071 * (({0}) + 0.044715 * ({0}) * ({0}) * ({0}))))" 10 {
                float: |x| x.gelu_tanh::<S>()
            }
            /// `x sigmoid(x)`.
            Silu "silu" "({0}) / (1 + exp(-({0})))" 6 { float: |x| x.silu::<S>() }
            /// `min(max(x + 3, 0), 6) / 6`; NaN stays.
            Hardsigmoid "hardsigmoid" "fmin(fmax(({0}) + 3, 0), 6) / 6" 2 { float: |x| {
                let y = x + T::of(3.0);
                let y = if y < T::ZERO { T::ZERO } else { y };
                (if y > T::of(6.0) { T::of(6.0) } else { y }) / T::of(6.0)
            } }
            /// `x min(max(x + 3, 0), 6) / 6`.
            Hardswish "hardswish" "({0}) * fmin(fmax(({0}) + 3, 0), 6) / 6" 2 { float: |x| {
                let y = x + T::of(3.0);
                let y = if y < T::ZERO { T::ZERO } else { y };
                x * (if y > T::of(6.0) { T::of(6.0) } else { y }) / T::of(6.0)
            } }
            /// The quantile of the normal distribution.
            Ndtri "ndtri" "normcdfinv({0})" 500 { float: |x| x.ndtri() }
            /// The log of the normal distribution function.
            LogNdtr "log_ndtr" "log(normcdf({0}))" 300 { float: |x| x.log_ndtr() }

            IsNan "isnan" "isnan({0})" 1 -> bool { float: |x| x.is_nan(), int: |_x| false, bool: |_x| false }
            IsInf "isinf" "isinf({0})" 1 -> bool { float: |x| x.abs() == T::INFINITY, int: |_x| false, bool: |_x| false }
            IsFinite "isfinite" "isfinite({0})" 1 -> bool { float: |x| x.abs() < T::INFINITY, int: |_x| true, bool: |_x| true }
            SignBit "signbit" "signbit({0})" 1 -> bool { float: |x| x.is_sign_negative(), int: |x| x < T::ZERO, bool: |_x| false }
            LogicalNot "logical_not" "!({0})" 1 -> bool { float: |x| x == T::ZERO, int: |x| x == T::ZERO, bool: |x| !x }

            BitNot "bitwise_not" "~({0})" 1 { int: |x| !x, bool: |x| !x }
        }
    };
}
pub(crate) use un_table;

/// The rows of [`BinOp`], handed to the macro `$m`.
macro_rules! bin_table {
    ($m:ident) => {
        $m! {
            /// Integers wrap; bool: or.
            Add "add" "({0}) + ({1})" 1 { float: |a, b| a + b, int: |a, b| a.wrapping_add(b), bool: |a, b| a | b }
            Sub "sub" "({0}) - ({1})" 1 { float: |a, b| a - b, int: |a, b| a.wrapping_sub(b) }
            /// Integers wrap; bool: and.
            Mul "mul" "({0}) * ({1})" 1 { float: |a, b| a * b, int: |a, b| a.wrapping_mul(b), bool: |a, b| a & b }
            /// NaN wins.
            Max "maximum" "(({0}) > ({1}) || isnan({0}) ? ({0}) : ({1}))" 1 {
                float: |a, b| if (a > b) | a.is_nan() { a } else { b }, int: |a, b| if a > b { a } else { b }, bool: |a, b| a | b
            }
            /// NaN wins.
            Min "minimum" "(({0}) < ({1}) || isnan({0}) ? ({0}) : ({1}))" 1 {
                float: |a, b| if (a < b) | a.is_nan() { a } else { b }, int: |a, b| if a < b { a } else { b }, bool: |a, b| a & b
            }
            /// NaN loses.
            Fmax "fmax" "fmax({0}, {1})" 1 {
                float: |a, b| if (a > b) | b.is_nan() { a } else { b }, int: |a, b| if a > b { a } else { b }, bool: |a, b| a | b
            }
            /// NaN loses.
            Fmin "fmin" "fmin({0}, {1})" 1 {
                float: |a, b| if (a < b) | b.is_nan() { a } else { b }, int: |a, b| if a < b { a } else { b }, bool: |a, b| a & b
            }
            /// The quotient rounded down; floats with PyTorch's corrections. An integer zero divisor is an error.
            FloorDiv "floor_divide" "floor(({0}) / ({1}))" 8 { float: |a, b| a.floor_div_from(b, a.fmod::<S>(b)), int: |a, b| a.floor_div(b) }
            /// The quotient rounded towards zero. An integer zero divisor is an error.
            TruncDiv "div_trunc" "trunc(({0}) / ({1}))" 10 { float: |a, b| (a / b).trunc(), int: |a, b| a.trunc_div(b) }
            /// Python's modulo: the sign is the divisor's. An integer zero divisor is an error.
            Remainder "remainder" "remainder({0}, {1})" 6 { float: |a, b| a.remainder_from(b, a.fmod::<S>(b)), int: |a, b| a.remainder(b) }
            /// C's modulo: the sign is the dividend's. An integer zero divisor is an error.
            Fmod "fmod" "fmod({0}, {1})" 5 { float: |a, b| a.fmod::<S>(b), int: |a, b| a.fmod(b) }
            /// Integers wrap; a negative integer exponent gives 0, or 1 and -1 for those bases.
            Pow "pow" "pow({0}, {1})" 20 { float: |a, b| a.pow::<S>(b), int: |a, b| a.pow(b) }
            Div "div" "({0}) / ({1})" 2 { float: |a, b| a / b }
            Atan2 "atan2" "atan2({0}, {1})" 10 { float: |a, b| a.atan2::<S>(b) }
            Hypot "hypot" "hypot({0}, {1})" 5 { float: |a, b| a.hypot(b) }
            Copysign "copysign" "copysign({0}, {1})" 1 { float: |a, b| a.copysign(b) }
            Nextafter "nextafter" "nextafter({0}, {1})" 2 { float: |a, b| a.next_after(b) }
            /// `a` where it is positive, else `a` times the slope `b`.
            LeakyRelu "leaky_relu" "(({0}) > 0 ? ({0}) : ({0}) * ({1}))" 1 { float: |a, b| {
                let y = a * b;
                if a > T::ZERO { a } else { y }
            } }
            /// `a` between `-b` and `b`, zero for NaN.
            NanToNum "nan_to_num" "(isnan({0}) ? 0 : fmin(fmax({0}, -({1})), {1}))" 1 { float: |a, b| {
                let y = if a > b { b } else { a };
                let y = if y < -b { -b } else { y };
                if a.is_nan() { T::ZERO } else { y }
            } }
            /// `log(exp(a) + exp(b))`.
            Logaddexp "logaddexp" "fmax({0}, {1}) + log1p(exp(-abs(({0}) - ({1}))))" 20 { float: |a, b| {
                let m = if (a > b) | a.is_nan() { a } else { b };
                let y = m + (-(a - b).abs()).exp::<S>().ln_1p::<S>();
                if (a == b) & (a.abs() == T::INFINITY) { a } else { y }
            } }
            /// `log2(2^a + 2^b)`.
            Logaddexp2 "logaddexp2" "fmax({0}, {1}) + log2(1 + exp2(-abs(({0}) - ({1}))))" 20 { float: |a, b| {
                let m = if (a > b) | a.is_nan() { a } else { b };
                let y = m + (-(a - b).abs()).exp2::<S>().ln_1p::<S>() * T::of(std::f64::consts::LOG2_E);
                if (a == b) & (a.abs() == T::INFINITY) { a } else { y }
            } }
            /// `a log(b)`, zero where `a` is zero unless `b` is NaN.
            Xlogy "xlogy" "(isnan({1}) ? ({1}) : ({0}) == 0 ? 0 : ({0}) * log({1}))" 10 { float: |a, b| {
                let y = a * b.ln::<S>();
                if b.is_nan() { b } else if a == T::ZERO { T::ZERO } else { y }
            } }
            /// `a log(1 + b)`, zero where `a` is zero unless `b` is NaN.
            Xlog1py "xlog1py" "(isnan({1}) ? ({1}) : ({0}) == 0 ? 0 : ({0}) * log1p({1}))" 10 { float: |a, b| {
                let y = a * b.ln_1p::<S>();
                if b.is_nan() { b } else if a == T::ZERO { T::ZERO } else { y }
            } }
            /// 0 below zero (and for NaN), 1 above, `b` at zero.
            Heaviside "heaviside" "(({0}) == 0 ? ({1}) : ({0}) > 0)" 1 {
                float: |a, b| if a == T::ZERO { b } else { T::of_bool(a > T::ZERO) },
                int: |a, b| if a == T::ZERO { b } else { T::of_bool(a > T::ZERO) },
                bool: |a, b| a | b
            }
            /// The regularised lower incomplete gamma function P(a, x).
            Igamma "igamma" "igamma({0}, {1})" 2000 { float: |a, b| a.igamma(b) }
            /// The regularised upper incomplete gamma function Q(a, x).
            Igammac "igammac" "igammac({0}, {1})" 2000 { float: |a, b| a.igammac(b) }
            /// Derivative number `a` (a whole number) of digamma at `b`.
            Polygamma "polygamma" "polygamma({0}, {1})" 1000 { float: |a, b| a.polygamma(b) }
            /// Hurwitz's zeta function ζ(a, b).
            Zeta "zeta" "zeta({0}, {1})" 1000 { float: |a, b| a.zeta(b) }
            Gcd "gcd" "gcd({0}, {1})" 200 { int: |a, b| a.gcd(b) }
            Lcm "lcm" "lcm({0}, {1})" 200 { int: |a, b| a.lcm(b) }
            BitAnd "bitwise_and" "({0}) & ({1})" 1 { int: |a, b| a & b, bool: |a, b| a & b }
            BitOr "bitwise_or" "({0}) | ({1})" 1 { int: |a, b| a | b, bool: |a, b| a | b }
            BitXor "bitwise_xor" "({0}) ^ ({1})" 1 { int: |a, b| a ^ b, bool: |a, b| a ^ b }
            /// Shifts beyond the width (or negative) give 0.
            Shl "lshift" "({0}) << ({1})" 1 { int: |a, b| a.shl(b) }
            /// Arithmetic; shifts beyond the width (or negative) give the sign.
            Shr "rshift" "({0}) >> ({1})" 1 { int: |a, b| a.shr(b) }
            Eq "eq" "({0}) == ({1})" 1 -> bool { float: |a, b| a == b, int: |a, b| a == b, bool: |a, b| a == b }
            Ne "ne" "({0}) != ({1})" 1 -> bool { float: |a, b| a != b, int: |a, b| a != b, bool: |a, b| a != b }
            Lt "lt" "({0}) < ({1})" 1 -> bool { float: |a, b| a < b, int: |a, b| a < b, bool: |a, b| !a & b }
            Le "le" "({0}) <= ({1})" 1 -> bool { float: |a, b| a <= b, int: |a, b| a <= b, bool: |a, b| !a | b }
            Gt "gt" "({0}) > ({1})" 1 -> bool { float: |a, b| a > b, int: |a, b| a > b, bool: |a, b| a & !b }
            Ge "ge" "({0}) >= ({1})" 1 -> bool { float: |a, b| a >= b, int: |a, b| a >= b, bool: |a, b| a | !b }
            LogicalAnd "logical_and" "({0}) && ({1})" 1 -> bool {
                float: |a, b| (a != T::ZERO) & (b != T::ZERO), int: |a, b| (a != T::ZERO) & (b != T::ZERO), bool: |a, b| a & b
            }
            LogicalOr "logical_or" "({0}) || ({1})" 1 -> bool {
                float: |a, b| (a != T::ZERO) | (b != T::ZERO), int: |a, b| (a != T::ZERO) | (b != T::ZERO), bool: |a, b| a | b
            }
            LogicalXor "logical_xor" "!({0}) != !({1})" 1 -> bool {
                float: |a, b| (a != T::ZERO) ^ (b != T::ZERO), int: |a, b| (a != T::ZERO) ^ (b != T::ZERO), bool: |a, b| a ^ b
            }
        }
    };
}
pub(crate) use bin_table;

/// The rows of [`TernOp`], handed to the macro `$m`. `Where` has a bool as its first operand; all others have one dtype.
macro_rules! tern_table {
    ($m:ident) => {
        $m! {
            /// `if a { b } else { c }`; `a` is bool.
            Where "where" "(({0}) ? ({1}) : ({2}))" 1 { any: |a, b, c| if a { b } else { c } }
            /// `min(max(a, b), c)`; NaN in any operand gives NaN. Each comparison is one instruction, which keeps a NaN of `a`.
            Clamp "clamp" "fmin(fmax({0}, {1}), {2})" 2 {
                float: |a, b, c| {
                    let m = if b > a { b } else { a };
                    let m = if c < m { c } else { m };
                    if b.is_nan() | c.is_nan() { b + c } else { m }
                },
                int: |a, b, c| {
                    let m = if a > b { a } else { b };
                    if m < c { m } else { c }
                }
            }
            /// `a + c * (b - a)`, from the nearer end, as PyTorch computes it.
            Lerp "lerp" "(abs({2}) < 0.5 ? ({0}) + ({2}) * (({1}) - ({0})) : ({1}) - (({1}) - ({0})) * (1 - ({2})))" 2 {
                float: |a, b, c| {
                    let d = b - a;
                    if c.abs() < T::of(0.5) { a + c * d } else { b - d * (T::ONE - c) }
                }
            }
            /// `a * b + c`, rounded after each operation or fused, as the platform does it: not used where bits matter.
            MulAdd "mul_add" "fma({0}, {1}, {2})" 1 {
                float: |a, b, c| a.mul_add::<S>(b, c), int: |a, b, c| a.wrapping_mul(b).wrapping_add(c)
            }
        }
    };
}
pub(crate) use tern_table;

/// Whether rows of a kind accept a dtype.
macro_rules! kind_accepts {
    (float $d:ident) => {
        $d.is_float()
    };
    (int $d:ident) => {
        $d.is_int()
    };
    (bool $d:ident) => {
        matches!($d, DType::Bool)
    };
    (any $d:ident) => {
        true
    };
}

/// The dtype of a row's result.
macro_rules! row_result {
    ($d:ident) => {
        $d
    };
    ($d:ident bool) => {{
        let _ = $d;
        DType::Bool
    }};
}

macro_rules! op_enum {
    ($(#[$doc:meta])* $name:ident: $(
        $(#[$row:meta])* $v:ident $n:literal $text:literal $cost:literal $(-> $r:ident)?
        { $($kind:ident: |$($x:ident),*| $e:expr),* }
    )*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[allow(missing_docs)]
        pub enum $name { $($(#[$row])* $v),* }

        impl $name {
            /// Every row of the table.
            pub const ALL: &'static [$name] = &[$($name::$v),*];

            /// The name that error texts use.
            pub const fn name(self) -> &'static str {
                match self { $($name::$v => $n),* }
            }
            /// The expression that a code generator emits; `{0}`, `{1}`, `{2}` stand for the operands.
            pub const fn text(self) -> &'static str {
                match self { $($name::$v => $text),* }
            }
            /// About how long one f32 element takes on one core, in tenths of a nanosecond.
            pub const fn cost(self) -> usize {
                match self { $($name::$v => $cost),* }
            }
            /// Whether there is a kernel for operands of `dtype` (of `Where`, for the second and third).
            pub const fn accepts(self, dtype: DType) -> bool {
                match self { $($name::$v => $(kind_accepts!($kind dtype))||*),* }
            }
            /// The result's dtype for operands of `dtype`.
            pub const fn result(self, dtype: DType) -> DType {
                match self { $($name::$v => row_result!(dtype $($r)?)),* }
            }
        }
    };
}

macro_rules! un_enum {
    ($($t:tt)*) => { op_enum! { /** Unary primitives. */ UnOp: $($t)* } };
}
macro_rules! bin_enum {
    ($($t:tt)*) => { op_enum! { /** Binary primitives. */ BinOp: $($t)* } };
}
macro_rules! tern_enum {
    ($($t:tt)*) => { op_enum! { /** Ternary primitives. */ TernOp: $($t)* } };
}
un_table!(un_enum);
bin_table!(bin_enum);
tern_table!(tern_enum);

impl BinOp {
    /// Comparisons and logic: the result is bool.
    pub const fn is_predicate(self) -> bool {
        use BinOp::*;
        matches!(self, Eq | Ne | Lt | Le | Gt | Ge | LogicalAnd | LogicalOr | LogicalXor)
    }
    /// Whether a zero second operand is an error for `dtype`: integer division and modulo.
    pub const fn divides(self, dtype: DType) -> bool {
        dtype.is_int() && matches!(self, BinOp::FloorDiv | BinOp::TruncDiv | BinOp::Remainder | BinOp::Fmod)
    }
}
