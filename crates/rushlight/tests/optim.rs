//! Optimizers and schedules, step by step, against what PyTorch does (`golden/optim.py`).

mod golden;

use golden::{close, fill, numbers, read};
use rushlight::optim::*;
use rushlight::{DType, State, Stateful, Tensor, no_grad};
use serde_json::Value;

const SHAPES: [&[usize]; 2] = [&[3, 4], &[5]];

/// Options as PyTorch's defaults are written: a map of numbers, truth values and pairs.
fn tree(value: &Value) -> State {
    match value {
        Value::Bool(b) => (*b).into(),
        Value::Number(n) => n.as_f64().expect("a number").into(),
        Value::Array(a) => State::List(a.iter().map(tree).collect()),
        Value::Object(m) => State::Map(m.iter().map(|(k, v)| (k.clone(), tree(v))).collect()),
        other => panic!("no option is {other}"),
    }
}

fn run<R: Rule>(case: &Value)
where
    R::Options: Default,
{
    let dtype = if case["dtype"] == "float64" { DType::F64 } else { DType::F32 };
    let tolerance = if dtype == DType::F64 { 1e-12 } else { 5e-6 };
    let what = format!("{} {} {}", case["rule"], case["dtype"], case["options"]);
    let mut options = R::Options::default();
    options.load(&tree(&case["options"])).unwrap_or_else(|e| panic!("{what}: {e}"));
    let params: Vec<Tensor> = SHAPES.iter().zip(0..).map(|(s, i)| fill(i, s, dtype).with_requires_grad()).collect();
    let mut optimizer = Optim::<R>::new(params.clone(), options);
    for step in 0..20 {
        for (i, p) in params.iter().enumerate() {
            if i == 0 || step >= 3 {
                let _guard = no_grad();
                let noise = fill(2 + 2 * step + i as u64, SHAPES[i], dtype);
                p.set_grad(Some(&(p * 0.3) + &noise));
            }
        }
        optimizer.step().unwrap();
    }
    for (i, p) in params.iter().enumerate() {
        close(&format!("{what}: parameter {i}"), &p.to_f64_vec(), &numbers(&case["params"][i]), tolerance);
        let state = optimizer.state();
        let state = state.get("state").unwrap();
        for (name, wanted) in case["state"][i.to_string()].as_object().into_iter().flatten() {
            let found = state.get(&i.to_string()).and_then(|s| s.get(name)).unwrap_or_else(|e| panic!("{what}: {e}"));
            match found {
                State::Tensor(t) => close(&format!("{what}: {name} {i}"), &t.to_f64_vec(), &numbers(wanted), tolerance),
                other => assert_eq!(other.as_f64().unwrap(), wanted.as_f64().unwrap(), "{what}: {name} {i}"),
            }
        }
    }
}

#[test]
fn rules_move_parameters_and_state_as_pytorch_does() {
    let golden = read("optim");
    let cases = golden["rules"].as_array().unwrap();
    assert!(cases.len() >= 38);
    for case in cases {
        match case["rule"].as_str().unwrap() {
            "SGD" => run::<SgdRule>(case),
            "Adam" => run::<AdamRule>(case),
            "AdamW" => run::<AdamWRule>(case),
            "RMSprop" => run::<RmsPropRule>(case),
            "Adagrad" => run::<AdagradRule>(case),
            other => panic!("no rule {other}"),
        }
    }
}

/// A saved state goes on exactly where the optimizer was, also in a new optimizer.
#[test]
fn a_saved_optimizer_resumes_bit_for_bit() {
    fn steps<R: Rule>(optimizer: &mut Optim<R>, p: &Tensor, from: u64, to: u64) {
        for step in from..to {
            p.set_grad(Some(fill(step, &[7], DType::F32)));
            optimizer.step().unwrap();
        }
    }
    fn check<R: Rule>(options: R::Options) {
        let p = fill(0, &[7], DType::F32).with_requires_grad();
        let mut whole = Optim::<R>::new([p.clone()], options.clone());
        steps(&mut whole, &p, 1, 9);
        let q = fill(0, &[7], DType::F32).with_requires_grad();
        let mut first = Optim::<R>::new([q.clone()], options.clone());
        steps(&mut first, &q, 1, 5);
        let mut second = Optim::<R>::new([q.clone()], options);
        second.load_state(&first.state()).unwrap();
        steps(&mut second, &q, 5, 9);
        assert_eq!(p.to_vec::<f32>(), q.to_vec::<f32>(), "{}", R::NAME);
    }
    check::<SgdRule>(SgdOptions { momentum: 0.9, ..Default::default() });
    check::<AdamRule>(AdamOptions { amsgrad: true, ..Default::default() });
    check::<AdamWRule>(AdamWOptions::default());
    check::<RmsPropRule>(RmsPropOptions { centered: true, momentum: 0.5, ..Default::default() });
    check::<AdagradRule>(AdagradOptions { lr_decay: 0.1, ..Default::default() });
}

