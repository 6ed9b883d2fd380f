"""Safetensors files against the reference implementation, and hostile ones."""

import json
import random
import struct

import pytest

import rushlight
from rushlight import checkpoint, safetensors

torch = pytest.importorskip("torch")
reference = pytest.importorskip("safetensors.torch")

DTYPES = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64".split()


def tensors(lib):
    found = {f"a.{name}": lib.tensor([[0, 1, 2], [3, 4, 5]]).to(getattr(lib, name)) for name in DTYPES}
    return found | {"empty": lib.empty(0, 4), "scalar": lib.tensor(3.5), 'é"\\\n': lib.arange(3)}


def same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, t in ours.items():
        other = theirs[name]
        assert (str(t.dtype), tuple(t.shape), t.tolist()) == (str(other.dtype), tuple(other.shape), other.tolist()), name


def test_files_are_those_of_the_reference_and_the_other_way(tmp_path):
    one = {"format": "pt"}  # of several, the reference writes any first
    assert safetensors.save(tensors(rushlight), one) == reference.save(tensors(torch), one)
    texts = {"format": "pt", "b": "é", "a": ""}
    ours, theirs = safetensors.save(tensors(rushlight), texts), reference.save(tensors(torch), texts)
    same(safetensors.load(theirs), reference.load(ours))
    safetensors.save_file(tensors(rushlight), tmp_path / "ours.safetensors", texts)
    reference.save_file(tensors(torch), tmp_path / "theirs.safetensors", texts)
    for name in ("ours", "theirs"):
        path = tmp_path / f"{name}.safetensors"
        same(safetensors.load_file(path), reference.load_file(path))
        same(rushlight.load(path, map_location="cpu"), torch.load(path))
        assert safetensors.load_metadata(path) == texts
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ours.safetensors", "theirs.safetensors"]
    assert safetensors.save({}) == reference.save({}) and safetensors.load(reference.save({})) == {}


def test_what_is_loaded_can_be_written_to_and_trained():
    loaded = safetensors.load(reference.save({"w": torch.ones(3)}))
    loaded["w"].add_(1).requires_grad_()
    (loaded["w"] * 2).sum().backward()
    assert loaded["w"].grad.tolist() == [2.0] * 3


def test_views_are_written_and_shared_memory_is_refused():
    t = rushlight.arange(6.0).view(2, 3)
    assert reference.load(safetensors.save({"t": t.t(), "part": rushlight.arange(4)[1:3]}))["t"].tolist() == t.t().tolist()
    for lib, save in ((rushlight, safetensors.save), (torch, reference.save)):
        shared = lib.ones(3)
        with pytest.raises(RuntimeError, match="Some tensors share memory"):
            save({"a": shared, "b": shared[1:]})
        for bad in ([shared], {"a": 3}):
            with pytest.raises(ValueError):
                save(bad)
        with pytest.raises(TypeError):
            save({"a": shared}, {"epoch": 3})
    with pytest.raises(ValueError):
        safetensors.save({"__metadata__": rushlight.ones(1)})


def test_other_devices_and_maps_are_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    safetensors.save_file({"w": rushlight.ones(2)}, path)
    with pytest.raises(RuntimeError):
        safetensors.load_file(path, device="cuda")
    for lib in (rushlight, torch):
        for map_location, kind in (({"a": "b"}, "dict"), (lambda s, t: s, "callable")):
            with pytest.raises(RuntimeError, match=f"Loading safetensors file with {kind} map_location is not supported"):
                lib.load(path, map_location=map_location)


