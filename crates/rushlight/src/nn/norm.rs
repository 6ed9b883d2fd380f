//! Normalisation: layers that bring their input to mean zero and variance one, over one set of dimensions or another.

use super::builder::builder;
use super::forward::inside;
use super::{Buffer, Forward, Module, Parameter, Training, Visitor, init};
use crate::op::AsInts;
use crate::{Error, Result, Tensor, no_grad, ops};

/// The sizes of the dimensions that are normalised over: the last ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NormalizedShape(Vec<i64>);

impl<S: AsInts> From<S> for NormalizedShape {
    fn from(sizes: S) -> NormalizedShape {
        NormalizedShape(sizes.as_ints().to_vec())
    }
}

impl NormalizedShape {
    fn sizes(&self) -> Result<Vec<usize>> {
        if self.0.is_empty() || self.0.iter().any(|&d| d < 0) {
            return Err(Error::value(format!("normalized_shape should be one or more sizes, but is {:?}", self.0)));
        }
        Ok(self.0.iter().map(|&d| d as usize).collect())
    }
}

fn ones(shape: &[usize]) -> Result<Parameter> {
    let weight = Parameter::zeros(shape)?;
    init::ones_(&weight)?;
    Ok(weight)
}

/// Brings each row (the last dimensions, of the given sizes) to mean zero and variance one; then times `weight` plus `bias`. Ba, Kiros and
/// Hinton, "Layer Normalization" (2016).
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.LayerNorm.html>
#[derive(Module, Clone, Debug)]
pub struct LayerNorm {
    /// Factors, at first one.
    pub weight: Option<Parameter>,
    /// Summands, at first zero.
    pub bias: Option<Parameter>,
    #[module(skip)]
    options: LayerNormBuilder,
}

builder! {
    /// Settings of [`LayerNorm`].
    LayerNormBuilder for LayerNorm {
        normalized_shape => NormalizedShape;
        /// Added to the variance.
        eps: f64 = 1e-5,
        /// Learn a weight and a bias.
        elementwise_affine: bool = true,
        /// Learn a bias (if there is a weight).
        bias: bool = true,
    }
}

impl LayerNorm {
    fn make(o: LayerNormBuilder) -> Result<LayerNorm> {
        let shape = o.normalized_shape.sizes()?;
        let weight = o.elementwise_affine.then(|| ones(&shape)).transpose()?;
        let bias = (o.elementwise_affine && o.bias).then(|| Parameter::zeros(&shape)).transpose()?;
        Ok(LayerNorm { weight, bias, options: o })
    }
}

impl Forward for LayerNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let o = &self.options;
        inside(self, ops::layer_norm(x, &o.normalized_shape.0, self.weight.as_deref(), self.bias.as_deref(), o.eps))
    }
}

/// Divides each row (the last dimensions, of the given sizes) by its root mean square; then times `weight`. Zhang and Sennrich, "Root
/// Mean Square Layer Normalization" (2019).
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.RMSNorm.html>
#[derive(Module, Clone, Debug)]
pub struct RMSNorm {
    /// Factors, at first one.
    pub weight: Option<Parameter>,
    #[module(skip)]
    options: RMSNormBuilder,
}

builder! {
    /// Settings of [`RMSNorm`].
    RMSNormBuilder for RMSNorm {
        normalized_shape => NormalizedShape;
        /// Added to the mean square; the dtype's epsilon where none is given.
        eps => Option<f64> = None,
        /// Learn a weight.
        elementwise_affine: bool = true,
    }
}

impl RMSNorm {
    fn make(o: RMSNormBuilder) -> Result<RMSNorm> {
        let shape = o.normalized_shape.sizes()?;
        Ok(RMSNorm { weight: o.elementwise_affine.then(|| ones(&shape)).transpose()?, options: o })
    }
}

impl Forward for RMSNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        inside(self, ops::rms_norm(x, &self.options.normalized_shape.0, self.weight.as_deref(), self.options.eps))
    }
}

/// Brings each group of channels (dimension 1) of each sample to mean zero and variance one; then times `weight` plus `bias`, one of each
/// per channel. Wu and He, "Group Normalization" (2018).
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.GroupNorm.html>
#[derive(Module, Clone, Debug)]
pub struct GroupNorm {
    /// Factors, at first one.
    pub weight: Option<Parameter>,
    /// Summands, at first zero.
    pub bias: Option<Parameter>,
    num_groups: usize,
    eps: f64,
}

