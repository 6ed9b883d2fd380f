//! Softmax and its relatives along one dimension.

use super::*;
use crate::autograd::{grad_fn, no_grad};
use rushlight_kernels::backend::{KernelId, ReduceOp, View, ViewMut};
use std::borrow::Cow;

ops![softmax, log_softmax, softmin];

const ONE: Scalar = Scalar::Int(1);

/// Runs a row kernel, or `composed` (without history) where the backend has none.
fn along(kernel: KernelId, ins: &[&Tensor], composed: impl FnOnce() -> Result<Tensor>) -> Result<Tensor> {
    let mut done = None;
    let mut run = |ins: &[View], out: &mut ViewMut| {
        done = backend().custom(kernel, ins, std::slice::from_mut(out))?;
        Ok(())
    };
    let rows = |x: &Data| Layout::contiguous(&x.layout.shape);
    // A small one needs no snapshot.
    let mut at_once = |x: &Data| storage::compute_at_once(rows(x), x.dtype, [x], |x, out| run(&x, out));
    let small = if let [x] = ins { x.try_data_ref().filter(|_| x.numel() <= SMALL) } else { None };
    let y = match small.and_then(|x| at_once(&x)) {
        Some(y) => y?,
        None => {
            let data: SmallVec<[Data; 2]> = ins.iter().map(|t| t.data()).collect();
            storage::compute(rows(&data[0]), data[0].dtype, &data, run)?
        }
    };
    if done.is_some() {
        return Ok(Tensor::from_data(y));
    }
    let _guard = no_grad();
    composed()
}

fn sum_along(x: &Tensor, d: usize) -> Result<Tensor> {
    sum_dim(x, Some(&[d as i64]), true, None)
}

/// `x` less its largest element along `d`, in the type that computes for x's.
fn shifted(x: &Tensor, d: usize) -> Result<Tensor> {
    let x = to_dtype(x, x.dtype().compute())?;
    if x.numel() == 0 {
        return Ok(x);
    }
    sub(&x, &reduce(ReduceOp::Max, &x, &[d], true, x.dtype())?, ONE)
}

/// `y (g - Σ g y)`: the gradient of softmax's input, from its result. An op of its own: its derivative has no other special cases.
fn softmax_backward(g: &Tensor, y: &Tensor, d: usize) -> Result<Tensor> {
    let g = &*laid_out(g)?;
    let composed = || mul(y, &sub(g, &sum_along(&mul(g, y)?, d)?, ONE)?);
    along(KernelId::SoftmaxBackward { dim: d }, &[g, y], composed)?.with_grad([g, y], |s| {
        let (sg, sy) = (s.needs(1).then(|| s.input(g)), s.input(y));
        grad_fn(move |c, v| {
            let y = sy.get(c)?;
            // The map from g is its own transpose.
            let gg = c.needs(0).then(|| softmax_backward(v, &y, d)).transpose()?;
            let gy = match &sg {
                Some(sg) if c.needs(1) => {
                    let g = sg.get(c)?;
                    let left = mul(v, &sub(&g, &sum_along(&mul(&g, &y)?, d)?, ONE)?)?;
                    Some(sub(&left, &mul(&g, &sum_along(&mul(v, &y)?, d)?)?, ONE)?)
                }
                _ => None,
            };
            Ok([gg, gy])
        })
    })
}

/// `g - exp(y) Σ g`: the gradient of log-softmax's input, from its result.
fn log_softmax_backward(g: &Tensor, y: &Tensor, d: usize) -> Result<Tensor> {
    let g = &*laid_out(g)?;
    let composed = || sub(g, &mul(&exp(y)?, &sum_along(g, d)?)?, ONE);
    along(KernelId::LogSoftmaxBackward { dim: d }, &[g, y], composed)?.with_grad([g, y], |s| {
        let (sg, sy) = (s.needs(1).then(|| s.input(g)), s.input(y));
        grad_fn(move |c, v| {
            let weighted = mul(v, &exp(&sy.get(c)?)?)?;
            let gg = c.needs(0).then(|| sub(v, &sum_along(&weighted, d)?, ONE)).transpose()?;
            let gy = match &sg {
                Some(sg) if c.needs(1) => Some(neg(&mul(&weighted, &sum_along(&sg.get(c)?, d)?)?)?),
                _ => None,
            };
            Ok([gg, gy])
        })
    })
}

