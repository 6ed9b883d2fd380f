//! Convolutions.

use crate::backend::*;
use crate::*;

/// See [`Backend`].
pub fn conv(_x: View, _w: View, _bias: Option<View>, _shape: &ConvShape, _out: &mut ViewMut) -> Result<()> {
    todo!()
}

/// See [`Backend`].
pub fn conv_input_grad(_g: View, _w: View, _shape: &ConvShape, _out: &mut ViewMut) -> Result<()> {
    todo!()
}

/// See [`Backend`].
pub fn conv_weight_grad(_g: View, _x: View, _shape: &ConvShape, _out: &mut ViewMut) -> Result<()> {
    todo!()
}
