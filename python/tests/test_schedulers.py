"""Schedules and averaged models against live PyTorch."""

import warnings

import pytest

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")

import rushlight as rl  # noqa: E402

SCHEDULES = {
    "LambdaLR": lambda S, o: S.LambdaLR(o, [lambda e: 0.95**e, lambda e: 1 / (e + 1)]),
    "LambdaLR_one": lambda S, o: S.LambdaLR(o, lambda e: 0.95**e),
    "MultiplicativeLR": lambda S, o: S.MultiplicativeLR(o, lambda e: 0.9 + 0.01 * (e % 3)),
    "StepLR": lambda S, o: S.StepLR(o, 7, gamma=0.5),
    "MultiStepLR": lambda S, o: S.MultiStepLR(o, [30, 5, 5, 60], gamma=0.3),
    "ConstantLR": lambda S, o: S.ConstantLR(o, factor=0.25, total_iters=9),
    "LinearLR": lambda S, o: S.LinearLR(o, start_factor=0.1, end_factor=0.8, total_iters=40),
    "ExponentialLR": lambda S, o: S.ExponentialLR(o, 0.97),
    "PolynomialLR": lambda S, o: S.PolynomialLR(o, total_iters=50, power=2.0),
    "CosineAnnealingLR": lambda S, o: S.CosineAnnealingLR(o, T_max=13, eta_min=0.01),
    "CosineAnnealingWarmRestarts": lambda S, o: S.CosineAnnealingWarmRestarts(o, T_0=5, T_mult=2, eta_min=0.01),
    "CosineAnnealingWarmRestarts_equal": lambda S, o: S.CosineAnnealingWarmRestarts(o, T_0=9),
    "CyclicLR": lambda S, o: S.CyclicLR(o, 0.01, [0.5, 0.3], step_size_up=7, step_size_down=11),
    "CyclicLR_triangular2": lambda S, o: S.CyclicLR(o, 0.01, 0.5, step_size_up=7, mode="triangular2"),
    "CyclicLR_exp": lambda S, o: S.CyclicLR(o, 0.01, 0.5, step_size_up=7, mode="exp_range", gamma=0.99, base_momentum=0.5),
    "CyclicLR_own": lambda S, o: S.CyclicLR(o, 0.01, 0.5, step_size_up=7, scale_fn=lambda x: 1 / x, cycle_momentum=False),
    "OneCycleLR": lambda S, o: S.OneCycleLR(o, max_lr=[0.5, 0.2], total_steps=101),
    "OneCycleLR_three": lambda S, o: S.OneCycleLR(
        o, max_lr=0.5, epochs=20, steps_per_epoch=6, anneal_strategy="linear", three_phase=True, pct_start=0.2
    ),
    "SequentialLR": lambda S, o: S.SequentialLR(
        o, [S.LinearLR(o, 0.1, total_iters=10), S.ExponentialLR(o, 0.9), S.CosineAnnealingLR(o, 20)], [10, 40]
    ),
    "SequentialLR_nested": lambda S, o: S.SequentialLR(
        o, [S.ConstantLR(o, 0.1, 4), S.ChainedScheduler([S.StepLR(o, 3, 0.5), S.ExponentialLR(o, 0.99)])], [200]
    ),
    "ChainedScheduler": lambda S, o: S.ChainedScheduler([S.ConstantLR(o, 0.1, 20), S.ExponentialLR(o, 0.9)]),
}


def optimizer_of(lib, adam=False):
    params = [lib.nn.Parameter(lib.zeros(2)) for _ in range(2)]
    groups = [{"params": params[0]}, {"params": params[1], "lr": 0.3}]
    return lib.optim.Adam(groups, lr=0.5) if adam else lib.optim.SGD(groups, lr=0.5, momentum=0.9)


def momentum(group):
    return group["betas"][0] if "betas" in group else group["momentum"]


def record(lib, make, adam=False, steps=100):
    optimizer = optimizer_of(lib, adam)
    schedule = make(lib.optim.lr_scheduler, optimizer)
    rows = []
    for _ in range(steps):
        rows.append([g["lr"] for g in optimizer.param_groups] + [momentum(g) for g in optimizer.param_groups])
        assert schedule.get_last_lr() == rows[-1][:2]
        optimizer.step()
        schedule.step()
    return rows, schedule


def leaves(state, path=""):
    """The values of a nested state, by their paths."""
    items = state.items() if isinstance(state, dict) else enumerate(state) if isinstance(state, (list, tuple)) else None
    if items is None:
        yield path, state
    else:
        for key, value in items:
            yield from leaves(value, f"{path}/{key}")


@pytest.mark.parametrize("adam", [False, True], ids=["SGD", "Adam"])
@pytest.mark.parametrize("name", [*SCHEDULES])
def test_rates_and_momenta(name, adam):
    ours, our_schedule = record(rl, SCHEDULES[name], adam)
    theirs, their_schedule = record(torch, SCHEDULES[name], adam)
    for a, b in zip(ours, theirs):
        assert a == pytest.approx(b, rel=1e-12, abs=1e-15)
    ours, theirs = dict(leaves(our_schedule.state_dict())), dict(leaves(their_schedule.state_dict()))
    assert list(ours) == list(theirs)
    for path, value in theirs.items():
        assert ours[path] == (pytest.approx(value, rel=1e-12, abs=1e-15) if isinstance(value, float) else value), path