/// The dimension and the operand in its dtype, or the error for what is not a float.
fn operand<'a>(op: &str, x: &'a Tensor, dim: i64, dtype: Option<DType>) -> Result<(Cow<'a, Tensor>, usize)> {
    let d = super::dim(dim, x.rank())?;
    let dtype = dtype.unwrap_or(x.dtype());
    if !dtype.is_float() {
        return Err(Error::not_implemented(format!(
            "\"{op}_lastdim_kernel_impl\" not implemented for '{}'",
            dtype.scalar_type_name()
        )));
    }
    let x = in_dtype(x, dtype)?;
    // A zero-dim tensor has one element along its only dimension, which must exist for the kernels.
    Ok((if x.rank() == 0 { Cow::Owned(unsqueeze(&x, 0)?) } else { x }, d))
}

/// Returns `exp(input)` scaled to the sum one along `dim`, computed without overflow; `dtype` converts first.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softmax.html>
#[op("(input, dim, *, dtype=None)", float_only,
    samples = ["T(3, 4), 1", "T(3, 4), 0", "T(2, 3, 2), -2", "T(), 0", "T(0, 2), 0", "T(2, 0), 1", "I(3), 0, dtype=float32", "T(4, dtype=bfloat16), 0"],
    errors = [("T(3), 4", "Dimension out of range (expected to be in range of [-1, 0], but got 4)"),
        ("I(3), 0", "\"softmax_lastdim_kernel_impl\" not implemented for 'Long'")])]
pub fn softmax(x: &Tensor, dim: i64, dtype: Option<DType>) -> Result<Tensor> {
    let (a, d) = operand("softmax", x, dim, dtype)?;
    let composed = || {
        let e = exp(&shifted(&a, d)?)?;
        to_dtype(&div(&e, &sum_along(&e, d)?, None)?, a.dtype())
    };
    let y = along(KernelId::Softmax { dim: d }, &[&a], composed)?.with_grad([&a], |s| {
        let sy = s.output();
        grad_fn(move |c, g| Ok([Some(softmax_backward(g, &sy.get(c)?, d)?)]))
    })?;
    if x.rank() == 0 { reshape(&y, &[]) } else { Ok(y) }
}

/// Returns the logarithm of softmax along `dim`, computed without overflow; `dtype` converts first.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.log_softmax.html>
#[op("(input, dim, *, dtype=None)", float_only,
    samples = ["T(3, 4), 1", "T(3, 4), 0", "T(2, 3, 2), -2", "T(), 0", "T(0, 2), 0", "T(2, 0), 1", "I(3), 0, dtype=float32", "T(4, dtype=bfloat16), 0"],
    errors = [("T(3), 4", "Dimension out of range (expected to be in range of [-1, 0], but got 4)"),
        ("I(3), 0", "\"log_softmax_lastdim_kernel_impl\" not implemented for 'Long'")])]
pub fn log_softmax(x: &Tensor, dim: i64, dtype: Option<DType>) -> Result<Tensor> {
    let (a, d) = operand("log_softmax", x, dim, dtype)?;
    let composed = || {
        let x = shifted(&a, d)?;
        to_dtype(&sub(&x, &log(&sum_along(&exp(&x)?, d)?)?, ONE)?, a.dtype())
    };
    let y = along(KernelId::LogSoftmax { dim: d }, &[&a], composed)?.with_grad([&a], |s| {
        let sy = s.output();
        grad_fn(move |c, g| Ok([Some(log_softmax_backward(g, &sy.get(c)?, d)?)]))
    })?;
    if x.rank() == 0 { reshape(&y, &[]) } else { Ok(y) }
}

/// Returns the softmax of `-input` along `dim`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softmin.html>
#[op("(input, dim, *, dtype=None)", nn, float_only, samples = ["T(3, 4), dim=1", "T(), dim=0", "T(0, 2), dim=0"], errors = [("T(3), 4", "Dimension out of range")])]
pub fn softmin(x: &Tensor, dim: i64, dtype: Option<DType>) -> Result<Tensor> {
    softmax(&neg(x)?, dim, dtype)
}
