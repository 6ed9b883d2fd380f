//! Products of small matrices in scratch.

use crate::cpu::matmul::{Acc, Lanes, Vector};
use crate::cpu::simd::{Level, Real, level};

/// `c = a @ b`, or added to `c`: `m` rows, `k` terms, `n` columns.
///
/// Rows of b and c are contiguous, and their padding up to whole registers may be read and written.
pub(super) struct Product<A> {
    pub(super) size: [usize; 3],
    pub(super) a: *const A,
    /// Steps of `a` from row to row and from column to column.
    pub(super) a_steps: [usize; 2],
    pub(super) b: *const A,
    pub(super) b_step: usize,
    pub(super) c: *mut A,
    pub(super) c_step: usize,
    pub(super) add: bool,
}

/// # Safety
/// The processor has the instruction set; the matrices lie in memory, and `c` overlaps neither factor.
pub(super) type ProductFn<A> = unsafe fn(&Product<A>);

/// A type that small products exist for.
pub(crate) trait Products: Acc + Real {
    /// The best function that this processor can run.
    fn product() -> ProductFn<Self>;
}

/// # Safety
/// As [`ProductFn`], for rows `i..i + M` and `NV` registers of columns from `j` on.
#[inline(always)]
unsafe fn tile<V: Vector, const M: usize, const NV: usize>(p: &Product<V::Lane>, i: usize, j: usize) {
    let [rs, cs] = p.a_steps;
    // SAFETY: elements of the three matrices.
    unsafe {
        let mut sums = [[V::splat(<V::Lane as Acc>::ZERO); NV]; M];
        let (mut a, mut b) = (p.a.add(i * rs), p.b.add(j));
        for _ in 0..p.size[1] {
            let mut x = [V::splat(<V::Lane as Acc>::ZERO); NV];
            for v in 0..NV {
                x[v] = V::load(b.add(v * V::LANES));
            }
            for r in 0..M {
                let y = V::splat(*a.add(r * rs));
                for v in 0..NV {
                    sums[r][v] = y.mul_add(x[v], sums[r][v]);
                }
            }
            a = a.wrapping_add(cs);
            b = b.wrapping_add(p.b_step);
        }
        for r in 0..M {
            for v in 0..NV {
                let to = p.c.add((i + r) * p.c_step + j + v * V::LANES);
                let sum = if p.add { sums[r][v].add(V::load(to)) } else { sums[r][v] };
                sum.store(to);
            }
        }
    }
}

/// # Safety
/// As [`ProductFn`].
#[inline(always)]
unsafe fn product<V: Vector, const M: usize>(p: &Product<V::Lane>) {
    let [m, _, n] = p.size;
    let mut j = 0;
    // The panel of b stays in L1 while the rows of a pass.
    while j < n {
        let two = j + V::LANES < n;
        let mut i = 0;
        while i < m {
            // SAFETY: the caller's.
            unsafe {
                i += match (m - i, two) {
                    (left, true) if left >= M => (tile::<V, M, 2>(p, i, j), M).1,
                    (left, false) if left >= M => (tile::<V, M, 1>(p, i, j), M).1,
                    (2.., true) => (tile::<V, 2, 2>(p, i, j), 2).1,
                    (2.., false) => (tile::<V, 2, 1>(p, i, j), 2).1,
                    (_, true) => (tile::<V, 1, 2>(p, i, j), 1).1,
                    (_, false) => (tile::<V, 1, 1>(p, i, j), 1).1,
                };
            }
        }
        j += if two { 2 } else { 1 } * V::LANES;
    }
}

macro_rules! products {
    ($t:ty, $base:literal, $avx2:ident, $avx512:ident) => {
        impl Products for $t {
            fn product() -> ProductFn<$t> {
                #[cfg(target_arch = "x86_64")]
                {
                    use std::arch::x86_64::*;
                    // 8 rows of two registers hide the latency of an addition and leave room for the factors; 16 registers have room for 4.
                    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
                    unsafe fn widest(p: &Product<$t>) {
                        // SAFETY: the caller's.
                        unsafe { product::<$avx512, 8>(p) }
                    }
                    #[target_feature(enable = "avx2,fma")]
                    unsafe fn wide(p: &Product<$t>) {
                        // SAFETY: the caller's.
                        unsafe { product::<$avx2, 4>(p) }
                    }
                    match level() {
                        Level::Avx512 => return widest,
                        Level::Avx2 => return wide,
                        Level::Baseline => {}
                    }
                }
                product::<Lanes<$t, $base>, 4>
            }
        }
    };
}
products!(f32, 4, __m256, __m512);
products!(f64, 2, __m256d, __m512d);
