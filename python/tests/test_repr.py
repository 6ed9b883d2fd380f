"""How tensors are printed, against live PyTorch: every character."""

import pytest
import rushlight

torch = pytest.importorskip("torch")

from both import evaluate, rows  # noqa: E402

# All dtypes, widths, exponents, summaries, shapes without elements.
PLAIN = rows("""
    torch.tensor(1.)
    torch.tensor(1)
    torch.tensor(True)
    torch.tensor(-0.)
    torch.tensor(1.5)
    torch.tensor(0.1)
    torch.tensor(1e10)
    torch.tensor(1e-10)
    torch.tensor(float('nan'))
    torch.tensor(float('inf'))
    torch.tensor(3.14159, dtype=torch.float64)
    torch.tensor(3.14159, dtype=torch.float16)
    torch.tensor(3.14159, dtype=torch.bfloat16)
    torch.tensor([])
    torch.zeros(0, 3)
    torch.zeros(2, 0)
    torch.zeros(0, dtype=torch.int64)
    torch.zeros(0, 3, dtype=torch.bool)
    torch.tensor([1., 2., 3.])
    torch.tensor([1, 2, 3])
    torch.tensor([1, -2, 300])
    torch.tensor([True, False])
    torch.tensor([1., 2.5])
    torch.tensor([1., 1000000.])
    torch.tensor([1., 100000000.])
    torch.tensor([1.5, 1e8])
    torch.tensor([1.5, 1e-5])
    torch.tensor([0.1, 1e-3])
    torch.tensor([1e-10, 1.])
    torch.tensor([1e-8, 1e-9])
    torch.tensor([1e5, 1e-5])
    torch.tensor([float('nan'), 1.])
    torch.tensor([float('inf'), -float('inf'), 1.])
    torch.tensor([float('nan'), 1.5, 1e9])
    torch.tensor([float('nan')] * 3)
    torch.tensor([1e38, -1e38])
    torch.tensor([1e-45])
    torch.tensor([0.] * 3)
    torch.tensor([-1., 2.])
    torch.tensor([-1.123456, 22.5])
    torch.tensor([999., 1000.])
    torch.tensor([999.5, 1000.25])
    torch.tensor([[1., 2.], [3., 4.]])
    torch.tensor([[1, 2], [3, 4]])
    torch.tensor([[[1., 2.]], [[3., 4.]]])
    torch.arange(24.).reshape(2, 3, 4)
    torch.arange(24).reshape(1, 2, 3, 4)
    torch.arange(100)
    torch.arange(100.)
    torch.arange(1000)
    torch.arange(1001)
    torch.arange(1200.).reshape(30, 40)
    torch.arange(2000).reshape(2, 1000)
    torch.arange(8000).reshape(20, 20, 20)
    torch.zeros(1000, 2)
    torch.zeros(3, 500)
    torch.ones(5, 5, 5, 5, 5)
    torch.ones(40) * 0.123456
    torch.arange(30.) * 1000
    torch.arange(3, dtype=torch.int32)
    torch.arange(3, dtype=torch.int8)
    torch.arange(3, dtype=torch.uint8)
    torch.arange(3, dtype=torch.int16)
    torch.arange(3, dtype=torch.float64)
    torch.arange(3, dtype=torch.float16)
    torch.arange(3, dtype=torch.bfloat16)
    torch.tensor([0.1, 0.2], dtype=torch.float16)
    torch.tensor([0.1, 0.2], dtype=torch.bfloat16)
    torch.tensor([0.1, 0.2], dtype=torch.float64)
    torch.tensor([1e5, 0.1], dtype=torch.float64)
    torch.tensor([65504.], dtype=torch.float16)
    torch.nn.Parameter(torch.ones(2))
    torch.nn.Parameter(torch.tensor(1.))
    torch.nn.Parameter(torch.ones(2, 2), requires_grad=False)
    torch.nn.Parameter(torch.zeros(0))
    torch.ones(2, 3).t()
    torch.ones(1).expand(3)
    torch.tensor([[1e-5, 1.], [100., 2.]])
    torch.tensor([1.0000001, 2.])
    torch.tensor([123456.789, 1.])
    torch.tensor([12345678., 1.])
    torch.tensor([0.00001, 123.])
    torch.tensor([2**40, 1])
    torch.tensor([-2**63, 2**63 - 1])
    torch.tensor([[True], [False]])
    torch.full((3, 3), float('nan'))
    torch.eye(12)
    torch.linspace(0, 1, 50)
    torch.tensor([1., float('inf')])
    torch.tensor([1, 2], dtype=torch.int32)[0]
    torch.zeros(1, 1, 1)
    torch.zeros(())
    torch.arange(1001).float()
    torch.tensor([1.5] * 1001)
    torch.arange(2002.).reshape(1001, 2) / 7
    torch.arange(21.).reshape(3, 7) * 1e-4
""")

