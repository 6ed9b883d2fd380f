"""L-BFGS. Its page: ``torch.optim.LBFGS``.

Sources: Liu and Nocedal, "On the limited memory BFGS method for large scale optimization" (1989); Nocedal and Wright, "Numerical
Optimization", algorithms 3.5, 3.6 and 7.4.
"""

from collections import namedtuple

import rushlight
from rushlight import Tensor, cat, no_grad

from .optimizer import Optimizer, check_lr

__all__ = ["LBFGS"]

#: What the line search knows of a step length: the loss, its gradient, and its slope along the direction.
_Point = namedtuple("_Point", "t loss grad slope")


class LBFGS(Optimizer):
    """A quasi-Newton method that keeps ``history_size`` past steps in place of a Hessian.

    ``step`` needs a closure, and calls it up to ``max_eval`` times (5/4 of ``max_iter`` by default). ``line_search_fn`` is None or
    ``"strong_wolfe"``. There is one parameter group; its tensors are treated as one vector, and the state is kept with the first of them.
    """

    def __init__(
        self,
        params,
        lr=1,
        max_iter=20,
        max_eval=None,
        tolerance_grad=1e-7,
        tolerance_change=1e-9,
        history_size=100,
        line_search_fn=None,
        *,
        maximize=False,
    ):
        check_lr(lr)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
            "maximize": maximize,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        self._params = self.param_groups[0]["params"]

    def __setstate__(self, state):
        super().__setstate__(state)
        self._params = self.param_groups[0]["params"]
        self.param_groups[0].setdefault("maximize", False)

    def _flat_grad(self):
        grads = [p.new_zeros(p.numel()) if p.grad is None else p.grad.reshape(-1) for p in self._params]
        flat = cat(grads, 0)
        return -flat if self.param_groups[0]["maximize"] else flat

    def _move(self, t, direction):
        t, offset = float(t), 0
        for p in self._params:
            p.add_(direction[offset : offset + p.numel()].view_as(p), alpha=t)
            offset += p.numel()

    def _evaluate(self, closure):
        loss = float(closure())
        return (-loss if self.param_groups[0]["maximize"] else loss), self._flat_grad()

    def _evaluate_at(self, closure, start, t, direction):
        """Loss and gradient a step away from ``start``, where the parameters stay."""
        self._move(t, direction)
        loss, grad = self._evaluate(closure)
        for p, old in zip(self._params, start):
            p.copy_(old)
        return _Point(t, loss, grad, grad.dot(direction))

    @no_grad()
    def step(self, closure):
        """Takes up to ``max_iter`` quasi-Newton steps; returns the loss before them."""
        user_closure = closure

        def closure():
            with rushlight.enable_grad():
                return user_closure()

        group, state = self.param_groups[0], self.state[self._params[0]]
        lr, history_size, search = float(group["lr"]), group["history_size"], group["line_search_fn"]
        if isinstance(group["lr"], int):
            lr = group["lr"]
        if search not in (None, "strong_wolfe"):
            raise RuntimeError("only 'strong_wolfe' is supported")
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        first_loss = closure()
        loss = -float(first_loss) if group["maximize"] else float(first_loss)
        grad = self._flat_grad()
        evaluations = 1
        state["func_evals"] += 1
        if grad.abs().max() <= group["tolerance_grad"]:
            return first_loss

        d, t, h_diag = state.get("d"), state.get("t"), state.get("H_diag")
        changes, steps, rhos = state.get("old_dirs"), state.get("old_stps"), state.get("ro")
        prev_grad, prev_loss = state.get("prev_flat_grad"), state.get("prev_loss")
        iteration = 0
        while iteration < group["max_iter"]:
            iteration += 1
            state["n_iter"] += 1
            if state["n_iter"] == 1:
                d, changes, steps, rhos, h_diag = grad.neg(), [], [], [], 1
            else:
                change, step = grad.sub(prev_grad), d.mul(t)
                curvature = change.dot(step)
                if curvature > 1e-10:
                    if len(changes) == history_size:
                        for history in (changes, steps, rhos):
                            history.pop(0)
                    changes.append(change)
                    steps.append(step)
                    rhos.append(1.0 / curvature)
                    h_diag = curvature / change.dot(change)
                d = _two_loops(grad, changes, steps, rhos, h_diag, state.setdefault("al", [None] * history_size))
            prev_grad = grad.clone() if prev_grad is None else prev_grad.copy_(grad)
            prev_loss = loss

            # The first direction is a gradient, whose length says nothing about that of the step.
            t = min(1.0, 1.0 / grad.abs().sum()) * lr if state["n_iter"] == 1 else lr
            slope = grad.dot(d)
            if slope > -group["tolerance_change"]:
                break
            calls, converged = 0, False
            if search is not None:
                start = [p.clone() for p in self._params]
                origin = _Point(0, loss, grad, slope)
                point, calls = _strong_wolfe(lambda t: self._evaluate_at(closure, start, t, d), origin, t, d)
                t, loss, grad = point.t, point.loss, point.grad
                self._move(t, d)
                converged = grad.abs().max() <= group["tolerance_grad"]
            else:
                self._move(t, d)
                if iteration != group["max_iter"]:
                    loss, grad = self._evaluate(closure)
                    converged = grad.abs().max() <= group["tolerance_grad"]
                    calls = 1
            evaluations += calls
            state["func_evals"] += calls
            if (
                evaluations >= group["max_eval"]
                or converged
                or d.mul(t).abs().max() <= group["tolerance_change"]
                or abs(loss - prev_loss) < group["tolerance_change"]
            ):
                break

        state.update(d=d, t=t, old_dirs=changes, old_stps=steps, ro=rhos, H_diag=h_diag)
        state.update(prev_flat_grad=prev_grad, prev_loss=prev_loss)
        return first_loss


