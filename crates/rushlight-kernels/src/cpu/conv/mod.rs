//! Convolutions.
//!
//! All three maps are matrix products whose image side is laid out a panel at a time from wherever the image lies (`windows`, `product`),
//! for any type, layout, stride, padding, dilation and number of groups; depthwise ones skip the product (`direct`).
//!
//! For f32 there are better ways: products that read padded parts of the image (`band`) in place (`shifted`, and `outer` for weights), and
//! Winograd's algorithm for 3x3 kernels (`winograd`); their micro-kernels are in `kernel`, written once for all `wide` registers.

mod band;
mod direct;
mod geometry;
mod kernel;
#[cfg(test)]
mod naive;
mod outer;
mod product;
mod shifted;
#[cfg(test)]
mod tests;
mod wide;
mod windows;
mod winograd;

use super::matmul::not_implemented;
use crate::backend::*;
use crate::*;
use geometry::{Geometry, Steps, at};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// A view brought to five dimensions.
#[derive(Clone, Copy)]
struct Tensor<P> {
    ptr: P,
    steps: Steps,
}

// SAFETY: stands for a `View` or `ViewMut`, which may cross threads; kernels write disjoint parts.
unsafe impl<P> Send for Tensor<P> {}
// SAFETY: as above.
unsafe impl<P> Sync for Tensor<P> {}

impl<T: Copy> Tensor<*const T> {
    /// The same of another type, which this one is by another name.
    fn cast<U>(self) -> Tensor<*const U> {
        Tensor { ptr: self.ptr.cast(), steps: self.steps }
    }
    /// Where an element lies.
    fn element(&self, a: usize, b: usize, i: [usize; 3]) -> *const T {
        self.ptr.wrapping_offset(at(&self.steps, a, b, i))
    }
    /// # Safety
    /// The index lies within the view.
    unsafe fn read(&self, a: usize, b: usize, i: [usize; 3]) -> T {
        // SAFETY: the caller's promise.
        unsafe { *self.element(a, b, i) }
    }
}

impl<T: Copy> Tensor<*mut T> {
    /// As for a view that is read.
    fn cast<U>(self) -> Tensor<*mut U> {
        Tensor { ptr: self.ptr.cast(), steps: self.steps }
    }
    /// Where an element lies.
    fn element(&self, a: usize, b: usize, i: [usize; 3]) -> *mut T {
        self.ptr.wrapping_offset(at(&self.steps, a, b, i))
    }
    /// # Safety
    /// The index lies within the view, and nobody else touches the element.
    #[cfg(test)]
    unsafe fn write(&self, a: usize, b: usize, i: [usize; 3], value: T) {
        // SAFETY: the caller's promise.
        unsafe { *self.element(a, b, i) = value };
    }
}

/// Steps along the spatial dimensions.
fn spatial<P>(t: &Tensor<P>) -> [isize; 3] {
    [t.steps[2], t.steps[3], t.steps[4]]
}

static PRECISE: AtomicBool = AtomicBool::new(false);

/// Whether convolutions leave out Winograd's algorithm, whose error is a few times larger than a direct sum's. At first they do not.
pub fn set_precise(on: bool) {
    PRECISE.store(on, Relaxed);
}

/// See [`set_precise`].
pub fn precise() -> bool {
    PRECISE.load(Relaxed)
}

/// See [`Backend`].
pub fn conv(x: View, w: View, bias: Option<View>, shape: &ConvShape, out: &mut ViewMut) -> Result<()> {
    let (g, [sx, sw, sy]) = Geometry::new(x.layout, w.layout, out.layout, shape)?;
    same_dtype(out.dtype, &[x.dtype, w.dtype, bias.map_or(out.dtype, |b| b.dtype)])?;
    if let Some(b) = bias.filter(|b| b.shape() != [w.shape()[0]]) {
        return Err(Error::runtime(format!("conv: expected a bias of shape [{}], but got {:?}", w.shape()[0], b.shape())));
    }
    dispatch!(out.dtype, [U8 I8 I16 I32 I64 F16 BF16 F32 F64], T => {
        let bias = bias.map(|b| Tensor { ptr: b.ptr::<T>(), steps: [b.strides()[0], 0, 0, 0, 0] });
        let (x, w) = (Tensor { ptr: x.ptr::<T>(), steps: sx }, Tensor { ptr: w.ptr::<T>(), steps: sw });
        // SAFETY: `Geometry::new` found the shapes right; views stay within their buffers.
        unsafe { product::forward(&g, x, w, bias, Tensor { ptr: out.ptr::<T>(), steps: sy }) }
    }, else => Err(not_implemented("conv", out.dtype)))
}

/// See [`Backend`].
pub fn conv_input_grad(g: View, w: View, shape: &ConvShape, out: &mut ViewMut) -> Result<()> {
    let (geometry, [sx, sw, sy]) = Geometry::new(out.layout, w.layout, g.layout, shape)?;
    same_dtype(out.dtype, &[g.dtype, w.dtype])?;
    dispatch!(out.dtype, [U8 I8 I16 I32 I64 F16 BF16 F32 F64], T => {
        let (dy, w) = (Tensor { ptr: g.ptr::<T>(), steps: sy }, Tensor { ptr: w.ptr::<T>(), steps: sw });
        // SAFETY: as in `conv`.
        unsafe { product::input_grad(&geometry, dy, w, Tensor { ptr: out.ptr::<T>(), steps: sx }) }
    }, else => Err(not_implemented("conv_input_grad", out.dtype)))
}

/// See [`Backend`].
pub fn conv_weight_grad(g: View, x: View, shape: &ConvShape, out: &mut ViewMut) -> Result<()> {
    let (geometry, [sx, sw, sy]) = Geometry::new(x.layout, out.layout, g.layout, shape)?;
    same_dtype(out.dtype, &[g.dtype, x.dtype])?;
    dispatch!(out.dtype, [U8 I8 I16 I32 I64 F16 BF16 F32 F64], T => {
        let (dy, x) = (Tensor { ptr: g.ptr::<T>(), steps: sy }, Tensor { ptr: x.ptr::<T>(), steps: sx });
        // SAFETY: as in `conv`.
        unsafe { product::weight_grad(&geometry, dy, x, Tensor { ptr: out.ptr::<T>(), steps: sw }) }
    }, else => Err(not_implemented("conv_weight_grad", out.dtype)))
}

fn same_dtype(expected: DType, found: &[DType]) -> Result<()> {
    match found.iter().find(|&&d| d != expected) {
        Some(d) => Err(Error::runtime(format!("conv: expected all operands to be {expected}, but got {d}"))),
        None => Ok(()),
    }
}
