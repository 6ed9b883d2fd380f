//! The table is the test plan: every op and every sample, checked for what holds of all ops.
//!
//! `RUSHLIGHT_OP=softmax cargo test -p rushlight --test registry` looks at one op.

use rushlight::autograd::{GradOptions, GradcheckOptions, grad, gradcheck, gradgradcheck, is_grad_enabled};
use rushlight::op::sample::{Expr, Sample};
use rushlight::op::{self, DTypes, OpDef, Value, bind};
use rushlight::{DType, ErrorKind, Result, Tensor, no_grad, ops};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

/// These checks run twice: here with every pointwise op put off until its result is looked at, and as `registry_eager` with none.
fn choose_mode() {
    if module_path!().contains("eager") {
        rushlight::set_deferred(false);
    } else {
        rushlight::set_deferred_from(1);
    }
}

// ---- running samples --------------------------------------------------------------------------------------------------------------

/// The default generator is one for the whole process: ops that draw from it take turns.
static GENERATOR: Mutex<()> = Mutex::new(());

fn chosen() -> impl Iterator<Item = &'static OpDef> {
    let only = std::env::var("RUSHLIGHT_OP").ok();
    op::all().filter(move |d| only.as_deref().is_none_or(|o| o == d.name || o == d.full_name()))
}

