//! Linear maps, embeddings and attention.

use super::*;

ops![];
