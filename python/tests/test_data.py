"""Datasets, samplers and the loader against PyTorch's, for the same seeds."""

import collections
import gc
import io
import threading
import time

import pytest

import rushlight

torch = pytest.importorskip("torch")
import torch.utils.data  # noqa: E402

import rushlight.utils.data  # noqa: E402

LIBS = (rushlight, torch)
WORKERS = pytest.mark.parametrize("workers", [0, 1, 3])


def plain(value):
    """A batch as plain Python values."""
    if isinstance(value, (rushlight.Tensor, torch.Tensor)):
        return str(value.dtype), tuple(value.shape), value.tolist()
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value).__name__, [plain(v) for v in value]
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if type(value).__module__ == "numpy":
        return type(value).__name__, str(value)
    if isinstance(value, dict):
        return type(value).__name__, {k: plain(v) for k, v in value.items()}
    return value


def both(function):
    """What `function(lib)` gives or raises, for each library: they should not differ."""
    results = []
    for lib in LIBS:
        try:
            results.append(plain(function(lib)))
        except Exception as e:
            results.append((type(e).__name__, str(e)))
    assert results[0] == results[1]
    return results[0]


def indices(batches):
    return [b.tolist() if hasattr(b, "tolist") else b for b in batches]


@pytest.fixture(autouse=True)
def no_threads_left():
    before = set(threading.enumerate())
    yield
    left = set(threading.enumerate()) - before
    if left:
        gc.collect()
    for thread in left:
        thread.join(10)
    assert not any(thread.is_alive() for thread in left)


# ---- order ----------------------------------------------------------------------------------------------------------------


@WORKERS
@pytest.mark.parametrize("own_generator", [False, True])
@pytest.mark.parametrize(
    "kwargs",
    [
        dict(shuffle=True, batch_size=4),
        dict(shuffle=True, batch_size=4, drop_last=True),
        dict(shuffle=True, batch_size=None),
        dict(batch_size=5),
        dict(shuffle=True, batch_size=23),
    ],
    ids=str,
)
def test_shuffled_order_and_random_stream(kwargs, own_generator, workers):
    """Three epochs, and what the default generator gives between them. PyTorch's workers change neither."""

    def run(lib):
        lib.manual_seed(7)
        generator = lib.Generator() if own_generator else None
        if own_generator:
            generator.manual_seed(3)
        extra = dict(num_workers=workers) if lib is rushlight else {}
        loader = lib.utils.data.DataLoader(list(range(23)), generator=generator, **kwargs, **extra)
        return [(indices(loader), lib.rand(2).tolist()) for _ in range(3)]

    both(run)


@pytest.mark.parametrize(
    "make",
    [
        lambda d, g: d.RandomSampler(range(10), generator=g),
        lambda d, g: d.RandomSampler(range(10), num_samples=7, generator=g),
        lambda d, g: d.RandomSampler(range(10), num_samples=25, generator=g),
        lambda d, g: d.RandomSampler(range(10), num_samples=30, generator=g),
        lambda d, g: d.RandomSampler(range(10), replacement=True, generator=g),
        lambda d, g: d.RandomSampler(range(10), replacement=True, num_samples=64, generator=g),
        lambda d, g: d.RandomSampler(range(10), replacement=True, num_samples=70, generator=g),
        lambda d, g: d.SubsetRandomSampler([3, 1, 4, 1, 5], generator=g),
        lambda d, g: d.WeightedRandomSampler([0.1, 0.9, 0.4, 0.7, 3.0, 0.0], 5, generator=g),
        lambda d, g: d.WeightedRandomSampler([0.1, 0.9, 0.4, 0.7, 3.0, 0.6], 20, replacement=True, generator=g),
        lambda d, g: d.WeightedRandomSampler([0.1, 0.9, 0.4, 0.7, 3.0, 0.6], 6, replacement=False, generator=g),
        lambda d, g: d.BatchSampler(d.RandomSampler(range(10), generator=g), 4, False),
        lambda d, g: d.BatchSampler(d.RandomSampler(range(10), generator=g), 4, True),
        lambda d, g: d.SequentialSampler(range(4)),
    ],
)
@pytest.mark.parametrize("own_generator", [False, True])
def test_samplers(make, own_generator):
    def run(lib):
        lib.manual_seed(11)
        generator = lib.Generator() if own_generator else None
        if own_generator:
            generator.manual_seed(5)
        sampler = make(lib.utils.data, generator)
        passes = [list(sampler) for _ in range(3)]
        return passes, len(sampler), lib.rand(2).tolist(), own_generator and lib.rand(2, generator=generator).tolist()

    both(run)


