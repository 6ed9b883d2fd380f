//! A right factor that is packed once and multiplied many times.

use super::kernel::{Kernels, Tile};
use super::number::Acc;
use super::pack::pack;
use super::{Matrix, gemm, scratch};
use crate::{Buffer, Result};

/// Terms that are multiplied before the next strip of rows has its turn: a panel's part then stays in L1.
const TERMS: usize = 256;

/// A matrix cut into panels of a micro-kernel's columns, each of which is contiguous.
pub(crate) struct Panels<A: Acc> {
    room: Buffer,
    kernels: &'static Kernels<A>,
    width: usize,
    k: usize,
    n: usize,
}

impl<A: Acc> Panels<A> {
    /// Packs `b` of `k` rows and `n` columns.
    ///
    /// # Safety
    /// `b` lies in memory.
    pub(crate) unsafe fn new(b: Matrix<*const A>, k: usize, n: usize) -> Result<Panels<A>> {
        let kernels = A::kernels();
        let width = 2 * kernels.lanes;
        let room = scratch::<A>(n.next_multiple_of(width) * k)?;
        for cols in gemm::split(0..n, width) {
            let from = b.ptr.wrapping_offset(cols.start as isize * b.cs);
            // SAFETY: columns of `b`, and a panel's room for them.
            unsafe { pack(from, [k, cols.len()], [b.rs, b.cs], room.as_ptr().cast::<A>().add(cols.start * k), width) };
        }
        Ok(Panels { room, kernels, width, k, n })
    }

    /// `c = a @ self`, or `c += a @ self`, for `rows` rows; columns of both are adjacent, rows `ars` and `crs` apart.
    ///
    /// # Safety
    /// `a` and `c` lie in memory; nobody else touches `c`, which overlaps `a` nowhere.
    pub(crate) unsafe fn multiply(&self, rows: usize, a: *const A, ars: usize, c: *mut A, crs: usize, accumulate: bool) {
        let strip = rows.div_ceil(rows.div_ceil(self.kernels.rows()));
        for cols in gemm::split(0..self.n, self.width) {
            for terms in gemm::split(0..self.k, TERMS) {
                for strip in gemm::split(0..rows, strip) {
                    let panel = self.room.as_ptr().cast::<A>().wrapping_add(cols.start * self.k + terms.start * self.width);
                    let tile = Tile {
                        k: terms.len(),
                        a: a.wrapping_add(strip.start * ars + terms.start),
                        ars: ars as isize,
                        acs: 1,
                        b: panel,
                        brs: self.width as isize,
                        cols: cols.len(),
                        c: c.wrapping_add(strip.start * crs + cols.start),
                        crs: crs as isize,
                        accumulate: accumulate || terms.start > 0,
                    };
                    // SAFETY: the caller's promise; the panel was packed by `new`, for this processor.
                    unsafe { (self.kernels.tile(strip.len(), cols.len()).0)(&tile) };
                }
            }
        }
    }
}
