"""RMSprop. Its page: ``torch.optim.RMSprop``."""

from rushlight import _C, zeros_like

from .optimizer import RuleOptimizer, at_least_zero, check_lr, new_step

__all__ = ["RMSprop"]


class RMSprop(RuleOptimizer):
    """RMSprop: gradients over the root of the running mean of their squares (Hinton's lecture notes); with momentum and centring."""

    _options = {
        "momentum": 0,
        "centered": False,
        "foreach": None,
        "maximize": False,
        "differentiable": False,
        "capturable": False,
    }

    def __init__(
        self,
        params,
        lr=1e-2,
        alpha=0.99,
        eps=1e-8,
        weight_decay=0,
        momentum=0,
        centered=False,
        capturable=False,
        foreach=None,
        maximize=False,
        differentiable=False,
    ):
        check_lr(lr)
        at_least_zero("epsilon value", eps)
        at_least_zero("momentum value", momentum)
        at_least_zero("weight_decay value", weight_decay)
        at_least_zero("alpha value", alpha)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _update(self, group):
        momentum, centered = group["momentum"], group["centered"]

        def init(p, s):
            s["step"] = new_step()
            s["square_avg"] = zeros_like(p)
            if momentum > 0:
                s["momentum_buffer"] = zeros_like(p)
            if centered:
                s["grad_avg"] = zeros_like(p)

        params, grads, states = self._active(group, init)
        if not params:
            return
        _C._optim_rmsprop(
            params,
            grads,
            [s["square_avg"] for s in states],
            [s["momentum_buffer"] for s in states] if momentum > 0 else None,
            [s["grad_avg"] for s in states] if centered else None,
            [s["step"] for s in states],
            float(group["lr"]),
            float(group["alpha"]),
            float(group["eps"]),
            float(group["weight_decay"]),
            float(momentum),
            group["maximize"],
        )
