use super::*;
use crate::cpu::samples::*;

const OPS: [ScatterOp; 5] = [ScatterOp::Set, ScatterOp::Add, ScatterOp::Mul, ScatterOp::Min, ScatterOp::Max];

/// The row-major number of `index` in `shape`.
fn number(index: &[usize], shape: &[usize]) -> usize {
    index.iter().zip(shape).fold(0, |n, (i, d)| n * d + i)
}

/// The multi-index of row-major number `n` in `shape`.
fn unravel(mut n: usize, shape: &[usize]) -> Vec<usize> {
    let mut index: Vec<usize> = shape.iter().rev().map(|d| (n % d, n /= d).0).collect();
    index.reverse();
    index
}

/// Joins in f64, with the values rounded to `dtype`.
fn join(op: ScatterOp, dtype: DType, old: f64, new: f64) -> f64 {
    let joined = match op {
        ScatterOp::Set => new,
        ScatterOp::Add => old + new,
        ScatterOp::Mul => old * new,
        ScatterOp::Min if old.is_nan() || new.is_nan() => f64::NAN,
        ScatterOp::Max if old.is_nan() || new.is_nan() => f64::NAN,
        ScatterOp::Min => old.min(new),
        ScatterOp::Max => old.max(new),
    };
    if dtype == DType::Bool {
        (joined != 0.0) as u8 as f64
    } else if dtype.is_float() {
        dispatch!(dtype, T => T::from_f64(joined).to_f64())
    } else {
        dispatch!(dtype, T => T::from_i64(joined as i64).to_f64())
    }
}

