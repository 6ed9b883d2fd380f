"""What PyTorch's layers are: initial parameters from a seed, outputs, gradients and buffers. Called by generate.py."""
import math

import torch
from torch import nn

SEED = 1000


def layers():
    """By name: the layer (built after seeding), the shapes of its inputs, and how to call it."""
    one = lambda m, x: [m(x)]

    def recurrent(m, x):
        y, state = m(x)
        return [y, *(state if isinstance(state, tuple) else (state,))]

    def started(m, x, *state):
        y, state = m(x, state if len(state) == 2 else state[0])
        return [y, *(state if isinstance(state, tuple) else (state,))]

    def attend(**kw):
        def f(m, q, k=None, v=None):
            k = q if k is None else k
            v = k if v is None else v
            y, w = m(q, k, v, **kw)
            return [y] if w is None else [y, w]

        return f

    causal = torch.ones(3, 3, dtype=torch.bool).triu(1)
    padding = torch.tensor([[False, False, False], [False, False, True]])
    numbers = torch.arange(9).reshape(3, 3) / 4 - 1
    per_head = torch.arange(36).reshape(4, 3, 3) % 5 / 2 - 1
    C = nn
    return {
        "linear": (lambda: C.Linear(5, 3), [(2, 5)], one),
        "linear_no_bias": (lambda: C.Linear(4, 6, bias=False), [(4,)], one),
        "bilinear": (lambda: C.Bilinear(3, 4, 2), [(5, 3), (5, 4)], lambda m, a, b: [m(a, b)]),
        "conv1d": (lambda: C.Conv1d(4, 6, 3, stride=2, padding=1, groups=2), [(2, 4, 7)], one),
        "conv2d": (lambda: C.Conv2d(2, 3, (3, 2), stride=(1, 2), padding=(1, 0), dilation=(1, 2)), [(2, 2, 4, 6)], one),
        "conv2d_same": (lambda: C.Conv2d(2, 2, (2, 3), padding="same", bias=False), [(1, 2, 4, 4)], one),
        "conv2d_reflect": (lambda: C.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"), [(1, 1, 4, 4)], one),
        "conv2d_circular": (lambda: C.Conv2d(1, 2, (3, 2), padding="same", padding_mode="circular"), [(1, 1, 4, 4)], one),
        "conv3d": (lambda: C.Conv3d(1, 2, 2, padding=1), [(1, 1, 2, 2, 3)], one),
        "conv_transpose1d": (lambda: C.ConvTranspose1d(4, 2, 3, stride=2, padding=1, output_padding=1, groups=2), [(2, 4, 4)], one),
        "conv_transpose2d": (lambda: C.ConvTranspose2d(3, 2, (2, 3), stride=2, bias=False, dilation=(1, 2)), [(1, 3, 2, 3)], one),
        "layer_norm": (lambda: C.LayerNorm((2, 3)), [(4, 2, 3)], one),
        "rms_norm": (lambda: C.RMSNorm(5), [(3, 5)], one),
        "group_norm": (lambda: C.GroupNorm(2, 4), [(2, 4, 3)], one),
        "batch_norm1d": (lambda: C.BatchNorm1d(3), [(5, 3)], one),
        "batch_norm2d": (lambda: C.BatchNorm2d(2, momentum=None), [(3, 2, 2, 2)], one),
        "batch_norm_bare": (lambda: C.BatchNorm1d(2, affine=False, track_running_stats=False), [(3, 2, 4)], one),
        "instance_norm2d": (lambda: C.InstanceNorm2d(2, affine=True, track_running_stats=True), [(2, 2, 2, 3)], one),
        "instance_norm1d": (lambda: C.InstanceNorm1d(2), [(2, 5)], one),
        "embedding": (lambda: C.Embedding(6, 3, padding_idx=-2), [("index", (2, 4), 6)], one),
        "prelu": (lambda: C.PReLU(3), [(2, 3, 2)], one),
        "max_pool2d": (lambda: C.MaxPool2d(2, stride=1, padding=1), [(1, 2, 3, 3)], one),
        "avg_pool1d": (lambda: C.AvgPool1d(3, padding=1, count_include_pad=False), [(2, 2, 7)], one),
        "adaptive_avg_pool2d": (lambda: C.AdaptiveAvgPool2d((2, 3)), [(1, 2, 5, 4)], one),
        "rnn": (lambda: C.RNN(3, 4, num_layers=2), [(5, 2, 3)], recurrent),
        "rnn_relu": (lambda: C.RNN(3, 2, nonlinearity="relu", bias=False, batch_first=True), [(2, 4, 3)], recurrent),
        "lstm": (lambda: C.LSTM(3, 2), [(4, 2, 3)], recurrent),
        "lstm_deep": (lambda: C.LSTM(2, 3, num_layers=2, bidirectional=True, batch_first=True), [(2, 3, 2), (4, 2, 3), (4, 2, 3)], started),
        "lstm_unbatched": (lambda: C.LSTM(2, 3, bidirectional=True), [(4, 2), (2, 3), (2, 3)], started),
        "lstm_proj": (lambda: C.LSTM(3, 4, proj_size=2), [(3, 2, 3)], recurrent),
        "gru": (lambda: C.GRU(3, 2, bidirectional=True), [(4, 3)], recurrent),
        "gru_started": (lambda: C.GRU(2, 3, num_layers=2), [(3, 2, 2), (2, 2, 3)], started),
        "rnn_cell": (lambda: C.RNNCell(3, 2), [(2, 3), (2, 2)], lambda m, x, h: [m(x, h)]),
        "lstm_cell": (lambda: C.LSTMCell(3, 2), [(2, 3), (2, 2), (2, 2)], lambda m, x, h, c: list(m(x, (h, c)))),
        "gru_cell": (lambda: C.GRUCell(3, 2, bias=False), [(3,)], one),
        "attention": (lambda: C.MultiheadAttention(4, 2), [(3, 2, 4)], attend()),
        "attention_masks": (
            lambda: C.MultiheadAttention(4, 2, batch_first=True), [(2, 3, 4)],
            attend(attn_mask=causal, key_padding_mask=padding, average_attn_weights=False),
        ),
        "attention_fast": (lambda: C.MultiheadAttention(4, 2, bias=False), [(3, 2, 4)], attend(attn_mask=numbers, need_weights=False)),
        "attention_cross": (lambda: C.MultiheadAttention(4, 1, kdim=3, vdim=2), [(2, 2, 4), (3, 2, 3), (3, 2, 2)], attend()),
        "attention_extra": (lambda: C.MultiheadAttention(4, 2, add_bias_kv=True, add_zero_attn=True), [(2, 2, 4), (3, 2, 4)], attend()),
        "attention_extra_masks": (
            lambda: C.MultiheadAttention(4, 2, add_bias_kv=True, add_zero_attn=True), [(3, 2, 4)],
            attend(attn_mask=per_head, key_padding_mask=padding, need_weights=False),
        ),
        "attention_unbatched": (lambda: C.MultiheadAttention(4, 2), [(2, 4), (3, 4), (3, 4)], attend()),
        "encoder_layer": (lambda: C.TransformerEncoderLayer(4, 2, dim_feedforward=6, dropout=0.0), [(3, 2, 4)], one),
        "encoder_layer_first": (
            lambda: C.TransformerEncoderLayer(4, 2, dim_feedforward=6, dropout=0.0, activation="gelu", batch_first=True, norm_first=True),
            [(2, 3, 4)], one,
        ),
        "sequential": (
            lambda: C.Sequential(C.Conv2d(1, 2, 2), C.BatchNorm2d(2), C.ReLU(), C.MaxPool2d(2), C.Flatten(), C.Linear(8, 2)),
            [(2, 1, 5, 5)], one,
        ),
    }


ACTIVATIONS = [
    "ReLU", "ReLU6", "LeakyReLU", "ELU", "SELU", "CELU", "GELU", "SiLU", "Mish", "Sigmoid", "LogSigmoid", "Tanh", "Tanhshrink", "Softplus", "Softsign",
    "Softshrink", "Hardshrink", "Hardtanh", "Hardsigmoid", "Hardswish",
]

I = nn.init
INITS = {
    "uniform": ((3, 4), lambda t: I.uniform_(t, -1.0, 2.0)),
    "normal": ((4, 5), lambda t: I.normal_(t, 1.0, 0.5)),
    "normal_small": ((5,), lambda t: I.normal_(t, 1.0, 0.5)),
    "eye": ((2, 3), I.eye_),
    "dirac": ((4, 2, 3), lambda t: I.dirac_(t, 2)),
    "xavier_uniform": ((3, 4, 2), lambda t: I.xavier_uniform_(t, 1.5)),
    "xavier_normal": ((3, 6), I.xavier_normal_),
    "kaiming_uniform": ((3, 4), lambda t: I.kaiming_uniform_(t, a=0.2)),
    "kaiming_normal": ((3, 2, 3), lambda t: I.kaiming_normal_(t, mode="fan_out", nonlinearity="relu")),
    "trunc_normal": ((5, 6), lambda t: I.trunc_normal_(t, 0.0, 1.0, -0.8, 1.0)),
    "trunc_normal_tail": ((4, 5), lambda t: I.trunc_normal_(t, 0.0, 1.0, 1.5, 3.0)),
    "orthogonal_tall": ((5, 3), I.orthogonal_),
    "orthogonal_wide": ((2, 3, 2), lambda t: I.orthogonal_(t, 2.0)),
    "sparse": ((5, 4), lambda t: I.sparse_(t, 0.4, 0.1)),
}


def fill(uniform, tensor, shape):
    n = math.prod(shape)
    return torch.tensor([4 * uniform(tensor, e) - 2 for e in range(n)], dtype=torch.float64).reshape(shape).float()


def exact(t):
    """Nine digits tell any two float32 apart."""
    return [float(f"{v:.9g}") for v in t.detach().double().reshape(-1).tolist()]


def short(t):
    return [float(f"{v:.7g}") for v in t.detach().double().reshape(-1).tolist()]


def layer(uniform, name, make, shapes, call, seed):
    torch.manual_seed(seed)
    m = make()
    state = [[k, list(v.shape), exact(v)] for k, v in m.state_dict().items()]
    inputs = []
    for i, s in enumerate(shapes):
        if s[0] == "index":
            inputs.append(torch.tensor([int(uniform(i, e) * s[2]) for e in range(math.prod(s[1]))]).reshape(s[1]))
        else:
            inputs.append(fill(uniform, i, s).requires_grad_())
    outs = call(m, *inputs)
    loss = sum((o * torch.tensor([0.3 + uniform(50 + i, e) for e in range(o.numel())]).reshape(o.shape).float()).sum() for i, o in enumerate(outs))
    if loss.requires_grad:
        loss.backward()
    row = {
        "name": name, "seed": seed, "state": state, "inputs": [[list(t.shape), not t.is_floating_point()] for t in inputs],
        "outs": [[list(o.shape), short(o)] for o in outs],
        "grads": [None if t.grad is None else short(t.grad) for t in inputs],
        "param_grads": [[k, short(p.grad)] for k, p in m.named_parameters() if p.grad is not None],
        "buffers": [[k, short(b)] for k, b in m.named_buffers()],
    }
    if row["buffers"]:
        m.eval()
        with torch.no_grad():
            row["eval"] = [short(o) for o in call(m, *inputs)]
    return row


def modules(uniform):
    rows = [layer(uniform, n, *spec, SEED + i) for i, (n, spec) in enumerate(layers().items())]
    for name in ACTIVATIONS:
        rows.append(layer(uniform, name, getattr(nn, name), [(2, 5)], lambda m, x: [m(2 * x)], SEED))
    inits = []
    for i, (name, (shape, f)) in enumerate(INITS.items()):
        torch.manual_seed(SEED + i)
        t = torch.empty(shape)
        f(t)
        # The next draw shows that as many numbers were drawn.
        inits.append({"name": name, "seed": SEED + i, "shape": list(shape), "values": exact(t), "next": exact(torch.rand(1))})
    return {"layers": rows, "inits": inits}
