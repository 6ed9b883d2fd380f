//! Deferred pointwise ops: what a storage will hold, once somebody looks.
//!
//! A large pointwise op does not run at its call. It is appended to a *region*: a program over operands of one layout, which grows while ops
//! read each other's results. The first look at any result (through [`super::read`], [`super::write`] or an address) runs the whole region
//! as one pass over memory: a value that nobody holds any more is never written, and one that is held (by the user, or by a derivative that
//! saved it) is written beside the others, so that nothing is ever computed twice. Each instruction rounds as it does alone: results have the
//! same bits as op by op.
//!
//! Invariants:
//! - All checks of shapes, dtypes and aliasing are over before an op comes here; only running out of memory can fail later.
//! - Operands that a region loads are not deferred themselves (those of its own layout are registers, others are run first), so that running
//!   a region never leads to another, however long the chain.
//! - [`GRAPH`] is held whenever a region or a promise changes, and never while a kernel runs or a storage's own lock is waited for by
//!   somebody who holds it.

use super::{Data, Storage};
use crate::{DType, Result};
use rushlight_kernels::backend::{Operand, ReduceOp, View, ViewMut};
use rushlight_kernels::{Buffer, Inst, Layout, Program, Reg};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

/// Instructions of a region, at most: the tile executor keeps a register for each that is still needed, and they should fit in L1.
const MOST_INSTRUCTIONS: usize = 64;
/// Operands that a region loads, at most.
const MOST_INPUTS: usize = 16;
/// Fewest elements for which an op is put off: below, memory is near, and the bookkeeping costs more than a pass.
const SMALLEST: usize = 1 << 16;

/// Fewest elements of a deferred op; [`UNSET`] until first asked for, `usize::MAX` where ops run at once.
static FROM: AtomicUsize = AtomicUsize::new(UNSET);
const UNSET: usize = 0;

/// Held while the graph of regions changes.
static GRAPH: Mutex<()> = Mutex::new(());
/// Woken when a region has run.
static RAN: Condvar = Condvar::new();
/// Threads that wait for [`RAN`], which is a system call to wake. Changed under [`GRAPH`].
static WAITING: AtomicUsize = AtomicUsize::new(0);

fn graph() -> MutexGuard<'static, ()> {
    GRAPH.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether an op with results of `numel` elements is put off.
#[inline]
pub(crate) fn is_wanted(numel: usize) -> bool {
    let from = FROM.load(Relaxed);
    numel >= if from == UNSET { first_asked() } else { from }
}

#[cold]
fn first_asked() -> usize {
    let eager = std::env::var("RUSHLIGHT_EAGER").is_ok_and(|v| !v.is_empty() && v != "0");
    let from = if eager { usize::MAX } else { SMALLEST };
    match FROM.compare_exchange(UNSET, from, Relaxed, Relaxed) {
        Ok(_) => from,
        Err(set) => set,
    }
}

/// Whether large pointwise ops are deferred and fused. They are, unless the environment variable `RUSHLIGHT_EAGER` is 1 or
/// [`set_deferred`] says otherwise.
pub fn is_deferred() -> bool {
    is_wanted(usize::MAX - 1)
}

/// Says whether large pointwise ops wait until their results are looked at, so that chains of them run in one pass over memory. Results have
/// the same bits either way. Ops that wait already go on waiting.
pub fn set_deferred(on: bool) {
    FROM.store(if on { SMALLEST } else { usize::MAX }, Relaxed);
}

/// Defers ops from `numel` elements on: for tests, whose tensors are small.
#[doc(hidden)]
pub fn set_deferred_from(numel: usize) {
    FROM.store(numel.max(1), Relaxed);
}

/// Ops that will run together.
pub(super) struct Region {
    body: Mutex<Body>,
}

struct Body {
    state: State,
    /// Of every register: new memory in some order of the dimensions.
    layout: Layout,
    /// The code and its operands; whoever runs the region has them meanwhile.
    program: Program,
    ins: SmallVec<[Data; 2]>,
    /// The storages that registers were promised to. Who has lost interest is gone.
    outs: SmallVec<[(Reg, Weak<Storage>); 2]>,
    /// Whether the program is a single op's, with that op's outputs, to which every instruction leads.
    single: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Takes more ops.
    Open,
    /// A thread is computing it.
    Running,
    /// Its storages have their values.
    Done,
}

