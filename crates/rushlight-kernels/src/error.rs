//! The one error type of the library: a kind, which decides the exception a Python user sees, and a message.

use std::fmt;

/// What went wrong, in PyTorch's categories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Shapes, dtypes or states that do not fit (`RuntimeError`).
    Runtime,
    /// An argument of the wrong type (`TypeError`).
    Type,
    /// A dimension or element index out of range (`IndexError`).
    Index,
    /// An argument of the right type with an impossible value (`ValueError`).
    Value,
    /// A documented limit of the library (`NotImplementedError`).
    NotImplemented,
    /// A factorisation that the values of a matrix do not allow (`torch.linalg.LinAlgError`, a `RuntimeError`).
    LinAlg,
    /// Memory that the system would not give (`RuntimeError`).
    OutOfMemory,
    /// A file that cannot be read or written, or that does not hold what it says (`OSError`).
    Io,
}

/// An error with a message written for the person who made the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(Box<(ErrorKind, String)>);

/// `Result` with the library's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of `kind` that says `message`.
    #[cold]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new((kind, message.into())))
    }
    /// Shapes, dtypes or states that do not fit.
    #[cold]
    pub fn runtime(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Runtime, message)
    }
    /// An argument of the wrong type.
    #[cold]
    pub fn type_(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Type, message)
    }
    /// A dimension or index out of range.
    #[cold]
    pub fn index(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Index, message)
    }
    /// An argument with an impossible value.
    #[cold]
    pub fn value(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Value, message)
    }
    /// A factorisation that the values of a matrix do not allow.
    #[cold]
    pub fn linalg(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::LinAlg, message)
    }
    /// A documented limit.
    #[cold]
    pub fn not_implemented(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotImplemented, message)
    }
    /// A file that cannot be read or written.
    #[cold]
    pub fn io(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Io, message)
    }
    /// The category.
    pub fn kind(&self) -> ErrorKind {
        self.0.0
    }
    /// The text.
    pub fn message(&self) -> &str {
        &self.0.1
    }
    /// The same error with `prefix` and a colon in front: a caller that knows more says it.
    #[cold]
    pub fn context(mut self, prefix: impl fmt::Display) -> Self {
        self.0.1 = format!("{prefix}: {}", self.0.1);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(e: std::io::Error) -> Self {
        Self::io(e.to_string())
    }
}
