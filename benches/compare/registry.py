"""What is timed: cases, in groups.

A case is a function that takes a library (`torch` or `rushlight`, called `torch` inside) and returns a callable without arguments. Only the
callable is timed. The random numbers of both libraries agree, so both sides work on the same data.

    matmul = Group("matmul")

    @matmul.case("{0}x{1} @ {1}x{2}", (64, 64, 64), (64, 8192, 64))
    def product(torch, m, k, n):
        a, b = torch.randn(m, k), torch.randn(k, n)
        return lambda: a @ b
"""

from importlib import import_module

# The files of `cases`, in the order in which they are reported.
FILES = (
    "training", "tiny", "matmul", "conv", "attention", "norm", "softmax", "layers", "pointwise", "fusion", "reduce", "shape", "order",
    "optimizers", "chance", "overhead", "data",
)  # fmt: skip

CASES = {}


class Case:
    """One program. `variants` are further ways to write it that only PyTorch's side runs, such as `fused`."""

    def __init__(self, group, label, build, variants=()):
        self.group, self.label, self.build, self.variants = group, label, build, variants
        self.name = f"{group}/{label}"
        if self.name in CASES:
            raise ValueError(f"two cases are called {self.name!r}")
        CASES[self.name] = self


class Group:
    """Adds cases under a common name."""

    def __init__(self, name):
        self.name = name

    def case(self, label, *rows, variants=()):
        """Registers the decorated function once for each row of arguments; `label` is formatted with the row.

        With `variants` the function also takes `variant`: None, or one of them.
        """

        def register(function):
            for row in rows or [()]:
                row = row if isinstance(row, tuple) else (row,)
                Case(self.name, label.format(*map(shown, row)), bind(function, row), variants)
            return function

        return register

    def both(self, label, *rows):
        """Like `case`, for a function that returns a callable and the tensors to differentiate by: its forward pass alone, and with backward."""

        def register(function):
            self.case(label + ", forward", *rows)(forward(function))
            self.case(label + ", fwd+bwd", *rows)(forward_backward(function))
            return function

        return register

    def table(self, label, entries):
        """Registers a dict from names to functions of the library."""
        for name, function in entries.items():
            self.case(label.format(name))(function)


def bind(function, row):
    def build(torch, **variant):
        return function(torch, *row, **variant)

    return build


def forward(function):
    def build(torch, *row):
        run, _ = function(torch, *row)
        return run

    return build


def forward_backward(function):
    def build(torch, *row):
        run, leaves = function(torch, *row)
        for leaf in leaves:
            leaf.requires_grad_()
        seed = torch.ones_like(run().detach())

        def step():
            for leaf in leaves:
                leaf.grad = None
            run().backward(seed)

        return step

    return build


def shown(value):
    """`1e6` for 1000000; other values as they are."""
    text = f"{value}"
    digits = text.rstrip("0")
    return f"{digits}e{len(text) - len(digits)}" if isinstance(value, int) and len(digits) == 1 and value >= 10_000 else text


def load():
    """Imports every file of cases; returns the cases by name, in order."""
    for file in FILES:
        import_module(f"compare.cases.{file}")
    return CASES
