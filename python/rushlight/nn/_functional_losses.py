"""The losses of `nn.functional`: native where the op exists, and composed of ops where not."""

import math
import warnings

import rushlight
from rushlight import Tensor, _C

from . import _reduction
from ._reduction import legacy_get_string, reduce as _reduced

_op = _C.functions
_mse_loss = _op["mse_loss"]
_l1_loss = _op["l1_loss"]
_smooth_l1_loss = _op["smooth_l1_loss"]
_huber_loss = _op["huber_loss"]
_cross_entropy = _op["cross_entropy"]
_nll_loss = _op["nll_loss"]
_kl_div = _op["kl_div"]
_bce = _op["binary_cross_entropy"]
_bce_logits = _op["binary_cross_entropy_with_logits"]
_poisson_nll_loss = _op["poisson_nll_loss"]
_soft_margin_loss = _op["soft_margin_loss"]
_multilabel_soft_margin_loss = _op["multilabel_soft_margin_loss"]
_hinge_embedding_loss = _op["hinge_embedding_loss"]
_margin_ranking_loss = _op["margin_ranking_loss"]
_cosine_embedding_loss = _op["cosine_embedding_loss"]
_triplet_margin_loss = _op["triplet_margin_loss"]

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cosine_embedding_loss",
    "cross_entropy",
    "ctc_loss",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "margin_ranking_loss",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


def _warn_of_broadcasting(input, target):
    if input.shape != target.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}). "
            "This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=3,
        )


def mse_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """Returns the squared difference, times `weight`, reduced."""
    _warn_of_broadcasting(input, target)
    if size_average is not None or reduce is not None:
        reduction = legacy_get_string(size_average, reduce)
    if weight is None:
        return _mse_loss(input, target, reduction=reduction)
    if weight.shape != input.shape:
        raise ValueError("Weights and input must have the same size.")
    squares = _mse_loss(input, target, reduction="none") * weight
    if reduction == "mean":
        return squares.sum() / weight.sum()
    return _reduced(squares, reduction)


def l1_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """Returns the absolute difference, times `weight`, reduced."""
    _warn_of_broadcasting(input, target)
    if size_average is not None or reduce is not None:
        reduction = legacy_get_string(size_average, reduce)
    if weight is None:
        return _l1_loss(input, target, reduction=reduction)
    if weight.shape != input.shape:
        raise ValueError("Weights and input must have the same size.")
    distances = _l1_loss(input, target, reduction="none") * weight
    if reduction == "mean":
        return distances.sum() / weight.sum()
    return _reduced(distances, reduction)


def smooth_l1_loss(input, target, size_average=None, reduce=None, reduction="mean", beta=1.0):
    """Returns `0.5 d² / beta` where the difference d is below `beta`, else `|d| - 0.5 beta`, reduced."""
    _warn_of_broadcasting(input, target)
    if size_average is not None or reduce is not None:
        reduction = legacy_get_string(size_average, reduce)
    if beta == 0.0:
        return _l1_loss(input, target, reduction=reduction)
    return _smooth_l1_loss(input, target, reduction=reduction, beta=beta)


def huber_loss(input, target, reduction="mean", delta=1.0, weight=None):
    """Returns `0.5 d²` where the difference d is below `delta`, else `delta (|d| - 0.5 delta)`, reduced."""
    _warn_of_broadcasting(input, target)
    if weight is None:
        return _huber_loss(input, target, reduction, delta)
    if weight.shape != input.shape:
        raise ValueError("Weights and input must have the same size.")
    return _reduced(_huber_loss(input, target, "none", delta) * weight, reduction)


