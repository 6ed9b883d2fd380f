//! Rushlight: a PyTorch-like deep learning library from scratch.
//!
//! Where PyTorch documents a behaviour, that behaviour is the specification.
//!
//! # Tensors
//!
//! A [`Tensor`] has a shape and a [`DType`] that are known at run time. Cloning copies the handle; views share memory.
//!
//! ```
//! use rushlight::{DType, Tensor, i};
//! let x = Tensor::arange(0..6).reshape([2, 3]);
//! assert_eq!(x.dtype(), DType::I64);
//! let y = x.t() * 0.5; // broadcasts and promotes as PyTorch does
//! assert_eq!(y.shape().as_slice(), [3, 2]);
//! assert_eq!(y.sum_dim(1, false).to_vec::<f32>(), [1.5, 2.5, 3.5]);
//! x.select(0, 1).fill_(9); // a view: x sees it
//! assert_eq!(x.to_vec::<i64>(), [0, 1, 2, 9, 9, 9]);
//! let last_columns = x.index(i![.., 1..]); // also steps, new axes, masks and index tensors
//! assert_eq!(last_columns.to_vec::<i64>(), [1, 2, 9, 9]);
//! println!("{y}");
//! ```
//!
//! What can fail comes twice: `x.matmul(&y)` panics at the caller's line, `x.try_matmul(&y)` returns a [`Result`] with the same text.
//! Functions of [`ops`] take every argument that PyTorch's do, and return results.
//!
//! ```
//! use rushlight::{ErrorKind, Tensor};
//! let error = Tensor::zeros([2, 3]).try_matmul(Tensor::zeros([4, 5])).unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::Runtime);
//! assert_eq!(error.message(), "mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5); shapes [2, 3] @ [4, 5]");
//! ```
//!
//! # Gradients
//!
//! Ops on a tensor that requires a gradient are recorded; [`Tensor::backward`] adds the gradients to the leaves'. Derivatives are made of
//! ops themselves, so they have derivatives.
//!
//! ```
//! use rushlight::Tensor;
//! use rushlight::autograd::{GradOptions, grad};
//!
//! let x = Tensor::from_vec(vec![1.0f32, 2.0, 3.0], 3).with_requires_grad();
//! (&x * &x).sum().backward();
//! assert_eq!(x.grad().unwrap().to_vec::<f32>(), [2.0, 4.0, 6.0]);
//!
//! let y = x.pow(3).sum();
//! let first = grad(&[&y], &[&x], &[], GradOptions { create_graph: true, ..Default::default() })?.remove(0).unwrap();
//! let second = grad(&[&first.sum()], &[&x], &[], GradOptions::default())?.remove(0).unwrap();
//! assert_eq!(second.to_vec::<f32>(), [6.0, 12.0, 18.0]);
//! # Ok::<(), rushlight::Error>(())
//! ```
//!
//! [`no_grad`] turns recording off until its guard is dropped; [`autograd`] has hooks, custom functions, checkpointing and gradient checks.
//!
//! # Modules
//!
//! A model is a struct; what its fields are follows from their types. Parameters, checkpoints and modes come from the derived
//! [`nn::Module`].
//!
//! ```
//! use rushlight::nn::{Dropout, Forward, Linear, Module};
//! use rushlight::{Result, Tensor};
//!
//! #[derive(Module)]
//! struct Mlp { fc1: Linear, dropout: Dropout, fc2: Linear }
//!
//! impl Forward for Mlp {
//!     fn forward(&self, x: &Tensor) -> Result<Tensor> {
//!         let x = self.fc1.forward(x)?.try_relu()?;
//!         self.fc2.forward(&self.dropout.forward(&x)?)
//!     }
//! }
//! rushlight::manual_seed(0); // PyTorch's weights for the same seed
//! let model = Mlp { fc1: Linear::new(4, 16), dropout: Dropout::new(0.1), fc2: Linear::new(16, 3) };
//! model.eval();
//! assert_eq!(model.forward(&Tensor::zeros([8, 4]))?.shape().as_slice(), [8, 3]);
//! let names: Vec<String> = model.named_parameters().into_iter().map(|(name, _)| name).collect();
//! assert_eq!(names, ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]);
//! # Ok::<(), rushlight::Error>(())
//! ```
//!
//! # Training
//!
//! [`optim`] has optimizers and schedules, [`data`] datasets and the loader, [`train`] metrics; [`io`] saves and restores everything.
//!
//! ```
//! use rushlight::data::{DataLoader, TensorDataset};
//! use rushlight::nn::{Forward, Linear, Loss, MSELoss, Module};
//! use rushlight::optim::{CosineLr, Optimizer, Scheduler, Sgd, SgdOptions};
//! use rushlight::{Tensor, io::Checkpoint};
//!
//! # fn main() -> rushlight::Result<()> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("line.safetensors");
//! rushlight::manual_seed(0);
//! let x = Tensor::linspace(-1.0, 1.0, 64).reshape([64, 1]);
//! let y = &x * 3.0 + 1.0;
//! let loader = DataLoader::builder(TensorDataset::new((x, y))?).batch_size(16).shuffle(true).build()?;
//! let model = Linear::new(1, 1);
//! let mut optimizer = Sgd::new(model.parameters(), SgdOptions { lr: 0.3, ..Default::default() });
//! let mut schedule = CosineLr::new(&mut optimizer, 100, 0.0);
//! for _epoch in 0..25 {
//!     for batch in &loader {
//!         let (x, y) = batch?;
//!         let loss = MSELoss::default().forward(&model.forward(&x)?, &y)?;
//!         optimizer.zero_grad();
//!         loss.try_backward()?;
//!         optimizer.step()?;
//!         schedule.step(&mut optimizer)?;
//!     }
//! }
//! assert!((model.weight.item::<f64>() - 3.0).abs() < 0.01);
//! Checkpoint::new().with_module("model", &model).with_part("optimizer", &optimizer).save(&path)?;
//! # Ok(()) }
//! ```
//!
//! # Threads and bits
//!
//! Kernels run on a pool of the process ([`set_num_threads`]); results have the same bits at any number of threads.
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
pub use ops::indexing::Index;
pub use promote::{can_cast, default_dtype, result_type, set_default_dtype};
pub use random::{Generator, manual_seed};
pub use rushlight_kernels::cpu::conv::{precise, set_precise};
pub use rushlight_kernels::cpu::pool::{num_threads, set_num_threads};
pub use rushlight_kernels::memory::{MemoryStats, empty_cache, memory_stats};
pub use rushlight_kernels::{BinOp, DType, Dims, Element, Layout, Program, Scalar, Strides, TernOp, UnOp, bf16, f16};
pub use state::{State, Stateful};
pub use storage::Storage;
#[doc(hidden)]
pub use storage::deferred::set_deferred_from;
pub use storage::deferred::{is_deferred, set_deferred};
pub use tensor::Tensor;

/// Runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
