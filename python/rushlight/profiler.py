"""`torch.profiler`, as small as it is honest: it times the ranges that a program marks with `record_function`, and no single ops."""

import time

_active = []


class ProfilerActivity:
    """What can be recorded: the CPU. The other names are there for programs that ask for them where they exist."""

    CPU, CUDA, XPU, MTIA = "CPU", "CUDA", "XPU", "MTIA"


class ProfilerAction:
    """What `schedule` says of a step."""

    NONE, WARMUP, RECORD, RECORD_AND_SAVE = range(4)


def supported_activities():
    """Returns what can be recorded: the CPU."""
    return {ProfilerActivity.CPU}


class record_function:
    """Marks a range of the program, as a context or a decorator."""

    def __init__(self, name, args=None):
        self.name = name

    def __enter__(self):
        self.start = time.perf_counter_ns()
        return self

    def __exit__(self, *error):
        end = time.perf_counter_ns()
        for profiler in _active:
            profiler._add(self.name, self.start, end)
        return False

    def __call__(self, function):
        import functools

        @functools.wraps(function)
        def marked(*args, **kwargs):
            with record_function(self.name):
                return function(*args, **kwargs)

        return marked


def schedule(*, wait, warmup, active, repeat=0, skip_first=0, skip_first_wait=0):
    """Returns a function from a step's number to an action: `wait` idle steps, `warmup` discarded and `active` recorded ones, repeatedly."""
    cycle = wait + warmup + active
    if min(wait, warmup, active, repeat, skip_first) < 0 or active == 0:
        raise AssertionError("Invalid profiler schedule arguments")

    def action(step):
        if step < skip_first:
            return ProfilerAction.NONE
        step -= skip_first
        if skip_first_wait != 0:
            step += wait
        if 0 < repeat <= step // cycle:
            return ProfilerAction.NONE
        step %= cycle
        if step < wait:
            return ProfilerAction.NONE
        if step < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD if step < cycle - 1 else ProfilerAction.RECORD_AND_SAVE

    return action


class profile:
    """Records the ranges of `record_function` while the context is open (`torch.profiler.profile`).

    `schedule` chooses among steps, `on_trace_ready(profile)` is called after each recorded cycle. What else can be asked for
    (shapes, memory, stacks, flops) is not recorded, and a warning says so.
    """

    EXTRAS = {"record_shapes", "profile_memory", "with_stack", "with_flops", "with_modules", "experimental_config", "acc_events"}

    def __init__(self, *, activities=None, schedule=None, on_trace_ready=None, **extras):
        if extras.keys() - self.EXTRAS:
            raise TypeError(f"profile() got an unexpected keyword argument {min(extras.keys() - self.EXTRAS)!r}")
        ignored = [name for name, value in extras.items() if value]
        if ignored:
            import warnings

            warnings.warn(f"profile: nothing is recorded for {', '.join(ignored)}: only the ranges of record_function are timed", stacklevel=2)
        self.schedule, self.on_trace_ready = schedule, on_trace_ready
        self.step_num = 0
        self.ranges, self._full = [], False

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error):
        self.stop()
        return False

    def start(self):
        """Starts recording."""
        _active.append(self)
        self._action = self._next_action()

    def stop(self):
        """Stops recording."""
        _active.remove(self)
        if self._action >= ProfilerAction.RECORD and self.on_trace_ready:
            self.on_trace_ready(self)

    def step(self):
        """Says that the next step begins."""
        finished = self._action == ProfilerAction.RECORD_AND_SAVE
        if finished and self.on_trace_ready:
            self.on_trace_ready(self)
        self.step_num += 1
        self._action = self._next_action()
        self._full = self._full or finished

    def _next_action(self):
        return self.schedule(self.step_num) if self.schedule else ProfilerAction.RECORD

    def _add(self, name, start, end):
        if self._action >= ProfilerAction.RECORD:
            if self._full:  # Of the cycle before, which was kept until now for who asks after it.
                self.ranges, self._full = [], False
            self.ranges.append((name, start, end))

    def key_averages(self, group_by_input_shape=False, group_by_stack_n=0):
        """Returns one row for each name, with `key`, `count` and `cpu_time_total` in microseconds."""
        rows = {}
        for name, start, end in self.ranges:
            rows.setdefault(name, Average(name)).add((end - start) / 1000)
        return Averages(rows.values())

    def export_chrome_trace(self, path):
        """Writes the ranges as JSON for chrome://tracing."""
        import json
        import os

        events = [{"name": n, "ph": "X", "ts": s / 1000, "dur": (e - s) / 1000, "pid": os.getpid(), "tid": 0} for n, s, e in self.ranges]
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"traceEvents": events}, file)


class Average:
    """The runs of one range."""

    def __init__(self, key):
        self.key, self.count, self.cpu_time_total = key, 0, 0.0

    def add(self, microseconds):
        self.count += 1
        self.cpu_time_total += microseconds

    @property
    def cpu_time(self):
        """Microseconds of one run, on average."""
        return self.cpu_time_total / self.count


class Averages(list):
    """Rows of `key_averages`."""

    def table(self, sort_by="cpu_time_total", row_limit=100, **options):
        """Returns the rows as text, the largest first."""
        rows = sorted(self, key=lambda row: getattr(row, sort_by or "count"), reverse=True)[: row_limit if row_limit >= 0 else None]
        lines = [f"{'name':<40} {'calls':>8} {'total us':>12} {'average us':>12}"]
        lines += [f"{r.key:<40} {r.count:>8} {r.cpu_time_total:>12.1f} {r.cpu_time:>12.1f}" for r in rows]
        return "\n".join(lines)