def test_wrong_arguments_of_samplers():
    for make in (
        lambda d: d.RandomSampler(range(3), replacement=1),
        lambda d: d.RandomSampler(range(3), num_samples=0),
        lambda d: d.RandomSampler(range(3), num_samples=1.5),
        lambda d: d.RandomSampler([]),
        lambda d: d.WeightedRandomSampler([1.0], True),
        lambda d: d.WeightedRandomSampler([1.0], 1, replacement=1),
        lambda d: d.WeightedRandomSampler([[1.0]], 1),
        lambda d: d.BatchSampler(range(3), 0, False),
        lambda d: d.BatchSampler(range(3), True, False),
        lambda d: d.BatchSampler(range(3), 2, 1),
        lambda d: d.DistributedSampler(range(3), 2, 2),
        lambda d: d.DistributedSampler(range(3), 2, -1),
    ):
        assert both(lambda lib: make(lib.utils.data))[0] in ("ValueError", "TypeError")
    with pytest.raises(ValueError):
        list(rushlight.utils.data.RandomSampler([], num_samples=3))


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("size", [1, 2, 9, 10, 11])
def test_distributed_sampler(size, drop_last, shuffle):
    def run(lib):
        found = []
        for replicas in (1, 3, 5):
            for rank in range(replicas):
                sampler = lib.utils.data.DistributedSampler(range(size), replicas, rank, shuffle, seed=4, drop_last=drop_last)
                found.append((len(sampler), list(sampler)))
                sampler.set_epoch(2)
                found.append(list(sampler))
        return found

    both(run)


@pytest.mark.filterwarnings("ignore:Length of split at index")
def test_random_split():
    for size, lengths in ((10, [3, 7]), (30, [0.3, 0.3, 0.4]), (11, [0.5, 0.25, 0.25]), (7, [1 / 3, 1 / 3, 1 / 3]), (3, [0.9, 0.1])):

        def run(lib, generator):
            lib.manual_seed(5)
            extra = dict(generator=lib.Generator().manual_seed(42)) if generator else {}
            parts = lib.utils.data.random_split(range(size), lengths, **extra)
            return [list(p.indices) for p in parts], [list(p) for p in parts], lib.rand(1).tolist()

        both(lambda lib: run(lib, False))
        both(lambda lib: run(lib, True))
    for lengths in ([1, 2], [-0.5, 1.5], [2.0, -1.0]):
        assert both(lambda lib: lib.utils.data.random_split(range(10), lengths))[0] == "ValueError"
    for lib in LIBS:
        with pytest.warns(UserWarning, match="Length of split at index 1 is 0. This might result in an empty dataset."):
            lib.utils.data.random_split(range(1), [0.5, 0.5])


# ---- datasets -------------------------------------------------------------------------------------------------------------


class Batched(list):
    def __getitems__(self, indices):
        return [-self[i] for i in indices]


def test_datasets_of_datasets():
    def run(lib):
        d = lib.utils.data
        tensors = d.TensorDataset(lib.arange(6).view(3, 2), lib.arange(3.0))
        joined = d.ConcatDataset([range(3), range(10, 12)])
        subset = d.Subset(joined, [4, 0, 1])
        stacked, named = d.StackDataset(range(3), Batched([5, 6, 7])), d.StackDataset(x=range(3), y=Batched([5, 6, 7]))
        return (
            [tensors[i] for i in range(3)], len(tensors), tensors[-1], tensors[0:2],
            [joined[i] for i in range(-5, 5)], len(joined), joined.cumulative_sizes,
            list(subset), subset.__getitems__([2, 0]), len(subset), d.Subset(Batched([1, 2]), [1, 0]).__getitems__([0]),
            stacked[1], stacked.__getitems__([2, 0]), named[1], named.__getitems__([2, 0]), len(named),
        )  # fmt: skip

    both(run)


