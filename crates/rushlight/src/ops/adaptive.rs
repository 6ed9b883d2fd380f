//! Maxima over windows that follow from the size of the result.
//!
//! There is no kernel for them: the positions of all windows stand in a table, a reduction finds which of them holds the maximum, and the
//! result is picked from there.

use super::padding::listed;
use super::pool::{adaptive_sizes, pick_positions, spatial, with_spatial};
use super::*;
use crate::op::Ints;
use rushlight_kernels::backend::ReduceOp;

ops![
    adaptive_max_pool1d,
    adaptive_max_pool1d_with_indices,
    adaptive_max_pool2d,
    adaptive_max_pool2d_with_indices,
    adaptive_max_pool3d,
    adaptive_max_pool3d_with_indices
];

/// For each element of a plane of size `sizes`, the row-major positions in a plane of size `image` that it sees: `[elements, positions]`.
/// Windows shorter than others repeat their last position.
fn windows(image: &[usize], sizes: &[usize]) -> Result<Tensor> {
    let start = |i: usize, d: usize| (i as u128 * image[d] as u128 / sizes[d] as u128) as usize;
    let end = |i: usize, d: usize| ((i as u128 + 1) * image[d] as u128).div_ceil(sizes[d] as u128) as usize;
    // A window that does not start at the start of an element reaches into one more.
    let width = |(&from, &to): (&usize, &usize)| (from.div_ceil(to.max(1)) + (from % to.max(1) != 0) as usize).min(from);
    let widths: Dims = image.iter().zip(sizes).map(width).collect();
    let shape = [sizes, &widths].concat();
    storage::nbytes(&shape, DType::I64)?;
    let (elements, positions): (usize, usize) = (sizes.iter().product(), widths.iter().product());
    let table = listed(elements * positions, |i| {
        let (mut element, mut position) = (i / positions, i % positions);
        let (mut at, mut step) = (0, 1);
        for d in (0..image.len()).rev() {
            let (e, p) = (element % sizes[d], position % widths[d]);
            at += (start(e, d) + p).min(end(e, d) - 1) * step;
            (element, position, step) = (element / sizes[d], position / widths[d], step * image[d]);
        }
        at as i64
    })?;
    Tensor::try_from_vec(table, [elements, positions])
}

fn max_pool(name: &str, n: usize, x: &Tensor, output_size: &[i64]) -> Result<(Tensor, Tensor)> {
    let sizes = adaptive_sizes(name, n, x, output_size)?;
    if x.dtype() == DType::Bool {
        return Err(unsupported(x.dtype()));
    }
    let (image, out) = (spatial(x, n), with_spatial(x, n, &sizes));
    let planes: usize = out[..out.len() - n].iter().product();
    let table = windows(&image, &sizes)?;
    let (elements, positions) = (table.shape()[0], table.shape()[1]);
    let flat = reshape(&x.detach(), &[planes as i64, image.iter().product::<usize>() as i64])?;
    let seen = index_select(&flat, 1, &reshape(&table, &[(elements * positions) as i64])?)?;
    let seen = reshape(&seen, &[planes as i64, elements as i64, positions as i64])?;
    let best = reduce(ReduceOp::ArgMax, &seen, &[2], true, DType::I64)?;
    let index = gather(&expand_to(&table, &[planes, elements, positions])?, 2, &best, false)?;
    let index = reshape(&index, &out.iter().map(|&n| n as i64).collect::<Ints>())?;
    Ok((pick_positions(x, &index, n)?, index.detach()))
}

/// Returns maxima of `input` `[n, c, l]` or `[c, l]`, `output_size` of them per channel: number `i` is over the elements from
/// `floor(i * l / output_size)` up to `ceil((i + 1) * l / output_size)`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.adaptive_max_pool1d.html>
#[op("(input, output_size)", nn, number, samples = ["T(2, 3, 6), 4", "T(3, 5), 1", "T(1, 2, 3), 7", "T(0, 2, 3), 2", "T(1, 2, 3), 0"],
    errors = [("T(4), 2", "adaptive_max_pool1d(): Expected 2D or 3D tensor, but got [4]")])]
