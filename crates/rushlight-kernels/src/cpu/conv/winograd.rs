//! 3x3 convolutions of stride one by Winograd's minimal filtering F(4x4, 3x3) (Lavin & Gray, 2015).
//!
//! A tile of 4x4 outputs and the 6x6 inputs it reads are transformed so that 36 products replace 144. For each of the 36 positions, summing
//! over channels is a matrix product `[rows, channels] @ [channels, tiles]`. Tiles are numbered through the whole batch and taken in blocks,
//! so that small images fill registers too; the transforms work on a register's width of tiles.
//!
//! Sums are of transformed values, which are larger than the result: the error is at most 1e-4 of the result's largest magnitude, typically
//! 5e-6 (a direct sum's is 1e-6). Where an infinity or a NaN is among the inputs, or a sum overflows, the transforms would spread it over a
//! tile: the caller is told, and starts over the direct way.

use super::Tensor;
use super::kernel::{Kernels, Run, Tile, kernels};
use super::shifted::{Application, Filter};
use super::wide::Wide;
use crate::cpu::matmul::{scratch, try_run};
use crate::cpu::pool;
use crate::cpu::simd;
use crate::{Buffer, Result};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Transformed positions of a tile.
const POSITIONS: usize = 36;
/// Side of a tile.
const SIDE: usize = 4;
/// Fewest tasks.
const TASKS: usize = 8;
/// Transformed values of a block, which stay within L2.
const BLOCK: usize = 1 << 18;

/// The transforms, of one instruction set.
pub(super) struct Stages {
    pub(super) taps: unsafe fn(&Taps),
    pub(super) input: unsafe fn(&Input),
    pub(super) output: unsafe fn(&Output) -> bool,
}

/// The filter of one strip of rows to its transform: for each position and channel one value of each row, adjacent.
pub(super) struct Taps<'a> {
    filter: &'a Filter<f32>,
    /// The filter's taps in row-major order.
    order: &'a [usize; 9],
    group: usize,
    rows: Range<usize>,
    channels: usize,
    to: *mut f32,
    /// From position to position.
    step: usize,
}

/// Adjacent tiles of a row of tiles.
struct Segment {
    image: usize,
    /// Index of the row, and of the first tile in it.
    row: usize,
    first: usize,
    count: usize,
    /// Where its elements lie in a row of the scratch memory.
    at: usize,
}

/// One channel's tiles of a block to their transforms.
pub(super) struct Input<'a> {
    segments: &'a [Segment],
    /// Where each tile's elements lie in a row of the scratch memory; a multiple of the lanes.
    tiles: &'a [usize],
    /// The first image's channel, steps from image to image and from row to row, and sizes.
    x: *const f32,
    steps: [isize; 2],
    size: [usize; 2],
    /// Where the channel lies that comes next, from this one.
    next: isize,
    /// Image index that tap (0, 0) of output (0, 0) reads.
    low: [isize; 2],
    /// Six rows of scratch memory, and their step.
    rows: *mut f32,
    width: usize,
    to: *mut f32,
    step: usize,
}

/// Where the outputs of a tile go.
#[derive(Clone, Copy)]
struct Place {
    offset: isize,
    rows: usize,
    cols: usize,
}

/// One row's transformed sums of a block to outputs.
pub(super) struct Output<'a> {
    from: *const f32,
    step: usize,
    places: &'a [Place],
    y: *mut f32,
    /// From row to row of an image.
    row: isize,
    bias: f32,
}

// ---- transforms -----------------------------------------------------------------------------------------------------------------

/// `G g`, for the points 0, 1, -1, 2, -2 and infinity.
#[inline(always)]
unsafe fn filter_transform<V: Wide>(g: [V; 3]) -> [V; 6] {
    // SAFETY: the caller has the instruction set.
    unsafe {
        let zero = V::splat(0.0);
        let (sixth, twelfth) = (V::splat(1.0 / 6.0), V::splat(1.0 / 12.0));
        let near = g[0].add(g[2]).mul_add(V::splat(-1.0 / 6.0), zero);
        let middle = g[1].mul_add(sixth, zero);
        let far = g[2].mul_add(sixth, g[0].mul_add(V::splat(1.0 / 24.0), zero));
        let half = g[1].mul_add(twelfth, zero);
        let first = g[0].mul_add(V::splat(0.25), zero);
        [first, near.sub(middle), near.add(middle), far.add(half), far.sub(half), g[2]]
    }
}