def test_wrong_datasets():
    def iterable(lib):
        return type("It", (lib.utils.data.IterableDataset,), {"__iter__": lambda self: iter(range(2))})()

    for make in (
        lambda d, lib: d.TensorDataset(lib.ones(2), lib.ones(3)),
        lambda d, lib: d.ConcatDataset([]),
        lambda d, lib: d.ConcatDataset([iterable(lib)]),
        lambda d, lib: d.ConcatDataset([range(2)])[-3],
        lambda d, lib: list(d.ChainDataset([range(2)])),
        lambda d, lib: d.StackDataset(),
        lambda d, lib: d.StackDataset(range(2), range(3)),
        lambda d, lib: d.StackDataset(range(2), x=range(2)),
        lambda d, lib: len(d.Dataset()),
        lambda d, lib: len(d.Sampler()),
    ):
        both(lambda lib: make(lib.utils.data, lib))
    for lib in LIBS:
        with pytest.raises(NotImplementedError):
            lib.utils.data.Dataset()[0]
        with pytest.raises(NotImplementedError):
            type("S", (lib.utils.data.Subset,), {"__getitem__": lambda self, i: i})(range(3), [1])
    chained = both(lambda lib: list(iterable(lib) + iterable(lib)))
    assert chained == [0, 1, 0, 1]
    assert rushlight.utils.data.Dataset[int].__origin__ is rushlight.utils.data.Dataset

    class Generic(rushlight.utils.data.Dataset[int]):
        pass

    assert Generic.__base__ is rushlight.utils.data.Dataset


OBJECT = object()
Point = collections.namedtuple("Point", "x y")


class Extra(dict):
    note = None


def samples(lib):
    np = pytest.importorskip("numpy")
    return [
        [1, 2], [1.5, 2.5], [True, False], ["a", "b"], [b"a", b"b"], [lib.ones(2), lib.zeros(2)], [lib.tensor(1), lib.tensor(2)],
        [(1, 2.0), (3, 4.0)], [[1, [2]], [3, [4]]], [Point(1, 2.0), Point(3, 4.0)], [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}],
        [Extra(a=1), Extra(a=2)], [(lib.ones(1), {"k": [1]}), (lib.ones(1), {"k": [2]})], [np.ones(2), np.zeros(2)], [np.float32(1), np.float32(2)],
        [np.float64(1)], [np.int16(3), np.int16(4)], [np.bool_(True)], [np.array(3)], [range(2), range(2)],
        [np.array(["a"])], [OBJECT], [None], [[1], [1, 2]], [lib.ones(2), lib.ones(3)], [{"a": 1}, {"b": 2}], [{1, 2}],
    ]  # fmt: skip


def test_collation():
    for i in range(len(samples(torch))):
        results = []
        for lib in LIBS:
            for function in (lib.utils.data.default_collate, lib.utils.data.default_convert):
                try:
                    results.append(plain(function(samples(lib)[i])))
                except (TypeError, KeyError) as e:
                    results.append((type(e), str(e)))
                except RuntimeError as e:
                    results.append((type(e), str(e).partition(" got ")[0]))
        assert results[:2] == results[2:], i
    copied = rushlight.utils.data.default_collate([Extra(a=1)])
    assert type(copied) is Extra
    named = rushlight.utils.data._utils.collate.default_collate_fn_map
    assert {rushlight.Tensor, float, int, str, bytes} <= named.keys()


# ---- the loader -----------------------------------------------------------------------------------------------------------


