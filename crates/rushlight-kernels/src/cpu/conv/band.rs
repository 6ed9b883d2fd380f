//! Parts of images with their padding, cut into stride phases, so that what a tap contributes to adjacent outputs lies adjacent.
//!
//! The outputs of an image are cut into boxes. For one box, the part of a channel that its outputs read is laid out as one plane per stride
//! phase; output `q` of the plane (rows as wide as the plane's) then reads tap `t` at `q + offsets[t]`.

use super::geometry::index3;
use super::windows::{Grid, Padded};

/// How the outputs of an image are cut into boxes.
pub(super) struct Boxes {
    /// Outputs of the largest box.
    pub(super) size: [usize; 3],
    /// Numbers of boxes.
    counts: [usize; 3],
    padded: Padded,
    result: [usize; 3],
}

/// One of them.
#[derive(Clone, Copy)]
pub(super) struct Part {
    /// Its first output.
    pub(super) origin: [usize; 3],
    pub(super) size: [usize; 3],
}

impl Boxes {
    /// Boxes of at most `outputs` outputs, whose channels need at most `room` elements each (or that are single outputs), and at least
    /// `count` of them where there are so many rows.
    pub(super) fn new(grid: &Grid, room: usize, outputs: usize, count: usize) -> Boxes {
        let result = grid.result;
        let mut size = result;
        let made = |size: &[usize; 3]| (0..3).map(|d| result[d].div_ceil(size[d].max(1))).product::<usize>();
        let large = |size: &[usize; 3]| size.iter().product::<usize>() > outputs || grid.padded_for(*size).len() > room;
        // The outermost dimension is cut first: rows stay whole as long as that will do.
        for d in 0..3 {
            while size[d] > 1 && (large(&size) || d < 2 && made(&size) < count) {
                size[d] = size[d].div_ceil(2);
            }
        }
        let counts = std::array::from_fn(|d| result[d].div_ceil(size[d].max(1)));
        // Even parts.
        let size = std::array::from_fn(|d| result[d].div_ceil(counts[d].max(1)));
        Boxes { size, counts, padded: grid.padded_for(size), result }
    }
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.counts.iter().product()
    }
    pub(super) fn part(&self, i: usize) -> Part {
        let at = index3(i, self.counts);
        let origin: [usize; 3] = std::array::from_fn(|d| at[d] * self.size[d]);
        Part { origin, size: std::array::from_fn(|d| self.size[d].min(self.result[d] - origin[d])) }
    }
    /// Elements of one channel.
    pub(super) fn len(&self) -> usize {
        self.padded.len()
    }
    /// Where each term (of `channels` channels, in order, and their taps) lies for output zero.
    pub(super) fn offsets(&self, channels: usize) -> Vec<isize> {
        let len = self.len() as isize;
        (0..channels as isize).flat_map(|c| self.padded.offsets.iter().map(move |o| c * len + o)).collect()
    }
    /// For every row of outputs of a part: where its images start.
    pub(super) fn rows(&self, size: [usize; 3]) -> impl Iterator<Item = ([usize; 2], usize)> + use<> {
        let [_, height, width] = self.padded.size();
        (0..size[0] * size[1]).map(move |i| {
            let (z, y) = (i / size[1], i % size[1]);
            ([z, y], (z * height + y) * width)
        })
    }
    /// Lays out one channel of a part.
    ///
    /// # Safety
    /// The channel is one of the grid's image size, and `to` has room for [`Boxes::len`] elements.
    pub(super) unsafe fn fill(&self, part: &Part, channel: *const f32, steps: [isize; 3], to: *mut f32) {
        let grid = self.padded.grid();
        let [depth, height, width] = grid.result;
        let mut to = to;
        for tap in &grid.taps {
            let first: [isize; 3] = std::array::from_fn(|d| tap.at()[d] + (part.origin[d] * grid.stride[d]) as isize);
            let (image, stride) = (grid.image.map(|n| n as isize), grid.stride.map(|s| s as isize));
            let x0 = (-first[2]).max(0).unsigned_abs().div_ceil(grid.stride[2]).min(width);
            let x1 = (image[2] - first[2]).max(0).unsigned_abs().div_ceil(grid.stride[2]).clamp(x0, width);
            for (z, y) in (0..depth as isize).flat_map(|z| (0..height as isize).map(move |y| (z, y))) {
                let (iz, iy) = (first[0] + z * stride[0], first[1] + y * stride[1]);
                let inside = (0..image[0]).contains(&iz) && (0..image[1]).contains(&iy);
                // SAFETY: `to` has room for a row; indices lie within the image.
                unsafe {
                    if inside && x0 < x1 {
                        zero(to, x0);
                        let from =
                            channel.offset(iz * steps[0] + iy * steps[1] + (first[2] + x0 as isize * stride[2]) * steps[2]);
                        copy(from, x1 - x0, steps[2] * stride[2], to.add(x0));
                        zero(to.add(x1), width - x1);
                    } else {
                        zero(to, width);
                    }
                    to = to.add(width);
                }
            }
        }
    }
}

