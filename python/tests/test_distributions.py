"""distributions: densities, moments, divergences and samples, against live torch.distributions."""

import math
import warnings

import pytest

import rushlight

torch = pytest.importorskip("torch")

D, T = rushlight.distributions, torch.distributions

# name of the case, (distributions module, vector maker) -> distribution, values to ask about
CASES = {
    "normal": (lambda D, v: D.Normal(v(0.0, 1.0), v(1.0, 2.0)), [[-1.0, 3.0], [0.5, 0.0]]),
    "normal-scalar": (lambda D, v: D.Normal(0.5, 2.0), [1.0, -2.0]),
    "lognormal": (lambda D, v: D.LogNormal(v(0.0, 1.0), v(0.5, 0.7)), [[0.5, 3.0]]),
    "halfnormal": (lambda D, v: D.HalfNormal(v(1.0, 2.0)), [[0.5, 3.0]]),
    "halfcauchy": (lambda D, v: D.HalfCauchy(v(1.0, 2.0)), [[0.5, 3.0]]),
    "uniform": (lambda D, v: D.Uniform(v(0.0, -1.0), v(1.0, 3.0)), [[0.5, 2.0]]),
    "bernoulli-probs": (lambda D, v: D.Bernoulli(v(0.3, 0.5, 0.9)), [[0.0, 1.0, 1.0]]),
    "bernoulli-logits": (lambda D, v: D.Bernoulli(logits=v(0.3, -2.0)), [[0.0, 1.0]]),
    "geometric": (lambda D, v: D.Geometric(v(0.3, 0.9)), [[0.0, 3.0]]),
    "geometric-logits": (lambda D, v: D.Geometric(logits=v(0.3, -0.9)), [[0.0, 3.0]]),
    "binomial": (lambda D, v: D.Binomial(5, probs=v(0.3, 0.9)), [[0.0, 3.0], [5.0, 5.0]]),
    "binomial-logits": (lambda D, v: D.Binomial(v(3.0, 3.0), logits=v(0.3, -0.9)), [[0.0, 3.0]]),
    "categorical": (lambda D, v: D.Categorical(v(1.0, 2.0, 3.0)), [0.0, 2.0]),
    "categorical-logits": (lambda D, v: D.Categorical(logits=v(1.0, 2.0, 3.0).reshape(1, 3)), [[0.0], [2.0]]),
    "onehot": (lambda D, v: D.OneHotCategorical(v(1.0, 2.0, 3.0)), [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]),
    "multinomial": (lambda D, v: D.Multinomial(4, v(1.0, 2.0, 3.0)), [[1.0, 1.0, 2.0], [4.0, 0.0, 0.0]]),
    "beta": (lambda D, v: D.Beta(v(0.5, 2.0), v(1.5, 3.0)), [[0.2, 0.7]]),
    "gamma": (lambda D, v: D.Gamma(v(0.5, 3.0), v(1.0, 2.0)), [[0.5, 3.0]]),
    "chi2": (lambda D, v: D.Chi2(v(1.0, 3.0)), [[0.5, 3.0]]),
    "dirichlet": (lambda D, v: D.Dirichlet(v(0.5, 2.0, 3.0)), [[0.2, 0.3, 0.5]]),
    "dirichlet-flat": (lambda D, v: D.Dirichlet(v(0.5, 0.2, 0.3)), [[0.2, 0.3, 0.5]]),
    "exponential": (lambda D, v: D.Exponential(v(0.5, 2.0)), [[0.5, 3.0]]),
    "laplace": (lambda D, v: D.Laplace(v(0.5, 2.0), v(1.0, 0.5)), [[0.5, 3.0], [-1.0, 1.0]]),
    "cauchy": (lambda D, v: D.Cauchy(v(0.5, 2.0), v(1.0, 0.5)), [[0.5, 3.0], [-1.0, 1.0]]),
    "gumbel": (lambda D, v: D.Gumbel(v(0.5, 2.0), v(1.0, 0.5)), [[0.5, 3.0], [-1.0, 1.0]]),
    "poisson": (lambda D, v: D.Poisson(v(0.5, 4.0)), [[0.0, 3.0]]),
    "studentT": (lambda D, v: D.StudentT(v(1.0, 1.5, 4.0), v(0.0, 1.0, 2.0), 2.0), [[0.0, 3.0, -1.0]]),
    "weibull": (lambda D, v: D.Weibull(v(0.5, 2.0), v(1.5, 3.0)), [[0.5, 3.0]]),
    "pareto": (lambda D, v: D.Pareto(v(0.5, 2.0), v(1.5, 3.0)), [[0.6, 3.0]]),
    "inverse-gamma": (lambda D, v: D.InverseGamma(v(0.5, 4.0), v(1.0, 2.0)), [[0.5, 3.0]]),
    "negative-binomial": (lambda D, v: D.NegativeBinomial(v(3.0, 5.0), v(0.3, 0.6)), [[0.0, 3.0]]),
    "fisher": (lambda D, v: D.FisherSnedecor(v(2.0, 4.0), v(3.0, 6.0)), [[0.5, 3.0]]),
    "logistic-normal": (lambda D, v: D.LogisticNormal(v(0.0, 1.0), v(1.0, 2.0)), [[0.2, 0.3, 0.5]]),
    "relaxed-bernoulli": (lambda D, v: D.RelaxedBernoulli(v(0.7), probs=v(0.3, 0.6)), [[0.2, 0.9]]),
    "relaxed-onehot": (lambda D, v: D.RelaxedOneHotCategorical(v(0.7), probs=v(0.3, 0.6, 0.1)), [[0.2, 0.5, 0.3]]),
    "independent": (lambda D, v: D.Independent(D.Normal(v(0.0, 1.0), v(1.0, 2.0)), 1), [[-1.0, 3.0]]),
    "mixture": (lambda D, v: D.MixtureSameFamily(D.Categorical(v(1.0, 2.0)), D.Normal(v(0.0, 3.0), v(1.0, 2.0))), [0.0, 2.0]),
    "mixture-vectors": (
        lambda D, v: D.MixtureSameFamily(D.Categorical(v(1.0, 2.0)), D.Independent(D.Normal(v(0.0, 3.0, 1.0, 2.0).reshape(2, 2), 1.0), 1)),
        [[0.0, 2.0]],
    ),
    "transformed": (
        lambda D, v: D.TransformedDistribution(D.Normal(v(0.0, 1.0), 1.0), [D.AffineTransform(1.0, -2.0), D.SigmoidTransform()]),
        [[0.3, 0.6]],
    ),
    "logistic": (
        lambda D, v: D.TransformedDistribution(D.Uniform(v(0.0), v(1.0)), [D.SigmoidTransform().inv, D.AffineTransform(v(1.0), v(3.0))]),
        [[0.3], [6.0]],
    ),
    "stick": (
        lambda D, v: D.TransformedDistribution(D.Normal(v(0.0, 1.0), 1.0), D.StickBreakingTransform()),
        [[0.2, 0.3, 0.5]],
    ),
}


