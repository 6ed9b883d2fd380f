"""Writes the type stubs of what editors and type checkers cannot read from the sources: the ops of the native table, and Tensor.

    python python/tools/stubs.py            write python/rushlight/__init__.pyi and the others
    python python/tools/stubs.py --check    say whether they are up to date

The package must be built. An op's parameters come from its row in the table, what it returns from calling it with its first sample;
what is written in Python is either left to its sources or has the parameters that it has there.
"""

import argparse
import importlib
import inspect
import keyword
import math
import re
import sys
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, GetSetDescriptorType, MethodDescriptorType, ModuleType

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "python"))  # where no other is installed or on PYTHONPATH

import rushlight  # noqa: E402
from rushlight import _C, Tensor  # noqa: E402

# Modules whose names are made when they are imported: native functions, and lists of other modules' names.
MODULES = ["rushlight", "rushlight.nn", "rushlight.nn.functional", "rushlight.special", "rushlight.linalg", "rushlight.fft"]

TYPES = {
    "Tensor": "Tensor",
    "Tensors": "Sequence[Tensor]",
    "Scalar": "Number",
    "Float": "float",
    "OptFloats": "Sequence[float] | None",
    "Int": "int",
    "Bool": "bool",
    "Ints": "int | Sequence[int]",
    "Str": "str",
    "DType": "_dtype",
    "OptGenerator": "Generator | None",
}
# Parameters that take a number where a tensor is wanted.
OPERANDS = {"other", "exponent", "end", "value", "values", "test_elements", "elements", "condition"}
# Keywords that the native call takes for every op, whatever its row says.
OUT = "out: Tensor | tuple[Tensor, ...] | None = None"
FACTORY = ["layout: _layout | None = None", "device: _Device = None", "requires_grad: bool = False", "pin_memory: bool = False"]

PROPERTIES = {
    "shape": "Size", "dtype": "_dtype", "device": "_device", "layout": "_layout", "requires_grad": "bool", "is_leaf": "bool", "ndim": "int",
    "itemsize": "int", "nbytes": "int", "grad": "Tensor | None", "grad_fn": "Node | None", "data": "Tensor", "output_nr": "int",
    "retains_grad": "bool", "name": "str | None", "_version": "int", "is_cuda": "bool", "is_cpu": "bool", "is_sparse": "bool",
    "is_quantized": "bool", "is_meta": "bool", "is_mps": "bool",
}  # fmt: skip
BINARY = """
    add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod pow rpow matmul rmatmul and rand or ror xor rxor lshift rlshift
    rshift rrshift
"""
INPLACE = "iadd isub imul itruediv ifloordiv imod ipow iand ior ixor ilshift irshift"
DUNDERS = [
    *(f"def __{name}__(self, other: Tensor | Number) -> Tensor: ..." for name in BINARY.split()),
    *(f"def __{name}__(self, other: Tensor | Number) -> Tensor: ..." for name in INPLACE.split()),
    *(f"def __{name}__(self, other: Tensor | Number) -> Tensor: ...  # type: ignore[override]" for name in "eq ne lt le gt ge".split()),
    *(f"def __{name}__(self) -> Tensor: ..." for name in "neg pos abs invert".split()),
    *(f"def __{name}__(self) -> {name}: ..." for name in "bool int float".split()),
    "def __index__(self) -> int: ...",
    "def __len__(self) -> int: ...",
    "def __hash__(self) -> int: ...",
    "def __iter__(self) -> Iterator[Tensor]: ...",
    "def __contains__(self, element: object) -> bool: ...",
    "def __getitem__(self, index: Any) -> Tensor: ...",
    "def __setitem__(self, index: Any, value: Tensor | Number) -> None: ...",
]
CLASSES = '''
class dtype:
    """The type of a tensor's elements."""
    is_floating_point: builtins.bool
    is_complex: builtins.bool
    is_signed: builtins.bool
    itemsize: builtins.int

class device:
    """Where a tensor's elements are: the CPU."""
    type: str
    index: builtins.int | None
    def __init__(self, device: str | _device, index: builtins.int | None = None) -> None: ...
    def __enter__(self) -> device: ...
    def __exit__(self, *error: Any) -> None: ...

class Generator:
    """A source of random numbers."""
    device: _device
    def __init__(self, device: Any = None) -> None: ...
    def manual_seed(self, seed: builtins.int) -> Generator: ...
    def seed(self) -> builtins.int: ...
    def initial_seed(self) -> builtins.int: ...
    def get_state(self) -> Tensor: ...
    def set_state(self, state: Tensor) -> None: ...

class Node:
    """A step of the graph that gradients flow through."""
    next_functions: tuple[tuple[Node | None, builtins.int], ...]
    def name(self) -> str: ...
    def register_hook(self, fn: Callable[..., Any]) -> Any: ...
    def register_prehook(self, fn: Callable[..., Any]) -> Any: ...
'''
# In a class whose attribute is called `dtype`, the class `dtype` needs another name.
ALIASES = ["_C: Any", "_dtype = dtype", "_device = device", "_layout = layout", "_Device = str | builtins.int | device | None"]
NATIVE = {
    "tensor": "data: Any, *, dtype: _dtype | None = None, device: _Device = None, requires_grad: bool = False, pin_memory: bool = False",
    "as_tensor": "data: Any, dtype: _dtype | None = None, device: _Device = None",
    "from_numpy": "ndarray: Any",
    "from_dlpack": "ext_tensor: Any, *, device: _Device = None, copy: bool | None = None",
    "frombuffer": "buffer: Any, *, dtype: _dtype, count: int = -1, offset: int = 0, requires_grad: bool = False",
}


