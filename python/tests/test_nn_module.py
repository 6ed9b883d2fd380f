"""What modules and containers do, as scenarios that run on both libraries and must tell the same story."""

import copy
import pickle
import warnings
from collections import OrderedDict

import numpy as np
import pytest

import rushlight

torch = pytest.importorskip("torch")

SCENARIOS = []


def scenario(function):
    SCENARIOS.append(function)
    return function


def plain(value):
    """Returns a result in a form that compares across libraries."""
    if isinstance(value, (rushlight.Tensor, torch.Tensor)):
        return [tuple(value.shape), str(value.dtype), np.round(value.detach().double().numpy(), 5).tolist()]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, BaseException):
        return type(value).__name__
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def attempt(function, *args, **kwargs):
    """Returns the result, or the error."""
    try:
        return function(*args, **kwargs)
    except Exception as error:
        return error


def attempt_text(function, *args, **kwargs):
    """Returns the text of the error."""
    try:
        function(*args, **kwargs)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def net(T):
    T.manual_seed(0)
    nn = T.nn
    return nn.Sequential(OrderedDict(a=nn.Linear(3, 4), b=nn.Sequential(nn.BatchNorm1d(4), nn.ReLU()), c=nn.Linear(4, 2)))


def data(T, *shape):
    return T.from_numpy(np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape).copy())


@scenario
def registration(T):
    nn = T.nn

    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(T.ones(2))
            self.child = nn.Linear(1, 1)
            self.register_buffer("b", T.zeros(1))
            self.register_buffer("hidden", T.zeros(1), persistent=False)
            self.buf = nn.Buffer(T.ones(3))
            self.buf2 = nn.Buffer(T.ones(3), persistent=False)
            self.register_parameter("none", None)
            self.register_buffer("nothing", None)
            self.plain = 5

    m = M()
    yield sorted(m._parameters), sorted(m._buffers), sorted(m._modules), sorted(m._non_persistent_buffers_set)
    yield list(m.state_dict()), m.w, m.plain, m.none, m.nothing
    m.b = T.ones(2)
    m.none = nn.Parameter(T.zeros(1))
    m.plain = nn.Linear(2, 2)
    m.child = None
    yield list(m.state_dict()), [n for n, _ in m.named_modules()], m.b, "plain" in m.__dict__
    del m.w, m.b, m.plain
    yield list(m.state_dict()), [n for n, _ in m.named_buffers()], hasattr(m, "w")
    m.child = nn.ReLU()
    yield repr(m)
    yield [name in dir(m) for name in ("buf", "none", "child", "forward", "w")]


@scenario
def registration_errors(T):
    nn = T.nn

    class Early(nn.Module):
        def __init__(self, what):
            self.x = what

    class EarlyBuffer(nn.Module):
        def __init__(self):
            self.register_buffer("x", T.ones(1))

    for what in (nn.Parameter(T.ones(1)), nn.ReLU(), nn.Buffer(T.ones(1))):
        yield attempt_text(Early, what)
    yield attempt_text(EarlyBuffer)
    m = net(T)
    p = nn.Parameter(T.ones(1))
    yield attempt_text(m.register_parameter, "", p), attempt_text(m.register_parameter, "a.b", p)
    yield attempt_text(m.register_parameter, "a", p), attempt_text(m.register_parameter, 5, p)
    yield attempt(m.register_parameter, "x", T.ones(1)), attempt_text(m.register_parameter, "x", p * 2)
    yield attempt_text(m.register_buffer, "", T.ones(1)), attempt_text(m.register_buffer, "a.b", T.ones(1))
    yield attempt_text(m.register_buffer, "a", T.ones(1)), attempt(m.register_buffer, "x", 5)
    yield attempt_text(m.add_module, "", nn.ReLU()), attempt_text(m.add_module, "a.b", nn.ReLU())
    yield attempt_text(m.add_module, "forward", nn.ReLU()), attempt(m.add_module, "x", 5)
    yield attempt(setattr, m, "a", 5), attempt(setattr, m.a, "weight", T.ones(4, 3)), attempt(setattr, m.b[0], "running_mean", 5)
    yield attempt_text(getattr, m, "missing"), attempt(delattr, m, "missing"), attempt_text(m.train, 1)
    yield attempt_text(nn.Module().forward), attempt_text(nn.Module(), 3)


