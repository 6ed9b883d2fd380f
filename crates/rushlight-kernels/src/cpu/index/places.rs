//! Advanced indexing: rows of a tensor at the places that several index tensors name together.

use super::*;
use smallvec::SmallVec;
use std::ops::Range;

/// Index tensors of one shape, and the dimensions that they index.
struct Indices<'a> {
    of: SmallVec<[Indexed<'a>; 2]>,
    /// Index tuples.
    len: usize,
}

struct Indexed<'a> {
    index: &'a View<'a>,
    grid: Grid<1>,
    /// Size and stride of the indexed dimension.
    size: usize,
    step: isize,
}

impl<'a> Indices<'a> {
    fn new(indices: &'a [View<'a>], shape: &[usize], strides: &[isize]) -> Self {
        let of = indices.iter().zip(shape).zip(strides).map(|((index, &size), &step)| {
            let grid = Grid::new(&index.layout.shape, [&index.layout.strides]);
            Indexed { index, grid, size, step }
        });
        Indices { of: of.collect(), len: indices.first().map_or(1, |v| v.numel()) }
    }
    /// Writes where index tuples `range`, in row-major order, point to, in elements from `x[0, …]`; whether one was outside.
    ///
    /// # Safety
    /// There is room for as many.
    unsafe fn resolve(&self, range: Range<usize>, to: *mut isize) -> Result<bool> {
        // SAFETY: the caller's, and positions of each index's layout.
        unsafe {
            if self.of.is_empty() {
                to.write_bytes(0, range.len());
            }
            let mut outside = false;
            for (dim, Indexed { index, grid, size, step }) in self.of.iter().enumerate() {
                let ([is], (size, step), mut to) = (grid.inner(), (*size, *step), to);
                with_index!(index, I => grid.runs(range.clone(), &mut |[at], n| {
                    let index = index.ptr::<I>().wrapping_offset(at);
                    outside |= match (dim, is) {
                        (0, 1) => simd::run_widest(Place::<_, true> { index, is: 1, n, size, step, to }),
                        (0, _) => simd::run(Place::<_, true> { index, is, n, size, step, to }),
                        (_, 1) => simd::run_widest(Place::<_, false> { index, is: 1, n, size, step, to }),
                        _ => simd::run(Place::<_, false> { index, is, n, size, step, to }),
                    };
                    to = to.add(n);
                }));
            }
            Ok(outside)
        }
    }
    /// Calls `f`, which answers as [`resolve`](Self::resolve) does, for parts of all index tuples, on several threads. Fails if an index was
    /// outside, naming the first.
    fn each_part(&self, grain: usize, f: impl Fn(Range<usize>) -> Result<bool> + Sync) -> Result<()> {
        let bad = AtomicBool::new(false);
        pool::for_ranges(self.len, grain, |range| {
            if !matches!(f(range), Ok(false)) {
                bad.store(true, Ordering::Relaxed);
            }
        });
        if bad.into_inner() {
            for (dim, Indexed { index, size, .. }) in self.of.iter().enumerate() {
                // SAFETY: `I` is index's type.
                with_index!(index, I => unsafe { check::<I>(index.ptr(), index.layout, *size, dim, *size)? });
            }
        }
        Ok(())
    }
    /// Where all index tuples point to.
    fn spots(&self) -> Result<Spots> {
        let spots = Spots { memory: Buffer::uninit(self.len.max(1) * size_of::<isize>())?, len: self.len };
        // SAFETY: room for all of them; tasks write disjoint places.
        self.each_part(GRAIN, |range| unsafe {
            self.resolve(range.clone(), spots.memory.as_ptr().cast::<isize>().add(range.start))
        })?;
        Ok(spots)
    }
}

/// Where each index tuple points to; from the block cache, as there may be many.
struct Spots {
    memory: Buffer,
    len: usize,
}

impl Spots {
    fn as_slice(&self) -> &[isize] {
        // SAFETY: `spots` has written all of them; blocks are aligned for any element.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr().cast(), self.len) }
    }
}

/// Sets, or raises, the `n` places at `to` by what an index says; whether one was outside.
struct Place<I, const FIRST: bool> {
    index: *const I,
    is: isize,
    n: usize,
    size: usize,
    step: isize,
    to: *mut isize,
}