def vector(m):
    return lambda *xs: m.tensor(list(xs))


def pair(name):
    make, values = CASES[name]
    return make(D, vector(rushlight)), make(T, vector(torch)), values


def close(a, b, tol=2e-5):
    if isinstance(a, list):
        return len(a) == len(b) and all(close(x, y, tol) for x, y in zip(a, b))
    return (math.isnan(a) and math.isnan(b)) or a == b or abs(a - b) <= tol * (1 + abs(b))


def answer(fn):
    """What `fn` gives, or the kind of its error."""
    try:
        return fn()
    except (NotImplementedError, ValueError) as e:
        return type(e)


def agree(mine, theirs, what):
    if isinstance(mine, type) or isinstance(theirs, type):
        assert mine == theirs, f"{what}: {mine} and {theirs}"
        return
    assert tuple(mine.shape) == tuple(theirs.shape), f"{what}: shapes {mine.shape} and {theirs.shape}"
    assert str(mine.dtype).rpartition(".")[2] == str(theirs.dtype).rpartition(".")[2], what
    assert close(mine.tolist(), theirs.tolist()), f"{what}: {mine} and {theirs}"


@pytest.mark.parametrize("name", CASES)
def test_what_a_distribution_answers(name):
    mine, theirs, values = pair(name)
    assert repr(mine) == repr(theirs)
    assert tuple(mine.batch_shape) == tuple(theirs.batch_shape) and tuple(mine.event_shape) == tuple(theirs.event_shape)
    assert mine.has_rsample == theirs.has_rsample and mine.has_enumerate_support == theirs.has_enumerate_support
    for what in ("mean", "variance", "stddev", "mode"):
        agree(answer(lambda: getattr(mine, what)), answer(lambda: getattr(theirs, what)), what)
    for what in ("entropy", "perplexity", "enumerate_support"):
        agree(answer(lambda: getattr(mine, what)()), answer(lambda: getattr(theirs, what)()), what)
    x, y = rushlight.tensor(values), torch.tensor(values)
    for what in ("log_prob", "cdf"):
        agree(answer(lambda: getattr(mine, what)(x)), answer(lambda: getattr(theirs, what)(y)), what)
    agree(answer(lambda: mine.icdf(rushlight.tensor([[0.2], [0.7]]))), answer(lambda: theirs.icdf(torch.tensor([[0.2], [0.7]]))), "icdf")
    assert close(
        [bool(b) for b in mine.support.check(x).reshape(-1).tolist()], [bool(b) for b in theirs.support.check(y).reshape(-1).tolist()]
    )


