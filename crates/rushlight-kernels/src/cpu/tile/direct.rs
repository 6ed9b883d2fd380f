//! The short way for one instruction over contiguous views and single values: no plan, no copies where none are needed. Most eager ops
//! on small tensors take it, where the bookkeeping of the general way would cost more than the arithmetic. Copies into contiguous memory
//! have a way of their own too.

use super::{SLOT, is_half, plan, register_size, start, strided};
use crate::backend::*;
use crate::cpu::{moves, pool, simd};
use crate::*;
use std::mem::MaybeUninit;

/// Parts begin at whole lines of the cache, whatever the dtype.
const WHOLE: usize = 64;

/// An operand of the instruction.
#[derive(Clone, Copy)]
enum Arg {
    /// A contiguous buffer.
    At(*mut u8),
    /// One element for all.
    Element(*mut u8),
    /// A constant.
    Value(Scalar),
}

/// The bytes of an element.
#[derive(Clone, Copy)]
#[repr(align(8))]
struct Number([u8; 8]);

/// A kernel with its operands.
pub(super) struct Direct {
    kernel: simd::Kernel,
    /// No arithmetic but the conversion between f32 and a half type.
    rounds: bool,
    args: [Arg; 3],
    /// Dtypes of the operands and the result.
    dtypes: [DType; 4],
    arity: usize,
    out: *mut u8,
    in_place: bool,
    /// The kernel reads single elements where there are some.
    takes_numbers: bool,
    /// Constants among the second and the third operand, as such a kernel finds them.
    numbers: [Number; 2],
    grain: usize,
}

// SAFETY: the pointers come from views, which are Send and Sync; ranges of elements are disjoint.
unsafe impl Sync for Direct {}

/// `inst` on operands 0, 1 and 2, which share dtype and shape; false where the general way must be taken.
#[inline]
pub(super) fn instruction(inst: Inst, ins: &[View], out: &mut ViewMut) -> bool {
    let Some(first) = ins.first() else { return false };
    let d = first.dtype;
    let (kernel, result, cost) = match inst {
        Inst::Un(op, 0) if ins.len() == 1 => (simd::un(op, d), op.result(d), op.cost()),
        Inst::Bin(op, 0, 1) if ins.len() == 2 && !op.divides(d) => (simd::bin(op, d), op.result(d), op.cost()),
        _ => return false,
    };
    let fits = |x: &View| x.dtype == d && x.layout.shape == out.layout.shape && x.layout.is_contiguous();
    let Some(kernel) = kernel else { return false };
    if is_half(d) || result != out.dtype || !ins.iter().all(fits) || !out.layout.is_contiguous() {
        return false;
    }
    let o = start(&out.as_view());
    let (a, b) = (start(first), start(&ins[ins.len() - 1]));
    let (numel, size) = (out.numel(), d.size());
    let grain = plan::grain(cost + 2 * (ins.len() + 1));
    if a == o || b == o {
        let bytes = numel * out.dtype.size();
        if bytes > SMALL_SCRATCH {
            return false;
        }
        let mut scratch = SmallScratch(MaybeUninit::uninit());
        let aside = scratch.0.as_mut_ptr().cast::<u8>();
        // SAFETY: as below, with the result in scratch of its size, from where it is copied when the operands have been read.
        unsafe {
            kernel(a, b, b, aside, numel);
            o.copy_from_nonoverlapping(aside, bytes);
        }
    } else if numel <= grain {
        // SAFETY: contiguous views of the kernel's dtypes that hold as many elements; the output overlaps no input.
        unsafe { kernel(a, b, b, o, numel) }
    } else {
        let (a, b, o, to) = (Target(a), Target(b), Target(o), out.dtype.size());
        pool::for_even_ranges(numel, grain, WHOLE, |r| {
            let (a, b) = (a.at(r.start * size), b.at(r.start * size));
            // SAFETY: as above, for a range of the elements that no other thread has.
            unsafe { kernel(a, b, b, o.at(r.start * to), r.len()) }
        });
    }
    true
}

/// Runs a program that only copies a view that is not contiguous to one that is; false where it is not of this kind.
fn copied(program: &Program, ins: &[View], outs: &[ViewMut]) -> bool {
    let ([Inst::Load(i)], [out]) = (program.insts.as_slice(), outs) else { return false };
    let x = &ins[*i as usize];
    if !out.layout.is_contiguous()
        || x.layout.is_contiguous()
        || x.strides().iter().all(|&s| s == 0)
        || start(x) == start(&out.as_view())
    {
        return false;
    }
    moves::copy(x, out);
    true
}