builder! {
    /// Settings of [`GroupNorm`].
    GroupNormBuilder for GroupNorm {
        num_groups: usize, num_channels: usize;
        /// Added to the variance.
        eps: f64 = 1e-5,
        /// Learn a weight and a bias.
        affine: bool = true,
    }
}

impl GroupNorm {
    fn make(o: GroupNormBuilder) -> Result<GroupNorm> {
        if o.num_groups == 0 || !o.num_channels.is_multiple_of(o.num_groups) {
            return Err(Error::value(format!(
                "num_channels ({}) must be divisible by num_groups ({})",
                o.num_channels, o.num_groups
            )));
        }
        let weight = o.affine.then(|| ones(&[o.num_channels])).transpose()?;
        let bias = o.affine.then(|| Parameter::zeros(&[o.num_channels])).transpose()?;
        Ok(GroupNorm { weight, bias, num_groups: o.num_groups, eps: o.eps })
    }
}

impl Forward for GroupNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        inside(self, ops::group_norm(x, self.num_groups as i64, self.weight.as_deref(), self.bias.as_deref(), self.eps))
    }
}

/// Running mean and variance of each channel, and how many batches they have seen.
#[derive(Module, Clone, Debug)]
struct Statistics {
    running_mean: Buffer,
    running_var: Buffer,
    num_batches_tracked: Buffer,
}

impl Statistics {
    fn new(features: usize) -> Result<Statistics> {
        let dtype = crate::default_dtype();
        let filled = |value: i64| ops::creation::filled(&[features], value.into(), dtype).map(Buffer::new);
        Ok(Statistics {
            running_mean: filled(0)?,
            running_var: filled(1)?,
            num_batches_tracked: Buffer::new(Tensor::scalar(0i64)),
        })
    }
    fn visit<'a>(&'a self, visitor: &mut Visitor<'_, 'a>) {
        visitor.field("running_mean", &self.running_mean);
        visitor.field("running_var", &self.running_var);
        visitor.field("num_batches_tracked", &self.num_batches_tracked);
    }
}

/// The shapes that a layer over `N` spatial dimensions takes.
fn check_rank(name: &str, x: &Tensor, ranks: [usize; 2]) -> Result<()> {
    let rank = x.rank();
    if ranks.contains(&rank) {
        return Ok(());
    }
    let [a, b] = ranks;
    let wanted = if a == b { format!("{a}D") } else { format!("{a}D or {b}D") };
    Err(Error::value(format!("expected {wanted} input (got {rank}D input); {name} got shape {:?}", x.shape().as_slice())))
}

