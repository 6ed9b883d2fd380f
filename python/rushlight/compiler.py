"""`torch.compiler`: Rushlight runs eagerly. `compile` returns what it is given, and nothing is ever being compiled."""

from ._standin import constant, no_op


def compile(model=None, *, fullgraph=False, dynamic=None, backend="inductor", mode=None, options=None, disable=False):
    """Returns `model` itself (without `model`: a decorator that does). The options are hints for speed, and none is needed.

    PyTorch wraps a module, and the wrapper's state has keys with the prefix `_orig_mod.`; here the keys stay as they are.
    """
    if mode is not None and options is not None:
        raise RuntimeError("Either mode or options can be specified, but both can't be specified at the same time.")
    if model is None:
        return lambda model: model
    if not callable(model):
        raise TypeError(f"torch.compile expects a function or a module, not {type(model).__name__}")
    return model


def disable(fn=None, recursive=True, *, reason=None):
    """Returns `fn` itself, or a decorator that does."""
    return (lambda fn: fn) if fn is None else fn


def allow_in_graph(fn):
    """Returns `fn` itself."""
    return fn


def assume_constant_result(fn):
    """Returns `fn` itself."""
    return fn


def list_backends(exclude_tags=()):
    """Returns the names of the compilers that can be chosen: an empty list."""
    return []


class set_stance:
    """Accepts how to compile, as a call, a context or a decorator; there is nothing to compile."""

    def __init__(self, stance="default", *, skip_guard_eval_unsafe=False, force_backend=None):
        self.stance = stance

    def __call__(self, fn):
        return fn

    def __enter__(self):
        return None

    def __exit__(self, *error):
        return False


for _name in ("is_compiling", "is_dynamo_compiling", "is_exporting"):
    globals()[_name] = constant(False, "Returns False: code runs eagerly.")
del _name
no_op(globals(), ["reset", "cudagraph_mark_step_begin"], "Does nothing: there is no compiler.")
