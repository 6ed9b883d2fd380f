//! Views that say themselves where in memory their elements lie, and whose elements may meet: `as_strided` and `unfold`.

use super::*;
use crate::autograd::grad_fn;
use rushlight_kernels::Strides;
use rushlight_kernels::backend::ScatterOp;

ops![as_strided, unfold];

/// Returns a view of the memory of `input` with the given sizes, strides and offset, all in elements.
///
/// The offset is counted from the start of the storage; `None` means that of `input`. Elements may share memory; the gradients of those that
/// do are added up.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.as_strided.html>
#[op("(input, size, stride, storage_offset=None)", any, view,
    samples = ["T(3, 4), [2, 2], [1, 4]", "T(3, 4), [2, 3], [1, 1], 2", "T(6), [4, 3], [1, 1]", "T(3), [], [], 1", "T(3), [2, 4], [0, 0]", "T(3), [0], [1]"],
    errors = [("T(3, 4, dtype=float32), [2], [100]", "setStorage: sizes [2], strides [100], storage offset 0"),
        ("T(3), [2], [1, 1]", "mismatch in length of strides and shape"),
        ("T(3), [2], [-1]", "as_strided: Negative strides are not supported at the moment, got strides: [-1]"),
        ("T(3), [2], [1], -1", "Tensor: invalid storage offset -1"), ("T(3), [-2], [1]", "negative dimension -2")])]
pub fn as_strided(x: &Tensor, size: &[i64], stride: &[i64], storage_offset: Option<i64>) -> Result<Tensor> {
    let from = x.layout();
    if size.len() != stride.len() {
        return Err(Error::runtime("mismatch in length of strides and shape"));
    }
    if stride.iter().any(|&s| s < 0) {
        return Err(Error::runtime(format!(
            "as_strided: Negative strides are not supported at the moment, got strides: {stride:?}"
        )));
    }
    let offset = storage_offset.unwrap_or(from.offset as i64);
    if offset < 0 {
        return Err(Error::runtime(format!("Tensor: invalid storage offset {offset}")));
    }
    let strides: Strides = stride.iter().map(|&s| s as isize).collect();
    let to = Layout { shape: crate::tensor::sizes(size)?, strides, offset: offset as usize };
    to.check_fits(x.data_ref().storage.nbytes() / x.dtype().size())?;
    strided_view(x, &from, &to)
}

/// The view `to` of the memory of `x`. Both layouts are as seen from a tensor laid out as `from`; x's may begin elsewhere.
fn strided_view(x: &Tensor, from: &Layout, to: &Layout) -> Result<Tensor> {
    let mut layout = to.clone();
    let begin = x.storage_offset() as isize + to.offset as isize - from.offset as isize;
    layout.offset = begin.try_into().map_err(|_| Error::runtime(format!("Tensor: invalid storage offset {begin}")))?;
    let elements = x.data_ref().storage.nbytes() / x.dtype().size();
    layout.check_fits(elements)?;
    let (from_, to_) = (from.clone(), to.clone());
    // Of a tensor that is laid out otherwise, such as a gradient, there is no such view, but there are its values.
    let replay = move |b: &Tensor| {
        if b.strides() == from_.strides { strided_view(b, &from_, &to_) } else { relay(b, &from_, &to_, &from_) }
    };
    super::view_as(x, layout, replay, |_| {
        let (from, to) = (from.clone(), to.clone());
        grad_fn(move |_, g| Ok([Some(relay(g, &to, &from, &from)?)]))
    })
}

/// Lays the elements of `t` out in memory as `from` says, adding up those that meet, and reads the memory as `to` says.
///
/// Where elements of `input` (one of the two layouts) share memory, each stands for its part of it. A linear map: its transpose is the same with `from` and `to`
/// swapped.
fn relay(t: &Tensor, from: &Layout, to: &Layout, input: &Layout) -> Result<Tensor> {
    let (Some(a), Some(b)) = (from.span(), to.span()) else { return filled_history(t, from, to, input) };
    let (lo, hi) = (a.0.min(b.0), a.1.max(b.1));
    let [from_here, to_here, input_here] = [from, to, input].map(|l| Layout { offset: l.offset - lo, ..l.clone() });
    let memory = filled(&[hi - lo], Scalar::Int(0), t.dtype())?;
    add_into(&memory, &from_here, &t.detach())?;
    if input_here.may_overlap() {
        let count = filled(&[hi - lo], Scalar::Int(0), t.dtype())?;
        add_into(&count, &input_here, &filled(&input.shape, Scalar::Int(1), t.dtype())?)?;
        let seen = Tensor::from_data(count.data().with_layout(to_here.clone()));
        let share = Tensor::from_data(memory.data().with_layout(to_here));
        // Memory outside `input` is read as it is: 0 / max(0, 1).
        let mut k = Pointwise::new();
        let (v, n) = (k.input(&share), k.input(&seen));
        let one = k.constant(1i64, t.dtype());
        let n = k.bin(BinOp::Max, n, one)?;
        let r = k.bin(if t.dtype().is_float() { BinOp::Div } else { BinOp::TruncDiv }, v, n)?;
        return with_relay_history(k.run(r)?, t, from, to, input);
    }
    let y = copy_data(&memory.data().with_layout(to_here))?;
    with_relay_history(Tensor::from_data(y), t, from, to, input)
}

