//! Tables of numbers as text.

use crate::{DType, Element, Error, Result, Tensor};
use rushlight_kernels::dispatch;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether the first line names the columns.
    pub header: bool,
    /// What stands between two numbers.
    pub delimiter: u8,
    /// The tensor's dtype.
    pub dtype: DType,
}

/// With a header, separated by commas, float32.
impl Default for Options {
    fn default() -> Options {
        Options { header: true, delimiter: b',', dtype: DType::F32 }
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
    let mut reader = ::csv::ReaderBuilder::new()
        .has_headers(options.header)
        .delimiter(options.delimiter)
        .trim(::csv::Trim::All)
        .flexible(true)
        .from_reader(from);
    let bad = |e: ::csv::Error| Error::io(e.to_string());
    let mut columns: Vec<String> = Vec::new();
    if options.header {
        columns = reader.headers().map_err(bad)?.iter().map(str::to_string).collect();
    }
    let mut width = options.header.then_some(columns.len());
    let (mut values, mut rows) = (Vec::<T>::new(), 0);
    let mut record = ::csv::ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(bad)? {
        let line = record.position().map_or(0, ::csv::Position::line);
        if *width.get_or_insert(record.len()) != record.len() {
            let width = width.unwrap_or_default();
            return Err(Error::value(format!("line {line} has {} columns, the lines before it {width}", record.len())));
        }
        for (i, field) in record.iter().enumerate() {
            let value = std::str::from_utf8(field).ok().and_then(number::<T>).ok_or_else(|| {
                let column = columns.get(i).map_or(String::new(), |c| format!(" ('{c}')"));
                let field = String::from_utf8_lossy(field);
                Error::value(format!("line {line}, column {}{column}: '{field}' is no {}", i + 1, T::DTYPE))
            })?;
            values.push(value);
        }
        rows += 1;
    }
    let values = Tensor::try_from_vec(values, [rows, width.unwrap_or(0)])?;
    Ok(Table { columns, values })
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
