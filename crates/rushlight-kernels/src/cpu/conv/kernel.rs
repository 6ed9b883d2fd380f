//! Micro-kernels of f32 convolutions, and their run-time choice.
//!
//! All of them read the image side in place from padded channels ([`super::band`]): what a tap of a channel contributes to adjacent
//! outputs lies adjacent, at an offset that is the same for all outputs.

use super::wide::{Four, Wide};
use super::winograd;
#[cfg(target_arch = "x86_64")]
use crate::cpu::simd::{Level, level};
use std::mem::MaybeUninit;
use std::ops::Range;

/// Adjacent outputs of a tile that are stored: lanes `from..to` of register `register`, at `offset + lane * step`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) register: usize,
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) offset: isize,
}

/// A few rows of weights times a few registers of positions.
pub(super) struct Tile<'a> {
    /// Weights: for every term one of each row, adjacent.
    pub(super) a: *const f32,
    /// Where each term's image element for lane zero lies from `base`.
    pub(super) base: *const f32,
    pub(super) offsets: &'a [isize],
    /// First of the rows' biases and the step between them, if any.
    pub(super) bias: Option<(*const f32, isize)>,
    pub(super) y: *mut f32,
    /// Step of `y` from row to row.
    pub(super) rs: isize,
    /// Step of `y` from lane to lane.
    pub(super) step: isize,
    /// By register, ascending.
    pub(super) runs: &'a [Run],
}

/// A few (channel, tap) pairs times a few registers of output channels, summed over positions.
pub(super) struct Outer<'a> {
    /// Where each pair's image element for position zero lies from `base`.
    pub(super) base: *const f32,
    pub(super) offsets: &'a [isize],
    /// Runs of adjacent positions: where their images start, and how many there are.
    pub(super) rows: &'a [(isize, usize)],
    /// Gradients: for every position of the runs one per output channel.
    pub(super) dy: *const f32,
    /// A register's width of sums for each pair, which are added to.
    pub(super) sums: *mut f32,
}

/// Rows of an image, to be laid out one behind the other.
pub(super) struct Lines {
    /// Where element zero of the first lies, perhaps outside of the image.
    pub(super) from: *const f32,
    /// From row to row, and from element to element.
    pub(super) steps: [isize; 2],
    /// Elements of a row, and those of them that lie in the image; the others are zero.
    pub(super) width: usize,
    pub(super) inside: Range<usize>,
    pub(super) count: usize,
    /// Memory that may be read beside what lies inside.
    pub(super) readable: Range<*const f32>,
    pub(super) to: *mut f32,
}

type TileFn = unsafe fn(&Tile);
type OuterFn = unsafe fn(&Outer);

/// Registers that each width of tile has.
const WIDTHS: [usize; 4] = [1, 2, 4, 8];

