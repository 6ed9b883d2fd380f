//! Attention with several heads, and the transformer's encoder layer.

use super::builder::builder;
use super::forward::{Within, inside};
use super::{Dropout, Forward, LayerNorm, Linear, Module, Parameter, Training, init};
use crate::op::AsTensor;
use crate::{DType, Error, Result, Tensor, ops};

/// Attention with several heads (Vaswani et al., "Attention Is All You Need", 2017): queries `[l, n, embed_dim]`, keys and values
/// `[s, n, …]` (`[n, l, …]` with `batch_first`; or without `n`).
///
/// Parameters: `in_proj_weight` `[3 · embed_dim, embed_dim]` (or `q_proj_weight`, `k_proj_weight`, `v_proj_weight` where keys or values have
/// other sizes), `in_proj_bias`, `bias_k`, `bias_v`, `out_proj.weight`, `out_proj.bias`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiheadAttention.html>
#[derive(Module, Clone, Debug)]
pub struct MultiheadAttention {
    in_proj_weight: Option<Parameter>,
    q_proj_weight: Option<Parameter>,
    k_proj_weight: Option<Parameter>,
    v_proj_weight: Option<Parameter>,
    in_proj_bias: Option<Parameter>,
    bias_k: Option<Parameter>,
    bias_v: Option<Parameter>,
    out_proj: Linear,
    training: Training,
    #[module(skip)]
    options: MultiheadAttentionBuilder,
}

builder! {
    /// Settings of [`MultiheadAttention`].
    MultiheadAttentionBuilder for MultiheadAttention {
        embed_dim: usize, num_heads: usize;
        /// Probability of dropout of attention weights.
        dropout: f64 = 0.0,
        /// Add biases to the projections.
        bias: bool = true,
        /// Learn one more key and value, which every query sees.
        add_bias_kv: bool = false,
        /// Add a key and value of zeros, which every query sees.
        add_zero_attn: bool = false,
        /// Size of keys; `embed_dim` where none is given.
        kdim => Option<usize> = None,
        /// Size of values; `embed_dim` where none is given.
        vdim => Option<usize> = None,
        /// Inputs and outputs are `[n, l, …]` instead of `[l, n, …]`.
        batch_first: bool = false,
    }
}

/// What a call of [`MultiheadAttention::attend`] may say besides queries, keys and values.
#[derive(Clone, Copy)]
pub struct AttentionOptions<'a> {
    /// Keys that nobody sees: `[n, s]` (or `[s]`), true for those; or numbers that are added to the logits.
    pub key_padding_mask: Option<&'a Tensor>,
    /// What a query does not see: `[l, s]` or `[n · heads, l, s]`, true for that; or numbers that are added to the logits.
    pub attn_mask: Option<&'a Tensor>,
    /// Query `i` sees keys up to `i`.
    pub is_causal: bool,
    /// Give the attention weights too, which takes more memory and time.
    pub need_weights: bool,
    /// Average the weights over the heads.
    pub average_attn_weights: bool,
}

impl Default for AttentionOptions<'_> {
    fn default() -> Self {
        AttentionOptions {
            key_padding_mask: None,
            attn_mask: None,
            is_causal: false,
            need_weights: true,
            average_attn_weights: true,
        }
    }
}

impl MultiheadAttention {
    fn make(o: MultiheadAttentionBuilder) -> Result<MultiheadAttention> {
        let e = o.embed_dim;
        if e == 0 || o.num_heads == 0 {
            return Err(Error::value(format!(
                "embed_dim and num_heads must be greater than 0, got embed_dim={e} and num_heads={} instead",
                o.num_heads
            )));
        }
        if !e.is_multiple_of(o.num_heads) {
            return Err(Error::value(format!("embed_dim must be divisible by num_heads, got {e} and {}", o.num_heads)));
        }
        let (kdim, vdim) = (o.kdim.unwrap_or(e), o.vdim.unwrap_or(e));
        // The output projection is drawn first, as it is made in PyTorch's constructor before the others are filled.
        let out_proj = Linear::builder(e, e).bias(o.bias).try_build()?;
        out_proj.bias.as_ref().map_or(Ok(()), |b| init::zeros_(b))?;
        let xavier = |shape: &[usize]| -> Result<Parameter> {
            let p = Parameter::zeros(shape)?;
            init::xavier_uniform_(&p, 1.0)?;
            Ok(p)
        };
        let same = kdim == e && vdim == e;
        let in_proj_weight = same.then(|| xavier(&[3 * e, e])).transpose()?;
        let q_proj_weight = (!same).then(|| xavier(&[e, e])).transpose()?;
        let k_proj_weight = (!same).then(|| xavier(&[e, kdim])).transpose()?;
        let v_proj_weight = (!same).then(|| xavier(&[e, vdim])).transpose()?;
        let in_proj_bias = o.bias.then(|| Parameter::zeros(&[3 * e])).transpose()?;
        let extra = || -> Result<Parameter> {
            let p = Parameter::zeros(&[1, 1, e])?;
            init::xavier_normal_(&p, 1.0)?;
            Ok(p)
        };
        let bias_k = o.add_bias_kv.then(extra).transpose()?;
        let bias_v = o.add_bias_kv.then(extra).transpose()?;
        let training = Training::default();
        Ok(MultiheadAttention {
            in_proj_weight,
            q_proj_weight,
            k_proj_weight,
            v_proj_weight,
            in_proj_bias,
            bias_k,
            bias_v,
            out_proj,
            training,
            options: o,
        })
    }

