//! Rows of strided views, loaded into and stored from contiguous scratch in the type that arithmetic is done in.

use super::pool;
use super::walk::Grid;
use crate::backend::View;
use crate::*;
use half::slice::HalfFloatSliceExt;

/// An element and the type it computes in: f32 for f16 and bf16, itself otherwise.
pub(super) trait Compute: Element {
    /// The compute type.
    type Wide: Element;
    /// Exact.
    fn widen(self) -> Self::Wide;
    /// Rounded to nearest even.
    fn narrow(x: Self::Wide) -> Self;
    /// [`widen`](Compute::widen) for a whole row.
    #[inline]
    fn widen_row(from: &[Self], to: &mut [Self::Wide]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = from.widen();
        }
    }
    /// [`narrow`](Compute::narrow) for a whole row.
    #[inline]
    fn narrow_row(from: &[Self::Wide], to: &mut [Self]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = Self::narrow(*from);
        }
    }
}

macro_rules! computes_as_itself {
    ($($t:ty)*) => {$(
        impl Compute for $t {
            type Wide = $t;
            #[inline(always)]
            fn widen(self) -> $t {
                self
            }
            #[inline(always)]
            fn narrow(x: $t) -> $t {
                x
            }
        }
    )*};
}
computes_as_itself!(u8 i8 i16 i32 i64 f32 f64);

macro_rules! computes_as_f32 {
    ($($t:ty)*) => {$(
        impl Compute for $t {
            type Wide = f32;
            #[inline(always)]
            fn widen(self) -> f32 {
                self.to_f32()
            }
            #[inline(always)]
            fn narrow(x: f32) -> $t {
                <$t>::from_f32(x)
            }
            // The slice conversions look for the hardware's instructions once per row, not once per element.
            #[inline]
            fn widen_row(from: &[$t], to: &mut [f32]) {
                from.convert_to_f32_slice(to)
            }
            #[inline]
            fn narrow_row(from: &[f32], to: &mut [$t]) {
                to.convert_from_f32_slice(from)
            }
        }
    )*};
}
computes_as_f32!(f16 bf16);

/// Reads `to.len()` elements that lie `stride` apart.
///
/// # Safety
/// All of them may be read.
#[inline]
pub(super) unsafe fn load<T: Compute>(from: *const T, stride: isize, to: &mut [T::Wide]) {
    // SAFETY: the caller's.
    unsafe {
        if stride == 1 {
            return T::widen_row(std::slice::from_raw_parts(from, to.len()), to);
        }
        if stride == 0 && !to.is_empty() {
            return to.fill((*from).widen());
        }
        for (i, to) in to.iter_mut().enumerate() {
            *to = (*from.offset(i as isize * stride)).widen();
        }
    }
}

/// Writes `from` to elements that lie `stride` apart.
///
/// # Safety
/// All of them may be written, by this thread only.
#[inline]
pub(super) unsafe fn store<T: Compute>(from: &[T::Wide], to: *mut T, stride: isize) {
    // SAFETY: the caller's.
    unsafe {
        if stride == 1 {
            return T::narrow_row(from, std::slice::from_raw_parts_mut(to, from.len()));
        }
        for (i, from) in from.iter().enumerate() {
            *to.offset(i as isize * stride) = T::narrow(*from);
        }
    }
}

/// A pointer that the chunks of a parallel region share.
#[derive(Clone, Copy)]
pub(super) struct Shared<T>(*mut T);

// SAFETY: each chunk reaches only elements of its own, which is argued where `get` is called.
unsafe impl<T> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    pub(super) fn new(ptr: *mut T) -> Self {
        Shared(ptr)
    }
    pub(super) fn get(&self) -> *mut T {
        self.0
    }
}

/// A view's elements in row-major order and in the compute type: the view itself where it is that already, else a copy.
pub(super) enum Dense<'a, W> {
    Borrowed(&'a [W]),
    Copied(Buffer, usize),
}

impl<'a, W: Element> Dense<'a, W> {
    pub(super) fn of<T: Compute<Wide = W>>(x: View<'a>) -> Result<Dense<'a, W>> {
        if let Some(slice) = x.as_slice::<W>() {
            return Ok(Dense::Borrowed(slice));
        }
        let n = x.numel();
        let copy = Buffer::uninit(n.saturating_mul(size_of::<W>()))?;
        let grid = Grid::new(x.shape(), [x.strides()]);
        let ([step], from, to) = (grid.inner(), Shared::new(x.ptr::<T>().cast_mut()), Shared::new(copy.as_ptr().cast::<W>()));
        pool::for_ranges(n, 8192, |range| {
            let mut done = range.start;
            grid.runs(range, &mut |[at], len| {
                // SAFETY: elements of the view, and places of the copy that belong to this chunk.
                unsafe { load(from.get().offset(at), step, std::slice::from_raw_parts_mut(to.get().add(done), len)) };
                done += len;
            });
        });
        Ok(Dense::Copied(copy, n))
    }
}

impl<W> std::ops::Deref for Dense<'_, W> {
    type Target = [W];
    fn deref(&self) -> &[W] {
        match self {
            Dense::Borrowed(slice) => slice,
            // SAFETY: `of` has written all `n` elements.
            Dense::Copied(buffer, n) => unsafe { std::slice::from_raw_parts(buffer.as_ptr().cast(), *n) },
        }
    }
}

#[cfg(test)]
pub(super) mod testing;
