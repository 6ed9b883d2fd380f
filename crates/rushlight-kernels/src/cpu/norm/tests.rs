mod affine;
mod classes;

use super::*;
use crate::cpu::pool::tests::with_threads;
use crate::cpu::rows::Compute;
use crate::cpu::rows::testing::{Sample, Twin, noise};

const SHAPES: [(&[usize], usize); 17] = [
    (&[], 0),
    (&[1], 0),
    (&[5], 0),
    (&[3, 10], 1),
    (&[40, 32], 1),
    (&[7, 33], 1),
    (&[3, 1000], 1),
    (&[10, 50], 0),
    (&[40, 3], 0),
    (&[100, 7], 0),
    (&[2, 3, 4, 5], 1),
    (&[2, 40, 20], 1),
    (&[2, 33, 70], 1),
    (&[3, 1, 5], 1),
    (&[0, 4], 1),
    (&[4, 0], 1),
    (&[17, 2, 35], 2),
];

/// Calls `f` with the element numbers of each row along `dim`.
fn each_row(shape: &[usize], dim: usize, mut f: impl FnMut(Vec<usize>)) {
    let n = shape.get(dim).copied().unwrap_or(1);
    let inner: usize = shape.iter().skip(dim + 1).product();
    let outer: usize = shape.iter().take(dim).product();
    if n > 0 {
        (0..outer * inner).for_each(|r| f((0..n).map(|j| (r / inner * n + j) * inner + r % inner).collect()));
    }
}

fn reference(kernel: KernelId, a: &[f64], b: &[f64]) -> Vec<f64> {
    let max = a.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = a.iter().map(|x| (x - max).exp()).sum();
    let total: f64 = a.iter().sum();
    let dot: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
    let pairs = a.iter().zip(b);
    match kernel {
        KernelId::Softmax { .. } => a.iter().map(|x| (x - max).exp() / sum).collect(),
        KernelId::LogSoftmax { .. } => a.iter().map(|x| x - max - sum.ln()).collect(),
        KernelId::SoftmaxBackward { .. } => pairs.map(|(g, y)| y * (g - dot)).collect(),
        KernelId::LogSoftmaxBackward { .. } => pairs.map(|(g, y)| g - y.exp() * total).collect(),
        _ => unreachable!(),
    }
}

fn f64s<T: Compute<Wide: Into<f64>>>(x: &Sample) -> Vec<f64> {
    x.wide::<T>().into_iter().map(Into::into).collect()
}

fn check_softmax<T: Compute<Wide: Into<f64>>>() {
    SHAPES.into_iter().for_each(|(shape, dim)| check_softmax_of::<T>(shape, dim));
}

fn check_softmax_of<T: Compute<Wide: Into<f64>>>(shape: &[usize], dim: usize) {
    {
        let kernels = [
            KernelId::Softmax { dim },
            KernelId::LogSoftmax { dim },
            KernelId::SoftmaxBackward { dim },
            KernelId::LogSoftmaxBackward { dim },
        ];
        for (kernel, twin) in kernels.into_iter().flat_map(|k| Twin::ALL.map(|t| (k, t))) {
            let backward = matches!(kernel, KernelId::SoftmaxBackward { .. } | KernelId::LogSoftmaxBackward { .. });
            // Twins are mixed, so that input and output are walked differently; alike, neighbouring rows are worked on in place.
            let a = Sample::new(shape, twin, |i| T::from_f64(3.0 * noise(i)));
            let other = if twin == Twin::Contiguous { twin } else { Twin::Permuted };
            let b = Sample::new(shape, other, |i| T::from_f64(-noise(i + 31).abs()));
            let y = Sample::new(shape, Twin::Contiguous, |_| T::from_f64(9.0));
            let mut want = vec![0.0; a.view().numel()];
            let (wide_a, wide_b) = (f64s::<T>(&a), f64s::<T>(&b));
            each_row(shape, dim, |row| {
                let pick = |x: &[f64]| row.iter().map(|&i| x[i]).collect::<Vec<_>>();
                row.iter().zip(reference(kernel, &pick(&wide_a), &pick(&wide_b))).for_each(|(&i, x)| want[i] = x);
            });
            let ins = if backward { vec![a.view(), b.view()] } else { vec![a.view()] };
            // Probabilities are accurate each by itself, logarithms as differences of numbers of size one, and gradients as
            // differences of sums over a row.
            let sum = shape.get(dim).copied().unwrap_or(1) as f64;
            let scale = if matches!(kernel, KernelId::Softmax { .. }) { 0.01 } else { 4.0 + if backward { sum } else { 0.0 } };
            let check = |got: Vec<f64>, context: &str| {
                for (got, want) in got.into_iter().zip(&want) {
                    let bound = T::DTYPE.epsilon() * 8.0 * want.abs().max(scale);
                    assert!((got - want).abs() <= bound, "{kernel:?} {} {shape:?} {twin:?} {context}: {got} {want}", T::DTYPE);
                }
            };
            assert_eq!(custom(kernel, &ins, &mut [y.view_mut()]).unwrap(), Some(()));
            check(f64s::<T>(&y), "out of place");
            custom(kernel, &ins, &mut [a.view_mut()]).unwrap();
            check(f64s::<T>(&a), "in place");
        }
    }
}

