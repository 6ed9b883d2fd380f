//! An image as the matrix that a convolution multiplies, never stored: panels of it are laid out just before they are used.

use crate::cpu::matmul::{Acc, Number, Right, convert, pack};
use std::ops::Range;

/// One position of the kernel.
#[derive(Clone, Debug)]
pub(super) struct Tap {
    /// The image index that output index zero reads, per dimension; may lie outside.
    at: [isize; 3],
    /// The output indices along the last dimension that read inside the image.
    inside: Range<usize>,
}

/// Which image elements the outputs of a convolution read.
pub(super) struct Grid {
    pub(super) taps: Vec<Tap>,
    /// Image steps between neighbouring outputs.
    pub(super) stride: [usize; 3],
    pub(super) image: [usize; 3],
    pub(super) result: [usize; 3],
}

impl Tap {
    /// The image index that output index zero reads, per dimension; may lie outside.
    pub(super) fn at(&self) -> [isize; 3] {
        self.at
    }
}

impl Grid {
    /// With a tap for each of `at`.
    pub(super) fn new(at: impl Iterator<Item = [isize; 3]>, stride: [usize; 3], image: [usize; 3], result: [usize; 3]) -> Grid {
        let step = stride[2] as isize;
        let reaching = |x: isize| (x.max(0) as usize).div_ceil(step as usize).min(result[2]);
        let taps = at.map(|at| {
            let start = reaching(-at[2]);
            Tap { at, inside: start..reaching(image[2] as isize - at[2]).max(start) }
        });
        Grid { taps: taps.collect(), stride, image, result }
    }
    /// Number of outputs of one image.
    pub(super) fn positions(&self) -> usize {
        self.result.iter().product()
    }
    /// Whether every output reads just the image element at its own index.
    pub(super) fn is_identity(&self) -> bool {
        self.taps.len() == 1 && self.taps[0].at == [0; 3] && self.stride == [1; 3] && self.image == self.result
    }

    /// See [`Padded`].
    pub(super) fn padded(&self) -> Padded {
        self.padded_for(self.result)
    }
    /// What a box of `result` outputs needs of a [`Padded`] image; the first of its outputs is output zero.
    pub(super) fn padded_for(&self, result: [usize; 3]) -> Padded {
        let bound = |d: usize, f: fn(isize, isize) -> isize| self.taps.iter().map(|t| t.at[d]).reduce(f).unwrap_or(0);
        let low: [isize; 3] = std::array::from_fn(|d| bound(d, isize::min));
        let reach = |d: usize| (bound(d, isize::max) - low[d]) as usize / self.stride[d];
        let size: [usize; 3] = std::array::from_fn(|d| result[d] + reach(d));
        let mut phases: Vec<[isize; 3]> = Vec::new();
        let mut offsets = Vec::new();
        for t in &self.taps {
            let from_low: [usize; 3] = std::array::from_fn(|d| (t.at[d] - low[d]) as usize);
            let phase: [isize; 3] = std::array::from_fn(|d| low[d] + (from_low[d] % self.stride[d]) as isize);
            let known = phases.iter().position(|p| *p == phase).unwrap_or_else(|| {
                phases.push(phase);
                phases.len() - 1
            });
            let row = (known * size[0] + from_low[0] / self.stride[0]) * size[1] + from_low[1] / self.stride[1];
            offsets.push((row * size[2] + from_low[2] / self.stride[2]) as isize);
        }
        Padded { grid: Grid::new(phases.into_iter(), self.stride, self.image, size), offsets }
    }

    /// Cuts positions into runs along the last dimension: `(position, [z, y], x)`.
    fn runs(&self, positions: Range<usize>) -> impl Iterator<Item = (usize, [usize; 2], Range<usize>)> + use<> {
        let [_, height, width] = self.result;
        let mut at = positions.start;
        std::iter::from_fn(move || {
            (at < positions.end).then(|| {
                let (start, x) = (at, at % width);
                let n = (width - x).min(positions.end - at);
                at += n;
                (start, [start / width / height, start / width % height], x..x + n)
            })
        })
    }
}

/// The channels of images seen through a [`Grid`]. Rows of the matrix are (channel, tap), columns are output positions.
pub(super) struct Windows<'a, T> {
    pub(super) grid: &'a Grid,
    /// The first image's first channel.
    pub(super) image: *const T,
    pub(super) channel_step: isize,
    pub(super) steps: [isize; 3],
}

// SAFETY: stands for a `View`, which may cross threads.
unsafe impl<T> Sync for Windows<'_, T> {}

