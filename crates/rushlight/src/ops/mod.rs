//! The ops, one file per family.
//!
//! Lives here: every op's checks, forward, derivative, documentation, samples and expected errors, side by side under `#[op]`. What a family
//! has in common stands in [`lift`].
//! Must not live here: loops over elements (they are kernels, one floor down), and locks (they are in `storage.rs`).

pub(crate) mod lift;
mod operators;

pub(crate) use lift::*;

/// The static table of a family: `ops![sinh, cosh]`.
macro_rules! ops {
    ($($op:ident),* $(,)?) => {
        pub(crate) static OPS: &[&crate::op::OpDef] = &[$(&$op::DEF),*];
    };
}

/// Declares the family files and re-exports their functions as `rushlight::ops::*`.
macro_rules! families {
    ($($file:ident),* $(,)?) => {
        $(pub mod $file; #[allow(unused_imports, reason = "a family may be all crate-internal")] pub use $file::*;)*
        pub(crate) static FAMILIES: &[&[&crate::op::OpDef]] = &[$($file::OPS),*];
    };
}

families![
    activation,
    affine,
    arith,
    attention,
    binary,
    compare,
    conv,
    convert,
    creation,
    index,
    join,
    linalg,
    loss,
    lookup,
    normalization,
    padding,
    patches,
    pointwise,
    pool,
    random,
    reduce,
    resample,
    scan,
    softmaxes,
    sort,
    ternary,
    view
];

pub(crate) use crate::autograd::saved::Saved;
pub(crate) use crate::storage::{self, Data};
pub(crate) use crate::{BinOp, DType, Dims, Error, Layout, Program, Result, Scalar, Tensor, TernOp, UnOp, promote};
pub(crate) use rushlight_macros::op;
pub(crate) use smallvec::SmallVec;
