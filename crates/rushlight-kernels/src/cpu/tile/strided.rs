//! Moving elements between strided views and contiguous tiles. Only the size of an element matters.

use crate::cpu::moves;
use crate::cpu::simd::{self, Body, Isa};
use crate::*;
use smallvec::SmallVec;
use std::mem::MaybeUninit;

/// Direction, and the contiguous side.
#[derive(Clone, Copy)]
pub(super) enum Move {
    /// From the view to this tile.
    Gather(*mut u8),
    /// From this tile to the view.
    Scatter(*mut u8),
}

macro_rules! by_size {
    ($size:expr, $T:ident => $body:expr) => {
        match $size {
            1 => {
                type $T = u8;
                $body
            }
            2 => {
                type $T = u16;
                $body
            }
            4 => {
                type $T = u32;
                $body
            }
            _ => {
                type $T = u64;
                $body
            }
        }
    };
}

/// Moves `n` elements of `size` bytes that lie `stride` apart from `at` on.
///
/// # Safety
/// Those elements, and `n` of the tile, are valid; the two are apart, or the same place.
pub(super) unsafe fn row(size: usize, at: *mut u8, stride: isize, n: usize, mv: Move) {
    // SAFETY: the caller's.
    unsafe {
        match mv {
            Move::Gather(to) | Move::Scatter(to) if stride == 1 => {
                let (from, to) = if matches!(mv, Move::Gather(_)) { (at, to) } else { (to, at) };
                if from != to {
                    std::ptr::copy_nonoverlapping(from, to, n * size);
                }
            }
            Move::Gather(to) => by_size!(size, T => gather(at.cast::<T>(), stride, n, to.cast())),
            Move::Scatter(from) => by_size!(size, T => scatter(from.cast::<T>(), stride, n, at.cast())),
        }
    }
}

/// Moves `n` elements from row number `row` on, over whole rows.
///
/// # Safety
/// As for [`row`], with the layout that `dims` and `strides` describe; `at` is that row's first element.
pub(super) unsafe fn rows(size: usize, at: *mut u8, dims: &[usize], strides: &[isize], row: usize, n: usize, mv: Move) {
    // SAFETY: the caller's.
    unsafe { by_size!(size, T => rows_of::<T>(at.cast(), dims, strides, row, n, mv)) }
}

unsafe fn gather<T: Copy + Send + Sync>(from: *const T, stride: isize, n: usize, to: *mut T) {
    // SAFETY: the caller's.
    unsafe {
        match stride {
            0 => fill(*from, to, n),
            1 => std::ptr::copy_nonoverlapping(from, to, n),
            _ => moves::run(from, stride, std::slice::from_raw_parts_mut(to.cast(), n)),
        }
    }
}

unsafe fn scatter<T: Copy>(from: *const T, stride: isize, n: usize, to: *mut T) {
    // SAFETY: the caller's.
    unsafe {
        if stride == 1 {
            return std::ptr::copy_nonoverlapping(from, to, n);
        }
        for i in 0..n {
            *to.offset(i as isize * stride) = *from.add(i);
        }
    }
}

unsafe fn fill<T: Copy>(x: T, to: *mut T, n: usize) {
    // SAFETY: the caller's.
    simd::run_widest(Fill { x, to: unsafe { std::slice::from_raw_parts_mut(to.cast::<MaybeUninit<T>>(), n) } })
}

struct Fill<'a, T> {
    x: T,
    to: &'a mut [MaybeUninit<T>],
}

impl<T: Copy> Body for Fill<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        for to in self.to {
            *to = MaybeUninit::new(self.x);
        }
    }
}

/// The first element of each row, `width` times.
struct Spread<T> {
    from: *const T,
    step: isize,
    to: *mut T,
    width: usize,
    rows: usize,
}

impl<T: Copy> Body for Spread<T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        let Spread { from, step, mut to, width, rows } = self;
        for row in 0..rows as isize {
            // SAFETY: `rows_of`'s: as many rows of both.
            unsafe {
                let x = from.offset(row * step).read();
                if width >= SPLAT {
                    // By whole vectors, the last of which overlaps the one before.
                    (0..width - SPLAT).step_by(SPLAT).for_each(|j| to.add(j).cast::<[T; SPLAT]>().write_unaligned([x; SPLAT]));
                    to.add(width - SPLAT).cast::<[T; SPLAT]>().write_unaligned([x; SPLAT]);
                } else {
                    (0..width).for_each(|j| to.add(j).write(x));
                }
                to = to.add(width);
            }
        }
    }
}