/// Where a storage's values will come from.
#[derive(Clone)]
struct Promise {
    region: Arc<Region>,
    reg: Reg,
}

/// A storage's part in the graph. In a box, as most storages have none.
#[derive(Default)]
pub(super) struct Part {
    promise: Option<Promise>,
    /// Regions that load it.
    readers: Vec<Weak<Region>>,
}

impl Region {
    fn new(layout: Layout) -> Region {
        let (program, ins, outs) = (Program::new(), SmallVec::new(), SmallVec::new());
        Region { body: Mutex::new(Body { state: State::Open, layout, program, ins, outs, single: true }) }
    }
    fn body(&self) -> MutexGuard<'_, Body> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage {
    fn part(&self) -> MutexGuard<'_, Option<Box<Part>>> {
        self.part.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn promise(&self) -> Option<Promise> {
        self.part().as_ref()?.promise.clone()
    }
    /// Computes its values, if they have been put off.
    ///
    /// # Errors
    /// If there is no memory for the region's results. They stay promised.
    #[cold]
    pub(super) fn realise(&self) -> Result<()> {
        let guard = graph();
        match self.promise() {
            Some(promise) => run(guard, &promise.region),
            None => Ok(()),
        }
    }
    /// Computes all that has yet to read its present values.
    #[cold]
    pub(super) fn serve_readers(&self) -> Result<()> {
        loop {
            let guard = graph();
            let next = self.part().as_mut().and_then(|part| part.readers.pop());
            match next {
                Some(reader) => {
                    if let Some(region) = reader.upgrade() {
                        run(guard, &region)?;
                    }
                }
                None => return Ok(()),
            }
        }
    }
    /// Notes that `region` will load it.
    fn add_reader(&self, region: &Arc<Region>) {
        let mut part = self.part();
        let readers = &mut part.get_or_insert_default().readers;
        if readers.len() >= 8 {
            readers.retain(|r| r.strong_count() > 0);
        }
        readers.push(Arc::downgrade(region));
        drop(part);
        self.mark(Storage::READ);
    }
}

/// Runs `region`, or waits until another thread has. The graph's lock comes in, and is released while kernels run.
fn run(guard: MutexGuard<'static, ()>, region: &Arc<Region>) -> Result<()> {
    let everybody = |_: &Arc<Storage>| true;
    run_for(guard, region, everybody, |work| work.store()).map(|_| ())
}

/// What a region has to compute.
struct Work {
    program: Program,
    ins: SmallVec<[Data; 2]>,
    /// Registers that are stored.
    outs: SmallVec<[(Reg, Arc<Storage>); 2]>,
    layout: Layout,
    /// Whether they need all of the program.
    whole: bool,
}

