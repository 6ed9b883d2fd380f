//! Matrix products.

mod naive;
mod number;

use crate::backend::*;
use crate::*;
pub(crate) use number::{Acc, Number};

/// A matrix within a batch: where its first element lies and how far its neighbours are.
#[derive(Clone, Copy)]
struct Matrix<P> {
    ptr: P,
    /// Step from row to row.
    rs: isize,
    /// Step from column to column.
    cs: isize,
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
    check(&a, &b, bias.as_ref(), out)?;
    if out.numel() == 0 {
        return Ok(());
    }
    dispatch!(out.dtype, [U8 I8 I16 I32 I64 F16 BF16 F32 F64], T => {
        // SAFETY: `check` found the shapes and dtypes right; views stay within their buffers.
        unsafe { naive::matmul(&product::<T>(a, b, bias, alpha, beta, out)) }
        Ok(())
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
    let [sa, sb, sc, sd]: [Strides; 4] = std::array::from_fn(|i| steps[i].clone());
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
