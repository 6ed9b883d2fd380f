//! Recurrent layers: all time steps in one kernel.
//!
//! Rows of the batch never meet, so each task takes a few of them through the whole sequence, and no step waits for another thread. The
//! weights are packed once. What the steps keep for the derivative are the gates after their nonlinearities: nothing is computed twice. The
//! gradients of the weights are products over all steps, which the caller takes from the gradients of the gates.

mod cells;
#[cfg(test)]
mod tests;

use super::matmul::{Acc, Matrix, Panels, scratch, try_run};
use super::rows::Shared;
use super::simd::{self, Body, Isa, Real};
use crate::backend::*;
use crate::*;
use cells::{Cell, Gru, Lstm, Relu, Tanh};

/// Rows of a task: enough for the micro-kernels, and two tasks from 16 rows on.
const ROWS: usize = 16;
const FEW_ROWS: usize = 8;

/// The sizes of a layer, and the order of its steps.
#[derive(Clone, Copy)]
struct Sizes {
    steps: usize,
    batch: usize,
    hidden: usize,
    backwards: bool,
}

impl Sizes {
    /// Where in the sequence step `s` is.
    fn time(&self, s: usize) -> usize {
        if self.backwards { self.steps - 1 - s } else { s }
    }

    /// Runs `f` for the rows from its first argument on, as many as its second says.
    fn blocks(&self, f: impl Fn(usize, usize) -> Result<()> + Sync) -> Result<()> {
        let rows = if self.batch >= 2 * ROWS { ROWS } else { FEW_ROWS };
        try_run(self.batch.div_ceil(rows), |i| f(i * rows, rows.min(self.batch - i * rows)))
    }
}

/// Checks that all tensors are dense and of one dtype with a kernel, and finds the sizes; `None` if not.
fn sizes(cell: RecurrentCell, backwards: bool, shape: [&[usize]; 2], ins: &[View], outs: &[ViewMut]) -> Option<Sizes> {
    let dtype = ins[0].dtype;
    let suits = |d: DType, l: &Layout| d == dtype && l.is_contiguous();
    let dense = ins.iter().all(|v| suits(v.dtype, v.layout)) && outs.iter().all(|v| suits(v.dtype, v.layout));
    let (&[steps, batch, gates], &[_, hidden]) = (shape[0], shape[1]) else { return None };
    (dense && matches!(dtype, DType::F32 | DType::F64) && gates == cell.gates() * hidden && hidden > 0).then_some(Sizes {
        steps,
        batch,
        hidden,
        backwards,
    })
}

macro_rules! dispatch_cell {
    ($cell:expr, $dtype:expr, $f:ident $args:tt) => {
        match ($cell, $dtype) {
            (RecurrentCell::Lstm, DType::F32) => $f::<f32, Lstm> $args,
            (RecurrentCell::Lstm, _) => $f::<f64, Lstm> $args,
            (RecurrentCell::Gru, DType::F32) => $f::<f32, Gru> $args,
            (RecurrentCell::Gru, _) => $f::<f64, Gru> $args,
            (RecurrentCell::Tanh, DType::F32) => $f::<f32, Tanh> $args,
            (RecurrentCell::Tanh, _) => $f::<f64, Tanh> $args,
            (RecurrentCell::Relu, DType::F32) => $f::<f32, Relu> $args,
            (RecurrentCell::Relu, _) => $f::<f64, Relu> $args,
        }
    };
}

/// See [`KernelId::Recurrent`].
pub fn forward(cell: RecurrentCell, backwards: bool, ins: &[View], outs: &mut [ViewMut]) -> Result<Option<()>> {
    let Some(sizes) = sizes(cell, backwards, [ins[0].shape(), ins[1].shape()], ins, outs) else { return Ok(None) };
    // SAFETY: the views are dense, of these sizes and this dtype; the outputs overlap nothing.
    unsafe { dispatch_cell!(cell, ins[0].dtype, run_forward(sizes, ins, outs)) }.map(Some)
}

/// See [`KernelId::RecurrentBackward`].
pub fn backward(cell: RecurrentCell, backwards: bool, ins: &[View], outs: &mut [ViewMut]) -> Result<Option<()>> {
    let Some(sizes) = sizes(cell, backwards, [outs[0].shape(), ins[2].shape()], ins, outs) else { return Ok(None) };
    // SAFETY: as above.
    unsafe { dispatch_cell!(cell, ins[0].dtype, run_backward(sizes, ins, outs)) }.map(Some)
}

