//! Masks: which elements are not zero, and those elements in a row.
//!
//! Two passes over the mask: [`tally`] counts, so that the caller can allocate what it needs, and the second pass knows where each block's
//! share begins. Both see the mask as words of 64 bits, so that stretches of one kind cost next to nothing.

use super::*;
use smallvec::SmallVec;

/// Elements of a mask that make one word.
const WORD: usize = 64;

/// Bit `j` tells whether element `j` of `n` (at most a word) is not zero.
///
/// # Safety
/// The elements may be read.
#[inline(always)]
unsafe fn word<T: Element>(x: *const T, step: isize, n: usize) -> u64 {
    let mut truth = [0u8; WORD];
    // SAFETY: the caller's.
    unsafe {
        if step == 1 && n == WORD {
            for (j, t) in truth.iter_mut().enumerate() {
                *t = x.add(j).read().is_true() as u8;
            }
        } else {
            for (j, t) in truth[..n].iter_mut().enumerate() {
                *t = x.offset(j as isize * step).read().is_true() as u8;
            }
        }
    }
    // Each byte's lowest bit moves to the top byte, next to those of its neighbours.
    let byte = |k: usize| {
        let eight = u64::from_le_bytes(std::array::from_fn(|j| truth[8 * k + j]));
        eight.wrapping_mul(0x0102_0408_1020_4080) >> 56 << (8 * k)
    };
    (0..WORD / 8).map(byte).fold(0, |w, b| w | b)
}

/// Calls `f(positions in the layouts of the word's first element, its number, the word)` for the elements of block number `block`.
fn words<T: Element, const N: usize>(grid: &Grid<N>, mask: Ptr<T>, block: usize, mut f: impl FnMut([isize; N], usize, u64)) {
    let mut number = block * GRAIN;
    let inner = grid.inner();
    let end = (number + GRAIN).min(grid.len());
    grid.runs(number..end, &mut |at, n| {
        for j in (0..n).step_by(WORD) {
            let at: [isize; N] = std::array::from_fn(|k| at[k] + j as isize * inner[k]);
            let len = (n - j).min(WORD);
            // SAFETY: the first layout is the mask's.
            let bits = unsafe {
                let first = mask.get().offset(at[0]);
                if inner[0] == 1 { word(first, 1, len) } else { word(first, inner[0], len) }
            };
            f(at, number + j, bits);
        }
        number += n;
    });
}

/// See [`Backend`].
pub fn tally(x: View) -> Result<Vec<usize>> {
    let grid = Grid::new(x.shape(), [x.strides()]);
    let mut counts = vec![0usize; grid.len().div_ceil(GRAIN)];
    let to = Shared(counts.as_mut_ptr());
    dispatch!(x.dtype, T => {
        let mask = Ptr(x.ptr::<T>());
        pool::run(grid.len().div_ceil(GRAIN), |block| {
            let mut n = 0;
            words(&grid, mask, block, |_, _, bits| n += bits.count_ones() as usize);
            // SAFETY: a block of its own.
            unsafe { to.at(block).write(n) };
        });
    });
    Ok(counts)
}

/// A pointer through which tasks write elements of their own.
struct Shared<T>(*mut T);
// SAFETY: as above.
unsafe impl<T> Sync for Shared<T> {}
impl<T> Shared<T> {
    fn at(&self, i: usize) -> *mut T {
        self.0.wrapping_add(i)
    }
}

/// Where each block's share begins.
fn starts(tally: &[usize]) -> Vec<usize> {
    let mut at = 0;
    tally.iter().map(|n| (at, at += n).0).collect()
}

#[cold]
fn changed() -> Error {
    Error::runtime("a mask was written to while it was in use")
}

/// Runs `f(block, first, count)` for the blocks of the mask; it says whether it found as many elements as were counted.
fn by_block(tally: &[usize], f: impl Fn(usize, usize, usize) -> bool + Sync) -> Result<()> {
    let (starts, torn) = (starts(tally), AtomicBool::new(false));
    pool::run(tally.len(), |b| {
        if !f(b, starts[b], tally[b]) {
            torn.store(true, Ordering::Relaxed);
        }
    });
    if torn.into_inner() { Err(changed()) } else { Ok(()) }
}

