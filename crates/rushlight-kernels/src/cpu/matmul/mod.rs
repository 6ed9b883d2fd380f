//! Matrix products.
//!
//! `plan` cuts a batch into tasks, `gemm` computes one block of a result on one thread, `pack` brings strided or half-precision
//! operands to where `kernel` reads them, and `vector` hides the instruction sets. Sums are of type [`Number::Acc`] throughout and are
//! rounded to the element type once, together with `alpha`, `beta` and the bias.

mod epilogue;
mod gemm;
mod kernel;
#[cfg(test)]
mod naive;
mod number;
mod pack;
mod panels;
mod plan;
#[cfg(test)]
mod tests;
mod vector;

use super::{pool, tile};
use crate::backend::*;
use crate::*;
use epilogue::Epilogue;
pub(crate) use gemm::{Block, Gemm, Target};
use kernel::{DOT_COLUMNS, DOT_ROWS, MAX_COLUMNS};
pub(crate) use kernel::{HasKernels, TAPS};
pub(crate) use number::{Acc, Number};
pub(crate) use pack::{Right, Strided, convert, pack};
pub(crate) use panels::Panels;
use plan::run_cut;
pub(crate) use plan::{Size, run, try_run};
pub(crate) use vector::{Lanes, Vector};

/// A matrix within a batch: where its first element lies and how far its neighbours are.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<P> {
    pub(crate) ptr: P,
    /// Step from row to row.
    pub(crate) rs: isize,
    /// Step from column to column.
    pub(crate) cs: isize,
}

impl<T> Matrix<*const T> {
    pub(crate) fn shifted(self, by: isize) -> Self {
        Matrix { ptr: self.ptr.wrapping_offset(by), ..self }
    }
}

impl<T> Matrix<*mut T> {
    pub(crate) fn shifted(self, by: isize) -> Self {
        Matrix { ptr: self.ptr.wrapping_offset(by), ..self }
    }
}

impl<P> Matrix<P> {
    fn transposed(self) -> Matrix<P> {
        Matrix { ptr: self.ptr, rs: self.cs, cs: self.rs }
    }
}

// SAFETY: stands for a `View` or `ViewMut`, which may cross threads; kernels write disjoint parts.
unsafe impl<P> Send for Matrix<P> {}
// SAFETY: as above.
unsafe impl<P> Sync for Matrix<P> {}

/// `c = alpha * a @ b + beta * bias` for every index of a batch.
struct Product<T: Number> {
    m: usize,
    n: usize,
    k: usize,
    a: Matrix<*const T>,
    b: Matrix<*const T>,
    c: Matrix<*mut T>,
    bias: Option<Matrix<*const T>>,
    alpha: T::Acc,
    beta: T::Acc,
    /// Sizes of the batch, and each operand's steps there.
    batch: Dims,
    steps: [Strides; 4],
}

/// Where each operand's matrix of one batch index starts.
struct Offsets {
    a: isize,
    b: isize,
    c: isize,
    bias: isize,
}

impl<T: Number> Product<T> {
    fn batches(&self) -> usize {
        self.batch.iter().product()
    }

    /// A last batch dimension that shares `b` and continues the rows of all else is more rows.
    fn fold_batch(&mut self) {
        let Some(d) = self.batch.len().checked_sub(1) else { return };
        let m = self.m as isize;
        let [a, b, c, bias] = [0, 1, 2, 3].map(|i| self.steps[i][d]);
        if m == 1 && b == 0 {
            // The step between single rows is free to choose.
            (self.a.rs, self.c.rs) = (a, c);
            self.bias.iter_mut().for_each(|x| x.rs = bias);
        }
        let follows = |step: isize, rs: isize| step == m * rs;
        if b == 0 && follows(a, self.a.rs) && follows(c, self.c.rs) && self.bias.is_none_or(|x| follows(bias, x.rs)) {
            self.m *= self.batch[d];
            self.batch.pop();
            self.steps.iter_mut().for_each(|s| s.truncate(d));
        }
    }

    /// The same product as `c^T = b^T @ a^T`.
    fn transpose(&mut self) {
        (self.a, self.b) = (self.b.transposed(), self.a.transposed());
        (self.c, self.bias) = (self.c.transposed(), self.bias.map(Matrix::transposed));
        (self.m, self.n) = (self.n, self.m);
        self.steps.swap(0, 1);
    }

