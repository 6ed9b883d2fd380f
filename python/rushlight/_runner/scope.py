"""What of PyTorch is out of scope, and why. Error texts and the coverage page read this table."""

import re

# A regular expression for full names, and the reason. The first match counts.
OUT_OF_SCOPE = [
    (r"torch\.(Tensor\.)?(\w*sparse\w*|ccol_indices|col_indices|crow_indices|row_indices|coalesce|is_coalesced|hspmm|sspaddmm|smm|dense_dim|(indices|values)(_copy)?|\w*_(csr|csc|bsr|bsc)|sparse_mask)$", "sparse tensors are not offered"),
    (r"torch\.sparse\b", "sparse tensors are not offered"),
    (r"torch\.nn\.(\w+\.)*SparseAdam$|torch\.optim\.SparseAdam$", "sparse tensors are not offered"),
    (r"torch\.(Tensor\.)?(\w*quant(ize|ized|iz)\w*|fake_quant\w*|q_\w+|int_repr|qscheme|quint\w+|qint\w+|per_(channel|tensor)\w*|choose_qparams\w*|fused_moving_avg_obs_fake_quant|dequantize|fbgemm_\w+)$", "quantization is not offered"),
    (r"torch\.(ao|quantization|nn\.(quantized|qat|quantizable|intrinsic))\b", "quantization is not offered"),
    (r"torch\.(Tensor\.)?(complex\w*|cfloat|cdouble|chalf|view_as_complex\w*|view_as_real\w*|is_complex_x|polar|real|imag|angle|conj\w*|resolve_conj|is_conj|resolve_neg|is_neg|\w*_conj\w*|stft|istft|adjoint_x)$", "complex numbers are not offered"),
    (r"torch\.fft\b", "complex numbers are not offered"),
    (r"torch\.linalg\.(eig|eigvals)$", "complex numbers are not offered"),
    (r"torch\.(Tensor\.)?(align_as|align_to|align_tensors|names|has_names|rename_?|refine_names)$", "named tensors are not offered"),
    (r"torch\.nested\b|torch\.(Tensor\.)?\w*nested\w*$|torch\.Tensor\.is_nested$", "nested tensors are not offered"),
    (r"torch\.(distributed|nn\.parallel|nn\.DataParallel|nn\.SyncBatchNorm|optim\.ZeroRedundancyOptimizer)\b|torch\.utils\.data\.DistributedSampler$|torch\.utils\.data\.distributed\b", "a program is one process on one device"),
    (r"torch\.(cuda|mps|xpu|mtia|musa|hpu|accelerator|ipu)\b|torch\.(Tensor\.)?(\w*cuda\w*|\w*cudnn\w*|\w*miopen\w*|\w*mps\w*|xpu|ipu|hpu|mtia|\w*xla\w*|\w*vulkan\w*|\w*metal\w*|is_maia|is_ort|is_pinned|pin_memory|is_vulkan|is_ipu|is_xpu|is_mtia)$", "there is no device but the CPU"),
    (r"torch\.(Event|Stream|get_device_module)$", "there is no device but the CPU"),
    (r"torch\.(Tensor\.)?(\w*mkldnn\w*|\w*onednn\w*|to_mkldnn)$", "Rushlight's kernels are its own"),
    (r"torch\.(jit|fx|export|onnx|package|_dynamo|_inductor|compiler|library|_export)\b|torch\.(import_ir_module\w*|parse_ir|parse_schema|merge_type_from_type_comment|parse_type_comment|(\w+Type)$|CompilationUnit|ScriptMethod|ScriptObject|ScriptFunction|ScriptModule|ScriptClass\w*|ScriptDict\w*|ScriptList\w*|Graph|Node|Block|Value|Code|Gradient|GraphExecutorState|ExecutionPlan|FunctionSchema|Argument|ArgumentSpec|AliasDb|CallStack|ClassType|CompleteArgumentSpec|FileCheck|Future|IODescriptor|LiteScriptModule|LockingLogger|ModuleDict|NoopLogger|LoggerBase|AggregationType|OperatorInfo|ParameterDict|PyTorchFileReader|PyTorchFileWriter|ScriptModuleSerializer|SerializationStorageContext|DeserializationStorageContext|StaticModule|Use|BufferDict|DeepCopyMemoTable|Capsule|cond|SymBool|SymFloat|SymInt|sym_\w+|fork|wait|unify_type_list|import_ir_module|DisableTorchFunction\w*|vitals_enabled|set_vital|read_vitals|autocast_increment_nesting|autocast_decrement_nesting)\b", "programs are Python, run eagerly: there is no compiler"),
    (r"torch\.(Tensor\.)?(\w*storage\w*|\w+Storage|set_|share_memory_|is_shared|module_load|is_distributed|is_same_size_x)$", "storages are not exposed"),
    (r"torch\.(Byte|Char|Short|Int|Long|Half|Float|Double|BFloat16|Bool|Complex\w*)Tensor$", "the old typed constructors: use torch.tensor"),
    (r"torch\.(Tensor\.)?\w+_copy$", "copying variants of views, made for compilers"),
    (r"torch\.(\w*batch_norm_(stats|elemt|gather_stats\w*|backward_\w+|update_stats)|native_\w+|_\w+|segment_reduce|rnn_\w+|quantized_\w+|\w+_(cell|tanh|relu)_x|resize_as_sparse_|alpha_dropout_x)$", "internal functions"),
]
_PATTERNS = [(re.compile(pattern), reason) for pattern, reason in OUT_OF_SCOPE]


def why_not(name):
    """The reason why the name `name` (`torch.sparse.mm`) is out of scope, or None."""
    return next((reason for pattern, reason in _PATTERNS if pattern.match(name)), None)
