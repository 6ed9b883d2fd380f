//! The sample language: the arguments of a call, written as in Python, with tensors whose values everyone can recompute.
//!
//! A sample is a comma-separated list of arguments, `name=value` for keyword arguments. A value is
//!
//! - `None`, `True`, `False`, an integer (`-3`), a float (`0.5`, `1e-5`, `inf`, `-inf`, `nan`), a string (`'mean'`), a dtype (`float32`);
//! - a list or a tuple of integers (`(2, 3)`, `[0]`, `()`), of floats (`[0.5, 2]`) or of tensors (`[T(2), T(3)]`);
//! - `T(2, 3)`: a tensor of real numbers. Keywords: `dtype` (without it the caller's default), `lo` (-2), `hi` (2). `T()` is zero-dim.
//! - `I(2, 3)`: a tensor of integers. Keywords: `dtype` (int64), `lo` (0), `hi` (10, exclusive).
//! - `B(2, 3)`: a tensor of truth values; `dtype` (bool).
//! - `S(2, 3, 3)`: symmetric, positive definite matrices. Keywords: `dtype`, `lo` (-1), `hi` (1).
//!
//! # Values
//!
//! Tensors are numbered from 0 in the order in which they are written, inside lists too. Element `e` (row-major, from 0) of tensor `a`
//! is made from `u`, where all arithmetic is modulo 2⁶⁴:
//!
//! ```text
//! z = ((a + 1) * 0x9E3779B97F4A7C15) xor ((e + 1) * 0xBF58476D1CE4E5B9)
//! z = z + 0x9E3779B97F4A7C15                        # from here on: one step of splitmix64 with state z
//! z = (z xor (z >> 30)) * 0xBF58476D1CE4E5B9
//! z = (z xor (z >> 27)) * 0x94D049BB133111EB
//! z = z xor (z >> 31)
//! u = (z >> 11) / 2^53                              # 0 <= u < 1, exact in f64
//! T: lo + (hi - lo) * u      I: lo + floor(u * (hi - lo))      B: u < 0.5
//! S: the value of T for the element mirrored into the lower triangle; n more on the diagonal of n × n
//! ```
//!
//! Each is computed in f64, rounded after every operation, then converted to the dtype as PyTorch's `Tensor.to` converts a float64
//! tensor: half precision by way of float32.

use super::bind::Keywords;
use super::{Ints, Value};
use crate::{DType, Element, Error, Result, Tensor};
use rushlight_kernels::dispatch;

/// A parsed sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The arguments without a name, in order.
    pub positional: Vec<Expr>,
    /// The arguments with a name, in order.
    pub keyword: Vec<(String, Expr)>,
}

/// One argument of a sample.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Expr {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
    DType(DType),
    /// A list or a tuple.
    List(Vec<Expr>),
    Tensor(TensorExpr),
}

/// A tensor in a sample.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorExpr {
    /// `T`, `I`, `B` or `S`.
    pub fill: Fill,
    /// The sizes.
    pub shape: Vec<usize>,
    /// The dtype, where it is written.
    pub dtype: Option<DType>,
    /// The lower bound.
    pub lo: f64,
    /// The upper bound, exclusive.
    pub hi: f64,
}

/// The kind of values that a tensor in a sample has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// `T`: real numbers.
    Real,
    /// `I`: integers.
    Int,
    /// `B`: truth values.
    Bool,
    /// `S`: symmetric positive definite matrices.
    Symmetric,
}

impl Sample {
    /// Parses a sample.
    ///
    /// # Errors
    /// A `ValueError` that shows the text and names the column where it stops making sense.
    pub fn parse(text: &str) -> Result<Sample> {
        let mut parser = Parser { text, at: 0 };
        parser.sample().map_err(|message| parser.error(&message))
    }

