//! Images of other sizes.
//!
//! Every method works along one dimension after the other: an element of the result is a weighted sum of a few elements of the source, its
//! [`Taps`]. All of it is made of differentiable ops.

use super::padding::listed;
use super::*;
use crate::op::Ints;

ops![interpolate, pixel_shuffle, pixel_unshuffle];

/// One dimension of a result: for each tap, where every element reads, and with what weight.
type Taps = SmallVec<[(Vec<i64>, Vec<f64>); 4]>;

/// One dimension to be resampled.
#[derive(Clone, Copy)]
struct Axis {
    from: usize,
    to: usize,
    /// Source steps per step of the result.
    scale: f64,
    /// PyTorch computes positions in the element type, and in single precision for all but float64: which source is nearest depends on it.
    single: bool,
    align_corners: bool,
}

impl Axis {
    fn round(&self, v: f64) -> f64 {
        if self.single { v as f32 as f64 } else { v }
    }

    /// The source position of element `i`, from the middle of elements unless corners are aligned.
    fn position(&self, i: usize) -> f64 {
        if self.align_corners {
            return self.round(self.scale * i as f64);
        }
        self.round(self.round(self.scale * (i as f64 + 0.5)) - 0.5)
    }

    fn clamp(&self, i: i64) -> i64 {
        i.clamp(0, self.from as i64 - 1)
    }

    /// The element that lies `offset` of a result's element after its start.
    fn nearest(&self, offset: f64) -> Result<Taps> {
        let source = |i: usize| self.clamp(self.round((i as f64 + offset) * self.scale).floor() as i64);
        Ok([(listed(self.to, source)?, vec![])].into_iter().collect())
    }

    fn linear(&self) -> Result<Taps> {
        let first = |i: usize| self.clamp(self.position(i).max(0.0) as i64);
        let part = |i: usize| (self.position(i) - first(i) as f64).clamp(0.0, 1.0);
        let before = (listed(self.to, first)?, listed(self.to, |i| 1.0 - part(i))?);
        let after = (listed(self.to, |i| self.clamp(first(i) + 1))?, listed(self.to, part)?);
        Ok([before, after].into_iter().collect())
    }

    /// Keys' cubic convolution with a = -0.75, as in PyTorch and OpenCV.
    fn cubic(&self) -> Result<Taps> {
        const A: f64 = -0.75;
        let near = |x: f64| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
        let far = |x: f64| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
        let weight = |x: f64| if x <= 1.0 { near(x) } else { far(x) };
        let at = |i: usize| (self.position(i), self.position(i).floor());
        let tap = |k: i64| {
            let sources = listed(self.to, |i| self.clamp(at(i).1 as i64 + k))?;
            Ok((sources, listed(self.to, |i| weight((at(i).0 - at(i).1 - k as f64).abs()))?))
        };
        (-1..3).map(tap).collect()
    }
}

/// The weighted sum of `taps` along dimension `d`.
fn resample(x: &Tensor, d: usize, taps: Taps) -> Result<Tensor> {
    let mut sum: Option<Tensor> = None;
    for (sources, weights) in taps {
        let n = sources.len();
        let mut part = index_select(x, d as i64, &Tensor::try_from_vec(sources, n)?)?;
        if !weights.is_empty() {
            let sizes: Ints = (0..x.rank()).map(|i| if i == d { n as i64 } else { 1 }).collect();
            part = mul(&part, &to_dtype(&Tensor::try_from_vec(weights, sizes.clone())?, x.dtype())?)?;
        }
        sum = Some(match sum {
            None => part,
            Some(sum) => add(&sum, &part, Scalar::Int(1))?,
        });
    }
    Ok(sum.expect("every method has a tap"))
}

/// The sizes of the result and the scales that the user gave.
type Target = (Dims, SmallVec<[Option<f64>; 3]>);

