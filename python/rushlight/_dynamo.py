"""`torch._dynamo`: the switches of a compiler that is not there can be set, and `disable` and `reset` called."""

from types import SimpleNamespace

from .compiler import allow_in_graph, assume_constant_result, disable, is_compiling, list_backends, reset  # noqa: F401

config = SimpleNamespace(suppress_errors=False, cache_size_limit=8, recompile_limit=8, verbose=False)


def optimize(backend="inductor", **options):
    """Returns a decorator that returns its argument, as `torch.compile` does."""
    return lambda fn: fn


def mark_dynamic(tensor, index, **options):
    """Accepts a hint for the compiler."""


mark_static = maybe_mark_dynamic = mark_dynamic
