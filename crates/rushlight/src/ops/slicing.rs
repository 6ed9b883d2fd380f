//! Views of a part of a tensor. All of them are cut by [`cut`], whose derivative puts the gradient back into zeros.

use super::*;
use crate::autograd::view::{Replay, ViewKind, link, view_from};
use crate::autograd::{grad_fn, grad_fn_many, inplace, is_recorded, record};
use std::sync::Arc;

ops![
    narrow,
    select,
    slice,
    diagonal,
    split,
    split_sizes,
    chunk,
    tensor_split,
    tensor_split_indices,
    unbind,
    select_scatter,
    slice_scatter,
    diagonal_scatter
];

/// The view of `x` that has `data`, and which `view` cuts from any tensor of x's shape. No two indices of it may share an element.
pub(crate) fn cut(x: &Tensor, data: Data, view: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static) -> Result<Tensor> {
    if !is_recorded(&[x]) {
        return view_from(x, data, || Arc::new(view), |_| unreachable!("it is not recorded"));
    }
    let view: Replay = Arc::new(view);
    let again = view.clone();
    view_from(
        x,
        data,
        || again,
        |_| {
            let shape = x.shape();
            grad_fn(move |_, g| Ok([Some(embed(g, &shape, view.clone())?)]))
        },
    )
}

/// Zeros of `shape` with `g` where `view` cuts: the transposed map of the view.
pub(crate) fn embed(g: &Tensor, shape: &[usize], view: Replay) -> Result<Tensor> {
    let whole = filled(shape, Scalar::Int(0), g.dtype())?;
    inplace::write_data(&view(&whole)?.data(), &g.data())?;
    whole.with_grad([g], |_| grad_fn(move |_, gg| Ok([Some(view(gg)?)])))
}

/// A copy of `x` with `src` where `view` cuts; the shapes must be equal.
pub(super) fn replace(x: &Tensor, src: &Tensor, view: Replay) -> Result<Tensor> {
    let target = view(&x.detach())?.shape();
    if target != src.shape() {
        return Err(Error::runtime(format!(
            "expected src to have a size equal to the slice of self. src size = {:?}, slice size = {:?}",
            src.shape().as_slice(),
            target.as_slice()
        )));
    }
    let y = copy(&x.detach())?;
    inplace::write_data(&view(&y)?.data(), &src.data())?;
    y.with_grad([x, src], |_| {
        grad_fn(move |c, g| {
            let outside = c.needs(0).then(|| replace(g, &zeros_like(&view(&g.detach())?, None)?, view.clone())).transpose()?;
            Ok([outside, c.needs(1).then(|| view(g)).transpose()?])
        })
    })
}

/// Where a slice starts and how many elements it has, by Python's rules: negative positions count from the end, those outside are clamped.
pub(crate) fn slice_bounds(start: Option<i64>, end: Option<i64>, step: i64, size: usize) -> (usize, usize) {
    let size = size as i64;
    let clamp = |i: i64| if i < 0 { (i + size).max(0) } else { i.min(size) };
    let (start, end) = (clamp(start.unwrap_or(0)), clamp(end.unwrap_or(size)));
    (start as usize, if end > start { (end - start - 1) / step + 1 } else { 0 } as usize)
}

/// Returns the view of `length` elements of dimension `dim` from `start`, which may be negative to count from the end.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.narrow.html>
#[op("(input, dim, start, length)", any, view, samples = ["T(3, 4), 1, 1, 2", "T(3, 4), -2, -1, 1", "T(3), 0, 3, 0", "T(0, 2), 1, 0, 1"],
    errors = [("T(2), 0, 1, 3", "start (1) + length (3) exceeds dimension size (2)."),
        ("T(2), 0, 3, 0", "start out of range (expected to be in range of [-2, 2], but got 3)"),
        ("T(2), 0, 0, -1", "narrow(): length must be non-negative."), ("T(), 0, 0, 1", "narrow() cannot be applied to a 0-dim tensor.")])]