    /// The result, shaped as `query`, and the attention weights `[n, l, s]` (`[n, heads, l, s]` unless averaged) if wanted.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn attend(
        &self,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        options: AttentionOptions,
    ) -> Result<(Tensor, Option<Tensor>)> {
        inside(self, self.run(query, key, value, options))
    }

    fn run(&self, query: &Tensor, key: &Tensor, value: &Tensor, a: AttentionOptions) -> Result<(Tensor, Option<Tensor>)> {
        let batched = self.check(query, key, value)?;
        let first = self.options.batch_first;
        // Time first, then the batch.
        let arranged = |t: &Tensor| match (batched, first) {
            (false, _) => ops::unsqueeze(t, 1),
            (true, true) => ops::transpose(t, 0, 1),
            (true, false) => Ok(t.clone()),
        };
        // The same tensor stays the same: then one product projects all three.
        let q = arranged(query)?;
        let k = if key.is_same(query) { q.clone() } else { arranged(key)? };
        let v = if value.is_same(key) { k.clone() } else { arranged(value)? };
        let (l, n, heads) = (q.shape()[0] as i64, q.shape()[1] as i64, self.options.num_heads as i64);
        let e = self.options.embed_dim as i64;
        let [q, mut k, mut v] = self.project(&q, &k, &v)?;
        let mut extra = 0;
        if let (Some(bias_k), Some(bias_v)) = (&self.bias_k, &self.bias_v) {
            let row = |b: &Tensor| ops::expand(b, &[1, n, e]);
            (k, v) = (ops::cat(&[k, row(bias_k)?], 0)?, ops::cat(&[v, row(bias_v)?], 0)?);
            extra += 1;
        }
        if self.options.add_zero_attn {
            let zeros = ops::zeros(&[1, n, e], Some(k.dtype()))?;
            (k, v) = (ops::cat(&[k, zeros.clone()], 0)?, ops::cat(&[v, zeros], 0)?);
            extra += 1;
        }
        let s = k.shape()[0] as i64;
        // [time, n, e] to [n, heads, time, e / heads].
        let split = |t: &Tensor, time: i64| ops::permute(&ops::reshape(t, &[time, n, heads, e / heads])?, &[1, 2, 0, 3]);
        let (q, k, v) = (split(&q, l)?, split(&k, s)?, split(&v, s)?);
        let dropout = if self.training.get() { self.options.dropout } else { 0.0 };
        let alone = a.is_causal && a.key_padding_mask.is_none() && extra == 0 && !a.need_weights;
        let mask = if alone { None } else { self.mask(&a, [l, s, n], extra, q.dtype())? };
        let (y, weights) = if a.need_weights {
            let scaled = q.try_mul((heads as f64 / e as f64).sqrt())?;
            let logits = ops::matmul(&scaled, &ops::transpose(&k, 2, 3)?)?;
            let logits = mask.map_or(Ok(logits.clone()), |m| logits.try_add(m))?;
            let weights = ops::dropout(&ops::softmax(&logits, -1, None)?, dropout, true)?;
            (ops::matmul(&weights, &v)?, Some(weights))
        } else {
            (ops::scaled_dot_product_attention(&q, &k, &v, mask.as_ref(), dropout, alone, None, false)?, None)
        };
        let y = ops::reshape(&ops::permute(&y, &[2, 0, 1, 3])?, &[l, n, e])?;
        let y = self.out_proj.forward(&y).within("out_proj")?;
        let y = match (batched, first) {
            (false, _) => ops::squeeze_dim(&y, &[1])?,
            (true, true) => ops::transpose(&y, 0, 1)?,
            (true, false) => y,
        };
        let weights = weights
            .map(|w| if a.average_attn_weights { ops::mean_dim(&w, Some(&[1]), false, None) } else { Ok(w) })
            .transpose()?;
        Ok((y, weights.map(|w| if batched { Ok(w) } else { ops::squeeze_dim(&w, &[0]) }).transpose()?))
    }

    /// Whether there is a batch.
    fn check(&self, query: &Tensor, key: &Tensor, value: &Tensor) -> Result<bool> {
        let (q, k, v) = (query.shape(), key.shape(), value.shape());
        let fail = |what: String| {
            Err(Error::runtime(format!("{what}; query {:?}, key {:?}, value {:?}", q.as_slice(), k.as_slice(), v.as_slice())))
        };
        if !(2..=3).contains(&q.len()) {
            return fail(format!("query should be unbatched 2D or batched 3D tensor but received {}-D query tensor", q.len()));
        }
        if k.len() != q.len() || v.len() != q.len() {
            return fail(format!("For {}-D query, expected key and value to be {}-D", q.len(), q.len()));
        }
        let last = q.len() - 1;
        let e = self.options.embed_dim;
        let wanted = [e, self.options.kdim.unwrap_or(e), self.options.vdim.unwrap_or(e)];
        if [q[last], k[last], v[last]] != wanted {
            return fail(format!("was expecting embedding dimensions of {wanted:?} for query, key and value"));
        }
        if k[..last] != v[..last] {
            return fail("key's sequence and batch dims do not match value's".to_string());
        }
        let batch = if self.options.batch_first { 0 } else { 1 };
        if q.len() == 3 && q[batch] != k[batch] {
            return fail("query's batch size does not match key's".to_string());
        }
        Ok(q.len() == 3)
    }

    fn project(&self, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<[Tensor; 3]> {
        let e = self.options.embed_dim as i64;
        let bias = self.in_proj_bias.as_deref();
        if let (Some(w), true, true) = (&self.in_proj_weight, q.is_same(k), k.is_same(v)) {
            let parts = ops::chunk(&ops::linear(q, w, bias)?, 3, -1)?;
            return Ok(<[Tensor; 3]>::try_from(parts).unwrap_or_else(|_| unreachable!("three chunks of three sizes")));
        }
        let one = |i: i64, x: &Tensor, own: &Option<Parameter>| -> Result<Tensor> {
            let weight = match (own, &self.in_proj_weight) {
                (Some(own), _) => own.as_tensor().into_owned(),
                (None, Some(all)) => ops::narrow(all, 0, i * e, e)?,
                (None, None) => unreachable!("one or the other is made"),
            };
            let bias = bias.map(|b| ops::narrow(b, 0, i * e, e)).transpose()?;
            ops::linear(x, &weight, bias.as_ref())
        };
        Ok([one(0, q, &self.q_proj_weight)?, one(1, k, &self.k_proj_weight)?, one(2, v, &self.v_proj_weight)?])
    }

    /// All masks as one that is added to logits `[n, heads, l, s]`; `extra` keys at the end are seen by every query.
    fn mask(&self, a: &AttentionOptions, [l, s, n]: [i64; 3], extra: i64, dtype: DType) -> Result<Option<Tensor>> {
        let (own, heads) = (s - extra, self.options.num_heads as i64);
        let as_added = |name: &str, m: &Tensor| {
            if m.dtype() == DType::Bool {
                let zeros = ops::zeros(&[], Some(dtype))?;
                return ops::where_(m, &ops::full(&[], f64::NEG_INFINITY.into(), Some(dtype))?, &zeros);
            }
            if !m.dtype().is_float() {
                return Err(Error::runtime(format!(
                    "only bool and floating types of {name} are supported, but got {}",
                    m.dtype()
                )));
            }
            ops::to_dtype(m, dtype)
        };
        let widened = |m: Tensor| if extra == 0 { Ok(m) } else { ops::pad(&m, &[0, extra], "constant", None) };
        let mut sum: Option<Tensor> = None;
        let mut add = |m: Tensor| -> Result<()> {
            let m = widened(m)?;
            sum = Some(if let Some(sum) = &sum { sum.try_add(&m)? } else { m });
            Ok(())
        };
        if let Some(m) = a.attn_mask {
            let m = as_added("attn_mask", m)?;
            let wanted = if m.rank() == 2 { vec![l, own] } else { vec![n * heads, l, own] };
            let shape: Vec<i64> = m.shape().iter().map(|&d| d as i64).collect();
            if shape != wanted {
                return Err(Error::runtime(format!(
                    "The shape of the {}D attn_mask is {shape:?}, but should be {wanted:?}.",
                    m.rank()
                )));
            }
            add(if m.rank() == 2 { m } else { ops::reshape(&m, &[n, heads, l, own])? })?;
        } else if a.is_causal {
            let ones = ops::ones(&[l, own], Some(DType::Bool))?;
            add(as_added("attn_mask", &ops::triu(&ones, 1)?)?)?;
        }
        if let Some(m) = a.key_padding_mask {
            let m = as_added("key_padding_mask", m)?;
            let m = if m.rank() == 1 { ops::unsqueeze(&m, 0)? } else { m };
            if m.shape().as_slice() != [n as usize, own as usize] {
                return Err(Error::runtime(format!(
                    "Expected `key_padding_mask.shape` to be {:?}, but got {:?}",
                    [n, own],
                    m.shape().as_slice()
                )));
            }
            add(ops::reshape(&m, &[n, 1, 1, own])?)?;
        }
        Ok(sum)
    }
}

