"""`torch.types`: names for annotations."""

import os
from builtins import bool as _bool, bytes as _bytes, float as _float, int as _int, str as _str  # noqa: F401
from collections.abc import Sequence
from typing import IO, Union

from . import Size, Tensor, device as _device, dtype as _dtype  # noqa: F401

__all__ = ["Device", "FileLike", "Number"]

Number = Union[int, float, bool]
Device = Union[_device, str, int, None]
FileLike = Union[str, os.PathLike[str], IO[bytes]]
_size = Union[Size, list[int], tuple[int, ...]]
_TensorOrTensors = Union[Tensor, Sequence[Tensor]]
