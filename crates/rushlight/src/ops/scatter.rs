//! Gather and scatter: one index per element, along one dimension.

use super::*;
use crate::autograd::{self, grad_fn, inplace};
use rushlight_kernels::backend::ScatterOp;

ops![gather, scatter, scatter_value, scatter_add, scatter_reduce, index_reduce];

/// Returns the elements of `input` at the positions that `index` names along `dim`: `y[i][j] = input[index[i][j]][j]` for `dim=0`.
///
/// `index` (int64 or int32) has as many dimensions as `input` and is no larger apart from `dim`; its shape is the result's. `sparse_grad` is
/// accepted for PyTorch's sake; gradients are dense.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.gather.html>
#[op("(input, dim, index, *, sparse_grad=False)", any,
    samples = ["T(3, 4), 1, I(3, 2, hi=4)", "T(3, 4), 0, I(5, 3, hi=3)", "T(2, 3), -1, I(1, 2, hi=3, dtype=int32)", "T(), 0, I(hi=1)", "T(3), 0, I(hi=3)", "T(2, 3), 0, I(0)"],
    errors = [("T(2, 3), 0, I(1, 1, lo=2, hi=3)", "index 2 is out of bounds for dimension 0 with size 2"),
        ("T(2, 3), 0, I(1, 1, lo=-1, hi=0)", "index -1 is out of bounds for dimension 0 with size 2"),
        ("T(2, 3), 0, I(2)", "Index tensor must have the same number of dimensions as input tensor"),
        ("T(2, 3), 0, T(1, 1)", "gather(): Expected dtype int32/int64 for index"),
        ("T(2, 3), 1, I(3, 1)", "Size does not match at dimension 0 expected index [3, 1] to be no larger than self [2, 3] apart from dimension 1")])]
pub fn gather(x: &Tensor, dim: i64, index: &Tensor, sparse_grad: bool) -> Result<Tensor> {
    let _ = sparse_grad;
    let d = super::dim(dim, x.rank())?;
    let (shape, ishape) = (x.shape(), index.shape());
    if index.numel() == 0 {
        // No element is named, whatever the ranks.
        let zeros = move |_: &autograd::Ctx, g: &Tensor| Ok([Some(filled(&shape, Scalar::Int(0), g.dtype())?)]);
        return filled(&ishape, Scalar::Int(0), x.dtype())?.with_grad([x], |_| grad_fn(zeros));
    }
    check_index("gather", index)?;
    if shape.len().max(1) != ishape.len().max(1) {
        return Err(Error::runtime(format!(
            "Index tensor must have the same number of dimensions as input tensor (index {:?}, input {:?})",
            ishape.as_slice(),
            shape.as_slice()
        )));
    }
    if let Some(bad) = (0..ishape.len().min(shape.len())).find(|&i| i != d && ishape[i] > shape[i]) {
        return Err(Error::runtime(format!(
            "Size does not match at dimension {bad} expected index {:?} to be no larger than self {:?} apart from dimension {d}",
            ishape.as_slice(),
            shape.as_slice()
        )));
    }
    let y = storage::compute(Layout::contiguous(&ishape), x.dtype(), &[x.data(), index.data()], |v, out| {
        backend().gather(v[0], d, v[1], out)
    })?;
    Tensor::from_data(y).with_grad([x], |s| {
        let index = s.input(index);
        grad_fn(move |c, g| Ok([Some(scatter_add(&filled(&shape, Scalar::Int(0), g.dtype())?, d as i64, &index.get(c)?, g)?)]))
    })
}

fn check_index(op: &str, index: &Tensor) -> Result<()> {
    match index.dtype() {
        DType::I64 | DType::I32 => Ok(()),
        other => Err(Error::runtime(format!("{op}(): Expected dtype int32/int64 for index (got {other})"))),
    }
}

