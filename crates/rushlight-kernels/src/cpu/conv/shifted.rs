//! f32 convolutions as matrix products that read the image in place: padded channels lie in scratch memory (see [`super::band`]), each
//! (channel, tap) is the same memory at another offset, and tiles of the result go straight to where they belong.

use super::band::{Boxes, Part};
use super::kernel::{Kernels, Run, Tile, kernels};
use super::windows::Grid;
use super::winograd::Winograd;
use super::{Tensor, precise, spatial};
use crate::cpu::matmul::{scratch, try_run};
use crate::cpu::pool;
use crate::{Buffer, Result};
use std::ops::Range;

/// Where the weights of a map lie: row `i`, channel `c`, tap `t` of group `g` is at `g * group + i * row + c * channel + taps[t]`.
pub(super) struct Filter<T> {
    pub(super) ptr: *const T,
    pub(super) group: isize,
    pub(super) row: isize,
    pub(super) channel: isize,
    pub(super) taps: Vec<isize>,
}

// SAFETY: stands for a `View`, which may cross threads.
unsafe impl<T> Sync for Filter<T> {}

impl<T: Copy> Filter<T> {
    /// The same of another type, which this one is by another name.
    pub(super) fn cast<U>(&self) -> Filter<U> {
        Filter { ptr: self.ptr.cast(), group: self.group, row: self.row, channel: self.channel, taps: self.taps.clone() }
    }
    /// Where an element lies from the first.
    #[inline(always)]
    pub(super) fn offset(&self, group: usize, row: usize, channel: usize, tap: usize) -> isize {
        group as isize * self.group + row as isize * self.row + channel as isize * self.channel + self.taps[tap]
    }
    /// # Safety
    /// There is such an element.
    #[inline(always)]
    pub(super) unsafe fn get(&self, group: usize, row: usize, channel: usize, tap: usize) -> T {
        // SAFETY: the caller's promise.
        unsafe { *self.ptr.offset(self.offset(group, row, channel, tap)) }
    }
}

/// For every image of a batch and every group of channels: `y = filter @ windows + bias`, in one or several phases.
pub(super) struct Application<'a> {
    /// The taps of all phases; its result is as large as the largest of theirs.
    pub(super) grid: &'a Grid,
    pub(super) images: usize,
    pub(super) groups: usize,
    /// Channels of the image, and rows of the filter, per group.
    pub(super) channels: usize,
    pub(super) rows: usize,
    pub(super) phases: &'a [Phase],
    pub(super) x: Tensor<*const f32>,
    pub(super) y: Tensor<*mut f32>,
    /// Steps in `y` from output to output of a phase.
    pub(super) steps: [isize; 3],
    pub(super) bias: Option<Tensor<*const f32>>,
}

/// Outputs that are made by the same taps.
pub(super) struct Phase {
    pub(super) filter: Filter<f32>,
    /// The filter's taps among the grid's.
    pub(super) taps: Vec<usize>,
    /// Where the first output lies in `y`, and how many there are.
    pub(super) origin: [usize; 3],
    pub(super) size: [usize; 3],
}

/// Elements of padded channels: a quarter of L2.
const BAND: usize = 1 << 16;
/// Fewest tasks, for enough work.
const TASKS: usize = 8;
/// Multiplications of a task, about 20 µs.
const GRAIN: usize = 1 << 20;

/// The rows of a filter, cut into strips of a tile's height and packed as tiles read them.
pub(super) struct Strips {
    buffer: Buffer,
    rows: usize,
    terms: usize,
    /// Rows of a strip; the last may have fewer.
    pub(super) height: usize,
}

