"""The samples of the op table, run with PyTorch's spelling in any package that has its API."""

import math
import pathlib
import re

MASK = (1 << 64) - 1
DTYPES = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64".split()


def uniform(tensor, element):
    """A number in [0, 1) for element `element` of the sample's tensor number `tensor`: the op table's own recipe."""
    z = (((tensor + 1) * 0x9E3779B97F4A7C15) ^ ((element + 1) * 0xBF58476D1CE4E5B9)) & MASK
    z = (z + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    z ^= z >> 31
    return (z >> 11) / 2**53


class Sample:
    """The arguments of one call, made with `package`; `leaves` are the tensors in them, in order."""

    def __init__(self, package, text, default, grad=False, copy=False):
        self.package, self.default, self.grad, self.copy, self.leaves = package, default, grad, copy, []
        scope = {name: getattr(package, name) for name in DTYPES}
        scope |= dict(T=self.real, I=self.int, B=self.bool, S=self.symmetric, inf=math.inf, nan=math.nan, call=lambda *a, **k: (a, k))
        constants = {"__builtins__": {}, "None": None, "True": True, "False": False}
        self.args, self.kwargs = eval(f"call({text})", constants, scope)

    def make(self, shape, f, dtype):
        number = len(self.leaves)
        return self.make_of(shape, lambda e: f(uniform(number, e)), dtype)

    def make_of(self, shape, value, dtype):
        values = [value(e) for e in range(math.prod(shape))]
        t = self.package.tensor(values, dtype=self.package.float64).reshape(shape).to(dtype)
        if self.grad and dtype.is_floating_point:
            t.requires_grad_(True)
        self.leaves.append(t)
        return t.clone() if self.copy else t

    def real(self, *shape, dtype=None, lo=-2, hi=2):
        return self.make(shape, lambda u: lo + (hi - lo) * u, dtype or getattr(self.package, self.default))

    def symmetric(self, *shape, dtype=None, lo=-1, hi=1):
        n, number = shape[-1], len(self.leaves)

        def value(e):
            row, column = e // n % n, e % n
            mirrored = e // (n * n) * n * n + max(row, column) * n + min(row, column)
            return lo + (hi - lo) * uniform(number, mirrored) + n * (row == column)

        return self.make_of(shape, value, dtype or getattr(self.package, self.default))

    def int(self, *shape, dtype=None, lo=0, hi=10):
        return self.make(shape, lambda u: lo + math.floor(u * (hi - lo)), dtype or self.package.int64)

    def bool(self, *shape, dtype=None):
        return self.make(shape, lambda u: u < 0.5, dtype or self.package.bool)


def full_name(row):
    return row["name"] + ("." + row["overload"] if row["overload"] else "")


# How PyTorch calls what the op table calls otherwise.
SPELLED = {
    "broadcast_tensors": lambda p: lambda tensors: p.broadcast_tensors(*tensors),
    "cartesian_prod": lambda p: lambda tensors: p.cartesian_prod(*tensors),
    "chain_matmul": lambda p: lambda tensors: p.chain_matmul(*tensors),
    "col2im": lambda p: p.nn.functional.fold,
    "im2col": lambda p: p.nn.functional.unfold,
    "meshgrid": lambda p: lambda tensors, indexing=None: p.meshgrid(*tensors, indexing=indexing),
    "nonzero_numpy": lambda p: lambda x: p.nonzero(x, as_tuple=True),
    "polygamma.self": lambda p: lambda x, n: x.polygamma(n),
    "unique_dim": lambda p: lambda x, dim, sorted=True, return_inverse=False, return_counts=False: p.unique(
        x, sorted, return_inverse, return_counts, dim
    ),
    "tensordot.dims": lambda p: lambda a, b, dims_self, dims_other: p.tensordot(a, b, dims=(dims_self, dims_other)),
}


def function(package, row):
    """The function or method of the package for a row of the table; None where the package has none."""
    name = row["name"]
    if full_name(row) in SPELLED:
        return SPELLED[full_name(row)](package)
    if row["property"]:
        return lambda x: getattr(x, name)
    if row["nn"]:
        places = (package.nn.functional, package)
    elif name.startswith("special_"):
        name, places = name.removeprefix("special_"), (package.special,)
    elif name.startswith("linalg_"):
        name, places = name.removeprefix("linalg_"), (package.linalg,)
    else:
        places = (package, package.Tensor, package.nn.functional, package.linalg)
    return next((getattr(place, name) for place in places if hasattr(place, name)), None)


def outputs(package, result):
    """All tensors in a result."""
    if isinstance(result, package.Tensor):
        return [result]
    if isinstance(result, (tuple, list)):
        return [t for r in result for t in outputs(package, r)]
    return []


def run(package, row, text, default, grad=False):
    """Calls the op on a sample; random ops start from seed 0."""
    sample = Sample(package, text, default, grad, copy=row["name"].endswith("_"))
    call = function(package, row)
    package.manual_seed(0)
    return sample, call(*sample.args, **sample.kwargs)


def deliberate_differences():
    """Rows (op, part of the sample, facet) of the list that the Rust tests keep, each with its reason there."""
    root = pathlib.Path(__file__).resolve().parents[2]
    text = (root / "crates/rushlight/tests/golden/differences.rs").read_text()
    return re.findall(r'^    \("([^"]+)", "((?:[^"\\]|\\.)*)", (\w+),', text, re.M)
