use super::*;
use crate::cpu::pool;
use crate::cpu::samples::*;

const OPS: [ReduceOp; 9] = [
    ReduceOp::Sum,
    ReduceOp::SumOfSquares,
    ReduceOp::Prod,
    ReduceOp::Min,
    ReduceOp::Max,
    ReduceOp::ArgMin,
    ReduceOp::ArgMax,
    ReduceOp::All,
    ReduceOp::Any,
];

fn out_dtype(op: ReduceOp, dtype: DType) -> DType {
    match op {
        ReduceOp::ArgMin | ReduceOp::ArgMax => DType::I64,
        ReduceOp::All | ReduceOp::Any => DType::Bool,
        _ => dtype,
    }
}

fn run(op: ReduceOp, x: &Sample, dims: &[usize], out_layout: usize) -> Result<Vec<f64>> {
    let mut shape = x.layout.shape.clone();
    dims.iter().for_each(|&d| shape[d] = 1);
    let out = Sample::zeros(out_dtype(op, x.dtype), layouts(&shape)[out_layout].clone());
    reduce(op, x.view(), dims, &mut out.view_mut())?;
    Ok(out.values())
}

/// Folds every group element by element in f64, which is exact for the small integers of these tests.
fn naive(op: ReduceOp, x: &Sample, dims: &[usize]) -> Vec<f64> {
    let shape = &x.layout.shape;
    let mut out_shape = shape.clone();
    dims.iter().for_each(|&d| out_shape[d] = 1);
    let out = Layout::contiguous(&out_shape);
    let mut groups: Vec<Vec<f64>> = vec![Vec::new(); out.numel()];
    for (i, v) in x.values().into_iter().enumerate() {
        let (mut rest, mut to) = (i, 0);
        for d in (0..shape.len()).rev() {
            if out_shape[d] != 1 {
                to += rest % shape[d] * out.strides[d] as usize;
            }
            rest /= shape[d];
        }
        groups[to].push(v);
    }
    let best = |g: &[f64], sign: f64| {
        let nan = g.iter().position(|v| v.is_nan());
        nan.unwrap_or_else(|| (0..g.len()).reduce(|b, i| if sign * g[i] > sign * g[b] { i } else { b }).unwrap())
    };
    let fold = |g: &Vec<f64>| match op {
        ReduceOp::Sum if x.dtype == DType::Bool => g.iter().any(|v| *v != 0.0) as u8 as f64,
        ReduceOp::Sum if x.dtype.is_int() => dispatch!(x.dtype, T => T::from_i64(g.iter().sum::<f64>() as i64).to_f64()),
        ReduceOp::Sum => g.iter().sum(),
        ReduceOp::SumOfSquares => g.iter().map(|v| v * v).sum(),
        ReduceOp::Prod => g.iter().product(),
        ReduceOp::Min => g[best(g, -1.0)],
        ReduceOp::Max => g[best(g, 1.0)],
        ReduceOp::ArgMin => best(g, -1.0) as f64,
        ReduceOp::ArgMax => best(g, 1.0) as f64,
        ReduceOp::All => g.iter().all(|v| *v != 0.0) as u8 as f64,
        ReduceOp::Any => g.iter().any(|v| *v != 0.0) as u8 as f64,
    };
    groups.iter().map(fold).collect()
}

/// Values whose sums and products are exact in `dtype`.
fn element(op: ReduceOp, dtype: DType, i: usize) -> f64 {
    match op {
        ReduceOp::Prod if dtype == DType::U8 => 1.0,
        ReduceOp::Prod if dtype != DType::Bool => [1.0, -1.0, 1.0][i % 3],
        ReduceOp::SumOfSquares => [1.0, -1.0, 0.0, 2.0, -2.0][i % 5],
        ReduceOp::Sum if dtype.is_signed() => [1.0, -1.0, 0.0, -1.0, 1.0, 2.0, -2.0, 3.0, -3.0, 0.0, 1.0][i % 11],
        ReduceOp::Sum if dtype == DType::U8 => i.is_multiple_of(37) as u8 as f64,
        ReduceOp::All => (i % 29 != 3) as u8 as f64,
        ReduceOp::Any => (i % 29 == 3) as u8 as f64,
        _ => scrambled(dtype, i),
    }
}

