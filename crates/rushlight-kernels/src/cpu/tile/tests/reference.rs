//! The primitives on single values, in f64 and i128.

use crate::*;

/// A value of any dtype.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    Int(i128),
    Float(f64),
}
pub(super) use Value::*;

impl Value {
    pub(super) fn f(self) -> f64 {
        match self {
            Int(i) => i as f64,
            Float(f) => f,
        }
    }
    pub(super) fn i(self) -> i128 {
        match self {
            Int(i) => i,
            Float(_) => panic!("not an integer"),
        }
    }
}

pub(super) fn round(x: f64, d: DType) -> f64 {
    match d {
        DType::F16 => f16::from_f32(x as f32).to_f64(),
        DType::BF16 => bf16::from_f32(x as f32).to_f64(),
        DType::F32 => x as f32 as f64,
        _ => x,
    }
}

pub(super) fn of_bool(b: bool) -> Value {
    Int(b as i128)
}

pub(super) fn nonzero(x: Value) -> bool {
    x.f() != 0.0
}

pub(super) fn bits(d: DType) -> u32 {
    d.size() as u32 * 8
}

/// Brings an exact integer into its dtype.
pub(super) fn wrap(x: i128, d: DType) -> Value {
    Int(match d {
        DType::Bool => (x != 0) as i128,
        DType::U8 => x as u8 as i128,
        DType::I8 => x as i8 as i128,
        DType::I16 => x as i16 as i128,
        DType::I32 => x as i32 as i128,
        _ => x as i64 as i128,
    })
}

/// `None` where the reference does not say.
pub(super) fn reference_un(op: UnOp, d: DType, x: Value) -> Option<Value> {
    use UnOp::*;
    let predicate = match op {
        IsNan => Some(x.f().is_nan()),
        IsInf => Some(x.f().is_infinite()),
        IsFinite => Some(x.f().is_finite()),
        SignBit => Some(x.f().is_sign_negative()),
        LogicalNot => Some(!nonzero(x)),
        _ => None,
    };
    if let Some(p) = predicate {
        return Some(of_bool(p));
    }
    if let Int(i) = x {
        return Some(wrap(
            match op {
                Neg => -i,
                Abs => i.abs(),
                Sign => i.signum(),
                Square => i * i,
                Relu => i.max(0),
                Ceil | Floor | Round | Trunc => i,
                BitNot if d == DType::Bool => 1 - i,
                BitNot => !i,
                _ => return None,
            },
            d,
        ));
    }
    let x = x.f();
    Some(Float(match op {
        Neg => -x,
        Abs => x.abs(),
        Sign => (x > 0.0) as i8 as f64 - (x < 0.0) as i8 as f64,
        Square => x * x,
        Relu => {
            if x.is_nan() {
                x
            } else {
                x.max(0.0)
            }
        }
        Ceil => x.ceil(),
        Floor => x.floor(),
        Round => x.round_ties_even(),
        Trunc => x.trunc(),
        Frac => x - x.trunc(),
        Reciprocal => 1.0 / x,
        Sqrt => x.sqrt(),
        Rsqrt => 1.0 / x.sqrt(),
        Exp => x.exp(),
        Exp2 => x.exp2(),
        Expm1 => x.exp_m1(),
        Log => x.ln(),
        Log2 => x.log2(),
        Log10 => x.log10(),
        Log1p => x.ln_1p(),
        Sin => x.sin(),
        Cos => x.cos(),
        Tan => x.tan(),
        Asin => x.asin(),
        Acos => x.acos(),
        Atan => x.atan(),
        Sinh => x.sinh(),
        Cosh => x.cosh(),
        Tanh => x.tanh(),
        Asinh => libm::asinh(x),
        Acosh => libm::acosh(x),
        Atanh => libm::atanh(x),
        Erf => libm::erf(x),
        Erfc => libm::erfc(x),
        Lgamma => libm::lgamma(x),
        // As in PyTorch, of π x in the compute type: not zero at whole numbers.
        Sinc => {
            let c = d.compute();
            let a = round(round(std::f64::consts::PI, c) * x, c);
            if x == 0.0 { 1.0 } else { a.sin() / a }
        }
        Sigmoid => 1.0 / (1.0 + (-x).exp()),
        LogSigmoid => -(-x).exp().ln_1p(),
        Softplus => x.exp().ln_1p(),
        // The special functions have tests of their own.
        _ => return None,
    }))
}

