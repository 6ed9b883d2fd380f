//! Buffers: aligned, uninitialised blocks of memory from a cache, or memory that somebody else owns.
//!
//! Fresh memory is slow, because every page costs a fault when it is first written, so that freed blocks are kept and handed out
//! again: see [`set_cache_limit`] and [`empty_cache`].

mod cache;
mod class;
mod system;

use crate::{Error, ErrorKind, Result};
use class::Class;
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

/// What a pointer to no memory is aligned like.
#[repr(align(64))]
struct Aligned;

enum Owner {
    /// There is nothing to own.
    Nobody,
    /// From the cache, goes back to it.
    Cache(Class),
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
    #[inline]
    pub fn uninit(len: usize) -> Result<Buffer> {
        Ok(Buffer::allocate(len)?.0)
    }
    /// `len` zero bytes.
    pub fn zeroed(len: usize) -> Result<Buffer> {
        let (buffer, zero) = Buffer::allocate(len)?;
        // Pages fresh from the system are zero, and stay unmapped until somebody writes.
        if !zero {
            // SAFETY: the block has `len` bytes and nobody else knows it yet.
            unsafe { buffer.ptr.as_ptr().write_bytes(0, len) };
        }
        Ok(buffer)
    }
    #[inline]
    fn allocate(len: usize) -> Result<(Buffer, bool)> {
        let class = Class::of(len).ok_or_else(|| out_of_memory(len))?;
        let (ptr, zero) = cache::allocate(class).ok_or_else(|| out_of_memory(len))?;
        Ok((Buffer { ptr, len, owner: Owner::Cache(class) }, zero))
    }
    /// No memory at all.
    #[inline]
    pub fn none() -> Buffer {
        Buffer { ptr: NonNull::<Aligned>::dangling().cast(), len: 0, owner: Owner::Nobody }
    }
    /// Memory that `owner` keeps alive.
    ///
    /// # Safety
    /// `ptr` must be valid for reads (and, if anyone writes through the buffer, for writes) of `len` bytes until `owner` is dropped.
    #[inline]
    pub unsafe fn foreign(ptr: NonNull<u8>, len: usize, owner: Box<dyn Any + Send + Sync>) -> Buffer {
        Buffer { ptr, len, owner: Owner::Foreign(owner) }
    }
    /// Whether it was made by [`Buffer::foreign`].
    pub fn is_foreign(&self) -> bool {
        matches!(self.owner, Owner::Foreign(_))
    }
    /// Start of the block.
    #[inline]
    pub fn as_ptr(&self) -> *mut u8 {
        self.ptr.as_ptr()
    }
    /// Bytes in the block.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }
    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Drop for Buffer {
    #[inline]
    fn drop(&mut self) {
        if let Owner::Cache(class) = self.owner {
            // SAFETY: allocated in `allocate` with this class, and freed only here.
            unsafe { cache::free(self.ptr, class) }
        }
    }
}

/// What the library's buffers hold, in bytes of whole blocks (requests are rounded up by at most a factor of two, above 1 MiB by a
/// quarter). Each thread reports in steps of up to 1 MiB or a thousand calls; the caller's own numbers are exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryStats {
    /// In use now.
    pub allocated_bytes: usize,
    /// Most ever in use, since the start or [`reset_peak`].
    pub peak_bytes: usize,
    /// Freed, and kept for the next allocation.
    pub cached_bytes: usize,
    /// Buffers handed out so far.
    pub allocations: u64,
    /// How many of them came from the cache.
    pub hits: u64,
}

/// Numbers on the memory of all buffers.
pub fn memory_stats() -> MemoryStats {
    cache::stats()
}

/// Makes the present use the peak.
pub fn reset_peak() {
    cache::reset_peak()
}

/// Gives all cached memory back to the system, except up to a few megabytes of small blocks that each other thread keeps.
pub fn empty_cache() {
    cache::empty()
}

/// Bytes that the cache may hold; a quarter of the machine's (or the container's) memory by default.
pub fn cache_limit() -> usize {
    cache::limit()
}

/// Sets how many bytes the cache may hold. Beyond it the sizes that have not been asked for longest are given back; zero keeps
/// nothing but each thread's small blocks.
pub fn set_cache_limit(bytes: usize) {
    cache::set_limit(bytes)
}

#[cold]
fn out_of_memory(len: usize) -> Error {
    Error::new(ErrorKind::OutOfMemory, format!("DefaultCPUAllocator: can't allocate memory: you tried to allocate {len} bytes"))
}

#[cfg(test)]
mod tests;
