//! The tile executor: runs programs.

use crate::backend::*;
use crate::*;

/// See [`Backend`].
pub fn pointwise(_program: &Program, _ins: &[View], _outs: &mut [ViewMut]) -> Result<()> {
    todo!()
}
