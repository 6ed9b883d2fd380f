"""PyTorch's own operator database against the package: the same sample inputs through both, outputs and gradients compared.

    python python/tests/opinfo.py [REGEX]        prints every operator that falls short, and a total
    python python/tests/opinfo.py --gaps         prints the known gaps as opinfo_gaps.txt should list them
"""

import pathlib
import re
import sys
import types
import warnings

import numpy as np
import rushlight
import rushlight.linalg
import rushlight.special
import torch
from torch.testing._internal.common_methods_invocations import op_db

GAPS = pathlib.Path(__file__).with_name("opinfo_gaps.txt")
SAMPLES = 5
DTYPES = (torch.float32, torch.float64, torch.int64, torch.bool)

# Internals, complex and sparse numbers, what only allocates or draws (the streams have tests of their own), deprecated aliases.
OUT_OF_SCOPE = re.compile(
    r"_|jiterator|sparse\.|torch\.|to_sparse|hash_tensor|c(double|float)$|chalf|complex$|polar$|view_as_(complex|real)|resolve_|mH$|H$|native_|.*_copy$"
    r"|.*_with_indices_backward|nonzero_static|renorm$|(pca|svd)_lowrank|masked\.|linalg\.(ldl|householder|polar|matrix_sqrth)|ormqr|geqrf|(new_)?empty"
    r"|special\.(airy|bessel|chebyshev|hermite|laguerre|legendre|modified|scaled|shifted|spherical)|fft\.|istft|stft"
    r"|(bernoulli|cauchy|exponential|geometric|log_normal|normal|uniform|multinomial|equal|allclose)$|rand|resize_|_segment|unsafe_"
    r"|nn\.functional\.(dropout|alpha_dropout|feature_alpha|rrelu|fractional)|signal\.windows\.nuttall"
)
# The samples of these are a matter of convention (the sign of a vector, the basis of a subspace): only shapes are compared.
UNDETERMINED = re.compile(r"linalg\.(eig|eigh|svd|qr|lu|lu_factor)|svd|qr|lu")


def name_of(op):
    return op.name + (f".{op.variant_test_name}" if op.variant_test_name else "")


OPERATORS = {name_of(op): op for op in op_db if not OUT_OF_SCOPE.match(op.name)}


class Unsupported(Exception):
    """An input that the package has no equivalent of."""


def convert(x, grad):
    """The package's twin of a sample's argument."""
    if isinstance(x, torch.Tensor):
        if x.is_complex() or x.layout is not torch.strided:
            raise Unsupported(f"{x.dtype} {x.layout}")
        twin = rushlight.from_numpy(np.array(x.detach().numpy(), copy=True))
        return twin.requires_grad_() if grad and x.requires_grad else twin
    if isinstance(x, torch.dtype):
        twin = getattr(rushlight, str(x).removeprefix("torch."), None)
        if twin is None:
            raise Unsupported(str(x))
        return twin
    if isinstance(x, torch.device):
        return str(x)
    if isinstance(x, (torch.memory_format, torch.layout, torch.Generator, types.FunctionType, types.BuiltinFunctionType)):
        raise Unsupported(type(x).__name__)
    if type(x) is torch.nn.PairwiseDistance:
        return rushlight.nn.PairwiseDistance(x.norm, x.eps, x.keepdim)
    if isinstance(x, torch.Size):
        return tuple(x)
    if isinstance(x, (list, tuple)):
        return type(x)(convert(v, grad) for v in x)
    if isinstance(x, dict):
        return {k: convert(v, grad) for k, v in x.items()}
    if isinstance(x, slice):
        return slice(*(convert(v, grad) for v in (x.start, x.stop, x.step)))
    return x


def flat(x, kinds):
    """All values of these types in nested containers."""
    if isinstance(x, kinds):
        return [x]
    if isinstance(x, dict):
        x = x.values()
    elif not isinstance(x, (list, tuple)):
        return []
    return [leaf for v in x for leaf in flat(v, kinds)]


