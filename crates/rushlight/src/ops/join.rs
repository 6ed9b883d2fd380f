//! Joining tensors, and repeating or reordering their parts.

use super::*;
use crate::autograd::{grad_fn, record};
use rushlight_kernels::backend::{View, ViewMut};
use rushlight_kernels::layout::copied;

ops![
    cat,
    stack,
    hstack,
    vstack,
    dstack,
    flip,
    fliplr,
    flipud,
    roll,
    rot90,
    repeat,
    tile,
    repeat_interleave,
    repeat_interleave_tensor,
    repeat_interleave_counts,
    broadcast_tensors,
    meshgrid,
    cartesian_prod
];

/// Joins `tensors` along dimension `dim`. Their other sizes are equal; their dtypes promote. Vectors of no elements are left out.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.cat.html>
#[op("(tensors, dim=0)", any, function, alias = ["concat", "concatenate"],
    samples = ["[T(2, 3), T(1, 3)]", "[T(2, 3), T(2, 1), T(2, 0)], 1", "[T(3)], -1", "[T(0), T(2, 3)], 1", "[T(2), I(3)]"],
    errors = [("[]", "torch.cat(): expected a non-empty list of Tensors"),
        ("[T(), T(1)]", "zero-dimensional tensor (at position 0) cannot be concatenated"),
        ("[T(2, 3), T(3, 3)], 1", "Sizes of tensors must match except in dimension 1. Expected size 2 but got size 3 for tensor number 1 in the list."),
        ("[T(2, 3), T(3)]", "Tensors must have same number of dimensions: got 2 and 1"), ("[T(2)], 1", "Dimension out of range")])]
pub fn cat(tensors: &[Tensor], dim: i64) -> Result<Tensor> {
    let at_once = joined_at_once(tensors, |parts| {
        if parts.iter().any(|p| is_skipped(&p.layout.shape)) { Ok(None) } else { cat_shape(parts, dim).map(Some) }
    });
    let (y, d) = at_once.unwrap_or_else(|| {
        let (mut parts, dtype) = taken(tensors);
        let (d, shape) = cat_shape(&parts.iter().collect::<SmallVec<[&Data; 8]>>(), dim)?;
        parts.retain(|p| !is_skipped(&p.layout.shape));
        Ok((joined(&parts, d, &shape, dtype)?, d))
    })?;
    let y = Tensor::from_data(y);
    let mut inputs = SmallVec::<[&Tensor; 8]>::new();
    inputs.extend(tensors);
    record(std::slice::from_ref(&y), &inputs, |_| {
        // What each has along `d`; `None` for a vector of no elements, which fits anywhere.
        let size = |t: &Tensor| Some(t.shape()).filter(|s| !is_skipped(s)).map(|s| s[d]);
        let (sizes, d) = (tensors.iter().map(size).collect::<Vec<Option<usize>>>(), d as i64);
        grad_fn(move |c, g| {
            let mut start = 0;
            let grad = |(i, size): (usize, &Option<usize>)| {
                let at = start;
                start += size.unwrap_or(0) as i64;
                match *size {
                    _ if !c.needs(i) => Ok(None),
                    Some(n) => narrow(g, d, at, n as i64).map(Some),
                    None => filled(&[0], Scalar::Int(0), g.dtype()).map(Some),
                }
            };
            sizes.iter().enumerate().map(grad).collect::<Result<Vec<_>>>()
        })
    })?;
    Ok(y)
}

/// Snapshots of `tensors`, and the dtype that they have in common.
fn taken(tensors: &[Tensor]) -> (SmallVec<[Data; 2]>, DType) {
    let mut promotion = promote::Promotion::default();
    let mut parts = SmallVec::with_capacity(tensors.len());
    for t in tensors {
        let data = t.data_ref();
        promotion.add(&data);
        parts.push(data.clone());
    }
    (parts, promotion.dtype())
}

/// A vector of no elements.
fn is_skipped(shape: &[usize]) -> bool {
    shape == [0]
}

