//! Copies of strided views into contiguous memory, without a stop in between: runs are copied as they are, and a transposition is made
//! of blocks in registers.

mod weave;

use super::pool;
use super::simd::{self, Body, Isa};
use super::walk::{Grid, by_width};
use crate::backend::*;
use crate::layout::{collapse, contiguous_strides};
use smallvec::SmallVec;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Elements of one task: some 10 µs.
const TASK: usize = 1 << 16;
/// Side of the blocks that tasks of a transposition are made of: a few lines of the cache from each row.
const SIDE: usize = 64;
/// Elements of a column that are woven in one go.
const BAND: usize = 1 << 10;

/// Copies `x` to a contiguous view `out` of its shape and dtype, which it does not overlap.
pub(crate) fn copy(x: &View, out: &ViewMut) {
    let (dims, strides) = collapse(x.shape(), &[x.strides()]);
    let strides = &strides[0];
    let inner = dims.len() - 1;
    let few = 2..=weave::MOST;
    let dense = (0..inner).find(|&d| strides[d] == 1 && dims[d] > weave::MOST);
    let woven = (0..inner).find(|&d| strides[d] == 1 && few.contains(&dims[d]) && strides[inner] == dims[d] as isize);
    let far = strides[inner].unsigned_abs() > weave::MOST;
    by_width!(x.dtype, T => {
        let sides = Sides { from: x.ptr::<T>(), to: out.ptr::<T>() };
        match (dense, woven) {
            (Some(dim), _) if dims[inner] > weave::MOST && far => transposed(&sides, &dims, strides, dim),
            (Some(dim), _) if few.contains(&dims[inner]) && strides[inner] != 1 => wove(&sides, &dims, strides, dim),
            (_, Some(dim)) if dims[inner] > weave::MOST => unwove(&sides, &dims, strides, dim),
            _ => runs(&sides, &dims, strides),
        }
    })
}

/// Memory of which tasks read anything and write parts of their own.
struct Sides<T> {
    from: *const T,
    to: *mut T,
}
// SAFETY: tasks write disjoint parts.
unsafe impl<T: Send + Sync> Sync for Sides<T> {}
impl<T> Sides<T> {
    fn from(&self, at: isize) -> *const T {
        self.from.wrapping_offset(at)
    }
    fn to(&self, at: usize) -> *mut T {
        self.to.wrapping_add(at)
    }
}

fn runs<T: Copy + Send + Sync>(sides: &Sides<T>, dims: &[usize], strides: &[isize]) {
    let last = dims.len() - 1;
    let (width, bytes) = (dims[last], dims[last] * size_of::<T>());
    if last > 0 && strides[last].abs() == 1 && bytes <= SHORT {
        let grid = Grid::new(&dims[..last], [&strides[..last]]);
        let [step] = grid.inner();
        pool::for_ranges(grid.len(), (TASK / width).max(1), |range| {
            let mut done = range.start;
            grid.runs(range, &mut |[at], n| {
                let (from, to) = (sides.from(at), sides.to(done * width));
                let place = move |i: usize| (from.wrapping_offset(i as isize * step), to.wrapping_add(i * width));
                // SAFETY: rows of x, and of out from number `done` on, which are this task's.
                unsafe {
                    if strides[last] == 1 {
                        rows(bytes, n, move |i| {
                            let (from, to) = place(i);
                            (from.cast::<u8>(), to.cast::<u8>())
                        });
                    } else {
                        reversed_rows(width, n, move |i| {
                            let (last, to) = place(i);
                            (last.wrapping_sub(width - 1), to)
                        });
                    }
                }
                done += n;
            });
        });
        return;
    }
    let grid = Grid::new(dims, [strides]);
    let [step] = grid.inner();
    pool::for_ranges(grid.len(), TASK, |range| {
        let mut done = range.start;
        grid.runs(range, &mut |[at], n| {
            // SAFETY: elements of x, and as many places of out from number `done` on, which are this task's.
            unsafe {
                let to = std::slice::from_raw_parts_mut(sides.to(done).cast::<MaybeUninit<T>>(), n);
                run(sides.from(at), step, to);
            }
            done += n;
        });
    });
}

