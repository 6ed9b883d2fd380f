//! Special functions of f64.
//!
//! Domains and values at the edges are PyTorch's; the formulas are those of the DLMF (dlmf.nist.gov), whose numbers are given.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI, SQRT_2};

/// Inverse hyperbolic cosine; libm's has values below -1 too.
pub(super) fn acosh(x: f64) -> f64 {
    if x >= 1.0 { libm::acosh(x) } else { f64::NAN }
}

/// `e^(x²) erfc(x)`, which neither overflows nor underflows for `x >= 0`.
pub(super) fn erfcx(x: f64) -> f64 {
    if x > 10.0 {
        // DLMF 7.12.1; the terms shrink below 1e-17 before they grow.
        let r = 0.5 / (x * x);
        let (mut term, mut sum, mut k) = (1.0, 1.0, 1.0);
        while k < 30.0 {
            term *= -k * r;
            sum += term;
            if f64::abs(term) < 1e-17 {
                break;
            }
            k += 2.0;
        }
        0.5 * FRAC_2_SQRT_PI / x * sum
    } else {
        // The rounding error of x² would be magnified by exp: add it back.
        let h = x * x;
        let l = libm::fma(x, x, -h);
        h.exp() * (1.0 + l) * libm::erfc(x)
    }
}

/// log Φ(x).
pub(super) fn log_ndtr(x: f64) -> f64 {
    let t = x * FRAC_1_SQRT_2;
    if x < -1.0 { (0.5 * erfcx(-t)).ln() - t * t } else { (-0.5 * libm::erfc(t)).ln_1p() }
}

/// The `x > 0` with `erfc(x) = q`, for `0 < q <= 1/2`: Newton's method on log erfc, which is nearly a parabola.
fn erfcinv_tail(q: f64) -> f64 {
    let l = -q.ln();
    // erfc(x) ≈ exp(-x²) / (x √π) gives a start within a few per cent.
    let mut x = (l - 0.5 * (PI * l).ln()).max(0.2).sqrt();
    for _ in 0..6 {
        let e = erfcx(x);
        let step = (e.ln() - x * x + l) * e / FRAC_2_SQRT_PI;
        x += step;
        if step.abs() <= 1e-10 * x {
            break;
        }
    }
    x
}

/// Inverse error function.
pub(super) fn erfinv(y: f64) -> f64 {
    let a = y.abs();
    if a == 1.0 {
        return y * f64::INFINITY;
    }
    if a.is_nan() || a > 1.0 {
        return f64::NAN;
    }
    if a > 0.5 {
        return erfcinv_tail(1.0 - a).copysign(y);
    }
    // DLMF 7.17.2, then Newton's method.
    let z = y / FRAC_2_SQRT_PI;
    let z2 = z * z;
    let mut x = z * (1.0 + z2 * (1.0 / 3.0 + z2 * (7.0 / 30.0 + z2 * (127.0 / 630.0))));
    for _ in 0..3 {
        x -= (libm::erf(x) - y) * (x * x).exp() / FRAC_2_SQRT_PI;
    }
    // For tiny y, erf(x) - y has no digits left, nor is any needed.
    if a < 1e-8 { z } else { x }
}

/// Normal quantile: the `x` with `Φ(x) = p`.
pub(super) fn ndtri(p: f64) -> f64 {
    if p == 0.0 {
        f64::NEG_INFINITY
    } else if p == 1.0 {
        f64::INFINITY
    } else if !(p > 0.0 && p < 1.0) {
        f64::NAN
    } else if p < 0.25 {
        -SQRT_2 * erfcinv_tail(2.0 * p)
    } else if p > 0.75 {
        SQRT_2 * erfcinv_tail(2.0 * (1.0 - p))
    } else {
        SQRT_2 * erfinv(2.0 * p - 1.0)
    }
}

/// Bernoulli numbers B₂, B₄, …
const BERNOULLI: [f64; 12] = [
    1.0 / 6.0,
    -1.0 / 30.0,
    1.0 / 42.0,
    -1.0 / 30.0,
    5.0 / 66.0,
    -691.0 / 2730.0,
    7.0 / 6.0,
    -3617.0 / 510.0,
    43867.0 / 798.0,
    -174611.0 / 330.0,
    854513.0 / 138.0,
    -236364091.0 / 2730.0,
];

/// Γ'(x) / Γ(x); ∓∞ at ±0, NaN at negative whole numbers.
pub(super) fn digamma(mut x: f64) -> f64 {
    if x == 0.0 {
        return f64::INFINITY.copysign(-x);
    }
    let mut y = 0.0;
    if x < 0.0 {
        if x == x.trunc() {
            return f64::NAN;
        }
        // Reflection (DLMF 5.5.4); the tangent of the fraction is exact where that of πx is not.
        y -= PI / (PI * x.fract()).tan();
        x = 1.0 - x;
    }
    while x < 10.0 {
        y -= 1.0 / x;
        x += 1.0;
    }
    // DLMF 5.11.2
    let r = 1.0 / (x * x);
    let mut tail = 0.0;
    for k in (0..8).rev() {
        tail = (tail + BERNOULLI[k] / (2.0 * (k + 1) as f64)) * r;
    }
    y + x.ln() - 0.5 / x - tail
}