/// The dimension along which a `cat` joins, and the shape of its result.
fn cat_shape(parts: &[&Data], dim: i64) -> Result<(usize, Dims)> {
    if parts.is_empty() {
        return Err(Error::value("torch.cat(): expected a non-empty list of Tensors"));
    }
    if let Some(at) = parts.iter().position(|p| p.layout.rank() == 0) {
        return Err(Error::runtime(format!("zero-dimensional tensor (at position {at}) cannot be concatenated")));
    }
    let Some(model) = parts.iter().find(|p| !is_skipped(&p.layout.shape)).map(|p| &p.layout.shape) else {
        return Ok((0, Dims::from_slice(&[0])));
    };
    let d = super::dim(dim, model.len())?;
    let mut shape = model.clone();
    shape[d] = 0;
    for (i, part) in parts.iter().enumerate().filter(|(_, p)| !is_skipped(&p.layout.shape)) {
        let s = &part.layout.shape;
        if s.len() != model.len() {
            return Err(Error::runtime(format!(
                "Tensors must have same number of dimensions: got {} and {}",
                model.len(),
                s.len()
            )));
        }
        if let Some(bad) = (0..s.len()).find(|&k| k != d && s[k] != model[k]) {
            return Err(Error::runtime(format!(
                "Sizes of tensors must match except in dimension {d}. Expected size {} but got size {} for tensor number {i} in the list.",
                model[bad], s[bad]
            )));
        }
        shape[d] = shape[d].saturating_add(s[d]);
    }
    Ok((d, shape))
}

/// A few small tensors of one dtype, side by side along the dimension that `place` answers, in the shape that it answers, without snapshots
/// of them; and that dimension. `None` for anything else, and where `place` wants it so.
fn joined_at_once(
    tensors: &[Tensor],
    place: impl FnOnce(&[&Data]) -> Result<Option<(usize, Dims)>>,
) -> Option<Result<(Data, usize)>> {
    if tensors.len() > 4 || tensors.iter().map(Tensor::numel).sum::<usize>() > SMALL {
        return None;
    }
    let dtype = tensors.first()?.dtype();
    let mut held = SmallVec::<[_; 4]>::new();
    for t in tensors {
        held.push(t.try_data_ref().filter(|d| d.dtype == dtype && !d.wrapped)?);
    }
    let mut parts = SmallVec::<[&Data; 4]>::new();
    held.iter().for_each(|d| parts.push(d));
    let (d, shape) = match place(&parts).transpose()? {
        Ok(place) => place,
        Err(e) => return Some(Err(e)),
    };
    let layout = Layout::contiguous(&shape);
    let join = |views: &[View], out: &mut ViewMut| backend().join(views, d, out);
    let made = match *parts {
        [a] => storage::compute_at_once(layout, dtype, [a], |v, out| join(&v, out)),
        [a, b] => storage::compute_at_once(layout, dtype, [a, b], |v, out| join(&v, out)),
        [a, b, c] => storage::compute_at_once(layout, dtype, [a, b, c], |v, out| join(&v, out)),
        [a, b, c, e] => storage::compute_at_once(layout, dtype, [a, b, c, e], |v, out| join(&v, out)),
        _ => None,
    };
    Some(made?.map(|data| (data, d)))
}

/// `parts` side by side along `d`, in a new tensor of `shape`.
fn joined(parts: &[Data], d: usize, shape: &[usize], dtype: DType) -> Result<Data> {
    storage::compute(Layout::contiguous(shape), dtype, parts, |views, out| {
        if views.iter().all(|v| v.dtype == dtype) {
            return backend().join(views, d, out);
        }
        let (whole, mut at) = (out.layout.clone(), 0);
        for view in views {
            let place = whole.narrow(d, at, view.shape()[d]);
            at += view.shape()[d];
            let mut program = Program::new();
            let r = program.load(0, view.dtype);
            let r = program.cast(dtype, r);
            program.out(r);
            backend().pointwise(&program, std::slice::from_ref(view), &mut [out.with_layout(&place)])?;
        }
        Ok(())
    })
}

/// Joins `tensors`, all of one shape, along a new dimension `dim`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.stack.html>
#[op("(tensors, dim=0)", any, function, samples = ["[T(2, 3), T(2, 3)]", "[T(2), T(2)], -1", "[T(), T(), T()]", "[T(0, 2)], 1", "[T(2), I(2)]"],
    errors = [("[]", "stack expects a non-empty TensorList"), ("[T(2)], 3", "Dimension out of range (expected to be in range of [-2, 1], but got 3)"),
        ("[T(2), T(3)]", "stack expects each tensor to be equal size, but got [2] at entry 0 and [3] at entry 1")])]
