"""`torch.nn.parallel`: what PyTorch does on a machine with the CPU alone. A program is one process on one device."""

from .._standin import refuse
from .modules.module import Module

__all__ = ["DataParallel", "DistributedDataParallel", "data_parallel"]


class DataParallel(Module):
    """Calls `module` with all it is given: there are no devices to split batches over, whatever `device_ids` says.

    The keys of its state have the prefix `module.`, so that checkpoints of wrapped modules fit.
    """

    def __init__(self, module, device_ids=None, output_device=None, dim=0):
        super().__init__()
        self.module = module
        self.device_ids = []

    def forward(self, *inputs, **kwargs):
        return self.module(*inputs, **kwargs)


def data_parallel(module, inputs, device_ids=None, output_device=None, dim=0, module_kwargs=None):
    """Raises RuntimeError, as PyTorch does without devices; `DataParallel` works."""
    raise RuntimeError("device type could not be determined")


refuse(globals(), "Rushlight has no torch.distributed: a program is one process", classes=["DistributedDataParallel"])
