//! Convolutions and their transposes.
//!
//! Three maps stand behind all of them, one kernel each: the convolution `(x, w) -> y`, its transpose in the image `(y, w) -> x`, and its
//! transpose in the weight `(y, x) -> w`. Each is linear in both arguments, and the derivative of each is made of the other two, so
//! gradients exist to any order. A transposed convolution is the second map.

use super::linalg::c_name;
use super::padding::{Margins, pad_constant};
use super::*;
use crate::autograd::node::BackwardFn;
use crate::autograd::{self, Grads, Save, grad_fn};
use crate::op::Ints;
use rushlight_kernels::backend::ConvShape;
use smallvec::smallvec;
use std::borrow::Cow;

ops![
    conv1d,
    conv1d_padding,
    conv2d,
    conv2d_padding,
    conv3d,
    conv3d_padding,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d
];

// ---- the three maps -------------------------------------------------------------------------------------------------------------

/// `x: [n, c, image…]`, `w: [o, c/groups, kernel…]` to `y: [n, o, result…]`.
fn forward(x: &Tensor, w: &Tensor, bias: Option<&Tensor>, shape: &ConvShape, result: &[usize]) -> Result<Tensor> {
    let out = with_planes(x.shape()[0], w.shape()[0], result);
    let ins: SmallVec<[Data; 3]> = [x, w].into_iter().chain(bias).map(Tensor::data).collect();
    let y = storage::compute(Layout::contiguous(&out), x.dtype(), &ins, |v, out| {
        backend().conv(v[0], v[1], v.get(2).copied(), shape, out)
    })?;
    let y = Tensor::from_data(y);
    let inputs: SmallVec<[&Tensor; 3]> = [x, w].into_iter().chain(bias).collect();
    autograd::record(std::slice::from_ref(&y), &inputs, |s| {
        let (xs, ws) = (shape.clone(), shape.clone());
        let (image, kernel) = (spatial(x), spatial(w));
        let over_planes: Option<Ints> = bias.map(|_| (0..y.rank() as i64).filter(|&d| d != 1).collect());
        derivative(s, x, w, move |g, w| input_grad(g, w, &xs, &image), move |g, x| weight_grad(g, x, &ws, &kernel), over_planes)
    })?;
    Ok(y)
}

/// The image and the geometry. A kernel of one tap that passes over pixels sees a smaller image whole, which is a matrix product.
fn picked<'a>(a: &'a Args) -> Result<(Cow<'a, Tensor>, Cow<'a, ConvShape>)> {
    let shape = &a.shape;
    let one_tap = spatial(a.weight).iter().all(|&k| k == 1) && shape.padding.iter().all(|&p| p == 0);
    if !one_tap || shape.stride.iter().all(|&s| s == 1) {
        return Ok((Cow::Borrowed(&a.x), Cow::Borrowed(shape)));
    }
    let mut x = a.x.clone();
    for (d, &step) in shape.stride.iter().enumerate() {
        x = slice(&x, d as i64 + 2, None, None, step as i64)?;
    }
    let stride = shape.stride.iter().map(|_| 1).collect();
    Ok((Cow::Owned(contiguous(&x)?), Cow::Owned(ConvShape { stride, ..shape.clone() })))
}

/// `g: [n, o, result…]`, `w` to `x: [n, c, image…]`.
fn input_grad(g: &Tensor, w: &Tensor, shape: &ConvShape, image: &[usize]) -> Result<Tensor> {
    let out = with_planes(g.shape()[0], w.shape()[1] * shape.groups, image);
    let x = storage::compute(Layout::contiguous(&out), g.dtype(), &[g.data(), w.data()], |v, out| {
        backend().conv_input_grad(v[0], v[1], shape, out)
    })?;
    Tensor::from_data(x).with_grad([g, w], |s| {
        let (gs, ws) = (shape.clone(), shape.clone());
        let (result, kernel) = (spatial(g), spatial(w));
        derivative(s, g, w, move |h, w| forward(h, w, None, &gs, &result), move |h, g| weight_grad(g, h, &ws, &kernel), None)
    })
}

