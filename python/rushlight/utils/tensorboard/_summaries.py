"""What the methods of ``SummaryWriter`` write, as encoded summaries."""

from bisect import bisect_left, bisect_right

import rushlight

from . import _images, _proto
from ._proto import Double, Float, message, summary


def number(x):
    """The only element of a tensor or array, or a plain number."""
    x = _images.as_tensor(x) if not isinstance(x, (int, float)) else x
    if isinstance(x, (int, float)):
        return float(x)
    if x.numel() != 1:
        raise AssertionError(f"Tensor should contain one element (0 dimensions). Was given size: {x.numel()} and {x.dim()} dimensions.")
    return float(x.item())


def scalar(tag, value, new_style=False, double_precision=False):
    """A number; in the new style as a tensor."""
    value = number(value)
    if not new_style:
        return summary(tag, simple_value=Float(value))
    tensor = message((1, 2), (6, _proto.packed("d", [value]))) if double_precision else message((1, 1), (5, _proto.packed("f", [value])))
    return summary(tag, tensor=tensor, plugin="scalars")


def text(tag, string):
    """A text, in Markdown."""
    return summary(tag + "/text_summary", tensor=_proto.string_tensor([string], [1]), plugin="text")


def tensor(tag, value):
    """A tensor."""
    value = _images.as_tensor(value)
    dtype = str(value.dtype).rpartition(".")[2]
    return summary(tag, tensor=_proto.tensor(dtype, value.shape, value.reshape(-1).tolist()), plugin="tensor")


def image(tag, value, dataformats):
    """An image, or a batch in a grid."""
    hwc = _images.to_hwc(_images.as_tensor(value), dataformats)
    h, w, channels = hwc.shape
    return summary(tag, image=message((1, h), (2, w), (3, channels), (4, _images.png(hwc))))


def audio(tag, value, sample_rate):
    """A sound of one channel."""
    value = _images.as_tensor(value).squeeze()
    if value.dim() != 1:
        raise AssertionError("input tensor should be 1 dimensional.")
    data, frames = _images.wav(value, sample_rate)
    return summary(tag, audio=message((1, Float(sample_rate)), (2, 1), (3, frames), (4, data), (5, "audio/wav")))


def _standard_bins():
    limits, v = [], 1e-12
    while v < 1e20:
        limits.append(v)
        v *= 1.1
    return [-v for v in reversed(limits)] + [0.0] + limits


def _limits(values, bins):
    if bins == "tensorflow":
        return _standard_bins()
    if isinstance(bins, str):
        try:
            import numpy
        except ImportError:
            raise ImportError(f"add_histogram: bins={bins!r} needs NumPy") from None
        return numpy.histogram_bin_edges(values, bins).tolist()
    if isinstance(bins, int):
        low, high = values[0], values[-1]
        if low == high:
            low, high = low - 0.5, high + 0.5
        return [low + (high - low) * i / bins for i in range(bins + 1)]
    return [float(b) for b in bins]


def histogram(tag, values, bins, max_bins=None):
    """The numbers of values between limits, without the empty buckets at the ends."""
    values = _images.as_tensor(values).to(rushlight.float64).reshape(-1)
    if values.numel() == 0:
        raise ValueError("The input has no element.")
    ordered = values.sort()[0].tolist()
    limits = _limits(ordered, bins)
    # A bucket holds its lower limit; the last one both.
    at = [bisect_left(ordered, limit) for limit in limits[:-1]] + [bisect_right(ordered, limits[-1])]
    counts = [b - a for a, b in zip(at, at[1:])]
    if max_bins is not None and len(counts) > max_bins:
        width = len(counts) // max_bins
        counts = [sum(counts[i : i + width]) for i in range(0, len(counts), width)]
        limits = limits[:-1][::width] + limits[-1:]
    filled = [i for i, count in enumerate(counts) if count]
    if not filled:
        raise ValueError("The histogram is empty, please file a bug report.")
    first, last = filled[0], filled[-1]
    return histogram_raw(
        tag,
        ordered[0],
        ordered[-1],
        len(ordered),
        values.sum().item(),
        (values * values).sum().item(),
        limits[first : last + 2],
        [counts[first - 1] if first else 0, *counts[first : last + 1]],
    )


def histogram_raw(tag, low, high, num, total, squares, bucket_limits, bucket_counts):
    """A histogram that was counted elsewhere."""
    numbers = [(i + 1, Double(x)) for i, x in enumerate((low, high, num, total, squares))]
    limits, counts = (_proto.packed("d", [float(x) for x in part]) for part in (bucket_limits, bucket_counts))
    return summary(tag, histo=message(*numbers, (6, limits), (7, counts)))