/// The checks of every scatter; `src` is the shape of what is scattered, where it is a tensor.
fn check_scatter(x: &Tensor, dim: i64, index: &Tensor, src: Option<&Tensor>) -> Result<usize> {
    let d = super::dim(dim, x.rank())?;
    if let Some(src) = src
        && src.dtype() != x.dtype()
    {
        return Err(Error::runtime(format!(
            "scatter(): Expected self.dtype to be equal to src.dtype (got {} and {})",
            x.dtype(),
            src.dtype()
        )));
    }
    // Where there are no indices, their dtype is nobody's concern.
    if index.numel() == 0 {
        return Ok(d);
    }
    check_index("scatter", index)?;
    let (shape, ishape) = (x.shape(), index.shape());
    let sshape = src.map(Tensor::shape);
    for (name, rank) in [("self", Some(shape.len())), ("src", sshape.as_ref().map(|s| s.len()))] {
        if rank.is_some_and(|r| r.max(1) != ishape.len().max(1)) {
            return Err(Error::runtime(format!("Index tensor must have the same number of dimensions as {name} tensor")));
        }
    }
    let at = |s: &Dims, i: usize| s.get(i).copied().unwrap_or(1);
    let too_large =
        |i: usize| i != d && at(&ishape, i) > at(&shape, i) || sshape.as_ref().is_some_and(|s| at(&ishape, i) > at(s, i));
    if (0..ishape.len()).any(too_large) {
        let (i, x) = (ishape.as_slice(), shape.as_slice());
        return Err(Error::runtime(match &sshape {
            None => format!("Expected index {i:?} to be no larger than self {x:?} apart from dimension {d}"),
            Some(s) => format!(
                "Expected index {i:?} to be no larger than self {x:?} apart from dimension {d} and to be no larger size than src {:?}",
                s.as_slice()
            ),
        }));
    }
    Ok(d)
}

/// `op` at the places that `index` names in x's memory (a copy of it unless `twin` is at work); without history.
fn scattered(op: ScatterOp, twin: &str, x: &Tensor, d: usize, index: &Tensor, src: &Tensor) -> Result<Tensor> {
    let y = inplace::target(x, twin)?;
    if index.numel() > 0 {
        let (mut index, src) = (index.data(), src.data());
        if index.layout.rank() == 0 && x.rank() == 1 {
            index.layout = index.layout.unsqueeze(0);
        }
        storage::write(&[y.data()], &[index, src], |outs, v| backend().scatter(op, d, v[0], v[1], &mut outs[0]))?;
    }
    Ok(y)
}

/// The gradient of what was scattered: `g` gathered, in the leading corner of zeros where the source is larger than the index.
fn scattered_grad(g: &Tensor, d: usize, index: &Tensor, shape: &Dims) -> Result<Tensor> {
    let part = gather(g, d as i64, index, false)?;
    let inner = index.shape();
    if inner == *shape {
        return Ok(part);
    }
    if inner.len() != shape.len() {
        return reshape(&part, &as_i64(shape));
    }
    let corner = move |b: &Tensor| (0..inner.len()).try_fold(b.clone(), |b, i| narrow(&b, i as i64, 0, inner[i] as i64));
    embed(&part, shape, std::sync::Arc::new(corner))
}

/// Writes the elements of `src` into `input` at the positions that `index` names along `dim`; with `reduce` (`'add'` or `'multiply'`) joins them.
///
/// Of several elements for one position the last in row-major order wins; gradients are right only where positions are distinct.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.scatter_.html>
#[op("(input, dim, index, src, *, reduce=None)", any, inplace,
    samples = ["T(3, 4), 0, I(1, 4, hi=3), T(1, 4)", "T(3, 4), 1, I(2, 1, hi=4), T(3, 2)", "T(3), 0, I(1, hi=3), T(1)", "T(), 0, I(hi=1), T()",
        "T(3), 0, I(0), T(0)", "T(3), 0, I(5, hi=3), T(5), reduce='add'", "T(3), 0, I(5, hi=3), T(5, lo=0.5), reduce='multiply'"],
    errors = [("T(2, 3), 0, I(1, 1, lo=5, hi=6), T(1, 1)", "index 5 is out of bounds for dimension 0 with size 2"),
        ("T(2, 3), 0, I(1, 1, hi=1), I(1, 1)", "scatter(): Expected self.dtype to be equal to src.dtype"),
        ("T(2, 3), 0, I(1, 3, hi=1), T(1, 2)", "Expected index [1, 3] to be no larger than self [2, 3] apart from dimension 0 and to be no larger size than src [1, 2]"),
        ("T(2, 3), 0, I(3, hi=1), T(3)", "Index tensor must have the same number of dimensions as self tensor"),
        ("T(3), 0, T(3), T(3)", "scatter(): Expected dtype int32/int64 for index"),
        ("T(3), 0, I(1, hi=1), T(1), reduce='mul'", "reduce argument must be either add or multiply.")])]
