"""func: transforms of functions, against live torch.func.

A scenario is a function of the package `m` and its `func` module `F`; it runs once with each package, and both must answer the same.
"""

import warnings

import pytest

import rushlight
from rushlight.utils import _pytree

torch = pytest.importorskip("torch")


def plain(x):
    if isinstance(x, (rushlight.Tensor, torch.Tensor)):
        return ("tensor", tuple(x.shape), str(x.dtype).rpartition(".")[2], x.requires_grad, x.detach().tolist())
    if isinstance(x, dict):
        return [(k, plain(v)) for k, v in x.items()]
    if isinstance(x, (tuple, list)):
        return [type(x).__name__, *map(plain, x)]
    return x


def close(a, b):
    if isinstance(a, (tuple, list)):
        return isinstance(b, (tuple, list)) and len(a) == len(b) and all(close(x, y) for x, y in zip(a, b))
    if isinstance(a, float):
        return a == pytest.approx(b, rel=1e-5, abs=1e-6)
    return a == b


def same(scenario):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mine, theirs = plain(scenario(rushlight, rushlight.func)), plain(scenario(torch, torch.func))
    assert close(mine, theirs), f"{mine}\n{theirs}"


def same_error(scenario):
    answers = []
    for m in (rushlight, torch):
        with pytest.raises(Exception) as e:  # noqa: PT011
            scenario(m, m.func)
        answers.append((e.type.__name__, str(e.value)))
    assert answers[0] == answers[1]


def data(m):
    return m.arange(6, dtype=m.float64).reshape(2, 3) / 4, m.tensor([0.5, -1.0, 2.0], dtype=m.float64)


def cubic(x):
    return (x**3).sum()


# ---- derivatives ----------------------------------------------------------------------------------------------------------------


def test_grad_of_arguments_and_trees():
    def scenario(m, F):
        x, w = data(m)
        product = lambda a, b: (a * a * b).sum()  # noqa: E731
        return (
            F.grad(cubic)(x),
            F.grad(product, argnums=1)(x, w),
            F.grad(product, argnums=-1)(x, w),
            F.grad(product, argnums=(1, 0))(x, w),
            F.grad(lambda d: (d["a"] * d["b"][0]).sum())({"a": x, "b": (x,)}),
            F.grad(lambda x: (cubic(x), {"seen": x * 2}), has_aux=True)(x),
            F.grad_and_value(cubic)(x),
            F.grad_and_value(lambda x: (cubic(x), x), has_aux=True)(x),
            F.grad(lambda a, b: a.sum(), argnums=(0, 1))(x, w),
            F.grad(lambda x: m.ones(()))(x),
            F.grad(lambda x, k: (x * k).sum())(x, k=3.0),
        )

    same(scenario)


def test_grad_nests_and_keeps_to_itself():
    def scenario(m, F):
        x, w = data(m)
        with_no_grad = m.no_grad()

        def inner(x):
            with with_no_grad:
                c = x * 2
            return (x * c).sum()

        third = F.grad(F.grad(F.grad(lambda s: s**4)))(m.tensor(2.0))
        with m.no_grad():
            unrecorded = F.grad(cubic)(x.clone().requires_grad_())
        # The inner gradient is of y alone, and the outer one of x through both.
        mixed = F.grad(lambda x: (F.grad(lambda y: (y * y * x).sum())(x) * x).sum())(w)
        constant = F.grad(lambda x: (x.detach() * x).sum())(x)
        return third, unrecorded, mixed, constant, F.grad(inner)(x), x.requires_grad, x.grad

    same(scenario)


def test_grad_is_differentiable_by_plain_autograd():
    def scenario(m, F):
        x, w = data(m)
        x = x.clone().requires_grad_()
        w.requires_grad_()
        g = F.grad(cubic)(x)
        h = F.grad(lambda x: (x * x * w).sum())(x.detach())
        (g.sum() + h.sum()).backward()
        return g, h, x.grad, w.grad, F.grad_and_value(cubic)(x)

    same(scenario)


def test_vjp_and_jvp():
    def scenario(m, F):
        x, w = data(m)
        out, pull = F.vjp(lambda x: (x * 2, {"sum": x.sum()}), x)
        one, two = m.ones(2, 3, dtype=m.float64), m.tensor(2.0, dtype=m.float64)
        aux = F.vjp(lambda x: (x * x, x + 1), x, has_aux=True)
        return (
            out,
            pull((one, {"sum": two})),
            pull((one, {"sum": two * 2})),
            F.vjp(lambda a, b: a * b, x, w)[1](x),
            (aux[0], aux[1](x), aux[2]),
            F.jvp(lambda a, b: (a * b).sin(), (x, w), (x, w)),
            F.jvp(lambda d: {"o": d["a"] * 2}, ({"a": x},), ({"a": x},)),
            F.jvp(lambda x: (x * 2, x), (x,), (x,), has_aux=True),
            F.jvp(lambda x: m.ones(3), (x,), (x,)),
            F.linearize(lambda x, y: (x * y, x.sum()), x, x)[1](x, x),
        )

    same(scenario)


