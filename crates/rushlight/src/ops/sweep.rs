//! A layer's sweep over a sequence as one kernel, and its derivative as another one and a product for each weight.

use super::linalg::affine;
use super::recurrent::{Kind, Memory, Weights};
use super::*;
use crate::autograd::{Ctx, GradOptions, grad, grad_fn, grad_fn_many, is_grad_enabled, record};
use rushlight_kernels::backend::KernelId;

const ONE: Scalar = Scalar::Int(1);

/// What a sweep is made of: the tensors that it depends on.
struct Parts {
    projected: Tensor,
    h: Tensor,
    w_hh: Tensor,
    /// An LSTM's cell, or a GRU's second bias.
    more: Option<Tensor>,
}

impl Parts {
    fn tensors(&self) -> SmallVec<[&Tensor; 4]> {
        [&self.projected, &self.h, &self.w_hh].into_iter().chain(&self.more).collect()
    }
    fn of(tensors: &[Tensor]) -> Parts {
        Parts { projected: tensors[0].clone(), h: tensors[1].clone(), w_hh: tensors[2].clone(), more: tensors.get(3).cloned() }
    }

    /// The outputs, and an LSTM's last cell state, step by step.
    fn by_steps(&self, kind: Kind, backwards: bool) -> Result<Vec<Tensor>> {
        let bias = if kind == Kind::Gru { self.more.as_ref() } else { None };
        let weights = Weights { ih: &self.w_hh, hh: &self.w_hh, bias_ih: None, bias_hh: bias, hr: None };
        let c = if kind == Kind::Lstm { self.more.clone() } else { None };
        let (y, end) = weights.by_steps(kind, &self.projected, Memory { h: self.h.clone(), c }, backwards)?;
        Ok(std::iter::once(y).chain(end.c).collect())
    }
}

/// The sweep by the backend's own kernel, where it has one and nothing projects the hidden state.
pub(super) fn in_one_kernel(
    w: &Weights,
    kind: Kind,
    projected: &Tensor,
    memory: &Memory,
    backwards: bool,
) -> Result<Option<(Tensor, Memory)>> {
    if w.hr.is_some() || !matches!(projected.dtype(), DType::F32 | DType::F64) || projected.numel() == 0 {
        return Ok(None);
    }
    let more = if kind == Kind::Gru { w.bias_hh.cloned() } else { memory.c.clone() };
    let parts = Parts { projected: projected.clone(), h: memory.h.clone(), w_hh: w.hh.clone(), more };
    let inputs = parts.tensors();
    let recorded = is_grad_enabled() && inputs.iter().any(|t| t.requires_grad());
    let (shape, state) = (projected.shape(), memory.h.shape());
    let (steps, batch, hidden) = (shape[0], shape[1], state[1]);
    let cell = kind.cell();
    let of = |shape: &[usize]| (Layout::contiguous(shape), projected.dtype());
    let mut specs: SmallVec<[_; 3]> = smallvec::smallvec![of(&[steps, batch, hidden])];
    specs.extend((kind == Kind::Lstm).then(|| of(&[batch, hidden])));
    specs.extend(recorded.then(|| of(&[steps, batch, cell.saved() * hidden])));
    let Some(mut outs) = run(KernelId::Recurrent { cell, backwards }, &specs, &inputs)? else { return Ok(None) };
    let saved = if recorded { outs.pop() } else { None };
    if let Some(saved) = saved {
        record(&outs, &inputs, |s| {
            let inputs: SmallVec<[_; 4]> = inputs.iter().map(|t| s.input(t)).collect();
            let y = s.output_at(0);
            grad_fn_many(move |ctx, grads| {
                let tensors = inputs.iter().map(|t| t.get(ctx)).collect::<Result<Vec<_>>>()?;
                let parts = Parts::of(&tensors);
                if ctx.create_graph() {
                    return differentiable(&parts, kind, backwards, ctx, grads);
                }
                by_kernel(&parts, kind, backwards, [&y.get(ctx)?, &saved], ctx, grads)
            })
        })?;
    }
    let y = outs[0].clone();
    let h = select(&y, 0, if backwards { 0 } else { steps as i64 - 1 })?;
    Ok(Some((y, Memory { h, c: outs.get(1).cloned() })))
}

/// Runs a kernel of the backend's own over dense operands, if it has this one.
fn run(kernel: KernelId, specs: &[(Layout, DType)], ins: &[&Tensor]) -> Result<Option<Vec<Tensor>>> {
    let _guard = crate::no_grad();
    let ins = ins.iter().map(|t| Ok(contiguous(t)?.data())).collect::<Result<SmallVec<[_; 8]>>>()?;
    let mut done = None;
    let outs = storage::compute_many(specs, &ins, |ins, outs| {
        done = backend().custom(kernel, ins, outs)?;
        Ok(())
    })?;
    Ok(done.map(|()| outs.into_iter().map(Tensor::from_data).collect()))
}

