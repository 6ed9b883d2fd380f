"""What PyTorch's programs use of `torchvision`: data sets from local files, transforms, image grids. `rushlight run` names it `torchvision`.

Nothing is downloaded, and there are no pretrained models. Pillow is used where it is installed; without it an image is a uint8 tensor
`[channels, height, width]`, which the transforms take too.
"""

from .. import __version__  # noqa: F401
from . import datasets, models, transforms, utils  # noqa: F401


def get_image_backend():
    """Returns the library that images are loaded with: "PIL"."""
    return "PIL"


def set_image_backend(backend):
    """Accepts "PIL" and no other."""
    if backend != "PIL":
        raise ValueError(f"Invalid backend {backend!r}. Images are loaded with PIL")