def _two_loops(grad, changes, steps, rhos, h_diag, alphas):
    """The product of the inverse Hessian's estimate and the negative gradient (Nocedal and Wright, algorithm 7.4)."""
    q = grad.neg()
    for i in reversed(range(len(changes))):
        alphas[i] = steps[i].dot(q) * rhos[i]
        q.add_(changes[i], alpha=-alphas[i].item())
    r = q * h_diag
    for change, step, rho, alpha in zip(changes, steps, rhos, alphas):
        r.add_(step, alpha=(alpha - change.dot(r) * rho).item())
    return r


def _strong_wolfe(evaluate, origin, t, d, c1=1e-4, c2=0.9, tolerance_change=1e-9, max_ls=25):
    """A point with enough decrease (``c1``) and a slope flat enough (``c2``), and the number of evaluations.

    The first loop grows the step until it has passed such a point; the second halves the bracket around it.
    """
    d_norm = d.abs().max()

    def too_high(point):
        return point.loss > origin.loss + c1 * point.t * origin.slope

    def flat(point):
        return abs(point.slope) <= -c2 * origin.slope

    previous, point, calls, iteration = origin, evaluate(t), 1, 0
    done = False
    while iteration < max_ls:
        if too_high(point) or (iteration > 1 and point.loss >= previous.loss):
            bracket = [previous, point]
            break
        if flat(point):
            bracket, done = [point], True
            break
        if point.slope >= 0:
            bracket = [previous, point]
            break
        bounds = (point.t + 0.01 * (point.t - previous.t), point.t * 10)
        t = _cubic_minimum(previous, point, bounds)
        previous, point = point, evaluate(t)
        calls += 1
        iteration += 1
    if iteration == max_ls:
        bracket = [origin, point]

    stalled = False
    low, high = (0, 1) if bracket[0].loss <= bracket[-1].loss else (1, 0)
    while not done and iteration < max_ls:
        if abs(bracket[1].t - bracket[0].t) * d_norm < tolerance_change:
            break
        t = _cubic_minimum(bracket[0], bracket[1])
        left, right = min(bracket[0].t, bracket[1].t), max(bracket[0].t, bracket[1].t)
        # Near an end of the bracket twice in a row: move a tenth of it inwards.
        margin = 0.1 * (right - left)
        if min(right - t, t - left) < margin:
            if stalled or t >= right or t <= left:
                t = right - margin if abs(t - right) < abs(t - left) else left + margin
                stalled = False
            else:
                stalled = True
        else:
            stalled = False
        point = evaluate(t)
        calls += 1
        iteration += 1
        if too_high(point) or point.loss >= bracket[low].loss:
            bracket[high] = point
            low, high = (0, 1) if bracket[0].loss <= bracket[1].loss else (1, 0)
        else:
            if flat(point):
                done = True
            elif point.slope * (bracket[high].t - bracket[low].t) >= 0:
                bracket[high] = bracket[low]
            bracket[low] = point
    return bracket[low if len(bracket) > 1 else 0], calls


def _cubic_minimum(a, b, bounds=None):
    """Where the cubic through two points with their slopes is smallest, within ``bounds`` or between the points."""
    if a.t > b.t:
        a, b = b, a
    smallest, largest = bounds or (a.t, b.t)
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = d1**2 - a.slope * b.slope
    if square < 0:
        return (smallest + largest) / 2.0
    d2 = square.sqrt() if isinstance(square, Tensor) else square**0.5
    t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
    return min(max(t, smallest), largest)
