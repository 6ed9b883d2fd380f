"""`grad`, `vjp`, `jvp` and the Jacobians.

A transform differentiates in *fresh* tensors: aliases of the given ones, so that what happens inside stays inside. Where the outputs
also depend on something outside that requires a gradient (the variable of an enclosing transform, an argument, a tensor that the
function closes over), the gradients are recorded, to be differentiated again; elsewhere the results are plain values.

Source: <https://docs.pytorch.org/docs/stable/func.api.html>
"""

from functools import wraps

from rushlight import _C, Tensor
from rushlight.autograd import grad as _autograd_grad
from rushlight.autograd.grad_mode import enable_grad, set_grad_enabled
from rushlight.utils._pytree import tree_flatten, tree_map, tree_unflatten


def _requires_grad(leaves):
    return any(isinstance(x, Tensor) and x.requires_grad for x in leaves)


def _fresh(x, recorded):
    return x.view_as(x) if recorded and x.requires_grad else x.detach().requires_grad_()


def _depends_on_others(tensors, own):
    """Whether the history of `tensors` leads to a leaf that is not among `own`."""
    own = {id(x) for x in own}
    waiting, seen = [], set()
    for x in tensors:
        if isinstance(x, Tensor) and x.requires_grad:
            if x.grad_fn is not None:
                waiting.append(x.grad_fn)
            elif id(x) not in own:
                return True
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if leaf is not None and id(leaf) not in own:
            return True
        waiting += [edge[0] for edge in node.next_functions if edge[0] is not None]
    return False


def _plain(tree, outer):
    """Results without the history of this level, unless somebody outside needs it."""
    return tree if outer else tree_map(lambda x: x.detach() if isinstance(x, Tensor) else x, tree)


def _derive(outputs, inputs, vectors, outer, retain=True):
    """Gradients of those outputs that have a history; zeros where there are none. Recorded if `outer`."""
    kept = [(o, v) for o, v in zip(outputs, vectors) if o.requires_grad]
    if not kept or not inputs:
        return [x.new_zeros(x.shape) for x in inputs]
    outs, vecs = zip(*kept)
    with set_grad_enabled(outer):
        return list(
            _autograd_grad(outs, inputs, vecs, retain_graph=retain or outer, create_graph=outer, allow_unused=True, materialize_grads=True)
        )


# ---- which arguments ------------------------------------------------------------------------------------------------------------


def _positions(argnums, n):
    """`argnums` as a tuple of positions from the front."""
    if isinstance(argnums, bool) or not isinstance(argnums, (int, tuple)):
        raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {type(argnums)}")
    given = argnums if isinstance(argnums, tuple) else (argnums,)
    if not given:
        raise RuntimeError("argnums must be non-empty")
    for a in given:
        if not isinstance(a, int):
            raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {type(a)}")
        if not -n <= a < n:
            raise RuntimeError(f"Got argnum={a}, but only {n} positional inputs")
    at = tuple(a % n for a in given)
    if len(set(at)) != len(at):
        raise RuntimeError(f"argnums elements must be unique, got {at}")
    return at


class _Primals:
    """The arguments to differentiate in, as fresh leaves, and the argument list that holds them."""

    def __init__(self, args, argnums, recorded):
        at = _positions(argnums, len(args))
        self.single = not isinstance(argnums, tuple)
        leaves, self.spec = tree_flatten(tuple(args[i] for i in at))
        for x in leaves:
            if not isinstance(x, Tensor):
                raise ValueError(f"Thing passed to transform API must be Tensor, got {type(x)}")
        self.leaves = [_fresh(x, recorded) for x in leaves]
        self.args = list(args)
        for i, tree in zip(at, tree_unflatten(self.leaves, self.spec)):
            self.args[i] = tree

    def tree(self, leaves):
        """Values per leaf in the shape of the arguments: alone for an int `argnums`, else a tuple."""
        out = tree_unflatten(leaves, self.spec)
        return out[0] if self.single else out


