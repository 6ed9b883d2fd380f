"""Deferred pointwise ops behind the Python door: NumPy and buffers share memory that no op may be late to read."""

import numpy as np
import rushlight as torch

N = 1 << 15


def test_arrays_that_share_memory_see_no_late_reads():
    x = torch.ones(N)
    y = x * 2 + 1
    shared = x.numpy()
    shared[:] = 5
    z = x * 2 + 1
    shared[:] = 7
    assert (y == 3).all() and (z == 11).all() and (x == 7).all()


def test_tensors_over_arrays_are_read_at_the_call():
    array = np.ones(N, dtype=np.float32)
    x = torch.from_numpy(array)
    y = x + 1
    array[:] = 9
    assert (y == 2).all()
    assert (x + 1 == 10).all()


def test_results_have_the_same_bits_either_way():
    torch.manual_seed(0)
    a, b = torch.randn(N, requires_grad=True), torch.randn(N)

    def run():
        a.grad = None
        y = ((a * b + 0.5).tanh() * b.sigmoid() + a).relu() ** 2
        y.sum().backward()
        return y.detach().clone(), a.grad

    assert torch.is_deferred()
    late = run()
    torch.set_deferred(False)
    try:
        assert not torch.is_deferred()
        at_once = run()
    finally:
        torch.set_deferred(True)
    for x, y in zip(late, at_once, strict=True):
        assert torch.equal(x, y)


def test_writes_wait_for_late_readers():
    x = torch.arange(N, dtype=torch.float32)
    y = x * 2
    view = x[:100]
    z = view + torch.zeros(100)
    x.zero_()
    assert y[100].item() == 200 and z[99].item() == 99 and x.sum().item() == 0