pub fn scatter(x: &Tensor, dim: i64, index: &Tensor, src: &Tensor, reduce: Option<&str>) -> Result<Tensor> {
    let d = check_scatter(x, dim, index, Some(src))?;
    match reduce {
        None => {}
        Some("add") => return scatter_add(x, dim, index, src),
        Some("multiply") => return scatter_reduce(x, dim, index, src, "prod", true),
        Some(_) => return Err(Error::runtime("reduce argument must be either add or multiply.")),
    }
    scattered(ScatterOp::Set, "scatter_", x, d, index, src)?.with_grad([x, src], |s| {
        let (index, shape) = (s.input(index), src.shape());
        grad_fn(move |c, g| {
            let index = index.get(c)?;
            let outside = c.needs(0).then(|| scatter_value(g, d as i64, &index, Scalar::Int(0), None)).transpose()?;
            Ok([outside, c.needs(1).then(|| scattered_grad(g, d, &index, &shape)).transpose()?])
        })
    })
}

/// Writes the number `value` into `input` at the positions that `index` names along `dim`; with `reduce` (`'add'` or `'multiply'`) joins it.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.scatter_.html>
#[op("(input, dim, index, value, *, reduce=None)", overload = "value", any, inplace,
    samples = ["T(3, 4), 0, I(1, 4, hi=3), 1.5", "T(3, 4), 1, I(2, 1, hi=4), 2", "T(), 0, I(hi=1), 1", "T(3), 0, I(0), 1", "T(3), 0, I(5, hi=3), 2, reduce='add'",
        "T(3), 0, I(5, hi=3), 2, reduce='multiply'", "I(3), 0, I(1, hi=3), 2.5"],
    errors = [("T(2, 3), 0, I(1, 4, hi=1), 1", "Expected index [1, 4] to be no larger than self [2, 3] apart from dimension 0"),
        ("T(2, 3), 0, I(1, 1, lo=2, hi=3), 1", "index 2 is out of bounds for dimension 0 with size 2")])]
pub fn scatter_value(x: &Tensor, dim: i64, index: &Tensor, value: Scalar, reduce: Option<&str>) -> Result<Tensor> {
    let d = check_scatter(x, dim, index, None)?;
    let src = expand_to(&filled(&[], checked_scalar(value, x.dtype())?, x.dtype())?, &index.shape())?;
    if reduce.is_some() {
        return scatter(x, dim, index, &src, reduce);
    }
    scattered(ScatterOp::Set, "scatter_", x, d, index, &src)?.with_grad([x], |s| {
        let index = s.input(index);
        grad_fn(move |c, g| Ok([Some(scatter_value(g, d as i64, &index.get(c)?, Scalar::Int(0), None)?)]))
    })
}

/// Adds the elements of `src` to those of `input` at the positions that `index` names along `dim`, in row-major order.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.scatter_add_.html>
#[op("(input, dim, index, src)", any, inplace,
    samples = ["T(3, 4), 0, I(5, 4, hi=3), T(5, 4)", "T(3, 4), 1, I(2, 7, hi=4), T(3, 9)", "T(), 0, I(hi=1), T()", "T(3), 0, I(0), T(0)", "I(3), 0, I(4, hi=3), I(4)"],
    errors = [("T(2, 3), 0, I(1, 1, lo=5, hi=6), T(1, 1)", "index 5 is out of bounds for dimension 0 with size 2"),
        ("T(2, 3), 0, I(1, 1, hi=1), I(1, 1)", "scatter(): Expected self.dtype to be equal to src.dtype")])]
pub fn scatter_add(x: &Tensor, dim: i64, index: &Tensor, src: &Tensor) -> Result<Tensor> {
    let d = check_scatter(x, dim, index, Some(src))?;
    scattered(ScatterOp::Add, "scatter_add_", x, d, index, src)?.with_grad([x, src], |s| {
        let (index, shape) = (s.input(index), src.shape());
        grad_fn(move |c, g| Ok([Some(g.clone()), c.needs(1).then(|| scattered_grad(g, d, &index.get(c)?, &shape)).transpose()?]))
    })
}

