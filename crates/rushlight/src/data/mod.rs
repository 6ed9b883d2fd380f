//! Datasets and how batches are made from them.
