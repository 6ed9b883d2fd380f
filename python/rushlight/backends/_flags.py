"""A context that sets variables of a module and puts the old values back."""

from contextlib import contextmanager


@contextmanager
def setting(variables, values):
    """Sets the `values` in the dictionary `variables` for the time of a `with` block."""
    before = {name: variables[name] for name in values}
    variables.update(values)
    try:
        yield
    finally:
        variables.update(before)