/// `B^T d`.
#[inline(always)]
unsafe fn input_transform<V: Wide>(d: [V; 6]) -> [V; 6] {
    // SAFETY: the caller has the instruction set.
    unsafe {
        let (minus4, minus5, four) = (V::splat(-4.0), V::splat(-5.0), V::splat(4.0));
        let even = minus4.mul_add(d[2], d[4]);
        let odd = minus4.mul_add(d[1], d[3]);
        let near = d[4].sub(d[2]);
        let twice = d[3].sub(d[1]);
        let twice = twice.add(twice);
        [
            four.mul_add(d[0], minus5.mul_add(d[2], d[4])),
            even.add(odd),
            even.sub(odd),
            near.add(twice),
            near.sub(twice),
            four.mul_add(d[1], minus5.mul_add(d[3], d[5])),
        ]
    }
}

/// `A^T m`.
#[inline(always)]
unsafe fn output_transform<V: Wide>(m: [V; 6]) -> [V; 4] {
    // SAFETY: the caller has the instruction set.
    unsafe {
        let (a, b) = (m[1].add(m[2]), m[1].sub(m[2]));
        let (c, d) = (m[3].add(m[4]), m[3].sub(m[4]));
        [m[0].add(a).add(c), V::splat(2.0).mul_add(d, b), V::splat(4.0).mul_add(c, a), V::splat(8.0).mul_add(d, b).add(m[5])]
    }
}

/// # Safety
/// The processor has `V`'s instruction set, and everything that `t` names lies in memory.
#[inline(always)]
pub(super) unsafe fn taps<V: Wide>(t: &Taps) {
    // SAFETY: the caller's promise; a strip has at most 16 rows.
    unsafe {
        let rows = t.rows.len();
        let mut g = [[0.0f32; 16]; 9];
        for c in 0..t.channels {
            for (r, row) in t.rows.clone().enumerate() {
                for (g, &tap) in g.iter_mut().zip(t.order) {
                    g[r] = t.filter.get(t.group, row, c, tap);
                }
            }
            for r in (0..rows).step_by(V::N) {
                let p = g.as_ptr().cast::<f32>().add(r);
                let mut columns = [[V::splat(0.0); 6]; 3];
                for j in 0..3 {
                    columns[j] =
                        filter_transform([V::load(p.add(16 * j)), V::load(p.add(16 * (3 + j))), V::load(p.add(16 * (6 + j)))]);
                }
                for i in 0..6 {
                    let line = filter_transform([columns[0][i], columns[1][i], columns[2][i]]);
                    for j in 0..6 {
                        line[j].store_run(t.to.add((i * 6 + j) * t.step + c * rows + r), 0, (rows - r).min(V::N));
                    }
                }
            }
        }
    }
}

/// # Safety
/// As [`taps`].
#[inline(always)]
pub(super) unsafe fn input<V: Wide>(t: &Input) {
    // SAFETY: the caller's promise; lanes outside the image are not read.
    unsafe {
        // Down the columns first: these registers hold adjacent columns, whatever tile they belong to.
        for s in t.segments {
            let image = t.x.offset(s.image as isize * t.steps[0]);
            let y = (SIDE * s.row) as isize + t.low[0];
            let line = |i: usize| {
                let y = y + i as isize;
                (0..t.size[0] as isize).contains(&y).then(|| image.wrapping_offset(y * t.steps[1]))
            };
            let lines: [Option<*const f32>; 6] = [line(0), line(1), line(2), line(3), line(4), line(5)];
            for column in (0..SIDE * s.count + SIDE).step_by(V::N) {
                let x = (SIDE * s.first + column) as isize + t.low[1];
                let lanes = |x: isize| x.clamp(0, V::N as isize) as usize;
                let (from, to) = (lanes(-x), lanes(t.size[1] as isize - x));
                let mut d = [V::splat(0.0); 6];
                for i in 0..6 {
                    if let Some(line) = lines[i] {
                        let p = line.wrapping_offset(x);
                        // Planes are short and far apart: too much for the processor's own foresight.
                        simd::prefetch(p.wrapping_offset(t.next).cast());
                        if to - from.min(to) == V::N {
                            d[i] = V::load(p);
                        } else if from < to {
                            d[i] = V::load_run(p, from, to);
                        }
                    }
                }
                let d = input_transform(d);
                for i in 0..6 {
                    d[i].store(t.rows.add(i * t.width + s.at + column));
                }
            }
        }
        for (g, tiles) in t.tiles.chunks_exact(V::N).enumerate() {
            let mut p = [std::ptr::null(); 16];
            for i in 0..6 {
                for l in 0..V::N {
                    p[l] = t.rows.add(i * t.width + tiles[l]).cast_const();
                }
                let [d0, d1, d2, d3] = V::load_quads(&p[..V::N]);
                for l in 0..V::N {
                    p[l] = p[l].add(SIDE);
                }
                let [d4, d5, ..] = V::load_quads(&p[..V::N]);
                let d = input_transform([d0, d1, d2, d3, d4, d5]);
                for j in 0..6 {
                    d[j].store(t.to.add((i * 6 + j) * t.step + g * V::N));
                }
            }
        }
    }
}

