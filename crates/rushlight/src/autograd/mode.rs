//! Grad mode: whether ops on this thread are recorded.

use std::cell::Cell;
use std::marker::PhantomData;

#[derive(Clone, Copy, PartialEq)]
struct Mode {
    grad: bool,
    inference: bool,
}

thread_local! {
    static MODE: Cell<Mode> = const { Cell::new(Mode { grad: true, inference: false }) };
}

/// Restores the previous mode when dropped. Bind it to a name: `let _guard = no_grad();`.
#[must_use = "the mode lasts as long as the guard: bind it to a name"]
pub struct GradModeGuard {
    before: Mode,
    // The mode belongs to the thread that set it.
    not_send: PhantomData<*const ()>,
}

impl Drop for GradModeGuard {
    fn drop(&mut self) {
        MODE.with(|m| m.set(self.before));
    }
}

fn switch(f: impl FnOnce(Mode) -> Mode) -> GradModeGuard {
    MODE.with(|m| {
        let before = m.get();
        m.set(f(before));
        GradModeGuard { before, not_send: PhantomData }
    })
}

/// Ops are not recorded while the guard lives.
pub fn no_grad() -> GradModeGuard {
    set_grad_enabled(false)
}

/// Ops are recorded while the guard lives, also inside a `no_grad` region.
pub fn enable_grad() -> GradModeGuard {
    set_grad_enabled(true)
}

/// Recording on or off while the guard lives.
pub fn set_grad_enabled(enabled: bool) -> GradModeGuard {
    switch(|m| Mode { grad: enabled && !m.inference, ..m })
}

/// As `no_grad`, and tensors made meanwhile can never enter a recorded computation: less bookkeeping for pure evaluation.
pub fn inference_mode() -> GradModeGuard {
    switch(|_| Mode { grad: false, inference: true })
}

/// Turns recording on this thread on or off until further notice, and tells how it was: for callers whose regions are not Rust scopes.
pub fn switch_grad(enabled: bool) -> bool {
    let guard = set_grad_enabled(enabled);
    let before = guard.before.grad;
    std::mem::forget(guard);
    before
}

/// As [`switch_grad`], for inference mode, with PyTorch's effect on recording: none inside, and on outside. Tells how both were.
pub fn switch_inference(inference: bool, grad: bool) -> (bool, bool) {
    let guard = switch(|_| Mode { grad: grad && !inference, inference });
    let before = guard.before;
    std::mem::forget(guard);
    (before.inference, before.grad)
}

/// Whether ops on this thread are recorded.
#[inline]
pub fn is_grad_enabled() -> bool {
    MODE.with(|m| m.get().grad)
}

/// Whether inference mode is on.
#[inline]
pub fn is_inference() -> bool {
    MODE.with(|m| m.get().inference)
}
