//! The pointwise parts of recurrent cells, for one row of a batch.
//!
//! Loops are functions whose slices are arguments: so the compiler knows that they do not overlap.

use crate::cpu::simd::{Isa, Real};

/// What a recurrent cell does besides its products.
pub(super) trait Cell {
    const GATES: usize;
    /// Values kept for the derivative, per unit.
    const SAVED: usize;
    /// Which of them is the cell state.
    const CELL_AT: usize = 0;
    /// There is a cell state.
    const HAS_CELL: bool = false;
    /// What comes from the inputs and what comes from the hidden state do not simply add.
    const SPLITS_INPUT: bool = false;

    /// From the projected inputs and the gates before their nonlinearities (which include the inputs unless `SPLITS_INPUT`) to the hidden state.
    fn forward<S: Isa, A: Real>(x: &[A], gates: &[A], before: &[A], cell: &mut [A], saved: &mut [A], y: &mut [A]);

    /// From the gradient of the output, to which `carried` adds what later steps want, to those of the gates; and what earlier steps have to add:
    /// `carried_cell`, and, for `SPLITS_INPUT`, the part of `carried` that does not pass through the gates.
    #[allow(clippy::too_many_arguments, reason = "one row of each matrix")]
    fn backward<S: Isa, A: Real>(
        gy: &[A],
        y: &[A],
        before: &[A],
        cell_before: &[A],
        saved: &[A],
        to_x: &mut [A],
        to_gates: &mut [A],
        carried: &mut [A],
        carried_cell: &mut [A],
    );
}

/// `y = f(x)`, element by element.
#[inline(always)]
fn map<A: Real>(x: &[A], y: &mut [A], f: impl Fn(A) -> A) {
    for (x, y) in x.iter().zip(y) {
        *y = f(*x);
    }
}

/// Parts of equal length.
#[inline(always)]
fn parts<const N: usize, A>(x: &[A]) -> [&[A]; N] {
    let n = x.len() / N;
    std::array::from_fn(|i| &x[i * n..(i + 1) * n])
}

/// [`parts`] to write.
#[inline(always)]
fn parts_mut<const N: usize, A>(x: &mut [A]) -> [&mut [A]; N] {
    let (n, start) = (x.len() / N, x.as_mut_ptr());
    // SAFETY: parts that do not overlap, of the slice that is borrowed for as long.
    std::array::from_fn(|i| unsafe { std::slice::from_raw_parts_mut(start.add(i * n), n) })
}

pub(super) struct Lstm;

impl Cell for Lstm {
    const GATES: usize = 4;
    /// The four gates, the cell state and its hyperbolic tangent.
    const SAVED: usize = 6;
    const CELL_AT: usize = 4;
    const HAS_CELL: bool = true;

    #[inline(always)]
    fn forward<S: Isa, A: Real>(_: &[A], gates: &[A], _: &[A], cell: &mut [A], saved: &mut [A], y: &mut [A]) {
        #[inline(always)]
        #[allow(clippy::too_many_arguments, reason = "slices that do not overlap")]
        fn finish<S: Isa, A: Real>(i: &[A], f: &[A], g: &[A], o: &[A], c: &mut [A], kept: &mut [A], t: &mut [A], y: &mut [A]) {
            let n = y.len();
            let (i, f, g, o, c, kept, t) = (&i[..n], &f[..n], &g[..n], &o[..n], &mut c[..n], &mut kept[..n], &mut t[..n]);
            for j in 0..n {
                let x = f[j] * c[j] + i[j] * g[j];
                (c[j], kept[j]) = (x, x);
                let x = x.tanh::<S>();
                (t[j], y[j]) = (x, o[j] * x);
            }
        }
        let [x_i, x_f, x_g, x_o] = parts(gates);
        let [i, f, g, o, kept, t] = parts_mut(saved);
        map(x_i, i, A::sigmoid::<S>);
        map(x_f, f, A::sigmoid::<S>);
        map(x_g, g, A::tanh::<S>);
        map(x_o, o, A::sigmoid::<S>);
        finish::<S, A>(i, f, g, o, cell, kept, t, y);
    }

    #[inline(always)]
    fn backward<S: Isa, A: Real>(
        gy: &[A],
        _: &[A],
        _: &[A],
        before: &[A],
        saved: &[A],
        to_x: &mut [A],
        _: &mut [A],
        carried: &mut [A],
        carried_cell: &mut [A],
    ) {
        #[inline(always)]
        #[allow(clippy::too_many_arguments, reason = "slices that do not overlap")]
        fn go<A: Real>(
            [gy, gh, before, i, f, g, o, t]: [&[A]; 8],
            gi: &mut [A],
            gf: &mut [A],
            gg: &mut [A],
            go: &mut [A],
            gc: &mut [A],
        ) {
            let n = gc.len();
            let (gi, gf, gg, go) = (&mut gi[..n], &mut gf[..n], &mut gg[..n], &mut go[..n]);
            let (gy, gh, before, t) = (&gy[..n], &gh[..n], &before[..n], &t[..n]);
            let (i, f, g, o) = (&i[..n], &f[..n], &g[..n], &o[..n]);
            for j in 0..n {
                let (one, gh) = (A::ONE, gy[j] + gh[j]);
                let c = gc[j] + gh * o[j] * (one - t[j] * t[j]);
                gi[j] = c * g[j] * (i[j] * (one - i[j]));
                gf[j] = c * before[j] * (f[j] * (one - f[j]));
                gg[j] = c * i[j] * (one - g[j] * g[j]);
                go[j] = gh * t[j] * (o[j] * (one - o[j]));
                gc[j] = c * f[j];
            }
        }
        let [i, f, g, o, _, t] = parts(saved);
        let [gi, gf, gg, go_] = parts_mut(to_x);
        go([gy, carried, before, i, f, g, o, t], gi, gf, gg, go_, carried_cell);
    }
}