def seeded(function, *args, **kwargs):
    """Our side of the database's `wrapper_set_seed`, with its seed: both packages draw the same numbers."""
    rushlight.manual_seed(42)
    return function(*args, **kwargs)


def function_of(op):
    """The package's function for an entry of the database: its wrapper with our modules for PyTorch's, or the same dotted name."""
    f = op.op
    if isinstance(f, types.FunctionType) and f.__module__.startswith("torch.testing._internal"):
        scope = {**f.__globals__, "torch": rushlight, "F": rushlight.nn.functional, "wrapper_set_seed": seeded}
        return types.FunctionType(f.__code__, scope, f.__name__, f.__defaults__, f.__closure__)
    found = rushlight
    try:
        for part in op.name.split("."):
            found = getattr(found, part)
        if callable(found):
            return found
    except AttributeError:
        pass
    method = getattr(rushlight.Tensor, op.name, None)
    if method is None:
        raise AttributeError(f"there is no {op.name}")
    return method


def array(x):
    return x.detach().numpy() if hasattr(x, "detach") else np.asarray(x)


# Operators whose gradients are small differences of large numbers: PyTorch's own are as far from those in float64 as ours are.
LOOSER = {"nn.functional.scaled_dot_product_attention": 10}


def mismatch(what, wanted, found, looser=1):
    """How `found` differs from `wanted`, or None."""
    if hasattr(wanted, "_is_zerotensor") and wanted._is_zerotensor():
        wanted = torch.zeros(wanted.shape, dtype=wanted.dtype)
    a, b = array(wanted), array(found)
    if hasattr(wanted, "detach") and (a.shape != b.shape or a.dtype != b.dtype):
        return f"{what}: {b.dtype}{list(b.shape)} instead of {a.dtype}{list(a.shape)}"
    if a.dtype.kind != "f":
        return None if np.array_equal(a, b) else f"{what}: values differ"
    rtol, atol = {"float32": (2e-4, 1e-5), "float64": (1e-6, 1e-8)}.get(str(a.dtype), (1e-2, 1e-3))
    finite = np.abs(np.where(np.isfinite(a), a, 0)).astype(np.float64)
    atol *= max(1.0, finite.max(initial=0.0)) * looser
    if np.allclose(b.astype(np.float64), a.astype(np.float64), rtol=rtol, atol=atol, equal_nan=True):
        return None
    return f"{what}: values differ by up to {np.nanmax(np.abs(b.astype(np.float64) - a)):.3g}"


def fresh(x):
    """A copy of a sample's argument, so that an op in place spoils nothing."""
    if isinstance(x, torch.Tensor):
        return x.detach().clone().requires_grad_(x.requires_grad)
    if isinstance(x, (list, tuple)) and not isinstance(x, torch.Size):
        return type(x)(fresh(v) for v in x)
    return {k: fresh(v) for k, v in x.items()} if isinstance(x, dict) else x