#[test]
fn softmax_matches_the_definition() {
    check_softmax::<f32>();
    check_softmax::<f64>();
    check_softmax::<f16>();
    check_softmax::<bf16>();
}

#[test]
fn softmax_of_rows_of_every_length() {
    for n in (1..=100).chain([127, 128, 129, 159, 160, 500, 511, 512, 513]) {
        check_softmax_of::<f32>(&[19, n], 1);
        check_softmax_of::<f64>(&[17, n], 1);
        check_softmax_of::<f16>(&[3, n], 1);
        check_softmax_of::<f32>(&[3, n], 0);
    }
    // A number that is not one stays in its row.
    for (n, at) in [(5, 3), (16, 0), (50, 49), (50, 35), (200, 7)] {
        let x = Sample::new(&[20, n], Twin::Contiguous, |i| if i == 4 * n + at { f32::NAN } else { noise(i) as f32 });
        let y = Sample::new(&[20, n], Twin::Contiguous, |_| 0f32);
        for kernel in [KernelId::Softmax { dim: 1 }, KernelId::LogSoftmax { dim: 1 }] {
            custom(kernel, &[x.view()], &mut [y.view_mut()]).unwrap();
            assert!(y.values::<f32>().iter().enumerate().all(|(i, y)| y.is_nan() == (i / n == 4)), "{n} {at}");
        }
    }
}

#[test]
fn special_rows() {
    let inf = f32::INFINITY;
    let y = Sample::new(&[3], Twin::Contiguous, |_| 9f32);
    let run = |row: [f32; 3], log: bool| {
        let x = Sample::new(&[3], Twin::Contiguous, |i| row[i]);
        let kernel = if log { KernelId::LogSoftmax { dim: 0 } } else { KernelId::Softmax { dim: 0 } };
        custom(kernel, &[x.view()], &mut [y.view_mut()]).unwrap();
        y.values::<f32>()
    };
    for log in [false, true] {
        assert!(run([-inf; 3], log).iter().all(|x| x.is_nan()));
        assert!(run([0.0, inf, 1.0], log)[1].is_nan());
        assert!(run([f32::NAN, 0.0, 1.0], log).iter().all(|x| x.is_nan()));
    }
    assert_eq!(run([-inf, 2.0, -inf], false), [0.0, 1.0, 0.0]);
    assert_eq!(run([-inf, 2.0, -inf], true), [-inf, 0.0, -inf]);
    // No overflow.
    assert_eq!(run([3e38, -3e38, 0.0], false), [1.0, 0.0, 0.0]);
    assert_eq!(run([1e4, 1e4, -1e4], false), [0.5, 0.5, 0.0]);
    // The same in a row that is worked on alone.
    let x = Sample::new(&[100], Twin::Contiguous, |_| -inf);
    let y = Sample::new(&[100], Twin::Contiguous, |_| 0f32);
    custom(KernelId::Softmax { dim: 0 }, &[x.view()], &mut [y.view_mut()]).unwrap();
    assert!(y.values::<f32>().iter().all(|x| x.is_nan()));
    let x = Sample::new(&[100], Twin::Contiguous, |i| if i == 50 { f32::NAN } else { 0.0 });
    custom(KernelId::Softmax { dim: 0 }, &[x.view()], &mut [y.view_mut()]).unwrap();
    assert!(y.values::<f32>().iter().all(|x| x.is_nan()));
}

