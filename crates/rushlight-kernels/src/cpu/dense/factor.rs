//! Cholesky, LU and QR. Matrices are row-major, and every inner loop runs along a row.

use super::{axpy, dot, norm, transposed};

/// Replaces the symmetric matrix `a`, of which the lower triangle is read, by the lower-triangular L with `L Lᵀ = a`. Answers 0, or the order of
/// the first leading minor that is not positive; then the rows from there on are unfinished.
pub(super) fn cholesky(a: &mut [f64], n: usize) -> usize {
    let mut info = 0;
    for i in 0..n {
        let (above, row) = a.split_at_mut(i * n);
        for j in 0..i {
            let lj = &above[j * n..][..=j];
            row[j] = (row[j] - dot(&row[..j], &lj[..j])) / lj[j];
        }
        let rest = row[i] - dot(&row[..i], &row[..i]);
        row[i + 1..n].fill(0.0);
        if info == 0 {
            // False for NaN too.
            if rest > 0.0 {
                row[i] = rest.sqrt();
            } else {
                row[i] = rest;
                info = i + 1;
            }
        }
    }
    info
}

/// Replaces `a` by L (below the diagonal, which is 1) and U with `P a = L U`. Pivots count from 1: row k was exchanged with row `pivots[k]`.
/// Answers 0, or the number of the first zero on U's diagonal.
pub(super) fn lu(a: &mut [f64], m: usize, n: usize, pivots: &mut [i32]) -> usize {
    let mut info = 0;
    for k in 0..m.min(n) {
        let mut p = k;
        for i in k + 1..m {
            if a[i * n + k].abs() > a[p * n + k].abs() {
                p = i;
            }
        }
        pivots[k] = p as i32 + 1;
        let (top, below) = a.split_at_mut((k + 1) * n);
        let row = &mut top[k * n..];
        if p != k {
            row.swap_with_slice(&mut below[(p - k - 1) * n..][..n]);
        }
        if row[k] == 0.0 {
            info = if info == 0 { k + 1 } else { info };
            continue;
        }
        for r in below.chunks_exact_mut(n) {
            r[k] /= row[k];
            let factor = -r[k];
            axpy(factor, &row[k + 1..], &mut r[k + 1..]);
        }
    }
    info
}

/// Replaces `x` (`n × columns`) by the solution of `t y = x`, where only one triangle of `t` is read, and its diagonal only if not `unit`.
pub(super) fn triangular(t: &[f64], n: usize, x: &mut [f64], columns: usize, upper: bool, unit: bool) {
    for step in 0..n {
        // Upwards from the last row, or downwards from the first: the rows solved so far are those that this one needs.
        let i = if upper { n - 1 - step } else { step };
        let (before, rest) = x.split_at_mut(i * columns);
        let (row, after) = rest.split_at_mut(columns);
        let (solved, first) = if upper { (&*after, i + 1) } else { (&*before, 0) };
        for (k, y) in solved.chunks_exact(columns.max(1)).enumerate() {
            axpy(-t[i * n + first + k], y, row);
        }
        if !unit {
            row.iter_mut().for_each(|v| *v /= t[i * n + i]);
        }
    }
}

/// `a = Q R` with `columns` columns of Q: as many as `a` has, or `m` for a complete basis. Signs are those of LAPACK's reflections.
pub(super) fn qr(a: &[f64], m: usize, n: usize, columns: usize) -> (Vec<f64>, Vec<f64>) {
    // Column k keeps the reflection `1 - tau v vᵀ` below R's diagonal; v's first element is 1 and not kept.
    let mut w = transposed(a, m, n);
    let steps = m.min(n);
    let mut taus = vec![0.0; steps];
    for k in 0..steps {
        let (left, right) = w.split_at_mut((k + 1) * m);
        let (head, v) = left[k * m + k..].split_first_mut().expect("k is below m");
        let tail = norm(v);
        if tail != 0.0 {
            let beta = -head.hypot(tail).copysign(*head);
            taus[k] = (beta - *head) / beta;
            let scale = *head - beta;
            v.iter_mut().for_each(|x| *x /= scale);
            *head = beta;
        }
        for column in right.chunks_exact_mut(m.max(1)) {
            reflect(taus[k], v, &mut column[k..]);
        }
    }
    let mut r = vec![0.0; columns * n];
    for (j, column) in w.chunks_exact(m.max(1)).enumerate() {
        for (i, x) in column.iter().enumerate().take((j + 1).min(columns)) {
            r[i * n + j] = *x;
        }
    }
    let mut qt = vec![0.0; columns * m];
    for (j, column) in qt.chunks_exact_mut(m.max(1)).enumerate() {
        column[j] = 1.0;
        for k in (0..steps).rev() {
            reflect(taus[k], &w[k * m + k + 1..(k + 1) * m], &mut column[k..]);
        }
    }
    (transposed(&qt, columns, m), r)
}

/// `x -= tau (v·x) v` for `v` with a leading 1 that is not stored.
fn reflect(tau: f64, v: &[f64], x: &mut [f64]) {
    let (head, rest) = x.split_first_mut().expect("a reflection acts on at least one element");
    let s = tau * (*head + dot(v, rest));
    *head -= s;
    axpy(-s, v, rest);
}
