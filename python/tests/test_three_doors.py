"""One checkpoint through three doors: what PyTorch, Rushlight in Python and Rushlight in Rust save, the other two load.

The Rust door is the program `examples/convert.rs`, which loads a checkpoint and saves it again in another format.
"""

import json
import os
import shutil
import subprocess
from collections import OrderedDict
from pathlib import Path

import pytest
import rushlight
from rushlight import checkpoint

torch = pytest.importorskip("torch")

ROOT = Path(__file__).resolve().parents[2]
DTYPES = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64".split()


@pytest.fixture(scope="module")
def convert():
    """Runs the Rust program on two paths."""
    if shutil.which("cargo") is None:
        pytest.skip("the Rust door of test_three_doors needs cargo on PATH")
    build = ["cargo", "build", "--quiet", "--package", "rushlight", "--example", "convert", "--message-format", "json"]
    built = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    messages = [json.loads(line) for line in built.stdout.splitlines()]
    (program,) = (m["executable"] for m in messages if m.get("target", {}).get("name") == "convert" and m.get("executable"))

    def run(source, target):
        ran = subprocess.run([program, source, target], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        return target

    run.program = program
    return run


def network(lib):
    # No bias before the normalization: its gradient would be rounding errors, which Adam makes steps of.
    return lib.nn.Sequential(lib.nn.Linear(3, 4, bias=False), lib.nn.BatchNorm1d(4), lib.nn.ReLU(), lib.nn.Linear(4, 2))


def made(lib):
    """A checkpoint of a trained model, its optimizer, and tensors of every dtype and layout; built by `lib`."""
    lib.manual_seed(0)
    model = network(lib)
    optimizer = lib.optim.Adam(model.parameters(), lr=0.01, betas=(0.8, 0.95), amsgrad=True)
    for _ in range(3):
        optimizer.zero_grad()
        model(lib.linspace(-1, 1, 15).reshape(5, 3)).square().sum().backward()
        optimizer.step()
    base = lib.arange(24, dtype=lib.float32).reshape(4, 6)
    return {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "dtypes": {name: (lib.arange(6).reshape(2, 3) % 3).to(getattr(lib, name)) for name in DTYPES},
        "views": OrderedDict(base=base, transposed=base.t(), stepped=base[1:, ::2], element=base[2, 2], row=base[1].expand(3, 6)),
        "others": [lib.zeros(2, 0), lib.tensor([float("inf"), float("nan"), -0.0]), lib.nn.Parameter(lib.ones(2))],
        "epoch": 7,
        "texts": ["Stra\u00dfe", "", None, True],
        "loss": 0.1,
    }


def plain(value):
    """A tree without types of containers and libraries: tensors as dtype, shape and bytes; integer keys as texts."""
    if isinstance(value, (torch.Tensor, rushlight.Tensor)):
        dtype = str(value.dtype).rpartition(".")[2]
        # Every value of every dtype has one text as a double.
        numbers = [repr(x) for x in value.detach().double().flatten().tolist()]
        return dtype, list(value.shape), numbers
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def resumed(path, into=torch):
    """Loads `path` into a fresh model and optimizer of `into`, and trains on: state dicts must be usable, not only equal."""
    loaded = into.load(path)
    model = network(into)
    model.load_state_dict(loaded["model"])
    optimizer = into.optim.Adam(model.parameters())
    optimizer.load_state_dict(loaded["optimizer"])
    group = optimizer.param_groups[0]
    assert (group["lr"], tuple(group["betas"]), group["amsgrad"]) == (0.01, (0.8, 0.95), True)
    model(into.linspace(-1, 1, 15).reshape(5, 3)).square().sum().backward()
    optimizer.step()
    assert [float(s["step"]) for s in optimizer.state.values()] == [4.0] * 5
    return [p.detach().double().flatten().tolist() for p in model.parameters()]


LIBRARIES = [torch, rushlight]


@pytest.mark.parametrize("saver", LIBRARIES, ids=lambda lib: lib.__name__)
def test_between_the_python_doors(saver, tmp_path):
    path = tmp_path / "run.pt"
    tree = made(saver)
    saver.save(tree, path)
    (loader,) = (lib for lib in LIBRARIES if lib is not saver)
    loaded = loader.load(path)
    assert plain(loaded) == plain(tree)
    views = loaded["views"]
    views["base"][2, 2] = 99
    assert views["element"].item() == views["transposed"][2, 2].item() == 99


@pytest.mark.parametrize("saver", LIBRARIES, ids=lambda lib: lib.__name__)
def test_python_saves_and_rust_loads(saver, convert, tmp_path):
    tree = made(saver)
    saver.save(tree, tmp_path / "run.pt")
    # What Rust has loaded is looked at through a file of another format.
    loaded = checkpoint.load(convert(tmp_path / "run.pt", tmp_path / "run.safetensors"))
    assert plain(loaded) == plain(tree)


@pytest.mark.parametrize("loader", LIBRARIES, ids=lambda lib: lib.__name__)
def test_rust_saves_and_python_loads(loader, convert, tmp_path):
    tree = made(rushlight)
    rushlight.save(tree, tmp_path / "run.pt")
    convert(tmp_path / "run.pt", tmp_path / "run.safetensors")
    path = convert(tmp_path / "run.safetensors", tmp_path / "again.pt")
    assert plain(loader.load(path)) == plain(tree)
    assert plain(loader.load(path, mmap=True)) == plain(tree)
    optimizer = loader.load(path)["optimizer"]
    assert list(optimizer["state"]) == optimizer["param_groups"][0]["params"] == [0, 1, 2, 3, 4]
    # From .pt to .pt, memory stays shared.
    views = loader.load(convert(tmp_path / "run.pt", tmp_path / "direct.pt"))["views"]
    views["base"][2, 2] = 99
    assert views["element"].item() == views["transposed"][2, 2].item() == 99


def test_training_goes_on_behind_every_door(convert, tmp_path):
    torch.save(made(torch), tmp_path / "torch.pt")
    convert(tmp_path / "torch.pt", tmp_path / "rust.pt")
    rushlight.save(rushlight.load(tmp_path / "torch.pt"), tmp_path / "python.pt")
    wanted = resumed(tmp_path / "torch.pt")
    assert resumed(tmp_path / "rust.pt") == resumed(tmp_path / "python.pt") == wanted
    for name in ("torch.pt", "rust.pt", "python.pt"):
        for found, want in zip(resumed(tmp_path / name, rushlight), wanted, strict=True):
            torch.testing.assert_close(torch.tensor(found), torch.tensor(want), rtol=1e-5, atol=1e-6)


def test_other_safetensors(convert, tmp_path):
    """A file without a tree, as other programs write it, becomes a flat dict."""
    tensors = {"a.weight": rushlight.arange(6.0).reshape(2, 3), "b": rushlight.tensor([True, False])}
    rushlight.safetensors.save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    loaded = torch.load(convert(tmp_path / "model.safetensors", tmp_path / "model.pt"))
    assert plain(dict(sorted(loaded.items()))) == plain(tensors)


def test_refusals_reach_the_user(convert, tmp_path):
    torch.save({"layer": {"w": torch.zeros(2, dtype=torch.complex64)}}, tmp_path / "complex.pt")
    torch.save(OrderedDict(f=os.path.join), tmp_path / "code.pt")
    for name, text in (("complex.pt", "'layer.w': tensors of complex64 are not supported"), ("code.pt", "'posixpath.join' is refused")):
        paths = tmp_path / name, tmp_path / "out.safetensors"
        ran = subprocess.run([convert.program, *paths], capture_output=True, text=True)
        assert ran.returncode == 1 and str(paths[0]) in ran.stderr and text in ran.stderr, ran.stderr
        assert not paths[1].exists()
