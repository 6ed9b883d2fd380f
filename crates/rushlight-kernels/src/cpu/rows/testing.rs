//! Tensors for tests: the same elements under every kind of layout.

use super::Compute;
use crate::backend::{View, ViewMut};
use crate::*;

/// A buffer with a layout.
pub(in crate::cpu) struct Sample {
    buffer: Buffer,
    layout: Layout,
    dtype: DType,
}

/// How the elements lie in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::cpu) enum Twin {
    Contiguous,
    Permuted,
    Stepped,
    Flipped,
}

impl Twin {
    pub(in crate::cpu) const ALL: [Twin; 4] = [Twin::Contiguous, Twin::Permuted, Twin::Stepped, Twin::Flipped];

    fn layout(self, shape: &[usize]) -> (Layout, usize) {
        let rank = shape.len();
        match self {
            Twin::Contiguous => (Layout::contiguous(shape), 0),
            Twin::Permuted => {
                let reversed: Dims = shape.iter().rev().copied().collect();
                let order: Dims = (0..rank).rev().collect();
                (Layout::contiguous(&reversed).permute(&order), 0)
            }
            Twin::Stepped => {
                let wide: Dims = shape.iter().map(|&d| 2 * d + 1).collect();
                let step = |l: Layout, d: usize| l.slice(d, 1, 2, shape[d]);
                ((0..rank).fold(Layout::contiguous(&wide), step), 0)
            }
            Twin::Flipped => ((0..rank).fold(Layout::contiguous(shape), |l, d| l.flip(d)), 3),
        }
    }
}

impl Sample {
    /// Element number `i` (row-major) is `f(i)`.
    pub(in crate::cpu) fn new<T: Element>(shape: &[usize], twin: Twin, f: impl Fn(usize) -> T) -> Sample {
        let (mut layout, lead) = twin.layout(shape);
        layout.offset += lead;
        let span = layout.span().map_or(0, |s| s.1);
        let buffer = Buffer::zeroed(span * size_of::<T>()).unwrap();
        for i in 0..layout.numel() {
            // SAFETY: the buffer spans the layout and is ours.
            unsafe { buffer.as_ptr().cast::<T>().add(layout.position(i)).write(f(i)) };
        }
        Sample { buffer, layout, dtype: T::DTYPE }
    }
    pub(in crate::cpu) fn view(&self) -> View<'_> {
        // SAFETY: tests use a sample from one thread and never as input and output at once but where a kernel allows it.
        unsafe { View::new(&self.buffer, &self.layout, self.dtype).unwrap() }
    }
    pub(in crate::cpu) fn view_mut(&self) -> ViewMut<'_> {
        // SAFETY: as above.
        unsafe { ViewMut::new(&self.buffer, &self.layout, self.dtype).unwrap() }
    }
    /// The elements in row-major order.
    pub(in crate::cpu) fn values<T: Element>(&self) -> Vec<T> {
        assert_eq!(self.dtype, T::DTYPE);
        // SAFETY: the buffer spans the layout.
        (0..self.layout.numel()).map(|i| unsafe { *self.buffer.as_ptr().cast::<T>().add(self.layout.position(i)) }).collect()
    }
    /// The elements in row-major order and in the compute type.
    pub(in crate::cpu) fn wide<T: Compute>(&self) -> Vec<T::Wide> {
        self.values::<T>().into_iter().map(T::widen).collect()
    }
}

/// Numbers without a pattern, the same in every run.
pub(in crate::cpu) fn noise(i: usize) -> f64 {
    let x = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((x >> 11) as f64 / (1u64 << 53) as f64) * 2.0 - 1.0
}
