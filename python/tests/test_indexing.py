"""Brackets, read and written, against live PyTorch: value, dtype, shape, strides, gradients, exception types."""

import numpy as np
import pytest
import rushlight

pytest.importorskip("torch")

from both import rows, same  # noqa: E402

X = "x = torch.arange(60.).reshape(3, 4, 5); "

# What stands between the brackets of a tensor of shape (3, 4, 5).
KEYS = rows("""
    0
    -1
    2
    3
    -4
    0, 1
    0, 1, 2
    0, 1, 2, 0
    -1, -1, -1
    1, ..., 2
    ...
    ..., 0
    ..., 0, 1
    ..., None
    None
    None, 0
    0, None
    None, None, 1, None
    :
    :, :
    :, :, :
    :, :, :, :
    1:
    :2
    1:2
    ::2
    1::2
    -2:
    :-1
    5:
    2:1
    -100:100
    0:3:100
    ::-1
    ::0
    :, 1
    :, 1:3
    :, :, 1
    :, :, ::2
    :, ::3, ::2
    :, -1, 1:
    1, 1:3, None
    ..., ::2, :
    True
    False
    True, 0
    0, True
    False, 0
    None, True
    True, True
    [0]
    [0, 2]
    [0, -1]
    [0, 3]
    [-4]
    []
    [[0, 1], [1, 2]]
    [True, False, True]
    [True, False]
    [0], [1]
    [0, 1], [1, 2]
    [0, 1], [1, 2], [2, 3]
    [0, 1], [1, 2, 3]
    [[0], [1]], [1, 2, 3]
    [0, 1], 1
    1, [0, 1]
    [0, 1], :, 1
    [0, 1], :, [1, 2]
    :, [0, 1]
    :, :, [0, 4]
    :, [0, 1], [1, 2]
    :, [0, 1], :
    ..., [0, 1]
    [0, 1], ...
    [0, 1], None
    None, [0, 1]
    [0, 1], None, [1, 2]
    [0, 1], ..., [1, 2]
    1, :, [0, 1]
    1:, [0, 1]
    ::2, [0, 1], 1
    (0, 1)
    ((0, 1),)
    ((0, 1), 1)
    (0, 1), (1, 2)
    range(2)
    range(0)
    range(2), 1
    slice(0, 2)
    slice(None)
    slice(None, None, 2), 0
    [slice(0, 2), 1]
    [None, 0]
    [..., 0]
    torch.tensor(1)
    torch.tensor(-1)
    torch.tensor(3)
    torch.tensor([1])
    torch.tensor([1, 0, 1])
    torch.tensor([1, 0, 1], dtype=torch.int32)
    torch.tensor([1, 0], dtype=torch.int16)
    torch.tensor([1, 0], dtype=torch.int8)
    torch.tensor([1., 0.])
    torch.tensor([[0, 1], [2, 0]])
    torch.tensor([0, 1]), torch.tensor([1, 2])
    torch.tensor([0, 1]), torch.tensor([[1], [2]])
    torch.tensor([0, 1]), torch.tensor(2)
    torch.tensor(0), torch.tensor([1, 2])
    torch.tensor(0), torch.tensor(1)
    torch.tensor(0), torch.tensor(1), torch.tensor(2)
    torch.tensor(0), 1
    1, torch.tensor(0)
    :, torch.tensor(0)
    torch.tensor([0, 1]), [1, 2]
    torch.tensor([], dtype=torch.long)
    torch.tensor([])
    torch.empty(0, 2, dtype=torch.long)
    :, torch.tensor([3, 0])
    :, torch.tensor([3, 0]), 1:3
    ..., torch.tensor([3, 0])
    torch.tensor([0, 1]), :, torch.tensor([0, 1])
    torch.tensor([0, 5])
    torch.tensor([0, -4])
    torch.tensor(1):torch.tensor(3)
    torch.tensor(1):
    :torch.tensor(2)
    np.int64(1)
    np.int32(-1)
    np.int64(1), np.int64(2)
    np.int64(0):np.int64(2)
    np.array(1)
    np.array([0, 2])
    np.array([0, 2]), np.array([1, 3])
    np.array([True, False, True])
    np.array([[True, False, True, False]] * 3)
    :, np.array([0, 1])
    np.bool_(True)
    np.arange(2)[:, None], np.arange(3)
    torch.tensor([True, False, True])
    torch.tensor([True, False])
    torch.tensor([False, False, False])
    torch.tensor([[True, False, True, False]] * 3)
    torch.tensor([[True, False, True, False]] * 2)
    torch.tensor(True)
    torch.tensor(False)
    torch.tensor([True, False, True]), 0
    torch.tensor([True, False, True]), :, 0
    torch.tensor([True, False, True]), [1, 2]
    torch.tensor([True, False, True]), [1, 2, 3]
    0, torch.tensor([True, False, True, False])
    :, torch.tensor([True, False, True, False])
    :, torch.tensor([True, False, True, False]), 1
    ..., torch.tensor([True, False, True, False, False])
    torch.tensor([True, False, True]), torch.tensor([True, False, True, False])
    :, torch.ones(4, 5, dtype=torch.bool)
    x > 30
    x > 100
    x[..., 0] > 20
    (x > 30).any(2), 0
    :, x[0] > 8
    0.5
    'a'
    ['a']
    {}
    {0}
    object()
    10**20
    -10**20
    10**20:
    :10**20
    :-10**20
    1.0:
    'a':
    torch.tensor(1.5):
    1j
    [[0, 1], [1]]
    [[[0]]]
    [[True, False, True, False]] * 3
    torch.float32
""")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("key", KEYS)
def test_read(key):
    same(X + f"x[{key}]")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("key", KEYS)
