//! Scaled dot-product attention without its matrix of scores.
//!
//! The scores of a few queries and a block of keys are made, used and forgotten while they are in cache (Dao et al., "FlashAttention", 2022). The
//! forward pass keeps, for each query, the logarithm of the sum of its exponentials; the backward pass makes the weights from that anew.
//!
//! `product` multiplies small matrices in cache; `forward` and `backward` say what is multiplied.

mod backward;
mod forward;
mod product;
#[cfg(test)]
mod tests;

use super::matmul::{Acc, Number, pack};
use super::rows::Shared;
use super::simd::Real;
use crate::backend::*;
use crate::*;
use product::Products;
use smallvec::SmallVec;

/// Queries of one block of scores, and keys: 32 KB of f32.
const QUERIES: usize = 64;
const KEYS: usize = 128;
/// Step between rows of a block of scores, and between rows of transposed keys: no multiple of a page's worth of cache sets.
const STEP: usize = KEYS + 16;
/// Rows in scratch have a multiple of this many elements: a register of any instruction set.
const PAD: usize = 16;

/// A stack of matrices: views over common batch dimensions.
#[derive(Clone)]
struct Matrices<T> {
    start: Shared<T>,
    batch: SmallVec<[isize; 6]>,
    rows: usize,
    cols: usize,
    steps: [isize; 2],
}

impl<T> Matrices<T> {
    fn new(start: *mut T, layout: &Layout) -> Matrices<T> {
        let r = layout.shape.len() - 2;
        Matrices {
            start: Shared::new(start),
            batch: SmallVec::from_slice(&layout.strides[..r]),
            rows: layout.shape[r],
            cols: layout.shape[r + 1],
            steps: [layout.strides[r], layout.strides[r + 1]],
        }
    }
    /// Matrix number `index` of batch dimensions `sizes`.
    fn at(&self, sizes: &[usize], mut index: usize) -> *mut T {
        let mut offset = 0;
        for (&n, &step) in sizes.iter().zip(&self.batch).rev() {
            offset += (index % n) as isize * step;
            index /= n;
        }
        self.start.get().wrapping_offset(offset)
    }
}

impl<T: Number> Matrices<T> {
    /// Columns padded.
    fn width(&self) -> usize {
        self.cols.next_multiple_of(PAD)
    }
    /// Copies rows `from..from + n` of the matrix at `matrix` to rows of scratch `ld` apart.
    ///
    /// # Safety
    /// The matrix has these rows, which nobody writes, and `to` has room for them.
    unsafe fn rows_to(&self, matrix: *mut T, from: usize, n: usize, to: &mut [T::Acc], ld: usize) {
        debug_assert!(n * ld <= to.len());
        // SAFETY: the caller's.
        unsafe { pack(matrix.offset(from as isize * self.steps[0]), [n, self.cols], self.steps, to.as_mut_ptr(), ld) }
    }
    /// The same, transposed.
    ///
    /// # Safety
    /// As there.
    unsafe fn columns_to(&self, matrix: *mut T, from: usize, n: usize, to: &mut [T::Acc], ld: usize) {
        let [rs, cs] = self.steps;
        debug_assert!(self.cols * ld <= to.len());
        // SAFETY: the caller's.
        unsafe { pack(matrix.offset(from as isize * rs), [self.cols, n], [cs, rs], to.as_mut_ptr(), ld) }
    }
    /// Writes row `row` of the matrix at `matrix`.
    ///
    /// # Safety
    /// The matrix has this row, and nobody else touches it.
    unsafe fn put(&self, matrix: *mut T, row: usize, values: &[T::Acc]) {
        // SAFETY: the caller's.
        unsafe {
            let to = matrix.offset(row as isize * self.steps[0]);
            if self.steps[1] == 1 {
                return T::narrow_all(values, std::slice::from_raw_parts_mut(to, values.len()));
            }
            values.iter().enumerate().for_each(|(j, &x)| *to.offset(j as isize * self.steps[1]) = T::narrow(x));
        }
    }
}

/// What is added to the scores.
enum Mask<T> {
    None,
    Truth(Matrices<bool>),
    Number(Matrices<T>),
}

