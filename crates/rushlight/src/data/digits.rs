//! The digits: a small real dataset that is part of the library.

use super::{Dataset, Subset, TensorDataset, random_split};
use crate::io::csv;
use crate::{DType, Generator, Result, Tensor, ops};
use flate2::read::GzDecoder;

/// Handwritten digits: 1,797 images of 8 × 8 pixels, each with the digit it shows.
///
/// Alpaydin, E. and Kaynak, C. (1998). *Optical Recognition of Handwritten Digits*. UCI Machine Learning Repository,
/// <https://doi.org/10.24432/C50P49>, licensed under [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/). This is the copy of its
/// test set that is distributed with scikit-learn.
#[derive(Clone, Debug)]
pub struct Digits {
    /// Pixels between 0 (paper) and 1 (ink), float32 `[n, 1, 8, 8]`.
    pub images: Tensor,
    /// Digits from 0 to 9, int64 `[n]`.
    pub labels: Tensor,
}

const FILE: &[u8] = include_bytes!("digits.csv.gz");
const SIDE: i64 = 8;
/// The file's pixels count inked dots in blocks of 4 × 4.
const INK: f64 = 16.0;

/// The [`Digits`], all 1,797 of them.
///
/// # Errors
/// Out of memory.
pub fn digits() -> Result<Digits> {
    let options = csv::Options { header: false, dtype: DType::U8, ..Default::default() };
    let table = csv::read("digits.csv.gz", GzDecoder::new(FILE), &options)?.values;
    let pixels = ops::to_dtype(&ops::narrow(&table, 1, 0, SIDE * SIDE)?, DType::F32)?;
    let images = ops::mul(&ops::reshape(&pixels, &[-1, 1, SIDE, SIDE])?, &Tensor::wrapped_number((1.0 / INK).into()))?;
    let labels = ops::to_dtype(&ops::select(&table, 1, SIDE * SIDE)?, DType::I64)?;
    Ok(Digits { images, labels })
}

impl Digits {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.numel()
    }
    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The images and labels as a dataset.
    ///
    /// # Errors
    /// If the fields were changed and no longer fit together.
    pub fn dataset(self) -> Result<TensorDataset<(Tensor, Tensor)>> {
        TensorDataset::new((self.images, self.labels))
    }
    /// Four fifths for training and one for testing, drawn with `seed`.
    ///
    /// # Errors
    /// As [`Digits::dataset`].
    pub fn split(self, seed: u64) -> Result<(Digits, Digits)> {
        let parts = random_split(self.dataset()?, &[0.8, 0.2], &Generator::new(seed))?;
        let take = |part: &Subset<_>| {
            let all: Vec<usize> = (0..part.len()).collect();
            part.get_batch(&all).map(|(images, labels)| Digits { images, labels })
        };
        Ok((take(&parts[0])?, take(&parts[1])?))
    }
}
