//! Micro-kernels: a few rows of `a` times a few registers' width of `b`, with all sums in registers; and their run-time choice.

use super::number::Acc;
use super::vector::{Lanes, Vector};
use std::sync::OnceLock;

/// One call of a micro-kernel: `c (+)= a @ b` for the kernel's number of rows and `cols` columns, which need its last register.
pub(super) struct Tile<T> {
    pub(super) k: usize,
    pub(super) a: *const T,
    /// Steps of `a` from row to row and from column to column.
    pub(super) ars: isize,
    pub(super) acs: isize,
    pub(super) b: *const T,
    /// Step of `b` from row to row; its columns are adjacent.
    pub(super) brs: isize,
    pub(super) cols: usize,
    pub(super) c: *mut T,
    /// Step of `c` from row to row; its columns are adjacent.
    pub(super) crs: isize,
    /// Add to `c` rather than overwrite it.
    pub(super) accumulate: bool,
}

type TileFn<T> = unsafe fn(&Tile<T>);
/// `(k, a, ars, b, bcs, sums)`: dot products of rows of `a` with `DOT_COLUMNS` columns of `b`, both adjacent along `k`.
type DotsFn<T> = unsafe fn(usize, *const T, isize, *const T, isize, &mut [[T; DOT_COLUMNS]; DOT_ROWS]);

/// `(k, a, b)`: the sum of `k` products of adjacent elements.
type DotFn<T> = unsafe fn(usize, *const T, *const T) -> T;
/// `(size, from, step, to, ld)`: rows of adjacent elements, `step` apart, to rows `ld` apart.
type CopyFn<T> = unsafe fn([usize; 2], *const T, isize, *mut T, usize);
/// `(size, from, step, to, ld)`: columns of adjacent elements, `step` apart, to rows `ld` apart; both sizes are multiples of [`SQUARE`].
type TransposeFn<T> = unsafe fn([usize; 2], *const T, isize, *mut T, usize);

/// `(k, w, base, offsets, n, y)`: see [`taps`].
type TapsFn<T> = unsafe fn(usize, *const T, *const T, *const isize, usize, *mut T);
/// `(size, a, a_step, b, b_step, offsets, sums)`: see [`correlate`].
type CorrelateFn<T> = unsafe fn([usize; 2], *const T, isize, *const T, isize, &[isize; TAPS], &mut [T; TAPS]);

/// Taps that [`Kernels::correlate`] does at once.
pub(crate) const TAPS: usize = 4;
/// Side of the squares that [`Kernels::transpose`] does at once.
pub(super) const SQUARE: usize = 8;
/// Rows and columns of the dot-product kernels.
pub(super) const DOT_ROWS: usize = 4;
pub(super) const DOT_COLUMNS: usize = 4;
/// Most columns of any tile kernel.
pub(super) const MAX_COLUMNS: usize = 64;

/// The micro-kernels of one instruction set.
pub(crate) struct Kernels<T: 'static> {
    /// Lanes of a register.
    pub(super) lanes: usize,
    /// `tiles[r - 1][v - 1]` does `r` rows and `v` registers of columns.
    tiles: &'static [[TileFn<T>; 2]],
    /// `wide[r - 1]` does `r` rows and four registers.
    wide: &'static [TileFn<T>],
    /// `dots[r - 1]` does `r` rows.
    pub(super) dots: [DotsFn<T>; DOT_ROWS],
    /// One long dot product.
    pub(super) dot: DotFn<T>,
    pub(super) copy: CopyFn<T>,
    pub(super) transpose: TransposeFn<T>,
    /// A row of a convolution: `y[j] = sum over p < k of w[p] * base[offsets[p] + j]`, `j < n`.
    pub(crate) taps: TapsFn<T>,
    /// Its transpose in `w`: `sums[t] += sum over i, j of a[i * a_step + j] * b[i * b_step + offsets[t] + j]` over `size` rows, columns.
    pub(crate) correlate: CorrelateFn<T>,
}