/// Copies elements that lie `step` apart.
///
/// # Safety
/// They are valid, and apart from `to`.
pub(super) unsafe fn run<T: Copy + Send + Sync>(from: *const T, step: isize, to: &mut [MaybeUninit<T>]) {
    // SAFETY: the caller's.
    unsafe {
        match step {
            1 => std::ptr::copy_nonoverlapping(from, to.as_mut_ptr().cast(), to.len()),
            -1 => {
                let (len, to) = (to.len(), to.as_mut_ptr().cast());
                reversed_rows(len, 1, move |_| (from.wrapping_sub(len - 1), to));
            }
            0 => to.fill(MaybeUninit::new(*from)),
            _ => to.iter_mut().enumerate().for_each(|(i, to)| _ = to.write(*from.offset(i as isize * step))),
        }
    }
}

/// Rows up to this many bytes are copied without calling `memcpy`, which costs as much as a short row.
pub(super) const SHORT: usize = 1 << 13;
/// How many bytes ahead of what is copied, rows are asked for, a row at least: hardware does not foresee them.
const AHEAD: usize = 1 << 11;

/// Copies `n` rows of `bytes` bytes each: `place` tells where from and where to. It had better own what it needs: what it only refers to is
/// read again for each row.
///
/// # Safety
/// They may be read and written, and the two sides are apart.
#[inline]
pub(super) unsafe fn rows(bytes: usize, n: usize, place: impl Fn(usize) -> (*const u8, *mut u8)) {
    simd::run_widest(Rows { bytes, n, place });
}

struct Rows<P> {
    bytes: usize,
    n: usize,
    place: P,
}

impl<P: Fn(usize) -> (*const u8, *mut u8)> Body for Rows<P> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        // SAFETY: `rows`' contract; no block is longer than a row.
        unsafe {
            match self.bytes {
                0 => {}
                1 => self.blocks::<1>(),
                2..4 => self.blocks::<2>(),
                4..8 => self.blocks::<4>(),
                8..16 => self.blocks::<8>(),
                16..32 => self.blocks::<16>(),
                32..64 => self.blocks::<32>(),
                // Several registers at a time: a step less for each line, of which a copy within the shared cache takes about five cycles.
                256..=SHORT if self.bytes.is_multiple_of(256) => self.blocks::<256>(),
                64..=SHORT => self.blocks::<64>(),
                bytes => (0..self.n).map(self.place).for_each(|(from, to)| to.copy_from_nonoverlapping(from, bytes)),
            }
        }
    }
}

impl<P: Fn(usize) -> (*const u8, *mut u8)> Rows<P> {
    /// Rows as blocks of `N` bytes, the last of which overlaps the one before it.
    ///
    /// # Safety
    /// As [`rows`], and `bytes >= N`.
    #[inline(always)]
    unsafe fn blocks<const N: usize>(self) {
        let Rows { bytes, n, place } = self;
        let ahead = (AHEAD / bytes).max(1);
        for i in 0..n {
            let (from, to) = place(i);
            let (next, _) = place((i + ahead).min(n - 1));
            let copy = |at: usize| {
                // SAFETY: a block of the row.
                unsafe {
                    (0..N).step_by(64).for_each(|line| simd::prefetch(next.add(at + line)));
                    to.add(at).cast::<[u8; N]>().write_unaligned(from.add(at).cast::<[u8; N]>().read_unaligned())
                }
            };
            let mut at = 0;
            while at + N < bytes {
                copy(at);
                at += N;
            }
            copy(bytes - N);
        }
    }
}

/// As [`rows`], of `len` elements each, the last of which becomes the first.
///
/// # Safety
/// As there.
#[inline]
unsafe fn reversed_rows<T: Copy>(len: usize, n: usize, place: impl Fn(usize) -> (*const T, *mut T)) {
    simd::run_widest(Reversed { len, n, place });
}

struct Reversed<P> {
    len: usize,
    n: usize,
    place: P,
}

