"""Resilient backpropagation. Its page: ``torch.optim.Rprop``."""

from rushlight import full_like, ones_like, where, zeros_like

from .optimizer import RuleOptimizer, check_lr, new_step

__all__ = ["Rprop"]


class Rprop(RuleOptimizer):
    """Rprop: every element has a step size, which grows while the gradient keeps its sign (Riedmiller and Braun, 1993). For full batches."""

    _options = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}

    def __init__(
        self,
        params,
        lr=1e-2,
        etas=(0.5, 1.2),
        step_sizes=(1e-6, 50),
        *,
        capturable=False,
        foreach=None,
        maximize=False,
        differentiable=False,
    ):
        check_lr(lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _update(self, group):
        (shrink, grow), (smallest, largest) = group["etas"], group["step_sizes"]

        def init(p, s):
            s["step"] = new_step()
            s["prev"] = zeros_like(p)
            s["step_size"] = full_like(p.grad, float(group["lr"]))

        for p, g, s in zip(*self._active(group, init)):
            s["step"] += 1
            if group["maximize"]:
                g = -g
            agreement = g.mul(s["prev"])
            one = ones_like(agreement)
            factor = where(agreement > 0, one * grow, where(agreement < 0, one * shrink, one))
            step_size = s["step_size"].mul_(factor).clamp_(smallest, largest)
            # Where the sign changed, the element waits for one step, and forgets the change.
            g = where(agreement < 0, zeros_like(g), g)
            p.addcmul_(g.sign(), step_size, value=-1)
            s["prev"].copy_(g)