def test_forward_over_reverse():
    def scenario(m, F):
        _, w = data(m)
        f = lambda x: (x.sin() * x * x).sum()  # noqa: E731
        hvp = F.jvp(F.grad(f), (w,), (m.ones_like(w),))[1]
        again = F.grad(lambda x: F.jvp(f, (x,), (m.ones_like(x),))[1])(w)
        through_vjp = F.grad(lambda x: F.vjp(f, x)[1](m.ones((), dtype=m.float64))[0].sum())(w)
        return hvp, again, through_vjp

    same(scenario)


def test_jacobians():
    def scenario(m, F):
        x, w = data(m)
        pair = lambda x, y: (x.sum(0) * y, {"k": (x * y).sum()})  # noqa: E731
        return (
            F.jacrev(lambda x: x.sum(0).exp())(x),
            F.jacfwd(lambda x: x.sum(0).exp())(x),
            F.jacrev(pair, argnums=(0, 1))(x, w),
            F.jacfwd(pair, argnums=(0, 1))(x, w),
            F.jacrev(lambda d: {"o": d["a"] * 2})({"a": w}),
            F.jacrev(lambda x: (x * x, x), has_aux=True)(w),
            F.jacfwd(lambda x: (x * x, x), has_aux=True)(w),
            F.jacrev(lambda x, y: {"k": y * x}, argnums=(0,))(w, w),
            F.jacrev(lambda x: x * 2, chunk_size=1)(w),
            F.hessian(cubic)(w),
            F.hessian(lambda x, y: (x * x * y).sum(), argnums=(0, 1))(w, w),
            F.jacfwd(F.jacrev(lambda x: (x**3).prod()))(w),
            F.jacrev(F.jacfwd(lambda x: (x**3).prod()))(w),
        )

    same(scenario)


@pytest.mark.parametrize(
    "scenario",
    [
        lambda m, F: F.grad(lambda x: x)(data(m)[0]),
        lambda m, F: F.grad(lambda x: 3.0)(data(m)[0]),
        lambda m, F: F.grad(cubic, argnums=1)(data(m)[0]),
        lambda m, F: F.grad(cubic, argnums="a")(data(m)[0]),
        lambda m, F: F.grad(cubic, argnums=())(data(m)[0]),
        lambda m, F: F.grad(lambda a, b: a.sum(), argnums=(0, -2))(*data(m)),
        lambda m, F: F.grad(cubic)(3),
        lambda m, F: F.grad(cubic, has_aux=True)(data(m)[0]),
        lambda m, F: F.vjp(lambda x: (x, x), data(m)[0])[1](data(m)[0]),
        lambda m, F: F.vjp(lambda x: 3, data(m)[0]),
        lambda m, F: F.vjp(lambda x: x, data(m)[0])[1](m.ones(2)),
        lambda m, F: F.jvp(lambda x: x, data(m)[0], data(m)[0]),
        lambda m, F: F.jvp(lambda x, y: x, data(m), data(m)[:1]),
        lambda m, F: F.jvp(lambda x: x, (data(m)[0],), (m.ones(2),)),
        lambda m, F: F.jvp(lambda x: x, (), ()),
        lambda m, F: F.jvp(lambda x: x, (3,), (data(m)[0],)),
        lambda m, F: F.jacrev(lambda x: 3)(data(m)[0]),
        lambda m, F: F.jacfwd(lambda x: 3)(data(m)[0]),
        lambda m, F: F.linearize(lambda x: x, data(m)[0])[1](m.ones(2)),
    ],
)
def test_errors_of_derivatives(scenario):
    same_error(scenario)


# ---- vmap -----------------------------------------------------------------------------------------------------------------------


