"""What to say about a name of PyTorch that Rushlight lacks."""

from . import scope

ALIASES = {"torch": "rushlight", "torchvision": "rushlight._torchvision"}
COVERAGE = "docs/coverage.md lists what is there"


def public_name(name):
    """`torch.nn` for `rushlight.nn`, `torchvision.utils` for `rushlight._torchvision.utils`; other names as they are."""
    for public, real in sorted(ALIASES.items(), key=lambda pair: -len(pair[1])):
        if name == real or name.startswith(real + "."):
            return public + name[len(real) :]
    return name


def message(module, name):
    """One line: the missing name in PyTorch's spelling, the nearest names that `module` has, and where to read more."""
    import difflib

    full = public_name(f"{module.__name__}.{name}")
    names = [n for n in dir(module) if not n.startswith("_")]
    near = difflib.get_close_matches(name, names, n=3)
    # Names of other cases (`relu` for `ReLU`) are further apart than they look.
    lower = {n.lower(): n for n in names}
    near += [lower[n] for n in difflib.get_close_matches(name.lower(), lower, n=3)]
    near = list(dict.fromkeys(near))[:3]
    hint = f"; near it are {', '.join(near)}" if near else ""
    reason = scope.why_not(full)
    verdict = f"is out of scope for Rushlight: {reason}" if reason else "is missing in Rushlight"
    return f"{full} {verdict}{hint} ({COVERAGE})"
