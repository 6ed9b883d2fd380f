//! Normalisation: by layer, group, batch, instance, length.
//!
//! All but the last run as one kernel, forward and backward ([`in_one_pass`]). Where there is none for the operands, and for derivatives of higher
//! order, they come from two ops: [`standardise`] brings groups of elements to mean zero and variance one, [`scale_shift`] applies weight and
//! bias.

use super::formula::{compute, derivative};
use super::fused::{as_grads, custom, through};
use super::*;
use crate::autograd::{self, Grads, grad_fn, grad_fn_many, is_recorded, no_grad};
use rushlight_kernels::backend::{ChannelNorm, KernelId, RowNorm};

ops![layer_norm, rms_norm, group_norm, batch_norm, instance_norm, normalize];

const ONE: Scalar = Scalar::Int(1);

/// A standardised tensor, and the mean and 1/√(variance + eps) of each group; these two have size one at the dimensions of a group.
struct Standardised {
    x: Tensor,
    mean: Tensor,
    rstd: Tensor,
}

/// `(x - mean) / √(variance + eps)` over the dimensions `over`. The mean is a by-product without history.
fn standardise(x: &Tensor, over: &[usize], eps: f64) -> Result<Standardised> {
    if !x.dtype().is_float() {
        return Err(unsupported(x.dtype()));
    }
    let shape = x.shape();
    let kept: Dims = (0..shape.len()).filter(|d| !over.contains(d)).collect();
    let order: Dims = kept.iter().chain(over).copied().collect();
    let rows: Dims = kept.iter().map(|&d| shape[d]).collect();
    // The kernel sees the groups as rows: dimensions permuted, nothing copied. One in front of everything stands for a single group.
    let as_rows = |l: &Layout| l.permute(&order).unsqueeze(0);
    let (out, small, wide) = (Layout::contiguous(&shape), Layout::contiguous(&rows), x.dtype().compute());
    let mut done = None;
    let specs = [(as_rows(&out), x.dtype()), (small.clone(), wide), (small, wide)];
    let outs = storage::compute_many(&specs, &[x.data().with_layout(as_rows(&x.layout()))], |ins, outs| {
        done = backend().custom(KernelId::LayerNorm { eps }, ins, outs)?;
        Ok(())
    })?;
    let column: Dims = (0..shape.len()).map(|d| if over.contains(&d) { 1 } else { shape[d] }).collect();
    let outs = if done.is_some() {
        let relaid = |i: usize, l: Layout| Tensor::from_data(outs[i].with_layout(l));
        [relaid(0, out), relaid(1, Layout::contiguous(&column)), relaid(2, Layout::contiguous(&column))]
    } else {
        let _guard = no_grad();
        let wide = to_dtype(x, wide)?;
        let mean = average(&wide, over)?;
        let centred = sub(&wide, &mean, ONE)?;
        let rstd = rsqrt(&add(&average(&square(&centred)?, over)?, &num(eps), ONE)?)?;
        [to_dtype(&mul(&centred, &rstd)?, x.dtype())?, mean, rstd]
    };
    let [y, mean, rstd] = outs;
    let outs = [y, rstd];
    let over = Dims::from_slice(over);
    let n = over.iter().map(|&d| shape[d]).product::<usize>() as f64;
    autograd::record(&outs, &[x], |s| {
        let (sy, sr) = (s.output_at(0), s.output_at(1));
        grad_fn_many(move |c, g| {
            let (y, rstd) = (sy.get(c)?, sr.get(c)?);
            let through = g[0].as_ref().map(|g| input_grad(g, &y, &rstd, &over)).transpose()?;
            // d rstd / dx = -rstd² y / n
            let aside = g[1].as_ref().map(|g| mul(&mul(&mul(g, &square(&rstd)?)?, &num(-1.0 / n))?, &y)).transpose()?;
            Ok([match (through, aside) {
                (Some(a), Some(b)) => Some(add(&a, &b, ONE)?),
                (a, b) => a.or(b),
            }])
        })
    })?;
    let [y, rstd] = outs;
    Ok(Standardised { x: y, mean, rstd })
}

