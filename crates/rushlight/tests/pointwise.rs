//! Pointwise functions where PyTorch's semantics are subtle: kinks, ties, NaN, infinities, dtypes. Values are PyTorch's.

use rushlight::{DType, Scalar, Tensor, ops};

const NAN: f32 = f32::NAN;
const INF: f32 = f32::INFINITY;

fn t(values: &[f32]) -> Tensor {
    Tensor::from_slice(values, [values.len()])
}

fn ints(values: &[i64]) -> Tensor {
    Tensor::from_slice(values, [values.len()])
}

/// Equal as numbers, NaN to NaN.
#[track_caller]
fn same(a: &Tensor, expected: &[f32]) {
    let a = a.to(DType::F32).to_vec::<f32>();
    let equal = a.len() == expected.len()
        && a.iter().zip(expected).all(|(a, b)| a == b || (a - b).abs() < 1e-6 * b.abs() || a.is_nan() && b.is_nan());
    assert!(equal, "{a:?} instead of {expected:?}");
}

/// The gradients of `f(inputs).sum()`.
fn gradients<const N: usize>(inputs: [&[f32]; N], f: impl Fn(&[Tensor; N]) -> Tensor) -> [Tensor; N] {
    let inputs = inputs.map(|v| t(v).with_requires_grad());
    f(&inputs).sum().backward();
    inputs.map(|x| x.grad().unwrap())
}

#[track_caller]
fn slope(at: &[f32], f: impl Fn(&Tensor) -> Tensor, expected: &[f32]) {
    let [g] = gradients([at], |[x]| f(x));
    same(&g, expected);
}

#[track_caller]
fn slopes(x: &[f32], y: &[f32], f: impl Fn(&Tensor, &Tensor) -> Tensor, gx: &[f32], gy: &[f32]) {
    let [a, b] = gradients([x, y], |[x, y]| f(x, y));
    same(&a, gx);
    same(&b, gy);
}

