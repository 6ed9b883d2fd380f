//! Type promotion: PyTorch's rule of three priorities (tensors with dimensions, zero-dim tensors, bare numbers).
//!
//! Source: <https://docs.pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc>

use crate::storage::Data;
use crate::{DType, Error, Result, Tensor};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

static DEFAULT: AtomicU8 = AtomicU8::new(DType::F32 as u8);

/// The dtype of new floating tensors; float32 unless set otherwise.
pub fn default_dtype() -> DType {
    DType::ALL[DEFAULT.load(Relaxed) as usize]
}

/// Sets the dtype of new floating tensors.
///
/// # Errors
/// TypeError if `dtype` is not a floating type.
pub fn set_default_dtype(dtype: DType) -> Result<()> {
    if !dtype.is_float() {
        return Err(Error::type_(format!("only floating-point types are supported as the default type, got {dtype}")));
    }
    DEFAULT.store(dtype as u8, Relaxed);
    Ok(())
}

fn category(d: DType) -> u8 {
    match d {
        DType::Bool => 0,
        d if d.is_float() => 2,
        _ => 1,
    }
}

/// The dtype that operands compute in together, found as they arrive.
#[derive(Default)]
pub(crate) struct Promotion {
    /// Of tensors with dimensions, of zero-dim ones, of numbers.
    by_priority: [Option<DType>; 3],
}

impl Promotion {
    pub(crate) fn add(&mut self, d: &Data) {
        let (level, dtype) = if d.wrapped {
            (2, if d.dtype.is_float() { default_dtype() } else { d.dtype })
        } else if d.layout.rank() == 0 {
            (1, d.dtype)
        } else {
            (0, d.dtype)
        };
        let slot = &mut self.by_priority[level];
        *slot = Some(slot.map_or(dtype, |s| s.promote(dtype)));
    }
    /// A lower priority matters only where its category is higher.
    pub(crate) fn dtype(&self) -> DType {
        self.by_priority
            .into_iter()
            .flatten()
            .reduce(|hi, lo| if category(lo) > category(hi) { hi.promote(lo) } else { hi })
            .unwrap_or_else(default_dtype)
    }
}

/// The dtype that arithmetic between `tensors` gives.
pub fn result_type(tensors: &[&Tensor]) -> DType {
    let mut promotion = Promotion::default();
    tensors.iter().for_each(|t| promotion.add(&t.data_ref()));
    promotion.dtype()
}

/// Whether a result of dtype `from` may be stored into `to` by an in-place op: not from float to integer, nor from number to bool.
pub fn can_cast(from: DType, to: DType) -> bool {
    category(from) <= category(to)
}
