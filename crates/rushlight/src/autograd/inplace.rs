//! In-place ops, one function for all: compute the result as the out-of-place op would, put it where the old value was, and give the
//! overwritten tensor (or, through a view, its base) the new history.

use super::node::{BackwardFn, Edge, Node, OutMeta, Part, bury, bury_node};
use super::view::ViewKind;
use super::{Auto, Save, grad_fn, is_grad_enabled, is_recorded, mode, record};
use crate::storage::{self, Data};
use crate::{Error, Result, Tensor, promote};
use smallvec::{SmallVec, smallvec};
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
    let replace = data.layout.is_new()
        && Arc::strong_count(&data.storage) == 2
        && !data.storage.is_foreign()
        && data.storage.nbytes() == data.layout.numel() * data.dtype.size();
    let before = data.storage.stamp();
    let old = Tensor::from_parts(data, Auto { copy_on_save: !replace, overwritten_by: op, ..place_of(x)? });
    let result = f(&old)?;
    let result = fit(op, x, result)?;
    put(x, &result, replace, before)?;
    rebase(x, &result)
}

/// What an op that changes a few elements of `x` writes into: a copy of `x`, without history; but x's own memory where `x` stands for the
/// value that the op's in-place twin, named `twin`, is overwriting right now. What the derivative needs of `x` must be saved before.
pub(crate) fn target(x: &Tensor, twin: &str) -> Result<Tensor> {
    if !twin.is_empty() && x.auto().overwritten_by == twin {
        return Ok(Tensor::from_data(x.data()));
    }
    crate::ops::copy(&x.detach())
}

/// Overwrites `x` with values that do not depend on its old ones: `write` fills the view it gets. For fills and random draws, whose
/// derivative is zero, and for updates under `no_grad`.
pub(crate) fn fill(x: &Tensor, write: impl FnOnce(&mut rushlight_kernels::backend::ViewMut) -> Result<()>) -> Result<()> {
    overwrite(
        x,
        &[],
        |data| storage::write(&[data], &[], |outs, _| write(&mut outs[0])),
        |_| grad_fn(|_, g| Ok([Some(crate::ops::zeros_like(g, None)?)])),
    )
}

/// Overwrites `x` with values that depend on `inputs` and not on its old ones. The derivative `f` gives a gradient for `x` (zeros), then one
/// for each input.
pub(crate) fn overwrite(
    x: &Tensor,
    inputs: &[&Tensor],
    write: impl FnOnce(Data) -> Result<()>,
    f: impl FnOnce(&Save) -> BackwardFn,
) -> Result<()> {
    check(x)?;
    let old = is_grad_enabled().then(|| alias_with_history(x)).transpose()?;
    write(x.data())?;
    let Some(old) = old else { return Ok(()) };
    let inputs: SmallVec<[&Tensor; 2]> = [&old].into_iter().chain(inputs.iter().copied()).collect();
    if is_recorded(&inputs) {
        let result = Tensor::from_data(x.data());
        record(std::slice::from_ref(&result), &inputs, f)?;
        rebase(x, &result)?;
    }
    Ok(())
}

/// Makes `x` itself the view `f(x)` of the memory that it has: its shape, strides and history change, its elements do not.
pub(crate) fn relayout(x: &Tensor, f: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    check_history(x)?;
    let old = alias_with_history(x)?;
    let view = x.auto().view.clone();
    old.auto_mut().view = view;
    let y = f(&old)?;
    // What was saved of x must notice: it holds this very handle.
    let data = y.data();
    storage::write(std::slice::from_ref(&data), &[], |_, _| Ok(()))?;
    *x.data_mut() = data;
    let (node, nr, view) = {
        let mut auto = y.auto_mut();
        (auto.grad_fn.take(), auto.output_nr, auto.view.take())
    };
    let now = x.stamp();
    let mut auto = x.auto_mut();
    auto.relaid = auto.relaid.wrapping_add(1);
    let mut gone = (None, None);
    if let Some(node) = node {
        auto.output_nr = nr;
        gone.0 = auto.grad_fn.replace(node);
    }
    // What is no view becomes none: `y` is a view of `old`, but x stands for the memory's first tensor.
    if let (Some(mut view), true) = (view, auto.view.is_some()) {
        view.seen = now;
        gone.1 = auto.view.replace(view);
    }
    drop(auto);
    bury_node(gone.0);
    if let Some(view) = gone.1 {
        bury(Part::Tensor(view.base));
    }
    Ok(x.clone())
}