@scenario
def walking(T):
    nn = T.nn
    m = net(T)
    m.again = m.a
    m.tied = m.c.weight
    for dup in (True, False):
        yield [n for n, _ in m.named_modules(remove_duplicate=dup)]
        yield [n for n, _ in m.named_parameters(remove_duplicate=dup)]
        yield [n for n, _ in m.named_buffers(prefix="x", remove_duplicate=dup)]
    yield [n for n, _ in m.named_parameters(prefix="p", recurse=False)], [n for n, _ in m.named_children()]
    yield len(list(m.modules())), len(list(m.children())), len(list(m.parameters())), len(list(m.buffers()))
    yield m.get_submodule("b.0"), m.get_submodule(""), m.get_parameter("a.weight"), m.get_buffer("b.0.running_var")
    for bad in ("x", "b.5", "a.weight"):
        yield attempt_text(m.get_submodule, bad)
    yield attempt_text(m.get_parameter, "b.0.running_var"), attempt_text(m.get_buffer, "a.weight")
    yield attempt_text(m.get_parameter, "a.missing")
    m.set_submodule("b.1", nn.Tanh())
    yield repr(m), attempt(m.set_submodule, "", nn.Tanh()), attempt(m.set_submodule, "a.weight", nn.Tanh())
    order = []
    yield m.apply(lambda x: order.append(type(x).__name__)) is m, order


@scenario
def state(T):
    m = net(T)
    sd = m.state_dict(prefix="net.")
    yield list(sd), sd._metadata, type(sd).__name__, [v.requires_grad for v in sd.values()]
    yield [v.requires_grad for v in m.state_dict(keep_vars=True).values()]
    sd = m.state_dict()
    yield m.state_dict()["a.weight"].data_ptr() == m.a.weight.data_ptr()
    other = net(T)
    with T.no_grad():
        for p in other.parameters():
            p.add_(1)
    result = other.load_state_dict(sd)
    yield repr(result), result.missing_keys, other.a.weight, other.a.weight is sd["a.weight"]
    wrong = dict(sd)
    wrong.pop("a.bias"), wrong.pop("b.0.running_mean")
    wrong["extra"], wrong["a.more"] = T.ones(1), T.ones(1)
    yield attempt_text(m.load_state_dict, wrong)
    result = m.load_state_dict(wrong, strict=False)
    yield result.missing_keys, result.unexpected_keys, repr(result)
    wrong["c.bias"], wrong["c.weight"] = T.ones(3), 5
    yield attempt_text(m.load_state_dict, wrong, strict=False).replace("rushlight", "torch")
    yield attempt_text(m.load_state_dict, 5)
    scalar = T.nn.Module()
    scalar.p = T.nn.Parameter(T.tensor(1.0))
    yield scalar.load_state_dict({"p": T.tensor([3.0])}), scalar.p
    half = {k: v.half() for k, v in sd.items() if v.is_floating_point()}
    m.load_state_dict(half, strict=False)
    yield m.a.weight.dtype
    m.load_state_dict(half, strict=False, assign=True)
    yield str(m.a.weight.dtype), type(m.a.weight).__name__, m.a.weight.requires_grad, str(m.b[0].running_mean.dtype)
    old = net(T).state_dict()
    del old["b.0.num_batches_tracked"]
    yield attempt_text(m.load_state_dict, old)
    del old._metadata
    yield attempt_text(m.load_state_dict, old)


@scenario
def state_hooks(T):
    m, log = net(T), []
    m.register_state_dict_pre_hook(lambda mod, prefix, keep: log.append(("pre", prefix, keep)))
    m.b.register_state_dict_post_hook(lambda mod, sd, prefix, meta: log.append(("post", prefix, meta, len(sd))))
    m.b.register_load_state_dict_pre_hook(lambda mod, sd, prefix, *rest: log.append(("load", type(mod).__name__, prefix, len(sd))))
    m.register_load_state_dict_post_hook(lambda mod, keys: log.append(("done", len(keys.missing_keys))))
    handle = m.register_load_state_dict_post_hook(lambda mod, keys: keys.missing_keys.clear())
    sd = m.state_dict()
    del sd["a.bias"]
    yield m.load_state_dict(sd), log
    handle.remove()
    yield attempt(m.load_state_dict, sd)
    m.b.register_state_dict_post_hook(lambda mod, sd, prefix, meta: 5)
    yield attempt_text(m.state_dict)


