#!/usr/bin/env python3
"""Asks live PyTorch for the right answer to every sample of the op table, and more facts that the Rust tests compare with.

    generate.py            writes ops.json.gz, facts.json.gz, modules.json.gz, optim.json.gz and the checkpoints (*.pt) beside this file
    generate.py --check    compares what it would write with what is there

Needs torch and numpy, and runs `cargo xtask samples` for the samples. The values of sample tensors are a pure function of tensor and
element number; `uniform` below is the twin of `rushlight::op::sample::uniform`.
"""
import gzip, json, math, pathlib, subprocess, sys, warnings

import torch
import torch.nn.functional as F

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import modules as golden_modules
import optim as golden_optim
import pt as golden_pt

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
    """One evaluation of a sample's text: gathers the tensors it makes, in order. `wanted` says which of the floating ones take a
    gradient; an op that overwrites its argument gets copies, since a leaf that takes one may not be overwritten."""

    def __init__(self, text, default, wanted=(), copy=False):
        self.tensors, self.default, self.wanted, self.copy = [], default, wanted, copy
        scope = dict(DTYPES, T=self.real, I=self.int, B=self.bool, S=self.symmetric, inf=math.inf, nan=math.nan, call=lambda *a, **k: (a, k))
        self.args, self.kwargs = eval(f"call({text})", {"__builtins__": {}, "None": None, "True": True, "False": False}, scope)

    def make(self, shape, f, dtype):
        number = len(self.tensors)
        return self.make_of(shape, lambda e: f(uniform(number, e)), dtype)

    def make_of(self, shape, value, dtype):
        number = len(self.tensors)
        values = [value(e) for e in range(math.prod(shape))]
        t = torch.tensor(values, dtype=torch.float64).reshape(shape).to(dtype)
        t.requires_grad_(number in self.wanted)
        self.tensors.append(t)
        return t.clone() if self.copy else t

    def real(self, *shape, dtype=None, lo=-2, hi=2):
        return self.make(shape, lambda u: lo + (hi - lo) * u, dtype or self.default)

    def int(self, *shape, dtype=torch.int64, lo=0, hi=10):
        return self.make(shape, lambda u: lo + math.floor(u * (hi - lo)), dtype)

    def bool(self, *shape, dtype=torch.bool):
        return self.make(shape, lambda u: u < 0.5, dtype)

    def symmetric(self, *shape, dtype=None, lo=-1, hi=1):
        n = shape[-1]

        def mirrored(e):
            row, column = e // n % n, e % n
            return e // (n * n) * n * n + max(row, column) * n + min(row, column)

        values = {e: lo + (hi - lo) * uniform(len(self.tensors), mirrored(e)) + n * (e // n % n == e % n) for e in range(math.prod(shape))}
        return self.make_of(shape, values.__getitem__, dtype or self.default)


# How PyTorch calls what the op table calls otherwise.
SPELLED = {
    "broadcast_tensors": lambda tensors: torch.broadcast_tensors(*tensors),
    "cartesian_prod": lambda tensors: torch.cartesian_prod(*tensors),
    "chain_matmul": lambda tensors: torch.chain_matmul(*tensors),
    "col2im": F.fold,
    "im2col": F.unfold,
    "meshgrid": lambda tensors, indexing=None: torch.meshgrid(*tensors, indexing=indexing),
    "nonzero_numpy": lambda x: torch.nonzero(x, as_tuple=True),
    "polygamma.self": lambda x, n: x.polygamma(n),
    "slice": torch.ops.aten.slice,
    "unique_consecutive": torch.ops.aten.unique_consecutive,
    "unique_dim": torch.ops.aten.unique_dim,
    "tensordot.dims": lambda a, b, dims_self, dims_other: torch.tensordot(a, b, dims=(dims_self, dims_other)),
}


class Unknown(Exception):
    """An op that PyTorch has not."""


def full_name(row):
    return row["name"] + ("." + row["overload"] if row["overload"] else "")


def function(row):
    name = row["name"]
    if full_name(row) in SPELLED:
        return SPELLED[full_name(row)]
    if row["property"]:
        return lambda x: getattr(x, name)
    if row["nn"]:
        places = (F, torch)
    elif name.startswith("special_"):
        name, places = name.removeprefix("special_"), (torch.special,)
    elif name.startswith("linalg_"):
        name, places = name.removeprefix("linalg_"), (torch.linalg,)
    else:
        places = (torch, torch.Tensor, F, torch.linalg)
    for place in places:
        if hasattr(place, name):
            return getattr(place, name)
    raise Unknown(f"PyTorch has no {row['name']}")


def outputs(result):
    if isinstance(result, torch.Tensor):
        return [result]
    if isinstance(result, (tuple, list)):
        return [t for r in result for t in outputs(r)]
    return []


def number(v):
    """JSON has no infinities."""
    return repr(v) if isinstance(v, float) and not math.isfinite(v) else v


def numbers(t):
    t = torch.zeros(t.shape, dtype=t.dtype) if t._is_zerotensor() else t.detach()
    return [number(v) for v in t.contiguous().reshape(-1).tolist()]


def run(row, default, wanted=()):
    """The sample's tensors, and the result. Random ops start from seed 0."""
    sample = Sample(row["sample"], default, wanted, copy=row["name"].endswith("_"))
    torch.manual_seed(0)
    return sample, function(row)(*sample.args, **sample.kwargs)


def gradients(row, wanted):
    """The gradients of the results, element e of result i weighed by 0.3 + uniform(i, e). None where no result depends on the
    tensors numbered `wanted`."""
    sample, result = run(row, torch.float64, wanted)
    recorded = [(i, o) for i, o in enumerate(outputs(result)) if o.requires_grad]
    if not recorded:
        return None
    weights = [
        torch.tensor([0.3 + uniform(i, e) for e in range(o.numel())], dtype=torch.float64).reshape(o.shape).to(o.dtype) for i, o in recorded
    ]
    found = torch.autograd.grad([o for _, o in recorded], [sample.tensors[i] for i in wanted], weights, allow_unused=True)
    return [None if g is None else numbers(g) for g in found]


def all_gradients(row, tensors):
    """As `gradients`, for every floating tensor; "refused" stands where PyTorch has no derivative for one."""
    floating = [i for i, t in enumerate(tensors) if t.dtype.is_floating_point]

    def works(wanted):
        try:
            return True, gradients(row, wanted)
        except (RuntimeError, NotImplementedError):
            return False, None

    done, found = works(floating)
    if done or not floating:
        return found
    allowed = [i for i in floating if works([i])[0]]
    found = dict(zip(allowed, works(allowed)[1] or [])) if allowed else {}
    return [found.get(i, "refused") for i in floating]


def answer(row):
    """What PyTorch says: layout facts in float32, values and gradients in float64 (values of what draws: in float32, from seed 0)."""
    key = {"op": full_name(row), "sample": row["sample"]}
    try:
        sample, result = run(row, torch.float32)
        outs = outputs(result)
        meta = [
            {"dtype": str(o.dtype).removeprefix("torch."), "shape": list(o.shape), "strides": list(o.stride()),
             "view": any(o.untyped_storage().data_ptr() == t.untyped_storage().data_ptr() != 0 for t in sample.tensors)}
            for o in outs
        ]
        drawn = not torch.equal(torch.get_rng_state(), torch.manual_seed(0).get_state())
        if not drawn:
            sample, result = run(row, torch.float64)
        # What nobody has written has no values.
        values = [] if row["name"] in ("empty", "empty_like", "new_empty") else [numbers(o) for o in outputs(result)]
        plain = {"plain": number(result)} if isinstance(result, (bool, int, float)) else {}
        return key | plain | {"drawn": drawn, "outs": meta, "values": values, "grads": all_gradients(row, sample.tensors)}
    except Unknown as e:
        return key | {"unknown": str(e)}
    except Exception as e:  # what PyTorch refuses, Rushlight should refuse
        # Of exceptions that only PyTorch has, the builtin one that they are.
        kind = next(c.__name__ for c in type(e).__mro__ if c.__module__ == "builtins")
        return key | {"error": f"{kind}: {e}".split("\n")[0][:300]}


def ops():
    # `check` and the tests run cargo already: its lock is free again by then.
    lines = subprocess.run(["cargo", "run", "--quiet", "--package", "xtask", "--", "samples"], cwd=ROOT, check=True, capture_output=True, text=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [answer(json.loads(line)) for line in lines.stdout.splitlines()]


# Drawn one after the other from one generator: each must leave it where PyTorch leaves it.
DRAWS = [
    ("rand", "[20]"), ("rand", "[5], dtype=float64"), ("randn", "[40]"), ("randn", "[5]"), ("randn", "[17], dtype=float64"), ("randn", "[1]"),
    ("randint", "0, 1000, [20]"), ("randint", "-1099511627776, 1099511627776, [5]"), ("randperm", "20"), ("bernoulli_", "T(40), 0.3"),
    ("bernoulli", "T(9, lo=0, hi=1)"), ("uniform_", "T(10), -2, 3"), ("uniform_", "T(3, 5, dtype=float64), 0, 1e-3"),
    ("normal_", "T(20), 1.0, 2.0"), ("normal_", "T(7), 1.0, 2.0"), ("exponential_", "T(10), 1.5"), ("exponential_", "T(4, dtype=float64)"),
    ("multinomial", "T(4, lo=0.1, hi=1), 12, replacement=True"), ("multinomial", "T(4, lo=0.1, hi=1), 3"), ("multinomial", "T(3, 5, lo=0, hi=1), 4"),
    ("random_", "I(4)"), ("random_", "I(4), -5, 10"), ("randn", "[3, 33]"), ("rand", "[4], dtype=float16"), ("rand", "[4], dtype=bfloat16"),
    ("randn", "[18], dtype=bfloat16"), ("randint", "0, 256, [8], dtype=uint8"), ("randperm", "5, dtype=int32"),
]


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
        "torch.tensor([1.0,1e9])", "torch.tensor([1.0,-20.0,0.0])", "torch.tensor([1.0,float('inf')])", "torch.tensor(1.23456)",
        "torch.tensor([True,False])", "torch.empty(0)", "torch.empty(0,3,dtype=torch.int64)", "torch.tensor([1.5,2.0],dtype=torch.float16)",
        "torch.arange(2000.0)", "torch.arange(4000.0).reshape(40,100)", "torch.arange(30)", "torch.arange(8).reshape(2,2,2)",
        "torch.ones(3,requires_grad=True)", "torch.ones(3,requires_grad=True)*2",
        "(torch.arange(12,dtype=torch.float64).reshape(1,12)*1.5).requires_grad_()", "torch.tensor([[1]],dtype=torch.int32)",
    ]
    out["repr"] = [[s, repr(eval(s))] for s in shown]

    streams = []
    for seed in (0, 1234, 2**40 + 7):
        g = torch.Generator().manual_seed(seed)
        draws = []
        for name, text in DRAWS:
            sample = Sample(text, torch.float32)
            draw = getattr(torch, name, None) or getattr(torch.Tensor, name)
            draws.append([name, text, numbers(draw(*sample.args, **sample.kwargs, generator=g))])
        state = g.get_state()
        streams.append({"seed": seed, "draws": draws, "state_sum": int(state.long().sum()), "state_len": len(state)})
    out["streams"] = streams
    return out


def same(a, b, tol=1e-5):
    """Near enough for another processor: PyTorch picks its vector code by what the processor has, and single precision shows it."""
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
    for name, contents in golden_pt.files(uniform).items():
        path = HERE / name
        if not check:
            path.write_bytes(contents)
            print(f"{name}: {len(contents)} bytes")
        elif golden_pt.shown(path.read_bytes()) != golden_pt.shown(contents):
            bad += 1
            print(f"differs: {name}")
    if bad:
        sys.exit(f"{bad} golden entries differ: run `cargo xtask golden` if the samples have changed")


if __name__ == "__main__":
    main()
