//! Datasets, samplers and loaders: PyTorch's draws, any number of workers, errors, interrupted epochs. Numbers marked so are PyTorch 2.15's.

use rushlight::data::*;
use rushlight::io::checkpoint;
use rushlight::{DType, Error, Generator, Result, State, Stateful, Tensor, manual_seed};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

fn numbers(n: i64) -> Vec<i64> {
    (0..n).collect()
}

fn epoch<D: Dataset + 'static>(loader: &DataLoader<D, Tensor>) -> Vec<Vec<i64>> {
    loader.iter().map(|b| b.unwrap().to_vec()).collect()
}

#[test]
fn splits_are_pytorchs() {
    let parts = random_split(numbers(10), &[3, 7], &Generator::new(42)).unwrap();
    assert_eq!(parts[0].indices(), [2, 6, 1]);
    assert_eq!(parts[1].indices(), [8, 4, 5, 0, 9, 3, 7]);
    let parts = random_split(numbers(11), &[0.3, 0.3, 0.4], &Generator::new(5)).unwrap();
    assert_eq!(parts.iter().map(Subset::indices).collect::<Vec<_>>(), [&[9, 5, 0, 8][..], &[10, 2, 3], &[6, 7, 1, 4]]);
    assert_eq!(parts[1].get(0).unwrap(), 10);
    let bad = |lengths: &dyn Lengths| lengths.lengths(10).unwrap_err().message().to_string();
    let sum = "Sum of input lengths does not equal the length of the input dataset!";
    assert_eq!(bad(&[3usize, 8]), sum);
    assert_eq!(bad(&[usize::MAX, 11]), sum);
    assert_eq!(bad(&[0.5, 0.6]), sum);
    assert_eq!(bad(&[f64::NAN, 1.0]), sum);
    assert_eq!(bad(&[0.5, 0.4]), sum);
    assert_eq!(bad(&[-0.25, 1.25]), "Fraction at index 0 is not between 0 and 1");
    assert_eq!([1.0, 0.0].lengths(0).unwrap(), [0, 0]);
}

/// Everything that draws from the process's default generator, in one test because tests run at once.
#[test]
fn default_draws_are_pytorchs() {
    manual_seed(7);
    let loader = DataLoader::builder(numbers(10)).batch_size(4).shuffle(true).build().unwrap();
    assert_eq!(epoch(&loader), [vec![3, 2, 7, 8], vec![6, 1, 5, 9], vec![0, 4]]);
    assert_eq!(epoch(&loader), [vec![1, 3, 5, 2], vec![8, 9, 6, 7], vec![4, 0]]);
    manual_seed(7);
    let draw = |sampler: &dyn Sampler| sampler.indices(&Source::default()).unwrap().collect::<Vec<_>>();
    let random = |samples, replacement| RandomSampler::with_samples(5, samples, replacement).unwrap();
    assert_eq!(draw(&random(12, false)), [3, 4, 0, 1, 2, 0, 3, 2, 1, 4, 1, 4]);
    let replaced =
        [3, 0, 3, 4, 4, 2, 4, 4, 4, 0, 0, 1, 2, 2, 2, 2, 3, 2, 1, 3, 1, 4, 4, 2, 0, 3, 3, 0, 4, 1, 1, 3, 4, 1, 2, 0, 4, 1, 4, 2];
    assert_eq!(draw(&random(40, true)), replaced);
    manual_seed(7);
    let weighted = |w: &[f64], n, replacement| draw(&WeightedRandomSampler::new(w, n, replacement).unwrap());
    assert_eq!(weighted(&[0.1, 0.9, 0.4, 0.7, 3.0, 0.6], 5, true), [3, 3, 4, 4, 5]);
    assert_eq!(weighted(&[0.9, 0.4, 0.05, 0.2, 0.3, 0.1], 5, false), [5, 1, 0, 4, 3]);
    assert_eq!(weighted(&[1.0, 2.0, 3.0, 4.0], 12, true), [0, 1, 0, 1, 3, 0, 3, 1, 3, 3, 3, 3]);
    assert_eq!(weighted(&[1.0, 2.0, 3.0, 4.0], 3, false), [0, 2, 3]);
    // A restored epoch is drawn again without touching the default generator.
    manual_seed(1);
    let mut loader = DataLoader::builder(numbers(6)).batch_size(4).shuffle(true).build().unwrap();
    let first = loader.iter().next().unwrap().unwrap();
    let state = loader.state();
    manual_seed(2);
    let before = Generator::default_cpu().state();
    loader.load_state(&state).unwrap();
    let rest = epoch(&loader);
    let all: HashSet<i64> = rest.concat().into_iter().chain(first.to_vec()).collect();
    assert_eq!((rest.len(), all.len()), (1, 6));
    assert_eq!(Generator::default_cpu().state(), before);
}