def check(op, function, sample, grad):
    """None where both agree, a text where they differ; raises Unsupported where there is nothing to compare."""
    theirs = fresh((sample.input, tuple(sample.args), sample.kwargs))
    try:
        wanted = op.op(theirs[0], *theirs[1], **theirs[2])
    except Exception as error:
        raise Unsupported(f"PyTorch raised {type(error).__name__}") from None
    numbers = (float, int, bool)
    wanted_all = flat(wanted, (torch.Tensor, *numbers))
    if any(isinstance(w, torch.Tensor) and (w.is_complex() or w.is_sparse or w.dtype is torch.bfloat16) for w in wanted_all):
        raise Unsupported("complex, sparse or bfloat16 results")
    ours = convert((sample.input, tuple(sample.args), sample.kwargs), grad)
    try:
        found = function(ours[0], *ours[1], **ours[2])
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:160]}"
    found_all = flat(found, (rushlight.Tensor, *numbers))
    if len(found_all) != len(wanted_all):
        return f"{len(found_all)} results instead of {len(wanted_all)}"
    undetermined = UNDETERMINED.fullmatch(op.name)
    for i, (w, f) in enumerate(zip(wanted_all, found_all)):
        if undetermined:
            if isinstance(w, torch.Tensor) and tuple(w.shape) != tuple(f.shape):
                return f"result {i}: shape {tuple(f.shape)} instead of {tuple(w.shape)}"
        elif text := mismatch(f"result {i}", w, f):
            return text
    if not grad or undetermined or not op.supports_autograd:
        return None
    their_leaves, our_leaves = ([t for t in flat(x, kind) if t.requires_grad] for x, kind in ((theirs, torch.Tensor), (ours, rushlight.Tensor)))
    their_roots, our_roots = ([t for t in flat(x, kind) if t.requires_grad] for x, kind in ((wanted, torch.Tensor), (found, rushlight.Tensor)))
    if not their_leaves or not their_roots:
        return None
    if len(our_roots) != len(their_roots):
        return f"{len(our_roots)} results require a gradient instead of {len(their_roots)}"
    generator = torch.Generator().manual_seed(7)
    weights = [torch.randn(r.shape, dtype=torch.float64, generator=generator).to(r.dtype) for r in their_roots]
    try:
        wanted_grads = torch.autograd.grad(their_roots, their_leaves, weights, allow_unused=True)
    except Exception as error:
        raise Unsupported(f"PyTorch's backward raised {type(error).__name__}") from None
    try:
        found_grads = rushlight.autograd.grad(our_roots, our_leaves, convert(weights, False), allow_unused=True)
    except Exception as error:
        return f"backward: {type(error).__name__}: {str(error)[:160]}"
    for i, (w, f) in enumerate(zip(wanted_grads, found_grads)):
        if w is None or f is None:
            rest = w if w is not None else f
            if rest is not None and np.any(array(rest)):
                return f"gradient {i} is there in one of the two only"
        elif text := mismatch(f"gradient {i}", w, f, LOOSER.get(op.name, 1)):
            return text
    return None


def shortcomings(op, most=SAMPLES):
    """How many samples agreed, and how each of the others differs."""
    try:
        function = function_of(op)
    except AttributeError as error:
        return 0, [str(error)]
    passed, failed = 0, []
    for dtype in DTYPES:
        if not op.supports_dtype(dtype, "cpu"):
            continue
        grad = dtype.is_floating_point and op.supports_autograd and dtype in op.supported_backward_dtypes("cpu")
        torch.manual_seed(0)
        np.random.seed(0)
        try:
            samples = list(zip(range(most), op.sample_inputs("cpu", dtype, requires_grad=grad)))
        except Exception:
            continue  # samples that need what is not installed
        for _, sample in samples:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    problem = check(op, function, sample, grad)
            except Unsupported:
                continue
            if problem is None:
                passed += 1
            else:
                failed.append(f"{str(dtype).removeprefix('torch.')}: {problem}")
    return passed, failed


def known_gaps():
    """Operators of which not every sample agrees, by name, with the reason."""
    rows = [line.partition("  ") for line in GAPS.read_text().splitlines() if line and not line.startswith("#")]
    return {name: reason.strip() for name, _, reason in rows}


def main():
    torch.set_num_threads(1)
    pattern = sys.argv[1] if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else ""
    good = total = 0
    for name, op in sorted(OPERATORS.items()):
        if not re.search(pattern, name):
            continue
        passed, failed = shortcomings(op)
        if passed + len(failed) == 0:
            continue
        total += 1
        good += not failed
        if failed:
            print(f"{name}  {failed[0]}" if "--gaps" in sys.argv else f"{name}: {passed} agree, {len(failed)} do not: {failed[:2]}", flush=True)
    print(f"{good} of {total} operators agree on every sample", file=sys.stderr)


if __name__ == "__main__":
    main()
