//! Programs: straight-line code over scalars, run for every element of a set of broadcast views.
//!
//! An eager pointwise op is a program of one instruction; a fused chain is a longer one. Programs are in SSA form: instruction
//! `i` defines register `i`, and may use only registers below it.

use crate::{BinOp, DType, Scalar, TernOp, UnOp};
use smallvec::SmallVec;

/// A register: the number of the instruction that defines it.
pub type Reg = u16;

/// One instruction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Inst {
    /// The element of input number `.0`; its dtype is the view's.
    Load(u8),
    /// The same number for every element.
    Const(Scalar),
    /// A unary primitive.
    Un(UnOp, Reg),
    /// A binary primitive; both operands have one dtype.
    Bin(BinOp, Reg, Reg),
    /// A ternary primitive; operands as [`TernOp`] says.
    Tern(TernOp, Reg, Reg, Reg),
    /// Conversion to another dtype, by the rules of `Element::cast`.
    Cast(DType, Reg),
}

impl Inst {
    /// The registers that it reads.
    #[inline]
    pub fn operands(&self) -> SmallVec<[Reg; 3]> {
        match *self {
            Inst::Load(_) | Inst::Const(_) => SmallVec::new(),
            Inst::Un(_, a) | Inst::Cast(_, a) => SmallVec::from_slice(&[a]),
            Inst::Bin(_, a, b) => SmallVec::from_slice(&[a, b]),
            Inst::Tern(_, a, b, c) => SmallVec::from_slice(&[a, b, c]),
        }
    }
    /// The same with `name(r)` for every register `r` that it reads.
    pub fn renamed(self, name: impl Fn(Reg) -> Reg) -> Inst {
        match self {
            Inst::Load(_) | Inst::Const(_) => self,
            Inst::Un(op, a) => Inst::Un(op, name(a)),
            Inst::Cast(to, a) => Inst::Cast(to, name(a)),
            Inst::Bin(op, a, b) => Inst::Bin(op, name(a), name(b)),
            Inst::Tern(op, a, b, c) => Inst::Tern(op, name(a), name(b), name(c)),
        }
    }
}

/// Instructions, the dtype of each register, and the registers that are written out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Program {
    /// The code.
    pub insts: SmallVec<[Inst; 6]>,
    /// `dtypes[i]` is the dtype of register `i`. f16 and bf16 registers are held as f32, rounded after every instruction.
    pub dtypes: SmallVec<[DType; 6]>,
    /// `outs[k]` goes to output view `k`, whose dtype must be that register's.
    pub outs: SmallVec<[Reg; 2]>,
}

impl Program {
    /// An empty program.
    #[inline]
    pub fn new() -> Program {
        Program::default()
    }
    /// The program that is just `inst`, on operands of `dtypes` in order.
    pub fn of(inst: Inst, dtypes: impl Iterator<Item = DType>) -> Program {
        let mut program = Program::new();
        dtypes.enumerate().for_each(|(i, d)| _ = program.load(i, d));
        let r = match inst {
            Inst::Load(i) => i as Reg,
            Inst::Const(value) => program.constant(value, value.dtype()),
            Inst::Un(op, a) => program.un(op, a),
            Inst::Bin(op, a, b) => program.bin(op, a, b),
            Inst::Tern(op, a, b, c) => program.tern(op, a, b, c),
            Inst::Cast(to, a) => program.cast(to, a),
        };
        program.out(r);
        program
    }
    /// The instruction, if this is what [`Program::of`] makes of one that reads operands.
    #[inline]
    pub(crate) fn only_instruction(&self) -> Option<Inst> {
        let (inst, loads) = match self.insts[..] {
            [Inst::Load(0), inst @ Inst::Un(_, 0)] => (inst, 1),
            [Inst::Load(0), Inst::Load(1), inst @ Inst::Bin(_, 0, 1)] => (inst, 2),
            _ => return None,
        };
        (self.outs[..] == [loads]).then_some(inst)
    }
    /// Appends `inst`, whose result is of `dtype`.
    #[inline]
    pub fn push(&mut self, inst: Inst, dtype: DType) -> Reg {
        self.insts.push(inst);
        self.dtypes.push(dtype);
        (self.insts.len() - 1) as Reg
    }
    /// Loads input `index` of dtype `dtype`.
    #[inline]
    pub fn load(&mut self, index: usize, dtype: DType) -> Reg {
        self.push(Inst::Load(index as u8), dtype)
    }
    /// A constant of `dtype`.
    #[inline]
    pub fn constant(&mut self, value: impl Into<Scalar>, dtype: DType) -> Reg {
        self.push(Inst::Const(value.into()), dtype)
    }
    /// `op(a)`.
    #[inline]
    pub fn un(&mut self, op: UnOp, a: Reg) -> Reg {
        self.push(Inst::Un(op, a), op.result(self.dtypes[a as usize]))
    }
    /// `op(a, b)`.
    #[inline]
    pub fn bin(&mut self, op: BinOp, a: Reg, b: Reg) -> Reg {
        debug_assert_eq!(self.dtypes[a as usize], self.dtypes[b as usize], "{op:?}");
        self.push(Inst::Bin(op, a, b), op.result(self.dtypes[a as usize]))
    }
    /// `op(a, b, c)`.
    #[inline]
    pub fn tern(&mut self, op: TernOp, a: Reg, b: Reg, c: Reg) -> Reg {
        debug_assert_eq!(self.dtypes[b as usize], self.dtypes[c as usize], "{op:?}");
        self.push(Inst::Tern(op, a, b, c), self.dtypes[b as usize])
    }
    /// `a` as `dtype`; no instruction when it already is.
    #[inline]
    pub fn cast(&mut self, dtype: DType, a: Reg) -> Reg {
        if self.dtypes[a as usize] == dtype { a } else { self.push(Inst::Cast(dtype, a), dtype) }
    }
    /// What its instructions cost, in tenths of a nanosecond an element, roughly.
    pub fn cost(&self) -> usize {
        let cost = |inst: &Inst| match *inst {
            Inst::Load(_) | Inst::Const(_) => 0,
            Inst::Un(op, _) => op.cost(),
            Inst::Bin(op, ..) => op.cost(),
            Inst::Tern(op, ..) => op.cost(),
            Inst::Cast(..) => 3,
        };
        self.insts.iter().map(cost).sum()
    }
    /// Marks `r` as the next output.
    #[inline]
    pub fn out(&mut self, r: Reg) {
        self.outs.push(r);
    }
    /// The dtype of register `r`.
    #[inline]
    pub fn dtype(&self, r: Reg) -> DType {
        self.dtypes[r as usize]
    }
}
