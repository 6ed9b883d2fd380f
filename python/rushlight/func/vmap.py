"""`vmap`: a function of one sample becomes a function of a batch.

The function runs once per sample, and the results are stacked: right for every function, in-place writes, `.item()` and branches on
values included, and differentiable like any other sequence of ops. It saves writing the loop, not running it.

Source: <https://docs.pytorch.org/docs/stable/generated/torch.func.vmap.html>
"""

from functools import wraps

from rushlight import _C, Tensor
from rushlight.utils._pytree import _broadcast_to_and_flatten, tree_flatten, tree_unflatten, tree_structure

from .derivative import _check_randomness


def vmap(func, in_dims=0, out_dims=0, randomness="error", *, chunk_size=None):
    """Returns a function that maps `func` over a dimension of its arguments.

    `in_dims` (an int, or a nest like the positional arguments, None for what is not mapped) names the mapped dimensions, `out_dims`
    where they appear in the results. `randomness` says whether random ops are refused ("error"), draw anew for each sample
    ("different") or the same for all ("same"). Keyword arguments are passed on as they are. `chunk_size` is accepted.
    """
    _check_randomness(randomness)
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")
    name = getattr(func, "__name__", None) or repr(func)

    def wrapped(*args, **kwargs):
        slices, size, spec = _split(name, in_dims, args)
        empty = size == 0
        outs, out_spec = [], None
        random = _Randomness(randomness)
        for i in range(max(size, 1)):
            random.begin()
            result = func(*tree_unflatten([s[0 if empty else i] for s in slices], spec), **kwargs)
            leaves, this_spec = tree_flatten(result)
            if out_spec is not None and this_spec != out_spec:
                raise ValueError(f"vmap({name}, ...): `{name}` returned {out_spec} for one sample and {this_spec} for another")
            out_spec = this_spec
            outs.append(leaves)
        random.end()
        dims = _out_dims(name, out_dims, out_spec)
        joined = [_join(name, list(column), dim, empty) for column, dim in zip(zip(*outs), dims)]
        return tree_unflatten(joined, out_spec)

    return wraps(func)(wrapped) if callable(func) else wrapped


class _Randomness:
    """The state of the default generator around the samples."""

    def __init__(self, kind):
        self.kind = kind
        self.start = None if kind == "different" else _C.default_generator.get_state()

    def begin(self):
        if self.kind == "same":
            _C.default_generator.set_state(self.start)

    def end(self):
        if self.kind == "error" and not self.start.equal(_C.default_generator.get_state()):
            _C.default_generator.set_state(self.start)
            raise RuntimeError(
                "vmap: called random operation while in randomness error mode. Please either use the 'same' or 'different' randomness "
                "flags on vmap or perform the randomness operation out of vmap"
            )


class _Same:
    """What every sample gets as it is."""

    def __init__(self, x):
        self.x = x

    def __getitem__(self, i):
        return self.x


def _split(name, in_dims, args):
    """`(per leaf: its samples, number of samples, spec)`."""
    if isinstance(in_dims, bool) or not isinstance(in_dims, (int, tuple)):
        raise ValueError(
            f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): expected `in_dims` to be int or a (potentially nested) tuple matching the "
            f"structure of inputs, got: {type(in_dims)}."
        )
    if not args:
        raise ValueError(
            f"vmap({name})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you are trying to vmap over a function with no "
            "inputs. The latter is unsupported."
        )
    leaves, spec = tree_flatten(args)
    dims = _broadcast_to_and_flatten(in_dims, spec)
    call = f"vmap({name}, in_dims={in_dims}, ...)(<inputs>)"
    if dims is None:
        raise ValueError(
            f"{call}: in_dims is not compatible with the structure of `inputs`. in_dims has structure {tree_structure(in_dims)} but "
            f"inputs has structure {spec}."
        )
    for x, dim in zip(leaves, dims):
        if dim is None:
            continue
        if isinstance(dim, bool) or not isinstance(dim, int):
            raise ValueError(f"{call}: Got in_dim={dim} for an input but in_dim must be either an integer dimension or None.")
        if not isinstance(x, Tensor):
            raise ValueError(
                f"{call}: Got in_dim={dim} for an input but the input is of type {type(x)}. We cannot vmap over non-Tensor arguments, "
                "please use None as the respective in_dim"
            )
        if not -x.dim() <= dim < x.dim():
            raise ValueError(
                f"{call}: Got in_dim={dim} for some input, but that input is a Tensor of dimensionality {x.dim()} so expected in_dim to "
                f"satisfy -{x.dim()} <= in_dim < {x.dim()}."
            )
    sizes = [x.shape[dim] for x, dim in zip(leaves, dims) if dim is not None]
    if not sizes:
        raise ValueError("vmap: Expected at least one Tensor to vmap over")
    if any(s != sizes[0] for s in sizes):
        raise ValueError(
            f"vmap: Expected all tensors to have the same size in the mapped dimension, got sizes {sizes} for the mapped dimension"
        )
    slices = [_Same(x) if dim is None else _samples(x, dim) for x, dim in zip(leaves, dims)]
    return slices, sizes[0], spec


def _samples(x, dim):
    """The slices of `x` along `dim`; for an empty batch one slice of zeros, which shows the shapes of the results."""
    if x.shape[dim] == 0:
        shape = list(x.shape)
        del shape[dim]
        return _Same(x.new_zeros(shape))
    return x.unbind(dim)


def _out_dims(name, out_dims, spec):
    flat = tree_flatten(out_dims)[0]
    if any(isinstance(d, bool) or not (d is None or isinstance(d, int)) for d in flat):
        raise ValueError(
            f"vmap({name}, ..., out_dims={out_dims}): `out_dims` must be an int, None or a python collection of ints representing where "
            "in the outputs the vmapped dimension should appear."
        )
    if spec.is_leaf() and isinstance(out_dims, tuple) and len(out_dims) == 1:
        out_dims = out_dims[0]
    dims = _broadcast_to_and_flatten(out_dims, spec)
    if dims is None:
        raise ValueError(
            f"vmap({name}, ..., out_dims={out_dims})(<inputs>): out_dims is not compatible with the structure of `outputs`. out_dims has "
            f"structure {tree_structure(out_dims)} but outputs has structure {spec}."
        )
    return dims


def _join(name, samples, dim, empty):
    """The samples of one result along `dim`; for None what all of them agree on."""
    first = samples[0]
    if dim is None:
        if isinstance(first, Tensor) and not all(first is s or first.equal(s) for s in samples):
            raise ValueError(f"vmap({name}, ...): `{name}` can not return a BatchedTensor when out_dim is None")
        return first
    for s in samples:
        if not isinstance(s, Tensor):
            raise ValueError(
                f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(s)}. Did you mean to set out_dims= to None for "
                "output?"
            )
    stacked = _C.functions["stack"](samples, dim)
    return stacked.narrow(dim, 0, 0) if empty else stacked