/// Runs a program that is nothing but a constant, if the output is contiguous, or a copy; false where it is not of this kind.
pub(super) fn constant(program: &Program, ins: &[View], outs: &[ViewMut], numel: usize) -> bool {
    if copied(program, ins, outs) {
        return true;
    }
    let ([Inst::Const(value)], [out]) = (program.insts.as_slice(), outs) else { return false };
    if is_half(out.dtype) || !out.layout.is_contiguous() {
        return false;
    }
    let (to, size, grain) = (Target(start(&out.as_view())), out.dtype.size(), plan::grain(2));
    let part = |r: std::ops::Range<usize>| {
        // SAFETY: ranges of the output's elements, which are contiguous; no other thread writes them.
        unsafe { strided::splat_scalar(*value, out.dtype, to.at(r.start * size), r.len()) }
    };
    if numel <= grain {
        part(0..numel)
    } else {
        pool::for_even_ranges(numel, grain, WHOLE, part)
    }
    true
}

/// The elements of an operand or an output, of which each thread has its own.
struct Target(*mut u8);
// SAFETY: threads write disjoint ranges, and nobody writes an operand.
unsafe impl Sync for Target {}
impl Target {
    fn at(&self, bytes: usize) -> *mut u8 {
        self.0.wrapping_add(bytes)
    }
}

/// Bytes of [`Scratch`]. Three of them leave room in L1 for what passes through.
const SCRATCH: usize = 2 * SLOT;

/// Scratch for the elements that operands and results have to be copied to.
#[repr(C, align(64))]
struct Scratch(MaybeUninit<[u8; SCRATCH]>);

/// Bytes of a [`SmallScratch`]: little enough for it to cost nothing.
const SMALL_SCRATCH: usize = 1024;

/// Scratch for the whole result of a small op in place.
#[repr(C, align(64))]
struct SmallScratch(MaybeUninit<[u8; SMALL_SCRATCH]>);

/// Where register `r` comes from, if no kernel has to run for it: numbers are converted here.
#[inline]
fn argument(program: &Program, ins: &[View], r: Reg) -> Option<Arg> {
    match program.insts[r as usize] {
        Inst::Const(value) => Some(Arg::Value(value)),
        Inst::Load(i) => {
            let x = &ins[i as usize];
            if x.layout.is_contiguous() {
                Some(Arg::At(start(x)))
            } else {
                x.strides().iter().all(|&s| s == 0).then(|| Arg::Element(start(x)))
            }
        }
        Inst::Cast(DType::F32 | DType::F64, a) if !is_half(program.dtypes[a as usize]) => {
            let from = program.dtypes[a as usize];
            match argument(program, ins, a)? {
                Arg::At(_) => None,
                // SAFETY: the only element of a view of this dtype.
                Arg::Element(p) => Some(Arg::Value(dispatch!(from, T => unsafe { *p.cast::<T>() }.to_scalar()))),
                Arg::Value(v) => Some(Arg::Value(dispatch!(from, T => v.to::<T>().to_scalar()))),
            }
        }
        _ => None,
    }
}

impl Direct {
    /// The program, if it is of this kind: one instruction on views, single elements and numbers.
    #[inline]
    pub(super) fn new(program: &Program, ins: &[View], outs: &[ViewMut]) -> Option<Direct> {
        let [out] = outs else { return None };
        let (last, before) = program.insts.split_last()?;
        let d = |r: Reg| program.dtypes[r as usize];
        let (mut kernel, cost, regs, arity) = match *last {
            Inst::Un(op, a) => (simd::un(op, d(a))?, op.cost(), [a; 3], 1),
            Inst::Cast(to, a) => (simd::cast(d(a), to), 3, [a; 3], 1),
            Inst::Bin(op, a, b) if !op.divides(d(a)) => (simd::bin(op, d(a))?, op.cost(), [a, b, b], 2),
            Inst::Tern(op, a, b, c) => (simd::tern(op, d(b))?, op.cost(), [a, b, c], 3),
            _ => return None,
        };
        if program.outs[0] as usize != before.len() || !out.layout.is_contiguous() {
            return None;
        }
        let o = start(&out.as_view());
        let (mut args, mut dtypes) = ([Arg::At(o); 3], [out.dtype; 4]);
        for k in 0..arity {
            dtypes[k] = d(regs[k]);
            args[k] = argument(program, ins, regs[k])?;
        }
        let is_out = |a: &Arg| matches!(a, Arg::At(p) | Arg::Element(p) if *p == o);
        let mut in_place = args[..arity].iter().any(is_out);
        // A kernel that replaces an operand, or takes a number as it is, needs no scratch.
        let same = dtypes[..arity].iter().all(|&d| d == dtypes[0]) && !is_half(dtypes[0]);
        let is_number = |r: Reg| (0..arity).any(|k| regs[k] == r && !matches!(args[k], Arg::At(_)));
        let replaced = (0..arity).find(|&k| is_out(&args[k])).filter(|_| dtypes[0] == out.dtype);
        let once = (0..arity).filter(|&k| is_out(&args[k])).count() < 2;
        let mut takes_numbers = false;
        if same
            && once
            && (replaced.is_some() || (0..arity).any(|k| is_number(regs[k])))
            && replaced.is_none_or(|k| matches!(args[k], Arg::At(_)))
            && let Some((special, operands)) = simd::special(*last, dtypes[0], replaced.map(|k| regs[k]), is_number)
        {
            let arg = |r: Reg| args[regs.iter().position(|&x| x == r).expect("an operand of the instruction")];
            (kernel, args, in_place, takes_numbers) = (special, operands.map(arg), false, true);
        }
        let rounds = matches!(*last, Inst::Cast(..)) && dtypes[0].compute() == DType::F32 && dtypes[3].compute() == DType::F32;
        let halves = dtypes[..arity].iter().filter(|&&d| is_half(d)).count() + is_half(dtypes[3]) as usize;
        let grain = plan::grain(cost + 2 * (arity + 1) + halves);
        let mut numbers = [Number([0; 8]); 2];
        for (number, arg) in numbers.iter_mut().zip(&args[1..]).filter(|_| takes_numbers) {
            if let Arg::Value(v) = *arg {
                // SAFETY: no element is larger.
                unsafe { strided::splat_scalar(v, dtypes[0], number.0.as_mut_ptr(), 1) };
            }
        }
        Some(Direct { kernel, rounds, args, dtypes, arity, out: o, in_place, takes_numbers, numbers, grain })
    }

