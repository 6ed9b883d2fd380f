//! Reductions.
//!
//! Lives here: the split of a view into groups ([`Groups`]), the two orders in which groups are folded — along rows (`rows.rs`, `run.rs`)
//! when the last dimension is reduced, down columns (`columns.rs`, `few.rs`, `narrow.rs`, `strips.rs`) otherwise — and the positions of extremes (`arg.rs`).
//! Must not live here: scans, norms and other fused row kernels.
//!
//! The order of combination depends on the shape and the reduced dimensions only, never on strides or threads: a strided view
//! gives the same bits as its contiguous copy. Both orders are cascades, so rounding errors grow with the logarithm of the size.

mod arg;
mod columns;
mod few;
mod fold;
mod narrow;
mod prologue;
mod rows;
mod run;
mod strips;
#[cfg(test)]
mod tests;

use super::number::Number;
use super::walk::Grid;
use crate::backend::*;
use crate::*;
use fold::{All, Any, Fold, Max, Min, Prod, Sum, SumOfSquares};
pub use prologue::reduce_program;

/// See [`Backend`].
pub fn reduce(op: ReduceOp, x: View, dims: &[usize], out: &mut ViewMut) -> Result<()> {
    if !matches!(op, ReduceOp::ArgMin | ReduceOp::ArgMax | ReduceOp::SumOfSquares) && is_short_whole(&x, dims) {
        return short_whole(op, x, out);
    }
    let groups = Groups::new(x.layout, dims, out.layout);
    if groups.count() == 0 {
        return Ok(());
    }
    if groups.size() == 0 && matches!(op, ReduceOp::Min | ReduceOp::Max | ReduceOp::ArgMin | ReduceOp::ArgMax) {
        return Err(Error::index("reduction over an empty dimension has no identity; specify a dimension that is not empty"));
    }
    if op == ReduceOp::SumOfSquares {
        dispatch!(x.dtype, [F32 F64], T => fold_groups::<SumOfSquares<T>>(x, &groups, out), else => return Err(no_squares(x.dtype)));
        return Ok(());
    }
    dispatch!(x.dtype, T => by_op::<T>(op, x, &groups, out));
    Ok(())
}

fn no_squares(dtype: DType) -> Error {
    Error::not_implemented(format!("sums of squares are made of float32 and float64, not of {}", dtype.scalar_type_name()))
}

fn by_op<T: Number>(op: ReduceOp, x: View, groups: &Groups, out: &mut ViewMut) {
    match op {
        ReduceOp::Sum => fold_groups::<Sum<T>>(x, groups, out),
        ReduceOp::Prod => fold_groups::<Prod<T>>(x, groups, out),
        ReduceOp::Min => fold_groups::<Min<T>>(x, groups, out),
        ReduceOp::Max => fold_groups::<Max<T>>(x, groups, out),
        ReduceOp::All => fold_groups::<All<T>>(x, groups, out),
        ReduceOp::Any => fold_groups::<Any<T>>(x, groups, out),
        ReduceOp::ArgMin => arg::positions::<Min<T>>(x, groups, out),
        ReduceOp::ArgMax => arg::positions::<Max<T>>(x, groups, out),
        ReduceOp::SumOfSquares => unreachable!("not of every dtype"),
    }
}

/// Whether all of a few elements in a row are reduced: what needs no groups.
fn is_short_whole(x: &View, dims: &[usize]) -> bool {
    let n = x.numel();
    n > 0
        && n <= rows::SHORT
        && x.layout.is_contiguous()
        && (0..x.layout.rank()).all(|d| dims.contains(&d) || x.layout.shape[d] == 1)
}

