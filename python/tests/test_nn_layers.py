"""Every layer against live PyTorch: printed form, first values, outputs, and gradients of inputs and parameters."""

import warnings

import numpy as np
import pytest

import rushlight

torch = pytest.importorskip("torch")


class Ints:
    """Stands for an integer input with values below `high`."""

    def __init__(self, high, *shape):
        self.high, self.shape = high, shape


class Prob(tuple):
    """Stands for an input with values between 0 and 1."""


class Signs(tuple):
    """Stands for targets 1 and -1, which get no gradient."""


class Raw:
    """Stands for an input that is not a tensor, or one with given elements (then `dtype` says which)."""

    def __init__(self, value, tensor=True):
        self.value, self.tensor = value, tensor


# Constructor, and what the inputs are: a tuple is the shape of random floats.
LAYERS = [
    ("Identity(5, a=3)", [(2, 3)]),
    ("Linear(3, 4)", [(2, 3)]),
    ("Linear(3, 4)", [(5, 2, 3)]),
    ("Linear(3, 4, bias=False)", [(3,)]),
    ("Linear(3, 4, dtype=torch.float64)", None),
    ("Bilinear(3, 4, 5)", [(2, 3), (2, 4)]),
    ("Bilinear(3, 4, 5, bias=False)", [(2, 6, 3), (2, 6, 4)]),
    ("Conv1d(4, 6, 3)", [(2, 4, 9)]),
    ("Conv1d(4, 6, 3, stride=2, padding=2, dilation=2, groups=2)", [(2, 4, 9)]),
    ("Conv1d(4, 6, 4, padding='same')", [(2, 4, 9)]),
    ("Conv1d(4, 6, 4, padding='same', padding_mode='circular')", [(2, 4, 9)]),
    ("Conv1d(4, 6, 3, padding=1, padding_mode='reflect')", [(4, 9)]),
    ("Conv2d(3, 4, 3)", [(2, 3, 7, 8)]),
    ("Conv2d(3, 4, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), bias=False)", [(2, 3, 7, 8)]),
    ("Conv2d(3, 3, 3, groups=3, padding='valid')", [(3, 7, 8)]),
    ("Conv2d(3, 4, (3, 4), padding='same', dilation=(1, 2))", [(2, 3, 7, 8)]),
    ("Conv2d(3, 4, 3, padding=(1, 2), padding_mode='replicate')", [(2, 3, 7, 8)]),
    ("Conv3d(2, 4, 2, stride=2, padding=1)", [(2, 2, 4, 5, 6)]),
    ("Conv3d(2, 4, (1, 2, 3), groups=2)", [(2, 2, 4, 5, 6)]),
    ("ConvTranspose1d(4, 6, 3, stride=2, padding=1, output_padding=1)", [(2, 4, 5)]),
    ("ConvTranspose2d(4, 6, 3, stride=2, groups=2, bias=False, dilation=2)", [(2, 4, 5, 4)]),
    ("ConvTranspose2d(4, 6, (3, 2), padding=(1, 0))", [(4, 5, 4)]),
    ("ConvTranspose3d(2, 3, 2, stride=(1, 2, 1))", [(2, 2, 3, 3, 2)]),
    ("BatchNorm1d(4)", [(5, 4)]),
    ("BatchNorm1d(4, momentum=None)", [(5, 4, 3)]),
    ("BatchNorm1d(4, affine=False, track_running_stats=False)", [(5, 4, 3)]),
    ("BatchNorm2d(3, eps=1e-3, momentum=0.3)", [(2, 3, 4, 5)]),
    ("BatchNorm2d(3, bias=False)", [(2, 3, 4, 5)]),
    ("BatchNorm3d(3)", [(2, 3, 2, 3, 2)]),
    ("InstanceNorm1d(3)", [(2, 3, 5)]),
    ("InstanceNorm1d(3, affine=True)", [(3, 5)]),
    ("InstanceNorm2d(3, affine=True, track_running_stats=True)", [(2, 3, 4, 5)]),
    ("InstanceNorm3d(2, eps=0.1)", [(2, 2, 2, 3, 4)]),
    ("LayerNorm(5)", [(2, 3, 5)]),
    ("LayerNorm((3, 5), eps=1e-3, bias=False)", [(2, 3, 5)]),
    ("GroupNorm(2, 6, bias=False)", [(3, 6, 4)]),
    ("LayerNorm([3, 5], elementwise_affine=False)", [(2, 3, 5)]),
    ("GroupNorm(2, 6)", [(3, 6, 4)]),
    ("GroupNorm(3, 6, affine=False)", [(3, 6)]),
    ("RMSNorm(5)", [(2, 3, 5)]),
    ("RMSNorm((3, 5), eps=1e-2, elementwise_affine=False)", [(2, 3, 5)]),
    ("LocalResponseNorm(3, alpha=0.1, k=2.0)", [(2, 7, 4)]),
    ("LocalResponseNorm(2, alpha=0.1)", [(2, 7, 4, 3)]),
    ("Threshold(0.1, 20)", [(3, 4)]),
    ("Threshold(0.1, 20, inplace=True)", [(3, 4)]),
    ("ReLU()", [(3, 4)]),
    ("ReLU(inplace=True)", [(3, 4)]),
    ("RReLU()", [(3, 4)]),
    ("RReLU(0.2, 0.4, inplace=True)", [(3, 4)]),
    ("Hardtanh()", [(3, 4)]),
    ("Hardtanh(-0.5, 2, inplace=True)", [(3, 4)]),
    ("ReLU6()", [(3, 4)]),
    ("ReLU6(True)", [(3, 4)]),
    ("Sigmoid()", [(3, 4)]),
    ("Hardsigmoid()", [(3, 4)]),
    ("Hardsigmoid(inplace=True)", [(3, 4)]),
    ("Tanh()", [(3, 4)]),
    ("SiLU()", [(3, 4)]),
    ("SiLU(inplace=True)", [(3, 4)]),
    ("Mish(inplace=True)", [(3, 4)]),
    ("Hardswish(inplace=True)", [(3, 4)]),
    ("ELU(0.7)", [(3, 4)]),
    ("ELU(inplace=True)", [(3, 4)]),
    ("CELU(0.7, inplace=True)", [(3, 4)]),
    ("SELU()", [(3, 4)]),
    ("SELU(inplace=True)", [(3, 4)]),
    ("GLU()", [(3, 4)]),
    ("GLU(0)", [(6, 4)]),
    ("GELU()", [(3, 4)]),
    ("GELU('tanh')", [(3, 4)]),
    ("Hardshrink()", [(3, 4)]),
    ("Softshrink(0.3)", [(3, 4)]),
    ("LeakyReLU(0.2)", [(3, 4)]),
    ("LeakyReLU(inplace=True)", [(3, 4)]),
    ("LogSigmoid()", [(3, 4)]),
    ("Softplus()", [(3, 4)]),
    ("Softplus(2, 1)", [(3, 4)]),
    ("PReLU()", [(3, 4)]),
    ("PReLU(4, init=0.1)", [(3, 4)]),
    ("Softsign()", [(3, 4)]),
    ("Tanhshrink()", [(3, 4)]),
    ("Softmin(1)", [(3, 4)]),
    ("Softmax(dim=-1)", [(3, 4)]),
    ("Softmax()", [(3, 4, 2)]),
    ("Softmax2d()", [(2, 3, 4, 2)]),
    ("LogSoftmax(dim=0)", [(3, 4)]),
    ("Dropout(0.3)", [(30, 4)]),
    ("Dropout(0.3, inplace=True)", [(30, 4)]),
    ("Dropout1d()", [(3, 8, 2)]),
    ("Dropout2d(0.4)", [(3, 8, 2, 2)]),
    ("Dropout3d(0.4)", [(3, 8, 2, 2, 2)]),
    ("AlphaDropout(0.3)", [(30, 4)]),
    ("FeatureAlphaDropout(0.3)", [(6, 4, 3)]),
    ("MaxPool1d(3)", [(2, 3, 9)]),
    ("MaxPool1d(3, stride=2, padding=1, dilation=2, return_indices=True, ceil_mode=True)", [(2, 3, 10)]),
    ("MaxPool2d((3, 2), stride=(2, 1), padding=(1, 0))", [(2, 3, 7, 6)]),
    ("MaxPool2d(2, return_indices=True)", [(3, 7, 6)]),
    ("MaxPool3d(2, ceil_mode=True)", [(2, 3, 3, 5, 4)]),
    ("AvgPool1d(3, 2, 1)", [(2, 3, 9)]),
    ("AvgPool1d(3, ceil_mode=True, count_include_pad=False)", [(2, 3, 10)]),
    ("AvgPool2d((3, 2), padding=(1, 1), count_include_pad=False)", [(2, 3, 7, 6)]),
    ("AvgPool2d(3, 2, divisor_override=4)", [(2, 3, 7, 6)]),
    ("AvgPool3d(2, ceil_mode=True)", [(2, 3, 3, 5, 4)]),
    ("LPPool1d(2, 3, stride=2)", [(2, 3, 9)]),
    ("LPPool2d(3.0, (2, 3), ceil_mode=True)", [Prob((2, 3, 7, 6))]),
    ("LPPool3d(2, 2)", [(2, 3, 4, 4, 4)]),
    ("AdaptiveAvgPool1d(4)", [(2, 3, 9)]),
    ("AdaptiveAvgPool2d((3, None))", [(2, 3, 7, 5)]),
    ("AdaptiveAvgPool3d(2)", [(2, 3, 3, 4, 5)]),
    ("AdaptiveMaxPool1d(4, return_indices=True)", [(2, 3, 9)]),
    ("AdaptiveMaxPool2d((None, 2))", [(2, 3, 7, 5)]),
    ("AdaptiveMaxPool3d((2, 1, None), True)", [(2, 3, 3, 4, 5)]),
    ("FractionalMaxPool2d(2, output_size=(3, 4))", [(2, 3, 8, 9)]),
    ("FractionalMaxPool2d((2, 3), output_ratio=0.5, return_indices=True)", [(3, 8, 9)]),
    ("FractionalMaxPool3d(2, output_size=3)", [(2, 2, 6, 7, 8)]),
    ("MaxUnpool1d(2)", [(2, 3, 4), Raw(np.tile([0, 3, 4, 7], (2, 3, 1)))]),
    ("MaxUnpool2d(2, stride=2)", [(1, 1, 2, 2), Raw(np.array([[[[1, 2], [13, 14]]]]))]),
    ("MaxUnpool3d(2)", [(1, 1, 1, 1, 2), Raw(np.array([[[[[1, 12]]]]]))]),
    ("ConstantPad1d((1, 2), 3.5)", [(2, 3, 4)]),
    ("ConstantPad2d(1, -1)", [(2, 3, 4)]),
    ("ConstantPad3d((1, 0, 2, -1, 1, 1), 0.5)", [(2, 3, 4, 3, 2)]),
    ("ZeroPad1d(2)", [(2, 3, 4)]),
    ("ZeroPad2d((1, 2, 0, 1))", [(2, 3, 4, 4)]),
    ("ZeroPad3d(1)", [(2, 3, 4, 4, 2)]),
    ("ReflectionPad1d(2)", [(2, 3, 4)]),
    ("ReflectionPad2d((1, 2, 0, 1))", [(2, 3, 4, 4)]),
    ("ReflectionPad3d(1)", [(2, 3, 4, 4, 2)]),
    ("ReplicationPad1d((3, 1))", [(2, 3, 4)]),
    ("ReplicationPad2d(2)", [(3, 4, 4)]),
    ("ReplicationPad3d(1)", [(2, 3, 4, 4, 2)]),
    ("CircularPad1d((3, 1))", [(2, 3, 4)]),
    ("CircularPad2d(2)", [(2, 3, 4, 4)]),
    ("CircularPad3d(1)", [(2, 3, 4, 4, 2)]),
    ("PixelShuffle(2)", [(2, 8, 3, 4)]),
    ("PixelUnshuffle(2)", [(2, 3, 4, 6)]),
    ("ChannelShuffle(2)", [(2, 6, 3, 2)]),
    ("Upsample(scale_factor=2)", [(2, 3, 4, 5)]),
    ("Upsample(size=(7, 5), mode='bilinear')", [(2, 3, 4, 5)]),
    ("Upsample(scale_factor=(2, 3), mode='bicubic', align_corners=True)", [(2, 3, 4, 5)]),
    ("Upsample(scale_factor=2, mode='linear')", [(2, 3, 4)]),
    ("UpsamplingNearest2d(size=(6, 7))", [(2, 3, 4, 5)]),
    ("UpsamplingBilinear2d(scale_factor=2)", [(2, 3, 4, 5)]),
    ("Flatten()", [(2, 3, 4)]),
    ("Flatten(0, 1)", [(2, 3, 4)]),
    ("Unflatten(1, (2, 3))", [(2, 6, 4)]),
    ("Unfold((2, 3), padding=1, stride=(1, 2))", [(2, 3, 5, 6)]),
    ("Fold((5, 6), (2, 2), stride=2, padding=(1, 0))", [(2, 8, 9)]),
    ("CosineSimilarity(dim=2, eps=1e-3)", [(2, 3, 4), (2, 3, 4)]),
    ("PairwiseDistance(p=3.0, keepdim=True)", [(2, 3, 4), (2, 3, 4)]),
    ("Embedding(7, 3)", [Ints(7, 2, 4)]),
    ("Embedding(7, 3, padding_idx=-2)", [Ints(7, 20)]),
    ("Embedding(7, 3, max_norm=1.0, norm_type=1.5)", [Ints(7, 4)]),
    ("Embedding(7, 3, padding_idx=1, scale_grad_by_freq=True)", [Ints(7, 20)]),
    ("EmbeddingBag(7, 3)", [Ints(7, 4, 5)]),
    ("EmbeddingBag(7, 3, mode='sum', padding_idx=2)", [Ints(7, 4, 5)]),
    ("EmbeddingBag(7, 3, mode='sum')", [Ints(7, 4, 5), Raw(None, False), (4, 5)]),
    ("EmbeddingBag(7, 3, mode='max')", [Ints(7, 9), Raw([0, 2, 2, 5])]),
    ("EmbeddingBag(7, 3, mode='mean', include_last_offset=True, max_norm=1.0)", [Ints(7, 9), Raw([0, 2, 2, 9])]),
    ("EmbeddingBag(7, 3, mode='mean', padding_idx=0, scale_grad_by_freq=True)", [Ints(7, 9), Raw([0, 2, 2, 5])]),
    ("L1Loss()", [(3, 4), (3, 4)]),
    ("MSELoss(reduction='sum')", [(3, 4), (3, 4)]),
    ("MSELoss(size_average=False)", [(3, 4), (3, 4)]),
    ("L1Loss(reduce=False)", [(3, 4), (3, 4)]),
    ("SmoothL1Loss(beta=0.5)", [(3, 4), (3, 4)]),
    ("SmoothL1Loss(beta=0.0)", [(3, 4), (3, 4)]),
    ("HuberLoss('none', 0.7)", [(3, 4), (3, 4)]),
    ("CrossEntropyLoss()", [(5, 4), Ints(4, 5)]),
    ("CrossEntropyLoss(torch.tensor([1.0, 2.0, 0.5, 0.1]), ignore_index=2, label_smoothing=0.2)", [(5, 4, 2), Ints(4, 5, 2)]),
    ("CrossEntropyLoss(reduction='none')", [(5, 4), Prob((5, 4))]),
    ("NLLLoss(torch.tensor([1.0, 2.0, 0.5, 0.1]))", [(5, 4), Ints(4, 5)]),
    ("NLLLoss(reduction='sum', ignore_index=1)", [(5, 4, 3), Ints(4, 5, 3)]),
    ("PoissonNLLLoss(full=True)", [(3, 4), Ints(9, 3, 4)]),
    ("PoissonNLLLoss(log_input=False, reduction='sum')", [Prob((3, 4)), Ints(9, 3, 4)]),
    ("GaussianNLLLoss()", [(3, 4), (3, 4), Prob((3, 1))]),
    ("GaussianNLLLoss(full=True, reduction='none', eps=0.3)", [(3, 4), (3, 4), Prob((3, 4))]),
    ("KLDivLoss(reduction='batchmean')", [(3, 4), Prob((3, 4))]),
    ("KLDivLoss(log_target=True)", [(3, 4), (3, 4)]),
    ("BCELoss()", [Prob((3, 4)), Prob((3, 4))]),
    ("BCELoss(torch.tensor([1.0, 2.0, 0.5, 0.1]), reduction='sum')", [Prob((3, 4)), Prob((3, 4))]),
    ("BCEWithLogitsLoss(pos_weight=torch.tensor([1.0, 2.0, 0.5, 0.1]))", [(3, 4), Prob((3, 4))]),
    ("HingeEmbeddingLoss(0.5)", [(3, 4), Signs((3, 4))]),
    ("SoftMarginLoss()", [(3, 4), Signs((3, 4))]),
    ("MultiLabelMarginLoss()", [(2, 4), Raw([[3, 0, -1, 1], [1, 2, 0, -1]])]),
    ("MultiLabelMarginLoss(reduction='none')", [(4,), Raw([-1, 0, 2, 1])]),
    ("MultiLabelSoftMarginLoss(torch.tensor([1.0, 2.0, 0.5, 0.1]))", [(3, 4), Prob((3, 4))]),
    ("CosineEmbeddingLoss(0.1)", [(3, 4), (3, 4), Signs((3,))]),
    ("MarginRankingLoss(0.1)", [(3,), (3,), Signs((3,))]),
    ("MultiMarginLoss()", [(5, 4), Ints(4, 5)]),
    ("MultiMarginLoss(2, 0.7, torch.tensor([1.0, 2.0, 0.5, 0.1]), reduction='none')", [(5, 4), Ints(4, 5)]),
    ("TripletMarginLoss(0.7, p=1.5, swap=True)", [(3, 4), (3, 4), (3, 4)]),
    ("TripletMarginWithDistanceLoss(distance_function=nn.CosineSimilarity(), swap=True)", [(3, 4), (3, 4), (3, 4)]),
    ("AdaptiveLogSoftmaxWithLoss(8, 20, [4, 10], div_value=2.0)", [(6, 8), Ints(20, 6)]),
    ("AdaptiveLogSoftmaxWithLoss(8, 20, [4, 10], head_bias=True)", [(6, 8), Ints(20, 6)]),
    ("LinearCrossEntropyLoss(5, 4, out_features=(2,), bias=True, label_smoothing=0.1)", [(3, 5), Ints(4, 3, 2)]),
    ("RNN(3, 4)", [(5, 2, 3)]),
    ("RNN(3, 4, 2, nonlinearity='relu', bias=False, bidirectional=True)", [(5, 2, 3), (4, 2, 4)]),
    ("GRU(3, 4, num_layers=2, batch_first=True)", [(2, 5, 3)]),
    ("GRU(3, 4, bidirectional=True)", [(5, 3), (2, 4)]),
    ("LSTM(3, 4)", [(5, 2, 3)]),
    ("LSTM(3, 4, 2, dropout=0.4, bidirectional=True, batch_first=True)", [(2, 5, 3)]),
    ("LSTM(3, 4, 2, proj_size=2, bidirectional=True)", [(5, 2, 3)]),
    ("LSTM(3, 4, bias=False)", [(5, 3)]),
    ("RNNCell(3, 4)", [(2, 3)]),
    ("RNNCell(3, 4, bias=False, nonlinearity='relu')", [(3,), (4,)]),
    ("GRUCell(3, 4)", [(2, 3), (2, 4)]),
    ("LSTMCell(3, 4)", [(2, 3)]),
    ("MultiheadAttention(8, 2)", [(5, 3, 8), (6, 3, 8), (6, 3, 8)]),
    ("MultiheadAttention(8, 2, bias=False, add_zero_attn=True, batch_first=True)", [(3, 5, 8), (3, 6, 8), (3, 6, 8)]),
    ("MultiheadAttention(8, 2, add_bias_kv=True, kdim=5, vdim=6)", [(5, 3, 8), (6, 3, 5), (6, 3, 6)]),
    ("MultiheadAttention(8, 2, dropout=0.3)", [(5, 8), (6, 8), (6, 8)]),
    ("TransformerEncoderLayer(8, 2, 16, dropout=0.2)", [(5, 3, 8)]),
    ("TransformerEncoderLayer(8, 2, 16, 0.0, 'gelu', norm_first=True, batch_first=True, bias=False)", [(3, 5, 8)]),
    ("TransformerDecoderLayer(8, 2, 16, dropout=0.0)", [(5, 3, 8), (4, 3, 8)]),
    ("TransformerDecoderLayer(8, 2, 16, 0.0, nn.ReLU(), norm_first=True)", [(5, 3, 8), (4, 3, 8)]),
    ("TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, 0.0), 2, nn.LayerNorm(8))", [(5, 3, 8)]),
    ("Transformer(8, 2, 1, 2, 16, 0.0)", [(5, 3, 8), (4, 3, 8)]),
    ("Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Sequential(nn.Linear(4, 2)))", [(2, 3)]),
    ("ModuleList([nn.Linear(3, 4), nn.ReLU(), nn.ReLU()])", None),
    ("ModuleDict({'a': nn.Linear(3, 4), 'b': nn.ModuleList()})", None),
    ("ParameterList([torch.ones(2, 3), 5, torch.zeros(1)])", None),
    ("ParameterDict({'a': torch.ones(2, 3), 'b': 'text'})", None),
    ("ParameterDict({'a': torch.ones(2, 3)})", None),
]


