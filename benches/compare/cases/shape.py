"""Ops that move elements: joining, indexing, copying."""

from compare.registry import Group

shape = Group("shape")


@shape.case("cat 2 of 1000x1000, dim {0}", 0, 1)
def cat(torch, dim):
    parts = [torch.randn(1000, 1000) for _ in range(2)]
    return lambda: torch.cat(parts, dim)


@shape.case("{0} 64 of 100", "cat", "stack")
def join(torch, op):
    parts = [torch.randn(100) for _ in range(64)]
    return lambda: getattr(torch, op)(parts)


def matrix(torch, rows=1000, columns=1000):
    return torch.randn(rows, columns)


def gather(torch, dim):
    x, i = matrix(torch), torch.randint(0, 1000, (1000, 1000))
    return lambda: x.gather(dim, i)


def scatter(torch, dim):
    x, i, out = matrix(torch), torch.randint(0, 1000, (1000, 1000)), torch.zeros(1000, 1000)
    return lambda: out.scatter(dim, i, x)


def scatter_add(torch, rows):
    x, i, out = torch.randn(1_000_000), torch.randint(0, rows, (1_000_000,)), torch.zeros(rows)
    return lambda: out.scatter_add(0, i, x)


def index_select(torch, dim):
    x, i = matrix(torch), torch.randint(0, 1000, (1000,))
    return lambda: x.index_select(dim, i)


def index_rows(torch):
    x, i = matrix(torch), torch.randint(0, 1000, (1000,))
    return lambda: x[i]


def index_elements(torch):
    x, i, j = matrix(torch), torch.randint(0, 1000, (100_000,)), torch.randint(0, 1000, (100_000,))
    return lambda: x[i, j]


def put_rows(torch):
    x, i, v = matrix(torch), torch.randperm(1000)[:500], torch.randn(500, 1000)

    def run():
        x[i] = v

    return run


def put_number(torch):
    x, mask = matrix(torch), matrix(torch) > 0

    def run():
        x[mask] = 0.0

    return run


def masked(torch):
    x, mask = matrix(torch), matrix(torch) > 0
    return lambda: x[mask]


def masked_fill(torch):
    x, mask = matrix(torch), matrix(torch) > 0
    return lambda: x.masked_fill(mask, 0.0)


def of_matrix(apply, *shape):
    def build(torch):
        x = matrix(torch, *shape)
        return lambda: apply(torch, x)

    return build


shape.table("{0}", {
    "gather 1000x1000, dim 0": lambda torch: gather(torch, 0),
    "gather 1000x1000, dim 1": lambda torch: gather(torch, 1),
    "scatter 1000x1000, dim 0": lambda torch: scatter(torch, 0),
    "scatter 1000x1000, dim 1": lambda torch: scatter(torch, 1),
    "scatter_add 1e6 to 1e6": lambda torch: scatter_add(torch, 1_000_000),
    "scatter_add 1e6 to 1000": lambda torch: scatter_add(torch, 1000),
    "index_select 1000 rows of 1000": lambda torch: index_select(torch, 0),
    "index_select 1000 columns of 1000": lambda torch: index_select(torch, 1),
    "x[i], 1000 rows of 1000": index_rows,
    "x[i, j], 1e5": index_elements,
    "x[mask] 1000x1000": masked,
    "x[i] = v, 500 rows of 1000": put_rows,
    "x[mask] = 0 1000x1000": put_number,
    "masked_fill 1000x1000": masked_fill,
    "roll 1000x1000": of_matrix(lambda torch, x: x.roll(100, 1)),
    "flip 1000x1000": of_matrix(lambda torch, x: x.flip(1)),
    "flip 100000x10": of_matrix(lambda torch, x: x.flip(1), 100_000, 10),
    "repeat 1000x1000 twice": of_matrix(lambda torch, x: x.repeat(1, 2)),
    "tril 1000x1000": of_matrix(lambda torch, x: x.tril()),
})  # fmt: skip


@shape.case("contiguous of {0}x{0} transposed", 1024, 4096)
def transposed(torch, n):
    x = matrix(torch, n, n).t()
    return lambda: x.contiguous()


@shape.case("contiguous of {0}, permute {1}", ("32x64x56x56", "0231"), ("8x128x8x64", "0213"))
def permuted(torch, sizes, order):
    x = torch.randn(*map(int, sizes.split("x"))).permute(*map(int, order))
    return lambda: x.contiguous()


@shape.case("clone {0}", 1_000_000, 10_000_000)
def clone(torch, n):
    x = torch.randn(n)
    return lambda: x.clone()


@shape.case("one_hot {0} of {1}", (4096, 100))
def one_hot(torch, n, classes):
    x = torch.randint(0, classes, (n,))
    return lambda: torch.nn.functional.one_hot(x, classes)


shape.table("{0}", {
    "arange 1e6": lambda torch: lambda: torch.arange(1_000_000),
    "arange 1e6 float": lambda torch: lambda: torch.arange(1e6),
    "full 1e6": lambda torch: lambda: torch.full((1_000_000,), 1.5),
    "zeros 1e6": lambda torch: lambda: torch.zeros(1_000_000),
})  # fmt: skip