/// The fold that `rows` makes of a short group, for a view of which [`is_short_whole`] is true.
fn short_whole(op: ReduceOp, x: View, out: &mut ViewMut) -> Result<()> {
    fn fold<F: Fold>(x: View, out: &mut ViewMut) {
        // SAFETY: contiguous, so the elements are in a row, all within x.
        let elements = unsafe { std::slice::from_raw_parts(x.ptr::<F::In>(), x.numel()) };
        let acc = elements.iter().fold(F::IDENTITY, |acc, &x| F::join(acc, F::lift(x)));
        // SAFETY: the output has one element.
        unsafe { out.ptr::<F::Out>().write(F::lower(acc)) }
    }
    fn by_op<T: Number>(op: ReduceOp, x: View, out: &mut ViewMut) {
        match op {
            ReduceOp::Sum => fold::<Sum<T>>(x, out),
            ReduceOp::Prod => fold::<Prod<T>>(x, out),
            ReduceOp::Min => fold::<Min<T>>(x, out),
            ReduceOp::Max => fold::<Max<T>>(x, out),
            ReduceOp::All => fold::<All<T>>(x, out),
            ReduceOp::Any => fold::<Any<T>>(x, out),
            ReduceOp::ArgMin | ReduceOp::ArgMax | ReduceOp::SumOfSquares => unreachable!("they are made elsewhere"),
        }
    }
    dispatch!(x.dtype, T => by_op::<T>(op, x, out));
    Ok(())
}

fn fold_groups<F: Fold>(x: View, groups: &Groups, out: &mut ViewMut) {
    match groups {
        Groups::Rows { kept, reduced } => rows::fold::<F>(x, kept, reduced, out),
        Groups::Columns { outer, reduced, inner } if few::suit(reduced.len(), inner.len()) => {
            few::fold::<F>(x, outer, reduced, inner, out)
        }
        Groups::Columns { outer, reduced, inner } if strips::suit::<F>(reduced.len(), inner.len()) => {
            strips::fold::<F>(x, outer, reduced, inner, out)
        }
        Groups::Columns { outer, reduced, inner } if inner.len() <= narrow::WIDTH && reduced.len() >= narrow::HEIGHT => {
            narrow::fold::<F>(x, outer, reduced, inner, out)
        }
        Groups::Columns { outer, reduced, inner } => columns::fold::<F>(x, outer, reduced, inner, out),
    }
}

/// How the elements of a view fall into groups. Grids of two hold positions in x and in the output.
enum Groups {
    /// The last dimension that matters is reduced, or nothing is kept.
    Rows { kept: Grid<2>, reduced: Grid<1> },
    /// The trailing dimensions, `inner`, are kept.
    Columns { outer: Grid<2>, reduced: Grid<1>, inner: Grid<2> },
}

impl Groups {
    fn new(x: &Layout, dims: &[usize], out: &Layout) -> Groups {
        // Size-one dimensions change nothing; without them the case depends on the logical shape alone.
        let of = |keep: &dyn Fn(usize) -> bool| -> Layout2 {
            let kept = (0..x.rank()).filter(|&d| keep(d));
            let mut l = Layout2::default();
            for d in kept {
                l.shape.push(x.shape[d]);
                l.x.push(x.strides[d]);
                l.out.push(out.strides[d]);
            }
            l
        };
        let reduced = of(&|d| dims.contains(&d)).first_grid();
        let last_reduced = dims.iter().copied().filter(|&d| x.shape[d] != 1).max();
        let is_inner = |d: usize| !dims.contains(&d) && last_reduced.is_some_and(|r| d > r);
        let inner = of(&is_inner);
        if inner.shape.iter().all(|&d| d == 1) {
            Groups::Rows { kept: of(&|d| !dims.contains(&d)).grid(), reduced }
        } else {
            Groups::Columns { outer: of(&|d| !dims.contains(&d) && !is_inner(d)).grid(), reduced, inner: inner.grid() }
        }
    }
    /// Number of groups.
    fn count(&self) -> usize {
        match self {
            Groups::Rows { kept, .. } => kept.len(),
            Groups::Columns { outer, inner, .. } => outer.len() * inner.len(),
        }
    }
    /// Elements in each group.
    fn size(&self) -> usize {
        match self {
            Groups::Rows { reduced, .. } | Groups::Columns { reduced, .. } => reduced.len(),
        }
    }
}

/// Some dimensions of x and of the output.
#[derive(Default)]
struct Layout2 {
    shape: Dims,
    x: Strides,
    out: Strides,
}

impl Layout2 {
    fn grid(&self) -> Grid<2> {
        Grid::new(&self.shape, [&self.x, &self.out])
    }
    fn first_grid(&self) -> Grid<1> {
        Grid::new(&self.shape, [&self.x])
    }
}
