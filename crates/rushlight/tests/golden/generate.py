#!/usr/bin/env python3
"""Asks live PyTorch for the right answer to every sample of the op table, and more facts that the Rust tests compare with.

    generate.py            writes ops.json.gz, facts.json.gz, modules.json.gz and optim.json.gz beside this file
    generate.py --check    compares what it would write with what is there

Needs torch and numpy, and runs `cargo xtask samples` for the samples. The values of sample tensors are a pure function of tensor and
element number; `uniform` below is the twin of `rushlight::op::sample::uniform`.
"""
import gzip, json, math, pathlib, subprocess, sys

import torch
import torch.nn.functional as F

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import modules as golden_modules
import optim as golden_optim

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[3]
MASK = (1 << 64) - 1


def uniform(tensor, element):
    z = (((tensor + 1) * 0x9E3779B97F4A7C15) ^ ((element + 1) * 0xBF58476D1CE4E5B9)) & MASK
    z = (z + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    z ^= z >> 31
    return (z >> 11) / 2**53


DTYPES = {n: getattr(torch, n) for n in "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64".split()}


class Sample:
    """One evaluation of a sample's text: gathers the tensors it makes, in order."""

    def __init__(self, text, default):
        self.tensors, self.default = [], default
        scope = dict(DTYPES, T=self.real, I=self.int, B=self.bool, inf=math.inf, nan=math.nan, call=lambda *a, **k: (a, k))
        self.args, self.kwargs = eval(f"call({text})", {"__builtins__": {}, "None": None, "True": True, "False": False}, scope)

    def make(self, shape, f, dtype):
        number = len(self.tensors)
        count = math.prod(shape)
        values = [f(uniform(number, e)) for e in range(count)]
        t = torch.tensor(values, dtype=torch.float64).reshape(shape).to(dtype)
        if dtype.is_floating_point:
            t.requires_grad_()
        self.tensors.append(t)
        return t

    def real(self, *shape, dtype=None, lo=-2, hi=2):
        return self.make(shape, lambda u: lo + (hi - lo) * u, dtype or self.default)

    def int(self, *shape, dtype=torch.int64, lo=0, hi=10):
        return self.make(shape, lambda u: lo + math.floor(u * (hi - lo)), dtype)

    def bool(self, *shape, dtype=torch.bool):
        return self.make(shape, lambda u: u < 0.5, dtype)


def function(row, sample):
    name = row["name"]
    if row["property"]:
        return lambda x: getattr(x, name)
    if row["nn"]:
        return getattr(F, name, None) or getattr(torch, name)
    for place in (torch, torch.Tensor, F, torch.special, torch.linalg):
        if hasattr(place, name):
            return getattr(place, name)
    raise LookupError(f"PyTorch has no {name}")


def outputs(result):
    if isinstance(result, torch.Tensor):
        return [result]
    if isinstance(result, (tuple, list)):
        return [t for r in result for t in outputs(r)]
    return []


def numbers(t):
    return [repr(v) if isinstance(v, float) and not math.isfinite(v) else v for v in t.detach().contiguous().reshape(-1).tolist()]


def run(row, default):
    sample = Sample(row["sample"], default)
    f = function(row, sample)
    torch.manual_seed(0)
    outs = outputs(f(*sample.args, **sample.kwargs))
    return sample, outs


def answer(row):
    """What PyTorch says: layout facts in float32, values and gradients in float64 (random ops: float32, from seed 0)."""
    key = {"op": row["name"] + ("." + row["overload"] if row["overload"] else ""), "sample": row["sample"]}
    try:
        sample, outs = run(row, torch.float32)
        meta = [
            {"dtype": str(o.dtype).removeprefix("torch."), "shape": list(o.shape), "strides": list(o.stride()),
             "view": any(o.untyped_storage().data_ptr() == t.untyped_storage().data_ptr() != 0 for t in sample.tensors)}
            for o in outs
        ]
        if row["random"]:
            return key | {"outs": meta, "values": [numbers(o) for o in outs]}
        sample, outs = run(row, torch.float64)
        values = [numbers(o) for o in outs]
        grads = None
        recorded = [(i, o) for i, o in enumerate(outs) if o.requires_grad]
        wanted = [t for t in sample.tensors if t.requires_grad]
        if recorded and wanted and not row["nondiff"]:
            cotangents = [
                torch.tensor([0.3 + uniform(i, e) for e in range(o.numel())], dtype=torch.float64).reshape(o.shape).to(o.dtype) for i, o in recorded
            ]
            found = torch.autograd.grad([o for _, o in recorded], wanted, cotangents, allow_unused=True)
            grads = [None if g is None else numbers(g) for g in found]
        return key | {"outs": meta, "values": values, "grads": grads}
    except LookupError as e:
        return key | {"unknown": str(e)}
    except Exception as e:  # what PyTorch refuses, Rushlight should refuse
        return key | {"error": f"{type(e).__name__}: {e}".split("\n")[0][:300]}


def ops():
    # `check` and the tests run cargo already: its lock is free again by then.
    lines = subprocess.run(["cargo", "run", "--quiet", "--package", "xtask", "--", "samples"], cwd=ROOT, check=True, capture_output=True, text=True)
    return [answer(json.loads(line)) for line in lines.stdout.splitlines()]


def facts():
    """Promotion, printing, and streams of random numbers."""
    names = list(DTYPES)
    out = {"promote": [[a, b, str(torch.promote_types(DTYPES[a], DTYPES[b])).removeprefix("torch.")] for a in names for b in names]}

    # Three priorities: a tensor with dimensions, a zero-dim tensor, a number.
    def kinds(d):
        yield f"{d}[2]", torch.ones(2).to(DTYPES[d])
        yield f"{d}[]", torch.ones(()).to(DTYPES[d])

    tensors = [k for d in names for k in kinds(d)]
    scalars = [("True", True), ("1", 1), ("1.5", 1.5)]
    out["result_type"] = [[a, b, str(torch.result_type(x, y)).removeprefix("torch.")] for a, x in tensors for b, y in tensors + scalars]

    shown = [
        "torch.arange(6).reshape(2,3)", "torch.tensor([[1.5,-2.25,1000.0],[0.0,float('nan'),float('inf')]])", "torch.tensor([1e-5,1.0,123456.0])",
        "torch.tensor([1.0,1e9])", "torch.tensor([1.0,-20.0,0.0])", "torch.tensor([1.0,float('inf')])", "torch.tensor(3.14159)",
        "torch.tensor([True,False])", "torch.empty(0)", "torch.empty(0,3,dtype=torch.int64)", "torch.tensor([1.5,2.0],dtype=torch.float16)",
        "torch.arange(2000.0)", "torch.arange(4000.0).reshape(40,100)", "torch.arange(30)", "torch.arange(8).reshape(2,2,2)",
        "torch.ones(3,requires_grad=True)", "torch.ones(3,requires_grad=True)*2",
        "(torch.arange(12,dtype=torch.float64).reshape(1,12)*1.5).requires_grad_()", "torch.tensor([[1]],dtype=torch.int32)",
    ]
    out["repr"] = [[s, repr(eval(s))] for s in shown]

    streams = []
    for seed in (0, 1234, 2**40 + 7):
        g = torch.Generator().manual_seed(seed)
        draws = [
            ("rand", torch.rand(20, generator=g)), ("rand64", torch.rand(5, generator=g, dtype=torch.float64)),
            ("randn", torch.randn(40, generator=g)), ("randn_small", torch.randn(5, generator=g)),
            ("randn64", torch.randn(17, generator=g, dtype=torch.float64)), ("randint", torch.randint(0, 1000, (20,), generator=g)),
            ("randint_wide", torch.randint(-(2**40), 2**40, (5,), generator=g)), ("randperm", torch.randperm(20, generator=g)),
            ("bernoulli", torch.empty(40).bernoulli_(0.3, generator=g)), ("uniform", torch.empty(10).uniform_(-2, 3, generator=g)),
            ("normal", torch.empty(20).normal_(1.0, 2.0, generator=g)), ("exponential", torch.empty(10).exponential_(1.5, generator=g)),
            ("multinomial", torch.multinomial(torch.tensor([0.1, 0.5, 0.2, 0.9]), 12, replacement=True, generator=g)),
            ("multinomial_once", torch.multinomial(torch.tensor([0.1, 0.5, 0.2, 0.9]), 3, generator=g)),
        ]
        state = g.get_state()
        streams.append({"seed": seed, "draws": [[n, numbers(t)] for n, t in draws], "state_sum": int(state.long().sum()), "state_len": len(state)})
    out["streams"] = streams
    return out


def same(a, b, tol=1e-9):
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k], tol) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y, tol) for x, y in zip(a, b))
    if isinstance(a, float) and isinstance(b, float):
        return a == b or abs(a - b) <= tol * max(1.0, abs(a), abs(b))
    return a == b


