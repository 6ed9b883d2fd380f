"""How training holds up when cores are scarce: steps per second alone, beside another training, and with two threads on one core.

Run as a module with a library, a number of threads and a case, it is one training: it says `{"ready": true}`, then for each line
`{"seconds": S, "core": N or null}` runs that long (from then on only on that core) and answers `{"steps": STEPS PER SECOND}`.
"""

import json
import os
import statistics
import sys
import time
from time import perf_counter

from compare.load import Others
from compare.sides import LIBRARIES, spawn

GROUP = "contention"
TRAININGS = "training/MLP 784-256-128-10 b128 Adam", "training/CNN of the MNIST example b64 AdamW"
# By name: what it is, threads of each training, and whether both trainings run at once.
SCENARIOS = {
    "alone": ("alone, 2 threads", 2, False),
    "one thread": ("alone, 1 thread", 1, False),
    "together": ("both trainings at once, 2 threads each", 2, True),
    "one core": ("2 threads on one core", 2, False),
}
SECONDS, REPEATS = 3.0, 3


class Training:
    def __init__(self, library, threads, case):
        self.process = spawn(GROUP, library, threads, case, threads=threads, stderr=None)
        self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"a training ended with status {self.process.wait()}")
        return json.loads(line)

    def go(self, seconds, core):
        print(json.dumps({"seconds": seconds, "core": core}), file=self.process.stdin, flush=True)

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def rates(library, scenario, cases, quick):
    """Median steps per second of each case, run at the same time."""
    _, threads, _ = SCENARIOS[scenario]
    core = min(os.sched_getaffinity(0)) if scenario == "one core" else None
    trainings = [Training(library, threads, case) for case in cases]
    try:
        samples = [[] for _ in cases]
        for _ in range(1 if quick else REPEATS):
            for training in trainings:
                training.go(1.0 if quick else SECONDS, core)
            for training, out in zip(trainings, samples):
                out.append(training.answer()["steps"])
        return [statistics.median(s) for s in samples]
    finally:
        for training in trainings:
            training.close()


def measure(scenario, quick):
    """Entries of results: steps per second by library, one entry for each training."""
    entries = [{"scenario": scenario, "case": case, "errors": {}} for case in TRAININGS]
    together = SCENARIOS[scenario][2]
    for batch in [entries] if together else [[e] for e in entries]:
        others = Others()
        for library in LIBRARIES:
            try:
                measured = rates(library, scenario, [e["case"] for e in batch], quick)
            except (RuntimeError, BrokenPipeError) as error:
                for entry in batch:
                    entry["errors"][library] = str(error)
                continue
            for entry, rate in zip(batch, measured):
                entry[library] = round(rate, 3)
            time.sleep(0.2)
        busy = others.cores()
        for entry in batch:
            entry["others"] = busy
    return entries


def pin(core):
    """Every thread of this process to one core, those of the pools included."""
    for task in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(task), {core})


def steps_per_second(run, seconds):
    start = now = perf_counter()
    steps = 0
    while now - start < seconds:
        run()
        steps += 1
        now = perf_counter()
    return steps / (now - start)


def main(library, threads, case):
    from compare.worker import Cases, start

    run = Cases(start(library, int(threads))).build(case, None)
    steps_per_second(run, 1.0)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if request["core"] is not None:
            pin(request["core"])
        print(json.dumps({"steps": steps_per_second(run, request["seconds"])}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
