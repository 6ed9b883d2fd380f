//! Tables of vectors, looked up by integers.

use super::*;

ops![];
