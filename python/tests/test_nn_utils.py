"""nn.utils against live PyTorch: clipping, packed sequences, norms, parametrizations, pruning, functional calls."""

import copy
import pickle
import warnings

import numpy as np
import pytest

import rushlight
from test_nn_module import attempt, attempt_text, data, net, plain

torch = pytest.importorskip("torch")

import torch.nn.utils.prune  # noqa: E402

SCENARIOS = []


def scenario(function):
    SCENARIOS.append(function)
    return function


@scenario
def clipping(T):
    utils = T.nn.utils
    for norm_type in (2.0, 1.0, float("inf")):
        m = net(T)
        m(data(T, 4, 3)).square().sum().backward()
        yield utils.get_total_norm([p.grad for p in m.parameters()], norm_type)
        yield utils.clip_grad_norm_(m.parameters(), 0.5, norm_type), [p.grad for p in m.parameters()]
    utils.clip_grad_value_(m.parameters(), 0.01)
    yield [p.grad for p in m.parameters()]
    yield utils.clip_grad_norm_(m.a.weight, 1e6), utils.clip_grad_norm_([], 1.0), utils.get_total_norm([])
    utils.clip_grads_with_norm_(m.parameters(), 0.1, T.tensor(1.0))
    yield m.a.weight.grad
    m.a.weight.grad.fill_(float("nan"))
    yield attempt(utils.clip_grad_norm_, m.parameters(), 1.0, error_if_nonfinite=True)


@scenario
def vectors(T):
    m = net(T)
    v = T.nn.utils.parameters_to_vector(m.parameters())
    T.nn.utils.vector_to_parameters(v * 2, m.parameters())
    yield v, m.a.weight, isinstance(m.a.weight, T.nn.Parameter), attempt(T.nn.utils.vector_to_parameters, 5, m.parameters())


@scenario
def padding(T):
    rnn = T.nn.utils.rnn
    parts = [data(T, 2, 3), data(T, 4, 3), data(T, 1, 3)]
    for batch_first in (True, False):
        for side in ("right", "left"):
            yield rnn.pad_sequence(parts, batch_first, -1.0, side)
    padded = rnn.pad_sequence(parts, batch_first=True)
    yield rnn.unpad_sequence(padded, T.tensor([2, 4, 1]), batch_first=True)
    yield attempt(rnn.pad_sequence, parts, padding_side="other"), attempt(rnn.pad_sequence, 5)
    yield attempt(rnn.pad_sequence, [data(T, 2, 3), data(T, 2, 4)])


@scenario
def packing(T):
    rnn = T.nn.utils.rnn
    parts = [data(T, 2, 3), data(T, 4, 3), data(T, 1, 3)]
    packed = rnn.pack_sequence(parts, enforce_sorted=False)
    yield list(packed), type(packed).__name__, rnn.unpack_sequence(packed)
    yield rnn.pad_packed_sequence(packed, batch_first=True, padding_value=9.0, total_length=6)
    yield attempt(rnn.pack_sequence, parts), attempt(rnn.pad_packed_sequence, packed, total_length=2)
    x = data(T, 4, 3, 2).requires_grad_()
    packed = rnn.pack_padded_sequence(x, T.tensor([4, 3, 1]))
    (packed.data * packed.data).sum().backward()
    yield packed.data, packed.batch_sizes, packed.sorted_indices, x.grad
    for lengths in ([4, 3], [4, 3, 0], [3, 4, 1]):
        yield attempt(rnn.pack_padded_sequence, x, lengths)
    yield str(packed.double().data.dtype), packed.float() is packed, str(packed.to(T.float16).data.dtype)
    yield rnn.invert_permutation(T.tensor([2, 0, 1])), rnn.invert_permutation(None)


