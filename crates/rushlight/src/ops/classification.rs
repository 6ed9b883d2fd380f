//! Losses of scores for classes.

use super::extremes::pick;
use super::fused::{as_grads, custom, through};
use super::loss::Reduction;
use super::*;
use crate::autograd::{grad_fn, is_recorded};
use rushlight_kernels::backend::{ClassLoss, KernelId, LossReduction};

ops![nll_loss, cross_entropy];

const ONE: Scalar = Scalar::Int(1);

/// Class indices, ready to be looked up: those to be ignored point at class 0, and `counted` says which count.
struct Classes {
    /// `[n, 1, d…]`, or `[1]` without a batch.
    index: Tensor,
    /// Target's shape, bool; `None` if none is ignored.
    counted: Option<Tensor>,
    /// The dimension of the scores that numbers the classes.
    dim: usize,
}

/// Checks scores `[classes]` or `[n, classes, d…]`, target `[]` or `[n, d…]`, and the weights of the classes; answers which dimension of the
/// scores numbers the classes.
fn class_dim(x: &Tensor, target: &Tensor, weight: Option<&Tensor>) -> Result<usize> {
    let (a, t) = (x.shape(), target.shape());
    let Some(dim) = a.len().checked_sub(1).map(|r| r.min(1)) else {
        return Err(Error::value("Expected 1 or more dimensions (got 0)"));
    };
    if a.len() > 1 && t.first() != Some(&a[0]) {
        if a.len() <= 2 && t.len() > 1 {
            return Err(Error::runtime(format!(
                "0D or 1D target tensor expected, multi-target not supported; it has shape {t:?}"
            )));
        }
        return Err(Error::value(format!(
            "Expected input batch_size ({}) to match target batch_size ({}).",
            a[0],
            t.first().map_or("none".to_string(), |n| n.to_string())
        )));
    }
    if a.len() <= 2 && t.len() > 1 || a.len() == 1 && !t.is_empty() && t.as_slice() != [1] {
        return Err(Error::runtime(format!("0D or 1D target tensor expected, multi-target not supported; it has shape {t:?}")));
    }
    let expected: Dims = a.iter().enumerate().filter(|&(d, _)| d != dim).map(|(_, &n)| n).collect();
    if a.len() > 1 && t != expected {
        return Err(Error::runtime(format!("Expected target size {expected:?}, got {t:?}")));
    }
    if !matches!(target.dtype(), DType::I64 | DType::U8) {
        return Err(Error::runtime(format!(
            "expected target dtype to be Long or Byte, but got {}",
            target.dtype().scalar_type_name()
        )));
    }
    if let Some(w) = weight.filter(|w| w.shape().as_slice() != &a[dim..=dim]) {
        return Err(Error::runtime(format!(
            "weight tensor should be defined either for all {} classes or no classes but got weight tensor of shape: {:?}",
            a[dim],
            w.shape()
        )));
    }
    Ok(dim)
}

impl Classes {
    fn new(x: &Tensor, target: &Tensor, weight: Option<&Tensor>, ignore_index: i64) -> Result<Classes> {
        let dim = class_dim(x, target, weight)?;
        let (a, t) = (x.shape(), target.shape());
        let target = to_dtype(&target.detach(), DType::I64)?;
        let counted = ne(&target, &num(ignore_index))?;
        let all_count = all(&counted)?.try_item::<bool>()?;
        let target = if all_count { target } else { where_(&counted, &target, &num(0i64))? };
        let outside = logical_or(&lt(&target, &num(0i64))?, &ge(&target, &num(a[dim] as i64))?)?;
        if any(&outside)?.try_item::<bool>()? {
            let bad = sum(&where_(&outside, &target, &num(0i64))?, None)?;
            let first = reduce(
                rushlight_kernels::backend::ReduceOp::ArgMax,
                &outside,
                &(0..t.len()).collect::<Dims>(),
                false,
                DType::I64,
            )?;
            let bad = if t.is_empty() { bad } else { pick(&reshape(&target, &[-1])?, 0, &reshape(&first, &[1])?)? };
            return Err(Error::index(format!("Target {} is out of bounds.", bad.try_item::<i64>()?)));
        }
        let index = if t.is_empty() { reshape(&target, &[1])? } else { unsqueeze(&target, dim as i64)? };
        let index = contiguous(&if a.len() == 1 { reshape(&index, &[1])? } else { index })?;
        Ok(Classes { index, counted: (!all_count).then_some(counted), dim })
    }
    /// What each target counts: its class's weight, 1 without weights, 0 where it is ignored; `None` if all count 1.
    fn weights(&self, weight: Option<&Tensor>, shape: &[i64], dtype: DType) -> Result<Option<Tensor>> {
        let classes = weight.map(|w| reshape(&pick(w, 0, &reshape(&self.index, &[-1])?)?, shape)).transpose()?;
        Ok(match (classes, &self.counted) {
            (None, None) => None,
            (Some(w), None) => Some(w),
            (None, Some(c)) => Some(to_dtype(c, dtype)?),
            (Some(w), Some(c)) => Some(mul(&w, c)?),
        })
    }
}

