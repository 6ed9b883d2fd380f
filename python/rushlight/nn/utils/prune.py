"""Setting parts of parameters to zero, by masks that stay in force while training."""

import numbers
from abc import ABC, abstractmethod
from collections import abc

import rushlight


__all__ = [
    "BasePruningMethod",
    "PruningContainer",
    "Identity",
    "RandomUnstructured",
    "L1Unstructured",
    "RandomStructured",
    "LnStructured",
    "CustomFromMask",
    "identity",
    "random_unstructured",
    "l1_unstructured",
    "random_structured",
    "ln_structured",
    "global_unstructured",
    "custom_from_mask",
    "remove",
    "is_pruned",
]


class BasePruningMethod(ABC):
    """A forward pre-hook that multiplies parameter `name_orig` by buffer `name_mask` to give `name`.

    Subclasses define `compute_mask(t, default_mask)` and `PRUNING_TYPE`: `'unstructured'`, `'structured'` or `'global'`.
    """

    _tensor_name = None

    def __call__(self, module, inputs):
        setattr(module, self._tensor_name, self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t, default_mask):
        """Returns the mask for `t`: zeros where to prune, and where `default_mask` is zero."""

    def apply_mask(self, module):
        """Returns the original times the mask."""
        if self._tensor_name is None:
            raise AssertionError(f"Module {module} has to be pruned")
        mask, orig = getattr(module, self._tensor_name + "_mask"), getattr(module, self._tensor_name + "_orig")
        return mask.to(dtype=orig.dtype) * orig

    @classmethod
    def apply(cls, module, name, *args, importance_scores=None, **kwargs):
        """Prunes parameter `name` of `module`, on top of earlier pruning; returns the hook."""
        old = [(key, h) for key, h in module._forward_pre_hooks.items()
               if isinstance(h, BasePruningMethod) and h._tensor_name == name]
        method = cls(*args, **kwargs)
        method._tensor_name = name
        if old:
            key, previous = old[0]
            del module._forward_pre_hooks[key]
            container = previous if isinstance(previous, PruningContainer) else PruningContainer(previous)
            container.add_pruning_method(method)
            method = container
        original = getattr(module, name)
        if importance_scores is None:
            importance_scores = original
        elif importance_scores.shape != original.shape:
            raise AssertionError(
                f"importance_scores should have the same shape as parameter {name} of {module}"
            )
        if not old:
            original = module._parameters[name]
            module.register_parameter(name + "_orig", original)
            del module._parameters[name]
            default_mask = rushlight.ones_like(original.detach())
        else:
            default_mask = getattr(module, name + "_mask").detach().clone()
        try:
            mask = method.compute_mask(importance_scores.detach(), default_mask=default_mask)
            module.register_buffer(name + "_mask", mask)
            setattr(module, name, method.apply_mask(module))
            module.register_forward_pre_hook(method)
        except Exception:
            if not old:
                module.register_parameter(name, original)
                del module._parameters[name + "_orig"]
            raise
        return method

    def prune(self, t, default_mask=None, importance_scores=None):
        """Returns `t` pruned, outside of any module."""
        scores = t if importance_scores is None else importance_scores
        if scores.shape != t.shape:
            raise AssertionError("importance_scores should have the same shape as tensor t")
        default_mask = rushlight.ones_like(t) if default_mask is None else default_mask
        return t * self.compute_mask(scores, default_mask=default_mask)

    def remove(self, module):
        """Makes the pruned tensor the parameter again."""
        name = self._tensor_name
        weight = self.apply_mask(module)
        if hasattr(module, name):
            delattr(module, name)
        orig = module._parameters[name + "_orig"]
        orig.data = weight.data
        del module._parameters[name + "_orig"]
        del module._buffers[name + "_mask"]
        setattr(module, name, orig)