/// The mean over `over`, which stay with size one; of each element where there are none.
fn average(x: &Tensor, over: &[usize]) -> Result<Tensor> {
    if over.is_empty() {
        return Ok(x.clone());
    }
    let over: SmallVec<[i64; 6]> = over.iter().map(|&d| d as i64).collect();
    mean_dim(x, Some(&over), true, None)
}

/// The gradient of what was standardised to `y`: `rstd (g - mean(g) - y mean(g y))`, the last step in one pass.
fn input_grad(g: &Tensor, y: &Tensor, rstd: &Tensor, over: &[usize]) -> Result<Tensor> {
    let (a, b) = (average(g, over)?, average(&mul(g, y)?, over)?);
    compute([g, y, rstd, &a, &b], |[g, y, r, a, b]| r * (g - a - y * b))?.with_grad([g, y, rstd, &a, &b], |s| {
        derivative(s, [g, y, rstd, &a, &b], |v, [g, y, r, a, b], _| {
            [v * r, -(v * r * b), v * (g - a - y * b), -(v * r), -(v * r * y)]
        })
    })
}

/// `x * weight + bias` in one pass and in x's dtype; either may be missing.
fn scale_shift(x: &Tensor, weight: Option<&Tensor>, bias: Option<&Tensor>) -> Result<Tensor> {
    let y = match (weight, bias) {
        (None, None) => return Ok(x.clone()),
        (Some(w), None) => mul(x, w)?,
        (None, Some(b)) => add(x, b, ONE)?,
        (Some(w), Some(b)) => compute([x, w, b], |[x, w, b]| x * w + b)?
            .with_grad([x, w, b], |s| derivative(s, [x, w, b], |g, [x, w, _], _| [g * w, g * x, g]))?,
    };
    to_dtype(&y, x.dtype())
}

/// A vector per channel, as a factor for `[n, channels, …]` of rank `rank`.
fn per_channel(x: Option<&Tensor>, rank: usize) -> Result<Option<Tensor>> {
    let mut shape: SmallVec<[i64; 6]> = SmallVec::from_elem(1, rank);
    shape[1] = -1;
    x.map(|x| if x.numel() == 0 { Ok(x.clone()) } else { reshape(x, &shape) }).transpose()
}

/// A normalisation by a kernel, and the kernel that gives all three gradients.
struct Kernels {
    forward: KernelId,
    backward: KernelId,
    /// Small results of the forward kernel, and the elements of each: first mean and 1/√(variance + eps), which the backward kernel wants.
    by_products: [usize; 2],
}

/// What a kernel gives: the result, and by-products without history.
struct Normalised {
    y: Tensor,
    mean: Data,
    rstd: Data,
    /// The unbiased variance, of channels.
    var: Option<Data>,
}