/// Weighs and reduces the losses of single targets; the mean is over the weights.
fn settle(loss: Tensor, weights: Option<&Tensor>, reduction: Reduction) -> Result<Tensor> {
    let Some(w) = weights else { return reduction.of(loss) };
    // An ignored loss may be infinite, and still counts nothing.
    let ignored = eq(&w.detach(), &num(0i64))?;
    let loss = mul(&where_(&ignored, &num(0i64), &loss)?, w)?;
    match reduction {
        Reduction::Mean => div(&sum(&loss, None)?, &sum(w, None)?, None),
        other => other.of(loss),
    }
}

/// The loss of one class per row by a single kernel, and its derivative by another; `None` where there is none.
fn in_one_pass(
    x: &Tensor,
    target: &Tensor,
    weight: Option<&Tensor>,
    kernel: ClassLoss,
    composed: impl Fn(&Tensor, &Tensor, Option<&Tensor>) -> Result<Tensor> + Send + Sync + 'static,
) -> Result<Option<Tensor>> {
    let (shape, rows) = (target.shape(), target.numel());
    let fits = x.dtype().is_float() && shape.len() + 1 == x.rank();
    if !fits || weight.is_some_and(|w| w.dtype() != x.dtype() || is_recorded(&[w])) {
        return Ok(None);
    }
    let target = &*in_dtype(target, DType::I64)?;
    let wide = x.dtype().compute();
    let loss = if kernel.reduction == LossReduction::None { Layout::contiguous(&shape) } else { Layout::contiguous(&[]) };
    let mut specs: SmallVec<[_; 3]> = SmallVec::new();
    specs.push((loss, x.dtype()));
    specs.push((Layout::contiguous(&[1]), wide));
    if kernel.of_scores {
        specs.push((Layout::contiguous(&[2, rows]), wide));
    }
    let mut ins: SmallVec<[Data; 3]> = SmallVec::new();
    ins.push(x.data());
    ins.push(target.data());
    weight.into_iter().for_each(|w| ins.push(w.data()));
    let Some(outs) = custom(KernelId::ClassLoss(kernel), &ins, &specs)? else { return Ok(None) };
    let mut outs = outs.into_iter();
    let loss = Tensor::from_data(outs.next().expect("the loss"));
    let loss = loss.with_grad([x], |s| {
        let by_products: SmallVec<[Data; 2]> = outs.collect();
        let (sx, st, sw) = (s.input(x), s.input(target), weight.map(|w| s.input(w)));
        grad_fn(move |c, g| {
            let (x, target) = (sx.get(c)?, st.get(c)?);
            let weight = sw.as_ref().map(|w| w.get(c)).transpose()?;
            if c.create_graph() {
                return through(
                    &[Some(x)],
                    |_| true,
                    g,
                    |x| composed(x[0].as_ref().expect("given above"), &target, weight.as_ref()),
                );
            }
            let g = contiguous(g)?;
            let mut ins: SmallVec<[Data; 6]> = SmallVec::new();
            ins.extend([&g, &x, &target].map(Tensor::data));
            ins.extend(by_products.iter().cloned().chain(weight.map(|w| w.data())));
            let spec = (Layout::contiguous(&x.shape()), x.dtype());
            let made = custom(KernelId::ClassLossBackward(kernel), &ins, &[spec])?;
            let made = made.ok_or_else(|| Error::runtime("a backend with this loss has its derivative too"))?;
            Ok(as_grads(made).collect())
        })
    })?;
    Ok(Some(loss))
}

