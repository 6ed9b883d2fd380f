"""Event files, read back with TensorBoard and compared with PyTorch's."""

import io
import os

import pytest

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")
pytest.importorskip("tensorboard")

from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader  # noqa: E402
from tensorboard.compat.proto.event_pb2 import Event  # noqa: E402
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData  # noqa: E402
from torch.utils.tensorboard import SummaryWriter as TheirWriter  # noqa: E402

import rushlight as rl  # noqa: E402
from rushlight.utils.tensorboard import SummaryWriter  # noqa: E402

RNG = np.random.default_rng(0)
VALUES, IMAGE, BATCH = RNG.standard_normal(500), RNG.random((3, 6, 5)), RNG.random((10, 1, 4, 3))
LABELS, PREDICTIONS = RNG.integers(0, 2, 40), RNG.random(40)

CALLS = {
    "scalar": lambda w, L: w.add_scalar("a/b", 1.5, 3),
    "scalar of a tensor": lambda w, L: w.add_scalar("a", L.tensor([2.5]), L.tensor(7)),
    "scalar in the new style": lambda w, L: w.add_scalar("a", 1.5, 3, new_style=True),
    "double": lambda w, L: w.add_scalar("a", 0.1, 3, new_style=True, double_precision=True),
    "no step": lambda w, L: w.add_scalar("a", float("nan")),
    "walltime": lambda w, L: w.add_scalar("a", 1, 2, walltime=12.5),
    "scalars": lambda w, L: w.add_scalars("m/n", {"x": 1, "y": L.tensor(2.0)}, 1),
    "histogram": lambda w, L: w.add_histogram("h", L.tensor(VALUES.tolist(), dtype=L.float64), 2),
    "histogram of one value": lambda w, L: w.add_histogram("h", np.zeros(3), 2),
    "histogram of 10 bins": lambda w, L: w.add_histogram("h", np.arange(10.0), 2, bins=10),
    "histogram by a rule": lambda w, L: w.add_histogram("h", VALUES, 2, bins="fd"),
    "histogram of few bins": lambda w, L: w.add_histogram("h", np.arange(100.0), 2, bins=10, max_bins=5),
    "raw histogram": lambda w, L: w.add_histogram_raw("h", 0, 2, 3, 4.0, 5.0, [0.5, 1.5], [1, 2], 3),
    "image": lambda w, L: w.add_image("i", L.tensor(IMAGE.tolist()), 1),
    "bytes": lambda w, L: w.add_image("i", (IMAGE.transpose(1, 2, 0) * 255).astype("uint8"), 1, dataformats="HWC"),
    "gray image": lambda w, L: w.add_image("i", IMAGE[0], 1, dataformats="HW"),
    "images": lambda w, L: w.add_images("i", BATCH, 1),
    "text": lambda w, L: w.add_text("t", "*hello*", 1),
    "tensor": lambda w, L: w.add_tensor("t", L.tensor([[1.0, 2.0], [3.0, 4.0]]), 1),
    "pr curve": lambda w, L: w.add_pr_curve("p", LABELS, PREDICTIONS, 1, num_thresholds=9),
    "weighted pr curve": lambda w, L: w.add_pr_curve("p", L.tensor(LABELS.tolist()), PREDICTIONS, 1, weights=PREDICTIONS),
    "hparams": lambda w, L: w.add_hparams({"lr": 0.1, "opt": "sgd", "nesterov": True, "n": 3}, {"acc": 0.5}, run_name="run"),
    "domains": lambda w, L: w.add_hparams({"opt": "sgd"}, {"acc": 0.5}, {"opt": ["sgd", "adam"]}, run_name="run", global_step=4),
    "chart": lambda w, L: w.add_custom_scalars({"A": {"b": ["Multiline", ["x", "y"]], "c": ["Margin", ["x", "y", "z"]]}}),
    "margin chart": lambda w, L: w.add_custom_scalars_marginchart(["x", "y", "z"]),
}


def events(directory):
    """Everything in the event files below a directory, by their directories, without times."""
    found = {}
    for folder, _, names in sorted(os.walk(directory)):
        for name in sorted(names, key=lambda n: int(n.rpartition(".")[2])):
            assert name.startswith("events.out.tfevents.")
            entries = []
            for raw in RawEventFileLoader(os.path.join(folder, name)).Load():
                event = Event.FromString(raw)
                if event.wall_time != 12.5:
                    event.ClearField("wall_time")
                entries.append(event)
            found.setdefault(os.path.relpath(folder, directory), []).extend(entries)
    return found


def pixels(event):
    from PIL import Image

    return [np.asarray(Image.open(io.BytesIO(v.image.encoded_image_string))) for v in event.summary.value if v.HasField("image")]


