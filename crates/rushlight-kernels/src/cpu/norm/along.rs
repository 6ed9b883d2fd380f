//! Where the rows of several views of one shape lie, for rows along some dimension.

use crate::layout::collapse;
use crate::*;
use smallvec::SmallVec;

/// Most views that one kernel walks at once.
pub(super) const VIEWS: usize = 3;

/// The rows of up to three views: one for each index of the dimensions that rows do not run along.
pub(super) struct Along {
    pub(super) rows: usize,
    dims: Dims,
    /// Per view, the steps of `dims`.
    strides: SmallVec<[Strides; 4]>,
}

impl Along {
    /// Rows numbered row-major over dimensions `outer` of `shape`.
    pub(super) fn new(shape: &[usize], outer: impl Fn(usize) -> bool, strides: &[&[isize]]) -> Along {
        let kept: Dims = (0..shape.len()).filter(|&d| outer(d)).collect();
        if let [d] = kept[..] {
            // Nothing to collapse, as is frequent.
            let strides = strides.iter().map(|s| Strides::from_slice(&s[d..=d])).collect();
            return Along { rows: shape[d], dims: Dims::from_slice(&shape[d..=d]), strides };
        }
        let outer_shape: Dims = kept.iter().map(|&d| shape[d]).collect();
        let outer_strides: SmallVec<[Strides; 4]> = strides.iter().map(|s| kept.iter().map(|&d| s[d]).collect()).collect();
        let slices: SmallVec<[&[isize]; 4]> = outer_strides.iter().map(|s| &s[..]).collect();
        let (dims, strides) = collapse(&outer_shape, &slices);
        Along { rows: dims.iter().product(), dims, strides }
    }

    /// Whether rows with neighbouring numbers begin at neighbouring elements of view `v`, for stretches of at least `len`.
    pub(super) fn neighbours(&self, v: usize, len: usize) -> bool {
        self.dims.last().is_some_and(|&d| d >= len) && self.strides[v].last() == Some(&1)
    }

    /// Rows from `first` on until the last dimension starts over.
    pub(super) fn until_turn(&self, first: usize) -> usize {
        self.dims.last().map_or(1, |&d| d - first % d)
    }

    /// Offsets of the rows from `first` on, in each view.
    #[inline]
    pub(super) fn from(&self, first: usize) -> impl Iterator<Item = [isize; VIEWS]> {
        let steps = self.steps();
        let mut walk = if steps.is_some() { None } else { Some(self.walk(first)) };
        let steps = steps.unwrap_or_default();
        (first..self.rows).map(move |row| match &mut walk {
            None => steps.map(|step| row as isize * step),
            Some(walk) => walk.next().expect("as many offsets as rows"),
        })
    }

    /// From row to row, in each view, where all steps are alike.
    pub(super) fn steps(&self) -> Option<[isize; VIEWS]> {
        let mut steps = [0isize; VIEWS];
        self.strides.iter().zip(&mut steps).for_each(|(s, step)| *step = s.first().copied().unwrap_or(0));
        (self.dims.len() <= 1).then_some(steps)
    }

    fn walk(&self, first: usize) -> impl Iterator<Item = [isize; VIEWS]> {
        let mut index: Dims = SmallVec::from_elem(0, self.dims.len());
        let mut offsets = [0isize; VIEWS];
        let mut left = first;
        for d in (0..self.dims.len()).rev() {
            index[d] = left % self.dims[d];
            left /= self.dims[d];
            self.strides.iter().zip(&mut offsets).for_each(|(s, o)| *o += index[d] as isize * s[d]);
        }
        std::iter::once(offsets).chain((first + 1..self.rows).map(move |_| {
            // The odometer's next state: the last dimension that is not at its end moves on, and those after it start over.
            for d in (0..self.dims.len()).rev() {
                index[d] += 1;
                let back = if index[d] == self.dims[d] { self.dims[d] as isize } else { 0 };
                self.strides.iter().zip(&mut offsets).for_each(|(s, o)| *o += s[d] - back * s[d]);
                if back == 0 {
                    break;
                }
                index[d] = 0;
            }
            offsets
        }))
    }
}
