//! Pointwise functions of one tensor.

use super::*;

ops![];
