//! Linear and bilinear maps, and the layers that only change a shape.

use super::builder::builder;
use super::forward::inside;
use super::{Forward, Module, Parameter, init};
use crate::op::{AsInts, Ints};
use crate::{Error, Result, Tensor, ops};

/// Numbers drawn evenly within one over the root of the number of inputs: PyTorch's default for biases (and, as it comes out of
/// `kaiming_uniform_(a=sqrt(5))`, for weights).
pub(super) fn init_bias(bias: &Tensor, inputs: usize) -> Result<()> {
    let bound = if inputs > 0 { 1.0 / (inputs as f64).sqrt() } else { 0.0 };
    init::uniform_(bias, -bound, bound)
}

/// PyTorch's default for weights of linear and convolutional layers.
pub(super) fn init_weight(weight: &Tensor) -> Result<()> {
    init::kaiming_uniform_(weight, init::Fan::In, init::Nonlinearity::LeakyReLU(5f64.sqrt()))
}

/// `y = x Wᵀ + b` over the last dimension: `[…, in_features]` to `[…, out_features]`.
///
/// Parameters: `weight` `[out_features, in_features]`, `bias` `[out_features]`; both even within `1/√in_features`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.Linear.html>
#[derive(Module, Clone, Debug)]
pub struct Linear {
    /// The matrix.
    pub weight: Parameter,
    /// The summand.
    pub bias: Option<Parameter>,
}

builder! {
    /// Settings of [`Linear`].
    LinearBuilder for Linear {
        in_features: usize, out_features: usize;
        /// Add a bias.
        bias: bool = true,
    }
}

impl Linear {
    fn make(o: LinearBuilder) -> Result<Linear> {
        let weight = Parameter::zeros(&[o.out_features, o.in_features])?;
        let bias = o.bias.then(|| Parameter::zeros(&[o.out_features])).transpose()?;
        let layer = Linear { weight, bias };
        layer.reset_parameters()?;
        Ok(layer)
    }
    /// Draws the parameters again.
    ///
    /// # Errors
    /// If they may not be written.
    pub fn reset_parameters(&self) -> Result<()> {
        init_weight(&self.weight)?;
        self.bias.as_ref().map_or(Ok(()), |b| init_bias(b, self.weight.shape()[1]))
    }
}

impl Forward for Linear {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        inside(self, ops::linear(x, &self.weight, self.bias.as_deref()))
    }
}

/// `y = x₁ᵀ A x₂ + b`: `[…, in1_features]` and `[…, in2_features]` to `[…, out_features]`.
///
/// Parameters: `weight` `[out_features, in1_features, in2_features]`, `bias` `[out_features]`; both even within `1/√in1_features`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.Bilinear.html>
#[derive(Module, Clone, Debug)]
pub struct Bilinear {
    /// The form, one matrix per output.
    pub weight: Parameter,
    /// The summand.
    pub bias: Option<Parameter>,
}

builder! {
    /// Settings of [`Bilinear`].
    BilinearBuilder for Bilinear {
        in1_features: usize, in2_features: usize, out_features: usize;
        /// Add a bias.
        bias: bool = true,
    }
}

impl Bilinear {
    fn make(o: BilinearBuilder) -> Result<Bilinear> {
        if o.in1_features == 0 {
            return Err(Error::value("in1_features must be > 0, but got 0"));
        }
        let weight = Parameter::zeros(&[o.out_features, o.in1_features, o.in2_features])?;
        init_bias(&weight, o.in1_features)?;
        let bias = o.bias.then(|| Parameter::zeros(&[o.out_features])).transpose()?;
        bias.as_ref().map_or(Ok(()), |b| init_bias(b, o.in1_features))?;
        Ok(Bilinear { weight, bias })
    }
    /// Applies the layer to two tensors whose shapes differ in the last dimension alone.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward(&self, x1: &Tensor, x2: &Tensor) -> Result<Tensor> {
        inside(self, ops::bilinear(x1, x2, &self.weight, self.bias.as_deref()))
    }
}

/// Passes its input on.
#[derive(Module, Clone, Copy, Debug, Default)]
pub struct Identity;

impl Forward for Identity {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.clone())
    }
}

/// Makes the dimensions from `start_dim` to `end_dim` one: by default all but the first.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.Flatten.html>
#[derive(Module, Clone, Copy, Debug)]
pub struct Flatten {
    /// First dimension of those that become one.
    pub start_dim: i64,
    /// The last of them.
    pub end_dim: i64,
}

impl Default for Flatten {
    fn default() -> Flatten {
        Flatten { start_dim: 1, end_dim: -1 }
    }
}

impl Forward for Flatten {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        inside(self, ops::flatten(x, self.start_dim, self.end_dim))
    }
}

/// Makes dimension `dim` several, of the given sizes.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.Unflatten.html>
#[derive(Module, Clone, Debug)]
pub struct Unflatten {
    dim: i64,
    #[module(skip)]
    sizes: Ints,
}

impl Unflatten {
    /// One of the sizes may be -1.
    pub fn new(dim: i64, sizes: impl AsInts) -> Unflatten {
        Unflatten { dim, sizes: sizes.as_ints() }
    }
}

impl Forward for Unflatten {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        inside(self, ops::unflatten(x, self.dim, &self.sizes))
    }
}
