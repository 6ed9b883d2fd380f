"""The functions of `torch.nn.functional`.

What has PyTorch's signature already is the native function itself. The others are thin: they add the deprecated
arguments, `inplace=` and defaults, or compose ops.
"""

import math
import warnings

import rushlight
from rushlight import _C

from ._functional_attention import multi_head_attention_forward
from ._functional_losses import *
from ._functional_pooling import *
from ._functional_sampling import affine_grid, grid_sample

_op = _C.functions

# Native functions as they are

linear = _op["linear"]
bilinear = _op["bilinear"]
conv1d = _op["conv1d"]
conv2d = _op["conv2d"]
conv3d = _op["conv3d"]
conv_transpose1d = _op["conv_transpose1d"]
conv_transpose2d = _op["conv_transpose2d"]
conv_transpose3d = _op["conv_transpose3d"]
batch_norm = _op["batch_norm"]
layer_norm = _op["layer_norm"]
group_norm = _op["group_norm"]
instance_norm = _op["instance_norm"]
rms_norm = _op["rms_norm"]
gelu = _op["gelu"]
glu = _op["glu"]
hardshrink = _op["hardshrink"]
logsigmoid = _op["logsigmoid"]
prelu = _op["prelu"]
sigmoid = _op["sigmoid"]
softplus = _op["softplus"]
softshrink = _op["softshrink"]
softsign = _op["softsign"]
tanh = _op["tanh"]
tanhshrink = _op["tanhshrink"]
scaled_dot_product_attention = _op["scaled_dot_product_attention"]
cosine_similarity = _op["cosine_similarity"]
pairwise_distance = _op["pairwise_distance"]
one_hot = _op["one_hot"]
pad = _op["pad"]
pixel_shuffle = _op["pixel_shuffle"]
pixel_unshuffle = _op["pixel_unshuffle"]
unfold = _op["im2col"]
fold = _op["col2im"]

# Activations

_relu, relu_ = _op["relu"], _op["relu_"]
_relu6, _relu6_ = _op["relu6"], _op["relu6_"]
_elu, elu_ = _op["elu"], _op["elu_"]
_celu, celu_ = _op["celu"], _op["celu_"]
_selu, selu_ = _op["selu"], _op["selu_"]
_silu, _silu_ = _op["silu"], _op["silu_"]
_mish, _mish_ = _op["mish"], _op["mish_"]
_rrelu, rrelu_ = _op["rrelu"], _op["rrelu_"]
_hardtanh, hardtanh_ = _op["hardtanh"], _op["hardtanh_"]
_hardswish, _hardswish_ = _op["hardswish"], _op["hardswish_"]
_hardsigmoid, _hardsigmoid_ = _op["hardsigmoid"], _op["hardsigmoid_"]
_leaky_relu, leaky_relu_ = _op["leaky_relu"], _op["leaky_relu_"]
_threshold, threshold_ = _op["threshold"], _op["threshold_"]


def relu(input, inplace=False):
    """Returns the positive part of each element."""
    return relu_(input) if inplace else _relu(input)


def relu6(input, inplace=False):
    """Returns `min(max(0, x), 6)`."""
    return _relu6_(input) if inplace else _relu6(input)


def elu(input, alpha=1.0, inplace=False):
    """Returns `x` where it is positive, `alpha * (exp(x) - 1)` elsewhere."""
    return elu_(input, alpha) if inplace else _elu(input, alpha)


def celu(input, alpha=1.0, inplace=False):
    """Returns `max(0, x) + min(0, alpha * (exp(x / alpha) - 1))`."""
    return celu_(input, alpha) if inplace else _celu(input, alpha)


def selu(input, inplace=False):
    """Returns `scale * elu(x, alpha)` with the self-normalising constants."""
    return selu_(input) if inplace else _selu(input)


def silu(input, inplace=False):
    """Returns `x * sigmoid(x)`."""
    return _silu_(input) if inplace else _silu(input)


def mish(input, inplace=False):
    """Returns `x * tanh(softplus(x))`."""
    return _mish_(input) if inplace else _mish(input)


