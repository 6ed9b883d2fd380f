//! Which steps run for each tile, and where each register lies.

use super::geometry::{Access, Geometry};
use super::is_half;
use crate::backend::*;
use crate::cpu::simd;
use crate::*;
use smallvec::SmallVec;

/// Where an instruction's result goes.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// A register's tile.
    Slot(u16),
    /// The output with this number, whose tiles are contiguous.
    Out(u8),
}

/// One step of a tile.
#[derive(Clone, Copy)]
pub(super) enum Step {
    /// Brings an input's tile to `slot`, or points into the buffer where there is no slot. Strided halves pass through `raw`.
    Load { input: u8, reg: Reg, slot: Option<u16>, raw: Option<u16> },
    /// Fills a register.
    Const { value: Scalar, dtype: DType, reg: Reg, slot: u16 },
    /// Runs an instruction.
    Run { kernel: simd::Kernel, args: [Reg; 3], reg: Reg, place: Place },
    /// Rounds a register to the half type it stands for.
    Round { reg: Reg, dtype: DType },
    /// Fails if the register holds a zero.
    CheckDivisor { reg: Reg, dtype: DType },
    /// Writes a register to an output. Strided halves pass through `raw`.
    Store { out: u8, reg: Reg, raw: Option<u16> },
}

/// A program made ready for its views.
pub(super) struct Plan<'a> {
    pub(super) geometry: Geometry,
    /// Steps that are the same for all tiles.
    pub(super) hoisted: SmallVec<[Step; 2]>,
    pub(super) steps: SmallVec<[Step; 6]>,
    /// Tiles of scratch memory.
    pub(super) slots: usize,
    /// Number of registers.
    pub(super) regs: usize,
    /// Elements per chunk of work.
    pub(super) grain: usize,
    inputs: usize,
    /// No arithmetic: halves are just bits.
    moves_bits: bool,
    views: std::marker::PhantomData<&'a Buffer>,
}

// SAFETY: the pointers come from views, which are Send and Sync; tiles are disjoint.
unsafe impl Sync for Plan<'_> {}

/// Elements per chunk of work for a cost in tenths of a nanosecond: about 20 µs.
pub(super) fn grain(cost: usize) -> usize {
    (200_000 / cost.max(1)).max(1)
}

/// Gives out slots and takes them back.
#[derive(Default)]
struct Slots {
    free: SmallVec<[u16; 16]>,
    count: u16,
    raw: Option<u16>,
}

impl Slots {
    /// One that no other register ever uses.
    fn fresh(&mut self) -> u16 {
        self.count += 1;
        self.count - 1
    }
    /// One that may have been another register's, earlier in the tile.
    fn take(&mut self) -> u16 {
        self.free.pop().unwrap_or_else(|| self.fresh())
    }
    /// The one slot that halves pass through.
    fn raw(&mut self) -> u16 {
        let raw = self.raw.unwrap_or_else(|| self.fresh());
        self.raw = Some(raw);
        raw
    }
}

/// Facts about the registers of a program.
struct Uses {
    /// The last instruction that reads each register.
    last: SmallVec<[usize; 16]>,
    /// Whether an instruction reads it.
    read: SmallVec<[bool; 16]>,
}

impl Uses {
    fn new(program: &Program) -> Uses {
        let n = program.insts.len();
        let mut uses = Uses { last: SmallVec::from_elem(0, n), read: SmallVec::from_elem(false, n) };
        for (i, inst) in program.insts.iter().enumerate() {
            for r in inst.operands() {
                uses.last[r as usize] = i;
                uses.read[r as usize] = true;
            }
        }
        // Outputs are stored when all instructions have run.
        for &r in &program.outs {
            uses.last[r as usize] = usize::MAX;
        }
        uses
    }
}

