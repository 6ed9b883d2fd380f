"""``SummaryWriter``: event files that TensorBoard reads."""

import itertools
import os
import socket
import threading
import time

from . import _proto, _summaries
from ._records import record

__all__ = ["FileWriter", "SummaryWriter"]

_count = itertools.count()


class FileWriter:
    """One event file in ``log_dir``. Entries are kept until there are ``max_queue``, or ``flush_secs`` have passed."""

    def __init__(self, log_dir, max_queue=10, flush_secs=120, filename_suffix=""):
        self._log_dir = str(log_dir)
        os.makedirs(self._log_dir, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{next(_count)}{filename_suffix}"
        self._path = os.path.join(self._log_dir, name)
        self._max_queue, self._flush_secs = max_queue, flush_secs
        self._lock = threading.Lock()
        self._pending, self._flushed = [], time.monotonic()
        self.add(_proto.event(time.time(), file_version="brain.Event:2"))
        self.flush()

    def get_logdir(self):
        """The directory."""
        return self._log_dir

    def add(self, event):
        """Takes an encoded event."""
        with self._lock:
            self._pending.append(event)
            full = len(self._pending) > self._max_queue or time.monotonic() - self._flushed > self._flush_secs
        if full:
            self.flush()

    def add_summary(self, summary, global_step=None, walltime=None):
        """Takes an encoded summary."""
        self.add(_proto.event(time.time() if walltime is None else walltime, global_step, summary))

    def flush(self):
        """Writes what was kept."""
        with self._lock:
            if self._pending:
                with open(self._path, "ab") as file:
                    file.write(b"".join(map(record, self._pending)))
                self._pending.clear()
            self._flushed = time.monotonic()

    def close(self):
        """Writes what was kept. A later entry continues the file."""
        self.flush()


class SummaryWriter:
    """Writes numbers, images, texts and so on into ``log_dir``, for TensorBoard.

    ``log_dir`` is ``runs/DATE_HOST`` plus ``comment`` by default. ``purge_step`` hides what a crashed run wrote from that step on.
    Every ``add_...`` takes a tag, a value, the step and a time. Values are tensors, arrays or plain numbers.
    """

    def __init__(self, log_dir=None, comment="", purge_step=None, max_queue=10, flush_secs=120, filename_suffix=""):
        if not log_dir:
            log_dir = os.path.join("runs", time.strftime("%b%d_%H-%M-%S") + "_" + socket.gethostname() + comment)
        self.log_dir = log_dir
        self.purge_step = purge_step
        self._options = max_queue, flush_secs, filename_suffix
        self.file_writer = self.all_writers = None
        self._get_file_writer()

    def _get_file_writer(self):
        if self.all_writers is None or self.file_writer is None:
            self.file_writer = FileWriter(self.log_dir, *self._options)
            self.all_writers = {self.file_writer.get_logdir(): self.file_writer}
            if self.purge_step is not None:
                now, start = time.time(), _proto.message((1, 1))
                self.file_writer.add(_proto.event(now, self.purge_step, file_version="brain.Event:2"))
                self.file_writer.add(_proto.event(now, self.purge_step, session_log=start))
                self.purge_step = None
        return self.file_writer

    def get_logdir(self):
        """The directory."""
        return self.log_dir

    def _add(self, summary, global_step, walltime):
        self._get_file_writer().add_summary(summary, None if global_step is None else int(_summaries.number(global_step)), walltime)

    def add_scalar(self, tag, scalar_value, global_step=None, walltime=None, new_style=False, double_precision=False):
        """A number."""
        self._add(_summaries.scalar(tag, scalar_value, new_style, double_precision), global_step, walltime)

    def add_scalars(self, main_tag, tag_scalar_dict, global_step=None, walltime=None):
        """Several numbers for one chart; each gets an event file of its own."""
        walltime = time.time() if walltime is None else walltime
        base = self._get_file_writer().get_logdir()
        for tag, value in tag_scalar_dict.items():
            path = f"{base}/{main_tag.replace('/', '_')}_{tag}"
            if path not in self.all_writers:
                self.all_writers[path] = FileWriter(path, *self._options)
            self.all_writers[path].add_summary(_summaries.scalar(main_tag, value), global_step, walltime)

    def add_tensor(self, tag, tensor, global_step=None, walltime=None):
        """A tensor."""
        self._add(_summaries.tensor(tag, tensor), global_step, walltime)

    def add_histogram(self, tag, values, global_step=None, bins="tensorflow", walltime=None, max_bins=None):
        """The distribution of values. ``bins`` is ``"tensorflow"``, a number, limits, or one of NumPy's rules (which needs NumPy)."""
        self._add(_summaries.histogram(tag, values, bins, max_bins), global_step, walltime)

    def add_histogram_raw(
        self, tag, min, max, num, sum, sum_squares, bucket_limits, bucket_counts, global_step=None, walltime=None
    ):
        """A distribution that was counted elsewhere."""
        if len(bucket_limits) != len(bucket_counts):
            raise ValueError("len(bucket_limits) != len(bucket_counts), see the document.")
        self._add(_summaries.histogram_raw(tag, min, max, num, sum, sum_squares, bucket_limits, bucket_counts), global_step, walltime)

    def add_image(self, tag, img_tensor, global_step=None, walltime=None, dataformats="CHW"):
        """An image: uint8, or floats in [0, 1]."""
        self._add(_summaries.image(tag, img_tensor, dataformats), global_step, walltime)

    def add_images(self, tag, img_tensor, global_step=None, walltime=None, dataformats="NCHW"):
        """A batch of images, in a grid."""
        self._add(_summaries.image(tag, img_tensor, dataformats), global_step, walltime)

    def add_figure(self, tag, figure, global_step=None, close=True, walltime=None):
        """A figure of matplotlib, or a list of them."""
        figures = figure if isinstance(figure, list) else [figure]
        images = [_figure(f, close) for f in figures]
        if isinstance(figure, list):
            from rushlight import stack

            self.add_images(tag, stack(images), global_step, walltime, dataformats="NHWC")
        else:
            self.add_image(tag, images[0], global_step, walltime, dataformats="HWC")

    def add_audio(self, tag, snd_tensor, global_step=None, sample_rate=44100, walltime=None):
        """A sound of one channel, with values in [-1, 1]."""
        self._add(_summaries.audio(tag, snd_tensor, sample_rate), global_step, walltime)

    def add_text(self, tag, text_string, global_step=None, walltime=None):
        """A text, in Markdown."""
        self._add(_summaries.text(tag, text_string), global_step, walltime)

    def add_pr_curve(self, tag, labels, predictions, global_step=None, num_thresholds=127, weights=None, walltime=None):
        """Precision against recall, for labels in {0, 1} and predictions in [0, 1]."""
        self._add(_summaries.pr_curve(tag, labels, predictions, num_thresholds, weights), global_step, walltime)

    def add_pr_curve_raw(
        self,
        tag,
        true_positive_counts,
        false_positive_counts,
        true_negative_counts,
        false_negative_counts,
        precision,
        recall,
        global_step=None,
        num_thresholds=127,
        weights=None,
        walltime=None,
    ):
        """Precision against recall, computed elsewhere. ``weights`` has no meaning here and must be None."""
        if weights is not None:
            raise ValueError("add_pr_curve_raw: the counts are weighted already, so weights must be None")
        counts = true_positive_counts, false_positive_counts, true_negative_counts, false_negative_counts
        self._add(_summaries.pr_curve_raw(tag, *counts, precision, recall, num_thresholds), global_step, walltime)

    def add_hparams(self, hparam_dict, metric_dict, hparam_domain_discrete=None, run_name=None, global_step=None):
        """Hyperparameters and the metrics that they led to, as a run of its own in a directory below."""
        if type(hparam_dict) is not dict or type(metric_dict) is not dict:
            raise TypeError("hparam_dict and metric_dict should be dictionary.")
        summaries = _summaries.hparams(hparam_dict, metric_dict, hparam_domain_discrete)
        directory = os.path.join(self._get_file_writer().get_logdir(), run_name or str(time.time()))
        with SummaryWriter(log_dir=directory) as writer:
            for s in summaries:
                writer._get_file_writer().add_summary(s, global_step)
            for key, value in metric_dict.items():
                writer.add_scalar(key, value, global_step)

    def add_custom_scalars(self, layout):
        """How numbers share charts: ``{category: {chart: ["Multiline" or "Margin", tags]}}``."""
        self._get_file_writer().add_summary(_summaries.custom_scalars(layout))

    def add_custom_scalars_multilinechart(self, tags, category="default", title="untitled"):
        """One chart of several numbers."""
        self.add_custom_scalars({category: {title: ["Multiline", tags]}})

    def add_custom_scalars_marginchart(self, tags, category="default", title="untitled"):
        """One chart of a number between two others."""
        if len(tags) != 3:
            raise AssertionError(f"Expected 3 tags, got {len(tags)}.")
        self.add_custom_scalars({category: {title: ["Margin", tags]}})

    def _unsupported(self, what):
        raise NotImplementedError(f"SummaryWriter.{what} is not supported")

    def add_graph(self, model, input_to_model=None, verbose=False, use_strict_trace=True):
        """Not supported: models are not traced."""
        self._unsupported("add_graph (models are not traced)")

    def add_onnx_graph(self, prototxt):
        """Not supported."""
        self._unsupported("add_onnx_graph")

    def add_video(self, tag, vid_tensor, global_step=None, fps=4, walltime=None):
        """Not supported: use ``add_images``."""
        self._unsupported("add_video (use add_images)")

    def add_embedding(self, mat, metadata=None, label_img=None, global_step=None, tag="default", metadata_header=None):
        """Not supported."""
        self._unsupported("add_embedding")

    def add_mesh(self, tag, vertices, colors=None, faces=None, config_dict=None, global_step=None, walltime=None):
        """Not supported."""
        self._unsupported("add_mesh")

    def add_image_with_boxes(
        self, tag, img_tensor, box_tensor, global_step=None, walltime=None, rescale=1, dataformats="CHW", labels=None
    ):
        """Not supported: draw the boxes, and use ``add_image``."""
        self._unsupported("add_image_with_boxes (draw the boxes, and use add_image)")

    def flush(self):
        """Writes everything to disk."""
        for writer in (self.all_writers or {}).values():
            writer.flush()

    def close(self):
        """Writes everything to disk, and ends the files; a later ``add_...`` begins new ones."""
        for writer in (self.all_writers or {}).values():
            writer.close()
        self.file_writer = self.all_writers = None

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc_val, exc_tb):
        self.close()


def _figure(figure, close):
    """The pixels of a figure, as (height, width, 3)."""
    from matplotlib import pyplot
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    import rushlight

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    width, height = canvas.get_width_height()
    pixels = rushlight.frombuffer(bytearray(canvas.buffer_rgba()), dtype=rushlight.uint8).reshape(height, width, 4)
    if close:
        pyplot.close(figure)
    return pixels[:, :, :3]