/// `relay` where one of the layouts is empty: zeros.
fn filled_history(t: &Tensor, from: &Layout, to: &Layout, input: &Layout) -> Result<Tensor> {
    with_relay_history(filled(&to.shape, Scalar::Int(0), t.dtype())?, t, from, to, input)
}

fn with_relay_history(y: Tensor, t: &Tensor, from: &Layout, to: &Layout, input: &Layout) -> Result<Tensor> {
    y.with_grad([t], |_| {
        let (from, to, input) = (from.clone(), to.clone(), input.clone());
        grad_fn(move |_, g| Ok([Some(relay(g, &to, &from, &input)?)]))
    })
}

/// Adds the elements of `t` to those of the fresh vector `memory` at the places that `layout` gives.
fn add_into(memory: &Tensor, layout: &Layout, t: &Tensor) -> Result<()> {
    let data = memory.data();
    if !layout.may_overlap() {
        return crate::autograd::inplace::write_data(&data.with_layout(layout.clone()), &t.data());
    }
    let mut places = vec![layout.offset as i64];
    for (&n, &step) in layout.shape.iter().zip(&layout.strides) {
        places = places.iter().flat_map(|&p| (0..n as i64).map(move |i| p + i * step as i64)).collect();
    }
    let places = Tensor::from_vec(places, t.numel()).data();
    let mut src = contiguous(t)?.data();
    src.layout = Layout { offset: src.layout.offset, ..Layout::contiguous(&[t.numel()]) };
    storage::write(&[data], &[places, src], |outs, ins| backend().put(ScatterOp::Add, &ins[..1], ins[1], &mut outs[0]))
}

/// Returns a view of all windows of `size` elements along `dimension`, `step` apart: the windows' elements become the last dimension.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.Tensor.unfold.html>
#[op("(input, dimension, size, step)", any, view,
    samples = ["T(7), 0, 3, 2", "T(2, 5), 1, 2, 1", "T(3, 4), -2, 3, 1", "T(4), 0, 0, 2", "T(), 0, 1, 1", "T(0, 2), 1, 2, 1"],
    errors = [("T(2, 3), 0, 3, 1", "maximum size for tensor at dimension 0 is 2 but size is 3"), ("T(2), 0, 1, 0", "step is 0 but must be > 0"),
        ("T(2), 0, -1, 1", "size is -1 but must be >= 0"), ("T(2), 1, 1, 1", "Dimension out of range")])]
pub fn unfold(x: &Tensor, dimension: i64, size: i64, step: i64) -> Result<Tensor> {
    let layout = x.layout();
    let d = dim(dimension, layout.rank())?;
    let most = layout.shape.get(d).copied().unwrap_or(1);
    if size < 0 {
        return Err(Error::runtime(format!("size is {size} but must be >= 0")));
    }
    if size as u64 > most as u64 {
        return Err(Error::runtime(format!("maximum size for tensor at dimension {d} is {most} but size is {size}")));
    }
    if step <= 0 {
        return Err(Error::runtime(format!("step is {step} but must be > 0")));
    }
    // Beyond the dimension's size every step gives one window; clamping keeps strides in range.
    let (n, by) = (size as usize, (step as usize).min(most.max(1) + 1));
    // The gradient does not depend on where x lies: it is as for a contiguous tensor.
    let whole = Layout::contiguous(&layout.shape);
    let windows = whole.unfold(d, n, by);
    super::view_as(
        x,
        layout.unfold(d, n, by),
        move |b| unfold(b, d as i64, size, step),
        |_| grad_fn(move |_, g| Ok([Some(relay(g, &windows, &whole, &whole)?)])),
    )
}
