"""`torch.utils.dlpack`: tensors shared with other libraries without a copy."""

from .. import _C, from_dlpack  # noqa: F401


def to_dlpack(tensor):
    """Returns a DLPack capsule of a tensor's memory. Newer libraries take the tensor itself."""
    return _C._to_dlpack(tensor, False, False)
