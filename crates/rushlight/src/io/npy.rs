//! NumPy's [`.npy`](https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html) format: one array.

use super::block::{Block, Endian, checked_bytes, write_elements};
use super::write_atomic;
use crate::{DType, Layout, Result, Tensor};
use std::io::Write;
use std::path::Path;

const MAGIC: &[u8] = b"\x93NUMPY";
/// Data begins at a multiple of this.
const ALIGN: usize = 64;

/// Type codes; NumPy has none for bfloat16 and saves arrays of `ml_dtypes.bfloat16` as untyped pairs of bytes.
const CODES: [(DType, &str); 10] = [
    (DType::Bool, "b1"),
    (DType::U8, "u1"),
    (DType::I8, "i1"),
    (DType::I16, "i2"),
    (DType::I32, "i4"),
    (DType::I64, "i8"),
    (DType::F16, "f2"),
    (DType::BF16, "V2"),
    (DType::F32, "f4"),
    (DType::F64, "f8"),
];

/// The array of the file at `path`; Fortran order gives a tensor with its strides.
///
/// It lies in the file, mapped into memory (see [`super::safetensors::load`]), unless its bytes are in the other order.
///
/// # Errors
/// If the file cannot be read, is not what its header says, or holds elements that no tensor can: Python objects (which are pickled,
/// and are never loaded), structures, complex numbers, texts, wider unsigned integers.
pub fn load(path: impl AsRef<Path>) -> Result<Tensor> {
    read(&Block::map(path.as_ref())?)
}

/// The array of a file that is in memory; `name` stands for the path in errors.
///
/// # Errors
/// As [`load`].
pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Tensor> {
    read(&Block::owned(name.to_string(), bytes))
}

/// Writes `tensor` to `path` in C order, atomically ([`write_atomic`]). NumPy reads bfloat16 as `V2`, to be viewed as
/// `ml_dtypes.bfloat16`.
///
/// # Errors
/// If the file cannot be written.
pub fn save(path: impl AsRef<Path>, tensor: &Tensor) -> Result<()> {
    write_atomic(path, |out| write(out, tensor))
}

pub(super) fn write(out: &mut impl Write, tensor: &Tensor) -> Result<()> {
    out.write_all(&header(tensor))?;
    write_elements(out, tensor)
}

/// Everything before the data.
pub(super) fn header(tensor: &Tensor) -> Vec<u8> {
    let code = CODES.iter().find(|(d, _)| *d == tensor.dtype()).expect("the table holds every dtype").1;
    let order = if tensor.dtype().size() == 1 { '|' } else { '<' };
    let shape: String = tensor.shape().iter().map(|d| format!("{d}, ")).collect();
    // A tuple of one needs its comma, a longer one does not have it.
    let shape = if tensor.rank() == 1 { shape.trim_end() } else { shape.trim_end_matches(", ") };
    let mut dict = format!("{{'descr': '{order}{code}', 'fortran_order': False, 'shape': ({shape}), }}");
    // Version 1 says the length in two bytes, version 2 in four.
    let (version, field) = if MAGIC.len() + 4 + dict.len() + ALIGN < 1 << 16 { (1, 2) } else { (2, 4) };
    let before = MAGIC.len() + 2 + field;
    let total = (before + dict.len() + 1).next_multiple_of(ALIGN);
    dict.push_str(&" ".repeat(total - before - dict.len() - 1));
    dict.push('\n');
    let mut bytes = [MAGIC, &[version, 0]].concat();
    bytes.extend(&(dict.len() as u32).to_le_bytes()[..field]);
    bytes.extend(dict.into_bytes());
    bytes
}

pub(super) fn read(block: &Block) -> Result<Tensor> {
    let (header, data) = Header::split(block.bytes()).map_err(|e| block.error(e))?;
    let size = checked_bytes(&header.shape, header.dtype).map_err(|e| e.context(format!("{}: shape", block.name)))?;
    let given = block.bytes().len() - data;
    if given != size {
        return Err(block.error(format!("shape {:?} of {} takes {size} bytes, but {given} follow", header.shape, header.dtype)));
    }
    let layout = if header.fortran {
        let dims: Vec<usize> = (0..header.shape.len()).rev().collect();
        let reversed: Vec<usize> = header.shape.iter().rev().copied().collect();
        Layout::contiguous(&reversed).permute(&dims)
    } else {
        Layout::contiguous(&header.shape)
    };
    block.tensor(data..data + size, header.dtype, layout, header.order).map_err(|e| e.context(&block.name))
}

struct Header {
    dtype: DType,
    order: Endian,
    fortran: bool,
    shape: Vec<usize>,
}

