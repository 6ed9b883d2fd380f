"""Spellings and modules that scripts on the web use: what PyTorch's oldest tutorials and its newest examples have in common."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rushlight

torch = pytest.importorskip("torch")
PACKAGE = Path(rushlight.__file__).parents[1]  # where the package under test lies, installed or not


def plain(value):
    """A value that those of either library compare with by ==: text for types, dtypes and sizes, lists for tensors."""
    if isinstance(value, (torch.Tensor, rushlight.Tensor)):
        return str(value.dtype).split(".")[-1], value.requires_grad, value.tolist()
    if isinstance(value, (tuple, list)):
        return type(value).__name__ == "list", [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.tolist()
    return value if isinstance(value, (int, float, str, bool, type(None))) else str(value).replace("rushlight", "torch")


def values(lib):
    """What an expression may use. `given` stands for a tensor to PyTorch, and for the list, tuple or array itself to Rushlight."""
    given = torch.as_tensor if lib is torch else lambda data: data
    names = {"torch": lib, "F": lib.nn.functional, "nn": lib.nn, "np": np, "given": given}
    names["x"] = lib.tensor([[1.0, -2.0, 3.0], [0.5, 0.0, -1.5]])
    names["n"] = lib.tensor([1, 2, 3])
    return names


EXPRESSIONS = """
    torch.Tensor([1, 2]) | torch.Tensor([[1.5], [2]]) | torch.Tensor(np.ones(2)) | torch.Tensor() | torch.Tensor(2, 3).shape | torch.Tensor(x.size()).size()
    torch.FloatTensor([1, 2]) | torch.FloatTensor(2, 3).size() | torch.LongTensor([[1, 2]]) | torch.DoubleTensor([1]) | torch.IntTensor([1]) | torch.ByteTensor([1, 255])
    torch.BoolTensor([True]) | torch.HalfTensor([0.5]) | torch.ShortTensor([1]) | torch.CharTensor([1]) | torch.LongTensor(np.array([3, 4])) | torch.FloatTensor([[0] * 3] * 2)
    x.type() | n.type() | x.type('torch.DoubleTensor') | x.type('torch.FloatTensor') | x.type(torch.LongTensor) | x.type(torch.float64) | n.type(torch.FloatTensor)
    x.type_as(n) | n.float() | x.double() | x.long() | (x > 0).type() | isinstance(n, torch.LongTensor) | isinstance(x, torch.LongTensor)
    x.nelement() | x.element_size() | x.ndimension() | x.dim() | x.numel() | x.size(1) | x.size(-1) | list(x.size()) | x.stride()
    x.data | x.data.requires_grad | x.data.numpy() | x.data[0] | x.data[0, 1].item() | x.numpy() | x.detach().cpu().numpy()
    torch.autograd.Variable(x) | torch.autograd.Variable(x, requires_grad=True).requires_grad | torch.autograd.Variable(x).data.norm()
    torch.backends.mps.is_available()
    torch.backends.mkl.is_available() in (True, False) | torch.cuda.device_count() | int(torch.__version__.split('.')[0])
    torch.device('cuda' if torch.cuda.is_available() else 'cpu') | x.to('cpu').device | x.cpu().device.type | x.is_cuda | x.get_device()
    x.softmax(axis=1) | x.softmax(1).sum(1) | x.sum(axis=0, keepdims=True) | x.sum(axis=(0, 1)) | x.mean(axis=1) | x.max(axis=1).values | x.argmax(axis=1)
    x.std(axis=0, keepdims=True) | torch.cat((x, x), axis=1).shape | torch.stack([x, x], axis=0).shape | torch.concatenate([x, x], axis=0).shape | x.cumsum(axis=1)
    x.clip(-1, 1) | x.clip(0) | x.clip(max=1) | torch.clip(x, -1, 1) | x.clamp(min=0) | x.where(x > 0, torch.zeros(())) | x.where(x > 0, 0.0)
    x.maximum(torch.zeros(3)) | x.minimum(torch.zeros(3)) | torch.max(x, torch.zeros(3)) | x.max(torch.zeros(3)) | F.threshold(x, 0.6, -7.0)
    n + np.array([1, 2, 3]) | x + np.ones((2, 3), dtype=np.float32) | x * np.float64(2) | x / np.float32(2) | x - np.int64(1)
    np.float64(2) * x.numpy() | np.exp(x.numpy()) | np.asarray(x) | np.array(x).shape | np.sum(x.numpy()) | float(x[0, 0]) | int(n[0]) | bool(n[0])
    range(3)[n[0]] | [1, 2, 3, 4][n[1]] | '%.2f' % x[0, 0] | '{:.3f}'.format(x[0, 0]) | f'{x[0, 0]:>8.3f}' | f'{n[0]:d}' | round(x[0, 0].item(), 2)
    x.view(-1) | x.view(3, -1).shape | x.t() | x.T | x.transpose(0, 1).contiguous().view(-1) | x.expand(4, 2, 3).shape | x.unsqueeze(0).shape | x.squeeze().shape
    x.mm(x.t()) | x.matmul(x.T) | x @ x.T | torch.mm(x, x.t()) | torch.bmm(x[None], x.T[None]) | n.dot(n) | torch.ger(n, n) | torch.outer(n, n)
    x.addmm(x, torch.eye(3)) | torch.addmm(x, x, torch.eye(3)) | x.norm() | x.norm(2, 1, keepdim=True) | x.norm(p=1) | torch.norm(x, dim=1) | torch.dist(x, x)
    x.topk(2) | x.sort(1)[0] | x.max(1) | x.max(1, keepdim=True)[1] | x.data.max(1)[1] | torch.max(x, 1)[1].squeeze() | x.gather(1, n[None, :1].expand(2, 1) - 1)
    n.eq(n).sum() | n.eq(n).cpu().sum().item() | (n == n).float().mean() | n.ne(2).nonzero() | torch.equal(n, n) | x.gt(0).long() | (x > 0).any() | x.all() | ~(x > 0)
    n.new([4, 5]) | n.new(2).shape | x.new(2, 3).shape | x.new_zeros(2) | x.new_full((2,), 3) | x.new_tensor([1]) | x.new_ones(1, 2) | x.data.new(3, 1).zero_()
    torch.zeros(2, 3).scatter_(1, torch.tensor([[0], [2]]), 1) | torch.zeros(2, 3).fill_(2) | torch.arange(0, 5).long() | torch.arange(3.) | torch.range(1, 3) | torch.linspace(0, 1, 3)
    torch.from_numpy(np.arange(3)) | torch.from_numpy(np.ones((1, 2), dtype=np.float32)) | torch.as_tensor(np.array([1.5])) | torch.tensor(np.float32(1.5)) | torch.tensor(np.arange(2.0))
    torch.eye(2) | torch.ones(2, dtype=torch.uint8) | torch.tril(torch.ones(2, 2)) | torch.triu(torch.ones(2, 2), diagonal=1).bool() | torch.is_tensor(x) | torch.numel(x)
    F.softmax(x, dim=1) | F.log_softmax(x, 1) | F.relu(x, inplace=False) | F.tanh(x) | F.sigmoid(x) | F.one_hot(n) | F.cross_entropy(x, n[:2]) | F.nll_loss(x, n[:2] - 1, size_average=False)
    F.mse_loss(x, x * 2, reduction='sum') | F.binary_cross_entropy(torch.sigmoid(x), (x > 0).float()) | F.dropout(x, 0.5, False) | F.dropout(x, p=0.0, training=True)
    nn.MSELoss(size_average=False)(x, x + 1) | nn.CrossEntropyLoss()(x, n[:2] - 1) | nn.Softmax(dim=-1)(x) | nn.Dropout(0.2).eval()(x) | torch.numel(nn.Linear(3, 2).weight)
    [p.nelement() for p in nn.Linear(3, 2).parameters()] | list(nn.Linear(3, 2).state_dict()) | nn.Sequential(nn.Linear(3, 2), nn.ReLU())[0].in_features
    x.is_contiguous() | x.is_floating_point() | len(x) | [list(row) for row in n[None].tolist()] | x[:, None].shape | x[..., -1] | x[n[:2] - 1] | x[[0, 1], [1, 2]] | x[x > 0]
    x.addcmul(x, x, value=0.5) | x.addcdiv(x, x + 4, value=0.5) | x.lerp(x * 2, 0.25) | x.pow(2) | x ** 2 | 2 ** x | x % 2 | n // 2 | 1 / x.abs().add(1) | 1 - x | -x | abs(x) | x.neg()
