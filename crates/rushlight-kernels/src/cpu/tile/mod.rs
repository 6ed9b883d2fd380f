//! The tile executor: runs programs.
//!
//! Dimensions are reordered and merged; the elements are then walked in tiles of about a thousand, for which each instruction is one
//! call of a tile kernel on registers that lie in L1 (`geometry` places the tiles, `plan` the registers, `strided` moves elements
//! between views and registers). Broadcasting, strides, conversions and threads are handled here once, for every op.
//! Must not live here: arithmetic (`simd`), promotion and broadcasting rules (one floor up).
//!
//! Aliasing: an output may be exactly an input. Tiles are the same elements in both, and a tile is stored only after all of its
//! instructions have run; kernels write to an output directly only where no output is an input.

mod direct;
mod geometry;
mod plan;
mod strided;
#[cfg(test)]
mod tests;

use crate::backend::*;
use crate::cpu::{copy, pool, simd};
use crate::*;
use direct::Direct;
use geometry::Cursor;
use plan::{Place, Plan, Step};
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes of a register's tile.
const SLOT: usize = 4096;

/// See [`Backend`].
pub fn pointwise(program: &Program, ins: &[View], outs: &mut [ViewMut]) -> Result<()> {
    if let ([out], Some(inst)) = (&mut *outs, program.only_instruction())
        && program.dtypes.iter().zip(ins).all(|(d, x)| x.dtype == *d)
        && direct::instruction(inst, ins, out)
    {
        return Ok(());
    }
    check(program, ins, outs)?;
    let Some(first) = outs.first() else { return Ok(()) };
    let numel = first.numel();
    if numel == 0 {
        return Ok(());
    }
    if let ([Inst::Load(0)], [x], [out]) = (program.insts.as_slice(), ins, &mut *outs) {
        copy::copy(*x, out);
        return Ok(());
    }
    if let Some(op) = Direct::new(program, ins, outs) {
        op.run(numel);
        return Ok(());
    }
    if direct::constant(program, ins, outs, numel) {
        return Ok(());
    }
    let plan = Plan::new(program, ins, outs)?;
    let geometry = &plan.geometry;
    let failed = AtomicBool::new(false);
    let grain = (plan.grain / geometry.tile).max(1);
    if geometry.tiles <= grain {
        run_tiles(&plan, 0..geometry.tiles, &failed);
    } else {
        pool::for_even_ranges(geometry.tiles, grain, 1, |tiles| run_tiles(&plan, tiles, &failed));
    }
    if failed.into_inner() { Err(zero_division()) } else { Ok(()) }
}

/// [`pointwise`] on this thread alone, for views that [`check`] would find right: the parts of those that it has seen.
pub(crate) fn pointwise_here(program: &Program, ins: &[View], outs: &mut [ViewMut]) -> Result<()> {
    let Some(numel) = outs.first().map(|out| out.numel()).filter(|&n| n > 0) else { return Ok(()) };
    if let Some(op) = Direct::new(program, ins, outs) {
        op.part(0, numel);
        return Ok(());
    }
    let plan = Plan::new(program, ins, outs)?;
    let failed = AtomicBool::new(false);
    run_tiles(&plan, 0..plan.geometry.tiles, &failed);
    if failed.into_inner() { Err(zero_division()) } else { Ok(()) }
}

fn zero_division() -> Error {
    Error::runtime("ZeroDivisionError")
}

/// See [`Backend`].
pub fn instruction(inst: Inst, ins: &[View], out: &mut ViewMut) -> Result<()> {
    if direct::instruction(inst, ins, out) {
        return Ok(());
    }
    pointwise(&Program::of(inst, ins.iter().map(|x| x.dtype)), ins, std::slice::from_mut(out))
}

