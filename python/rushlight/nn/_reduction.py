"""The deprecated arguments `size_average` and `reduce` of the losses."""

import warnings


def legacy_get_string(size_average, reduce, emit_warning=True):
    """Returns the `reduction` that the two deprecated arguments stand for, and warns."""
    if size_average is None:
        size_average = True
    if reduce is None:
        reduce = True
    reduction = "none" if not reduce else "mean" if size_average else "sum"
    if emit_warning:
        warnings.warn(
            f"size_average and reduce args will be deprecated, please use reduction='{reduction}' instead.",
            stacklevel=3,
        )
    return reduction


def check(reduction):
    """Raises a ValueError unless `reduction` is one of the three there are."""
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")


def reduce(loss, reduction):
    """Returns the mean or the sum of `loss`, or `loss` itself for `'none'`."""
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    check(reduction)
    return loss
