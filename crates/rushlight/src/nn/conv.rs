//! Convolutions and transposed convolutions over one, two or three spatial dimensions.

use super::builder::builder;
use super::forward::inside;
use super::linear::{init_bias, init_weight};
use super::{Forward, Module, Parameter, Sizes, Visitor, init};
use crate::{Error, Result, Tensor, ops};

/// How much is added around the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding<const N: usize> {
    /// This much at both ends of each dimension.
    Sizes(Sizes<N>),
    /// Nothing.
    Valid,
    /// So much that the result has the input's sizes; only without stride.
    Same,
}

impl<const N: usize, S: Into<Sizes<N>>> From<S> for Padding<N> {
    fn from(sizes: S) -> Padding<N> {
        Padding::Sizes(sizes.into())
    }
}

/// What is added around the input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PaddingMode {
    /// Zeros.
    #[default]
    Zeros,
    /// The input mirrored at its border, which is not repeated.
    Reflect,
    /// The border.
    Replicate,
    /// The other end.
    Circular,
}

impl PaddingMode {
    /// As `pad` spells it.
    fn name(self) -> &'static str {
        match self {
            PaddingMode::Zeros => "constant",
            PaddingMode::Reflect => "reflect",
            PaddingMode::Replicate => "replicate",
            PaddingMode::Circular => "circular",
        }
    }
}

/// A convolution (cross-correlation) over `N` spatial dimensions: `[n, in_channels, sizes…]` (or without `n`) to
/// `[n, out_channels, sizes'…]` with `size' = ⌊(size + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1`.
///
/// Parameters: `weight` `[out_channels, in_channels / groups, kernel…]`, `bias` `[out_channels]`; both even within one over the root of the
/// number of inputs of an output.
///
/// ```
/// use rushlight::nn::{Conv2d, Forward};
/// use rushlight::Tensor;
/// let conv = Conv2d::builder(3, 16, 3).stride(2).padding(1).bias(false).build();
/// let x = Tensor::from_vec(vec![0f32; 2 * 3 * 8 * 8], [2, 3, 8, 8]);
/// assert_eq!(conv.forward(&x)?.shape().as_slice(), [2, 16, 4, 4]);
/// # Ok::<(), rushlight::Error>(())
/// ```
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv2d.html>
#[derive(Clone, Debug)]
pub struct Conv<const N: usize> {
    /// The kernels.
    pub weight: Parameter,
    /// The summand of each output channel.
    pub bias: Option<Parameter>,
    options: ConvBuilder<N>,
}

/// [`Conv`] over one dimension.
pub type Conv1d = Conv<1>;
/// [`Conv`] over two dimensions.
pub type Conv2d = Conv<2>;
/// [`Conv`] over three dimensions.
pub type Conv3d = Conv<3>;

builder! {
    /// Settings of [`Conv`].
    ConvBuilder<const N> for Conv<N> {
        in_channels: usize, out_channels: usize, kernel_size => Sizes<N>;
        /// Steps between neighbouring results.
        stride => Sizes<N> = 1,
        /// How much is added around the input.
        padding => Padding<N> = 0,
        /// Steps between neighbouring elements of a kernel.
        dilation => Sizes<N> = 1,
        /// Number of groups of channels that do not see each other.
        groups: usize = 1usize,
        /// Add a bias.
        bias: bool = true,
        /// What is added around the input.
        padding_mode: PaddingMode = PaddingMode::Zeros,
    }
}

/// What both kinds of convolution ask of their settings.
fn check<const N: usize>(inputs: usize, outputs: usize, groups: usize, sizes: [(&str, &Sizes<N>); 3]) -> Result<()> {
    if groups == 0 {
        return Err(Error::value("groups must be a positive integer"));
    }
    for (name, channels) in [("in_channels", inputs), ("out_channels", outputs)] {
        if !channels.is_multiple_of(groups) {
            return Err(Error::value(format!(
                "{name} must be divisible by groups, but got {name}={channels} and groups={groups}"
            )));
        }
    }
    match sizes.iter().find(|(_, s)| s.0.contains(&0)) {
        Some((name, s)) => Err(Error::value(format!("{name} must be positive, but got {:?}", s.0))),
        None => Ok(()),
    }
}

/// Weight and bias in PyTorch's order, each drawn as it is made.
fn parameters<const N: usize>(
    lead: [usize; 2],
    kernel: &Sizes<N>,
    bias: Option<usize>,
) -> Result<(Parameter, Option<Parameter>)> {
    let shape: Vec<usize> = lead.into_iter().chain(kernel.0).collect();
    let weight = Parameter::zeros(&shape)?;
    init_weight(&weight)?;
    let bias = bias.map(|n| Parameter::zeros(&[n])).transpose()?;
    if let Some(bias) = &bias {
        let (inputs, _) = init::fans(&weight)?;
        if inputs > 0 {
            init_bias(bias, inputs)?;
        }
    }
    Ok((weight, bias))
}

impl<const N: usize> Conv<N> {
    const NAME: &str = ["Conv1d", "Conv2d", "Conv3d"][N - 1];

    fn make(o: ConvBuilder<N>) -> Result<Conv<N>> {
        let sizes = [("kernel_size", &o.kernel_size), ("stride", &o.stride), ("dilation", &o.dilation)];
        check(o.in_channels, o.out_channels, o.groups, sizes)?;
        if o.padding == Padding::Same && o.stride.0 != [1; N] {
            return Err(Error::value("padding='same' is not supported for strided convolutions"));
        }
        let lead = [o.out_channels, o.in_channels / o.groups];
        let (weight, bias) = parameters(lead, &o.kernel_size, o.bias.then_some(o.out_channels))?;
        Ok(Conv { weight, bias, options: o })
    }

