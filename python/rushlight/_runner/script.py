"""Runs a script or module as Python itself would: `__main__`, `sys.argv`, `sys.path[0]`, exit codes, tracebacks."""

import importlib
import importlib.machinery
import importlib.util
import io
import os
import re
import sys
from types import ModuleType

from . import alias


def run_script(path, arguments):
    """Runs the file `path` as `__main__`, with `import torch` giving Rushlight."""
    alias.install()
    sys.argv = [path, *arguments]
    path = os.path.abspath(path)
    if not sys.flags.safe_path:
        sys.path[0] = os.path.dirname(os.path.realpath(path))
    loader = importlib.machinery.SourceFileLoader("__main__", path)
    with io.open_code(path) as file:
        source = file.read()
    execute(lambda: compile(source, path, "exec", dont_inherit=True), __file__=path, __loader__=loader)


def run_module(name, arguments):
    """Runs the module `name`, or a package's `__main__`, as `python -m` would."""
    alias.install()
    sys.argv = ["-m", *arguments]
    spec = find_module(name)
    sys.argv[0] = spec.origin
    execute(
        lambda: spec.loader.get_code(spec.name),
        __file__=spec.origin,
        __loader__=spec.loader,
        __package__=spec.parent,
        __spec__=spec,
    )


def find_module(name):
    """The spec of module `name`, of `name.__main__` if it is a package."""
    try:
        spec = importlib.util.find_spec(name)
    except ImportError as error:
        raise SystemExit(f"{sys.executable}: cannot find {name!r}: {error}") from None
    if spec is None:
        raise SystemExit(f"{sys.executable}: no module named {name}")
    if spec.submodule_search_locations is not None:
        if name.endswith(".__main__"):
            raise SystemExit(f"{sys.executable}: cannot run the package {name}")
        return find_module(name + ".__main__")
    if not hasattr(spec.loader, "get_code"):
        raise SystemExit(f"{sys.executable}: {name} has no Python code to run")
    return spec


def execute(code, **variables):
    """Runs what `code()` compiles in a fresh `__main__`. An uncaught error is shown without the frames of the runner."""
    main = ModuleType("__main__")
    main.__dict__.update(__builtins__=sys.modules["builtins"], __annotations__={}, __cached__=None, __package__=None)
    main.__dict__.update(variables)
    sys.modules["__main__"] = main
    try:
        exec(code(), main.__dict__)
    except SystemExit:
        raise
    except BaseException as error:
        show_from(main.__dict__, error)
        raise


def show_from(variables, error):
    """Makes the interpreter print the traceback of `error` from the first frame of the script on."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals is not variables:
        trace = trace.tb_next
    add_hint(error)
    hook = sys.excepthook

    def show(kind, value, _trace):
        hook(kind, value.with_traceback(trace) if value is error else value, trace if value is error else _trace)

    sys.excepthook = show


def add_hint(error):
    """`from torch.nn.functional import x` fails with a text of Python's own; the name's explanation goes below it."""
    found = re.match(r"cannot import name '(\w+)' from '(rushlight[\w.]*)'", str(error)) if isinstance(error, ImportError) else None
    if found and found[2] in sys.modules:
        try:
            getattr(sys.modules[found[2]], found[1])
        except AttributeError as explained:
            error.add_note(str(explained))
