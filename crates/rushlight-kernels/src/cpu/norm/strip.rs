//! Rows that lie side by side, so that neighbouring rows take the lanes of a vector.
//!
//! Vectors are read and written by value: between references, the compiler would have to fear that a result is the next operand.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// Rows in one vector: one AVX-512 register of f32.
pub(super) const LANES: usize = 16;

/// Most vectors of a [`Tile`] that takes no memory from the heap.
const FEW: usize = 32;

/// Room for vectors of rows, which begin as zeros.
pub(super) struct Tile<A> {
    few: MaybeUninit<[[A; LANES]; FEW]>,
    many: Vec<[A; LANES]>,
    len: usize,
}

impl<A: Copy> Tile<A> {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Tile { few: MaybeUninit::uninit(), many: Vec::new(), len: 0 }
    }
    /// `n` vectors, each element `zero`; later the same ones, as they are.
    #[inline(always)]
    pub(super) fn vectors(&mut self, n: usize, zero: A) -> &mut [[A; LANES]] {
        let fresh = std::mem::replace(&mut self.len, n) != n;
        if n > FEW {
            if fresh {
                self.many.clear();
                self.many.resize(n, [zero; LANES]);
            }
            return &mut self.many;
        }
        let first = self.few.as_mut_ptr().cast::<[A; LANES]>();
        // SAFETY: at most `FEW` vectors, which are written before they are shown.
        unsafe {
            (0..if fresh { n } else { 0 }).for_each(|j| first.add(j).write([zero; LANES]));
            std::slice::from_raw_parts_mut(first, n)
        }
    }
    /// `n` elements that follow one another.
    #[inline(always)]
    pub(super) fn elements(&mut self, n: usize, zero: A) -> &mut [A] {
        &mut self.vectors(n.div_ceil(LANES), zero).as_flattened_mut()[..n]
    }
}

/// A vector of rows: element `j` of row `l` is at `at(j)[l]`.
pub(super) struct Strip<'a, A> {
    start: *const A,
    step: isize,
    pub(super) n: usize,
    life: PhantomData<&'a A>,
}

impl<'a, A: Copy> Strip<'a, A> {
    /// # Safety
    /// There are `n` times `LANES` readable elements that nobody else writes, `step` apart.
    #[inline(always)]
    pub(super) unsafe fn new(start: *const A, step: isize, n: usize) -> Self {
        Strip { start, step, n, life: PhantomData }
    }
    /// Vectors that follow one another.
    #[inline(always)]
    pub(super) fn of(vectors: &'a [[A; LANES]]) -> Self {
        Strip { start: vectors.as_ptr().cast(), step: LANES as isize, n: vectors.len(), life: PhantomData }
    }
    #[inline(always)]
    pub(super) fn at(&self, j: usize) -> [A; LANES] {
        debug_assert!(j < self.n);
        // SAFETY: `new`'s contract, for the `j` below `n` that the kernels of this module ask for.
        unsafe { self.start.offset(j as isize * self.step).cast::<[A; LANES]>().read_unaligned() }
    }
}

/// The same, to be written.
pub(super) struct StripMut<'a, A> {
    start: *mut A,
    step: isize,
    n: usize,
    life: PhantomData<&'a mut A>,
}

impl<'a, A: Copy> StripMut<'a, A> {
    /// # Safety
    /// As for [`Strip::new`], and nobody else reads the elements either.
    #[inline(always)]
    pub(super) unsafe fn new(start: *mut A, step: isize, n: usize) -> Self {
        StripMut { start, step, n, life: PhantomData }
    }
    #[inline(always)]
    pub(super) fn of(vectors: &'a mut [[A; LANES]]) -> Self {
        StripMut { start: vectors.as_mut_ptr().cast(), step: LANES as isize, n: vectors.len(), life: PhantomData }
    }
    #[inline(always)]
    fn place(&self, j: usize) -> *mut [A; LANES] {
        debug_assert!(j < self.n);
        self.start.wrapping_offset(j as isize * self.step).cast()
    }
    #[inline(always)]
    pub(super) fn at(&self, j: usize) -> [A; LANES] {
        // SAFETY: as for `Strip::at`.
        unsafe { self.place(j).read_unaligned() }
    }
    #[inline(always)]
    pub(super) fn put(&mut self, j: usize, x: [A; LANES]) {
        // SAFETY: as for `Strip::at`.
        unsafe { self.place(j).write_unaligned(x) }
    }
}