/// What the unsafe code below relies on: the views have one shape and the dtypes that the program says.
pub(crate) fn check(program: &Program, ins: &[View], outs: &[ViewMut]) -> Result<()> {
    let bad = |what: String| Err(Error::runtime(format!("pointwise: {what}")));
    if program.outs.len() != outs.len() || program.insts.len() != program.dtypes.len() {
        return bad(format!("the program has {} outputs, but {} were given", program.outs.len(), outs.len()));
    }
    for (&r, out) in program.outs.iter().zip(outs) {
        if program.dtypes.get(r as usize) != Some(&out.dtype) || out.shape() != outs[0].shape() {
            return bad(format!("an output {:?} of {} does not fit the program", out.shape(), out.dtype));
        }
    }
    if let Some(x) = ins.iter().find(|x| outs.first().is_some_and(|out| x.shape() != out.shape())) {
        return bad(format!("an input has shape {:?}, the output {:?}", x.shape(), outs[0].shape()));
    }
    for (i, inst) in program.insts.iter().enumerate() {
        if !well_formed(program, ins, i, inst) {
            return bad(format!("instruction {i}, {inst:?}, has wrong operands"));
        }
    }
    Ok(())
}

/// Whether instruction `i` reads registers below it, of dtypes that fit.
fn well_formed(program: &Program, ins: &[View], i: usize, inst: &Inst) -> bool {
    let dtype = program.dtypes[i];
    let of = |r: Reg| program.dtypes[..i].get(r as usize).copied();
    match *inst {
        Inst::Load(k) => ins.get(k as usize).is_some_and(|x| x.dtype == dtype),
        Inst::Const(_) => true,
        Inst::Un(op, a) => of(a).is_some_and(|a| op.result(a) == dtype),
        Inst::Bin(op, a, b) => of(a).is_some_and(|d| of(b) == Some(d) && op.result(d) == dtype),
        Inst::Tern(op, a, b, c) => {
            let first = if op == TernOp::Where { DType::Bool } else { dtype };
            of(a) == Some(first) && of(b) == Some(dtype) && of(c) == Some(dtype)
        }
        Inst::Cast(to, a) => of(a).is_some() && to == dtype,
    }
}

/// Bytes per element of a register; f16 and bf16 are held as f32.
fn register_size(dtype: DType) -> usize {
    dtype.compute().size()
}

fn is_half(dtype: DType) -> bool {
    matches!(dtype, DType::F16 | DType::BF16)
}

/// First element of a view, as bytes.
fn start(x: &View) -> *mut u8 {
    match x.dtype.size() {
        1 => x.ptr::<u8>() as *mut u8,
        2 => x.ptr::<u16>() as *mut u8,
        4 => x.ptr::<u32>() as *mut u8,
        _ => x.ptr::<u64>() as *mut u8,
    }
}

/// One register's tile.
#[repr(C, align(64))]
struct Slot(MaybeUninit<[u8; SLOT]>);

thread_local! {
    /// Registers of this thread, kept between calls.
    static SLOTS: Cell<Vec<Slot>> = const { Cell::new(Vec::new()) };
}

/// Runs the plan for a range of tiles.
fn run_tiles(plan: &Plan, tiles: std::ops::Range<usize>, failed: &AtomicBool) {
    let mut slots = SLOTS.try_with(Cell::take).unwrap_or_default();
    slots.reserve(plan.slots);
    let scratch = slots.as_mut_ptr();
    // Within the reserved vector: the plan counts its slots.
    let at = plan.geometry.cursor((0..plan.slots).map(|slot| scratch.wrapping_add(slot).cast()));
    let mut worker = Worker { plan, at };
    // SAFETY: `Plan::new` has checked the program and placed the registers; the tiles are of its geometry.
    unsafe {
        // Tile 0 stands for all; none is longer.
        worker.hoist();
        plan.geometry.seek(&mut worker.at, tiles.start);
        if let [Step::Run { kernel, args: [a, b, c], to }] = plan.steps[..] {
            worker.alone(kernel, [a, b, c, to], tiles.end);
        } else {
            for _ in tiles {
                if !worker.tile() {
                    failed.store(true, Ordering::Relaxed);
                    break;
                }
                plan.geometry.step(&mut worker.at);
            }
        }
    }
    let _ = SLOTS.try_with(|s| s.set(slots));
}

/// One thread at work.
struct Worker<'a> {
    plan: &'a Plan<'a>,
    /// The tile that is being computed.
    at: Cursor,
}

