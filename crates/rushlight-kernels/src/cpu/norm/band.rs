//! Sixteen rows at a time, so that what a row costs besides its elements is shared: what is left of each row after its last vector is folded
//! for all of them by vector instructions, and so are logarithms, roots and quotients.
//!
//! A row of [`LANES`] elements or more is read by vectors, the last of which overlaps the one before ([`Band`]); shorter ones are
//! transposed ([`Turned`]).

use super::lanes::{ACCUMULATORS, larger};
use super::strip::LANES;
use crate::cpu::simd::{self, Real};
use std::hint::black_box;
use std::mem::MaybeUninit;

/// One value for each row, or for some neighbouring elements of one.
pub(super) type Lanes<A> = [A; LANES];

/// Whether rows of `n` elements are for a [`Band`]: sixteen of longer ones would not stay in the first-level cache from pass to pass, and
/// rows of [whole blocks](super::lanes) cost little by themselves, unless they are converted each.
pub(super) fn suits(n: usize, converted: bool) -> bool {
    (LANES..=512).contains(&n) && (n < if converted { 448 } else { 192 } || !n.is_multiple_of(ACCUMULATORS))
}

/// Zeros, then ones: `LANES` of them from number `n` on mark the last n places.
static LAST: [i32; 2 * LANES] = {
    let mut last = [0; 2 * LANES];
    let mut i = LANES;
    while i < last.len() {
        last[i] = 1;
        i += 1;
    }
    last
};

/// Rows of two inputs and an output, all of one length. The functions they are given take a row's number (and then that of an element),
/// and an element of each input.
pub(super) trait Rows<A: Real> {
    /// For each row the sums of `M` functions of its elements.
    fn sums<const M: usize>(&self, f: impl Fn(usize, A, A) -> [A; M]) -> [Lanes<A>; M];
    /// Fills the output.
    fn map(&mut self, f: impl Fn(usize, usize, A, A) -> A);
}

/// Rows of at least [`LANES`] elements that follow one another.
pub(super) struct Band<A> {
    rows: usize,
    n: usize,
    a: [*const A; LANES],
    b: [*const A; LANES],
    out: [*mut A; LANES],
}

impl<A: Real> Band<A> {
    /// # Safety
    /// The first `rows` pointers are to `n` elements each, at least [`LANES`]; nobody else writes the inputs or touches the output. An input row
    /// is either apart from the output row or the very same.
    #[inline(always)]
    pub(super) unsafe fn new(rows: usize, n: usize, a: [*const A; LANES], b: [*const A; LANES], out: [*mut A; LANES]) -> Self {
        Band { rows, n, a, b, out }
    }
    /// Rows of which there is one input, and no output.
    ///
    /// # Safety
    /// As for [`Band::new`].
    #[inline(always)]
    pub(super) unsafe fn input(rows: usize, n: usize, a: [*const A; LANES]) -> Self {
        Band { rows, n, a, b: a, out: [std::ptr::null_mut(); LANES] }
    }
    /// Where the whole vectors of a row begin. The compiler knows no more of a place than of any number: else it takes a loop over places
    /// across them, by gathers, where the whole program is optimised at once.
    #[inline(always)]
    fn places(&self) -> impl Iterator<Item = usize> {
        (0..self.n / LANES).map(|k| black_box(k * LANES))
    }
    #[inline(always)]
    fn at(&self, row: *const A, j: usize) -> Lanes<A> {
        debug_assert!(j + LANES <= self.n);
        // SAFETY: `new`'s contract, for the `j` up to `n - LANES` that are asked for here.
        unsafe { row.add(j).cast::<Lanes<A>>().read_unaligned() }
    }
    #[inline(always)]
    fn put(&self, row: *mut A, j: usize, y: Lanes<A>) {
        debug_assert!(j + LANES <= self.n);
        // SAFETY: as above.
        unsafe { row.add(j).cast::<Lanes<A>>().write_unaligned(y) }
    }
    /// The largest element of each row; NaN is passed over.
    #[inline(always)]
    pub(super) fn maxima(&self) -> Lanes<A> {
        let mut parts = Parts::new();
        for r in 0..self.rows {
            let mut max = [-A::INFINITY; LANES];
            // What the last vector has in common with the one before does no harm.
            for j in (0..self.n).step_by(LANES).map(|j| black_box(j.min(self.n - LANES))) {
                let x = self.at(self.a[r], j);
                for l in 0..LANES {
                    max[l] = larger(max[l], x[l]);
                }
            }
            parts.set(r, max);
        }
        parts.join(larger)
    }
    /// Fills the output with the first of two functions of the first input, and adds up the second. Stores between computations do not
    /// wait for each other.
    #[inline(always)]
    pub(super) fn map_sum(&mut self, f: impl Fn(usize, A) -> [A; 2]) -> Lanes<A> {
        let mut parts = Parts::new();
        let left = self.n % LANES;
        for r in 0..self.rows {
            let mut sum = [A::ZERO; LANES];
            let last = self.at(self.a[r], self.n - LANES);
            for j in self.places() {
                let mut y = self.at(self.a[r], j);
                for l in 0..LANES {
                    let [value, term] = f(r, y[l]);
                    y[l] = value;
                    sum[l] = sum[l] + term;
                }
                self.put(self.out[r], j, y);
            }
            if let (1.., Some(counts)) = (left, LAST[left..].first_chunk::<LANES>()) {
                let mut y = last;
                for l in 0..LANES {
                    let [value, term] = f(r, y[l]);
                    y[l] = value;
                    sum[l] = sum[l] + if counts[l] == 0 { A::ZERO } else { term };
                }
                self.put(self.out[r], self.n - LANES, y);
            }
            parts.set(r, sum);
        }
        parts.join(|a, b| a + b)
    }
    /// Applies `f` to each element of the output.
    #[inline(always)]
    pub(super) fn change(&mut self, f: impl Fn(usize, A) -> A) {
        self.a = self.out.map(|p| p.cast_const());
        self.map(|r, _, y, _| f(r, y));
    }
}

