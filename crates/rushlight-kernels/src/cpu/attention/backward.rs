//! The backward pass: for each block of keys, all blocks of queries.
//!
//! With P the weights and S the scores: dV = Pᵀ dO, dP = dO Vᵀ, dS = P ∘ (dP - δ), dQ = dS K, dK = dSᵀ Q, where δ is the sum of dO ∘ O over a row.
//! A task has a range of keys: their gradients are its own, those of the queries are added up over the tasks in order.

use super::product::{Product, Products};
use super::*;
use crate::cpu::matmul::try_run;
use crate::cpu::norm::lanes::{map0, map1, sums2};
use crate::cpu::pool;
use crate::cpu::simd::{self, Body, Isa};

/// With so many heads, each is one task.
const ENOUGH: usize = 8;

/// `ins = [g, q, k, v, o, lse, (mask)]`, `outs = [gq, gk, gv]`.
pub(super) fn run<T: Number<Acc: Products>>(op: Attention, ins: &[View], outs: &mut [ViewMut]) -> Result<Option<()>> {
    let ([g, q, k, v, o, lse, rest @ ..], [gq, gk, gv]) = (ins, outs) else { return Ok(None) };
    let Some(job) = Job::<T>::new(op, q, k, v, rest.first()) else { return Ok(None) };
    let of = |x: &View| Matrices::<T>::new(x.ptr::<T>().cast_mut(), x.layout);
    let Some(lse) = lse.as_slice::<T::Acc>() else { return Ok(None) };
    let pass = Pass { g: of(g), o: of(o), lse, outs: [gq, gk, gv].map(|x| Matrices::<T>::new(x.ptr::<T>(), x.layout)), job };
    let job = &pass.job;
    let blocks = job.k.rows.div_ceil(KEYS);
    let parts = if job.heads() >= ENOUGH { 1 } else { (ENOUGH / job.heads()).min(blocks) };
    let keys = blocks.div_ceil(parts) * KEYS;
    let parts = job.k.rows.div_ceil(keys);
    let (rows, e) = (job.q.rows, job.q.width());
    let mut partial = zeros::<T::Acc>(if parts > 1 { job.heads() * parts * rows * e } else { 0 });
    let shared = Shared::new(partial.as_mut_ptr());
    try_run(job.heads() * parts, |task| {
        let (head, part) = (task / parts, task % parts);
        let range = part * keys..((part + 1) * keys).min(job.k.rows);
        if parts > 1 {
            // SAFETY: each task has an area of its own.
            let sums = unsafe { std::slice::from_raw_parts_mut(shared.get().add(task * rows * e), rows * e) };
            // SAFETY: keys of this task's own.
            unsafe { pass.keys(head, range, sums) };
            return Ok(());
        }
        let mut sums = zeros::<T::Acc>(rows * e);
        // SAFETY: a head of this task's own.
        unsafe {
            pass.keys(head, range, &mut sums);
            pass.put_queries(head, 0..rows, &sums);
        }
        Ok(())
    })?;
    if parts > 1 {
        pool::for_ranges(job.heads() * rows, QUERIES, |range| {
            for row in range {
                let (head, i) = (row / rows, row % rows);
                let mut sum = zeros::<T::Acc>(e);
                for p in 0..parts {
                    let from = ((head * parts + p) * rows + i) * e;
                    map1(&partial[from..from + e], &mut sum, |x, sum| sum + x);
                }
                // SAFETY: a row of this task's own.
                unsafe { pass.put_queries(head, i..i + 1, &sum) };
            }
        });
    }
    Ok(Some(()))
}

struct Pass<'a, T: Number> {
    job: Job<T>,
    g: Matrices<T>,
    o: Matrices<T>,
    lse: &'a [T::Acc],
    outs: [Matrices<T>; 3],
}