/// Has `compute` make the values of those of the region's storages that `is_wanted` chooses, and hands them over. Where another thread runs
/// the region, waits for it; `None` then. Storages that were not chosen stay promised. The graph's lock comes in, and is released while kernels run.
fn run_for<R>(
    mut guard: MutexGuard<'static, ()>,
    region: &Arc<Region>,
    is_wanted: impl Fn(&Arc<Storage>) -> bool,
    compute: impl FnOnce(&Work) -> Result<(SmallVec<[Buffer; 2]>, R)>,
) -> Result<Option<R>> {
    // It may be open again afterwards: where the other thread failed, or kept something back.
    while region.body().state == State::Running {
        WAITING.fetch_add(1, Relaxed);
        guard = RAN.wait(guard).unwrap_or_else(PoisonError::into_inner);
        WAITING.fetch_sub(1, Relaxed);
    }
    let mut work = {
        let body = &mut *region.body();
        if body.state == State::Done {
            return Ok(None);
        }
        body.state = State::Running;
        let alive = body.outs.iter().filter_map(|(r, s)| Some((*r, s.upgrade()?)));
        let outs: SmallVec<[_; 2]> = alive.filter(|(_, s)| is_wanted(s)).collect();
        let whole = body.single && outs.len() == body.program.outs.len();
        let (program, ins) = (std::mem::take(&mut body.program), std::mem::take(&mut body.ins));
        Work { program, ins, outs, layout: body.layout.clone(), whole }
    };
    drop(guard);
    // A panic in a kernel must not leave the region running for ever.
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| compute(&work)));
    let guard = graph();
    let mut body = region.body();
    let result = match outcome {
        Ok(Ok((buffers, result))) => {
            for ((_, storage), buffer) in work.outs.iter().zip(buffers) {
                storage.fulfil(buffer);
                storage.part().get_or_insert_default().promise = None;
                storage.unmark(Storage::PENDING);
            }
            Ok(Ok(Some(result)))
        }
        Ok(Err(e)) => Ok(Err(e)),
        Err(payload) => Err(payload),
    };
    body.outs.retain(|(_, s)| s.upgrade().is_some_and(|s| s.is_marked(Storage::PENDING)));
    if body.outs.is_empty() {
        body.state = State::Done;
    } else {
        body.state = State::Open;
        body.program = std::mem::take(&mut work.program);
        body.ins = std::mem::take(&mut work.ins);
    }
    drop(body);
    if WAITING.load(Relaxed) > 0 {
        RAN.notify_all();
    }
    drop(guard);
    // Only now: dropping an operand may run its owner's code.
    drop(work);
    result.unwrap_or_else(|payload| std::panic::resume_unwind(payload))
}