impl<T: Number> Windows<'_, T> {
    /// What one tap of one channel reads for the outputs `x` of row `[z, y]`.
    ///
    /// # Safety
    /// The channel exists, and `to` has room for the run.
    #[inline(always)]
    unsafe fn read(&self, channel: *const T, tap: &Tap, [z, y]: [usize; 2], x: &Range<usize>, to: *mut T::Acc) {
        let g = self.grid;
        let index = |d: usize, i: usize| (i * g.stride[d]) as isize + tap.at[d];
        let (iz, iy) = (index(0, z), index(1, y));
        let valid = (0..g.image[0] as isize).contains(&iz) && (0..g.image[1] as isize).contains(&iy);
        let start = if valid { tap.inside.start.clamp(x.start, x.end) } else { x.end };
        let end = tap.inside.end.clamp(start, x.end);
        // SAFETY: `x` has room in `to`; between `start` and `end` the image is read at indices inside of it.
        unsafe {
            (x.start..start).for_each(|i| *to.add(i - x.start) = T::Acc::ZERO);
            if start < end {
                let from = channel.offset(iz * self.steps[0] + iy * self.steps[1] + index(2, start) * self.steps[2]);
                let step = self.steps[2] * g.stride[2] as isize;
                let to = to.add(start - x.start);
                if step == 1 {
                    convert(from, end - start, to);
                } else {
                    (0..end - start).for_each(|i| *to.add(i) = (*from.offset(i as isize * step)).widen());
                }
            }
            (end..x.end).for_each(|i| *to.add(i - x.start) = T::Acc::ZERO);
        }
    }
}

impl<T: Number> Right<T::Acc> for Windows<'_, T> {
    fn in_place(&self, _: usize, _: usize) -> Option<(*const T::Acc, isize)> {
        None
    }
    unsafe fn pack(&self, p: usize, rows: usize, j: usize, cols: usize, to: *mut T::Acc, ld: usize) {
        let taps = &self.grid.taps;
        for (at, row, x) in self.grid.runs(j..j + cols) {
            let (mut c, mut t) = (p / taps.len(), p % taps.len());
            for i in 0..rows {
                let channel = self.image.wrapping_offset(c as isize * self.channel_step);
                // SAFETY: the caller's promise.
                unsafe { self.read(channel, &taps[t], row, &x, to.add(i * ld + at - j)) };
                t += 1;
                if t == taps.len() {
                    (c, t) = (c + 1, 0);
                }
            }
        }
    }
}

/// An image channel with its padding, cut into one plane per stride phase, so that what a tap reads for a whole row of outputs lies
/// adjacent, at the same offset for every row.
pub(super) struct Padded {
    /// A "tap" for each phase; the "result" is a plane.
    grid: Grid,
    /// Where each tap's element for output zero lies.
    pub(super) offsets: Vec<isize>,
}

impl Padded {
    /// The phases as "taps", a plane as "result".
    pub(super) fn grid(&self) -> &Grid {
        &self.grid
    }
    /// Elements of one channel.
    pub(super) fn len(&self) -> usize {
        self.grid.taps.len() * self.grid.positions()
    }
    /// Sizes of a plane.
    pub(super) fn size(&self) -> [usize; 3] {
        self.grid.result
    }
    /// Lays out one channel.
    ///
    /// # Safety
    /// The channel is one of the grid's image size, and `to` has room for [`Padded::len`] elements.
    pub(super) unsafe fn fill<T: Number>(&self, channel: *const T, steps: [isize; 3], to: *mut T::Acc) {
        let windows = Windows { grid: &self.grid, image: channel, channel_step: 0, steps };
        // SAFETY: the caller's promise: rows are the phases, columns the positions of a plane.
        unsafe { windows.pack(0, self.grid.taps.len(), 0, self.grid.positions(), to, self.grid.positions()) };
    }
}

/// The transpose of [`Windows`] for a whole batch: rows are (image, position), columns are (channel, tap).
pub(super) struct Transposed<'a, T> {
    pub(super) windows: Windows<'a, T>,
    /// From image to image.
    pub(super) image_step: isize,
}

impl<T: Number> Right<T::Acc> for Transposed<'_, T> {
    fn in_place(&self, _: usize, _: usize) -> Option<(*const T::Acc, isize)> {
        None
    }
    unsafe fn pack(&self, p: usize, rows: usize, j: usize, cols: usize, to: *mut T::Acc, ld: usize) {
        // Eight columns at a time are read along their runs, and transposed from there.
        const COLUMNS: usize = 8;
        const RUN: usize = 128;
        let w = &self.windows;
        let (taps, positions) = (&w.grid.taps, w.grid.positions());
        let mut buffer = [[T::Acc::ZERO; RUN]; COLUMNS];
        let mut row = p;
        while row < p + rows {
            // A stretch of one image.
            let from = row % positions;
            let n = (p + rows - row).min(positions - from).min(RUN);
            let image = w.image.wrapping_offset((row / positions) as isize * self.image_step);
            for first in (j..j + cols).step_by(COLUMNS) {
                let several = (j + cols - first).min(COLUMNS);
                for (at, yz, x) in w.grid.runs(from..from + n) {
                    for (column, line) in (first..first + several).zip(&mut buffer) {
                        let channel = image.wrapping_offset((column / taps.len()) as isize * w.channel_step);
                        // SAFETY: the caller's promise; a stretch fits a line of the buffer.
                        unsafe { w.read(channel, &taps[column % taps.len()], yz, &x, line.as_mut_ptr().add(at - from)) };
                    }
                }
                let to = to.wrapping_add((row - p) * ld + first - j);
                // SAFETY: `n` values of `several` columns are in the buffer; `to` has room for the block.
                unsafe { pack(buffer.as_ptr().cast::<T::Acc>(), [n, several], [1, RUN as isize], to, ld) };
            }
            row += n;
        }
    }
}
