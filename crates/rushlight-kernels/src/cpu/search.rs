//! Binary search in sorted lines.

use super::pool;
use super::walk::GRAIN;
use crate::backend::*;
use crate::*;

/// See [`Backend`].
pub fn search(sorted: View, values: View, right: bool, out: &mut ViewMut) -> Result<()> {
    dispatch!(values.dtype, T => if right { lines::<T, true>(sorted, values, out) } else { lines::<T, false>(sorted, values, out) });
    Ok(())
}

fn lines<T: Element, const RIGHT: bool>(sorted: View, values: View, out: &mut ViewMut) {
    let n = sorted.shape().last().copied().unwrap_or(1);
    let line = sorted.as_slice::<T>().expect("sorted lines are contiguous, of the values' dtype");
    let wanted = values.as_slice::<T>().expect("values are contiguous");
    let out = out.as_mut_slice::<i64>().expect("positions are contiguous, of dtype int64");
    // Values for each line: all of them, where there is one line.
    let width = if sorted.shape().len() <= 1 { wanted.len() } else { values.shape().last().copied().unwrap_or(1) }.max(1);
    let start = Positions(out.as_mut_ptr());
    pool::for_ranges(wanted.len(), GRAIN / 16, |range| {
        let mut i = range.start;
        while i < range.end {
            // Values of one line, several of which are looked for at once: each step of a search waits for memory.
            let line = &line[i / width * n..][..n];
            let end = range.end.min((i / width + 1) * width);
            let mut groups = wanted[i..end].chunks_exact(TOGETHER);
            for group in &mut groups {
                let found = count::<T, TOGETHER, RIGHT>(line, group.try_into().expect("a group of that length"));
                for f in found {
                    // SAFETY: `out` has one element for each value, and ranges are disjoint.
                    unsafe { start.at(i).write(f as i64) };
                    i += 1;
                }
            }
            for &v in groups.remainder() {
                let [f] = count::<T, 1, RIGHT>(line, [v]);
                // SAFETY: as above.
                unsafe { start.at(i).write(f as i64) };
                i += 1;
            }
        }
    });
}

/// Searches that run side by side.
const TOGETHER: usize = 16;

/// For each value how many elements of the line are below it; the search takes the same steps for all.
#[inline(always)]
#[allow(clippy::eq_op, reason = "only NaN differs from itself")]
fn count<T: Element, const W: usize, const RIGHT: bool>(line: &[T], values: [T; W]) -> [usize; W] {
    let below = |e: T, v: T| if RIGHT { e <= v } else { e < v };
    let mut base = [0usize; W];
    let mut size = line.len();
    if size == 0 {
        return base;
    }
    while size > 1 {
        let half = size / 2;
        for k in 0..W {
            // SAFETY: `base + size` never exceeds the line's length.
            let e = unsafe { *line.get_unchecked(base[k] + half) };
            base[k] += half * below(e, values[k]) as usize;
        }
        size -= half;
    }
    // NaN is above every number, and no element is above it.
    std::array::from_fn(|k| if values[k] != values[k] { line.len() } else { base[k] + below(line[base[k]], values[k]) as usize })
}

/// The first of the results, to be written by several threads.
struct Positions(*mut i64);
// SAFETY: each thread writes elements of its own.
unsafe impl Sync for Positions {}

impl Positions {
    fn at(&self, i: usize) -> *mut i64 {
        self.0.wrapping_add(i)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::samples::Sample;

    fn found(sorted: &Sample, values: &Sample, right: bool) -> Vec<i64> {
        let out = Sample::zeros(DType::I64, values.layout.clone());
        search(sorted.view(), values.view(), right, &mut out.view_mut()).unwrap();
        out.view().as_slice::<i64>().unwrap().to_vec()
    }

    #[test]
    fn counts_what_lies_below() {
        for dtype in DType::ALL.into_iter().filter(|d| *d != DType::Bool) {
            let sorted = Sample::of(dtype, &[5], &[1.0, 2.0, 2.0, 2.0, 7.0]);
            let values = Sample::of(dtype, &[2, 3], &[0.0, 1.0, 2.0, 3.0, 7.0, 9.0]);
            assert_eq!(found(&sorted, &values, false), [0, 0, 1, 4, 4, 5], "{dtype}");
            assert_eq!(found(&sorted, &values, true), [0, 1, 4, 4, 5, 5], "{dtype}");
        }
    }

    #[test]
    fn a_line_for_each_row_and_nan_above_all() {
        let sorted = Sample::of(DType::F32, &[2, 2], &[1.0, 2.0, 5.0, f64::NAN]);
        let values = Sample::of(DType::F32, &[2, 2], &[1.5, f64::NAN, 1.5, f64::NAN]);
        assert_eq!(found(&sorted, &values, false), [1, 2, 0, 2]);
        let none = Sample::of(DType::F32, &[0], &[]);
        assert_eq!(found(&none, &values, true), [0; 4]);
    }
}