/// Returns the negative log likelihood of the classes `target`, given log-probabilities `input` `[classes]`, `[n, classes]` or
/// `[n, classes, d…]`. Targets equal to `ignore_index` count nothing; with `weight` each class has its own, and the mean is over the weights.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.nll_loss.html>
#[op("(input, target, weight=None, *, ignore_index=-100, reduction='mean')", nn, float_only,
    samples = ["T(3, 5), I(3, hi=5)", "T(3, 5), I(3, hi=5), T(5, lo=0.5), reduction='none'", "T(4, 3), I(4, hi=3), ignore_index=1", "T(4, 3), I(4, hi=3), T(3, lo=0.5), ignore_index=1, reduction='sum'",
        "T(2, 3, 2), I(2, 2, hi=3)", "T(3), I(hi=3)", "T(0, 3), I(0), reduction='sum'"],
    errors = [("T(3, 5), I(2, hi=5)", "Expected input batch_size (3) to match target batch_size (2)."), ("T(3, 5), I(3, lo=7, hi=8)", "Target 7 is out of bounds."),
        ("T(3, 5), I(3, lo=-1, hi=0)", "Target -1 is out of bounds."), ("T(3, 5), I(3, 5)", "0D or 1D target tensor expected, multi-target not supported"),
        ("T(3, 5, 2), I(3, 3)", "Expected target size [3, 2], got [3, 3]"), ("T(3, 5), T(3)", "expected target dtype to be Long or Byte, but got Float"),
        ("T(3, 5), I(3, hi=5), T(4)", "weight tensor should be defined either for all 5 classes or no classes but got weight tensor of shape: [4]"),
        ("T(), I()", "Expected 1 or more dimensions (got 0)"), ("T(3, 5), I(3, hi=5), reduction='foo'", "foo is not a valid value for reduction")])]
pub fn nll_loss(x: &Tensor, target: &Tensor, weight: Option<&Tensor>, ignore_index: i64, reduction: &str) -> Result<Tensor> {
    let reduction = Reduction::parse(reduction)?;
    let dim = class_dim(x, target, weight)?;
    let composed = move |x: &Tensor, t: &Tensor, w: Option<&Tensor>| composed_nll(x, t, w, ignore_index, reduction);
    let kernel = ClassLoss { dim, of_scores: false, ignore_index, reduction: reduction.kernel() };
    match in_one_pass(x, target, weight, kernel, composed)? {
        Some(loss) => Ok(loss),
        None => composed(x, target, weight),
    }
}

fn composed_nll(x: &Tensor, target: &Tensor, weight: Option<&Tensor>, ignore_index: i64, reduction: Reduction) -> Result<Tensor> {
    let classes = Classes::new(x, target, weight, ignore_index)?;
    let shape = as_i64(&target.shape());
    let loss = neg(&reshape(&pick(x, classes.dim, &classes.index)?, &shape)?)?;
    settle(loss, classes.weights(weight, &shape, x.dtype())?.as_ref(), reduction)
}

/// Returns the cross entropy of `target` and `softmax(input)` for scores `input` `[classes]`, `[n, classes]` or `[n, classes, d…]`.
///
/// `target` holds class indices (of input's shape without the classes), or probabilities (of input's shape). Indices equal to `ignore_index`
/// count nothing; with `weight` each class has its own. `label_smoothing` takes that much of the probability and spreads it evenly.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.cross_entropy.html>
#[op("(input, target, weight=None, *, ignore_index=-100, reduction='mean', label_smoothing=0.0)", nn, float_only,
    samples = ["T(3, 5), I(3, hi=5)", "T(3, 5), I(3, hi=5), T(5, lo=0.5), reduction='none'", "T(4, 3), I(4, hi=3), ignore_index=1", "T(2, 3, 2), I(2, 2, hi=3), reduction='sum'",
        "T(4, 3), I(4, hi=3), T(3, lo=0.5), ignore_index=1, label_smoothing=0.2", "T(3, 4), I(3, hi=4), label_smoothing=0.1", "T(3, 4), T(3, 4, lo=0, hi=1)",
        "T(3, 4), T(3, 4, lo=0, hi=1), T(4, lo=0.5), label_smoothing=0.1", "T(4), I(hi=4)", "T(4), T(4, lo=0, hi=1), reduction='sum'"],
    errors = [("T(3, 5), I(2, hi=5)", "Expected input batch_size (3) to match target batch_size (2)."), ("T(3, 5), I(3, lo=7, hi=8)", "Target 7 is out of bounds."),
        ("T(3, 5), I(3, 5)", "Expected floating point type for target with class probabilities, got Long"),
        ("T(3, 5), T(3)", "expected target dtype to be Long or Byte, but got Float"), ("T(3, 5), T(3, 4)", "0D or 1D target tensor expected, multi-target not supported"),
        ("T(3, 5), I(3, hi=5), label_smoothing=2.0", "label_smoothing must be between 0.0 and 1.0. Got: 2"),
        ("T(3, 5), T(3, 5), ignore_index=1", "ignore_index is not supported for floating point target"),
        ("T(3, 5), I(3, hi=5), T(4)", "weight tensor should be defined either for all 5 classes or no classes but got weight tensor of shape: [4]")])]