pub fn adaptive_max_pool1d(x: &Tensor, output_size: &[i64]) -> Result<Tensor> {
    Ok(max_pool("adaptive_max_pool1d", 1, x, output_size)?.0)
}

/// As `adaptive_max_pool1d`, and the position of each maximum in its row.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.adaptive_max_pool1d.html>
#[op("(input, output_size)", nn, number, samples = ["T(2, 3, 5), 3"],
    errors = [("T(1, 4), -2", "elements of output_size must be greater than or equal to 0")])]
pub fn adaptive_max_pool1d_with_indices(x: &Tensor, output_size: &[i64]) -> Result<(Tensor, Tensor)> {
    max_pool("adaptive_max_pool1d", 1, x, output_size)
}

/// Returns maxima of `input` `[n, c, h, w]` or `[c, h, w]`, a plane of size `output_size` per channel. Windows are as for
/// `adaptive_max_pool1d`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.adaptive_max_pool2d.html>
#[op("(input, output_size)", nn, number, samples = ["T(1, 2, 4, 5), [2, 3]", "T(3, 4, 4), 1", "T(1, 1, 2, 3), [5, 2]", "T(0, 2, 3, 3), 2", "I(1, 1, 3, 3), 2"],
    errors = [("T(4), 2", "adaptive_max_pool2d(): Expected 3D or 4D tensor, but got [4]"),
        ("T(1, 0, 3, 4), 2", "Expected input to have non-zero size for non-batch dimensions, but input has sizes [1, 0, 3, 4] with dimension 1 being empty")])]
pub fn adaptive_max_pool2d(x: &Tensor, output_size: &[i64]) -> Result<Tensor> {
    Ok(max_pool("adaptive_max_pool2d", 2, x, output_size)?.0)
}

/// As `adaptive_max_pool2d`, and the row-major position of each maximum in its plane.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.adaptive_max_pool2d.html>
#[op("(input, output_size)", nn, number, samples = ["T(1, 2, 4, 5), [2, 3]"], errors = [("T(1, 4, 4), [2, 2, 2]", "output_size must be 2 sizes or one")])]
pub fn adaptive_max_pool2d_with_indices(x: &Tensor, output_size: &[i64]) -> Result<(Tensor, Tensor)> {
    max_pool("adaptive_max_pool2d", 2, x, output_size)
}

/// Returns maxima of `input` `[n, c, d, h, w]` or `[c, d, h, w]`, `output_size` of them per channel. Windows are as for
/// `adaptive_max_pool1d`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.adaptive_max_pool3d.html>
#[op("(input, output_size)", nn, number, samples = ["T(1, 2, 3, 2, 4), [2, 1, 3]", "T(1, 3, 2, 2), 1"],
    errors = [("T(4), 2", "adaptive_max_pool3d(): Expected 4D or 5D tensor, but got [4]")])]
pub fn adaptive_max_pool3d(x: &Tensor, output_size: &[i64]) -> Result<Tensor> {
    Ok(max_pool("adaptive_max_pool3d", 3, x, output_size)?.0)
}

/// As `adaptive_max_pool3d`, and the row-major position of each maximum in its plane.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.adaptive_max_pool3d.html>
#[op("(input, output_size)", nn, number, samples = ["T(1, 2, 3, 2, 4), [2, 1, 3]"], errors = [("T(1, 4, 4, 4), [2, 2]", "output_size must be 3 sizes or one")])]
pub fn adaptive_max_pool3d_with_indices(x: &Tensor, output_size: &[i64]) -> Result<(Tensor, Tensor)> {
    max_pool("adaptive_max_pool3d", 3, x, output_size)
}