/// The kernels of one instruction set.
pub(super) struct Kernels {
    /// Lanes of a register.
    pub(super) lanes: usize,
    /// `tiles[w][m - 1]` does `m` rows and `WIDTHS[w]` registers.
    tiles: [&'static [TileFn]; 4],
    /// `outers[v - 1][m - 1]` does `m` pairs and `v` registers.
    outers: [&'static [OuterFn]; 2],
    /// `(from, step, [rows, cols], to, ld)`: `to[c * ld + r] = from[r * step + c]`.
    pub(super) transpose: unsafe fn(*const f32, isize, [usize; 2], *mut f32, usize),
    pub(super) lines: unsafe fn(&Lines),
    pub(super) winograd: winograd::Stages,
}

impl Kernels {
    /// Most rows of a tile.
    pub(super) fn rows(&self) -> usize {
        self.tiles[1].len()
    }
    /// Most registers of a tile with `rows` rows.
    pub(super) fn registers(&self, rows: usize) -> usize {
        (0..4).rev().find(|&w| rows <= self.tiles[w].len()).map_or(1, |w| WIDTHS[w])
    }
    /// The tile of `rows` rows and `registers` registers: a power of two, at most [`Kernels::registers`].
    #[inline]
    pub(super) fn tile(&self, rows: usize, registers: usize) -> TileFn {
        self.tiles[registers.trailing_zeros() as usize][rows - 1]
    }
    /// Most pairs of [`Kernels::outer`].
    pub(super) fn pairs(&self) -> usize {
        self.outers[1].len()
    }
    /// The kernel for `pairs` pairs and `registers` registers (one or two) of output channels.
    pub(super) fn outer(&self, pairs: usize, registers: usize) -> OuterFn {
        self.outers[registers - 1][pairs - 1]
    }
}

/// # Safety
/// The processor has `V`'s instruction set. Everything that `t` names lies in memory; `y` overlaps none of it. There are `M` rows, and
/// registers below `NV` in `runs`.
#[inline(always)]
unsafe fn tile<V: Wide, const M: usize, const NV: usize>(t: &Tile) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [[V::splat(0.0); NV]; M];
        if let Some((bias, step)) = t.bias {
            for i in 0..M {
                sums[i] = [V::splat(*bias.offset(i as isize * step)); NV];
            }
        }
        let mut a = t.a;
        for &offset in t.offsets {
            let b = t.base.offset(offset);
            let mut x = [V::splat(0.0); NV];
            for v in 0..NV {
                x[v] = V::load(b.add(v * V::N));
            }
            for i in 0..M {
                let y = V::splat(*a.add(i));
                for v in 0..NV {
                    sums[i][v] = y.mul_add(x[v], sums[i][v]);
                }
            }
            a = a.add(M);
        }
        // Runs pick registers at run time: from memory, or else all of the sums would have lived there.
        let mut stored = MaybeUninit::<[[[f32; 16]; NV]; M]>::uninit();
        let stored = stored.as_mut_ptr();
        for i in 0..M {
            for v in 0..NV {
                sums[i][v].store((&raw mut (*stored)[i][v]).cast());
            }
        }
        for run in t.runs {
            let y = t.y.wrapping_offset(run.offset);
            for i in 0..M {
                let (y, lanes) = (y.wrapping_offset(i as isize * t.rs), (&raw const (*stored)[i][run.register]).cast::<f32>());
                if t.step != 1 {
                    for l in run.from..run.to {
                        *y.offset(l as isize * t.step) = *lanes.add(l);
                    }
                } else if run.to - run.from == V::N {
                    V::load(lanes).store(y);
                } else {
                    V::load(lanes).store_run(y, run.from, run.to);
                }
            }
        }
    }
}

/// # Safety
/// As [`tile`]: there are `M` pairs and `NV` registers.
#[inline(always)]
unsafe fn outer<V: Wide, const M: usize, const NV: usize>(t: &Outer) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [[V::splat(0.0); NV]; M];
        for j in 0..M {
            for v in 0..NV {
                sums[j][v] = V::load(t.sums.add((j * NV + v) * V::N));
            }
        }
        let offsets: &[isize; M] = t.offsets.try_into().expect("one offset per pair");
        let mut d = t.dy;
        for &(start, n) in t.rows {
            let mut x = t.base.offset(start);
            for _ in 0..n {
                let mut y = [V::splat(0.0); NV];
                for v in 0..NV {
                    y[v] = V::load(d.add(v * V::N));
                }
                for j in 0..M {
                    let x = V::splat(*x.offset(offsets[j]));
                    for v in 0..NV {
                        sums[j][v] = x.mul_add(y[v], sums[j][v]);
                    }
                }
                d = d.add(NV * V::N);
                x = x.add(1);
            }
        }
        for j in 0..M {
            for v in 0..NV {
                sums[j][v].store(t.sums.add((j * NV + v) * V::N));
            }
        }
    }
}

/// # Safety
/// The processor has `V`'s instruction set. Elements inside may be read, and `to` has room for all rows.
#[inline(always)]
unsafe fn lines<V: Wide>(l: &Lines) {
    // SAFETY: the caller's promise.
    unsafe {
        match l.steps[1] {
            1 => lines_by::<V, 1>(l),
            2 => lines_by::<V, 2>(l),
            step => {
                for y in 0..l.count {
                    let (from, to) = (l.from.wrapping_offset(y as isize * l.steps[0]), l.to.add(y * l.width));
                    to.write_bytes(0, l.width);
                    for x in l.inside.clone() {
                        *to.add(x) = *from.wrapping_offset(x as isize * step);
                    }
                }
            }
        }
    }
}