@pytest.mark.parametrize("name", [*SCHEDULES])
def test_state_round_trip(name):
    rows, _ = record(rl, SCHEDULES[name], steps=30)
    optimizer = optimizer_of(rl)
    schedule = SCHEDULES[name](rl.optim.lr_scheduler, optimizer)
    for _ in range(11):
        optimizer.step()
        schedule.step()
    saved, groups = schedule.state_dict(), optimizer.state_dict()
    optimizer = optimizer_of(rl)
    schedule = SCHEDULES[name](rl.optim.lr_scheduler, optimizer)
    optimizer.load_state_dict(groups)
    schedule.load_state_dict(saved)
    for row in rows[11:]:
        assert [g["lr"] for g in optimizer.param_groups] == row[:2]
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mode": "max", "factor": 0.5, "patience": 2, "cooldown": 3},
        {"patience": 1, "threshold_mode": "abs", "threshold": 0.05, "min_lr": [0.01, 0.02]},
        {"mode": "max", "patience": 1, "threshold_mode": "abs", "eps": 0.05},
    ],
)
def test_plateau(options):
    metrics = [1 / (i + 1) + 0.3 * ((i * 7) % 5) for i in range(60)]
    rows = []
    for lib in (rl, torch):
        optimizer = optimizer_of(lib)
        schedule = lib.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
        row = []
        for m in metrics:
            schedule.step(lib.tensor(m))
            row.append((schedule.get_last_lr(), schedule.num_bad_epochs, schedule.in_cooldown))
        rows.append((row, schedule.state_dict()))
    assert rows[0] == rows[1]


@pytest.mark.parametrize("name", ["StepLR", "MultiStepLR", "LinearLR", "ExponentialLR", "PolynomialLR", "CosineAnnealingLR", "LambdaLR"])
def test_epoch_argument_is_deprecated_and_jumps(name):
    rates = []
    for lib in (rl, torch):
        optimizer = optimizer_of(lib)
        schedule = SCHEDULES[name](lib.optim.lr_scheduler, optimizer)
        optimizer.step()
        with pytest.warns(UserWarning, match="The epoch parameter in `scheduler.step"):
            schedule.step(17)
        rates.append(schedule.get_last_lr())
    assert rates[0] == pytest.approx(rates[1], rel=1e-12)


def test_warm_restarts_take_fractions_of_epochs():
    rates = []
    for lib in (rl, torch):
        optimizer = optimizer_of(lib)
        schedule = lib.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 3, 2)
        row = []
        for i in range(40):
            schedule.step(i * 0.7)
            row.append(schedule.get_last_lr())
        rates.append(row)
    for a, b in zip(*rates):
        assert a == pytest.approx(b, rel=1e-12)


def test_resuming_with_last_epoch():
    rates = []
    for lib in (rl, torch):
        optimizer = optimizer_of(lib)
        with pytest.raises(KeyError, match=r"param 'initial_lr' is not specified in param_groups\[0\]"):
            lib.optim.lr_scheduler.StepLR(optimizer, 3, last_epoch=4)
        for group in optimizer.param_groups:
            group["initial_lr"] = 0.5
        schedule = lib.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10, last_epoch=4)
        row = [schedule.get_last_lr()]
        for _ in range(8):
            optimizer.step()
            schedule.step()
            row.append(schedule.get_last_lr())
        rates.append(row)
    for a, b in zip(*rates):
        assert a == pytest.approx(b, rel=1e-12)


def test_warnings_about_order():
    optimizer = optimizer_of(rl)
    schedule = rl.optim.lr_scheduler.StepLR(optimizer, 3)
    with pytest.warns(UserWarning, match=r"Detected call of `lr_scheduler.step\(\)` before `optimizer.step\(\)`"):
        schedule.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer = optimizer_of(rl)
        schedule = rl.optim.lr_scheduler.StepLR(optimizer, 3)
        optimizer.step()
        schedule.step()
    optimizer = optimizer_of(rl)
    schedule = rl.optim.lr_scheduler.StepLR(optimizer, 3)
    optimizer.step = lambda: None
    with pytest.warns(UserWarning, match="has been overridden"):
        schedule.step()
    with pytest.warns(UserWarning, match="please use `get_last_lr"):
        schedule.get_lr()


def test_tensor_rates_stay_tensors():
    p = rl.nn.Parameter(rl.zeros(2))
    lr = rl.tensor(0.5)
    optimizer = rl.optim.SGD([p], lr=lr)
    schedule = rl.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    optimizer.step()
    schedule.step()
    assert optimizer.param_groups[0]["lr"] is lr and float(lr) == 0.25 and schedule.base_lrs[0].item() == 0.5


