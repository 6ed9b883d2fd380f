"""Trading time for memory: a part of a model that keeps only its inputs, and is computed again in the backward pass.

Its page: ``torch.utils.checkpoint``. A checkpointed part is one node of the graph. Without reentrance the node's inputs are the tensors
among the arguments and every leaf that the part reads besides (its parameters), which its first run tells; its gradient is that of a
second run. The reentrant variant knows its arguments only, and its second run gives the parameters their gradients itself.
"""

import sys
import warnings
from contextlib import contextmanager, nullcontext

import rushlight
from rushlight import Tensor, _C
from rushlight.autograd import Function
from rushlight.autograd.function import once_differentiable

from ._pytree import tree_flatten, tree_unflatten

__all__ = [
    "checkpoint",
    "checkpoint_sequential",
    "CheckpointError",
    "CheckpointFunction",
    "check_backward_validity",
    "detach_variable",
    "noop_context_fn",
    "set_checkpoint_early_stop",
]


class CheckpointError(RuntimeError):
    """The second run did not do what the first had done."""


def noop_context_fn():
    """Contexts that do nothing, for the two runs."""
    return nullcontext(), nullcontext()


def detach_variable(inputs):
    """The items of a tuple; tensors without their history, but requiring a gradient if they did."""
    if not isinstance(inputs, tuple):
        raise RuntimeError("Only tuple of tensors is supported. Got Unsupported input type: " + type(inputs).__name__)
    return tuple(x.detach().requires_grad_(x.requires_grad) if isinstance(x, Tensor) else x for x in inputs)


def check_backward_validity(inputs):
    """Warns if no tensor among ``inputs`` requires a gradient."""
    if not any(isinstance(x, Tensor) and x.requires_grad for x in inputs):
        warnings.warn("None of the inputs have requires_grad=True. Gradients will be None", UserWarning, stacklevel=3)


@contextmanager
def set_checkpoint_early_stop(enable):
    """A hint: whether the second run may stop as soon as it has what is needed. It always runs to its end here."""
    yield


class _Circumstances:
    """What a run depends on besides its arguments: the generator's state and the autocast region."""

    def __init__(self, preserve_rng_state):
        self.rng_state = rushlight.get_rng_state() if preserve_rng_state else None
        policy = sys.modules.get("rushlight.amp._policy")
        self.dtype = policy.state.dtype if policy else None

    @contextmanager
    def again(self):
        """Restores them for a while, and turns recording on."""
        from rushlight.amp import autocast

        restored = rushlight.fork_rng() if self.rng_state is not None else nullcontext()
        region = autocast("cpu", dtype=self.dtype, enabled=self.dtype is not None)
        with restored, region, rushlight.enable_grad():
            if self.rng_state is not None:
                rushlight.set_rng_state(self.rng_state)
            yield


class CheckpointFunction(Function):
    """The reentrant variant, as a function: ``apply(run_function, preserve_rng_state, *args)``."""

    @staticmethod
    def forward(ctx, run_function, preserve_rng_state, *args):
        check_backward_validity(args)
        ctx.run_function = run_function
        ctx.circumstances = _Circumstances(preserve_rng_state)
        ctx.args = [None if isinstance(a, Tensor) else a for a in args]
        ctx.where = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        ctx.save_for_backward(*(args[i] for i in ctx.where))
        return run_function(*args)

    @staticmethod
    @once_differentiable
    def backward(ctx, *grads):
        args = list(ctx.args)
        for i, t in zip(ctx.where, ctx.saved_tensors):
            args[i] = t
        args = detach_variable(tuple(args))
        with ctx.circumstances.again():
            outputs = ctx.run_function(*args)
        if isinstance(outputs, Tensor):
            outputs = (outputs,)
        pairs = [(o, g) for o, g in zip(outputs, grads) if isinstance(o, Tensor) and o.requires_grad]
        if not pairs:
            raise RuntimeError("none of output has requires_grad=True, this checkpoint() is not necessary")
        rushlight.autograd.backward(*zip(*pairs))
        return (None, None, *(a.grad if isinstance(a, Tensor) else None for a in args))


