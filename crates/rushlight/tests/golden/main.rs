//! Every op and sample, promotion, printing and streams of random numbers against what live PyTorch answered (`generate.py`).
//!
//! `RUSHLIGHT_OP=softmax cargo test -p rushlight --test golden` looks at one op.

mod differences;
mod facts;
#[allow(dead_code)]
#[path = "mod.rs"]
mod golden;

use differences::{Facet, Ledger};
use golden::read;
use rushlight::autograd::{GradOptions, grad};
use rushlight::op::sample::{Sample, uniform};
use rushlight::op::{self, OpDef, Value, bind};
use rushlight::{DType, ErrorKind, Result, Tensor};
use serde_json::Value as Json;
use std::collections::{BTreeSet, HashMap};
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Straight to the terminal: the harness captures what `println!` prints.
fn report(text: &str) {
    let _ = writeln!(std::io::stderr(), "golden: {text}");
}

fn chosen() -> impl Iterator<Item = &'static OpDef> {
    let only = std::env::var("RUSHLIGHT_OP").ok();
    op::all().filter(move |d| only.as_deref().is_none_or(|o| o == d.name || o == d.full_name()))
}

/// A sample's tensors, and what the op made of it.
struct Ran {
    leaves: Vec<Tensor>,
    result: Value,
}

/// Runs the op on the sample, its floating tensors with gradients where asked. Random ops start from seed 0.
fn run(def: &OpDef, text: &str, dtype: DType, gradients: bool) -> Result<Ran> {
    let (mut positional, mut keyword) = Sample::parse(text)?.make(dtype)?;
    let mut leaves = vec![];
    let mut take = |t: &mut Tensor| {
        let leaf = if gradients && t.dtype().is_float() { t.copy().with_requires_grad() } else { t.clone() };
        // A leaf that takes a gradient may not be overwritten.
        *t = if def.name.ends_with('_') { leaf.copy() } else { leaf.clone() };
        leaves.push(leaf);
    };
    for value in positional.iter_mut().chain(keyword.iter_mut().map(|(_, v)| v)) {
        match value {
            Value::Tensor(t) => take(t),
            Value::Tensors(ts) => ts.iter_mut().for_each(&mut take),
            _ => {}
        }
    }
    let values = bind::bind(def, positional, keyword)?;
    if def.random {
        rushlight::manual_seed(0);
    }
    Ok(Ran { leaves, result: bind::invoke(def, &values)? })
}

/// As many digits as the result has.
fn tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::BF16 => 1.6e-2,
        DType::F16 => 2e-3,
        DType::F32 => 1e-5,
        DType::F64 => 1e-9,
        _ => 0.0,
    }
}

/// Where the elements differ by more than `tolerance`, relative to the largest magnitude. Integers are compared exactly.
fn difference(found: &Tensor, wanted: &Json, tolerance: f64) -> Option<String> {
    if found.dtype() == DType::I64 {
        let wanted: Vec<i64> = wanted.as_array()?.iter().map(|v| v.as_i64().unwrap_or(i64::MIN)).collect();
        let found = found.to_vec::<i64>();
        return (found != wanted).then(|| format!("{found:?} instead of {wanted:?}"));
    }
    let (found, wanted) = (found.to_f64_vec(), golden::numbers(wanted));
    if found.len() != wanted.len() {
        return Some(format!("{} elements instead of {}", found.len(), wanted.len()));
    }
    let scale = wanted.iter().filter(|w| w.is_finite()).fold(1f64, |m, w| m.max(w.abs()));
    let near = |f: f64, w: f64| f == w || f.is_nan() && w.is_nan() || (f - w).abs() <= tolerance * scale;
    let i = found.iter().zip(&wanted).position(|(&f, &w)| !near(f, w))?;
    Some(format!("element {i} is {} instead of {}", found[i], wanted[i]))
}

fn exception(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Runtime | ErrorKind::OutOfMemory | ErrorKind::LinAlg => "RuntimeError",
        ErrorKind::Type => "TypeError",
        ErrorKind::Index => "IndexError",
        ErrorKind::Value => "ValueError",
        ErrorKind::NotImplemented => "NotImplementedError",
        ErrorKind::Io => "OSError",
        _ => "another exception",
    }
}

