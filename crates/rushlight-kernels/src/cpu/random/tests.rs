//! Literals are PyTorch 2.15's answers.

use super::*;
use crate::cpu::samples::*;

fn draw(op: RandomOp, dtype: DType, layout: Layout, seed: u64) -> Vec<f64> {
    let out = Sample::zeros(dtype, layout);
    fill(op, &mut Generator::new(seed), &mut out.view_mut()).unwrap();
    out.values()
}

fn row(n: usize) -> Layout {
    Layout::contiguous(&[n])
}

const UNIT: RandomOp = RandomOp::Uniform { low: 0.0, high: 1.0 };
const NORMAL: RandomOp = RandomOp::Normal { mean: 0.0, std: 1.0 };

#[test]
fn uniform_draws_are_pytorchs() {
    let f32s = [0.49625658988952637, 0.7682217955589294, 0.08847743272781372, 0.13203048706054688];
    assert_eq!(draw(UNIT, DType::F32, row(4), 0), f32s);
    assert_eq!(draw(UNIT, DType::F16, row(3), 0), [0.496337890625, 0.76806640625, 0.0885009765625]);
    assert_eq!(draw(UNIT, DType::BF16, row(3), 0), [0.49609375, 0.76953125, 0.08837890625]);
    assert_eq!(draw(UNIT, DType::F64, row(3), 0), [0.9700530018065531, 0.707819864399788, 0.45938294312745087]);
    let shifted = [0.3182237148284912, -0.04051683843135834, 0.05230194330215454, 0.30101335048675537];
    assert_eq!(draw(RandomOp::Uniform { low: -0.25, high: 0.5 }, DType::F32, row(4), 1), shifted);
}

#[test]
fn normal_draws_are_pytorchs() {
    // Fewer than sixteen: one at a time.
    assert_eq!(draw(NORMAL, DType::F32, row(3), 0), [1.5409960746765137, -0.293428897857666, -2.1787893772125244]);
    // Blocks of sixteen, and a remainder that draws the last sixteen again.
    let sixteen = [
        -1.1258398294448853,
        -1.152360200881958,
        -0.2505785822868347,
        -0.4338788092136383,
        0.8487103581428528,
        0.6920091509819031,
        -0.31601276993751526,
        -2.1152193546295166,
        0.32227492332458496,
        -1.2633347511291504,
        0.34998318552970886,
        0.30813392996788025,
        0.11984150856733322,
        1.237657904624939,
        1.1167771816253662,
        -0.2472781538963318,
    ];
    assert_eq!(draw(NORMAL, DType::F32, row(16), 0), sixteen);
    let f32s = [-1.1258398294448853, -1.152360200881958, 0.5666506290435791, 0.7935083508491516];
    assert_eq!(draw(NORMAL, DType::F32, row(18), 0)[..4], f32s);
    let f16s = [-1.1259765625, -1.15234375, -1.3525390625, -1.6962890625, 0.56689453125];
    assert_eq!(draw(NORMAL, DType::F16, row(18), 0)[..5], f16s);
    // The last bits of a double are the system's logarithm and cosine.
    let f64s = [-2.310411800234176, -0.3732508612577643, -1.2609246557194385, -0.726951062065411, -0.019964750907762653];
    for (got, want) in draw(NORMAL, DType::F64, row(18), 0).iter().zip(f64s) {
        assert!((got - want).abs() <= 4.0 * f64::EPSILON * want.abs(), "{got} {want}");
    }
}

#[test]
fn strided_tensors_fill_in_the_order_of_memory() {
    let transposed = Layout::contiguous(&[6, 3]).transpose(0, 1);
    let first_row = [1.5409960746765137, 0.5684312582015991, 0.40334683656692505, -0.40334352850914];
    assert_eq!(draw(NORMAL, DType::F32, transposed.clone(), 0)[..4], first_row);
    let straight = draw(UNIT, DType::F32, Layout::contiguous(&[6, 3]), 0);
    let turned = draw(UNIT, DType::F32, transposed, 0);
    assert!((0..18).all(|i| turned[i % 3 * 6 + i / 3] == straight[i]));
    assert_eq!(draw(UNIT, DType::F32, Layout::contiguous(&[2, 18]).slice(1, 0, 2, 9), 0), straight);
    assert!(draw(NORMAL, DType::F32, row(0), 0).is_empty());
    assert_eq!(draw(UNIT, DType::F32, Layout::contiguous(&[]), 0), straight[..1]);
}

#[test]
fn integers_bernoulli_and_exponential_are_pytorchs() {
    let ints = |low, high| RandomOp::RandInt { low, high };
    assert_eq!(draw(ints(0, 10), DType::I64, row(6), 0), [4.0, 9.0, 3.0, 0.0, 3.0, 9.0]);
    assert_eq!(draw(ints(0, 10), DType::U8, row(6), 0), [4.0, 9.0, 3.0, 0.0, 3.0, 9.0]);
    assert_eq!(draw(ints(-5, 1 << 40), DType::I64, row(3), 0), [741234585336.0, 506077272957.0, 291397093751.0]);
    // 999 is no bf16, so the range ends earlier.
    assert_eq!(draw(ints(0, 1000), DType::BF16, row(6), 0), [452.0, 135.0, 137.0, 384.0, 944.0, 964.0]);
    let ones = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0];
    for dtype in DType::ALL {
        assert_eq!(draw(RandomOp::Bernoulli { p: 0.3 }, dtype, row(10), 0), ones);
    }
    let times = [2.338884115219116, 0.8202565312385559, 0.4100293815135956];
    assert_eq!(draw(RandomOp::Exponential { lambda: 1.5 }, DType::F32, row(3), 0), times);
}

