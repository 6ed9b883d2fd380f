"""Images between Pillow and tensors."""

import sys

from .. import Tensor, frombuffer, uint8


def pillow():
    """The module `PIL`, or None if Pillow is not installed."""
    try:
        import PIL.Image
    except ImportError:
        return None
    return PIL


def need_pillow(what):
    """The module `PIL`; ImportError says what it is needed for."""
    found = pillow()
    if found is None:
        raise ImportError(f"{what} needs Pillow (pip install pillow)")
    return found


def is_pillow(image):
    """Whether an image is Pillow's."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(image, module.Image)


def bytes_tensor(data, shape, dtype=uint8):
    """A tensor over a copy of `data`."""
    return frombuffer(bytearray(data), dtype=dtype).reshape(shape)


def from_array(pixels):
    """A picture `[height, width]` or `[height, width, 3]` of bytes as an image: Pillow's, or without Pillow a tensor `[c, h, w]`."""
    pixels = pixels if isinstance(pixels, Tensor) else bytes_tensor(pixels.tobytes(), pixels.shape)
    library = pillow()
    if library is None:
        return pixels[None] if pixels.dim() == 2 else pixels.permute(2, 0, 1)
    height, width = pixels.shape[:2]
    return library.Image.frombytes("L" if pixels.dim() == 2 else "RGB", (width, height), pixels.contiguous()._to_bytes())