BAD = [
    lambda S, o: S.StepLR(3, 1),
    lambda S, o: S.LambdaLR(o, [lambda e: 1]),
    lambda S, o: S.MultiplicativeLR(o, [1, 2]),
    lambda S, o: S.ConstantLR(o, factor=2),
    lambda S, o: S.LinearLR(o, start_factor=0),
    lambda S, o: S.LinearLR(o, end_factor=2),
    lambda S, o: S.SequentialLR(o, [], []),
    lambda S, o: S.SequentialLR(o, [S.StepLR(o, 1)], [1]),
    lambda S, o: S.ChainedScheduler([]),
    lambda S, o: S.ChainedScheduler([S.ReduceLROnPlateau(o)]),
    lambda S, o: S.ReduceLROnPlateau(o, factor=1.0),
    lambda S, o: S.ReduceLROnPlateau(o, mode="up"),
    lambda S, o: S.ReduceLROnPlateau(o, min_lr=[1]),
    lambda S, o: S.CyclicLR(o, 0.1, 0.2, mode="round"),
    lambda S, o: S.CyclicLR(o, [0.1], 0.2),
    lambda S, o: S.CosineAnnealingWarmRestarts(o, 0),
    lambda S, o: S.CosineAnnealingWarmRestarts(o, 1, 0),
    lambda S, o: S.CosineAnnealingWarmRestarts(o, 1).step(-1),
    lambda S, o: S.OneCycleLR(o, 0.1),
    lambda S, o: S.OneCycleLR(o, 0.1, total_steps=0),
    lambda S, o: S.OneCycleLR(o, 0.1, epochs=1, steps_per_epoch=-1),
    lambda S, o: S.OneCycleLR(o, 0.1, 10, pct_start=2.0),
    lambda S, o: S.OneCycleLR(o, 0.1, 10, anneal_strategy="exp"),
    lambda S, o: [S.OneCycleLR(o, 0.1, 10), S.OneCycleLR(o, 0.1, 10, last_epoch=10)],
]


@pytest.mark.parametrize("bad", BAD)
def test_refused_arguments(bad):
    errors = []
    for lib in (rl, torch):
        with pytest.raises(Exception) as caught:
            bad(lib.optim.lr_scheduler, optimizer_of(lib))
        errors.append((type(caught.value), str(caught.value)))
    assert errors[0] == errors[1]


# Averaged models.


@pytest.mark.parametrize("options", [{}, {"anneal_epochs": 5, "anneal_strategy": "linear"}, {"anneal_epochs": 0}])
def test_swalr(options):
    def make(lib):
        return lambda S, o: lib.optim.swa_utils.SWALR(o, [0.05, 0.02], **options)

    ours, _ = record(rl, make(rl), steps=20)
    theirs, _ = record(torch, make(torch), steps=20)
    for a, b in zip(ours, theirs):
        assert a == pytest.approx(b, rel=1e-12)


@pytest.mark.parametrize("kind", ["default", "swa", "swa_multi", "ema", "ema_multi", "buffers"])
def test_averaged_model(kind):
    results = []
    for lib in (rl, torch):
        S = lib.optim.swa_utils
        options = {
            "default": {},
            "swa": {"avg_fn": S.get_swa_avg_fn()},
            "swa_multi": {"multi_avg_fn": S.get_swa_multi_avg_fn()},
            "ema": {"avg_fn": S.get_ema_avg_fn(0.8)},
            "ema_multi": {"multi_avg_fn": S.get_ema_multi_avg_fn(0.8)},
            "buffers": {"multi_avg_fn": S.get_ema_multi_avg_fn(0.5), "use_buffers": True},
        }[kind]
        model = lib.nn.Sequential(lib.nn.Linear(2, 2), lib.nn.BatchNorm1d(2))
        with lib.no_grad():
            for i, p in enumerate(model.parameters()):
                p.fill_(0.1 * i)
        average = S.AveragedModel(model, **options)
        for step in range(4):
            with lib.no_grad():
                for p in model.parameters():
                    p.mul_(0.5).add_(step)
            model(lib.tensor([[1.0, 2.0], [3.0, 5.0 + step]]))
            average.update_parameters(model)
        results.append({k: v.tolist() for k, v in average.state_dict().items()})
    assert list(results[0]) == list(results[1])
    for key in results[0]:
        np.testing.assert_allclose(results[0][key], results[1][key], rtol=1e-5, atol=1e-6)


def test_update_bn():
    results = []
    for lib in (rl, torch):
        model = lib.nn.Sequential(lib.nn.BatchNorm1d(2, momentum=0.3))
        model.eval()
        batches = [lib.tensor([[1.0, 2.0], [3.0, 4.0 + i]]) for i in range(3)]
        lib.optim.swa_utils.update_bn([[b, None] for b in batches], model)
        assert model[0].momentum == 0.3 and not model.training
        results.append((model[0].running_mean.tolist(), model[0].running_var.tolist()))
    assert results[0][0] == pytest.approx(results[1][0]) and results[0][1] == pytest.approx(results[1][1])


def test_refused_decay():
    for make in (rl.optim.swa_utils.get_ema_avg_fn, rl.optim.swa_utils.get_ema_multi_avg_fn):
        with pytest.raises(ValueError, match=r"Invalid decay value 2.0 provided. Please provide a value in \[0,1\] range."):
            make(2.0)
