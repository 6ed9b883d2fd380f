//! Walking strided memory: the loops that the data-moving kernels share.

use crate::backend::{View, ViewMut};
use crate::layout::collapse;
use crate::{Dims, Layout, Strides};
use smallvec::SmallVec;
use std::ops::Range;

/// About this many elements make one task: a few microseconds of work for the cheapest kernels.
pub(crate) const GRAIN: usize = 1 << 15;

/// A shape with `N` sets of strides, collapsed. It hands out runs along the innermost dimension in row-major order.
#[derive(Clone, Debug)]
pub(crate) struct Grid<const N: usize> {
    dims: Dims,
    strides: [Strides; N],
}

impl<const N: usize> Grid<N> {
    pub(crate) fn new(shape: &[usize], strides: [&[isize]; N]) -> Grid<N> {
        let (dims, collapsed) = collapse(shape, &strides);
        let mut collapsed = collapsed.into_iter();
        Grid { dims, strides: std::array::from_fn(|_| collapsed.next().expect("one set of strides for each that came in")) }
    }
    /// Number of elements.
    pub(crate) fn len(&self) -> usize {
        self.dims.iter().product()
    }
    /// Steps within a run.
    pub(crate) fn inner(&self) -> [isize; N] {
        std::array::from_fn(|k| *self.strides[k].last().expect("a collapsed grid has a dimension"))
    }
    /// Whether there is but one dimension.
    pub(crate) fn is_line(&self) -> bool {
        self.dims.len() == 1
    }
    /// Whether layout `k` is one gapless run.
    pub(crate) fn is_run(&self, k: usize) -> bool {
        self.dims.len() == 1 && (self.dims[0] <= 1 || self.strides[k][0] == 1)
    }
    /// Calls `f(positions of the first element, length)` for the runs that make up elements `range`, in order.
    ///
    /// One call through a pointer for each run, so that this loop is compiled once and not for every kernel and dtype.
    #[inline(never)]
    pub(crate) fn runs(&self, range: Range<usize>, f: &mut dyn FnMut([isize; N], usize)) {
        if range.is_empty() {
            return;
        }
        let last = self.dims.len() - 1;
        let width = self.dims[last];
        let mut index: Dims = SmallVec::from_elem(0, last);
        let mut rest = range.start / width;
        let mut at = [0isize; N];
        for d in (0..last).rev() {
            index[d] = rest % self.dims[d];
            rest /= self.dims[d];
            (0..N).for_each(|k| at[k] += index[d] as isize * self.strides[k][d]);
        }
        let inner = self.inner();
        let mut skip = range.start % width;
        let mut left = range.len();
        loop {
            let n = (width - skip).min(left);
            f(std::array::from_fn(|k| at[k] + skip as isize * inner[k]), n);
            left -= n;
            if left == 0 {
                return;
            }
            skip = 0;
            for d in (0..last).rev() {
                index[d] += 1;
                (0..N).for_each(|k| at[k] += self.strides[k][d]);
                if index[d] < self.dims[d] {
                    break;
                }
                (0..N).for_each(|k| at[k] -= self.dims[d] as isize * self.strides[k][d]);
                index[d] = 0;
            }
        }
    }
    /// Calls `f(positions)` for each of the elements `range`, in order.
    pub(crate) fn each(&self, range: Range<usize>, mut f: impl FnMut([isize; N])) {
        let inner = self.inner();
        self.runs(range, &mut |mut at, n| {
            for _ in 0..n {
                f(at);
                (0..N).for_each(|k| at[k] += inner[k]);
            }
        });
    }
}

/// A rank-0 layout as one of rank 1, so that a kernel along a dimension has one.
pub(crate) fn at_least_1d(layout: &Layout) -> Layout {
    if layout.rank() == 0 { layout.unsqueeze(0) } else { layout.clone() }
}

/// `strides` with zero at `dim`.
pub(crate) fn without(strides: &[isize], dim: usize) -> Strides {
    let mut s = Strides::from_slice(strides);
    s[dim] = 0;
    s
}

/// The output is exactly this input (by the contract it overlaps it in no other way).
pub(crate) fn same_memory(x: &View, out: &ViewMut) -> bool {
    x.ptr::<u8>().cast::<()>() == out.ptr::<u8>().cast::<()>().cast_const()
}

/// The elements of `layout` from `first` on, in row-major order.
///
/// # Safety
/// `first` points to index `[0, 0, …]` of a readable view of `T`s with this layout.
pub(crate) unsafe fn to_vec<T: Copy>(first: *const T, layout: &Layout) -> Vec<T> {
    let grid = Grid::new(&layout.shape, [&layout.strides]);
    let mut v = Vec::with_capacity(grid.len());
    // SAFETY: the grid stays within the layout.
    grid.each(0..grid.len(), |[at]| v.push(unsafe { *first.offset(at) }));
    v
}

/// Runs the block with `$T` standing for an unsigned integer as wide as `$dtype`: for kernels that only move elements.
macro_rules! by_width {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype.size() {
            1 => {
                type $T = u8;
                $body
            }
            2 => {
                type $T = u16;
                $body
            }
            4 => {
                type $T = u32;
                $body
            }
            _ => {
                type $T = u64;
                $body
            }
        }
    };
}
pub(crate) use by_width;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_from_any_start_visit_every_position_in_order() {
        let l = Layout::contiguous(&[3, 4, 5]).permute(&[2, 0, 1]).flip(0);
        let grid = Grid::new(&l.shape, [&l.strides]);
        let want: Vec<isize> = (0..60).map(|i| l.position(i) as isize - l.offset as isize).collect();
        for start in 0..=60 {
            for end in start..=60 {
                let mut got = Vec::new();
                grid.each(start..end, |[at]| got.push(at));
                assert_eq!(got, want[start..end]);
            }
        }
    }
}
