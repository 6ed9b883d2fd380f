//! Sorting and the best k.

use super::*;

ops![];
