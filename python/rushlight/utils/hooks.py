"""`torch.utils.hooks`: the handle that takes a hook away."""

from ..nn.modules._hooks import RemovableHandle  # noqa: F401
