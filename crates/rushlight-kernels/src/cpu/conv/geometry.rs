//! A convolution's sizes and steps, brought to three spatial dimensions.

use crate::backend::ConvShape;
use crate::{Error, Layout, Result};

/// Sizes of a convolution; one and two spatial dimensions get leading dimensions of size one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    pub(super) n: usize,
    pub(super) groups: usize,
    /// Input and output channels of one group.
    pub(super) c: usize,
    pub(super) o: usize,
    pub(super) image: [usize; 3],
    pub(super) kernel: [usize; 3],
    pub(super) result: [usize; 3],
    pub(super) stride: [usize; 3],
    pub(super) padding: [usize; 3],
    pub(super) dilation: [usize; 3],
}

/// Steps of a five-dimensional view: batch (or output channel), channel, and three spatial dimensions.
pub(super) type Steps = [isize; 5];

impl Geometry {
    /// From the layouts of image, weight and result; also their steps.
    pub(super) fn new(x: &Layout, w: &Layout, y: &Layout, shape: &ConvShape) -> Result<(Geometry, [Steps; 3])> {
        let d = x.rank().wrapping_sub(2);
        let lists = [&shape.stride, &shape.padding, &shape.dilation];
        let groups = shape.groups;
        let fits = (1..=3).contains(&d)
            && w.rank() == d + 2
            && y.rank() == d + 2
            && lists.iter().all(|l| l.len() == d)
            && groups > 0
            && x.shape[0] == y.shape[0]
            && y.shape[1] == w.shape[0]
            && w.shape[0].is_multiple_of(groups)
            && Some(x.shape[1]) == w.shape[1].checked_mul(groups)
            && shape.stride.iter().chain(&shape.dilation).all(|&s| s > 0);
        if !fits {
            return Err(Error::runtime(format!(
                "conv: image {:?}, weight {:?} and result {:?} do not fit each other for {shape:?}",
                x.shape, w.shape, y.shape
            )));
        }
        let sizes =
            |l: &[usize], fill: usize| -> [usize; 3] { std::array::from_fn(|i| if i + d < 3 { fill } else { l[i + d - 3] }) };
        let steps = |l: &Layout| -> Steps {
            std::array::from_fn(|i| match i {
                0 | 1 => l.strides[i],
                i if i - 2 + d < 3 => 0,
                i => l.strides[i + d - 3],
            })
        };
        let g = Geometry {
            n: x.shape[0],
            groups,
            c: w.shape[1],
            o: w.shape[0] / groups,
            image: sizes(&x.shape[2..], 1),
            kernel: sizes(&w.shape[2..], 1),
            result: sizes(&y.shape[2..], 1),
            stride: sizes(&shape.stride, 1),
            padding: sizes(&shape.padding, 0),
            dilation: sizes(&shape.dilation, 1),
        };
        Ok((g, [steps(x), steps(w), steps(y)]))
    }

    /// Number of kernel positions.
    pub(super) fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Where tap `k` of output `q` reads along dimension `d`, if inside the image.
    #[cfg(test)]
    pub(super) fn source(&self, d: usize, q: usize, k: usize) -> Option<usize> {
        (q * self.stride[d] + k * self.dilation[d]).checked_sub(self.padding[d]).filter(|&i| i < self.image[d])
    }

    /// The output whose tap `k` reads `i` along dimension `d`, if there is one.
    #[cfg(test)]
    pub(super) fn reader(&self, d: usize, i: usize, k: usize) -> Option<usize> {
        let from = (i + self.padding[d]).checked_sub(k * self.dilation[d])?;
        (from % self.stride[d] == 0).then_some(from / self.stride[d]).filter(|&q| q < self.result[d])
    }
}

/// The three-dimensional index with row-major number `i`.
pub(super) fn index3(i: usize, size: [usize; 3]) -> [usize; 3] {
    [i / (size[1] * size[2]), i / size[2] % size[1], i % size[2]]
}

/// Offset of an element.
pub(super) fn at(steps: &Steps, a: usize, b: usize, i: [usize; 3]) -> isize {
    let spatial: isize = (0..3).map(|d| i[d] as isize * steps[d + 2]).sum();
    a as isize * steps[0] + b as isize * steps[1] + spatial
}