pub fn narrow(x: &Tensor, dim: i64, start: i64, length: i64) -> Result<Tensor> {
    let whole = x.data_ref();
    let layout = &whole.layout;
    if layout.rank() == 0 {
        return Err(Error::runtime("narrow() cannot be applied to a 0-dim tensor."));
    }
    if length < 0 {
        return Err(Error::runtime("narrow(): length must be non-negative."));
    }
    let d = super::dim(dim, layout.rank())?;
    let size = layout.shape[d] as i64;
    if start < -size || start > size {
        return Err(Error::index(format!(
            "start out of range (expected to be in range of [{}, {size}], but got {start})",
            -size
        )));
    }
    let start = if start < 0 { start + size } else { start };
    if length > size - start {
        return Err(Error::runtime(format!("start ({start}) + length ({length}) exceeds dimension size ({size}).")));
    }
    let data = whole.with_layout(layout.narrow(d, start as usize, length as usize));
    drop(whole);
    cut(x, data, move |b| narrow(b, d as i64, start, length))
}

/// Returns the view of `input` at position `index` of dimension `dim`, which is removed.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.select.html>
#[op("(input, dim, index)", any, view, samples = ["T(3, 4), 0, 1", "T(3, 4), -1, -4", "T(3), 0, 2", "T(0, 2), 1, 0"],
    errors = [("T(2, 3), 0, 5", "select(): index 5 out of range for tensor of size [2, 3] at dimension 0"),
        ("T(2, 3), 2, 0", "Dimension out of range"), ("T(), 0, 0", "select() cannot be applied to a 0-dim tensor.")])]
pub fn select(x: &Tensor, dim: i64, index: i64) -> Result<Tensor> {
    let whole = x.data_ref();
    let layout = &whole.layout;
    if layout.rank() == 0 {
        return Err(Error::index("select() cannot be applied to a 0-dim tensor."));
    }
    let d = super::dim(dim, layout.rank())?;
    let size = layout.shape[d] as i64;
    if index < -size || index >= size {
        return Err(Error::index(format!(
            "select(): index {index} out of range for tensor of size {:?} at dimension {d}",
            layout.shape.as_slice()
        )));
    }
    let at = if index < 0 { index + size } else { index };
    let data = whole.with_layout(layout.select(d, at as usize));
    drop(whole);
    cut(x, data, move |b| select(b, d as i64, at))
}

/// Returns the view of every `step`-th element of dimension `dim` from `start` up to, not including, `end`, by Python's rules for slices.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.slice_scatter.html> (its inverse; PyTorch writes `x[start:end:step]`)
#[op("(input, dim=0, start=None, end=None, step=1)", any, view,
    samples = ["T(3, 4), 1, 1, 3", "T(5), 0, None, None, 2", "T(5), 0, -3, 100", "T(3), 0, 2, 1", "T(0, 2), -1, 1"],
    errors = [("T(3), 0, 0, 2, 0", "slice step must be positive"), ("T(), 0", "slice() cannot be applied to a 0-dim tensor.")])]
pub fn slice(x: &Tensor, dim: i64, start: Option<i64>, end: Option<i64>, step: i64) -> Result<Tensor> {
    let whole = x.data_ref();
    let layout = &whole.layout;
    if layout.rank() == 0 {
        return Err(Error::index("slice() cannot be applied to a 0-dim tensor."));
    }
    let d = super::dim(dim, layout.rank())?;
    if step <= 0 {
        return Err(Error::runtime("slice step must be positive"));
    }
    let (from, len) = slice_bounds(start, end, step, layout.shape[d]);
    // A stride is used only where there are two elements: then the step is below the dimension's size and cannot overflow.
    let stride = if len > 1 { step as isize } else { 1 };
    let data = whole.with_layout(layout.slice(d, from, stride, len));
    drop(whole);
    cut(x, data, move |b| slice(b, d as i64, start, end, step))
}

/// Returns the view of the diagonal of dimensions `dim1` and `dim2`, `offset` above the main one (below where negative), as the last dimension.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.diagonal.html>
#[op("(input, offset=0, dim1=0, dim2=1)", any, view,
    samples = ["T(3, 4)", "T(3, 4), 1", "T(3, 4), -2", "T(2, 3, 4), 0, -1, 1", "T(2, 3), 7", "T(0, 2)"],
    errors = [("T(2, 3), 0, 1, 1", "diagonal dimensions cannot be identical 1, 1"), ("T(3)", "Dimension out of range")])]
