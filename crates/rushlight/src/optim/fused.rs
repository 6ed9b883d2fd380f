//! Steps of many parameters at once, where the backend has a kernel for them; the others go one by one, by tile programs of the same formulas.

use crate::ops::backend;
use crate::storage::{self, Data};
use crate::{Result, Tensor, autograd};
use rushlight_kernels::backend::UpdateRule;
use smallvec::SmallVec;
use std::sync::Arc;

/// One parameter's part in a step.
pub struct Job<'a> {
    /// What moves.
    pub param: &'a Tensor,
    /// Its gradient.
    pub grad: &'a Tensor,
    /// State that is overwritten too, in the order of the rule.
    pub state: SmallVec<[&'a Tensor; 2]>,
    /// How; `None` where only the general way knows.
    pub rule: Option<UpdateRule>,
}

/// Parameters that are locked and handed on together. Many small ones make one piece of work; locks are looked up one by one.
const TOGETHER: usize = 16;

/// Does those of the jobs that the backend has a kernel for; says which.
///
/// # Errors
/// If a tensor may not be overwritten.
pub fn run(jobs: &[Job]) -> Result<Vec<bool>> {
    let mut all = Vec::with_capacity(jobs.len());
    while all.len() < jobs.len() {
        let at = all.len();
        let rule = jobs[at].rule;
        let n = jobs[at..].iter().take(TOGETHER).take_while(|j| j.rule == rule).count();
        let done = match rule {
            Some(rule) => together(&jobs[at..at + n], &rule)?,
            None => false,
        };
        all.resize(at + n, done);
    }
    Ok(all)
}

/// Whether the backend has done them.
fn together(jobs: &[Job], rule: &UpdateRule) -> Result<bool> {
    let mut outs: SmallVec<[Data; 4 * TOGETHER]> = SmallVec::new();
    let mut grads: SmallVec<[Data; TOGETHER]> = SmallVec::new();
    for job in jobs {
        if job.state.len() + 1 != rule.outputs() {
            return Ok(false);
        }
        for t in std::iter::once(&job.param).chain(&job.state) {
            autograd::inplace::check(t)?;
            outs.push(t.data());
        }
        grads.push(job.grad.data());
    }
    let shapes_fit = outs.chunks(rule.outputs()).zip(&grads).all(|(o, g)| o.iter().all(|o| o.layout.shape == g.layout.shape));
    if !shapes_fit || shares_memory(&outs, &grads) {
        return Ok(false);
    }
    storage::write(&outs, &grads, |outs, grads| backend().update(rule, grads, outs))
}

/// Whether a storage that is written occurs twice: then order matters, which only one step after the other keeps.
fn shares_memory(outs: &[Data], grads: &[Data]) -> bool {
    let mut all: SmallVec<[*const storage::Storage; 4 * TOGETHER]> = outs.iter().map(|d| Arc::as_ptr(&d.storage)).collect();
    all.sort_unstable();
    all.windows(2).any(|w| w[0] == w[1]) || grads.iter().any(|g| all.binary_search(&Arc::as_ptr(&g.storage)).is_ok())
}
