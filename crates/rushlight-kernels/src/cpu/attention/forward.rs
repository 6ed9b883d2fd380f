//! The forward pass: for each block of queries, all blocks of keys, with a running maximum and sum.

use super::product::{Product, Products};
use super::*;
use crate::cpu::matmul::try_run;
use crate::cpu::norm::lanes::{map_sum0, map0, maximum};
use crate::cpu::simd::{self, Body, Isa};

/// Most queries of one task: what is packed for them, keys and values, is packed once.
const TASK: usize = 512;

/// `ins = [q, k, v, (mask)]`, `outs = [o, lse]`.
pub(super) fn run<T: Number<Acc: Products>>(op: Attention, ins: &[View], outs: &mut [ViewMut]) -> Result<Option<()>> {
    let [o, lse] = outs else { return Ok(None) };
    let Some(job) = Job::<T>::new(op, &ins[0], &ins[1], &ins[2], ins.get(3)) else { return Ok(None) };
    let out = Matrices::<T>::new(o.ptr::<T>(), o.layout);
    let Some(lse) = lse.as_mut_slice::<T::Acc>() else { return Ok(None) };
    if o.dtype != T::DTYPE || lse.len() != 2 * job.heads() * job.q.rows || (out.rows, out.cols) != (job.q.rows, job.v.cols) {
        return Ok(None);
    }
    let lse = Shared::new(lse.as_mut_ptr());
    // Few heads: smaller tasks, so that there are enough.
    let rows = if job.heads() >= 16 { TASK } else { TASK / 2 };
    let tasks = job.q.rows.div_ceil(rows);
    try_run(job.heads() * tasks, |task| {
        // Causal queries further back see more keys: they go first.
        let (head, part) = (task / tasks, tasks - 1 - task % tasks);
        let queries = part * rows..((part + 1) * rows).min(job.q.rows);
        // SAFETY: queries of this task's own.
        unsafe { attend(&job, &out, lse.get(), head, queries) };
        Ok(())
    })?;
    Ok(Some(()))
}

/// # Safety
/// The head has these queries, and nobody else touches their results.
unsafe fn attend<T: Number<Acc: Products>>(
    job: &Job<T>,
    out: &Matrices<T>,
    lse: *mut T::Acc,
    head: usize,
    queries: std::ops::Range<usize>,
) {
    let product = T::Acc::product();
    let [q, k, v] = [&job.q, &job.k, &job.v].map(|m| m.at(&job.sizes, head));
    let (n, e, w) = (queries.len(), job.q.width(), job.v.width());
    let mut all_q = zeros::<T::Acc>(n * e);
    let mut keys = zeros::<T::Acc>(job.k.cols * STEP);
    let mut values = zeros::<T::Acc>(KEYS * w);
    let mut scores = zeros::<T::Acc>(QUERIES * STEP);
    let mut sums = zeros::<T::Acc>(n * w);
    let mut running = vec![(-<T::Acc as Real>::INFINITY, <T::Acc as Real>::ZERO); n];
    // SAFETY: rows of q, k and v, which nobody writes.
    unsafe { job.scaled_queries(q, queries.start, n, &mut all_q) };
    let seen = job.visible(queries.end - 1, 0, job.k.rows);
    for k0 in (0..seen).step_by(KEYS) {
        let block = KEYS.min(seen - k0);
        // SAFETY: as above.
        unsafe {
            job.k.columns_to(k, k0, block, &mut keys, STEP);
            job.v.rows_to(v, k0, block, &mut values, w);
        }
        // The first query that sees any of these keys.
        let first = if job.op.causal { k0.max(queries.start) - queries.start } else { 0 };
        for i in (first / QUERIES * QUERIES..n).step_by(QUERIES) {
            let (i, end) = (i.max(first), (i + QUERIES).min(n));
            let rows = end - i;
            let cols = job.visible(queries.start + end - 1, k0, block);
            // SAFETY: matrices in scratch, of these sizes.
            unsafe {
                product(&Product {
                    size: [rows, job.q.cols, cols],
                    a: all_q[i * e..].as_ptr(),
                    a_steps: [e, 1],
                    b: keys.as_ptr(),
                    b_step: STEP,
                    c: scores.as_mut_ptr(),
                    c_step: STEP,
                    add: false,
                });
            }
            simd::run_widest(Weigh {
                job,
                head,
                first: queries.start + i,
                k0,
                cols,
                scores: &mut scores,
                running: &mut running[i..end],
                sums: &mut sums[i * w..end * w],
            });
            // SAFETY: as above.
            unsafe {
                product(&Product {
                    size: [rows, cols, job.v.cols],
                    a: scores.as_ptr(),
                    a_steps: [STEP, 1],
                    b: values.as_ptr(),
                    b_step: w,
                    c: sums[i * w..].as_mut_ptr(),
                    c_step: w,
                    add: true,
                });
            }
        }
    }
    simd::run_widest(Finish { running: &running, sums: &mut sums, w });
    let to = out.at(&job.sizes, head);
    for (i, (&(max, sum), row)) in running.iter().zip(sums.chunks(w)).enumerate() {
        let query = queries.start + i;
        // A query that sees nothing: its weights are to come out as zeros again.
        let [max, log] = if sum == <T::Acc as Real>::ZERO {
            [<T::Acc as Real>::INFINITY, <T::Acc as Real>::ZERO]
        } else {
            [max, <T::Acc as Real>::of(sum.to_f64().ln())]
        };
        // SAFETY: a row of this task's own.
        unsafe {
            out.put(to, query, &row[..out.cols]);
            let lse = lse.add(2 * (head * job.q.rows + query));
            (*lse, *lse.add(1)) = (max, log);
        }
    }
}