@pytest.mark.parametrize("name", CASES)
def test_expand(name):
    mine, theirs, values = pair(name)
    shape = (3,) + tuple(mine.batch_shape)
    mine, theirs = mine.expand(shape), theirs.expand(shape)
    assert tuple(mine.batch_shape) == tuple(theirs.batch_shape) == shape
    assert repr(mine) == repr(theirs)
    assert tuple(mine.sample((2,)).shape) == tuple(theirs.sample((2,)).shape)
    one = values[0]
    agree(mine.log_prob(rushlight.tensor(one)), theirs.log_prob(torch.tensor(one)), "log_prob")


SAME_SEED = [
    "normal", "normal-scalar", "lognormal", "halfnormal", "uniform", "bernoulli-probs", "bernoulli-logits", "geometric", "categorical",
    "categorical-logits", "onehot", "multinomial", "exponential", "laplace", "gumbel", "relaxed-bernoulli", "relaxed-onehot",
    "independent", "mixture", "transformed", "logistic", "weibull", "pareto", "logistic-normal",
]


@pytest.mark.parametrize("name", SAME_SEED)
def test_same_seed_same_samples(name):
    mine, theirs, _ = pair(name)
    for shape in ((), (5,), (20, 3)):
        rushlight.manual_seed(7)
        torch.manual_seed(7)
        a, b = mine.sample(shape), theirs.sample(shape)
        agree(a, b, f"sample of shape {shape}")
        assert not a.requires_grad
    if mine.has_rsample:
        agree(mine.rsample((4,)), theirs.rsample((4,)), "rsample")


# Enough draws that five standard errors of mean and variance are a sharp test; the seed makes it a fixed one.
@pytest.mark.parametrize("name", ["gamma", "beta", "chi2", "dirichlet", "dirichlet-flat", "poisson", "binomial", "studentT", "cauchy", "inverse-gamma",
    "negative-binomial", "fisher"])
def test_moments_of_samples(name):
    mine, theirs, _ = pair(name)
    n = 40000
    rushlight.manual_seed(0)
    draws = mine.sample((n,)).double()
    assert bool(mine.support.check(draws.float()).all())
    torch.manual_seed(0)
    reference = theirs.sample((n,)).double()
    # Empirical quantiles exist for every distribution; compare distribution functions at the reference's quantiles.
    for q in (0.1, 0.3, 0.5, 0.7, 0.9):
        at = reference.quantile(q, 0)
        below = (draws <= rushlight.tensor(at.tolist(), dtype=rushlight.float64)).double().mean(0)
        expected = (reference <= at).double().mean(0)
        assert close(below.tolist(), expected.tolist(), tol=5 * math.sqrt(0.5 / n)), (q, below, expected)


def test_gradients_of_gamma_samples():
    for a in (0.05, 0.5, 1.0, 3.0, 40.0):
        x = rushlight.full((200,), a, dtype=rushlight.float64).requires_grad_()
        sample = D.Gamma(x, rushlight.ones_like(x)).rsample()
        sample.sum().backward()
        expected = torch._standard_gamma_grad(torch.full((200,), a, dtype=torch.float64), torch.tensor(sample.tolist(), dtype=torch.float64))
        assert close(x.grad.tolist(), expected.tolist(), tol=2e-4), a


