//! The gradient of f32 weights as a sum of outer products: at every position the gradients of some output channels, in registers, times
//! the image elements that some (channel, tap) pairs read there, broadcast from padded channels in place (see [`super::band`]). Only the
//! gradient is laid out anew, positions outside and channels inside; nothing is summed across lanes.

use super::Tensor;
use super::band::{Boxes, Part};
use super::kernel::{Kernels, Outer, kernels};
use super::shifted::Filter;
use super::windows::Grid;
use crate::Result;
use crate::cpu::matmul::{scratch, try_run};
use crate::cpu::pool;

/// Elements of padded channels, of gradients and of sums: each a quarter of L2.
const ROOM: usize = 1 << 16;
/// Lanes of two registers of the widest kind.
const MOST_LANES: usize = 32;
/// Fewest tasks, where there are as many images.
const TASKS: usize = 8;

/// For every group of channels: `to = sum over images of dy @ windows^T`.
pub(super) struct WeightGrad<'a> {
    pub(super) grid: &'a Grid,
    pub(super) images: usize,
    pub(super) groups: usize,
    /// Channels of the image and of the gradient per group.
    pub(super) channels: usize,
    pub(super) rows: usize,
    pub(super) x: Tensor<*const f32>,
    /// With adjacent positions along the last dimension.
    pub(super) dy: Tensor<*const f32>,
    /// Where to write.
    pub(super) to: &'a Filter<f32>,
}

/// How the work is cut: tasks have a group, a block of channels, and a share of the images.
struct Plan {
    kernels: &'static Kernels,
    boxes: Boxes,
    /// Channels of a block, and their offsets.
    block: usize,
    blocks: usize,
    offsets: Vec<isize>,
    /// Shares of images, summed in this order at the end.
    shares: usize,
    /// Lanes of output channels.
    lanes: usize,
}

impl Plan {
    fn new(w: &WeightGrad) -> Plan {
        let kernels = kernels();
        let taps = w.grid.taps.len();
        let lanes = w.rows.next_multiple_of(kernels.lanes);
        let block = (ROOM / (lanes * taps)).clamp(1, w.channels);
        let blocks = w.channels.div_ceil(block);
        let block = w.channels.div_ceil(blocks);
        let boxes = Boxes::new(w.grid, ROOM / block, ROOM / lanes, 1);
        let shares = TASKS.div_ceil(blocks * w.groups).min(w.images);
        Plan { kernels, offsets: boxes.offsets(block), boxes, block, blocks, shares, lanes }
    }
    /// Sums of one task.
    fn sums(&self) -> usize {
        self.offsets.len() * self.lanes
    }
    /// Positions of the largest box.
    fn positions(&self) -> usize {
        self.boxes.size.iter().product()
    }
    /// The output channels in tiles: `(first, registers)`.
    fn tiles(&self) -> impl Iterator<Item = (usize, usize)> {
        let lanes = self.kernels.lanes;
        (0..self.lanes / lanes).step_by(2).map(move |r| (r * lanes, (self.lanes / lanes - r).min(2)))
    }
}