/// # Safety
/// The views are dense and have the sizes that [`KernelId::Recurrent`] tells; the outputs overlap nothing.
unsafe fn run_forward<A: Acc + Real, C: Cell>(z: Sizes, ins: &[View], outs: &mut [ViewMut]) -> Result<()> {
    let (h, width, kept) = (z.hidden, C::GATES * z.hidden, C::SAVED * z.hidden);
    let (x, first, w) = (ins[0].ptr::<A>(), ins[1].ptr::<A>(), ins[2].ptr::<A>());
    let more = ins.get(3).map(|v| Shared::new(v.ptr::<A>().cast_mut()));
    let inputs = [x, first].map(|p| Shared::new(p.cast_mut()));
    let y = Shared::new(outs[0].ptr::<A>());
    let last_cell = C::HAS_CELL.then(|| Shared::new(outs[1].ptr::<A>()));
    let saved = outs.get_mut(1 + C::HAS_CELL as usize).map(|v| Shared::new(v.ptr::<A>()));
    // SAFETY: the weights lie in memory, seen as their transpose.
    let weights = unsafe { Panels::new(Matrix { ptr: w, rs: 1, cs: h as isize }, h, width)? };
    z.blocks(|from, rows| {
        let [x, first] = [inputs[0].get(), inputs[1].get()];
        let gates = scratch::<A>(rows * width)?;
        let cells = scratch::<A>(if C::HAS_CELL { rows * h } else { 0 })?;
        let unsaved = scratch::<A>(if saved.is_none() { kept } else { 0 })?;
        let (gates, cells) = (gates.as_ptr().cast::<A>(), cells.as_ptr().cast::<A>());
        // SAFETY: rows of this task's own, in dense matrices of these sizes.
        unsafe {
            if let (true, Some(c)) = (C::HAS_CELL, &more) {
                std::ptr::copy_nonoverlapping(c.get().add(from * h), cells, rows * h);
            }
            for s in 0..z.steps {
                let row = z.time(s) * z.batch + from;
                let before = if s == 0 { first.add(from * h) } else { y.get().add((z.time(s - 1) * z.batch + from) * h) };
                let x = x.add(row * width);
                // The gates start as what adds to them, whatever that is for this cell.
                match (&more, C::SPLITS_INPUT) {
                    (_, false) => std::ptr::copy_nonoverlapping(x, gates, rows * width),
                    (Some(bias), true) => {
                        (0..rows).for_each(|i| std::ptr::copy_nonoverlapping(bias.get(), gates.add(i * width), width));
                    }
                    (None, true) => {}
                }
                weights.multiply(rows, before, h, gates, width, !C::SPLITS_INPUT || more.is_some());
                simd::run_widest(Step::<A, C> {
                    rows,
                    hidden: h,
                    x,
                    gates,
                    before,
                    cells,
                    saved: saved.as_ref().map_or(unsaved.as_ptr().cast(), |s| s.get().add(row * kept)),
                    keep: saved.is_some(),
                    y: y.get().add(row * h),
                    cell: std::marker::PhantomData,
                });
            }
            if let Some(c) = &last_cell {
                std::ptr::copy_nonoverlapping(cells, c.get().add(from * h), rows * h);
            }
        }
        Ok(())
    })
}

/// The pointwise part of one step for some rows.
struct Step<A, C> {
    rows: usize,
    hidden: usize,
    x: *const A,
    gates: *const A,
    before: *const A,
    cells: *mut A,
    saved: *mut A,
    keep: bool,
    y: *mut A,
    cell: std::marker::PhantomData<C>,
}

impl<A: Real, C: Cell> Body for Step<A, C> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        let (h, width, kept) = (self.hidden, C::GATES * self.hidden, C::SAVED * self.hidden);
        for i in 0..self.rows {
            // SAFETY: made by `run_forward`, whose matrices have these rows; none of those written overlaps another.
            unsafe {
                let read = |p: *const A, n: usize| std::slice::from_raw_parts(p.add(i * n), n);
                let cell = if C::HAS_CELL { std::slice::from_raw_parts_mut(self.cells.add(i * h), h) } else { &mut [] };
                let at = if self.keep { i * kept } else { 0 };
                let saved = std::slice::from_raw_parts_mut(self.saved.add(at), kept);
                let y = std::slice::from_raw_parts_mut(self.y.add(i * h), h);
                C::forward::<S, A>(read(self.x, width), read(self.gates, width), read(self.before, h), cell, saved, y);
            }
        }
    }
}

