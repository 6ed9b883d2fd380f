//! The ops, one file per family.
//!
//! Lives here: every op's checks, forward, derivative, documentation, samples and expected errors, side by side under `#[op]`. What a family
//! has in common stands in [`lift`].
//! Must not live here: loops over elements (they are kernels, one floor down), and locks (they are in `storage.rs`).

pub(crate) mod formula;
pub(crate) mod fused;
pub(crate) mod lift;
mod operators;
mod sweep;

pub(crate) use lift::*;

/// The static table of a family: `ops![sinh, cosh]`.
macro_rules! ops {
    ($($op:ident),* $(,)?) => {
        pub(crate) static OPS: &[&crate::op::OpDef] = &[$(&$op::DEF),*];
    };
}

/// Re-exports the functions of the family files as `rushlight::ops::*`, and collects their tables.
macro_rules! families {
    ($($file:ident),* $(,)?) => {
        $(#[allow(unused_imports, reason = "a family may be all crate-internal")] pub use $file::*;)*
        pub(crate) static FAMILIES: &[&[&crate::op::OpDef]] = &[$($file::OPS),*];
    };
}

// Declared one by one: a module that a macro declares may not share its name with an op (`view`, `sort`).
pub mod activation;
pub mod adaptive;
pub mod affine;
pub mod arith;
pub mod attention;
pub mod binary;
pub mod calculus;
pub mod classification;
pub mod compare;
pub mod conv;
pub mod convert;
pub mod creation;
pub mod dense;
pub mod distance;
pub mod dropouts;
pub mod einsum;
pub mod extremes;
pub mod factor;
pub mod fill;
pub mod histogram;
pub mod index;
pub mod indexing;
pub mod join;
pub mod linalg;
pub mod lookup;
pub mod loss;
pub mod matrix;
pub mod normalization;
pub mod padding;
pub mod patches;
pub mod permute;
pub mod pieces;
pub mod pointwise;
pub mod pool;
pub mod quantiles;
pub mod random;
pub mod recurrent;
pub mod reduce;
pub mod resample;
pub mod scan;
pub mod scatter;
pub mod similarity;
pub mod slicing;
pub mod softmaxes;
pub mod solve;
pub mod sort;
pub mod special;
pub mod spots;
pub mod statistics;
pub mod strided;
pub mod ternary;
pub mod triangle;
pub mod trigonometry;
pub mod unique;
pub mod view;
pub mod windows;

families![
    activation,
    adaptive,
    affine,
    arith,
    attention,
    binary,
    calculus,
    classification,
    compare,
    conv,
    convert,
    creation,
    dense,
    distance,
    dropouts,
    einsum,
    extremes,
    factor,
    fill,
    histogram,
    index,
    indexing,
    join,
    linalg,
    lookup,
    loss,
    matrix,
    normalization,
    padding,
    patches,
    permute,
    pieces,
    pointwise,
    pool,
    quantiles,
    random,
    recurrent,
    reduce,
    resample,
    scan,
    scatter,
    similarity,
    slicing,
    softmaxes,
    solve,
    sort,
    special,
    spots,
    statistics,
    strided,
    ternary,
    triangle,
    trigonometry,
    unique,
    view,
    windows
];

pub(crate) use crate::autograd::saved::Saved;
pub(crate) use crate::storage::{self, Data};
pub(crate) use crate::{BinOp, DType, Dims, Error, Layout, Program, Result, Scalar, Tensor, TernOp, UnOp, promote};
pub(crate) use rushlight_macros::op;
pub(crate) use smallvec::SmallVec;
