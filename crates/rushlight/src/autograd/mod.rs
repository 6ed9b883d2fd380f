//! Automatic differentiation.
//!
//! Lives here: the graph ([`node`]), what its closures save ([`saved`]), the walk over it ([`engine`]), views and in-place ops
//! ([`view`], [`inplace`]), grad mode ([`mode`]), hooks, custom functions, and the tools built on them.
//! Must not live here: the derivative of any op (it stands beside its forward, in `ops/`).
//!
//! Invariants:
//! - A derivative is a closure made of ops only, so that it can be differentiated again.
//! - An edge points from a node to one with a smaller sequence number: the order of numbers is a topological order.
//! - The engine brings every gradient to the shape and dtype of the value it belongs to ("edge rule"), so no formula mentions
//!   broadcasting or promotion.
//! - Nodes never point up to their results: a saved output keeps detached data and gets its history back when it is used.

mod anomaly;
mod checkpoint;
mod dot;
pub mod engine;
mod function;
pub mod functional;
pub mod gradcheck;
pub mod hooks;
pub(crate) mod inplace;
pub mod mode;
pub mod node;
pub mod saved;
pub(crate) mod view;

pub use anomaly::{AnomalyGuard, detect_anomaly, is_anomaly_enabled, switch_anomaly};
pub use checkpoint::checkpoint;
pub use dot::to_dot;
pub use engine::{GradOptions, backward, backward_to, grad, set_interrupt_check};
pub use function::{Custom, Function, FunctionCtx, record_custom};
pub use gradcheck::{GradcheckOptions, gradcheck, gradgradcheck};
pub use hooks::HookHandle;
pub use mode::{GradModeGuard, enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled};
pub use node::Node;

use crate::error::or_panic;
use crate::{Error, Result, Tensor};
use hooks::LeafHook;
use node::{BackwardFn, Edge, OutMeta};
use smallvec::SmallVec;
use std::sync::Arc;
use view::ViewOf;

/// A tensor's place in the graph.
pub(crate) struct Auto {
    /// Set by the user on a leaf; a result that has a `grad_fn` requires a gradient by that.
    pub(crate) requires_grad: bool,
    pub(crate) grad_fn: Option<Arc<Node>>,
    /// Which of the node's outputs it is.
    pub(crate) output_nr: usize,
    pub(crate) grad: Option<Tensor>,
    pub(crate) view: Option<ViewOf>,
    /// Hooks of a leaf; an intermediate's stand on its node.
    pub(crate) hooks: Vec<(u64, LeafHook)>,
    /// Made under inference mode: it may never be recorded.
    pub(crate) inference: bool,
    /// Stands for the old value of a tensor that is being overwritten: saving it takes a copy.
    pub(crate) copy_on_save: bool,
    /// Stands for the old value of a tensor that is being overwritten by this op; empty otherwise.
    pub(crate) overwritten_by: &'static str,
    /// How often the shape or the strides were changed in place.
    pub(crate) relaid: u32,
}

impl Auto {
    pub(crate) fn new() -> Auto {
        Auto {
            requires_grad: false,
            grad_fn: None,
            output_nr: 0,
            grad: None,
            view: None,
            hooks: Vec::new(),
            inference: mode::is_inference(),
            copy_on_save: false,
            overwritten_by: "",
            relaid: 0,
        }
    }
    /// Gives everything whose drop could recurse through the graph to the iterative dropper.
    pub(crate) fn bury_history(&mut self) {
        if let Some(node) = self.grad_fn.take() {
            node::bury(node::Part::Node(node));
        }
        if let Some(view) = self.view.take() {
            node::bury(node::Part::Tensor(view.base));
        }
        if let Some(grad) = self.grad.take() {
            node::bury(node::Part::Tensor(grad));
        }
    }
    pub(crate) fn traits(&self) -> Traits {
        let bit = |on: bool, bit: u8| if on { bit } else { 0 };
        Traits(
            bit(self.requires_grad || self.grad_fn.is_some(), Traits::REQUIRES_GRAD)
                | bit(self.view.is_some(), Traits::VIEW)
                | bit(self.inference, Traits::INFERENCE)
                | bit(self.copy_on_save, Traits::COPY_ON_SAVE)
                | bit(!self.hooks.is_empty(), Traits::HOOKS)
                | bit(self.relaid != 0, Traits::RELAID),
        )
    }
}

