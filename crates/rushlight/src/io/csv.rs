//! Tables of numbers as text.

use crate::{DType, Element, Error, Result, Tensor};
use rushlight_kernels::dispatch;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether the first line names the columns.
    pub header: bool,
    /// What stands between two numbers.
    pub delimiter: char,
    /// The tensor's dtype.
    pub dtype: DType,
}

/// With a header, separated by commas, float32.
impl Default for Options {
    fn default() -> Options {
        Options { header: true, delimiter: ',', dtype: DType::F32 }
    }
}

/// A table of numbers.
#[derive(Clone, Debug)]
pub struct Table {
    /// Names of the columns; empty without a header.
    pub columns: Vec<String>,
    /// The numbers, `[rows, columns]`.
    pub values: Tensor,
}

/// The table of the file at `path`.
///
/// A floating field is a number, `nan` or `inf`; a bool is `0`, `1`, `true` or `false`. An empty field is an error.
///
/// # Errors
/// If the file cannot be read, rows differ in length, or a field is not a number of the dtype; the text names file, line and column.
pub fn load(path: impl AsRef<Path>, options: &Options) -> Result<Table> {
    let name = path.as_ref().display().to_string();
    let file = File::open(path).map_err(|e| Error::from(e).context(&name))?;
    read(&name, file, options)
}

/// The table that `from` holds; `name` stands for the path in errors.
///
/// # Errors
/// As [`load`].
pub fn read(name: &str, from: impl Read, options: &Options) -> Result<Table> {
    dispatch!(options.dtype, T => parse::<T>(from, options)).map_err(|e| e.context(name))
}

fn parse<T: Element>(from: impl Read, options: &Options) -> Result<Table> {
    let mut from = BufReader::new(from);
    let (mut columns, mut width) = (Vec::new(), None);
    let (mut values, mut rows) = (Vec::<T>::new(), 0);
    let (mut bytes, mut line) = (Vec::new(), 0);
    while from.read_until(b'\n', &mut bytes)? != 0 {
        line += 1;
        // A byte-order mark may begin the file. Other bytes that are no UTF-8 are shown in the error about their field.
        let text = String::from_utf8_lossy(&bytes);
        let text = if line == 1 { text.strip_prefix('\u{feff}').unwrap_or(&text) } else { &text };
        if !text.trim().is_empty() {
            let fields = split(text, options.delimiter).map_err(|e| Error::value(format!("line {line}: {e}")))?;
            let width = *width.get_or_insert(fields.len());
            if fields.len() != width {
                return Err(Error::value(format!("line {line} has {} columns, the lines before it {width}", fields.len())));
            }
            if options.header && columns.is_empty() {
                columns = fields;
            } else {
                row(&fields, &columns, line, &mut values)?;
                rows += 1;
            }
        }
        bytes.clear();
    }
    let values = Tensor::try_from_vec(values, [rows, width.unwrap_or(0)])?;
    Ok(Table { columns, values })
}

/// The fields of one line, without the blanks around them. A field in quotes may contain delimiters, and quotes when doubled.
fn split(line: &str, delimiter: char) -> std::result::Result<Vec<String>, String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = line.trim_end_matches(['\r', '\n']).chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => field.push('"'),
            '"' if quoted || field.trim().is_empty() => quoted = !quoted,
            c if c == delimiter && !quoted => fields.push(std::mem::take(&mut field).trim().to_string()),
            c => field.push(c),
        }
    }
    if quoted {
        return Err("a quote is not closed".into());
    }
    fields.push(field.trim().to_string());
    Ok(fields)
}

/// Appends the numbers of one line.
fn row<T: Element>(fields: &[String], columns: &[String], line: usize, values: &mut Vec<T>) -> Result<()> {
    for (i, field) in fields.iter().enumerate() {
        let value = number(field).ok_or_else(|| {
            let column = columns.get(i).map_or(String::new(), |c| format!(" ('{c}')"));
            Error::value(format!("line {line}, column {}{column}: '{field}' is no {}", i + 1, T::DTYPE))
        })?;
        values.push(value);
    }
    Ok(())
}

/// The number that `text` says, if the dtype holds it: integers exactly, floats rounded once.
fn number<T: Element>(text: &str) -> Option<T> {
    match T::DTYPE {
        DType::F32 => text.parse::<f32>().ok().map(|x| T::from_f64(x.into())),
        d if d.is_float() => text.parse::<f64>().ok().map(T::from_f64),
        DType::Bool => match text {
            "0" | "false" | "False" => Some(T::from_i64(0)),
            "1" | "true" | "True" => Some(T::from_i64(1)),
            _ => None,
        },
        _ => text.parse::<i64>().ok().map(|i| (i, T::from_i64(i))).filter(|(i, t)| t.to_i64() == *i).map(|(_, t)| t),
    }
}