impl<T> Kernels<T> {
    /// Most rows of a tile.
    pub(super) fn rows(&self) -> usize {
        self.tiles.len()
    }
    /// The best width in columns of tiles for `m` rows and `n` columns. The widest is for reading `b` in place only.
    pub(super) fn columns(&self, m: usize, n: usize, in_place: bool) -> usize {
        let registers = if n <= self.lanes {
            1
        } else if in_place && m <= self.wide.len() && n > 2 * self.lanes {
            4
        } else {
            2
        };
        registers * self.lanes
    }
    /// The kernel for exactly `rows` rows and `cols` columns, and how it names them.
    #[inline]
    pub(super) fn tile(&self, rows: usize, cols: usize) -> (TileFn<T>, usize) {
        match cols.div_ceil(self.lanes) {
            v @ 1..=2 => (self.tiles[rows - 1][v - 1], cols),
            4 => (self.wide[rows - 1], cols),
            // Three registers: two, and the caller comes again for the rest.
            _ => (self.tiles[rows - 1][1], 2 * self.lanes),
        }
    }
}

/// # Safety
/// The processor has `V`'s instruction set; the matrices of `t` lie in memory, and `c` overlaps neither of the others.
#[inline(always)]
unsafe fn tile<V: Vector, const M: usize, const NV: usize>(t: &Tile<V::Lane>) {
    // SAFETY: every access is to an element of the three matrices; the last register's lanes past `cols` are masked off.
    unsafe {
        let mask = V::mask(t.cols - (NV - 1) * V::LANES);
        let mut sums = [[V::splat(V::Lane::ZERO); NV]; M];
        let (mut a, mut b) = (t.a, t.b);
        for _ in 0..t.k {
            let mut x = [V::splat(V::Lane::ZERO); NV];
            for v in 0..NV {
                let p = b.add(v * V::LANES);
                x[v] = if v + 1 < NV { V::load(p) } else { V::load_masked(p, mask) };
            }
            for i in 0..M {
                let y = V::splat(*a.offset(i as isize * t.ars));
                for v in 0..NV {
                    sums[i][v] = y.mul_add(x[v], sums[i][v]);
                }
            }
            a = a.wrapping_offset(t.acs);
            b = b.wrapping_offset(t.brs);
        }
        for i in 0..M {
            let row = t.c.offset(i as isize * t.crs);
            for v in 0..NV {
                let p = row.add(v * V::LANES);
                if v + 1 < NV {
                    let old = if t.accumulate { V::load(p) } else { V::splat(V::Lane::ZERO) };
                    if t.accumulate { sums[i][v].add(old) } else { sums[i][v] }.store(p);
                } else if t.accumulate {
                    sums[i][v].add(V::load_masked(p, mask)).store_masked(p, mask);
                } else {
                    sums[i][v].store_masked(p, mask);
                }
            }
        }
    }
}

/// # Safety
/// As [`tile`]; `M` rows of `a` and all columns of `b` have `k` elements.
#[inline(always)]
unsafe fn dots<V: Vector, const M: usize>(
    k: usize,
    a: *const V::Lane,
    ars: isize,
    b: *const V::Lane,
    bcs: isize,
    out: &mut [[V::Lane; DOT_COLUMNS]; DOT_ROWS],
) {
    // SAFETY: every access is to one of the first `k` elements of a row or column.
    unsafe {
        let mut sums = [[V::splat(V::Lane::ZERO); DOT_COLUMNS]; M];
        let full = k / V::LANES * V::LANES;
        let mut p = 0;
        while p < full {
            let mut x = [V::splat(V::Lane::ZERO); DOT_COLUMNS];
            for j in 0..DOT_COLUMNS {
                x[j] = V::load(b.offset(j as isize * bcs).add(p));
            }
            for i in 0..M {
                let y = V::load(a.offset(i as isize * ars).add(p));
                for j in 0..DOT_COLUMNS {
                    sums[i][j] = y.mul_add(x[j], sums[i][j]);
                }
            }
            p += V::LANES;
        }
        if full < k {
            let mask = V::mask(k - full);
            for j in 0..DOT_COLUMNS {
                let x = V::load_masked(b.offset(j as isize * bcs).add(full), mask);
                for i in 0..M {
                    let y = V::load_masked(a.offset(i as isize * ars).add(full), mask);
                    sums[i][j] = y.mul_add(x, sums[i][j]);
                }
            }
        }
        for i in 0..M {
            out[i] = V::sums(sums[i]);
        }
    }
}

