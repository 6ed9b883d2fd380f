use super::*;
use crate::Layout;
use crate::cpu::samples::*;

const RULES: [UpdateRule; 7] = [
    UpdateRule::Sgd { lr: 0.1, weight_decay: 0.0, sign: 1.0 },
    UpdateRule::Sgd { lr: 0.1, weight_decay: 0.25, sign: -1.0 },
    UpdateRule::Momentum { lr: 0.1, momentum: 0.5, fresh: 0.75, nesterov: false, weight_decay: 0.5, sign: 1.0 },
    UpdateRule::Momentum { lr: 0.1, momentum: 0.5, fresh: 1.0, nesterov: true, weight_decay: 0.0, sign: 1.0 },
    UpdateRule::Adam {
        beta1: 0.5,
        beta2: 0.75,
        eps: 0.125,
        rate: -0.1,
        correction: 1.5,
        weight_decay: 0.25,
        shrink: 0.875,
        sign: 1.0,
    },
    UpdateRule::RmsProp { lr: 0.1, alpha: 0.5, eps: 0.125, weight_decay: 0.0, sign: 1.0 },
    UpdateRule::Adagrad { rate: -0.1, eps: 0.125, weight_decay: 0.5, sign: 1.0 },
];

/// The new parameter and state of one element, in f64.
fn naive(rule: &UpdateRule, p: f64, g: f64, state: [f64; 2]) -> [f64; 3] {
    let [a, b] = state;
    match *rule {
        UpdateRule::Sgd { lr, weight_decay, sign } => [p - lr * (sign * g + weight_decay * p), a, b],
        UpdateRule::Momentum { lr, momentum, fresh, nesterov, weight_decay, sign } => {
            let g = sign * g + weight_decay * p;
            let v = momentum * a + fresh * g;
            [p - lr * if nesterov { g + momentum * v } else { v }, v, b]
        }
        UpdateRule::Adam { beta1, beta2, eps, rate, correction, weight_decay, shrink, sign } => {
            let g = sign * g + weight_decay * p;
            let (m, v) = (beta1 * a + (1.0 - beta1) * g, beta2 * b + (1.0 - beta2) * g * g);
            [p * shrink + rate * m / (v.sqrt() * correction + eps), m, v]
        }
        UpdateRule::RmsProp { lr, alpha, eps, weight_decay, sign } => {
            let g = sign * g + weight_decay * p;
            let v = alpha * a + (1.0 - alpha) * g * g;
            [p - lr * g / (v.sqrt() + eps), v, b]
        }
        UpdateRule::Adagrad { rate, eps, weight_decay, sign } => {
            let g = sign * g + weight_decay * p;
            let sum = a + g * g;
            [p + rate * g / (sum.sqrt() + eps), sum, b]
        }
    }
}

#[test]
fn every_rule_agrees_with_its_formula() {
    for rule in &RULES {
        for dtype in [DType::F32, DType::F64] {
            let lens = [0, 1, 7, 100, CHUNK + 3];
            let make = |n: usize, k: usize| {
                Sample::new(dtype, Layout::contiguous(&[n]), |i| if k < 2 { scrambled(dtype, i + k) } else { (i % 5) as f64 })
            };
            let grads: Vec<Sample> = lens.iter().map(|&n| make(n, 1)).collect();
            let each = rule.outputs();
            let outs: Vec<Sample> = lens.iter().flat_map(|&n| (0..each).map(move |k| make(n, [0, 2, 3][k]))).collect();
            let before: Vec<Vec<f64>> = outs.iter().map(Sample::values).collect();
            let gs: Vec<View> = grads.iter().map(Sample::view).collect();
            assert!(update(rule, &gs, &mut outs.iter().map(Sample::view_mut).collect::<Vec<_>>()));
            for (i, g) in grads.iter().enumerate() {
                let all = &outs[i * each..][..each];
                let after: Vec<Vec<f64>> = all.iter().map(Sample::values).collect();
                for (j, g) in g.values().into_iter().enumerate() {
                    let old = |k: usize| before.get(i * each + k).filter(|_| k < each).map_or(0.0, |v| v[j]);
                    let want = naive(rule, old(0), g, [old(1), old(2)]);
                    for k in 0..each {
                        let error = (after[k][j] - want[k]).abs();
                        assert!(error <= 1e-5 * want[k].abs().max(1.0), "{rule:?} {dtype} {k} {j}");
                    }
                }
            }
        }
    }
}

#[test]
fn what_it_cannot_do_is_left_alone() {
    let rule = &RULES[0];
    let (g, p) = (Sample::zeros(DType::F16, Layout::contiguous(&[3])), Sample::zeros(DType::F16, Layout::contiguous(&[3])));
    assert!(!update(rule, &[g.view()], &mut [p.view_mut()]));
    let stepped = Layout::contiguous(&[6]).slice(0, 0, 2, 3);
    let (g, p) = (Sample::zeros(DType::F32, stepped), Sample::zeros(DType::F32, Layout::contiguous(&[3])));
    assert!(!update(rule, &[g.view()], &mut [p.view_mut()]));
}