/// For elements that lie `STEP` apart, one or two.
///
/// # Safety
/// As [`lines`].
#[inline(always)]
unsafe fn lines_by<V: Wide, const STEP: usize>(l: &Lines) {
    for y in 0..l.count {
        let (from, to) = (l.from.wrapping_offset(y as isize * l.steps[0]), l.to.wrapping_add(y * l.width));
        for first in (0..l.width).step_by(V::N) {
            let [low, high] = [l.inside.start, l.inside.end].map(|x| x.clamp(first, first + V::N) - first);
            let (from, to, n) = (from.wrapping_add(first * STEP), to.wrapping_add(first), l.width - first);
            // SAFETY: the caller's promise.
            unsafe {
                let x = if STEP == 1 {
                    part::<V>(from, low, high, &l.readable)
                } else {
                    // What lies behind the last element may be outside of the image.
                    let [low, high] = [2 * low, (2 * high).saturating_sub(1)];
                    let left = part::<V>(from, low.min(V::N), high.min(V::N), &l.readable);
                    let [low, high] = [low, high].map(|x| x.saturating_sub(V::N));
                    left.evens(part::<V>(from.wrapping_add(V::N), low, high, &l.readable))
                };
                if n < V::N { x.store_run(to, 0, n) } else { x.store(to) }
            }
        }
    }
}

/// Lanes `low..high` of what lies at `from`, the others zero. Masked loads that miss the caches take twice the time of whole ones (Zen 5),
/// so they are for the ends of the image.
///
/// # Safety
/// As [`lines`], for these lanes.
#[inline(always)]
unsafe fn part<V: Wide>(from: *const f32, low: usize, high: usize, readable: &Range<*const f32>) -> V {
    // SAFETY: the caller's promise.
    unsafe {
        if readable.start <= from && from.wrapping_add(V::N) <= readable.end {
            V::load(from).keep_run(low, high)
        } else {
            V::load_run(from, low, high)
        }
    }
}

/// See [`Kernels::transpose`].
///
/// # Safety
/// All these elements lie in memory; `to` overlaps nothing.
#[inline(always)]
unsafe fn transpose<V: Wide>(from: *const f32, step: isize, [rows, cols]: [usize; 2], to: *mut f32, ld: usize) {
    // SAFETY: indices are within the sizes.
    unsafe {
        let (full_rows, full_cols) = (rows / V::N * V::N, cols / 4 * 4);
        let mut pointers = [from; 16];
        for r in (0..full_rows).step_by(V::N) {
            for (l, p) in pointers.iter_mut().enumerate().take(V::N) {
                *p = from.offset((r + l) as isize * step);
            }
            for c in (0..full_cols).step_by(4) {
                let quads = V::load_quads(&pointers[..V::N]);
                for j in 0..4 {
                    quads[j].store(to.add((c + j) * ld + r));
                }
                pointers.iter_mut().for_each(|p| *p = p.wrapping_add(4));
            }
        }
        for r in 0..rows {
            for c in if r < full_rows { full_cols } else { 0 }..cols {
                *to.add(c * ld + r) = *from.offset(r as isize * step + c as isize);
            }
        }
    }
}