/// Normalises in one pass over memory; `None` where there is no kernel for the operands. `composed` is the same
/// function of x, weight and bias as ops.
fn in_one_pass(
    kernels: Kernels,
    x: &Tensor,
    given: &[&Tensor],
    affine: [Option<&Tensor>; 2],
    composed: impl Fn(&Tensor, Option<&Tensor>, Option<&Tensor>) -> Result<Tensor> + Send + Sync + 'static,
) -> Result<Option<Normalised>> {
    let fits = |t: &&Tensor| t.dtype() == x.dtype();
    if !x.dtype().is_float() || x.numel() == 0 || !given.iter().chain(affine.iter().flatten()).all(fits) || is_recorded(given) {
        return Ok(None);
    }
    let x = &*in_rows(x)?;
    let affine = match affine.map(|t| t.map(in_rows).transpose()) {
        [w, b] => [w?, b?],
    };
    let affine = affine.each_ref().map(Option::as_deref);
    let Kernels { forward, backward, by_products: [count, len] } = kernels;
    let wide = x.dtype().compute();
    let mut specs: SmallVec<[_; 4]> = SmallVec::new();
    let data = x.data();
    specs.push((Layout::contiguous(&data.layout.shape), data.dtype));
    (0..count).for_each(|_| specs.push((Layout::contiguous(&[len]), wide)));
    let mut ins: SmallVec<[Data; 5]> = SmallVec::new();
    ins.push(data);
    for t in given {
        ins.push(in_rows(t)?.data());
    }
    affine.into_iter().flatten().for_each(|t| ins.push(t.data()));
    let Some(outs) = custom(forward, &ins, &specs)? else { return Ok(None) };
    let mut outs = outs.into_iter();
    let mut next = || outs.next().expect("as many results as were asked for");
    let (y, mean, rstd) = (Tensor::from_data(next()), next(), next());
    let mut present = SmallVec::<[&Tensor; 3]>::new();
    present.push(x);
    affine.into_iter().flatten().for_each(|t| present.push(t));
    autograd::record(std::slice::from_ref(&y), &present, |s| {
        let (sx, mean, rstd) = (s.input(x), mean.clone(), rstd.clone());
        let vectors = affine.map(|t| t.map(|t| (s.input(t), t.shape())));
        grad_fn(move |c, g| {
            let x = sx.get(c)?;
            let mut w = vectors[0].as_ref().map(|(t, _)| t.get(c)).transpose()?;
            let slots = [true, w.is_some(), vectors[1].is_some()];
            let kept = |all: Grads| -> Grads { all.into_iter().zip(slots).filter(|(_, is)| *is).map(|(g, _)| g).collect() };
            if c.create_graph() {
                let b = vectors[1].as_ref().map(|(t, _)| t.get(c)).transpose()?;
                let number = |slot: usize| slots[..slot].iter().filter(|is| **is).count();
                let all = through(
                    &[Some(x), w, b],
                    |slot| c.needs(number(slot)),
                    g,
                    |t| composed(t[0].as_ref().expect("given above"), t[1].as_ref(), t[2].as_ref()),
                )?;
                return Ok(kept(all));
            }
            let mut ins: SmallVec<[Data; 5]> = SmallVec::new();
            ins.extend([contiguous(g)?.data(), x.data(), mean.clone(), rstd.clone()]);
            ins.extend(w.take().map(|w| w.data()));
            // Where there is no weight or bias, its gradient is computed and dropped.
            let spec = |shape: &[usize]| (Layout::contiguous(shape), x.dtype());
            let channels = match backward {
                KernelId::RowNormBackward(n) => n.groups * (n.width / n.inner),
                KernelId::ChannelNormBackward(n) => n.channels,
                _ => unreachable!("the kernels of this file"),
            };
            let vector = |i: usize| vectors[i].as_ref().map_or_else(|| spec(&[channels]), |(_, shape)| spec(shape));
            let made = custom(backward, &ins, &[spec(&x.shape()), vector(0), vector(1)])?;
            let made = made.ok_or_else(|| Error::runtime("a backend with this normalisation has its derivative too"))?;
            Ok(kept(as_grads(made).collect()))
        })
    })?;
    Ok(Some(Normalised { y, mean, rstd, var: outs.next() }))
}

/// [`in_one_pass`] for rows.
fn rows_in_one_pass(
    norm: RowNorm,
    x: &Tensor,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    composed: impl Fn(&Tensor, Option<&Tensor>, Option<&Tensor>) -> Result<Tensor> + Send + Sync + 'static,
) -> Result<Option<Normalised>> {
    let norm = RowNorm { weight: weight.is_some(), bias: bias.is_some(), ..norm };
    let by_products = [2, x.numel() / norm.width.max(1)];
    let kernels = Kernels { forward: KernelId::RowNorm(norm), backward: KernelId::RowNormBackward(norm), by_products };
    in_one_pass(kernels, x, &[], [weight, bias], composed)
}

