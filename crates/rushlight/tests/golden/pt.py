"""Checkpoints as PyTorch writes them. Called by generate.py.

Each tensor in `tensors` stands beside its values, so that the file says by itself what should be read from it.
"""
import collections, io, math

import torch


def described(tensor):
    values = tensor.detach().double().flatten().tolist()
    return {"tensor": tensor, "dtype": str(tensor.dtype), "shape": list(tensor.shape), "values": values}


def tensors(uniform):
    made = {}
    for n, name in enumerate("bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64".split()):
        values = [uniform(n, e) for e in range(6)]
        dtype = getattr(torch, name)
        scaled = [u > 0.5 for u in values] if name == "bool" else [u * 8 - (0 if name == "uint8" else 4) for u in values]
        made[name] = torch.tensor(scaled).to(dtype).reshape(2, 3)
    made["extremes"] = torch.tensor([math.inf, -math.inf, math.nan, -0.0, 5e-324])
    base = torch.tensor([uniform(20, e) for e in range(24)], dtype=torch.float32).reshape(4, 6)
    made |= {"base": base, "transposed": base.t(), "stepped": base[1:, ::2], "column": base[:, 3], "element": base[2, 2]}
    made |= {"expanded": torch.tensor([[7.0], [8.0]]).expand(2, 3), "zero_dim": torch.tensor(3), "empty": torch.zeros(2, 0, 3)}
    made |= {"channels_last": torch.arange(24.0).reshape(1, 2, 3, 4).contiguous(memory_format=torch.channels_last)}
    made["parameter"] = torch.nn.Parameter(torch.tensor([1.5, -2.5]))
    marked = torch.nn.Parameter(torch.tensor([0.25]), requires_grad=False)
    marked.note = "an attribute"
    named = torch.tensor([4, 5])
    named.note = "another"
    return made | {"marked_parameter": marked, "marked_tensor": named}


def tree():
    return {
        "none": None,
        "flags": [True, False],
        "ints": (0, -1, 255, 256, 65535, 65536, -(2**31), 2**31, 2**62, -(2**63), 2**63 - 1),
        "floats": [0.1, -0.0, math.inf, math.nan],
        "text": "Stra\u00dfe \u96ea",
        "long text": "ab" * 200,
        "ordered": collections.OrderedDict([("z", 1), ("a", (2, [3, {"deep": ()}]))]),
        "numbered": {0: "zero", -7: "minus seven"},
        "counter": collections.Counter([10, 10, 20]),
        "size": torch.Size([2, 3]),
        "dtype": torch.bfloat16,
        "device": torch.device("cpu"),
        "second device": torch.device("cuda", 1),
    }


def training(uniform):
    """A model that has been trained for three steps, and its optimizer."""
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2))
    with torch.no_grad():
        for n, p in enumerate(model.parameters()):
            p.copy_(torch.tensor([uniform(30 + n, e) for e in range(p.numel())]).reshape(p.shape))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, betas=(0.8, 0.95), weight_decay=0.1)
    x = torch.tensor([uniform(40, e) for e in range(15)]).reshape(5, 3)
    for _ in range(3):
        optimizer.zero_grad()
        model(x).square().sum().backward()
        optimizer.step()
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}


def files(uniform):
    """Name -> bytes of each file."""
    torch.set_num_threads(1)
    made = {"tensors": {k: described(t) for k, t in tensors(uniform).items()}, "tree": tree(), "training": training(uniform)}
    out = {"checkpoint.pt": saved(made, 2)}
    for protocol in (3, 4, 5):
        out[f"protocol{protocol}.pt"] = saved({"tree": tree(), "w": torch.tensor([1, 2, 3], dtype=torch.int16)}, protocol)
    return out


def saved(obj, protocol):
    out = io.BytesIO()
    torch.save(obj, out, pickle_protocol=protocol)
    return out.getvalue()


def shown(contents):
    """What a file holds, as a text to compare: its bytes may differ between versions of PyTorch."""
    torch.set_printoptions(threshold=math.inf, precision=17)
    return repr(torch.load(io.BytesIO(contents), weights_only=False))
