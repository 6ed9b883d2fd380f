//! Where tiles lie in the views.

use super::{SLOT, register_size, start, strided};
use crate::backend::*;
use crate::layout::collapse;
use crate::*;
use smallvec::SmallVec;

/// How the tiles of an operand lie in its buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Each tile is contiguous: whole rows that follow each other.
    Linear,
    /// Each tile is contiguous: a part of a row.
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
    /// Bytes from a tile to the next, where they follow each other regularly.
    pub(super) step: isize,
}

/// A tile, and where it lies.
pub(super) struct Cursor {
    pub(super) tile: usize,
    /// Elements in it.
    pub(super) len: usize,
    /// So many tiles after it are as long as it is, each [`Operand::step`] further.
    pub(super) regular: usize,
    /// Its first element in each operand, and then what does not move: tiles of scratch.
    pub(super) places: SmallVec<[*mut u8; 8]>,
}

/// How elements are divided into tiles.
enum Tiling {
    /// Parts of rows, so many per row.
    Parts(usize),
    /// Several whole rows, where rows are short.
    Rows,
    /// Blocks over the last dimension and another, where an operand is dense along that one: a transposition. By rows, each of its
    /// elements would touch a cache line of its own.
    Blocks {
        /// The other dimension.
        dim: usize,
        /// Sizes of a block along it and along the last.
        sizes: [usize; 2],
        /// Numbers of blocks.
        counts: [usize; 2],
    },
}

/// One block.
struct Block {
    /// Where it begins, along the dimensions outside, the other dimension, and the last.
    outer: usize,
    begin: [usize; 2],
    /// Its sizes, cut off at the ends.
    sizes: [usize; 2],
}

