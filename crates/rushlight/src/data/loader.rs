//! The loader: a dataset in batches, epoch after epoch.

use super::dataset::{caught, samples};
use super::prefetch::{Fetch, Plan, Prefetch, about};
use super::{BatchSampler, Collate, Dataset, RandomSampler, Sampler, SequentialSampler, Source};
use crate::{Error, Generator, Result, State, Stateful, Tensor};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A dataset in batches of `B`.
///
/// ```
/// use rushlight::{Tensor, data::{DataLoader, TensorDataset}};
/// # fn main() -> rushlight::Result<()> {
/// let x = Tensor::from_vec((0..10).map(|i| i as f32).collect(), [5, 2]);
/// let y = Tensor::from_vec((0..5i64).collect(), 5);
/// let loader = DataLoader::builder(TensorDataset::new((x, y))?).batch_size(2).shuffle(true).seed(1).num_workers(2).build()?;
/// for batch in &loader {
///     let (x, y) = batch?;
///     assert_eq!(x.size(0), y.size(0));
/// }
/// # Ok(()) }
/// ```
///
/// Its position can be saved in the middle of an epoch ([`Stateful`]): a loader over the same dataset, with the same settings, that is
/// given the state yields the rest of that epoch at its next [`DataLoader::iter`], and then the same epochs. An epoch that was left
/// early counts as interrupted in a saved state, while the loader's own next `iter` begins a new one. The generator's state is part of
/// the loader's unless it is the process's default one, which is to be saved as a part of its own.
pub struct DataLoader<D, B> {
    dataset: Arc<D>,
    sampler: BatchSampler,
    fetch: Fetch<B>,
    source: Source,
    num_workers: usize,
    prefetch: usize,
    position: Mutex<Position>,
}

#[derive(Clone, Default)]
struct Position {
    /// Epochs begun.
    epoch: usize,
    /// Batches yielded in the epoch at hand.
    yielded: usize,
    /// The generator's state when the epoch at hand began; `None` between epochs.
    start: Option<Vec<u8>>,
    /// The next iteration goes on with the epoch at hand.
    resume: bool,
}

/// What a loader is made from.
pub struct DataLoaderBuilder<D> {
    dataset: D,
    batch_size: usize,
    shuffle: bool,
    sampler: Option<Box<dyn Sampler>>,
    drop_last: bool,
    num_workers: usize,
    prefetch: usize,
    source: Source,
}

impl<D: Dataset + 'static> DataLoaderBuilder<D> {
    /// Samples in a batch; 1 by default.
    #[must_use]
    pub fn batch_size(self, batch_size: usize) -> Self {
        Self { batch_size, ..self }
    }
    /// Whether each epoch has an order of its own; not by default.
    #[must_use]
    pub fn shuffle(self, shuffle: bool) -> Self {
        Self { shuffle, ..self }
    }
    /// The order of samples; excludes `shuffle`.
    #[must_use]
    pub fn sampler(self, sampler: impl Sampler + 'static) -> Self {
        Self { sampler: Some(Box::new(sampler)), ..self }
    }
    /// Whether a last, smaller batch is left out; not by default.
    #[must_use]
    pub fn drop_last(self, drop_last: bool) -> Self {
        Self { drop_last, ..self }
    }
    /// Threads that make batches ahead; with 0, the default, the iterating thread makes them itself.
    #[must_use]
    pub fn num_workers(self, num_workers: usize) -> Self {
        Self { num_workers, ..self }
    }
    /// Batches that each worker may be ahead; 2 by default.
    #[must_use]
    pub fn prefetch(self, prefetch: usize) -> Self {
        Self { prefetch, ..self }
    }
    /// The generator to draw from, instead of the default one.
    #[must_use]
    pub fn generator(self, generator: &Generator) -> Self {
        Self { source: Source::from(generator), ..self }
    }
    /// Draws from a generator of its own, of this seed.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        self.generator(&Generator::new(seed))
    }
    /// The loader, which batches samples by [`Collate`].
    ///
    /// # Errors
    /// ValueError if options are out of range or exclude each other, or an empty dataset is to be shuffled.
    pub fn build(self) -> Result<DataLoader<D, <D::Item as Collate>::Batch>>
    where
        D::Item: Collate,
    {
        self.assemble(|dataset| Arc::new(move |indices| dataset.get_batch(indices)))
    }
    /// The loader, which batches samples by `collate`.
    ///
    /// # Errors
    /// As [`DataLoaderBuilder::build`].
    pub fn build_with<B>(self, collate: impl Fn(Vec<D::Item>) -> Result<B> + Send + Sync + 'static) -> Result<DataLoader<D, B>> {
        self.assemble(|dataset| Arc::new(move |indices| collate(samples(&*dataset, indices)?)))
    }
    fn assemble<B>(self, fetch: impl FnOnce(Arc<D>) -> Fetch<B>) -> Result<DataLoader<D, B>> {
        let n = self.dataset.len();
        let sampler: Box<dyn Sampler> = match (self.sampler, self.shuffle) {
            (Some(_), true) => return Err(Error::value("sampler option is mutually exclusive with shuffle")),
            (Some(sampler), false) => sampler,
            (None, true) => Box::new(RandomSampler::new(n)?),
            (None, false) => Box::new(SequentialSampler::new(n)),
        };
        let dataset = Arc::new(self.dataset);
        Ok(DataLoader {
            fetch: fetch(dataset.clone()),
            dataset,
            sampler: BatchSampler::boxed(sampler, self.batch_size, self.drop_last)?,
            source: self.source,
            num_workers: self.num_workers,
            prefetch: self.prefetch,
            position: Mutex::default(),
        })
    }
}

