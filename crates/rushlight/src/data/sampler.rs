//! Samplers: which samples, and in which order. They draw as PyTorch's samplers of the same names do.

use crate::{Error, Generator, Result};

/// Numbers of samples in order.
pub type Indices = Box<dyn Iterator<Item = usize> + Send>;

/// Where a sampler draws from: a generator that was given, or the default one, of which PyTorch's samplers make a different use.
#[derive(Clone, Debug)]
pub struct Source {
    generator: Generator,
    is_default: bool,
}

impl Default for Source {
    /// The default generator, as where PyTorch is given `generator=None`.
    fn default() -> Source {
        Source { generator: Generator::default_cpu(), is_default: true }
    }
}

impl From<&Generator> for Source {
    fn from(generator: &Generator) -> Source {
        Source { generator: generator.clone(), is_default: false }
    }
}

impl Source {
    /// The generator.
    pub fn generator(&self) -> &Generator {
        &self.generator
    }
    /// Whether no generator was given.
    pub fn is_default(&self) -> bool {
        self.is_default
    }
    /// A source that gives the same draws as this one did when its generator had the state `state`; this one's stays as it is.
    pub(super) fn replay(&self, state: &[u8]) -> Result<Source> {
        let generator = Generator::new(0);
        generator.set_state(state)?;
        Ok(Source { generator, is_default: self.is_default })
    }
    /// A seed: `torch.empty((), dtype=torch.int64).random_()`.
    pub(super) fn seed(&self) -> u64 {
        self.generator.lock().random64() & i64::MAX as u64
    }
}

/// An order of samples for one epoch.
pub trait Sampler: Send + Sync {
    /// Number of samples in an epoch.
    fn len(&self) -> usize;
    /// Whether an epoch is empty.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The samples of the next epoch. All randomness must come from `source`, so that an interrupted epoch can be drawn again.
    ///
    /// # Errors
    /// If nothing can be drawn.
    fn indices(&self, source: &Source) -> Result<Indices>;
}

/// Every sample once, in order.
#[derive(Clone, Debug)]
pub struct SequentialSampler {
    len: usize,
}

impl SequentialSampler {
    /// Over a dataset of `len` samples.
    pub fn new(len: usize) -> SequentialSampler {
        SequentialSampler { len }
    }
}

impl Sampler for SequentialSampler {
    fn len(&self) -> usize {
        self.len
    }
    fn indices(&self, _: &Source) -> Result<Indices> {
        Ok(Box::new(0..self.len))
    }
}

/// PyTorch's text for a size that is zero.
fn positive(name: &str, value: usize) -> Result<usize> {
    if value > 0 {
        Ok(value)
    } else {
        Err(Error::value(format!("{name} should be a positive integer value, but got {name}={value}")))
    }
}

/// Samples at random: every one once, or with replacement.
#[derive(Clone, Debug)]
pub struct RandomSampler {
    /// Samples in the dataset.
    population: usize,
    num_samples: usize,
    replacement: bool,
}

impl RandomSampler {
    /// Every sample of a dataset of `len` once, in random order.
    ///
    /// # Errors
    /// ValueError if the dataset is empty.
    pub fn new(len: usize) -> Result<RandomSampler> {
        RandomSampler::with_samples(len, len, false)
    }
    /// `num_samples` of a dataset of `len`. Without replacement they are taken from as many shuffles as it needs.
    ///
    /// # Errors
    /// ValueError if a size is zero.
    pub fn with_samples(len: usize, num_samples: usize, replacement: bool) -> Result<RandomSampler> {
        positive("num_samples", num_samples.min(len))?;
        Ok(RandomSampler { population: len, num_samples, replacement })
    }
}