/// Runs one check over every op and sample, gathers what fails, and prints how many ran. A check answers `false` where it does not apply.
fn for_every_sample(check: &str, f: impl Fn(&'static OpDef, &Sample) -> std::result::Result<bool, String>) {
    choose_mode();
    let (mut ran, mut names, mut failures) = (0, BTreeSet::new(), String::new());
    for def in chosen() {
        for text in def.samples {
            let sample = Sample::parse(text).unwrap_or_else(|e| panic!("{}({text}): {e}", def.full_name()));
            let outcome = catch_unwind(AssertUnwindSafe(|| f(def, &sample))).unwrap_or_else(|p| {
                Err(format!("panicked: {}", p.downcast_ref::<String>().cloned().unwrap_or_else(|| "?".into())))
            });
            match outcome {
                Ok(true) => {
                    ran += 1;
                    names.insert(def.full_name());
                }
                Ok(false) => {}
                Err(e) => {
                    let _ = writeln!(failures, "{}({text}): {e}", def.full_name());
                }
            }
        }
    }
    report(check, ran, names.len());
    let count = failures.lines().count();
    assert!(failures.is_empty(), "{check}: {count} failures\n{failures}");
}

/// Straight to the terminal: the harness captures what `println!` prints.
fn report(check: &str, ran: usize, ops: usize) {
    let _ = writeln!(std::io::stderr(), "registry: {check}: {ran} samples of {ops} ops");
}

fn values(def: &OpDef, sample: &Sample, dtype: DType) -> Result<Vec<Value>> {
    let (positional, keyword) = sample.make(dtype)?;
    Ok(bind::bind(def, positional, keyword)?.into_vec())
}

/// Calls the op; random ones from a fixed seed.
fn run(def: &OpDef, values: &[Value]) -> Result<Vec<Tensor>> {
    let _turn = def.random.then(|| GENERATOR.lock().unwrap_or_else(PoisonError::into_inner));
    if def.random {
        rushlight::manual_seed(0);
    }
    Ok(bind::invoke(def, values)?.tensors().to_vec())
}

/// All tensors among the arguments, in order.
fn tensors(values: &[Value]) -> Vec<Tensor> {
    values.iter().flat_map(|v| v.tensors().to_vec()).collect()
}

/// The arguments with their tensors replaced, in order.
fn with_tensors(values: &[Value], new: &[Tensor]) -> Vec<Value> {
    let mut new = new.iter().cloned();
    let mut next = || new.next().expect("as many tensors as before");
    values
        .iter()
        .map(|v| match v {
            Value::Tensor(_) => Value::Tensor(next()),
            Value::Tensors(ts) => Value::Tensors(ts.iter().map(|_| next()).collect()),
            v => v.clone(),
        })
        .collect()
}

fn copies(tensors: &[Tensor], grad: bool) -> Vec<Tensor> {
    // A bare number stays one: it decides promotion.
    let wrapped = |t: &Tensor| t.rank() == 0 && t.is_wrapped_number();
    tensors
        .iter()
        .map(|t| {
            let t = if wrapped(t) { t.clone() } else { t.detach().copy() };
            if grad && t.dtype().is_float() && !wrapped(&t) { t.with_requires_grad() } else { t }
        })
        .collect()
}

/// Weights that make every element of a result count differently.
fn weights(like: &Tensor, salt: u64) -> Tensor {
    let v = (0..like.numel() as u64).map(|i| 0.3 + op::sample::uniform(salt, i)).collect();
    Tensor::from_vec(v, like.shape()).to(like.dtype())
}

/// Results, and the gradients of a weighted sum of the floating results with respect to the inputs that take one.
fn run_with_gradients(def: &OpDef, args: &[Value], inputs: &[Tensor]) -> Result<(Vec<Tensor>, Vec<Option<Tensor>>)> {
    let outs = run(def, args)?;
    let g = gradients(&outs, inputs)?;
    Ok((outs, g))
}

fn gradients(outs: &[Tensor], inputs: &[Tensor]) -> Result<Vec<Option<Tensor>>> {
    let recorded: Vec<(usize, &Tensor)> = outs.iter().enumerate().filter(|(_, o)| o.requires_grad()).collect();
    let wanted: Vec<&Tensor> = inputs.iter().filter(|t| t.requires_grad()).collect();
    if recorded.is_empty() || wanted.is_empty() {
        return Ok(vec![]);
    }
    let cotangents: Vec<Tensor> = recorded.iter().map(|(i, o)| weights(o, *i as u64)).collect();
    grad(
        &recorded.iter().map(|(_, o)| *o).collect::<Vec<_>>(),
        &wanted,
        &cotangents.iter().map(Some).collect::<Vec<_>>(),
        GradOptions { allow_unused: true, ..Default::default() },
    )
}

/// Equal to within `tol` of the largest value; NaN equals NaN.
fn close(a: &Tensor, b: &Tensor, tol: f64) -> std::result::Result<(), String> {
    if a.shape() != b.shape() {
        return Err(format!("shape {:?} instead of {:?}", a.shape().as_slice(), b.shape().as_slice()));
    }
    let (x, y) = (a.to_f64_vec(), b.to_f64_vec());
    let scale = y.iter().filter(|v| v.is_finite()).fold(1f64, |m, v| m.max(v.abs()));
    match x.iter().zip(&y).position(|(x, y)| !(x == y || (x - y).abs() <= tol * scale || x.is_nan() && y.is_nan())) {
        None => Ok(()),
        Some(i) => Err(format!("element {i} is {} instead of {}", x[i], y[i])),
    }
}

fn all_close(a: &[Tensor], b: &[Tensor], tol: f64, what: &str) -> std::result::Result<(), String> {
    if a.len() != b.len() {
        return Err(format!("{} {what} instead of {}", a.len(), b.len()));
    }
    a.iter().zip(b).enumerate().try_for_each(|(i, (a, b))| close(a, b, tol).map_err(|e| format!("{what} {i}: {e}")))
}

fn gradients_close(a: &[Option<Tensor>], b: &[Option<Tensor>], tol: f64) -> std::result::Result<(), String> {
    a.iter().zip(b).enumerate().try_for_each(|(i, (a, b))| match (a, b) {
        (Some(a), Some(b)) => close(a, b, tol).map_err(|e| format!("gradient {i}: {e}")),
        (None, None) => Ok(()),
        _ => Err(format!("gradient {i} is there in one of two runs only")),
    })
}

fn text(e: rushlight::Error) -> String {
    e.to_string()
}

// ---- the checks -------------------------------------------------------------------------------------------------------------------

#[test]
fn every_op_in_the_sources_is_in_the_table() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ops");
    let mut written = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let source = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        written += source.lines().filter(|l| l.trim_start().starts_with("#[op(")).count();
    }
    assert_eq!(op::all().count(), written, "an #[op] is missing from its family's ops![…]");
    let mut names = BTreeSet::new();
    for d in op::all() {
        assert!(names.insert(d.full_name()), "{} is in the table twice", d.full_name());
        assert!(!d.doc.trim().is_empty(), "{} has no documentation", d.full_name());
        assert!(!d.samples.is_empty(), "{} has no sample", d.full_name());
    }
}