pub fn stack(tensors: &[Tensor], dim: i64) -> Result<Tensor> {
    let Some(first) = tensors.first() else {
        return Err(Error::runtime("stack expects a non-empty TensorList"));
    };
    let (rank, n) = (first.rank(), tensors.len());
    let d = super::dim(dim, rank + 1)?;
    let equal = |shape: &Dims, parts: &[&Data]| match parts.iter().position(|p| p.layout.shape != *shape) {
        None => Ok(()),
        Some(i) => Err(Error::runtime(format!(
            "stack expects each tensor to be equal size, but got {:?} at entry 0 and {:?} at entry {i}",
            shape.as_slice(),
            parts[i].layout.shape.as_slice()
        ))),
    };
    // Side by side along `d` they are in the order of a new dimension before it.
    let side_by_side = |shape: &Dims| {
        let mut wide = copied(shape);
        wide[d] = wide[d].saturating_mul(n);
        wide
    };
    let mut shape = first.shape();
    let at_once = joined_at_once(tensors, |parts| {
        equal(&shape, parts)?;
        Ok((d < rank).then(|| (d, side_by_side(&shape))))
    });
    let mut data = match at_once {
        Some(made) => made?.0,
        None => {
            let (mut parts, dtype) = taken(tensors);
            equal(&shape, &parts.iter().collect::<SmallVec<[&Data; 8]>>())?;
            if d < rank {
                joined(&parts, d, &side_by_side(&shape), dtype)?
            } else {
                parts.iter_mut().for_each(|p| p.layout = p.layout.unsqueeze(d));
                let mut wide = copied(&shape);
                wide.push(n);
                joined(&parts, d, &wide, dtype)?
            }
        }
    };
    shape.insert(d, n);
    data.layout = Layout::contiguous(&shape);
    let y = Tensor::from_data(data);
    let inputs: SmallVec<[&Tensor; 4]> = tensors.iter().collect();
    record(std::slice::from_ref(&y), &inputs, |_| {
        grad_fn(move |c, g| {
            let grad = |i: usize| c.needs(i).then(|| select(g, d as i64, i as i64)).transpose();
            (0..n).map(grad).collect::<Result<Vec<_>>>()
        })
    })?;
    Ok(y)
}

/// The tensors, each through `f`; or the error of an empty list.
fn each(op: &str, tensors: &[Tensor], f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Vec<Tensor>> {
    if tensors.is_empty() {
        return Err(Error::runtime(format!("{op} expects a non-empty TensorList")));
    }
    tensors.iter().map(f).collect()
}

/// Joins `tensors` side by side: along the first dimension of vectors, else along the second.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.hstack.html>
#[op("(tensors)", any, function, samples = ["[T(2), T(3)]", "[T(2, 1), T(2, 2)]", "[T(), T(2)]"],
    errors = [("[]", "hstack expects a non-empty TensorList")])]
pub fn hstack(tensors: &[Tensor]) -> Result<Tensor> {
    let parts = each("hstack", tensors, atleast_1d)?;
    cat(&parts, if parts[0].rank() == 1 { 0 } else { 1 })
}

/// Joins `tensors` one below the other: along the first dimension, vectors as rows.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.vstack.html>
#[op("(tensors)", any, function, alias = ["row_stack"], samples = ["[T(3), T(3)]", "[T(1, 2), T(2, 2)]", "[T(), T()]"],
    errors = [("[]", "vstack expects a non-empty TensorList")])]
pub fn vstack(tensors: &[Tensor]) -> Result<Tensor> {
    cat(&each("vstack", tensors, atleast_2d)?, 0)
}

/// Joins `tensors` one behind the other: along the third dimension.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.dstack.html>
#[op("(tensors)", any, function, samples = ["[T(3), T(3)]", "[T(2, 2), T(2, 2)]", "[T(), T()]"],
    errors = [("[]", "dstack expects a non-empty TensorList")])]
pub fn dstack(tensors: &[Tensor]) -> Result<Tensor> {
    cat(&each("dstack", tensors, atleast_3d)?, 2)
}