/// Shape, dtype, strides and sharing, in float32.
fn compare_layout(ledger: &mut Ledger, outs: &[Tensor], leaves: &[Tensor], wanted: &[Json]) {
    if outs.len() != wanted.len() {
        return ledger.differs(Facet::Layout, format!("{} results instead of {}", outs.len(), wanted.len()));
    }
    for (i, (o, w)) in outs.iter().zip(wanted).enumerate() {
        let sizes = |name: &str| -> Vec<i64> { w[name].as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect() };
        let shape: Vec<i64> = o.shape().iter().map(|&d| d as i64).collect();
        let strides: Vec<i64> = o.strides().iter().map(|&s| s as i64).collect();
        if o.dtype().to_string() != w["dtype"].as_str().unwrap() {
            ledger.differs(Facet::Layout, format!("result {i} is {} instead of {}", o.dtype(), w["dtype"]));
        }
        if shape != sizes("shape") {
            ledger.differs(Facet::Layout, format!("result {i} has shape {shape:?} instead of {:?}", sizes("shape")));
            continue;
        }
        // Steps along a dimension of one element, or among no elements, mean nothing.
        let meaningful = |strides: &[i64]| -> Vec<i64> {
            shape.iter().zip(strides).filter(|(d, _)| **d > 1 && o.numel() > 0).map(|(_, s)| *s).collect()
        };
        if meaningful(&strides) != meaningful(&sizes("strides")) {
            let wanted = sizes("strides");
            ledger
                .differs(Facet::Strides, format!("result {i} of shape {shape:?} has strides {strides:?} instead of {wanted:?}"));
        }
        let view = leaves.iter().any(|l| o.shares_storage(l));
        if o.numel() > 0 && view != w["view"].as_bool().unwrap() {
            ledger.differs(Facet::View, format!("result {i} shares memory with an argument: {view}, in PyTorch {}", w["view"]));
        }
    }
}

/// Weights that make every element of a result count differently.
fn weights(like: &Tensor, i: usize) -> Tensor {
    let values = (0..like.numel() as u64).map(|e| 0.3 + uniform(i as u64, e)).collect();
    Tensor::from_vec(values, like.shape()).to(like.dtype())
}

/// The gradients in float64. How many PyTorch refuses to compute is counted, and nothing is claimed of those.
fn compare_gradients(ledger: &mut Ledger, def: &OpDef, text: &str, wanted: &Json) -> Result<()> {
    let Ran { leaves, result } = run(def, text, DType::F64, true)?;
    let outs = result.tensors();
    let recorded: Vec<(usize, &Tensor)> = outs.iter().enumerate().filter(|(_, o)| o.requires_grad()).collect();
    let Some(wanted) = wanted.as_array() else {
        if !recorded.is_empty() {
            ledger.differs(Facet::Gradient, "a result requires a gradient, but not in PyTorch".into());
        }
        return Ok(());
    };
    let refused = wanted.iter().filter(|w| *w == "refused").count();
    ledger.refused += refused;
    if recorded.is_empty() || refused == wanted.len() {
        if refused < wanted.len() {
            ledger.differs(Facet::Gradient, "no result requires a gradient, but in PyTorch one does".into());
        }
        return Ok(());
    }
    let inputs: Vec<&Tensor> = leaves.iter().filter(|t| t.dtype().is_float()).collect();
    let cotangents: Vec<Tensor> = recorded.iter().map(|(i, o)| weights(o, *i)).collect();
    let sources: Vec<&Tensor> = recorded.iter().map(|(_, o)| *o).collect();
    let options = GradOptions { allow_unused: true, ..Default::default() };
    let found = grad(&sources, &inputs, &cotangents.iter().map(Some).collect::<Vec<_>>(), options)?;
    let rough = sources.iter().chain(&inputs).map(|t| tolerance(t.dtype())).fold(0.0, f64::max);
    for (i, (f, w)) in found.iter().zip(wanted).enumerate().filter(|(_, (_, w))| *w != "refused") {
        // No gradient is a gradient of zeros.
        let f = f.clone().unwrap_or_else(|| Tensor::zeros(inputs[i].shape()).to(inputs[i].dtype()));
        let zeros = Json::from(vec![0.0; f.numel()]);
        match difference(&f, if w.is_null() { &zeros } else { w }, rough) {
            Some(d) => ledger.differs(Facet::Gradient, format!("gradient {i}: {d}")),
            None => ledger.gradients += 1,
        }
    }
    Ok(())
}

