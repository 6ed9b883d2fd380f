"""Layers, losses and the tools around them, as `torch.nn`."""

from .parameter import *
from .modules import *

from . import functional, init, modules, parallel, parameter, utils
from .parallel import DataParallel


def factory_kwargs(kwargs):
    """Returns `device`, `dtype` and `memory_format` out of a layer's keyword arguments."""
    if kwargs is None:
        return {}
    plain = {"device", "dtype", "memory_format"}
    unexpected = kwargs.keys() - {*plain, "factory_kwargs"}
    if unexpected:
        raise TypeError(f"unexpected kwargs {unexpected}")
    out = dict(kwargs.get("factory_kwargs", {}))
    for key in plain & kwargs.keys():
        if key in out:
            raise TypeError(f"{key} specified twice, in **kwargs and in factory_kwargs")
        out[key] = kwargs[key]
    return out
