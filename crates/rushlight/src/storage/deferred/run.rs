//! Running regions: by themselves, or on the way into a reduction.

use super::{Body, Graph, MOST_INSTRUCTIONS, Promise, RAN, Region, State, WAITING, graph};
use crate::storage::{self, Data, Product, Reads, Storage};
use crate::{DType, Result};
use rushlight_kernels::backend::{Operand, ReduceOp, View, ViewMut};
use rushlight_kernels::{Buffer, Inst, Layout, Program, Reg};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};

/// Runs `region`, or waits until another thread has. The graph's lock comes in, and is released while kernels run.
pub(super) fn run(graph: Graph, region: &Arc<Region>) -> Result<()> {
    run_for(graph, region, |_| true, |work| work.store()).map(|_| ())
}

/// What a region has to compute.
struct Work<'a> {
    body: &'a Body,
    /// Registers that are stored.
    outs: SmallVec<[(Reg, Arc<Storage>); 2]>,
    /// Whether they need all of the program.
    whole: bool,
}

/// Has `compute` make the values of those of the region's storages that `is_wanted` chooses, and hands them over. Where another thread runs
/// the region, waits for it; `None` then. Storages that were not chosen stay promised. The graph's lock comes in, and is released while kernels run.
fn run_for<R>(
    mut guard: Graph,
    region: &Arc<Region>,
    is_wanted: impl Fn(&Arc<Storage>) -> bool,
    compute: impl FnOnce(&Work) -> Result<(SmallVec<[Buffer; 2]>, R)>,
) -> Result<Option<R>> {
    // It may be open again afterwards: where the other thread failed, or kept something back.
    while region.is(State::Running) {
        WAITING.fetch_add(1, Relaxed);
        guard = Graph(RAN.wait(guard.0).unwrap_or_else(PoisonError::into_inner));
        WAITING.fetch_sub(1, Relaxed);
    }
    if region.is(State::Done) {
        return Ok(None);
    }
    region.set(State::Running);
    let mut body = region.body();
    let mut outs = SmallVec::<[_; 2]>::new();
    for (reg, storage) in &body.outs {
        // Pushed one by one: `collect` takes ten times as long for one.
        match storage.upgrade() {
            Some(storage) if is_wanted(&storage) => outs.push((*reg, storage)),
            _ => {}
        }
    }
    let whole = body.single && outs.len() == body.program.outs.len();
    drop(guard);
    let work = Work { body: &body, outs, whole };
    // A panic in a kernel must not leave the region running for ever.
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| compute(&work)));
    let outs = work.outs;
    let mut guard = graph();
    let result = match outcome {
        Ok(Ok((buffers, result))) => {
            for ((_, storage), buffer) in outs.iter().zip(buffers) {
                storage.fulfil(buffer);
                storage.part.get(&mut guard).promise = None;
                storage.unmark(Storage::PENDING);
            }
            Ok(Ok(Some(result)))
        }
        Ok(Err(e)) => Ok(Err(e)),
        Err(payload) => Err(payload),
    };
    if matches!(result, Ok(Ok(_))) && outs.len() == body.outs.len() {
        body.outs.clear();
    } else {
        body.outs.retain(|(_, s)| s.upgrade().is_some_and(|s| s.is_marked(Storage::PENDING)));
    }
    region.set(if body.outs.is_empty() { State::Done } else { State::Open });
    drop(body);
    if WAITING.load(Relaxed) > 0 {
        RAN.notify_all();
    }
    // Before the outputs go, and the operands with the region: dropping them may run their owners' code.
    drop(guard);
    result.unwrap_or_else(|payload| std::panic::resume_unwind(payload))
}

