use super::*;
use crate::cpu::pool::tests::with_threads;
use crate::cpu::rows::testing::{Sample, Twin, noise};

/// PyTorch's loops, one output after the other, over `[planes, d, h, w]`.
struct Reference {
    planes: usize,
    input: [usize; 3],
    output: [usize; 3],
    shape: [[usize; 3]; 4],
}

fn lift(list: &[usize], fill: usize) -> [usize; 3] {
    let mut out = [fill; 3];
    out[3 - list.len()..].copy_from_slice(list);
    out
}

impl Reference {
    fn new(planes: usize, input: &[usize], output: &[usize], s: &PoolShape) -> Self {
        let shape = [lift(&s.kernel, 1), lift(&s.stride, 1), lift(&s.padding, 0), lift(&s.dilation, 1)];
        Reference { planes, input: lift(input, 1), output: lift(output, 1), shape }
    }
    fn outputs(&self) -> impl Iterator<Item = (usize, [usize; 3])> {
        let [d, h, w] = self.output;
        (0..self.planes * d * h * w).map(move |i| (i / (d * h * w), [i / (h * w) % d, i / w % h, i % w]))
    }
    fn at(&self, plane: usize, [d, h, w]: [usize; 3]) -> usize {
        ((plane * self.input[0] + d) * self.input[1] + h) * self.input[2] + w
    }
    fn max(&self, x: &[f64]) -> (Vec<f64>, Vec<i64>) {
        let [kernel, stride, padding, dilation] = self.shape;
        let range = |a: usize, o: usize| {
            let start = (o * stride[a]) as isize - padding[a] as isize;
            let end = (start + ((kernel[a] - 1) * dilation[a]) as isize + 1).min(self.input[a] as isize);
            let mut at = start;
            while at < 0 {
                at += dilation[a] as isize;
            }
            (at..end).step_by(dilation[a])
        };
        let mut out = (vec![], vec![]);
        for (plane, o) in self.outputs() {
            let first = [0, 1, 2].map(|a| range(a, o[a]).next().unwrap() as usize);
            let (mut best, mut index) = (f64::NEG_INFINITY, self.at(0, first));
            for d in range(0, o[0]) {
                for h in range(1, o[1]) {
                    for w in range(2, o[2]) {
                        let i = [d as usize, h as usize, w as usize];
                        let v = x[self.at(plane, i)];
                        if v > best || v.is_nan() {
                            (best, index) = (v, self.at(0, i));
                        }
                    }
                }
            }
            out.0.push(best);
            out.1.push(index as i64);
        }
        out
    }
    /// Each output with its divisor and the inputs it sees.
    fn averages(&self, pad: bool, divisor: Option<usize>, f: &mut dyn FnMut(usize, f64, &[usize])) {
        let [kernel, stride, padding, _] = self.shape;
        for (n, (plane, o)) in self.outputs().enumerate() {
            let (mut pool, mut valid, mut seen) = (1isize, 1isize, vec![]);
            let ranges = [0, 1, 2].map(|a| {
                let start = (o[a] * stride[a]) as isize - padding[a] as isize;
                let end = (start + kernel[a] as isize).min((self.input[a] + padding[a]) as isize);
                pool *= end - start;
                let clipped = start.max(0)..end.min(self.input[a] as isize);
                valid *= clipped.len() as isize;
                clipped
            });
            for d in ranges[0].clone() {
                for h in ranges[1].clone() {
                    for w in ranges[2].clone() {
                        seen.push(self.at(plane, [d as usize, h as usize, w as usize]));
                    }
                }
            }
            let by = divisor.map_or(if pad { pool } else { valid }, |d| d as isize);
            f(n, by as f64, &seen);
        }
    }
}

fn shape(kernel: &[usize], stride: &[usize], padding: &[usize], dilation: &[usize]) -> PoolShape {
    PoolShape { kernel: kernel.into(), stride: stride.into(), padding: padding.into(), dilation: dilation.into() }
}