pub fn diagonal(x: &Tensor, offset: i64, dim1: i64, dim2: i64) -> Result<Tensor> {
    let whole = x.data_ref();
    let layout = &whole.layout;
    let (a, b) = (dim(dim1, layout.rank())?, dim(dim2, layout.rank())?);
    if a == b {
        return Err(Error::runtime(format!("diagonal dimensions cannot be identical {dim1}, {dim2}")));
    }
    // Beyond the last diagonal all are empty; clamping keeps the arithmetic in range.
    let reach = isize::MAX / 2;
    let data = whole.with_layout(layout.diagonal((offset as isize).clamp(-reach, reach), a, b));
    drop(whole);
    cut(x, data, move |base| diagonal(base, offset, a as i64, b as i64))
}

// ---- several views at once ------------------------------------------------------------------------------------------------------

/// Views of `x`, one per layout, that share one node. `view` cuts the view of a number; `join` puts the gradients together.
fn pieces(
    x: &Tensor,
    layouts: Vec<Layout>,
    view: impl Fn(&Tensor, usize) -> Result<Tensor> + Send + Sync + 'static,
    join: impl Fn(&[Tensor]) -> Result<Tensor> + Send + Sync + 'static,
) -> Result<Vec<Tensor>> {
    let outs: Vec<Tensor> = layouts.into_iter().map(|l| Tensor::from_data(x.data_ref().with_layout(l))).collect();
    record(&outs, &[x], |_| {
        let metas: Vec<(Dims, DType)> = outs.iter().map(|o| (o.shape(), o.dtype())).collect();
        grad_fn_many(move |_, gs| {
            let filled = |(g, (shape, dtype)): (&Option<Tensor>, &(Dims, DType))| match g {
                Some(g) => Ok(g.clone()),
                None => filled(shape, Scalar::Int(0), *dtype),
            };
            let gs = gs.iter().zip(&metas).map(filled).collect::<Result<Vec<_>>>()?;
            Ok([Some(join(&gs)?)])
        })
    })?;
    let view = Arc::new(view);
    for (i, y) in outs.iter().enumerate() {
        let view = view.clone();
        link(y, x, ViewKind::Multi, Arc::new(move |b| view(b, i)));
    }
    Ok(outs)
}

/// Views of consecutive parts of dimension `d`, of the given sizes, which add up to the dimension's.
fn parts(x: &Tensor, d: usize, sizes: &[usize]) -> Result<Vec<Tensor>> {
    let layout = x.layout();
    let mut bounds = Vec::with_capacity(sizes.len());
    let mut start = 0;
    for &n in sizes {
        bounds.push((start, n));
        start += n;
    }
    let layouts = bounds.iter().map(|&(start, n)| layout.narrow(d, start, n)).collect();
    let d = d as i64;
    pieces(x, layouts, move |b, i| narrow(b, d, bounds[i].0 as i64, bounds[i].1 as i64), move |gs| cat(gs, d))
}

/// Splits dimension `dim` into views of `split_size` elements; the last may be smaller.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.split.html>
#[op("(tensor, split_size_or_sections, dim=0)", any, view, samples = ["T(5), 2", "T(3, 4), 3, 1", "T(3, 4), 5", "T(0, 2), 0", "T(0, 2), 2"],
    errors = [("T(3), -1", "split expects split_size be non-negative, but got split_size=-1"),
        ("T(3), 0", "split_size can only be 0 if dimension size is 0, but got dimension size of 3"),
        ("T(), 1", "split expects at least a 1-dimensional tensor"), ("T(3), 1, 1", "Dimension out of range")])]
pub fn split(x: &Tensor, split_size: i64, dim: i64) -> Result<Vec<Tensor>> {
    let shape = x.shape();
    if shape.is_empty() {
        return Err(Error::runtime("split expects at least a 1-dimensional tensor"));
    }
    let d = super::dim(dim, shape.len())?;
    if split_size < 0 {
        return Err(Error::runtime(format!("split expects split_size be non-negative, but got split_size={split_size}")));
    }
    let (n, size) = (shape[d], split_size as usize);
    if size == 0 && n > 0 {
        return Err(Error::runtime(format!("split_size can only be 0 if dimension size is 0, but got dimension size of {n}")));
    }
    // Even an empty dimension gives one, empty, piece.
    let count = if n == 0 { 1 } else { n.div_ceil(size) };
    let sizes: Vec<usize> = (0..count).map(|i| size.min(n - i * size)).collect();
    parts(x, d, &sizes)
}

