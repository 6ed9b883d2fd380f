//! Losses as modules: the functions of the same names with their settings.

use super::forward::inside;
use super::{Buffer, Module};
use crate::{Result, Tensor, ops};

/// What becomes of the losses of all elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reduction {
    /// Their mean.
    #[default]
    Mean,
    /// Their sum.
    Sum,
    /// They stay.
    None,
}

impl Reduction {
    fn name(self) -> &'static str {
        match self {
            Reduction::Mean => "mean",
            Reduction::Sum => "sum",
            Reduction::None => "none",
        }
    }
}

impl super::Field for Reduction {
    fn accept<'a>(&'a self, _: &mut super::Visitor<'_, 'a>) {}
}

/// A measure of how far an input is from its target.
pub trait Loss: Module {
    /// The loss of `input`.
    ///
    /// # Errors
    /// If the tensors do not fit.
    fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor>;
}

/// Each loss is a struct of its settings, with PyTorch's defaults: `MSELoss::default()`,
/// `CrossEntropyLoss { label_smoothing: 0.1, ..Default::default() }`.
macro_rules! losses {
    ($($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $t:ty = $default:expr,)* } => |$l:ident, $x:ident, $t_:ident| $apply:expr;)*) => {$(
        $(#[$meta])*
        #[doc = ""]
        #[doc = concat!("Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.", stringify!($name), ".html>")]
        #[derive(Module, Clone, Debug)]
        pub struct $name {
            $($(#[$doc])* pub $field: $t,)*
            /// What becomes of the losses of all elements.
            pub reduction: Reduction,
        }
        impl Default for $name {
            fn default() -> $name {
                $name { $($field: $default,)* reduction: Reduction::Mean }
            }
        }
        impl Loss for $name {
            fn forward(&self, $x: &Tensor, $t_: &Tensor) -> Result<Tensor> {
                let $l = self;
                inside(self, $apply)
            }
        }
    )*};
}

losses! {
    /// Squared differences.
    MSELoss {} => |l, x, t| ops::mse_loss(x, t, l.reduction.name(), None);
    /// Magnitudes of differences.
    L1Loss {} => |l, x, t| ops::l1_loss(x, t, l.reduction.name());
    /// Squared differences up to `beta`, magnitudes beyond.
    SmoothL1Loss {
        /// Where the parabola ends.
        beta: f64 = 1.0,
    } => |l, x, t| ops::smooth_l1_loss(x, t, l.reduction.name(), l.beta);
    /// Squared differences up to `delta`, magnitudes beyond, times `delta`.
    HuberLoss {
        /// Where the parabola ends.
        delta: f64 = 1.0,
    } => |l, x, t| ops::huber_loss(x, t, l.reduction.name(), l.delta);
    /// Cross-entropy of logits `[n, classes, …]` with class numbers `[n, …]` or with probabilities `[n, classes, …]`.
    CrossEntropyLoss {
        /// A weight for each class.
        weight: Option<Buffer> = None,
        /// The class that counts nothing.
        ignore_index: i64 = -100,
        /// How much of the target is spread evenly over all classes.
        label_smoothing: f64 = 0.0,
    } => |l, x, t| ops::cross_entropy(x, t, l.weight.as_deref(), l.ignore_index, l.reduction.name(), l.label_smoothing);
    /// Minus the log-probability, among `[n, classes, …]`, of the class numbers `[n, …]`.
    NLLLoss {
        /// A weight for each class.
        weight: Option<Buffer> = None,
        /// The class that counts nothing.
        ignore_index: i64 = -100,
    } => |l, x, t| ops::nll_loss(x, t, l.weight.as_deref(), l.ignore_index, l.reduction.name());
    /// Cross-entropy of probabilities with targets in [0, 1].
    BCELoss {
        /// A weight for each element of a batch.
        weight: Option<Buffer> = None,
    } => |l, x, t| ops::binary_cross_entropy(x, t, l.weight.as_deref(), l.reduction.name());
    /// Cross-entropy of logits with targets in [0, 1].
    BCEWithLogitsLoss {
        /// A weight for each element of a batch.
        weight: Option<Buffer> = None,
        /// A weight for the positive examples of each class.
        pos_weight: Option<Buffer> = None,
    } => |l, x, t| ops::binary_cross_entropy_with_logits(x, t, l.weight.as_deref(), l.reduction.name(), l.pos_weight.as_deref());
    /// Kullback–Leibler divergence of log-probabilities from probabilities.
    KLDivLoss {
        /// The target holds log-probabilities too.
        log_target: bool = false,
        /// Divide the sum by the batch's size instead of the number of elements (PyTorch's `reduction="batchmean"`): the divergence itself.
        batchmean: bool = false,
    } => |l, x, t| ops::kl_div(x, t, if l.batchmean { "batchmean" } else { l.reduction.name() }, l.log_target);
    /// `log(1 + e^{-xy})` for targets of 1 and -1.
    SoftMarginLoss {} => |l, x, t| ops::soft_margin_loss(x, t, l.reduction.name());
    /// Distances, for targets of 1; what is missing to the margin, for targets of -1.
    HingeEmbeddingLoss {
        /// The margin.
        margin: f64 = 1.0,
    } => |l, x, t| ops::hinge_embedding_loss(x, t, l.margin, l.reduction.name());
    /// Minus the log-likelihood of counts under Poisson distributions.
    PoissonNLLLoss {
        /// The input is the logarithm of the rate.
        log_input: bool = true,
        /// Add Stirling's approximation of `log target!`.
        full: bool = false,
        /// Keeps the logarithm finite where the input is not one.
        eps: f64 = 1e-8,
    } => |l, x, t| ops::poisson_nll_loss(x, t, l.log_input, l.full, l.eps, l.reduction.name());
}
