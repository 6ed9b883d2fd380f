"""Embedding, pooling, dropout, interpolation, padding: forward, and with the gradient."""

from compare.registry import Group

layers = Group("layers")


@layers.both("embedding {0}x{1}, {2} indices", (50257, 768, 1024), (1000, 64, 2048))
def embedding(torch, rows, width, n):
    w, i = torch.randn(rows, width), torch.randint(0, rows, (n,))
    return lambda: torch.nn.functional.embedding(i, w), (w,)


POOLS = {
    "max_pool2d 2x2": lambda F, x: F.max_pool2d(x, 2),
    "max_pool2d 3x3 stride 2 padding 1": lambda F, x: F.max_pool2d(x, 3, 2, 1),
    "avg_pool2d 2x2": lambda F, x: F.avg_pool2d(x, 2),
    "adaptive_avg_pool2d to 1": lambda F, x: F.adaptive_avg_pool2d(x, 1),
    "adaptive_avg_pool2d to 7": lambda F, x: F.adaptive_avg_pool2d(x, 7),
}


@layers.both("{0} of 64x32x28x28", *POOLS)
def pool(torch, name):
    x, apply = torch.randn(64, 32, 28, 28), POOLS[name]
    return lambda: apply(torch.nn.functional, x), (x,)


@layers.both("dropout {0}", 10_000, 1_000_000)
def dropout(torch, n):
    x = torch.randn(n)
    return lambda: torch.nn.functional.dropout(x, 0.5), (x,)


@layers.both("interpolate {0} 8x32x32x32 by 2", "nearest", "bilinear")
def interpolate(torch, mode):
    x = torch.randn(8, 32, 32, 32)
    return lambda: torch.nn.functional.interpolate(x, scale_factor=2, mode=mode), (x,)


@layers.both("pad {0} 32x16x32x32 by 1", "constant", "reflect")
def pad(torch, mode):
    x = torch.randn(32, 16, 32, 32)
    return lambda: torch.nn.functional.pad(x, (1, 1, 1, 1), mode), (x,)
