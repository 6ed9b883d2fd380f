//! The [safetensors](https://huggingface.co/docs/safetensors) format: a JSON header, then the tensors' bytes without gaps.
//!
//! ```
//! # fn main() -> rushlight::Result<()> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("model.safetensors");
//! use rushlight::{Tensor, io::safetensors};
//! let w = Tensor::from_vec(vec![1.0f32, 2.0], [1, 2]);
//! safetensors::save(&path, [("w", &w)], &safetensors::Metadata::new())?;
//! let loaded = safetensors::load(&path)?;
//! assert_eq!(loaded.get("w").unwrap().to_vec::<f32>(), [1.0, 2.0]);
//! # Ok(()) }
//! ```

use super::block::{Block, Endian, checked_bytes, write_elements};
use super::json::Json;
use super::write_atomic;
use crate::nn::StateDict;
use crate::storage::nbytes;
use crate::{DType, Error, Layout, Result, Tensor};
use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::path::Path;

/// The texts that a file carries beside its tensors. Sorted, so that equal contents give equal files.
pub type Metadata = BTreeMap<String, String>;

/// The reference implementation's limit on the header.
const MAX_HEADER: usize = 100_000_000;
/// The header's entry that is no tensor.
const METADATA: &str = "__metadata__";
/// Bytes of the header's length.
const LENGTH: usize = 8;

const NAMES: [(DType, &str); 10] = [
    (DType::Bool, "BOOL"),
    (DType::U8, "U8"),
    (DType::I8, "I8"),
    (DType::I16, "I16"),
    (DType::I32, "I32"),
    (DType::I64, "I64"),
    (DType::F16, "F16"),
    (DType::BF16, "BF16"),
    (DType::F32, "F32"),
    (DType::F64, "F64"),
];

/// The tensors of the file at `path`, in the header's order.
///
/// They lie in the file, mapped into memory: loading reads the header only, and a tensor's bytes when they are first used. Writing to
/// them never changes the file. The file may be replaced meanwhile (as [`save`] does), but must not be cut short in place.
///
/// # Errors
/// If the file cannot be read, or is not what its header says; the text names the file and the tensor.
pub fn load(path: impl AsRef<Path>) -> Result<StateDict> {
    load_with_metadata(path).map(|(tensors, _)| tensors)
}

/// [`load`], with the file's metadata.
///
/// # Errors
/// As [`load`].
pub fn load_with_metadata(path: impl AsRef<Path>) -> Result<(StateDict, Metadata)> {
    read(&Block::map(path.as_ref())?)
}

/// The tensors and the metadata of a file that is in memory; `name` stands for the path in errors.
///
/// # Errors
/// As [`load`].
pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<(StateDict, Metadata)> {
    read(&Block::owned(name.to_string(), bytes))
}

/// Writes `tensors` and `metadata` to `path`, atomically ([`write_atomic`]).
///
/// Views are written row-major; tensors that share memory are written each. Tools of the Hugging Face ecosystem expect the metadata
/// `format: pt`.
///
/// # Errors
/// If a name is taken twice or reserved, the header is too large, or the file cannot be written.
pub fn save<'a, N: AsRef<str>>(
    path: impl AsRef<Path>,
    tensors: impl IntoIterator<Item = (N, &'a Tensor)>,
    metadata: &Metadata,
) -> Result<()> {
    let tensors: Vec<(N, &Tensor)> = tensors.into_iter().collect();
    write_atomic(path, |out| write(out, &tensors, metadata))
}

/// What the header says of one tensor.
struct Entry {
    name: String,
    dtype: DType,
    shape: Vec<usize>,
    /// From the end of the header.
    start: usize,
    end: usize,
}

fn write<N: AsRef<str>>(out: &mut impl Write, tensors: &[(N, &Tensor)], metadata: &Metadata) -> Result<()> {
    // Wide elements first, so that every tensor is aligned without gaps between them.
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(tensors[i].1.dtype().size()));
    let mut offsets = vec![(0, 0); tensors.len()];
    let mut end = 0;
    for &i in &order {
        let start = end;
        end += nbytes(&tensors[i].1.shape(), tensors[i].1.dtype())?;
        offsets[i] = (start, end);
    }
    let mut header = header(tensors, &offsets, metadata)?.to_string();
    header.push_str(&" ".repeat(header.len().next_multiple_of(LENGTH) - header.len()));
    if header.len() > MAX_HEADER {
        return Err(Error::value(format!("the header takes {} bytes; the format allows {MAX_HEADER}", header.len())));
    }
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    for &i in &order {
        write_elements(out, tensors[i].1).map_err(|e| e.context(format!("tensor '{}'", tensors[i].0.as_ref())))?;
    }
    Ok(())
}