fn target(x: &Tensor, size: Option<&[i64]>, scale_factor: Option<&[f64]>, recompute: bool) -> Result<Target> {
    let shape = x.shape();
    let image = &shape[2..];
    let n = image.len();
    let wrong_length = |what: &str, given: String| {
        Error::value(format!(
            "Input and {what} must have the same number of spatial dimensions, but got input with spatial dimensions of {image:?} and {what} of {given}."
        ))
    };
    match (size, scale_factor) {
        (Some(_), Some(_)) => Err(Error::value("only one of size or scale_factor should be defined")),
        (None, None) => Err(Error::value("either size or scale_factor should be defined")),
        (Some(_), None) if recompute => Err(Error::value("recompute_scale_factor is not meaningful with an explicit size.")),
        (Some(s), None) if s.len() != 1 && s.len() != n => Err(wrong_length("output size", format!("{s:?}"))),
        (Some(s), None) => {
            let sizes = (0..n).map(|d| s[if s.len() == 1 { 0 } else { d }].max(0) as usize).collect();
            Ok((sizes, SmallVec::from_elem(None, n)))
        }
        (None, Some(f)) if f.len() != 1 && f.len() != n => Err(wrong_length("scale_factor", format!("{f:?}"))),
        (None, Some(f)) => {
            let factors: SmallVec<[f64; 3]> = (0..n).map(|d| f[if f.len() == 1 { 0 } else { d }]).collect();
            let sizes = image.iter().zip(&factors).map(|(&n, f)| (n as f64 * f) as usize).collect();
            Ok((sizes, factors.into_iter().map(|f| (!recompute && f > 0.0).then_some(f)).collect()))
        }
    }
}

/// Returns `input` `[n, c, spatial…]` with its one to three spatial dimensions brought to `size`, or multiplied by `scale_factor`.
///
/// `mode` is `"nearest"`, `"nearest-exact"` (which looks at the middle of elements), `"area"` (adaptive averages), `"linear"` for one spatial
/// dimension, `"bilinear"` or `"bicubic"` for two, `"trilinear"` for three. `align_corners` lets the outermost elements of source and result lie
/// upon each other. With `recompute_scale_factor` positions follow from the rounded sizes instead of from `scale_factor`. Anti-aliasing is not
/// implemented.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.interpolate.html>
#[op("(input, size=None, scale_factor=None, mode='nearest', align_corners=None, recompute_scale_factor=None, antialias=False)", nn, float_only,
    samples = ["T(1, 2, 3), 5", "T(1, 1, 2, 3), [3, 2]", "T(1, 1, 2, 2, 3), scale_factor=1.5", "T(1, 1, 4), scale_factor=[0.6], mode='nearest-exact'",
        "T(1, 2, 4), 7, mode='linear'", "T(1, 1, 3, 2), [5, 3], None, 'bilinear', True", "T(2, 1, 2, 3), scale_factor=[2.3, 1.6], mode='bilinear'",
        "T(1, 1, 2, 2), scale_factor=2.3, mode='bilinear', recompute_scale_factor=True", "T(1, 1, 3, 4), [5, 6], mode='bicubic'",
        "T(1, 1, 3, 3), 4, mode='bicubic', align_corners=True", "T(1, 1, 2, 2, 2), 3, mode='trilinear'", "T(1, 1, 4, 5), [2, 3], mode='area'", "T(0, 2, 3), 4"],
    errors = [("T(1, 1, 2)", "either size or scale_factor should be defined"), ("T(1, 1, 2), 3, 2.0", "only one of size or scale_factor should be defined"),
        ("T(1, 1, 2, 2), [3]  , mode='linear'", "Got 4D input, but linear mode needs 3D input"),
        ("T(1, 1, 2, 2), [3, 3, 3]", "Input and output size must have the same number of spatial dimensions"),
        ("T(1, 1, 2, 2), 0", "Input and output sizes should be greater than 0, but got input [2, 2] output [0, 0]"),
        ("T(2, 2), 2", "Input Error: Only 3D, 4D and 5D input Tensors supported (got 2D)"),
        ("T(1, 1, 2), 3, mode='cubist'", "(got cubist)"), ("T(1, 1, 2), 3, align_corners=True", "align_corners option can only be set with the interpolating modes"),
        ("T(1, 1, 2, 2), 3, mode='bilinear', antialias=True", "Anti-alias")])]
