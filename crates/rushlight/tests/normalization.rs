//! Running statistics, random draws, and targets that do not count.

use rushlight::{Tensor, manual_seed, ops};

fn f32s(values: &[f32], shape: &[i64]) -> Tensor {
    Tensor::from_vec(values.to_vec(), shape)
}

fn assert_close(a: &Tensor, b: &[f64]) {
    let a = a.to_f64_vec();
    assert!(a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-4 * b.abs().max(1.0)), "{a:?} is not {b:?}");
}

#[test]
fn batch_norm_moves_the_running_statistics_only_in_training() {
    let (mean, var) = (f32s(&[0.0; 2], &[2]), f32s(&[1.0; 2], &[2]));
    let x = f32s(&[1.0, 2.0, 3.0, 5.0, 4.0, 9.0], &[3, 2]).with_requires_grad();
    let y = ops::batch_norm(&x, Some(&mean), Some(&var), None, None, true, 0.5, 1e-5).unwrap();
    assert_close(&y, &[-1.3363, -1.1625, 0.2673, -0.1162, 1.0690, 1.2787]);
    assert_close(&mean, &[1.3333, 2.6667]);
    assert_close(&var, &[1.6667, 6.6667]);
    assert!(!mean.requires_grad() && mean.version() == 1);
    ops::batch_norm(&x, Some(&mean), Some(&var), None, None, false, 0.5, 1e-5).unwrap();
    assert_close(&mean, &[1.3333, 2.6667]);
}

#[test]
fn instance_norm_averages_the_running_statistics_over_the_batch() {
    let (mean, var) = (f32s(&[0.0; 2], &[2]), f32s(&[1.0; 2], &[2]));
    let x: Vec<f32> = (0..12).map(|i| (i * i) as f32).collect();
    ops::instance_norm(&f32s(&x, &[2, 2, 3]), Some(&mean), Some(&var), None, None, true, 0.5, 1e-5).unwrap();
    assert_close(&mean, &[12.8333, 29.3333]);
    assert_close(&var, &[50.6667, 116.6667]);
}

#[test]
fn dropout_drops_what_pytorch_drops() {
    manual_seed(3);
    let y = ops::dropout(&f32s(&[1.0; 8], &[8]), 0.3, true).unwrap();
    let k = 1.0 / 0.7;
    assert_close(&y, &[k, k, 0.0, k, 0.0, k, k, k]);
    let x = f32s(&[1.0; 8], &[8]);
    assert!(ops::dropout(&x, 0.3, false).unwrap().is_same(&x));
}

#[test]
fn ignored_targets_count_nothing() {
    let log_p = f32s(&[-1.0, f32::NEG_INFINITY, -2.0, -3.0], &[2, 2]).with_requires_grad();
    let target = Tensor::from_vec(vec![1i64, 0], [2]);
    let loss = ops::nll_loss(&log_p, &target, None, 1, "mean").unwrap();
    assert_eq!(loss.item::<f32>(), 2.0);
    loss.backward();
    assert_eq!(log_p.grad().unwrap().to_f64_vec(), [0.0, 0.0, -1.0, 0.0]);
    let nobody = Tensor::from_vec(vec![-100i64; 2], [2]);
    assert!(ops::cross_entropy(&log_p, &nobody, None, -100, "mean", 0.0).unwrap().item::<f32>().is_nan());
}

#[test]
fn cross_entropy_of_certainty_stays_finite() {
    let loss = ops::binary_cross_entropy(&f32s(&[0.0, 1.0], &[2]), &f32s(&[1.0, 0.0], &[2]), None, "mean").unwrap();
    assert_eq!(loss.item::<f32>(), 100.0);
    let loss =
        ops::binary_cross_entropy_with_logits(&f32s(&[1e4, -1e4], &[2]), &f32s(&[1.0, 1.0], &[2]), None, "none", None).unwrap();
    assert_eq!(loss.to_vec::<f32>(), [0.0, 1e4]);
}
