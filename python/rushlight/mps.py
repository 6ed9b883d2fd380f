"""`torch.mps` of a machine without Metal: questions are answered, seeds are accepted, everything else raises RuntimeError."""

from ._standin import constant, refuse

is_available = constant(False, "Returns False: there is no Metal device.")
device_count = constant(0, "Returns 0: there is no Metal device.")


def manual_seed(seed):
    """Accepts a seed for a device that is not there."""
    int(seed)


refuse(
    globals(),
    "Rushlight has no MPS",
    functions="""
        compile_shader current_allocated_memory driver_allocated_memory empty_cache get_rng_state recommended_max_memory seed
        set_per_process_memory_fraction set_rng_state synchronize
    """.split(),
    classes=["Event"],
)
