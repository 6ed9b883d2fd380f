//! `cargo xtask check | test | bench | docs`: the project's own commands.
fn main() {}
