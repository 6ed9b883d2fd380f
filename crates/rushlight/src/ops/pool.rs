//! Pooling: maxima and averages over windows of images.
//!
//! Images have one to three spatial dimensions, behind channels and perhaps a batch; kernels see all leading dimensions as planes. What a
//! pooling does to gradients is linear, and so is its transpose: each of the two pairs here ([`pick_positions`] and [`put_back`], [`average`] and
//! [`spread`]) is a map and its transpose, which are each other's derivative.

use super::*;
use crate::autograd::{self, grad_fn, grad_fn_many};
use crate::op::Ints;
use rushlight_kernels::backend::{PoolShape, WindowOp};

ops![
    max_pool1d,
    max_pool1d_with_indices,
    max_pool2d,
    max_pool2d_with_indices,
    max_pool3d,
    max_pool3d_with_indices,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
];

// ---- planes ---------------------------------------------------------------------------------------------------------------------

/// The last `n` sizes.
pub(super) fn spatial(x: &Tensor, n: usize) -> Dims {
    let shape = x.shape();
    Dims::from_slice(&shape[shape.len() - n..])
}

/// x's leading sizes with others in place of the last `n`.
pub(super) fn with_spatial(x: &Tensor, n: usize, sizes: &[usize]) -> Dims {
    let shape = x.shape();
    shape[..shape.len() - n].iter().chain(sizes).copied().collect()
}

/// x's elements as `[planes, sizes…]`; a copy only where no strides fit.
fn planes(x: &Tensor, n: usize, sizes: &[usize]) -> Result<Data> {
    let (data, shape) = (x.data(), x.shape());
    let flat: Dims = [shape[..shape.len() - n].iter().product()].into_iter().chain(sizes.iter().copied()).collect();
    match data.layout.view(&flat) {
        Some(layout) => Ok(data.with_layout(layout)),
        None => Ok(convert::copy_data(&data)?.with_layout(Layout::contiguous(&flat))),
    }
}

/// Runs a window kernel from `[planes, spatial…]` to planes of `sizes`; the result has x's leading dimensions again.
pub(super) fn window(op: &WindowOp, x: &Tensor, sizes: &[usize]) -> Result<Tensor> {
    let flat = planes(x, sizes.len(), &spatial(x, sizes.len()))?;
    let out: Dims = [flat.layout.shape[0]].into_iter().chain(sizes.iter().copied()).collect();
    let mut y = storage::compute(Layout::contiguous(&out), flat.dtype, &[flat], |v, out| {
        backend().window(op, v, std::slice::from_mut(out))
    })?;
    y.layout = Layout::contiguous(&with_spatial(x, sizes.len(), sizes));
    Ok(Tensor::from_data(y))
}

/// For each plane the elements of `x` at the row-major positions `index`; the last `n` dimensions of both are spatial.
pub(super) fn pick_positions(x: &Tensor, index: &Tensor, n: usize) -> Result<Tensor> {
    let numel = |t: &Tensor| spatial(t, n).iter().product::<usize>();
    let ins = [planes(x, n, &[numel(x)])?, planes(index, n, &[numel(index)])?];
    let mut y = storage::compute(Layout::contiguous(&ins[1].layout.shape), x.dtype(), &ins, |v, out| {
        backend().gather(v[0], 1, v[1], out)
    })?;
    y.layout = Layout::contiguous(&index.shape());
    Tensor::from_data(y).with_grad([x], |s| {
        let (index, image) = (s.input(index), spatial(x, n));
        grad_fn(move |c, g| Ok([Some(put_back(g, &index.get(c)?, &image)?)]))
    })
}

