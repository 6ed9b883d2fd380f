"""Who runs when: for each case and number of threads, the sides in turn, several rounds."""

import sys
import time

from compare.load import Others
from compare.sides import LIBRARIES, Side

# Seconds between two sides: PyTorch's OpenMP threads spin on for a while after their last region, and would take a core from the other side.
PAUSE = 0.05
# Bytes of memory that an idle process may keep.
LARGE = 1.5e9


class Sides:
    """The processes that have been started, by library, number of threads, and whether they compile."""

    def __init__(self):
        self.started = {}
        self.others = Others(self.pids)

    def get(self, library, threads, variant):
        # What is compiled gets a process of its own: compilation leaves much behind.
        key = (library, threads, variant == "compile")
        if key not in self.started:
            self.started[key] = Side(library, threads)
        return self.started[key]

    def pids(self):
        return [side.process.pid for side in self.started.values() if side.process]

    def trim(self):
        """Ends the processes that have come to hold much memory: several of them are alive at a time."""
        for side in self.started.values():
            if side.resident() > LARGE:
                side.stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for side in self.started.values():
            side.stop()


def time_case(sides, case, threads, rounds, variants, **how):
    """One row of results: the times of every round in nanoseconds by side, errors by side, and how many cores other processes used.

    `how` (`quick`, `cpu_time`) goes to the workers.
    """
    turns = [(library, library, None) for library in LIBRARIES]
    turns += [(variant, "torch", variant) for variant in case.variants if variant in variants]
    row = {"case": case.name, "threads": threads, "ns": {}, "errors": {}}
    sides.others.cores()
    for _ in range(rounds):
        for column, library, variant in turns:
            if column in row["errors"]:
                continue
            answer = sides.get(library, threads, variant).ask(case=case.name, variant=variant, **how)
            if "error" in answer:
                row["errors"][column] = answer["error"]
                print(f"  {case.name}, {column}, {threads} threads: {answer['error']}", file=sys.stderr, flush=True)
            else:
                row["ns"].setdefault(column, []).append(round(answer["ns"], 1))
            time.sleep(PAUSE)
    row["others"] = sides.others.cores()
    return row
