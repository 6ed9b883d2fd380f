//! Gather, scatter, take, put, nonzero.

use crate::backend::*;
use crate::*;

/// See [`Backend`].
pub fn gather(_x: View, _dim: usize, _index: View, _out: &mut ViewMut) -> Result<()> {
    todo!()
}

/// See [`Backend`].
pub fn scatter(_op: ScatterOp, _dim: usize, _index: View, _src: View, _out: &mut ViewMut) -> Result<()> {
    todo!()
}

/// See [`Backend`].
pub fn take(_x: View, _indices: &[View], _out: &mut ViewMut) -> Result<()> {
    todo!()
}

/// See [`Backend`].
pub fn put(_op: ScatterOp, _indices: &[View], _src: View, _out: &mut ViewMut) -> Result<()> {
    todo!()
}

/// See [`Backend`].
pub fn nonzero(_x: View) -> Result<Vec<i64>> {
    todo!()
}