pub fn cross_entropy(
    x: &Tensor,
    target: &Tensor,
    weight: Option<&Tensor>,
    ignore_index: i64,
    reduction: &str,
    label_smoothing: f64,
) -> Result<Tensor> {
    let parsed = Reduction::parse(reduction)?;
    if !(0.0..=1.0).contains(&label_smoothing) {
        return Err(Error::runtime(format!("label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")));
    }
    let shape = x.shape();
    let d = shape.len().min(2).saturating_sub(1);
    if shape == target.shape() {
        return of_probabilities(x, target, weight, ignore_index, parsed, label_smoothing);
    }
    if label_smoothing == 0.0 {
        let dim = class_dim(x, target, weight)?;
        let kernel = ClassLoss { dim, of_scores: true, ignore_index, reduction: parsed.kernel() };
        let composed = move |x: &Tensor, t: &Tensor, w: Option<&Tensor>| {
            composed_nll(&log_softmax(x, dim as i64, None)?, t, w, ignore_index, parsed)
        };
        return match in_one_pass(x, target, weight, kernel, composed)? {
            Some(loss) => Ok(loss),
            None => composed(x, target, weight),
        };
    }
    let classes = Classes::new(x, target, weight, ignore_index)?;
    let logs = log_softmax(x, d as i64, None)?;
    let at = as_i64(&target.shape());
    let weights = classes.weights(weight, &at, x.dtype())?;
    let hard = settle(neg(&reshape(&pick(&logs, d, &classes.index)?, &at)?)?, weights.as_ref(), parsed)?;
    // The even part: every class's loss, weighed by the class; it is divided by what divides the hard part.
    let every = neg(&sum_dim(
        &if let Some(w) = weight { mul(&logs, &across(w, shape.len(), d)?)? } else { logs },
        Some(&[d as i64]),
        false,
        None,
    )?)?;
    let every = if let Some(c) = &classes.counted { where_(c, &every, &num(0i64))? } else { every };
    let soft = match (parsed, &weights) {
        (Reduction::Mean, Some(w)) => div(&sum(&every, None)?, &sum(w, None)?, None)?,
        _ => parsed.of(every)?,
    };
    add(&mul(&hard, &num(1.0 - label_smoothing))?, &mul(&soft, &num(label_smoothing / shape[d] as f64))?, ONE)
}

/// A vector over classes, as a factor for scores of rank `rank`.
fn across(w: &Tensor, rank: usize, d: usize) -> Result<Tensor> {
    let mut shape: SmallVec<[i64; 6]> = SmallVec::from_elem(1, rank);
    shape[d] = w.numel() as i64;
    reshape(w, &shape)
}

fn of_probabilities(
    x: &Tensor,
    target: &Tensor,
    weight: Option<&Tensor>,
    ignore_index: i64,
    reduction: Reduction,
    label_smoothing: f64,
) -> Result<Tensor> {
    let shape = x.shape();
    if !target.dtype().is_float() || shape.is_empty() {
        return Err(Error::runtime(format!(
            "Expected floating point type for target with class probabilities, got {}",
            target.dtype().scalar_type_name()
        )));
    }
    if ignore_index >= 0 {
        return Err(Error::runtime("ignore_index is not supported for floating point target"));
    }
    let d = shape.len().min(2) - 1;
    if let Some(w) = weight.filter(|w| w.shape().as_slice() != &shape[d..=d]) {
        return Err(Error::runtime(format!(
            "cross_entropy: weight tensor should be defined either for all {} classes or no classes but got weight tensor of shape: {:?}",
            shape[d],
            w.shape()
        )));
    }
    let target = &if label_smoothing > 0.0 {
        add(&mul(target, &num(1.0 - label_smoothing))?, &num(label_smoothing / shape[d] as f64), ONE)?
    } else {
        target.clone()
    };
    let products = mul(&log_softmax(x, d as i64, None)?, target)?;
    let products = if let Some(w) = weight { mul(&products, &across(w, shape.len(), d)?)? } else { products };
    let loss = neg(&sum_dim(&products, Some(&[d as i64]), false, None)?)?;
    reduction.of(loss)
}
