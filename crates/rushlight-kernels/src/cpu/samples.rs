//! Test tensors: every dtype, in every kind of layout.

use crate::backend::{View, ViewMut};
use crate::{Buffer, DType, Element, Layout, dispatch};

/// A buffer, a layout that fits it, and a dtype.
pub(crate) struct Sample {
    buffer: Buffer,
    pub(crate) layout: Layout,
    pub(crate) dtype: DType,
}

impl Sample {
    /// Elements with the values `f(row-major number)`, converted to `dtype`. (A broadcast element keeps the last.)
    pub(crate) fn new(dtype: DType, layout: Layout, mut f: impl FnMut(usize) -> f64) -> Sample {
        let len = layout.span().map_or(0, |(_, end)| end);
        let sample = Sample { buffer: Buffer::zeroed(len * dtype.size()).unwrap(), layout, dtype };
        for i in 0..sample.layout.numel() {
            // SAFETY: a position of the layout, which fits the buffer.
            dispatch!(dtype, T => unsafe {
                sample.buffer.as_ptr().cast::<T>().add(sample.layout.position(i)).write(T::from_f64(f(i)));
            });
        }
        sample
    }
    pub(crate) fn zeros(dtype: DType, layout: Layout) -> Sample {
        Sample::new(dtype, layout, |_| 0.0)
    }
    pub(crate) fn of(dtype: DType, shape: &[usize], values: &[f64]) -> Sample {
        assert_eq!(values.len(), Layout::contiguous(shape).numel());
        Sample::new(dtype, Layout::contiguous(shape), |i| values[i])
    }
    pub(crate) fn view(&self) -> View<'_> {
        // SAFETY: nobody writes while a test reads, but the kernel under test.
        unsafe { View::new(&self.buffer, &self.layout, self.dtype).unwrap() }
    }
    pub(crate) fn view_mut(&self) -> ViewMut<'_> {
        // SAFETY: a test makes one mutable view at a time.
        unsafe { ViewMut::new(&self.buffer, &self.layout, self.dtype).unwrap() }
    }
    /// The elements in row-major order.
    pub(crate) fn values(&self) -> Vec<f64> {
        let at = |i| self.layout.position(i);
        // SAFETY: positions of the layout, which fits the buffer.
        dispatch!(self.dtype, T => {
            (0..self.layout.numel()).map(|i| unsafe { self.buffer.as_ptr().cast::<T>().add(at(i)).read() }.to_f64()).collect()
        })
    }
    /// A contiguous copy.
    pub(crate) fn contiguous(&self) -> Sample {
        Sample::of(self.dtype, &self.layout.shape, &self.values())
    }
}

/// Layouts of `shape`: contiguous, column-major, flipped, stepped from an offset; none of them overlaps itself.
pub(crate) fn layouts(shape: &[usize]) -> Vec<Layout> {
    let rank = shape.len();
    let reversed: Vec<usize> = (0..rank).rev().collect();
    let backwards: Vec<usize> = shape.iter().rev().copied().collect();
    let wide: Vec<usize> = shape.iter().map(|d| 2 * d).collect();
    let mut stepped = Layout::contiguous(&wide);
    stepped.offset = 3;
    let mut flipped = Layout::contiguous(shape);
    for d in 0..rank {
        flipped = flipped.flip(d);
        stepped = stepped.slice(d, 0, 2, shape[d]);
    }
    vec![Layout::contiguous(shape), Layout::contiguous(&backwards).permute(&reversed), flipped, stepped]
}

/// The layouts of [`layouts`] and, for inputs only, one that is broadcast along the first dimension.
pub(crate) fn input_layouts(shape: &[usize]) -> Vec<Layout> {
    let mut all = layouts(shape);
    if shape.first().is_some_and(|&d| d > 1) {
        all.extend(Layout::contiguous(&shape[1..]).broadcast_to(shape));
    }
    all
}

/// Small numbers in no order, exact in every dtype but bool, with ties; unsigned types see none below zero.
pub(crate) fn scrambled(dtype: DType, i: usize) -> f64 {
    let v = (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    if dtype == DType::Bool {
        v.is_multiple_of(3) as u8 as f64
    } else if dtype.is_signed() {
        (v % 23) as f64 - 11.0
    } else {
        (v % 23) as f64
    }
}

/// Equal, or both NaN.
pub(crate) fn same(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a == b || (a.is_nan() && b.is_nan()))
}
