"""What a call costs beside its arithmetic."""

import timeit
from itertools import repeat
from time import perf_counter

from compare.registry import Group

overhead = Group("overhead")

# How often a call of a case runs its statement.
TIMES = 64


def statement(text, names):
    """A callable that runs a statement in a loop, as `timeit` does: to call a function for each would take as long as some of them."""
    timer = timeit.Timer(text, setup=f"{', '.join(names)}, = names", globals={"names": tuple(names.values())})

    def run():
        timer.inner(repeat(None, TIMES), perf_counter)

    run.times = TIMES
    return run


# With two tensors of 4 elements, and one that requires a gradient.
CALLS = (
    "a + b",
    "p + b",
    "a * 2",
    "a *= b",
    "torch.add(a, b)",
    "a.exp()",
    "a.relu()",
    "a.sum()",
    "a.sum(dim=0)",
    "a.mean()",
    "a.view(2, 2)",
    "a[1:]",
    "a[0]",
    "a[0].item()",
    "a.shape",
    "a.detach()",
    "a < b",
    "torch.zeros(4)",
    "torch.empty(4)",
    "torch.tensor([1.0, 2.0])",
    "torch.cat([a, b])",
    "torch.stack([a, b])",
    "(p * b).sum().backward()",
    "with torch.no_grad(): pass",
)


@overhead.case("{0}", *CALLS)
def call(torch, text):
    a, b, p = torch.randn(4), torch.ones(4), torch.randn(4, requires_grad=True)
    return statement(text, {"torch": torch, "a": a, "b": b, "p": p})


@overhead.case("s.item()")
def item(torch):
    return statement("s.item()", {"s": torch.tensor(1.5)})


@overhead.case("matmul 4x4")
def matmul(torch):
    return statement("a @ b", {"a": torch.randn(4, 4), "b": torch.randn(4, 4)})


@overhead.case("Linear(8, 8)")
def linear(torch):
    return statement("layer(x)", {"layer": torch.nn.Linear(8, 8), "x": torch.randn(2, 8)})


@overhead.case("call of an nn.Module that returns its input")
def module(torch):
    return statement("layer(x)", {"layer": torch.nn.Identity(), "x": torch.randn(2, 8)})


ROWS = {
    "softmax 4x8": "F.softmax(x, dim=1)",
    "layer_norm 4x8": "F.layer_norm(x, (8,))",
    "cross_entropy 4x8": "F.cross_entropy(x, y)",
}


@overhead.case("{0}", *ROWS)
def rows(torch, name):
    x, y = torch.randn(4, 8), torch.randint(0, 8, (4,))
    return statement(ROWS[name], {"F": torch.nn.functional, "x": x, "y": y})


@overhead.case("300-op chain, fwd+bwd")
def chain(torch):
    p, b = torch.randn(4, requires_grad=True), torch.randn(4)

    def run():
        y = p
        for _ in range(300):
            y = y * b
        y.sum().backward()

    return run


@overhead.case("20 layers of 8, fwd+bwd")
def deep(torch):
    layers = [m for _ in range(20) for m in (torch.nn.Linear(8, 8), torch.nn.Tanh())]
    model, x = torch.nn.Sequential(*layers), torch.randn(2, 8)

    def run():
        model.zero_grad()
        model(x).sum().backward()

    return run


@overhead.case("backward of MLP 16-32-32-4")
def backward(torch):
    nn = torch.nn
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 4))
    loss = model(torch.randn(32, 16)).sum()

    def run():
        model.zero_grad()
        loss.backward(retain_graph=True)

    return run