/// Returns a copy of `input` with the order of the elements along `dims` reversed.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.flip.html>
#[op("(input, dims)", any, samples = ["T(3, 4), [0]", "T(2, 3, 2), [0, -1]", "T(3), []", "T(), []", "T(0, 2), [0]"],
    errors = [("T(2, 3), [0, 0]", "dim 0 appears multiple times in the list of dims"), ("T(2), [1]", "Dimension out of range")])]
pub fn flip(x: &Tensor, dims: &[i64]) -> Result<Tensor> {
    let over = if dims.is_empty() { Dims::new() } else { super::dims(Some(dims), x.rank())? };
    let data = x.data();
    let layout = over.iter().fold(data.layout.clone(), |l, &d| l.flip(d));
    let list = as_i64(&over);
    Tensor::from_data(copy_data(&data.with_layout(layout))?).with_grad([x], |_| grad_fn(move |_, g| Ok([Some(flip(g, &list)?)])))
}

/// Returns a copy of `input` with its columns (dimension 1) in reverse order.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.fliplr.html>
#[op("(input)", any, samples = ["T(3, 4)", "T(0, 2)"], errors = [("T(3)", "Input must be >= 2-d.")])]
pub fn fliplr(x: &Tensor) -> Result<Tensor> {
    if x.rank() < 2 {
        return Err(Error::runtime("Input must be >= 2-d."));
    }
    flip(x, &[1])
}

/// Returns a copy of `input` with its rows (dimension 0) in reverse order.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.flipud.html>
#[op("(input)", any, samples = ["T(3, 4)", "T(3)", "T(0, 2)"], errors = [("T()", "Input must be >= 1-d.")])]
pub fn flipud(x: &Tensor) -> Result<Tensor> {
    if x.rank() < 1 {
        return Err(Error::runtime("Input must be >= 1-d."));
    }
    flip(x, &[0])
}

/// Returns a copy of `input` with its elements moved by `shifts` along `dims`, round the end to the front; without `dims` along the flattened
/// tensor.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.roll.html>
#[op("(input, shifts, dims=())", any, samples = ["T(5), 2", "T(3, 4), 1", "T(3, 4), -1, 1", "T(3, 4), [1, 6], [0, 1]", "T(0, 2), 1, 0", "T(), 3"],
    errors = [("T(2, 3), [1, 2], 0", "shifts and dimensions must align. shifts: 2, dims:1"),
        ("T(2, 3), [1, 2]", "shifts and dimensions must align. shifts: 2, dims:0"), ("T(2), 1, 1", "Dimension out of range"),
        ("T(2), [], []", "`shifts` required")])]
pub fn roll(x: &Tensor, shifts: &[i64], dims: &[i64]) -> Result<Tensor> {
    if shifts.is_empty() {
        return Err(Error::runtime("`shifts` required"));
    }
    if dims.is_empty() && shifts.len() == 1 {
        return reshape(&roll(&reshape(x, &[-1])?, shifts, &[0])?, &as_i64(&x.shape()));
    }
    if shifts.len() != dims.len() {
        return Err(Error::runtime(format!("shifts and dimensions must align. shifts: {}, dims:{}", shifts.len(), dims.len())));
    }
    let shape = x.shape();
    let mut y = x.clone();
    for (&shift, &d) in shifts.iter().zip(dims) {
        let d = dim(d, shape.len())?;
        let n = shape.get(d).copied().unwrap_or(1) as i64;
        if n < 2 || shift % n == 0 {
            continue;
        }
        let cut = n - shift.rem_euclid(n);
        let (d, front, back) = (d as i64, narrow(&y, d as i64, 0, cut)?, narrow(&y, d as i64, cut, n - cut)?);
        y = cat(&[back, front], d)?;
    }
    if y.is_same(x) { copy(x) } else { Ok(y) }
}

/// Returns `input` rotated `k` times by 90 degrees in the plane of the two dimensions `dims`, from the first towards the second.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.rot90.html>
#[op("(input, k=1, dims=(0, 1))", any, samples = ["T(2, 3)", "T(2, 3), 2", "T(2, 3), -1", "T(2, 3, 2), 1, [1, 2]", "T(2, 3), 4", "T(0, 2)"],
    errors = [("T(2, 3), 1, [0, 0]", "expected rotation dims to be different, but got dim0 = 0 and dim1 = 0"),
        ("T(2, 3), 1, [0]", "expected total rotation dims == 2, but got dims = 1"), ("T(3)", "expected total dims >= 2, but got total dims = 1"),
        ("T(2, 3), 1, [0, 5]", "Dimension out of range")])]