def test_vmap_dimensions():
    def scenario(m, F):
        x, w = data(m)
        return (
            F.vmap(lambda x: x * 2)(x),
            F.vmap(lambda x: x * 2, in_dims=-1)(x),
            F.vmap(lambda x: x * 2, in_dims=1, out_dims=-1)(x),
            F.vmap(lambda x, y: x * y, in_dims=(0, None))(x, w),
            F.vmap(m.dot, in_dims=(1, 1))(x, x),
            F.vmap(lambda x: {"a": x, "b": (x, x.sum())})(x),
            F.vmap(lambda x: (x, x), out_dims=(0, 1))(x),
            F.vmap(lambda x: {"a": x}, out_dims={"a": 1})(x),
            F.vmap(lambda x: (x, m.ones(2)), out_dims=(0, None))(x),
            F.vmap(lambda x: x, out_dims=(1,))(x),
            F.vmap(lambda x: m.ones(2))(x),
            F.vmap(lambda x: 3.0, out_dims=None)(x),
            F.vmap(lambda t, d: t[0] * d["w"] + t[1], in_dims=((0, None), {"w": 1}))((x, w), {"w": x.t()}),
            F.vmap(lambda x, k=2: x * k)(x, k=3),
            F.vmap(lambda x: x * 2)(m.ones(0, 3)),
            F.vmap(lambda x: [x, x], chunk_size=1)(x),
            F.vmap(F.vmap(m.mul, in_dims=(0, None)), in_dims=(None, 0))(w, w),
            F.vmap(lambda x: x.clone().add_(1).relu_())(x),
        )

    same(scenario)


def test_vmap_is_differentiable_and_composes():
    def scenario(m, F):
        x, w = data(m)
        loss = lambda w, x: (x * w).tanh().square().sum()  # noqa: E731
        per_sample = F.vmap(F.grad(loss), in_dims=(None, 0))(w, x)
        total = F.grad(lambda w: F.vmap(loss, in_dims=(None, 0))(w, x).sum())(w)
        jac = F.jacrev(F.vmap(lambda x: x.sin().sum()))(x)
        rows = F.vmap(F.jacrev(lambda x: x * x.sum()))(x)
        hess = F.vmap(F.hessian(cubic))(x)
        leaf = x.clone().requires_grad_()
        out = F.vmap(lambda x: x * x.sum())(leaf)
        out.sum().backward()
        products = F.vmap(F.vjp(lambda w: (w * w).sin(), w)[1])(m.eye(3, dtype=m.float64))
        return per_sample, total, jac, rows, hess, out, leaf.grad, products

    same(scenario)


def test_vmap_randomness():
    x = rushlight.zeros(4, 3)
    draw = lambda x: x + rushlight.rand(3)  # noqa: E731
    before = rushlight.get_rng_state()
    with pytest.raises(RuntimeError, match="called random operation while in randomness error mode"):
        rushlight.func.vmap(draw)(x)
    assert rushlight.get_rng_state().equal(before)
    same_rows = rushlight.func.vmap(draw, randomness="same")(x)
    assert all(row.equal(same_rows[0]) for row in same_rows)
    rows = rushlight.func.vmap(draw, randomness="different")(x)
    assert not rows[0].equal(rows[1])
    same_error(lambda m, F: F.vmap(lambda x: x, randomness="sometimes")(m.ones(2)))


@pytest.mark.parametrize(
    "scenario",
    [
        lambda m, F: F.vmap(lambda: 3)(),
        lambda m, F: F.vmap(lambda x: 3.0)(data(m)[0]),
        lambda m, F: F.vmap(lambda x: None)(data(m)[0]),
        lambda m, F: F.vmap(lambda x: x, in_dims=5)(data(m)[0]),
        lambda m, F: F.vmap(lambda x: x, in_dims="a")(data(m)[0]),
        lambda m, F: F.vmap(lambda x, y: x, in_dims=(0,))(*data(m)),
        lambda m, F: F.vmap(lambda x, y: x, in_dims=(0, (0, 0)))(*data(m)),
        lambda m, F: F.vmap(lambda x, y: x, in_dims=(None, None))(*data(m)),
        lambda m, F: F.vmap(lambda x, y: x)(data(m)[0], 3),
        lambda m, F: F.vmap(lambda x, y: x)(*data(m)),
        lambda m, F: F.vmap(lambda x: x)(m.ones(())),
        lambda m, F: F.vmap(lambda x: (x, x), out_dims=(0, 1, 2))(data(m)[0]),
        lambda m, F: F.vmap(lambda x: x, out_dims="a")(data(m)[0]),
        lambda m, F: F.vmap(lambda x: x, out_dims=None)(data(m)[0]),
        lambda m, F: F.vmap(lambda x: x, out_dims=7)(data(m)[0]),
        lambda m, F: F.vmap(lambda x: x, chunk_size=0)(data(m)[0]),
    ],
)
def test_errors_of_vmap(scenario):
    same_error(scenario)


# ---- modules --------------------------------------------------------------------------------------------------------------------


def linear(m):
    layer = m.nn.Linear(3, 2).double()
    with m.no_grad():
        layer.weight.copy_(m.arange(6, dtype=m.float64).reshape(2, 3) / 10)
        layer.bias.copy_(m.tensor([1.0, -1.0], dtype=m.float64))
    return layer


