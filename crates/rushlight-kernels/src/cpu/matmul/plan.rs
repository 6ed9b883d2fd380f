//! Cutting a batch of products into tasks, by their sizes alone, and running the tasks in one region of the pool.

use super::gemm::{Block, Gemm, Sums, Target, split};
use super::kernel::HasKernels;
use super::number::{Acc, Number};
use super::scratch;
use crate::cpu::pool;
use crate::{Buffer, Error, Result};
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Multiplications worth a task of their own: a few microseconds.
const GRAIN: usize = 1 << 18;
/// Tasks of this size keep packing well amortised; smaller ones only to occupy `FEW` threads.
const COARSE: usize = 1 << 23;
const FEW: usize = 8;
const MANY: usize = 64;
/// Largest block of a result: with slices of 256 terms, the rows of `a` stay within L2.
const BLOCK_ROWS: usize = 480;
const BLOCK_COLS: usize = 1024;
/// Bytes of a block that is gone through again when it is finished: half of L2.
const BLOCK_BYTES: usize = 1 << 19;
/// Fewest terms worth splitting off, and most parts.
const SPLIT_TERMS: usize = 512;
const SPLITS: usize = 16;

/// Sizes of a batch of products.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) batches: usize,
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
}

/// How a batch is cut.
struct Plan {
    rows: usize,
    cols: usize,
    /// Terms of one part of a block's sums.
    terms: usize,
    /// Consecutive small products in one task.
    group: usize,
}

impl Plan {
    /// `unit`: rows and columns that are not worth dividing; `undivided`: the bytes of rows that stay whole.
    fn new(size: Size, unit: [usize; 2], undivided: Option<usize>) -> Plan {
        let Size { batches, m, n, k } = size;
        let work = |rows: usize, cols: usize, terms: usize| rows.saturating_mul(cols).saturating_mul(terms);
        let whole = work(m, n, k);
        // Long sums of few results: cut the sums. The parts are added in order by whoever ends last.
        let mut splits = 1;
        if m * n <= 1 << 16 && k >= 4 * m.max(n) && batches < FEW {
            splits = (k / SPLIT_TERMS).min(whole / (2 * GRAIN)).clamp(1, SPLITS);
        }
        let terms = k.div_ceil(splits).max(1);
        let (mut rows, mut cols) = (cut(m, m.div_ceil(BLOCK_ROWS), unit[0]), cut(n, n.div_ceil(BLOCK_COLS), unit[1]));
        if let Some(bytes) = undivided {
            (rows, cols) = (rows.min((BLOCK_BYTES / bytes).next_multiple_of(unit[0])), n);
        }
        loop {
            let tasks = batches.saturating_mul(m.div_ceil(rows) * n.div_ceil(cols) * splits);
            let task = work(rows, cols, terms);
            if !(tasks < FEW && task >= 2 * GRAIN || tasks < MANY && task >= 2 * COARSE) {
                break;
            }
            // Columns first: every block of rows packs the columns anew.
            if undivided.is_none() && (cols > 4 * unit[1] || rows <= unit[0] && cols > unit[1]) {
                cols = cut(cols, 2, unit[1]);
            } else if rows > unit[0] {
                rows = cut(rows, 2, unit[0]);
            } else {
                break;
            }
        }
        let group = if rows >= m && cols >= n && splits == 1 { (GRAIN / whole.max(1)).clamp(1, 1 << 16) } else { 1 };
        Plan { rows, cols, terms, group }
    }
}

/// `size` cut in `parts`, rounded up to `unit`.
fn cut(size: usize, parts: usize, unit: usize) -> usize {
    size.div_ceil(parts.max(1)).next_multiple_of(unit)
}

/// Sums of one block, computed in parts by several tasks.
struct Parts {
    sums: Buffer,
    /// Per block: parts that are done.
    done: Vec<AtomicUsize>,
}

/// What one call of [`run`]'s closure is to compute.
pub(crate) struct Part<'a, T: Number> {
    block: Block,
    terms: Range<usize>,
    /// The block's sums in parts, how many parts there are, and which one this is.
    parts: Option<(*mut T::Acc, &'a AtomicUsize, usize, usize)>,
    element: PhantomData<T>,
}

