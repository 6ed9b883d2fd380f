//! Images that repeat elements of another: rows and columns are taken from listed places. Padding by what is there already is this.
//!
//! A list of places is cut into runs of neighbours. Long runs are copied, or added, as such; what is left is a list of single elements.

use super::average::Average;
use super::{RowAt, Sink};
use crate::backend::*;
use crate::cpu::moves;
use crate::cpu::pool;
use crate::cpu::rows::{Compute, Dense, Shared};
use crate::cpu::simd::{self, Body, Isa};
use crate::cpu::walk::by_width;
use crate::*;

/// Elements of a task.
const TASK: usize = 1 << 15;
/// Rows whose runs are copied together.
const ROWS: usize = 32;
/// Shorter runs are copied as single elements.
const RUN: usize = 8;
/// As many single elements of each row are copied one after the other for all rows, without a loop in a loop.
const FEW: usize = 4;

/// Elements `from…` of one row, which are elements `to…` of another.
#[derive(Clone, Copy)]
struct Run {
    from: usize,
    to: usize,
    len: usize,
}

/// Maximal runs of ascending places.
fn runs(places: &[usize]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (to, &from) in places.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if run.from + run.len == from => run.len += 1,
            _ => runs.push(Run { from, to, len: 1 }),
        }
    }
    runs
}

/// The lists of three dimensions, and the sizes of the source and of the result; in front are sizes of one.
struct Lists<'a> {
    places: [&'a [usize]; 3],
    source: [usize; 3],
    result: [usize; 3],
}