def file_of(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


HOSTILE = {
    "short": b"\0\0\0",
    "length": file_of({}, length=2**62),
    "no json": file_of(b"{"),
    "no object": file_of([]),
    "no utf-8": file_of(b"\xff\xff"),
    "deep": file_of(b"[" * 200_000),
    "long number": file_of(b'{"a": ' + b"9" * 10_000 + b"}"),
    "twice": file_of(b'{"a": {"dtype":"F32","shape":[0],"data_offsets":[0,0]}, "a": {"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'),
    "entry": file_of({"a": 3}),
    "no fields": file_of({"a": {}}),
    "dtype": file_of({"a": entry("F8_E4M3", (8,))}, bytes(8)),
    "dtype list": file_of({"a": entry(["F32"])}, bytes(8)),
    "too long": file_of({"a": entry()}, bytes(7)),
    "rest": file_of({"a": entry()}, bytes(9)),
    "gap": file_of({"a": entry(offsets=(4, 12))}, bytes(12)),
    "overlap": file_of({"a": entry(), "b": entry()}, bytes(8)),
    "wrong size": file_of({"a": entry(shape=(3,))}, bytes(8)),
    "huge": file_of({"a": entry(shape=(2**62, 2**62))}, bytes(8)),
    "negative": file_of({"a": entry(shape=(-2,), offsets=(8, 0))}, bytes(8)),
    "float": file_of({"a": entry(shape=(2.0,))}, bytes(8)),
    "bool": file_of({"a": entry("U8", (True,), (0, 1))}, bytes(1)),
    "one offset": file_of({"a": entry(offsets=(8,))}, bytes(8)),
    "dimensions": file_of({"a": entry(shape=[1] * 100_000, offsets=(0, 4))}, bytes(4)),
    "texts": file_of({"__metadata__": {"a": 1}}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(name):
    with pytest.raises(safetensors.SafetensorError):
        safetensors.load(HOSTILE[name])
    if name not in ("dtype", "twice", "dimensions"):  # a dtype that Rushlight lacks, and two on which the reference is less strict
        with pytest.raises(Exception):
            reference.load(HOSTILE[name])


def test_damaged_files_load_or_raise():
    rng = random.Random(3)
    whole = safetensors.save(tensors(rushlight), {"format": "pt"})
    loaded = 0
    for i in range(600):
        data = bytearray(whole)
        if i % 3 == 0:
            del data[rng.randrange(len(data)) :]
        else:
            data[rng.randrange(1 + len(data) // (1 + i % 2))] ^= 1 << rng.randrange(8)
        try:
            safetensors.load(bytes(data))
            loaded += 1
        except ValueError:
            pass
    assert 0 < loaded < 600


def test_bools_are_zero_or_one_whatever_the_file_says():
    t = safetensors.load(file_of({"a": entry("BOOL", (3,), (0, 3))}, b"\0\x02\xff"))["a"]
    assert t.tolist() == [False, True, True] and t.sum().item() == 2


# ---- checkpoints that the Rust library shares -----------------------------------------------------------------------------


def rust_file(tree, data=struct.pack("<q2f", 5, 1.5, 2.5)):
    """What the Rust library writes: such a file, with a tree of names in the metadata and the widest elements first."""
    return file_of(
        {
            "__metadata__": {"rushlight.state": tree if isinstance(tree, str) else json.dumps(tree), "rushlight.version": "1"},
            "model.weight": entry("F32", (2, 1), (8, 16)),
            "model.count": entry("I64", (), (0, 8)),
        },
        data,
    )


TREE = {"step": 7, "model": {"weight": {"$tensor": "model.weight"}, "count": {"$tensor": "model.count"}}, "nan": {"$float": "7ff0000000000000"}}


def test_checkpoints_of_the_rust_library(tmp_path):
    path = tmp_path / "run.safetensors"
    path.write_bytes(rust_file(TREE))
    found = safetensors.load_file(path)
    assert list(found) == ["model.weight", "model.count"]
    same(found, reference.load(path.read_bytes()))
    tree = checkpoint.load(path)
    assert tree["step"] == 7 and tree["nan"] == float("inf")
    assert tree["model"]["weight"].tolist() == [[1.5], [2.5]] and tree["model"]["count"].item() == 5
    checkpoint.save(tree, path)
    assert json.loads(safetensors.load_metadata(path)["rushlight.state"]) == TREE
    same(reference.load_file(path), {k: torch.tensor(v.tolist(), dtype=getattr(torch, str(v.dtype)[6:])) for k, v in found.items()})


def test_trees_come_back(tmp_path):
    path = tmp_path / "run.safetensors"
    t = rushlight.arange(4.0)
    inf, values = float("inf"), [None, True, False, -(2**63), 1.5, 1.0, "é", [], {}, [[]]]
    checkpoint.save({"a.b": t, "a": {"b": t[1:], "$x": 1, "$$": {}}, "values": values, "limits": [inf, -inf]}, path)
    tree = checkpoint.load(path)
    assert tree["a.b"].tolist() == t.tolist() and tree["a"]["b"].tolist() == t[1:].tolist()
    assert tree["a"]["$x"] == 1 and tree["a"]["$$"] == {} and tree["limits"] == [inf, -inf]
    assert tree["values"] == values and [type(v) for v in tree["values"]] == [type(v) for v in values]
    assert sorted(safetensors.load_file(path)) == ["a.b", "a.b#2"]
    model = rushlight.nn.Linear(2, 3)
    checkpoint.save(model.state_dict(), path)
    model.load_state_dict(checkpoint.load(path))
    deep = t
    for _ in range(101):
        deep = [deep]
    for bad in ({1: 2}, 2**63, object(), {"a": b"bytes"}, deep):
        with pytest.raises((TypeError, ValueError)):
            checkpoint.save(bad, path)


@pytest.mark.parametrize(
    "tree",
    ["", "[" * 100_000, '{"a": {"$tensor": "b"}}', '{"a": {"$float": "zz"}}', '{"a": {"$float": "00"}}', '{"a": {"$other": 1}}', "7"],
)
def test_hostile_trees(tree, tmp_path):
    path = tmp_path / "run.safetensors"
    path.write_bytes(rust_file(tree))
    with pytest.raises(safetensors.SafetensorError):
        checkpoint.load(path)
    path.write_bytes(rust_file(TREE | {"again": {"$tensor": "model.count"}}))
    with pytest.raises(safetensors.SafetensorError, match="used twice"):
        checkpoint.load(path)
    safetensors.save_file({"a": rushlight.ones(1)}, path)
    with pytest.raises(safetensors.SafetensorError, match="no checkpoint of Rushlight"):
        checkpoint.load(path)
