"""Images and sounds as files: tensors to PNG and WAV."""

import io
import struct
import zlib

import rushlight
from rushlight import Tensor


def as_tensor(x):
    """A tensor of a tensor, array or list, without history."""
    return x.detach() if isinstance(x, Tensor) else rushlight.as_tensor(x)


def to_hwc(image, dataformats):
    """An image, or a batch as a grid of up to 8 columns, as (height, width, 3 or 4) in 0..255."""
    letters = dataformats.upper()
    if len(set(letters)) != len(letters):
        raise AssertionError(f"You can not use the same dimension shorthand twice.             input_format: {dataformats}")
    if image.dim() != len(letters):
        raise AssertionError(
            f"size of input tensor and input format are different.         tensor shape: {tuple(image.shape)}, input_format: {dataformats}"
        )
    image = image if image.dtype == rushlight.uint8 else (image.to(rushlight.float32) * 255).clamp(0, 255).to(rushlight.uint8)
    if "N" in letters:
        batch = image.permute([letters.index(c) for c in "NHWC"])
        return _three_channels(_grid(batch))
    if "C" not in letters:
        image, letters = image.unsqueeze(-1), letters + "C"
    return _three_channels(image.permute([letters.index(c) for c in "HWC"]))


def _three_channels(image):
    return rushlight.cat([image] * 3, 2) if image.shape[2] == 1 else image


def _grid(batch):
    n, h, w, c = batch.shape
    columns = min(n, 8)
    blank = rushlight.zeros((h, w, c), dtype=batch.dtype)
    rows = []
    for first in range(0, n, columns):
        cells = [batch[i] if i < n else blank for i in range(first, first + columns)]
        rows.append(rushlight.cat(cells, 1))
    return rushlight.cat(rows, 0)


def png(image):
    """A PNG file of an image of shape (height, width, channels), uint8."""
    h, w, channels = image.shape
    data = image.contiguous()._to_bytes()
    stride = w * channels
    rows = b"".join(b"\0" + data[i : i + stride] for i in range(0, h * stride, stride))
    color = {1: 0, 2: 4, 3: 2, 4: 6}[channels]

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", w, h, 8, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def wav(sound, sample_rate):
    """A WAV file of samples in [-1, 1], in 16 bits."""
    import wave

    samples = (sound.to(rushlight.float32).reshape(-1).clamp(-1, 1) * 32767).to(rushlight.int16)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(samples._to_bytes())
    return buffer.getvalue(), samples.numel()