@pytest.mark.parametrize("name", [*CALLS])
def test_same_events_as_pytorch(name, tmp_path):
    for lib, writer in ((rl, SummaryWriter), (torch, TheirWriter)):
        with writer(str(tmp_path / lib.__name__)) as w:
            CALLS[name](w, lib)
    ours, theirs = events(tmp_path / "rushlight"), events(tmp_path / "torch")
    assert list(ours) == list(theirs)
    for folder in theirs:
        assert len(ours[folder]) == len(theirs[folder])
        for a, b in zip(ours[folder], theirs[folder]):
            for x, y in zip(pixels(a), pixels(b)):
                assert np.array_equal(x, y)
            for event in (a, b):
                for v in event.summary.value:
                    v.image.ClearField("encoded_image_string") if v.HasField("image") else None
                    if v.metadata.plugin_data.plugin_name == "hparams":
                        # The entries of a map have no order.
                        parsed = HParamsPluginData.FromString(v.metadata.plugin_data.content)
                        v.metadata.plugin_data.content = str(parsed).encode()
                    if v.HasField("histo"):
                        v.histo.sum, v.histo.sum_squares = round(v.histo.sum, 9), round(v.histo.sum_squares, 9)
                        v.histo.bucket_limit[:] = [float(f"{x:.12g}") for x in v.histo.bucket_limit]
                    if v.HasField("tensor"):
                        v.tensor.float_val[:] = [float(f"{x:.6g}") for x in v.tensor.float_val]
            assert str(a) == str(b)


def test_figure(tmp_path):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    for lib, writer in ((rl, SummaryWriter), (torch, TheirWriter)):
        with writer(str(tmp_path / lib.__name__)) as w:
            figure = pyplot.figure(figsize=(2, 1))
            figure.add_subplot().plot([1, 2, 3])
            w.add_figure("f", figure, 1, close=False)
            w.add_figure("fs", [figure, figure], 1)
    (ours,), (theirs,) = events(tmp_path / "rushlight").values(), events(tmp_path / "torch").values()
    for a, b in zip(ours[1:], theirs[1:]):
        assert np.array_equal(pixels(a)[0], pixels(b)[0])


def test_audio(tmp_path):
    import wave

    with SummaryWriter(str(tmp_path)) as w:
        w.add_audio("s", rl.tensor([0.0, 0.5, -1.0, 2.0]), 1, sample_rate=8000)
    (entries,) = events(tmp_path).values()
    audio = entries[1].summary.value[0].audio
    file = wave.open(io.BytesIO(audio.encoded_audio_string))
    assert (audio.sample_rate, audio.length_frames, audio.content_type) == (8000, 4, "audio/wav")
    assert np.frombuffer(file.readframes(4), "<i2").tolist() == [0, 16383, -32767, 32767]


def test_entries_appear_when_flushed_and_a_closed_writer_goes_on(tmp_path):
    w = SummaryWriter(str(tmp_path))
    w.add_scalar("a", 1, 1)
    w.flush()
    (entries,) = events(tmp_path).values()
    assert len(entries) == 2
    w.close()
    w.add_scalar("a", 2, 2)
    w.close()
    (entries,) = events(tmp_path).values()
    assert [e.step for e in entries if e.summary.value] == [1, 2]


def test_purge_step(tmp_path):
    for lib, writer in ((rl, SummaryWriter), (torch, TheirWriter)):
        writer(str(tmp_path / lib.__name__), purge_step=5).close()
    assert [str(e) for e in events(tmp_path / "rushlight")["."]] == [str(e) for e in events(tmp_path / "torch")["."]]


def test_default_directory(tmp_path, monkeypatch):
    import re
    import socket

    monkeypatch.chdir(tmp_path)
    with SummaryWriter(comment="_x", filename_suffix=".y") as w:
        path = w.get_logdir()
    assert re.fullmatch(r"runs/[A-Z][a-z]{2}\d\d_\d\d-\d\d-\d\d_" + re.escape(socket.gethostname()) + "_x", path)
    assert [name.endswith(".y") for name in os.listdir(path)] == [True]


def test_refusals(tmp_path):
    with SummaryWriter(str(tmp_path)) as w:
        with pytest.raises(NotImplementedError, match="add_graph"):
            w.add_graph(None)
        with pytest.raises(TypeError, match="hparam_dict and metric_dict should be dictionary."):
            w.add_hparams([], {})
        with pytest.raises(ValueError, match="The input has no element."):
            w.add_histogram("h", rl.zeros(0))
        with pytest.raises(AssertionError, match="Tensor should contain one element"):
            w.add_scalar("a", rl.zeros(2))
        with pytest.raises(AssertionError, match="size of input tensor and input format are different"):
            w.add_image("i", rl.zeros(2, 2))