@scenario
def running_packed(T):
    rnn = T.nn.utils.rnn
    for make, state in (
        (lambda: T.nn.LSTM(3, 4, 2, bidirectional=True), 2),
        (lambda: T.nn.LSTM(3, 4, proj_size=2), None),
        (lambda: T.nn.GRU(3, 4, bidirectional=True, batch_first=True), 1),
        (lambda: T.nn.RNN(3, 4, nonlinearity="relu"), None),
        (lambda: T.nn.GRU(3, 4, 2, dropout=0.5), None),
    ):
        T.manual_seed(0)
        m = make()
        x = data(T, 4, 3, 3).requires_grad_()
        packed = rnn.pack_padded_sequence(x, [2, 4, 1], enforce_sorted=False)
        hx = None
        if state:
            layers = m.num_layers * 2
            hx = data(T, layers, 3, 4)
            hx = (hx, hx * 2) if state == 2 else hx
        out, last = m(packed, hx)
        (out.data * data(T, *out.data.shape)).sum().backward()
        yield out.data, out.batch_sizes, out.unsorted_indices, last, x.grad, [p.grad for p in m.parameters()]
        yield attempt(m, rnn.pack_padded_sequence(data(T, 4, 3, 5), [4, 3, 1]))


@scenario
def old_weight_norm(T):
    for dim in (0, 1, None):
        m = T.nn.utils.weight_norm(net(T).a, dim=dim)
        yield [n for n, _ in m.named_parameters()], list(m.state_dict()), m
        with T.no_grad():
            m.weight_g.mul_(2)
        m(data(T, 2, 3)).sum().backward()
        yield m.weight, m.weight_g.grad, m.weight_v.grad
        yield attempt(T.nn.utils.weight_norm, m)
        T.nn.utils.remove_weight_norm(m)
        yield m.weight, list(m.state_dict()), attempt(T.nn.utils.remove_weight_norm, m)


@scenario
def old_spectral_norm(T):
    for make in (lambda: T.nn.Linear(4, 3), lambda: T.nn.ConvTranspose2d(2, 3, 2)):
        T.manual_seed(0)
        m = T.nn.utils.spectral_norm(make(), n_power_iterations=2)
        yield list(m.state_dict()), m, m.weight_u
        x = data(T, 2, 4) if isinstance(m, T.nn.Linear) else data(T, 1, 2, 3, 3)
        m(x).sum().backward()
        yield m.weight, m.weight_u, m.weight_v, m.weight_orig.grad
        m.eval()
        m(x)
        yield m.weight_u, attempt(T.nn.utils.spectral_norm, m)
        T.nn.utils.remove_spectral_norm(m)
        yield m.weight, list(m.state_dict()), attempt(T.nn.utils.remove_spectral_norm, m)