/// The transpose of [`pick_positions`]: planes of size `image` in which the elements of `g` are added up at the positions `index`.
fn put_back(g: &Tensor, index: &Tensor, image: &[usize]) -> Result<Tensor> {
    let n = image.len();
    let numel = spatial(index, n).iter().product();
    let ins = [planes(g, n, &[numel])?, planes(index, n, &[numel])?];
    let flat = Dims::from_slice(&[ins[0].layout.shape[0], image.iter().product()]);
    let mut y = storage::compute(Layout::contiguous(&flat), g.dtype(), &ins, |v, out| {
        backend().window(&WindowOp::PutBack, v, std::slice::from_mut(out))
    })?;
    y.layout = Layout::contiguous(&with_spatial(g, n, image));
    Tensor::from_data(y).with_grad([g], |s| {
        let index = s.input(index);
        grad_fn(move |c, h| Ok([Some(pick_positions(h, &index.get(c)?, n)?)]))
    })
}

/// What an average is taken over: the kernel, and its transpose.
#[derive(Clone)]
struct Over {
    average: WindowOp,
    spread: WindowOp,
}

impl Over {
    fn windows(shape: PoolShape, count_include_pad: bool, divisor: Option<usize>) -> Over {
        Over {
            average: WindowOp::AvgPool { shape: shape.clone(), count_include_pad, divisor },
            spread: WindowOp::AvgPoolBackward { shape, count_include_pad, divisor },
        }
    }
    fn adaptive() -> Over {
        Over { average: WindowOp::AdaptiveAvgPool, spread: WindowOp::AdaptiveAvgPoolBackward }
    }
}

/// Averages of `x`; `sizes` are the spatial sizes of the result.
fn average(x: &Tensor, over: &Over, sizes: &[usize]) -> Result<Tensor> {
    window(&over.average, x, sizes)?.with_grad([x], |_| {
        let (over, image) = (over.clone(), spatial(x, sizes.len()));
        grad_fn(move |_, g| Ok([Some(spread(g, &over, &image)?)]))
    })
}

/// The transpose of [`average`]: each element of `g` is shared out among the elements that it averages.
fn spread(g: &Tensor, over: &Over, image: &[usize]) -> Result<Tensor> {
    window(&over.spread, g, image)?.with_grad([g], |_| {
        let (over, sizes) = (over.clone(), spatial(g, image.len()));
        grad_fn(move |_, h| Ok([Some(average(h, &over, &sizes)?)]))
    })
}

// ---- checks ---------------------------------------------------------------------------------------------------------------------

/// A window as the user gave it.
struct Window<'a> {
    kernel: &'a [i64],
    stride: Option<&'a [i64]>,
    padding: &'a [i64],
    dilation: &'a [i64],
    ceil_mode: bool,
}

impl Window<'_> {
    /// The window for `x` with `n` spatial dimensions, and the spatial sizes of the result.
    fn check(&self, name: &str, n: usize, x: &Tensor) -> Result<(PoolShape, Dims)> {
        check_image(name, n, x)?;
        let kernel = sizes(name, "kernel_size", self.kernel, n, 1)?;
        let stride = match self.stride.filter(|s| !s.is_empty()) {
            None => kernel.clone(),
            Some(s) if s.contains(&0) => return Err(Error::runtime(format!("{name}: stride should not be zero, but got {s:?}"))),
            Some(s) => sizes(name, "stride", s, n, 1)?,
        };
        let shape = PoolShape {
            kernel,
            stride,
            padding: sizes(name, "padding", self.padding, n, 0)?,
            dilation: sizes(name, "dilation", self.dilation, n, 1)?,
        };
        let image = spatial(x, n);
        let mut result = Dims::new();
        let mut calculated = SmallVec::<[i128; 3]>::new();
        for d in 0..n {
            let size = self.result_size(&shape, d, image[d])?;
            calculated.push(size);
            result.push(size.clamp(0, isize::MAX as i128) as usize);
        }
        if result.contains(&0) {
            let planes = x.shape()[x.rank() - n - 1].to_string();
            let by = |sizes: Vec<String>| [vec![planes.clone()], sizes].concat().join("x");
            return Err(Error::runtime(format!(
                "{name}: Given input size: ({}). Calculated output size: ({}). Output size is too small",
                by(image.iter().map(|n| n.to_string()).collect()),
                by(calculated.iter().map(|n| n.to_string()).collect())
            )));
        }
        Ok((shape, result))
    }

    /// PyTorch's rule: with `ceil_mode` a window may hang over the end, but it must start within the image or the padding before it.
    fn result_size(&self, shape: &PoolShape, d: usize, image: usize) -> Result<i128> {
        let [kernel, stride, padding, dilation] =
            [&shape.kernel, &shape.stride, &shape.padding, &shape.dilation].map(|list| list[d] as i128);
        let extent = dilation * (kernel - 1) + 1;
        if padding > extent / 2 {
            return Err(Error::runtime(format!(
                "pad should be at most half of effective kernel size, but got pad={padding}, kernel_size={kernel} and dilation={dilation}"
            )));
        }
        let image = image as i128;
        let up = if self.ceil_mode { stride - 1 } else { 0 };
        let size = (image + 2 * padding - extent + up).div_euclid(stride) + 1;
        Ok(if self.ceil_mode && (size - 1) * stride >= image + padding { size - 1 } else { size })
    }
}