fn with_planes(planes: usize, spatial: &[usize]) -> Vec<usize> {
    std::iter::once(planes).chain(spatial.iter().copied()).collect()
}

/// Planes, input, output, geometry. The outputs of the last ones in each group are those of `ceil_mode`.
fn cases() -> Vec<(usize, Vec<usize>, Vec<usize>, PoolShape)> {
    vec![
        (3, vec![8, 8], vec![4, 4], shape(&[2, 2], &[2, 2], &[0, 0], &[1, 1])),
        (2, vec![9, 37], vec![4, 18], shape(&[2, 2], &[2, 2], &[0, 0], &[1, 1])),
        (2, vec![9, 37], vec![5, 19], shape(&[2, 2], &[2, 2], &[0, 0], &[1, 1])),
        (2, vec![11, 20], vec![6, 10], shape(&[3, 3], &[2, 2], &[1, 1], &[1, 1])),
        (2, vec![11, 20], vec![6, 11], shape(&[3, 3], &[2, 2], &[1, 1], &[1, 1])),
        (1, vec![7, 30], vec![7, 30], shape(&[3, 5], &[1, 1], &[1, 2], &[1, 1])),
        (2, vec![12, 13], vec![3, 3], shape(&[3, 2], &[4, 5], &[1, 1], &[1, 1])),
        (5, vec![19], vec![9], shape(&[3], &[2], &[0], &[1])),
        (5, vec![19], vec![7], shape(&[4], &[3], &[2], &[1])),
        (2, vec![5, 6, 7], vec![3, 3, 4], shape(&[2, 3, 3], &[2, 2, 2], &[1, 1, 1], &[1, 1, 1])),
        (2, vec![4, 4, 4], vec![1, 1, 1], shape(&[4, 4, 4], &[1, 1, 1], &[0, 0, 0], &[1, 1, 1])),
        // Side by side: every width of window that has a loop of its own, remainders on each side, several steps of a plane.
        (3, vec![29, 30], vec![7, 7], shape(&[4, 4], &[4, 4], &[0, 0], &[1, 1])),
        (2, vec![17, 25], vec![8, 8], shape(&[2, 3], &[2, 3], &[0, 0], &[1, 1])),
        (2, vec![4, 11, 6], vec![2, 3, 6], shape(&[2, 3, 1], &[2, 3, 1], &[0, 0, 0], &[1, 1, 1])),
        (3, vec![5, 7, 10], vec![2, 7, 2], shape(&[2, 1, 5], &[2, 1, 5], &[0, 0, 0], &[1, 1, 1])),
        (2, vec![200, 33], vec![100, 16], shape(&[2, 2], &[2, 2], &[0, 0], &[1, 1])),
        (1, vec![5, 3000], vec![2, 1500], shape(&[2, 2], &[2, 2], &[0, 0], &[1, 1])),
        (0, vec![4, 4], vec![2, 2], shape(&[2, 2], &[2, 2], &[0, 0], &[1, 1])),
        (2, vec![4, 4], vec![0, 2], shape(&[2, 2], &[2, 2], &[0, 0], &[1, 1])),
    ]
}

fn check_max<T: Compute<Wide: Into<f64>>>(value: impl Fn(usize) -> T) {
    let mut all = cases();
    all.push((2, vec![15, 16], vec![6, 12], shape(&[3, 3], &[2, 1], &[1, 1], &[2, 3])));
    for (planes, input, output, s) in all {
        let reference = Reference::new(planes, &input, &output, &s);
        for twin in Twin::ALL {
            let x = Sample::new(&with_planes(planes, &input), twin, &value);
            let y = Sample::new(&with_planes(planes, &output), twin, |_| T::default());
            let index = Sample::new(&with_planes(planes, &output), twin, |_| -1i64);
            let op = WindowOp::MaxPool(s.clone());
            window(&op, &[x.view()], &mut [y.view_mut(), index.view_mut()]).unwrap();
            let wide: Vec<f64> = x.wide::<T>().into_iter().map(Into::into).collect();
            let (best, at) = reference.max(&wide);
            let got: Vec<f64> = y.wide::<T>().into_iter().map(Into::into).collect();
            assert!(got.iter().zip(&best).all(|(a, b)| a == b || a.is_nan() && b.is_nan()), "{} {twin:?} {s:?}", T::DTYPE);
            assert_eq!(index.values::<i64>(), at, "{} {twin:?} {s:?}", T::DTYPE);
        }
    }
}

