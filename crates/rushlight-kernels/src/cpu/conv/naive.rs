//! The definition of a convolution and of its two transposed maps, element by element.

use super::Tensor;
use super::geometry::{Geometry, index3};
use crate::cpu::matmul::{Acc, Number};
use crate::cpu::pool;

/// The indices up to `size`, each with the one that `of` has for it along every dimension, if there are such.
fn pairs(size: [usize; 3], of: impl Fn([usize; 3], usize) -> Option<usize>) -> Vec<([usize; 3], [usize; 3])> {
    let index = |i: usize| {
        let i = index3(i, size);
        Some((i, [of(i, 0)?, of(i, 1)?, of(i, 2)?]))
    };
    (0..size.iter().product()).filter_map(index).collect()
}

/// # Safety
/// The tensors have the geometry's sizes; `y` overlaps none of the others.
pub(super) unsafe fn forward<T: Number>(
    g: &Geometry,
    x: Tensor<*const T>,
    w: Tensor<*const T>,
    bias: Option<Tensor<*const T>>,
    y: Tensor<*mut T>,
) {
    let outputs = g.groups * g.o;
    pool::run(g.n * outputs, |task| {
        let (n, o) = (task / outputs, task % outputs);
        for q in (0..g.result.iter().product()).map(|q| index3(q, g.result)) {
            let mut sum = T::Acc::ZERO;
            let read = pairs(g.kernel, |t, i| g.source(i, q[i], t[i]));
            for c in 0..g.c {
                for &(t, at) in &read {
                    // SAFETY: the indices lie within the tensors' sizes.
                    let (x, w) = unsafe { (x.read(n, o / g.o * g.c + c, at), w.read(o, c, t)) };
                    sum = sum.add(x.widen().mul(w.widen()));
                }
            }
            if let Some(bias) = bias {
                // SAFETY: as above.
                sum = sum.add(unsafe { bias.read(o, 0, [0; 3]) }.widen());
            }
            // SAFETY: as above, and each element belongs to one task.
            unsafe { y.write(n, o, q, T::narrow(sum)) };
        }
    });
}

/// # Safety
/// As [`forward`], with `out` in the role of `y`.
pub(super) unsafe fn input_grad<T: Number>(g: &Geometry, dy: Tensor<*const T>, w: Tensor<*const T>, out: Tensor<*mut T>) {
    let inputs = g.groups * g.c;
    pool::run(g.n * inputs, |task| {
        let (n, c) = (task / inputs, task % inputs);
        for i in (0..g.image.iter().product()).map(|i| index3(i, g.image)) {
            let mut sum = T::Acc::ZERO;
            let readers = pairs(g.kernel, |t, j| g.reader(j, i[j], t[j]));
            for o in c / g.c * g.o..(c / g.c + 1) * g.o {
                for &(t, at) in &readers {
                    // SAFETY: the indices lie within the tensors' sizes.
                    let (dy, w) = unsafe { (dy.read(n, o, at), w.read(o, c % g.c, t)) };
                    sum = sum.add(dy.widen().mul(w.widen()));
                }
            }
            // SAFETY: as above, and each element belongs to one task.
            unsafe { out.write(n, c, i, T::narrow(sum)) };
        }
    });
}

/// # Safety
/// As [`forward`], with `out` in the role of `y`.
pub(super) unsafe fn weight_grad<T: Number>(g: &Geometry, dy: Tensor<*const T>, x: Tensor<*const T>, out: Tensor<*mut T>) {
    pool::run(g.groups * g.o * g.c, |task| {
        let (o, c) = (task / g.c, task % g.c);
        for t in (0..g.taps()).map(|t| index3(t, g.kernel)) {
            let mut sum = T::Acc::ZERO;
            let read = pairs(g.result, |q, i| g.source(i, q[i], t[i]));
            for n in 0..g.n {
                for &(q, at) in &read {
                    // SAFETY: the indices lie within the tensors' sizes.
                    let (dy, x) = unsafe { (dy.read(n, o, q), x.read(n, o / g.o * g.c + c, at)) };
                    sum = sum.add(dy.widen().mul(x.widen()));
                }
            }
            // SAFETY: as above, and each element belongs to one task.
            unsafe { out.write(o, c, t, T::narrow(sum)) };
        }
    });
}
