"""Makes `torch` and `torchvision` name Rushlight's modules, in this process only.

`import torch.nn.functional as F` gives the module `rushlight.nn.functional` itself, not a copy: `sys.modules["torch.nn"] is
sys.modules["rushlight.nn"]`, so classes are the same whichever name they are reached by.
"""

import importlib
import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from . import missing


def install():
    """Aliases what is loaded, and everything that is imported from now on. Calling it again changes nothing."""
    if any(isinstance(finder, AliasFinder) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, AliasFinder())
    sys.meta_path.append(LastFinder())
    importlib.import_module("rushlight")
    for name, module in list(sys.modules.items()):
        if isinstance(module, ModuleType) and (name == "rushlight" or name.startswith("rushlight.")):
            alias(module)


def alias(module):
    """Enters `module` under its PyTorch name, and lets it explain what it lacks."""
    public = missing.public_name(module.__name__)
    if sys.modules.get(public) is not module:
        sys.modules[public] = module
        explain(module)
    return module


def explain(module):
    """Gives `module` a `__getattr__` that names what is missing; one that it has already is asked first."""
    own = module.__dict__.get("__getattr__")

    def __getattr__(name):
        if own is not None:
            try:
                return own(name)
            except AttributeError as error:
                if name.startswith("__") or not is_plain(error):
                    raise
        if name.startswith("__"):
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
        raise AttributeError(missing.message(module, name), name=name, obj=None)

    module.__getattr__ = __getattr__


def is_plain(error):
    """Whether an error says no more than that the module lacks the name."""
    return str(error).startswith("module ") and "has no attribute" in str(error)


class AliasFinder:
    """The first finder: answers for `torch…` and `torchvision…`, and has Rushlight's modules aliased when they load."""

    def find_spec(self, fullname, path=None, target=None):
        head, dot, tail = fullname.partition(".")
        if head == "rushlight":
            return aliased(PathFinder.find_spec(fullname, path, target))
        if head not in missing.ALIASES:
            return None
        module = importlib.import_module(missing.ALIASES[head] + dot + tail)
        return ModuleSpec(fullname, AliasLoader(module), origin=getattr(module, "__file__", None))


def aliased(spec):
    """A spec whose module is aliased as soon as it has run."""
    if spec is not None and spec.loader is not None:
        run = spec.loader.exec_module

        def exec_module(module):
            run(module)
            alias(module)

        spec.loader.exec_module = exec_module
    return spec


class AliasLoader:
    """Puts an existing module in the place of the empty one that the import system makes."""

    def __init__(self, module):
        self.module = module

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        sys.modules.pop(module.__name__, None)
        alias(self.module)


class LastFinder:
    """The last finder: a module of Rushlight that nobody found is one that is missing.

    `from torch import x` comes here too, after the package said that it has no `x`.
    """

    def find_spec(self, fullname, path=None, target=None):
        parent, _, name = fullname.rpartition(".")
        if parent != "rushlight" and not parent.startswith("rushlight."):
            return None
        raise ModuleNotFoundError(missing.message(sys.modules[parent], name), name=missing.public_name(fullname))