impl<T: Number<Acc: Products>> Mask<T> {
    fn new(view: Option<&View>) -> Mask<T> {
        match view {
            None => Mask::None,
            Some(m) if m.dtype == DType::Bool => Mask::Truth(Matrices::new(m.ptr::<bool>().cast_mut(), m.layout)),
            Some(m) => Mask::Number(Matrices::new(m.ptr::<T>().cast_mut(), m.layout)),
        }
    }
    /// Adds the mask's elements of query `i` and the keys from `k` on to `scores`.
    ///
    /// # Safety
    /// The mask has these elements in matrix `index` of `sizes`.
    #[inline(always)]
    unsafe fn add(&self, sizes: &[usize], index: usize, i: usize, k: usize, scores: &mut [T::Acc]) {
        // SAFETY: the caller's.
        unsafe {
            match self {
                Mask::None => {}
                Mask::Truth(m) => {
                    let from = m.at(sizes, index).offset(i as isize * m.steps[0] + k as isize * m.steps[1]);
                    let closed = -<T::Acc as Real>::INFINITY;
                    if m.steps[1] == 1 {
                        let open = std::slice::from_raw_parts(from, scores.len());
                        scores.iter_mut().zip(open).for_each(|(s, &open)| *s = if open { *s } else { closed });
                    } else {
                        let open = |j: usize| *from.offset(j as isize * m.steps[1]);
                        scores.iter_mut().enumerate().for_each(|(j, s)| *s = if open(j) { *s } else { closed });
                    }
                }
                Mask::Number(m) => {
                    let from = m.at(sizes, index).offset(i as isize * m.steps[0] + k as isize * m.steps[1]);
                    if m.steps[1] == 1 {
                        let add = std::slice::from_raw_parts(from, scores.len());
                        scores.iter_mut().zip(add).for_each(|(s, &x)| *s = *s + x.widen());
                    } else {
                        let add = |j: usize| (*from.offset(j as isize * m.steps[1])).widen();
                        scores.iter_mut().enumerate().for_each(|(j, s)| *s = *s + add(j));
                    }
                }
            }
        }
    }
}

/// What both passes need to know.
struct Job<T: Number> {
    op: Attention,
    /// Batch dimensions, heads among them.
    sizes: Dims,
    q: Matrices<T>,
    k: Matrices<T>,
    v: Matrices<T>,
    mask: Mask<T>,
}

impl<T: Number<Acc: Products>> Job<T> {
    /// `None` where the views do not fit the kernel.
    fn new(op: Attention, q: &View, k: &View, v: &View, mask: Option<&View>) -> Option<Job<T>> {
        let r = q.shape().len().checked_sub(2)?;
        let fits = |x: &View| x.shape().len() == r + 2 && x.shape()[..r] == q.shape()[..r];
        let plain = |x: &View| fits(x) && x.dtype == T::DTYPE && x.numel() > 0;
        if ![q, k, v].into_iter().all(plain) || mask.is_some_and(|m| !fits(m) || m.dtype != DType::Bool && m.dtype != T::DTYPE) {
            return None;
        }
        let of = |x: &View| Matrices::<T>::new(x.ptr::<T>().cast_mut(), x.layout);
        let job = Job { op, sizes: Dims::from_slice(&q.shape()[..r]), q: of(q), k: of(k), v: of(v), mask: Mask::new(mask) };
        (job.q.cols == job.k.cols && job.k.rows == job.v.rows).then_some(job)
    }
    fn heads(&self) -> usize {
        self.sizes.iter().product()
    }
    /// How many of the keys `k..k + n` query `i` sees.
    #[inline(always)]
    fn visible(&self, i: usize, k: usize, n: usize) -> usize {
        if self.op.causal { (i + 1).saturating_sub(k).min(n) } else { n }
    }
    /// Copies queries to scratch, times the scale.
    ///
    /// # Safety
    /// As [`Matrices::rows_to`].
    unsafe fn scaled_queries(&self, matrix: *mut T, from: usize, n: usize, to: &mut [T::Acc]) {
        let (ld, scale) = (self.q.width(), <T::Acc as Real>::of(self.op.scale));
        // SAFETY: the caller's.
        unsafe { self.q.rows_to(matrix, from, n, to, ld) };
        to[..n * ld].iter_mut().for_each(|x| *x = *x * scale);
    }
}

/// Room for scratch, zero so that padding is.
fn zeros<A: Acc>(n: usize) -> Vec<A> {
    vec![A::ZERO; n]
}

/// See [`KernelId::Attention`].
pub fn forward(op: Attention, ins: &[View], outs: &mut [ViewMut]) -> Result<Option<()>> {
    dispatch!(ins[0].dtype, [F16 BF16 F32 F64], T => forward::run::<T>(op, ins, outs), else => Ok(None))
}

/// See [`KernelId::AttentionBackward`].
pub fn backward(op: Attention, ins: &[View], outs: &mut [ViewMut]) -> Result<Option<()>> {
    dispatch!(ins[0].dtype, [F16 BF16 F32 F64], T => backward::run::<T>(op, ins, outs), else => Ok(None))
}