/// The dimensions that `normalized_shape` covers, after all checks that layer norm and RMS norm share.
fn covered(x: &Tensor, normalized: &[i64], weight: Option<&Tensor>, bias: Option<&Tensor>) -> Result<Dims> {
    if normalized.is_empty() {
        return Err(Error::runtime(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, but got normalized_shape = []",
        ));
    }
    for (name, t) in [("weight", weight), ("bias", bias)] {
        if let Some(t) = t.filter(|t| as_i64(&t.shape()).as_slice() != normalized) {
            return Err(Error::runtime(format!(
                "Expected {name} to be of same shape as normalized_shape, but got {name} of shape {:?} and normalized_shape = {normalized:?}",
                t.shape()
            )));
        }
    }
    let shape = x.shape();
    match shape.len().checked_sub(normalized.len()) {
        Some(lead) if as_i64(&shape[lead..]).as_slice() == normalized => Ok((lead..shape.len()).collect()),
        _ => {
            let sizes: Vec<String> = normalized.iter().map(|n| n.to_string()).collect();
            Err(Error::runtime(format!(
                "Given normalized_shape={normalized:?}, expected input with shape [*, {}], but got input of size{shape:?}",
                sizes.join(", ")
            )))
        }
    }
}

/// Brings the last dimensions, whose sizes are `normalized_shape`, to mean zero and variance one (biased, plus `eps`), then multiplies by
/// `weight` and adds `bias`, both of `normalized_shape`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.layer_norm.html>
#[op("(input, normalized_shape, weight=None, bias=None, eps=1e-05)", nn, float_only,
    samples = ["T(2, 3), [3], T(3), T(3)", "T(2, 3, 2), [3, 2]", "T(2, 4), [4], T(4)", "T(2, 4), [4], None, T(4), 0.1", "T(0, 3), [3]", "T(3), [3]"],
    errors = [("T(2, 3), [4]", "Given normalized_shape=[4], expected input with shape [*, 4], but got input of size[2, 3]"),
        ("T(2, 3), [3], T(2)", "Expected weight to be of same shape as normalized_shape, but got weight of shape [2] and normalized_shape = [3]"),
        ("T(2, 3), []", "Expected normalized_shape to be at least 1-dimensional"), ("I(2, 3), [3]", "not implemented for 'Long'")])]
pub fn layer_norm(
    x: &Tensor,
    normalized_shape: &[i64],
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    eps: f64,
) -> Result<Tensor> {
    let over = covered(x, normalized_shape, weight, bias)?;
    let width = normalized_shape.iter().map(|&n| n as usize).product();
    let norm = RowNorm { width, groups: 1, inner: 1, centred: true, weight: false, bias: false, eps };
    let composed = move |x: &Tensor, w: Option<&Tensor>, b: Option<&Tensor>| scale_shift(&standardise(x, &over, eps)?.x, w, b);
    match rows_in_one_pass(norm, x, weight, bias, composed.clone())? {
        Some(made) => Ok(made.y),
        None => composed(x, weight, bias),
    }
}

/// Divides by the root of the mean square of the last dimensions, whose sizes are `normalized_shape`, then multiplies by `weight`. Without
/// `eps` the dtype's own is added to the mean square.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.rms_norm.html>
#[op("(input, normalized_shape, weight=None, eps=None)", nn, float_only,
    samples = ["T(2, 3), [3], T(3)", "T(2, 3, 2), [3, 2]", "T(2, 4), [4], T(4), 0.1", "T(0, 3), [3]", "T(3), [3]"],
    errors = [("T(2, 3), [4]", "Given normalized_shape=[4], expected input with shape"), ("I(2, 3), [3]", "not implemented for 'Long'"),
        ("T(2, 3), [3], T(2)", "Expected weight to be of same shape as normalized_shape, but got weight of shape [2] and normalized_shape = [3]")])]
pub fn rms_norm(x: &Tensor, normalized_shape: &[i64], weight: Option<&Tensor>, eps: Option<f64>) -> Result<Tensor> {
    let over = covered(x, normalized_shape, weight, None)?;
    if !x.dtype().is_float() {
        return Err(unsupported(x.dtype()));
    }
    let eps = eps.unwrap_or(if x.dtype() == DType::F64 { f64::EPSILON } else { f32::EPSILON as f64 });
    let width = normalized_shape.iter().map(|&n| n as usize).product();
    let norm = RowNorm { width, groups: 1, inner: 1, centred: false, weight: false, bias: false, eps };
    let composed = move |x: &Tensor, w: Option<&Tensor>, _: Option<&Tensor>| {
        let wide = to_dtype(x, x.dtype().compute())?;
        let rstd = rsqrt(&add(&average(&square(&wide)?, &over)?, &num(eps), ONE)?)?;
        let y = mul(&wide, &rstd)?;
        to_dtype(&if let Some(w) = w { mul(&y, w)? } else { y }, x.dtype())
    };
    match rows_in_one_pass(norm, x, weight, None, composed.clone())? {
        Some(made) => Ok(made.y),
        None => composed(x, weight, None),
    }
}

