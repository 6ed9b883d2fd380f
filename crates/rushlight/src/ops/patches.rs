//! Patches of images as columns, and columns as patches.

use super::*;

ops![];
