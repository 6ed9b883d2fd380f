"""Memory shared with NumPy and others, both ways, against live PyTorch."""

import array
import struct
import sys

import numpy as np
import pytest
import rushlight

torch = pytest.importorskip("torch")

from both import rows, same  # noqa: E402

# Arrays, DLPack capsules, memory views.
SHARING = rows("""
    t = torch.arange(6.).reshape(2, 3); a = t.numpy(); a[0, 0] = 9; t
    t = torch.arange(6.).reshape(2, 3); a = t.numpy(); t += 1; a
    t = torch.arange(6.).reshape(2, 3); a = t.numpy(); t.mul_(2); a
    t = torch.arange(6.).reshape(2, 3); a = t.numpy(); t.zero_(); a
    t = torch.arange(6.).reshape(2, 3); a = t.numpy(); t[0] = 7; a
    t = torch.arange(6.); a = t.numpy(); t.data.add_(1); a
    t = torch.arange(6.); a = t.numpy(); t.copy_(torch.ones(6)); a
    t = torch.arange(6.); a = t.numpy(); torch.add(t, 1, out=t); a
    t = torch.arange(6.); a = t.numpy(); u = t; del t; u += 1; a
    t = torch.arange(6.); a = t.numpy(); del t; a
    t = torch.arange(6.); a = t[2:4].numpy(); t += 1; a
    t = torch.arange(6.); a = t.numpy(); v = t[1:3]; v += 1; a
    t = torch.arange(6.); v = t[1:3]; a = v.numpy(); t += 1; v -= 5; a, t
    t = torch.arange(6.).reshape(2, 3); t.t().numpy(), t.t().numpy().strides, t[:, ::2].numpy().strides
    t = torch.arange(3.).expand(2, 3); t.numpy().strides, t.numpy()
    torch.tensor(5).numpy(), torch.tensor(5).numpy().shape
    torch.zeros(0, 3).numpy().shape, torch.zeros(2, 0).numpy().shape
    torch.ones(2, requires_grad=True).numpy(force=True)
    torch.ones(2, requires_grad=True).detach().numpy()
    [torch.ones(1, dtype=d).numpy().dtype.name for d in (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.float32, torch.float64)]
    torch.ones(2).numpy().flags.writeable, torch.ones(2, 3).t().numpy().flags.f_contiguous
    t = torch.tensor([True, False]); a = t.numpy(); a[1] = True; t
    torch.from_dlpack(np.arange(3.))
    torch.from_dlpack(np.arange(6).reshape(2, 3).T)
    torch.from_dlpack(np.arange(6)[::2])
    torch.from_dlpack(np.array([True, False]))
    torch.from_dlpack(np.array(3))
    torch.from_dlpack(np.zeros((0, 2)))
    torch.from_dlpack(np.ones(2, dtype=np.float16))
    a = np.arange(3.); t = torch.from_dlpack(a); a[0] = 9; t
    a = np.arange(3.); t = torch.from_dlpack(a); t += 1; a
    a = np.arange(3.); a.flags.writeable = False; torch.from_dlpack(a).tolist()
    torch.from_dlpack(torch.ones(2))
    x = torch.ones(2); y = torch.from_dlpack(x); y += 1; x
    x = torch.ones(2); torch.from_dlpack(x).data_ptr() == x.data_ptr()
    np.from_dlpack(torch.arange(3.))
    np.from_dlpack(torch.arange(6.).reshape(2, 3).t())
    np.from_dlpack(torch.tensor([True, False]))
    np.from_dlpack(torch.ones(2, dtype=torch.float16))
    np.from_dlpack(torch.zeros(0, 2)).shape
    t = torch.arange(3.); a = np.from_dlpack(t); t += 1; a
    t = torch.arange(3.); a = np.from_dlpack(t); del t; a
    c = torch.ones(2).__dlpack__(); type(c).__name__
    c = torch.utils.dlpack.to_dlpack(torch.ones(2)); torch.utils.dlpack.from_dlpack(c)
    c = torch.utils.dlpack.to_dlpack(torch.ones(2)); torch.from_dlpack(c)
    torch.ones(2).__dlpack_device__() == (1, 0), len(torch.ones(2).__dlpack_device__())
    torch.ones(2).__dlpack__(max_version=(1, 0)) is not None
    torch.from_dlpack(torch.ones(2), copy=True)
    bytes(torch.tensor([1, 2], dtype=torch.uint8).numpy())
    torch.tensor([1, 2], dtype=torch.uint8).numpy().tobytes()
    np.asarray(torch.arange(3)).dtype.name
    np.asarray(torch.ones(2), dtype=np.float64)
    np.asarray(torch.arange(3.), dtype='float32')
    a = np.asarray(t := torch.arange(3.)); t += 1; a
    a = np.array(t := torch.arange(3.)); t += 1; a
    np.asarray([torch.ones(2).numpy(), torch.zeros(2).numpy()])
    np.asarray([torch.tensor(1), torch.tensor(2)])
    float(np.float64(torch.tensor(2.)))
    np.random.default_rng(0).shuffle(torch.arange(3).numpy())
    torch.tensor(np.arange(3)).numpy() is None
    torch.from_numpy(np.arange(3)).numpy()
    a = np.arange(3); torch.from_numpy(a).numpy().ctypes.data == a.ctypes.data
    torch.as_tensor(np.arange(3)).data_ptr() == 0
    a = np.arange(3.); t = torch.from_numpy(a); del a; t + 1
    a = np.arange(3.); t = torch.from_numpy(a).requires_grad_(); (t * t).sum().backward(); t.grad
    a = np.arange(3.); t = torch.from_numpy(a); t.resize_(2); t
    __import__('copy').deepcopy(torch.from_numpy(np.arange(3.)))
    __import__('pickle').loads(__import__('pickle').dumps(torch.from_numpy(np.arange(3.))))
    torch.nn.Parameter(torch.from_numpy(np.arange(3.)))
    memoryview(torch.arange(3).numpy()).tolist()
    torch.tensor(memoryview(bytearray(b'abc')))
    torch.utils.data.default_collate([np.ones(2), np.zeros(2)])
    torch.as_tensor(np.ma.masked_array([1., 2.], mask=[False, True])).shape
    torch.tensor(np.matrix([[1, 2]]))
    torch.as_tensor(np.array([[1, 2], [3, 4]], order='F'))
    torch.as_tensor(np.frombuffer(b'abcd', dtype=np.uint8).copy())
    torch.from_numpy(np.ndarray((2,), dtype='f4', buffer=bytearray(9), offset=1))
    torch.tensor(np.ndarray((2,), dtype='f4', buffer=bytearray(9), offset=1))
    torch.from_numpy(np.zeros(2, dtype=[('a', 'f4'), ('b', 'i4')])['b'])
    torch.tensor(np.array([1, 2], dtype='=i4'))
    torch.tensor(np.array([1, 2], dtype='<i8'))
""")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("text", SHARING)
def test_sharing(text):
    same(text)


