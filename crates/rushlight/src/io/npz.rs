//! NumPy's `.npz` format: a zip archive of [`npy`] files, one for each array.

use super::block::Block;
use super::{decompress, npy, write_atomic};
use crate::nn::StateDict;
use crate::{Error, Result, Tensor};
use std::io::{Cursor, Write};
use std::path::Path;
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// What a file may unpack to by default: this much, or [`MAX_GROWTH`] times its own size where that is more.
const MAX_UNPACKED: u64 = 1 << 30;
const MAX_GROWTH: u64 = 100;

/// The arrays of the archive at `path` by name, in its order.
///
/// An archive that unpacks to more than 1 GiB and to more than 100 times its own size is refused, so that a small hostile file cannot
/// fill the memory; [`load_with_limit`] sets another limit.
///
/// # Errors
/// If the file cannot be read, or an entry is not a valid `.npy` file; the text names both.
pub fn load(path: impl AsRef<Path>) -> Result<StateDict> {
    let block = Block::map(path.as_ref())?;
    let limit = MAX_UNPACKED.max(MAX_GROWTH.saturating_mul(block.bytes().len() as u64));
    read(&block, limit)
}

/// [`load`], refusing archives that unpack to more than `limit` bytes.
///
/// # Errors
/// As [`load`].
pub fn load_with_limit(path: impl AsRef<Path>, limit: u64) -> Result<StateDict> {
    read(&Block::map(path.as_ref())?, limit)
}

/// Writes `tensors` to `path` as `np.savez` does, atomically ([`write_atomic`]).
///
/// # Errors
/// If a name is given twice, or the file cannot be written.
pub fn save<'a, N: AsRef<str>>(path: impl AsRef<Path>, tensors: impl IntoIterator<Item = (N, &'a Tensor)>) -> Result<()> {
    save_with(path, tensors, CompressionMethod::Stored)
}

/// [`save`], compressed as `np.savez_compressed` does.
///
/// # Errors
/// As [`save`].
pub fn save_compressed<'a, N: AsRef<str>>(
    path: impl AsRef<Path>,
    tensors: impl IntoIterator<Item = (N, &'a Tensor)>,
) -> Result<()> {
    save_with(path, tensors, CompressionMethod::Deflated)
}

fn save_with<'a, N: AsRef<str>>(
    path: impl AsRef<Path>,
    tensors: impl IntoIterator<Item = (N, &'a Tensor)>,
    method: CompressionMethod,
) -> Result<()> {
    write_atomic(path, |out| {
        let mut archive = ZipWriter::new(out);
        for (name, tensor) in tensors {
            let name = name.as_ref();
            let size = (tensor.numel() * tensor.dtype().size()) as u64;
            // From 4 GiB on an entry needs the format's 64-bit fields, which must be announced; the header needs room too.
            let options = SimpleFileOptions::default().compression_method(method).large_file(size >= (1 << 32) - (1 << 20));
            archive.start_file(format!("{name}.npy"), options).map_err(|e| unzip_error(e).context(format!("entry '{name}'")))?;
            npy::write(&mut archive, tensor).map_err(|e| e.context(format!("entry '{name}'")))?;
        }
        archive.finish().map_err(unzip_error)?.flush()?;
        Ok(())
    })
}

fn read(block: &Block, limit: u64) -> Result<StateDict> {
    let mut archive = ZipArchive::new(Cursor::new(block.bytes())).map_err(|e| block.error(e))?;
    no_twins(block, archive.len())?;
    let mut left = limit;
    let mut arrays = Vec::new();
    for i in 0..archive.len() {
        let (name, bytes) = entry(&mut archive, i, &mut left, block.bytes().len()).map_err(|e| e.context(&block.name))?;
        let array = npy::from_bytes(&format!("{}: entry '{name}'", block.name), bytes)?;
        arrays.push((name.strip_suffix(".npy").unwrap_or(&name).to_string(), array));
    }
    Ok(arrays.into_iter().collect())
}

/// Name and contents of entry `i`; `left` is what may still be unpacked.
fn entry(archive: &mut ZipArchive<Cursor<&[u8]>>, i: usize, left: &mut u64, file: usize) -> Result<(String, Vec<u8>)> {
    let mut entry = archive.by_index(i).map_err(|e| unzip_error(e).context(format!("entry {i}")))?;
    let name = entry.name().map_err(unzip_error)?.into_owned();
    let (claimed, compressed) = (entry.size(), entry.compressed_size());
    let mut read = || {
        if compressed > file as u64 {
            return Err(Error::io(format!("claims {compressed} compressed bytes in a file of {file}")));
        }
        decompress::plausible(claimed, compressed)?;
        *left = left.checked_sub(claimed).ok_or_else(|| {
            Error::value(format!(
                "unpacking its {claimed} bytes exceeds the limit for this file; set another with load_with_limit"
            ))
        })?;
        decompress::read_rest(&mut entry, claimed)
    };
    let bytes = read().map_err(|e| e.context(format!("entry '{name}'")))?;
    Ok((name, bytes))
}

/// The zip reader keeps one of several entries of the same name; an archive that has them is not trusted.
fn no_twins(block: &Block, distinct: usize) -> Result<()> {
    const END: &[u8] = b"PK\x05\x06";
    let bytes = block.bytes();
    let Some(at) = bytes.windows(END.len()).rposition(|w| w == END) else { return Ok(()) };
    // Number of entries; all ones where it stands in the 64-bit record instead.
    match bytes.get(at + 10..at + 12).map(|n| u16::from_le_bytes([n[0], n[1]])) {
        Some(n) if n != u16::MAX && n as usize != distinct => {
            Err(block.error(format!("lists {n} entries, but they have {distinct} distinct names")))
        }
        _ => Ok(()),
    }
}

fn unzip_error(e: ZipError) -> Error {
    Error::io(e.to_string())
}
