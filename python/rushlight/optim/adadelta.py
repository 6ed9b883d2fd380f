"""Adadelta. Its page: ``torch.optim.Adadelta``."""

from rushlight import zeros_like

from .optimizer import RuleOptimizer, at_least_zero, check_lr, new_step

__all__ = ["Adadelta"]


class Adadelta(RuleOptimizer):
    """Adadelta: steps in the parameter's own unit, from running means of squared gradients and squared steps (Zeiler, 2012)."""

    _options = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}

    def __init__(
        self,
        params,
        lr=1.0,
        rho=0.9,
        eps=1e-6,
        weight_decay=0,
        foreach=None,
        *,
        capturable=False,
        maximize=False,
        differentiable=False,
    ):
        check_lr(lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        at_least_zero("epsilon value", eps)
        at_least_zero("weight_decay value", weight_decay)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    @staticmethod
    def _init(p, s):
        s["step"] = new_step()
        s["square_avg"] = zeros_like(p)
        s["acc_delta"] = zeros_like(p)

    def _update(self, group):
        lr, rho, eps, weight_decay = float(group["lr"]), group["rho"], group["eps"], group["weight_decay"]
        for p, g, s in zip(*self._active(group, self._init)):
            s["step"] += 1
            if group["maximize"]:
                g = -g
            if weight_decay != 0:
                g = g.add(p, alpha=weight_decay)
            square_avg, acc_delta = s["square_avg"], s["acc_delta"]
            square_avg.mul_(rho).addcmul_(g, g, value=1 - rho)
            delta = acc_delta.add(eps).sqrt_().div_(square_avg.add(eps).sqrt_()).mul_(g)
            acc_delta.mul_(rho).addcmul_(delta, delta, value=1 - rho)
            p.add_(delta, alpha=-lr)