def _split_aux(result, has_aux, what):
    if not has_aux:
        return result, None
    if not (isinstance(result, tuple) and len(result) == 2):
        raise RuntimeError(f"{what}: output of function f should be a tuple: (output, aux) if has_aux is True")
    return result


def _tensors(tree, what):
    """Leaves of an output, which must all be tensors."""
    leaves, spec = tree_flatten(tree)
    for x in leaves:
        if not isinstance(x, Tensor):
            raise RuntimeError(f"{what}: expected f(*primals) to return only tensors, got unsupported type {type(x)}")
    return leaves, spec


# ---- gradients ------------------------------------------------------------------------------------------------------------------


def grad_and_value(func, argnums=0, has_aux=False):
    """Returns a function that computes `(gradient, value)` of `func`, which returns a scalar.

    `argnums` (an int or a tuple) names the arguments to differentiate in; each may be a nest of tuples, lists and dicts. With
    `has_aux`, `func` returns `(value, aux)` and the result is `(gradient, (value, aux))`.
    """

    @wraps(func)
    def wrapper(*args, **kwargs):
        what = "grad_and_value(f)(*args)"
        recorded = _C.is_grad_enabled()
        with enable_grad():
            primals = _Primals(args, argnums, recorded)
            value, aux = _split_aux(func(*primals.args, **kwargs), has_aux, what)
            if not isinstance(value, Tensor):
                raise RuntimeError(f"{what}: Expected f(*args) to return a Tensor, got {type(value)}")
            if value.dim() != 0:
                raise RuntimeError(
                    f"{what}: Expected f(*args) to return a scalar Tensor, got tensor with {value.dim()} dims. Maybe you wanted to use "
                    "the vjp or jacrev APIs instead?"
                )
        outer = recorded and _depends_on_others([value, *tree_flatten(aux)[0]], primals.leaves)
        grads = _derive([value], primals.leaves, [value.new_ones(())], outer, retain=False)
        value = _plain(value, outer)
        return primals.tree(_plain(grads, outer)), (value, _plain(aux, outer)) if has_aux else value

    return wrapper


def grad(func, argnums=0, has_aux=False):
    """Returns a function that computes the gradient of `func`, which returns a scalar: `grad_and_value` without the value.

    With `has_aux` the result is `(gradient, aux)`.
    """
    both = grad_and_value(func, argnums, has_aux)

    @wraps(func)
    def wrapper(*args, **kwargs):
        gradient, value = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return wrapper


def _pullback(func, args, argnums, has_aux, what="vjp(f, *primals)"):
    """Calls `func` on fresh arguments: `(primals, output leaves, output spec, aux, outer)`."""
    recorded = _C.is_grad_enabled()
    with enable_grad():
        primals = _Primals(args, argnums, recorded)
        out, aux = _split_aux(func(*primals.args), has_aux, what)
        leaves, spec = _tensors(out, what)
    return primals, leaves, spec, aux, recorded and _depends_on_others(leaves + tree_flatten(aux)[0], primals.leaves)


def vjp(func, *primals, has_aux=False):
    """Returns `(func(*primals), vjp_fn)`: `vjp_fn(cotangents)` is the tuple of products with the Jacobian, one per primal.

    `cotangents` has the structure of the output. With `has_aux`, `func` returns `(output, aux)` and the result ends with `aux`.
    """
    held, outputs, spec, aux, outer = _pullback(func, primals, tuple(range(len(primals))), has_aux)

    def vjp_fn(cotangents, retain_graph=True, create_graph=None):
        vectors, given = tree_flatten(cotangents)
        if given != spec:
            raise RuntimeError(
                "Expected pytree structure of cotangents to be the same as pytree structure of outputs to the function. "
                f"cotangents: {_stars(given)}, primal output: {_stars(spec)}"
            )
        record = create_graph if create_graph is not None else outer or _C.is_grad_enabled() and _requires_grad(vectors)
        grads = _derive(outputs, held.leaves, vectors, record, retain_graph)
        return held.tree(_plain(grads, record))

    out = _plain(tree_unflatten(outputs, spec), outer)
    return (out, vjp_fn, _plain(aux, outer)) if has_aux else (out, vjp_fn)


