use super::*;
use crate::cpu::samples::*;

fn run(op: ScanOp, x: &Sample, dim: usize, out_layout: usize) -> (Vec<f64>, Vec<f64>) {
    let layouts = layouts(&x.layout.shape);
    let out = Sample::zeros(x.dtype, layouts[out_layout].clone());
    let positions = Sample::zeros(DType::I64, layouts[(out_layout + 1) % 4].clone());
    scan(op, x.view(), dim, &mut out.view_mut(), Some(&mut positions.view_mut())).unwrap();
    (out.values(), positions.values())
}

fn naive(op: ScanOp, x: &Sample, dim: usize) -> (Vec<f64>, Vec<f64>) {
    let shape = if x.layout.rank() == 0 { vec![1] } else { x.layout.shape.to_vec() };
    let step: usize = shape[dim + 1..].iter().product();
    let mut values = x.values();
    let mut positions = vec![0.0; values.len()];
    for i in 0..values.len() {
        let j = i / step % shape[dim];
        if j == 0 {
            continue;
        }
        let (last, new) = (values[i - step], values[i]);
        let newer = new.is_nan() || (!last.is_nan() && if op == ScanOp::Max { new >= last } else { new <= last });
        positions[i] = if newer { j as f64 } else { positions[i - step] };
        let joined = match op {
            ScanOp::Sum => last + new,
            ScanOp::Prod => last * new,
            ScanOp::Max | ScanOp::Min => {
                if newer {
                    new
                } else {
                    last
                }
            }
            ScanOp::LogSumExp => (last.exp() + new.exp()).ln(),
        };
        values[i] = match x.dtype {
            DType::Bool => (joined != 0.0) as u8 as f64,
            d if d.is_int() => dispatch!(d, T => T::from_i64(joined as i64).to_f64()),
            _ => joined,
        };
    }
    (values, positions)
}

#[test]
fn every_op_dtype_and_layout_agrees_with_the_naive_scan() {
    for shape in [&[][..], &[1], &[9], &[4, 6], &[3, 4, 5], &[2, 0, 3], &[50, 900]] {
        for dim in 0..shape.len().max(1) {
            for dtype in DType::ALL {
                for (k, layout) in input_layouts(shape).into_iter().enumerate() {
                    for op in [ScanOp::Sum, ScanOp::Prod, ScanOp::Max, ScanOp::Min] {
                        let element = |i: usize| match op {
                            ScanOp::Prod | ScanOp::Sum if dtype.is_float() => [1.0, -1.0, -1.0, 1.0, 1.0][i % 5],
                            _ => scrambled(dtype, i),
                        };
                        let x = Sample::new(dtype, layout.clone(), element);
                        if op == ScanOp::Prod && dtype == DType::I64 {
                            continue;
                        }
                        let (want, want_positions) = naive(op, &x, dim);
                        let (got, positions) = run(op, &x, dim, k % 4);
                        assert_eq!(got, want, "{op:?} {dtype} {shape:?} dim {dim} layout {k}");
                        if matches!(op, ScanOp::Max | ScanOp::Min) {
                            assert_eq!(positions, want_positions, "{op:?} {dtype} {shape:?} dim {dim} layout {k}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn nan_stays_and_the_latest_is_kept() {
    let x = Sample::of(DType::F32, &[5], &[1.0, f64::NAN, 3.0, f64::NAN, 2.0]);
    for op in [ScanOp::Max, ScanOp::Min] {
        let (values, positions) = run(op, &x, 0, 0);
        assert!(same(&values, &[1.0, f64::NAN, f64::NAN, f64::NAN, f64::NAN]));
        assert_eq!(positions, [0.0, 1.0, 1.0, 3.0, 3.0]);
    }
    let ties = Sample::of(DType::I32, &[4], &[2.0, 2.0, 1.0, 2.0]);
    assert_eq!(run(ScanOp::Max, &ties, 0, 0).1, [0.0, 1.0, 1.0, 3.0]);
}

#[test]
fn log_sum_exp_neither_overflows_nor_loses_infinities() {
    let inf = f64::INFINITY;
    for dtype in [DType::F16, DType::BF16, DType::F32, DType::F64] {
        let x = Sample::of(dtype, &[4], &[-inf, -inf, 500.0, 500.0]);
        let (got, _) = run(ScanOp::LogSumExp, &x, 0, 0);
        assert_eq!(got[..3], [-inf, -inf, 500.0]);
        assert!((got[3] - 500.0 - 2f64.ln()).abs() <= dtype.epsilon() * 512.0);
        assert_eq!(run(ScanOp::LogSumExp, &Sample::of(dtype, &[2], &[inf, inf]), 0, 0).0, [inf, inf]);
    }
    let x = Sample::new(DType::F64, Layout::contiguous(&[20, 3]), |i| scrambled(DType::F64, i) / 4.0);
    for (got, want) in run(ScanOp::LogSumExp, &x, 0, 0).0.iter().zip(naive(ScanOp::LogSumExp, &x, 0).0) {
        assert!((got - want).abs() < 1e-12);
    }
    let ints = Sample::of(DType::I64, &[1], &[1.0]);
    assert!(scan(ScanOp::LogSumExp, ints.view(), 0, &mut ints.view_mut(), None).is_err());
}

#[test]
fn a_scan_may_overwrite_its_input_and_keeps_its_digits() {
    let x = Sample::of(DType::I64, &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    scan(ScanOp::Sum, x.view(), 1, &mut x.view_mut(), None).unwrap();
    assert_eq!(x.values(), [1.0, 3.0, 6.0, 4.0, 9.0, 15.0]);
    let tenths = Sample::new(DType::F32, Layout::contiguous(&[1_000_000]), |_| 0.1);
    let (got, _) = run(ScanOp::Sum, &tenths, 0, 0);
    assert!((got[999_999] - 0.1f32 as f64 * 1e6).abs() < 0.01);
}
