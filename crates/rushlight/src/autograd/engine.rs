//! The walk over the graph, from results to leaves.
//!
//! Nodes are run in the order of falling sequence numbers, which is a topological order: when a node's turn comes, every gradient that
//! flows into it has arrived. No recursion, so depth is bounded by memory alone.

use super::hooks::LeafHook;
use super::node::{Edge, Node, OutMeta, describe};
use super::{Ctx, Grads, is_anomaly_enabled, mode, set_grad_enabled};
use crate::{Error, Result, Tensor, ops};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// How [`grad`] works.
#[derive(Clone, Copy, Debug, Default)]
pub struct GradOptions {
    /// Make the gradients differentiable themselves (implies keeping the graph).
    pub create_graph: bool,
    /// Keep what the graph saved, for another backward.
    pub retain_graph: bool,
    /// Give `None` for inputs that the outputs do not depend on, instead of an error.
    pub allow_unused: bool,
}

/// Adds the gradients of `tensors` to the `grad` of every leaf they depend on. `grads[i]` is the gradient of the final result with respect
/// to `tensors[i]`; `None` means one, for one-element tensors. PyTorch's `torch.autograd.backward`.
pub fn backward(tensors: &[&Tensor], grads: &[Option<&Tensor>], retain_graph: bool, create_graph: bool) -> Result<()> {
    let roots = roots(tensors, grads, create_graph)?;
    let mut walk = Walk::new(create_graph, retain_graph || create_graph, None);
    walk.run(roots)?;
    walk.deliver()
}

/// The gradients of `outputs` with respect to `inputs`, leaving every `grad` alone. `grad_outputs[i]` as in [`backward`] (an empty slice
/// means all `None`). PyTorch's `torch.autograd.grad`.
pub fn grad(
    outputs: &[&Tensor],
    inputs: &[&Tensor],
    grad_outputs: &[Option<&Tensor>],
    options: GradOptions,
) -> Result<Vec<Option<Tensor>>> {
    let nones;
    let grad_outputs = if grad_outputs.is_empty() {
        nones = vec![None; outputs.len()];
        &nones
    } else {
        grad_outputs
    };
    let targets = inputs
        .iter()
        .map(|t| match t.edge()? {
            Edge::None => Err(Error::runtime("One of the differentiated Tensors does not require grad")),
            edge => Ok(Target::of(&edge).expect("the edge leads somewhere")),
        })
        .collect::<Result<Vec<_>>>()?;
    let roots = roots(outputs, grad_outputs, options.create_graph)?;
    let mut walk =
        Walk::new(options.create_graph, options.retain_graph || options.create_graph, Some(targets.iter().copied().collect()));
    walk.run(roots)?;
    targets
        .iter()
        .map(|t| match walk.captured.get(t) {
            Some(g) => Ok(Some(g.clone())),
            None if options.allow_unused => Ok(None),
            None => Err(Error::runtime(
                "One of the differentiated Tensors appears to not have been used in the graph. Set allow_unused=True if this is the desired behavior.",
            )),
        })
        .collect()
}

/// As [`backward`], for the gradients of `inputs` alone, which need not be leaves: adds to their `grad`, where the outputs depend on them.
pub fn backward_to(
    tensors: &[&Tensor],
    grads: &[Option<&Tensor>],
    inputs: &[&Tensor],
    retain_graph: bool,
    create_graph: bool,
) -> Result<()> {
    let found = grad(tensors, inputs, grads, GradOptions { create_graph, retain_graph, allow_unused: true })?;
    let _guard = set_grad_enabled(create_graph);
    for (input, g) in inputs.iter().zip(found) {
        if let Some(g) = g {
            deliver(input, g, create_graph)?;
            run_after_hooks(input)?;
        }
    }
    Ok(())
}

static INTERRUPT: OnceLock<fn() -> Result<()>> = OnceLock::new();

/// Has a long backward ask `check` now and then whether to go on; its error ends the walk. For bindings to languages with an interrupt key.
/// The first one given stays.
pub fn set_interrupt_check(check: fn() -> Result<()>) {
    let _ = INTERRUPT.set(check);
}

const ONE: crate::Scalar = crate::Scalar::Int(1);

type Root = (Edge, Tensor);

