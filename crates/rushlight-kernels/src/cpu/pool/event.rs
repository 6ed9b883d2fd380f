//! A 32-bit word that threads may sleep on: a futex on Linux, a mutex and a condition variable elsewhere.

use std::sync::atomic::AtomicU32;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
use std::sync::{Condvar, Mutex, atomic::Ordering};

/// An atomic word with [`wait`](Event::wait) and [`wake`](Event::wake).
#[derive(Default)]
pub(super) struct Event {
    pub(super) word: AtomicU32,
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    gate: (Mutex<()>, Condvar),
}

#[cfg(any(target_os = "linux", target_os = "android"))]
impl Event {
    /// Sleeps if the word still holds `expected`; may return early for no reason.
    pub(super) fn wait(&self, expected: u32) {
        let flags = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
        // SAFETY: the word outlives the call, a null timeout waits for ever, and the kernel touches nothing else.
        unsafe { libc::syscall(libc::SYS_futex, self.word.as_ptr(), flags, expected, std::ptr::null::<libc::timespec>()) };
    }
    /// Wakes up to `count` sleepers. Change the word first.
    pub(super) fn wake(&self, count: usize) {
        let flags = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
        let count = count.min(i32::MAX as usize) as libc::c_int;
        // SAFETY: the word outlives the call, which does not write to it.
        unsafe { libc::syscall(libc::SYS_futex, self.word.as_ptr(), flags, count) };
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
impl Event {
    /// Sleeps if the word still holds `expected`; may return early for no reason.
    pub(super) fn wait(&self, expected: u32) {
        let guard = self.gate.0.lock().unwrap_or_else(|e| e.into_inner());
        if self.word.load(Ordering::SeqCst) == expected {
            drop(self.gate.1.wait(guard));
        }
    }
    /// Wakes sleepers. Change the word first: taking the lock orders the change before or after a sleeper's check.
    pub(super) fn wake(&self, _count: usize) {
        drop(self.gate.0.lock().unwrap_or_else(|e| e.into_inner()));
        self.gate.1.notify_all();
    }
}
