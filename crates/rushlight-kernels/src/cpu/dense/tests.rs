use super::*;

/// Numbers in [-1, 1), from a linear congruential generator (Knuth's constants).
fn numbers(n: usize, mut seed: u64) -> Vec<f64> {
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..n + 4).map(|_| next()).skip(4).collect()
}

fn product(a: &[f64], b: &[f64], m: usize, k: usize, n: usize) -> Vec<f64> {
    let bt = transposed(b, k, n);
    (0..m * n).map(|i| (0..k).map(|j| a[i / n * k + j] * bt[i % n * k + j]).sum()).collect()
}

fn assert_close(a: &[f64], b: &[f64], what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    let scale = b.iter().fold(1f64, |m, v| m.max(v.abs()));
    let worst = a.iter().zip(b).fold(0f64, |m, (a, b)| m.max((a - b).abs()));
    assert!(worst <= 1e-12 * scale, "{what}: off by {worst}");
}

fn identity(n: usize) -> Vec<f64> {
    (0..n * n).map(|i| (i % (n + 1) == 0) as u8 as f64).collect()
}

const SIZES: [(usize, usize); 10] = [(0, 0), (1, 1), (2, 2), (3, 5), (5, 3), (17, 17), (40, 9), (9, 40), (0, 3), (3, 0)];

#[test]
fn cholesky_of_a_gram_matrix_and_of_one_that_is_not_positive() {
    for n in [0, 1, 2, 7, 30] {
        let b = numbers(n * n, 1);
        let mut a = product(&b, &transposed(&b, n, n), n, n, n);
        (0..n).for_each(|i| a[i * n + i] += 1.0);
        let mut l = a.clone();
        assert_eq!(cholesky(&mut l, n), 0);
        assert_close(&product(&l, &transposed(&l, n, n), n, n, n), &a, "L Lᵀ");
    }
    assert_eq!(cholesky(&mut [1.0, 0.0, 2.0, 1.0], 2), 2);
    assert_eq!(cholesky(&mut [f64::NAN], 1), 1);
}

#[test]
fn lu_and_triangular_systems() {
    for (m, n) in SIZES {
        let a = numbers(m * n, 2);
        let (mut f, mut pivots) = (a.clone(), vec![0; m.min(n)]);
        assert_eq!(lu(&mut f, m, n, &mut pivots), 0);
        let k = m.min(n);
        let l: Vec<f64> =
            (0..m * k).map(|i| if i % k < i / k { f[i / k * n + i % k] } else { (i % k == i / k) as u8 as f64 }).collect();
        let u: Vec<f64> = (0..k * n).map(|i| if i % n >= i / n { f[i] } else { 0.0 }).collect();
        let mut expected = a.clone();
        for (i, p) in pivots.iter().enumerate() {
            (0..n).for_each(|c| expected.swap(i * n + c, (*p as usize - 1) * n + c));
        }
        assert_close(&product(&l, &u, m, k, n), &expected, "L U");
    }
    let n = 6;
    let mut t = numbers(n * n, 3);
    (0..n).for_each(|i| t[i * n + i] = 2.0 + i as f64);
    for (upper, unit) in [(false, false), (true, false), (false, true), (true, true)] {
        let kept: Vec<f64> = (0..n * n)
            .map(|i| match (i % n).cmp(&(i / n)) {
                std::cmp::Ordering::Equal => {
                    if unit {
                        1.0
                    } else {
                        t[i]
                    }
                }
                side => {
                    if (side == std::cmp::Ordering::Greater) == upper {
                        t[i]
                    } else {
                        0.0
                    }
                }
            })
            .collect();
        let b = numbers(n * 4, 4);
        let mut x = b.clone();
        triangular(&t, n, &mut x, 4, upper, unit);
        assert_close(&product(&kept, &x, n, n, 4), &b, "t x");
    }
    assert_eq!(lu(&mut [0.0, 0.0, 0.0, 1.0], 2, 2, &mut [0; 2]), 1);
}

#[test]
fn qr_is_orthogonal_and_complete() {
    for (m, n) in SIZES {
        let a = numbers(m * n, 5);
        for columns in [m.min(n), m] {
            let (q, r) = qr(&a, m, n, columns);
            assert_close(&product(&q, &r, m, columns, n), &a, "Q R");
            assert_close(&product(&transposed(&q, m, columns), &q, columns, m, columns), &identity(columns), "QᵀQ");
        }
    }
}

#[test]
fn eigenvalues_of_symmetric_matrices() {
    for n in [0, 1, 2, 3, 10, 60] {
        let b = numbers(n * n, 6);
        let a: Vec<f64> = (0..n * n).map(|i| b[i] + b[i % n * n + i / n]).collect();
        let (d, v) = eigh(&a, n).unwrap();
        assert!(d.windows(2).all(|w| w[0] <= w[1]));
        let scaled: Vec<f64> = (0..n * n).map(|i| v[i] * d[i % n]).collect();
        assert_close(&product(&a, &v, n, n, n), &scaled, "A V");
        assert_close(&product(&transposed(&v, n, n), &v, n, n, n), &identity(n), "VᵀV");
    }
    // Multiple eigenvalues, zeros beside the diagonal, and only the lower triangle counts.
    assert_eq!(eigh(&[2.0, 9.0, 0.0, 2.0], 2).unwrap().0, [2.0, 2.0]);
    assert_eq!(eigh(&identity(5), 5).unwrap().0, [1.0; 5]);
    assert!(eigh(&[f64::NAN], 1).is_none());
}

#[test]
fn singular_values_of_all_shapes_and_ranks() {
    for (m, n) in SIZES {
        for rank in [m.min(n), m.min(n) / 2, 0] {
            let a = product(&numbers(m * rank, 7), &numbers(rank * n, 8), m, rank, n);
            for full in [false, true] {
                let k = m.min(n);
                let (cu, cv) = if full { (m, n) } else { (k, k) };
                let (u, s, vh) = svd(&a, m, n, full).unwrap();
                assert!(s.windows(2).all(|w| w[0] >= w[1]) && s.iter().all(|s| *s >= 0.0));
                let us: Vec<f64> = (0..m * k).map(|i| u[i / k * cu + i % k] * s[i % k]).collect();
                assert_close(&product(&us, &vh[..k * n], m, k, n), &a, "U s Vᵀ");
                assert_close(&product(&transposed(&u, m, cu), &u, cu, m, cu), &identity(cu), "UᵀU");
                assert_close(&product(&vh, &transposed(&vh, cv, n), cv, n, cv), &identity(cv), "VᵀV");
            }
        }
    }
    let (_, s, _) = svd(&[3e150, 0.0, 0.0, 4e-150], 2, 2, false).unwrap();
    assert_eq!(s, [3e150, 4e-150]);
    assert!(svd(&[f64::INFINITY], 1, 1, false).is_none());
}