/// Channels and `n` spatial dimensions, none of them empty, perhaps with a batch in front, which may be.
fn check_image(name: &str, n: usize, x: &Tensor) -> Result<()> {
    let (rank, shape) = (x.rank(), x.shape());
    if (rank == n + 1 || rank == n + 2) && !shape[rank - n - 1..].contains(&0) {
        return Ok(());
    }
    Err(Error::runtime(format!(
        "{name}: Expected {}D or {}D (batch mode) tensor with optional 0 dim batch size for input, but got:{shape:?}",
        n + 1,
        n + 2
    )))
}

/// `n` sizes from one or `n`, none below `least`.
fn sizes(name: &str, what: &str, given: &[i64], n: usize, least: i64) -> Result<Dims> {
    if given.len() != 1 && given.len() != n {
        let count = ["one int", "two ints", "three ints"][n - 1];
        return Err(Error::runtime(format!(
            "{name}: {what} must either be a single int, or a tuple of {count}, but got {given:?}"
        )));
    }
    if let Some(bad) = given.iter().find(|&&v| v < least) {
        return Err(Error::runtime(match what {
            "padding" => format!("{name}: pad must be non-negative, but got pad: {bad}"),
            _ => format!("{name}: {} should be greater than zero, but got {given:?}", what.replace('_', " ")),
        }));
    }
    Ok((0..n).map(|d| given[if given.len() == 1 { 0 } else { d }] as usize).collect())
}

// ---- maxima ---------------------------------------------------------------------------------------------------------------------

/// Maxima and their positions within the plane.
fn max_pool(name: &str, n: usize, x: &Tensor, given: Window) -> Result<(Tensor, Tensor)> {
    let (shape, result) = given.check(name, n, x)?;
    let flat = planes(x, n, &spatial(x, n))?;
    let out: Dims = [flat.layout.shape[0]].into_iter().chain(result.iter().copied()).collect();
    let specs = [(Layout::contiguous(&out), x.dtype()), (Layout::contiguous(&out), DType::I64)];
    let outs = storage::compute_many(&specs, &[flat], |v, outs| backend().window(&WindowOp::MaxPool(shape), v, outs))?;
    let full = Layout::contiguous(&with_spatial(x, n, &result));
    let mut outs = outs.into_iter().map(|data| Tensor::from_data(data.with_layout(full.clone())));
    let outs: [Tensor; 2] = std::array::from_fn(|_| outs.next().expect("two outputs were asked for"));
    autograd::record(&outs, &[x], |s| {
        let (index, image) = (s.output_at(1), spatial(x, n));
        grad_fn_many(move |c, g| Ok([g[0].as_ref().map(|g| put_back(g, &index.get(c)?.detach(), &image)).transpose()?]))
    })?;
    let [values, indices] = outs;
    Ok((values, indices))
}