/// Turns scores into weights relative to a new running maximum, and brings what was summed up so far to it.
struct Weigh<'a, T: Number> {
    job: &'a Job<T>,
    head: usize,
    /// Number of the first query.
    first: usize,
    /// Number of the first key, and of keys.
    k0: usize,
    cols: usize,
    scores: &'a mut [T::Acc],
    running: &'a mut [(T::Acc, T::Acc)],
    sums: &'a mut [T::Acc],
}

impl<T: Number<Acc: Products>> Body for Weigh<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        let zero = <T::Acc as Real>::ZERO;
        let w = self.sums.len() / self.running.len();
        for (r, (max, sum)) in self.running.iter_mut().enumerate() {
            let row = &mut self.scores[r * STEP..r * STEP + self.cols];
            let (scores, unseen) = row.split_at_mut(self.job.visible(self.first + r, self.k0, self.cols));
            unseen.fill(zero);
            // SAFETY: the mask has the shape of the scores.
            unsafe { self.job.mask.add(&self.job.sizes, self.head, self.first + r, self.k0, scores) };
            let found = maximum(scores);
            let new = if found > *max { found } else { *max };
            // Nothing seen yet: any finite number will do.
            let base = if new == -<T::Acc as Real>::INFINITY { zero } else { new };
            let fade = (*max - base).exp_neg::<S>();
            if *max != new {
                let so_far = &mut self.sums[r * w..(r + 1) * w];
                map0(so_far, |x| x * fade);
            }
            *sum = *sum * fade + exponentials::<T::Acc, S>(scores, base);
            *max = new;
        }
    }
}

/// `x = e^(x - base)` in place; answers the sum.
#[inline(always)]
fn exponentials<A: Real, S: Isa>(x: &mut [A], base: A) -> A {
    map_sum0(x, |x| (x - base).exp_neg::<S>())
}

/// Divides each row by its sum; a row that has seen nothing is zeros.
struct Finish<'a, A> {
    running: &'a [(A, A)],
    sums: &'a mut [A],
    w: usize,
}

impl<A: Real> Body for Finish<'_, A> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        for (&(_, sum), row) in self.running.iter().zip(self.sums.chunks_mut(self.w)) {
            let scale = if sum == A::ZERO { A::ZERO } else { A::ONE / sum };
            map0(row, |x| x * scale);
        }
    }
}
