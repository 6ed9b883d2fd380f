"""`save` and `load` against PyTorch's: both libraries read what either has written, and hostile files run nothing."""

import collections
import copy
import io
import os
import pickle
import random
import struct
import subprocess
import sys
import zipfile

import pytest

import rushlight

torch = pytest.importorskip("torch")

DTYPES = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64".split()
BOTH_FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


def saved(lib, obj, **kwargs):
    out = io.BytesIO()
    lib.save(obj, out, **kwargs)
    return out.getvalue()


def loaded(lib, data, **kwargs):
    return lib.load(io.BytesIO(data), **kwargs)


def plain(value):
    """What either library's value says, as plain Python values that can be compared."""
    kinds = (rushlight.Tensor, rushlight.Size, rushlight.dtype, rushlight.device)
    lib = rushlight if isinstance(value, kinds) else torch
    if isinstance(value, lib.Tensor):
        kind = "parameter" if isinstance(value, lib.nn.Parameter) else "tensor"
        layout = (str(value.dtype), tuple(value.shape), tuple(value.stride()), value.storage_offset(), value.requires_grad)
        return (kind, *layout, value.tolist(), plain(vars(value)))
    if isinstance(value, dict):
        return (type(value).__name__, [(k, plain(v)) for k, v in value.items()], getattr(value, "_metadata", None))
    if type(value) in (list, tuple):
        return (type(value).__name__, [plain(v) for v in value])
    if isinstance(value, (lib.Size, lib.dtype, lib.device)):
        return str(value)
    return (type(value).__name__, value)


def everything(lib):
    """An object with all that a checkpoint may hold."""
    t = lib.arange(6.0).reshape(2, 3)
    state = collections.OrderedDict(a=t, view=t[1:], p=lib.nn.Parameter(t.t()), half=t.half(), n=3)
    state._metadata = {"": {"version": 1}}
    named, parameter = lib.ones(2), lib.nn.Parameter(lib.ones(2), requires_grad=False)
    named.note, parameter.note = "kept", [1]
    values = dict(size=lib.Size([2, 3]), device=lib.device("cpu"), dtype=lib.bfloat16, none=None, yes=True, no=False)
    numbers = dict(small=-1, byte=200, short=40_000, int=-(2**31), big=2**70, negative=-(2**200), pi=3.14, inf=float("inf"), c=1 - 2j)
    texts = dict(text="é\n", surrogate="\ud800", data=b"x\xff", array=bytearray(b"hi"))
    containers = dict(set={1}, tuple=(1, (2,), ()), list=[[], {}, [1] * 3], counter=collections.Counter("aab"), deep={"a": {"b": {1: 2.5}}})
    tensors = {name: lib.tensor([0, 1, 3]).to(getattr(lib, name)) for name in DTYPES}
    tensors |= dict(empty=lib.empty(0, 3), scalar=lib.tensor(2.5), grad=lib.ones(2, requires_grad=True), named=named, parameter=parameter)
    tensors["expanded"] = lib.ones(1, 3).expand(4, 3)
    return [state, values, numbers, texts, containers, tensors]


@BOTH_FORMATS
def test_both_libraries_read_both_libraries_files(zipped):
    expected = plain(everything(rushlight))
    assert expected == plain(everything(torch))
    for writer in (rushlight, torch):
        data = saved(writer, everything(writer), _use_new_zipfile_serialization=zipped)
        for reader in (rushlight, torch):
            assert plain(loaded(reader, data, weights_only=True)) == expected, (writer, reader)
            assert plain(loaded(reader, data, weights_only=False)) == expected, (writer, reader)


@BOTH_FORMATS
def test_shared_memory_stays_shared(zipped):
    base = rushlight.arange(12.0)
    whole = [base, base[2:5], base.view(3, 4).t(), rushlight.nn.Parameter(base)]
    for reader in (rushlight, torch):
        a, b, c, p = loaded(reader, saved(rushlight, whole, _use_new_zipfile_serialization=zipped))
        a[2] = 100.0
        assert (b[0].item(), c[2, 0].item(), p[2].item()) == (100.0, 100.0, 100.0)
        assert a.untyped_storage().nbytes() == 48
    shared = torch.ones(4)
    a, b = loaded(rushlight, saved(torch, (shared, shared[1:]), _use_new_zipfile_serialization=zipped))
    assert b.untyped_storage().data_ptr() == a.untyped_storage().data_ptr()


