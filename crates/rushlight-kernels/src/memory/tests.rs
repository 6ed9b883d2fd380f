use super::*;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, mpsc};

/// The limit and the statistics are the process's: tests that change or compare them run one at a time.
static ONE: Mutex<()> = Mutex::new(());

fn fill(b: &Buffer, byte: u8) {
    // SAFETY: the buffer is this thread's own and has `len` bytes.
    unsafe { b.as_ptr().write_bytes(byte, b.len()) }
}
fn all(b: &Buffer, byte: u8) -> bool {
    // SAFETY: the buffer has been filled before.
    unsafe { std::slice::from_raw_parts(b.as_ptr(), b.len()) }.iter().all(|&x| x == byte)
}

#[test]
fn blocks_are_aligned_and_distinct() {
    let sizes = [0, 1, 63, 64, 65, 1000, 4096, 65_536, 65_537, 1 << 20, (1 << 20) + 1, 3 << 20, (4 << 20) + 5];
    let live: Vec<Buffer> = sizes.iter().chain(&sizes).map(|&n| Buffer::uninit(n).unwrap()).collect();
    for (i, b) in live.iter().enumerate() {
        assert_eq!(b.as_ptr() as usize % ALIGN, 0);
        fill(b, i as u8);
    }
    for (i, b) in live.iter().enumerate() {
        assert!(all(b, i as u8));
        assert_eq!(b.len(), sizes[i % sizes.len()]);
        assert_eq!(b.is_empty(), i % sizes.len() == 0);
    }
}

#[test]
fn zeroed_is_zero_also_when_the_block_was_used() {
    for n in [0, 1, 100, 70_000, 5 << 20] {
        for _ in 0..3 {
            let b = Buffer::zeroed(n).unwrap();
            assert!(all(&b, 0), "{n}");
            fill(&b, 0xff);
        }
    }
}

#[test]
fn impossible_requests_are_errors() {
    for n in [usize::MAX, isize::MAX as usize, isize::MAX as usize + 1, 1 << 62, 1 << 60] {
        let e = Buffer::uninit(n).err().expect("no machine has that much");
        assert_eq!(e.kind(), ErrorKind::OutOfMemory);
        assert!(e.message().contains(&format!("you tried to allocate {n} bytes")), "{e}");
        assert!(Buffer::zeroed(n).is_err());
    }
}

#[test]
fn a_freed_block_is_handed_out_again() {
    for n in [64, 4000, 65_536] {
        let at = Buffer::uninit(n).unwrap().as_ptr() as usize;
        assert_eq!(Buffer::uninit(n).unwrap().as_ptr() as usize, at);
    }
}

#[test]
fn statistics_count_blocks() {
    let _one = ONE.lock().unwrap_or_else(|e| e.into_inner());
    // Other tests allocate meanwhile, but not in pieces of this size.
    const BIG: usize = 512 << 20;
    reset_peak();
    let before = memory_stats();
    let b = Buffer::uninit(BIG).unwrap();
    let during = memory_stats();
    assert!(during.allocated_bytes >= BIG);
    assert!(during.allocations > before.allocations);
    drop(b);
    let after = memory_stats();
    assert!(after.allocated_bytes < BIG);
    assert!(after.peak_bytes >= BIG);
    let small: Vec<_> = (0..10).map(|_| Buffer::uninit(3000).unwrap()).collect();
    drop(small);
    let hits = memory_stats().hits;
    let small: Vec<_> = (0..10).map(|_| Buffer::uninit(3000).unwrap()).collect();
    assert!(memory_stats().hits >= hits + 10);
    drop(small);
    reset_peak();
    assert!(memory_stats().peak_bytes < BIG);
}

