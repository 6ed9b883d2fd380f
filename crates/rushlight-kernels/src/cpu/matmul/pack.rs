//! Copying strided matrices to where micro-kernels read them fastest, converted to the type of sums.

use super::Matrix;
use super::kernel::{HasKernels, SQUARE};
use super::number::{Acc, Number};

/// The right factor of a product: something that can lay out blocks of itself.
pub(crate) trait Right<A: Acc>: Sync {
    /// Where element `(p, j)` lies and the step between rows, if the matrix can be read in place: columns are adjacent.
    fn in_place(&self, p: usize, j: usize) -> Option<(*const A, isize)>;

    /// Writes rows `p..p + rows` of columns `j..j + cols` to `to`, whose rows are `ld` apart.
    ///
    /// # Safety
    /// The block lies within the matrix, and `to` has room for it.
    unsafe fn pack(&self, p: usize, rows: usize, j: usize, cols: usize, to: *mut A, ld: usize);
}

/// A strided matrix as right factor.
pub(crate) struct Strided<T> {
    pub(crate) matrix: Matrix<*const T>,
    /// Pack even what could be read in place.
    pub(crate) pack: bool,
}

impl<T: Number> Right<T::Acc> for Strided<T> {
    fn in_place(&self, p: usize, j: usize) -> Option<(*const T::Acc, isize)> {
        let m = &self.matrix;
        (!self.pack && !T::CONVERTS && m.cs == 1).then(|| (m.ptr.wrapping_offset(p as isize * m.rs + j as isize).cast(), m.rs))
    }
    unsafe fn pack(&self, p: usize, rows: usize, j: usize, cols: usize, to: *mut T::Acc, ld: usize) {
        let m = &self.matrix;
        let from = m.ptr.wrapping_offset(p as isize * m.rs + j as isize * m.cs);
        // SAFETY: the caller's promise.
        unsafe { pack(from, [rows, cols], [m.rs, m.cs], to, ld) }
    }
}

/// `to[i * ld + j] = from[i * steps[0] + j * steps[1]]`.
///
/// # Safety
/// All these elements lie in memory; `to` overlaps nothing.
pub(crate) unsafe fn pack<T: Number>(from: *const T, size: [usize; 2], steps: [isize; 2], to: *mut T::Acc, ld: usize) {
    let ([rows, cols], kernels) = (size, T::Acc::kernels());
    // SAFETY: every index is within `size`; without conversion the elements are of the kernels' type.
    unsafe {
        if steps[1] == 1 {
            if !T::CONVERTS {
                return (kernels.copy)(size, from.cast(), steps[0], to, ld);
            }
            for i in 0..rows {
                convert(from.offset(i as isize * steps[0]), cols, to.add(i * ld));
            }
            return;
        }
        let get = |i: usize, j: usize| *from.offset(i as isize * steps[0] + j as isize * steps[1]);
        let (full_rows, full_cols) = if steps[0] == 1 { (rows / SQUARE * SQUARE, cols / SQUARE * SQUARE) } else { (0, 0) };
        if !T::CONVERTS {
            (kernels.transpose)([full_rows, full_cols], from.cast(), steps[1], to, ld);
        } else {
            for j in (0..full_cols).step_by(SQUARE) {
                for i in (0..full_rows).step_by(SQUARE) {
                    square(from.offset(i as isize + j as isize * steps[1]), steps[1], to.add(i * ld + j), ld);
                }
            }
        }
        for i in 0..rows {
            for j in if i < full_rows { full_cols } else { 0 }..cols {
                *to.add(i * ld + j) = get(i, j).widen();
            }
        }
    }
}

/// Transposes a square and converts it.
///
/// # Safety
/// Both squares lie in memory.
unsafe fn square<T: Number>(from: *const T, step: isize, to: *mut T::Acc, ld: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut columns = [[T::Acc::ZERO; SQUARE]; SQUARE];
        for (c, column) in columns.iter_mut().enumerate() {
            convert(from.offset(c as isize * step), SQUARE, column.as_mut_ptr());
        }
        for r in 0..SQUARE {
            let row: [T::Acc; SQUARE] = std::array::from_fn(|c| columns[c][r]);
            to.add(r * ld).cast::<[T::Acc; SQUARE]>().write_unaligned(row);
        }
    }
}

/// `n` adjacent elements converted.
///
/// # Safety
/// Both runs lie in memory and do not overlap.
#[inline(always)]
pub(crate) unsafe fn convert<T: Number>(from: *const T, n: usize, to: *mut T::Acc) {
    const RUN: usize = 16;
    // SAFETY: the caller's promise.
    unsafe {
        if !T::CONVERTS {
            // Short copies of a fixed size in registers are several times faster than calls of memcpy.
            let from = from.cast::<T::Acc>();
            let mut i = 0;
            while i + RUN <= n {
                to.add(i).cast::<[T::Acc; RUN]>().write_unaligned(from.add(i).cast::<[T::Acc; RUN]>().read_unaligned());
                i += RUN;
            }
            while i < n {
                *to.add(i) = *from.add(i);
                i += 1;
            }
        } else {
            T::widen_all(std::slice::from_raw_parts(from, n), std::slice::from_raw_parts_mut(to, n));
        }
    }
}