def test_archives_are_those_of_pytorch_byte_for_byte():
    ours, theirs = saved(rushlight, everything(rushlight)), saved(torch, everything(torch))
    with zipfile.ZipFile(io.BytesIO(theirs)) as archive, zipfile.ZipFile(io.BytesIO(ours)) as own:
        # The one record whose contents mean nothing but "another file".
        name = "archive/.data/serialization_id"
        for data, found in ((theirs, archive), (ours, own)):
            assert found.testzip() is None
            assert len(found.read(name)) == 40 and data.count(found.read(name)) == 1
        crc = struct.pack("<I", archive.getinfo(name).CRC), struct.pack("<I", own.getinfo(name).CRC)
        assert theirs.replace(archive.read(name), own.read(name)).replace(*crc) == ours


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickle_protocols(protocol):
    expected = plain(everything(rushlight))
    data = saved(rushlight, everything(rushlight), pickle_protocol=protocol)
    assert plain(loaded(rushlight, data)) == expected
    assert plain(loaded(torch, data, weights_only=False)) == expected
    assert plain(loaded(rushlight, saved(torch, everything(torch), pickle_protocol=protocol))) == expected


def test_paths_files_and_names_of_archives(tmp_path):
    value = {"w": rushlight.ones(2)}
    rushlight.save(value, tmp_path / "model.v1.pt")
    torch.save({"w": torch.ones(2)}, tmp_path / "theirs.v1.pt")
    for name, folder in (("model.v1.pt", "model.v1"), ("theirs.v1.pt", "theirs.v1")):
        assert zipfile.ZipFile(tmp_path / name).namelist()[0] == f"{folder}/data.pkl"
        assert plain(rushlight.load(str(tmp_path / name))) == plain(value) == plain(torch.load(tmp_path / name))
    with open(tmp_path / "open.pt", "wb") as file:
        rushlight.save(value, file)
    with open(tmp_path / "open.pt", "rb") as file:
        assert plain(rushlight.load(file)) == plain(value)
    for lib in (rushlight, torch):
        for bad in (3, None, object()):
            with pytest.raises(AttributeError, match="expected 'f' to be string, path, or a file-like object"):
                lib.save(value, bad)
            with pytest.raises(AttributeError, match="has no attribute 'seek'. You can only torch.load from a file that is seekable"):
                lib.load(bad)
        with pytest.raises(FileNotFoundError):
            lib.load(tmp_path / "nowhere.pt")


def test_empty_bytes_and_frozen_sets():
    # PyTorch itself refuses these in protocol 2.
    value = [b"", frozenset({1, 2}), bytearray()]
    assert loaded(rushlight, saved(torch, value)) == loaded(rushlight, saved(rushlight, value, pickle_protocol=4)) == value