def rrelu(input, lower=1.0 / 8, upper=1.0 / 3, training=False, inplace=False):
    """Returns `x` where it is positive, elsewhere `x` times a slope that is random while `training`."""
    if training:
        # Slopes are drawn for the elements that need one, in double precision: PyTorch's stream of numbers.
        with rushlight.no_grad():
            needed = input <= 0
            drawn = rushlight.empty(int(needed.sum()), dtype=rushlight.float64, device=input.device)
            drawn = drawn.uniform_(lower, upper).to(input.dtype)
            slopes = rushlight.ones_like(input).masked_scatter_(needed, drawn)
        return input.mul_(slopes) if inplace else input * slopes
    return (rrelu_ if inplace else _rrelu)(input, lower, upper, training)


def hardtanh(input, min_val=-1.0, max_val=1.0, inplace=False):
    """Returns `x` limited to `[min_val, max_val]`."""
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    return (hardtanh_ if inplace else _hardtanh)(input, min_val, max_val)


def hardswish(input, inplace=False):
    """Returns `x * min(max(0, x + 3), 6) / 6`."""
    return _hardswish_(input) if inplace else _hardswish(input)


def hardsigmoid(input, inplace=False):
    """Returns `min(max(0, x + 3), 6) / 6`."""
    return _hardsigmoid_(input) if inplace else _hardsigmoid(input)


def leaky_relu(input, negative_slope=0.01, inplace=False):
    """Returns `x` where it is positive, `negative_slope * x` elsewhere."""
    return (leaky_relu_ if inplace else _leaky_relu)(input, negative_slope)


def threshold(input, threshold, value, inplace=False):
    """Returns `x` where it is above `threshold`, `value` elsewhere."""
    return (threshold_ if inplace else _threshold)(input, threshold, value)


# Softmaxes

_softmax = _op["softmax"]
_log_softmax = _op["log_softmax"]
_softmin = _op["softmin"]


def _implicit_dim(name, ndim, stacklevel):
    """Returns the dimension that a softmax without `dim` takes, and warns."""
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.",
        stacklevel=stacklevel,
    )
    return 0 if ndim in (0, 1, 3) else 1


def softmax(input, dim=None, _stacklevel=3, dtype=None):
    """Returns `exp(input)` scaled to the sum one along `dim`; `dtype` converts first."""
    if dim is None:
        dim = _implicit_dim("softmax", input.dim(), _stacklevel)
    return _softmax(input, dim) if dtype is None else _softmax(input, dim, dtype=dtype)


def log_softmax(input, dim=None, _stacklevel=3, dtype=None):
    """Returns the logarithm of the softmax along `dim`; `dtype` converts first."""
    if dim is None:
        dim = _implicit_dim("log_softmax", input.dim(), _stacklevel)
    return _log_softmax(input, dim) if dtype is None else _log_softmax(input, dim, dtype=dtype)


def softmin(input, dim=None, _stacklevel=3, dtype=None):
    """Returns the softmax of `-input` along `dim`; `dtype` converts first."""
    if dim is None:
        dim = _implicit_dim("softmin", input.dim(), _stacklevel)
    return _softmin(input, dim) if dtype is None else _softmin(input, dim, dtype=dtype)


def gumbel_softmax(logits, tau=1, hard=False, eps=1e-10, dim=-1):
    """Returns samples of the Gumbel-softmax distribution of temperature `tau`.

    With `hard` they are one-hot, while the gradient is that of the soft ones. `eps` is deprecated and must be left alone.
    """
    if eps != 1e-10:
        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=2)
    gumbels = -rushlight.empty_like(logits).exponential_().log()
    soft = softmax((logits + gumbels) / tau, dim)
    if not hard:
        return soft
    winner = soft.max(dim, keepdim=True)[1]
    one = rushlight.zeros_like(logits).scatter_(dim, winner, 1.0)
    return one - soft.detach() + soft


# Dropout

_dropout, _dropout_ = _op["dropout"], _op["dropout_"]


def _check_probability(p):
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def dropout(input, p=0.5, training=True, inplace=False, *, seed=None):
    """Sets each element to zero with probability `p` and multiplies the others by `1 / (1 - p)`, if `training`.

    With `seed`, the numbers come from a generator of their own, started with that seed, instead of the global one.
    """
    if p < 0.0 or p > 1.0:
        _check_probability(p)
    if seed is None:
        return _dropout_(input, p, training) if inplace else _dropout(input, p, training)
    if not training or p == 0.0:
        return input
    generator = rushlight.Generator()
    generator.manual_seed(seed)
    keep = rushlight.empty_like(input).bernoulli_(1 - p, generator=generator)
    scale = keep.div_(1 - p) if p < 1.0 else keep
    return input.mul_(scale) if inplace else input * scale


