//! Softmax and its logarithm.

use super::*;

ops![];
