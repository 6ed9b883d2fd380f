//! Attention and its gradients against the definition.

use super::*;
use crate::cpu::pool::tests::with_threads;
use crate::cpu::rows::Compute;
use crate::cpu::rows::testing::{Sample, Twin, noise};

/// Batch, queries, keys, width of keys, width of values: below, at and past the edges of blocks, and of the padding.
const SHAPES: [[usize; 5]; 8] = [
    [2, 1, 1, 1, 1],
    [3, 5, 7, 3, 2],
    [2, 64, 128, 16, 16],
    [1, 65, 129, 17, 33],
    [9, 70, 20, 8, 40],
    [1, 20, 300, 32, 5],
    [1, 530, 140, 4, 4],
    [2, 130, 260, 24, 16],
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Masked {
    No,
    Causal,
    Truth,
    Numbers,
}

struct Answer {
    o: Vec<f64>,
    grads: [Vec<f64>; 3],
}

/// By the definition; `mask` is added to the scores.
fn reference(
    [b, l, s, e, w]: [usize; 5],
    scale: f64,
    [q, k, v, g]: [&[f64]; 4],
    mask: impl Fn(usize, usize, usize) -> f64,
) -> Answer {
    let mut a = Answer { o: vec![0.0; b * l * w], grads: [vec![0.0; b * l * e], vec![0.0; b * s * e], vec![0.0; b * s * w]] };
    for (h, i) in (0..b).flat_map(|h| (0..l).map(move |i| (h, i))) {
        let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        let row = |x: &[f64], i: usize, rows: usize, n: usize| x[(h * rows + i) * n..][..n].to_vec();
        let (qi, gi) = (row(q, i, l, e), row(g, i, l, w));
        let scores: Vec<f64> = (0..s).map(|j| scale * dot(&qi, &row(k, j, s, e)) + mask(h, i, j)).collect();
        let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if max == f64::NEG_INFINITY {
            continue;
        }
        let sum: f64 = scores.iter().map(|x| (x - max).exp()).sum();
        let p: Vec<f64> = scores.iter().map(|x| (x - max).exp() / sum).collect();
        let dp: Vec<f64> = (0..s).map(|j| dot(&gi, &row(v, j, s, w))).collect();
        let delta = dot(&p, &dp);
        for j in 0..s {
            let ds = p[j] * (dp[j] - delta) * scale;
            for c in 0..w {
                a.o[(h * l + i) * w + c] += p[j] * v[(h * s + j) * w + c];
                a.grads[2][(h * s + j) * w + c] += p[j] * gi[c];
            }
            for c in 0..e {
                a.grads[0][(h * l + i) * e + c] += ds * k[(h * s + j) * e + c];
                a.grads[1][(h * s + j) * e + c] += ds * qi[c];
            }
        }
    }
    a
}

fn f64s<T: Compute<Wide: Into<f64>>>(x: &Sample) -> Vec<f64> {
    x.wide::<T>().into_iter().map(Into::into).collect()
}

fn check<T: Compute<Wide: Into<f64>>>(shape: [usize; 5], twin: Twin, masked: Masked) {
    let [b, l, s, e, w] = shape;
    let of = |dims: [usize; 2], seed: usize| Sample::new(&[b, dims[0], dims[1]], twin, |i| T::from_f64(2.0 * noise(i + seed)));
    let (q, k, v, g) = (of([l, e], 0), of([s, e], 500), of([s, w], 900), of([l, w], 1300));
    // Query 1 sees nothing, nor does query 0 any key before the last.
    let open = |i: usize, j: usize| i != 1 && noise(i * s + j) > -0.5 && (i != 0 || j + 1 == s);
    let truth = Sample::new(&[b, l, s], twin, |n| open(n / s % l, n % s));
    let numbers = Sample::new(&[b, l, s], twin, |n| T::from_f64(if n % 7 == 0 { f64::NEG_INFINITY } else { noise(n + 3) }));
    let mask = match masked {
        Masked::Truth => Some(&truth),
        Masked::Numbers => Some(&numbers),
        _ => None,
    };
    let op = Attention { scale: 0.7, causal: masked == Masked::Causal };
    let o = Sample::new(&[b, l, w], Twin::Permuted, |_| T::from_f64(9.0));
    let lse = Sample::new(&[b, l, 2], Twin::Contiguous, |_| T::Wide::default());
    let mut ins = vec![q.view(), k.view(), v.view()];
    ins.extend(mask.map(|m| m.view()));
    assert_eq!(forward(op, &ins, &mut [o.view_mut(), lse.view_mut()]).unwrap(), Some(()));
    let grads = [[l, e], [s, e], [s, w]].map(|d| of(d, 77));
    let mut ins: Vec<View> = [&g, &q, &k, &v, &o, &lse].map(|x| x.view()).to_vec();
    ins.extend(mask.map(|m| m.view()));
    assert_eq!(backward(op, &ins, &mut grads.each_ref().map(|x| x.view_mut())).unwrap(), Some(()));

    let [q, k, v, g] = [&q, &k, &v, &g].map(f64s::<T>);
    let added = f64s::<T>(&numbers);
    let want = reference(shape, op.scale, [&q, &k, &v, &g], |h, i, j| match masked {
        Masked::No => 0.0,
        Masked::Causal => {
            if j > i {
                f64::NEG_INFINITY
            } else {
                0.0
            }
        }
        Masked::Truth => {
            if open(i, j) {
                0.0
            } else {
                f64::NEG_INFINITY
            }
        }
        Masked::Numbers => added[(h * l + i) * s + j],
    });
    let [gq, gk, gv] = grads.each_ref().map(f64s::<T>);
    for (name, got, want) in
        [("o", f64s::<T>(&o), &want.o), ("q", gq, &want.grads[0]), ("k", gk, &want.grads[1]), ("v", gv, &want.grads[2])]
    {
        let most = want.iter().fold(1.0, |m: f64, x| m.max(x.abs()));
        for (got, want) in got.into_iter().zip(want) {
            let bound = most * (T::DTYPE.epsilon() * 4.0 + 2e-6 * if T::DTYPE == DType::F64 { 1e-6 } else { 1.0 });
            assert!((got - want).abs() <= bound, "{name} {} {shape:?} {twin:?} {masked:?}: {got} {want}", T::DTYPE);
        }
    }
}

#[test]
fn attention_matches_the_definition() {
    for shape in SHAPES {
        for (twin, masked) in Twin::ALL.into_iter().zip([Masked::No, Masked::Causal, Masked::Truth, Masked::Numbers]) {
            check::<f32>(shape, twin, masked);
            check::<f32>(shape, Twin::Contiguous, masked);
        }
    }
    for masked in [Masked::No, Masked::Causal, Masked::Truth, Masked::Numbers] {
        check::<f64>([3, 70, 150, 20, 9], Twin::Stepped, masked);
        check::<f16>([3, 70, 150, 20, 9], Twin::Permuted, masked);
        check::<bf16>([3, 70, 150, 20, 9], Twin::Contiguous, masked);
    }
}

#[test]
fn attention_does_not_depend_on_the_number_of_threads() {
    let (b, l, e) = (2, 600, 16);
    let of = |seed: usize| Sample::new(&[b, l, e], Twin::Contiguous, |i| noise(i + seed) as f32);
    let (q, k, v, g) = (of(0), of(1), of(2), of(3));
    let op = Attention { scale: 0.25, causal: true };
    let run_at = |threads| {
        crate::cpu::pool::set_num_threads(threads);
        let (o, lse) = (of(4), Sample::new(&[b, l, 2], Twin::Contiguous, |_| 0f32));
        forward(op, &[q.view(), k.view(), v.view()], &mut [o.view_mut(), lse.view_mut()]).unwrap();
        let grads = [of(5), of(6), of(7)];
        let ins = [&g, &q, &k, &v, &o, &lse].map(|x| x.view());
        backward(op, &ins, &mut grads.each_ref().map(|x| x.view_mut())).unwrap();
        let [a, b, c] = grads.each_ref().map(|x| x.values::<f32>());
        [o.values::<f32>(), a, b, c]
    };
    with_threads(1, || assert!(run_at(1) == run_at(4)));
}