pub fn rot90(x: &Tensor, k: i64, dims: &[i64]) -> Result<Tensor> {
    let &[d0, d1] = dims else {
        return Err(Error::runtime(format!("expected total rotation dims == 2, but got dims = {}", dims.len())));
    };
    if x.rank() < 2 {
        return Err(Error::runtime(format!("expected total dims >= 2, but got total dims = {}", x.rank())));
    }
    let (a, b) = (dim(d0, x.rank())? as i64, dim(d1, x.rank())? as i64);
    if a == b {
        return Err(Error::runtime(format!("expected rotation dims to be different, but got dim0 = {d0} and dim1 = {d1}")));
    }
    match k.rem_euclid(4) {
        1 => transpose(&flip(x, &[b])?, a, b),
        2 => flip(x, &[a, b]),
        3 => transpose(&flip(x, &[a])?, a, b),
        _ => copy(x),
    }
}

/// Returns a tensor with `input` repeated `repeats` times along each dimension; new dimensions come in front.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.repeat.html>
#[op("(input, repeats)", any, samples = ["T(2, 3), [2, 1]", "T(3), [2, 2]", "T(), [3]", "T(2), [0]", "T(2, 3), [1, 1]", "T(0, 2), [2, 2]"],
    errors = [("T(2, 3), [2]", "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor"),
        ("T(2), [-1]", "Trying to create tensor with negative dimension -2: [-2]")])]
pub fn repeat(x: &Tensor, repeats: &[i64]) -> Result<Tensor> {
    let shape = x.shape();
    let Some(lead) = repeats.len().checked_sub(shape.len()) else {
        return Err(Error::runtime(format!(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor (repeats {repeats:?}, shape {:?})",
            shape.as_slice()
        )));
    };
    let size = |d: usize| if d < lead { 1 } else { shape[d - lead] as i64 };
    let target: Vec<i64> = (0..repeats.len()).map(|d| repeats[d].saturating_mul(size(d))).collect();
    let sizes = crate::tensor::sizes(&target)?;
    storage::nbytes(&sizes, x.dtype())?;
    // Every dimension becomes two, [1, size], of which the first is repeated.
    let pairs = |f: &dyn Fn(usize) -> i64| (0..repeats.len()).flat_map(|d| [f(d), size(d)]).collect::<Vec<_>>();
    let apart = reshape(x, &pairs(&|_| 1))?;
    reshaped(copy_contiguous(&expand(&apart, &pairs(&|d| repeats[d]))?)?, &sizes)
}

/// Returns a tensor with `input` repeated: as [`repeat()`], with ones in front of `dims` where they are too few.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.tile.html>
#[op("(input, dims)", any, samples = ["T(2, 3), [2]", "T(3), [2, 2]", "T(), [3]", "T(2, 3), []"],
    errors = [("T(2), [-1]", "Trying to create tensor with negative dimension -2: [-2]")])]
pub fn tile(x: &Tensor, dims: &[i64]) -> Result<Tensor> {
    let mut repeats = vec![1; x.rank().saturating_sub(dims.len())];
    repeats.extend_from_slice(dims);
    repeat(x, &repeats)
}

/// Returns a tensor with every slice of `input` along `dim` repeated `repeats` times in a row; without `dim`, every element of the flattened
/// tensor.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.repeat_interleave.html>
#[op("(input, repeats, dim=None, *, output_size=None)", any, samples = ["T(2, 3), 2", "T(2, 3), 2, 1", "T(), 3", "T(2), 0", "T(0, 2), 2, 0"],
    errors = [("T(2), -1", "Repeats must be non-negative"), ("T(2), 1, 1", "Dimension out of range")])]