/// A few bits about a tensor's place in the graph, which every op asks for.
#[derive(Clone, Copy)]
pub(crate) struct Traits(pub(crate) u8);

impl Traits {
    const REQUIRES_GRAD: u8 = 1;
    const VIEW: u8 = 2;
    const INFERENCE: u8 = 4;
    const COPY_ON_SAVE: u8 = 8;
    const HOOKS: u8 = 16;
    const RELAID: u8 = 32;

    /// Whether it requires a gradient by itself: a view may do so through its base.
    #[inline]
    pub(crate) fn requires_grad(self) -> bool {
        self.0 & Traits::REQUIRES_GRAD != 0
    }
    #[inline]
    pub(crate) fn is_view(self) -> bool {
        self.0 & Traits::VIEW != 0
    }
    /// Whether it may have history: of its own, or through its base.
    #[inline]
    pub(crate) fn may_have_history(self) -> bool {
        self.requires_grad() || self.is_view()
    }
    #[inline]
    pub(crate) fn is_inference(self) -> bool {
        self.0 & Traits::INFERENCE != 0
    }
    #[inline]
    pub(crate) fn is_copied_on_save(self) -> bool {
        self.0 & Traits::COPY_ON_SAVE != 0
    }
    /// Whether its shape or strides were ever changed in place.
    #[inline]
    pub(crate) fn is_relaid(self) -> bool {
        self.0 & Traits::RELAID != 0
    }
    #[inline]
    pub(crate) fn has_hooks(self) -> bool {
        self.0 & Traits::HOOKS != 0
    }
}

/// Results of a backward closure: one gradient per input, `None` where there is none.
pub type Grads = SmallVec<[Option<Tensor>; 3]>;

/// What a backward closure may ask while it runs.
pub struct Ctx<'a> {
    pub(crate) node: &'a Arc<Node>,
    pub(crate) needs: SmallVec<[bool; 4]>,
    pub(crate) create_graph: bool,
}

impl Ctx<'_> {
    /// Whether anyone wants the gradient of input `i`: expensive ones need not be computed otherwise.
    pub fn needs(&self, i: usize) -> bool {
        self.needs[i]
    }
    /// Whether the gradients are to be differentiable themselves.
    pub fn create_graph(&self) -> bool {
        self.create_graph
    }
}

/// What an op does while its result gets history: it says which values its derivative needs.
pub struct Save<'a> {
    outputs: &'a [Tensor],
    needs: SmallVec<[bool; 4]>,
}

impl Save<'_> {
    /// Keeps an input (its handle, not a copy).
    pub fn input(&self, x: &Tensor) -> saved::Saved {
        saved::Saved::input(x)
    }
    /// Keeps the op's only result.
    pub fn output(&self) -> saved::Saved {
        self.output_at(0)
    }
    /// Keeps result number `nr`.
    pub fn output_at(&self, nr: usize) -> saved::Saved {
        saved::Saved::output(&self.outputs[nr], nr)
    }
    /// Whether input `i` may ever get a gradient: what only other inputs need is not worth saving.
    pub fn needs(&self, i: usize) -> bool {
        self.needs[i]
    }
}

/// The closure of an op with one result: `g` is the gradient of that result.
pub fn grad_fn<F, G>(f: F) -> BackwardFn
where
    F: Fn(&Ctx, &Tensor) -> Result<G> + Send + Sync + 'static,
    G: IntoIterator<Item = Option<Tensor>>,
{
    Arc::new(move |c, g| {
        Ok(f(c, g[0].as_ref().expect("the engine runs a node only when a gradient has arrived"))?.into_iter().collect())
    })
}

/// The closure of an op with several results; the gradient of a result that nobody used is `None`.
pub fn grad_fn_many<F, G>(f: F) -> BackwardFn
where
    F: Fn(&Ctx, &[Option<Tensor>]) -> Result<G> + Send + Sync + 'static,
    G: IntoIterator<Item = Option<Tensor>>,
{
    Arc::new(move |c, g| Ok(f(c, g)?.into_iter().collect()))
}