/// `g: [n, o, result…]`, `x: [n, c, image…]` to `w`.
fn weight_grad(g: &Tensor, x: &Tensor, shape: &ConvShape, kernel: &[usize]) -> Result<Tensor> {
    let out = with_planes(g.shape()[1], x.shape()[1] / shape.groups, kernel);
    let w = storage::compute(Layout::contiguous(&out), g.dtype(), &[g.data(), x.data()], |v, out| {
        backend().conv_weight_grad(v[0], v[1], shape, out)
    })?;
    Tensor::from_data(w).with_grad([g, x], |s| {
        let (gs, xs) = (shape.clone(), shape.clone());
        let (result, image) = (spatial(g), spatial(x));
        derivative(s, g, x, move |h, x| forward(x, h, None, &gs, &result), move |h, g| input_grad(g, h, &xs, &image), None)
    })
}

/// The derivative of a map that is linear in `a` and in `b`: `ga(gradient, b)` and `gb(gradient, a)`. A bias gets the sum over
/// `over_planes`.
fn derivative(
    s: &Save,
    a: &Tensor,
    b: &Tensor,
    ga: impl Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync + 'static,
    gb: impl Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync + 'static,
    over_planes: Option<Ints>,
) -> BackwardFn {
    let (sa, sb) = (s.needs(1).then(|| s.input(a)), s.needs(0).then(|| s.input(b)));
    grad_fn(move |c, g| {
        let g = &*laid_out(g)?;
        let mut grads: Grads = smallvec![None, None];
        if let (Some(b), true) = (&sb, c.needs(0)) {
            grads[0] = Some(ga(g, &b.get(c)?)?);
        }
        if let (Some(a), true) = (&sa, c.needs(1)) {
            grads[1] = Some(gb(g, &a.get(c)?)?);
        }
        if let Some(over) = &over_planes {
            grads.push(c.needs(2).then(|| sum_dim(g, Some(over), false, None)).transpose()?);
        }
        Ok(grads)
    })
}

fn spatial(x: &Tensor) -> Dims {
    Dims::from_slice(&x.shape()[2..])
}

fn with_planes(n: usize, c: usize, spatial: &[usize]) -> Dims {
    [n, c].into_iter().chain(spatial.iter().copied()).collect()
}

// ---- checks ---------------------------------------------------------------------------------------------------------------------

/// Padding as the user gave it.
#[derive(Clone, Copy)]
enum Padding<'a> {
    Sizes(&'a [i64]),
    Named(&'a str),
}

/// A convolution's arguments, checked as far as that goes without knowing which way it runs.
struct Args<'a> {
    /// With a batch dimension.
    x: Tensor,
    weight: &'a Tensor,
    bias: Option<&'a Tensor>,
    shape: ConvShape,
    batched: bool,
}

