//! Attention, and the bilinear form.

use super::fused::{as_grads, custom, through};
use super::linalg::{affine, c_name, mt};
use super::*;
use crate::autograd::{grad_fn, is_recorded};
use rushlight_kernels::backend::{Attention, KernelId, ReduceOp};

ops![scaled_dot_product_attention, bilinear];

/// Returns `softmax(query @ keyᵀ * scale + attn_mask) @ value` for `query` `[…, l, e]`, `key` `[…, s, e]` and `value` `[…, s, v]`: `[…, l, v]`.
///
/// The leading dimensions broadcast. `attn_mask` broadcasts to `[…, l, s]`; a boolean one lets in the elements where it is true, and a row that
/// lets in none gives zeros. `is_causal` lets query `i` see keys up to `i`. `scale` is `1 / sqrt(e)` unless given. With `enable_gqa` each head
/// (dimension -3) of `key` and `value` serves several of `query`. `dropout_p` drops weights at any time: pass zero in evaluation.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html>
#[op("(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, *, scale=None, enable_gqa=False)", nn, random, float_only,
    samples = ["T(2, 2, 3), T(2, 4, 3), T(2, 4, 2)", "T(1, 2, 3, 2), T(1, 2, 3, 2), T(1, 2, 3, 2), is_causal=True",
        "T(2, 3), T(4, 3), T(4, 2), T(2, 4), scale=0.3", "T(2, 2, 3), T(4, 3), T(4, 2), B(2, 1, 4)", "T(1, 4, 2, 3), T(1, 2, 3, 3), T(1, 2, 3, 2), enable_gqa=True",
        "T(2, 3), T(3, 3), T(3, 3), dropout_p=0.5", "T(0, 2, 3), T(0, 2, 3), T(0, 2, 3)", "T(1, 2, 3), T(1, 0, 3), T(1, 0, 2)"],
    errors = [("T(3), T(2, 3), T(2, 3)", "Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: 1 key.dim: 2 and value.dim: 2 instead."),
        ("T(1, 2, 3), T(1, 3, 4), T(1, 3, 3)", "Expected size for first two dimensions of batch2 tensor to be: [1, 3] but got: [1, 4]."),
        ("T(1, 2, 3), T(1, 3, 3), T(1, 2, 3)", "Expected size for first two dimensions of batch2 tensor to be: [1, 3] but got: [1, 2]."),
        ("T(1, 2, 3), T(1, 3, 3, dtype=float64), T(1, 3, 5)", "Expected query, key, and value to have the same dtype"),
        ("T(1, 2, 3), T(1, 3, 3), T(1, 3, 5), T(3, 3)", "The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 1"),
        ("T(1, 2, 3), T(1, 3, 3), T(1, 3, 5), I(2, 3)", "Expected attn_mask dtype to be bool or float or to match query dtype"),
        ("T(2, 3), T(2, 3), T(2, 3), B(2, 2), is_causal=True", "Explicit attn_mask should not be set when is_causal=True"),
        ("T(2, 3), T(2, 3), T(2, 3), dropout_p=1.5", "dropout probability has to be between 0 and 1, but got 1.5"),
        ("T(1, 5, 2, 3), T(1, 2, 3, 3), T(1, 2, 3, 5), enable_gqa=True", "Number of heads in key and value must divide the number of heads in query")])]
#[expect(clippy::too_many_arguments, reason = "PyTorch's signature")]
pub fn scaled_dot_product_attention(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    attn_mask: Option<&Tensor>,
    dropout_p: f64,
    is_causal: bool,
    scale: Option<f64>,
    enable_gqa: bool,
) -> Result<Tensor> {
    check_operands([query, key, value])?;
    if !(0.0..=1.0).contains(&dropout_p) {
        return Err(Error::runtime(format!("dropout probability has to be between 0 and 1, but got {dropout_p}")));
    }
    if is_causal && attn_mask.is_some() {
        return Err(Error::runtime("_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True"));
    }
    let (key, value) = match enable_gqa {
        true => (shared_heads(query, key)?, shared_heads(query, value)?),
        false => (key.clone(), value.clone()),
    };
    let scores = check_products(query, &key, &value)?;
    let scale = scale.unwrap_or(1.0 / (query.shape()[query.rank() - 1] as f64).sqrt());
    let mask = attn_mask.map(|mask| checked_mask(mask, query, &scores)).transpose()?;
    if dropout_p == 0.0
        && let Some(out) = in_one_pass(query, &key, &value, mask.as_ref(), &scores, Attention { scale, causal: is_causal })?
    {
        return Ok(out);
    }
    composed(query, &key, &value, mask.as_ref(), dropout_p, is_causal, scale)
}