/// Whether an op on these inputs is to be recorded.
pub(crate) fn is_recorded(inputs: &[&Tensor]) -> bool {
    is_grad_enabled() && inputs.iter().any(|t| t.requires_grad())
}

/// Gives `outputs` one node with the history of `inputs`: the only way in which a result gets history. Does nothing when grad mode is
/// off or no input requires a gradient. Results that are not floating-point stay without.
pub(crate) fn record(outputs: &[Tensor], inputs: &[&Tensor], f: impl FnOnce(&Save) -> BackwardFn) -> Result<()> {
    if !is_recorded(inputs) || !outputs.iter().any(|o| o.dtype().is_float()) {
        return Ok(());
    }
    if inputs.iter().any(|t| t.traits().is_inference()) {
        return Err(Error::runtime(
            "Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode in computation tracked by autograd. \
             To work around this, you can make a clone to get a normal tensor and use it in autograd, or use `torch.no_grad()` instead of `torch.inference_mode()`.",
        ));
    }
    let mut edges = SmallVec::<[Edge; 2]>::new();
    let mut needs = SmallVec::new();
    for t in inputs {
        let edge = t.edge()?;
        needs.push(!matches!(edge, Edge::None));
        edges.push(edge);
    }
    let backward = f(&Save { outputs, needs });
    let mut outs = SmallVec::new();
    let mut floats = SmallVec::<[bool; 4]>::new();
    for o in outputs {
        let meta = OutMeta::of(o);
        floats.push(meta.dtype.is_float());
        outs.push(meta);
    }
    let node = Node::new(crate::op::current_op(), edges, outs, backward);
    for (nr, o) in outputs.iter().enumerate().filter(|&(nr, _)| floats[nr]) {
        let mut auto = o.auto_mut();
        auto.grad_fn = Some(node.clone());
        auto.output_nr = nr;
    }
    Ok(())
}

impl Tensor {
    /// Gives this fresh result the history of `inputs`. `f` gets a [`Save`] to keep what the derivative needs, and returns the
    /// derivative ([`grad_fn`]): a closure made only of ops.
    pub(crate) fn with_grad<const N: usize>(self, inputs: [&Tensor; N], f: impl FnOnce(&Save) -> BackwardFn) -> Result<Tensor> {
        record(std::slice::from_ref(&self), &inputs, f)?;
        Ok(self)
    }

    /// Where a gradient of this tensor goes.
    pub(crate) fn edge(&self) -> Result<Edge> {
        let traits = self.traits();
        if traits.is_view() {
            view::refresh(self)?;
        } else if !traits.requires_grad() {
            return Ok(Edge::None);
        }
        let auto = self.auto();
        Ok(match &auto.grad_fn {
            Some(n) => Edge::Node(n.clone(), auto.output_nr),
            None if auto.requires_grad => Edge::Leaf(self.clone()),
            None => Edge::None,
        })
    }

