//! Dropout: in training, zeros in random places; otherwise nothing.

use super::forward::inside;
use super::{Forward, Module, Training};
use crate::{Error, Result, Tensor, ops};

macro_rules! dropouts {
    ($($(#[$meta:meta])* $name:ident => $op:path;)*) => {$(
        $(#[$meta])*
        #[derive(Module, Clone, Debug)]
        pub struct $name {
            p: f64,
            training: Training,
        }

        impl $name {
            /// Zeros with probability `p`.
            ///
            /// # Panics
            /// If `p` is not in [0, 1].
            #[track_caller]
            pub fn new(p: f64) -> $name {
                crate::error::or_panic($name::try_new(p))
            }
            /// As `new`.
            ///
            /// # Errors
            /// If `p` is not in [0, 1].
            pub fn try_new(p: f64) -> Result<$name> {
                if !(0.0..=1.0).contains(&p) {
                    return Err(Error::value(format!("dropout probability has to be between 0 and 1, but got {p}")));
                }
                Ok($name { p, training: Training::default() })
            }
        }

        impl Default for $name {
            fn default() -> $name {
                $name::new(0.5)
            }
        }

        impl Forward for $name {
            fn forward(&self, x: &Tensor) -> Result<Tensor> {
                inside(self, $op(x, self.p, self.training.get()))
            }
        }
    )*};
}

dropouts! {
    /// In training, makes each element zero with probability `p` and multiplies the others by `1 / (1 − p)` (Hinton et al., "Improving
    /// neural networks by preventing co-adaptation of feature detectors", 2012).
    ///
    /// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.Dropout.html>
    Dropout => ops::dropout;
    /// [`Dropout`] of whole channels of `[n, c, l]` or `[c, l]`.
    Dropout1d => ops::dropout1d;
    /// [`Dropout`] of whole channels of `[n, c, h, w]`.
    Dropout2d => ops::dropout2d;
    /// [`Dropout`] of whole channels of `[n, c, d, h, w]`.
    Dropout3d => ops::dropout3d;
}
