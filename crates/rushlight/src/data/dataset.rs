//! Datasets: samples by number.

use super::Collate;
use super::collate::rows;
use crate::{Error, Result, Tensor, ops};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A collection of samples, numbered from 0. It is read by several threads at once.
pub trait Dataset: Send + Sync {
    /// One sample.
    type Item: Send;
    /// Number of samples.
    fn len(&self) -> usize;
    /// Whether there is no sample.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Sample `index`.
    ///
    /// # Errors
    /// If it cannot be made.
    fn get(&self, index: usize) -> Result<Self::Item>;
    /// The batch of samples `indices`, in that order. A dataset that can make a batch faster than sample by sample overrides this.
    ///
    /// # Errors
    /// Those of [`Dataset::get`] and [`Collate::collate`].
    fn get_batch(&self, indices: &[usize]) -> Result<<Self::Item as Collate>::Batch>
    where
        Self::Item: Collate,
    {
        Collate::collate(samples(self, indices)?)
    }
}

/// Samples `indices`; an error or a panic names the sample that it came from.
pub(super) fn samples<D: Dataset + ?Sized>(dataset: &D, indices: &[usize]) -> Result<Vec<D::Item>> {
    let get = |&i: &usize| caught(|| dataset.get(i)).map_err(|e| e.context(format!("dataset: sample {i}")));
    indices.iter().map(get).collect()
}

/// A panic in `f` becomes an error.
pub(super) fn caught<R>(f: impl FnOnce() -> Result<R>) -> Result<R> {
    // What a panicking dataset leaves behind is its own affair: whoever calls it again has been told.
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| Err(Error::runtime(format!("panicked: {}", panic_text(&*panic)))))
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no text)")
}

impl<D: Dataset + ?Sized> Dataset for Arc<D> {
    type Item = D::Item;
    fn len(&self) -> usize {
        (**self).len()
    }
    fn get(&self, index: usize) -> Result<D::Item> {
        (**self).get(index)
    }
    fn get_batch(&self, indices: &[usize]) -> Result<<D::Item as Collate>::Batch>
    where
        D::Item: Collate,
    {
        (**self).get_batch(indices)
    }
}

/// A plain list of samples.
impl<T: Clone + Send + Sync> Dataset for Vec<T> {
    type Item = T;
    fn len(&self) -> usize {
        Vec::len(self)
    }
    fn get(&self, index: usize) -> Result<T> {
        self.as_slice().get(index).cloned().ok_or_else(|| out_of_range(index, Vec::len(self)))
    }
}

#[cold]
fn out_of_range(index: usize, len: usize) -> Error {
    Error::index(format!("index {index} is out of range for a dataset of {len} samples"))
}

/// Tensors that are indexed together: one, a tuple of up to four, or a list. A sample has the same form.
pub trait Tensors: Collate<Batch = Self> + Clone + Sync {
    /// Calls `f` for each tensor.
    fn each(&self, f: &mut dyn FnMut(&Tensor));
    /// The same form with `f` of each tensor.
    ///
    /// # Errors
    /// The first of `f`.
    fn map(&self, f: &mut dyn FnMut(&Tensor) -> Result<Tensor>) -> Result<Self>;
}