_TINY = 1e-7


def pr_curve(tag, labels, predictions, num_thresholds, weights):
    """Counts, precision and recall at evenly spaced thresholds."""
    n = min(num_thresholds, 127)
    labels, predictions = (_images.as_tensor(x).reshape(-1).tolist() for x in (labels, predictions))
    weights = [1.0] * len(labels) if weights is None else _images.as_tensor(weights).reshape(-1).tolist()
    hits, alarms = [0.0] * n, [0.0] * n
    for label, p, weight in zip(labels, predictions, weights):
        bucket = min(max(int(p * (n - 1)), 0), n - 1)
        hits[bucket] += weight * label
        alarms[bucket] += weight * (1.0 - label)

    def from_the_right(counts):
        out, total = [], 0.0
        for c in reversed(counts):
            total += c
            out.append(total)
        return out[::-1]

    tp, fp = from_the_right(hits), from_the_right(alarms)
    tn, fn = [fp[0] - x for x in fp], [tp[0] - x for x in tp]
    precision = [a / max(_TINY, a + b) for a, b in zip(tp, fp)]
    recall = [a / max(_TINY, a + b) for a, b in zip(tp, fn)]
    return pr_curve_raw(tag, tp, fp, tn, fn, precision, recall, n)


def pr_curve_raw(tag, tp, fp, tn, fn, precision, recall, num_thresholds):
    """A precision-recall curve that was computed elsewhere."""
    rows = [_images.as_tensor(row).reshape(-1).tolist() for row in (tp, fp, tn, fn, precision, recall)]
    data = _proto.tensor("float32", [6, num_thresholds], sum(rows, []))
    return summary(tag, tensor=data, plugin="pr_curves", content=message((2, min(num_thresholds, 127))))


def hparams(hparam_dict, metric_dict, hparam_domain_discrete=None):
    """The three summaries of a run's hyperparameters: what there is, the values, and the end."""
    for name, value in (("hparam_dict", hparam_dict), ("metric_dict", metric_dict), ("hparam_domain_discrete", hparam_domain_discrete or {})):
        if not isinstance(value, dict):
            raise TypeError(f"parameter: {name} should be a dictionary, nothing logged.")
    domains = hparam_domain_discrete or {}
    infos, values = [], []
    for key, value in hparam_dict.items():
        if value is None:
            continue
        if isinstance(value, str):
            kind, encode = 1, lambda x: message((3, x))
        elif isinstance(value, (bool, int, float)) or (hasattr(value, "numel") and value.numel() == 1):
            kind, encode = 3, lambda x: message((2, Double(float(x))))
        else:
            raise ValueError("value should be one of int, float, str, bool, or torch.Tensor")
        domain = None
        if key in domains:
            if not isinstance(domains[key], list) or not all(isinstance(d, type(value)) for d in domains[key]):
                raise TypeError(f"parameter: hparam_domain_discrete[{key}] should be a list of same type as hparam_dict[{key}].")
            domain = b"".join(_proto.field(1, encode(d)) for d in domains[key])
        infos.append((4, message((1, key), (4, kind), (5, domain))))
        values.append((1, message((1, key), (2, encode(value)))))
    metrics = [(5, message((1, message((2, key))))) for key in metric_dict]
    contents = {
        "_hparams_/experiment": message((2, message(*infos, *metrics))),
        "_hparams_/session_start_info": message((3, message(*values))),
        "_hparams_/session_end_info": message((4, message((1, 1)))),
    }
    return [summary(tag, plugin="hparams", content=content) for tag, content in contents.items()]


def custom_scalars(layout):
    """The arrangement of charts: ``{category: {chart: ["Multiline" or "Margin", tags]}}``."""
    categories = []
    for title, charts in layout.items():
        parts = []
        for name, (kind, tags) in charts.items():
            if kind == "Margin":
                if len(tags) != 3:
                    raise AssertionError("len(tags) != 3")
                series = message(*zip((1, 2, 3), tags))
                parts.append((2, message((1, name), (3, message((1, series))))))
            else:
                parts.append((2, message((1, name), (2, message(*((1, tag) for tag in tags))))))
        categories.append((2, message((1, title), *parts)))
    data = message((1, 7), (2, b""), (8, message(*categories)))
    return summary("custom_scalars__config__", tensor=data, plugin="custom_scalars")