fn roots(tensors: &[&Tensor], grads: &[Option<&Tensor>], create_graph: bool) -> Result<Vec<Root>> {
    if tensors.len() != grads.len() {
        return Err(Error::runtime(format!("got {} tensors and {} gradients", tensors.len(), grads.len())));
    }
    let _guard = set_grad_enabled(create_graph);
    let mut roots = Vec::with_capacity(tensors.len());
    for (i, (t, g)) in tensors.iter().zip(grads).enumerate() {
        let edge = t.edge()?;
        if matches!(edge, Edge::None) {
            return Err(Error::runtime(format!("element {i} of tensors does not require grad and does not have a grad_fn")));
        }
        let g = match g {
            Some(g) if g.shape() != t.shape() => {
                return Err(Error::runtime(format!(
                    "Mismatch in shape: grad_output[{i}] has a shape of {:?} and output[{i}] has a shape of {:?}.",
                    g.shape().as_slice(),
                    t.shape().as_slice()
                )));
            }
            Some(g) => (*g).clone(),
            None if t.numel() == 1 => ops::filled(&t.shape(), ONE, t.dtype())?,
            None => {
                return Err(Error::runtime(format!(
                    "grad can be implicitly created only for scalar outputs; this output has shape {:?}",
                    t.shape().as_slice()
                )));
            }
        };
        roots.push((edge, g));
    }
    Ok(roots)
}

/// A place where a gradient arrives, as a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Target {
    Leaf(*const crate::tensor::Inner),
    Node(*const Node, usize),
}

impl Target {
    fn of(edge: &Edge) -> Option<Target> {
        match edge {
            Edge::None => None,
            Edge::Leaf(t) => Some(Target::Leaf(Arc::as_ptr(&t.0))),
            Edge::Node(n, nr) => Some(Target::Node(Arc::as_ptr(n), *nr)),
        }
    }
}

/// A node whose turn will come, with the gradients that have arrived at its outputs.
struct Pending {
    node: Arc<Node>,
    grads: Grads,
}

/// The nodes whose turn will come.
#[derive(Default)]
struct Waiting {
    /// The next one: in a chain, the only one.
    first: Option<Pending>,
    /// The others by sequence number, which are smaller.
    others: BTreeMap<u64, Pending>,
}

impl Waiting {
    fn pop(&mut self) -> Option<Pending> {
        let next = self.others.pop_last().map(|(_, p)| p);
        std::mem::replace(&mut self.first, next)
    }
    /// The place of a node, which from now on waits.
    fn entry(&mut self, node: &Arc<Node>) -> &mut Pending {
        let new = || Pending { node: node.clone(), grads: std::iter::repeat_n(None, node.outs.len()).collect() };
        match self.first.as_ref().map(|p| p.node.seq) {
            Some(first) if first > node.seq => self.others.entry(node.seq).or_insert_with(new),
            Some(first) if first == node.seq => self.first.as_mut().expect("there is a first one"),
            _ => {
                if let Some(p) = self.first.take() {
                    self.others.insert(p.node.seq, p);
                }
                self.first.insert(new())
            }
        }
    }
}

/// Leaves in order of first arrival, with their gradient so far.
#[derive(Default)]
struct Leaves {
    found: Vec<(Tensor, Tensor)>,
    /// Where each stands, once there are more than a few.
    places: Option<HashMap<*const crate::tensor::Inner, usize>>,
}

impl Leaves {
    /// So many are searched one by one.
    const FEW: usize = 8;

    fn get(&mut self, leaf: &Tensor) -> Option<&mut Tensor> {
        let at = match &self.places {
            Some(places) => *places.get(&Arc::as_ptr(&leaf.0))?,
            None => self.found.iter().position(|(t, _)| t.is_same(leaf))?,
        };
        Some(&mut self.found[at].1)
    }
    fn push(&mut self, leaf: &Tensor, g: Tensor) {
        self.found.push((leaf.clone(), g));
        if let Some(places) = &mut self.places {
            places.insert(Arc::as_ptr(&leaf.0), self.found.len() - 1);
        } else if self.found.len() > Leaves::FEW {
            self.places = Some(self.found.iter().enumerate().map(|(i, (t, _))| (Arc::as_ptr(&t.0), i)).collect());
        }
    }
}

