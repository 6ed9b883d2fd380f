"""Matrix products."""

from compare.registry import Group

matmul = Group("matmul")


@matmul.case("{0}x{0}", 32, 64, 128, 256, 512, 1024, 2048)
def square(torch, n):
    a, b = torch.randn(n, n), torch.randn(n, n)
    return lambda: a @ b


@matmul.case("{0}x{1} @ {1}x{2}", (4096, 64, 64), (64, 64, 4096), (64, 8192, 64), (256, 768, 3072))
def product(torch, m, k, n):
    a, b = torch.randn(m, k), torch.randn(k, n)
    return lambda: a @ b


@matmul.case("{0} of {1}x{2} @ {2}x{3}", (64, 64, 64, 64), (12, 128, 64, 128))
def batched(torch, batch, m, k, n):
    a, b = torch.randn(batch, m, k), torch.randn(batch, k, n)
    return lambda: a @ b


@matmul.case("{0}x{0}, left transposed", 256, 1024)
def left_transposed(torch, n):
    a, b = torch.randn(n, n), torch.randn(n, n)
    return lambda: a.t() @ b


@matmul.case("{0}x{0}, right transposed", 256, 1024)
def right_transposed(torch, n):
    a, b = torch.randn(n, n), torch.randn(n, n)
    return lambda: a @ b.t()


@matmul.case("matrix {0}x{0} @ vector", 1024)
def matrix_vector(torch, n):
    a, b = torch.randn(n, n), torch.randn(n)
    return lambda: a @ b


@matmul.case("dot {0}", 100_000)
def dot(torch, n):
    a, b = torch.randn(n), torch.randn(n)
    return lambda: a @ b


@matmul.case("{0}x{0} float64", 512)
def double(torch, n):
    a, b = torch.randn(n, n, dtype=torch.float64), torch.randn(n, n, dtype=torch.float64)
    return lambda: a @ b


LINEAR = (32, 784, 128), (128, 1024, 1024), (1024, 256, 1024)


@matmul.case("linear {0}x{1} to {2}", *LINEAR)
def linear(torch, batch, inputs, outputs):
    x, w, b = torch.randn(batch, inputs), torch.randn(outputs, inputs), torch.randn(outputs)
    return lambda: torch.nn.functional.linear(x, w, b)


@matmul.both("linear and relu {0}x{1} to {2}", *LINEAR)
def linear_relu(torch, batch, inputs, outputs):
    x, w, b = torch.randn(batch, inputs), torch.randn(outputs, inputs), torch.randn(outputs)
    return lambda: torch.nn.functional.linear(x, w, b).relu(), (x, w, b)
