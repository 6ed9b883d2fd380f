"""Every sample of the op table through the Python door, against live PyTorch: value, dtype, shape, strides, is-view, gradients, errors."""

import math
import warnings

import pytest
import rushlight

from op_samples import deliberate_differences, full_name, function, outputs, run, uniform

torch = pytest.importorskip("torch")
TABLE = rushlight._C._op_table()
DIFFERENCES = deliberate_differences()
# Rows of PyTorch's `aten` alone: no Python name to compare with.
NAMELESS = {"slice"}
UNINITIALISED = {"empty", "empty_like", "new_empty"}


def numbers(t):
    if isinstance(t, torch.Tensor) and t._is_zerotensor():
        return [0.0] * t.numel()
    return t.detach().to(dtype=getattr(type_module(t), "float64")).contiguous().reshape(-1).tolist()


def type_module(t):
    return torch if isinstance(t, torch.Tensor) else rushlight


def known(row, text, facet):
    return any(op == full_name(row) and part in text and f == facet for op, part, f in DIFFERENCES)


def try_run(package, row, text, default, grad=False):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return run(package, row, text, default, grad), None
        except (RuntimeError, TypeError, IndexError, ValueError, NotImplementedError, AssertionError, ZeroDivisionError) as error:
            return None, error


def weights(package, results):
    """The gradient of each result: element e of result i weighs 0.3 + uniform(i, e)."""
    made = [[0.3 + uniform(i, e) for e in range(r.numel())] for i, r in enumerate(results)]
    return [package.tensor(w, dtype=package.float64).reshape(r.shape).to(r.dtype) for w, r in zip(made, results)]


def gradients(package, row, text):
    done, error = try_run(package, row, text, "float64", grad=True)
    if error:
        return None, error
    sample, result = done
    recorded = [o for o in outputs(package, result) if o.requires_grad]
    leaves = [t for t in sample.leaves if t.requires_grad]
    if not recorded or not leaves:
        return [], None
    try:
        return package.autograd.grad(recorded, leaves, weights(package, recorded), allow_unused=True), None
    except (RuntimeError, NotImplementedError) as error:
        return None, error


def builtin_kind(error):
    """The exception's type, or the builtin one that a package's own stands under (LinAlgError)."""
    return error if error is None else next(c for c in type(error).__mro__ if c.__module__ == "builtins")


def close(found, wanted, tolerance):
    scale = max([1.0, *(abs(w) for w in wanted if math.isfinite(w))])
    return len(found) == len(wanted) and all(
        f == w or (f != f and w != w) or abs(f - w) <= tolerance * scale for f, w in zip(found, wanted)
    )


def is_view(package, result, leaves):
    address = result.untyped_storage().data_ptr()
    return address != 0 and any(t.untyped_storage().data_ptr() == address for t in leaves)


def steps(t):
    """Strides that mean something: of dimensions with more than one element."""
    return [s for n, s in zip(t.shape, t.stride()) if n > 1] if t.numel() else []


def compare(row, text):
    problems = []
    ours, our_error = try_run(rushlight, row, text, "float32")
    theirs, their_error = try_run(torch, row, text, "float32")
    if our_error or their_error:
        if bool(our_error) != bool(their_error):
            facet = "Refuses" if our_error else "Accepts"
            return [] if known(row, text, facet) else [f"{facet}: {our_error or their_error!r}"]
        if builtin_kind(our_error) is not builtin_kind(their_error) and not known(row, text, "Kind"):
            problems.append(f"{our_error!r} instead of {their_error!r}")
        return problems
    (sample, result), (their_sample, their_result) = ours, theirs
    found, wanted = outputs(rushlight, result), outputs(torch, their_result)
    if len(found) != len(wanted):
        return [f"{len(found)} results instead of {len(wanted)}"]
    if not found and result != their_result and not (result != result and their_result != their_result):
        problems.append(f"{result!r} instead of {their_result!r}")
    for i, (a, b) in enumerate(zip(found, wanted)):
        if str(a.dtype) != str(b.dtype) or tuple(a.shape) != tuple(b.shape):
            if not known(row, text, "Layout"):
                problems.append(f"result {i} is {a.dtype} {tuple(a.shape)} instead of {b.dtype} {tuple(b.shape)}")
            continue
        if steps(a) != steps(b) and not known(row, text, "Strides"):
            problems.append(f"result {i} has strides {a.stride()} instead of {b.stride()}")
        if is_view(rushlight, a, sample.leaves) != is_view(torch, b, their_sample.leaves) and not known(row, text, "View"):
            problems.append(f"result {i} shares memory or not, unlike PyTorch's")
        tolerance = {"torch.float16": 2e-3, "torch.bfloat16": 1.6e-2, "torch.float32": 2e-5, "torch.float64": 1e-9}.get(str(a.dtype), 0)
        if row["name"] not in UNINITIALISED and not close(numbers(a), numbers(b), tolerance) and not known(row, text, "Value"):
            problems.append(f"result {i} is {numbers(a)[:8]} instead of {numbers(b)[:8]}")
    if row["nondiff"] or known(row, text, "Gradient"):
        return problems
    ours, our_error = gradients(rushlight, row, text)
    theirs, their_error = gradients(torch, row, text)
    if their_error is not None:
        return problems  # no derivative in PyTorch for one of the arguments
    if our_error is not None:
        return problems + [f"backward: {our_error!r}"]
    for i, (a, b) in enumerate(zip(ours, theirs)):
        tolerance = 1.6e-2 if any("16" in str(t.dtype) for t in (a, b) if t is not None) else 1e-7
        a = numbers(a) if a is not None else [0.0] * len(numbers(b) if b is not None else [])
        b = numbers(b) if b is not None else [0.0] * len(a)
        if not close(a, b, tolerance):
            problems.append(f"gradient {i} is {a[:8]} instead of {b[:8]}")
    return problems


@pytest.mark.parametrize("row", TABLE, ids=full_name)
def test_samples(row):
    if row["name"] in NAMELESS or function(torch, row) is None:
        pytest.skip(f"PyTorch has no Python function {row['name']}")
    assert function(rushlight, row) is not None, "the package does not show this op under PyTorch's name"
    problems = []
    for text in [*row["samples"], *(call for call, _ in row["errors"])]:
        problems += [f"{row['name']}({text}): {p}" for p in compare(row, text)]
    assert not problems, "\n".join(problems)