impl<T: Copy, P: Fn(usize) -> (*const T, *mut T)> Body for Reversed<P> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        // SAFETY: `reversed_rows`' contract; no block is longer than a row.
        unsafe {
            match (self.len, size_of::<T>()) {
                (0, _) => {}
                (64.., 1) => self.blocks::<64>(),
                (32.., 1..=2) => self.blocks::<32>(),
                (16.., 1..=4) => self.blocks::<16>(),
                (8.., _) => self.blocks::<8>(),
                (4.., _) => self.blocks::<4>(),
                (2.., _) => self.blocks::<2>(),
                _ => self.blocks::<1>(),
            }
        }
    }
}

impl<T: Copy, P: Fn(usize) -> (*const T, *mut T)> Reversed<P> {
    /// Rows as blocks of `N` elements, the last of which overlaps the one before it. The compiler makes one shuffle of a block.
    ///
    /// # Safety
    /// As [`reversed_rows`], and `len >= N`.
    #[inline(always)]
    unsafe fn blocks<const N: usize>(self) {
        let Reversed { len, n, place } = self;
        for i in 0..n {
            let (from, to) = place(i);
            let (next, _) = place((i + 1).min(n - 1));
            let copy = |at: usize| {
                let at_end = len - N - at;
                // SAFETY: a block of the row.
                unsafe {
                    simd::prefetch(next.add(at_end).cast());
                    let block = from.add(at_end).cast::<[T; N]>().read_unaligned();
                    to.add(at).cast::<[T; N]>().write_unaligned(std::array::from_fn(|i| block[N - 1 - i]));
                }
            };
            (0..len - N).step_by(N).for_each(copy);
            copy(len - N);
        }
    }
}

/// x is dense along `dim`, out along the last dimension.
fn transposed<T: Copy + Send + Sync>(sides: &Sides<T>, dims: &[usize], strides: &[isize], dim: usize) {
    let inner = dims.len() - 1;
    bands(dims, strides, [dim, inner], SIDE, |at, place, step, high| {
        for column in (0..dims[inner]).step_by(SIDE) {
            let from = sides.from(at + column as isize * strides[inner]);
            // SAFETY: a block of x, and of out, which no other task writes.
            unsafe { simd::transpose(from, strides[inner], sides.to(place + column), step, SIDE.min(dims[inner] - column), high) }
        }
    });
}

/// As [`transposed`], where the last dimension is short.
fn wove<T: Copy + Send + Sync>(sides: &Sides<T>, dims: &[usize], strides: &[isize], dim: usize) {
    let inner = dims.len() - 1;
    bands(dims, strides, [dim, inner], BAND, |at, place, row, n| {
        // SAFETY: as there.
        unsafe { weave::weave(sides.from(at), strides[inner], dims[inner], sides.to(place), row, n) }
    });
}

/// x is dense along a short dimension, `dim`, and then along the last one.
fn unwove<T: Copy + Send + Sync>(sides: &Sides<T>, dims: &[usize], strides: &[isize], dim: usize) {
    let (inner, step) = (dims.len() - 1, contiguous_strides(dims)[dim]);
    bands(dims, strides, [inner, dim], BAND, |at, place, _, n| {
        // SAFETY: as there.
        unsafe { weave::unweave(sides.from(at), dims[dim], sides.to(place), step, n) }
    });
}

