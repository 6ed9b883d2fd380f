//! Pointwise functions of three tensors: where, clamp, lerp, addcmul.

use super::*;

ops![];
