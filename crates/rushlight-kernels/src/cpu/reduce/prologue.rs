//! Reductions of what a program computes: a slab of elements at a time is computed into scratch that stays in cache, and folded there, so
//! that the values never go through memory. Slabs end where tasks of [`rows`] end, and are folded by its functions: the bits are those of a
//! reduction of the stored values.

use super::fold::{All, Any, Fold, Max, Min, Pairwise, Prod, Sum, SumOfSquares};
use super::rows::{self, SHORT, Slots};
use super::run::{Runs, fold_run, fold_runs};
use crate::backend::*;
use crate::cpu::matmul::try_run;
use crate::cpu::number::Number;
use crate::cpu::tile;
use crate::*;
use smallvec::SmallVec;
use std::ops::Range;

/// Elements of a slab: 256 KiB of f32, a part of L2.
const SLAB: usize = rows::PIECE;

/// See [`Backend::reduce_program`].
pub fn reduce_program(
    op: ReduceOp,
    program: &Program,
    ins: &[View],
    kept: &mut [ViewMut],
    operand: Operand,
    shape: &[usize],
    dims: &[usize],
    out: &mut ViewMut,
) -> Result<bool> {
    let Some((groups, size)) = trailing(shape, dims) else { return Ok(false) };
    let is_flat = |l: &Layout| l.is_contiguous() || l.strides.iter().all(|&s| s == 0);
    if !ins.iter().all(|x| is_flat(x.layout)) || !kept.iter().all(|x| x.layout.is_contiguous()) || !out.layout.is_contiguous() {
        return Ok(false);
    }
    let dtype = match operand {
        Operand::Kept(k) => kept[k].dtype,
        Operand::Scratch => program.dtypes[program.outs[kept.len()] as usize],
    };
    let slabs = Slabs { program, ins, kept: &*kept, operand, dtype };
    fn by_op<T: Number>(op: ReduceOp, slabs: &Slabs, groups: usize, size: usize, out: &mut ViewMut) -> Result<bool> {
        match op {
            ReduceOp::Sum => fold::<Sum<T>>(slabs, groups, size, out),
            ReduceOp::Prod => fold::<Prod<T>>(slabs, groups, size, out),
            ReduceOp::Min => fold::<Min<T>>(slabs, groups, size, out),
            ReduceOp::Max => fold::<Max<T>>(slabs, groups, size, out),
            ReduceOp::All => fold::<All<T>>(slabs, groups, size, out),
            ReduceOp::Any => fold::<Any<T>>(slabs, groups, size, out),
            ReduceOp::ArgMin | ReduceOp::ArgMax | ReduceOp::SumOfSquares => return Ok(false),
        }?;
        Ok(true)
    }
    if op == ReduceOp::SumOfSquares {
        dispatch!(dtype, [F32 F64], T => fold::<SumOfSquares<T>>(&slabs, groups, size, out), else => return Ok(false))?;
        return Ok(true);
    }
    dispatch!(dtype, T => by_op::<T>(op, &slabs, groups, size, out))
}

/// The number of groups and their size, if the reduced dimensions are the last ones (those of size one do not matter) and groups have more
/// than one element.
fn trailing(shape: &[usize], dims: &[usize]) -> Option<(usize, usize)> {
    let matters = |d: &usize| shape[*d] != 1;
    let first = (0..shape.len()).filter(matters).find(|d| dims.contains(d))?;
    (first..shape.len()).filter(matters).all(|d| dims.contains(&d)).then_some(())?;
    let product = |range: Range<usize>| shape[range].iter().product::<usize>();
    let (groups, size) = (product(0..first), product(first..shape.len()));
    (groups * size > 0).then_some((groups, size))
}

/// The elements to be reduced, computed when they are asked for.
struct Slabs<'a> {
    program: &'a Program,
    ins: &'a [View<'a>],
    kept: &'a [ViewMut<'a>],
    operand: Operand,
    dtype: DType,
}

