"""Modules without first values."""

__all__ = ["skip_init"]


def skip_init(module_cls, *args, **kwargs):
    """Returns `module_cls(*args, **kwargs)` with parameters whose values are still to be set.

    There is no device without memory here, so the values are drawn all the same.
    """
    from ..modules.module import Module

    if not issubclass(module_cls, Module):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    return module_cls(*args, **kwargs)