/// Maxima alone: without a gradient to come, nobody needs their positions.
fn max_values(name: &str, n: usize, x: &Tensor, given: Window) -> Result<Tensor> {
    if autograd::is_recorded(&[x]) {
        return Ok(max_pool(name, n, x, given)?.0);
    }
    let (shape, result) = given.check(name, n, x)?;
    window(&WindowOp::MaxPool(shape), x, &result)
}

/// Returns the maxima of windows over `input` `[n, c, l]` or `[c, l]`. Without `stride` windows lie side by side.
///
/// The result has `floor((l + 2 * padding - dilation * (kernel_size - 1) - 1) / stride) + 1` elements per channel; `ceil_mode` rounds up
/// instead, as long as the last window starts within the image. Padding is never the maximum; NaN always is.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.max_pool1d.html>
#[op("(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False)", nn, number,
    samples = ["T(2, 3, 6), 2", "T(3, 5), 3, 1, 1", "T(1, 2, 7), 2, 2, 1, 2, True", "T(0, 2, 4), 2", "I(1, 2, 6), 3"],
    errors = [("T(3), 2", "max_pool1d: Expected 2D or 3D (batch mode) tensor with optional 0 dim batch size for input, but got:[3]"),
        ("T(1, 1, 4), 2, padding=2", "pad should be at most half of effective kernel size, but got pad=2, kernel_size=2 and dilation=1")])]
pub fn max_pool1d(
    x: &Tensor,
    kernel: &[i64],
    stride: Option<&[i64]>,
    padding: &[i64],
    dilation: &[i64],
    ceil_mode: bool,
) -> Result<Tensor> {
    max_values("max_pool1d", 1, x, Window { kernel, stride, padding, dilation, ceil_mode })
}

/// As `max_pool1d`, and the position of each maximum in its row.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.max_pool1d.html>
#[op("(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False)", nn, number, samples = ["T(2, 3, 6), 2", "T(3, 5), 3, 1, 1"],
    errors = [("T(1, 1, 4), [2, 2]", "max_pool1d: kernel_size must either be a single int, or a tuple of one int")])]
pub fn max_pool1d_with_indices(
    x: &Tensor,
    kernel: &[i64],
    stride: Option<&[i64]>,
    padding: &[i64],
    dilation: &[i64],
    ceil_mode: bool,
) -> Result<(Tensor, Tensor)> {
    max_pool("max_pool1d", 1, x, Window { kernel, stride, padding, dilation, ceil_mode })
}

/// Returns the maxima of windows over `input` `[n, c, h, w]` or `[c, h, w]`. Sizes and options are as for `max_pool1d`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.max_pool2d.html>
#[op("(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False)", nn, number,
    samples = ["T(1, 2, 4, 6), 2", "T(2, 4, 5), [2, 3], [1, 2], [1, 0]", "T(1, 1, 5, 6), 2, 2, 1, [2, 1], ceil_mode=True", "T(0, 2, 4, 4), 2",
        "T(2, 3, 4), 3, stride=1, padding=1", "I(1, 1, 4, 4), 2"],
    errors = [("T(3), 2", "Expected 3D or 4D (batch mode) tensor with optional 0 dim batch size for input, but got:[3]"),
        ("T(1, 0, 4, 4), 2", "Expected 3D or 4D (batch mode) tensor with optional 0 dim batch size for input, but got:[1, 0, 4, 4]"),
        ("T(1, 1, 4, 4), 5", "Given input size: (1x4x4). Calculated output size: (1x0x0). Output size is too small"),
        ("T(1, 1, 4, 4), 2, padding=2", "pad should be at most half of effective kernel size, but got pad=2, kernel_size=2 and dilation=1"),
        ("T(1, 1, 4, 4), 2, padding=-1", "pad must be non-negative, but got pad: -1"),
        ("T(1, 1, 4, 4), 2, 0", "stride should not be zero"),
        ("T(1, 1, 4, 4), 0", "kernel size should be greater than zero"),
        ("T(1, 1, 4, 4), 2, dilation=0", "dilation should be greater than zero"),
        ("T(1, 1, 4, 4), [2, 2, 2]", "max_pool2d: kernel_size must either be a single int, or a tuple of two ints")])]
