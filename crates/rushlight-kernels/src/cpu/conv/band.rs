//! Parts of images with their padding, cut into stride phases, so that what a tap contributes to adjacent outputs lies adjacent.
//!
//! The outputs of an image are cut into boxes. For one box, the part of a channel that its outputs read is laid out as one plane per stride
//! phase; output `q` of the plane (rows as wide as the plane's) then reads tap `t` at `q + offsets[t]`.

use super::geometry::index3;
use super::kernel::{Lines, kernels};
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
        let (mut to, lines) = (to, kernels().lines);
        // A channel without gaps may be read at places that are not asked for.
        let [_, rows, columns] = grid.image;
        let whole =
            steps[2] == 1 && steps[1] == columns as isize && (grid.image[0] == 1 || steps[0] == (rows * columns) as isize);
        let readable = channel..channel.wrapping_add(if whole { grid.image.iter().product() } else { 0 });
        for tap in &grid.taps {
            let first: [isize; 3] = std::array::from_fn(|d| tap.at()[d] + (part.origin[d] * grid.stride[d]) as isize);
            let (image, stride) = (grid.image.map(|n| n as isize), grid.stride.map(|s| s as isize));
            // The indices along each dimension that lie in the image.
            let inside = |d: usize| {
                let start = (-first[d]).max(0).unsigned_abs().div_ceil(grid.stride[d]).min(grid.result[d]);
                start..(image[d] - first[d]).max(0).unsigned_abs().div_ceil(grid.stride[d]).clamp(start, grid.result[d])
            };
            let [zs, ys, xs] = [inside(0), inside(1), inside(2)];
            for z in 0..depth {
                let ys = if zs.contains(&z) && !xs.is_empty() { ys.clone() } else { 0..0 };
                let at = [first[0] + z as isize * stride[0], first[1] + ys.start as isize * stride[1], first[2]];
                let from = channel.wrapping_offset((0..3).map(|d| at[d] * steps[d]).sum());
                let steps = [stride[1] * steps[1], stride[2] * steps[2]];
                // SAFETY: `to` has room for a plane; indices inside lie within the image.
                unsafe {
                    to.write_bytes(0, ys.start * width);
                    let (to_rows, readable) = (to.add(ys.start * width), readable.clone());
                    lines(&Lines { from, steps, width, inside: xs.clone(), count: ys.len(), readable, to: to_rows });
                    to.add(ys.end * width).write_bytes(0, (height - ys.end) * width);
                    to = to.add(height * width);
                }
            }
        }
    }
}
