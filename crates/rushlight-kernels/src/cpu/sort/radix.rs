//! Sorting a line digit by digit, from the lowest.
//!
//! The first pass reads the line and the last one writes the result; those in between move packed keys. A long line is cut into parts, whose
//! digits are counted, and whose elements are moved, side by side: an element's place follows from how many of its digit lie in the parts
//! before its own, so that parts never meet and the order is stable.

use super::{Key, Keys, Packed};
use crate::Result;
use crate::cpu::matmul::scratch;
use crate::cpu::pool;
use crate::cpu::rows::Shared;
use std::ops::Range;

/// Elements from which on a line is worth the tables.
pub(super) const LONG: usize = 200;
/// Elements from which on a result does not stay in L1 while it is written in no order.
pub(super) const APART: usize = 1 << 13;
/// Elements of one part.
pub(super) const PART: usize = 1 << 15;
/// One thread adds up the tables of all parts.
const MAX_PARTS: usize = 32;

/// Calls `emit(rank, position)` for all elements of a line of at most `u32::MAX`, in any order and from several threads.
pub(super) fn sort<K: Packed, T: Key>(line: &[T], keys: Keys, emit: impl Fn(usize, usize) + Sync + Copy) -> Result<()> {
    // Eleven bits save a pass in four, once the tables no longer count.
    let widest = if line.len() >= 1 << 13 { 11 } else { 8 };
    let passes = keys.bits.div_ceil(widest).max(1);
    let width = keys.bits.div_ceil(passes);
    let parts = line.len().div_ceil(PART).min(MAX_PARTS);
    let counts = scratch::<u32>(parts << width)?;
    let rooms = [1, 2].map(|more| scratch::<K>(if passes > more { line.len() } else { 0 }));
    let [a, b] = rooms;
    let (a, b) = (a?, b?);
    let rooms = [&a, &b].map(|b| Shared::new(b.as_ptr().cast::<K>()));
    let fresh = move |i: usize| K::pack(keys.key(line[i]), keys.low, i);
    let finish = move |rank: usize, k: K| emit(rank, k.position(keys.low));
    // The room that holds the keys, once they have left the line.
    let mut from: Option<usize> = None;
    for d in 0..passes {
        let pass = Pass { n: line.len(), parts, counts: Shared::new(counts.as_ptr().cast()), at: keys.low + d * width, width };
        let last = d + 1 == passes;
        let to = from.map_or(0, |r| 1 - r);
        let (source, target) = (rooms[1 - to], rooms[to]);
        // SAFETY: indices and ranks are below `n`, for which the rooms have space; the room that is read was filled by an earlier pass.
        let load = move |i: usize| unsafe { source.get().add(i).read() };
        // SAFETY: as above; no two elements have one rank.
        let store = move |rank: usize, k: K| unsafe { target.get().add(rank).write(k) };
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
    ///
    /// The loops have copies of what they use: what lies behind a reference would be read again after every store.
    fn run<K: Packed>(&self, done: bool, take: impl Fn(usize) -> K + Sync + Copy, put: impl Fn(usize, K) + Sync + Copy) -> bool {
        let mask = (1usize << self.width) - 1;
        pool::run(self.parts, |part| {
            let (table, take, at, mask) = (self.table(part), take, self.at, mask);
            table.fill(0);
            for i in self.range(part) {
                table[take(i).digit(at, mask)] += 1;
            }
        });
        let constant = self.add_up();
        if constant && !done {
            return false;
        }
        pool::run(self.parts, |part| {
            let (table, take, put, at, mask) = (self.table(part), take, put, self.at, mask);
            for i in self.range(part) {
                let key = take(i);
                let rank = &mut table[key.digit(at, mask)];
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
        unsafe { std::slice::from_raw_parts_mut(self.counts.get().add(part << self.width), 1 << self.width) }
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