def _stars(spec):
    return tree_unflatten([_Star()] * spec.num_leaves, spec)


class _Star:
    def __repr__(self):
        return "*"


# ---- tangents -------------------------------------------------------------------------------------------------------------------


class _Pushforward:
    """`J @ v` by reverse mode twice: the pulled-back cotangent is linear in the cotangent, and its derivative is J @ v."""

    def __init__(self, inputs, outputs):
        self.outputs = outputs
        self.active = [o for o in outputs if o.requires_grad and o.dtype.is_floating_point]
        with enable_grad():
            self.cotangents = [o.new_zeros(o.shape).requires_grad_() for o in self.active]
            self.pulled = []
            if self.active:
                self.pulled = _autograd_grad(self.active, inputs, self.cotangents, create_graph=True, materialize_grads=True)

    def __call__(self, tangents, outer):
        found = iter(_derive(self.pulled, self.cotangents, tangents, outer))
        active = {id(o) for o in self.active}
        return [next(found) if id(o) in active else o.new_zeros(o.shape) for o in self.outputs]


def jvp(func, primals, tangents, *, strict=False, has_aux=False):
    """Returns `(func(*primals), J @ tangents)`; with `has_aux`, `func` returns `(output, aux)` and the result ends with `aux`.

    With `strict`, an output that does not depend on the primals is an error.
    """
    what = "jvp(f, primals, tangents)"
    if not isinstance(primals, tuple):
        raise RuntimeError(f"{what}: Expected primals to be a tuple. E.g. it should be valid to call f(*primals).")
    flat, spec = tree_flatten(primals)
    vectors, vector_spec = tree_flatten(tangents)
    if spec != vector_spec:
        raise RuntimeError(
            f"{what}: Expected primals and tangents to have the same python structure. For example, if primals is a tuple of 3 tensors, "
            f"tangents also must be. Got primals with structure {spec} and tangents with structure {vector_spec}"
        )
    for name, xs in (("primals", flat), ("tangents", vectors)):
        if not xs:
            raise RuntimeError(f"{what}: Expected {name} to contain at least one Tensor.")
        for x in xs:
            if not isinstance(x, Tensor):
                raise RuntimeError(f"{what}: Expected {name} to only contain Tensors, got {type(x)}")
    for x, v in zip(flat, vectors):
        if x.shape != v.shape:
            raise RuntimeError(
                "Trying to set a forward gradient that has a different size than that of the original Tensor, this is not supported. "
                f"Tensor is of size {list(x.shape)} while the given forward gradient is of size {list(v.shape)}."
            )
    held, outputs, out_spec, aux, outer = _pullback(func, primals, tuple(range(len(primals))), has_aux, what)
    outer = outer or _C.is_grad_enabled() and _requires_grad(vectors)
    if strict and not all(o.requires_grad for o in outputs):
        raise RuntimeError(f"{what}: Output of the function does not depend on the primals, which strict=True forbids")
    pushed = _Pushforward(held.leaves, outputs)(vectors, outer)
    out = _plain(tree_unflatten(outputs, out_spec), outer)
    tangent = tree_unflatten(_plain(pushed, outer), out_spec)
    return (out, tangent, _plain(aux, outer)) if has_aux else (out, tangent)


def linearize(func, *primals):
    """Returns `(func(*primals), jvp_fn)`: `jvp_fn(*tangents)` is the product with the Jacobian, without calling `func` again."""
    held, outputs, spec, _, outer = _pullback(func, primals, tuple(range(len(primals))), False, "linearize(f, *primals)")
    push = _Pushforward(held.leaves, outputs)

    def jvp_fn(*tangents):
        vectors, given = tree_flatten(tangents)
        if given != held.spec:
            raise RuntimeError(
                f"Expected the tangents {given} to have the same argspec as the primals {held.spec}"
            )
        for i, (x, v) in enumerate(zip(held.leaves, vectors)):
            if x.shape != v.shape:
                raise RuntimeError(
                    f"tangent:{i} with shape {v.shape} in flattened pytree doesn't match the shape {x.shape} of the corresponding primal."
                )
        record = outer or _C.is_grad_enabled() and _requires_grad(vectors)
        return tree_unflatten(_plain(push(vectors, record), record), spec)

    return _plain(tree_unflatten(outputs, spec), outer), jvp_fn