impl<D: Dataset + 'static> DataLoader<D, ()> {
    /// A loader over `dataset`, to be configured.
    pub fn builder(dataset: D) -> DataLoaderBuilder<D> {
        DataLoaderBuilder {
            dataset,
            batch_size: 1,
            shuffle: false,
            sampler: None,
            drop_last: false,
            num_workers: 0,
            prefetch: 2,
            source: Source::default(),
        }
    }
}

impl<D, B> DataLoader<D, B> {
    /// The dataset.
    pub fn dataset(&self) -> &D {
        &self.dataset
    }
    /// Batches in an epoch.
    pub fn len(&self) -> usize {
        self.sampler.len()
    }
    /// Whether an epoch has no batch.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Epochs begun so far.
    pub fn epoch(&self) -> usize {
        self.position().epoch
    }
    fn position(&self) -> MutexGuard<'_, Position> {
        self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<D: Dataset + 'static, B: Send + 'static> DataLoader<D, B> {
    /// The batches of the next epoch, or the rest of an epoch that has been restored.
    ///
    /// An error of a sample comes as the item in its batch's place, and the batches after it follow.
    pub fn iter(&self) -> Batches<'_, D, B> {
        let mut position = self.position();
        let plan = if std::mem::take(&mut position.resume) {
            let start = position.start.as_deref().unwrap_or_default();
            self.source.replay(start).and_then(|source| self.plan(&source))
        } else {
            let start = Some(self.source.generator().state());
            *position = Position { epoch: position.epoch + 1, yielded: 0, start, resume: false };
            self.plan(&self.source)
        };
        let plan = plan.map(|plan| Box::new(plan.skip(position.yielded)) as Plan);
        let feed = plan.and_then(|plan| match self.num_workers {
            0 => Ok(Feed::Here(plan)),
            n => Prefetch::new(plan, self.fetch.clone(), n, n.saturating_mul(self.prefetch)).map(Feed::Workers),
        });
        let left = self.len().saturating_sub(position.yielded);
        Batches { loader: self, epoch: position.epoch, left, feed: feed.unwrap_or_else(|e| Feed::Failed(Some(e))) }
    }
    fn plan(&self, source: &Source) -> Result<Plan> {
        // PyTorch's iterator draws a seed for its workers first.
        source.seed();
        self.sampler.batches(source)
    }
}