def test_views_and_copies(key):
    """A result shares memory with the tensor where PyTorch's does."""
    same(X + f"y = x[{key}]; y.untyped_storage().data_ptr() == x.untyped_storage().data_ptr(), y._is_view(), y.numel() and y.storage_offset()")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("key", KEYS)
def test_written_number(key):
    same(X + f"x[{key}] = -1; x")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("key", KEYS)
def test_written_tensor(key):
    """A value of the result's own shape."""
    same(X + f"x[{key}] = -x[{key}] - 1; x")


GRADIENTS = rows("""
    0
    1, 2, 3
    ..., 1
    None, 1
    1:, ::2
    [0, 0, 1]
    [0, 0], [1, 1]
    :, [3, 3, 3]
    [0, 1], :, [1, 2]
    [0, 1], None, [1, 2]
    x > 30
    torch.tensor([True, False, True])
    torch.tensor([[0, 1], [0, 0]])
    []
    True
    5:
""")


@pytest.mark.parametrize("key", GRADIENTS)
def test_gradients(key):
    same(X + f"x.requires_grad_(); y = x[{key}]; (y * y + 3 * y).sum().backward(); x.grad")


@pytest.mark.parametrize("key", GRADIENTS)
def test_gradients_of_writing(key):
    """Gradients of what was overwritten, and of what was written."""
    setup = X + "x.requires_grad_(); y = x * 2; v = torch.tensor(5., requires_grad=True); "
    same(setup + f"y[{key}] = v; (y * y).sum().backward(); x.grad, v.grad")


