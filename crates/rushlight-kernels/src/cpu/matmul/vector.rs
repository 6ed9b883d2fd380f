//! SIMD registers behind one trait, so that each micro-kernel is written once.
//!
//! Everything is `#[inline(always)]`: the methods only mean what they should once they are inlined into a function that has the
//! instruction set enabled (see `kernel.rs`).

use super::kernel::SQUARE;
use super::number::Acc;

/// A register of `LANES` numbers.
///
/// # Safety
/// Callers of the methods run on a processor with the register's instruction set; pointers are valid for the lanes accessed.
pub(crate) trait Vector: Copy {
    type Lane: Acc;
    /// Which lanes a masked access touches.
    type Mask: Copy;
    const LANES: usize;
    unsafe fn splat(x: Self::Lane) -> Self;
    unsafe fn load(p: *const Self::Lane) -> Self;
    unsafe fn store(self, p: *mut Self::Lane);
    /// The first `n` lanes, `n <= LANES`.
    unsafe fn mask(n: usize) -> Self::Mask;
    /// Lanes outside the mask are zero, and their memory is not touched.
    unsafe fn load_masked(p: *const Self::Lane, mask: Self::Mask) -> Self;
    unsafe fn store_masked(self, p: *mut Self::Lane, mask: Self::Mask);
    unsafe fn add(self, other: Self) -> Self;
    /// `self * b + c`.
    unsafe fn mul_add(self, b: Self, c: Self) -> Self;

    /// The sum of the lanes, pairwise.
    #[inline(always)]
    unsafe fn sum(self) -> Self::Lane {
        let mut lanes = [Self::Lane::ZERO; 16];
        // SAFETY: no register has more than 16 lanes.
        unsafe { self.store(lanes.as_mut_ptr()) };
        let mut width = Self::LANES;
        while width > 1 {
            width /= 2;
            for l in 0..width {
                lanes[l] = lanes[l].add(lanes[l + width]);
            }
        }
        lanes[0]
    }
    /// [`Vector::sum`] of four registers, or another fixed order of summation.
    #[inline(always)]
    unsafe fn sums(x: [Self; 4]) -> [Self::Lane; 4] {
        let mut sums = [Self::Lane::ZERO; 4];
        for i in 0..4 {
            // SAFETY: the caller's promise.
            sums[i] = unsafe { x[i].sum() };
        }
        sums
    }
    /// Transposes a square: columns of adjacent elements, `step` apart, to rows `ld` apart.
    #[inline(always)]
    unsafe fn square(from: *const Self::Lane, step: isize, to: *mut Self::Lane, ld: usize) {
        // SAFETY: `from` and `to` are squares.
        unsafe {
            let mut columns = [[Self::Lane::ZERO; SQUARE]; SQUARE];
            for c in 0..SQUARE {
                columns[c] = from.offset(c as isize * step).cast::<[Self::Lane; SQUARE]>().read_unaligned();
            }
            for r in 0..SQUARE {
                let row: [Self::Lane; SQUARE] = std::array::from_fn(|c| columns[c][r]);
                to.add(r * ld).cast::<[Self::Lane; SQUARE]>().write_unaligned(row);
            }
        }
    }
}

/// Lanes that the compiler maps to whatever registers the target has.
#[derive(Clone, Copy)]
pub(crate) struct Lanes<T, const N: usize>([T; N]);