#[test]
fn other_types_are_left_to_the_composed_version() {
    let x = Sample::new(&[3], Twin::Contiguous, |i| i as i64);
    let y = Sample::new(&[3], Twin::Contiguous, |i| i as i64);
    assert_eq!(custom(KernelId::Softmax { dim: 0 }, &[x.view()], &mut [y.view_mut()]).unwrap(), None);
    let x = Sample::new(&[3], Twin::Contiguous, |i| i as f32);
    assert_eq!(custom(KernelId::Softmax { dim: 0 }, &[x.view()], &mut [y.view_mut()]).unwrap(), None);
    let y = Sample::new(&[3], Twin::Contiguous, |i| i as f32);
    assert!(custom(KernelId::Softmax { dim: 1 }, &[x.view()], &mut [y.view_mut()]).is_err());
}

/// Mean and sum of squared distances.
fn exact(x: &[f64]) -> (f64, f64) {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    (mean, x.iter().map(|x| (x - mean) * (x - mean)).sum())
}

/// Shapes, and how many leading dimensions number the rows.
const FEATURES: [(&[usize], usize); 8] = [
    (&[3, 5], 1),
    (&[40, 1], 1),
    (&[1, 40_000], 1),
    (&[2, 700], 1),
    (&[3, 4, 50], 1),
    (&[3, 4, 50], 2),
    (&[0, 4], 1),
    (&[2, 9000, 5], 1),
];

fn check_moments<T: Compute<Wide: Into<f64>>>() {
    for (shape, lead) in FEATURES {
        let rows = shape[..lead].iter().product::<usize>();
        let n = shape[lead..].iter().product::<usize>();
        for twin in Twin::ALL {
            let x = Sample::new(shape, twin, |i| T::from_f64(noise(i) + 2.0));
            let wide = f64s::<T>(&x);
            let (mean, rstd) =
                (Sample::new(&shape[..lead], twin, |_| 9f32), Sample::new(&shape[..lead], Twin::Contiguous, |_| 9f32));
            let variance = Sample::new(&shape[..lead], twin, |_| 9f64);
            let outs = &mut [mean.view_mut(), variance.view_mut()];
            assert_eq!(custom(KernelId::Moments { correction: 1.0 }, &[x.view()], outs).unwrap(), Some(()));
            for r in 0..rows {
                let (m, squares) = exact(&wide[r * n..][..n]);
                let v = squares / (n as f64 - 1.0).max(0.0);
                let (got_m, got_v) = (mean.values::<f32>()[r] as f64, variance.values::<f64>()[r]);
                assert!((got_m - m).abs() < 3e-7, "{shape:?} {twin:?}");
                assert!((got_v - v).abs() < 1e-12 || n == 1 && got_v.is_nan(), "{shape:?} {twin:?}: {got_v} {v}");
            }
            let y = Sample::new(shape, Twin::Permuted, |_| T::default());
            let (kernel, eps) = (KernelId::LayerNorm { eps: 1e-5 }, 1e-5);
            let check = |y: &Sample| {
                let got = f64s::<T>(y);
                for r in 0..rows {
                    let (m, squares) = exact(&wide[r * n..][..n]);
                    let s = 1.0 / (squares / n as f64 + eps).sqrt();
                    assert!((mean.values::<f32>()[r] as f64 - m).abs() < 4e-7);
                    assert!((rstd.values::<f32>()[r] as f64 - s).abs() < 2e-6 * s);
                    for i in r * n..(r + 1) * n {
                        let want = (wide[i] - m) * s;
                        let bound = (1e-6 + T::DTYPE.epsilon()) * want.abs().max(1.0);
                        assert!((got[i] - want).abs() < bound, "{} {shape:?} {twin:?}: {} {want}", T::DTYPE, got[i]);
                    }
                }
            };
            let outs = &mut [y.view_mut(), mean.view_mut(), rstd.view_mut()];
            assert_eq!(custom(kernel, &[x.view()], outs).unwrap(), Some(()));
            check(&y);
            custom(kernel, &[x.view()], &mut [x.view_mut(), mean.view_mut(), rstd.view_mut()]).unwrap();
            check(&x);
        }
    }
}

