//! Sizes per spatial dimension: kernels, strides, paddings.

/// One size per spatial dimension, from one number for all or from one for each: `3`, `[3, 5]`, `(3, 5)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes<const N: usize>(pub [usize; N]);

impl<const N: usize> Sizes<N> {
    /// As ops take them.
    pub(super) fn ints(&self) -> [i64; N] {
        self.0.map(|s| s as i64)
    }
}

impl<const N: usize> From<usize> for Sizes<N> {
    fn from(size: usize) -> Sizes<N> {
        Sizes([size; N])
    }
}

impl<const N: usize> From<[usize; N]> for Sizes<N> {
    fn from(sizes: [usize; N]) -> Sizes<N> {
        Sizes(sizes)
    }
}

impl From<(usize, usize)> for Sizes<2> {
    fn from((h, w): (usize, usize)) -> Sizes<2> {
        Sizes([h, w])
    }
}

impl From<(usize, usize, usize)> for Sizes<3> {
    fn from((d, h, w): (usize, usize, usize)) -> Sizes<3> {
        Sizes([d, h, w])
    }
}