impl WeightGrad<'_> {
    /// # Safety
    /// The tensors have the grid's sizes; `to` overlaps none of the others.
    pub(super) unsafe fn run(&self) -> Result<()> {
        let plan = Plan::new(self);
        let tasks = self.groups * plan.blocks * plan.shares;
        let sums = scratch::<f32>(tasks * plan.sums())?;
        let sums_of = |task: usize| sums.as_ptr().cast::<f32>().wrapping_add(task * plan.sums());
        // SAFETY: the caller's promise; each task has sums of its own.
        try_run(tasks, |task| unsafe { self.share(&plan, task, sums_of(task)) })?;
        let taps = self.grid.taps.len();
        let pairs = self.channels * taps;
        pool::for_ranges(self.groups * pairs, (1 << 14) / plan.lanes, |range| {
            let mut total = [0.0; MOST_LANES];
            for (group, c, t) in range.map(|i| (i / pairs, i % pairs / taps, i % taps)) {
                let task = (group * plan.blocks + c / plan.block) * plan.shares;
                for (first, registers) in plan.tiles() {
                    let width = registers * plan.kernels.lanes;
                    let at = first * plan.offsets.len() + (c % plan.block * taps + t) * width;
                    let total = &mut total[..width];
                    total.fill(0.0);
                    for share in 0..plan.shares {
                        // SAFETY: sums of a finished task.
                        let sums = unsafe { std::slice::from_raw_parts(sums_of(task + share).add(at), width) };
                        total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
                    }
                    for (row, total) in (first..self.rows).zip(total) {
                        // SAFETY: an element of the result, which no other task writes.
                        unsafe { *self.to.ptr.cast_mut().offset(self.to.offset(group, row, c, t)) = *total };
                    }
                }
            }
        });
        Ok(())
    }

    /// # Safety
    /// As [`WeightGrad::run`]; `sums` has room for a task's sums.
    unsafe fn share(&self, plan: &Plan, task: usize, sums: *mut f32) -> Result<()> {
        let (share, unit) = (task % plan.shares, task / plan.shares);
        let (block, group) = (unit % plan.blocks, unit / plan.blocks);
        let images = share * self.images / plan.shares..(share + 1) * self.images / plan.shares;
        let first = block * plan.block;
        let channels = plan.block.min(self.channels - first);
        let gradients = plan.lanes * plan.positions();
        let room = scratch::<f32>(gradients + channels * plan.boxes.len())?;
        let dy = room.as_ptr().cast::<f32>();
        let band = dy.wrapping_add(gradients);
        // SAFETY: the caller's promise; the scratch holds gradients and channels of a box. Lanes without a channel stay zero.
        unsafe {
            sums.write_bytes(0, plan.sums());
            dy.write_bytes(0, gradients);
            for (image, part) in images.flat_map(|i| (0..plan.boxes.count()).map(move |b| (i, plan.boxes.part(b)))) {
                for c in 0..channels {
                    let channel = self.x.element(image, group * self.channels + first + c, [0; 3]);
                    plan.boxes.fill(&part, channel, super::spatial(&self.x), band.add(c * plan.boxes.len()));
                }
                self.lay_out(plan, image, group, &part, dy);
                let rows: Vec<(isize, usize)> =
                    plan.boxes.rows(part.size).map(|(_, start)| (start as isize, part.size[2])).collect();
                let pairs = &plan.offsets[..channels * self.grid.taps.len()];
                for (lane, registers) in plan.tiles() {
                    let mut done = 0;
                    for offsets in pairs.chunks(plan.kernels.pairs()) {
                        let sums = sums.add(lane * plan.offsets.len() + done * registers * plan.kernels.lanes);
                        let dy = dy.add(lane * plan.positions());
                        plan.kernels.outer(offsets.len(), registers)(&Outer { base: band, offsets, rows: &rows, dy, sums });
                        done += offsets.len();
                    }
                }
            }
        }
        Ok(())
    }

    /// The gradients of a box: for each tile of channels, for each position, the tile's lanes.
    ///
    /// # Safety
    /// As [`WeightGrad::run`]; `to` has room.
    unsafe fn lay_out(&self, plan: &Plan, image: usize, group: usize, part: &Part, to: *mut f32) {
        let [depth, height, width] = part.size;
        for (lane, registers) in plan.tiles() {
            let ld = registers * plan.kernels.lanes;
            let rows = ld.min(self.rows - lane);
            let mut to = to.wrapping_add(lane * plan.positions());
            for (z, y) in (0..depth).flat_map(|z| (0..height).map(move |y| (z, y))) {
                let at = [part.origin[0] + z, part.origin[1] + y, part.origin[2]];
                let from = self.dy.element(image, group * self.rows + lane, at);
                // SAFETY: the caller's promise.
                unsafe { (plan.kernels.transpose)(from, self.dy.steps[1], [rows, width], to, ld) };
                to = to.wrapping_add(width * ld);
            }
        }
    }
}