    pub(super) fn run(&self, numel: usize) {
        if numel <= self.grain {
            self.part(0, numel);
        } else {
            pool::for_even_ranges(numel, self.grain, WHOLE, |r| self.part(r.start, r.len()));
        }
    }

    /// `n` elements from number `at` on.
    pub(super) fn part(&self, at: usize, n: usize) {
        let halves = self.dtypes[..self.arity].iter().any(|&d| is_half(d)) || is_half(self.dtypes[3]);
        let fits = self.takes_numbers || self.args[..self.arity].iter().all(|a| matches!(a, Arg::At(_)));
        if !halves && !self.in_place && fits {
            let x = |k: usize| match self.args[k] {
                Arg::At(p) => p.wrapping_add(at * self.dtypes[k].size()),
                Arg::Element(p) => p,
                Arg::Value(_) => self.numbers[k - 1].0.as_ptr().cast_mut(),
            };
            let out = self.out.wrapping_add(at * self.dtypes[3].size());
            // SAFETY: contiguous views of the kernel's dtypes that hold these elements; the output overlaps no input.
            unsafe { (self.kernel)(x(0), x(1), x(2), out, n) }
        } else {
            self.tiled(at, n)
        }
    }

    /// By tiles: single values are spread over a tile once, and a result that replaces an input is made beside it.
    #[inline(never)]
    fn tiled(&self, at: usize, n: usize) {
        let mut scratch = [const { Scratch(MaybeUninit::uninit()) }; 4];
        let slots = scratch.each_mut().map(|s| s.0.as_mut_ptr().cast::<u8>());
        let tile =
            SCRATCH / self.dtypes[..self.arity].iter().fold(register_size(self.dtypes[3]), |m, d| m.max(register_size(*d)));
        for k in 0..self.arity {
            let (n, d) = (n.min(tile), self.dtypes[k]);
            // SAFETY: a slot holds a tile; an element's view has at least one.
            unsafe {
                match self.args[k] {
                    Arg::At(_) => {}
                    Arg::Element(p) if is_half(d) => {
                        simd::from_half(d, p, slots[k], 1);
                        strided::row(register_size(d), slots[k], 0, n, strided::Move::Gather(slots[k]));
                    }
                    Arg::Element(p) => strided::row(d.size(), p, 0, n, strided::Move::Gather(slots[k])),
                    Arg::Value(v) => strided::splat_scalar(v, d, slots[k], n),
                }
            }
        }
        for start in (0..n).step_by(tile) {
            let len = tile.min(n - start);
            let x = |k: usize| match self.args[k] {
                Arg::At(p) if k < self.arity && is_half(self.dtypes[k]) => {
                    let p = p.wrapping_add((at + start) * self.dtypes[k].size());
                    // SAFETY: the operand's elements; a slot holds a tile.
                    unsafe { simd::from_half(self.dtypes[k], p, slots[k], len) };
                    slots[k]
                }
                Arg::At(p) => p.wrapping_add((at + start) * self.dtypes[k].size()),
                _ => slots[k],
            };
            let size = self.dtypes[3].size();
            let out = self.out.wrapping_add((at + start) * size);
            let half = is_half(self.dtypes[3]);
            let to = if self.in_place || half { slots[3] } else { out };
            // SAFETY: as in `part`; where the output is an input or holds halves, the kernel writes to the slot.
            unsafe {
                match self.args[0] {
                    _ if !self.rounds => {}
                    Arg::At(p) if !half => {
                        simd::from_half(self.dtypes[0], p.wrapping_add((at + start) * 2), out, len);
                        continue;
                    }
                    _ if half => {
                        simd::to_half(self.dtypes[3], x(0), out, len);
                        continue;
                    }
                    _ => {}
                }
                (self.kernel)(x(0), x(1), x(2), to, len);
                if half {
                    simd::to_half(self.dtypes[3], to, out, len);
                } else if self.in_place {
                    std::ptr::copy_nonoverlapping(to, out, len * size);
                }
            }
        }
    }
}