    /// What is added before and after each dimension.
    fn margins(&self) -> [(usize, usize); N] {
        let o = &self.options;
        match o.padding {
            Padding::Sizes(Sizes(sizes)) => sizes.map(|p| (p, p)),
            Padding::Valid => [(0, 0); N],
            Padding::Same => std::array::from_fn(|d| {
                let total = o.dilation.0[d] * (o.kernel_size.0[d] - 1);
                (total / 2, total - total / 2)
            }),
        }
    }
}

impl<const N: usize> Module for Conv<N> {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'_, 'a>) {
        visitor.field("weight", &self.weight);
        visitor.field("bias", &self.bias);
    }
    fn type_name(&self) -> &'static str {
        Self::NAME
    }
}

impl<const N: usize> Forward for Conv<N> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (o, w, b) = (&self.options, &*self.weight, self.bias.as_deref());
        let (stride, dilation, groups) = (&o.stride.ints(), &o.dilation.ints(), o.groups as i64);
        let convolve = |x: &Tensor, padding: &Padding<N>| match padding {
            Padding::Sizes(sizes) => {
                let f = [ops::conv1d, ops::conv2d, ops::conv3d][N - 1];
                f(x, w, b, stride, &sizes.ints(), dilation, groups)
            }
            named => {
                let f = [ops::conv1d_padding, ops::conv2d_padding, ops::conv3d_padding][N - 1];
                f(x, w, b, stride, if *named == Padding::Same { "same" } else { "valid" }, dilation, groups)
            }
        };
        inside(
            self,
            match o.padding_mode {
                PaddingMode::Zeros => convolve(x, &o.padding),
                mode => {
                    // `pad` counts from the last dimension.
                    let margins: Vec<i64> = self.margins().iter().rev().flat_map(|&(a, b)| [a as i64, b as i64]).collect();
                    ops::pad(x, &margins, mode.name(), None).and_then(|x| convolve(&x, &Padding::Valid))
                }
            },
        )
    }
}

/// A transposed convolution over `N` spatial dimensions, the gradient of [`Conv`] in its input: `[n, in_channels, sizes…]` (or without
/// `n`) to `[n, out_channels, sizes'…]` with
/// `size' = (size − 1)·stride − 2·padding + dilation·(kernel − 1) + output_padding + 1`.
///
/// Parameters: `weight` `[in_channels, out_channels / groups, kernel…]`, `bias` `[out_channels]`; drawn as those of [`Conv`].
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.ConvTranspose2d.html>
#[derive(Clone, Debug)]
pub struct ConvTranspose<const N: usize> {
    /// The kernels.
    pub weight: Parameter,
    /// The summand of each output channel.
    pub bias: Option<Parameter>,
    options: ConvTransposeBuilder<N>,
}

/// [`ConvTranspose`] over one dimension.
pub type ConvTranspose1d = ConvTranspose<1>;
/// [`ConvTranspose`] over two dimensions.
pub type ConvTranspose2d = ConvTranspose<2>;
/// [`ConvTranspose`] over three dimensions.
pub type ConvTranspose3d = ConvTranspose<3>;

builder! {
    /// Settings of [`ConvTranspose`].
    ConvTransposeBuilder<const N> for ConvTranspose<N> {
        in_channels: usize, out_channels: usize, kernel_size => Sizes<N>;
        /// Steps between the results of neighbouring inputs.
        stride => Sizes<N> = 1,
        /// How much is cut off at both ends of the result.
        padding => Sizes<N> = 0,
        /// How much is added at the far end of the result.
        output_padding => Sizes<N> = 0,
        /// Number of groups of channels that do not see each other.
        groups: usize = 1usize,
        /// Add a bias.
        bias: bool = true,
        /// Steps between neighbouring elements of a kernel.
        dilation => Sizes<N> = 1,
    }
}

impl<const N: usize> ConvTranspose<N> {
    const NAME: &str = ["ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"][N - 1];

    fn make(o: ConvTransposeBuilder<N>) -> Result<ConvTranspose<N>> {
        let sizes = [("kernel_size", &o.kernel_size), ("stride", &o.stride), ("dilation", &o.dilation)];
        check(o.in_channels, o.out_channels, o.groups, sizes)?;
        let lead = [o.in_channels, o.out_channels / o.groups];
        let (weight, bias) = parameters(lead, &o.kernel_size, o.bias.then_some(o.out_channels))?;
        Ok(ConvTranspose { weight, bias, options: o })
    }
}

impl<const N: usize> Module for ConvTranspose<N> {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'_, 'a>) {
        visitor.field("weight", &self.weight);
        visitor.field("bias", &self.bias);
    }
    fn type_name(&self) -> &'static str {
        Self::NAME
    }
}

impl<const N: usize> Forward for ConvTranspose<N> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let o = &self.options;
        let f = [ops::conv_transpose1d, ops::conv_transpose2d, ops::conv_transpose3d][N - 1];
        let (stride, padding, extra, dilation) = (o.stride.ints(), o.padding.ints(), o.output_padding.ints(), o.dilation.ints());
        inside(self, f(x, &self.weight, self.bias.as_deref(), &stride, &padding, &extra, o.groups as i64, &dilation))
    }
}
