"""What was measured, as it is stored: one JSON object, whose rows can be replaced one by one.

    {"machine": {...}, "date": "...", "rounds": 5,
     "rows": [{"case": "matmul/...", "threads": 1, "ns": {"torch": [...], "rushlight": [...]}, "errors": {}}, ...],
     "memory": [...], "contention": [...]}
"""

import json
import math
import statistics

from compare.load import disturbed

# What tells the entries of a section apart.
KEYS = {"rows": ("case", "threads"), "memory": ("case", "threads"), "contention": ("scenario", "case")}


def empty(**about):
    return {**about, **{section: [] for section in KEYS}}


def read(path):
    with open(path) as file:
        return json.load(file)


def write(path, results):
    """One entry a line, so that stored results can be compared."""
    with open(path, "w") as file:
        parts = [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in results.items() if k not in KEYS]
        for section in KEYS:
            entries = ",\n".join(json.dumps(e) for e in results[section])
            parts.append(f"{json.dumps(section)}: [\n{entries}\n]")
        file.write("{" + ",\n".join(parts) + "}\n")


def merge(old, new):
    """`old` with every entry of `new` in place of its own of the same key, or after its own; machine and date are those of `new`."""
    merged = {**old, **{k: v for k, v in new.items() if k not in KEYS}}
    for section, key in KEYS.items():
        entries = {tuple(e[k] for k in key): e for e in [*old.get(section, ()), *new.get(section, ())]}
        merged[section] = list(entries.values())
    return merged


def join(old, new):
    """`old` with the times of `new` beside its own: rounds of the same cases, measured at two moments."""
    earlier = {(r["case"], r["threads"]): r for r in old["rows"]}
    return merge(old, {"rows": [beside(earlier.get((r["case"], r["threads"])), r) for r in new["rows"]]})


def beside(earlier, row):
    """`row` with the times and errors of `earlier`, if there is one, before its own."""
    if not earlier:
        return row
    ns = {column: [*earlier["ns"].get(column, ()), *row["ns"].get(column, ())] for column in {**earlier["ns"], **row["ns"]}}
    others = max(earlier.get("others") or 0.0, row.get("others") or 0.0)
    return {**row, "ns": ns, "errors": {**earlier["errors"], **row["errors"]}, "others": others}


def below(results, limit):
    """The names of the cases with a ratio below `limit` at some number of threads."""
    return {row["case"] for row in results["rows"] if (ratio(row) or limit) < limit}


def settled(results):
    """The names of everything that was measured without an error, and without other processes being busy."""
    names = {}
    for entry in [*results["rows"], *results["memory"], *({**e, "case": f"contention/{e['scenario']}"} for e in results["contention"])]:
        names.setdefault(entry["case"], []).append(not entry["errors"] and not disturbed(entry))
    return {name for name, fine in names.items() if all(fine)}


def median(row, column):
    """Nanoseconds, or None where that column was not measured."""
    samples = row["ns"].get(column)
    return statistics.median(samples) if samples else None


def ratio(row, column="torch"):
    """Time of `column` over Rushlight's: above 1 Rushlight is faster."""
    theirs, ours = median(row, column), median(row, "rushlight")
    return theirs / ours if theirs and ours else None


def group(row):
    return row["case"].split("/", 1)[0]


def label(row):
    return row["case"].split("/", 1)[1]


def geometric_mean(values):
    """Of the values that are not None; None of none."""
    logs = [math.log(v) for v in values if v]
    return math.exp(sum(logs) / len(logs)) if logs else None


def means(rows, column="torch"):
    """By group, in order, and `all` last: (name, number of cases with a ratio, geometric mean)."""
    out = []
    for name in [*dict.fromkeys(map(group, rows)), None]:
        ratios = [r for row in rows if name in (None, group(row)) and (r := ratio(row, column))]
        if ratios:
            out.append((name or "all", len(ratios), geometric_mean(ratios)))
    return out