/// Attention of a sequence to itself.
impl Forward for MultiheadAttention {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.attend(x, x, x, AttentionOptions { need_weights: false, ..Default::default() })?.0)
    }
}

/// The function between the two linear maps of a transformer's layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransformerActivation {
    /// `max(0, x)`.
    #[default]
    ReLU,
    /// `x Φ(x)`.
    GELU,
}

/// A layer of a transformer's encoder: attention of a sequence to itself, then two linear maps on each element, both with a residual
/// connection and a layer norm.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.TransformerEncoderLayer.html>
#[derive(Module, Clone, Debug)]
pub struct TransformerEncoderLayer {
    self_attn: MultiheadAttention,
    linear1: Linear,
    dropout: Dropout,
    linear2: Linear,
    norm1: LayerNorm,
    norm2: LayerNorm,
    dropout1: Dropout,
    dropout2: Dropout,
    norm_first: bool,
    #[module(skip)]
    activation: TransformerActivation,
}

builder! {
    /// Settings of [`TransformerEncoderLayer`].
    TransformerEncoderLayerBuilder for TransformerEncoderLayer {
        d_model: usize, nhead: usize;
        /// Size between the two linear maps.
        dim_feedforward: usize = 2048usize,
        /// Probability of dropout of attention weights and of both parts' results.
        dropout: f64 = 0.1,
        /// The function between the two linear maps.
        activation: TransformerActivation = TransformerActivation::ReLU,
        /// Added to the variance.
        layer_norm_eps: f64 = 1e-5,
        /// Inputs and outputs are `[n, l, …]` instead of `[l, n, …]`.
        batch_first: bool = false,
        /// Normalise before each part instead of after it.
        norm_first: bool = false,
        /// Add biases.
        bias: bool = true,
    }
}

