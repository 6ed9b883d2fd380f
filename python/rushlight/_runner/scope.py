"""What of PyTorch is out of scope, and why. Error texts and the coverage page read this table."""

import re
from fnmatch import translate

# A topic, the reason, and patterns: those with a dot match full names, the others the names in torch, torch.Tensor and nn.functional.
OUT_OF_SCOPE = [
    (
        "sparse tensors",
        "there are no sparse tensors",
        """
        torch.sparse.* torch.masked.* *.SparseAdam *sparse* coalesce is_coalesced ccol_indices col_indices crow_indices row_indices indices
        values dense_dim hspmm smm sspaddmm dsmm hsmm saddmm spmm to_dense indices_copy values_copy ccol_indices_copy col_indices_copy
        crow_indices_copy row_indices_copy
        """,
    ),
    (
        "quantization",
        "there are no quantized tensors",
        """
        torch.ao* torch.quantization* torch.nn.quant* torch.nn.qat* torch.nn.intrinsic* *quantiz* *_qparams* fake_quant*
        fused_moving_avg_obs* q_per_channel* q_scale q_zero_point int_repr qscheme qint* quint* per_tensor* per_channel* fbgemm_*
        choose_qparams* quantized_* QInt* QUInt* bits* int1 int2 int3 int4 int5 int6 int7 uint1 uint2 uint3 uint4 uint5 uint6 uint7 float4*
        float8* scaled_mm scaled_grouped_mm ScalingType SwizzleType grouped_mm
        """,
    ),
    (
        "complex numbers",
        "there are no complex numbers",
        """
        torch.fft.*fft torch.fft.*fft[2n] torch.linalg.eig torch.linalg.eigvals complex* cfloat cdouble chalf bcomplex* view_as_complex*
        view_as_real* polar imag conj* resolve_conj resolve_neg is_conj is_neg stft istft Complex* torch.distributions.constraints.complex*
        """,
    ),
    ("nested tensors", "there are no nested tensors", "torch.nested* *nested* jagged to_padded_tensor"),
    (
        "several processes",
        "a program is one process",
        """
        torch.distributed* torch.nn.parallel* *.DataParallel *.DistributedDataParallel *.SyncBatchNorm *.ZeroRedundancyOptimizer
        *.DistributedSampler share_memory_ is_shared is_distributed batch_norm_stats batch_norm_elemt batch_norm_gather_stats*
        batch_norm_backward_* batch_norm_update_stats
        """,
    ),
    (
        "other devices",
        "there is no device but the CPU",
        """
        torch.cuda* torch.mps* torch.xpu* torch.mtia* torch.accelerator* *cuda* *cudnn* *miopen* is_mps *vulkan* *xla* *.is_maia ipu xpu
        mtia is_ipu is_xpu is_mtia get_device_module Event Stream *.is_pinned *.custom_fwd *.custom_bwd
        """,
    ),
    ("other kernels", "the kernels are Rushlight's own", "*mkldnn* compiled_with_cxx11_abi torch.nn.attention.* has_lapack has_mkl has_openmp has_spectral"),
    (
        "compilers",
        "programs are Python, run eagerly: nothing is compiled or exported",
        """
        torch.jit* torch.fx* torch.export* torch.onnx* torch.package* torch._dynamo* torch._inductor* torch.compiler* torch.library* *Type
        Sym* sym_* import_ir_module* parse_ir parse_schema parse_type_comment merge_type_from_type_comment CompilationUnit Script* Graph*
        Node Block Value Code Gradient ExecutionPlan FunctionSchema Argument* AliasDb CallStack CompleteArgumentSpec FileCheck Future
        IODescriptor LiteScriptModule LockingLogger ModuleDict NoopLogger LoggerBase AggregationType OperatorInfo ParameterDict PyTorchFile*
        SerializationStorageContext DeserializationStorageContext StaticModule Use BufferDict DeepCopyMemoTable Capsule cond while_loop fork
        wait unify_type_list get_file_path AVG SUM Tag TracingState ConcreteModuleTypeBuilder ExcludeDispatchKeyGuard JITException
        ErrorReport ThroughputBenchmark BenchmarkConfig BenchmarkExecutionStats Dispatch* Await* torch.testing.FileCheck *_copy
        """,
    ),
    (
        "storages and typed tensors",
        "storages are not objects, and tensors have no class for each dtype",
        """
        *storage* *Storage* set_ ByteTensor CharTensor ShortTensor IntTensor LongTensor HalfTensor FloatTensor DoubleTensor BFloat16Tensor
        BoolTensor set_default_tensor_type legacy_contiguous_format module_load
        """,
    ),
    (
        "removed functions",
        "PyTorch has removed it too",
        """
        torch.eig torch.lstsq torch.matrix_rank torch.solve torch.symeig torch.Tensor.eig torch.Tensor.lstsq torch.Tensor.solve
        torch.Tensor.symeig
        """,
    ),
    (
        "internals",
        "it is an internal of PyTorch",
        """
        native_* autocast_*_nesting set_autocast_* get_autocast_* is_autocast_* clear_autocast_cache rnn_relu rnn_tanh lstm gru lstm_cell
        gru_cell rnn_relu_cell rnn_tanh_cell prepare_multiprocessing_environment DisableTorchFunction* has_torch_function*
        handle_torch_function wait set_anomaly_enabled init_num_threads profiler_* torch.overrides.* torch.utils.checkpoint.*select*
        torch.autograd.graph.*graph_exec* torch.nn.utils.fusion* *.fuse_*
        """,
    ),
]
_HOMES = re.compile(r"torch\.(?:Tensor\.|nn\.functional\.)?([^.]+)$")
_PATTERNS = [(re.compile(translate(p)), "." in p, reason) for _, reason, patterns in OUT_OF_SCOPE for p in patterns.split()]


def why_not(name):
    """The reason why the name `name` (`torch.sparse.mm`) is out of scope, or None."""
    home = _HOMES.match(name)
    short = home[1] if home else ""
    return next((reason for pattern, full, reason in _PATTERNS if pattern.match(name if full else short)), None)