impl Work<'_> {
    /// The values of all outputs. An operand that nobody else holds gives its memory to an output: the pass then runs in place, as
    /// `x += y` asks for, and touches a third less memory.
    #[allow(unsafe_code)]
    fn store(&self) -> Result<(SmallVec<[Buffer; 2]>, ())> {
        if self.outs.is_empty() {
            return Ok((SmallVec::new(), ()));
        }
        let (program, mut ins) = self.needed(None);
        let backend = crate::ops::backend();
        let unmade = self.body.product.as_ref().and_then(|unmade| {
            let operand = &self.body.ins[unmade.operand];
            Some((&unmade.product, operand, ins.iter().position(|d| std::ptr::eq(*d, operand))?))
        });
        let Some((product, operand, place)) = unmade else {
            return self.with_outputs(&program, &ins, ins.len(), |_, views, outs| backend.pointwise(&program, views, outs));
        };
        if operand.storage.nbytes() == 0 {
            operand.storage.fulfil(storage::alloc(&product.layout, operand.dtype)?);
        }
        let loaded = ins.len();
        ins.extend(product.ins.iter());
        self.with_outputs(&program, &ins, loaded, |reads, views, outs| {
            let (views, factors) = views.split_at(loaded);
            // SAFETY: the operand is new memory that only this region knows; the backend reads of it what it has written.
            let made = &mut unsafe { ViewMut::new(reads.buffer(place), &product.layout, operand.dtype)? };
            // Nothing follows, and the operand's memory has become the output's.
            if program.insts.len() == 1 && outs.len() == 1 && outs[0].ptr::<u8>() == made.ptr::<u8>() {
                return product.run(factors, made);
            }
            let &Product { alpha, beta, .. } = product;
            backend.matmul_then(factors[0], factors[1], factors.get(2).copied(), alpha, beta, made, &program, views, outs)
        })
    }
    /// The part of the program that computes the outputs, and another register where one is given; and the operands that it loads.
    fn needed(&self, other: Option<Reg>) -> (Cow<'_, Program>, SmallVec<[&Data; 4]>) {
        if self.whole && other.is_none() {
            let mut ins = SmallVec::new();
            self.body.ins.iter().for_each(|d| ins.push(d));
            return (Cow::Borrowed(&self.body.program), ins);
        }
        let (program, kept) = needed(&self.body.program, self.outs.iter().map(|(r, _)| *r).chain(other));
        (Cow::Owned(program), kept.iter().map(|&i| &self.body.ins[i as usize]).collect())
    }
    /// Calls `f` with views of the operands and of the outputs' memory, which is new, or one of the first `givers` operands' where that may be; answers
    /// that memory.
    #[allow(unsafe_code)]
    fn with_outputs<R>(
        &self,
        program: &Program,
        ins: &[&Data],
        givers: usize,
        f: impl FnOnce(&Reads, &[View], &mut [ViewMut]) -> Result<R>,
    ) -> Result<(SmallVec<[Buffer; 2]>, R)> {
        let reads = Reads::lock(ins.iter().copied())?;
        let dtype = |k: usize| program.dtypes[program.outs[k] as usize];
        // The numbers of operands that give their memory.
        let mut donors = SmallVec::<[Option<usize>; 2]>::new();
        let mut buffers = SmallVec::<[Buffer; 2]>::new();
        for k in 0..self.outs.len() {
            let gives = |i: usize, d: &Data| {
                d.dtype == dtype(k) && d.layout == self.body.layout && reads.is_only(i, d) && !donors.contains(&Some(i))
            };
            let donor = (0..givers).find(|&i| gives(i, ins[i]));
            buffers.push(if donor.is_some() { Buffer::none() } else { storage::alloc(&self.body.layout, dtype(k))? });
            donors.push(donor);
        }
        let result = {
            let views = reads.views(ins.iter().copied())?;
            let mut out_views = SmallVec::<[ViewMut; 2]>::new();
            for (k, (new, donor)) in buffers.iter().zip(&donors).enumerate() {
                let buffer = donor.map_or(new, |i| reads.buffer(i));
                // SAFETY: the buffer is new, or of a storage that only this operand knows, whose elements are those of the output: this
                // view and that operand's are the only accesses. The program writes every element before anyone reads one.
                out_views.push(unsafe { ViewMut::new(buffer, &self.body.layout, dtype(k))? });
            }
            f(&reads, &views, &mut out_views)?
        };
        drop(reads);
        for (buffer, donor) in buffers.iter_mut().zip(donors) {
            if let Some(i) = donor {
                *buffer = ins[i].storage.take();
            }
        }
        Ok((buffers, result))
    }
}

/// Bytes from which on a reduced value is not stored: half a large cache. Below, storing it is cheaper than computing it again, should it be
/// asked for after all.
const STORED: usize = 1 << 24;
/// Most that computing it again may cost, in tenths of a nanosecond an element.
const CHEAP: usize = 40;