def test_several_legacy_checkpoints_in_one_file():
    file = io.BytesIO(b"".join(saved(torch, torch.full((2,), float(i)), _use_new_zipfile_serialization=False) for i in range(3)))
    assert [rushlight.load(file).tolist() for _ in range(3)] == [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model.pt"
    rushlight.save([1], path)
    with pytest.raises((AttributeError, TypeError, pickle.PicklingError)):
        rushlight.save([rushlight.ones(3), lambda: 0], path)
    from rushlight._archive import ArchiveWriter

    monkeypatch.setattr(ArchiveWriter, "close", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        rushlight.save([2], path)
    assert rushlight.load(path) == [1] and os.listdir(tmp_path) == ["model.pt"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_mapped_files(dtype, tmp_path):
    path = tmp_path / "m.pt"
    torch.save({"a": torch.tensor([0, 1, 1]).to(getattr(torch, dtype)), "e": torch.empty(0)}, path)
    before = path.read_bytes()
    mapped = rushlight.load(path, mmap=True)
    assert plain(mapped["a"]) == plain(rushlight.load(path)["a"])
    mapped["a"].fill_(0)
    assert path.read_bytes() == before
    rushlight.save({"a": rushlight.ones(3)}, path)
    assert torch.load(path, mmap=True)["a"].tolist() == [1.0] * 3
    for lib in (rushlight, torch):
        with pytest.raises(ValueError, match="f must be a file path in order to use the mmap argument"):
            lib.load(io.BytesIO(before), mmap=True)
        torch.save(torch.ones(1), path, _use_new_zipfile_serialization=False)
        with pytest.raises(RuntimeError, match="mmap can only be used with files saved with"):
            lib.load(path, mmap=True)


def test_pytorch_finds_the_storages_of_our_files_by_its_own_arithmetic(tmp_path, monkeypatch):
    from torch.utils.serialization import config

    monkeypatch.setenv("TORCH_SERIALIZATION_DEBUG", "1")
    rushlight.save(everything(rushlight), tmp_path / "m.pt")
    with config.patch("load.calculate_storage_offsets", True):
        assert plain(torch.load(tmp_path / "m.pt", mmap=True)) == plain(everything(torch))


def test_training_state_comes_over():
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    checkpoint = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "rng": torch.get_rng_state(), "epoch": 3}
    ours = loaded(rushlight, saved(torch, checkpoint))
    assert plain(ours) == plain(checkpoint)
    back = loaded(torch, saved(rushlight, ours))
    assert plain(back) == plain(checkpoint)
    optimizer.load_state_dict(back["optimizer"])
    twin = rushlight.nn.Sequential(rushlight.nn.Linear(3, 4), rushlight.nn.BatchNorm1d(4), rushlight.nn.Linear(4, 1))
    twin.load_state_dict(ours["model"])
    assert plain(twin.state_dict()) == plain(model.state_dict())


class Mine:
    def __init__(self, value):
        self.value = value


class Tagged(rushlight.Tensor):
    pass


def test_whole_objects_need_weights_only_false_or_permission():
    model = rushlight.nn.Sequential(rushlight.nn.Linear(2, 3), rushlight.nn.ReLU())
    data = saved(rushlight, {"model": model, "mine": Mine(4)})
    with pytest.raises(pickle.UnpicklingError, match=r"GLOBAL rushlight\.nn\.modules\.\S+ was not an allowed global by default"):
        loaded(rushlight, data)
    back = loaded(rushlight, data, weights_only=False)
    x = rushlight.randn(4, 2)
    assert back["model"](x).equal(model(x)) and back["mine"].value == 4
    assert not loaded(rushlight, saved(torch, torch.nn.Linear(2, 3)), weights_only=False).weight.is_cuda  # by PyTorch's names

    data = saved(rushlight, [Mine(rushlight.ones(2)), Tagged(rushlight.ones(3))])
    names = rushlight.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(data))
    assert sorted(n.rpartition(".")[2] for n in names) == ["Mine", "Tagged"]
    data = saved(rushlight, [Mine(rushlight.ones(2)), Tagged(rushlight.ones(3))], pickle_protocol=4)
    names = rushlight.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(data))
    assert sorted(n.rpartition(".")[2] for n in names) == ["Mine", "Tagged"]
    with rushlight.serialization.safe_globals([Mine, Tagged]):
        mine, tagged = loaded(rushlight, data)
        assert mine.value.tolist() == [1.0, 1.0] and type(tagged) is Tagged and tagged.tolist() == [1.0] * 3
    assert rushlight.serialization.get_safe_globals() == []
    with pytest.raises(pickle.UnpicklingError):
        loaded(rushlight, data)
    rushlight.serialization.add_safe_globals([Mine, Tagged])
    try:
        assert set(rushlight.serialization.get_safe_globals()) == {Mine, Tagged}
        assert loaded(rushlight, data)[0].value.shape == (2,)
    finally:
        rushlight.serialization.clear_safe_globals()


