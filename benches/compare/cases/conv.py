"""Convolutions, with a bias: forward, and with the gradients of input, weight and bias."""

from compare.registry import Group

conv = Group("conv")


@conv.both("conv1d {0}x{1}x{2} to {3}, k{4}", (16, 64, 256, 64, 3))
def conv1d(torch, batch, channels, length, out, k):
    x, w, b = torch.randn(batch, channels, length), torch.randn(out, channels, k), torch.randn(out)
    return lambda: torch.nn.functional.conv1d(x, w, b), (x, w, b)


@conv.both(
    "conv2d {0}x{1}x{2}x{2} to {3}, {4}x{4} stride {5} padding {6} groups {7}",
    (32, 64, 56, 64, 3, 1, 1, 1),
    (64, 1, 28, 32, 3, 1, 0, 1),
    (64, 32, 26, 64, 3, 1, 0, 1),
    (32, 256, 14, 256, 3, 1, 1, 1),
    (32, 64, 56, 128, 3, 2, 1, 1),
    (32, 64, 56, 256, 1, 1, 0, 1),
    (8, 3, 224, 64, 7, 2, 3, 1),
    (32, 128, 28, 128, 3, 1, 1, 128),
    (32, 64, 28, 64, 3, 1, 1, 4),
)
def conv2d(torch, batch, channels, size, out, k, stride, padding, groups):
    x, w, b = torch.randn(batch, channels, size, size), torch.randn(out, channels // groups, k, k), torch.randn(out)
    return lambda: torch.nn.functional.conv2d(x, w, b, stride, padding, 1, groups), (x, w, b)


@conv.both("conv_transpose2d {0}x{1}x{2}x{2} to {3}, {4}x{4} stride {5} padding {6}", (16, 64, 14, 32, 4, 2, 1))
def conv_transpose2d(torch, batch, channels, size, out, k, stride, padding):
    x, w, b = torch.randn(batch, channels, size, size), torch.randn(channels, out, k, k), torch.randn(out)
    return lambda: torch.nn.functional.conv_transpose2d(x, w, b, stride, padding), (x, w, b)
