"""Results for the terminal: worst ratio first, then geometric means."""

from compare import contention, memory
from compare.load import disturbed
from compare.results import means, median, ratio
from compare.sides import LIBRARIES

VARIANTS = ("fused", "compile")


def duration(ns):
    """Three significant digits and a unit."""
    if ns is None:
        return "-"
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3), ("ns", 1.0)):
        if ns >= size * 0.9995 or size == 1.0:
            value = ns / size
            return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {unit}"


def times(value):
    """A ratio, with as many digits as mean something."""
    return "-" if value is None else f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def lines(rows):
    """The rows of one number of threads."""
    note = {True: "  (other processes were busy)", False: ""}
    rows = sorted(rows, key=lambda r: ratio(r) or 0.0)
    extra = [v for v in VARIANTS if any(median(r, v) for r in rows)]
    width = max((len(r["case"]) for r in rows), default=0)
    yield f"{'':{width}}{'PyTorch':>12}{'Rushlight':>12}{'ratio':>8}" + "".join(f"{'vs ' + v:>12}" for v in extra)
    for row in rows:
        text = f"{row['case']:{width}}{duration(median(row, 'torch')):>12}{duration(median(row, 'rushlight')):>12}{times(ratio(row)):>8}"
        yield text + "".join(f"{times(ratio(row, v)):>12}" for v in extra) + ("  (failed)" if row["errors"] else note[disturbed(row)])
    yield ""
    for name, count, mean in means(rows):
        yield f"{'geometric mean, ' + name:{width}}{count:>18} cases{times(mean):>8}"


def show(results):
    for threads in sorted({r["threads"] for r in results["rows"]}):
        print(f"\n== {threads} thread{'s' if threads > 1 else ''}")
        for line in lines([r for r in results["rows"] if r["threads"] == threads]):
            print(line)
    for e in results["memory"]:
        sizes = ", ".join(f"{side} {e[side]['peak'] / 1e6:.0f} MB, {memory.growth(e, side) / 1e6:.1f} beyond import" for side in LIBRARIES if side in e)
        print(f"{e['case']}: {sizes}")
    for e in results["contention"]:
        rates = ", ".join(f"{side} {e[side]:.1f} steps/s" for side in LIBRARIES if side in e)
        print(f"{e['case']}, {contention.SCENARIOS[e['scenario']][0]}: {rates}")
    entries = [*results["rows"], *results["memory"], *results["contention"]]
    errors = [(e["case"], side, text) for e in entries for side, text in e["errors"].items()]
    if errors:
        print(f"\n== failed: {len(errors)}")
        for name, side, text in errors:
            print(f"{name}, {side}: {text}")
