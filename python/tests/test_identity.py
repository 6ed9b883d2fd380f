"""A tensor is one object: identity, life, attributes, subclasses, copies, hooks, reference counts."""

import copy
import gc
import pickle
import sys
import threading
import weakref

import pytest
import rushlight

torch = pytest.importorskip("torch")

from both import rows, same  # noqa: E402

# ---- one tensor, one object ---------------------------------------------------------------------------------------------------------


def test_grad_is_one_object():
    p = rushlight.ones(3, requires_grad=True)
    (p * p).sum().backward()
    g = p.grad
    assert p.grad is g
    g.mark = "here"
    assert p.grad.mark == "here"
    g.zero_()
    assert p.grad.tolist() == [0, 0, 0]
    (p * 2).sum().backward()
    assert p.grad.tolist() == [2, 2, 2]


def test_base_is_one_object():
    x = rushlight.ones(3)
    assert x[1:]._base is x
    assert x.view(3)[1:]._base is x


def test_object_of_a_hook_and_of_a_node():
    p = rushlight.ones(3, requires_grad=True)
    seen = []
    p.register_post_accumulate_grad_hook(seen.append)
    p.sum().backward()
    assert seen[0] is p
    assert (p * 2).grad_fn.next_functions[0][0].variable is p


def test_attributes_stay_with_the_tensor():
    p = rushlight.ones(2)
    p.name_of_mine, q = "p", p
    assert q.name_of_mine == "p" and "name_of_mine" in vars(q)
    del p.name_of_mine
    with pytest.raises(AttributeError):
        q.name_of_mine  # noqa: B018


def test_in_dicts_and_sets():
    a, b = rushlight.ones(2), rushlight.ones(2)
    table = {a: "a", b: "b"}
    assert table[a] == "a" and table[b] == "b" and len({a, b, a}) == 2 and a in {a} and a not in {b}


def test_weak_references():
    a, died = rushlight.ones(2), []
    ref = weakref.ref(a, lambda _: died.append(True))
    assert ref() is a
    table = weakref.WeakKeyDictionary({a: 1})
    del a
    assert ref() is None and died == [True] and not table


def test_weak_reference_to_what_the_graph_keeps():
    """The object of a saved tensor may go while the tensor stays; a new object is made when it is asked for."""
    a = rushlight.ones(2, requires_grad=True)
    b = a.exp()
    c = b * b
    ref = weakref.ref(b)
    del b
    assert ref() is None
    c.sum().backward()
    assert a.grad is not None


# ---- subclasses ---------------------------------------------------------------------------------------------------------------------


class Tagged(rushlight.Tensor):
    """A user's class with an attribute of its own."""

    def __new__(cls, data, tag="none"):
        self = super().__new__(cls, rushlight.as_tensor(data))
        self.tag = tag
        return self

    def twice(self):
        return self * 2


def test_subclass():
    t = Tagged([1.0, 2.0], tag="x")
    assert isinstance(t, rushlight.Tensor) and type(t) is Tagged and t.tag == "x" and t.twice().tolist() == [2, 4]
    t += 1
    assert type(t) is Tagged and t.tolist() == [2, 3]
    assert t.add_(1) is t and t.zero_() is t
    assert rushlight.add(t, 1, out=t) is t
    back = pickle.loads(pickle.dumps(t))
    assert type(back) is Tagged and back.tag == "x" and back.tolist() == t.tolist()
    again = copy.deepcopy(t)
    assert type(again) is Tagged and again.tag == "x" and again is not t


def test_parameter_keeps_its_type():
    p = rushlight.nn.Parameter(rushlight.ones(2))
    q = p
    with rushlight.no_grad():
        p += 1
        p.mul_(2)
    assert p is q and type(p) is rushlight.nn.Parameter and p.requires_grad and p.is_leaf
    assert not isinstance(p * 1, rushlight.nn.Parameter) and isinstance(p, rushlight.Tensor)
    for other in (copy.deepcopy(p), copy.copy(p), pickle.loads(pickle.dumps(p))):
        assert type(other) is rushlight.nn.Parameter and other.requires_grad and other.tolist() == p.tolist()


def test_parameter_shares_memory_with_its_data():
    x = rushlight.zeros(2)
    p = rushlight.nn.Parameter(x)
    x += 1
    assert p.tolist() == [1, 1] and p.data_ptr() == x.data_ptr()


# ---- copies -------------------------------------------------------------------------------------------------------------------------

