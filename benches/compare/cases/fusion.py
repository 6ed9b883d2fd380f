"""Chains of elementwise ops that end in a sum, as a user would write them."""

from compare.registry import Group

fusion = Group("fusion")


def costly(torch, a, b, c):
    return torch.relu(torch.tanh(a * b + c) * torch.sigmoid(c) + a).pow(2).sum()


def cheap(torch, a, b, c):
    return (((a * b + c) * 0.5 - a).relu() * b + 1).abs().pow(2).sum()


CHAINS = {"tanh and sigmoid": costly, "cheap ops": cheap}


@fusion.case("{0} {1}", *((chain, 10**e) for chain in CHAINS for e in (4, 5, 6, 7)))
def chain(torch, name, n):
    a, b, c, apply = torch.randn(n), torch.randn(n), torch.randn(n), CHAINS[name]
    return lambda: apply(torch, a, b, c).item()


@fusion.case("{0} {1}, fwd+bwd", *((chain, n) for chain in CHAINS for n in (100_000, 1_000_000)))
def gradient(torch, name, n):
    leaves, apply = [torch.randn(n, requires_grad=True) for _ in range(3)], CHAINS[name]

    def run():
        for leaf in leaves:
            leaf.grad = None
        apply(torch, *leaves).backward()

    return run


@fusion.case("linear {0}x{1} to {2} and {3}", *((*sizes, op) for sizes in ((65536, 32, 64), (16384, 128, 512)) for op in ("relu", "gelu")))
def activated(torch, batch, inputs, outputs, op):
    x, w, b = torch.randn(batch, inputs), torch.randn(outputs, inputs), torch.randn(outputs)
    functional = torch.nn.functional
    activation = getattr(functional, op)
    return lambda: activation(functional.linear(x, w, b))
