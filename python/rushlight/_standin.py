"""What the modules of absent devices and services are made of: functions and classes that say that they cannot do their work."""


def refuse(namespace, why, functions=(), classes=()):
    """Adds `functions` and `classes` to a module's `namespace`; calling one raises RuntimeError with `why`."""
    module = namespace["__name__"].replace("rushlight", "torch", 1)
    for name in functions:
        namespace[name] = refusing_function(module, name, why)
    for name in classes:
        namespace[name] = refusing_class(namespace["__name__"], module, name, why)


def refusing_function(module, name, why):
    def function(*args, **kwargs):
        raise RuntimeError(f"{why} ({module}.{name} was called)")

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Raises RuntimeError: {why}."
    return function


def refusing_class(home, module, name, why):
    def __init__(self, *args, **kwargs):
        raise RuntimeError(f"{why} (a {module}.{name} was made)")

    doc = f"No object can be of this class: {why}. It is there for `isinstance`."
    return type(name, (), {"__init__": __init__, "__doc__": doc, "__module__": home})


def constant(value, doc):
    """A function that takes what it is given and returns `value`."""

    def function(*args, **kwargs):
        return value

    function.__doc__ = doc
    return function


def no_op(namespace, names, doc="Does nothing: there is no such device."):
    """Adds functions that PyTorch too accepts silently on a machine without the device."""
    for name in names:
        namespace[name] = constant(None, doc)
        namespace[name].__name__ = namespace[name].__qualname__ = name
