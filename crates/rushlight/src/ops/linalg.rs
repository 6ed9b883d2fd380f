//! Matrix products.

use super::*;

ops![];
