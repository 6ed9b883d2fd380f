//! Comparisons, logic and tests of values.

use super::*;

ops![];
