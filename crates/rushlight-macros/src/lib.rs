//! The two macros of Rushlight: `#[op]` and `#[derive(Module)]`.
//!
//! `#[op]` is used inside the crate `rushlight` only; the code it writes names `crate::Tensor`, `crate::Scalar`, `crate::Error`,
//! `crate::op::{enter, argument_error, OpDef, Arg, …}` and `crate::autograd::inplace::apply`.
#![deny(missing_docs)]

mod module;
mod op;
mod options;
mod signature;
mod types;

use proc_macro::TokenStream;
use syn::{Error, parse_macro_input};

/// Makes a function an op: a row of the op table, methods of `Tensor`, an in-place twin.
///
/// ```text
/// /// Sums over `dim`.
/// #[op("(input, dim, keepdim=False, *, dtype=None)", overload = "dim", number, samples = ["T(3, 4), 1"])]
/// pub fn sum_dim(x: &Tensor, dim: Option<&[i64]>, keepdim: bool, dtype: Option<DType>) -> Result<Tensor> { … }
/// ```
///
/// The signature is Python's; parameters correspond by position. After it stand, in any order:
///
/// - `name = "…"`: Python's name. Without it: the function's name, without `_dim` given `overload = "dim"`, without a trailing underscore.
/// - `rust = "…"`: the method's name. Without it: the function's name.
/// - `overload = "…"`: what tells overloads of one name apart; `alias = ["…"]`: further names in Python.
/// - One of `any`, `number`, `float` (the default), `float_only`, `wide` (float32 and float64), `integral`: the dtypes that the first
///   tensor may have.
/// - `inplace`: has a twin with a trailing underscore; `inplace = …`, with an `Option<Result<()>>` of the parameters: the twin tries
///   this first, and goes the long way where it is `None`. `view`: shares the first argument's storage. `nn`: lives in
///   `nn.functional`. `nondiff`: has no derivative. `property`: `x.T` in Python. `function`: not a method. `random`: draws numbers.
/// - `samples = ["T(3, 4), 1", …]` and `errors = [("T(3), 5", "Dimension out of range"), …]`, in the sample language.
///
/// Written are: the function, which announces itself to the op stack; a hidden module of the same name with the static `DEF`;
/// unless `nn` or `function`, the methods `x.sum_dim(…)` (panics) and `x.try_sum_dim(…)`, which leave out keyword-only parameters
/// that have a default; with `inplace`, `sum_dim_` and its methods.
#[proc_macro_attribute]
pub fn op(options: TokenStream, item: TokenStream) -> TokenStream {
    let options = parse_macro_input!(options as options::Options);
    let function = parse_macro_input!(item as syn::ItemFn);
    op::expand(options, function).unwrap_or_else(Error::into_compile_error).into()
}

/// Implements `rushlight::nn::Module` for a struct or an enum: its fields are shown to a visitor, and their types decide what they are.
///
/// `#[module(skip)]` passes over a field, `#[module(name = "…")]` gives it another name in paths.
#[proc_macro_derive(Module, attributes(module))]
pub fn module(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as syn::DeriveInput);
    module::expand(input).unwrap_or_else(Error::into_compile_error).into()
}
