//! How often each of the first integers occurs.

use super::matmul::scratch;
use super::pool;
use super::rows::Shared;
use super::simd::{self, Body, Isa};
use crate::backend::*;
use crate::*;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

/// Elements that are worth a task.
const PART: usize = 1 << 14;
/// One thread adds up the tables of all parts.
const MAX_PARTS: usize = 32;
/// Numbers up to which parts have tables of their own, in L1.
const TABLE: usize = 1 << 12;

/// See [`Backend`].
pub fn extent(x: View) -> Result<Option<(i64, i64)>> {
    dispatch!(x.dtype, [U8 I8 I16 I32 I64], T => {
        let all = elements::<T>(&x)?;
        let parts = Parts::of(all.len(), 0);
        let mut found = [(i64::MAX, i64::MIN); MAX_PARTS];
        let to = Shared::new(found.as_mut_ptr());
        pool::run(parts.count, |p| {
            let of_part = simd::run_widest(Extent(&all[parts.range(p)]));
            // SAFETY: a part of its own.
            unsafe { to.get().add(p).write(of_part) };
        });
        let whole = found[..parts.count].iter().fold((i64::MAX, i64::MIN), |a, b| (a.0.min(b.0), a.1.max(b.1)));
        Ok((!all.is_empty()).then_some(whole))
    }, else => Err(not_integers(x.dtype)))
}

/// See [`Backend`].
pub fn bincount(x: View, out: &mut ViewMut) -> Result<()> {
    let n = out.numel();
    let counts = out.as_mut_slice::<i64>().ok_or_else(|| Error::runtime("bincount: counts must be contiguous int64"))?;
    let all_inside = dispatch!(x.dtype, [U8 I8 I16 I32 I64], T => {
        let all = elements::<T>(&x)?;
        if n > TABLE || all.len() > u32::MAX as usize {
            counts.fill(0);
            tick(all, counts, &mut [], 1)
        } else {
            by_parts(all, counts)?
        }
    }, else => return Err(not_integers(x.dtype)));
    if all_inside { Ok(()) } else { Err(Error::runtime("bincount: the input was written to while it was counted")) }
}

fn elements<'a, T: Element>(x: &View<'a>) -> Result<&'a [T]> {
    x.as_slice::<T>().ok_or_else(|| Error::runtime("bincount: the input must be contiguous"))
}

#[cold]
fn not_integers(dtype: DType) -> Error {
    Error::not_implemented(format!("\"bincount_cpu\" not implemented for '{}'", dtype.scalar_type_name()))
}

/// How many parts `n` elements are cut into.
struct Parts {
    n: usize,
    count: usize,
}

impl Parts {
    /// Each part is worth a table of `table` counts.
    fn of(n: usize, table: usize) -> Parts {
        Parts { n, count: (n / PART.max(8 * table)).clamp(1, MAX_PARTS) }
    }
    fn range(&self, part: usize) -> Range<usize> {
        part * self.n / self.count..(part + 1) * self.n / self.count
    }
}

/// The smallest and the largest.
struct Extent<'a, T>(&'a [T]);

impl<T: Element> Body for Extent<'_, T> {
    type Out = (i64, i64);
    #[inline(always)]
    fn run<S: Isa>(self) -> (i64, i64) {
        let (mut low, mut high) = (i64::MAX, i64::MIN);
        for v in self.0 {
            (low, high) = (low.min(v.to_i64()), high.max(v.to_i64()));
        }
        (low, high)
    }
}

/// Counts parts side by side; whether there was a count for all elements.
fn by_parts<T: Element>(all: &[T], counts: &mut [i64]) -> Result<bool> {
    let n = counts.len();
    let parts = Parts::of(all.len(), n);
    let memory = scratch::<u32>(2 * n * parts.count)?;
    let tables = Shared::new(memory.as_ptr().cast::<u32>());
    let outside = AtomicBool::new(false);
    pool::run(parts.count, |p| {
        // SAFETY: two tables of this part's own; any bits are counts.
        let tables = unsafe { std::slice::from_raw_parts_mut(tables.get().add(2 * n * p), 2 * n) };
        tables.fill(0);
        let (even, odd) = tables.split_at_mut(n);
        if !tick(&all[parts.range(p)], even, odd, 1) {
            outside.store(true, Ordering::Relaxed);
        }
    });
    counts.fill(0);
    for table in 0..2 * parts.count {
        // SAFETY: written above.
        let table = unsafe { std::slice::from_raw_parts(tables.get().add(n * table), n) };
        counts.iter_mut().zip(table).for_each(|(count, t)| *count += *t as i64);
    }
    Ok(!outside.into_inner())
}

/// Adds `one` to the counts of all elements; whether they had one each. Neighbours that are equal would wait for each other's sum: every second
/// element is counted in `odd`, if that is not empty.
fn tick<T: Element, C: Copy + std::ops::AddAssign>(all: &[T], even: &mut [C], odd: &mut [C], one: C) -> bool {
    let (pairs, rest) = if odd.is_empty() { (&[][..], all) } else { all.as_chunks::<2>() };
    for v in rest {
        let Some(count) = even.get_mut(v.to_i64() as usize) else { return false };
        *count += one;
    }
    for [a, b] in pairs {
        let (Some(a), Some(b)) = (even.get_mut(a.to_i64() as usize), odd.get_mut(b.to_i64() as usize)) else { return false };
        *a += one;
        *b += one;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::samples::*;

    #[test]
    fn counts_are_those_of_a_loop() {
        for dtype in [DType::U8, DType::I8, DType::I16, DType::I32, DType::I64] {
            let most = if dtype.size() == 1 { 100 } else { 9000 };
            for (len, bins) in
                [(0, 3), (1, 1), (7, 5), (PART - 1, 100), (3 * PART + 5, 77), (2 * PART, TABLE), (100_001, TABLE + 1)]
            {
                let bins = bins.min(most);
                let x = Sample::new(dtype, Layout::contiguous(&[len]), |i| (i / 2 * 7919 % bins) as f64);
                let (mut want, values) = (vec![0.0; bins], x.values());
                values.iter().for_each(|v| want[*v as usize] += 1.0);
                let least_and_most = values.iter().fold(None, |r: Option<(i64, i64)>, v| {
                    let (low, high) = r.unwrap_or((i64::MAX, i64::MIN));
                    Some((low.min(*v as i64), high.max(*v as i64)))
                });
                assert_eq!(extent(x.view()).unwrap(), least_and_most, "{dtype} {len}");
                let out = Sample::zeros(DType::I64, Layout::contiguous(&[bins]));
                bincount(x.view(), &mut out.view_mut()).unwrap();
                assert_eq!(out.values(), want, "{dtype} {len} in {bins}");
                if bins > 1 && len > 2 * bins {
                    let few = Sample::zeros(DType::I64, Layout::contiguous(&[bins - 1]));
                    assert!(bincount(x.view(), &mut few.view_mut()).is_err(), "{dtype} {len} in {bins}");
                }
            }
        }
    }

    #[test]
    fn negative_numbers_are_found_and_not_counted() {
        let x = Sample::of(DType::I64, &[3], &[2.0, -5.0, 1.0]);
        assert_eq!(extent(x.view()).unwrap(), Some((-5, 2)));
        let out = Sample::zeros(DType::I64, Layout::contiguous(&[3]));
        assert!(bincount(x.view(), &mut out.view_mut()).is_err());
        assert!(extent(Sample::of(DType::F32, &[1], &[1.0]).view()).is_err());
    }
}