impl<'a> Args<'a> {
    /// `name` has `n` spatial dimensions.
    fn new(
        (name, n): (&str, usize),
        (x, weight, bias): (&Tensor, &'a Tensor, Option<&'a Tensor>),
        (stride, padding, dilation, groups): (&[i64], &[i64], &[i64], i64),
    ) -> Result<Args<'a>> {
        let rank = x.rank();
        if rank != n + 1 && rank != n + 2 {
            return Err(Error::runtime(format!(
                "Expected {}D (unbatched) or {}D (batched) input to {name}, but got input of size: {:?}",
                n + 1,
                n + 2,
                x.shape()
            )));
        }
        if weight.rank() != n + 2 {
            return Err(Error::runtime(format!(
                "Expected {}D weight to {name}, but got weight of size: {:?}",
                n + 2,
                weight.shape()
            )));
        }
        if groups <= 0 {
            return Err(Error::runtime(format!("non-positive groups is not supported (groups={groups})")));
        }
        let shape = ConvShape {
            stride: sizes("stride", stride, n, 1)?,
            padding: sizes("padding", padding, n, 0)?,
            dilation: sizes("dilation", dilation, n, 1)?,
            groups: groups as usize,
        };
        if weight.shape()[2..].contains(&0) {
            return Err(Error::runtime(format!(
                "kernel size should be greater than zero, but got weight of size {:?}",
                weight.shape()
            )));
        }
        same_dtypes(x, weight, bias)?;
        let batched = rank == n + 2;
        let x = if batched { x.clone() } else { unsqueeze(x, 0)? };
        Ok(Args { x, weight, bias, shape, batched })
    }

    fn check_groups(&self) -> Result<()> {
        let (w, groups) = (self.weight.shape(), self.shape.groups);
        let wrong = match w[0] {
            0 => "at least 1",
            o if o % groups != 0 => &format!("divisible by {groups}"),
            _ => return Ok(()),
        };
        Err(Error::runtime(format!(
            "Given groups={groups}, expected weight to be {wrong} at dimension 0, but got weight of size {w:?} instead"
        )))
    }

    fn check_channels(&self, given: &str, expected: usize) -> Result<()> {
        let (x, w) = (self.x.shape(), self.weight.shape());
        if x[1] == expected {
            return Ok(());
        }
        Err(Error::runtime(format!(
            "Given {given}, weight of size {w:?}, expected input{x:?} to have {expected} channels, but got {} channels instead",
            x[1]
        )))
    }

    fn check_bias(&self, given: &str, channels: usize) -> Result<()> {
        match self.bias {
            Some(b) if b.shape().as_slice() != [channels] => Err(Error::runtime(format!(
                "Given {given}weight of size {:?}, expected bias to be 1-dimensional with {channels} elements, but got bias of size {:?} instead",
                self.weight.shape(),
                b.shape()
            ))),
            _ => Ok(()),
        }
    }

    /// Takes the batch dimension off again where the user gave none.
    fn unbatch(&self, y: Tensor) -> Result<Tensor> {
        if self.batched {
            return Ok(y);
        }
        reshape(&y, &y.shape()[1..].iter().map(|&n| n as i64).collect::<Ints>())
    }
}

/// `n` sizes from one or `n`, none below `least`.
fn sizes(name: &str, given: &[i64], n: usize, least: i64) -> Result<Dims> {
    if given.len() != 1 && given.len() != n {
        return Err(Error::runtime(format!(
            "expected {name} to be a single integer value or a list of {n} values to match the convolution dimensions, but got {name}={given:?}"
        )));
    }
    if given.iter().any(|&v| v < least) {
        return Err(Error::runtime(match name {
            "dilation" => format!("dilation should be greater than zero, but got {given:?}"),
            _ if least > 0 => format!("non-positive {name} is not supported, but got {name}={given:?}"),
            _ => format!("negative {name} is not supported, but got {name}={given:?}"),
        }));
    }
    Ok((0..n).map(|d| given[if given.len() == 1 { 0 } else { d }] as usize).collect())
}

