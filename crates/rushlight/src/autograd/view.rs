//! Views: which tensor a view was cut from, and how to cut it again.
//!
//! A view keeps a replay closure. When its base has been written to, through the base or through any other view, the view's own
//! history is out of date; it is rebuilt by replaying the view on the base, which is differentiable like any other op.

use super::node::BackwardFn;
use super::{Auto, Save, enable_grad, is_grad_enabled, mode};
use crate::storage::Data;
use crate::{Error, Layout, Result, Tensor};
use std::sync::Arc;

pub(crate) type Replay = Arc<dyn Fn(&Tensor) -> Result<Tensor> + Send + Sync>;

/// How a view came about, which decides whether it may be written through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ViewKind {
    /// The only result of a recorded op.
    Single,
    /// One of several results (`split`, `unbind`).
    Multi,
    /// Made while grad mode was off.
    NoGrad,
}

#[derive(Clone)]
pub(crate) struct ViewOf {
    pub(crate) base: Tensor,
    pub(crate) replay: Replay,
    /// The storage's state for which the view's own `grad_fn` is right.
    pub(crate) seen: (u64, u32),
    pub(crate) kind: ViewKind,
    /// The base's count of in-place changes of layout for which `replay` is right.
    pub(crate) relaid: u32,
}

impl ViewOf {
    /// Fails if the view can no longer be cut from its base as it once was.
    pub(crate) fn check_base(&self) -> Result<()> {
        if self.base.auto().relaid == self.relaid {
            return Ok(());
        }
        Err(Error::runtime(
            "the base of this view has changed its shape or strides in place (t_, transpose_, squeeze_, unsqueeze_) since the view was made, and memory \
             that both share was written to: the gradient of the view is not known. Make the view again from the base.",
        ))
    }
}

/// The elements of `x` under `layout`, as a differentiable view. `replay` makes the same view of another tensor of x's shape.
pub(crate) fn view_of(
    x: &Tensor,
    layout: Layout,
    replay: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
    f: impl FnOnce(&Save) -> BackwardFn,
) -> Result<Tensor> {
    let data = x.data_ref().with_layout(layout);
    view_from(x, data, || Arc::new(replay), f)
}

/// [`view_of`] with the data that the view will have: x's under another layout, for who had to look at x's anyway.
pub(crate) fn view_from(
    x: &Tensor,
    data: Data,
    replay: impl FnOnce() -> Replay,
    f: impl FnOnce(&Save) -> BackwardFn,
) -> Result<Tensor> {
    let view = view_link(x, data.storage.stamp(), ViewKind::Single, replay);
    Tensor::from_parts(data, Auto { view, ..Auto::new() }).with_grad([x], f)
}

/// Notes that `y` is a view of `x`.
pub(crate) fn link(y: &Tensor, x: &Tensor, kind: ViewKind, replay: Replay) {
    if let Some(view) = view_link(x, y.stamp(), kind, || replay) {
        y.auto_mut().view = Some(view);
    }
}

/// What a view of `x` knows. The base of a view of a view is the first one's base.
fn view_link(x: &Tensor, seen: (u64, u32), kind: ViewKind, replay: impl FnOnce() -> Replay) -> Option<ViewOf> {
    if mode::is_inference() {
        return None;
    }
    let kind = if is_grad_enabled() { kind } else { ViewKind::NoGrad };
    if !x.traits().is_view() && !x.traits().is_relaid() {
        return Some(ViewOf { base: x.clone(), replay: replay(), seen, kind, relaid: 0 });
    }
    let auto = x.auto();
    Some(match &auto.view {
        None => ViewOf { base: x.clone(), replay: replay(), seen, kind, relaid: auto.relaid },
        Some(outer) => {
            let (first, then) = (outer.replay.clone(), replay());
            let replay: Replay = Arc::new(move |b| then(&first(b)?));
            let kind = if kind == ViewKind::Single { outer.kind } else { kind };
            ViewOf { base: outer.base.clone(), replay, seen, kind, relaid: outer.relaid }
        }
    })
}

/// Whether a tensor without history of its own requires a gradient as a view of a base that does.
pub(crate) fn requires_grad_through_base(x: &Tensor) -> bool {
    let base = match &x.auto().view {
        Some(view) if view.kind != ViewKind::NoGrad => view.base.clone(),
        _ => return false,
    };
    base.requires_grad()
}

/// Brings a view's history up to date with its base.
pub(crate) fn refresh(x: &Tensor) -> Result<()> {
    if !x.is_view() {
        return Ok(());
    }
    let now = x.stamp();
    let (base, view) = {
        let auto = x.auto();
        match &auto.view {
            Some(v) if v.seen != now && v.kind != ViewKind::NoGrad => (v.base.clone(), v.clone()),
            _ => return Ok(()),
        }
    };
    let fresh = if base.requires_grad() {
        view.check_base()?;
        let _guard = enable_grad();
        let fresh = (view.replay)(&base)?;
        let mut auto = fresh.auto_mut();
        Some((auto.grad_fn.take(), auto.output_nr))
    } else {
        None
    };
    let mut auto = x.auto_mut();
    if let Some(view) = &mut auto.view {
        view.seen = now;
    }
    let old = fresh.and_then(|(node, nr)| {
        auto.output_nr = nr;
        std::mem::replace(&mut auto.grad_fn, node)
    });
    drop(auto);
    super::node::bury_node(old);
    Ok(())
}
