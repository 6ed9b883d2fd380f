//! Folds and maps of one contiguous row, in blocks of [`ACCUMULATORS`].
//!
//! A tail shorter than a block is copied into one: the vector code does it in the same time, and in the same order of summation on every
//! instruction set.

use crate::Element;
use crate::cpu::simd::Real;

/// Accumulators of a row: two AVX-512 or four AVX2 registers of f32 hide an addition's latency.
pub(in crate::cpu) const ACCUMULATORS: usize = 32;

/// Elements that are summed in their own type before the sum joins a total in f64.
const STRETCH: usize = 4096;

/// One value for each accumulator.
pub(in crate::cpu) type Block<A> = [A; ACCUMULATORS];

#[inline(always)]
pub(in crate::cpu) fn larger<A: Real>(a: A, b: A) -> A {
    if b > a { b } else { a }
}

/// Joins accumulators as a tree, which vectorises; one after the other would cost 45 ns a row.
#[inline(always)]
pub(in crate::cpu) fn fold<A: Real>(mut acc: Block<A>, f: impl Fn(A, A) -> A) -> A {
    let mut width = ACCUMULATORS / 2;
    while width > 0 {
        for l in 0..width {
            acc[l] = f(acc[l], acc[l + width]);
        }
        width /= 2;
    }
    acc[0]
}

/// A block that begins with `tail`.
#[inline(always)]
fn padded<A: Real>(tail: &[A], with: A) -> Block<A> {
    let mut block = [with; ACCUMULATORS];
    block[..tail.len()].copy_from_slice(tail);
    block
}

/// The largest element; NaN is passed over.
#[inline(always)]
pub(in crate::cpu) fn maximum<A: Real>(a: &[A]) -> A {
    let mut max = [-A::INFINITY; ACCUMULATORS];
    let (blocks, tail) = a.as_chunks::<ACCUMULATORS>();
    for block in blocks {
        for l in 0..ACCUMULATORS {
            max[l] = larger(max[l], block[l]);
        }
    }
    if !tail.is_empty() {
        let block = padded(tail, -A::INFINITY);
        for l in 0..ACCUMULATORS {
            max[l] = larger(max[l], block[l]);
        }
    }
    fold(max, larger)
}

// One function for each number of inputs: a loop over an array of slices is vectorised with gathers, ten times slower.
macro_rules! folds {
    ($sums:ident $totals:ident, $($x:ident $tail:ident)*) => {
        /// Sums of `M` functions of the elements, of which all inputs have one number.
        #[inline(always)]
        pub(in crate::cpu) fn $sums<A: Real, const M: usize>($($x: &[A],)* f: impl Fn($(folds!(A $x)),*) -> [A; M]) -> [A; M] {
            let mut sum = [[A::ZERO; ACCUMULATORS]; M];
            $(let ($x, $tail) = $x.as_chunks::<ACCUMULATORS>();)*
            for k in 0..folds!(first $($x)*).len() {
                // By value: to a reference, LLVM holds that the sums might overlap it, and keeps them in memory.
                $(let $x = $x[k];)*
                for l in 0..ACCUMULATORS {
                    let y = f($($x[l]),*);
                    for i in 0..M {
                        sum[i][l] = sum[i][l] + y[i];
                    }
                }
            }
            let left = folds!(first $($tail)*).len();
            if left > 0 {
                $(let $x = padded($tail, A::ZERO);)*
                for l in 0..ACCUMULATORS {
                    let y = f($($x[l]),*);
                    for i in 0..M {
                        sum[i][l] = sum[i][l] + if l < left { y[i] } else { A::ZERO };
                    }
                }
            }
            // Not `map`, whose closure is a call.
            let mut all = [A::ZERO; M];
            for i in 0..M {
                all[i] = fold(sum[i], |a, b| a + b);
            }
            all
        }
        /// The same for long rows: stretches of [`STRETCH`] in the type itself, their totals in f64.
        #[inline(always)]
        pub(in crate::cpu) fn $totals<A: Real + Element, const M: usize>(
            $($x: &[A],)*
            f: impl Fn($(folds!(A $x)),*) -> [A; M],
        ) -> [f64; M] {
            let n = folds!(first $($x)*).len();
            let mut totals = [0f64; M];
            for from in (0..n).step_by(STRETCH) {
                let range = from..(from + STRETCH).min(n);
                let part = $sums($(&$x[range.clone()],)* &f);
                (0..M).for_each(|i| totals[i] += part[i].to_f64());
            }
            totals
        }
    };
    (A $x:ident) => { A };
    (first $x:ident $($rest:ident)*) => { $x };
}
folds!(sums1 totals1, a a_tail);
folds!(sums2 totals2, a a_tail b b_tail);
folds!(sums3 totals3, a a_tail b b_tail c c_tail);