/// Hurwitz's zeta function `Σ (q + k)^-s` by Euler and Maclaurin (DLMF 25.11.28 in effect).
pub(super) fn zeta(s: f64, q: f64) -> f64 {
    if s == 1.0 {
        return f64::INFINITY;
    }
    if s.is_nan() || q.is_nan() || s < 1.0 {
        return f64::NAN;
    }
    if q <= 0.0 {
        if q == q.floor() {
            return f64::INFINITY;
        }
        if s != s.floor() {
            return f64::NAN;
        }
    }
    let (mut sum, mut a, mut i) = (0.0, q, 0);
    while i < 10 || a <= 10.0 {
        let term = a.powf(-s);
        sum += term;
        if term.abs() < f64::EPSILON * 0.5 * sum.abs() && a > 0.0 {
            return sum;
        }
        a += 1.0;
        i += 1;
    }
    let b = a.powf(-s);
    sum += a * b / (s - 1.0) + 0.5 * b;
    let mut f = s * b / a;
    for (k, bernoulli) in BERNOULLI.iter().enumerate() {
        let n = 2.0 * (k + 1) as f64;
        // f = s (s+1) … (s+n-2) a^-(s+n-1) / (n-1)!
        let term = bernoulli / n * f;
        sum += term;
        if term.abs() < f64::EPSILON * 0.5 * sum.abs() {
            break;
        }
        f *= (s + n - 1.0) / n * ((s + n) / (n + 1.0)) / (a * a);
    }
    sum
}

/// Derivative number `n` of digamma at `x`.
pub(super) fn polygamma(n: f64, x: f64) -> f64 {
    if n == 0.0 {
        return digamma(x);
    }
    if n < 0.0 || n != n.trunc() {
        return f64::NAN;
    }
    if n == 1.0 && x < 0.5 {
        // Reflection (DLMF 5.15.6) where the sum over k would run through all of [x, 10].
        let s = (PI * (x - x.round())).sin();
        return PI * PI / (s * s) - zeta(2.0, 1.0 - x);
    }
    let sign = if n % 2.0 == 1.0 { 1.0 } else { -1.0 };
    sign * libm::lgamma(n + 1.0).exp() * zeta(n + 1.0, x)
}

/// `(I₀(x), I₁(x))`, both times `e^-x`, for `x >= 0`.
fn bessel_i(x: f64) -> (f64, f64) {
    if x.is_nan() {
        return (x, x);
    }
    if x <= 30.0 {
        // DLMF 10.25.2: all terms are positive.
        let (h, scale) = (0.25 * x * x, (-x).exp());
        let (mut t0, mut t1, mut s0, mut s1, mut k) = (1.0, 1.0, 1.0, 1.0, 1.0);
        while t0 > 1e-17 * s0 {
            t0 *= h / (k * k);
            t1 *= h / (k * (k + 1.0));
            s0 += t0;
            s1 += t1;
            k += 1.0;
        }
        (s0 * scale, 0.5 * x * s1 * scale)
    } else {
        // DLMF 10.40.1
        let series = |mu: f64| {
            let (mut term, mut sum, mut k) = (1.0, 1.0, 1.0);
            while k < 40.0 && f64::abs(term) > 1e-17 {
                let odd = 2.0 * k - 1.0;
                term *= (odd * odd - mu) / (8.0 * k * x);
                sum += term;
                k += 1.0;
            }
            sum
        };
        let root = (2.0 * PI * x).sqrt();
        (series(0.0) / root, series(4.0) / root)
    }
}

/// Modified Bessel function I₀.
pub(super) fn i0(x: f64) -> f64 {
    let a = x.abs();
    unscale(bessel_i(a).0, a)
}
/// e^-|x| I₀(x).
pub(super) fn i0e(x: f64) -> f64 {
    bessel_i(x.abs()).0
}
/// Modified Bessel function I₁.
pub(super) fn i1(x: f64) -> f64 {
    let a = x.abs();
    unscale(bessel_i(a).1, a).copysign(x)
}
/// e^-|x| I₁(x).
pub(super) fn i1e(x: f64) -> f64 {
    bessel_i(x.abs()).1.copysign(x)
}

/// `y e^x`, where `e^x` alone may overflow.
fn unscale(y: f64, x: f64) -> f64 {
    if x == f64::INFINITY {
        return x;
    }
    let half = (0.5 * x).exp();
    y * half * half
}

#[cfg(test)]
mod tests;
