"""Adagrad. Its page: ``torch.optim.Adagrad``."""

from rushlight import _C, full_like

from .optimizer import RuleOptimizer, at_least_zero, check_fused, check_lr, new_step

__all__ = ["Adagrad"]


class Adagrad(RuleOptimizer):
    """Adagrad: gradients over the root of the sum of all their squares so far (Duchi, Hazan and Singer, 2011)."""

    _options = {"foreach": None, "maximize": False, "differentiable": False, "fused": None}

    def __init__(
        self,
        params,
        lr=1e-2,
        lr_decay=0,
        weight_decay=0,
        initial_accumulator_value=0,
        eps=1e-10,
        foreach=None,
        *,
        maximize=False,
        differentiable=False,
        fused=None,
    ):
        check_lr(lr)
        at_least_zero("lr_decay value", lr_decay)
        at_least_zero("weight_decay value", weight_decay)
        at_least_zero("initial_accumulator_value value", initial_accumulator_value)
        at_least_zero("epsilon value", eps)
        check_fused(fused, foreach, differentiable)
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group):
        """Adds a group; its state is made at once, as ``share_memory`` needs it."""
        super().add_param_group(param_group)
        for p in param_group["params"]:
            self._init(p, self.state[p], param_group["initial_accumulator_value"])

    @staticmethod
    def _init(p, s, start):
        s["step"] = new_step()
        s["sum"] = full_like(p, start, requires_grad=False)

    def share_memory(self):
        """Moves the state to shared memory, for training by several processes."""
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p]["sum"].share_memory_()

    def _update(self, group):
        params, grads, states = self._active(group, lambda p, s: self._init(p, s, group["initial_accumulator_value"]))
        if not params:
            return
        _C._optim_adagrad(
            params,
            grads,
            [s["sum"] for s in states],
            [s["step"] for s in states],
            float(group["lr"]),
            float(group["lr_decay"]),
            float(group["weight_decay"]),
            float(group["eps"]),
            group["maximize"],
        )
