//! How well a classifier does.

use crate::{DType, Error, Result, Tensor, ops};

/// The share of samples whose class was predicted: `predictions` are scores `[n, classes]`, of which the largest counts, or classes
/// `[n]`; `labels` are classes `[n]`. NaN where `n` is 0.
///
/// # Errors
/// If the shapes do not fit.
pub fn accuracy(predictions: &Tensor, labels: &Tensor) -> Result<f64> {
    let (predicted, actual) = pairs("accuracy", predictions, labels)?;
    let right = predicted.iter().zip(&actual).filter(|(p, a)| p == a).count();
    Ok(right as f64 / actual.len() as f64)
}

/// How often each class was taken for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix {
    classes: usize,
    /// By actual class, then by predicted class.
    counts: Vec<u64>,
}

impl ConfusionMatrix {
    /// All zero.
    pub fn new(classes: usize) -> ConfusionMatrix {
        ConfusionMatrix { classes, counts: vec![0; classes * classes] }
    }
    /// Counts a batch; the arguments are those of [`accuracy`].
    ///
    /// # Errors
    /// If the shapes do not fit, or a class is out of range; nothing is counted then.
    pub fn update(&mut self, predictions: &Tensor, labels: &Tensor) -> Result<()> {
        let (predicted, actual) = pairs("ConfusionMatrix", predictions, labels)?;
        let n = self.classes as i64;
        if let Some(bad) = predicted.iter().chain(&actual).find(|c| !(0..n).contains(*c)) {
            return Err(Error::index(format!("ConfusionMatrix: class {bad} is out of range for {n} classes")));
        }
        for (p, a) in predicted.into_iter().zip(actual) {
            self.counts[a as usize * self.classes + p as usize] += 1;
        }
        Ok(())
    }
    /// How often class `actual` was taken for class `predicted`.
    ///
    /// # Panics
    /// If a class is out of range.
    pub fn count(&self, actual: usize, predicted: usize) -> u64 {
        assert!(actual < self.classes && predicted < self.classes, "classes ({actual}, {predicted}) of {}", self.classes);
        self.counts[actual * self.classes + predicted]
    }
    /// The share of samples on the diagonal; NaN without samples.
    pub fn accuracy(&self) -> f64 {
        let right: u64 = (0..self.classes).map(|c| self.count(c, c)).sum();
        right as f64 / self.counts.iter().sum::<u64>() as f64
    }
    /// The counts as an int64 tensor, `[actual, predicted]`.
    pub fn to_tensor(&self) -> Tensor {
        Tensor::from_vec(self.counts.iter().map(|&c| c as i64).collect(), [self.classes, self.classes])
    }
}

/// Predicted and actual classes.
fn pairs(name: &str, predictions: &Tensor, labels: &Tensor) -> Result<(Vec<i64>, Vec<i64>)> {
    let (p, l) = (predictions.shape(), labels.shape());
    if l.len() != 1 || !(1..=2).contains(&p.len()) || p[0] != l[0] || p.get(1) == Some(&0) {
        return Err(Error::value(format!(
            "{name}: expected scores [n, classes] or classes [n], and labels [n], but got {:?} and {:?}",
            p.as_slice(),
            l.as_slice()
        )));
    }
    let classes = |t: &Tensor| ops::to_dtype(&t.detach(), DType::I64)?.try_to_vec::<i64>();
    let predicted = if p.len() == 2 { ops::argmax(&predictions.detach(), Some(1), false)? } else { predictions.clone() };
    Ok((classes(&predicted)?, classes(labels)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        let scores = Tensor::from_vec(vec![0.1f32, 0.9, 0.8, 0.2, 0.3, 0.7, 0.6, 0.4], [4, 2]);
        let labels = Tensor::from_vec(vec![1i64, 0, 0, 0], 4);
        assert_eq!(accuracy(&scores, &labels).unwrap(), 0.75);
        let mut m = ConfusionMatrix::new(2);
        m.update(&scores, &labels).unwrap();
        m.update(&labels, &labels).unwrap();
        assert_eq!(m.to_tensor().to_vec::<i64>(), [5, 1, 0, 2]);
        assert_eq!((m.count(0, 1), m.accuracy()), (1, 7.0 / 8.0));
        let before = m.clone();
        assert!(m.update(&Tensor::from_vec(vec![0i64, 2, 0, 0], 4), &labels).unwrap_err().message().contains("class 2"));
        assert_eq!(m, before);
    }

    #[test]
    fn shapes_must_fit() {
        let labels = Tensor::from_vec(vec![1i64, 0], 2);
        for bad in [Tensor::scalar(1i64), Tensor::from_vec(vec![0i64; 3], 3), Tensor::from_vec(Vec::<f32>::new(), [2, 0])] {
            assert!(accuracy(&bad, &labels).unwrap_err().message().contains("expected scores"));
        }
        let none = Tensor::from_vec(Vec::<i64>::new(), 0);
        assert!(accuracy(&none, &none).unwrap().is_nan());
    }
}
