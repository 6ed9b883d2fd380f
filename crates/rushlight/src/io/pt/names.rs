//! The names that a checkpoint's pickle may use, each with what it stands for here. None of them runs code.

use crate::DType;

/// What a pickle may call, or name as a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    Counter,
    Size,
    Device,
    /// `torch._utils._rebuild_tensor`: storage, offset, sizes, strides.
    RebuildTensor,
    /// `_rebuild_tensor_v2`: those, whether it takes a gradient, hooks, and perhaps marks of a lazy negation or conjugation.
    RebuildTensorV2,
    /// `_rebuild_tensor_v3`: as v2, with the dtype before the marks; its storage is untyped.
    RebuildTensorV3,
    /// `_rebuild_parameter` and `_rebuild_parameter_with_state`: a tensor and what it is decorated with.
    RebuildParameter,
    /// `_rebuild_from_type_v2`: one of the above, its arguments, and the attributes of the object.
    RebuildFromType,
    /// The type that `_rebuild_from_type_v2` names.
    TensorType,
    UntypedStorage,
    Storage(&'static Kind),
    DType(&'static Kind),
}

/// An element type of PyTorch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// As in `torch.float32`.
    pub(super) name: &'static str,
    /// As in `torch.FloatStorage`; newer element types have none.
    pub(super) storage: Option<&'static str>,
    /// What it is here, if anything.
    pub(super) dtype: Option<DType>,
}

const fn kind(name: &'static str, storage: &'static str, dtype: Option<DType>) -> Kind {
    Kind { name, storage: Some(storage), dtype }
}
const fn lacking(name: &'static str) -> Kind {
    Kind { name, storage: None, dtype: None }
}

static KINDS: [Kind; 27] = [
    kind("float32", "FloatStorage", Some(DType::F32)),
    kind("float64", "DoubleStorage", Some(DType::F64)),
    kind("float16", "HalfStorage", Some(DType::F16)),
    kind("bfloat16", "BFloat16Storage", Some(DType::BF16)),
    kind("uint8", "ByteStorage", Some(DType::U8)),
    kind("int8", "CharStorage", Some(DType::I8)),
    kind("int16", "ShortStorage", Some(DType::I16)),
    kind("int32", "IntStorage", Some(DType::I32)),
    kind("int64", "LongStorage", Some(DType::I64)),
    kind("bool", "BoolStorage", Some(DType::Bool)),
    kind("complex64", "ComplexFloatStorage", None),
    kind("complex128", "ComplexDoubleStorage", None),
    kind("quint8", "QUInt8Storage", None),
    kind("qint8", "QInt8Storage", None),
    kind("qint32", "QInt32Storage", None),
    kind("quint4x2", "QUInt4x2Storage", None),
    kind("quint2x4", "QUInt2x4Storage", None),
    lacking("complex32"),
    lacking("uint16"),
    lacking("uint32"),
    lacking("uint64"),
    lacking("float8_e4m3fn"),
    lacking("float8_e4m3fnuz"),
    lacking("float8_e5m2"),
    lacking("float8_e5m2fnuz"),
    lacking("float8_e8m0fnu"),
    lacking("float4_e2m1fn_x2"),
];

/// The meaning of `module.name`, if a checkpoint may use it.
pub(super) fn find(module: &str, name: &str) -> Option<Global> {
    Some(match (module, name) {
        ("collections", "OrderedDict") => Global::OrderedDict,
        ("collections", "Counter") => Global::Counter,
        ("torch", "Size") => Global::Size,
        ("torch", "device") => Global::Device,
        ("torch._utils", "_rebuild_tensor") => Global::RebuildTensor,
        ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensorV2,
        ("torch._utils", "_rebuild_tensor_v3") => Global::RebuildTensorV3,
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Global::RebuildParameter,
        ("torch._tensor", "_rebuild_from_type_v2") => Global::RebuildFromType,
        ("torch", "Tensor") | ("torch.nn.parameter", "Parameter") => Global::TensorType,
        ("torch" | "torch.storage", "UntypedStorage") => Global::UntypedStorage,
        ("torch", _) => {
            let storage = KINDS.iter().find(|k| k.storage == Some(name)).map(Global::Storage);
            storage.or_else(|| KINDS.iter().find(|k| k.name == name).map(Global::DType))?
        }
        _ => return None,
    })
}

/// The name of `dtype`'s storage, in the module `torch`.
pub(super) fn storage_of(dtype: DType) -> &'static str {
    KINDS.iter().find(|k| k.dtype == Some(dtype)).and_then(|k| k.storage).expect("the table holds every dtype")
}