#[test]
fn max_pool_matches_the_definition() {
    check_max(|i| noise(i) as f32);
    check_max(noise);
    check_max(|i| f16::from_f64(noise(i)));
    check_max(|i| bf16::from_f64(noise(i)));
    // Few values, so that many windows have ties.
    check_max(|i| (noise(i) * 3.0) as i32);
    check_max(|i| (noise(i) * 3.0) as i16);
    check_max(|i| (noise(i) * 3.0) as i8);
    check_max(|i| (noise(i).abs() * 3.0) as u8);
    // All the lowest value there is: the first tap is named.
    check_max(|_| i32::MIN);
    check_max(|_| f32::NEG_INFINITY);
    check_max(|i| if i % 7 == 0 { f32::NAN } else { noise(i) as f32 });
}

#[test]
fn max_pool_of_long_integers_is_exact() {
    let x = Sample::new(&[1, 4], Twin::Contiguous, |i| i64::MAX - i as i64);
    let y = Sample::new(&[1, 2], Twin::Contiguous, |_| 0i64);
    window(&WindowOp::MaxPool(shape(&[2], &[2], &[0], &[1])), &[x.view()], &mut [y.view_mut()]).unwrap();
    assert_eq!(y.values::<i64>(), [i64::MAX, i64::MAX - 2]);
}

/// |a - b| within a few roundings of `T`.
fn close<T: Element>(got: f64, want: f64) -> bool {
    (got - want).abs() <= 4.0 * T::DTYPE.epsilon() * want.abs().max(1.0)
}

fn check_average<T: Compute<Wide: Into<f64>>>() {
    for (planes, input, output, s) in cases() {
        let reference = Reference::new(planes, &input, &output, &s);
        for (pad, divisor) in [(true, None), (false, None), (true, Some(3))] {
            for twin in Twin::ALL {
                let context = format!("{} {twin:?} {s:?} {pad} {divisor:?}", T::DTYPE);
                let x = Sample::new(&with_planes(planes, &input), twin, |i| T::from_f64(noise(i)));
                let y = Sample::new(&with_planes(planes, &output), twin, |_| T::default());
                let op = WindowOp::AvgPool { shape: s.clone(), count_include_pad: pad, divisor };
                window(&op, &[x.view()], &mut [y.view_mut()]).unwrap();
                let wide: Vec<f64> = x.wide::<T>().into_iter().map(Into::into).collect();
                let got: Vec<f64> = y.wide::<T>().into_iter().map(Into::into).collect();
                let g = Sample::new(&with_planes(planes, &output), twin, |i| T::from_f64(noise(i + 5)));
                let grad: Vec<f64> = g.wide::<T>().into_iter().map(Into::into).collect();
                let mut want_grad = vec![0.0; wide.len()];
                reference.averages(pad, divisor, &mut |n, by, seen| {
                    let want = if seen.is_empty() { 0.0 } else { seen.iter().map(|&i| wide[i]).sum::<f64>() / by };
                    assert!(close::<T>(got[n], want), "{context}: {} {want}", got[n]);
                    seen.iter().for_each(|&i| want_grad[i] += grad[n] / by);
                });
                let gx = Sample::new(&with_planes(planes, &input), twin, |_| T::from_f64(9.0));
                let op = WindowOp::AvgPoolBackward { shape: s.clone(), count_include_pad: pad, divisor };
                window(&op, &[g.view()], &mut [gx.view_mut()]).unwrap();
                for (got, want) in gx.wide::<T>().into_iter().zip(want_grad) {
                    assert!(close::<T>(got.into(), want), "gradient of {context}");
                }
            }
        }
    }
}

