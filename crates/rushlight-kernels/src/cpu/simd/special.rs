//! Special functions of f64.
//!
//! Domains and values at the edges are PyTorch's; the formulas are those of the DLMF (dlmf.nist.gov), whose numbers are given.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI, SQRT_2};

/// `x (1 + tanh u) / 2 = x / (1 + exp(-2u))` with `u = √(2/π) (x + 0.044715 x³)`.
pub(super) fn gelu_tanh(x: f64) -> f64 {
    let u = 0.797_884_560_802_865_4 * (x + 0.044715 * x * x * x);
    x / (1.0 + (-2.0 * u).exp())
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

/// `x^a e^-x / Γ(a + 1)` without cancellation of large logarithms.
fn gamma_prefactor(a: f64, x: f64) -> f64 {
    if a < 20.0 {
        return (a * x.ln() - x - libm::lgamma(a + 1.0)).exp();
    }
    // Stirling (DLMF 5.11.1): the large parts cancel into -a φ((x - a) / a) with φ(m) = m - log(1 + m).
    let r = 1.0 / (a * a);
    let stirling = (1.0 / 12.0 - r * (1.0 / 360.0 - r * (1.0 / 1260.0 - r * (1.0 / 1680.0 - r / 1188.0)))) / a;
    (-a * log1p_gap((x - a) / a, x / a) - stirling).exp() / (2.0 * PI * a).sqrt()
}

/// `m - log(1 + m)`, given also `1 + m`.
fn log1p_gap(m: f64, one_plus_m: f64) -> f64 {
    if m.abs() > 0.3 {
        return m - one_plus_m.ln();
    }
    // log(1 + m) = 2 artanh(s), s = m / (2 + m); so the gap is m s - 2 (s³/3 + s⁵/5 + …).
    let s = m / (2.0 + m);
    let s2 = s * s;
    let (mut power, mut sum, mut k) = (s * s2, 0.0, 3.0);
    while k < 40.0 {
        sum += power / k;
        power *= s2;
        k += 2.0;
    }
    m * s - 2.0 * sum
}

/// P(a, x) by its power series (DLMF 8.11.4).
fn gamma_p_series(a: f64, x: f64) -> f64 {
    let (mut term, mut sum, mut n) = (1.0, 1.0, a);
    for _ in 0..100_000 {
        n += 1.0;
        term *= x / n;
        sum += term;
        if term <= 1e-17 * sum {
            break;
        }
    }
    sum * gamma_prefactor(a, x)
}

/// Q(a, x) by Legendre's continued fraction (DLMF 8.9.2), for x > a + 1, by Lentz's method.
fn gamma_q_fraction(a: f64, x: f64) -> f64 {
    let mut b = x + 1.0 - a;
    let mut c = 1e300;
    let mut d = 1.0 / b;
    let mut h = d;
    for i in 1..100_000 {
        let an = -(i as f64) * (i as f64 - a);
        b += 2.0;
        d = 1.0 / (an * d + b);
        c = b + an / c;
        h *= d * c;
        if (d * c - 1.0).abs() < 1e-16 {
            break;
        }
    }
    h * a * gamma_prefactor(a, x)
}

/// Q(a, x) for small a and x, where 1 - P cancels (DLMF 8.7.3).
fn gamma_q_small(a: f64, x: f64) -> f64 {
    let (mut power, mut sum) = (1.0, 0.0);
    for n in 1..200 {
        power *= -x / n as f64;
        let term = power / (a + n as f64);
        sum += term;
        if term.abs() <= 1e-17 * f64::abs(sum) {
            break;
        }
    }
    let l = a * x.ln();
    -(l - libm::lgamma(1.0 + a)).exp_m1() - (l - libm::lgamma(a)).exp() * sum
}

/// (P(a, x), Q(a, x)); the smaller of the two is computed, the other is one minus it.
fn gamma_pq(a: f64, x: f64) -> (f64, f64) {
    const NAN: (f64, f64) = (f64::NAN, f64::NAN);
    if a.is_nan() || x.is_nan() || a < 0.0 || x < 0.0 {
        return NAN;
    }
    if a == 0.0 {
        return if x > 0.0 { (1.0, 0.0) } else { NAN };
    }
    if x == 0.0 {
        return (0.0, 1.0);
    }
    if a == f64::INFINITY {
        return if x == f64::INFINITY { NAN } else { (0.0, 1.0) };
    }
    if x == f64::INFINITY {
        return (1.0, 0.0);
    }
    if x > 1.1 && x > a {
        let q = gamma_q_fraction(a, x);
        (1.0 - q, q)
    } else if x <= 1.1 && (if x <= 0.5 { -0.4 / x.ln() >= a } else { x * 1.1 >= a }) {
        let q = gamma_q_small(a, x);
        (1.0 - q, q)
    } else {
        let p = gamma_p_series(a, x);
        (p, 1.0 - p)
    }
}

/// P(a, x).
pub(super) fn igamma(a: f64, x: f64) -> f64 {
    gamma_pq(a, x).0
}
/// Q(a, x).
pub(super) fn igammac(a: f64, x: f64) -> f64 {
    gamma_pq(a, x).1
}