def read(path):
    return json.loads(gzip.decompress(path.read_bytes())) if path.exists() else None


def main():
    check = "--check" in sys.argv
    bad = 0
    for name, make in (("ops", ops), ("facts", facts), ("modules", lambda: golden_modules.modules(uniform)), ("optim", lambda: golden_optim.optim(uniform, numbers))):
        path = HERE / f"{name}.json.gz"
        new = make()
        if not check:
            text = json.dumps(new, separators=(",", ":")).encode()
            path.write_bytes(gzip.compress(text, 9, mtime=0))
            print(f"{path.name}: {len(new)} entries, {path.stat().st_size} bytes")
            continue
        old = read(path)
        if name == "ops":
            before = {(r["op"], r["sample"]): r for r in old or []}
            after = {(r["op"], r["sample"]): r for r in new}
            for k in before.keys() | after.keys():
                if k not in before or k not in after or not same(before[k], after[k]):
                    bad += 1
                    print(f"differs: {k[0]}({k[1]})")
        elif not same(old, json.loads(json.dumps(new))):
            bad += 1
            print(f"differs: {path.name}")
        print(f"{path.name}: {len(new)} entries compared with live PyTorch {torch.__version__}")
    if bad:
        sys.exit(f"{bad} golden entries differ: run `cargo xtask golden` if the samples have changed")


if __name__ == "__main__":
    main()