pub(super) fn reference_bin(op: BinOp, d: DType, a: Value, b: Value) -> Option<Value> {
    use BinOp::*;
    let (x, y) = (a.f(), b.f());
    let predicate = match op {
        Eq => Some(x == y),
        Ne => Some(x != y),
        Lt => Some(x < y),
        Le => Some(x <= y),
        Gt => Some(x > y),
        Ge => Some(x >= y),
        LogicalAnd => Some(nonzero(a) && nonzero(b)),
        LogicalOr => Some(nonzero(a) || nonzero(b)),
        LogicalXor => Some(nonzero(a) != nonzero(b)),
        _ => None,
    };
    if let Some(p) = predicate {
        return Some(of_bool(p));
    }
    if let (Int(a), Int(b)) = (a, b) {
        let inside = (0..bits(d) as i128).contains(&b);
        return Some(wrap(
            match op {
                Add => a + b,
                Sub => a - b,
                Mul => a * b,
                Max | Fmax => a.max(b),
                Min | Fmin => a.min(b),
                FloorDiv => (a as f64 / b as f64).floor() as i128,
                TruncDiv => a / b,
                Remainder => a - b * (a as f64 / b as f64).floor() as i128,
                Fmod => a % b,
                Pow if b >= 0 => (0..b).fold(1i128, |y, _| wrap(y * a, d).i()),
                Pow => match a {
                    1 => 1,
                    -1 => 1 - 2 * (b & 1),
                    _ => 0,
                },
                Heaviside => {
                    if a == 0 {
                        b
                    } else {
                        (a > 0) as i128
                    }
                }
                Gcd => (1..=a.abs().max(b.abs())).rev().find(|g| a % g == 0 && b % g == 0).unwrap_or(0),
                Lcm if a == 0 || b == 0 => 0,
                Lcm => (1..).map(|k| k * a.abs()).find(|l| l % b == 0).unwrap(),
                BitAnd => a & b,
                BitOr => a | b,
                BitXor => a ^ b,
                Shl => {
                    if inside {
                        a << b
                    } else {
                        0
                    }
                }
                Shr => {
                    if inside {
                        a >> b
                    } else {
                        a >> 100
                    }
                }
                _ => return None,
            },
            d,
        ));
    }
    let nan = x.is_nan() || y.is_nan();
    Some(Float(match op {
        Add => x + y,
        Sub => x - y,
        Mul => x * y,
        Div => x / y,
        Max => {
            if nan {
                f64::NAN
            } else {
                x.max(y)
            }
        }
        Min => {
            if nan {
                f64::NAN
            } else {
                x.min(y)
            }
        }
        Fmax => x.max(y),
        Fmin => x.min(y),
        FloorDiv if y == 0.0 => x / y,
        // There is no remainder of infinity.
        FloorDiv if !x.is_finite() || nan => f64::NAN,
        FloorDiv if y.is_infinite() => {
            if x == 0.0 || (x < 0.0) == (y < 0.0) {
                0.0 * x / y
            } else {
                -1.0
            }
        }
        FloorDiv => (x / y).floor(),
        TruncDiv => (x / y).trunc(),
        Fmod => x % y,
        Remainder => {
            let r = x % y;
            if r != 0.0 && (r < 0.0) != (y < 0.0) { r + y } else { r }
        }
        Pow => x.powf(y),
        Atan2 => x.atan2(y),
        Hypot => x.hypot(y),
        Copysign => x.copysign(y),
        Heaviside => {
            if x == 0.0 {
                y
            } else {
                (x > 0.0) as i8 as f64
            }
        }
        Logaddexp if nan => f64::NAN,
        Logaddexp if x == y => x + std::f64::consts::LN_2,
        Logaddexp => x.max(y) + (-(x - y).abs()).exp().ln_1p(),
        Logaddexp2 if nan => f64::NAN,
        Logaddexp2 if x == y => x + 1.0,
        Logaddexp2 => x.max(y) + (-(x - y).abs()).exp2().ln_1p() / std::f64::consts::LN_2,
        Xlogy => {
            if y.is_nan() {
                y
            } else if x == 0.0 {
                0.0
            } else {
                x * y.ln()
            }
        }
        Xlog1py => {
            if y.is_nan() {
                y
            } else if x == 0.0 {
                0.0
            } else {
                x * y.ln_1p()
            }
        }
        _ => return None,
    }))
}