impl<I: Index, const FIRST: bool> Body for Place<I, FIRST> {
    type Out = bool;
    #[inline(always)]
    fn run<S: Isa>(self) -> bool {
        let Place { index, is, n, size, step, to } = self;
        let (size, last) = (size as i64, 2 * size as i64 - 1);
        let mut outside = 0;
        for j in 0..n {
            // SAFETY: who made it has seen to it that indices may be read, and places written.
            unsafe {
                let i = index.offset(j as isize * is).read().get();
                let shifted = i.wrapping_add(size);
                outside |= shifted | last.wrapping_sub(shifted);
                let i = if i < 0 { shifted } else { i };
                let before = if FIRST { 0 } else { to.add(j).read() };
                to.add(j).write(before.wrapping_add((i as isize).wrapping_mul(step)));
            }
        }
        outside < 0
    }
}

/// The two sides of `take` and `put`: `outer` walks the index positions of the dense side, `rest` the trailing dimensions of both.
struct Rows {
    outer: Grid<1>,
    /// Strides of the indexed side, then of the dense side.
    rest: Grid<2>,
}

impl Rows {
    fn new(indexed: &Layout, dense: &Layout, indices: usize) -> Rows {
        let lead = dense.rank() + indices - indexed.rank();
        Rows {
            outer: Grid::new(&dense.shape[..lead], [&dense.strides[..lead]]),
            rest: Grid::new(&dense.shape[lead..], [&indexed.strides[indices..], &dense.strides[lead..]]),
        }
    }
    /// Calls `f(row number, row position in the dense side)` for rows `range`, in order.
    fn each(&self, range: Range<usize>, mut f: impl FnMut(usize, isize)) {
        let mut row = range.start;
        self.outer.each(range, |[at]| {
            f(row, at);
            row += 1;
        });
    }
    /// Whether index positions are better walked within the rest than around it: there are no others, or rows are scattered in memory while
    /// columns are not.
    fn by_columns(&self) -> bool {
        self.rest.len() == 1 || self.outer.is_run(0) && self.rest.inner()[1] != 1
    }
    /// Whether rows are made of lines without gaps, and are few tasks' work, and lie at even distances.
    fn are_short_lines(&self) -> bool {
        (2..=4 * GRAIN).contains(&self.rest.len()) && self.rest.inner() == [1, 1] && self.outer.is_line()
    }
}

/// See [`Backend`].
pub fn take(x: View, indices: &[View], out: &mut ViewMut) -> Result<()> {
    let from = Indices::new(indices, x.shape(), x.strides());
    let rows = Rows::new(x.layout, out.layout, indices.len());
    if from.len == 0 || rows.rest.len() == 0 {
        return from.spots().map(drop);
    }
    by_width!(x.dtype, T => {
        if same_memory(&x, out) {
            from.spots()?;
            // SAFETY: as wide as x's type.
            let copy = unsafe { to_vec::<T>(x.ptr(), x.layout) };
            let layout = Layout::contiguous(x.shape());
            let from = Indices::new(indices, &layout.shape, &layout.strides).spots()?;
            let rows = Rows::new(&layout, out.layout, indices.len());
            // SAFETY: positions were checked.
            unsafe { take_rows(copy.as_ptr(), from.as_slice(), &rows, out) };
        } else if rows.are_short_lines() && !indices.iter().any(|index| same_memory(index, out)) {
            // SAFETY: x's own layout.
            unsafe { take_lines::<T>(x.ptr(), &from, &rows, out)? };
        } else {
            // SAFETY: positions were checked.
            unsafe { take_rows::<T>(x.ptr(), from.spots()?.as_slice(), &rows, out) };
        }
    });
    Ok(())
}

/// Index tuples that are resolved at once by who copies their rows: fewer than a core does while another one comes.
const TUPLES: usize = 64;

