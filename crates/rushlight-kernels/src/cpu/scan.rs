//! Running reductions.

use crate::backend::*;
use crate::*;

/// See [`Backend`].
pub fn scan(_op: ScanOp, _x: View, _dim: usize, _out: &mut ViewMut, _indices: Option<&mut ViewMut>) -> Result<()> {
    todo!()
}