/// The walk through all elements.
pub(super) struct Geometry {
    dims: Dims,
    /// Inputs, then outputs.
    pub(super) operands: SmallVec<[Operand; 4]>,
    pub(super) numel: usize,
    /// Elements per tile; the last of a row (or of all) may be shorter.
    pub(super) tile: usize,
    tiling: Tiling,
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
        let numel: usize = dims.iter().product();
        let limit = SLOT / program.dtypes.iter().map(|&d| register_size(d)).max().unwrap_or(8);
        let few = program.insts.iter().filter(|inst| !matches!(inst, Inst::Load(_) | Inst::Const(_))).count() <= 2;
        let (tile, tiling, tiles) = tiling(&dims, &strides, limit, few);
        let operands = views
            .iter()
            .zip(strides)
            .map(|(v, strides)| {
                let access = access(&dims, &strides, &tiling);
                Operand { start: start(v), dtype: v.dtype, access, strides, step: 0 }
            })
            .collect();
        let mut geometry = Geometry { dims, operands, numel, tile, tiling, tiles };
        geometry.set_steps();
        geometry
    }

    fn set_steps(&mut self) {
        let inner = self.dims.len() - 1;
        for x in &mut self.operands {
            let elements = match self.tiling {
                Tiling::Parts(1) if inner > 0 => x.strides[inner - 1],
                Tiling::Parts(_) => self.tile as isize * x.strides[inner],
                Tiling::Rows if x.access == Access::Linear => self.tile as isize,
                _ => 0,
            };
            x.step = elements * x.dtype.size() as isize;
        }
    }

    /// The first tile, with places of `scratch` behind those of the operands.
    pub(super) fn cursor(&self, scratch: impl Iterator<Item = *mut u8>) -> Cursor {
        let places = self.operands.iter().map(|x| x.start).chain(scratch).collect();
        let mut cursor = Cursor { tile: 0, len: 0, regular: 0, places };
        self.seek(&mut cursor, 0);
        cursor
    }

    /// Goes to tile `t`, which must exist.
    pub(super) fn seek(&self, cursor: &mut Cursor, t: usize) {
        cursor.tile = t;
        cursor.len = self.tile_len(t);
        // The last tile of a row, or of all, may be shorter.
        cursor.regular = match self.tiling {
            Tiling::Parts(1) => match self.dims[..self.dims.len() - 1].last() {
                Some(rows) => rows - 1 - t % rows,
                None => 0,
            },
            Tiling::Parts(p) => (p - 1 - t % p).saturating_sub(1),
            Tiling::Rows if self.operands.iter().all(|x| x.access != Access::Strided) => (self.tiles - 1 - t).saturating_sub(1),
            _ => 0,
        };
        for (o, place) in cursor.places[..self.operands.len()].iter_mut().enumerate() {
            *place = self.tile_ptr(o, t);
        }
    }

    /// Goes to the next tile, if there is one.
    #[inline]
    pub(super) fn step(&self, cursor: &mut Cursor) {
        if cursor.regular > 0 {
            cursor.tile += 1;
            cursor.regular -= 1;
            for (place, x) in cursor.places.iter_mut().zip(&self.operands) {
                *place = place.wrapping_offset(x.step);
            }
        } else if cursor.tile + 1 < self.tiles {
            self.seek(cursor, cursor.tile + 1);
        }
    }

    /// Whether each tile of operand `o` is one element.
    pub(super) fn is_number(&self, o: usize) -> bool {
        let strides = &self.operands[o].strides;
        match self.tiling {
            Tiling::Parts(_) => strides[strides.len() - 1] == 0,
            _ => strides.iter().all(|&s| s == 0),
        }
    }

    /// Makes tiles longer, where no register limits them.
    pub(super) fn enlarge(&mut self) {
        if let Tiling::Parts(parts) = self.tiling {
            let rows = self.tiles / parts;
            let (tile, parts) = self::parts(self.width(), LONG);
            (self.tile, self.tiling, self.tiles) = (tile, Tiling::Parts(parts), rows * parts);
            self.set_steps();
        }
    }

    fn width(&self) -> usize {
        self.dims[self.dims.len() - 1]
    }

    /// Elements in tile `t`.
    fn tile_len(&self, t: usize) -> usize {
        match self.tiling {
            Tiling::Parts(1) => self.width(),
            Tiling::Parts(p) => self.tile.min(self.width() - t % p * self.tile),
            Tiling::Rows => self.tile.min(self.numel - t * self.tile),
            Tiling::Blocks { dim, sizes, counts } => {
                let block = self.block(t, dim, sizes, counts);
                block.sizes[0] * block.sizes[1]
            }
        }
    }

    fn block(&self, t: usize, dim: usize, sizes: [usize; 2], counts: [usize; 2]) -> Block {
        let begin = [t / counts[1] % counts[0] * sizes[0], t % counts[1] * sizes[1]];
        let left = [self.dims[dim] - begin[0], self.width() - begin[1]];
        Block { outer: t / (counts[0] * counts[1]), begin, sizes: [sizes[0].min(left[0]), sizes[1].min(left[1])] }
    }

    /// The row in which tile `t` begins (not of blocks).
    fn row(&self, t: usize) -> usize {
        match self.tiling {
            Tiling::Parts(p) => t / p,
            _ => t * (self.tile / self.width()),
        }
    }

    /// First element of tile `t` of operand `o`.
    fn tile_ptr(&self, o: usize, t: usize) -> *mut u8 {
        let x = &self.operands[o];
        let inner = self.dims.len() - 1;
        // Along the outer dimensions except `skip`, then along the others.
        let along = |mut row: usize, skip: usize| {
            let mut at = 0;
            // Divisions are slow, and most walks have one outer dimension.
            let first = usize::from(skip == 0);
            for d in (first..inner).rev().filter(|&d| d != skip) {
                if d == first {
                    return at + row as isize * x.strides[d];
                }
                at += (row % self.dims[d]) as isize * x.strides[d];
                row /= self.dims[d];
            }
            at
        };
        let at = match self.tiling {
            Tiling::Blocks { dim, sizes, counts } => {
                let b = self.block(t, dim, sizes, counts);
                along(b.outer, dim) + b.begin[0] as isize * x.strides[dim] + b.begin[1] as isize * x.strides[inner]
            }
            Tiling::Parts(1) => along(t, inner),
            Tiling::Parts(_) if inner == 0 => (t * self.tile) as isize * x.strides[inner],
            Tiling::Parts(p) => along(t / p, inner) + (t % p * self.tile) as isize * x.strides[inner],
            Tiling::Rows if x.access == Access::Linear => (t * self.tile) as isize,
            Tiling::Rows => along(self.row(t), inner),
        };
        x.start.wrapping_offset(at * x.dtype.size() as isize)
    }

    /// Copies the tile of operand `o` to `to`.
    ///
    /// # Safety
    /// `to` is valid for a tile.
    pub(super) unsafe fn gather(&self, o: usize, at: &Cursor, to: *mut u8) {
        // SAFETY: the rows lie within the view.
        unsafe { self.walk(o, at, strided::Move::Gather(to)) }
    }

    /// Copies `from` to the tile of operand `o`, unless it is there already.
    ///
    /// # Safety
    /// `from` is valid for a tile, and either apart from operand `o`'s or at its start.
    pub(super) unsafe fn scatter(&self, o: usize, at: &Cursor, from: *mut u8) {
        // SAFETY: the rows lie within the view.
        unsafe { self.walk(o, at, strided::Move::Scatter(from)) }
    }

    unsafe fn walk(&self, o: usize, cursor: &Cursor, mv: strided::Move) {
        let x = &self.operands[o];
        let (at, n, t) = (cursor.places[o], cursor.len, cursor.tile);
        let size = x.dtype.size();
        let inner = self.dims.len() - 1;
        // SAFETY: `n` elements from `at` along the strides are within the view.
        unsafe {
            if matches!(x.access, Access::Linear | Access::Row) {
                strided::row(size, at, 1, n, mv);
                return;
            }
            match self.tiling {
                Tiling::Parts(_) => strided::row(size, at, x.strides[inner], n, mv),
                Tiling::Rows => strided::rows(size, at, &self.dims, &x.strides, self.row(t), n, mv),
                Tiling::Blocks { dim, sizes, counts } => {
                    let b = self.block(t, dim, sizes, counts);
                    strided::rows(size, at, &b.sizes, &[x.strides[dim], x.strides[inner]], 0, n, mv);
                }
            }
        }
    }
}

