//! The zip archive that a checkpoint is: records in one folder.

use super::super::block::{Block, Endian};
use super::super::decompress;
use crate::{DType, Layout, Tensor};
use flate2::Crc;
use std::borrow::Cow;
use std::io::Cursor;
use std::ops::Range;
use zip::read::ZipReadOptions;
use zip::{CompressionMethod, ZipArchive};

type Result<T> = std::result::Result<T, String>;

/// What compressed records may unpack to: this much, or [`MAX_GROWTH`] times the file's size where that is more.
const MAX_UNPACKED: u64 = 1 << 30;
const MAX_GROWTH: u64 = 100;

/// Records by name. Each lies in the file by itself: archives whose entries overlap are refused.
pub(super) struct Archive<'b> {
    block: &'b Block,
    zip: ZipArchive<Cursor<&'b [u8]>>,
    folder: String,
    /// Bytes that may still be unpacked.
    left: u64,
}

/// The bytes of a record: where they lie in the file, or what they unpack to.
enum Record {
    InFile(Range<usize>),
    Unpacked(Vec<u8>),
}

impl<'b> Archive<'b> {
    pub(super) fn open(block: &'b Block) -> Result<Archive<'b>> {
        let bytes = block.bytes();
        if !bytes.starts_with(b"PK") {
            return Err("not a checkpoint in PyTorch's zip format (files from before PyTorch 1.6 are not: \
                        load and save them once with PyTorch)"
                .into());
        }
        let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|e| e.to_string())?;
        if zip.has_duplicate_names() {
            return Err("the archive has two records of one name".into());
        }
        if zip.has_overlapping_entries().map_err(|e| e.to_string())? {
            return Err("the archive's records overlap".into());
        }
        let folders = zip.file_names_raw().filter_map(|n| std::str::from_utf8(n).ok()?.strip_suffix("/data.pkl"));
        let folder = match folders.collect::<Vec<_>>()[..] {
            [folder] => folder.to_string(),
            [] => return Err("not a PyTorch checkpoint: there is no record 'data.pkl'".into()),
            _ => return Err("there are several records 'data.pkl'".into()),
        };
        let left = MAX_UNPACKED.max(MAX_GROWTH.saturating_mul(bytes.len() as u64));
        Ok(Archive { block, zip, folder, left })
    }
    pub(super) fn contains(&self, name: &str) -> bool {
        self.zip.index_for_name(&format!("{}/{name}", self.folder)).is_some()
    }
    /// The record called `name`, which should have at most `limit` bytes.
    pub(super) fn read(&mut self, name: &str, limit: usize) -> Result<Cow<'b, [u8]>> {
        Ok(match self.record(name, limit)? {
            Record::InFile(range) => Cow::Borrowed(&self.block.bytes()[range]),
            Record::Unpacked(bytes) => Cow::Owned(bytes),
        })
    }
    /// The first `len` elements of the record called `name`, in place where they can be. To be called once for each record.
    pub(super) fn tensor(&mut self, name: &str, dtype: DType, len: usize) -> Result<Tensor> {
        let record = self.record(name, usize::MAX)?;
        let there = match &record {
            Record::InFile(range) => range.len(),
            Record::Unpacked(bytes) => bytes.len(),
        };
        let size = len
            .checked_mul(dtype.size())
            .filter(|size| *size <= there)
            .ok_or_else(|| format!("the storage claims {len} elements of {dtype}, but its record '{name}' has {there} bytes"))?;
        let layout = Layout::contiguous(&[len]);
        let tensor = match record {
            Record::InFile(range) => self.block.tensor(range.start..range.start + size, dtype, layout, Endian::Little),
            Record::Unpacked(bytes) => Block::owned(String::new(), bytes).tensor(0..size, dtype, layout, Endian::Little),
        };
        tensor.map_err(|e| format!("record '{name}': {}", e.message()))
    }

    fn record(&mut self, name: &str, limit: usize) -> Result<Record> {
        let index = self.zip.index_for_name(&format!("{}/{name}", self.folder));
        let index = index.ok_or_else(|| format!("there is no record '{name}'"))?;
        self.locate(index, limit).map_err(|e| format!("record '{name}': {e}"))
    }
    fn locate(&mut self, index: usize, limit: usize) -> Result<Record> {
        let entry = self.zip.by_index_raw(index).map_err(|e| e.to_string())?;
        let (size, compressed, checksum) = (entry.size(), entry.compressed_size(), entry.crc32());
        let (method, start) = (entry.compression(), entry.data_start().ok_or("is not in the file")?);
        if entry.encrypted() {
            return Err("is encrypted".into());
        }
        drop(entry);
        if size > limit as u64 {
            return Err(format!("{size} bytes are too many; at most {limit} are supported"));
        }
        let file = self.block.bytes();
        let range = usize::try_from(start).ok().zip(usize::try_from(compressed).ok());
        let range = range.and_then(|(start, len)| Some(start..start.checked_add(len)?)).filter(|r| r.end <= file.len());
        let range = range.ok_or_else(|| format!("its {compressed} bytes reach beyond the end of the file"))?;
        match method {
            CompressionMethod::Stored if size == compressed => {
                verify(&file[range.clone()], checksum)?;
                Ok(Record::InFile(range))
            }
            CompressionMethod::Stored => Err(format!("claims {size} bytes, but {compressed} are stored")),
            CompressionMethod::Deflated => {
                let bytes = self.inflate(index, size, compressed)?;
                verify(&bytes, checksum)?;
                Ok(Record::Unpacked(bytes))
            }
            other => Err(format!("compression by {other:?} is not supported")),
        }
    }
    fn inflate(&mut self, index: usize, size: u64, compressed: u64) -> Result<Vec<u8>> {
        decompress::plausible(size, compressed).map_err(|e| e.message().to_string())?;
        self.left = self.left.checked_sub(size).ok_or("the archive unpacks to too much for its size")?;
        let options = ZipReadOptions::new().ignore_crc32(true);
        let mut entry = self.zip.by_index_with_options(index, options).map_err(|e| e.to_string())?;
        decompress::read_rest(&mut entry, size).map_err(|e| e.message().to_string())
    }
}

/// Compares a record with its checksum. PyTorch can be told not to compute any, and writes 0.
fn verify(bytes: &[u8], checksum: u32) -> Result<()> {
    let mut crc = Crc::new();
    crc.update(bytes);
    if checksum != 0 && crc.sum() != checksum {
        return Err("has been damaged: its checksum is wrong".into());
    }
    Ok(())
}
