//! Pointwise functions of two tensors beyond arithmetic: powers, extremes, remainders, bits.

use super::*;

ops![];