/// [`storage::reduce`] of a value that is put off: in the pass that computes it. `None` where that cannot be.
///
/// # Errors
/// If there is no memory.
pub(crate) fn reduce(op: ReduceOp, x: &Data, dims: &[usize], layout: &Layout, dtype: DType) -> Result<Option<Data>> {
    let mut graph = graph();
    let Some(Promise { region, reg, passed }) = x.storage.promise(&mut graph).cloned() else { return Ok(None) };
    let is_cheap = {
        if !region.is(State::Open) {
            return Ok(None);
        }
        let body = region.body();
        let fits = body.layout == x.layout && body.program.dtype(reg) == x.dtype;
        if !fits || !x.layout.is_contiguous() || body.product.is_some() {
            return Ok(None);
        }
        needed(&body.program, std::iter::once(reg)).0.cost() <= CHEAP
    };
    // Held by the caller's tensor and by `x` itself, and by nobody else: perhaps nobody will look at it again. Who does so proves the contrary.
    let is_passing = !passed && Arc::strong_count(&x.storage) <= 2 && is_cheap && x.layout.numel() * x.dtype.size() >= STORED;
    if let (true, Some(promise)) = (is_passing, &mut x.storage.part.get(&mut graph).promise) {
        promise.passed = true;
    }
    let wanted = |s: &Arc<Storage>| !(is_passing && Arc::ptr_eq(s, &x.storage));
    let result = run_for(graph, &region, wanted, |work| {
        let kept = work.outs.iter().position(|(_, s)| Arc::ptr_eq(s, &x.storage));
        let (program, ins) = work.needed(if kept.is_none() { Some(reg) } else { None });
        let operand = kept.map_or(Operand::Scratch, Operand::Kept);
        // What stays promised will have to be computed from the operands again.
        work.with_outputs(&program, &ins, if kept.is_some() { ins.len() } else { 0 }, |_, views, outs| {
            let backend = crate::ops::backend();
            let mut done = false;
            let result = storage::fresh(layout.clone(), dtype, |out| {
                done = backend.reduce_program(op, &program, views, outs, operand, &x.layout.shape, dims, out)?;
                Ok(())
            })?;
            if done {
                return Ok(Some(result));
            }
            // The outputs must be written all the same; one that is only passing through has none.
            let mut stored = program.as_ref().clone();
            stored.outs.truncate(outs.len());
            if !outs.is_empty() {
                backend.pointwise(&stored, views, outs)?;
            }
            Ok(None)
        })
    })?;
    Ok(result.flatten())
}

/// The part of `program` that computes the registers `outs`, and the numbers of the operands that it loads, which are numbered anew.
fn needed(program: &Program, outs: impl Iterator<Item = Reg>) -> (Program, SmallVec<[u8; 16]>) {
    let outs: SmallVec<[Reg; 4]> = outs.collect();
    let mut wanted: SmallVec<[bool; MOST_INSTRUCTIONS]> = SmallVec::from_elem(false, program.insts.len());
    outs.iter().for_each(|&r| wanted[r as usize] = true);
    for i in (0..program.insts.len()).rev() {
        if wanted[i] {
            program.insts[i].operands().iter().for_each(|&r| wanted[r as usize] = true);
        }
    }
    let mut small = Program::new();
    let mut kept = SmallVec::<[u8; 16]>::new();
    let mut now: SmallVec<[Reg; MOST_INSTRUCTIONS]> = SmallVec::from_elem(0, program.insts.len());
    for (i, inst) in program.insts.iter().enumerate().filter(|&(i, _)| wanted[i]) {
        let inst = match *inst {
            Inst::Load(k) => {
                kept.push(k);
                Inst::Load((kept.len() - 1) as u8)
            }
            other => other.renamed(|r| now[r as usize]),
        };
        now[i] = small.push(inst, program.dtypes[i]);
    }
    outs.iter().for_each(|&r| small.out(now[r as usize]));
    (small, kept)
}

#[cfg(test)]
mod tests {
    use super::STORED;
    use crate::Tensor;
    use crate::storage::{Storage, deferred};

    #[test]
    fn a_value_is_stored_when_it_is_reduced_again() {
        let y = Tensor::ones([STORED / 4]) * 2.0;
        let is_pending = || y.data().storage.is_marked(Storage::PENDING);
        for pending in [deferred::is_deferred(), false] {
            assert_eq!(y.sum().item::<f32>(), (STORED / 2) as f32);
            assert_eq!(is_pending(), pending);
        }
    }
}