def test_plain_pickles_and_copies():
    for copied in (pickle.loads(pickle.dumps(everything(rushlight))), copy.deepcopy(everything(rushlight))):
        assert [str(part) for part in copied[:5]] == [str(part) for part in everything(rushlight)[:5]]
        assert copied[5]["named"].note == "kept" and copied[5]["grad"].requires_grad
    code = "import pickle, sys; t, p = pickle.load(sys.stdin.buffer); print(t.tolist(), p.requires_grad, type(p).__name__)"
    t = rushlight.arange(4.0).view(2, 2).t()
    done = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps((t, rushlight.nn.Parameter(t))), capture_output=True, check=True
    )
    assert done.stdout.split() == b"[[0.0, 2.0], [1.0, 3.0]] True Parameter".split()


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
def test_storages():
    t = rushlight.arange(4.0)
    storage, untyped = t[1:].storage(), t.untyped_storage()
    theirs = torch.arange(4.0)
    assert storage.tolist() == theirs.tolist() and untyped.tolist() == theirs.untyped_storage().tolist()
    assert (len(untyped), untyped.nbytes(), untyped.element_size(), storage.element_size()) == (16, 16, 1, 4)
    assert storage.data_ptr() == untyped.data_ptr() == t.data_ptr()
    storage[0] = 7.0
    assert t[0].item() == 7.0 and storage[1:3].tolist() == [1.0, 2.0]
    for zipped in (True, False):
        a, b, tensor = loaded(rushlight, saved(rushlight, [storage, storage[:], t], _use_new_zipfile_serialization=zipped))
        assert a.tolist() == storage.tolist() and a.data_ptr() == tensor.data_ptr()
        assert loaded(rushlight, saved(torch, theirs.untyped_storage(), _use_new_zipfile_serialization=zipped)).nbytes() == 16
    assert loaded(torch, saved(rushlight, untyped)).tolist() == untyped.tolist()
    assert pickle.loads(pickle.dumps(storage)).tolist() == storage.tolist()
    for lib in (rushlight, torch):
        mixed = lib.ones(2)
        with pytest.raises(RuntimeError, match="view the same data as different types"):
            saved(lib, [mixed, mixed.view(lib.int32)])


# ---- places ---------------------------------------------------------------------------------------------------------------


def rewritten(data, **records):
    """The archive with some records replaced."""
    from rushlight._archive import ArchiveWriter

    out = io.BytesIO()
    writer = ArchiveWriter(out, "archive")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for path in archive.namelist():
            name = path.partition("/")[2]
            change = records.get(name.replace("/", "_").replace(".", "_"), lambda record: record)
            writer.write(name, change(archive.read(path)))
    writer.close()
    return out.getvalue()


def tagged(place):
    """A checkpoint of a tensor that lay on another device."""
    old, new = (b"X" + struct.pack("<I", len(tag)) + tag for tag in (b"cpu", place.encode()))
    return rewritten(saved(torch, {"w": torch.ones(2)}), data_pkl=lambda record: record.replace(old, new))