fn same_dtypes(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<()> {
    let name = |t: &Tensor| t.dtype().scalar_type_name();
    if x.dtype() == DType::Bool {
        return Err(unsupported(DType::Bool));
    }
    if weight.dtype() != x.dtype() {
        return Err(Error::runtime(format!("expected scalar type {} but found {} for weight", name(x), name(weight))));
    }
    match bias {
        Some(b) if b.dtype() != x.dtype() => Err(Error::runtime(format!(
            "Input type ({}) and bias type ({}) should be the same",
            c_name(x.dtype()),
            c_name(b.dtype())
        ))),
        _ => Ok(()),
    }
}

/// `2 x 3`, as PyTorch writes sizes in these texts.
fn by(sizes: impl IntoIterator<Item = impl ToString>) -> String {
    sizes.into_iter().map(|s| s.to_string()).collect::<Vec<_>>().join(" x ")
}

// ---- both directions, for any number of spatial dimensions ----------------------------------------------------------------------

fn conv(
    name: (&str, usize),
    tensors: (&Tensor, &Tensor, Option<&Tensor>),
    stride: &[i64],
    padding: Padding,
    dilation: &[i64],
    groups: i64,
) -> Result<Tensor> {
    let given = if let Padding::Sizes(p) = padding { p } else { &[0] };
    let mut a = Args::new(name, tensors, (stride, given, dilation, groups))?;
    if let Padding::Named(p) = padding {
        a.pad_by_name(p)?;
    }
    a.check_groups()?;
    let w = a.weight.shape();
    let given = format!("groups={groups}");
    let channels = w[1].saturating_mul(a.shape.groups);
    a.check_channels(&given, channels)?;
    a.check_bias("", w[0])?;
    let (mut result, mut padded) = (Dims::new(), SmallVec::<[i128; 3]>::new());
    for (d, &n) in a.x.shape()[2..].iter().enumerate() {
        let size = n as i128 + 2 * a.shape.padding[d] as i128;
        let window = a.shape.dilation[d] as i128 * (w[d + 2] as i128 - 1) + 1;
        padded.push(size);
        result.push(if size < window {
            0
        } else {
            ((size - window) / a.shape.stride[d] as i128 + 1).min(isize::MAX as i128) as usize
        });
    }
    if result.contains(&0) {
        let window = w[2..].iter().zip(&a.shape.dilation).map(|(&k, &d)| d as i128 * (k as i128 - 1) + 1);
        return Err(Error::runtime(format!(
            "Calculated padded input size per channel: ({}). Kernel size: ({}). Kernel size can't be greater than actual input size",
            by(&padded),
            by(window)
        )));
    }
    let (x, shape) = picked(&a)?;
    let y = forward(&x, a.weight, a.bias, &shape, &result)?;
    a.unbatch(y)
}

impl Args<'_> {
    /// `'same'` or `'valid'`. Where the two sides of `'same'` differ by one, the image itself grows at its end.
    fn pad_by_name(&mut self, name: &str) -> Result<()> {
        match name {
            "valid" => return Ok(()),
            "same" if self.shape.stride.iter().all(|&s| s == 1) => {}
            "same" => return Err(Error::runtime("padding='same' is not supported for strided convolutions")),
            _ => return Err(Error::runtime(format!("Invalid padding string: '{name}'"))),
        }
        let mut margins: Margins = smallvec![(0, 0), (0, 0)];
        for d in 0..self.shape.stride.len() {
            let total = self.shape.dilation[d].saturating_mul(self.weight.shape()[d + 2] - 1);
            self.shape.padding[d] = total / 2;
            margins.push((0, (total % 2) as isize));
        }
        if margins.iter().any(|&m| m != (0, 0)) {
            self.x = pad_constant(&self.x, &margins, Scalar::Int(0))?;
        }
        Ok(())
    }
}

