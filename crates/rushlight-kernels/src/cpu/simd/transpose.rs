//! Transposition of blocks in registers, and rows of which each becomes one value.

use crate::cpu::number::tree;
#[cfg(target_arch = "x86_64")]
use crate::cpu::simd::{Level, level};
use std::array::from_fn;
use std::mem::MaybeUninit;

/// Copies `rows` rows of `cols` elements, `from_stride` elements apart, to columns: element (r, c) goes to `to + c * to_stride + r`.
///
/// # Safety
/// All those places are valid, and the two sides are apart.
pub(crate) unsafe fn transpose<T: Copy>(
    from: *const T,
    from_stride: isize,
    to: *mut T,
    to_stride: isize,
    rows: usize,
    cols: usize,
) {
    let (mut whole_rows, mut whole_cols) = (0, 0);
    #[cfg(target_arch = "x86_64")]
    if let Some((side, kernel, cut)) = x86::kernel(size_of::<T>()) {
        (whole_rows, whole_cols) = if cut.is_some() { (rows, cols) } else { (rows / side * side, cols / side * side) };
        let bytes = size_of::<T>() as isize;
        for r in (0..whole_rows).step_by(side) {
            for c in (0..whole_cols).step_by(side) {
                // SAFETY: blocks within the caller's bounds, whole ones where no kernel for others is named.
                unsafe {
                    let from = from.offset(r as isize * from_stride + c as isize).cast();
                    let to = to.offset(c as isize * to_stride + r as isize).cast();
                    match cut {
                        Some(cut) if r + side > rows || c + side > cols => {
                            cut(from, from_stride * bytes, to, to_stride * bytes, side.min(rows - r), side.min(cols - c))
                        }
                        _ => kernel(from, from_stride * bytes, to, to_stride * bytes),
                    }
                }
            }
        }
    }
    if (whole_rows, whole_cols) == (rows, cols) {
        return;
    }
    // What is left at the two edges.
    for r in 0..rows {
        let first = if r < whole_rows { whole_cols } else { 0 };
        for c in first..cols {
            // SAFETY: the caller's.
            unsafe { *to.offset(c as isize * to_stride + r as isize) = *from.offset(r as isize * from_stride + c as isize) }
        }
    }
}

/// Each row joined as [`tree`] does. The halves of a row meet with those of another in one step of whole vectors: to transpose the rows first
/// would take twice as many shuffles.
#[inline(always)]
pub(crate) fn join_rows<A: Copy>(rows: &[[A; 16]; 16], join: impl Fn(A, A) -> A) -> [A; 16] {
    #[cfg(target_arch = "x86_64")]
    if size_of::<A>() == 4 && level() == Level::Avx512 {
        // SAFETY: the machine has AVX-512, and sixteen words are a vector.
        return unsafe { x86::join_words(rows, join) };
    }
    fold_rows(rows, |row| tree(row, &join))
}

