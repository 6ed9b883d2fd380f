//! The first few of many.

use super::Key;
use crate::cpu::simd::{self, Body, Isa};

/// Whether looking for the `m` first by [`first`] beats a selection among all.
pub(super) fn pays(m: usize, n: usize) -> bool {
    n >= 128 && m * 8 <= n && n <= u32::MAX as usize
}

/// Elements that are looked at together.
const BLOCK: usize = 32;

/// The keys of a line, exclusive-or'ed with `flip`.
struct Keys<'a, T> {
    line: &'a [T],
    flip: u32,
    keys: &'a mut [u32],
}

impl<T: Key> Body for Keys<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        for (k, v) in self.keys.iter_mut().zip(self.line) {
            *k = v.key() as u32 ^ self.flip;
        }
    }
}

/// Packs the `m` elements of the smallest keys (exclusive-or'ed with `flip`) and their positions into `best`, in order.
///
/// A block of keys is compared with the worst of the best in one go, and mostly that is all.
pub(super) fn first<T: Key>(line: &[T], m: usize, flip: u32, keys: &mut Vec<u32>, best: &mut Vec<u64>) {
    keys.resize(line.len(), 0);
    simd::run(Keys { line, flip, keys });
    let pack = |key: u32, i: usize| (key as u64) << 32 | i as u64;
    // An element that only equals the worst comes later, and so after it.
    let worst_of = |best: &mut Vec<u64>| {
        let (_, last, _) = best.select_nth_unstable(m - 1);
        let worst = (*last >> 32) as u32;
        best.truncate(m);
        worst
    };
    let mut at = (4 * m).max(64).min(line.len());
    best.clear();
    best.extend(keys[..at].iter().enumerate().map(|(i, k)| pack(*k, i)));
    let mut worst = worst_of(best);
    let most = (2 * m).max(m + BLOCK);
    for block in keys[at..].chunks(BLOCK) {
        if block.iter().fold(false, |any, k| any | (*k < worst)) {
            best.extend(block.iter().enumerate().filter(|(_, k)| **k < worst).map(|(j, k)| pack(*k, at + j)));
            if best.len() >= most {
                worst = worst_of(best);
            }
        }
        at += block.len();
    }
    worst_of(best);
    best.sort_unstable();
}
