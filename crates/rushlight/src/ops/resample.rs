//! Images of other sizes.

use super::*;

ops![];
