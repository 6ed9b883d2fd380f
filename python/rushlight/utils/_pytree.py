"""Nested tuples, lists and dicts as trees whose leaves are everything else.

A tree is taken apart into a flat list of leaves and a `TreeSpec`, and put together again from them. The names are those of
`torch.utils._pytree`.
"""

from collections import OrderedDict, defaultdict, deque, namedtuple

NodeDef = namedtuple("NodeDef", ["flatten", "unflatten"])

SUPPORTED_NODES = {}


def register_pytree_node(cls, flatten_fn, unflatten_fn):
    """Makes `cls` an inner node: `flatten_fn(x) -> (children, context)`, `unflatten_fn(children, context) -> x`."""
    SUPPORTED_NODES[cls] = NodeDef(flatten_fn, unflatten_fn)


register_pytree_node(tuple, lambda x: (list(x), None), lambda c, _: tuple(c))
register_pytree_node(list, lambda x: (list(x), None), lambda c, _: list(c))
register_pytree_node(dict, lambda x: (list(x.values()), list(x)), lambda c, keys: dict(zip(keys, c)))
register_pytree_node(OrderedDict, lambda x: (list(x.values()), list(x)), lambda c, keys: OrderedDict(zip(keys, c)))
register_pytree_node(
    defaultdict,
    lambda x: (list(x.values()), (x.default_factory, list(x))),
    lambda c, ctx: defaultdict(ctx[0], zip(ctx[1], c)),
)
register_pytree_node(deque, lambda x: (list(x), x.maxlen), lambda c, maxlen: deque(c, maxlen))
register_pytree_node(namedtuple, lambda x: (list(x), type(x)), lambda c, cls: cls(*c))


def _node_type(x):
    cls = type(x)
    if cls in SUPPORTED_NODES:
        return cls
    if isinstance(x, tuple) and hasattr(cls, "_fields") and cls.__bases__ == (tuple,):
        return namedtuple
    # A Size subclasses tuple without being a node, as the results of ops that return named tuples are nodes by their fields.
    if isinstance(x, tuple) and hasattr(cls, "n_sequence_fields"):
        return tuple
    return None


class TreeSpec:
    """The shape of a tree: the type, context and children of each node; a leaf has type None."""

    __slots__ = ("type", "context", "children_specs", "num_leaves")

    def __init__(self, type, context, children_specs):
        self.type, self.context, self.children_specs = type, context, children_specs
        self.num_leaves = sum(c.num_leaves for c in children_specs) if type is not None else 1

    def is_leaf(self):
        return self.type is None

    def __eq__(self, other):
        if not isinstance(other, TreeSpec):
            return NotImplemented
        return (self.type, self.context, self.children_specs) == (other.type, other.context, other.children_specs)

    def __hash__(self):
        return hash((self.type, self.num_leaves))

    def __repr__(self, indent=0):
        if self.type is None:
            return "*"
        children = f",\n{' ' * (indent + 2)}".join(c.__repr__(indent + 2) for c in self.children_specs)
        return f"TreeSpec({self.type.__name__}, {self.context}, [{children}])"


class LeafSpec(TreeSpec):
    """The shape of a leaf."""

    __slots__ = ()

    def __init__(self):
        super().__init__(None, None, [])


_LEAF = LeafSpec()


def tree_flatten(tree, is_leaf=None):
    """Returns `(leaves, spec)` of `tree`; `is_leaf(x)` stops the descent early."""
    leaves = []

    def walk(x):
        kind = None if is_leaf is not None and is_leaf(x) else _node_type(x)
        if kind is None:
            leaves.append(x)
            return _LEAF
        children, context = SUPPORTED_NODES[kind].flatten(x)
        return TreeSpec(kind, context, [walk(c) for c in children])

    spec = walk(tree)
    return leaves, spec


def tree_unflatten(leaves, treespec):
    """Returns the tree of shape `treespec` with `leaves`."""
    leaves = list(leaves)
    if len(leaves) != treespec.num_leaves:
        raise ValueError(
            f"tree_unflatten(leaves, treespec): `leaves` has length {len(leaves)} but the spec refers to a pytree that holds "
            f"{treespec.num_leaves} items ({treespec})."
        )
    supply = iter(leaves)

    def build(spec):
        if spec.type is None:
            return next(supply)
        return SUPPORTED_NODES[spec.type].unflatten([build(c) for c in spec.children_specs], spec.context)

    return build(treespec)


def tree_leaves(tree, is_leaf=None):
    """Returns the leaves of `tree`, from left to right."""
    return tree_flatten(tree, is_leaf)[0]


tree_iter = tree_leaves


def tree_structure(tree, is_leaf=None):
    """Returns the shape of `tree`."""
    return tree_flatten(tree, is_leaf)[1]


def tree_map(func, tree, *rests, is_leaf=None):
    """Applies `func` to every leaf, together with the leaves at the same place of `rests`."""
    leaves, spec = tree_flatten(tree, is_leaf)
    others = []
    for rest in rests:
        flat, rest_spec = tree_flatten(rest, is_leaf)
        if rest_spec != spec:
            raise ValueError(f"tree_map: the trees differ in shape: {spec} and {rest_spec}")
        others.append(flat)
    return tree_unflatten([func(*xs) for xs in zip(leaves, *others)], spec)


def tree_map_only(kind, func, tree=None, is_leaf=None):
    """Applies `func` to the leaves that are instances of `kind` (or for which it is true, if it is a function)."""
    wanted = kind if callable(kind) and not isinstance(kind, type) else lambda x: isinstance(x, kind)
    return tree_map(lambda x: func(x) if wanted(x) else x, tree, is_leaf=is_leaf)


def tree_all(pred, tree, is_leaf=None):
    """Returns whether `pred` holds for every leaf."""
    return all(map(pred, tree_leaves(tree, is_leaf)))


def tree_any(pred, tree, is_leaf=None):
    """Returns whether `pred` holds for some leaf."""
    return any(map(pred, tree_leaves(tree, is_leaf)))


def _broadcast_to_and_flatten(tree, treespec, is_leaf=None):
    """Flattens `tree` as if its leaves stood for whole subtrees of `treespec`; None where the shapes do not allow it."""
    if is_leaf is not None and is_leaf(tree):
        return [tree] * treespec.num_leaves
    if treespec.type is None:
        return [tree] if _node_type(tree) is None else None
    kind = _node_type(tree)
    if kind is None:
        return [tree] * treespec.num_leaves
    if kind is not treespec.type:
        return None
    children, context = SUPPORTED_NODES[kind].flatten(tree)
    if context != treespec.context or len(children) != len(treespec.children_specs):
        return None
    out = []
    for child, spec in zip(children, treespec.children_specs):
        part = _broadcast_to_and_flatten(child, spec, is_leaf)
        if part is None:
            return None
        out += part
    return out
