//! Which steps run for each tile, and where each register lies.

use super::geometry::{Access, Geometry};
use super::is_half;
use crate::backend::*;
use crate::cpu::simd;
use crate::*;
use smallvec::SmallVec;

/// Where a register's tile lies: the number of an operand, or of a tile of scratch behind them ([`Cursor`](super::geometry::Cursor)).
pub(super) type Place = u16;

/// One step of a tile.
#[derive(Clone, Copy)]
pub(super) enum Step {
    /// Copies an input's tile to scratch. Strided halves pass through `raw`.
    Load { input: u8, to: Place, raw: Option<Place> },
    /// Fills a register, or its first element where it is only read as a number.
    Const { value: Scalar, dtype: DType, to: Place, is_number: bool },
    /// Runs an instruction.
    Run { kernel: simd::Kernel, args: [Place; 3], to: Place },
    /// Rounds a register to the half type it stands for.
    Round { at: Place, dtype: DType },
    /// Fails if the register holds a zero.
    CheckDivisor { at: Place, dtype: DType },
    /// Writes a register to an output. Strided halves pass through `raw`.
    Store { out: u8, from: Place, raw: Option<Place> },
}

/// A program made ready for its views.
pub(super) struct Plan<'a> {
    pub(super) geometry: Geometry,
    /// Steps that are the same for all tiles.
    pub(super) hoisted: SmallVec<[Step; 2]>,
    pub(super) steps: SmallVec<[Step; 6]>,
    /// Tiles of scratch memory.
    pub(super) slots: usize,
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
    /// Those that hold a single element.
    numbers: u16,
}

impl Slots {
    /// One that no other register ever uses.
    fn fresh(&mut self) -> u16 {
        self.count += 1;
        self.count - 1
    }
    /// One for a single element.
    fn number(&mut self) -> u16 {
        self.numbers += 1;
        self.fresh()
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
    /// Sums `a + b * c` for a number c: the product has no register of its own.
    scaled: SmallVec<[Option<[Reg; 3]>; 16]>,
    /// Products that sums compute.
    absorbed: SmallVec<[bool; 16]>,
    /// One element for all of a tile.
    same: SmallVec<[bool; 16]>,
    /// Those of `same` that all who read them take as one element, so that no more of them need be there.
    number: SmallVec<[bool; 16]>,
}

impl Uses {
    fn new(program: &Program, geometry: &Geometry) -> Uses {
        let n = program.insts.len();
        let falses = || SmallVec::from_elem(false, n);
        let (last, scaled) = (SmallVec::from_elem(0, n), SmallVec::from_elem(None, n));
        let mut uses = Uses { last, read: falses(), scaled, absorbed: falses(), same: falses(), number: falses() };
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
        uses.find_numbers(program, geometry);
        uses
    }