impl<T: Number> Part<'_, T> {
    /// Computes the part of `gemm` that this is.
    ///
    /// # Safety
    /// As [`Gemm::run`] for this part; `target` is the same for all parts of one index of the batch.
    pub(crate) unsafe fn run(&self, gemm: &Gemm<T>, target: &Target<T>) -> Result<()> {
        let Some((sums, done, parts, index)) = self.parts else {
            // SAFETY: the caller's promise.
            return unsafe { gemm.run(&self.block, self.terms.clone(), &Sums::Finish(target)) };
        };
        let (rows, cols) = (self.block.rows.len(), self.block.cols.len());
        let size = rows * cols;
        // SAFETY: `sums` has `parts` areas of the block's size, and this one is ours.
        unsafe { gemm.run(&self.block, self.terms.clone(), &Sums::Keep { to: sums.add(index * size), ld: cols })? };
        // The last one to come here sees everybody's sums: each release is acquired by the later ones.
        if done.fetch_add(1, Ordering::AcqRel) + 1 == parts {
            // SAFETY: as above, and all others are done.
            unsafe {
                let total = std::slice::from_raw_parts_mut(sums, size);
                for p in 1..parts {
                    let part = std::slice::from_raw_parts(sums.add(p * size), size);
                    total.iter_mut().zip(part).for_each(|(x, y)| *x = x.add(*y));
                }
                target.finish(&self.block, sums, cols as isize);
            }
            target.then.map_or(Ok(()), |then| then(&self.block))?;
        }
        Ok(())
    }
}

/// Calls `f(index, part)` for all parts of all products of a batch, which must [`Part::run`] it.
pub(crate) fn run<T: Number>(size: Size, f: impl Fn(usize, Part<T>) -> Result<()> + Sync) -> Result<()> {
    run_cut(size, false, f)
}

/// [`run`]; with blocks that have all columns, where they are gone through again.
pub(super) fn run_cut<T: Number>(size: Size, by_rows: bool, f: impl Fn(usize, Part<T>) -> Result<()> + Sync) -> Result<()> {
    if size.m == 0 || size.n == 0 || size.batches == 0 {
        return Ok(());
    }
    let kernels = T::Acc::kernels();
    let undivided = by_rows.then_some(size.n * size_of::<T>());
    let plan = Plan::new(size, [kernels.rows(), 2 * kernels.lanes], undivided);
    let (gm, gn) = (size.m.div_ceil(plan.rows), size.n.div_ceil(plan.cols));
    let blocks = size.batches * gm * gn;
    let block = |i: usize| Block {
        rows: i / gn % gm * plan.rows..((i / gn % gm + 1) * plan.rows).min(size.m),
        cols: i % gn * plan.cols..((i % gn + 1) * plan.cols).min(size.n),
    };
    let splits = size.k.div_ceil(plan.terms).max(1);
    if splits == 1 {
        return try_run(blocks.div_ceil(plan.group), |task| {
            for i in task * plan.group..((task + 1) * plan.group).min(blocks) {
                f(i / (gm * gn), Part { block: block(i), terms: 0..size.k, parts: None, element: PhantomData })?;
            }
            Ok(())
        });
    }
    let area = plan.rows.min(size.m) * plan.cols.min(size.n);
    let parts =
        Parts { sums: scratch::<T::Acc>(blocks * splits * area)?, done: (0..blocks).map(|_| AtomicUsize::new(0)).collect() };
    try_run(blocks * splits, |task| {
        let (i, s) = (task / splits, task % splits);
        let sums = parts.sums.as_ptr().cast::<T::Acc>().wrapping_add(i * splits * area);
        let terms = split(0..size.k, plan.terms).nth(s).expect("one part per split");
        f(i / (gm * gn), Part { block: block(i), terms, parts: Some((sums, &parts.done[i], splits, s)), element: PhantomData })
    })
}

/// [`pool::run`] for work that may fail; the first error found is returned when all is done.
pub(crate) fn try_run(n: usize, f: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
    if n == 1 {
        return f(0);
    }
    let failure: Mutex<Option<Error>> = Mutex::new(None);
    pool::run(n, |i| {
        if let Err(e) = f(i) {
            *failure.lock().unwrap_or_else(|p| p.into_inner()) = Some(e);
        }
    });
    failure.into_inner().unwrap_or_else(|p| p.into_inner()).map_or(Ok(()), Err)
}