#[test]
fn gradients_at_kinks() {
    slope(&[-0.5, 0.0, 0.7, NAN], |x| x.abs(), &[-1.0, 0.0, 1.0, 0.0]);
    slope(&[0.0, 1.0], |x| x.sqrt(), &[INF, 0.5]);
    slope(&[0.0, 1.0], |x| x.sinc(), &[0.0, -1.0]);
    slope(&[-1.0, 0.0, 1.0, NAN], |x| x.relu(), &[0.0, 0.0, 1.0, 1.0]);
    slope(&[-0.5, 0.0, 0.7, 1.0, 2.0, NAN], |x| x.clamp(0.0, 1.0), &[0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
    slope(&[-1.0, 1.0, 0.0, NAN], |x| ops::hardtanh(x, -1.0, 1.0).unwrap(), &[0.0, 0.0, 1.0, 1.0]);
    slope(&[-3.0, 3.0, 0.0, NAN], |x| ops::hardswish(x).unwrap(), &[0.0, 1.0, 0.5, 1.0]);
    slope(&[-3.0, 3.0, 0.0, NAN], |x| ops::hardsigmoid(x).unwrap(), &[0.0, 0.0, 1.0 / 6.0, 0.0]);
    slope(&[-0.5, 0.0, 0.7, NAN], |x| x.hardshrink(0.5), &[0.0, 0.0, 1.0, 1.0]);
    slope(&[-0.5, 0.0, 0.7, NAN], |x| ops::softshrink(x, 0.5).unwrap(), &[0.0, 0.0, 1.0, 1.0]);
    slope(&[-0.5, 0.0, 0.7, NAN], |x| ops::leaky_relu(x, 0.01).unwrap(), &[0.01, 0.01, 1.0, 0.01]);
    slope(&[-0.5, 0.0, 0.7, NAN], |x| ops::elu(x, 1.0).unwrap(), &[0.606_530_67, 1.0, 1.0, 1.0]);
    slope(&[0.0, NAN, INF], |x| x.nan_to_num(None, None, None), &[1.0, 0.0, 0.0]);
    slope(&[0.0, 0.5, 1.0, 2.0], |x| x.logit(None), &[INF, 4.0, INF, NAN]);
    slope(&[0.0, 0.5, 0.1, 1.0, 2.0], |x| x.logit(Some(0.1)), &[0.0, 4.0, 11.111_111, 0.0, 0.0]);
}

#[test]
fn gradients_of_pairs() {
    slopes(&[0.0, 1.0, NAN, 2.0], &[0.0, 2.0, 1.0, NAN], |x, y| x.maximum(y), &[0.5, 0.0, 1.0, 1.0], &[0.5, 1.0, 1.0, 1.0]);
    slopes(
        &[0.0, 1.0, NAN, 2.0, NAN],
        &[0.0, 2.0, 1.0, NAN, NAN],
        |x, y| x.fmax(y),
        &[0.5, 0.0, 0.0, 1.0, 1.0],
        &[0.5, 1.0, 1.0, 0.0, 0.0],
    );
    let (base, exponent) = ([0.0, 0.0, 0.0, -1.0, 2.0], [0.0, 2.0, -1.0, 2.0, 3.0]);
    slopes(&base, &exponent, |x, y| x.pow(y), &[0.0, 0.0, -INF, -2.0, 12.0], &[0.0, 0.0, -INF, NAN, 5.545_177_5]);
    slope(&[0.0, 1.0], |x| x.pow(0), &[0.0, 0.0]);
    slope(&[0.0, 1.0, -1.0], |x| ops::pow(&Tensor::wrapped_number(Scalar::Float(0.0)), x).unwrap(), &[0.0, 0.0, -INF]);
    slopes(&[0.0, 0.0, 1.0], &[0.0, 2.0, 0.0], |x, y| x.xlogy(y), &[0.0, 2f32.ln(), -INF], &[NAN, 0.0, INF]);
    slopes(&[0.0], &[0.0], |x, y| x.atan2(y), &[0.0], &[0.0]);
    slopes(&[0.0, 1.0, -0.0], &[1.0, -1.0, 2.0], |x, y| x.copysign(y), &[0.0, -1.0, 0.0], &[0.0, 0.0, 0.0]);
    slopes(&[INF, -INF, 1.0], &[INF, -INF, INF], |x, y| x.logaddexp(y), &[NAN, NAN, 0.0], &[NAN, NAN, 1.0]);
    slopes(&[-1.0, 1.0], &[-1.0, 2.0], |x, y| x.nextafter(y), &[0.0, 1.0], &[0.0, 0.0]);
}

#[test]
fn derivatives_that_do_not_exist_are_refused() {
    let (x, y) = (t(&[1.5]).with_requires_grad(), t(&[2.5]));
    let message = |z: Tensor| z.sum().try_backward().unwrap_err().message().to_string();
    assert!(message(x.floor_divide(&y)).contains("derivative for aten::floor_divide is not implemented"));
    assert!(message(x.igamma(&y)).contains("the derivative for 'igamma: input' is not implemented."));
}

#[test]
fn a_gradient_is_the_same_with_and_without_a_graph() {
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        for f in [Tensor::tanh, Tensor::sigmoid, Tensor::digamma, Tensor::sinc, Tensor::erfinv] {
            let run = |create_graph| {
                let x = t(&[0.11, 0.5, 0.93]).to(dtype).with_requires_grad();
                let options = rushlight::autograd::GradOptions { create_graph, ..Default::default() };
                let g = rushlight::autograd::grad(&[&f(&x).sum()], &[&x], &[], options).unwrap().remove(0).unwrap();
                g.detach().to_f64_vec()
            };
            assert_eq!(run(false), run(true), "{dtype}");
        }
    }
}

#[test]
fn values_at_the_edges() {
    same(&t(&[-1.0, 0.0, NAN, 2.0]).sign(), &[-1.0, 0.0, 0.0, 1.0]);
    assert_eq!(t(&[-0.0, 0.0, NAN]).signbit().to_vec::<bool>(), [true, false, false]);
    same(&t(&[123.456, 0.125]).copy().to(DType::F32), &[123.456, 0.125]);
    same(&ops::round(&t(&[123.456, 0.125]), 2).unwrap(), &[123.46, 0.12]);
    same(&ops::round(&t(&[123.456]), -1).unwrap(), &[120.0]);
    same(&t(&[NAN, INF, -INF]).to(DType::F16).nan_to_num(None, None, None), &[0.0, 65504.0, -65504.0]);
    same(&t(&[-1.0, 0.0, NAN, 2.0]).clamp(1, 0), &[0.0, 0.0, NAN, 0.0]);
    same(&t(&[-1.0, 0.0, NAN, 2.0]).clamp(f64::NAN, 1.0), &[NAN; 4]);
    same(&t(&[-1.0, 0.0, NAN, 2.0]).heaviside(t(&[1.0])), &[0.0, 1.0, 0.0, 1.0]);
    same(&ops::threshold(&t(&[-1.0, 0.0, NAN, 2.0]), 0.0.into(), 7.0.into()).unwrap(), &[7.0, 7.0, NAN, 2.0]);
    same(&ops::softshrink(&t(&[-1.0, 0.0, NAN, 2.0]), 0.5).unwrap(), &[-0.5, 0.0, NAN, 1.5]);
    same(&ops::special_entr(&t(&[-1.0, 0.0, NAN, 2.0])).unwrap(), &[-INF, 0.0, NAN, -1.386_294_4]);
    same(&t(&[0.0, 0.5, 1.0, 2.0, NAN]).logit(None), &[-INF, 0.0, INF, NAN, NAN]);
    same(&t(&[0.0, 0.5, 1.0, 2.0, NAN]).logit(Some(0.1)), &[-2.197_224_6, 0.0, 2.197_224_6, 2.197_224_6, NAN]);
    same(&(t(&[-1.0, 0.0, 2.0]).floor_divide(0)), &[-INF, NAN, INF]);
    same(&(&t(&[-5.5, 5.5]) % 3.0), &[0.5, 2.5]);
    same(&ops::angle(&t(&[-1.0, 1.0, NAN])).unwrap(), &[std::f32::consts::PI, 0.0, NAN]);
    same(&t(&[1.0]).masked_fill(Tensor::from_slice(&[true], [1]), f64::NEG_INFINITY), &[-INF]);
}

#[test]
fn dtypes_follow_pytorch() {
    let (i, b) = (ints(&[1, 2, 3]), Tensor::from_slice(&[true, false], [2]));
    assert_eq!(i.exp().dtype(), DType::F32);
    assert_eq!(b.sin().dtype(), DType::F32);
    assert_eq!(b.square().dtype(), DType::I64);
    assert_eq!(b.pow(2).to_vec::<i64>(), [1, 0]);
    assert_eq!(i.pow(0.5).dtype(), DType::F32);
    assert_eq!(i.to(DType::U8).pow(2).dtype(), DType::U8);
    assert_eq!(i.float_power(2).dtype(), DType::F64);
    assert_eq!(i.clamp(0.5, None::<f64>).dtype(), DType::F32);
    assert_eq!(b.clamp(0, None::<i64>).dtype(), DType::I64);
    assert_eq!(i.copysign(&i).dtype(), DType::F32);
    assert_eq!(ops::ldexp(&i, &i).unwrap().dtype(), DType::F32);
    assert_eq!(i.masked_fill(i.gt(1), 1.5).to_vec::<i64>(), [1, 1, 1]);
    assert_eq!(i.to(DType::U8).masked_fill(i.gt(1), -1).to_vec::<u8>(), [1, 255, 255]);
    assert_eq!(i.where_(&i.gt(1), 1.5).to_vec::<f32>(), [1.5, 2.0, 3.0]);
    assert_eq!(i.pow(ints(&[-1])).to_vec::<i64>(), [1, 0, 0]);
    assert!(b.try_abs().unwrap_err().message().contains("not implemented for 'Bool'"));
    assert!(
        i.copy().try_pow_(0.5).unwrap_err().message().contains("result type Float can't be cast to the desired output type Long")
    );
}

#[test]
fn comparisons_and_logic() {
    let (i, f) = (ints(&[1, 2, 3]), t(&[-1.0, 0.0, NAN, 2.0]));
    assert_eq!(i.gt(1.5).to_vec::<bool>(), [false, true, true]);
    assert_eq!(i.logical_and(t(&[0.0, 0.5, NAN])).to_vec::<bool>(), [false, true, true]);
    assert!(i.equal(i.to(DType::F32)) && !i.equal(&f) && !f.equal(&f));
    assert!(!f.allclose(&f, 1e-5, 1e-8, false) && f.allclose(&f, 1e-5, 1e-8, true));
    assert_eq!(t(&[INF, INF, 1.0]).isclose(t(&[INF, 1.0, INF]), 1.0, 0.0, false).to_vec::<bool>(), [true, false, false]);
    let x = f.copy();
    x.eq_(&f);
    same(&x, &[1.0, 1.0, 0.0, 1.0]);
    assert_eq!((!&i).to_vec::<i64>(), [-2, -3, -4]);
    assert_eq!((&i << 70).to_vec::<i64>(), [0, 0, 0]);
    assert_eq!(((&i & 1) ^ 3 | 8).to_vec::<i64>(), [10, 11, 10]);
}

#[test]
fn membership_by_pairs_and_by_sorting_agree_with_a_set() {
    for (n, m) in [(7, 5), (1000, 300), (5, 40_000)] {
        let draw = |count: usize, salt: u64| -> Vec<i64> {
            (0..count as u64)
                .map(|i| (rushlight::op::sample::uniform(salt, i) * 3.0 * count as f64) as i64 - count as i64)
                .collect()
        };
        let (x, tests) = (draw(n, 1), draw(m, 2));
        let set: std::collections::HashSet<i64> = tests.iter().copied().collect();
        let expected: Vec<bool> = x.iter().map(|v| set.contains(v)).collect();
        for dtype in [DType::I64, DType::I32, DType::F64] {
            let found = ops::isin(&ints(&x).to(dtype), &ints(&tests).to(dtype), false, false).unwrap();
            assert_eq!(found.to_vec::<bool>(), expected, "{n} among {m}, {dtype}");
        }
    }
    // NaN is in nothing, and the smallest value does not count as found before the first test.
    let x = t(&[NAN, -INF, INF, 1.0]).reshape([2, 2]).expand([5000, 2, 2]);
    let found = ops::isin(&x, &t(&[NAN, INF, 1.0, 1.0]), false, false).unwrap();
    assert_eq!(found.to_vec::<bool>()[..4], [false, false, true, true]);
}

#[test]
fn arithmetic_in_place_gives_what_it_gives_out_of_place() {
    type Op = fn(&Tensor, &Tensor) -> rushlight::Result<Tensor>;
    type Twin = fn(&Tensor, &Tensor) -> rushlight::Result<()>;
    let ops: [(Op, Twin); 4] = [
        (|x, y| ops::add(x, y, 1.into()), |x, y| ops::add_(x, y, 1.into())),
        (|x, y| ops::sub(x, y, 1.into()), |x, y| ops::sub_(x, y, 1.into())),
        (ops::mul, ops::mul_),
        (|x, y| ops::div(x, y, None), |x, y| ops::div_(x, y, None)),
    ];
    let bits = |x: &Tensor| x.to(DType::F64).to_vec::<f64>().into_iter().map(f64::to_bits).collect::<Vec<_>>();
    rushlight::manual_seed(3);
    for (shape, dtype) in [(vec![], DType::F32), (vec![0], DType::F32), (vec![7], DType::F64), (vec![300, 3], DType::F32)]
        .into_iter()
        .chain([DType::BF16, DType::F16, DType::F32].map(|d| (vec![5, 9], d)))
    {
        let draw = || Tensor::randn(&shape[..]).to(dtype);
        for (op, twin) in ops {
            // Another tensor, itself, and another view of its memory.
            for other in 0..3 {
                let x = draw();
                let before = x.version();
                let y = match other {
                    0 => draw(),
                    1 => x.clone(),
                    _ => x.detach(),
                };
                let expected = op(&x, &y).unwrap();
                twin(&x, &y).unwrap();
                assert_eq!(bits(&x), bits(&expected), "{shape:?} {dtype} {other}");
                assert!(x.version() > before);
            }
        }
    }
    // What was saved for a derivative notices.
    let (w, x) = (t(&[1.0, 2.0]).with_requires_grad(), t(&[3.0, 4.0]));
    let y = &w * &x;
    x.mul_(t(&[2.0, 2.0]));
    let error = y.sum().try_backward().unwrap_err();
    assert!(error.message().contains("modified by an inplace operation"), "{error}");
    // And who may not be overwritten is not.
    assert!(w.try_add_(&x).unwrap_err().message().contains("leaf Variable that requires grad"));
}
