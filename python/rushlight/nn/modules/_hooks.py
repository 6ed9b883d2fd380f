"""Handles of registered hooks, and the gradient hooks of whole modules."""

import weakref
from collections import OrderedDict

import rushlight
from rushlight import Tensor


class RemovableHandle:
    """Takes a hook out of the table (and the tables `extra_dict`) it was put into; also a context manager."""

    next_id = 0

    def __init__(self, hooks_dict, *, extra_dict=None):
        self.hooks_dict_ref = weakref.ref(hooks_dict)
        self.id = RemovableHandle.next_id
        RemovableHandle.next_id += 1
        tables = () if extra_dict is None else (extra_dict,) if isinstance(extra_dict, dict) else extra_dict
        self.extra_dict_ref = tuple(weakref.ref(table) for table in tables)

    def remove(self):
        """Removes the hook; a second call does nothing."""
        for ref in (self.hooks_dict_ref, *self.extra_dict_ref):
            table = ref()
            if table is not None:
                table.pop(self.id, None)

    def __getstate__(self):
        return self.hooks_dict_ref(), self.id, tuple(ref() for ref in self.extra_dict_ref)

    def __setstate__(self, state):
        table, self.id, extra = state
        self.hooks_dict_ref = weakref.ref(OrderedDict() if table is None else table)
        self.extra_dict_ref = tuple(weakref.ref(OrderedDict() if t is None else t) for t in extra)
        RemovableHandle.next_id = max(RemovableHandle.next_id, self.id + 1)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.remove()


def register(table, hook, *, flags=(), prepend=False):
    """Puts `hook` into `table`, and marks it in each table of `flags`."""
    handle = RemovableHandle(table, extra_dict=list(flags))
    table[handle.id] = hook
    for flag in flags:
        flag[handle.id] = True
    if prepend:
        table.move_to_end(handle.id, last=False)
    return handle


_barrier = None


def _through_barrier(tensors):
    """Returns `tensors` behind one common node of the graph, so that their gradients arrive together."""
    global _barrier
    if _barrier is None:
        from rushlight.autograd import Function

        class BackwardHookFunction(Function):
            @staticmethod
            def forward(ctx, *inputs):
                ctx.mark_non_differentiable(*[x for x in inputs if not x.requires_grad])
                return tuple(x.view_as(x) for x in inputs)

            @staticmethod
            def backward(ctx, *grads):
                return grads

        _barrier = BackwardHookFunction
    return _barrier.apply(*tensors)


class BackwardHook:
    """Calls a module's hooks with the gradients of its inputs and outputs in one call of the module.

    A node on the outputs catches their gradients (and lets the pre-hooks change them), a node on the inputs
    calls the hooks. Where no input needs a gradient, the hooks run as soon as those of the outputs are there.
    """

    def __init__(self, module, hooks, pre_hooks):
        self.module = module
        self.hooks = hooks
        self.pre_hooks = pre_hooks
        self.grad_outputs = None
        self.input_places = None
        self.input_zeros = ()
        self.n_inputs = 0

    def setup_input_hook(self, args):
        self.n_inputs = len(args)
        args, self.input_places, node = self._wrap(args)
        self.input_zeros = [self._zeros_later(args[i]) for i in self.input_places or ()]
        if node is not None:
            node.register_hook(self._on_inputs)
        return args

    def setup_output_hook(self, outputs):
        is_tuple = isinstance(outputs, tuple)
        wrapped, places, node = self._wrap(outputs if is_tuple else (outputs,))
        if node is not None:
            n_outputs = len(wrapped)
            node.register_prehook(lambda grads: self._on_outputs(grads, places, n_outputs))
        return wrapped if is_tuple else wrapped[0]

    @staticmethod
    def _wrap(values):
        places = [i for i, v in enumerate(values) if isinstance(v, Tensor)]
        tensors = [values[i] for i in places]
        if not (rushlight.is_grad_enabled() and any(t.requires_grad for t in tensors)):
            return values, None, None
        new = _through_barrier(tensors)
        node = next(t.grad_fn for t in new if t.grad_fn is not None)
        out = list(values)
        for i, t in zip(places, new):
            out[i] = t
        rebuilt = type(values)(*out) if hasattr(values, "_fields") else tuple(out)
        return rebuilt, places, node

    @staticmethod
    def _zeros_later(tensor):
        # Only shape and dtype are kept: the hook must not keep the input alive.
        shape, dtype, device = tensor.shape, tensor.dtype, tensor.device
        return lambda: rushlight.zeros(shape, dtype=dtype, device=device)

    @staticmethod
    def _spread(places, grads, n):
        full = [None] * n
        for i, g in zip(places, grads):
            full[i] = g
        return tuple(full)

    def _on_outputs(self, grads, places, n_outputs):
        grad_outputs = self._spread(places, grads, n_outputs)
        for hook in self.pre_hooks:
            changed = hook(self.module, grad_outputs)
            if changed is None:
                continue
            changed = changed if isinstance(changed, tuple) else (changed,)
            self._check_count(changed, grad_outputs, "Backward pre hook", "grad_output")
            grad_outputs = changed
        self.grad_outputs = grad_outputs
        if self.input_places is None:
            none = (None,) * self.n_inputs
            for hook in self.hooks:
                result = hook(self.module, none, grad_outputs)
                if result is not None and not (isinstance(result, tuple) and all(g is None for g in result)):
                    raise RuntimeError(
                        "Backward hook for Modules where no input requires gradient should always return None "
                        "or None for all gradients."
                    )
            self.grad_outputs = None
        if self.pre_hooks:
            return tuple(grad_outputs[i] for i in places)
        return None

    def _on_inputs(self, grad_inputs, _):
        if self.grad_outputs is None:
            return None
        # Every tensor has a gradient here, if only zeros.
        full = [zeros() if grad is None else grad for grad, zeros in zip(grad_inputs, self.input_zeros)]
        grads = self._spread(self.input_places, full, self.n_inputs)
        for hook in self.hooks:
            changed = hook(self.module, grads, self.grad_outputs)
            if changed is None:
                continue
            changed = changed if isinstance(changed, tuple) else (changed,)
            self._check_count(changed, grads, "Backward hook", "grad_input")
            grads = changed
        self.grad_outputs = None
        return tuple(grads[i] for i in self.input_places)

    @staticmethod
    def _check_count(got, expected, who, what):
        if len(got) != len(expected):
            raise RuntimeError(
                f"{who} returned an invalid number of {what}, got {len(got)}, but expected {len(expected)}"
            )