pub fn interpolate(
    x: &Tensor,
    size: Option<&[i64]>,
    scale_factor: Option<&[f64]>,
    mode: &str,
    align_corners: Option<bool>,
    recompute_scale_factor: Option<bool>,
    antialias: bool,
) -> Result<Tensor> {
    let rank = x.rank();
    let needs = match mode {
        "nearest" | "nearest-exact" | "area" => rank,
        "linear" => 3,
        "bilinear" | "bicubic" => 4,
        "trilinear" => 5,
        _ => 0,
    };
    if !(3..=5).contains(&rank) || needs == 0 {
        return Err(Error::not_implemented(format!(
            "Input Error: Only 3D, 4D and 5D input Tensors supported (got {rank}D) for the modes: nearest | linear | bilinear | bicubic | trilinear | area | nearest-exact (got {mode})"
        )));
    }
    if rank != needs {
        return Err(Error::not_implemented(format!("Got {rank}D input, but {mode} mode needs {needs}D input")));
    }
    if align_corners.is_some() && matches!(mode, "nearest" | "nearest-exact" | "area") {
        return Err(Error::value(
            "align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | trilinear",
        ));
    }
    if antialias {
        return Err(Error::not_implemented("Anti-alias option is not implemented"));
    }
    let recompute = recompute_scale_factor.unwrap_or(false) || mode == "area" && scale_factor.is_some();
    let (sizes, scales) = target(x, size, scale_factor, recompute)?;
    let shape = x.shape();
    let image = &shape[2..];
    if image.contains(&0) || sizes.contains(&0) {
        return Err(Error::runtime(format!(
            "Input and output sizes should be greater than 0, but got input {image:?} output {sizes:?}"
        )));
    }
    if shape[1] == 0 {
        return Err(Error::runtime(format!("Non-empty {rank}D data tensor expected but got a tensor with sizes {shape:?}")));
    }
    if mode == "area" {
        let sizes: Ints = sizes.iter().map(|&n| n as i64).collect();
        return [adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d][rank - 3](x, &sizes);
    }
    if !mode.starts_with("nearest") && !x.dtype().is_float() {
        return Err(unsupported(x.dtype()));
    }
    // Half precision is rounded once, at the end.
    let half = matches!(x.dtype(), DType::F16 | DType::BF16) && !mode.starts_with("nearest");
    let mut y = if half { to_dtype(x, DType::F32)? } else { x.clone() };
    let align_corners = align_corners.unwrap_or(false);
    // The innermost dimension first: the order of PyTorch's sums.
    for d in (0..sizes.len()).rev() {
        let (from, to) = (image[d], sizes[d]);
        let scale = match scales[d] {
            _ if align_corners => {
                if to > 1 {
                    (from - 1) as f64 / (to - 1) as f64
                } else {
                    0.0
                }
            }
            Some(factor) => 1.0 / factor,
            None => from as f64 / to as f64,
        };
        let single = x.dtype() != DType::F64;
        let scale = if single { scale as f32 as f64 } else { scale };
        let axis = Axis { from, to, scale, single, align_corners };
        let taps = match mode {
            "nearest" => axis.nearest(0.0)?,
            "nearest-exact" => axis.nearest(0.5)?,
            "bicubic" => axis.cubic()?,
            _ => axis.linear()?,
        };
        y = resample(&y, d + 2, taps)?;
    }
    if half { to_dtype(&y, x.dtype()) } else { Ok(y) }
}

/// The sizes in front of the last three, and those three.
fn image_sizes(op: &str, factor: &str, x: &Tensor, r: i64) -> Result<(Ints, [i64; 3])> {
    if x.rank() < 3 {
        return Err(Error::runtime(format!(
            "{op} expects input to have at least 3 dimensions, but got input with {} dimension(s)",
            x.rank()
        )));
    }
    if r <= 0 {
        return Err(Error::runtime(format!("{op} expects a positive {factor}, but got {r}")));
    }
    let shape: Ints = x.shape().iter().map(|&n| n as i64).collect();
    let (lead, image) = shape.split_at(shape.len() - 3);
    Ok((lead.into(), [image[0], image[1], image[2]]))
}

