"""`torch.distributed`: not there. It says so when asked, and everything else raises RuntimeError."""

from ._standin import constant, refuse

for _name in """
    is_available is_initialized is_gloo_available is_mpi_available is_nccl_available is_ucc_available is_xccl_available is_torchelastic_launched
""".split():
    globals()[_name] = constant(False, "Returns False: there is no distributed package.")
del _name

refuse(
    globals(),
    "Rushlight has no torch.distributed: a program is one process",
    functions="""
        all_gather all_gather_into_tensor all_gather_object all_reduce all_to_all all_to_all_single barrier batch_isend_irecv broadcast
        broadcast_object_list destroy_process_group gather gather_object get_backend get_global_rank get_group_rank get_process_group_ranks
        get_rank get_world_size init_device_mesh init_process_group irecv isend monitored_barrier new_group new_subgroups recv reduce
        reduce_scatter reduce_scatter_tensor scatter scatter_object_list send
    """.split(),
    classes="FileStore HashStore PrefixStore ProcessGroup Store TCPStore Work".split(),
)