#[test]
fn every_sample_runs_and_records_nothing_unasked() {
    for_every_sample("runs", |def, sample| {
        let args = values(def, sample, DType::F32).map_err(text)?;
        // Copies: an op that is in-place by nature (`fill_`) changes what it gets.
        let plain = copies(&tensors(&args), false);
        for t in run(def, &with_tensors(&args, &plain)).map_err(text)? {
            if t.requires_grad() {
                return Err("a result requires a gradient though no input does".into());
            }
        }
        let inputs = copies(&tensors(&values(def, sample, DType::F32).map_err(text)?), true);
        let _guard = no_grad();
        assert!(!is_grad_enabled());
        let fresh = run(def, &with_tensors(&args, &inputs)).map_err(text)?;
        let leaked = fresh.iter().any(|o| o.requires_grad() && !o.is_view() && !inputs.iter().any(|i| i.is_same(o)));
        if leaked { Err("a result requires a gradient under no_grad".into()) } else { Ok(true) }
    });
}

/// Which of the sample's tensors are written `S(…)`, among its positional arguments.
fn symmetric_arguments(sample: &Sample) -> Vec<usize> {
    let tensors = sample.positional.iter().filter_map(|e| if let Expr::Tensor(t) = e { Some(t.fill) } else { None });
    tensors.enumerate().filter(|(_, fill)| *fill == op::sample::Fill::Symmetric).map(|(i, _)| i).collect()
}

fn symmetric_part(x: &Tensor) -> Result<Tensor> {
    x.try_add(&ops::transpose(x, -2, -1)?)?.try_mul(0.5)
}

fn check_gradients(name: &str, check: fn(&dyn Fn(&[Tensor]) -> Result<Vec<Tensor>>, &[Tensor], GradcheckOptions) -> Result<()>) {
    for_every_sample(name, |def, sample| {
        if def.nondiff {
            return Ok(false);
        }
        let args = values(def, sample, DType::F64).map_err(text)?;
        let inputs = copies(&tensors(&args), true);
        if !inputs.iter().any(|t| t.requires_grad() && t.dtype() == DType::F64) {
            return Ok(false);
        }
        let inputs: Vec<Tensor> =
            inputs.into_iter().map(|t| if t.requires_grad() && t.dtype() != DType::F64 { t.detach() } else { t }).collect();
        let outs = run(def, &with_tensors(&args, &inputs)).map_err(text)?;
        if !outs.iter().any(|o| o.dtype().is_float()) {
            return Ok(false);
        }
        if !outs.iter().any(|o| o.requires_grad()) {
            return Err("the op is not marked nondiff, but its result does not require a gradient".into());
        }
        // A result in single precision cannot be told from its neighbours by differences.
        if outs.iter().any(|o| o.dtype().is_float() && o.dtype() != DType::F64) {
            return Ok(false);
        }
        // What stands for a symmetric matrix moves among the symmetric ones: ops may read one triangle alone.
        let symmetric = symmetric_arguments(sample);
        let f = |t: &[Tensor]| {
            let mirrored = |(i, x): (usize, &Tensor)| if symmetric.contains(&i) { symmetric_part(x) } else { Ok(x.clone()) };
            let inputs: Result<Vec<Tensor>> = t.iter().enumerate().map(mirrored).collect();
            run(def, &with_tensors(&args, &inputs?))
        };
        check(&f, &inputs, GradcheckOptions::default()).map_err(text)?;
        Ok(true)
    });
}

#[test]
fn gradcheck_every_sample() {
    check_gradients("gradcheck", |f, inputs, options| gradcheck(f, inputs, options));
}

#[test]
fn gradgradcheck_every_sample() {
    check_gradients("gradgradcheck", |f, inputs, options| gradgradcheck(f, inputs, options));
}

