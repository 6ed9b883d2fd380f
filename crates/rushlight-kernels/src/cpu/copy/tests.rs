use super::*;
use crate::DType;
use crate::cpu::samples::*;

#[test]
fn every_layout_to_every_layout() {
    // Shapes around the sides of blocks, lines, buffers and bands, and some that have no plane.
    let shapes: [&[usize]; 14] = [
        &[],
        &[0, 3],
        &[7],
        &[3, 5],
        &[16, 16],
        &[17, 31],
        &[5, 64],
        &[65, 9],
        &[70, 300],
        &[3, 20, 70],
        &[2, 3, 33, 17],
        &[4, 1, 64, 4],
        &[1, 40_000],
        &[300, 300],
    ];
    for shape in shapes {
        for dtype in [DType::U8, DType::F16, DType::F32, DType::I64] {
            for x in input_layouts(shape) {
                let x = Sample::new(dtype, x, |i| scrambled(dtype, i));
                let want = x.values();
                for layout in layouts(shape) {
                    let out = Sample::zeros(dtype, layout);
                    copy(x.view(), &mut out.view_mut());
                    assert_eq!(out.values(), want, "{dtype} {:?} to {:?}", x.layout, out.layout);
                }
            }
        }
    }
}

#[test]
fn permuted_planes() {
    for (shape, order) in [([2, 70, 6, 65], [0, 2, 3, 1]), ([3, 9, 40, 33], [0, 2, 1, 3]), ([4, 66, 8, 8], [3, 1, 0, 2])] {
        for dtype in [DType::Bool, DType::BF16, DType::I32, DType::F64] {
            let x = Sample::new(dtype, crate::Layout::contiguous(&shape).permute(&order), |i| scrambled(dtype, i));
            let out = Sample::zeros(dtype, crate::Layout::contiguous(&x.layout.shape));
            copy(x.view(), &mut out.view_mut());
            assert_eq!(out.values(), x.values(), "{dtype} {shape:?} {order:?}");
        }
    }
}

#[test]
fn joined_parts_follow_each_other() {
    for (dim, sizes) in
        [(0, vec![1, 3, 0, 2]), (1, vec![4, 1]), (2, vec![2; 9]), (1, vec![300, 200]), (2, vec![3000, 3]), (2, vec![1; 2200])]
    {
        for dtype in [DType::U8, DType::F32, DType::I64] {
            let shape = |n: usize| (0..3).map(|d| if d == dim { n } else { [3, 5, 40][d] }).collect::<Vec<_>>();
            for k in 0..4 {
                let parts: Vec<Sample> = sizes
                    .iter()
                    .map(|&n| Sample::new(dtype, layouts(&shape(n))[k].clone(), |i| scrambled(dtype, i + n)))
                    .collect();
                let out = Sample::zeros(dtype, crate::Layout::contiguous(&shape(sizes.iter().sum())));
                join(&parts.iter().map(Sample::view).collect::<Vec<_>>(), dim, &mut out.view_mut());
                let mut at = 0;
                for p in &parts {
                    let n = p.layout.shape[dim];
                    let place = out.layout.narrow(dim, at, n);
                    let copy = Sample::zeros(dtype, crate::Layout::contiguous(&p.layout.shape));
                    copy_of(&out, &place, &copy);
                    assert_eq!(copy.values(), p.values(), "{dtype} dim {dim} layout {k}");
                    at += n;
                }
            }
        }
    }
}

fn copy_of(x: &Sample, place: &crate::Layout, to: &Sample) {
    copy(x.view().with_layout(place), &mut to.view_mut());
}

#[test]
fn triangles_keep_one_side_of_a_diagonal() {
    for shape in [&[3, 4][..], &[2, 5, 3], &[2, 0, 3], &[200, 300]] {
        for dtype in [DType::Bool, DType::F16, DType::F32, DType::F64] {
            for diagonal in [-2, 0, 1, i64::MIN, i64::MAX] {
                for lower in [true, false] {
                    let x = Sample::new(dtype, crate::Layout::contiguous(shape), |i| scrambled(dtype, i));
                    let out = Sample::zeros(dtype, x.layout.clone());
                    triangle(x.view(), diagonal, lower, &mut out.view_mut());
                    let (rows, cols) = (shape[shape.len() - 2], shape[shape.len() - 1]);
                    let kept = |i: usize| {
                        let (r, c) = ((i / cols % rows) as i128, (i % cols) as i128 - diagonal as i128);
                        if lower { c <= r } else { c >= r }
                    };
                    let want: Vec<f64> = x.values().into_iter().enumerate().map(|(i, v)| if kept(i) { v } else { 0.0 }).collect();
                    assert_eq!(out.values(), want, "{dtype} {shape:?} {diagonal} {lower}");
                }
            }
        }
    }
}

#[test]
fn blocks_with_margins() {
    // Sizes of the block, and what is before and after it in each dimension.
    let cases: [(&[usize], &[(usize, usize)]); 14] = [
        (&[], &[]),
        (&[5], &[(2, 1)]),
        (&[0], &[(2, 1)]),
        (&[3, 4], &[(0, 0), (1, 1)]),
        (&[3, 4], &[(1, 2), (0, 0)]),
        (&[3, 40], &[(0, 0), (0, 0)]),
        (&[2, 3, 4, 5], &[(0, 0), (0, 0), (1, 1), (1, 1)]),
        (&[2, 3, 40, 50], &[(1, 0), (0, 2), (3, 0), (0, 9)]),
        (&[3, 0, 4], &[(0, 1), (2, 0), (1, 1)]),
        (&[3, 2, 0], &[(0, 1), (2, 0), (1, 1)]),
        (&[2, 70_000], &[(1, 1), (30, 70_000)]),
        (&[150_000], &[(1, 0)]),
        (&[60, 700], &[(40, 3), (0, 0)]),
        (&[40, 33, 65], &[(0, 0), (2, 2), (16, 17)]),
    ];
    for (shape, margins) in cases {
        let whole: Vec<usize> = shape.iter().zip(margins).map(|(n, (a, b))| n + a + b).collect();
        let starts: Vec<usize> = margins.iter().map(|m| m.0).collect();
        for dtype in [DType::Bool, DType::F16, DType::F32, DType::I64] {
            for (k, x) in input_layouts(shape).into_iter().enumerate() {
                let x = Sample::new(dtype, x, |i| scrambled(dtype, i));
                let (out, want) =
                    (Sample::zeros(dtype, Layout::contiguous(&whole)), Sample::new(dtype, Layout::contiguous(&whole), |_| 1.0));
                let part = starts.iter().zip(shape).enumerate().fold(want.layout.clone(), |l, (d, (&at, &n))| l.narrow(d, at, n));
                copy(x.view(), &mut want.view_mut().with_layout(&part));
                surround(x.view(), &starts, crate::Scalar::Float(1.0), &mut out.view_mut());
                assert_eq!(out.values(), want.values(), "{dtype} {shape:?} {margins:?} {k}");
            }
        }
    }
}
