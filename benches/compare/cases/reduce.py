"""Reductions and scans."""

from compare.registry import Group

reduce = Group("reduce")

OPS = {
    "sum": lambda torch, x, **dim: x.sum(**dim),
    "mean": lambda torch, x, **dim: x.mean(**dim),
    "max": lambda torch, x, **dim: x.max(**dim),
    "amax": lambda torch, x, **dim: x.amax(**dim),
    "argmax": lambda torch, x, **dim: x.argmax(**dim),
    "var": lambda torch, x, **dim: x.var(**dim),
    "norm": lambda torch, x, **dim: torch.norm(x, 2, **dim),
    "prod": lambda torch, x, **dim: x.prod(**dim),
    "any": lambda torch, x, **dim: x.any(**dim),
    "logsumexp": lambda torch, x, **dim: x.logsumexp(**(dim or {"dim": (0, 1)})),
}


@reduce.case("{0} 1000x1000, {1}", *((op, over) for op in OPS for over in ("all", "dim 0", "dim 1")))
def square(torch, op, over):
    x, apply = torch.randn(1000, 1000), OPS[op]
    x = x > 9 if op == "any" else x
    dim = {} if over == "all" else {"dim": int(over[-1])}
    return lambda: apply(torch, x, **dim)


@reduce.case(
    "sum {0}, dim {1}",
    *(("64x64x32x32", dim) for dim in range(4)),
    *((shape, dim) for shape in ("4096x4096", "100000x8", "10000x100") for dim in range(2)),
)
def sums(torch, shape, dim):
    x = torch.randn(*map(int, shape.split("x")))
    return lambda: x.sum(dim=dim)


@reduce.case("cumsum 1000x1000, dim {0}", 0, 1)
def cumsum(torch, dim):
    x = torch.randn(1000, 1000)
    return lambda: x.cumsum(dim)