def tied(m):
    class Tied(m.nn.Module):
        def __init__(self):
            super().__init__()
            self.a = m.nn.Parameter(m.ones(2))
            self.b = self.a

        def forward(self, x, scale=1):
            return (self.a + self.b + x) * scale

    return Tied()


def test_functional_call():
    def scenario(m, F):
        layer, (x, _) = linear(m), data(m)
        params = {k: v.detach() * 2 for k, v in layer.named_parameters()}
        before = [id(p) for p in layer.parameters()]
        results = (
            F.functional_call(layer, params, x),
            F.functional_call(layer, {"weight": params["weight"]}, (x,)),
            F.functional_call(layer, [{"weight": params["weight"]}, {"bias": params["bias"]}], (x,)),
            F.grad(lambda p: F.functional_call(layer, p, (x,)).square().sum())(params),
            F.vmap(F.grad(lambda p, x: F.functional_call(layer, p, (x,)).square().sum()), in_dims=(None, 0))(params, x),
            F.functional_call(tied(m), {"a": m.zeros(2)}, m.zeros(2)),
            F.functional_call(tied(m), {"a": m.zeros(2)}, m.zeros(2), tie_weights=False),
            F.functional_call(tied(m), {"a": m.zeros(2)}, (m.ones(2),), {"scale": 3}),
        )
        assert before == [id(p) for p in layer.parameters()]
        return results

    same(scenario)


def test_functional_call_restores_after_an_error():
    layer = linear(rushlight)
    weight = layer.weight
    with pytest.raises(RuntimeError):
        rushlight.func.functional_call(layer, {"weight": rushlight.ones(5, 5)}, rushlight.ones(1, 3))
    assert layer.weight is weight


@pytest.mark.parametrize(
    "scenario",
    [
        lambda m, F: F.functional_call(linear(m), {"weight": m.ones(2, 3)}, data(m)[0], strict=True),
        lambda m, F: F.functional_call(linear(m), {"weight": m.ones(2, 3), "bias": m.ones(2), "k": m.ones(1)}, data(m)[0], strict=True),
        lambda m, F: F.functional_call(linear(m), [{"weight": m.ones(1)}, {"weight": m.ones(1)}], data(m)[0]),
        lambda m, F: F.functional_call(linear(m), 3, data(m)[0]),
        lambda m, F: F.functional_call(linear(m), {"weight": 3}, data(m)[0]),
        lambda m, F: F.functional_call(tied(m), {"a": m.zeros(2), "b": m.ones(2)}, m.zeros(2)),
        lambda m, F: F.stack_module_state([]),
        lambda m, F: F.stack_module_state([m.nn.Linear(2, 2), m.nn.ReLU()]),
        lambda m, F: F.stack_module_state([m.nn.Linear(2, 2), m.nn.Linear(2, 2).eval()]),
    ],
)
def test_errors_of_functional_call(scenario):
    same_error(scenario)


def test_an_ensemble_of_modules():
    def scenario(m, F):
        models = [linear(m), linear(m), linear(m)]
        with m.no_grad():
            for i, model in enumerate(models):
                model.weight.mul_(i + 1)
        params, buffers = F.stack_module_state(models)
        out = F.vmap(lambda p, b, x: F.functional_call(models[0], (p, b), (x,)), in_dims=(0, 0, None))(params, buffers, data(m)[0])
        return params, buffers, out, [p.is_leaf for p in params.values()]

    same(scenario)


# ---- trees ----------------------------------------------------------------------------------------------------------------------


def test_trees_come_apart_and_together():
    from collections import OrderedDict, namedtuple

    Point = namedtuple("Point", ["x", "y"])
    tree = {"a": [1, (2, Point(3, [4]))], "b": OrderedDict(c=5), "d": ()}
    leaves, spec = _pytree.tree_flatten(tree)
    theirs, their_spec = torch.utils._pytree.tree_flatten(tree)
    assert leaves == theirs and spec.num_leaves == their_spec.num_leaves
    back = _pytree.tree_unflatten([x * 10 for x in leaves], spec)
    assert back == torch.utils._pytree.tree_unflatten([x * 10 for x in theirs], their_spec)
    assert type(back["a"][1][1]) is Point and type(back["b"]) is OrderedDict
    assert _pytree.tree_map(lambda a, b: a + b, tree, back) == torch.utils._pytree.tree_map(lambda a, b: a + b, tree, back)
    with pytest.raises(ValueError, match="leaves"):
        _pytree.tree_unflatten([1], spec)
    assert _pytree.tree_structure([1, 2]) == _pytree.tree_structure([3, 4]) != _pytree.tree_structure((3, 4))
    assert _pytree.tree_map_only(int, str, [1, "x", 2.0]) == ["1", "x", 2.0]
