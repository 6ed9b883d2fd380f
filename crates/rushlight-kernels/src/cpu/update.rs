//! Optimizer steps: parameter, gradient and state of many tensors in one pass and one region of the pool.
//!
//! The formulas are those of `optim/` in the crate above, operation by operation, so that a step has the same bits whichever way it goes.
//! One loop for each rule: a step reads and writes more streams than the registers of a tile program hold, and is bound by memory here.

use super::pool;
use super::simd::{self, Body, Isa};
use crate::backend::{UpdateRule, View, ViewMut};
use crate::{DType, Element};
use std::ops::{Add, Div, Mul, Sub};

#[cfg(test)]
mod tests;

/// Elements of one task: about 10 µs of work.
const CHUNK: usize = 1 << 14;

/// See [`Backend`](crate::backend::Backend).
pub fn update(rule: &UpdateRule, grads: &[View], outs: &mut [ViewMut]) -> bool {
    let each = rule.outputs();
    let Some(first) = outs.first() else { return true };
    let (dtype, same) = (first.dtype, outs.len() == each * grads.len());
    let fits = |i: usize| {
        let g = &grads[i];
        let one = |v: &ViewMut| v.dtype == dtype && v.layout.is_contiguous() && v.numel() == g.numel();
        g.dtype == dtype && g.layout.is_contiguous() && outs[i * each..][..each].iter().all(one)
    };
    if !same || !(0..grads.len()).all(fits) {
        return false;
    }
    match dtype {
        DType::F32 => run::<f32>(rule, grads, outs, each),
        DType::F64 => run::<f64>(rule, grads, outs, each),
        _ => return false,
    }
    true
}

/// A piece of a tensor: its gradient, then what is overwritten, the parameter first.
struct Piece<T> {
    grad: *const T,
    outs: [*mut T; UpdateRule::MOST],
    len: usize,
}
// SAFETY: pieces are disjoint, and each is worked on by one task.
unsafe impl<T> Sync for Piece<T> {}

fn run<T: Float>(rule: &UpdateRule, grads: &[View], outs: &mut [ViewMut], each: usize) {
    let mut pieces = Vec::with_capacity(grads.len());
    for (g, outs) in grads.iter().zip(outs.chunks(each)) {
        let n = g.numel();
        for start in (0..n).step_by(CHUNK) {
            let mut to = [std::ptr::null_mut(); UpdateRule::MOST];
            to.iter_mut().zip(outs).for_each(|(to, out)| *to = out.ptr::<T>().wrapping_add(start));
            pieces.push(Piece { grad: g.ptr::<T>().wrapping_add(start), outs: to, len: (n - start).min(CHUNK) });
        }
    }
    // Small tensors share a task.
    let total: usize = pieces.iter().map(|p| p.len).sum();
    let grain = (CHUNK * pieces.len()).checked_div(total).unwrap_or(1);
    pool::for_ranges(pieces.len(), grain, |range| {
        for piece in &pieces[range] {
            simd::run(Step { rule, piece });
        }
    });
}

/// One piece's update.
struct Step<'a, T> {
    rule: &'a UpdateRule,
    piece: &'a Piece<T>,
}

impl<T: Float> Body for Step<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Isa>(self) {
        let p = self.piece;
        // SAFETY: the views are contiguous and have as many elements; what is written overlaps nothing.
        let (g, at) =
            unsafe { (std::slice::from_raw_parts(p.grad, p.len), |k: usize| std::slice::from_raw_parts_mut(p.outs[k], p.len)) };
        let t = T::of;
        match *self.rule {
            UpdateRule::Sgd { lr, weight_decay, sign } => {
                each_with_decay(g, at(0), t(sign), t(weight_decay), |_, p, g| p - g * t(lr));
            }
            UpdateRule::Momentum { lr, momentum, fresh, nesterov, weight_decay, sign } => {
                let (v, momentum, fresh, lr) = (at(1), t(momentum), t(fresh), t(lr));
                each_with_decay(g, at(0), t(sign), t(weight_decay), |i, p, g| {
                    v[i] = v[i] * momentum + g * fresh;
                    let d = if nesterov { g + v[i] * momentum } else { v[i] };
                    p - d * lr
                });
            }
            UpdateRule::Adam { beta1, beta2, eps, rate, correction, weight_decay, shrink, sign } => {
                let (m, v) = (at(1), at(2));
                let (near1, keep2, near2) = (t(1.0 - beta1), t(beta2), t(1.0 - beta2));
                let (eps, rate, correction, shrink) = (t(eps), t(rate), t(correction), t(shrink));
                each_with_decay(g, at(0), t(sign), t(weight_decay), |i, p, g| {
                    m[i] = m[i] + (g - m[i]) * near1;
                    v[i] = v[i] * keep2 + g * g * near2;
                    p * shrink + m[i] / (v[i].sqrt() * correction + eps) * rate
                });
            }
            UpdateRule::RmsProp { lr, alpha, eps, weight_decay, sign } => {
                let (v, keep, near, eps, rate) = (at(1), t(alpha), t(1.0 - alpha), t(eps), t(-lr));
                each_with_decay(g, at(0), t(sign), t(weight_decay), |i, p, g| {
                    v[i] = v[i] * keep + g * g * near;
                    p + g / (v[i].sqrt() + eps) * rate
                });
            }
            UpdateRule::Adagrad { rate, eps, weight_decay, sign } => {
                let (sum, eps, rate) = (at(1), t(eps), t(rate));
                each_with_decay(g, at(0), t(sign), t(weight_decay), |i, p, g| {
                    sum[i] = sum[i] + g * g;
                    p + g / (sum[i].sqrt() + eps) * rate
                });
            }
        }
    }
}

/// `p[i] = f(i, p[i], g)` with `g = sign * g[i] + decay * p[i]`. Without decay the product is left out: it would be NaN for an infinite parameter.
#[inline(always)]
fn each_with_decay<T: Float>(g: &[T], p: &mut [T], sign: T, decay: T, mut f: impl FnMut(usize, T, T) -> T) {
    let n = p.len();
    let g = &g[..n];
    if decay == T::of(0.0) {
        for i in 0..n {
            p[i] = f(i, p[i], g[i] * sign);
        }
    } else {
        for i in 0..n {
            p[i] = f(i, p[i], g[i] * sign + p[i] * decay);
        }
    }
}

/// What the rules compute with.
trait Float: Element + PartialEq + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> {
    fn of(x: f64) -> Self;
    fn sqrt(self) -> Self;
}
macro_rules! float {
    ($($t:ty)*) => {$(
        impl Float for $t {
            #[inline(always)]
            fn of(x: f64) -> $t {
                x as $t
            }
            #[inline(always)]
            fn sqrt(self) -> $t {
                <$t>::sqrt(self)
            }
        }
    )*};
}
float!(f32 f64);
