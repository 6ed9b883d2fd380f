"""Random numbers."""

from compare.registry import Group

random = Group("random")

OPS = {
    "rand": lambda torch, x: torch.rand(x.shape),
    "randn": lambda torch, x: torch.randn(x.shape),
    "randint": lambda torch, x: torch.randint(0, 1000, x.shape),
    "bernoulli": lambda torch, x: torch.bernoulli(x),
    "randperm": lambda torch, x: torch.randperm(x.shape[0]),
    "normal_": lambda torch, x: torch.empty_like(x).normal_(),
    "uniform_": lambda torch, x: torch.empty_like(x).uniform_(-1, 1),
}


@random.case("{0} {1}", *((op, n) for op in OPS for n in (10_000, 1_000_000)))
def sample(torch, op, n):
    x, apply = torch.rand(n), OPS[op]
    return lambda: apply(torch, x)


@random.case("multinomial 1000 of 1000")
def multinomial(torch):
    x = torch.rand(1000)
    return lambda: torch.multinomial(x, 1000, replacement=True)