@scenario
def parametrizations(T):
    from_name = T.nn.utils.parametrizations
    parametrize = T.nn.utils.parametrize
    for register in (from_name.weight_norm, from_name.spectral_norm):
        T.manual_seed(0)
        m = register(T.nn.Linear(4, 3))
        yield m, list(m.state_dict()), type(m).__name__, m.state_dict(), parametrize.is_parametrized(m, "weight")
        m(data(T, 2, 4)).sum().backward()
        yield m.weight, [p.grad for p in m.parameters()]
        twin = copy.deepcopy(m)
        yield twin.weight, type(twin).__name__, attempt(pickle.dumps, m)
        parametrize.remove_parametrizations(m, "weight")
        yield m, m.weight, list(m.state_dict()), type(m).__name__, parametrize.is_parametrized(m)
    m = from_name.weight_norm(T.nn.Linear(4, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old = T.nn.utils.weight_norm(T.nn.Linear(4, 3))
    yield m.load_state_dict(old.state_dict()), (m.parametrizations.weight.original1 - old.weight_v).abs().max()


@scenario
def own_parametrizations(T):
    parametrize, nn = T.nn.utils.parametrize, T.nn

    class Symmetric(nn.Module):
        calls = 0

        def forward(self, x):
            Symmetric.calls += 1
            return x.triu() + x.triu(1).transpose(-1, -2)

        def right_inverse(self, a):
            return a.triu()

    class Plus(nn.Module):
        def forward(self, x):
            return x + 1

    T.manual_seed(0)
    m = nn.Linear(3, 3)
    parametrize.register_parametrization(m, "weight", Symmetric())
    parametrize.register_parametrization(m, "weight", Plus())
    yield m, m.weight, list(m.state_dict()), parametrize.type_before_parametrizations(m)
    yield attempt(setattr, m, "weight", data(T, 3, 3)), attempt(setattr, m, "weight", 5)
    Symmetric.calls = 0
    with parametrize.cached():
        m.weight, m.weight
    yield Symmetric.calls, m.weight is m.weight
    parametrize.remove_parametrizations(m, "weight", leave_parametrized=False)
    yield m, m.weight
    parametrize.register_parametrization(m, "weight", Symmetric())
    m.weight = data(T, 3, 3) + data(T, 3, 3).t()
    yield m.weight, m.parametrizations.weight.original, m.parametrizations.weight[0]

    class Wider(nn.Module):
        def forward(self, x):
            return T.cat([x, x])

    other = nn.Linear(2, 2)
    yield attempt(parametrize.register_parametrization, other, "weight", Wider()), other
    parametrize.register_parametrization(other, "weight", Wider(), unsafe=True)
    yield other.weight.shape, attempt(parametrize.register_parametrization, other, "nothing", Plus())
    target = nn.Linear(3, 3)
    parametrize.transfer_parametrizations_and_params(m, target)
    yield target, (target.weight - m.weight).abs().max()


@scenario
def pruning(T):
    prune = T.nn.utils.prune

    def fresh():
        T.manual_seed(0)
        return T.nn.Sequential(T.nn.Conv2d(3, 4, 2), T.nn.Linear(5, 4))

    steps = [
        lambda m: prune.l1_unstructured(m[0], "weight", 0.4),
        lambda m: prune.random_unstructured(m[0], "weight", 7),
        lambda m: prune.ln_structured(m[0], "weight", 0.5, 2, 0),
        lambda m: prune.random_structured(m[1], "weight", 2, 1),
        lambda m: prune.identity(m[1], "bias"),
        lambda m: prune.custom_from_mask(m[1], "bias", T.tensor([1, 0, 1, 0])),
    ]
    for step in steps:
        m = fresh()
        T.manual_seed(3)
        step(m)
        yield m.state_dict(), m[0].weight, m[1].weight, [n for n, _ in m.named_buffers()], prune.is_pruned(m)
    m = fresh()
    T.manual_seed(3)
    for step in steps:
        step(m)
    yield m.state_dict(), m[0].weight, m[1].bias, [len(h) for h in list(m[0]._forward_pre_hooks.values())]
    m[1](data(T, 2, 5)).sum().backward()
    yield m[1].weight_orig.grad
    prune.remove(m[0], "weight")
    yield m[0].weight, list(m[0].state_dict()), isinstance(m[0].weight, T.nn.Parameter), attempt(prune.remove, m[0], "weight")
    m = fresh()
    prune.global_unstructured([(m[0], "weight"), (m[1], "weight")], prune.L1Unstructured, amount=0.3)
    yield m[0].weight, m[1].weight
    yield attempt(prune.l1_unstructured, m[1], "bias", 1.5), attempt(prune.l1_unstructured, m[1], "bias", 100)
    yield attempt(prune.l1_unstructured, m[1], "bias", "x"), attempt(prune.ln_structured, m[1], "bias", 1, 2, 0)
    yield list(m[1].state_dict()), prune.L1Unstructured(0.5).prune(data(T, 6))


@scenario
def functional_calls(T):
    m = net(T)
    call = T.nn.utils.stateless.functional_call
    x = data(T, 2, 3)
    yield call(m, {"c.bias": T.tensor([5.0, 6.0])}, x), m(x)
    yield T.func.functional_call(m, {"c.bias": T.tensor([5.0, 6.0])}, (x,))


@scenario
def state_dict_prefixes(T):
    m = net(T)
    sd = m.state_dict(prefix="module.")
    T.nn.modules.utils.consume_prefix_in_state_dict_if_present(sd, "module.")
    yield list(sd), list(sd._metadata), m.load_state_dict(sd)
    yield attempt(T.nn.utils.skip_init, 5), attempt_text(lambda: T.nn.utils.missing).replace("rushlight", "torch")


@pytest.mark.parametrize("tell", SCENARIOS, ids=[f.__name__ for f in SCENARIOS])
def test_scenario(tell):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = [plain(part) for part in tell(torch)]
        ours = []
        for i, part in enumerate(tell(rushlight)):
            ours.append(plain(part))
            assert agree(ours[-1], theirs[i]), f"part {i}: {ours[-1]} against {theirs[i]}"
    assert len(ours) == len(theirs)


def agree(a, b):
    """Returns whether two results are equal, numbers to four places."""
    if isinstance(a, float) and isinstance(b, float):
        return bool(np.isclose(a, b, 1e-4, 1e-4, equal_nan=True))
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(agree(x, y) for x, y in zip(a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(agree(a[k], b[k]) for k in a)
    return a == b
