//! Convolutions and their transposed maps as matrix products.
//!
//! The image side of each product is a [`Windows`] matrix, so no im2col buffer is ever written; what a 1x1 kernel needs lies in memory
//! as it is.

use super::direct::Direct;
use super::geometry::{Geometry, at, index3};
use super::outer::WeightGrad;
use super::shifted::{self, Filter, Phase};
use super::windows::{Grid, Transposed, Windows};
use super::{Tensor, spatial};
use crate::cpu::matmul::{Acc, Gemm, Matrix, Number, Right, Size, Strided, Target, run, scratch, try_run};
use crate::cpu::pool;
use crate::{Buffer, DType, Result};

/// Where the elements of all spatial positions lie: evenly spaced, or by a table of offsets.
enum Spread {
    Even(isize),
    Table(Vec<isize>),
}

impl Spread {
    /// Positions of `size` with these steps.
    fn new(size: [usize; 3], steps: [isize; 3]) -> Spread {
        let mut even: Option<isize> = None;
        let mut next = 0;
        for d in (0..3).rev().filter(|&d| size[d] != 1) {
            match even {
                None => even = Some(steps[d]),
                Some(_) if steps[d] == next => {}
                Some(_) => {
                    let offset = |i: [usize; 3]| (0..3).map(|d| i[d] as isize * steps[d]).sum();
                    return Spread::Table((0..size.iter().product()).map(|i| offset(index3(i, size))).collect());
                }
            }
            next = steps[d] * size[d] as isize;
        }
        Spread::Even(even.unwrap_or(1))
    }
    fn step(&self) -> isize {
        match self {
            Spread::Even(s) => *s,
            Spread::Table(_) => 1,
        }
    }
    fn table(&self) -> Option<&[isize]> {
        match self {
            Spread::Even(_) => None,
            Spread::Table(t) => Some(t),
        }
    }
}

fn target<T: Number>(ptr: *mut T, rs: isize, columns: &Spread) -> Target<'_, T> {
    let c = Matrix { ptr, rs, cs: columns.step() };
    Target { c, columns: columns.table(), alpha: T::Acc::ONE, beta: T::Acc::ONE, bias: None, then: None }
}

/// A matrix of weights per group, adjacent in memory.
struct Weights<T> {
    buffer: Buffer,
    rows: usize,
    cols: usize,
    element: std::marker::PhantomData<T>,
}

impl<T: Number> Weights<T> {
    /// Row `i`, column `j` of group `g`'s matrix is `get(g, i, j)`.
    fn gather(groups: usize, rows: usize, cols: usize, get: impl Fn(usize, usize, usize) -> T + Sync) -> Result<Weights<T>> {
        let buffer = scratch::<T>(groups * rows * cols)?;
        let to = Matrix { ptr: buffer.as_ptr().cast::<T>(), rs: cols as isize, cs: 1 };
        pool::for_ranges(groups * rows, (1 << 14) / cols.max(1), |range| {
            for i in range {
                let row = to.shifted(i as isize * to.rs);
                for j in 0..cols {
                    // SAFETY: an element of the buffer, of a row of this task's own.
                    unsafe { *row.ptr.add(j) = get(i / rows, i % rows, j) };
                }
            }
        });
        Ok(Weights { buffer, rows, cols, element: std::marker::PhantomData })
    }
    fn group(&self, g: usize) -> Matrix<*const T> {
        let ptr = self.buffer.as_ptr().cast::<T>().wrapping_add(g * self.rows * self.cols).cast_const();
        Matrix { ptr, rs: self.cols as isize, cs: 1 }
    }
}

/// For every image of a batch and every group of channels: `y = weights @ windows + bias`.
struct Application<'a, T> {
    grid: &'a Grid,
    /// Images, groups, and channels per group.
    counts: [usize; 3],
    /// Rows of the filter per group.
    rows: usize,
    filter: &'a Filter<T>,
    x: Tensor<*const T>,
    y: Tensor<*mut T>,
    /// The spatial index of the first output, and steps from there to the others.
    origin: [usize; 3],
    steps: [isize; 3],
    bias: Option<Tensor<*const T>>,
}

