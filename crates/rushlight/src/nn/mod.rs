//! Neural network modules: structs whose fields are parameters, buffers and other modules.
//!
//! Lives here: the [`Module`] trait with what follows from walking a module's fields (parameters, checkpoints, modes, dtypes), and
//! the layers. A layer's arithmetic is ops from `ops/`; a layer holds the tensors and the settings.
//! Must not live here: kernels, derivatives, update rules (they are in `optim/`).
//!
//! Layers are made with PyTorch's defaults (`Conv2d::new(3, 16, 3)`) or from a builder
//! (`Conv2d::builder(3, 16, 3).stride(2).padding(1).build()`), or have their settings as public fields
//! (`LeakyReLU { negative_slope: 0.2 }`). They have PyTorch's names, parameter names, shapes and initial values.

mod activation;
mod attention;
mod builder;
mod clip;
mod containers;
mod conv;
mod dropout;
mod embedding;
mod forward;
pub mod functional;
pub mod init;
mod linear;
mod loss;
mod module;
mod norm;
mod parameter;
mod pooling;
mod recurrent;
mod sizes;
mod state_dict;

pub use activation::*;
pub use attention::*;
pub use clip::*;
pub use containers::*;
pub use conv::*;
pub use dropout::*;
pub use embedding::*;
pub use forward::{Forward, Within};
pub use linear::*;
pub use loss::*;
pub use module::{Field, Module, Part, Visitor};
pub use norm::*;
pub use parameter::{Buffer, Parameter, Training};
pub use pooling::*;
pub use recurrent::*;
pub use rushlight_macros::Module;
pub use sizes::Sizes;
pub use state_dict::{IncompatibleKeys, StateDict};
