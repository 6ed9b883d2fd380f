"""The package as such: what an import loads, what works without NumPy, what help says."""

import inspect
import json
import os
import pydoc
import re
import subprocess
import sys
import textwrap

import pytest
import rushlight

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(rushlight.__file__)))


def fresh(text):
    """What a program prints (JSON) in a fresh interpreter that knows nothing but the package."""
    environment = {**os.environ, "PYTHONPATH": ROOT}
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)], capture_output=True, text=True, timeout=60, env=environment
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_import_loads_little():
    before, after = fresh("""
        import json, sys
        before = set(sys.modules)
        import rushlight
        print(json.dumps([sorted(before), sorted(set(sys.modules) - before)]))
    """)
    heavy = "numpy inspect multiprocessing dataclasses typing asyncio unittest PIL concurrent subprocess tempfile zipfile".split()
    assert not set(heavy) & set(after), sorted(set(heavy) & set(after))


def test_works_without_numpy():
    """Everything but NumPy's own arrays; the error names what is missing."""
    answers = fresh("""
        import json, sys

        class Blocker:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] == "numpy":
                    raise ImportError("numpy is blocked")

        sys.meta_path.insert(0, Blocker())
        import rushlight as torch
        from rushlight import nn, optim
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
        optimizer = optim.Adam(model.parameters(), lr=0.05)
        x = torch.tensor([[0., 0.], [0., 1.], [1., 0.], [1., 1.]])
        y = torch.tensor([[0.], [1.], [1.], [0.]])
        losses = []
        for _ in range(50):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        error = None
        try:
            x.numpy()
        except RuntimeError as e:
            error = str(e)
        loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=2)
        print(json.dumps([losses[-1] < losses[0], error, list(memoryview(y).shape), len(list(loader)), repr(y[0]), "numpy" in sys.modules]))
    """)
    assert answers[0] and "Numpy is not available" in answers[1]
    assert answers[2:] == [[4, 1], 2, "tensor([0.])", False]


def test_version_is_pytorchs():
    assert re.match(r"2\.\d+\.\d+", rushlight.__version__)
    assert tuple(map(int, rushlight.__version__.split(".")[:2])) >= (2, 0)
    assert re.match(r"\d+\.\d+\.\d+", rushlight.__rushlight_version__)
    assert rushlight.version.__version__ == rushlight.__version__


@pytest.mark.parametrize("name", ["sum", "matmul", "cat", "zeros", "where", "softmax"])
def test_help(name):
    function = getattr(rushlight, name)
    text = pydoc.render_doc(function, renderer=pydoc.plaintext)
    assert name + "(" in text and len(function.__doc__.split()) > 5
    assert function.__name__ == name


@pytest.mark.parametrize("name", ["sum", "exp", "add_", "view"])
def test_help_of_methods(name):
    method = getattr(rushlight.Tensor, name)
    assert method.__doc__ and method.__text_signature__.startswith("($self")


def test_signatures():
    """What editors show: parameters by PyTorch's names."""
    assert list(inspect.signature(rushlight.sum).parameters)[:1] == ["input"]
    assert list(inspect.signature(rushlight.softmax).parameters)[:2] == ["input", "dim"]
    assert "dim" in inspect.signature(rushlight.Tensor.softmax).parameters
    unreadable = [n for n, f in rushlight._C.functions.items() if f.__text_signature__ is None]
    assert not unreadable


def test_every_function_is_documented():
    bare = [name for name, f in rushlight._C.functions.items() if not (f.__doc__ or "").strip()]
    assert not bare


def test_names():
    assert repr(rushlight.Tensor) == "<class 'rushlight.Tensor'>" and rushlight.Tensor.__module__ == "rushlight"
    assert rushlight.sum.__module__ == "rushlight" and rushlight.Tensor.__name__ == "Tensor"
    assert {"tensor", "nn", "optim", "load", "compile"} <= set(dir(rushlight))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        rushlight.nothing  # noqa: B018


def test_public_names_are_pytorchs():
    """Beside PyTorch's there are functions of the table that PyTorch has as methods alone, or under another name."""
    torch = pytest.importorskip("torch")
    own = {n for n in dir(rushlight) if not n.startswith("_") and not hasattr(torch, n) and not hasattr(torch.Tensor, n)}
    assert own - set(rushlight._C.function_names) <= {"checkpoint", "safetensors", "fork_rng", "is_deferred", "set_deferred", "is_precise", "set_precise"}
    assert len(own) < 12, sorted(own)


def test_methods_are_pytorchs():
    torch = pytest.importorskip("torch")
    own = {n for n in dir(rushlight.Tensor) if not n.startswith("_") and not hasattr(torch.Tensor, n)}
    assert own <= {"dropout", "nonzero_numpy", "slice", "threshold"}, sorted(own)


def test_convolutions_are_more_precise_on_demand():
    rushlight.manual_seed(0)
    x, w = rushlight.randn(2, 32, 28, 28), rushlight.randn(32, 32, 3, 3)
    exact = rushlight.nn.functional.conv2d(x.double(), w.double())

    def error():
        return ((rushlight.nn.functional.conv2d(x, w).double() - exact).abs().max() / exact.abs().max()).item()

    assert not rushlight.is_precise()
    quick = error()
    rushlight.set_precise(True)
    try:
        assert rushlight.is_precise()
        direct = error()
    finally:
        rushlight.set_precise(False)
    assert 0 < direct < quick < 2e-5
