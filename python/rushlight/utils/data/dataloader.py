"""`DataLoader`: batches of a dataset, in the order of a sampler, made by the caller or by worker threads ahead of it."""

import copy
import warnings
import weakref
from itertools import chain, islice, repeat
from types import GenericAlias

import rushlight

from ._utils import worker
from ._utils.collate import default_collate, default_convert
from ._utils.worker import Ended, Failure, get_worker_info
from .dataset import Dataset, IterableDataset
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler, draw_seed

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]

_START_METHODS = ("fork", "spawn", "forkserver")
_FIXED = {"batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"}


class _NoIndices(Sampler):
    """The sampler of iterable datasets, which have no indices: endless Nones."""

    def __iter__(self):
        return repeat(None)


class DataLoader:
    """Batches of a dataset: PyTorch's `torch.utils.data.DataLoader`, with the same arguments and the same order for a seed.

    Workers are threads of this process: nothing is pickled or copied, and they share the interpreter lock, so they pay where samples are
    read, decoded or computed by code that releases it. Each has a shallow copy of the dataset object, as if in a process of its own, and its
    own generators in `get_worker_info().rng`; the default generator is one for all. `multiprocessing_context` therefore changes nothing;
    `pin_memory` warns, for there is no accelerator to pin memory for.

    `state_dict()` says where the loader stands, in the middle of an epoch too, and after `load_state_dict` the next `iter` goes on exactly
    there, whatever random numbers were drawn meanwhile. Batches of a map-style dataset that were seen are not loaded again; those of an
    iterable one are, and dropped. Where a pass that goes on draws from the default generator, that is put back as it was before `iter`.
    """

    __class_getitem__ = classmethod(GenericAlias)
    _initialized = False

    def __init__(
        self,
        dataset,
        batch_size=1,
        shuffle=None,
        sampler=None,
        batch_sampler=None,
        num_workers=0,
        collate_fn=None,
        pin_memory=False,
        drop_last=False,
        timeout=0,
        worker_init_fn=None,
        multiprocessing_context=None,
        generator=None,
        *,
        prefetch_factor=None,
        persistent_workers=False,
        pin_memory_device="",
        in_order=True,
    ):
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers, multiprocessing_context)
        iterable = isinstance(dataset, IterableDataset)
        if iterable:
            _check_iterable(shuffle, sampler, batch_sampler)
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
                )
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
        if sampler is None:
            if iterable:
                sampler = _NoIndices()
            else:
                sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)

        self.dataset = dataset
        self.batch_size = batch_size
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.num_workers = num_workers
        self.collate_fn = collate_fn or (default_convert if batch_sampler is None else default_collate)
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.drop_last = drop_last
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.generator = generator
        self.prefetch_factor = 2 if num_workers and prefetch_factor is None else prefetch_factor
        self.persistent_workers = persistent_workers
        self.in_order = in_order
        self._iterator = None
        self._place = None
        self._resume = None
        self._reported_length = None
        self._initialized = True

    def __setattr__(self, name, value):
        if self._initialized and name in _FIXED:
            raise ValueError(f"{name} attribute should not be set after {type(self).__name__} is initialized")
        super().__setattr__(name, value)

    @property
    def _auto_collation(self):
        return self.batch_sampler is not None

    @property
    def _index_sampler(self):
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def __iter__(self):
        if self.pin_memory:
            warnings.warn(
                "'pin_memory' argument is set as true but no accelerator is found, "
                "then device pinned memory won't be used.",
                stacklevel=2,
            )
        resume, self._resume = self._resume, None
        if resume is not None:
            return self._go_on(resume)
        return self._begin(None)

    def _begin(self, resume):
        if self._iterator is not None:
            self._iterator._reset(resume)
            iterator = self._iterator
        else:
            iterator = (_ThreadedIter if self.num_workers else _SerialIter)(self, resume)
        if self.persistent_workers:
            self._iterator = iterator
        self._place = iterator._place
        return iterator

    def __len__(self):
        """Batches of a pass."""
        if not isinstance(self.dataset, IterableDataset):
            return len(self._index_sampler)
        self._reported_length = length = len(self.dataset)
        if self.batch_size is None:
            return length
        return length // self.batch_size if self.drop_last else -(-length // self.batch_size)

    # ---- resuming ---------------------------------------------------------------------------------------------------------

    def _generators(self):
        """The generators that a pass may draw from; the default one comes first."""
        found = [rushlight.default_generator, self.generator]
        for sampler in (self.sampler, self.batch_sampler, getattr(self.batch_sampler, "sampler", None)):
            found.append(getattr(sampler, "generator", None))
        return list({id(g): g for g in found if isinstance(g, rushlight.Generator)}.values())

    def state_dict(self):
        """Where the loader stands: numbers and tensors, fit for `rushlight.save`."""
        if self._resume is not None:
            return self._resume
        place = self._place
        if place is None or place.finished:
            return {"in_epoch": False, "generators": [g.get_state() for g in self._generators()[1:]]}
        return {"in_epoch": True, "yielded": place.yielded, "base_seed": place.base_seed, "epoch_start": place.start}

    def load_state_dict(self, state_dict):
        """Makes the next `iter` go on where the loader that gave `state_dict` stood. The loaders' arguments should be the same."""
        self._resume = dict(state_dict)

    def _go_on(self, state):
        generators = self._generators()
        if not state["in_epoch"]:
            _set_states(generators[1:], state["generators"])
            return self._begin(None)
        default = rushlight.default_generator.get_state()
        _set_states(generators, state["epoch_start"])
        iterator = self._begin(state)
        if state["yielded"] or self.num_workers:  # else the sampler had not drawn yet, and its draw counts
            rushlight.default_generator.set_state(default)
        return iterator


