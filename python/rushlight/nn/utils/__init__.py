"""Tools around modules: clipping gradients, packing sequences, reparametrizing weights.

Seldom used ones are imported on first use.
"""

from . import rnn
from .clip_grad import (
    clip_grad_norm,
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
)
from .convert_parameters import parameters_to_vector, vector_to_parameters

_LAZY_MODULES = ("clip_grad", "parametrizations", "parametrize", "prune", "stateless")
_LAZY_NAMES = {
    "weight_norm": "_weight_norm",
    "remove_weight_norm": "_weight_norm",
    "spectral_norm": "_spectral_norm",
    "remove_spectral_norm": "_spectral_norm",
    "skip_init": "init",
}


def __getattr__(name):
    from importlib import import_module

    if name in _LAZY_NAMES:
        value = getattr(import_module(f"{__name__}.{_LAZY_NAMES[name]}"), name)
    elif name in _LAZY_MODULES:
        value = import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value