macro_rules! norm_layer {
    ($(#[$meta:meta])* $name:ident $builder:ident ($one:ident $two:ident $three:ident) $affine:literal $track:literal) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        pub struct $name<const N: usize> {
            /// Factors, at first one.
            pub weight: Option<Parameter>,
            /// Summands, at first zero.
            pub bias: Option<Parameter>,
            statistics: Option<Statistics>,
            training: Training,
            options: $builder<N>,
        }

        #[doc = concat!("[`", stringify!($name), "`] over one dimension.")]
        pub type $one = $name<1>;
        #[doc = concat!("[`", stringify!($name), "`] over two dimensions.")]
        pub type $two = $name<2>;
        #[doc = concat!("[`", stringify!($name), "`] over three dimensions.")]
        pub type $three = $name<3>;

        builder! {
            #[doc = concat!("Settings of [`", stringify!($name), "`].")]
            $builder<const N> for $name<N> {
                num_features: usize;
                /// Added to the variance.
                eps: f64 = 1e-5,
                /// By how much the running statistics move towards those of a batch; `None` makes them the mean over all batches.
                momentum => Option<f64> = Some(0.1),
                /// Learn a weight and a bias.
                affine: bool = $affine,
                /// Keep running statistics, and use them outside training.
                track_running_stats: bool = $track,
            }
        }

        impl<const N: usize> $name<N> {
            const NAME: &str = [stringify!($one), stringify!($two), stringify!($three)][N - 1];

            fn make(o: $builder<N>) -> Result<$name<N>> {
                let weight = o.affine.then(|| ones(&[o.num_features])).transpose()?;
                let bias = o.affine.then(|| Parameter::zeros(&[o.num_features])).transpose()?;
                let statistics = o.track_running_stats.then(|| Statistics::new(o.num_features)).transpose()?;
                Ok($name { weight, bias, statistics, training: Training::default(), options: o })
            }
            /// Running mean of each channel.
            pub fn running_mean(&self) -> Option<&Tensor> {
                self.statistics.as_ref().map(|s| &*s.running_mean)
            }
            /// Running variance of each channel.
            pub fn running_var(&self) -> Option<&Tensor> {
                self.statistics.as_ref().map(|s| &*s.running_var)
            }
            /// By how much the running statistics move in this call.
            fn momentum(&self) -> Result<f64> {
                let Some(s) = self.statistics.as_ref().filter(|_| self.training.get()) else { return Ok(0.0) };
                if Self::COUNTS {
                    let _guard = no_grad();
                    s.num_batches_tracked.try_add_(1)?;
                }
                match self.options.momentum {
                    Some(momentum) => Ok(momentum),
                    None if Self::COUNTS => Ok(1.0 / s.num_batches_tracked.try_item::<f64>()?),
                    None => Ok(0.0),
                }
            }
        }

        impl<const N: usize> Module for $name<N> {
            fn visit<'a>(&'a self, visitor: &mut Visitor<'_, 'a>) {
                visitor.field("training", &self.training);
                visitor.field("weight", &self.weight);
                visitor.field("bias", &self.bias);
                self.statistics.iter().for_each(|s| s.visit(visitor));
            }
            fn type_name(&self) -> &'static str {
                Self::NAME
            }
        }
    };
}

norm_layer! {
    /// Brings each channel (dimension 1) to mean zero and variance one over the batch and `N` spatial dimensions, then times `weight` plus
    /// `bias`. In training by the batch's statistics, towards which the running ones move; otherwise by the running ones. Ioffe and Szegedy,
    /// "Batch Normalization" (2015).
    ///
    /// [`BatchNorm1d`] takes `[n, c]` too.
    ///
    /// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html>
    BatchNorm BatchNormBuilder (BatchNorm1d BatchNorm2d BatchNorm3d) true true
}

norm_layer! {
    /// Brings each channel of each sample to mean zero and variance one over `N` spatial dimensions: `[n, c, sizes…]` or `[c, sizes…]`.
    /// Ulyanov, Vedaldi and Lempitsky, "Instance Normalization" (2016).
    ///
    /// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.InstanceNorm2d.html>
    InstanceNorm InstanceNormBuilder (InstanceNorm1d InstanceNorm2d InstanceNorm3d) false false
}

impl<const N: usize> BatchNorm<N> {
    const COUNTS: bool = true;
}

/// PyTorch's instance norm has the counter in its state but never moves it.
impl<const N: usize> InstanceNorm<N> {
    const COUNTS: bool = false;
}

impl<const N: usize> Forward for BatchNorm<N> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let apply = || {
            check_rank(Self::NAME, x, if N == 1 { [2, 3] } else { [N + 2; 2] })?;
            let batch = self.training.get() || self.statistics.is_none();
            let (mean, var) = (self.running_mean(), self.running_var());
            ops::batch_norm(x, mean, var, self.weight.as_deref(), self.bias.as_deref(), batch, self.momentum()?, self.options.eps)
        };
        inside(self, apply())
    }
}

impl<const N: usize> Forward for InstanceNorm<N> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let apply = || {
            check_rank(Self::NAME, x, [N + 1, N + 2])?;
            let batched = x.rank() == N + 2;
            let x = if batched { x.clone() } else { x.try_unsqueeze(0)? };
            let own = self.training.get() || self.statistics.is_none();
            let (mean, var) = (self.running_mean(), self.running_var());
            let y = ops::instance_norm(
                &x,
                mean,
                var,
                self.weight.as_deref(),
                self.bias.as_deref(),
                own,
                self.momentum()?,
                self.options.eps,
            )?;
            if batched { Ok(y) } else { y.try_squeeze_dim(0) }
        };
        inside(self, apply())
    }
}