impl<A: Real> Rows<A> for Band<A> {
    #[inline(always)]
    fn sums<const M: usize>(&self, f: impl Fn(usize, A, A) -> [A; M]) -> [Lanes<A>; M] {
        let mut parts = [const { Parts::new() }; M];
        let left = self.n % LANES;
        for r in 0..self.rows {
            let mut sum = [[A::ZERO; LANES]; M];
            for j in self.places() {
                let (a, b) = (self.at(self.a[r], j), self.at(self.b[r], j));
                for l in 0..LANES {
                    let y = f(r, a[l], b[l]);
                    for i in 0..M {
                        sum[i][l] = sum[i][l] + y[i];
                    }
                }
            }
            if let (1.., Some(counts)) = (left, LAST[left..].first_chunk::<LANES>()) {
                let (a, b) = (self.at(self.a[r], self.n - LANES), self.at(self.b[r], self.n - LANES));
                for l in 0..LANES {
                    let y = f(r, a[l], b[l]);
                    for i in 0..M {
                        sum[i][l] = sum[i][l] + if counts[l] == 0 { A::ZERO } else { y[i] };
                    }
                }
            }
            for i in 0..M {
                parts[i].set(r, sum[i]);
            }
        }
        let mut all = [[A::ZERO; LANES]; M];
        for i in 0..M {
            all[i] = parts[i].join(|a, b| a + b);
        }
        all
    }
    #[inline(always)]
    fn map(&mut self, f: impl Fn(usize, usize, A, A) -> A) {
        let last = self.n - LANES;
        for r in 0..self.rows {
            // Read before anything is written: the output may be an input.
            let (last_a, last_b) = (self.at(self.a[r], last), self.at(self.b[r], last));
            for j in self.places() {
                let (mut a, b) = (self.at(self.a[r], j), self.at(self.b[r], j));
                for l in 0..LANES {
                    a[l] = f(r, j + l, a[l], b[l]);
                }
                self.put(self.out[r], j, a);
            }
            if !self.n.is_multiple_of(LANES) {
                let mut y = last_a;
                for l in 0..LANES {
                    y[l] = f(r, last + l, y[l], last_b[l]);
                }
                self.put(self.out[r], last, y);
            }
        }
    }
}

/// Sixteen partial results of each row.
struct Parts<A>(MaybeUninit<[Lanes<A>; LANES]>, usize);

impl<A: Real> Parts<A> {
    const fn new() -> Self {
        Parts(MaybeUninit::uninit(), 0)
    }
    /// Rows come in order.
    #[inline(always)]
    fn set(&mut self, r: usize, part: Lanes<A>) {
        debug_assert!(r == self.1 && r < LANES);
        self.1 = r + 1;
        // SAFETY: one of sixteen places.
        unsafe { self.0.as_mut_ptr().cast::<Lanes<A>>().add(r).write(part) }
    }
    /// The parts of each row joined as a tree.
    #[inline(always)]
    fn join(&mut self, f: impl Fn(A, A) -> A) -> Lanes<A> {
        for r in self.1..LANES {
            self.set(r, [A::ZERO; LANES]);
        }
        // SAFETY: all rows are set.
        simd::join_rows(unsafe { self.0.assume_init_ref() }, f)
    }
}

/// Rows of fewer than [`LANES`] elements that have become columns; the output takes the place of the input.
pub(super) struct Turned<'a, A>(pub(super) &'a mut [Lanes<A>]);

impl<A: Real> Rows<A> for Turned<'_, A> {
    #[inline(always)]
    fn sums<const M: usize>(&self, f: impl Fn(usize, A, A) -> [A; M]) -> [Lanes<A>; M] {
        let mut sum = [[A::ZERO; LANES]; M];
        for x in &*self.0 {
            let x = *x;
            for r in 0..LANES {
                let y = f(r, x[r], x[r]);
                for i in 0..M {
                    sum[i][r] = sum[i][r] + y[i];
                }
            }
        }
        sum
    }
    #[inline(always)]
    fn map(&mut self, f: impl Fn(usize, usize, A, A) -> A) {
        for (j, x) in self.0.iter_mut().enumerate() {
            let mut y = *x;
            for r in 0..LANES {
                y[r] = f(r, j, y[r], y[r]);
            }
            *x = y;
        }
    }
}
