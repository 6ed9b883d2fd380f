//! How a tensor's elements lie in memory: shape, strides, offset — and every view that changes only these.

use crate::{Error, Result};
use smallvec::SmallVec;

/// Sizes of the dimensions; up to six are stored inline.
pub type Dims = SmallVec<[usize; 6]>;
/// Steps between neighbours in each dimension, in elements. May be zero (broadcast) or negative (flip).
pub type Strides = SmallVec<[isize; 6]>;

/// Shape, strides and offset, all in elements. The offset is where index `[0, 0, …]` lies, so with negative
/// strides it is not the lowest address.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    /// Size of each dimension.
    pub shape: Dims,
    /// Step of each dimension, in elements.
    pub strides: Strides,
    /// Position of the first element, in elements from the start of the buffer.
    pub offset: usize,
}

impl Clone for Layout {
    #[inline]
    fn clone(&self) -> Layout {
        Layout { shape: copied(&self.shape), strides: copied(&self.strides), offset: self.offset }
    }
}

/// A copy of `list`. An inline list is copied as one block of memory; SmallVec's own `clone` goes element by element, which small ops
/// would feel.
#[inline]
pub fn copied<T: Copy>(list: &SmallVec<[T; 6]>) -> SmallVec<[T; 6]> {
    if list.spilled() {
        return SmallVec::from_slice(list);
    }
    // SAFETY: a list that has not spilled owns nothing but its own bytes, and its elements are `Copy`.
    unsafe { std::ptr::read(list) }
}

/// Row-major strides of `shape`. Empty dimensions count as one, as in PyTorch.
#[inline]
pub fn contiguous_strides(shape: &[usize]) -> Strides {
    let mut strides: Strides = SmallVec::from_elem(1, shape.len());
    for i in (0..shape.len().saturating_sub(1)).rev() {
        strides[i] = strides[i + 1].saturating_mul(shape[i + 1].max(1) as isize);
    }
    strides
}

/// The shape that `a` and `b` broadcast to, or `None` if they do not.
pub fn broadcast_shapes(a: &[usize], b: &[usize]) -> Option<Dims> {
    let rank = a.len().max(b.len());
    let mut out: Dims = SmallVec::from_elem(1, rank);
    for i in 0..rank {
        let x = if i + a.len() >= rank { a[i + a.len() - rank] } else { 1 };
        let y = if i + b.len() >= rank { b[i + b.len() - rank] } else { 1 };
        out[i] = match (x, y) {
            (x, y) if x == y => x,
            (1, y) => y,
            (x, 1) => x,
            _ => return None,
        };
    }
    Some(out)
}

/// Number of elements of `shape`, or `None` where the product overflows.
#[inline]
pub fn checked_numel(shape: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).filter(|&n| n <= isize::MAX as usize / 8)
}