class Table:
    """The op table by the names that Python calls."""

    def __init__(self):
        self.rows = {}
        for row in _C._op_table():
            for name in (row["name"], *row["aliases"]):
                self.rows.setdefault(name, []).append(row)
                if row["inplace"]:
                    self.rows.setdefault(name + "_", [])
        for name, rows in self.rows.items():
            if not rows:
                self.rows[name] = [{**row, "twin": True} for row in self.rows[name[:-1]] if row["inplace"]]
        self.results = {}

    def signatures(self, name, method):
        """The overloads of a name: parameters, and what is returned."""
        found = []
        for row in self.rows[name]:
            parameters = None if method and row["function"] else self.parameters(row, method)
            if parameters is None:
                continue
            found.append((parameters, self.returns(row)))
            if self.one_by_one(row, method):
                keywords = parameters[parameters.index("*") + 1 :] if "*" in parameters else []
                found.append((["self"] * method + ["*size: int", *keywords], self.returns(row)))
        return list({str(f): f for f in found}.values())

    @staticmethod
    def given(row):
        """The leading tensor of an op's parameters, if it has one."""
        return row["args"][:1] if row["args"] and row["args"][0][1] == "Tensor" else []

    def one_by_one(self, row, method):
        """Whether sizes may be given one by one, as in `zeros(2, 3)`."""
        kinds = [kind for _, kind, _, only in row["args"] if not only]
        return (kinds[1:] if method else kinds) in (["Ints"], ["OptInts"])

    def parameters(self, row, method):
        """The parameters of one overload; None if it is no method."""
        args, out, star = row["args"], [], False
        if method:
            if not self.given(row):
                return None
            out, args = ["self"], args[1:]
        for i, (name, kind, default, keyword_only) in enumerate(args):
            if keyword_only and not star:
                out.append("*")
                star = True
            name = name + "_" if keyword.iskeyword(name) else name
            annotation = TYPES[kind] if kind in TYPES else TYPES[kind.removeprefix("Opt")] + " | None"
            if kind == "Tensor" and name in OPERANDS and (i or method):
                annotation = "Tensor | Number"
            out.append(f"{name}: {annotation}" + (f" = {default}" if default is not None else ""))
        extra = [] if method or row["view"] or row["nn"] or row.get("twin") or row["name"].endswith("_") else [OUT]
        if not method and not row["nn"] and not any("Tensor" in kind for _, kind, _, _ in args):
            extra += FACTORY
        names = {parameter.split(":")[0] for parameter in out}
        extra = [e for e in extra if e.split(":")[0] not in names]
        return out + (["*"] if extra and not star else []) + extra

    def returns(self, row):
        """The type of an op's result, from its first sample that runs."""
        if row.get("twin"):
            return "Tensor"
        key = row["name"], row["overload"]
        if key not in self.results:
            self.results[key] = result_type(row)
        return self.results[key]


def result_type(row):
    """The type of what an op returns for one of its samples."""
    for sample in row["samples"]:
        try:
            result = eval(f"f({sample})", {"f": _C.functions[row["name"]], "T": real, "I": integer, "B": boolean, **DTYPES})
        except Exception:
            continue
        return type_of(result)
    return "Any"


