//! The texts for calls that do not fit: PyTorch's, letter for letter, because scripts and tests match on them.

use super::bind::{Rules, Source, Style, converts, find_keyword, fits, names, plan, positional_limit};
use super::{ArgDef, ArgKind, OpDef, Value, argument_error};
use crate::Error;
use std::borrow::Cow;

/// Why arguments do not fit an overload; indices only, so that trying one overload after another formats nothing.
#[derive(Clone, Copy)]
pub(super) enum Mismatch {
    TooMany,
    /// The first parameter without a value.
    Missing(usize),
    /// The parameter, and the value that does not suit it.
    Type(usize, Source),
    /// The keyword that names no parameter, or one that has a value already.
    Keyword(usize),
}

impl Mismatch {
    /// The `TypeError` for a call of `op` that could only mean `def`.
    #[cold]
    pub(super) fn error(
        self,
        op: &str,
        def: &OpDef,
        positional: &[Value],
        keyword: &[(Cow<'static, str>, Value)],
        style: Style,
    ) -> Error {
        let hidden = (style == Style::Method) as usize;
        Error::type_(match self {
            Mismatch::TooMany => {
                let most = positional_limit(def).saturating_sub(hidden);
                let least = def.args.iter().take_while(|a| !a.keyword_only && a.default.is_none()).count().saturating_sub(hidden);
                let given = positional.len().saturating_sub(hidden);
                let were = if given == 1 { "was" } else { "were" };
                if least == most {
                    let s = if most == 1 { "" } else { "s" };
                    format!("{op}() takes {most} positional argument{s} but {given} {were} given")
                } else {
                    format!("{op}() takes from {least} to {most} positional arguments but {given} {were} given")
                }
            }
            Mismatch::Missing(from) => {
                let given = |i: usize| find_keyword(def, keyword, i).is_some();
                let missing: Vec<String> = (from..def.args.len())
                    .filter(|&i| def.args[i].default.is_none() && !given(i))
                    .map(|i| format!("\"{}\"", def.args[i].name))
                    .collect();
                // The plural is PyTorch's, which has it the wrong way round; scripts match on the text.
                let s = if missing.len() == 1 { "s" } else { "" };
                format!("{op}() missing {} required positional argument{s}: {}", missing.len(), missing.join(", "))
            }
            Mismatch::Type(i, source) => {
                let (value, position) = match source {
                    Source::Keyword(k) => (&keyword[k].1, None),
                    _ => (&positional[i], Some((i + 1).saturating_sub(hidden))),
                };
                let wanted = Error::type_(format!("must be {}, not {}", kind_name(def.args[i].kind), value.type_name()));
                return argument_error(wanted, op, def.args[i].name, position.filter(|&p| p > 0));
            }
            Mismatch::Keyword(k) => {
                let name = &keyword[k].0;
                if def.args.iter().any(|a| a.name == name) {
                    format!("{op}() got multiple values for argument '{name}'")
                } else {
                    format!("{op}() got an unexpected keyword argument '{name}'")
                }
            }
        })
    }

    /// The line that tells why an overload in a list of several did not match; empty where the counts say it.
    fn reason(self, def: &OpDef, positional: &[Value], keyword: &[(Cow<'static, str>, Value)], style: Style) -> String {
        match self {
            Mismatch::TooMany | Mismatch::Missing(_) => String::new(),
            Mismatch::Keyword(_) => {
                let unknown: Vec<&str> =
                    keyword.iter().map(|(k, _)| k.as_ref()).filter(|k| !def.args.iter().any(|a| names(k, a.name))).collect();
                format!("\n      didn't match because some of the keywords were incorrect: {}", unknown.join(", "))
            }
            Mismatch::Type(..) => {
                let mark = |arg: Option<&ArgDef>, v: &Value| match arg {
                    Some(arg) if fits(arg.kind, v) || converts(arg.kind, v, true) => v.type_name().to_string(),
                    _ => format!("!{}!", v.type_name()),
                };
                let hidden = (style == Style::Method) as usize;
                let by_position = positional.iter().enumerate().skip(hidden).map(|(i, v)| mark(def.args.get(i), v));
                let by_name = keyword.iter().map(|(k, v)| {
                    let arg = def.args.iter().find(|a| names(k, a.name));
                    format!("{k}={}", mark(arg, v))
                });
                let types: Vec<String> = by_position.chain(by_name).collect();
                format!("\n      didn't match because some of the arguments have invalid types: ({})", types.join(", "))
            }
        }
    }
}

/// The error where no overload fits.
#[cold]
pub(super) fn no_overload(
    overloads: &[&'static OpDef],
    op: &str,
    style: Style,
    positional: &[Value],
    keyword: &[(Cow<'static, str>, Value)],
) -> Error {
    if overloads.is_empty() {
        return Error::type_(format!("there is no op called '{op}'"));
    }
    let given = positional.len() + keyword.len();
    let required = |d: &OpDef| d.args.iter().filter(|a| a.default.is_none()).count();
    let plausible: Vec<_> = overloads.iter().filter(|d| (required(d)..=d.args.len()).contains(&given)).collect();
    let only = match (overloads, plausible.as_slice()) {
        ([only], _) => Some(only),
        (_, [only]) => Some(*only),
        _ => None,
    };
    if let Some(def) = only
        && let Err(mismatch) = plan(def, positional, keyword, Rules::Lenient)
    {
        return mismatch.error(op, def, positional, keyword, style);
    }
    let hidden = (style == Style::Method) as usize;
    let got: Vec<String> = (positional.iter().skip(hidden).map(|v| v.type_name().to_string()))
        .chain(keyword.iter().map(|(k, v)| format!("{k}={}", v.type_name())))
        .collect();
    let mut text =
        format!("{op}() received an invalid combination of arguments - got ({}), but expected one of:", got.join(", "));
    for def in overloads {
        text += &format!("\n * ({})", typed_signature(def, hidden));
        if let Err(mismatch) = plan(def, positional, keyword, Rules::Lenient) {
            text += &mismatch.reason(def, positional, keyword, style);
        }
    }
    text.push('\n');
    Error::type_(text)
}

/// `Tensor input, tuple of ints dim, bool keepdim = False, *, torch.dtype dtype = None`, without the first `hidden` parameters.
fn typed_signature(def: &OpDef, hidden: usize) -> String {
    let mut parts = Vec::new();
    let star = def.args.iter().position(|a| a.keyword_only);
    for (i, arg) in def.args.iter().enumerate().skip(hidden) {
        if star == Some(i) {
            parts.push("*".to_string());
        }
        let default = arg.default.map_or(String::new(), |d| format!(" = {d}"));
        parts.push(format!("{} {}{default}", kind_name(arg.kind), arg.name));
    }
    parts.join(", ")
}

/// PyTorch's name of what a parameter takes.
fn kind_name(kind: ArgKind) -> &'static str {
    use ArgKind as K;
    match kind {
        K::Tensor | K::OptTensor => "Tensor",
        K::Tensors => "tuple of Tensors",
        K::Scalar | K::OptScalar => "Number",
        K::Float | K::OptFloat => "float",
        K::OptFloats => "tuple of floats",
        K::Int | K::OptInt => "int",
        K::Bool | K::OptBool => "bool",
        K::Ints | K::OptInts => "tuple of ints",
        K::Str | K::OptStr => "str",
        K::DType | K::OptDType => "torch.dtype",
        K::OptGenerator => "torch.Generator",
    }
}
