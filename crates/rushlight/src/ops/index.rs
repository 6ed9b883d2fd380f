//! Elements by position: gather, scatter, select, put, masks.

use super::*;

ops![];
