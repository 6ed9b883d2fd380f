//! A block of bytes from a file, in which tensors may lie without a copy.

use crate::storage::nbytes;
use crate::{DType, Dims, Error, Layout, Result, Tensor};
use memmap2::{MmapMut, MmapOptions};
use rushlight_kernels::Buffer;
use std::any::Any;
use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

/// Most dimensions of a tensor in a file: NumPy's limit.
const MAX_RANK: usize = 64;

/// Bytes that `shape` takes, checked for sizes that a file may claim and no tensor can have.
pub(super) fn checked_bytes(shape: &[usize], dtype: DType) -> Result<usize> {
    if shape.len() > MAX_RANK {
        return Err(Error::value(format!("{} dimensions; at most {MAX_RANK} are supported", shape.len())));
    }
    // An empty tensor's other sizes must fit as well: strides are computed from them.
    let counted: Dims = shape.iter().map(|&d| d.max(1)).collect();
    let full = nbytes(&counted, dtype).map_err(|_| Error::value(format!("sizes {shape:?} are larger than any memory")))?;
    Ok(if shape.contains(&0) { 0 } else { full })
}

/// Which byte of an element comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endian {
    Little,
    Big,
}

impl Endian {
    pub(super) const NATIVE: Endian = if cfg!(target_endian = "little") { Endian::Little } else { Endian::Big };
}

/// Bytes of a file, mapped or read, kept alive by every tensor that lies in them.
pub(super) struct Block {
    /// What errors call it: the path, or the path and the entry.
    pub(super) name: String,
    ptr: NonNull<u8>,
    len: usize,
    owner: Arc<dyn Any + Send + Sync>,
}

impl Block {
    /// The file at `path`, mapped privately: a write to a tensor copies the page and never reaches the file.
    pub(super) fn map(path: &Path) -> Result<Block> {
        let name = path.display().to_string();
        let map = map_private(path).map_err(|e| Error::io(e.to_string()).context(&name))?;
        let (ptr, len) = (map.as_ptr().cast_mut(), map.len());
        Ok(Block { name, ptr: NonNull::new(ptr).expect("a map has an address"), len, owner: Arc::new(map) })
    }
    /// Bytes that have been read already.
    pub(super) fn owned(name: String, mut bytes: Vec<u8>) -> Block {
        let ptr = NonNull::new(bytes.as_mut_ptr()).expect("a Vec's pointer is never null");
        Block { name, ptr, len: bytes.len(), owner: Arc::new(bytes) }
    }
    /// All bytes.
    #[allow(unsafe_code)]
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: `owner` keeps `len` bytes alive; a loader calls this before it gives out the tensors, which alone can write.
        unsafe { std::slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }
    /// An error about this file.
    #[cold]
    pub(super) fn error(&self, text: impl std::fmt::Display) -> Error {
        Error::io(format!("{}: {text}", self.name))
    }
    /// A tensor over `range`, whose layout must be dense: in place where the bytes can be used as they are, else over a copy.
    /// No two tensors may be given overlapping ranges.
    ///
    /// # Errors
    /// If the range is not the layout's, or a bool is neither 0 nor 1. The file's name is for the caller to add.
    #[allow(unsafe_code)]
    pub(super) fn tensor(&self, range: Range<usize>, dtype: DType, layout: Layout, order: Endian) -> Result<Tensor> {
        let size = checked_bytes(&layout.shape, dtype)?;
        let Some(bytes) = self.bytes().get(range.clone()) else {
            return Err(Error::io(format!("bytes {range:?} reach beyond the end of the file ({} bytes)", self.len)));
        };
        if bytes.len() != size {
            return Err(Error::io(format!(
                "{} bytes of data do not fill shape {:?} of {dtype} ({size} bytes)",
                bytes.len(),
                layout.shape.as_slice()
            )));
        }
        if dtype == DType::Bool
            && let Some(at) = bytes.iter().position(|b| *b > 1)
        {
            return Err(Error::value(format!("byte {} is {}, which is no bool", range.start + at, bytes[at])));
        }
        let swapped = order != Endian::NATIVE && dtype.size() > 1;
        let buffer = if size == 0 || swapped || bytes.as_ptr().align_offset(dtype.size()) != 0 {
            copied(bytes, if swapped { dtype.size() } else { 1 })?
        } else {
            // SAFETY: in bounds, so not null; `owner` keeps the bytes alive, they are writable (a private map or a Vec), and no two
            // tensors share a range.
            unsafe { Buffer::foreign(self.ptr.add(range.start), size, Box::new(self.owner.clone())) }
        };
        // SAFETY: initialised bytes, alone in their buffer; bools were checked.
        unsafe { Tensor::from_buffer(buffer, layout, dtype) }
    }
}

#[allow(unsafe_code)]
fn map_private(path: &Path) -> std::io::Result<MmapMut> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("not a regular file"));
    }
    // SAFETY: the map is private, so nobody sees writes through it. Another process that cuts the file short while it is mapped is a
    // danger that no reader of maps can exclude; files written by this library are replaced, never cut.
    unsafe { MmapOptions::new().no_reserve_swap().map_copy(&file) }
}

/// A fresh, aligned copy, with the bytes of each group of `width` reversed.
#[allow(unsafe_code)]
fn copied(bytes: &[u8], width: usize) -> Result<Buffer> {
    let buffer = Buffer::uninit(bytes.len())?;
    // SAFETY: fresh memory of that length, which overlaps nothing.
    let out = unsafe {
        buffer.as_ptr().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        std::slice::from_raw_parts_mut(buffer.as_ptr(), bytes.len())
    };
    if width > 1 {
        out.chunks_exact_mut(width).for_each(<[u8]>::reverse);
    }
    Ok(buffer)
}

/// Writes the elements of `tensor`, row-major and little-endian.
pub(super) fn write_elements(out: &mut impl Write, tensor: &Tensor) -> Result<()> {
    let width = tensor.dtype().size();
    tensor.with_bytes(|bytes| match Endian::NATIVE {
        Endian::Little => out.write_all(bytes),
        Endian::Big => bytes.chunks_exact(width).try_for_each(|e| {
            let mut e = e.to_vec();
            e.reverse();
            out.write_all(&e)
        }),
    })??;
    Ok(())
}
