//! Deferred pointwise ops: what a storage will hold, once somebody looks.
//!
//! A large pointwise op does not run at its call. It is appended to a *region*: a program over operands of one layout, which grows while ops
//! read each other's results. The first look at any result (through [`super::read`], [`super::write`] or an address) runs the whole region
//! as one pass over memory: a value that nobody holds any more is never written, and one that is held (by the user, or by a derivative that
//! saved it) is written beside the others, so that nothing is ever computed twice. Each instruction rounds as it does alone: results have the
//! same bits as op by op.
//!
//! A large product of matrices with short rows waits, too: as an operand of its region that is yet to be made, block by block, with the region's program
//! run over each block that is finished. A region begins with one product at most.
//!
//! Invariants:
//! - All checks of shapes, dtypes and aliasing are over before an op comes here; only running out of memory can fail later.
//! - Operands that a region loads are not deferred themselves (those of its own layout are registers, others are run first), so that running
//!   a region never leads to another, however long the chain.
//! - [`GRAPH`] is held whenever a region or a promise changes, and never while a kernel runs or a storage's own lock is waited for by
//!   somebody who holds it. While a region runs, its body belongs to the thread that runs it, and nobody else asks for it.

mod run;

use super::{Data, Product, Storage};
use crate::Result;
pub(super) use run::reduce;
use run::run;
use rushlight_kernels::{Buffer, Inst, Layout, Program, Reg};
use smallvec::SmallVec;
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};
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

/// The graph's lock, held.
pub(super) struct Graph(MutexGuard<'static, ()>);

fn graph() -> Graph {
    Graph(GRAPH.lock().unwrap_or_else(PoisonError::into_inner))
}

/// What belongs to whoever holds the graph's lock.
#[derive(Default)]
pub(super) struct InGraph<T>(UnsafeCell<T>);

// SAFETY: there is one [`Graph`] at a time, and `get` takes it.
#[allow(unsafe_code)]
unsafe impl<T: Send> Sync for InGraph<T> {}

impl<T> InGraph<T> {
    pub(super) fn new(value: T) -> InGraph<T> {
        InGraph(UnsafeCell::new(value))
    }
    #[allow(unsafe_code)]
    fn get<'a>(&'a self, _: &'a mut Graph) -> &'a mut T {
        // SAFETY: the only graph lock there is stays borrowed as long as the answer.
        unsafe { &mut *self.0.get() }
    }
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
    /// A [`State`], changed under [`GRAPH`].
    state: AtomicU8,
    /// Of who holds [`GRAPH`] while the region is open, of the thread that computes it while it is running: never waited for.
    body: Mutex<Body>,
}

struct Body {
    /// Of every register: new memory in some order of the dimensions.
    layout: Layout,
    /// The code and its operands.
    program: Program,
    ins: SmallVec<[Data; 2]>,
    /// The storages that registers were promised to. Who has lost interest is gone.
    outs: SmallVec<[(Reg, Weak<Storage>); 2]>,
    /// The product that one of the operands is yet to hold. In a box, as most regions have none, and moving a region costs.
    product: Option<Box<Unmade>>,
    /// Whether the program is a single op's, with that op's outputs, to which every instruction leads.
    single: bool,
}

/// A product that will be computed on the way: block by block, each followed by the program.
struct Unmade {
    product: Product,
    /// The number of the operand that stands for it: without memory, and known to nobody else.
    operand: usize,
}

#[derive(Clone, Copy, PartialEq)]
#[repr(u8)]
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
    /// Whether a reduction has computed the values without storing them.
    passed: bool,
}

/// A storage's part in the graph.
#[derive(Default)]
pub(super) struct Part {
    /// Where the storage is marked as pending.
    promise: Option<Promise>,
    /// Regions that load it.
    readers: SmallVec<[Weak<Region>; 1]>,
}