/// Splits dimension `dim` into views of the given sizes.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.split.html>
#[op("(tensor, split_size_or_sections, dim=0)", name = "split", overload = "sizes", any, view, alias = ["split_with_sizes"],
    samples = ["T(5), [2, 0, 3]", "T(3, 4), [1, 3], -1", "T(0, 2), [0]"],
    errors = [("T(3), [1, 1]", "split_with_sizes expects split_sizes to sum exactly to 3 (input tensor's size at dimension 0), but got split_sizes=[1, 1]"),
        ("T(3), [-1, 4]", "split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes=[-1, 4]")])]
pub fn split_sizes(x: &Tensor, sizes: &[i64], dim: i64) -> Result<Vec<Tensor>> {
    let shape = x.shape();
    if shape.is_empty() {
        return Err(Error::runtime("split expects at least a 1-dimensional tensor"));
    }
    let d = super::dim(dim, shape.len())?;
    if sizes.iter().any(|&s| s < 0) {
        return Err(Error::runtime(format!(
            "split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes={sizes:?}"
        )));
    }
    if sizes.iter().try_fold(0i64, |n, &s| n.checked_add(s)) != Some(shape[d] as i64) {
        return Err(Error::runtime(format!(
            "split_with_sizes expects split_sizes to sum exactly to {} (input tensor's size at dimension {d}), but got split_sizes={sizes:?}",
            shape[d]
        )));
    }
    parts(x, d, &sizes.iter().map(|&s| s as usize).collect::<Vec<_>>())
}

/// Splits dimension `dim` into at most `chunks` views of equal size; the last may be smaller.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.chunk.html>
#[op("(input, chunks, dim=0)", any, view, samples = ["T(5), 2", "T(3, 4), 4, 1", "T(3), 5", "T(0, 2), 3"],
    errors = [("T(3), 0", "chunk expects `chunks` to be greater than 0, got: 0"), ("T(), 2", "chunk expects at least a 1-dimensional tensor")])]
pub fn chunk(x: &Tensor, chunks: i64, dim: i64) -> Result<Vec<Tensor>> {
    let shape = x.shape();
    if shape.is_empty() {
        return Err(Error::runtime("chunk expects at least a 1-dimensional tensor"));
    }
    if chunks <= 0 {
        return Err(Error::runtime(format!("chunk expects `chunks` to be greater than 0, got: {chunks}")));
    }
    let d = super::dim(dim, shape.len())?;
    let size = shape[d].div_ceil(chunks as usize);
    if size == 0 {
        // Unlike split, chunk keeps the promised number of pieces of an empty dimension.
        return parts(x, d, &vec![0; chunks as usize]);
    }
    split(x, size as i64, d as i64)
}

/// Splits dimension `dim` into exactly `indices_or_sections` views; the first ones are larger by one where it does not divide evenly.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.tensor_split.html>
#[op("(input, indices_or_sections, dim=0)", any, view, samples = ["T(5), 3", "T(3, 4), 2, 1", "T(2), 3", "T(0, 2), 2"],
    errors = [("T(3), 0", "number of sections must be larger than 0, got 0"),
        ("T(), 2", "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims")])]
pub fn tensor_split(x: &Tensor, sections: i64, dim: i64) -> Result<Vec<Tensor>> {
    let (d, n) = split_dim(x, dim)?;
    if sections <= 0 {
        return Err(Error::runtime(format!("number of sections must be larger than 0, got {sections}")));
    }
    let k = sections as usize;
    let sizes: Vec<usize> = (0..k).map(|i| n / k + (i < n % k) as usize).collect();
    parts(x, d, &sizes)
}

/// Splits dimension `dim` at the given positions into views; positions follow Python's rules for slices, so pieces may be empty or overlap.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.tensor_split.html>
#[op("(input, indices_or_sections, dim=0)", overload = "indices", any, view,
    samples = ["T(5), [1, 3]", "T(5), [1, 9, 3]", "T(3, 4), [-2], 1", "T(3), []", "T(0, 2), [1]"],
    errors = [("T(), [2]", "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims")])]