#[test]
fn moments_and_layer_norm_match_the_definition() {
    check_moments::<f32>();
    check_moments::<f64>();
    check_moments::<f16>();
    check_moments::<bf16>();
}

#[test]
fn moments_of_hard_rows() {
    let run = |n: usize, correction: f64, f: &dyn Fn(usize) -> f32| {
        let x = Sample::new(&[1, n], Twin::Contiguous, f);
        let (mean, variance) = (Sample::new(&[1], Twin::Contiguous, |_| 0f32), Sample::new(&[1], Twin::Contiguous, |_| 0f32));
        custom(KernelId::Moments { correction }, &[x.view()], &mut [mean.view_mut(), variance.view_mut()]).unwrap();
        (mean.values::<f32>()[0], variance.values::<f32>()[0])
    };
    // A variance that is small beside the mean; squares that overflow f32; too few elements; an infinity.
    assert_eq!(run(100_000, 0.0, &|i| 1e6 + (i % 2) as f32), (1e6 + 0.5, 0.25));
    let wide = run(4, 0.0, &|i| if i % 2 == 0 { 1.5e19 } else { -1.5e19 }).1;
    assert!((wide / 2.25e38 - 1.0).abs() < 1e-6);
    assert!(run(1, 1.0, &|_| 3.0).1.is_nan());
    assert!(run(0, 0.0, &|_| 3.0).0.is_nan() && run(0, 0.0, &|_| 3.0).1.is_nan());
    assert_eq!(run(2, 5.0, &|i| i as f32).1, f32::INFINITY);
    assert!(run(3, 0.0, &|i| if i == 1 { f32::INFINITY } else { 1.0 }).1.is_nan());
}

#[test]
fn layer_norm_of_hard_rows() {
    let run = |f: &dyn Fn(usize) -> f32| {
        let x = Sample::new(&[1, 1000], Twin::Contiguous, f);
        let y = Sample::new(&[1, 1000], Twin::Contiguous, |_| 0f32);
        let (mean, rstd) = (Sample::new(&[1], Twin::Contiguous, |_| 0f32), Sample::new(&[1], Twin::Contiguous, |_| 0f32));
        let outs = &mut [y.view_mut(), mean.view_mut(), rstd.view_mut()];
        custom(KernelId::LayerNorm { eps: 1e-5 }, &[x.view()], outs).unwrap();
        (y.values::<f32>(), rstd.values::<f32>()[0])
    };
    // Far from zero the first mean is off by half a unit in its last place.
    let (y, rstd) = run(&|i| 1e6 + (i % 2) as f32);
    assert!((rstd - 2.0).abs() < 1e-3 && y.iter().all(|y| (y.abs() - 1.0).abs() < 0.13));
    assert!(run(&|_| 5.0).0.iter().all(|&y| y == 0.0));
    assert!(run(&|i| if i == 3 { f32::INFINITY } else { 1.0 }).0.iter().all(|y| y.is_nan()));
    assert!(run(&|i| if i == 3 { f32::NAN } else { 1.0 }).1.is_nan());
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    for (shape, dim) in [(&[3000, 20][..], 1), (&[300, 500], 1), (&[200, 3, 100], 0)] {
        let x = Sample::new(shape, Twin::Contiguous, |i| noise(i) as f32);
        let run_at = |threads| {
            crate::cpu::pool::set_num_threads(threads);
            let y = Sample::new(shape, Twin::Contiguous, |_| 0f32);
            custom(KernelId::Softmax { dim }, &[x.view()], &mut [y.view_mut()]).unwrap();
            let (mean, variance) = (Sample::new(&[1], Twin::Contiguous, |_| 0f64), Sample::new(&[1], Twin::Contiguous, |_| 0f64));
            let layout = Layout::contiguous(&[1, x.view().numel()]);
            let flat = x.view().with_layout(&layout);
            custom(KernelId::Moments { correction: 0.0 }, &[flat], &mut [mean.view_mut(), variance.view_mut()]).unwrap();
            (y.values::<f32>(), mean.values::<f64>(), variance.values::<f64>())
        };
        with_threads(1, || assert!(run_at(1) == run_at(4), "{shape:?}"));
    }
}
