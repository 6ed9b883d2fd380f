//! The checks of `registry.rs`, with every op run at its call.

#[path = "registry.rs"]
mod checks;