impl<T: Number> Application<'_, T> {
    /// The filter as matrices, unless it is that as it lies.
    fn weights(&self) -> Result<Option<Weights<T>>> {
        let ([_, groups, channels], taps) = (self.counts, self.grid.taps.len());
        let in_rows = self.filter.taps.iter().enumerate().all(|(t, &at)| at == t as isize);
        if in_rows && (channels == 1 || self.filter.channel == taps as isize) {
            return Ok(None);
        }
        // SAFETY: indices of the filter.
        let weights =
            Weights::gather(groups, self.rows, channels * taps, |g, i, j| unsafe { self.filter.get(g, i, j / taps, j % taps) });
        weights.map(Some)
    }

    /// # Safety
    /// The tensors have the grid's sizes; `y` overlaps none of the others.
    unsafe fn run(&self) -> Result<()> {
        let (grid, [images, groups, channels]) = (self.grid, self.counts);
        let size = Size { batches: images * groups, m: self.rows, n: grid.positions(), k: channels * grid.taps.len() };
        let columns = &Spread::new(grid.result, self.steps);
        let image = |index: usize| Matrix {
            ptr: self.x.element(index / groups, index % groups * channels, [0; 3]),
            rs: self.x.steps[1],
            cs: 0,
        };
        let target = |index: usize| {
            let first = index % groups * size.m;
            let bias = self.bias.map(|b| Matrix { ptr: b.element(first, 0, [0; 3]), rs: b.steps[0], cs: 0 });
            Target { bias, ..target(self.y.element(index / groups, first, self.origin), self.y.steps[1], columns) }
        };
        let weights = &self.weights()?;
        let group = |g: usize| match weights {
            Some(weights) => weights.group(g),
            None => Matrix { ptr: self.filter.ptr.wrapping_offset(g as isize * self.filter.group), rs: self.filter.row, cs: 1 },
        };
        let steps = spatial(&self.x);
        if let Some(direct) = Direct::new(grid, channels, size.m, size.batches) {
            // SAFETY: the caller's promise; indices write disjoint parts of `y`.
            return try_run(size.batches, |i| unsafe {
                direct.forward(grid, size, group(i % groups), image(i), steps, &target(i))
            });
        }
        // A 1x1 kernel multiplies the channels as they are.
        let channels_as_matrix = match Spread::new(grid.image, steps) {
            Spread::Even(cs) if grid.is_identity() => Some(cs),
            _ => None,
        };
        run::<T>(size, |i, part| {
            let x = image(i);
            let b: &dyn Right<T::Acc> = match channels_as_matrix {
                Some(cs) => &Strided { matrix: Matrix { cs, ..x }, pack: true },
                None => &Windows { grid, image: x.ptr, channel_step: x.rs, steps },
            };
            let gemm = Gemm { a: group(i % groups), run: size.k.max(1), jump: 0, pack_a: T::CONVERTS, b };
            // SAFETY: the caller's promise; parts are disjoint.
            unsafe { part.run(&gemm, &target(i)) }
        })
    }
}

/// # Safety
/// The tensors have the geometry's sizes; `y` overlaps none of the others.
pub(super) unsafe fn forward<T: Number>(
    g: &Geometry,
    x: Tensor<*const T>,
    w: Tensor<*const T>,
    bias: Option<Tensor<*const T>>,
    y: Tensor<*mut T>,
) -> Result<()> {
    let taps = g.taps();
    let first = |d: usize, k: usize| (k * g.dilation[d]) as isize - g.padding[d] as isize;
    let at_taps = (0..taps).map(|t| index3(t, g.kernel)).map(|t| std::array::from_fn(|d| first(d, t[d])));
    let grid = Grid::new(at_taps, g.stride, g.image, g.result);
    let filter = Filter {
        ptr: w.ptr,
        group: g.o as isize * w.steps[0],
        row: w.steps[0],
        channel: w.steps[1],
        taps: (0..taps).map(|t| at(&w.steps, 0, 0, index3(t, g.kernel))).collect(),
    };
    if in_place_is_better::<T>(&grid) {
        let taps = (0..taps).collect();
        let phases = &[Phase { filter: filter.cast(), taps, origin: [0; 3], size: g.result }];
        let steps = spatial(&y);
        let (x, y, bias) = (x.cast(), y.cast(), bias.map(|b| b.cast()));
        let (images, groups, channels, rows) = (g.n, g.groups, g.c, g.o);
        // SAFETY: the caller's promise; all tensors are of f32.
        return unsafe { shifted::Application { grid: &grid, images, groups, channels, rows, phases, x, y, steps, bias }.run() };
    }
    let (grid, filter, counts) = (&grid, &filter, [g.n, g.groups, g.c]);
    // SAFETY: the caller's promise.
    unsafe { Application { grid, counts, rows: g.o, filter, x, y, origin: [0; 3], steps: spatial(&y), bias }.run() }
}