    fn target(&self, at: &Offsets) -> Target<'static, T> {
        Target {
            c: self.c.shifted(at.c),
            columns: None,
            alpha: self.alpha,
            beta: self.beta,
            bias: self.bias.map(|x| x.shifted(at.bias)),
            then: None,
        }
    }

    /// Whether rows of `a` and columns of `b` are adjacent along `k`, and so few or so long that dot products are better than packing.
    fn suits_dots(&self) -> bool {
        let adjacent = self.b.rs == 1 && self.a.cs == 1 && !T::CONVERTS;
        let long = self.k >= 8 * T::Acc::kernels().lanes && self.m <= ROWS_OF_DOTS;
        adjacent && (self.m <= DOT_ROWS || long) && self.n >= DOT_COLUMNS && self.k >= T::Acc::kernels().lanes
    }

    /// Whether there are only a few sums, along adjacent elements.
    fn suits_long_dots(&self) -> bool {
        let adjacent = self.b.rs == 1 && self.a.cs == 1 && !T::CONVERTS;
        adjacent && self.m * self.n < DOT_ROWS && self.k >= 4 * T::Acc::kernels().lanes
    }
}

/// Most rows that are multiplied as dot products: the columns of `b` are read again for every four of them.
const ROWS_OF_DOTS: usize = 64;
/// Terms of one part of a long sum.
const LONG: usize = 1 << 14;

/// # Safety
/// Every element that `p` describes lies in memory, and `c` overlaps nothing, unless it is an operand of the epilogue.
unsafe fn by_blocks<T: Number>(p: &Product<T>, epilogue: Option<&Epilogue>) -> Result<()> {
    let lanes = T::Acc::kernels().lanes;
    // Reading in place costs nothing where a cache line is used whole and soon; else packing pays once there is reuse.
    let pack_a = T::CONVERTS || p.a.cs != 1 && p.n > 4 * lanes;
    let pack_b = p.m > 2 * T::Acc::kernels().rows() && p.k * p.n > 64 * 64;
    let size = Size { batches: p.batches(), m: p.m, n: p.n, k: p.k };
    run_cut::<T>(size, epilogue.is_some(), |index, part| {
        let at = batch_offsets(p, index);
        let b = Strided { matrix: p.b.shifted(at.b), pack: pack_b };
        let gemm = Gemm { a: p.a.shifted(at.a), run: p.k.max(1), jump: 0, pack_a, b: &b };
        // SAFETY: parts of one product are disjoint, and blocks that are finished are each one task's own.
        let then = |block: &Block| epilogue.map_or(Ok(()), |e| unsafe { e.run(&block.down(index * p.m)) });
        let target = Target { then: epilogue.is_some().then_some(&then), ..p.target(&at) };
        // SAFETY: the caller's promise.
        unsafe { part.run(&gemm, &target) }
    })
}

/// Rows times columns of a matrix stored by columns, without packing.
///
/// # Safety
/// As [`by_blocks`]; `p.suits_dots()`.
unsafe fn by_dots<T: Number>(p: &Product<T>) -> Result<()> {
    let kernels = T::Acc::kernels();
    let chunks = p.n.div_ceil(MAX_COLUMNS);
    // For a few rows reading `b` is the cost: about 20 µs of it at 10 GB/s.
    let group = ((1 << 17) / (p.k * MAX_COLUMNS * p.m.div_ceil(DOT_ROWS))).max(1);
    let tasks = p.batches() * chunks;
    pool::for_ranges(tasks, group, |range| {
        for task in range {
            let (at, from) = (batch_offsets(p, task / chunks), task % chunks * MAX_COLUMNS);
            let cols = from..(from + MAX_COLUMNS).min(p.n);
            for rows in gemm::split(0..p.m, DOT_ROWS) {
                let mut sums = [[T::Acc::ZERO; MAX_COLUMNS]; DOT_ROWS];
                let a = p.a.ptr.wrapping_offset(at.a + rows.start as isize * p.a.rs).cast();
                for j in cols.clone().step_by(DOT_COLUMNS) {
                    // The last group may begin within the one before (or the chunk before), and computes the same again.
                    let j = j.min(p.n - DOT_COLUMNS);
                    let mut four = [[T::Acc::ZERO; DOT_COLUMNS]; DOT_ROWS];
                    let b = p.b.ptr.wrapping_offset(at.b + j as isize * p.b.cs).cast();
                    // SAFETY: `rows` of `a` and four columns of `b`, of `k` adjacent elements of the kernel's own type.
                    unsafe { kernels.dots[rows.len() - 1](p.k, a, p.a.rs, b, p.b.cs, &mut four) };
                    for (sums, four) in sums.iter_mut().zip(four) {
                        for (x, y) in (j..).zip(four) {
                            if x >= from {
                                sums[x - from] = y;
                            }
                        }
                    }
                }
                let block = Block { rows, cols: cols.clone() };
                // SAFETY: a part of `c` of this task's own.
                unsafe { p.target(&at).finish(&block, sums.as_ptr().cast(), MAX_COLUMNS as isize) };
            }
        }
    });
    Ok(())
}