fn compare(ledger: &mut Ledger, def: &OpDef, text: &str, entry: &Json) -> Result<()> {
    let Ran { leaves, result } = run(def, text, DType::F32, false)?;
    compare_layout(ledger, result.tensors(), &leaves, entry["outs"].as_array().expect("a list"));
    let drawn = entry["drawn"] == true;
    let result = if drawn { result } else { run(def, text, DType::F64, false)?.result };
    // What is drawn is compared bit for bit, except where products follow, which processors round differently.
    let exact = drawn && def.name != "scaled_dot_product_attention";
    for (i, (o, w)) in result.tensors().iter().zip(entry["values"].as_array().expect("a list")).enumerate() {
        if let Some(d) = difference(o, w, if exact { 0.0 } else { tolerance(o.dtype()) }) {
            ledger.differs(Facet::Value, format!("result {i}: {d}"));
        }
    }
    if let Value::Bool(b) = result
        && entry["plain"] != b
    {
        ledger.differs(Facet::Value, format!("{b} instead of {}", entry["plain"]));
    }
    compare_gradients(ledger, def, text, &entry["grads"])
}

#[test]
fn ops_answer_as_pytorch_does() {
    let golden = read("ops");
    let entries: HashMap<(&str, &str), &Json> =
        golden.as_array().unwrap().iter().map(|e| ((e["op"].as_str().unwrap(), e["sample"].as_str().unwrap()), e)).collect();
    let mut ledger = Ledger::default();
    let (mut samples, mut names, mut errors, mut unknown) = (0, BTreeSet::new(), 0, BTreeSet::new());
    for def in chosen() {
        let name = def.full_name();
        let bad = def.errors.iter().map(|(text, _)| text);
        for text in def.samples.iter().chain(bad) {
            ledger.begin(&name, text);
            let Some(entry) = entries.get(&(name.as_str(), *text)) else {
                ledger.fails("has no golden entry: run `cargo xtask golden`".into());
                continue;
            };
            if entry.get("unknown").is_some() {
                unknown.insert(name.clone());
                continue;
            }
            if let Some(theirs) = entry.get("error").map(|e| e.as_str().unwrap()) {
                errors += 1;
                match catch_unwind(AssertUnwindSafe(|| run(def, text, DType::F32, true))) {
                    Err(_) => ledger.fails("panicked".into()),
                    Ok(Ok(_)) => ledger.differs(Facet::Accepts, format!("succeeds, but PyTorch says {theirs}")),
                    Ok(Err(e)) if !theirs.starts_with(exception(e.kind())) => {
                        ledger.differs(Facet::Kind, format!("{}: {e}; but PyTorch says {theirs}", exception(e.kind())));
                    }
                    Ok(Err(_)) => {}
                }
                continue;
            }
            samples += 1;
            names.insert(name.clone());
            match catch_unwind(AssertUnwindSafe(|| compare(&mut ledger, def, text, entry))) {
                Err(_) => ledger.fails("panicked".into()),
                Ok(Err(e)) => ledger.differs(Facet::Refuses, format!("{}: {e}; but PyTorch succeeds", exception(e.kind()))),
                Ok(Ok(())) => {}
            }
        }
    }
    report(&format!("{samples} samples of {} ops, {} gradients and {errors} errors compared", names.len(), ledger.gradients));
    report(&format!(
        "{} gradients that PyTorch refuses to compute; deliberate differences: {}",
        ledger.refused,
        ledger.summary()
    ));
    report(&format!("not in PyTorch: {}", if unknown.is_empty() { "none".into() } else { Vec::from_iter(unknown).join(", ") }));
    ledger.finish(std::env::var("RUSHLIGHT_OP").is_err());
}