#[test]
fn avg_pool_matches_the_definition() {
    check_average::<f32>();
    check_average::<f64>();
    check_average::<f16>();
    check_average::<bf16>();
}

#[test]
fn a_window_beyond_the_input_averages_to_zero() {
    let s = shape(&[2], &[4], &[1], &[1]);
    let x = Sample::new(&[1, 2], Twin::Contiguous, |i| i as f32 + 1.0);
    let y = Sample::new(&[1, 3], Twin::Contiguous, |_| 7f32);
    for (pad, first) in [(true, 0.5), (false, 1.0)] {
        let op = WindowOp::AvgPool { shape: s.clone(), count_include_pad: pad, divisor: None };
        window(&op, &[x.view()], &mut [y.view_mut()]).unwrap();
        assert_eq!(y.values::<f32>(), [first, 0.0, 0.0]);
    }
    let index = Sample::new(&[1, 3], Twin::Contiguous, |_| 7i64);
    window(&WindowOp::MaxPool(s), &[x.view()], &mut [y.view_mut(), index.view_mut()]).unwrap();
    assert_eq!(y.values::<f32>(), [1.0, f32::NEG_INFINITY, f32::NEG_INFINITY]);
    assert_eq!(index.values::<i64>(), [0, 0, 0]);
}

#[test]
fn adaptive_pooling_and_its_transpose() {
    let cases: [(&[usize], &[usize]); 8] = [
        (&[28, 28], &[7, 7]),
        (&[12, 30], &[4, 5]),
        (&[7, 9], &[3, 4]),
        (&[5], &[5]),
        (&[4], &[9]),
        (&[6, 5, 8], &[1, 2, 3]),
        (&[8, 8], &[0, 3]),
        (&[7, 7], &[1, 1]),
    ];
    for (input, output) in cases {
        let (n, m) = (lift(input, 1), lift(output, 1));
        let span = |a: usize, o: usize| o * n[a] / m[a]..((o + 1) * n[a]).div_ceil(m[a]);
        for twin in Twin::ALL {
            let x = Sample::new(&with_planes(2, input), twin, noise);
            let y = Sample::new(&with_planes(2, output), twin, |_| 7f64);
            window(&WindowOp::AdaptiveAvgPool, &[x.view()], &mut [y.view_mut()]).unwrap();
            let g = Sample::new(&with_planes(2, output), twin, |i| noise(i + 99));
            let gx = Sample::new(&with_planes(2, input), twin, |_| 7f64);
            window(&WindowOp::AdaptiveAvgPoolBackward, &[g.view()], &mut [gx.view_mut()]).unwrap();
            let (xs, ys, gs) = (x.values::<f64>(), y.values::<f64>(), g.values::<f64>());
            let mut want_gx = vec![0.0; xs.len()];
            for i in 0..ys.len() {
                let o = [i / (m[1] * m[2]) % m[0], i / m[2] % m[1], i % m[2]];
                let plane = i / (m[0] * m[1] * m[2]);
                let (mut sum, mut count) = (0.0, 0.0);
                let mut seen = vec![];
                for d in span(0, o[0]) {
                    for h in span(1, o[1]) {
                        for w in span(2, o[2]) {
                            let at = ((plane * n[0] + d) * n[1] + h) * n[2] + w;
                            sum += xs[at];
                            count += 1.0;
                            seen.push(at);
                        }
                    }
                }
                assert!(close::<f64>(ys[i], sum / count), "{input:?} {output:?} {twin:?}");
                seen.iter().for_each(|&at| want_gx[at] += gs[i] / count);
            }
            assert!(gx.values::<f64>().iter().zip(&want_gx).all(|(a, b)| close::<f64>(*a, *b)), "{input:?} {output:?}");
        }
    }
}