impl Work {
    /// The values of all outputs. An operand that nobody else holds gives its memory to an output: the pass then runs in place, as
    /// `x += y` asks for, and touches a third less memory.
    fn store(&self) -> Result<(SmallVec<[Buffer; 2]>, ())> {
        if self.outs.is_empty() {
            return Ok((SmallVec::new(), ()));
        }
        let (program, ins) = self.needed(None);
        self.with_outputs(&program, &ins, true, |views, outs| crate::ops::backend().pointwise(&program, views, outs))
    }
    /// The part of the program that computes the outputs, and another register where one is given; and the operands that it loads.
    fn needed(&self, other: Option<Reg>) -> (Cow<'_, Program>, SmallVec<[&Data; 4]>) {
        if self.whole && other.is_none() {
            return (Cow::Borrowed(&self.program), self.ins.iter().collect());
        }
        let (program, kept) = needed(&self.program, self.outs.iter().map(|(r, _)| *r).chain(other));
        (Cow::Owned(program), kept.iter().map(|&i| &self.ins[i as usize]).collect())
    }
    /// Calls `f` with views of the operands and of the outputs' memory, which is new, or where it may be an operand's; answers that memory.
    #[allow(unsafe_code)]
    fn with_outputs<R>(
        &self,
        program: &Program,
        ins: &[&Data],
        in_place: bool,
        f: impl FnOnce(&[View], &mut [ViewMut]) -> Result<R>,
    ) -> Result<(SmallVec<[Buffer; 2]>, R)> {
        let guards = super::Guards::lock(&[], ins.iter().copied())?;
        let dtype = |k: usize| program.dtypes[program.outs[k] as usize];
        // The numbers of operands that give their memory.
        let mut donors = SmallVec::<[Option<usize>; 2]>::new();
        let mut buffers = SmallVec::<[Buffer; 2]>::new();
        for k in 0..self.outs.len() {
            let gives = |i: usize, d: &Data| {
                in_place && d.dtype == dtype(k) && d.layout == self.layout && guards.is_only(i, d) && !donors.contains(&Some(i))
            };
            let donor = (0..ins.len()).find(|&i| gives(i, ins[i]));
            buffers.push(if donor.is_some() { Buffer::none() } else { super::alloc(&self.layout, dtype(k))? });
            donors.push(donor);
        }
        let result = {
            let views = guards.views(ins.iter().copied())?;
            let mut out_views = SmallVec::<[ViewMut; 2]>::new();
            for (k, (new, donor)) in buffers.iter().zip(&donors).enumerate() {
                let buffer = donor.map_or(new, |i| guards.buffer(i));
                // SAFETY: the buffer is new, or of a storage that only this operand knows, whose elements are those of the output: this
                // view and that operand's are the only accesses. The program writes every element before anyone reads one.
                out_views.push(unsafe { ViewMut::new(buffer, &self.layout, dtype(k))? });
            }
            f(&views, &mut out_views)?
        };
        drop(guards);
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

/// [`super::reduce`] of a value that is put off: in the pass that computes it. `None` where that cannot be.
///
/// # Errors
/// If there is no memory.
pub(super) fn reduce(op: ReduceOp, x: &Data, dims: &[usize], layout: &Layout, dtype: DType) -> Result<Option<Data>> {
    let guard = graph();
    let Some(Promise { region, reg }) = x.storage.promise() else { return Ok(None) };
    let is_cheap = {
        let body = region.body();
        let fits = body.state == State::Open && body.layout == x.layout && body.program.dtype(reg) == x.dtype;
        if !fits || !x.layout.is_contiguous() {
            return Ok(None);
        }
        needed(&body.program, std::iter::once(reg)).0.cost() <= CHEAP
    };
    // Held by the caller's tensor and by `x` itself, and by nobody else: perhaps nobody will look at it again.
    let is_passing = Arc::strong_count(&x.storage) <= 2 && is_cheap && x.layout.numel() * x.dtype.size() >= STORED;
    let wanted = |s: &Arc<Storage>| !(is_passing && Arc::ptr_eq(s, &x.storage));
    let result = run_for(guard, &region, wanted, |work| {
        let kept = work.outs.iter().position(|(_, s)| Arc::ptr_eq(s, &x.storage));
        let (program, ins) = work.needed(if kept.is_none() { Some(reg) } else { None });
        let operand = kept.map_or(Operand::Scratch, Operand::Kept);
        // What stays promised will have to be computed from the operands again.
        work.with_outputs(&program, &ins, kept.is_some(), |views, outs| {
            let backend = crate::ops::backend();
            let mut done = false;
            let result = super::fresh(layout.clone(), dtype, |out| {
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

/// Puts off `program` over `ins`, which have the shape of `layout`: answers what its outputs will be. `None` where it must run now: where
/// an operand's memory is open to others, who may change it unseen, or a kernel looks for zeros among the divisors.
///
/// # Errors
/// If an operand that has to be computed first cannot be.
pub(super) fn put_off(program: &Program, ins: &[Data], layout: &Layout) -> Result<Option<SmallVec<[Data; 2]>>> {
    if layout.numel() == 0 || ins.iter().any(|d| d.storage.is_open()) || program.insts.iter().any(|i| fails(program, i)) {
        return Ok(None);
    }
    loop {
        let guard = graph();
        match plan(program, ins, layout) {
            Plan::Join(region) => {
                let outs = append(&region, program, ins, layout);
                drop(guard);
                return Ok(Some(outs));
            }
            Plan::RunFirst(region) => run(guard, &region)?,
            Plan::TooLong => return Ok(None),
        }
    }
}

/// Whether an instruction may fail for what it finds in the data.
fn fails(program: &Program, inst: &Inst) -> bool {
    matches!(inst, Inst::Bin(op, _, b) if op.divides(program.dtype(*b)))
}

/// What is to be done with a new op.
enum Plan {
    /// Append it to this region.
    Join(Arc<Region>),
    /// Run this region, and ask again.
    RunFirst(Arc<Region>),
    /// It does not fit in any region.
    TooLong,
}

/// Finds the region for `program`: its operands' own, merged into one where they have several, or a new one.
fn plan(program: &Program, ins: &[Data], layout: &Layout) -> Plan {
    let mut joined: SmallVec<[Arc<Region>; 3]> = SmallVec::new();
    for d in ins {
        let Some(Promise { region, reg }) = d.storage.promise() else { continue };
        let fits = {
            let body = region.body();
            body.state == State::Open && body.layout == *layout && d.layout == *layout && body.program.dtype(reg) == d.dtype
        };
        if !fits {
            return Plan::RunFirst(region);
        }
        if !joined.iter().any(|r| Arc::ptr_eq(r, &region)) {
            joined.push(region);
        }
    }
    let size = |r: &Arc<Region>| {
        let body = r.body();
        (body.program.insts.len(), body.ins.len())
    };
    let (mut insts, mut loads) = (program.insts.len(), ins.len());
    if insts > MOST_INSTRUCTIONS || loads > MOST_INPUTS {
        return Plan::TooLong;
    }
    // The longest first: it stays where it is, and the others come to it.
    joined.sort_by_key(|r| std::cmp::Reverse(size(r)));
    for r in &joined {
        let (i, l) = size(r);
        (insts, loads) = (insts + i, loads + l);
        if insts > MOST_INSTRUCTIONS || loads > MOST_INPUTS {
            return Plan::RunFirst(r.clone());
        }
    }
    let mut joined = joined.into_iter();
    let Some(first) = joined.next() else { return Plan::Join(Arc::new(Region::new(layout.clone()))) };
    joined.for_each(|other| merge(&first, &other));
    Plan::Join(first)
}

/// The register of `region` that holds `d`'s elements, loaded if it is not yet.
fn load(region: &Arc<Region>, body: &mut Body, d: &Data) -> Reg {
    let known = body.ins.iter().position(|x| Arc::ptr_eq(&x.storage, &d.storage) && x.layout == d.layout && x.dtype == d.dtype);
    if let Some(k) = known {
        let at = body.program.insts.iter().position(|i| *i == Inst::Load(k as u8));
        return at.expect("every operand is loaded") as Reg;
    }
    d.storage.add_reader(region);
    body.ins.push(d.clone());
    body.program.load(body.ins.len() - 1, d.dtype)
}

/// Moves all of `from` into `into`.
fn merge(into: &Arc<Region>, from: &Arc<Region>) {
    let (mut to, mut from) = (into.body(), from.body());
    to.single = false;
    let mut now: SmallVec<[Reg; MOST_INSTRUCTIONS]> = SmallVec::new();
    for (inst, &dtype) in from.program.insts.iter().zip(&from.program.dtypes) {
        let reg = match *inst {
            Inst::Load(k) => load(into, &mut to, &from.ins[k as usize]),
            other => to.program.push(other.renamed(|r| now[r as usize]), dtype),
        };
        now.push(reg);
    }
    for (reg, storage) in std::mem::take(&mut from.outs) {
        let reg = now[reg as usize];
        if let Some(storage) = storage.upgrade() {
            storage.part().get_or_insert_default().promise = Some(Promise { region: into.clone(), reg });
            to.outs.push((reg, Arc::downgrade(&storage)));
        }
    }
    from.state = State::Done;
    from.ins.clear();
}

/// Appends `program` to an open region that its deferred operands belong to.
fn append(region: &Arc<Region>, program: &Program, ins: &[Data], layout: &Layout) -> SmallVec<[Data; 2]> {
    let body = &mut *region.body();
    body.single = body.program.insts.is_empty();
    let mut now: SmallVec<[Reg; 8]> = SmallVec::new();
    for (inst, &dtype) in program.insts.iter().zip(&program.dtypes) {
        let reg = match *inst {
            Inst::Load(k) => {
                let d = &ins[k as usize];
                d.storage.promise().map_or_else(|| load(region, body, d), |p| p.reg)
            }
            other => body.program.push(other.renamed(|r| now[r as usize]), dtype),
        };
        now.push(reg);
    }
    let promised = program.outs.iter().map(|&r| {
        let (reg, dtype) = (now[r as usize], program.dtype(r));
        let part = Part { promise: Some(Promise { region: region.clone(), reg }), readers: Vec::new() };
        let storage = Storage::promised(part, layout.numel() * dtype.size());
        if body.single {
            body.program.out(reg);
        }
        body.outs.push((reg, Arc::downgrade(&storage)));
        Data { storage, layout: layout.clone(), dtype, wrapped: false }
    });
    promised.collect()
}
