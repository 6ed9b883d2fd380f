"""The command line."""

import argparse
import datetime
import functools
import os
import re
import sys

from compare import contention, imports, machine, memory, page, registry, results, table
from compare.sides import LIBRARIES
from compare.timing import Sides, time_case


def parser():
    p = argparse.ArgumentParser("benches/compare", description="Times the same programs with PyTorch and with Rushlight, in turn.")
    p.add_argument("--filter", metavar="REGEX", default="", help="only what has a match in its `group/name`")
    p.add_argument("--groups", metavar="A,B", help="only these groups")
    p.add_argument("--threads", metavar="N,M", help="numbers of threads (default 1,2; 1 with --cpu-time)")
    p.add_argument("--rounds", type=int, help="how often each side has its turn (default 5)")
    p.add_argument("--quick", action="store_true", help="two rounds of short measurements")
    cpu_time = "processor time instead of elapsed time: for one thread on a busy machine, and for the terminal only"
    p.add_argument("--cpu-time", action="store_true", help=cpu_time)
    p.add_argument("--no-compile", action="store_true", help="leave torch.compile out: it is slow to start")
    p.add_argument("--contention", action="store_true", help="the same as --groups contention")
    p.add_argument("--list", action="store_true", help="name what would be measured, and stop")
    p.add_argument("--json", metavar="FILE", help="store the results")
    p.add_argument("--markdown", metavar="FILE", help="write them as a page")
    p.add_argument("--update", metavar="FILE", help="put the new results in place of the old ones in this file of stored results")
    p.add_argument("--disturbed", action="store_true", help="with --update: only what that file lacks, or what failed or was disturbed by other processes")
    again = "with --update: only what fell below this ratio there; its new times join the old ones"
    p.add_argument("--below", metavar="RATIO", type=float, help=again)
    stored = "measure nothing: take stored results, those of later files in place of the same of earlier ones"
    p.add_argument("--render", "--merge", metavar="FILE", nargs="+", dest="stored", help=stored)
    return p


class Plan:
    """What the options ask for."""

    def __init__(self, options):
        cases = registry.load()
        trainings = memory.case_names(cases)
        everything = [*cases, *trainings, imports.NAME, *(f"{contention.GROUP}/{name}" for name in contention.SCENARIOS)]
        groups = dict.fromkeys(name.split("/", 1)[0] for name in everything)
        wanted = [contention.GROUP] if options.contention else options.groups.split(",") if options.groups else groups
        if unknown := set(wanted) - set(groups):
            raise SystemExit(f"no such group: {', '.join(sorted(unknown))}; there are {', '.join(groups)}")
        done = results.settled(results.read(options.update)) if options.disturbed else ()
        left = [n for n in everything if n not in done]
        if options.below:
            low = results.below(results.read(options.update), options.below)
            left = [n for n in left if n in low and n in cases]
        self.names = [n for n in left if n.split("/", 1)[0] in wanted and re.search(options.filter, n)]
        self.cases = [cases[n] for n in self.names if n in cases]
        self.memory = {n: trainings[n] for n in self.names if n in trainings}
        self.imports = imports.NAME in self.names
        self.scenarios = [s for s in contention.SCENARIOS if f"{contention.GROUP}/{s}" in self.names]


def measure(plan, options):
    """Runs the plan; returns the results, of what was done if it is interrupted."""
    rounds = options.rounds or (2 if options.quick else 5)
    threads = list(map(int, (options.threads or ("1" if options.cpu_time else "1,2")).split(",")))
    variants = {"fused"} if options.no_compile else {"fused", "compile"}
    out = results.empty(machine=machine.describe(LIBRARIES), date=datetime.date.today().isoformat(), rounds=rounds)
    say = functools.partial(print, file=sys.stderr, flush=True)
    try:
        with Sides() as sides:
            for i, case in enumerate(plan.cases, 1):
                for n in threads:
                    row = time_case(sides, case, n, rounds, variants, quick=options.quick, cpu_time=options.cpu_time)
                    out["rows"].append(row)
                    say(f"[{i}/{len(plan.cases)}] {case.name}, {n} thread{'s' if n > 1 else ''}: {table.times(results.ratio(row))}")
                sides.trim()
        if plan.imports:
            say(imports.NAME)
            out["rows"].append(imports.measure(rounds))
        for name, case in plan.memory.items():
            say(name)
            out["memory"].append(memory.measure(name, case, max(threads)))
        for scenario in plan.scenarios:
            say(f"{contention.GROUP}/{scenario}")
            out["contention"] += contention.measure(scenario, options.quick)
    except KeyboardInterrupt:
        say("interrupted")
    return out


def main():
    options = parser().parse_args()
    if (options.disturbed or options.below) and not options.update:
        raise SystemExit(f"{'--disturbed' if options.disturbed else '--below'} needs --update FILE")
    if options.cpu_time and (options.update or options.markdown):
        raise SystemExit("--cpu-time is no measure to publish: no --update, no --markdown")
    if options.stored:
        found = functools.reduce(results.merge, map(results.read, options.stored))
    else:
        plan = Plan(options)
        if options.list:
            print("\n".join(plan.names))
            return 0
        found = measure(plan, options)
        table.show(found)
    if options.update:
        together = results.join if options.below else results.merge
        found = together(results.read(options.update), found) if os.path.exists(options.update) else found
        results.write(options.update, found)
    if options.json:
        results.write(options.json, found)
    if options.markdown:
        page.write(options.markdown, found)
    if options.stored and not (options.json or options.update or options.markdown):
        table.show(found)
    return 0