fn two_groups() -> Sgd {
    let group = |lr: f64| ParamGroup {
        params: vec![Tensor::from_vec(vec![0f32], 1).with_requires_grad()],
        options: SgdOptions { lr, momentum: 0.9, ..Default::default() },
    };
    Sgd::with_groups(vec![group(0.1), group(0.02)]).unwrap()
}

#[test]
fn schedules_set_the_rates_that_pytorch_sets() {
    let golden = read("optim");
    let cases = golden["schedules"].as_object().unwrap();
    assert_eq!(cases.len(), 12);
    for (name, case) in cases {
        let mut o = two_groups();
        let one = OneCycleOptions::new(0.4, 101);
        let mut plateau = None;
        let mut schedule: Option<Box<dyn Scheduler>> = Some(match name.as_str() {
            "lambda" => Box::new(LambdaLr::new(&mut o, |t| 0.95f64.powi(t as i32) * (1 + t % 3) as f64)),
            "step" => Box::new(StepLr::new(&mut o, 7, 0.5)),
            "multistep" => Box::new(MultiStepLr::new(&mut o, &[3, 10, 10, 40], 0.3)),
            "exponential" => Box::new(ExponentialLr::new(&mut o, 0.97)),
            "linear" => Box::new(LinearLr::new(&mut o, 0.25, 1.0, 13).unwrap()),
            "linear_down" => Box::new(LinearLr::new(&mut o, 1.0, 0.1, 60).unwrap()),
            "cosine" => Box::new(CosineLr::new(&mut o, 30, 0.001)),
            "one_cycle" => Box::new(OneCycleLr::new(&mut o, one).unwrap()),
            "one_cycle_linear" => {
                let options = OneCycleOptions {
                    pct_start: 0.4,
                    linear: true,
                    three_phase: true,
                    div_factor: 10.0,
                    final_div_factor: 50.0,
                    ..one
                };
                Box::new(OneCycleLr::new(&mut o, options).unwrap())
            }
            "sequential" => {
                let parts: Vec<Box<dyn Scheduler + Send>> = vec![
                    Box::new(LinearLr::new(&mut o, 0.1, 1.0, 10).unwrap()),
                    Box::new(ExponentialLr::new(&mut o, 0.9)),
                    Box::new(CosineLr::new(&mut o, 20, 0.0)),
                ];
                Box::new(SequentialLr::new(&mut o, parts, &[10, 45]).unwrap())
            }
            "plateau" | "plateau_max" => {
                let options = if name == "plateau" {
                    PlateauOptions { factor: 0.5, patience: 3, cooldown: 2, min_lr: 0.001, ..Default::default() }
                } else {
                    PlateauOptions {
                        maximize: true,
                        factor: 0.3,
                        patience: 2,
                        threshold: 0.05,
                        absolute: true,
                        ..Default::default()
                    }
                };
                plateau = Some(ReduceLrOnPlateau::new(options).unwrap());
                Box::new(LambdaLr::new(&mut o, |_| 1.0))
            }
            other => panic!("no schedule {other}"),
        });
        if plateau.is_some() {
            schedule = None;
        }
        for (step, wanted) in case["lrs"].as_array().unwrap().iter().enumerate() {
            let lrs = [o.lr(0), o.lr(1)];
            for (found, wanted) in lrs.iter().zip(numbers(wanted)) {
                assert!((found - wanted).abs() <= 1e-9 * wanted.abs(), "{name}, step {step}: {lrs:?}, but PyTorch has {wanted}");
            }
            if let Some(momenta) = case.get("momenta") {
                let (found, wanted) = (o.momentum(0).unwrap(), momenta[step].as_f64().unwrap());
                assert!((found - wanted).abs() <= 1e-12, "{name}, step {step}: momentum {found}, but PyTorch has {wanted}");
            }
            if step == 100 {
                break;
            }
            match (&mut schedule, &mut plateau) {
                (Some(s), _) => s.step(&mut o).unwrap(),
                (_, Some(p)) => p.step(&mut o, 1.0 / (1 + step / 9) as f64 + 0.01 * (step % 5) as f64),
                _ => unreachable!("one of the two"),
            }
        }
    }
}

