//! Reductions.

use crate::backend::*;
use crate::*;

/// See [`Backend`].
pub fn reduce(_op: ReduceOp, _x: View, _dims: &[usize], _out: &mut ViewMut) -> Result<()> {
    todo!()
}