impl<'a> Plan<'a> {
    pub(super) fn new(program: &Program, ins: &'a [View], outs: &'a [ViewMut]) -> Result<Plan<'a>> {
        let mut plan = Plan {
            geometry: Geometry::new(program, ins, outs),
            hoisted: SmallVec::new(),
            steps: SmallVec::new(),
            slots: 0,
            regs: program.insts.len(),
            grain: 0,
            inputs: ins.len(),
            moves_bits: program.insts.iter().all(|i| matches!(i, Inst::Load(_))),
            views: std::marker::PhantomData,
        };
        let (ins, outs) = plan.geometry.operands.split_at(ins.len());
        let in_place = ins.iter().any(|x| outs.iter().any(|o| o.start == x.start));
        plan.lay_out(program, &Uses::new(program), in_place)?;
        plan.grain = grain(plan.cost(program));
        Ok(plan)
    }

    /// The operand number of output `k`.
    pub(super) fn out(&self, k: u8) -> usize {
        self.inputs + k as usize
    }

    /// Whether elements of `dtype` change when they become registers.
    pub(super) fn converts(&self, dtype: DType) -> bool {
        is_half(dtype) && !self.moves_bits
    }

    fn access(&self, operand: usize) -> Access {
        self.geometry.operands[operand].access
    }

    fn is_dense(&self, operand: usize) -> bool {
        matches!(self.access(operand), Access::Linear | Access::Row)
    }

    fn lay_out(&mut self, program: &Program, uses: &Uses, in_place: bool) -> Result<()> {
        let mut slots = Slots::default();
        let mut slot_of: SmallVec<[Option<u16>; 16]> = SmallVec::from_elem(None, program.insts.len());
        for (i, inst) in program.insts.iter().enumerate() {
            let dtype = program.dtypes[i];
            match *inst {
                Inst::Load(input) => {
                    let hoisted = self.access(input as usize) == Access::Same;
                    // A borrowed input must not be overwritten by another output before it is stored.
                    let borrow =
                        self.is_dense(input as usize) && !self.converts(dtype) && !(in_place && uses.last[i] == usize::MAX);
                    let slot = (!borrow).then(|| if hoisted { slots.fresh() } else { slots.take() });
                    let raw = (self.converts(dtype) && !self.is_dense(input as usize)).then(|| slots.raw());
                    let step = Step::Load { input, reg: i as Reg, slot, raw };
                    if hoisted {
                        self.hoisted.push(step);
                    } else {
                        self.steps.push(step);
                        slot_of[i] = slot;
                    }
                }
                Inst::Const(value) => {
                    self.hoisted.push(Step::Const { value, dtype, reg: i as Reg, slot: slots.fresh() });
                }
                _ => {
                    let (mut kernel, divisor) = kernel(program, inst)?;
                    let operands = inst.operands();
                    let arg = |k: usize| operands[k.min(operands.len() - 1)];
                    let mut args = [arg(0), arg(1), arg(2)];
                    if let Some(reg) = divisor {
                        self.steps.push(Step::CheckDivisor { reg, dtype: program.dtypes[reg as usize] });
                    }
                    let place = match self.direct_output(program, uses, i) {
                        Some((k, onto)) => {
                            if let Some((onto, other)) = onto {
                                (kernel, args) = (onto, [other; 3]);
                            }
                            Place::Out(k)
                        }
                        None => {
                            let slot = slots.take();
                            slot_of[i] = Some(slot);
                            Place::Slot(slot)
                        }
                    };
                    self.steps.push(Step::Run { kernel, args, reg: i as Reg, place });
                    if is_half(dtype) && uses.read[i] {
                        self.steps.push(Step::Round { reg: i as Reg, dtype });
                    }
                }
            }
            // Only now may the operands' slots be given out again: a result never overlaps its operands.
            for r in inst.operands() {
                if uses.last[r as usize] == i {
                    slots.free.extend(slot_of[r as usize].take());
                }
            }
        }
        for (k, &reg) in program.outs.iter().enumerate() {
            if self.direct_output(program, uses, reg as usize).is_some_and(|(direct, _)| direct == k as u8) {
                continue;
            }
            let raw = (self.converts(program.dtypes[reg as usize]) && !self.is_dense(self.out(k as u8))).then(|| slots.raw());
            self.steps.push(Step::Store { out: k as u8, reg, raw });
        }
        self.slots = slots.count as usize;
        Ok(())
    }

    /// The output that instruction `i` may write at once; and where that replaces an operand of this very instruction, the kernel for it and
    /// its other operand.
    fn direct_output(&self, program: &Program, uses: &Uses, i: usize) -> Option<(u8, Option<(simd::Kernel, Reg)>)> {
        if is_half(program.dtypes[i]) || matches!(program.insts[i], Inst::Load(_) | Inst::Const(_)) {
            return None;
        }
        let k = program.outs.iter().position(|&r| r as usize == i)?;
        let out = &self.geometry.operands[self.inputs + k];
        if !self.is_dense(self.inputs + k) {
            return None;
        }
        let mut onto = None;
        for (l, inst) in program.insts.iter().enumerate() {
            let &Inst::Load(input) = inst else { continue };
            let x = &self.geometry.operands[input as usize];
            // What has been copied to a slot is safe, and so is what nobody reads any more.
            let is_borrowed = self.is_dense(input as usize) && uses.last[l] != usize::MAX;
            if x.start != out.start || l < i && (!is_borrowed || uses.last[l] < i) {
                continue;
            }
            if l > i || uses.last[l] > i || onto.is_some() || x.dtype != out.dtype {
                return None;
            }
            onto = Some(simd::onto(program.insts[i], l as Reg, x.dtype)?);
        }
        Some((k as u8, onto))
    }

    /// Tenths of a nanosecond per element, roughly.
    fn cost(&self, program: &Program) -> usize {
        let moved: usize = self.geometry.operands.iter().map(|x| if x.access == Access::Strided { 10 } else { 2 }).sum();
        moved + program.cost()
    }
}

/// The kernel of an instruction, and the register that must hold no zero.
fn kernel(program: &Program, inst: &Inst) -> Result<(simd::Kernel, Option<Reg>)> {
    let dtype = |r: Reg| program.dtypes[r as usize];
    let none =
        |name: &str, d: DType| Error::not_implemented(format!("\"{name}_cpu\" not implemented for '{}'", d.scalar_type_name()));
    Ok(match *inst {
        Inst::Un(op, a) => (simd::un(op, dtype(a)).ok_or_else(|| none(op.name(), dtype(a)))?, None),
        Inst::Bin(op, a, b) => {
            let k = simd::bin(op, dtype(a)).ok_or_else(|| none(op.name(), dtype(a)))?;
            (k, op.divides(dtype(a)).then_some(b))
        }
        Inst::Tern(op, _, b, _) => (simd::tern(op, dtype(b)).ok_or_else(|| none(op.name(), dtype(b)))?, None),
        Inst::Cast(to, a) => (simd::cast(dtype(a), to), None),
        Inst::Load(_) | Inst::Const(_) => unreachable!("loads and constants have no kernel"),
    })
}
