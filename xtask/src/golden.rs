//! Golden values: what live PyTorch answers to every sample, kept in the repository so that the Rust suite needs no Python.

use rushlight::op;
use serde_json::json;
use std::process::{Command, Stdio};

/// One JSON object per op and sample, of those that must fail too.
pub(crate) fn print_samples() -> Result<(), String> {
    for d in op::all() {
        for s in d.samples.iter().chain(d.errors.iter().map(|(s, _)| s)) {
            println!(
                "{}",
                json!({ "name": d.name, "overload": d.overload, "signature": d.signature, "sample": s,
                    "nn": d.nn, "random": d.random, "nondiff": d.nondiff, "property": d.property })
            );
        }
    }
    Ok(())
}

fn python() -> String {
    let local = crate::root().join(".venv/bin/python");
    std::env::var("PYTHON").unwrap_or_else(|_| if local.exists() { local.display().to_string() } else { "python3".into() })
}

/// Runs the generator; with `check` it compares what it would write.
pub(crate) fn run(check: bool) -> Result<(), String> {
    let mut command = Command::new(python());
    command.arg("crates/rushlight/tests/golden/generate.py");
    if check {
        command.arg("--check");
    }
    crate::step("golden values against live PyTorch", &mut command)
}

/// As `run(true)` where PyTorch is installed; says so, by name, where it is not.
pub(crate) fn run_if_torch() -> Result<(), String> {
    let probe = Command::new(python()).args(["-c", "import torch, numpy"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if probe.is_ok_and(|s| s.success()) {
        return run(true);
    }
    eprintln!("SKIPPED: golden values against live PyTorch ({} has no torch and numpy)", python());
    Ok(())
}