# ---- the buffer protocol ---------------------------------------------------------------------------------------------------------------

FORMATS = dict(bool="?", uint8="B", int8="b", int16="h", int32="i", int64="q", float16="e", float32="f", float64="d")


@pytest.mark.parametrize("name", FORMATS)
def test_memoryview(name):
    t = rushlight.ones(2, 3, dtype=getattr(rushlight, name))
    view = memoryview(t)
    assert view.format == FORMATS[name] and view.shape == (2, 3) and view.itemsize == struct.calcsize(view.format)
    assert view.nbytes == t.nbytes and not view.readonly and view.contiguous
    if name == "float16":
        return  # Python knows the format, but reads no elements of it
    assert view.tolist() == t.tolist()
    t[0, 1] = 0
    assert view[0, 1] == 0
    view[1, 2] = 0
    assert t[1, 2].item() == 0


def test_memoryview_of_strides():
    t = rushlight.arange(6).reshape(2, 3)
    view = memoryview(t.t())
    assert view.strides == (8, 24) and view.tolist() == [[0, 3], [1, 4], [2, 5]] and view.f_contiguous
    assert memoryview(t[:, ::2]).tolist() == [[0, 2], [3, 5]]
    with pytest.raises(BufferError):
        array.array("b").frombytes(t.t())


def test_memoryview_keeps_memory_and_sees_in_place_ops():
    t = rushlight.zeros(1000)
    view = memoryview(t)
    t += 5
    t.mul_(2)
    del t
    for _ in range(10):
        rushlight.zeros(1000)
    assert view[999] == 10.0


def test_memoryview_refuses():
    with pytest.raises(BufferError, match="requires grad"):
        memoryview(rushlight.ones(2, requires_grad=True))
    with pytest.raises(BufferError, match="bfloat16"):
        memoryview(rushlight.ones(2, dtype=rushlight.bfloat16))


def test_buffers_of_others():
    for code, name in dict(b="int8", B="uint8", h="int16", i="int32", q="int64", f="float32", d="float64").items():
        a = array.array(code, [1, 2, 3])
        t = rushlight.frombuffer(a, dtype=getattr(rushlight, name))
        assert t.tolist() == [1, 2, 3]
        t += 1
        assert a.tolist() == [2, 3, 4]
    with pytest.raises(BufferError):
        a.append(1)  # the tensor holds the memory
    del t
    a.append(1)


# ---- arrays ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in FORMATS])
def test_dtypes_of_arrays(name):
    a = np.array([[0, 1], [1, 0]], dtype=name)
    for t in (rushlight.tensor(a), rushlight.as_tensor(a), rushlight.from_numpy(a), rushlight.from_dlpack(a)):
        assert t.dtype is getattr(rushlight, name) and t.tolist() == a.tolist()
        assert t.numpy().dtype == a.dtype


