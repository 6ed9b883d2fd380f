//! The leaves of a module: trainable tensors, tensors that belong to its state, and the training flag.

use crate::op::AsTensor;
use crate::{Result, Tensor};
use std::borrow::Cow;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};

/// A tensor that an optimizer trains: a leaf that requires a gradient. A clone is another handle to the same tensor, which is
/// how weights are tied.
#[derive(Clone, Debug)]
pub struct Parameter(Tensor);

impl Parameter {
    /// A parameter with the memory of `value`, cut off from its history.
    ///
    /// # Panics
    /// If `value` is not of a floating type.
    #[track_caller]
    pub fn new(value: Tensor) -> Parameter {
        match Parameter::try_new(value) {
            Ok(parameter) => parameter,
            Err(e) => panic!("{e}"),
        }
    }

    /// As [`Parameter::new`].
    ///
    /// # Errors
    /// If `value` is not of a floating type.
    pub fn try_new(value: Tensor) -> Result<Parameter> {
        let tensor = value.detach();
        tensor.try_requires_grad_(true)?;
        Ok(Parameter(tensor))
    }

    /// A parameter of zeros in the default dtype, to be initialised.
    ///
    /// # Errors
    /// If there is not so much memory.
    pub fn zeros(shape: &[usize]) -> Result<Parameter> {
        Parameter::try_new(crate::ops::creation::filled(shape, 0i64.into(), crate::default_dtype())?)
    }
}

/// A tensor that is part of a module's state but is not trained: running statistics, masks, tables.
#[derive(Clone, Debug)]
pub struct Buffer {
    tensor: Tensor,
    persistent: bool,
}

impl Buffer {
    /// A buffer that checkpoints hold.
    pub fn new(value: Tensor) -> Buffer {
        Buffer { tensor: value.detach(), persistent: true }
    }
    /// A buffer that checkpoints leave out, because it can be computed again (`persistent=False` in PyTorch).
    pub fn transient(value: Tensor) -> Buffer {
        Buffer { persistent: false, ..Buffer::new(value) }
    }
    /// Whether checkpoints hold it.
    pub fn is_persistent(&self) -> bool {
        self.persistent
    }
}

macro_rules! tensor_like {
    ($($t:ident $field:tt)*) => {$(
        impl Deref for $t {
            type Target = Tensor;
            fn deref(&self) -> &Tensor { &self.$field }
        }
        impl AsTensor for $t {
            fn as_tensor(&self) -> Cow<'_, Tensor> { Cow::Borrowed(&self.$field) }
        }
        impl From<Tensor> for $t {
            fn from(value: Tensor) -> $t { $t::new(value) }
        }
    )*};
}
tensor_like!(Parameter 0 Buffer tensor);

/// Whether a module trains. A layer that behaves differently then (dropout, batch norm) has a field of this type, which
/// `train` and `eval` set; a new one is set.
#[derive(Debug)]
pub struct Training(AtomicBool);

impl Training {
    /// Whether the module trains.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
    /// Sets it.
    pub fn set(&self, on: bool) {
        self.0.store(on, Ordering::Relaxed);
    }
}

impl Default for Training {
    fn default() -> Training {
        Training(AtomicBool::new(true))
    }
}

impl Clone for Training {
    fn clone(&self) -> Training {
        Training(AtomicBool::new(self.get()))
    }
}
