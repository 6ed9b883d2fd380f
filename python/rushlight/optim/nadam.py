"""NAdam. Its page: ``torch.optim.NAdam``."""

from rushlight import ones, zeros_like

from .optimizer import RuleOptimizer, at_least_zero, check_betas, check_lr, new_step

__all__ = ["NAdam"]


class NAdam(RuleOptimizer):
    """NAdam: Adam with Nesterov's momentum, whose weight follows a schedule (Dozat, 2016)."""

    _options = {
        "maximize": False,
        "foreach": None,
        "capturable": False,
        "differentiable": False,
        "decoupled_weight_decay": False,
    }

    def __init__(
        self,
        params,
        lr=2e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        momentum_decay=4e-3,
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
        at_least_zero("momentum_decay value", momentum_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    @staticmethod
    def _init(p, s):
        s["step"] = new_step()
        s["mu_product"] = ones((), dtype=s["step"].dtype)
        s["exp_avg"] = zeros_like(p)
        s["exp_avg_sq"] = zeros_like(p)

    def _update(self, group):
        (beta1, beta2), lr, weight_decay = group["betas"], float(group["lr"]), group["weight_decay"]
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
            mu, mu_next = (beta1 * (1 - 0.5 * 0.96 ** (t * group["momentum_decay"])) for t in (step, step + 1))
            s["mu_product"] *= mu
            product = s["mu_product"].item()
            exp_avg, exp_avg_sq = s["exp_avg"], s["exp_avg_sq"]
            exp_avg.lerp_(g, 1 - beta1)
            exp_avg_sq.mul_(beta2).addcmul_(g, g, value=1 - beta2)
            denominator = exp_avg_sq.div(1 - beta2**step).sqrt_().add_(group["eps"])
            p.addcdiv_(g, denominator, value=-lr * (1 - mu) / (1 - product))
            p.addcdiv_(exp_avg, denominator, value=-lr * mu_next / (1 - product * mu_next))

    def __setstate__(self, state):
        super().__setstate__(state)
        for s in self.state.values():
            if s and isinstance(s["mu_product"], float):
                s["mu_product"] = new_step(s["mu_product"])