/// See [`Backend`].
pub fn nonzero(x: View, tally: &[usize], out: &mut ViewMut) -> Result<()> {
    let grid = Grid::new(x.shape(), [x.strides()]);
    let total: usize = tally.iter().sum();
    let shape: SmallVec<[usize; 6]> = if out.shape().len() == 1 { SmallVec::from_slice(&[x.numel()]) } else { x.shape().into() };
    let to = Shared(out.as_mut_slice::<i64>().filter(|o| o.len() == total * shape.len()).ok_or_else(changed)?.as_mut_ptr());
    dispatch!(x.dtype, T => {
        let mask = Ptr(x.ptr::<T>());
        by_block(tally, |block, first, count| {
            let mut place = Place::new(&shape);
            let (mut at, end) = (first, first + count);
            words(&grid, mask, block, |_, number, mut bits| {
                if at + bits.count_ones() as usize > end {
                    bits = 0;
                    at = usize::MAX / 2;
                }
                while bits != 0 {
                    // SAFETY: within the block's share, which was just checked.
                    unsafe { place.write((number + bits.trailing_zeros() as usize) as i64, to.at(at), total) };
                    bits &= bits - 1;
                    at += 1;
                }
            });
            at == end
        })
    })
}

/// From row-major numbers, in rising order, to positions: all but the last coordinate change only from row to row.
struct Place<'a> {
    shape: &'a [usize],
    /// Numbers of the present row.
    row: std::ops::Range<i64>,
    /// Its coordinates.
    lead: SmallVec<[i64; 6]>,
}

impl<'a> Place<'a> {
    fn new(shape: &'a [usize]) -> Place<'a> {
        Place { shape, row: 0..0, lead: SmallVec::from_elem(0, shape.len() - 1) }
    }
    /// Writes the coordinates of `number`, `step` apart.
    ///
    /// # Safety
    /// The places may be written.
    #[inline(always)]
    unsafe fn write(&mut self, number: i64, to: *mut i64, step: usize) {
        if number >= self.row.end {
            self.turn(number);
        }
        // SAFETY: the caller's.
        unsafe {
            for (d, &c) in self.lead.iter().enumerate() {
                to.add(d * step).write(c);
            }
            to.add(self.lead.len() * step).write(number - self.row.start);
        }
    }
    #[inline(never)]
    fn turn(&mut self, number: i64) {
        let (&width, lead) = self.shape.split_last().expect("there is a last dimension");
        let mut rest = number / width as i64;
        self.row = rest * width as i64..(rest + 1) * width as i64;
        for (d, &size) in lead.iter().enumerate().rev() {
            self.lead[d] = rest % size as i64;
            rest /= size as i64;
        }
    }
}

/// See [`Backend`].
pub fn compress(x: View, mask: View, tally: &[usize], out: &mut ViewMut) -> Result<()> {
    let grid = Grid::new(mask.shape(), [mask.strides(), x.strides()]);
    let [_, step] = grid.inner();
    let total: usize = tally.iter().sum();
    if out.numel() != total || !out.layout.is_contiguous() || mask.dtype != DType::Bool {
        return Err(changed());
    }
    by_width!(x.dtype, T => {
        let (x, mask, to) = (Ptr(x.ptr::<T>()), Ptr(mask.ptr::<bool>()), Shared(out.ptr::<T>()));
        by_block(tally, |block, first, count| {
            let (mut at, end) = (first, first + count);
            words(&grid, mask, block, |[_, xa], _, bits| {
                let n = bits.count_ones() as usize;
                if at + n > end {
                    at = usize::MAX / 2;
                } else {
                    // SAFETY: a word's elements of x; within the block's share, which was just checked.
                    unsafe {
                        let x = x.get().offset(xa);
                        if step == 1 { squeeze(x, 1, bits, to.at(at)) } else { squeeze(x, step, bits, to.at(at)) }
                    }
                    at += n;
                }
            });
            at == end
        })
    })
}

/// The elements whose bits are set, one after the other.
///
/// # Safety
/// They may be read, and as many places written.
#[inline(always)]
unsafe fn squeeze<T: Copy>(x: *const T, step: isize, mut bits: u64, mut to: *mut T) {
    // SAFETY: the caller's.
    unsafe {
        if bits == u64::MAX && step == 1 {
            return to.copy_from_nonoverlapping(x, WORD);
        }
        while bits != 0 {
            to.write(x.offset(bits.trailing_zeros() as isize * step).read());
            to = to.add(1);
            bits &= bits - 1;
        }
    }
}