/// Rows of lines: who checks some indices also copies what lies there, line by line.
///
/// # Safety
/// `x` is readable at every position within its layout plus `rows.rest`; `out` is as wide as `T`.
unsafe fn take_lines<T: Copy + Sync>(x: *const T, from: &Indices, rows: &Rows, out: &mut ViewMut) -> Result<()> {
    let (width, [step], size) = (rows.rest.len(), rows.outer.inner(), size_of::<T>());
    let (x, out) = (Ptr(x), &*out);
    from.each_part((GRAIN / 2 / width).max(1), |range| {
        let mut spots = [0; TUPLES];
        for first in range.clone().step_by(TUPLES) {
            let n = TUPLES.min(range.end - first);
            // SAFETY: room for so many; rows are copied once their positions have been checked; tasks write rows of their own.
            unsafe {
                if from.resolve(first..first + n, spots.as_mut_ptr())? {
                    return Ok(true);
                }
                let (x, out, spots) = (x.get(), out.ptr::<T>().wrapping_offset(first as isize * step), spots.as_ptr());
                rows.rest.runs(0..width, &mut |[xa, oa], wide| {
                    let (x, out) = (x.wrapping_offset(xa), out.wrapping_offset(oa));
                    moves::rows(wide * size, n, move |i| {
                        (x.wrapping_offset(*spots.add(i)).cast::<u8>(), out.wrapping_offset(i as isize * step).cast::<u8>())
                    });
                });
            }
        }
        Ok(false)
    })
}

/// # Safety
/// `x` is readable at every position of `from` plus `rows.rest`; `out` is as wide as `T`.
unsafe fn take_rows<T: Copy + Sync>(x: *const T, from: &[isize], rows: &Rows, out: &mut ViewMut) {
    let width = rows.rest.len();
    let [xs, os] = rows.rest.inner();
    let (x, out) = (Ptr(x), &*out);
    if rows.by_columns() {
        let [is] = rows.outer.inner();
        // Positions `row…` of the column that begins at `xa` and `oa`.
        let column = |row: usize, [xa, oa]: [isize; 2], n: usize| {
            // SAFETY: `from` was checked, the rest follows both layouts; tasks write disjoint parts of `out`.
            unsafe {
                let (x, out) = (x.get().offset(xa), out.ptr::<T>().offset(oa));
                let from = &from[row..row + n];
                if is == 1 { pick(x, from, out, 1) } else { pick(x, from, out, is) }
            }
        };
        if width == 1 {
            pool::for_ranges(from.len(), GRAIN / 4, |range| {
                let mut row = range.start;
                rows.outer.runs(range, &mut |[at], n| {
                    column(row, [0, at], n);
                    row += n;
                });
            });
        } else {
            pool::for_ranges(width, GRAIN / 4 / from.len(), |range| {
                rows.rest.each(range, |at| column(0, at, from.len()));
            });
        }
        return;
    }
    let grain = (GRAIN / width).max(1);
    // Long rows are split too: a task is a block of rows or a piece of one.
    let pieces = width.div_ceil(GRAIN);
    pool::for_ranges(from.len() * pieces, grain, |range| {
        let columns = |piece: usize| piece * GRAIN..((piece + 1) * GRAIN).min(width);
        let (first, piece) = (range.start / pieces, range.start % pieces);
        let block = if pieces == 1 { range } else { first..first + 1 };
        rows.each(block, |row, at| {
            rows.rest.runs(columns(piece), &mut |[xa, oa], n| {
                // SAFETY: `from[row]` was checked, the rest follows both layouts; tasks write disjoint parts of `out`.
                unsafe {
                    let src = x.get().offset(from[row] + xa);
                    let dst = out.ptr::<T>().offset(at + oa);
                    if xs == 1 && os == 1 { dst.copy_from_nonoverlapping(src, n) } else { spread(src, xs, dst, os, n) }
                }
            });
        });
    });
}

/// `out[j * step] = x[from[j]]`.
#[inline(always)]
unsafe fn pick<T: Copy>(x: *const T, from: &[isize], out: *mut T, step: isize) {
    for (j, &i) in from.iter().enumerate() {
        // SAFETY: the caller's.
        unsafe { out.offset(j as isize * step).write(x.offset(i).read()) }
    }
}

#[inline(always)]
unsafe fn spread<T: Copy>(x: *const T, xs: isize, out: *mut T, os: isize, n: usize) {
    for j in 0..n as isize {
        // SAFETY: the caller's.
        unsafe { out.offset(j * os).write(x.offset(j * xs).read()) }
    }
}