class PruningContainer(BasePruningMethod):
    """Several methods on one tensor; each prunes what the earlier ones left."""

    PRUNING_TYPE = "container"

    def __init__(self, *args):
        self._pruning_methods = ()
        if args and not isinstance(args[0], abc.Iterable):
            self._tensor_name = args[0]._tensor_name
        methods = args if len(args) != 1 or not isinstance(args[0], abc.Iterable) else tuple(args[0])
        for method in methods:
            if self._tensor_name is None:
                self._tensor_name = method._tensor_name
            self.add_pruning_method(method)

    def add_pruning_method(self, method):
        """Adds a method, which must be for the same tensor."""
        if not isinstance(method, BasePruningMethod) and method is not None:
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if method is not None and self._tensor_name != method._tensor_name:
            raise ValueError(
                f"Can only add pruning methods acting on the parameter named '{self._tensor_name}' to PruningContainer "
                f"{self}. Found '{method._tensor_name}'"
            )
        self._pruning_methods += (method,)

    def __len__(self):
        return len(self._pruning_methods)

    def __iter__(self):
        return iter(self._pruning_methods)

    def __getitem__(self, index):
        return self._pruning_methods[index]

    def compute_mask(self, t, default_mask):
        method = self._pruning_methods[-1]
        mask = default_mask.to(dtype=t.dtype)
        if method.PRUNING_TYPE == "unstructured":
            left = mask == 1
        elif method.PRUNING_TYPE == "structured":
            # A channel takes part if anything of it is left.
            dim = method.dim % t.dim()
            others = [d for d in range(t.dim()) if d != dim]
            channels = (mask.sum(others) != 0) if others else mask != 0
            left = channels.nonzero().reshape(-1)
            part = t.index_select(dim, left)
            partial = method.compute_mask(part, default_mask=mask.index_select(dim, left))
            return mask.index_copy(dim, left, partial.to(mask.dtype))
        elif method.PRUNING_TYPE == "global":
            left = rushlight.ones_like(mask, dtype=rushlight.bool)
        else:
            raise ValueError(f"Unrecognized PRUNING_TYPE {method.PRUNING_TYPE}")
        partial = method.compute_mask(t[left], default_mask=mask[left])
        return mask.masked_scatter(left, partial.to(mask.dtype))


