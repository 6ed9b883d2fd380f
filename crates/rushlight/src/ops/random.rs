//! Random tensors, drawn as PyTorch's CPU generator draws them.

use super::*;

ops![];