/// Elements of a tile that needs no scratch: a call costs little against it, and parts of a piece of work stay many.
const LONG: usize = 1 << 13;

/// Elements of a row for which calls of a few kernels cost less than a copy of the row.
const LONE: usize = 128;

/// The length of a row's parts, which is much the same, in whole vectors, and at most `limit`; and their number.
fn parts(width: usize, limit: usize) -> (usize, usize) {
    let tile = width.div_ceil(width.div_ceil(limit)).next_multiple_of(16).min(limit);
    (tile, width.div_ceil(tile))
}

/// Elements per tile, how tiles are made, and their number.
///
/// `few`: whether there are few instructions, so that a tile may be short.
fn tiling(dims: &[usize], strides: &[Strides], limit: usize, few: bool) -> (usize, Tiling, usize) {
    let inner = dims.len() - 1;
    let (width, rows) = (dims[inner], dims[..inner].iter().product::<usize>());
    // A dimension along which an operand is dense that is not along the last.
    let dense = |s: &Strides| (0..inner).find(|&d| s[d].abs() == 1 && dims[d] >= 16 && s[inner].abs() >= 16);
    if let Some(dim) = strides.iter().find_map(dense).filter(|_| width >= 16) {
        let sizes = [if limit >= 1024 { 32 } else { 16 }, 32];
        let counts = [dims[dim].div_ceil(sizes[0]), width.div_ceil(sizes[1])];
        return (sizes[0] * sizes[1], Tiling::Blocks { dim, sizes, counts }, rows / dims[dim] * counts[0] * counts[1]);
    }
    // Rows that are long enough to be tiles need no copies where they do not follow each other.
    let apart = |s: &Strides| access(dims, s, &Tiling::Rows) == Access::Strided;
    let as_they_are = || few && width >= LONE && strides.iter().all(|s| matches!(s[inner], 0 | 1)) && strides.iter().any(apart);
    if inner == 0 || width * 2 > limit || as_they_are() {
        let (tile, per_row) = parts(width, limit);
        (tile, Tiling::Parts(per_row), rows * per_row)
    } else {
        let tile = limit / width * width;
        (tile, Tiling::Rows, (rows * width).div_ceil(tile))
    }
}

fn access(dims: &[usize], strides: &[isize], tiling: &Tiling) -> Access {
    let inner = dims.len() - 1;
    let zero = |s: &[isize]| s.iter().all(|&s| s == 0);
    if zero(strides) {
        return Access::Same;
    }
    match tiling {
        Tiling::Blocks { .. } => Access::Strided,
        Tiling::Parts(_) if strides[inner] == 1 => Access::Row,
        Tiling::Parts(_) => Access::Strided,
        // Tiles of whole rows start at the first column.
        Tiling::Rows if zero(&strides[..inner]) => Access::Same,
        Tiling::Rows => {
            let mut expected = 1isize;
            let linear = dims.iter().zip(strides).rev().all(|(&d, &s)| {
                let fits = s == expected;
                expected *= d as isize;
                fits
            });
            if linear { Access::Linear } else { Access::Strided }
        }
    }
}