/// Joins the elements of `src` to those of `input` at the positions that `index` names along `dim`: their `'sum'`, `'prod'`, `'mean'`, `'amax'` or
/// `'amin'`. With `include_self=False` the old values at these positions do not count.
///
/// Equal extremes share the gradient evenly.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.scatter_reduce_.html>
#[op("(input, dim, index, src, reduce, *, include_self=True)", number, inplace,
    samples = ["T(3, 4), 0, I(5, 4, hi=3), T(5, 4), 'sum'", "T(3, 2), 1, I(3, 4, hi=2), T(3, 4, lo=0.5), 'prod'", "T(4), 0, I(7, hi=4), T(7), 'mean'",
        "T(4), 0, I(7, hi=4), T(7), 'amax'", "T(4), 0, I(7, hi=4), T(7), 'amin', include_self=False", "T(4), 0, I(3, hi=4), T(3), 'mean', include_self=False",
        "T(4), 0, I(3, hi=4), T(3), 'prod', include_self=False", "I(4), 0, I(7, hi=4), I(7), 'mean'", "T(3), 0, I(0), T(0), 'amax'"],
    errors = [("T(2), 0, I(1, hi=1), T(1), 'max'", "reduce argument must be either sum, prod, mean, amax or amin, got max"),
        ("T(2), 0, I(1, lo=5, hi=6), T(1), 'amax'", "index 5 is out of bounds for dimension 0 with size 2")])]
pub fn scatter_reduce(x: &Tensor, dim: i64, index: &Tensor, src: &Tensor, reduce: &str, include_self: bool) -> Result<Tensor> {
    let d = check_scatter(x, dim, index, Some(src))?;
    let dim = d as i64;
    let (lowest, highest) = extremes(x.dtype());
    let neutral = match reduce {
        "sum" | "mean" => Scalar::Int(0),
        "prod" => Scalar::Int(1),
        "amax" => lowest,
        "amin" => highest,
        _ => return Err(Error::runtime(format!("reduce argument must be either sum, prod, mean, amax or amin, got {reduce}"))),
    };
    let base = if include_self { x.clone() } else { scatter_value(x, dim, index, neutral, None)? };
    match reduce {
        "sum" => scatter_add(&base, dim, index, src),
        "mean" => {
            let ones = ones_like(x, None)?;
            let old = if include_self { ones } else { scatter_value(&ones, dim, index, Scalar::Int(0), None)? };
            let count = scatter_add(&old, dim, index, &ones_like(src, None)?)?;
            div(&scatter_add(&base, dim, index, src)?, &count, (!x.dtype().is_float()).then_some("floor"))
        }
        "prod" => scatter_prod(&base, d, index, src),
        "amax" => scatter_extreme(ScatterOp::Max, &base, d, index, src),
        _ => scatter_extreme(ScatterOp::Min, &base, d, index, src),
    }
}

/// The smallest and the largest number of a dtype.
fn extremes(dtype: DType) -> (Scalar, Scalar) {
    match dtype {
        DType::Bool => (Scalar::Bool(false), Scalar::Bool(true)),
        DType::U8 => (Scalar::Int(0), Scalar::Int(255)),
        DType::I8 => (Scalar::Int(i8::MIN as i64), Scalar::Int(i8::MAX as i64)),
        DType::I16 => (Scalar::Int(i16::MIN as i64), Scalar::Int(i16::MAX as i64)),
        DType::I32 => (Scalar::Int(i32::MIN as i64), Scalar::Int(i32::MAX as i64)),
        DType::I64 => (Scalar::Int(i64::MIN), Scalar::Int(i64::MAX)),
        _ => (Scalar::Float(f64::NEG_INFINITY), Scalar::Float(f64::INFINITY)),
    }
}