impl Tensors for Tensor {
    fn each(&self, f: &mut dyn FnMut(&Tensor)) {
        f(self);
    }
    fn map(&self, f: &mut dyn FnMut(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
        f(self)
    }
}

impl Tensors for Vec<Tensor> {
    fn each(&self, f: &mut dyn FnMut(&Tensor)) {
        self.iter().for_each(f);
    }
    fn map(&self, f: &mut dyn FnMut(&Tensor) -> Result<Tensor>) -> Result<Vec<Tensor>> {
        self.iter().map(f).collect()
    }
}

macro_rules! tensor_tuples {
    ($($($T:ident $i:tt),+;)*) => {$(
        impl Tensors for ($($T,)+) {
            fn each(&self, f: &mut dyn FnMut(&Tensor)) {
                $(f(&self.$i);)+
            }
            fn map(&self, f: &mut dyn FnMut(&Tensor) -> Result<Tensor>) -> Result<Self> {
                Ok(($(f(&self.$i)?,)+))
            }
        }
    )*};
}
tensor_tuples! {
    Tensor 0;
    Tensor 0, Tensor 1;
    Tensor 0, Tensor 1, Tensor 2;
    Tensor 0, Tensor 1, Tensor 2, Tensor 3;
}

/// Samples along the first dimension of tensors: sample `i` is `(x[i], y[i])`.
#[derive(Clone)]
pub struct TensorDataset<T: Tensors> {
    tensors: T,
    len: usize,
}

impl<T: Tensors> TensorDataset<T> {
    /// A dataset over `tensors`, which are shared, not copied.
    ///
    /// # Errors
    /// If there is no tensor, one has no dimension, or first dimensions differ.
    pub fn new(tensors: T) -> Result<TensorDataset<T>> {
        let mut lens: Vec<Option<usize>> = Vec::new();
        tensors.each(&mut |t| lens.push(t.shape().first().copied()));
        match lens.first() {
            Some(Some(len)) if lens.iter().all(|l| *l == Some(*len)) => Ok(TensorDataset { tensors, len: *len }),
            Some(_) => Err(Error::value(format!("TensorDataset: Size mismatch between tensors: first dimensions are {lens:?}"))),
            None => Err(Error::value("TensorDataset: expected at least one tensor")),
        }
    }
    /// The tensors.
    pub fn tensors(&self) -> &T {
        &self.tensors
    }
}

impl<T: Tensors> Dataset for TensorDataset<T> {
    type Item = T;
    fn len(&self) -> usize {
        self.len
    }
    fn get(&self, index: usize) -> Result<T> {
        if index >= self.len {
            return Err(out_of_range(index, self.len));
        }
        self.tensors.map(&mut |t| ops::select(t, 0, index as i64))
    }
    fn get_batch(&self, indices: &[usize]) -> Result<T> {
        if let Some(&bad) = indices.iter().find(|&&i| i >= self.len) {
            return Err(out_of_range(bad, self.len));
        }
        self.tensors.map(&mut |t| rows(t, indices))
    }
}

/// Some samples of a dataset.
#[derive(Clone, Debug)]
pub struct Subset<D> {
    dataset: D,
    indices: Arc<[usize]>,
}

impl<D: Dataset> Subset<D> {
    /// The samples `indices` of `dataset`, in that order.
    ///
    /// # Errors
    /// If an index is out of range.
    pub fn new(dataset: D, indices: impl Into<Arc<[usize]>>) -> Result<Subset<D>> {
        let indices = indices.into();
        match indices.iter().find(|&&i| i >= dataset.len()) {
            Some(&bad) => Err(out_of_range(bad, dataset.len())),
            None => Ok(Subset { dataset, indices }),
        }
    }
    /// The whole dataset.
    pub fn dataset(&self) -> &D {
        &self.dataset
    }
    /// Which of its samples.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }
    fn at(&self, index: usize) -> Result<usize> {
        self.indices.get(index).copied().ok_or_else(|| out_of_range(index, self.indices.len()))
    }
}

impl<D: Dataset> Dataset for Subset<D> {
    type Item = D::Item;
    fn len(&self) -> usize {
        self.indices.len()
    }
    fn get(&self, index: usize) -> Result<D::Item> {
        self.dataset.get(self.at(index)?)
    }
    fn get_batch(&self, indices: &[usize]) -> Result<<D::Item as Collate>::Batch>
    where
        D::Item: Collate,
    {
        let indices = indices.iter().map(|&i| self.at(i)).collect::<Result<Vec<_>>>()?;
        self.dataset.get_batch(&indices)
    }
}