fn indices(dtype: DType, layout: Layout, size: usize) -> Sample {
    Sample::new(dtype, layout, |i| ((i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33) as f64 % size as f64)
}

#[test]
fn gather_and_scatter_agree_with_the_naive_loops() {
    // x's shape, index's shape, dim.
    let cases: [(&[usize], &[usize], usize); 6] = [
        (&[5], &[9], 0),
        (&[4, 3], &[4, 2], 1),
        (&[4, 3], &[7, 3], 0),
        (&[3, 4, 5], &[2, 6, 3], 1),
        (&[2, 3], &[2, 0], 1),
        (&[300, 200], &[250, 200], 0),
    ];
    for (shape, taken, dim) in cases {
        for dtype in DType::ALL {
            for (k, layout) in layouts(shape).into_iter().enumerate() {
                let x = Sample::new(dtype, layout, |i| scrambled(dtype, i));
                let index_dtype = [DType::I64, DType::I32][k % 2];
                let index = indices(index_dtype, layouts(taken)[(k + 1) % 4].clone(), shape[dim]);
                let destination = |n: usize| {
                    let mut at = unravel(n, taken);
                    at[dim] = index.values()[n] as usize;
                    number(&at, shape)
                };
                let to: Vec<usize> = if index.layout.numel() < 1000 {
                    (0..index.layout.numel()).map(destination).collect()
                } else {
                    let all = index.values();
                    (0..all.len()).map(|n| number(&[all[n] as usize, n % taken[1]], shape)).collect()
                };
                let out = Sample::zeros(dtype, layouts(taken)[(k + 2) % 4].clone());
                gather(x.view(), dim, index.view(), &mut out.view_mut()).unwrap();
                let all = x.values();
                let want: Vec<f64> = to.iter().map(|&t| all[t]).collect();
                assert_eq!(out.values(), want, "gather {dtype} {shape:?} layout {k}");

                for op in OPS {
                    let src = Sample::new(dtype, layouts(taken)[k].clone(), |i| scrambled(dtype, i + 77));
                    let out = Sample::new(dtype, x.layout.clone(), |i| scrambled(dtype, i));
                    let mut want = out.values();
                    for (t, new) in to.iter().zip(src.values()) {
                        want[*t] = join(op, dtype, want[*t], new);
                    }
                    scatter(op, dim, index.view(), src.view(), &mut out.view_mut()).unwrap();
                    assert!(same(&out.values(), &want), "scatter {op:?} {dtype} {shape:?} layout {k}");
                }
            }
        }
    }
}

#[test]
fn take_and_put_agree_with_the_naive_loops() {
    // x's shape, number of indices, indices' shape.
    let cases: [(&[usize], usize, &[usize]); 8] = [
        (&[6], 1, &[4]),
        (&[6, 3], 1, &[2, 5]),
        (&[4, 5], 2, &[7]),
        (&[3, 4, 5], 2, &[2, 3]),
        (&[3, 4, 5], 1, &[]),
        (&[3, 0], 1, &[2]),
        (&[50, 300], 1, &[400]),
        (&[3, 40_000], 1, &[2]),
    ];
    for (shape, count, picked) in cases {
        let (lead, rest) = shape.split_at(count);
        let dense: Vec<usize> = picked.iter().chain(rest).copied().collect();
        let width: usize = rest.iter().product();
        let big = Layout::contiguous(&dense).numel() > 2000;
        for dtype in DType::ALL {
            for (k, layout) in layouts(shape).into_iter().enumerate() {
                if big && (k > 1 || !matches!(dtype, DType::F32 | DType::I16)) {
                    continue;
                }
                let x = Sample::new(dtype, layout, |i| scrambled(dtype, i));
                let index_layouts = layouts(picked);
                // Half of the indices count from the end.
                let index: Vec<Sample> = (0..count)
                    .map(|d| {
                        let plain = indices(DType::I64, Layout::contiguous(picked), lead[d]).values();
                        let sign = |i: usize| if i % 2 == 1 { plain[i] - lead[d] as f64 } else { plain[i] };
                        Sample::new([DType::I32, DType::I64][(k + d) % 2], index_layouts[(k + d) % 4].clone(), sign)
                    })
                    .collect();
                let views: Vec<View> = index.iter().map(Sample::view).collect();
                let values: Vec<Vec<f64>> = index.iter().map(Sample::values).collect();
                let wrapped = |d: usize, i: usize| (values[d][i] as isize).rem_euclid(lead[d] as isize) as usize;
                let rows: Vec<usize> = (0..Layout::contiguous(picked).numel())
                    .map(|i| number(&(0..count).map(|d| wrapped(d, i)).collect::<Vec<_>>(), lead))
                    .collect();

                let out = Sample::zeros(dtype, layouts(&dense)[(k + 1) % 4].clone());
                take(x.view(), &views, &mut out.view_mut()).unwrap();
                let all = x.values();
                let want: Vec<f64> = rows.iter().flat_map(|r| all[r * width..(r + 1) * width].to_vec()).collect();
                assert_eq!(out.values(), want, "take {dtype} {shape:?} layout {k}");

                for op in [ScatterOp::Set, ScatterOp::Add] {
                    let src = Sample::new(dtype, layouts(&dense)[(k + 3) % 4].clone(), |i| scrambled(dtype, i + 5));
                    let out = Sample::new(dtype, x.layout.clone(), |i| scrambled(dtype, i));
                    let (mut want, src_values) = (out.values(), src.values());
                    for (i, r) in rows.iter().enumerate() {
                        for c in 0..width {
                            let slot = &mut want[r * width + c];
                            *slot = join(op, dtype, *slot, src_values[i * width + c]);
                        }
                    }
                    put(op, &views, src.view(), &mut out.view_mut()).unwrap();
                    assert_eq!(out.values(), want, "put {op:?} {dtype} {shape:?} layout {k}");
                }
            }
        }
    }
}

#[test]
fn an_index_error_names_the_first_bad_index_and_writes_nothing() {
    let x = Sample::of(DType::F32, &[3], &[1.0, 2.0, 3.0]);
    let src = Sample::of(DType::F32, &[3], &[7.0; 3]);
    for (bad, text) in [(5.0, "index 5 is"), (-1.0, "index -1 is"), (3.0, "index 3 is")] {
        let index = Sample::of(DType::I64, &[3], &[0.0, bad, 9.0]);
        let out = Sample::zeros(DType::F32, Layout::contiguous(&[3]));
        let error = gather(x.view(), 0, index.view(), &mut out.view_mut()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Index);
        assert_eq!(error.message(), format!("{text} out of bounds for dimension 0 with size 3"));
        let error = scatter(ScatterOp::Add, 0, index.view(), src.view(), &mut x.view_mut()).unwrap_err();
        assert!(error.message().starts_with(text));
    }
    let index = Sample::of(DType::I64, &[3], &[0.0, -3.0, -4.0]);
    let error = put(ScatterOp::Set, &[index.view()], src.view(), &mut x.view_mut()).unwrap_err();
    assert_eq!(error.message(), "index -4 is out of bounds for dimension 0 with size 3");
    assert_eq!(x.values(), [1.0, 2.0, 3.0]);
    let rows = Sample::of(DType::F32, &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let many: Vec<f64> = (0..300).map(|i| if i < 298 { (i % 6) as f64 - 3.0 } else { (i - 295) as f64 }).collect();
    let out = Sample::zeros(DType::F32, Layout::contiguous(&[300, 2]));
    let error = take(rows.view(), &[Sample::of(DType::I64, &[300], &many).view()], &mut out.view_mut()).unwrap_err();
    assert_eq!(error.message(), "index 3 is out of bounds for dimension 0 with size 3");
    let floats = Sample::of(DType::F32, &[1], &[0.0]);
    assert!(take(x.view(), &[floats.view()], &mut src.view_mut()).is_err());
}

#[test]
fn an_output_that_is_an_input_is_read_before_it_is_written() {
    let index = Sample::of(DType::I64, &[4], &[3.0, 2.0, 1.0, 0.0]);
    let fresh = || Sample::of(DType::I64, &[4], &[10.0, 11.0, 12.0, 13.0]);
    let x = fresh();
    gather(x.view(), 0, index.view(), &mut x.view_mut()).unwrap();
    assert_eq!(x.values(), [13.0, 12.0, 11.0, 10.0]);
    let x = fresh();
    take(x.view(), &[index.view()], &mut x.view_mut()).unwrap();
    assert_eq!(x.values(), [13.0, 12.0, 11.0, 10.0]);
    let x = fresh();
    scatter(ScatterOp::Set, 0, index.view(), x.view(), &mut x.view_mut()).unwrap();
    assert_eq!(x.values(), [13.0, 12.0, 11.0, 10.0]);
    let x = fresh();
    put(ScatterOp::Add, &[index.view()], x.view(), &mut x.view_mut()).unwrap();
    assert_eq!(x.values(), [23.0, 23.0, 23.0, 23.0]);
    scatter(ScatterOp::Set, 0, index.view(), fresh().view(), &mut index.view_mut()).unwrap();
    assert_eq!(index.values(), [13.0, 12.0, 11.0, 10.0]);
}

#[test]
fn zero_dim_tensors_gather_and_scatter() {
    let x = Sample::of(DType::F64, &[], &[4.0]);
    let index = Sample::of(DType::I64, &[], &[0.0]);
    let out = Sample::zeros(DType::F64, Layout::contiguous(&[]));
    gather(x.view(), 0, index.view(), &mut out.view_mut()).unwrap();
    scatter(ScatterOp::Add, 0, index.view(), x.view(), &mut out.view_mut()).unwrap();
    assert_eq!(out.values(), [8.0]);
}

fn numbers(x: &Sample) -> Vec<f64> {
    let counts = tally(x.view()).unwrap();
    let out = Sample::zeros(DType::I64, Layout::contiguous(&[counts.iter().sum()]));
    nonzero(x.view(), &counts, &mut out.view_mut()).unwrap();
    out.values()
}

#[test]
fn nonzero_numbers_and_positions_are_row_major() {
    for dtype in DType::ALL {
        for shape in [&[][..], &[0], &[7], &[64], &[3, 4, 5], &[2, 200, 1], &[400, 300]] {
            for layout in input_layouts(shape) {
                let x = Sample::new(dtype, layout, |i| (scrambled(DType::I64, i) > 0.0) as u8 as f64);
                let want: Vec<f64> = x.values().iter().enumerate().filter(|(_, v)| **v != 0.0).map(|(i, _)| i as f64).collect();
                let got = numbers(&x);
                assert_eq!(got, want, "{dtype} {shape:?}");
                if shape.len() < 2 {
                    continue;
                }
                let out = Sample::zeros(DType::I64, Layout::contiguous(&[shape.len(), got.len()]));
                nonzero(x.view(), &tally(x.view()).unwrap(), &mut out.view_mut()).unwrap();
                let positions = out.values();
                for (k, n) in got.iter().enumerate() {
                    let at: Vec<usize> = (0..shape.len()).map(|d| positions[d * got.len() + k] as usize).collect();
                    assert_eq!(number(&at, shape) as f64, *n, "{dtype} {shape:?}");
                }
            }
        }
    }
    let odd = Sample::of(DType::F32, &[4], &[-0.0, f64::NAN, 0.0, f64::INFINITY]);
    assert_eq!(numbers(&odd), [1.0, 3.0]);
}

#[test]
fn a_mask_picks_elements_in_row_major_order() {
    for dtype in DType::ALL {
        for shape in [&[][..], &[0], &[7], &[130], &[3, 4, 5], &[400, 300]] {
            for (k, layout) in input_layouts(shape).into_iter().enumerate() {
                let x = Sample::new(dtype, layout.clone(), |i| scrambled(dtype, i));
                let masks = input_layouts(shape);
                // Stretches of both kinds, and a mixture.
                let mask = Sample::new(DType::Bool, masks[(k + 1) % masks.len()].clone(), |i| {
                    if i % 1000 < 500 { ((i / 100) % 2) as f64 } else { (scrambled(DType::I64, i) > 3.0) as u8 as f64 }
                });
                let want: Vec<f64> = x.values().into_iter().zip(mask.values()).filter(|(_, m)| *m != 0.0).map(|p| p.0).collect();
                let counts = tally(mask.view()).unwrap();
                let out = Sample::zeros(dtype, Layout::contiguous(&[counts.iter().sum()]));
                compress(x.view(), mask.view(), &counts, &mut out.view_mut()).unwrap();
                assert_eq!(out.values(), want, "{dtype} {shape:?} layout {k}");
            }
        }
    }
}

#[test]
fn a_mask_that_has_changed_since_it_was_counted_is_an_error() {
    let x = Sample::of(DType::F32, &[3], &[1.0, 2.0, 3.0]);
    let mask = Sample::of(DType::Bool, &[3], &[1.0, 1.0, 0.0]);
    for counted in [1, 3] {
        let out = Sample::zeros(DType::F32, Layout::contiguous(&[counted]));
        assert!(compress(x.view(), mask.view(), &[counted], &mut out.view_mut()).is_err());
        let out = Sample::zeros(DType::I64, Layout::contiguous(&[counted]));
        assert!(nonzero(mask.view(), &[counted], &mut out.view_mut()).is_err());
    }
}

#[test]
fn columns_are_taken_and_put_as_rows_are() {
    let x = Sample::new(DType::F32, Layout::contiguous(&[70, 90]), |i| i as f64);
    let columns = x.layout.transpose(0, 1);
    let index = indices(DType::I64, Layout::contiguous(&[500]), 90);
    let out = Sample::zeros(DType::F32, Layout::contiguous(&[70, 500]));
    let picked = index.values();
    let front = out.layout.transpose(0, 1);
    take(x.view().with_layout(&columns), &[index.view()], &mut out.view_mut().with_layout(&front)).unwrap();
    let want: Vec<f64> = (0..70 * 500).map(|i| (i / 500 * 90) as f64 + picked[i % 500]).collect();
    assert_eq!(out.values(), want);
    let sum = Sample::zeros(DType::F32, x.layout.clone());
    put(ScatterOp::Add, &[index.view()], out.view().with_layout(&front), &mut sum.view_mut().with_layout(&columns)).unwrap();
    let mut want = vec![0.0; 70 * 90];
    for (i, v) in out.values().into_iter().enumerate() {
        want[i / 500 * 90 + picked[i % 500] as usize] += v;
    }
    assert_eq!(sum.values(), want);
}
