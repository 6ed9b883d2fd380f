"""Softmax, and losses."""

from compare.registry import Group

softmax = Group("softmax")
ROWS = (64, 10), (512, 1000), (2048, 2048), (49152, 128), (128, 50257)


@softmax.both("{0} {1}x{2}", *((op, *shape) for shape in ROWS for op in ("softmax", "log_softmax")))
def rows(torch, op, n, width):
    x = torch.randn(n, width)
    return lambda: getattr(torch, op)(x, dim=1), (x,)


@softmax.both("softmax 32x64x1000, dim {0}", 0, 1)
def inner(torch, dim):
    x = torch.randn(32, 64, 1000)
    return lambda: torch.softmax(x, dim=dim), (x,)


@softmax.both("cross_entropy {0}x{1}", (64, 10), (512, 1000), (4096, 256), (1024, 32000))
def cross_entropy(torch, n, classes):
    x, y = torch.randn(n, classes), torch.randint(0, classes, (n,))
    return lambda: torch.nn.functional.cross_entropy(x, y), (x,)


@softmax.both("nll_loss {0}x{1}", (512, 1000))
def nll_loss(torch, n, classes):
    x, y = torch.randn(n, classes), torch.randint(0, classes, (n,))
    return lambda: torch.nn.functional.nll_loss(x, y), (x,)


@softmax.both("{0} {1}", *((loss, n) for loss in ("mse_loss", "binary_cross_entropy_with_logits") for n in (10_000, 1_000_000)))
def pointwise_loss(torch, loss, n):
    x, y = torch.randn(n), torch.rand(n)
    return lambda: getattr(torch.nn.functional, loss)(x, y), (x,)