pub fn max_pool2d(
    x: &Tensor,
    kernel: &[i64],
    stride: Option<&[i64]>,
    padding: &[i64],
    dilation: &[i64],
    ceil_mode: bool,
) -> Result<Tensor> {
    max_values("max_pool2d", 2, x, Window { kernel, stride, padding, dilation, ceil_mode })
}

/// As `max_pool2d`, and the row-major position of each maximum in its plane.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.max_pool2d.html>
#[op("(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False)", nn, number,
    samples = ["T(1, 2, 4, 4), 2", "T(2, 4, 5), [2, 3], [1, 2], [1, 0]"],
    errors = [("T(1, 1, 4, 4), 2, [1, 1, 1]", "max_pool2d: stride must either be a single int, or a tuple of two ints")])]
pub fn max_pool2d_with_indices(
    x: &Tensor,
    kernel: &[i64],
    stride: Option<&[i64]>,
    padding: &[i64],
    dilation: &[i64],
    ceil_mode: bool,
) -> Result<(Tensor, Tensor)> {
    max_pool("max_pool2d", 2, x, Window { kernel, stride, padding, dilation, ceil_mode })
}

/// Returns the maxima of windows over `input` `[n, c, d, h, w]` or `[c, d, h, w]`. Sizes and options are as for `max_pool1d`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.max_pool3d.html>
#[op("(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False)", nn, number,
    samples = ["T(1, 2, 2, 4, 3), 2", "T(1, 3, 3, 4), [2, 3, 2], 1, [1, 0, 1]"],
    errors = [("T(3), 2", "Expected 4D or 5D (batch mode) tensor with optional 0 dim batch size for input, but got:[3]")])]
pub fn max_pool3d(
    x: &Tensor,
    kernel: &[i64],
    stride: Option<&[i64]>,
    padding: &[i64],
    dilation: &[i64],
    ceil_mode: bool,
) -> Result<Tensor> {
    max_values("max_pool3d", 3, x, Window { kernel, stride, padding, dilation, ceil_mode })
}

/// As `max_pool3d`, and the row-major position of each maximum in its plane.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.max_pool3d.html>
#[op("(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False)", nn, number, samples = ["T(1, 2, 2, 4, 3), 2"],
    errors = [("T(1, 1, 4, 4, 4), [2, 2]", "max_pool3d: kernel_size must either be a single int, or a tuple of three ints")])]
pub fn max_pool3d_with_indices(
    x: &Tensor,
    kernel: &[i64],
    stride: Option<&[i64]>,
    padding: &[i64],
    dilation: &[i64],
    ceil_mode: bool,
) -> Result<(Tensor, Tensor)> {
    max_pool("max_pool3d", 3, x, Window { kernel, stride, padding, dilation, ceil_mode })
}

// ---- averages -------------------------------------------------------------------------------------------------------------------

fn avg_pool(name: &str, n: usize, x: &Tensor, given: Window, count_include_pad: bool, divisor: Option<i64>) -> Result<Tensor> {
    let (shape, sizes) = given.check(name, n, x)?;
    if divisor == Some(0) {
        return Err(Error::runtime("divisor must be not zero"));
    }
    let magnitude = divisor.map(|d| d.unsigned_abs() as usize);
    let y = average(x, &Over::windows(shape, count_include_pad, magnitude), &sizes)?;
    if divisor.is_some_and(|d| d < 0) { neg(&y) } else { Ok(y) }
}