@scenario
def extra_state(T):
    class M(T.nn.Module):
        seen = None

        def get_extra_state(self):
            return {"n": 3}

        def set_extra_state(self, state):
            self.seen = state

    m = T.nn.Sequential(M(), T.nn.Linear(1, 1))
    sd = m.state_dict()
    yield list(sd), m.load_state_dict(sd), m[0].seen
    del sd["0._extra_state"]
    yield attempt_text(m.load_state_dict, sd)
    yield attempt_text(T.nn.Sequential(T.nn.ReLU()).load_state_dict, {"0._extra_state": 1})


@scenario
def forward_hooks(T):
    m, log = T.nn.Linear(2, 2), []
    with T.no_grad():
        m.weight.fill_(1), m.bias.fill_(0)
    m.register_forward_pre_hook(lambda mod, args: log.append("pre 1"))
    m.register_forward_pre_hook(lambda mod, args: (args[0] * 2,))
    m.register_forward_pre_hook(lambda mod, args: log.append("pre first"), prepend=True)
    m.register_forward_pre_hook(lambda mod, args, kw: log.append(("pre kw", sorted(kw))), with_kwargs=True)
    m.register_forward_hook(lambda mod, args, out: out + 1)
    m.register_forward_hook(lambda mod, args, kw, out: log.append(("post kw", len(args), sorted(kw))), with_kwargs=True)
    h = m.register_forward_hook(lambda mod, args, out: log.append("first"), prepend=True)
    yield m(data(T, 1, 2)), list(log)
    log.clear()
    h.remove()
    h.remove()
    yield m(data(T, 1, 2)), list(log)
    with m.register_forward_hook(lambda mod, args, out: out * 0):
        yield m(data(T, 1, 2))
    yield m(data(T, 1, 2))
    m.register_forward_pre_hook(lambda mod, args, kw: 5, with_kwargs=True)
    yield attempt_text(m, data(T, 1, 2))


