"""autograd: grad modes, `grad` and `backward`, custom functions, functional products and gradcheck, against live PyTorch.

A scenario is a function of the package `m`; it runs once with each package, and both must answer the same.
"""

import warnings

import pytest

import rushlight

torch = pytest.importorskip("torch")

PACKAGES = [pytest.param(rushlight, id="rushlight"), pytest.param(torch, id="torch")]


def plain(x):
    """Tensors as nested lists, so that answers of both packages compare."""
    if hasattr(x, "detach"):
        return ("tensor", tuple(x.shape), str(x.dtype).rpartition(".")[2], x.requires_grad, x.detach().to(x.dtype).tolist())
    if isinstance(x, (tuple, list)):
        return [plain(y) for y in x]
    return x


def close(a, b):
    if isinstance(a, (tuple, list)):
        return isinstance(b, (tuple, list)) and len(a) == len(b) and all(close(x, y) for x, y in zip(a, b))
    if isinstance(a, float):
        return a == pytest.approx(b, rel=1e-5, abs=1e-7, nan_ok=True)
    return a == b


def same(scenario):
    """The answer of both packages, which must agree."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mine, theirs = plain(scenario(rushlight)), plain(scenario(torch))
    assert close(mine, theirs), f"{mine}\n{theirs}"
    return mine


def raised(scenario, m):
    try:
        scenario(m)
    except Exception as e:  # noqa: BLE001
        return type(e).__name__, str(e)
    raise AssertionError("nothing was raised")


def same_error(scenario):
    mine, theirs = raised(scenario, rushlight), raised(scenario, torch)
    assert mine == theirs


def leaf(m, values=(1.0, 2.0, 3.0), dtype="float64"):
    return m.tensor(list(values), dtype=getattr(m, dtype), requires_grad=True)


# ---- grad modes -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("m", PACKAGES)
def test_modes_as_context_managers(m):
    with m.no_grad():
        assert not m.is_grad_enabled()
        with m.enable_grad():
            assert m.is_grad_enabled()
        assert not m.is_grad_enabled()
        with pytest.raises(KeyError), m.enable_grad():
            raise KeyError
        assert not m.is_grad_enabled()
    assert m.is_grad_enabled()
    with m.inference_mode():
        assert m.is_inference_mode_enabled() and not m.is_grad_enabled()
        with m.inference_mode(False):
            assert not m.is_inference_mode_enabled() and m.is_grad_enabled()
    assert m.is_grad_enabled() and not m.is_inference_mode_enabled()


@pytest.mark.parametrize("m", PACKAGES)
def test_modes_as_decorators(m):
    @m.no_grad()
    def called():
        return m.is_grad_enabled()

    @m.no_grad
    def bare():
        return m.is_grad_enabled()

    @m.inference_mode
    def inference():
        return m.is_inference_mode_enabled()

    @m.enable_grad()
    def recursive(n):
        return [m.is_grad_enabled()] + (recursive(n - 1) if n else [])

    class Module:
        @m.no_grad()
        def method(self, x):
            return m.is_grad_enabled(), x

    assert not called() and not bare() and inference()
    assert called.__name__ == "called" and m.is_grad_enabled()
    assert Module().method(3) == (False, 3)
    with m.no_grad():
        assert recursive(2) == [True] * 3
        assert not m.is_grad_enabled()


@pytest.mark.parametrize("m", PACKAGES)
def test_set_grad_enabled(m):
    try:
        m.set_grad_enabled(False)
        assert not m.is_grad_enabled()
        with m.set_grad_enabled(True):
            assert m.is_grad_enabled()
        assert not m.is_grad_enabled()
    finally:
        m.set_grad_enabled(True)

    @m.set_grad_enabled(False)
    def off():
        return m.is_grad_enabled()

    assert m.is_grad_enabled() and not off() and m.is_grad_enabled()


@pytest.mark.parametrize("m", PACKAGES)
def test_mode_of_a_generator_holds_only_in_its_own_code(m):
    log = []

    @m.no_grad()
    def count():
        try:
            got = yield m.is_grad_enabled()
            log.append(got)
            try:
                yield m.is_grad_enabled()
            except KeyError:
                log.append(("caught", m.is_grad_enabled()))
                yield 3
        finally:
            log.append(("closed", m.is_grad_enabled()))

    gen = count()
    assert next(gen) is False and m.is_grad_enabled()
    assert gen.send("sent") is False and m.is_grad_enabled()
    assert gen.throw(KeyError()) == 3 and m.is_grad_enabled()
    gen.close()
    assert log == ["sent", ("caught", False), ("closed", False)] and m.is_grad_enabled()

    @m.no_grad()
    def returns():
        yield 1
        return 2

    def outer():
        return (yield from returns())

    gen = outer()
    next(gen)
    with pytest.raises(StopIteration) as stop:
        next(gen)
    assert stop.value.value == 2


@pytest.mark.parametrize("m", PACKAGES)
def test_a_mode_on_a_class_holds_in_its_constructor(m):
    with pytest.warns(FutureWarning, match="Decorating classes is deprecated"):

        @m.no_grad()
        class Thing:
            def __init__(self):
                self.enabled = m.is_grad_enabled()

    assert not Thing().enabled and m.is_grad_enabled()


# ---- grad and backward ----------------------------------------------------------------------------------------------------------


def test_grad_of_several_outputs_and_inputs():
    def scenario(m):
        x, y = leaf(m), leaf(m, (4.0, 5.0, 6.0))
        one = m.autograd.grad([(x * y).sum(), x * x], [x, y], [None, m.ones_like(x)])
        z = leaf(m)
        unused = m.autograd.grad((x * y).sum(), [x, z], allow_unused=True)
        zeros = m.autograd.grad((x * y).sum(), [x, z], materialize_grads=True)
        batch = m.autograd.grad(x * x, [x], m.eye(3, dtype=m.float64), is_grads_batched=True)
        (first,) = m.autograd.grad((x**3).sum(), x, create_graph=True)
        second = m.autograd.grad(first.sum(), x)
        return one, unused, zeros, batch, first, second

    same(scenario)


def test_backward_adds_to_leaves_or_to_inputs_only():
    def scenario(m):
        x, y = leaf(m), leaf(m)
        out = x * y
        m.autograd.backward([out.sum(), out * 2], [None, m.ones_like(out)], retain_graph=True)
        m.autograd.backward(out.sum(), inputs=[x])
        return x.grad, y.grad

    same(scenario)


@pytest.mark.parametrize(
    "scenario",
    [
        lambda m: m.autograd.grad(leaf(m) * 2, [leaf(m)]),
        lambda m: m.autograd.grad((leaf(m) * 2).sum(), [leaf(m)]),
        lambda m: m.autograd.grad((leaf(m) * 2).sum(), [m.ones(2)]),
        lambda m: m.autograd.grad(m.ones(()), [leaf(m)]),
        lambda m: m.autograd.grad((leaf(m) * 2).sum(), []),
        lambda m: m.autograd.grad((leaf(m) * 2).sum(), [3]),
        lambda m: m.autograd.grad((leaf(m) * 2).sum(), [leaf(m)], materialize_grads=True, allow_unused=False),
        lambda m: m.autograd.grad(leaf(m) * 2, [leaf(m)], [m.ones(2)]),
        lambda m: m.autograd.backward((leaf(m) * 2).sum(), inputs=[]),
        lambda m: m.autograd.backward(m.ones(())),
        lambda m: m.autograd.backward(3),
        lambda m: m.autograd.Variable(3),
    ],
)
def test_errors_of_grad_and_backward(scenario):
    same_error(scenario)


def test_gradients_may_be_numbers_and_arrays():
    numpy = pytest.importorskip("numpy")
    x = leaf(rushlight)
    (g,) = rushlight.autograd.grad(x * x, x, numpy.array([1.0, 10.0, 100.0]))
    assert g.tolist() == [2.0, 40.0, 600.0]
    (g,) = rushlight.autograd.grad((x * x).sum(), x, 2.0)
    assert g.tolist() == [4.0, 8.0, 12.0]


@pytest.mark.parametrize("m", PACKAGES)
def test_variable_is_a_tensor(m):
    v = m.autograd.Variable(m.ones(2), requires_grad=True)
    assert isinstance(v, m.Tensor) and isinstance(v, m.autograd.Variable) and v.requires_grad and v.is_leaf
    assert not isinstance(3, m.autograd.Variable)
    with pytest.warns(UserWarning, match="volatile was removed"):
        m.autograd.Variable(v, volatile=True)


def test_hooks_replace_gradients():
    def scenario(m):
        x = leaf(m)
        y = x * x
        y.register_hook(lambda g: g * 10)
        handle = x.register_hook(lambda g: g + 1)
        y.sum().backward()
        handle.remove()
        (x * 1).sum().backward()
        seen = []
        xs = [leaf(m), leaf(m)]
        multi = m.autograd.graph.register_multi_grad_hook(xs, lambda gs: seen.append([g.tolist() for g in gs]))
        (xs[0] * xs[1]).sum().backward()
        multi.remove()
        (xs[0] * xs[1]).sum().backward()
        return x.grad, seen

    same(scenario)


@pytest.mark.parametrize("m", PACKAGES)
def test_gradient_edges_and_versions(m):
    x = leaf(m)
    edge = m.autograd.graph.get_gradient_edge(x)
    assert edge.node.variable is x and edge.output_nr == 0
    first, second = (x * 1).unbind(0)[:2]
    assert [m.autograd.graph.get_gradient_edge(t).output_nr for t in (first, second)] == [0, 1]
    with pytest.raises(RuntimeError, match="does not require gradients"):
        m.autograd.graph.get_gradient_edge(m.ones(1))
    y = m.ones(2)
    before = y._version
    m.autograd.graph.increment_version(y)
    assert y._version > before and y.tolist() == [1.0, 1.0]


def test_anomaly_mode_finds_nan():
    def nan(m):
        x = leaf(m, (0.0, 0.0))
        (m.sqrt(x * 0 - 1) * 0).sum().backward()

    for m in (rushlight, torch):
        with pytest.warns(UserWarning, match="Anomaly Detection has been enabled"):
            guard = m.autograd.detect_anomaly()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with guard, pytest.raises(RuntimeError, match="nan"):
                nan(m)
            nan(m)
            with m.autograd.set_detect_anomaly(True), pytest.raises(RuntimeError, match="nan"):
                nan(m)
            nan(m)


# ---- custom functions -----------------------------------------------------------------------------------------------------------


def cube(m):
    class Cube(m.autograd.Function):
        @staticmethod
        def forward(ctx, x, scale):
            ctx.save_for_backward(x)
            ctx.scale = scale
            return scale * x**3

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return ctx.scale * g * 3 * x * x, None

    return Cube


def test_function_and_its_second_derivative():
    def scenario(m):
        x = leaf(m)
        y = cube(m).apply(x, 2)
        (g,) = m.autograd.grad(y.sum(), x, create_graph=True)
        (h,) = m.autograd.grad(g.sum(), x)
        with m.no_grad():
            quiet = cube(m).apply(x, 2)
        return y, g, h, quiet, y.grad_fn is None

    same(scenario)


def test_function_that_saves_its_output():
    def scenario(m):
        class Exp(m.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                y = x.exp()
                ctx.save_for_backward(y, None)
                return y

            @staticmethod
            def backward(ctx, g):
                y, nothing = ctx.saved_tensors
                assert nothing is None
                return g * y

        x = leaf(m)
        y = Exp.apply(x)
        (g,) = m.autograd.grad(y.sum(), x, create_graph=True)
        (h,) = m.autograd.grad(g.sum(), x)
        return y, g, h

    same(scenario)


def test_function_with_setup_context_and_defaults():
    def scenario(m):
        class Scale(m.autograd.Function):
            @staticmethod
            def forward(x, k=3):
                return x * k

            @staticmethod
            def setup_context(ctx, inputs, output):
                x, ctx.k = inputs
                ctx.save_for_backward(x, output)

            @staticmethod
            def backward(ctx, g):
                x, y = ctx.saved_tensors
                return g * ctx.k + 0 * (x + y), None

        x = leaf(m)
        y = Scale.apply(x)
        z = Scale.apply(x, k=4)
        return y, z, m.autograd.grad(y.sum() + z.sum(), x)

    same(scenario)


def test_function_in_place():
    def scenario(m):
        class Double(m.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                x.mul_(2)
                ctx.mark_dirty(x)
                return x

            @staticmethod
            def backward(ctx, g):
                return 2 * g

        x = leaf(m)
        y = x * x
        z = Double.apply(y)
        (z * 3).sum().backward()
        return z is y, z, x.grad

    same(scenario)
    same_error(lambda m: dirty_without_return(m).apply(leaf(m) * 1))


def dirty_without_return(m):
    class Dirty(m.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x * 1

        @staticmethod
        def backward(ctx, g):
            return g

    return Dirty


def test_function_dirties_no_leaf():
    def scenario(m):
        class Zero(m.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.mark_dirty(x)
                return x.mul_(0)

            @staticmethod
            def backward(ctx, g):
                return g * 0

        return Zero.apply(leaf(m))

    same_error(scenario)


def test_function_returns_its_input():
    def scenario(m):
        class Id(m.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x

            @staticmethod
            def backward(ctx, g):
                return g * 5

        x = leaf(m)
        y = Id.apply(x)
        y.sum().backward()
        return y is x, y, x.grad

    same(scenario)


@pytest.mark.parametrize("materialize", [True, False])
def test_function_with_several_outputs(materialize):
    def scenario(m):
        log = []

        class Split(m.autograd.Function):
            @staticmethod
            def forward(ctx, x, tag):
                ctx.set_materialize_grads(materialize)
                sign = x.sign()
                ctx.mark_non_differentiable(sign)
                return x * 2, x * 3, x > 1, sign, tag

            @staticmethod
            def backward(ctx, a, b, *rest):
                log.append([None if g is None else g.tolist() for g in (a, b)])
                log.append((len(rest), ctx.needs_input_grad))
                return a * 2, None

        x = leaf(m)
        outs = Split.apply(x, "tag")
        outs[0].sum().backward()
        return outs, x.grad, log

    same(scenario)


def test_needs_input_grad():
    def scenario(m):
        log = []

        class Mul(m.autograd.Function):
            @staticmethod
            def forward(ctx, x, k, y):
                log.append(ctx.needs_input_grad)
                ctx.save_for_backward(x, y)
                return x * y

            @staticmethod
            def backward(ctx, g):
                log.append(ctx.needs_input_grad)
                x, y = ctx.saved_tensors
                return g * y, None, g * x

        x, y = leaf(m), m.ones(3, dtype=m.float64)
        Mul.apply(x, 1, y).sum().backward()
        w = leaf(m)
        m.autograd.grad(Mul.apply(x, 1, w).sum(), w)
        return x.grad, y.grad, log

    mine = plain(scenario(rushlight))
    theirs = plain(scenario(torch))
    # PyTorch asks for every input that requires a gradient; asking for fewer, as `grad` of one input allows, is as right.
    assert close(mine[:2], theirs[:2]) and mine[2][:2] == theirs[2][:2]


def linear_function(m, backward):
    class Fn(m.autograd.Function):
        @staticmethod
        def forward(ctx, x, k):
            return x * 2

    Fn.backward = staticmethod(backward)
    return Fn


@pytest.mark.parametrize(
    "backward",
    [
        lambda ctx, g: g,
        lambda ctx, g: (g, g),
        lambda ctx, g: (5, None),
        lambda ctx, g: [g, None],
        lambda ctx, g: (g[:2], None),
        lambda ctx, g: (g, None, g),
        lambda ctx, g: {}["missing"],
        lambda ctx, g: (g / 0 if 1 // 0 else g, None),
    ],
)
def test_errors_of_a_backward_arrive_as_they_are(backward):
    same_error(lambda m: linear_function(m, backward).apply(leaf(m), 2).sum().backward())


def test_a_backward_may_return_more_nones():
    def scenario(m):
        x = leaf(m)
        linear_function(m, lambda ctx, g: (g * 2, None, None, None)).apply(x, 2).sum().backward()
        return x.grad

    same(scenario)


def test_an_exception_of_your_own_class_arrives():
    class Mine(Exception):
        pass

    def backward(ctx, g):
        raise Mine("from backward")

    for m in (rushlight, torch):
        with pytest.raises(Mine, match="from backward"):
            linear_function(m, backward).apply(leaf(m), 2).sum().backward()


@pytest.mark.parametrize(
    "scenario",
    [
        lambda m: type("F", (m.autograd.Function,), {}).apply(leaf(m)),
        lambda m: type("F", (m.autograd.Function,), {"forward": staticmethod(lambda ctx, x: x * 2)}).apply(leaf(m)).sum().backward(),
        lambda m: type("F", (m.autograd.Function,), {"forward": staticmethod(lambda ctx, x: ctx.save_for_backward(3))}).apply(leaf(m)),
        lambda m: type("F", (m.autograd.Function,), {"forward": staticmethod(lambda ctx, x: ctx.mark_dirty(3))}).apply(leaf(m)),
    ],
)
def test_errors_of_incomplete_functions(scenario):
    same_error(scenario)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_functions_are_not_called_as_instances():
    same_error(lambda m: cube(m)()(leaf(m)))


def test_saved_tensors_are_freed_and_checked():
    def twice(m):
        y = cube(m).apply(leaf(m), 2).sum()
        y.backward()
        y.backward()

    def overwritten(m):
        x = leaf(m) * 1
        y = cube(m).apply(x, 2)
        x.add_(1)
        y.sum().backward()

    for scenario, text in ((twice, "a second time"), (overwritten, "modified by an inplace operation")):
        for m in (rushlight, torch):
            with pytest.raises(RuntimeError, match=text):
                scenario(m)


def test_once_differentiable():
    def function(m):
        class Square(m.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x * x

            @staticmethod
            @m.autograd.function.once_differentiable
            def backward(ctx, g):
                (x,) = ctx.saved_tensors
                return 2 * g * x

        return Square

    def scenario(m):
        x = leaf(m)
        return m.autograd.grad(function(m).apply(x).sum(), x)

    same(scenario)

    def twice(m):
        x = leaf(m)
        y = function(m).apply(x)
        (g,) = m.autograd.grad((y * y).sum(), x, create_graph=True)
        g.sum().backward()

    for m in (rushlight, torch):
        with pytest.raises(RuntimeError, match="once_differentiable"):
            twice(m)


def test_vjp_is_another_name_of_backward():
    def scenario(m):
        class Triple(m.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x * 3

            @staticmethod
            def vjp(ctx, g):
                return g * 3

        return m.autograd.grad(Triple.apply(leaf(m)).sum(), leaf(m), allow_unused=True), Triple.apply(leaf(m))

    same(scenario)


# ---- functional -----------------------------------------------------------------------------------------------------------------


def smooth(m):
    return lambda x: (x.sin() * x).sum() + (x**3).prod()


def two(m):
    return lambda x, y: ((x * y).exp(), (x + y.sum()).square().sum())


def test_functional_products():
    def scenario(m):
        f = m.autograd.functional
        x, y = m.tensor([0.5, 1.0, 1.5], dtype=m.float64), m.tensor([0.1, 0.2, 0.3], dtype=m.float64)
        v = m.tensor([1.0, -2.0, 3.0], dtype=m.float64)
        one = m.tensor(2.0, dtype=m.float64)
        return (
            f.jacobian(lambda x: x.exp() * x[0], x),
            f.jacobian(two(m), (x, y)),
            f.hessian(smooth(m), x),
            f.hessian(lambda a, b: (a * a * b).sum(), (x, y)),
            f.vjp(two(m), (x, y), (v, one)),
            f.jvp(two(m), (x, y), (v, v)),
            f.vhp(smooth(m), x, v),
            f.hvp(smooth(m), x, v),
            f.hvp(lambda a, b: (a * a * b).sum(), (x, y), (v, v)),
            f.jacobian(lambda x: m.ones(2), x),
            f.jacobian(lambda x: x * 2, x, vectorize=True, strategy="forward-mode"),
        )

    same(scenario)


def test_functional_results_are_differentiable_on_request():
    def scenario(m):
        f = m.autograd.functional
        x = leaf(m, (0.5, 1.0, 1.5))
        v = m.tensor([1.0, -2.0, 3.0], dtype=m.float64)
        results = [
            f.jacobian(lambda x: x**3, x, create_graph=True),
            f.hessian(smooth(m), x, create_graph=True),
            f.vjp(lambda x: x**3, x, v, create_graph=True)[1],
            f.jvp(lambda x: x**3, x, v, create_graph=True)[1],
            f.vhp(smooth(m), x, v, create_graph=True)[1],
            f.hvp(smooth(m), x, v, create_graph=True)[1],
        ]
        return [(r, m.autograd.grad(r.sum(), x)) for r in results]

    same(scenario)


@pytest.mark.parametrize("name", ["jacobian", "hessian", "vjp", "jvp", "vhp", "hvp"])
def test_errors_of_functional(name):
    def call(m, func, inputs, *rest, **options):
        return getattr(m.autograd.functional, name)(func, inputs, *rest, **options)

    square = lambda x: (x * x).sum()  # noqa: E731
    per_input = name in ("jvp", "vhp", "hvp")

    def vec(m):
        return () if name in ("jacobian", "hessian") else ((m.ones(3),) if per_input else (m.ones(()),))

    same_error(lambda m: call(m, square, [3]))
    same_error(lambda m: call(m, square, (m.ones(3), 3)))
    same_error(lambda m: call(m, lambda x: 3, m.ones(3), *vec(m)))
    same_error(lambda m: call(m, lambda x: m.ones(()), m.ones(3), *vec(m), strict=True))
    if name in ("vhp", "hvp", "hessian"):
        same_error(lambda m: call(m, lambda x: x * x, m.ones(3), *vec(m)))
        same_error(lambda m: call(m, lambda x: x.sum(), m.ones(3), *vec(m), strict=True))
    if name not in ("jacobian", "hessian"):
        same_error(lambda m: call(m, lambda x: x * x, m.ones(3)))
        same_error(lambda m: call(m, square, m.ones(3), 3))
        same_error(lambda m: call(m, square, m.ones(3), (m.ones(3), m.ones(3))))


# ---- gradcheck ------------------------------------------------------------------------------------------------------------------


def wrong_square(m):
    class Wrong(m.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * x

        @staticmethod
        def backward(ctx, g):
            return g * 3

    return Wrong.apply


@pytest.mark.parametrize("m", PACKAGES)
@pytest.mark.parametrize("fast", [False, True])
def test_gradcheck(m, fast):
    error = m.autograd.gradcheck.__globals__["GradcheckError"]
    x = leaf(m, (0.3, 0.7, 1.1))
    y = leaf(m, (0.5, 0.4, 2.0))
    check = m.autograd.gradcheck
    assert check(lambda x, y: (x * y.exp(), x.sum()), (x, y), fast_mode=fast)
    assert check(lambda x, k: x * k, (x, 3), fast_mode=fast)
    with pytest.raises(error, match="Jacobian mismatch for output 0 with respect to input 0"):
        check(wrong_square(m), x, fast_mode=fast)
    assert check(wrong_square(m), x, raise_exception=False, fast_mode=fast) is False
    with pytest.raises(error, match="expected to be zero"):
        check(lambda x: x.detach() * 2, x, fast_mode=fast)
    with pytest.raises(ValueError, match="at least one input tensor to require gradient"):
        check(lambda x: x * 2, x.detach(), fast_mode=fast)


@pytest.mark.parametrize("m", PACKAGES)
@pytest.mark.parametrize("fast", [False, True])
def test_gradgradcheck(m, fast):
    error = m.autograd.gradcheck.__globals__["GradcheckError"]

    class Detached(m.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 3 * x.detach() ** 2

    x = leaf(m, (0.3, 0.7, 1.1))
    assert m.autograd.gradcheck(Detached.apply, x)
    assert m.autograd.gradgradcheck(lambda x: x**3, x, fast_mode=fast)
    with pytest.raises(error):
        m.autograd.gradgradcheck(Detached.apply, x, fast_mode=fast)


@pytest.mark.parametrize("m", PACKAGES)
def test_gradcheck_notices_randomness(m):
    error = m.autograd.gradcheck.__globals__["GradcheckError"]

    class Noisy(m.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * (2 + 1e-7 * m.rand(3, dtype=m.float64))

    x = leaf(m)
    with pytest.raises(error, match="not reentrant"):
        m.autograd.gradcheck(Noisy.apply, x)
    assert m.autograd.gradcheck(Noisy.apply, x, nondet_tol=1e-5)


def test_gradcheck_warns_of_single_precision():
    for m in (rushlight, torch):
        with pytest.warns(UserWarning, match="Input #0 requires gradient and is not a double precision"):
            m.autograd.gradcheck(lambda x: x * 0.5, leaf(m, dtype="float32"), raise_exception=False)


# ---- profiler and what is not there ---------------------------------------------------------------------------------------------


def test_profiler_times_named_regions():
    profiler = rushlight.autograd.profiler

    @profiler.record_function("inner")
    def work():
        return sum(range(100))

    with profiler.profile() as prof, profiler.record_function("outer"):
        work()
        work()
    counts = {row.key: row.count for row in prof.key_averages()}
    assert counts == {"Total": 1, "outer": 1, "inner": 2}
    total = prof.total_average().cpu_time_total
    assert all(0 <= row.cpu_time_total <= total for row in prof.key_averages())
    assert "inner" in prof.key_averages().table(sort_by="count", row_limit=1)
    with profiler.record_function("nobody looks"):
        pass
    with pytest.raises(NotImplementedError, match="with_stack"):
        profiler.profile(with_stack=True)


def test_forward_mode_is_refused():
    with pytest.raises(NotImplementedError, match="func.jvp"):
        rushlight.autograd.forward_ad.dual_level()
