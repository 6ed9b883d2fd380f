"""The harness that times the package against PyTorch: its bookkeeping, and that its cases run."""

import sys
from pathlib import Path

import pytest
import rushlight

BENCHES = Path(__file__).resolve().parents[2] / "benches"
if not BENCHES.exists():
    pytest.skip("the benchmarks are not here", allow_module_level=True)
sys.path.append(str(BENCHES))

from compare import options, page, registry, results, sides, timing, worker  # noqa: E402
from compare.cases import overhead  # noqa: E402


def row(case, threads=1, others=0.0, **ns):
    return {"case": case, "threads": threads, "ns": {k: [v, v, 9 * v] for k, v in ns.items()}, "errors": {}, "others": others}


def stored(*rows):
    about = {"cpu": "a cpu", "cores": 2, "isa": ["avx2"], "caches": {"L2": "1 MB"}, "memory_gb": 8, "os": "an OS", "python": "3"}
    return results.empty(machine={**about, "torch": "2", "rushlight": "0"}, date="2026-01-01", rounds=3) | {"rows": list(rows)}


def test_ratio_is_of_medians():
    assert results.ratio(row("g/a", torch=30.0, rushlight=10.0)) == 3.0
    assert results.ratio(row("g/a", torch=30.0, rushlight=10.0, fused=5.0), "fused") == 0.5
    assert results.ratio(row("g/a", rushlight=10.0)) is None


def test_means_are_geometric_and_by_group():
    rows = [row("g/a", torch=2.0, rushlight=1.0), row("g/b", torch=8.0, rushlight=1.0), row("h/a", torch=1.0, rushlight=1.0), row("h/b")]
    assert [(name, count) for name, count, _ in results.means(rows)] == [("g", 2), ("h", 1), ("all", 3)]
    assert [mean for _, _, mean in results.means(rows)] == pytest.approx([4.0, 1.0, 16 ** (1 / 3)])


def test_merge_replaces_single_rows(tmp_path):
    old = stored(row("g/a", torch=1.0, rushlight=1.0), row("g/b", torch=1.0, rushlight=1.0))
    new = stored(row("g/a", torch=5.0, rushlight=1.0), row("g/a", threads=2, torch=7.0, rushlight=1.0))
    for name, part in (("old", old), ("new", new)):
        results.write(tmp_path / name, part)
        assert results.read(tmp_path / name) == part
    merged = results.merge(old, new)["rows"]
    assert [(r["case"], r["threads"], results.ratio(r)) for r in merged] == [("g/a", 1, 5.0), ("g/b", 1, 1.0), ("g/a", 2, 7.0)]


def test_what_was_low_is_taken_again_beside_the_old_times(tmp_path):
    old = stored(row("g/low", torch=1.0, rushlight=2.0), row("g/fine", torch=3.0, rushlight=1.0), row("g/low", threads=2, torch=3.0, rushlight=1.0))
    assert results.below(old, 1.0) == {"g/low"}
    later = {**row("g/low"), "ns": {"torch": [4.0] * 4, "rushlight": [2.0] * 4}, "others": 0.1}
    joined = results.join(old, stored(later))
    assert [len(r["ns"]["torch"]) for r in joined["rows"]] == [7, 3, 3]
    assert results.ratio(joined["rows"][0]) == 2.0 and joined["rows"][0]["others"] == 0.1
    page.write(tmp_path / "page.md", joined)
    assert "1 measurements whose ratio was low have been taken again, which makes 7 rounds in all." in (tmp_path / "page.md").read_text()


def test_what_was_disturbed_is_not_settled():
    failed = {**row("g/c"), "errors": {"rushlight": "no"}}
    assert results.settled(stored(row("g/a"), row("g/b", others=1.0), failed, row("g/d"), row("g/d", threads=2, others=1.0))) == {"g/a"}


def test_page_shows_what_falls_short_first(tmp_path, monkeypatch):
    fine, short, busy = row("g/fine", torch=3.0, rushlight=1.0), row("g/short", torch=1.0, rushlight=2.0), row("g/busy", others=1.0, torch=9.0, rushlight=1.0)
    monkeypatch.setattr(page.causes, "read", lambda: [(page.causes.re.compile("short"), "It is short.")])
    page.write(tmp_path / "page.md", stored(fine, short, busy))
    text = (tmp_path / "page.md").read_text()
    assert "| g/short | It is short. | 1 | 1.00 ns | 2.00 ns | 0.50 |" in text
    assert text.index("g/short") < text.index("| fine | 3.00 ns | 1.00 ns | 3.00 |")
    assert "| busy * | 9.00 ns" in text and "| g | 2 |" in text and "1 of 3 measurements, which other processes disturbed" in text


def test_options_choose_by_group_and_pattern():
    names = options.Plan(options.parser().parse_args(["--groups", "matmul,contention", "--filter", "256x256$|alone"])).names
    assert names == ["matmul/256x256", "contention/alone"]
    with pytest.raises(SystemExit, match="no such group: nothing"):
        options.Plan(options.parser().parse_args(["--groups", "nothing"]))


@pytest.mark.parametrize("name", [n for n, c in registry.load().items() if c.group in ("overhead", "tiny", "data")])
def test_case_runs(name):
    worker.Cases(rushlight).build(name, None)()


def test_time_of_a_statement_is_that_of_one_run():
    done = []
    run = overhead.statement("done.append(done is not None)", {"done": done})
    run()
    assert done == [True] * overhead.TIMES
    # A clock that goes on by a second whenever it is read.
    assert worker.measure(run, True, iter(range(1000)).__next__) == 1 / overhead.TIMES


def test_process_answers_and_survives_errors(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(rushlight.__file__).parents[1]))
    with timing.Sides() as processes:
        side = processes.get("rushlight", 1, None)
        assert side.ask(case="overhead/a + b", variant=None, quick=True)["ns"] > 0
        assert "KeyError" in side.ask(case="no/such case", variant=None, quick=True)["error"]
        assert side.ask(case="overhead/a + b", variant=None, quick=True)["ns"] > 0
        side.process.kill()
        assert "status -9" in side.ask(case="overhead/a + b", variant=None, quick=True)["error"]
        assert "ns" in side.ask(case="overhead/a + b", variant=None, quick=True)


def test_environment_names_every_thread_count():
    variables = sides.environment(3)
    assert {variables[v] for v in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RUSHLIGHT_NUM_THREADS")} == {"3"}