impl Region {
    fn new(layout: Layout) -> Arc<Region> {
        let (program, ins, outs) = (Program::new(), SmallVec::new(), SmallVec::new());
        let body = Mutex::new(Body { layout, program, ins, outs, product: None, single: true });
        Arc::new(Region { state: AtomicU8::new(State::Open as u8), body })
    }
    fn is(&self, state: State) -> bool {
        self.state.load(Relaxed) == state as u8
    }
    fn set(&self, state: State) {
        self.state.store(state as u8, Relaxed);
    }
    fn body(&self) -> MutexGuard<'_, Body> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage {
    fn promise<'a>(&'a self, graph: &'a mut Graph) -> Option<&'a Promise> {
        if self.is_marked(Storage::PENDING) { self.part.get(graph).promise.as_ref() } else { None }
    }
    /// Computes its values, if they have been put off.
    ///
    /// # Errors
    /// If there is no memory for the region's results. They stay promised.
    #[cold]
    pub(super) fn realise(&self) -> Result<()> {
        let mut graph = graph();
        match self.promise(&mut graph).cloned() {
            Some(promise) => run(graph, &promise.region),
            None => Ok(()),
        }
    }
    /// Computes all that has yet to read its present values.
    #[cold]
    pub(super) fn serve_readers(&self) -> Result<()> {
        loop {
            let mut graph = graph();
            match self.part.get(&mut graph).readers.pop() {
                Some(reader) => {
                    if let Some(region) = reader.upgrade() {
                        run(graph, &region)?;
                    }
                }
                None => return Ok(()),
            }
        }
    }
    /// Notes that `region` will load it.
    fn add_reader(&self, graph: &mut Graph, region: &Arc<Region>) {
        let readers = &mut self.part.get(graph).readers;
        if readers.len() >= 8 {
            readers.retain(|r| r.strong_count() > 0);
        }
        readers.push(Arc::downgrade(region));
        // Who takes the mark away takes the readers after that, under the graph's lock.
        if !self.is_marked(Storage::READ) {
            self.mark(Storage::READ);
        }
    }
}

/// Puts off `program` over `ins`, which have the shape of `layout`: adds what its outputs will be to `promised`. `false` where it must run now: where
/// an operand's memory is open to others, who may change it unseen, or a kernel looks for zeros among the divisors.
///
/// # Errors
/// If an operand that has to be computed first cannot be.
pub(super) fn put_off(program: &Program, ins: &[Data], layout: &Layout, promised: &mut SmallVec<[Data; 2]>) -> Result<bool> {
    if layout.numel() == 0 || ins.iter().any(|d| d.storage.is_open()) || program.insts.iter().any(|i| fails(program, i)) {
        return Ok(false);
    }
    loop {
        let mut graph = graph();
        match plan(&mut graph, program, ins, layout) {
            Plan::Join(region) => {
                append(&mut graph, &region, program, ins, promised);
                return Ok(true);
            }
            Plan::RunFirst(region) => run(graph, &region)?,
            Plan::TooLong => return Ok(false),
        }
    }
}

/// Most terms of a product that is put off: next to more, a pass over the results costs nothing.
const SHALLOW: usize = 512;
/// Most columns: with more, blocks of whole rows that fit in a cache are too few rows to be computed one by one.
const NARROW: usize = 512;
/// A product is put off where its results are so many times as large as a pointwise op's.
const LARGER: usize = 4;

/// Whether a product of so many rows (of all its matrices), terms and columns may be put off.
#[inline]
pub(crate) fn is_product_wanted(rows: usize, terms: usize, columns: usize) -> bool {
    terms <= SHALLOW && columns <= NARROW && is_wanted(rows * columns / LARGER)
}

