"""Averaged stochastic gradient descent. Its page: ``torch.optim.ASGD``."""

from rushlight import zeros_like

from .optimizer import RuleOptimizer, at_least_zero, check_lr, new_step

__all__ = ["ASGD"]


class ASGD(RuleOptimizer):
    """Stochastic gradient descent that also keeps the mean of its parameters, in the state ``ax`` (Polyak and Juditsky, 1992)."""

    _options = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}

    def __init__(
        self,
        params,
        lr=1e-2,
        lambd=1e-4,
        alpha=0.75,
        t0=1e6,
        weight_decay=0,
        foreach=None,
        maximize=False,
        differentiable=False,
        capturable=False,
    ):
        check_lr(lr)
        at_least_zero("weight_decay value", weight_decay)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def __setstate__(self, state):
        super().__setstate__(state)
        for s in self.state.values():
            for name in ("eta", "mu"):
                if s and isinstance(s[name], (int, float)):
                    s[name] = new_step(s[name])

    def _update(self, group):
        lr, lambd, weight_decay = float(group["lr"]), group["lambd"], group["weight_decay"]

        def init(p, s):
            s["step"] = new_step()
            s["eta"] = new_step(lr)
            s["mu"] = new_step(1.0)
            s["ax"] = zeros_like(p)

        for p, g, s in zip(*self._active(group, init)):
            s["step"] += 1
            step, eta, mu, ax = s["step"].item(), s["eta"].item(), s["mu"].item(), s["ax"]
            if group["maximize"]:
                g = -g
            if weight_decay != 0:
                g = g.add(p, alpha=weight_decay)
            p.mul_(1 - lambd * eta)
            p.add_(g, alpha=-eta)
            if mu == 1:
                ax.copy_(p)
            else:
                ax.add_((p - ax) * mu)
            s["eta"].copy_(new_step(lr / (1 + lambd * lr * step) ** group["alpha"]))
            s["mu"].copy_(new_step(1 / max(1, step - group["t0"])))