fn scatter_prod(x: &Tensor, d: usize, index: &Tensor, src: &Tensor) -> Result<Tensor> {
    scattered(ScatterOp::Mul, "", x, d, index, src)?.with_grad([x, src], |s| {
        let (sx, ssrc, index, shape) = (s.input(x), s.input(src), s.input(index), src.shape());
        grad_fn(move |c, g| {
            let (x, src, index) = (sx.get(c)?, ssrc.get(c)?, index.get(c)?);
            // The factors of an element of x are the others: their product, without a division that fails at zero.
            let gx = match c.needs(0) {
                true => Some(mul(g, &scatter_prod(&ones_like(&x, None)?, d, &index, &src)?)?),
                false => None,
            };
            if !c.needs(1) {
                return Ok([gx, None]);
            }
            // Of src the product is taken apart again by division. Zeros stand aside: where a position got one zero, only its own factor
            // matters; where it got more, none does.
            let zero = to_dtype(&binary(BinOp::Eq, &src.detach(), &Tensor::wrapped_number(Scalar::Int(0)))?, src.dtype())?;
            let zeros_there = scattered(ScatterOp::Add, "", &zeros_like(&x, None)?, d, &index, &zero)?;
            let zeros_here = scattered_grad(&zeros_there, d, &index, &shape)?;
            let others = binary(BinOp::Eq, &zeros_here, &zero)?;
            let divisor = add(&src, &zero, Scalar::Int(1))?;
            let product = scatter_prod(&x, d, &index, &divisor)?;
            let part = scattered_grad(&mul(g, &product)?, d, &index, &shape)?;
            let gsrc = mul(&div(&part, &divisor, None)?, &to_dtype(&others, src.dtype())?)?;
            Ok([gx, Some(gsrc)])
        })
    })
}

fn scatter_extreme(op: ScatterOp, x: &Tensor, d: usize, index: &Tensor, src: &Tensor) -> Result<Tensor> {
    scattered(op, "", x, d, index, src)?.with_grad([x, src], |s| {
        let (sx, ssrc, sy, index, shape) = (s.input(x), s.input(src), s.output(), s.input(index), src.shape());
        grad_fn(move |c, g| {
            // Which elements are the extreme, and how many they are, does not depend on them almost everywhere.
            let (x, src, y, index) = (sx.get(c)?.detach(), ssrc.get(c)?.detach(), sy.get(c)?.detach(), index.get(c)?);
            let one = |mask: Tensor| to_dtype(&mask, g.dtype());
            let from_x = one(binary(BinOp::Eq, &x, &y)?)?;
            let from_src = one(binary(BinOp::Eq, &src, &scattered_grad(&y, d, &index, &shape)?)?)?;
            let count = scattered(ScatterOp::Add, "", &from_x, d, &index, &from_src)?;
            let share = div(g, &count, None)?;
            let gx = c.needs(0).then(|| mul(&share, &from_x)).transpose()?;
            let gsrc = c.needs(1).then(|| mul(&scattered_grad(&share, d, &index, &shape)?, &from_src)).transpose()?;
            Ok([gx, gsrc])
        })
    })
}

/// As [`scatter_reduce()`] for whole slices: joins the slices of `source` to those of `input` at the positions `index` of dimension `dim`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.index_reduce_.html>
#[op("(input, dim, index, source, reduce, *, include_self=True)", number, inplace,
    samples = ["T(3, 4), 0, I(5, hi=3), T(5, 4), 'mean'", "T(3, 2), -1, I(2, hi=2), T(3, 2, lo=0.5), 'prod'", "T(4), 0, I(7, hi=4), T(7), 'amax', include_self=False"],
    errors = [("T(3), 0, I(1, hi=3), T(1), 'sum'", "index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got sum."),
        ("T(3), 0, I(2, hi=3), T(1), 'amax'", "index_reduce(): Number of indices (2) should be equal to source.size(dim): (1)")])]
pub fn index_reduce(x: &Tensor, dim: i64, index: &Tensor, source: &Tensor, reduce: &str, include_self: bool) -> Result<Tensor> {
    if !matches!(reduce, "prod" | "mean" | "amax" | "amin") {
        return Err(Error::runtime(format!(
            "index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got {reduce}."
        )));
    }
    let d = super::dim(dim, x.rank())?;
    let (shape, n) = (source.shape(), index.numel());
    let size = shape.get(d).copied().unwrap_or(1);
    if index.rank() > 1 || n != size {
        return Err(Error::runtime(format!(
            "index_reduce(): Number of indices ({n}) should be equal to source.size(dim): ({size}), for dim: {d}"
        )));
    }
    let mut sizes = vec![1; shape.len()];
    sizes.iter_mut().skip(d).take(1).for_each(|s| *s = n as i64);
    scatter_reduce(x, dim, &expand_to(&reshape(index, &sizes)?, &shape)?, source, reduce, include_self)
}