def cross_entropy(
    input,
    target,
    weight=None,
    size_average=None,
    ignore_index=-100,
    reduce=None,
    reduction="mean",
    label_smoothing=0.0,
):
    """Returns the cross entropy of `target` (classes or probabilities) and the scores `input`."""
    if size_average is not None or reduce is not None:
        reduction = legacy_get_string(size_average, reduce)
    return _cross_entropy(
        input,
        target,
        weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


def nll_loss(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"):
    """Returns the negative log likelihood of the classes `target`, given log-probabilities `input`."""
    if size_average is not None or reduce is not None:
        reduction = legacy_get_string(size_average, reduce)
    return _nll_loss(input, target, weight, ignore_index=ignore_index, reduction=reduction)


def kl_div(input, target, size_average=None, reduce=None, reduction="mean", log_target=False):
    """Returns the Kullback-Leibler divergence of `target` from `exp(input)`; `'batchmean'` divides by the batch."""
    if size_average is not None or reduce is not None:
        reduction = legacy_get_string(size_average, reduce)
    if reduction == "batchmean":
        total = _kl_div(input, target, reduction="sum", log_target=log_target)
        return total / input.shape[0] if input.dim() != 0 else total
    if reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math definition."
            "'mean' will be changed to behave the same as 'batchmean' in the next major release.",
            stacklevel=2,
        )
    return _kl_div(input, target, reduction=reduction, log_target=log_target)


def binary_cross_entropy(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    """Returns the binary cross entropy of the probabilities `input` and `target`, times `weight`, reduced."""
    if size_average is not None or reduce is not None:
        reduction = legacy_get_string(size_average, reduce)
    if target.shape != input.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}) is deprecated. "
            "Please ensure they have the same size."
        )
    return _bce(input, target, weight, reduction=reduction)


def binary_cross_entropy_with_logits(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None
):
    """Returns the binary cross entropy of `sigmoid(input)` and `target`, times `weight`, reduced."""
    if size_average is not None or reduce is not None:
        reduction = legacy_get_string(size_average, reduce)
    if target.shape != input.shape:
        raise ValueError(f"Target size ({target.shape}) must be the same as input size ({input.shape})")
    return _bce_logits(input, target, weight, reduction=reduction, pos_weight=pos_weight)


def poisson_nll_loss(
    input, target, log_input=True, full=False, size_average=None, eps=1e-8, reduce=None, reduction="mean"
):
    """Returns the negative log likelihood of counts `target` under Poisson distributions, reduced."""
    if size_average is not None or reduce is not None:
        reduction = legacy_get_string(size_average, reduce)
    _reduction.check(reduction)
    return _poisson_nll_loss(input, target, log_input, full, eps=eps, reduction=reduction)


def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean"):
    """Returns the negative log likelihood of `target` under normal distributions of mean `input`, reduced.

    `var` is a number, or a tensor that has the shape of `input`, lacks its last dimension, or has size 1 there.
    """
    if isinstance(var, (int, float)):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = var * rushlight.ones_like(input)
    elif rushlight.any(var < 0):
        raise ValueError("var has negative entry/entries")
    if var.shape != input.shape:
        if input.shape[:-1] == var.shape:
            var = var.unsqueeze(-1)
        elif not (input.shape[:-1] == var.shape[:-1] and var.shape[-1] == 1):
            try:
                fits = rushlight.broadcast_to(var, input.shape) is not None
            except RuntimeError:
                fits = False
            if not fits:
                raise ValueError("var is of incorrect size")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(reduction + " is not valid")
    # Values of var below eps count as eps, while the gradient flows as if they did not.
    safe = var.clone()
    with rushlight.no_grad():
        safe.clamp_(min=eps)
    loss = 0.5 * (rushlight.log(safe) + (input - target) ** 2 / safe)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return _reduced(loss, reduction)


def soft_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """Returns `log(1 + exp(-target * input))` for targets 1 and -1, reduced."""
    if size_average is not None or reduce is not None:
        reduction = legacy_get_string(size_average, reduce)
    return _soft_margin_loss(input, target, reduction=reduction)


def multilabel_soft_margin_loss(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    """Returns the mean over classes of the binary cross entropy of `sigmoid(input)` and `target`, reduced."""
    if size_average is not None or reduce is not None:
        reduction = legacy_get_string(size_average, reduce)
    return _multilabel_soft_margin_loss(input, target, weight, reduction=reduction)


def hinge_embedding_loss(input, target, margin=1.0, size_average=None, reduce=None, reduction="mean"):
    """Returns `input` for targets 1 and `max(0, margin - input)` for targets -1, reduced."""
    if size_average is not None or reduce is not None:
        reduction = legacy_get_string(size_average, reduce)
    return _hinge_embedding_loss(input, target, margin, reduction=reduction)


def margin_ranking_loss(input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"):
    """Returns `max(0, -target * (input1 - input2) + margin)`, reduced."""
    if size_average is not None or reduce is not None:
        reduction = legacy_get_string(size_average, reduce)
    if input1.dim() != input2.dim() or input1.dim() != target.dim():
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.size()}, input2: {input2.size()}, target: {target.size()} "
        )
    return _margin_ranking_loss(input1, input2, target, margin, reduction=reduction)


