//! One block of a product on one thread: walks `k` in slices, packs what needs packing, runs micro-kernels, and finishes tiles.
//!
//! The loops are those of BLIS (Van Zee & van de Geijn, 2015) turned so that a single panel of `b` is packed just before its use: the
//! panel (`KC` x the kernel's columns) stays in L1 while the rows of `a` stream past it from L2.

use super::kernel::{HasKernels, Kernels, MAX_COLUMNS, Tile};
use super::number::{Acc, Number};
use super::pack::{Right, pack};
use super::{Matrix, scratch};
use crate::Result;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Rows of `b` per slice: with 32 f32 columns a panel has 32 KB.
const KC: usize = 256;
/// Room of a packed panel, in bytes.
const PANEL: usize = KC * 128;

/// Where results go: `c = alpha * sum + beta * bias`.
pub(crate) struct Target<'a, T: Number> {
    pub(crate) c: Matrix<*mut T>,
    /// Offsets of `c`'s columns, where they are not `c.cs` apart.
    pub(crate) columns: Option<&'a [isize]>,
    pub(crate) alpha: T::Acc,
    pub(crate) beta: T::Acc,
    pub(crate) bias: Option<Matrix<*const T>>,
    /// What is done with each block that has all of its results, while it is in cache.
    pub(crate) then: Option<&'a (dyn Fn(&Block) -> Result<()> + Sync)>,
}

/// A product `a @ b`.
pub(crate) struct Gemm<'a, T: Number> {
    pub(crate) a: Matrix<*const T>,
    /// The columns of `a` come in runs of this many; a run's columns are `a.cs` apart, and each run starts `jump` after the one before.
    pub(crate) run: usize,
    pub(crate) jump: isize,
    /// Pack `a`: needed to convert, and worth it where elements are scattered.
    pub(crate) pack_a: bool,
    pub(crate) b: &'a dyn Right<T::Acc>,
}

/// The part of a result that one task computes.
#[derive(Clone)]
pub(crate) struct Block {
    pub(crate) rows: Range<usize>,
    pub(crate) cols: Range<usize>,
}

impl Block {
    /// The block `rows` rows further down.
    pub(super) fn down(&self, rows: usize) -> Block {
        Block { rows: self.rows.start + rows..self.rows.end + rows, cols: self.cols.clone() }
    }
}

/// Where sums are kept while slices of `k` are added.
pub(crate) enum Sums<'a, T: Number> {
    /// Only to the target, at the end.
    Finish(&'a Target<'a, T>),
    /// To a matrix of the block's size with rows `ld` apart, for somebody else to finish.
    Keep { to: *mut T::Acc, ld: usize },
}

/// A typed scratch area on the stack, aligned to cache lines.
#[repr(align(64))]
struct Stack<const BYTES: usize>(MaybeUninit<[u8; BYTES]>);

impl<const BYTES: usize> Stack<BYTES> {
    #[inline(always)]
    fn new() -> Self {
        Stack(MaybeUninit::uninit())
    }
    #[inline(always)]
    fn ptr<T>(&mut self) -> *mut T {
        self.0.as_mut_ptr().cast()
    }
}

