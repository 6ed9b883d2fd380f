"""Logs for TensorBoard. Its page: ``torch.utils.tensorboard``."""

from .writer import FileWriter, SummaryWriter

__all__ = ["FileWriter", "SummaryWriter"]