def _channel_dropout(n):
    plain, in_place = _op[f"dropout{n}d"], _op[f"dropout{n}d_"]

    def drop(input, p=0.5, training=True, inplace=False):
        _check_probability(p)
        _warn_of_channel_ranks(input, n)
        return in_place(input, p, training) if inplace else plain(input, p, training)

    drop.__name__ = drop.__qualname__ = f"dropout{n}d"
    drop.__doc__ = f"Sets each channel of `[n, channels, …]` ({n} spatial dimensions) to zero with probability `p`."
    return drop


def _warn_of_channel_ranks(input, n):
    ranks = {1: (2, 3), 2: (3, 4), 3: (4, 5)}[n]
    if n == 1 and input.dim() not in ranks:
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.dim()}D input. Note that dropout1d exists to "
            "provide channel-wise dropout on inputs with 1 spatial dimension, a channel dimension, and an optional "
            "batch dimension (i.e. 2D or 3D inputs)."
        )
    if n == 2 and input.dim() not in ranks:
        warnings.warn(
            f"dropout2d: Received a {input.dim()}-D input to dropout2d, which is deprecated and will result in an error "
            "in a future release. To retain the behavior and silence this warning, please use dropout instead.",
            stacklevel=3,
        )
    elif n == 2 and input.dim() == 3:
        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout behavior is desired "
            "- input is interpreted as shape (N, C, L), where C is the channel dim.",
            stacklevel=3,
        )
    elif n == 3 and input.dim() not in ranks:
        warnings.warn(
            f"dropout3d: Received a {input.dim()}-D input to dropout3d, which is deprecated and will result in an error "
            "in a future release. To retain the behavior and silence this warning, please use dropout instead.",
            stacklevel=3,
        )


dropout1d = _channel_dropout(1)
dropout2d = _channel_dropout(2)
dropout3d = _channel_dropout(3)

_SELU_SATURATION = 1.7580993408473766


def _alpha_dropout(input, p, training, inplace, noise_shape):
    _check_probability(p)
    if not training or p == 0.0 or input.numel() == 0:
        return input
    if p == 1.0:
        return input.mul_(0) if inplace else input * 0
    noise = rushlight.empty(noise_shape, dtype=input.dtype, device=input.device).bernoulli_(1 - p)
    a = 1.0 / math.sqrt((_SELU_SATURATION**2 * p + 1) * (1 - p))
    shift = (noise - 1).mul_(_SELU_SATURATION * a).add_(_SELU_SATURATION * a * p)
    noise.mul_(a)
    return input.mul_(noise).add_(shift) if inplace else input * noise + shift


def alpha_dropout(input, p=0.5, training=False, inplace=False):
    """Sets elements to the saturation of SELU with probability `p`, and keeps mean and variance."""
    return _alpha_dropout(input, p, training, inplace, input.shape)


def feature_alpha_dropout(input, p=0.5, training=False, inplace=False):
    """As `alpha_dropout`, for whole channels of `[n, channels, …]`."""
    if input.dim() < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    return _alpha_dropout(input, p, training, inplace, (*input.shape[:2], *[1] * (input.dim() - 2)))


# Normalization

_normalize = _op["normalize"]


def normalize(input, p=2.0, dim=1, eps=1e-12, out=None):
    """Divides by the `p`-norm over `dim`, or by `eps` where that is larger."""
    result = _normalize(input, p, dim, eps)
    return result if out is None else out.copy_(result)


