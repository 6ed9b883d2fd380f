//! Values that a derivative keeps from the forward pass.

use super::Ctx;
use super::node::describe;
use crate::{Error, Result, Tensor};

/// A value kept for the backward pass, with the version it had: [`Saved::get`] refuses one that was overwritten meanwhile.
pub struct Saved {
    tensor: Tensor,
    stamp: (u64, u32),
    version: u32,
    /// Which of its own node's outputs it is. Its history is not kept (the node would own itself) but given back by `get`.
    output: Option<usize>,
}

impl Saved {
    pub(crate) fn input(x: &Tensor) -> Saved {
        let traits = x.traits();
        // A view's handle leads to its base, and through the base's history perhaps back here: keep an alias that does not.
        let tensor = if traits.is_copied_on_save() {
            super::inplace::copy_with_history(x)
        } else if traits.is_view() {
            super::inplace::alias_with_history(x).unwrap_or_else(|_| x.clone())
        } else {
            x.clone()
        };
        Saved::new(tensor, None)
    }
    pub(crate) fn output(y: &Tensor, nr: usize) -> Saved {
        Saved::new(y.detach(), Some(nr))
    }
    fn new(tensor: Tensor, output: Option<usize>) -> Saved {
        let (stamp, version) = {
            let data = tensor.data_ref();
            (data.storage.stamp(), data.storage.version())
        };
        Saved { tensor, stamp, version, output }
    }
    /// The value, with its history where gradients of gradients are wanted.
    ///
    /// # Errors
    /// If an in-place op has overwritten it since; the text names both lines.
    pub fn get(&self, c: &Ctx) -> Result<Tensor> {
        if self.tensor.stamp() != self.stamp {
            return Err(self.overwritten(c));
        }
        let Some(nr) = self.output else { return Ok(self.tensor.clone()) };
        let t = self.tensor.detach();
        if c.create_graph() {
            let mut auto = t.auto_mut();
            auto.grad_fn = Some(c.node.clone());
            auto.output_nr = nr;
        }
        Ok(t)
    }
    #[cold]
    fn overwritten(&self, c: &Ctx) -> Error {
        let data = self.tensor.data();
        let what = match self.output {
            Some(nr) => format!(", which is output {nr} of {},", c.node.name()),
            None => match self.tensor.grad_fn() {
                Some(n) => format!(", which is output {} of {},", self.tensor.auto().output_nr, n.name()),
                None => String::new(),
            },
        };
        let writer = data.storage.last_write().map_or("another op".into(), |s| describe(&s));
        Error::runtime(format!(
            "one of the variables needed for gradient computation has been modified by an inplace operation: [{} {:?}]{what} is at version {}; \
             expected version {} instead. It was saved by {}, and overwritten by {writer}. Hint: use the out-of-place op, or clone() the tensor first.",
            data.dtype,
            data.layout.shape.as_slice(),
            self.tensor.version(),
            self.version,
            describe(&c.node.site),
        ))
    }
}