COPIES = rows("""
    copy.deepcopy(torch.ones(2))
    copy.deepcopy(torch.ones(2, requires_grad=True))
    copy.deepcopy(torch.ones(2, requires_grad=True) * 2)
    copy.deepcopy(torch.arange(6).reshape(2, 3).t())
    copy.deepcopy(torch.arange(6)[1::2])
    copy.deepcopy(torch.ones(1).expand(3))
    copy.deepcopy(torch.tensor(True))
    copy.copy(torch.ones(2, requires_grad=True))
    pickle.loads(pickle.dumps(torch.ones(2)))
    pickle.loads(pickle.dumps(torch.ones(2, requires_grad=True)))
    pickle.loads(pickle.dumps(torch.arange(6).reshape(2, 3).t()))
    pickle.loads(pickle.dumps(torch.arange(6)[1::2]))
    pickle.loads(pickle.dumps(torch.ones(2, dtype=torch.bfloat16)))
    pickle.loads(pickle.dumps(torch.zeros(0, 3)))
    pickle.loads(pickle.dumps(torch.tensor(3)))
    pickle.loads(pickle.dumps([torch.float32, torch.Size([1, 2]), torch.device('cpu'), torch.strided]))
    copy.deepcopy([torch.float32, torch.Size([1, 2]), torch.device('cpu')])
    x = torch.ones(2); a, b = copy.deepcopy([x, x]); a is b, a is x
    x = torch.ones(4); a, b = copy.deepcopy([x, x[1:]]); a += 1; b
    x = torch.ones(4); a, b = pickle.loads(pickle.dumps([x, x[1:]])); a += 1; b
    x = torch.ones(2); a, b = pickle.loads(pickle.dumps([x, x])); a is b
    x = torch.ones(2, requires_grad=True); x.sum().backward(); copy.deepcopy(x).grad
    x = torch.ones(2); x.extra = [1]; copy.deepcopy(x).extra
    x = torch.ones(2); x.extra = [1]; pickle.loads(pickle.dumps(x)).extra
    x = torch.ones(2); y = copy.copy(x); y += 1; x
    x = torch.ones(2); y = copy.deepcopy(x); y += 1; x
""")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("text", COPIES)
def test_copies(text):
    same(text, copy=copy, pickle=pickle)


# ---- hooks --------------------------------------------------------------------------------------------------------------------------

