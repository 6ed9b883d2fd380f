//! Anomaly mode: find the forward op behind a NaN in the backward pass.

use std::cell::Cell;
use std::marker::PhantomData;

thread_local! {
    static ON: Cell<bool> = const { Cell::new(false) };
}

/// Ends the mode when dropped.
#[must_use = "the mode lasts as long as the guard: bind it to a name"]
pub struct AnomalyGuard {
    before: bool,
    // The mode belongs to the thread that set it.
    not_send: PhantomData<*const ()>,
}

impl Drop for AnomalyGuard {
    fn drop(&mut self) {
        ON.with(|on| on.set(self.before));
    }
}

/// While the guard lives, a backward on this thread that produces NaN fails, and names the forward op and its source line; so does any
/// other error in it. Costs a pass over every gradient.
pub fn detect_anomaly() -> AnomalyGuard {
    AnomalyGuard { before: ON.with(|on| on.replace(true)), not_send: PhantomData }
}

/// Whether anomaly mode is on.
pub fn is_anomaly_enabled() -> bool {
    ON.with(Cell::get)
}

/// Turns anomaly mode on this thread on or off until further notice, and tells how it was.
pub fn switch_anomaly(on: bool) -> bool {
    ON.with(|o| o.replace(on))
}