@pytest.mark.parametrize("name", ["normal", "uniform", "laplace", "exponential", "gumbel", "lognormal", "relaxed-bernoulli"])
def test_gradients_of_samples_and_densities(name):
    grads = []
    for m, dist in ((rushlight, D), (torch, T)):
        leaves = []

        def tracked(*xs, m=m, leaves=leaves):
            leaves.append(m.tensor(list(xs), requires_grad=True))
            return leaves[-1]

        d = CASES[name][0](dist, tracked)
        m.manual_seed(3)
        (d.rsample((4,)).sum() + d.log_prob(m.tensor(CASES[name][1])).sum()).backward()
        grads.append([x.grad.tolist() for x in leaves])
    assert close(*grads, tol=1e-4)


# ---- divergences ----------------------------------------------------------------------------------------------------------------

KL = {
    "bernoulli": lambda D, v: (D.Bernoulli(v(0.0, 0.3, 1.0)), D.Bernoulli(v(0.2, 0.0, 0.5))),
    "beta": lambda D, v: (D.Beta(v(1.0), v(2.0)), D.Beta(v(0.5), v(3.0))),
    "binomial": lambda D, v: (D.Binomial(5, v(0.3)), D.Binomial(v(5.0, 3.0), v(0.6))),
    "categorical": lambda D, v: (D.Categorical(v(1.0, 0.0, 2.0)), D.Categorical(v(1.0, 1.0, 1.0))),
    "onehot": lambda D, v: (D.OneHotCategorical(v(1.0, 0.0, 2.0)), D.OneHotCategorical(v(0.0, 1.0, 1.0))),
    "cauchy": lambda D, v: (D.Cauchy(v(0.0), v(1.0)), D.Cauchy(v(1.0), v(2.0))),
    "dirichlet": lambda D, v: (D.Dirichlet(v(1.0, 0.5)), D.Dirichlet(v(0.3, 2.0))),
    "geometric": lambda D, v: (D.Geometric(v(0.4)), D.Geometric(v(0.7))),
    "halfnormal": lambda D, v: (D.HalfNormal(v(0.4)), D.HalfNormal(v(0.7))),
    "lognormal": lambda D, v: (D.LogNormal(v(0.4), 1.0), D.LogNormal(v(0.7), 2.0)),
    "poisson": lambda D, v: (D.Poisson(v(0.4)), D.Poisson(v(0.7))),
    "uniform": lambda D, v: (D.Uniform(v(0.0, 0.0), v(1.0, 1.0)), D.Uniform(v(-1.0, 0.5), v(2.0, 3.0))),
    "independent": lambda D, v: (
        D.Independent(D.Normal(v(0.0, 1.0), 1.0), 1), D.Independent(D.Normal(v(1.0, 1.0), 2.0), 1)
    ),
    "bernoulli-poisson": lambda D, v: (D.Bernoulli(v(0.4)), D.Poisson(v(0.7))),
    "poisson-bernoulli": lambda D, v: (D.Poisson(v(0.4)), D.Bernoulli(v(0.7))),
    "chi2-gamma": lambda D, v: (D.Chi2(v(3.0)), D.Gamma(v(0.7), v(1.0))),
    "half-normal-normal": lambda D, v: (D.HalfNormal(v(3.0)), D.Normal(v(0.7), v(1.0))),
    "normal-poisson": lambda D, v: (D.Normal(v(3.0), 1.0), D.Poisson(v(0.7))),
}

CONTINUOUS = {
    "Beta": lambda D, v: D.Beta(v(1.5), v(2.0)),
    "Exponential": lambda D, v: D.Exponential(v(1.5)),
    "Gamma": lambda D, v: D.Gamma(v(1.5), v(2.0)),
    "Gumbel": lambda D, v: D.Gumbel(v(0.5), v(2.0)),
    "Laplace": lambda D, v: D.Laplace(v(0.5), v(2.0)),
    "Normal": lambda D, v: D.Normal(v(0.5), v(2.0)),
    "Uniform": lambda D, v: D.Uniform(v(0.1), v(0.9)),
}
for _p in CONTINUOUS:
    for _q in CONTINUOUS:
        KL[f"{_p}-{_q}"] = lambda D, v, p=_p, q=_q: (CONTINUOUS[p](D, v), CONTINUOUS[q](D, v))


@pytest.mark.parametrize("name", KL)
def test_kl_divergence(name):
    mine = answer(lambda: D.kl_divergence(*KL[name](D, vector(rushlight))))
    theirs = answer(lambda: T.kl_divergence(*KL[name](T, vector(torch))))
    agree(mine, theirs, name)


