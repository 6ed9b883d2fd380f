"""Transforms of images, as Pillow's images or as tensors (`torchvision.transforms`)."""

from . import functional, transforms  # noqa: F401
from .functional import InterpolationMode  # noqa: F401
from .transforms import *  # noqa: F401, F403