#[test]
fn unsupported_types_and_shapes_are_errors() {
    let x = Sample::new(&[1, 4], Twin::Contiguous, |_| true);
    let y = Sample::new(&[1, 2], Twin::Contiguous, |_| true);
    let s = shape(&[2], &[2], &[0], &[1]);
    let e = window(&WindowOp::MaxPool(s.clone()), &[x.view()], &mut [y.view_mut()]).unwrap_err();
    assert_eq!(e.message(), "\"max_pool\" not implemented for 'Bool'");
    let x = Sample::new(&[1, 4, 4], Twin::Contiguous, |_| 0f32);
    let y = Sample::new(&[1, 2, 2], Twin::Contiguous, |_| 0f32);
    assert!(window(&WindowOp::MaxPool(s), &[x.view()], &mut [y.view_mut()]).is_err());
    let zero = shape(&[2, 2], &[0, 2], &[0, 0], &[1, 1]);
    assert!(window(&WindowOp::MaxPool(zero), &[x.view()], &mut [y.view_mut()]).is_err());
}

#[test]
fn large_planes_are_split_without_a_trace() {
    let x = Sample::new(&[3, 300, 301], Twin::Contiguous, |i| noise(i) as f32);
    let s = shape(&[3, 3], &[2, 2], &[1, 1], &[1, 1]);
    let run_at = |threads| {
        pool::set_num_threads(threads);
        let y = Sample::new(&[3, 150, 151], Twin::Contiguous, |_| 0f32);
        let index = Sample::new(&[3, 150, 151], Twin::Contiguous, |_| 0i64);
        window(&WindowOp::MaxPool(s.clone()), &[x.view()], &mut [y.view_mut(), index.view_mut()]).unwrap();
        (y.values::<f32>(), index.values::<i64>())
    };
    with_threads(1, || assert_eq!(run_at(1), run_at(4)));
}

