//! Random splits.

use super::{Dataset, Subset};
use crate::{Error, Generator, Result};
use std::sync::Arc;

/// The sizes of the parts: numbers of samples, or fractions that add up to 1.
pub trait Lengths {
    /// The number of samples in each part of a dataset of `n`.
    ///
    /// # Errors
    /// ValueError with PyTorch's text if they do not add up.
    fn lengths(&self, n: usize) -> Result<Vec<usize>>;
}

const BAD_SUM: &str = "Sum of input lengths does not equal the length of the input dataset!";

impl Lengths for [usize] {
    fn lengths(&self, n: usize) -> Result<Vec<usize>> {
        let sum = self.iter().try_fold(0usize, |s, &l| s.checked_add(l));
        if sum == Some(n) { Ok(self.to_vec()) } else { Err(Error::value(BAD_SUM)) }
    }
}

impl Lengths for [f64] {
    fn lengths(&self, n: usize) -> Result<Vec<usize>> {
        let sum: f64 = self.iter().sum();
        // Python's `math.isclose(sum, 1) and sum <= 1`.
        if !(sum <= 1.0 && 1.0 - sum <= 1e-9) {
            return Err(Error::value(BAD_SUM));
        }
        if let Some(i) = self.iter().position(|f| !(0.0..=1.0).contains(f)) {
            return Err(Error::value(format!("Fraction at index {i} is not between 0 and 1")));
        }
        let mut lengths: Vec<usize> = self.iter().map(|f| (n as f64 * f).floor() as usize).collect();
        let parts = lengths.len();
        // What rounding down left over goes to the parts in turn.
        let left = n.checked_sub(lengths.iter().sum()).ok_or_else(|| Error::value(BAD_SUM))?;
        (0..left).for_each(|i| lengths[i % parts] += 1);
        Ok(lengths)
    }
}

impl<const N: usize> Lengths for [usize; N] {
    fn lengths(&self, n: usize) -> Result<Vec<usize>> {
        self[..].lengths(n)
    }
}

impl<const N: usize> Lengths for [f64; N] {
    fn lengths(&self, n: usize) -> Result<Vec<usize>> {
        self[..].lengths(n)
    }
}

/// Splits `dataset` at random into parts that do not overlap, as `torch.utils.data.random_split` does with a generator of the same seed.
///
/// ```
/// use rushlight::{Generator, data::{Dataset, random_split}};
/// let parts = random_split((0..10i64).collect::<Vec<_>>(), &[0.8, 0.2], &Generator::new(42)).unwrap();
/// assert_eq!((parts[0].len(), parts[1].len()), (8, 2));
/// ```
///
/// # Errors
/// ValueError if the lengths do not add up.
pub fn random_split<D: Dataset>(
    dataset: D,
    lengths: &(impl Lengths + ?Sized),
    generator: &Generator,
) -> Result<Vec<Subset<Arc<D>>>> {
    let lengths = lengths.lengths(dataset.len())?;
    let order: Vec<usize> = generator.permutation(dataset.len()).into_iter().map(|i| i as usize).collect();
    let dataset = Arc::new(dataset);
    let mut rest = order.as_slice();
    let part = |n| {
        let (part, after) = rest.split_at(n);
        rest = after;
        Subset::new(dataset.clone(), part)
    };
    lengths.into_iter().map(part).collect()
}