# ---- Jacobians ------------------------------------------------------------------------------------------------------------------


def _basis(tensors):
    """For each element of each tensor: tensors like these that are 0 except for a 1 there."""
    for k, t in enumerate(tensors):
        for e in range(t.numel()):
            unit = _C.functions["zeros"]((t.numel(),), dtype=t.dtype)
            unit[e] = 1
            yield k, [unit.reshape(t.shape) if j == k else o.new_zeros(o.shape) for j, o in enumerate(tensors)]


def _stack(tensors, dim, like):
    """Stacked tensors; an empty stack has the shape of `like` around a dimension of size 0."""
    if tensors:
        return _C.functions["stack"](tensors, dim)
    shape = list(like.shape)
    shape.insert(dim % (len(shape) + 1), 0)
    return like.new_zeros(shape)


def jacrev(func, argnums=0, *, has_aux=False, chunk_size=None):
    """Returns a function that computes the Jacobian of `func` in reverse mode: one backward pass per element of the output.

    The result has the structure of the output, and inside that of the arguments; each block has the shape `output + input`.
    `chunk_size` is accepted; the rows are computed one by one.
    """
    _check_chunk_size("jacrev", chunk_size)

    @wraps(func)
    def wrapper(*args, **kwargs):
        held, outputs, spec, aux, outer = _pullback(lambda *a: func(*a, **kwargs), args, argnums, has_aux)
        rows = [[] for _ in outputs]
        for k, vectors in _basis(outputs):
            rows[k].append(_derive([outputs[k]], held.leaves, [vectors[k]], outer))
        blocks = [
            held.tree([
                _stack([row[i] for row in part], 0, x).reshape(tuple(out.shape) + tuple(x.shape)) for i, x in enumerate(held.leaves)
            ])
            for out, part in zip(outputs, rows)
        ]
        jac = _plain(tree_unflatten(blocks, spec), outer)
        return (jac, _plain(aux, outer)) if has_aux else jac

    return wrapper


def jacfwd(func, argnums=0, has_aux=False, *, randomness="error"):
    """Returns a function that computes the Jacobian of `func` by columns: one product per element of the input.

    The result is that of `jacrev`. `randomness` says nothing here: `func` runs once.
    """
    _check_randomness(randomness)

    @wraps(func)
    def wrapper(*args, **kwargs):
        what = "jvp(f, primals, tangents)"
        held, outputs, spec, aux, outer = _pullback(lambda *a: func(*a, **kwargs), args, argnums, has_aux, what)
        push = _Pushforward(held.leaves, outputs)
        columns = [[] for _ in held.leaves]
        for k, vectors in _basis(held.leaves):
            columns[k].append(push(vectors, outer))
        blocks = [
            held.tree([
                _stack([column[o] for column in part], -1, out).reshape(tuple(out.shape) + tuple(x.shape))
                for x, part in zip(held.leaves, columns)
            ])
            for o, out in enumerate(outputs)
        ]
        jac = _plain(tree_unflatten(blocks, spec), outer)
        return (jac, _plain(aux, outer)) if has_aux else jac

    return wrapper


def hessian(func, argnums=0):
    """Returns a function that computes the Hessian of `func`, which returns a scalar: the Jacobian of its gradient."""
    return jacrev(jacrev(func, argnums), argnums)


def _check_chunk_size(name, chunk_size):
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"{name}: `chunk_size` should be greater than 0.")


def _check_randomness(randomness):
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}")
