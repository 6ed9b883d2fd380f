//! Pooling: the maximum or mean of windows, or of as many windows as wanted.

use super::builder::builder;
use super::forward::inside;
use super::{Forward, Module, Sizes, Visitor};
use crate::{Result, Tensor, ops};

/// A layer over `N` spatial dimensions without parameters: its names, its module, its function.
macro_rules! pooling {
    ($name:ident ($one:ident $two:ident $three:ident) |$layer:ident, $x:ident| $apply:expr) => {
        #[doc = concat!("[`", stringify!($name), "`] over one dimension.")]
        pub type $one = $name<1>;
        #[doc = concat!("[`", stringify!($name), "`] over two dimensions.")]
        pub type $two = $name<2>;
        #[doc = concat!("[`", stringify!($name), "`] over three dimensions.")]
        pub type $three = $name<3>;

        impl<const N: usize> Module for $name<N> {
            fn visit<'a>(&'a self, _: &mut Visitor<'_, 'a>) {}
            fn type_name(&self) -> &'static str {
                const { [stringify!($one), stringify!($two), stringify!($three)][N - 1] }
            }
        }

        impl<const N: usize> Forward for $name<N> {
            fn forward(&self, $x: &Tensor) -> Result<Tensor> {
                let $layer = self;
                inside(self, $apply)
            }
        }
    };
}

/// The maximum of each window of each channel: `[n, c, sizes…]` or `[c, sizes…]`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool2d.html>
#[derive(Clone, Debug)]
pub struct MaxPool<const N: usize>(MaxPoolBuilder<N>);

builder! {
    /// Settings of [`MaxPool`].
    MaxPoolBuilder<const N> for MaxPool<N> {
        kernel_size => Sizes<N>;
        /// Steps between neighbouring windows; where none is given, windows lie side by side.
        stride => Stride<N> = None,
        /// How much is added at both ends of each dimension; it is never the maximum.
        padding => Sizes<N> = 0,
        /// Steps between neighbouring elements of a window.
        dilation => Sizes<N> = 1,
        /// Let the last window hang over the end.
        ceil_mode: bool = false,
    }
}

/// Steps between neighbouring windows, or the windows' own sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stride<const N: usize>(Option<Sizes<N>>);

impl<const N: usize> From<Option<Sizes<N>>> for Stride<N> {
    fn from(sizes: Option<Sizes<N>>) -> Stride<N> {
        Stride(sizes)
    }
}

impl<const N: usize> From<usize> for Stride<N> {
    fn from(size: usize) -> Stride<N> {
        Stride(Some(size.into()))
    }
}

impl<const N: usize> From<[usize; N]> for Stride<N> {
    fn from(sizes: [usize; N]) -> Stride<N> {
        Stride(Some(sizes.into()))
    }
}

impl<const N: usize> Stride<N> {
    fn ints(&self) -> Option<[i64; N]> {
        self.0.map(|s| s.ints())
    }
}

impl<const N: usize> MaxPool<N> {
    fn make(o: MaxPoolBuilder<N>) -> Result<MaxPool<N>> {
        Ok(MaxPool(o))
    }
}

pooling!(MaxPool (MaxPool1d MaxPool2d MaxPool3d) |layer, x| {
    let o = &layer.0;
    let f = [ops::max_pool1d, ops::max_pool2d, ops::max_pool3d][N - 1];
    let stride = o.stride.ints();
    f(x, &o.kernel_size.ints(), stride.as_ref().map(|s| &s[..]), &o.padding.ints(), &o.dilation.ints(), o.ceil_mode)
});

/// The mean of each window of each channel: `[n, c, sizes…]` or `[c, sizes…]`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.AvgPool2d.html>
#[derive(Clone, Debug)]
pub struct AvgPool<const N: usize>(AvgPoolBuilder<N>);

builder! {
    /// Settings of [`AvgPool`].
    AvgPoolBuilder<const N> for AvgPool<N> {
        kernel_size => Sizes<N>;
        /// Steps between neighbouring windows; where none is given, windows lie side by side.
        stride => Stride<N> = None,
        /// How many zeros are added at both ends of each dimension.
        padding => Sizes<N> = 0,
        /// Let the last window hang over the end.
        ceil_mode: bool = false,
        /// Count the zeros that were added.
        count_include_pad: bool = true,
    }
}

impl<const N: usize> AvgPool<N> {
    fn make(o: AvgPoolBuilder<N>) -> Result<AvgPool<N>> {
        Ok(AvgPool(o))
    }
}

pooling!(AvgPool (AvgPool1d AvgPool2d AvgPool3d) |layer, x| {
    let o = &layer.0;
    let (kernel, stride, padding) = (&o.kernel_size.ints(), o.stride.ints(), &o.padding.ints());
    let stride = stride.as_ref().map(|s| &s[..]);
    match N {
        1 => ops::avg_pool1d(x, kernel, stride, padding, o.ceil_mode, o.count_include_pad),
        2 => ops::avg_pool2d(x, kernel, stride, padding, o.ceil_mode, o.count_include_pad, None),
        _ => ops::avg_pool3d(x, kernel, stride, padding, o.ceil_mode, o.count_include_pad, None),
    }
});

/// The means of as many windows of each channel as wanted: `[n, c, sizes…]` or `[c, sizes…]` to `[n, c, output_size…]`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool2d.html>
#[derive(Clone, Copy, Debug)]
pub struct AdaptiveAvgPool<const N: usize>(Sizes<N>);

impl<const N: usize> AdaptiveAvgPool<N> {
    /// `output_size` windows along each dimension.
    pub fn new(output_size: impl Into<Sizes<N>>) -> Self {
        AdaptiveAvgPool(output_size.into())
    }
}

pooling!(AdaptiveAvgPool (AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d) |layer, x| {
    [ops::adaptive_avg_pool1d, ops::adaptive_avg_pool2d, ops::adaptive_avg_pool3d][N - 1](x, &layer.0.ints())
});

/// The maxima of as many windows of each channel as wanted: `[n, c, sizes…]` or `[c, sizes…]` to `[n, c, output_size…]`.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveMaxPool2d.html>
#[derive(Clone, Copy, Debug)]
pub struct AdaptiveMaxPool<const N: usize>(Sizes<N>);

impl<const N: usize> AdaptiveMaxPool<N> {
    /// `output_size` windows along each dimension.
    pub fn new(output_size: impl Into<Sizes<N>>) -> Self {
        AdaptiveMaxPool(output_size.into())
    }
}

pooling!(AdaptiveMaxPool (AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d) |layer, x| {
    [ops::adaptive_max_pool1d, ops::adaptive_max_pool2d, ops::adaptive_max_pool3d][N - 1](x, &layer.0.ints())
});
