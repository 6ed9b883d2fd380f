//! How samples become a batch: PyTorch's `default_collate`.

use crate::{Error, Result, Tensor, ops};

/// A sample that can be batched: tensors are stacked along a new first dimension, numbers become a tensor, texts a list, and tuples and
/// lists are batched field by field.
pub trait Collate: Sized + Send {
    /// The batch.
    type Batch: Send;
    /// Batches `samples`, of which there is at least one.
    ///
    /// # Errors
    /// If they do not fit together.
    fn collate(samples: Vec<Self>) -> Result<Self::Batch>;
}

impl Collate for Tensor {
    type Batch = Tensor;
    fn collate(samples: Vec<Tensor>) -> Result<Tensor> {
        ops::stack(&samples, 0)
    }
}

/// Integers batch to int64 and floats to float64, as Python's numbers do; narrower types keep theirs.
macro_rules! numbers {
    ($($t:ty => $as:ty),*) => {$(
        impl Collate for $t {
            type Batch = Tensor;
            fn collate(samples: Vec<$t>) -> Result<Tensor> {
                let n = samples.len();
                Tensor::try_from_vec(samples.into_iter().map(|x| x as $as).collect::<Vec<$as>>(), n)
            }
        }
    )*};
}
numbers!(bool => bool, u8 => u8, i8 => i8, i16 => i16, i32 => i32, i64 => i64, usize => i64, f32 => f32, f64 => f64);

impl Collate for String {
    type Batch = Vec<String>;
    fn collate(samples: Vec<String>) -> Result<Vec<String>> {
        Ok(samples)
    }
}

/// Lists must be equally long.
impl<T: Collate> Collate for Vec<T> {
    type Batch = Vec<T::Batch>;
    fn collate(samples: Vec<Vec<T>>) -> Result<Vec<T::Batch>> {
        let width = samples.first().map_or(0, Vec::len);
        let mut columns: Vec<Vec<T>> = (0..width).map(|_| Vec::with_capacity(samples.len())).collect();
        for sample in samples {
            if sample.len() != width {
                return Err(Error::runtime("each element in list of batch should be of equal size"));
            }
            columns.iter_mut().zip(sample).for_each(|(c, x)| c.push(x));
        }
        columns.into_iter().map(T::collate).collect()
    }
}

macro_rules! tuples {
    ($($($T:ident $x:ident $i:tt),+;)*) => {$(
        impl<$($T: Collate),+> Collate for ($($T,)+) {
            type Batch = ($($T::Batch,)+);
            fn collate(samples: Vec<Self>) -> Result<Self::Batch> {
                let n = samples.len();
                $(let mut $x = Vec::with_capacity(n);)+
                samples.into_iter().for_each(|s| { $($x.push(s.$i);)+ });
                Ok(($($T::collate($x)?,)+))
            }
        }
    )*};
}
tuples! {
    A a 0;
    A a 0, B b 1;
    A a 0, B b 1, C c 2;
    A a 0, B b 1, C c 2, D d 3;
}

/// The rows of `tensor` that `indices` name: what stacking `tensor[i]` gives, in one step.
pub(super) fn rows(tensor: &Tensor, indices: &[usize]) -> Result<Tensor> {
    let index: Vec<i64> = indices.iter().map(|&i| i as i64).collect();
    ops::index_select(tensor, 0, &Tensor::try_from_vec(index, indices.len())?)
}
