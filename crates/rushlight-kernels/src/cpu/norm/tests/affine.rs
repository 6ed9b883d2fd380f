//! Normalisations with weight and bias, and their gradients, against the definition.

use super::*;

/// Groups of elements that share a mean and a variance, and the channel of each element.
struct Case {
    groups: Vec<Vec<usize>>,
    channel: Vec<usize>,
    channels: usize,
    centred: bool,
    eps: f64,
}

struct Answer {
    y: Vec<f64>,
    gx: Vec<f64>,
    gw: Vec<f64>,
    gb: Vec<f64>,
}

/// By given moments, which the gradient does not go through, or by the groups' own.
fn reference(case: &Case, x: &[f64], w: &[f64], b: &[f64], g: &[f64], given: Option<(&[f64], &[f64])>) -> Answer {
    let n = x.len();
    let mut a = Answer { y: vec![0.0; n], gx: vec![0.0; n], gw: vec![0.0; case.channels], gb: vec![0.0; case.channels] };
    for (k, group) in case.groups.iter().enumerate() {
        let n = group.len() as f64;
        let (mut mean, mut variance) = (0.0, 0.0);
        if let Some((m, v)) = given {
            (mean, variance) = (m[k], v[k]);
        } else {
            if case.centred {
                mean = group.iter().map(|&i| x[i]).sum::<f64>() / n;
            }
            group.iter().for_each(|&i| variance += (x[i] - mean) * (x[i] - mean) / n);
        }
        let r = 1.0 / (variance + case.eps).sqrt();
        let h = |i: usize| (x[i] - mean) * r;
        let gh = |i: usize| g[i] * w[case.channel[i]];
        let (mut first, mut second) = (0.0, 0.0);
        for &i in group {
            let c = case.channel[i];
            a.y[i] = h(i) * w[c] + b[c];
            a.gw[c] += g[i] * h(i);
            a.gb[c] += g[i];
            first += gh(i) / n;
            second += gh(i) * h(i) / n;
        }
        for &i in group {
            a.gx[i] = match given {
                Some(_) => r * gh(i),
                None => r * (gh(i) - if case.centred { first } else { 0.0 } - h(i) * second),
            };
        }
    }
    a
}

/// Runs both kernels and compares. `by_products`: how many small results, and the elements of each.
fn check<T: Compute<Wide: Into<f64>>>(
    case: &Case,
    kernels: [KernelId; 2],
    by_products: [usize; 2],
    affine: [bool; 2],
    own: bool,
) {
    let n = case.channel.len();
    let of = |n: usize, seed: usize, shift: f64| Sample::new(&[n], Twin::Contiguous, |i| T::from_f64(noise(i + seed) + shift));
    let (x, g) = (of(n, 0, 3.0), of(n, 1000, 0.0));
    let (w, b) = (of(case.channels, 50, 0.3), of(case.channels, 70, 0.0));
    let (mean, variance) = (of(case.channels, 80, 3.0), of(case.channels, 90, 1.5));
    let wide = |n: usize| Sample::new(&[n], Twin::Contiguous, |_| T::Wide::default());
    let (y, gx) = (of(n, 1, 0.0), of(n, 2, 0.0));
    let small: Vec<Sample> = (0..by_products[0]).map(|_| wide(by_products[1])).collect();
    let mut ins = vec![x.view()];
    if !own {
        ins.extend([mean.view(), variance.view()]);
    }
    ins.extend(affine[0].then(|| w.view()));
    ins.extend(affine[1].then(|| b.view()));
    let mut outs: Vec<ViewMut> = [&y].into_iter().chain(&small).map(|s| s.view_mut()).collect();
    assert_eq!(custom(kernels[0], &ins, &mut outs).unwrap(), Some(()));
    let (gw, gb) = (of(case.channels, 3, 0.0), of(case.channels, 4, 0.0));
    let mut ins = vec![g.view(), x.view(), small[0].view(), small[1].view()];
    ins.extend(affine[0].then(|| w.view()));
    let outs = &mut [gx.view_mut(), gw.view_mut(), gb.view_mut()];
    assert_eq!(custom(kernels[1], &ins, outs).unwrap(), Some(()));

    let or = |has: bool, s: &Sample, or: f64| if has { f64s::<T>(s) } else { vec![or; case.channels] };
    let (m, v) = (f64s::<T>(&mean), f64s::<T>(&variance));
    let given = (!own).then_some((&m[..], &v[..]));
    let want = reference(case, &f64s::<T>(&x), &or(affine[0], &w, 1.0), &or(affine[1], &b, 0.0), &f64s::<T>(&g), given);
    let group = case.groups[0].len() as f64;
    for (name, got, want, terms) in
        [("y", &y, want.y, 1.0), ("gx", &gx, want.gx, 1.0), ("gw", &gw, want.gw, n as f64), ("gb", &gb, want.gb, n as f64)]
    {
        // Few elements may have next to no variance: their distances are what is left of much larger numbers.
        let most = want.iter().fold(1.0, |m: f64, x| m.max(x.abs())) * if group < 4.0 { 100.0 } else { 1.0 };
        for (got, want) in f64s::<T>(got).into_iter().zip(want) {
            let rounding = T::DTYPE.epsilon() * want.abs() + 3e-6 * most * terms.sqrt();
            assert!((got - want).abs() <= rounding, "{:?} {name} {} {affine:?}: {got} {want}", kernels[0], T::DTYPE);
        }
    }
}

