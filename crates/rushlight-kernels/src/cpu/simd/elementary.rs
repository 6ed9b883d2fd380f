//! Elementary functions of f32.

use super::isa::Isa;
use super::special;

macro_rules! through_f64 {
    ($($f:ident => |$x:ident| $e:expr;)*) => {$(
        pub(super) fn $f<S: Isa>(x: f32) -> f32 { let $x = x as f64; ($e) as f32 }
    )*};
}
through_f64! {
    exp => |x| x.exp();
    exp2 => |x| x.exp2();
    expm1 => |x| x.exp_m1();
    ln => |x| x.ln();
    log2 => |x| x.log2();
    log10 => |x| x.log10();
    ln_1p => |x| x.ln_1p();
    sin => |x| x.sin();
    cos => |x| x.cos();
    tanh => |x| x.tanh();
    erf => |x| libm::erf(x);
    erfc => |x| libm::erfc(x);
    sigmoid => |x| 1.0 / (1.0 + (-x).exp());
    silu => |x| x / (1.0 + (-x).exp());
    gelu => |x| 0.5 * x * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2);
    gelu_tanh => |x| special::gelu_tanh(x);
}
