//! Which op is running, and where the user called it: for error texts, in-place errors and anomaly mode.

use std::cell::Cell;
use std::fmt;
use std::panic::Location;

/// A line of the user's program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In Rust.
    Rust(&'static Location<'static>),
    /// In a language that calls the library: a file and a line.
    Script(&'static str, u32),
}

impl Place {
    /// The file.
    pub fn file(&self) -> &'static str {
        match self {
            Place::Rust(l) => l.file(),
            Place::Script(file, _) => file,
        }
    }
    /// The line, from 1.
    pub fn line(&self) -> u32 {
        match self {
            Place::Rust(l) => l.line(),
            Place::Script(_, line) => *line,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Rust(l) => l.fmt(f),
            Place::Script(file, line) => write!(f, "{file}:{line}"),
        }
    }
}

thread_local! {
    static CURRENT: Cell<Option<(&'static str, Option<Place>)>> = const { Cell::new(None) };
}

/// What a caller passes for a name where the ops that it calls should be seen under their own: indexing, which is several views.
pub const UNNAMED: &str = "";

/// Lives as long as an op's body runs. Only the outermost op sets the name and place: a composite's parts report the composite.
#[must_use]
pub struct Call {
    /// What to set again at the end: the caller's own entry if that was unnamed, else nothing.
    before: Option<(&'static str, Option<Place>)>,
    outermost: bool,
}

/// Marks the start of an op called from `site`.
#[inline]
pub fn enter(op: &'static str, site: &'static Location<'static>) -> Call {
    enter_from(op, Some(Place::Rust(site)))
}

/// As [`enter`], for callers in other languages, which may not know the line.
#[inline]
pub fn enter_from(op: &'static str, place: Option<Place>) -> Call {
    CURRENT.with(|c| match c.get() {
        None => {
            c.set(Some((op, place)));
            Call { before: None, outermost: true }
        }
        Some((UNNAMED, outer)) => {
            c.set(Some((op, outer)));
            Call { before: Some((UNNAMED, outer)), outermost: true }
        }
        Some(_) => Call { before: None, outermost: false },
    })
}

impl Drop for Call {
    #[inline]
    fn drop(&mut self) {
        if self.outermost {
            // A thread that is ending has no current op to clear.
            let _ = CURRENT.try_with(|c| c.set(self.before));
        }
    }
}

/// The name of the outermost op that is running on this thread.
#[inline]
pub fn current_op() -> &'static str {
    CURRENT.with(|c| c.get()).map_or("op", |c| c.0)
}

/// The line that called the outermost op that is running on this thread, where it is known.
#[inline]
pub fn current_site() -> Option<Place> {
    CURRENT.with(|c| c.get()).and_then(|c| c.1)
}