/// Returns the averages of windows over `input` `[n, c, l]` or `[c, l]`. Without `stride` windows lie side by side.
///
/// The result has `floor((l + 2 * padding - kernel_size) / stride) + 1` elements per channel; `ceil_mode` rounds up instead, as long as the
/// last window starts within the image. `count_include_pad` counts the zeros of the padding as elements.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.avg_pool1d.html>
#[op("(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True)", nn, float_only,
    samples = ["T(2, 3, 6), 2", "T(3, 5), 3, 1, 1", "T(1, 2, 6), 3, 2, 1, True", "T(1, 2, 6), 3, 2, 1, True, False", "T(0, 2, 4), 2"],
    errors = [("T(3), 2", "avg_pool1d: Expected 2D or 3D (batch mode) tensor"),
        ("T(1, 4), 5", "Given input size: (1x4). Calculated output size: (1x0). Output size is too small")])]
pub fn avg_pool1d(
    x: &Tensor,
    kernel: &[i64],
    stride: Option<&[i64]>,
    padding: &[i64],
    ceil_mode: bool,
    count_include_pad: bool,
) -> Result<Tensor> {
    avg_pool("avg_pool1d", 1, x, Window { kernel, stride, padding, dilation: &[1], ceil_mode }, count_include_pad, None)
}

/// Returns the averages of windows over `input` `[n, c, h, w]` or `[c, h, w]`. Sizes and options are as for `avg_pool1d`;
/// `divisor_override` replaces the number of elements.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.avg_pool2d.html>
#[op("(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None)", nn, float_only,
    samples = ["T(1, 2, 4, 4), 2", "T(2, 4, 5), [2, 3], [1, 2], [1, 0]", "T(1, 1, 5, 6), 3, 2, 1, True, False", "T(1, 1, 4, 4), 2, divisor_override=3",
        "T(1, 1, 4, 4), 2, divisor_override=-2", "T(0, 2, 4, 4), 2"],
    errors = [("T(3), 2", "Expected 3D or 4D (batch mode) tensor"), ("T(1, 1, 4, 4), 2, divisor_override=0", "divisor must be not zero"),
        ("T(1, 1, 4, 4), 2, padding=2", "pad should be at most half of effective kernel size, but got pad=2, kernel_size=2 and dilation=1"),
        ("T(1, 1, 4, 4), [2, 2, 2]", "avg_pool2d: kernel_size must either be a single int, or a tuple of two ints")])]
pub fn avg_pool2d(
    x: &Tensor,
    kernel: &[i64],
    stride: Option<&[i64]>,
    padding: &[i64],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: Option<i64>,
) -> Result<Tensor> {
    avg_pool(
        "avg_pool2d",
        2,
        x,
        Window { kernel, stride, padding, dilation: &[1], ceil_mode },
        count_include_pad,
        divisor_override,
    )
}

/// Returns the averages of windows over `input` `[n, c, d, h, w]` or `[c, d, h, w]`. Sizes and options are as for `avg_pool2d`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.avg_pool3d.html>
#[op("(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None)", nn, float_only,
    samples = ["T(1, 2, 2, 4, 3), 2", "T(1, 3, 3, 4), [2, 3, 2], 1, [1, 0, 1], False, False"],
    errors = [("T(3), 2", "Expected 4D or 5D (batch mode) tensor")])]
pub fn avg_pool3d(
    x: &Tensor,
    kernel: &[i64],
    stride: Option<&[i64]>,
    padding: &[i64],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: Option<i64>,
) -> Result<Tensor> {
    avg_pool(
        "avg_pool3d",
        3,
        x,
        Window { kernel, stride, padding, dilation: &[1], ceil_mode },
        count_include_pad,
        divisor_override,
    )
}

