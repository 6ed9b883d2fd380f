//! Symmetric eigenvalues and singular values.

use super::factor::qr;
use super::{dot, norm, transposed};

/// Rotations of one off-diagonal element before it counts as stuck; two or three are usual.
const MOST_STEPS: usize = 60;
/// Sweeps over all pairs of columns; six to ten are usual.
const MOST_SWEEPS: usize = 60;

/// Eigenvalues in rising order, and eigenvectors as columns, of the symmetric matrix `a`, of which the lower triangle is read. `None` if it has
/// elements that are not finite.
pub(super) fn eigh(a: &[f64], n: usize) -> Option<(Vec<f64>, Vec<f64>)> {
    let mut rows: Vec<f64> = (0..n * n).map(|i| if i % n <= i / n { a[i] } else { a[i % n * n + i / n] }).collect();
    if rows.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let (mut d, mut e) = tridiagonal(&mut rows, n);
    implicit_ql(&mut d, &mut e, &mut rows, n)?;
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| d[i].total_cmp(&d[j]));
    let values = order.iter().map(|&i| d[i]).collect();
    let sorted: Vec<f64> = order.iter().flat_map(|&i| rows[i * n..][..n].iter().copied()).collect();
    Some((values, transposed(&sorted, n, n)))
}

/// Brings the symmetric matrix `a` to tridiagonal form by Householder reflections: answers the diagonal and, from its second element on, what
/// stands beside it. `a` becomes Qᵀ, the product of the reflections, by rows.
fn tridiagonal(a: &mut [f64], n: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut d, mut e) = (vec![0.0; n], vec![0.0; n]);
    // The reflection made at step i acts on the first i coordinates.
    let mut reflections: Vec<(Vec<f64>, f64)> = Vec::with_capacity(n);
    for i in (1..n).rev() {
        let mut v = a[i * n..][..i].to_vec();
        d[i] = a[i * n + i];
        let last = v[i - 1];
        let rest = norm(&v[..i - 1]);
        if rest == 0.0 {
            e[i] = last;
            reflections.push((v, 0.0));
            continue;
        }
        e[i] = -last.hypot(rest).copysign(last);
        let scale = last - e[i];
        v.iter_mut().for_each(|x| *x /= scale);
        v[i - 1] = 1.0;
        let tau = (e[i] - last) / e[i];
        // A -= v wᵀ + w vᵀ, where p = tau A v and w = p - (tau/2)(p·v) v.
        let mut w: Vec<f64> = (0..i).map(|r| tau * dot(&a[r * n..][..i], &v)).collect();
        let half = 0.5 * tau * dot(&w, &v);
        w.iter_mut().zip(&v).for_each(|(w, v)| *w -= half * v);
        for r in 0..i {
            let (vr, wr) = (v[r], w[r]);
            for ((x, w), v) in a[r * n..][..i].iter_mut().zip(&w).zip(&v) {
                *x -= vr * w + wr * v;
            }
        }
        reflections.push((v, tau));
    }
    if n > 0 {
        d[0] = a[0];
    }
    // Q is the product of the reflections, the first on the left; its transpose is built row by row from the other end.
    a.fill(0.0);
    (0..n).for_each(|i| a[i * n + i] = 1.0);
    for (v, tau) in reflections.iter().rev().filter(|r| r.1 != 0.0) {
        // Rows that earlier steps have not touched are unit vectors outside of v's coordinates.
        for row in a.chunks_exact_mut(n).take(v.len()) {
            let s = tau * dot(&row[..v.len()], v);
            row[..v.len()].iter_mut().zip(v).for_each(|(x, v)| *x -= s * v);
        }
    }
    (d, e)
}

/// Diagonalises a symmetric tridiagonal matrix by QL steps with implicit shifts (Golub and Van Loan, "Matrix Computations", 8.3), and turns the
/// rows of `vectors` along.
fn implicit_ql(d: &mut [f64], e: &mut [f64], vectors: &mut [f64], n: usize) -> Option<()> {
    e.rotate_left(n.min(1));
    for l in 0..n {
        for step in 0.. {
            // The block that starts at l ends where what stands beside the diagonal is negligible.
            let m = (l..n - 1).find(|&m| e[m].abs() <= f64::EPSILON * (d[m].abs() + d[m + 1].abs())).unwrap_or(n - 1);
            if m == l {
                break;
            }
            if step == MOST_STEPS {
                return None;
            }
            // Wilkinson's shift: the eigenvalue of the leading 2×2 block that is nearer to d[l].
            let mut g = (d[l + 1] - d[l]) / (2.0 * e[l]);
            let root = g.hypot(1.0);
            g = d[m] - d[l] + e[l] / (g + root.copysign(g));
            let (mut s, mut c, mut p) = (1.0, 1.0, 0.0);
            let mut whole = true;
            for i in (l..m).rev() {
                let (f, b) = (s * e[i], c * e[i]);
                let r = f.hypot(g);
                e[i + 1] = r;
                if r == 0.0 {
                    // The block falls apart here: begin again with the smaller one.
                    d[i + 1] -= p;
                    e[m] = 0.0;
                    whole = false;
                    break;
                }
                (s, c) = (f / r, g / r);
                g = d[i + 1] - p;
                let t = (d[i] - g) * s + 2.0 * c * b;
                p = s * t;
                d[i + 1] = g + p;
                g = c * t - b;
                let (upper, lower) = vectors.split_at_mut((i + 1) * n);
                rotate(&mut upper[i * n..], &mut lower[..n], c, s);
            }
            if whole {
                d[l] -= p;
                e[l] = g;
                e[m] = 0.0;
            }
        }
    }
    Some(())
}

