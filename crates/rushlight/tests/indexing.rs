//! Indexing, against what NumPy and PyTorch give.

use rushlight::autograd::{GradcheckOptions, gradcheck, gradgradcheck};
use rushlight::{DType, Index, Tensor, i, ops};

fn x() -> Tensor {
    Tensor::arange(0..24).reshape([2, 3, 4])
}

fn check(got: Tensor, shape: &[usize], want: &[i64]) {
    assert_eq!(got.shape().as_slice(), shape);
    assert_eq!(got.to_vec::<i64>(), want);
}

#[test]
fn basic_indices_cut_views() {
    check(x().index(i![1, -1, 2]), &[], &[22]);
    check(x().index(i![0, 1..3, 2..]), &[2, 2], &[6, 7, 10, 11]);
    check(x().index(i![.., .., Index::slice(None, None, 3)]), &[2, 3, 2], &[0, 3, 4, 7, 8, 11, 12, 15, 16, 19, 20, 23]);
    check(x().index(i![Index::Ellipsis, 0]), &[2, 3], &[0, 4, 8, 12, 16, 20]);
    check(x().index(i![Index::NewAxis, 0, 0, Index::NewAxis]), &[1, 1, 4], &[0, 1, 2, 3]);
    check(x().index(i![-1, ..=1, -2..=-1]), &[2, 2], &[14, 15, 18, 19]);
    check(x().index(i![0..0]), &[0, 3, 4], &[]);
    let x = x();
    let v = x.index(i![1, 0]);
    assert!(v.is_view() && v.shares_storage(&x) && x.index(i![]).is_view());
    assert_eq!(Tensor::scalar(3i64).index(i![Index::Ellipsis]).item::<i64>(), 3);
    // A zero-dim index tensor is a number.
    check(x.index(i![&Tensor::scalar(1i64), 0, 0]), &[], &[12]);
}

#[test]
fn index_tensors_stand_where_they_stood_or_in_front() {
    let (a, b) = ([0i64, 1], [2i64, 0]);
    check(x().index(i![.., a, b]), &[2, 2], &[2, 4, 14, 16]);
    // Apart: their dimension goes to the front.
    check(x().index(i![a, .., b]), &[2, 3], &[2, 6, 10, 12, 16, 20]);
    check(x().index(i![a, Index::NewAxis, b]), &[2, 1, 4], &[8, 9, 10, 11, 12, 13, 14, 15]);
    // A number before them is cut away first, as in PyTorch.
    check(x().index(i![0, .., [3i64]]), &[3, 1], &[3, 7, 11]);
    // Broadcasting, and negative positions.
    let column = Tensor::from_vec(vec![0i64, -1], [2, 1]);
    check(x().index(i![0, column, [0i64, -1]]), &[2, 2], &[0, 3, 8, 11]);
    check(x().index(i![Vec::<i64>::new()]), &[0, 3, 4], &[]);
}

#[test]
fn masks_are_their_true_positions() {
    let mask = Tensor::from_vec(vec![true, false, true, false, true, false], [2, 3]);
    check(x().index(i![&mask, 0]), &[3], &[0, 8, 16]);
    check(x().index(i![1, [1i64, 0, 1]]), &[3, 4], &[16, 17, 18, 19, 12, 13, 14, 15, 16, 17, 18, 19]);
    check(x().index(i![.., Tensor::from_vec(vec![false, true, false], 3), 1..3]), &[2, 1, 2], &[5, 6, 17, 18]);
    check(x().index(i![true, 0, 0, 0]), &[1], &[0]);
    check(x().index(i![false]), &[0, 2, 3, 4], &[]);
    check(Tensor::scalar(3i64).index(i![true]), &[1], &[3]);
}