"""


@pytest.mark.parametrize("expression", [e.strip() for line in EXPRESSIONS.strip().splitlines() for e in line.split(" | ")])
@pytest.mark.filterwarnings("ignore")
def test_expression(expression):
    ours, theirs = (plain(eval(expression, values(lib))) for lib in (rushlight, torch))
    assert near(ours, theirs), f"{ours} instead of {theirs}"


def near(a, b):
    if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)):
        return len(a) == len(b) and all(near(x, y) for x, y in zip(a, b))
    if isinstance(a, float) and isinstance(b, float):
        return a == pytest.approx(b, rel=2e-6, abs=1e-7, nan_ok=True)
    return type(a) is type(b) and a == b


@pytest.mark.parametrize(
    "expression",
    """
    x + given([1, 2, 3]) | given([1, 2, 3]) + x | given([[1, 2, 3]]) * x | x - given((1.5, 2, 3)) | given([1, 2, 3]) - x | given([1, 2, 3]) / x
    x / given([1, 2, 3]) | given([2, 2, 2]) ** x | x > given([0, 1, 2]) | given([0, 1, 2]) > x | given([1.0, 2.0]) @ x | x @ given([1.0, 2.0, 3.0])
    given(np.ones(3)) + x | x + given(np.ones(3)) | given(np.ones(3, dtype=np.float32)) * x | given(np.arange(3)) - x | given(np.ones(3)) / x
    given(np.full(3, 2.0)) ** x | given(np.zeros(3)) > x | given(np.ones((2, 2), dtype=np.float32)) @ x | x @ given(np.ones(3, dtype=np.float32))
    """.replace("\n", " | ").strip(" |").split(" | "),
)
def test_operands_may_be_lists_and_arrays(expression):
    """PyTorch refuses most of these; the values are those it has for tensors of the same data."""
    ours, theirs = (plain(eval(expression.strip(), values(lib))) for lib in (rushlight, torch))
    assert near(ours, theirs), f"{ours} instead of {theirs}"


def test_tensor_takes_requires_grad():
    x = rushlight.Tensor([1, 2.5], requires_grad=True)
    assert x.is_leaf and x.requires_grad and x.dtype == rushlight.float32
    (x * x).sum().backward()
    assert x.grad.tolist() == [2, 5]


@pytest.mark.parametrize("gradient", [np.array([1.0, 2.0]), np.array([1, 2], dtype=np.float32)], ids=["float64", "float32"])
def test_gradients_may_be_arrays(gradient):
    x = rushlight.tensor([3.0, 4.0], requires_grad=True)
    (x * 2).backward(gradient)
    rushlight.autograd.backward(x * 2, gradient)
    assert x.grad.dtype == x.dtype and x.grad.tolist() == [4, 8]
    assert rushlight.autograd.grad(x * 2, x, gradient)[0].tolist() == [2, 4]


def test_threshold_and_dropout_are_methods():
    x = rushlight.randn(100)
    assert x.threshold(0.5, -1.0).equal(rushlight.nn.functional.threshold(x, 0.5, -1.0))
    state = rushlight.get_rng_state()
    dropped = x.dropout(0.5, True, seed=3)
    assert dropped.equal(rushlight.nn.functional.dropout(x, 0.5, True, seed=3)) and not dropped.equal(x.dropout(0.5, seed=4))
    assert rushlight.get_rng_state().equal(state)
    assert x.dropout(0.5, False, seed=3).equal(x)


def test_compile_returns_its_argument():
    layer = rushlight.nn.Linear(1, 1)
    assert rushlight.compile(layer) is layer and rushlight.compile(layer, mode="reduce-overhead") is layer


def test_no_device_but_the_cpu():
    assert not rushlight.cuda.is_available() and not rushlight.accelerator.is_available() and not rushlight.backends.cudnn.is_available()
    assert rushlight.accelerator.current_accelerator() is None


def test_data_parallel_calls_its_module():
    models = [lib.nn.DataParallel(lib.nn.Linear(3, 2)) for lib in (torch, rushlight)]
    theirs, ours = models
    assert list(ours.state_dict()) == list(theirs.state_dict()) and ours.device_ids == []
    ours.load_state_dict({key: rushlight.from_numpy(value.numpy()) for key, value in theirs.state_dict().items()})
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert near(plain(ours(rushlight.from_numpy(x))), plain(theirs(torch.from_numpy(x))))
    assert not isinstance(ours, rushlight.nn.parallel.DistributedDataParallel)
    with pytest.raises(RuntimeError, match="one process"):
        rushlight.nn.parallel.DistributedDataParallel(ours)
    with pytest.raises(RuntimeError, match="device type could not be determined"):
        rushlight.nn.parallel.data_parallel(ours, rushlight.ones(1, 3))


def test_onnx_can_be_imported_only():
    assert rushlight.onnx.is_in_onnx_export() is False
    with pytest.raises(RuntimeError, match="no ONNX exporter.*torch.onnx.export"):
        rushlight.onnx.export(rushlight.nn.Linear(1, 1), rushlight.ones(1), "model.onnx")


def test_dlpack_capsules():
    from rushlight.utils import dlpack

    x = rushlight.arange(3)
    y = torch.utils.dlpack.from_dlpack(dlpack.to_dlpack(x))
    y[0] = 7
    assert x.tolist() == [7, 1, 2] and dlpack.from_dlpack(y).data_ptr() == x.data_ptr()


@pytest.mark.parametrize("settings", [{}, {"WEIGHTS_ONLY": "1"}, {"NO_WEIGHTS_ONLY": "true"}, {"WEIGHTS_ONLY": "y", "NO_WEIGHTS_ONLY": "1"}], ids=lambda s: "+".join(s) or "neither")
@pytest.mark.parametrize("asked", [None, True, False])
@pytest.mark.filterwarnings("ignore:Environment variable")
def test_load_follows_the_environment(tmp_path, monkeypatch, settings, asked):
    """An array is what weights-only loading refuses."""
    torch.save(np.ones(2), tmp_path / "array.pt")
    for name, value in settings.items():
        monkeypatch.setenv(f"TORCH_FORCE_{name}_LOAD", value)

    def outcome(lib):
        try:
            return lib.load(tmp_path / "array.pt", weights_only=asked).tolist()
        except Exception as error:
            return type(error).__name__, str(error)[:40]

    assert outcome(rushlight) == outcome(torch)


def test_whole_modules_load_where_they_are_allowed(tmp_path):
    """PyTorch's checkpoint of a module, read with `weights_only` and the classes that it names."""
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Dropout(0.1), torch.nn.LSTM(2, 2)).eval()
    torch.save(theirs, tmp_path / "model.pt")
    modules = rushlight.nn.modules
    with rushlight.serialization.safe_globals([modules.container.Sequential, modules.linear.Linear, modules.dropout.Dropout, modules.rnn.LSTM]):
        ours = rushlight.load(tmp_path / "model.pt")
    assert type(ours) is rushlight.nn.Sequential and list(ours.state_dict()) == list(theirs.state_dict())
    x = np.ones((4, 3), dtype=np.float32)
    assert near(plain(ours(rushlight.from_numpy(x))[0]), plain(theirs(torch.from_numpy(x))[0]))


