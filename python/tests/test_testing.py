"""``assert_close`` and ``make_tensor`` against live PyTorch: they pass and fail alike, with the same texts."""

import pytest

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")

import rushlight as rl  # noqa: E402

NAN, INF = float("nan"), float("inf")

#: Each makes `(actual, expected, options)`; T is the library's `tensor`, L the library.
CASES = [
    lambda T, L: (T([1.0, 2, 3]), T([1.0, 2.5, 4]), {}),
    lambda T, L: (T([1.0, 2, 3]), T([1.0, 2, 3 + 1e-7]), {}),
    lambda T, L: (T([[1.0, 2, 3]]), T([[1.0, 2.5, 4]]), {"rtol": 0.1, "atol": 0.2}),
    lambda T, L: (T([[1.0, 2, 3]]), T([[1.0, 2.5, 4]]), {"rtol": 0, "atol": 0}),
    lambda T, L: (T(1.0), T(2.0), {}),
    lambda T, L: (T(3), T(4), {}),
    lambda T, L: (T(1.0), T(0.0), {}),
    lambda T, L: (1, 2, {}),
    lambda T, L: (1.0, 2.0, {}),
    lambda T, L: (1.0, 1.0 + 1e-9, {}),
    lambda T, L: (1, 2.0, {}),
    lambda T, L: (1, 1.0, {"check_dtype": False}),
    lambda T, L: (1 + 2j, 1 + 3j, {}),
    lambda T, L: (True, False, {}),
    lambda T, L: (True, True, {}),
    lambda T, L: ("a", "b", {}),
    lambda T, L: (1, "a", {}),
    lambda T, L: ([1, 2], [1, 3], {}),
    lambda T, L: ([1, 2], (1, 2), {}),
    lambda T, L: ([1, 2], [1], {}),
    lambda T, L: ([[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [3.0, 5.0]], {}),
    lambda T, L: ({"a": T([1.0])}, {"a": T([2.0])}, {}),
    lambda T, L: ({"a": [1, 2]}, {"a": [1, 5]}, {}),
    lambda T, L: ({"a": 1}, {"b": 1}, {}),
    lambda T, L: ({"b": 1, "a": 2}, {"a": 3, "b": 4}, {}),
    lambda T, L: ([1, "a"], [2, "b"], {}),
    lambda T, L: (T([1, 2]), T([1, 3]), {}),
    lambda T, L: (T([1, 2], dtype=L.uint8), T([2, 1], dtype=L.uint8), {}),
    lambda T, L: (T([True, False]), T([True, True]), {}),
    lambda T, L: (T([True]), T([False]), {"rtol": 1.0, "atol": 1.0}),
    lambda T, L: (T([NAN]), T([NAN]), {}),
    lambda T, L: (T([NAN]), T([NAN]), {"equal_nan": True}),
    lambda T, L: (NAN, NAN, {}),
    lambda T, L: (NAN, NAN, {"equal_nan": True}),
    lambda T, L: (T([NAN, 1.0]), T([1.0, 1.0]), {}),
    lambda T, L: (T([INF]), T([1.0]), {}),
    lambda T, L: (T([INF, -INF]), T([INF, -INF]), {}),
    lambda T, L: (T([1.0]), [1.0], {}),
    lambda T, L: (T(1.0), 1.0, {}),
    lambda T, L: (None, None, {}),
    lambda T, L: (None, 1, {}),
    lambda T, L: (T([1.0]), T([2.0]), {"msg": "hello"}),
    lambda T, L: ([T([1.0])], [T([2.0])], {"msg": "hello"}),
    lambda T, L: ([T([1.0])], [T([2.0])], {"msg": lambda text: "Here: " + text}),
    lambda T, L: (T([1.0]), T([1.0]), {"rtol": 1.0}),
    lambda T, L: (T([1.0]), T([1.0]), {"atol": 1.0}),
    lambda T, L: (L.ones(2, 3).t(), L.ones(3, 2), {"check_stride": True}),
    lambda T, L: (L.ones(2, 3).t(), L.ones(3, 2), {}),
    lambda T, L: (T([1.0], dtype=L.bfloat16), T([1.01], dtype=L.bfloat16), {}),
    lambda T, L: (T([1.0], dtype=L.float16), T([1.01], dtype=L.float16), {}),
    lambda T, L: (T([1.0], dtype=L.float64), T([1.0 + 1e-6], dtype=L.float64), {}),
    lambda T, L: (T([1.0]), T([1.0 + 1e-6], dtype=L.float64), {"check_dtype": False}),
    lambda T, L: (T([1]), T([1.5]), {"check_dtype": False}),
    lambda T, L: (L.nn.Parameter(T([1.0])), T([1.0]), {}),
    lambda T, L: (L.zeros(0), L.zeros(0), {}),
    lambda T, L: (L.zeros(2, 2, 2), L.ones(2, 2, 2), {}),
    lambda T, L: (np.array([1.0, 2]), np.array([1.0, 3]), {}),
    lambda T, L: (np.float32(1), np.float32(2), {}),
    lambda T, L: (T([1.0]), np.array([1.0]), {}),
    lambda T, L: (object(), object(), {}),
]


def outcome(lib, case):
    try:
        actual, expected, options = case(lib.tensor, lib)
        lib.testing.assert_close(actual, expected, **options)
    except Exception as e:
        return type(e).__name__, str(e).replace("rushlight", "torch").replace("torch.torch", "torch").replace("'torch.nn.parameter.", "'torch.")
    return "passes"


@pytest.mark.parametrize("case", CASES)
def test_passes_and_fails_alike(case):
    assert outcome(rl, case) == outcome(torch, case)


@pytest.mark.parametrize(
    "a,b", [(lambda T, L: T([1.0]), lambda T, L: T([1.0], dtype=L.float64)), (lambda T, L: T([1.0]), lambda T, L: T([[1.0]]))]
)
def test_attributes(a, b):
    texts = []
    for lib in (rl, torch):
        with pytest.raises(AssertionError) as caught:
            lib.testing.assert_close(a(lib.tensor, lib), b(lib.tensor, lib))
        texts.append(str(caught.value).replace("rushlight", "torch"))
    assert texts[0] == texts[1]


def test_subclasses_can_be_refused():
    with pytest.raises(TypeError, match="No comparison pair was able to handle inputs of type"):
        rl.testing.assert_close(rl.nn.Parameter(rl.ones(1)), rl.ones(1), allow_subclasses=False)


def test_assert_allclose_is_deprecated():
    with pytest.warns(FutureWarning, match="deprecated"):
        rl.testing.assert_allclose(rl.ones(2), [1.0, 1.0])
    with pytest.warns(FutureWarning), pytest.raises(AssertionError):
        rl.testing.assert_allclose(rl.ones(2), [1.0, 1.1])


DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("options", [{}, {"low": 0, "high": 3, "exclude_zero": True}, {"noncontiguous": True}])
def test_make_tensor(dtype, options):
    if dtype == "bool" and options.get("high"):
        pytest.skip("an interval of bools is [0, 2) at most")
    made = []
    for lib in (rl, torch):
        lib.manual_seed(3)
        made.append(lib.testing.make_tensor(4, 5, dtype=getattr(lib, dtype), device="cpu", **options))
    ours, theirs = made
    assert str(ours.dtype).split(".")[1] == dtype and tuple(ours.stride()) == tuple(theirs.stride())
    np.testing.assert_allclose(np.array(ours.tolist(), float), np.array(theirs.tolist(), float), rtol=1e-6)


def test_make_tensor_refuses():
    cases = [
        lambda lib: dict(dtype=lib.float32, low=2, high=1),
        lambda lib: dict(dtype=lib.float32, low=NAN),
        lambda lib: dict(dtype=lib.int64, requires_grad=True),
        lambda lib: dict(dtype=lib.float32, noncontiguous=True, memory_format=lib.contiguous_format),
    ]
    for case in cases:
        texts = []
        for lib in (rl, torch):
            with pytest.raises(ValueError) as caught:
                lib.testing.make_tensor((2,), device="cpu", **case(lib))
            texts.append(str(caught.value).replace("rushlight", "torch"))
        assert texts[0] == texts[1]
    t = rl.testing.make_tensor((2, 3), dtype=rl.float32, device="cpu", requires_grad=True)
    assert t.requires_grad and tuple(t.shape) == (2, 3)