    /// Finds what may stay a single element, and the sums that scale an operand by one.
    fn find_numbers(&mut self, program: &Program, geometry: &Geometry) {
        let could_be: SmallVec<[bool; 16]> = (program.insts.iter().zip(&program.dtypes).zip(&self.last))
            .map(|((inst, dtype), &last)| match *inst {
                Inst::Const(_) => last != usize::MAX && matches!(dtype, DType::F32 | DType::F64),
                Inst::Load(k) => last != usize::MAX && matches!(dtype, DType::F32 | DType::F64) && geometry.is_number(k as usize),
                _ => false,
            })
            .collect();
        if !could_be.contains(&true) {
            return;
        }
        let mut readers: SmallVec<[u8; 16]> = SmallVec::from_elem(0, program.insts.len());
        for r in program.insts.iter().flat_map(|inst| inst.operands()) {
            readers[r as usize] = readers[r as usize].saturating_add(1);
        }
        // A product that only a sum reads.
        let product = |m: Reg| match program.insts[m as usize] {
            Inst::Bin(BinOp::Mul, b, c) if readers[m as usize] == 1 && self.last[m as usize] != usize::MAX => {
                match (could_be[b as usize], could_be[c as usize]) {
                    (false, true) => Some([b, c]),
                    (true, false) => Some([c, b]),
                    _ => None,
                }
            }
            _ => None,
        };
        let mut sums: SmallVec<[(usize, Reg, [Reg; 3]); 4]> = SmallVec::new();
        for (i, inst) in program.insts.iter().enumerate() {
            let Inst::Bin(BinOp::Add, p, q) = *inst else { continue };
            let found = [(p, q), (q, p)].into_iter().find_map(|(a, m)| Some((a, m, product(m)?)));
            if let Some((a, m, [b, c])) = found.filter(|(a, m, _)| a != m && !could_be[*a as usize]) {
                sums.push((i, m, [a, b, c]));
            }
        }
        for (i, m, [a, b, c]) in sums {
            // One whose other operand is a product of this kind too keeps that one as it is.
            if simd::scaled_sum(program.dtypes[i], false).is_none() || self.absorbed[a as usize] {
                continue;
            }
            self.scaled[i] = Some([a, b, c]);
            self.absorbed[m as usize] = true;
            self.last[b as usize] = self.last[b as usize].max(i);
            self.last[c as usize] = self.last[c as usize].max(i);
        }
        self.number = could_be.clone();
        for (i, inst) in program.insts.iter().enumerate() {
            if self.absorbed[i] || self.scaled[i].is_some() {
                continue;
            }
            for r in inst.operands().into_iter().filter(|&r| could_be[r as usize]) {
                if simd::special(*inst, program.dtypes[r as usize], None, |q| could_be[q as usize]).is_none() {
                    self.number[r as usize] = false;
                }
            }
        }
        self.same = could_be;
    }
}

impl<'a> Plan<'a> {
    pub(super) fn new(program: &Program, ins: &'a [View], outs: &'a [ViewMut]) -> Result<Plan<'a>> {
        let mut plan = Plan {
            geometry: Geometry::new(program, ins, outs),
            hoisted: SmallVec::new(),
            steps: SmallVec::new(),
            slots: 0,
            grain: 0,
            inputs: ins.len(),
            moves_bits: program.insts.iter().all(|i| matches!(i, Inst::Load(_))),
            views: std::marker::PhantomData,
        };
        let (ins, outs) = plan.geometry.operands.split_at(ins.len());
        let in_place = ins.iter().any(|x| outs.iter().any(|o| o.start == x.start));
        let uses = Uses::new(program, &plan.geometry);
        if plan.lay_out(program, &uses, in_place)? {
            plan.geometry.enlarge();
        }
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

    /// Whether no register needs a tile of scratch.
    fn lay_out(&mut self, program: &Program, uses: &Uses, in_place: bool) -> Result<bool> {
        let mut slots = Slots::default();
        let mut slot_of: SmallVec<[Option<u16>; 16]> = SmallVec::from_elem(None, program.insts.len());
        let scratch = self.geometry.operands.len() as Place;
        // Where each register lies.
        let mut places: SmallVec<[Place; 16]> = SmallVec::from_elem(0, program.insts.len());
        for (i, inst) in program.insts.iter().enumerate() {
            let dtype = program.dtypes[i];
            match *inst {
                Inst::Load(input) => {
                    let hoisted = self.access(input as usize) == Access::Same;
                    // A borrowed input must not be overwritten by another output before it is stored.
                    let borrow =
                        self.is_dense(input as usize) && !self.converts(dtype) && !(in_place && uses.last[i] == usize::MAX);
                    places[i] = input as Place;
                    if !borrow && !uses.number[i] {
                        let slot = if hoisted { slots.fresh() } else { slots.take() };
                        places[i] = scratch + slot;
                        let raw = (self.converts(dtype) && !self.is_dense(input as usize)).then(|| scratch + slots.raw());
                        let step = Step::Load { input, to: places[i], raw };
                        if hoisted {
                            self.hoisted.push(step);
                        } else {
                            self.steps.push(step);
                            slot_of[i] = Some(slot);
                        }
                    }
                }
                Inst::Const(value) => {
                    let is_number = uses.number[i];
                    places[i] = scratch + if is_number { slots.number() } else { slots.fresh() };
                    self.hoisted.push(Step::Const { value, dtype, to: places[i], is_number });
                }
                _ if uses.absorbed[i] => continue,
                _ => {
                    let (place, special) = match self.direct_output(program, uses, i) {
                        Some((k, special)) => (self.out(k) as Place, special),
                        None => {
                            let slot = slots.take();
                            slot_of[i] = Some(slot);
                            (scratch + slot, special(program, uses, i, None))
                        }
                    };
                    places[i] = place;
                    let (kernel, args) = match special {
                        Some(special) => special,
                        None => {
                            let (kernel, divisor) = kernel(program, inst)?;
                            if let Some(reg) = divisor {
                                self.steps
                                    .push(Step::CheckDivisor { at: places[reg as usize], dtype: program.dtypes[reg as usize] });
                            }
                            let operands = inst.operands();
                            let arg = |k: usize| operands[k.min(operands.len() - 1)];
                            (kernel, [arg(0), arg(1), arg(2)])
                        }
                    };
                    self.steps.push(Step::Run { kernel, args: args.map(|r| places[r as usize]), to: place });
                    if is_half(dtype) && uses.read[i] {
                        self.steps.push(Step::Round { at: place, dtype });
                    }
                }
            }
            // Only now may the operands' slots be given out again: a result never overlaps its operands.
            let scaled = uses.scaled[i].into_iter().flatten();
            for r in inst.operands().into_iter().chain(scaled) {
                if uses.last[r as usize] == i {
                    slots.free.extend(slot_of[r as usize].take());
                }
            }
        }
        for (k, &reg) in program.outs.iter().enumerate() {
            if self.direct_output(program, uses, reg as usize).is_some_and(|(direct, _)| direct == k as u8) {
                continue;
            }
            let raw =
                (self.converts(program.dtypes[reg as usize]) && !self.is_dense(self.out(k as u8))).then(|| scratch + slots.raw());
            self.steps.push(Step::Store { out: k as u8, from: places[reg as usize], raw });
        }
        self.slots = slots.count as usize;
        Ok(slots.count == slots.numbers)
    }