/// `(x, y) = (c x - s y, s x + c y)`.
fn rotate(x: &mut [f64], y: &mut [f64], c: f64, s: f64) {
    for (x, y) in x.iter_mut().zip(y) {
        (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
    }
}

/// `a = U diag(s) Vᵀ` with falling singular values: answers U, s and Vᵀ. U has `min(m, n)` columns and Vᵀ as many rows; with `full` both are
/// square. `None` if `a` has elements that are not finite.
pub(super) fn svd(a: &[f64], m: usize, n: usize, full: bool) -> Option<(Vec<f64>, Vec<f64>, Vec<f64>)> {
    if a.iter().any(|v| !v.is_finite()) {
        return None;
    }
    if m < n {
        let (v, s, ut) = svd(&transposed(a, m, n), n, m, full)?;
        let columns = if full { n } else { m };
        return Some((transposed(&ut, m, m), s, transposed(&v, n, columns)));
    }
    let columns = if full { m } else { n };
    // a = Q R; what follows works on R alone, which is small where `a` is tall.
    let (q, r) = qr(a, m, n, columns);
    // Powers of two change no digit, and keep squares from overflowing.
    let largest = r.iter().fold(0f64, |m, v| m.max(v.abs()));
    let scale = if largest > 0.0 { largest.log2().floor().exp2() } else { 1.0 };
    let mut g = transposed(&r[..n * n], n, n);
    g.iter_mut().for_each(|v| *v /= scale);
    let mut v = vec![0.0; n * n];
    (0..n).for_each(|i| v[i * n + i] = 1.0);
    orthogonalise(&mut g, &mut v, n);
    let lengths: Vec<f64> = g.chunks_exact(n.max(1)).map(norm).collect();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| lengths[j].total_cmp(&lengths[i]));
    let s = order.iter().map(|&j| lengths[j] * scale).collect();
    let vt: Vec<f64> = order.iter().flat_map(|&j| v[j * n..][..n].iter().copied()).collect();
    let ut = directions(&g, &lengths, &order, n);
    // U is Q times the rotated columns; what Q has beyond them completes the basis.
    let mut u = q.clone();
    for (row, from) in u.chunks_exact_mut(columns.max(1)).zip(q.chunks_exact(columns.max(1))) {
        for (j, x) in row.iter_mut().enumerate().take(n) {
            *x = dot(&from[..n], &ut[j * n..][..n]);
        }
    }
    Some((u, s, vt))
}

/// Hestenes' one-sided Jacobi method: rotates pairs of the rows of `g`, and of `v` along with them, until all are orthogonal. It finds small singular
/// values to as many digits as large ones.
fn orthogonalise(g: &mut [f64], v: &mut [f64], n: usize) {
    for _ in 0..MOST_SWEEPS {
        let mut rotated = false;
        for p in 0..n {
            for q in p + 1..n {
                let (upper, lower) = g.split_at_mut(q * n);
                let (x, y) = (&mut upper[p * n..][..n], &mut lower[..n]);
                let (xx, yy, xy) = (dot(x, x), dot(y, y), dot(x, y));
                if xy.abs() <= f64::EPSILON * (xx * yy).sqrt() {
                    continue;
                }
                rotated = true;
                let zeta = (yy - xx) / (2.0 * xy);
                let t = 1f64.copysign(zeta) / (zeta.abs() + zeta.hypot(1.0));
                let c = 1.0 / t.hypot(1.0);
                rotate(x, y, c, c * t);
                let (upper, lower) = v.split_at_mut(q * n);
                rotate(&mut upper[p * n..][..n], &mut lower[..n], c, c * t);
            }
        }
        if !rotated {
            return;
        }
    }
}

/// The rows of `g` in `order`, with length one. Those of length zero are replaced by what completes the basis.
fn directions(g: &[f64], lengths: &[f64], order: &[usize], n: usize) -> Vec<f64> {
    let mut rows: Vec<f64> = Vec::with_capacity(n * n);
    let known = order.iter().take_while(|&&j| lengths[j] > 0.0).count();
    for &j in &order[..known] {
        rows.extend(g[j * n..][..n].iter().map(|x| x / lengths[j]));
    }
    if known < n {
        let (q, _) = qr(&transposed(&rows, known, n), n, known, n);
        rows.extend_from_slice(&transposed(&q, n, n)[known * n..]);
    }
    rows
}
