//! Matrix products.

use crate::backend::*;
use crate::*;

/// See [`Backend`].
pub fn matmul(_a: View, _b: View, _bias: Option<View>, _alpha: Scalar, _beta: Scalar, _out: &mut ViewMut) -> Result<()> {
    todo!()
}