fn rosenbrock(x: &Tensor) -> Tensor {
    let n = x.numel() as i64;
    let (head, tail) = (x.narrow(0, 0, n - 1), x.narrow(0, 1, n - 1));
    let (a, b) = (&tail - &(&head * &head), 1.0 - &head);
    (&(&a * &a) * 100.0 + &b * &b).sum()
}

fn regression(x: &Tensor) -> Tensor {
    let (a, b) = (fill(0, &[12, 4], DType::F64), fill(1, &[12], DType::F64));
    let r = &a.matmul(x) - &b;
    (&r * &r).mean()
}

#[test]
fn lbfgs_takes_pytorchs_path() {
    let golden = read("optim");
    for case in golden["lbfgs"].as_array().unwrap() {
        let f = if case["problem"] == "rosenbrock" { rosenbrock } else { regression };
        let start = numbers(&case["start"]);
        let x = Tensor::from_vec(start.clone(), start.len()).with_requires_grad();
        let mut options = LbfgsOptions::default();
        for (name, value) in case["options"].as_object().unwrap() {
            match name.as_str() {
                "line_search_fn" => options.strong_wolfe = value == "strong_wolfe",
                "max_iter" => options.max_iter = value.as_u64().unwrap() as usize,
                "history_size" => options.history_size = value.as_u64().unwrap() as usize,
                "lr" => options.lr = value.as_f64().unwrap(),
                other => panic!("no option {other}"),
            }
        }
        let mut optimizer = Lbfgs::new([x.clone()], options);
        for (step, wanted) in case["path"].as_array().unwrap().iter().enumerate() {
            let loss = optimizer.step(|| {
                x.set_grad(None);
                let loss = f(&x);
                loss.try_backward()?;
                Ok(loss)
            });
            let what = format!("{} {}, step {step}", case["problem"], case["options"]);
            close(&what, &[loss.unwrap().item()], &[case["losses"][step].as_f64().unwrap()], 1e-6);
            close(&what, &x.to_vec::<f64>(), &numbers(wanted), 1e-6);
            // A new optimizer with the saved state goes on.
            let mut next = Lbfgs::new([x.clone()], options);
            next.load_state(&optimizer.state()).unwrap();
            optimizer = next;
        }
        assert_eq!(optimizer.evaluations() as u64, case["evaluations"].as_u64().unwrap());
    }
}

#[test]
fn lbfgs_climbs_where_others_descend() {
    let run = |maximize: bool| {
        let x = Tensor::from_vec(vec![-1.2, 1.0], 2).with_requires_grad();
        let mut optimizer =
            Lbfgs::new([x.clone()], LbfgsOptions { maximize, strong_wolfe: true, max_iter: 7, ..Default::default() });
        let sign = if maximize { -1.0 } else { 1.0 };
        let step = optimizer.step(|| {
            x.set_grad(None);
            let loss = &rosenbrock(&x) * sign;
            loss.try_backward()?;
            Ok(loss)
        });
        step.unwrap();
        x.to_vec::<f64>()
    };
    assert_eq!(run(false), run(true));
}

#[test]
fn says_what_is_wrong() {
    let p = || Tensor::from_vec(vec![0f32], 1).with_requires_grad();
    let error = Adam::with_groups(vec![ParamGroup {
        params: vec![p()],
        options: AdamOptions { betas: (1.0, 0.9), ..Default::default() },
    }]);
    assert_eq!(error.err().unwrap().message(), "Invalid beta parameter at index 0: 1");
    let error = Lbfgs::try_new([], LbfgsOptions::default()).err().unwrap();
    assert_eq!(error.message(), "optimizer got an empty parameter list");
    let q = p();
    let twice = Sgd::with_groups(vec![ParamGroup { params: vec![q.clone(), q], options: SgdOptions::default() }]);
    assert_eq!(twice.err().unwrap().message(), "some parameters appear in more than one parameter group");
}
