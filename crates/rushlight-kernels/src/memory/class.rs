//! Size classes: powers of two from 64 bytes to 1 MiB, and quarter steps between powers of two above.

use super::ALIGN;

/// A size class. Blocks of one class are interchangeable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Class(u8);

/// log2 of the smallest block and of the largest power-of-two class.
const MIN: u32 = ALIGN.trailing_zeros();
const STEPS_FROM: u32 = 20;

impl Class {
    /// Classes in all: on 64-bit machines the last one ends at 2^63 - 1.
    pub(super) const COUNT: usize = (STEPS_FROM - MIN + 1) as usize + 4 * (usize::BITS - 1 - STEPS_FROM) as usize;

    /// The smallest class that holds `len` bytes, or `None` if no allocation can be that large.
    #[inline]
    pub(super) fn of(len: usize) -> Option<Class> {
        if len <= 1 << STEPS_FROM {
            return Some(Class((len.max(ALIGN) - 1).ilog2() as u8 + 1 - MIN as u8));
        }
        let top = (len - 1).ilog2();
        let quarter = ((len - 1) >> (top - 2)) & 3;
        let class = (STEPS_FROM - MIN) as usize + 4 * (top - STEPS_FROM) as usize + quarter + 1;
        (len <= isize::MAX as usize && Class(class as u8).size() <= isize::MAX as usize - ALIGN).then_some(Class(class as u8))
    }

    /// Bytes of a block.
    #[inline]
    pub(super) fn size(self) -> usize {
        let powers = (STEPS_FROM - MIN) as usize;
        let i = self.0 as usize;
        if i <= powers {
            return 1 << (MIN as usize + i);
        }
        let (top, quarter) = ((i - powers - 1) / 4 + STEPS_FROM as usize, (i - powers - 1) % 4);
        (quarter + 5) << (top - 2)
    }

    /// Position in a table of [`Class::COUNT`] entries.
    #[inline]
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }

    /// The class at `index`.
    pub(super) fn at(index: usize) -> Class {
        debug_assert!(index < Class::COUNT);
        Class(index as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_tight_and_ordered() {
        for i in 0..Class::COUNT - 1 {
            let class = Class::at(i);
            let size = class.size();
            assert_eq!(size % ALIGN, 0);
            assert_eq!(Class::of(size), Some(class), "{size}");
            if let Some(next) = Class::of(size + 1) {
                assert_eq!(next.index(), i + 1);
                assert!(next.size() as f64 <= size as f64 * if size < 1 << 20 { 2.0 } else { 1.25 });
            }
        }
    }

    #[test]
    fn ends() {
        assert_eq!(Class::of(0).unwrap().size(), 64);
        assert_eq!(Class::of(64).unwrap().size(), 64);
        assert_eq!(Class::of(65).unwrap().size(), 128);
        assert_eq!(Class::of((1 << 20) + 1).unwrap().size(), 5 << 18);
        assert!(Class::of(isize::MAX as usize).is_none());
        assert!(Class::of(usize::MAX).is_none());
        assert!(Class::of(1 << 40).is_some() || usize::BITS < 64);
    }
}