def cosine_embedding_loss(input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"):
    """Returns `1 - cos` for targets 1 and `max(0, cos - margin)` for targets -1, reduced."""
    if size_average is not None or reduce is not None:
        reduction = legacy_get_string(size_average, reduce)
    return _cosine_embedding_loss(input1, input2, target, margin, reduction=reduction)


def triplet_margin_loss(
    anchor,
    positive,
    negative,
    margin=1.0,
    p=2,
    eps=1e-6,
    swap=False,
    size_average=None,
    reduce=None,
    reduction="mean",
):
    """Returns `max(0, d(anchor, positive) - d(anchor, negative) + margin)`, reduced."""
    if size_average is not None or reduce is not None:
        reduction = legacy_get_string(size_average, reduce)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    return _triplet_margin_loss(anchor, positive, negative, margin, p, eps, swap, reduction=reduction)


def triplet_margin_with_distance_loss(
    anchor, positive, negative, *, distance_function=None, margin=1.0, swap=False, reduction="mean"
):
    """As `triplet_margin_loss`, with any function of two tensors as the distance."""
    _reduction.check(reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    distance = distance_function or _op["pairwise_distance"]
    if not anchor.dim() == positive.dim() == negative.dim():
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: "
            f"anchor {anchor.dim()}D, positive {positive.dim()}D, and negative {negative.dim()}D inputs"
        )
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = rushlight.minimum(far, distance(positive, negative))
    return _reduced(rushlight.clamp_min(margin + near - far, 0), reduction)


def multi_margin_loss(
    input, target, p=1, margin=1.0, weight=None, size_average=None, reduce=None, reduction="mean"
):
    """Returns the sum over wrong classes of `max(0, margin - x[target] + x[class])^p`, over the number of classes.

    `input` is `[n, classes]` or `[classes]`, `target` is `[n]` or one number; `p` is 1 or 2.
    """
    if size_average is not None or reduce is not None:
        reduction = legacy_get_string(size_average, reduce)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.dim() != 1:
        raise ValueError("weight must be one-dimensional")
    if input.dim() > 2 or input.numel() == 0 and input.dim() < 2:
        raise RuntimeError(
            f"Expected non-empty vector or matrix with optional 0-dim batch size, but got: {list(input.shape)}"
        )
    rows = input if input.dim() == 2 else input.reshape(1, -1)
    classes = target.reshape(-1)
    if classes.shape[0] != rows.shape[0]:
        raise RuntimeError(f"inconsistent target size, expected {rows.shape[0]} but got {list(target.shape)}")
    classes = classes.unsqueeze(1)
    losses = (margin - rows.gather(1, classes) + rows).clamp(min=0)
    if p == 2:
        losses = losses * losses
    if weight is not None:
        losses = losses * weight[classes]
    losses = losses.scatter(1, classes, 0.0).sum(1) / rows.shape[1]
    if input.dim() < 2 and target.dim() == 0:
        losses = losses.squeeze(0)
    return _reduced(losses, reduction)


def multilabel_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """Returns the sum over pairs of a right and a wrong class of `max(0, 1 - x[right] + x[wrong])`, over the classes.

    `target` has the shape of `input` `[n, classes]` or `[classes]`: the right classes, ended by -1.
    """
    if size_average is not None or reduce is not None:
        reduction = legacy_get_string(size_average, reduce)
    if input.dim() > 2:
        raise RuntimeError(f"Expected non-empty vector or matrix with optional 0-dim batch size, but got: {list(input.shape)}")
    if input.shape != target.shape:
        raise RuntimeError(f"inconsistent target size: {list(target.shape)} for input of size: {list(input.shape)}")
    rows = input.reshape(1, -1) if input.dim() < 2 else input
    labels = target.reshape(1, -1) if input.dim() < 2 else target
    # A label counts if no -1 stands before it.
    counts = (labels < 0).cumsum(1) == 0
    places = labels.clamp(min=0)
    is_right = rushlight.zeros_like(labels).scatter_add(1, places, counts.to(labels.dtype)) > 0
    right = rows.gather(1, places)
    losses = (1 - right.unsqueeze(2) + rows.unsqueeze(1)).clamp(min=0)
    pairs = counts.unsqueeze(2) & ~is_right.unsqueeze(1)
    losses = (losses * pairs.to(losses.dtype)).sum((1, 2)) / rows.shape[1]
    if input.dim() < 2:
        losses = losses.squeeze(0)
    return _reduced(losses, reduction)


def ctc_loss(log_probs, targets, input_lengths, target_lengths, blank=0, reduction="mean", zero_infinity=False):
    """Returns the connectionist temporal classification loss (Graves et al., 2006).

    `log_probs` is `[t, n, classes]` or `[t, classes]`; `targets` is `[n, s]` or all targets in one vector. The mean
    divides each loss by the length of its target first.
    """
    _reduction.check(reduction)
    single = log_probs.dim() == 2
    if single:
        log_probs = log_probs.unsqueeze(1)
    steps, batch, classes = log_probs.shape
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    input_lengths = _lengths(input_lengths, batch, "input_lengths")
    target_lengths = _lengths(target_lengths, batch, "target_lengths")
    if any(not 0 <= n <= steps for n in input_lengths):
        raise RuntimeError(f"Expected input_lengths to have value at most {steps}, but got value {max(input_lengths)}")

    rows, at = [], 0
    flat = targets.tolist()
    for i, n in enumerate(target_lengths):
        if targets.dim() == 1:
            rows.append(flat[at:at + n])
            at += n
        else:
            rows.append(flat[i][:n])
    # The path through a target visits a blank before and after each of its labels.
    longest = 2 * max(target_lengths, default=0) + 1
    paths = [[blank] * longest for _ in rows]
    may_skip = [[False] * longest for _ in rows]
    for path, skip, row in zip(paths, may_skip, rows):
        path[1:2 * len(row):2] = row
        for k in range(1, len(row)):
            skip[2 * k + 1] = row[k] != row[k - 1]
    where = {"device": log_probs.device}
    path = rushlight.tensor(paths, dtype=rushlight.int64, **where)
    # Impossible states stand at a finite floor, so that no gradient is the difference of two infinities.
    floor = -1e30 if log_probs.dtype in (rushlight.float32, rushlight.float64, rushlight.bfloat16) else -6e4
    no_skip = rushlight.tensor([[0.0 if ok else floor for ok in skip] for skip in may_skip], dtype=log_probs.dtype, **where)
    emissions = log_probs.gather(2, path.unsqueeze(0).expand(steps, batch, longest))

    start = rushlight.full((batch, longest), floor, dtype=log_probs.dtype, **where)
    start[:, :1] = 0.0
    if longest > 1:
        nonempty = rushlight.tensor([0.0 if n else floor for n in target_lengths], dtype=log_probs.dtype, **where)
        start[:, 1] = nonempty
    alpha = start + emissions[0] if steps else start
    alphas = [alpha]
    wall = rushlight.full((batch, 2), floor, dtype=log_probs.dtype, **where)
    for t in range(1, max(input_lengths, default=0)):
        padded = rushlight.cat([wall, alpha], 1)
        alpha = emissions[t] + rushlight.logsumexp(
            rushlight.stack([alpha, padded[:, 1:-1], padded[:, :-2] + no_skip]), 0
        )
        alphas.append(alpha)

    losses = []
    for i, (n_in, n_out) in enumerate(zip(input_lengths, target_lengths)):
        if n_in == 0:
            losses.append(log_probs.new_full((), 0.0 if n_out == 0 else math.inf))
            continue
        last = alphas[n_in - 1][i]
        ends = last[2 * n_out - 1:2 * n_out + 1] if n_out else last[:1]
        loss = -rushlight.logsumexp(ends, 0)
        if log_probs.requires_grad:
            # PyTorch's derivative is the one in the logits: it counts the sum of the probabilities, which is constant.
            mass = log_probs[:n_in, i].exp().sum()
            loss = loss + (mass - mass.detach())
        losses.append(loss)
    losses = rushlight.stack(losses)
    losses = rushlight.where(losses > -0.5 * floor, rushlight.full_like(losses, math.inf), losses)
    if zero_infinity:
        losses = rushlight.where(losses == math.inf, rushlight.zeros_like(losses), losses)
    if reduction == "mean":
        lengths = rushlight.tensor([max(n, 1) for n in target_lengths], dtype=losses.dtype, **where)
        return (losses / lengths).mean()
    if single and reduction == "none":
        return losses.squeeze(0)
    return _reduced(losses, reduction)


def _lengths(lengths, batch, what):
    lengths = lengths.reshape(-1).tolist() if isinstance(lengths, Tensor) else [int(n) for n in lengths]
    if len(lengths) != batch:
        raise RuntimeError(f"{what} must be of size batch_size")
    return lengths
