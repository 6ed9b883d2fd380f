"""Functions on images: Pillow's, or tensors `[…, c, h, w]` (`torchvision.transforms.functional`)."""

import math
import numbers
from enum import Enum

from ... import Tensor, arange, as_tensor, bool, float32, float64, from_numpy, get_default_dtype, int8, int16, int32, int64, stack, uint8, where, zeros_like
from ...nn.functional import interpolate
from ...nn.functional import pad as pad_tensor
from .. import _image


class InterpolationMode(Enum):
    """How pixels between pixels are found."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


# Pillow's numbers.
PIL_MODES = {"nearest": 0, "nearest-exact": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}
GREATEST = {uint8: 255, int8: 127, int16: 32767, int32: 2**31 - 1, int64: 2**63 - 1, bool: 1}


def check(image):
    """Refuses what is no image."""
    if not isinstance(image, Tensor) and not _image.is_pillow(image):
        raise TypeError(f"Unexpected type {type(image)}")
    if isinstance(image, Tensor) and image.dim() < 2:
        raise TypeError("Tensor is not a torch image.")


def get_dimensions(img):
    """Returns channels, height and width."""
    check(img)
    if isinstance(img, Tensor):
        return [1 if img.dim() == 2 else img.shape[-3], img.shape[-2], img.shape[-1]]
    return [len(img.getbands()), img.height, img.width]


def get_image_size(img):
    """Returns width and height."""
    _, height, width = get_dimensions(img)
    return [width, height]


def get_image_num_channels(img):
    """Returns the number of channels."""
    return get_dimensions(img)[0]


# Between kinds of images


def pil_to_tensor(pic):
    """Turns Pillow's image into a tensor `[c, h, w]` without scaling."""
    if isinstance(pic, Tensor) and pic.dtype is uint8 and _image.pillow() is None:
        return pic
    if not _image.is_pillow(pic):
        raise TypeError(f"pic should be PIL Image. Got {type(pic)}")
    dtype = {"I": int32, "I;16": int16, "F": float32}.get(pic.mode, uint8)
    data = pic.convert("L").tobytes() if pic.mode == "1" else pic.tobytes()
    pixels = _image.bytes_tensor(data, (pic.height, pic.width, len(pic.getbands())), dtype)
    return (pixels // 255 if pic.mode == "1" else pixels).permute(2, 0, 1)


def to_tensor(pic):
    """Turns an image, or an array `[h, w]` or `[h, w, c]`, into a tensor `[c, h, w]`; bytes become floats in [0, 1]."""
    if _image.is_pillow(pic):
        pixels = pil_to_tensor(pic).contiguous()
        if pic.mode == "1":
            pixels = pixels * 255
    elif isinstance(pic, Tensor) and pic.dtype is uint8 and _image.pillow() is None:
        pixels = pic
    elif type(pic).__module__ == "numpy":
        if pic.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
        pixels = from_numpy(pic[:, :, None] if pic.ndim == 2 else pic).permute(2, 0, 1).contiguous()
    else:
        raise TypeError(f"pic should be PIL Image or ndarray. Got {type(pic)}")
    return pixels.to(get_default_dtype()).div(255) if pixels.dtype is uint8 else pixels


def to_pil_image(pic, mode=None):
    """Turns a tensor `[c, h, w]` or `[h, w]`, or an array `[h, w]` or `[h, w, c]`, into Pillow's image; floats are in [0, 1]."""
    library = _image.need_pillow("to_pil_image")
    array = not isinstance(pic, Tensor)
    if array and type(pic).__module__ != "numpy":
        raise TypeError(f"pic should be Tensor or ndarray. Got {type(pic)}.")
    dims = pic.ndim
    if dims not in (2, 3):
        raise ValueError(f"pic should be 2/3 dimensional. Got {dims} dimensions.")
    pixels = from_numpy(pic) if array else pic
    if dims == 2:
        pixels = pixels[None]
    elif array:
        pixels = pixels.permute(2, 0, 1)
    channels, height, width = pixels.shape
    if channels > 4:
        raise ValueError(f"pic should not have > 4 channels. Got {channels} channels.")
    if not array and pixels.is_floating_point() and mode != "F":
        pixels = pixels.mul(255).to(uint8)
    if channels == 1:
        natural = {uint8: "L", int16: "I;16", int32: "I", float32: "F"}.get(pixels.dtype)
        allowed = [natural]
    else:
        natural, allowed = {2: ("LA", ["LA"]), 3: ("RGB", ["RGB", "YCbCr", "HSV"]), 4: ("RGBA", ["RGBA", "CMYK", "RGBX"])}[channels]
    if natural is None or (channels > 1 and pixels.dtype is not uint8):
        raise TypeError(f"Input type {pixels.dtype} is not supported")
    if mode is not None and mode not in allowed:
        raise ValueError(f"Incorrect mode ({mode}) supplied for input type {pixels.dtype}. Should be one of {allowed}")
    return library.Image.frombytes(mode or natural, (width, height), pixels.permute(1, 2, 0).contiguous()._to_bytes())


def convert_image_dtype(image, dtype=float32):
    """Converts a tensor and scales its values: floats are in [0, 1], integers up to the greatest of their kind."""
    if not isinstance(image, Tensor):
        raise TypeError("Input img should be Tensor Image")
    old = image.dtype
    if old == dtype:
        return image
    if old.is_floating_point:
        if dtype.is_floating_point:
            return image.to(dtype)
        if (old is float32 and dtype in (int32, int64)) or (old is float64 and dtype is int64):
            raise RuntimeError(f"The cast from {old} to {dtype} cannot be performed safely.")
        return image.mul(GREATEST[dtype] + 1.0 - 1e-3).to(dtype)
    if dtype.is_floating_point:
        return image.to(dtype) / GREATEST[old]
    if GREATEST[old] > GREATEST[dtype]:
        return image.div((GREATEST[old] + 1) // (GREATEST[dtype] + 1), rounding_mode="floor").to(dtype)
    return image.to(dtype) * ((GREATEST[dtype] + 1) // (GREATEST[old] + 1))


def normalize(tensor, mean, std, inplace=False):
    """Returns `(tensor - mean) / std`, channel by channel."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(tensor)}")
    if not tensor.is_floating_point():
        raise TypeError(f"Input tensor should be a float tensor. Got {tensor.dtype}.")
    if tensor.dim() < 3:
        raise ValueError(f"Expected tensor to be a tensor image of size (..., C, H, W). Got tensor.size() = {tensor.size()}")
    mean, std = (as_tensor(v, dtype=tensor.dtype).reshape(-1, 1, 1) for v in (mean, std))
    if (std == 0).any():
        raise ValueError(f"std evaluated to zero after conversion to {tensor.dtype}, leading to division by zero.")
    return (tensor if inplace else tensor.clone()).sub_(mean).div_(std)


# Geometry


def crop(img, top, left, height, width):
    """Cuts a rectangle out; what lies outside the image is 0."""
    if not isinstance(img, Tensor):
        check(img)
        return img.crop((left, top, left + width, top + height))
    _, h, w = get_dimensions(img)
    right, bottom = left + width, top + height
    inside = img[..., max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if left < 0 or top < 0 or right > w or bottom > h:
        above, before = max(min(-top, height), 0), max(min(-left, width), 0)
        return pad_tensor(inside, [before, width - before - inside.shape[-1], above, height - above - inside.shape[-2]])
    return inside


def center_crop(img, output_size):
    """Cuts the middle out; a smaller image is surrounded by 0."""
    height, width = (output_size, output_size) if isinstance(output_size, numbers.Number) else tuple(output_size) * (3 - len(output_size))
    _, h, w = get_dimensions(img)
    if width > w or height > h:
        sides = [(width - w) // 2, (height - h) // 2, (width - w + 1) // 2, (height - h + 1) // 2]
        img = pad(img, [max(side, 0) for side in sides])
        _, h, w = get_dimensions(img)
        if (width, height) == (w, h):
            return img
    return crop(img, round((h - height) / 2.0), round((w - width) / 2.0), height, width)


def sides_of(padding):
    """Left, top, right and bottom of a padding given as one number, two or four."""
    if isinstance(padding, numbers.Number):
        return [int(padding)] * 4
    if len(padding) not in (1, 2, 4):
        raise ValueError(f"Padding must be an int or a 1, 2, or 4 element tuple, not a {len(padding)} element tuple")
    return list(padding) * (4 // len(padding))


def pad(img, padding, fill=0, padding_mode="constant"):
    """Surrounds an image; `padding_mode` is "constant", "edge", "reflect" or "symmetric"."""
    check(img)
    left, top, right, bottom = sides_of(padding)
    if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
        raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
    if not isinstance(img, Tensor):
        if padding_mode == "constant" and min(left, top, right, bottom) >= 0:
            return pad_pillow(img, (left, top, right, bottom), fill)
        return like(img, pad(pil_to_tensor(img), [left, top, right, bottom], fill, padding_mode))
    if padding_mode == "constant":
        return pad_tensor(img, [left, right, top, bottom], value=float(fill[0] if isinstance(fill, (tuple, list)) else fill or 0))
    height, width = img.shape[-2:]
    rows = reflected(-top, height + bottom, height, padding_mode)
    return img.index_select(-2, rows).index_select(-1, reflected(-left, width + right, width, padding_mode))


def reflected(start, end, length, padding_mode):
    """Which of `length` elements stands at each place from `start` up to `end`."""
    i = arange(start, end)
    if padding_mode == "edge":
        return i.clamp(0, length - 1)
    edge = 1 if padding_mode == "reflect" else 0
    if -start > length - edge or end - length > length - edge:
        raise ValueError(f"{padding_mode} padding of {max(-start, end - length)} is too large for {length} pixels")
    i = where(i < 0, edge - 1 - i, i) if edge == 0 else i.abs()
    return where(i >= length, 2 * length - 1 - edge - i, i)


def pad_pillow(img, sides, fill):
    """Surrounds Pillow's image with one colour."""
    from PIL import ImageOps

    if isinstance(fill, (tuple, list)) and len(fill) == 1:
        fill = tuple(fill) * len(img.getbands())
    elif isinstance(fill, numbers.Number) and len(img.getbands()) > 1:
        fill = (int(fill),) * len(img.getbands())
    padded = ImageOps.expand(img, border=sides, fill=tuple(fill) if isinstance(fill, list) else fill)
    if img.mode == "P":
        padded.putpalette(img.getpalette())
    return padded


def like(img, pixels):
    """A tensor as Pillow's image in the mode of `img`."""
    return _image.pillow().Image.frombytes(img.mode, (pixels.shape[-1], pixels.shape[-2]), pixels.permute(1, 2, 0).contiguous()._to_bytes())


def resize(img, size, interpolation=InterpolationMode.BILINEAR, max_size=None, antialias=True):
    """Brings an image to `size` `(h, w)`, or its shorter side to `size` (and the longer one to at most `max_size`)."""
    interpolation = mode_of(interpolation)
    _, h, w = get_dimensions(img)
    if not isinstance(size, numbers.Number) and len(size) == 1:
        size = size[0]
    if isinstance(size, numbers.Number):
        short, long = min(h, w), max(h, w)
        target = size, int(size * long / short)
        if max_size is not None:
            if max_size <= size:
                raise ValueError(f"max_size = {max_size} must be strictly greater than the requested size for the smaller edge size = {size}")
            if target[1] > max_size:
                target = int(max_size * target[0] / target[1]), max_size
        height, width = target if h <= w else target[::-1]
    elif max_size is not None:
        raise ValueError("max_size should only be passed if size specifies the length of the smaller edge")
    else:
        height, width = size
    if (height, width) == (h, w):
        return img
    if not isinstance(img, Tensor):
        return img.resize((width, height), PIL_MODES[interpolation.value])
    if interpolation.value not in ("nearest", "nearest-exact", "bilinear", "bicubic"):
        raise ValueError("This Interpolation mode is unsupported with Tensor input")
    smooth = interpolation.value in ("bilinear", "bicubic")
    four = img.reshape(-1, *img.shape[-3:]) if img.dim() > 2 else img[None, None]
    floating = four if four.is_floating_point() else four.to(float32)
    if smooth and antialias is not False:
        out = spread(h, height, interpolation.value, floating.dtype) @ floating @ spread(w, width, interpolation.value, floating.dtype).mT
    else:
        options = {"align_corners": False} if smooth else {}
        out = interpolate(floating, size=(height, width), mode=interpolation.value, **options)
    if not img.is_floating_point():
        if interpolation.value == "bicubic":
            out = out.clamp(0, GREATEST[img.dtype])
        out = (out.round() if smooth else out).to(img.dtype)
    return out.reshape(*img.shape[:-2], height, width)


def spread(old, new, mode, dtype):
    """The weights `[new, old]` of antialiased resizing: the kernel of linear or cubic interpolation, as wide as the new pixels."""
    scale = old / new
    centre = scale * (arange(new, dtype=float64) + 0.5)[:, None]
    x = ((arange(old, dtype=float64) + 0.5 - centre) / max(scale, 1.0)).abs()
    if mode == "bilinear":
        weights = (1 - x).clamp(min=0)
    else:
        near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
        weights = where(x < 1, near, where(x < 2, far, 0.0))
    return (weights / weights.sum(1, keepdim=True)).to(dtype)


def mode_of(interpolation):
    """An interpolation mode, also from Pillow's number."""
    if isinstance(interpolation, int):
        return next(InterpolationMode(name) for name, number in PIL_MODES.items() if number == interpolation)
    if not isinstance(interpolation, InterpolationMode):
        raise TypeError("Argument interpolation should be a InterpolationMode or a corresponding Pillow integer constant")
    return interpolation


def resized_crop(img, top, left, height, width, size, interpolation=InterpolationMode.BILINEAR, antialias=True):
    """Cuts a rectangle out and brings it to `size`."""
    return resize(crop(img, top, left, height, width), size, interpolation, antialias=antialias)


def hflip(img):
    """Mirrors an image, left to right."""
    check(img)
    return img.flip(-1) if isinstance(img, Tensor) else img.transpose(0)


def vflip(img):
    """Mirrors an image, top to bottom."""
    check(img)
    return img.flip(-2) if isinstance(img, Tensor) else img.transpose(1)


def rotate(img, angle, interpolation=InterpolationMode.NEAREST, expand=False, center=None, fill=None):
    """Rotates an image by `angle` degrees, counter-clockwise, about `center` (x, y) or its middle; what comes in is `fill`."""
    if not isinstance(angle, (int, float)):
        raise TypeError("Argument angle should be int or float")
    if center is not None and not isinstance(center, (list, tuple)):
        raise TypeError("Argument center should be a sequence")
    interpolation = mode_of(interpolation)
    channels, height, width = get_dimensions(img)
    if not isinstance(img, Tensor):
        if isinstance(fill, numbers.Number):
            fill = (fill,) * channels if channels > 1 else fill
        return img.rotate(angle, PIL_MODES[interpolation.value], expand, center, fillcolor=tuple(fill) if isinstance(fill, list) else fill)
    if interpolation.value not in ("nearest", "bilinear"):
        raise ValueError("This Interpolation mode is unsupported with Tensor input")
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    middle_x, middle_y = (0.0, 0.0) if center is None else (center[0] - width * 0.5, center[1] - height * 0.5)
    new_height, new_width = expanded(height, width, cos, sin) if expand else (height, width)
    # Where each pixel of the result comes from, relative to the middle.
    y = (arange(new_height, dtype=float32) + (0.5 - new_height * 0.5 - middle_y))[:, None]
    x = (arange(new_width, dtype=float32) + (0.5 - new_width * 0.5 - middle_x))[None, :]
    from_x = cos * x - sin * y + (middle_x + width * 0.5 - 0.5)
    from_y = sin * x + cos * y + (middle_y + height * 0.5 - 0.5)
    return sample(img, from_x, from_y, interpolation.value, fill)


def expanded(height, width, cos, sin):
    """Height and width of what contains a rotated rectangle; a thousandth of a pixel does not count."""
    corners = [(cos * x - sin * y, sin * x + cos * y) for x in (-width / 2, width / 2) for y in (-height / 2, height / 2)]
    x, y = ([c + side / 2 for c in axis] for axis, side in zip(zip(*corners), (width, height)))
    tolerance = 1e-3
    return tuple(math.ceil(max(c) - tolerance) - math.floor(min(c) + tolerance) for c in (y, x))


def sample(img, x, y, mode, fill):
    """The pixels of `img` `[…, h, w]` at the places `x`, `y` (both `[H, W]`); outside it is `fill`, else 0."""
    height, width = img.shape[-2:]
    pixels = img if img.is_floating_point() else img.to(float32)

    def at(column, row):
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        index = row.clamp(0, height - 1).to(int64) * width + column.clamp(0, width - 1).to(int64)
        return pixels.flatten(-2)[..., index], inside.to(pixels.dtype)

    if mode == "nearest":
        value, weight = at(x.round(), y.round())
        out = value * weight
    else:
        left, top = x.floor(), y.floor()
        out, weight = zeros_like(pixels.flatten(-2)[..., :1]), 0
        for dx in (0, 1):
            for dy in (0, 1):
                value, inside = at(left + dx, top + dy)
                share = (1 - (x - left - dx).abs()) * (1 - (y - top - dy).abs()) * inside
                out, weight = (value * share if dx == dy == 0 else out + value * share), weight + share
    if fill is not None:
        fill = as_tensor([float(f) for f in (fill if isinstance(fill, (tuple, list)) else [fill])], dtype=pixels.dtype).reshape(-1, 1, 1)
        out = where(weight < 0.5, fill, out) if mode == "nearest" else out * weight + (1 - weight) * fill
    return out if img.is_floating_point() else out.round().to(img.dtype)


# Colours


def rgb_to_grayscale(img, num_output_channels=1):
    """Weighs red, green and blue as the eye does; the result has 1 or 3 equal channels."""
    if num_output_channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    if not isinstance(img, Tensor):
        check(img)
        grey = img.convert("L")
        return grey if num_output_channels == 1 else _image.pillow().Image.merge("RGB", (grey, grey, grey))
    channels = get_dimensions(img)[0]
    if channels not in (1, 3):
        raise TypeError(f"Input image tensor permitted channel values are [1, 3], but found {channels}")
    if channels == 3:
        r, g, b = img.unbind(-3)
        img = (0.2989 * r + 0.587 * g + 0.114 * b).to(img.dtype).unsqueeze(-3)
    return img if num_output_channels == 1 else img.expand(*img.shape[:-3], 3, *img.shape[-2:])


def to_grayscale(img, num_output_channels=1):
    """`rgb_to_grayscale` of Pillow's image."""
    if isinstance(img, Tensor):
        raise TypeError("Input should be PIL Image")
    return rgb_to_grayscale(img, num_output_channels)


def blend(a, b, ratio):
    """`ratio` of `a` and the rest of `b`, within the range of the dtype."""
    return (ratio * a + (1.0 - ratio) * b).clamp(0, 1.0 if a.is_floating_point() else GREATEST[a.dtype]).to(a.dtype)


def enhance(img, kind, factor):
    from PIL import ImageEnhance

    return getattr(ImageEnhance, kind)(img).enhance(factor)


def check_factor(name, factor):
    if factor < 0:
        raise ValueError(f"{name} ({factor}) is not non-negative.")


def adjust_brightness(img, brightness_factor):
    """0 gives black, 1 the image, 2 twice the brightness."""
    check(img)
    check_factor("brightness_factor", brightness_factor)
    if not isinstance(img, Tensor):
        return enhance(img, "Brightness", brightness_factor)
    return blend(img, zeros_like(img), brightness_factor)


def adjust_contrast(img, contrast_factor):
    """0 gives grey, 1 the image, 2 twice the contrast."""
    check(img)
    check_factor("contrast_factor", contrast_factor)
    if not isinstance(img, Tensor):
        return enhance(img, "Contrast", contrast_factor)
    grey = rgb_to_grayscale(img) if get_dimensions(img)[0] == 3 else img
    grey = grey if img.is_floating_point() else grey.to(float32)
    return blend(img, grey.mean((-3, -2, -1), keepdim=True), contrast_factor)


def adjust_saturation(img, saturation_factor):
    """0 gives a grey image, 1 the image, 2 twice the saturation."""
    check(img)
    check_factor("saturation_factor", saturation_factor)
    if not isinstance(img, Tensor):
        return enhance(img, "Color", saturation_factor)
    return img if get_dimensions(img)[0] == 1 else blend(img, rgb_to_grayscale(img), saturation_factor)


def adjust_hue(img, hue_factor):
    """Moves the hue around the circle, by up to half of it either way: `hue_factor` is in [-0.5, 0.5]."""
    check(img)
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    if not isinstance(img, Tensor):
        if img.mode in ("L", "1", "I", "F"):
            return img
        hue, saturation, value = img.convert("HSV").split()
        hue = hue.point(lambda v: (v + int(hue_factor * 255)) % 256)
        return _image.pillow().Image.merge("HSV", (hue, saturation, value)).convert(img.mode)
    if get_dimensions(img)[0] == 1:
        return img
    hue, saturation, value = hsv(convert_image_dtype(img, float32) if not img.is_floating_point() else img)
    return convert_image_dtype(rgb((hue + hue_factor) % 1.0, saturation, value), img.dtype)


def hsv(img):
    """Hue, saturation and value, each in [0, 1], of an image of floats `[…, 3, h, w]`."""
    r, g, b = img.unbind(-3)
    high, low = img.amax(-3), img.amin(-3)
    grey, span = high == low, high - low
    saturation = span / where(grey, 1.0, high)
    span = where(grey, 1.0, span)
    red, green, blue = (high - r) / span, (high - g) / span, (high - b) / span
    is_red, is_green = high == r, (high == g) & (high != r)
    is_blue = (high != g) & (high != r)
    hue = is_red * (blue - green) + is_green * (2.0 + red - blue) + is_blue * (4.0 + green - red)
    return (hue / 6.0 + 1.0).fmod(1.0), saturation, high


def rgb(hue, saturation, value):
    """The image `[…, 3, h, w]` of hue, saturation and value."""
    sector = (hue * 6.0).floor()
    f = hue * 6.0 - sector
    sector = sector.to(int64) % 6
    p = (value * (1.0 - saturation)).clamp(0.0, 1.0)
    q = (value * (1.0 - saturation * f)).clamp(0.0, 1.0)
    t = (value * (1.0 - saturation * (1.0 - f))).clamp(0.0, 1.0)
    table = [(value, q, p, p, t, value), (t, value, value, q, p, p), (p, p, t, value, value, q)]
    return stack([stack(row, -1).gather(-1, sector.unsqueeze(-1)).squeeze(-1) for row in table], -3)


def adjust_gamma(img, gamma, gain=1):
    """Returns `gain * img ** gamma`, of values in [0, 1]."""
    check(img)
    if gamma < 0:
        raise ValueError("Gamma should be a non-negative real number")
    if not isinstance(img, Tensor):
        table = [int((255 + 1 - 1e-3) * gain * pow(value / 255.0, gamma)) for value in range(256)] * len(img.getbands())
        return img.point(table)
    floating = img if img.is_floating_point() else convert_image_dtype(img, float32)
    return convert_image_dtype((gain * floating**gamma).clamp(0, 1), img.dtype)


def invert(img):
    """The negative."""
    check(img)
    if not isinstance(img, Tensor):
        from PIL import ImageOps

        return ImageOps.invert(img)
    return (1.0 if img.is_floating_point() else GREATEST[img.dtype]) - img


def erase(img, i, j, h, w, v, inplace=False):
    """Puts the value or tensor `v` into the rectangle at row `i`, column `j`, of `h` rows and `w` columns."""
    if not isinstance(img, Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(img)}")
    img = img if inplace else img.clone()
    img[..., i : i + h, j : j + w] = v
    return img


def five_crop(img, size):
    """The four corners and the middle."""
    height, width = (size, size) if isinstance(size, numbers.Number) else tuple(size) * (3 - len(size))
    _, h, w = get_dimensions(img)
    if width > w or height > h:
        raise ValueError(f"Requested crop size {(height, width)} is bigger than input size {(h, w)}")
    corners = [(0, 0), (0, w - width), (h - height, 0), (h - height, w - width)]
    return (*(crop(img, top, left, height, width) for top, left in corners), center_crop(img, [height, width]))


def ten_crop(img, size, vertical_flip=False):
    """The five crops of an image, and those of its mirror image."""
    return five_crop(img, size) + five_crop((vflip if vertical_flip else hflip)(img), size)