impl Layout {
    /// Row-major, from the start of the buffer.
    #[inline]
    pub fn contiguous(shape: &[usize]) -> Layout {
        Layout { shape: SmallVec::from_slice(shape), strides: contiguous_strides(shape), offset: 0 }
    }
    /// Any shape, strides and offset; no bounds are checked here but by [`Layout::check_fits`].
    pub fn strided(shape: &[usize], strides: &[isize], offset: usize) -> Layout {
        debug_assert_eq!(shape.len(), strides.len());
        Layout { shape: SmallVec::from_slice(shape), strides: SmallVec::from_slice(strides), offset }
    }
    /// Number of dimensions.
    #[inline]
    pub fn rank(&self) -> usize {
        self.shape.len()
    }
    /// Number of elements.
    #[inline]
    pub fn numel(&self) -> usize {
        // Only a layout without elements may have sizes whose product overflows on the way to nought.
        self.shape.iter().fold(1, |n: usize, &d| n.wrapping_mul(d))
    }
    /// Row-major without gaps (dimensions of size one may have any stride; an empty layout is contiguous).
    #[inline]
    pub fn is_contiguous(&self) -> bool {
        let mut expected = 1isize;
        for (&d, &s) in self.shape.iter().zip(&self.strides).rev() {
            if d == 0 {
                return true;
            }
            if d != 1 {
                if s != expected {
                    return false;
                }
                expected *= d as isize;
            }
        }
        true
    }
    /// Whether it is [`Layout::contiguous`] of its shape, to the last stride: that of a new tensor.
    #[inline]
    pub fn is_new(&self) -> bool {
        let mut expected = 1isize;
        self.offset == 0
            && self.shape.iter().zip(&self.strides).rev().all(|(&d, &s)| {
                let fits = s == expected;
                expected = expected.saturating_mul(d.max(1) as isize);
                fits
            })
    }
    /// Lowest and one-past-highest element touched, or `None` when empty.
    pub fn span(&self) -> Option<(usize, usize)> {
        if self.numel() == 0 {
            return None;
        }
        let (mut lo, mut hi) = (self.offset as isize, self.offset as isize);
        for (&d, &s) in self.shape.iter().zip(&self.strides) {
            let reach = (d as isize - 1) * s;
            if reach < 0 { lo += reach } else { hi += reach }
        }
        debug_assert!(lo >= 0);
        Some((lo as usize, hi as usize + 1))
    }
    /// Whether every element lies within a buffer of `len` elements, computed without overflow.
    #[inline]
    pub fn check_fits(&self, len: usize) -> Result<()> {
        match self.reach() {
            Some((lo, hi)) if lo >= 0 && hi < len as isize => Ok(()),
            _ => self.check_fits_wide(len),
        }
    }
    /// Lowest and highest element touched (of a layout that is not empty), unless a machine word overflows on the way.
    #[inline]
    fn reach(&self) -> Option<(isize, isize)> {
        let start = isize::try_from(self.offset).ok()?;
        let (mut lo, mut hi) = (start, start);
        for (&d, &s) in self.shape.iter().zip(&self.strides) {
            let reach = isize::try_from(d).ok()?.checked_sub(1)?.checked_mul(s)?;
            if reach < 0 { lo = lo.checked_add(reach)? } else { hi = hi.checked_add(reach)? }
        }
        Some((lo, hi))
    }
    /// [`Layout::check_fits`] for empty and for monstrous layouts, and its error.
    #[cold]
    fn check_fits_wide(&self, len: usize) -> Result<()> {
        if self.shape.contains(&0) {
            return Ok(());
        }
        let (mut lo, mut hi) = (self.offset as i128, self.offset as i128);
        for (&d, &s) in self.shape.iter().zip(&self.strides) {
            let reach = (d as i128 - 1) * s as i128;
            if reach < 0 { lo += reach } else { hi += reach }
        }
        if lo < 0 || hi >= len as i128 {
            return Err(Error::runtime(format!(
                "setStorage: sizes {:?}, strides {:?}, storage offset {} reach elements {lo}..={hi}, which are out of bounds for storage of {len} elements",
                self.shape, self.strides, self.offset
            )));
        }
        Ok(())
    }
    /// Whether two indices may share an element. Exact for layouts made by the usual views; conservative (true) otherwise.
    pub fn may_overlap(&self) -> bool {
        if self.numel() <= 1 {
            return false;
        }
        let mut dims: SmallVec<[(usize, usize); 6]> =
            self.shape.iter().zip(&self.strides).filter(|&(&d, _)| d > 1).map(|(&d, &s)| (s.unsigned_abs(), d)).collect();
        dims.sort_unstable();
        let mut reach = 0usize;
        for (s, d) in dims {
            if s <= reach {
                return true;
            }
            reach += s * (d - 1);
        }
        false
    }
    /// Dimensions in the order `dims` (a permutation; not checked).
    pub fn permute(&self, dims: &[usize]) -> Layout {
        Layout {
            shape: dims.iter().map(|&d| self.shape[d]).collect(),
            strides: dims.iter().map(|&d| self.strides[d]).collect(),
            offset: self.offset,
        }
    }
    /// Dimensions `a` and `b` swapped.
    pub fn transpose(&self, a: usize, b: usize) -> Layout {
        let mut l = self.clone();
        l.shape.swap(a, b);
        l.strides.swap(a, b);
        l
    }
    /// `len` elements of dimension `dim` from `start` (bounds not checked).
    pub fn narrow(&self, dim: usize, start: usize, len: usize) -> Layout {
        self.slice(dim, start, 1, len)
    }
    /// `len` elements of `dim` from `start` in steps of `step` (may be negative; bounds not checked).
    pub fn slice(&self, dim: usize, start: usize, step: isize, len: usize) -> Layout {
        let mut l = self.clone();
        if len > 0 {
            l.offset = (l.offset as isize + start as isize * l.strides[dim]) as usize;
        }
        l.shape[dim] = len;
        l.strides[dim] *= step;
        l
    }
    /// Without dimension `dim`, at `index` (bounds not checked).
    pub fn select(&self, dim: usize, index: usize) -> Layout {
        let mut l = self.narrow(dim, index, 1);
        l.shape.remove(dim);
        l.strides.remove(dim);
        l
    }
    /// Dimension `dim` reversed, as a view with a negative stride.
    pub fn flip(&self, dim: usize) -> Layout {
        let n = self.shape[dim];
        self.slice(dim, n.saturating_sub(1), -1, n)
    }
    /// With a new dimension of size one before `dim`.
    pub fn unsqueeze(&self, dim: usize) -> Layout {
        let mut l = self.clone();
        let stride = if dim < self.rank() { self.strides[dim].saturating_mul(self.shape[dim].max(1) as isize) } else { 1 };
        l.shape.insert(dim, 1);
        l.strides.insert(dim, stride);
        l
    }
    /// Without dimension `dim`, which must have size one.
    pub fn squeeze(&self, dim: usize) -> Layout {
        let mut l = self.clone();
        l.shape.remove(dim);
        l.strides.remove(dim);
        l
    }
    /// Broadcast to `shape` with strides of zero, or `None` where the shapes do not fit.
    pub fn broadcast_to(&self, shape: &[usize]) -> Option<Layout> {
        let lead = shape.len().checked_sub(self.rank())?;
        let mut strides: Strides = SmallVec::from_elem(0, shape.len());
        for (i, (&d, &s)) in self.shape.iter().zip(&self.strides).enumerate() {
            if d == shape[lead + i] {
                strides[lead + i] = s;
            } else if d != 1 {
                return None;
            }
        }
        Some(Layout { shape: SmallVec::from_slice(shape), strides, offset: self.offset })
    }
    /// The same elements in the same order as `shape`, without copying; `None` where the strides do not allow it
    /// or the element counts differ. PyTorch's `computeStride`.
    pub fn view(&self, shape: &[usize]) -> Option<Layout> {
        let numel = self.numel();
        if checked_numel(shape)? != numel {
            return None;
        }
        if numel == 0 {
            let strides = if shape == self.shape.as_slice() { self.strides.clone() } else { contiguous_strides(shape) };
            return Some(Layout { shape: SmallVec::from_slice(shape), strides, offset: self.offset });
        }
        let mut strides: Strides = SmallVec::from_elem(1, shape.len());
        // Walk both shapes from the right; each maximal run of memory-adjacent old dimensions must be cut exactly by new ones.
        let mut v = shape.len();
        let mut base = self.strides.last().copied().unwrap_or(1);
        let (mut old, mut new) = (1usize, 1usize);
        for d in (0..self.rank()).rev() {
            old *= self.shape[d];
            let run_ends = d == 0 || (self.shape[d - 1] != 1 && self.strides[d - 1] != old as isize * base);
            if run_ends {
                while v > 0 && (new < old || shape[v - 1] == 1) {
                    strides[v - 1] = new as isize * base;
                    new *= shape[v - 1];
                    v -= 1;
                }
                if new != old {
                    return None;
                }
                if d > 0 {
                    base = self.strides[d - 1];
                    old = 1;
                    new = 1;
                }
            }
        }
        // A zero-dim layout has no runs: only ones can remain.
        (v == 0 || self.rank() == 0).then(|| Layout { shape: SmallVec::from_slice(shape), strides, offset: self.offset })
    }
    /// Sliding windows of `size` every `step` along `dim`, as a new last dimension (PyTorch's `unfold`; bounds not checked).
    pub fn unfold(&self, dim: usize, size: usize, step: usize) -> Layout {
        let mut l = self.clone();
        if self.rank() == 0 {
            l.shape.push(size);
            l.strides.push(1);
            return l;
        }
        l.shape[dim] = (self.shape[dim] - size) / step + 1;
        l.strides[dim] = self.strides[dim] * step as isize;
        l.shape.push(size);
        l.strides.push(self.strides[dim]);
        l
    }
    /// The diagonal `offset` above (below where negative) the main one of dimensions `a` and `b`, as a new last dimension.
    pub fn diagonal(&self, offset: isize, a: usize, b: usize) -> Layout {
        let (rows, cols) = (self.shape[a] as isize, self.shape[b] as isize);
        let len = if offset >= 0 { rows.min(cols - offset) } else { (rows + offset).min(cols) }.max(0);
        let mut start = self.offset as isize;
        if len > 0 {
            start += if offset >= 0 { offset * self.strides[b] } else { -offset * self.strides[a] };
        }
        let stride = self.strides[a] + self.strides[b];
        let keep = |i: &usize| *i != a && *i != b;
        let mut l = Layout {
            shape: (0..self.rank()).filter(keep).map(|i| self.shape[i]).collect(),
            strides: (0..self.rank()).filter(keep).map(|i| self.strides[i]).collect(),
            offset: start as usize,
        };
        l.shape.push(len as usize);
        l.strides.push(stride);
        l
    }
    /// Position in the buffer of the element with row-major number `linear`.
    pub fn position(&self, mut linear: usize) -> usize {
        let mut at = self.offset as isize;
        for (&d, &s) in self.shape.iter().zip(&self.strides).rev() {
            at += (linear % d) as isize * s;
            linear /= d;
        }
        at as usize
    }
}