#[test]
fn given_generators_draw_as_pytorchs() {
    let loader = DataLoader::builder(numbers(10)).batch_size(4).shuffle(true).drop_last(true).seed(3).build().unwrap();
    assert_eq!(loader.len(), 2);
    assert_eq!(epoch(&loader), [vec![7, 4, 2, 9], vec![1, 5, 0, 8]]);
    assert_eq!(epoch(&loader), [vec![1, 2, 0, 5], vec![9, 4, 8, 3]]);
    let generator = Generator::new(9);
    let draw = |sampler: RandomSampler| sampler.indices(&Source::from(&generator)).unwrap().collect::<Vec<_>>();
    assert_eq!(draw(RandomSampler::with_samples(5, 10, false).unwrap()), [0, 1, 2, 4, 3, 2, 1, 3, 0, 4]);
    assert_eq!(draw(RandomSampler::new(3).unwrap()), [0, 1, 2]);
    assert_eq!(draw(RandomSampler::with_samples(7, 9, true).unwrap()), [1, 3, 4, 6, 5, 5, 6, 1, 1]);
}

#[test]
fn batches_in_order() {
    let batches = |n, size, drop_last| {
        let sampler = BatchSampler::new(SequentialSampler::new(n), size, drop_last).unwrap();
        let all: Vec<Vec<usize>> = sampler.batches(&Source::from(&Generator::new(0))).unwrap().collect();
        assert_eq!(all.len(), sampler.len());
        all
    };
    assert_eq!(batches(5, 2, false), [vec![0, 1], vec![2, 3], vec![4]]);
    assert_eq!(batches(5, 2, true), [[0, 1], [2, 3]]);
    assert_eq!(batches(4, 2, false), [[0, 1], [2, 3]]);
    assert!(batches(0, 2, false).is_empty() && batches(1, 2, true).is_empty());
}

#[test]
fn bad_options() {
    let message = |b: DataLoaderBuilder<Vec<i64>>| b.build().err().unwrap().message().to_string();
    let builder = || DataLoader::builder(numbers(3));
    assert_eq!(message(builder().batch_size(0)), "batch_size should be a positive integer value, but got batch_size=0");
    assert_eq!(
        message(builder().shuffle(true).sampler(SequentialSampler::new(3))),
        "sampler option is mutually exclusive with shuffle"
    );
    assert_eq!(
        message(DataLoader::builder(numbers(0)).shuffle(true)),
        "num_samples should be a positive integer value, but got num_samples=0"
    );
    assert!(WeightedRandomSampler::new([1.0, -1.0], 1, true).is_err());
    assert!(WeightedRandomSampler::new([1.0, f64::NAN], 1, true).is_err());
    assert!(WeightedRandomSampler::new([0.0, 0.0], 1, true).is_err());
    assert!(WeightedRandomSampler::new([1.0], 2, false).is_err());
    assert!(WeightedRandomSampler::new([], 1, true).is_err());
    assert!(WeightedRandomSampler::new([1.0], 0, true).is_err());
    let empty = DataLoader::builder(numbers(0)).build().unwrap();
    assert!(empty.is_empty() && empty.iter().next().is_none());
}

