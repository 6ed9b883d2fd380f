"""Workers of the loader: threads, each with tasks of its own and one queue of results for all."""

import threading
from queue import Empty, SimpleQueue

_local = threading.local()


class WorkerInfo:
    """What a worker knows of itself: `id`, `num_workers`, `seed`, `dataset` (its copy) and `rng`, generators of its own.

    The process has one default generator for all of its threads; who wants random numbers that do not depend on the order in which
    workers run draws them from `rng`.
    """

    worker_method = "thread"

    def __init__(self, id, num_workers, seed, dataset):
        vars(self).update(id=id, num_workers=num_workers, seed=seed, dataset=dataset, rng=WorkerRNG(seed))

    def __setattr__(self, name, value):
        raise AttributeError(f"cannot assign to field {name!r}")

    def __repr__(self):
        return f"WorkerInfo(id={self.id}, num_workers={self.num_workers}, seed={self.seed}, dataset={self.dataset!r})"


class WorkerRNG:
    """Generators seeded by a worker's seed, made when first used."""

    def __init__(self, seed):
        self._seed = seed

    def __getattr__(self, name):
        if name == "torch_generator":
            from rushlight import Generator

            made = Generator()
            made.manual_seed(self._seed)
        elif name == "random_generator":
            from random import Random

            made = Random(self._seed)
        elif name == "numpy_generator":
            from numpy.random import default_rng

            made = default_rng(self._seed)
        else:
            raise AttributeError(name)
        setattr(self, name, made)
        return made


def get_worker_info():
    """The `WorkerInfo` of the worker that calls this, or None outside workers."""
    return getattr(_local, "info", None)


class Ended:
    """The result of a worker whose iterable dataset has no more batches."""


class Failure:
    """The result of a worker that raised: what, and where."""

    def __init__(self, error, worker):
        import traceback

        self.error = error
        name = type(error).__name__
        where = f"in DataLoader worker thread {worker}"
        self.text = f"Caught {name} {where}.\nOriginal {''.join(traceback.format_exception(error))}"

    def reraise(self):
        """Raises an error of the same type whose text has the worker's traceback."""
        kind = type(self.error)
        text = _Verbatim(self.text) if issubclass(kind, KeyError) else self.text
        try:
            error = kind(text)
        except Exception:  # the type wants other arguments
            error = RuntimeError(text)
        raise error from self.error


class _Verbatim(str):
    """A text that KeyError shows as it is."""

    __repr__ = str.__str__


_STOP, _RESTART = object(), object()


class Workers:
    """`count` threads. Task queues go in, `results` of (epoch, task number, worker, data) come out.

    Threads know their queues and nothing of the iterator that they work for, so that it can be dropped while they run.
    """

    def __init__(self, count, make_fetcher, dataset_of, base_seed, init_fn):
        self.results = SimpleQueue()
        self.tasks = [SimpleQueue() for _ in range(count)]
        self.threads = [
            threading.Thread(
                target=_work,
                args=(i, count, self.tasks[i], self.results, make_fetcher, dataset_of, base_seed + i, init_fn),
                name=f"DataLoader worker {i}",
                daemon=True,
            )
            for i in range(count)
        ]
        for thread in self.threads:
            thread.start()

    def _instead(self, task):
        """Gives every worker `task` in place of those that it has not begun."""
        for queue in self.tasks:
            try:
                while True:
                    queue.get_nowait()
            except Empty:
                queue.put(task)

    def restart(self, epoch):
        """From now on work for another pass over the dataset: results of the one before may still come."""
        self._instead((_RESTART, epoch))

    def stop(self):
        """Ends the threads when each has finished its current task."""
        self._instead((_STOP, None))
        for thread in self.threads:
            if thread is not threading.current_thread():
                thread.join(timeout=5)


def _work(worker, count, tasks, results, make_fetcher, dataset_of, seed, init_fn):
    """A worker's life. What it raises is the result of the task that it was busy with."""
    epoch, fetcher, failure = 0, None, None
    try:
        dataset = dataset_of()
        _local.info = WorkerInfo(worker, count, seed, dataset)
        if init_fn is not None:
            init_fn(worker)
    except BaseException as e:
        failure = Failure(e, worker)
    ended = False
    while True:
        task, index = tasks.get()
        if task is _STOP:
            return
        if task is _RESTART:
            epoch, fetcher, ended = index, None, False
            continue
        if ended:
            result = Ended
        elif failure is not None:
            result = failure
        else:
            try:
                fetcher = fetcher or make_fetcher(dataset)
                result = fetcher(index)
                ended = result is Ended
            except BaseException as e:
                result = Failure(e, worker)
        results.put((epoch, task, worker, result))
        del result