    /// The arguments as values; `T` without a dtype has `default_dtype`.
    ///
    /// # Errors
    /// A list that holds neither only numbers nor only tensors.
    pub fn make(&self, default_dtype: DType) -> Result<(Vec<Value>, Keywords)> {
        let mut tensors = 0;
        let positional = self.positional.iter().map(|e| e.make(default_dtype, &mut tensors)).collect::<Result<_>>()?;
        let keyword = self.keyword.iter().map(|(k, e)| Ok((k.clone().into(), e.make(default_dtype, &mut tensors)?)));
        Ok((positional, keyword.collect::<Result<_>>()?))
    }
}

/// The value of a single literal, such as the default in a signature.
pub(super) fn literal(text: &str) -> Result<Value> {
    let mut parser = Parser { text, at: 0 };
    let expr = parser.expr().and_then(|e| if parser.peek().is_none() { Ok(e) } else { Err("expected the end".into()) });
    expr.map_err(|message| parser.error(&message))?.make(DType::F32, &mut 0)
}

impl Expr {
    /// `tensors` counts the tensors made so far.
    fn make(&self, default_dtype: DType, tensors: &mut u64) -> Result<Value> {
        Ok(match self {
            Expr::None => Value::None,
            Expr::Bool(b) => Value::Bool(*b),
            Expr::Int(i) => Value::Int(*i),
            Expr::Float(f) => Value::Float(*f),
            Expr::Str(s) => Value::Str(s.clone()),
            Expr::DType(d) => Value::DType(*d),
            Expr::Tensor(t) => Value::Tensor(t.next(default_dtype, tensors)?),
            Expr::List(items) => {
                let ints: Option<Ints> = items.iter().map(|e| if let Expr::Int(i) = e { Some(*i) } else { None }).collect();
                if let Some(ints) = ints {
                    return Ok(Value::Ints(ints));
                }
                // Integers among floats are floats.
                let number = |e: &Expr| match *e {
                    Expr::Float(f) => Some(f),
                    Expr::Int(i) => Some(i as f64),
                    _ => None,
                };
                if let Some(floats) = items.iter().map(number).collect() {
                    return Ok(Value::Floats(floats));
                }
                let list = items.iter().map(|e| match e {
                    Expr::Tensor(t) => t.next(default_dtype, tensors),
                    _ => Err(Error::value("a list in a sample holds only numbers or only tensors")),
                });
                Value::Tensors(list.collect::<Result<_>>()?)
            }
        })
    }
}

impl TensorExpr {
    fn next(&self, default_dtype: DType, tensors: &mut u64) -> Result<Tensor> {
        let number = *tensors;
        *tensors += 1;
        self.tensor(number, default_dtype)
    }

    /// The tensor, as the one with this number in its sample.
    pub fn tensor(&self, number: u64, default_dtype: DType) -> Result<Tensor> {
        let dtype = self.dtype.unwrap_or(match self.fill {
            Fill::Real | Fill::Symmetric => default_dtype,
            Fill::Int => DType::I64,
            Fill::Bool => DType::Bool,
        });
        dispatch!(dtype, E => self.elements::<E>(number))
    }

    fn elements<E: Element>(&self, number: u64) -> Result<Tensor> {
        let numel = self.shape.iter().product::<usize>() as u64;
        let values: Vec<E> = (0..numel).map(|e| convert(self.value(number, e))).collect();
        Tensor::try_from_vec(values, &self.shape)
    }

    fn value(&self, number: u64, element: u64) -> f64 {
        let u = uniform(number, element);
        match self.fill {
            Fill::Real => self.lo + (self.hi - self.lo) * u,
            Fill::Int => self.lo + (u * (self.hi - self.lo)).floor(),
            Fill::Bool => (u < 0.5) as u8 as f64,
            Fill::Symmetric => {
                // Larger on the diagonal than all of a row together.
                let n = *self.shape.last().expect("the parser wants two sizes") as u64;
                let (row, column) = (element / n % n, element % n);
                let mirrored = element / (n * n) * n * n + row.max(column) * n + row.min(column);
                let value = self.lo + (self.hi - self.lo) * uniform(number, mirrored);
                if row == column { value + n as f64 } else { value }
            }
        }
    }
}