impl<'a> Lists<'a> {
    fn new(places: &'a [Vec<usize>], source: &[usize], result: &[usize]) -> Result<Lists<'a>> {
        let n = places.len();
        let fits = (1..=3).contains(&n)
            && (source.len(), result.len()) == (n, n)
            && (0..n).all(|d| places[d].len() == result[d] && places[d].iter().all(|&at| at < source[d]));
        if !fits {
            return Err(Error::runtime(format!("lookup: the places do not suit {source:?} -> {result:?}")));
        }
        let mut lists = Lists { places: [&[0]; 3], source: [1; 3], result: [1; 3] };
        for d in 0..n {
            lists.places[3 - n + d] = &places[d];
            (lists.source[3 - n + d], lists.result[3 - n + d]) = (source[d], result[d]);
        }
        Ok(lists)
    }
}

/// Strides of a plane and of its three dimensions.
fn steps(strides: &[isize]) -> [isize; 4] {
    let mut steps = [0; 4];
    steps[0] = strides[0];
    steps[5 - strides.len()..].copy_from_slice(&strides[1..]);
    steps
}

/// See [`WindowOp::Lookup`].
pub(super) fn lookup(x: View, places: &[Vec<usize>], out: &mut ViewMut) -> Result<()> {
    let lists = Lists::new(places, &x.shape()[1..], &out.shape()[1..])?;
    if out.numel() == 0 {
        return Ok(());
    }
    let (xs, os) = (steps(x.strides()), steps(out.strides()));
    let (long, short): (Vec<Run>, Vec<Run>) =
        runs(lists.places[2]).into_iter().partition(|run| run.len >= RUN && (xs[3], os[3]) == (1, 1));
    let single = |run: &Run| (0..run.len as isize).map(|i| (run.from as isize + i, run.to as isize + i)).collect::<Vec<_>>();
    let singles: Vec<(isize, isize)> = short.iter().flat_map(single).map(|(from, to)| (from * xs[3], to * os[3])).collect();
    let rows = out.shape()[0] * lists.result[0] * lists.result[1];
    by_width!(x.dtype, T => {
        let (from, to) = (Shared::new(x.ptr::<T>().cast_mut()), Shared::new(out.ptr::<T>()));
        pool::for_ranges(rows, (TASK / lists.result[2]).max(1), |range| {
            let mut at = RowAt::new(range.start, lists.result);
            let mut ends = [(from.get().cast_const(), to.get()); ROWS];
            for first in range.clone().step_by(ROWS) {
                let ends = &mut ends[..ROWS.min(range.end - first)];
                for (x, o) in &mut *ends {
                    let source = [at.plane, lists.places[0][at.outer], lists.places[1][at.middle]];
                    let offset = |at: [usize; 3], steps: [isize; 4]| (0..3).map(|d| at[d] as isize * steps[d]).sum::<isize>();
                    *x = from.get().wrapping_offset(offset(source, xs));
                    *o = to.get().wrapping_offset(offset([at.plane, at.outer, at.middle], os));
                    at.step(lists.result);
                }
                // SAFETY: rows of x and of the result, which are this task's; the places were checked.
                unsafe { copy(ends, &long, &singles) };
            }
        });
    });
    Ok(())
}

/// # Safety
/// `long` and `singles` may be read and written from `ends` on.
#[inline(always)]
unsafe fn copy<T: Copy>(ends: &[(*const T, *mut T)], long: &[Run], singles: &[(isize, isize)]) {
    // SAFETY: the caller's.
    unsafe {
        for &Run { from, to, len } in long {
            let place = move |i: usize| {
                let (x, out) = ends[i];
                (x.wrapping_add(from).cast::<u8>(), out.wrapping_add(to).cast::<u8>())
            };
            moves::rows(len * size_of::<T>(), ends.len(), place);
        }
        if singles.len() <= FEW {
            for &(from, to) in singles {
                ends.iter().for_each(|(x, out)| out.offset(to).write(x.offset(from).read()));
            }
            return;
        }
        for (x, out) in ends {
            for &(from, to) in singles {
                out.offset(to).write(x.offset(from).read());
            }
        }
    }
}

/// For each place, which elements of `places` are it, in ascending order.
struct Inverse {
    starts: Vec<usize>,
    list: Vec<usize>,
}

impl Inverse {
    fn new(places: &[usize], size: usize) -> Inverse {
        let mut starts = vec![0; size + 1];
        places.iter().for_each(|&at| starts[at + 1] += 1);
        (0..size).for_each(|i| starts[i + 1] += starts[i]);
        let (mut next, mut list) = (starts.clone(), vec![0; places.len()]);
        for (i, &at) in places.iter().enumerate() {
            list[next[at]] = i;
            next[at] += 1;
        }
        Inverse { starts, list }
    }
    fn of(&self, at: usize) -> &[usize] {
        &self.list[self.starts[at]..self.starts[at + 1]]
    }
}

/// See [`WindowOp::LookupBackward`].
pub(super) fn backward<T: Compute<Wide: Average>>(g: View, places: &[Vec<usize>], out: &mut ViewMut) -> Result<()> {
    let lists = Lists::new(places, &out.shape()[1..], &g.shape()[1..])?;
    if out.numel() == 0 {
        return Ok(());
    }
    let g = Dense::of::<T>(g)?;
    let [depth, height, width] = lists.result;
    let [outer, middle] = [0, 1].map(|d| Inverse::new(lists.places[d], lists.source[d]));
    let runs = runs(lists.places[2]);
    let rows = out.shape()[0] * lists.source[0] * lists.source[1];
    let sink = Sink::<T>::new(out);
    pool::for_ranges(rows, (TASK / lists.source[2]).max(1), |range| {
        let mut sums = vec![T::Wide::ZERO; lists.source[2]];
        let mut at = RowAt::new(range.start, lists.source);
        for _ in range {
            let row = |d: usize, h: usize| &g[((at.plane * depth + d) * height + h) * width..][..width];
            sums.fill(T::Wide::ZERO);
            for &d in outer.of(at.outer) {
                for &h in middle.of(at.middle) {
                    simd::run(Add { row: row(d, h), runs: &runs, sums: &mut sums });
                }
            }
            // SAFETY: rows of the result, each visited once.
            unsafe { sink.put(at, &sums) };
            at.step(lists.source);
        }
    });
    Ok(())
}

/// Adds the runs of a row to where they come from.
struct Add<'a, A> {
    row: &'a [A],
    runs: &'a [Run],
    sums: &'a mut [A],
}

impl<A: Average> Body for Add<'_, A> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        for run in self.runs {
            let (to, from) = (&mut self.sums[run.from..][..run.len], &self.row[run.to..][..run.len]);
            to.iter_mut().zip(from).for_each(|(sum, &g)| *sum += g);
        }
    }
}
