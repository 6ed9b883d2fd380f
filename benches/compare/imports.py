"""How long importing takes: fresh processes, over the time of an interpreter that imports nothing."""

import subprocess
import sys
from time import perf_counter

from compare.load import Others
from compare.sides import LIBRARIES, environment

NAME = "import/the package"


def seconds(statement):
    start = perf_counter()
    subprocess.run([sys.executable, "-P", "-c", statement], check=True, env=environment(1), stderr=subprocess.PIPE, text=True)
    return perf_counter() - start


def measure(rounds):
    """A row of results; each round times a bare interpreter and each library."""
    row = {"case": NAME, "threads": 1, "ns": {}, "errors": {}}
    for library in LIBRARIES:
        try:
            seconds(f"import {library}")  # the files are read and compiled once
        except subprocess.CalledProcessError as e:
            row["errors"][library] = e.stderr.strip().splitlines()[-1]
    others = Others()
    for _ in range(rounds):
        bare = min(seconds("pass") for _ in range(3))
        for library in LIBRARIES:
            if library not in row["errors"]:
                row["ns"].setdefault(library, []).append(round(max(seconds(f"import {library}") - bare, 0.0) * 1e9))
    row["others"] = others.cores()
    return row
