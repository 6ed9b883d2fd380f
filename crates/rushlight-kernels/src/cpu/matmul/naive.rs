//! The definition of a matrix product, element by element.

use super::number::{Acc, Number};
use super::{Product, batch_offsets};
use crate::cpu::pool;

/// Runs `p` one dot product at a time.
///
/// # Safety
/// Every element that `p` describes lies in memory, and `c` overlaps nothing.
pub(super) unsafe fn matmul<T: Number>(p: &Product<T>) {
    pool::run(p.batches() * p.m, |row| {
        let (i, at) = ((row % p.m) as isize, batch_offsets(p, row / p.m));
        for j in 0..p.n as isize {
            let mut sum = T::Acc::ZERO;
            for q in 0..p.k as isize {
                // SAFETY: the offsets are those of elements of the views.
                let (x, y) =
                    unsafe { (*p.a.ptr.offset(at.a + i * p.a.rs + q * p.a.cs), *p.b.ptr.offset(at.b + q * p.b.rs + j * p.b.cs)) };
                sum = sum.add(x.widen().mul(y.widen()));
            }
            sum = sum.mul(p.alpha);
            if let Some(bias) = &p.bias {
                // SAFETY: as above.
                let b = unsafe { *bias.ptr.offset(at.bias + i * bias.rs + j * bias.cs) };
                sum = sum.add(b.widen().mul(p.beta));
            }
            // SAFETY: as above; every row of `out` belongs to one call of this closure.
            unsafe { *p.c.ptr.offset(at.c + i * p.c.rs + j * p.c.cs) = T::narrow(sum) };
        }
    });
}