/// # Safety
/// `to` has room for `n` elements.
#[inline(always)]
pub(super) unsafe fn zero(to: *mut f32, n: usize) {
    for i in 0..n {
        // SAFETY: the caller's promise.
        unsafe { *to.add(i) = 0.0 };
    }
}

/// # Safety
/// `n` elements at distances of `step`, and `to` has room for them.
#[inline(always)]
unsafe fn copy(from: *const f32, n: usize, step: isize, to: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe {
        match step {
            1 if n >= 16 => runs::<16>(from, n, to),
            1 if n >= 8 => runs::<8>(from, n, to),
            2 if n > 16 => every_second::<16>(from, n, to),
            2 if n > 8 => every_second::<8>(from, n, to),
            _ => (0..n).for_each(|i| *to.add(i) = *from.offset(i as isize * step)),
        }
    }
}

/// In registers of a fixed size, the last one over part of the one before: several times faster than calls of memcpy.
///
/// # Safety
/// As [`copy`]; `n` is at least `RUN`.
#[inline(always)]
unsafe fn runs<const RUN: usize>(from: *const f32, n: usize, to: *mut f32) {
    for i in (0..n).step_by(RUN) {
        let at = i.min(n - RUN);
        // SAFETY: the caller's promise.
        unsafe { to.add(at).cast::<[f32; RUN]>().write_unaligned(from.add(at).cast::<[f32; RUN]>().read_unaligned()) };
    }
}

/// # Safety
/// As [`copy`]; `n` is larger than `RUN`.
#[inline(always)]
unsafe fn every_second<const RUN: usize>(from: *const f32, n: usize, to: *mut f32) {
    // SAFETY: the caller's promise; pairs are read whole, so that each but the last begins with its element, and the last ends with it.
    unsafe {
        for i in (0..n - RUN).step_by(RUN) {
            let pairs = from.add(2 * i).cast::<[[f32; 2]; RUN]>().read_unaligned();
            to.add(i).cast::<[f32; RUN]>().write_unaligned(pairs.map(|p| p[0]));
        }
        let at = n - RUN;
        let pairs = from.add(2 * at - 1).cast::<[[f32; 2]; RUN]>().read_unaligned();
        to.add(at).cast::<[f32; RUN]>().write_unaligned(pairs.map(|p| p[1]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_any_length_and_step_are_copied() {
        for (n, step) in (1..50usize).flat_map(|n| (1..4usize).map(move |step| (n, step))) {
            let from: Vec<f32> = (0..(n - 1) * step + 1).map(|i| i as f32).collect();
            let mut to = vec![-1.0; n + 1];
            // SAFETY: both have room for `n` elements.
            unsafe { copy(from.as_ptr(), n, step as isize, to.as_mut_ptr()) };
            let want: Vec<f32> = (0..n).map(|i| (i * step) as f32).chain([-1.0]).collect();
            assert_eq!(to, want, "{n} elements, step {step}");
        }
    }
}
