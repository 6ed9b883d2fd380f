//! Patches of images as columns, and columns as patches.

use super::padding::{Margins, pad_constant};
use super::*;
use crate::autograd::grad_fn;
use rushlight_kernels::Strides;

ops![im2col, col2im];

/// Where patches lie in an image (padding included): two spatial dimensions, row first.
#[derive(Clone, Debug)]
struct Patches {
    kernel: [usize; 2],
    dilation: [usize; 2],
    padding: [usize; 2],
    stride: [usize; 2],
}

impl Patches {
    fn new(kernel: &[i64], dilation: &[i64], padding: &[i64], stride: &[i64]) -> Result<Patches> {
        Ok(Patches {
            kernel: pair("kernel_size", kernel, 1)?,
            dilation: pair("dilation", dilation, 1)?,
            padding: pair("padding", padding, 0)?,
            stride: pair("stride", stride, 1)?,
        })
    }

    /// Number of patches along each dimension of an image of this size.
    fn counts(&self, image: [usize; 2]) -> [i128; 2] {
        std::array::from_fn(|d| {
            let extent = self.dilation[d] as i128 * (self.kernel[d] as i128 - 1) + 1;
            (image[d] as i128 + 2 * self.padding[d] as i128 - extent).div_euclid(self.stride[d] as i128) + 1
        })
    }

    fn margins(&self, sign: isize) -> Margins {
        let around = self.padding.map(|p| (sign * p as isize, sign * p as isize));
        Margins::from_slice(&[(0, 0), (0, 0), around[0], around[1]])
    }

    /// A padded image `[n, c, h, w]` seen as `[n, c, kernel…, counts…]`.
    fn layout(&self, image: &Layout, counts: [usize; 2]) -> Layout {
        let [h, w] = [image.strides[2], image.strides[3]];
        let step = |by: [usize; 2]| [h * by[0] as isize, w * by[1] as isize];
        let shape: Dims = [&image.shape[..2], &self.kernel, &counts].concat().into();
        let strides: Strides = [&image.strides[..2], &step(self.dilation), &step(self.stride)].concat().into();
        Layout { shape, strides, offset: image.offset }
    }
}

fn pair(what: &str, given: &[i64], least: i64) -> Result<[usize; 2]> {
    if given.len() != 1 && given.len() != 2 {
        return Err(Error::runtime(format!("{what} must be one int or two, but got {given:?}")));
    }
    if given.iter().any(|&v| v < least || v > isize::MAX as i64 / 4) {
        let bound = if least > 0 { "greater than zero" } else { "non-negative" };
        return Err(Error::runtime(format!("{} should be {bound}, but got {given:?}", what.replace('_', " "))));
    }
    Ok([given[0] as usize, given[given.len() - 1] as usize])
}

/// Copies the patches out of a padded image: `[n, c, h, w]` to `[n, c, kernel…, counts…]`.
fn cut(x: &Tensor, patches: &Patches, counts: [usize; 2]) -> Result<Tensor> {
    let data = x.data();
    let y = convert::copy_data(&data.with_layout(patches.layout(&data.layout, counts)))?;
    Tensor::from_data(y).with_grad([x], |_| {
        let (patches, shape) = (patches.clone(), x.shape());
        grad_fn(move |_, g| Ok([Some(paste(g, &patches, &shape)?)]))
    })
}

/// The transpose of [`cut`]: adds patches up in a padded image. One pass per element of the kernel, so that no pass writes an element twice.
fn paste(g: &Tensor, patches: &Patches, shape: &Dims) -> Result<Tensor> {
    let sizes = g.shape();
    let counts = [sizes[4], sizes[5]];
    let mut sum = Program::new();
    let (a, b) = (sum.load(0, g.dtype()), sum.load(1, g.dtype()));
    let r = sum.bin(BinOp::Add, a, b);
    sum.out(r);
    let (y, data) = (filled(shape, Scalar::Int(0), g.dtype())?, g.data());
    let seen = patches.layout(&y.layout(), counts);
    for (i, j) in (0..sizes[2]).flat_map(|i| (0..sizes[3]).map(move |j| (i, j))) {
        let tap = |layout: &Layout| layout.select(2, i).select(2, j);
        let operands = [y.data().with_layout(tap(&seen)), data.with_layout(tap(&data.layout))];
        storage::write(&operands[..1], &operands, |outs, ins| backend().pointwise(&sum, ins, outs))?;
    }
    y.with_grad([g], |_| {
        let patches = patches.clone();
        grad_fn(move |_, h| Ok([Some(cut(h, &patches, counts)?)]))
    })
}

fn by(sizes: impl IntoIterator<Item = impl ToString>) -> String {
    format!("({})", sizes.into_iter().map(|s| s.to_string()).collect::<Vec<_>>().join(", "))
}

/// With a batch dimension, and whether it had one. Only the batch may be empty.
fn batched(x: &Tensor, rank: usize) -> Result<(Tensor, bool)> {
    let shape = x.shape();
    if !(x.rank() == rank - 1 || x.rank() == rank) || shape[x.rank() - (rank - 1)..].contains(&0) {
        return Err(Error::runtime(format!(
            "Expected {}D or {rank}D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for input, but got: {shape:?}",
            rank - 1
        )));
    }
    if x.rank() == rank { Ok((x.clone(), true)) } else { Ok((unsqueeze(x, 0)?, false)) }
}

fn reshape_to(x: &Tensor, shape: &[usize], batched: bool) -> Result<Tensor> {
    reshape(x, &shape[!batched as usize..].iter().map(|&n| n as i64).collect::<crate::op::Ints>())
}