impl<'a, D: Dataset + 'static, B: Send + 'static> IntoIterator for &'a DataLoader<D, B> {
    type Item = Result<B>;
    type IntoIter = Batches<'a, D, B>;
    fn into_iter(self) -> Batches<'a, D, B> {
        self.iter()
    }
}

enum Feed<B> {
    Here(Plan),
    Workers(Prefetch<B>),
    /// Nothing could be drawn: the error is the only item.
    Failed(Option<Error>),
}

/// The batches of one epoch.
pub struct Batches<'a, D, B> {
    loader: &'a DataLoader<D, B>,
    epoch: usize,
    left: usize,
    feed: Feed<B>,
}

impl<D, B> Iterator for Batches<'_, D, B> {
    type Item = Result<B>;
    fn next(&mut self) -> Option<Result<B>> {
        let batch = match &mut self.feed {
            Feed::Here(plan) => match caught(|| Ok(plan.next())) {
                Ok(indices) => indices.map(|i| caught(|| (self.loader.fetch)(&i)).map_err(|e| about(e, &i))),
                Err(e) => Some(Err(e.context("DataLoader: the sampler"))),
            },
            Feed::Workers(prefetch) => prefetch.next(),
            Feed::Failed(e) => e.take().map(Err),
        };
        let mut position = self.loader.position();
        // An older iterator no longer speaks for the loader.
        if position.epoch == self.epoch {
            match batch {
                Some(_) => position.yielded += 1,
                None => *position = Position { epoch: self.epoch, ..Position::default() },
            }
        }
        self.left = if batch.is_some() { self.left.saturating_sub(1) } else { 0 };
        batch
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<D: Dataset, B> DataLoader<D, B> {
    /// What a state fits only if it agrees, by name.
    fn settings(&self) -> [(&'static str, usize); 4] {
        [
            ("dataset_len", self.dataset.len()),
            ("num_samples", self.sampler.num_samples()),
            ("batch_size", self.sampler.batch_size()),
            ("drop_last", self.sampler.drop_last() as usize),
        ]
    }
}

impl<D: Dataset, B> Stateful for DataLoader<D, B> {
    fn state(&self) -> State {
        let position = self.position().clone();
        let bytes = |b: Vec<u8>| {
            let n = b.len();
            Tensor::from_vec(b, n)
        };
        let generator = (!self.source.is_default()).then(|| bytes(self.source.generator().state()));
        let state = self.settings().into_iter().fold(State::map(), |s, (name, value)| s.with(name, value));
        state
            .with("epoch", position.epoch)
            .with("position", position.yielded)
            .with("epoch_start", position.start.map(bytes))
            .with("generator", generator)
    }
    fn load_state(&mut self, state: &State) -> Result<()> {
        for (name, own) in self.settings() {
            let saved = state.read(name, State::as_usize)?;
            if saved != own {
                return Err(Error::value(format!("the state is of a loader with {name} {saved}, not {own}")));
            }
        }
        let epoch = state.read("epoch", State::as_usize)?;
        let yielded = state.read("position", State::as_usize)?;
        let start = state.read("epoch_start", generator_state)?;
        let generator = state.read("generator", generator_state)?;
        if yielded > if start.is_some() { self.len() } else { 0 } {
            return Err(Error::value(format!("state field 'position': there are no {yielded} batches in the epoch")));
        }
        match (&generator, self.source.is_default()) {
            (Some(saved), false) => self.source.generator().set_state(saved)?,
            (None, true) => {}
            (saved, _) => {
                let (theirs, own) = if saved.is_some() { ("a", "none") } else { ("no", "one") };
                return Err(Error::value(format!(
                    "the state is of a loader with {theirs} generator of its own; this one has {own}"
                )));
            }
        }
        *self.position() = Position { epoch, yielded, resume: start.is_some(), start };
        Ok(())
    }
}

/// A generator's state, tried out, or `None`.
fn generator_state(state: &State) -> Result<Option<Vec<u8>>> {
    if let State::None = state {
        return Ok(None);
    }
    let bytes = state.as_tensor()?.try_to_vec::<u8>()?;
    Generator::new(0).set_state(&bytes)?;
    Ok(Some(bytes))
}