impl TransformerEncoderLayer {
    fn make(o: TransformerEncoderLayerBuilder) -> Result<TransformerEncoderLayer> {
        let norm = || LayerNorm::builder(o.d_model).eps(o.layer_norm_eps).bias(o.bias).try_build();
        let attention =
            MultiheadAttention::builder(o.d_model, o.nhead).dropout(o.dropout).bias(o.bias).batch_first(o.batch_first);
        Ok(TransformerEncoderLayer {
            self_attn: attention.try_build()?,
            linear1: Linear::builder(o.d_model, o.dim_feedforward).bias(o.bias).try_build()?,
            dropout: Dropout::try_new(o.dropout)?,
            linear2: Linear::builder(o.dim_feedforward, o.d_model).bias(o.bias).try_build()?,
            norm1: norm()?,
            norm2: norm()?,
            dropout1: Dropout::try_new(o.dropout)?,
            dropout2: Dropout::try_new(o.dropout)?,
            norm_first: o.norm_first,
            activation: o.activation,
        })
    }

    /// As `forward`, with masks.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward_with(&self, x: &Tensor, masks: AttentionOptions) -> Result<Tensor> {
        let attention = |x: &Tensor| {
            let (y, _) = self.self_attn.attend(x, x, x, AttentionOptions { need_weights: false, ..masks }).within("self_attn")?;
            self.dropout1.forward(&y)
        };
        let maps = |x: &Tensor| {
            let hidden = self.linear1.forward(x).within("linear1")?;
            let hidden = match self.activation {
                TransformerActivation::ReLU => ops::relu(&hidden)?,
                TransformerActivation::GELU => ops::gelu(&hidden, "none")?,
            };
            self.dropout2.forward(&self.linear2.forward(&self.dropout.forward(&hidden)?).within("linear2")?)
        };
        let norm1 = |x: &Tensor| self.norm1.forward(x).within("norm1");
        let norm2 = |x: &Tensor| self.norm2.forward(x).within("norm2");
        if self.norm_first {
            let x = x.try_add(attention(&norm1(x)?)?)?;
            return x.try_add(maps(&norm2(&x)?)?);
        }
        let x = norm1(&x.try_add(attention(x)?)?)?;
        norm2(&x.try_add(maps(&x)?)?)
    }
}

impl Forward for TransformerEncoderLayer {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_with(x, AttentionOptions::default())
    }
}
