"""Adamax. Its page: ``torch.optim.Adamax``."""

from rushlight import maximum, zeros_like

from .optimizer import RuleOptimizer, at_least_zero, check_betas, check_lr, new_step

__all__ = ["Adamax"]


class Adamax(RuleOptimizer):
    """Adamax: Adam with the largest decayed gradient in place of the mean square (Kingma and Ba, 2014)."""

    _options = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}

    def __init__(
        self,
        params,
        lr=2e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        foreach=None,
        *,
        maximize=False,
        differentiable=False,
        capturable=False,
    ):
        check_lr(lr)
        at_least_zero("epsilon value", eps)
        check_betas(betas)
        at_least_zero("weight_decay value", weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    @staticmethod
    def _init(p, s):
        s["step"] = new_step()
        s["exp_avg"] = zeros_like(p)
        s["exp_inf"] = zeros_like(p)

    def _update(self, group):
        (beta1, beta2), weight_decay = group["betas"], group["weight_decay"]
        for p, g, s in zip(*self._active(group, self._init)):
            s["step"] += 1
            if group["maximize"]:
                g = -g
            if weight_decay != 0:
                g = g.add(p, alpha=weight_decay)
            exp_avg, exp_inf = s["exp_avg"], s["exp_inf"]
            exp_avg.lerp_(g, 1 - beta1)
            exp_inf.copy_(maximum(exp_inf.mul_(beta2), g.abs().add_(group["eps"])))
            p.addcdiv_(exp_avg, exp_inf, value=-float(group["lr"]) / (1 - beta1 ** s["step"].item()))
