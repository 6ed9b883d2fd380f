"""Expressions evaluated in both packages under the same names: `torch`, `np`, `math`; the answers are compared.

A row is Python text: statements separated by `;`, the last one an expression. What it gives, or raises, is described so that the
descriptions of both packages are equal where the behaviour is.
"""

import ast
import math
import re
import warnings

import numpy as np
import rushlight

try:
    import torch
except ImportError:
    torch = None

_STEP = re.compile(r"\brushlight\b")


def evaluate(package, text, **names):
    """The value of the last statement of `text`."""
    tree = ast.parse(text)
    last = ast.Expression(tree.body.pop().value)
    scope = {"torch": package, "np": np, "math": math, **names}
    exec(compile(tree, text, "exec"), scope)
    return eval(compile(last, text, "eval"), scope)


def outcome(package, text, texts=False, warned=False, **names):
    """A description of what `text` gives: of its value, or of its exception (with its text, if `texts`)."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            described = describe(evaluate(package, text, **names))
        except Exception as e:  # noqa: BLE001
            described = ("raised", type(e).__name__, *([first_line(e)] if texts else []))
    if warned:
        described = (described, sorted({w.category.__name__ for w in caught}))
    return described


def first_line(error):
    """The part of an error's text that both packages share: without PyTorch's C++ locations."""
    return _STEP.sub("torch", str(error).partition("\n")[0]).strip()


def describe(value):
    """Value, dtype, shape, strides and kind of a result, as plain data."""
    if hasattr(value, "detach") and hasattr(value, "requires_grad"):
        strides = [s for n, s in zip(value.shape, value.stride()) if n > 1] if value.numel() else []
        kind = type(value).__name__
        return ("tensor", kind, str(value.dtype), tuple(value.shape), strides, value.requires_grad, numbers(value))
    if isinstance(value, np.ndarray):
        return ("array", str(value.dtype), value.shape, [repr(v) for v in value.reshape(-1).tolist()])
    if type(value).__module__.partition(".")[0] in ("torch", "rushlight"):
        if isinstance(value, tuple):
            return (type(value).__name__, [describe(v) for v in value])
        return _STEP.sub("torch", repr(value))
    if isinstance(value, (tuple, list)):
        return (type(value).__name__, [describe(v) for v in value])
    if isinstance(value, dict):
        return {k: describe(v) for k, v in value.items()}
    return (type(value).__name__, repr(value))


def numbers(t):
    values = t.detach().reshape(-1).tolist()
    return [repr(v) if not isinstance(v, float) else f"{v:.6g}" for v in values]


def same(text, **options):
    """Asserts that both packages give the same."""
    ours, theirs = outcome(rushlight, text, **options), outcome(torch, text, **options)
    assert ours == theirs, f"{text}\nrushlight: {ours}\ntorch:     {theirs}"


def rows(text):
    """The rows of a table: its lines, without blank ones and comments."""
    return [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