struct Walk {
    create_graph: bool,
    retain_graph: bool,
    pending: Waiting,
    leaves: Leaves,
    /// What `grad` wants; `None` for `backward`, which feeds every leaf.
    targets: Option<HashSet<Target>>,
    /// For `grad`: the nodes on the way to a target.
    on_path: HashSet<*const Node>,
    captured: HashMap<Target, Tensor>,
}

impl Walk {
    fn new(create_graph: bool, retain_graph: bool, targets: Option<HashSet<Target>>) -> Walk {
        Walk {
            create_graph,
            retain_graph,
            pending: Waiting::default(),
            leaves: Leaves::default(),
            targets,
            on_path: HashSet::new(),
            captured: HashMap::new(),
        }
    }

    fn run(&mut self, roots: Vec<Root>) -> Result<()> {
        let _guard = set_grad_enabled(self.create_graph);
        if self.targets.is_some() {
            self.find_paths(&roots);
        }
        for (edge, g) in roots {
            self.arrive(&edge, g)?;
        }
        let mut nodes = 0u32;
        while let Some(Pending { node, mut grads }) = self.pending.pop() {
            self.run_tensor_hooks(&node, &mut grads)?;
            self.capture(&node, &grads);
            if self.targets.is_some() && !self.on_path.contains(&Arc::as_ptr(&node)) {
                continue;
            }
            nodes += 1;
            if let Some(check) = INTERRUPT.get()
                && (nodes.is_multiple_of(32) || grads.iter().flatten().any(|g| g.numel() > 1 << 16))
            {
                check()?;
            }
            let results = self.run_node(&node, &grads)?;
            drop(grads);
            for (edge, g) in node.edges.iter().zip(results) {
                if let Some(g) = g {
                    self.arrive(edge, g)?;
                }
            }
        }
        self.finish_leaf_targets()
    }

    /// Marks the nodes from which a target can be reached. Smaller numbers first, so that a node's successors are known before it.
    fn find_paths(&mut self, roots: &[Root]) {
        let targets = self.targets.as_ref().expect("called for grad only");
        let mut seen: BTreeMap<u64, &Node> = BTreeMap::new();
        let mut stack: Vec<&Node> =
            roots.iter().filter_map(|(e, _)| if let Edge::Node(n, _) = e { Some(&**n) } else { None }).collect();
        while let Some(n) = stack.pop() {
            if seen.insert(n.seq, n).is_none() {
                stack.extend(n.edges.iter().filter_map(|e| if let Edge::Node(n, _) = e { Some(&**n) } else { None }));
            }
        }
        for n in seen.values() {
            let leads = |e: &Edge| {
                Target::of(e).is_some_and(|t| targets.contains(&t))
                    || matches!(e, Edge::Node(n, _) if self.on_path.contains(&Arc::as_ptr(n)))
            };
            if n.edges.iter().any(leads) {
                self.on_path.insert(*n);
            }
        }
    }

    /// Whether a gradient for this edge is wanted.
    fn wants(&self, edge: &Edge) -> bool {
        match (&self.targets, edge) {
            (_, Edge::None) => false,
            (None, _) => true,
            (Some(targets), edge) => {
                Target::of(edge).is_some_and(|t| targets.contains(&t))
                    || matches!(edge, Edge::Node(n, _) if self.on_path.contains(&Arc::as_ptr(n)))
            }
        }
    }

    /// A gradient has reached an edge: bring it to the value's shape and dtype, and add it to what is there.
    fn arrive(&mut self, edge: &Edge, g: Tensor) -> Result<()> {
        if !self.wants(edge) {
            return Ok(());
        }
        match edge {
            Edge::None => Ok(()),
            Edge::Leaf(leaf) => {
                let g = conform(g, &OutMeta::of(leaf))?;
                match self.leaves.get(leaf) {
                    Some(sum) => *sum = accumulate(sum, g, self.create_graph)?,
                    None => self.leaves.push(leaf, g),
                }
                Ok(())
            }
            Edge::Node(node, nr) => {
                let g = conform(g, &node.outs[*nr])?;
                let create_graph = self.create_graph;
                let pending = self.pending.entry(node);
                let slot = &mut pending.grads[*nr];
                *slot = Some(match slot.take() {
                    Some(sum) => accumulate(&sum, g, create_graph)?,
                    None => g,
                });
                Ok(())
            }
        }
    }

