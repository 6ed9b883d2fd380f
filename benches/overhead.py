"""What a call costs beside its arithmetic: the same small programs with PyTorch and with Rushlight, each in its own process, in turn.

    python benches/overhead.py [--rounds N]

Prints medians in nanoseconds and the ratio (PyTorch's time over Rushlight's: above 1 Rushlight is faster), and the time that importing takes over a bare interpreter.
"""

import argparse
import json
import statistics
import subprocess
import sys

WORKER = r"""
import json, sys, time, importlib
torch = importlib.import_module(sys.argv[1])
torch.set_num_threads(1)
torch.manual_seed(0)
a, b = torch.randn(4), torch.randn(4)
p = torch.randn(4, requires_grad=True)
lin, x = torch.nn.Linear(8, 8), torch.randn(2, 8)
model = torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.ReLU(), torch.nn.Linear(32, 32), torch.nn.ReLU(), torch.nn.Linear(32, 4))
optimizer = torch.optim.Adam(model.parameters())
batch, target = torch.randn(32, 16), torch.randint(0, 4, (32,))

def chain():
    y = p
    for _ in range(300):
        y = y * b
    y.sum().backward()

def step():
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(model(batch), target).backward()
    optimizer.step()

cases = {
    "a + b": (lambda: a + b, 20000), "a + b, recorded": (lambda: p + b, 20000), "a * 2": (lambda: a * 2, 20000),
    "torch.add(a, b)": (lambda: torch.add(a, b), 20000), "a.exp()": (lambda: a.exp(), 20000), "a.sum(dim=0)": (lambda: a.sum(dim=0), 20000),
    "a.view(2, 2)": (lambda: a.view(2, 2), 20000), "a[1:]": (lambda: a[1:], 20000), "a.shape": (lambda: a.shape, 20000),
    "torch.zeros(4)": (lambda: torch.zeros(4), 20000), "(p * b).sum().backward()": (lambda: (p * b).sum().backward(), 3000),
    "300-op chain, forward and backward": (chain, 20), "Linear(8, 8)": (lambda: lin(x), 5000), "training step, tiny MLP, Adam": (step, 200),
}
out = {}
for name, (f, n) in cases.items():
    for _ in range(max(n // 10, 3)):
        f()
    times = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(n):
            f()
        times.append((time.perf_counter() - start) / n)
    out[name] = min(times) * 1e9
print(json.dumps(out))
"""


def run(*command):
    return subprocess.run([sys.executable, *command], check=True, capture_output=True, text=True).stdout


def import_time(statement):
    """Seconds from start to end of an interpreter that runs `statement`."""
    code = "import subprocess, sys, time; s = time.perf_counter(); subprocess.run([sys.executable, '-c', sys.argv[1]], check=True); print(time.perf_counter() - s)"
    return float(run("-c", code, statement))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each side runs")
    rounds = parser.parse_args().rounds
    sides = {"torch": [], "rushlight": []}
    for _ in range(rounds):
        for package, results in sides.items():
            results.append(json.loads(run("-c", WORKER, package)))
    rows = []
    for name in sides["torch"][0]:
        theirs, ours = (statistics.median(r[name] for r in sides[package]) for package in ("torch", "rushlight"))
        rows.append((theirs / ours, name, theirs, ours))
    print(f"{'':38}{'PyTorch':>12}{'Rushlight':>12}{'ratio':>8}")
    for ratio, name, theirs, ours in sorted(rows):
        print(f"{name:38}{theirs:>9.0f} ns{ours:>9.0f} ns{ratio:>8.1f}")
    bare = statistics.median(import_time("pass") for _ in range(rounds))
    modules = ("rushlight", "numpy", "torch")
    over = {m: statistics.median(import_time(f"import {m}") for _ in range(rounds)) - bare for m in modules}
    print("\nimport, over a bare interpreter: " + ", ".join(f"{m} {t * 1e3:.0f} ms ({t / over['rushlight']:.1f}x)" for m, t in over.items()))


if __name__ == "__main__":
    main()
