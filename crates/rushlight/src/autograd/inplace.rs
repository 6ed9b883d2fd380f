//! In-place ops, one function for all: compute the result as the out-of-place op would, put it where the old value was, and give the
//! overwritten tensor (or, through a view, its base) the new history.

use super::node::{Edge, Grave, Node, OutMeta, bury};
use super::view::ViewKind;
use super::{grad_fn, is_grad_enabled, mode};
use crate::storage::{self, Data};
use crate::{Error, Layout, Result, Tensor, promote};
use smallvec::smallvec;
use std::sync::Arc;

/// Overwrites `x` with `f(x)`. `f` returns a fresh tensor, or its argument.
///
/// # Errors
/// A leaf that requires a gradient (or a view of one) in grad mode; a view that may not be written through; elements that share memory; a
/// result whose shape or dtype does not fit. The check comes first, so that a failed call changes nothing.
pub(crate) fn apply(op: &'static str, x: &Tensor, f: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<()> {
    check(x)?;
    // If nobody else can see x's memory, the result's memory simply takes its place: no copy, and what was saved of the old value stays valid.
    let data = x.data();
    let replace = data.layout == Layout::contiguous(&data.layout.shape)
        && Arc::strong_count(&data.storage) == 2
        && data.storage.nbytes() == data.layout.numel() * data.dtype.size();
    let old = alias_with_history(x)?;
    old.auto_mut().copy_on_save = !replace;
    drop(data);
    let result = f(&old)?;
    let result = fit(op, x, result)?;
    put(x, &result, replace)?;
    rebase(x, &result)
}

/// Overwrites `x` with the values of a result that has no history of its own: `write` fills the view it gets. For fills and random
/// draws, whose derivative is zero, and for updates under `no_grad`.
pub(crate) fn fill(x: &Tensor, write: impl FnOnce(&mut rushlight_kernels::backend::ViewMut) -> Result<()>) -> Result<()> {
    check(x)?;
    storage::write(&[x.data()], &[], |outs, _| write(&mut outs[0]))?;
    if is_grad_enabled() && x.requires_grad() {
        let zeros = crate::ops::zeros_like(&x.detach(), None)?;
        let history = Tensor::from_data(zeros.data())
            .with_grad([&alias_with_history(x)?], |_| grad_fn(|_, g| Ok([Some(crate::ops::zeros_like(g, None)?)])))?;
        rebase(x, &history)?;
    }
    Ok(())
}

/// May `x` be written now?
pub(crate) fn check(x: &Tensor) -> Result<()> {
    if x.data_ref().layout.may_overlap() {
        return Err(Error::runtime(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location. \
             Please clone() the tensor before performing the operation.",
        ));
    }
    if x.auto().inference && !mode::is_inference() {
        return Err(Error::runtime(
            "Inplace update to inference tensor outside InferenceMode is not allowed. You can make a clone to get a normal tensor before doing inplace update.",
        ));
    }
    if !is_grad_enabled() {
        return Ok(());
    }
    let view = x.auto().view.as_ref().map(|v| (v.base.clone(), v.kind));
    match view {
        None if x.requires_grad() && x.is_leaf() => {
            Err(Error::runtime("a leaf Variable that requires grad is being used in an in-place operation."))
        }
        Some((base, kind)) if base.requires_grad() || x.requires_grad() => match kind {
            ViewKind::NoGrad => Err(Error::runtime(
                "A view was created in no_grad mode and is being modified inplace with grad mode enabled. Given that this use case is ambiguous and error-prone, \
                 it is forbidden. You can clarify your code by moving both the view and the inplace either both inside the no_grad block (if you don't want the \
                 inplace to be tracked) or both outside (if you want the inplace to be tracked).",
            )),
            ViewKind::Multi => Err(Error::runtime(format!(
                "Output {} of {} is a view and is being modified inplace. This view is the output of a function that returns multiple views. Such functions do \
                 not allow the output views to be modified inplace. You should replace the inplace operation by an out-of-place one.",
                x.auto().output_nr,
                x.grad_fn().map_or_else(|| "a view op".to_string(), |n| n.name()),
            ))),
            ViewKind::Single if base.is_leaf() && base.requires_grad() => {
                Err(Error::runtime("a view of a leaf Variable that requires grad is being used in an in-place operation."))
            }
            ViewKind::Single => Ok(()),
        },
        _ => Ok(()),
    }
}

