"""Modules as functions of their parameters: `functional_call` and `stack_module_state`.

Source: <https://docs.pytorch.org/docs/stable/generated/torch.func.functional_call.html>
"""

from rushlight import _C, Tensor


def functional_call(module, parameter_and_buffer_dicts, args=None, kwargs=None, *, tie_weights=True, strict=False):
    """Calls `module` with some of its parameters and buffers replaced, by name, and puts the old ones back.

    `parameter_and_buffer_dicts` is a dict or several with different keys. `args` is a tuple, or the only argument. With `tie_weights`
    a tensor that has several names is replaced under all of them; with `strict` every name must be given, and no other.
    """
    given = _merged(parameter_and_buffer_dicts)
    for t in given.values():
        if not isinstance(t, Tensor):
            raise TypeError(f"{t} is not an instance of torch.Tensor")
    places = _places(module)
    if tie_weights:
        given = _tied(given, places)
    if strict:
        _check_names(module, given, places)
    args = () if args is None else args if isinstance(args, tuple) else (args,)
    old = []
    try:
        for name, t in given.items():
            if name in places:
                owner, key = places[name]
                old.append((owner, key, owner[key]))
                owner[key] = t
        return module(*args, **(kwargs or {}))
    finally:
        for owner, key, t in reversed(old):
            owner[key] = t


def _merged(dicts):
    if isinstance(dicts, dict):
        return dict(dicts)
    if not isinstance(dicts, (list, tuple)) or not all(isinstance(d, dict) for d in dicts):
        raise ValueError(f"Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got {type(dicts)}")
    names = [name for d in dicts for name in d]
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if repeated:
        raise ValueError(f"{repeated} appeared in multiple dictionaries; behavior of functional call is ambiguous")
    return {name: t for d in dicts for name, t in d.items()}


def _places(module):
    """Where each parameter and buffer stands: full name to (dict, key)."""
    places = {}
    for prefix, sub in module.named_modules(remove_duplicate=False):
        for owner in (sub._parameters, sub._buffers):
            for key, t in owner.items():
                if t is not None:
                    places[f"{prefix}.{key}" if prefix else key] = (owner, key)
    return places


def _tied(given, places):
    """The replacements, under every name of each replaced tensor."""
    names_of = {}
    for name, (owner, key) in places.items():
        names_of.setdefault(id(owner[key]), []).append(name)
    full = dict(given)
    for names in names_of.values():
        replaced = [n for n in names if n in given]
        if len({id(given[n]) for n in replaced}) > 1:
            raise ValueError(f"functional_call got multiple values for keys {sorted(names)}, which are tied. Consider using tie_weights=False")
        if replaced:
            full.update(dict.fromkeys(names, given[replaced[0]]))
    return full


def _check_names(module, given, places):
    missing = [n for n in places if n not in given]
    unexpected = [n for n in given if n not in places]
    if not missing and not unexpected:
        return
    lines = [f"Error(s) in reparametrizing for {type(module).__name__}:"]
    for what, names in (("Unexpected", unexpected), ("Missing", missing)):
        if names:
            lines.append(f"{what} key(s): " + ", ".join(f"'{n}'" for n in names) + ".")
    raise RuntimeError("\n\t".join(lines))


def stack_module_state(models):
    """Returns `(params, buffers)`: the parameters and buffers of several alike modules, stacked by name, as fresh leaves.

    With `vmap` over `functional_call` they run as one ensemble.
    """
    models = list(models)
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if not (all(m.training for m in models) or not any(m.training for m in models)):
        raise RuntimeError("stack_module_state: Expected all models to have the same training/eval mode.")
    if not all(type(m) is type(models[0]) for m in models):
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    params = [dict(m.named_parameters()) for m in models]
    buffers = [dict(m.named_buffers()) for m in models]
    return tuple({name: _stacked(name, [d[name] for d in dicts]) for name in dicts[0]} for dicts in (params, buffers))


def _stacked(name, tensors):
    required = tensors[0].requires_grad
    if any(t.requires_grad != required for t in tensors):
        raise RuntimeError(f"Expected {name} from each model to have the same .requires_grad")
    return _C.functions["stack"](tensors).detach().requires_grad_(required)


def replace_all_batch_norm_modules_(root):
    """Makes every batch norm in `root` normalise by the statistics of the batch alone; returns `root`."""
    from rushlight.nn.modules.batchnorm import _BatchNorm

    for module in root.modules():
        if isinstance(module, _BatchNorm):
            module.running_mean = module.running_var = module.num_batches_tracked = None
            module.track_running_stats = False
    return root