impl Header {
    /// The header and where the data begins.
    fn split(bytes: &[u8]) -> std::result::Result<(Header, usize), String> {
        let Some(rest) = bytes.strip_prefix(MAGIC) else { return Err("not a .npy file: the magic bytes are missing".into()) };
        let short = || "ends within the header".to_string();
        let (field, rest) = match rest.split_first_chunk::<2>().ok_or_else(short)? {
            ([1, 0], rest) => (2, rest),
            ([2 | 3, 0], rest) => (4, rest),
            ([major, minor], _) => return Err(format!("version {major}.{minor} of the format is not supported")),
        };
        let (length, rest) = rest.split_at_checked(field).ok_or_else(short)?;
        let length = length.iter().rev().fold(0, |n, &b| n << 8 | b as usize);
        let text = rest.get(..length).ok_or_else(|| format!("header length {length} exceeds the {} bytes left", rest.len()))?;
        // Version 1 and 2 are Latin-1, 3 is UTF-8; only names of structures, which are refused, can tell the difference.
        let text = std::str::from_utf8(text).map_err(|e| format!("header: {e}"))?;
        let header = Header::parse(text).map_err(|e| format!("header: {e}"))?;
        Ok((header, MAGIC.len() + 2 + field + length))
    }
    fn parse(text: &str) -> std::result::Result<Header, String> {
        let mut p = Literal { rest: text };
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        p.expect("{")?;
        while !p.eat("}") {
            let key = p.text()?;
            p.expect(":")?;
            let twice = match key {
                "descr" if p.peek() == Some('[') => return Err("structured arrays are not supported".into()),
                "descr" => descr.replace(p.text()?).is_some(),
                "fortran_order" => fortran.replace(p.truth()?).is_some(),
                "shape" => shape.replace(p.sizes()?).is_some(),
                other => return Err(format!("unknown field '{other}'")),
            };
            if twice {
                return Err(format!("field '{key}' stands twice"));
            }
            if !p.eat(",") && p.peek() != Some('}') {
                return Err("',' or '}' expected between fields".into());
            }
        }
        if p.peek().is_some() {
            return Err("there is text after the closing brace".into());
        }
        let missing = |name| format!("has no field '{name}'");
        let (dtype, order) = element(descr.ok_or_else(|| missing("descr"))?)?;
        let fortran = fortran.ok_or_else(|| missing("fortran_order"))?;
        Ok(Header { dtype, order, fortran, shape: shape.ok_or_else(|| missing("shape"))? })
    }
}

/// The dtype and byte order of a type string such as `<f4`.
fn element(descr: &str) -> std::result::Result<(DType, Endian), String> {
    let code = descr.strip_prefix(['<', '>', '|', '=']).unwrap_or(descr);
    let order = match descr.chars().next() {
        Some('>') => Endian::Big,
        Some('<') => Endian::Little,
        _ => Endian::NATIVE,
    };
    if code.starts_with('O') {
        return Err(format!(
            "descr '{descr}': arrays of Python objects are pickled, and unpickling can run any code: not loaded"
        ));
    }
    let code = if code == "?" { "b1" } else { code };
    match CODES.iter().find(|(_, c)| *c == code) {
        Some((dtype, _)) => Ok((*dtype, order)),
        None => Err(format!("descr '{descr}': no tensor has elements of this type")),
    }
}

/// A reader of the few Python literals that a header is made of.
struct Literal<'a> {
    rest: &'a str,
}

impl<'a> Literal<'a> {
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }
    fn eat(&mut self, token: &str) -> bool {
        self.peek();
        let Some(rest) = self.rest.strip_prefix(token) else { return false };
        self.rest = rest;
        true
    }
    fn expect(&mut self, token: &str) -> std::result::Result<(), String> {
        if self.eat(token) { Ok(()) } else { Err(format!("'{token}' expected")) }
    }
    fn text(&mut self) -> std::result::Result<&'a str, String> {
        let quote = self.peek().filter(|c| matches!(c, '\'' | '"')).ok_or("a text in quotes expected")?;
        let (text, rest) = self.rest[1..].split_once(quote).ok_or("a text is not closed")?;
        self.rest = rest;
        Ok(text)
    }
    fn truth(&mut self) -> std::result::Result<bool, String> {
        match (self.eat("True"), self.eat("False")) {
            (true, false) => Ok(true),
            (false, true) => Ok(false),
            _ => Err("fortran_order should be True or False".into()),
        }
    }
    fn sizes(&mut self) -> std::result::Result<Vec<usize>, String> {
        self.expect("(").map_err(|_| "shape should be a tuple")?;
        let mut sizes = Vec::new();
        while !self.eat(")") {
            self.peek();
            let digits = self.rest.len() - self.rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, rest) = self.rest.split_at(digits);
            sizes.push(number.parse().map_err(|_| "shape should hold sizes only")?);
            self.rest = rest;
            // Python 2 wrote long integers with an L.
            self.eat("L");
            if !self.eat(",") && self.peek() != Some(')') {
                return Err("shape should hold sizes only".into());
            }
        }
        Ok(sizes)
    }
}