def make(library, text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return eval("nn." + text, {"nn": library.nn, "torch": library})


def arrays(specs, seed=0):
    """Returns the inputs as NumPy arrays (or as they are); float32 ones are to get gradients, float16 ones are not."""
    rng = np.random.default_rng(seed)
    out = []
    for spec in specs:
        if isinstance(spec, Ints):
            out.append(rng.integers(0, spec.high, spec.shape))
        elif isinstance(spec, Raw):
            out.append(np.asarray(spec.value) if spec.tensor else spec.value)
        elif isinstance(spec, Prob):
            out.append(rng.uniform(0.02, 0.98, spec).astype(np.float32))
        elif isinstance(spec, Signs):
            out.append(rng.choice([-1.0, 1.0], spec).astype(np.float16))
        else:
            out.append(rng.standard_normal(spec).astype(np.float32))
    return out


def as_inputs(library, values):
    out = []
    for value in values:
        if isinstance(value, np.ndarray):
            needs_grad = value.dtype == np.float32
            value = library.from_numpy(value.astype(np.float32) if value.dtype == np.float16 else value.copy())
            value.requires_grad_(needs_grad)
        out.append(value)
    return out


def leaves(value):
    if isinstance(value, (tuple, list)):
        for part in value:
            yield from leaves(part)
    elif value is not None:
        yield value


def to_numpy(tensor):
    return tensor.detach().numpy()


def run(library, module, values):
    """Returns outputs, and gradients of inputs and parameters under an uneven sum of the outputs."""
    inputs = as_inputs(library, values)
    # In-place layers must not meet leaves.
    args = [x * 1 if isinstance(x, library.Tensor) and x.requires_grad else x for x in inputs]
    library.manual_seed(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outputs = list(leaves(module(*args)))
    total = 0
    for out in outputs:
        if out.is_floating_point() and out.requires_grad:
            weights = np.linspace(0.5, 1.5, max(out.numel(), 1), dtype=np.float32)[: out.numel()].reshape(out.shape)
            total = total + (out * library.from_numpy(weights.copy())).sum()
    if isinstance(total, library.Tensor):
        total.backward()
    grads = {f"input {i}": x.grad for i, x in enumerate(inputs) if isinstance(x, library.Tensor)}
    grads.update((name, p.grad) for name, p in module.named_parameters())
    return outputs, grads


def seeded(library, text, seed=11):
    library.manual_seed(seed)
    return make(library, text)


def close(ours, theirs, what, tolerance=2e-5):
    assert (ours is None) == (theirs is None), what
    if ours is not None:
        assert tuple(ours.shape) == tuple(theirs.shape), what
        assert str(ours.dtype) == str(theirs.dtype), what
        np.testing.assert_allclose(to_numpy(ours), to_numpy(theirs), tolerance, tolerance, err_msg=what)


@pytest.mark.parametrize("text, specs", LAYERS, ids=[f"{i}-{text[:60]}" for i, (text, _) in enumerate(LAYERS)])
def test_layer(text, specs):
    ours, theirs = seeded(rushlight, text), seeded(torch, text)
    assert repr(ours) == repr(theirs)
    our_state, their_state = ours.state_dict(), theirs.state_dict()
    assert list(our_state) == list(their_state)
    for key in their_state:
        close(our_state[key], their_state[key], key, 1e-6)
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    if specs is None:
        return
    values = arrays(specs)
    for mode in (True, False):
        ours.load_state_dict({k: rushlight.from_numpy(to_numpy(v).copy()) for k, v in theirs.state_dict().items()})
        ours.train(mode), theirs.train(mode)
        ours.zero_grad(), theirs.zero_grad()
        our_outputs, our_grads = run(rushlight, ours, values)
        their_outputs, their_grads = run(torch, theirs, values)
        assert len(our_outputs) == len(their_outputs)
        for i, (a, b) in enumerate(zip(our_outputs, their_outputs)):
            close(a, b, f"output {i}, training={mode}")
        for name, grad in their_grads.items():
            close(our_grads[name], grad, f"gradient of {name}, training={mode}", 1e-4)
        for (name, a), b in zip(ours.named_buffers(), theirs.buffers()):
            close(a, b, f"buffer {name} afterwards")


BAD = [
    ("Linear(3, 4)", [(2, 5)]),
    ("Conv1d(4, 6, 3, groups=3)", None),
    ("Conv2d(3, 4, 3, padding='other')", None),
    ("Conv2d(3, 4, 3, stride=2, padding='same')", None),
    ("Conv2d(3, 4, 3, padding_mode='other')", None),
    ("Conv2d(3, 4, 3)", [(2, 4, 7, 8)]),
    ("ConvTranspose2d(3, 4, 3, padding_mode='reflect')", None),
    ("BatchNorm1d(4)", [(5, 4, 3, 2)]),
    ("BatchNorm1d(4)", [(1, 4)]),
    ("BatchNorm2d(4)", [(5, 4, 3)]),
    ("InstanceNorm2d(4)", [(5, 4)]),
    ("InstanceNorm1d(4, affine=True)", [(5, 3, 3)]),
    ("LayerNorm(4)", [(5, 3)]),
    ("GroupNorm(4, 6)", None),
    ("Dropout(1.5)", None),
    ("Hardtanh(2, 1)", None),
    ("Softmax2d()", [(3, 4)]),
    ("MultiheadAttention(8, 3)", None),
    ("MultiheadAttention(0, 3)", None),
    ("MultiheadAttention(8, 2)", [(8,), (8,), (8,)]),
    ("MultiheadAttention(8, 2)", [(3, 8), (3, 2, 8), (3, 2, 8)]),
    ("Embedding(7, 3, padding_idx=7)", None),
    ("EmbeddingBag(7, 3)", [Ints(7, 9)]),
    ("CircularPad1d(1)", [(3,)]),
    ("MaxUnpool1d(2)", [(2, 3, 4), Raw(np.full((2, 3, 4), 99))]),
    ("FractionalMaxPool2d(2)", None),
    ("FractionalMaxPool2d(2, output_ratio=1.5)", None),
    ("Unflatten(1, 3)", None),
    ("Unflatten(1, ('a', 3))", None),
    ("BCELoss()", [Prob((3, 4)), Prob((3, 1))]),
    ("BCEWithLogitsLoss()", [(3, 4), Prob((3,))]),
    ("GaussianNLLLoss()", [(3, 4), (3, 4), (3, 4)]),
    ("MultiMarginLoss(p=3)", None),
    ("TripletMarginLoss(margin=0)", None),
    ("MarginRankingLoss()", [(3, 2), (3,), Signs((3,))]),
    ("L1Loss(reduction='other')", [(3, 4), (3, 4)]),
    ("MultiLabelMarginLoss()", [(2, 4), Ints(3, 2, 3)]),
    ("AdaptiveLogSoftmaxWithLoss(8, 20, [10, 4])", None),
    ("AdaptiveLogSoftmaxWithLoss(8, 20, [4])", [(6, 8), Raw([20] * 6)]),
    ("RNN(3, 4, nonlinearity='other')", None),
    ("RNN(3, 4, dropout=2)", None),
    ("GRU(3, 4, proj_size=2)", None),
    ("LSTM(3, 0)", None),
    ("LSTM(3, 4.0)", None),
    ("LSTM(3, 4, proj_size=4)", None),
    ("LSTM(3, 4)", [(5, 2, 5)]),
    ("LSTM(3, 4)", [(5,)]),
    ("GRU(3, 4)", [(5, 2, 3), (1, 3, 4)]),
    ("GRU(3, 4)", [(5, 2, 3), (1, 4)]),
    ("GRUCell(3, 4)", [(2, 5)]),
    ("RNNCell(3, 4)", [(2, 2, 3)]),
    ("TransformerEncoderLayer(8, 2, activation='other')", None),
    ("Transformer(8, 2, 1, 1, 16)", [(5, 3, 8), (4, 2, 8)]),
    ("Sequential(nn.ReLU(), 5)", None),
    ("ModuleList(5)", None),
    ("ModuleDict([('a',)])", None),
    ("ChannelShuffle(4)", [(2, 6, 3)]),
    ("PixelShuffle(2)", [(2, 6, 3, 3)]),
    ("Bilinear(0, 2, 3)", None),
    ("Module(5)", None),
    ("Module(a=5)", None),
    ("Module()", [(2,)]),
]


def failure(library, text, specs):
    try:
        module = make(library, text)
        if specs is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                module(*as_inputs(library, arrays(specs)))
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize("text, specs", BAD, ids=[f"{i}-{text[:60]}" for i, (text, _) in enumerate(BAD)])
def test_bad_input_raises_the_same_type(text, specs):
    theirs = failure(torch, text, specs)
    assert theirs is not None
    ours = failure(rushlight, text, specs)
    assert type(ours) is type(theirs), (ours, theirs)


LAZY = [
    ("LazyLinear(4)", (2, 3)),
    ("LazyLinear(4, bias=False)", (2, 3)),
    ("LazyConv1d(6, 3, padding=1)", (2, 4, 9)),
    ("LazyConv2d(6, 3, 1, 1, 1, 2, False)", (2, 4, 9, 9)),
    ("LazyConv3d(2, 2)", (2, 4, 3, 3, 3)),
    ("LazyConvTranspose1d(6, 3, stride=2)", (2, 4, 9)),
    ("LazyConvTranspose2d(6, 3, groups=2)", (2, 4, 5, 5)),
    ("LazyConvTranspose3d(2, 2)", (2, 4, 3, 3, 3)),
    ("LazyBatchNorm1d()", (5, 4)),
    ("LazyBatchNorm2d(bias=False)", (5, 4, 2, 2)),
    ("LazyBatchNorm3d(affine=False)", (5, 4, 2, 2, 2)),
    ("LazyInstanceNorm1d()", (5, 4, 3)),
    ("LazyInstanceNorm2d(track_running_stats=False)", (5, 4, 3, 3)),
    ("LazyInstanceNorm3d()", (5, 4, 3, 3, 2)),
]


@pytest.mark.parametrize("text, shape", LAZY, ids=[text for text, _ in LAZY])
def test_lazy_layer(text, shape):
    (value,) = arrays([shape])
    results = []
    for library in (rushlight, torch):
        library.manual_seed(5)
        module = make(library, text)
        before = repr(module)
        assert not module.has_uninitialized_params() or list(module.parameters()) or list(module.buffers())
        out = module(library.from_numpy(value.copy()))
        assert type(module).__name__ == text.split("(")[0].removeprefix("Lazy")
        results.append((before, repr(module), module.state_dict(), out))
    ours, theirs = results
    assert ours[0] == theirs[0]
    assert ours[1] == theirs[1]
    assert list(ours[2]) == list(theirs[2])
    for key in theirs[2]:
        close(ours[2][key], theirs[2][key], key)
    close(ours[3], theirs[3], "output")


def fixed(library, *shape):
    return library.from_numpy(np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape).copy())


def classes(library, *numbers):
    return library.tensor(list(numbers))


# Calls beyond forward: a name, a constructor, and what to ask of the layer.
METHODS = [
    ("log_prob", "AdaptiveLogSoftmaxWithLoss(8, 20, [4, 10])", lambda T, m: m.log_prob(fixed(T, 6, 8))),
    ("predict", "AdaptiveLogSoftmaxWithLoss(8, 20, [4, 10])", lambda T, m: m.predict(fixed(T, 6, 8) * 9)),
    ("one sample", "AdaptiveLogSoftmaxWithLoss(8, 20, [4, 10])", lambda T, m: m(fixed(T, 8), T.tensor(12))),
    ("output_size", "ConvTranspose2d(2, 3, 3, stride=2)", lambda T, m: m(fixed(T, 1, 2, 4, 4), output_size=(10, 9))),
    ("output_size", "ConvTranspose1d(2, 3, 3, stride=2)", lambda T, m: m(fixed(T, 1, 2, 4), output_size=[1, 3, 10])),
    ("output_size", "MaxUnpool1d(2)", lambda T, m: m(fixed(T, 1, 1, 2), T.tensor([[[1, 4]]]), output_size=(5,))),
    ("all_weights", "LSTM(2, 3, 2, bidirectional=True)", lambda T, m: m.all_weights),
    ("state", "LSTM(2, 3)", lambda T, m: m(fixed(T, 4, 1, 2), (fixed(T, 1, 1, 3), fixed(T, 1, 1, 3)))),
    ("state", "LSTMCell(2, 3)", lambda T, m: m(fixed(T, 2), (fixed(T, 3), fixed(T, 3)))),
    ("no batch_first states", "GRU(2, 3, batch_first=True)", lambda T, m: m(fixed(T, 2, 4, 2), fixed(T, 1, 2, 3))),
    ("merge_masks", "MultiheadAttention(4, 2)", lambda T, m: m.merge_masks(fixed(T, 3, 3), fixed(T, 2, 3), fixed(T, 2, 3, 4))),
    ("mask", "Transformer(4, 2, 1, 1, 4)", lambda T, m: m.generate_square_subsequent_mask(4)),
    (
        "masks",
        "Transformer(4, 2, 1, 1, 4, 0.0)",
        lambda T, m: m(
            fixed(T, 3, 2, 4),
            fixed(T, 5, 2, 4),
            tgt_mask=m.generate_square_subsequent_mask(5),
            src_key_padding_mask=T.tensor([[False, False, True], [False] * 3]),
        ),
    ),
    (
        "causal",
        "TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 4, 0.0), 2)",
        lambda T, m: m(fixed(T, 3, 2, 4), T.nn.Transformer.generate_square_subsequent_mask(3), is_causal=True),
    ),
    ("frozen", "Embedding.from_pretrained(torch.ones(3, 2))", lambda T, m: (m(classes(T, 2, 0)), m.weight)),
    (
        "unfrozen",
        "Embedding.from_pretrained(torch.ones(3, 2), freeze=False, padding_idx=1)",
        lambda T, m: (m(classes(T, 2, 0)), m.weight),
    ),
    ("bag", "EmbeddingBag.from_pretrained(torch.ones(3, 2), mode='sum')", lambda T, m: m(classes(T, 2, 0), classes(T, 0, 1))),
    ("bag weight", "EmbeddingBag.from_pretrained(torch.ones(3, 2))", lambda T, m: m.weight),
    ("statistics", "BatchNorm1d(2)", lambda T, m: (m(fixed(T, 4, 2)), m.reset_running_stats(), m.running_mean)),
    ("again", "Linear(2, 3)", lambda T, m: (T.manual_seed(1), m.reset_parameters(), m.weight)[2]),
    ("again", "LSTM(2, 3)", lambda T, m: (T.manual_seed(1), m.reset_parameters(), m.weight_hh_l0)[2]),
]


@pytest.mark.parametrize("what, text, ask", METHODS, ids=[f"{text.split('(')[0]}-{what}" for what, text, _ in METHODS])
def test_method(what, text, ask):
    ours_module, theirs_module = seeded(rushlight, text), seeded(torch, text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = ask(rushlight, ours_module), ask(torch, theirs_module)
    ours, theirs = list(leaves(ours)), list(leaves(theirs))
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        if isinstance(b, torch.Tensor):
            close(a, b, what)
            assert a.requires_grad == b.requires_grad
        else:
            assert a == b


def test_sizes_that_a_transposed_convolution_cannot_have():
    for library in (rushlight, torch):
        m = library.nn.ConvTranspose2d(2, 3, 3, stride=2)
        for size in ((20, 9), (9,)):
            with pytest.raises(ValueError):
                m(fixed(library, 1, 2, 4, 4), output_size=size)


def test_attention_in_an_autocast_region():
    dtypes = []
    for library in (rushlight, torch):
        m = library.nn.MultiheadAttention(8, 2)
        x = library.ones(5, 3, 8)
        with library.autocast("cpu", dtype=library.bfloat16):
            output, weights = m(x, x, x)
        dtypes.append((str(output.dtype), str(weights.dtype)))
    assert dtypes[0] == dtypes[1]


def test_deprecated_arguments_warn():
    for library in (rushlight, torch):
        with pytest.warns(UserWarning, match="please use reduction='sum'"):
            assert library.nn.MSELoss(size_average=False).reduction == "sum"
        with pytest.warns(FutureWarning, match="min_val"):
            library.nn.Hardtanh(min_value=-2)
        with pytest.warns(UserWarning, match="Implicit dimension choice"):
            library.nn.Softmax()(library.ones(2, 2))
        with pytest.warns(UserWarning, match="num_layers greater than 1"):
            library.nn.LSTM(2, 2, dropout=0.5)
        with pytest.warns(UserWarning, match="target size"):
            library.nn.MSELoss()(library.ones(2, 1), library.ones(2))


def test_sparse_gradients_are_refused():
    with pytest.raises(NotImplementedError, match="sparse"):
        rushlight.nn.Embedding(3, 2, sparse=True)
