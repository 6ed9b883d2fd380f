//! Registers of f32 behind one trait, so that each kernel of this folder is written once.
//!
//! Everything is `#[inline(always)]`: the methods mean what they should once they are inlined into a function that has the instruction set
//! enabled (see `kernel.rs`).

/// A register.
///
/// # Safety
/// Callers of the methods run on a processor with the register's instruction set; pointers are valid for the lanes accessed.
pub(super) trait Wide: Copy {
    /// Lanes.
    const N: usize;
    unsafe fn splat(x: f32) -> Self;
    unsafe fn load(p: *const f32) -> Self;
    unsafe fn store(self, p: *mut f32);
    /// Lanes `from..to`; the others are zero and their memory is not touched.
    unsafe fn load_run(p: *const f32, from: usize, to: usize) -> Self;
    /// Lanes `from..to`; the others are zero.
    unsafe fn keep_run(self, from: usize, to: usize) -> Self;
    /// Lanes `from..to`; the memory of the others is not touched.
    unsafe fn store_run(self, p: *mut f32, from: usize, to: usize);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    /// `self * b + c`.
    unsafe fn mul_add(self, b: Self, c: Self) -> Self;
    /// Lanes 0, 2, 4, … of this one and then of the other.
    unsafe fn evens(self, other: Self) -> Self;
    /// Lane `t` of result `j` is `p[t][j]`. There are `N` pointers.
    unsafe fn load_quads(p: &[*const f32]) -> [Self; 4];
    /// Lane `t` of `quads[j]` goes to `to[4 * t + j]`.
    unsafe fn store_quads(quads: [Self; 4], to: *mut f32);
}

/// Four lanes that the compiler maps to whatever registers the target has.
#[derive(Clone, Copy)]
pub(super) struct Four([f32; 4]);