fn header<N: AsRef<str>>(tensors: &[(N, &Tensor)], offsets: &[(usize, usize)], metadata: &Metadata) -> Result<Json> {
    let ints = |ints: &[usize]| Json::List(ints.iter().map(|&i| Json::Int(i as i64)).collect());
    let mut names = HashSet::new();
    let mut entries = Vec::with_capacity(tensors.len() + 1);
    if !metadata.is_empty() {
        let texts = metadata.iter().map(|(k, v)| (k.clone(), Json::Str(v.clone())));
        entries.push((METADATA.to_string(), Json::Map(texts.collect())));
    }
    for ((name, tensor), &(start, end)) in tensors.iter().zip(offsets) {
        let name = name.as_ref();
        if name == METADATA || !names.insert(name) {
            let why = if name == METADATA { "is reserved" } else { "is given twice" };
            return Err(Error::value(format!("the name '{name}' {why}")));
        }
        let dtype = NAMES.iter().find(|(d, _)| *d == tensor.dtype()).expect("the table holds every dtype").1;
        let entry =
            [("dtype", Json::Str(dtype.to_string())), ("shape", ints(&tensor.shape())), ("data_offsets", ints(&[start, end]))];
        entries.push((name.to_string(), Json::Map(entry.map(|(k, v)| (k.to_string(), v)).into())));
    }
    Ok(Json::Map(entries))
}

fn read(block: &Block) -> Result<(StateDict, Metadata)> {
    let (entries, metadata, data) = read_header(block)?;
    let tensors = entries
        .into_iter()
        .map(|e| {
            let range = data + e.start..data + e.end;
            let tensor = block
                .tensor(range, e.dtype, Layout::contiguous(&e.shape), Endian::Little)
                .map_err(|err| err.context(format!("{}: tensor '{}'", block.name, e.name)))?;
            Ok((e.name, tensor))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok((tensors.into_iter().collect(), metadata))
}

/// The tensors' entries, the metadata, and where the data begins.
fn read_header(block: &Block) -> Result<(Vec<Entry>, Metadata, usize)> {
    let bytes = block.bytes();
    let Some(length) = bytes.first_chunk::<LENGTH>() else {
        return Err(block.error(format!("{} bytes are too short for a safetensors file", bytes.len())));
    };
    let length = u64::from_le_bytes(*length);
    let rest = &bytes[LENGTH..];
    if length > MAX_HEADER as u64 || length > rest.len() as u64 {
        let limit = rest.len().min(MAX_HEADER);
        return Err(block.error(format!("not a safetensors file: header length {length} exceeds {limit}")));
    }
    let (text, data) = rest.split_at(length as usize);
    let text = std::str::from_utf8(text).map_err(|e| block.error(format!("header: {e}")))?;
    let Json::Map(items) = Json::parse(text).map_err(|e| block.error(format!("header: {e}")))? else {
        return Err(block.error("header: should be a JSON object"));
    };
    let (mut entries, mut metadata) = (Vec::with_capacity(items.len()), Metadata::new());
    for (name, item) in items {
        if name == METADATA {
            metadata = texts(item).map_err(|e| block.error(format!("header: {METADATA}: {e}")))?;
        } else {
            let entry = Entry::read(name.clone(), &item, data.len());
            entries.push(entry.map_err(|e| block.error(format!("header: tensor '{name}': {e}")))?);
        }
    }
    no_gaps(&entries, data.len()).map_err(|e| block.error(format!("header: {e}")))?;
    Ok((entries, metadata, LENGTH + length as usize))
}

fn texts(item: Json) -> std::result::Result<Metadata, String> {
    let Json::Map(items) = item else { return Err("should be an object".into()) };
    let text = |(name, value)| match value {
        Json::Str(text) => Ok((name, text)),
        _ => Err(format!("'{name}' should be a text")),
    };
    items.into_iter().map(text).collect()
}

impl Entry {
    fn read(name: String, item: &Json, data_len: usize) -> std::result::Result<Entry, String> {
        let field = |name: &str| item.get(name).ok_or_else(|| format!("has no field '{name}'"));
        let Json::Str(dtype) = field("dtype")? else { return Err("dtype should be a text".into()) };
        let dtype =
            NAMES.iter().find(|(_, n)| n == dtype).ok_or_else(|| format!("dtype '{dtype}' is unknown or not supported"))?.0;
        let shape = field("shape")?.as_usizes().ok_or("shape should be a list of sizes")?;
        let offsets = field("data_offsets")?.as_usizes().ok_or("data_offsets should be two offsets")?;
        let &[start, end] = offsets.as_slice() else { return Err("data_offsets should be two offsets".into()) };
        if start > end || end > data_len {
            return Err(format!("data_offsets {offsets:?} do not lie in the file's {data_len} bytes of data"));
        }
        let size = checked_bytes(&shape, dtype).map_err(|e| format!("shape: {e}"))?;
        if size != end - start {
            return Err(format!(
                "shape {shape:?} of {dtype} takes {size} bytes, but data_offsets {offsets:?} hold {}",
                end - start
            ));
        }
        Ok(Entry { name, dtype, shape, start, end })
    }
}

/// The format's rule that keeps a file from hiding data, and tensors from sharing it: they cover the data, each byte once.
fn no_gaps(entries: &[Entry], data_len: usize) -> std::result::Result<(), String> {
    let mut sorted: Vec<&Entry> = entries.iter().collect();
    sorted.sort_by_key(|e| (e.start, e.end));
    let mut covered = 0;
    for e in sorted {
        if e.start != covered {
            let what = if e.start < covered { "overlaps another tensor" } else { "leaves a gap before it" };
            return Err(format!("tensor '{}': data_offsets {:?}: {what}", e.name, [e.start, e.end]));
        }
        covered = e.end;
    }
    if covered != data_len {
        return Err(format!("tensors cover {covered} of the file's {data_len} bytes of data"));
    }
    Ok(())
}
