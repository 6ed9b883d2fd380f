"""nn.functional and nn.utils against live PyTorch: the same calls on both libraries, with values and gradients."""

import inspect
import warnings

import numpy as np
import pytest

import rushlight

torch = pytest.importorskip("torch")


class Feed:
    """Makes the same inputs for both libraries, and remembers which of them get gradients."""

    def __init__(self, library):
        self.T = library
        self.rng = np.random.default_rng(7)
        self.leaves = []

    def x(self, *shape, low=None, high=None, grad=True):
        """Random floats: normal, or uniform between `low` and `high`."""
        values = self.rng.standard_normal(shape) if low is None else self.rng.uniform(low, high, shape)
        t = self.T.from_numpy(np.asarray(values, np.float32))
        if grad:
            self.leaves.append(t.requires_grad_())
        return t

    def ints(self, high, *shape, low=0):
        return self.T.from_numpy(self.rng.integers(low, high, shape))


CALLS = {
    "relu inplace": lambda F, f: F.relu(f.x(3, 4) * 1, inplace=True),
    "relu_": lambda F, f: F.relu_(f.x(3, 4) * 1),
    "threshold_": lambda F, f: F.threshold_(f.x(3, 4) * 1, 0.1, 5.0),
    "elu positional": lambda F, f: F.elu(f.x(3, 4) * 1, 0.5, True),
    "hardtanh positional": lambda F, f: F.hardtanh(f.x(3, 4), -0.3, 0.4, False),
    "rrelu eval": lambda F, f: F.rrelu(f.x(3, 4), 0.1, 0.2, False),
    "rrelu training": lambda F, f: F.rrelu(f.x(3, 4), training=True),
    "softmax dtype": lambda F, f: F.softmax(f.x(3, 4), 1, dtype=f.T.float64),
    "log_softmax": lambda F, f: F.log_softmax(f.x(3, 4), dim=0),
    "softmax implicit": lambda F, f: F.softmax(f.x(3, 4, 2)),
    "gumbel_softmax": lambda F, f: F.gumbel_softmax(f.x(3, 4), 0.5),
    "gumbel_softmax hard": lambda F, f: F.gumbel_softmax(f.x(3, 4), hard=True),
    "dropout": lambda F, f: F.dropout(f.x(30, 4), 0.3, True),
    "dropout off": lambda F, f: F.dropout(f.x(3, 4), 0.3, False),
    "dropout p=1": lambda F, f: F.dropout(f.x(3, 4), 1.0),
    "feature_alpha_dropout": lambda F, f: F.feature_alpha_dropout(f.x(6, 4, 3), 0.4, True),
    "alpha_dropout p=1": lambda F, f: F.alpha_dropout(f.x(6, 4), 1.0, True),
    "normalize": lambda F, f: F.normalize(f.x(3, 4), 1.5, 0, 1e-3),
    "local_response_norm": lambda F, f: F.local_response_norm(f.x(2, 5, 3), 4, 0.3, 0.5, 2.0),
    "cosine_similarity": lambda F, f: F.cosine_similarity(f.x(3, 4), f.x(3, 4), 0),
    "pdist": lambda F, f: F.pdist(f.x(5, 4)),
    "pdist p=1": lambda F, f: F.pdist(f.x(5, 4), 1.0),
    "one_hot": lambda F, f: F.one_hot(f.ints(5, 3, 2), 6),
    "pad reflect": lambda F, f: F.pad(f.x(2, 3, 5), (2, 1), mode="reflect"),
    "pad value": lambda F, f: F.pad(f.x(2, 3), (1, -1, 0, 2), value=2.5),
    "pixel_shuffle": lambda F, f: F.pixel_shuffle(f.x(2, 8, 3, 4), 2),
    "channel_shuffle": lambda F, f: F.channel_shuffle(f.x(2, 6, 3), 3),
    "unfold": lambda F, f: F.unfold(f.x(2, 3, 5, 6), (2, 3), stride=2, padding=1),
    "fold": lambda F, f: F.fold(f.x(2, 12, 9), (4, 4), 2),
    "conv_tbc": lambda F, f: F.conv_tbc(f.x(6, 2, 3), f.x(3, 3, 4), f.x(4), 1),
    "bilinear": lambda F, f: F.bilinear(f.x(2, 3), f.x(2, 4), f.x(5, 3, 4), f.x(5)),
    "embedding": lambda F, f: F.embedding(f.ints(7, 3, 4), f.x(7, 2), 1, scale_grad_by_freq=True),
    "embedding_bag weights": lambda F, f: F.embedding_bag(
        f.ints(7, 9), f.x(7, 2), f.T.tensor([0, 3, 3]), mode="sum", per_sample_weights=f.x(9), padding_idx=2
    ),
    "embedding_bag max": lambda F, f: F.embedding_bag(f.ints(7, 9), f.x(7, 2), f.T.tensor([0, 3]), mode="max", padding_idx=2),
    "max_pool2d indices": lambda F, f: F.max_pool2d(f.x(2, 3, 6, 7), 3, 2, 1, return_indices=True),
    "max_pool1d_with_indices": lambda F, f: F.max_pool1d_with_indices(f.x(2, 3, 6), 2),
    "adaptive_max_pool2d": lambda F, f: F.adaptive_max_pool2d(f.x(2, 3, 6, 7), (3, None), return_indices=True),
    "adaptive_avg_pool3d": lambda F, f: F.adaptive_avg_pool3d(f.x(2, 3, 6, 7, 4), (3, None, 2)),
    "max_unpool2d": lambda F, f: F.max_unpool2d(*F.max_pool2d(f.x(2, 3, 6, 7), 2, return_indices=True), 2, output_size=(6, 7)),
    "lp_pool2d": lambda F, f: F.lp_pool2d(f.x(2, 3, 6, 7, low=0.1, high=1), 3, 2, 1),
    "fractional_max_pool2d": lambda F, f: F.fractional_max_pool2d(f.x(2, 3, 9, 8), (3, 2), (4, 3), return_indices=True),
    "fractional_max_pool3d": lambda F, f: F.fractional_max_pool3d(f.x(3, 9, 8, 7), 2, output_ratio=0.5),
    "interpolate": lambda F, f: F.interpolate(f.x(2, 3, 6, 7), scale_factor=1.5, mode="bilinear", align_corners=False),
    "upsample": lambda F, f: F.upsample(f.x(2, 3, 6, 7), scale_factor=2),
    "upsample_bilinear": lambda F, f: F.upsample_bilinear(f.x(2, 3, 6, 7), size=(8, 8)),
    "affine_grid": lambda F, f: F.affine_grid(f.x(2, 2, 3), (2, 3, 4, 5), align_corners=False),
    "affine_grid 3d": lambda F, f: F.affine_grid(f.x(2, 3, 4), (2, 3, 2, 4, 5), align_corners=True),
    "mse_loss legacy": lambda F, f: F.mse_loss(f.x(3, 4), f.x(3, 4), size_average=False),
    "mse_loss weight": lambda F, f: F.mse_loss(f.x(3, 4), f.x(3, 4), weight=f.x(3, 4, low=0.1, high=1)),
    "l1_loss weight": lambda F, f: F.l1_loss(f.x(3, 4), f.x(3, 4), reduction="sum", weight=f.x(3, 4, low=0.1, high=1)),
    "huber_loss weight": lambda F, f: F.huber_loss(f.x(3, 4), f.x(3, 4), "mean", 0.5, f.x(3, 4, low=0.1, high=1)),
    "mse_loss broadcasting": lambda F, f: F.mse_loss(f.x(3, 4), f.x(4)),
    "cross_entropy legacy": lambda F, f: F.cross_entropy(f.x(3, 4), f.ints(4, 3), None, None, -100, False),
    "kl_div batchmean": lambda F, f: F.kl_div(f.x(3, 4), f.x(3, 4, low=0.1, high=1), reduction="batchmean"),
    "gaussian_nll_loss": lambda F, f: F.gaussian_nll_loss(f.x(3, 4), f.x(3, 4), f.x(3, low=0, high=0.5), eps=0.2),
    "gaussian_nll_loss number": lambda F, f: F.gaussian_nll_loss(f.x(3, 4), f.x(3, 4), 0.5, full=True),
    "multi_margin_loss single": lambda F, f: F.multi_margin_loss(f.x(4), f.T.tensor(2), reduction="none"),
    "multi_margin_loss": lambda F, f: F.multi_margin_loss(f.x(3, 4), f.ints(4, 3), p=2, weight=f.x(4, low=0.1, high=1, grad=False)),
    "multilabel_margin_loss": lambda F, f: F.multilabel_margin_loss(
        f.x(2, 4), f.T.tensor([[3, 0, -1, 1], [-1, 2, 0, 1]]), reduction="sum"
    ),
    "triplet with distance": lambda F, f: F.triplet_margin_with_distance_loss(
        f.x(3, 4), f.x(3, 4), f.x(3, 4), distance_function=lambda a, b: (a - b).abs().sum(-1), swap=True, reduction="none"
    ),
    "linear_cross_entropy": lambda F, f: F.linear_cross_entropy(f.x(5, 3), f.x(4, 3), f.ints(4, 5), label_smoothing=0.1),
    "linear_cross_entropy of planes": lambda F, f: F.linear_cross_entropy(
        f.x(5, 3), f.x(4, 2, 3), f.ints(4, 5, 2), linear_bias=f.x(4, 2), ignore_index=1, reduction="sum"
    ),
    "attention": lambda F, f: F.scaled_dot_product_attention(f.x(2, 3, 4, 8), f.x(2, 3, 5, 8), f.x(2, 3, 5, 8)),
    "ctc_loss": lambda F, f: F.ctc_loss(
        F.log_softmax(f.x(9, 3, 5), 2), f.ints(5, 3, 4, low=1), (9, 8, 7), (4, 2, 3), reduction="none"
    ),
    "ctc_loss raw": lambda F, f: F.ctc_loss(f.x(9, 3, 5), f.ints(5, 3, 4, low=1), f.T.tensor([9, 8, 7]), f.T.tensor([4, 2, 3])),
    "ctc_loss joined": lambda F, f: F.ctc_loss(
        F.log_softmax(f.x(9, 3, 5), 2), f.ints(4, 9), (9, 8, 7), (4, 2, 3), blank=4, reduction="sum"
    ),
    "ctc_loss impossible": lambda F, f: F.ctc_loss(
        F.log_softmax(f.x(4, 2, 5), 2), f.T.tensor([[1, 1, 1], [1, 2, 3]]), (4, 4), (3, 3), zero_infinity=True, reduction="none"
    ),
    "ctc_loss infinite": lambda F, f: F.ctc_loss(
        F.log_softmax(f.x(4, 2, 5, grad=False), 2), f.T.tensor([[1, 1, 1], [1, 2, 3]]), (4, 4), (3, 3), reduction="none"
    ),
    "ctc_loss empty target": lambda F, f: F.ctc_loss(
        F.log_softmax(f.x(4, 2, 5), 2), f.T.tensor([[1, 1], [1, 2]]), (4, 3), (0, 2), reduction="none"
    ),
    "ctc_loss single": lambda F, f: F.ctc_loss(F.log_softmax(f.x(6, 5), 1), f.T.tensor([1, 2]), (6,), (2,)),
}