/// With fewer queries than this, their products with many keys are better made as products of matrices, which read the keys in place.
const FEW_QUERIES: usize = 4;
const MANY_KEYS: usize = 128;

/// Attention as one kernel, which makes no tensor of scores; `None` where there is none for the operands.
fn in_one_pass(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    mask: Option<&Tensor>,
    scores: &Dims,
    op: Attention,
) -> Result<Option<Tensor>> {
    let (batch, l, s) = (&scores[..scores.len() - 2], scores[scores.len() - 2], scores[scores.len() - 1]);
    let few = l < FEW_QUERIES && s > MANY_KEYS;
    // Of a mask that is learnt the gradient is wanted: the scores' own.
    if few || [query, key, value].iter().any(|t| t.numel() == 0) || mask.is_some_and(|m| is_recorded(&[m])) {
        return Ok(None);
    }
    let over_batch = |t: &Tensor| {
        let shape = t.shape();
        let whole: Dims = batch.iter().chain(&shape[shape.len() - 2..]).copied().collect();
        t.data().expand(&whole)
    };
    // The value may have batch dimensions that the scores lack; PyTorch broadcasts them too. Rare: the composed version's.
    let (Ok(k), Ok(v)) = (over_batch(key), over_batch(value)) else { return Ok(None) };
    let q = over_batch(query)?;
    let mask = mask.map(|m| m.data().expand(scores)).transpose()?;
    let width = value.size(-1);
    let shape: Dims = batch.iter().copied().chain([l, width]).collect();
    let out = Layout::contiguous(&shape);
    let wide = query.dtype().compute();
    let ins: SmallVec<[Data; 4]> = [q, k, v].into_iter().chain(mask.clone()).collect();
    let rows: Dims = scores[..scores.len() - 1].iter().copied().chain([2]).collect();
    let lse = Layout::contiguous(&rows);
    let Some(outs) = custom(KernelId::Attention(op), &ins, &[(out, query.dtype()), (lse, wide)])? else { return Ok(None) };
    let mut outs = outs.into_iter();
    let (Some(out), Some(lse)) = (outs.next(), outs.next()) else { return Err(Error::runtime("attention has two results")) };
    let out = Tensor::from_data(out);
    let scores = scores.clone();
    let out = out.with_grad([query, key, value], |s| {
        let saved = [query, key, value].map(|t| s.input(t));
        let result = s.output();
        grad_fn(move |c, g| {
            let [query, key, value] = match saved.each_ref().map(|t| t.get(c)) {
                [q, k, v] => [q?, k?, v?],
            };
            if c.create_graph() {
                let mask = mask.clone().map(Tensor::from_data);
                return through(
                    &[Some(query), Some(key), Some(value)],
                    |i| c.needs(i),
                    g,
                    |t| {
                        let at = |i: usize| t[i].as_ref().expect("given above");
                        composed(at(0), at(1), at(2), mask.as_ref(), 0.0, op.causal, op.scale)
                    },
                );
            }
            let batch = &scores[..scores.len() - 2];
            let over_batch = |t: &Tensor| {
                let shape = t.shape();
                let whole: Dims = batch.iter().chain(&shape[shape.len() - 2..]).copied().collect();
                t.data().expand(&whole)
            };
            let (q, k, v) = (over_batch(&query)?, over_batch(&key)?, over_batch(&value)?);
            let specs = [&q, &k, &v].map(|d| (arranged_as(&d.layout), d.dtype));
            let ins: SmallVec<[Data; 7]> =
                [g.data(), q, k, v, result.get(c)?.data(), lse.clone()].into_iter().chain(mask.clone()).collect();
            let made = custom(KernelId::AttentionBackward(op), &ins, &specs)?;
            let made = made.ok_or_else(|| Error::runtime("a backend with attention has its derivative too"))?;
            Ok(as_grads(made).collect())
        })
    })?;
    Ok(Some(out))
}

/// A dense layout of this shape whose dimensions lie in the same order, so that the derivative of a view that made the order copies nothing.
fn arranged_as(layout: &Layout) -> Layout {
    let mut order: Dims = (0..layout.rank()).collect();
    if layout.strides.iter().all(|&s| s > 0) {
        order.sort_by_key(|&d| std::cmp::Reverse(layout.strides[d]));
    }
    let shape: Dims = order.iter().map(|&d| layout.shape[d]).collect();
    let mut back: Dims = SmallVec::from_elem(0, order.len());
    order.iter().enumerate().for_each(|(i, &d)| back[d] = i);
    Layout::contiguous(&shape).permute(&back)
}