#[test]
fn elements_are_put_back() {
    // Two planes of three elements to planes of five, one position twice.
    let (from, to) = (Layout::contiguous(&[2, 3]), Layout::contiguous(&[2, 5]));
    let values = Buffer::zeroed(24).unwrap();
    let positions = Buffer::zeroed(48).unwrap();
    let out = Buffer::zeroed(40).unwrap();
    // SAFETY: buffers of this test's own, of these sizes.
    unsafe {
        std::slice::from_raw_parts_mut(values.as_ptr().cast::<f32>(), 6).copy_from_slice(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        std::slice::from_raw_parts_mut(positions.as_ptr().cast::<i64>(), 6).copy_from_slice(&[4, 0, 4, 1, 2, 3]);
    }
    let run = || {
        // SAFETY: as above; the result is no operand.
        unsafe {
            let ins = [View::new(&values, &from, DType::F32).unwrap(), View::new(&positions, &from, DType::I64).unwrap()];
            window(&WindowOp::PutBack, &ins, &mut [ViewMut::new(&out, &to, DType::F32).unwrap()])
        }
    };
    run().unwrap();
    // SAFETY: as above.
    let got = unsafe { std::slice::from_raw_parts(out.as_ptr().cast::<f32>(), 10) };
    assert_eq!(got, [2.0, 0.0, 0.0, 0.0, 4.0, 0.0, 4.0, 5.0, 6.0, 0.0]);
    // SAFETY: as above.
    unsafe { *positions.as_ptr().cast::<i64>() = 5 };
    assert_eq!(run().unwrap_err().kind(), ErrorKind::Index);
}

#[test]
fn places_are_looked_up_and_added_back() {
    type Case = (Vec<usize>, Vec<Vec<usize>>);
    let reflected = |n: usize, margin: usize| (1..=margin).rev().chain(0..n).chain((0..margin).map(|i| n - 2 - i)).collect();
    let cases: Vec<Case> = vec![
        (vec![9], vec![vec![1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 7]]),
        (vec![5, 40], vec![reflected(5, 2), reflected(40, 1)]),
        (vec![70, 3], vec![(0..70).rev().collect(), vec![2, 2, 0]]),
        (vec![3, 4, 20], vec![vec![0, 0, 2], vec![3, 1], (10..20).chain(0..20).chain(0..9).collect()]),
        (vec![4, 1], vec![vec![2; 90], vec![0; 33]]),
        (vec![2, 3], vec![vec![], vec![1, 2]]),
    ];
    fn check<T: Compute<Wide: Into<f64>>>((image, places): &Case, value: impl Fn(usize) -> T) {
        let sizes: Vec<usize> = places.iter().map(Vec::len).collect();
        let (n, m) = (lift(image, 1), lift(&sizes, 1));
        let place = |d: usize, i: usize| (d + places.len()).checked_sub(3).map_or(0, |d| places[d][i]);
        for planes in [0, 1, 3] {
            let from: Vec<usize> = (0..planes * m[0] * m[1] * m[2])
                .map(|i| {
                    let [d, h, w] = [place(0, i / (m[1] * m[2]) % m[0]), place(1, i / m[2] % m[1]), place(2, i % m[2])];
                    ((i / (m[0] * m[1] * m[2]) * n[0] + d) * n[1] + h) * n[2] + w
                })
                .collect();
            for twin in Twin::ALL {
                let x = Sample::new(&with_planes(planes, image), twin, &value);
                let y = Sample::new(&with_planes(planes, &sizes), twin, |_| T::default());
                window(&WindowOp::Lookup(places.clone().into()), &[x.view()], &mut [y.view_mut()]).unwrap();
                let all = x.values::<T>();
                assert_eq!(y.values::<T>(), from.iter().map(|&i| all[i]).collect::<Vec<T>>(), "{} {twin:?} {image:?}", T::DTYPE);
                if !T::DTYPE.is_float() {
                    continue;
                }
                let back = Sample::new(&with_planes(planes, image), twin, |_| T::from_f64(7.0));
                window(&WindowOp::LookupBackward(places.clone().into()), &[y.view()], &mut [back.view_mut()]).unwrap();
                let mut want = vec![0.0; all.len()];
                let seen: Vec<f64> = y.wide::<T>().into_iter().map(Into::into).collect();
                from.iter().zip(seen).for_each(|(&i, g)| want[i] += g);
                let got: Vec<f64> = back.wide::<T>().into_iter().map(Into::into).collect();
                let near = |a: f64, b: f64| (a - b).abs() <= 300.0 * T::DTYPE.epsilon() * b.abs().max(1.0);
                assert!(got.iter().zip(&want).all(|(a, b)| near(*a, *b)), "{} {twin:?} {image:?}", T::DTYPE);
            }
        }
    }
    for case in &cases {
        check(case, |i| noise(i) as f32);
        check(case, noise);
        check(case, |i| bf16::from_f64(noise(i)));
        check(case, |i| i as u8);
    }
}

#[test]
fn places_outside_are_errors() {
    let x = Sample::new(&[1, 4], Twin::Contiguous, |_| 0f32);
    let y = Sample::new(&[1, 2], Twin::Contiguous, |_| 0f32);
    for places in [vec![vec![0, 4]], vec![vec![0]], vec![vec![0, 1], vec![0]]] {
        assert!(window(&WindowOp::Lookup(places.clone().into()), &[x.view()], &mut [y.view_mut()]).is_err());
        assert!(window(&WindowOp::LookupBackward(places.into()), &[y.view()], &mut [x.view_mut()]).is_err());
    }
}