#[test]
fn the_cache_keeps_within_its_limit() {
    let _one = ONE.lock().unwrap_or_else(|e| e.into_inner());
    let limit = cache_limit();
    assert!(limit > 0);
    set_cache_limit(64 << 20);
    assert_eq!(cache_limit(), 64 << 20);
    // Untouched mappings: none of these pages is ever backed.
    let many: Vec<_> = (0..20).map(|_| Buffer::uninit(16 << 20).unwrap()).collect();
    drop(many);
    // 20 blocks of 16 MiB were freed. What other threads keep for themselves is small.
    assert!(memory_stats().cached_bytes < 200 << 20, "{:?}", memory_stats());
    set_cache_limit(0);
    drop(Buffer::uninit(300 << 20).unwrap());
    assert!(memory_stats().cached_bytes < 200 << 20);
    set_cache_limit(1 << 30);
    drop(Buffer::uninit(300 << 20).unwrap());
    empty_cache();
    assert!(memory_stats().cached_bytes < 200 << 20);
    set_cache_limit(limit);
}

#[test]
fn blocks_travel_between_threads() {
    let (send, receive) = mpsc::channel::<Buffer>();
    let bad = AtomicUsize::new(0);
    std::thread::scope(|s| {
        for t in 0..4 {
            let send = send.clone();
            s.spawn(move || {
                for i in 0..3000usize {
                    let b = Buffer::uninit(1 + (i * 97 + t) % 9000).unwrap();
                    fill(&b, i as u8);
                    send.send(b).unwrap();
                }
            });
        }
        drop(send);
        s.spawn(|| {
            let mut kept = Vec::new();
            for b in receive {
                // SAFETY: filled with one byte before it was sent.
                let first = unsafe { *b.as_ptr() };
                bad.fetch_add(!all(&b, first) as usize, Relaxed);
                kept.push(b);
                if kept.len() > 700 {
                    kept.clear();
                }
            }
        });
    });
    assert_eq!(bad.load(Relaxed), 0);
}

#[test]
fn buffers_may_outlive_their_threads_lists() {
    use std::cell::RefCell;
    thread_local! {
        // Dropped with the thread's other values, perhaps after the cache's own lists; allocates while it is dropped.
        static LATE: RefCell<Vec<Late>> = const { RefCell::new(Vec::new()) };
    }
    struct Late(#[allow(dead_code)] Buffer);
    impl Drop for Late {
        fn drop(&mut self) {
            for n in [10, 5000, 3 << 20] {
                fill(&Buffer::uninit(n).unwrap(), 1);
            }
        }
    }
    for first in [true, false] {
        std::thread::spawn(move || {
            if first {
                drop(Buffer::uninit(10));
            }
            LATE.with_borrow_mut(|l| l.extend((0..20).map(|i| Late(Buffer::uninit(i * 999).unwrap()))));
        })
        .join()
        .unwrap();
    }
}

#[test]
fn foreign_memory_is_released_by_its_owner() {
    struct Owner<'a>(Vec<u8>, &'a AtomicUsize);
    impl Drop for Owner<'_> {
        fn drop(&mut self) {
            self.1.fetch_add(self.0.len(), Relaxed);
        }
    }
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    let mut owner = Box::new(Owner(vec![7; 5], &DROPPED));
    let ptr = NonNull::new(owner.0.as_mut_ptr()).unwrap();
    // SAFETY: the vector is kept alive by the buffer and is not moved.
    let b = unsafe { Buffer::foreign(ptr, 5, owner) };
    assert!(all(&b, 7));
    drop(b);
    assert_eq!(DROPPED.load(Relaxed), 5);
}

#[cfg(unix)]
#[test]
fn the_child_of_a_fork_can_allocate() {
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|s| {
        // Keeps the global lock busy while the main thread forks.
        s.spawn(|| {
            while !stop.load(Relaxed) {
                drop(Buffer::uninit(100_000).unwrap());
            }
        });
        for _ in 0..20 {
            // SAFETY: the child touches only the block cache, whose lock the fork handlers hold, and leaves by `_exit`.
            let child = unsafe { libc::fork() };
            if child == 0 {
                for n in [100, 100_000, 4 << 20] {
                    fill(&Buffer::uninit(n).unwrap(), 3);
                }
                // SAFETY: ends the child.
                unsafe { libc::_exit(0) };
            }
            let mut status = 0;
            // SAFETY: waits for the child made above.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "child ended with {status}");
        }
        stop.store(true, Relaxed);
    });
}
