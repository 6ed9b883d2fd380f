//! Padding.

use super::pool::{spatial, window};
use super::*;
use crate::autograd::grad_fn;
use rushlight_kernels::backend::{Places, WindowOp};

ops![pad];

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
        backend().surround(v[0], &starts, value, out)
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

/// Where the elements beyond the ends come from.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// The image mirrored at its first and last element, which are not repeated.
    Reflect,
    /// The first and the last element.
    Replicate,
    /// The image again.
    Circular,
}

impl Mode {
    fn check(self, x: &Tensor, d: usize, (before, after): (isize, isize)) -> Result<()> {
        let (shape, n) = (x.shape(), x.shape()[d] as i128);
        let widest = before.max(after) as i128;
        match self {
            Mode::Reflect if widest >= n && widest > 0 => Err(Error::runtime(format!(
                "Padding size should be less than the corresponding input dimension, but got: padding ({before}, {after}) at dimension {d} of input {shape:?}"
            ))),
            Mode::Circular if widest > n => Err(Error::runtime(format!(
                "Padding value causes wrapping around more than once: padding ({before}, {after}) at dimension {d} of input {shape:?}"
            ))),
            Mode::Replicate if widest > 0 && n == 0 => Err(Error::runtime(format!(
                "Expected non-zero size for padded dimensions, but input has sizes {shape:?} with dimension {d} being empty"
            ))),
            _ => Ok(()),
        }
    }

    /// Which of `n` elements stands at position `i`, counted from the first; `i` lies within what `check` allows.
    fn source(self, i: i64, n: i64) -> i64 {
        let last = n - 1;
        match self {
            Mode::Reflect if i < 0 => -i,
            Mode::Reflect if i > last => 2 * last - i,
            Mode::Replicate => i.clamp(0, last),
            Mode::Circular => i.rem_euclid(n),
            Mode::Reflect => i,
        }
    }

    /// Pads the last `n` dimensions.
    fn pad(self, x: &Tensor, margins: &[(isize, isize)], n: usize) -> Result<Tensor> {
        let shape = x.shape();
        let mut places = Vec::new();
        for (d, &margin) in margins.iter().enumerate().skip(margins.len() - n) {
            let size = padded_size(&shape, d, margin)?;
            self.check(x, d, margin)?;
            places.push(listed(size, |i| self.source(i as i64 - margin.0 as i64, shape[d] as i64) as usize)?);
        }
        looked_up(x, &places.into())
    }
}

/// The elements of `x` at `places` of its last dimensions.
fn looked_up(x: &Tensor, places: &Places) -> Result<Tensor> {
    let sizes: Dims = places.iter().map(Vec::len).collect();
    window(&WindowOp::Lookup(places.clone()), x, &sizes)?.with_grad([x], |_| {
        let (places, image) = (places.clone(), spatial(x, sizes.len()));
        grad_fn(move |_, g| Ok([Some(put_back(g, &places, &image)?)]))
    })
}

/// The transpose of [`looked_up`]: images of size `image`, in which the elements of `g` are added up where they come from.
fn put_back(g: &Tensor, places: &Places, image: &[usize]) -> Result<Tensor> {
    window(&WindowOp::LookupBackward(places.clone()), g, image)?.with_grad([g], |_| {
        let places = places.clone();
        grad_fn(move |_, h| Ok([Some(looked_up(h, &places)?)]))
    })
}

/// `f(0)` to `f(n - 1)`; an error where memory does not suffice, since `n` is the user's.
pub(super) fn listed<T>(n: usize, f: impl Fn(usize) -> T) -> Result<Vec<T>> {
    let mut list = Vec::new();
    list.try_reserve_exact(n).map_err(|_| {
        let bytes = n.saturating_mul(size_of::<T>());
        Error::new(
            crate::ErrorKind::OutOfMemory,
            format!("DefaultCPUAllocator: can't allocate memory: you tried to allocate {bytes} bytes"),
        )
    })?;
    list.extend((0..n).map(f));
    Ok(list)
}

