"""The command line."""

import argparse
import datetime
import re
import sys

from compare import machine, registry, results, table
from compare.sides import LIBRARIES
from compare.timing import Sides, time_case


def parser():
    p = argparse.ArgumentParser("benches/compare", description="Times the same programs with PyTorch and with Rushlight, in turn.")
    p.add_argument("--filter", metavar="REGEX", default="", help="only cases whose `group/name` contains a match")
    p.add_argument("--groups", metavar="A,B", help="only these groups")
    p.add_argument("--threads", metavar="N,M", default="1,2", help="numbers of threads (default 1,2)")
    p.add_argument("--rounds", type=int, help="how often each side has its turn (default 5)")
    p.add_argument("--quick", action="store_true", help="two rounds of short measurements")
    p.add_argument("--no-compile", action="store_true", help="leave torch.compile out: it is slow to start")
    p.add_argument("--list", action="store_true", help="name the cases and stop")
    p.add_argument("--json", metavar="FILE", help="store the results")
    return p


def chosen(options):
    """The cases to run, in order."""
    cases = registry.load().values()
    groups = options.groups.split(",") if options.groups else {c.group for c in cases}
    unknown = set(groups) - {c.group for c in cases}
    if unknown:
        raise SystemExit(f"no such group: {', '.join(sorted(unknown))}; there are {', '.join(dict.fromkeys(c.group for c in cases))}")
    return [c for c in cases if c.group in groups and re.search(options.filter, c.name)]


def run(options):
    """Measures; returns the results."""
    rounds = options.rounds or (2 if options.quick else 5)
    variants = {"fused"} if options.no_compile else {"fused", "compile"}
    out = results.empty(machine=machine.describe(LIBRARIES), date=datetime.date.today().isoformat(), rounds=rounds)
    cases = chosen(options)
    with Sides() as sides:
        for i, case in enumerate(cases, 1):
            for threads in map(int, options.threads.split(",")):
                row = time_case(sides, case, threads, rounds, options.quick, variants)
                out["rows"].append(row)
                said = f"[{i}/{len(cases)}] {case.name}, {threads} thread{'s' if threads > 1 else ''}: {table.times(results.ratio(row))}"
                print(said, file=sys.stderr, flush=True)
    return out


def main():
    options = parser().parse_args()
    if options.list:
        print("\n".join(c.name for c in chosen(options)))
        return 0
    measured = run(options)
    if options.json:
        results.write(options.json, measured)
    table.show(measured)
    return 0
