//! Running reductions.

use super::*;

ops![];