def type_of(value):
    if isinstance(value, Tensor):
        return "Tensor"
    if isinstance(value, (tuple, list)):
        kind = "list" if isinstance(value, list) else "tuple"
        fields = getattr(type(value), "_fields", None) or getattr(type(value), "n_fields", None)
        if kind == "tuple" and (fields or len(value) in (2, 3)) and fields:
            return f"tuple[{', '.join(type_of(v) for v in value)}]"
        return "list[Tensor]" if kind == "list" else "tuple[Tensor, ...]"
    return type(value).__name__ if isinstance(value, (bool, int, float)) else "Any"


def real(*shape, dtype=None, lo=-1.0, hi=1.0, **options):
    return rushlight.ones(shape).mul((lo + hi) / 2 + 0.1)


def integer(*shape, dtype=None, lo=0, hi=5, **options):
    return rushlight.ones(shape, dtype=rushlight.int64).mul(max(lo, 1))


def boolean(*shape, **options):
    return rushlight.ones(shape, dtype=rushlight.bool)


DTYPES = {name: getattr(rushlight, name) for name in "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64".split()}


# Text


def definition(name, signatures, doc, indent=""):
    """The lines of one function: its overloads, and the first line of its documentation."""
    lines = []
    for parameters, result in signatures:
        if len(signatures) > 1:
            lines.append(f"{indent}@overload")
        lines.append(f"{indent}def {name}({', '.join(parameters)}) -> {result}:")
        lines.append(f'{indent}    """{summary(doc)}"""' if summary(doc) else f"{indent}    ...")
    return lines


def summary(doc):
    """The first sentence or paragraph of a documentation, on one line."""
    text = " ".join((inspect.cleandoc(doc or "").split("\n\n") or [""])[0].split())
    text = re.sub(r"\[`(?:fn@)?([^`]+)`\]", r"`\1`", text)  # Links between Rust's pages.
    return text.replace("\\", "\\\\").replace('"""', "'''") + (" " if text.endswith('"') else "")


def python_parameters(function):
    """The parameters of a Python function, without annotations."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return ["*args: Any", "**kwargs: Any"]
    out, star = [], False
    for p in parameters:
        if p.kind is p.KEYWORD_ONLY and not star:
            out.append("*")
        star = star or p.kind in (p.KEYWORD_ONLY, p.VAR_POSITIONAL)
        mark = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        out.append(mark + p.name + ("" if p.default is p.empty else f"={literal(p.default)}"))
        if p.kind is p.POSITIONAL_ONLY and all(q.kind is not q.POSITIONAL_ONLY for q in list(parameters)[len(out) :]):
            out.append("/")
    return out


def literal(value):
    """A default value as it may stand in a stub."""
    plain = value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value))
    return repr(value) if plain else "..."


def tensor_class(table):
    """The lines of class Tensor."""
    lines = ["class Tensor:", f'    """{summary(Tensor.__doc__) or "An array of numbers that can have gradients."}"""']
    for name in sorted(n for n in dir(Tensor) if not n.startswith("_") or n == "_version"):
        value = inspect.getattr_static(Tensor, name)
        if isinstance(value, (property, GetSetDescriptorType)):
            lines.append(f"    {name}: {PROPERTIES.get(name, 'Tensor' if name in table.rows else 'Any')}")
        elif isinstance(value, MethodDescriptorType) and name in table.rows and table.signatures(name, True):
            lines += definition(name, table.signatures(name, True), value.__doc__, "    ")
        elif isinstance(value, (FunctionType, BuiltinFunctionType, MethodDescriptorType)):
            parameters = python_parameters(value)
            lines += definition(name, [(parameters, "Any")], value.__doc__, "    ")
        elif isinstance(value, (staticmethod, classmethod)):
            lines.append(f"    @{type(value).__name__}")
            lines += definition(name, [(python_parameters(value.__func__), "Any")], value.__func__.__doc__, "    ")
        else:
            lines.append(f"    {name}: Any")
    names = {line.split("(")[0].split()[-1] for line in lines if "def " in line}
    lines += ["    " + line for line in DUNDERS if line.split("(")[0].split()[-1] not in names]
    return lines


HEAD = [
    '"""Generated by python/tools/stubs.py. Do not edit."""',
    "",
    "import builtins",
    "from collections.abc import Callable, Iterator, Sequence",
    "from typing import Any, overload",
    "",
]


def stub(name):
    """The text of one module's stub."""
    table, module = Table(), importlib.import_module(name)
    top = name == "rushlight"
    lines = list(HEAD)
    if not top:
        lines += ["from rushlight import Generator, Tensor, _Device, _dtype, _layout", ""]
    lines += ["Number = builtins.bool | builtins.int | builtins.float"]
    if top:
        lines += [*ALIASES, *CLASSES.rstrip().splitlines(), "", *tensor_class(table), ""]
    written = {"dtype", "device", "Generator", "Node", "Tensor", "Number"} if top else {"Tensor", "rushlight", "Generator", "Number"}
    for public in sorted(n for n in dir(module) if not n.startswith("_")):
        if public in written:
            continue
        try:
            value = getattr(module, public)
        except ImportError:
            continue
        lines += member(table, module, public, value)
    return shield("\n".join(lines)) + "\n"