def _set_states(generators, states):
    if len(generators) != len(states):
        raise ValueError("the state is of a loader with other generators")
    for generator, state in zip(generators, states):
        generator.set_state(state)


def _check_workers(num_workers, timeout, prefetch_factor, persistent_workers, context):
    if num_workers < 0:
        raise ValueError("num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.")
    if timeout < 0:
        raise ValueError("timeout option should be non-negative")
    if num_workers == 0 and prefetch_factor is not None:
        raise ValueError(
            "prefetch_factor option could only be specified in multiprocessing."
            "let num_workers > 0 to enable multiprocessing, otherwise set prefetch_factor to None."
        )
    if prefetch_factor is not None and prefetch_factor < 0:
        raise ValueError("prefetch_factor option should be non-negative")
    if persistent_workers and num_workers == 0:
        raise ValueError("persistent_workers option needs num_workers > 0")
    if context is not None:
        if num_workers == 0:
            raise ValueError(
                "multiprocessing_context can only be used with multi-process loading (num_workers > 0), "
                f"but got num_workers={num_workers}"
            )
        if isinstance(context, str) and context not in _START_METHODS:
            raise ValueError(
                "multiprocessing_context option should specify a valid start method in "
                f"{list(_START_METHODS)!r}, but got multiprocessing_context={context!r}"
            )


def _check_iterable(shuffle, sampler, batch_sampler):
    given = {"shuffle": shuffle or None, "sampler": sampler, "batch_sampler": batch_sampler}
    for name, value in given.items():
        if value is not None:
            raise ValueError(
                f"DataLoader with IterableDataset: expected unspecified {name} option, but got {name}={value}"
            )


# ---- fetching -------------------------------------------------------------------------------------------------------------


def _map_fetcher(auto_collation, collate_fn):
    """Makes, of a dataset, a function from an index (a list of them, if batched) to a batch."""

    def make(dataset):
        def fetch(index):
            if not auto_collation:
                return collate_fn(dataset[index])
            if callable(getattr(dataset, "__getitems__", None)):
                return collate_fn(dataset.__getitems__(index))
            return collate_fn([dataset[i] for i in index])

        return fetch

    return make


def _iterable_fetcher(auto_collation, collate_fn, drop_last):
    """As `_map_fetcher`, of an iterable dataset, where an index says only how many samples; `Ended` at the end."""

    def make(dataset):
        samples = iter(dataset)

        def fetch(index):
            if not auto_collation:
                sample = next(samples, Ended)
                return sample if sample is Ended else collate_fn(sample)
            batch = list(islice(samples, len(index)))
            if not batch or drop_last and len(batch) < len(index):
                return Ended
            return collate_fn(batch)

        return fetch

    return make


def _copy_for_worker(dataset):
    """A worker's own dataset object: what it sets on it (an open file, a range to load) is its own business."""
    if not isinstance(dataset, Dataset):
        return dataset
    try:
        return copy.copy(dataset)
    except Exception:  # some objects refuse to be copied, and are shared
        return dataset


class _Place:
    """Where a pass stands. It outlives its iterator, so that the loader can tell after a `break` out of the loop."""

    def __init__(self, base_seed, start):
        self.base_seed, self.start = base_seed, start
        self.yielded, self.finished = 0, False