fn conv_transpose(
    name: (&str, usize),
    tensors: (&Tensor, &Tensor, Option<&Tensor>),
    stride: &[i64],
    padding: &[i64],
    output_padding: &[i64],
    groups: i64,
    dilation: &[i64],
) -> Result<Tensor> {
    let a = Args::new(name, tensors, (stride, padding, dilation, groups))?;
    let extra = sizes("output_padding", output_padding, name.1, 0)?;
    a.check_groups()?;
    let (x, w) = (a.x.shape(), a.weight.shape());
    a.check_channels("transposed=1", w[0])?;
    a.check_bias("transposed=1, ", w[1] * a.shape.groups)?;
    if x[2..].contains(&0) {
        return Err(Error::runtime(format!("Only zero batch or zero channel inputs are supported, but got input shape: {x:?}")));
    }
    if (0..name.1).any(|d| extra[d] >= a.shape.stride[d].max(a.shape.dilation[d])) {
        return Err(Error::runtime(format!(
            "output padding must be smaller than either stride or dilation, but got output_padding: {extra:?} stride: {:?} dilation: {:?}",
            a.shape.stride, a.shape.dilation
        )));
    }
    let sizes: SmallVec<[i128; 3]> = (0..name.1)
        .map(|d| {
            let at = |list: &Dims| list[d] as i128;
            (x[d + 2] as i128 - 1) * at(&a.shape.stride) - 2 * at(&a.shape.padding)
                + at(&a.shape.dilation) * (w[d + 2] as i128 - 1)
                + at(&extra)
                + 1
        })
        .collect();
    if sizes.iter().any(|&n| n < 1) {
        return Err(Error::runtime(format!(
            "Given input size per channel: ({}). Calculated output size per channel: ({}). Output size is too small",
            by(&x[2..]),
            by(&sizes)
        )));
    }
    let image: Dims = sizes.iter().map(|&n| n.min(isize::MAX as i128) as usize).collect();
    let mut y = input_grad(&a.x, a.weight, &a.shape, &image)?;
    if let Some(bias) = a.bias {
        let per_plane: Ints = [-1].into_iter().chain(std::iter::repeat_n(1, name.1)).collect();
        y = add(&y, &reshape(bias, &per_plane)?, Scalar::Int(1))?;
    }
    a.unbatch(y)
}

// ---- the ops --------------------------------------------------------------------------------------------------------------------

/// Returns the 1-D convolution (cross-correlation) of `input` `[n, c, l]` or `[c, l]` with `weight` `[o, c/groups, k]`, plus `bias` `[o]`.
///
/// The result has `floor((l + 2 * padding - dilation * (k - 1) - 1) / stride) + 1` elements per channel; `padding` counts zeros at both ends.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.conv1d.html>
#[op("(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1)", nn, number,
    samples = ["T(2, 2, 6), T(3, 2, 3), T(3)", "T(2, 6), T(3, 2, 3)", "T(1, 4, 7), T(2, 2, 2), T(2), stride=2, padding=1, dilation=2, groups=2",
        "T(0, 2, 5), T(3, 2, 3)", "T(1, 1, 3), T(1, 1, 1), stride=[2], padding=[1]", "I(1, 2, 4), I(1, 2, 2)"],
    errors = [("T(3), T(1, 1, 2)", "Expected 2D (unbatched) or 3D (batched) input to conv1d, but got input of size: [3]"),
        ("T(1, 2, 8), T(4, 3, 3)", "Given groups=1, weight of size [4, 3, 3], expected input[1, 2, 8] to have 3 channels, but got 2 channels instead"),
        ("T(1, 3, 8), T(4, 3, 3), stride=0", "non-positive stride is not supported"),
        ("T(1, 3, 8), T(4, 3, 3), stride=[1, 2]", "expected stride to be a single integer value or a list of 1 values"),
        ("T(1, 3, 8), T(4, 3, 3, dtype=float64)", "expected scalar type Float but found Double")])]
pub fn conv1d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: &[i64],
    padding: &[i64],
    dilation: &[i64],
    groups: i64,
) -> Result<Tensor> {
    conv(("conv1d", 1), (x, weight, bias), stride, Padding::Sizes(padding), dilation, groups)
}

/// As `conv1d`, with `padding` `"valid"` (none) or `"same"` (the result is as long as the input; only without stride).
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.conv1d.html>
#[op("(input, weight, bias=None, stride=1, padding='valid', dilation=1, groups=1)", overload = "padding", nn, number,
    samples = ["T(2, 2, 6), T(3, 2, 3), T(3), padding='same'", "T(2, 6), T(3, 2, 2), padding='same', dilation=3", "T(1, 1, 4), T(1, 1, 2), padding='valid'"],
    errors = [("T(1, 1, 4), T(1, 1, 2), stride=2, padding='same'", "padding='same' is not supported for strided convolutions"),
        ("T(1, 1, 4), T(1, 1, 2), padding='full'", "Invalid padding string: 'full'")])]