def local_response_norm(input, size, alpha=1e-4, beta=0.75, k=1.0):
    """Divides by `(k + alpha * mean of the squares over size neighbouring channels)^beta`."""
    if input.dim() < 3:
        raise ValueError(f"Expected 3D or higher dimensionality input (got {input.dim()} dimensions)")
    if input.numel() == 0:
        return input
    squares = (input * input).unsqueeze(1).flatten(3)
    squares = pad(squares, (0, 0, size // 2, (size - 1) // 2))
    mean = avg_pool2d(squares, (size, 1), 1).reshape(input.shape)
    return input / mean.mul(alpha).add(k).pow(beta)


# Lookup

_embedding = _op["embedding"]


def _renormalize(weight, indices, max_norm, norm_type):
    """Scales the rows of `weight` that `indices` name, in place, to a norm of at most `max_norm`."""
    with rushlight.no_grad():
        rows = sorted(set(indices.reshape(-1).tolist()))
        rows = rushlight.tensor(rows, dtype=rushlight.int64, device=indices.device)
        picked = weight.index_select(0, rows)
        norms = rushlight.norm(picked, norm_type, 1, True)
        scale = rushlight.where(norms > max_norm, max_norm / (norms + 1e-7), rushlight.ones_like(norms))
        weight.index_copy_(0, rows, picked * scale)


def _refuse_sparse(sparse):
    if sparse:
        raise NotImplementedError("sparse gradients are not supported: use sparse=False")


def _by_frequency(picked, indices, rows):
    """Has the gradient of each picked row divided by the number of times that the row was picked."""
    if picked.requires_grad:
        counts = rushlight.zeros(rows, dtype=picked.dtype, device=picked.device)
        flat = indices.reshape(-1).to(rushlight.int64)
        counts = counts.index_add_(0, flat, rushlight.ones(flat.shape, dtype=picked.dtype, device=picked.device))
        share = counts[indices].unsqueeze(-1)
        picked.register_hook(lambda grad: grad / share)
    return picked


def embedding(
    input, weight, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False
):
    """Returns the rows of `weight` at the positions `input`.

    Row `padding_idx` gets no gradient. With `max_norm` the rows are first shortened in place. Sparse gradients do
    not exist here.
    """
    if sparse:
        _refuse_sparse(sparse)
    if padding_idx is not None:
        rows = weight.shape[0]
        if padding_idx >= rows or padding_idx < -rows:
            raise AssertionError("Padding_idx must be within num_embeddings")
        if padding_idx < 0:
            padding_idx += rows
    if max_norm is not None:
        _renormalize(weight, input, max_norm, norm_type)
    if padding_idx is None:
        picked = _embedding(input, weight)
    else:
        picked = _embedding(input, weight, padding_idx)
    return _by_frequency(picked, input, weight.shape[0]) if scale_grad_by_freq else picked


def embedding_bag(
    input,
    weight,
    offsets=None,
    max_norm=None,
    norm_type=2,
    scale_grad_by_freq=False,
    mode="mean",
    sparse=False,
    per_sample_weights=None,
    include_last_offset=False,
    padding_idx=None,
):
    """Returns the sum, mean or maximum of the rows of `weight` in each bag.

    The bags are the rows of a matrix `input`, or the parts of a vector `input` that start at `offsets`.
    """
    _refuse_sparse(sparse)
    if weight.dtype == rushlight.int64 and input.is_floating_point():
        warnings.warn(
            "Argument order of nn.functional.embedding_bag was changed. Usage `embedding_bag(weight, input, ...)` is "
            "deprecated, and should now be `embedding_bag(input, weight, ...)`.",
            stacklevel=2,
        )
        weight, input = input, weight
    if per_sample_weights is not None and input.shape != per_sample_weights.shape:
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({per_sample_weights.shape}) is not None, then it must have the "
            f"same shape as the input ({input.shape})"
        )
    if not weight.dim() == 2:
        raise ValueError(f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.dim()}")
    if input.dim() == 2:
        if offsets is not None:
            raise ValueError(
                f"if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed length "
                f"sequences. However, found offsets of type {type(offsets)}"
            )
        starts = [i * input.shape[1] for i in range(input.shape[0] + 1)]
        input = input.reshape(-1)
        if per_sample_weights is not None:
            per_sample_weights = per_sample_weights.reshape(-1)
    elif input.dim() == 1:
        if offsets is None:
            raise ValueError("offsets has to be a 1D Tensor but got None")
        if offsets.dim() != 1:
            raise ValueError("offsets has to be a 1D Tensor")
        starts = offsets.tolist()
        if starts and starts[0] != 0:
            raise RuntimeError(
                f"offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position 0. "
                f"However, got {starts[0]}"
            )
        if not include_last_offset:
            starts.append(input.shape[0])
        if starts[-1] > input.shape[0]:
            raise RuntimeError(
                f"offsets[-1] can not be greater than input's length ({input.shape[0]}) but got offsets[-1] of {starts[-1]}"
            )
    else:
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.dim()}")
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError("max mode does not support scaling the gradient by the frequency")
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for mode='sum' "
            f"(got mode='{mode}'). Please open a feature request on GitHub."
        )
    if padding_idx is not None:
        rows = weight.shape[0]
        if not -rows <= padding_idx < rows:
            raise ValueError("padding_idx must be within the number of embeddings")
        padding_idx %= rows
    if max_norm is not None:
        _renormalize(weight, input, max_norm, norm_type)

    where = {"device": weight.device}
    bags = len(starts) - 1
    lengths = [end - start for start, end in zip(starts, starts[1:])]
    used = input[: starts[-1]]
    bag_of = rushlight.tensor(
        [bag for bag, n in enumerate(lengths) for _ in range(n)], dtype=rushlight.int64, **where
    )
    if per_sample_weights is not None:
        per_sample_weights = per_sample_weights[: starts[-1]]
    if padding_idx is not None:
        kept = (used != padding_idx).nonzero().reshape(-1)
        used, bag_of = used[kept], bag_of[kept]
        if per_sample_weights is not None:
            per_sample_weights = per_sample_weights[kept]
        sizes = [0] * bags
        for bag in bag_of.tolist():
            sizes[bag] += 1
        lengths = sizes
    picked = _embedding(used, weight)
    if scale_grad_by_freq:
        picked = _by_frequency(picked, used, weight.shape[0])
    if per_sample_weights is not None:
        picked = picked * per_sample_weights.unsqueeze(1)
    if mode == "max":
        nothing = weight.new_zeros((weight.shape[1],))
        return rushlight.stack([chunk.max(0)[0] if n else nothing for chunk, n in zip(picked.split(lengths), lengths)])
    total = weight.new_zeros((bags, weight.shape[1])).index_add(0, bag_of, picked)
    if mode == "mean":
        total = total / rushlight.tensor([max(n, 1) for n in lengths], dtype=weight.dtype, **where).unsqueeze(1)
    return total