for _mode in ("bilinear", "nearest", "bicubic"):
    for _pad in ("zeros", "border", "reflection"):
        for _corners in (True, False):
            CALLS[f"grid_sample {_mode} {_pad} {_corners}"] = (
                lambda F, f, m=_mode, p=_pad, c=_corners: F.grid_sample(
                    f.x(2, 3, 5, 4), f.x(2, 3, 6, 2, low=-1.7, high=1.7), m, p, align_corners=c
                )
            )
            if _mode != "bicubic":
                CALLS[f"grid_sample 3d {_mode} {_pad} {_corners}"] = (
                    lambda F, f, m=_mode, p=_pad, c=_corners: F.grid_sample(
                        f.x(2, 3, 3, 5, 4), f.x(2, 3, 2, 2, 3, low=-1.7, high=1.7), m, p, align_corners=c
                    )
                )


def mha_options(T, f):
    causal = T.triu(T.ones(5, 5), 1).bool() if T is torch else T.triu(T.ones(5, 5), 1) > 0
    padding = T.tensor([[False] * 5, [False] * 3 + [True] * 2, [False] * 4 + [True]])
    bias = f.x(5, 5)
    yield {"attn_mask": causal}
    yield {"attn_mask": bias, "need_weights": False}
    yield {"key_padding_mask": padding}
    yield {"key_padding_mask": padding, "attn_mask": causal, "average_attn_weights": False}
    yield {"key_padding_mask": padding, "attn_mask": bias.detach(), "need_weights": False}
    yield {"attn_mask": causal, "is_causal": True, "need_weights": False}
    yield {"attn_mask": f.x(6, 5, 5), "need_weights": False}
    yield {"attn_mask": f.x(6, 5, 5)}