HOOKS = rows("""
    x = torch.ones(2, requires_grad=True); s = []; x.register_hook(lambda g: s.append(g.tolist())); (x * 3).sum().backward(); s, x.grad
    x = torch.ones(2, requires_grad=True); x.register_hook(lambda g: g * 2); (x * 3).sum().backward(); x.grad
    x = torch.ones(2, requires_grad=True); x.register_hook(lambda g: g * 2); x.register_hook(lambda g: g + 1); (x * 3).sum().backward(); x.grad
    x = torch.ones(2, requires_grad=True); h = x.register_hook(lambda g: g * 2); h.remove(); (x * 3).sum().backward(); x.grad
    x = torch.ones(2, requires_grad=True); h = x.register_hook(lambda g: g * 2); h.remove(); h.remove(); x.sum().backward(); x.grad
    x = torch.ones(2, requires_grad=True); y = x * 2; y.register_hook(lambda g: g * 10); y.sum().backward(); x.grad
    x = torch.ones(2, requires_grad=True); y = x * 2; y.retain_grad(); y.register_hook(lambda g: g * 10); y.sum().backward(); x.grad, y.grad
    x = torch.ones(2, requires_grad=True); y = x * 2; y.retain_grad(); (y * y).sum().backward(); y.grad, y.retains_grad
    x = torch.ones(2, requires_grad=True); y = x * 2; y.sum().backward(); y.retains_grad, x.retains_grad
    x = torch.ones(2, requires_grad=True); x.register_hook(lambda g: 1 / 0); x.sum().backward()
    x = torch.ones(2, requires_grad=True); x.register_hook(lambda g: 'a'); x.sum().backward()
    x = torch.ones(2, requires_grad=True); x.register_hook(lambda g: torch.ones(3)); x.sum().backward()
    x = torch.ones(2, requires_grad=True); x.register_hook(lambda g: {}['missing']); (x * 2).sum().backward()
    torch.ones(2).register_hook(lambda g: g)
    torch.ones(2).retain_grad()
    x = torch.ones(2, requires_grad=True); x.retain_grad(); x.sum().backward(); x.grad
    x = torch.ones(2, requires_grad=True); s = []; x.register_post_accumulate_grad_hook(lambda p: s.append(p.grad.tolist())); x.sum().backward(); s
    x = torch.ones(2, requires_grad=True); x.register_post_accumulate_grad_hook(lambda p: setattr(p, 'grad', None)); x.sum().backward(); x.grad
    x = torch.ones(2, requires_grad=True); x.register_post_accumulate_grad_hook(lambda p: 1 / 0); x.sum().backward()
    x = torch.ones(2, requires_grad=True); (x * 2).register_post_accumulate_grad_hook(lambda p: None)
    x = torch.ones(2, requires_grad=True); s = []; y = x * 2; y.grad_fn.register_hook(lambda i, o: s.append((len(i), len(o)))); y.sum().backward(); s
    x = torch.ones(2, requires_grad=True); y = x * 2; y.grad_fn.register_prehook(lambda o: (o[0] * 5,)); y.sum().backward(); x.grad
    x = torch.ones(2, requires_grad=True); y = x.exp(); y.grad_fn.register_hook(lambda i, o: (i[0] * 5,)); y.sum().backward(); x.grad
    x = torch.ones(2, requires_grad=True); x.grad = torch.ones(3)
    x = torch.ones(2, requires_grad=True); x.grad = torch.ones(2, dtype=torch.float64)
    x = torch.ones(2, requires_grad=True); x.grad = 1
    x = torch.ones(2, requires_grad=True); x.grad = x
    x = torch.ones(2, requires_grad=True); x.grad = torch.ones(2); x.grad = None; x.grad
    x = torch.ones(2, requires_grad=True); x.grad = torch.ones(2); del x.grad; x.grad
    x = torch.ones(2, requires_grad=True); g = torch.ones(2); x.grad = g; x.grad is g
    x = torch.ones(2); x.grad = torch.ones(2); x.grad
    x, w = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True); (x * w).sum().backward(inputs=[x]); x.grad, w.grad
    x, w = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True); (x * w).sum().backward(inputs=x); x.grad, w.grad
    x = torch.ones(2, requires_grad=True); x.sum().backward(inputs=[])
    x = torch.ones(2, requires_grad=True); y = x * 2; (y * y).sum().backward(inputs=[y]); x.grad, y.grad
    x = torch.ones(2, requires_grad=True); (x * 2).backward()
    x = torch.ones(2, requires_grad=True); (x * 2).backward(torch.ones(3))
    x = torch.ones(2, requires_grad=True); (x * 2).backward(torch.tensor([1., 2.])); x.grad
    x = torch.ones(2, requires_grad=True); (x * 2).backward(gradient=torch.tensor([1., 2.])); x.grad
    x = torch.ones(2, requires_grad=True); y = (x * x).sum(); y.backward(); y.backward()
    x = torch.ones(2, requires_grad=True); y = (x * x).sum(); y.backward(retain_graph=True); y.backward(); x.grad
    torch.ones(1).backward()
    x = torch.ones(2, requires_grad=True); y = x.exp(); y += 1; y.sum().backward()
    x = torch.ones(2, requires_grad=True); x += 1
    x = torch.ones(2, requires_grad=True); x.requires_grad = False; x.requires_grad
    x = torch.ones(2, requires_grad=True); (x * 2).requires_grad_(False)
    x = torch.ones(2, requires_grad=True); y = x * 2; y.requires_grad_(True).requires_grad
    x = torch.ones(2, requires_grad=True); y = (x * 2).detach_(); y.requires_grad, y.is_leaf
""")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("text", HOOKS)
def test_hooks_and_gradients(text):
    same(text)


def test_exceptions_in_hooks_arrive_as_themselves():
    class Mine(Exception):
        pass

    raised = Mine("from a hook", 7)

    def hook(g):
        raise raised

    x = rushlight.ones(2, requires_grad=True)
    x.register_hook(hook)
    with pytest.raises(Mine) as caught:
        x.sum().backward()
    assert caught.value is raised and any(entry.name == "hook" for entry in caught.traceback)
    assert rushlight.ones(2).sum().item() == 2  # nothing is left behind


# ---- life -------------------------------------------------------------------------------------------------------------------------------


def test_cycles_through_hooks_are_collected():
    def make():
        x = rushlight.ones(3, requires_grad=True)
        x.note = [x]
        return weakref.ref(x)

    ref = make()
    gc.collect()
    assert ref() is None


def test_temporaries_do_not_leak():
    x = rushlight.ones(16)

    def work(times):
        for _ in range(times):
            y = x * 2 + 1
            y[1:3] -= 1
            y.sum().item()

    work(1000)
    before, blocks = rushlight._C.memory_stats()["allocated_bytes"], sys.getallocatedblocks()
    work(100_000)
    assert rushlight._C.memory_stats()["allocated_bytes"] == before
    assert sys.getallocatedblocks() - blocks < 1000


