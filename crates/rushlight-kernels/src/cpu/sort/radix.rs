//! Sorting a line digit by digit, from the lowest.
//!
//! The first pass reads the line and the last one writes the result; those in between move packed keys. A long line is cut into parts, whose
//! digits are counted, and whose elements are moved, side by side: an element's place follows from how many of its digit lie in the parts
//! before its own, so that parts never meet and the order is stable.

use super::{Key, Keys, Packed};
use crate::Result;
use crate::cpu::matmul::scratch;
use crate::cpu::pool;
use std::ops::Range;

/// Elements from which on a line is worth the tables.
pub(super) const LONG: usize = 200;
/// Elements of one part.
pub(super) const PART: usize = 1 << 15;
/// One thread adds up the tables of all parts.
const MAX_PARTS: usize = 32;

/// Calls `emit(rank, position)` for all elements of a line of at most `u32::MAX`, in any order and from several threads.
pub(super) fn sort<K: Packed, T: Key>(line: &[T], keys: &Keys, emit: impl Fn(usize, usize) + Sync) -> Result<()> {
    // Eleven bits save a pass in four, once the tables no longer count.
    let widest = if line.len() >= 1 << 13 { 11 } else { 8 };
    let passes = keys.bits.div_ceil(widest).max(1);
    let width = keys.bits.div_ceil(passes);
    let parts = line.len().div_ceil(PART).min(MAX_PARTS);
    let counts = scratch::<u32>(parts << width)?;
    let rooms = [1, 2].map(|more| scratch::<K>(if passes > more { line.len() } else { 0 }));
    let [a, b] = rooms;
    let (a, b) = (a?, b?);
    let rooms = [&a, &b].map(|b| Shared(b.as_ptr().cast::<K>()));
    let fresh = |i: usize| K::pack(keys.key(line[i]), keys.low, i);
    let finish = |rank: usize, k: K| emit(rank, k.position(keys.low));
    // The room that holds the keys, once they have left the line.
    let mut from: Option<usize> = None;
    for d in 0..passes {
        let pass = Pass { n: line.len(), parts, counts: Shared(counts.as_ptr().cast()), at: keys.low + d * width, width };
        let last = d + 1 == passes;
        let to = from.map_or(0, |r| 1 - r);
        // SAFETY: indices and ranks are below `n`, for which the rooms have space; the room that is read was filled by an earlier pass.
        let load = |i: usize| unsafe { rooms[1 - to].at(i).read() };
        // SAFETY: as above; no two elements have one rank.
        let store = |rank: usize, k: K| unsafe { rooms[to].at(rank).write(k) };
        let moved = match (from, last) {
            (None, true) => pass.run(true, fresh, finish),
            (None, false) => pass.run(false, fresh, store),
            (Some(_), true) => pass.run(true, load, finish),
            (Some(_), false) => pass.run(false, load, store),
        };
        if moved {
            from = Some(to);
        }
    }
    Ok(())
}

/// Memory whose elements each belong to one task at a time.
#[derive(Clone, Copy)]
struct Shared<T>(*mut T);
// SAFETY: what tasks may touch is up to the callers of `at`.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// # Safety
    /// The memory has more than `i` elements.
    #[inline(always)]
    unsafe fn at(self, i: usize) -> *mut T {
        // SAFETY: this function's contract.
        unsafe { self.0.add(i) }
    }
}

/// Moves elements to the order of one digit: `width` bits from number `at` on.
struct Pass {
    n: usize,
    parts: usize,
    /// A table for each part.
    counts: Shared<u32>,
    at: u32,
    width: u32,
}

impl Pass {
    /// Calls `put(rank, key)` for the keys that `take(index)` gives, unless the digit is the same in all and it need not be `done`.
    fn run<K: Packed>(&self, done: bool, take: impl Fn(usize) -> K + Sync, put: impl Fn(usize, K) + Sync) -> bool {
        let mask = (1usize << self.width) - 1;
        pool::run(self.parts, |part| {
            let table = self.table(part);
            table.fill(0);
            for i in self.range(part) {
                table[take(i).digit(self.at, mask)] += 1;
            }
        });
        let constant = self.add_up();
        if constant && !done {
            return false;
        }
        pool::run(self.parts, |part| {
            let table = self.table(part);
            for i in self.range(part) {
                let key = take(i);
                let rank = &mut table[key.digit(self.at, mask)];
                put(*rank as usize, key);
                *rank += 1;
            }
        });
        true
    }
    fn range(&self, part: usize) -> Range<usize> {
        let len = self.n.div_ceil(self.parts);
        (part * len).min(self.n)..((part + 1) * len).min(self.n)
    }
    #[allow(clippy::mut_from_ref, reason = "a part's table is used by one task at a time")]
    fn table(&self, part: usize) -> &mut [u32] {
        // SAFETY: there are `parts` tables; only the task of the part uses this one, and `add_up` while there are no tasks. Any bits are
        // counts, and those of an earlier digit are overwritten before they are read.
        unsafe { std::slice::from_raw_parts_mut(self.counts.at(part << self.width), 1 << self.width) }
    }
    /// Turns counts into the ranks of the first element of each digit and part; whether one digit has all.
    fn add_up(&self) -> bool {
        let (mut before, mut constant) = (0u32, false);
        for digit in 0..1usize << self.width {
            let start = before;
            for part in 0..self.parts {
                let count = &mut self.table(part)[digit];
                before += std::mem::replace(count, before);
            }
            constant |= (before - start) as usize == self.n;
        }
        constant
    }
}