/// # Safety
/// As [`run_forward`], for [`KernelId::RecurrentBackward`].
unsafe fn run_backward<A: Acc + Real, C: Cell>(z: Sizes, ins: &[View], outs: &mut [ViewMut]) -> Result<()> {
    let (h, width, kept) = (z.hidden, C::GATES * z.hidden, C::SAVED * z.hidden);
    let at = |i: usize| Shared::new(ins[i].ptr::<A>().cast_mut());
    let (gy, y, first, w, saved) = (at(0), at(1), at(2), ins[3].ptr::<A>(), at(4));
    let cell = C::HAS_CELL.then(|| (at(5), at(6)));
    let (gx, gh) = (Shared::new(outs[0].ptr::<A>()), Shared::new(outs[1].ptr::<A>()));
    let third = outs.get_mut(2).map(|v| Shared::new(v.ptr::<A>()));
    // SAFETY: the weights lie in memory.
    let weights = unsafe { Panels::new(Matrix { ptr: w, rs: h as isize, cs: 1 }, width, h)? };
    z.blocks(|from, rows| {
        // The gradients of the states are carried where they end up.
        let carried = gh.get().wrapping_add(from * h);
        // SAFETY: rows of this task's own, in dense matrices of these sizes.
        unsafe {
            std::slice::from_raw_parts_mut(carried, rows * h).fill(<A as Real>::ZERO);
            let mut carried_cell = std::ptr::NonNull::<A>::dangling().as_ptr();
            if let (Some((_, gc)), Some(third)) = (&cell, &third) {
                carried_cell = third.get().add(from * h);
                std::ptr::copy_nonoverlapping(gc.get().add(from * h), carried_cell, rows * h);
            }
            for s in (0..z.steps).rev() {
                let row = z.time(s) * z.batch + from;
                let earlier = (s > 0).then(|| z.time(s - 1) * z.batch + from);
                // Where the cells before this step are, and how far apart.
                let (cell_before, cell_step) = match (&cell, earlier) {
                    (None, _) => (first.get().cast_const(), 0),
                    (Some((c, _)), None) => (c.get().add(from * h).cast_const(), h),
                    (Some(_), Some(e)) => (saved.get().add(e * kept + C::CELL_AT * h).cast_const(), kept),
                };
                let to_x = gx.get().add(row * width);
                let to_gates = if C::SPLITS_INPUT { third.as_ref().map_or(to_x, |g| g.get().add(row * width)) } else { to_x };
                simd::run_widest(StepBack::<A, C> {
                    rows,
                    hidden: h,
                    gy: gy.get().add(row * h),
                    y: y.get().add(row * h),
                    before: earlier.map_or(first.get().add(from * h), |e| y.get().add(e * h)),
                    cell_before,
                    cell_step,
                    saved: saved.get().add(row * kept),
                    to_x,
                    to_gates,
                    carried,
                    carried_cell,
                    cell: std::marker::PhantomData,
                });
                weights.multiply(rows, to_gates, width, carried, h, C::SPLITS_INPUT);
            }
        }
        Ok(())
    })
}

/// The pointwise part of one step back for some rows.
struct StepBack<A, C> {
    rows: usize,
    hidden: usize,
    gy: *const A,
    y: *const A,
    before: *const A,
    cell_before: *const A,
    cell_step: usize,
    saved: *const A,
    to_x: *mut A,
    /// The same as `to_x` for cells that only add the two parts of their gates.
    to_gates: *mut A,
    carried: *mut A,
    carried_cell: *mut A,
    cell: std::marker::PhantomData<C>,
}

impl<A: Real, C: Cell> Body for StepBack<A, C> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        let (h, width, kept) = (self.hidden, C::GATES * self.hidden, C::SAVED * self.hidden);
        for i in 0..self.rows {
            // SAFETY: made by `run_backward`, whose matrices have these rows; `to_gates` is only used where it is a matrix of its own.
            unsafe {
                let read = |p: *const A, step: usize, n: usize| std::slice::from_raw_parts(p.add(i * step), n);
                let write = |p: *mut A, n: usize| std::slice::from_raw_parts_mut(p.add(i * n), n);
                C::backward::<S, A>(
                    read(self.gy, h, h),
                    read(self.y, h, h),
                    read(self.before, h, h),
                    if C::HAS_CELL { read(self.cell_before, self.cell_step, h) } else { &[] },
                    read(self.saved, kept, kept),
                    write(self.to_x, width),
                    if C::SPLITS_INPUT { write(self.to_gates, width) } else { &mut [] },
                    write(self.carried, h),
                    if C::HAS_CELL { write(self.carried_cell, h) } else { &mut [] },
                );
            }
        }
    }
}
