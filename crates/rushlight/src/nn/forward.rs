//! Modules that map a tensor to a tensor, and errors that say in which module they arose.

use super::Module;
use crate::{Error, Result, Tensor};
use std::sync::Arc;

/// A module from one tensor to one tensor: what [`super::Sequential`] is made of.
///
/// ```
/// use rushlight::nn::{Forward, Linear, Module, ReLU, Within};
/// use rushlight::{Result, Tensor};
///
/// #[derive(Module)]
/// struct Mlp { fc1: Linear, fc2: Linear }
///
/// impl Forward for Mlp {
///     fn forward(&self, x: &Tensor) -> Result<Tensor> {
///         let hidden = ReLU.forward(&self.fc1.forward(x).within("fc1")?)?;
///         self.fc2.forward(&hidden).within("fc2")
///     }
/// }
/// let mlp = Mlp { fc1: Linear::new(4, 8), fc2: Linear::new(8, 2) };
/// let x = Tensor::from_vec(vec![0.5f32; 12], [3, 4]);
/// assert_eq!(mlp.forward(&x)?.shape().as_slice(), [3, 2]);
/// let error = mlp.forward(&Tensor::scalar(1.0f32)).unwrap_err();
/// assert!(error.message().starts_with("in module fc1: Linear: "));
/// # Ok::<(), rushlight::Error>(())
/// ```
pub trait Forward: Module {
    /// Applies the module.
    ///
    /// # Errors
    /// If the tensor does not fit; the text names the module.
    fn forward(&self, x: &Tensor) -> Result<Tensor>;
}

impl<M: Forward + ?Sized> Forward for Box<M> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        (**self).forward(x)
    }
}

impl<M: Forward + ?Sized> Forward for Arc<M> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        (**self).forward(x)
    }
}

/// Adds the place to an error that arose inside a module: `self.fc1.forward(x).within("fc1")?`.
pub trait Within {
    /// The same result; an error's text begins with the path of the module, `in module layers.2: …`, to which every enclosing
    /// module adds its part.
    #[must_use]
    fn within(self, name: &str) -> Self;
}

const PREFIX: &str = "in module ";

impl<T> Within for Result<T> {
    fn within(self, name: &str) -> Result<T> {
        self.map_err(|e| match e.message().strip_prefix(PREFIX) {
            Some(rest) => Error::new(e.kind(), format!("{PREFIX}{name}.{rest}")),
            None => e.context(format!("{PREFIX}{name}")),
        })
    }
}

/// A layer's result; an error's text begins with the layer's type.
#[inline]
pub(super) fn inside<T>(layer: &impl Module, result: Result<T>) -> Result<T> {
    result.map_err(|e| e.context(layer.type_name()))
}
