//! Normalisation layers' functions and dropout.

use super::*;

ops![];