# What needs gradients; nodes that PyTorch gives the same name.
GRAPH = rows("""
    torch.zeros(0, requires_grad=True)
    torch.ones(2, requires_grad=True)
    torch.ones(2, dtype=torch.float64, requires_grad=True)
    torch.tensor(1., requires_grad=True)
    torch.ones(2, requires_grad=True) + 1
    torch.ones(2, requires_grad=True) * 2
    torch.ones(2, requires_grad=True) - 2
    torch.ones(2, requires_grad=True) / 2
    torch.ones(2, requires_grad=True) ** 2
    -torch.ones(2, requires_grad=True)
    torch.ones(2, requires_grad=True).sum()
    torch.ones(2, requires_grad=True).mean()
    torch.ones(2, requires_grad=True).exp()
    torch.ones(2, requires_grad=True).log()
    torch.ones(2, requires_grad=True).sqrt()
    torch.ones(2, requires_grad=True).relu()
    torch.ones(2, requires_grad=True).sigmoid()
    torch.ones(2, requires_grad=True).tanh()
    torch.ones(2, requires_grad=True).softmax(0)
    torch.ones(2, requires_grad=True).log_softmax(0)
    torch.ones(2, requires_grad=True).view(2, 1)
    torch.ones(2, 1, requires_grad=True).t()
    torch.ones(2, 1, requires_grad=True).transpose(0, 1)
    torch.ones(2, 1, requires_grad=True).permute(1, 0)
    torch.ones(2, requires_grad=True)[0]
    torch.ones(2, requires_grad=True)[:1]
    torch.ones(2, requires_grad=True)[[0]]
    torch.ones(2, requires_grad=True)[torch.tensor([True, False])]
    torch.cat([torch.ones(2, requires_grad=True)])
    torch.stack([torch.ones(2, requires_grad=True)])
    torch.ones(2, requires_grad=True).clone()
    torch.ones(2, requires_grad=True).max(0).values
    torch.ones(2, requires_grad=True).prod()
    torch.ones(2, requires_grad=True).std()
    torch.ones(2, requires_grad=True).var()
    torch.ones(2, requires_grad=True).abs()
    torch.ones(2, requires_grad=True).expand(3, 2)
    torch.ones(2, requires_grad=True).unsqueeze(0)
    torch.ones(2, requires_grad=True).unbind()[0]
    torch.ones(2, requires_grad=True).split(1)[0]
    torch.ones(2, requires_grad=True).flatten()
    torch.ones(2, requires_grad=True).cumsum(0)
    torch.ones(2, requires_grad=True).sin()
    torch.ones(2, requires_grad=True).gather(0, torch.tensor([0]))
    torch.ones(2, requires_grad=True).masked_fill(torch.tensor([True, False]), 0)
    torch.where(torch.tensor([True, False]), torch.ones(2, requires_grad=True), 0.)
    torch.nn.functional.mse_loss(torch.ones(2, requires_grad=True), torch.ones(2))
    torch.nn.functional.dropout(torch.ones(2, requires_grad=True), 0.)
    torch.nn.functional.gelu(torch.zeros(2, requires_grad=True))
    torch.nn.functional.embedding(torch.tensor([0]), torch.ones(1, 2, requires_grad=True))
    torch.ones(2, requires_grad=True).detach()
    (torch.ones(2, requires_grad=True) + 0).add_(1)
    (torch.ones(2, requires_grad=True) + 0).mul_(2)
    (torch.ones(2, requires_grad=True) + 0).zero_()
""")

OPTIONS = [
    {},
    dict(precision=2),
    dict(threshold=5, edgeitems=1),
    dict(linewidth=30),
    dict(sci_mode=True),
    dict(sci_mode=False),
    dict(profile="short"),
    dict(profile="full"),
    dict(profile="full", precision=1, linewidth=120),
]


@pytest.fixture(autouse=True)
def default_options():
    yield
    for package in (rushlight, torch):
        package.set_printoptions(profile="default")


def same_print(text, options):
    for package in (rushlight, torch):
        package.set_printoptions(**options)
    ours, theirs = repr(evaluate(rushlight, text)), repr(evaluate(torch, text))
    assert ours == theirs
    assert str(evaluate(rushlight, text)) == ours


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("text", PLAIN)
def test_print(text, options):
    same_print(text, options)


@pytest.mark.parametrize("text", GRAPH)
def test_print_of_graphs(text):
    same_print(text, {})


def test_options_stay():
    for package in (rushlight, torch):
        package.set_printoptions(precision=2)
        package.set_printoptions(edgeitems=1)
    assert repr(rushlight.tensor([1.234])) == repr(torch.tensor([1.234]))