    fn run_node(&self, node: &Arc<Node>, grads: &[Option<Tensor>]) -> Result<Grads> {
        let f = {
            let mut slot = node.f.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if self.retain_graph { slot.clone() } else { slot.take() }
        };
        let Some(f) = f else {
            return Err(Error::runtime(format!(
                "Trying to backward through the graph a second time (or directly access saved tensors after they have already been freed). Saved intermediate values of \
                 the graph are freed when you call .backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the graph a second time. \
                 The first freed node is {}",
                describe(&node.site)
            )));
        };
        let mut changed: Grads;
        let mut grads = grads;
        let prehooks = node.extras_if_any().map(|e| e.prehooks.clone()).unwrap_or_default();
        for (_, hook) in prehooks {
            if let Some(new) = hook(grads)? {
                if new.len() != grads.len() {
                    return Err(Error::runtime(format!(
                        "prehook on {} returned {} gradients instead of {}",
                        node.name(),
                        new.len(),
                        grads.len()
                    )));
                }
                changed = new.into_iter().collect();
                grads = &changed;
            }
        }
        let ctx = Ctx { node, needs: node.edges.iter().map(|e| self.wants(e)).collect(), create_graph: self.create_graph };
        let mut results = f(&ctx, grads).map_err(|e| if is_anomaly_enabled() { e.context(anomaly(node)) } else { e })?;
        debug_assert!(
            results.len() <= node.edges.len(),
            "{}: {} gradients for {} inputs",
            node.op,
            results.len(),
            node.edges.len()
        );
        let hooks = node.extras_if_any().map(|e| e.hooks.clone()).unwrap_or_default();
        for (_, hook) in hooks {
            if let Some(new) = hook(&results, grads)? {
                if new.len() != results.len() {
                    return Err(Error::runtime(format!(
                        "hook on {} returned {} gradients instead of {}",
                        node.name(),
                        new.len(),
                        results.len()
                    )));
                }
                results = new.into_iter().collect();
            }
        }
        if is_anomaly_enabled() {
            for (i, g) in results.iter().enumerate() {
                if let Some(g) = g
                    && has_nan(g)?
                {
                    return Err(Error::runtime(format!(
                        "Function '{}' returned nan values in its {i}th output. {}",
                        node.name(),
                        anomaly(node)
                    )));
                }
            }
        }
        Ok(results)
    }

    /// Hooks on intermediates, then their retained gradients.
    fn run_tensor_hooks(&self, node: &Arc<Node>, grads: &mut Grads) -> Result<()> {
        let (hooks, retain) = {
            let Some(extras) = node.extras_if_any() else { return Ok(()) };
            (extras.tensor_hooks.clone(), extras.retain.clone())
        };
        for (_, nr, hook) in hooks {
            if let Some(g) = &grads[nr]
                && let Some(new) = hook(g)?
            {
                grads[nr] = Some(replaced(new, &node.outs[nr])?);
            }
        }
        if self.targets.is_none() {
            for (nr, t) in retain {
                if let (Some(t), Some(g)) = (t.upgrade().map(Tensor), &grads[nr]) {
                    deliver(&t, g.clone(), self.create_graph)?;
                }
            }
        }
        Ok(())
    }

    fn capture(&mut self, node: &Arc<Node>, grads: &Grads) {
        let Some(targets) = &self.targets else { return };
        for (nr, g) in grads.iter().enumerate() {
            let target = Target::Node(Arc::as_ptr(node), nr);
            if let Some(g) = g
                && targets.contains(&target)
            {
                self.captured.insert(target, g.clone());
            }
        }
    }

    fn finish_leaf_targets(&mut self) -> Result<()> {
        if self.targets.is_some() {
            for (leaf, g) in std::mem::take(&mut self.leaves.found) {
                let g = run_leaf_hooks(&leaf, g)?;
                self.captured.insert(Target::Leaf(Arc::as_ptr(&leaf.0)), g);
            }
        }
        Ok(())
    }