pub fn conv1d_padding(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: &[i64],
    padding: &str,
    dilation: &[i64],
    groups: i64,
) -> Result<Tensor> {
    conv(("conv1d", 1), (x, weight, bias), stride, Padding::Named(padding), dilation, groups)
}

/// Returns the 2-D convolution (cross-correlation) of `input` `[n, c, h, w]` or `[c, h, w]` with `weight` `[o, c/groups, kh, kw]`, plus
/// `bias` `[o]`.
///
/// Each size of the result is `floor((size + 2 * padding - dilation * (k - 1) - 1) / stride) + 1`; `padding` counts zeros at both ends.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.conv2d.html>
#[op("(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1)", nn, number,
    samples = ["T(2, 2, 4, 4), T(3, 2, 3, 3), T(3)", "T(2, 4, 3), T(2, 2, 2, 3)", "T(1, 4, 4, 5), T(2, 2, 2, 2), T(2), 2, 1, 2, 2",
        "T(1, 1, 4, 5), T(2, 1, 3, 2), stride=[1, 2], padding=[2, 0], dilation=[1, 3]", "T(0, 2, 4, 4), T(3, 2, 3, 3), T(3)",
        "T(1, 3, 3, 3), T(3, 1, 2, 2), groups=3", "I(1, 2, 3, 3), I(1, 2, 2, 2)"],
    errors = [("T(3), T(1, 1, 2, 2)", "Expected 3D (unbatched) or 4D (batched) input to conv2d, but got input of size: [3]"),
        ("T(1, 2, 8, 8), T(4, 3, 3, 3)",
            "Given groups=1, weight of size [4, 3, 3, 3], expected input[1, 2, 8, 8] to have 3 channels, but got 2 channels instead"),
        ("T(1, 3, 2, 2), T(4, 3, 3, 3)",
            "Calculated padded input size per channel: (2 x 2). Kernel size: (3 x 3). Kernel size can't be greater than actual input size"),
        ("T(1, 3, 4, 4), T(4, 3, 3, 3), T(5)",
            "Given weight of size [4, 3, 3, 3], expected bias to be 1-dimensional with 4 elements, but got bias of size [5] instead"),
        ("T(1, 2, 3, 3), T(3, 1, 2, 2), groups=2", "Given groups=2, expected weight to be divisible by 2 at dimension 0, but got weight of size [3, 1, 2, 2] instead"),
        ("T(1, 1, 3, 3), T(1, 1, 2, 2), groups=0", "non-positive groups is not supported"),
        ("T(1, 1, 3, 3), T(1, 1, 2, 2), padding=-1", "negative padding is not supported"),
        ("T(1, 1, 3, 3), T(1, 1, 2, 2), dilation=0", "dilation should be greater than zero, but got [0]"),
        ("B(1, 1, 3, 3), B(1, 1, 2, 2)", "not implemented for 'Bool'")])]
pub fn conv2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: &[i64],
    padding: &[i64],
    dilation: &[i64],
    groups: i64,
) -> Result<Tensor> {
    conv(("conv2d", 2), (x, weight, bias), stride, Padding::Sizes(padding), dilation, groups)
}

