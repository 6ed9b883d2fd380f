//! Reductions and scans where a random sample does not lead: zeros, ties, NaN, infinities, half precision.

use rushlight::autograd::{GradcheckOptions, gradcheck, gradgradcheck};
use rushlight::{DType, Result, Tensor, ops};

const NAN: f64 = f64::NAN;
const INF: f64 = f64::INFINITY;

fn leaf(values: &[f64], shape: &[i64]) -> Tensor {
    Tensor::from_vec(values.to_vec(), shape).with_requires_grad()
}

fn grad_of(f: impl Fn(&Tensor) -> Tensor, x: &Tensor) -> Vec<f64> {
    f(x).sum().backward();
    x.grad().expect("backward has filled it").to_f64_vec()
}

fn assert_both_orders(f: impl Fn(&Tensor) -> Result<Tensor>, x: &Tensor) {
    let f = |args: &[Tensor]| Ok(vec![f(&args[0])?]);
    gradcheck(f, std::slice::from_ref(x), GradcheckOptions::default()).unwrap();
    gradgradcheck(f, std::slice::from_ref(x), GradcheckOptions::default()).unwrap();
}

#[test]
fn products_have_gradients_at_zeros() {
    let rows = [2.0, 0.0, 3.0, 0.0, 0.0, 4.0];
    assert_eq!(grad_of(|x| ops::prod_dim(x, 1, false, None).unwrap(), &leaf(&rows, &[2, 3])), [0.0, 6.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(grad_of(|x| ops::cumprod(x, 1, None).unwrap(), &leaf(&rows, &[2, 3])), [1.0, 8.0, 0.0, 1.0, 0.0, 0.0]);
    let x = leaf(&[2.0, 0.0, 3.0, 0.5, 0.0, 4.0, 0.0, 0.0, 0.0, 1.5, -1.0, 2.0], &[3, 4]);
    assert_both_orders(|x| ops::prod_dim(x, 1, false, None), &x);
    assert_both_orders(|x| ops::prod_dim(x, 0, true, None), &x);
    assert_both_orders(|x| ops::cumprod(x, 1, None), &x);
    assert_both_orders(|x| ops::cumprod(x, 0, None), &x);
    assert_both_orders(|x| ops::prod(x, None), &leaf(&[0.0, 1.5, -2.0], &[3]));
}

#[test]
fn ties_share_the_gradient_of_an_extreme_and_the_first_one_takes_that_of_a_position() {
    let x = || leaf(&[2.0, 5.0, 5.0], &[3]);
    assert_eq!(grad_of(|x| ops::max(x).unwrap(), &x()), [0.0, 0.5, 0.5]);
    assert_eq!(grad_of(|x| ops::amax(x, &[0], false).unwrap(), &x()), [0.0, 0.5, 0.5]);
    assert_eq!(grad_of(|x| ops::max_dim(x, 0, false).unwrap().0, &x()), [0.0, 1.0, 0.0]);
    assert_eq!(grad_of(|x| ops::max(x).unwrap(), &leaf(&[2.0, NAN, 5.0], &[3])), [0.0, 1.0, 0.0]);
    assert_eq!(
        grad_of(|x| ops::vector_norm(x, f64::INFINITY.into(), None, false, None).unwrap(), &leaf(&[-3.0, 1.0, 3.0], &[3])),
        [-0.5, 0.0, 0.5]
    );
}

#[test]
fn nan_wins_and_is_left_out_on_request() {
    let x = Tensor::from_vec(vec![1.0, NAN, 3.0, NAN], [4]);
    let (value, at) = ops::max_dim(&x, 0, false).unwrap();
    assert!(value.item::<f64>().is_nan());
    assert_eq!(at.item::<i64>(), 1);
    assert!(ops::median(&x).unwrap().item::<f64>().is_nan());
    assert_eq!(ops::nanmedian(&x).unwrap().item::<f64>(), 1.0);
    assert_eq!(ops::nansum(&x, None, false, None).unwrap().item::<f64>(), 4.0);
    assert_eq!(ops::nanmean(&x, None, false, None).unwrap().item::<f64>(), 2.0);
    assert_eq!(grad_of(|x| ops::nansum(x, None, false, None).unwrap(), &leaf(&[1.0, NAN, 3.0], &[3])), [1.0, 0.0, 1.0]);
}

#[test]
fn exponentials_neither_overflow_nor_vanish() {
    let of = |values: &[f64]| ops::logsumexp(&leaf(values, &[values.len() as i64]), Some(&[0]), false).unwrap().item::<f64>();
    assert_eq!(of(&[1000.0, 1000.0]), 1000.0 + 2f64.ln());
    assert_eq!(of(&[-INF, -INF]), -INF);
    assert_eq!(of(&[INF, 0.0]), INF);
    assert_eq!(of(&[]), -INF);
    assert_eq!(grad_of(|x| ops::logsumexp(x, Some(&[0]), false).unwrap(), &leaf(&[-INF, 0.0], &[2])), [0.0, 1.0]);
    let x = leaf(&[-INF, -1000.0, 1000.0], &[3]);
    assert_eq!(grad_of(|x| ops::logcumsumexp(x, 0).unwrap(), &x), [0.0, 1.0, 1.0]);
}

#[test]
fn half_precision_adds_up_in_float() {
    let ones = Tensor::from_vec(vec![1f64; 70_000], [70_000]).try_to(DType::F16).unwrap();
    assert_eq!(ops::mean(&ones, None).unwrap().item::<f32>(), 1.0);
    let x = Tensor::from_vec(vec![300f64; 4], [4]).try_to(DType::F16).unwrap();
    assert_eq!(ops::vector_norm(&x, 2i64.into(), None, false, None).unwrap().item::<f32>(), 600.0);
}

#[test]
fn norms_and_deviations_are_flat_at_zero() {
    assert_eq!(grad_of(|x| ops::vector_norm(x, 2i64.into(), None, false, None).unwrap(), &leaf(&[0.0; 3], &[3])), [0.0; 3]);
    assert_eq!(grad_of(|x| ops::vector_norm(x, 3i64.into(), None, false, None).unwrap(), &leaf(&[0.0; 3], &[3])), [0.0; 3]);
    assert_eq!(grad_of(|x| ops::std_(x, None, true, false, None).unwrap(), &leaf(&[1.0; 3], &[3])), [0.0; 3]);
    assert!(ops::var(&leaf(&[1.0], &[1]), None, true, false, None).unwrap().item::<f64>().is_nan());
}
