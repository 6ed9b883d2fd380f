"""What PyTorch's optimizers and schedules do, step by step. Called by generate.py."""
import torch


def fill(uniform, tensor, shape, dtype=torch.float64):
    n = 1
    for d in shape:
        n *= d
    return torch.tensor([4 * uniform(tensor, e) - 2 for e in range(n)], dtype=torch.float64).reshape(shape).to(dtype)


SHAPES = [(3, 4), (5,)]
STEPS = 20

RULES = [
    ("SGD", {}),
    ("SGD", dict(lr=0.1, momentum=0.9)),
    ("SGD", dict(lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.05)),
    ("SGD", dict(lr=0.1, momentum=0.8, nesterov=True, weight_decay=0.01)),
    ("SGD", dict(lr=0.02, momentum=0.5, maximize=True)),
    ("Adam", {}),
    ("Adam", dict(lr=0.05, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1)),
    ("Adam", dict(lr=0.05, amsgrad=True)),
    ("Adam", dict(lr=0.05, amsgrad=True, maximize=True)),
    ("AdamW", {}),
    ("AdamW", dict(lr=0.05, betas=(0.85, 0.97), weight_decay=0.3)),
    ("AdamW", dict(lr=0.05, amsgrad=True, maximize=True)),
    ("RMSprop", {}),
    ("RMSprop", dict(lr=0.03, alpha=0.9, momentum=0.7)),
    ("RMSprop", dict(lr=0.03, centered=True, weight_decay=0.1)),
    ("RMSprop", dict(lr=0.03, centered=True, momentum=0.5, maximize=True)),
    ("Adagrad", {}),
    ("Adagrad", dict(lr=0.3, lr_decay=0.05, weight_decay=0.1, initial_accumulator_value=0.2)),
    ("Adagrad", dict(lr=0.3, maximize=True)),
]


def rules(uniform, numbers):
    out = []
    for name, options in RULES:
        for dtype in (torch.float64, torch.float32):
            params = [fill(uniform, i, s, dtype).requires_grad_() for i, s in enumerate(SHAPES)]
            optimizer = getattr(torch.optim, name)(params, foreach=False, **options)
            for step in range(STEPS):
                for i, p in enumerate(params):
                    # Towards the origin, with noise; the second parameter has no gradient in the first steps.
                    if i == 0 or step >= 3:
                        p.grad = (0.3 * p + fill(uniform, 2 + 2 * step + i, p.shape, dtype)).detach()
                optimizer.step()
            state = optimizer.state_dict()["state"]
            kept = {
                str(i): {k: v.item() if k == "step" else numbers(v) for k, v in s.items() if v is not None} for i, s in state.items()
            }
            full = {k: v for k, v in optimizer.defaults.items() if isinstance(v, (bool, int, float, tuple))}
            out.append(
                {"rule": name, "dtype": str(dtype).removeprefix("torch."), "options": full, "params": [numbers(p) for p in params], "state": kept}
            )
    return out


def schedules():
    S = torch.optim.lr_scheduler
    cases = {
        "lambda": lambda o: S.LambdaLR(o, lambda t: 0.95**t * (1 + t % 3)),
        "step": lambda o: S.StepLR(o, 7, 0.5),
        "multistep": lambda o: S.MultiStepLR(o, [3, 10, 10, 40], 0.3),
        "exponential": lambda o: S.ExponentialLR(o, 0.97),
        "linear": lambda o: S.LinearLR(o, 0.25, 1.0, 13),
        "linear_down": lambda o: S.LinearLR(o, 1.0, 0.1, 60),
        "cosine": lambda o: S.CosineAnnealingLR(o, 30, 0.001),
        "one_cycle": lambda o: S.OneCycleLR(o, 0.4, total_steps=101),
        "one_cycle_linear": lambda o: S.OneCycleLR(o, 0.4, total_steps=101, pct_start=0.4, anneal_strategy="linear", three_phase=True, div_factor=10.0, final_div_factor=50.0),
        "sequential": lambda o: S.SequentialLR(o, [S.LinearLR(o, 0.1, 1.0, 10), S.ExponentialLR(o, 0.9), S.CosineAnnealingLR(o, 20, 0.0)], [10, 45]),
        "plateau": lambda o: S.ReduceLROnPlateau(o, factor=0.5, patience=3, cooldown=2, min_lr=0.001),
        "plateau_max": lambda o: S.ReduceLROnPlateau(o, mode="max", factor=0.3, patience=2, threshold=0.05, threshold_mode="abs"),
    }
    out = {}
    for name, make in cases.items():
        params = [torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)]
        groups = [{"params": [params[0]], "lr": 0.1}, {"params": [params[1]], "lr": 0.02}]
        optimizer = torch.optim.SGD(groups, momentum=0.9)
        schedule = make(optimizer)
        lrs, momenta = [], []
        for step in range(101):
            lrs.append([g["lr"] for g in optimizer.param_groups])
            momenta.append(optimizer.param_groups[0]["momentum"])
            if step == 100:
                break
            optimizer.step()
            if name.startswith("plateau"):
                schedule.step(1.0 / (1 + step // 9) + 0.01 * (step % 5))
            else:
                schedule.step()
        out[name] = {"lrs": lrs} | ({"momenta": momenta} if name.startswith("one") else {})
    return out


def lbfgs(uniform, numbers):
    def rosenbrock(x):
        return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()

    a, b = fill(uniform, 0, (12, 4)), fill(uniform, 1, (12,))

    def regression(x):
        return ((a @ x - b) ** 2).mean()

    cases = [
        ("rosenbrock", rosenbrock, [-1.2, 1.0], dict(line_search_fn="strong_wolfe", max_iter=4), 8),
        ("rosenbrock", rosenbrock, [-1.2, 1.0, 0.5], dict(line_search_fn="strong_wolfe", max_iter=5, history_size=2), 6),
        ("regression", regression, [0.5, -0.5, 1.0, 0.0], dict(lr=0.5, max_iter=3), 5),
        ("regression", regression, [0.5, -0.5, 1.0, 0.0], dict(line_search_fn="strong_wolfe"), 2),
    ]
    out = []
    for name, f, start, options, steps in cases:
        x = torch.tensor(start, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS([x], **options)
        path, losses = [], []
        for _ in range(steps):

            def closure():
                optimizer.zero_grad()
                loss = f(x)
                loss.backward()
                return loss

            losses.append(optimizer.step(closure).item())
            path.append(numbers(x))
        evaluations = optimizer.state[x]["func_evals"]
        out.append({"problem": name, "start": start, "options": options, "path": path, "losses": losses, "evaluations": evaluations})
    return out


def optim(uniform, numbers):
    return {"rules": rules(uniform, numbers), "schedules": schedules(), "lbfgs": lbfgs(uniform, numbers)}
