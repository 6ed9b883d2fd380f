"""Stochastic gradient descent. Its page: ``torch.optim.SGD``."""

from rushlight import _C

from .optimizer import RuleOptimizer, at_least_zero, check_fused, check_lr

__all__ = ["SGD"]


class SGD(RuleOptimizer):
    """Stochastic gradient descent with momentum, dampening, weight decay and Nesterov's variant.

    ``v = momentum * v + (1 - dampening) * (g + weight_decay * p)``, ``p -= lr * v``. ``foreach`` and ``fused`` are hints: a step is one
    native call for each group in any case.
    """

    _options = {"nesterov": False, "maximize": False, "foreach": None, "differentiable": False, "fused": None}

    def __init__(
        self,
        params,
        lr=1e-3,
        momentum=0,
        dampening=0,
        weight_decay=0,
        nesterov=False,
        *,
        maximize=False,
        foreach=None,
        differentiable=False,
        fused=None,
    ):
        check_lr(lr)
        at_least_zero("momentum value", momentum)
        at_least_zero("weight_decay value", weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        check_fused(fused, foreach, differentiable)
        super().__init__(params, defaults)

    def _update(self, group):
        momentum = group["momentum"]
        if momentum == 0:
            params = [p for p in group["params"] if p.grad is not None]
            grads, buffers = [p.grad for p in params], None
        else:
            params, grads, states = self._active(group, lambda p, s: None)
            buffers = [s.get("momentum_buffer") for s in states]
        if not params:
            return
        _C._optim_sgd(
            params,
            grads,
            buffers,
            float(group["lr"]),
            float(momentum),
            float(group["dampening"]),
            float(group["weight_decay"]),
            group["nesterov"],
            group["maximize"],
        )
        if momentum != 0:
            for s, buffer in zip(states, buffers):
                s["momentum_buffer"] = buffer
