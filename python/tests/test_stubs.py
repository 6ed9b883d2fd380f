"""The generators: stubs are Python, complete and right about what they can know; the coverage page adds up; drift is noticed."""

import ast
import importlib
import importlib.util
import inspect
import sys
from pathlib import Path

import pytest
import rushlight
from rushlight._runner import scope

TOOLS = Path(__file__).resolve().parents[1] / "tools"


def load(name):
    spec = importlib.util.spec_from_file_location(f"tools_{name}", TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


stubs, coverage = load("stubs"), load("coverage")


@pytest.fixture(scope="module")
def trees():
    return {path: ast.parse(text) for path, text in stubs.stubs().items() if path.suffix == ".pyi"}


@pytest.fixture(scope="module")
def top(trees):
    return next(tree for path, tree in trees.items() if path.parent.name == "rushlight" and path.name == "__init__.pyi")


def names_of(body):
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.AnnAssign):
            yield node.target.id
        elif isinstance(node, ast.Assign):
            yield node.targets[0].id
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)


def functions(body, name):
    return [node for node in body if isinstance(node, ast.FunctionDef) and node.name == name]


def tensor(top):
    return next(node for node in top.body if isinstance(node, ast.ClassDef) and node.name == "Tensor").body


def test_every_public_name_is_there(top):
    skipped = {"builtins", "Any", "overload", "Callable", "Iterator", "Sequence"}
    importable = [n for n in dir(rushlight) if not n.startswith("_") and has(rushlight, n) and not stdlib(getattr(rushlight, n))]
    assert set(importable) - set(names_of(top.body)) == set()
    invented = {n for n in names_of(top.body) if not n.startswith("_") and not has(rushlight, n)} - skipped - {"Number", "Node"}
    assert invented == set()
    assert {n for n in dir(rushlight.Tensor) if not n.startswith("_")} <= set(names_of(tensor(top)))


def has(module, name):
    try:
        return hasattr(module, name)
    except ImportError:
        return False


def stdlib(value):
    return inspect.ismodule(value) and not value.__name__.startswith("rushlight")


def text(node):
    return ast.unparse(node.args), ast.unparse(node.returns)


def test_signatures_come_from_the_table(top):
    (exp,) = functions(tensor(top), "exp")
    assert text(exp) == ("self", "Tensor")
    (add,) = functions(tensor(top), "add")
    assert text(add) == ("self, other: Tensor | Number, *, alpha: Number=1", "Tensor")
    whole, along, other = functions(tensor(top), "max")
    assert [text(f)[1] for f in (whole, along, other)] == ["Tensor", "tuple[Tensor, Tensor]", "Tensor"]
    assert text(along)[0] == "self, dim: builtins.int, keepdim: builtins.bool=False"
    assert "*size: builtins.int" in text(functions(top.body, "zeros")[1])[0]
    assert text(functions(top.body, "allclose")[0])[1] == "builtins.bool"
    assert all(f.decorator_list for f in functions(top.body, "max")) and not exp.decorator_list
    assert ast.get_docstring(exp) == rushlight.exp.__doc__.splitlines()[0]


def test_names_of_python_are_not_hidden(top):
    """torch has `float`, `int` and `bool` of its own: where the stub means Python's, it says so."""
    for node in ast.walk(top):
        if isinstance(node, ast.FunctionDef):
            for annotation in [node.returns, *(a.annotation for a in node.args.args + node.args.kwonlyargs)]:
                used = {n.id for n in ast.walk(annotation) if isinstance(n, ast.Name)} if annotation is not None else set()
                assert not used & {"float", "int", "bool", "dtype"}, ast.unparse(node)


def test_drift_of_stubs_is_noticed(tmp_path, monkeypatch, capsys):
    path = tmp_path / "a.pyi"
    monkeypatch.setattr(stubs, "stubs", lambda: {path: "x: int\n"})
    monkeypatch.setattr(stubs, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["stubs.py", "--check"])
    assert stubs.main() == 1 and "a.pyi is out of date" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["stubs.py"])
    assert stubs.main() == 0
    monkeypatch.setattr(sys, "argv", ["stubs.py", "--check"])
    assert stubs.main() == 0
    path.write_text("x: str\n")
    assert stubs.main() == 1


def test_the_coverage_page_adds_up():
    _, names = coverage.read_names()
    rows = [line for line in coverage.page().splitlines() if line.startswith("| [`torch")]
    assert len(rows) == len(coverage.MODULES)
    for row, module in zip(rows, coverage.MODULES):
        counts = [int(cell) for cell in row.split("|")[2:5]]
        assert sum(counts) == len(names[module]), module
    present, missing, _ = coverage.sort_out("torch", ["exp", "no_such_function", "sparse_coo_tensor"])
    assert (present, missing) == (["exp"], ["no_such_function"])


def test_every_pattern_of_the_scope_matches_a_name():
    """A pattern for names of the listed modules that matches none has been outlived."""
    _, names = coverage.read_names()
    full = [f"{module}.{name}" for module in names for name in names[module]]
    short = [name.rpartition(".")[2] for name in full if name.rpartition(".")[0] in ("torch", "torch.Tensor", "torch.nn.functional")]
    for pattern, is_full, _ in scope._PATTERNS:
        if not is_full:
            assert any(pattern.match(name) for name in short), pattern.pattern


def test_reasons():
    assert "sparse" in scope.why_not("torch.sparse.mm") and "sparse" in scope.why_not("torch.Tensor.to_sparse")
    assert "complex" in scope.why_not("torch.fft.rfft") and "CPU" in scope.why_not("torch.cuda.graph")
    for name in ("torch.exp", "torch.nn.Linear", "torch.nn.ModuleDict", "torch.fft.fftshift", "torch.masked_fill", "torch.optim.Adam"):
        assert scope.why_not(name) is None, name


def test_the_list_of_names_is_that_of_the_installed_torch():
    torch = pytest.importorskip("torch")
    if torch.__version__.split("+")[0] != coverage.read_names()[0]:
        pytest.skip("the list is of another version of PyTorch")
    assert coverage.torch_names() == coverage.NAMES.read_text()