/// # Safety
/// The processor has `V`'s instruction set; both runs lie in memory.
#[inline(always)]
unsafe fn dot<V: Vector>(k: usize, a: *const V::Lane, b: *const V::Lane) -> V::Lane {
    // Enough sums to hide the latency of an addition.
    const SUMS: usize = 8;
    // SAFETY: accesses are to the first `k` elements.
    unsafe {
        let mut sums = [V::splat(V::Lane::ZERO); SUMS];
        let mut p = 0;
        while p + SUMS * V::LANES <= k {
            for s in 0..SUMS {
                sums[s] = V::load(a.add(p + s * V::LANES)).mul_add(V::load(b.add(p + s * V::LANES)), sums[s]);
            }
            p += SUMS * V::LANES;
        }
        let mut s = 0;
        while p < k {
            let mask = V::mask((k - p).min(V::LANES));
            sums[s] = V::load_masked(a.add(p), mask).mul_add(V::load_masked(b.add(p), mask), sums[s]);
            (p, s) = (p + V::LANES, s + 1);
        }
        for half in [4, 2, 1] {
            for s in 0..half {
                sums[s] = sums[s].add(sums[s + half]);
            }
        }
        V::sum(sums[0])
    }
}

/// See [`CopyFn`]. Short rows in registers are several times faster than calls of memcpy.
///
/// # Safety
/// The processor has `V`'s instruction set; all rows lie in memory and do not overlap.
#[inline(always)]
unsafe fn copy<V: Vector>([rows, cols]: [usize; 2], from: *const V::Lane, step: isize, to: *mut V::Lane, ld: usize) {
    let full = cols / V::LANES * V::LANES;
    // SAFETY: accesses are to the first `cols` elements of each row.
    unsafe {
        let mask = V::mask(cols - full);
        for i in 0..rows {
            let (from, to) = (from.offset(i as isize * step), to.add(i * ld));
            let mut j = 0;
            while j < full {
                V::load(from.add(j)).store(to.add(j));
                j += V::LANES;
            }
            if full < cols {
                V::load_masked(from.add(full), mask).store_masked(to.add(full), mask);
            }
        }
    }
}

/// See [`TransposeFn`].
///
/// # Safety
/// As [`copy`].
#[inline(always)]
unsafe fn transpose<V: Vector>([rows, cols]: [usize; 2], from: *const V::Lane, step: isize, to: *mut V::Lane, ld: usize) {
    // SAFETY: squares within both matrices.
    unsafe {
        for j in (0..cols).step_by(SQUARE) {
            for i in (0..rows).step_by(SQUARE) {
                V::square(from.offset(i as isize + j as isize * step), step, to.add(i * ld + j), ld);
            }
        }
    }
}

/// See [`Kernels::taps`].
///
/// # Safety
/// The processor has `V`'s instruction set; all elements named there lie in memory, `y` overlapping none of the others.
#[inline(always)]
unsafe fn taps<V: Vector>(k: usize, w: *const V::Lane, base: *const V::Lane, offsets: *const isize, n: usize, y: *mut V::Lane) {
    // SAFETY: accesses are to elements `j < n` of the runs.
    unsafe {
        let mut j = 0;
        while j + 4 * V::LANES <= n {
            let mut sums = [V::splat(V::Lane::ZERO); 4];
            for p in 0..k {
                let (x, from) = (V::splat(*w.add(p)), base.offset(*offsets.add(p)).add(j));
                for v in 0..4 {
                    sums[v] = x.mul_add(V::load(from.add(v * V::LANES)), sums[v]);
                }
            }
            (0..4).for_each(|v| sums[v].store(y.add(j + v * V::LANES)));
            j += 4 * V::LANES;
        }
        while j < n {
            let mask = V::mask((n - j).min(V::LANES));
            let mut sum = V::splat(V::Lane::ZERO);
            for p in 0..k {
                let from = base.offset(*offsets.add(p)).add(j);
                sum = V::splat(*w.add(p)).mul_add(V::load_masked(from, mask), sum);
            }
            sum.store_masked(y.add(j), mask);
            j += V::LANES;
        }
    }
}

