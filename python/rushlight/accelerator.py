"""`torch.accelerator` of a machine with none: questions are answered, everything else raises RuntimeError."""

from ._standin import constant, no_op, refuse

is_available = constant(False, "Returns False: the CPU does all the work.")
device_count = constant(0, "Returns 0: there is no accelerator.")
current_accelerator = constant(None, "Returns None: there is no accelerator.")

no_op(globals(), ["empty_cache"])
refuse(
    globals(),
    "Rushlight has no accelerator",
    functions="""
        current_device_idx current_device_index current_stream get_memory_info max_memory_allocated max_memory_reserved memory_allocated
        memory_reserved memory_stats reset_accumulated_memory_stats reset_peak_memory_stats set_device_idx set_device_index set_stream synchronize
    """.split(),
    classes=["device_index"],
)