impl<T: Number> Target<'_, T> {
    /// Whether micro-kernels may write sums to `c` itself.
    fn direct(&self) -> bool {
        !T::CONVERTS && self.c.cs == 1 && self.columns.is_none()
    }
    fn plain(&self) -> bool {
        self.alpha == T::Acc::ONE && self.bias.is_none()
    }
    /// Whether the bias can be laid down first for micro-kernels to add to.
    fn starts_with_bias(&self) -> bool {
        self.direct() && self.alpha == T::Acc::ONE && self.beta == T::Acc::ONE && self.bias.is_some_and(|b| matches!(b.cs, 0 | 1))
    }
    /// Lays the bias down in `c`.
    ///
    /// # Safety
    /// As [`Target::finish`]; [`Target::starts_with_bias`].
    unsafe fn start(&self, block: &Block) {
        let Some(bias) = &self.bias else { return };
        for i in block.rows.clone() {
            let from = bias.ptr.wrapping_offset(i as isize * bias.rs + block.cols.start as isize * bias.cs);
            let (to, n) = (self.at(i, block.cols.start), block.cols.len());
            // SAFETY: the caller's promise. A sum may be added to its own target: then there is nothing to copy.
            unsafe {
                match bias.cs {
                    0 => std::slice::from_raw_parts_mut(to, n).fill(*from),
                    _ => std::ptr::copy(from, to, n),
                }
            }
        }
    }
    fn at(&self, i: usize, j: usize) -> *mut T {
        let column = self.columns.map_or(j as isize * self.c.cs, |c| c[j]);
        self.c.ptr.wrapping_offset(i as isize * self.c.rs + column)
    }

    /// Brings a tile of sums to `c`. The sums may be those that already lie there.
    ///
    /// # Safety
    /// The block lies within `c` and `bias`, and nobody else touches it.
    pub(crate) unsafe fn finish(&self, block: &Block, sums: *const T::Acc, ld: isize) {
        let mut buffer = [T::Acc::ZERO; MAX_COLUMNS];
        let mut narrow = [T::default(); MAX_COLUMNS];
        for (r, i) in block.rows.clone().enumerate() {
            for from in block.cols.clone().step_by(MAX_COLUMNS) {
                let n = (block.cols.end - from).min(MAX_COLUMNS);
                let row = &mut buffer[..n];
                // SAFETY: sums of the block; the caller's promise for `bias` and `c`.
                unsafe {
                    std::ptr::copy_nonoverlapping(
                        sums.offset(r as isize * ld + (from - block.cols.start) as isize),
                        row.as_mut_ptr(),
                        n,
                    );
                    if self.alpha != T::Acc::ONE {
                        row.iter_mut().for_each(|x| *x = x.mul(self.alpha));
                    }
                    if let Some(b) = &self.bias {
                        let bias = b.ptr.offset(i as isize * b.rs + from as isize * b.cs);
                        for (j, x) in row.iter_mut().enumerate() {
                            *x = x.add((*bias.offset(j as isize * b.cs)).widen().mul(self.beta));
                        }
                    }
                    T::narrow_all(row, &mut narrow[..n]);
                    if self.columns.is_none() && self.c.cs == 1 {
                        std::ptr::copy_nonoverlapping(narrow.as_ptr(), self.at(i, from), n);
                    } else {
                        (0..n).for_each(|j| *self.at(i, from + j) = narrow[j]);
                    }
                }
            }
        }
    }

    /// The block for a product without terms.
    ///
    /// # Safety
    /// As [`Target::finish`].
    pub(crate) unsafe fn finish_empty(&self, block: &Block) {
        let zeros = [T::Acc::ZERO; MAX_COLUMNS];
        for cols in split(block.cols.clone(), MAX_COLUMNS) {
            // SAFETY: a part of the block; rows of sums that are all the same zeros.
            unsafe { self.finish(&Block { rows: block.rows.clone(), cols }, zeros.as_ptr(), 0) };
        }
    }
}

/// `range` in parts of `step`.
pub(crate) fn split(range: Range<usize>, step: usize) -> impl Iterator<Item = Range<usize>> {
    range.clone().step_by(step.max(1)).map(move |i| i..(i + step).min(range.end))
}

