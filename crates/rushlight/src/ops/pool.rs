//! Pooling, padding and interpolation.

use super::*;

ops![];
