//! Rushlight: a PyTorch-like deep learning library from scratch.
//!
//! ```
//! use rushlight::Tensor;
//! let x = Tensor::from_vec(vec![1.0f32, 2.0, 3.0], 3).with_requires_grad();
//! let y = (&x * &x).sum();
//! y.backward();
//! assert_eq!(x.grad().unwrap().to_vec::<f32>(), [2.0, 4.0, 6.0]);
//! ```
#![deny(missing_docs)]
// Module pages name their inner parts for those who read the source.
#![allow(rustdoc::private_intra_doc_links)]

extern crate self as rushlight;

pub mod autograd;
pub mod data;
mod display;
mod error;
pub mod io;
pub mod nn;
pub mod op;
pub mod ops;
pub mod optim;
mod promote;
mod random;
mod state;
mod storage;
mod tensor;
pub mod train;

pub use autograd::{enable_grad, inference_mode, no_grad};
pub use display::{PrintOptions, print_options, set_print_options};
pub use error::{Error, ErrorKind, Result};
pub use op::{AsInts, AsTensor};
pub use promote::{default_dtype, result_type, set_default_dtype};
pub use random::{Generator, manual_seed};
pub use rushlight_kernels::cpu::pool::{num_threads, set_num_threads};
pub use rushlight_kernels::{BinOp, DType, Dims, Element, Layout, Program, Scalar, Strides, TernOp, UnOp, bf16, f16};
pub use state::{State, Stateful};
pub use storage::Storage;
pub use tensor::Tensor;
