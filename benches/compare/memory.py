"""How much memory a training takes: ten steps in a process of its own.

Run as a module with a library, a number of threads and a case, it prints the resident memory after the import and the largest since, in bytes.
"""

import json
import sys

from compare.sides import LIBRARIES, spawn

GROUP, STEPS = "memory", 10


def case_names(cases):
    """What is measured: every case of the training group, by the name it has here."""
    return {f"{GROUP}/{c.label}": c.name for c in cases.values() if c.group == "training"}


def measure(name, case, threads):
    """One entry of results: `import` and `peak` in bytes by library, or an error."""
    entry = {"case": name, "threads": threads, "errors": {}}
    for library in LIBRARIES:
        process = spawn("memory", library, threads, case, threads=threads, stderr=-1)
        out, err = process.communicate()
        if process.returncode == 0:
            entry[library] = json.loads(out)
        else:
            entry["errors"][library] = (err.strip().splitlines() or [f"status {process.returncode}"])[-1]
    return entry


def growth(entry, library):
    return entry[library]["peak"] - entry[library]["import"]


def status(field):
    """A field of /proc/self/status, in bytes."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(field + ":"))


def main(library, threads, case):
    from compare.worker import Cases, start

    cases = Cases(start(library, int(threads)))
    at_import = status("VmRSS")
    run = cases.build(case, None)
    for _ in range(STEPS):
        run()
    print(json.dumps({"import": at_import, "peak": status("VmHWM")}))


if __name__ == "__main__":
    main(*sys.argv[1:])
