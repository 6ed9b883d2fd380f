//! Losses.

use super::*;

ops![];
