//! The random ops against values that PyTorch 2.15 gave on a CPU for `torch.manual_seed(7)`. The kernels' own tests cover longer streams.

use rushlight::{DType, Tensor, manual_seed, ops};

const N: i64 = 3;

/// The probabilities `torch.linspace(0.1, 1, 3)`.
fn p() -> Tensor {
    Tensor::linspace(0.1, 1.0, 3)
}
fn d() -> Tensor {
    p().to(DType::F64)
}
fn int(dtype: DType) -> Tensor {
    ops::zeros(&[N], Some(dtype)).unwrap()
}

#[test]
fn draws_are_pytorchs() {
    // One test, for the seed belongs to the whole process.
    let cases: &[(&str, fn() -> Tensor, &[f64])] = &[
        ("rand", || Tensor::rand(N), &[0.5349225401878357, 0.19880318641662598, 0.6592116951942444]),
        ("randn", || Tensor::randn(N), &[-0.1467950940132141, 0.7861412763595581, 0.9468216300010681]),
        ("randint", || Tensor::randint(3..100, N), &[55.0, 61.0, 86.0]),
        ("randint_big", || Tensor::randint(0..1 << 40, N), &[752595690692.0, 108744157686.0, 291964244179.0]),
        ("randintf", || ops::randint_low(3, 100, &[N], None, Some(DType::F32)).unwrap(), &[55.0, 61.0, 86.0]),
        ("randperm", || ops::randperm(N, None, None).unwrap(), &[0.0, 1.0, 2.0]),
        ("exp", || Tensor::zeros(N).exponential_(1.5), &[0.21842928230762482, 0.21318897604942322, 1.3207836151123047]),
        ("uni", || Tensor::zeros(N).uniform_(-1.0, 3.0), &[1.1396901607513428, -0.2047872543334961, 1.6368467807769775]),
        ("bern", || p().bernoulli(), &[0.0, 1.0, 1.0]),
        ("bern_", || Tensor::zeros(N).bernoulli_(0.3), &[1.0, 1.0, 0.0]),
        ("bern_t", || Tensor::zeros(N).bernoulli_tensor_(p()), &[0.0, 1.0, 1.0]),
        ("bern_d", || d().bernoulli(), &[0.0, 1.0, 1.0]),
        ("normal_tt", || ops::normal(&p(), &p(), None).unwrap(), &[0.08532049506902695, 0.9823777675628662, 1.946821689605713]),
        (
            "normal_tf",
            || ops::normal_mean(&p(), 2.0, None).unwrap(),
            &[-0.1935901939868927, 2.1222825050354004, 2.893643379211426],
        ),
        ("normal_ft", || ops::normal_std(1.0, &p(), None).unwrap(), &[0.985320508480072, 1.4323776960372925, 1.946821689605713]),
        (
            "normal_ff",
            || ops::normal_numbers(1.0, 2.0, &[N], None, None).unwrap(),
            &[0.7064098119735718, 2.572282552719116, 2.8936431407928467],
        ),
        ("mult_norep", || p().multinomial(3, false), &[1.0, 2.0, 0.0]),
        ("mult_rep", || p().multinomial(5, true), &[1.0, 1.0, 2.0, 2.0, 2.0]),
        ("mult_one", || p().multinomial(1, false), &[1.0]),
        ("mult_2d", || p().repeat([2, 1]).multinomial(2, false), &[1.0, 2.0, 2.0, 1.0]),
        ("mult_d", || d().multinomial(3, false), &[1.0, 2.0, 0.0]),
        ("mult_d_rep", || d().multinomial(5, true), &[1.0, 1.0, 2.0, 2.0, 2.0]),
        ("random_", || Tensor::zeros(N).random_(), &[8974492.0, 3335306.0, 11059538.0]),
        ("random_i", || int(DType::I64).random_(), &[1.407639518939637e+18, 5.163590386780219e+18, 8.087222774582268e+18]),
        ("random_u8", || int(DType::U8).random_(), &[175.0, 196.0, 25.0]),
        ("random_b", || int(DType::Bool).random_(), &[1.0, 0.0, 1.0]),
        ("random_to", || Tensor::zeros(N).random_to_(10), &[5.0, 2.0, 1.0]),
        ("random_ft", || int(DType::I32).random_range_(-5, Some(10)), &[-5.0, 2.0, -4.0]),
        ("random_fN", || int(DType::I16).random_range_(5, None), &[13331.0, 10971.0, 3843.0]),
    ];
    for (name, draw, want) in cases {
        manual_seed(7);
        let got = draw().to_f64_vec();
        assert_eq!(got.len(), want.len(), "{name}");
        for (g, w) in got.iter().zip(*want) {
            assert!((g - w).abs() <= 1e-6 * w.abs(), "{name}: {got:?} instead of {want:?}");
        }
    }
}

#[test]
fn own_generators_are_independent() {
    let draw = |g: &rushlight::Generator| ops::randn(&[4], Some(g), None).unwrap().to_vec::<f32>();
    let (a, b) = (rushlight::Generator::new(1), rushlight::Generator::new(1));
    let first = draw(&a);
    assert_ne!(first, draw(&a));
    assert_eq!(first, draw(&b));
}