/// As `conv2d`, with `padding` `"valid"` (none) or `"same"` (the result has the input's sizes; only without stride).
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.conv2d.html>
#[op("(input, weight, bias=None, stride=1, padding='valid', dilation=1, groups=1)", overload = "padding", nn, number,
    samples = ["T(2, 2, 4, 4), T(3, 2, 3, 3), T(3), padding='same'", "T(2, 4, 3), T(2, 2, 2, 3), padding='same', dilation=[1, 2]",
        "T(1, 1, 3, 3), T(1, 1, 2, 2), padding='valid'"],
    errors = [("T(1, 1, 4, 4), T(1, 1, 2, 2), stride=2, padding='same'", "padding='same' is not supported for strided convolutions"),
        ("T(1, 1, 4, 4), T(1, 1, 2, 2), padding='full'", "Invalid padding string: 'full'")])]
pub fn conv2d_padding(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: &[i64],
    padding: &str,
    dilation: &[i64],
    groups: i64,
) -> Result<Tensor> {
    conv(("conv2d", 2), (x, weight, bias), stride, Padding::Named(padding), dilation, groups)
}

/// Returns the 3-D convolution (cross-correlation) of `input` `[n, c, d, h, w]` or `[c, d, h, w]` with `weight` `[o, c/groups, kd, kh, kw]`,
/// plus `bias` `[o]`. Sizes are as for `conv2d`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.conv3d.html>
#[op("(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1)", nn, number,
    samples = ["T(1, 2, 3, 3, 3), T(2, 2, 2, 2, 2), T(2)", "T(1, 3, 2, 4), T(1, 1, 2, 1, 3)",
        "T(1, 2, 3, 2, 4), T(2, 1, 2, 1, 2), stride=[1, 2, 2], padding=[1, 0, 1], dilation=[2, 1, 1], groups=2", "T(0, 1, 2, 2, 2), T(1, 1, 2, 2, 2)"],
    errors = [("T(3), T(1, 1, 2, 2, 2)", "Expected 4D (unbatched) or 5D (batched) input to conv3d, but got input of size: [3]"),
        ("T(1, 1, 2, 2, 2), T(1, 1, 3, 1, 1)", "Calculated padded input size per channel: (2 x 2 x 2). Kernel size: (3 x 1 x 1)")])]
pub fn conv3d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: &[i64],
    padding: &[i64],
    dilation: &[i64],
    groups: i64,
) -> Result<Tensor> {
    conv(("conv3d", 3), (x, weight, bias), stride, Padding::Sizes(padding), dilation, groups)
}

/// As `conv3d`, with `padding` `"valid"` (none) or `"same"` (the result has the input's sizes; only without stride).
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.conv3d.html>
#[op("(input, weight, bias=None, stride=1, padding='valid', dilation=1, groups=1)", overload = "padding", nn, number,
    samples = ["T(1, 1, 3, 2, 3), T(2, 1, 3, 2, 1), T(2), padding='same'", "T(1, 1, 2, 2, 2), T(1, 1, 2, 2, 2), padding='valid'"],
    errors = [("T(1, 1, 2, 2, 2), T(1, 1, 2, 2, 2), stride=2, padding='same'", "padding='same' is not supported for strided convolutions")])]
pub fn conv3d_padding(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: &[i64],
    padding: &str,
    dilation: &[i64],
    groups: i64,
) -> Result<Tensor> {
    conv(("conv3d", 3), (x, weight, bias), stride, Padding::Named(padding), dilation, groups)
}

/// Returns the transposed 1-D convolution of `input` `[n, c, l]` or `[c, l]` with `weight` `[c, o/groups, k]`, plus `bias` `[o]`: the gradient of
/// `conv1d` in its input.
///
/// The result has `(l - 1) * stride - 2 * padding + dilation * (k - 1) + output_padding + 1` elements per channel.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.conv_transpose1d.html>
#[op("(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1)", nn, number,
    samples = ["T(2, 3, 4), T(3, 2, 3), T(2)", "T(3, 4), T(3, 2, 3)", "T(1, 4, 3), T(4, 1, 2), T(2), stride=3, padding=1, output_padding=2, groups=2, dilation=2",
        "T(0, 2, 3), T(2, 1, 2)"],
    errors = [("T(3), T(3, 1, 2)", "Expected 2D (unbatched) or 3D (batched) input to conv_transpose1d, but got input of size: [3]"),
        ("T(1, 3, 4), T(4, 3, 2)", "Given transposed=1, weight of size [4, 3, 2], expected input[1, 3, 4] to have 4 channels, but got 3 channels instead")])]
