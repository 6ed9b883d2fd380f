"""`torch.version`: the version of this package, and of the device libraries that it is built with: none."""

from . import __version__

cuda = None
hip = None
rocm = None
xpu = None
debug = False
git_version = None

__all__ = ["__version__", "cuda", "debug", "git_version", "hip", "rocm", "xpu"]