/// The same values in memory laid out in another way.
fn twins(t: &Tensor) -> Vec<(&'static str, Tensor)> {
    let mut out = vec![];
    if t.rank() == 0 {
        let padded = ops::cat(&[Tensor::zeros([1]).to(t.dtype()), t.reshape([1])], 0).unwrap();
        out.push(("offset", padded.select(0, 1)));
        return out;
    }
    let reversed: Vec<i64> = (0..t.rank() as i64).rev().collect();
    out.push(("permuted", t.permute(&reversed).contiguous().permute(&reversed)));
    let last = t.rank() as i64 - 1;
    let doubled = ops::stack(&[t.clone(), t.clone()], t.rank() as i64)
        .unwrap()
        .reshape([&t.shape()[..last as usize], &[2 * t.size(-1)]].concat());
    out.push(("stepped", doubled.slice(last, Some(0), None, 2)));
    let padded = ops::cat(&[t.narrow(0, 0, t.size(0).min(1) as i64), t.clone()], 0).unwrap();
    out.push(("offset", padded.narrow(0, t.size(0).min(1) as i64, t.size(0) as i64)));
    // Stored backwards, and read through a negative step.
    let backwards = t.flip([0]);
    out.push(("flipped", backwards.with_layout(backwards.layout().flip(0)).unwrap()));
    out
}

/// Ops whose result depends by definition on how the argument lies in memory.
const LAYOUT_IS_THE_POINT: [&str; 2] = ["as_strided", "view.dtype"];

#[test]
fn layout_fuzz() {
    for_every_sample("layout fuzz", |def, sample| {
        if LAYOUT_IS_THE_POINT.contains(&def.full_name().as_str()) || def.name.ends_with('_') {
            return Ok(false);
        }
        let args = values(def, sample, DType::F64).map_err(text)?;
        let plain = copies(&tensors(&args), !def.nondiff);
        if plain.is_empty() {
            return Ok(false);
        }
        let (expected, expected_grads) = run_with_gradients(def, &with_tensors(&args, &plain), &plain).map_err(text)?;
        for i in 0..plain.len() {
            if plain[i].is_wrapped_number() {
                continue;
            }
            let mut variants = twins(&plain[i].detach());
            // An expanded argument has other values: it is compared with its own dense copy.
            let expanded =
                (plain[i].rank() > 0 && plain[i].size(0) > 1).then(|| plain[i].detach().narrow(0, 0, 1).expand(plain[i].shape()));
            let mut cases: Vec<(&str, Tensor, Option<Tensor>)> = variants.drain(..).map(|(n, t)| (n, t, None)).collect();
            if let Some(e) = expanded {
                cases.push(("expanded", e.clone(), Some(e.contiguous())));
            }
            for (name, twin, dense) in cases {
                let with = |t: Tensor| {
                    let mut inputs = copies(&plain, !def.nondiff);
                    // Keep the layout under test: detach shares it.
                    inputs[i] = if !def.nondiff && t.dtype().is_float() { t.detach().with_requires_grad() } else { t };
                    inputs
                };
                let inputs = with(twin);
                let context = |e: String| format!("argument {i} {name}: {e}");
                let outcome = run_with_gradients(def, &with_tensors(&args, &inputs), &inputs);
                let reference = match dense {
                    None => Ok((expected.clone(), expected_grads.clone())),
                    Some(dense) => {
                        let inputs = with(dense);
                        run_with_gradients(def, &with_tensors(&args, &inputs), &inputs)
                    }
                };
                match (outcome, reference) {
                    (Ok(got), Ok(reference)) => {
                        all_close(&got.0, &reference.0, 1e-10, "result").map_err(context)?;
                        gradients_close(&got.1, &reference.1, 1e-9).map_err(context)?;
                    }
                    // Values that repeat may be out of the op's domain, and `view` may refuse a layout; nothing else may.
                    (Err(_), Err(_)) => {}
                    (Err(e), Ok(_)) if e.message().contains("view size is not compatible") => {}
                    (Err(e), Ok(_)) => return Err(context(text(e))),
                    (Ok(_), Err(e)) => return Err(context(format!("runs, but its dense copy fails: {e}"))),
                }
            }
        }
        Ok(true)
    });
}

