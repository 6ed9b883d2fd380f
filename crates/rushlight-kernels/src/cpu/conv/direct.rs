//! Convolutions with one or two channels per group on one side (depthwise ones first of all), where a matrix product would spend its
//! time laying out panels: each channel is padded once, and every tap reads it in place.

use super::windows::{Grid, Padded};
use crate::Result;
use crate::cpu::matmul::{Acc, Block, HasKernels, Matrix, Number, Size, TAPS, Target, convert, pack, scratch};

/// Most rows of the weight matrix: each reads all of the padded channels again.
const ROWS: usize = 2;
/// Most elements of padded channels: they stay within L2.
const PADDED: usize = 1 << 17;
/// Fewest tasks: one per image and group (or group) is all the parallelism there is.
const TASKS: usize = 8;

/// The channels of one group, padded.
pub(super) struct Direct {
    padded: Padded,
    channels: usize,
    /// Where the element of each (channel, tap) for output zero lies.
    offsets: Vec<isize>,
}

impl Direct {
    /// If this is the better way for `rows` output channels per group and `tasks` independent groups.
    pub(super) fn new(grid: &Grid, channels: usize, rows: usize, tasks: usize) -> Option<Direct> {
        if rows > ROWS || tasks < TASKS || grid.taps.is_empty() || grid.positions() == 0 {
            return None;
        }
        let padded = grid.padded();
        let len = padded.len();
        (channels.checked_mul(len)? <= PADDED).then(|| {
            let offsets = (0..channels).flat_map(|c| padded.offsets.iter().map(move |o| (c * len) as isize + o)).collect();
            Direct { padded, channels, offsets }
        })
    }

    /// Elements of the padded channels.
    fn len(&self) -> usize {
        self.channels * self.padded.len()
    }

    /// # Safety
    /// The channels of the grid's image size lie in memory, and `to` has room for [`Direct::len`] elements.
    unsafe fn fill<T: Number>(&self, image: Matrix<*const T>, steps: [isize; 3], to: *mut T::Acc) {
        for c in 0..self.channels {
            // SAFETY: the caller's promise.
            unsafe { self.padded.fill(image.shifted(c as isize * image.rs).ptr, steps, to.add(c * self.padded.len())) };
        }
    }

    /// Rows of outputs of size `result`: the first one's number, and what it adds to every offset.
    fn rows(&self, result: [usize; 3]) -> impl Iterator<Item = (usize, isize)> + use<> {
        let [_, height, width] = self.padded.size();
        (0..result[0] * result[1]).map(move |i| (i * result[2], ((i / result[1] * height + i % result[1]) * width) as isize))
    }

    /// The outputs of one image and group: `weights @ windows`, for `size.m` rows of weights.
    ///
    /// # Safety
    /// `image` (whose rows are the channels, with spatial `steps`), `weights` and the target have the sizes of `grid` and `size`, and
    /// the target overlaps neither of the others.
    pub(super) unsafe fn forward<T: Number>(
        &self,
        grid: &Grid,
        size: Size,
        weights: Matrix<*const T>,
        image: Matrix<*const T>,
        steps: [isize; 3],
        target: &Target<T>,
    ) -> Result<()> {
        let kernels = T::Acc::kernels();
        let width = grid.result[2];
        let room = scratch::<T::Acc>(self.len() + size.k + width)?;
        let planes = room.as_ptr().cast::<T::Acc>();
        // SAFETY: the scratch holds the planes, a row of weights and a row of outputs; offsets stay within the planes by construction.
        unsafe {
            let (w, row) = (planes.add(self.len()), planes.add(self.len() + size.k));
            self.fill(image, steps, planes);
            for i in 0..size.m {
                convert(weights.ptr.offset(i as isize * weights.rs), size.k, w);
                for (at, shift) in self.rows(grid.result) {
                    (kernels.taps)(size.k, w, planes.offset(shift), self.offsets.as_ptr(), width, row);
                    target.finish(&Block { rows: i..i + 1, cols: at..at + width }, row, 0);
                }
            }
        }
        Ok(())
    }

    /// The gradient of one group's weights: `size.m` rows, summed over `images`, which yields each image's gradient (rows are output
    /// channels) and input (rows are channels).
    ///
    /// # Safety
    /// As [`Direct::forward`]; gradients have spatial steps `dy_steps`.
    pub(super) unsafe fn weight_grad<T: Number>(
        &self,
        grid: &Grid,
        size: Size,
        images: impl Iterator<Item = (Matrix<*const T>, Matrix<*const T>)>,
        [dy_steps, x_steps]: [[isize; 3]; 2],
        target: &Target<T>,
    ) -> Result<()> {
        let kernels = T::Acc::kernels();
        let [depth, height, width] = grid.result;
        let plane = height * width;
        let room = scratch::<T::Acc>(self.len() + plane)?;
        let planes = room.as_ptr().cast::<T::Acc>();
        let groups = self.offsets.len().div_ceil(TAPS);
        // The last group of taps is filled up with the first tap, whose extra sums nobody reads.
        let offset = |t: usize| self.offsets.get(t).copied().unwrap_or(self.offsets[0]);
        let mut sums = vec![[T::Acc::ZERO; TAPS]; size.m * groups];
        let [_, padded_height, padded_width] = self.padded.size();
        // SAFETY: the scratch holds the planes and one plane of the gradient; offsets stay within the planes by construction.
        unsafe {
            let gradient = planes.add(self.len());
            for (dy, x) in images {
                self.fill(x, x_steps, planes);
                for (i, z) in (0..size.m).flat_map(|i| (0..depth).map(move |z| (i, z))) {
                    let from = dy.ptr.offset(i as isize * dy.rs + z as isize * dy_steps[0]);
                    pack(from, [height, width], [dy_steps[1], dy_steps[2]], gradient, width);
                    let base = planes.add(z * padded_height * padded_width);
                    for (t, sums) in sums[i * groups..(i + 1) * groups].iter_mut().enumerate() {
                        let offsets = std::array::from_fn(|j| offset(t * TAPS + j));
                        (kernels.correlate)(
                            [height, width],
                            gradient,
                            width as isize,
                            base,
                            padded_width as isize,
                            &offsets,
                            sums,
                        );
                    }
                }
            }
            target.finish(&Block { rows: 0..size.m, cols: 0..size.n }, sums.as_ptr().cast(), (groups * TAPS) as isize);
        }
        Ok(())
    }
}