#[test]
fn tensor_datasets() {
    let x = Tensor::from_vec((0..12).map(|i| i as f32).collect(), [4, 3]);
    let y = Tensor::from_vec(vec![true, false, true, true], 4);
    let data = TensorDataset::new((x.clone(), y.clone())).unwrap();
    let (a, b) = data.get(2).unwrap();
    assert_eq!((a.to_vec::<f32>(), b.item::<bool>()), (vec![6.0, 7.0, 8.0], true));
    assert!(a.shares_storage(&x), "a sample is a view");
    // The fast way gives what stacking samples gives, in every form.
    let indices = [3, 0, 3];
    let (a, b) = data.get_batch(&indices).unwrap();
    let samples = indices.iter().map(|&i| data.get(i).unwrap()).collect();
    let (c, d) = <(Tensor, Tensor)>::collate(samples).unwrap();
    assert_eq!((a.shape(), a.to_vec::<f32>()), (c.shape(), c.to_vec::<f32>()));
    assert_eq!((b.shape(), b.to_vec::<bool>()), (d.shape(), d.to_vec::<bool>()));
    let part = Subset::new(data.clone(), vec![1, 3]).unwrap();
    assert_eq!(part.get_batch(&[1, 0]).unwrap().0.to_vec::<f32>(), [9.0, 10.0, 11.0, 3.0, 4.0, 5.0]);
    assert_eq!(TensorDataset::new(vec![x.clone(), y.clone()]).unwrap().get_batch(&[0]).unwrap().len(), 2);
    assert_eq!(TensorDataset::new(x.clone()).unwrap().len(), 4);
    for e in [
        data.get(4).err().unwrap(),
        data.get_batch(&[0, 4]).err().unwrap(),
        Subset::new(data.clone(), vec![4]).err().unwrap(),
        numbers(4).get(4).unwrap_err(),
    ] {
        assert_eq!(e.message(), "index 4 is out of range for a dataset of 4 samples");
    }
    let bad = |t: Vec<Tensor>| TensorDataset::new(t).err().unwrap().message().to_string();
    assert!(bad(vec![x.clone(), Tensor::scalar(1.0f32)]).contains("Size mismatch between tensors"));
    assert!(bad(vec![x, Tensor::from_vec(vec![1.0f32], 1)]).contains("[Some(4), Some(1)]"));
    assert!(bad(vec![]).contains("at least one tensor"));
}

#[test]
fn collation() {
    let batch = Collate::collate(vec![(1i64, 0.5f64, "a".to_string(), vec![1u8]), (2, 1.5, "b".into(), vec![2])]).unwrap();
    let (ints, floats, texts, lists): (Tensor, Tensor, Vec<String>, Vec<Tensor>) = batch;
    assert_eq!((ints.dtype(), ints.to_vec::<i64>()), (DType::I64, vec![1, 2]));
    assert_eq!((floats.dtype(), floats.to_vec::<f64>()), (DType::F64, vec![0.5, 1.5]));
    assert_eq!((texts, lists.len(), lists[0].to_vec::<u8>()), (vec!["a".to_string(), "b".into()], 1, vec![1, 2]));
    let uneven = Vec::<i64>::collate(vec![vec![1], vec![1, 2]]).unwrap_err();
    assert_eq!(uneven.message(), "each element in list of batch should be of equal size");
    let shapes = Tensor::collate(vec![Tensor::scalar(1i64), Tensor::from_vec(vec![1i64], 1)]).unwrap_err();
    assert!(shapes.message().contains("stack expects each tensor to be equal size"), "{shapes}");
}

/// Samples that take longer the earlier they are, so that workers finish out of order.
struct Slow(usize);

impl Dataset for Slow {
    type Item = usize;
    fn len(&self) -> usize {
        self.0
    }
    fn get(&self, index: usize) -> Result<usize> {
        std::thread::sleep(std::time::Duration::from_micros(((self.0 - index) * 37 % 11) as u64 * 60));
        Ok(index)
    }
}

#[test]
fn workers_change_nothing() {
    let run = |workers, prefetch| {
        let builder = DataLoader::builder(Slow(50)).batch_size(3).shuffle(true).seed(11);
        let loader = builder.num_workers(workers).prefetch(prefetch).build().unwrap();
        [epoch(&loader), epoch(&loader)]
    };
    let alone = run(0, 2);
    for (workers, prefetch) in [(1, 1), (1, 0), (2, 2), (7, 1), (4, 100)] {
        assert_eq!(run(workers, prefetch), alone, "{workers} workers");
    }
}

/// Counts what is fetched, and fails in two ways.
struct Faulty(Arc<AtomicUsize>);

impl Dataset for Faulty {
    type Item = i64;
    fn len(&self) -> usize {
        20
    }
    fn get(&self, index: usize) -> Result<i64> {
        self.0.fetch_add(1, SeqCst);
        match index {
            5 => Err(Error::value("no such picture")),
            9 => panic!("cannot decode {index}"),
            _ => Ok(index as i64),
        }
    }
}