class Identity(BasePruningMethod):
    """Prunes nothing, but makes mask and original."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t, default_mask):
        return default_mask


class RandomUnstructured(BasePruningMethod):
    """Prunes a number (or fraction) `amount` of elements at random."""

    PRUNING_TYPE = "unstructured"

    def __init__(self, amount):
        _check_amount(amount)
        self.amount = amount

    def compute_mask(self, t, default_mask):
        count = _count(self.amount, t.numel())
        _check_count(count, t.numel())
        mask = default_mask.clone()
        if count:
            chosen = rushlight.rand_like(t).reshape(-1).topk(count)[1]
            mask.view(-1)[chosen] = 0
        return mask


class L1Unstructured(BasePruningMethod):
    """Prunes the number (or fraction) `amount` of elements that are nearest to zero."""

    PRUNING_TYPE = "unstructured"

    def __init__(self, amount):
        _check_amount(amount)
        self.amount = amount

    def compute_mask(self, t, default_mask):
        count = _count(self.amount, t.numel())
        _check_count(count, t.numel())
        mask = default_mask.clone()
        if count:
            chosen = t.abs().reshape(-1).topk(count, largest=False)[1]
            mask.view(-1)[chosen] = 0
        return mask


class _Structured(BasePruningMethod):
    """Prunes whole slices of dimension `dim`."""

    PRUNING_TYPE = "structured"

    def _kept(self, t, count):
        """Returns the positions of the slices that stay, all but `count`."""
        raise NotImplementedError

    def compute_mask(self, t, default_mask):
        if t.dim() <= 1:
            raise ValueError(
                "Structured pruning can only be applied to multidimensional tensors. "
                f"Found tensor of shape {t.shape} with {t.dim()} dims"
            )
        if not -t.dim() <= self.dim < t.dim():
            raise IndexError(f"Invalid index {self.dim} for tensor of size {t.shape}")
        size = t.shape[self.dim]
        count = _count(self.amount, size)
        _check_count(count, size)
        if count == 0:
            return default_mask
        stays = rushlight.zeros(size, dtype=t.dtype).index_fill(0, self._kept(t, count), 1)
        shape = [1] * t.dim()
        shape[self.dim] = size
        return default_mask * stays.reshape(shape).to(default_mask.dtype)


class RandomStructured(_Structured):
    """Prunes a number (or fraction) `amount` of slices of `dim` at random."""

    def __init__(self, amount, dim=-1):
        _check_amount(amount)
        self.amount = amount
        self.dim = dim

    def _kept(self, t, count):
        draws = rushlight.rand(t.shape[self.dim])
        return (draws > draws.kthvalue(count)[0]).nonzero().reshape(-1)


class LnStructured(_Structured):
    """Prunes the number (or fraction) `amount` of slices of `dim` with the smallest `n`-norms."""

    def __init__(self, amount, n, dim=-1):
        _check_amount(amount)
        self.amount = amount
        self.n = n
        self.dim = dim

    def _kept(self, t, count):
        dim = self.dim % t.dim()
        norms = rushlight.norm(t, self.n, [d for d in range(t.dim()) if d != dim])
        return norms.topk(t.shape[dim] - count)[1]


class CustomFromMask(BasePruningMethod):
    """Prunes by a given mask."""

    PRUNING_TYPE = "global"

    def __init__(self, mask):
        self.mask = mask

    def compute_mask(self, t, default_mask):
        if default_mask.shape != self.mask.shape:
            raise AssertionError(f"mask must have the shape {default_mask.shape}, but got {self.mask.shape}")
        return default_mask * self.mask.to(dtype=default_mask.dtype)


def identity(module, name):
    """Gives parameter `name` a mask of ones; returns the module, as the functions below do."""
    Identity.apply(module, name)
    return module


def random_unstructured(module, name, amount):
    """Prunes elements of parameter `name` at random; see `RandomUnstructured`."""
    RandomUnstructured.apply(module, name, amount=amount)
    return module


def l1_unstructured(module, name, amount, importance_scores=None):
    """Prunes the elements of parameter `name` nearest to zero (or with the smallest `importance_scores`)."""
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module, name, amount, dim):
    """Prunes slices of parameter `name` at random; see `RandomStructured`."""
    RandomStructured.apply(module, name, amount=amount, dim=dim)
    return module


def ln_structured(module, name, amount, n, dim, importance_scores=None):
    """Prunes the slices of parameter `name` with the smallest norms; see `LnStructured`."""
    LnStructured.apply(module, name, amount=amount, n=n, dim=dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module, name, mask):
    """Prunes parameter `name` by `mask`."""
    CustomFromMask.apply(module, name, mask=mask)
    return module


def global_unstructured(parameters, pruning_method, importance_scores=None, **kwargs):
    """Prunes several parameters, pairs of a module and a name, as if they were one tensor."""
    if not isinstance(parameters, abc.Iterable):
        raise TypeError("global_unstructured(): parameters is not an Iterable")
    parameters = list(parameters)
    scores = {} if importance_scores is None else importance_scores
    if not isinstance(scores, dict):
        raise TypeError("global_unstructured(): importance_scores must be of type dict")
    tensors = [scores.get((module, name), getattr(module, name)) for module, name in parameters]
    together = rushlight.cat([t.detach().reshape(-1) for t in tensors])
    masks = [
        getattr(module, name + "_mask", rushlight.ones_like(getattr(module, name).detach()))
        for module, name in parameters
    ]
    default = rushlight.cat([mask.reshape(-1) for mask in masks])
    container = PruningContainer()
    container._tensor_name = "temp"
    method = pruning_method(**kwargs)
    method._tensor_name = "temp"
    container.add_pruning_method(method)
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            'Only "unstructured" PRUNING_TYPE supported for the `pruning_method`. '
            f"Found method {pruning_method} of type {method.PRUNING_TYPE}"
        )
    final = container.compute_mask(together, default)
    at = 0
    for module, name in parameters:
        param = getattr(module, name)
        custom_from_mask(module, name, mask=final[at:at + param.numel()].view_as(param))
        at += param.numel()


def remove(module, name):
    """Makes the pruned tensor `name` a parameter again."""
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed")


def is_pruned(module):
    """Returns whether anything in `module` is pruned."""
    return any(
        isinstance(hook, BasePruningMethod)
        for submodule in module.modules()
        for hook in submodule._forward_pre_hooks.values()
    )


def _check_amount(amount):
    if not isinstance(amount, numbers.Real):
        raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
    if (isinstance(amount, numbers.Integral) and amount < 0) or (
        not isinstance(amount, numbers.Integral) and not 0 <= float(amount) <= 1
    ):
        raise ValueError(f"amount={amount} should either be a float in the range [0, 1] or a non-negative integer")


def _count(amount, size):
    return amount if isinstance(amount, numbers.Integral) else round(amount * size)


def _check_count(count, size):
    if count > size:
        raise ValueError(f"amount={count} should be smaller than the number of parameters to prune={size}")
