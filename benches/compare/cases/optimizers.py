"""Steps of optimizers over many small, some medium and few large parameters."""

from compare.registry import Group

optimizers = Group("optimizers")
SETS = {"100 of 1000": (100, 1000), "6 of 20k": (6, 20_000), "4 of 2.5M": (4, 2_500_000)}
KINDS = {
    "SGD": ("SGD", {"lr": 1e-3}),
    "SGD momentum": ("SGD", {"lr": 1e-3, "momentum": 0.9}),
    "Adam": ("Adam", {"lr": 1e-3}),
    "AdamW": ("AdamW", {"lr": 1e-3}),
}


def parameters(torch, name):
    count, size = SETS[name]
    out = [torch.nn.Parameter(torch.randn(size)) for _ in range(count)]
    for p in out:
        p.grad = torch.randn(size)
    return out


@optimizers.case("{0}, {1}", *((kind, name) for kind in KINDS for name in SETS), variants=("fused",))
def step(torch, kind, name, variant):
    cls, arguments = KINDS[kind]
    fused = {"fused": True} if variant else {}
    return getattr(torch.optim, cls)(parameters(torch, name), **arguments, **fused).step


@optimizers.case("RMSprop, {0}", *SETS)
def rmsprop(torch, name):
    return torch.optim.RMSprop(parameters(torch, name), lr=1e-3).step


@optimizers.case("clip_grad_norm_, {0}", *SETS)
def clip_grad_norm(torch, name):
    made = parameters(torch, name)
    return lambda: torch.nn.utils.clip_grad_norm_(made, 1e3)


@optimizers.case("zero_grad to zeros, {0}", *SETS)
def zero_grad(torch, name):
    optimizer = torch.optim.SGD(parameters(torch, name), lr=1e-3)
    return lambda: optimizer.zero_grad(set_to_none=False)