/// Whether all outputs are finite.
///
/// # Safety
/// As [`taps`].
#[inline(always)]
pub(super) unsafe fn output<V: Wide>(t: &Output) -> bool {
    // SAFETY: the caller's promise; outputs outside a tile's place are not written.
    unsafe {
        let mut zeros = V::splat(0.0);
        let bias = V::splat(t.bias);
        for (g, places) in t.places.chunks(V::N).enumerate() {
            let mut columns = [[V::splat(0.0); 6]; 4];
            for j in 0..6 {
                let mut m = [V::splat(0.0); 6];
                for i in 0..6 {
                    m[i] = V::load(t.from.add((i * 6 + j) * t.step + g * V::N));
                }
                let column = output_transform(m);
                for i in 0..4 {
                    columns[i][j] = column[i];
                }
            }
            let mut lines = [[[0.0f32; 4]; 16]; 4];
            for i in 0..4 {
                let [a, b, c, d] = output_transform(columns[i]);
                let line = [a.add(bias), b.add(bias), c.add(bias), d.add(bias)];
                if i % 3 == 0 {
                    // Each transformed sum is part of one of the corners.
                    zeros = line[0].mul_add(V::splat(0.0), zeros);
                    zeros = line[3].mul_add(V::splat(0.0), zeros);
                }
                V::store_quads(line, lines[i].as_mut_ptr().cast());
            }
            for (l, place) in places.iter().enumerate() {
                let mut y = t.y.offset(place.offset);
                if place.cols == SIDE && place.rows == SIDE {
                    for line in &lines {
                        y.cast::<[f32; 4]>().write_unaligned(line[l]);
                        y = y.wrapping_offset(t.row);
                    }
                    continue;
                }
                for line in &lines[..place.rows] {
                    for c in 0..place.cols {
                        *y.add(c) = line[l][c];
                    }
                    y = y.wrapping_offset(t.row);
                }
            }
        }
        let mut lanes = [0.0f32; 16];
        zeros.store(lanes.as_mut_ptr());
        lanes == [0.0; 16]
    }
}

/// A convolution that suits.
pub(super) struct Winograd<'a> {
    map: &'a Application<'a>,
    order: [usize; 9],
    low: [isize; 2],
    /// Rows and columns of tiles of an image.
    tiles: [usize; 2],
}

/// Sizes and kernels that all blocks share.
struct Plan {
    kernels: &'static Kernels,
    /// Tiles of a block.
    block: usize,
    /// Rows of a strip of the filter, and the transformed filter: by group, position, strip and channel.
    height: usize,
    filter: Buffer,
    /// Where each channel lies in the transformed input.
    offsets: Vec<isize>,
    /// From position to position of the transformed input, and of the sums: not multiples of 4096 bytes, or all 36 would compete for the
    /// same few lines of the cache.
    steps: [usize; 2],
    finite: AtomicBool,
}

/// Tiles that are computed together, of one group.
struct Block {
    group: usize,
    segments: Vec<Segment>,
    tiles: Vec<usize>,
    places: Vec<Place>,
    width: usize,
    /// Transformed input and sums.
    room: Buffer,
}

