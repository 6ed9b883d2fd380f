//! Convolutions and their transposes.

use super::*;

ops![];