/// Reshapes, permutes the dimensions after the leading ones, and reshapes again.
fn regroup(x: &Tensor, lead: &Ints, split: &[i64], order: &[i64], joined: &[i64]) -> Result<Tensor> {
    let sizes = |tail: &[i64]| -> Ints { lead.iter().chain(tail).copied().collect() };
    let n = lead.len() as i64;
    let dims: Ints = (0..n).chain(order.iter().map(|d| n + d)).collect();
    let y = reshape(&permute(&reshape(x, &sizes(split))?, &dims)?, &sizes(joined))?;
    // A factor of one moves nothing, and yet the result is no view.
    if y.shares_storage(x) { copy(&y) } else { Ok(y) }
}

/// Returns `input` `[…, c * r², h, w]` as `[…, c, h * r, w * r]`, where `r` is `upscale_factor`: each `r × r` square comes from the same place of `r²` channels.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.pixel_shuffle.html>
#[op("(input, upscale_factor)", nn, any, samples = ["T(1, 4, 2, 3), 2", "T(9, 1, 2), 3", "T(2, 2, 1, 1), 1", "T(0, 4, 2, 2), 2"],
    errors = [("T(3, 1, 2), 2", "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, but input.size(-3)=3 is not divisible by 4"),
        ("T(3, 2), 2", "pixel_shuffle expects input to have at least 3 dimensions, but got input with 2 dimension(s)"),
        ("T(4, 1, 2), 0", "pixel_shuffle expects a positive upscale_factor, but got 0")])]
pub fn pixel_shuffle(x: &Tensor, upscale_factor: i64) -> Result<Tensor> {
    let r = upscale_factor;
    let (lead, [c, h, w]) = image_sizes("pixel_shuffle", "upscale_factor", x, r)?;
    let square = r.checked_mul(r).unwrap_or(i64::MAX);
    if c % square != 0 {
        return Err(Error::runtime(format!(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, but input.size(-3)={c} is not divisible by {square}"
        )));
    }
    let c = c / square;
    regroup(x, &lead, &[c, r, r, h, w], &[0, 3, 1, 4, 2], &[c, h * r, w * r])
}

/// Returns `input` `[…, c, h * r, w * r]` as `[…, c * r², h, w]`, where `r` is `downscale_factor`: the inverse of `pixel_shuffle`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.pixel_unshuffle.html>
#[op("(input, downscale_factor)", nn, any, samples = ["T(1, 1, 4, 6), 2", "T(2, 3, 3), 3"],
    errors = [("T(1, 3, 4), 2", "pixel_unshuffle expects height to be divisible by downscale_factor, but input.size(-2)=3 is not divisible by 2"),
        ("T(1, 4, 3), 2", "pixel_unshuffle expects width to be divisible by downscale_factor, but input.size(-1)=3 is not divisible by 2"),
        ("T(1, 4, 3), 0", "pixel_unshuffle expects a positive downscale_factor, but got 0")])]
pub fn pixel_unshuffle(x: &Tensor, downscale_factor: i64) -> Result<Tensor> {
    let r = downscale_factor;
    let (lead, [c, h, w]) = image_sizes("pixel_unshuffle", "downscale_factor", x, r)?;
    for (name, d, size) in [("height", -2, h), ("width", -1, w)] {
        if size % r != 0 {
            return Err(Error::runtime(format!(
                "pixel_unshuffle expects {name} to be divisible by downscale_factor, but input.size({d})={size} is not divisible by {r}"
            )));
        }
    }
    let (h, w) = (h / r, w / r);
    let channels = c.checked_mul(r).and_then(|c| c.checked_mul(r)).unwrap_or(i64::MAX);
    regroup(x, &lead, &[c, h, r, w, r], &[0, 2, 4, 1, 3], &[channels, h, w])
}
