"""Wall time of named regions: a small stand-in for PyTorch's profiler, which does not see single ops.

Source: <https://docs.pytorch.org/docs/stable/autograd.html#profiler>
"""

from functools import wraps
from time import perf_counter_ns

_active = []


class FunctionEvent:
    """One timed region; `time` is in microseconds."""

    __slots__ = ("name", "depth", "start", "end")

    def __init__(self, name, depth, start):
        self.name, self.depth, self.start, self.end = name, depth, start, start

    @property
    def cpu_time_total(self):
        return (self.end - self.start) / 1e3

    cpu_time = cpu_time_total

    def __repr__(self):
        return f"<FunctionEvent name={self.name} cpu_time={self.cpu_time_total:.3f}us>"


class EventAverage:
    """All regions of one name."""

    __slots__ = ("key", "count", "cpu_time_total")

    def __init__(self, key):
        self.key, self.count, self.cpu_time_total = key, 0, 0.0

    @property
    def cpu_time(self):
        return self.cpu_time_total / self.count


class EventList(list):
    """Averages, which print as a table."""

    def table(self, sort_by=None, row_limit=100):
        """Returns the rows as text, the largest `sort_by` ("cpu_time_total", "cpu_time" or "count") first."""
        rows = list(self)
        if sort_by is not None:
            if sort_by not in ("cpu_time_total", "cpu_time", "count"):
                raise ValueError(f"sort_by must be 'cpu_time_total', 'cpu_time' or 'count', but got {sort_by!r}")
            rows.sort(key=lambda r: getattr(r, sort_by), reverse=True)
        width = max([len("Name"), *(len(r.key) for r in rows)])
        lines = [f"{'Name':<{width}}  {'Calls':>8}  {'Total ms':>12}  {'Mean ms':>12}"]
        for r in rows[:row_limit]:
            lines.append(f"{r.key:<{width}}  {r.count:>8}  {r.cpu_time_total / 1e3:>12.3f}  {r.cpu_time / 1e3:>12.3f}")
        return "\n".join(lines)

    __str__ = table


class profile:
    """Times itself (as `Total`) and the `record_function` regions inside. Options for devices and shapes are not supported."""

    def __init__(self, enabled=True, **options):
        wanted = [k for k, v in options.items() if v]
        if wanted:
            raise NotImplementedError(f"profile: {', '.join(wanted)} not supported; only wall time of record_function regions is kept")
        self.enabled = enabled
        self.function_events = []
        self.depth = 0

    def __enter__(self):
        if self.enabled:
            self.total = self._begin("Total")
            _active.append(self)
        return self

    def __exit__(self, *exc):
        if self.enabled:
            _active.remove(self)
            self._end(self.total)

    def _begin(self, name):
        event = FunctionEvent(name, self.depth, perf_counter_ns())
        self.function_events.append(event)
        self.depth += 1
        return event

    def _end(self, event):
        event.end = perf_counter_ns()
        self.depth -= 1

    def key_averages(self):
        """Returns the events added up by name, as an `EventList`."""
        sums = {}
        for e in self.function_events:
            avg = sums.setdefault(e.name, EventAverage(e.name))
            avg.count += 1
            avg.cpu_time_total += e.cpu_time_total
        return EventList(sums.values())

    def total_average(self):
        """Returns everything between entry and exit, as one row."""
        return next(a for a in self.key_averages() if a.key == "Total")

    def table(self, sort_by=None, row_limit=100):
        """Returns `key_averages()` as text."""
        return self.key_averages().table(sort_by, row_limit)

    def __str__(self):
        return self.table()


class record_function:
    """Names a region, as a context manager or decorator, for the `profile` around it."""

    def __init__(self, name, args=None):
        self.name = name if args is None else f"{name} ({args})"
        self.open = []

    def __enter__(self):
        self.open.append([(p, p._begin(self.name)) for p in _active])
        return self

    def __exit__(self, *exc):
        for p, event in self.open.pop():
            p._end(event)

    def __call__(self, fn):
        @wraps(fn)
        def timed(*args, **kwargs):
            with record_function(self.name):
                return fn(*args, **kwargs)

        return timed