def test_wrong_arguments_of_the_loader():
    class Iterable:
        def __new__(cls, lib):
            return type("It", (lib.utils.data.IterableDataset,), {"__repr__": lambda self: "It", "__iter__": lambda self: iter(())})()

    for kwargs in (
        dict(num_workers=-1), dict(timeout=-1), dict(prefetch_factor=2), dict(num_workers=1, prefetch_factor=-1), dict(persistent_workers=True),
        dict(shuffle=True, sampler=[0]), dict(batch_sampler=[[0]], batch_size=2), dict(batch_sampler=[[0]], shuffle=True),
        dict(batch_sampler=[[0]], sampler=[0]), dict(batch_sampler=[[0]], drop_last=True), dict(batch_size=None, drop_last=True),
        dict(batch_size=0), dict(multiprocessing_context="fork"), dict(drop_last=1),
    ):  # fmt: skip
        assert both(lambda lib: lib.utils.data.DataLoader([1, 2], **kwargs))[0] == "ValueError", kwargs
    for kwargs in (dict(shuffle=True), dict(sampler=[0]), dict(batch_sampler=[[0]])):
        assert both(lambda lib: lib.utils.data.DataLoader(Iterable(lib), **kwargs))[0] == "ValueError"

    def set_later(lib):
        loader = lib.utils.data.DataLoader([1, 2])
        loader.num_workers = 0
        loader.batch_size = 3

    assert both(set_later)[0] == "ValueError"
    for lib in LIBS:
        with pytest.warns(UserWarning, match="'pin_memory' argument is set as true but no accelerator is found"):
            list(lib.utils.data.DataLoader([1], pin_memory=True))
    for kwargs in (dict(), dict(batch_size=2), dict(batch_size=2, drop_last=True), dict(batch_size=None), dict(batch_sampler=[[0], [1, 2]])):
        both(lambda lib: len(lib.utils.data.DataLoader([1, 2, 3], **kwargs)))
        both(lambda lib: list(lib.utils.data.DataLoader([1, 2, 3], **kwargs)))
    both(lambda lib: list(lib.utils.data.DataLoader(Batched([1, 2, 3]), batch_size=2, collate_fn=lambda b: b)))


@WORKERS
def test_workers_give_the_same_batches(workers):
    data = [(rushlight.full((2,), float(i)), i, str(i)) for i in range(17)]
    for kwargs in (dict(batch_size=3), dict(batch_size=None), dict(sampler=[3, 1, 2]), dict(batch_sampler=[[0, 1], [16]])):
        expected = plain(list(rushlight.utils.data.DataLoader(data, **kwargs)))
        for extra in (dict(), dict(prefetch_factor=1), dict(prefetch_factor=50)) if workers else (dict(),):
            assert plain(list(rushlight.utils.data.DataLoader(data, num_workers=workers, **kwargs, **extra))) == expected


class Ranged:
    def __init__(self, start, end):
        self.start, self.end = start, end

    def __iter__(self):
        return iter(range(self.start, self.end))


class OurRange(Ranged, rushlight.utils.data.IterableDataset):
    pass


class TheirRange(Ranged, torch.utils.data.IterableDataset):
    pass


def split(d):
    """PyTorch's documented way of giving each worker its part: in `worker_init_fn`, on its own copy of the dataset."""

    def init(worker):
        info = d.get_worker_info()
        assert info.id == worker
        dataset = info.dataset
        each = -(-(dataset.end - dataset.start) // info.num_workers)
        dataset.start, dataset.end = dataset.start + worker * each, min(dataset.end, dataset.start + (worker + 1) * each)

    return init


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [0, 2, 3])
@pytest.mark.parametrize("parted", [False, True])
def test_iterable_datasets(workers, parted):
    for kwargs in (dict(batch_size=3), dict(batch_size=None), dict(batch_size=4, drop_last=True)):

        def run(lib, dataset):
            d = lib.utils.data
            init = split(d) if parted and workers else None
            return indices(d.DataLoader(dataset, num_workers=workers, worker_init_fn=init, **kwargs))

        ours = OurRange(0, 17)
        assert run(rushlight, ours) == run(torch, TheirRange(0, 17))
        assert (ours.start, ours.end) == (0, 17)


