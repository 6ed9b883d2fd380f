//! Attention and tables of vectors, against values that PyTorch gives.

use rushlight::{Element, ErrorKind, Tensor, ops};

/// 1, 2, 3, … in this shape.
fn counting(shape: &[usize]) -> Tensor {
    let n = shape.iter().product::<usize>();
    Tensor::from_vec((1..=n).map(|i| i as f32).collect::<Vec<_>>(), shape)
}

fn list<T: Element>(values: &[T]) -> Tensor {
    Tensor::from_slice(values, values.len())
}

#[track_caller]
fn is(x: rushlight::Result<Tensor>, expected: &[f64]) {
    let x = x.unwrap();
    let found = x.to_f64_vec();
    let same = |(a, b): (&f64, &f64)| (a - b).abs() < 2e-5 || a.is_nan() && b.is_nan();
    assert!(found.len() == expected.len() && found.iter().zip(expected).all(same), "{found:?} instead of {expected:?}");
}

#[test]
fn the_padding_row_of_a_table_does_not_learn() {
    let table = Tensor::zeros([4, 2]).with_requires_grad();
    let at = list(&[2i64, 0, 2, 1]);
    ops::embedding(&at, &table, Some(1)).unwrap().backward_with(&counting(&[4, 2]));
    assert_eq!(table.grad().unwrap().to_vec::<f32>(), [3.0, 4.0, 0.0, 0.0, 6.0, 8.0, 0.0, 0.0]);
    let e = ops::embedding(&list(&[4i64]), &table, None).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Index);
}

#[test]
fn attention_without_anything_to_look_at() {
    let x = ops::div(&counting(&[1, 3, 2]), &Tensor::scalar(4f32), None).unwrap();
    let attend =
        |q: &Tensor, mask: Option<&Tensor>, causal| ops::scaled_dot_product_attention(q, q, q, mask, 0.0, causal, None, false);
    is(attend(&x, None, true), &[0.25, 0.5, 0.57496, 0.82496, 1.03165, 1.28165]);
    let open = list(&[true, false, true, false, false, false, false, true, true]).reshape([3, 3]);
    let q = x.detach().with_requires_grad();
    let y = attend(&q, Some(&open), false).unwrap();
    is(Ok(y.detach()), &[0.87956, 1.12956, 0.0, 0.0, 1.11279, 1.36279]);
    y.sum().backward();
    is(Ok(q.grad().unwrap()), &[0.6178, 0.53535, 0.09843, 0.06323, 1.68398, 1.80163]);
    let low = f32::NEG_INFINITY;
    let mask = list(&[0.0, low, 1.0, low, low, low, low, 0.0, 0.5]).reshape([3, 3]).copy().with_requires_grad();
    let y = attend(&x, Some(&mask), false).unwrap();
    is(Ok(y.detach()), &[1.07205, 1.32205, 0.0, 0.0, 1.1567, 1.4067]);
    y.sum().backward();
    is(Ok(mask.grad().unwrap()), &[-0.29256, 0.0, 0.29256, 0.0, 0.0, 0.0, 0.0, -0.15178, 0.15178]);
}
