"""Adafactor. Its page: ``torch.optim.Adafactor``."""

from rushlight import finfo, zeros

from .optimizer import RuleOptimizer, check_lr, new_step

__all__ = ["Adafactor"]


class Adafactor(RuleOptimizer):
    """Adafactor: second moments of matrices as a product of a column and a row, steps relative to the parameters (Shazeer and Stern, 2018).

    ``eps`` is ``(smallest root of a second moment, smallest scale of a parameter)``; None for the first means the dtype's epsilon.
    """

    _options = {"foreach": None}

    def __init__(
        self,
        params,
        lr=1e-2,
        beta2_decay=-0.8,
        eps=(None, 1e-3),
        d=1.0,
        weight_decay=0.0,
        *,
        foreach=None,
        maximize=False,
    ):
        if not 0.0 <= lr:
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        check_lr(lr)
        if not 0.0 >= beta2_decay:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        if eps[0] is not None and not 0.0 <= eps[0]:
            raise ValueError(f"epsilon1 should be >= 0 but is: {eps[0]}")
        if not 0.0 <= eps[1]:
            raise ValueError(f"epsilon2 should be >= 0 but is: {eps[1]}")
        if not 1.0 <= d:
            raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
        if not 0.0 <= weight_decay:
            raise ValueError(f"weight_decay should be >= 0 but is: {weight_decay}")
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    @staticmethod
    def _init(p, s):
        s["step"] = new_step()
        shape = tuple(p.shape)
        if len(shape) > 1:
            s["row_var"] = zeros(shape[:-1] + (1,), dtype=p.dtype)
            s["col_var"] = zeros(shape[:-2] + (1, shape[-1]), dtype=p.dtype)
        else:
            s["variance"] = zeros(shape, dtype=p.dtype)

    def _update(self, group):
        lr, (eps1, eps2) = float(group["lr"]), group["eps"]
        for p, g, s in zip(*self._active(group, self._init)):
            s["step"] += 1
            step = s["step"].item()
            if group["maximize"]:
                g = -g
            smallest = finfo(p.dtype).eps if eps1 is None else eps1
            new = step ** group["beta2_decay"]
            scale = max(eps2, p.norm(2).item() / p.numel() ** 0.5)
            rate = scale * min(lr, 1 / step**0.5)
            if group["weight_decay"] != 0:
                p.mul_(1 - lr * group["weight_decay"])
            if g.dim() > 1:
                row, col = s["row_var"], s["col_var"]
                row.lerp_(g.norm(2, -1, True).square_().div_(g.size(-1)), new)
                col.lerp_(g.norm(2, -2, True).square_().div_(g.size(-2)), new)
                variance = (row @ col).div_(row.mean(-2, True).clamp_(min=smallest))
            else:
                variance = s["variance"].lerp_(g * g, new).clone()
            update = variance.clamp_(min=smallest * smallest).rsqrt_().mul_(g)
            clip = max(1.0, update.norm(2).item() / (update.numel() ** 0.5 * group["d"]))
            p.add_(update, alpha=-rate / clip)