#[test]
fn in_place_twins() {
    for_every_sample("in-place twins", |def, sample| {
        if !def.inplace {
            return Ok(false);
        }
        let args = values(def, sample, DType::F64).map_err(text)?;
        let originals = tensors(&args);
        let plain = copies(&originals, !def.nondiff);
        let x = &plain[0];
        if x.is_wrapped_number() {
            return Ok(false);
        }
        let (expected, expected_grads) = run_with_gradients(def, &with_tensors(&args, &plain), &plain).map_err(text)?;
        let fits = expected[0].shape() == x.shape() && category(expected[0].dtype()) <= category(x.dtype());
        for shared in [false, true] {
            let inputs = copies(&originals, !def.nondiff);
            // An intermediate, since leaves may not be overwritten: alone in its memory, or a view into a larger tensor.
            let start = if inputs[0].requires_grad() { inputs[0].copy() } else { inputs[0].clone() };
            let frame = ops::stack(&[start.clone(), start.clone()], 0).unwrap();
            let target = if shared { frame.select(0, 1) } else { start };
            let before = (target.version(), frame.select(0, 0).to_f64_vec());
            let mut tensors = inputs.clone();
            tensors[0] = target.clone();
            let turn = def.random.then(|| GENERATOR.lock().unwrap_or_else(PoisonError::into_inner));
            if def.random {
                rushlight::manual_seed(0);
            }
            let outcome = bind::invoke_inplace(def, &with_tensors(&args, &tensors));
            drop(turn);
            match outcome {
                Err(e) if fits => return Err(format!("{}_: {e}", def.name)),
                Err(_) => {
                    if target.to_f64_vec() != originals[0].to_f64_vec() {
                        return Err("a failed in-place call has changed its argument".into());
                    }
                    continue;
                }
                Ok(_) if !fits => return Err(format!("{}_ accepted a result of another shape or a higher dtype", def.name)),
                Ok(_) => {}
            }
            close(&target, &expected[0].to(target.dtype()), 1e-12).map_err(|e| format!("in place: {e}"))?;
            if target.version() <= before.0 {
                return Err("the version was not raised".into());
            }
            if shared && frame.select(0, 0).to_f64_vec().iter().zip(&before.1).any(|(a, b)| a.to_bits() != b.to_bits()) {
                return Err("memory beside the view was written".into());
            }
            if target.dtype().is_float() {
                let got = gradients(std::slice::from_ref(&target), &inputs).map_err(text)?;
                if !(got.is_empty() && expected_grads.iter().all(Option::is_none)) {
                    let zeros_where_unused = |gs: &[Option<Tensor>]| -> Vec<Option<Tensor>> {
                        let wanted = inputs.iter().filter(|t| t.requires_grad());
                        gs.iter()
                            .zip(wanted)
                            .map(|(g, t)| Some(g.clone().unwrap_or_else(|| ops::zeros_like(t, None).unwrap())))
                            .collect()
                    };
                    gradients_close(&zeros_where_unused(&got), &zeros_where_unused(&expected_grads), 1e-9)
                        .map_err(|e| format!("in place, shared={shared}: {e}"))?;
                }
            }
        }
        Ok(true)
    });
}

fn category(d: DType) -> u8 {
    if d == DType::Bool { 0 } else { 1 + d.is_float() as u8 }
}

#[test]
fn overwritten_values_are_noticed() {
    for_every_sample("overwritten values", |def, sample| {
        if def.nondiff {
            return Ok(false);
        }
        let args = values(def, sample, DType::F64).map_err(text)?;
        let inputs = copies(&tensors(&args), true);
        let (_, expected) = run_with_gradients(def, &with_tensors(&args, &inputs), &inputs).map_err(text)?;
        let mut applied = false;
        // Overwrite each argument and each result in turn, between forward and backward.
        for victim in 0..inputs.len() + 4 {
            let leaves = copies(&inputs, true);
            let middle: Vec<Tensor> = leaves.iter().map(|t| if t.requires_grad() { t.copy() } else { t.clone() }).collect();
            let outs = run(def, &with_tensors(&args, &middle)).map_err(text)?;
            let Some(target) = middle.get(victim).or_else(|| outs.get(victim - inputs.len().min(victim))) else { break };
            if !target.dtype().is_float() || target.is_wrapped_number() || target.numel() == 0 || outs.iter().any(|o| o.is_view())
            {
                continue;
            }
            if outs.iter().any(|o| o.is_same(target) || middle.iter().any(|m| m.is_same(o) || m.shares_storage(o))) {
                continue;
            }
            {
                let _guard = no_grad();
                if target.try_mul_(3.0).is_err() {
                    continue;
                }
                target.add_(0.125);
            }
            applied = true;
            match gradients(&outs, &leaves) {
                Err(e) if e.message().contains("modified by an inplace operation") => {}
                Err(e) => return Err(format!("victim {victim}: {e}")),
                Ok(got) => gradients_close(&got, &expected, 1e-12)
                    .map_err(|e| format!("victim {victim} was overwritten, which went unnoticed and changed a gradient: {e}"))?,
            }
        }
        Ok(applied)
    });
}

