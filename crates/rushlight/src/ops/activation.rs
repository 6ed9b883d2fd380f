//! Activations: the nonlinear functions of `nn.functional`.

use super::*;

ops![];