/// May `x` be written now?
pub(crate) fn check(x: &Tensor) -> Result<()> {
    let overlaps = {
        let data = x.data_ref();
        !data.layout.is_contiguous() && data.layout.may_overlap()
    };
    if overlaps {
        return Err(Error::runtime(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location. \
             Please clone() the tensor before performing the operation.",
        ));
    }
    check_history(x)
}

/// May x's place in the graph change now?
fn check_history(x: &Tensor) -> Result<()> {
    if x.traits().is_inference() && !mode::is_inference() {
        return Err(Error::runtime(
            "Inplace update to inference tensor outside InferenceMode is not allowed. You can make a clone to get a normal tensor before doing inplace update.",
        ));
    }
    if !is_grad_enabled() || !x.traits().may_have_history() {
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
    let dtype = x.dtype();
    let differs = x.data_ref().layout.shape != result.data_ref().layout.shape;
    if differs {
        return Err(Error::runtime(format!(
            "{op}: output with shape {:?} doesn't match the broadcast shape {:?}",
            x.shape().as_slice(),
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
    if result.dtype() == dtype { Ok(result) } else { crate::ops::to_dtype(&result, dtype) }
}

/// Puts result's elements where x's are.
fn put(x: &Tensor, result: &Tensor, replace: bool, before: (u64, u32)) -> Result<()> {
    let new = result.data();
    let same_memory = Arc::ptr_eq(&x.data_ref().storage, &new.storage);
    if replace && !same_memory {
        let dense = if new.layout.is_new() { new } else { crate::ops::copy_data(&new)? };
        let mut data = x.data_mut();
        dense.storage.succeed(&data.storage);
        let old = std::mem::replace(&mut *data, dense);
        drop((data, old));
        return Ok(());
    }
    let old = x.data();
    if same_memory && old.layout == new.layout {
        if x.stamp() != before {
            return Ok(()); // An op that asked for its `target` has written already.
        }
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
pub(crate) fn rebase(x: &Tensor, result: &Tensor) -> Result<()> {
    if !is_grad_enabled() || !x.traits().may_have_history() && !result.traits().requires_grad() {
        return Ok(());
    }
    let view = x.auto().view.clone();
    let (target, node, nr) = match view {
        None => {
            let auto = result.auto();
            (x.clone(), auto.grad_fn.clone(), auto.output_nr)
        }
        Some(view) => {
            let base = view.base.clone();
            if !result.requires_grad() && !base.requires_grad() {
                return Ok(());
            }
            view.check_base()?;
            let replay = view.replay.clone();
            // The base is now its old self outside the view and the result inside it.
            let edges = smallvec![base.edge()?, result.edge()?];
            let layout = base.layout();
            let f = grad_fn(move |c, g| {
                let inside = replay(g)?;
                let outside = if c.needs(0) {
                    // Laid out as the base is, so that a view which depends on strides is cut from it as a view.
                    let outside = crate::ops::copy_laid_out(g, &layout)?;
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
    bury_node(old);
    Ok(())
}

/// Another handle on x's memory with x's present place in the graph, but not its being a view.
pub(crate) fn alias_with_history(x: &Tensor) -> Result<Tensor> {
    Ok(Tensor::from_parts(x.data(), place_of(x)?))
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

/// A place in the graph like that of `x`.
fn place_of(x: &Tensor) -> Result<Auto> {
    let mut auto = Auto::new();
    match x.edge()? {
        Edge::Node(node, nr) => (auto.grad_fn, auto.output_nr) = (Some(node), nr),
        // Only under no_grad can a leaf come here: its alias must look like a leaf too, and is never recorded.
        Edge::Leaf(_) => auto.requires_grad = x.auto().requires_grad,
        Edge::None => {}
    }
    Ok(auto)
}