def run(T, call):
    feed = Feed(T)
    T.manual_seed(1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = call(T.nn.functional, feed)
    outputs = list(result) if isinstance(result, (tuple, list)) else [result]
    total = 0
    for out in outputs:
        if out is not None and out.requires_grad:
            weights = np.linspace(0.5, 1.5, out.numel(), dtype=np.float32).reshape(out.shape)
            total = total + (out * T.from_numpy(weights)).sum()
    if isinstance(total, T.Tensor):
        total.backward()
    grads = [leaf.grad for leaf in feed.leaves]
    return outputs, grads, [w.category.__name__ for w in caught]


def same(ours, theirs, what, tolerance=3e-5):
    assert (ours is None) == (theirs is None), what
    if theirs is not None:
        assert str(ours.dtype) == str(theirs.dtype), what
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), tolerance, tolerance, err_msg=what)


def compare(call, tolerance=3e-5):
    ours, our_grads, our_warnings = run(rushlight, call)
    theirs, their_grads, their_warnings = run(torch, call)
    assert len(ours) == len(theirs)
    for i, (a, b) in enumerate(zip(ours, theirs)):
        same(a, b, f"output {i}", tolerance)
    for i, (a, b) in enumerate(zip(our_grads, their_grads)):
        same(a, b, f"gradient {i}", max(tolerance, 1e-4))
    assert our_warnings == their_warnings


