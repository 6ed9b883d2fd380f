"""Elementwise ops, each alone."""

from compare.registry import Group

pointwise = Group("pointwise")

# By name: the library and three tensors of positive and negative numbers (the third positive) to a result.
OPS = {
    "add": lambda torch, x, y, z: x + y,
    "exp": lambda torch, x, y, z: torch.exp(x),
    "tanh": lambda torch, x, y, z: torch.tanh(x),
    "gelu": lambda torch, x, y, z: torch.nn.functional.gelu(x),
    "mul": lambda torch, x, y, z: x * y,
    "div": lambda torch, x, y, z: x / z,
    "gelu tanh": lambda torch, x, y, z: torch.nn.functional.gelu(x, approximate="tanh"),
    "sigmoid": lambda torch, x, y, z: torch.sigmoid(x),
    "relu": lambda torch, x, y, z: torch.relu(x),
    "silu": lambda torch, x, y, z: torch.nn.functional.silu(x),
    "log": lambda torch, x, y, z: torch.log(z),
    "sqrt": lambda torch, x, y, z: torch.sqrt(z),
    "sin": lambda torch, x, y, z: torch.sin(x),
    "pow 2": lambda torch, x, y, z: torch.pow(x, 2),
    "pow tensor": lambda torch, x, y, z: torch.pow(z, y),
    "lt": lambda torch, x, y, z: x < y,
    "clamp": lambda torch, x, y, z: torch.clamp(x, -0.5, 0.5),
    "to float64": lambda torch, x, y, z: x.to(torch.float64),
    "to bfloat16": lambda torch, x, y, z: x.to(torch.bfloat16),
    "add a number": lambda torch, x, y, z: x + 1.5,
    "in-place add": lambda torch, x, y, z: x.add_(y, alpha=1e-6),
}
FREQUENT = ("add", "exp", "tanh", "gelu")


@pointwise.case("{0} {1}", *((op, 10**e) for op in FREQUENT for e in (3, 4, 5, 6, 7)), *((op, 10**e) for op in OPS if op not in FREQUENT for e in (5, 6)))
def contiguous(torch, op, n):
    x, y, z, apply = torch.randn(n), torch.randn(n), torch.rand(n) + 0.1, OPS[op]
    return lambda: apply(torch, x, y, z)


@pointwise.case("{0} {1}", *((op, n) for op in ("where", "int add") for n in (100_000, 1_000_000)))
def other_operands(torch, op, n):
    x, y, mask = torch.randn(n), torch.randn(n), torch.rand(n) < 0.5
    i, j = torch.randint(0, 100, (n,)), torch.randint(0, 100, (n,))
    return (lambda: torch.where(mask, x, y)) if op == "where" else (lambda: i + j)


@pointwise.case("{0} {1} float64", ("exp", 100_000), ("tanh", 100_000))
def double(torch, op, n):
    x = torch.randn(n, dtype=torch.float64)
    return lambda: getattr(torch, op)(x)


@pointwise.case("add {0} bfloat16", 1_000_000)
def bfloat16(torch, n):
    x, y = torch.randn(n).to(torch.bfloat16), torch.randn(n).to(torch.bfloat16)
    return lambda: x + y


OTHERS = {
    "a row": lambda torch: torch.randn(1024),
    "a column": lambda torch: torch.randn(1024, 1),
    "a 0-d tensor": lambda torch: torch.tensor(1.5),
    "a transposed matrix": lambda torch: torch.randn(1024, 1024).t(),
}


@pointwise.case("add to 1024x1024 {0}", *OTHERS)
def broadcast(torch, other):
    x, y = torch.randn(1024, 1024), OTHERS[other](torch)
    return lambda: y + x