/// Several layouts of one shape, with size-one dimensions dropped and dimensions that are adjacent in *all* of them merged.
/// The executor's inner loops see the longest rows there are. The order of elements (row-major) is kept.
pub fn collapse(shape: &[usize], strides: &[&[isize]]) -> (Dims, SmallVec<[Strides; 4]>) {
    let mut dims = Dims::new();
    let mut out: SmallVec<[Strides; 4]> = strides.iter().map(|_| Strides::new()).collect();
    for i in 0..shape.len() {
        if shape[i] == 1 {
            continue;
        }
        let mergeable = !dims.is_empty()
            && out
                .iter()
                .zip(strides)
                .all(|(o, s)| *o.last().expect("one stride per kept dimension") == s[i] * shape[i] as isize);
        if mergeable {
            *dims.last_mut().expect("not empty") *= shape[i];
            for (o, s) in out.iter_mut().zip(strides) {
                *o.last_mut().expect("not empty") = s[i];
            }
        } else {
            dims.push(shape[i]);
            for (o, s) in out.iter_mut().zip(strides) {
                o.push(s[i]);
            }
        }
    }
    if dims.is_empty() {
        dims.push(1);
        out.iter_mut().for_each(|o| o.push(1));
    }
    (dims, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn view_follows_compute_stride() {
        let x = Layout::contiguous(&[2, 3, 4]);
        assert_eq!(x.view(&[6, 4]).unwrap().strides.as_slice(), [4, 1]);
        assert_eq!(x.view(&[1, 24, 1]).unwrap().shape.as_slice(), [1, 24, 1]);
        let t = x.transpose(0, 2);
        assert!(t.view(&[24]).is_none());
        assert_eq!(t.view(&[4, 3, 2, 1]).unwrap().strides.as_slice(), [1, 4, 12, 12]);
        assert_eq!(x.broadcast_to(&[5, 2, 3, 4]).unwrap().view(&[5, 6, 4]).unwrap().strides.as_slice(), [0, 4, 1]);
        assert_eq!(Layout::contiguous(&[]).view(&[1, 1]).unwrap().shape.as_slice(), [1, 1]);
        assert_eq!(Layout::contiguous(&[1, 1]).view(&[]).unwrap().rank(), 0);
        assert!(Layout::contiguous(&[0, 3]).view(&[3, 0]).is_some());
        assert!(x.view(&[5, 5]).is_none());
    }

    #[test]
    fn spans_and_overlap() {
        let x = Layout::contiguous(&[3, 4]);
        assert_eq!(x.flip(0).span(), Some((0, 12)));
        assert!(x.flip(0).check_fits(12).is_ok());
        assert!(x.check_fits(11).is_err());
        assert!(!x.transpose(0, 1).may_overlap());
        assert!(Layout::contiguous(&[10]).unfold(0, 3, 1).may_overlap());
        assert!(!Layout::contiguous(&[10]).unfold(0, 3, 3).may_overlap());
        assert!(Layout::contiguous(&[1]).broadcast_to(&[4]).unwrap().may_overlap());
        assert!(Layout::strided(&[usize::MAX, 2], &[isize::MAX, 1], 0).check_fits(100).is_err());
    }

    #[test]
    fn collapse_merges_what_is_adjacent_everywhere() {
        let a = Layout::contiguous(&[2, 3, 1, 4]);
        let b = Layout::contiguous(&[3, 1, 4]).broadcast_to(&[2, 3, 1, 4]).unwrap();
        let (dims, s) = collapse(&a.shape, &[&a.strides, &b.strides]);
        assert_eq!(dims.as_slice(), [2, 12]);
        assert_eq!(s[1].as_slice(), [0, 1]);
    }

    #[test]
    fn diagonals_and_positions() {
        let x = Layout::contiguous(&[3, 4]);
        assert_eq!(x.diagonal(1, 0, 1), Layout::strided(&[3], &[5], 1));
        assert_eq!(x.diagonal(-1, 0, 1), Layout::strided(&[2], &[5], 4));
        assert_eq!(x.diagonal(9, 0, 1).numel(), 0);
        assert_eq!(x.transpose(0, 1).position(1), 4);
    }
}
