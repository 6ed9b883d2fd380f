"""Sorting and searching."""

from compare.registry import Group

order = Group("order")

OPS = {
    "sort 1e5": ((100_000,), lambda torch, x: x.sort()),
    "sort 1000x1000, dim 1": ((1000, 1000), lambda torch, x: x.sort(dim=1)),
    "sort 1000x1000, dim 0": ((1000, 1000), lambda torch, x: x.sort(dim=0)),
    "argsort 1e5": ((100_000,), lambda torch, x: x.argsort()),
    "topk 10 of 1000x1000": ((1000, 1000), lambda torch, x: x.topk(10)),
    "kthvalue 1000x1000": ((1000, 1000), lambda torch, x: x.kthvalue(500)),
    "median 1000x1000, dim 1": ((1000, 1000), lambda torch, x: x.median(dim=1)),
    "nonzero 1000x1000": ((1000, 1000), lambda torch, x: (x > 0).nonzero()),
    "searchsorted 1e5 in 1e5": ((100_000,), lambda torch, x: torch.searchsorted(torch.arange(1e5), x)),
}


@order.case("{0}", *OPS)
def floats(torch, name):
    sizes, apply = OPS[name]
    x = torch.randn(*sizes)
    return lambda: apply(torch, x)


@order.case("{0} 1e5 int64", "unique", "sort", "bincount")
def integers(torch, op):
    x = torch.randint(0, 1000, (100_000,))
    return lambda: getattr(torch, op)(x)