impl Slabs<'_> {
    /// Calls `f` with the elements `range` in row-major order.
    fn with<T: Copy, R>(&self, range: Range<usize>, f: impl FnOnce(&[T]) -> R) -> Result<R> {
        let n = range.len();
        let part = |l: &Layout| {
            let step = isize::from(l.is_contiguous());
            Layout::strided(&[n], &[step], l.offset + range.start * step as usize)
        };
        let (scratch, whole) = (Buffer::uninit(n * self.dtype.size())?, Layout::contiguous(&[n]));
        let ins: SmallVec<[(View, Layout); 4]> = self.ins.iter().map(|x| (*x, part(x.layout))).collect();
        let ins: SmallVec<[View; 4]> = ins.iter().map(|(x, l)| x.with_layout(l)).collect();
        let layouts: SmallVec<[Layout; 4]> = self.kept.iter().map(|x| part(x.layout)).collect();
        // SAFETY: each task writes a range of its own of the kept results, for which the caller has given exclusive access.
        let mut outs: SmallVec<[ViewMut; 4]> = self.kept.iter().zip(&layouts).map(|(x, l)| unsafe { x.part(l) }).collect();
        if let Operand::Scratch = self.operand {
            // SAFETY: fresh memory.
            outs.push(unsafe { ViewMut::new(&scratch, &whole, self.dtype)? });
        }
        tile::pointwise(self.program, &ins, &mut outs)?;
        let at = match self.operand {
            Operand::Kept(k) => outs[k].ptr::<T>(),
            Operand::Scratch => scratch.as_ptr().cast::<T>(),
        };
        // SAFETY: `n` elements that the program has just written, of the type that `dtype` names.
        Ok(f(unsafe { std::slice::from_raw_parts(at, n) }))
    }
}

/// One group, in the order in which [`rows::fold`] folds it.
fn whole<F: Fold>(elements: &[F::In]) -> F::Acc {
    if elements.len() <= SHORT {
        return elements.iter().fold(F::IDENTITY, |acc, x| F::join(acc, F::lift(*x)));
    }
    fold_run::<F>(elements)
}

fn fold<F: Fold>(slabs: &Slabs, groups: usize, size: usize, out: &mut ViewMut) -> Result<()> {
    let to = Slots(out.ptr::<F::Out>());
    if size <= SLAB {
        let together = SLAB / size;
        return try_run(groups.div_ceil(together), |task| {
            let range = task * together..((task + 1) * together).min(groups);
            slabs.with::<F::In, _>(range.start * size..range.end * size, |elements| {
                let mut places = range.clone().map(|group| to.at(group));
                // SAFETY: the output is contiguous, with a place for each group.
                let put = |total| places.by_ref().take(1).for_each(|at| unsafe { at.write(F::lower(total)) });
                if size <= SHORT {
                    return elements.chunks_exact(size).map(whole::<F>).for_each(put);
                }
                let groups = Runs { first: elements.as_ptr(), step: size as isize, n: size };
                // SAFETY: the elements of these groups.
                unsafe { fold_runs::<F>(elements.len(), groups, range.len(), put) }
            })
        });
    }
    let pieces = size.div_ceil(SLAB);
    let mut partial = vec![F::IDENTITY; groups * pieces];
    let slots = Slots(partial.as_mut_ptr());
    try_run(groups * pieces, |task| {
        let (group, piece) = (task / pieces, task % pieces);
        let range = group * size + piece * SLAB..group * size + ((piece + 1) * SLAB).min(size);
        let total = slabs.with::<F::In, _>(range, whole::<F>)?;
        // SAFETY: each task writes its own slot.
        unsafe { slots.at(task).write(total) };
        Ok(())
    })?;
    for (group, pieces) in partial.chunks_exact(pieces).enumerate() {
        let mut tree = Pairwise::<F>::new();
        pieces.iter().for_each(|p| tree.push(*p));
        // SAFETY: as above.
        unsafe { to.at(group).write(F::lower(tree.finish())) };
    }
    Ok(())
}
