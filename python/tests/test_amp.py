"""Autocast regions and the gradient scaler against live PyTorch."""

import pickle
import warnings

import pytest

torch = pytest.importorskip("torch")

import rushlight as rl  # noqa: E402

PRODUCTS = {
    "matmul": lambda L, x, w, b: L.matmul(x, w),
    "operator": lambda L, x, w, b: x @ w,
    "method": lambda L, x, w, b: x.mm(w),
    "bmm": lambda L, x, w, b: L.bmm(b, b),
    "baddbmm": lambda L, x, w, b: L.baddbmm(b, b, b),
    "addmm": lambda L, x, w, b: L.addmm(x, x, w),
    "einsum": lambda L, x, w, b: L.einsum("ij,jk->ik", x, w),
    "linear": lambda L, x, w, b: L.nn.functional.linear(x, w),
    "conv2d": lambda L, x, w, b: L.nn.functional.conv2d(b[None], b[None]),
    "sdpa": lambda L, x, w, b: L.nn.functional.scaled_dot_product_attention(b[None], b[None], b[None]),
    "Linear": lambda L, x, w, b: L.nn.Linear(3, 2)(x),
    "Conv1d": lambda L, x, w, b: L.nn.Conv1d(2, 2, 1)(b),
    "mul": lambda L, x, w, b: x * x,
    "softmax": lambda L, x, w, b: x.softmax(-1),
    "relu": lambda L, x, w, b: L.nn.functional.relu(x @ w),
    "layer_norm": lambda L, x, w, b: L.nn.functional.layer_norm(x, (3,)),
    "mse": lambda L, x, w, b: L.nn.functional.mse_loss(x @ w, x @ w),
    "cross_entropy": lambda L, x, w, b: L.nn.functional.cross_entropy(x @ w, L.tensor([0, 1])),
    "CrossEntropyLoss": lambda L, x, w, b: L.nn.CrossEntropyLoss()(x @ w, L.tensor([0, 1])),
    "prod": lambda L, x, w, b: (x @ w).prod(),
    "cat": lambda L, x, w, b: L.cat([x, x @ w]),
    "stack": lambda L, x, w, b: L.stack([x, x @ w]),
    "float64": lambda L, x, w, b: x.double() @ w.double(),
    "float16": lambda L, x, w, b: x.half() @ w.half(),
}


def inputs(lib):
    lib.manual_seed(0)
    return lib, lib.randn(2, 3), lib.randn(3, 3), lib.randn(2, 2, 2)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", [*PRODUCTS])
def test_dtypes(name, dtype):
    results = []
    for lib in (rl, torch):
        with lib.autocast("cpu", dtype=getattr(lib, dtype)):
            results.append(PRODUCTS[name](*inputs(lib)))
    ours, theirs = results
    assert str(ours.dtype).split(".")[1] == str(theirs.dtype).split(".")[1]
    if name[0].islower():
        torch.testing.assert_close(torch.tensor(ours.float().tolist()), theirs.detach().float(), rtol=0.03, atol=0.03)


def test_nothing_is_left_behind():
    before = (rl.matmul, rl.nn.functional.linear, rl.Tensor.matmul, rl.Tensor.__matmul__)
    with rl.autocast("cpu"):
        with rl.autocast("cpu"):
            assert rl.matmul is not before[0]
        assert rl.matmul is not before[0]
    assert (rl.matmul, rl.nn.functional.linear, rl.Tensor.matmul, rl.Tensor.__matmul__) == before
    _, x, w, _ = inputs(rl)
    assert (x @ w).dtype == rl.float32
    with pytest.raises(ZeroDivisionError), rl.autocast("cpu"):
        1 / 0
    assert rl.matmul is before[0]


def test_regions_nest_and_belong_to_a_thread():
    import threading

    _, x, w, _ = inputs(rl)
    with rl.amp.autocast("cpu"):
        assert rl.is_autocast_enabled("cpu")
        with rl.autocast("cpu", enabled=False):
            assert (x @ w).dtype == rl.float32 and not rl.is_autocast_enabled("cpu")
        seen = []
        thread = threading.Thread(target=lambda: seen.append((x @ w).dtype))
        thread.start()
        thread.join()
        assert seen == [rl.float32] and (x @ w).dtype == rl.bfloat16
    assert not rl.is_autocast_enabled("cpu")


def test_decorator_and_gradients():
    _, x, w, _ = inputs(rl)
    p = rl.nn.Parameter(w)

    @rl.autocast("cpu")
    def product():
        return x @ p

    out = product()
    assert out.dtype == rl.bfloat16 and (x @ p).dtype == rl.float32
    out.sum().backward()
    assert p.grad.dtype == rl.float32


