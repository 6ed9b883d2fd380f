//! Where tiles lie in the views.

use super::{SLOT, register_size, start, strided};
use crate::backend::*;
use crate::layout::collapse;
use crate::*;
use smallvec::SmallVec;

/// How the tiles of an operand lie in its buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Each tile is contiguous, and tile after tile.
    Linear,
    /// Each tile is a contiguous part of a row.
    Row,
    /// All tiles are the same elements.
    Same,
    /// None of these.
    Strided,
}

/// An input or an output.
pub(super) struct Operand {
    pub(super) start: *mut u8,
    pub(super) dtype: DType,
    pub(super) access: Access,
    strides: Strides,
}

/// The walk through all elements. Tiles are either parts of rows, or several whole rows where rows are short.
pub(super) struct Geometry {
    dims: Dims,
    /// Inputs, then outputs.
    pub(super) operands: SmallVec<[Operand; 4]>,
    pub(super) numel: usize,
    /// Elements per tile; the last of a row (or of all) may be shorter.
    pub(super) tile: usize,
    /// Tiles per row, or `None` where tiles are whole rows.
    per_row: Option<usize>,
    pub(super) tiles: usize,
}

/// The order of dimensions in which the strides of `out` fall: whatever the logical order, memory is walked forwards.
fn memory_order(out: &Layout) -> Option<Dims> {
    let key = |d: usize| out.strides[d].unsigned_abs();
    if (1..out.rank()).all(|d| key(d - 1) >= key(d)) {
        return None;
    }
    let mut order: Dims = (0..out.rank()).collect();
    order.sort_by_key(|&d| std::cmp::Reverse(key(d)));
    Some(order)
}

impl Geometry {
    pub(super) fn new(program: &Program, ins: &[View], outs: &[ViewMut]) -> Geometry {
        let views: SmallVec<[View; 4]> = ins.iter().copied().chain(outs.iter().map(|o| o.as_view())).collect();
        let shape = outs[0].shape();
        let (dims, strides) = match memory_order(outs[0].layout) {
            None => collapse(shape, &views.iter().map(|v| v.strides()).collect::<SmallVec<[&[isize]; 4]>>()),
            Some(order) => {
                let shape: Dims = order.iter().map(|&d| shape[d]).collect();
                let strides: SmallVec<[Strides; 4]> =
                    views.iter().map(|v| order.iter().map(|&d| v.strides()[d]).collect()).collect();
                collapse(&shape, &strides.iter().map(|s| s.as_slice()).collect::<SmallVec<[&[isize]; 4]>>())
            }
        };
        let inner = dims[dims.len() - 1];
        let numel: usize = dims.iter().product();
        let limit = SLOT / program.dtypes.iter().map(|&d| register_size(d)).max().unwrap_or(8);
        let (tile, per_row, tiles) = if dims.len() == 1 || inner * 2 > limit {
            // Parts of equal length, in whole vectors.
            let per_row = inner.div_ceil(limit);
            let tile = inner.div_ceil(per_row).next_multiple_of(16).min(limit);
            let per_row = inner.div_ceil(tile);
            (tile, Some(per_row), numel / inner * per_row)
        } else {
            let tile = limit / inner * inner;
            (tile, None, numel.div_ceil(tile))
        };
        let operands = views
            .iter()
            .zip(strides)
            .map(|(v, strides)| Operand { start: start(v), dtype: v.dtype, access: access(&dims, &strides, per_row), strides })
            .collect();
        Geometry { dims, operands, numel, tile, per_row, tiles }
    }

    /// Elements in tile `t`.
    pub(super) fn tile_len(&self, t: usize) -> usize {
        match self.per_row {
            Some(1) => self.dims[self.dims.len() - 1],
            Some(p) => self.tile.min(self.dims[self.dims.len() - 1] - t % p * self.tile),
            None => self.tile.min(self.numel - t * self.tile),
        }
    }

    /// Row and column at which tile `t` begins.
    fn begin(&self, t: usize) -> (usize, usize) {
        match self.per_row {
            Some(1) => (t, 0),
            Some(p) => (t / p, t % p * self.tile),
            None => (t * (self.tile / self.dims[self.dims.len() - 1]), 0),
        }
    }

    /// First element of tile `t` of operand `o`.
    pub(super) fn tile_ptr(&self, o: usize, t: usize) -> *mut u8 {
        let x = &self.operands[o];
        let (mut row, col) = self.begin(t);
        let inner = self.dims.len() - 1;
        let at = if x.access == Access::Linear {
            (row * self.dims[inner] + col) as isize
        } else {
            let mut at = col as isize * x.strides[inner];
            for d in (0..inner).rev() {
                at += (row % self.dims[d]) as isize * x.strides[d];
                row /= self.dims[d];
            }
            at
        };
        x.start.wrapping_offset(at * x.dtype.size() as isize)
    }

    /// Copies tile `t` of operand `o` to `to`.
    ///
    /// # Safety
    /// `to` is valid for `n = tile_len(t)` elements (or fewer, for a tile of the same elements).
    pub(super) unsafe fn gather(&self, o: usize, t: usize, n: usize, to: *mut u8) {
        // SAFETY: the rows lie within the view.
        unsafe { self.walk(o, t, n, strided::Move::Gather(to)) }
    }

    /// Copies `from` to tile `t` of operand `o`, unless it is there already.
    ///
    /// # Safety
    /// `from` is valid for `n` elements, and either apart from the tile or at its start.
    pub(super) unsafe fn scatter(&self, o: usize, t: usize, n: usize, from: *mut u8) {
        // SAFETY: the rows lie within the view.
        unsafe { self.walk(o, t, n, strided::Move::Scatter(from)) }
    }

    unsafe fn walk(&self, o: usize, t: usize, n: usize, mv: strided::Move) {
        let x = &self.operands[o];
        let at = self.tile_ptr(o, t);
        let size = x.dtype.size();
        let inner = self.dims.len() - 1;
        // SAFETY: `n` elements from `at` along the strides are within the view.
        unsafe {
            if matches!(x.access, Access::Linear | Access::Row) {
                strided::row(size, at, 1, n, mv);
            } else if self.per_row.is_some() {
                strided::row(size, at, x.strides[inner], n, mv);
            } else {
                strided::rows(size, at, &self.dims, &x.strides, self.begin(t).0, n, mv);
            }
        }
    }
}

fn access(dims: &[usize], strides: &[isize], per_row: Option<usize>) -> Access {
    let inner = dims.len() - 1;
    let mut expected = 1isize;
    let linear = dims.iter().zip(strides).rev().all(|(&d, &s)| {
        let fits = s == expected;
        expected *= d as isize;
        fits
    });
    if linear {
        return Access::Linear;
    }
    if per_row.is_some() && strides[inner] == 1 {
        return Access::Row;
    }
    let outer_zero = strides[..inner].iter().all(|&s| s == 0);
    // Tiles start at the same column only if they are whole rows; a splat is the same wherever it starts.
    if outer_zero && (strides[inner] == 0 || per_row.is_none()) { Access::Same } else { Access::Strided }
}
