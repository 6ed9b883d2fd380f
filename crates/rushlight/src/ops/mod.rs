//! The ops, one file per family.
//!
//! Lives here: every op's checks, forward, derivative, documentation, samples and expected errors, side by side under `#[op]`. What a family
//! has in common stands in [`lift`].
//! Must not live here: loops over elements (they are kernels, one floor down), and locks (they are in `storage.rs`).

pub(crate) mod lift;

pub(crate) use lift::*;

/// The static table of a family: `ops![sinh, cosh]`.
macro_rules! ops {
    ($($op:ident),* $(,)?) => {
        pub(crate) static OPS: &[&crate::op::OpDef] = &[$(&$op::DEF),*];
    };
}
pub(crate) use ops;

/// Declares the family files and re-exports their functions as `rushlight::ops::*`.
macro_rules! families {
    ($($file:ident),* $(,)?) => {
        $(pub mod $file; pub use $file::*;)*
        pub(crate) static FAMILIES: &[&[&crate::op::OpDef]] = &[$($file::OPS),*];
    };
}

families![arith, cast];