impl Worker<'_> {
    fn place(&self, place: Place) -> *mut u8 {
        self.at.places[place as usize]
    }

    /// Fills the registers that are the same for every tile.
    unsafe fn hoist(&self) {
        for step in &self.plan.hoisted {
            // SAFETY: as for `tile`.
            unsafe {
                match *step {
                    Step::Const { value, dtype, to, is_number } => {
                        strided::splat_scalar(value, dtype, self.place(to), if is_number { 1 } else { self.at.len });
                    }
                    Step::Load { input, to, raw } => self.load(input, to, raw),
                    _ => unreachable!("only constants and loads are hoisted"),
                }
            }
        }
    }

    /// Runs all instructions for the tile; false where a divisor is zero.
    #[inline]
    unsafe fn tile(&self) -> bool {
        let n = self.at.len;
        for step in &self.plan.steps {
            // SAFETY: the plan's registers are apart from each other, valid for a tile, and of the kernels' dtypes.
            unsafe {
                match *step {
                    Step::Run { kernel, args: [a, b, c], to } => {
                        kernel(self.place(a), self.place(b), self.place(c), self.place(to), n)
                    }
                    Step::Load { input, to, raw } => self.load(input, to, raw),
                    Step::Round { at, dtype } => simd::round_half(dtype, self.place(at), n),
                    Step::CheckDivisor { at, dtype } => {
                        if strided::any_zero(dtype, self.place(at), n) {
                            return false;
                        }
                    }
                    Step::Store { out, from, raw } => self.store(out, from, raw),
                    Step::Const { .. } => unreachable!("constants are hoisted"),
                }
            }
        }
        true
    }

    /// Runs the only instruction there is up to tile `end`: tiles may be short rows, between which little should happen.
    unsafe fn alone(&mut self, kernel: simd::Kernel, places: [Place; 4], end: usize) {
        let geometry = &self.plan.geometry;
        let steps = places.map(|place| geometry.operands.get(place as usize).map_or(0, |x| x.step));
        loop {
            let (n, run) = (self.at.len, (self.at.regular + 1).min(end - self.at.tile));
            let mut at = places.map(|place| self.place(place));
            for _ in 0..run {
                // SAFETY: as for `tile`; the tiles of a run are one step apart each.
                unsafe { kernel(at[0], at[1], at[2], at[3], n) };
                for (at, step) in at.iter_mut().zip(steps) {
                    *at = at.wrapping_offset(step);
                }
            }
            let next = self.at.tile + run;
            if next == end {
                return;
            }
            geometry.seek(&mut self.at, next);
        }
    }

    unsafe fn load(&self, input: u8, to: Place, raw: Option<Place>) {
        let (geometry, to, n) = (&self.plan.geometry, self.place(to), self.at.len);
        let dtype = geometry.operands[input as usize].dtype;
        // SAFETY: the tile's elements lie within the view; scratch holds a tile.
        unsafe {
            match (self.plan.converts(dtype), raw.map(|r| self.place(r))) {
                (false, _) => geometry.gather(input as usize, &self.at, to),
                (true, None) => simd::from_half(dtype, self.at.places[input as usize], to, n),
                (true, Some(raw)) => {
                    geometry.gather(input as usize, &self.at, raw);
                    simd::from_half(dtype, raw, to, n);
                }
            }
        }
    }

    unsafe fn store(&self, out: u8, from: Place, raw: Option<Place>) {
        let (geometry, from, n) = (&self.plan.geometry, self.place(from), self.at.len);
        let o = self.plan.out(out);
        let dtype = geometry.operands[o].dtype;
        // SAFETY: the tile's elements lie within the view, which no other thread writes.
        unsafe {
            match (self.plan.converts(dtype), raw.map(|r| self.place(r))) {
                (false, _) => geometry.scatter(o, &self.at, from),
                (true, None) => simd::to_half(dtype, from, self.at.places[o], n),
                (true, Some(raw)) => {
                    simd::to_half(dtype, from, raw, n);
                    geometry.scatter(o, &self.at, raw);
                }
            }
        }
    }
}
