//! The module's allocator: the system's, behind lists of small blocks that each thread keeps for itself.
//!
//! Every op makes and drops two or three objects of a few hundred bytes. From a list that takes a few instructions instead of malloc's
//! hundred, and the same few whatever the heap looks like. Tensors' elements have a cache of their own, in the kernels' crate.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null_mut;

/// Blocks have multiples of so many bytes.
const STEP: usize = 64;
/// Larger ones, of more than 512 bytes, are the system's.
const CLASSES: usize = 8;
/// A thread keeps so many blocks of a class.
const KEPT: u32 = 64;

struct Lists {
    /// The first free block of each class; a free block begins with the address of the next.
    first: [Cell<*mut u8>; CLASSES],
    len: [Cell<u32>; CLASSES],
    keeps: Cell<Keeps>,
}

/// Whether freed blocks are kept: not before somebody has promised to free them with the thread, and not after that.
#[derive(Clone, Copy, PartialEq)]
enum Keeps {
    NotYet,
    Yes,
    NoMore,
}

// Without a destructor, so that it may be used at any time of a thread's life, and found without asking.
thread_local! {
    static LISTS: Lists = const {
        Lists {
            first: [const { Cell::new(null_mut()) }; CLASSES],
            len: [const { Cell::new(0) }; CLASSES],
            keeps: Cell::new(Keeps::NotYet),
        }
    };
    static SWEEPER: Sweeper = const { Sweeper };
}

/// Frees a thread's lists when the thread ends.
struct Sweeper;

impl Drop for Sweeper {
    fn drop(&mut self) {
        LISTS.with(|lists| {
            lists.keeps.set(Keeps::NoMore);
            for class in 0..CLASSES {
                while let Some(block) = lists.pop(class) {
                    // SAFETY: the block came from the system, with this layout.
                    unsafe { System.dealloc(block, of_class(class)) }
                }
            }
        });
    }
}

impl Lists {
    #[inline]
    fn pop(&self, class: usize) -> Option<*mut u8> {
        let block = self.first[class].get();
        if block.is_null() {
            return None;
        }
        // SAFETY: a block in the list is free and begins with the address that `push` wrote.
        self.first[class].set(unsafe { block.cast::<*mut u8>().read() });
        self.len[class].set(self.len[class].get() - 1);
        Some(block)
    }
    /// Keeps a free block of the class, if there is room.
    ///
    /// # Safety
    /// Nobody else uses the block.
    #[inline]
    unsafe fn push(&self, class: usize, block: *mut u8) -> bool {
        if self.len[class].get() >= KEPT || self.keeps.get() != Keeps::Yes && !self.may_keep() {
            return false;
        }
        // SAFETY: the block is ours and has at least STEP bytes.
        unsafe { block.cast::<*mut u8>().write(self.first[class].get()) };
        self.first[class].set(block);
        self.len[class].set(self.len[class].get() + 1);
        true
    }
    #[cold]
    fn may_keep(&self) -> bool {
        if self.keeps.get() == Keeps::NotYet {
            // First, as noting a destructor may allocate.
            self.keeps.set(Keeps::Yes);
            if SWEEPER.try_with(|_| ()).is_err() {
                self.keeps.set(Keeps::NoMore);
            }
        }
        self.keeps.get() == Keeps::Yes
    }
}

#[inline]
fn class_of(layout: Layout) -> Option<usize> {
    let class = layout.size().wrapping_sub(1) / STEP;
    (class < CLASSES && layout.align() <= 16).then_some(class)
}

/// What the system is asked for.
#[inline]
fn of_class(class: usize) -> Layout {
    // SAFETY: 16 is a power of two, and the size is at most 512.
    unsafe { Layout::from_size_align_unchecked((class + 1) * STEP, 16) }
}

/// See the module.
pub struct Small;

// SAFETY: a block is handed out by one list or by the system, with at least the size and the alignment that are asked for, and goes back as
// what it came as: its class follows from the layout, which the caller gives both times. Lists never unwind.
unsafe impl GlobalAlloc for Small {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match class_of(layout) {
            // SAFETY: the layout's size is not zero, by the caller's promise and by the class.
            Some(class) => LISTS.with(|lists| lists.pop(class)).unwrap_or_else(|| unsafe { System.alloc(of_class(class)) }),
            // SAFETY: the caller's promise.
            None => unsafe { System.alloc(layout) },
        }
    }
    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match class_of(layout) {
            // SAFETY: the caller gives the block up; where no list takes it, it goes back to where it came from.
            Some(class) => unsafe {
                if !LISTS.with(|lists| lists.push(class, block)) {
                    System.dealloc(block, of_class(class));
                }
            },
            // SAFETY: the caller's promise.
            None => unsafe { System.dealloc(block, layout) },
        }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if class_of(layout).is_none() {
            // SAFETY: the caller's promise.
            return unsafe { System.alloc_zeroed(layout) };
        }
        // SAFETY: as above; the block has the layout's size.
        unsafe {
            let block = self.alloc(layout);
            if !block.is_null() {
                block.write_bytes(0, layout.size());
            }
            block
        }
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: by the caller's promise, `size` makes a layout with this alignment.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (class_of(layout), class_of(new)) {
            (Some(old), Some(new)) if old == new => block,
            // SAFETY: the caller's promise.
            (None, None) => unsafe { System.realloc(block, layout, size) },
            // SAFETY: both blocks have the bytes that are copied, and are not the same.
            _ => unsafe {
                let to = self.alloc(new);
                if !to.is_null() {
                    to.copy_from_nonoverlapping(block, layout.size().min(size));
                    self.dealloc(block, layout);
                }
                to
            },
        }
    }
}
