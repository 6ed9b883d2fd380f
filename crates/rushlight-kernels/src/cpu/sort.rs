//! Sorting and top-k.

use crate::backend::*;
use crate::*;

/// See [`Backend`].
pub fn sort(_x: View, _dim: usize, _descending: bool, _values: &mut ViewMut, _indices: &mut ViewMut) -> Result<()> {
    todo!()
}

/// See [`Backend`].
pub fn topk(_x: View, _dim: usize, _largest: bool, _values: &mut ViewMut, _indices: &mut ViewMut) -> Result<()> {
    todo!()
}