/// Whether there are kernels for this type that read images in place, and they are better than a product: a 1x1 kernel multiplies the
/// channels as they are.
fn in_place_is_better<T: Number>(grid: &Grid) -> bool {
    T::DTYPE == DType::F32 && !grid.is_identity()
}

/// Positions `stride * j + phase` of the image are read by the same taps for all `j`, at outputs a fixed distance from `j`: each phase
/// is a convolution of stride one of the gradient.
///
/// # Safety
/// As [`forward`], with `out` in the role of `y`.
pub(super) unsafe fn input_grad<T: Number>(
    g: &Geometry,
    dy: Tensor<*const T>,
    w: Tensor<*const T>,
    out: Tensor<*mut T>,
) -> Result<()> {
    let phases: [usize; 3] = std::array::from_fn(|d| g.stride[d].min(g.image[d]));
    let steps = spatial(&out);
    let steps: [isize; 3] = std::array::from_fn(|d| steps[d] * g.stride[d] as isize);
    let mut ats: Vec<[isize; 3]> = Vec::new();
    let mut all: Vec<(Filter<T>, Phase)> = Vec::new();
    for origin in (0..phases.iter().product()).map(|i| index3(i, phases)) {
        let distance = |d: usize, k: usize| (origin[d] + g.padding[d]) as isize - (k * g.dilation[d]) as isize;
        let reads = |t: &[usize; 3]| (0..3).all(|d| distance(d, t[d]) % g.stride[d] as isize == 0);
        let taps: Vec<[usize; 3]> = (0..g.taps()).map(|t| index3(t, g.kernel)).filter(reads).collect();
        let size = std::array::from_fn(|d| (g.image[d] - origin[d]).div_ceil(g.stride[d]));
        let filter = Filter {
            ptr: w.ptr,
            group: g.o as isize * w.steps[0],
            row: w.steps[1],
            channel: w.steps[0],
            taps: taps.iter().map(|t| at(&w.steps, 0, 0, *t)).collect(),
        };
        let phase = Phase { filter: filter.cast(), taps: (ats.len()..ats.len() + taps.len()).collect(), origin, size };
        ats.extend(taps.iter().map(|t| -> [isize; 3] { std::array::from_fn(|d| distance(d, t[d]) / g.stride[d] as isize) }));
        all.push((filter, phase));
    }
    // The first phase is the largest.
    let Some(size) = all.first().map(|(_, phase)| phase.size) else { return Ok(()) };
    let grid = Grid::new(ats.iter().copied(), [1; 3], g.result, size);
    if all.len() > 1 && T::DTYPE == DType::F32 || in_place_is_better::<T>(&grid) {
        let phases: Vec<Phase> = all.into_iter().map(|(_, phase)| phase).collect();
        let (x, y, images, groups, channels, rows) = (dy.cast(), out.cast(), g.n, g.groups, g.o, g.c);
        let (grid, phases, bias) = (&grid, &phases[..], None);
        // SAFETY: the caller's promise; all tensors are of f32.
        return unsafe { shifted::Application { grid, images, groups, channels, rows, phases, x, y, steps, bias }.run() };
    }
    for (filter, phase) in &all {
        let grid = Grid::new(phase.taps.iter().map(|&t| ats[t]), [1; 3], g.result, phase.size);
        let (grid, counts, origin) = (&grid, [g.n, g.groups, g.o], phase.origin);
        // SAFETY: the caller's promise; phases are disjoint.
        unsafe { Application { grid, counts, rows: g.c, filter, x: dy, y: out, origin, steps, bias: None }.run()? };
    }
    Ok(())
}

