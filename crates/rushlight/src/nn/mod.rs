//! Neural network modules: structs whose fields are parameters, buffers and other modules.
//!
//! Lives here: the [`Module`] trait with what follows from walking a module's fields (parameters, checkpoints, modes, dtypes), and
//! the layers. A layer's arithmetic is ops from `ops/`; a layer holds the tensors and the settings.
//! Must not live here: kernels, derivatives, update rules (they are in `optim/`).

mod builder;
mod containers;
mod forward;
pub mod init;
mod linear;
mod module;
mod parameter;
mod state_dict;

pub use containers::{BoxedForward, Lambda, ModuleList, Sequential};
pub use forward::{Forward, Within};
pub use linear::{Bilinear, BilinearBuilder, Flatten, Identity, Linear, LinearBuilder, Unflatten};
pub use module::{Field, Module, Part, Visitor};
pub use parameter::{Buffer, Parameter, Training};
pub use rushlight_macros::Module;
pub use state_dict::{IncompatibleKeys, StateDict};