impl Strips {
    /// # Safety
    /// The filter has that many groups, rows, channels and taps.
    unsafe fn pack(kernels: &Kernels, filter: &Filter<f32>, groups: usize, rows: usize, channels: usize) -> Result<Strips> {
        let taps = filter.taps.len();
        let terms = channels * taps;
        let height = rows.div_ceil(rows.div_ceil(kernels.rows()));
        let s = Strips { buffer: scratch::<f32>(groups * rows * terms)?, rows, terms, height };
        let strips = s.count();
        pool::for_ranges(groups * strips, ((1 << 14) / (height * terms).max(1)).max(1), |range| {
            for (g, i) in range.map(|i| (i / strips, i % strips)) {
                let (to, n) = (s.strip(g, i).cast_mut(), s.height_of(i));
                for r in 0..n {
                    for c in 0..channels {
                        for t in 0..taps {
                            // SAFETY: the caller's promise; a strip of this task's own.
                            unsafe { *to.add((c * taps + t) * n + r) = filter.get(g, i * height + r, c, t) };
                        }
                    }
                }
            }
        });
        Ok(s)
    }
    fn count(&self) -> usize {
        self.rows.div_ceil(self.height)
    }
    fn height_of(&self, strip: usize) -> usize {
        self.height.min(self.rows - strip * self.height)
    }
    fn strip(&self, group: usize, strip: usize) -> *const f32 {
        self.buffer.as_ptr().cast::<f32>().wrapping_add((group * self.rows + strip * self.height) * self.terms).cast_const()
    }
}

/// What all parts of a phase share.
struct Plan {
    kernels: &'static Kernels,
    strips: Strips,
    offsets: Vec<isize>,
}

/// The columns of a part's tiles: all positions of its planes up to the last output, junk between rows included.
struct Columns {
    size: [usize; 3],
    tiles: Vec<Column>,
    runs: Vec<Run>,
}

/// One tile's.
struct Column {
    /// First position.
    start: usize,
    registers: usize,
    /// Which of the runs.
    runs: Range<usize>,
}

impl Columns {
    /// For tiles of `registers` registers of `lanes` positions; `steps` lead from output to output.
    fn new(boxes: &Boxes, size: [usize; 3], steps: [isize; 3], registers: usize, lanes: usize) -> Columns {
        let end = boxes.rows(size).last().map_or(0, |(_, start)| start + size[2]);
        let width = registers * lanes;
        // What full tiles leave over is one tile that may be narrower.
        let rest = (end % width).div_ceil(lanes).next_power_of_two();
        let tile = |i: usize| Column { start: i * width, registers: if i < end / width { registers } else { rest }, runs: 0..0 };
        let mut columns = Columns { size, tiles: (0..end.div_ceil(width)).map(tile).collect(), runs: Vec::new() };
        for ([z, y], start) in boxes.rows(size) {
            let base = z as isize * steps[0] + y as isize * steps[1];
            let mut q = start;
            while q < start + size[2] {
                let (from, next) = (q % lanes, (q / lanes + 1) * lanes);
                let to = from + next.min(start + size[2]) - q;
                // Lane zero may lie before the row; it is not stored then.
                let offset = base + ((q - start) as isize - from as isize) * steps[2];
                let tile = &mut columns.tiles[q / width];
                if tile.runs.is_empty() {
                    tile.runs = columns.runs.len()..columns.runs.len();
                }
                columns.runs.push(Run { register: q % width / lanes, from, to, offset });
                tile.runs.end = columns.runs.len();
                q = next;
            }
        }
        columns
    }
}