/// Instantiates the kernels for a register type, each function compiled with the instruction set's features.
macro_rules! kernels {
    ($name:ident, [$($feature:literal)?], $v:ty, rows [$($m:literal)*], four [$($f:literal)*], eight [$($e:literal)*]) => {
        pub(super) static $name: Kernels = {
            $(#[target_feature(enable = $feature)])?
            unsafe fn tiles<const M: usize, const NV: usize>(t: &Tile) {
                // SAFETY: the features are enabled here; the caller vouches for the rest.
                unsafe { tile::<$v, M, NV>(t) }
            }
            $(#[target_feature(enable = $feature)])?
            unsafe fn outers<const M: usize, const NV: usize>(t: &Outer) {
                // SAFETY: as above.
                unsafe { outer::<$v, M, NV>(t) }
            }
            $(#[target_feature(enable = $feature)])?
            unsafe fn transposed(from: *const f32, step: isize, size: [usize; 2], to: *mut f32, ld: usize) {
                // SAFETY: as above.
                unsafe { transpose::<$v>(from, step, size, to, ld) }
            }
            $(#[target_feature(enable = $feature)])?
            unsafe fn lined(l: &Lines) {
                // SAFETY: as above.
                unsafe { lines::<$v>(l) }
            }
            $(#[target_feature(enable = $feature)])?
            unsafe fn taps(t: &winograd::Taps) {
                // SAFETY: as above.
                unsafe { winograd::taps::<$v>(t) }
            }
            $(#[target_feature(enable = $feature)])?
            unsafe fn input(t: &winograd::Input) {
                // SAFETY: as above.
                unsafe { winograd::input::<$v>(t) }
            }
            $(#[target_feature(enable = $feature)])?
            unsafe fn output(t: &winograd::Output) -> bool {
                // SAFETY: as above.
                unsafe { winograd::output::<$v>(t) }
            }
            Kernels {
                lanes: <$v>::N,
                tiles: [&[$(tiles::<$m, 1>),*], &[$(tiles::<$m, 2>),*], &[$(tiles::<$f, 4>),*], &[$(tiles::<$e, 8>),*]],
                outers: [&[$(outers::<$m, 1>),*], &[$(outers::<$m, 2>),*]],
                transpose: transposed,
                lines: lined,
                winograd: winograd::Stages { taps, input, output },
            }
        };
    };
}

// As for matrix products: as many sums as registers, but for two or more of the image and one of the weights.
kernels!(BASE, [], Four, rows [1 2 3 4], four [1 2], eight [1]);
#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::*;
    use std::arch::x86_64::*;
    kernels!(AVX2, ["avx2,fma"], __m256, rows [1 2 3 4 5 6], four [1 2], eight [1]);
    kernels!(AVX512, ["avx512f,avx512vl,avx512dq,avx512bw"], __m512,
        rows [1 2 3 4 5 6 7 8 9 10 11 12 13 14], four [1 2 3 4 5 6], eight [1 2]);
}

/// The best kernels of this processor.
pub(super) fn kernels() -> &'static Kernels {
    #[cfg(target_arch = "x86_64")]
    match level() {
        Level::Avx512 => return &x86::AVX512,
        Level::Avx2 => return &x86::AVX2,
        Level::Baseline => {}
    }
    &BASE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_any_length_and_step_are_laid_out() {
        for (width, step) in (1..50usize).flat_map(|n| (1..4usize).map(move |step| (n, step))) {
            for (start, end) in [(0, width), (1.min(width), width), (0, width - 1), (width / 2, width / 2 + width % 2), (0, 0)] {
                // Two rows of exactly what lies inside, so that nothing else can be read unnoticed by a checker.
                let n = (end - start).saturating_sub(1) * step + 1;
                let from: Vec<f32> = (0..2 * n).map(|i| 1.0 + i as f32).collect();
                let mut to = vec![-1.0; 2 * width + 1];
                let first = from.as_ptr().wrapping_sub(start * step);
                for readable in [from.as_ptr_range(), first..first] {
                    to.fill(-1.0);
                    let (steps, inside) = ([n as isize, step as isize], start..end);
                    let l = Lines { from: first, steps, width, inside, count: 2, readable, to: to.as_mut_ptr() };
                    // SAFETY: both have room.
                    unsafe { (kernels().lines)(&l) };
                    let at = |y: usize, x: usize| if (start..end).contains(&x) { from[y * n + (x - start) * step] } else { 0.0 };
                    let want: Vec<f32> = (0..2 * width).map(|i| at(i / width, i % width)).chain([-1.0]).collect();
                    assert_eq!(to, want, "{width} elements, {start}..{end} inside, step {step}");
                }
            }
        }
    }
}