/// A few long sums, each in parts that are added in order.
///
/// # Safety
/// As [`by_blocks`]; `p.suits_long_dots()`.
unsafe fn by_long_dots<T: Number>(p: &Product<T>) -> Result<()> {
    let kernels = T::Acc::kernels();
    let parts = p.k.div_ceil(LONG);
    let sums = p.batches() * p.m * p.n;
    let part = |i: usize| {
        let (sum, part) = (i / parts, i % parts);
        let (at, row, col) = (batch_offsets(p, sum / (p.m * p.n)), sum / p.n % p.m, sum % p.n);
        let a = p.a.ptr.wrapping_offset(at.a + row as isize * p.a.rs + (part * LONG) as isize);
        let b = p.b.ptr.wrapping_offset(at.b + col as isize * p.b.cs + (part * LONG) as isize);
        // SAFETY: runs of adjacent elements within both matrices, of the kernel's own type.
        unsafe { (kernels.dot)((p.k - part * LONG).min(LONG), a.cast(), b.cast()) }
    };
    let finish = |sum: usize, total: T::Acc| {
        let (at, row, col) = (batch_offsets(p, sum / (p.m * p.n)), sum / p.n % p.m, sum % p.n);
        let block = Block { rows: row..row + 1, cols: col..col + 1 };
        // SAFETY: an element of `c` of this sum's own.
        unsafe { p.target(&at).finish(&block, &total, 1) };
    };
    if parts == 1 {
        pool::for_ranges(sums, (LONG / p.k).max(1), |range| range.for_each(|i| finish(i, part(i))));
        return Ok(());
    }
    let room = scratch::<T::Acc>(sums * parts)?;
    let all = Matrix { ptr: room.as_ptr().cast::<T::Acc>(), rs: 0, cs: 1 };
    // SAFETY: each part has a place of its own.
    pool::for_ranges(sums * parts, 2, |range| range.for_each(|i| unsafe { *all.shifted(i as isize).ptr = part(i) }));
    for sum in 0..sums {
        // SAFETY: all parts are written.
        let values = unsafe { std::slice::from_raw_parts(all.ptr.add(sum * parts), parts) };
        finish(sum, values.iter().fold(T::Acc::ZERO, |x, y| x.add(*y)));
    }
    Ok(())
}

/// Uninitialised room for `n` values.
pub(crate) fn scratch<T>(n: usize) -> Result<Buffer> {
    let bytes = n.checked_mul(size_of::<T>()).ok_or_else(|| Error::runtime("matmul: scratch size overflows"))?;
    Buffer::uninit(bytes)
}

fn batch_offsets<T: Number>(p: &Product<T>, mut index: usize) -> Offsets {
    let mut at = [0isize; 4];
    for d in (0..p.batch.len()).rev() {
        let i = (index % p.batch[d]) as isize;
        index /= p.batch[d];
        for (x, s) in at.iter_mut().zip(&p.steps) {
            *x += i * s[d];
        }
    }
    Offsets { a: at[0], b: at[1], c: at[2], bias: at[3] }
}

/// See [`Backend`].
pub fn matmul(a: View, b: View, bias: Option<View>, alpha: Scalar, beta: Scalar, out: &mut ViewMut) -> Result<()> {
    multiply(a, b, bias, alpha, beta, out, None).map(|_| ())
}

/// See [`Backend`].
pub fn matmul_then(
    a: View,
    b: View,
    bias: Option<View>,
    alpha: Scalar,
    beta: Scalar,
    out: &mut ViewMut,
    program: &Program,
    ins: &[View],
    outs: &mut [ViewMut],
) -> Result<()> {
    tile::check(program, ins, outs)?;
    // Rows of the whole batch, as the epilogue counts them, are those of `out`.
    let columns = out.shape().last();
    let fits = out.layout.is_contiguous() && outs.iter().all(|x| x.shape().last() == columns && x.numel() == out.numel());
    let epilogue = if fits { Epilogue::new(program, ins, outs) } else { None };
    if !multiply(a, b, bias, alpha, beta, out, epilogue.as_ref())? {
        drop(epilogue);
        tile::pointwise(program, ins, outs)?;
    }
    Ok(())
}

/// Bytes of the longest rows of which blocks are made that are gone through again: of longer ones, a block in cache would have so few rows that
/// packing the other factor for it costs more than the pass.
const LONGEST_ROW: usize = 2048;