fn both(f: impl Fn([bool; 2])) {
    [[false, false], [true, false], [false, true], [true, true]].into_iter().for_each(f);
}

fn check_rows<T: Compute<Wide: Into<f64>>>() {
    let lengths = (4..60).chain([100, 511, 512, 513]);
    let others = [
        [3, 1, 5, 1],
        [70, 1, 33, 1],
        [200, 1, 300, 1],
        [1, 1, 9000, 1],
        [6, 3, 4, 7],
        [8, 2, 3, 100],
        [12, 4, 2, 1],
        [4, 4, 1, 1200],
    ];
    // Rows, groups, channels of a group, positions of a channel.
    for [rows, groups, per, inner] in others.into_iter().chain(lengths.map(|n| [18, 1, n, 1])) {
        for (centred, width) in [true, false].map(|c| (c, per * inner)) {
            both(|[weight, bias]| {
                let norm = RowNorm { width, groups, inner, centred, weight, bias, eps: 1e-5 };
                let case = Case {
                    groups: (0..rows).map(|r| (r * width..(r + 1) * width).collect()).collect(),
                    channel: (0..rows * width).map(|i| i / width % groups * per + i % width / inner).collect(),
                    channels: groups * per,
                    centred,
                    eps: norm.eps,
                };
                let kernels = [KernelId::RowNorm(norm), KernelId::RowNormBackward(norm)];
                check::<T>(&case, kernels, [2, rows], [weight, bias], true);
            });
        }
    }
}

fn check_channels<T: Compute<Wide: Into<f64>>>() {
    for [outer, channels, inner] in [[4, 3, 1], [200, 70, 1], [5, 3, 2], [3, 40, 49], [2, 3, 5000], [16, 32, 1]] {
        for own in [true, false] {
            both(|[weight, bias]| {
                let norm = ChannelNorm { outer, channels, inner, own, weight, bias, eps: 1e-5 };
                let channel: Vec<usize> = (0..outer * channels * inner).map(|i| i / inner % channels).collect();
                let groups = (0..channels).map(|c| (0..channel.len()).filter(|&i| channel[i] == c).collect()).collect();
                let case = Case { groups, channel, channels, centred: true, eps: norm.eps };
                let kernels = [KernelId::ChannelNorm(norm), KernelId::ChannelNormBackward(norm)];
                check::<T>(&case, kernels, [3, channels], [weight, bias], own);
            });
        }
    }
}

#[test]
fn normalised_rows_match_the_definition() {
    check_rows::<f32>();
    check_rows::<f64>();
    check_rows::<f16>();
    check_rows::<bf16>();
}

#[test]
fn normalised_channels_match_the_definition() {
    check_channels::<f32>();
    check_channels::<f64>();
    check_channels::<f16>();
    check_channels::<bf16>();
}

#[test]
fn gradients_of_weights_do_not_depend_on_the_number_of_threads() {
    let (rows, width) = (3000, 64);
    let norm = RowNorm { width, groups: 1, inner: 1, centred: true, weight: true, bias: true, eps: 1e-5 };
    let of = |n: usize, seed: usize| Sample::new(&[n], Twin::Contiguous, |i| noise(i + seed) as f32);
    let (x, g, w, b) = (of(rows * width, 0), of(rows * width, 9), of(width, 1), of(width, 2));
    let run_at = |threads| {
        crate::cpu::pool::set_num_threads(threads);
        let (y, mean, rstd) = (of(rows * width, 3), of(rows, 3), of(rows, 3));
        let ins = [x.view(), w.view(), b.view()];
        custom(KernelId::RowNorm(norm), &ins, &mut [y.view_mut(), mean.view_mut(), rstd.view_mut()]).unwrap();
        let (gx, gw, gb) = (of(rows * width, 3), of(width, 3), of(width, 3));
        let ins = [g.view(), x.view(), mean.view(), rstd.view(), w.view()];
        custom(KernelId::RowNormBackward(norm), &ins, &mut [gx.view_mut(), gw.view_mut(), gb.view_mut()]).unwrap();
        [y, gx, gw, gb].map(|s| s.values::<f32>())
    };
    with_threads(1, || assert!(run_at(1) == run_at(4)));
}