/// Cuts the channels (dimension 1) into `num_groups` groups and brings each, with all that follows, to mean zero and variance one; then
/// multiplies each channel by its `weight` and adds its `bias`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.group_norm.html>
#[op("(input, num_groups, weight=None, bias=None, eps=1e-05)", nn, float_only,
    samples = ["T(2, 4, 3), 2, T(4), T(4)", "T(2, 4), 2", "T(1, 3, 2, 2), 3, T(3)", "T(0, 4, 2), 2"],
    errors = [("T(2, 5, 3), 2", "Expected number of channels in input to be divisible by num_groups, but got input of shape [2, 5, 3] and num_groups=2"),
        ("T(2), 2", "Expected at least 2 dimensions for input tensor but received 1"), ("T(2, 4), 0", "num_groups"),
        ("T(2, 4, 3), 2, T(3)", "Expected weight to be a vector of size equal to the number of channels in input, but got weight of shape [3] and input of shape [2, 4, 3]")])]
pub fn group_norm(x: &Tensor, num_groups: i64, weight: Option<&Tensor>, bias: Option<&Tensor>, eps: f64) -> Result<Tensor> {
    let shape = x.shape();
    if shape.len() < 2 {
        return Err(Error::runtime(format!("Expected at least 2 dimensions for input tensor but received {}", shape.len())));
    }
    if num_groups < 1 || !shape[1].is_multiple_of(num_groups as usize) {
        return Err(Error::runtime(format!(
            "Expected number of channels in input to be divisible by num_groups, but got input of shape {shape:?} and num_groups={num_groups}"
        )));
    }
    for (name, t) in [("weight", weight), ("bias", bias)] {
        if let Some(t) = t.filter(|t| t.shape().as_slice() != &shape[1..2]) {
            return Err(Error::runtime(format!(
                "Expected {name} to be a vector of size equal to the number of channels in input, but got {name} of shape {:?} and input of shape {shape:?}",
                t.shape()
            )));
        }
    }
    let members = shape[1..].iter().product::<usize>() as i64 / num_groups;
    let inner = shape[2..].iter().product();
    let norm =
        RowNorm { width: members as usize, groups: num_groups as usize, inner, centred: true, weight: false, bias: false, eps };
    let composed = move |x: &Tensor, w: Option<&Tensor>, b: Option<&Tensor>| {
        let shape = x.shape();
        let groups = reshape(x, &[shape[0] as i64, num_groups, members])?;
        let y = reshape(&standardise(&groups, &[2], eps)?.x, &as_i64(&shape))?;
        scale_shift(&y, per_channel(w, shape.len())?.as_ref(), per_channel(b, shape.len())?.as_ref())
    };
    match rows_in_one_pass(norm, x, weight, bias, composed)? {
        Some(made) => Ok(made.y),
        None => composed(x, weight, bias),
    }
}

/// `running = (1 - momentum) * running + momentum * now` for each pair, in place, without history and in one pass.
fn follow(pairs: &[(&Tensor, Tensor)], momentum: f64) -> Result<()> {
    if pairs.is_empty() {
        return Ok(());
    }
    let _guard = no_grad();
    let mut k = Pointwise::new();
    let mut sums: SmallVec<[_; 2]> = SmallVec::new();
    let loaded: SmallVec<[_; 2]> = pairs.iter().map(|(running, now)| (k.input(running), k.input(now))).collect();
    for ((running, _), (old, new)) in pairs.iter().zip(loaded) {
        let dtype = running.dtype().compute();
        let (old, new) = (k.cast(dtype, old), k.cast(dtype, new));
        let (keep, take) = (k.constant(1.0 - momentum, dtype), k.constant(momentum, dtype));
        let (old, new) = (k.bin(BinOp::Mul, old, keep)?, k.bin(BinOp::Mul, new, take)?);
        sums.push((k.bin(BinOp::Add, old, new)?, *running));
    }
    k.run_into(&sums)
}