@scenario
def hooks_always_called(T):
    class Fails(T.nn.Module):
        def forward(self, x):
            raise RuntimeError("failed in forward")

    m, log = Fails(), []
    m.register_forward_hook(lambda mod, args, out: log.append("never"))
    m.register_forward_hook(lambda mod, args, out: log.append(("always", out)), always_call=True)

    def fails_too(mod, args, out):
        log.append("fails too")
        raise ValueError("silenced")

    m.register_forward_hook(fails_too, always_call=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield attempt_text(m, 1), log, [str(w.message) for w in caught]


@scenario
def global_hooks(T):
    module = T.nn.modules.module
    log = []
    handles = [
        module.register_module_forward_pre_hook(lambda mod, args: log.append(("pre", type(mod).__name__))),
        module.register_module_forward_hook(lambda mod, args, out: log.append(("post", type(mod).__name__))),
        module.register_module_full_backward_hook(lambda mod, gi, go: log.append(("back", type(mod).__name__))),
        module.register_module_full_backward_pre_hook(lambda mod, go: log.append(("back pre", type(mod).__name__))),
        module.register_module_parameter_registration_hook(lambda mod, name, p: log.append(("param", name))),
        module.register_module_module_registration_hook(lambda mod, name, p: log.append(("module", name))),
        module.register_module_buffer_registration_hook(lambda mod, name, p: log.append(("buffer", name))),
    ]
    try:
        m = net(T)
        m.register_forward_hook(lambda mod, args, out: log.append("own"))
        m(data(T, 2, 3).requires_grad_()).sum().backward()
    finally:
        for handle in handles:
            handle.remove()
    n = len(log)
    m(data(T, 2, 3))
    yield log, len(log) - n


@scenario
def backward_hooks(T):
    for needs in (True, False):
        m, log = T.nn.Linear(2, 2), []
        with T.no_grad():
            m.weight.copy_(data(T, 2, 2)), m.bias.fill_(0)
        m.register_full_backward_pre_hook(lambda mod, go: log.append(("pre", go)))
        m.register_full_backward_pre_hook(lambda mod, go: (go[0] * 2,))
        m.register_full_backward_hook(lambda mod, gi, go: log.append(("full", gi, go)))
        if needs:
            m.register_full_backward_hook(lambda mod, gi, go: (gi[0] * 10,))
        x = data(T, 1, 2).requires_grad_(needs)
        m(x).sum().backward()
        yield log, x.grad, m.weight.grad
    yield attempt_text(m.register_backward_hook, lambda *a: None)


@scenario
def backward_hooks_of_several(T):
    class Two(T.nn.Module):
        def forward(self, x, n, y):
            return x * y, n, x + y

    m, log = Two(), []
    m.register_full_backward_hook(lambda mod, gi, go: log.append((gi, go)))
    x, y = data(T, 2).requires_grad_(), data(T, 2) + 3
    a, n, b = m(x, 5, y)
    (a * 2 + b).sum().backward()
    yield log, n, x.grad
    log.clear()
    m(x, 5, y)[2].sum().backward()
    yield log
    m.register_full_backward_hook(lambda mod, gi, go: (gi[0],))
    yield attempt_text(lambda: m(x, 5, y)[2].sum().backward())


@scenario
def old_backward_hook(T):
    m, log = T.nn.Sequential(T.nn.Linear(2, 2), T.nn.Tanh()), []
    with T.no_grad():
        m[0].weight.copy_(data(T, 2, 2)), m[0].bias.fill_(0)
    m.register_backward_hook(lambda mod, gi, go: log.append((gi, go)))
    m(data(T, 1, 2).requires_grad_()).sum().backward()
    yield log


@scenario
def converting(T):
    m = net(T)
    m(data(T, 2, 3)).sum().backward()
    weight, grad = m.a.weight, m.a.weight.grad
    yield m.double() is m, m.a.weight is weight, str(weight.dtype), str(weight.grad.dtype), str(m.b[0].num_batches_tracked.dtype)
    yield m.half().a.weight, str(m.bfloat16().a.bias.dtype), str(m.float().b[0].running_var.dtype)
    yield str(m.to(T.float64).c.bias.dtype), str(m.to("cpu", T.float32).c.bias.dtype), str(m.to(data(T, 1).double()).c.bias.dtype)
    yield m.to(device="cpu") is m, str(m.to(dtype=T.float32).c.bias.dtype), attempt_text(m.to, T.int32).replace("rushlight", "torch")
    yield m.cpu() is m, str(m.type(T.float64).b[0].num_batches_tracked.dtype)
    yield m.eval().training, [x.training for x in m.modules()], m.b.train() is m.b, [x.training for x in m.modules()]
    yield m.requires_grad_(False) is m, [p.requires_grad for p in m.parameters()]
    m.requires_grad_()
    m.zero_grad(set_to_none=False)
    yield m.a.weight.grad
    m.zero_grad()
    yield m.a.weight.grad


@scenario
def copies(T):
    m = net(T)
    m.tied = m.a.weight
    m.note = {"x": 1}
    m.register_forward_hook(hook_that_adds)
    for other in (copy.deepcopy(m), pickle.loads(pickle.dumps(m))):
        yield repr(other) == repr(m), other.tied is other.a.weight, other.a.weight is m.a.weight, other.note
        yield other.state_dict(), other(data(T, 2, 3)), type(other.a.weight).__name__, other.a.weight.requires_grad
    shallow = copy.copy(m)
    yield shallow.a.weight is m.a.weight
    m.a.bias.requires_grad_(False)
    yield [p.requires_grad for p in copy.deepcopy(m).parameters()]


def hook_that_adds(module, args, out):
    return out + 1


@scenario
def parameters_themselves(T):
    nn = T.nn
    p = nn.Parameter(data(T, 2))
    yield repr(p), isinstance(p, nn.Parameter), isinstance(T.ones(1), nn.Parameter), p.requires_grad, p.is_leaf
    yield type(p + 1).__name__, type(p.detach()).__name__, type(p.data).__name__, type(p.clone()).__name__
    yield nn.Parameter(), nn.Parameter(T.ones(2, dtype=T.int64), requires_grad=False), attempt(nn.Parameter, T.ones(2, dtype=T.int64))
    base = data(T, 3)
    shared = nn.Parameter(base)
    with T.no_grad():
        shared.add_(1)
    yield base
    b = nn.Buffer(data(T, 2))
    yield type(b).__name__, isinstance(b, nn.Buffer), isinstance(p, nn.Buffer), b.persistent

    class Special(T.Tensor):
        pass

    if T is torch:
        s = nn.Parameter(data(T, 2).as_subclass(Special))
    else:
        s = nn.Parameter(Special(data(T, 2)))
    yield type(s).__name__, isinstance(s, nn.Parameter), s.requires_grad
    loaded = pickle.loads(pickle.dumps(p))
    yield loaded, type(loaded).__name__, loaded.requires_grad
    p.grad = data(T, 2)
    q = copy.deepcopy(p)
    yield q is p, type(q).__name__, q
    copies = copy.deepcopy([p, p])
    yield copies[0] is copies[1]


@scenario
def sequential(T):
    nn = T.nn
    s = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 3))
    yield len(s), s[0], s[-1], s[1:], attempt_text(lambda: s[5]), [type(x) for x in s]
    s[1] = nn.Tanh()
    del s[0]
    yield s
    s.append(nn.ReLU()).extend([nn.ELU(), nn.SELU()]).insert(0, nn.Sigmoid())
    yield s, s.pop(1), s
    yield s + nn.Sequential(nn.GELU()), s * 2, 2 * s
    s += nn.Sequential(nn.GLU())
    s *= 2
    yield s
    del s[1:-1]
    yield s, list(s.state_dict())
    yield attempt(lambda: s + 5), attempt(lambda: s * 0), attempt(lambda: s * "a"), attempt(s.insert, 99, nn.ReLU())
    named = nn.Sequential(OrderedDict(x=nn.ReLU(), y=nn.Linear(1, 1)))
    yield named, named[1:], named.x, attempt(nn.Sequential, 5)


