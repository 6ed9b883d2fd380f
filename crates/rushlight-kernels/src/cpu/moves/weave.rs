//! A few columns, each dense in memory, become rows side by side, and back: channels that come last, pairs of a window, elements that are
//! repeated. By single runs, the loop over a row of three would cost more than its elements.

use crate::cpu::simd::{self, Body, Isa};
use std::array::from_fn;

/// Columns that come here: from two to this many.
pub(super) const MOST: usize = 7;
/// Elements of a column that are woven as one block, of which the compiler makes shuffles.
const BLOCK: usize = 16;

/// Runs a body of a constant number of columns.
macro_rules! of_width {
    ($width:expr, $body:ident $fields:tt) => { of_width!($width, $body $fields: 2 3 4 5 6 7) };
    ($width:expr, $body:ident $fields:tt: $($each:literal)*) => {
        match $width {
            $($each => simd::run_widest($body::<T, $each> $fields),)*
            _ => unreachable!("two to seven columns"),
        }
    };
}

/// Writes element `i` of column `k` to `to[i * row + k]`, for `n` elements of `width` columns that are `step` apart.
///
/// # Safety
/// All of it is valid, and the two sides are apart.
pub(super) unsafe fn weave<T: Copy>(from: *const T, step: isize, width: usize, to: *mut T, row: isize, n: usize) {
    of_width!(width, Weave { from, step, to, row, n })
}

struct Weave<T, const W: usize> {
    from: *const T,
    step: isize,
    to: *mut T,
    row: isize,
    n: usize,
}

impl<T: Copy, const W: usize> Body for Weave<T, W> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        let Weave { from, step, to, row, n } = self;
        // SAFETY: `weave`'s.
        unsafe {
            let blocks = if W <= 4 { n / BLOCK * BLOCK } else { 0 };
            for i in (0..blocks).step_by(BLOCK) {
                let columns: [[T; BLOCK]; W] =
                    from_fn(|k| from.offset(k as isize * step).add(i).cast::<[T; BLOCK]>().read_unaligned());
                let rows: [[T; W]; BLOCK] = from_fn(|i| from_fn(|k| columns[k][i]));
                let to = to.offset(i as isize * row);
                if row == W as isize {
                    to.cast::<[[T; W]; BLOCK]>().write_unaligned(rows);
                } else {
                    (0..BLOCK).for_each(|i| to.offset(i as isize * row).cast::<[T; W]>().write_unaligned(rows[i]));
                }
            }
            for i in blocks..n {
                let elements: [T; W] = from_fn(|k| from.offset(k as isize * step).add(i).read());
                to.offset(i as isize * row).cast::<[T; W]>().write_unaligned(elements);
            }
        }
    }
}

/// The way back: writes `from[i * width + k]` to element `i` of column `k`.
///
/// # Safety
/// As [`weave`].
pub(super) unsafe fn unweave<T: Copy>(from: *const T, width: usize, to: *mut T, step: isize, n: usize) {
    of_width!(width, Unweave { from, to, step, n })
}

struct Unweave<T, const W: usize> {
    from: *const T,
    to: *mut T,
    step: isize,
    n: usize,
}

impl<T: Copy, const W: usize> Body for Unweave<T, W> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        let Unweave { from, to, step, n } = self;
        // SAFETY: `unweave`'s.
        unsafe {
            let rows = from.cast::<[T; W]>();
            let blocks = if W <= 4 { n / BLOCK * BLOCK } else { 0 };
            for i in (0..blocks).step_by(BLOCK) {
                let rows = rows.add(i).cast::<[[T; W]; BLOCK]>().read_unaligned();
                for k in 0..W {
                    let column: [T; BLOCK] = from_fn(|i| rows[i][k]);
                    to.offset(k as isize * step).add(i).cast::<[T; BLOCK]>().write_unaligned(column);
                }
            }
            for i in blocks..n {
                let row = rows.add(i).read_unaligned();
                (0..W).for_each(|k| to.offset(k as isize * step).add(i).write(row[k]));
            }
        }
    }
}