def test_register_kl_prefers_the_nearest_classes():
    class Special(D.Normal):
        pass

    @D.register_kl(Special, D.Normal)
    def _kl(p, q):
        return rushlight.tensor(42.0)

    assert D.kl_divergence(Special(0.0, 1.0), D.Normal(0.0, 1.0)).item() == 42.0
    assert D.kl_divergence(D.Normal(0.0, 1.0), Special(0.0, 1.0)).item() == 0.0
    with pytest.raises(TypeError, match="Expected type_p to be a Distribution subclass"):
        D.register_kl(int, D.Normal)


# ---- transforms -----------------------------------------------------------------------------------------------------------------

TRANSFORMS = {
    "exp": (lambda D, v: D.ExpTransform(), [-1.0, 0.5]),
    "affine": (lambda D, v: D.AffineTransform(1.0, -2.0), [-1.0, 0.5]),
    "affine-event": (lambda D, v: D.AffineTransform(v(1.0, 2.0), v(3.0, -2.0), event_dim=1), [[-1.0, 0.5], [1.0, 2.0]]),
    "sigmoid": (lambda D, v: D.SigmoidTransform(), [-1.0, 0.5]),
    "tanh": (lambda D, v: D.TanhTransform(), [-1.0, 0.5]),
    "softplus": (lambda D, v: D.SoftplusTransform(), [-1.0, 0.5]),
    "power": (lambda D, v: D.PowerTransform(v(3.0)), [1.0, 0.5]),
    "stick": (lambda D, v: D.StickBreakingTransform(), [[-1.0, 0.5, 2.0]]),
    "inverse": (lambda D, v: D.ExpTransform().inv, [1.0, 0.5]),
    "compose": (lambda D, v: D.ComposeTransform([D.ExpTransform(), D.AffineTransform(1.0, 2.0)]), [1.0, 0.5]),
    "compose-mixed": (
        lambda D, v: D.ComposeTransform([D.AffineTransform(1.0, 2.0), D.StickBreakingTransform()]), [[1.0, 0.5]],
    ),
    "compose-inverse": (lambda D, v: D.ComposeTransform([D.ExpTransform(), D.AffineTransform(1.0, 2.0)]).inv, [3.0, 5.0]),
    "independent": (lambda D, v: D.IndependentTransform(D.ExpTransform(), 1), [[1.0, 0.5]]),
    "reshape": (lambda D, v: D.ReshapeTransform((2,), (2, 1)), [[1.0, 0.5]]),
    "stack": (lambda D, v: D.StackTransform([D.ExpTransform(), D.TanhTransform()], dim=-1), [[1.0, 0.5]]),
    "cat": (lambda D, v: D.CatTransform([D.ExpTransform(), D.TanhTransform()], dim=-1, lengths=[1, 2]), [[1.0, 0.5, 0.2]]),
    "cdf": (lambda D, v: D.CumulativeDistributionTransform(D.Normal(0.0, 1.0)), [1.0, 0.5]),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms(name):
    make, values = TRANSFORMS[name]
    mine, theirs = make(D, vector(rushlight)), make(T, vector(torch))
    x, y = rushlight.tensor(values), torch.tensor(values)
    agree(mine(x), theirs(y), "forward")
    agree(mine.inv(mine(x)), y, "inverse")
    agree(mine.log_abs_det_jacobian(x, mine(x)), theirs.log_abs_det_jacobian(y, theirs(y)), "log_abs_det_jacobian")
    assert tuple(mine.forward_shape(x.shape)) == tuple(theirs.forward_shape(y.shape))
    assert mine.bijective == theirs.bijective and repr(mine) == repr(theirs)
    assert mine.domain.event_dim == theirs.domain.event_dim and mine.codomain.event_dim == theirs.codomain.event_dim


def test_transforms_remember_their_last_values():
    t = D.SigmoidTransform(cache_size=1)
    x = rushlight.tensor([40.0])
    assert t.inv(t(x)) is x
    assert D.SigmoidTransform().inv(D.SigmoidTransform()(x)).item() != 40.0
    assert t.with_cache(0)._cache_size == 0 and t.inv.inv is t
    with pytest.raises(ValueError, match="cache_size must be 0 or 1"):
        D.ExpTransform(cache_size=2)


@pytest.mark.parametrize("registry", ["biject_to", "transform_to"])
def test_transforms_onto_constraints(registry):
    for of in (
        lambda c: c.real, lambda c: c.positive, lambda c: c.unit_interval, lambda c: c.interval(-1.0, 2.0), lambda c: c.greater_than(1.0),
        lambda c: c.less_than(2.0), lambda c: c.simplex, lambda c: c.independent(c.positive, 1), lambda c: c.boolean,
    ):
        mine = answer(lambda: getattr(D, registry)(of(D.constraints)))
        theirs = answer(lambda: getattr(T, registry)(of(T.constraints)))
        if isinstance(theirs, type):
            assert mine is theirs
            continue
        assert repr(mine) == repr(theirs)
        agree(mine(rushlight.tensor([[-1.0, 0.5]])), theirs(torch.tensor([[-1.0, 0.5]])), repr(theirs))


# ---- what is refused ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scenario",
    [
        lambda D, m: D.Normal(0.0, -1.0),
        lambda D, m: D.Normal(m.zeros(2), m.tensor([-1.0, 1.0])),
        lambda D, m: D.Normal("a", 1.0),
        lambda D, m: D.Normal(0.0, 1.0).log_prob(3),
        lambda D, m: D.Normal(m.zeros(2), m.ones(2)).log_prob(m.zeros(3)),
        lambda D, m: D.Dirichlet(m.ones(2)).log_prob(m.ones(3)),
        lambda D, m: D.Bernoulli(0.5).log_prob(m.tensor(2.0)),
        lambda D, m: D.Bernoulli(),
        lambda D, m: D.Bernoulli(0.5, 0.5),
        lambda D, m: D.Geometric(m.zeros(2)),
        lambda D, m: D.Categorical(),
        lambda D, m: D.Categorical(m.tensor(0.5)),
        lambda D, m: D.Categorical(m.tensor([-1.0, 2.0])),
        lambda D, m: D.Categorical(m.ones(3)).log_prob(m.tensor(3)),
        lambda D, m: D.OneHotCategorical(m.ones(3)).log_prob(m.ones(3)),
        lambda D, m: D.Dirichlet(m.ones(2)).log_prob(m.tensor([1.0, 1.0])),
        lambda D, m: D.Uniform(1.0, 0.0),
        lambda D, m: D.Uniform(0.0, 1.0).log_prob(m.tensor(2.0)),
        lambda D, m: D.Binomial(-1, probs=m.tensor(0.5)),
        lambda D, m: D.Binomial(m.tensor([2.0, 3.0]), m.tensor(0.5)).enumerate_support(),
        lambda D, m: D.Multinomial(m.tensor([3]), m.ones(2)),
        lambda D, m: D.Independent(D.Normal(0.0, 1.0), 1),
        lambda D, m: D.MixtureSameFamily(3, D.Normal(0.0, 1.0)),
        lambda D, m: D.MixtureSameFamily(D.Categorical(m.ones(2)), 3),
        lambda D, m: D.MixtureSameFamily(D.Categorical(m.ones(2)), D.Normal(m.zeros(3), m.ones(3))),
        lambda D, m: D.TransformedDistribution(D.Normal(0.0, 1.0), 3),
        lambda D, m: D.TransformedDistribution(D.Normal(0.0, 1.0), [3]),
        lambda D, m: D.TransformedDistribution(D.Normal(0.0, 1.0), [D.SoftmaxTransform()]),
        lambda D, m: D.Distribution.set_default_validate_args(3),
        lambda D, m: D.biject_to(D.constraints.boolean),
    ],
)
def test_errors(scenario):
    answers = []
    for dist, m in ((D, rushlight), (T, torch)):
        with pytest.raises(Exception) as e, warnings.catch_warnings():  # noqa: PT011
            warnings.simplefilter("ignore")
            scenario(dist, m)
        answers.append((e.type.__name__, str(e.value)))
    assert answers[0] == answers[1]


def test_checks_can_be_turned_off():
    assert math.isnan(D.Normal(0.0, -1.0, validate_args=False).log_prob(rushlight.tensor(3.0)).item())
    try:
        D.Distribution.set_default_validate_args(False)
        D.Normal(0.0, -1.0)
    finally:
        D.Distribution.set_default_validate_args(True)
    with pytest.raises(ValueError, match="scale"):
        D.Normal(0.0, -1.0)


def test_an_exponential_family_of_your_own_has_an_entropy():
    class Mine(D.Exponential):
        entropy = D.ExponentialFamily.entropy

    rate = rushlight.tensor([0.5, 2.0])
    assert close(Mine(rate).entropy().tolist(), D.Exponential(rate).entropy().tolist())