/// The unbiased variance of groups of `n` elements, back from 1/√(biased + eps).
fn unbiased_variance(rstd: &Tensor, eps: f64, n: f64) -> Result<Tensor> {
    let biased = sub(&square(&reciprocal(rstd)?)?, &num(eps), ONE)?;
    mul(&maximum(&biased, &num(0.0))?, &num(n / (n - 1.0)))
}

fn check_channels(channels: usize, vectors: [(&str, Option<&Tensor>); 4]) -> Result<()> {
    for (name, t) in vectors {
        if let Some(t) = t.filter(|t| t.numel() != channels || t.rank() != 1) {
            return Err(Error::runtime(format!(
                "{name} should contain {channels} elements not {} (shape {:?})",
                t.numel(),
                t.shape()
            )));
        }
    }
    Ok(())
}

/// `(x - running_mean) / √(running_var + eps)`, with weight and bias, as one factor and one summand per channel.
fn by_running(
    x: &Tensor,
    mean: &Tensor,
    var: &Tensor,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    eps: f64,
) -> Result<Tensor> {
    let composed = {
        let (mean, var) = (mean.detach(), var.detach());
        move |x: &Tensor, w: Option<&Tensor>, b: Option<&Tensor>| composed_by_running(x, &mean, &var, w, b, eps)
    };
    match channels_in_one_pass(x, &[mean, var], weight, bias, eps, composed)? {
        Some(made) => Ok(made.y),
        None => composed_by_running(x, mean, var, weight, bias, eps),
    }
}

fn composed_by_running(
    x: &Tensor,
    mean: &Tensor,
    var: &Tensor,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    eps: f64,
) -> Result<Tensor> {
    let rstd = rsqrt(&add(&to_dtype(var, var.dtype().compute())?, &num(eps), ONE)?)?;
    let factor = if let Some(w) = weight { mul(&rstd, w)? } else { rstd };
    let shift = neg(&mul(mean, &factor)?)?;
    let shift = if let Some(b) = bias { add(b, &shift, ONE)? } else { shift };
    scale_shift(x, per_channel(Some(&factor), x.rank())?.as_ref(), per_channel(Some(&shift), x.rank())?.as_ref())
}

/// Brings each channel (dimension 1) to mean zero and variance one over the batch and all else, then multiplies by `weight` and adds `bias`.
///
/// If `training`, by the batch's own statistics, towards which `running_mean` and `running_var` (unbiased) move by the fraction `momentum`;
/// otherwise by the running ones.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.batch_norm.html>
#[op("(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-05)", nn, float_only,
    samples = ["T(4, 3), None, None, T(3), T(3), True", "T(2, 3, 2), None, None, None, None, True", "T(2, 3, 2), T(3), T(3, lo=0.5), T(3), T(3)",
        "T(2, 3), T(3), T(3, lo=0.5)", "T(0, 3), T(3), T(3, lo=0.5)"],
    errors = [("T(2, 3), None, None", "running_mean must be defined in evaluation mode"), ("T(2, 3), T(3), None", "running_var must be defined in evaluation mode"),
        ("T(2, 3), T(4), T(3)", "running_mean should contain 3 elements not 4"), ("T(2, 3), None, None, T(4), None, True", "weight should contain 3 elements not 4"),
        ("T(1, 3), None, None, None, None, True", "Expected more than 1 value per channel when training, got input size"),
        ("T(3), None, None, None, None, True", "Dimension out of range (expected to be in range of [-1, 0], but got 1)")])]
