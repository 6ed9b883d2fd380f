//! Padding.

use super::creation::filled;
use super::*;
use crate::autograd::grad_fn;
use rushlight_kernels::backend::ViewMut;

ops![];

/// What is added before and after each dimension; negative numbers take elements away.
pub(super) type Margins = SmallVec<[(isize, isize); 6]>;

/// `x` with margins of `value`: one pass over the result, which writes no element twice.
pub(super) fn pad_constant(x: &Tensor, margins: &[(isize, isize)], value: Scalar) -> Result<Tensor> {
    let data = x.data();
    let old = &data.layout.shape;
    let (mut shape, mut source, mut starts) = (Dims::new(), data.layout.clone(), Dims::new());
    for (d, &(before, after)) in margins.iter().enumerate() {
        // Both ends of the copied part, counted in the result.
        let size = padded_size(old, d, (before, after))?;
        let lo = (before.max(0) as usize).min(size);
        let hi = (before.saturating_add_unsigned(old[d]).max(0) as usize).clamp(lo, size);
        source = source.narrow(d, if hi > lo { before.min(0).unsigned_abs() } else { 0 }, hi - lo);
        starts.push(lo);
        shape.push(size);
    }
    let y = storage::compute(Layout::contiguous(&shape), data.dtype, &[data.with_layout(source)], |v, out| {
        fill_margins(out, &starts, v[0].shape(), value)?;
        let mut copy = Program::new();
        let r = copy.load(0, data.dtype);
        copy.out(r);
        let inner = starts.iter().zip(v[0].shape()).enumerate().fold(out.layout.clone(), |l, (d, (&at, &n))| l.narrow(d, at, n));
        backend().pointwise(&copy, v, &mut [out.with_layout(&inner)])
    })?;
    let back: Margins = margins.iter().map(|&(before, after)| (-before, -after)).collect();
    // What the gradient holds in the margins is dropped, and what was cut off has none.
    Tensor::from_data(y).with_grad([x], |_| grad_fn(move |_, g| Ok([Some(pad_constant(g, &back, Scalar::Int(0))?)])))
}

fn padded_size(old: &[usize], d: usize, (before, after): (isize, isize)) -> Result<usize> {
    let size = old[d] as i128 + before as i128 + after as i128;
    usize::try_from(size).map_err(|_| {
        Error::runtime(format!(
            "The input size {}, plus negative padding {before} and {after} resulted in a negative output size, which is invalid. \
             Check dimension {d} of your input (shape {old:?}).",
            old[d]
        ))
    })
}

/// Fills everything but the block of sizes `inner` at `starts`: for each dimension, the part before and the part after, within the
/// block's range of the dimensions before it.
fn fill_margins(out: &mut ViewMut, starts: &[usize], inner: &[usize], value: Scalar) -> Result<()> {
    let mut fill = Program::new();
    let r = fill.constant(value, out.dtype);
    fill.out(r);
    let mut rest = out.layout.clone();
    for (d, (&at, &n)) in starts.iter().zip(inner).enumerate() {
        let end = at + n;
        for part in [rest.narrow(d, 0, at), rest.narrow(d, end, rest.shape[d] - end)] {
            if part.numel() > 0 {
                backend().pointwise(&fill, &[], &mut [out.with_layout(&part)])?;
            }
        }
        rest = rest.narrow(d, at, n);
    }
    Ok(())
}