/// The product; and whether the epilogue has been run, too.
fn multiply(
    a: View,
    b: View,
    bias: Option<View>,
    alpha: Scalar,
    beta: Scalar,
    out: &mut ViewMut,
    epilogue: Option<&Epilogue>,
) -> Result<bool> {
    check(&a, &b, bias.as_ref(), out)?;
    if out.numel() == 0 {
        return Ok(false);
    }
    dispatch!(out.dtype, [U8 I8 I16 I32 I64 F16 BF16 F32 F64], T => {
        let mut p = product::<T>(a, b, bias, alpha, beta, out);
        p.fold_batch();
        // The kernels write along rows; and with few columns, `a` is the matrix to stream.
        let is_turned = p.c.cs != 1 && p.c.rs == 1 || p.n <= DOT_ROWS && p.m > p.n;
        if is_turned {
            p.transpose();
        }
        // SAFETY: `check` found the shapes and dtypes right; views stay within their buffers.
        unsafe {
            if p.suits_dots() {
                by_dots(&p)?;
            } else if p.suits_long_dots() {
                by_long_dots(&p)?;
            } else {
                let epilogue = epilogue.filter(|_| !is_turned && p.n * size_of::<T>() <= LONGEST_ROW);
                by_blocks(&p, epilogue)?;
                return Ok(epilogue.is_some());
            }
        }
        Ok(false)
    }, else => Err(not_implemented("addmm_impl_cpu_", out.dtype)))
}

/// PyTorch's words for an operation without a kernel.
pub(crate) fn not_implemented(op: &str, dtype: DType) -> Error {
    Error::not_implemented(format!("\"{op}\" not implemented for '{}'", dtype.scalar_type_name()))
}

fn check(a: &View, b: &View, bias: Option<&View>, out: &ViewMut) -> Result<()> {
    let r = out.shape().len();
    let (x, y, z) = (a.shape(), b.shape(), out.shape());
    let fits = r >= 2
        && x.len() == r
        && y.len() == r
        && x[..r - 2] == z[..r - 2]
        && y[..r - 2] == z[..r - 2]
        && (x[r - 2], y[r - 1], x[r - 1]) == (z[r - 2], z[r - 1], y[r - 2])
        && bias.is_none_or(|b| b.shape() == z);
    if !fits {
        let bias = bias.map_or(String::new(), |b| format!(" + {:?}", b.shape()));
        return Err(Error::runtime(format!("matmul: shapes {x:?} @ {y:?}{bias} do not fit the result {z:?}")));
    }
    if let Some(d) = [a.dtype, b.dtype, bias.map_or(out.dtype, |b| b.dtype)].into_iter().find(|&d| d != out.dtype) {
        return Err(Error::runtime(format!("matmul: expected all operands to be {}, but got {d}", out.dtype)));
    }
    Ok(())
}

fn product<T: Number>(a: View, b: View, bias: Option<View>, alpha: Scalar, beta: Scalar, out: &mut ViewMut) -> Product<T> {
    let r = out.shape().len();
    let beta = T::Acc::from_scalar(beta);
    // A bias times zero is no bias at all, whatever it holds (NaN included).
    let bias = bias.filter(|_| beta != T::Acc::ZERO);
    let none = Strides::from_elem(0, r);
    let bias_strides = bias.as_ref().map_or(&none[..], |b| b.strides());
    let (batch, steps) = layout::collapse(
        &out.shape()[..r - 2],
        &[&a.strides()[..r - 2], &b.strides()[..r - 2], &out.strides()[..r - 2], &bias_strides[..r - 2]],
    );
    let [sa, sb, sc, sd]: [Strides; 4] = std::array::from_fn(|i| layout::copied(&steps[i]));
    Product {
        m: out.shape()[r - 2],
        n: out.shape()[r - 1],
        k: a.shape()[r - 1],
        a: Matrix { ptr: a.ptr(), rs: a.strides()[r - 2], cs: a.strides()[r - 1] },
        b: Matrix { ptr: b.ptr(), rs: b.strides()[r - 2], cs: b.strides()[r - 1] },
        c: Matrix { ptr: out.ptr(), rs: out.strides()[r - 2], cs: out.strides()[r - 1] },
        bias: bias.map(|b| Matrix { ptr: b.ptr(), rs: b.strides()[r - 2], cs: b.strides()[r - 1] }),
        alpha: T::Acc::from_scalar(alpha),
        beta,
        batch,
        steps: [sa, sb, sc, sd],
    }
}