impl<T: Number> Gemm<'_, T> {
    /// Computes `block` over the terms `terms`.
    ///
    /// # Safety
    /// The block and the terms lie within `a`, `b` and the target; nobody else touches the block of the target, which overlaps
    /// neither factor.
    pub(crate) unsafe fn run(&self, block: &Block, terms: Range<usize>, sums: &Sums<T>) -> Result<()> {
        if terms.is_empty() {
            // SAFETY: the caller's promise.
            unsafe {
                match sums {
                    Sums::Finish(target) => {
                        target.finish_empty(block);
                        target.then.map_or(Ok(()), |then| then(block))?;
                    }
                    Sums::Keep { to, ld } => {
                        (0..block.rows.len())
                            .for_each(|i| std::slice::from_raw_parts_mut(to.add(i * ld), block.cols.len()).fill(T::Acc::ZERO));
                    }
                }
            }
            return Ok(());
        }
        let kernels = T::Acc::kernels();
        let (m, n) = (block.rows.len(), block.cols.len());
        let strip = m.div_ceil(m.div_ceil(kernels.rows()));
        let in_place = self.b.in_place(terms.start, block.cols.start).is_some();
        let width = kernels.columns(m, n, in_place);
        let single = terms.len() <= KC && terms.start / self.run == (terms.end - 1) / self.run;

        // Sums that cannot wait in `c` wait in a block of scratch, or in a tile where one slice of `k` is all there is.
        let waiting = match sums {
            Sums::Finish(t) if !t.direct() && !single => Some(scratch::<T::Acc>(m * n)?),
            _ => None,
        };
        let begun = matches!(sums, Sums::Finish(t) if t.starts_with_bias());
        if let (true, Sums::Finish(t)) = (begun, sums) {
            // SAFETY: the caller's promise.
            unsafe { t.start(block) };
        }
        let packed_a = if self.pack_a { Some(scratch::<T::Acc>(m * terms.len().min(KC))?) } else { None };
        let mut panel = Stack::<PANEL>::new();
        let mut tile = Stack::<{ 16 * MAX_COLUMNS * 8 }>::new();

        for slice in self.slices(terms.clone()) {
            let (first, last) = (slice.start == terms.start && !begun, slice.end == terms.end);
            if let Some(buffer) = &packed_a {
                // SAFETY: the scratch holds all strips of the block, one slice each.
                unsafe { self.pack_rows(&block.rows, strip, &slice, buffer.as_ptr().cast()) };
            }
            for cols in split(block.cols.clone(), width) {
                let (b, brs) = self.b.in_place(slice.start, cols.start).unwrap_or_else(|| {
                    let to = panel.ptr::<T::Acc>();
                    // SAFETY: the panel has room for `KC` rows of the kernel's columns.
                    unsafe { self.b.pack(slice.start, slice.len(), cols.start, cols.len(), to, width) };
                    (to.cast_const(), width as isize)
                });
                for rows in split(block.rows.clone(), strip) {
                    let (a, ars, acs) = match &packed_a {
                        Some(buffer) => {
                            let strips_before = (rows.start - block.rows.start) * slice.len();
                            (buffer.as_ptr().cast::<T::Acc>().wrapping_add(strips_before).cast_const(), 1, rows.len() as isize)
                        }
                        None => (self.a_at(rows.start, slice.start).cast(), self.a.rs, self.a.cs),
                    };
                    let (i, j) = (rows.start - block.rows.start, cols.start - block.cols.start);
                    let (c, crs, accumulate) = match (sums, &waiting) {
                        (Sums::Keep { to, ld }, _) => (to.wrapping_add(i * ld + j), *ld as isize, !first),
                        (_, Some(w)) => (w.as_ptr().cast::<T::Acc>().wrapping_add(i * n + j), n as isize, !first),
                        (Sums::Finish(t), None) if t.direct() => (t.at(rows.start, cols.start).cast(), t.c.rs, !first),
                        _ => (tile.ptr(), MAX_COLUMNS as isize, false),
                    };
                    let one = Tile { k: slice.len(), a, ars, acs, b, brs, cols: cols.len(), c, crs, accumulate };
                    // SAFETY: the tile lies within the block, whose parts of `a`, `b` and `c` the caller vouches for.
                    unsafe { run_tile(kernels, one, rows.len()) };
                    if let (true, Sums::Finish(t)) = (last, sums)
                        && !(begun || t.direct() && t.plain())
                    {
                        // SAFETY: as above.
                        unsafe { t.finish(&Block { rows, cols: cols.clone() }, c, crs) };
                    }
                }
            }
        }
        match sums {
            Sums::Finish(Target { then: Some(then), .. }) => then(block),
            _ => Ok(()),
        }
    }

    fn a_at(&self, i: usize, p: usize) -> *const T {
        let (run, q) = (p / self.run, p % self.run);
        self.a.ptr.wrapping_offset(i as isize * self.a.rs + run as isize * self.jump + q as isize * self.a.cs)
    }

    /// `terms` in slices of at most `KC` that cross no boundary of runs; about equal within a run.
    fn slices(&self, terms: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let run = self.run;
        (terms.start / run..terms.end.div_ceil(run)).flat_map(move |i| {
            let part = terms.start.max(i * run)..terms.end.min((i + 1) * run);
            let step = part.len().div_ceil(part.len().div_ceil(KC));
            split(part, step)
        })
    }

    /// Packs `rows` of `a`, strip by strip, each as `slice.len()` columns of the strip's rows.
    ///
    /// # Safety
    /// The rows and the slice lie within `a`; `to` has room for them.
    unsafe fn pack_rows(&self, rows: &Range<usize>, strip: usize, slice: &Range<usize>, to: *mut T::Acc) {
        for r in split(rows.clone(), strip) {
            let from = self.a_at(r.start, slice.start);
            // SAFETY: the caller's promise.
            unsafe {
                let to = to.add((r.start - rows.start) * slice.len());
                pack(from, [slice.len(), r.len()], [self.a.cs, self.a.rs], to, r.len());
            }
        }
    }
}

/// # Safety
/// As the micro-kernels: `t`'s matrices lie in memory, `c` overlapping neither factor.
unsafe fn run_tile<A: Acc>(kernels: &Kernels<A>, mut t: Tile<A>, rows: usize) {
    let mut left = t.cols;
    loop {
        let (kernel, done) = kernels.tile(rows, left);
        t.cols = done;
        // SAFETY: the caller's promise; `kernels` were chosen for this processor.
        unsafe { kernel(&t) };
        left -= done;
        if left == 0 {
            return;
        }
        (t.b, t.c) = (t.b.wrapping_add(done), t.c.wrapping_add(done));
    }
}