/// The result in x's shape and dtype, or the error PyTorch gives.
fn fit(op: &str, x: &Tensor, result: Tensor) -> Result<Tensor> {
    let (shape, dtype) = (x.shape(), x.dtype());
    if result.shape() != shape {
        return Err(Error::runtime(format!(
            "{op}: output with shape {:?} doesn't match the broadcast shape {:?}",
            shape.as_slice(),
            result.shape().as_slice()
        )));
    }
    if !promote::can_cast(result.dtype(), dtype) {
        return Err(Error::runtime(format!(
            "{op}: result type {} can't be cast to the desired output type {}",
            result.dtype().scalar_type_name(),
            dtype.scalar_type_name()
        )));
    }
    crate::ops::to_dtype(&result, dtype)
}

/// Puts result's elements where x's are.
fn put(x: &Tensor, result: &Tensor, replace: bool) -> Result<()> {
    let (old, new) = (x.data(), result.data());
    let same_memory = Arc::ptr_eq(&old.storage, &new.storage);
    if replace && !same_memory {
        let dense = if new.layout == Layout::contiguous(&new.layout.shape) { new } else { crate::ops::copy_data(&new)? };
        dense.storage.succeed(&old.storage);
        *x.data_mut() = dense;
        return Ok(());
    }
    if same_memory && old.layout == new.layout {
        return storage::write(&[old], &[], |_, _| Ok(()));
    }
    let source = if same_memory { crate::ops::copy_data(&new)? } else { new };
    write_data(&old, &source)
}

/// Copies `source`'s elements (of any dtype, broadcast to `target`'s shape) into `target`'s.
pub(crate) fn write_data(target: &Data, source: &Data) -> Result<()> {
    let source = source.expand(&target.layout.shape)?;
    let mut program = rushlight_kernels::Program::new();
    let r = program.load(0, source.dtype);
    let r = program.cast(target.dtype, r);
    program.out(r);
    storage::write(std::slice::from_ref(target), &[source], |outs, ins| crate::ops::backend().pointwise(&program, ins, outs))
}

/// After `x` was overwritten by `result`'s values: x's history is now result's.
fn rebase(x: &Tensor, result: &Tensor) -> Result<()> {
    if !is_grad_enabled() {
        return Ok(());
    }
    let view = x.auto().view.as_ref().map(|v| (v.base.clone(), v.replay.clone()));
    let (target, node, nr) = match view {
        None => {
            let auto = result.auto();
            (x.clone(), auto.grad_fn.clone(), auto.output_nr)
        }
        Some((base, replay)) => {
            if !result.requires_grad() && !base.requires_grad() {
                return Ok(());
            }
            // The base is now its old self outside the view and the result inside it.
            let edges = smallvec![base.edge()?, result.edge()?];
            let f = grad_fn(move |c, g| {
                let inside = replay(g)?;
                let outside = if c.needs(0) {
                    let outside = crate::ops::copy(g)?;
                    apply("zero_", &replay(&outside)?, |x| crate::ops::zeros_like(x, None))?;
                    Some(outside)
                } else {
                    None
                };
                Ok([outside, c.needs(1).then_some(inside)])
            });
            let node = Node::new("copy_slices", edges, smallvec![OutMeta::of(&base)], f);
            (base, Some(node), 0)
        }
    };
    let old = {
        let mut auto = target.auto_mut();
        auto.output_nr = nr;
        auto.requires_grad = false;
        std::mem::replace(&mut auto.grad_fn, node)
    };
    bury(Grave::of(old, None, None));
    Ok(())
}

/// Another handle on x's memory with x's present place in the graph, but not its being a view.
pub(crate) fn alias_with_history(x: &Tensor) -> Result<Tensor> {
    let edge = x.edge()?;
    let t = Tensor::from_data(x.data());
    adopt(&t, edge, x);
    Ok(t)
}

/// A copy of x's values with x's place in the graph.
pub(crate) fn copy_with_history(x: &Tensor) -> Tensor {
    let copy = match crate::ops::copy_data(&x.data()) {
        Ok(data) => data,
        // Out of memory: keep the shared data; the version check will refuse it in backward.
        Err(_) => x.data(),
    };
    let t = Tensor::from_data(copy);
    let (node, nr, leaf) = {
        let auto = x.auto();
        (auto.grad_fn.clone(), auto.output_nr, auto.requires_grad)
    };
    let mut auto = t.auto_mut();
    (auto.grad_fn, auto.output_nr, auto.requires_grad) = (node, nr, leaf);
    drop(auto);
    t
}

fn adopt(t: &Tensor, edge: Edge, x: &Tensor) {
    let mut auto = t.auto_mut();
    match edge {
        Edge::Node(node, nr) => (auto.grad_fn, auto.output_nr) = (Some(node), nr),
        // Only under no_grad can a leaf come here: its alias must look like a leaf too, and is never recorded.
        Edge::Leaf(_) => auto.requires_grad = x.auto().requires_grad,
        Edge::None => {}
    }
}