impl<T: Number<Acc: Products>> Pass<'_, T> {
    /// Writes gradients of queries from sums without the scale.
    ///
    /// # Safety
    /// The head has these queries, and nobody else touches them.
    unsafe fn put_queries(&self, head: usize, queries: std::ops::Range<usize>, sums: &[T::Acc]) {
        let (to, e) = (self.outs[0].at(&self.job.sizes, head), self.job.q.width());
        let scale = <T::Acc as Real>::of(self.job.op.scale);
        let mut row = zeros::<T::Acc>(self.job.q.cols);
        for (i, sums) in queries.zip(sums.chunks(e)) {
            row.iter_mut().zip(sums).for_each(|(x, &sum)| *x = sum * scale);
            // SAFETY: the caller's.
            unsafe { self.outs[0].put(to, i, &row) };
        }
    }

    /// The gradients of the keys and values `range` of a head, and what they add to the gradients of the queries.
    ///
    /// # Safety
    /// The head has these keys, and nobody else touches their gradients.
    unsafe fn keys(&self, head: usize, range: std::ops::Range<usize>, gq: &mut [T::Acc]) {
        let job = &self.job;
        let product = T::Acc::product();
        let [q, k, v, g, o] = [&job.q, &job.k, &job.v, &self.g, &self.o].map(|m| m.at(&job.sizes, head));
        let (n, e, w) = (job.q.rows, job.q.width(), job.v.width());
        let lse = &self.lse.as_chunks::<2>().0[head * n..(head + 1) * n];
        let mut columns = zeros::<T::Acc>(job.k.cols * STEP);
        let mut rows = zeros::<T::Acc>(KEYS * e);
        let mut values = zeros::<T::Acc>(job.v.cols * STEP);
        let (mut gk, mut gv) = (zeros::<T::Acc>(KEYS * e), zeros::<T::Acc>(KEYS * w));
        let (mut queries, mut upstream) = (zeros::<T::Acc>(QUERIES * e), zeros::<T::Acc>(QUERIES * w));
        let (mut weights, mut slopes) = (zeros::<T::Acc>(QUERIES * STEP), zeros::<T::Acc>(QUERIES * STEP));
        let mut delta = zeros::<T::Acc>(n);
        for i in (0..n).step_by(QUERIES) {
            let count = QUERIES.min(n - i);
            // `queries` has another width than the results: `weights` has room for them where they are not too wide.
            let mut results = zeros::<T::Acc>(count * w);
            // SAFETY: rows of g and o, which nobody writes.
            unsafe {
                self.g.rows_to(g, i, count, &mut upstream, w);
                self.o.rows_to(o, i, count, &mut results, w);
            }
            let dots = upstream.chunks(w).zip(results.chunks(w));
            delta[i..i + count].iter_mut().zip(dots).for_each(|(d, (g, o))| *d = simd::run_widest(Dot(g, o)));
        }
        for k0 in range.clone().step_by(KEYS) {
            let block = KEYS.min(range.end - k0);
            // SAFETY: rows of k and v, which nobody writes.
            unsafe {
                job.k.columns_to(k, k0, block, &mut columns, STEP);
                job.k.rows_to(k, k0, block, &mut rows, e);
                job.v.columns_to(v, k0, block, &mut values, STEP);
            }
            gk.fill(<T::Acc as Real>::ZERO);
            gv.fill(<T::Acc as Real>::ZERO);
            // Causal queries before these keys see none of them.
            for i in (if job.op.causal { k0.min(n) } else { 0 }..n).step_by(QUERIES) {
                let count = QUERIES.min(n - i);
                let cols = job.visible(i + count - 1, k0, block);
                // SAFETY: rows of q and g, which nobody writes; matrices in scratch, of these sizes.
                unsafe {
                    job.scaled_queries(q, i, count, &mut queries);
                    self.g.rows_to(g, i, count, &mut upstream, w);
                    let scores = |a: &[T::Acc], ld: usize, terms: usize, b: &[T::Acc], c: &mut [T::Acc]| {
                        product(&Product {
                            size: [count, terms, cols],
                            a: a.as_ptr(),
                            a_steps: [ld, 1],
                            b: b.as_ptr(),
                            b_step: STEP,
                            c: c.as_mut_ptr(),
                            c_step: STEP,
                            add: false,
                        });
                    };
                    scores(&queries, e, job.q.cols, &columns, &mut weights);
                    scores(&upstream, w, job.v.cols, &values, &mut slopes);
                    simd::run_widest(Slopes {
                        job,
                        head,
                        first: i,
                        k0,
                        cols,
                        lse: &lse[i..i + count],
                        delta: &delta[i..i + count],
                        weights: &mut weights,
                        slopes: &mut slopes,
                    });
                    let over_queries = |a: &[T::Acc], b: &[T::Acc], ld: usize, width: usize, c: &mut [T::Acc]| {
                        product(&Product {
                            size: [cols, count, width],
                            a: a.as_ptr(),
                            a_steps: [1, STEP],
                            b: b.as_ptr(),
                            b_step: ld,
                            c: c.as_mut_ptr(),
                            c_step: ld,
                            add: true,
                        });
                    };
                    over_queries(&weights, &upstream, w, job.v.cols, &mut gv);
                    over_queries(&slopes, &queries, e, job.q.cols, &mut gk);
                    product(&Product {
                        size: [count, cols, job.q.cols],
                        a: slopes.as_ptr(),
                        a_steps: [STEP, 1],
                        b: rows.as_ptr(),
                        b_step: e,
                        c: gq[i * e..].as_mut_ptr(),
                        c_step: e,
                        add: true,
                    });
                }
            }
            let [_, to_k, to_v] = self.outs.each_ref().map(|m| m.at(&job.sizes, head));
            for j in 0..block {
                // SAFETY: rows of this task's own.
                unsafe {
                    self.outs[1].put(to_k, k0 + j, &gk[j * e..j * e + job.k.cols]);
                    self.outs[2].put(to_v, k0 + j, &gv[j * w..j * w + job.v.cols]);
                }
            }
        }
    }
}

struct Dot<'a, A>(&'a [A], &'a [A]);

impl<A: Real> Body for Dot<'_, A> {
    type Out = A;
    #[inline(always)]
    fn run<S: Isa>(self) -> A {
        sums2(self.0, self.1, |a, b| [a * b])[0]
    }
}

/// Scores become weights, and the weights' gradients those of the scores.
struct Slopes<'a, T: Number> {
    job: &'a Job<T>,
    head: usize,
    first: usize,
    k0: usize,
    cols: usize,
    lse: &'a [[T::Acc; 2]],
    delta: &'a [T::Acc],
    weights: &'a mut [T::Acc],
    slopes: &'a mut [T::Acc],
}

impl<T: Number<Acc: Products>> Body for Slopes<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        let zero = <T::Acc as Real>::ZERO;
        for (r, (&[max, log], &delta)) in self.lse.iter().zip(self.delta).enumerate() {
            let range = r * STEP..r * STEP + self.cols;
            let visible = self.job.visible(self.first + r, self.k0, self.cols);
            let (weights, unseen) = self.weights[range.clone()].split_at_mut(visible);
            unseen.fill(zero);
            let (slopes, unseen) = self.slopes[range].split_at_mut(visible);
            unseen.fill(zero);
            // SAFETY: the mask has the shape of the scores.
            unsafe { self.job.mask.add(&self.job.sizes, self.head, self.first + r, self.k0, weights) };
            // Where scores are large, their difference is exact, and the logarithm of the sum is small beside them.
            map0(weights, |x| (x - max - log).exp_neg::<S>());
            map1(&*weights, slopes, |p, dp| p * (dp - delta));
        }
    }
}