#[test]
fn every_op_dtype_layout_and_set_of_dims_agrees_with_the_naive_fold() {
    let cases: [(&[usize], &[&[usize]]); 9] = [
        (&[], &[&[]]),
        (&[3, 32, 32], &[&[0], &[1], &[2], &[0, 1], &[0, 2]]),
        (&[7], &[&[0], &[]]),
        (&[100], &[&[0]]),
        (&[3, 40], &[&[0], &[1], &[0, 1], &[]]),
        (&[70, 3], &[&[0], &[1], &[0, 1]]),
        (&[2, 3, 4, 5], &[&[0], &[1], &[2], &[3], &[0, 1], &[1, 3], &[0, 2], &[0, 2, 3], &[1, 2], &[0, 1, 2, 3]]),
        (&[150, 1, 5], &[&[0], &[1], &[0, 1], &[0, 2]]),
        (&[2, 0, 3], &[&[0], &[1], &[0, 1, 2]]),
    ];
    for (shape, dim_sets) in cases {
        for dims in dim_sets {
            for op in OPS {
                let group: usize = dims.iter().map(|&d| shape[d]).product();
                if group == 0 && matches!(op, ReduceOp::Min | ReduceOp::Max | ReduceOp::ArgMin | ReduceOp::ArgMax) {
                    continue;
                }
                for dtype in DType::ALL {
                    if op == ReduceOp::SumOfSquares && !matches!(dtype, DType::F32 | DType::F64) {
                        continue;
                    }
                    for (k, layout) in input_layouts(shape).into_iter().enumerate() {
                        let x = Sample::new(dtype, layout, |i| element(op, dtype, i));
                        let got = run(op, &x, dims, k % 4).unwrap();
                        let want = naive(op, &x, dims);
                        assert!(same(&got, &want), "{op:?} {dtype} {shape:?} {dims:?} layout {k}: {got:?} {want:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn large_groups_agree_with_the_naive_fold() {
    let cases: [(&[usize], &[usize]); 8] = [
        (&[9001, 8], &[0]),
        (&[2, 300, 32], &[1]),
        (&[300_001], &[0]),
        (&[2, 140_000], &[1]),
        (&[5000, 7], &[0]),
        (&[300, 5000], &[0]),
        (&[3, 4100, 33], &[1]),
        (&[2100, 90], &[1]),
    ];
    for (shape, dims) in cases {
        for op in OPS {
            for dtype in [DType::F32, if op == ReduceOp::SumOfSquares { DType::F64 } else { DType::I64 }] {
                let layouts = layouts(shape);
                for k in [0, 1] {
                    let x = Sample::new(dtype, layouts[k].clone(), |i| element(op, dtype, i));
                    assert_eq!(
                        run(op, &x, dims, 0).unwrap(),
                        naive(op, &x, dims),
                        "{op:?} {dtype} {shape:?} {dims:?} layout {k}"
                    );
                }
            }
        }
    }
}

#[test]
fn runs_and_columns_of_every_length_agree_with_the_naive_fold() {
    for n in (1..160).chain([2047, 2048, 2049, 2111, 4095, 65_535, 65_537]) {
        for op in OPS {
            for dtype in [DType::F32, DType::F64, DType::I64] {
                if op == ReduceOp::SumOfSquares && dtype == DType::I64 {
                    continue;
                }
                let shapes = [(&[3, n][..], 1), (&[20, n], 0), (&[3, 20, n], 1), (&[n, 20], 0), (&[3, n], 0), (&[21, n], 1)];
                for (shape, dim) in &shapes[..if n < 160 { 6 } else { 1 }] {
                    let dim = *dim;
                    let x = Sample::new(dtype, Layout::contiguous(shape), |i| element(op, dtype, i));
                    assert!(same(&run(op, &x, &[dim], 0).unwrap(), &naive(op, &x, &[dim])), "{op:?} {dtype} {shape:?} {dim}");
                }
            }
        }
    }
}

fn noise(i: usize) -> f64 {
    ((i as u64).wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64
}

#[test]
fn a_strided_view_and_any_thread_count_give_the_bits_of_the_contiguous_copy() {
    let before = pool::num_threads();
    for (shape, dims) in
        [([37, 64, 50], vec![1]), ([37, 64, 50], vec![0, 2]), ([37, 64, 50], vec![0]), ([300, 300, 3], vec![0, 1, 2])]
    {
        let mut bits: Vec<Vec<f64>> = Vec::new();
        for layout in layouts(&shape) {
            let x = Sample::new(DType::F32, layout, noise);
            for threads in [1, 4] {
                pool::set_num_threads(threads);
                bits.push(run(ReduceOp::Sum, &x, &dims, 0).unwrap());
            }
        }
        assert!(bits.iter().all(|b| b == &bits[0]), "{shape:?} {dims:?}");
    }
    pool::set_num_threads(before);
}

#[test]
fn float_sums_are_cascades() {
    // Ten million additions in sequence would be off by more than 1e-4 of the sum.
    for (shape, dims) in [([3_000_000, 1], [0]), ([1, 3_000_000], [1]), ([1_500_000, 2], [0])] {
        let x = Sample::new(DType::F32, Layout::contiguous(&shape), |i| noise(i) as f32 as f64);
        let truth = naive(ReduceOp::Sum, &x, &dims);
        for (got, want) in run(ReduceOp::Sum, &x, &dims, 0).unwrap().iter().zip(truth) {
            assert!((got - want).abs() / want < 3e-7, "{shape:?} {got} {want}");
        }
    }
    // In f16 itself the sum would stop at 2048.
    let ones = Sample::new(DType::F16, Layout::contiguous(&[5000]), |_| 1.0);
    assert_eq!(run(ReduceOp::Sum, &ones, &[0], 0).unwrap(), [5000.0]);
}

#[test]
fn nan_wins_wherever_it_stands() {
    for dtype in [DType::F16, DType::BF16, DType::F32, DType::F64] {
        let shapes = [
            (vec![5000], [0]),
            (vec![50, 3], [0]),
            (vec![3, 50], [1]),
            (vec![20], [0]),
            (vec![40, 25], [1]),
            (vec![40, 90], [1]),
            (vec![5, 90], [0]),
            (vec![80, 100], [0]),
            (vec![250, 8], [0]),
            (vec![70, 40], [0]),
        ];
        for (shape, dims) in shapes {
            for at in [0, 1, 17, 19, 49, 79, 2100] {
                let x = Sample::new(dtype, Layout::contiguous(&shape), |i| {
                    // Infinities of both signs beside it: their sum is NaN too.
                    let other = [f64::NEG_INFINITY, f64::INFINITY, 3.0][i % 7 % 3];
                    if i == at || i == at + 1 {
                        f64::NAN
                    } else if at == 19 {
                        other
                    } else {
                        (i % 2) as f64
                    }
                });
                for op in [ReduceOp::Min, ReduceOp::Max, ReduceOp::ArgMin, ReduceOp::ArgMax, ReduceOp::Sum, ReduceOp::All] {
                    let (got, want) = (run(op, &x, &dims, 0).unwrap(), naive(op, &x, &dims));
                    assert!(same(&got, &want), "{op:?} {dtype} {shape:?} NaN at {at}: {got:?} {want:?}");
                }
            }
        }
    }
    let inf = Sample::of(DType::F32, &[2], &[f64::NEG_INFINITY; 2]);
    assert_eq!(run(ReduceOp::ArgMax, &inf, &[0], 0).unwrap(), [0.0]);
    assert_eq!(run(ReduceOp::Max, &inf, &[0], 0).unwrap(), [f64::NEG_INFINITY]);
}

#[test]
fn empty_groups_have_an_identity_or_an_error() {
    let x = Sample::zeros(DType::F32, Layout::contiguous(&[0, 2]));
    for (op, want) in [(ReduceOp::Sum, 0.0), (ReduceOp::Prod, 1.0), (ReduceOp::All, 1.0), (ReduceOp::Any, 0.0)] {
        assert_eq!(run(op, &x, &[0], 0).unwrap(), [want; 2]);
        assert_eq!(run(op, &x, &[0, 1], 0).unwrap(), [want]);
    }
    assert!(run(ReduceOp::Max, &x, &[0], 0).is_err());
    assert!(run(ReduceOp::Max, &x, &[1], 0).unwrap().is_empty());
}

#[test]
fn integers_wrap() {
    let x = Sample::of(DType::U8, &[3], &[200.0, 100.0, 3.0]);
    assert_eq!(run(ReduceOp::Sum, &x, &[0], 0).unwrap(), [47.0]);
    let big = Sample::of(DType::I32, &[2], &[i32::MAX as f64, 1.0]);
    assert_eq!(run(ReduceOp::Sum, &big, &[0], 0).unwrap(), [i32::MIN as f64]);
}