@scenario
def module_list(T):
    nn = T.nn
    m = nn.ModuleList([nn.Linear(1, 1), nn.ReLU()])
    m.append(nn.ReLU()).extend(nn.Sequential(nn.Linear(2, 2)))
    m.insert(1, nn.Tanh())
    m += [nn.ELU()]
    yield m, len(m), m[-1], m[1:3], m + nn.ModuleList([nn.GLU()]), attempt_text(lambda: m[9])
    m[0] = nn.Sigmoid()
    del m[1], m[-2:]
    yield m, m.pop(0), m, [type(x) for x in m], attempt(m), attempt(m.extend, 5), attempt(m.append, 5)
    yield nn.ModuleList(), nn.ModuleList(x for x in [nn.ReLU()])


@scenario
def module_dict(T):
    nn = T.nn
    m = nn.ModuleDict({"a": nn.Linear(1, 1), "b": nn.ReLU()})
    m["c"] = nn.Tanh()
    m.update([("d", nn.ELU())])
    m.update(nn.ModuleDict({"a": nn.GLU()}))
    yield m, len(m), "a" in m, list(m), list(m.keys()), [type(v) for v in m.values()], [k for k, _ in m.items()]
    del m["b"]
    yield m.pop("c"), m, attempt(m.update, 5), attempt(m.update, [("a",)]), attempt(lambda: m["zz"]), attempt(m, 1)
    m.clear()
    yield m


@scenario
def parameter_list(T):
    nn = T.nn
    m = nn.ParameterList([nn.Parameter(data(T, 2)), T.ones(1)])
    m.append(T.zeros(2)).extend([5, "text"])
    m += [T.ones(2, 2)]
    yield m, len(m), m[0], m[-1], list(m.state_dict()), [n for n, _ in m.named_parameters()], m[3], m[1:3]
    m[0] = T.full((3,), 2.0)
    yield type(m[0]).__name__, attempt_text(lambda: m[9]), attempt(m.extend, 5), attempt_text(m)
    yield [type(v).__name__ for v in m]


@scenario
def parameter_dict(T):
    nn = T.nn
    m = nn.ParameterDict({"a": T.ones(1), "b": nn.Parameter(T.ones(2))})
    m["c"] = 5
    yield m, len(m), list(m), "a" in m, list(m.keys()), list(m.values()), list(m.items()), list(reversed(m))
    yield m.get("zz"), m.get("zz", 3), m.setdefault("d", T.zeros(1)), m.setdefault("a"), list(m.state_dict())
    yield m.popitem()[0], m.pop("c"), m | nn.ParameterDict({"e": T.ones(1)}), attempt(m.update, 5), attempt(m.pop, "zz")
    m |= nn.ParameterDict({"a": T.full((1,), 7.0)})
    del m["b"]
    yield m["a"], m.copy(), m.fromkeys(["x", "y"], 3), attempt_text(m, 1)
    m.clear()
    yield m, list(m.named_parameters())


