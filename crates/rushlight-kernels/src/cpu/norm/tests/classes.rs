//! Losses of classes against their definition.

use super::*;

/// Shape of the scores, and the dimension of the classes.
const SHAPES: [(&[usize], usize); 9] = [
    (&[5], 0),
    (&[7, 3], 1),
    (&[64, 10], 1),
    (&[33, 32], 1),
    (&[5, 100], 1),
    (&[2, 1000], 1),
    (&[2, 40, 3, 7], 1),
    (&[3, 35, 20], 1),
    (&[0, 4], 1),
];

struct Reference {
    losses: Vec<f64>,
    loss: Vec<f64>,
    gx: Vec<f64>,
}

/// Losses and gradients by the definition; `g` is the gradient of the loss.
fn reference(kernel: ClassLoss, shape: &[usize], x: &[f64], target: &[i64], weight: Option<&[f64]>, g: &[f64]) -> Reference {
    let (mut losses, mut weights, mut gx) = (vec![], vec![], vec![0.0; x.len()]);
    let mut rows = vec![];
    each_row(shape, kernel.dim, |row| rows.push(row));
    for (row, &t) in rows.iter().zip(target) {
        let max = row.iter().map(|&i| x[i]).fold(f64::NEG_INFINITY, f64::max);
        let lse = max + row.iter().map(|&i| (x[i] - max).exp()).sum::<f64>().ln();
        let w = if t == kernel.ignore_index { 0.0 } else { weight.map_or(1.0, |w| w[t as usize]) };
        let score = if t == kernel.ignore_index { 0.0 } else { x[row[t as usize]] };
        losses.push(if w == 0.0 { 0.0 } else { w * (if kernel.of_scores { lse } else { 0.0 } - score) });
        weights.push((w, lse));
    }
    let total: f64 = weights.iter().map(|w| w.0).sum();
    let sum: f64 = losses.iter().sum();
    for (r, (row, &t)) in rows.iter().zip(target).enumerate() {
        let (w, lse) = weights[r];
        let c = w * match kernel.reduction {
            LossReduction::None => g[r],
            LossReduction::Sum => g[0],
            LossReduction::Mean => g[0] / total,
        };
        for (j, &i) in row.iter().enumerate() {
            let p = if kernel.of_scores { (x[i] - lse).exp() } else { 0.0 };
            gx[i] = if t == kernel.ignore_index { 0.0 } else { c * (p - if j as i64 == t { 1.0 } else { 0.0 }) };
        }
    }
    let loss = match kernel.reduction {
        LossReduction::None => losses.clone(),
        LossReduction::Sum => vec![sum],
        LossReduction::Mean => vec![sum / total],
    };
    Reference { losses, loss, gx }
}

fn check<T: Compute<Wide: Into<f64>>>() {
    let kinds = [LossReduction::None, LossReduction::Mean, LossReduction::Sum];
    let cases = SHAPES.iter().flat_map(|s| kinds.map(|k| (s, k))).flat_map(|c| [false, true].map(|of_scores| (c, of_scores)));
    for ((&(shape, dim), reduction), of_scores) in cases {
        for (twin, weighted) in Twin::ALL.into_iter().zip([false, true, true, false]) {
            let classes = shape[dim];
            let outer: Vec<usize> = (0..shape.len()).filter(|&d| d != dim).map(|d| shape[d]).collect();
            let rows = outer.iter().product::<usize>();
            let kernel = ClassLoss { dim, of_scores, ignore_index: 1, reduction };
            let x = Sample::new(shape, twin, |i| T::from_f64(3.0 * noise(i)));
            let target = Sample::new(&outer, twin, |i| ((noise(i + 5).abs() * classes as f64) as i64).min(classes as i64 - 1));
            let weight = Sample::new(&[classes], Twin::Stepped, |i| T::from_f64(noise(i + 99).abs() + 0.5));
            let one: &[usize] = if reduction == LossReduction::None { &outer } else { &[] };
            let loss = Sample::new(one, Twin::Contiguous, |_| T::from_f64(9.0));
            let total = Sample::new(&[1], Twin::Contiguous, |_| T::Wide::default());
            let stats = Sample::new(&[2, rows], Twin::Contiguous, |_| T::Wide::default());
            let mut ins = vec![x.view(), target.view()];
            ins.extend(weighted.then(|| weight.view()));
            let mut outs = vec![loss.view_mut(), total.view_mut()];
            outs.extend(of_scores.then(|| stats.view_mut()));
            assert_eq!(custom(KernelId::ClassLoss(kernel), &ins, &mut outs).unwrap(), Some(()));

            let g = Sample::new(one, Twin::Contiguous, |i| T::from_f64(noise(i + 7)));
            let gx = Sample::new(shape, if rows % 2 == 0 { Twin::Contiguous } else { Twin::Permuted }, |_| T::from_f64(9.0));
            let mut ins = vec![g.view(), x.view(), target.view(), total.view()];
            ins.extend(of_scores.then(|| stats.view()));
            ins.extend(weighted.then(|| weight.view()));
            let answer = custom(KernelId::ClassLossBackward(kernel), &ins, &mut [gx.view_mut()]).unwrap();
            assert_eq!(answer, Some(()));

            let w = f64s::<T>(&weight);
            let want = reference(kernel, shape, &f64s::<T>(&x), &target.values(), weighted.then_some(&w), &f64s::<T>(&g));
            let most = want.losses.iter().fold(1.0, |m: f64, x| m.max(x.abs())) * rows.max(1) as f64;
            let near = |got: f64, want: f64, bound: f64| (got - want).abs() <= bound || got.is_nan() && want.is_nan();
            for (got, want) in f64s::<T>(&loss).into_iter().zip(want.loss) {
                let bound = (T::DTYPE.epsilon() * want.abs()).max(1e-6 * most);
                assert!(near(got, want, bound), "{kernel:?} {} {shape:?} {twin:?}: {got} {want}", T::DTYPE);
            }
            for (got, want) in f64s::<T>(&gx).into_iter().zip(want.gx) {
                let bound = T::DTYPE.epsilon() * 4.0 * want.abs().max(0.5);
                assert!(near(got, want, bound), "gradient {kernel:?} {} {shape:?} {twin:?}: {got} {want}", T::DTYPE);
            }
        }
    }
}

#[test]
fn losses_of_classes_match_the_definition() {
    check::<f32>();
    check::<f64>();
    check::<f16>();
    check::<bf16>();
}

#[test]
fn a_target_outside_the_classes_is_an_error() {
    let kernel = ClassLoss { dim: 1, of_scores: true, ignore_index: -100, reduction: LossReduction::Sum };
    let x = Sample::new(&[3, 2], Twin::Contiguous, |i| i as f32);
    let target = Sample::new(&[3], Twin::Contiguous, |i| [0i64, -100, 2][i]);
    let one = || Sample::new(&[1], Twin::Contiguous, |_| 0f32);
    let stats = Sample::new(&[2, 3], Twin::Contiguous, |_| 0f32);
    let (loss, total) = (one(), one());
    let outs = &mut [loss.view_mut(), total.view_mut(), stats.view_mut()];
    let error = custom(KernelId::ClassLoss(kernel), &[x.view(), target.view()], outs).unwrap_err();
    assert_eq!(error.to_string(), "Target 2 is out of bounds.");
}
