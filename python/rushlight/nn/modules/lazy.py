"""What layers share that learn their shapes from the first input."""

import warnings

from ..parameter import is_lazy

__all__ = ["LazyModuleMixin"]


class LazyModuleMixin:
    """Calls `initialize_parameters` before the first forward, and then becomes `cls_to_become`.

    Subclasses create `UninitializedParameter`s and `UninitializedBuffer`s.
    """

    cls_to_become = None

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._load_hook = self._register_load_state_dict_pre_hook(self._lazy_load_hook)
        self._initialize_hook = self.register_forward_pre_hook(self._infer_parameters, with_kwargs=True)
        warnings.warn(
            "Lazy modules are a new feature under heavy development so changes to the API or functionality can happen "
            "at any moment.",
            stacklevel=3,
        )

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        # An uninitialized tensor is saved as itself: it has no data to detach.
        for table in (self._parameters, self._buffers):
            for name, value in table.items():
                if value is not None and name not in self._non_persistent_buffers_set:
                    destination[prefix + name] = value if is_lazy(value) or keep_vars else value.detach()

    def _lazy_load_hook(self, state_dict, prefix, *rest):
        for name, own in (*self._parameters.items(), *self._buffers.items()):
            loaded = state_dict.get(prefix + name)
            if own is not None and loaded is not None and is_lazy(own) and not is_lazy(loaded):
                own.materialize(loaded.shape)

    def initialize_parameters(self, *args, **kwargs):
        """Gives the parameters the shapes that the input asks for."""
        raise NotImplementedError(f"initialize_parameters is not implemented for {type(self).__name__}")

    def has_uninitialized_params(self):
        """Returns whether any parameter or buffer still waits for its shape."""
        return any(is_lazy(t) for t in (*self._parameters.values(), *self._buffers.values()))

    def _infer_parameters(self, module, args, kwargs=None):
        module.initialize_parameters(*args, **(kwargs or {}))
        if module.has_uninitialized_params():
            raise RuntimeError(f"module {self._get_name()} has not been fully initialized")
        module._initialize_hook.remove()
        module._load_hook.remove()
        del module._initialize_hook, module._load_hook
        if module.cls_to_become is not None:
            module.__class__ = module.cls_to_become
