//! Blocks from the system. Large ones are mapped at 2 MiB boundaries and ask for huge pages: a page fault costs ten times as much
//! as writing the page, and a huge page has one fault where small ones have 512.

use super::ALIGN;
use super::class::Class;
use std::alloc::Layout;
use std::ptr::NonNull;

/// Blocks from this size on are mapped.
#[cfg(target_os = "linux")]
const HUGE_PAGE: usize = 2 << 20;

/// Whether a block fresh from [`allocate`] is all zeros.
pub(super) fn fresh_is_zero(class: Class) -> bool {
    is_mapped(class)
}

/// A new block, or `None` if the system refuses.
pub(super) fn allocate(class: Class) -> Option<NonNull<u8>> {
    #[cfg(target_os = "linux")]
    if is_mapped(class) {
        return map_aligned(class.size());
    }
    // SAFETY: no class has size zero.
    NonNull::new(unsafe { std::alloc::alloc(layout(class)) })
}

/// Gives a block back.
///
/// # Safety
/// `block` came from `allocate(class)` and nobody uses it any more.
pub(super) unsafe fn free(block: NonNull<u8>, class: Class) {
    #[cfg(target_os = "linux")]
    if is_mapped(class) {
        // SAFETY: exactly the mapping that `map_aligned` left standing.
        unsafe { libc::munmap(block.as_ptr().cast(), class.size()) };
        return;
    }
    // SAFETY: allocated with this layout, by this function's contract.
    unsafe { std::alloc::dealloc(block.as_ptr(), layout(class)) }
}

/// The physical memory that this process may use, as far as the system says.
pub(super) fn physical_memory() -> usize {
    let machine = machine_memory().unwrap_or(usize::MAX);
    // Inside a container these files are the container's own; elsewhere the root group has none, or a limit beyond any machine.
    let limit = |path| std::fs::read_to_string(path).ok()?.trim().parse().ok();
    let v2 = limit("/sys/fs/cgroup/memory.max").unwrap_or(usize::MAX);
    let v1 = limit("/sys/fs/cgroup/memory/memory.limit_in_bytes").unwrap_or(usize::MAX);
    machine.min(v2).min(v1)
}

#[cfg(unix)]
fn machine_memory() -> Option<usize> {
    // SAFETY: `sysconf` only answers a number.
    let (pages, size) = unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
    usize::try_from(pages).ok()?.checked_mul(usize::try_from(size).ok()?).filter(|&bytes| bytes > 0)
}

#[cfg(not(unix))]
fn machine_memory() -> Option<usize> {
    None
}

fn layout(class: Class) -> Layout {
    // SAFETY: the alignment is a power of two, and `Class::of` admits no size above isize::MAX - ALIGN.
    unsafe { Layout::from_size_align_unchecked(class.size(), ALIGN) }
}

#[cfg(not(target_os = "linux"))]
fn is_mapped(_class: Class) -> bool {
    false
}

#[cfg(target_os = "linux")]
fn is_mapped(class: Class) -> bool {
    class.size() >= HUGE_PAGE
}

/// Anonymous memory at a huge page's boundary: maps one huge page more than needed and cuts both ends off.
#[cfg(target_os = "linux")]
fn map_aligned(size: usize) -> Option<NonNull<u8>> {
    use libc::{MADV_HUGEPAGE, MAP_ANONYMOUS, MAP_FAILED, MAP_PRIVATE, PROT_READ, PROT_WRITE};
    let room = size.checked_add(HUGE_PAGE)?;
    // SAFETY: a fresh mapping at a place of the kernel's choice touches no existing memory.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) };
    if start == MAP_FAILED {
        return None;
    }
    let start = start.cast::<u8>();
    let head = start.align_offset(HUGE_PAGE);
    let tail = HUGE_PAGE - head;
    // SAFETY: `head + size + tail == room`, so all three pieces lie within the mapping; sizes of classes from 2 MiB on are
    // multiples of any page size.
    unsafe {
        if head > 0 {
            libc::munmap(start.cast(), head);
        }
        let block = start.add(head);
        if tail > 0 {
            libc::munmap(block.add(size).cast(), tail);
        }
        // Advice only: without huge pages the block works as well.
        libc::madvise(block.cast(), size, MADV_HUGEPAGE);
        NonNull::new(block)
    }
}