class _Part:
    """A checkpointed part, without reentrance: how to run it again, and what its outputs were like."""

    def __init__(self, function, args, kwargs, preserve_rng_state, context_fn, check):
        self.function = function
        leaves, self.spec = tree_flatten((args, kwargs))
        self.arguments = [None if isinstance(x, Tensor) else x for x in leaves]
        self.where = [i for i, x in enumerate(leaves) if isinstance(x, Tensor)]
        self.inputs = tuple(leaves[i] for i in self.where)
        self.check = check
        self.circumstances = _Circumstances(preserve_rng_state)
        first, self.second = context_fn()
        with first:
            detached, outputs = self._run(self.inputs)
        self.outputs, self.out_spec = tree_flatten(outputs)
        self.recorded = [i for i, o in enumerate(self.outputs) if isinstance(o, Tensor) and o.requires_grad]
        self.metadata = self._metadata(self.outputs)
        own = {id(t) for t in detached}
        self.leaves = [t for t in _leaves([self.outputs[i] for i in self.recorded]) if id(t) not in own]

    def _run(self, tensors):
        """Runs the part on detached inputs; gives these, and the outputs."""
        detached = detach_variable(tuple(tensors))
        leaves = list(self.arguments)
        for i, t in zip(self.where, detached):
            leaves[i] = t
        args, kwargs = tree_unflatten(leaves, self.spec)
        return detached, self.function(*args, **kwargs)

    def _metadata(self, outputs):
        return [(tuple(outputs[i].shape), outputs[i].dtype, str(outputs[i].device)) for i in self.recorded]

    def record(self):
        """The outputs, as those of one node over the inputs and the other leaves that the first run has read."""
        outputs = self.outputs
        if self.recorded:
            results = _Recomputed.apply(self, *self.inputs, *self.leaves)
            for i, r in zip(self.recorded, results):
                outputs[i] = r
        # The node keeps the inputs alone.
        self.outputs = self.inputs = self.leaves = None
        return tree_unflatten(outputs, self.out_spec)

    def gradients(self, tensors, grads):
        """The second run, and the gradients of its outputs for ``tensors``: the inputs first, then the other leaves."""
        n = len(self.where)
        with self.circumstances.again(), self.second:
            inputs, outputs = self._run(tensors[:n])
            outputs = tree_flatten(outputs)[0]
        if self.check:
            self._compare(outputs)
        results = [outputs[i] for i in self.recorded]
        of = [t for t in (*inputs, *tensors[n:]) if t.requires_grad]
        # What the part reads of the graph outside of it belongs to others, who will need it.
        found = iter(rushlight.autograd.grad(results, of, grads, retain_graph=True, allow_unused=True))
        return tuple(next(found) if t.requires_grad else None for t in (*inputs, *tensors[n:]))

    def _compare(self, outputs):
        try:
            now = self._metadata(outputs)
        except (IndexError, AttributeError):
            now = None
        if now != self.metadata:
            raise CheckpointError(
                "torch.utils.checkpoint: Recomputed values for the following tensors have different metadata than during the forward "
                f"pass.\nduring the forward pass: {self.metadata}\nrecomputed: {now}."
            )


def _leaves(results):
    """The leaves that a graph ends in."""
    found, seen, waiting = [], set(), [r.grad_fn for r in results if r.grad_fn is not None]
    found += [r for r in results if r.grad_fn is None]
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        variable = getattr(node, "variable", None)
        if variable is not None:
            found.append(variable)
        waiting += [n for n, _ in node.next_functions if n is not None]
    return found


class _Recomputed(Function):
    """The node of a :class:`_Part`."""

    @staticmethod
    def forward(ctx, part, *tensors):
        ctx.part = part
        ctx.save_for_backward(*tensors)
        return tuple(part.outputs[i].detach() for i in part.recorded)

    @staticmethod
    @once_differentiable
    def backward(ctx, *grads):
        return (None, *ctx.part.gradients(ctx.saved_tensors, grads))


_USE_REENTRANT = (
    "the use_reentrant parameter should be passed explicitly. {future} use_reentrant=False is recommended, but if you need to preserve "
    "the current default behavior, you can pass use_reentrant=True. Refer to docs for more details on the differences between the two "
    "variants."
)


def checkpoint(
    function=None,
    *args,
    use_reentrant=None,
    preserve_rng_state=True,
    context_fn=noop_context_fn,
    determinism_check="default",
    debug=False,
    early_stop=True,
    respect_saved_tensors_hooks=None,
    **kwargs,
):
    """Runs ``function(*args, **kwargs)`` keeping only its inputs; the backward pass runs it again.

    ``context_fn`` gives a context for each of the two runs. ``preserve_rng_state`` makes both draw the same random numbers.
    ``determinism_check`` is ``"default"`` (shapes, dtypes and devices of the results must agree) or ``"none"``. ``early_stop`` is a hint.
    Gradients can be taken once: the second run is not itself differentiated.
    """
    if use_reentrant is None:
        future = "In a future release, calling checkpoint without use_reentrant will raise an exception."
        warnings.warn("torch.utils.checkpoint: " + _USE_REENTRANT.format(future=future), UserWarning, stacklevel=2)
        use_reentrant = True
    if use_reentrant:
        if kwargs:
            raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
        if context_fn is not noop_context_fn or debug or respect_saved_tensors_hooks is not None:
            raise ValueError(
                "Passing `context_fn`, `debug`, or `respect_saved_tensors_hooks` is only supported when use_reentrant=False."
            )
        return CheckpointFunction.apply(function, preserve_rng_state, *args)
    if determinism_check not in ("default", "none"):
        raise ValueError(f"determinism_check should be one of ['default', 'none'], but got {determinism_check}")
    if debug or respect_saved_tensors_hooks is not None:
        raise NotImplementedError("checkpoint: debug and respect_saved_tensors_hooks are not supported")
    if not _C.is_grad_enabled():
        with context_fn()[0]:
            return function(*args, **kwargs)
    return _Part(function, args, kwargs, preserve_rng_state, context_fn, determinism_check == "default").record()


def checkpoint_sequential(functions, segments, input, use_reentrant=None, **kwargs):
    """Runs the modules of a Sequential (or a list) in ``segments`` checkpointed parts; the last part is run as usual."""
    if use_reentrant is None:
        future = "In a future release, we will raise an exception if use_reentrant is not passed."
        warnings.warn("torch.utils.checkpoint.checkpoint_sequential: " + _USE_REENTRANT.format(future=future), UserWarning, stacklevel=2)
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    if isinstance(functions, rushlight.nn.Sequential):
        functions = list(functions.children())

    def part(first, last):
        def run(x):
            for f in functions[first : last + 1]:
                x = f(x)
            return x

        return run

    size = len(functions) // segments
    end = -1
    for first in range(0, size * (segments - 1), size):
        end = first + size - 1
        input = checkpoint(part(first, end), input, use_reentrant=use_reentrant, preserve_rng_state=preserve)
    return part(end + 1, len(functions) - 1)(input)
