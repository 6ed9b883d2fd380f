//! Errors: one type, and the step from `Result` to the panicking methods.

pub use rushlight_kernels::{Error, ErrorKind, Result};

/// The value, or a panic with the error's text at the caller's line: how `x.sum(..)` is made from `x.try_sum(..)`.
#[track_caller]
#[inline]
pub fn or_panic<T>(result: Result<T>) -> T {
    match result {
        Ok(v) => v,
        Err(e) => panic_with(&e),
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn panic_with(e: &Error) -> ! {
    panic!("{e}")
}