pub(super) struct Gru;

impl Cell for Gru {
    const GATES: usize = 3;
    /// The three gates, and what the hidden state adds to the last.
    const SAVED: usize = 4;
    const SPLITS_INPUT: bool = true;

    #[inline(always)]
    fn forward<S: Isa, A: Real>(x: &[A], gates: &[A], before: &[A], _: &mut [A], saved: &mut [A], y: &mut [A]) {
        #[inline(always)]
        fn gate<S: Isa, A: Real>(x: &[A], h: &[A], y: &mut [A]) {
            for ((x, h), y) in x.iter().zip(h).zip(y) {
                *y = (*x + *h).sigmoid::<S>();
            }
        }
        #[inline(always)]
        fn finish<S: Isa, A: Real>([x, hn, before, r, z]: [&[A]; 5], n: &mut [A], kept: &mut [A], y: &mut [A]) {
            let len = y.len();
            let (x, hn, before, r, z) = (&x[..len], &hn[..len], &before[..len], &r[..len], &z[..len]);
            let (n, kept) = (&mut n[..len], &mut kept[..len]);
            for j in 0..len {
                let new = (x[j] + r[j] * hn[j]).tanh::<S>();
                (n[j], kept[j]) = (new, hn[j]);
                y[j] = (before[j] - new) * z[j] + new;
            }
        }
        let ([xr, xz, xn], [hr, hz, hn]) = (parts(x), parts(gates));
        let [r, z, n, kept] = parts_mut(saved);
        gate::<S, A>(xr, hr, r);
        gate::<S, A>(xz, hz, z);
        finish::<S, A>([xn, hn, before, r, z], n, kept, y);
    }

    #[inline(always)]
    fn backward<S: Isa, A: Real>(
        gy: &[A],
        _: &[A],
        before: &[A],
        _: &[A],
        saved: &[A],
        to_x: &mut [A],
        to_gates: &mut [A],
        carried: &mut [A],
        _: &mut [A],
    ) {
        #[inline(always)]
        fn go<A: Real>([gy, before, r, z, n, hn]: [&[A]; 6], gr: &mut [A], gz: &mut [A], gn: &mut [A], gh: &mut [A]) {
            let len = gh.len();
            let (gy, before, r, z, n, hn) = (&gy[..len], &before[..len], &r[..len], &z[..len], &n[..len], &hn[..len]);
            let (gr, gz, gn) = (&mut gr[..len], &mut gz[..len], &mut gn[..len]);
            for j in 0..len {
                let (one, g) = (A::ONE, gy[j] + gh[j]);
                let new = g * (one - z[j]) * (one - n[j] * n[j]);
                gn[j] = new;
                gr[j] = new * hn[j] * (r[j] * (one - r[j]));
                gz[j] = g * (before[j] - n[j]) * (z[j] * (one - z[j]));
                gh[j] = g * z[j];
            }
        }
        #[inline(always)]
        fn reset<A: Real>(gn: &[A], r: &[A], to: &mut [A]) {
            for ((g, r), to) in gn.iter().zip(r).zip(to) {
                *to = *g * *r;
            }
        }
        let [r, z, n, hn] = parts(saved);
        {
            let [gr, gz, gn] = parts_mut(to_x);
            go([gy, before, r, z, n, hn], gr, gz, gn, carried);
        }
        let h = gy.len();
        to_gates[..2 * h].copy_from_slice(&to_x[..2 * h]);
        reset(&to_x[2 * h..], r, &mut to_gates[2 * h..]);
    }
}

/// Elman's cells: a nonlinearity, and the gradient of its argument from its result and that one's gradient.
macro_rules! elman {
    ($name:ident, |$x:ident| $forward:expr, |$y:ident, $g:ident| $backward:expr) => {
        pub(super) struct $name;

        impl Cell for $name {
            const GATES: usize = 1;
            const SAVED: usize = 0;

            #[inline(always)]
            fn forward<S: Isa, A: Real>(_: &[A], gates: &[A], _: &[A], _: &mut [A], _: &mut [A], y: &mut [A]) {
                map(gates, y, |$x| $forward);
            }

            #[inline(always)]
            fn backward<S: Isa, A: Real>(
                gy: &[A],
                y: &[A],
                _: &[A],
                _: &[A],
                _: &[A],
                to_x: &mut [A],
                _: &mut [A],
                carried: &mut [A],
                _: &mut [A],
            ) {
                for (((gy, y), gh), to) in gy.iter().zip(y).zip(carried).zip(to_x) {
                    let ($y, $g) = (*y, *gy + *gh);
                    *to = $backward;
                }
            }
        }
    };
}
elman!(Tanh, |x| x.tanh::<S>(), |y, g| g * (A::ONE - y * y));
// NaN passes, as in relu itself.
elman!(Relu, |x| if x < A::ZERO { A::ZERO } else { x }, |y, g| if y <= A::ZERO { A::ZERO } else { g });