/// As `Tensor.to` converts; half precision by way of f32, as PyTorch goes.
fn convert<E: Element>(value: f64) -> E {
    if matches!(E::DTYPE, DType::F16 | DType::BF16) { (value as f32).cast() } else { value.cast() }
}

/// The number in [0, 1) that belongs to an element of a sample's tensor: a pure function, so that any script can recompute it.
pub fn uniform(tensor: u64, element: u64) -> f64 {
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    const MIX: u64 = 0xBF58_476D_1CE4_E5B9;
    let mut z = (tensor.wrapping_add(1)).wrapping_mul(GOLDEN) ^ (element.wrapping_add(1)).wrapping_mul(MIX);
    z = z.wrapping_add(GOLDEN);
    z = (z ^ (z >> 30)).wrapping_mul(MIX);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    (z >> 11) as f64 / (1u64 << 53) as f64
}

/// A recursive descent over the text. Errors are plain messages about the place where `at` stands.
struct Parser<'a> {
    text: &'a str,
    at: usize,
}

type Parsed<T> = std::result::Result<T, String>;

/// What stands between two brackets, or in a whole sample.
#[derive(Default)]
struct Items {
    positional: Vec<Expr>,
    keyword: Vec<(String, Expr)>,
    /// Whether a comma follows the last item: `(1,)` is a tuple, `(1)` is a number.
    trailing_comma: bool,
}

impl<'a> Parser<'a> {
    fn error(&self, message: &str) -> Error {
        let column = self.text[..self.at].chars().count() + 1;
        Error::value(format!("sample `{}`, column {column}: {message}", self.text))
    }

    /// The next character that is not a space.
    fn peek(&mut self) -> Option<char> {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        self.text[self.at..].chars().next()
    }