#[test]
fn errors_are_pytorchs() {
    let x = Tensor::zeros([2, 3]);
    let fails = |index: &[Index], text: &str| {
        let e = x.try_index(index).unwrap_err();
        assert!(e.message().contains(text), "{e}");
    };
    fails(&i![5], "index 5 is out of bounds for dimension 0 with size 2");
    fails(&i![0, -4], "index -4 is out of bounds for dimension");
    fails(&i![0, 0, 0], "too many indices for tensor of dimension 2");
    fails(&i![Index::slice(None, None, -1)], "step must be greater than zero");
    fails(&i![[0i64, 1], [0i64, 1, 2]], "shape mismatch: indexing tensors could not be broadcast together with shapes [2], [3]");
    fails(&i![[2i64]], "index 2 is out of bounds for dimension 0 with size 2");
    fails(
        &i![Tensor::from_vec(vec![true, false, true], 3)],
        "The shape of the mask [3] at index 0 does not match the shape of the indexed tensor [2, 3]",
    );
    fails(&i![Tensor::zeros(1)], "tensors used as indices must be long, int, byte or bool tensors");
    let e = Tensor::scalar(1.0f32).try_index(i![0]).unwrap_err();
    assert!(e.message().starts_with("invalid index of a 0-dim tensor"));
    let e = x.try_set(i![[0i64, 1]], Tensor::zeros(2)).unwrap_err();
    assert!(e.message().contains("value tensor of shape [2] cannot be broadcast to indexing result of shape [2, 3]"), "{e}");
}

#[test]
fn set_writes_through_views() {
    let x = Tensor::zeros([2, 3]);
    x.set(i![0, 1..], 5.0);
    x.set(i![1], Tensor::from_vec(vec![1.0f32, 2.0, 3.0], [1, 1, 3]));
    x.index(i![1]).set(i![[0i64, 2]], 7);
    assert_eq!(x.to_vec::<f32>(), [0.0, 5.0, 5.0, 7.0, 2.0, 7.0]);
    let mask = Tensor::from_vec(vec![true, false, false, false, true, false], [2, 3]);
    x.set(i![mask], Tensor::from_vec(vec![-1.0f32, -2.0], 2));
    assert_eq!(x.to_vec::<f32>(), [-1.0, 5.0, 5.0, 7.0, -2.0, 7.0]);
    // Over itself.
    let y = Tensor::arange(0..5);
    y.set(i![1..], y.index(i![..4]));
    assert_eq!(y.to_vec::<i64>(), [0, 0, 1, 2, 3]);
    ops::index_set_(&y, &i![[0i64, 0, 1]], &Tensor::wrapped_number(1.into()), true).unwrap();
    assert_eq!(y.to_vec::<i64>(), [2, 1, 1, 2, 3]);
}

#[test]
fn get_and_set_have_derivatives() {
    let x = Tensor::rand([2, 3, 4]).to(DType::F64).with_requires_grad();
    let v = Tensor::rand([2, 2]).to(DType::F64).with_requires_grad();
    let index = || i![[1i64, 0], 1, [3i64, 3]];
    let get = |t: &[Tensor]| Ok(vec![t[0].try_index(index())?, t[0].try_index(i![.., [0i64, 0, 2], 1..3])?]);
    gradcheck(get, std::slice::from_ref(&x), GradcheckOptions::default()).unwrap();
    gradgradcheck(get, std::slice::from_ref(&x), GradcheckOptions::default()).unwrap();
    let set = |t: &[Tensor]| {
        let y = &t[0] * &t[0];
        y.try_set(i![.., 0..2, 1], &t[1])?;
        y.try_set(i![0, [2i64, 0], 2..], &t[1] * 2.0)?;
        Ok(vec![&y * 1.5])
    };
    gradcheck(set, &[x.clone(), v.clone()], GradcheckOptions::default()).unwrap();
    gradgradcheck(set, &[x, v], GradcheckOptions::default()).unwrap();
}

#[test]
fn layout_changes_in_place() {
    let a = Tensor::rand([2, 3]).to(DType::F64).with_requires_grad();
    assert!(a.try_t_().unwrap_err().message().contains("a leaf Variable that requires grad"));
    let f = |t: &[Tensor]| {
        let y = &t[0] * &t[0];
        y.try_t_()?;
        y.try_unsqueeze_(0)?;
        let row = y.index(i![0, 1]);
        row.try_unsqueeze_(0)?;
        row.try_mul_(3.0)?;
        Ok(vec![&y * &y, row])
    };
    assert_eq!(f(std::slice::from_ref(&a)).unwrap()[0].shape().as_slice(), [1, 3, 2]);
    gradcheck(f, std::slice::from_ref(&a), GradcheckOptions::default()).unwrap();
    // A view made before cannot be cut again afterwards: an error, not a wrong gradient.
    let y = &a * 2.0;
    let row = y.index(i![0]);
    y.t_();
    assert!(row.try_mul_(2.0).unwrap_err().message().contains("changed its shape or strides in place"));
}