#[expect(clippy::too_many_arguments, reason = "PyTorch's signature")]
pub fn conv_transpose1d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: &[i64],
    padding: &[i64],
    output_padding: &[i64],
    groups: i64,
    dilation: &[i64],
) -> Result<Tensor> {
    conv_transpose(("conv_transpose1d", 1), (x, weight, bias), stride, padding, output_padding, groups, dilation)
}

/// Returns the transposed 2-D convolution of `input` `[n, c, h, w]` or `[c, h, w]` with `weight` `[c, o/groups, kh, kw]`, plus `bias` `[o]`: the
/// gradient of `conv2d` in its input. Sizes are as for `conv_transpose1d`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.conv_transpose2d.html>
#[op("(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1)", nn, number,
    samples = ["T(2, 2, 3, 2), T(2, 3, 2, 3), T(3)", "T(2, 3, 2), T(2, 1, 2, 2)",
        "T(1, 4, 2, 3), T(4, 1, 3, 2), T(2), stride=2, padding=1, output_padding=1, groups=2", "T(1, 1, 2, 2), T(1, 1, 2, 2), output_padding=1, dilation=2",
        "T(0, 2, 2, 2), T(2, 1, 2, 2), T(1)"],
    errors = [("T(1, 4, 2, 2), T(4, 3, 2, 2), output_padding=1", "output padding must be smaller than either stride or dilation"),
        ("T(1, 4, 2, 2), T(4, 3, 2, 2), padding=3",
            "Given input size per channel: (2 x 2). Calculated output size per channel: (-3 x -3). Output size is too small"),
        ("T(1, 3, 2, 2), T(3, 4, 2, 2), T(3)", "expected bias to be 1-dimensional with 4 elements, but got bias of size [3] instead"),
        ("T(1, 4, 0, 2), T(4, 3, 2, 2)", "Only zero batch or zero channel inputs are supported, but got input shape: [1, 4, 0, 2]")])]
#[expect(clippy::too_many_arguments, reason = "PyTorch's signature")]
pub fn conv_transpose2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: &[i64],
    padding: &[i64],
    output_padding: &[i64],
    groups: i64,
    dilation: &[i64],
) -> Result<Tensor> {
    conv_transpose(("conv_transpose2d", 2), (x, weight, bias), stride, padding, output_padding, groups, dilation)
}

/// Returns the transposed 3-D convolution of `input` `[n, c, d, h, w]` or `[c, d, h, w]` with `weight` `[c, o/groups, kd, kh, kw]`, plus
/// `bias` `[o]`: the gradient of `conv3d` in its input. Sizes are as for `conv_transpose1d`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.conv_transpose3d.html>
#[op("(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1)", nn, number,
    samples = ["T(1, 2, 2, 2, 2), T(2, 1, 2, 1, 2), T(1)", "T(1, 2, 1, 2), T(1, 2, 2, 2, 1), stride=[2, 1, 1], output_padding=[1, 0, 0]"],
    errors = [("T(1, 1, 1, 1, 1), T(1, 1, 1, 1, 1), padding=1", "Calculated output size per channel: (-1 x -1 x -1). Output size is too small")])]
#[expect(clippy::too_many_arguments, reason = "PyTorch's signature")]
pub fn conv_transpose3d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: &[i64],
    padding: &[i64],
    output_padding: &[i64],
    groups: i64,
    dilation: &[i64],
) -> Result<Tensor> {
    conv_transpose(("conv_transpose3d", 3), (x, weight, bias), stride, padding, output_padding, groups, dilation)
}