@pytest.mark.parametrize("name", CALLS)
def test_function(name):
    compare(CALLS[name])


@pytest.mark.parametrize("i", range(8))
@pytest.mark.parametrize("extra", [{}, {"add_bias_kv": True, "add_zero_attn": True}])
def test_multi_head_attention_masks(i, extra):
    def call(F, f):
        T = f.T
        options = list(mha_options(T, f))[i]
        T.manual_seed(2)
        module = T.nn.MultiheadAttention(8, 2, **extra)
        query = f.x(5, 3, 8)
        return module(query, query, query, **options)

    compare(call)


def test_dropout_with_a_seed_leaves_the_global_stream_alone():
    x = rushlight.ones(50)
    rushlight.manual_seed(9)
    expected = rushlight.nn.functional.dropout(x, 0.4, True)
    rushlight.manual_seed(1)
    after = rushlight.rand(3)
    rushlight.manual_seed(1)
    got = rushlight.nn.functional.dropout(x, 0.4, True, seed=9)
    assert got.tolist() == expected.tolist()
    assert rushlight.rand(3).tolist() == after.tolist()
    assert rushlight.nn.functional.dropout(x, 0.4, False, seed=9) is x


# Names of torch.nn.functional that are not functions for users, or need what does not exist here.
NOT_HERE = {
    "assert_int_or_pair", "boolean_dispatch", "handle_torch_function", "has_torch_function", "has_torch_function_unary",
    "has_torch_function_variadic", "grouped_mm", "scaled_grouped_mm", "scaled_mm", "scaled_addmm", "scaled_addmm_",
}  # fmt: skip


def public(module):
    for name in dir(module):
        value = getattr(module, name)
        if not name.startswith("_") and callable(value) and not isinstance(value, type):
            yield name, value


def test_every_public_function_is_there():
    import typing

    names = {n for n, v in public(torch.nn.functional) if not isinstance(v, typing._Final) and not hasattr(typing, n)}
    missing = {n for n in names - NOT_HERE if not n.startswith("Broadcasting") and not hasattr(rushlight.nn.functional, n)}
    assert missing == set()


def test_python_functions_have_pytorchs_parameters():
    different = {}
    for name, ours in public(rushlight.nn.functional):
        theirs = getattr(torch.nn.functional, name, None)
        if not inspect.isfunction(ours) or not inspect.isfunction(theirs):
            continue
        a, b = (list(inspect.signature(f).parameters) for f in (ours, theirs))
        if b != ["args", "kwargs"] and a != b:
            different[name] = (a, b)
    assert set(different) <= {"dropout", "native_channel_shuffle"}, different  # dropout has a seed besides


def test_every_layer_is_there():
    missing = [n for n in torch.nn.modules.__all__ if not hasattr(rushlight.nn, n)]
    # One needs several processes, one is a legacy, and one chooses among ways to save memory.
    assert set(missing) <= {"SyncBatchNorm", "CrossMapLRN2d", "LinearCrossEntropyOptions"}


OTHER_DEVICES = {"ipu", "mtia", "xpu", "T_destination"}


def test_layers_have_pytorchs_parameters():
    different = {}
    for name in torch.nn.modules.__all__:
        ours, theirs = getattr(rushlight.nn, name, None), getattr(torch.nn, name)
        if ours is None:
            continue
        a, b = (list(inspect.signature(c).parameters) for c in (ours, theirs))
        if "args" not in a + b and a != b:
            different[name] = (a, b)
        for method in vars(theirs):
            if not method.startswith("_") and method not in OTHER_DEVICES and not hasattr(ours, method):
                different[f"{name}.{method}"] = "missing"
    assert different == {}
