//! Buffers: aligned, uninitialised blocks of memory from a cache, or memory that somebody else owns.

use crate::{Error, ErrorKind, Result};
use std::any::Any;
use std::ptr::NonNull;

/// Alignment of every block that the library allocates: one cache line, two AVX-512 loads.
pub const ALIGN: usize = 64;

/// A block of bytes. It gives out raw pointers only: who may read and write when is decided one floor up, by the locks of
/// `Storage`.
pub struct Buffer {
    ptr: NonNull<u8>,
    len: usize,
    owner: Owner,
}

enum Owner {
    /// From the cache, goes back to it.
    Cache(std::alloc::Layout),
    /// Kept alive by this value (a memory map, a `Vec`, a NumPy array); dropped with the buffer.
    #[allow(dead_code, reason = "held for its Drop")]
    Foreign(Box<dyn Any + Send + Sync>),
}

// SAFETY: a Buffer is plain memory; it hands out raw pointers and leaves synchronisation to its user.
unsafe impl Send for Buffer {}
// SAFETY: as above; `&Buffer` allows nothing but reading the pointer and the length.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// `len` bytes, aligned to [`ALIGN`], with unspecified contents.
    pub fn uninit(len: usize) -> Result<Buffer> {
        let layout = std::alloc::Layout::from_size_align(len.max(1), ALIGN).map_err(|_| out_of_memory(len))?;
        // SAFETY: the layout has a non-zero size.
        let ptr = unsafe { std::alloc::alloc(layout) };
        let ptr = NonNull::new(ptr).ok_or_else(|| out_of_memory(len))?;
        Ok(Buffer { ptr, len, owner: Owner::Cache(layout) })
    }
    /// `len` zero bytes.
    pub fn zeroed(len: usize) -> Result<Buffer> {
        let b = Buffer::uninit(len)?;
        // SAFETY: the block has `len` bytes and nobody else knows it yet.
        unsafe { b.ptr.as_ptr().write_bytes(0, len) };
        Ok(b)
    }
    /// Memory that `owner` keeps alive.
    ///
    /// # Safety
    /// `ptr` must be valid for reads (and, if anyone writes through the buffer, for writes) of `len` bytes until `owner` is dropped.
    pub unsafe fn foreign(ptr: NonNull<u8>, len: usize, owner: Box<dyn Any + Send + Sync>) -> Buffer {
        Buffer { ptr, len, owner: Owner::Foreign(owner) }
    }
    /// Start of the block.
    pub fn as_ptr(&self) -> *mut u8 {
        self.ptr.as_ptr()
    }
    /// Bytes in the block.
    pub fn len(&self) -> usize {
        self.len
    }
    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Owner::Cache(layout) = self.owner {
            // SAFETY: allocated in `uninit` with this layout, and freed only here.
            unsafe { std::alloc::dealloc(self.ptr.as_ptr(), layout) }
        }
    }
}

#[cold]
fn out_of_memory(len: usize) -> Error {
    Error::new(ErrorKind::OutOfMemory, format!("DefaultCPUAllocator: can't allocate memory: you tried to allocate {len} bytes"))
}
