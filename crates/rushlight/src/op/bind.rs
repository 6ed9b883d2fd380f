//! From a Python-style call to one value per parameter, by the rules and with the texts of PyTorch's argument parser.
//!
//! The readers that know no op by name (registry tests, the Python binding) call an op in two steps: [`bind`] or [`resolve`]
//! arranges what the user gave, then [`invoke`] runs it. Sizes given as `f(2, 3)` are gathered by the reader before.

use super::mismatch::{Mismatch, no_overload};
use super::{ArgDef, ArgKind, OpDef, Value, sample};
use crate::{Error, Result, Scalar, Tensor};
use smallvec::SmallVec;
use std::borrow::Cow;

/// Arguments by position, or one value per parameter.
pub type Args = SmallVec<[Value; 6]>;
/// Arguments by name. A reader that finds the name among the parameters' need not copy it.
pub type Keywords = SmallVec<[(Cow<'static, str>, Value); 2]>;

/// How the call was written: `op(x, …)` or `x.op(…)`. Error texts count the arguments that the user sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// `rushlight.sum(x, 0)`: the tensor is argument 1.
    Function,
    /// `x.sum(0)`: the first value is `self`, and `0` is argument 1.
    Method,
}

/// One value per parameter of `def`: positional arguments in order, then keywords, then defaults.
///
/// A number given for a tensor becomes a wrapped number, which promotes as Python numbers do; a zero-dim tensor given for a number
/// becomes its value. numpy's names `axis`, `keepdims`, `x`,
/// … stand for PyTorch's.
///
/// # Errors
/// PyTorch's `TypeError`s: an argument missing, unexpected, given twice, too many, or of the wrong type.
pub fn bind(def: &OpDef, positional: impl Into<Args>, keyword: impl Into<Keywords>) -> Result<Args> {
    let (positional, keyword) = (positional.into(), keyword.into());
    let plan = plan(def, &positional, &keyword, Rules::Lenient);
    let plan = plan.map_err(|m| m.error(def.name, def, &positional, &keyword, Style::Function))?;
    build(def, &plan, positional, keyword)
}

/// The first overload of the op called `name` that takes these arguments, and the arguments bound to it. A name with a trailing
/// underscore finds the ops that have an in-place twin.
///
/// # Errors
/// As [`bind`] where only one overload takes that many arguments; otherwise PyTorch's "received an invalid combination of
/// arguments" with every overload and why it did not match.
pub fn resolve(name: &str, positional: impl Into<Args>, keyword: impl Into<Keywords>) -> Result<(&'static OpDef, Args)> {
    let mut overloads = super::find(name);
    if let (true, Some(base)) = (overloads.is_empty(), name.strip_suffix('_')) {
        overloads = super::find(base);
        overloads.retain(|d| d.inplace);
    }
    resolve_among(&overloads, name, Style::Function, positional, keyword)
}

/// As [`resolve`], among `overloads` that were looked up before, for a call that was written as `name` in `style`.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_among(
    overloads: &[&'static OpDef],
    name: &str,
    style: Style,
    positional: impl Into<Args>,
    keyword: impl Into<Keywords>,
) -> Result<(&'static OpDef, Args)> {
    let (mut args, mut keyword) = (positional.into(), keyword.into());
    let def = arrange(overloads, name, style, &mut args, &mut keyword)?;
    Ok((def, args))
}

/// As [`resolve_among`] in place, for who calls often: `args`, positional before, are one per parameter afterwards, and `keyword` is used up.
///
/// # Errors
/// As [`resolve`].
pub fn arrange(
    overloads: &[&'static OpDef],
    name: &str,
    style: Style,
    args: &mut Args,
    keyword: &mut Keywords,
) -> Result<&'static OpDef> {
    // Most calls give values in the form that the op takes: nothing to plan, and nothing moves that is in its place already.
    if let Some(&def) = overloads.iter().find(|def| fits_as_given(def, args, keyword)) {
        for arg in &def.args[args.len()..] {
            let given = keyword.iter_mut().find(|(k, _)| k == arg.name);
            args.push(match given {
                Some((_, value)) => std::mem::replace(value, Value::None),
                None => convert(arg.kind, default_value(arg.default.unwrap_or("None"))?)?,
            });
        }
        return Ok(def);
    }
    // An overload that takes the arguments as they are goes before one that converts them: `pow(x, 2)` is not `pow(x, tensor(2))`.
    for rules in [Rules::Exact, Rules::Lenient] {
        for &def in overloads {
            if let Ok(plan) = plan(def, args, keyword, rules) {
                *args = build(def, &plan, std::mem::take(args), std::mem::take(keyword))?;
                return Ok(def);
            }
        }
    }
    Err(no_overload(overloads, name, style, args, keyword))
}

/// Whether `positional` are this overload's first parameters, `keyword` name others, all in the form that the op takes, and the rest have
/// defaults.
fn fits_as_given(def: &OpDef, positional: &[Value], keyword: &[(Cow<'static, str>, Value)]) -> bool {
    let takes = |arg: &ArgDef, v: &Value| fits(arg.kind, v) && !is_converted(arg.kind, v);
    if positional.len() > def.args.len() {
        return false;
    }
    let (first, rest) = def.args.split_at(positional.len());
    first.iter().zip(positional).all(|(arg, v)| !arg.keyword_only && takes(arg, v))
        && keyword.iter().all(|(k, v)| rest.iter().any(|arg| k == arg.name && takes(arg, v)))
        && rest.iter().all(|arg| arg.default.is_some() || keyword.iter().any(|(k, _)| k == arg.name))
}

/// Whether a value that fits must still be brought into another form by [`convert`].
fn is_converted(kind: ArgKind, v: &Value) -> bool {
    matches!((kind, v), (ArgKind::Tensors, Value::Ints(_)) | (ArgKind::OptFloats, Value::Int(_) | Value::Ints(_)))
}

/// Runs the op on one value per parameter.
pub fn invoke(def: &OpDef, values: &[Value]) -> Result<Value> {
    (def.call)(values)
}

/// Runs the op's in-place twin on one value per parameter, and returns the first: the tensor that was overwritten.
///
/// # Errors
/// Those of the op, and where it has no in-place twin.
pub fn invoke_inplace(def: &OpDef, values: &[Value]) -> Result<Value> {
    let Some(call) = def.call_inplace else {
        return Err(Error::type_(format!("{}() has no in-place form", def.full_name())));
    };
    call(values)?;
    Ok(values[0].clone())
}

/// Whether a number may stand for a tensor, and a zero-dim tensor for a number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rules {
    Exact,
    Lenient,
}

/// Where a parameter's value comes from.
#[derive(Clone, Copy)]
pub(super) enum Source {
    Positional,
    Keyword(usize),
    Default(&'static str),
}

pub(super) type Plan = SmallVec<[Source; 8]>;

/// numpy's names for PyTorch's parameters.
const SYNONYMS: [(&str, &str); 6] =
    [("axis", "dim"), ("keepdims", "keepdim"), ("x", "input"), ("a", "input"), ("x1", "input"), ("x2", "other")];

pub(super) fn names(given: &str, parameter: &str) -> bool {
    given == parameter || SYNONYMS.iter().any(|&(synonym, name)| synonym == given && name == parameter)
}

pub(super) fn plan(
    def: &OpDef,
    positional: &[Value],
    keyword: &[(Cow<'static, str>, Value)],
    rules: Rules,
) -> std::result::Result<Plan, Mismatch> {
    if positional.len() > positional_limit(def) {
        return Err(Mismatch::TooMany);
    }
    let mut plan = Plan::new();
    let mut keywords_used = 0;
    for (i, arg) in def.args.iter().enumerate() {
        let (source, value) = if let Some(v) = positional.get(i) {
            (Source::Positional, v)
        } else if let Some(k) = find_keyword(def, keyword, i) {
            keywords_used += 1;
            (Source::Keyword(k), &keyword[k].1)
        } else if let Some(text) = arg.default {
            plan.push(Source::Default(text));
            continue;
        } else {
            return Err(Mismatch::Missing(i));
        };
        let suits = match rules {
            Rules::Exact => fits(arg.kind, value),
            Rules::Lenient => fits(arg.kind, value) || converts(arg.kind, value, i > 0 || has_tensor(positional, keyword)),
        };
        if !suits {
            return Err(Mismatch::Type(i, source));
        }
        plan.push(source);
    }
    if keywords_used < keyword.len() {
        let used = |k: usize| plan.iter().any(|s| matches!(s, Source::Keyword(j) if *j == k));
        let unused = (0..keyword.len()).find(|&k| !used(k)).expect("fewer were used than given");
        return Err(Mismatch::Keyword(unused));
    }
    Ok(plan)
}

/// The keyword that gives parameter `i`; its own name goes before a synonym, and a synonym that names another parameter is none.
pub(super) fn find_keyword(def: &OpDef, keyword: &[(Cow<'static, str>, Value)], i: usize) -> Option<usize> {
    let name = def.args[i].name;
    keyword
        .iter()
        .position(|(k, _)| k == name)
        .or_else(|| keyword.iter().position(|(k, _)| names(k, name) && !def.args.iter().any(|a| k == a.name)))
}

pub(super) fn positional_limit(def: &OpDef) -> usize {
    def.args.iter().take_while(|a| !a.keyword_only).count()
}

fn has_tensor(positional: &[Value], keyword: &[(Cow<'static, str>, Value)]) -> bool {
    positional.iter().chain(keyword.iter().map(|(_, v)| v)).any(|v| matches!(v, Value::Tensor(_)))
}

/// Whether `v` is what a parameter of this kind takes.
pub(super) fn fits(kind: ArgKind, v: &Value) -> bool {
    use ArgKind as K;
    match (kind, v) {
        (_, Value::None) => is_optional(kind),
        (K::Tensor | K::OptTensor, _) => matches!(v, Value::Tensor(_)),
        (K::Tensors, Value::Ints(list)) => list.is_empty(),
        (K::Tensors, _) => matches!(v, Value::Tensors(_)),
        (K::Scalar | K::OptScalar, _) => is_number(v),
        (K::Float | K::OptFloat, _) => matches!(v, Value::Int(_) | Value::Float(_)),
        (K::Int | K::OptInt, _) => matches!(v, Value::Int(_)),
        (K::OptFloats, _) => matches!(v, Value::Int(_) | Value::Float(_) | Value::Ints(_) | Value::Floats(_)),
        (K::Bool | K::OptBool, _) => matches!(v, Value::Bool(_)),
        (K::Ints | K::OptInts, _) => matches!(v, Value::Int(_) | Value::Ints(_)),
        (K::Str | K::OptStr, _) => matches!(v, Value::Str(_)),
        (K::DType | K::OptDType, _) => matches!(v, Value::DType(_)),
        (K::OptGenerator, _) => matches!(v, Value::Generator(_)),
    }
}

/// Whether `v` can be made into what a parameter of this kind takes: a number into a tensor, where `beside_tensor` says that there
/// is a real one too (`pow(2, x)`, never `sum(2)`); a zero-dim tensor without gradient into a number.
pub(super) fn converts(kind: ArgKind, v: &Value, beside_tensor: bool) -> bool {
    use ArgKind as K;
    match (kind, v) {
        (K::Tensor | K::OptTensor, _) => beside_tensor && is_number(v),
        (K::Scalar | K::OptScalar | K::Float | K::OptFloat, Value::Tensor(t)) => t.rank() == 0 && !t.requires_grad(),
        (K::Int | K::OptInt, Value::Tensor(t)) => t.rank() == 0 && t.dtype().is_int(),
        _ => false,
    }
}

fn is_number(v: &Value) -> bool {
    matches!(v, Value::Bool(_) | Value::Int(_) | Value::Float(_))
}

fn is_optional(kind: ArgKind) -> bool {
    use ArgKind as K;
    match kind {
        K::OptTensor
        | K::OptScalar
        | K::OptFloat
        | K::OptFloats
        | K::OptInt
        | K::OptBool
        | K::OptInts
        | K::OptStr
        | K::OptDType
        | K::OptGenerator => true,
        K::Tensor | K::Tensors | K::Scalar | K::Float | K::Int | K::Bool | K::Ints | K::Str | K::DType => false,
    }
}

fn build(def: &OpDef, plan: &Plan, positional: Args, keyword: Keywords) -> Result<Args> {
    // Positional values fill the front of the plan, so they are moved in order; keywords come in any order.
    let mut positional = positional.into_iter();
    let mut keyword: SmallVec<[Option<Value>; 4]> = keyword.into_iter().map(|(_, v)| Some(v)).collect();
    plan.iter()
        .zip(def.args)
        .map(|(source, arg)| {
            let value = match *source {
                Source::Positional => positional.next().expect("planned from as many"),
                Source::Keyword(k) => keyword[k].take().expect("a keyword gives one parameter"),
                Source::Default(text) => default_value(text)?,
            };
            convert(arg.kind, value)
        })
        .collect()
}

/// Brings a value that fits or converts into the form that `Arg` takes.
fn convert(kind: ArgKind, v: Value) -> Result<Value> {
    use ArgKind as K;
    Ok(match (kind, v) {
        (K::Tensor | K::OptTensor, Value::Bool(b)) => Value::Tensor(Tensor::wrapped_number(Scalar::Bool(b))),
        (K::Tensor | K::OptTensor, Value::Int(i)) => Value::Tensor(Tensor::wrapped_number(Scalar::Int(i))),
        (K::Tensor | K::OptTensor, Value::Float(f)) => Value::Tensor(Tensor::wrapped_number(Scalar::Float(f))),
        (K::Tensors, Value::Ints(list)) if list.is_empty() => Value::Tensors(Vec::new()),
        (K::Float | K::OptFloat, Value::Tensor(t)) => Value::Float(t.try_to_scalar()?.to_f64()),
        (K::Scalar | K::OptScalar | K::Int | K::OptInt, Value::Tensor(t)) => match t.try_to_scalar()? {
            Scalar::Bool(b) => Value::Bool(b),
            Scalar::Int(i) => Value::Int(i),
            Scalar::Float(f) => Value::Float(f),
        },
        (K::OptFloats, Value::Int(i)) => Value::Float(i as f64),
        (K::OptFloats, Value::Ints(list)) => Value::Floats(list.iter().map(|&i| i as f64).collect()),
        (_, v) => v,
    })
}

/// A default as written in the signature. The commonest go past the parser: defaults are read at every call.
fn default_value(text: &'static str) -> Result<Value> {
    match text {
        "None" => Ok(Value::None),
        "False" => Ok(Value::Bool(false)),
        "True" => Ok(Value::Bool(true)),
        _ => text.parse().map(Value::Int).or_else(|_| text.parse().map(Value::Float)).or_else(|_| sample::literal(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;
    use crate::op::DTypes;

    const fn arg(name: &'static str, kind: ArgKind, default: Option<&'static str>, keyword_only: bool) -> ArgDef {
        ArgDef { name, kind, default, keyword_only }
    }

    const fn def(name: &'static str, args: &'static [ArgDef]) -> OpDef {
        OpDef {
            name,
            overload: "",
            aliases: &[],
            doc: "",
            signature: "",
            args,
            dtypes: DTypes::Any,
            inplace: false,
            view: false,
            nn: false,
            nondiff: false,
            property: false,
            function: false,
            random: false,
            returns: &[],
            samples: &[],
            errors: &[],
            call: |v| Ok(v[0].clone()),
            call_inplace: None,
            site: ("", 0),
        }
    }

    static SUM: OpDef =
        def("sum", &[arg("input", ArgKind::Tensor, None, false), arg("dtype", ArgKind::OptDType, Some("None"), true)]);
    static SUM_DIM: OpDef = def(
        "sum",
        &[
            arg("input", ArgKind::Tensor, None, false),
            arg("dim", ArgKind::OptInts, None, false),
            arg("keepdim", ArgKind::Bool, Some("False"), false),
            arg("dtype", ArgKind::OptDType, Some("None"), true),
        ],
    );
    static CUMSUM: OpDef = def("cumsum", &[arg("input", ArgKind::Tensor, None, false), arg("dim", ArgKind::Int, None, false)]);
    static TRANSPOSE: OpDef = def(
        "transpose",
        &[
            arg("input", ArgKind::Tensor, None, false),
            arg("dim0", ArgKind::Int, None, false),
            arg("dim1", ArgKind::Int, None, false),
        ],
    );
    static SINH: OpDef = def("sinh", &[arg("input", ArgKind::Tensor, None, false)]);
    static ADD: OpDef = def(
        "add",
        &[
            arg("input", ArgKind::Tensor, None, false),
            arg("other", ArgKind::Tensor, None, false),
            arg("alpha", ArgKind::Scalar, Some("1"), true),
        ],
    );
    static POW_TENSOR: OpDef =
        def("pow", &[arg("input", ArgKind::Tensor, None, false), arg("exponent", ArgKind::Tensor, None, false)]);
    static POW_NUMBER: OpDef =
        def("pow", &[arg("input", ArgKind::Tensor, None, false), arg("exponent", ArgKind::Scalar, None, false)]);
    static STACK: OpDef =
        def("stack", &[arg("tensors", ArgKind::Tensors, None, false), arg("dim", ArgKind::Int, Some("0"), false)]);
    static DEFAULTS: OpDef = def(
        "defaults",
        &[
            arg("mode", ArgKind::Str, Some("'mean'"), false),
            arg("padding", ArgKind::Ints, Some("(0, -1)"), false),
            arg("eps", ArgKind::Float, Some("1e-05"), false),
            arg("fill", ArgKind::OptScalar, Some("-inf"), false),
            arg("to", ArgKind::DType, Some("int64"), false),
        ],
    );

    fn x() -> Value {
        Value::Tensor(Tensor::wrapped_number(Scalar::Float(2.5)))
    }
    fn s() -> Value {
        Value::Str("a".into())
    }
    fn kw(name: &'static str, v: Value) -> Vec<(Cow<'static, str>, Value)> {
        vec![(name.into(), v)]
    }
    fn fails(def: &OpDef, positional: Vec<Value>, keyword: Vec<(Cow<'static, str>, Value)>, text: &str) {
        let e = bind(def, positional, keyword).unwrap_err();
        assert_eq!((e.kind(), e.message()), (crate::ErrorKind::Type, text));
    }

    #[test]
    fn fills_in_order_by_name_and_by_default() {
        let v = bind(&SUM_DIM, vec![x()], [kw("keepdim", Value::Bool(true)), kw("dim", Value::Int(1))].concat()).unwrap();
        assert!(matches!(v.as_slice(), [Value::Tensor(_), Value::Int(1), Value::Bool(true), Value::None]));
        let v = bind(&SUM_DIM, vec![x(), Value::None], kw("dtype", Value::DType(DType::F16))).unwrap();
        assert!(matches!(v.as_slice(), [_, Value::None, Value::Bool(false), Value::DType(DType::F16)]));
        let v = bind(&DEFAULTS, vec![], vec![]).unwrap();
        let [Value::Str(mode), Value::Ints(padding), Value::Float(eps), Value::Float(fill), Value::DType(DType::I64)] =
            v.as_slice()
        else {
            panic!("{v:?}")
        };
        assert_eq!((mode.as_str(), padding.as_slice(), *eps, *fill), ("mean", &[0, -1][..], 1e-5, f64::NEG_INFINITY));
    }

    #[test]
    fn numpy_names_stand_for_pytorchs() {
        let v = bind(&SUM_DIM, vec![], [kw("a", x()), kw("axis", Value::Int(1)), kw("keepdims", Value::Bool(true))].concat())
            .unwrap();
        assert!(matches!(v.as_slice(), [Value::Tensor(_), Value::Int(1), Value::Bool(true), Value::None]));
        let both = [kw("dim", Value::Int(0)), kw("axis", Value::Int(0))].concat();
        fails(&SUM_DIM, vec![x()], both, "sum() got an unexpected keyword argument 'axis'");
    }

    #[test]
    fn numbers_stand_for_tensors_beside_a_tensor() {
        let v = bind(&ADD, vec![x(), Value::Int(3)], vec![]).unwrap();
        assert_eq!(v[1].tensors()[0].dtype(), DType::I64);
        let v = bind(&ADD, vec![Value::Bool(true), x()], vec![]).unwrap();
        assert_eq!(v[0].tensors()[0].dtype(), DType::Bool);
        fails(&SINH, vec![Value::Int(2)], vec![], "sinh(): argument 'input' (position 1) must be Tensor, not int");
        // An overload for numbers goes before one for tensors, whichever stands first.
        let (def, _) =
            resolve_among(&[&POW_TENSOR, &POW_NUMBER], "pow", Style::Function, vec![x(), Value::Int(2)], vec![]).unwrap();
        assert!(std::ptr::eq(def, &POW_NUMBER));
        let (def, _) =
            resolve_among(&[&POW_TENSOR, &POW_NUMBER], "pow", Style::Function, vec![Value::Int(2), x()], vec![]).unwrap();
        assert!(std::ptr::eq(def, &POW_TENSOR));
    }

    #[test]
    fn zero_dim_tensors_stand_for_numbers() {
        let v = bind(&CUMSUM, vec![x(), Value::Tensor(Tensor::scalar(3i32))], vec![]).unwrap();
        assert!(matches!(v[1], Value::Int(3)));
        let v = bind(&ADD, vec![x(), x()], kw("alpha", Value::Tensor(Tensor::scalar(0.5f32)))).unwrap();
        assert!(matches!(v[2], Value::Float(f) if f == 0.5));
        fails(&CUMSUM, vec![x(), x()], vec![], "cumsum(): argument 'dim' (position 2) must be int, not Tensor");
        let tracked = Value::Tensor(Tensor::scalar(0.5f32).with_requires_grad());
        fails(&ADD, vec![x(), x()], kw("alpha", tracked), "add(): argument 'alpha' must be Number, not Tensor");
        // The overload for tensors goes before, whichever stands first.
        let (def, _) = resolve_among(&[&POW_NUMBER, &POW_TENSOR], "pow", Style::Function, vec![x(), x()], vec![]).unwrap();
        assert!(std::ptr::eq(def, &POW_TENSOR));
    }

    #[test]
    fn lists_of_tensors() {
        let v = bind(&STACK, vec![Value::Ints(Default::default())], vec![]).unwrap();
        assert!(matches!(&v[0], Value::Tensors(t) if t.is_empty()));
        fails(&STACK, vec![x()], vec![], "stack(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor");
    }

    // Every text here was taken from PyTorch 2.15 for the same call.
    #[test]
    fn texts_are_pytorchs() {
        fails(&CUMSUM, vec![x()], vec![], "cumsum() missing 1 required positional arguments: \"dim\"");
        fails(&TRANSPOSE, vec![x()], vec![], "transpose() missing 2 required positional argument: \"dim0\", \"dim1\"");
        fails(&CUMSUM, vec![x(), s()], vec![], "cumsum(): argument 'dim' (position 2) must be int, not str");
        fails(&CUMSUM, vec![x()], kw("dim", s()), "cumsum(): argument 'dim' must be int, not str");
        fails(&CUMSUM, vec![x(), Value::Int(0), Value::Int(1)], vec![], "cumsum() takes 2 positional arguments but 3 were given");
        fails(&SINH, vec![x(), x(), x()], vec![], "sinh() takes 1 positional argument but 3 were given");
        fails(&SINH, vec![x()], kw("foo", x()), "sinh() got an unexpected keyword argument 'foo'");
        fails(&CUMSUM, vec![x(), Value::Int(0)], kw("dim", Value::Int(1)), "cumsum() got multiple values for argument 'dim'");
        let four = vec![x(), Value::Int(0), Value::Bool(true), x()];
        fails(&SUM_DIM, four, vec![], "sum() takes from 2 to 3 positional arguments but 4 were given");
    }

    #[test]
    fn a_method_counts_from_the_argument_after_self() {
        let e = |positional, keyword| {
            resolve_among(&[&CUMSUM], "cumsum_", Style::Method, positional, keyword).unwrap_err().message().to_string()
        };
        assert_eq!(e(vec![x(), s()], vec![]), "cumsum_(): argument 'dim' (position 1) must be int, not str");
        assert_eq!(e(vec![x(), s(), s()], vec![]), "cumsum_() takes 1 positional argument but 2 were given");
    }

    #[test]
    fn overloads_are_tried_in_order() {
        let pick = |positional, keyword| resolve_among(&[&SUM, &SUM_DIM], "sum", Style::Function, positional, keyword);
        assert!(std::ptr::eq(pick(vec![x()], vec![]).unwrap().0, &SUM));
        assert!(std::ptr::eq(pick(vec![x(), Value::Int(0)], vec![]).unwrap().0, &SUM_DIM));
        assert!(std::ptr::eq(pick(vec![x()], kw("axis", Value::Int(0))).unwrap().0, &SUM_DIM));
        let e = pick(vec![x(), s()], vec![]).unwrap_err();
        assert_eq!(
            e.message(),
            "sum() received an invalid combination of arguments - got (Tensor, str), but expected one of:\n \
             * (Tensor input, *, torch.dtype dtype = None)\n \
             * (Tensor input, tuple of ints dim, bool keepdim = False, *, torch.dtype dtype = None)\n      \
             didn't match because some of the arguments have invalid types: (Tensor, !str!)\n"
        );
        // Only the second overload takes four arguments, so the error is about it.
        let e = pick(vec![x(), s(), Value::Bool(true)], vec![]).unwrap_err();
        assert_eq!(e.message(), "sum(): argument 'dim' (position 2) must be tuple of ints, not str");
        let e = resolve("no_such_op", vec![], vec![]).unwrap_err();
        assert_eq!(e.message(), "there is no op called 'no_such_op'");
    }

    #[test]
    fn every_default_and_every_sample_of_the_table_can_be_bound() {
        for def in crate::op::all() {
            let name = def.full_name();
            for arg in def.args {
                let Some(text) = arg.default else { continue };
                let value = default_value(text).unwrap_or_else(|e| panic!("{name}: {e}"));
                assert!(
                    fits(arg.kind, &value) || converts(arg.kind, &value, true),
                    "{name}: `{text}` is no default for {}",
                    arg.name
                );
            }
            for text in def.samples {
                let bound = sample::Sample::parse(text).and_then(|s| s.make(DType::F32)).and_then(|(p, k)| bind(def, p, k));
                assert_eq!(bound.unwrap_or_else(|e| panic!("{name}, sample `{text}`: {e}")).len(), def.args.len());
            }
        }
    }

    #[test]
    fn runs_what_was_bound() {
        let v = invoke(&SINH, &bind(&SINH, vec![x()], vec![]).unwrap()).unwrap();
        assert_eq!(v.tensors().len(), 1);
        assert_eq!(invoke_inplace(&SINH, &[x()]).unwrap_err().message(), "sinh() has no in-place form");
    }
}