#[allow(clippy::too_many_arguments, reason = "PyTorch's signature")]
pub fn batch_norm(
    x: &Tensor,
    running_mean: Option<&Tensor>,
    running_var: Option<&Tensor>,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    training: bool,
    momentum: f64,
    eps: f64,
) -> Result<Tensor> {
    let shape = x.shape();
    if shape[..] == [0] {
        return nothing_normalised(x, weight, bias);
    }
    super::dim(1, shape.len())?;
    let channels = *shape
        .get(1)
        .ok_or_else(|| Error::runtime(format!("batch_norm: expected at least 2 dimensions, got shape {shape:?}")))?;
    let n = shape[..1].iter().chain(&shape[2..]).product::<usize>();
    if training && n == 1 {
        return Err(Error::value(format!("Expected more than 1 value per channel when training, got input size {shape:?}")));
    }
    check_channels(channels, [("running_mean", running_mean), ("running_var", running_var), ("weight", weight), ("bias", bias)])?;
    if !x.dtype().is_float() {
        return Err(unsupported(x.dtype()));
    }
    if !training {
        let absent = |name: &str| Error::runtime(format!("{name} must be defined in evaluation mode"));
        let mean = running_mean.ok_or_else(|| absent("running_mean"))?;
        let var = running_var.ok_or_else(|| absent("running_var"))?;
        return by_running(x, mean, var, weight, bias, eps);
    }
    let over: Dims = (0..shape.len()).filter(|&d| d != 1).collect();
    let composed = {
        let over = over.clone();
        move |x: &Tensor, w: Option<&Tensor>, b: Option<&Tensor>| {
            scale_shift(&standardise(x, &over, eps)?.x, per_channel(w, x.rank())?.as_ref(), per_channel(b, x.rank())?.as_ref())
        }
    };
    let update = |mean: Tensor, var: &dyn Fn() -> Result<Tensor>| {
        let mut pairs: SmallVec<[_; 2]> = SmallVec::new();
        if n > 0 {
            pairs.extend(running_mean.map(|running| (running, mean)));
            pairs.extend(running_var.map(|running| Ok::<_, Error>((running, var()?))).transpose()?);
        }
        follow(&pairs, momentum)
    };
    if let Some(Normalised { y, mean, var, .. }) = channels_in_one_pass(x, &[], weight, bias, eps, composed)? {
        let var = var.ok_or_else(|| Error::runtime("a backend that normalises channels gives their variances"))?;
        update(Tensor::from_data(mean), &|| Ok(Tensor::from_data(var.clone())))?;
        return Ok(y);
    }
    let y = standardise(x, &over, eps)?;
    let flat = |t: &Tensor| reshape(&t.detach(), &[channels as i64]);
    update(flat(&y.mean)?, &|| unbiased_variance(&flat(&y.rstd)?, eps, n as f64))?;
    scale_shift(&y.x, per_channel(weight, shape.len())?.as_ref(), per_channel(bias, shape.len())?.as_ref())
}

/// [`in_one_pass`] for the channels of `[n, channels, …]`, by their own statistics or by those given.
fn channels_in_one_pass(
    x: &Tensor,
    given: &[&Tensor],
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    eps: f64,
    composed: impl Fn(&Tensor, Option<&Tensor>, Option<&Tensor>) -> Result<Tensor> + Send + Sync + 'static,
) -> Result<Option<Normalised>> {
    let shape = x.shape();
    let norm = ChannelNorm {
        outer: shape[0],
        channels: shape[1],
        inner: shape[2..].iter().product(),
        own: given.is_empty(),
        weight: weight.is_some(),
        bias: bias.is_some(),
        eps,
    };
    let kernels = Kernels {
        forward: KernelId::ChannelNorm(norm),
        backward: KernelId::ChannelNormBackward(norm),
        by_products: [3, norm.channels],
    };
    in_one_pass(kernels, x, given, [weight, bias], composed)
}

/// An empty vector, which has no channels: PyTorch lets it pass, under the weight and the bias of the first one.
fn nothing_normalised(x: &Tensor, weight: Option<&Tensor>, bias: Option<&Tensor>) -> Result<Tensor> {
    let first = |t: Option<&Tensor>| t.map(|t| select(t, 0, 0)).transpose();
    scale_shift(&copy(x)?, first(weight)?.as_ref(), first(bias)?.as_ref())
}

