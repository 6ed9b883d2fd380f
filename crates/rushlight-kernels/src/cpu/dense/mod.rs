//! Factorisations of dense matrices: Cholesky, LU, QR, symmetric eigenvalues, singular values; and triangular systems.
//!
//! All arithmetic is in f64: a float32 matrix costs a conversion, which is linear where the work is cubic, and its factors come out
//! rounded once. The matrices of a batch are worked on one after the other.

mod factor;
mod spectral;
#[cfg(test)]
mod tests;

use crate::backend::*;
use crate::*;
use factor::{cholesky, lu, qr, triangular};
use spectral::{eigh, svd};

/// See [`Backend`].
pub fn dense(op: DenseOp, ins: &[View], outs: &mut [ViewMut]) -> Result<()> {
    dispatch!(ins[0].dtype, [F32 F64], T => batch::<T>(op, ins, outs),
        else => Err(Error::not_implemented(format!("no factorisation for '{}'", ins[0].dtype.scalar_type_name()))))
}

/// The last two sizes of a view, and how many matrices there are.
fn sizes(shape: &[usize]) -> (usize, usize, usize) {
    let (lead, matrix) = shape.split_at(shape.len() - 2);
    (matrix[0], matrix[1], lead.iter().product())
}

/// Part `i` of the `count` equal parts of a contiguous view, in f64.
fn load<T: Element>(x: &View, i: usize, len: usize) -> Vec<f64> {
    let all = x.as_slice::<T>().expect("operands of factorisations are contiguous, of one dtype");
    all[i * len..][..len].iter().map(|v| v.to_f64()).collect()
}

/// Writes part `i` of a contiguous view.
fn store<T: Element>(out: &mut ViewMut, i: usize, values: &[f64]) {
    let all = out.as_mut_slice::<T>().expect("results of factorisations are contiguous, of one dtype");
    all[i * values.len()..].iter_mut().zip(values).for_each(|(o, v)| *o = T::from_f64(*v));
}

fn store_ints(out: &mut ViewMut, i: usize, values: &[i32]) {
    let all = out.as_mut_slice::<i32>().expect("pivots and infos are contiguous, of dtype int32");
    all[i * values.len()..][..values.len()].copy_from_slice(values);
}

fn batch<T: Element>(op: DenseOp, ins: &[View], outs: &mut [ViewMut]) -> Result<()> {
    let (m, n, count) = sizes(ins[0].shape());
    for i in 0..count {
        let mut a = load::<T>(&ins[0], i, m * n);
        match op {
            DenseOp::Cholesky => {
                let info = cholesky(&mut a, n);
                store::<T>(&mut outs[0], i, &a);
                store_ints(&mut outs[1], i, &[info as i32]);
            }
            DenseOp::Lu => {
                let mut pivots = vec![0; m.min(n)];
                let info = lu(&mut a, m, n, &mut pivots);
                store::<T>(&mut outs[0], i, &a);
                store_ints(&mut outs[1], i, &pivots);
                store_ints(&mut outs[2], i, &[info as i32]);
            }
            DenseOp::Triangular { upper, unit } => {
                let columns = ins[1].shape()[ins[1].shape().len() - 1];
                let mut x = load::<T>(&ins[1], i, n * columns);
                triangular(&a, n, &mut x, columns, upper, unit);
                store::<T>(&mut outs[0], i, &x);
            }
            DenseOp::Qr => {
                let columns = outs[0].shape()[outs[0].shape().len() - 1];
                let (q, r) = qr(&a, m, n, columns);
                store::<T>(&mut outs[0], i, &q);
                store::<T>(&mut outs[1], i, &r);
            }
            DenseOp::Eigh => {
                let (values, vectors) = eigh(&a, n).ok_or_else(|| failed("linalg.eigh", i, count))?;
                store::<T>(&mut outs[0], i, &values);
                store::<T>(&mut outs[1], i, &vectors);
            }
            DenseOp::Svd => {
                let (u, vh) = (outs[0].shape(), outs[2].shape());
                let full = u[u.len() - 1] == m && vh[vh.len() - 2] == n;
                let (u, s, vh) = svd(&a, m, n, full).ok_or_else(|| failed("linalg.svd", i, count))?;
                store::<T>(&mut outs[0], i, &u);
                store::<T>(&mut outs[1], i, &s);
                store::<T>(&mut outs[2], i, &vh);
            }
        }
    }
    Ok(())
}

#[cold]
fn failed(op: &str, i: usize, count: usize) -> Error {
    let place = if count == 1 { String::new() } else { format!("(Batch element {i}): ") };
    Error::linalg(format!(
        "{op}: {place}The algorithm failed to converge because the input matrix contained non-finite values or is ill-conditioned."
    ))
}

/// The sum of products. Eight running sums, so that it is not bound to the time of one addition; their number is fixed, so the bits are too.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (pa, pb) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = pa.remainder().iter().zip(pb.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in pa.zip(pb) {
        for (s, (x, y)) in sums.iter_mut().zip(x.iter().zip(y)) {
            *s += x * y;
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// `y += factor * x`.
fn axpy(factor: f64, x: &[f64], y: &mut [f64]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += factor * x);
}

/// The length of a vector, without overflow on the way.
fn norm(x: &[f64]) -> f64 {
    let largest = x.iter().fold(0f64, |m, v| m.max(v.abs()));
    // Beyond these bounds a square overflows, or loses digits.
    if (1e-140..1e140).contains(&largest) || largest == 0.0 {
        return dot(x, x).sqrt();
    }
    largest * x.iter().map(|v| (v / largest).powi(2)).sum::<f64>().sqrt()
}

/// The transpose of `rows × columns` numbers.
fn transposed(a: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    (0..columns).flat_map(|c| (0..rows).map(move |r| a[r * columns + c])).collect()
}
