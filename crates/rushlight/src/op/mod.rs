//! The op table: what an `#[op]` function says about itself, and how a reader that knows no op by name calls it.
//!
//! Lives here: [`OpDef`] and the values that cross a dynamic call. The ops themselves stand in `ops/`, one file per family; the
//! readers (registry tests, benchmarks, documentation, the Python binding) walk [`all`].
//! Must not live here: any op's name.

mod arg;
pub mod bind;
mod call;
mod mismatch;
pub mod sample;

pub(crate) use arg::ints;
pub use arg::{Arg, ArgKind, AsInts, AsOptInts, AsOptScalar, AsTensor, IntoValue, Ints, Value, argument_error};
pub use call::{Call, Place, UNNAMED, current_op, current_site, enter, enter_from};

use crate::Result;

/// Everything there is to know about one overload of one op.
#[derive(Debug)]
pub struct OpDef {
    /// Python's name, without the overload: `sum`.
    pub name: &'static str,
    /// What tells overloads of one name apart; empty for the first.
    pub overload: &'static str,
    /// Other names for the same function: `absolute` for `abs`.
    pub aliases: &'static [&'static str],
    /// The Rust function's documentation.
    pub doc: &'static str,
    /// The Python signature, as written: `(input, dim, keepdim=False, *, dtype=None)`.
    pub signature: &'static str,
    /// The parameters in order.
    pub args: &'static [ArgDef],
    /// Which dtypes the first tensor argument may have.
    pub dtypes: DTypes,
    /// Has a twin with a trailing underscore that writes into the first argument.
    pub inplace: bool,
    /// The result shares the first argument's storage.
    pub view: bool,
    /// Lives in `nn.functional` rather than on `Tensor`.
    pub nn: bool,
    /// Has no derivative (integer or boolean results, or constant almost everywhere).
    pub nondiff: bool,
    /// A property of `Tensor` in Python (`x.T`), not a method.
    pub property: bool,
    /// A function of the package only, not a method of `Tensor`.
    pub function: bool,
    /// Draws random numbers: results depend on the generator's state.
    pub random: bool,
    /// Names of the results, where there are several and PyTorch names them.
    pub returns: &'static [&'static str],
    /// Example arguments in the sample language; they drive tests, documentation and benchmarks.
    pub samples: &'static [&'static str],
    /// Example arguments that must fail, and a part of the message they must fail with.
    pub errors: &'static [(&'static str, &'static str)],
    /// Calls the op with one value per parameter, in order.
    pub call: fn(&[Value]) -> Result<Value>,
    /// Calls the in-place twin, which overwrites the first argument.
    pub call_inplace: Option<fn(&[Value]) -> Result<()>>,
    /// Source file and line of the definition.
    pub site: (&'static str, u32),
}

/// One parameter.
#[derive(Debug, Clone, Copy)]
pub struct ArgDef {
    /// Python's name.
    pub name: &'static str,
    /// What it takes, from the Rust type.
    pub kind: ArgKind,
    /// The default as written in the signature, `None` where the argument is required.
    pub default: Option<&'static str>,
    /// Stands after the `*`.
    pub keyword_only: bool,
}

/// Classes of dtypes that an op accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DTypes {
    /// Every dtype.
    Any,
    /// Integers and floats.
    Number,
    /// Floats; integers are promoted to the default float where PyTorch does so.
    Float,
    /// Floats only, without promotion (most of `nn`).
    FloatOnly,
    /// Single and double precision only (factorisations of matrices).
    Wide,
    /// Integers and bool.
    Integral,
}

impl OpDef {
    /// `sum.dim`, or `sum` for the first overload.
    pub fn full_name(&self) -> String {
        if self.overload.is_empty() { self.name.to_string() } else { format!("{}.{}", self.name, self.overload) }
    }
}

/// Every op, family by family.
pub fn all() -> impl Iterator<Item = &'static OpDef> {
    crate::ops::FAMILIES.iter().flat_map(|f| f.iter().copied())
}

/// The overloads called `name` (aliases count), in the order in which a call tries them.
pub fn find(name: &str) -> Vec<&'static OpDef> {
    all().filter(|d| d.name == name || d.aliases.contains(&name)).collect()
}