/// See [`Backend`].
pub fn put(op: ScatterOp, indices: &[View], src: View, out: &mut ViewMut) -> Result<()> {
    let to = Indices::new(indices, out.shape(), out.strides()).spots()?;
    let to = to.as_slice();
    join_by_op!(op, out.dtype, T, join => {
        if same_memory(&src, out) {
            // SAFETY: `T` is as wide as src's type.
            let copy = unsafe { to_vec::<T>(src.ptr(), src.layout) };
            let layout = Layout::contiguous(src.shape());
            let rows = Rows::new(out.layout, &layout, indices.len());
            // SAFETY: positions were checked.
            unsafe { put_rows(copy.as_ptr(), to, &rows, out, join) };
        } else {
            let rows = Rows::new(out.layout, src.layout, indices.len());
            // SAFETY: positions were checked.
            unsafe { put_rows(src.ptr::<T>(), to, &rows, out, join) };
        }
    });
    Ok(())
}

/// Columns of the trailing dimensions that one task of `put` owns.
const PUT_COLUMNS: usize = 128;

/// Tasks own column ranges and go through the rows in order, so repeated rows join in the order of the index.
///
/// # Safety
/// `out` holds `T`s and is writable at every position of `to` plus `rows.rest`; `src` is readable under its layout.
unsafe fn put_rows<T: Copy + Sync>(
    src: *const T,
    to: &[isize],
    rows: &Rows,
    out: &mut ViewMut,
    join: impl Fn(T, T) -> T + Sync + Copy,
) {
    let width = rows.rest.len();
    if to.is_empty() || width == 0 {
        return;
    }
    let [os, ss] = rows.rest.inner();
    let (src, out) = (Ptr(src), &*out);
    if rows.by_columns() {
        let [is] = rows.outer.inner();
        let column = |row: usize, [oa, sa]: [isize; 2], n: usize| {
            // SAFETY: `to` was checked, the rest follows both layouts; tasks own disjoint columns of `out`.
            unsafe { drop_off(src.get().offset(sa), is, &to[row..row + n], out.ptr::<T>().offset(oa), join) }
        };
        if width == 1 {
            let mut row = 0;
            rows.outer.runs(0..to.len(), &mut |[at], n| {
                column(row, [0, at], n);
                row += n;
            });
        } else {
            pool::for_ranges(width, GRAIN / 4 / to.len(), |range| {
                rows.rest.each(range, |at| {
                    let mut row = 0;
                    rows.outer.runs(0..to.len(), &mut |[sa], n| {
                        column(row, [at[0], at[1] + sa], n);
                        row += n;
                    });
                });
            });
        }
        return;
    }
    // Narrow work is not worth a second pass over the rows.
    let columns = if to.len() * width <= GRAIN { width } else { PUT_COLUMNS.max(GRAIN / to.len()) };
    pool::for_ranges(width, columns, |range| {
        rows.each(0..to.len(), |row, at| {
            rows.rest.runs(range.clone(), &mut |[oa, sa], n| {
                // SAFETY: `to[row]` was checked, the rest follows both layouts; tasks own disjoint columns of `out`.
                unsafe {
                    let from = src.get().offset(at + sa);
                    let dst = out.ptr::<T>().offset(to[row] + oa);
                    if os == 1 && ss == 1 {
                        let (dst, from) = (std::slice::from_raw_parts_mut(dst, n), std::slice::from_raw_parts(from, n));
                        dst.iter_mut().zip(from).for_each(|(d, s)| *d = join(*d, *s));
                    } else {
                        merge(from, ss, dst, os, n, join);
                    }
                }
            });
        });
    });
}

/// Joins `src[j * step]` into `out[to[j]]`, in order.
#[inline(always)]
unsafe fn drop_off<T: Copy>(src: *const T, step: isize, to: &[isize], out: *mut T, join: impl Fn(T, T) -> T) {
    for (j, &i) in to.iter().enumerate() {
        // SAFETY: the caller's.
        unsafe {
            let at = out.offset(i);
            at.write(join(at.read(), src.offset(j as isize * step).read()));
        }
    }
}

#[inline(always)]
unsafe fn merge<T: Copy>(src: *const T, ss: isize, out: *mut T, os: isize, n: usize, join: impl Fn(T, T) -> T) {
    for j in 0..n as isize {
        // SAFETY: the caller's.
        unsafe {
            let at = out.offset(j * os);
            at.write(join(at.read(), src.offset(j * ss).read()));
        }
    }
}