WRITES = rows("""
    x[0] = torch.arange(5.)
    x[0] = torch.arange(4.)[:, None]
    x[0] = torch.arange(4.)
    x[0] = torch.ones(1, 4, 5)
    x[0] = torch.ones(1, 1, 4, 5)
    x[0] = torch.ones(2, 4, 5)
    x[0, 0] = [1, 2, 3, 4, 5]
    x[0, 0] = (1, 2, 3, 4, 5)
    x[0, 0] = [1, 2]
    x[0, 0] = [[1, 2, 3, 4, 5]]
    x[0, 0, 0] = np.float64(2.5)
    x[0, 0, 0] = np.int64(2)
    x[0, 0, 0] = True
    x[0, 0, 0] = torch.tensor(2)
    x[0, 0, 0] = torch.tensor([2])
    x[0, 0, 0] = torch.tensor([[2]])
    x[0, 0, 0] = torch.tensor([2, 3])
    x[0, 0, 0] = None
    x[0, 0, 0] = 'a'
    x[0, 0, 0] = 10**20
    x[0, 0, 0] = float('nan')
    x[0, 0, 0] = float('inf')
    x[0, 0, 0] = []
    x[0, 0, 0] = {}
    x[0, 0, 0] = torch.float32
    x[[0, 1]] = torch.ones(2, 4, 5)
    x[[0, 1]] = torch.ones(4, 5)
    x[[0, 1]] = torch.ones(3, 4, 5)
    x[[0, 0]] = 7
    x[[0, 1], [1, 2]] = torch.arange(10.).reshape(2, 5)
    x[[0, 1], [1, 2], [2, 3]] = torch.tensor([1., 2.])
    x[[0, 1], [1, 2], [2, 3]] = [1., 2.]
    x[:, [1, 2]] = torch.arange(2.)[:, None]
    x[x > 30] = 0
    x[x > 30] = torch.tensor(0)
    x[x > 30] = torch.arange(29.)
    x[x > 30] = torch.arange(28.)
    x[x > 30] = x[x > 30] * 2
    x[x > 30] += 1
    x[x > 30] *= x[x > 30]
    x[x > 30] = torch.arange(29)
    x[0] += 1
    x[0, 1] -= x[1, 1]
    x[:, 0] *= 2
    x[..., 0] /= 3
    x[[0, 1]] += 1
    x[[0, 0]] += 1
    x[None] = 3
    x[True] = 3
    x[False] = 3
    x[()] = 3
    x[...] = 3
    x[:] = x.flip(0)
    x[1:] = x[:-1].clone()
    x[0] = x[1]
    x[::2] = torch.zeros(2, 4, 5)
    x[:, ::2, 1::2] = -1
    x[torch.tensor(0)] = 1
    x[torch.tensor([True, False, True])] = torch.ones(5)
    x[torch.tensor([True, False, True]), 0] = torch.ones(2, 1)
    x[0, torch.tensor([True, False, True, False])] = torch.zeros(5)
    x[[]] = 1
    x[5:] = 1
    x[5:] = torch.ones(0, 4, 5)
    x[0] = torch.ones(4, 5, dtype=torch.int64)
    x[0] = torch.ones(4, 5, dtype=torch.float64)
    x[0] = torch.ones(4, 5, dtype=torch.bool)
    x[[0, 1]] = torch.ones(4, 5, dtype=torch.float64)
    x[[0, 1]] = torch.ones(4, 5, dtype=torch.int64)
    x[x > 3] = torch.tensor(1, dtype=torch.float64)
    x[x > 3] = torch.ones(1, dtype=torch.float64)
    del x[0]
""")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("write", WRITES)
def test_writes(write):
    same(X + write + "; x")