def test_map_location():
    cuda = tagged("cuda:0")
    if not torch.cuda.is_available():
        errors = []
        for lib in (rushlight, torch):
            with pytest.raises(RuntimeError) as caught:
                loaded(lib, cuda)
            errors.append(str(caught.value))
        assert errors[0] == errors[1]
    seen = []

    def place(storage, tag):
        seen.append((storage.nbytes(), tag))
        return storage

    for map_location in ("cpu", rushlight.device("cpu"), {"cuda:0": "cpu"}, place, b"cpu"):
        assert loaded(rushlight, cuda, map_location=map_location)["w"].tolist() == [1.0, 1.0]
    assert seen == [(8, "cuda:0")]
    legacy = saved(torch, torch.ones(2), _use_new_zipfile_serialization=False).replace(
        b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0"
    )
    assert loaded(rushlight, legacy, map_location="cpu").tolist() == [1.0, 1.0]
    for data in (cuda, legacy):
        for map_location in (None, {"cuda:1": "cpu"}, "cuda:0", lambda storage, tag: None):
            with pytest.raises(RuntimeError, match="Attempting to deserialize object on a CUDA device"):
                loaded(rushlight, data, map_location=map_location)
    for lib in (rushlight, torch):
        with pytest.raises(RuntimeError, match=r"don't know how to restore data location of .* \(tagged with nowhere\)"):
            loaded(lib, tagged("nowhere"))
    with pytest.raises(TypeError):
        loaded(rushlight, cuda, map_location=lambda storage, tag: 3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_big_endian_records(dtype):
    def swapped(record):
        size = getattr(torch, dtype).itemsize
        return b"".join(record[i : i + size][::-1] for i in range(0, len(record), size))

    values = torch.tensor([0, 1, 100]).to(getattr(torch, dtype))
    data = rewritten(saved(torch, values), byteorder=lambda record: b"big", data_0=swapped)
    assert loaded(rushlight, data).tolist() == values.tolist()


@pytest.mark.parametrize("dtype", ["complex64", "complex128", "uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2"])
def test_missing_dtypes_are_named_with_their_key(dtype):
    value = torch.ones(2).to(getattr(torch, dtype))
    for weights_only in (True, False):
        with pytest.raises(pickle.UnpicklingError, match=f"needs the dtype {dtype}, which Rushlight does not have"):
            loaded(rushlight, saved(torch, {"x": value}), weights_only=weights_only)
    with pytest.raises(pickle.UnpicklingError, match=r"at 'layer\.inner\.weight'"):
        loaded(rushlight, saved(torch, {"layer": {"a": 1, "inner": {"bias": torch.ones(1), "weight": value}}}))
    with pytest.raises(pickle.UnpicklingError, match="sparse tensors"):
        loaded(rushlight, saved(torch, torch.eye(2).to_sparse()))


# ---- hostile files --------------------------------------------------------------------------------------------------------

RAN = []


def trap(*args, **kwargs):
    RAN.append(args)
    return []


class Trap:
    """Unpickles to a call of `function(*args)`, with `state` for BUILD."""

    def __init__(self, function, *args, state=None):
        self.reduced = (function, args, state) if state is not None else (function, args)

    def __reduce__(self):
        return self.reduced


class Stateful:
    def __setstate__(self, state):
        RAN.append(state)


HOSTILE = {
    "system": lambda: Trap(os.system, "exit 1"),
    "eval": lambda: Trap(eval, "trap()"),
    "exec": lambda: [Trap(exec, "trap()")],
    "getattr": lambda: {"ok": [1, (2, {"deep": Trap(getattr, [], "append")})]},
    "import": lambda: Trap(__import__, "os"),
    "own": lambda: Trap(trap, 1),
    "partial": lambda: Trap(__import__("functools").partial, trap),
    "setstate": lambda: {"a": Stateful()},
    "dict in name": lambda: collections.OrderedDict(a=Trap(trap)),
    "as state": lambda: Trap(collections.OrderedDict, state=Trap(trap)),
    "as hooks": lambda: Trap(rushlight._utils._rebuild_parameter, rushlight.ones(1), True, Trap(trap)),
    "as rebuild": lambda: Trap(rushlight._utils._rebuild_from_type_v2, trap, rushlight.Tensor, (), {}),
    "as type": lambda: Trap(rushlight._utils._rebuild_from_type_v2, rushlight._utils._rebuild_parameter, Stateful, (rushlight.ones(1), True, None), {}),
    "odict shadow": lambda: Trap(collections.OrderedDict, state={"items": 3}),
    "parameter shadow": lambda: Trap(rushlight._utils._rebuild_parameter_with_state, rushlight.ones(1), True, None, {"add_": 3}),
    "bytes bomb": lambda: Trap(bytearray, 2**45),
    "counter bomb": lambda: Trap(collections.Counter, "abc"),
    "set of text": lambda: Trap(set, "abc"),
    "size of floats": lambda: Trap(rushlight.Size, [1.5]),
    "storage bomb": lambda: Trap(rushlight.storage.FloatStorage, 2**45),
    "tensor bomb": lambda: Trap(rushlight.Tensor, 2**45),
}


@BOTH_FORMATS
@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("protocol", [2, 4])
def test_hostile_pickles_run_nothing(name, zipped, protocol):
    RAN.clear()
    data = saved(rushlight, HOSTILE[name](), _use_new_zipfile_serialization=zipped, pickle_protocol=protocol)
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        loaded(rushlight, data)
    assert RAN == []


def test_refusals_read_as_pytorchs():
    for name in ("eval", "system"):
        texts = []
        for lib in (rushlight, torch):
            with pytest.raises(pickle.UnpicklingError) as caught:
                loaded(lib, saved(rushlight, HOSTILE[name]()))
            texts.append(str(caught.value))
        said = [line for line in texts[1].split("\n") if "GLOBAL" in line][0].strip()
        assert said.removeprefix("WeightsUnpickler error: ") in texts[0]


def pickled_as_archive(program, records=()):
    """An archive whose pickle is `program`, machine code written by hand."""
    from rushlight._archive import ArchiveWriter

    out = io.BytesIO()
    writer = ArchiveWriter(out, "archive")
    writer.write("data.pkl", program)
    for name, record in dict(records).items():
        writer.write(name, record)
    writer.close()
    return out.getvalue()


def tensor_program(kind=b"FloatStorage", key=b"0", numel=4, offset=0, size=(2, 2), stride=(2, 1)):
    def number(n):
        raw = n.to_bytes(17, "little", signed=True)
        return b"\x8a\x11" + raw

    def numbers(values):
        return b"(" + b"".join(map(number, values)) + b"t"

    pid = b"(X\x07\0\0\0storagectorch\n" + kind + b"\nX" + struct.pack("<I", len(key)) + key + b"X\x03\0\0\0cpu" + number(numel) + b"tQ"
    args = b"(" + pid + number(offset) + numbers(size) + numbers(stride) + b"\x89" + b"ccollections\nOrderedDict\n)R" + b"t"
    return b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n" + args + b"R."


def test_sizes_are_checked_before_anything_is_allocated():
    record = struct.pack("<4f", 0, 1, 2, 3)
    good = loaded(rushlight, pickled_as_archive(tensor_program(), {"data/0": record}))
    assert good.tolist() == [[0.0, 1.0], [2.0, 3.0]]
    repeated = loaded(rushlight, pickled_as_archive(tensor_program(size=(1000, 2), stride=(0, 1)), {"data/0": record}))
    assert repeated.shape == (1000, 2)
    lies = [
        dict(numel=5), dict(numel=2**60), dict(numel=-1), dict(numel=3), dict(kind=b"DoubleStorage"), dict(key=b"1"), dict(key=b"../0"),
        dict(offset=1), dict(offset=-1), dict(offset=2**64), dict(size=(2, 3)), dict(size=(2**40, 2**40)), dict(size=(-1, 2)),
        dict(size=(2**63, 2), stride=(0, 1)), dict(size=(2**40, 2**40), stride=(0, 0)), dict(stride=(-2, 1)), dict(stride=(2**62, 1)),
        dict(stride=(2,)), dict(size=(0, 2**70)), dict(size=(0, 2), stride=(2**70, 1)),
    ]  # fmt: skip
    for lie in lies:
        try:
            empty = loaded(rushlight, pickled_as_archive(tensor_program(**lie), {"data/0": record}))
        except (RuntimeError, pickle.UnpicklingError, ValueError):
            continue
        assert empty.numel() == 0, lie
    assert loaded(rushlight, pickled_as_archive(tensor_program(offset=4, size=(0, 2)), {"data/0": record})).numel() == 0
    legacy = saved(torch, torch.ones(4), _use_new_zipfile_serialization=False)
    for lie in (b"\x8a\x08" + b"\xff" * 7 + b"\x0f", b"J\xff\xff\xff\x7f"):
        with pytest.raises((RuntimeError, pickle.UnpicklingError), match="larger than the rest of the file"):
            loaded(rushlight, legacy.replace(b"K\x04Ntq", lie + b"Ntq"))


PROGRAMS = {
    "deep key": b"}" + b")" + b"\x85" * 100_000 + b"Ns.",
    "wide key": b"}" + b")" + b"q\0h\0\x86" * 64 + b"Ns.",
    "deep set": b"\x8f(" + b")" + b"\x85" * 100_000 + b"\x90.",
    "text bomb": b"X\xff\xff\xff\xff.",
    "text bomb of 8 bytes": b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.",
    "bytes bomb": b"\x96\xff\xff\xff\xff\xff\xff\xff\x7f.",
    "negative": b"\x8b\xff\xff\xff\xff.",
    "nothing": b".",
    "pops too much": b"]0000.",
    "memo": b"h\x07.",
    "mark": b"t.",
    "no end": b"]",
    "no code": b"\xff.",
    "protocol": b"\x80\x63N.",
    "long name": b"c" + b"a" * 100_000 + b"\nb\n.",
    "name of numbers": b"K\x01K\x02\x93.",
    "call a tensor": b"]K\x01\x85R.",
    "call with a list": b"ccollections\nOrderedDict\n]R.",
    "new": b"ctorch\nfloat32\n)\x81.",
    "build a list": b"]}b.",
    "append to a dict": b"}K\x01a.",
    "items of a list": b"]K\x01K\x02s.",
    "odd items": b"}(K\x01u.",
    "unhashable": b"}]Ns.",
    "persistent": b"X\x06\0\0\0moduleQ.",
    "persistent module": b"(X\x06\0\0\0modulecos\nsystem\ntQ.",
    "storage without storage": b"(X\x07\0\0\0storagetQ.",
    "kind of storage": b"(X\x07\0\0\0storagectorch\nTensor\nX\x01\0\0\x000X\x03\0\0\0cpuK\x01tQ.",
    "blocked": b"cos.path\njoin\n.",
    "dots": b"ctorch\nserialization.pickle.loads\n.",
    "dunder": b"crushlight\n__builtins__\n.",
    "text": b"I1\n.",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_hostile_programs(name):
    with pytest.raises((pickle.UnpicklingError, EOFError)):
        loaded(rushlight, pickled_as_archive(PROGRAMS[name]))


def test_no_attribute_of_the_library_can_be_reached():
    for name in ("torch.serialization", "torch.load", "torch.save", "torch.Tensor.numpy", "torch.storage._rebuild_storage", "builtins.type"):
        module, _, attribute = name.rpartition(".")
        with pytest.raises(pickle.UnpicklingError, match="was not an allowed global"):
            loaded(rushlight, pickled_as_archive(f"c{module}\n{attribute}\n.".encode()))


def test_archives_that_lie():
    data = saved(torch, torch.ones(64))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        compressed = io.BytesIO()
        with zipfile.ZipFile(compressed, "w", zipfile.ZIP_DEFLATED) as out:
            for name in archive.namelist():
                out.writestr(name, archive.read(name))
        # Every record claims the same bytes.
        at = archive.getinfo("archive/data/0").header_offset
    with pytest.raises(RuntimeError, match="compressed"):
        loaded(rushlight, compressed.getvalue())
    damaged = bytearray(data)
    damaged[data.index(b"\0\0\x80?" * 8)] ^= 1
    with pytest.raises(RuntimeError, match="checksum"):
        loaded(rushlight, bytes(damaged))
    two = pickled_as_archive(b"N.", {"a": b"1"}).replace(b"archive/a", b"another/a"[:9])
    with pytest.raises(RuntimeError, match="one folder"):
        loaded(rushlight, two)
    names = [f"data/{i}" for i in range(20)]
    many = pickled_as_archive(b"N.", dict.fromkeys(names, b"\0" * 1024))
    start = many.index(b"PK\x01\x02")
    first = many.index(b"archive/data/0") - 30
    directory = bytearray(many)
    while (start := many.find(b"PK\x01\x02", start)) >= 0:
        directory[start + 42 : start + 46] = struct.pack("<I", first)
        start += 4
    reader = rushlight._archive.ArchiveReader(io.BytesIO(bytes(directory)))
    with pytest.raises(RuntimeError, match="overlap"):
        for _ in range(2):
            for name in names:
                reader.read(name)
    assert at > 0
    torch_script = pickled_as_archive(b"N.", {"constants.pkl": b""})
    with pytest.raises(RuntimeError, match="TorchScript"):
        loaded(rushlight, torch_script)
    tar = bytearray(512)
    tar[257:262] = b"ustar"
    with pytest.raises(RuntimeError, match=r"\.tar format"):
        loaded(rushlight, bytes(tar))


CLEAN = (RuntimeError, pickle.UnpicklingError, EOFError, ValueError)


def damaged(rng, data):
    """`data` cut short, with some bits flipped or bytes replaced, or with a piece of it elsewhere."""
    kind = rng.randrange(4)
    data = bytearray(data)
    if kind == 0:
        return bytes(data[: rng.randrange(len(data))])
    if kind == 1:
        for _ in range(rng.choice([1, 2, 8])):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == 2:
        at = rng.randrange(len(data))
        data[at : at + 8] = rng.choice([b"\xff" * 8, b"\0" * 8, rng.randbytes(8), b"\x80\x02)R(tQb"])
    else:
        a, b, n = rng.randrange(len(data)), rng.randrange(len(data)), rng.randrange(64)
        data[a : a + n] = data[b : b + n]
    return bytes(data)


def test_damaged_files_load_or_raise():
    rng = random.Random(20)
    sources = [saved(torch, everything(torch)), saved(rushlight, everything(rushlight), pickle_protocol=4)]
    sources += [saved(torch, everything(torch), _use_new_zipfile_serialization=False)] * 2
    with zipfile.ZipFile(io.BytesIO(sources[0])) as archive:
        records = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    program = records.pop("data.pkl")
    outcomes = collections.Counter()
    for i in range(1500):
        if i % 10 == 0:
            data = rng.randbytes(rng.randrange(200))
        elif i % 2:  # damage that no checksum catches
            data = pickled_as_archive(damaged(rng, program), records)
        else:
            data = damaged(rng, rng.choice(sources))
        try:
            loaded(rushlight, data)
            outcomes["loaded"] += 1
        except CLEAN as e:
            outcomes[type(e).__name__] += 1
    assert sum(outcomes.values()) == 1500 and len(outcomes) >= 4, outcomes