def test_length_of_iterable_datasets():
    def run(lib):
        base = {rushlight: OurRange, torch: TheirRange}[lib]
        dataset = type("Sized", (base,), {"__len__": lambda self: 5, "__repr__": lambda self: "Sized"})(0, 7)
        loader = lib.utils.data.DataLoader(dataset, batch_size=2)
        lengths = len(loader), len(lib.utils.data.DataLoader(dataset, batch_size=2, drop_last=True))
        loader = lib.utils.data.DataLoader(dataset)
        len(loader)
        with pytest.warns(UserWarning, match="Length of IterableDataset Sized was reported to be 5"):
            return lengths, indices(loader)

    both(run)


class Failing(rushlight.utils.data.Dataset):
    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 10

    def __getitem__(self, index):
        if index == 5:
            raise self.error
        return index


class Particular(Exception):
    def __init__(self, a, b):
        super().__init__(a, b)


@pytest.mark.parametrize("error", [ValueError("wrong value"), KeyError("wrong key"), Particular("wrong", 1)], ids=repr)
def test_errors_of_workers_come_with_their_traceback(error):
    loader = rushlight.utils.data.DataLoader(Failing(error), num_workers=2)
    batches, iterator = [], iter(loader)
    with pytest.raises(RuntimeError if isinstance(error, Particular) else type(error)) as caught:
        for batch in iterator:
            batches += batch.tolist()
    text = str(caught.value)
    assert text.startswith(f"Caught {type(error).__name__} in DataLoader worker thread ") and "in __getitem__\n" in text
    assert caught.value.__cause__ is error
    assert batches == [0, 1, 2, 3, 4] and [b.item() for b in iterator] == [6, 7, 8, 9]
    with pytest.raises(ZeroDivisionError, match="Caught ZeroDivisionError in DataLoader worker thread 0"):
        next(iter(rushlight.utils.data.DataLoader([1], num_workers=1, worker_init_fn=lambda worker: 1 / 0)))


def test_worker_info():
    assert rushlight.utils.data.get_worker_info() is None
    seen = {}

    def look(worker):
        seen[worker] = rushlight.utils.data.get_worker_info()

    rushlight.manual_seed(4)
    data = Failing(None)
    draws = []
    for _ in range(2):
        rushlight.manual_seed(4)
        assert len(list(rushlight.utils.data.DataLoader(data, num_workers=2, worker_init_fn=look, sampler=[0, 1, 2]))) == 3
        draws.append([(rushlight.rand(2, generator=seen[i].rng.torch_generator).tolist(), seen[i].rng.random_generator.random()) for i in (0, 1)])
    assert draws[0] == draws[1] and draws[0][0] != draws[0][1]
    torch.manual_seed(4)
    base = torch.empty((), dtype=torch.int64).random_().item()
    assert [(seen[i].id, seen[i].num_workers, seen[i].seed) for i in (0, 1)] == [(0, 2, base), (1, 2, base + 1)]
    assert seen[0].dataset is not data and type(seen[0].dataset) is Failing
    with pytest.raises(AttributeError):
        seen[0].id = 3


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_persistent_workers():
    def run(lib):
        lib.manual_seed(1)
        loader = lib.utils.data.DataLoader(list(range(20)), num_workers=2, batch_size=3, persistent_workers=True, shuffle=True)
        return [(indices(loader), lib.rand(1).tolist()) for _ in range(3)]

    both(run)
    started = []
    loader = rushlight.utils.data.DataLoader(
        list(range(20)), num_workers=2, persistent_workers=True, worker_init_fn=lambda worker: started.append(worker)
    )
    next(iter(loader))
    assert sorted(sum(indices(loader), [])) == list(range(20)) == sum(indices(loader), [])  # a pass that was left counts for nothing
    assert sorted(started) == [0, 1]
    iterable = rushlight.utils.data.DataLoader(OurRange(0, 5), num_workers=2, persistent_workers=True)
    assert indices(iterable) == indices(iterable) == [[i] for i in range(5) for _ in (0, 1)]