pub fn tensor_split_indices(x: &Tensor, indices: &[i64], dim: i64) -> Result<Vec<Tensor>> {
    let (d, n) = split_dim(x, dim)?;
    let starts = std::iter::once(0).chain(indices.iter().copied());
    let ends = indices.iter().copied().chain([n as i64]);
    // The pieces may overlap, so each is a view of its own.
    starts.zip(ends).map(|(start, end)| slice(x, d as i64, Some(start), Some(end), 1)).collect()
}

fn split_dim(x: &Tensor, dim: i64) -> Result<(usize, usize)> {
    let shape = x.shape();
    if shape.is_empty() {
        return Err(Error::runtime("tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims"));
    }
    let d = super::dim(dim, shape.len())?;
    Ok((d, shape[d]))
}

/// Returns the views at all positions of dimension `dim`, which is removed.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.unbind.html>
#[op("(input, dim=0)", any, view, samples = ["T(3, 4)", "T(3, 4), -1", "T(3)", "T(0, 2)"],
    errors = [("T()", "Dimension specified as 0 but tensor has no dimensions"), ("T(3), 1", "Dimension out of range")])]
pub fn unbind(x: &Tensor, dim: i64) -> Result<Vec<Tensor>> {
    let layout = x.layout();
    if layout.rank() == 0 {
        return Err(Error::index(format!("Dimension specified as {dim} but tensor has no dimensions")));
    }
    let d = super::dim(dim, layout.rank())?;
    let layouts = (0..layout.shape[d]).map(|i| layout.select(d, i)).collect();
    let d = d as i64;
    pieces(x, layouts, move |b, i| select(b, d, i as i64), move |gs| stack(gs, d))
}

// ---- writing into a part, out of place ------------------------------------------------------------------------------------------

/// Returns a copy of `input` with `src` at position `index` of dimension `dim`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.select_scatter.html>
#[op("(input, src, dim, index)", any, samples = ["T(3, 4), T(4), 0, 1", "T(3, 4), T(3), -1, -1", "T(3), T(), 0, 2", "T(0, 2), T(0), 1, 0"],
    errors = [("T(2, 3), T(2), 0, 0", "expected src to have a size equal to the slice of self. src size = [2], slice size = [3]"),
        ("T(2), T(), 0, 2", "index 2 out of range")])]
pub fn select_scatter(x: &Tensor, src: &Tensor, dim: i64, index: i64) -> Result<Tensor> {
    replace(x, src, Arc::new(move |b| select(b, dim, index)))
}

/// Returns a copy of `input` with `src` in place of `input[start:end:step]` along dimension `dim`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.slice_scatter.html>
#[op("(input, src, dim=0, start=None, end=None, step=1)", any,
    samples = ["T(3, 4), T(3, 4)", "T(3, 4), T(3, 2), 1, 1, 3", "T(5), T(3), 0, None, None, 2", "T(5), T(0), 0, 3, 1"],
    errors = [("T(3), T(2), 0, 0, 1", "src size = [2], slice size = [1]")])]
pub fn slice_scatter(x: &Tensor, src: &Tensor, dim: i64, start: Option<i64>, end: Option<i64>, step: i64) -> Result<Tensor> {
    replace(x, src, Arc::new(move |b| slice(b, dim, start, end, step)))
}

/// Returns a copy of `input` with `src` on a diagonal; the parameters are those of [`diagonal()`].
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.diagonal_scatter.html>
#[op("(input, src, offset=0, dim1=0, dim2=1)", any, samples = ["T(3, 4), T(3)", "T(3, 4), T(2), -1", "T(2, 3, 4), T(3, 2), 0, -1, 0"],
    errors = [("T(3, 3), T(2)", "src size = [2], slice size = [3]")])]
pub fn diagonal_scatter(x: &Tensor, src: &Tensor, offset: i64, dim1: i64, dim2: i64) -> Result<Tensor> {
    replace(x, src, Arc::new(move |b| diagonal(b, offset, dim1, dim2)))
}