impl Wide for Four {
    const N: usize = 4;
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Four([x; 4])
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller's promise.
        Four(unsafe { p.cast::<[f32; 4]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { p.cast::<[f32; 4]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn load_run(p: *const f32, from: usize, to: usize) -> Self {
        let mut x = [0.0; 4];
        for (i, x) in x.iter_mut().enumerate().take(to).skip(from) {
            // SAFETY: the caller's promise.
            *x = unsafe { *p.wrapping_add(i) };
        }
        Four(x)
    }
    #[inline(always)]
    unsafe fn keep_run(self, from: usize, to: usize) -> Self {
        Four(std::array::from_fn(|i| if from <= i && i < to { self.0[i] } else { 0.0 }))
    }
    #[inline(always)]
    unsafe fn store_run(self, p: *mut f32, from: usize, to: usize) {
        for i in from..to {
            // SAFETY: the caller's promise.
            unsafe { *p.wrapping_add(i) = self.0[i] };
        }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Four(std::array::from_fn(|i| self.0[i] + other.0[i]))
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        Four(std::array::from_fn(|i| self.0[i] - other.0[i]))
    }
    #[inline(always)]
    unsafe fn mul_add(self, b: Self, c: Self) -> Self {
        use crate::cpu::matmul::Acc;
        Four(std::array::from_fn(|i| Acc::mul_add(self.0[i], b.0[i], c.0[i])))
    }
    #[inline(always)]
    unsafe fn evens(self, other: Self) -> Self {
        Four([self.0[0], self.0[2], other.0[0], other.0[2]])
    }
    #[inline(always)]
    unsafe fn load_quads(p: &[*const f32]) -> [Self; 4] {
        // SAFETY: the caller's promise.
        let rows: [[f32; 4]; 4] = std::array::from_fn(|t| unsafe { p[t].cast::<[f32; 4]>().read_unaligned() });
        std::array::from_fn(|j| Four(std::array::from_fn(|t| rows[t][j])))
    }
    #[inline(always)]
    unsafe fn store_quads(quads: [Self; 4], to: *mut f32) {
        for t in 0..4 {
            let row: [f32; 4] = std::array::from_fn(|j| quads[j].0[t]);
            // SAFETY: the caller's promise.
            unsafe { to.add(4 * t).cast::<[f32; 4]>().write_unaligned(row) };
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Wide;
    use std::arch::x86_64::*;

    /// Windows of this table that start `8 - n` entries in are masks of the first `n` lanes.
    static MASK: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

    #[inline(always)]
    unsafe fn mask8(from: usize, to: usize) -> __m256i {
        // SAFETY: `from <= to <= 8`, so the windows lie within the table; the caller has AVX2.
        unsafe {
            let first = |n: usize| _mm256_loadu_si256(MASK.as_ptr().add(8 - n).cast());
            _mm256_andnot_si256(first(from), first(to))
        }
    }
    /// As `mask8`, for what is in a register: with a mask register, LLVM would make one masked load of it and the load before.
    #[inline(always)]
    unsafe fn bits16(from: usize, to: usize) -> __m512i {
        static BITS: [i32; 32] = {
            let mut bits = [0; 32];
            let mut i = 0;
            while i < 16 {
                bits[i] = -1;
                i += 1;
            }
            bits
        };
        // SAFETY: as above, of sixteen; the caller has AVX-512.
        unsafe {
            let first = |n: usize| _mm512_loadu_si512(BITS.as_ptr().add(16 - n).cast());
            _mm512_andnot_si512(first(from), first(to))
        }
    }
    #[inline(always)]
    fn mask16(from: usize, to: usize) -> __mmask16 {
        (((1u32 << to) - 1) & !((1u32 << from) - 1)) as __mmask16
    }

    macro_rules! wide {
        ($v:ident $n:literal, $splat:ident $load:ident $store:ident $add:ident $sub:ident $fma:ident,
         $mask:ident $bits:ident, |$p:ident, $m:ident| $masked_load:expr, |$q:ident, $w:ident, $x:ident| $masked_store:expr,
         |$k:ident, $l:ident| $keep:expr, |$a:ident, $b:ident| $evens:expr,
         |$ptrs:ident| $load_quads:expr, |$quads:ident, $to:ident| $store_quads:expr) => {
            // SAFETY (of every block here): the caller has the instruction set, and valid pointers.
            impl Wide for $v {
                const N: usize = $n;
                #[inline(always)]
                unsafe fn splat(x: f32) -> Self {
                    // SAFETY: see above.
                    unsafe { $splat(x) }
                }
                #[inline(always)]
                unsafe fn load(p: *const f32) -> Self {
                    // SAFETY: see above.
                    unsafe { $load(p) }
                }
                #[inline(always)]
                unsafe fn store(self, p: *mut f32) {
                    // SAFETY: see above.
                    unsafe { $store(p, self) }
                }
                #[inline(always)]
                #[allow(unused_unsafe, reason = "one of the masks is plain arithmetic")]
                unsafe fn load_run($p: *const f32, from: usize, to: usize) -> Self {
                    // SAFETY: see above.
                    unsafe {
                        let $m = $mask(from, to);
                        $masked_load
                    }
                }
                #[inline(always)]
                unsafe fn keep_run(self, from: usize, to: usize) -> Self {
                    let $l = self;
                    // SAFETY: see above.
                    unsafe {
                        let $k = $bits(from, to);
                        $keep
                    }
                }
                #[inline(always)]
                #[allow(unused_unsafe, reason = "one of the masks is plain arithmetic")]
                unsafe fn store_run(self, $q: *mut f32, from: usize, to: usize) {
                    let $x = self;
                    // SAFETY: see above.
                    unsafe {
                        let $w = $mask(from, to);
                        $masked_store
                    }
                }
                #[inline(always)]
                unsafe fn add(self, other: Self) -> Self {
                    // SAFETY: see above.
                    unsafe { $add(self, other) }
                }
                #[inline(always)]
                unsafe fn sub(self, other: Self) -> Self {
                    // SAFETY: see above.
                    unsafe { $sub(self, other) }
                }
                #[inline(always)]
                unsafe fn mul_add(self, b: Self, c: Self) -> Self {
                    // SAFETY: see above.
                    unsafe { $fma(self, b, c) }
                }
                #[inline(always)]
                unsafe fn evens(self, $b: Self) -> Self {
                    let $a = self;
                    // SAFETY: see above.
                    unsafe { $evens }
                }
                #[inline(always)]
                unsafe fn load_quads($ptrs: &[*const f32]) -> [Self; 4] {
                    // SAFETY: see above.
                    unsafe { $load_quads }
                }
                #[inline(always)]
                unsafe fn store_quads($quads: [Self; 4], $to: *mut f32) {
                    // SAFETY: see above.
                    unsafe { $store_quads }
                }
            }
        };
    }

    // Both transpose 4x4 squares within 128-bit lanes. Lane `l` of row `r` holds quad `4 * l + r`, which leaves the results in order.
    wide!(__m256 8, _mm256_set1_ps _mm256_loadu_ps _mm256_storeu_ps _mm256_add_ps _mm256_sub_ps _mm256_fmadd_ps,
    mask8 mask8, |p, m| _mm256_maskload_ps(p, m), |p, m, x| _mm256_maskstore_ps(p, m, x),
    |m, x| _mm256_and_ps(_mm256_castsi256_ps(m), x),
    |a, b| _mm256_castpd_ps(_mm256_permute4x64_pd::<0xD8>(_mm256_castps_pd(_mm256_shuffle_ps::<0x88>(a, b)))),
    |p| {
        let mut rows = [_mm256_setzero_ps(); 4];
        for r in 0..4 {
            rows[r] = _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(_mm_loadu_ps(p[r])), _mm_loadu_ps(p[4 + r]));
        }
        transpose8(rows)
    },
    |quads, to| {
        let rows = transpose8(quads);
        for r in 0..4 {
            let x = rows[r];
            _mm_storeu_ps(to.add(4 * r), _mm256_castps256_ps128(x));
            _mm_storeu_ps(to.add(16 + 4 * r), _mm256_extractf128_ps::<1>(x));
        }
    });
    wide!(__m512 16, _mm512_set1_ps _mm512_loadu_ps _mm512_storeu_ps _mm512_add_ps _mm512_sub_ps _mm512_fmadd_ps,
    mask16 bits16, |p, m| _mm512_maskz_loadu_ps(m, p), |p, m, x| _mm512_mask_storeu_ps(p, m, x),
    |m, x| _mm512_and_ps(_mm512_castsi512_ps(m), x),
    |a, b| _mm512_permutex2var_ps(a, _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30), b),
    |p| {
        let mut rows = [_mm512_setzero_ps(); 4];
        for r in 0..4 {
            let x = _mm512_castps128_ps512(_mm_loadu_ps(p[r]));
            let x = _mm512_insertf32x4::<1>(x, _mm_loadu_ps(p[4 + r]));
            let x = _mm512_insertf32x4::<2>(x, _mm_loadu_ps(p[8 + r]));
            rows[r] = _mm512_insertf32x4::<3>(x, _mm_loadu_ps(p[12 + r]));
        }
        transpose16(rows)
    },
    |quads, to| {
        let rows = transpose16(quads);
        for r in 0..4 {
            let x = rows[r];
            _mm_storeu_ps(to.add(4 * r), _mm512_castps512_ps128(x));
            _mm_storeu_ps(to.add(16 + 4 * r), _mm512_extractf32x4_ps::<1>(x));
            _mm_storeu_ps(to.add(32 + 4 * r), _mm512_extractf32x4_ps::<2>(x));
            _mm_storeu_ps(to.add(48 + 4 * r), _mm512_extractf32x4_ps::<3>(x));
        }
    });

    #[inline(always)]
    unsafe fn transpose8(r: [__m256; 4]) -> [__m256; 4] {
        // SAFETY: the caller has AVX2.
        unsafe {
            let (a, b) = (_mm256_unpacklo_ps(r[0], r[1]), _mm256_unpackhi_ps(r[0], r[1]));
            let (c, d) = (_mm256_unpacklo_ps(r[2], r[3]), _mm256_unpackhi_ps(r[2], r[3]));
            [
                _mm256_shuffle_ps::<0x44>(a, c),
                _mm256_shuffle_ps::<0xEE>(a, c),
                _mm256_shuffle_ps::<0x44>(b, d),
                _mm256_shuffle_ps::<0xEE>(b, d),
            ]
        }
    }
    #[inline(always)]
    unsafe fn transpose16(r: [__m512; 4]) -> [__m512; 4] {
        // SAFETY: the caller has AVX-512.
        unsafe {
            let (a, b) = (_mm512_unpacklo_ps(r[0], r[1]), _mm512_unpackhi_ps(r[0], r[1]));
            let (c, d) = (_mm512_unpacklo_ps(r[2], r[3]), _mm512_unpackhi_ps(r[2], r[3]));
            [
                _mm512_shuffle_ps::<0x44>(a, c),
                _mm512_shuffle_ps::<0xEE>(a, c),
                _mm512_shuffle_ps::<0x44>(b, d),
                _mm512_shuffle_ps::<0xEE>(b, d),
            ]
        }
    }
}