#[test]
fn errors_and_panics_arrive_in_their_place() {
    for workers in [0, 1, 3] {
        let loader = DataLoader::builder(Faulty(Arc::default())).batch_size(2).num_workers(workers).build().unwrap();
        let batches: Vec<_> = loader.iter().collect();
        assert_eq!(batches.len(), 10);
        let text = |i: usize| batches[i].as_ref().err().map(|e| e.message().to_string());
        assert_eq!(text(2).unwrap(), "dataset: sample 5: no such picture");
        assert_eq!(text(4).unwrap(), "dataset: sample 9: panicked: cannot decode 9");
        assert_eq!(batches.iter().filter(|b| b.is_ok()).count(), 8);
        // A collation that fails names the batch.
        let loader = DataLoader::builder(Slow(4)).batch_size(2).num_workers(workers);
        let loader = loader.build_with(|b: Vec<usize>| if b[0] == 2 { panic!("odd") } else { Ok(b) }).unwrap();
        let batches: Vec<_> = loader.iter().collect();
        assert_eq!(batches[0].as_ref().unwrap(), &[0, 1]);
        assert_eq!(batches[1].as_ref().unwrap_err().message(), "DataLoader: batch of samples [2, 3]: panicked: odd");
    }
}

/// A sampler that panics on its way.
struct Broken;

impl Sampler for Broken {
    fn len(&self) -> usize {
        4
    }
    fn indices(&self, _: &Source) -> Result<Indices> {
        Ok(Box::new((0..4).inspect(|i| assert!(*i < 2, "out of luck"))))
    }
}

#[test]
fn a_broken_sampler_ends_the_epoch() {
    for workers in [1, 3] {
        let loader = DataLoader::builder(numbers(4)).sampler(Broken).num_workers(workers).build().unwrap();
        let batches: Vec<_> = loader.iter().collect();
        assert_eq!(batches.len(), 3);
        assert_eq!(batches[2].as_ref().unwrap_err().message(), "DataLoader: the sampler: panicked: out of luck");
    }
}

#[test]
fn leaving_early_joins_the_workers() {
    for taken in [0, 1, 3] {
        let fetched = Arc::<AtomicUsize>::default();
        let loader = DataLoader::builder(Faulty(fetched.clone())).num_workers(2).prefetch(2).build().unwrap();
        let mut batches = loader.iter();
        (0..taken).for_each(|_| drop(batches.next().unwrap()));
        drop(batches);
        // No thread is left: nothing else is fetched, and the dataset has one owner beside the loader's function.
        let n = fetched.load(SeqCst);
        assert!(n <= taken + 4 + 2, "{n} fetched, though {taken} were taken");
        drop(loader);
        assert_eq!((fetched.load(SeqCst), Arc::strong_count(&fetched)), (n, 1));
    }
}

fn loader(workers: usize, seed: u64) -> DataLoader<Vec<i64>, Tensor> {
    DataLoader::builder(numbers(23)).batch_size(4).shuffle(true).seed(seed).num_workers(workers).build().unwrap()
}

#[test]
fn an_interrupted_epoch_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    for workers in [0, 3] {
        for taken in 0..=6 {
            let original = loader(workers, 5);
            epoch(&original);
            let mut batches = original.iter();
            (0..taken).for_each(|_| drop(batches.next().unwrap().unwrap()));
            // Through a file, in the middle of the iteration.
            checkpoint::save(folder.path().join("a"), &original.state()).unwrap();
            let rest: Vec<Vec<i64>> = batches.map(|b| b.unwrap().to_vec()).collect();
            assert_eq!(rest.len(), 6 - taken);
            let mut restored = loader(3 - workers, 77);
            restored.load_state(&checkpoint::load(folder.path().join("a")).unwrap()).unwrap();
            assert_eq!(restored.epoch(), 2);
            assert_eq!(restored.iter().size_hint(), (6 - taken, Some(6 - taken)));
            restored.load_state(&checkpoint::load(folder.path().join("a")).unwrap()).unwrap();
            assert_eq!(epoch(&restored), rest, "the rest after {taken}");
            assert_eq!(
                [epoch(&restored), epoch(&restored)],
                [epoch(&original), epoch(&original)],
                "the next epochs after {taken}"
            );
            assert_eq!(restored.epoch(), 4);
        }
    }
}

