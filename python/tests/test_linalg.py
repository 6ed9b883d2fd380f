"""What linalg, signal.windows and functional compose in Python, against live PyTorch: values, shapes, dtypes, and errors of the same kind."""

import math

import pytest
import rushlight

torch = pytest.importorskip("torch")


def numbers(t, package):
    return t.detach().to(package.float64).reshape(-1).tolist()


def both(call):
    """What `call(package, make)` gives in each package, where `make(*shape)` makes the same random numbers in both."""
    answers = []
    for package in (rushlight, torch):
        generator = torch.Generator().manual_seed(7)

        def make(*shape, package=package, generator=generator):
            values = torch.randn(*shape, generator=generator, dtype=torch.float64)
            return package.tensor(values.tolist(), dtype=package.float64).reshape(shape)

        try:
            answers.append(call(package, make))
        except (RuntimeError, IndexError, ValueError, TypeError) as error:
            answers.append(error)
    return answers


def same(ours, theirs):
    if isinstance(theirs, Exception):
        assert isinstance(ours, Exception) and isinstance(theirs, type(ours)), (ours, theirs)
        return
    if isinstance(ours, Exception):
        raise ours
    if isinstance(theirs, (tuple, list)):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs):
            same(a, b)
        return
    assert tuple(ours.shape) == tuple(theirs.shape) and str(ours.dtype).rpartition(".")[2] == str(theirs.dtype).rpartition(".")[2]
    assert numbers(ours, rushlight) == pytest.approx(numbers(theirs, torch), rel=1e-8, abs=1e-9, nan_ok=True)


