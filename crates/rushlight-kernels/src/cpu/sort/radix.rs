//! Sorting packed keys digit by digit, from the lowest.

/// From this many elements on it is worth its tables.
pub(super) const LONG: usize = 200;

/// A key in the upper bits and a position in the lower ones.
pub(super) trait Packed: Copy + Ord {
    /// Digit of the bits from number `at` on.
    fn digit(self, at: u32, mask: usize) -> usize;
}
impl Packed for u64 {
    #[inline(always)]
    fn digit(self, at: u32, mask: usize) -> usize {
        (self >> at) as usize & mask
    }
}
impl Packed for u128 {
    #[inline(always)]
    fn digit(self, at: u32, mask: usize) -> usize {
        (self >> at) as usize & mask
    }
}

/// Sorts by the `bits` bits from number `low` on; what is in the bits below must rise already among equal keys, as positions do.
///
/// All digits are counted in one pass; a digit that is the same in all keys costs no other.
pub(super) fn sort<K: Packed>(all: &mut Vec<K>, spare: &mut Vec<K>, low: u32, bits: u32) {
    if all.len() > u32::MAX as usize {
        return all.sort_unstable();
    }
    // Eleven bits save a pass in four, once the tables no longer count.
    let width = if all.len() >= 1 << 13 { 11 } else { 8 };
    let (digits, size) = (bits.div_ceil(width) as usize, 1usize << width);
    let mut counts = vec![0u32; digits * size];
    for &k in all.iter() {
        for (d, table) in counts.chunks_exact_mut(size).enumerate() {
            table[k.digit(low + d as u32 * width, size - 1)] += 1;
        }
    }
    spare.clear();
    spare.extend_from_slice(all);
    for (d, table) in counts.chunks_exact_mut(size).enumerate() {
        if table.iter().any(|&c| c as usize == all.len()) {
            continue;
        }
        let mut before = 0;
        for c in table.iter_mut() {
            before += std::mem::replace(c, before);
        }
        let at = low + d as u32 * width;
        for &k in all.iter() {
            let place = &mut table[k.digit(at, size - 1)];
            spare[*place as usize] = k;
            *place += 1;
        }
        std::mem::swap(all, spare);
    }
}