TYPED = rows("""
    x = torch.zeros(3, dtype=torch.int64); x[0] = 1.7; x
    x = torch.zeros(3, dtype=torch.int64); x[0] = True; x
    x = torch.zeros(3, dtype=torch.int64); x[0] = -1.7; x
    x = torch.zeros(3, dtype=torch.int64); x[0] = float('nan'); x.dtype
    x = torch.zeros(3, dtype=torch.int64); x[0] = 2**63; x
    x = torch.zeros(3, dtype=torch.int64); x[0] = 2**62 + 1; x
    x = torch.zeros(3, dtype=torch.int64); x[[0]] = 2**62 + 1; x
    x = torch.zeros(3, dtype=torch.int64); x[x == 0] = 2**62 + 1; x
    x = torch.zeros(3, dtype=torch.uint8); x[0] = 255; x
    x = torch.zeros(3, dtype=torch.uint8); x[0] = 256; x
    x = torch.zeros(3, dtype=torch.uint8); x[0] = -1; x
    x = torch.zeros(3, dtype=torch.int8); x[0] = 128; x
    x = torch.zeros(3, dtype=torch.int8); x[1:] = 128; x
    x = torch.zeros(3, dtype=torch.bool); x[0] = 5; x
    x = torch.zeros(3, dtype=torch.bool); x[0] = 0.5; x
    x = torch.zeros(3, dtype=torch.bool); x[[0, 2]] = True; x
    x = torch.zeros(3, dtype=torch.bool); x[:] = torch.tensor([1, 0, 2]); x
    x = torch.zeros(3, dtype=torch.float16); x[0] = 1e6; x
    x = torch.zeros(3, dtype=torch.float16); x[[0]] = 0.1; x
    x = torch.zeros(3, dtype=torch.bfloat16); x[1] = 0.1; x
    x = torch.tensor(5.); x[()] = 3; x
    x = torch.tensor(5.); x[...] = 3; x
    x = torch.tensor(5.); x[None] = 3; x
    x = torch.tensor(5.); x[True] = 3; x
    x = torch.tensor(5.); x[0] = 3; x
    x = torch.tensor(5.); x[torch.tensor(True)] = 3; x
    x = torch.tensor(5.); x[torch.tensor(False)] = 3; x
    torch.arange(3)[torch.tensor([1, 0, 1], dtype=torch.uint8)]
    torch.arange(12).reshape(3, 4)[torch.tensor([[1, 0, 1, 0]] * 3, dtype=torch.uint8)]
    torch.arange(3)[torch.tensor(1, dtype=torch.uint8)]
    torch.arange(3)[torch.tensor([1, 0], dtype=torch.uint8)]
    torch.tensor(5.)[()]
    torch.tensor(5.)[...]
    torch.tensor(5.)[None]
    torch.tensor(5.)[True]
    torch.tensor(5.)[False]
    torch.tensor(5.)[0]
    torch.tensor(5.)[:]
    torch.tensor(5.)[[0]]
    torch.tensor(5.)[torch.tensor(0)]
    torch.tensor(5.)[torch.tensor(True)]
    torch.zeros(0)[0]
    torch.zeros(0)[:]
    torch.zeros(0, 3)[:, 0]
    torch.zeros(0, 3)[[]]
    torch.zeros(0)[torch.tensor([0])]
    torch.zeros(0, 3)[torch.zeros(0, dtype=torch.bool)]
    x = torch.arange(4.).requires_grad_(); x[0] = 1; x
    x = torch.arange(4.).requires_grad_(); y = x[1:]; y[0] = 1; x
    x = torch.arange(4.).requires_grad_(); y = x * 1; y[x > 1] = 0; y.sum().backward(); x.grad
    x = torch.arange(4.).requires_grad_(); y = x * 1; y[1:][0] = 5; (y * y).sum().backward(); x.grad
    x = torch.arange(4.); x[1:][1:][0] = 9; x
    x = torch.arange(9.).reshape(3, 3).t(); x[0] = 1; x
    x = torch.zeros(1).expand(3); x[0] = 1; x
    x = torch.arange(3.); x[x[0].long()]
    x = torch.arange(10); [int(v) for v in x[2:5]]
    x = torch.arange(10); x[x[3]]
    x = torch.arange(10); x[x[3]:x[5]]
    [10, 20, 30][torch.tensor(1)]
    'abc'[torch.tensor(2)]
    list(range(10))[torch.tensor(2):torch.tensor(5)]
    np.arange(5)[torch.tensor(2)]
    np.arange(5)[torch.tensor([2, 1])]
    x = torch.arange(6).reshape(2, 3); x[0][1] = 9; x
    x = torch.arange(6).reshape(2, 3); x[0], x[1] = x[1].clone(), x[0].clone(); x
    x = torch.arange(6.).reshape(2, 3); x.data[0] = 5; x
    x = torch.nn.Parameter(torch.arange(3.)); x[0]
    x = torch.nn.Parameter(torch.arange(3.)); x[0] = 1; x
    x = torch.nn.Parameter(torch.arange(3.)); x.data[0] = 7; x
""")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("text", TYPED)
def test_dtypes_and_ranks(text):
    same(text)


def test_versions():
    """Writing through brackets raises the version, reading does not."""
    same("x = torch.zeros(3); a = x._version; x[0]; b = x._version; x[0] = 1; c = x._version; x[[0]] = 1; [b - a, c > b, x._version > c]")


def test_arrays_are_written():
    """PyTorch refuses arrays as values; here they are tensors like any other."""
    x = rushlight.zeros(2, 3)
    x[0] = np.array([1.0, 2.0, 3.0])
    x[:, 1] = np.float32(7)
    assert x.tolist() == [[1, 7, 3], [0, 7, 0]]
    assert rushlight.arange(3)[np.array([2, 1, 0])[::-1]].tolist() == [0, 1, 2]


def test_slices_read_what_stands_for_integers():
    a = rushlight.arange(10)

    class Two:
        def __index__(self):
            return 2

    assert a[Two() :].tolist() == a[rushlight.tensor(2) :].tolist() == list(range(2, 10))
    assert a[: 10**30].tolist() == list(range(10)) and a[-(10**30) : -8].tolist() == [0, 1]
    for bad in (slice(None, None, -1), slice(None, None, 0)):
        with pytest.raises(ValueError, match="step must be greater than zero"):
            a[bad]
    with pytest.raises(TypeError):
        a[1.5:]