    /// Whether gradients flow to it.
    pub fn requires_grad(&self) -> bool {
        let traits = self.traits();
        traits.requires_grad() || traits.is_view() && view::requires_grad_through_base(self)
    }
    /// Whether it was made by the user rather than by a recorded op.
    pub fn is_leaf(&self) -> bool {
        !self.requires_grad() || self.auto().grad_fn.is_none() && self.grad_fn().is_none()
    }
    /// The node that made it, if it was recorded.
    pub fn grad_fn(&self) -> Option<Arc<Node>> {
        // A view whose replay fails is reported where the view is used; here there is just nothing to show.
        view::refresh(self).ok()?;
        self.auto().grad_fn.clone()
    }
    /// Turns recording for this leaf on or off, in place.
    ///
    /// # Errors
    /// If the dtype is not floating-point, or for turning it off on a tensor with history.
    pub fn try_requires_grad_(&self, required: bool) -> Result<&Tensor> {
        if required && !self.dtype().is_float() {
            return Err(Error::runtime("only Tensors of floating point dtype can require gradients"));
        }
        if required && self.auto().inference && !mode::is_inference() {
            return Err(Error::runtime("Setting requires_grad=True on inference tensor outside InferenceMode is not allowed."));
        }
        if !self.is_leaf() {
            if required {
                return Ok(self);
            }
            return Err(Error::runtime(
                "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a subgraph that doesn't require \
                 differentiation use var_no_grad = var.detach().",
            ));
        }
        self.auto_mut().requires_grad = required;
        Ok(self)
    }
    /// As [`Tensor::try_requires_grad_`].
    ///
    /// # Panics
    /// Where that gives an error.
    #[track_caller]
    pub fn requires_grad_(&self, required: bool) -> &Tensor {
        or_panic(self.try_requires_grad_(required))
    }
    /// The same handle, now requiring a gradient: `Tensor::zeros([3]).with_requires_grad()`.
    #[track_caller]
    pub fn with_requires_grad(self) -> Tensor {
        self.requires_grad_(true);
        self
    }
    /// The accumulated gradient.
    pub fn grad(&self) -> Option<Tensor> {
        self.auto().grad.clone()
    }
    /// Replaces the gradient.
    ///
    /// # Errors
    /// If its shape or dtype is not this tensor's.
    pub fn try_set_grad(&self, grad: Option<Tensor>) -> Result<()> {
        if let Some(g) = &grad {
            if g.shape() != self.shape() {
                return Err(Error::runtime(format!(
                    "assigned grad has data of a different size: the tensor has shape {:?}, the gradient {:?}",
                    self.shape().as_slice(),
                    g.shape().as_slice()
                )));
            }
            if g.dtype() != self.dtype() {
                return Err(Error::runtime(format!(
                    "assigned grad has data of a different type: the tensor is {}, the gradient {}",
                    self.dtype(),
                    g.dtype()
                )));
            }
        }
        // Dropped after the lock is released: an old gradient may have history of its own.
        let old = std::mem::replace(&mut self.auto_mut().grad, grad);
        drop(old);
        Ok(())
    }
    /// As [`Tensor::try_set_grad`].
    ///
    /// # Panics
    /// Where that gives an error.
    #[track_caller]
    pub fn set_grad(&self, grad: Option<Tensor>) {
        or_panic(self.try_set_grad(grad))
    }
    /// A tensor over the same memory, without history.
    pub fn detach(&self) -> Tensor {
        let mut data = self.data();
        data.wrapped = false;
        let t = Tensor::from_data(data);
        let inference = self.traits().is_inference();
        if t.traits().is_inference() != inference {
            t.auto_mut().inference = inference;
        }
        t
    }
    /// Cuts this tensor off from its history, in place.
    ///
    /// # Errors
    /// On a view, whose history is its base's.
    pub fn detach_(&self) -> Result<&Tensor> {
        if self.is_view() {
            return Err(Error::runtime("Can't detach views in-place. Use detach() instead."));
        }
        let old = {
            let mut auto = self.auto_mut();
            auto.requires_grad = false;
            auto.grad_fn.take()
        };
        node::bury_node(old);
        Ok(self)
    }
    /// The tensor whose memory this view shares.
    pub fn view_base(&self) -> Option<Tensor> {
        self.auto().view.as_ref().map(|v| v.base.clone())
    }
    /// Which output of its `grad_fn` it is.
    pub fn output_nr(&self) -> usize {
        self.auto().output_nr
    }
    /// Whether it was made under inference mode, and may never be recorded.
    pub fn is_inference(&self) -> bool {
        self.auto().inference
    }
    /// Whether it was made by a view op and shares its base's memory.
    pub fn is_view(&self) -> bool {
        self.traits().is_view()
    }
    /// Computes the gradients of this one-element tensor with respect to the leaves, and adds them to their `grad`.
    ///
    /// # Panics
    /// Where [`Tensor::try_backward`] gives an error.
    #[track_caller]
    pub fn backward(&self) {
        or_panic(self.try_backward())
    }
    /// As [`Tensor::backward`], with an error instead of a panic: no graph, more than one element, a saved value that was overwritten.
    pub fn try_backward(&self) -> Result<()> {
        backward(&[self], &[None], false, false)
    }
    /// Backward from this tensor of any shape, with the gradient of the final result with respect to it.
    ///
    /// # Panics
    /// As [`Tensor::backward`].
    #[track_caller]
    pub fn backward_with(&self, gradient: &Tensor) {
        or_panic(backward(&[self], &[Some(gradient)], false, false))
    }
}