    /// The output that instruction `i` may write at once, and the kernel for that where the general one would not do.
    fn direct_output(&self, program: &Program, uses: &Uses, i: usize) -> Option<(u8, Option<Special>)> {
        if is_half(program.dtypes[i]) || matches!(program.insts[i], Inst::Load(_) | Inst::Const(_)) {
            return None;
        }
        let k = program.outs.iter().position(|&r| r as usize == i)?;
        let out = &self.geometry.operands[self.inputs + k];
        if !self.is_dense(self.inputs + k) {
            return None;
        }
        let mut replaced = None;
        for (l, inst) in program.insts.iter().enumerate() {
            let &Inst::Load(input) = inst else { continue };
            let x = &self.geometry.operands[input as usize];
            // What has been copied to a slot is safe, and so is what nobody reads any more.
            let is_borrowed = uses.number[l] || self.is_dense(input as usize) && uses.last[l] != usize::MAX;
            if x.start != out.start || l < i && (!is_borrowed || uses.last[l] < i) {
                continue;
            }
            if l > i || uses.last[l] > i || replaced.is_some() || x.dtype != out.dtype {
                return None;
            }
            replaced = Some(l as Reg);
        }
        let special = special(program, uses, i, replaced);
        (replaced.is_none() || special.is_some()).then_some((k as u8, special))
    }

    /// Tenths of a nanosecond per element, roughly.
    fn cost(&self, program: &Program) -> usize {
        let moved: usize = self.geometry.operands.iter().map(|x| if x.access == Access::Strided { 10 } else { 2 }).sum();
        moved + program.cost()
    }
}

/// A kernel and its operands.
type Special = (simd::Kernel, [Reg; 3]);

/// The kernel of instruction `i` where it reads a number, scales an operand, or its result replaces an operand; if there is one.
fn special(program: &Program, uses: &Uses, i: usize, replaced: Option<Reg>) -> Option<Special> {
    if let Some([a, b, c]) = uses.scaled[i] {
        let fits = replaced.is_none_or(|r| r == a && r != b);
        return fits.then(|| simd::scaled_sum(program.dtypes[i], replaced.is_some())).flatten().map(|k| (k, [a, b, c]));
    }
    let first = *program.insts[i].operands().first()?;
    let dtype = program.dtypes[first as usize];
    if replaced.is_none() && !program.insts[i].operands().iter().any(|&r| uses.same[r as usize]) {
        return None;
    }
    simd::special(program.insts[i], dtype, replaced, |r| uses.same[r as usize])
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
