"""Grids of images, and files of them (`torchvision.utils`)."""

import math
import struct
import zlib
from pathlib import Path

from .. import Tensor, cat, stack, uint8
from . import _image

__all__ = ["make_grid", "save_image"]


def make_grid(tensor, nrow=8, padding=2, normalize=False, value_range=None, scale_each=False, pad_value=0.0):
    """Puts images `[n, c, h, w]` (or a list of `[c, h, w]`) into one `[3, H, W]`, `nrow` in a row, `padding` pixels around each.

    With `normalize`, values are brought from `value_range` (else their least and greatest; of each image with `scale_each`) to [0, 1].
    """
    if not (isinstance(tensor, Tensor) or (isinstance(tensor, list) and all(isinstance(t, Tensor) for t in tensor))):
        raise TypeError(f"tensor or list of tensors expected, got {type(tensor)}")
    if isinstance(tensor, list):
        tensor = stack(tensor, dim=0)
    tensor = tensor.detach()
    if tensor.dim() == 2:
        tensor = tensor[None]
    if tensor.dim() == 3:
        tensor = tensor[None]
    if tensor.size(1) == 1:
        tensor = cat((tensor, tensor, tensor), 1)
    if normalize:
        if value_range is not None and not isinstance(value_range, tuple):
            raise TypeError("value_range has to be a tuple (min, max) if specified. min and max are numbers")
        images = [scaled(t, value_range) for t in tensor] if scale_each else None
        tensor = stack(images) if scale_each else scaled(tensor, value_range)
    if tensor.size(0) == 1:
        return tensor.squeeze(0)

    count, channels = tensor.shape[:2]
    columns = min(nrow, count)
    rows = math.ceil(count / columns)
    height, width = tensor.size(2) + padding, tensor.size(3) + padding
    grid = tensor.new_full((channels, height * rows + padding, width * columns + padding), pad_value)
    for i in range(count):
        y, x = i // columns, i % columns
        grid[:, y * height + padding : (y + 1) * height, x * width + padding : (x + 1) * width] = tensor[i]
    return grid


def scaled(image, value_range):
    low, high = value_range or (float(image.min()), float(image.max()))
    return (image.clamp(min=low, max=high) - low) / max(high - low, 1e-5)


def save_image(tensor, fp, format=None, **kwargs):
    """Writes images with values in [0, 1] as one picture (`make_grid(tensor, **kwargs)`) to a path or a binary file.

    PNG needs nothing else; other formats, by `format` or the file's ending, need Pillow.
    """
    grid = make_grid(tensor, **kwargs)
    pixels = (grid * 255 + 0.5).clamp(0, 255).permute(1, 2, 0).to(uint8).contiguous()
    named = isinstance(fp, (str, Path))
    if (format or (Path(fp).suffix[1:] if named else "")).lower() == "png":
        data = png(pixels)
        if named:
            Path(fp).write_bytes(data)
        else:
            fp.write(data)
        return
    height, width, _ = pixels.shape
    library = _image.need_pillow(f"writing {format or fp}")
    library.Image.frombytes("RGB", (width, height), pixels._to_bytes()).save(fp, format=format)


def png(pixels):
    """The PNG file of a uint8 picture `[height, width, 3]`."""
    height, width, _ = pixels.shape
    data, length = pixels._to_bytes(), 3 * width
    rows = b"".join(b"\0" + data[i : i + length] for i in range(0, height * length, length))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