#[test]
fn permutations_and_weighted_samples_are_pytorchs() {
    let mut g = Generator::new(0);
    assert_eq!(g.permutation(10), [4, 1, 7, 5, 3, 9, 0, 8, 6, 2]);
    assert!(g.permutation(0).is_empty());
    let w = [1.0, 2.0, 3.0, 4.0];
    assert_eq!(Generator::new(0).multinomial(&w, 4, 8, true).unwrap(), [3, 3, 2, 3, 3, 3, 1, 2]);
    assert_eq!(Generator::new(0).multinomial(&w, 4, 3, false).unwrap(), [2, 1, 3]);
    let rows = [1.0, 2.0, 3.0, 4.0, 4.0, 3.0, 2.0, 1.0];
    assert_eq!(Generator::new(0).multinomial(&rows, 4, 2, false).unwrap(), [2, 1, 2, 0]);
    for (weights, samples, text) in [
        (vec![1.0, -1.0], 1, "element < 0"),
        (vec![1.0, f64::NAN], 1, "`nan`"),
        (vec![0.0, 0.0], 1, "sum of probabilities <= 0"),
        (vec![1.0, 1.0], 3, "without replacement"),
        (vec![1.0, 1.0], 0, "n_sample <= 0"),
    ] {
        let error = Generator::new(0).multinomial(&weights, 2, samples, false).unwrap_err();
        assert!(error.message().contains(text), "{error}");
    }
}

#[test]
fn the_state_is_pytorchs_and_restores_the_stream() {
    let mut g = Generator::new((1 << 63) + 12345);
    let out = Sample::zeros(DType::F32, row(700));
    fill(UNIT, &mut g, &mut out.view_mut()).unwrap();
    let three = Sample::zeros(DType::F32, row(3));
    fill(NORMAL, &mut g, &mut three.view_mut()).unwrap();
    let s = g.state();
    assert_eq!(s.len(), 5056);
    assert_eq!(s[..24], [0x39, 0x30, 0, 0, 0, 0, 0, 0x80, 0x1d, 2, 0, 0, 1, 0, 0, 0, 0x54, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(s[5016..5040], [0, 0, 0, 0, 0, 0, 0, 0, 0x58, 3, 0x68, 0xb0, 0xeb, 0xe0, 5, 0x40, 0, 0, 0, 0, 0, 0, 0, 0]);
    // Adler-32 of all the bytes.
    let (a, b) = s.iter().fold((1u32, 0u32), |(a, b), &byte| ((a + byte as u32) % 65521, (a + byte as u32 + b) % 65521));
    assert_eq!(b << 16 | a, 2553333713);

    let mut h = Generator::new(0);
    h.set_state(&s).unwrap();
    assert_eq!(h.initial_seed(), (1 << 63) + 12345);
    assert_eq!(h.state(), s);
    assert_eq!([bulk::unit_f32(h.random()), bulk::unit_f32(h.random())], [0.7190057039260864, 0.7988743782043457]);
    assert_eq!(h.normal() as f32, 2.7348246574401855);
}

#[test]
fn bytes_that_are_no_state_are_refused() {
    let mut g = Generator::new(3);
    let good = g.state();
    assert!(g.set_state(&good[1..]).unwrap_err().message().contains("size 5056"));
    for (at, value) in [(8, 0), (9, 0xff), (12, 0), (17, 0xff), (20, 1)] {
        let mut bad = good.clone();
        bad[at] = value;
        if at == 17 {
            bad[8] = 2;
        }
        assert_eq!(g.set_state(&bad).unwrap_err().message(), "Invalid mt19937 state", "byte {at}");
    }
    // A word counter that would run past the words before they are renewed.
    let mut bad = good.clone();
    (bad[8], bad[16], bad[17]) = (200, 0x70, 2);
    assert!(g.set_state(&bad).is_err());
    assert_eq!(g.state(), good);
}

#[test]
fn impossible_parameters_and_dtypes_are_errors() {
    let fails = |op, dtype| {
        let out = Sample::zeros(dtype, row(2));
        fill(op, &mut Generator::new(0), &mut out.view_mut()).unwrap_err()
    };
    assert!(fails(RandomOp::RandInt { low: 3, high: 3 }, DType::I64).message().contains("from=3 >= to=3"));
    assert!(fails(RandomOp::Bernoulli { p: 1.5 }, DType::F32).message().contains("[0, 1]"));
    assert!(fails(UNIT, DType::I64).message().contains("not implemented for 'Long'"));
    assert!(fails(NORMAL, DType::Bool).message().contains("not implemented for 'Bool'"));
    assert!(fails(RandomOp::Exponential { lambda: 1.0 }, DType::I8).message().contains("not implemented for 'Char'"));
}