def member(table, module, name, value):
    """The lines of one name of a module."""
    home = getattr(value, "__module__", None)
    if isinstance(value, ModuleType):
        package, _, last = value.__name__.rpartition(".")
        if not value.__name__.startswith("rushlight"):
            return []
        return [f"from {package} import {last} as {name}"]
    if isinstance(value, BuiltinFunctionType):
        if value.__name__ in table.rows:
            return definition(name, table.signatures(value.__name__, False), value.__doc__)
        parameters = [NATIVE[name]] if name in NATIVE else ["*args: Any", "**kwargs: Any"]
        return definition(name, [(parameters, "Tensor" if name in NATIVE else "Any")], value.__doc__)
    if isinstance(value, rushlight.dtype):
        return [f"{name}: _dtype"]
    if isinstance(value, FunctionType) and module.__name__ == "rushlight.nn.functional":
        several = "with_indices" in name or "return_indices" in value.__code__.co_varnames or name == "multi_head_attention_forward"
        return definition(name, [(python_parameters(value), "Any" if several else "Tensor")], value.__doc__)
    if isinstance(value, (type, FunctionType)) and is_from_elsewhere(value, name, home, module):
        return [f"from {home} import {name} as {name}"]
    if isinstance(value, FunctionType):
        return definition(name, [(python_parameters(value), "Any")], value.__doc__)
    if isinstance(value, type):
        return [f"class {name}(Any): ..."]
    if isinstance(value, (bool, int, float, str)):
        return [f"{name}: {type(value).__name__}"]
    return [f"{name}: Any"]


def is_from_elsewhere(value, name, home, module):
    """Whether a checker finds `name` in the sources of another module, `home`."""
    ours = isinstance(home, str) and home.startswith("rushlight") and home != module.__name__
    if not ours or value.__name__ != name or not hasattr(sys.modules.get(home), name):
        return False
    return re.search(rf"^(def|class) {name}\b|^(\w+, )*{name}(, \w+)* = ", inspect.getsource(sys.modules[home]), re.M) is not None


def shield(text):
    """Writes `builtins.float` for `float` and so on: torch has names that hide Python's."""
    hidden = re.compile(r"(?<![\w.])(bool|int|float)(?=[\s,\])|:]|$)")
    lines = []

    def open_up(text):
        return hidden.sub(r"builtins.\1", text)

    for line in text.splitlines():
        code = line.lstrip()
        if code.startswith(('"""', "from ", "import ", "@", "class ")):
            lines.append(line)
        elif code.startswith("def "):
            head, _, tail = line.partition("(")
            lines.append(f"{head}({open_up(tail)}")
        elif ":" in code:
            head, _, tail = line.partition(":")
            lines.append(f"{head}:{open_up(tail)}")
        else:
            lines.append(line)
    return "\n".join(lines)


def path_of(name):
    """Where a module's stub is."""
    source = Path(importlib.import_module(name).__file__)
    return ROOT / "python" / source.relative_to(Path(rushlight.__file__).parents[1]).with_suffix(".pyi")


def stubs():
    """The text of each stub, by its path."""
    out = {}
    for name in MODULES:
        try:
            out[path_of(name)] = stub(name)
        except ModuleNotFoundError as error:
            print(f"left out: {error}", file=sys.stderr)
    return {**out, ROOT / "python/rushlight/py.typed": ""}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only say whether the stubs are up to date")
    args = parser.parse_args()
    wanted = stubs()
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if args.check:
            print(f"{path.relative_to(ROOT)} is out of date: run python/tools/stubs.py")
        else:
            path.write_text(wanted[path], encoding="utf-8")
    return int(args.check and bool(stale))


if __name__ == "__main__":
    raise SystemExit(main())