    /// Adds the gathered gradients to the leaves' `grad`.
    fn deliver(self) -> Result<()> {
        let _guard = set_grad_enabled(self.create_graph);
        for (leaf, g) in self.leaves.found {
            let g = run_leaf_hooks(&leaf, g)?;
            deliver(&leaf, g, self.create_graph)?;
            run_after_hooks(&leaf)?;
        }
        Ok(())
    }
}

/// Tells those who wait for it that the leaf's `grad` is there.
fn run_after_hooks(leaf: &Tensor) -> Result<()> {
    if !leaf.traits().has_hooks() {
        return Ok(());
    }
    let hooks = leaf.auto().hooks.clone();
    hooks.iter().try_for_each(|(_, hook)| if let LeafHook::After(hook) = hook { hook(leaf) } else { Ok(()) })
}

fn has_nan(g: &Tensor) -> Result<bool> {
    // NaN survives a sum, and an infinity of each sign makes one: only then look closer.
    Ok(g.dtype().is_float()
        && ops::sum(&g.detach(), None)?.try_item::<f64>()?.is_nan()
        && g.to_f64_vec().iter().any(|v| v.is_nan()))
}

fn anomaly(node: &Node) -> String {
    format!("the forward op was {}", describe(&node.site))
}

fn run_leaf_hooks(leaf: &Tensor, mut g: Tensor) -> Result<Tensor> {
    if !leaf.traits().has_hooks() {
        return Ok(g);
    }
    let hooks = leaf.auto().hooks.clone();
    for (_, hook) in hooks {
        if let LeafHook::Gradient(hook) = hook
            && let Some(new) = hook(&g)?
        {
            g = replaced(new, &OutMeta::of(leaf))?;
        }
    }
    Ok(g)
}

fn replaced(new: Tensor, meta: &OutMeta) -> Result<Tensor> {
    if new.shape() != meta.shape {
        return Err(Error::runtime(format!(
            "a hook returned a gradient of shape {:?} for a tensor of shape {:?}",
            new.shape().as_slice(),
            meta.shape.as_slice()
        )));
    }
    conform(new, meta)
}

/// Several threads may feed one leaf: adding to its `grad` is reading and then writing. Leaves share a few locks, by address.
static DELIVERIES: [Mutex<()>; 16] = [const { Mutex::new(()) }; 16];

fn deliver(t: &Tensor, g: Tensor, create_graph: bool) -> Result<()> {
    let lock = &DELIVERIES[(Arc::as_ptr(&t.0) as usize >> 6) % DELIVERIES.len()];
    let _guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
    let before = t.auto().grad.clone();
    match before {
        None => {
            // Put off no longer: what it waits for keeps values of the forward pass in memory.
            g.realise()?;
            // A gradient that others may see, or that is spread out in memory, is copied: `grad` is the leaf's own.
            let own = create_graph || (is_sole_owner(&g) && g.data_ref().layout.is_new());
            let g = if own { g } else { ops::copy_contiguous(&g)? };
            t.auto_mut().grad = Some(g);
        }
        Some(old) if create_graph => {
            let sum = ops::add(&old, &g, ONE)?;
            t.auto_mut().grad = Some(sum);
        }
        Some(old) => ops::add_(&old, &g, ONE)?,
    }
    Ok(())
}

/// The edge rule.
fn conform(g: Tensor, meta: &OutMeta) -> Result<Tensor> {
    let (same_shape, same_dtype) = {
        let data = g.data_ref();
        (data.layout.shape == meta.shape, data.dtype == meta.dtype)
    };
    let g = if same_shape { g } else { ops::sum_to(&g, &meta.shape)? };
    if same_dtype { Ok(g) } else { ops::to_dtype(&g, meta.dtype) }
}

fn is_sole_owner(t: &Tensor) -> bool {
    Arc::strong_count(&t.0) == 1 && Arc::strong_count(&t.data_ref().storage) == 1
}

/// `sum + g`, into sum's own memory where nobody else can see it.
fn accumulate(sum: &Tensor, g: Tensor, create_graph: bool) -> Result<Tensor> {
    if !create_graph && !mode::is_grad_enabled() && is_sole_owner(sum) && !sum.data_ref().layout.may_overlap() {
        ops::add_(sum, &g, ONE)?;
        return Ok(sum.clone());
    }
    ops::add(sum, &g, ONE)
}