MODULES = """
    torch.accelerator torch.amp torch.autograd torch.autograd.functional torch.autograd.profiler torch.autograd.variable torch.backends.cudnn
    torch.backends.mps torch.compiler torch.cuda.amp torch.distributed torch.distributions torch.func torch.functional torch.hub torch.jit
    torch.multiprocessing torch.nn.functional torch.nn.init torch.nn.modules.batchnorm torch.nn.modules.loss torch.nn.modules.module
    torch.nn.parallel torch.nn.parameter torch.nn.utils torch.nn.utils.clip_grad torch.nn.utils.rnn torch.onnx torch.optim.lr_scheduler
    torch.optim.optimizer torch.profiler torch.serialization torch.storage torch.testing torch.types torch.utils.checkpoint torch.utils.data
    torch.utils.data.dataloader torch.utils.data.dataset torch.utils.data.sampler torch.utils.dlpack torch.utils.hooks torch.utils.model_zoo
    torch.utils.tensorboard torch.version torchvision torchvision.datasets torchvision.transforms torchvision.utils
""".split()


def test_imports_of_scripts(tmp_path):
    """Under the runner all of these are there; the script's own path is absolute, as Python makes it."""
    script = tmp_path / "imports.py"
    script.write_text("".join(f"import {name}\n" for name in MODULES) + "import os\nassert os.path.isabs(__file__)\n1 / 0\n")
    path = os.pathsep.join(filter(None, [str(PACKAGE), os.environ.get("PYTHONPATH")]))
    done = subprocess.run([sys.executable, "-m", "rushlight", "run", script.name], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    assert done.stderr.rstrip().endswith("ZeroDivisionError: division by zero")
    assert f'File "{script}", line' in done.stderr