/// Calls `f(position in x, position in out, stride in out, n)` for bands of at most `most` elements of dimension `along`, and each index of the
/// others but `whole`.
fn bands(
    dims: &[usize],
    strides: &[isize],
    [along, whole]: [usize; 2],
    most: usize,
    f: impl Fn(isize, usize, isize, usize) + Sync,
) {
    let places = contiguous_strides(dims);
    let count = dims[along].div_ceil(most);
    // Indices of one band follow each other, as they write to the same lines of the cache.
    let mut order: SmallVec<[usize; 6]> = (0..dims.len()).filter(|&d| d != along && d != whole).collect();
    order.insert(order.len().saturating_sub(1), along);
    let sizes: SmallVec<[usize; 6]> = order.iter().map(|&d| if d == along { count } else { dims[d] }).collect();
    pool::for_ranges(sizes.iter().product(), TASK / (most.min(dims[along]) * dims[whole]), |tasks: Range<usize>| {
        for task in tasks {
            let (mut rest, mut at, mut place, mut n) = (task, 0, 0, 0);
            for (&d, &size) in order.iter().zip(&sizes).rev() {
                let mut i = rest % size;
                rest /= size;
                if d == along {
                    i *= most;
                    n = most.min(dims[along] - i);
                }
                (at, place) = (at + i as isize * strides[d], place + i as isize * places[d]);
            }
            f(at, place as usize, places[along], n);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, Layout};

    #[test]
    fn every_kind_of_view_is_copied() {
        let views: Vec<Layout> = vec![
            Layout::contiguous(&[5]),
            Layout::contiguous(&[40, 70]).transpose(0, 1),
            Layout::contiguous(&[3, 100, 65]).transpose(1, 2),
            Layout::contiguous(&[2, 9, 17, 11]).permute(&[0, 2, 3, 1]),
            Layout::contiguous(&[2, 9, 17, 11]).permute(&[3, 0, 2, 1]),
            Layout::contiguous(&[4, 6, 5, 32]).permute(&[0, 2, 1, 3]),
            Layout::contiguous(&[33, 47]).flip(1),
            Layout::contiguous(&[300]).flip(0),
            Layout::contiguous(&[2, 3, 21, 19]).permute(&[0, 2, 3, 1]),
            Layout::contiguous(&[2, 40, 4]).transpose(1, 2),
            Layout::contiguous(&[3, 2, 17]).permute(&[2, 1, 0]),
            Layout::contiguous(&[5, 60]).transpose(0, 1),
            Layout::contiguous(&[60, 6]).transpose(0, 1),
            Layout::contiguous(&[2, 2000, 3]).permute(&[0, 2, 1]),
            Layout::contiguous(&[50, 1]).broadcast_to(&[50, 2]).unwrap(),
            Layout::contiguous(&[3, 70]).flip(0).transpose(0, 1),
            Layout::contiguous(&[3, 9000]).flip(1),
            Layout::contiguous(&[7, 70]).flip(0).flip(1),
            Layout::contiguous(&[9, 5]).flip(1),
            Layout::contiguous(&[9, 3, 20]).narrow(2, 1, 2).flip(2),
            Layout::contiguous(&[33, 47]).flip(0).transpose(0, 1),
            Layout::contiguous(&[60, 40]).slice(1, 3, 2, 15),
            Layout::contiguous(&[1, 20]).broadcast_to(&[30, 20]).unwrap(),
            Layout::contiguous(&[20, 1]).broadcast_to(&[20, 30]).unwrap(),
            Layout::contiguous(&[300, 400]).transpose(0, 1),
            Layout::contiguous(&[5, 4, 3, 100]).permute(&[2, 0, 1, 3]).narrow(3, 1, 97),
            Layout::contiguous(&[9, 40, 7]).flip(0).narrow(2, 2, 3),
            Layout::contiguous(&[30, 3000]).narrow(1, 7, 2500),
        ];
        fn check<T: Copy + PartialEq + std::fmt::Debug + crate::Element>(layout: &Layout, dtype: DType, of: impl Fn(usize) -> T) {
            let source: Vec<T> = (0..200_000).map(&of).collect();
            let mut to = vec![of(0); layout.numel()];
            let out = Layout::contiguous(&layout.shape);
            let bytes = |n: usize| crate::Buffer::uninit(n * size_of::<T>()).unwrap();
            let (a, b) = (bytes(source.len()), bytes(to.len().max(1)));
            // SAFETY: buffers of these sizes, which nobody else uses.
            unsafe {
                std::ptr::copy_nonoverlapping(source.as_ptr(), a.as_ptr().cast(), source.len());
                copy(&View::new(&a, layout, dtype).unwrap(), &ViewMut::new(&b, &out, dtype).unwrap());
                std::ptr::copy_nonoverlapping(b.as_ptr().cast(), to.as_mut_ptr(), to.len());
            }
            let want: Vec<T> = (0..layout.numel()).map(|i| source[layout.position(i)]).collect();
            assert_eq!(to, want, "{layout:?} {dtype}");
        }
        for layout in &views {
            check(layout, DType::U8, |i| (i * 7) as u8);
            check(layout, DType::I16, |i| i as i16);
            check(layout, DType::F32, |i| i as f32);
            check(layout, DType::I64, |i| i as i64);
        }
    }
}
