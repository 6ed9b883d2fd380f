"""Optimizers against live PyTorch: the same path, the same state, the same errors."""

import copy
import pickle

import pytest

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")

import rushlight as rl  # noqa: E402

OPTIONS = {
    "SGD": [
        {},
        {"lr": 0.05, "momentum": 0.9},
        {"lr": 0.05, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1},
        {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
        {"lr": 0.01, "maximize": True, "foreach": True},
    ],
    "Adam": [
        {},
        {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-5, "weight_decay": 0.1},
        {"lr": 0.02, "amsgrad": True, "maximize": True},
        {"lr": 0.02, "weight_decay": 0.1, "decoupled_weight_decay": True, "fused": True},
    ],
    "AdamW": [{}, {"lr": 0.02, "weight_decay": 0.3, "amsgrad": True}, {"lr": 0.02, "betas": (0.0, 0.9), "maximize": True}],
    "RMSprop": [
        {},
        {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.1},
        {"lr": 0.01, "centered": True, "alpha": 0.9},
        {"lr": 0.01, "centered": True, "momentum": 0.5, "maximize": True},
    ],
    "Adagrad": [{}, {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1}, {"initial_accumulator_value": 0.5, "maximize": True}],
    "Adadelta": [{}, {"lr": 0.5, "rho": 0.8, "weight_decay": 0.1}, {"eps": 1e-3, "maximize": True}],
    "Adamax": [{}, {"lr": 0.05, "betas": (0.8, 0.9), "weight_decay": 0.1}, {"maximize": True}],
    "NAdam": [
        {},
        {"lr": 0.02, "weight_decay": 0.1, "momentum_decay": 0.01},
        {"lr": 0.02, "weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True},
    ],
    "RAdam": [
        {},
        {"lr": 0.02, "betas": (0.8, 0.9), "weight_decay": 0.1},
        {"lr": 0.02, "weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True},
    ],
    "ASGD": [{}, {"lr": 0.05, "t0": 3, "lambd": 0.01, "weight_decay": 0.1}, {"alpha": 0.5, "t0": 0, "maximize": True}],
    "Rprop": [{}, {"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (0.01, 0.3)}, {"maximize": True}],
    "Adafactor": [{}, {"lr": 0.1, "weight_decay": 0.1, "d": 2.0}, {"eps": (1e-4, 0.01), "beta2_decay": -0.5, "maximize": True}],
}
CASES = [(name, options) for name, sets in OPTIONS.items() for options in sets]


def arrays(seed=0, shapes=((4, 3), (3,), (2, 3, 2))):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(s) for s in shapes]


def problem(lib, dtype, shapes=((4, 3), (3,), (2, 3, 2))):
    """Parameters, and a closure-maker for a loss that curves differently along each of them."""
    params = [lib.nn.Parameter(lib.tensor(a.tolist(), dtype=getattr(lib, dtype))) for a in arrays(0, shapes)]
    goals = [lib.tensor(a.tolist(), dtype=getattr(lib, dtype)) for a in arrays(1, shapes)]

    def loss():
        return sum(((p - g).pow(2) * (i + 1)).sum() + p.sin().sum() for i, (p, g) in enumerate(zip(params, goals)))

    return params, loss


def run(lib, name, options, dtype, steps=20):
    params, loss = problem(lib, dtype)
    optimizer = getattr(lib.optim, name)(params, **options)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    return params, optimizer


def values(tensor):
    return np.asarray(tensor.detach().tolist(), dtype=np.float64)


def assert_same(ours, theirs, dtype="float64"):
    tolerance = {"float32": 1e-5, "float64": 1e-11}[dtype]
    np.testing.assert_allclose(values(ours), values(theirs), rtol=tolerance, atol=tolerance)


def to_ours(value):
    """A PyTorch state dict, through plain values."""
    if isinstance(value, torch.Tensor):
        return rl.tensor(value.tolist(), dtype=getattr(rl, str(value.dtype).split(".")[1]))
    if isinstance(value, dict):
        return {k: to_ours(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(to_ours(v) for v in value)
    return value


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name,options", CASES)
def test_path_and_state(name, options, dtype):
    ours, our_optimizer = run(rl, name, options, dtype)
    theirs, their_optimizer = run(torch, name, options, dtype)
    for a, b in zip(ours, theirs):
        assert_same(a, b, dtype)
    ours, theirs = our_optimizer.state_dict(), their_optimizer.state_dict()
    assert ours["param_groups"] == theirs["param_groups"]
    assert [list(g) for g in ours["param_groups"]] == [list(g) for g in theirs["param_groups"]]
    assert list(ours["state"]) == list(theirs["state"])
    for i, state in theirs["state"].items():
        assert list(ours["state"][i]) == list(state)
        for key, value in state.items():
            assert str(ours["state"][i][key].dtype).split(".")[1] == str(value.dtype).split(".")[1]
            assert_same(ours["state"][i][key], value, dtype)
    assert repr(our_optimizer) == repr(their_optimizer)


@pytest.mark.parametrize("name", [*OPTIONS])
def test_continues_from_a_state_of_pytorch(name):
    options = OPTIONS[name][1]
    start, first_optimizer = run(torch, name, options, "float64", steps=7)
    results = []
    for lib, state in ((rl, to_ours(first_optimizer.state_dict())), (torch, copy.deepcopy(first_optimizer.state_dict()))):
        params, loss = problem(lib, "float64")
        optimizer = getattr(lib.optim, name)(params, **options)
        with lib.no_grad():
            for p, t in zip(params, start):
                p.copy_(lib.tensor(t.tolist(), dtype=lib.float64))
        optimizer.load_state_dict(state)
        for _ in range(13):
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()
        results.append(params)
    for a, b in zip(*results):
        assert_same(a, b)


@pytest.mark.parametrize("shape", [(4, 3), (3, 5)])
@pytest.mark.parametrize("options", [{}, {"lr": 0.1, "nesterov": False, "adjust_lr_fn": "match_rms_adamw"}, {"ns_steps": 3}])
def test_muon(shape, options):
    results = []
    for lib in (rl, torch):
        params, loss = problem(lib, "float32", (shape,))
        optimizer = lib.optim.Muon(params, **options)
        for _ in range(5):
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()
        results.append((params[0], optimizer.state[params[0]]["momentum_buffer"]))
    # The iteration runs in bfloat16.
    scale = 5 * options.get("lr", 1e-3)
    for ours, theirs in zip(*results):
        np.testing.assert_allclose(values(ours), values(theirs), atol=0.03 * scale + 1e-6)
    with pytest.raises(ValueError, match="Muon only supports 2D parameters"):
        rl.optim.Muon([rl.nn.Parameter(rl.zeros(2))])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "options",
    [
        {"max_iter": 3},
        {"lr": 0.1, "max_iter": 5, "history_size": 3},
        {"line_search_fn": "strong_wolfe", "max_iter": 4},
        {"line_search_fn": "strong_wolfe", "max_iter": 4, "lr": 20.0},
        {"max_iter": 4, "maximize": True, "line_search_fn": "strong_wolfe"},
    ],
)
def test_lbfgs(options, dtype):
    results = []
    for lib in (rl, torch):
        params, loss = problem(lib, dtype)
        optimizer = lib.optim.LBFGS(params, **options)

        def closure():
            optimizer.zero_grad()
            value = -loss() if options.get("maximize") else loss()
            value.backward()
            return value

        losses = [float(optimizer.step(closure)) for _ in range(3)]
        results.append((losses, params, optimizer.state[params[0]]))
    (losses, params, state), (their_losses, their_params, their_state) = results
    tolerance = 1e-4 if dtype == "float32" else 1e-9
    np.testing.assert_allclose(losses, their_losses, rtol=tolerance)
    for a, b in zip(params, their_params):
        np.testing.assert_allclose(values(a), values(b), rtol=tolerance, atol=10 * tolerance)
    assert set(state) == set(their_state)
    if dtype == "float64":
        assert (state["func_evals"], state["n_iter"]) == (their_state["func_evals"], their_state["n_iter"])


def test_lbfgs_takes_one_group_of_any_dtypes():
    a, b = rl.nn.Parameter(rl.ones(4)), rl.nn.Parameter(rl.ones(2, dtype=rl.float64))
    with pytest.raises(ValueError, match="doesn't support per-parameter options"):
        rl.optim.LBFGS([{"params": [a]}, {"params": [b]}])
    optimizer = rl.optim.LBFGS([a, b])

    def closure():
        optimizer.zero_grad()
        loss = a.double().sum() ** 2 + (b**2).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert a.dtype == rl.float32 and abs(float(a.sum())) < 1e-4 and float(b.abs().max()) < 1e-4


BAD = [
    ("SGD", {"lr": -1}),
    ("SGD", {"momentum": -1}),
    ("SGD", {"weight_decay": -1}),
    ("SGD", {"nesterov": True}),
    ("SGD", {"fused": True, "foreach": True}),
    ("Adam", {"lr": -1}),
    ("Adam", {"eps": -1}),
    ("Adam", {"betas": (1.0, 0.9)}),
    ("Adam", {"betas": (0.9, -0.1)}),
    ("AdamW", {"weight_decay": -1}),
    ("RMSprop", {"alpha": -1}),
    ("RMSprop", {"momentum": -1}),
    ("Adagrad", {"lr_decay": -1}),
    ("Adagrad", {"initial_accumulator_value": -1}),
    ("Adadelta", {"rho": 1.1}),
    ("Adamax", {"betas": (0.9, 1.0)}),
    ("NAdam", {"momentum_decay": -1}),
    ("RAdam", {"eps": -1}),
    ("ASGD", {"weight_decay": -1}),
    ("Rprop", {"etas": (1.0, 0.5)}),
    ("Adafactor", {"d": 0.5}),
    ("Adafactor", {"beta2_decay": 0.5}),
    ("Adafactor", {"eps": (-1.0, 0.5)}),
    ("LBFGS", {"lr": -1}),
]


def error_of(f):
    with pytest.raises(Exception) as caught:
        f()
    return type(caught.value).__name__, str(caught.value)


@pytest.mark.parametrize("name,options", BAD)
def test_refused_options(name, options):
    def construct(lib):
        return lambda: getattr(lib.optim, name)([lib.nn.Parameter(lib.zeros(2))], **options)

    assert error_of(construct(rl)) == error_of(construct(torch))


def test_refused_parameters():
    cases = [
        lambda lib, p: lib.optim.SGD([]),
        lambda lib, p: lib.optim.SGD([1]),
        lambda lib, p: lib.optim.SGD([p * 2]),
        lambda lib, p: lib.optim.SGD([p], lr=lib.ones(2)),
        lambda lib, p: lib.optim.SGD([{"params": p}, {"params": p}]),
        lambda lib, p: lib.optim.SGD([("a", p), lib.nn.Parameter(lib.zeros(2))]),
        lambda lib, p: lib.optim.SGD([p]).add_param_group(3),
        lambda lib, p: lib.optim.SGD([p]).add_param_group({"params": {lib.nn.Parameter(lib.zeros(2))}}),
        lambda lib, p: lib.optim.SGD([p]).add_param_group({"params": [("a", lib.nn.Parameter(lib.zeros(2)))]}),
        lambda lib, p: lib.optim.SGD([p]).load_state_dict({"state": {}, "param_groups": []}),
        lambda lib, p: lib.optim.SGD([p]).load_state_dict({"state": {}, "param_groups": [{"params": [0, 1]}]}),
        lambda lib, p: lib.optim.Adam([p], lr=lib.tensor(0.1), foreach=True),
        lambda lib, p: lib.optim.Adam([p], betas=(lib.tensor(0.1), 0.9)),
    ]
    for case in cases:
        ours, theirs = (error_of(lambda lib=lib: case(lib, lib.nn.Parameter(lib.zeros(2)))) for lib in (rl, torch))
        assert ours == theirs
    with pytest.raises(TypeError, match="should be an iterable of Tensors or dicts, but got"):
        rl.optim.SGD(rl.nn.Parameter(rl.zeros(2)))


def test_what_cannot_be_honoured_is_refused():
    p = rl.nn.Parameter(rl.ones(2))
    with pytest.raises(NotImplementedError, match="differentiable"):
        rl.optim.Adam([p], differentiable=True)
    with pytest.raises(NotImplementedError, match="sparse"):
        rl.optim.SparseAdam([p])
    optimizer = rl.optim.Adam([p], capturable=True)
    p.grad = rl.ones(2)
    with pytest.raises(AssertionError, match="capturable=True"):
        optimizer.step()


def test_groups_names_and_tensor_options():
    results = []
    for lib in (rl, torch):
        (a, b, c), loss = problem(lib, "float64")
        optimizer = lib.optim.SGD(
            [{"params": [("a", a), ("b", b)], "lr": 0.1}, {"params": [("c", c)], "momentum": 0.5}], lr=lib.tensor(0.01)
        )
        for _ in range(3):
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()
        results.append((optimizer, a, b, c))
    ours, theirs = (r[0].state_dict()["param_groups"] for r in results)
    assert [g["param_names"] for g in ours] == [g["param_names"] for g in theirs] == [["a", "b"], ["c"]]
    assert [g["params"] for g in ours] == [[0, 1], [2]]
    for a, b in zip(results[0][1:], results[1][1:]):
        assert_same(a, b, "float32")


def test_parameters_without_gradient_stay():
    a, b = rl.nn.Parameter(rl.ones(2)), rl.nn.Parameter(rl.ones(2))
    optimizer = rl.optim.Adam([a, b])
    a.grad = rl.ones(2)
    optimizer.step()
    assert b.tolist() == [1.0, 1.0] and b not in optimizer.state and a in optimizer.state


def test_closure_runs_with_gradients_and_its_loss_is_returned():
    p = rl.nn.Parameter(rl.ones(2))
    optimizer = rl.optim.SGD([p], lr=0.5)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with rl.no_grad():
        assert float(optimizer.step(closure)) == 2.0
    assert p.tolist() == [0.0, 0.0] and optimizer.step() is None


def test_zero_grad():
    p = rl.nn.Parameter(rl.ones(2))
    optimizer = rl.optim.SGD([p])
    p.grad = rl.ones(2)
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0.0, 0.0]
    optimizer.zero_grad()
    assert p.grad is None


def test_step_hooks():
    p = rl.nn.Parameter(rl.ones(2))
    optimizer = rl.optim.SGD([p])
    seen = []
    before = optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append("before"))
    optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append("after"))
    everywhere = rl.optim.optimizer.register_optimizer_step_pre_hook(lambda o, args, kwargs: seen.append("all"))
    optimizer.step()
    everywhere.remove()
    before.remove()
    optimizer.step()
    assert seen == ["all", "before", "after", "after"]
    optimizer.register_step_pre_hook(lambda o, args, kwargs: 3)
    with pytest.raises(RuntimeError, match=r"must return None or a tuple of \(new_args, new_kwargs\), but got 3"):
        optimizer.step()


def test_state_dict_hooks():
    p = rl.nn.Parameter(rl.ones(2))
    optimizer = rl.optim.SGD([p])
    seen = []
    optimizer.register_state_dict_pre_hook(lambda o: seen.append("save"))
    optimizer.register_state_dict_post_hook(lambda o, d: {**d, "extra": 1})
    optimizer.register_load_state_dict_pre_hook(lambda o, d: seen.append(d.pop("extra")))
    optimizer.register_load_state_dict_post_hook(lambda o: seen.append("loaded"))
    optimizer.load_state_dict(optimizer.state_dict())
    assert seen == ["save", 1, "loaded"]


def test_loading_casts_to_the_parameters_dtype_but_not_steps():
    _, optimizer = run(rl, "Adam", {}, "float64", steps=2)
    params, _ = problem(rl, "float32")
    other = rl.optim.Adam(params)
    other.load_state_dict(optimizer.state_dict())
    state = other.state[params[0]]
    assert state["exp_avg"].dtype == rl.float32 and state["step"].dtype == rl.float32 and float(state["step"]) == 2


def test_pickle_and_deepcopy():
    _, optimizer = run(rl, "Adam", {"amsgrad": True}, "float32", steps=3)
    for twin in (pickle.loads(pickle.dumps(optimizer)), copy.deepcopy(optimizer)):
        assert repr(twin) == repr(optimizer)
        ours, theirs = twin.state_dict()["state"], optimizer.state_dict()["state"]
        for i in theirs:
            for key in theirs[i]:
                assert ours[i][key].tolist() == theirs[i][key].tolist()
        twin.step()


def test_own_optimizer():
    class Own(rl.optim.Optimizer):
        def __init__(self, params, rate=rl.optim.optimizer.required):
            super().__init__(params, {"rate": rate})

        def step(self, closure=None):
            with rl.no_grad():
                for group in self.param_groups:
                    for p in group["params"]:
                        p.sub_(p.grad * group["rate"])

    p = rl.nn.Parameter(rl.ones(2))
    with pytest.raises(ValueError, match="didn't specify a value of required optimization parameter rate"):
        Own([p])
    optimizer = Own([p], 0.5)
    seen = []
    optimizer.register_step_post_hook(lambda *_: seen.append(1))
    p.grad = rl.ones(2)
    optimizer.step()
    assert p.tolist() == [0.5, 0.5] and seen == [1]


def test_bfloat16_parameters():
    results = []
    for lib in (rl, torch):
        p = lib.nn.Parameter(lib.linspace(-1, 1, 9).to(lib.bfloat16))
        optimizer = lib.optim.AdamW([p], lr=0.1)
        for _ in range(3):
            p.grad = p.detach() * 2
            optimizer.step()
        results.append(values(p))
    np.testing.assert_allclose(*results, atol=0.02)