pub fn repeat_interleave(x: &Tensor, repeats: i64, dim: Option<i64>, output_size: Option<i64>) -> Result<Tensor> {
    if repeats < 0 {
        return Err(Error::runtime(format!("Repeats must be non-negative (got {repeats})")));
    }
    let (x, d) = along(x, dim)?;
    let (mut sizes, mut joined) = (as_i64(&x.shape()), x.shape());
    check_output_size(sizes[d].saturating_mul(repeats), output_size)?;
    sizes.insert(d + 1, repeats);
    joined[d] = joined[d].saturating_mul(repeats as usize);
    reshaped(copy_contiguous(&expand(&unsqueeze(&x, d as i64 + 1)?, &sizes)?)?, &joined)
}

/// `x` and a dimension of it; without `dim` the flattened x.
fn along(x: &Tensor, dim: Option<i64>) -> Result<(Tensor, usize)> {
    match dim {
        Some(d) if x.rank() > 0 => Ok((x.clone(), super::dim(d, x.rank())?)),
        Some(d) => super::dim(d, 0).and_then(|d| Ok((reshape(x, &[-1])?, d))),
        None => Ok((reshape(x, &[-1])?, 0)),
    }
}

fn check_output_size(computed: i64, given: Option<i64>) -> Result<()> {
    match given {
        Some(given) if given != computed => Err(Error::runtime(format!(
            "allocated size does not match required size (output_size {given}, but the repeats add up to {computed})"
        ))),
        _ => Ok(()),
    }
}

/// Returns a tensor with the slices of `input` along `dim` repeated as often as `repeats`, a vector of one number or of one per slice, says.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.repeat_interleave.html>
#[op("(input, repeats, dim=None, *, output_size=None)", overload = "tensor", any,
    samples = ["T(2, 3), I(2, hi=3), 0", "T(2, 3), I(3, hi=3), -1", "T(4), I(4, hi=3)", "T(2, 2), I(1, lo=2, hi=3), 1"],
    errors = [("T(2, 3), I(2), 1", "repeats must have the same size as input along dim, but got repeats.size(0) = 2 and input.size(1) = 3"),
        ("T(2, 3), I(1, 2), 0", "repeats must be 0-dim or 1-dim tensor"), ("T(2), I(2, lo=-3, hi=-1), 0", "repeats can not be negative")])]
pub fn repeat_interleave_tensor(x: &Tensor, repeats: &Tensor, dim: Option<i64>, output_size: Option<i64>) -> Result<Tensor> {
    let (x, d) = along(x, dim)?;
    let n = x.shape()[d];
    let repeats = match repeats.rank() {
        0 => expand_to(repeats, &[n])?,
        1 if repeats.numel() == 1 => expand_to(repeats, &[n])?,
        1 if repeats.numel() == n => repeats.clone(),
        1 => {
            return Err(Error::runtime(format!(
                "repeats must have the same size as input along dim, but got repeats.size(0) = {} and input.size({d}) = {n}",
                repeats.numel()
            )));
        }
        _ => return Err(Error::runtime("repeats must be 0-dim or 1-dim tensor")),
    };
    index_select(&x, d as i64, &repeat_interleave_counts(&repeats, output_size)?)
}

/// Returns every position of `repeats` as often as the number there says: `[1, 2]` gives `[0, 1, 1]`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.repeat_interleave.html>
#[op("(repeats, *, output_size=None)", overload = "counts", name = "repeat_interleave", integral, nondiff, samples = ["I(4, hi=3)", "I(0)", "I(3, hi=2, dtype=int32)"],
    errors = [("I(2, lo=-3, hi=-1)", "repeats can not be negative"), ("T(3)", "not implemented for"), ("I(2, 2)", "repeat_interleave only accept 1D vector as repeat")])]
pub fn repeat_interleave_counts(repeats: &Tensor, output_size: Option<i64>) -> Result<Tensor> {
    if repeats.rank() != 1 {
        return Err(Error::runtime("repeat_interleave only accept 1D vector as repeat"));
    }
    if !matches!(repeats.dtype(), DType::I64 | DType::I32) {
        return Err(unsupported(repeats.dtype()));
    }
    let counts: Vec<i64> = to_dtype(repeats, DType::I64)?.try_to_vec()?;
    if counts.iter().any(|&c| c < 0) {
        return Err(Error::runtime("repeats can not be negative"));
    }
    let total = counts.iter().fold(0i64, |n, &c| n.saturating_add(c));
    check_output_size(total, output_size)?;
    storage::nbytes(&[total as usize], DType::I64)?;
    let mut places = Vec::with_capacity(total as usize);
    for (i, &c) in counts.iter().enumerate() {
        places.extend(std::iter::repeat_n(i as i64, c as usize));
    }
    to_dtype(&Tensor::try_from_vec(places, total)?, repeats.dtype())
}

