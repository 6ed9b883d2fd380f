"""`torch.cuda` of a machine without CUDA: questions are answered, seeds are accepted, everything else raises RuntimeError."""

from .._standin import constant, no_op, refuse

NO_CUDA = "Rushlight has no CUDA"

default_generators = ()


class OutOfMemoryError(RuntimeError):
    """A device ran out of memory. Never raised here; it is there to be caught."""


class CudaError(RuntimeError):
    """A call of CUDA failed. Never raised here; it is there to be caught."""


for _name in ("is_available", "is_initialized", "is_bf16_supported", "is_tf32_supported", "is_current_stream_capturing"):
    globals()[_name] = constant(False, "Returns False: there is no CUDA.")
for _name in ("device_count", "memory_allocated", "max_memory_allocated", "memory_reserved", "max_memory_reserved"):
    globals()[_name] = constant(0, "Returns 0: there is no CUDA device.")
del _name


def manual_seed(seed):
    """Accepts a seed for a device that is not there."""
    int(seed)


def manual_seed_all(seed):
    """Accepts a seed for devices that are not there."""
    int(seed)


def get_rng_state_all():
    """Returns the generator states of all devices: an empty list."""
    return []


def set_rng_state_all(new_states):
    """Restores the generator states of all devices, of which there are none."""
    if len(list(new_states)):
        raise RuntimeError(f"{NO_CUDA}: there is no generator to give a state to")


def get_arch_list():
    """Returns the architectures this build is for: an empty list."""
    return []


def memory_stats(device=None):
    """Returns the statistics of the allocator: an empty dictionary."""
    return {}


class device:
    """`with torch.cuda.device(None)`: does nothing; any other device raises RuntimeError."""

    def __init__(self, device):
        if device is not None and not (isinstance(device, int) and device < 0):
            raise RuntimeError(f"{NO_CUDA}: cannot select device {device!r}")

    def __enter__(self):
        return None

    def __exit__(self, *error):
        return False


class StreamContext:
    """`with torch.cuda.stream(None)`: does nothing."""

    def __init__(self, stream):
        if stream is not None:
            raise RuntimeError(f"{NO_CUDA}: cannot select stream {stream!r}")

    def __enter__(self):
        return None

    def __exit__(self, *error):
        return False


def stream(stream):
    """Returns a context that selects `stream`, which must be None."""
    return StreamContext(stream)


no_op(globals(), ["seed", "seed_all", "empty_cache"])
refuse(
    globals(),
    NO_CUDA,
    functions="""
        can_device_access_peer caching_allocator_alloc caching_allocator_delete current_blas_handle current_device current_stream
        default_stream get_allocator_backend get_device_capability get_device_name get_device_properties get_gencode_flags get_rng_state
        graph_pool_handle init initial_seed ipc_collect list_gpu_processes make_graphed_callables mem_get_info memory_snapshot memory_summary
        memory_usage power_draw reset_accumulated_memory_stats reset_max_memory_allocated reset_max_memory_cached reset_peak_memory_stats
        set_device set_per_process_memory_fraction set_rng_state set_stream set_sync_debug_mode get_sync_debug_mode synchronize temperature
        utilization clock_rate cudart graph
    """.split(),
    classes=["CUDAGraph", "Event", "ExternalStream", "MemPool", "Stream", "device_of"],
)


def __getattr__(name):
    if name in ("amp", "random", "memory"):
        import importlib

        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
