//! What training loops share.