/// Attention as products of matrices and a softmax.
fn composed(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    mask: Option<&Tensor>,
    dropout_p: f64,
    is_causal: bool,
    scale: f64,
) -> Result<Tensor> {
    let mask = match mask {
        Some(mask) if mask.dtype() == DType::Bool => Some(minus_infinity_outside(mask, query.dtype())?),
        Some(mask) => Some(mask.clone()),
        None if is_causal => {
            let (l, s) = (query.size(-2) as i64, key.size(-2) as i64);
            Some(minus_infinity_outside(&tril(&ones(&[l, s], Some(DType::Bool))?, 0)?, query.dtype())?)
        }
        None => None,
    };
    let closed = mask.as_ref().map(closed_rows).transpose()?.flatten();
    // A row without anything to look at would be 0/0: it looks at everything, and its weights are made zeros.
    let mask = match (&mask, &closed) {
        (Some(mask), Some(closed)) => Some(masked_fill(mask, closed, &number(0.0))?),
        _ => mask,
    };
    // Scale and mask go into the product: one pass.
    let bias = mask.as_ref().map(|mask| (mask, Scalar::Int(1)));
    let mut weights = softmax(&affine(query, &mt(key)?, Scalar::Float(scale), bias)?, -1, None)?;
    if let Some(closed) = &closed {
        weights = masked_fill(&weights, closed, &number(0.0))?;
    }
    if dropout_p > 0.0 {
        weights = dropout(&weights, dropout_p, true)?;
    }
    affine(&weights, value, Scalar::Int(1), None)
}

fn number(v: f64) -> Tensor {
    Tensor::wrapped_number(Scalar::Float(v))
}

fn check_operands([q, k, v]: [&Tensor; 3]) -> Result<()> {
    if [q, k, v].iter().any(|t| t.rank() < 2) {
        return Err(Error::runtime(format!(
            "Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: {} key.dim: {} and value.dim: {} instead.",
            q.rank(),
            k.rank(),
            v.rank()
        )));
    }
    if q.dtype() != k.dtype() || q.dtype() != v.dtype() {
        return Err(Error::runtime(format!(
            "Expected query, key, and value to have the same dtype, but got query.dtype: {} key.dtype: {} and value.dtype: {} instead.",
            c_name(q.dtype()),
            c_name(k.dtype()),
            c_name(v.dtype())
        )));
    }
    if q.dtype().is_float() { Ok(()) } else { Err(unsupported(q.dtype())) }
}

