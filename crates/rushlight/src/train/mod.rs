//! What training loops share: metrics.
//!
//! Must not live here: optimizers (`optim/`), loaders (`data/`), progress bars.

mod metrics;

pub use metrics::{ConfusionMatrix, accuracy};