@pytest.mark.parametrize(
    "make",
    [
        lambda L: L.autocast("cpu", dtype=L.float32),
        lambda L: L.autocast("foo"),
        lambda L: L.autocast(3),
        lambda L: L.autocast("cpu")(3),
    ],
)
def test_refusals_and_warnings(make):
    results = []
    for lib in (rl, torch):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                out = ("enabled", make(lib)._enabled)
            except Exception as e:
                out = (type(e), str(e))
        results.append((out, [str(w.message) for w in caught]))
    assert results[0] == results[1]


def test_custom_function():
    class Product(rl.autograd.Function):
        @staticmethod
        @rl.amp.custom_fwd(device_type="cpu", cast_inputs=rl.float32)
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            return a @ b

        @staticmethod
        @rl.amp.custom_bwd(device_type="cpu")
        def backward(ctx, grad):
            a, b = ctx.saved_tensors
            return grad @ b.t(), a.t() @ grad

    a, b = rl.ones(2, 2, requires_grad=True), rl.ones(2, 2, requires_grad=True)
    with rl.autocast("cpu"):
        out = Product.apply(a, b)
    assert out.dtype == rl.float32
    out.sum().backward()
    assert a.grad.tolist() == [[2.0, 2.0], [2.0, 2.0]]


# The scaler.


def train(lib, poisoned=(), steps=8, **options):
    """The scale after every step, and the parameter's path."""
    p = lib.nn.Parameter(lib.tensor([1.0, 2.0]))
    optimizer = lib.optim.SGD([p], lr=0.1)
    scaler = lib.amp.GradScaler("cpu", **options)
    rows = []
    for i in range(steps):
        optimizer.zero_grad()
        scaler.scale((p * p).sum()).backward()
        if i in poisoned:
            p.grad[0] = float("inf")
        if i % 2:
            scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
        rows.append((scaler.get_scale(), *p.tolist()))
    return rows, scaler


@pytest.mark.parametrize(
    "options",
    [
        {"options": {"init_scale": 1024.0}},
        {"options": {"init_scale": 4.0, "growth_interval": 2}, "poisoned": (3, 4)},
        {"options": {"init_scale": 2.0**120, "growth_interval": 1, "growth_factor": 2.0**4}},
        {"options": {"enabled": False}},
    ],
)
def test_scaler(options):
    (ours, our_scaler), (theirs, their_scaler) = (
        train(lib, options.get("poisoned", ()), **options["options"]) for lib in (rl, torch)
    )
    for a, b in zip(ours, theirs):
        assert a == pytest.approx(b, rel=1e-6)
    assert our_scaler.state_dict() == their_scaler.state_dict()


def test_scaler_state_and_pickle():
    _, scaler = train(rl, init_scale=8.0, growth_interval=3)
    other = rl.amp.GradScaler("cpu")
    other.load_state_dict(scaler.state_dict())
    assert other.state_dict() == scaler.state_dict() == pickle.loads(pickle.dumps(scaler)).state_dict()
    with pytest.raises(RuntimeError, match="The source state dict is empty"):
        other.load_state_dict({})


@pytest.mark.parametrize(
    "misuse",
    [
        lambda L, s, o: (s.scale(L.ones(())), s.unscale_(o), s.unscale_(o)),
        lambda L, s, o: (s.scale(L.ones(())), s.step(o), s.step(o)),
        lambda L, s, o: (s.scale(L.ones(())), s.step(o), s.unscale_(o)),
        lambda L, s, o: (s.scale(L.ones(())), s.step(o, closure=lambda: 1)),
        lambda L, s, o: (s.scale(L.ones(())), s.update()),
        lambda L, s, o: s.update(),
        lambda L, s, o: s.scale(3),
        lambda L, s, o: L.amp.GradScaler("cpu", growth_factor=1.0),
        lambda L, s, o: L.amp.GradScaler("cpu", backoff_factor=1.0),
    ],
)
def test_scaler_misuse(misuse):
    errors = []
    for lib in (rl, torch):
        p = lib.nn.Parameter(lib.ones(2))
        p.grad = lib.ones(2)
        with pytest.raises(Exception) as caught:
            misuse(lib, lib.amp.GradScaler("cpu"), lib.optim.SGD([p]))
        errors.append((type(caught.value), str(caught.value)))
    assert errors[0] == errors[1]


def test_scaler_scales_collections():
    scaler = rl.amp.GradScaler("cpu", init_scale=4.0)
    a, b = scaler.scale([rl.ones(()), rl.ones(2)])
    assert a.item() == 4.0 and b.tolist() == [4.0, 4.0]