    fn take(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    /// The longest run of characters that `accept` takes.
    fn word(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        let rest = &self.text[self.at..];
        let word = &rest[..rest.find(|c| !accept(c)).unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    fn sample(&mut self) -> Parsed<Sample> {
        let Items { positional, keyword, .. } = self.items(None)?;
        Ok(Sample { positional, keyword })
    }

    /// Comma-separated items up to `close`, which is taken too, or up to the end.
    fn items(&mut self, close: Option<char>) -> Parsed<Items> {
        let mut items = Items::default();
        loop {
            match (self.peek(), close) {
                (None, None) => return Ok(items),
                (None, Some(c)) => return Err(format!("expected `{c}`")),
                (Some(c), Some(close)) if c == close => {
                    self.at += 1;
                    return Ok(items);
                }
                _ => {}
            }
            let first = items.positional.is_empty() && items.keyword.is_empty();
            if !first && !items.trailing_comma {
                return Err("expected a comma".into());
            }
            let start = self.at;
            match self.keyword() {
                Some(name) => {
                    if items.keyword.iter().any(|(k, _)| *k == name) {
                        self.at = start;
                        return Err(format!("the keyword `{name}` stands twice"));
                    }
                    let value = self.expr()?;
                    items.keyword.push((name, value));
                }
                None if !items.keyword.is_empty() => return Err("an argument without a name follows one with a name".into()),
                None => items.positional.push(self.expr()?),
            }
            items.trailing_comma = self.take(',');
        }
    }

    /// `name=`, or nothing taken.
    fn keyword(&mut self) -> Option<String> {
        let start = self.at;
        let name = self.word(|c| c.is_ascii_alphanumeric() || c == '_');
        if name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && self.take('=') {
            return Some(name.to_string());
        }
        self.at = start;
        None
    }

    fn expr(&mut self) -> Parsed<Expr> {
        let start = self.at;
        match self.peek() {
            None => Err("expected a value".into()),
            Some(open @ ('(' | '[')) => {
                self.at += 1;
                let mut items = self.items(Some(if open == '(' { ')' } else { ']' }))?;
                if let Some((name, _)) = items.keyword.first() {
                    return Err(format!("a list has no keywords, but `{name}=` stands in it"));
                }
                if open == '(' && items.positional.len() == 1 && !items.trailing_comma {
                    return Ok(items.positional.remove(0));
                }
                Ok(Expr::List(items.positional))
            }
            Some(quote @ ('\'' | '"')) => {
                self.at += 1;
                let text = self.word(|c| c != quote && c != '\\').to_string();
                if self.text[self.at..].starts_with('\\') {
                    return Err("a string in a sample has no escapes".into());
                }
                if self.text[self.at..].is_empty() {
                    return Err(format!("expected `{quote}`"));
                }
                self.at += 1;
                Ok(Expr::Str(text))
            }
            Some(c) if c.is_ascii_digit() || matches!(c, '-' | '+' | '.') => self.number(),
            Some(c) if c.is_ascii_alphabetic() => {
                let start = self.at;
                let name = self.word(|c| c.is_ascii_alphanumeric() || c == '_');
                let expr = self.named(name);
                if expr.is_err() && self.at == start + name.len() {
                    self.at = start;
                }
                expr
            }
            Some(c) => {
                self.at = self.at.max(start);
                Err(format!("`{c}` does not begin a value"))
            }
        }
    }

    fn named(&mut self, name: &str) -> Parsed<Expr> {
        Ok(match name {
            "None" => Expr::None,
            "True" => Expr::Bool(true),
            "False" => Expr::Bool(false),
            "inf" => Expr::Float(f64::INFINITY),
            "nan" => Expr::Float(f64::NAN),
            "T" => self.tensor(Fill::Real, -2.0, 2.0)?,
            "I" => self.tensor(Fill::Int, 0.0, 10.0)?,
            "B" => self.tensor(Fill::Bool, 0.0, 0.0)?,
            "S" => self.tensor(Fill::Symmetric, -1.0, 1.0)?,
            _ => match DType::from_name(name) {
                Some(dtype) => Expr::DType(dtype),
                None => return Err(format!("`{name}` is not a value: neither a literal, nor a dtype, nor `T`, `I`, `B` or `S`")),
            },
        })
    }

    fn number(&mut self) -> Parsed<Expr> {
        let start = self.at;
        if let Some(rest) = self.text[start..].strip_prefix('-')
            && rest.starts_with("inf")
        {
            self.at += "-inf".len();
            return Ok(Expr::Float(f64::NEG_INFINITY));
        }
        // A sign belongs to the number at its start and after an exponent.
        let mut previous = 'e';
        while let Some(c) = self.text[self.at..].chars().next() {
            let sign = matches!(c, '+' | '-') && matches!(previous, 'e' | 'E');
            if !(sign || c.is_ascii_alphanumeric() || matches!(c, '.' | '_')) {
                break;
            }
            previous = c;
            self.at += 1;
        }
        let text = &self.text[start..self.at];
        let plain = text.replace('_', "");
        if let Ok(i) = plain.parse::<i64>() {
            return Ok(Expr::Int(i));
        }
        // `parse` also takes "infinity" and "nan" after a sign, which Python does not.
        match plain.parse::<f64>() {
            Ok(f) if !plain.contains(['n', 'N']) && plain.contains(['.', 'e', 'E']) => Ok(Expr::Float(f)),
            _ => {
                self.at = start;
                Err(format!("`{text}` is not a number, or an integer of more than 64 bits"))
            }
        }
    }

    /// The parentheses after `T`, `I`, `B` or `S`.
    fn tensor(&mut self, fill: Fill, lo: f64, hi: f64) -> Parsed<Expr> {
        if !self.take('(') {
            return Err("expected `(` and the sizes of a tensor".into());
        }
        let open = self.at;
        let items = self.items(Some(')'))?;
        let mut tensor = TensorExpr { fill, shape: Vec::new(), dtype: None, lo, hi };
        let refuse = |parser: &mut Self, message: String| {
            parser.at = open;
            Err(message)
        };
        for item in items.positional {
            match item {
                Expr::Int(i) if i >= 0 => tensor.shape.push(i as usize),
                _ => return refuse(self, "the sizes of a tensor are integers from 0".into()),
            }
        }
        for (name, value) in items.keyword {
            match (name.as_str(), value) {
                ("dtype", Expr::DType(d)) => tensor.dtype = Some(d),
                ("lo", Expr::Int(i)) if fill != Fill::Bool => tensor.lo = i as f64,
                ("hi", Expr::Int(i)) if fill != Fill::Bool => tensor.hi = i as f64,
                ("lo", Expr::Float(f)) if matches!(fill, Fill::Real | Fill::Symmetric) => tensor.lo = f,
                ("hi", Expr::Float(f)) if matches!(fill, Fill::Real | Fill::Symmetric) => tensor.hi = f,
                ("lo" | "hi" | "dtype", _) => return refuse(self, format!("the value of `{name}` does not suit this tensor")),
                _ => return refuse(self, format!("a tensor has no `{name}`; it has dtype, lo and hi")),
            }
        }
        if fill == Fill::Symmetric && !matches!(tensor.shape[..], [.., m, n] if m == n) {
            return refuse(self, "symmetric matrices are square".into());
        }
        if !(tensor.lo <= tensor.hi && (tensor.hi - tensor.lo).is_finite()) {
            return refuse(self, format!("`lo` {} and `hi` {} are not the ends of an interval", tensor.lo, tensor.hi));
        }
        Ok(Expr::Tensor(tensor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(text: &str, needle: &str) {
        let message = Sample::parse(text).expect_err(text).message().to_string();
        assert!(message.contains(needle), "{text}: {message}");
    }

    fn only(text: &str) -> Expr {
        let mut sample = Sample::parse(text).unwrap();
        assert_eq!((sample.positional.len(), sample.keyword.len()), (1, 0), "{text}");
        sample.positional.remove(0)
    }

    fn tensor(text: &str) -> Tensor {
        let (values, _) = Sample::parse(text).unwrap().make(DType::F64).unwrap();
        values[0].tensors()[0].clone()
    }

    #[test]
    fn reads_literals() {
        assert_eq!(only("None"), Expr::None);
        assert_eq!(only(" True "), Expr::Bool(true));
        assert_eq!(only("-3"), Expr::Int(-3));
        assert_eq!(only("1_000"), Expr::Int(1000));
        assert_eq!(only("-9223372036854775808"), Expr::Int(i64::MIN));
        assert_eq!(only("1e-5"), Expr::Float(1e-5));
        assert_eq!(only(".5"), Expr::Float(0.5));
        assert_eq!(only("2."), Expr::Float(2.0));
        assert_eq!(only("1E+2"), Expr::Float(100.0));
        assert_eq!(only("-inf"), Expr::Float(f64::NEG_INFINITY));
        assert!(matches!(only("nan"), Expr::Float(f) if f.is_nan()));
        assert_eq!(only("'a, (b'"), Expr::Str("a, (b".into()));
        assert_eq!(only("\"\""), Expr::Str(String::new()));
        assert_eq!(only("bfloat16"), Expr::DType(DType::BF16));
        assert_eq!(only("[1, 2]"), only("(1, 2,)"));
        assert_eq!(only("()"), Expr::List(vec![]));
        assert_eq!(only("(1)"), Expr::Int(1));
        assert_eq!(only("(1,)"), Expr::List(vec![Expr::Int(1)]));
    }

    #[test]
    fn reads_tensors_and_keywords() {
        let spec = TensorExpr { fill: Fill::Real, shape: vec![2, 3], dtype: Some(DType::F32), lo: -1.0, hi: 2.5 };
        assert_eq!(only("T(2, 3, dtype=float32, lo=-1, hi=2.5)"), Expr::Tensor(spec));
        let s = Sample::parse("T(2), I(3, hi=5), [T(2), B()], dim=0, other = T(0, 2),").unwrap();
        assert_eq!((s.positional.len(), s.keyword.len()), (3, 2));
        assert_eq!(s.keyword[1].0, "other");
        assert_eq!(Sample::parse("").unwrap(), Sample { positional: vec![], keyword: vec![] });
    }

    #[test]
    fn makes_values() {
        let (values, keyword) = Sample::parse("T(2), [1, 2], [T(3), I(2)], (), x=T()").unwrap().make(DType::F32).unwrap();
        assert_eq!(values[0].tensors()[0].dtype(), DType::F32);
        assert!(matches!(&values[1], Value::Ints(i) if i.as_slice() == [1, 2]));
        assert_eq!(values[2].tensors()[1].dtype(), DType::I64);
        assert!(matches!(&values[3], Value::Ints(i) if i.is_empty()));
        assert_eq!(keyword[0].1.tensors()[0].shape().len(), 0);
        assert!(Sample::parse("[1, 'two']").unwrap().make(DType::F32).is_err());
        assert!(Sample::parse("[T(2), 1]").unwrap().make(DType::F32).is_err());
    }

    #[test]
    fn values_are_the_documented_ones() {
        // Computed by a Python script from the module's documentation.
        assert_eq!(uniform(0, 0), 0.20885721610019603);
        assert_eq!(uniform(3, 1000), 0.8544324765801421);
        assert_eq!(tensor("T(2, dtype=float64)").to_vec::<f64>(), [-2.0 + 4.0 * uniform(0, 0), -2.0 + 4.0 * uniform(0, 1)]);
        // The third tensor is number 2, whether or not it stands in a list.
        let (values, _) = Sample::parse("T(1), [T(1), I(4, lo=-3, hi=4)]").unwrap().make(DType::F64).unwrap();
        let expected: Vec<i64> = (0..4).map(|e| -3 + (uniform(2, e) * 7.0).floor() as i64).collect();
        assert_eq!(values[1].tensors()[1].to_vec::<i64>(), expected);
        assert_eq!(tensor("B(3)").to_vec::<bool>(), [uniform(0, 0) < 0.5, uniform(0, 1) < 0.5, uniform(0, 2) < 0.5]);
    }

    #[test]
    fn values_stay_in_their_bounds() {
        let real = tensor("T(1000, lo=0.5, hi=0.75)").to_vec::<f64>();
        assert!(real.iter().all(|&x| (0.5..0.75).contains(&x)));
        let mean = real.iter().sum::<f64>() / 1000.0;
        assert!((mean - 0.625).abs() < 0.01, "{mean}");
        let ints = tensor("I(1000, hi=3)").to_vec::<i64>();
        assert!((0..3).all(|i| ints.contains(&i)) && ints.iter().all(|i| (0..3).contains(i)));
        assert_eq!(tensor("T(0, 3)").shape().as_slice(), [0, 3]);
        assert_eq!(tensor("T(4, dtype=float16)").dtype(), DType::F16);
    }

    #[test]
    fn errors_name_the_column() {
        fails("T(2, 3", "column 7: expected `)`");
        fails("T(2) 1", "column 6: expected a comma");
        fails("T(2), foo", "column 7: `foo` is not a value");
        fails("T(-2)", "column 3: the sizes of a tensor are integers");
        fails("T(2, lo=3, hi=1)", "not the ends of an interval");
        fails("T(2, device='cpu')", "a tensor has no `device`");
        fails("B(2, lo=1)", "`lo` does not suit");
        fails("I(2, hi=1.5)", "`hi` does not suit");
        fails("dim=1, 2", "column 8: an argument without a name");
        fails("dim=1, dim=2", "column 8: the keyword `dim` stands twice");
        fails("dim=", "column 5: expected a value");
        fails("1,,2", "column 3: `,` does not begin a value");
        fails("'abc", "expected `'`");
        fails("12abc", "column 1: `12abc` is not a number");
        fails("99999999999999999999", "more than 64 bits");
        fails("-nan", "is not a number");
        fails("(a=1)", "a list has no keywords");
        fails("T", "expected `(`");
        fails("é", "column 1: `é` does not begin a value");
        fails("1é", "column 2");
    }
}