# Distances and images


def pdist(input, p=2.0):
    """Returns the `p`-norm distances of all pairs of rows of a matrix, in the order of the upper triangle."""
    if input.dim() != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.dim()}D")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    i, j = rushlight.triu_indices(input.shape[0], input.shape[0], 1).unbind(0)
    return rushlight.norm(input[i] - input[j], p, 1)


def channel_shuffle(input, groups):
    """Cuts the channels of `[n, channels, …]` into `groups` and interleaves these."""
    if input.dim() < 3:
        raise RuntimeError(f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(input.shape)}")
    if groups <= 0:
        raise RuntimeError(f"Number of groups to divide channels in must be positive. Value of groups:{groups}")
    batch, channels, *rest = input.shape
    if channels % groups:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {channels} channels and {groups} groups."
        )
    return input.reshape(batch, groups, channels // groups, *rest).transpose(1, 2).reshape(input.shape)


native_channel_shuffle = channel_shuffle
interpolate = _op["interpolate"]


def upsample(input, size=None, scale_factor=None, mode="nearest", align_corners=None):
    """Deprecated name of `interpolate`."""
    warnings.warn(
        "`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=2
    )
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input, size=None, scale_factor=None):
    """Deprecated: `interpolate` with mode `'nearest'`."""
    warnings.warn(
        "`nn.functional.upsample_nearest` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=2
    )
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input, size=None, scale_factor=None):
    """Deprecated: `interpolate` with mode `'bilinear'` and aligned corners."""
    warnings.warn(
        "`nn.functional.upsample_bilinear` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=2
    )
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)


def conv_tbc(input, weight, bias, pad=0):
    """Returns the 1-D convolution of `input` `[t, n, c]` with `weight` `[k, c, o]`: `[t', n, o]`."""
    return conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, padding=pad).permute(2, 0, 1)


def linear_cross_entropy(
    input,
    linear_weight,
    target,
    *,
    linear_bias=None,
    weight=None,
    reduction="mean",
    ignore_index=None,
    label_smoothing=0.0,
    options=None,
):
    """Returns the cross entropy of `target` and the scores `linear(input, linear_weight, linear_bias)`.

    `input` is `[in]` or `[n, in]`; `linear_weight` is `[classes, in]`, or `[classes, d…, in]` for a loss over `d…`.
    `options` is a hint on how to save memory, which changes no value: the scores are always formed as a whole.
    """
    *shape, features = linear_weight.shape
    if linear_bias is not None:
        linear_bias = linear_bias.reshape(-1)
    scores = linear(input, linear_weight.reshape(-1, features), linear_bias).reshape(*input.shape[:-1], *shape)
    ignore_index = -100 if ignore_index is None else ignore_index
    return cross_entropy(
        scores, target, weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing
    )
