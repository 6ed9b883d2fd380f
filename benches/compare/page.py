"""Results as the Markdown page `docs/performance.md`."""

from compare import causes, memory
from compare.contention import SCENARIOS
from compare.load import disturbed
from compare.results import geometric_mean, group, label, means, median, ratio
from compare.sides import LIBRARIES
from compare.table import VARIANTS, duration, times

# Below this ratio a case falls short; around it is what two runs differ by.
SHORT = 0.95

INTRO = """\
# Performance against PyTorch

This page is written by `cargo xtask bench compare --markdown docs/performance.md`, from what it measured; corrections by hand would be lost. A ratio is
PyTorch's time over Rushlight's: **above 1 Rushlight is faster**.
"""

METHOD = """\
## Method

The same Python program runs with each library, imported under the same name, on the same data (both give the same random numbers for a seed). Each library has its
own process for each number of threads; Rushlight is built as it is shipped. For a case the sides take turns, {rounds} rounds, with a pause of 50 ms in between, since PyTorch's OpenMP threads spin on after their
last work and would take a core from the other side. In a turn the case is built and warmed up, then measured three times for at least 40 ms (with `--quick` twice for
15 ms; a slower case once per call), and the smallest time counts; the tables show the median over the rounds. A statement of the group `overhead` runs in a loop, as `timeit` runs it: to call
a function for each would take as long as some of them.{again} A ratio between 0.9 and 1.1 is a tie: two runs differ that much.
`vs fused` compares with PyTorch's `fused=True` optimizers, `vs compile` with that and `torch.compile` of the forward pass and the loss; Rushlight's own program stays
as it is.
"""

AGAIN = """\
## Running it again

`cargo xtask bench compare` measures everything; `--filter REGEX` or `--groups A,B` a part, and with `--update results.json` new figures replace single rows of a stored
result; `--below 1` measures once more what was slower, and keeps all the times. `--render results.json --markdown FILE` writes this page from stored results.
"""


def write(path, results):
    with open(path, "w") as file:
        file.write("\n".join(part for part in sections(results) if part))


def sections(results):
    rows = results["rows"]
    yield INTRO
    yield machine(results)
    yield METHOD.format(rounds=results["rounds"], again=again(rows, results["rounds"]))
    yield summary(rows, [r for r in rows if not disturbed(r)])
    yield short(rows, causes.read())
    yield failures(results)
    yield "## All cases\n"
    for name in dict.fromkeys(map(group, rows)):
        yield f"### {name}\n\n{case_table([r for r in rows if group(r) == name])}"
    yield memory_table(results["memory"])
    yield contention_table(results["contention"])
    yield AGAIN


def table(head, rows, left=1):
    """A Markdown table; the first `left` columns hold text, the others numbers."""
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * left + "---:|" * (len(head) - left)]
    lines += [f"| {' | '.join(map(str, row))} |" for row in rows]
    return "\n".join(lines) + "\n"


def threads_text(n):
    return f"{n} thread" + "s" * (n > 1)


def machine(results):
    about = results["machine"]
    caches = ", ".join(f"{level} {size}" for level, size in about["caches"].items())
    rows = [
        ("Processor", about["cpu"]),
        ("Cores", about["cores"]),
        ("Instruction sets", ", ".join(about["isa"])),
        ("Caches", caches),
        ("Memory", f"{about['memory_gb']} GB"),
        ("System", about["os"]),
        ("Python, PyTorch, Rushlight", f"{about['python']}, {about['torch']}, {about['rushlight']}"),
        ("Date", results["date"]),
    ]
    return f"## Machine\n\n{table(('', ''), rows, left=2)}"


def counts(rows):
    return sorted({r["threads"] for r in rows})


def again(rows, rounds):
    """What to say where some cases have had more rounds than others."""
    more = [r for r in rows if max(map(len, r["ns"].values()), default=0) > rounds]
    if not more:
        return ""
    most = max(len(times) for r in more for times in r["ns"].values())
    return f" {len(more)} measurements whose ratio was low have been taken again, which makes {most} rounds in all."


def summary(everything, rows):
    """Geometric means of the ratios of `rows`, those of `everything` that were measured undisturbed."""
    columns = [(n, column) for n in counts(rows) for column in ("torch", *VARIANTS)]
    found = {key: dict((name, mean) for name, _, mean in means([r for r in rows if r["threads"] == key[0]], key[1])) for key in columns}
    columns = [key for key in columns if found[key]]
    sizes = {name: count for name, count, _ in means([r for r in rows if r["threads"] == counts(rows)[0]])} if rows else {}
    head = ["group", "cases", *(threads_text(n) + ("" if c == "torch" else f", vs {c}") for n, c in columns)]
    body = [[f"**{name}**" if name == "all" else name, count, *(times(found[key].get(name)) for key in columns)] for name, count in sizes.items()]
    left_out = len(everything) - len(rows)
    about = f"Without {left_out} of {len(everything)} measurements, which other processes disturbed.\n\n" if left_out else ""
    return f"## Geometric means\n\n{about}{table(head, body)}"