/// The spatial sizes of an adaptive result.
pub(super) fn adaptive_sizes(name: &str, n: usize, x: &Tensor, given: &[i64]) -> Result<Dims> {
    let (rank, shape) = (x.rank(), x.shape());
    if rank != n + 1 && rank != n + 2 {
        return Err(Error::runtime(format!("{name}(): Expected {}D or {}D tensor, but got {shape:?}", n + 1, n + 2)));
    }
    if let Some(d) = (rank - n - 1..rank).find(|&d| shape[d] == 0) {
        return Err(Error::runtime(format!(
            "{name}(): Expected input to have non-zero size for non-batch dimensions, but input has sizes {shape:?} with dimension {d} being empty"
        )));
    }
    if given.len() != 1 && given.len() != n {
        return Err(Error::runtime(format!("{name}: output_size must be {n} sizes or one, but got {given:?}")));
    }
    if given.iter().any(|&s| s < 0) {
        return Err(Error::runtime(format!(
            "{name}: elements of output_size must be greater than or equal to 0 but received {given:?}"
        )));
    }
    Ok((0..n).map(|d| given[if given.len() == 1 { 0 } else { d }] as usize).collect())
}

/// A single average per channel is a mean, to PyTorch too.
fn adaptive_avg(name: &str, n: usize, x: &Tensor, output_size: &[i64]) -> Result<Tensor> {
    let sizes = adaptive_sizes(name, n, x, output_size)?;
    if sizes.iter().all(|&n| n == 1) {
        let dims: Ints = (1..=n as i64).map(|d| -d).collect();
        return mean_dim(x, Some(&dims), true, None);
    }
    average(x, &Over::adaptive(), &sizes)
}

/// Returns averages of `input` `[n, c, l]` or `[c, l]`, `output_size` of them per channel: number `i` is over the elements from
/// `floor(i * l / output_size)` up to `ceil((i + 1) * l / output_size)`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.adaptive_avg_pool1d.html>
#[op("(input, output_size)", nn, float_only, samples = ["T(2, 3, 6), 4", "T(3, 5), 1", "T(1, 2, 3), 7", "T(0, 2, 3), 2", "T(1, 2, 3), 0"],
    errors = [("T(4), 2", "adaptive_avg_pool1d(): Expected 2D or 3D tensor, but got [4]")])]
pub fn adaptive_avg_pool1d(x: &Tensor, output_size: &[i64]) -> Result<Tensor> {
    adaptive_avg("adaptive_avg_pool1d", 1, x, output_size)
}

/// Returns averages of `input` `[n, c, h, w]` or `[c, h, w]`, a plane of size `output_size` per channel. Windows are as for
/// `adaptive_avg_pool1d`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.adaptive_avg_pool2d.html>
#[op("(input, output_size)", nn, float_only, samples = ["T(1, 2, 4, 5), [2, 3]", "T(3, 4, 4), 1", "T(1, 1, 2, 3), [5, 2]", "T(0, 2, 3, 3), 2"],
    errors = [("T(4), 2", "adaptive_avg_pool2d(): Expected 3D or 4D tensor, but got [4]"),
        ("T(1, 0, 4), 2", "Expected input to have non-zero size for non-batch dimensions, but input has sizes [1, 0, 4] with dimension 1 being empty"),
        ("T(1, 4, 4), -2", "elements of output_size must be greater than or equal to 0"),
        ("T(1, 4, 4), [2, 2, 2]", "output_size must be 2")])]
pub fn adaptive_avg_pool2d(x: &Tensor, output_size: &[i64]) -> Result<Tensor> {
    adaptive_avg("adaptive_avg_pool2d", 2, x, output_size)
}

/// Returns averages of `input` `[n, c, d, h, w]` or `[c, d, h, w]`, `output_size` of them per channel. Windows are as for
/// `adaptive_avg_pool1d`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.adaptive_avg_pool3d.html>
#[op("(input, output_size)", nn, float_only, samples = ["T(1, 2, 3, 2, 4), [2, 1, 3]", "T(1, 3, 2, 2), 1"],
    errors = [("T(4), 2", "adaptive_avg_pool3d(): Expected 4D or 5D tensor, but got [4]")])]
pub fn adaptive_avg_pool3d(x: &Tensor, output_size: &[i64]) -> Result<Tensor> {
    adaptive_avg("adaptive_avg_pool3d", 3, x, output_size)
}
