//! Convolution, pooling, padding and resampling, against values that PyTorch gives.

use rushlight::{DType, Element, Tensor, no_grad, ops};

/// 1, 2, 3, … in this shape.
fn counting(shape: &[usize]) -> Tensor {
    let n = shape.iter().product::<usize>();
    Tensor::from_vec((1..=n).map(|i| i as f32).collect::<Vec<_>>(), shape)
}

fn list<T: Element>(values: &[T]) -> Tensor {
    Tensor::from_slice(values, values.len())
}

fn vector(values: &[f32]) -> Tensor {
    list(values).reshape([1, 1, values.len()])
}

#[track_caller]
fn is(x: rushlight::Result<Tensor>, expected: &[f64]) {
    let x = x.unwrap();
    let found = x.to_f64_vec();
    let same = |(a, b): (&f64, &f64)| (a - b).abs() < 2e-5 || a.is_nan() && b.is_nan();
    assert!(found.len() == expected.len() && found.iter().zip(expected).all(same), "{found:?} instead of {expected:?}");
}

fn kernel() -> Tensor {
    list(&[1f32, 2.0, 3.0, -1.0]).reshape([1, 1, 2, 2])
}

#[test]
fn convolutions() {
    let (x, w) = (counting(&[1, 1, 3, 4]), kernel());
    let bias = list(&[0.5f32]);
    is(ops::conv2d(&x, &w, Some(&bias), &[2], &[1], &[1], 1), &[-0.5, 3.5, 12.5, 1.5, 39.5, 44.5]);
    is(ops::conv2d(&x, &w, None, &[1], &[0], &[1, 2], 1), &[15.0, 20.0, 35.0, 40.0]);
    let same = [14.0, 19.0, 24.0, 28.0, 34.0, 39.0, 44.0, 44.0, 29.0, 32.0, 35.0, 12.0];
    is(ops::conv2d_padding(&x, &w, None, &[1], "same", &[1], 1), &same);
    is(ops::conv1d(&counting(&[1, 4, 3]), &counting(&[2, 2, 2]), None, &[1], &[0], &[1], 2), &[37.0, 47.0, 241.0, 267.0]);
    let y = ops::conv_transpose2d(&counting(&[1, 1, 2, 2]), &w, None, &[2], &[1], &[1], 1, &[1]);
    is(y, &[-1.0, 6.0, -2.0, 6.0, 4.0, 8.0, -3.0, 12.0, -4.0]);
}

#[test]
fn a_transposed_convolution_is_the_gradient_of_a_convolution() {
    let x = counting(&[2, 4, 5, 6]).with_requires_grad();
    let w = ops::mul(&counting(&[6, 2, 3, 2]), &Tensor::scalar(0.01f32)).unwrap();
    let y = ops::conv2d(&x, &w, None, &[2, 1], &[1], &[1, 2], 2).unwrap();
    let g = counting(&y.shape());
    y.backward_with(&g);
    let rebuilt = ops::conv_transpose2d(&g, &w, None, &[2, 1], &[1], &[0], 2, &[1, 2]).unwrap();
    assert_eq!(rebuilt.shape(), x.shape());
    is(Ok(rebuilt), &x.grad().unwrap().to_f64_vec());
}

#[test]
fn channels_may_be_none() {
    let bias = list(&[2f32, 3.0]);
    let (x, w) = (Tensor::zeros([1, 0, 2, 2]), Tensor::zeros([2, 0, 2, 2]));
    is(ops::conv2d(&x, &w, Some(&bias), &[1], &[0], &[1], 1), &[2.0, 3.0]);
}

#[test]
fn sizes_beyond_memory_are_errors() {
    let far = 1i64 << 61;
    let x = counting(&[1, 1, 2, 2]);
    assert!(ops::conv2d(&x, &kernel(), None, &[1], &[far], &[1], 1).is_err());
    assert!(ops::conv_transpose2d(&x, &kernel(), None, &[far], &[0], &[0], 1, &[1]).is_err());
    assert!(ops::max_pool2d(&x, &[far], None, &[far / 2], &[1], false).is_err());
    for mode in ["constant", "replicate"] {
        assert!(ops::pad(&x, &[far, far], mode, None).is_err());
    }
    assert!(ops::interpolate(&x, Some(&[far]), None, "bilinear", None, None, false).is_err());
    assert!(ops::adaptive_max_pool2d(&x, &[far]).is_err());
    assert!(ops::adaptive_avg_pool2d(&x, &[far]).is_err());
    assert!(ops::im2col(&x, &[far], &[1], &[far / 2], &[1]).is_err());
    assert!(ops::pixel_shuffle(&x, far).is_err());
}

#[test]
fn maxima() {
    let x = vector(&[1.0, 5.0, 2.0, f32::NAN, 3.0, 0.0, 4.0]);
    let (y, at) = ops::max_pool1d_with_indices(&x, &[3], Some(&[2]), &[1], &[1], false).unwrap();
    is(Ok(y), &[5.0, f64::NAN, f64::NAN, 4.0]);
    is(ops::max_pool1d(&x, &[3], Some(&[2]), &[1], &[1], false), &[5.0, f64::NAN, f64::NAN, 4.0]);
    assert_eq!(at.to_vec::<i64>(), [1, 3, 3, 6]);
    // The first of equals; with ceil_mode the last window hangs over the end.
    let (y, at) = ops::max_pool1d_with_indices(&vector(&[1.0, 5.0, 5.0, 2.0, 7.0]), &[2], None, &[0], &[1], true).unwrap();
    is(Ok(y), &[5.0, 5.0, 7.0]);
    assert_eq!(at.to_vec::<i64>(), [1, 2, 4]);
    let (y, at) = ops::adaptive_max_pool2d_with_indices(&counting(&[1, 1, 3, 4]), &[2, 3]).unwrap();
    is(Ok(y), &[6.0, 7.0, 8.0, 10.0, 11.0, 12.0]);
    assert_eq!(at.to_vec::<i64>(), [5, 6, 7, 9, 10, 11]);
}