/// Brings each channel of each instance to mean zero and variance one over the spatial dimensions, then multiplies by `weight` and adds
/// `bias`. The running statistics are averages over the batch; without `use_input_stats` they normalise.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.instance_norm.html>
#[op("(input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-05)", nn, float_only,
    samples = ["T(2, 3, 4)", "T(2, 3, 2, 2), weight=T(3), bias=T(3)", "T(2, 3, 2), T(3), T(3, lo=0.5), use_input_stats=False"],
    errors = [("T(2, 3, 1)", "Expected more than 1 spatial element when training, got input size"), ("T(2, 3)", "Expected more than 1 spatial element when training"),
        ("T(2, 3, 4), use_input_stats=False", "Expected running_mean and running_var to be defined when use_input_stats is false"),
        ("T(2, 3, 4), weight=T(4)", "weight should contain 3 elements not 4")])]
#[allow(clippy::too_many_arguments, reason = "PyTorch's signature")]
pub fn instance_norm(
    x: &Tensor,
    running_mean: Option<&Tensor>,
    running_var: Option<&Tensor>,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    use_input_stats: bool,
    momentum: f64,
    eps: f64,
) -> Result<Tensor> {
    let shape = x.shape();
    let n = shape.iter().skip(2).product::<usize>();
    if use_input_stats && n == 1 {
        return Err(Error::value(format!("Expected more than 1 spatial element when training, got input size {shape:?}")));
    }
    if shape.len() < 2 {
        return Err(Error::runtime(format!("instance_norm: expected at least 2 dimensions, got shape {shape:?}")));
    }
    check_channels(shape[1], [("running_mean", running_mean), ("running_var", running_var), ("weight", weight), ("bias", bias)])?;
    if !use_input_stats {
        let (Some(mean), Some(var)) = (running_mean, running_var) else {
            return Err(Error::runtime("Expected running_mean and running_var to be defined when use_input_stats is false"));
        };
        return by_running(x, mean, var, weight, bias, eps);
    }
    let over: Dims = (2..shape.len()).collect();
    let norm = RowNorm { width: n, groups: shape[1], inner: n, centred: true, weight: false, bias: false, eps };
    let composed = {
        let over = over.clone();
        move |x: &Tensor, w: Option<&Tensor>, b: Option<&Tensor>| {
            scale_shift(&standardise(x, &over, eps)?.x, per_channel(w, x.rank())?.as_ref(), per_channel(b, x.rank())?.as_ref())
        }
    };
    let follow_batch = |mean: &Tensor, rstd: &Tensor| {
        let of_batch =
            |t: &Tensor| mean_dim(&reshape(&t.detach(), &[shape[0] as i64, shape[1] as i64])?, Some(&[0]), false, None);
        let mut pairs: SmallVec<[_; 2]> = SmallVec::new();
        if let Some(running) = running_mean.filter(|_| x.numel() > 0) {
            pairs.push((running, of_batch(mean)?));
        }
        if let Some(running) = running_var.filter(|_| x.numel() > 0) {
            pairs.push((running, of_batch(&unbiased_variance(&rstd.detach(), eps, n as f64)?)?));
        }
        follow(&pairs, momentum)
    };
    if let Some(Normalised { y, mean, rstd, .. }) = rows_in_one_pass(norm, x, weight, bias, composed)? {
        follow_batch(&Tensor::from_data(mean), &Tensor::from_data(rstd))?;
        return Ok(y);
    }
    let y = standardise(x, &over, eps)?;
    follow_batch(&y.mean, &y.rstd)?;
    scale_shift(&y.x, per_channel(weight, shape.len())?.as_ref(), per_channel(bias, shape.len())?.as_ref())
}

/// Divides by the `p`-norm over `dim`, or by `eps` where that is larger.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.normalize.html>
#[op("(input, p=2.0, dim=1, eps=1e-12)", nn, float_only, samples = ["T(2, 3)", "T(2, 3), 1.0, 0", "T(3), 2.0, 0, 5.0", "T(2, 0)"],
    errors = [("T(3)", "Dimension out of range (expected to be in range of [-1, 0], but got 1)")])]
pub fn normalize(x: &Tensor, p: f64, dim: &[i64], eps: f64) -> Result<Tensor> {
    let length = vector_norm(x, Scalar::Float(p), Some(dim), true, None)?;
    let length = where_(&ge(&length.detach(), &num(eps))?, &length, &num(eps))?;
    div(x, &length, None)
}