/// Gradients of the inputs by kernel.
fn by_kernel(
    parts: &Parts,
    kind: Kind,
    backwards: bool,
    [y, saved]: [&Tensor; 2],
    ctx: &Ctx,
    grads: &[Option<Tensor>],
) -> Result<Vec<Option<Tensor>>> {
    let or_zeros = |g: Option<&Option<Tensor>>, like: &Tensor| match g {
        Some(Some(g)) => Ok(g.clone()),
        _ => filled(&like.shape(), Scalar::Int(0), like.dtype()),
    };
    let gy = or_zeros(grads.first(), y)?;
    let gc;
    let mut ins: SmallVec<[&Tensor; 8]> = smallvec::smallvec![&gy, y, &parts.h, &parts.w_hh, saved];
    if let (Kind::Lstm, Some(c)) = (kind, &parts.more) {
        gc = or_zeros(grads.get(1), c)?;
        ins.extend([c, &gc]);
    }
    let of = |t: &Tensor| (Layout::contiguous(&t.shape()), t.dtype());
    let mut specs: SmallVec<[_; 3]> = smallvec::smallvec![of(&parts.projected), of(&parts.h)];
    match kind {
        Kind::Lstm => specs.push(of(&parts.h)),
        Kind::Gru => specs.push(of(&parts.projected)),
        Kind::Tanh | Kind::ReLU => {}
    }
    let outs = run(KernelId::RecurrentBackward { cell: kind.cell(), backwards }, &specs, &ins)?
        .expect("a backend that has the kernel of a sweep has that of its derivative");
    // The hidden state before each step but the first is the output of the step before; the products of all steps are one product.
    let to_gates = if kind == Kind::Gru { &outs[2] } else { &outs[0] };
    let gw = if ctx.needs(2) {
        let steps = y.size(0) as i64;
        let (first, later, earlier) = if backwards { (steps - 1, 0, 1) } else { (0, 1, 0) };
        let mut gw = affine(&transposed(&select(to_gates, 0, first)?)?, &parts.h, ONE, None)?;
        if steps > 1 {
            let part = |t: &Tensor, from: i64| flatten(&narrow(t, 0, from, steps - 1)?, 0, 1);
            gw = affine(&transposed(&part(to_gates, later)?)?, &part(y, earlier)?, ONE, Some((&gw, ONE)))?;
        }
        Some(gw)
    } else {
        None
    };
    let mut found = vec![Some(outs[0].clone()), Some(outs[1].clone()), gw];
    match kind {
        Kind::Lstm => found.push(Some(outs[2].clone())),
        Kind::Gru if parts.more.is_some() => {
            found.push(if ctx.needs(3) { Some(sum_dim(to_gates, Some(&[0, 1]), false, None)?) } else { None });
        }
        _ => {}
    }
    Ok(found)
}

fn transposed(x: &Tensor) -> Result<Tensor> {
    transpose(x, 0, 1)
}

/// Gradients of the inputs that can be differentiated themselves: those of the same sweep step by step.
fn differentiable(
    parts: &Parts,
    kind: Kind,
    backwards: bool,
    ctx: &Ctx,
    grads: &[Option<Tensor>],
) -> Result<Vec<Option<Tensor>>> {
    // An input may depend on another one: their stand-ins do not, and are where the walk ends.
    let stand_ins = parts
        .tensors()
        .into_iter()
        .map(|t| Tensor::from_data(t.data()).with_grad([t], |_| grad_fn(|_, g| Ok([Some(g.clone())]))))
        .collect::<Result<Vec<_>>>()?;
    let outs = Parts::of(&stand_ins).by_steps(kind, backwards)?;
    let (outs, gs): (Vec<&Tensor>, Vec<Option<&Tensor>>) =
        outs.iter().zip(grads).filter(|(o, g)| g.is_some() && o.requires_grad()).map(|(o, g)| (o, g.as_ref())).unzip();
    let wanted: Vec<usize> = (0..stand_ins.len()).filter(|&i| ctx.needs(i) && stand_ins[i].requires_grad()).collect();
    let targets: Vec<&Tensor> = wanted.iter().map(|&i| &stand_ins[i]).collect();
    let options = GradOptions { create_graph: true, retain_graph: true, allow_unused: true };
    let mut found = vec![None; stand_ins.len()];
    for (i, g) in wanted.iter().zip(grad(&outs, &targets, &gs, options)?) {
        found[*i] = g;
    }
    Ok(found)
}
