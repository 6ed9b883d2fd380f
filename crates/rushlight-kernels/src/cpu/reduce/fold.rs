//! The monoids that reductions fold with, and the order in which partial results meet.

use crate::cpu::number::{Arith, Number, tree};
use crate::cpu::simd;
use std::marker::PhantomData;

/// An element is lifted into the accumulator, accumulators are joined, and the last one is lowered into the output.
pub(super) trait Fold: 'static {
    type In: Number;
    type Acc: Arith;
    type Out: Copy + Send + Sync;
    const IDENTITY: Self::Acc;
    fn lift(x: Self::In) -> Self::Acc;
    fn join(a: Self::Acc, b: Self::Acc) -> Self::Acc;
    fn lower(acc: Self::Acc) -> Self::Out;
    /// Whether `quick` may pass over a NaN on its right, so that a [`witness`] must look for one.
    const PASSES_NAN: bool = false;
    /// `join` by fewer instructions, for values without NaN on the right.
    #[inline(always)]
    fn quick(a: Self::Acc, b: Self::Acc) -> Self::Acc {
        Self::join(a, b)
    }
    /// The last partial results of a run, joined by `quick`.
    #[inline(always)]
    fn gather(parts: [Self::Acc; 16]) -> Self::Acc {
        tree(parts, Self::quick)
    }
    /// The same for each of sixteen runs.
    #[inline(always)]
    fn gather_all(parts: &[[Self::Acc; 16]; 16]) -> [Self::Acc; 16] {
        simd::join_rows(parts, Self::quick)
    }
}

/// A sum beside a [`Fold::quick`] fold: NaN if one of the values was (or if infinities of both signs were, a false alarm that costs a
/// second fold by `join`). It takes one instruction for what `join` needs three or four.
#[inline(always)]
pub(super) fn witness<F: Fold>(sum: F::Acc, x: F::Acc) -> F::Acc {
    if F::PASSES_NAN { sum.add(x) } else { sum }
}

/// One row per monoid: name, identity, join, what is made of an element, a quick join, and how the last results of a run meet.
macro_rules! folds {
    ($($name:ident: $identity:ident, $join:path, $lift:expr $(, quick $quick:path)? $(, gather $gather:path)?;)*) => {$(
        pub(super) struct $name<T>(PhantomData<T>);
        impl<T: Number> Fold for $name<T> {
            type In = T;
            type Acc = T::Acc;
            type Out = T;
            const IDENTITY: T::Acc = <T::Acc as Arith>::$identity;
            #[inline(always)] fn lift(x: T) -> T::Acc { $lift(x.up()) }
            #[inline(always)] fn join(a: T::Acc, b: T::Acc) -> T::Acc { $join(a, b) }
            #[inline(always)] fn lower(acc: T::Acc) -> T { T::down(acc) }
            $(
                const PASSES_NAN: bool = <T::Acc as Arith>::IS_FLOAT;
                #[inline(always)] fn quick(a: T::Acc, b: T::Acc) -> T::Acc { $quick(a, b) }
            )?
            $(
                #[inline(always)] fn gather(parts: [T::Acc; 16]) -> T::Acc { $gather(parts) }
                #[inline(always)] fn gather_all(parts: &[[T::Acc; 16]; 16]) -> [T::Acc; 16] { simd::fold_rows(parts, $gather) }
            )?
        }
    )*};
}
folds! {
    Sum: ZERO, Arith::add, |x| x;
    SumOfSquares: ZERO, Arith::add, |x: T::Acc| x.mul(x);
    Prod: ONE, Arith::mul, |x| x, gather Arith::product;
    Min: HIGHEST, Arith::min, |x| x, quick smaller;
    Max: LOWEST, Arith::max, |x| x, quick larger;
}

#[inline(always)]
fn smaller<A: Arith>(a: A, b: A) -> A {
    if b < a { b } else { a }
}

#[inline(always)]
fn larger<A: Arith>(a: A, b: A) -> A {
    if b > a { b } else { a }
}

macro_rules! truth_folds {
    ($($name:ident: $identity:expr, $op:tt;)*) => {$(
        pub(super) struct $name<T>(PhantomData<T>);
        impl<T: Number> Fold for $name<T> {
            type In = T;
            type Acc = bool;
            type Out = bool;
            const IDENTITY: bool = $identity;
            #[inline(always)] fn lift(x: T) -> bool { x.is_true() }
            #[inline(always)] fn join(a: bool, b: bool) -> bool { a $op b }
            #[inline(always)] fn lower(acc: bool) -> bool { acc }
        }
    )*};
}
truth_folds! {
    All: true, &;
    Any: false, |;
}

/// Folds a stream of partial results as a balanced tree, holding one per level: neighbours meet first, then pairs of pairs.
/// The tree depends on the number of results only. Feeding it results of `2^k` at a time gives the tree of all of them.
pub(super) struct Pairwise<F: Fold> {
    count: usize,
    levels: [F::Acc; usize::BITS as usize],
}

impl<F: Fold> Pairwise<F> {
    pub(super) fn new() -> Self {
        Pairwise { count: 0, levels: [F::IDENTITY; usize::BITS as usize] }
    }
    pub(super) fn push(&mut self, mut partial: F::Acc) {
        let full = self.count.trailing_ones() as usize;
        for level in &self.levels[..full] {
            partial = F::join(*level, partial);
        }
        self.levels[full] = partial;
        self.count += 1;
    }
    pub(super) fn finish(&self) -> F::Acc {
        let mut pending = (0..self.levels.len()).filter(|level| self.count >> level & 1 == 1).map(|level| self.levels[level]);
        match pending.next() {
            Some(first) => pending.fold(first, |later, earlier| F::join(earlier, later)),
            None => F::IDENTITY,
        }
    }
}

/// Runs the block as it is, or compiled for AVX2 or AVX-512 where the machine has it. Only additions, products and comparisons happen in
/// it, each rounded once, so all give the same bits.
macro_rules! with_simd {
    ($name:ident<$F:ident: $bound:ident>($($arg:ident: $type:ty),* $(,)?) -> $ret:ty $body:block) => {
        #[inline]
        pub(super) fn $name<$F: $bound>($($arg: $type),*) -> $ret {
            #[inline(always)]
            fn body<$F: $bound>($($arg: $type),*) -> $ret $body

            #[cfg(target_arch = "x86_64")]
            {
                use $crate::cpu::simd::{Level, level};
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2")]
                fn avx512<$F: $bound>($($arg: $type),*) -> $ret {
                    body::<$F>($($arg),*)
                }
                #[target_feature(enable = "avx2")]
                fn avx2<$F: $bound>($($arg: $type),*) -> $ret {
                    body::<$F>($($arg),*)
                }
                match level() {
                    // SAFETY: the machine has AVX-512.
                    Level::Avx512 => return unsafe { avx512::<$F>($($arg),*) },
                    // SAFETY: the machine has AVX2.
                    Level::Avx2 => return unsafe { avx2::<$F>($($arg),*) },
                    Level::Baseline => {}
                }
            }
            body::<$F>($($arg),*)
        }
    };
}
pub(super) use with_simd;