/// Puts off a product: answers what it will be, under `layout`. `None` where it must run now, as an operand's memory is open to others.
///
/// # Errors
/// If an operand that has to be computed first cannot be.
pub(super) fn put_off_product(product: &Product, layout: &Layout) -> Result<Option<Data>> {
    if product.ins.iter().any(|d| d.storage.is_open()) {
        return Ok(None);
    }
    for d in &product.ins {
        d.storage.settle(false)?;
    }
    let dtype = product.ins[0].dtype;
    let mut graph = graph();
    let region = Region::new(layout.clone());
    for d in &product.ins {
        d.storage.add_reader(&mut graph, &region);
    }
    let body = &mut *region.body();
    body.ins.push(Data::new(Buffer::none(), layout.clone(), dtype));
    body.product = Some(Box::new(Unmade { product: product.clone(), operand: 0 }));
    let reg = body.program.load(0, dtype);
    Ok(Some(promise(&region, body, reg)))
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
fn plan(graph: &mut Graph, program: &Program, ins: &[Data], layout: &Layout) -> Plan {
    let mut joined: SmallVec<[Arc<Region>; 3]> = SmallVec::new();
    for d in ins {
        let Some(Promise { region, reg, .. }) = d.storage.promise(graph) else { continue };
        let fits = region.is(State::Open) && {
            let body = region.body();
            body.layout == *layout && d.layout == *layout && body.program.dtype(*reg) == d.dtype
        };
        if !fits {
            return Plan::RunFirst(region.clone());
        }
        if !joined.iter().any(|r| Arc::ptr_eq(r, region)) {
            joined.push(region.clone());
        }
    }
    // A pass begins with one product at most.
    let mut products = joined.iter().filter(|r| r.body().product.is_some());
    if let (Some(first), Some(_)) = (products.next(), products.next()) {
        return Plan::RunFirst(first.clone());
    }
    drop(products);
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
    let Some(first) = joined.next() else { return Plan::Join(Region::new(layout.clone())) };
    joined.for_each(|other| merge(graph, &first, &other));
    Plan::Join(first)
}

/// The register of `region` that holds `d`'s elements, loaded if it is not yet.
fn load(graph: &mut Graph, region: &Arc<Region>, body: &mut Body, d: &Data) -> Reg {
    let known = body.ins.iter().position(|x| Arc::ptr_eq(&x.storage, &d.storage) && x.layout == d.layout && x.dtype == d.dtype);
    if let Some(k) = known {
        let at = body.program.insts.iter().position(|i| *i == Inst::Load(k as u8));
        return at.expect("every operand is loaded") as Reg;
    }
    d.storage.add_reader(graph, region);
    body.ins.push(d.clone());
    body.program.load(body.ins.len() - 1, d.dtype)
}

/// Moves all of `from` into `into`.
fn merge(graph: &mut Graph, into: &Arc<Region>, other: &Arc<Region>) {
    let (mut to, mut from) = (into.body(), other.body());
    to.single = false;
    let product = from.product.take();
    let mut now: SmallVec<[Reg; MOST_INSTRUCTIONS]> = SmallVec::new();
    for (inst, &dtype) in from.program.insts.iter().zip(&from.program.dtypes) {
        let reg = match *inst {
            Inst::Load(k) => load(graph, into, &mut to, &from.ins[k as usize]),
            other => to.program.push(other.renamed(|r| now[r as usize]), dtype),
        };
        now.push(reg);
    }
    if let Some(mut unmade) = product {
        for d in &unmade.product.ins {
            d.storage.add_reader(graph, into);
        }
        let stands_for_it = |d: &Data| Arc::ptr_eq(&d.storage, &from.ins[unmade.operand].storage);
        unmade.operand = to.ins.iter().position(stands_for_it).expect("all operands have moved");
        to.product = Some(unmade);
    }
    for (reg, storage) in std::mem::take(&mut from.outs) {
        let reg = now[reg as usize];
        if let Some(storage) = storage.upgrade() {
            storage.part.get(graph).promise = Some(Promise { region: into.clone(), reg, passed: false });
            to.outs.push((reg, Arc::downgrade(&storage)));
        }
    }
    other.set(State::Done);
    from.ins.clear();
}

/// Appends `program` to an open region that its deferred operands belong to.
fn append(graph: &mut Graph, region: &Arc<Region>, program: &Program, ins: &[Data], promised: &mut SmallVec<[Data; 2]>) {
    let body = &mut *region.body();
    body.single = body.program.insts.is_empty();
    let mut now: SmallVec<[Reg; 8]> = SmallVec::new();
    for (inst, &dtype) in program.insts.iter().zip(&program.dtypes) {
        let reg = match *inst {
            Inst::Load(k) => {
                let d = &ins[k as usize];
                match d.storage.promise(graph) {
                    Some(promise) => promise.reg,
                    None => load(graph, region, body, d),
                }
            }
            other => body.program.push(other.renamed(|r| now[r as usize]), dtype),
        };
        now.push(reg);
    }
    for &r in &program.outs {
        promised.push(promise(region, body, now[r as usize]));
    }
}

/// Promises register `reg` to a new storage.
fn promise(region: &Arc<Region>, body: &mut Body, reg: Reg) -> Data {
    let dtype = body.program.dtype(reg);
    let part = Part { promise: Some(Promise { region: region.clone(), reg, passed: false }), readers: SmallVec::new() };
    let storage = Storage::promised(part, body.layout.numel() * dtype.size());
    if body.single {
        body.program.out(reg);
    }
    body.outs.push((reg, Arc::downgrade(&storage)));
    Data { storage, layout: body.layout.clone(), dtype, wrapped: false }
}