/// Returns views of `tensors` broadcast to their common shape.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.broadcast_tensors.html>
#[op("(tensors)", any, function, samples = ["[T(2, 1), T(3)]", "[T()]", "[T(3), T(), T(1, 3)]", "[T(0, 2), T(2)]"],
    errors = [("[T(2), T(3)]", "The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 0")])]
pub fn broadcast_tensors(tensors: &[Tensor]) -> Result<Vec<Tensor>> {
    let shape = tensors.iter().try_fold(Dims::new(), |shape, t| broadcast(&shape, &t.shape()))?;
    tensors.iter().map(|t| expand_to(t, &shape)).collect()
}

/// Returns the coordinate grids of the vectors `tensors`: views of the shape that has one dimension per vector.
///
/// `indexing` is `'ij'`, matrix order, or `'xy'`, in which the first two dimensions are swapped.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.meshgrid.html>
#[op("(tensors, indexing='ij')", any, function, samples = ["[T(2), T(3)]", "[T(2), T(3), T(2)], 'xy'", "[T(), T(2)]", "[T(2)], 'xy'"],
    errors = [("[]", "meshgrid expects a non-empty TensorList"), ("[T(2, 2)]", "Expected 0D or 1D tensor in the tensor list but got: [2, 2]"),
        ("[T(2)], 'j'", "torch.meshgrid: indexing must be one of \"xy\" or \"ij\", but received: j"),
        ("[T(2), I(2)]", "meshgrid expects all tensors to have the same dtype")])]
pub fn meshgrid(tensors: &[Tensor], indexing: &str) -> Result<Vec<Tensor>> {
    let Some(first) = tensors.first() else {
        return Err(Error::runtime("meshgrid expects a non-empty TensorList"));
    };
    if let Some(bad) = tensors.iter().find(|t| t.rank() > 1) {
        return Err(Error::runtime(format!(
            "torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {:?}",
            bad.shape().as_slice()
        )));
    }
    if tensors.iter().any(|t| t.dtype() != first.dtype()) {
        return Err(Error::runtime("meshgrid expects all tensors to have the same dtype"));
    }
    let swap = match indexing {
        "ij" => false,
        "xy" => tensors.len() >= 2,
        other => {
            return Err(Error::runtime(format!(
                "torch.meshgrid: indexing must be one of \"xy\" or \"ij\", but received: {other}"
            )));
        }
    };
    let shape: Dims = tensors.iter().map(Tensor::numel).collect();
    let grid = |(i, t): (usize, &Tensor)| {
        let mut sizes = vec![1; shape.len()];
        sizes[i] = shape[i] as i64;
        let y = expand_to(&reshape(t, &sizes)?, &shape)?;
        if swap { transpose(&y, 0, 1) } else { Ok(y) }
    };
    tensors.iter().enumerate().map(grid).collect()
}

/// Returns all combinations of one element of each of the vectors `tensors`, one per row.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.cartesian_prod.html>
#[op("(tensors)", any, function, samples = ["[T(2), T(3)]", "[T(2), T(1), T(2)]", "[T(3)]", "[T(0), T(2)]"],
    errors = [("[]", "meshgrid expects a non-empty TensorList"), ("[T(2, 2), T(2)]", "Expect a 1D vector, but got shape [2, 2]")])]
pub fn cartesian_prod(tensors: &[Tensor]) -> Result<Tensor> {
    if let Some(bad) = tensors.iter().find(|t| t.rank() != 1) {
        return Err(Error::runtime(format!("Expect a 1D vector, but got shape {:?}", bad.shape().as_slice())));
    }
    if let [only] = tensors {
        return Ok(only.clone());
    }
    let grids = meshgrid(tensors, "ij")?.iter().map(|g| reshape(g, &[-1])).collect::<Result<Vec<_>>>()?;
    stack(&grids, 1)
}
