"""`torch.jit`: Rushlight runs Python. `script` and `trace` return what they are given; compiled programs cannot be saved or loaded."""

from ._standin import constant, refuse

is_scripting = constant(False, "Returns False: Python runs.")
is_tracing = constant(False, "Returns False: nothing is traced.")


def script(obj, optimize=None, _frames_up=0, _rcb=None, example_inputs=None):
    """Returns `obj` itself: a function, module or class stays Python."""
    return obj


def trace(func, example_inputs=None, *args, **kwargs):
    """Returns `func` itself. Unlike a trace, it goes on looking at the values of its inputs."""
    return func


def trace_module(mod, inputs, *args, **kwargs):
    """Returns `mod` itself."""
    return mod


def freeze(mod, preserved_attrs=None, optimize_numerics=True):
    """Returns `mod` itself, which as in PyTorch must be in evaluation mode."""
    if mod.training:
        raise RuntimeError("Freezing is currently only implemented for modules in eval mode. Please call .eval() on your module before freezing.")
    return mod


def optimize_for_inference(mod, other_methods=None):
    """Returns `mod` itself."""
    return mod


def _mark(fn):
    """Returns `fn` itself: a mark for the compiler."""
    return fn


export = unused = script_method = interface = script_if_tracing = _mark


def ignore(drop=False, **kwargs):
    """Returns a function marked with it, or a decorator."""
    return drop if callable(drop) else _mark


def annotate(the_type, the_value):
    """Returns `the_value`."""
    return the_value


def isinstance(obj, target_type):
    """Python's `isinstance`."""
    import builtins

    return builtins.isinstance(obj, target_type)


refuse(
    globals(),
    "Rushlight has no TorchScript: save a state_dict with torch.save, and load it with torch.load",
    functions="load save".split(),
    classes="CompilationUnit RecursiveScriptModule ScriptFunction ScriptModule TopLevelTracedModule".split(),
)


def __getattr__(name):
    if name == "Final":
        from typing import Final

        return Final
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
