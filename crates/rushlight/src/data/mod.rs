//! Datasets and how batches are made from them.
//!
//! Lives here: [`Dataset`] and what is made of datasets (`dataset.rs`, `split.rs`), the order in which samples are drawn (`sampler.rs`), how
//! samples become a batch (`collate.rs`), the loader and its worker threads (`loader.rs`, `prefetch.rs`), the embedded digits.
//! Must not live here: file formats (they are in `io/`), training loops.
//!
//! The same seed gives the same batches as PyTorch's `DataLoader`, whatever the number of workers.

mod collate;
mod dataset;
mod digits;
mod loader;
mod prefetch;
mod sampler;
mod split;

pub use collate::Collate;
pub use dataset::{Dataset, Subset, TensorDataset, Tensors};
pub use digits::{Digits, digits};
pub use loader::{Batches, DataLoader, DataLoaderBuilder};
pub use sampler::{BatchSampler, Indices, RandomSampler, Sampler, SequentialSampler, Source, WeightedRandomSampler};
pub use split::{Lengths, random_split};
