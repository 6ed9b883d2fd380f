//! The forward pass: for each block of queries, all blocks of keys, with a running maximum and sum.

use super::product::{Product, Products};
use super::*;
use crate::cpu::matmul::try_run;
use crate::cpu::norm::lanes::{map_sum0, map0, maximum};
use crate::cpu::simd::{self, Body, Isa};

/// Most queries of one task: what is packed for them, keys and values, is packed once.
const TASK: usize = 512;
/// Multiplications for which scratch of one's own costs little.
const ALONE: usize = 1 << 18;

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
    let all = job.heads() * tasks;
    // Many heads of a few queries share scratch, which would cost more to clear than they do.
    let each = rows.min(job.q.rows) * job.k.rows * (job.q.cols + job.v.cols);
    let together = (ALONE / each.max(1)).max(1);
    try_run(all.div_ceil(together), |part| {
        let mut scratch = Scratch::new(&job, rows.min(job.q.rows));
        for task in part * together..((part + 1) * together).min(all) {
            // Causal queries further back see more keys: they go first.
            let (head, part) = (task / tasks, tasks - 1 - task % tasks);
            let queries = part * rows..((part + 1) * rows).min(job.q.rows);
            // SAFETY: queries of this task's own.
            unsafe { attend(&job, &out, lse.get(), head, queries, &mut scratch) };
        }
        Ok(())
    })?;
    Ok(Some(()))
}

/// Matrices of one task at a time. What a kernel reads beyond their columns are zeros, as nothing is ever written there.
struct Scratch<A> {
    queries: Vec<A>,
    keys: Vec<A>,
    values: Vec<A>,
    scores: Vec<A>,
    sums: Vec<A>,
    /// The maximum and the sum of each query's weights so far.
    running: Vec<(A, A)>,
}

impl<A: Products> Scratch<A> {
    /// For at most `n` queries.
    fn new<T: Number<Acc = A>>(job: &Job<T>, n: usize) -> Self {
        Scratch {
            queries: zeros::<A>(n * job.q.width()),
            keys: zeros::<A>(job.k.cols * STEP),
            values: zeros::<A>(KEYS * job.v.width()),
            scores: zeros::<A>(QUERIES * STEP),
            sums: zeros::<A>(n * job.v.width()),
            running: vec![(<A as Real>::ZERO, <A as Real>::ZERO); n],
        }
    }
}

/// # Safety
/// The head has these queries, for which there is room in the scratch, and nobody else touches their results.
unsafe fn attend<T: Number<Acc: Products>>(
    job: &Job<T>,
    out: &Matrices<T>,
    lse: *mut T::Acc,
    head: usize,
    queries: std::ops::Range<usize>,
    scratch: &mut Scratch<T::Acc>,
) {
    let product = T::Acc::product();
    let [q, k, v] = [&job.q, &job.k, &job.v].map(|m| m.at(&job.sizes, head));
    let (n, e, w) = (queries.len(), job.q.width(), job.v.width());
    let Scratch { queries: all_q, keys, values, scores, sums, running } = scratch;
    let (sums, running) = (&mut sums[..n * w], &mut running[..n]);
    sums.fill(<T::Acc as Real>::ZERO);
    running.fill((-<T::Acc as Real>::INFINITY, <T::Acc as Real>::ZERO));
    // SAFETY: rows of q, k and v, which nobody writes.
    unsafe { job.scaled_queries(q, queries.start, n, all_q) };
    let seen = job.visible(queries.end - 1, 0, job.k.rows);
    for k0 in (0..seen).step_by(KEYS) {
        let block = KEYS.min(seen - k0);
        // SAFETY: as above.
        unsafe {
            job.k.columns_to(k, k0, block, keys, STEP);
            job.v.rows_to(v, k0, block, values, w);
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
                scores: &mut *scores,
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
    simd::run_widest(Finish { running: &*running, sums: &mut *sums, w });
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
