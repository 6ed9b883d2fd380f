//! Hooks: user functions that see, and may replace, gradients on their way.

use super::node::Node;
use crate::{Error, Result, Tensor};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};

/// Sees a gradient; what it returns, if anything, replaces it. An error ends the backward pass.
pub type TensorHook = Arc<dyn Fn(&Tensor) -> Result<Option<Tensor>> + Send + Sync>;
/// Sees a leaf whose `grad` has just received the gradient of a backward pass.
pub type AfterHook = Arc<dyn Fn(&Tensor) -> Result<()> + Send + Sync>;
/// Sees a node's input gradients (second argument: the gradients of its outputs) after its derivative ran; may replace them.
pub type NodeHook = Arc<dyn Fn(&[Option<Tensor>], &[Option<Tensor>]) -> Result<Option<Vec<Option<Tensor>>>> + Send + Sync>;
/// Sees the gradients of a node's outputs before its derivative runs; may replace them.
pub type NodePrehook = Arc<dyn Fn(&[Option<Tensor>]) -> Result<Option<Vec<Option<Tensor>>>> + Send + Sync>;

/// What may hang on a leaf.
#[derive(Clone)]
pub(crate) enum LeafHook {
    Gradient(TensorHook),
    After(AfterHook),
}

static NEXT: AtomicU64 = AtomicU64::new(0);

enum Place {
    Leaf(Weak<crate::tensor::Inner>),
    Node(Weak<Node>),
}

/// Removes its hook when asked to. Dropping it leaves the hook in place.
pub struct HookHandle {
    id: u64,
    place: Place,
}

impl HookHandle {
    /// Takes the hook off.
    pub fn remove(&self) {
        match &self.place {
            Place::Leaf(t) => {
                if let Some(t) = t.upgrade().map(Tensor) {
                    t.auto_mut().hooks.retain(|(id, _)| *id != self.id);
                }
            }
            Place::Node(n) => {
                if let Some(n) = n.upgrade() {
                    let mut extras = n.extras();
                    extras.tensor_hooks.retain(|(id, ..)| *id != self.id);
                    extras.hooks.retain(|(id, _)| *id != self.id);
                    extras.prehooks.retain(|(id, _)| *id != self.id);
                }
            }
        }
    }
}

impl Tensor {
    /// Calls `hook` with this tensor's gradient in every backward; a returned tensor replaces the gradient.
    ///
    /// # Errors
    /// If the tensor does not require a gradient.
    pub fn register_hook(&self, hook: impl Fn(&Tensor) -> Option<Tensor> + Send + Sync + 'static) -> Result<HookHandle> {
        self.register_fallible_hook(move |g| Ok(hook(g)))
    }
    /// As [`Tensor::register_hook`]; an error of the hook ends the backward pass.
    ///
    /// # Errors
    /// If the tensor does not require a gradient.
    pub fn register_fallible_hook(
        &self,
        hook: impl Fn(&Tensor) -> Result<Option<Tensor>> + Send + Sync + 'static,
    ) -> Result<HookHandle> {
        if !self.requires_grad() {
            return Err(Error::runtime("cannot register a hook on a tensor that doesn't require gradient"));
        }
        let id = NEXT.fetch_add(1, Relaxed);
        if let Some(node) = self.grad_fn() {
            let nr = self.auto().output_nr;
            node.extras().tensor_hooks.push((id, nr, Arc::new(hook)));
            return Ok(HookHandle { id, place: Place::Node(Arc::downgrade(&node)) });
        }
        self.auto_mut().hooks.push((id, LeafHook::Gradient(Arc::new(hook))));
        Ok(HookHandle { id, place: Place::Leaf(Arc::downgrade(&self.0)) })
    }
    /// Calls `hook` with this leaf whenever a backward pass has added to its `grad`.
    ///
    /// # Errors
    /// If the tensor is not a leaf that requires a gradient.
    pub fn register_post_accumulate_grad_hook(
        &self,
        hook: impl Fn(&Tensor) -> Result<()> + Send + Sync + 'static,
    ) -> Result<HookHandle> {
        if !self.requires_grad() {
            return Err(Error::runtime("cannot register a hook on a tensor that doesn't require gradient"));
        }
        if self.grad_fn().is_some() {
            return Err(Error::runtime("post accumulate grad hooks cannot be registered on non-leaf tensors"));
        }
        let id = NEXT.fetch_add(1, Relaxed);
        self.auto_mut().hooks.push((id, LeafHook::After(Arc::new(hook))));
        Ok(HookHandle { id, place: Place::Leaf(Arc::downgrade(&self.0)) })
    }
    /// Makes backward keep this intermediate's gradient in its `grad`. Does nothing on a leaf.
    ///
    /// # Errors
    /// If the tensor does not require a gradient.
    pub fn retain_grad(&self) -> Result<()> {
        if !self.requires_grad() {
            return Err(Error::runtime("can't retain_grad on Tensor that has requires_grad=False"));
        }
        if let Some(node) = self.grad_fn() {
            let nr = self.auto().output_nr;
            let mut extras = node.extras();
            if !extras.retain.iter().any(|(_, t)| std::ptr::eq(t.as_ptr(), Arc::as_ptr(&self.0))) {
                extras.retain.push((nr, Arc::downgrade(&self.0)));
            }
        }
        Ok(())
    }
    /// Whether [`Tensor::retain_grad`] is in force.
    pub fn retains_grad(&self) -> bool {
        self.grad_fn().is_some_and(|n| n.extras().retain.iter().any(|(_, t)| std::ptr::eq(t.as_ptr(), Arc::as_ptr(&self.0))))
    }
}

impl Node {
    /// Calls `hook` with the gradients of this node's inputs and outputs after its derivative ran; a returned list replaces the former.
    pub fn register_hook(
        self: &Arc<Node>,
        hook: impl Fn(&[Option<Tensor>], &[Option<Tensor>]) -> Result<Option<Vec<Option<Tensor>>>> + Send + Sync + 'static,
    ) -> HookHandle {
        let id = NEXT.fetch_add(1, Relaxed);
        self.extras().hooks.push((id, Arc::new(hook)));
        HookHandle { id, place: Place::Node(Arc::downgrade(self)) }
    }
    /// Calls `hook` with the gradients of this node's outputs before its derivative runs; a returned list replaces them.
    pub fn register_prehook(
        self: &Arc<Node>,
        hook: impl Fn(&[Option<Tensor>]) -> Result<Option<Vec<Option<Tensor>>>> + Send + Sync + 'static,
    ) -> HookHandle {
        let id = NEXT.fetch_add(1, Relaxed);
        self.extras().prehooks.push((id, Arc::new(hook)));
        HookHandle { id, place: Place::Node(Arc::downgrade(self)) }
    }
}
