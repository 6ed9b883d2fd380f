//! Tensors put together and repeated: cat, stack, tile, roll, flip.

use super::*;

ops![];