impl Sampler for RandomSampler {
    fn len(&self) -> usize {
        self.num_samples
    }
    fn indices(&self, source: &Source) -> Result<Indices> {
        // Given no generator, PyTorch draws a seed from the default one and shuffles with a generator of that seed.
        let generator = if source.is_default { Generator::new(source.seed()) } else { source.generator.clone() };
        let n = self.population;
        if self.replacement {
            let mut engine = generator.lock();
            // The rule of `torch.randint`: 64 bits from a range of 2^28 on.
            let draw = |_| match n {
                0..0x1000_0000 => engine.random() as usize % n,
                _ => (engine.random64() % n as u64) as usize,
            };
            return Ok(Box::new((0..self.num_samples).map(draw).collect::<Vec<_>>().into_iter()));
        }
        let shuffles = self.num_samples / n + 1;
        // PyTorch draws the last shuffle even where nothing is taken from it.
        let all: Vec<Vec<i64>> = (0..shuffles).map(|_| generator.permutation(n)).collect();
        Ok(Box::new(all.into_iter().flatten().take(self.num_samples).map(|i| i as usize)))
    }
}

/// Samples at random, each with a probability in proportion to its weight.
#[derive(Clone, Debug)]
pub struct WeightedRandomSampler {
    weights: Vec<f64>,
    num_samples: usize,
    replacement: bool,
}

impl WeightedRandomSampler {
    /// `num_samples` of a dataset of as many samples as there are weights, which need not add up to one.
    ///
    /// # Errors
    /// If there is nothing to draw, a weight is negative or not finite, or too few weights are positive.
    pub fn new(weights: impl Into<Vec<f64>>, num_samples: usize, replacement: bool) -> Result<WeightedRandomSampler> {
        let sampler =
            WeightedRandomSampler { weights: weights.into(), num_samples: positive("num_samples", num_samples)?, replacement };
        // A draw from a generator of its own shows whether the weights are any good.
        sampler.indices(&Source::from(&Generator::new(0))).map(|_| sampler)
    }
}

impl Sampler for WeightedRandomSampler {
    fn len(&self) -> usize {
        self.num_samples
    }
    fn indices(&self, source: &Source) -> Result<Indices> {
        let n = self.weights.len();
        let drawn = source.generator.lock().multinomial(&self.weights, n, self.num_samples, self.replacement)?;
        Ok(Box::new(drawn.into_iter().map(|i| i as usize)))
    }
}

/// Samples in groups: what a loader makes batches of.
pub struct BatchSampler {
    sampler: Box<dyn Sampler>,
    batch_size: usize,
    drop_last: bool,
}

impl BatchSampler {
    /// Groups of `batch_size`; the last may be smaller, unless `drop_last` leaves it out.
    ///
    /// # Errors
    /// ValueError if `batch_size` is zero.
    pub fn new(sampler: impl Sampler + 'static, batch_size: usize, drop_last: bool) -> Result<BatchSampler> {
        BatchSampler::boxed(Box::new(sampler), batch_size, drop_last)
    }
    pub(super) fn boxed(sampler: Box<dyn Sampler>, batch_size: usize, drop_last: bool) -> Result<BatchSampler> {
        Ok(BatchSampler { sampler, batch_size: positive("batch_size", batch_size)?, drop_last })
    }
    /// Number of batches in an epoch.
    pub fn len(&self) -> usize {
        if self.drop_last { self.sampler.len() / self.batch_size } else { self.sampler.len().div_ceil(self.batch_size) }
    }
    /// Whether an epoch is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Number of samples in an epoch, before any are left out.
    pub fn num_samples(&self) -> usize {
        self.sampler.len()
    }
    /// Samples in a full batch.
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }
    /// Whether a last, smaller batch is left out.
    pub fn drop_last(&self) -> bool {
        self.drop_last
    }
    /// The batches of the next epoch.
    ///
    /// # Errors
    /// Those of [`Sampler::indices`].
    pub fn batches(&self, source: &Source) -> Result<Box<dyn Iterator<Item = Vec<usize>> + Send>> {
        let (size, drop_last) = (self.batch_size, self.drop_last);
        let mut indices = self.sampler.indices(source)?;
        Ok(Box::new(std::iter::from_fn(move || {
            let batch: Vec<usize> = indices.by_ref().take(size).collect();
            let whole = batch.len() == size || !drop_last;
            (!batch.is_empty() && whole).then_some(batch)
        })))
    }
}
