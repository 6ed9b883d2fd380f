//! The digits example, run as a user runs it: the same seed gives the same weights at any number of threads, and through an interruption.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The example's program, which cargo builds together with this test.
fn program() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let folder = test.parent().and_then(Path::parent).expect("tests lie in target/<profile>/deps");
    folder.join("examples").join(format!("digits{}", std::env::consts::EXE_SUFFIX))
}

fn run(out: &Path, args: &[&str]) -> String {
    let program = program();
    assert!(program.exists(), "{} is missing: `cargo build --examples` makes it", program.display());
    let output = Command::new(program).args(args).arg("--out").arg(out).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn weights(out: &Path) -> Vec<u8> {
    std::fs::read(out.join("digits.safetensors")).unwrap()
}

const RUN: [&str; 8] = ["--epochs", "3", "--batch-size", "64", "--lr", "0.002", "--seed", "7"];

#[test]
fn same_weights_at_any_thread_count_and_through_an_interruption() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two, parts] = ["one", "two", "parts"].map(|n| folder.path().join(n));
    let said = run(&one, &[&RUN[..], &["--threads", "1"]].concat());
    for part in ["confusion matrix", "test accuracy", "██"] {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
    for file in ["digits.safetensors", "checkpoint.safetensors", "learning-curve.svg"] {
        assert!(one.join(file).metadata().unwrap().len() > 1000, "{file}");
    }
    run(&two, &[&RUN[..], &["--threads", "2"]].concat());
    assert!(weights(&one) == weights(&two), "1 and 2 threads end with other weights");

    run(&parts, &[&RUN[..], &["--stop-after", "1"]].concat());
    assert!(weights(&one) != weights(&parts));
    let checkpoint = parts.join("checkpoint.safetensors");
    let said = run(&parts, &["--resume", checkpoint.to_str().unwrap()]);
    assert!(said.contains("resumed after epoch 1 of 3"), "{said}");
    assert!(weights(&one) == weights(&parts), "the interrupted run ends with other weights");
}

#[test]
fn a_checkpoint_of_another_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &["--epochs", "1", "--batch-size", "512"]);
    let checkpoint = folder.path().join("checkpoint.safetensors");
    let output = Command::new(program())
        .args(["--resume", checkpoint.to_str().unwrap(), "--lr", "1", "--out"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("--resume continues a run with its own settings"), "{said}");
}
