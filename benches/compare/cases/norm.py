"""Normalisation: forward, and with the gradients of input, weight and bias."""

from compare.registry import Group

norm = Group("norm")


@norm.both("layer_norm {0}x{1}", (64, 512), (4096, 256), (8192, 768))
def layer_norm(torch, rows, width):
    x, w, b = torch.randn(rows, width), torch.randn(width), torch.randn(width)
    return lambda: torch.nn.functional.layer_norm(x, (width,), w, b), (x, w, b)


@norm.both("batch_norm {4} {0}x{1}x{2}x{3}", *((*shape, mode) for shape in ((32, 64, 28, 28), (64, 32, 32, 32)) for mode in ("training", "eval")))
def batch_norm(torch, n, c, h, w, mode):
    x, weight, bias = torch.randn(n, c, h, w), torch.randn(c), torch.randn(c)
    mean, var = torch.zeros(c), torch.ones(c)
    return lambda: torch.nn.functional.batch_norm(x, mean, var, weight, bias, mode == "training"), (x, weight, bias)


@norm.both("group_norm {0}x{1}x{2}x{3} groups {4}", (16, 64, 28, 28, 8))
def group_norm(torch, n, c, h, w, groups):
    x, weight, bias = torch.randn(n, c, h, w), torch.randn(c), torch.randn(c)
    return lambda: torch.nn.functional.group_norm(x, groups, weight, bias), (x, weight, bias)


@norm.both("instance_norm {0}x{1}x{2}x{3}", (16, 64, 28, 28))
def instance_norm(torch, n, c, h, w):
    x, weight, bias = torch.randn(n, c, h, w), torch.randn(c), torch.randn(c)
    return lambda: torch.nn.functional.instance_norm(x, weight=weight, bias=bias), (x, weight, bias)
