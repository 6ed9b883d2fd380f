//! Ground floor of Rushlight: memory and arithmetic over strided views.
//!
//! Lives here: element types, layouts, the block cache, the thread pool, the table of scalar instructions, and a
//! [`Backend`](backend::Backend) of about a dozen kernel families with its CPU implementation.
//! Must not live here: `Tensor`, autograd, op names, promotion rules, Python.
#![deny(missing_docs)]
// Module pages name their inner parts for those who read the source.
#![allow(rustdoc::private_intra_doc_links)]

pub mod backend;
pub mod cpu;
pub mod dtype;
pub mod error;
pub mod layout;
pub mod memory;
pub mod program;
pub mod scalar;

pub use dtype::{DType, Element, Scalar};
pub use error::{Error, ErrorKind, Result};
pub use half::{bf16, f16};
pub use layout::{Dims, Layout, Strides};
pub use memory::Buffer;
pub use program::{Inst, Program, Reg};
pub use scalar::{BinOp, TernOp, UnOp};
