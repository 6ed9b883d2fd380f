"""`torch.xpu` of a machine without Intel GPUs: questions are answered, seeds are accepted, everything else raises RuntimeError."""

from ._standin import constant, no_op, refuse

for _name in ("is_available", "is_initialized", "is_bf16_supported"):
    globals()[_name] = constant(False, "Returns False: there is no XPU.")
for _name in ("device_count", "memory_allocated", "max_memory_allocated", "memory_reserved", "max_memory_reserved"):
    globals()[_name] = constant(0, "Returns 0: there is no XPU device.")
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


no_op(globals(), ["seed", "seed_all", "empty_cache"])
refuse(
    globals(),
    "Rushlight has no XPU",
    functions="""
        current_device current_stream get_device_capability get_device_name get_device_properties get_rng_state init initial_seed mem_get_info
        reset_peak_memory_stats set_device set_rng_state set_stream synchronize
    """.split(),
    classes=["Event", "Stream", "StreamContext"],
)