impl<'a> Winograd<'a> {
    /// If this is the better way.
    pub(super) fn new(map: &'a Application<'a>) -> Option<Winograd<'a>> {
        let grid = map.grid;
        let flat = grid.image[0] == 1 && grid.result[0] == 1 && grid.stride == [1; 3];
        if grid.taps.len() != 9 || map.phases.len() != 1 || !flat || map.x.steps[4] != 1 || map.steps[2] != 1 {
            return None;
        }
        let low: [isize; 3] = std::array::from_fn(|d| grid.taps.iter().map(|t| t.at()[d]).min().unwrap_or(0));
        let mut order = [usize::MAX; 9];
        for (i, tap) in grid.taps.iter().enumerate() {
            let [z, y, x] = std::array::from_fn(|d| (tap.at()[d] - low[d]) as usize);
            if z != 0 || low[0] != 0 || y > 2 || x > 2 {
                return None;
            }
            order[y * 3 + x] = i;
        }
        let tiles = [grid.result[1].div_ceil(SIDE), grid.result[2].div_ceil(SIDE)];
        // In multiplications: products go at about 90 % of the direct way's rate, each transformed value costs a quarter to half a cycle.
        let (c, o) = (map.channels as f64, map.rows as f64);
        let count = (map.images * tiles[0] * tiles[1]) as f64;
        let direct = (map.images * grid.positions() * 9) as f64 * c * o;
        let cost = POSITIONS as f64 * (count * (1.1 * c * o + 8.0 * (c + o)) + 16.0 * c * o);
        let suits = !order.contains(&usize::MAX) && cost < direct;
        suits.then_some(Winograd { map, order, low: [low[1], low[2]], tiles })
    }

    /// Whether all outputs are finite; else they are not all right.
    ///
    /// # Safety
    /// As [`Application::run`].
    pub(super) unsafe fn run(&self) -> Result<bool> {
        let map = self.map;
        let plan = self.plan()?;
        let total = map.images * self.tiles[0] * self.tiles[1];
        let blocks = total.div_ceil(plan.block);
        let tiles = |i: usize| i * plan.block..((i + 1) * plan.block).min(total);
        let (channels, rows) = (0..map.channels, 0..map.rows);
        if blocks * map.groups >= TASKS {
            try_run(blocks * map.groups, |task| {
                let block = self.block(&plan, task / blocks, tiles(task % blocks))?;
                // SAFETY: the caller's promise; blocks are disjoint.
                unsafe {
                    self.inputs(&plan, &block, channels.clone())?;
                    self.products(&plan, &block, 0..POSITIONS);
                    self.outputs(&plan, &block, rows.clone());
                }
                Ok(())
            })?;
        } else {
            // Few tiles: the stages of each block are spread instead.
            let part = |i: usize, n: usize| i * n / TASKS..(i + 1) * n / TASKS;
            for task in 0..blocks * map.groups {
                let block = self.block(&plan, task / blocks, tiles(task % blocks))?;
                // SAFETY: as above; channels, positions and rows are disjoint too.
                unsafe {
                    try_run(TASKS, |i| self.inputs(&plan, &block, part(i, map.channels)))?;
                    pool::run(TASKS, |i| self.products(&plan, &block, part(i, POSITIONS)));
                    pool::run(TASKS, |i| self.outputs(&plan, &block, part(i, map.rows)));
                }
            }
        }
        Ok(plan.finite.into_inner())
    }

    fn plan(&self) -> Result<Plan> {
        let map = self.map;
        let kernels = kernels();
        let unit = 2 * kernels.lanes;
        let block = (BLOCK / POSITIONS / (map.channels + map.rows) / unit * unit).clamp(unit, 4 * unit);
        let strips = map.rows.div_ceil(kernels.rows());
        let height = map.rows.div_ceil(strips);
        let strips = map.rows.div_ceil(height);
        let filter = scratch::<f32>(map.groups * POSITIONS * map.rows * map.channels)?;
        let step = map.rows * map.channels;
        let to = Tensor { ptr: filter.as_ptr().cast::<f32>(), steps: [0; 5] };
        pool::for_ranges(map.groups * strips, (1 << 11) / (height * map.channels), |range| {
            for (group, strip) in range.map(|i| (i / strips, i % strips)) {
                let rows = strip * height..((strip + 1) * height).min(map.rows);
                let to = to.element(group, 0, [0; 3]).wrapping_add(group * POSITIONS * step + rows.start * map.channels);
                let t = Taps { filter: &map.phases[0].filter, order: &self.order, group, rows, channels: map.channels, to, step };
                // SAFETY: the caller of `run`'s promise; a strip of this task's own.
                unsafe { (kernels.winograd.taps)(&t) };
            }
        });
        let offsets = (0..map.channels).map(|c| (c * block) as isize).collect();
        let steps = [map.channels, map.rows].map(|n| n * block + kernels.lanes);
        Ok(Plan { kernels, block, height, filter, offsets, steps, finite: AtomicBool::new(true) })
    }

    fn block(&self, plan: &Plan, group: usize, range: Range<usize>) -> Result<Block> {
        let (map, [rows, cols]) = (self.map, self.tiles);
        let [_, height, width] = map.grid.result;
        let room = scratch::<f32>(POSITIONS * (plan.steps[0] + plan.steps[1]))?;
        let mut b = Block { group, segments: Vec::new(), tiles: Vec::new(), places: Vec::new(), width: 0, room };
        let mut tile = range.start;
        while tile < range.end {
            let (image, row, first) = (tile / cols / rows, tile / cols % rows, tile % cols);
            let count = (cols - first).min(range.end - tile);
            b.segments.push(Segment { image, row, first, count, at: b.width });
            for i in 0..count {
                let (y, x) = (SIDE * row, SIDE * (first + i));
                let offset = image as isize * map.y.steps[0] + y as isize * map.steps[1] + x as isize;
                b.tiles.push(b.width + SIDE * i);
                b.places.push(Place { offset, rows: SIDE.min(height - y), cols: SIDE.min(width - x) });
            }
            b.width += SIDE * (count + 1);
            tile += count;
        }
        // The last register's other lanes repeat a tile.
        b.tiles.resize(b.tiles.len().next_multiple_of(plan.kernels.lanes), b.tiles[0]);
        // Whole registers are written.
        b.width += plan.kernels.lanes;
        Ok(b)
    }

    /// # Safety
    /// As [`Application::run`]; nobody else has these channels of the block.
    unsafe fn inputs(&self, plan: &Plan, b: &Block, channels: Range<usize>) -> Result<()> {
        let map = self.map;
        let rows = scratch::<f32>(6 * b.width)?;
        for c in channels {
            let t = Input {
                segments: &b.segments,
                tiles: &b.tiles,
                x: map.x.element(0, b.group * map.channels + c, [0; 3]),
                steps: [map.x.steps[0], map.x.steps[3]],
                next: map.x.steps[1],
                size: [map.grid.image[1], map.grid.image[2]],
                low: self.low,
                rows: rows.as_ptr().cast(),
                width: b.width,
                to: b.room.as_ptr().cast::<f32>().wrapping_add(c * plan.block),
                step: plan.steps[0],
            };
            // SAFETY: the caller's promise.
            unsafe { (plan.kernels.winograd.input)(&t) };
        }
        Ok(())
    }

    /// Transformed sums of a block.
    fn sums(plan: &Plan, b: &Block) -> *mut f32 {
        b.room.as_ptr().cast::<f32>().wrapping_add(POSITIONS * plan.steps[0])
    }

    /// # Safety
    /// Nobody else has these positions of the block.
    unsafe fn products(&self, plan: &Plan, b: &Block, positions: Range<usize>) {
        let (map, kernels) = (self.map, plan.kernels);
        let filter = plan.filter.as_ptr().cast::<f32>().cast_const();
        let runs: [Run; 2] =
            [0, 1].map(|r| Run { register: r, from: 0, to: kernels.lanes, offset: (r * kernels.lanes) as isize });
        for position in positions {
            let (a, x) = ((b.group * POSITIONS + position) * map.rows * map.channels, position * plan.steps[0]);
            for column in (0..b.tiles.len()).step_by(2 * kernels.lanes) {
                let registers = ((b.tiles.len() - column) / kernels.lanes).min(2);
                for row in (0..map.rows).step_by(plan.height) {
                    let t = Tile {
                        a: filter.wrapping_add(a + row * map.channels),
                        base: b.room.as_ptr().cast::<f32>().wrapping_add(x + column),
                        offsets: &plan.offsets,
                        bias: None,
                        y: Self::sums(plan, b).wrapping_add(position * plan.steps[1] + row * plan.block + column),
                        rs: plan.block as isize,
                        step: 1,
                        runs: &runs[..registers],
                    };
                    // SAFETY: the transformed filter, input and sums have these sizes.
                    unsafe { kernels.tile(plan.height.min(map.rows - row), registers)(&t) };
                }
            }
        }
    }

    /// # Safety
    /// As [`Application::run`]; nobody else has these rows of the block.
    unsafe fn outputs(&self, plan: &Plan, b: &Block, rows: Range<usize>) {
        let map = self.map;
        for i in rows {
            let row = b.group * map.rows + i;
            let t = Output {
                from: Self::sums(plan, b).wrapping_add(i * plan.block),
                step: plan.steps[1],
                places: &b.places,
                y: map.y.element(0, row, map.phases[0].origin),
                row: map.steps[1],
                // SAFETY: one bias per row.
                bias: map.bias.map_or(0.0, |bias| unsafe { bias.read(row, 0, [0; 3]) }),
            };
            // SAFETY: the caller's promise.
            if !unsafe { (plan.kernels.winograd.output)(&t) } {
                plan.finite.store(false, Relaxed);
            }
        }
    }
}