#[test]
fn views_share_storage_and_others_do_not() {
    for_every_sample("views", |def, sample| {
        let args = values(def, sample, DType::F32).map_err(text)?;
        let Some(x) = tensors(&args).first().cloned() else { return Ok(false) };
        for o in run(def, &args).map_err(text)? {
            if def.view && !o.is_same(&x) && !(o.shares_storage(&x) && o.is_view()) {
                return Err("marked as a view, but the result is not one".into());
            }
        }
        Ok(def.view)
    });
}

fn dtypes(class: DTypes) -> &'static [DType] {
    use DType::*;
    match class {
        DTypes::Any => &DType::ALL,
        DTypes::Number => &[U8, I8, I16, I32, I64, F16, BF16, F32, F64],
        DTypes::Float => &DType::ALL,
        DTypes::FloatOnly => &[F16, BF16, F32, F64],
        DTypes::Wide => &[F32, F64],
        DTypes::Integral => &[Bool, U8, I8, I16, I32, I64],
    }
}

/// The sample with `T(…)` of another dtype, where the sample leaves it open.
fn tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => 4e-3,
        DType::BF16 => 3e-2,
        DType::F32 => 2e-5,
        _ => 1e-9,
    }
}

#[test]
fn declared_dtypes_run_and_agree_with_float64() {
    for_every_sample("dtypes", |def, sample| {
        let mut ran = false;
        for &dtype in dtypes(def.dtypes) {
            let mut args = values(def, sample, dtype).map_err(text)?;
            if def.name.ends_with('_') {
                return Ok(false);
            }
            args = with_tensors(&args, &copies(&tensors(&args), false));
            let uses_default = sample_leaves_dtype_open(sample);
            if !uses_default && dtype != DType::F32 {
                continue;
            }
            let got = match run(def, &args) {
                Ok(got) => got,
                // Integers made from real samples may be zero, or repeat.
                Err(e)
                    if !dtype.is_float()
                        && (e.message().contains("ZeroDivisionError") || e.kind() != ErrorKind::NotImplemented) =>
                {
                    continue;
                }
                Err(e) => return Err(format!("{dtype}: {e}")),
            };
            ran = true;
            if !dtype.is_float() || def.random || !uses_default {
                continue;
            }
            // The same (rounded) inputs in float64.
            let wide: Vec<Tensor> = tensors(&args)
                .iter()
                .map(|t| if t.dtype() == dtype && !t.is_wrapped_number() { t.to(DType::F64) } else { t.clone() })
                .collect();
            let Ok(reference) = run(def, &with_tensors(&args, &wide)) else { continue };
            for (i, (a, b)) in got.iter().zip(&reference).enumerate() {
                if b.dtype().is_float() {
                    close(a, b, tolerance(dtype).max(tolerance(a.dtype()))).map_err(|e| format!("{dtype}: result {i}: {e}"))?;
                }
            }
        }
        Ok(ran)
    });
}

fn sample_leaves_dtype_open(sample: &Sample) -> bool {
    fn open(e: &Expr) -> bool {
        match e {
            Expr::Tensor(t) => t.dtype.is_none() && matches!(t.fill, op::sample::Fill::Real | op::sample::Fill::Symmetric),
            Expr::List(l) => l.iter().any(open),
            _ => false,
        }
    }
    sample.positional.iter().chain(sample.keyword.iter().map(|(_, e)| e)).any(open)
}

