//! Run-time choice of instruction sets, and the scalar mathematics that the compiler vectorises.
//!
//! Lives here: the instruction sets ([`Isa`]), the tile kernels made from the scalar table, conversions between element types, and the
//! mathematics of scalars ([`Real`], [`Int`]). Bodies are plain branch-free Rust; each is compiled once for the baseline and once
//! inside a `#[target_feature]` wrapper, where LLVM vectorises it. Measured, this beats the SIMD crates and needs none.
//! Must not live here: layouts, threads, programs.
//!
//! Every body treats an element alike wherever it lies (vector body or tail): no reassociation, and a fused multiply-add only where it
//! is written. `f32::mul_add` without FMA is a call into libm, 50 times slower, hence [`Isa::FMA`].

mod body;
mod convert;
mod corrected;
mod double;
mod elementary;
mod gamma;
mod int;
mod inverse;
mod isa;
mod kernels;
mod real;
mod special;
mod transpose;
#[cfg(target_arch = "x86_64")]
mod wide;

pub(crate) use body::{Body, prefetch, run, run_widest};
pub(crate) use convert::{cast, from_half, round_half, to_half};
pub use int::Int;
pub(crate) use isa::Kernel;
pub use isa::{Isa, Level, level};
pub(crate) use kernels::{bin, scaled_sum, special, tern, un};
pub use real::Real;
pub(crate) use transpose::{fold_rows, join_rows, transpose};