#[test]
fn overlapping_windows_add_up_their_gradients() {
    let x = vector(&[1.0, 5.0, 2.0, 0.0]).with_requires_grad();
    let (y, at) = ops::max_pool1d_with_indices(&x, &[2], Some(&[1]), &[0], &[1], false).unwrap();
    y.backward_with(&counting(&[1, 1, 3]));
    assert_eq!(x.grad().unwrap().to_vec::<f32>(), [0.0, 3.0, 3.0, 0.0]);
    assert!(!at.requires_grad());
}

#[test]
fn overwritten_indices_are_noticed() {
    let x = vector(&[1.0, 5.0, 2.0, 0.0]).with_requires_grad();
    for adaptive in [false, true] {
        let (y, at) = match adaptive {
            false => ops::max_pool1d_with_indices(&x, &[2], None, &[0], &[1], false).unwrap(),
            true => ops::adaptive_max_pool1d_with_indices(&x, &[2]).unwrap(),
        };
        let _guard = no_grad();
        at.add_(1i64);
        drop(_guard);
        let e = y.sum().try_backward().unwrap_err();
        assert!(e.message().contains("modified by an inplace operation"), "{e}");
    }
}

#[test]
fn averages() {
    let pool =
        |n: usize, count_include_pad| ops::avg_pool1d(&counting(&[1, 1, n]), &[3], Some(&[2]), &[1], true, count_include_pad);
    is(pool(5, true), &[1.0, 3.0, 3.0]);
    is(pool(5, false), &[1.5, 3.0, 4.5]);
    // The last window reaches beyond the padding: what lies there is never counted.
    is(pool(6, true), &[1.0, 3.0, 5.0, 3.0]);
    is(ops::adaptive_avg_pool1d(&counting(&[1, 1, 5]), &[3]), &[1.5, 3.0, 4.5]);
    let whole = counting(&[1, 1, 4]).to(DType::I64);
    assert_eq!(ops::avg_pool1d(&whole, &[2], None, &[0], false, true).unwrap().to_vec::<i64>(), [1, 3]);
}

#[test]
fn paddings() {
    let pad = |before, after, mode| ops::pad(&counting(&[1, 1, 4]), &[before, after], mode, None);
    is(pad(2, 3, "reflect"), &[3.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 2.0, 1.0]);
    is(pad(-1, 2, "reflect"), &[2.0, 3.0, 4.0, 3.0, 2.0]);
    is(pad(2, 3, "replicate"), &[1.0, 1.0, 1.0, 2.0, 3.0, 4.0, 4.0, 4.0, 4.0]);
    is(pad(-1, 2, "replicate"), &[2.0, 3.0, 4.0, 4.0, 4.0]);
    is(pad(2, 3, "circular"), &[3.0, 4.0, 1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0]);
    is(pad(1, -2, "constant"), &[0.0, 1.0, 2.0]);
    // More is taken away than there is, and added at the other end.
    is(ops::pad(&counting(&[2, 2]), &[-3, 4, 1, 0], "constant", Some(7.0)), &[7.0; 9]);
}

#[test]
fn other_sizes() {
    let resize = |shape: &[usize], size: Option<&[i64]>, factor: Option<&[f64]>, mode| {
        ops::interpolate(&counting(shape), size, factor, mode, None, None, false)
    };
    is(resize(&[1, 1, 5], None, Some(&[0.7]), "nearest"), &[1.0, 2.0, 3.0]);
    is(resize(&[1, 1, 5], Some(&[3]), None, "nearest-exact"), &[1.0, 3.0, 5.0]);
    is(resize(&[1, 1, 5], Some(&[3]), None, "area"), &[1.5, 3.0, 4.5]);
    let bilinear = [
        1.0, 1.15217, 1.58696, 2.0, 1.30435, 1.45652, 1.8913, 2.30435, 2.17391, 2.32609, 2.76087, 3.17391, 3.0, 3.15217, 3.58696,
        4.0,
    ];
    is(resize(&[1, 1, 2, 2], None, Some(&[2.3]), "bilinear"), &bilinear);
    let bicubic = [0.66781, 1.26937, 2.2098, 2.81136, 2.42822, 3.02979, 3.97021, 4.57178, 4.18864, 4.7902, 5.73063, 6.33219];
    is(resize(&[1, 1, 2, 3], Some(&[3, 4]), None, "bicubic"), &bicubic);
    is(ops::pixel_shuffle(&counting(&[1, 4, 1, 2]), 2), &[1.0, 3.0, 2.0, 4.0, 5.0, 7.0, 6.0, 8.0]);
}

#[test]
fn patches() {
    let columns = [0.0, 0.0, 0.0, 5.0, 0.0, 0.0, 4.0, 6.0, 0.0, 2.0, 0.0, 0.0, 1.0, 3.0, 0.0, 0.0];
    is(ops::im2col(&counting(&[1, 1, 2, 3]), &[2], &[1], &[1], &[2]), &columns);
    let image = [1.0, 7.0, 6.0, 12.0, 34.0, 22.0, 11.0, 27.0, 16.0];
    is(ops::col2im(&counting(&[1, 4, 4]), &[3, 3], &[2], &[1], &[0], &[1]), &image);
}