def test_graphs_do_not_leak():
    w = rushlight.ones(16, requires_grad=True)

    def work(times):
        for _ in range(times):
            h = w.register_hook(lambda g: g)
            ((w * 2).exp() + w[None].sum(0)).mean().backward()
            w.grad = None
            h.remove()

    work(100)
    before, blocks = rushlight._C.memory_stats()["allocated_bytes"], sys.getallocatedblocks()
    work(5000)
    assert rushlight._C.memory_stats()["allocated_bytes"] == before
    assert sys.getallocatedblocks() - blocks < 500


def attempt(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except Exception:  # noqa: BLE001
        return


# Every kind of native call, with arguments `a` (a tensor), `o` (some object) and `s` (a tuple of big integers).
CALLS = {
    "function": lambda a, o, s: rushlight.add(a, a, alpha=2),
    "method": lambda a, o, s: a.sum(0, keepdim=True),
    "in-place": lambda a, o, s: a.add_(0),
    "out": lambda a, o, s: rushlight.add(a, a, out=rushlight.empty(3)),
    "unknown keyword": lambda a, o, s: attempt(rushlight.add, a, a, nothing=o),
    "wrong type": lambda a, o, s: attempt(rushlight.add, a, o),
    "wrong method argument": lambda a, o, s: attempt(a.sum, o),
    "wrong in a list": lambda a, o, s: attempt(rushlight.cat, [a, o]),
    "list": lambda a, o, s: rushlight.cat([a, a]),
    "sizes": lambda a, o, s: attempt(rushlight.zeros, s),
    "failing op": lambda a, o, s: attempt(rushlight.matmul, a, rushlight.ones(7)),
    "operator": lambda a, o, s: a + 1 - a * a,
    "operator with object": lambda a, o, s: attempt(lambda: a + o),
    "comparison with object": lambda a, o, s: a == o,
    "index": lambda a, o, s: a[1:][None, ..., 0],
    "wrong index": lambda a, o, s: attempt(lambda: a[o]),
    "write": lambda a, o, s: a.__setitem__(0, 1),
    "wrong write": lambda a, o, s: attempt(a.__setitem__, 0, o),
    "property": lambda a, o, s: (a.shape, a.dtype, a.T, a.grad, a.device),
    "setter": lambda a, o, s: attempt(setattr, a, "grad", o),
    "tensor": lambda a, o, s: attempt(rushlight.tensor, [1, o, s]),
    "item": lambda a, o, s: (a[0].item(), a.tolist(), float(a[0])),
    "iteration": lambda a, o, s: list(a),
    "memory": lambda a, o, s: bytes(memoryview(a)),
    "dlpack": lambda a, o, s: rushlight.from_dlpack(a.__dlpack__()),
    "named result": lambda a, o, s: a.max(0).values,
    "attribute": lambda a, o, s: setattr(a, "mark", o),
    "repr": lambda a, o, s: repr(a),
    "contains": lambda a, o, s: attempt(a.__contains__, o),
    "new": lambda a, o, s: attempt(rushlight.Tensor, o),
    "dtype": lambda a, o, s: attempt(rushlight.zeros, 2, dtype=o),
}


@pytest.mark.parametrize("kind", CALLS)
def test_reference_counts(kind):
    call, a, o, s = CALLS[kind], rushlight.ones(3), object(), (10**9 + 7, 10**9 + 8)

    def counts():
        return [sys.getrefcount(x) for x in (a, o, s, s[0], rushlight.float32, None.__class__, rushlight.Tensor)]

    for _ in range(5):
        call(a, o, s)
    gc.collect()
    before = counts()
    for _ in range(200):
        call(a, o, s)
    gc.collect()
    assert all(abs(x - y) < 20 for x, y in zip(before, counts())), (before, counts())


def test_sizes_are_one_object_until_they_change():
    a = rushlight.zeros(2, 3)
    sizes = a.shape
    assert a.shape is sizes and a.size() is sizes and tuple(sizes) == (2, 3)
    a.t_()
    assert tuple(a.shape) == (3, 2) == tuple(a.size())
    a.unsqueeze_(0)
    assert tuple(a.shape) == (1, 3, 2)
    a.data = rushlight.zeros(5)
    assert tuple(a.shape) == (5,)
    assert tuple(sizes) == (2, 3)


def test_objects_may_be_freed_by_another_thread():
    made = [rushlight.ones(3) * i for i in range(2000)]
    threads = [threading.Thread(target=lambda part: part.clear(), args=(made[k::4],)) for k in range(4)]
    made.clear()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (rushlight.ones(3) * 2).tolist() == [2.0, 2.0, 2.0]