class _Iter:
    """One pass over the loader's dataset, or with persistent workers one after the other."""

    def __init__(self, loader, resume):
        self._loader = loader
        self._iterable = isinstance(loader.dataset, IterableDataset)
        auto = loader._auto_collation
        if self._iterable:
            self._make_fetcher = _iterable_fetcher(auto, loader.collate_fn, loader.drop_last)
        else:
            self._make_fetcher = _map_fetcher(auto, loader.collate_fn)
        # The seed is drawn before the sampler draws anything, as in PyTorch.
        self._base_seed = draw_seed(loader.generator) if resume is None else resume["base_seed"]
        self._open()
        self._reset(resume)

    def _open(self):
        """Gets ready for the first pass."""

    def _reset(self, resume):
        """Begins a pass, or with `resume` goes on with one."""
        self._place = _Place(self._base_seed, [g.get_state() for g in self._loader._generators()])
        self._indices = iter(self._loader._index_sampler)
        skip = resume["yielded"] if resume else 0
        if resume and not self._iterable:
            # Seen batches are drawn and dropped; one more is drawn, so that the sampler has drawn what it needs from the generator.
            self._indices = chain(list(islice(self._indices, skip + 1))[skip:], self._indices)
        self._begin_pass()
        if self._iterable:
            for _ in range(skip):
                self._next()
        self._place.yielded = skip

    def __iter__(self):
        return self

    def __len__(self):
        return len(self._loader._index_sampler)

    def __next__(self):
        place = self._place
        if place.finished:
            raise StopIteration
        try:
            data = self._next()
        except StopIteration:
            place.finished = True
            self._close()
            raise
        place.yielded += 1
        length = self._loader._reported_length
        if self._iterable and length is not None and place.yielded > length:
            warnings.warn(
                f"Length of IterableDataset {self._loader.dataset} was reported to be {length}"
                f"(when accessing len(dataloader)), but {place.yielded} samples have been fetched.",
                stacklevel=2,
            )
        return data

    def _close(self):
        """After the last batch of a pass."""

    def __getstate__(self):
        raise NotImplementedError(f"{type(self).__name__} cannot be pickled")


class _SerialIter(_Iter):
    """Makes a batch when it is asked for."""

    def _begin_pass(self):
        self._fetch = self._make_fetcher(self._loader.dataset)

    def _next(self):
        data = self._fetch(next(self._indices))
        if data is Ended:
            raise StopIteration
        return data


class _ThreadedIter(_Iter):
    """Has `prefetch_factor` batches per worker made ahead, dealt out to the workers in turn."""

    def _open(self):
        loader = self._loader
        dataset = loader.dataset
        self._epoch = 0
        self._workers = worker.Workers(
            loader.num_workers, self._make_fetcher, lambda: _copy_for_worker(dataset), self._base_seed, loader.worker_init_fn
        )
        self._stop = weakref.finalize(self, self._workers.stop)

    def _begin_pass(self):
        count = self._loader.num_workers
        self._epoch += 1
        self._workers.restart(self._epoch)
        self._busy = {i: 0 for i in range(count)}  # tasks of each worker that is not at its end
        self._turn = 0
        self._sent = self._wanted = 0
        self._owner, self._arrived = {}, {}
        for _ in range(self._loader.prefetch_factor * count):
            self._send()

    def _send(self):
        """Gives the next task to the next worker, if there is one of each."""
        count, limit = self._loader.num_workers, self._loader.prefetch_factor
        for _ in range(count):
            turn, self._turn = self._turn, (self._turn + 1) % count
            if turn in self._busy and (self._loader.in_order or self._busy[turn] < limit):
                break
        else:
            return
        try:
            index = next(self._indices)
        except StopIteration:
            return
        self._workers.tasks[turn].put((self._sent, index))
        self._owner[self._sent] = turn
        self._busy[turn] += 1
        self._sent += 1

    def _next(self):
        while True:
            # A worker that came to its end makes nothing of the tasks that it still has.
            while self._wanted < self._sent and self._owner.get(self._wanted) not in self._busy:
                if self._wanted in self._arrived:
                    break
                self._owner.pop(self._wanted, None)
                self._wanted += 1
            if self._wanted in self._arrived:
                return self._hand_out(self._wanted)
            if self._wanted == self._sent:
                raise StopIteration
            epoch, task, turn, data = self._receive()
            if epoch != self._epoch or turn not in self._busy:
                continue
            if data is Ended:
                del self._busy[turn]
                self._send()
                continue
            self._busy[turn] -= 1
            self._arrived[task] = data
            if not self._loader.in_order:
                return self._hand_out(task)

    def _receive(self):
        from queue import Empty

        timeout = self._loader.timeout
        try:
            return self._workers.results.get(timeout=timeout or None)
        except Empty:
            raise RuntimeError(f"DataLoader timed out after {timeout} seconds") from None

    def _hand_out(self, task):
        data = self._arrived.pop(task)
        del self._owner[task]
        self._send()
        if isinstance(data, Failure):
            data.reraise()
        return data

    def _close(self):
        if not self._loader.persistent_workers:
            self._stop()