#[test]
fn between_epochs_and_abandoned_epochs() {
    let original = loader(0, 5);
    epoch(&original);
    let mut restored = loader(0, 6);
    restored.load_state(&original.state()).unwrap();
    assert_eq!([epoch(&restored), epoch(&restored)], [epoch(&original), epoch(&original)]);
    // Restored twice over, without a batch in between.
    let mut batches = original.iter();
    batches.next();
    let state = original.state();
    restored.load_state(&state).unwrap();
    let mut again = loader(0, 8);
    again.load_state(&restored.state()).unwrap();
    let rest: Vec<Vec<i64>> = batches.map(|b| b.unwrap().to_vec()).collect();
    assert_eq!(epoch(&again), rest);
    // The loader itself begins anew after an epoch that was left.
    original.iter().next();
    assert_eq!(epoch(&original).len(), 6);
    // An iterator that was overtaken does not move the position.
    let mut old = original.iter();
    let mut new = original.iter();
    new.next();
    old.by_ref().for_each(drop);
    assert_eq!(original.state().read("position", State::as_usize).unwrap(), 1);
}

#[test]
fn states_that_do_not_fit() {
    let l = loader(0, 1);
    l.iter().next();
    let state = l.state();
    let message = |state: &State| loader(0, 1).load_state(state).unwrap_err().message().to_string();
    assert_eq!(message(&state.clone().with("batch_size", 5i64)), "the state is of a loader with batch_size 5, not 4");
    assert_eq!(message(&state.clone().with("dataset_len", 9i64)), "the state is of a loader with dataset_len 9, not 23");
    assert!(message(&state.clone().with("position", 7i64)).contains("no 7 batches"));
    assert!(message(&state.clone().with("position", -1i64)).contains("'position': should not be negative"));
    assert!(message(&state.clone().with("epoch_start", State::None)).contains("no 1 batches"));
    assert!(message(&state.clone().with("epoch_start", Tensor::scalar(1u8))).starts_with("state field 'epoch_start': "));
    assert!(message(&state.clone().with("generator", State::None)).contains("no generator of its own; this one has one"));
    assert!(message(&State::None).contains("should be a map"));
    let mut plain = DataLoader::builder(numbers(23)).batch_size(4).build().unwrap();
    assert!(plain.load_state(&state).unwrap_err().message().contains("a generator of its own; this one has none"));
    // A state that was refused has changed nothing.
    let (mut a, b) = (loader(0, 4), loader(0, 4));
    assert!(a.load_state(&state.clone().with("position", 7i64)).is_err());
    assert_eq!(epoch(&a), epoch(&b));
}

#[test]
fn the_digits() {
    let d = digits().unwrap();
    assert_eq!((d.images.shape().as_slice(), d.images.dtype()), (&[1797, 1, 8, 8][..], DType::F32));
    let pixels = d.images.to_vec::<f32>();
    assert_eq!(pixels[..8], [0.0, 0.0, 5.0, 13.0, 9.0, 1.0, 0.0, 0.0].map(|p: f32| p / 16.0));
    assert_eq!(pixels.iter().cloned().fold((f32::MAX, f32::MIN), |(a, b), p| (a.min(p), b.max(p))), (0.0, 1.0));
    let labels = d.labels.to_vec::<i64>();
    let counts: Vec<usize> = (0..10).map(|c| labels.iter().filter(|l| **l == c).count()).collect();
    assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    assert_eq!(labels[..4], [0, 1, 2, 3]);

    let (train, test) = d.clone().split(0).unwrap();
    assert_eq!((train.len(), test.len()), (1438, 359));
    let (_, again) = d.clone().split(0).unwrap();
    assert_eq!(again.images.to_vec::<f32>(), test.images.to_vec::<f32>());
    let (_, other) = d.split(1).unwrap();
    assert_ne!(other.labels.to_vec::<i64>(), test.labels.to_vec::<i64>());
    // Every image went to one side, with its label.
    let rows = |d: &Digits| -> Vec<(i64, Vec<u32>)> {
        let pixels = d.images.to_vec::<f32>();
        let bits = pixels.chunks(64).map(|p| p.iter().map(|x| x.to_bits()).collect());
        d.labels.to_vec::<i64>().into_iter().zip(bits).collect()
    };
    let mut joined = [rows(&train), rows(&test)].concat();
    let mut all: Vec<(i64, Vec<u32>)> =
        labels.into_iter().zip(pixels.chunks(64).map(|p| p.iter().map(|x| x.to_bits()).collect())).collect();
    joined.sort();
    all.sort();
    assert_eq!(joined, all);
}
