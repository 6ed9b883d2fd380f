//! Where the window lies along one spatial dimension.

use crate::backend::PoolShape;
use crate::*;
use std::ops::Range;

/// One spatial dimension: sizes, and the window over it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub(super) input: usize,
    pub(super) output: usize,
    pub(super) window: Window,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Window {
    /// Output `o` sees `o * stride + k * dilation - padding` for `k < kernel`.
    Regular { kernel: usize, stride: usize, padding: usize, dilation: usize },
    /// Output `o` sees `[floor(o * input / output), ceil((o + 1) * input / output))`.
    Adaptive,
}

/// Axes of a regular window, with sizes of one in front.
pub(super) fn regular(input: &[usize], output: &[usize], shape: &PoolShape) -> Result<[Axis; 3]> {
    let PoolShape { kernel, stride, padding, dilation } = shape;
    if [kernel, stride, padding, dilation].iter().any(|list| list.len() != input.len()) {
        return Err(Error::runtime(format!("pooling: {shape:?} does not have one entry per spatial dimension of {input:?}")));
    }
    if stride.contains(&0) || dilation.contains(&0) {
        return Err(Error::runtime(format!("pooling: stride and dilation should be greater than zero, but got {shape:?}")));
    }
    axes(input, output, |i| Window::Regular { kernel: kernel[i], stride: stride[i], padding: padding[i], dilation: dilation[i] })
}

/// Axes of adaptive windows, with sizes of one in front. Windows that share an axis out evenly are regular ones.
pub(super) fn adaptive(input: &[usize], output: &[usize]) -> Result<[Axis; 3]> {
    axes(input, output, |i| match input[i].checked_div(output[i]) {
        Some(kernel) if kernel * output[i] == input[i] && kernel > 0 => {
            Window::Regular { kernel, stride: kernel, padding: 0, dilation: 1 }
        }
        _ => Window::Adaptive,
    })
}

fn axes(input: &[usize], output: &[usize], window: impl Fn(usize) -> Window) -> Result<[Axis; 3]> {
    if !(1..=3).contains(&input.len()) || input.len() != output.len() {
        return Err(Error::runtime(format!("pooling: expected 1 to 3 spatial dimensions, but got {input:?} -> {output:?}")));
    }
    let one = Axis { input: 1, output: 1, window: Window::Regular { kernel: 1, stride: 1, padding: 0, dilation: 1 } };
    let mut axes = [one; 3];
    for i in 0..input.len() {
        axes[3 - input.len() + i] = Axis { input: input[i], output: output[i], window: window(i) };
    }
    Ok(axes)
}

/// `[d, h, w]` of the inputs and of the outputs.
pub(super) fn sizes(axes: &[Axis; 3]) -> ([usize; 3], [usize; 3]) {
    (axes.map(|a| a.input), axes.map(|a| a.output))
}

impl Axis {
    /// Most taps that one output sees.
    pub(super) fn width(&self) -> usize {
        match self.window {
            Window::Regular { kernel, .. } => kernel,
            Window::Adaptive => self.input.div_ceil(self.output.max(1)) + 1,
        }
    }

    /// The length of every window, if all lie within the input as a whole.
    pub(super) fn whole(&self) -> Option<usize> {
        match self.window {
            Window::Regular { kernel, stride, padding: 0, .. }
                if self.output.saturating_sub(1) * stride + kernel <= self.input =>
            {
                Some(kernel)
            }
            _ => None,
        }
    }

    /// The length of every window, if they follow each other from the start of the input, and none overlaps another or the end.
    pub(super) fn side_by_side(&self) -> Option<usize> {
        match self.window {
            Window::Regular { kernel, stride, .. } if self.output == 1 || self.output > 1 && kernel == stride => {
                self.whole().filter(|&n| n > 0)
            }
            _ => None,
        }
    }

    /// The taps of a regular window at output `o` that lie within the input.
    pub(super) fn taps(&self, o: usize) -> Range<usize> {
        let Window::Regular { kernel, stride, padding, dilation } = self.window else {
            unreachable!("adaptive windows have spans")
        };
        let start = o * stride;
        let first = padding.saturating_sub(start).div_ceil(dilation);
        let end = (self.input + padding).saturating_sub(start).div_ceil(dilation).min(kernel);
        first.min(end)..end
    }

    /// The input position of tap `k` at output `o`, which must be one of [`Axis::taps`].
    pub(super) fn position(&self, o: usize, k: usize) -> usize {
        let Window::Regular { stride, padding, dilation, .. } = self.window else { unreachable!("adaptive windows have spans") };
        o * stride + k * dilation - padding
    }

    /// The outputs for which tap `k` of a regular window lies within the input, the input position at the first, and the step.
    pub(super) fn outputs(&self, k: usize) -> (Range<usize>, usize, usize) {
        let Window::Regular { stride, padding, dilation, .. } = self.window else { unreachable!("adaptive windows have spans") };
        let tap = k * dilation;
        let first = padding.saturating_sub(tap).div_ceil(stride);
        let end = (self.input + padding).saturating_sub(tap).div_ceil(stride).min(self.output);
        if first >= end { (0..0, 0, stride) } else { (first..end, first * stride + tap - padding, stride) }
    }

    /// The part of the input that output `o` sees (dilation is one). Both ends grow with `o`.
    pub(super) fn span(&self, o: usize) -> Range<usize> {
        match self.window {
            Window::Regular { kernel, stride, padding, .. } => {
                let clip = |i: usize| i.saturating_sub(padding).min(self.input);
                clip(o * stride)..clip(o * stride + kernel)
            }
            Window::Adaptive => {
                let at = |o: usize| (o as u128 * self.input as u128, self.output as u128);
                let ((lo, m), (hi, _)) = (at(o), at(o + 1));
                (lo / m) as usize..hi.div_ceil(m) as usize
            }
        }
    }

    /// Length of the window at `o`, padding included, but not what lies beyond the padding (`ceil_mode`).
    pub(super) fn padded_len(&self, o: usize) -> usize {
        match self.window {
            Window::Regular { kernel, stride, padding, .. } => {
                (o * stride + kernel).min(self.input + 2 * padding).saturating_sub(o * stride)
            }
            Window::Adaptive => self.span(o).len(),
        }
    }

    /// The outputs that see input `i`.
    pub(super) fn covering(&self, i: usize) -> Range<usize> {
        let first_where = |past: &dyn Fn(Range<usize>) -> bool| {
            let (mut lo, mut hi) = (0, self.output);
            while lo < hi {
                let mid = lo.midpoint(hi);
                if past(self.span(mid)) { hi = mid } else { lo = mid + 1 }
            }
            lo
        };
        let first = first_where(&|span| span.end > i);
        first..first_where(&|span| span.start > i).max(first)
    }
}
