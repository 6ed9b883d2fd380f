//! Pooling windows.

use crate::backend::*;
use crate::*;

/// See [`Backend`].
pub fn window(_op: &WindowOp, _ins: &[View], _outs: &mut [ViewMut]) -> Result<()> {
    todo!()
}