NORMS = ["fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf, 3, "x"]


@pytest.mark.parametrize("order", NORMS)
def test_norms_of_matrices(order):
    for dim in [(-2, -1), (0, 2), (2, 0), (1, 0), (0, 0), (0, 5)]:
        for keepdim in (False, True):
            same(*both(lambda p, make: p.linalg.matrix_norm(make(2, 3, 4), order, dim, keepdim)))


@pytest.mark.parametrize("order", [None, 0, *NORMS])
def test_norms_of_either(order):
    for shape in [(4,), (3, 3), (2, 3, 4)]:
        for dim in [None, 0, -1, (0, 1), (0,)]:
            same(*both(lambda p, make: p.linalg.norm(make(*shape), order, dim)))


@pytest.mark.parametrize("order", [None, 1, -1, 2, -2, "fro", "nuc", math.inf])
def test_condition_numbers(order):
    same(*both(lambda p, make: p.linalg.cond(make(2, 3, 3), order)))
    same(*both(lambda p, make: p.linalg.cond(make(2, 3), order)))
    if order in (1, "fro", math.inf):
        same(*both(lambda p, make: p.linalg.cond(p.zeros(2, 2), order)))


@pytest.mark.parametrize("options", [{}, {"tol": 0.5}, {"atol": 0.5}, {"rtol": 0.5}, {"hermitian": True}])
def test_ranks(options):
    def rank(p, make):
        a = make(5, 2) @ make(2, 5)
        return p.linalg.matrix_rank(p.stack([a + a.T, a.T + a * 3]), **options)

    same(*both(rank))
    same(*both(lambda p, make: p.linalg.matrix_rank(p.zeros(0, 2))))


COMPOSED = {
    "multi_dot": lambda p, make: p.linalg.multi_dot([make(4), make(4, 3), make(3, 2), make(2, 5)]),
    "multi_dot_numbers": lambda p, make: p.linalg.multi_dot([make(4), make(4)]),
    "multi_dot_one": lambda p, make: p.linalg.multi_dot([make(4)]),
    "vecdot": lambda p, make: p.linalg.vecdot(make(2, 3), make(2, 3), dim=0),
    "diagonal": lambda p, make: p.linalg.diagonal(make(2, 3, 4), offset=1),
    "tensorinv": lambda p, make: p.linalg.tensorinv(make(4, 6, 8, 3)),
    "tensorinv_unfit": lambda p, make: p.linalg.tensorinv(make(4, 6), ind=1),
    "tensorsolve": lambda p, make: p.linalg.tensorsolve(make(6, 4, 2, 3, 4), make(6, 4)),
    "tensorsolve_dims": lambda p, make: p.linalg.tensorsolve(make(6, 4, 4, 3, 2), make(4, 3, 2), dims=(0, 2)),
    "vander": lambda p, make: p.linalg.vander(make(2, 3)),
    "vander_long": lambda p, make: p.linalg.vander(make(3), N=5),
    "vander_number": lambda p, make: p.linalg.vander(make(1)[0], N=3),
    "vander_short": lambda p, make: p.linalg.vander(make(3), N=1),
    "pinv": lambda p, make: p.linalg.pinv(make(2, 4, 3), 0.1),
    "pinv_rtols": lambda p, make: p.linalg.pinv(make(2, 4, 3), rtol=p.tensor([0.1, 0.9])),
    "pinv_atols": lambda p, make: p.linalg.pinv(make(2, 4, 3), atol=p.tensor([0.0, 1.5], dtype=p.float64)),
    "pinv_unfit": lambda p, make: p.linalg.pinv(make(2, 4, 3), rtol=p.tensor([0.1, 0.2, 0.3])),
    "lstsq": lambda p, make: p.linalg.lstsq(make(5, 3), make(5, 2), driver="gelsd"),
    "solve": lambda p, make: p.linalg.solve(make(2, 3, 3), make(3, 2)),
    "lu_solve": lambda p, make: p.linalg.lu_solve(*p.linalg.lu_factor(make(3, 3)), make(3, 2)),
    "lu": lambda p, make: p.lu(make(2, 3, 4), get_infos=True),
    "lu_method": lambda p, make: make(3, 4).lu(),
    "lu_singular": lambda p, make: p.lu(p.zeros(2, 2), get_infos=True),
    "lu_without_pivots": lambda p, make: p.lu(make(3, 3), pivot=False),
    "tensordot_of_one": lambda p, make: p.tensordot(make(1, 3), make(2, 3), dims=([0], [0])),
    "det": lambda p, make: p.linalg.det(make(3, 3)),
    "inv": lambda p, make: p.linalg.inv(make(3, 3)),
    "matrix_exp": lambda p, make: p.linalg.matrix_exp(3 * make(2, 4, 4)),
    "lu_reconstructs": lambda p, make: (lambda f: f.P @ f.L @ f.U)(p.linalg.lu(make(4, 3))),
    "qr_complete": lambda p, make: p.linalg.qr(make(4, 2), mode="complete"),
    "qr_r": lambda p, make: p.linalg.qr(make(4, 2), mode="r"),
    "svd_full": lambda p, make: (lambda f: (f.U[:, :3] * f.S @ f.Vh, f.S))(p.linalg.svd(make(4, 3))),
    "eigh": lambda p, make: (lambda f: (f.eigenvectors * f.eigenvalues @ f.eigenvectors.mT, f.eigenvalues))(p.linalg.eigh(make(5, 5))),
    "eigh_upper": lambda p, make: p.linalg.eigvalsh(make(5, 5), "U"),
}


@pytest.mark.parametrize("name", COMPOSED)
def test_composed(name):
    same(*both(COMPOSED[name]))


def test_a_failed_factorisation_is_a_linalg_error():
    with pytest.raises(rushlight.linalg.LinAlgError, match="not positive-definite"):
        rushlight.linalg.cholesky(-rushlight.eye(2))
    with pytest.raises(rushlight.linalg.LinAlgError, match="singular"):
        rushlight.linalg.inv(rushlight.zeros(2, 2))
    with pytest.raises(NotImplementedError, match="complex"):
        rushlight.linalg.eig(rushlight.eye(2))


WINDOWS = {
    "general_cosine": {"a": [0.4, 0.3, 0.3]}, "general_hamming": {"alpha": 0.3}, "hamming": {}, "hann": {}, "blackman": {}, "nuttall": {}, "bartlett": {},
    "cosine": {}, "gaussian": {"std": 2.0}, "exponential": {"tau": 2.0}, "kaiser": {"beta": 3.0},
}  # fmt: skip


@pytest.mark.parametrize("name", WINDOWS)
def test_windows(name):
    for length in (0, 1, 2, 5, 8, -1):
        for sym in (True, False):
            same(*both(lambda p, _: getattr(p.signal.windows, name)(length, sym=sym, dtype=p.float64, **WINDOWS[name])))


@pytest.mark.parametrize("flags", [(False, False), (True, False), (False, True), (True, True)])
def test_distinct_elements(flags):
    def call(name, dim):
        inverse, counts = flags

        def distinct(p, make):
            x = (make(6, 2) > 0).to(p.int64)
            return getattr(p, name)(x, return_inverse=inverse, return_counts=counts, dim=dim)

        same(*both(distinct))
        same(*both(lambda p, make: getattr((make(3, 5) * 2).round(), name)(return_inverse=inverse, return_counts=counts, dim=dim)))

    for name in ("unique", "unique_consecutive"):
        for dim in (None, 0, 1):
            call(name, dim)


def test_positions():
    for shape in [(3, 4), (2, 3, 4), 12]:
        same(*both(lambda p, _: p.unravel_index(p.tensor([[0, 5], [11, 7]]), shape)))
    same(*both(lambda p, _: p.unravel_index(p.tensor([1.0]), (3, 4))))


@pytest.mark.parametrize("order", [1, 2, 3])
def test_gradients_from_differences(order):
    same(*both(lambda p, make: p.gradient(make(5), edge_order=order)))
    same(*both(lambda p, make: p.gradient(make(3, 5), spacing=0.5, edge_order=order)))
    same(*both(lambda p, make: p.gradient(make(3, 5), spacing=[0.5, 2.0], dim=(1, 0), edge_order=order)))
    same(*both(lambda p, make: p.gradient(make(3, 4), spacing=(p.tensor([0.0, 1.0, 4.0], dtype=p.float64),), dim=0, edge_order=order)))
    same(*both(lambda p, make: p.gradient(make(1), edge_order=order)))
    same(*both(lambda p, make: p.gradient(make(3, 5), spacing=None, edge_order=order)))


HISTOGRAMS = {
    "edges_of_the_data": lambda p, make: p.histogramdd(make(20, 2), [2, 3]),
    "one_number": lambda p, make: p.histogramdd(make(20, 3), 2),
    "range": lambda p, make: p.histogramdd(make(20, 2), [2, 3], range=[-1.0, 1.0, -0.5, 1.5], density=True),
    "edges": lambda p, make: p.histogramdd(make(20, 1).round(), [p.tensor([-2.0, -1, 1, 1.5], dtype=p.float64)]),
    "weights": lambda p, make: p.histogramdd(make(2, 10, 2), [2, 2], weight=make(2, 10), density=True),
    "one_value": lambda p, make: p.histogramdd(p.ones(5, 2, dtype=p.float64), [2, 2]),
    "nothing": lambda p, make: p.histogramdd(make(0, 2), [2, 2]),
    "too_few_bins": lambda p, make: p.histogramdd(make(5, 2), [2]),
    "too_short_range": lambda p, make: p.histogramdd(make(5, 2), [2, 2], range=[0.0, 1.0]),
    "unfit_weights": lambda p, make: p.histogramdd(make(5, 2), [2, 2], weight=make(4)),
    "a_vector": lambda p, make: p.histogramdd(make(5), [2]),
    "integers": lambda p, make: p.histogramdd(p.zeros(5, 2, dtype=p.int64), [2, 2]),
}


@pytest.mark.parametrize("name", HISTOGRAMS)
def test_histograms_of_rows(name):
    same(*both(HISTOGRAMS[name]))


def test_the_named_results_of_a_histogram():
    found = rushlight.histogramdd(rushlight.ones(3, 2), 1)
    assert found.hist.tolist() == [[3.0]] and len(found.bin_edges) == 2


def test_numbered_modes_of_sampling():
    for mode in (0, 1, 2):
        for padding in (0, 1, 2):
            same(*both(lambda p, make: p.grid_sampler(make(1, 2, 4, 5), make(1, 3, 3, 2), mode, padding, True)))
    with pytest.raises(ValueError, match="expected padding_mode to be 0, 1 or 2, but got -1"):
        rushlight.grid_sampler(rushlight.ones(1, 1, 2, 2), rushlight.zeros(1, 1, 1, 2), 0, -1, True)
    same(*both(lambda p, make: p.grid_sampler_3d(make(1, 2, 4, 5), make(1, 3, 3, 2), 0, 0, True)))
    same(*both(lambda p, make: p.grid_sampler_2d(make(1, 1, 4, 5, 2), make(1, 1, 3, 3, 3), 0, 0, True)))
