use super::*;
use crate::cpu::samples::*;
use std::cmp::Ordering;

/// NaN above everything; zeros of both signs are equal.
fn compare(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// Values and positions of the first `m` of each line, by the stable sort of the standard library.
fn naive(x: &Sample, dim: usize, descending: bool, m: usize) -> (Vec<f64>, Vec<f64>) {
    let shape = if x.layout.rank() == 0 { vec![1] } else { x.layout.shape.to_vec() };
    let n = shape[dim];
    let step: usize = shape[dim + 1..].iter().product();
    let outer: usize = shape[..dim].iter().product();
    let all = x.values();
    let (mut values, mut positions) = (vec![0.0; outer * m * step], vec![0.0; outer * m * step]);
    for (o, s) in (0..outer).flat_map(|o| (0..step).map(move |s| (o, s))) {
        let mut order: Vec<usize> = (0..n).collect();
        let at = |j: usize| all[(o * n + j) * step + s];
        order.sort_by(|&a, &b| if descending { compare(at(b), at(a)) } else { compare(at(a), at(b)) });
        for (rank, &j) in order[..m].iter().enumerate() {
            values[(o * m + rank) * step + s] = at(j);
            positions[(o * m + rank) * step + s] = j as f64;
        }
    }
    (values, positions)
}

#[test]
fn sort_and_topk_agree_with_a_stable_sort() {
    for shape in [&[][..], &[1], &[50], &[7, 9], &[3, 8, 4], &[2, 0, 3], &[0, 2], &[200, 70]] {
        for dim in 0..shape.len().max(1) {
            for dtype in DType::ALL {
                for (k, layout) in input_layouts(shape).into_iter().enumerate() {
                    let x = Sample::new(dtype, layout, |i| {
                        if dtype.is_float() {
                            match i % 11 {
                                3 => f64::NAN,
                                5 => f64::INFINITY,
                                7 => -0.0,
                                8 => f64::NEG_INFINITY,
                                _ => scrambled(dtype, i),
                            }
                        } else {
                            scrambled(dtype, i)
                        }
                    });
                    let n = shape.get(dim).copied().unwrap_or(1);
                    for (m, descending) in [(n, false), (n, true), (n / 3, false), (n / 3, true), (n.min(1), true)] {
                        let mut out_shape = shape.to_vec();
                        if let Some(d) = out_shape.get_mut(dim) {
                            *d = m;
                        } else if m == 0 {
                            continue;
                        }
                        let out_layouts = layouts(&out_shape);
                        let values = Sample::zeros(dtype, out_layouts[k % 4].clone());
                        let positions = Sample::zeros(DType::I64, out_layouts[(k + 1) % 4].clone());
                        let kernel = if m == n { sort } else { topk };
                        kernel(x.view(), dim, descending, &mut values.view_mut(), &mut positions.view_mut()).unwrap();
                        let (want, want_positions) = naive(&x, dim, descending, m);
                        let case = format!("{dtype} {shape:?} dim {dim} layout {k} first {m} descending {descending}");
                        assert!(same(&values.values(), &want), "{case}");
                        assert_eq!(positions.values(), want_positions, "{case}");
                    }
                }
            }
        }
    }
}

#[test]
fn the_ends_of_the_integers_are_in_order() {
    for dtype in [DType::I64, DType::I32, DType::I8, DType::I16] {
        let (low, high) = dispatch!(dtype, T => (T::from_i64(1i64 << (T::DTYPE.size() * 8 - 1)).to_f64(), 1.0));
        let x = Sample::of(dtype, &[4], &[high, low, 0.0, -1.0]);
        let positions = Sample::zeros(DType::I64, Layout::contiguous(&[4]));
        sort(x.contiguous().view(), 0, false, &mut x.view_mut(), &mut positions.view_mut()).unwrap();
        assert_eq!(x.values(), [low, -1.0, 0.0, high]);
        assert_eq!(positions.values(), [1.0, 3.0, 2.0, 0.0]);
    }
}

#[test]
fn values_keep_their_bits_and_may_overwrite_the_input() {
    let x = Sample::of(DType::F32, &[4], &[0.0, -0.0, -1.0, 0.0]);
    let positions = Sample::zeros(DType::I64, Layout::contiguous(&[4]));
    sort(x.view(), 0, false, &mut x.view_mut(), &mut positions.view_mut()).unwrap();
    assert_eq!(positions.values(), [2.0, 0.0, 1.0, 3.0]);
    let signs: Vec<bool> = x.values().iter().map(|v| v.is_sign_negative()).collect();
    assert_eq!(signs, [true, false, true, false]);
}

#[test]
fn long_lines_sort_by_wide_digits_and_a_few_of_many_are_found() {
    let n = 9001;
    for dtype in [DType::F32, DType::F64, DType::I32, DType::I64, DType::F16] {
        for spread in [1.0, 1e6] {
            let spread = if dtype == DType::F16 { 1.0 } else { spread };
            let x = Sample::new(dtype, Layout::contiguous(&[n]), |i| {
                let v = ((i * 7919) % 5003) as f64 * spread - 100.0;
                if dtype.is_float() && i % 1000 == 17 { f64::NAN } else { v }
            });
            for (m, descending) in [(n, false), (n, true), (20, true), (1, false), (n / 2, true)] {
                let [values, positions] = [dtype, DType::I64].map(|d| Sample::zeros(d, Layout::contiguous(&[m])));
                let kernel = if m == n { sort } else { topk };
                kernel(x.view(), 0, descending, &mut values.view_mut(), &mut positions.view_mut()).unwrap();
                let (want, want_positions) = naive(&x, 0, descending, m);
                assert!(same(&values.values(), &want), "{dtype} {spread} first {m} descending {descending}");
                assert_eq!(positions.values(), want_positions, "{dtype} {spread} first {m} descending {descending}");
            }
            for k in [0, 1, 4000, n - 1] {
                let [values, positions] = [dtype, DType::I64].map(|d| Sample::zeros(d, Layout::contiguous(&[1])));
                nth(x.view(), 0, k, &mut values.view_mut(), &mut positions.view_mut()).unwrap();
                let (want, want_positions) = naive(&x, 0, false, k + 1);
                assert!(same(&values.values(), &want[k..]), "{dtype} {spread} number {k}");
                assert_eq!(positions.values(), want_positions[k..], "{dtype} {spread} number {k}");
            }
        }
    }
}

#[test]
fn lines_of_several_parts_are_sorted_stably() {
    let n = 2 * radix::PART + 777;
    for (shape, dim) in [(vec![n], 0), (vec![2, n], 1), (vec![n, 2], 0)] {
        for (dtype, spread) in
            [(DType::U8, 1.0), (DType::I64, 1.0), (DType::I64, 1e15), (DType::I32, 1e5), (DType::F32, 0.5), (DType::F64, 0.5)]
        {
            for layout in [Layout::contiguous(&shape), Layout::contiguous(&shape).flip(dim)] {
                let x = Sample::new(dtype, layout, |i| {
                    let v = ((i * 7919) % 251) as f64 * spread;
                    if dtype.is_float() && i % 1000 == 17 { f64::NAN } else { v }
                });
                for descending in [false, true] {
                    let (want, want_positions) = naive(&x, dim, descending, n);
                    let [values, positions] = [dtype, DType::I64].map(|d| Sample::zeros(d, Layout::contiguous(&shape)));
                    sort(x.view(), dim, descending, &mut values.view_mut(), &mut positions.view_mut()).unwrap();
                    assert!(same(&values.values(), &want), "{dtype} {shape:?} descending {descending}");
                    assert_eq!(positions.values(), want_positions, "{dtype} {shape:?} descending {descending}");
                }
                let positions = Sample::zeros(DType::I64, Layout::contiguous(&shape));
                let want = naive(&x, dim, false, n).0;
                sort(x.view(), dim, false, &mut x.view_mut(), &mut positions.view_mut()).unwrap();
                assert!(same(&x.values(), &want), "{dtype} {shape:?} in place");
            }
        }
    }
}
