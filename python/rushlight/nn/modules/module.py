"""`Module`: the base of all layers and models, and the hooks that run for every module."""

import warnings
from collections import OrderedDict
from types import MappingProxyType

import rushlight
from rushlight import Tensor
from rushlight._C import ModuleBase, _set_global_call_hooks

from ..parameter import Buffer, Parameter, is_lazy
from ._hooks import BackwardHook, register
from ._state_dict import Stateful, _IncompatibleKeys  # noqa: F401

__all__ = [
    "Module",
    "register_module_forward_pre_hook",
    "register_module_forward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_backward_hook",
    "register_module_buffer_registration_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]


# Hooks of all modules, by kind; `_global_call_hooks` has all of those that matter to a call.
_global_call_hooks = OrderedDict()
_set_global_call_hooks(_global_call_hooks)
_global_forward_pre_hooks = OrderedDict()
_global_forward_hooks = OrderedDict()
_global_forward_hooks_with_kwargs = OrderedDict()
_global_forward_hooks_always_called = OrderedDict()
_global_backward_pre_hooks = OrderedDict()
_global_backward_hooks = OrderedDict()
_global_is_full_backward_hook = None
_global_buffer_registration_hooks = OrderedDict()
_global_module_registration_hooks = OrderedDict()
_global_parameter_registration_hooks = OrderedDict()

def register_module_forward_pre_hook(hook):
    """Calls `hook(module, args)` before the forward of every module; what it returns replaces `args`."""
    return register(_global_forward_pre_hooks, hook, flags=[_global_call_hooks])


def register_module_forward_hook(hook, *, with_kwargs=False, always_call=False):
    """Calls `hook(module, args, output)` after the forward of every module; what it returns replaces `output`."""
    flags = [_global_call_hooks]
    if with_kwargs:
        flags.append(_global_forward_hooks_with_kwargs)
    if always_call:
        flags.append(_global_forward_hooks_always_called)
    return register(_global_forward_hooks, hook, flags=flags)


def register_module_full_backward_pre_hook(hook):
    """Calls `hook(module, grad_output)` before the backward pass of every module."""
    return register(_global_backward_pre_hooks, hook, flags=[_global_call_hooks])


def _register_global_backward(hook, full):
    global _global_is_full_backward_hook
    if _global_is_full_backward_hook is (not full):
        raise RuntimeError(
            "Cannot use both regular backward hooks and full backward hooks as a global Module hook. "
            "Please use only one of them."
        )
    _global_is_full_backward_hook = full
    return register(_global_backward_hooks, hook, flags=[_global_call_hooks])


def register_module_full_backward_hook(hook):
    """Calls `hook(module, grad_input, grad_output)` in the backward pass of every module."""
    return _register_global_backward(hook, True)


def register_module_backward_hook(hook):
    """Deprecated: as `register_module_full_backward_hook`, but sees the last op of the module only."""
    return _register_global_backward(hook, False)


def register_module_buffer_registration_hook(hook):
    """Calls `hook(module, name, buffer)` whenever a buffer is registered; what it returns is registered instead."""
    return register(_global_buffer_registration_hooks, hook)


def register_module_module_registration_hook(hook):
    """Calls `hook(module, name, submodule)` whenever a submodule is registered."""
    return register(_global_module_registration_hooks, hook)


def register_module_parameter_registration_hook(hook):
    """Calls `hook(module, name, param)` whenever a parameter is registered."""
    return register(_global_parameter_registration_hooks, hook)


def _through_registration_hooks(hooks, module, name, value):
    for hook in hooks.values():
        changed = hook(module, name, value)
        if changed is not None:
            value = changed
    return value


def _typename(value):
    """Returns the name of a value's class with its module, as error texts show it; of a tensor, its type."""
    if isinstance(value, Tensor):
        return value.type()
    cls = value if isinstance(value, type) else type(value)
    module = cls.__module__
    return cls.__qualname__ if module in ("builtins", "__main__", None) else f"{module}.{cls.__qualname__}"


def _indent_after_first(text, spaces):
    first, *rest = text.split("\n")
    return "\n".join([first, *(" " * spaces + line for line in rest)])


def _unimplemented_forward(self, *args):
    """Defines what a call computes; every subclass has its own."""
    raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')


def _parse_to(args, kwargs):
    """Returns device, dtype and memory format of a call of `Module.to`, which takes them in several orders."""
    kwargs = dict(kwargs)
    device = kwargs.pop("device", None)
    dtype = kwargs.pop("dtype", None)
    memory_format = kwargs.pop("memory_format", None)
    kwargs.pop("non_blocking", None)
    kwargs.pop("copy", None)
    tensor = kwargs.pop("tensor", None)
    if kwargs:
        raise TypeError(f"to() received an invalid combination of arguments: unexpected {sorted(kwargs)}")
    args = list(args)
    if args and isinstance(args[0], Tensor):
        tensor = args.pop(0)
    elif args and isinstance(args[0], rushlight.dtype):
        dtype = args.pop(0)
    elif args:
        device = args.pop(0)
        if args and (args[0] is None or isinstance(args[0], rushlight.dtype)):
            dtype = args.pop(0)
    if len(args) > 2 or any(not isinstance(a, bool) for a in args):
        raise TypeError("to() received an invalid combination of arguments")
    if tensor is not None:
        device, dtype = tensor.device, tensor.dtype
    if device is not None and not isinstance(device, rushlight.device):
        device = rushlight.device(device)
    return device, dtype, memory_format


# The tables every module has, in the order in which they appear in its `__dict__`.
_FRESH = (
    ("training", lambda: True),
    ("_parameters", dict),
    ("_buffers", dict),
    ("_non_persistent_buffers_set", set),
    ("_backward_pre_hooks", OrderedDict),
    ("_backward_hooks", OrderedDict),
    ("_is_full_backward_hook", lambda: None),
    ("_forward_hooks", OrderedDict),
    ("_forward_hooks_with_kwargs", OrderedDict),
    ("_forward_hooks_always_called", OrderedDict),
    ("_forward_pre_hooks", OrderedDict),
    ("_forward_pre_hooks_with_kwargs", OrderedDict),
    ("_state_dict_hooks", OrderedDict),
    ("_state_dict_pre_hooks", OrderedDict),
    ("_load_state_dict_pre_hooks", OrderedDict),
    ("_load_state_dict_post_hooks", OrderedDict),
    ("_modules", dict),
)


class Module(Stateful, ModuleBase):
    """The base of all layers and models.

    Parameters, buffers and modules that are assigned to attributes are registered: `parameters()`, `state_dict()`,
    `to()` and the like reach them, at any depth. Subclasses define `forward`; calling the module runs it, with
    the hooks. See PyTorch's page `torch.nn.Module`.
    """

    dump_patches = False
    call_super_init = False

    def __init__(self, *args, **kwargs):
        if not self.call_super_init:
            if kwargs:
                raise TypeError(
                    f"{type(self).__name__}.__init__() got an unexpected keyword argument '{next(iter(kwargs))}'"
                )
            if args:
                raise TypeError(
                    f"{type(self).__name__}.__init__() takes 1 positional argument but {len(args) + 1} were given"
                )
        state = self.__dict__
        for name, make in _FRESH:
            state[name] = make()
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    forward = _unimplemented_forward

    # Registration

    def _check_new_name(self, kind, name):
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {_typename(name)}")
        if "." in name:
            raise KeyError(f'{kind} name can\'t contain ".", got: {name}' if kind == "module"
                           else f'{kind} name can\'t contain "."')
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')

    def register_buffer(self, name, tensor, persistent=True):
        """Adds a tensor that belongs to the state but is not trained; one not `persistent` is not saved."""
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        self._check_new_name("buffer", name)
        if hasattr(self, name) and name not in self._buffers:
            raise KeyError(f"attribute '{name}' already exists")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{_typename(tensor)}' object to buffer '{name}' (torch Tensor or None required)"
            )
        tensor = _through_registration_hooks(_global_buffer_registration_hooks, self, name, tensor)
        self._buffers[name] = tensor
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def register_parameter(self, name, param):
        """Adds a parameter, or None to keep the name for one."""
        if "_parameters" not in self.__dict__:
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        self._check_new_name("parameter", name)
        if hasattr(self, name) and name not in self._parameters:
            raise KeyError(f"attribute '{name}' already exists")
        if param is not None:
            if not isinstance(param, Parameter):
                raise TypeError(
                    f"cannot assign '{_typename(param)}' object to parameter '{name}' "
                    "(torch.nn.Parameter or None required)"
                )
            if param.grad_fn is not None:
                raise ValueError(
                    f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be created "
                    f"explicitly. To express '{name}' as a function of another Tensor, compute the value in "
                    "the forward() method."
                )
            param = _through_registration_hooks(_global_parameter_registration_hooks, self, name, param)
        self._parameters[name] = param

    def add_module(self, name, module):
        """Adds a submodule, or None to keep the name for one."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{_typename(module)} is not a Module subclass")
        self._check_new_name("module", name)
        if hasattr(self, name) and name not in self._modules:
            raise KeyError(f"attribute '{name}' already exists")
        self._modules[name] = _through_registration_hooks(_global_module_registration_hooks, self, name, module)

    def register_module(self, name, module):
        """Another name for `add_module`."""
        self.add_module(name, module)

    def get_submodule(self, target):
        """Returns the submodule at the dotted path `target`; the module itself for an empty one."""
        module = self
        for name in target.split(".") if target else ():
            if not hasattr(module, name):
                raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
            module = getattr(module, name)
            if not isinstance(module, Module):
                raise AttributeError(f"`{name}` is not an nn.Module")
        return module

    def set_submodule(self, target, module, strict=False):
        """Puts `module` at the dotted path `target`; with `strict`, only in place of one that is there."""
        if target == "":
            raise ValueError("Cannot set the submodule without a target name!")
        if not isinstance(module, Module):
            raise ValueError(f"`module` is not an nn.Module, found {type(module)}")
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        if strict and not hasattr(parent, name):
            raise AttributeError(f"{parent._get_name()} has no attribute `{name}`")
        if hasattr(parent, name) and not isinstance(getattr(parent, name), Module):
            raise AttributeError(f"`{name}` is not an nn.Module")
        setattr(parent, name, module)

    def _get_member(self, target, kind, is_member):
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if not hasattr(module, name):
            raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
        value = getattr(module, name)
        if not is_member(module, name, value):
            raise AttributeError(f"`{name}` is not {kind}")
        return value

    def get_parameter(self, target):
        """Returns the parameter at the dotted path `target`."""
        return self._get_member(target, "an nn.Parameter", lambda m, n, v: isinstance(v, Parameter))

    def get_buffer(self, target):
        """Returns the buffer at the dotted path `target`."""
        return self._get_member(target, "a buffer", lambda m, n, v: n in m._buffers)

    # Attributes

    # What __getattr__ finds before __init__ has run, so that it needs no check of its own.
    _parameters = _modules = _buffers = MappingProxyType({})

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        # ModuleBase looks into the tables before `__getattr__` is asked: not where that may want to answer for them.
        if cls.__getattr__ is not Module.__getattr__ and cls.__getattribute__ is ModuleBase.__getattribute__:
            cls.__getattribute__ = object.__getattribute__

    # For `super().__getattr__`, and for what ModuleBase has not found.
    def __getattr__(self, name):
        table = self._parameters
        if name in table:
            return table[name]
        table = self._modules
        if name in table:
            return table[name]
        table = self._buffers
        if name in table:
            return table[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def _forget(self, name, *tables):
        for table in tables:
            if isinstance(table, set):
                table.discard(name)
            elif name in table:
                del table[name]

    def __setattr__(self, name, value):
        state = self.__dict__
        params = state.get("_parameters")
        if isinstance(value, Parameter):
            if params is None:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            self._forget(name, state, self._buffers, self._modules, self._non_persistent_buffers_set)
            self.register_parameter(name, value)
            return
        if params is not None and name in params:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{_typename(value)}' as parameter '{name}' (torch.nn.Parameter or None expected)"
                )
            self.register_parameter(name, value)
            return
        modules = state.get("_modules")
        if isinstance(value, Module):
            if modules is None:
                raise AttributeError("cannot assign module before Module.__init__() call")
            self._forget(name, state, params, self._buffers, self._non_persistent_buffers_set)
            modules[name] = _through_registration_hooks(_global_module_registration_hooks, self, name, value)
            return
        if modules is not None and name in modules:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{_typename(value)}' as child module '{name}' (torch.nn.Module or None expected)"
                )
            modules[name] = _through_registration_hooks(_global_module_registration_hooks, self, name, value)
            return
        buffers = state.get("_buffers")
        is_marked = isinstance(value, Buffer)
        if is_marked or buffers is not None and name in buffers:
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(
                    f"cannot assign '{_typename(value)}' as buffer '{name}' "
                    "(torch.nn.Buffer, torch.Tensor or None expected)"
                )
            if buffers is None:
                raise AttributeError("cannot assign buffer before Module.__init__() call")
            if is_marked:
                persistent = value.persistent
                self._forget(name, state, params, modules)
            else:
                persistent = name not in self._non_persistent_buffers_set
            if is_marked or name not in buffers:
                self.register_buffer(name, value, persistent)
            else:
                buffers[name] = _through_registration_hooks(_global_buffer_registration_hooks, self, name, value)
            return
        object.__setattr__(self, name, value)

    def __delattr__(self, name):
        if name in self._parameters:
            del self._parameters[name]
        elif name in self._buffers:
            del self._buffers[name]
            self._non_persistent_buffers_set.discard(name)
        elif name in self._modules:
            del self._modules[name]
        else:
            object.__delattr__(self, name)

    def __dir__(self):
        names = {*dir(type(self)), *self.__dict__, *self._parameters, *self._modules, *self._buffers}
        return sorted(name for name in names if not name[0].isdigit())

    def __setstate__(self, state):
        self.__dict__.update(state)
        for name, make in _FRESH:
            if name not in self.__dict__:
                self.__dict__[name] = make()

    # Calls and hooks

    def _all_forward_hooks(self):
        """Yields id, hook, whether it takes keyword arguments, and whether it runs after a failure too."""
        for i, hook in list(_global_forward_hooks.items()):
            yield i, hook, i in _global_forward_hooks_with_kwargs, i in _global_forward_hooks_always_called
        for i, hook in list(self._forward_hooks.items()):
            yield i, hook, i in self._forward_hooks_with_kwargs, i in self._forward_hooks_always_called

    def _call_with_hooks(self, args, kwargs):
        called = set()
        try:
            return self._hooked_forward(args, kwargs, called)
        except Exception:
            for i, hook, with_kwargs, always in self._all_forward_hooks():
                if not always or i in called:
                    continue
                try:
                    hook(self, args, kwargs, None) if with_kwargs else hook(self, args, None)
                except Exception as error:
                    warnings.warn(
                        "module forward hook with ``always_call=True`` raised an exception "
                        f"that was silenced as another error was raised in forward: {error}",
                        stacklevel=3,
                    )
            raise

    def _hooked_forward(self, args, kwargs, called):
        for hook in list(_global_forward_pre_hooks.values()):
            changed = hook(self, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        for i, hook in list(self._forward_pre_hooks.items()):
            if i in self._forward_pre_hooks_with_kwargs:
                changed = hook(self, args, kwargs)
                if changed is not None:
                    if not (isinstance(changed, tuple) and len(changed) == 2):
                        raise RuntimeError(
                            "forward pre-hook must return None or a tuple of (new_args, new_kwargs), "
                            f"but got {changed}."
                        )
                    args, kwargs = changed
            else:
                changed = hook(self, args)
                if changed is not None:
                    args = changed if isinstance(changed, tuple) else (changed,)

        full, regular = self._backward_hooks_by_kind()
        pre = [*_global_backward_pre_hooks.values(), *self._backward_pre_hooks.values()]
        gradients = BackwardHook(self, full, pre) if full or pre else None
        if gradients:
            args = gradients.setup_input_hook(args)

        result = self.forward(*args, **kwargs)

        for i, hook, with_kwargs, always in self._all_forward_hooks():
            if always:
                called.add(i)
            changed = hook(self, args, kwargs, result) if with_kwargs else hook(self, args, result)
            if changed is not None:
                result = changed

        if gradients:
            if not isinstance(result, (Tensor, tuple)):
                warnings.warn(
                    "For backward hooks to be called, module output should be a Tensor or a tuple of Tensors "
                    f"but received {type(result)}",
                    stacklevel=4,
                )
            result = gradients.setup_output_hook(result)
        if regular:
            self._hook_last_node(result, regular)
        return result

    def _backward_hooks_by_kind(self):
        full, regular = [], []
        (full if _global_is_full_backward_hook else regular).extend(_global_backward_hooks.values())
        (full if self._is_full_backward_hook else regular).extend(self._backward_hooks.values())
        return full, regular

    def _hook_last_node(self, result, hooks):
        first = result
        while not isinstance(first, Tensor):
            first = next(v for v in first.values() if isinstance(v, Tensor)) if isinstance(first, dict) else first[0]
        if first.grad_fn is not None:
            for hook in hooks:
                first.grad_fn.register_hook(
                    lambda grad_input, grad_output, hook=hook: hook(self, grad_input, grad_output)
                )

    def register_forward_pre_hook(self, hook, *, prepend=False, with_kwargs=False):
        """Calls `hook(module, args)` before `forward`; what it returns, if anything, replaces `args`.

        With `with_kwargs` it is `hook(module, args, kwargs)`, returning both or None. Returns a handle.
        """
        flags = [self._forward_pre_hooks_with_kwargs] if with_kwargs else []
        return register(self._forward_pre_hooks, hook, flags=flags, prepend=prepend)

    def register_forward_hook(self, hook, *, prepend=False, with_kwargs=False, always_call=False):
        """Calls `hook(module, args, output)` after `forward`; what it returns, if anything, replaces the output.

        With `with_kwargs` it is `hook(module, args, kwargs, output)`; with `always_call` it runs after an
        exception too. Returns a handle.
        """
        flags = [self._forward_hooks_with_kwargs] if with_kwargs else []
        if always_call:
            flags.append(self._forward_hooks_always_called)
        return register(self._forward_hooks, hook, flags=flags, prepend=prepend)

    def register_full_backward_pre_hook(self, hook, prepend=False):
        """Calls `hook(module, grad_output)` once the gradients of the outputs are known; it may return others."""
        return register(self._backward_pre_hooks, hook, prepend=prepend)

    def _register_backward(self, hook, full, prepend=False):
        if self._is_full_backward_hook is (not full):
            raise RuntimeError(
                "Cannot use both regular backward hooks and full backward hooks on a single Module. "
                "Please use only one of them."
            )
        self._is_full_backward_hook = full
        return register(self._backward_hooks, hook, prepend=prepend)

    def register_full_backward_hook(self, hook, prepend=False):
        """Calls `hook(module, grad_input, grad_output)` once both are known; it may return another `grad_input`."""
        return self._register_backward(hook, True, prepend)

    def register_backward_hook(self, hook):
        """Deprecated: as `register_full_backward_hook`, but sees the last op of `forward` only."""
        return self._register_backward(hook, False)

    # Walking

    def _named_members(self, get_members, prefix="", recurse=True, remove_duplicate=True):
        seen = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, value in get_members(module):
                if value is None or value in seen:
                    continue
                if remove_duplicate:
                    seen.add(value)
                yield path + ("." if path else "") + name, value

    def parameters(self, recurse=True):
        """Yields the parameters, each once."""
        for _, param in self.named_parameters(recurse=recurse):
            yield param

    def named_parameters(self, prefix="", recurse=True, remove_duplicate=True):
        """Yields dotted names and parameters."""
        yield from self._named_members(lambda m: m._parameters.items(), prefix, recurse, remove_duplicate)

    def buffers(self, recurse=True):
        """Yields the buffers, each once."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def named_buffers(self, prefix="", recurse=True, remove_duplicate=True):
        """Yields dotted names and buffers."""
        yield from self._named_members(lambda m: m._buffers.items(), prefix, recurse, remove_duplicate)

    def children(self):
        """Yields the direct submodules, each once."""
        for _, module in self.named_children():
            yield module

    def named_children(self):
        """Yields names and direct submodules."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def modules(self, remove_duplicate=True):
        """Yields the module itself and all modules below."""
        for _, module in self.named_modules(remove_duplicate=remove_duplicate):
            yield module

    def named_modules(self, memo=None, prefix="", remove_duplicate=True):
        """Yields dotted names and modules, the module itself first."""
        memo = set() if memo is None else memo
        if self not in memo:
            if remove_duplicate:
                memo.add(self)
            yield prefix, self
            for name, module in self._modules.items():
                if module is not None:
                    path = prefix + ("." if prefix else "") + name
                    yield from module.named_modules(memo, path, remove_duplicate)

    # Changing everything at once

    def apply(self, fn):
        """Calls `fn` with every submodule and then with the module itself; returns the module."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def _apply(self, fn, recurse=True):
        """Replaces the data of every parameter (and its gradient) and every buffer by `fn` of it."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        with rushlight.no_grad():
            for param in self._parameters.values():
                if param is None:
                    continue
                grad = param.grad
                param.data = fn(param.data)
                if grad is not None:
                    # The gradient must match the parameter, so it comes off while its dtype changes.
                    param.grad = None
                    param.grad = fn(grad).requires_grad_(grad.requires_grad)
        for name, buffer in self._buffers.items():
            if buffer is not None:
                if is_lazy(buffer):
                    buffer.data = fn(buffer.data)
                else:
                    self._buffers[name] = fn(buffer)
        return self

    def to(self, *args, **kwargs):
        """Moves and converts parameters and buffers: `to(device)`, `to(dtype)`, `to(device, dtype)`, `to(tensor)`.

        Only floating point tensors change their dtype. Works in place; returns the module.
        """
        device, dtype, memory_format = _parse_to(args, kwargs)
        if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
            raise TypeError(
                f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={dtype}"
            )

        def convert(t):
            options = {}
            if device is not None:
                options["device"] = device
            if dtype is not None and t.is_floating_point():
                options["dtype"] = dtype
            if memory_format is not None and t.dim() in (4, 5):
                options["memory_format"] = memory_format
            return t.to(**options) if options else t

        return self._apply(convert)

    def cpu(self):
        """Moves everything to the CPU."""
        return self.to("cpu")

    def cuda(self, device=None):
        """Moves everything to a GPU; an error, as there is none here."""
        return self._apply(lambda t: t.cuda(device))

    def type(self, dst_type):
        """Converts all parameters and buffers, integers too."""
        return self._apply(lambda t: t.type(dst_type))

    def _to_float_dtype(self, dtype):
        return self._apply(lambda t: t.to(dtype) if t.is_floating_point() else t)

    def float(self):
        """Converts floating point parameters and buffers to float32."""
        return self._to_float_dtype(rushlight.float32)

    def double(self):
        """Converts floating point parameters and buffers to float64."""
        return self._to_float_dtype(rushlight.float64)

    def half(self):
        """Converts floating point parameters and buffers to float16."""
        return self._to_float_dtype(rushlight.float16)

    def bfloat16(self):
        """Converts floating point parameters and buffers to bfloat16."""
        return self._to_float_dtype(rushlight.bfloat16)

    def to_empty(self, *, device, recurse=True):
        """Gives parameters and buffers new memory on `device`, without copying."""
        return self._apply(lambda t: rushlight.empty_like(t, device=device), recurse=recurse)

    def share_memory(self):
        """Moves all tensors to memory that other processes can share."""
        return self._apply(lambda t: t.share_memory_())

    def train(self, mode=True):
        """Sets training mode, which changes what dropout and batch norm do; returns the module."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self):
        """Sets evaluation mode: `train(False)`."""
        return self.train(False)

    def requires_grad_(self, requires_grad=True):
        """Says whether autograd should follow the parameters; returns the module."""
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none=True):
        """Takes the gradients off the parameters, or fills them with zeros."""
        for param in self.parameters():
            if param.grad is not None:
                if set_to_none:
                    param.grad = None
                else:
                    param.grad = param.grad.detach().zero_()

    def compile(self, *args, **kwargs):
        """Returns the module itself: calls run eagerly, so there is nothing to compile."""
        return self

    # Printing

    def _get_name(self):
        return type(self).__name__

    def extra_repr(self):
        """Returns what `repr` shows between the brackets; layers say their settings here."""
        return ""

    def __repr__(self):
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [f"({name}): {_indent_after_first(repr(m), 2)}" for name, m in self._modules.items()]
        if len(lines) == 1 and not children:
            body = lines[0]
        elif lines or children:
            body = "\n  " + "\n  ".join(lines + children) + "\n"
        else:
            body = ""
        return f"{self._get_name()}({body})"