/// Elements that are written at once.
const SPLAT: usize = 16;

/// Short rows: a walk like an odometer's.
unsafe fn rows_of<T: Copy + Send + Sync>(mut at: *mut T, dims: &[usize], strides: &[isize], mut row: usize, n: usize, mv: Move) {
    let outer = dims.len() - 1;
    let (width, step) = (dims[outer], strides[outer]);
    if let (&[high, wide], &[1, across]) = (dims, strides)
        && (row, n) == (0, high * wide)
    {
        // SAFETY: the caller's: a block, which is dense along its other dimension.
        return unsafe {
            match mv {
                Move::Gather(to) => simd::transpose(at.cast_const(), across, to.cast::<T>(), wide as isize, wide, high),
                Move::Scatter(from) => simd::transpose(from.cast::<T>().cast_const(), wide as isize, at, across, high, wide),
            }
        };
    }
    let mut index: SmallVec<[usize; 6]> = SmallVec::from_elem(0, outer);
    for d in (0..outer).rev() {
        index[d] = row % dims[d];
        row /= dims[d];
    }
    let (mut done, last) = (0, outer - 1);
    while done < n {
        let count = (dims[last] - index[last]).min((n - done) / width);
        // SAFETY: the caller's.
        let moved = unsafe {
            if count > 1 && several(at, step, strides[last], mv, done, width, count) {
                count
            } else {
                let len = width.min(n - done);
                match mv {
                    Move::Gather(to) => gather(at, step, len, to.cast::<T>().add(done)),
                    Move::Scatter(from) => scatter(from.cast::<T>().add(done), step, len, at),
                }
                1
            }
        };
        done += moved * width;
        index[last] += moved;
        at = at.wrapping_offset(moved as isize * strides[last]);
        for d in (0..outer).rev() {
            if index[d] < dims[d] {
                break;
            }
            at = at.wrapping_offset(-strides[d] * dims[d] as isize);
            index[d] = 0;
            if d > 0 {
                index[d - 1] += 1;
                at = at.wrapping_offset(strides[d - 1]);
            }
        }
    }
}

/// Moves rows that are `next` apart, from element `done` of the tile on, if they are dense or of one element each; else false.
unsafe fn several<T: Copy>(at: *mut T, step: isize, next: isize, mv: Move, done: usize, width: usize, rows: usize) -> bool {
    let (bytes, wide) = (width * size_of::<T>(), width as isize);
    // SAFETY: the caller's.
    unsafe {
        let ((from, from_next), (to, to_next)) = match mv {
            Move::Gather(to) => {
                let to = to.cast::<T>().add(done);
                if step == 0 {
                    simd::run_widest(Spread { from: at, step: next, to, width, rows });
                    return true;
                }
                ((at, next), (to, wide))
            }
            Move::Scatter(from) => ((from.cast::<T>().add(done), wide), (at, next)),
        };
        if step != 1 || bytes > moves::SHORT {
            return false;
        }
        moves::rows(bytes, rows, move |i| {
            let i = i as isize;
            (from.wrapping_offset(i * from_next).cast_const().cast(), to.wrapping_offset(i * to_next).cast())
        });
        true
    }
}

/// Fills a register of `dtype` with `value`.
///
/// # Safety
/// `to` is valid for `n` elements.
pub(super) unsafe fn splat_scalar(value: Scalar, dtype: DType, to: *mut u8, n: usize) {
    unsafe fn fill<T: Copy>(x: T, to: *mut u8, n: usize) {
        // SAFETY: the caller's.
        unsafe { self::fill(x, to.cast(), n) }
    }
    // SAFETY: the caller's.
    unsafe {
        match dtype {
            DType::F16 => fill(value.to::<f16>().to_f32(), to, n),
            DType::BF16 => fill(value.to::<bf16>().to_f32(), to, n),
            _ => dispatch!(dtype, T => fill(value.to::<T>(), to, n)),
        }
    }
}

/// Whether an integer register holds a zero.
///
/// # Safety
/// `at` is valid for `n` elements of `dtype`.
pub(super) unsafe fn any_zero(dtype: DType, at: *const u8, n: usize) -> bool {
    // Without early exit, so that it vectorises.
    by_size!(dtype.size(), T => {
        // SAFETY: the caller's.
        let x = unsafe { std::slice::from_raw_parts(at.cast::<T>(), n) };
        x.iter().fold(false, |zero, &x| zero | (x == 0))
    })
}
