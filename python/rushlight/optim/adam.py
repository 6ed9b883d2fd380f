"""Adam. Its page: ``torch.optim.Adam``."""

from rushlight import Tensor, _C, zeros_like

from .optimizer import RuleOptimizer, at_least_zero, check_betas, check_fused, check_lr, new_step

__all__ = ["Adam"]


class Adam(RuleOptimizer):
    """Adam: steps of the running mean of gradients over the root of the running mean of their squares (Kingma and Ba, 2014).

    Weight decay is added to the gradient, or with ``decoupled_weight_decay`` shrinks the parameter itself. ``foreach`` and ``fused`` are
    hints: a step is one native call for each group in any case.
    """

    _options = {
        "amsgrad": False,
        "maximize": False,
        "foreach": None,
        "capturable": False,
        "differentiable": False,
        "fused": None,
        "decoupled_weight_decay": False,
    }

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        amsgrad=False,
        *,
        foreach=None,
        maximize=False,
        capturable=False,
        differentiable=False,
        fused=None,
        decoupled_weight_decay=False,
    ):
        check_lr(lr, foreach, capturable)
        at_least_zero("epsilon value", eps)
        check_betas(betas)
        at_least_zero("weight_decay value", weight_decay)
        _check_tensor_betas(betas, foreach, capturable)
        check_fused(fused, foreach, differentiable)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _update(self, group):
        amsgrad = group["amsgrad"]

        def init(p, s):
            s["step"] = new_step()
            s["exp_avg"] = zeros_like(p)
            s["exp_avg_sq"] = zeros_like(p)
            if amsgrad:
                s["max_exp_avg_sq"] = zeros_like(p)

        params, grads, states = self._active(group, init)
        if not params:
            return
        beta1, beta2 = group["betas"]
        _C._optim_adam(
            params,
            grads,
            [s["exp_avg"] for s in states],
            [s["exp_avg_sq"] for s in states],
            [s["max_exp_avg_sq"] for s in states] if amsgrad else None,
            [s["step"] for s in states],
            float(group["lr"]),
            float(beta1),
            float(beta2),
            float(group["eps"]),
            float(group["weight_decay"]),
            group["maximize"],
            group["decoupled_weight_decay"],
        )


def _check_tensor_betas(betas, foreach, capturable):
    tensors = [isinstance(b, Tensor) for b in betas]
    if any(tensors) and not all(tensors):
        raise ValueError("betas must be either both floats or both Tensors")
    for i, beta in enumerate(betas):
        if tensors[i]:
            if not capturable and foreach:
                raise ValueError(f"betas[{i}] as a Tensor is not supported for capturable=False and foreach=True")
            if beta.numel() != 1:
                raise ValueError(f"Tensor betas[{i}] must be 1-element")
