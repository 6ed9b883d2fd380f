//! The signature string of an op, `(input, dim, keepdim=False, *, dtype=None)`: Python's grammar for parameters, with
//! literals as defaults.

use std::fmt;

/// One parameter of a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Param {
    /// The name in Python.
    pub(crate) name: String,
    /// The default as written, checked to be a literal.
    pub(crate) default: Option<(String, Literal)>,
    /// Whether it stands after the `*`.
    pub(crate) keyword_only: bool,
}

/// What kind of literal a default is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Literal {
    None,
    Bool,
    Int,
    Float,
    Str,
    /// A tuple or list of integers.
    Ints,
    /// A tuple or list of floats.
    Floats,
    /// `float32`, `int64`, …
    DType,
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Literal::None => "None",
            Literal::Bool => "a bool",
            Literal::Int => "an int",
            Literal::Float => "a float",
            Literal::Str => "a string",
            Literal::Ints => "a tuple of ints",
            Literal::Floats => "a tuple of floats",
            Literal::DType => "a dtype",
        })
    }
}

const DTYPES: [&str; 10] = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"];

/// Parses a whole signature, parentheses included. The error names what is wrong and at which column (from 1).
pub(crate) fn parse(text: &str) -> Result<Vec<Param>, String> {
    let inner = text
        .trim()
        .strip_prefix('(')
        .and_then(|t| t.strip_suffix(')'))
        .ok_or("a signature is written in parentheses, as in `(input, dim, keepdim=False, *, dtype=None)`")?;
    let mut params: Vec<Param> = Vec::new();
    let mut keyword_only = false;
    let pieces = split(inner)?;
    for (i, piece) in pieces.iter().enumerate() {
        if *piece == "*" {
            if keyword_only {
                return Err("`*` may stand only once".into());
            }
            if i + 1 == pieces.len() {
                return Err("named parameters must follow `*`".into());
            }
            keyword_only = true;
            continue;
        }
        let (name, default) = match piece.split_once('=') {
            Some((name, default)) => {
                let default = default.trim();
                let kind = literal(default).ok_or_else(|| {
                    format!("the default of `{}` is `{default}`, which is not a Python literal or a dtype", name.trim())
                })?;
                (name.trim(), Some((default.to_string(), kind)))
            }
            None => (*piece, None),
        };
        if !is_identifier(name) {
            return Err(format!("`{piece}` is not a parameter: expected `name`, `name=default` or `*`"));
        }
        if params.iter().any(|p| p.name == name) {
            return Err(format!("the parameter `{name}` stands twice"));
        }
        if !keyword_only && default.is_none() && params.iter().any(|p| p.default.is_some()) {
            return Err(format!("the parameter `{name}` has no default but follows one that has"));
        }
        params.push(Param { name: name.to_string(), default, keyword_only });
    }
    Ok(params)
}

/// The text between top-level commas, trimmed; a trailing comma is allowed.
fn split(text: &str) -> Result<Vec<&str>, String> {
    let (mut pieces, mut start, mut depth, mut quote) = (Vec::new(), 0, 0usize, None);
    for (i, c) in text.char_indices() {
        match (quote, c) {
            (Some(q), _) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '(' | '[') => depth += 1,
            (None, ')' | ']') => depth = depth.checked_sub(1).ok_or_else(|| format!("unbalanced `{c}` in column {}", i + 2))?,
            (None, ',') if depth == 0 => {
                pieces.push(text[start..i].trim());
                start = i + 1;
            }
            _ => {}
        }
    }
    if depth != 0 || quote.is_some() {
        return Err("a bracket or a quote is not closed".into());
    }
    let last = text[start..].trim();
    if !last.is_empty() {
        pieces.push(last);
    }
    if pieces.iter().any(|p| p.is_empty()) {
        return Err("there is nothing between two commas".into());
    }
    Ok(pieces)
}