@scenario
def init_functions(T):
    init = T.nn.init
    calls = [
        ("uniform_", (3, 4), (-1, 2)),
        ("normal_", (3, 4), (1, 2)),
        ("trunc_normal_", (30, 4), (0.5, 2.0, -1.0, 1.0)),
        ("constant_", (2,), (3,)),
        ("ones_", (2,), ()),
        ("zeros_", (2,), ()),
        ("eye_", (3, 4), ()),
        ("dirac_", (4, 2, 3), ()),
        ("dirac_", (4, 2, 3, 3), (2,)),
        ("dirac_", (4, 2, 3, 3, 1), ()),
        ("xavier_uniform_", (3, 4, 2), (2.0,)),
        ("xavier_normal_", (3, 4), ()),
        ("kaiming_uniform_", (3, 4), (0.1, "fan_out")),
        ("kaiming_normal_", (3, 4, 2), (0, "fan_in", "relu")),
        ("orthogonal_", (5, 3), (2.0,)),
        ("orthogonal_", (3, 5), ()),
        ("orthogonal_", (4, 2, 2), ()),
        ("sparse_", (6, 3), (0.4,)),
    ]
    for name, shape, args in calls:
        T.manual_seed(4)
        t = T.empty(shape).requires_grad_()
        result = getattr(init, name)(t, *args)
        yield name, t, result is t, t.requires_grad, t.grad_fn
    for name in ("linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"):
        yield init.calculate_gain(name)
    yield init.calculate_gain("leaky_relu", 0.3), attempt_text(init.calculate_gain, "other")
    yield attempt(init.calculate_gain, "leaky_relu", "x")
    yield attempt(init.xavier_uniform_, T.empty(3)), attempt(init.eye_, T.empty(3)), attempt(init.dirac_, T.empty(3, 3))
    yield attempt(init.orthogonal_, T.empty(3)), attempt(init.sparse_, T.empty(3), 0.1)
    yield attempt(init.kaiming_normal_, T.empty(3, 3), 0, "other")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        init.constant(T.empty(2), 1)
        yield [w.category.__name__ for w in caught]


@scenario
def attributes_are_found_in_pythons_order(T):
    nn = T.nn

    class Property(nn.Linear):
        @property
        def weight(self):
            return self._kept

    class Answers(nn.Linear):
        def __getattr__(self, name):
            return "mine" if "ready" in self.__dict__ and name in ("weight", "other") else super().__getattr__(name)

    class Further(Answers):
        pass

    class Raises(nn.Module):
        @property
        def broken(self):
            raise AttributeError("inside")

        @property
        def wrong(self):
            raise KeyError("inside")

    class Both(nn.Module, dict):
        pass

    class Early(nn.Module):
        def __init__(self):
            pass

    p = Property(2, 3)
    p._kept = 5
    yield p.weight, tuple(p._parameters), hasattr(p, "bias"), hasattr(p, "biases")
    for m in (Answers(2, 3), Further(2, 3)):
        m.ready = True
        yield m.weight, m.other, tuple(m.bias.shape), attempt_text(getattr, m, "absent")
    yield attempt_text(getattr, Raises(), "broken"), attempt_text(getattr, Raises(), "wrong")
    yield attempt_text(getattr, Early(), "weight"), attempt(Early())
    both = Both()
    both["key"], both.layer = 1, nn.Linear(2, 2)
    yield both["key"], tuple(both.layer.weight.shape), both.training
    m = nn.Linear(2, 3)
    m._parameters["weight"] = None
    m._buffers["table"] = T.zeros(2)
    yield m.weight, m.table, attempt_text(getattr, m, "tables"), getattr(m, "absent", 7)
    m.forward = lambda x, y=1: (x, y)
    yield m(1), m(2, y=3), attempt(m), attempt_text(nn.Module())
    del m.bias
    yield hasattr(m, "bias"), attempt_text(delattr, m, "bias")
    nested = pickle.loads(pickle.dumps(nn.Sequential(nn.Linear(2, 2))))
    yield tuple(nested[0].weight.shape), copy.deepcopy(m).weight


@pytest.mark.parametrize("tell", SCENARIOS, ids=[f.__name__ for f in SCENARIOS])
def test_scenario(tell):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = [plain(part) for part in tell(torch)]
        ours = []
        for i, part in enumerate(tell(rushlight)):
            ours.append(plain(part))
            assert ours[-1] == theirs[i], f"part {i}"
    assert len(ours) == len(theirs)


def test_call_without_hooks_goes_straight_to_forward():
    class Counts(rushlight.nn.Module):
        def forward(self, x, *, scale=1):
            return x * scale

    m = Counts()
    m._call_with_hooks = None  # a call that took the long way would fail
    assert m(3, scale=2) == 6
    assert m.compile() is m