/// Checks the two products, and returns the shape of the first.
fn check_products(q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Dims> {
    let (qs, ks, vs) = (q.shape(), k.shape(), v.shape());
    let tail = |s: &Dims| (s[s.len() - 2], s[s.len() - 1]);
    let ((l, e), (s, ek), (sv, _)) = (tail(&qs), tail(&ks), tail(&vs));
    let mut batch = broadcast(&qs[..qs.len() - 2], &ks[..ks.len() - 2])?;
    broadcast(&batch, &vs[..vs.len() - 2])?;
    let misfit = |expected: usize, got: usize| {
        let b: usize = batch.iter().product();
        Err(Error::runtime(format!(
            "Expected size for first two dimensions of batch2 tensor to be: [{b}, {expected}] but got: [{b}, {got}]. (query {qs:?}, key {ks:?}, value {vs:?})"
        )))
    };
    if e != ek {
        return misfit(e, ek);
    }
    if s != sv {
        return misfit(s, sv);
    }
    batch.extend([l, s]);
    Ok(batch)
}

/// The heads of `t`, repeated so that there are as many as in `query`.
fn shared_heads(query: &Tensor, t: &Tensor) -> Result<Tensor> {
    let heads = |x: &Tensor| if x.rank() < 3 { 1 } else { x.shape()[x.rank() - 3] };
    let (all, few) = (heads(query), heads(t));
    if few == 0 || all % few != 0 {
        return Err(Error::runtime(format!(
            "Number of heads in key and value must divide the number of heads in query (query {:?}, key or value {:?})",
            query.shape(),
            t.shape()
        )));
    }
    if all == few { Ok(t.clone()) } else { repeat_interleave(t, (all / few) as i64, Some(-3), None) }
}

/// A mask for scores of this shape: of bools, or of numbers in the query's dtype.
fn checked_mask(mask: &Tensor, query: &Tensor, scores: &Dims) -> Result<Tensor> {
    let whole = broadcast(scores, &mask.shape())?;
    if whole != *scores {
        return Err(Error::runtime(format!(
            "output with shape {scores:?} doesn't match the broadcast shape {whole:?} of attn_mask"
        )));
    }
    let mask = if mask.rank() == 0 { unsqueeze(mask, 0)? } else { mask.clone() };
    match mask.dtype() {
        DType::Bool => Ok(mask),
        // PyTorch takes single precision with any query.
        d if d == query.dtype() || d == DType::F32 => to_dtype(&mask, query.dtype()),
        d => Err(Error::runtime(format!(
            "Expected attn_mask dtype to be bool or float or to match query dtype, but got attn_mask.dtype: {} and  query.dtype: {} instead.",
            c_name(d),
            c_name(query.dtype())
        ))),
    }
}

fn minus_infinity_outside(mask: &Tensor, dtype: DType) -> Result<Tensor> {
    masked_fill(&zeros_like(mask, Some(dtype))?, &logical_not(mask)?, &number(f64::NEG_INFINITY))
}

/// The rows of an additive mask that are closed everywhere, if there are any.
fn closed_rows(mask: &Tensor) -> Result<Option<Tensor>> {
    let mask = mask.detach();
    let closed = reduce(ReduceOp::All, &eq(&mask, &number(f64::NEG_INFINITY))?, &[mask.rank() - 1], true, DType::Bool)?;
    let all: Dims = (0..closed.rank()).collect();
    let found = reduce(ReduceOp::Any, &closed, &all, false, DType::Bool)?.try_item::<bool>()?;
    Ok(found.then_some(closed))
}

/// Returns `Σᵢⱼ input1[…, i] weight[o, i, j] input2[…, j] + bias[o]`: `[…, o]` for `input1` `[…, n]`, `input2` `[…, m]` and `weight` `[out, n, m]`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.bilinear.html>
#[op("(input1, input2, weight, bias=None)", nn, float_only,
    samples = ["T(2, 3), T(2, 4), T(5, 3, 4), T(5)", "T(3), T(2), T(2, 3, 2)", "T(2, 1, 3), T(2, 1, 2), T(1, 3, 2)", "T(0, 3), T(0, 2), T(2, 3, 2), T(2)"],
    errors = [("T(2, 3), T(3, 4), T(5, 3, 4)", "bilinear(): input batch dimensions do not match at dim 0: got 2 and 3"),
        ("T(2, 3), T(2, 4), T(5, 2, 4)", "bilinear(): input1 size does not match weight size: got 3 but expected 2"),
        ("T(2, 3), T(2, 5), T(5, 3, 4)", "bilinear(): input2 size does not match weight size: got 5 but expected 4"),
        ("T(2, 3), T(2, 4), T(5, 3, 4), T(4)", "bilinear(): bias size does not match weight size: got 4 but expected 5"),
        ("T(2, 2, 3), T(2, 4), T(5, 3, 4)", "bilinear(): input dimensions do not match: got 3 and 2"),
        ("T(2, 3), T(2, 4), T(5, 3)", "bilinear(): weight must have 3 dimensions")])]
pub fn bilinear(input1: &Tensor, input2: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (a, b, w) = (input1.shape(), input2.shape(), weight.shape());
    let error = |text: String| Err(Error::runtime(format!("bilinear(): {text} (input1 {a:?}, input2 {b:?}, weight {w:?})")));
    if a.len() != b.len() {
        return error(format!("input dimensions do not match: got {} and {}", a.len(), b.len()));
    }
    let [out, n, m] = w[..] else { return error(format!("weight must have 3 dimensions, but got {}", w.len())) };
    let (Some((&na, lead)), Some((&nb, other))) = (a.split_last(), b.split_last()) else {
        return error("inputs must have at least 1 dimension".into());
    };
    if let Some(d) = (0..lead.len()).find(|&d| lead[d] != other[d]) {
        return error(format!("input batch dimensions do not match at dim {d}: got {} and {}", lead[d], other[d]));
    }
    for (i, given, expected) in [(1, na, n), (2, nb, m)] {
        if given != expected {
            return error(format!("input{i} size does not match weight size: got {given} but expected {expected}"));
        }
    }
    if let Some(bias) = bias.filter(|bias| bias.shape().as_slice() != [out]) {
        return error(format!("bias size does not match weight size: got {} but expected {out}", bias.numel()));
    }
    let rows = lead.iter().product::<usize>() as i64;
    let (x, y) = (reshape(input1, &[rows, na as i64])?, reshape(input2, &[rows, nb as i64, 1])?);
    // [out, rows, m], then for each row [out, m] @ [m, 1].
    let left = permute(&matmul(&unsqueeze(&x, 0)?, weight)?, &[1, 0, 2])?;
    let sizes: crate::op::Ints = lead.iter().chain([&out]).map(|&n| n as i64).collect();
    let z = reshape(&matmul(&left, &y)?, &sizes)?;
    bias.map_or(Ok(z.clone()), |bias| add(&z, bias, Scalar::Int(1)))
}