/// See [`Kernels::correlate`].
///
/// # Safety
/// The processor has `V`'s instruction set; all elements named there lie in memory.
#[inline(always)]
unsafe fn correlate<V: Vector>(
    size: [usize; 2],
    a: *const V::Lane,
    a_step: isize,
    b: *const V::Lane,
    b_step: isize,
    offsets: &[isize; TAPS],
    out: &mut [V::Lane; TAPS],
) {
    // SAFETY: accesses are to the first `size[1]` elements of each row.
    unsafe {
        let mut sums = [V::splat(V::Lane::ZERO); TAPS];
        for i in 0..size[0] as isize {
            let (x, y) = (a.offset(i * a_step), b.offset(i * b_step));
            for j in (0..size[1]).step_by(V::LANES) {
                let mask = V::mask((size[1] - j).min(V::LANES));
                let x = V::load_masked(x.add(j), mask);
                for t in 0..TAPS {
                    sums[t] = x.mul_add(V::load_masked(y.offset(offsets[t]).add(j), mask), sums[t]);
                }
            }
        }
        for t in 0..TAPS {
            out[t] = out[t].add(V::sum(sums[t]));
        }
    }
}

/// Instantiates the kernels for a register type, each function compiled with the instruction set's features.
macro_rules! kernels {
    ($name:ident, [$($feature:literal)?], $v:ty, $t:ty, rows [$($m:literal)*], wide [$($w:literal)*]) => {
        static $name: Kernels<$t> = {
            $(#[target_feature(enable = $feature)])?
            unsafe fn tiles<const M: usize, const NV: usize>(t: &Tile<$t>) {
                // SAFETY: the features are enabled here; the caller vouches for the matrices.
                unsafe { tile::<$v, M, NV>(t) }
            }
            $(#[target_feature(enable = $feature)])?
            unsafe fn few<const M: usize>(
                k: usize, a: *const $t, ars: isize, b: *const $t, bcs: isize, out: &mut [[$t; DOT_COLUMNS]; DOT_ROWS],
            ) {
                // SAFETY: as above.
                unsafe { dots::<$v, M>(k, a, ars, b, bcs, out) }
            }
            $(#[target_feature(enable = $feature)])?
            unsafe fn long(k: usize, a: *const $t, b: *const $t) -> $t {
                // SAFETY: as above.
                unsafe { dot::<$v>(k, a, b) }
            }
            $(#[target_feature(enable = $feature)])?
            unsafe fn rows(size: [usize; 2], from: *const $t, step: isize, to: *mut $t, ld: usize) {
                // SAFETY: as above.
                unsafe { copy::<$v>(size, from, step, to, ld) }
            }
            $(#[target_feature(enable = $feature)])?
            unsafe fn columns(size: [usize; 2], from: *const $t, step: isize, to: *mut $t, ld: usize) {
                // SAFETY: as above.
                unsafe { transpose::<$v>(size, from, step, to, ld) }
            }
            $(#[target_feature(enable = $feature)])?
            unsafe fn row(k: usize, w: *const $t, base: *const $t, offsets: *const isize, n: usize, y: *mut $t) {
                // SAFETY: as above.
                unsafe { taps::<$v>(k, w, base, offsets, n, y) }
            }
            $(#[target_feature(enable = $feature)])?
            unsafe fn correlation(
                size: [usize; 2], a: *const $t, a_step: isize, b: *const $t, b_step: isize, offsets: &[isize; TAPS], out: &mut [$t; TAPS],
            ) {
                // SAFETY: as above.
                unsafe { correlate::<$v>(size, a, a_step, b, b_step, offsets, out) }
            }
            Kernels {
                taps: row,
                correlate: correlation,
                lanes: size_of::<$v>() / size_of::<$t>(),
                tiles: &[$([tiles::<$m, 1>, tiles::<$m, 2>]),*],
                wide: &[$(tiles::<$w, 4>),*],
                dots: [few::<1>, few::<2>, few::<3>, few::<4>],
                dot: long,
                copy: rows,
                transpose: columns,
            }
        };
    };
}

/// Chooses among instruction sets, once per type.
macro_rules! choose {
    ($t:ty, $($name:ident if $has:expr),*; $fallback:ident) => {
        impl HasKernels for $t {
            fn kernels() -> &'static Kernels<$t> {
                static CHOICE: OnceLock<&Kernels<$t>> = OnceLock::new();
                CHOICE.get_or_init(|| {
                    $(if $has { return &$name; })*
                    &$fallback
                })
            }
        }
    };
}

/// A type that micro-kernels exist for.
pub(crate) trait HasKernels: Sized + 'static {
    /// The best that this processor can run.
    fn kernels() -> &'static Kernels<Self>;
}

// Without FMA there are 16 registers of 128 bits at least: 4 rows x 2 registers leave room for the operands.
kernels!(F32_BASE, [], Lanes<f32, 4>, f32, rows [1 2 3 4], wide [1 2]);
kernels!(F64_BASE, [], Lanes<f64, 2>, f64, rows [1 2 3 4], wide [1 2]);
kernels!(I32_BASE, [], Lanes<i32, 4>, i32, rows [1 2 3 4], wide [1 2]);
kernels!(I64_BASE, [], Lanes<i64, 2>, i64, rows [1 2 3 4], wide [1 2]);

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::*;
    use crate::cpu::simd::{Level, level};
    use std::arch::x86_64::*;

    // 6 rows x 2 registers fill the 16 of AVX2, 14 x 2 the 32 of AVX-512, with two left for `b` and one for `a`.
    kernels!(F32_AVX2, ["avx2,fma"], __m256, f32, rows [1 2 3 4 5 6], wide [1 2]);
    kernels!(F64_AVX2, ["avx2,fma"], __m256d, f64, rows [1 2 3 4 5 6], wide [1 2]);
    kernels!(I32_AVX2, ["avx2"], Lanes<i32, 8>, i32, rows [1 2 3 4 5 6], wide [1 2]);
    kernels!(F32_AVX512, ["avx512f"], __m512, f32, rows [1 2 3 4 5 6 7 8 9 10 11 12 13 14], wide [1 2 3 4]);
    kernels!(F64_AVX512, ["avx512f"], __m512d, f64, rows [1 2 3 4 5 6 7 8 9 10 11 12 13 14], wide [1 2 3 4]);

    fn avx2() -> bool {
        level() >= Level::Avx2
    }
    fn avx512() -> bool {
        level() >= Level::Avx512
    }
    choose!(f32, F32_AVX512 if avx512(), F32_AVX2 if avx2(); F32_BASE);
    choose!(f64, F64_AVX512 if avx512(), F64_AVX2 if avx2(); F64_BASE);
    choose!(i32, I32_AVX2 if avx2(); I32_BASE);
    choose!(i64,; I64_BASE);

    #[cfg(test)]
    pub(super) fn all_f32() -> Vec<&'static Kernels<f32>> {
        let mut all = vec![&F32_BASE];
        all.extend(avx2().then_some(&F32_AVX2));
        all.extend(avx512().then_some(&F32_AVX512));
        all
    }
}
#[cfg(not(target_arch = "x86_64"))]
mod other {
    use super::*;

    choose!(f32,; F32_BASE);
    choose!(f64,; F64_BASE);
    choose!(i32,; I32_BASE);
    choose!(i64,; I64_BASE);

    #[cfg(test)]
    pub(super) fn all_f32() -> Vec<&'static Kernels<f32>> {
        vec![&F32_BASE]
    }
}

/// Every table of f32 kernels that this processor can run.
#[cfg(test)]
pub(super) fn all_f32() -> Vec<&'static Kernels<f32>> {
    #[cfg(target_arch = "x86_64")]
    return x86::all_f32();
    #[cfg(not(target_arch = "x86_64"))]
    other::all_f32()
}