def short(rows, reasons):
    """What falls short, worst first."""
    worst = sorted((r for r in rows if (ratio(r) or SHORT) < SHORT), key=ratio)
    if not worst:
        return f"## Where Rushlight falls short\n\nNo case has a ratio below {SHORT}.\n"
    head = ("case", "cause", "threads", "PyTorch", "Rushlight", "ratio")
    body = [[r["case"] + star(r), causes.of(r["case"], reasons), r["threads"], *pair(r), times(ratio(r))] for r in worst]
    about = f"{len(worst)} of {len(rows)} measurements have a ratio below {SHORT}."
    return f"## Where Rushlight falls short\n\n{about}\n\n{table(head, body, left=2)}{mark_note(worst)}"


def pair(row):
    return [duration(median(row, library)) for library in LIBRARIES]


def star(*entries):
    """Marks what was measured while the machine was busy with something else."""
    return " *" if any(map(disturbed, entries)) else ""


def mark_note(rows):
    return "\n\\* Other processes were busy meanwhile.\n" if any(map(disturbed, rows)) else ""


def case_table(rows):
    """One line a case, with its times and ratios at each number of threads; slowest against PyTorch first."""
    by_case = {}
    for row in rows:
        by_case.setdefault(row["case"], {})[row["threads"]] = row
    columns = [(n, [v for v in VARIANTS if any(median(r, v) for r in rows if r["threads"] == n)]) for n in counts(rows)]
    head = ["case"]
    for n, variants in columns:
        head += [f"PyTorch, {threads_text(n)}", "Rushlight", "ratio", *(f"vs {v}" for v in variants)]
    body = []
    for lines in sorted(by_case.values(), key=lambda lines: min((ratio(r) or 0.0) for r in lines.values())):
        line = [label(next(iter(lines.values()))) + star(*lines.values())]
        for n, variants in columns:
            row = lines.get(n, {"ns": {}})
            line += [*pair(row), times(ratio(row)), *(times(ratio(row, v)) for v in variants)]
        body.append(line)
    return table(head, body) + mark_note(rows)


def megabytes(size):
    return f"{size / 1e6:.0f} MB" if size >= 1e7 else f"{size / 1e6:.1f} MB"


def memory_table(entries):
    if not entries:
        return ""
    head = ["training", "PyTorch, peak", "Rushlight, peak", "ratio", "PyTorch, beyond import", "Rushlight, beyond import", "ratio"]
    body, whole, beyond = [], [], []
    for entry in entries:
        if entry["errors"]:
            continue
        theirs, ours = (entry[library]["peak"] for library in LIBRARIES)
        more_theirs, more_ours = (memory.growth(entry, library) for library in LIBRARIES)
        whole.append(theirs / ours)
        beyond.append(more_theirs / more_ours)
        line = [megabytes(theirs), megabytes(ours), times(whole[-1]), megabytes(more_theirs), megabytes(more_ours), times(beyond[-1])]
        body.append([label(entry), *line])
    body.append(["**geometric mean**", "", "", times(geometric_mean(whole)), "", "", times(geometric_mean(beyond))])
    about = f"The largest resident memory of a process that trains for {memory.STEPS} steps with {threads_text(entries[0]['threads'])}, in all and beyond what it had after the import."
    return f"## Memory\n\n{about} A ratio above 1 means that Rushlight needs less.\n\n{table(head, body)}"


def contention_table(entries):
    if not entries:
        return ""
    alone = {e["case"]: e for e in entries if e["scenario"] == "alone"}
    head = ["training", "scenario", "PyTorch, steps/s", "Rushlight, steps/s", "ratio", "PyTorch keeps", "Rushlight keeps"]
    body = []
    for entry in sorted(entries, key=lambda e: (e["case"], list(SCENARIOS).index(e["scenario"]))):
        rates = [entry.get(library) for library in LIBRARIES]
        whole = [alone.get(entry["case"], {}).get(library) for library in LIBRARIES]
        kept = [f"{rate / all_:.0%}" if rate and all_ else "-" for rate, all_ in zip(rates, whole)]
        speed = times(rates[1] / rates[0]) if all(rates) else "-"
        body.append([label(entry) + star(entry), SCENARIOS[entry["scenario"]][0], *(f"{r:.1f}" if r else "-" for r in rates), speed, *kept])
    about = "Trainings whose cores are shared: steps per second, Rushlight's over PyTorch's, and what each keeps of its speed alone with 2 threads."
    return f"## Contention\n\n{about}\n\n{table(head, body, left=2)}{mark_note(entries)}"


def failures(results):
    """Cases that one of the sides could not run, with what it said."""
    entries = [*results["rows"], *results["memory"], *results["contention"]]
    body = [[e["case"], side, text.splitlines()[0].replace("|", "\\|")] for e in entries for side, text in e["errors"].items()]
    body = list(map(list, dict.fromkeys(map(tuple, body))))
    return f"## Cases that failed\n\n{table(('case', 'side', 'what it said'), body, left=3)}" if body else ""
