"""Tools around training: `utils.data` and others. Each is imported when it is first used."""


def __getattr__(name):
    from importlib import import_module
    from importlib.util import find_spec

    path = f"{__name__}.{name}"
    if name.startswith("__") or find_spec(path) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(path)