impl Application<'_> {
    /// By whatever way is best.
    ///
    /// # Safety
    /// The tensors have the grid's sizes; `y` overlaps none of the others.
    pub(super) unsafe fn run(&self) -> Result<()> {
        if let Some(winograd) = Winograd::new(self).filter(|_| !precise()) {
            // SAFETY: the caller's promise.
            match unsafe { winograd.run() } {
                Ok(false) => {}
                done => return done.map(|_| ()),
            }
        }
        // SAFETY: the caller's promise.
        unsafe { self.directly() }
    }

    /// # Safety
    /// As [`Application::run`].
    unsafe fn directly(&self) -> Result<()> {
        let kernels = kernels();
        let terms = self.channels * self.grid.taps.len();
        let units = self.images * self.groups;
        if units * self.rows * self.grid.positions() == 0 {
            return Ok(());
        }
        let work = self.rows.saturating_mul(self.grid.positions()).saturating_mul(terms.max(1));
        let enough = work.saturating_mul(units).div_ceil(GRAIN).min(TASKS);
        let boxes = Boxes::new(self.grid, BAND / self.channels.max(1), usize::MAX, enough.div_ceil(units));
        let all = boxes.offsets(self.channels);
        let plans = self.phases.iter().map(|phase| {
            let of_channel = |of: &[isize]| phase.taps.iter().map(|&t| of[t]).collect::<Vec<isize>>();
            let offsets = all.chunks_exact(self.grid.taps.len().max(1)).flat_map(of_channel).collect();
            // SAFETY: the caller's promise.
            let strips = unsafe { Strips::pack(kernels, &phase.filter, self.groups, self.rows, self.channels)? };
            Ok(Plan { kernels, strips, offsets })
        });
        let plans = plans.collect::<Result<Vec<Plan>>>()?;
        let Some(Plan { strips, .. }) = plans.first() else { return Ok(()) };
        let parts = units * boxes.count();
        let grain = (GRAIN / (work / boxes.count()).max(1)).clamp(1, parts.div_ceil(enough));
        // Few parts with many rows are cut between strips too.
        let slice = strips.count().div_ceil(enough.div_ceil(parts));
        let slices = strips.count().div_ceil(slice);
        let registers = kernels.registers(strips.height);
        let slack = registers * kernels.lanes;
        try_run(parts.div_ceil(grain) * slices, |task| {
            let room = scratch::<f32>(self.channels * boxes.len() + slack)?;
            let band = room.as_ptr().cast::<f32>();
            let mut columns: Vec<Option<Columns>> = self.phases.iter().map(|_| None).collect();
            let (first, task) = (task % slices * slice, task / slices);
            for i in task * grain..((task + 1) * grain).min(parts) {
                let (unit, part) = (i / boxes.count(), boxes.part(i % boxes.count()));
                // SAFETY: the caller's promise; the scratch holds the channels, and a tile of slack that is read but not used.
                unsafe {
                    for c in 0..self.channels {
                        let channel = self.x.element(unit / self.groups, unit % self.groups * self.channels + c, [0; 3]);
                        boxes.fill(&part, channel, spatial(&self.x), band.add(c * boxes.len()));
                    }
                    band.add(self.channels * boxes.len()).write_bytes(0, slack);
                }
                for ((phase, plan), columns) in self.phases.iter().zip(&plans).zip(&mut columns) {
                    let size = std::array::from_fn(|d| part.size[d].min(phase.size[d].saturating_sub(part.origin[d])));
                    if size.contains(&0) {
                        continue;
                    }
                    let columns = match columns.take().filter(|c| c.size == size) {
                        Some(same) => columns.insert(same),
                        None => columns.insert(Columns::new(&boxes, size, self.steps, registers, kernels.lanes)),
                    };
                    let strips = first..(first + slice).min(plan.strips.count());
                    // SAFETY: as above.
                    unsafe { self.tiles(phase, plan, strips, unit, &part, columns, band) };
                }
            }
            Ok(())
        })
    }

    /// The tiles of one phase of a part, for some strips.
    ///
    /// # Safety
    /// As [`Application::run`]; `band` holds the part's channels.
    unsafe fn tiles(
        &self,
        phase: &Phase,
        plan: &Plan,
        of: Range<usize>,
        unit: usize,
        part: &Part,
        columns: &Columns,
        band: *const f32,
    ) {
        let (image, group) = (unit / self.groups, unit % self.groups);
        let shift: isize = (0..3).map(|d| part.origin[d] as isize * self.steps[d]).sum();
        let strips = &plan.strips;
        for column in &columns.tiles {
            for strip in of.clone() {
                let row = group * self.rows + strip * strips.height;
                let t = Tile {
                    a: strips.strip(group, strip),
                    base: band.wrapping_add(column.start),
                    offsets: &plan.offsets,
                    bias: self.bias.map(|b| (b.element(row, 0, [0; 3]), b.steps[0])),
                    y: self.y.element(image, row, phase.origin).wrapping_offset(shift),
                    rs: self.y.steps[1],
                    step: self.steps[2],
                    runs: &columns.runs[column.runs.clone()],
                };
                // SAFETY: the caller's promise.
                unsafe { plan.kernels.tile(strips.height_of(strip), column.registers)(&t) };
            }
        }
    }
}
