//! Optimizer steps: one call for all parameters of a group, by the update rules of the Rust door.

use pyo3::prelude::*;

/// Adds the functions to the module.
pub fn register(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
