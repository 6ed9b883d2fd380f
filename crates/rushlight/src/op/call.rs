//! Which op is running, and where the user called it: for error texts, in-place errors and anomaly mode.

use std::cell::Cell;
use std::panic::Location;

thread_local! {
    static CURRENT: Cell<Option<(&'static str, &'static Location<'static>)>> = const { Cell::new(None) };
}

/// Lives as long as an op's body runs. Only the outermost op sets the name and place: a composite's parts report the composite.
#[must_use]
pub struct Call {
    outermost: bool,
}

/// Marks the start of an op called from `site`.
#[inline]
pub fn enter(op: &'static str, site: &'static Location<'static>) -> Call {
    CURRENT.with(|c| {
        let outermost = c.get().is_none();
        if outermost {
            c.set(Some((op, site)));
        }
        Call { outermost }
    })
}

impl Drop for Call {
    #[inline]
    fn drop(&mut self) {
        if self.outermost {
            // A thread that is ending has no current op to clear.
            let _ = CURRENT.try_with(|c| c.set(None));
        }
    }
}

/// The name of the outermost op that is running on this thread.
#[inline]
pub fn current_op() -> &'static str {
    CURRENT.with(|c| c.get()).map_or("op", |c| c.0)
}

/// The line that called the outermost op that is running on this thread.
#[inline]
pub fn current_site() -> Option<&'static Location<'static>> {
    CURRENT.with(|c| c.get()).map(|c| c.1)
}