/// The margins of all dimensions from PyTorch's list: last dimension first, before and after.
fn margins_of(rank: usize, pad: &[i64]) -> Result<Margins> {
    if !pad.len().is_multiple_of(2) {
        return Err(Error::runtime(format!("Padding length must be divisible by 2, but got {pad:?}")));
    }
    if pad.len() > 2 * rank {
        return Err(Error::runtime(format!(
            "Padding length should be less than or equal to two times the input dimension but got padding length {} and input of dimension {rank}",
            pad.len()
        )));
    }
    let mut margins = Margins::from_elem((0, 0), rank);
    for (i, pair) in pad.chunks(2).enumerate() {
        margins[rank - 1 - i] = (pair[0] as isize, pair[1] as isize);
    }
    Ok(margins)
}

/// Returns `input` with elements added at the ends of its last dimensions, or taken away where a number is negative.
///
/// `pad` is `(before, after)` of the last dimension, then of the one before it, and so on. `mode` says what is added: `"constant"` adds `value`
/// (0), `"reflect"` the image mirrored at its outermost elements, `"replicate"` the outermost elements, `"circular"` the image's other end. All
/// but `"constant"` take one to three spatial dimensions, behind channels and perhaps a batch, and pad all of them.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.pad.html>
#[op("(input, pad, mode='constant', value=None)", nn, any,
    samples = ["T(2, 3), [1, 2]", "T(2, 3), [1, 0, 0, 2], 'constant', 1.5", "T(4), [1, -2]", "T(2, 2, 3), [-1, 1, 2, -1, 0, 1], value=-1.0", "T(0, 2), [0, 0, 1, 1]",
        "T(), []", "B(3), [1, 1]", "T(1, 2, 4), [2, 1], 'reflect'", "T(1, 2, 3, 4), [1, 2, 0, 1], mode='reflect'", "T(2, 3), [4, -1], 'replicate'",
        "T(1, 1, 2, 2, 3), [1, 0, 2, 1, 0, 1], 'replicate'", "T(2, 3, 4), [1, 2, 3, 0], 'circular'", "T(0, 2, 3), [1, 1], 'circular'"],
    errors = [("T(3), [1]", "Padding length must be divisible by 2"),
        ("T(3), [1, 1, 1, 1]", "Padding length should be less than or equal to two times the input dimension but got padding length 4 and input of dimension 1"),
        ("T(3), [-2, -2]", "resulted in a negative output size"), ("T(3), [1, 1], 'mirror'", "Unrecognised padding mode mirror"),
        ("T(3), [1, 1], 'reflect'", "Padding size 2 is not supported for 1D input tensor."),
        ("T(2, 3), [3, 1], 'reflect'", "Padding size should be less than the corresponding input dimension, but got: padding (3, 1) at dimension 1 of input [2, 3]"),
        ("T(2, 3), [4, 1], 'circular'", "Padding value causes wrapping around more than once"),
        ("T(2, 3), [1, 1], 'reflect', 1.0", "Padding mode \"reflect\" doesn't take in value argument")])]
pub fn pad(x: &Tensor, pad: &[i64], mode: &str, value: Option<f64>) -> Result<Tensor> {
    let rank = x.rank();
    let margins = margins_of(rank, pad)?;
    let mode_of_images = match mode {
        "constant" => return pad_constant(x, &margins, Scalar::Float(value.unwrap_or(0.0))),
        "reflect" => Mode::Reflect,
        "replicate" => Mode::Replicate,
        "circular" => Mode::Circular,
        _ => return Err(Error::not_implemented(format!("Unrecognised padding mode {mode}"))),
    };
    if value.is_some_and(|v| v != 0.0) {
        return Err(Error::runtime(format!("Padding mode \"{mode}\" doesn't take in value argument")));
    }
    let n = pad.len() / 2;
    if !(1..=3).contains(&n) || rank != n + 1 && rank != n + 2 {
        return Err(Error::not_implemented(format!(
            "Padding size {} is not supported for {rank}D input tensor.\n\
             Supported combinations for non-constant padding:\n  - 2D or 3D input: padding size = 2 (pads last dimension)\n  \
             - 3D or 4D input: padding size = 4 (pads last 2 dimensions)\n  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)",
            pad.len()
        )));
    }
    mode_of_images.pad(x, &margins, n)
}
