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
use plan::{Place, Plan, Step};
use smallvec::SmallVec;
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes of a register's tile.
const SLOT: usize = 4096;

/// See [`Backend`].
pub fn pointwise(program: &Program, ins: &[View], outs: &mut [ViewMut]) -> Result<()> {
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
        pool::for_ranges(geometry.tiles, grain, |tiles| run_tiles(&plan, tiles, &failed));
    }
    if failed.into_inner() { Err(Error::runtime("ZeroDivisionError")) } else { Ok(()) }
}

/// See [`Backend`].
pub fn instruction(inst: Inst, ins: &[View], out: &mut ViewMut) -> Result<()> {
    if direct::instruction(inst, ins, out) {
        return Ok(());
    }
    pointwise(&Program::of(inst, ins.iter().map(|x| x.dtype)), ins, std::slice::from_mut(out))
}

/// What the unsafe code below relies on: the views have one shape and the dtypes that the program says.
fn check(program: &Program, ins: &[View], outs: &[ViewMut]) -> Result<()> {
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
    let mut worker =
        Worker { plan, slots: slots.as_mut_ptr().cast(), regs: SmallVec::from_elem(std::ptr::null_mut(), plan.regs) };
    // SAFETY: `Plan::new` has checked the program and placed the registers; the tiles are of its geometry.
    unsafe {
        worker.hoist();
        for t in tiles {
            if !worker.tile(t) {
                failed.store(true, Ordering::Relaxed);
                break;
            }
        }
    }
    let _ = SLOTS.try_with(|s| s.set(slots));
}

/// The registers of one thread at work.
struct Worker<'a> {
    plan: &'a Plan<'a>,
    slots: *mut u8,
    /// Where each register's tile lies now.
    regs: SmallVec<[*mut u8; 16]>,
}

impl Worker<'_> {
    fn slot(&self, slot: u16) -> *mut u8 {
        // Within the reserved vector: the plan counts its slots.
        self.slots.wrapping_add(slot as usize * SLOT)
    }

    /// Fills the registers that are the same for every tile.
    unsafe fn hoist(&mut self) {
        let g = &self.plan.geometry;
        let n = g.tile.min(g.numel);
        for step in &self.plan.hoisted {
            // SAFETY: as for `tile`; tile 0 stands for all.
            unsafe {
                match *step {
                    Step::Const { value, dtype, reg, slot, is_number } => {
                        self.regs[reg as usize] = self.slot(slot);
                        strided::splat_scalar(value, dtype, self.slot(slot), if is_number { 1 } else { n });
                    }
                    Step::Load { input, reg, slot, raw } => self.load(input, reg, slot, raw, 0, n),
                    _ => unreachable!("only constants and loads are hoisted"),
                }
            }
        }
    }

    /// Runs all instructions for tile `t`; false where a divisor is zero.
    unsafe fn tile(&mut self, t: usize) -> bool {
        let plan = self.plan;
        let n = plan.geometry.tile_len(t);
        for step in &plan.steps {
            // SAFETY: the plan's registers are apart from each other, valid for a tile, and of the kernels' dtypes.
            unsafe {
                match *step {
                    Step::Load { input, reg, slot, raw } => self.load(input, reg, slot, raw, t, n),
                    Step::Run { kernel, args: [a, b, c], reg, place } => {
                        let o = match place {
                            Place::Slot(slot) => self.slot(slot),
                            Place::Out(k) => plan.geometry.tile_ptr(plan.out(k), t),
                        };
                        self.regs[reg as usize] = o;
                        kernel(self.regs[a as usize], self.regs[b as usize], self.regs[c as usize], o, n);
                    }
                    Step::Round { reg, dtype } => simd::round_half(dtype, self.regs[reg as usize], n),
                    Step::CheckDivisor { reg, dtype } => {
                        if strided::any_zero(dtype, self.regs[reg as usize], n) {
                            return false;
                        }
                    }
                    Step::Store { out, reg, raw } => self.store(out, reg, raw, t, n),
                    Step::Const { .. } => unreachable!("constants are hoisted"),
                }
            }
        }
        true
    }

    unsafe fn load(&mut self, input: u8, reg: Reg, slot: Option<u16>, raw: Option<u16>, t: usize, n: usize) {
        let plan = self.plan;
        let x = &plan.geometry.operands[input as usize];
        let Some(slot) = slot.map(|s| self.slot(s)) else {
            self.regs[reg as usize] = plan.geometry.tile_ptr(input as usize, t);
            return;
        };
        self.regs[reg as usize] = slot;
        // SAFETY: the tile's elements lie within the view; slots hold a tile.
        unsafe {
            match (plan.converts(x.dtype), raw.map(|r| self.slot(r))) {
                (false, _) => plan.geometry.gather(input as usize, t, n, slot),
                (true, None) => simd::from_half(x.dtype, plan.geometry.tile_ptr(input as usize, t), slot, n),
                (true, Some(raw)) => {
                    plan.geometry.gather(input as usize, t, n, raw);
                    simd::from_half(x.dtype, raw, slot, n);
                }
            }
        }
    }

    unsafe fn store(&self, out: u8, reg: Reg, raw: Option<u16>, t: usize, n: usize) {
        let (plan, from) = (self.plan, self.regs[reg as usize]);
        let o = plan.out(out);
        let dtype = plan.geometry.operands[o].dtype;
        // SAFETY: the tile's elements lie within the view, which no other thread writes.
        unsafe {
            match (plan.converts(dtype), raw.map(|r| self.slot(r))) {
                (false, _) => plan.geometry.scatter(o, t, n, from),
                (true, None) => simd::to_half(dtype, from, plan.geometry.tile_ptr(o, t), n),
                (true, Some(raw)) => {
                    simd::to_half(dtype, from, raw, n);
                    plan.geometry.scatter(o, t, n, raw);
                }
            }
        }
    }
}
