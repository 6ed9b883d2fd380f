//! The regularised incomplete gamma functions of f64, by series, continued fraction and uniform expansion.

use std::f64::consts::PI;
use std::sync::OnceLock;

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

/// log Γ(1 + a), where 1 + a may lose the digits of a (DLMF 5.7.3).
fn lgamma_1p(a: f64) -> f64 {
    if a > 1e-3 {
        return libm::lgamma(1.0 + a);
    }
    // -γ, ζ(2)/2, -ζ(3)/3, ζ(4)/4, -ζ(5)/5
    let c = [
        -0.577_215_664_901_532_9,
        0.822_467_033_424_113_2,
        -0.400_685_634_386_531_43,
        0.270_580_808_427_784_55,
        -0.207_385_551_028_673_98,
    ];
    a * c.iter().rev().fold(0.0, |y, c| y * a + c)
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
    -(l - lgamma_1p(a)).exp_m1() - (l - libm::lgamma(a)).exp() * sum
}

/// Coefficients of Temme's expansion (DLMF 8.12.7): `C_k(η) = Σ d[k][n] ηⁿ`.
fn temme_coefficients() -> &'static [[f64; 26]; 5] {
    static D: OnceLock<[[f64; 26]; 5]> = OnceLock::new();
    D.get_or_init(|| {
        // m = Σ α_n ηⁿ solves m m' = η (1 + m), and C_0 = 1/m - 1/η = (m' - 1)/η - 1.
        let mut alpha = [0.0; 28];
        alpha[0] = 1.0;
        alpha[1] = 1.0;
        for n in 2..28 {
            let inner: f64 = (2..n).map(|j| j as f64 * alpha[j] * alpha[n + 1 - j]).sum();
            alpha[n] = (alpha[n - 1] - inner) / (n + 1) as f64;
        }
        // 1 / Γ*(a) in powers of 1/a
        let g = [1.0, -1.0 / 12.0, 1.0 / 288.0, 139.0 / 51840.0, -571.0 / 2488320.0];
        let mut d = [[0.0; 26]; 5];
        for n in 0..26 {
            d[0][n] = (n + 2) as f64 * alpha[n + 2] - (n == 0) as u8 as f64;
        }
        for k in 1..5 {
            // Each row is two terms shorter than the one before.
            for n in 0..26 - 2 * k {
                d[k][n] = (n + 2) as f64 * d[k - 1][n + 2] + g[k] * d[0][n];
            }
        }
        d
    })
}

/// (P, Q) for large a and x near it, by Temme's uniform expansion (DLMF 8.12.3, 8.12.4).
fn gamma_pq_temme(a: f64, x: f64) -> (f64, f64) {
    let m = (x - a) / a;
    let gap = log1p_gap(m, x / a);
    let eta = (2.0 * gap).sqrt().copysign(m);
    let mut sum = 0.0;
    for c in temme_coefficients().iter().rev() {
        sum = sum / a + c.iter().rev().fold(0.0, |y, c| y * eta + c);
    }
    let r = (-a * gap).exp() / (2.0 * PI * a).sqrt() * sum;
    let h = eta * (0.5 * a).sqrt();
    (0.5 * libm::erfc(-h) - r, 0.5 * libm::erfc(h) + r)
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
    if a > 1000.0 && (x - a).abs() < 0.15 * a {
        gamma_pq_temme(a, x)
    } else if x > 1.1 && x > a {
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
