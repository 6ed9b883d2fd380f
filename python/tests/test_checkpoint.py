"""Checkpointed parts: the gradients of the plain model, from a second run."""

import pytest

torch = pytest.importorskip("torch")

import rushlight as rl  # noqa: E402
from rushlight.utils.checkpoint import CheckpointError, checkpoint, checkpoint_sequential  # noqa: E402


class Counter(rl.nn.Module):
    """A small network with dropout that counts its runs."""

    def __init__(self):
        super().__init__()
        self.first, self.second = rl.nn.Linear(4, 8), rl.nn.Linear(8, 3)
        self.runs = 0

    def forward(self, x, scale=1.0, other=None):
        self.runs += 1
        x = rl.nn.functional.dropout(self.first(x).tanh(), 0.5, self.training)
        x = self.second(x) * scale
        return x if other is None else x + other


def model_and_input(requires_grad=True):
    rl.manual_seed(1)
    return Counter(), rl.randn(5, 4, requires_grad=requires_grad)


def gradients(model, x):
    return [t.grad.tolist() for t in (*model.parameters(), x) if t.grad is not None]


def plain_gradients():
    model, x = model_and_input()
    rl.manual_seed(7)
    model(x).square().sum().backward()
    return gradients(model, x)


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_gradients_are_those_of_the_plain_model(use_reentrant):
    model, x = model_and_input()
    rl.manual_seed(7)
    loss = checkpoint(model, x, use_reentrant=use_reentrant).square().sum()
    assert model.runs == 1
    after = rl.get_rng_state().tolist()
    loss.backward()
    assert model.runs == 2 and rl.get_rng_state().tolist() == after
    assert gradients(model, x) == plain_gradients()


def test_without_reentrance_grad_works_and_inputs_need_no_gradient():
    model, x = model_and_input(requires_grad=False)
    rl.manual_seed(7)
    out = checkpoint(model, x, use_reentrant=False).square().sum()
    grads = rl.autograd.grad(out, list(model.parameters()))
    assert [g.tolist() for g in grads] == plain_gradients()[:4]
    assert all(p.grad is None for p in model.parameters())


def test_reentrant_warns_about_inputs_without_gradient():
    model, x = model_and_input(requires_grad=False)
    with pytest.warns(UserWarning, match="None of the inputs have requires_grad=True"):
        out = checkpoint(model, x, use_reentrant=True)
    assert not out.requires_grad


def test_keywords_nested_values_and_captured_tensors():
    model, x = model_and_input()
    hidden = (x * 2).exp()

    def part(batch, *, scale):
        y = model(batch["x"], scale=scale[0])
        return {"sum": y.sum() + hidden.sum(), "count": 3, "index": rl.tensor([1, 2])}

    def run(through):
        rl.manual_seed(7)
        out = through(part, {"x": x}, scale=[rl.tensor(2.0, requires_grad=True)])
        assert out["count"] == 3 and out["index"].tolist() == [1, 2]
        grads = rl.autograd.grad(out["sum"] + hidden.sum(), [x, *model.parameters()], retain_graph=True)
        return [g.tolist() for g in grads]

    plain = run(lambda f, *args, **kwargs: f(*args, **kwargs))
    ours = run(lambda f, *args, **kwargs: checkpoint(f, *args, use_reentrant=False, **kwargs))
    for a, b in zip(ours, plain):
        torch.testing.assert_close(torch.tensor(a), torch.tensor(b))


def test_checkpoints_nest():
    model, x = model_and_input()

    def outer(x):
        return checkpoint(model, x, use_reentrant=False).square()

    rl.manual_seed(7)
    checkpoint(outer, x, use_reentrant=False).sum().backward()
    assert gradients(model, x) == plain_gradients()


def test_no_recording_means_no_second_run():
    model, x = model_and_input()
    with rl.no_grad():
        assert not checkpoint(model, x, use_reentrant=False).requires_grad
    assert model.runs == 1


def test_random_state_may_be_left_alone():
    x = rl.ones(50, requires_grad=True)

    def part(x):
        return x * rl.rand(50)

    rl.manual_seed(7)
    out = checkpoint(part, x, use_reentrant=False, preserve_rng_state=False)
    out.sum().backward()
    assert x.grad.tolist() != out.tolist()


def test_contexts_of_the_two_runs():
    seen = []

    class Context:
        def __init__(self, name):
            self.name = name

        def __enter__(self):
            seen.append(self.name)

        def __exit__(self, *exc):
            return False

    x = rl.ones(2, requires_grad=True)
    out = checkpoint(lambda x: x * x, x, use_reentrant=False, context_fn=lambda: (Context("first"), Context("second")))
    assert seen == ["first"]
    out.sum().backward()
    assert seen == ["first", "second"]


def test_second_runs_are_compared():
    runs = []

    def part(x):
        runs.append(1)
        return x * 2 if len(runs) == 1 else (x * 2)[:1]

    x = rl.ones(2, requires_grad=True)
    with pytest.raises(CheckpointError, match="have different metadata"):
        checkpoint(part, x, use_reentrant=False).sum().backward()


def test_autocast_is_restored():
    seen = []
    p = rl.nn.Parameter(rl.ones(2, 2))

    def part(x):
        seen.append((x @ p).dtype)
        return x @ p

    with rl.autocast("cpu"):
        out = checkpoint(part, rl.ones(2, 2), use_reentrant=False)
    out.sum().backward()
    assert seen == [rl.bfloat16, rl.bfloat16]


@pytest.mark.parametrize("use_reentrant", [True, False])
@pytest.mark.parametrize("segments", [1, 2, 3])
def test_sequential(segments, use_reentrant):
    def run(through):
        rl.manual_seed(3)
        layers = rl.nn.Sequential(*[rl.nn.Linear(4, 4) for _ in range(5)])
        x = rl.ones(2, 4, requires_grad=True)
        through(layers, x).square().sum().backward()
        return [p.grad.tolist() for p in layers.parameters()] + [x.grad.tolist()]

    assert run(lambda layers, x: checkpoint_sequential(layers, segments, x, use_reentrant=use_reentrant)) == run(lambda layers, x: layers(x))


def test_misuse():
    x = rl.ones(2, requires_grad=True)
    with pytest.warns(UserWarning, match="the use_reentrant parameter should be passed explicitly"):
        checkpoint(lambda x: x * 2, x)
    cases = [
        lambda c, x: c(lambda x: x, x, use_reentrant=True, scale=2),
        lambda c, x: c(lambda x: x, x, use_reentrant=True, context_fn=lambda: 1),
    ]
    for case in cases:
        texts = []
        for lib in (rl, torch):
            with pytest.raises(ValueError) as caught:
                case(lib.utils.checkpoint.checkpoint, lib.ones(2, requires_grad=True))
            texts.append(str(caught.value))
        assert texts[0] == texts[1]
    with pytest.raises(ValueError, match="determinism_check should be one of"):
        checkpoint(lambda x: x, x, use_reentrant=False, determinism_check="some")
