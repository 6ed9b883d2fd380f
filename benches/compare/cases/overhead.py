"""What a call costs beside its arithmetic."""

from compare.registry import Group

overhead = Group("overhead")

# By name: the library, two tensors of 4 elements, and one that requires a gradient, to a result.
CALLS = {
    "a + b": lambda torch, a, b, p: lambda: a + b,
    "a + b, recorded": lambda torch, a, b, p: lambda: p + b,
    "a * 2": lambda torch, a, b, p: lambda: a * 2,
    "torch.add(a, b)": lambda torch, a, b, p: lambda: torch.add(a, b),
    "a.exp()": lambda torch, a, b, p: lambda: a.exp(),
    "a.relu()": lambda torch, a, b, p: lambda: a.relu(),
    "a.sum()": lambda torch, a, b, p: lambda: a.sum(),
    "a.sum(dim=0)": lambda torch, a, b, p: lambda: a.sum(dim=0),
    "a.mean()": lambda torch, a, b, p: lambda: a.mean(),
    "a.view(2, 2)": lambda torch, a, b, p: lambda: a.view(2, 2),
    "a[1:]": lambda torch, a, b, p: lambda: a[1:],
    "a[0]": lambda torch, a, b, p: lambda: a[0],
    "a[0].item()": lambda torch, a, b, p: lambda: a[0].item(),
    "a.shape": lambda torch, a, b, p: lambda: a.shape,
    "a.detach()": lambda torch, a, b, p: lambda: a.detach(),
    "a < b": lambda torch, a, b, p: lambda: a < b,
    "torch.zeros(4)": lambda torch, a, b, p: lambda: torch.zeros(4),
    "torch.empty(4)": lambda torch, a, b, p: lambda: torch.empty(4),
    "torch.tensor([1.0, 2.0])": lambda torch, a, b, p: lambda: torch.tensor([1.0, 2.0]),
    "torch.cat of 2": lambda torch, a, b, p: lambda: torch.cat([a, b]),
    "torch.stack of 2": lambda torch, a, b, p: lambda: torch.stack([a, b]),
    "(p * b).sum().backward()": lambda torch, a, b, p: lambda: (p * b).sum().backward(),
    "no_grad block": lambda torch, a, b, p: lambda: enter(torch.no_grad()),
}


def enter(block):
    with block:
        pass


@overhead.case("{0}", *CALLS)
def call(torch, name):
    return CALLS[name](torch, torch.randn(4), torch.randn(4), torch.randn(4, requires_grad=True))


@overhead.case("a *= b")
def in_place(torch):
    a, b = torch.randn(4), torch.ones(4)
    return lambda: a.mul_(b)


@overhead.case("s.item()")
def item(torch):
    s = torch.tensor(1.5)
    return lambda: s.item()


@overhead.case("matmul 4x4")
def matmul(torch):
    a, b = torch.randn(4, 4), torch.randn(4, 4)
    return lambda: a @ b


@overhead.case("Linear(8, 8)")
def linear(torch):
    layer, x = torch.nn.Linear(8, 8), torch.randn(2, 8)
    return lambda: layer(x)


@overhead.case("call of an nn.Module that returns its input")
def module(torch):
    layer, x = torch.nn.Identity(), torch.randn(2, 8)
    return lambda: layer(x)


ROWS = {
    "softmax 4x8": lambda F, x, y: F.softmax(x, dim=1),
    "layer_norm 4x8": lambda F, x, y: F.layer_norm(x, (8,)),
    "cross_entropy 4x8": lambda F, x, y: F.cross_entropy(x, y),
}


@overhead.case("{0}", *ROWS)
def rows(torch, name):
    x, y, apply = torch.randn(4, 8), torch.randint(0, 8, (4,)), ROWS[name]
    return lambda: apply(torch.nn.functional, x, y)


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
