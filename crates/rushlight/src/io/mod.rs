//! Files: tensors, tables and checkpoints in and out.
//!
//! Lives here: one file per format ([`safetensors`], PyTorch's [`pt`], [`npy`], [`npz`], [`idx`], [`csv`]), [`checkpoint`]s on top of
//! safetensors, and what the formats share: a block of a file that tensors may lie in (`block.rs`), atomic replacement (`atomic.rs`), JSON (`json.rs`).
//! Must not live here: what a state consists of (each `Stateful` knows its own), datasets.
//!
//! **Every file is hostile until checked.** A size from a header is compared with the bytes that are really there before anything is
//! allocated, and a bad file gives an [`Error`](crate::Error) that names the file and the field, never a panic.
//!
//! **Every file is written whole or not at all**: to a temporary file in the same folder, which then replaces the old one.

mod atomic;
mod block;
pub mod checkpoint;
pub mod csv;
mod decompress;
pub mod idx;
mod json;
pub mod npy;
pub mod npz;
pub mod pt;
pub mod safetensors;

pub use atomic::write_atomic;
pub use checkpoint::Checkpoint;
