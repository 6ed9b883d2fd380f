"""`torch.multiprocessing`: Python's `multiprocessing`, loaded on first use.

Tensors go to other processes by pickling, as copies: memory is not shared between processes.
"""

from ._standin import refuse

refuse(globals(), "Rushlight does not share tensors between processes", functions="set_sharing_strategy spawn start_processes".split())


def get_all_sharing_strategies():
    """Returns how memory can be shared between processes: an empty set."""
    return set()


def __getattr__(name):
    import multiprocessing

    return getattr(multiprocessing, name)


def __dir__():
    import multiprocessing

    return sorted({*dir(multiprocessing), *(n for n in globals() if not n.startswith("_"))})