impl<T: Acc, const N: usize> Vector for Lanes<T, N> {
    type Lane = T;
    type Mask = usize;
    const LANES: usize = N;
    #[inline(always)]
    unsafe fn splat(x: T) -> Self {
        Lanes([x; N])
    }
    #[inline(always)]
    unsafe fn load(p: *const T) -> Self {
        // SAFETY: the caller's promise.
        Lanes(unsafe { p.cast::<[T; N]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut T) {
        // SAFETY: the caller's promise.
        unsafe { p.cast::<[T; N]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn mask(n: usize) -> usize {
        n
    }
    #[inline(always)]
    unsafe fn load_masked(p: *const T, n: usize) -> Self {
        if n == N {
            // SAFETY: the caller's promise.
            return unsafe { Self::load(p) };
        }
        let mut x = [T::ZERO; N];
        for i in 0..n {
            // SAFETY: the caller's promise.
            x[i] = unsafe { *p.add(i) };
        }
        Lanes(x)
    }
    #[inline(always)]
    unsafe fn store_masked(self, p: *mut T, n: usize) {
        if n == N {
            // SAFETY: the caller's promise.
            return unsafe { self.store(p) };
        }
        for i in 0..n {
            // SAFETY: the caller's promise.
            unsafe { *p.add(i) = self.0[i] };
        }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Lanes(std::array::from_fn(|i| self.0[i].add(other.0[i])))
    }
    #[inline(always)]
    unsafe fn mul_add(self, b: Self, c: Self) -> Self {
        Lanes(std::array::from_fn(|i| self.0[i].mul_add(b.0[i], c.0[i])))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Vector;
    use std::arch::x86_64::*;

    /// Windows of these tables that start `LANES - n` entries in are masks of the first `n` lanes.
    static MASK32: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
    static MASK64: [i64; 8] = [-1, -1, -1, -1, 0, 0, 0, 0];

    /// The lanes' sums of four registers.
    ///
    /// # Safety
    /// The processor has AVX2.
    #[inline(always)]
    unsafe fn sums256([a, b, c, d]: [__m256; 4]) -> [f32; 4] {
        // SAFETY: the caller's promise; four floats are 16 bytes.
        unsafe {
            let halves = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
            let sums = _mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps::<1>(halves));
            std::mem::transmute::<__m128, [f32; 4]>(sums)
        }
    }

    /// [`Vector::square`] for f32, in 24 shuffles.
    ///
    /// # Safety
    /// As there, on a processor with AVX2.
    #[inline(always)]
    unsafe fn square256(from: *const f32, step: isize, to: *mut f32, ld: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            // Registers hold halves of two columns each, so that no shuffle has to cross halves later.
            for r in [0, 4] {
                let mut halves = [_mm256_setzero_ps(); 4];
                for c in 0..4 {
                    let from = from.offset(c as isize * step).add(r);
                    let (low, high) = (_mm_loadu_ps(from), _mm_loadu_ps(from.offset(4 * step)));
                    halves[c] = _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(low), high);
                }
                let [a, b, c, d] = halves;
                let (ab, cd) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
                let (xy, zw) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
                let to = to.add(r * ld);
                _mm256_storeu_ps(to, _mm256_shuffle_ps::<0x44>(ab, cd));
                _mm256_storeu_ps(to.add(ld), _mm256_shuffle_ps::<0xee>(ab, cd));
                _mm256_storeu_ps(to.add(2 * ld), _mm256_shuffle_ps::<0x44>(xy, zw));
                _mm256_storeu_ps(to.add(3 * ld), _mm256_shuffle_ps::<0xee>(xy, zw));
            }
        }
    }

    macro_rules! vector {
        ($v:ident $t:ident $n:literal $mask:ident, $splat:ident $load:ident $store:ident $add:ident $fma:ident,
         |$k:ident| $make_mask:expr, |$p:ident, $m:ident| $masked_load:expr, |$q:ident, $w:ident, $x:ident| $masked_store:expr; $($more:item)*) => {
            impl Vector for $v {
                type Lane = $t;
                type Mask = $mask;
                const LANES: usize = $n;
                #[inline(always)]
                unsafe fn splat(x: $t) -> Self {
                    // SAFETY: the caller has the instruction set.
                    unsafe { $splat(x) }
                }
                #[inline(always)]
                unsafe fn load(p: *const $t) -> Self {
                    // SAFETY: the caller has the instruction set and a valid pointer.
                    unsafe { $load(p) }
                }
                #[inline(always)]
                unsafe fn store(self, p: *mut $t) {
                    // SAFETY: as above.
                    unsafe { $store(p, self) }
                }
                #[inline(always)]
                unsafe fn mask($k: usize) -> $mask {
                    $make_mask
                }
                #[inline(always)]
                unsafe fn load_masked($p: *const $t, $m: $mask) -> Self {
                    // SAFETY: as above.
                    unsafe { $masked_load }
                }
                #[inline(always)]
                unsafe fn store_masked(self, $q: *mut $t, $w: $mask) {
                    let $x = self;
                    // SAFETY: as above.
                    unsafe { $masked_store }
                }
                #[inline(always)]
                unsafe fn add(self, other: Self) -> Self {
                    // SAFETY: the caller has the instruction set.
                    unsafe { $add(self, other) }
                }
                #[inline(always)]
                unsafe fn mul_add(self, b: Self, c: Self) -> Self {
                    // SAFETY: as above.
                    unsafe { $fma(self, b, c) }
                }
                $($more)*
            }
        };
    }
    vector!(__m256 f32 8 __m256i, _mm256_set1_ps _mm256_loadu_ps _mm256_storeu_ps _mm256_add_ps _mm256_fmadd_ps,
    |n| /* SAFETY: n <= LANES, so the window lies within the table. */ unsafe { _mm256_loadu_si256(MASK32.as_ptr().add(8 - n).cast()) },
    |p, m| _mm256_maskload_ps(p, m), |p, m, x| _mm256_maskstore_ps(p, m, x);
    #[inline(always)]
    unsafe fn sums(x: [__m256; 4]) -> [f32; 4] {
        // SAFETY: the caller has AVX2.
        unsafe { sums256(x) }
    }
    #[inline(always)]
    unsafe fn square(from: *const f32, step: isize, to: *mut f32, ld: usize) {
        // SAFETY: the caller has AVX2, and two squares.
        unsafe { square256(from, step, to, ld) }
    });
    vector!(__m256d f64 4 __m256i, _mm256_set1_pd _mm256_loadu_pd _mm256_storeu_pd _mm256_add_pd _mm256_fmadd_pd,
        |n| /* SAFETY: n <= LANES, so the window lies within the table. */ unsafe { _mm256_loadu_si256(MASK64.as_ptr().add(4 - n).cast()) },
        |p, m| _mm256_maskload_pd(p, m), |p, m, x| _mm256_maskstore_pd(p, m, x););
    vector!(__m512 f32 16 __mmask16, _mm512_set1_ps _mm512_loadu_ps _mm512_storeu_ps _mm512_add_ps _mm512_fmadd_ps,
    |n| ((1u32 << n) - 1) as __mmask16,
    |p, m| _mm512_maskz_loadu_ps(m, p), |p, m, x| _mm512_mask_storeu_ps(p, m, x);
    #[inline(always)]
    unsafe fn sums(x: [__m512; 4]) -> [f32; 4] {
        // SAFETY: the caller has AVX-512.
        unsafe {
            // Without closures: those would not have the instruction set, and its intrinsics would be calls.
            let mut halves = [_mm256_setzero_ps(); 4];
            for i in 0..4 {
                let high = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(x[i])));
                halves[i] = _mm256_add_ps(_mm512_castps512_ps256(x[i]), high);
            }
            sums256(halves)
        }
    }
    #[inline(always)]
    unsafe fn square(from: *const f32, step: isize, to: *mut f32, ld: usize) {
        // SAFETY: AVX-512 includes AVX2; and the caller has two squares.
        unsafe { square256(from, step, to, ld) }
    });
    vector!(__m512d f64 8 __mmask8, _mm512_set1_pd _mm512_loadu_pd _mm512_storeu_pd _mm512_add_pd _mm512_fmadd_pd,
        |n| ((1u32 << n) - 1) as __mmask8,
        |p, m| _mm512_maskz_loadu_pd(m, p), |p, m, x| _mm512_mask_storeu_pd(p, m, x););
}
