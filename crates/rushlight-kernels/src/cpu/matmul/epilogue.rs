//! Pointwise ops on a product, run over each block of it while the block is still in cache.

use super::gemm::Block;
use crate::backend::*;
use crate::cpu::tile;
use crate::*;
use smallvec::SmallVec;

/// A program over views of the product's shape.
pub(super) struct Epilogue<'a> {
    program: &'a Program,
    ins: &'a [View<'a>],
    outs: &'a [ViewMut<'a>],
    /// Steps from row to row: the operands', then the outputs'.
    steps: SmallVec<[isize; 8]>,
}

impl<'a> Epilogue<'a> {
    /// `None` where some operand's rows, over all dimensions but the last, do not follow each other evenly; and without columns.
    pub(super) fn new(program: &'a Program, ins: &'a [View<'a>], outs: &'a [ViewMut<'a>]) -> Option<Epilogue<'a>> {
        let layouts = ins.iter().map(|x| x.layout).chain(outs.iter().map(|x| x.layout));
        Some(Epilogue { program, ins, outs, steps: layouts.map(row_step).collect::<Option<_>>()? })
    }

    /// Runs the program over a block, whose rows count through all dimensions but the last.
    ///
    /// # Safety
    /// The block lies within the views, and no other thread touches it.
    pub(super) unsafe fn run(&self, block: &Block) -> Result<()> {
        let part = |l: &Layout, step: isize| {
            let column = l.strides[l.rank() - 1];
            let at = block.rows.start as isize * step + block.cols.start as isize * column;
            Layout::strided(&[block.rows.len(), block.cols.len()], &[step, column], l.offset.wrapping_add_signed(at))
        };
        let (of_ins, of_outs) = self.steps.split_at(self.ins.len());
        let layouts: SmallVec<[Layout; 4]> = self.ins.iter().zip(of_ins).map(|(x, &step)| part(x.layout, step)).collect();
        let ins: SmallVec<[View; 4]> = self.ins.iter().zip(&layouts).map(|(x, l)| x.with_layout(l)).collect();
        let layouts: SmallVec<[Layout; 4]> = self.outs.iter().zip(of_outs).map(|(x, &step)| part(x.layout, step)).collect();
        // SAFETY: the caller's promise.
        let mut outs: SmallVec<[ViewMut; 2]> = self.outs.iter().zip(&layouts).map(|(x, l)| unsafe { x.part(l) }).collect();
        tile::pointwise_here(self.program, &ins, &mut outs)
    }
}

/// The step that leads from each row to the next.
fn row_step(layout: &Layout) -> Option<isize> {
    let outer = layout.rank().checked_sub(1)?;
    let mut step = None;
    let mut next = 0;
    for d in (0..outer).rev().filter(|&d| layout.shape[d] != 1) {
        let step = *step.get_or_insert(layout.strides[d]);
        if next != 0 && layout.strides[d] != next * step {
            return None;
        }
        next = next.max(1) * layout.shape[d] as isize;
    }
    Some(step.unwrap_or(0))
}
