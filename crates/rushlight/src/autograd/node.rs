//! The graph: nodes, edges, and how both are dropped without recursion.

use super::hooks::{NodeHook, NodePrehook, TensorHook};
use super::{Ctx, Grads};
use crate::storage::Site;
use crate::{DType, Dims, Result, Tensor};
use rushlight_kernels::layout::copied;
use smallvec::SmallVec;
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

/// A derivative: from the gradients of a node's outputs to those of its inputs. Made only of ops.
pub type BackwardFn = Arc<dyn Fn(&Ctx, &[Option<Tensor>]) -> Result<Grads> + Send + Sync>;

/// Where the gradient of an input goes.
#[derive(Clone)]
pub(crate) enum Edge {
    /// Nowhere: the input requires none.
    None,
    /// To the `grad` of a leaf.
    Leaf(Tensor),
    /// To output `.1` of a node.
    Node(Arc<Node>, usize),
}

/// Where a gradient goes, as [`Node::next_edges`] tells it.
pub enum Next {
    /// Nowhere: the input requires none.
    Nothing,
    /// To the `grad` of a leaf.
    Leaf(Tensor),
    /// To an output, by number, of another node.
    Node(Arc<Node>, usize),
}

/// Shape and dtype of a value: what its gradient is brought to.
#[derive(Clone)]
pub(crate) struct OutMeta {
    pub(crate) shape: Dims,
    pub(crate) dtype: DType,
}

impl OutMeta {
    pub(crate) fn of(t: &Tensor) -> OutMeta {
        let d = t.data_ref();
        OutMeta { shape: copied(&d.layout.shape), dtype: d.dtype }
    }
}

/// One recorded op.
pub struct Node {
    pub(crate) op: &'static str,
    pub(crate) seq: u64,
    pub(crate) edges: SmallVec<[Edge; 2]>,
    pub(crate) outs: SmallVec<[OutMeta; 1]>,
    /// Taken when a backward that does not retain the graph has used it.
    pub(crate) f: Mutex<Option<BackwardFn>>,
    pub(crate) site: Site,
    extras: OnceLock<Box<Mutex<Extras>>>,
}

/// The rare parts of a node.
#[derive(Default)]
pub(crate) struct Extras {
    pub(crate) tensor_hooks: Vec<(u64, usize, TensorHook)>,
    pub(crate) hooks: Vec<(u64, NodeHook)>,
    pub(crate) prehooks: Vec<(u64, NodePrehook)>,
    /// Intermediates that asked for their `grad`, by output number.
    pub(crate) retain: Vec<(usize, Weak<crate::tensor::Inner>)>,
}

static NEXT: AtomicU64 = AtomicU64::new(0);

impl Node {
    pub(crate) fn new(op: &'static str, edges: SmallVec<[Edge; 2]>, outs: SmallVec<[OutMeta; 1]>, f: BackwardFn) -> Arc<Node> {
        Arc::new(Node {
            op,
            seq: NEXT.fetch_add(1, Relaxed),
            edges,
            outs,
            f: Mutex::new(Some(f)),
            site: (op, crate::op::current_site()),
            extras: OnceLock::new(),
        })
    }
    /// PyTorch's name of the node: `MulBackward0` for the op `mul`.
    pub fn name(&self) -> String {
        // A custom function comes with its whole name.
        if self.op.ends_with("Backward") {
            return self.op.to_string();
        }
        let mut name = String::new();
        for part in self.op.split('_').filter(|p| !p.is_empty()) {
            let mut chars = part.chars();
            name.extend(chars.next().into_iter().flat_map(char::to_uppercase));
            name.push_str(chars.as_str());
        }
        name + "Backward0"
    }
    /// The op that made it.
    pub fn op(&self) -> &'static str {
        self.op
    }
    /// Its number: later ops have larger ones.
    pub fn sequence_number(&self) -> u64 {
        self.seq
    }
    /// The line that called the op.
    pub fn location(&self) -> Option<crate::op::Place> {
        self.site.1
    }
    /// The nodes its gradients go to (leaves and constants are left out).
    pub fn next_functions(&self) -> Vec<Arc<Node>> {
        self.edges.iter().filter_map(|e| if let Edge::Node(n, _) = e { Some(n.clone()) } else { None }).collect()
    }
    /// Where the gradients of its inputs go, input by input.
    pub fn next_edges(&self) -> Vec<Next> {
        self.edges
            .iter()
            .map(|e| match e {
                Edge::None => Next::Nothing,
                Edge::Leaf(t) => Next::Leaf(t.clone()),
                Edge::Node(n, nr) => Next::Node(n.clone(), *nr),
            })
            .collect()
    }
    pub(crate) fn extras(&self) -> MutexGuard<'_, Extras> {
        self.extras.get_or_init(Box::default).lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// [`Node::extras`], if there ever were any.
    pub(crate) fn extras_if_any(&self) -> Option<MutexGuard<'_, Extras>> {
        self.extras.get().map(|e| e.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// "op (called at file:line:column)", or as much of it as is known.
pub(crate) fn describe(site: &Site) -> String {
    match site.1 {
        Some(l) => format!("{} at {l}", site.0),
        None => site.0.to_string(),
    }
}

// ---- dropping -------------------------------------------------------------------------------------------------------------------
//
// A node owns its inputs' nodes, and a saved tensor owns its node: dropped naively, a chain of a million ops recurses a million
// frames. Every such chain passes through an edge of a node or through a tensor, so these two put what they own on this thread's queue
// when they are dropped, and only the outermost drop empties it.

/// A thing whose drop may reach other nodes.
#[allow(dead_code, reason = "held for their Drop")]
pub(crate) enum Part {
    Node(Arc<Node>),
    Tensor(Tensor),
}

thread_local! {
    static QUEUE: Queue = const { Queue { parts: RefCell::new(Vec::new()), draining: Cell::new(false) } };
}

struct Queue {
    parts: RefCell<Vec<Part>>,
    draining: Cell<bool>,
}

/// Drops `part` without recursion.
pub(crate) fn bury(part: Part) {
    let mut part = Some(part);
    // While a thread is torn down its queue may be gone; then a plain drop is all that is left.
    let _ = QUEUE.try_with(|q| {
        if q.draining.replace(true) {
            q.parts.borrow_mut().extend(part.take());
            return;
        }
        while let Some(next) = part.take() {
            drop(next);
            part = q.parts.borrow_mut().pop();
        }
        q.draining.set(false);
    });
}

/// [`bury`], if there is one.
pub(crate) fn bury_node(node: Option<Arc<Node>>) {
    if let Some(node) = node {
        bury(Part::Node(node));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for edge in &mut self.edges {
            if let Edge::Node(node, _) = std::mem::replace(edge, Edge::None) {
                bury(Part::Node(node));
            }
        }
    }
}