/// `fold` of each row, in the lanes of vectors.
#[inline(always)]
pub(crate) fn fold_rows<A: Copy>(rows: &[[A; 16]; 16], fold: impl Fn([A; 16]) -> A) -> [A; 16] {
    let mut turned = MaybeUninit::<[[A; 16]; 16]>::uninit();
    // SAFETY: sixteen rows of sixteen, which become as many columns.
    let turned = unsafe {
        transpose(rows.as_ptr().cast::<A>(), 16, turned.as_mut_ptr().cast::<A>(), 16, 16, 16);
        turned.assume_init_ref()
    };
    let mut all = turned[0];
    for r in 0..16 {
        all[r] = fold(from_fn(|l| turned[l][r]));
    }
    all
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use crate::cpu::simd::{Level, level};
    use std::arch::x86_64::*;
    use std::mem::transmute_copy;

    /// Transposes one square block; strides are in bytes.
    type Kernel = unsafe fn(*const u8, isize, *mut u8, isize);

    /// Transposes a block of so many rows and columns, at most those of a whole one.
    type Cut = unsafe fn(*const u8, isize, *mut u8, isize, usize, usize);

    /// The kernel for elements of so many bytes, the side of its block, and one for blocks that are cut off.
    pub(super) fn kernel(bytes: usize) -> Option<(usize, Kernel, Option<Cut>)> {
        match (bytes, level()) {
            (4, Level::Avx512) => Some((16, words, Some(cut_words))),
            (8, Level::Avx512) => Some((8, doubles, Some(cut_doubles))),
            (4, _) => Some((4, four_words, None)),
            (2, _) => Some((8, halves, None)),
            (1, _) => Some((8, bytes_of_eight, None)),
            _ => None,
        }
    }

    /// [`super::join_rows`] of words.
    ///
    /// # Safety
    /// `A` is a number of 4 bytes, and the machine has AVX-512.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq")]
    pub(super) unsafe fn join_words<A: Copy>(rows: &[[A; 16]; 16], join: impl Fn(A, A) -> A) -> [A; 16] {
        #[inline(always)]
        fn meet<A: Copy>(low: __m512, high: __m512, join: &impl Fn(A, A) -> A) -> __m512 {
            // SAFETY: `join_words`' contract: a vector is as good as an array.
            unsafe {
                let (mut low, high) = (transmute_copy::<__m512, [A; 16]>(&low), transmute_copy::<__m512, [A; 16]>(&high));
                for l in 0..16 {
                    low[l] = join(low[l], high[l]);
                }
                transmute_copy::<[A; 16], __m512>(&low)
            }
        }
        // Not loops, whose vectors would pass through memory.
        macro_rules! step {
            ($of:expr, $apart:literal, $($i:literal)*: $low:expr, $high:expr) => {
                [$({
                    let (a, b) = ($of($i), $of($i + $apart));
                    meet($low(a, b), $high(a, b), &join)
                }),*]
            };
        }
        // In this order, what the steps make of them is in order: bits 0 and 1 of a row's number trade places, and so do bits 2 and 3.
        // SAFETY: as above.
        let x = |i: usize| unsafe { transmute_copy::<[A; 16], __m512>(&rows[(i >> 1 & 0b0101) | (i << 1 & 0b1010)]) };
        // Each vector then holds two rows of eight, four of four, eight of two, all sixteen.
        let x = step!(x, 8, 0 1 2 3 4 5 6 7: _mm512_shuffle_f32x4::<0x44>, _mm512_shuffle_f32x4::<0xee>);
        let x = step!(|i: usize| x[i], 4, 0 1 2 3: _mm512_shuffle_f32x4::<0x88>, _mm512_shuffle_f32x4::<0xdd>);
        let low = |a, b| _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
        let high = |a, b| _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
        let x = step!(|i: usize| x[i], 2, 0 1: low, high);
        let [x] = step!(|i: usize| x[i], 1, 0: _mm512_shuffle_ps::<0x88>, _mm512_shuffle_ps::<0xdd>);
        // SAFETY: as above.
        unsafe { transmute_copy::<__m512, [A; 16]>(&x) }
    }

    /// Sixteen rows of sixteen.
    #[target_feature(enable = "avx512f,avx512dq")]
    unsafe fn words(from: *const u8, from_stride: isize, to: *mut u8, to_stride: isize) {
        let mut x = [_mm512_setzero_ps(); 16];
        for (i, x) in x.iter_mut().enumerate() {
            // SAFETY: a row of the block.
            *x = unsafe { _mm512_loadu_ps(from.offset(i as isize * from_stride).cast()) };
        }
        for (i, y) in turn_words(x).iter().enumerate() {
            // SAFETY: a column of the block.
            unsafe { _mm512_storeu_ps(to.offset(i as isize * to_stride).cast(), *y) }
        }
    }

    /// Sixteen rows at most of as many elements at most, in half the steps where those are eight.
    #[target_feature(enable = "avx512f,avx512vl,avx512dq")]
    unsafe fn cut_words(from: *const u8, from_stride: isize, to: *mut u8, to_stride: isize, rows: usize, cols: usize) {
        let (in_row, in_column) = ((1u32 << cols) - 1, ((1u32 << rows) - 1) as u16);
        let row = |i: usize| from.wrapping_offset(i as isize * from_stride).cast::<f32>();
        let mut x = [_mm512_setzero_ps(); 16];
        let y = if cols <= 8 {
            for i in 0..8 {
                // So that what meets in `turn_narrow_words` is in order.
                let (low, high) = (i / 4 * 8 + i % 4, i / 4 * 8 + i % 4 + 4);
                let mask = |i: usize| if i < rows { in_row as u8 } else { 0 };
                // SAFETY: rows of the block; of others nothing is read. Masked loads that miss the caches are slower than whole ones.
                let (low, high) = unsafe {
                    match (rows, cols) {
                        (16, 8) => (_mm256_loadu_ps(row(low)), _mm256_loadu_ps(row(high))),
                        _ => (_mm256_maskz_loadu_ps(mask(low), row(low)), _mm256_maskz_loadu_ps(mask(high), row(high))),
                    }
                };
                x[i] = _mm512_insertf32x8::<1>(_mm512_castps256_ps512(low), high);
            }
            turn_narrow_words(x)
        } else {
            for (i, x) in x.iter_mut().enumerate() {
                // SAFETY: as above.
                *x = unsafe { _mm512_maskz_loadu_ps(if i < rows { in_row as u16 } else { 0 }, row(i)) };
            }
            turn_words(x)
        };
        for (i, y) in y.iter().enumerate() {
            if i < cols {
                // SAFETY: a column of the block.
                unsafe { _mm512_mask_storeu_ps(to.offset(i as isize * to_stride).cast(), in_column, *y) }
            }
        }
    }

    /// Halves of eight elements: rows 0 to 3 with 4 to 7, then 8 to 11 with 12 to 15. Eight columns are made.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq")]
    fn turn_narrow_words(mut x: [__m512; 16]) -> [__m512; 16] {
        let mut y = x;
        for i in (0..8).step_by(2) {
            y[i] = _mm512_unpacklo_ps(x[i], x[i + 1]);
            y[i + 1] = _mm512_unpackhi_ps(x[i], x[i + 1]);
        }
        for i in [0, 4] {
            for k in 0..2 {
                let (a, b) = (_mm512_castps_pd(y[i + k]), _mm512_castps_pd(y[i + k + 2]));
                x[i + 2 * k] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
                x[i + 2 * k + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
            }
        }
        for j in 0..4 {
            y[j] = _mm512_shuffle_f32x4::<0x88>(x[j], x[4 + j]);
            y[4 + j] = _mm512_shuffle_f32x4::<0xdd>(x[j], x[4 + j]);
        }
        y
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq")]
    fn turn_words(mut x: [__m512; 16]) -> [__m512; 16] {
        let mut y = x;
        for i in (0..16).step_by(2) {
            y[i] = _mm512_unpacklo_ps(x[i], x[i + 1]);
            y[i + 1] = _mm512_unpackhi_ps(x[i], x[i + 1]);
        }
        for i in (0..16).step_by(4) {
            for k in 0..2 {
                let (a, b) = (_mm512_castps_pd(y[i + k]), _mm512_castps_pd(y[i + k + 2]));
                x[i + 2 * k] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
                x[i + 2 * k + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
            }
        }
        // x[4 q + j] has, in each quarter l, column 4 l + j of rows 4 q … 4 q + 3.
        for j in 0..4 {
            let low = _mm512_shuffle_f32x4::<0x88>(x[j], x[4 + j]);
            let high = _mm512_shuffle_f32x4::<0x88>(x[8 + j], x[12 + j]);
            y[j] = _mm512_shuffle_f32x4::<0x88>(low, high);
            y[8 + j] = _mm512_shuffle_f32x4::<0xdd>(low, high);
            let low = _mm512_shuffle_f32x4::<0xdd>(x[j], x[4 + j]);
            let high = _mm512_shuffle_f32x4::<0xdd>(x[8 + j], x[12 + j]);
            y[4 + j] = _mm512_shuffle_f32x4::<0x88>(low, high);
            y[12 + j] = _mm512_shuffle_f32x4::<0xdd>(low, high);
        }
        y
    }

    /// Eight rows of eight.
    #[target_feature(enable = "avx512f,avx512dq")]
    unsafe fn doubles(from: *const u8, from_stride: isize, to: *mut u8, to_stride: isize) {
        let mut x = [_mm512_setzero_pd(); 8];
        for (i, x) in x.iter_mut().enumerate() {
            // SAFETY: a row of the block.
            *x = unsafe { _mm512_loadu_pd(from.offset(i as isize * from_stride).cast()) };
        }
        for (i, x) in turn_doubles(x).iter().enumerate() {
            // SAFETY: a column of the block.
            unsafe { _mm512_storeu_pd(to.offset(i as isize * to_stride).cast(), *x) }
        }
    }

    /// Eight rows at most of as many elements at most.
    #[target_feature(enable = "avx512f,avx512dq")]
    unsafe fn cut_doubles(from: *const u8, from_stride: isize, to: *mut u8, to_stride: isize, rows: usize, cols: usize) {
        let (in_row, in_column) = ((1u32 << cols) - 1, ((1u32 << rows) - 1) as u8);
        let mut x = [_mm512_setzero_pd(); 8];
        for (i, x) in x.iter_mut().enumerate() {
            let row = from.wrapping_offset(i as isize * from_stride).cast();
            // SAFETY: a row of the block; of others nothing is read.
            *x = unsafe { _mm512_maskz_loadu_pd(if i < rows { in_row as u8 } else { 0 }, row) };
        }
        for (i, x) in turn_doubles(x).iter().enumerate() {
            if i < cols {
                // SAFETY: a column of the block.
                unsafe { _mm512_mask_storeu_pd(to.offset(i as isize * to_stride).cast(), in_column, *x) }
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq")]
    fn turn_doubles(mut x: [__m512d; 8]) -> [__m512d; 8] {
        let mut y = x;
        for i in (0..8).step_by(2) {
            y[i] = _mm512_unpacklo_pd(x[i], x[i + 1]);
            y[i + 1] = _mm512_unpackhi_pd(x[i], x[i + 1]);
        }
        // y[2 q + j] has, in each quarter l, column 2 l + j of rows 2 q and 2 q + 1.
        for j in 0..2 {
            let low = _mm512_shuffle_f64x2::<0x88>(y[j], y[2 + j]);
            let high = _mm512_shuffle_f64x2::<0x88>(y[4 + j], y[6 + j]);
            x[j] = _mm512_shuffle_f64x2::<0x88>(low, high);
            x[4 + j] = _mm512_shuffle_f64x2::<0xdd>(low, high);
            let low = _mm512_shuffle_f64x2::<0xdd>(y[j], y[2 + j]);
            let high = _mm512_shuffle_f64x2::<0xdd>(y[4 + j], y[6 + j]);
            x[2 + j] = _mm512_shuffle_f64x2::<0x88>(low, high);
            x[6 + j] = _mm512_shuffle_f64x2::<0xdd>(low, high);
        }
        x
    }

    /// Four rows of four; SSE2 has all that is needed.
    unsafe fn four_words(from: *const u8, from_stride: isize, to: *mut u8, to_stride: isize) {
        // SAFETY: rows and columns of the block; SSE2 is part of x86-64.
        unsafe {
            let [mut a, mut b, mut c, mut d] = [0, 1, 2, 3].map(|i| _mm_loadu_ps(from.offset(i * from_stride).cast()));
            _MM_TRANSPOSE4_PS(&mut a, &mut b, &mut c, &mut d);
            for (i, v) in [a, b, c, d].into_iter().enumerate() {
                _mm_storeu_ps(to.offset(i as isize * to_stride).cast(), v);
            }
        }
    }

    /// Eight rows of eight.
    unsafe fn halves(from: *const u8, from_stride: isize, to: *mut u8, to_stride: isize) {
        // SAFETY: rows and columns of the block; SSE2 is part of x86-64.
        unsafe {
            let x: [__m128i; 8] = std::array::from_fn(|i| _mm_loadu_si128(from.offset(i as isize * from_stride).cast()));
            // Rows i and i + 4 are woven together, three times over.
            let weave = |x: [__m128i; 8]| -> [__m128i; 8] {
                std::array::from_fn(|i| {
                    let (a, b) = (x[i / 2], x[i / 2 + 4]);
                    if i % 2 == 0 { _mm_unpacklo_epi16(a, b) } else { _mm_unpackhi_epi16(a, b) }
                })
            };
            for (i, v) in weave(weave(weave(x))).into_iter().enumerate() {
                _mm_storeu_si128(to.offset(i as isize * to_stride).cast(), v);
            }
        }
    }

    /// Eight rows of eight.
    unsafe fn bytes_of_eight(from: *const u8, from_stride: isize, to: *mut u8, to_stride: isize) {
        // SAFETY: rows and columns of the block; SSE2 is part of x86-64.
        unsafe {
            let x: [__m128i; 8] = std::array::from_fn(|i| _mm_loadl_epi64(from.offset(i as isize * from_stride).cast()));
            // Each has rows 2 i and 2 i + 1 of four, woven; then columns in pairs.
            let a: [__m128i; 4] = std::array::from_fn(|i| _mm_unpacklo_epi8(x[i], x[i + 4]));
            let b = [
                _mm_unpacklo_epi8(a[0], a[2]),
                _mm_unpackhi_epi8(a[0], a[2]),
                _mm_unpacklo_epi8(a[1], a[3]),
                _mm_unpackhi_epi8(a[1], a[3]),
            ];
            let c = [
                _mm_unpacklo_epi8(b[0], b[2]),
                _mm_unpackhi_epi8(b[0], b[2]),
                _mm_unpacklo_epi8(b[1], b[3]),
                _mm_unpackhi_epi8(b[1], b[3]),
            ];
            for (i, v) in c.into_iter().enumerate() {
                _mm_storel_epi64(to.offset(2 * i as isize * to_stride).cast(), v);
                _mm_storel_epi64(to.offset((2 * i as isize + 1) * to_stride).cast(), _mm_unpackhi_epi64(v, v));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::transpose;

    fn check<T: Copy + PartialEq + std::fmt::Debug>(of: impl Fn(usize) -> T) {
        for (rows, cols) in
            [(1, 1), (3, 5), (4, 4), (7, 9), (8, 8), (16, 16), (17, 33), (32, 32), (40, 15), (64, 48), (16, 8), (5, 16), (2, 31)]
        {
            let (wide, high) = (cols + 3, rows + 5);
            let from: Vec<T> = (0..rows * wide).map(&of).collect();
            let mut to = vec![of(0); cols * high];
            // SAFETY: both buffers hold the block with their strides.
            unsafe { transpose(from.as_ptr(), wide as isize, to.as_mut_ptr(), high as isize, rows, cols) }
            for r in 0..rows {
                for c in 0..cols {
                    assert_eq!(to[c * high + r], from[r * wide + c], "{rows} {cols} {r} {c}");
                }
            }
            assert!((0..cols).all(|c| (rows..high).all(|r| to[c * high + r] == of(0))), "nothing beside the block is written");
        }
    }

    #[test]
    fn blocks_of_every_width_of_element() {
        check(|i| i as u8);
        check(|i| i as u16);
        check(|i| i as u32);
        check(|i| i as u64);
    }
}