/// # Safety
/// As [`forward`], with `out` in the role of `y`.
pub(super) unsafe fn weight_grad<T: Number>(
    g: &Geometry,
    dy: Tensor<*const T>,
    x: Tensor<*const T>,
    out: Tensor<*mut T>,
) -> Result<()> {
    let taps = g.taps();
    let first = |d: usize, k: usize| (k * g.dilation[d]) as isize - g.padding[d] as isize;
    let at_taps = (0..taps).map(|t| index3(t, g.kernel)).map(|t| std::array::from_fn(|d| first(d, t[d])));
    let grid = Grid::new(at_taps, g.stride, g.image, g.result);
    let positions = grid.positions();
    if T::DTYPE == DType::F32 && g.n * positions * g.o * g.c > 0 && (g.o > 2 || g.groups < 8) {
        // SAFETY: the caller's promise.
        return unsafe { weight_grad_f32(g, &grid, dy, x, out) };
    }
    let columns = match Spread::new(g.kernel, spatial(&out)) {
        Spread::Even(step) => Spread::new([g.c, 1, taps], [out.steps[1], 0, step]),
        Spread::Table(offsets) => {
            Spread::Table((0..g.c * taps).map(|i| (i / taps) as isize * out.steps[1] + offsets[i % taps]).collect())
        }
    };
    let target = |group: usize| target(out.element(group * g.o, 0, [0; 3]), out.steps[0], &columns);
    let size = Size { batches: g.groups, m: g.o, n: g.c * taps, k: g.n * positions };
    if let Some(direct) = Direct::new(&grid, g.c, g.o, g.groups) {
        let (dy_steps, x_steps) = (spatial(&dy), spatial(&x));
        return try_run(g.groups, |group| {
            let images = (0..g.n).map(|n| {
                let dy = Matrix { ptr: dy.element(n, group * g.o, [0; 3]), rs: dy.steps[1], cs: 0 };
                (dy, Matrix { ptr: x.element(n, group * g.c, [0; 3]), rs: x.steps[1], cs: 0 })
            });
            // SAFETY: the caller's promise; groups are disjoint.
            unsafe { direct.weight_grad(&grid, size, images, [dy_steps, x_steps], &target(group)) }
        });
    }
    // Gradients whose positions are not evenly spaced are copied first.
    let (dy, cs, _copy) = match Spread::new(g.result, spatial(&dy)) {
        Spread::Even(cs) => (dy, cs, None),
        Spread::Table(offsets) => {
            let outputs = g.groups * g.o;
            // SAFETY: indices of the gradient.
            let copy =
                Weights::gather(g.n, outputs, positions, |n, o, q| unsafe { *dy.element(n, o, [0; 3]).offset(offsets[q]) })?;
            let steps = [(outputs * positions) as isize, positions as isize, 0, 0, 0];
            (Tensor { ptr: copy.group(0).ptr, steps }, 1, Some(copy))
        }
    };
    // Single positions follow each other from image to image.
    let (run_len, cs) = if positions == 1 { (g.n, dy.steps[0]) } else { (positions, cs) };
    run::<T>(size, |group, part| {
        let image = x.element(0, group * g.c, [0; 3]);
        let windows = Windows { grid: &grid, image, channel_step: x.steps[1], steps: spatial(&x) };
        let b = Transposed { windows, image_step: x.steps[0] };
        let a = Matrix { ptr: dy.element(0, group * g.o, [0; 3]), rs: dy.steps[1], cs };
        let pack_a = T::CONVERTS || cs != 1;
        let gemm = Gemm { a, run: run_len.max(1), jump: dy.steps[0], pack_a, b: &b };
        // SAFETY: the caller's promise; parts are disjoint.
        unsafe { part.run(&gemm, &target(group)) }
    })
}

/// # Safety
/// As [`weight_grad`], of f32.
unsafe fn weight_grad_f32<T: Number>(
    g: &Geometry,
    grid: &Grid,
    dy: Tensor<*const T>,
    x: Tensor<*const T>,
    out: Tensor<*mut T>,
) -> Result<()> {
    let (mut dy, outputs, positions) = (dy.cast::<f32>(), g.groups * g.o, grid.positions());
    let copy;
    if dy.steps[4] != 1 && g.result[2] > 1 {
        // SAFETY: indices of the gradient.
        copy = Weights::gather(g.n, outputs, positions, |n, o, q| unsafe { dy.read(n, o, index3(q, g.result)) })?;
        let [_, height, width] = g.result.map(|n| n as isize);
        let steps = [(outputs * positions) as isize, positions as isize, height * width, width, 1];
        dy = Tensor { ptr: copy.group(0).ptr, steps };
    }
    let to = Filter {
        ptr: out.ptr.cast::<f32>().cast_const(),
        group: g.o as isize * out.steps[0],
        row: out.steps[0],
        channel: out.steps[1],
        taps: (0..g.taps()).map(|t| at(&out.steps, 0, 0, index3(t, g.kernel))).collect(),
    };
    let w = WeightGrad { grid, images: g.n, groups: g.groups, channels: g.c, rows: g.o, x: x.cast(), dy, to: &to };
    // SAFETY: the caller's promise.
    unsafe { w.run() }
}
