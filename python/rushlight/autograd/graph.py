"""Looking into the recorded graph, and hooks that reach across it.

Source: <https://docs.pytorch.org/docs/stable/autograd.html#autograd-graph>
"""

from collections import namedtuple

from rushlight import _C, Tensor

from .grad_mode import enable_grad, no_grad

Node = _C.Node

GradientEdge = namedtuple("GradientEdge", ["node", "output_nr"])
GradientEdge.__doc__ = "Where the gradient of a tensor goes: a node, and which of its outputs."


def get_gradient_edge(tensor):
    """Returns the edge that the gradient of `tensor` takes."""
    if not tensor.requires_grad:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    if tensor.grad_fn is None:  # a leaf: the node that accumulates is seen from any op that uses it
        with enable_grad():
            return GradientEdge(*tensor.view_as(tensor).grad_fn.next_functions[0])
    return GradientEdge(tensor.grad_fn, tensor.output_nr)


def increment_version(tensor):
    """Counts a write to `tensor` (or to each of several) that autograd could not see."""
    for t in (tensor,) if isinstance(tensor, Tensor) else tensor:
        with no_grad():
            t.copy_(t.clone())


class saved_tensors_hooks:
    """Would pass every saved tensor through `pack_hook`, and back through `unpack_hook`.

    Native ops keep what they save to themselves, so that the hooks would miss nearly everything: entering raises.
    """

    def __init__(self, pack_hook, unpack_hook):
        self.pack_hook, self.unpack_hook = pack_hook, unpack_hook

    def __enter__(self):
        push = getattr(_C, "_push_saved_tensors_hooks", None)
        if push is None:
            raise NotImplementedError(
                "saved_tensors_hooks: what ops save for the backward pass is not open to hooks. To save memory use "
                "utils.checkpoint; to keep something else than the inputs write an autograd.Function"
            )
        push(self.pack_hook, self.unpack_hook)

    def __exit__(self, *exc):
        _C._pop_saved_tensors_hooks()


class save_on_cpu:
    """Keeps saved tensors in the memory of the CPU, where they are already: changes nothing."""

    def __init__(self, pin_memory=False, device_type="cuda"):
        pass

    def __enter__(self):
        return None

    def __exit__(self, *exc):
        return None


def register_multi_grad_hook(tensors, fn, *, mode="all"):
    """Calls `fn` during backward once gradients of `tensors` are there.

    With `mode="all"` it gets the gradients of all of them, in order, after the last one arrived; with `"any"` the first one.
    Returns a handle with `remove()`.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    tensors = tuple(tensors)
    for i, t in enumerate(tensors):
        if not t.requires_grad:
            raise AssertionError(f"Expects all tensors to require grad: tensor {i} does not")
    grads = {}

    def hook_of(nr):
        def hook(grad):
            if mode == "any":
                if not grads:
                    grads[nr] = None
                    fn(grad)
                if len(grads) == len(tensors):
                    grads.clear()
                return
            grads[nr] = grad
            if len(grads) == len(tensors):
                ready = [grads[k] for k in range(len(tensors))]
                grads.clear()
                fn(ready)

        return hook

    return _Handles([t.register_hook(hook_of(nr)) for nr, t in enumerate(tensors)])


class _Handles:
    """The handles of several hooks as one."""

    def __init__(self, handles):
        self.handles = handles

    def remove(self):
        for h in self.handles:
            h.remove()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.remove()