/// Returns the patches of images `[n, c, h, w]` or `[c, h, w]` as columns `[n, c * kh * kw, patches]`: PyTorch's `nn.functional.unfold`.
///
/// Patches are of size `kernel_size`, `stride` apart, over the image with `padding` zeros around it; there are
/// `floor((size + 2 * padding - dilation * (k - 1) - 1) / stride) + 1` of them along each dimension.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.unfold.html>
#[op("(input, kernel_size, dilation=1, padding=0, stride=1)", nn, any,
    samples = ["T(1, 2, 3, 3), 2", "T(2, 3, 4), [2, 3], padding=1", "T(1, 1, 5, 4), 2, [2, 1], [0, 1], [1, 2]", "T(0, 2, 3, 3), 2"],
    errors = [("T(3, 3), 2", "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for input, but got: [3, 3]"),
        ("T(1, 1, 3, 3), 4", "Given input with spatial size (3, 3), kernel_size=(4, 4), dilation=(1, 1), padding=(0, 0), calculated shape of the array of sliding blocks as (0, 0), but its components must be at least one."),
        ("T(1, 1, 3, 3), 2, stride=0", "stride should be greater than zero"), ("T(1, 1, 3, 3), 2, padding=-1", "padding should be non-negative")])]
pub fn im2col(x: &Tensor, kernel_size: &[i64], dilation: &[i64], padding: &[i64], stride: &[i64]) -> Result<Tensor> {
    let patches = Patches::new(kernel_size, dilation, padding, stride)?;
    let (x, batch) = batched(x, 4)?;
    let shape = x.shape();
    let counts = patches.counts([shape[2], shape[3]]);
    if counts.iter().any(|&n| n < 1) {
        return Err(Error::runtime(format!(
            "Given input with spatial size {}, kernel_size={}, dilation={}, padding={}, calculated shape of the array of sliding blocks as {}, but its components must be at least one.",
            by(&shape[2..]),
            by(patches.kernel),
            by(patches.dilation),
            by(patches.padding),
            by(counts)
        )));
    }
    let counts = counts.map(|n| n as usize);
    let y = cut(&pad_constant(&x, &patches.margins(1), Scalar::Int(0))?, &patches, counts)?;
    reshape_to(&y, &[shape[0], shape[1] * patches.kernel[0] * patches.kernel[1], counts[0] * counts[1]], batch)
}

/// Returns images `[n, c, h, w]` of size `output_size` in which the columns `[n, c * kh * kw, patches]` are added up: PyTorch's
/// `nn.functional.fold`, the transposed map of `im2col`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.fold.html>
#[op("(input, output_size, kernel_size, dilation=1, padding=0, stride=1)", nn, number, alias = ["fold"],
    samples = ["T(1, 4, 4), 3, 2", "T(8, 4), [3, 3], 2", "T(1, 4, 6), [3, 4], 2, padding=[1, 0], stride=[2, 1], dilation=[2, 1]", "T(0, 4, 4), 3, 2"],
    errors = [("T(4), 3, 2", "Expected 2D or 3D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for input, but got: [4]"),
        ("T(1, 5, 4), 3, 2", "Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got input.size(1)=5 and kernel_size=(2, 2)."),
        ("T(1, 4, 5), 3, 2", "expected size of input's dimension 2 to match the calculated number of sliding blocks 2 * 2 = 4, but got input.size(2)=5."),
        ("T(1, 4, 5), 0, 2", "output size should be greater than zero")])]
pub fn col2im(
    x: &Tensor,
    output_size: &[i64],
    kernel_size: &[i64],
    dilation: &[i64],
    padding: &[i64],
    stride: &[i64],
) -> Result<Tensor> {
    let (image, patches) = (pair("output_size", output_size, 1)?, Patches::new(kernel_size, dilation, padding, stride)?);
    let (x, batch) = batched(x, 3)?;
    let [kh, kw] = patches.kernel;
    let (n, rows, columns) = (x.shape()[0], x.shape()[1], x.shape()[2]);
    if !kh.checked_mul(kw).is_some_and(|k| rows.is_multiple_of(k)) {
        return Err(Error::runtime(format!(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got input.size(1)={rows} and kernel_size={}.",
            by(patches.kernel)
        )));
    }
    let counts = patches.counts(image);
    if counts.iter().any(|&n| n < 1) || counts[0].checked_mul(counts[1]) != Some(columns as i128) {
        return Err(Error::runtime(format!(
            "Given output_size={}, kernel_size={}, dilation={}, padding={}, stride={}, expected size of input's dimension 2 to match the calculated \
             number of sliding blocks {} * {} = {}, but got input.size(2)={columns}.",
            by(image),
            by(patches.kernel),
            by(patches.dilation),
            by(patches.padding),
            by(patches.stride),
            counts[0],
            counts[1],
            counts[0].saturating_mul(counts[1])
        )));
    }
    let channels = rows / (kh * kw);
    let columns = reshape_to(&x, &[n, channels, kh, kw, counts[0] as usize, counts[1] as usize], true)?;
    let padded: Dims = [n, channels, image[0] + 2 * patches.padding[0], image[1] + 2 * patches.padding[1]].into_iter().collect();
    let y = pad_constant(&paste(&columns, &patches, &padded)?, &patches.margins(-1), Scalar::Int(0))?;
    reshape_to(&y, &[n, channels, image[0], image[1]], batch)
}