#[test]
fn error_texts() {
    let (mut ran, mut names, mut failures) = (0, BTreeSet::new(), String::new());
    for def in chosen() {
        for (call, part) in def.errors {
            let outcome = catch_unwind(|| {
                let args = Sample::parse(call).and_then(|s| values(def, &s, DType::F32))?;
                run(def, &args)
            });
            let problem = match outcome {
                Err(_) => "panicked".to_string(),
                Ok(Ok(_)) => "succeeded".to_string(),
                Ok(Err(e)) if !e.message().contains(part) => format!("said {:?}", e.message()),
                Ok(Err(_)) => {
                    ran += 1;
                    names.insert(def.full_name());
                    continue;
                }
            };
            let _ = writeln!(failures, "{}({call}) {problem}, instead of {part:?}", def.full_name());
        }
    }
    report("error texts", ran, names.len());
    assert!(failures.is_empty(), "\n{failures}");
}

/// The sample with every size above one multiplied by `k`. Sizes that must agree still do.
fn enlarged(sample: &Sample, k: usize) -> Sample {
    fn scale(e: &mut Expr, k: usize) {
        match e {
            Expr::Tensor(t) => t.shape.iter_mut().filter(|d| **d > 1).for_each(|d| *d *= k),
            Expr::List(l) => l.iter_mut().for_each(|e| scale(e, k)),
            _ => {}
        }
    }
    let mut big = sample.clone();
    big.positional.iter_mut().chain(big.keyword.iter_mut().map(|(_, e)| e)).for_each(|e| scale(e, k));
    big
}

/// How much a sample can be enlarged so that work is split into many chunks, and yet fits into memory: found from how the sizes of
/// arguments and results grow from one to two.
fn factor(def: &OpDef, sample: &Sample) -> Option<usize> {
    let sizes = |k: usize| -> Option<(f64, f64, usize)> {
        let args = values(def, &enlarged(sample, k), DType::F32).ok()?;
        let inputs = copies(&tensors(&args), false);
        let biggest = inputs.iter().map(Tensor::numel).max()?;
        let rank = inputs.iter().map(Tensor::rank).max()?;
        let outs = run(def, &with_tensors(&args, &inputs)).ok()?;
        Some((biggest as f64, outs.iter().map(Tensor::numel).sum::<usize>() as f64, rank))
    };
    let ((in1, out1, rank), (in2, out2, _)) = (sizes(1)?, sizes(2)?);
    // Windows and products cost much more than they move; factorisations, the only ops of this class of dtypes, still more.
    let target = if def.dtypes == DTypes::Wide {
        4_000.0
    } else if rank >= 3 {
        8_000.0
    } else {
        70_000.0
    };
    let (grow_in, grow_out) = ((in2 / in1).log2(), (out2 / out1.max(1.0)).log2().max(0.1));
    let k = (target / in1).powf(1.0 / grow_in).min((3e5 / out1.max(1.0)).powf(1.0 / grow_out)).ceil();
    (grow_in > 0.0 && k >= 2.0 && k.is_finite()).then_some(k as usize)
}

#[test]
fn same_bits_at_one_and_at_many_threads() {
    for_every_sample("threads", |def, sample| {
        if def.name.ends_with('_') {
            return Ok(false);
        }
        // Arguments that name sizes no longer fit: those samples are left to others of the same op.
        let Some(k) = factor(def, sample) else { return Ok(false) };
        let big = enlarged(sample, k);
        let go = |threads: usize| -> Result<Vec<Tensor>> {
            rushlight::set_num_threads(threads);
            let args = values(def, &big, DType::F32)?;
            let inputs = copies(&tensors(&args), true);
            let (mut outs, grads) = run_with_gradients(def, &with_tensors(&args, &inputs), &inputs)?;
            outs.extend(grads.into_iter().flatten());
            Ok(outs)
        };
        let Ok(one) = go(1) else { return Ok(false) };
        let many = go(4).map_err(text)?;
        for (i, (a, b)) in one.iter().zip(&many).enumerate() {
            let same = a.with_bytes(|a| b.with_bytes(|b| a == b)).and_then(|r| r).map_err(text)?;
            if !same {
                return Err(format!("result or gradient {i} differs between 1 and 4 threads"));
            }
        }
        Ok(true)
    });
}