/// The sum of `f` of the elements.
#[inline(always)]
pub(in crate::cpu) fn sum_of<A: Real>(a: &[A], f: impl Fn(A) -> A) -> A {
    sums1(a, |x| [f(x)])[0]
}

macro_rules! maps {
    ($map:ident $map_sum:ident, $($x:ident $tail:ident)*) => {
        /// `out = f(inputs, out)`, element by element; all have one length.
        #[inline(always)]
        pub(in crate::cpu) fn $map<A: Real>($($x: &[A],)* out: &mut [A], f: impl Fn($(maps!(A $x),)* A) -> A) {
            // Of a length that is not known beforehand: a loop of 32 steps is unrolled, and then not vectorised.
            #[inline(always)]
            fn go<A: Real>($($x: &[A],)* out: &mut [A], f: &impl Fn($(maps!(A $x),)* A) -> A) {
                let n = out.len();
                $(let $x = &$x[..n];)*
                for l in 0..n {
                    out[l] = f($($x[l],)* out[l]);
                }
            }
            let even = out.len() / ACCUMULATORS * ACCUMULATORS;
            $(let ($x, $tail) = $x.split_at(even);)*
            let (out, out_tail) = out.split_at_mut(even);
            go($($x,)* out, &f);
            if !out_tail.is_empty() {
                let len = out_tail.len().next_multiple_of(ACCUMULATORS / 2);
                $(let $x = padded($tail, A::ZERO);)*
                let mut block = padded(out_tail, A::ZERO);
                go($(&$x[..len],)* &mut block[..len], &f);
                out_tail.copy_from_slice(&block[..out_tail.len()]);
            }
        }
        /// The same, and the sum of the results.
        #[inline(always)]
        #[allow(dead_code, reason = "not every number of inputs is used")]
        pub(in crate::cpu) fn $map_sum<A: Real>($($x: &[A],)* out: &mut [A], f: impl Fn($(maps!(A $x),)* A) -> A) -> A {
            let mut sum = [A::ZERO; ACCUMULATORS];
            $(let ($x, $tail) = $x.as_chunks::<ACCUMULATORS>();)*
            let (out, out_tail) = out.as_chunks_mut::<ACCUMULATORS>();
            for k in 0..out.len() {
                // By value, as above.
                $(let $x = $x[k];)*
                let mut y = out[k];
                for l in 0..ACCUMULATORS {
                    y[l] = f($($x[l],)* y[l]);
                    sum[l] = sum[l] + y[l];
                }
                out[k] = y;
            }
            if !out_tail.is_empty() {
                $(let $x = padded($tail, A::ZERO);)*
                let mut block = padded(out_tail, A::ZERO);
                for l in 0..ACCUMULATORS {
                    block[l] = f($($x[l],)* block[l]);
                    sum[l] = sum[l] + if l < out_tail.len() { block[l] } else { A::ZERO };
                }
                out_tail.copy_from_slice(&block[..out_tail.len()]);
            }
            fold(sum, |a, b| a + b)
        }
    };
    (A $x:ident) => { A };
}
maps!(map0 map_sum0,);
maps!(map1 map_sum1, a a_tail);
maps!(map2 map_sum2, a a_tail b b_tail);
maps!(map3 map_sum3, a a_tail b b_tail c c_tail);