pub(crate) fn is_identifier(s: &str) -> bool {
    let mut chars = s.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_') && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn literal(s: &str) -> Option<Literal> {
    let quoted = |q: char| s.len() >= 2 && s.starts_with(q) && s.ends_with(q) && !s[1..s.len() - 1].contains([q, '\\']);
    match s {
        "None" => return Some(Literal::None),
        "True" | "False" => return Some(Literal::Bool),
        "inf" | "-inf" | "nan" => return Some(Literal::Float),
        _ if DTYPES.contains(&s) => return Some(Literal::DType),
        _ if quoted('\'') || quoted('"') => return Some(Literal::Str),
        _ => {}
    }
    let bracketed = |open, close| s.strip_prefix(open).and_then(|t: &str| t.strip_suffix(close));
    if let Some(inner) = bracketed('(', ')').or_else(|| bracketed('[', ']')) {
        // `(1)` is a number in parentheses in Python: refuse it rather than guess.
        if s.starts_with('(') && !inner.trim().is_empty() && !inner.contains(',') {
            return None;
        }
        let kinds: Option<Vec<Literal>> = split(inner).ok()?.into_iter().map(literal).collect();
        let kinds = kinds?;
        return match () {
            _ if kinds.iter().all(|&k| k == Literal::Int) => Some(Literal::Ints),
            _ if kinds.iter().all(|&k| matches!(k, Literal::Int | Literal::Float)) => Some(Literal::Floats),
            _ => None,
        };
    }
    if !s.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '.') {
        return None;
    }
    if s.parse::<i64>().is_ok() { Some(Literal::Int) } else { s.parse::<f64>().ok().map(|_| Literal::Float) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(text: &str, needle: &str) {
        let message = parse(text).expect_err(text);
        assert!(message.contains(needle), "{text}: {message}");
    }

    #[test]
    fn reads_parameters_defaults_and_the_star() {
        let p = parse("(input, dim, keepdim=False, *, dtype=None)").unwrap();
        assert_eq!(p.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["input", "dim", "keepdim", "dtype"]);
        assert_eq!(p[2].default, Some(("False".into(), Literal::Bool)));
        assert_eq!(p.iter().map(|p| p.keyword_only).collect::<Vec<_>>(), [false, false, false, true]);
        assert!(parse("()").unwrap().is_empty());
        assert_eq!(parse("(input,)").unwrap().len(), 1);
        // A keyword-only parameter may be required after one with a default.
        assert_eq!(parse("(a=1, *, b)").unwrap()[1].default, None);
    }

    #[test]
    fn classifies_defaults() {
        for (text, kind) in [
            ("None", Literal::None),
            ("-1", Literal::Int),
            ("1e-05", Literal::Float),
            (".5", Literal::Float),
            ("-inf", Literal::Float),
            ("'mean, or (sum'", Literal::Str),
            ("(0, 1)", Literal::Ints),
            ("(1,)", Literal::Ints),
            ("()", Literal::Ints),
            ("[]", Literal::Ints),
            ("[0.5, 1]", Literal::Floats),
            ("float32", Literal::DType),
        ] {
            let p = parse(&format!("(x, y={text}, z=None)")).expect(text);
            assert_eq!(p[1].default, Some((text.to_string(), kind)));
        }
    }

    #[test]
    fn says_what_is_wrong() {
        fails("input, dim", "in parentheses");
        fails("(input, 2d)", "`2d` is not a parameter");
        fails("(x, x)", "`x` stands twice");
        fails("(x=1, y)", "`y` has no default");
        fails("(x, *)", "must follow `*`");
        fails("(x, *, *, y)", "only once");
        fails("(x, , y)", "nothing between");
        fails("(x=(1, 2)", "not closed");
        fails("(x), y)", "column 3");
        fails("(x=false)", "not a Python literal");
        fails("(x=(1))", "not a Python literal");
        fails("(x=infinity)", "not a Python literal");
        // One integer list as the only argument takes `f(2, 3)` without a mark.
        fails("(x, *size)", "`*size` is not a parameter");
    }
}
