"""RAdam. Its page: ``torch.optim.RAdam``."""

from rushlight import zeros_like

from .optimizer import RuleOptimizer, at_least_zero, check_betas, check_lr, new_step

__all__ = ["RAdam"]


class RAdam(RuleOptimizer):
    """Rectified Adam: plain momentum until the variance of the second moment is known, and Adam scaled by it then (Liu et al., 2019)."""

    _options = {
        "foreach": None,
        "maximize": False,
        "differentiable": False,
        "decoupled_weight_decay": False,
        "capturable": False,
    }

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        decoupled_weight_decay=False,
        *,
        foreach=None,
        maximize=False,
        capturable=False,
        differentiable=False,
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
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    @staticmethod
    def _init(p, s):
        s["step"] = new_step()
        s["exp_avg"] = zeros_like(p)
        s["exp_avg_sq"] = zeros_like(p)

    def _update(self, group):
        (beta1, beta2), lr, weight_decay = group["betas"], float(group["lr"]), group["weight_decay"]
        longest = 2 / (1 - beta2) - 1
        for p, g, s in zip(*self._active(group, self._init)):
            s["step"] += 1
            step = s["step"].item()
            if group["maximize"]:
                g = -g
            if weight_decay != 0:
                if group["decoupled_weight_decay"]:
                    p.mul_(1 - lr * weight_decay)
                else:
                    g = g.add(p, alpha=weight_decay)
            exp_avg, exp_avg_sq = s["exp_avg"], s["exp_avg_sq"]
            exp_avg.lerp_(g, 1 - beta1)
            exp_avg_sq.mul_(beta2).addcmul_(g, g, value=1 - beta2)
            mean = exp_avg / (1 - beta1**step)
            # The length of a simple average that is as certain as this exponential one.
            correction = 1 - beta2**step
            length = longest - 2 * step * beta2**step / correction
            if length > 5:
                rectified = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
                adaptive = correction**0.5 / exp_avg_sq.sqrt().add_(group["eps"])
                p.add_(mean * lr * adaptive * rectified**0.5, alpha=-1)
            else:
                p.add_(mean * lr, alpha=-1)