def test_threads_end_with_their_iterator():
    before = threading.active_count()
    iterator = iter(rushlight.utils.data.DataLoader(list(range(100)), num_workers=3))
    next(iterator)
    assert threading.active_count() == before + 3
    del iterator
    gc.collect()
    assert threading.active_count() == before
    for _ in rushlight.utils.data.DataLoader(list(range(100)), num_workers=3):
        break
    gc.collect()
    assert threading.active_count() == before


class Gated(rushlight.utils.data.Dataset):
    """Sample 0 waits until it is let through."""

    def __init__(self):
        self.gate = threading.Event()

    def __len__(self):
        return 6

    def __getitem__(self, index):
        if index == 0:
            self.gate.wait(5)
        return index


def test_timeout_and_order_of_arrival():
    data = Gated()
    iterator = iter(rushlight.utils.data.DataLoader(data, num_workers=2, timeout=0.05))
    with pytest.raises(RuntimeError, match="DataLoader timed out after 0.05 seconds"):
        next(iterator)
    data.gate.set()
    del iterator
    data = Gated()
    iterator = iter(rushlight.utils.data.DataLoader(data, num_workers=2, in_order=False))
    first = next(iterator).item()
    data.gate.set()
    assert first != 0 and sorted([first] + [b.item() for b in iterator]) == list(range(6))


# ---- resuming -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers,persistent", [(0, False), (2, False), (2, True)])
@pytest.mark.parametrize("kind", ["default", "generator", "weighted", "iterable"])
@pytest.mark.parametrize("cut", [0, 1, 4, 7, 8])
def test_resuming_in_the_middle_of_an_epoch(workers, persistent, kind, cut):
    d = rushlight.utils.data

    def make():
        generator = rushlight.Generator()
        generator.manual_seed(9)
        kwargs = dict(batch_size=3, num_workers=workers, persistent_workers=persistent)
        if kind == "iterable":
            return d.DataLoader(OurRange(0, 23), **kwargs)
        if kind == "weighted":
            return d.DataLoader(range(23), sampler=d.WeightedRandomSampler([1.0 + i for i in range(23)], 23, generator=generator), **kwargs)
        return d.DataLoader(range(23), shuffle=True, generator=generator if kind == "generator" else None, **kwargs)

    rushlight.manual_seed(3)
    loader = make()
    list(loader)
    iterator = iter(loader)
    for _ in range(min(cut, 8)):
        next(iterator)
    saved = io.BytesIO()
    rushlight.save({"loader": loader.state_dict(), "rng": rushlight.get_rng_state()}, saved)
    rest, following = indices(iterator), indices(loader)

    saved.seek(0)
    state = rushlight.load(saved)
    rushlight.manual_seed(1234)
    loader = make()
    loader.load_state_dict(state["loader"])
    rushlight.set_rng_state(state["rng"])
    again = loader.state_dict()
    assert again["yielded"] == cut
    assert indices(loader) == rest
    if kind != "default" or not persistent:  # new workers draw a seed once more
        assert indices(loader) == following


def test_resuming_after_a_break_and_between_epochs():
    def make():
        return rushlight.utils.data.DataLoader(range(10), shuffle=True, generator=rushlight.Generator().manual_seed(2))

    loader = make()
    whole = [indices(loader), indices(loader)]
    loader = make()
    for i, _ in enumerate(loader):
        if i == 3:
            break
    state = loader.state_dict()
    loader = make()
    loader.load_state_dict(state)
    assert indices(loader) == whole[0][4:]
    state = loader.state_dict()
    loader = make()
    loader.load_state_dict(state)
    assert indices(loader) == whole[1]
    with pytest.raises(ValueError, match="other generators"):
        other = rushlight.utils.data.DataLoader(range(10), shuffle=True)
        other.load_state_dict(state)
        iter(other)


def test_training_is_not_disturbed_by_time():
    """Slow samples and fast ones come in the same order."""

    class Uneven(Failing):
        def __getitem__(self, index):
            time.sleep(0.002 * (index % 3))
            return index

    assert sum(indices(rushlight.utils.data.DataLoader(Uneven(None), num_workers=3)), []) == list(range(10))
