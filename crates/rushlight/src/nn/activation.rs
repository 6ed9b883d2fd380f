//! Activations: functions of each element, or of each row, as layers.

use super::forward::inside;
use super::{Forward, Module, Parameter, Training, init};
use crate::{Result, Tensor, ops};

/// One layer per function. A name alone is a layer without settings (`ReLU`); one with settings has them as public fields, and PyTorch's
/// defaults (`LeakyReLU::default()`, `LeakyReLU { negative_slope: 0.2 }`).
macro_rules! activations {
    ($($(#[$meta:meta])* $name:ident $({ $($(#[$doc:meta])* $field:ident: $t:ty = $default:expr),+ $(,)? })? => |$layer:pat_param, $x:ident| $apply:expr;)*) => {$(
        activations!(@layer $(#[$meta])* $name $({ $($(#[$doc])* $field: $t = $default),+ })?);
        impl Forward for $name {
            fn forward(&self, $x: &Tensor) -> Result<Tensor> {
                let $layer = self;
                inside(self, $apply)
            }
        }
    )*};
    (@layer $(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Module, Clone, Copy, Debug, Default)]
        pub struct $name;
    };
    (@layer $(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $t:ty = $default:expr),+ }) => {
        $(#[$meta])*
        #[derive(Module, Clone, Copy, Debug)]
        pub struct $name { $($(#[$doc])* pub $field: $t),+ }
        impl Default for $name {
            fn default() -> $name { $name { $($field: $default),+ } }
        }
    };
}

activations! {
    /// `max(0, x)`.
    ReLU => |_, x| ops::relu(x);
    /// `x` between 0 and 6.
    ReLU6 => |_, x| ops::relu6(x);
    /// `x`, times a small slope where it is negative.
    LeakyReLU {
        /// The slope.
        negative_slope: f64 = 0.01,
    } => |m, x| ops::leaky_relu(x, m.negative_slope);
    /// `x`, or `α(eˣ − 1)` where it is negative.
    ELU {
        /// Minus the limit towards the left.
        alpha: f64 = 1.0,
    } => |m, x| ops::elu(x, m.alpha);
    /// Scaled [`ELU`], whose activations normalise themselves (Klambauer et al., 2017).
    SELU => |_, x| ops::selu(x);
    /// Continuously differentiable [`ELU`].
    CELU {
        /// Minus the limit towards the left.
        alpha: f64 = 1.0,
    } => |m, x| ops::celu(x, m.alpha);
    /// `x Φ(x)`, with the normal distribution function (Hendrycks and Gimpel, 2016).
    GELU => |_, x| ops::gelu(x, "none");
    /// [`GELU`] by way of tanh: PyTorch's `GELU(approximate="tanh")`.
    TanhGELU => |_, x| ops::gelu(x, "tanh");
    /// `x σ(x)`, also known as swish.
    SiLU => |_, x| ops::silu(x);
    /// `x tanh(softplus(x))` (Misra, 2019).
    Mish => |_, x| ops::mish(x);
    /// `1 / (1 + e⁻ˣ)`.
    Sigmoid => |_, x| ops::sigmoid(x);
    /// `log σ(x)`.
    LogSigmoid => |_, x| ops::logsigmoid(x);
    /// Hyperbolic tangent.
    Tanh => |_, x| ops::tanh(x);
    /// `x − tanh x`.
    Tanhshrink => |_, x| ops::tanhshrink(x);
    /// `log(1 + e^{βx}) / β`, and `x` itself where `βx` is above the threshold.
    Softplus {
        /// Sharpness of the bend.
        beta: f64 = 1.0,
        /// From here on the function is its asymptote.
        threshold: f64 = 20.0,
    } => |m, x| ops::softplus(x, m.beta, m.threshold);
    /// `x / (1 + |x|)`.
    Softsign => |_, x| ops::softsign(x);
    /// `x` without its part within `lambd` of zero.
    Softshrink {
        /// Half the width of the flat part.
        lambd: f64 = 0.5,
    } => |m, x| ops::softshrink(x, m.lambd);
    /// `x`, or zero within `lambd` of zero.
    Hardshrink {
        /// Half the width of the flat part.
        lambd: f64 = 0.5,
    } => |m, x| ops::hardshrink(x, m.lambd);
    /// `x` between two bounds.
    Hardtanh {
        /// The lower bound.
        min_val: f64 = -1.0,
        /// The upper bound.
        max_val: f64 = 1.0,
    } => |m, x| ops::hardtanh(x, m.min_val, m.max_val);
    /// `relu6(x + 3) / 6`.
    Hardsigmoid => |_, x| ops::hardsigmoid(x);
    /// `x relu6(x + 3) / 6`.
    Hardswish => |_, x| ops::hardswish(x);
    /// `x` where it is above the threshold, else a value.
    Threshold {
        /// The threshold.
        threshold: f64 = 0.0,
        /// What stands for the rest.
        value: f64 = 0.0,
    } => |m, x| ops::threshold(x, m.threshold.into(), m.value.into());
    /// Softmax over dimension `dim`: positive numbers that add up to one.
    Softmax {
        /// The dimension.
        dim: i64 = -1,
    } => |m, x| ops::softmax(x, m.dim, None);
    /// Softmax of `−x` over dimension `dim`.
    Softmin {
        /// The dimension.
        dim: i64 = -1,
    } => |m, x| ops::softmin(x, m.dim, None);
    /// Logarithm of the softmax over dimension `dim`.
    LogSoftmax {
        /// The dimension.
        dim: i64 = -1,
    } => |m, x| ops::log_softmax(x, m.dim, None);
    /// Half of dimension `dim` times the logistic function of the other half.
    GLU {
        /// The dimension.
        dim: i64 = -1,
    } => |m, x| ops::glu(x, m.dim);
}

/// `x`, times a learned slope where it is negative: one slope for all channels (dimension 1), or one for each.
///
/// Parameter: `weight` `[num_parameters]`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.PReLU.html>
#[derive(Module, Clone, Debug)]
pub struct PReLU {
    /// The slopes.
    pub weight: Parameter,
}

impl PReLU {
    /// PyTorch's defaults are one slope of 0.25.
    ///
    /// # Panics
    /// If there is not so much memory.
    #[track_caller]
    pub fn new(num_parameters: usize, slope: f64) -> PReLU {
        let make = || {
            let weight = Parameter::zeros(&[num_parameters])?;
            init::constant_(&weight, slope)?;
            Ok(PReLU { weight })
        };
        crate::error::or_panic(make())
    }
}

impl Default for PReLU {
    fn default() -> PReLU {
        PReLU::new(1, 0.25)
    }
}

impl Forward for PReLU {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        inside(self, ops::prelu(x, &self.weight))
    }
}

/// [`LeakyReLU`] with a slope drawn for each element in training, and the mean slope otherwise.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.RReLU.html>
#[derive(Module, Clone, Debug)]
pub struct RReLU {
    lower: f64,
    upper: f64,
    training: Training,
}

impl RReLU {
    /// Slopes between `lower` and `upper`.
    pub fn new(lower: f64, upper: f64) -> RReLU {
        RReLU { lower, upper, training: Training::default() }
    }
}

impl Default for RReLU {
    fn default() -> RReLU {
        RReLU::new(1.0 / 8.0, 1.0 / 3.0)
    }
}

impl Forward for RReLU {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        inside(self, ops::rrelu(x, self.lower, self.upper, self.training.get()))
    }
}
