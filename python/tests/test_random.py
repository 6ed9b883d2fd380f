"""The same seed gives PyTorch's numbers: streams, default initialisation, the order of a shuffled loader."""

import numpy as np
import pytest
import rushlight

torch = pytest.importorskip("torch")

DRAWS = {
    "rand": lambda t, g: t.rand(7, 3, generator=g),
    "rand float64": lambda t, g: t.rand(5, dtype=t.float64, generator=g),
    "randn": lambda t, g: t.randn(40, generator=g),
    "randn small": lambda t, g: t.randn(3, generator=g),
    "randint": lambda t, g: t.randint(0, 1000, (20,), generator=g),
    "randint high": lambda t, g: t.randint(5, (4, 2), generator=g),
    "randperm": lambda t, g: t.randperm(30, generator=g),
    "normal_": lambda t, g: t.empty(20).normal_(1.0, 2.0, generator=g),
    "uniform_": lambda t, g: t.empty(20).uniform_(-1, 3, generator=g),
    "bernoulli": lambda t, g: t.bernoulli(t.full((30,), 0.3), generator=g),
    "bernoulli_": lambda t, g: t.empty(30).bernoulli_(0.7, generator=g),
    "multinomial": lambda t, g: t.multinomial(t.tensor([0.1, 0.2, 0.3, 0.4]), 10, replacement=True, generator=g),
    "multinomial without": lambda t, g: t.multinomial(t.tensor([0.1, 0.2, 0.3, 0.4]), 3, generator=g),
    "exponential_": lambda t, g: t.empty(10).exponential_(1.5, generator=g),
    "random_": lambda t, g: t.empty(6, dtype=t.int64).random_(0, 100, generator=g),
}


def same(a, b):
    np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())


@pytest.mark.parametrize("seed", [0, 42, 2**40 + 3])
def test_streams_of_a_generator(seed):
    ours, theirs = (t.Generator().manual_seed(seed) for t in (rushlight, torch))
    for name, draw in DRAWS.items():
        same(draw(rushlight, ours), draw(torch, theirs)), name
    same(ours.get_state(), theirs.get_state())


def test_streams_of_the_default_generator():
    for t in (rushlight, torch):
        t.manual_seed(7)
    for draw in DRAWS.values():
        same(draw(rushlight, None), draw(torch, None))


def test_states_move_between_the_packages():
    theirs = torch.Generator().manual_seed(3)
    torch.rand(5, generator=theirs)
    ours = rushlight.Generator()
    ours.set_state(rushlight.from_numpy(theirs.get_state().numpy()))
    same(rushlight.randn(20, generator=ours), torch.randn(20, generator=theirs))


def test_fork_rng_and_restored_states():
    state = rushlight.get_rng_state()
    first = rushlight.rand(3)
    with rushlight.random.fork_rng():
        rushlight.rand(100)
    second = rushlight.rand(3)
    rushlight.set_rng_state(state)
    same(rushlight.rand(3), first)
    same(rushlight.rand(3), second)


LAYERS = {
    "Linear": lambda nn: nn.Linear(7, 5),
    "Conv2d": lambda nn: nn.Conv2d(3, 4, 3),
    "ConvTranspose1d": lambda nn: nn.ConvTranspose1d(3, 4, 3),
    "Embedding": lambda nn: nn.Embedding(10, 4),
    "LSTM": lambda nn: nn.LSTM(4, 5, 2, bidirectional=True),
    "GRUCell": lambda nn: nn.GRUCell(4, 5),
    "MultiheadAttention": lambda nn: nn.MultiheadAttention(8, 2),
    "TransformerEncoderLayer": lambda nn: nn.TransformerEncoderLayer(8, 2, 16),
    "Bilinear": lambda nn: nn.Bilinear(3, 4, 5),
    "orthogonal": lambda nn: nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_default_initialisation(name):
    states = []
    for t in (rushlight, torch):
        t.manual_seed(11)
        states.append(LAYERS[name](t.nn).state_dict())
    ours, theirs = states
    assert list(ours) == list(theirs)
    for key in ours:
        same(ours[key], theirs[key])


def test_order_of_a_shuffled_loader():
    orders = []
    for t in (rushlight, torch):
        t.manual_seed(5)
        loader = t.utils.data.DataLoader(list(range(23)), batch_size=4, shuffle=True)
        orders.append([batch.tolist() for _ in range(3) for batch in loader])
    assert orders[0] == orders[1]
