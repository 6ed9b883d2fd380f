"""The process of one library at one number of threads: `python -m compare.worker LIBRARY THREADS`.

Reads requests from its input, one JSON object a line: `{"case": NAME, "variant": NAME or null, "quick": BOOL, "cpu_time": BOOL}`. Answers each
with `{"ns": TIME OF A CALL}` or `{"error": TEXT}`. A case lives from its request to its answer, except one that had to be compiled: that one stays until
another case is asked for.

The time is the smallest of three measurements, since whatever disturbs a measurement makes it longer. Each calls the case so often that it lasts 40 ms;
a slower case is called once.
"""

import gc
import json
import math
import os
import sys
import traceback
from importlib import import_module
from itertools import repeat
from time import perf_counter, process_time

TARGET, REPEATS = 0.04, 3
QUICK_TARGET, QUICK_REPEATS = 0.015, 2
# A case whose single call takes longer than this is measured once.
SLOW = 0.5


def timed(run, calls, clock):
    start = clock()
    for _ in repeat(None, calls):
        run()
    return clock() - start


def calls_for(run, target, clock):
    """How often to call `run` for a measurement of `target` seconds, and roughly how long that takes; warms it up on the way."""
    timed(run, 1, clock)
    calls, took = 1, timed(run, 1, clock)
    while took < target / 3:
        calls *= 4 if took < target / 12 else 2
        took = timed(run, calls, clock)
    wanted = max(1, math.ceil(calls * target / took))
    return wanted, took * wanted / calls


def measure(run, quick, clock):
    """Seconds per call; per statement, where a call runs one `times` times."""
    target, repeats = (QUICK_TARGET, QUICK_REPEATS) if quick else (TARGET, REPEATS)
    calls, took = calls_for(run, target, clock)
    return min(timed(run, calls, clock) for _ in range(repeats if took < SLOW else 1)) / calls / getattr(run, "times", 1)


LARGE = 1 << 12


def tensors_of(result):
    if isinstance(result, (tuple, list)):
        return [t for x in result for t in tensors_of(x)]
    return [result] if hasattr(result, "numel") and result.numel() >= LARGE else []


def to_the_end(run):
    """A call of `run` with all of its work done: large pointwise ops of Rushlight run when somebody looks at their results, so look."""
    first = run()
    if not any(hasattr(t, "_realise") for t in tensors_of(first)):
        return run
    if hasattr(first, "_realise"):
        # A tensor: to look for it anew each time would be timed too.
        return lambda: run()._realise()

    def looked_at():
        for t in tensors_of(run()):
            t._realise()

    return looked_at


class Cases:
    """Builds cases for one library, and keeps the one that was compiled."""

    def __init__(self, torch):
        from compare.registry import load

        self.torch, self.cases, self.kept = torch, load(), (None, None)

    def build(self, name, variant):
        key = (name, variant)
        if self.kept[0] == key:
            return self.kept[1]
        self.kept = (None, None)
        gc.collect()
        self.torch.manual_seed(0)
        case = self.cases[name]
        run = to_the_end(case.build(self.torch, **({"variant": variant} if case.variants else {})))
        if variant == "compile":
            self.kept = (key, run)
        return run


def start(library, threads):
    """Imports the library, with its number of threads."""
    torch = import_module(library)
    torch.set_num_threads(threads)
    return torch


def serve(requests, answers, cases):
    for line in requests:
        request = json.loads(line)
        try:
            run = cases.build(request["case"], request["variant"])
            clock = process_time if request.get("cpu_time") else perf_counter
            answer = {"ns": measure(run, request["quick"], clock) * 1e9}
        except Exception as e:
            traceback.print_exc(file=sys.stderr)
            answer = {"error": f"{type(e).__name__}: {str(e).strip()}"}
        run = None
        gc.collect()
        print(json.dumps(answer), file=answers, flush=True)


def main():
    # What a case prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(sys.stdin, answers, Cases(start(sys.argv[1], int(sys.argv[2]))))


if __name__ == "__main__":
    main()