def test_negative_strides():
    """PyTorch refuses these; here an array that runs backwards is shared like any other."""
    a = np.arange(6.0)[::-1]
    t = rushlight.from_numpy(a)
    assert t.tolist() == [5, 4, 3, 2, 1, 0]
    t[0] = 50
    assert a[0] == 50
    assert rushlight.from_numpy(np.arange(6).reshape(2, 3)[::-1, ::-1]).tolist() == [[5, 4, 3], [2, 1, 0]]
    assert (t * 2).sum().item() == 120 and t.numpy().tolist() == a.tolist()


def test_read_only_arrays_are_copied():
    a = np.arange(3.0)
    a.flags.writeable = False
    t = rushlight.from_numpy(a)
    t += 1
    assert a.tolist() == [0, 1, 2] and t.tolist() == [1, 2, 3]


def test_bools_of_arrays_are_normalised():
    a = np.array([0, 1, 2, 255], dtype=np.uint8).view(np.bool_)
    t = rushlight.from_numpy(a)
    assert t.tolist() == [False, True, True, True] and t.sum().item() == 3


def test_memory_survives_either_side():
    t = rushlight.from_numpy(np.full(1000, 7.0))
    for _ in range(10):
        np.zeros(1000)
    assert t.sum().item() == 7000
    a = rushlight.full((1000,), 7.0).numpy()
    for _ in range(10):
        rushlight.zeros(1000)
    assert a.sum() == 7000


def test_array_references():
    """A tensor holds its array, and lets it go."""
    a = np.arange(3.0)
    before = sys.getrefcount(a)
    t = rushlight.from_numpy(a)
    assert sys.getrefcount(a) > before
    u = t[1:]
    del t
    assert sys.getrefcount(a) > before
    del u
    assert sys.getrefcount(a) == before


# ---- to and from PyTorch ------------------------------------------------------------------------------------------------------------------

DTYPES = [*FORMATS, "bfloat16"]


@pytest.mark.parametrize("name", DTYPES)
def test_from_torch(name):
    theirs = torch.tensor([[0, 1, 1], [1, 0, 1]]).to(getattr(torch, name))
    ours = rushlight.from_dlpack(theirs)
    assert str(ours.dtype) == str(theirs.dtype) and ours.tolist() == theirs.tolist() and ours.stride() == theirs.stride()
    assert rushlight.from_dlpack(theirs.t()).tolist() == theirs.t().tolist()
    if name != "bool":  # bools of others are copied, for their bytes may be anything
        theirs.zero_()
        assert not ours.any()
        ours.fill_(1)
        assert theirs.all()


@pytest.mark.parametrize("name", DTYPES)
def test_to_torch(name):
    ours = rushlight.tensor([[0, 1, 1], [1, 0, 1]]).to(getattr(rushlight, name))
    theirs = torch.from_dlpack(ours)
    assert str(ours.dtype) == str(theirs.dtype) and ours.tolist() == theirs.tolist() and ours.stride() == theirs.stride()
    ours.zero_()
    assert not theirs.any()
    theirs.fill_(1)
    assert ours.all()
    del ours
    assert theirs.all()
    assert torch.from_dlpack(rushlight.arange(6).reshape(2, 3).t()[1:]).tolist() == [[1, 4], [2, 5]]


def test_capsules():
    t = rushlight.arange(3.0)
    for capsule in (t.__dlpack__(), t.__dlpack__(max_version=(1, 0))):
        assert rushlight.from_dlpack(capsule).tolist() == [0, 1, 2]
        with pytest.raises(RuntimeError, match="consumed only once"):
            rushlight.from_dlpack(capsule)
    copied = rushlight.from_dlpack(t.__dlpack__(max_version=(1, 0), copy=True))
    t += 1
    assert copied.tolist() == [0, 1, 2]
    with pytest.raises(BufferError):
        rushlight.ones(2, requires_grad=True).__dlpack__()
    with pytest.raises(BufferError):
        t.__dlpack__(dl_device=(2, 0))


def test_capsules_free_memory():
    """Those that nobody takes, and those whose tensors are gone."""

    def work():
        for _ in range(100):
            t = rushlight.ones(10_000)
            t.__dlpack__(), t.__dlpack__(max_version=(1, 0))
            rushlight.from_dlpack(t.__dlpack__())
            torch.from_dlpack(t)
            rushlight.from_dlpack(torch.ones(10))
            memoryview(t).release()
            t.numpy()

    work()
    before = rushlight._C.memory_stats()["allocated_bytes"]
    work()
    assert rushlight._C.memory_stats()["allocated_bytes"] == before
